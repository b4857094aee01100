//! 2-D convolution (cross-correlation, as PyTorch's `Conv2d`), alone or with what usually follows it: batch norm, rectifier and max
//! pool in one operator.
//!
//! Fused, a block's values cross memory fewer times: see `forward.rs` and `backward.rs`. A convolution alone is a block with nothing after it.

mod backward;
mod bands;
pub(super) mod correlate;
mod forward;
mod geometry;
#[cfg(feature = "cuda")]
mod on_gpu;
mod pool;
pub(super) mod products;
mod staging;
mod winograd;

use std::sync::{Arc, Mutex};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

pub use self::geometry::Geometry;
pub use self::pool::Rectifier;

pub(super) use self::backward::Wanted;

use self::backward::Gradients;
use self::forward::{Forward, Inputs, Pooled, Saved};
use self::geometry::Sizes;
use super::batch_norm::BatchStatistics;
use super::element::{Element, for_dtype, slice, with_slice};
use super::tape::apply3;

/// The most places that a window of the pooling has.
pub const LARGEST_WINDOW: usize = 256;

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    pub geometry: Geometry,
    pub norm: Option<Norm>,
    pub rectifier: Rectifier,
    /// Where the rectifier stands. Of no meaning without a norm.
    pub order: Order,
    /// Rows and columns of max pool windows, which lie side by side: at most [`LARGEST_WINDOW`] places. (1, 1) for none.
    pub window: (usize, usize),
}

/// How each filter's values are scaled and shifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// A batch norm while training: by the statistics of the batch, with this epsilon, then by gamma and beta.
    Batch { epsilon: f64 },
    /// By gamma and beta alone. Has no gradients.
    Constant,
}

/// Whether values are normalised or rectified first. The pooling is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NormFirst,
    RectifierFirst,
}

impl Block {
    /// A convolution with nothing after it.
    pub fn plain(geometry: Geometry) -> Self {
        Self {
            geometry,
            norm: None,
            rectifier: Rectifier::Identity,
            order: Order::NormFirst,
            window: (1, 1),
        }
    }

    /// What the convolution's sums go through before anything else.
    pub(super) fn first(&self) -> Rectifier {
        match (self.norm, self.order) {
            (Some(_), Order::RectifierFirst) => self.rectifier,
            _ => Rectifier::Identity,
        }
    }

    /// What follows the norm.
    pub(super) fn last(&self) -> Rectifier {
        match (self.norm, self.order) {
            (Some(_), Order::RectifierFirst) => Rectifier::Identity,
            _ => self.rectifier,
        }
    }

    fn inverse_deviation(&self, statistics: &BatchStatistics, filter: usize) -> f64 {
        match self.norm {
            Some(Norm::Batch { epsilon }) => 1.0 / (statistics.variance[filter] + epsilon).sqrt(),
            Some(Norm::Constant) | None => 1.0,
        }
    }

    /// Scale and shift that normalise a filter's values.
    fn normalization<T: Element>(
        &self,
        statistics: &BatchStatistics,
        (gamma, beta): (&[T], &[T]),
        filter: usize,
    ) -> (T, T) {
        let scale = gamma[filter].to_f64() * self.inverse_deviation(statistics, filter);
        let shift = beta[filter].to_f64() - statistics.mean[filter] * scale;
        (T::from_f64(scale), T::from_f64(shift))
    }
}

/// `input` `[batch, channels, rows, columns]`, `kernel` `[filters, channels / groups, kernel rows, kernel columns]`, `bias`
/// `[filters]` → `[batch, filters, output rows, output columns]`.
pub fn conv2d(input: &Tensor, kernel: &Tensor, bias: &Tensor, geometry: Geometry) -> Result<Tensor> {
    conv_block(input, kernel, bias, Block::plain(geometry))
}

/// [`conv2d`], rectified and pooled: → `[batch, filters, output rows / window rows, output columns / window columns]`, rounded down.
/// The block must have no norm.
pub fn conv_block(input: &Tensor, kernel: &Tensor, bias: &Tensor, block: Block) -> Result<Tensor> {
    if block.norm.is_some() {
        candle_core::bail!("a norm needs gamma and beta: use normalized_conv_block")
    }
    #[cfg(feature = "cuda")]
    if let Some(out) = on_gpu::block(input, kernel, (bias, None), block)? {
        return Ok(out.0);
    }
    Ok(apply(input, kernel, bias, block)?.0)
}

/// [`conv_block`] with a norm. `gamma` and `beta` `[filters]`.
pub fn normalized_conv_block(
    input: &Tensor,
    kernel: &Tensor,
    bias: &Tensor,
    (gamma, beta): (&Tensor, &Tensor),
    block: Block,
) -> Result<(Tensor, BatchStatistics)> {
    if block.norm.is_none() {
        candle_core::bail!("gamma and beta are of a norm, and this block has none")
    }
    #[cfg(feature = "cuda")]
    if let Some(out) = on_gpu::block(input, kernel, (bias, Some((gamma, beta))), block)? {
        return Ok(out);
    }
    apply(input, kernel, &Tensor::cat(&[bias, gamma, beta], 0)?, block)
}

fn apply(input: &Tensor, kernel: &Tensor, shifts: &Tensor, block: Block) -> Result<(Tensor, BatchStatistics)> {
    if block.window.0 * block.window.1 > LARGEST_WINDOW || block.window.0 * block.window.1 == 0 {
        candle_core::bail!("windows of {:?} cannot be pooled here", block.window)
    }
    let tracked = input.track_op() || kernel.track_op() || shifts.track_op();
    let state = Arc::new(Mutex::new(None));
    let operator = Operator {
        block,
        keep: tracked.then(|| Wanted::of(input)),
        state: Arc::clone(&state),
    };
    let out = apply3(
        &input.contiguous()?,
        &kernel.contiguous()?,
        &shifts.contiguous()?,
        operator,
    )?;
    let state = state.lock().map_err(|_| poisoned())?;
    let statistics = match state.as_ref() {
        Some(State::Host(state)) => state.statistics.clone(),
        #[cfg(feature = "cuda")]
        Some(State::Gpu(saved)) => BatchStatistics {
            on_gpu: saved.statistics.clone(),
            ..BatchStatistics::default()
        },
        None => BatchStatistics::default(),
    };
    drop(state);
    Ok((out, statistics))
}

struct Operator {
    block: Block,
    /// For which gradients the forward pass saves what they need, if any.
    keep: Option<Wanted>,
    /// Given up by the backward pass, which runs once.
    state: Arc<Mutex<Option<State>>>,
}

/// What a forward pass leaves to the backward pass.
enum State {
    Host(HostState),
    #[cfg(feature = "cuda")]
    Gpu(super::cuda::BlockSaved),
}

/// [`Saved`], whatever the element type.
struct HostState {
    sums: Option<CpuStorage>,
    won: Option<CpuStorage>,
    place: Vec<u8>,
    statistics: BatchStatistics,
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a convolution failed before".into())
}

/// Bias, and gamma and beta where there is a norm.
type Shifts<'a, T> = (&'a [T], Option<(&'a [T], &'a [T])>);

impl Operator {
    /// Cuts what follows the convolution's sums into its parts.
    fn shifts<'a, T>(&self, sizes: &Sizes, shifts: &'a [T]) -> Result<Shifts<'a, T>> {
        let filters = sizes.filters;
        let parts = if self.block.norm.is_some() { 3 } else { 1 };
        if shifts.len() != parts * filters {
            candle_core::bail!(
                "conv2d: {filters} filters need {} biases, not {}",
                parts * filters,
                shifts.len()
            )
        }
        let (bias, rest) = shifts.split_at(filters);
        Ok((bias, self.block.norm.map(|_| rest.split_at(filters))))
    }

    fn sizes(&self, input: &[usize], kernel: &[usize]) -> Result<(Sizes, Pooled)> {
        let sizes = Sizes::new(input, kernel, self.block.geometry)?;
        let pooled = Pooled::new(&sizes, self.block.window);
        if pooled.plane() == 0 {
            let ((rows, columns), window) = (sizes.out, self.block.window);
            candle_core::bail!("conv2d: windows of {window:?} are larger than {rows} × {columns}")
        }
        Ok((sizes, pooled))
    }
}

impl CustomOp3 for Operator {
    fn name(&self) -> &'static str {
        "affect-conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
        shifts: &CpuStorage,
        shifts_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (sizes, pooled) = self.sizes(input_layout.dims(), kernel_layout.dims())?;
        let shape = Shape::from((sizes.batch, sizes.filters, pooled.rows, pooled.columns));
        for_dtype!(input.dtype(), T => {
            let (bias, affine) = self.shifts(&sizes, slice::<T>(shifts, shifts_layout)?)?;
            let inputs = Inputs {
                images: slice::<T>(input, input_layout)?,
                kernel: slice(kernel, kernel_layout)?,
                bias,
                affine,
            };
            let (out, saved) = Forward::new(&self.block, sizes, inputs).run(self.keep);
            let some = |values: Vec<T>| (!values.is_empty()).then(|| <T as candle_core::WithDType>::to_cpu_storage_owned(values));
            *self.state.lock().map_err(|_| poisoned())? = Some(State::Host(HostState {
                sums: some(saved.sums),
                won: some(saved.won),
                place: saved.place,
                statistics: saved.statistics,
            }));
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(out), shape))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        first: &candle_core::CudaStorage,
        first_layout: &Layout,
        second: &candle_core::CudaStorage,
        second_layout: &Layout,
        third: &candle_core::CudaStorage,
        third_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let operands = ((first, first_layout), (second, second_layout), (third, third_layout));
        let (sizes, _) = self.sizes(first_layout.dims(), second_layout.dims())?;
        let parts = if self.block.norm.is_some() { 3 } else { 1 };
        if third_layout.shape().elem_count() != parts * sizes.filters {
            candle_core::bail!(
                "conv2d: {} filters need {} biases",
                sizes.filters,
                parts * sizes.filters
            )
        }
        let (input, kernel, shifts) = operands;
        let gpu = super::cuda::Gpu::of(shifts.0.device());
        let bias = gpu.address_of_view(&super::cuda::view::<f32>(shifts.0, shifts.1)?);
        let shifts = super::cuda::Shifts::in_one(bias, sizes.filters);
        let forward = super::cuda::block_forward(&self.block, input, kernel, shifts, self.keep)?;
        *self.state.lock().map_err(|_| poisoned())? = Some(State::Gpu(forward.saved));
        Ok((forward.out, forward.shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        kernel: &Tensor,
        shifts: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (sizes, _) = self.sizes(input.dims(), kernel.dims())?;
        if self.block.norm == Some(Norm::Constant) {
            candle_core::bail!("conv2d: a constant norm has no gradients")
        }
        let wanted = Wanted::of(input);
        let Some(state) = self.state.lock().map_err(|_| poisoned())?.take() else {
            candle_core::bail!("conv2d: the backward pass ran before, and what it needs is gone")
        };
        #[cfg(not(feature = "cuda"))]
        let State::Host(state) = state;
        #[cfg(feature = "cuda")]
        let state = match state {
            State::Host(state) => state,
            State::Gpu(saved) => {
                let in_one = super::cuda::Shifts::in_one(super::cuda::address_within(shifts)?, sizes.filters);
                let operands = (input, kernel, in_one);
                let gradients = super::cuda::block_backward(&self.block, &saved, operands, (out, gradient), wanted)?;
                return Ok((gradients.images, Some(gradients.kernel), Some(gradients.shifts)));
            }
        };
        let device = input.device();
        for_dtype!(input.dtype(), T => {
            let values = |storage: Option<CpuStorage>| storage.and_then(T::owned).unwrap_or_default();
            let saved = Saved {
                sums: values(state.sums),
                won: values(state.won),
                place: state.place,
                statistics: state.statistics,
            };
            let gradients: Gradients<T> = with_slice(input, |images| with_slice(kernel, |kernel| with_slice(shifts, |shifts| {
                let (bias, affine) = self.shifts(&sizes, shifts)?;
                let inputs = Inputs { images, kernel, bias, affine };
                let forward = Forward::new(&self.block, sizes, inputs);
                with_slice(out, |out| with_slice(gradient, |gradient| {
                    Ok(backward::run(&forward, &saved, out, gradient, wanted))
                }))
            })))?;
            let mut of_shifts = gradients.bias;
            if let Some((gamma, beta)) = gradients.affine {
                of_shifts.extend(gamma.into_iter().chain(beta));
            }
            Ok((
                gradients.images.map(|values| Tensor::from_vec(values, input.dims(), device)).transpose()?,
                Some(Tensor::from_vec(gradients.kernel, kernel.dims(), device)?),
                Some(Tensor::from_vec(of_shifts, shifts.dims(), device)?),
            ))
        })
    }
}

#[cfg(test)]
mod tests;

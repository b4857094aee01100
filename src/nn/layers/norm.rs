//! Batch norm and layer norm.

use candle_core::{Result, Tensor, Var};

use super::super::builder::Builder;
use super::super::kernels::{self, BatchStatistics, Block, Norm, tape};
use super::super::network::Mode;
use super::super::plan::{PlannedLayer, count};
use super::super::spec::{BatchNormSpec, LayerNormSpec, NormOver};

/// Channels of an image; numbers of a frame or of a vector.
pub fn batch_norm_size(shape: &[usize]) -> usize {
    match *shape {
        [channels, _, _] => channels,
        ref other => other.last().copied().unwrap_or(1),
    }
}

pub fn plan_batch_norm(shape: &[usize]) -> PlannedLayer {
    let size = batch_norm_size(shape);
    PlannedLayer {
        detail: format!("over {size}"),
        parameters: 2 * size,
        flops: 2 * count(shape),
        ..PlannedLayer::new("batch_norm", shape, shape.to_vec())
    }
}

fn layer_norm_shape<'a>(spec: &LayerNormSpec, shape: &'a [usize]) -> &'a [usize] {
    match spec.over {
        NormOver::Example => shape,
        NormOver::Last => &shape[shape.len().saturating_sub(1)..],
    }
}

pub fn plan_layer_norm(spec: &LayerNormSpec, shape: &[usize]) -> PlannedLayer {
    let normalized = layer_norm_shape(spec, shape);
    PlannedLayer {
        detail: format!("over {}", super::shape_text(normalized)),
        parameters: 2 * normalized.iter().product::<usize>(),
        flops: 8 * count(shape),
        ..PlannedLayer::new("layer_norm", shape, shape.to_vec())
    }
}

/// Batch norm with its parameters and running averages.
pub struct BatchNorm {
    gain: Var,
    offset: Var,
    mean: Var,
    variance: Var,
    momentum: f64,
    epsilon: f64,
}

impl BatchNorm {
    pub fn new(builder: &mut Builder, prefix: &str, size: usize, spec: &BatchNormSpec) -> Result<Self> {
        Ok(Self {
            gain: builder.constant(format!("{prefix}.weight"), &[size], 1.0)?,
            offset: builder.constant(format!("{prefix}.bias"), &[size], 0.0)?,
            mean: builder.buffer(format!("{prefix}.running_mean"), size, 0.0)?,
            variance: builder.buffer(format!("{prefix}.running_var"), size, 1.0)?,
            momentum: spec.momentum,
            epsilon: spec.epsilon,
        })
    }

    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let size = self.gain.elem_count();
        // As images: the channels second.
        let image = match input.rank() {
            4 => input.clone(),
            _ => tape::reshape(input, (input.elem_count() / size.max(1), size, 1, 1))?,
        };
        let out = match mode {
            Mode::Train { .. } => {
                let (out, statistics) = kernels::batch_norm(&image, &self.gain, &self.offset, self.epsilon)?;
                self.follow(&statistics)?;
                out
            }
            Mode::Evaluate => {
                let (scale, shift) = self.constants()?;
                let shape = (1, size, 1, 1);
                image
                    .broadcast_mul(&scale.reshape(shape)?)?
                    .broadcast_add(&shift.reshape(shape)?)?
            }
        };
        tape::reshape(&out, input.shape())
    }

    /// While training: a convolution, this norm and the rest of `block` in one.
    pub fn after_convolution(&self, input: &Tensor, kernel: &Tensor, bias: &Tensor, block: Block) -> Result<Tensor> {
        let norm = Some(Norm::Batch { epsilon: self.epsilon });
        let block = Block { norm, ..block };
        let affine = (self.gain.as_tensor(), self.offset.as_tensor());
        let (out, statistics) = kernels::normalized_conv_block(input, kernel, bias, affine, block)?;
        self.follow(&statistics)?;
        Ok(out)
    }

    /// While evaluating: the same, without gradients.
    pub fn as_constants(&self, input: &Tensor, kernel: &Tensor, bias: &Tensor, block: Block) -> Result<Tensor> {
        let (scale, shift) = self.constants()?;
        let norm = Some(Norm::Constant);
        let block = Block { norm, ..block };
        Ok(kernels::normalized_conv_block(input, kernel, bias, (&scale, &shift), block)?.0)
    }

    /// Scale and shift that the running averages make.
    pub fn constants(&self) -> Result<(Tensor, Tensor)> {
        let scale = (self.gain.as_tensor() / (self.variance.as_tensor() + self.epsilon)?.sqrt()?)?.detach();
        let shift = (self.offset.as_tensor() - (self.mean.as_tensor() * &scale)?)?.detach();
        Ok((scale, shift))
    }

    /// Moves the running averages towards the batch (the variance without bias, as PyTorch does).
    fn follow(&self, statistics: &BatchStatistics) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let Some(on_gpu) = &statistics.on_gpu {
            return on_gpu.follow(&self.mean, &self.variance, self.momentum);
        }
        let count = statistics.count as f64;
        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let blend = |var: &Var, values: &[f64], factor: f64| -> Result<()> {
            let old = var.to_vec1::<f32>()?;
            let new: Vec<f32> = old
                .iter()
                .zip(values)
                .map(|(&old, &value)| ((1.0 - self.momentum) * f64::from(old) + self.momentum * value * factor) as f32)
                .collect();
            var.set(&Tensor::from_vec(new, values.len(), var.device())?)
        };
        blend(&self.mean, &statistics.mean, 1.0)?;
        blend(&self.variance, &statistics.variance, unbiased)
    }
}

/// Layer norm with its parameters.
pub struct LayerNorm {
    gain: Var,
    offset: Var,
    epsilon: f64,
}

impl LayerNorm {
    pub fn new(builder: &mut Builder, prefix: &str, input: &[usize], spec: &LayerNormSpec) -> Result<Self> {
        let shape = layer_norm_shape(spec, input);
        Ok(Self {
            gain: builder.constant(format!("{prefix}.weight"), shape, 1.0)?,
            offset: builder.constant(format!("{prefix}.bias"), shape, 0.0)?,
            epsilon: spec.epsilon,
        })
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let width = self.gain.elem_count();
        let out = kernels::layer_norm(
            &tape::reshape(input, (input.elem_count() / width.max(1), width))?,
            &tape::reshape(&self.gain, width)?,
            &tape::reshape(&self.offset, width)?,
            self.epsilon,
        )?;
        tape::reshape(&out, input.shape())
    }
}

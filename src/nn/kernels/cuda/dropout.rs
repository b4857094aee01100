//! Dropout with the masks that the CPU draws: see `source/elementwise.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::super::dropout::Step;
use super::super::tape::apply1;
use super::gpu::{Address, ELEMENTWISE, Gpu, elements, launch, view, with_address};

/// What a mask is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// The key of a [`crate::random::Generator`].
    pub key: [u8; 32],
    /// The number of its stream.
    pub step: Step,
    /// Of a value to be left out, in [0, 1).
    pub probability: f64,
    /// What all others are multiplied by.
    pub keep: f32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Key([u32; 8]);

// SAFETY: eight numbers of 32 bits, as the kernel's `ChaChaKey`.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Key {}

impl Mask {
    fn words(&self) -> Key {
        let (words, _) = self.key.as_chunks::<4>();
        Key(std::array::from_fn(|index| u32::from_le_bytes(words[index])))
    }

    fn apply(&self, gpu: &Gpu, input: Address, count: usize) -> Result<CudaStorage> {
        let out = gpu.empty::<f32>(count)?;
        let to = gpu.address(&out);
        let config = elements(count.div_ceil(8));
        let (stream, stream_at) = match self.step {
            Step::Known(step) => (step, Address::NONE),
            Step::OnGpu(cell) => (0, cell.step()),
        };
        launch!(
            gpu,
            ELEMENTWISE,
            "dropout",
            config,
            input,
            to,
            count,
            self.words(),
            stream,
            stream_at,
            self.probability,
            self.keep
        )?;
        Ok(gpu.storage(out))
    }
}

/// Any shape → the same shape.
pub fn dropout(value: &Tensor, mask: Mask) -> Result<Tensor> {
    apply1(&value.contiguous()?, Dropout(mask))
}

struct Dropout(Mask);

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "affect-dropout"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this dropout is the GPU's")
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(storage.device());
        let input = gpu.address_of_view(&view::<f32>(storage, layout)?);
        Ok((
            self.0.apply(&gpu, input, layout.shape().elem_count())?,
            layout.shape().clone(),
        ))
    }

    /// The mask is drawn again: that is cheaper than to keep it.
    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gpu = Gpu::of_tensor(input)?;
        let count = input.elem_count();
        let storage = with_address::<f32, _>(gradient, |gradient| self.0.apply(&gpu, gradient, count))?;
        let storage = candle_core::Storage::Cuda(storage);
        let none = candle_core::op::BackpropOp::none();
        Ok(Some(Tensor::from_storage(storage, input.shape(), none, false)))
    }
}

//! Matrix products (cuBLAS, through Candle): what they need, and those in 16 bits, summed in 32.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cublas;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use half::bf16;

use super::super::tape::apply2;
use super::gpu::{Address, ELEMENTWISE, Gpu, elements, launch, view, with_address};
use super::settings::{Precision, settings};

/// `[rows, inner]` · `[inner, columns]` → `[rows, columns]`; all of them in 32 bits, the factors and the result rounded to 16.
pub fn product_in_bfloat16(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    apply2(&left.contiguous()?, &right.contiguous()?, Product)
}

/// The product of tensors without a history, in the precision of the settings.
pub fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    if settings().precision != Precision::Bf16 {
        return left.matmul(right);
    }
    let gpu = Gpu::of_tensor(left)?;
    let (out, shape) = multiply(&gpu, &half(&gpu, left)?, &half(&gpu, right)?)?;
    Ok(gpu.tensor(out, shape))
}

/// Gives cuBLAS a workspace of its own, which it shares with nobody. Its choice of an algorithm goes by what room there is: without
/// this it may choose another one while launches are recorded, and give other bits. A GPU without room for it goes on without.
#[allow(unsafe_code)]
pub fn set_up_products(device: &CudaDevice) -> Result<()> {
    /// What NVIDIA recommends for its larger devices.
    const BYTES: usize = 32 << 20;
    let gpu = Gpu::of(device);
    let Ok(workspace) = gpu.empty::<u8>(BYTES) else {
        return Ok(());
    };
    let Address(address) = gpu.address(&workspace);
    // For as long as the process lives: cuBLAS keeps the address.
    std::mem::forget(workspace);
    let handle = device.cublas_handle();
    // SAFETY: the handle is alive, and so many bytes at the address are nobody else's.
    unsafe { cublas::sys::cublasSetWorkspace_v2(*handle.handle(), address as *mut std::ffi::c_void, BYTES) }
        .result()
        .map_err(candle_core::Error::wrap)
}

/// The numbers of a contiguous tensor of 32 bits, rounded to 16.
pub fn rounded(gpu: &Gpu, (storage, layout): (&CudaStorage, &Layout)) -> Result<Tensor> {
    let from = gpu.address_of_view(&view::<f32>(storage, layout)?);
    rounded_from(gpu, from, layout.shape())
}

fn rounded_from(gpu: &Gpu, from: Address, shape: &Shape) -> Result<Tensor> {
    let count = shape.elem_count();
    let out = gpu.empty::<bf16>(count)?;
    let to = gpu.address(&out);
    launch!(gpu, ELEMENTWISE, "to_bfloat16", elements(count), from, to, count)?;
    Ok(gpu.tensor(out, shape))
}

/// The product of two matrices of 16 bits, in 32.
pub fn multiply(gpu: &Gpu, left: &Tensor, right: &Tensor) -> Result<(CudaSlice<f32>, Shape)> {
    let product = left.matmul(right)?;
    let count = product.elem_count();
    let out = gpu.empty::<f32>(count)?;
    let to = gpu.address(&out);
    with_address::<bf16, _>(&product, |from| {
        launch!(gpu, ELEMENTWISE, "from_bfloat16", elements(count), from, to, count)
    })?;
    Ok((out, product.shape().clone()))
}

/// A tensor of 32 bits, rounded to 16. One that was transposed is rounded as it lies, and transposed again.
fn half(gpu: &Gpu, tensor: &Tensor) -> Result<Tensor> {
    if !tensor.is_contiguous() && tensor.rank() == 2 {
        let turned = tensor.t()?;
        if turned.is_contiguous() {
            return half(gpu, &turned)?.t();
        }
    }
    with_address::<f32, _>(tensor, |from| rounded_from(gpu, from, tensor.shape()))
}

struct Product;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "affect-product-in-bfloat16"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("numbers of 16 bits are for the GPU")
    }

    fn cuda_fwd(
        &self,
        left: &CudaStorage,
        left_layout: &Layout,
        right: &CudaStorage,
        right_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(left.device());
        let (left, right) = (
            rounded(&gpu, (left, left_layout))?,
            rounded(&gpu, (right, right_layout))?,
        );
        let (out, shape) = multiply(&gpu, &left, &right)?;
        Ok((gpu.storage(out), shape))
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gpu = Gpu::of_tensor(left)?;
        let [left, right, gradient] = [left, right, gradient].map(|tensor| half(&gpu, tensor));
        let (left, right, gradient) = (left?, right?, gradient?);
        let (of_left, left_shape) = multiply(&gpu, &gradient, &right.t()?)?;
        let (of_right, right_shape) = multiply(&gpu, &left.t()?, &gradient)?;
        Ok((
            Some(gpu.tensor(of_left, left_shape)),
            Some(gpu.tensor(of_right, right_shape)),
        ))
    }
}

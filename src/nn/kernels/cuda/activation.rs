//! Functions of single values: see `source/elementwise.cu`.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::{Layout, Result, Shape, Tensor};

use super::super::activation::Function;
use super::gpu::{ELEMENTWISE, Gpu, elements, launch, view, with_address};

/// Its number in the kernels, and its parameter.
fn code(function: Function) -> (i32, f32) {
    match function {
        Function::Relu => (0, 0.0),
        Function::LeakyRelu { slope } => (1, slope as f32),
        Function::Elu { alpha } => (2, alpha as f32),
        Function::Gelu => (3, 0.0),
        Function::GeluTanh => (4, 0.0),
        Function::Tanh => (5, 0.0),
        Function::Sigmoid => (6, 0.0),
    }
}

pub fn activation(function: Function, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let gpu = Gpu::of(storage.device());
    let input = view::<f32>(storage, layout)?;
    let count = layout.shape().elem_count();
    let out = gpu.empty::<f32>(count)?;
    let (number, parameter) = code(function);
    let (from, to) = (gpu.address_of_view(&input), gpu.address(&out));
    launch!(
        gpu,
        ELEMENTWISE,
        "activation",
        elements(count),
        from,
        to,
        count,
        number,
        parameter
    )?;
    Ok((gpu.storage(out), layout.shape().clone()))
}

pub fn activation_gradient(function: Function, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of_tensor(input)?;
    let count = input.elem_count();
    let out = gpu.empty::<f32>(count)?;
    let (number, parameter) = code(function);
    let to = gpu.address(&out);
    with_address::<f32, _>(input, |x| {
        with_address::<f32, _>(gradient, |g| {
            launch!(
                gpu,
                ELEMENTWISE,
                "activation_gradient",
                elements(count),
                x,
                g,
                to,
                count,
                number,
                parameter
            )
        })
    })?;
    Ok(gpu.tensor(out, input.shape()))
}

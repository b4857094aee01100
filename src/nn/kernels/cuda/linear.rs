//! Fully connected layers: products by cuBLAS through Candle, in the precision of the settings, and the bias.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::super::direct::give;
use super::super::tape::{apply2, apply3};
use super::gpu::{Gpu, SEQUENCE, elements, launch, view, with_address};
use super::product::{multiply, product, rounded};
use super::recurrence::column_sums;
use super::settings::{Precision, settings};

/// `[rows, inputs]`, `[units, inputs]`, `[units]` → `[rows, units]`.
pub fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    apply3(&input.contiguous()?, &weight.contiguous()?, &bias.contiguous()?, Linear)
}

/// The same with a bias of 0.
pub fn linear_without_bias(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    apply2(&input.contiguous()?, &weight.contiguous()?, LinearWithoutBias)
}

/// Rows and units, and `[rows, inputs]` times the transposed `[units, inputs]`.
fn forward(
    (input, input_layout): (&CudaStorage, &Layout),
    (weight, weight_layout): (&CudaStorage, &Layout),
) -> Result<(usize, usize, CudaStorage)> {
    let ((rows, inputs), (units, width)) = (input_layout.shape().dims2()?, weight_layout.shape().dims2()?);
    if inputs != width {
        candle_core::bail!(
            "a linear layer: {:?} and weight {:?} don't fit each other",
            input_layout.dims(),
            weight_layout.dims()
        )
    }
    let gpu = Gpu::of(input.device());
    let out = match settings().precision {
        Precision::Bf16 => {
            let input = rounded(&gpu, (input, input_layout))?;
            let weight = rounded(&gpu, (weight, weight_layout))?;
            gpu.storage(multiply(&gpu, &input, &weight.t()?)?.0)
        }
        Precision::Float32 | Precision::Tf32 => {
            let turned = weight_layout.transpose(0, 1)?;
            input.matmul(weight, (1, rows, units, inputs), input_layout, &turned)?
        }
    };
    Ok((rows, units, out))
}

/// Of input and weight.
fn backward(input: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let of_input = match input.track_op() {
        true => give(input, product(gradient, &weight.detach())?)?,
        false => None,
    };
    let of_weight = product(&gradient.t()?, &input.detach())?;
    Ok((of_input, give(weight, of_weight)?))
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "affect-linear"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this layer is the GPU's")
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (rows, units, out) = forward((input, input_layout), (weight, weight_layout))?;
        if bias_layout.dims() != [units] {
            candle_core::bail!("a linear layer: {units} units and a bias {:?}", bias_layout.dims())
        }
        let gpu = Gpu::of(input.device());
        let shape = Shape::from((rows, units));
        let to = gpu.address_of_view(&view::<f32>(&out, &Layout::contiguous(&shape))?);
        let bias = gpu.address_of_view(&view::<f32>(bias, bias_layout)?);
        let count = rows * units;
        launch!(gpu, SEQUENCE, "add_to_rows", elements(count), to, bias, count, units)?;
        Ok((out, shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gpu = Gpu::of_tensor(input)?;
        let (rows, units) = gradient.dims2()?;
        let gradient = gradient.contiguous()?;
        let (of_input, of_weight) = backward(input, weight, &gradient)?;
        let of_bias = with_address::<f32, _>(&gradient, |from| column_sums(&gpu, from, rows, units))?;
        Ok((of_input, of_weight, give(bias, of_bias)?))
    }
}

struct LinearWithoutBias;

impl CustomOp2 for LinearWithoutBias {
    fn name(&self) -> &'static str {
        "affect-linear-without-bias"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this layer is the GPU's")
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (rows, units, out) = forward((input, input_layout), (weight, weight_layout))?;
        Ok((out, Shape::from((rows, units))))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(input, weight, &gradient.contiguous()?)
    }
}

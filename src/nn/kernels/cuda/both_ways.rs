//! Recurrences that walk both ways, at once. Their parameters stay where they are, and their gradients are collected
//! ([`super::super::direct`]).

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::super::direct::{ends_here, give, is_collecting};
use super::super::gru::Direction;
use super::super::tape::apply2;
use super::gpu::{Gpu, address_within, view};
use super::recurrence::{Gates, Recurrence, Sizes, gru, gru_gradient};

/// As [`super::super::gru_both_ways`]; `None` where gradients are not collected, or a parameter is what others computed.
pub fn gru_both_ways(inputs: [&Tensor; 2], weights: [&Tensor; 2], biases: [&Tensor; 2]) -> Result<Option<Tensor>> {
    let fits = |parameter: &Tensor| ends_here(parameter) && parameter.is_contiguous();
    let parameters = weights.into_iter().chain(biases);
    if !inputs[0].device().is_cuda() || !is_collecting() || !parameters.into_iter().all(fits) {
        return Ok(None);
    }
    let operator = BothWays {
        weights: weights.map(Tensor::clone),
        biases: biases.map(Tensor::clone),
        gates: Mutex::new(None),
    };
    apply2(&inputs[0].contiguous()?, &inputs[1].contiguous()?, operator).map(Some)
}

struct BothWays {
    weights: [Tensor; 2],
    biases: [Tensor; 2],
    /// Given up by the backward pass, which runs once.
    gates: Mutex<Option<Gates>>,
}

fn poisoned() -> candle_core::Error {
    candle_core::Error::Msg("a pass of a gru failed before".into())
}

impl BothWays {
    fn sizes(&self, inputs: &[usize]) -> Result<Sizes> {
        let &[batch, frames, gates] = inputs else {
            candle_core::bail!("gru takes [batch, frames, 3·units], not {inputs:?}")
        };
        let units = gates / 3;
        let fits = |weight: &Tensor, bias: &Tensor| weight.dims() == [gates, units] && bias.dims() == [gates];
        let fit = self
            .weights
            .iter()
            .zip(&self.biases)
            .all(|(weight, bias)| fits(weight, bias));
        if units == 0 || frames == 0 || gates != 3 * units || !fit {
            candle_core::bail!("gru: inputs {inputs:?} and the weights don't fit each other")
        }
        Ok(Sizes { batch, frames, units })
    }

    fn recurrences(&self) -> Result<[Recurrence; 2]> {
        let one = |number: usize, direction| {
            Ok::<_, candle_core::Error>(Recurrence {
                weight: address_within(&self.weights[number])?,
                bias: address_within(&self.biases[number])?,
                direction,
            })
        };
        Ok([one(0, Direction::Forward)?, one(1, Direction::Backward)?])
    }
}

impl CustomOp2 for BothWays {
    fn name(&self) -> &'static str {
        "affect-gru-both-ways"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this gru is the GPU's")
    }

    fn cuda_fwd(
        &self,
        forward: &CudaStorage,
        forward_layout: &Layout,
        backward: &CudaStorage,
        backward_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(forward.device());
        let sizes = self.sizes(forward_layout.dims())?;
        self.sizes(backward_layout.dims())?;
        if forward_layout.dims() != backward_layout.dims() {
            candle_core::bail!(
                "gru: inputs {:?} one way, {:?} the other",
                forward_layout.dims(),
                backward_layout.dims()
            )
        }
        let inputs = [
            gpu.address_of_view(&view::<f32>(forward, forward_layout)?),
            gpu.address_of_view(&view::<f32>(backward, backward_layout)?),
        ];
        let (out, gates) = gru(&gpu, sizes, &inputs, &self.recurrences()?)?;
        *self.gates.lock().map_err(|_| poisoned())? = Some(gates);
        let shape = Shape::from((sizes.batch, sizes.frames, 2 * sizes.units));
        Ok((gpu.storage(out), shape))
    }

    fn bwd(
        &self,
        forward: &Tensor,
        _: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(gates) = self.gates.lock().map_err(|_| poisoned())?.take() else {
            candle_core::bail!("gru: the backward pass ran before, and what it needs is gone")
        };
        let gpu = Gpu::of_tensor(forward)?;
        let sizes = self.sizes(forward.dims())?;
        let gradients = gru_gradient(&gpu, sizes, &self.recurrences()?, (out, &gates), gradient)?;
        let mut of_inputs = Vec::with_capacity(2);
        for ((gradients, weight), bias) in gradients.into_iter().zip(&self.weights).zip(&self.biases) {
            give(weight, gradients.weight)?;
            give(bias, gradients.bias)?;
            of_inputs.push(Some(gradients.inputs));
        }
        let backward = of_inputs.pop().flatten();
        Ok((of_inputs.pop().flatten(), backward))
    }
}

//! The gradients of one update, between the backward pass and the optimiser: summed over batches, and clipped.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor, Var};

#[cfg(feature = "cuda")]
use crate::nn::kernels::{cuda, direct::Given};

/// One gradient per parameter, in the order of the parameters; `None` where the loss does not depend on it.
pub struct Gradients {
    values: Vec<Option<Tensor>>,
    /// By which all of them are to be multiplied.
    factor: f64,
}

impl Gradients {
    /// Those of `parameters`, out of what a backward pass gave.
    pub fn take(store: &mut GradStore, parameters: &[(String, Var)]) -> Self {
        Self {
            values: parameters
                .iter()
                .map(|(_, parameter)| store.remove(parameter.as_tensor()).map(|gradient| gradient.detach()))
                .collect(),
            factor: 1.0,
        }
    }

    /// Those of a backward pass whose operators gave all of them directly.
    #[cfg(feature = "cuda")]
    pub fn given(mut given: Given, parameters: &[(String, Var)]) -> Self {
        let taken = parameters.iter().map(|(_, parameter)| given.take(parameter));
        Self {
            values: taken.collect(),
            factor: 1.0,
        }
    }

    /// Those of a backward pass whose operators gave some of them directly.
    #[cfg(feature = "cuda")]
    pub fn with_given(store: &mut GradStore, mut given: Given, parameters: &[(String, Var)]) -> Result<Self> {
        let mut gradients = Self::take(store, parameters);
        for (gradient, (_, parameter)) in gradients.values.iter_mut().zip(parameters) {
            *gradient = match (gradient.take(), given.take(parameter)) {
                (Some(one), Some(other)) => Some((one + other)?),
                (one, other) => one.or(other).map(|gradient| gradient.detach()),
            };
        }
        Ok(gradients)
    }

    /// In the order of the parameters; to be multiplied by [`Self::factor`].
    pub fn get(&self, parameter: usize) -> Option<&Tensor> {
        self.values.get(parameter)?.as_ref()
    }

    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// The values of each, by the names of `parameters`, which are those that they were taken for.
    pub fn values(&self, parameters: &[(String, Var)]) -> Result<Vec<(String, Vec<f32>)>> {
        (self.values.iter().zip(parameters))
            .filter_map(|(gradient, (name, _))| Some((name.clone(), gradient.as_ref()?)))
            .map(|(name, gradient)| Ok((name, values(&self.multiplied(gradient)?)?)))
            .collect()
    }

    fn multiplied(&self, gradient: &Tensor) -> Result<Tensor> {
        match self.factor {
            1.0 => Ok(gradient.clone()),
            factor => gradient.affine(factor, 0.0),
        }
    }

    /// Adds other gradients of the same parameters.
    pub fn add(&mut self, mut other: Self) -> Result<()> {
        self.settle()?;
        other.settle()?;
        for (sum, other) in self.values.iter_mut().zip(other.values) {
            *sum = match (sum.take(), other) {
                (Some(sum), Some(other)) => Some((sum + other)?),
                (sum, other) => sum.or(other),
            };
        }
        Ok(())
    }

    /// Multiplies by the factor what is to be multiplied.
    fn settle(&mut self) -> Result<()> {
        let factor = std::mem::replace(&mut self.factor, 1.0);
        match factor {
            1.0 => Ok(()),
            factor => self.map(|gradient| gradient.affine(factor, 0.0)),
        }
    }

    fn map(&mut self, with: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        for gradient in self.values.iter_mut().flatten() {
            *gradient = with(gradient)?;
        }
        Ok(())
    }

    /// Multiplies all of them, in the pass that reads them next.
    pub fn scale(&mut self, factor: f64) {
        self.factor *= factor;
    }

    /// Their Euclidean norm, over all parameters; squares are summed in `f64`.
    pub fn norm(&self) -> Result<f64> {
        let squares: Vec<Tensor> = self.values.iter().flatten().map(squares).collect::<Result<_>>()?;
        if squares.is_empty() {
            return Ok(0.0);
        }
        // All of them at once: a device that works on its own is waited for only here.
        let squares = Tensor::stack(&squares, 0)?.to_vec1::<f64>()?;
        Ok(squares.iter().sum::<f64>().sqrt() * self.factor.abs())
    }

    /// Their norm as a number in 64 bits that stays on the GPU.
    #[cfg(feature = "cuda")]
    pub fn norm_on_gpu(&self, parameters: &[(String, Var)], device: &Device) -> Result<Tensor> {
        let gradients = self.contiguous()?;
        let slots: Vec<cuda::Slot> = (gradients.iter().zip(parameters))
            .filter_map(|(gradient, (_, parameter))| {
                Some(cuda::Slot {
                    parameter,
                    gradient: gradient.as_ref()?,
                    memory: [None; 3],
                    decayed: false,
                })
            })
            .collect();
        cuda::gradient_norm(&slots, self.factor, device)
    }

    /// Each as one stretch of memory.
    #[cfg(feature = "cuda")]
    pub fn contiguous(&self) -> Result<Vec<Option<Tensor>>> {
        let contiguous = |gradient: &Option<Tensor>| gradient.as_ref().map(Tensor::contiguous).transpose();
        self.values.iter().map(contiguous).collect()
    }

    /// Scales them so that their norm, which is `norm`, is at most `limit`. PyTorch's `clip_grad_norm_`, with its 1e-6.
    pub fn clip_norm(&mut self, norm: f64, limit: f64) {
        let factor = limit / (norm + 1e-6);
        if factor < 1.0 {
            self.scale(factor);
        }
    }

    /// Keeps every number within ±`limit`. PyTorch's `clip_grad_value_`.
    pub fn clip_value(&mut self, limit: f64) -> Result<()> {
        self.settle()?;
        self.map(|gradient| gradient.clamp(-limit, limit))
    }
}

/// All numbers of a tensor, on the CPU.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

/// The sum of the squares, a scalar in `f64`.
fn squares(gradient: &Tensor) -> Result<Tensor> {
    let (storage, layout) = gradient.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) = (&*storage, layout.contiguous_offsets())
        && let Some(values) = values.get(start..end)
    {
        return Tensor::new(sum_of_squares(values), &Device::Cpu);
    }
    drop(storage);
    gradient.to_dtype(DType::F64)?.sqr()?.sum_all()
}

/// In eight sums, so that the additions need not wait for each other: always the same eight.
fn sum_of_squares(values: &[f32]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0f64; 8];
    for eight in eights {
        for (sum, &value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let rest = rest.iter().map(|&value| f64::from(value) * f64::from(value));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradients() -> (Vec<(String, Var)>, Gradients) {
        let parameters: Vec<(String, Var)> = [vec![1.0f64, 2.0], vec![-2.0]]
            .into_iter()
            .map(|values| {
                let size = values.len();
                let var = Var::from_tensor(&Tensor::from_vec(values, size, &Device::Cpu).unwrap()).unwrap();
                (String::new(), var)
            })
            .collect();
        let sum = |var: &Var| var.sqr().unwrap().sum_all().unwrap();
        let loss = (sum(&parameters[0].1) + sum(&parameters[1].1)).unwrap();
        let gradients = Gradients::take(&mut loss.backward().unwrap(), &parameters);
        (parameters, gradients)
    }

    fn numbers(gradients: &Gradients) -> Vec<f64> {
        (0..2)
            .flat_map(|index| gradients.get(index).unwrap().to_vec1::<f64>().unwrap())
            .collect()
    }

    #[test]
    fn clipping_by_norm_scales_all_and_clipping_by_value_each() {
        let (_, mut by_norm) = gradients(); // 2, 4, −4
        assert_eq!(by_norm.norm().unwrap(), 6.0);
        by_norm.clip_norm(6.0, 3.0);
        let norm = by_norm.norm().unwrap();
        assert!((norm - 3.0).abs() < 1e-6);
        by_norm.clip_norm(norm, 7.0);
        assert_eq!(by_norm.norm().unwrap(), norm);
        let (_, mut by_value) = gradients();
        by_value.clip_value(3.0).unwrap();
        assert_eq!(numbers(&by_value), [2.0, 3.0, -3.0]);
    }

    #[test]
    fn the_norm_is_right_for_any_length_and_layout() {
        for length in [0, 1, 7, 8, 9, 100] {
            let values: Vec<f32> = (0..length).map(|value| value as f32 - 3.0).collect();
            let expected: f64 = values.iter().map(|&value| f64::from(value * value)).sum();
            assert_eq!(sum_of_squares(&values), expected);
        }
        let plain = Tensor::arange(0.0f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 3))
            .unwrap();
        for tensor in [plain.clone(), plain.t().unwrap(), plain.to_dtype(DType::F64).unwrap()] {
            assert_eq!(squares(&tensor).unwrap().to_scalar::<f64>().unwrap(), 55.0);
        }
    }

    #[test]
    fn sums_and_multiples() {
        let (_, mut sum) = gradients();
        sum.add(gradients().1).unwrap();
        sum.scale(0.5);
        sum.scale(0.5);
        assert_eq!(sum.norm().unwrap(), 3.0);
        sum.clip_value(10.0).unwrap();
        assert_eq!(numbers(&sum), [1.0, 2.0, -2.0]);
    }
}

//! The gradients of one update, between the backward pass and the optimiser: summed over batches, and clipped.

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};

/// One gradient per parameter, in the order of the parameters; `None` where the loss does not depend on it.
pub struct Gradients {
    values: Vec<Option<Tensor>>,
}

impl Gradients {
    /// Those of `parameters`, out of what a backward pass gave.
    pub fn take(store: &mut GradStore, parameters: &[(String, Var)]) -> Self {
        Self {
            values: parameters
                .iter()
                .map(|(_, parameter)| store.remove(parameter.as_tensor()).map(|gradient| gradient.detach()))
                .collect(),
        }
    }

    /// In the order of the parameters.
    pub fn get(&self, parameter: usize) -> Option<&Tensor> {
        self.values.get(parameter)?.as_ref()
    }

    /// Adds other gradients of the same parameters.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (sum, other) in self.values.iter_mut().zip(other.values) {
            *sum = match (sum.take(), other) {
                (Some(sum), Some(other)) => Some((sum + other)?),
                (sum, other) => sum.or(other),
            };
        }
        Ok(())
    }

    fn map(&mut self, with: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        for gradient in self.values.iter_mut().flatten() {
            *gradient = with(gradient)?;
        }
        Ok(())
    }

    /// Multiplies all of them.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        self.map(|gradient| gradient.affine(factor, 0.0))
    }

    /// Their Euclidean norm, over all parameters; squares are summed in `f64`.
    pub fn norm(&self) -> Result<f64> {
        let mut sum = 0.0;
        for gradient in self.values.iter().flatten() {
            sum += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
        Ok(sum.sqrt())
    }

    /// Scales them so that their norm is at most `limit`; says what it was. PyTorch's `clip_grad_norm_`, with its 1e-6.
    pub fn clip_norm(&mut self, limit: f64) -> Result<f64> {
        let norm = self.norm()?;
        let factor = limit / (norm + 1e-6);
        if factor < 1.0 {
            self.scale(factor)?;
        }
        Ok(norm)
    }

    /// Keeps every number within ±`limit`. PyTorch's `clip_grad_value_`.
    pub fn clip_value(&mut self, limit: f64) -> Result<()> {
        self.map(|gradient| gradient.clamp(-limit, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

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

    fn values(gradients: &Gradients) -> Vec<f64> {
        (0..2)
            .flat_map(|index| gradients.get(index).unwrap().to_vec1::<f64>().unwrap())
            .collect()
    }

    #[test]
    fn clipping_by_norm_scales_all_and_clipping_by_value_each() {
        let (_, mut by_norm) = gradients(); // 2, 4, −4
        assert_eq!(by_norm.clip_norm(3.0).unwrap(), 6.0);
        assert!((by_norm.norm().unwrap() - 3.0).abs() < 1e-6);
        assert_eq!(by_norm.clip_norm(7.0).unwrap(), by_norm.norm().unwrap());
        let (_, mut by_value) = gradients();
        by_value.clip_value(3.0).unwrap();
        assert_eq!(values(&by_value), [2.0, 3.0, -3.0]);
    }

    #[test]
    fn sums_and_multiples() {
        let (_, mut sum) = gradients();
        sum.add(gradients().1).unwrap();
        sum.scale(0.25).unwrap();
        assert_eq!(values(&sum), [1.0, 2.0, -2.0]);
    }
}

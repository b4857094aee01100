//! What a network begins with: parameters and buffers, each drawn from a key of its own, so that a layer's first values do not
//! depend on how those before it were drawn.

use candle_core::{DType, Device, Result, Tensor, Var};
use nalgebra::DMatrix;

use super::spec::Initialization;
use crate::random::Generator;

/// How many inputs one output sums, and how many outputs one input reaches.
#[derive(Debug, Clone, Copy)]
pub struct Fan {
    pub into: usize,
    pub out: usize,
}

/// Makes parameters, names them and keeps their order.
pub struct Builder<'a> {
    pub parameters: Vec<(String, Var)>,
    pub buffers: Vec<(String, Var)>,
    seed: u64,
    device: &'a Device,
}

impl<'a> Builder<'a> {
    pub fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            parameters: Vec::new(),
            buffers: Vec::new(),
            seed,
            device,
        }
    }

    fn parameter(&mut self, name: String, values: Vec<f32>, shape: &[usize]) -> Result<Var> {
        let var = Var::from_tensor(&Tensor::from_vec(values, shape, self.device)?)?;
        self.parameters.push((name, var.clone()));
        Ok(var)
    }

    /// A weight of 2 or more dimensions, the outputs first.
    pub fn weight(&mut self, name: String, shape: &[usize], fan: Fan, init: Initialization) -> Result<Var> {
        let position = self.parameters.len() as u64;
        let mut generator = Generator::keyed(self.seed, "initialization", &[position]);
        let values = draw(&mut generator, shape, fan, init);
        self.parameter(name, values, shape)
    }

    /// Uniform in ±1/√fan-in by default, else 0.
    pub fn bias(&mut self, name: String, size: usize, fan: Fan, init: Initialization) -> Result<Var> {
        match init {
            Initialization::Default => self.weight(name, &[size], fan, init),
            _ => self.constant(name, &[size], 0.0),
        }
    }

    /// A parameter that begins with one value everywhere.
    pub fn constant(&mut self, name: String, shape: &[usize], value: f32) -> Result<Var> {
        self.parameter(name, vec![value; shape.iter().product()], shape)
    }

    /// Kept beside the parameters: no optimiser moves it.
    pub fn buffer(&mut self, name: String, size: usize, value: f32) -> Result<Var> {
        let var = Var::from_tensor(&Tensor::full(value, size, self.device)?.to_dtype(DType::F32)?)?;
        self.buffers.push((name, var.clone()));
        Ok(var)
    }
}

/// PyTorch's definitions (`torch.nn.init`), with gain 1, and √2 (for ReLU) in the two of He.
fn draw(generator: &mut Generator, shape: &[usize], fan: Fan, init: Initialization) -> Vec<f32> {
    let count = shape.iter().product();
    let (into, out) = (fan.into.max(1) as f64, fan.out.max(1) as f64);
    let mut uniform = |bound: f64| (0..count).map(|_| generator.range(-bound, bound) as f32).collect();
    match init {
        Initialization::Default => uniform(1.0 / into.sqrt()),
        Initialization::XavierUniform => uniform((6.0 / (into + out)).sqrt()),
        Initialization::KaimingUniform => uniform((6.0 / into).sqrt()),
        Initialization::XavierNormal => normal(generator, count, (2.0 / (into + out)).sqrt()),
        Initialization::KaimingNormal => normal(generator, count, (2.0 / into).sqrt()),
        Initialization::Orthogonal => orthogonal(generator, shape),
    }
}

fn normal(generator: &mut Generator, count: usize, deviation: f64) -> Vec<f32> {
    (0..count).map(|_| (generator.normal() * deviation) as f32).collect()
}

/// Q of the QR decomposition of a normal matrix, its signs those of R's diagonal: uniform among all such matrices (Mezzadri 2007).
fn orthogonal(generator: &mut Generator, shape: &[usize]) -> Vec<f32> {
    let rows = shape.first().copied().unwrap_or(1);
    let columns = shape.iter().skip(1).product::<usize>();
    let (tall, wide) = (rows.max(columns), rows.min(columns));
    let drawn = DMatrix::from_fn(tall, wide, |_, _| generator.normal());
    let decomposed = drawn.qr();
    let mut q = decomposed.q();
    let r = decomposed.r();
    for (mut column, diagonal) in q.column_iter_mut().zip(r.diagonal().iter()) {
        if *diagonal < 0.0 {
            column.neg_mut();
        }
    }
    // nalgebra stores column after column; the weight is row after row.
    let row_major = if rows >= columns { q.transpose() } else { q };
    row_major.iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_or_columns_have_length_one_and_right_angles() {
        for shape in [vec![6, 4], vec![4, 6], vec![3, 2, 2, 2]] {
            let values = orthogonal(&mut Generator::keyed(1, "test", &[]), &shape);
            let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
            let matrix = DMatrix::from_row_slice(rows, columns, &values).cast::<f64>();
            let gram = match rows <= columns {
                true => &matrix * matrix.transpose(),
                false => matrix.transpose() * &matrix,
            };
            let difference = (gram.clone() - DMatrix::identity(gram.nrows(), gram.ncols())).amax();
            assert!(difference < 1e-6, "{shape:?}: {gram}");
        }
    }
}

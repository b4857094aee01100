//! Golden values from PyTorch: numbers drawn again, and the norm by which values are compared.

#![allow(dead_code)] // each test file uses its part

use candle_core::{Device, Tensor};

/// Uniform in [−scale, scale), 24 bits: `noise` of scripts/reference/torch_noise.py.
pub fn noise(count: usize, seed: u64, scale: f64) -> Vec<f32> {
    let offset = seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
    (1..=count as u64)
        .map(|position| {
            let mut z = position.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(offset);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (((z >> 40) as f64 / f64::from(1u32 << 23) - 1.0) * scale) as f32
        })
        .collect()
}

pub fn noise_tensor(shape: &[usize], seed: u64, scale: f64) -> Tensor {
    Tensor::from_vec(noise(shape.iter().product(), seed, scale), shape, &Device::Cpu).unwrap()
}

/// The largest difference, relative to the largest reference value of the tensor: ‖got − want‖∞ / ‖want‖∞. Absolute where the
/// reference is 0 everywhere.
pub fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let difference = got.iter().zip(want).fold(0.0f64, |worst, (got, want)| {
        // NaN must not hide.
        if got.is_nan() {
            f64::INFINITY
        } else {
            worst.max((got - want).abs())
        }
    });
    difference / if largest > 0.0 { largest } else { 1.0 }
}

/// All values, as `f64`.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .flatten_all()
        .unwrap()
        .to_dtype(candle_core::DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Remembers the largest difference of each kind, and fails with all that are too large.
#[derive(Default)]
pub struct Comparison {
    worst: Vec<(String, f64, String)>,
    failures: Vec<String>,
}

impl Comparison {
    /// What float32 values must agree within.
    pub const TOLERANCE: f64 = 1e-5;

    pub fn compare(&mut self, kind: &str, case: &str, got: &[f64], want: &[f64]) {
        let difference = difference(got, want);
        if difference > Self::TOLERANCE {
            self.failures.push(format!("{kind} of {case}: {difference:.1e}"));
        }
        match self.worst.iter_mut().find(|(known, ..)| known == kind) {
            Some(worst) if worst.1 >= difference => {}
            Some(worst) => *worst = (kind.to_owned(), difference, case.to_owned()),
            None => self.worst.push((kind.to_owned(), difference, case.to_owned())),
        }
    }

    pub fn finish(self) {
        for (kind, difference, case) in &self.worst {
            eprintln!("{kind:<24} {difference:.1e}  {}", case.replace('\n', " "));
        }
        assert!(!self.worst.is_empty(), "nothing was compared");
        assert!(
            self.failures.is_empty(),
            "too far from PyTorch:\n{}",
            self.failures.join("\n")
        );
    }
}

//! How exactly a GPU computes: for the whole process, as Candle's own switches are.

use std::sync::atomic::{AtomicU8, Ordering};

/// What products of convolutions and matrices are computed in. Everything else, parameters and sums included, is in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    #[default]
    Float32,
    /// Factors rounded to 10 bits of fraction, on tensor cores.
    Tf32,
    /// Factors and results rounded to 7 bits of fraction, on tensor cores.
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub precision: Precision,
    /// Whether only algorithms run that always give the same bits, chosen without measuring.
    pub deterministic: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            precision: Precision::default(),
            deterministic: true,
        }
    }
}

const PRECISION: [Precision; 3] = [Precision::Float32, Precision::Tf32, Precision::Bf16];
/// The place of the precision in [`PRECISION`], and 4 where measuring is allowed.
static SETTINGS: AtomicU8 = AtomicU8::new(0);

/// Before any network runs.
pub fn configure(settings: Settings) {
    let precision = PRECISION.iter().position(|&one| one == settings.precision).unwrap_or(0) as u8;
    let measured = if settings.deterministic { 0 } else { 4 };
    SETTINGS.store(precision | measured, Ordering::Relaxed);
    candle_core::cuda_backend::set_gemm_reduced_precision_f32(settings.precision != Precision::Float32);
}

pub fn settings() -> Settings {
    let stored = SETTINGS.load(Ordering::Relaxed);
    Settings {
        precision: PRECISION.get(usize::from(stored & 3)).copied().unwrap_or_default(),
        deterministic: stored & 4 == 0,
    }
}

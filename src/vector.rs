//! Loops with the vector instructions that the machine has, chosen while the program runs.
//!
//! The compiler neither reorders nor fuses floating-point operations, so the results are the same bits on every machine.

/// Runs `work` compiled for this machine. It and what it calls must be `#[inline(always)]`, or they stay as they are.
#[inline(always)]
pub fn on_vectors<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(Work(work))
}

struct Work<F>(F);

impl<T, F: FnOnce() -> T> pulp::WithSimd for Work<F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> T {
        (self.0)()
    }
}

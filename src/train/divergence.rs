//! Training that has left the numbers: what was seen, where, and what is left.
//!
//! A loss that is merely large is none of this: targets may be large. It ends where a number is no number any more, or where a
//! gradient is so long that its square is beyond `f32`, since from there on Adam and RMSprop would divide by infinity and the
//! parameters would stand still without a word.

use std::fmt;
use std::path::PathBuf;

/// What had a value that it must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symptom {
    Loss,
    GradientNorm,
    ValidationLoss,
    ValidationPrediction,
    /// A parameter or a running average of the network.
    Parameter(String),
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("the loss"),
            Self::GradientNorm => f.write_str("the norm of the gradients"),
            Self::ValidationLoss => f.write_str("the validation loss"),
            Self::ValidationPrediction => f.write_str("a prediction on the validation split"),
            Self::Parameter(name) => write!(f, "the parameter `{name}`"),
        }
    }
}

/// A step in figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoodStep {
    /// 1-based.
    pub step: u64,
    /// Of its last batch.
    pub loss: f64,
    /// Before clipping.
    pub gradient_norm: f64,
}

/// How training left the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    pub symptom: Symptom,
    /// NaN, infinite, or too large.
    pub value: f64,
    /// 1-based.
    pub epoch: u32,
    /// The optimiser's step, 1-based; for validations, those done.
    pub step: u64,
    /// The examples of the step's batches, or of the validation's.
    pub ids: Vec<String>,
    /// Of the step.
    pub loss: Option<f64>,
    /// Of the step, before clipping.
    pub gradient_norm: Option<f64>,
    /// The last step before that.
    pub last_good: Option<GoodStep>,
    /// The newest checkpoint and what was done then.
    pub checkpoint: Option<(PathBuf, String)>,
}

impl Divergence {
    /// Without anything around it.
    pub fn new(symptom: Symptom, value: f64, epoch: u32, step: u64, ids: Vec<String>) -> Self {
        Self {
            symptom,
            value,
            epoch,
            step,
            ids,
            loss: None,
            gradient_norm: None,
            last_good: None,
            checkpoint: None,
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "training diverged: {} became {} in epoch {} at step {}",
            self.symptom,
            figure(self.value),
            self.epoch,
            self.step
        )?;
        if let Some(norm) = self.gradient_norm.filter(|_| self.symptom != Symptom::GradientNorm) {
            write!(f, ", gradient norm {}", figure(norm))?;
        }
        if let Some(loss) = self.loss.filter(|_| self.symptom != Symptom::Loss) {
            write!(f, ", loss {}", figure(loss))?;
        }
        if let Some(good) = &self.last_good {
            write!(
                f,
                "; at step {} the loss was {}, the gradient norm {}",
                good.step,
                figure(good.loss),
                figure(good.gradient_norm)
            )?;
        }
        if !self.ids.is_empty() {
            write!(f, "; the batch: {}", few(&self.ids))?;
        }
        match &self.checkpoint {
            Some((path, place)) => write!(f, "; the last good checkpoint is `{}`, after {place}", path.display()),
            None => f.write_str("; there is no checkpoint yet"),
        }
    }
}

/// Four significant digits.
fn figure(value: f64) -> String {
    match value.is_finite() && value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        true => format!("{value:.3e}"),
        false => format!("{value:.4}"),
    }
}

/// The first names of a list, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_where_and_what_is_left() {
        let ids = (1..=7).map(|id| id.to_string()).collect();
        let mut divergence = Divergence::new(Symptom::Loss, f64::NAN, 3, 41, ids);
        assert_eq!(
            divergence.to_string(),
            "training diverged: the loss became NaN in epoch 3 at step 41; the batch: `1`, `2`, `3`, `4`, `5` and 2 more; there is no \
             checkpoint yet"
        );
        divergence.gradient_norm = Some(f64::INFINITY);
        divergence.ids.truncate(1);
        divergence.last_good = Some(GoodStep {
            step: 40,
            loss: 0.25,
            gradient_norm: 1.5e9,
        });
        divergence.checkpoint = Some(("run/last".into(), "2 epochs".into()));
        assert_eq!(
            divergence.to_string(),
            "training diverged: the loss became NaN in epoch 3 at step 41, gradient norm inf; at step 40 the loss was 0.2500, the \
             gradient norm 1.500e9; the batch: `1`; the last good checkpoint is `run/last`, after 2 epochs"
        );
    }
}

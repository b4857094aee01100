//! The figures of training since the last validation, as far as they have come.
//!
//! They cross the ends of epochs where validation goes by updates, and a checkpoint has them all, so that the figures of a resumed
//! run are those of one that was never interrupted, to the last bit.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::batches::Labels;
use super::validation::{Evaluated, ratio};
use crate::evaluate::{Problem, score};

/// What fits into a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    pub batches: u64,
    /// Of the batches' losses, each times its weight.
    pub loss: f64,
    pub weight: f64,
}

/// Sums, and what the network said of the examples.
pub struct Running {
    pub sums: Sums,
    /// `[examples, width]`.
    predicted: Vec<f32>,
    truth: Labels,
}

const PREDICTED: &str = "predicted";
const TRUTH: &str = "truth";

impl Running {
    /// Nothing yet.
    pub fn new(labels: &Labels) -> Self {
        Self {
            sums: Sums::default(),
            predicted: Vec::new(),
            truth: labels.none(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.sums.batches == 0
    }

    /// A batch more. `loss`: the mean; `truth`: what the predictions are scored against.
    pub fn add(&mut self, loss: f64, weight: f64, predicted: Vec<f32>, truth: Labels) {
        self.sums.batches += 1;
        self.sums.loss += loss * weight;
        self.sums.weight += weight;
        self.predicted.extend(predicted);
        self.truth.extend(truth);
    }

    /// Loss and scores.
    pub fn evaluated(&self, problem: &Problem) -> std::result::Result<Evaluated, super::Error> {
        Ok(Evaluated {
            loss: ratio(self.sums.loss, self.sums.weight),
            scores: score(problem, self.truth.truth(), &self.predicted)?,
        })
    }

    /// What is not in [`Sums`], by name; nothing where nothing is.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let truth = match &self.truth {
            Labels::Values(values) => Tensor::from_slice(values, values.len(), &Device::Cpu)?,
            Labels::Classes(classes) => Tensor::from_slice(classes, classes.len(), &Device::Cpu)?,
        };
        let predicted = Tensor::from_slice(&self.predicted, self.predicted.len(), &Device::Cpu)?;
        Ok(vec![(PREDICTED.into(), predicted), (TRUTH.into(), truth)])
    }

    /// The inverse of [`tensors`](Self::tensors).
    pub fn restore(labels: &Labels, sums: Sums, tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let mut running = Self::new(labels);
        running.sums = sums;
        if running.is_empty() {
            return Ok(running);
        }
        let tensor = |name| match tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("the figures of the current epoch lack `{name}`"),
        };
        running.predicted = tensor(PREDICTED)?.to_vec1()?;
        match &mut running.truth {
            Labels::Values(values) => *values = tensor(TRUTH)?.to_vec1()?,
            Labels::Classes(classes) => *classes = tensor(TRUTH)?.to_vec1()?,
        }
        Ok(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_with_every_bit() {
        let problem = Problem::Classification {
            classes: vec!["a".into(), "b".into()],
        };
        let none = Labels::Classes(Vec::new());
        let add = |running: &mut Running| {
            running.add(0.1, 3.0, vec![0.3, 0.7, 0.9, 0.1], Labels::Classes(vec![1, 1]));
        };
        let mut whole = Running::new(&none);
        add(&mut whole);
        let text = serde_json::to_string(&whole.sums).unwrap();
        let tensors = whole.tensors().unwrap().into_iter().collect();
        let mut back = Running::restore(&none, serde_json::from_str(&text).unwrap(), &tensors).unwrap();
        add(&mut whole);
        add(&mut back);
        assert_eq!(back.sums, whole.sums);
        let (back, whole) = (back.evaluated(&problem).unwrap(), whole.evaluated(&problem).unwrap());
        assert_eq!(back.loss.to_bits(), whole.loss.to_bits());
        assert_eq!(format!("{:?}", back.scores), format!("{:?}", whole.scores));
        // Of a checkpoint that does not have what its sums speak of.
        let sums = Sums {
            batches: 1,
            ..Sums::default()
        };
        assert!(Running::restore(&none, sums, &HashMap::new()).is_err());
    }
}

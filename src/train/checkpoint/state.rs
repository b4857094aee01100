//! Where training stands, in a few numbers.

use serde::{Deserialize, Serialize};

use crate::train::early_stopping::EarlyStopping;
use crate::train::running::Sums;
use crate::train::schedule::Memory;

/// Grows with every change of the form of a checkpoint.
const FORMAT: u32 = 2;

/// Where training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(in crate::train) format: u32,
    /// Whole epochs done.
    pub epoch: u32,
    /// Batches done of the epoch after these.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches_per_epoch: usize,
    /// Batches done, in all epochs: what dropout is keyed by.
    pub batches: u64,
    /// The optimiser's updates, for its bias correction and for the schedule.
    pub updates: u64,
    /// The updates that had been done at the last validation. What was recorded of later ones is void.
    pub validated: u64,
    pub learning_rate: f64,
    pub seed: u64,
    pub early_stopping: EarlyStopping,
    pub schedule: Memory,
    /// The training figures since the last validation.
    pub running: Sums,
}

impl State {
    /// Nothing done yet.
    pub fn new(seed: u64, batches_per_epoch: usize) -> Self {
        Self {
            format: FORMAT,
            epoch: 0,
            batch: 0,
            batches_per_epoch,
            batches: 0,
            updates: 0,
            validated: 0,
            learning_rate: 0.0,
            seed,
            early_stopping: EarlyStopping::default(),
            schedule: Memory::default(),
            running: Sums::default(),
        }
    }

    /// For people: "2 epochs", "2 epochs and 3 of 40 batches".
    pub fn place(&self) -> String {
        let epochs = match self.epoch {
            1 => "1 epoch".to_owned(),
            epochs => format!("{epochs} epochs"),
        };
        match (self.epoch, self.batch) {
            (_, 0) => epochs,
            (0, batch) => format!("{batch} of {} batches", self.batches_per_epoch),
            (_, batch) => format!("{epochs} and {batch} of {} batches", self.batches_per_epoch),
        }
    }

    /// Of the text of `state.json`; says what is wrong with it otherwise.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            #[serde(default)]
            format: u32,
        }
        let form: Form = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        match form.format {
            FORMAT => serde_json::from_slice(content).map_err(|error| error.to_string()),
            0 | 1 => Err("another version of affect wrote it, in an older form".into()),
            other => Err(format!(
                "another version of affect wrote it, in form {other}; this one knows {FORMAT}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_another_form_is_refused() {
        let mut state = State::new(7, 40);
        state.running.loss = 0.1 + 0.2;
        state.batch = 3;
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(State::parse(&text), Ok(state.clone()));
        assert_eq!(state.place(), "3 of 40 batches");
        state.epoch = 2;
        assert_eq!(state.place(), "2 epochs and 3 of 40 batches");
        for (text, expected) in [
            (&b"{\"epoch\": 3}"[..], "older form"),
            (b"{\"format\": 9}", "form 9"),
            (b"{\"format\": 2, \"epoch\": 3}", "missing field"),
            (b"[", "EOF"),
            (b"[3]", "invalid type"),
        ] {
            let why = State::parse(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}

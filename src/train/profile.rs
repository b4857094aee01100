//! Where the time of training went.
//!
//! The clock is read a few times a batch, which costs less than a microsecond, so it always runs. The time between two
//! readings belongs to what was done in it: nothing is counted twice, and nothing is left out.
//!
//! On the CPU the figures are what they say. A GPU works on its own and is waited for every few batches only: `Forward` is then
//! what the host needs to say what the loss must know of a batch, `Backward` (and `Update`, where an update is of several batches)
//! the time for handing a step over, and the GPU's own time shows in `Other`, where the host reads what became of the batches.

use std::time::{Duration, Instant};

use serde::Serialize;

/// What time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Waiting for the next batch, which a thread of its own prepares.
    Data,
    /// Network and loss.
    Forward,
    /// Gradients of the loss.
    Backward,
    /// Clipping and the optimiser.
    Update,
    /// All of it: data, network, scores.
    Validation,
    /// Telling the observer.
    Records,
    Checkpoints,
    /// Scores of the training batches, the order of the examples.
    Other,
}

impl Phase {
    pub const ALL: [Self; 8] = [
        Self::Data,
        Self::Forward,
        Self::Backward,
        Self::Update,
        Self::Validation,
        Self::Records,
        Self::Checkpoints,
        Self::Other,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "waiting for data",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
            Self::Validation => "validation",
            Self::Records => "records",
            Self::Checkpoints => "checkpoints",
            Self::Other => "other",
        }
    }
}

/// Time by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    spent: [Duration; Phase::ALL.len()],
}

impl Profile {
    pub fn get(&self, phase: Phase) -> Duration {
        self.spent[phase as usize]
    }

    pub fn total(&self) -> Duration {
        self.spent.iter().sum()
    }
}

/// Fills a [`Profile`].
pub struct Stopwatch {
    profile: Profile,
    last: Instant,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            profile: Profile::default(),
            last: Instant::now(),
        }
    }

    /// The time since the last reading was spent on `phase`.
    pub fn spent_on(&mut self, phase: Phase) {
        let now = Instant::now();
        self.profile.spent[phase as usize] += now - self.last;
        self.last = now;
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }
}

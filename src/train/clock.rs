//! Time that training took, also before an interruption, and what is due by it.
//!
//! It is kept beside the checkpoints and not in them, since those are the same bytes however long training took.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use super::spec::TrainSpec;
use crate::files;

const FILE: &str = "clock.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    seconds: f64,
}

/// Runs while the network is trained.
pub struct Clock {
    path: PathBuf,
    begun: Instant,
    /// Before an interruption, up to the checkpoint.
    before: Duration,
    limit: Option<Duration>,
    checkpoint_every: Duration,
    last_checkpoint: Instant,
}

impl Clock {
    /// At the begin of training.
    pub fn start(spec: &TrainSpec, checkpoints: &Path) -> Self {
        let now = Instant::now();
        Self {
            path: checkpoints.join(FILE),
            begun: now,
            before: Duration::ZERO,
            limit: spec.max_minutes.map(minutes),
            checkpoint_every: minutes(spec.checkpoint_minutes),
            last_checkpoint: now,
        }
    }

    /// Counts the time before an interruption. A file that cannot be read counts as none.
    pub fn go_on(&mut self) {
        let kept = std::fs::read(&self.path).ok();
        let kept: Option<Kept> = kept.and_then(|content| serde_json::from_slice(&content).ok());
        self.before = kept.map_or(Duration::ZERO, |kept| minutes(kept.seconds / 60.0));
    }

    fn spent(&self) -> Duration {
        self.before.saturating_add(self.begun.elapsed())
    }

    /// Whether the limit on time is reached.
    pub fn is_out_of_time(&self) -> bool {
        self.limit.is_some_and(|limit| self.spent() >= limit)
    }

    /// Whether the last checkpoint is too old.
    pub fn wants_checkpoint(&self) -> bool {
        self.last_checkpoint.elapsed() >= self.checkpoint_every
    }

    /// A checkpoint is about to be written. The time is kept only where there is a limit that it counts for.
    pub fn before_checkpoint(&mut self) -> Result<(), Error> {
        self.last_checkpoint = Instant::now();
        if self.limit.is_none() {
            return Ok(());
        }
        let kept = Kept {
            seconds: (self.spent()).as_secs_f64(),
        };
        let content = serde_json::to_vec(&kept).unwrap_or_default();
        if let Some(folder) = self.path.parent() {
            files::create_folder(folder)?;
        }
        files::write_whole(&self.path, &content)?;
        Ok(())
    }
}

/// Never negative, never too long for the type.
fn minutes(minutes: f64) -> Duration {
    Duration::try_from_secs_f64((minutes * 60.0).max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_before_an_interruption_counts() {
        let folder = tempfile::tempdir().unwrap();
        let spec = TrainSpec {
            max_minutes: Some(0.5),
            ..TrainSpec::default()
        };
        let mut first = Clock::start(&spec, folder.path());
        first.go_on();
        assert!(!first.is_out_of_time() && !first.wants_checkpoint());
        first.before = Duration::from_secs(40);
        first.before_checkpoint().unwrap();
        let mut second = Clock::start(&spec, folder.path());
        assert!(!second.is_out_of_time());
        second.go_on();
        assert!(second.is_out_of_time());
        for (given, expected) in [
            (f64::NAN, Duration::ZERO),
            (f64::INFINITY, Duration::MAX),
            (-1.0, Duration::ZERO),
        ] {
            assert_eq!(minutes(given), expected);
        }
    }
}

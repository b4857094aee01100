//! How the launches of a step get to a GPU: one after the other, or recorded once and then at once (a CUDA graph).
//!
//! Both do the same on the GPU, so which one is taken changes no result; it is a matter of time alone, and is decided by it. A few steps
//! go one by one, so that everything that is made once is there; then both ways are timed, over steps between two moments in which
//! the host has waited for the GPU, and the faster one stays.

use std::time::Duration;

use super::spec::CudaGraphSpec;

/// Steps before anything is recorded or timed.
const WARMING: u32 = 3;
/// Steps that are timed each way.
const TIMED: u32 = 16;

/// What to do with the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `prepare`: so that it can be recorded later.
    OneByOne { prepare: bool },
    /// Record it, then launch the recording.
    Record,
    /// Launch the recording.
    AtOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Warming(u32),
    TimingOneByOne,
    Recording,
    TimingAtOnce,
    Settled { at_once: bool },
}

/// Steps and their time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Timed {
    steps: u32,
    time: Duration,
}

impl Timed {
    fn each(self) -> Option<f64> {
        (self.steps > 0).then(|| self.time.as_secs_f64() / f64::from(self.steps))
    }
}

/// The decision, as far as it has come.
#[derive(Debug, Clone)]
pub struct Launches {
    wanted: CudaGraphSpec,
    stage: Stage,
    one_by_one: Timed,
    at_once: Timed,
    /// Steps since the host last waited, and whether all of them went the way that is timed.
    since: u32,
    is_clean: bool,
    refused: Option<String>,
}

impl Launches {
    pub fn new(wanted: CudaGraphSpec) -> Self {
        Self {
            wanted,
            stage: match wanted {
                CudaGraphSpec::Off => Stage::Settled { at_once: false },
                CudaGraphSpec::Auto | CudaGraphSpec::On => Stage::Warming(0),
            },
            one_by_one: Timed::default(),
            at_once: Timed::default(),
            since: 0,
            is_clean: true,
            refused: None,
        }
    }

    /// For a step that is like the others: of the same shapes, with nothing else to be done in between.
    pub fn next(&self) -> Way {
        match self.stage {
            Stage::Warming(_) | Stage::TimingOneByOne => Way::OneByOne { prepare: true },
            Stage::Recording => Way::Record,
            Stage::TimingAtOnce | Stage::Settled { at_once: true } => Way::AtOnce,
            Stage::Settled { at_once: false } => Way::OneByOne { prepare: false },
        }
    }

    /// A step like the others went the way that [`Self::next`] said.
    pub fn did(&mut self) {
        self.since += 1;
        if self.refused.is_some() {
            return;
        }
        self.stage = match self.stage {
            Stage::Warming(steps) if steps + 1 < WARMING => Stage::Warming(steps + 1),
            Stage::Warming(_) if self.wanted == CudaGraphSpec::On => Stage::Recording,
            Stage::Warming(_) => {
                self.is_clean = false;
                Stage::TimingOneByOne
            }
            Stage::Recording if self.wanted == CudaGraphSpec::On => Stage::Settled { at_once: true },
            Stage::Recording => {
                self.is_clean = false;
                Stage::TimingAtOnce
            }
            stage => stage,
        };
    }

    /// A step that is not like the others went one by one.
    pub fn did_another(&mut self) {
        self.is_clean = false;
    }

    /// What was recorded serves no more: the steps have other shapes from now on.
    pub fn begin_anew(&mut self) {
        *self = Self::new(self.wanted);
    }

    /// Whether steps may be launched one by one.
    pub fn may_refuse(&self) -> bool {
        self.wanted != CudaGraphSpec::On
    }

    /// Nothing can be recorded, for this reason.
    ///
    /// # Errors
    /// The reason, where nothing else is wanted.
    pub fn refuse(&mut self, why: String) -> Result<(), String> {
        self.stage = Stage::Settled { at_once: false };
        match self.wanted {
            CudaGraphSpec::On => Err(why),
            CudaGraphSpec::Auto | CudaGraphSpec::Off => {
                self.refused = Some(why);
                Ok(())
            }
        }
    }

    /// The host has waited for the GPU; `time` went by since it did before, without the time in which there was no batch.
    pub fn waited(&mut self, time: Duration) {
        let (steps, is_clean) = (self.since, self.is_clean && self.since > 0);
        (self.since, self.is_clean) = (0, true);
        if !is_clean {
            return;
        }
        let timed = match self.stage {
            Stage::TimingOneByOne => &mut self.one_by_one,
            Stage::TimingAtOnce => &mut self.at_once,
            Stage::Warming(_) | Stage::Recording | Stage::Settled { .. } => return,
        };
        timed.steps += steps;
        timed.time += time;
        if timed.steps < TIMED {
            return;
        }
        self.stage = match self.stage {
            Stage::TimingOneByOne => Stage::Recording,
            _ => Stage::Settled {
                at_once: self.at_once.each() <= self.one_by_one.each(),
            },
        };
    }

    /// For people; `None` where nothing was tried.
    pub fn summary(&self) -> Option<String> {
        if let Some(why) = &self.refused {
            return Some(format!(
                "steps are launched one by one: they cannot be recorded ({why})"
            ));
        }
        let milliseconds = |timed: Timed| timed.each().map(|each| format!("{:.3} ms", 1e3 * each));
        match (milliseconds(self.at_once), milliseconds(self.one_by_one)) {
            (Some(at_once), Some(one_by_one)) => {
                let taken = match self.stage {
                    Stage::Settled { at_once: false } => "one by one",
                    _ => "as a CUDA graph",
                };
                Some(format!(
                    "steps are launched {taken}: {at_once} each as a graph, {one_by_one} one by one"
                ))
            }
            _ => match self.stage {
                Stage::TimingAtOnce | Stage::Settled { at_once: true } => {
                    Some("steps are launched as a CUDA graph".to_owned())
                }
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does steps and waits after each `every`; a step takes so many milliseconds one by one, or at once. Gives the ways.
    fn walk(launches: &mut Launches, steps: usize, every: usize, times: (u64, u64)) -> Vec<Way> {
        let mut time = 0;
        (1..=steps)
            .map(|step| {
                let way = launches.next();
                time += match way {
                    Way::OneByOne { .. } => times.0,
                    Way::Record => 1000,
                    Way::AtOnce => times.1,
                };
                launches.did();
                if step % every == 0 {
                    launches.waited(Duration::from_millis(std::mem::take(&mut time)));
                }
                way
            })
            .collect()
    }

    #[test]
    fn the_faster_way_stays() {
        for (times, last) in [((3, 2), Way::AtOnce), ((2, 3), Way::OneByOne { prepare: false })] {
            for every in [4, 16] {
                let mut launches = Launches::new(CudaGraphSpec::Auto);
                let ways = walk(&mut launches, 120, every, times);
                assert_eq!(ways.iter().filter(|way| **way == Way::Record).count(), 1);
                assert_eq!(ways.last(), Some(&last), "{times:?}");
                // What was timed is what the steps took, without the warming and the recording.
                let told = launches.summary().unwrap();
                let (at_once, one_by_one) = (times.1, times.0);
                assert!(
                    told.contains(&format!("{at_once}.000 ms each as a graph, {one_by_one}.000 ms")),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn it_is_on_or_off_where_that_is_wanted() {
        let mut on = Launches::new(CudaGraphSpec::On);
        let ways = walk(&mut on, 6, 16, (1, 9));
        let prepared = Way::OneByOne { prepare: true };
        assert_eq!(
            ways,
            [prepared, prepared, prepared, Way::Record, Way::AtOnce, Way::AtOnce]
        );
        assert_eq!(on.summary().unwrap(), "steps are launched as a CUDA graph");
        let mut off = Launches::new(CudaGraphSpec::Off);
        let ways = walk(&mut off, 60, 4, (9, 1));
        assert!(ways.iter().all(|way| *way == Way::OneByOne { prepare: false }));
        assert_eq!(off.summary(), None);
    }

    #[test]
    fn a_refusal_is_an_error_where_nothing_else_is_wanted() {
        let mut auto = Launches::new(CudaGraphSpec::Auto);
        walk(&mut auto, 32, 16, (2, 1));
        assert_eq!(auto.next(), Way::Record);
        auto.refuse("no room".into()).unwrap();
        assert_eq!(auto.next(), Way::OneByOne { prepare: false });
        assert!(auto.summary().unwrap().contains("(no room)"));
        assert_eq!(
            Launches::new(CudaGraphSpec::On).refuse("no room".into()),
            Err("no room".into())
        );
    }

    #[test]
    fn times_with_other_steps_among_them_do_not_count() {
        let mut launches = Launches::new(CudaGraphSpec::Auto);
        walk(&mut launches, 16, 16, (2, 1));
        for _ in 0..3 {
            walk(&mut launches, 15, 99, (2, 1));
            launches.did_another();
            launches.waited(Duration::from_secs(9));
        }
        assert_eq!(launches.one_by_one, Timed::default());
        walk(&mut launches, 16, 16, (2, 1));
        assert_eq!(launches.next(), Way::Record);
    }
}

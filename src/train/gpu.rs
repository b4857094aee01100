//! Steps on a GPU. Nothing in here waits for it.
//!
//! A step is a row of launches that do not depend on numbers of the host: what changes from one to the next lies on the GPU before the step
//! begins (the batch on its desk, the [`Terms`] of the loss, the step's number and the rule of the update). So the row can be recorded
//! once and launched at once; [`super::launches`] decides whether it is.

use std::time::Duration;

use candle_core::{Device, Result, Tensor, Var};

use super::gradients::Gradients;
use super::launches::{Launches, Way};
use super::loss::Terms;
use super::loss::terms::{Of, TermKind};
use super::optimizer::Optimizer;
use super::spec::CudaGraphSpec;
use crate::nn::kernels::{cuda, direct, tape};
use crate::nn::{Mode, Network, PairOutputs, Step};

/// Steps on one GPU.
pub struct Steps {
    device: Device,
    cell: cuda::StepCellUse,
    facts: cuda::Facts,
    launches: Launches,
    /// What the steps are like that are recorded, or are to be.
    usual: Option<Likeness>,
    /// How many in a row were like each other, but not like these.
    unusual: Option<(Likeness, u32)>,
    /// What the last step that was launched one by one gave.
    last: Option<Outcome>,
    recorded: Option<(cuda::Graph, Outcome)>,
}

/// Steps of other shapes in a row, after which they are the usual ones.
const MANY: u32 = 4;

/// What must be equal for recorded launches to be those of another step.
#[derive(Debug, Clone, PartialEq)]
struct Likeness {
    /// Address and shape of each input.
    inputs: Vec<(cuda::Address, Vec<usize>)>,
    terms: Vec<(TermKind, Of, usize)>,
}

/// One step.
pub struct Work<'a> {
    pub network: &'a Network,
    pub optimizer: &'a mut Optimizer,
    pub clip_norm: Option<f64>,
    pub clip_value: Option<f64>,
    pub seed: u64,
    /// Its number, which keys what is drawn in it.
    pub step: u64,
    /// All that `said` looks at.
    pub inputs: &'a [&'a Tensor],
    pub terms: &'a Terms,
}

/// What the network says of a batch.
pub struct Said {
    pub outputs: Tensor,
    pub pair: Option<PairOutputs>,
}

/// What a step comes to, on the GPU.
#[derive(Clone)]
pub struct Outcome {
    /// The mean loss, a scalar.
    pub mean: Tensor,
    pub outputs: Tensor,
    /// Of the gradients, before clipping; a scalar in 64 bits.
    pub norm: Tensor,
}

impl Outcome {
    fn parts(&self) -> [&Tensor; 3] {
        [&self.mean, &self.outputs, &self.norm]
    }

    fn map(&self, with: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            mean: with(&self.mean)?,
            outputs: with(&self.outputs)?,
            norm: with(&self.norm)?,
        })
    }
}

/// Told the gradients of a step before they are clipped.
pub type Keep<'a> = &'a mut dyn FnMut(&Gradients) -> Result<()>;

impl Steps {
    pub fn on(device: &Device, graph: CudaGraphSpec) -> Result<Self> {
        Ok(Self {
            cell: cuda::StepCell::take(device)?,
            facts: cuda::Facts::of(device, 0)?,
            device: device.clone(),
            launches: Launches::new(graph),
            usual: None,
            unusual: None,
            last: None,
            recorded: None,
        })
    }

    /// Where the step's number and the rule of its update are.
    pub fn cell(&self) -> &'static cuda::StepCell {
        self.cell.cell()
    }

    /// The GPU knows number and batch of the step that comes next. Gives where it knows the batch from.
    pub fn begin(&mut self, step: u64, terms: &Terms) -> Result<cuda::Facts> {
        self.cell().set_step(step)?;
        let words = terms.words();
        if words.len() > self.facts.room() {
            // What was recorded reads the old place.
            self.begin_anew(None);
            self.facts = cuda::Facts::of(&self.device, words.len().next_power_of_two())?;
        }
        self.facts.set(&words)?;
        Ok(self.facts.clone())
    }

    /// For [`Network::forward`].
    pub fn mode(&self, seed: u64) -> Mode {
        let step = Step::OnGpu(self.cell());
        Mode::Train { seed, step }
    }

    /// A whole step: forward, backward, update. `said` must do the same launches whenever the inputs have the same shapes. A step
    /// with something to `keep` is launched one by one.
    pub fn step(
        &mut self,
        work: &mut Work,
        said: &dyn Fn(Mode) -> Result<Said>,
        keep: Option<Keep>,
    ) -> Result<Outcome> {
        let facts = self.begin(work.step, work.terms)?;
        work.optimizer.announce_on_gpu(self.cell(), 1.0, work.clip_norm)?;
        let (device, cell, mode) = (self.device.clone(), self.cell(), self.mode(work.seed));
        let launch = |work: &Work, keep: Option<Keep>| row(work, cell, &facts, &|| said(mode), keep);
        if !self.is_usual(work)? || keep.is_some() {
            self.launches.did_another();
            return launch(work, keep);
        }
        let outcome = match (self.launches.next(), &self.recorded) {
            (Way::OneByOne { prepare: true }, _) => {
                let outcome = cuda::prepared(&device, || launch(work, None))?;
                self.last = Some(outcome.clone());
                outcome
            }
            (Way::OneByOne { prepare: false }, _) => launch(work, None)?,
            (Way::AtOnce, Some((graph, outcome))) => {
                graph.launch()?;
                // The next launch writes to the same place.
                outcome.map(Tensor::copy)?
            }
            (Way::Record | Way::AtOnce, _) => match self.begin_recording(&|| launch(work, None))? {
                Some(outcome) => outcome,
                None => launch(work, None)?,
            },
        };
        self.launches.did();
        if self.launches.next() == (Way::OneByOne { prepare: false }) {
            (self.recorded, self.last) = (None, None);
        }
        Ok(outcome)
    }

    /// Records a step and launches it for the first time. `None` where that cannot be done; then nothing was.
    fn begin_recording(&mut self, row: &dyn Fn() -> Result<Outcome>) -> Result<Option<Outcome>> {
        let begun = self.record(row).and_then(|(graph, kept)| {
            graph.launch()?;
            Ok((graph, kept))
        });
        let (graph, kept) = match begun {
            Ok(begun) => begun,
            Err(error) => match self.launches.refuse(error.to_string()) {
                Ok(()) => return Ok(None),
                Err(why) => candle_core::bail!("`train.cuda_graph` is \"on\", but a step cannot be recorded: {why}"),
            },
        };
        let outcome = kept.map(Tensor::copy)?;
        // The last batch of an epoch and a validation are not recorded. Where only a recording is wanted, they may find no room.
        let is_kept = !self.launches.may_refuse() || graph.has_room_beside()?;
        if is_kept {
            self.recorded = Some((graph, kept));
        } else {
            let why = "the GPU has no memory for a recording beside that of other steps";
            self.launches.refuse(why.to_owned()).map_err(candle_core::Error::Msg)?;
        }
        Ok(Some(outcome))
    }

    /// The host has waited for the GPU: see [`Launches::waited`].
    pub fn waited(&mut self, time: Duration) {
        self.launches.waited(time);
    }

    /// How steps are launched, for people.
    pub fn summary(&self) -> Option<String> {
        self.launches.summary()
    }

    /// Whether the step is like those that are recorded. The first one says what they are like, and so do many others in a row.
    fn is_usual(&mut self, work: &Work) -> Result<bool> {
        let this = Likeness::of(work)?;
        if self.usual.as_ref() == Some(&this) {
            self.unusual = None;
            return Ok(true);
        }
        let times = match &self.unusual {
            Some((other, times)) if *other == this => times + 1,
            _ => 1,
        };
        if self.usual.is_none() || times >= MANY {
            self.begin_anew(Some(this));
            return Ok(true);
        }
        self.unusual = Some((this, times));
        Ok(false)
    }

    fn begin_anew(&mut self, usual: Option<Likeness>) {
        self.launches.begin_anew();
        (self.usual, self.unusual) = (usual, None);
        (self.recorded, self.last) = (None, None);
    }

    /// Records what `row` launches, and where it leaves its outcome.
    fn record(&self, row: &dyn Fn() -> Result<Outcome>) -> Result<(cuda::Graph, Outcome)> {
        let Some(last) = &self.last else {
            candle_core::bail!("no step was launched one by one")
        };
        // Made before, so that they stay when everything that the recording makes is given up.
        let kept = last.map(Tensor::copy)?;
        let graph = cuda::record(&self.device, || {
            let outcome = row()?;
            for (to, from) in kept.parts().into_iter().zip(outcome.parts()) {
                cuda::copy_over(from, to)?;
            }
            Ok(())
        })?;
        Ok((graph, kept))
    }
}

/// Forward and backward: the mean loss, the outputs and the gradients.
pub fn learned(
    network: &Network,
    terms: &Terms,
    facts: &cuda::Facts,
    said: &dyn Fn() -> Result<Said>,
) -> Result<(Tensor, Tensor, Gradients)> {
    let parameters = network.parameters();
    let judged = || {
        let Said { outputs, pair } = said()?;
        let mean = terms.mean_on_gpu(&outputs, pair.as_ref(), facts)?;
        Ok((mean, outputs))
    };
    // A sum of several losses is Candle's.
    if network.fits_on_tape() && terms.terms.len() == 1 {
        let detached = || judged().map(|(mean, outputs)| (mean, outputs.detach()));
        let ((mean, outputs), given) = direct::collect(|| tape::backward(detached))?;
        return Ok((mean, outputs, Gradients::given(given, parameters)));
    }
    let ((mean, outputs, mut store), given) = direct::collect(|| {
        let (mean, outputs) = judged()?;
        let store = mean.backward()?;
        Ok((mean, outputs, store))
    })?;
    let gradients = Gradients::with_given(&mut store, given, parameters)?;
    Ok((mean.detach(), outputs.detach(), gradients))
}

/// Clips gradients number by number, where there is a limit. Gives their norm before and after.
pub fn clipped(
    gradients: &mut Gradients,
    limit: Option<f64>,
    parameters: &[(String, Var)],
    device: &Device,
    keep: Option<Keep>,
) -> Result<(Tensor, Tensor)> {
    let first = gradients.norm_on_gpu(parameters, device)?;
    if let Some(keep) = keep {
        keep(gradients)?;
    }
    let Some(limit) = limit else {
        return Ok((first.clone(), first));
    };
    gradients.clip_value(limit)?;
    let norm = gradients.norm_on_gpu(parameters, device)?;
    Ok((first, norm))
}

/// The launches of a step.
fn row(
    work: &Work,
    cell: &'static cuda::StepCell,
    facts: &cuda::Facts,
    said: &dyn Fn() -> Result<Said>,
    keep: Option<Keep>,
) -> Result<Outcome> {
    let (parameters, device) = (work.network.parameters(), work.network.device());
    let (mean, outputs, mut gradients) = learned(work.network, work.terms, facts, said)?;
    let (first, norm) = clipped(&mut gradients, work.clip_value, parameters, device, keep)?;
    work.optimizer.apply_on_gpu(&gradients, cell, &norm)?;
    Ok(Outcome {
        mean,
        outputs,
        norm: first,
    })
}

impl Likeness {
    fn of(work: &Work) -> Result<Self> {
        let inputs = work.inputs.iter();
        let terms = work.terms.terms.iter();
        Ok(Self {
            inputs: inputs
                .map(|input| Ok((cuda::address_within(input)?, input.dims().to_vec())))
                .collect::<Result<_>>()?,
            terms: terms.map(|term| (term.kind, term.of, term.facts.len())).collect(),
        })
    }
}

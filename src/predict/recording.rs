//! A recording, and what the model says about it.

use std::path::Path;

use rayon::prelude::*;

use super::{Error, Model};
use crate::audio::{ReadWindow, Scratch};
use crate::export::onnx::Form;
use crate::features::Extractor;

/// Windows that the network sees at once.
const BATCH: usize = 32;
/// Sound that is in memory at once, in seconds, when windows slide over a recording.
const BLOCK: f64 = 300.0;

/// Takes recordings through the front end and the model. Shared between threads.
pub struct Reader<'a> {
    model: &'a Model,
    extractor: Extractor,
}

/// A stretch of a recording, and what the model says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Seconds.
    pub start: f64,
    /// Seconds: where the window ends, or the sound in it.
    pub end: f64,
    /// Targets in the units of the training data, or probabilities.
    pub values: Vec<f32>,
}

/// What the model says about a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// In the order of time; at least one.
    pub spans: Vec<Span>,
    /// What was wrong with the file; it can be used all the same.
    pub faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(model: &'a Model, extractor: Extractor) -> Self {
        Self { model, extractor }
    }

    /// Seconds that the model looks at; `None`: a recording as a whole.
    pub fn window(&self) -> Option<f64> {
        self.extractor.samples().map(|samples| self.seconds(samples))
    }

    fn seconds(&self, samples: usize) -> f64 {
        samples as f64 / f64::from(self.extractor.sample_rate())
    }

    /// One prediction for the beginning of a file, as much of it as the model looks at. A shorter one is filled with zeros, as in training.
    ///
    /// # Errors
    /// A file that cannot be decoded, is empty, or makes the model predict what is no number.
    pub fn beginning(&self, scratch: &mut Scratch, path: &Path) -> Result<Recording, Error> {
        let (samples, faults) = self.read(path, 0, self.extractor.samples())?;
        if samples.is_empty() {
            return Err(Error::Empty("it holds no sound".into()));
        }
        let window = (0, samples.len());
        let input = self.input(scratch, samples)?;
        let spans = self.spans(vec![(window, input)])?;
        Ok(Recording { spans, faults })
    }

    /// A prediction every so many seconds, wherever a whole window fits into the recording; one for a recording that is shorter than a window.
    ///
    /// # Errors
    /// As [`Self::beginning`].
    pub fn sliding(&self, scratch: &mut Scratch, path: &Path, every: f64) -> Result<Recording, Error> {
        let rate = f64::from(self.extractor.sample_rate());
        let step = ((every * rate).round() as usize).max(1);
        let window = self
            .extractor
            .samples()
            .unwrap_or(self.extractor.samples_of_frames())
            .max(1);
        let block = ((BLOCK * rate) as usize).max(2 * window);
        let mut recording = Recording {
            spans: Vec::new(),
            faults: Vec::new(),
        };
        let mut first = 0;
        loop {
            let (samples, faults) = self.read(path, first, Some(block))?;
            recording.faults.extend(faults.into_iter().filter(|_| first == 0));
            let starts: Vec<usize> = (0..)
                .map(|index| index * step)
                .take_while(|start| start + window <= samples.len())
                .collect();
            for starts in starts.chunks(BATCH) {
                let inputs = starts
                    .par_iter()
                    .map_init(Scratch::default, |scratch, &start| {
                        let input = self.input(scratch, samples[start..start + window].to_vec())?;
                        Ok(((first + start, window), input))
                    })
                    .collect::<Result<Vec<_>, Error>>()?;
                recording.spans.extend(self.spans(inputs)?);
            }
            if samples.len() < block || starts.is_empty() {
                break;
            }
            first += starts.len() * step;
        }
        match recording.spans.is_empty() {
            true => self.beginning(scratch, path),
            false => Ok(recording),
        }
    }

    /// Samples from `first` on, at most so many.
    fn read(&self, path: &Path, first: usize, count: Option<usize>) -> Result<(Vec<f32>, Vec<String>), Error> {
        let window = ReadWindow {
            start: self.seconds(first),
            duration: count.map(|count| self.seconds(count)),
        };
        let loaded = self.extractor.load(path, &[window]).map_err(Error::Sound)?;
        let samples = loaded.windows.into_iter().next().unwrap_or_default();
        Ok((samples, loaded.faults))
    }

    /// What the model takes.
    fn input(&self, scratch: &mut Scratch, mut samples: Vec<f32>) -> Result<Vec<f32>, Error> {
        match self.model.form() {
            Form::Features => self.extractor.array(scratch, samples).map_err(Error::Sound),
            Form::Samples => {
                self.extractor.fit(&mut samples);
                Ok(samples)
            }
        }
    }

    /// Of inputs with the first sample and the number of samples behind each.
    fn spans(&self, inputs: Vec<((usize, usize), Vec<f32>)>) -> Result<Vec<Span>, Error> {
        let (windows, inputs): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let outputs = self.model.outputs(inputs)?;
        let spans = windows.into_iter().zip(outputs);
        Ok(spans
            .map(|((first, count), values)| Span {
                start: self.seconds(first),
                end: self.seconds(first + count),
                values,
            })
            .collect())
    }
}

//! What a trained network of pairs says about new pictures and new recordings: which go best with one of the other kind.

use std::path::Path;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::audio::{ReadWindow, Scratch};
use crate::dataset::{Manifest, Window};
use crate::export::interface::FORMAT;
use crate::features::extractor::{Extractor, Identity};
use crate::features::feature_set::Statistics;
use crate::features::image::{ImageIdentity, Pictures};
use crate::features::timings::Clocks;
use crate::features::waveform::{WaveformIdentity, Waveforms};
use crate::features::{self, AudioRecipe, PairRecipe};
use crate::nn::{Network, Side};

/// What a network of pairs takes, as a run's `interface.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairInterface {
    pub format: u32,
    pub pair: PairInput,
}

/// The recipes of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairInput {
    pub image: ImageIdentity,
    pub audio: AudioIdentity,
}

/// The recipe of the clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AudioIdentity {
    Mel { recipe: Box<Identity> },
    Waveform { recipe: Box<WaveformIdentity> },
}

impl PairInterface {
    /// `clips`: those that the network is trained on, whose windows may say how long a clip is.
    ///
    /// # Errors
    /// The recipe does not fit them.
    pub fn new(recipe: &PairRecipe, clips: &Manifest) -> Result<Self, features::Error> {
        Ok(Self {
            format: FORMAT,
            pair: PairInput {
                image: Pictures::new(&recipe.image).identity(),
                audio: match &recipe.audio {
                    AudioRecipe::Mel(recipe) => AudioIdentity::Mel {
                        recipe: Box::new(Extractor::new(recipe, clips)?.identity()),
                    },
                    AudioRecipe::Waveform(recipe) => AudioIdentity::Waveform {
                        recipe: Box::new(Waveforms::new(recipe).identity()),
                    },
                },
            },
        })
    }

    /// Of its JSON; says what is wrong with it otherwise.
    ///
    /// # Errors
    /// In words that can stand behind a file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let interface: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if interface.format > FORMAT {
            return Err(format!(
                "it is of form {}, which a later version of affect writes; this one reads up to {FORMAT}",
                interface.format
            ));
        }
        let (image, audio) = (interface.image_shape(), interface.audio_shape());
        for shape in [image, audio] {
            let size = shape.iter().try_fold(1usize, |size, &next| size.checked_mul(next));
            if !size.is_some_and(|size| (1..=1 << 32).contains(&size)) {
                return Err(format!("examples cannot have the shape {shape:?}"));
            }
        }
        let front_end = match &interface.pair.audio {
            AudioIdentity::Mel { recipe } => {
                recipe.mel.spectrogram().check().map_err(|error| error.to_string())?;
                [1, recipe.mel.n_mels, audio[2]]
            }
            AudioIdentity::Waveform { recipe } => Waveforms::new(&recipe.waveform).shape(),
        };
        if front_end != audio || Pictures::new(&interface.pair.image.image).shape() != image {
            return Err("the recipes do not make arrays of the shapes that the network takes".into());
        }
        Ok(interface)
    }

    /// The JSON.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub fn image_shape(&self) -> [usize; 3] {
        self.pair.image.shape
    }

    pub fn audio_shape(&self) -> [usize; 3] {
        match &self.pair.audio {
            AudioIdentity::Mel { recipe } => recipe.shape,
            AudioIdentity::Waveform { recipe } => recipe.shape,
        }
    }
}

/// A network of pairs that can be asked.
pub struct PairModel {
    network: Network,
    pictures: Pictures,
    image_shape: [usize; 3],
    audio: Front,
    audio_shape: [usize; 3],
    statistics: Option<Statistics>,
}

enum Front {
    Mel(Box<Extractor>),
    Waveform(Waveforms),
}

/// What a network makes of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl PairModel {
    /// # Errors
    /// A recipe that does not work, or that another version of this program computes otherwise.
    pub fn new(interface: &PairInterface, network: Network, statistics: Option<Statistics>) -> Result<Self, Error> {
        let audio = match &interface.pair.audio {
            AudioIdentity::Mel { recipe } => Front::Mel(Box::new(Extractor::again(recipe)?)),
            AudioIdentity::Waveform { recipe } => Front::Waveform(Waveforms::new(&recipe.waveform)),
        };
        Ok(Self {
            network,
            pictures: Pictures::new(&interface.pair.image.image),
            image_shape: interface.image_shape(),
            audio_shape: interface.audio_shape(),
            audio,
            statistics,
        })
    }

    /// Of a picture or a recording, which goes through the front end of the training: of a recording its beginning.
    ///
    /// # Errors
    /// A file that cannot be decoded, or of which the network makes what is no number.
    pub fn embed(&self, scratch: &mut Scratch, path: &Path, side: Side) -> Result<Embedding, Error> {
        let clocks = Clocks::default();
        let (array, [channels, rows, columns]) = match side {
            Side::Image => (
                self.pictures.array(path, &clocks).map_err(Error::Empty)?,
                self.image_shape,
            ),
            Side::Audio => (self.sound(scratch, path, &clocks)?, self.audio_shape),
        };
        let input = Tensor::from_vec(array, (1, channels, rows, columns), self.network.device())?;
        let (embedding, _) = self.network.embed(&input, side)?;
        let values = embedding.flatten_all()?.to_vec1::<f32>()?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::NotFinite(value)),
            None => Ok(Embedding(values)),
        }
    }

    fn sound(&self, scratch: &mut Scratch, path: &Path, clocks: &Clocks) -> Result<Vec<f32>, Error> {
        let extracted = match &self.audio {
            Front::Mel(extractor) => {
                let window: ReadWindow = extractor.read_window(Window::default());
                extractor.extract(scratch, path, &[window], clocks)
            }
            Front::Waveform(waveforms) => {
                let window = waveforms.read_window(Window::default());
                waveforms.extract(path, &[window], clocks)
            }
        };
        let array = extracted.map_err(Error::Sound)?.arrays.into_iter().next();
        let mut array = match array {
            Some(Ok(array)) => array,
            Some(Err(what)) => return Err(Error::Empty(what)),
            None => return Err(Error::Empty("it holds no sound".into())),
        };
        if let Some(statistics) = &self.statistics {
            statistics.apply(&mut array, self.audio_shape[2]);
        }
        Ok(array)
    }

    /// How well a picture and a recording match.
    ///
    /// # Errors
    /// The network says what is no number.
    pub fn score(&self, image: &Embedding, audio: &Embedding) -> Result<f32, Error> {
        let row =
            |embedding: &Embedding| Tensor::from_slice(&embedding.0, (1, embedding.0.len()), self.network.device());
        let score = self.network.score_embedded(&row(image)?, &row(audio)?)?;
        let score = score
            .flatten_all()?
            .to_vec1::<f32>()?
            .first()
            .copied()
            .unwrap_or(f32::NAN);
        match score.is_finite() {
            true => Ok(score),
            false => Err(Error::NotFinite(score)),
        }
    }
}

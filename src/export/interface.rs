//! What a trained network takes and gives: what somebody who has nothing else of the run needs for using it.

use serde::{Deserialize, Serialize};

use crate::evaluate::Problem;
use crate::features::extractor::Identity;

/// Grows with every change that older programs would misread.
pub const FORMAT: u32 = 1;

/// The file of a run's folder.
pub const FILE: &str = "interface.json";

/// What a network takes and gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub format: u32,
    /// Of one example: `[channels, rows, frames]`.
    pub shape: [usize; 3],
    pub input: Input,
    pub output: Output,
}

/// Where an example's array comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "features", rename_all = "kebab-case")]
pub enum Input {
    /// Sound, by this recipe. Normalisation with the training split's figures is done behind it, in the network.
    Mel { recipe: Box<Identity> },
    /// Pictures.
    Image,
    /// Samples.
    Waveform,
    /// Arrays that another tool computed.
    Npy,
}

impl Input {
    /// As `features.kind` has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mel { .. } => "mel",
            Self::Image => "image",
            Self::Waveform => "waveform",
            Self::Npy => "npy",
        }
    }
}

/// What the numbers mean that come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Output {
    /// One number for each target, in the units of the training data.
    Regression { targets: Vec<String> },
    /// The probability of each class.
    Classification { classes: Vec<String> },
}

impl Output {
    /// Numbers that come out of the network for one example.
    pub fn width(&self) -> usize {
        self.names().len()
    }

    /// Targets or classes.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Regression { targets } => targets,
            Self::Classification { classes } => classes,
        }
    }

    /// As the loss and the metrics know it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Regression { targets } => Problem::Regression {
                targets: targets.clone(),
            },
            Self::Classification { classes } => Problem::Classification {
                classes: classes.clone(),
            },
        }
    }
}

impl From<&Problem> for Output {
    fn from(problem: &Problem) -> Self {
        match problem {
            Problem::Regression { targets } => Self::Regression {
                targets: targets.clone(),
            },
            Problem::Classification { classes } => Self::Classification {
                classes: classes.clone(),
            },
        }
    }
}

impl Interface {
    /// With this program's format.
    pub fn new(shape: [usize; 3], input: Input, output: Output) -> Self {
        Self {
            format: FORMAT,
            shape,
            input,
            output,
        }
    }

    /// Of its JSON; says what is wrong with it otherwise.
    ///
    /// # Errors
    /// In words that can stand behind a file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if format > FORMAT {
            return Err(format!(
                "it is of form {format}, which a later version of affect writes; this one reads up to {FORMAT}"
            ));
        }
        let interface: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        interface.check()?;
        Ok(interface)
    }

    /// The JSON.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let size = self.shape.iter().try_fold(1usize, |size, &next| size.checked_mul(next));
        if !size.is_some_and(|size| (1..=1 << 32).contains(&size)) {
            return Err(format!("examples cannot have the shape {:?}", self.shape));
        }
        if self.output.width() == 0 {
            return Err("the network gives no numbers".into());
        }
        if let Input::Mel { recipe } = &self.input {
            recipe.mel.spectrogram().check().map_err(|error| error.to_string())?;
            if recipe.shape != self.shape || self.shape[0] != 1 || self.shape[1] != recipe.mel.n_mels {
                return Err(format!(
                    "the recipe makes arrays of {:?}, the network takes {:?}",
                    recipe.shape, self.shape
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::extractor::{Length, VERSION};
    use crate::features::recipe::MelRecipe;

    fn interface() -> Interface {
        let recipe = Identity {
            version: VERSION,
            mel: MelRecipe::default(),
            length: Length::Exact(22_050),
            shape: [1, 128, 44],
        };
        let input = Input::Mel {
            recipe: Box::new(recipe),
        };
        let targets = vec!["valence".into(), "arousal".into()];
        Interface::new([1, 128, 44], input, Output::Regression { targets })
    }

    #[test]
    fn it_survives_json() {
        let written = interface();
        assert_eq!(Interface::parse(&written.text()).unwrap(), written);
        let arrays = Interface {
            input: Input::Npy,
            output: Output::Classification {
                classes: vec!["joy".into()],
            },
            ..written
        };
        assert_eq!(Interface::parse(&arrays.text()).unwrap(), arrays);
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let text = interface().text();
        for (from, to, message) in [
            ("\"format\": 1", "\"format\": 7", "later version"),
            ("\"n_mels\": 128", "\"n_mels\": 64", "takes [1, 128, 44]"),
            ("\"sample_rate\": 22050", "\"sample_rate\": 0", "sample_rate"),
            ("\"valence\",", "", "one"),
            ("regression", "clustering", "clustering"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            match Interface::parse(&changed) {
                Err(error) => assert!(error.contains(message), "{from}: {error}"),
                Ok(parsed) => assert_eq!(parsed.output.width(), 1, "{from}"),
            }
        }
        for text in ["", "{}", "[]", "{\"format\": -1}"] {
            assert!(Interface::parse(text).is_err(), "{text}");
        }
    }
}

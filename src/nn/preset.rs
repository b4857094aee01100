//! The field's networks, by name.
//!
//! Each is complete: a later change of a default changes no preset. What a publication leaves open is said at its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{
    Activation, AttentionPoolSpec, BatchNormSpec, Conv2dSpec, Empty, GlobalPoolSpec, GruOutput, GruSpec,
    Initialization, LayerSpec, LinearSpec, LinearTable, NamedUnits, NetworkSpec, Padding, Pair, PoolOver, PoolSpec,
    Probability, Statistic, Units,
};

/// A network to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkPreset {
    /// Two convolutions of 16 and 32 channels, 3 × 3, each with ReLU and max pool 2; global average; linear. The CNN of a
    /// student project on DEAM's dynamic annotations.
    DeamCnn,
    /// Three blocks of 16, 32 and 64 channels: convolution 3 × 3, batch norm, ReLU, max pool 2; global average; linear. After
    /// Music2Emotion's first form, whose description gives the blocks but not their channels.
    Music2emotion,
    /// Four such blocks of 32, 64, 128 and 256 channels: Music2Emotion's later form.
    #[serde(rename = "music2emotion-4")]
    Music2emotion4,
    /// Four blocks of 32, 64, 128 and 256 channels: convolution 3 × 3, ReLU, batch norm, max pool 2, dropout; then 256, 128 and the
    /// classes. For [1, 128, 128], as published for MELD (Keras's initialisation, momentum and epsilon).
    MeldCnn,
    /// One convolution of 8 channels, a linear layer for each frame and a bidirectional GRU, of 8 units each, the mean of the
    /// frames; linear. After Malik et al. 2017 (arXiv 1706.02292), who train a branch for each target and predict every frame.
    Crnn,
    /// Three convolutions of 24 (5 × 5, stride 2), 48 and 64 channels, each with batch norm and ReLU, the first two with max pool 2; a
    /// bidirectional GRU of 32 units each way over the frames; attention over the frames; dropout; linear. For speech of a few
    /// seconds: convolutions, a recurrence and attention as in Chen et al. 2018 (IEEE Signal Processing Letters 25), but smaller.
    AttentionCrnn,
}

impl NetworkPreset {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DeamCnn,
        Self::Music2emotion,
        Self::Music2emotion4,
        Self::MeldCnn,
        Self::Crnn,
        Self::AttentionCrnn,
    ];

    /// The word that an experiment file has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeamCnn => "deam-cnn",
            Self::Music2emotion => "music2emotion",
            Self::Music2emotion4 => "music2emotion-4",
            Self::MeldCnn => "meld-cnn",
            Self::Crnn => "crnn",
            Self::AttentionCrnn => "attention-crnn",
        }
    }

    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its layers.
    pub fn network(self) -> NetworkSpec {
        let layers = match self {
            Self::DeamCnn => blocks(&[16, 32], Norm::No),
            Self::Music2emotion => blocks(&[16, 32, 64], Norm::Batch),
            Self::Music2emotion4 => blocks(&[32, 64, 128, 256], Norm::Batch),
            Self::MeldCnn => meld(),
            Self::Crnn => crnn(),
            Self::AttentionCrnn => attention_crnn(),
        };
        NetworkSpec {
            preset: Some(self),
            layers,
            ..NetworkSpec::default()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Norm {
    No,
    Batch,
}

/// Convolution, (batch norm,) ReLU, max pool; then the mean of each channel, and the targets.
fn blocks(channels: &[usize], norm: Norm) -> Vec<LayerSpec> {
    let block = |&channels: &usize| {
        LayerSpec::Conv2d(Conv2dSpec {
            batch_norm: norm == Norm::Batch,
            activation: Some(Activation::Relu),
            max_pool: Some(Pair::Both(2)),
            ..Conv2dSpec::new(channels)
        })
    };
    let mut layers: Vec<LayerSpec> = channels.iter().map(block).collect();
    layers.push(LayerSpec::AdaptiveAvgPool2d(Pair::Both(1)));
    layers.push(targets(Initialization::Default));
    layers
}

fn targets(init: Initialization) -> LayerSpec {
    LayerSpec::Linear(LinearSpec::Table(LinearTable {
        units: Units::Named(NamedUnits::Targets),
        per_frame: false,
        activation: None,
        dropout: None,
        init,
    }))
}

fn meld() -> Vec<LayerSpec> {
    let init = Initialization::XavierUniform;
    let mut layers = Vec::new();
    for (channels, dropout) in [(32, 0.25), (64, 0.25), (128, 0.25), (256, 0.3)] {
        layers.push(LayerSpec::Conv2d(Conv2dSpec {
            activation: Some(Activation::Relu),
            init,
            ..Conv2dSpec::new(channels)
        }));
        layers.push(LayerSpec::BatchNorm(BatchNormSpec {
            momentum: 0.01,
            epsilon: 1e-3,
        }));
        layers.push(LayerSpec::MaxPool2d(PoolSpec::Size(Pair::Both(2))));
        layers.push(LayerSpec::Dropout(Probability(dropout)));
    }
    layers.push(LayerSpec::Flatten(Empty {}));
    for (units, dropout) in [(256, 0.5), (128, 0.4)] {
        layers.push(LayerSpec::Linear(LinearSpec::Table(LinearTable {
            units: Units::Count(units),
            per_frame: false,
            activation: Some(Activation::Relu),
            dropout: Some(Probability(dropout)),
            init,
        })));
    }
    layers.push(targets(init));
    layers
}

fn crnn() -> Vec<LayerSpec> {
    vec![
        LayerSpec::Conv2d(Conv2dSpec {
            batch_norm: true,
            activation: Some(Activation::Relu),
            dropout: Some(Probability(0.25)),
            ..Conv2dSpec::new(8)
        }),
        LayerSpec::Linear(LinearSpec::Table(LinearTable {
            units: Units::Count(8),
            per_frame: true,
            activation: None,
            dropout: Some(Probability(0.25)),
            init: Initialization::Default,
        })),
        LayerSpec::Gru(GruSpec {
            units: 8,
            layers: 1,
            bidirectional: true,
            output: GruOutput::Sequence,
            dropout: None,
            init: Initialization::Default,
        }),
        LayerSpec::GlobalPool(GlobalPoolSpec {
            statistics: vec![Statistic::Mean],
            over: PoolOver::Image,
        }),
        targets(Initialization::Default),
    ]
}

fn attention_crnn() -> Vec<LayerSpec> {
    let normalized = |channels| Conv2dSpec {
        batch_norm: true,
        activation: Some(Activation::Relu),
        ..Conv2dSpec::new(channels)
    };
    vec![
        LayerSpec::Conv2d(Conv2dSpec {
            kernel: Pair::Both(5),
            stride: Pair::Both(2),
            padding: Padding::Both(2),
            max_pool: Some(Pair::Both(2)),
            ..normalized(24)
        }),
        LayerSpec::Conv2d(Conv2dSpec {
            max_pool: Some(Pair::Both(2)),
            ..normalized(48)
        }),
        LayerSpec::Conv2d(normalized(64)),
        LayerSpec::Gru(GruSpec {
            units: 32,
            layers: 1,
            bidirectional: true,
            output: GruOutput::Sequence,
            dropout: None,
            init: Initialization::Default,
        }),
        LayerSpec::AttentionPool(AttentionPoolSpec {
            units: 32,
            init: Initialization::Default,
        }),
        LayerSpec::Dropout(Probability(0.4)),
        targets(Initialization::Default),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    #[test]
    fn every_preset_fits_its_features_and_survives_the_file() {
        for (preset, shape, outputs) in [
            (NetworkPreset::DeamCnn, [1, 128, 431], 2),
            (NetworkPreset::Music2emotion, [1, 64, 1292], 2),
            (NetworkPreset::Music2emotion4, [1, 64, 1292], 2),
            (NetworkPreset::MeldCnn, [1, 128, 128], 7),
            (NetworkPreset::Crnn, [1, 64, 60], 2),
            (NetworkPreset::AttentionCrnn, [1, 64, 121], 7),
        ] {
            let network = preset.network();
            Plan::new(&network, &shape, outputs).unwrap();
            let text = toml::to_string(&network).unwrap();
            assert_eq!(toml::from_str::<NetworkSpec>(&text).unwrap(), network);
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
            assert_eq!(NetworkPreset::named(preset.name()), Some(preset));
        }
        assert_eq!(NetworkPreset::named("resnet"), None);
    }

    #[test]
    fn parameters_are_those_of_the_descriptions() {
        let count = |preset: NetworkPreset, shape: [usize; 3], outputs| {
            Plan::new(&preset.network(), &shape, outputs).unwrap().parameters()
        };
        let block = |from: usize, to: usize| 9 * from * to;
        assert_eq!(
            count(NetworkPreset::DeamCnn, [1, 128, 216], 2),
            block(1, 16) + 16 + block(16, 32) + 32 + 2 * 32 + 2
        );
        let four = block(1, 32) + block(32, 64) + block(64, 128) + block(128, 256);
        let channels = 32 + 64 + 128 + 256;
        assert_eq!(
            count(NetworkPreset::Music2emotion4, [1, 64, 1292], 2),
            four + 2 * channels + 2 * 256 + 2
        );
        let dense = 256 * 8 * 8 * 256 + 256 + 256 * 128 + 128 + 128 * 7 + 7;
        assert_eq!(
            count(NetworkPreset::MeldCnn, [1, 128, 128], 7),
            four + 3 * channels + dense
        );
    }
}

//! What single settings of `[model]` cannot say: whether they make sense together. What needs shapes is the plan's to find.

use super::spec::{Conv2dSpec, LayerSpec, NamedPadding, NetworkSpec, Padding};

/// Settings that don't fit each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The list of layers: `model.layers`, or that of a branch.
    pub list: &'static str,
    /// Index into the list; `None`: something is missing in `[model]`.
    pub layer: Option<usize>,
    /// Below the layer (or below `model`): `["conv2d", "kernel"]`.
    pub keys: Vec<&'static str>,
    pub message: String,
    pub label: String,
    pub help: String,
}

impl NetworkSpec {
    /// All that does not fit.
    pub fn misfits(&self) -> Vec<Misfit> {
        let mut found = Vec::new();
        let mut missing = |key: &'static str, label: &str, help: &str| {
            found.push(Misfit {
                list: "model.layers",
                layer: None,
                keys: vec![key],
                message: format!("missing key `{key}` in `model`"),
                label: label.into(),
                help: help.into(),
            });
        };
        if self.is_pair() {
            for (key, is_there) in [
                ("image", self.image.is_some()),
                ("audio", self.audio.is_some()),
                ("head", self.head.is_some()),
            ] {
                if !is_there {
                    missing(
                        key,
                        "a network for pairs has `image`, `audio` and `head`",
                        "write `[[model.image.layers]]`, `[[model.audio.layers]]`, and `[model.head]` with a `join`",
                    );
                }
            }
        } else if self.layers.is_empty() {
            missing(
                "layers",
                "needs `layers`, or a `preset`",
                "`layers` is an array of tables",
            );
        }
        if self.is_pair() && !self.layers.is_empty() {
            found.push(Misfit {
                list: "model.layers",
                layer: Some(0),
                keys: Vec::new(),
                message: "`model` has `layers` and branches: a network is one or the other".into(),
                label: "not beside `image`, `audio` and `head`".into(),
                help: "leave `model.layers` (or `model.preset`) out, or the tables of the branches".into(),
            });
        }
        let head = self.head.as_ref().map(|head| &head.layers);
        let lists = [
            ("model.layers", Some(&self.layers)),
            ("model.image.layers", self.image.as_ref().map(|branch| &branch.layers)),
            ("model.audio.layers", self.audio.as_ref().map(|branch| &branch.layers)),
            ("model.head.layers", head),
        ];
        for (list, layers) in lists {
            for (index, layer) in layers.into_iter().flatten().enumerate() {
                if let LayerSpec::Conv2d(conv) = layer {
                    same_padding(conv, list, index, &mut found);
                }
            }
        }
        found
    }
}

fn same_padding(conv: &Conv2dSpec, list: &'static str, layer: usize, found: &mut Vec<Misfit>) {
    if conv.padding != Padding::Named(NamedPadding::Same) {
        return;
    }
    let mut push = |key, message: &str, label: &str| {
        found.push(Misfit {
            list,
            layer: Some(layer),
            keys: vec!["conv2d", key],
            message: message.into(),
            label: label.into(),
            help: "give `padding` as a number, or as [rows, columns]".into(),
        });
    };
    let (rows, columns) = conv.kernel.get();
    if rows.is_multiple_of(2) || columns.is_multiple_of(2) {
        push(
            "kernel",
            "padding = \"same\" (the default) needs an odd kernel",
            "must be odd",
        );
    }
    if conv.stride.get() != (1, 1) {
        push(
            "stride",
            "padding = \"same\" (the default) needs a stride of 1",
            "must be 1",
        );
    }
}

//! What single settings of `[model]` cannot say: whether they make sense together. What needs shapes is the plan's to find.

use super::spec::{Conv2dSpec, LayerSpec, NamedPadding, NetworkSpec, Padding};

/// Settings that don't fit each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Index into `model.layers`; `None`: something is missing in `[model]`.
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
        if self.layers.is_empty() {
            found.push(Misfit {
                layer: None,
                keys: vec!["layers"],
                message: "missing key `layers` in `model`".into(),
                label: "needs `layers`, or a `preset`".into(),
                help: "`layers` is an array of tables".into(),
            });
        }
        for (index, layer) in self.layers.iter().enumerate() {
            if let LayerSpec::Conv2d(conv) = layer {
                same_padding(conv, index, &mut found);
            }
        }
        found
    }
}

fn same_padding(conv: &Conv2dSpec, layer: usize, found: &mut Vec<Misfit>) {
    if conv.padding != Padding::Named(NamedPadding::Same) {
        return;
    }
    let mut push = |key, message: &str, label: &str| {
        found.push(Misfit {
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

//! Shapes, parameters and arithmetic of a network, worked out from its description before anything is built.

use std::fmt::Write as _;

use super::layers;
use super::spec::{LayerSpec, NetworkSpec};

/// A network whose layers fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Shape of one example, `[channels, mels, frames]`.
    pub input: Vec<usize>,
    /// Numbers that the last layer yields: targets or classes.
    pub outputs: usize,
    pub layers: Vec<PlannedLayer>,
}

/// A row of the layer table. Shapes of an example: `[channels, rows, frames]` is an image, `[frames, numbers]` a sequence, `[numbers]`
/// a vector.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlannedLayer {
    /// As in the experiment file: "conv2d".
    pub name: &'static str,
    /// Its settings in a few words.
    pub detail: String,
    /// Shape of one example before it.
    pub input: Vec<usize>,
    /// Shape of one example after it.
    pub output: Vec<usize>,
    /// Trainable numbers.
    pub parameters: usize,
    /// Floating-point operations of a forward pass for one example; a multiplication and an addition count as two.
    pub flops: u64,
    /// Numbers of one example that a training step makes in this layer and keeps for its backward pass.
    pub activations: u64,
}

impl PlannedLayer {
    /// A layer that only makes an output of this shape out of its input.
    pub fn new(name: &'static str, input: &[usize], output: Vec<usize>) -> Self {
        Self {
            name,
            input: input.to_vec(),
            activations: count(&output),
            output,
            ..Self::default()
        }
    }
}

/// Numbers in a shape.
pub(super) fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|&size| size as u64).product()
}

/// A layer that does not fit what comes before it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("layer {layer} does not fit: {message}")]
pub struct PlanError {
    /// The list that the layer is in: `model.layers`, or that of a branch.
    pub at: &'static str,
    /// Index into that list; the last one when the network ends wrongly.
    pub layer: usize,
    pub message: String,
    /// Shape of one example at the beginning.
    pub input: Vec<usize>,
    /// The layers before it.
    pub so_far: Vec<PlannedLayer>,
}

impl PlanError {
    /// The path of the layer in the experiment file.
    pub fn path(&self) -> String {
        match self.input.is_empty() {
            // Nothing stands before it.
            true => self.at.trim_end_matches(".layers").to_owned(),
            false => format!("{}[{}]", self.at, self.layer),
        }
    }

    /// The table of the layers before it, as text.
    pub fn table(&self) -> String {
        let mut table = format!("{:<28} {}\n", "input", shape_text(&self.input));
        for (index, layer) in self.so_far.iter().enumerate() {
            let _ = writeln!(
                table,
                "{:<28} {}",
                format!("{index} {}", layer.name),
                shape_text(&layer.output)
            );
        }
        table
    }
}

/// "1 × 64 × 130".
pub fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}

impl Plan {
    /// Infers the shapes of `spec` for examples of shape `input` and a task with `outputs` outputs.
    pub fn new(spec: &NetworkSpec, input: &[usize], outputs: usize) -> Result<Self, PlanError> {
        Self::of_layers("model.layers", &spec.layers, input, outputs)
    }

    /// As [`Self::new`], for the layers that stand at `at` in the experiment file.
    pub(super) fn of_layers(
        at: &'static str,
        layers: &[LayerSpec],
        input: &[usize],
        outputs: usize,
    ) -> Result<Self, PlanError> {
        let plan = Self::layers_only(at, layers, input, outputs)?;
        if plan.shape() != [outputs] {
            let message = format!(
                "the network ends with shape {}, but the task has {outputs} outputs; end it with `linear = \"targets\"`",
                shape_text(plan.shape())
            );
            return Err(plan.error(at, layers.len().saturating_sub(1), message));
        }
        Ok(plan)
    }

    /// As [`Self::of_layers`], whatever they end with.
    pub(super) fn layers_only(
        at: &'static str,
        layers: &[LayerSpec],
        input: &[usize],
        outputs: usize,
    ) -> Result<Self, PlanError> {
        let mut plan = Self {
            input: input.to_vec(),
            outputs,
            layers: Vec::with_capacity(layers.len()),
        };
        for (index, layer) in layers.iter().enumerate() {
            match plan.layer(layer) {
                Ok(layer) => plan.layers.push(layer),
                Err(message) => return Err(plan.error(at, index, message)),
            }
        }
        Ok(plan)
    }

    /// Numbers that come out of it.
    pub(super) fn ends(&self) -> usize {
        self.shape().iter().product()
    }

    /// Trainable numbers in all.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// Floating-point operations of a forward pass for one example.
    pub fn flops(&self) -> u64 {
        self.layers.iter().map(|layer| layer.flops).sum()
    }

    /// Numbers of one example that a training step keeps for its backward pass, the input included.
    pub fn activations(&self) -> u64 {
        count(&self.input) + self.layers.iter().map(|layer| layer.activations).sum::<u64>()
    }

    pub(super) fn shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |layer| &layer.output)
    }

    pub(super) fn error(&self, at: &'static str, layer: usize, message: String) -> PlanError {
        PlanError {
            at,
            layer,
            message,
            input: self.input.clone(),
            so_far: self.layers.clone(),
        }
    }

    fn layer(&self, spec: &LayerSpec) -> Result<PlannedLayer, String> {
        let shape = self.shape();
        let planned = layers::plan(spec, shape, self.outputs)?;
        match planned
            .output
            .iter()
            .try_fold(1usize, |size, &next| size.checked_mul(next))
        {
            Some(size) if size <= LARGEST => Ok(planned),
            _ => Err(format!("its output of {} is too large", shape_text(&planned.output))),
        }
    }
}

/// Numbers that one layer may make of one example: more than any machine has room for in a batch.
const LARGEST: usize = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(toml: &str) -> NetworkSpec {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn shapes_parameters_and_flops_of_a_small_network() {
        let spec = spec(
            r#"
            layers = [
                { conv2d = { channels = 16, batch_norm = true, activation = "relu", max_pool = 2 } },
                { adaptive_avg_pool2d = 1 },
                { linear = "targets" },
            ]"#,
        );
        let plan = Plan::new(&spec, &[1, 64, 101], 2).unwrap();
        let shapes: Vec<_> = plan.layers.iter().map(|layer| layer.output.clone()).collect();
        assert_eq!(shapes, [vec![16, 32, 50], vec![16, 1, 1], vec![2]]);
        assert_eq!(plan.parameters(), 16 * 9 + 32 + 16 * 2 + 2);
        let conv = 2 * 9 * 16 * 64 * 101 + 3 * 16 * 64 * 101 + 16 * 32 * 50 * 4;
        assert_eq!(plan.flops(), (conv + 16 * 32 * 50 + 2 * 32) as u64);
        // Convolution, norm and activation, then the pool.
        let conv = 3 * 16 * 64 * 101 + 16 * 32 * 50;
        assert_eq!(plan.activations(), 64 * 101 + conv + 16 + 2);
    }

    #[test]
    fn shapes_of_every_layer() {
        for (layers, input, expected) in [
            (
                "{ conv2d = { channels = 4, stride = 2, padding = 1, dilation = 2 } }",
                vec![1, 9, 10],
                vec![4, 4, 4],
            ),
            (
                "{ conv2d = { channels = 4, groups = 2 } }",
                vec![2, 9, 10],
                vec![4, 9, 10],
            ),
            (
                "{ residual = { channels = 4, stride = [2, 1] } }",
                vec![2, 9, 10],
                vec![4, 5, 10],
            ),
            (
                "{ batch_norm = {} }, { layer_norm = {} }, { gelu = {} }",
                vec![2, 9, 10],
                vec![2, 9, 10],
            ),
            ("{ max_pool2d = 3 }", vec![2, 9, 10], vec![2, 3, 3]),
            (
                "{ avg_pool2d = { window = 3, stride = 1, padding = [1, 0] } }",
                vec![2, 9, 10],
                vec![2, 9, 8],
            ),
            ("{ adaptive_max_pool2d = [20, 1] }", vec![2, 9, 10], vec![2, 20, 1]),
            ("{ global_pool = {} }", vec![2, 9, 10], vec![4]),
            (
                "{ global_pool = { over = \"frames\", statistics = [\"mean\"] } }",
                vec![2, 9, 10],
                vec![18],
            ),
            (
                "{ gru = { units = 5, bidirectional = true } }",
                vec![2, 9, 10],
                vec![10, 10],
            ),
            ("{ gru = { units = 5, output = \"last\" } }", vec![2, 9, 10], vec![5]),
            (
                "{ linear = { units = 7, per_frame = true } }, { attention_pool = {} }",
                vec![2, 9, 10],
                vec![7],
            ),
        ] {
            let spec = spec(&format!("layers = [{layers}, {{ flatten = {{}} }}]"));
            let outputs = expected.iter().product();
            let plan = Plan::new(&spec, &input, outputs).unwrap_or_else(|error| panic!("{layers}: {error}"));
            assert_eq!(plan.layers[plan.layers.len() - 2].output, expected, "{layers}");
        }
    }

    #[test]
    fn a_layer_that_does_not_fit_shows_the_table_so_far() {
        let spec = spec(
            r#"
            layers = [
                { conv2d = { channels = 4, max_pool = 2 } },
                { flatten = {} },
                { conv2d = { channels = 4 } },
            ]"#,
        );
        let error = Plan::new(&spec, &[1, 8, 8], 2).unwrap_err();
        assert_eq!(error.path(), "model.layers[2]");
        assert!(error.message.contains("the layer before gives 64"), "{error}");
        assert!(
            error.table().contains("0 conv2d") && error.table().contains("4 × 4 × 4"),
            "{}",
            error.table()
        );
    }

    #[test]
    fn networks_that_cannot_be_are_refused() {
        for (layers, message) in [
            ("{ conv2d = { channels = 4 } }", "4 × 8 × 8"),
            ("{ conv2d = { channels = 4, max_pool = [9, 1] } }", "max_pool of 9 × 1"),
            ("{ conv2d = { channels = 4, kernel = 4 } }", "odd kernel"),
            ("{ conv2d = { channels = 4, groups = 2 } }", "groups"),
            (
                "{ max_pool2d = { window = 2, padding = [2, 0] } }",
                "half of the window",
            ),
            ("{ avg_pool2d = 9 }", "larger than 8 × 8"),
            ("{ global_pool = {} }, { gru = { units = 2 } }", "needs frames"),
            ("{ global_pool = {} }, { attention_pool = {} }", "needs frames"),
            ("{ residual = { channels = 2, kernel = 2 } }", "odd kernel"),
            (
                "{ adaptive_avg_pool2d = 65536 }, { conv2d = { channels = 65536 } }",
                "too large",
            ),
        ] {
            let error = Plan::new(&spec(&format!("layers = [{layers}]")), &[1, 8, 8], 2).unwrap_err();
            assert!(error.message.contains(message), "{layers}: {error}");
        }
    }
}

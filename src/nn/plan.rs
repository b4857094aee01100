//! Shapes, parameters and arithmetic of a network, worked out from its description before anything is built.

use std::fmt::Write as _;

use super::kernels::{Geometry, max_pool2d};
use super::spec::{
    Activation, Conv2dSpec, LayerSpec, LinearSpec, LinearTable, NamedPadding, NamedUnits, NetworkSpec, Padding, Units,
};

/// A network whose layers fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Shape of one example, `[channels, mels, frames]`.
    pub input: Vec<usize>,
    /// Numbers that the last layer yields: targets or classes.
    pub outputs: usize,
    pub layers: Vec<PlannedLayer>,
}

/// A row of the layer table.
#[derive(Debug, Clone, PartialEq)]
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
}

/// A layer that does not fit what comes before it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("layer {layer} does not fit: {message}")]
pub struct PlanError {
    /// Index into `model.layers`; the number of layers when the network ends wrongly.
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
        format!("model.layers[{}]", self.layer)
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
        let mut plan = Self {
            input: input.to_vec(),
            outputs,
            layers: Vec::with_capacity(spec.layers.len()),
        };
        for (index, layer) in spec.layers.iter().enumerate() {
            match plan.layer(layer) {
                Ok(layer) => plan.layers.push(layer),
                Err(message) => return Err(plan.error(index, message)),
            }
        }
        if plan.shape() != [outputs] {
            let message = format!(
                "the network ends with shape {}, but the task has {outputs} outputs; end it with `linear = \"targets\"`",
                shape_text(plan.shape())
            );
            return Err(plan.error(spec.layers.len().saturating_sub(1), message));
        }
        Ok(plan)
    }

    /// Trainable numbers in all.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// Floating-point operations of a forward pass for one example.
    pub fn flops(&self) -> u64 {
        self.layers.iter().map(|layer| layer.flops).sum()
    }

    fn shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |layer| &layer.output)
    }

    fn error(&self, layer: usize, message: String) -> PlanError {
        PlanError {
            layer,
            message,
            input: self.input.clone(),
            so_far: self.layers.clone(),
        }
    }

    fn layer(&self, spec: &LayerSpec) -> Result<PlannedLayer, String> {
        match spec {
            LayerSpec::Conv2d(conv) => self.conv2d(conv),
            LayerSpec::AdaptiveAvgPool2d(grid) => {
                let (channels, rows, columns) = self.image("adaptive_avg_pool2d")?;
                let (grid_rows, grid_columns) = grid.get();
                Ok(self.row(
                    "adaptive_avg_pool2d",
                    format!("{grid_rows} × {grid_columns}"),
                    vec![channels, grid_rows, grid_columns],
                    0,
                    (channels * rows * columns) as u64,
                ))
            }
            LayerSpec::Flatten(_) => {
                let size = self.shape().iter().product();
                Ok(self.row("flatten", String::new(), vec![size], 0, 0))
            }
            LayerSpec::Dropout(probability) => {
                let shape = self.shape().to_vec();
                let flops = shape.iter().product::<usize>() as u64;
                Ok(self.row("dropout", format!("{}", probability.0), shape, 0, flops))
            }
            LayerSpec::Linear(linear) => {
                let table = linear_table(linear);
                let units = units(table.units, self.outputs);
                let inputs: usize = self.shape().iter().product();
                let mut detail = format!("{inputs} → {units}");
                describe(&mut detail, table.activation, None, table.dropout.map(|p| p.0));
                Ok(self.row(
                    "linear",
                    detail,
                    vec![units],
                    inputs * units + units,
                    2 * (inputs * units) as u64,
                ))
            }
        }
    }

    fn conv2d(&self, conv: &Conv2dSpec) -> Result<PlannedLayer, String> {
        let (channels, rows, columns) = self.image("conv2d")?;
        let kernel = conv.kernel.get();
        let geometry = geometry(conv)?;
        let (out_rows, out_columns) = geometry.output((rows, columns), kernel).ok_or_else(|| {
            format!(
                "a kernel of {} × {} is larger than the input of {rows} × {columns} with its padding",
                kernel.0, kernel.1
            )
        })?;
        let taps = channels * kernel.0 * kernel.1;
        let pixels = out_rows * out_columns;
        let biased = has_bias(conv);
        let parameters =
            conv.channels * (taps + usize::from(biased)) + if conv.batch_norm { 2 * conv.channels } else { 0 };
        let mut flops = (2 * taps * conv.channels * pixels) as u64;
        flops += (conv.channels * pixels * (2 * usize::from(conv.batch_norm) + usize::from(conv.activation.is_some())))
            as u64;
        let mut output = vec![conv.channels, out_rows, out_columns];
        let mut detail = format!("{} of {} × {}", conv.channels, kernel.0, kernel.1);
        if geometry.stride != (1, 1) {
            let _ = write!(detail, ", stride {} × {}", geometry.stride.0, geometry.stride.1);
        }
        if conv.batch_norm {
            detail.push_str(", batch norm");
        }
        if let Some(pool) = conv.max_pool {
            let window = pool.get();
            let (pool_rows, pool_columns) =
                max_pool2d::output((out_rows, out_columns), window, window).ok_or_else(|| {
                    format!(
                        "max_pool of {} × {} is larger than {out_rows} × {out_columns}",
                        window.0, window.1
                    )
                })?;
            flops += (conv.channels * pool_rows * pool_columns * window.0 * window.1) as u64;
            output = vec![conv.channels, pool_rows, pool_columns];
        }
        describe(
            &mut detail,
            conv.activation,
            conv.max_pool.map(|pool| pool.get()),
            conv.dropout.map(|p| p.0),
        );
        Ok(self.row("conv2d", detail, output, parameters, flops))
    }

    fn image(&self, layer: &str) -> Result<(usize, usize, usize), String> {
        match *self.shape() {
            [channels, rows, columns] => Ok((channels, rows, columns)),
            ref other => Err(format!(
                "{layer} needs channels × rows × columns, but the layer before gives {}",
                shape_text(other)
            )),
        }
    }

    fn row(
        &self,
        name: &'static str,
        detail: String,
        output: Vec<usize>,
        parameters: usize,
        flops: u64,
    ) -> PlannedLayer {
        PlannedLayer {
            name,
            detail,
            input: self.shape().to_vec(),
            output,
            parameters,
            flops,
        }
    }
}

fn describe(detail: &mut String, activation: Option<Activation>, pool: Option<(usize, usize)>, dropout: Option<f64>) {
    match activation {
        Some(Activation::Relu) => detail.push_str(", relu"),
        None => {}
    }
    if let Some((rows, columns)) = pool {
        let _ = write!(detail, ", max pool {rows} × {columns}");
    }
    if let Some(probability) = dropout {
        let _ = write!(detail, ", dropout {probability}");
    }
}

/// Stride and padding in numbers.
pub(super) fn geometry(conv: &Conv2dSpec) -> Result<Geometry, String> {
    let kernel = conv.kernel.get();
    let stride = conv.stride.get();
    let padding = match conv.padding {
        Padding::Named(NamedPadding::Valid) => (0, 0),
        Padding::Named(NamedPadding::Same) => {
            if stride != (1, 1) || kernel.0.is_multiple_of(2) || kernel.1.is_multiple_of(2) {
                return Err(format!(
                    "padding \"same\" needs an odd kernel and stride 1, not a kernel of {} × {} and stride {} × {}; give the padding in numbers",
                    kernel.0, kernel.1, stride.0, stride.1
                ));
            }
            (kernel.0 / 2, kernel.1 / 2)
        }
        Padding::Both(size) => (size, size),
        Padding::Each([rows, columns]) => (rows, columns),
    };
    Ok(Geometry { stride, padding })
}

/// Whether the convolution has a bias of its own.
pub(super) fn has_bias(conv: &Conv2dSpec) -> bool {
    conv.bias.unwrap_or(!conv.batch_norm)
}

/// The long form of a linear layer.
pub(super) fn linear_table(spec: &LinearSpec) -> LinearTable {
    match spec {
        LinearSpec::Table(table) => table.clone(),
        LinearSpec::Size(units) => LinearTable {
            units: *units,
            activation: None,
            dropout: None,
        },
    }
}

pub(super) fn units(units: Units, outputs: usize) -> usize {
    match units {
        Units::Named(NamedUnits::Targets) => outputs,
        Units::Count(count) => count,
    }
}

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
    fn a_network_with_a_wrong_end_or_too_large_a_window_is_refused() {
        let open = spec("layers = [{ conv2d = { channels = 4 } }]");
        assert!(
            Plan::new(&open, &[1, 8, 8], 2)
                .unwrap_err()
                .message
                .contains("4 × 8 × 8")
        );
        let window = spec("layers = [{ conv2d = { channels = 4, max_pool = [9, 1] } }]");
        assert!(
            Plan::new(&window, &[1, 8, 8], 2)
                .unwrap_err()
                .message
                .contains("max_pool of 9 × 1")
        );
        let same = spec("layers = [{ conv2d = { channels = 4, kernel = 4 } }]");
        assert!(
            Plan::new(&same, &[1, 8, 8], 2)
                .unwrap_err()
                .message
                .contains("odd kernel")
        );
    }
}

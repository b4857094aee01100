//! Layers over the frames.

use super::Lowering;
use crate::export::Error;
use crate::export::onnx::graph::{Value, int, ints, text};
use crate::nn::spec::{GruOutput, GruSpec};

impl Lowering<'_> {
    pub(super) fn gru(&mut self, spec: &GruSpec, shape: &[usize], input: &str) -> Result<Value, Error> {
        let directions: &[&str] = match spec.bidirectional {
            true => &["", "_reverse"],
            false => &[""],
        };
        let width = (spec.units * directions.len()) as i64;
        let frames = self.as_sequence(shape, input);
        let mut value = self.graph.node("Transpose", &[&frames], vec![ints("perm", &[1, 0, 2])]);
        for layer in 0..spec.layers {
            let constants = self.gru_constants(layer, directions, spec.units)?;
            let inputs: Vec<&str> = std::iter::once(value.as_str())
                .chain(constants.iter().map(String::as_str))
                .collect();
            let outputs = self.graph.node_with_outputs(
                "GRU",
                &inputs,
                vec![
                    int("hidden_size", spec.units),
                    text("direction", ["forward", "bidirectional"][directions.len() - 1]),
                    int("linear_before_reset", 1),
                ],
                2,
            );
            let [states, ends] = outputs.as_slice() else {
                return Err(Error::Shape("gru".into()));
            };
            let is_last = layer + 1 == spec.layers;
            if is_last && spec.output == GruOutput::Last {
                // [directions, batch, units]
                let ends = self.graph.node("Transpose", &[ends], vec![ints("perm", &[1, 0, 2])]);
                return Ok(self.reshaped(&ends, &[0, width]));
            }
            // [frames, directions, batch, units]
            let perm = match is_last {
                true => [2, 0, 1, 3],
                false => [0, 2, 1, 3],
            };
            let states = self.graph.node("Transpose", &[states], vec![ints("perm", &perm)]);
            value = self.reshaped(&states, &[0, 0, width]);
        }
        Ok(value)
    }

    /// W, R and B of a layer: ONNX has the update gate before the reset gate, PyTorch behind it.
    pub(super) fn gru_constants(
        &mut self,
        layer: usize,
        directions: &[&str],
        units: usize,
    ) -> Result<[Value; 3], Error> {
        let mut parts: [Vec<f32>; 3] = Default::default();
        let mut numbers = 0;
        for suffix in directions {
            let all = |what: &str| self.weights.get(&format!("{}.{what}_l{layer}{suffix}", self.prefix));
            let (input, state) = (all("weight_ih")?, all("weight_hh")?);
            numbers = input.shape.get(1).copied().unwrap_or(0);
            parts[0].extend(update_first(&input.values));
            parts[1].extend(update_first(&state.values));
            parts[2].extend(update_first(&all("bias_ih")?.values));
            parts[2].extend(update_first(&all("bias_hh")?.values));
        }
        let count = directions.len();
        let shapes = [
            vec![count, 3 * units, numbers],
            vec![count, 3 * units, units],
            vec![count, 6 * units],
        ];
        let mut names = ["W", "R", "B"].map(|name| format!("{}.l{layer}.{name}", self.prefix));
        for ((name, shape), values) in names.iter_mut().zip(shapes).zip(parts) {
            *name = self.graph.floats(name, &shape, &values);
        }
        Ok(names)
    }

    pub(super) fn attention_pool(&mut self, shape: &[usize], input: &str) -> Result<Value, Error> {
        let frames = self.as_sequence(shape, input);
        let hidden = self.linear_of_frames(&frames)?;
        let hidden = self.graph.node("Tanh", &[&hidden], Vec::new());
        let query = self.transposed("query")?;
        let scores = self.graph.node("MatMul", &[&hidden, &query], Vec::new());
        let weights = self.graph.node("Softmax", &[&scores], vec![int("axis", 1)]);
        let weighted = self.graph.node("Mul", &[&weights, &frames], Vec::new());
        let axis = self.graph.integers("axis", &[1]);
        Ok(self
            .graph
            .node("ReduceSum", &[&weighted, &axis], vec![int("keepdims", 0)]))
    }
}

fn update_first(values: &[f32]) -> Vec<f32> {
    let (reset, rest) = values.split_at(values.len() / 3);
    let (update, candidate) = rest.split_at(rest.len() / 2);
    [update, reset, candidate].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_change_places() {
        assert_eq!(
            update_first(&[1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
            [2.0, 2.5, 1.0, 1.5, 3.0, 3.5]
        );
    }
}

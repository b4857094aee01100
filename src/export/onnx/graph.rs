//! A graph that grows node by node.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// The name of a tensor in the graph.
pub type Value = String;

/// Nodes and constants, in the order in which they can be computed.
#[derive(Default)]
pub struct Graph {
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<TensorProto>,
    /// What the names of new nodes begin with: "layers.0".
    pub scope: String,
}

impl Graph {
    /// Adds a node with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Value {
        self.node_with_outputs(operator, inputs, attributes, 1).remove(0)
    }

    /// Adds a node; an empty input is left out.
    pub fn node_with_outputs(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        outputs: usize,
    ) -> Vec<Value> {
        let name = format!("{}/{operator}_{}", self.scope, self.nodes.len());
        let output: Vec<Value> = match outputs {
            0 | 1 => vec![name.clone()],
            several => (0..several).map(|index| format!("{name}:{index}")).collect(),
        };
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: output.clone(),
            name,
            op_type: operator.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        output
    }

    /// Gives the last node's output a name of its own.
    pub fn name_output(&mut self, value: &str, name: &str) -> Value {
        self.node("Identity", &[value], Vec::new());
        if let Some(output) = self.nodes.last_mut().and_then(|node| node.output.first_mut()) {
            name.clone_into(output);
        }
        name.to_owned()
    }

    /// A constant tensor of 32-bit floating-point numbers.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float, raw)
    }

    /// A constant single number.
    pub fn scalar(&mut self, name: &str, value: f32) -> Value {
        let name = self.local(name);
        self.floats(&name, &[], &[value])
    }

    /// A constant vector of whole numbers.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        let name = self.local(name);
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&name, &[values.len()], DataType::Int64, raw)
    }

    /// A constant single whole number.
    pub fn integer(&mut self, name: &str, value: i64) -> Value {
        let name = self.local(name);
        self.constant(&name, &[], DataType::Int64, value.to_le_bytes().to_vec())
    }

    /// A name within the scope that no other constant has.
    fn local(&self, name: &str) -> String {
        format!("{}/{name}_{}", self.scope, self.constants.len())
    }

    fn constant(&mut self, name: &str, shape: &[usize], kind: DataType, raw_data: Vec<u8>) -> Value {
        self.constants.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: kind as i32,
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }
}

/// A dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    Fixed(usize),
    /// Any size, called so.
    Any(&'static str),
}

/// An input or output of 32-bit floating-point numbers.
pub fn value(name: &str, doc: &str, shape: &[Size]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|size| Dimension {
            value: Some(match *size {
                Size::Fixed(size) => dimension::Value::DimValue(size as i64),
                Size::Any(name) => dimension::Value::DimParam(name.to_owned()),
            }),
            ..Dimension::default()
        })
        .collect();
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto { dim }),
            })),
            ..TypeProto::default()
        }),
        doc_string: doc.to_owned(),
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: kind as i32,
        ..AttributeProto::default()
    }
}

/// A whole number.
pub fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto {
        i: value as i64,
        ..attribute(name, AttributeType::Int)
    }
}

/// A whole number below 0: an axis counted from the end.
pub fn axis_from_end(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: -value,
        ..attribute(name, AttributeType::Int)
    }
}

/// Whole numbers.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        ints: values.iter().map(|&value| value as i64).collect(),
        ..attribute(name, AttributeType::Ints)
    }
}

/// A number.
pub fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        f: value as f32,
        ..attribute(name, AttributeType::Float)
    }
}

/// A word.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: value.as_bytes().to_vec(),
        ..attribute(name, AttributeType::String)
    }
}

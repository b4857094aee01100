//! ONNX models.
//!
//! The messages are the generated ones of tract-onnx, which runs such models too (`predict`). What a model carries beside its graph stands in
//! [`property`].

mod frontend;
mod graph;
mod layers;

use prost::Message as _;
use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

use super::{Error, Input, Output, Trained, Weights};
use graph::{Graph, Size, Value, int};

/// The operator set. Gelu came with 20; nothing here needs a later one, and older runtimes refuse what is later.
pub const OPSET: i64 = 20;
/// The form of the file that came with this operator set.
pub const IR_VERSION: i64 = 9;

/// Names of what is said about a model in its metadata.
pub mod property {
    /// JSON: the network's [`Interface`](super::super::Interface). Together with [`FORM`] all that is needed for predicting.
    pub const INTERFACE: &str = "affect.interface";
    /// "features" or "samples": what the model's input is.
    pub const FORM: &str = "affect.input";
    /// The id of the run.
    pub const RUN: &str = "affect.run";
    /// The experiment's name.
    pub const EXPERIMENT: &str = "affect.experiment";
    /// The resolved experiment file, TOML.
    pub const SETTINGS: &str = "affect.settings";
    /// JSON: the names of the targets or classes.
    pub const OUTPUTS: &str = "affect.outputs";
    /// Hz; of models that were trained on sound.
    pub const SAMPLE_RATE: &str = "affect.sample_rate";
    /// JSON: the feature recipe; of models that were trained on sound.
    pub const RECIPE: &str = "affect.recipe";
}

/// What goes into the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `features`, `[batch, channels, rows, frames]`: the recipe's arrays, before normalisation with the training split's figures.
    Features,
    /// `samples`, `[batch, samples]`, at the recipe's rate: the front end is part of the model.
    Samples,
}

impl Form {
    /// The name of the model's input, and the word in its metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Samples => "samples",
        }
    }

    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Features, Self::Samples]
            .into_iter()
            .find(|form| form.name() == name)
    }
}

/// The model as the bytes of an ONNX file. Equal networks give equal bytes.
///
/// Its output is `prediction`, `[batch, targets]`, or `probabilities`, `[batch, classes]`.
///
/// # Errors
/// [`Error::NoFrontEnd`] where the front end is wanted and features are not mel spectrograms; [`Error::TooLarge`].
pub fn model(trained: &Trained, form: Form) -> Result<Vec<u8>, Error> {
    let interface = trained.interface;
    let mut graph = Graph::default();
    let [channels, rows, frames] = interface.shape;
    let (features, input) = match (form, &interface.input) {
        (Form::Features, _) => {
            let shape = [
                Size::Any("batch"),
                Size::Fixed(channels),
                Size::Fixed(rows),
                Size::Fixed(frames),
            ];
            let doc = "the feature recipe's arrays, before normalisation with the training split's figures";
            (form.name().to_owned(), graph::value(form.name(), doc, &shape))
        }
        (Form::Samples, Input::Mel { recipe }) => {
            let features = frontend::spectrogram(&mut graph, recipe, form.name().to_owned());
            let doc = format!(
                "mono sound at {} Hz, in -1..1; cut or zero-padded in the model",
                recipe.mel.sample_rate
            );
            let shape = [Size::Any("batch"), Size::Any("samples")];
            (features, graph::value(form.name(), &doc, &shape))
        }
        (Form::Samples, other) => {
            let kind = other.kind().to_owned();
            return Err(Error::NoFrontEnd { kind });
        }
    };
    let features = normalized(&mut graph, trained, features);
    let weights = Weights::of(trained.network)?;
    let outputs = layers::network(&mut graph, trained.spec, trained.plan, &weights, features)?;
    graph.scope = "output".into();
    let (name, outputs) = match &interface.output {
        Output::Regression { .. } => ("prediction", outputs),
        Output::Classification { .. } => (
            "probabilities",
            graph.node("Softmax", &[&outputs], vec![int("axis", 1)]),
        ),
    };
    graph.name_output(&outputs, name);
    let doc = interface.output.names().join(", ");
    let shape = [Size::Any("batch"), Size::Fixed(interface.output.width())];
    let output = graph::value(name, &doc, &shape);
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        producer_name: "affect".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(GraphProto {
            node: graph.nodes,
            name: trained.experiment.to_owned(),
            initializer: graph.constants,
            input: vec![input],
            output: vec![output],
            ..GraphProto::default()
        }),
        metadata_props: properties(trained, form),
        ..ModelProto::default()
    };
    let bytes = model.encoded_len();
    match i32::try_from(bytes) {
        Ok(_) => Ok(model.encode_to_vec()),
        Err(_) => Err(Error::TooLarge { bytes }),
    }
}

/// With the training split's figures, where there are any.
fn normalized(graph: &mut Graph, trained: &Trained, features: Value) -> Value {
    let Some(statistics) = trained.statistics else {
        return features;
    };
    graph.scope = "features".into();
    let [channels, rows, _] = trained.interface.shape;
    let shape = [channels, rows, 1];
    let mean = graph.floats("features.mean", &shape, &statistics.mean);
    let deviation = graph.floats("features.deviation", &shape, &statistics.deviation);
    let centred = graph.node("Sub", &[&features, &mean], Vec::new());
    graph.node("Div", &[&centred, &deviation], Vec::new())
}

fn properties(trained: &Trained, form: Form) -> Vec<StringStringEntryProto> {
    let interface = trained.interface;
    let mut entries = vec![
        (property::INTERFACE, interface.text()),
        (property::FORM, form.name().to_owned()),
        (property::RUN, trained.run.to_owned()),
        (property::EXPERIMENT, trained.experiment.to_owned()),
        (property::SETTINGS, trained.settings.to_owned()),
        (property::OUTPUTS, json(interface.output.names())),
    ];
    if let Input::Mel { recipe } = &interface.input {
        entries.push((property::SAMPLE_RATE, recipe.mel.sample_rate.to_string()));
        entries.push((property::RECIPE, json(recipe)));
    }
    entries
        .into_iter()
        .map(|(key, value)| StringStringEntryProto {
            key: key.to_owned(),
            value,
        })
        .collect()
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

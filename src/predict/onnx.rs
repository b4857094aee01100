//! ONNX files, run by tract.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    DatumExt as _, Framework as _, InferenceModelExt as _, IntoRunnable as _, Tensor, TypedRunnableModel, tvec,
};

use super::Error;
use crate::export::Interface;
use crate::export::onnx::{Form, property};

/// Inputs of different lengths are computed by plans of their own; so many are kept.
const PLANS: usize = 16;

type Plan = Arc<TypedRunnableModel>;

/// A model from a file.
pub struct OnnxModel {
    proto: ModelProto,
    form: Form,
    /// By the shape of the input.
    plans: Mutex<HashMap<Vec<usize>, Plan>>,
}

impl OnnxModel {
    /// Reads a file, and tries the model once on zeros.
    pub fn open(path: &Path) -> Result<(Interface, Self), Error> {
        let fault = |what: String| Error::Model {
            path: path.to_path_buf(),
            what,
        };
        let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        let proto = ModelProto::decode(bytes.as_slice()).map_err(|_| fault("this is no ONNX model".into()))?;
        if proto.graph.is_none() {
            return Err(fault("this is no ONNX model".into()));
        }
        let about = |key: &'static str| {
            let found = proto.metadata_props.iter().find(|entry| entry.key == key);
            found.map(|entry| entry.value.clone()).ok_or(Error::NoMetadata {
                path: path.to_path_buf(),
                key,
            })
        };
        let interface = Interface::parse(&about(property::INTERFACE)?)
            .map_err(|what| fault(format!("`{}` in its metadata: {what}", property::INTERFACE)))?;
        let form = about(property::FORM)?;
        let form = Form::named(&form).ok_or_else(|| {
            let key = property::FORM;
            fault(format!(
                "`{key}` in its metadata is `{form}`, not `features` or `samples`"
            ))
        })?;
        let model = Self {
            proto,
            form,
            plans: Mutex::default(),
        };
        if form == Form::Features {
            let zeros = vec![0.0; interface.shape.iter().product()];
            model.run(&interface, zeros).map_err(|error| fault(error.to_string()))?;
        }
        Ok((interface, model))
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// The outputs for one input.
    pub fn run(&self, interface: &Interface, input: Vec<f32>) -> Result<Vec<f32>, Error> {
        let [channels, rows, frames] = interface.shape;
        let shape = match self.form {
            Form::Features => vec![1, channels, rows, frames],
            Form::Samples => vec![1, input.len()],
        };
        contained(|| {
            let plan = self.plan(&shape)?;
            let input = Tensor::from_shape(&shape, &input).map_err(told)?;
            let outputs = plan.run(tvec!(input.into())).map_err(told)?;
            let output = outputs.first().ok_or_else(|| Error::Run("it gives nothing".into()))?;
            let output = output.try_as_plain_ram().map_err(told)?;
            let values = output.as_slice::<f32>().map_err(told)?.to_vec();
            match values.len() == interface.output.width() {
                true => Ok(values),
                false => Err(Error::Run(format!(
                    "it gives {} numbers, and its metadata names {}",
                    values.len(),
                    interface.output.names().join(", ")
                ))),
            }
        })
    }

    fn plan(&self, shape: &[usize]) -> Result<Plan, Error> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(shape) {
            return Ok(plan.clone());
        }
        let plan = tract_onnx::onnx()
            .model_for_proto_model(&self.proto)
            .and_then(|model| model.with_input_fact(0, f32::fact(shape).into()))
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(told)?;
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.insert(shape.to_vec(), plan.clone());
        Ok(plan)
    }
}

fn told(error: impl std::fmt::Display) -> Error {
    Error::Run(format!("{error:#}"))
}

/// A model that makes the runtime break down is at fault itself, and must not end the program.
fn contained<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    crate::contained::contained(AssertUnwindSafe(work))
        .unwrap_or_else(|| Err(Error::Run("the runtime broke down over it".into())))
}

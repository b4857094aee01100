//! Where a network runs, and how exactly.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// GPUs that can be named.
const GPUS: u8 = 8;

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The first GPU, where this build and this machine have one; else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU of this number, from 0.
    Cuda(u8),
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|&number: &u8| number < GPUS);
        match (text, text.strip_prefix("cuda:").and_then(number)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            _ => Err(format!("`{text}` is none of auto, cpu, cuda and cuda:1")),
        }
    }
}

impl TryFrom<String> for DeviceSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceSpec> for String {
    fn from(device: DeviceSpec) -> Self {
        device.to_string()
    }
}

impl JsonSchema for DeviceSpec {
    fn schema_name() -> Cow<'static, str> {
        "DeviceSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let plain = ["auto", "cpu", "cuda"].map(String::from);
        let numbered = (0..GPUS).map(|number| format!("cuda:{number}"));
        let names: Vec<String> = plain.into_iter().chain(numbered).collect();
        json_schema!({
            "description": "Where the network runs: on the CPU, on a GPU (`cuda` is the first, `cuda:1` the second), or (`auto`) on the \
                first GPU where this build and this machine have one, else on the CPU.",
            "type": "string",
            "enum": names,
        })
    }
}

/// What products of convolutions and matrices are computed in on a GPU; all else is in 32 bits. The CPU has 32 bits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionSpec {
    #[default]
    Float32,
    /// Factors rounded to 10 bits of fraction, on tensor cores.
    Tf32,
    /// Factors and products rounded to 7 bits of fraction, on tensor cores.
    Bf16,
}

/// Whether the launches of a training step are recorded once and then given to a GPU at once, as a CUDA graph. Changes no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CudaGraphSpec {
    /// Both are timed during the first steps, and the faster one is taken.
    #[default]
    Auto,
    /// Where that cannot be done, training ends with the reason.
    On,
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_texts_and_back() {
        for (text, device) in [
            ("auto", DeviceSpec::Auto),
            ("cpu", DeviceSpec::Cpu),
            ("cuda", DeviceSpec::Cuda(0)),
            ("cuda:1", DeviceSpec::Cuda(1)),
            ("cuda:7", DeviceSpec::Cuda(7)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda:0".parse(), Ok(DeviceSpec::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:8", "cuda:-1", "CUDA"] {
            assert!(text.parse::<DeviceSpec>().is_err(), "{text}");
        }
    }
}

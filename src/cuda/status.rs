use serde::Serialize;

use super::{Error, Inventory, Library};

/// Whether a GPU can be used, and what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    Ready(Inventory),
    Unusable {
        why: String,
        hint: String,
        /// All of them, also those that were found.
        libraries: Vec<Library>,
    },
    NotBuilt {
        hint: String,
    },
}

impl Status {
    pub(super) fn of(error: &Error, libraries: Vec<Library>) -> Self {
        let hint = error.hint();
        match error {
            Error::NotBuilt => Self::NotBuilt { hint },
            error => Self::Unusable {
                why: error.to_string(),
                hint,
                libraries,
            },
        }
    }

    /// Names and values, for the user.
    pub fn rows(&self) -> Vec<(String, String)> {
        match self {
            Self::Ready(inventory) => inventory.rows(),
            Self::NotBuilt { hint } => {
                vec![(
                    "CUDA".into(),
                    format!("built without CUDA; networks run on the CPU. For GPUs, {hint}"),
                )]
            }
            Self::Unusable { why, hint, libraries } => {
                // Where libraries are missing, their rows say which; elsewhere they say what else could be wrong.
                let why = if libraries.iter().any(|library| library.needed && !library.is_found()) {
                    "libraries are missing; networks run on the CPU"
                } else {
                    why
                };
                let mut rows = vec![("CUDA".to_string(), why.to_string())];
                rows.extend(libraries.iter().filter(|library| library.needed).map(|library| {
                    (
                        library.name.to_string(),
                        format!("{} ({})", library.place_text(), library.purpose),
                    )
                }));
                rows.push(("for GPUs".into(), hint.clone()));
                rows
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::libraries::tests::missing;
    use super::super::libraries::{CUDNN, DRIVER};
    use super::*;
    use crate::cuda::Place;

    fn text(status: &Status) -> String {
        let rows: Vec<String> = status
            .rows()
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        rows.join("\n")
    }

    #[test]
    fn a_build_without_cuda_says_so() {
        insta::assert_snapshot!(text(&Status::of(&Error::NotBuilt, Vec::new())), @r#"CUDA: built without CUDA; networks run on the CPU. For GPUs, build it with `--features cuda` (README.md, "On a GPU")"#);
    }

    #[test]
    fn missing_libraries_have_a_row_each() {
        let driver = missing(DRIVER, &["libcuda.so.1"], &[], &[]);
        let cudnn = Library {
            place: Place::Found("/lib/libcudnn.so.9".into()),
            ..missing(CUDNN, &[], &[], &[])
        };
        let status = Status::of(&Error::Missing(vec![driver.clone()]), vec![driver, cudnn]);
        insta::assert_snapshot!(text(&status), @r"
        CUDA: libraries are missing; networks run on the CPU
        driver: `libcuda.so.1` is not on the system's library path (tests)
        cuDNN: `/lib/libcudnn.so.9` (tests)
        for GPUs: install NVIDIA's driver (it brings libcuda.so.1; in a container, start it with access to the GPU)
        ");
        let json = serde_json::to_value(&status).unwrap();
        assert!(
            json["state"] == "unusable" && json["libraries"][1]["found"] == "/lib/libcudnn.so.9",
            "{json}"
        );
    }

    #[test]
    fn a_driver_without_a_device_is_told() {
        let status = Status::of(&Error::NoDevice, Vec::new());
        assert!(
            text(&status).starts_with("CUDA: NVIDIA's driver knows no GPU"),
            "{}",
            text(&status)
        );
    }
}

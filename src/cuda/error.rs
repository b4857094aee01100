use super::Library;
use super::libraries::DRIVER;

/// Why no GPU can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("affect was built without CUDA")]
    NotBuilt,
    /// Only those that are missing, and at least one.
    #[error("{}", missing(.0))]
    Missing(Vec<Library>),
    #[error("NVIDIA's driver refuses {call}: {why}")]
    Driver { call: &'static str, why: String },
    #[error("NVIDIA's driver knows no GPU that this process may use")]
    NoDevice,
    #[error("NVIDIA's driver is for CUDA {driver}, and affect was built with CUDA {built}")]
    OldDriver { driver: String, built: String },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotBuilt => "build it with `--features cuda` (README.md, \"On a GPU\")".into(),
            Self::Missing(libraries) => {
                let mut remedies: Vec<&str> = Vec::new();
                for library in libraries {
                    if !remedies.contains(&library.remedy()) {
                        remedies.push(library.remedy());
                    }
                }
                let mut text = remedies.join("; ");
                if libraries.iter().any(|library| library.name != DRIVER) {
                    text +=
                        "; name the folder of libraries that are elsewhere in AFFECT_CUDA_LIBRARIES or LD_LIBRARY_PATH";
                }
                text
            }
            Self::Driver { .. } => {
                "`nvidia-smi` shows whether the driver works; after an update of the driver, restart".into()
            }
            Self::NoDevice => {
                "`nvidia-smi` lists the GPUs; CUDA_VISIBLE_DEVICES and a container's settings can hide them".into()
            }
            Self::OldDriver { built, .. } => {
                format!("update the driver to one for CUDA {built}, or build affect with an older CUDA toolkit")
            }
        }
    }
}

fn missing(libraries: &[Library]) -> String {
    let each: Vec<String> = libraries
        .iter()
        .map(|library| format!("{}: {}", library.full_name(), library.place_text()))
        .collect();
    format!("no GPU can be used: libraries are missing ({})", each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::libraries::CUDNN;
    use super::super::libraries::tests::missing;
    use super::*;

    #[test]
    fn every_missing_library_is_named_with_what_to_do() {
        let error = Error::Missing(vec![
            missing(DRIVER, &["libcuda.so.1"], &[], &[]),
            missing("cuBLAS", &["libcublas.so.13"], &["/x"], &[]),
            missing("cuRAND", &["libcurand.so.10"], &["/x"], &[]),
            missing(CUDNN, &["libcudnn.so.9"], &["/x"], &[]),
        ]);
        insta::assert_snapshot!(error, @"no GPU can be used: libraries are missing (NVIDIA's driver: `libcuda.so.1` is not on the system's library path; cuBLAS: `libcublas.so.13` is not on the system's library path, nor in `/x`; cuRAND: `libcurand.so.10` is not on the system's library path, nor in `/x`; cuDNN: `libcudnn.so.9` is not on the system's library path, nor in `/x`)");
        insta::assert_snapshot!(error.hint(), @"install NVIDIA's driver (it brings libcuda.so.1; in a container, start it with access to the GPU); install the CUDA toolkit's libraries (the system's packages, or NVIDIA's wheels); install cuDNN (the system's package, or NVIDIA's wheel nvidia-cudnn-cu13); name the folder of libraries that are elsewhere in AFFECT_CUDA_LIBRARIES or LD_LIBRARY_PATH");
    }

    #[test]
    fn a_missing_driver_is_not_looked_for_in_folders() {
        let error = Error::Missing(vec![missing(DRIVER, &["libcuda.so.1"], &[], &[])]);
        assert!(!error.hint().contains("AFFECT_CUDA_LIBRARIES"), "{}", error.hint());
    }
}

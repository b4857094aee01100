use serde::Serialize;

/// One of NVIDIA's libraries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    /// "cuDNN".
    pub name: &'static str,
    /// "convolutions".
    pub purpose: &'static str,
    /// Whether no GPU can be used without it.
    pub needed: bool,
    #[serde(flatten)]
    pub place: Place,
}

/// Where a library is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The file that was loaded.
    Found(String),
    Missing {
        /// The files that would do, the best one first: "libcudnn.so.9".
        files: Vec<String>,
        /// Where they were looked for, beside the system's search path.
        folders: Vec<String>,
        /// What the system said of files that are there and cannot be loaded.
        complaints: Vec<String>,
    },
}

impl Library {
    pub fn is_found(&self) -> bool {
        matches!(self.place, Place::Found(_))
    }

    /// "NVIDIA's driver", "cuDNN".
    pub(super) fn full_name(&self) -> &'static str {
        if self.name == DRIVER {
            "NVIDIA's driver"
        } else {
            self.name
        }
    }

    /// "`/usr/lib/libcudnn.so.9`", or "`libcudnn.so.9` or `libcudnn.so.8` is not on the system's library path, nor in `/opt/cuda/lib64`".
    pub fn place_text(&self) -> String {
        match &self.place {
            Place::Found(path) => format!("`{path}`"),
            Place::Missing { complaints, files, .. } if !complaints.is_empty() => {
                format!("{} cannot be loaded: {}", ticked(files, " or "), complaints.join("; "))
            }
            Place::Missing { files, folders, .. } if folders.is_empty() => {
                format!("{} is not on the system's library path", ticked(files, " or "))
            }
            Place::Missing { files, folders, .. } => {
                let files = ticked(files, " or ");
                format!(
                    "{files} is not on the system's library path, nor in {}",
                    ticked(folders, " or ")
                )
            }
        }
    }

    /// What to do where it is missing.
    pub(super) fn remedy(&self) -> &'static str {
        match self.name {
            DRIVER => {
                "install NVIDIA's driver (it brings libcuda.so.1; in a container, start it with access to the GPU)"
            }
            CUDNN => "install cuDNN (the system's package, or NVIDIA's wheel nvidia-cudnn-cu13)",
            _ => "install the CUDA toolkit's libraries (the system's packages, or NVIDIA's wheels)",
        }
    }
}

pub(super) const DRIVER: &str = "driver";
pub(super) const CUDNN: &str = "cuDNN";

/// "`a` or `b`".
fn ticked(values: &[String], between: &str) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    values.join(between)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn missing(name: &'static str, files: &[&str], folders: &[&str], complaints: &[&str]) -> Library {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
        Library {
            name,
            purpose: "tests",
            needed: true,
            place: Place::Missing {
                files: owned(files),
                folders: owned(folders),
                complaints: owned(complaints),
            },
        }
    }

    #[test]
    fn a_place_is_told_in_words() {
        let driver = missing(DRIVER, &["libcuda.so.1"], &[], &[]);
        assert_eq!(
            driver.place_text(),
            "`libcuda.so.1` is not on the system's library path"
        );
        let cudnn = missing(CUDNN, &["libcudnn.so.9", "libcudnn.so.8"], &["/a", "/b"], &[]);
        assert_eq!(
            cudnn.place_text(),
            "`libcudnn.so.9` or `libcudnn.so.8` is not on the system's library path, nor in `/a` or `/b`"
        );
        let broken = missing(
            CUDNN,
            &["libcudnn.so.9"],
            &["/a"],
            &["/a/libcudnn.so.9: file too short"],
        );
        assert_eq!(
            broken.place_text(),
            "`libcudnn.so.9` cannot be loaded: /a/libcudnn.so.9: file too short"
        );
        let found = Library {
            place: Place::Found("/a/libcudnn.so.9".into()),
            ..cudnn
        };
        assert_eq!(found.place_text(), "`/a/libcudnn.so.9`");
        assert!(found.is_found() && !broken.is_found());
    }
}

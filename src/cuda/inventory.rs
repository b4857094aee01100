use serde::{Deserialize, Serialize};

/// What a GPU build finds on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The driver's own version, "580.65.06"; `None` where the system does not tell.
    pub driver: Option<String>,
    /// The newest CUDA that the driver knows: "13.0".
    pub driver_cuda: String,
    /// The CUDA toolkit that built the program: "13.0".
    pub built_with: String,
    /// The lowest compute capability that the program's kernels run on: "7.5".
    pub built_for: String,
    pub gpus: Vec<Gpu>,
    /// "13.1.0".
    pub cublas: String,
    /// "9.21.0".
    pub cudnn: String,
}

/// The GPU of a run, and what its numbers come from besides the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuOfRun {
    /// "NVIDIA H200".
    pub name: String,
    /// "9.0".
    pub compute_capability: String,
    /// As in [`Inventory`].
    pub driver: Option<String>,
    pub driver_cuda: String,
    pub built_with: String,
    pub built_for: String,
    /// "cudarc 0.19.10": the bindings.
    pub bindings: String,
    pub cublas: String,
    pub cudnn: String,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// "NVIDIA H200".
    pub name: String,
    /// Major and minor.
    pub compute_capability: (i32, i32),
    /// Bytes.
    pub memory: usize,
    /// Bytes; `None` where the device cannot be used now.
    pub free: Option<usize>,
}

impl Inventory {
    /// What a run on one of the devices notes down.
    pub fn of_run(&self, gpu: &Gpu) -> GpuOfRun {
        let (major, minor) = gpu.compute_capability;
        GpuOfRun {
            name: gpu.name.clone(),
            compute_capability: format!("{major}.{minor}"),
            driver: self.driver.clone(),
            driver_cuda: self.driver_cuda.clone(),
            built_with: self.built_with.clone(),
            built_for: self.built_for.clone(),
            bindings: env!("AFFECT_CUDARC").into(),
            cublas: self.cublas.clone(),
            cudnn: self.cudnn.clone(),
        }
    }

    /// Names and values, for the user.
    pub fn rows(&self) -> Vec<(String, String)> {
        let driver = self
            .driver
            .as_ref()
            .map(|version| format!(" {version}"))
            .unwrap_or_default();
        let (cuda, built_with, built_for) = (&self.driver_cuda, &self.built_with, &self.built_for);
        let mut rows = vec![(
            "CUDA".to_string(),
            format!(
                "driver{driver} for CUDA {cuda}; built with CUDA {built_with} for compute capability {built_for} and later"
            ),
        )];
        rows.extend(
            self.gpus
                .iter()
                .enumerate()
                .map(|(index, gpu)| (format!("GPU {index}"), gpu.text())),
        );
        rows.push(("cuBLAS".into(), self.cublas.clone()));
        rows.push(("cuDNN".into(), self.cudnn.clone()));
        rows
    }
}

impl Gpu {
    fn text(&self) -> String {
        let (major, minor) = self.compute_capability;
        let free = self.free.map_or("it cannot be used now".to_string(), |bytes| {
            format!("{} free", gibibytes(bytes))
        });
        format!(
            "{}, compute capability {major}.{minor}, {} of memory, {free}",
            self.name,
            gibibytes(self.memory)
        )
    }
}

/// "139.8 GiB".
fn gibibytes(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let gibibytes = bytes as f64 / f64::from(1 << 30);
    format!("{gibibytes:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_shown_with_their_memory() {
        let inventory = Inventory {
            driver: Some("580.65.06".into()),
            driver_cuda: "13.0".into(),
            built_with: "13.0".into(),
            built_for: "7.5".into(),
            gpus: vec![
                Gpu {
                    name: "NVIDIA H200".into(),
                    compute_capability: (9, 0),
                    memory: 150_110_011_392,
                    free: Some(149_600_000_000),
                },
                Gpu {
                    name: "Tesla T4".into(),
                    compute_capability: (7, 5),
                    memory: 15_655_829_504,
                    free: None,
                },
            ],
            cublas: "13.1.0".into(),
            cudnn: "9.21.0".into(),
        };
        let of_run = inventory.of_run(&inventory.gpus[1]);
        assert!(of_run.bindings.starts_with("cudarc "), "{of_run:?}");
        assert_eq!(
            (of_run.name.as_str(), of_run.compute_capability.as_str()),
            ("Tesla T4", "7.5")
        );
        assert_eq!((of_run.cublas, of_run.cudnn), ("13.1.0".into(), "9.21.0".into()));
        let rows: Vec<String> = inventory
            .rows()
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        CUDA: driver 580.65.06 for CUDA 13.0; built with CUDA 13.0 for compute capability 7.5 and later
        GPU 0: NVIDIA H200, compute capability 9.0, 139.8 GiB of memory, 139.3 GiB free
        GPU 1: Tesla T4, compute capability 7.5, 14.6 GiB of memory, it cannot be used now
        cuBLAS: 13.1.0
        cuDNN: 9.21.0
        ");
    }
}

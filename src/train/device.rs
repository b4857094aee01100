//! Where the network runs.

use candle_core::Device;

use super::Error;
use super::spec::DeviceSpec;

/// The device that the settings ask for.
pub fn open(spec: DeviceSpec) -> Result<Device, Error> {
    match spec {
        DeviceSpec::Auto | DeviceSpec::Cpu => Ok(Device::Cpu),
    }
}

/// "cpu".
pub fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

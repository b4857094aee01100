//! What is known of a batch, on its way to the kernels that compute its loss.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, result};
use candle_core::{Device, Error, Result};

use super::gpu::{Address, Gpu};

/// A place on one GPU for some words of 32 bits, which are other ones in each step.
#[derive(Clone)]
pub struct Facts {
    gpu: Gpu,
    array: Arc<CudaSlice<u32>>,
}

/// Some of them, one behind the other.
#[derive(Clone)]
pub struct FactsAt {
    facts: Facts,
    begin: usize,
    length: usize,
}

impl Facts {
    /// A place for `length` words.
    pub fn of(device: &Device, length: usize) -> Result<Self> {
        let gpu = Gpu::of(device.as_cuda_device()?);
        let array = Arc::new(gpu.empty(length)?);
        Ok(Self { gpu, array })
    }

    /// Words that fit.
    pub fn room(&self) -> usize {
        self.array.len()
    }

    /// Replaces all of them, for everything that is launched from now on.
    #[allow(unsafe_code)]
    pub fn set(&self, words: &[u32]) -> Result<()> {
        if words.len() > self.array.len() {
            candle_core::bail!("{} words do not fit into a place of {}", words.len(), self.array.len())
        }
        let stream = self.gpu.device.cuda_stream();
        stream.context().bind_to_thread().map_err(Error::wrap)?;
        let Address(to) = self.gpu.address(&self.array);
        // SAFETY: the place has room for the words, and what was launched before on the same stream has read the old ones. The driver has
        // taken the words out of this memory, which is no page-locked one, when the call returns.
        unsafe { result::memcpy_htod_async(to, words, stream.cu_stream()) }.map_err(Error::wrap)
    }

    /// Those from `begin` on.
    pub fn at(&self, begin: usize, length: usize) -> Result<FactsAt> {
        if begin.checked_add(length).is_none_or(|end| end > self.array.len()) {
            candle_core::bail!("there are no words {begin} to {begin} + {length}")
        }
        Ok(FactsAt {
            facts: self.clone(),
            begin,
            length,
        })
    }
}

impl FactsAt {
    /// For kernels that read `length` words.
    pub(super) fn address(&self, length: usize) -> Result<Address> {
        if length != self.length {
            candle_core::bail!("a loss needs {length} words, not {}", self.length)
        }
        let Address(begin) = self.facts.gpu.address(&self.facts.array);
        Ok(Address(begin + (self.begin * size_of::<u32>()) as u64))
    }
}

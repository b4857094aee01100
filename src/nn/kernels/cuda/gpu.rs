//! Kernels, arrays and launches on one GPU.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DevicePtr, DeviceRepr, LaunchConfig, result};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor};

/// A file of kernels, compiled to PTX.
#[derive(Clone, Copy)]
pub struct Source {
    pub name: &'static str,
    pub ptx: &'static str,
}

macro_rules! source {
    ($name:literal) => {
        Source {
            name: concat!("affect-", $name),
            ptx: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),
        }
    };
}

pub const ELEMENTWISE: Source = source!("elementwise");
pub const BLOCK: Source = source!("block");
pub const FIRST_LAYER: Source = source!("first_layer");
pub const POOL: Source = source!("pool");
pub const SEQUENCE: Source = source!("sequence");
pub const UPDATE: Source = source!("update");
pub const LOSS: Source = source!("loss");

/// Threads of a block where nothing else is said; the kernels' `REDUCED`.
pub const THREADS: u32 = 256;
/// The most blocks of a launch whose threads walk over all elements.
const BLOCKS: u32 = 1 << 16;

/// The address of an array on the device, 0 for none: as the kernels take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Address(pub u64);

impl Address {
    pub const NONE: Self = Self(0);
}

// SAFETY: a device address is 64 bits, on the host as on the device.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Address {}

/// One GPU, for the length of an operator.
#[derive(Clone)]
pub struct Gpu {
    pub device: CudaDevice,
}

impl Gpu {
    pub fn of(device: &CudaDevice) -> Self {
        Self { device: device.clone() }
    }

    /// That of a tensor.
    pub fn of_tensor(tensor: &Tensor) -> Result<Self> {
        Ok(Self::of(tensor.device().as_cuda_device()?))
    }

    /// An array of this length, whose numbers are of no meaning yet.
    #[allow(unsafe_code)]
    pub fn empty<T: DeviceRepr>(&self, length: usize) -> Result<CudaSlice<T>> {
        // SAFETY: every kernel of this folder writes the whole array that it was given for its result before anything reads it,
        // and all run on one stream.
        unsafe { self.device.alloc::<T>(length.max(1)) }
    }

    /// The address of an array, for kernels and libraries that run on the device's stream. The array must live until what uses
    /// it is launched; its memory is given back in the order of the stream.
    pub fn address<T>(&self, array: &CudaSlice<T>) -> Address {
        let stream = self.device.cuda_stream();
        let (address, _synchronization) = array.device_ptr(&stream);
        Address(address)
    }

    /// The same for a part of one.
    pub fn address_of_view<T>(&self, array: &CudaView<T>) -> Address {
        let stream = self.device.cuda_stream();
        let (address, _synchronization) = array.device_ptr(&stream);
        Address(address)
    }

    /// An array as a tensor.
    pub fn tensor<T: CudaDType>(&self, array: CudaSlice<T>, shape: impl Into<Shape>) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(array, self.device.clone());
        Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
    }

    pub fn storage<T: CudaDType>(&self, array: CudaSlice<T>) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(array, self.device.clone())
    }
}

/// The numbers of a contiguous tensor on the GPU.
pub fn view<'a, T: CudaDType>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, T>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("this operator needs a contiguous tensor")
    };
    match storage.as_cuda_slice::<T>()?.try_slice(start..end) {
        Some(view) => Ok(view),
        None => candle_core::bail!("a tensor's layout reaches beyond its storage"),
    }
}

/// Calls `work` with the address of the numbers of `tensor`, which is made contiguous first.
pub fn with_address<T: CudaDType, R>(tensor: &Tensor, work: impl FnOnce(Address) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => {
            let gpu = Gpu::of(storage.device());
            work(gpu.address_of_view(&view::<T>(storage, layout)?))
        }
        Storage::Cpu(_) | Storage::Metal(_) => {
            candle_core::bail!(
                "one of an operator's tensors is on the GPU, another is on {:?}",
                tensor.device()
            )
        }
    }
}

/// Where the numbers of a tensor begin that lie one behind the other. It must live until what uses them is launched.
pub fn address_within(tensor: &Tensor) -> Result<Address> {
    if !tensor.is_contiguous() {
        candle_core::bail!("a tensor {:?} does not lie in one piece", tensor.shape())
    }
    with_address::<f32, _>(tensor, Ok)
}

/// Writes the numbers of a tensor over those of another one on the same GPU, of the same type and size.
#[allow(unsafe_code)]
pub fn copy_over(from: &Tensor, to: &Tensor) -> Result<()> {
    if from.dtype() != to.dtype() || from.elem_count() != to.elem_count() || !to.is_contiguous() {
        candle_core::bail!(
            "a tensor {:?} cannot be written over one {:?}",
            from.shape(),
            to.shape()
        )
    }
    let gpu = Gpu::of_tensor(from)?;
    let bytes = from.elem_count() * from.dtype().size_in_bytes();
    let copy = |Address(source): Address, Address(goal): Address| {
        let stream = gpu.device.cuda_stream();
        // SAFETY: both have so many bytes, and are used on this stream alone.
        unsafe { result::memcpy_dtod_async(goal, source, bytes, stream.cu_stream()) }.map_err(candle_core::Error::wrap)
    };
    match from.dtype() {
        DType::F32 => with_address::<f32, _>(from, |source| with_address::<f32, _>(to, |goal| copy(source, goal))),
        DType::F64 => with_address::<f64, _>(from, |source| with_address::<f64, _>(to, |goal| copy(source, goal))),
        other => candle_core::bail!("tensors of {other:?} are not copied"),
    }
}

/// Threads that walk over `count` elements.
pub fn elements(count: usize) -> LaunchConfig {
    let blocks = count.div_ceil(THREADS as usize).clamp(1, BLOCKS as usize);
    LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// A thread for each place of a plane, and planes walked over.
pub fn planes(planes: usize, places: usize) -> LaunchConfig {
    let width = places.next_power_of_two().clamp(1, THREADS as usize);
    let height = THREADS as usize / width;
    let rows = planes.div_ceil(height).clamp(1, 65_535);
    LaunchConfig {
        grid_dim: (places.div_ceil(width).max(1) as u32, rows as u32, 1),
        block_dim: (width as u32, height as u32, 1),
        shared_mem_bytes: 0,
    }
}

/// A block of [`THREADS`] for each of `x` × `y`.
pub fn blocks(x: usize, y: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (x.max(1) as u32, y.max(1) as u32, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// Into how many parts a sum over `count` values is divided, where there are `sums` of them: enough to occupy a large GPU, and each
/// worth a block. Part of the result's definition, and therefore no matter of the device.
pub fn parts(count: usize, sums: usize) -> usize {
    const BLOCKS: usize = 1024;
    const LEAST: usize = 2048;
    (count / LEAST).clamp(1, BLOCKS.div_ceil(sums.max(1)).clamp(1, 256))
}

/// A size as the kernels take it.
pub fn int(size: usize) -> Result<i32> {
    match i32::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => candle_core::bail!("a size of {size} is too large for a GPU kernel"),
    }
}

/// Launches a kernel. The arguments must be those of the kernel's definition, in order and type.
macro_rules! launch {
    ($gpu:expr, $source:expr, $name:expr, $config:expr, $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg as _;
        let source: $crate::nn::kernels::cuda::gpu::Source = $source;
        let kernel = $gpu.device.get_or_load_custom_func($name, source.name, source.ptx)?;
        let mut builder = kernel.builder();
        candle_core::builder_arg!(builder, $($argument),+);
        // SAFETY: the kernel is one of this crate's, the arguments are those of its definition, every address is that of an array
        // that is as long as the sizes among the arguments say (the caller's duty), and the launch has a block of the size
        // that the kernel is written for.
        #[allow(unsafe_code)]
        let launched = unsafe { builder.launch($config) };
        launched.map(|_| ()).map_err(candle_core::Error::wrap)
    }};
}
pub(super) use launch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_cover_everything() {
        for count in [1, 255, 256, 257, 1 << 30] {
            let config = elements(count);
            assert!(config.grid_dim.0 >= 1 && config.grid_dim.0 <= BLOCKS);
        }
        for (number, places) in [(1, 1), (32 * 16, 1), (70_000_000, 1), (3, 255), (1, 100_000)] {
            let config = planes(number, places);
            assert_eq!(config.block_dim.0 * config.block_dim.1, THREADS, "{number} {places}");
            assert!(config.grid_dim.0 as usize * config.block_dim.0 as usize >= places);
            assert!(config.grid_dim.1 <= 65_535);
        }
    }

    #[test]
    fn parts_depend_on_the_shape_alone_and_are_never_empty() {
        assert_eq!(parts(1, 1), 1);
        assert_eq!(parts(0, 64), 1);
        for (count, sums) in [(5_000_000, 1), (5_000_000, 64), (10_000, 4), (4096, 2000)] {
            let parts = parts(count, sums);
            assert!((1..=256).contains(&parts) && count / parts >= 1);
        }
    }
}

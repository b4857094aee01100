//! The launches of a whole step, recorded once and done again at once (a CUDA graph).
//!
//! What is recorded keeps the addresses and numbers that it was launched with. So everything that changes from step to step must lie at
//! an address of its own: the batch ([`super::feeder`]), what is known of it ([`super::facts`]), and the rest in a [`super::StepCell`].
//! Arrays that are made and given up on the way become part of the recording, which has memory of its own for them.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::sys::{
    self, CUgraphInstantiate_flags, CUgraphNodeType, CUstreamCaptureMode,
};
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaStream, DriverError, result};
use candle_core::{Device, Error, Result};

use super::cudnn;
use super::gpu::Gpu;

/// Recorded launches on one GPU.
pub struct Graph {
    graph: CudaGraph,
    /// What it uses of others, and nobody else knows to be in use.
    _workspace: Option<cudnn::Workspace>,
    // Dropped after the recording.
    memory: Memory,
}

/// The memory of recordings that are gone.
struct Memory(CudaDevice);

/// Does `work` so that it can be recorded afterwards: small arrays that Candle's operations copy to the GPU (shapes and strides)
/// are kept there for good. A recording cannot copy them, and fails where it misses one.
pub fn prepared<R>(device: &Device, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let _kept = device.as_cuda_device()?.enable_cuda_graph_htod_cache();
    work()
}

/// Records what `work` launches, instead of doing it.
///
/// # Errors
/// What cannot be recorded, with the reason. Nothing was done then, and all is as if `work` had not been called; `work` must give up
/// every array that it made, and none that was there before.
pub fn record(device: &Device, work: impl FnOnce() -> Result<()>) -> Result<Graph> {
    let device = device.as_cuda_device()?;
    // What the steps before needed is of no use any more: the recording gets memory of its own.
    give_back_memory(device);
    let _kept = device.enable_cuda_graph_htod_cache();
    let recording = Recording::begin(device)?;
    let worked = work();
    let graph = recording.end();
    worked?;
    let graph = graph?;
    let workspace = cudnn::workspace(&Gpu::of(device))?;
    let kinds = kinds(&graph).map_err(Error::wrap)?;
    let count = |kind: CUgraphNodeType| kinds.iter().filter(|of| **of == kind).count();
    let (made, given_up) = (
        count(CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC),
        count(CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_FREE),
    );
    if made != given_up {
        candle_core::bail!("{made} arrays are made in a step, but {given_up} are given up");
    }
    graph.upload().map_err(Error::wrap)?;
    Ok(Graph {
        graph,
        _workspace: workspace,
        memory: Memory(device.clone()),
    })
}

/// A stream that records. It does not any more when this is gone, whatever happens in between: else nothing could run on it.
struct Recording {
    stream: Arc<CudaStream>,
    is_over: bool,
}

impl Recording {
    fn begin(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        // Other threads go on copying batches meanwhile: their calls are none of this recording's business.
        stream
            .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .map_err(Error::wrap)?;
        Ok(Self { stream, is_over: false })
    }

    fn end(mut self) -> Result<CudaGraph> {
        match self.stop() {
            Ok(Some(graph)) => Ok(graph),
            Ok(None) => candle_core::bail!("the driver recorded nothing"),
            Err(error) => Err(Error::wrap(error)),
        }
    }

    fn stop(&mut self) -> std::result::Result<Option<CudaGraph>, DriverError> {
        self.is_over = true;
        // Arrays that were given up in a recording that is spoilt left an error behind, and cudarc does nothing before it has told it.
        let left = self.stream.context().check_err();
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0));
        left.and(graph)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.stop();
        }
    }
}

impl Graph {
    /// Does it all again, in the order of the stream.
    pub fn launch(&self) -> Result<()> {
        self.graph.launch().map_err(Error::wrap)
    }

    /// Whether the GPU has memory for this and for a step of which nothing is recorded. Waits for the GPU.
    #[allow(unsafe_code)]
    pub fn has_room_beside(&self) -> Result<bool> {
        let stream = self.memory.0.cuda_stream();
        stream.synchronize().map_err(Error::wrap)?;
        let (free, _) = result::mem_get_info().map_err(Error::wrap)?;
        let mut own = 0u64;
        let attribute = sys::CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT;
        let Some(device) = number_of(&self.memory.0) else {
            return Ok(true);
        };
        // SAFETY: the address is that of a variable of the type that the driver writes for this attribute.
        unsafe { sys::cuDeviceGetGraphMemAttribute(device, attribute, (&raw mut own).cast()) }
            .result()
            .map_err(Error::wrap)?;
        Ok(free as u64 >= own)
    }
}

impl Drop for Memory {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let stream = self.0.cuda_stream();
        if let Some(device) = number_of(&self.0)
            && stream.synchronize().is_ok()
        {
            // SAFETY: takes a number. Only memory that no recording uses is given back; where that fails it stays, which is no harm.
            let _ = unsafe { sys::cuDeviceGraphMemTrim(device) }.result();
        }
    }
}

/// The driver's number of a GPU.
#[allow(unsafe_code)]
fn number_of(device: &CudaDevice) -> Option<sys::CUdevice> {
    let ordinal = i32::try_from(device.cuda_stream().context().ordinal()).ok()?;
    let mut number: sys::CUdevice = 0;
    // SAFETY: the address is that of a variable of the type that the driver writes.
    unsafe { sys::cuDeviceGet(&mut number, ordinal) }.result().ok()?;
    Some(number)
}

/// The kinds of all operations.
#[allow(unsafe_code)]
fn kinds(graph: &CudaGraph) -> std::result::Result<Vec<CUgraphNodeType>, DriverError> {
    let mut count = 0usize;
    // SAFETY: the graph is alive; without a place for nodes only their number is written.
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &mut count).result()? };
    let mut nodes: Vec<sys::CUgraphNode> = vec![std::ptr::null_mut(); count];
    // SAFETY: there is room for as many nodes as `count` says.
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), nodes.as_mut_ptr(), &mut count).result()? };
    nodes.truncate(count);
    nodes
        .into_iter()
        .map(|node| {
            let mut kind = CUgraphNodeType::CU_GRAPH_NODE_TYPE_KERNEL;
            // SAFETY: the node is one of the graph's.
            unsafe { sys::cuGraphNodeGetType(node, &mut kind).result()? };
            Ok(kind)
        })
        .collect()
}

/// Gives memory that nobody uses back to the driver. Where that fails it stays, which is no harm.
#[allow(unsafe_code)]
fn give_back_memory(device: &CudaDevice) {
    let stream = device.cuda_stream();
    let Some(number) = number_of(device) else {
        return;
    };
    let mut pool: sys::CUmemoryPool = std::ptr::null_mut();
    // SAFETY: the addresses are those of variables of the types that the driver writes. Only memory that is free already is given
    // back.
    unsafe {
        if sys::cuDeviceGetDefaultMemPool(&mut pool, number).result().is_ok() && stream.synchronize().is_ok() {
            let _ = sys::cuMemPoolTrimTo(pool, 0).result();
        }
    }
}

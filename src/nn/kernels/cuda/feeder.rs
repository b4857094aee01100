//! Arrays on their way to a GPU while it works on others.
//!
//! An array is written into page-locked memory, copied from there to a room on the GPU by a stream of its own, and from the room into
//! a tensor by the stream that computes (which takes as long as reading it once). Events order the two streams; the host waits only
//! for a copy whose memory it is to write again.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaSlice, CudaStream, PinnedHostSlice};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Device, Error, Result, Shape, Tensor};

use super::gpu::Gpu;

/// Feeders that nobody uses at the moment.
static IDLE: Mutex<Vec<Feeder>> = Mutex::new(Vec::new());

/// Rooms on one GPU, each for an array.
pub struct Feeder {
    device: CudaDevice,
    copies: Arc<CudaStream>,
    /// Numbers that fit into a room.
    size: usize,
    number: usize,
    back: Sender<Place>,
    free: Mutex<Receiver<Place>>,
}

/// A place for an array, in the memory of both sides.
struct Place {
    host: PinnedHostSlice<f32>,
    room: CudaSlice<f32>,
    /// The copy from the host's side.
    copied: Option<CudaEvent>,
    /// The copy out of the room.
    taken: Option<CudaEvent>,
}

/// A place that is being written.
pub struct Room {
    place: Option<Place>,
    back: Sender<Place>,
    device: CudaDevice,
    copies: Arc<CudaStream>,
    length: usize,
}

/// An array that is under way, or there.
pub struct Loaded(Room);

impl Feeder {
    /// With `number` places of at least `size` numbers.
    pub fn of(device: &Device, number: usize, size: usize) -> Result<Self> {
        let device = device.as_cuda_device()?;
        let mut idle = IDLE.lock().map_err(|_| poisoned())?;
        let fits = |feeder: &Self| feeder.device.id() == device.id() && feeder.number >= number && feeder.size >= size;
        if let Some(found) = idle.iter().position(fits) {
            return Ok(idle.swap_remove(found));
        }
        // One that is too small is not needed any more.
        let id: DeviceId = device.id();
        idle.retain(|feeder| feeder.device.id() != id);
        drop(idle);
        Self::new(device, number, size.max(1))
    }

    fn new(device: &CudaDevice, number: usize, size: usize) -> Result<Self> {
        let gpu = Gpu::of(device);
        let stream = device.cuda_stream();
        let copies = stream.context().new_stream().map_err(Error::wrap)?;
        let (back, free) = channel();
        for _ in 0..number {
            // SAFETY: the memory is read by the copies alone, and only as far as it was written before.
            #[allow(unsafe_code)]
            let host = unsafe { stream.context().alloc_pinned_with_flags::<f32>(size, 0) };
            let place = Place {
                host: host.map_err(Error::wrap)?,
                room: gpu.empty(size)?,
                copied: None,
                taken: None,
            };
            let _ = back.send(place);
        }
        // The rooms are there for both streams.
        stream.synchronize().map_err(Error::wrap)?;
        Ok(Self {
            device: device.clone(),
            copies,
            size,
            number,
            back,
            free: Mutex::new(free),
        })
    }

    /// A place for `length` numbers; waits until one is free.
    pub fn room(&self, length: usize) -> Result<Room> {
        if length > self.size {
            candle_core::bail!("an array of {length} numbers does not fit into a room of {}", self.size)
        }
        let free = self.free.lock().map_err(|_| poisoned())?;
        let mut place = free.recv().map_err(Error::wrap)?;
        drop(free);
        if let Some(copied) = place.copied.take() {
            copied.synchronize().map_err(Error::wrap)?;
        }
        Ok(Room {
            place: Some(place),
            back: self.back.clone(),
            device: self.device.clone(),
            copies: Arc::clone(&self.copies),
            length,
        })
    }

    /// Keeps it for the next user.
    pub fn rest(self) {
        if let Ok(mut idle) = IDLE.lock() {
            idle.push(self);
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // A copy that nobody took may be under way. A failure shows at the next use of the GPU.
        let _ = self.copies.synchronize();
    }
}

impl Room {
    /// The numbers to be written: all of them, since what was there before is of no meaning.
    pub fn numbers(&mut self) -> Result<&mut [f32]> {
        let length = self.length;
        match &mut self.place {
            Some(place) => Ok(&mut place.host.as_mut_slice().map_err(Error::wrap)?[..length]),
            None => Err(poisoned()),
        }
    }

    /// Sends them off.
    pub fn send(mut self) -> Result<Loaded> {
        let Some(place) = &mut self.place else {
            return Err(poisoned());
        };
        if let Some(taken) = place.taken.take() {
            self.copies.wait(&taken).map_err(Error::wrap)?;
        }
        let numbers = &place.host.as_slice().map_err(Error::wrap)?[..self.length];
        let mut room = place.room.slice_mut(..self.length);
        self.copies.memcpy_htod(numbers, &mut room).map_err(Error::wrap)?;
        place.copied = Some(self.copies.record_event(None).map_err(Error::wrap)?);
        Ok(Loaded(self))
    }
}

impl Loaded {
    /// As a tensor, for the stream that computes. The room is free again.
    pub fn tensor(mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        let gpu = Gpu::of(&self.0.device);
        let stream = self.0.device.cuda_stream();
        let length = self.0.length;
        let Some(place) = &mut self.0.place else {
            return Err(poisoned());
        };
        if let Some(copied) = &place.copied {
            stream.wait(copied).map_err(Error::wrap)?;
        }
        let mut out = gpu.empty::<f32>(length)?;
        stream
            .memcpy_dtod(&place.room.slice(..length), &mut out.slice_mut(..length))
            .map_err(Error::wrap)?;
        place.taken = Some(stream.record_event(None).map_err(Error::wrap)?);
        Ok(gpu.tensor(out, shape))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let _ = self.back.send(place);
        }
    }
}

fn poisoned() -> Error {
    Error::Msg("sending a batch to the GPU failed before".into())
}

//! Arrays on their way to a GPU while it works on others.
//!
//! An array is written into page-locked memory, copied from there to a room on the GPU by a stream of its own, and from the room to
//! its desk by the stream that computes (which takes as long as reading it twice). Events order the two streams; the host waits
//! only for a copy whose memory it is to write again. A desk is always the same memory, so that recorded launches
//! ([`super::graph`]) find the next batch where the last one was.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaSlice, CudaStream, DriverError, PinnedHostSlice, result,
};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Device, Error, Result, Shape, Tensor};

use super::gpu::{Address, Gpu, with_address};

/// Feeders that nobody uses at the moment.
static IDLE: Mutex<Vec<Feeder>> = Mutex::new(Vec::new());

/// Rooms on one GPU, each for an array.
pub struct Feeder {
    device: CudaDevice,
    copies: Arc<CudaStream>,
    /// Numbers that fit into a room.
    size: usize,
    number: usize,
    /// What the stream that computes reads, `[size]` each.
    desks: Vec<Tensor>,
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
    copies: Arc<CudaStream>,
    length: usize,
}

/// An array that is under way, or there.
pub struct Loaded(Room);

impl Feeder {
    /// With `desks` for arrays of at most `size` numbers that are needed at once, and `ahead` more places for each that wait or are
    /// under way.
    pub fn of(device: &Device, desks: usize, ahead: usize, size: usize) -> Result<Self> {
        let number = desks * ahead;
        let device = device.as_cuda_device()?;
        let mut idle = IDLE.lock().map_err(|_| poisoned())?;
        let fits = |feeder: &Self| {
            feeder.device.id() == device.id()
                && feeder.number >= number
                && feeder.desks.len() >= desks
                && feeder.size >= size
        };
        if let Some(found) = idle.iter().position(fits) {
            return Ok(idle.swap_remove(found));
        }
        // One that is too small is not needed any more.
        let id: DeviceId = device.id();
        idle.retain(|feeder| feeder.device.id() != id);
        drop(idle);
        Self::new(device, desks, number, size.max(1))
    }

    fn new(device: &CudaDevice, desks: usize, number: usize, size: usize) -> Result<Self> {
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
        let desks = (0..desks).map(|_| Ok(gpu.tensor(gpu.empty::<f32>(size)?, size)));
        let desks = desks.collect::<Result<_>>()?;
        // The rooms are there for both streams.
        stream.synchronize().map_err(Error::wrap)?;
        Ok(Self {
            device: device.clone(),
            copies,
            size,
            number,
            desks,
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
            again(|| copied.synchronize())?;
        }
        Ok(Room {
            place: Some(place),
            back: self.back.clone(),
            copies: Arc::clone(&self.copies),
            length,
        })
    }

    /// An array as a tensor on one of the desks, for the stream that computes. The one that was there before is gone; the room is
    /// free again.
    #[allow(unsafe_code)]
    pub fn lay(&self, mut loaded: Loaded, desk: usize, shape: impl Into<Shape>) -> Result<Tensor> {
        let stream = self.device.cuda_stream();
        let length = loaded.0.length;
        let (Some(place), Some(desk)) = (&mut loaded.0.place, self.desks.get(desk)) else {
            return Err(poisoned());
        };
        if let Some(copied) = &place.copied {
            stream.wait(copied).map_err(Error::wrap)?;
        }
        let tensor = desk.narrow(0, 0, length)?.reshape(shape)?;
        let gpu = Gpu::of(&self.device);
        let Address(from) = gpu.address(&place.room);
        with_address::<f32, _>(&tensor, |Address(to)| {
            let bytes = length * size_of::<f32>();
            // SAFETY: room and desk have `length` numbers at least, and everything that reads the desk runs on this stream, in order.
            unsafe { result::memcpy_dtod_async(to, from, bytes, stream.cu_stream()) }.map_err(Error::wrap)
        })?;
        place.taken = Some(stream.record_event(None).map_err(Error::wrap)?);
        Ok(tensor)
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
            again(|| self.copies.wait(&taken))?;
        }
        let numbers = &place.host.as_slice().map_err(Error::wrap)?[..self.length];
        let mut room = place.room.slice_mut(..self.length);
        again(|| self.copies.memcpy_htod(numbers, &mut room))?;
        place.copied = Some(again(|| self.copies.record_event(None))?);
        Ok(Loaded(self))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let _ = self.back.send(place);
        }
    }
}

/// Calls once more where a call fails: cudarc tells an error that another thread's recording left behind ([`super::graph`]) to
/// whoever calls next, instead of doing what it was called for. An error of its own comes back.
fn again<R>(mut call: impl FnMut() -> std::result::Result<R, DriverError>) -> Result<R> {
    call().or_else(|_| call()).map_err(Error::wrap)
}

fn poisoned() -> Error {
    Error::Msg("sending a batch to the GPU failed before".into())
}

//! Work on all cores whose results are taken in order, with a bounded number of them in memory.
//!
//! A core takes the next item as soon as it is free; only when it is [`Limits::ahead`] items before the one that the sink waits
//! for does it wait itself. So one long item delays nobody until that many others are done, and nothing grows with the number
//! of items.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Calls `work` for each number below `count` on the threads of the current rayon pool, and `sink` with the results in order, on
/// a thread of its own (which must not wait for the pool). At most `ahead` results wait or are being computed. `state` is made
/// once per thread.
///
/// # Errors
/// The sink's first; no more is taken from then on.
pub fn ordered<S, T: Send, E: Send>(
    count: usize,
    ahead: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    sink: impl FnMut(T) -> Result<(), E> + Send,
) -> Result<(), E> {
    let queue = Queue {
        inner: Mutex::new(Inner {
            next: 0,
            taken: 0,
            waiting: BTreeMap::new(),
            stopped: false,
        }),
        room: Condvar::new(),
        result: Condvar::new(),
        count,
        ahead: ahead.max(1),
    };
    std::thread::scope(|scope| {
        let sinking = scope.spawn(|| {
            let _stop = StopAtEnd(&queue);
            queue.drain(sink)
        });
        rayon::broadcast(|_| {
            let mut state = state();
            while let Some(index) = queue.next() {
                // A panic in `work` must not leave the sink waiting for its result.
                let stop = StopAtEnd(&queue);
                let result = work(&mut state, index);
                std::mem::forget(stop);
                queue.put(index, result);
            }
        });
        sinking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// There may be room for another item.
    room: Condvar,
    /// There may be a result for the sink.
    result: Condvar,
    count: usize,
    ahead: usize,
}

struct Inner<T> {
    /// The next item to begin.
    next: usize,
    /// How many results the sink has taken.
    taken: usize,
    waiting: BTreeMap<usize, T>,
    stopped: bool,
}

impl<T> Queue<T> {
    /// A panic elsewhere is passed on by whoever joins; here the state is whole at every unlock.
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item, once there is room for it; `None` when there is none.
    fn next(&self) -> Option<usize> {
        let mut inner = self.lock();
        while !inner.stopped && inner.next < self.count && inner.next >= inner.taken + self.ahead {
            inner = self.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.stopped || inner.next >= self.count {
            return None;
        }
        inner.next += 1;
        Some(inner.next - 1)
    }

    fn put(&self, index: usize, result: T) {
        let mut inner = self.lock();
        inner.waiting.insert(index, result);
        if index == inner.taken {
            self.result.notify_one();
        }
    }

    fn drain<E>(&self, mut sink: impl FnMut(T) -> Result<(), E>) -> Result<(), E> {
        for index in 0..self.count {
            let mut inner = self.lock();
            let result = loop {
                if let Some(result) = inner.waiting.remove(&index) {
                    break result;
                }
                if inner.stopped {
                    return Ok(());
                }
                inner = self.result.wait(inner).unwrap_or_else(PoisonError::into_inner);
            };
            drop(inner);
            sink(result)?;
            self.lock().taken = index + 1;
            self.room.notify_all();
        }
        Ok(())
    }
}

/// Ends the queue when it is dropped, in whatever way.
struct StopAtEnd<'a, T>(&'a Queue<T>);

impl<T> Drop for StopAtEnd<'_, T> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.room.notify_all();
        self.0.result.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_and_few_are_in_flight() {
        let (in_flight, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut taken = Vec::new();
        ordered(
            200,
            5,
            || (),
            |(), index| {
                most.fetch_max(in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros((index % 7) as u64 * 100));
                index
            },
            |index| {
                in_flight.fetch_sub(1, Ordering::SeqCst);
                taken.push(index);
                Ok::<(), ()>(())
            },
        )
        .unwrap();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        assert!(most.into_inner() <= 5 + 1); // the one that the sink holds
    }

    #[test]
    fn the_error_of_the_sink_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let result = ordered(
            1_000_000,
            4,
            || (),
            |(), index| {
                begun.fetch_add(1, Ordering::SeqCst);
                index
            },
            |index| if index == 10 { Err("full") } else { Ok(()) },
        );
        assert_eq!(result, Err("full"));
        assert!(begun.into_inner() <= 10 + 5);
        assert_eq!(ordered(0, 4, || (), |(), index| index, |_| Err("never")), Ok(()));
    }

    #[test]
    fn a_panic_in_the_work_is_passed_on_and_nobody_waits_for_ever() {
        let result = std::panic::catch_unwind(|| {
            ordered(
                100,
                4,
                || (),
                |(), index| assert_ne!(index, 50, "broken"),
                |()| Ok::<(), ()>(()),
            )
        });
        assert!(result.is_err());
    }
}

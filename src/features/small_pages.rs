//! The size of memory pages while features are computed.
//!
//! Decoders allocate little, and the allocator asks Linux for huge pages all the same. Each is cleared whole when it is first touched, and
//! where memory is in small pieces (after other programs) the system first moves pages together to make one: up to a
//! third of the time that a hundred short clips take.

/// While one of these lives, Linux gives the process no huge pages that it does not have. Elsewhere it does nothing.
pub(super) struct SmallPages(());

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::{Mutex, PoisonError};

    /// How many live, and whether the first of them changed the setting.
    static ALIVE: Mutex<(usize, bool)> = Mutex::new((0, false));

    // A system that has no such setting refuses, and nothing is lost.
    pub fn begin() {
        let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.0 == 0 && rustix::thread::transparent_huge_pages_are_disabled().is_ok_and(|disabled| !disabled) {
            alive.1 = rustix::thread::disable_transparent_huge_pages(true).is_ok();
        }
        alive.0 += 1;
    }

    pub fn end() {
        let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
        alive.0 -= 1;
        if alive.0 == 0 && std::mem::take(&mut alive.1) {
            let _ = rustix::thread::disable_transparent_huge_pages(false);
        }
    }
}

impl SmallPages {
    pub fn begin() -> Self {
        #[cfg(target_os = "linux")]
        linux::begin();
        Self(())
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        linux::end();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_that_ends_does_not_end_another() {
        let first = SmallPages::begin();
        drop(SmallPages::begin());
        // Other tests of this process may hold some too.
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
        drop(first);
    }
}

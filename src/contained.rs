//! Panics of others that become errors: a decoder's over a damaged file, a runtime's over a damaged model.

use std::cell::Cell;
use std::panic::UnwindSafe;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; `None` where it panics. Nothing that it leaves behind may be used then.
pub(crate) fn contained<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    let before = CONTAINED.replace(true);
    let result = std::panic::catch_unwind(work);
    CONTAINED.set(before);
    result.ok()
}

/// Whether a panic of this thread would become an error: a panic hook can then be silent.
pub fn panics_are_contained() -> bool {
    CONTAINED.get()
}

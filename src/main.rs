use std::ffi::c_long;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The place of `purge_delay` among mimalloc's options, the same in its versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// How long freed memory is kept before the system gets it back. A training step frees and allocates the same large buffers
/// again and again; with mimalloc's 10 ms the system clears them anew in every step.
const MILLISECONDS: c_long = 10_000;

fn main() -> std::process::ExitCode {
    // SAFETY: takes two numbers; no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MILLISECONDS) };
    affect::cli::main()
}

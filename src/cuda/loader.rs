//! Asks the stand-ins (`build/stand_ins.rs`) for the libraries that they stand for.

use super::Library;
#[cfg(cuda_stand_ins)]
use super::Place;
use super::libraries::{CUDNN, DRIVER};

/// Every library, with what it is for and whether it is needed.
pub fn libraries() -> Vec<Library> {
    const KINDS: [(&str, &str, bool); 6] = [
        (DRIVER, "every call to a GPU", true),
        ("cuBLAS", "matrix products", true),
        ("cuBLASLt", "matrix products; cuBLAS loads it", true),
        ("cuRAND", "random numbers of Candle's devices", true),
        (CUDNN, "convolutions", true),
        ("NVRTC", "compiles kernels at run time; not needed", false),
    ];
    let places = places();
    let kinds = KINDS.into_iter().zip(places);
    kinds
        .map(|((name, purpose, needed), place)| Library {
            name,
            purpose,
            needed,
            place,
        })
        .collect()
}

/// Where there are no stand-ins the program would not have started without its libraries.
#[cfg(not(cuda_stand_ins))]
fn places() -> [super::Place; 6] {
    std::array::from_fn(|_| super::Place::Found("loaded with the program".into()))
}

#[cfg(cuda_stand_ins)]
fn places() -> [Place; 6] {
    use std::ffi::{c_char, c_int};

    // SAFETY: the signatures are those of build/loader.c.
    #[allow(unsafe_code)]
    unsafe extern "C" {
        fn affect_load_libcuda(text: *mut c_char, capacity: usize) -> c_int;
        fn affect_load_libcublas(text: *mut c_char, capacity: usize) -> c_int;
        fn affect_load_libcublasLt(text: *mut c_char, capacity: usize) -> c_int;
        fn affect_load_libcurand(text: *mut c_char, capacity: usize) -> c_int;
        fn affect_load_libcudnn(text: *mut c_char, capacity: usize) -> c_int;
        fn affect_load_libnvrtc(text: *mut c_char, capacity: usize) -> c_int;
    }
    type Load = unsafe extern "C" fn(*mut c_char, usize) -> c_int;
    let load: [Load; 6] = [
        affect_load_libcuda,
        affect_load_libcublas,
        affect_load_libcublasLt,
        affect_load_libcurand,
        affect_load_libcudnn,
        affect_load_libnvrtc,
    ];
    load.map(|load| {
        let mut text = vec![0_u8; 16 << 10];
        // SAFETY: writes at most `len` bytes, the last one 0. Loading a library runs its initialisers: those of NVIDIA's are
        // as trusted as its functions.
        #[allow(unsafe_code)]
        let found = unsafe { load(text.as_mut_ptr().cast(), text.len()) };
        let end = text.iter().position(|byte| *byte == 0).unwrap_or_default();
        place(
            found == 1,
            &String::from_utf8_lossy(text.get(..end).unwrap_or_default()),
        )
    })
}

/// Reads the lines that `build/loader.c` writes: a letter, and what it is about.
#[cfg(cuda_stand_ins)]
fn place(found: bool, report: &str) -> Place {
    let all = |letter: char| {
        let lines = report.lines().filter_map(move |line| line.strip_prefix(letter));
        lines.map(String::from).collect::<Vec<_>>()
    };
    if found {
        return Place::Found(all('p').pop().unwrap_or_else(|| "loaded".into()));
    }
    Place::Missing {
        files: all('n'),
        folders: all('f'),
        complaints: all('e'),
    }
}

#[cfg(all(test, cuda_stand_ins))]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        assert_eq!(place(true, "p/a/libx.so.1\n"), Place::Found("/a/libx.so.1".into()));
        let missing = place(false, "f/a\nf/b\ne/b/libx.so.1: file too short\nnlibx.so.1\n");
        let expected = Place::Missing {
            files: vec!["libx.so.1".into()],
            folders: vec!["/a".into(), "/b".into()],
            complaints: vec!["/b/libx.so.1: file too short".into()],
        };
        assert_eq!(missing, expected);
    }

    #[test]
    fn asking_twice_gives_one_answer() {
        assert_eq!(libraries(), libraries());
    }
}

//! The headers of `.npy` files (NumPy's NEP 1), read and written.
//!
//! Of our own, because only the header is wanted (the data behind it is read in place, a row at a time) and because the parsers
//! of the crates for it take any Python literal, however deeply nested, and multiply its shape unchecked: a damaged header could
//! end the program. Here every header gives an answer.

use std::fs::File;
use std::io::{self, Read as _, Write};

/// The kind of floats in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    F32,
    F64,
}

impl Float {
    /// Bytes of one.
    pub fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// A C-ordered array of little-endian floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub shape: Vec<u64>,
    pub float: Float,
    /// Where the data begins, in bytes.
    pub offset: u64,
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy writes 128 bytes for a plain array; what does not fit in here is something else.
const LONGEST: usize = 1 << 13;

/// Reads and checks the header of a file of `bytes` bytes, at the beginning of which `file` stands. What is wrong with it is said in words that can stand behind the
/// file's name.
pub fn read(file: &File, bytes: u64) -> Result<Header, String> {
    let mut start = Vec::with_capacity(LONGEST);
    file.take(LONGEST as u64)
        .read_to_end(&mut start)
        .map_err(|error| error.to_string())?;
    let header = parse(&start)?;
    let needed = header
        .shape
        .iter()
        .try_fold(header.float.size(), |size, &length| size.checked_mul(length))
        .and_then(|size| size.checked_add(header.offset));
    match needed {
        Some(needed) if needed <= bytes => Ok(header),
        Some(needed) => Err(format!(
            "it is cut short: {bytes} bytes, where an array of shape {} needs {needed}",
            shape_text(&header.shape)
        )),
        None => Err(format!("its shape {} cannot be", shape_text(&header.shape))),
    }
}

/// The header at the start of a file of floats.
fn parse(start: &[u8]) -> Result<Header, String> {
    let Layout { descr, shape, offset } = layout(start)?;
    let float = match descr {
        "<f4" => Float::F32,
        "<f8" => Float::F64,
        other => {
            return Err(format!(
                "its values are of type {other:?}; expected float32 or float64, little-endian (\"<f4\" or \"<f8\")"
            ));
        }
    };
    Ok(Header { shape, float, offset })
}

/// A C-ordered array of any type.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout<'a> {
    /// NumPy's word for the type: `"<f4"`, `"|u1"`, `"<U12"`; for structured types their text.
    pub descr: &'a str,
    pub shape: Vec<u64>,
    /// Where the data begins, in bytes.
    pub offset: u64,
}

/// The header at the start of a file, whatever its values are. Nothing says that the file is long enough for the shape.
///
/// # Errors
/// In words that can stand behind the file's name.
pub fn layout(start: &[u8]) -> Result<Layout<'_>, String> {
    let rest = start.strip_prefix(MAGIC).ok_or("it is not a .npy file")?;
    let damaged = || String::from("its header is damaged");
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [version, ..] if !(1..=3).contains(version) => {
            return Err(format!("its .npy version is {version}; versions 1 to 3 are known"));
        }
        _ => return Err(damaged()),
    };
    let text = rest.get(..length).ok_or_else(damaged)?;
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let Entries { descr, fortran, shape } = Reader { rest: text }.entries().ok_or_else(damaged)?;
    // For arrays of one dimension the order is one and the same.
    if fortran && shape.len() > 1 {
        return Err("its values are in Fortran order; expected C order".into());
    }
    Ok(Layout {
        descr,
        shape,
        offset: (start.len() - rest.len() + length) as u64,
    })
}

/// The three entries of the dictionary.
struct Entries<'a> {
    /// A string; for structured types their text.
    descr: &'a str,
    fortran: bool,
    shape: Vec<u64>,
}

/// What is left of the text.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn entries(mut self) -> Option<Entries<'a>> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect('{')?;
        while self.expect('}').is_none() {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.string().or_else(|| self.list())?),
                "fortran_order" => fortran = Some(self.truth()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.expect(',').is_none() {
                self.expect('}')?;
                break;
            }
        }
        self.rest.trim().is_empty().then_some(Entries {
            descr: descr?,
            fortran: fortran?,
            shape: shape?,
        })
    }

    fn expect(&mut self, what: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(what)?;
        Some(())
    }

    /// `'…'` or `"…"`; the strings of a header have no escapes.
    fn string(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = rest.get(1..)?.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    /// `[…]` as it stands.
    fn list(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let mut depth = 0usize;
        for (at, character) in rest.char_indices() {
            match character {
                '[' => depth += 1,
                ']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                let (list, rest) = rest.split_at(at + character.len_utf8());
                self.rest = rest;
                return list.starts_with('[').then_some(list);
            }
        }
        None
    }

    fn truth(&mut self) -> Option<bool> {
        let rest = self.rest.trim_start();
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Some(truth);
            }
        }
        None
    }

    /// `()`, `(3,)`, `(3, 4)`; Python 2 wrote `3L`.
    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.expect('(')?;
        let (inside, rest) = self.rest.split_once(')')?;
        self.rest = rest;
        let inside = inside.trim();
        let inside = inside.strip_suffix(',').unwrap_or(inside);
        if inside.is_empty() {
            return Some(Vec::new());
        }
        inside
            .split(',')
            .map(|number| number.trim().trim_end_matches('L').parse().ok())
            .collect()
    }
}

/// As NumPy shows it: `(128, 431)`.
pub fn shape_text(shape: &[u64]) -> String {
    match shape {
        [only] => format!("({only},)"),
        several => {
            let numbers: Vec<String> = several.iter().map(u64::to_string).collect();
            format!("({})", numbers.join(", "))
        }
    }
}

/// Writes the header of a C-ordered float32 array, as NumPy does: version 1, the data at a multiple of 64 bytes.
pub fn write(writer: &mut dyn Write, shape: &[u64]) -> io::Result<()> {
    let shape = shape_text(shape);
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 4;
    let padding = (before + text.len() + 1).next_multiple_of(64) - (before + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let length = u16::try_from(text.len()).map_err(io::Error::other)?;
    writer.write_all(MAGIC)?;
    writer.write_all(&[1, 0])?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.bytes());
        bytes
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }           \n";
        let parsed = parse(&header(text)).unwrap();
        assert_eq!((parsed.shape, parsed.float), (vec![3, 4], Float::F64));
        assert_eq!(parsed.offset, 10 + text.len() as u64);
        for (shape, expected) in [("()", vec![]), ("(3,)", vec![3]), ("(2L, 3L)", vec![2, 3])] {
            let text = format!("{{\"shape\": {shape}, 'fortran_order': False, 'descr': '<f4'}}");
            assert_eq!(parse(&header(&text)).unwrap().shape, expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |descr: &str, fortran: &str, shape: &str| {
            let text = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
            parse(&header(&text)).unwrap_err()
        };
        assert!(with("'>f4'", "False", "(3,)").contains("\">f4\""));
        assert!(with("'|O'", "False", "(3,)").contains("\"|O\""));
        assert!(with("[('a', '<f4'), ('b', '<f4')]", "False", "(3,)").contains("('a', '<f4')"));
        assert!(with("'<f4'", "True", "(3, 4)").contains("Fortran"));
        assert!(with("'<f4'", "False", "(3, -4)").contains("damaged"));
        assert!(with("'<f4'", "Maybe", "(3, 4)").contains("damaged"));
        assert!(parse(b"RIFF").unwrap_err().contains("not a .npy file"));
        assert!(parse(b"\x93NUMPY\x09\x00").unwrap_err().contains("version is 9"));
        assert!(parse(b"\x93NUMPY\x01").unwrap_err().contains("damaged"));
    }

    #[test]
    fn a_shape_beyond_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for (shape, says) in [("(3, 4)", "cut short"), ("(18446744073709551615, 9)", "cannot be")] {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            crate::files::write_whole(&path, &header(&text)).unwrap();
            let file = File::open(&path).unwrap();
            let error = read(&file, file.metadata().unwrap().len()).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(shape in prop::collection::vec(0u64..1000, 0..5)) {
            let mut bytes = Vec::new();
            write(&mut bytes, &shape).unwrap();
            prop_assert_eq!(bytes.len() % 64, 0);
            let offset = bytes.len() as u64;
            prop_assert_eq!(parse(&bytes).unwrap(), Header { shape, float: Float::F32, offset });
        }

        #[test]
        fn every_header_gives_an_answer(text in "[{}()\\[\\]'\",: a-zF<4,0-9L\\\\é]{0,80}", tail in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = parse(&header(&text));
            let _ = parse(&header(&format!("{{'descr': {text}")));
            let mut bytes = MAGIC.to_vec();
            bytes.extend(tail);
            let _ = parse(&bytes);
        }
    }
}

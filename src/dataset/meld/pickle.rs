//! `text_emotion.pkl`: a list of three dictionaries (train, val, test), dialogue id to an array with a row per utterance.
//!
//! Row `j` belongs to the utterance with the number `j`; pipelines that use the file go through the dictionaries in their own
//! order and pass over rows without a label. Some arrays have more rows than their dialogue has utterances.
//!
//! The file is read by serde-pickle, which runs nothing: whatever a pickle would call is kept as data, so that an array shows as
//! the state that NumPy would have restored it from, the shape among it. Two things are looked at before: a file may claim
//! more than it holds, and it may nest so deeply that taking it apart would exhaust the stack. So its opcodes are counted
//! first, and it is read on a stack that is large enough for all of them.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::ids::Id;
use crate::dataset::{Error, Fault, Problems, Split};
use crate::files;

/// Opcodes that build something out of something. MELD's file has about ten for each of its 1432 dialogues.
const MOST_BUILT: usize = 1 << 18;
/// Bytes of stack for each of them, more than any of the steps of reading needs.
const STACK_EACH: usize = 4096;
const STACK_LEAST: usize = 1 << 21;
/// How deep the interesting part is: list, dictionary, array, shape, number.
const DEEPEST: usize = 6;
/// Values that are looked at. References make it possible to name one part many times.
const MOST_VALUES: usize = 1 << 24;

/// The ids, in the order of the file.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(super) fn read(path: &Path) -> Result<Vec<Id>, Error> {
    let content = std::fs::read(path).map_err(files::Error::at("read", path))?;
    ids(&content).map_err(|what| {
        Box::new(Problems {
            rows: vec![Fault {
                path: path.into(),
                line: None,
                what,
            }],
            ..Problems::default()
        })
        .into()
    })
}

fn ids(content: &[u8]) -> Result<Vec<Id>, String> {
    let built = count_built(content)?;
    if built > MOST_BUILT {
        return Err(format!(
            "{built} parts are too many for a list of three dictionaries of arrays"
        ));
    }
    let work = || {
        let budget = Cell::new(MOST_VALUES);
        let options = serde_pickle::DeOptions::new()
            .keep_restore_state()
            .replace_unresolved_globals()
            .replace_recursive_structures();
        let mut reader = serde_pickle::Deserializer::new(content, options);
        let seed = Seed {
            levels: DEEPEST,
            budget: &budget,
        };
        let value = seed
            .deserialize(&mut reader)
            .map_err(|error| format!("it cannot be read as a pickle: {error}"))?;
        of_splits(value)
    };
    std::thread::scope(|scope| {
        let stack = STACK_LEAST + built * STACK_EACH;
        let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("a thread to read it on could not be started: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("it is damaged".into()))
    })
}

/// Goes through the opcodes without following them.
///
/// # Errors
/// The file ends early, or has an opcode that there is none.
fn count_built(content: &[u8]) -> Result<usize, String> {
    let damaged = || "it is no pickle, or it is damaged".to_owned();
    let mut rest = content;
    let mut built = 0;
    let line = |rest: &[u8]| rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    loop {
        let (&code, after) = rest.split_first().ok_or_else(damaged)?;
        // How many bytes belong to the opcode.
        let length = match code {
            b'.' => return Ok(built),
            b'(' | b'0' | b'1' | b'2' | b'N' | b')' | b']' | b'}' | 0x88 | 0x89 | 0x8f | 0x93 | 0x94 | 0x97 | 0x98
            | b'Q' => Some(0),
            b'R' | b'a' | b'b' | b'd' | b'e' | b'l' | b'o' | b's' | b't' | b'u' | 0x81 | 0x85 | 0x86 | 0x87 | 0x90
            | 0x91 | 0x92 => {
                built += 1;
                Some(0)
            }
            b'K' | b'h' | b'q' | 0x80 | 0x82 => Some(1),
            b'M' | 0x83 => Some(2),
            b'J' | b'j' | b'r' | 0x84 => Some(4),
            b'G' | 0x95 => Some(8),
            b'F' | b'I' | b'L' | b'P' | b'S' | b'V' | b'g' | b'p' => line(after),
            b'c' => two_lines(after, line),
            b'i' => {
                built += 1;
                two_lines(after, line)
            }
            b'U' | b'C' | 0x8a | 0x8c => prefixed(after, 1),
            b'T' | b'X' | b'B' | 0x8b => prefixed(after, 4),
            0x8d | 0x8e | 0x96 => prefixed(after, 8),
            _ => None,
        };
        rest = length.and_then(|length| after.get(length..)).ok_or_else(damaged)?;
    }
}

fn two_lines(bytes: &[u8], line: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let first = line(bytes)?;
    Some(first + line(bytes.get(first..)?)?)
}

/// The length of a length of `size` bytes, little-endian, and of what it counts.
fn prefixed(bytes: &[u8], size: usize) -> Option<usize> {
    let length = bytes.get(..size)?.iter().rev().try_fold(0usize, |length, byte| {
        length.checked_mul(256)?.checked_add(usize::from(*byte))
    })?;
    length.checked_add(size)
}

/// A value of the pickle, as far as it matters.
#[derive(Debug, PartialEq)]
enum Loose {
    Number(i64),
    Text(String),
    Several(Vec<Loose>),
    /// In the order of the file, which a map of serde-pickle's own would lose.
    Pairs(Vec<(Loose, Loose)>),
    /// Bytes, fractions, nothing.
    Other,
}

/// Reads a [`Loose`] value that is at most so many levels deep.
struct Seed<'a> {
    levels: usize,
    budget: &'a Cell<usize>,
}

impl Seed<'_> {
    fn inner<E: serde::de::Error>(&self) -> Result<Seed<'_>, E> {
        let levels = self
            .levels
            .checked_sub(1)
            .ok_or_else(|| E::custom("it is nested too deeply"))?;
        let left = self
            .budget
            .get()
            .checked_sub(1)
            .ok_or_else(|| E::custom("it holds too much"))?;
        self.budget.set(left);
        Ok(Seed {
            levels,
            budget: self.budget,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Loose;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a part of a pickle")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(i64::try_from(number).map_or(Loose::Other, Loose::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Loose, E> {
        // Python 2 wrote its texts so.
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) if bytes.len() < 64 => Loose::Text(text.to_owned()),
            _ => Loose::Other,
        })
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_none<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        let mut several = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            several.push(item);
        }
        Ok(Loose::Several(several))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = items.next_key_seed(self.inner()?)? {
            let value = items.next_value_seed(self.inner()?)?;
            if pairs.len() > MOST_BUILT {
                return Err(A::Error::custom("a dictionary is too long"));
            }
            pairs.push((key, value));
        }
        Ok(Loose::Pairs(pairs))
    }
}

fn of_splits(value: Loose) -> Result<Vec<Id>, String> {
    let Loose::Several(splits) = value else {
        return Err("it is no list of three dictionaries (train, val, test)".into());
    };
    let [Loose::Pairs(train), Loose::Pairs(val), Loose::Pairs(test)] = splits.as_slice() else {
        return Err(format!(
            "it holds {} parts, but three dictionaries (train, val, test) are needed",
            splits.len()
        ));
    };
    let mut ids = Vec::new();
    for (split, dialogues) in Split::ALL.into_iter().zip([train, val, test]) {
        for (key, array) in dialogues {
            let dialogue = match key {
                Loose::Number(number) => u32::try_from(*number).ok(),
                Loose::Text(text) => text.trim().parse().ok(),
                _ => None,
            };
            let Some(dialogue) = dialogue else {
                return Err(format!(
                    "a key of the {} dictionary is no dialogue's number",
                    split.name()
                ));
            };
            let Some(rows) = rows(array) else {
                return Err(format!(
                    "dialogue {dialogue} of {} has no array with a row per utterance",
                    split.name()
                ));
            };
            ids.extend((0..rows).map(|utterance| Id {
                split: Some(split),
                dialogue,
                utterance,
                line: None,
            }));
        }
    }
    Ok(ids)
}

/// No dialogue is longer.
const MOST_ROWS: u32 = 10_000;

/// The rows of an array.
fn rows(array: &Loose) -> Option<u32> {
    let Loose::Several(parts) = array else { return None };
    let count = match parts.as_slice() {
        // What `ndarray.__setstate__` is given: version, shape, type, order, data.
        [Loose::Number(_), Loose::Several(shape), _, Loose::Other, _] => first(shape)?,
        // What `numpy._core.numeric._frombuffer` is given: data, type, shape, order.
        [Loose::Other | Loose::Text(_), _, Loose::Several(shape), Loose::Text(_)] => first(shape)?,
        rows if rows.iter().all(|row| matches!(row, Loose::Several(_))) => rows.len().try_into().ok()?,
        _ => return None,
    };
    (count <= MOST_ROWS).then_some(count)
}

fn first(shape: &[Loose]) -> Option<u32> {
    match shape {
        [Loose::Number(rows), Loose::Number(_), ..] => u32::try_from(*rows).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_files_give_an_answer() {
        let says = |content: &[u8], what: &str| {
            let error = ids(content).map(|ids| ids.len()).unwrap_err();
            assert!(error.contains(what), "{error}");
        };
        says(b"", "no pickle");
        says(b"\x80\x02N.", "no list of three");
        says(b"\x80\x02](NNNe.", "three dictionaries");
        // A length that the file does not have.
        says(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged");
        // A call, kept as data.
        says(b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "three dictionaries");
        // Tuples in tuples, a hundred thousand of them.
        let deep: Vec<u8> = [b")".as_slice(), &[0x85; 100_000], b"."].concat();
        says(&deep, "nested too deeply");
        let deeper: Vec<u8> = [b")".as_slice(), &[0x85; 1 << 19], b"."].concat();
        says(&deeper, "too many");
        // Each list twice in the next one.
        let mut bomb = b"]q\x00".to_vec();
        for level in 1..40u8 {
            bomb.extend([b'0', b']', b'q', level, b'(', b'h', level - 1, b'h', level - 1, b'e']);
        }
        bomb.push(b'.');
        says(&bomb, "nested too deeply");
        // A list that holds itself.
        says(b"]q\x00h\x00a.", "three dictionaries");
    }

    proptest! {
        #[test]
        fn every_content_gives_an_answer(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ids(&content);
        }
    }
}

//! Ids in an array of NumPy's: texts (`train/dia0_utt0`), or rows of two numbers (dialogue and utterance).

use std::path::Path;

use super::ids::{Id, no_id, parse};
use crate::dataset::{Error, Fault, Problems};
use crate::files;
use crate::npy_header::{Layout, layout, shape_text};

/// A list of ids is short; what is longer is something else.
const LONGEST: u64 = 1 << 28;

/// The ids, in their order.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(super) fn read(path: &Path) -> Result<Vec<Id>, Error> {
    let length = std::fs::metadata(path).map_err(files::Error::at("read", path))?.len();
    if length > LONGEST {
        return Err(unusable(path, format!("{length} bytes are too many for a list of ids")));
    }
    let content = std::fs::read(path).map_err(files::Error::at("read", path))?;
    ids(&content).map_err(|what| unusable(path, what))
}

fn unusable(path: &Path, what: String) -> Error {
    Box::new(Problems {
        rows: vec![Fault {
            path: path.into(),
            line: None,
            what,
        }],
        ..Problems::default()
    })
    .into()
}

fn ids(content: &[u8]) -> Result<Vec<Id>, String> {
    let Layout { descr, shape, offset } = layout(content)?;
    let data = usize::try_from(offset)
        .ok()
        .and_then(|offset| content.get(offset..))
        .unwrap_or_default();
    let kind = descr.trim_start_matches(['<', '|', '=']);
    let size = |digits: &str| digits.parse::<usize>().ok().filter(|size| (1..=4096).contains(size));
    let rows = |width: usize, each: usize| -> Result<usize, String> {
        let rows = shape
            .first()
            .and_then(|rows| usize::try_from(*rows).ok())
            .unwrap_or(usize::MAX);
        match rows.checked_mul(width * each) {
            Some(needed) if needed <= data.len() => Ok(rows),
            _ => Err("it is cut short".into()),
        }
    };
    let other = || {
        format!(
            "it has shape {} and values of type {descr:?}; expected a list of texts such as `train/dia0_utt0`, or rows of two whole numbers",
            shape_text(&shape)
        )
    };
    match (kind.split_at_checked(1).ok_or_else(other)?, shape.as_slice()) {
        (("U", digits), [_]) => {
            let width = size(digits).ok_or_else(other)?;
            let rows = rows(width, 4)?;
            data.chunks_exact(width * 4)
                .take(rows)
                .map(|bytes| text_id(&utf32(bytes)))
                .collect()
        }
        (("S", digits), [_]) => {
            let width = size(digits).ok_or_else(other)?;
            let rows = rows(width, 1)?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
            data.chunks_exact(width)
                .take(rows)
                .map(|bytes| text_id(&text(bytes)))
                .collect()
        }
        (("i" | "u", digits), [_, 2]) => {
            let width = size(digits)
                .filter(|width| matches!(width, 1 | 2 | 4 | 8))
                .ok_or_else(other)?;
            let rows = rows(2, width)?;
            data.chunks_exact(2 * width)
                .take(rows)
                .map(|bytes| pair(bytes, width))
                .collect()
        }
        _ => Err(other()),
    }
}

fn utf32(bytes: &[u8]) -> String {
    let (characters, _) = bytes.as_chunks::<4>();
    let characters = characters.iter().map(|bytes| u32::from_le_bytes(*bytes));
    characters
        .take_while(|code| *code != 0)
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn text_id(text: &str) -> Result<Id, String> {
    let (split, dialogue, utterance) = parse(text).ok_or_else(|| no_id(text))?;
    Ok(Id {
        split,
        dialogue,
        utterance,
        line: None,
    })
}

fn pair(bytes: &[u8], width: usize) -> Result<Id, String> {
    let number = |bytes: &[u8]| {
        // Little-endian; negative numbers are too large.
        let value = bytes
            .iter()
            .rev()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        u32::try_from(value).map_err(|_| format!("{value} is no number of a dialogue or an utterance"))
    };
    let (dialogue, utterance) = bytes.split_at(width.min(bytes.len()));
    Ok(Id {
        split: None,
        dialogue: number(dialogue)?,
        utterance: number(utterance)?,
        line: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn texts_and_pairs_are_read_and_all_else_is_named() {
        let read = |bytes: &[u8]| -> Result<Vec<(u32, u32)>, String> {
            Ok(ids(bytes)?.into_iter().map(|id| (id.dialogue, id.utterance)).collect())
        };
        let wide: Vec<u8> = "dia1_utt2dia3_utt4"
            .chars()
            .flat_map(|it| u32::from(it).to_le_bytes())
            .collect();
        assert_eq!(read(&array("<U9", "(2,)", &wide)), Ok(vec![(1, 2), (3, 4)]));
        assert_eq!(read(&array("|S11", "(1,)", b"dia1_utt2\0\0")), Ok(vec![(1, 2)]));
        let numbers: Vec<u8> = [5i64, 6].iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(read(&array("<i8", "(1, 2)", &numbers)), Ok(vec![(5, 6)]));
        assert!(
            read(&array("<U9", "(99999999999999999999,)", b""))
                .unwrap_err()
                .contains("damaged")
        );
        assert!(
            read(&array("<U9", "(9999999999999999999,)", b""))
                .unwrap_err()
                .contains("cut short")
        );
        assert!(read(&array("<f4", "(3,)", b"")).unwrap_err().contains("\"<f4\""));
        assert!(read(&array("|O", "(3,)", b"")).unwrap_err().contains("\"|O\""));
        assert!(read(&array("<U3", "(1,)", &wide)).unwrap_err().contains("is no id"));
        let negative: Vec<u8> = [-1i64, 6].iter().flat_map(|it| it.to_le_bytes()).collect();
        assert!(
            read(&array("<i8", "(1, 2)", &negative))
                .unwrap_err()
                .contains("no number of a dialogue")
        );
    }
}

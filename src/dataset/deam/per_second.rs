//! The dynamic files `valence.csv` and `arousal.csv`: a row per song, a column per half second.
//!
//! Rows are ragged: songs of 45 s end at `sample_44500ms`, the full songs go on for minutes. Cells may be empty, and the two files
//! need not list the same songs or columns.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::layout::song_id;
use crate::dataset::csv_file::{CsvFile, number};
use crate::dataset::{Error, Fault, Source};

/// One song's annotations in one dimension.
pub(super) struct Series {
    /// Milliseconds and the annotation, in the order of time.
    pub samples: Vec<(u32, f64)>,
    pub source: Source,
}

impl Series {
    /// The annotations from `start` to before `end`, both in milliseconds.
    pub fn between(&self, start: u32, end: u32) -> &[(u32, f64)] {
        let position = |time: u32| self.samples.partition_point(|(at, _)| *at < time);
        self.samples.get(position(start)..position(end)).unwrap_or_default()
    }

    /// Of all of them; `None` where there are none.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.samples)
    }
}

/// Of the annotations; `None` for none.
pub(super) fn mean(samples: &[(u32, f64)]) -> Option<f64> {
    let sum: f64 = samples.iter().map(|(_, value)| value).sum();
    (!samples.is_empty()).then(|| sum / samples.len() as f64)
}

/// A dynamic file.
pub(super) struct Dynamic {
    pub path: PathBuf,
    /// By song.
    pub songs: BTreeMap<u64, Series>,
    /// The least distance between two columns, in milliseconds.
    pub step: Option<u32>,
    /// What is wrong with rows and columns.
    pub faults: Vec<Fault>,
    /// Annotations outside −1 to 1.
    pub outside: usize,
}

/// Reads `path`.
///
/// # Errors
/// It is missing, or cannot be read at all.
pub(super) fn read(path: &Path) -> Result<Dynamic, Error> {
    let mut file = CsvFile::read_ragged(path)?;
    let mut faults = std::mem::take(&mut file.faults);
    let mut columns: Vec<(u32, usize)> = Vec::new();
    let mut id = None;
    for (column, name) in file.header.iter().enumerate() {
        if name.eq_ignore_ascii_case("song_id") {
            id = Some(column);
        } else if let Some(time) = milliseconds(name) {
            columns.push((time, column));
        } else if !name.is_empty() {
            faults.push(file.fault(
                1,
                format!("column `{name}` is neither `song_id` nor `sample_<number>ms`"),
            ));
        }
    }
    columns.sort_unstable();
    if let Some(pair) = columns.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        faults.push(file.fault(1, format!("two columns are called `sample_{}ms`", pair[0].0)));
    }
    let mut dynamic = Dynamic {
        path: path.into(),
        songs: BTreeMap::new(),
        step: columns.windows(2).map(|pair| pair[1].0 - pair[0].0).min(),
        faults: Vec::new(),
        outside: 0,
    };
    let Some(id) = id else {
        faults.push(file.fault(1, "no column `song_id`".into()));
        dynamic.faults = faults;
        return Ok(dynamic);
    };
    for row in &file.rows {
        let Some(song) = song_id(row.get(id)) else {
            faults.push(file.fault(row.line, format!("song_id is \"{}\", not a whole number", row.get(id))));
            continue;
        };
        let mut samples = Vec::new();
        for &(time, column) in &columns {
            let text = row.get(column);
            if is_missing(text) {
                continue;
            }
            match number(text) {
                Ok(value) => samples.push((time, value)),
                Err(why) => faults.push(file.fault(row.line, format!("sample_{time}ms {why}"))),
            }
        }
        dynamic.outside += samples.iter().filter(|(_, value)| value.abs() > 1.0).count();
        match dynamic.songs.entry(song) {
            Entry::Vacant(free) => {
                free.insert(Series {
                    samples,
                    source: file.source(row),
                });
            }
            Entry::Occupied(first) => {
                let what = format!("song {song} is already in {}", first.get().source);
                faults.push(file.fault(row.line, what));
            }
        }
    }
    dynamic.faults = faults;
    Ok(dynamic)
}

/// What spreadsheets and data frames write for nothing.
fn is_missing(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("nan") || text == "NA"
}

/// No song is longer: a day, in milliseconds.
const LONGEST: u32 = 86_400_000;

/// "sample_15000ms": 15000.
fn milliseconds(name: &str) -> Option<u32> {
    let time = name.strip_prefix("sample_")?.strip_suffix("ms")?.parse().ok()?;
    (time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn read_text(text: &str) -> Dynamic {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("valence.csv");
        files::write_whole(&path, text.as_bytes()).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn rows_may_end_early_and_have_holes() {
        let read = read_text(
            "song_id,sample_15000ms,sample_15500ms,sample_16000ms\r\n2,0.1,,0.3\r\n3,-0.5\r\n2001,0.1,nan,0.2,,\r\n4,,,\r\n",
        );
        assert_eq!(read.faults, []);
        assert_eq!(read.step, Some(500));
        let samples: Vec<_> = read
            .songs
            .iter()
            .map(|(id, series)| (*id, series.samples.clone()))
            .collect();
        assert_eq!(
            samples,
            [
                (2, vec![(15000, 0.1), (16000, 0.3)]),
                (3, vec![(15000, -0.5)]),
                (4, vec![]),
                (2001, vec![(15000, 0.1), (16000, 0.2)]),
            ]
        );
        let song = &read.songs[&2];
        assert_eq!(song.between(15000, 16000), [(15000, 0.1)]);
        assert_eq!(song.between(16000, 99000), [(16000, 0.3)]);
        assert_eq!(song.between(99000, 15000), []);
        assert_eq!(read.songs[&4].mean(), None);
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let read = read_text("song_id,sample_15000ms,time\nx,0\n2,abc\n3,1.5\n3,0\n4,0,0,7\n");
        let said: Vec<_> = read
            .faults
            .iter()
            .map(|it| (it.line.unwrap(), it.what.as_str()))
            .collect();
        assert_eq!(said.len(), 5, "{said:?}");
        assert!(said[0].1.starts_with("4 fields"));
        assert!(said[1].1.starts_with("column `time` is neither"));
        assert_eq!(said[2], (2, "song_id is \"x\", not a whole number"));
        assert_eq!(said[3], (3, "sample_15000ms is \"abc\", not a number"));
        assert!(said[4].1.starts_with("song 3 is already in "));
        assert_eq!(read.outside, 1);
        assert_eq!(read_text("a\n1\n").faults.len(), 2);
    }
}

//! The song-level files: one mean valence and one mean arousal per song, 1 to 9.
//!
//! The two published files differ: names with a leading space, names with a space inside (`" valence_ max_mean"`), other
//! columns, LF in one and CRLF in the other. Columns are found by name without regard to spaces and case.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use super::layout::song_id;
use crate::dataset::csv_file::{CsvFile, Row, number};
use crate::dataset::{Error, Fault, Source};

/// A row.
pub(super) struct Song {
    pub id: u64,
    pub valence: Rating,
    pub arousal: Rating,
    pub source: Source,
}

/// What the annotators said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rating {
    /// 1 to 9.
    pub mean: f64,
    /// Standard deviation, where the file has it.
    pub deviation: Option<f64>,
}

/// Songs in the order of the files and rows, the files that were read, and what is wrong with rows.
pub(super) type Songs = (Vec<Song>, Vec<PathBuf>, Vec<Fault>);

/// Reads all `paths`.
///
/// # Errors
/// A file cannot be read or has no rows. Whatever is wrong with rows and columns is in the third part of the result.
pub(super) fn read(paths: &[PathBuf]) -> Result<Songs, Error> {
    let mut songs = Vec::new();
    let mut problems = Vec::new();
    let mut known: BTreeMap<u64, Source> = BTreeMap::new();
    for path in paths {
        let mut file = CsvFile::read(path)?;
        for name in &mut file.header {
            *name = name.to_lowercase().split_whitespace().collect();
        }
        problems.append(&mut file.faults);
        let mut find = |name| {
            file.column(name, "DEAM's song-level files")
                .map_err(|fault| problems.push(fault))
                .ok()
        };
        let columns = (find("song_id"), find("valence_mean"), find("arousal_mean"));
        let (Some(id), Some(valence), Some(arousal)) = columns else {
            continue;
        };
        let deviation = |name| file.header.iter().position(|it| it == name);
        let valence = (valence, deviation("valence_std"));
        let arousal = (arousal, deviation("arousal_std"));
        for row in &file.rows {
            let complain = |what: String| problems.push(file.fault(row.line, what));
            let Some(song) = read_song(&file, row, id, [valence, arousal], complain) else {
                continue;
            };
            match known.entry(song.id) {
                Entry::Vacant(free) => {
                    free.insert(song.source.clone());
                    songs.push(song);
                }
                Entry::Occupied(first) => {
                    let what = format!("song {} is already in {}", song.id, first.get());
                    problems.push(file.fault(row.line, what));
                }
            }
        }
    }
    Ok((songs, paths.to_vec(), problems))
}

fn read_song(
    file: &CsvFile,
    row: &Row,
    id: usize,
    [valence, arousal]: [(usize, Option<usize>); 2],
    mut complain: impl FnMut(String),
) -> Option<Song> {
    let id_text = row.get(id);
    let id = song_id(id_text);
    if id.is_none() {
        complain(format!("song_id is \"{id_text}\", not a whole number"));
    }
    let mut rating = |(column, deviation): (usize, Option<usize>), name: &str| {
        let mean = match number(row.get(column)) {
            Ok(mean) if (1.0..=9.0).contains(&mean) => Some(mean),
            Ok(mean) => {
                complain(format!("{name}_mean is {mean}, outside the scale from 1 to 9"));
                None
            }
            Err(why) => {
                complain(format!("{name}_mean {why}"));
                None
            }
        };
        let deviation = match deviation.map(|column| number(row.get(column))) {
            Some(Ok(deviation)) if deviation < 0.0 => {
                complain(format!("{name}_std is {deviation}, below 0"));
                None
            }
            Some(Ok(deviation)) => Some(deviation),
            Some(Err(why)) => {
                complain(format!("{name}_std {why}"));
                None
            }
            None => None,
        };
        Some(Rating { mean: mean?, deviation })
    };
    let (valence, arousal) = (rating(valence, "valence"), rating(arousal, "arousal"));
    Some(Song {
        id: id?,
        valence: valence?,
        arousal: arousal?,
        source: file.source(row),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn read_texts(texts: &[&str]) -> Songs {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..texts.len())
            .map(|number| folder.path().join(format!("{number}.csv")))
            .collect();
        for (path, text) in paths.iter().zip(texts) {
            files::write_whole(path, text.as_bytes()).unwrap();
        }
        read(&paths).unwrap()
    }

    #[test]
    fn both_published_forms_are_read() {
        let (songs, _, problems) = read_texts(&[
            "song_id, valence_mean, valence_std, arousal_mean, arousal_std\n2,3.1,0.94,3,0.63\n",
            "song_id, valence_mean, valence_std, valence_ max_mean, arousal_mean\r\n2001,3.2,0.98,5.0,6.6\r\n",
        ]);
        assert_eq!(problems, []);
        let read: Vec<_> = songs
            .iter()
            .map(|song| (song.id, song.valence.mean, song.arousal.mean, song.source.line))
            .collect();
        assert_eq!(read, [(2, 3.1, 3.0, Some(2)), (2001, 3.2, 6.6, Some(2))]);
        let deviations: Vec<_> = (songs.iter())
            .map(|song| (song.valence.deviation, song.arousal.deviation))
            .collect();
        assert_eq!(deviations, [(Some(0.94), Some(0.63)), (Some(0.98), None)]);
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let (songs, _, problems) = read_texts(&[
            "song_id,valence_mean,arousal_mean\n2,3,4\nx,3,\n4,0.5,nan\n",
            "song_id,valence_mean,arousal_mean\n2,3,4\n5,3,4\n",
            "song_id,valence,arousal_mean\n9,3,4\n",
        ]);
        assert_eq!(songs.iter().map(|song| song.id).collect::<Vec<_>>(), [2, 5]);
        let said: Vec<_> = problems.iter().map(|it| (it.line.unwrap(), it.what.as_str())).collect();
        assert_eq!(said.len(), 6);
        assert_eq!(said[0], (3, "song_id is \"x\", not a whole number"));
        assert_eq!(said[1], (3, "arousal_mean is empty, but a number is needed"));
        assert_eq!(said[2], (4, "valence_mean is 0.5, outside the scale from 1 to 9"));
        assert_eq!(said[3], (4, "arousal_mean is nan, not a finite number"));
        assert!(
            said[4].1.starts_with("song 2 is already in ") && said[4].1.ends_with("0.csv:2"),
            "{}",
            said[4].1
        );
        assert!(said[5].1.contains("did you mean `valence`"), "{}", said[5].1);
    }
}

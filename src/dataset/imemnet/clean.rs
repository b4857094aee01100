//! The cleaning step between the published matching files and training: pictures become EMOTIC's arrays, weak matches go.
//!
//! The result has the format of the cleaned files that circulate: `clip array score`, CRLF. Scores are written as they were read;
//! the files that circulate were rewritten by pandas, whose fast parser can change the last digit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arrays::ArrayNames;
use super::matching::{Names, each_line};
use crate::dataset::Error;
use crate::dataset::Problems;
use crate::files;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cleaned {
    pub from: PathBuf,
    pub to: PathBuf,
    pub rows: usize,
    pub kept: usize,
    /// Rows that name a picture without an array, whatever their score.
    pub without_array: usize,
    /// The pictures of those, by what their ids begin with.
    pub pictures_without_array: BTreeMap<String, usize>,
    /// Rows with an array, but a score below the threshold.
    pub below_threshold: usize,
    /// Of the kept ones, rows that repeat a pair; they stay, as in the files that circulate.
    pub repeated: usize,
    /// Different clips, songs and pictures that are left.
    pub clips: usize,
    pub songs: usize,
    pub pictures: usize,
}

/// Cleans `path` into `folder`, under the name `cleaned_…`.
///
/// # Errors
/// Lines that are no pairs; the files cannot be read or written.
pub fn clean(path: &Path, names: &ArrayNames, threshold: f64, folder: &Path) -> Result<Cleaned, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let to = folder.join(format!("cleaned_{name}"));
    files::create_folder(folder)?;
    let mut cleaned = Cleaned {
        from: path.into(),
        to: to.clone(),
        rows: 0,
        kept: 0,
        without_array: 0,
        pictures_without_array: BTreeMap::new(),
        below_threshold: 0,
        repeated: 0,
        clips: 0,
        songs: 0,
        pictures: 0,
    };
    let mut without: BTreeSet<String> = BTreeSet::new();
    let (mut clips, mut pictures) = (Names::default(), Names::default());
    let mut pairs: HashSet<(u32, u32)> = HashSet::new();
    let mut failed: Option<Error> = None;
    let written = files::write_whole_with(&to, |writer| {
        let mut writer = io::BufWriter::new(writer);
        let mut problem = None;
        let read = each_line(path, |line| {
            cleaned.rows += 1;
            let Some(array) = names.array(line.image) else {
                cleaned.without_array += 1;
                if !without.contains(line.image) {
                    without.insert(line.image.to_owned());
                }
                return;
            };
            if line.score < threshold {
                cleaned.below_threshold += 1;
                return;
            }
            cleaned.kept += 1;
            let pair = (clips.number(line.clip), pictures.number(array));
            cleaned.repeated += usize::from(!pairs.insert(pair));
            if let Err(error) = write!(writer, "{} {array} {}\r\n", line.clip, line.score_text) {
                problem.get_or_insert(error);
            }
        });
        match read {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                failed = Some(
                    Box::new(Problems {
                        rows,
                        ..Problems::default()
                    })
                    .into(),
                );
            }
            Err(error) => failed = Some(error),
        }
        match (problem, &failed) {
            (Some(error), _) => Err(error),
            // Nothing is written where the reading failed.
            (None, Some(_)) => Err(io::Error::other("the file cannot be read")),
            (None, None) => writer.flush(),
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    written?;
    for picture in without {
        *cleaned.pictures_without_array.entry(beginning(&picture)).or_default() += 1;
    }
    let clips = clips.into_list();
    cleaned.clips = clips.len();
    cleaned.songs = clips
        .iter()
        .map(|clip| super::song_of(clip))
        .collect::<BTreeSet<_>>()
        .len();
    cleaned.pictures = pictures.into_list().len();
    Ok(cleaned)
}

/// "Objects_172_v": "Objects_"; "4689": "number"; what says nothing: "other".
fn beginning(id: &str) -> String {
    if super::image_stem(id)
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return "number".into();
    }
    match id.split_once('_') {
        Some((word, _)) if word.bytes().all(|byte| byte.is_ascii_alphabetic()) => format!("{word}_"),
        _ => "other".into(),
    }
}

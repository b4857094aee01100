//! The tables of IMEMNet-C: an unnamed column of row numbers, an id, valence, arousal, and for music a caption.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::spec::Repeated;
use crate::dataset::csv_file::{CsvFile, number};
use crate::dataset::{Error, Fault, Problems, Source};

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Image,
    Music,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: String,
    /// From 0 to 1.
    pub valence: f64,
    /// From 0 to 1.
    pub arousal: f64,
    pub caption: Option<String>,
    pub source: Source,
}

/// A table.
pub(super) struct Table {
    pub rows: Vec<Row>,
    pub faults: Vec<Fault>,
}

/// Names that the column of ids has or may have, in lower case.
const IMAGE_IDS: [&str; 5] = ["img", "image", "image_id", "img_id", "filename"];
const MUSIC_IDS: [&str; 9] = [
    "music", "clip", "clip_id", "music_id", "mus", "audio", "song", "audio_id", "filename",
];
const CAPTIONS: [&str; 5] = ["caption", "captions", "text", "description", "music_caption"];

/// Reads `path`.
///
/// # Errors
/// It is missing or cannot be read at all. What is wrong with rows is in the table.
pub(super) fn read(path: &Path, of: Of) -> Result<Table, Error> {
    let mut file = CsvFile::read(path)?;
    let mut faults = std::mem::take(&mut file.faults);
    let named = |names: &[&str]| {
        file.header
            .iter()
            .position(|it| names.contains(&it.to_lowercase().as_str()))
    };
    let mut need = |name: &str| {
        let column = named(&[name]);
        if column.is_none() {
            faults.push(file.fault(1, format!("no column `{name}`; there are {}", file.header.join(", "))));
        }
        column
    };
    let (valence, arousal) = (need("valence"), need("arousal"));
    let ids: &[&str] = match of {
        Of::Image => &IMAGE_IDS,
        Of::Music => &MUSIC_IDS,
    };
    // Behind the row's number, whatever it is called.
    let id = named(ids).or_else(|| (file.header.len() >= 4).then_some(1));
    let caption = match of {
        Of::Image => None,
        Of::Music => named(&CAPTIONS),
    };
    let (Some(id), Some(valence), Some(arousal)) = (id, valence, arousal) else {
        return Ok(Table {
            rows: Vec::new(),
            faults,
        });
    };
    let mut rows = Vec::with_capacity(file.rows.len());
    for row in &file.rows {
        let mut value = |column: usize, name: &str| match number(row.get(column)) {
            Ok(value) if (0.0..=1.0).contains(&value) => Some(value),
            Ok(value) => {
                faults.push(file.fault(row.line, format!("{name} is {value}, outside the scale from 0 to 1")));
                None
            }
            Err(why) => {
                faults.push(file.fault(row.line, format!("{name} {why}")));
                None
            }
        };
        let (valence, arousal) = (value(valence, "valence"), value(arousal, "arousal"));
        let id = row.get(id);
        if id.is_empty() {
            faults.push(file.fault(row.line, "the id is empty".into()));
        }
        if let (false, Some(valence), Some(arousal)) = (id.is_empty(), valence, arousal) {
            rows.push(Row {
                id: without_extension(id).to_owned(),
                valence,
                arousal,
                caption: caption.map(|column| row.get(column).to_owned()),
                source: file.source(row),
            });
        }
    }
    Ok(Table { rows, faults })
}

/// Ids are without extension; tables made by others may have it.
fn without_extension(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((stem, extension))
            if ["jpg", "jpeg", "png", "wav", "mp3"].contains(&extension.to_lowercase().as_str()) =>
        {
            stem
        }
        _ => id,
    }
}

impl Table {
    /// Valence and arousal of the ids that have one row.
    pub fn by_id(self) -> Result<HashMap<String, [f32; 2]>, Error> {
        if !self.faults.is_empty() {
            return Err(Box::new(Problems {
                rows: self.faults,
                ..Problems::default()
            })
            .into());
        }
        let mut counts: HashMap<String, (usize, [f32; 2])> = HashMap::new();
        for row in self.rows {
            let values = [row.valence as f32, row.arousal as f32];
            counts.entry(row.id).or_insert((0, values)).0 += 1;
        }
        let single = counts.into_iter().filter(|(_, (count, _))| *count == 1);
        Ok(single.map(|(id, (_, values))| (id, values)).collect())
    }

    /// Deals with ids that have several rows, as `repeated` says; the remark for the record. Ids of kept rows get the row's line, so
    /// that they stay unique.
    pub fn resolve(&mut self, repeated: Repeated, what: &str) -> Option<String> {
        let mut positions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (position, row) in self.rows.iter().enumerate() {
            positions.entry(row.id.clone()).or_default().push(position);
        }
        positions.retain(|_, positions| positions.len() > 1);
        if positions.is_empty() {
            return None;
        }
        let rows: usize = positions.values().map(Vec::len).sum();
        let ids: Vec<&String> = positions.keys().collect();
        let how = match repeated {
            Repeated::Drop => "left out",
            Repeated::Keep => "kept, in one group each",
            Repeated::Mean => "averaged",
        };
        let remark = format!(
            "{} {what} have {rows} rows with different values: {how} (repeated): {}",
            positions.len(),
            crate::dataset::error::quoted(&ids, 8).replace('`', "")
        );
        if repeated == Repeated::Mean {
            for positions in positions.values() {
                let of = |value: fn(&Row) -> f64| {
                    let values = positions.iter().filter_map(|at| self.rows.get(*at)).map(value);
                    values.sum::<f64>() / positions.len() as f64
                };
                let (valence, arousal) = (of(|row| row.valence), of(|row| row.arousal));
                if let Some(row) = positions.first().and_then(|at| self.rows.get_mut(*at)) {
                    (row.valence, row.arousal) = (valence, arousal);
                }
            }
        }
        let mut position = 0;
        self.rows.retain(|row| {
            let of_id = positions.get(&row.id);
            let keep = match (of_id, repeated) {
                (None, _) | (Some(_), Repeated::Keep) => true,
                (Some(_), Repeated::Drop) => false,
                (Some(positions), Repeated::Mean) => positions.first() == Some(&position),
            };
            position += 1;
            keep
        });
        Some(remark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn table(text: &str, of: Of) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("va.csv");
        files::write_whole(&path, text.as_bytes()).unwrap();
        read(&path, of).unwrap()
    }

    #[test]
    fn both_tables_are_read_with_captions_and_complaints() {
        let music = table(
            ",music,valence,arousal,caption\n0,725-16,0.5,0.25,\"slow, \"\"sad\"\" piano\"\n",
            Of::Music,
        );
        assert_eq!(music.rows[0].caption.as_deref(), Some("slow, \"sad\" piano"));
        let renamed = table(
            "row,whatever,valence,arousal,caption\n0,725-16.WAV,0.5,0.25,x\n",
            Of::Music,
        );
        assert_eq!(renamed.rows[0].id, "725-16");
        let image = table(",img,valence,arousal\n0,a,0.5,1.25\n1,,0,x\n", Of::Image);
        let said: Vec<&str> = image.faults.iter().map(|fault| fault.what.as_str()).collect();
        assert_eq!(said.len(), 3);
        assert_eq!(said[0], "arousal is 1.25, outside the scale from 0 to 1");
        assert_eq!(table("a,b\n1,2\n", Of::Image).faults.len(), 2);
    }

    #[test]
    fn repeated_ids_are_dropped_kept_or_averaged() {
        let text = ",img,valence,arousal\n0,a,0,0\n1,b,0.5,0.5\n2,a,1,0.5\n";
        let resolved = |repeated| {
            let mut table = table(text, Of::Image);
            let remark = table.resolve(repeated, "pictures").unwrap();
            let rows: Vec<_> = table
                .rows
                .iter()
                .map(|row| (row.id.clone(), row.valence, row.arousal))
                .collect();
            (rows, remark)
        };
        let (dropped, remark) = resolved(Repeated::Drop);
        assert_eq!(dropped, [("b".to_owned(), 0.5, 0.5)]);
        assert_eq!(
            remark,
            "1 pictures have 2 rows with different values: left out (repeated): a"
        );
        assert_eq!(resolved(Repeated::Keep).0.len(), 3);
        assert_eq!(
            resolved(Repeated::Mean).0,
            [("a".to_owned(), 0.5, 0.25), ("b".to_owned(), 0.5, 0.5)]
        );
        let table = table(text, Of::Image).by_id().unwrap();
        assert_eq!(table.len(), 1);
    }
}

//! EMOTIC's arrays: which picture each of them is.
//!
//! The manifests `annots_arrs/annot_arrs_{val,train,extra_train,test}.csv` have the picture's file name (`Filename`) and the array's
//! (`Crop_name`, or `Arr_name`); the arrays are in `img_arrs/`. A picture with several people has several rows. The pipelines of
//! the field read the manifests in that order and keep the last array of a picture; the published cleaned files show it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::image_stem;
use crate::dataset::csv_file::CsvFile;
use crate::dataset::folder::names_in;
use crate::dataset::{Error, Problems};

/// In the order in which later ones win.
const MANIFESTS: [&str; 4] = ["val", "train", "extra_train", "test"];

/// Which array stands for a picture.
pub struct ArrayNames {
    /// By the picture's id without extension.
    names: HashMap<String, String>,
    /// The folder of the arrays.
    pub folder: PathBuf,
    /// Every manifest that was read.
    pub manifests: Vec<PathBuf>,
    /// Arrays that the manifests name and that are not there; they stand for nothing.
    pub missing: usize,
    /// Whether there is a folder of arrays. Where there is none, whatever the manifests name counts.
    pub has_arrays: bool,
}

impl ArrayNames {
    /// Reads the manifests in `folder/annots_arrs` (or `folder/archive/annots_arrs`, or `folder` itself).
    ///
    /// # Errors
    /// There is none, or one cannot be read.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let bases = [folder.to_path_buf(), folder.join("archive")];
        let mut places: Vec<(PathBuf, PathBuf)> = (bases.iter())
            .map(|base| (base.join("annots_arrs"), base.join("img_arrs")))
            .collect();
        places.push((folder.to_path_buf(), folder.join("img_arrs")));
        for (annotations, arrays) in &places {
            let manifests: Vec<PathBuf> = (MANIFESTS.iter())
                .map(|name| annotations.join(format!("annot_arrs_{name}.csv")))
                .filter(|path| path.is_file())
                .collect();
            if !manifests.is_empty() {
                return Self::read_from(manifests, arrays.clone());
            }
        }
        Err(Error::NoAnnotations {
            corpus: "EMOTIC's manifests of arrays",
            wanted: "annot_arrs_train.csv".into(),
            root: folder.into(),
            looked_in: places.into_iter().map(|(annotations, _)| annotations).collect(),
        })
    }

    fn read_from(manifests: Vec<PathBuf>, folder: PathBuf) -> Result<Self, Error> {
        let has_arrays = folder.is_dir();
        let there: HashSet<String> = names_in(&folder)?.into_iter().collect();
        let mut read = Self {
            names: HashMap::new(),
            folder,
            manifests: Vec::new(),
            missing: 0,
            has_arrays,
        };
        let mut rows = Vec::new();
        for path in manifests {
            let mut file = CsvFile::read(&path)?;
            rows.append(&mut file.faults);
            let column = |name: &str| file.header.iter().position(|it| it == name);
            let array = column("Crop_name").or_else(|| column("Arr_name"));
            let (Some(picture), Some(array)) = (column("Filename"), array) else {
                rows.push(file.fault(1, "no column `Filename`, or neither `Crop_name` nor `Arr_name`".into()));
                continue;
            };
            for row in &file.rows {
                let (picture, array) = (row.get(picture), row.get(array));
                if picture.is_empty() || array.is_empty() {
                    continue;
                }
                if has_arrays && !there.contains(array) {
                    read.missing += 1;
                } else {
                    read.names.insert(image_stem(picture).to_owned(), array.to_owned());
                }
            }
            read.manifests.push(path);
        }
        if rows.is_empty() {
            return Ok(read);
        }
        Err(Box::new(Problems {
            rows,
            ..Problems::default()
        })
        .into())
    }

    /// The array of a picture, by its id with or without extension.
    pub fn array(&self, image: &str) -> Option<&str> {
        self.names.get(image_stem(image)).map(String::as_str)
    }

    /// How many pictures have an array.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no picture has one.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The picture of each array.
    pub fn into_pictures(self) -> HashMap<String, String> {
        self.names
            .into_iter()
            .map(|(picture, array)| (array, picture))
            .collect()
    }
}

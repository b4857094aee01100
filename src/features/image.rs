//! `[features] kind = "image"`: pictures as arrays `[3, rows, columns]`, red, green, blue.
//!
//! JPEG and PNG files, whatever their colours are stored as, and arrays `[rows, columns, 3]` in `.npy` files (EMOTIC's are 224×224×3).
//! All are resized to one size with a triangle filter that grows with the reduction (the "bilinear" of Pillow), and scaled to 0..1.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageBuffer, ImageReader, Rgb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::timings::{Clocks, Stage};
use crate::npy_header::{Layout, layout, shape_text};

/// Changes whenever the numbers change for unchanged settings; part of every cache key.
pub const VERSION: u32 = 1;

/// A picture with values from 0 to 1.
type Picture = ImageBuffer<Rgb<f32>, Vec<f32>>;

/// Pictures, `[3, size, size]`: JPEG, PNG, or arrays `[rows, columns, 3]` in `.npy` files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageRecipe {
    /// Rows and columns of every array.
    #[schemars(range(min = 1, max = 2048))]
    pub size: usize,
    /// How a picture that is no square becomes one.
    pub fit: Fit,
    /// What is done to the values, which are from 0 to 1.
    pub normalize: ImageNormalize,
}

impl Default for ImageRecipe {
    fn default() -> Self {
        Self {
            size: 224,
            fit: Fit::default(),
            normalize: ImageNormalize::default(),
        }
    }
}

/// How a picture that is no square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Rows and columns are resized each by its own factor: nothing is lost, shapes change.
    #[default]
    Stretch,
    /// The square in the middle.
    Crop,
}

/// What is done to the values of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageNormalize {
    /// From 0 to 1.
    None,
    /// Less ImageNet's mean and divided by its deviation, channel by channel: what pretrained networks expect.
    #[default]
    Imagenet,
    /// Per picture: mean 0, standard deviation 1 (a constant picture becomes zeros).
    Standard,
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// What decides the values of a feature set, as its `recipe.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageIdentity {
    pub version: u32,
    pub image: ImageRecipe,
    pub shape: [usize; 3],
}

/// A recipe at work.
pub struct Pictures {
    recipe: ImageRecipe,
}

impl Pictures {
    pub fn new(recipe: &ImageRecipe) -> Self {
        Self { recipe: recipe.clone() }
    }

    /// `[3, size, size]`.
    pub fn shape(&self) -> [usize; 3] {
        [3, self.recipe.size, self.recipe.size]
    }

    /// For the cache's key.
    pub fn identity(&self) -> ImageIdentity {
        ImageIdentity {
            version: VERSION,
            image: self.recipe.clone(),
            shape: self.shape(),
        }
    }

    /// The array of the picture at `path`, channel by channel.
    ///
    /// # Errors
    /// In words that can stand behind the file's name.
    pub fn array(&self, path: &Path, clocks: &Clocks) -> Result<Vec<f32>, String> {
        let picture = clocks.time(Stage::Decoding, || read(path))?;
        clocks.time(Stage::Spectrograms, || {
            let picture = self.resized(picture);
            let mut values: Vec<f32> = (0..3)
                .flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]))
                .collect();
            match self.recipe.normalize {
                ImageNormalize::None => {}
                ImageNormalize::Imagenet => {
                    let plane = (values.len() / 3).max(1);
                    let figures = IMAGENET_MEAN.into_iter().zip(IMAGENET_DEVIATION);
                    for (plane, (mean, deviation)) in values.chunks_mut(plane).zip(figures) {
                        plane.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
                    }
                }
                ImageNormalize::Standard => super::normalize::each(&mut values, super::Normalize::Standard),
            }
            Ok(values)
        })
    }

    fn resized(&self, picture: Picture) -> Picture {
        let size = u32::try_from(self.recipe.size).unwrap_or(u32::MAX);
        let (columns, rows) = picture.dimensions();
        let picture = match self.recipe.fit {
            Fit::Crop if columns != rows => {
                let side = columns.min(rows);
                crop_imm(&picture, (columns - side) / 2, (rows - side) / 2, side, side).to_image()
            }
            _ => picture,
        };
        match picture.dimensions() == (size, size) {
            true => picture,
            false => resize(&picture, size, size, FilterType::Triangle),
        }
    }
}

/// Reads a picture of either kind.
fn read(path: &Path) -> Result<Picture, String> {
    let content = std::fs::read(path).map_err(|error| super::describe(&error))?;
    match content.starts_with(b"\x93NUMPY") {
        true => array(&content),
        false => encoded(content),
    }
}

/// Whether a picture can be read, and its columns and rows.
///
/// # Errors
/// In words that can stand behind the file's name.
pub fn probe(path: &Path) -> Result<(u32, u32), String> {
    Ok(read(path)?.dimensions())
}

fn encoded(content: Vec<u8>) -> Result<Picture, String> {
    // A JPEG file that was cut off would else be a picture with a grey lower part.
    let is_jpeg = content.starts_with(b"\xff\xd8");
    let tail = content.get(content.len().saturating_sub(64)..).unwrap_or_default();
    if is_jpeg && !tail.windows(2).any(|pair| pair == b"\xff\xd9") {
        return Err("it is cut short: the end of the JPEG picture is missing".into());
    }
    let reader = ImageReader::new(Cursor::new(content)).with_guessed_format();
    let picture = reader
        .map_err(|error| error.to_string())?
        .decode()
        .map_err(|error| format!("it cannot be read as a picture: {error}"))?;
    Ok(picture.to_rgb32f())
}

/// The longest side of an array.
const LONGEST: u64 = 1 << 14;

fn array(content: &[u8]) -> Result<Picture, String> {
    let Layout { descr, shape, offset } = layout(content)?;
    let &[rows, columns, 3] = shape.as_slice() else {
        return Err(format!(
            "it has shape {}, but a picture has (rows, columns, 3)",
            shape_text(&shape)
        ));
    };
    if rows == 0 || columns == 0 || rows > LONGEST || columns > LONGEST {
        return Err(format!("it has shape {}, which is no picture's", shape_text(&shape)));
    }
    let count = (rows * columns * 3) as usize;
    let data = usize::try_from(offset)
        .ok()
        .and_then(|offset| content.get(offset..))
        .unwrap_or_default();
    let values: Vec<f32> = match descr {
        "|u1" => data.iter().take(count).map(|value| f32::from(*value) / 255.0).collect(),
        "<f4" => floats(
            data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)),
            count,
        )?,
        "<f8" => floats(
            data.as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes) as f32),
            count,
        )?,
        other => {
            return Err(format!(
                "its values are of type {other:?}; expected uint8, float32 or float64"
            ));
        }
    };
    if values.len() < count {
        return Err(format!("it is cut short: {} values of {count}", values.len()));
    }
    let (columns, rows) = (columns as u32, rows as u32);
    ImageBuffer::from_raw(columns, rows, values).ok_or_else(|| "it is no picture".into())
}

/// Values from 0 to 1, or from 0 to 255 where one is above 1.
fn floats(values: impl Iterator<Item = f32>, count: usize) -> Result<Vec<f32>, String> {
    let mut values: Vec<f32> = values.take(count).collect();
    if values.iter().any(|value| !(0.0..=255.0).contains(value)) {
        return Err("it has values that are not from 0 to 255".into());
    }
    if values.iter().any(|value| *value > 1.0) {
        values.iter_mut().for_each(|value| *value /= 255.0);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn extracted(name: &str, content: &[u8], recipe: &ImageRecipe) -> Result<Vec<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        files::write_whole(&path, content).unwrap();
        Pictures::new(recipe).array(&path, &Clocks::default())
    }

    fn plain(size: usize, fit: Fit) -> ImageRecipe {
        ImageRecipe {
            size,
            fit,
            normalize: ImageNormalize::None,
        }
    }

    /// Red to the left, green to the right, twice as wide as high.
    fn png() -> Vec<u8> {
        let picture = image::RgbImage::from_fn(8, 4, |x, _| Rgb(if x < 4 { [255, 0, 0] } else { [0, 255, 0] }));
        let mut bytes = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
            .unwrap();
        bytes
    }

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn channels_come_one_after_the_other() {
        let stretched = extracted("a.png", &png(), &plain(4, Fit::Stretch)).unwrap();
        assert_eq!(stretched.len(), 48);
        let (red, green, blue) = (&stretched[..16], &stretched[16..32], &stretched[32..]);
        assert!(red[0] > 0.99 && red[3] < 0.01 && green[0] < 0.01 && green[15] > 0.99);
        assert!(blue.iter().all(|value| *value == 0.0));
        let cropped = extracted("a.png", &png(), &plain(4, Fit::Crop)).unwrap();
        assert_eq!(cropped[..4], [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn arrays_of_bytes_and_of_floats_are_the_same_picture() {
        let bytes: Vec<u8> = (0..12).map(|value| value * 20).collect();
        let recipe = plain(2, Fit::Stretch);
        let of_bytes = extracted("a.npy", &npy("|u1", "(2, 2, 3)", &bytes), &recipe).unwrap();
        assert_eq!(of_bytes[..4], [0.0, 60.0 / 255.0, 120.0 / 255.0, 180.0 / 255.0]);
        let floats: Vec<u8> = bytes.iter().flat_map(|value| f32::from(*value).to_le_bytes()).collect();
        assert_eq!(
            extracted("a.npy", &npy("<f4", "(2, 2, 3)", &floats), &recipe).unwrap(),
            of_bytes
        );
        let unit: Vec<u8> = bytes
            .iter()
            .flat_map(|value| (f64::from(*value) / 255.0).to_le_bytes())
            .collect();
        assert_eq!(
            extracted("a.npy", &npy("<f8", "(2, 2, 3)", &unit), &recipe).unwrap(),
            of_bytes
        );
    }

    #[test]
    fn values_can_be_normalised() {
        let recipe = |normalize| ImageRecipe {
            size: 4,
            fit: Fit::Stretch,
            normalize,
        };
        let values = extracted("a.png", &png(), &recipe(ImageNormalize::Imagenet)).unwrap();
        assert!((values[47] + 0.406 / 0.225).abs() < 1e-6);
        let values = extracted("a.png", &png(), &recipe(ImageNormalize::Standard)).unwrap();
        assert!(values.iter().sum::<f32>().abs() < 1e-4);
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let recipe = plain(4, Fit::Stretch);
        let says = |name: &str, content: &[u8], what: &str| {
            let error = extracted(name, content, &recipe).unwrap_err();
            assert!(error.contains(what), "{error}");
        };
        says("a.jpg", b"", "cannot be read as a picture");
        says("a.jpg", b"this is a page", "cannot be read as a picture");
        says("a.jpg", b"\xff\xd8\xff\xe0 and no more", "cut short");
        says("a.png", &png()[..40], "cannot be read as a picture");
        says(
            "a.npy",
            &npy("|u1", "(2, 2)", &[0; 4]),
            "but a picture has (rows, columns, 3)",
        );
        says(
            "a.npy",
            &npy("|u1", "(2, 2, 3)", &[0; 11]),
            "cut short: 11 values of 12",
        );
        says("a.npy", &npy("|u1", "(999999, 999999, 3)", &[0; 11]), "no picture's");
        says("a.npy", &npy("|O", "(2, 2, 3)", &[0; 11]), "\"|O\"");
        says("a.npy", &npy("<f4", "(1, 1, 3)", &[0xff; 12]), "not from 0 to 255");
    }
}

//! A finished figure: as SVG whose text is outlines, as PNG, as pixels.

use std::path::Path;

use resvg::{tiny_skia, usvg};

use super::canvas::{Canvas, DrawError, Plot};
use super::{Error, canvas, font};

/// Pixels of the PNG for one of the SVG: 96 × 3.125 = 300 dots per inch, what journals ask for.
const PRINT_SCALE: f32 = 3.125;

/// A picture of a run.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What the files are called: "loss".
    pub name: String,
    /// "Loss by epoch".
    pub title: String,
    /// What is to be seen, in full sentences: the caption.
    pub caption: String,
    /// A whole SVG document of `width` by `height` CSS pixels. It needs no fonts; its ids begin with the name.
    pub svg: String,
    /// CSS pixels (1/96 inch): 360 for one column of a paper, 720 for two.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// The values behind it, for showing them under the pointer.
    pub values: Values,
}

/// What a figure shows under the pointer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    pub curves: Vec<Curves>,
    pub spots: Vec<Spot>,
}

/// The curves of one pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// Left, top, right, bottom of the plot in the SVG's pixels.
    pub rect: [f64; 4],
    /// The epochs at the left and right edge.
    pub epochs: [f64; 2],
    /// Name and points (epochs trained, value) of each curve.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

/// A mark that stands for something.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// The mark's centre in the SVG's pixels.
    pub at: (f64, f64),
    /// How near the pointer has to be, in the same pixels.
    pub reach: f64,
    pub text: String,
}

/// What a figure is called and says.
pub(super) struct About {
    pub name: &'static str,
    pub title: String,
    pub caption: String,
    pub width: f64,
    pub height: f64,
}

impl Figure {
    /// Draws with `paint` and turns text into outlines.
    pub(super) fn draw(
        about: About,
        paint: impl FnOnce(&Canvas<'_>) -> Result<Values, DrawError>,
    ) -> Result<Self, Error> {
        let failed = |reason: String| Error::Draw {
            figure: about.name.to_owned(),
            reason,
        };
        let mut values = Values::default();
        let (width, height) = (about.width.round(), about.height.round());
        let svg = canvas::draw(width, height, |canvas| {
            values = paint(canvas)?;
            Ok(())
        })
        .map_err(|error| failed(error.to_string()))?;
        let svg = outlined(&svg, about.name).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            name: about.name.to_owned(),
            title: about.title,
            caption: about.caption,
            svg,
            width: width as u32,
            height: height as u32,
            values,
        })
    }

    /// Writes `<name>.svg` and `<name>.png` (300 dots per inch) to `folder`, which is created where it is missing.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        crate::files::create_folder(folder)?;
        crate::files::write_whole(&folder.join(format!("{}.svg", self.name)), self.svg.as_bytes())?;
        let png = self.pixels(PRINT_SCALE)?.encode_png().map_err(|error| Error::Draw {
            figure: self.name.clone(),
            reason: error.to_string(),
        })?;
        crate::files::write_whole(&folder.join(format!("{}.png", self.name)), &png)?;
        Ok(())
    }

    /// Width, height and interleaved 8-bit RGB (3 × width × height bytes) of the figure on white, `width` (at most
    /// 10,000) pixels wide.
    ///
    /// # Errors
    /// [`Error::Size`] when `width` is 0 or above 10,000.
    pub fn rgb(&self, width: u32) -> Result<(u32, u32, Vec<u8>), Error> {
        if width == 0 || width > 10_000 {
            return Err(Error::Size { width });
        }
        let pixels = self.pixels(width as f32 / self.width.max(1) as f32)?;
        let rgb = pixels
            .data()
            .chunks_exact(4)
            .flat_map(|rgba| rgba.iter().take(3).copied())
            .collect();
        Ok((pixels.width(), pixels.height(), rgb))
    }

    fn pixels(&self, scale: f32) -> Result<tiny_skia::Pixmap, Error> {
        let failed = |reason: String| Error::Draw {
            figure: self.name.clone(),
            reason,
        };
        let tree =
            usvg::Tree::from_str(&self.svg, &usvg::Options::default()).map_err(|error| failed(error.to_string()))?;
        let size = |length: u32| ((length as f32 * scale).round() as u32).max(1);
        let mut pixels = tiny_skia::Pixmap::new(size(self.width), size(self.height))
            .ok_or_else(|| failed("too many pixels".to_owned()))?;
        pixels.fill(tiny_skia::Color::WHITE);
        resvg::render(
            &tree,
            tiny_skia::Transform::from_scale(scale, scale),
            &mut pixels.as_mut(),
        );
        Ok(pixels)
    }
}

impl From<Vec<Curves>> for Values {
    fn from(curves: Vec<Curves>) -> Self {
        Self {
            curves,
            spots: Vec::new(),
        }
    }
}

impl From<Vec<Spot>> for Values {
    fn from(spots: Vec<Spot>) -> Self {
        Self {
            curves: Vec::new(),
            spots,
        }
    }
}

impl Curves {
    pub(super) fn new(plot: &Plot, curves: Vec<(String, Vec<(f64, f64)>)>) -> Self {
        let rect = plot.rect;
        Self {
            rect: [rect.left, rect.top, rect.right(), rect.bottom()],
            epochs: [plot.x.low(), plot.x.high()],
            curves,
        }
    }
}

/// The same picture with text as outlines of the embedded font.
fn outlined(svg: &str, name: &str) -> Result<String, usvg::Error> {
    let options = usvg::Options {
        font_family: font::FAMILY.to_owned(),
        fontdb: font::database(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options)?;
    let written = tree.to_string(&usvg::WriteOptions {
        id_prefix: Some(format!("{name}-")),
        coordinates_precision: 1,
        transforms_precision: 6,
        indent: usvg::Indent::None,
        ..usvg::WriteOptions::default()
    });
    // So that a page can scale it.
    let size = tree.size();
    let view = format!("<svg viewBox=\"0 0 {} {}\" ", size.width(), size.height());
    Ok(if written.contains("viewBox") {
        written
    } else {
        written.replacen("<svg ", &view, 1)
    })
}

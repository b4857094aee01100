//! IMEMNet and IMEMNet-C, with 24 pictures, 18 clips and the pairs of some of them.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use super::write;

/// Ids of pictures that are there, and the names of their files.
pub fn pictures() -> Vec<(String, String)> {
    (0..24)
        .map(|index| match index % 4 {
            0 => (
                format!("COCO_train2014_{index:012}"),
                format!("images/emotic/COCO_train2014_{index:012}.jpg"),
            ),
            1 => (format!("frame_x{index}"), format!("images/emotic/frame_x{index}.png")),
            2 => (format!("{}", 3000 + index), format!("images/iaps/{}.JPG", 3000 + index)),
            _ => (
                format!("sun_b{index}"),
                format!("images/emotic/deeper/sun_b{index}.jpg"),
            ),
        })
        .collect()
}

/// A row, and no file.
pub const MISSING: &str = "Objects_001_h";
/// A JPEG picture that was cut off.
pub const DAMAGED: &str = "People_002_v";
/// Three rows with different values.
pub const REPEATED: &str = "2352";

/// Valence and arousal of a picture or clip by its position.
pub fn truth(index: usize) -> (f64, f64) {
    ((index * 5 % 23) as f64 / 23.0, (index * 11 % 23) as f64 / 23.0)
}

fn picture(index: usize, format: ImageFormat) -> Vec<u8> {
    let (valence, arousal) = truth(index);
    let picture = RgbImage::from_fn(60, 40, |x, y| {
        Rgb([(255.0 * valence) as u8, (255.0 * arousal) as u8, ((x + y) % 256) as u8])
    });
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// The table and the pictures as files.
pub fn generate_pictures(root: &Path) {
    let mut table = String::from(",img,valence,arousal\n");
    let mut row = |id: &str, (valence, arousal): (f64, f64)| {
        let number = table.lines().count() - 1;
        table.push_str(&format!("{number},{id},{valence:.10},{arousal:.10}\n"));
    };
    for (index, (id, name)) in pictures().into_iter().enumerate() {
        row(&id, truth(index));
        let format = if name.ends_with(".png") {
            ImageFormat::Png
        } else {
            ImageFormat::Jpeg
        };
        write(&root.join(name), picture(index, format));
    }
    for values in [(0.1, 0.8), (0.8, 0.5), (0.85, 0.6)] {
        row(REPEATED, values);
    }
    row(MISSING, (0.5, 0.5));
    row(DAMAGED, (0.5, 0.25));
    write(&root.join("images/iaps/2352.jpg"), picture(1, ImageFormat::Jpeg));
    let whole = picture(2, ImageFormat::Jpeg);
    write(
        &root.join(format!("images/naps/{DAMAGED}.jpg")),
        &whole[..whole.len() / 2],
    );
    // Litter, and a picture without a row. A folder of broken pictures alone is not looked into.
    write(&root.join("images/emotic/._frame_x1.png"), b"\0\x05\x16\x07");
    write(&root.join("images/iaps/9999.jpg"), picture(3, ImageFormat::Jpeg));
    write(&root.join("image_va.csv"), table);
}

/// EMOTIC's arrays and manifests: every picture but IAPS' (numbers) has one; the one of `frame_x1` has two, the second of which counts.
pub fn generate_arrays(emotic: &Path) {
    let mut manifests = [
        ("train", String::new()),
        ("val", String::new()),
        ("test", String::new()),
        ("extra_train", String::new()),
    ];
    for (index, (id, name)) in pictures().into_iter().enumerate() {
        if name.contains("iaps") {
            continue;
        }
        let (manifest, rows) = &mut manifests[index % 3];
        let array = format!("crop_arr_{manifest}_{index}.npy");
        rows.push_str(&format!("{index},mscoco/images,{id}.jpg,{array}\n"));
        write(&emotic.join("img_arrs").join(array), npy(index));
    }
    manifests[1]
        .1
        .push_str("90,framesdb/images,frame_x1.jpg,crop_arr_val_90.npy\n");
    write(&emotic.join("img_arrs/crop_arr_val_90.npy"), npy(2));
    // Named, but not there.
    manifests[3]
        .1
        .push_str("91,framesdb/images,frame_x99.jpg,arr_extra_91.npy\n");
    for (name, rows) in manifests {
        let column = if name == "extra_train" { "Arr_name" } else { "Crop_name" };
        let text = format!("Index,Folder,Filename,{column}\n{rows}");
        write(&emotic.join(format!("annots_arrs/annot_arrs_{name}.csv")), text);
    }
}

fn npy(index: usize) -> Vec<u8> {
    let (valence, arousal) = truth(index);
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (224, 224, 3), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{text:<117}\n");
    bytes.extend(u16::try_from(padded.len()).unwrap().to_le_bytes());
    bytes.extend(padded.bytes());
    let pixel = [(255.0 * valence) as u8, (255.0 * arousal) as u8, 100];
    bytes.extend(std::iter::repeat_n(pixel, 224 * 224).flatten());
    bytes
}

/// Ids of clips: six songs of three.
pub fn clips() -> Vec<String> {
    (0..18)
        .map(|index| format!("{}-{}", 700 + index / 3, 10 + index % 3))
        .collect()
}

/// The table with captions, and the clips, `.wav` and `.WAV`.
pub fn generate_music(root: &Path) {
    let mut table = String::from(",music,valence,arousal,caption\n");
    for (index, id) in clips().into_iter().enumerate() {
        let (valence, arousal) = truth(index);
        table.push_str(&format!(
            "{index},{id},{valence},{arousal},\"A \"\"slow\"\" song, with piano {index}\"\n"
        ));
        let extension = if index % 2 == 0 { "wav" } else { "WAV" };
        let path = root.join(format!("clips/{id}.{extension}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        wav(&path, 200.0 + 400.0 * valence, 0.2 + 0.7 * arousal);
    }
    table.push_str("18,799-1,0.5,0.5,no file\n");
    write(&root.join("music_va.csv"), table);
}

fn wav(path: &Path, frequency: f64, amplitude: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 22_050,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in 0..22_050 {
        let phase = std::f64::consts::TAU * frequency * f64::from(sample) / 22_050.0;
        writer
            .write_sample((32_000.0 * amplitude * phase.sin()) as i16)
            .unwrap();
    }
    writer.finalize().unwrap();
}

/// Matching files: the songs of val are in test too, and one row stands twice.
pub fn generate_matching(root: &Path) {
    let (clips, pictures) = (clips(), pictures());
    let mut files = [
        ("train", String::new(), "\n"),
        ("val", String::new(), "\n"),
        ("test", String::new(), "\r\n"),
    ];
    for (index, clip) in clips.iter().enumerate() {
        let song = index / 3;
        let sides: &[usize] = match song {
            0..=3 => &[0],
            4 => &[1, 2],
            _ => &[2],
        };
        for side in sides {
            let (_, text, end) = &mut files[*side];
            for step in [0, 7] {
                let (image, _) = &pictures[(index + step) % 24];
                text.push_str(&format!("{clip} {image} 0.{}{end}", 300 + 20 * index + step));
            }
        }
    }
    files[0].1.push_str(&format!(
        "{} {} 0.300\n{} {MISSING} 0.9\n",
        clips[0], pictures[0].0, clips[0]
    ));
    for (name, text, _) in files {
        write(&root.join(format!("{name}_matching.txt")), text);
    }
}

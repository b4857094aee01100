//! The corpus on disk, in IMEMNet's layout.
//!
//! ```text
//! <cache>/synthetic-pairs/
//!   <key>.lock                        held while the corpus is being made
//!   <key>/
//!     README.txt                      what this is
//!     images/<picture>.png
//!     audio/<song>-<clip>.wav         16-bit PCM, one channel
//!     image_va.csv, music_va.csv      valence and arousal from 0 to 1, as judges rated them
//!     {train,val,test}_matching.txt   clip, picture and score; written last
//! ```
//!
//! As for [`synthetic`](crate::dataset::synthetic), every file is written whole and its content follows from the settings alone: what is
//! there is right, and what a killed process left out is made by the next one.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::ImageFormat;
use rayon::prelude::*;

use super::SyntheticPairsSpec;
use super::pairs::{self, Picture};
use super::picture;
use crate::dataset::synthetic::annotate::rate;
use crate::dataset::synthetic::corpus::{WAV_HEADER, holds, wav};
use crate::dataset::synthetic::song::{Song, samples};
use crate::dataset::{Error, synthetic};
use crate::files;
use crate::random::Generator;

/// Goes up whenever the same settings would give other bytes.
const RENDERER: u32 = 1;

pub const IMAGES: &str = "images";
pub const AUDIO: &str = "audio";
pub const IMAGE_VA: &str = "image_va.csv";
pub const MUSIC_VA: &str = "music_va.csv";

/// Root of the corpus, `<cache>/synthetic-pairs/<key>/`. What is missing is rendered, in parallel on the current rayon pool; what is
/// there is reused. `progress` hears of finished and of all files, from any thread.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn prepare(
    spec: &SyntheticPairsSpec,
    cache: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<PathBuf, Error> {
    let parent = cache.join("synthetic-pairs");
    let key = key(spec);
    let root = parent.join(&key);
    let music = spec.music();
    let songs: Vec<Song> = (1..=spec.songs as u64)
        .into_par_iter()
        .map(|id| Song::draw(&music, id))
        .collect();
    let corpus = Corpus {
        spec,
        root: &root,
        pictures: pairs::pictures(spec),
        songs,
    };
    let texts = corpus.texts();
    if corpus.is_complete() && texts.iter().all(|(path, text)| holds(path, text)) {
        return Ok(root);
    }
    files::create_folder(&parent)?;
    let lock_path = parent.join(format!("{key}.lock"));
    let lock = files::open_in_place(&lock_path)?;
    match lock.lock() {
        Ok(()) => {}
        // Some network file systems have no locks. The lock saves work; correctness does not rest on it.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
        Err(error) => return Err(files::Error::at("lock", &lock_path)(error).into()),
    }
    corpus.complete(&texts, progress)?;
    Ok(root)
}

/// 16 hexadecimal digits for everything that the files depend on.
fn key(spec: &SyntheticPairsSpec) -> String {
    let SyntheticPairsSpec {
        songs,
        clips_per_song,
        seconds,
        sample_rate,
        images,
        image_size,
        pairs_per_clip,
        score_deviation,
        seed,
        group: _,
        split: _,
    } = spec;
    let text = format!(
        "pair renderer {RENDERER}, {songs} songs of {clips_per_song} clips, {seconds:?} s, {sample_rate} Hz, {images} pictures of \
         {image_size}, {pairs_per_clip} pairs, deviation {score_deviation:?}, seed {seed}"
    );
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

struct Corpus<'a> {
    spec: &'a SyntheticPairsSpec,
    root: &'a Path,
    songs: Vec<Song>,
    pictures: Vec<Picture>,
}

impl Corpus<'_> {
    fn clip(&self, song: &Song, clip: usize) -> PathBuf {
        self.root.join(AUDIO).join(format!("{}-{clip}.wav", song.id))
    }

    fn image(&self, picture: &Picture) -> PathBuf {
        self.root.join(IMAGES).join(format!("{}.png", picture.id))
    }

    fn clip_length(&self) -> usize {
        samples(self.spec.seconds, self.spec.sample_rate)
    }

    fn has_song(&self, song: &Song) -> bool {
        let length = WAV_HEADER + 2 * self.clip_length() as u64;
        (0..self.spec.clips_per_song).all(|clip| {
            std::fs::metadata(self.clip(song, clip)).is_ok_and(|file| file.is_file() && file.len() == length)
        })
    }

    /// Files are written whole, so a picture that is there is all of it.
    fn has_image(&self, picture: &Picture) -> bool {
        std::fs::metadata(self.image(picture)).is_ok_and(|file| file.is_file() && file.len() > 0)
    }

    fn is_complete(&self) -> bool {
        self.songs.iter().all(|song| self.has_song(song)) && self.pictures.iter().all(|picture| self.has_image(picture))
    }

    /// The text files and their content, the matching files last.
    fn texts(&self) -> Vec<(PathBuf, String)> {
        let unit = |rating: f64| (rating - 1.0) / 8.0;
        let mut image_va = String::from(",img,valence,arousal\n");
        for (row, picture) in self.pictures.iter().enumerate() {
            let mut generator = Generator::keyed(self.spec.seed, "synthetic pairs: picture ratings", &[picture.id]);
            let rated = rate(picture.truth, 10, 1.0, &mut generator);
            let (valence, arousal) = (unit(rated.valence.mean), unit(rated.arousal.mean));
            let _ = writeln!(image_va, "{row},{},{valence:.4},{arousal:.4}", picture.id);
        }
        let mut music_va = String::from(",music,valence,arousal,caption\n");
        let mut row = 0;
        for song in &self.songs {
            let (valence, arousal) = (unit(song.ratings.valence.mean), unit(song.ratings.arousal.mean));
            for clip in 0..self.spec.clips_per_song {
                let _ = writeln!(music_va, "{row},{}-{clip},{valence:.4},{arousal:.4},rendered", song.id);
                row += 1;
            }
        }
        let readme = format!(
            "Pairs of music and pictures, rendered by affect from known valence and arousal (dataset.kind = \"synthetic-pairs\").\n\
             {} songs of {} clips, {} pictures. No human has judged them. The folder can be deleted at any time.\n",
            self.spec.songs, self.spec.clips_per_song, self.spec.images
        );
        let mut texts = vec![
            (self.root.join("README.txt"), readme),
            (self.root.join(IMAGE_VA), image_va),
            (self.root.join(MUSIC_VA), music_va),
        ];
        for (side, matches) in pairs::deal(self.spec, &self.songs, &self.pictures) {
            let mut text = String::new();
            for pair in matches {
                let _ = writeln!(text, "{}-{} {} {:.6}", pair.song, pair.clip, pair.picture, pair.score);
            }
            texts.push((self.root.join(format!("{}_matching.txt", side.name())), text));
        }
        texts
    }

    fn complete(&self, texts: &[(PathBuf, String)], progress: &(dyn Fn(usize, usize) + Sync)) -> Result<(), Error> {
        files::create_folder(&self.root.join(AUDIO))?;
        files::create_folder(&self.root.join(IMAGES))?;
        let total = self.songs.len() + self.pictures.len();
        let done = AtomicUsize::new(0);
        let told = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        self.songs.par_iter().try_for_each(|song| {
            if !self.has_song(song) {
                self.render(song)?;
            }
            told();
            Ok::<_, Error>(())
        })?;
        self.pictures.par_iter().try_for_each(|picture| {
            if !self.has_image(picture) {
                self.draw(picture)?;
            }
            told();
            Ok::<_, Error>(())
        })?;
        for (path, text) in texts.iter().filter(|(path, text)| !holds(path, text)) {
            files::write_whole(path, text.as_bytes())?;
        }
        Ok(())
    }

    fn render(&self, song: &Song) -> Result<(), Error> {
        let music = self.spec.music();
        let sound = song.render(music.seed, music.seconds, music.sample_rate);
        let length = self.clip_length();
        for clip in 0..self.spec.clips_per_song {
            let path = self.clip(song, clip);
            let mut part: Vec<f32> = sound.iter().skip(clip * length).take(length).copied().collect();
            part.resize(length, 0.0);
            let bytes = wav(&part, music.sample_rate, &path).map_err(synthetic_error)?;
            files::write_whole(&path, &bytes)?;
        }
        Ok(())
    }

    fn draw(&self, picture: &Picture) -> Result<(), Error> {
        let path = self.image(picture);
        let size = u32::try_from(self.spec.image_size).unwrap_or(u32::MAX);
        let mut generator = Generator::keyed(self.spec.seed, "synthetic pairs: picture", &[picture.id]);
        let drawn = picture::draw(picture.truth, size, &mut generator);
        let mut bytes = Vec::new();
        drawn
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(|error| Error::Picture {
                path: path.clone(),
                what: error.to_string(),
            })?;
        Ok(files::write_whole(&path, &bytes)?)
    }
}

fn synthetic_error(error: synthetic::Error) -> Error {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Split;
    use crate::dataset::imemnet;

    fn small() -> SyntheticPairsSpec {
        SyntheticPairsSpec {
            songs: 10,
            clips_per_song: 2,
            seconds: 1.0,
            sample_rate: 8000,
            images: 20,
            image_size: 16,
            pairs_per_clip: 4,
            ..SyntheticPairsSpec::default()
        }
    }

    #[test]
    fn it_is_read_by_the_loader_and_what_is_deleted_comes_back_the_same() {
        let cache = tempfile::tempdir().unwrap();
        let spec = small();
        let root = prepare(&spec, cache.path(), &|_, _| {}).unwrap();
        let corpus = imemnet::load_pairs(&spec.corpus(root.clone())).unwrap();
        assert_eq!((corpus.clips.examples.len(), corpus.matching.leaks().len()), (20, 0));
        let sides = corpus.sides(&spec.split, 1).unwrap();
        assert!(sides.remarks.is_empty(), "{:?}", sides.remarks);
        for side in Split::ALL {
            assert!(sides.sides.contains(&Some(side)));
        }
        assert!(
            corpus
                .matching
                .clip_va
                .iter()
                .chain(&corpus.matching.image_va)
                .all(Option::is_some)
        );
        let (clip, image) = (root.join("audio/3-1.wav"), root.join("images/7.png"));
        let before = [&clip, &image].map(|path| std::fs::read(path).unwrap());
        let elsewhere = prepare(&spec, &cache.path().join("other"), &|_, _| {}).unwrap();
        let again = ["audio/3-1.wav", "images/7.png"].map(|name| std::fs::read(elsewhere.join(name)).unwrap());
        assert_eq!(before, again);
        assert_ne!(key(&spec), key(&SyntheticPairsSpec { seed: 2, ..small() }));
    }
}

//! The corpus on disk, in DEAM's layout.
//!
//! ```text
//! <cache>/synthetic/
//!   <key>.lock                        held while the corpus is being made
//!   <key>/
//!     README.txt                      what this is
//!     truth.csv                       what was true of each song: affect, cues, style
//!     MEMD_audio/<song id>.wav        16-bit PCM, one channel
//!     annotations/annotations averaged per song/song_level/
//!       static_annotations_averaged_songs_1_2000.csv    written last
//! ```
//!
//! Every file is written whole and its content follows from the settings alone. So a file that is there with the right
//! length is right; a process that was killed leaves a corpus that the next one completes; and two processes that write at
//! once write the same bytes. The lock only keeps them from doing the work twice.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::song::{Song, samples};
use super::texts::{annotations, readme, truth};
use super::{Error, check};
use crate::dataset::spec::SyntheticSpec;
use crate::files;

/// Goes up whenever the same settings would give other bytes.
const RENDERER: u32 = 1;

const ANNOTATIONS: &str = "annotations/annotations averaged per song/song_level";
const ANNOTATION_FILE: &str = "static_annotations_averaged_songs_1_2000.csv";
const AUDIO: &str = "MEMD_audio";
/// Bytes before the samples of a 16-bit PCM file as hound writes it.
pub(in crate::dataset) const WAV_HEADER: u64 = 44;

/// Root of the corpus, `<cache>/synthetic/<key>/`, where the key stands for every setting that changes the files (not
/// `split`, `targets` and `scale`) and for the renderer's version. What is missing is rendered, in parallel on the current
/// rayon pool; what is there is reused. `progress` hears of finished and of all songs, from any thread; it is not called
/// when nothing is missing.
///
/// It blocks while another process or thread makes the same corpus, so two tasks of one rayon pool must not both call it for
/// the same settings.
///
/// # Errors
///
/// A setting out of its range, or a folder or file that cannot be written.
pub fn prepare(spec: &SyntheticSpec, cache: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<PathBuf, Error> {
    check(spec)?;
    let parent = cache.join("synthetic");
    let key = key(spec);
    let corpus = Corpus {
        spec,
        root: parent.join(&key),
    };
    let songs: Vec<Song> = (1..=spec.songs as u64)
        .into_par_iter()
        .map(|id| Song::draw(spec, id))
        .collect();
    let texts = corpus.texts(&songs);
    if corpus.missing(&songs).is_empty() && texts.iter().all(|(path, text)| holds(path, text)) {
        return Ok(corpus.root);
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
    corpus.complete(&songs, &texts, progress)?;
    Ok(corpus.root)
}

/// 16 hexadecimal digits for everything that the files depend on.
fn key(spec: &SyntheticSpec) -> String {
    let SyntheticSpec {
        songs,
        seconds,
        sample_rate,
        annotators,
        annotator_deviation,
        seed,
        targets: _,
        scale: _,
        split: _,
    } = spec;
    let text = format!(
        "renderer {RENDERER}, {songs} songs, {seconds:?} s, {sample_rate} Hz, {annotators} annotators, deviation \
         {annotator_deviation:?}, seed {seed}"
    );
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

struct Corpus<'a> {
    spec: &'a SyntheticSpec,
    root: PathBuf,
}

impl Corpus<'_> {
    fn audio(&self, song: &Song) -> PathBuf {
        self.root.join(AUDIO).join(format!("{}.wav", song.id))
    }

    /// The songs whose file is not there in full length.
    fn missing<'s>(&self, songs: &'s [Song]) -> Vec<&'s Song> {
        let length = WAV_HEADER + 2 * samples(self.spec.seconds, self.spec.sample_rate) as u64;
        songs
            .iter()
            .filter(|song| {
                !std::fs::metadata(self.audio(song)).is_ok_and(|file| file.is_file() && file.len() == length)
            })
            .collect()
    }

    /// The text files and their content, the annotations last.
    fn texts(&self, songs: &[Song]) -> Vec<(PathBuf, String)> {
        vec![
            (self.root.join("README.txt"), readme(self.spec)),
            (self.root.join("truth.csv"), truth(songs)),
            (self.root.join(ANNOTATIONS).join(ANNOTATION_FILE), annotations(songs)),
        ]
    }

    fn complete(
        &self,
        songs: &[Song],
        texts: &[(PathBuf, String)],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), Error> {
        files::create_folder(&self.root.join(AUDIO))?;
        files::create_folder(&self.root.join(ANNOTATIONS))?;
        let missing = self.missing(songs);
        let done = AtomicUsize::new(songs.len() - missing.len());
        missing.into_par_iter().try_for_each(|song| {
            let sound = song.render(self.spec.seed, self.spec.seconds, self.spec.sample_rate);
            let path = self.audio(song);
            files::write_whole(&path, &wav(&sound, self.spec.sample_rate, &path)?)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, songs.len());
            Ok::<_, Error>(())
        })?;
        for (path, text) in texts.iter().filter(|(path, text)| !holds(path, text)) {
            files::write_whole(path, text.as_bytes())?;
        }
        Ok(())
    }
}

/// Whether the file at `path` is `text`.
pub(in crate::dataset) fn holds(path: &Path, text: &str) -> bool {
    std::fs::read(path).is_ok_and(|content| content == text.as_bytes())
}

/// A 16-bit PCM file with one channel; `path` is for messages.
pub(in crate::dataset) fn wav(sound: &[f32], sample_rate: u32, path: &Path) -> Result<Vec<u8>, Error> {
    let format = hound::WavSpec {
        channels: 1,
        sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let encode = || -> hound::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(WAV_HEADER as usize + 2 * sound.len());
        let mut writer = hound::WavWriter::new(Cursor::new(&mut bytes), format)?;
        for sample in sound {
            writer.write_sample((sample * 32_767.0).round() as i16)?;
        }
        writer.finalize()?;
        Ok(bytes)
    };
    encode().map_err(|source| Error::Wav {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dataset::split::SplitSpec;

    fn small() -> SyntheticSpec {
        SyntheticSpec {
            songs: 10,
            seconds: 1.0,
            sample_rate: 8000,
            ..SyntheticSpec::default()
        }
    }

    fn silent(_: usize, _: usize) {}

    /// Every file under `folder` with its content.
    fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    found.insert(path.strip_prefix(folder).unwrap().to_path_buf(), content);
                }
            }
        }
        found
    }

    fn with_threads(threads: usize, spec: &SyntheticSpec, cache: &Path) -> PathBuf {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| prepare(spec, cache, &silent)).unwrap()
    }

    #[test]
    fn the_bytes_are_the_same_on_any_number_of_threads() {
        let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = contents(&with_threads(1, &small(), one.path()));
        assert_eq!(one.len(), 13);
        assert!(one == contents(&with_threads(3, &small(), three.path())));
    }

    #[test]
    fn files_are_pcm_of_the_right_length() {
        let cache = tempfile::tempdir().unwrap();
        let root = prepare(&small(), cache.path(), &silent).unwrap();
        for song in 1..=10 {
            let reader = hound::WavReader::open(root.join(format!("MEMD_audio/{song}.wav"))).unwrap();
            let format = reader.spec();
            assert_eq!(
                (format.channels, format.sample_rate, format.bits_per_sample),
                (1, 8000, 16)
            );
            assert_eq!(reader.len(), 8000);
            assert!(reader.into_samples::<i16>().any(|sample| sample.unwrap().abs() > 300));
        }
    }

    #[test]
    fn the_annotations_are_those_of_deam_in_form() {
        let cache = tempfile::tempdir().unwrap();
        let root = prepare(&small(), cache.path(), &silent).unwrap();
        let text = std::fs::read_to_string(root.join(ANNOTATIONS).join(ANNOTATION_FILE)).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("song_id, valence_mean, valence_std, arousal_mean, arousal_std")
        );
        for (line, id) in lines.by_ref().zip(1..=10) {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            assert_eq!((fields.len(), fields[0]), (5, f64::from(id)));
            assert!((1.0..=9.0).contains(&fields[1]) && (1.0..=9.0).contains(&fields[3]));
        }
        assert_eq!(lines.next(), None);
        let mut truth = csv::Reader::from_path(root.join("truth.csv")).unwrap();
        assert_eq!(truth.records().map(Result::unwrap).count(), 10);
    }

    #[test]
    fn what_is_there_is_reused_and_what_is_missing_or_torn_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let root = prepare(&small(), cache.path(), &silent).unwrap();
        let whole = contents(&root);
        prepare(&small(), cache.path(), &|_, _| panic!("nothing is missing")).unwrap();

        let annotations = root.join(ANNOTATIONS).join(ANNOTATION_FILE);
        std::fs::remove_file(&annotations).unwrap();
        std::fs::remove_file(root.join("MEMD_audio/4.wav")).unwrap();
        let torn = files::open_in_place(&root.join("MEMD_audio/9.wav")).unwrap();
        torn.set_len(100).unwrap();
        let heard = std::sync::Mutex::new(Vec::new());
        let again = prepare(&small(), cache.path(), &|done, all| {
            heard.lock().unwrap().push((done, all))
        })
        .unwrap();
        let mut heard = heard.into_inner().unwrap();
        heard.sort_unstable();
        assert_eq!(heard, [(9, 10), (10, 10)]);
        assert!(again == root && contents(&root) == whole);
    }

    #[test]
    fn two_at_once_make_one_corpus() {
        let cache = tempfile::tempdir().unwrap();
        let rendered = AtomicUsize::new(0);
        let count = |_: usize, _: usize| {
            rendered.fetch_add(1, Ordering::Relaxed);
        };
        // Threads of their own: each waits for the lock, as processes would.
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| prepare(&small(), cache.path(), &count).unwrap());
            }
        });
        assert_eq!(rendered.into_inner(), 10);
        assert_eq!(contents(&cache.path().join("synthetic").join(key(&small()))).len(), 13);
    }

    #[test]
    fn the_key_is_of_what_changes_the_files() {
        let same = [
            SyntheticSpec {
                split: SplitSpec::Random {
                    fractions: [0.6, 0.2, 0.2],
                    stratify: true,
                    seed: None,
                },
                ..small()
            },
            SyntheticSpec {
                targets: Vec::new(),
                ..small()
            },
        ];
        assert!(same.iter().all(|spec| key(spec) == key(&small())));
        let others = [
            SyntheticSpec { songs: 11, ..small() },
            SyntheticSpec {
                seconds: 1.5,
                ..small()
            },
            SyntheticSpec {
                sample_rate: 8001,
                ..small()
            },
            SyntheticSpec {
                annotators: 9,
                ..small()
            },
            SyntheticSpec {
                annotator_deviation: 0.5,
                ..small()
            },
            SyntheticSpec { seed: 2, ..small() },
        ];
        assert!(others.iter().all(|spec| key(spec) != key(&small())));
    }

    #[test]
    fn settings_out_of_range_and_unwritable_folders_are_errors() {
        let cache = tempfile::tempdir().unwrap();
        for spec in [
            SyntheticSpec { songs: 0, ..small() },
            SyntheticSpec {
                seconds: f64::NAN,
                ..small()
            },
            SyntheticSpec {
                sample_rate: 0,
                ..small()
            },
            SyntheticSpec {
                annotator_deviation: -1.0,
                ..small()
            },
        ] {
            assert!(matches!(
                prepare(&spec, cache.path(), &silent),
                Err(Error::OutOfRange { .. })
            ));
        }
        let file = cache.path().join("file");
        files::write_whole(&file, b"").unwrap();
        let error = prepare(&small(), &file, &silent).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}

//! DEAM, the MediaEval Database for Emotional Analysis of Music (Aljanaki, Yang and Soleymani 2017), and corpora in its layout.
//!
//! [`layout`] finds the annotations and the audio, whichever way the archives were unpacked; one file per kind of annotation
//! reads them. Everything that doesn't depend on the kind of annotation is in `layout`, for the kinds to share.

mod layout;
mod song_level;

use std::path::PathBuf;

use super::audio_files::Inspected;
use super::load::{Recordings, check_root, conclude, remark_on_faults};
use super::{
    DeamScale, DeamStaticSpec, DeamTarget, Error, Example, Manifest, Media, OnError, SyntheticSpec, Target, Task,
    Window,
};
use layout::AudioFolder;

/// `kind = "deam-static"`.
pub(super) fn load_static(spec: &DeamStaticSpec, recordings: Recordings) -> Result<Manifest, Error> {
    let mut manifest = load_songs(spec, recordings)?;
    if manifest.annotation_files.len() == 1 {
        manifest.remarks.push(
            "only one file of song-level annotations was found; DEAM has two (songs 1 to 2000, and 2001 to 2058)"
                .into(),
        );
    }
    Ok(manifest)
}

/// `kind = "synthetic"`: the rendered corpus at `root`.
pub(super) fn load_synthetic(spec: &SyntheticSpec, root: PathBuf) -> Result<Manifest, Error> {
    let spec = DeamStaticSpec {
        root,
        targets: spec.targets.clone(),
        scale: spec.scale,
        split: spec.split.clone(),
        on_error: OnError::Fail,
    };
    load_songs(&spec, Recordings::Needed)
}

fn load_songs(spec: &DeamStaticSpec, recordings: Recordings) -> Result<Manifest, Error> {
    check_targets(&spec.targets)?;
    check_root(&spec.root)?;
    let (songs, annotation_files, problems) = song_level::read(&layout::song_level_files(&spec.root)?)?;
    let audio = AudioFolder::find(&spec.root)?;
    let examples = songs.into_iter().map(|song| {
        let id = song.id.to_string();
        Example {
            group: id.clone(),
            media: Media::Audio {
                path: audio.file(song.id),
                window: Window::default(),
            },
            target: Target::Values(
                spec.targets
                    .iter()
                    .map(|target| match target {
                        DeamTarget::Valence => song.valence,
                        DeamTarget::Arousal => song.arousal,
                    })
                    .map(|rating| rescale(rating, spec.scale))
                    .collect(),
            ),
            deviations: Vec::new(),
            split: None,
            source: song.source,
            id,
        }
    });
    let Inspected { examples, faults } = conclude(examples.collect(), problems, spec.on_error, recordings)?;
    let mut remarks = vec![remark_on_scale(spec.scale).to_owned()];
    remarks.extend(remark_on_faults(faults.len(), examples.len(), spec.on_error));
    Ok(Manifest {
        root: spec.root.clone(),
        task: Task::Regression {
            targets: spec.targets.iter().map(|target| name(*target).to_owned()).collect(),
        },
        examples,
        annotation_files,
        faults,
        remarks,
    })
}

fn check_targets(targets: &[DeamTarget]) -> Result<(), Error> {
    let hint = "write `targets = [\"valence\", \"arousal\"]`, or one of the two";
    if targets.is_empty() {
        return Err(Error::Setting {
            problem: "`dataset.targets` is empty: nothing to predict".into(),
            hint,
        });
    }
    match super::table::first_repeated(targets) {
        None => Ok(()),
        Some(twice) => Err(Error::Setting {
            problem: format!("`dataset.targets` names `{}` twice", name(*twice)),
            hint,
        }),
    }
}

fn name(target: DeamTarget) -> &'static str {
    match target {
        DeamTarget::Valence => "valence",
        DeamTarget::Arousal => "arousal",
    }
}

/// A rating on the scale 1 to 9, mapped linearly.
fn rescale(rating: f64, scale: DeamScale) -> f32 {
    (match scale {
        DeamScale::AsAnnotated => rating,
        DeamScale::Unit => (rating - 1.0) / 8.0,
        DeamScale::Symmetric => (rating - 5.0) / 4.0,
    }) as f32
}

fn remark_on_scale(scale: DeamScale) -> &'static str {
    match scale {
        DeamScale::AsAnnotated => "ratings as annotated, 1 to 9",
        DeamScale::Unit => "ratings 1 to 9 mapped linearly to 0 to 1: (rating − 1) / 8",
        DeamScale::Symmetric => "ratings 1 to 9 mapped linearly to −1 to 1: (rating − 5) / 4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn scales_map_their_ends_and_middle() {
        let mapped = |scale| [1.0, 5.0, 9.0].map(|rating| rescale(rating, scale));
        assert_eq!(mapped(DeamScale::AsAnnotated), [1.0, 5.0, 9.0]);
        assert_eq!(mapped(DeamScale::Unit), [0.0, 0.5, 1.0]);
        assert_eq!(mapped(DeamScale::Symmetric), [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_rendered_corpus_is_read_like_deam() {
        let root = tempfile::tempdir().unwrap();
        let file = root
            .path()
            .join("annotations/annotations averaged per song/song_level/static_annotations_averaged_songs_1_2000.csv");
        let text = "song_id, valence_mean, valence_std, arousal_mean, arousal_std\n1,3,1,9,1\n2,5,1,7,1\n";
        for (path, content) in [(file, text), (root.path().join("MEMD_audio/1.wav"), "RIFF")] {
            files::create_folder(path.parent().unwrap()).unwrap();
            files::write_whole(&path, content.as_bytes()).unwrap();
        }
        let spec = SyntheticSpec {
            targets: vec![DeamTarget::Arousal, DeamTarget::Valence],
            ..SyntheticSpec::default()
        };
        let error = load_synthetic(&spec, root.path().into()).unwrap_err();
        assert!(error.to_string().contains("2.mp3: missing"), "{error}");
        files::write_whole(&root.path().join("MEMD_audio/2.wav"), b"RIFF").unwrap();
        let manifest = load_synthetic(&spec, root.path().into()).unwrap();
        let targets: Vec<_> = manifest.examples.iter().map(|it| it.target.clone()).collect();
        assert_eq!(
            targets,
            [Target::Values(vec![1.0, -0.5]), Target::Values(vec![0.5, 0.0])]
        );
        assert_eq!(manifest.remarks.len(), 1);
    }
}

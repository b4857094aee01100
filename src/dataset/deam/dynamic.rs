//! `kind = "deam-dynamic"`: clips of songs with the mean of the annotations inside them.
//!
//! A song that lacks a file, a row in one of the tables, a column or a second costs its own clips only; what was left out for
//! which reason is counted.

use std::collections::BTreeSet;

use super::layout::{self, AudioFolder};
use super::per_second::{self, Dynamic, mean};
use super::{check_targets, name};
use crate::dataset::audio_files::Inspected;
use crate::dataset::load::{Recordings, check_root, conclude, remark_on_faults};
use crate::dataset::scale::Rescaling;
use crate::dataset::{
    DeamDynamicSpec, DeamScale, Error, Example, Manifest, Media, Target, Task, Window, Windows, error::quoted,
};

/// Between annotations, where a file has one column only.
const USUAL_STEP: u32 = 500;

/// Reads the tables that the targets need.
pub(in crate::dataset) fn load(spec: &DeamDynamicSpec, recordings: Recordings) -> Result<Manifest, Error> {
    check_targets(&spec.targets)?;
    check_root(&spec.root)?;
    let folder = layout::dynamic_folder(&spec.root)?;
    let mut tables: Vec<Dynamic> = (spec.targets.iter())
        .map(|target| per_second::read(&folder.join(format!("{}.csv", name(*target)))))
        .collect::<Result<_, _>>()?;
    let problems = tables
        .iter_mut()
        .flat_map(|table| std::mem::take(&mut table.faults))
        .collect();
    let audio = AudioFolder::find(&spec.root)?;
    let mut counts = Counts::default();
    let examples = clips(spec, &tables, &audio, &mut counts);
    if examples.is_empty() && tables.iter().all(|table| table.faults.is_empty()) {
        let clip = spec.clip_seconds;
        return Err(Error::NoExamples {
            what: format!(
                "no song has annotations for a clip of {clip} s from {} s on",
                spec.start_seconds
            ),
            hint: "look at `dataset.start_seconds`, `clip_seconds`, `end_seconds` and `min_annotated`",
        });
    }
    let Inspected { examples, faults } = conclude(examples, problems, spec.on_error, recordings)?;
    let rescaling = Rescaling::new(DeamScale::Symmetric, spec.scale);
    let mut remarks = vec![rescaling.remark("annotations"), remark_on_clips(spec)];
    remarks.extend(counts.remarks(spec));
    let outside: usize = tables.iter().map(|table| table.outside).sum();
    if outside > 0 {
        remarks.push(format!(
            "{outside} annotations are outside −1 to 1; they are used as they are"
        ));
    }
    remarks.extend(remark_on_faults(&faults, &examples, spec.on_error));
    Ok(Manifest {
        root: spec.root.clone(),
        task: Task::Regression {
            targets: spec.targets.iter().map(|target| name(*target).to_owned()).collect(),
        },
        examples,
        annotation_files: tables.into_iter().map(|table| table.path).collect(),
        faults,
        remarks,
    })
}

/// What could not be used.
#[derive(Default)]
struct Counts {
    /// Songs that only some of the tables have.
    in_some_tables: Vec<String>,
    /// Songs of which no clip is annotated well enough.
    without_clips: Vec<String>,
    /// Clips with too few annotations.
    clips: usize,
    /// Clips that are used although annotations are missing in them.
    with_gaps: usize,
}

impl Counts {
    fn remarks(&self, spec: &DeamDynamicSpec) -> Vec<String> {
        let mut remarks = Vec::new();
        let list = |songs: &[String]| quoted(songs, 5).replace('`', "");
        if !self.in_some_tables.is_empty() {
            let count = self.in_some_tables.len();
            remarks.push(format!(
                "{count} songs left out, because only one of the tables has them: {}",
                list(&self.in_some_tables)
            ));
        }
        if !self.without_clips.is_empty() {
            let count = self.without_clips.len();
            remarks.push(format!(
                "{count} songs left out, because no clip of them is annotated: {}",
                list(&self.without_clips)
            ));
        }
        if self.clips > 0 {
            remarks.push(format!(
                "{} clips left out, because less than {} of their half seconds is annotated (min_annotated)",
                self.clips, spec.min_annotated
            ));
        }
        if self.with_gaps > 0 {
            remarks.push(format!(
                "{} clips have gaps: their label is the mean of what is annotated",
                self.with_gaps
            ));
        }
        remarks
    }
}

fn remark_on_clips(spec: &DeamDynamicSpec) -> String {
    let how = match spec.windows {
        Windows::Consecutive => "one after the other".to_owned(),
        Windows::Sliding => format!("every {} s", spec.hop_seconds),
    };
    let end = spec.end_seconds.map(|end| format!(" to {end} s")).unwrap_or_default();
    format!(
        "clips of {} s from {} s{end}, {how}, each labelled with the mean of the annotations inside it",
        spec.clip_seconds, spec.start_seconds
    )
}

fn clips(spec: &DeamDynamicSpec, tables: &[Dynamic], audio: &AudioFolder, counts: &mut Counts) -> Vec<Example> {
    let step = tables
        .iter()
        .filter_map(|table| table.step)
        .min()
        .unwrap_or(USUAL_STEP)
        .max(1);
    let rescaling = Rescaling::new(DeamScale::Symmetric, spec.scale);
    let length = to_milliseconds(spec.clip_seconds).max(1);
    let expected = length.div_ceil(step) as usize;
    let needed = ((spec.min_annotated * expected as f64).ceil() as usize).max(1);
    let hop = match spec.windows {
        Windows::Consecutive => length,
        Windows::Sliding => to_milliseconds(spec.hop_seconds).max(1),
    };
    let songs: BTreeSet<u64> = tables.iter().flat_map(|table| table.songs.keys().copied()).collect();
    let mut examples = Vec::new();
    for song in songs {
        let series: Vec<_> = tables.iter().filter_map(|table| table.songs.get(&song)).collect();
        let [first, ..] = series.as_slice() else { continue };
        if series.len() < tables.len() {
            counts.in_some_tables.push(song.to_string());
            continue;
        }
        // The last annotation speaks for the step that it begins.
        let last = series
            .iter()
            .filter_map(|series| series.samples.last())
            .map(|(time, _)| time + step)
            .max();
        let end = last
            .unwrap_or(0)
            .min(spec.end_seconds.map_or(u32::MAX, to_milliseconds));
        let before = examples.len();
        let mut start = to_milliseconds(spec.start_seconds);
        while start.saturating_add(length) <= end {
            let inside: Vec<_> = series
                .iter()
                .map(|series| series.between(start, start + length))
                .collect();
            let fewest = inside.iter().map(|samples| samples.len()).min().unwrap_or(0);
            let means: Option<Vec<f32>> = (inside.iter())
                .map(|samples| Some(rescaling.value(mean(samples)?)))
                .collect();
            match means {
                Some(means) if fewest >= needed => {
                    counts.with_gaps += usize::from(fewest < expected);
                    let seconds = f64::from(start) / 1000.0;
                    examples.push(Example {
                        id: format!("{song}@{seconds}"),
                        group: song.to_string(),
                        media: Media::Audio {
                            path: audio.file(song),
                            window: Window {
                                start: seconds,
                                duration: Some(spec.clip_seconds),
                            },
                        },
                        target: Target::Values(means),
                        deviations: Vec::new(),
                        split: None,
                        details: None,
                        source: first.source.clone(),
                    });
                }
                _ => counts.clips += 1,
            }
            start += hop;
        }
        if examples.len() == before {
            counts.without_clips.push(song.to_string());
        }
    }
    examples
}

fn to_milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).round() as u32
}

//! `affect check` for a corpus of pairs: what is in the files, what the splits share.

use serde::Serialize;

use super::failure::Failure;
use super::output;
use super::progress::Stage;
use crate::config::Resolved;
use crate::dataset::imemnet::{Leak, Matching, matching};
use crate::dataset::{ImemnetSpec, Split};

#[derive(Serialize)]
struct Plan {
    experiment: String,
    pairs: usize,
    clips: usize,
    songs: usize,
    images: usize,
    /// Of the files.
    official: Vec<(&'static str, usize)>,
    /// What the files share, whatever the split.
    leaks: Vec<Leak>,
    /// Pairs of each side of the split that is asked for.
    splits: Vec<(&'static str, usize)>,
    /// Pictures that are on more than one side of it.
    images_on_several_sides: usize,
    remarks: Vec<String>,
}

pub fn run(resolved: &Resolved, spec: &ImemnetSpec, as_json: bool) -> Result<(), Failure> {
    let about = &resolved.experiment.experiment;
    let stage = Stage::start("data");
    let pairs = matching::load(spec)?;
    stage.finish(&output::count(pairs.pairs.len(), "pair"));
    let leaks = pairs.leaks();
    for leak in &leaks {
        output::warning(&leak_text(leak));
    }
    let sides = pairs.assign(&spec.split, about.seed)?;
    let count = |side: Split| sides.iter().filter(|it| **it == side).count();
    let official = |split: Split| pairs.pairs.iter().filter(|pair| pair.split == split).count();
    let plan = Plan {
        experiment: about.name.clone(),
        pairs: pairs.pairs.len(),
        clips: pairs.clips.len(),
        songs: pairs.songs().0.len(),
        images: pairs.images.len(),
        official: Split::ALL.map(|split| (split.name(), official(split))).into(),
        leaks,
        splits: Split::ALL.map(|split| (split.name(), count(split))).into(),
        images_on_several_sides: images_on_several_sides(&pairs, &sides),
        remarks: pairs.remarks,
    };
    match as_json {
        true => output::json(&plan),
        false => output::result(&text(&plan)),
    }
}

fn images_on_several_sides(pairs: &Matching, sides: &[Split]) -> usize {
    let mut first: Vec<Option<Split>> = vec![None; pairs.images.len()];
    let mut several = vec![false; pairs.images.len()];
    for (pair, side) in pairs.pairs.iter().zip(sides) {
        let image = pair.image as usize;
        if let (Some(first), Some(several)) = (first.get_mut(image), several.get_mut(image)) {
            *several |= first.get_or_insert(*side) != side;
        }
    }
    several.into_iter().filter(|several| *several).count()
}

fn leak_text(leak: &Leak) -> String {
    let [a, b] = leak.splits.map(Split::name);
    let share = |[of_a, of_b, both]: [usize; 3], what: &str| format!("{both} {what} of {of_a} and {of_b}");
    format!(
        "the files of {a} and {b} share {}, {}, {}, {}",
        share(leak.songs, "songs"),
        share(leak.clips, "clips"),
        share(leak.images, "pictures"),
        share(leak.pairs, "pairs")
    )
}

fn text(plan: &Plan) -> String {
    let mut lines = vec![
        format!("{}: the pairs are sound", output::bold(&plan.experiment)),
        String::new(),
        format!(
            "{} of {} ({}) and {}",
            output::count(plan.pairs, "pair"),
            output::count(plan.clips, "clip"),
            output::count(plan.songs, "song"),
            output::count(plan.images, "picture")
        ),
    ];
    for ((name, pairs), (_, in_file)) in plan.splits.iter().zip(&plan.official) {
        lines.push(format!(
            "{name:<8} {} ({in_file} in its file)",
            output::count(*pairs, "pair")
        ));
    }
    if plan.images_on_several_sides > 0 {
        lines.push(format!(
            "{} are on more than one side: songs are divided, pictures are not",
            output::count(plan.images_on_several_sides, "picture")
        ));
    }
    lines.extend(plan.remarks.iter().cloned());
    lines.push(String::new());
    lines.push("not checked: the network; there is none yet that learns to match pairs".into());
    lines.join("\n")
}

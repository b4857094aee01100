use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::failure::Failure;
use super::output;
use super::progress::Stage;
use crate::audio::{self, ReadWindow, Resampler};
use crate::dataset::catalogue::{CORPORA, Corpus};
use crate::dataset::imemnet::arrays::ArrayNames;
use crate::dataset::imemnet::clean::{Cleaned, clean};
use crate::dataset::inventory::{Damaged, Inventory};
use crate::features::image;

/// Where corpora come from, whether a copy is complete, and cleaning them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the corpora that can be read.
    List {
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show where a corpus comes from, its licence, its citation, and what its folder must look like.
    Show {
        /// The kind of the corpus, as in `dataset.kind`.
        #[arg(value_name = "KIND")]
        kind: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare a copy of a corpus with its annotations: what is found, missing, damaged, unexpected. Ends with status 2 where it is
    /// not complete.
    Verify(Verify),
    /// Clean the annotations of a corpus.
    Clean {
        #[command(subcommand)]
        corpus: Clean,
    },
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// The kind of the corpus, as in `dataset.kind`.
    #[arg(value_name = "KIND")]
    kind: String,
    /// The folder of the corpus, as `dataset.root`. Default: where the experiments look for it, data/deam for DEAM and so on.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Decode every file, not only a sample of 50.
    #[arg(long)]
    full: bool,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Clean {
    /// Turn IMEMNet's pictures into EMOTIC's arrays and leave out weak matches, as cleaned_*_matching.txt have it.
    Imemnet(CleanImemnet),
}

#[derive(Debug, clap::Args)]
struct CleanImemnet {
    /// Matching files: lines of clip, picture and score.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// EMOTIC's folder, which holds annots_arrs/ and img_arrs/. Without img_arrs/, whatever the manifests name counts.
    #[arg(long, value_name = "DIR")]
    emotic: PathBuf,
    /// The folder that cleaned_… is written to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The least score that stays.
    #[arg(long, value_name = "SCORE", default_value_t = 0.5)]
    threshold: f64,
    /// Print what was left out and why as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List { json } => list(*json),
        Command::Show { kind, json } => show(corpus(kind)?, *json),
        Command::Verify(verify) => run_verify(verify),
        Command::Clean {
            corpus: Clean::Imemnet(args),
        } => clean_imemnet(args),
    }
}

fn corpus(kind: &str) -> Result<&'static Corpus, Failure> {
    Corpus::of_kind(kind).ok_or_else(|| {
        let kinds: Vec<&str> = CORPORA.iter().map(|corpus| corpus.kind).collect();
        let hint = match kind {
            "synthetic" => "the synthetic corpus is rendered by the program where it is needed".to_owned(),
            "table" => "a table is yours: `affect check EXPERIMENT` tells whether its files are there".to_owned(),
            _ => format!("corpora: {}", kinds.join(", ")),
        };
        Failure::request(format!("there is no corpus `{kind}`"), hint)
    })
}

fn list(json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&CORPORA);
    }
    let mut table = output::table(&["kind", "corpus", "licence"], 0..0, 1);
    for corpus in &CORPORA {
        table.add_row([
            corpus.kind,
            corpus.task,
            corpus.licence.split(';').next().unwrap_or_default(),
        ]);
    }
    output::result(&format!(
        "{table}\n`affect datasets show KIND` says where one comes from and what its folder must look like.\n\
         Besides: `table` (any CSV file of audio files) and `synthetic` (rendered by the program)."
    ))
}

fn show(corpus: &Corpus, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(corpus);
    }
    let list = |lines: &[&str]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let tree: Vec<&str> = corpus.tree.lines().collect();
    let counts: Vec<String> = (corpus.counts.iter())
        .map(|count| format!("{} {}", count.rows, count.of))
        .collect();
    let expected = match counts.as_slice() {
        [] => String::new(),
        counts => format!("expected     {}\n", counts.join(", ")),
    };
    let experiments = match corpus.experiments {
        [] => String::new(),
        experiments => format!("experiments  {}\n", experiments.join(", ")),
    };
    output::result(&format!(
        "{}\n\nkind         {}\npredicted    {}\nsource       {}\nlicence      {}\ncite         {}\n{expected}{experiments}\n\
         The folder that `dataset.root` names:\n{}\nTo know:\n{}",
        output::bold(corpus.name),
        corpus.kind,
        corpus.task,
        corpus.source.join(", "),
        corpus.licence,
        corpus.citation,
        list(&tree),
        list(corpus.notes)
    ))
}

/// Files that are decoded where not all are.
const SAMPLE: usize = 50;

/// What `--json` prints.
#[derive(Serialize)]
struct Verified<'a> {
    complete: bool,
    found: usize,
    decoded: usize,
    #[serde(flatten)]
    inventory: &'a Inventory,
}

fn run_verify(args: &Verify) -> Result<(), Failure> {
    let corpus = corpus(&args.kind)?;
    let root = args
        .root
        .clone()
        .unwrap_or_else(|| Path::new("data").join(default_folder(corpus.kind)));
    let stage = Stage::start("look");
    let mut inventory = Inventory::take(corpus, &root)?;
    stage.finish(&output::count(inventory.found.len(), "file"));
    let sample: Vec<PathBuf> = match args.full {
        true => inventory.found.clone(),
        false => evenly(&inventory.found, SAMPLE),
    };
    if !sample.is_empty() {
        decode(&mut inventory, &sample);
    }
    let complete = inventory.is_complete();
    let verified = Verified {
        complete,
        found: inventory.found.len(),
        decoded: sample.len(),
        inventory: &inventory,
    };
    match args.json {
        true => output::json(&verified)?,
        false => output::result(&text(&verified))?,
    }
    match complete {
        true => Ok(()),
        false => Err(Failure::request(
            format!("the copy of {} in `{}` is not complete", corpus.kind, root.display()),
            what_to_do(corpus, &inventory),
        )),
    }
}

/// The folder under data/ that the experiments use.
fn default_folder(kind: &str) -> &str {
    match kind {
        "deam-static" | "deam-dynamic" => "deam",
        "imemnet-c-image" | "imemnet-c-music" => "imemnet-c",
        other => other,
    }
}

/// At most `count` of them, from all over.
fn evenly(paths: &[PathBuf], count: usize) -> Vec<PathBuf> {
    let count = count.min(paths.len());
    (0..count)
        .filter_map(|index| paths.get(index * paths.len() / count).cloned())
        .collect()
}

/// Decodes whole files; those that cannot be used become damaged ones.
fn decode(inventory: &mut Inventory, paths: &[PathBuf]) {
    let stage = Stage::start("decode");
    let done = AtomicUsize::new(0);
    let pictures = inventory.pictures;
    let mut damaged: Vec<Damaged> = (paths.par_iter())
        .filter_map(|path| {
            let what = match pictures {
                true => image::probe(path).err(),
                false => complaint(path),
            };
            stage.count("files decoded", done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            what.map(|what| Damaged {
                path: path.clone(),
                what,
            })
        })
        .collect();
    stage.finish(&format!(
        "{} of {}, {} of them damaged",
        output::count(paths.len(), "file"),
        inventory.found.len(),
        damaged.len()
    ));
    inventory
        .found
        .retain(|path| !damaged.iter().any(|damaged| damaged.path == *path));
    inventory.damaged.append(&mut damaged);
    inventory.damaged.sort_by(|a, b| a.path.cmp(&b.path));
}

/// What is wrong with a sound file, if anything.
fn complaint(path: &Path) -> Option<String> {
    let decoded = audio::probe(path)
        .and_then(|probe| audio::load_windows(path, &[ReadWindow::WHOLE], probe.sample_rate, Resampler::default()));
    match decoded {
        Ok(loaded) if loaded.faults.is_empty() => None,
        Ok(loaded) => Some(format!("damaged in part: {}", loaded.faults.join("; "))),
        Err(error) => Some(error.reason()),
    }
}

fn text(verified: &Verified) -> String {
    let inventory = verified.inventory;
    let mut lines = vec![match verified.complete {
        true => format!("{} is complete", output::bold(inventory.kind)),
        false => format!("{} is not complete", output::bold(inventory.kind)),
    }];
    for count in &inventory.counts {
        let note = match count.found == count.expected {
            true => String::new(),
            false => format!(", of {} in the published files", count.expected),
        };
        lines.push(format!("annotations  {} {}{note}", count.found, count.of));
    }
    lines.push(format!(
        "found        {} ({} decoded)",
        output::count(verified.found, "file"),
        verified.decoded
    ));
    let root = &inventory.root;
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut section = |name: &str, rows: Vec<String>| {
        const SHOWN: usize = 10;
        lines.push(format!("{name:<12} {}", rows.len()));
        lines.extend(rows.iter().take(SHOWN).map(|row| format!("  {row}")));
        if let more @ 1.. = rows.len().saturating_sub(SHOWN) {
            lines.push(format!("  … and {more} more"));
        }
    };
    section("missing", inventory.missing.iter().map(|path| shown(path)).collect());
    let damaged = inventory
        .damaged
        .iter()
        .map(|it| format!("{}: {}", shown(&it.path), it.what));
    section("damaged", damaged.collect());
    section(
        "unexpected",
        inventory.unexpected.iter().map(|path| shown(path)).collect(),
    );
    lines.extend(inventory.remarks.iter().cloned());
    lines.join("\n")
}

fn what_to_do(corpus: &Corpus, inventory: &Inventory) -> String {
    let mut advice = Vec::new();
    if !inventory.missing.is_empty() && inventory.found.is_empty() {
        advice.push(format!(
            "none of the files is there: check `--root`, and `affect datasets show {}` for the expected tree",
            corpus.kind
        ));
    } else if !inventory.missing.is_empty() || !inventory.damaged.is_empty() {
        let source = corpus.source.first().copied().unwrap_or_default();
        advice.push(format!(
            "fetch what is missing or damaged again ({source}), or run with `dataset.on_error` set to \"skip\" or \"zeros\""
        ));
    }
    if inventory.counts.iter().any(|count| count.found != count.expected) {
        advice.push(
            "the annotations are not those that were published: check whether a file was cut or is another version"
                .into(),
        );
    }
    advice.join("; ")
}

fn clean_imemnet(args: &CleanImemnet) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&args.threshold) {
        return Err(Failure::request(
            format!("the threshold is {}", args.threshold),
            Some("scores are from 0 to 1; the field takes 0.5".to_owned()),
        ));
    }
    let names = ArrayNames::read(&args.emotic)?;
    if !names.has_arrays {
        output::warning(&format!(
            "there is no `{}`: every array that the manifests name counts as being there",
            names.folder.display()
        ));
    }
    output::item(
        "arrays",
        &format!(
            "{} in {} manifests",
            output::count(names.len(), "picture"),
            names.manifests.len()
        ),
    );
    let mut all = Vec::new();
    for path in &args.files {
        all.push(clean(path, &names, args.threshold, &args.out)?);
    }
    match args.json {
        true => output::json(&all),
        false => output::result(&all.iter().map(cleaned_text).collect::<Vec<_>>().join("\n\n")),
    }
}

fn cleaned_text(cleaned: &Cleaned) -> String {
    let pictures: usize = cleaned.pictures_without_array.values().sum();
    let mut kinds: Vec<(&String, &usize)> = cleaned.pictures_without_array.iter().collect();
    kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let kinds: Vec<String> = kinds
        .iter()
        .take(8)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    format!(
        "{} → {}\n{} of {} rows kept: {} of {} and {}\nleft out     {} without an array, of {} ({})\n             {} with a score below the threshold\n\
         repeated     {} (kept, as in the files that circulate)",
        cleaned.from.display(),
        cleaned.to.display(),
        cleaned.kept,
        cleaned.rows,
        output::count(cleaned.clips, "clip"),
        output::count(cleaned.songs, "song"),
        output::count(cleaned.pictures, "picture"),
        output::count(cleaned.without_array, "row"),
        output::count(pictures, "picture"),
        kinds.join(", "),
        output::count(cleaned.below_threshold, "row"),
        output::count(cleaned.repeated, "row"),
    )
}

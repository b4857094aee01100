use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::experiment_args::ThreadsArg;
use super::failure::Failure;
use super::folders::{CacheArg, RunsArg};
use super::output;
use super::pairs::{self, predict::Request};
use super::progress::Stage;
use super::trained::TrainedRun;
use crate::audio::Scratch;
use crate::export::Output;
use crate::features::ordered;
use crate::predict::{Error, Model, Recording, Span, files};
use crate::report::{Figure, Trajectory, trajectory};

/// Predict for new recordings.
///
/// Each file goes through the front end of the training and the network that the run was tested with: one prediction for the beginning of the
/// file, as much of it as the network looks at (shorter files are filled with zeros, as in training). Predictions are in the units of the
/// training data; of classes, their probabilities.
///
/// A run that was trained on pairs of pictures and music ranks: with `--rank-for picture.jpg` the recordings, the one that goes best with the
/// picture first; with `--rank-for song.mp3` the pictures.
///
/// A file that cannot be used is told of and the rest is done; the exit status is 1 then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run (its id, a unique beginning of it, `latest`, or its folder), or an ONNX model with affect's metadata.
    #[arg(value_name = "RUN|MODEL.onnx")]
    model: String,
    /// Sound files, folders of them, or patterns such as `"clips/*.wav"`; pictures, where they are ranked for a recording.
    #[arg(value_name = "AUDIO", required = true)]
    audio: Vec<String>,
    /// Of a run on pairs: the picture (or recording) that the recordings (or pictures) are ranked for.
    #[arg(long, value_name = "FILE", conflicts_with = "every")]
    rank_for: Option<PathBuf>,
    /// With `--rank-for`: only so many of the best.
    #[arg(long, value_name = "N", requires = "rank_for", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Slide over each recording: a prediction every so many seconds, wherever a whole window fits; and draw what comes of it.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    every: Option<f64>,
    /// Where the drawings go.
    #[arg(long, value_name = "DIR", default_value = "predictions", requires = "every")]
    plots: PathBuf,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print a JSON object for each prediction, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: ThreadsArg,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    runs: RunsArg,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.001 to 86400 is needed".into()),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(query) = &args.rank_for {
        args.threads.start()?;
        let request = Request {
            query,
            candidates: &args.audio,
            top: args.top.map(|top| top as usize),
            csv: args.csv,
            json: args.json,
        };
        return pairs::predict::run(&args.model, &args.runs, &request);
    }
    let model = open(args)?;
    let reader = model.reader()?;
    args.threads.start()?;
    let (paths, unmatched) = files::find(&args.audio);
    for it in &unmatched {
        output::error(&format!("{}: {}", it.word, it.why), None);
    }
    tell_of_the_model(&model, reader.window());

    let stage = Stage::start("predict");
    let done = AtomicUsize::new(0);
    let mut printer = Printer::new(args, &model.interface().output);
    let mut failed = unmatched.len();
    let mut longer = 0;
    ordered(
        paths.len(),
        2 * rayon::current_num_threads(),
        Scratch::default,
        |scratch, index| {
            let path = &paths[index];
            let recording = match args.every {
                Some(every) => reader.sliding(scratch, path, every),
                None => reader.beginning(scratch, path),
            };
            stage.count("recordings", done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            (index, recording)
        },
        |(index, recording)| {
            let path = &paths[index];
            match recording {
                Ok(recording) => {
                    if let Some(fault) = recording.faults.first() {
                        stage.aside(|| output::warning(&format!("{}: {fault}", path.display())));
                    }
                    longer += usize::from(args.every.is_none() && is_longer(&recording, reader.window()));
                    printer.take(path, recording)
                }
                Err(error) => {
                    failed += 1;
                    stage.aside(|| output::error(&format!("{}: {error}", path.display()), None));
                    Ok(())
                }
            }
        },
    )?;
    stage.finish(&format!(
        "{} of {}",
        output::count(printer.predictions, "prediction"),
        output::count(paths.len() - (failed - unmatched.len()), "recording")
    ));
    if longer > 0 {
        output::item(
            "",
            "only the beginning of each recording was looked at; `--every SECONDS` slides over them",
        );
    }
    let drawn = printer.finish()?;
    if drawn > 0 {
        output::item(
            "drawn",
            &format!("{} in {}", output::count(drawn, "figure"), args.plots.display()),
        );
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Work {
            message: format!("{} could not be used", output::count(failed, "recording")),
            hint: None,
        }),
    }
}

/// What ends in `.onnx` is a model, and so is any other file; everything else is a run.
fn open(args: &Args) -> Result<Model, Failure> {
    let path = Path::new(&args.model);
    if path.is_file() || args.model.to_lowercase().ends_with(".onnx") {
        return Ok(Model::of_onnx(path)?);
    }
    let TrainedRun {
        network,
        statistics,
        interface,
        ..
    } = TrainedRun::open(&args.model, &args.runs, &args.cache.cache)?;
    Ok(Model::of_network(interface, network, statistics))
}

fn tell_of_the_model(model: &Model, window: Option<f64>) {
    let outputs = match &model.interface().output {
        Output::Regression { targets } => targets.join(" and "),
        Output::Classification { classes } => format!("{} classes", classes.len()),
    };
    let window = match window {
        Some(seconds) => format!("windows of {} s", round(seconds)),
        None => "whole recordings".to_owned(),
    };
    output::item("model", &format!("{outputs} of {window}"));
}

/// Whether the file may go on behind what was looked at.
fn is_longer(recording: &Recording, window: Option<f64>) -> bool {
    let end = recording.spans.first().map_or(0.0, |span| span.end);
    window.is_some_and(|window| end >= window - 1e-6)
}

/// Seconds with at most three decimals.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// The shortest number in 64 bits that is this one in 32.
fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// Prints predictions as they come, or a table at the end; draws.
struct Printer<'a> {
    args: &'a Args,
    output: &'a Output,
    rows: Vec<Vec<String>>,
    predictions: usize,
    begun: bool,
    drawn: usize,
    /// Names of figures that are taken.
    names: BTreeSet<String>,
}

impl<'a> Printer<'a> {
    fn new(args: &'a Args, output: &'a Output) -> Self {
        Self {
            args,
            output,
            rows: Vec::new(),
            predictions: 0,
            begun: false,
            drawn: 0,
            names: BTreeSet::new(),
        }
    }

    fn take(&mut self, path: &Path, recording: Recording) -> Result<(), Failure> {
        self.predictions += recording.spans.len();
        let rows = recording.spans.iter().map(|span| self.row(path, span));
        if self.args.json {
            let lines: Vec<String> = recording.spans.iter().map(|span| self.json(path, span)).collect();
            output::result(&lines.join("\n"))?;
        } else if self.args.csv {
            let rows: Vec<Vec<String>> = rows.collect();
            let header = self.columns();
            let text = output::csv(&header, rows)?;
            // The header once.
            let text = match std::mem::replace(&mut self.begun, true) {
                false => text.as_str(),
                true => text.split_once('\n').map_or("", |(_, rest)| rest),
            };
            output::result(text)?;
        } else {
            let rows: Vec<Vec<String>> = rows.collect();
            self.rows.extend(rows);
        }
        match self.args.every {
            Some(_) => self.draw(path, &recording),
            None => Ok(()),
        }
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = ["file", "start", "end"].map(String::from).to_vec();
        match self.output {
            Output::Regression { targets } => columns.extend(targets.iter().cloned()),
            Output::Classification { classes } => {
                columns.push("predicted".into());
                columns.extend(classes.iter().map(|class| format!("p_{class}")));
            }
        }
        columns
    }

    fn likeliest(&self, values: &[f32]) -> Option<&str> {
        let Output::Classification { classes } = self.output else {
            return None;
        };
        // Of equals the first.
        let best = values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1))?;
        classes.get(best.0).map(String::as_str)
    }

    fn row(&self, path: &Path, span: &Span) -> Vec<String> {
        let mut row = vec![
            path.display().to_string(),
            round(span.start).to_string(),
            round(span.end).to_string(),
        ];
        row.extend(self.likeliest(&span.values).map(String::from));
        let exact = self.args.csv;
        row.extend(span.values.iter().map(|value| match exact {
            true => value.to_string(),
            false => output::figure(f64::from(*value)),
        }));
        row
    }

    fn json(&self, path: &Path, span: &Span) -> String {
        let mut object = serde_json::Map::new();
        object.insert("file".into(), json!(path.display().to_string()));
        object.insert("start".into(), json!(round(span.start)));
        object.insert("end".into(), json!(round(span.end)));
        let values = self.output.names().iter().zip(&span.values);
        let values = values.map(|(name, value)| (name.clone(), json!(short(*value))));
        match self.likeliest(&span.values) {
            Some(class) => {
                object.insert("predicted".into(), json!(class));
                object.insert("probabilities".into(), serde_json::Value::Object(values.collect()));
            }
            None => object.extend(values),
        }
        serde_json::Value::Object(object).to_string()
    }

    fn draw(&mut self, path: &Path, recording: &Recording) -> Result<(), Failure> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stem = self.free_name(stem);
        let drawn = trajectory(&Trajectory {
            recording: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            names: self.output.names().to_vec(),
            probabilities: matches!(self.output, Output::Classification { .. }),
            points: recording
                .spans
                .iter()
                .map(|span| ((span.start + span.end) / 2.0, span.values.clone()))
                .collect(),
        })?;
        for figure in drawn {
            let name = format!("{stem}-{}", figure.name);
            Figure { name, ..figure }.write(&self.args.plots)?;
            self.drawn += 1;
        }
        Ok(())
    }

    /// Files of different folders may have one name.
    fn free_name(&mut self, stem: String) -> String {
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut names = std::iter::once(stem.clone()).chain(numbered);
        let free = names.find(|name| !self.names.contains(name)).unwrap_or(stem);
        self.names.insert(free.clone());
        free
    }

    /// How many figures there are.
    fn finish(self) -> Result<usize, Failure> {
        if !self.args.csv && !self.args.json && !self.rows.is_empty() {
            let columns = self.columns();
            let header: Vec<&str> = columns.iter().map(String::as_str).collect();
            let words = 3 + usize::from(matches!(self.output, Output::Classification { .. }));
            let mut table = output::table(&header, words..columns.len(), 0);
            for row in &self.rows {
                table.add_row(row.clone());
            }
            output::result(&table.to_string())?;
        }
        Ok(self.drawn)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::request(error.to_string(), error.hint())
    }
}

impl From<crate::export::Error> for Failure {
    fn from(error: crate::export::Error) -> Self {
        Self::request(error.to_string(), error.hint())
    }
}

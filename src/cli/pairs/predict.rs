//! `affect predict RUN --rank-for FILE CANDIDATES…`: the music that goes best with a picture, or the pictures that go best with music.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use serde_json::json;

use crate::audio::Scratch;
use crate::cli::experiment_args::settings_of;
use crate::cli::failure::Failure;
use crate::cli::folders::RunsArg;
use crate::cli::output;
use crate::cli::progress::Stage;
use crate::cli::trained;
use crate::config::Resolved;
use crate::export::interface::FILE;
use crate::features::ordered;
use crate::nn::{Network, PairPlan, Side};
use crate::predict::files;
use crate::predict::pairs::{PairInterface, PairModel};
use crate::track::RunDir;
use crate::train::checkpoint;

/// What is asked.
pub struct Request<'a> {
    /// The picture or recording that the others are ranked for.
    pub query: &'a Path,
    /// Files, folders and patterns.
    pub candidates: &'a [String],
    /// So many of the best.
    pub top: Option<usize>,
    pub csv: bool,
    pub json: bool,
}

/// Whether the run in this folder learned from pairs, and its settings.
pub fn is_pair_run(dir: &RunDir) -> Result<Option<Resolved>, Failure> {
    let resolved = settings_of(dir)?;
    Ok(resolved.experiment.model.is_pair().then_some(resolved))
}

/// The network that the run was tested with.
fn open(dir: &RunDir, resolved: &Resolved) -> Result<PairModel, Failure> {
    let path = dir.file(FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::request(format!("cannot read {}: {error}", path.display()), None))?;
    let interface =
        PairInterface::parse(&text).map_err(|what| Failure::request(format!("{}: {what}", path.display()), None))?;
    let experiment = &resolved.experiment;
    let plan = PairPlan::new(&experiment.model, &interface.image_shape(), &interface.audio_shape())
        .map_err(|error| Failure::request(format!("the network of run {}: {error}", dir.id()), None))?;
    let network = Network::of_pairs(&experiment.model, &plan, experiment.experiment.seed, &Device::Cpu)?;
    let restore_best = experiment.train.early_stopping.restore_best;
    let statistics = checkpoint::load_tested(&dir.file("checkpoints"), &network, restore_best)?;
    let fits = |shape: [usize; 3], rows: usize| rows == shape[0] * shape[1];
    if let Some(statistics) = &statistics
        && !fits(interface.audio_shape(), statistics.mean.len())
    {
        return Err(Failure::request(
            format!("the checkpoint of run {} does not fit its features", dir.id()),
            None,
        ));
    }
    Ok(PairModel::new(&interface, network, statistics)?)
}

/// By the end of its name.
fn side_of(path: &Path) -> Side {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    match files::PICTURES
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
    {
        true => Side::Image,
        false => Side::Audio,
    }
}

/// Ranks the candidates, the best first.
pub fn run(run: &str, runs: &RunsArg, request: &Request) -> Result<(), Failure> {
    let dir = trained::find(run, runs)?;
    let Some(resolved) = is_pair_run(&dir)? else {
        return Err(Failure::request(
            format!("run {} was not trained on pairs: there is nothing to rank by", dir.id()),
            Some("leave out `--rank-for`".to_owned()),
        ));
    };
    let model = open(&dir, &resolved)?;
    let query_side = side_of(request.query);
    let (side, extensions, what) = match query_side {
        Side::Image => (Side::Audio, files::EXTENSIONS.as_slice(), "recording"),
        Side::Audio => (Side::Image, files::PICTURES.as_slice(), "picture"),
    };
    let query = model
        .embed(&mut Scratch::default(), request.query, query_side)
        .map_err(|error| Failure::request(format!("{}: {error}", request.query.display()), None))?;
    let (mut paths, unmatched) = files::find_those(request.candidates, extensions, what);
    for it in &unmatched {
        output::error(&format!("{}: {}", it.word, it.why), None);
    }
    let mut failed = unmatched.len();
    // Named one by one, a file may be of the wrong kind.
    paths.retain(|path| {
        let fits = side_of(path) == side;
        if !fits {
            output::error(&format!("{}: it is no {what}", path.display()), None);
            failed += 1;
        }
        fits
    });
    let ranked = rank(&model, &query, query_side, &paths, what, &mut failed)?;
    print(request, &ranked)?;
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Work {
            message: format!("{} could not be used", output::count(failed, what)),
            hint: None,
        }),
    }
}

/// The best first; equal ones by name.
fn rank(
    model: &PairModel,
    query: &crate::predict::pairs::Embedding,
    query_side: Side,
    paths: &[PathBuf],
    what: &str,
    failed: &mut usize,
) -> Result<Vec<(f32, PathBuf)>, Failure> {
    let side = match query_side {
        Side::Image => Side::Audio,
        Side::Audio => Side::Image,
    };
    let stage = Stage::start("rank");
    let done = AtomicUsize::new(0);
    let mut ranked: Vec<(f32, PathBuf)> = Vec::new();
    ordered(
        paths.len(),
        2 * rayon::current_num_threads(),
        Scratch::default,
        |scratch, index| {
            let path = &paths[index];
            let score = model.embed(scratch, path, side).and_then(|embedding| match query_side {
                Side::Image => model.score(query, &embedding),
                Side::Audio => model.score(&embedding, query),
            });
            stage.count(
                &format!("{what}s"),
                done.fetch_add(1, Ordering::Relaxed) + 1,
                paths.len(),
            );
            (index, score)
        },
        |(index, score)| -> Result<(), Failure> {
            let path = &paths[index];
            match score {
                Ok(score) => ranked.push((score, path.clone())),
                Err(error) => {
                    *failed += 1;
                    stage.aside(|| output::error(&format!("{}: {error}", path.display()), None));
                }
            }
            Ok(())
        },
    )?;
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    stage.finish(&output::count(ranked.len(), what));
    Ok(ranked)
}

fn print(request: &Request, ranked: &[(f32, PathBuf)]) -> Result<(), Failure> {
    let shown = ranked.iter().take(request.top.unwrap_or(usize::MAX)).enumerate();
    let rows = shown.map(|(place, (score, path))| (place + 1, *score, path.display().to_string()));
    if request.json {
        for (rank, score, file) in rows {
            let score: f64 = score.to_string().parse().unwrap_or(f64::from(score));
            output::result(&json!({ "rank": rank, "score": score, "file": file }).to_string())?;
        }
        return Ok(());
    }
    if request.csv {
        let rows = rows.map(|(rank, score, file)| vec![rank.to_string(), score.to_string(), file]);
        return output::result(
            output::csv(["rank", "score", "file"].map(String::from), rows.collect::<Vec<_>>())?.trim_end(),
        );
    }
    if ranked.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["rank", "score", "file"], 0..2, 2);
    for (rank, score, file) in rows {
        table.add_row([rank.to_string(), output::figure(f64::from(score)), file]);
    }
    output::result(&table.to_string())
}

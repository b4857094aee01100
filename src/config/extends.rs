//! A file, and the files that it stands on.

use std::path::{Path, PathBuf};

use super::layer::Layer;
use super::mistake::{Mistake, Place};
use super::source::{Source, nearest_beside};

/// The files of an experiment.
pub(super) struct Chain {
    /// Weakest first: the file that extends nothing, …, the experiment's own.
    pub layers: Vec<Layer>,
    /// Those that were read from disk, in the same order.
    pub files: Vec<PathBuf>,
    /// Whether all of them were found and read.
    pub complete: bool,
}

/// Reads `source` and what it extends.
pub(super) fn chain(source: &Source, mistakes: &mut Vec<Mistake>) -> Chain {
    let mut chain = Chain {
        layers: Vec::new(),
        files: Vec::new(),
        complete: true,
    };
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut next = Some((source.clone(), None::<(Place, String)>));
    while let Some((source, named_at)) = next.take() {
        let text = match source.read() {
            Ok(text) => text,
            Err(mistake) => {
                mistakes.push(match (named_at, &source) {
                    (Some((place, named)), Source::File(path)) => not_read(place, &named, path, *mistake),
                    _ => *mistake,
                });
                chain.complete = false;
                break;
            }
        };
        let mut layer = Layer::file(0, text, mistakes);
        chain.complete &= layer.is_whole();
        let extends = layer.take_extends();
        chain.layers.push(layer);
        let folder = match &source {
            Source::File(path) => {
                chain.files.push(path.clone());
                seen.push(canonical(path));
                Some(path.parent().unwrap_or(Path::new("")).to_path_buf())
            }
            Source::BuiltIn(_) | Source::Text { .. } => None,
        };
        let Some((value, place)) = extends else { break };
        let named = value.as_str().unwrap_or_default();
        match extended(named, folder, &place, &seen, &chain.files) {
            Ok(path) => next = Some((Source::File(path), Some((place, named.to_owned())))),
            Err(mistake) => {
                mistakes.push(*mistake);
                chain.complete = false;
            }
        }
    }
    chain.layers.reverse();
    chain.files.reverse();
    for (rank, layer) in chain.layers.iter_mut().enumerate() {
        layer.rank = super::layer::Rank::File(rank);
    }
    chain
}

/// The file that `extends` names.
fn extended(
    named: &str,
    folder: Option<PathBuf>,
    place: &Place,
    seen: &[PathBuf],
    files: &[PathBuf],
) -> Result<PathBuf, Box<Mistake>> {
    let refused = |message: &str| Mistake::at(place.clone(), message);
    if named.is_empty() {
        let help = "write `extends = \"base/some-file.toml\"`, relative to this file".to_owned();
        return Err(refused("`extends`: expected the path of a file").help(help).into());
    }
    let Some(folder) = folder else {
        let mistake = refused("`extends` has a meaning in files only");
        return Err(mistake.label("relative to which folder?".to_owned()).into());
    };
    let path = folder.join(named);
    if seen.contains(&canonical(&path)) {
        let circle = files
            .iter()
            .chain([&path])
            .map(|file| file.display().to_string())
            .collect::<Vec<_>>();
        return Err(refused("`extends` goes round in a circle")
            .label("this file was read already".to_owned())
            .help(circle.join("\n  extends "))
            .into());
    }
    Ok(path)
}

fn not_read(place: Place, named: &str, path: &Path, mistake: Mistake) -> Mistake {
    if path.exists() {
        return Mistake::at(place, mistake.message).help(mistake.help);
    }
    let message = format!("`extends`: there is no file `{}`", path.display());
    let help = match nearest_beside(path) {
        Some(near) => format!("did you mean `{}`?", Path::new(named).with_file_name(near).display()),
        None => "the path is relative to the file that says it".to_owned(),
    };
    Mistake::at(place, message).help(help)
}

/// One name for each file, whatever way leads to it.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

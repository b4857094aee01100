//! Which file does a name mean, and what does it say?

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;

use super::mistake::{Mistake, Mistakes, Text};
use super::nearest::nearest;

/// Where an experiment is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    /// One that the program brings with it.
    BuiltIn(BuiltIn),
    /// Resolved settings, as a run records them. `name` stands in for the file's name.
    Text {
        name: String,
        text: String,
    },
}

/// An experiment that the program brings with it, so that it runs without any file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    pub name: &'static str,
    pub text: &'static str,
}

/// The experiments that the program brings with it.
pub const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "quickstart",
    text: include_str!("../../experiments/quickstart.toml"),
}];

impl Source {
    /// What the experiment is called when it does not say.
    pub(super) fn default_name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::BuiltIn(built_in) => built_in.name.to_owned(),
            Self::Text { name, .. } => name.clone(),
        }
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::BuiltIn(built_in) => format!("{} (built in)", built_in.name),
            Self::Text { name, .. } => name.clone(),
        }
    }

    pub(super) fn read(&self) -> Result<Text, Box<Mistake>> {
        let text = match self {
            Self::File(path) => read(path)?,
            Self::BuiltIn(built_in) => built_in.text.to_owned(),
            Self::Text { text, .. } => text.clone(),
        };
        Ok(Arc::new(NamedSource::new(self.shown(), text)))
    }
}

/// No experiment file comes near it; a recording that was named by mistake should not fill the memory.
const LARGEST_FILE: u64 = 16 << 20;

fn read(path: &Path) -> Result<String, Box<Mistake>> {
    let shown = path.display().to_string();
    let fails = |error: std::io::Error| Box::new(Mistake::of_file(&shown, format!("cannot read `{shown}`: {error}")));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fails)?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(fails)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let message = format!("`{shown}` is too large for an experiment file (over 16 MiB)");
        return Err(Mistake::of_file(&shown, message).into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = String::from_utf8_lossy(valid).matches('\n').count() + 1;
        let message = format!("`{shown}` is not text: line {line} is not valid UTF-8");
        Mistake::of_file(&shown, message)
            .help("is it a TOML file, saved as UTF-8?".to_owned())
            .into()
    })
}

/// Finds an experiment by its name in `experiments_dir`, or by its path.
///
/// A name is that of a file in the folder, without `.toml`; where the folder has none, that of a built-in experiment. What
/// ends in `.toml` or has a slash in it is a path, unless the folder has a file of that name in a folder of its own.
///
/// # Errors
///
/// There is no such experiment: the nearest name, and the list of those there are.
pub fn find(name_or_path: &str, experiments_dir: &Path) -> Result<Source, Mistakes> {
    let path = Path::new(name_or_path);
    let is_path = path.extension().is_some_and(|extension| extension == "toml");
    if !is_path && !name_or_path.is_empty() {
        // Not `with_extension`: names may have dots in them.
        let named = experiments_dir.join(format!("{name_or_path}.toml"));
        if named.is_file() {
            return Ok(Source::File(named));
        }
    }
    let has_folder = path.components().count() > 1;
    if (is_path || has_folder) && path.exists() && !path.is_dir() {
        return Ok(Source::File(path.to_path_buf()));
    }
    if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == name_or_path) {
        return Ok(Source::BuiltIn(*built_in));
    }
    Err(if is_path || has_folder {
        no_file(path).into()
    } else {
        no_experiment(name_or_path, experiments_dir).into()
    })
}

fn no_file(path: &Path) -> Mistake {
    let shown = path.display().to_string();
    if path.is_dir() {
        return Mistake::of_file(&shown, format!("`{shown}` is a folder, not an experiment file"));
    }
    let help = nearest_beside(path).map(|near| format!("did you mean `{}`?", path.with_file_name(near).display()));
    Mistake::of_file(&shown, format!("there is no file `{shown}`")).help(help)
}

fn no_experiment(name: &str, experiments_dir: &Path) -> Mistake {
    let mut names = stems(experiments_dir);
    names.extend(BUILT_IN.iter().map(|built_in| built_in.name.to_owned()));
    names.sort();
    names.dedup();
    let list = format!("experiments: {}", names.join(", "));
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?\n{list}"),
        None => format!("{list}; or give the path of a .toml file"),
    };
    let message = format!("there is no experiment `{name}` in `{}`", experiments_dir.display());
    Mistake::of_file(name, message).help(help)
}

/// The name of the TOML file in the same folder that `path` is most likely a slip of.
pub(super) fn nearest_beside(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let names = stems(folder);
    let near = nearest(&path.file_stem()?.to_string_lossy(), names.iter().map(String::as_str))?;
    Some(format!("{near}.toml"))
}

/// The names of the TOML files in a folder, without `.toml`, sorted.
fn stems(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| !name.is_empty() && !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

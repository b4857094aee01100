//! Experiment files in a folder of their own, loaded and rendered as the command line renders them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use affect::config::{Mistakes, Request, Resolved, Source, load};
use affect::files;
use miette::{GraphicalReportHandler, GraphicalTheme};

/// All tests run in one temporary folder, so that paths are relative and the same on every machine.
fn enter_folder() {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::env::set_current_dir(folder.path()).unwrap();
        folder
    });
}

/// One experiment.
pub struct Case {
    folder: PathBuf,
    last: PathBuf,
    environment: Vec<(String, String)>,
    overrides: Vec<String>,
}

impl Case {
    /// `name`: the folder of its files; no two tests share one.
    pub fn new(name: &str) -> Self {
        enter_folder();
        Self {
            folder: PathBuf::from(name),
            last: PathBuf::new(),
            environment: Vec::new(),
            overrides: Vec::new(),
        }
    }

    /// The last file is the experiment.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.bytes(name, text.as_bytes())
    }

    pub fn bytes(mut self, name: &str, content: &[u8]) -> Self {
        self.last = self.folder.join(name);
        files::create_folder(self.last.parent().unwrap()).unwrap();
        files::write_whole(&self.last, content).unwrap();
        self
    }

    pub fn set(mut self, argument: &str) -> Self {
        self.overrides.push(argument.to_owned());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn load(&self) -> Result<Resolved, Mistakes> {
        self.load_path(&self.last)
    }

    pub fn load_file(&self, name: &str) -> Result<Resolved, Mistakes> {
        self.load_path(&self.folder.join(name))
    }

    fn load_path(&self, path: &Path) -> Result<Resolved, Mistakes> {
        load(&Request {
            source: Source::File(path.to_path_buf()),
            environment: self.environment.clone(),
            overrides: self.overrides.clone(),
        })
    }

    /// The mistakes as they are drawn.
    pub fn rendered(&self) -> String {
        rendered(&self.load().unwrap_err())
    }

    pub fn rendered_of(&self, name: &str) -> String {
        rendered(&self.load_file(name).unwrap_err())
    }
}

pub fn rendered(mistakes: &Mistakes) -> String {
    let mut drawn = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    handler.render_report(&mut drawn, mistakes).unwrap();
    drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A small experiment without mistakes.
pub fn sound() -> String {
    r#"[experiment]
seed = 7

[dataset]
kind = "synthetic"
songs = 20

[[model.layers]]
conv2d = { channels = 8 }
[[model.layers]]
linear = "targets"

[loss]
kind = "mse"

[optimizer]
kind = "adam"
learning_rate = 1e-3

[schedule]
kind = "plateau"

[train]
epochs = 3
early_stopping = { monitor = "val/loss" }
"#
    .to_owned()
}

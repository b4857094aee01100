//! Long work shows how far it is: a bar where stderr is a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;

/// How often a plain line says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// One stage of the work. Can be told of progress from any thread.
pub struct Stage {
    name: &'static str,
    bar: ProgressBar,
    started: Instant,
    last_line: Mutex<Instant>,
}

impl Stage {
    /// Begins a stage: "features", "training".
    pub fn start(name: &'static str) -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        // A template that does not parse would only lose the bar's looks.
        if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len} {msg} {eta}") {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        Self {
            name,
            bar,
            started: Instant::now(),
            last_line: Mutex::new(Instant::now()),
        }
    }

    pub fn update(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if self.bar.is_hidden()
            && let Ok(mut last) = self.last_line.lock()
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            output::note(&format!("{:>10}  {done} of {total} {}", self.name, self.bar.message()));
        }
    }

    pub fn message(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| output::note(text));
    }

    /// Ends the stage with a line: "  features  120 examples … (3.2 s)".
    pub fn finish(self, text: &str) {
        self.bar.finish_and_clear();
        let seconds = output::seconds(self.started.elapsed().as_secs_f64());
        output::note(&format!("{:>10}  {text} ({seconds})", self.name));
    }
}

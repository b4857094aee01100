//! Long work shows how far it is: a bar where stderr is a terminal; elsewhere a plain line every now and then, and one at the
//! end of each stage.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;

/// How often a stage that takes long says so where there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(20);

/// How often a bar is drawn: often enough to be seen moving.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);

/// One stage of the work. Can be told of progress from any thread.
pub struct Stage {
    name: &'static str,
    bar: ProgressBar,
    started: Instant,
    drawn: Mutex<Option<Instant>>,
    /// Where there is no bar: when it was last said how far the work is.
    said: Option<Mutex<Instant>>,
}

impl Stage {
    /// Begins a stage: "features", "training".
    pub fn start(name: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = match is_terminal {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        set_look(&bar, "{prefix:>10}  …");
        bar.set_prefix(name);
        bar.tick();
        let started = Instant::now();
        Self {
            name,
            bar,
            started,
            drawn: Mutex::new(None),
            said: (!is_terminal).then(|| Mutex::new(started)),
        }
    }

    /// `what` is counted, each at about the same pace: "files decoded".
    pub fn count(&self, what: &str, done: usize, total: usize) {
        let each = self.started.elapsed().as_secs_f64() / done.max(1) as f64;
        let left = output::seconds(each * total.saturating_sub(done) as f64);
        self.update(&format!("{what}, about {left} left"), done, total);
    }

    /// `text` stands beside the count.
    pub fn update(&self, text: &str, done: usize, total: usize) {
        self.draw(text, done, total);
        let Some(Ok(mut said)) = self.said.as_ref().map(Mutex::lock) else {
            return;
        };
        if said.elapsed() >= BETWEEN_LINES {
            *said = Instant::now();
            output::item(self.name, &format!("{done}/{total} {text}"));
        }
    }

    fn draw(&self, text: &str, done: usize, total: usize) {
        let Ok(mut drawn) = self.drawn.lock() else { return };
        if self.bar.is_hidden() || drawn.is_some_and(|drawn| drawn.elapsed() < BETWEEN_DRAWINGS) && done < total {
            return;
        }
        *drawn = Some(Instant::now());
        if self.bar.length() == Some(0) {
            set_look(&self.bar, "{prefix:>10}  {bar:16} {pos}/{len} {wide_msg}");
        }
        self.bar.update(|state| {
            state.set_len(total as u64);
            state.set_pos(done as u64);
        });
        self.bar.set_message(text.to_owned());
    }

    /// A line above the bar, as [`output::item`].
    pub fn line(&self, heading: &str, text: &str) {
        self.bar.suspend(|| output::item(heading, text));
        if let Some(Ok(mut said)) = self.said.as_ref().map(Mutex::lock) {
            *said = Instant::now();
        }
    }

    /// Does what writes to the terminal, the bar set aside.
    pub fn aside(&self, work: impl FnOnce()) {
        self.bar.suspend(work);
    }

    /// Ends the stage with a line: "  features  120 examples … (3.2 s)".
    pub fn finish(self, text: &str) {
        self.bar.finish_and_clear();
        let seconds = output::seconds(self.started.elapsed().as_secs_f64());
        output::item(self.name, &format!("{text} ({seconds})"));
    }
}

fn set_look(bar: &ProgressBar, template: &str) {
    // A template that does not parse would only lose the bar's looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

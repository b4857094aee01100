//! What is wrong with an experiment, and where: every mistake with the line that it stands on.
//!
//! [`Mistakes`] holds all of them at once. It is a [`miette::Diagnostic`], so that the command line draws it, and plain data
//! ([`Mistakes::list`]) for programs that read the output.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

/// The text that a mistake points into, with the name it is shown under.
pub(super) type Text = Arc<NamedSource<String>>;

/// Longer lines are not drawn: nobody wrote them.
const LONGEST_LINE: usize = 2000;

/// A stretch of a text, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub text: Text,
    pub span: Range<usize>,
}

impl Place {
    /// 1-based line and column, the column in characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let text = self.text.inner();
        let before = text.get(..self.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }

    /// Whether the lines around it are short enough to be shown. (miette panics at columns past 65535.)
    fn can_be_drawn(&self) -> bool {
        let text = self.text.inner();
        let before = text.get(..self.span.start).unwrap_or("");
        let after = text.get(self.span.end..).unwrap_or("");
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = self.span.end + after.find('\n').unwrap_or(after.len());
        text.get(start..end)
            .is_some_and(|lines| lines.lines().all(|line| line.len() <= LONGEST_LINE))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Mistake {
    /// The file, "environment variable `…`", or "--set".
    pub file: String,
    /// 1-based; `None` where the mistake belongs to the file as a whole.
    pub line: Option<usize>,
    /// 1-based, in characters.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What is said at the place itself.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    #[serde(skip)]
    place: Option<Place>,
}

impl Mistake {
    /// A mistake at a place.
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        let (line, column) = place.line_and_column();
        Self {
            file: place.text.name().to_owned(),
            line: Some(line),
            column: Some(column),
            message: message.into(),
            label: None,
            help: None,
            place: Some(place),
        }
    }

    /// A mistake of a file as a whole. The message should name the file.
    pub(super) fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            message: message.into(),
            label: None,
            help: None,
            place: None,
        }
    }

    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(super) fn label(mut self, label: impl Into<Option<String>>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.place, self.line, self.column) {
            (Some(place), Some(line), Some(column)) if !place.can_be_drawn() => {
                write!(f, " ({}:{line}:{column})", self.file)
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let place = self.place.as_ref().filter(|place| place.can_be_drawn())?;
        Some(&*place.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Place { span, .. } = self.place.as_ref().filter(|place| place.can_be_drawn())?;
        let label = LabeledSpan::new(self.label.clone(), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// All mistakes that were found; at least one.
#[derive(Debug, Clone)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes as plain data, in the order in which they are shown.
    pub fn list(&self) -> &[Mistake] {
        &self.0
    }

    /// These mistakes, then `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// `Ok` where there are none.
    pub(super) fn none(found: Vec<Mistake>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    fn only(&self) -> Option<&Mistake> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => only.fmt(f),
            several => write!(f, "{} mistakes in the experiment", several.len()),
        }
    }
}

impl std::error::Error for Mistakes {}

impl Diagnostic for Mistakes {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only()?.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.0.as_slice() {
            [_] => None,
            several => Some(Box::new(several.iter().map(|mistake| mistake as &dyn Diagnostic))),
        }
    }
}

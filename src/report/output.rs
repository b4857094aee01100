//! A page with its figures and tables, as files.

use std::path::Path;

use super::compare::Compared;
use super::table::{Comparison, OUT_OF_FOLD};
use super::{Error, Figure, RunReport, SeveralReport, Width, html, html_of_several, plots, plots_of_several};
use crate::files;

/// The file of the page.
pub const PAGE: &str = "report.html";

/// All files of a report, ready to be written.
#[derive(Debug, Clone)]
pub struct Output {
    pub page: String,
    pub figures: Vec<Figure>,
    /// Path and text.
    pub tables: Vec<(String, String)>,
}

impl Output {
    /// Of a run, with or without repeats.
    ///
    /// # Errors
    /// [`Error::Draw`], which no data should cause.
    pub fn of_run(report: &RunReport) -> Result<Self, Error> {
        let figures = plots(report)?;
        let table = Comparison::of_reported_split(&report.results, &report.baselines);
        let mut tables = Vec::new();
        if table.split == OUT_OF_FOLD {
            let means = Comparison::of(&report.results, &report.baselines, "test").of_the_whole();
            let caption = format!("Results of {}, mean over {}.", report.experiment, report.repeats);
            tables.extend(of_comparison(
                "results-mean",
                &means,
                &caption,
                &report.experiment,
                report.width,
            ));
        }
        let caption = format!("Results of {} on the {} split.", report.experiment, table.split);
        let table = table.with_intervals(&report.baseline_intervals);
        tables.extend(of_comparison(
            "results",
            &table,
            &caption,
            &report.experiment,
            report.width,
        ));
        Ok(Self {
            page: html(report, &figures),
            figures,
            tables,
        })
    }

    /// Of several runs.
    ///
    /// # Errors
    /// [`Error::Draw`], which no data should cause.
    pub fn of_several(report: &SeveralReport) -> Result<Self, Error> {
        let figures = plots_of_several(report)?;
        let compared: &Compared = &report.compared;
        let tables = [
            ("md", compared.markdown()),
            ("csv", compared.csv()),
            ("tex", compared.latex(report.width)),
        ];
        Ok(Self {
            page: html_of_several(report, &figures),
            figures,
            tables: tables
                .map(|(kind, text)| (format!("tables/comparison.{kind}"), text))
                .into(),
        })
    }

    /// The paths of all files, relative to the folder, with `/`.
    pub fn files(&self) -> Vec<String> {
        let figures = self.figures.iter();
        let figures = figures.flat_map(|figure| ["svg", "png"].map(|kind| format!("plots/{}.{kind}", figure.name)));
        let tables = self.tables.iter().map(|(path, _)| path.clone());
        std::iter::once(PAGE.to_owned()).chain(figures).chain(tables).collect()
    }

    /// Writes everything into `folder`, the page last; files of these names are replaced.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        for figure in &self.figures {
            figure.write(&folder.join("plots"))?;
        }
        if !self.tables.is_empty() {
            files::create_folder(&folder.join("tables"))?;
        }
        for (path, text) in &self.tables {
            files::write_whole(&folder.join(path), text.as_bytes())?;
        }
        files::create_folder(folder)?;
        Ok(files::write_whole(&folder.join(PAGE), self.page.as_bytes())?)
    }
}

/// In three formats; none of a table without rows.
fn of_comparison(
    name: &str,
    table: &Comparison,
    caption: &str,
    experiment: &str,
    width: Width,
) -> Vec<(String, String)> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let label = format!("tab:{experiment}-{}", table.split);
    [
        ("md", table.markdown()),
        ("csv", table.csv()),
        ("tex", table.latex(caption, &label, width)),
    ]
    .map(|(kind, text)| (format!("tables/{name}.{kind}"), text))
    .into()
}

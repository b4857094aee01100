//! Several runs on one page: what differs, results, curves overlaid.

use std::path::Path;

use super::compare::{Compared, Group};
use super::curves::loss_kind;
use super::read::{member, option};
use super::{Again, Error, Figure, Member, PageAt, Series, Width, comparison, overlay};
use crate::track::{self, Database};

/// All that a page about several runs says.
#[derive(Debug, Clone)]
pub struct SeveralReport {
    /// The experiments.
    pub title: String,
    pub compared: Compared,
    /// What the curves of each group are drawn from, in the order of the comparison's groups.
    pub series: Vec<Series>,
    /// The loss, where all groups have the same.
    pub loss: Option<String>,
    /// All runs; their names are those of their groups.
    pub members: Vec<Member>,
    /// The settings of the first run.
    pub settings_toml: String,
    pub commands: Vec<Again>,
    pub width: Width,
}

impl SeveralReport {
    /// `arguments`: what was typed behind `affect report` and `affect compare` to choose the runs.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn read(
        database: &Database,
        groups: &[Group],
        compared: Compared,
        page: PageAt<'_>,
        arguments: &str,
    ) -> Result<Self, track::Error> {
        let mut experiments: Vec<&str> = Vec::new();
        let mut losses: Vec<Option<String>> = Vec::new();
        let mut settings_toml = String::new();
        let (mut members, mut series) = (Vec::new(), Vec::new());
        for group in groups {
            let mut runs = Vec::new();
            for run in &group.runs {
                let settings = database.config_toml(&run.summary.id)?;
                losses.push(loss_kind(&settings));
                if settings_toml.is_empty() {
                    settings_toml = settings;
                }
                if !experiments.contains(&run.summary.experiment.as_str()) {
                    experiments.push(&run.summary.experiment);
                }
                let mut member = member(database, &run.summary, page)?;
                member.name = format!("{}, {}", group.name, member.name);
                runs.push(member.metrics.clone());
                members.push(member);
            }
            series.push(Series {
                name: group.name.clone(),
                runs,
            });
        }
        let same = losses.windows(2).all(|pair| pair[0] == pair[1]);
        let again = |what: &str, command: &str, more: &str| Again {
            what: what.to_owned(),
            command: format!("affect {command} {arguments}{more}{}", option(page.runs)),
        };
        Ok(Self {
            title: experiments.join(", "),
            compared,
            series,
            loss: losses.into_iter().next().flatten().filter(|_| same),
            settings_toml,
            commands: vec![
                again("Results, differences and tests, in the terminal", "compare", ""),
                again("The same as numbers with every digit", "compare", " --format csv"),
                again(
                    "Draw this page, its figures and its tables again",
                    "report",
                    &out(page.folder),
                ),
            ],
            members,
            width: Width::default(),
        })
    }
}

fn out(folder: &Path) -> String {
    match folder.to_string_lossy() {
        name if name.contains([' ', '\'', '"', '\\', '$', '`']) => String::new(),
        name => format!(" --out {name}"),
    }
}

/// The figures that fit the runs, in the order that a reader wants them.
///
/// # Errors
/// [`Error::Draw`], which no data should cause.
pub fn plots_of_several(report: &SeveralReport) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    figures.extend(comparison::of_groups(&report.compared, report.width)?);
    figures.extend(overlay::figures(&report.series, report.loss.as_deref(), report.width)?);
    Ok(figures)
}

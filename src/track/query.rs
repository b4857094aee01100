//! What can be asked of runs: by what they are filtered and sorted, and what columns show.
//!
//! A name is one of three things, told apart by its form: a column of the index (`status`, `seed`), a setting
//! (`optimizer.learning_rate`), or a figure (`test/rmse`, `val/ccc/valence`). A figure is a final one where any run has
//! one of that name, else the last value of training (`train/loss`). A run that lacks what is asked for meets no
//! condition, not even `!=`.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use super::rows::Status;

/// The columns of the index that have names, with what SQLite calls them.
const COLUMNS: [(&str, &str); 20] = [
    ("id", "runs.id"),
    ("experiment", "runs.experiment"),
    ("status", "runs.status"),
    ("epoch", "runs.epoch"),
    ("seed", "runs.seed"),
    ("device", "runs.device"),
    ("created_at", "runs.created_at"),
    ("started_at", "runs.started_at"),
    ("finished_at", "runs.finished_at"),
    // From the start to the end, or to the last sign of life.
    (
        "seconds",
        "round((julianday(coalesce(runs.finished_at, runs.heartbeat_at)) - julianday(runs.started_at)) * 86400, 3)",
    ),
    ("host", "runs.host"),
    ("git_commit", "runs.git_commit"),
    ("config_hash", "runs.config_hash"),
    ("data_fingerprint", "runs.data_fingerprint"),
    ("feature_key", "runs.feature_key"),
    ("parent_id", "runs.parent_id"),
    ("children", CHILDREN),
    ("error", "runs.error"),
    (
        "tags",
        "(SELECT group_concat(tag, ' ') FROM (SELECT tag FROM tags WHERE run_id = runs.id ORDER BY tag))",
    ),
    (
        "notes",
        "(SELECT group_concat(text, '; ') FROM (SELECT text FROM notes WHERE run_id = runs.id ORDER BY at, rowid))",
    ),
];

/// How many runs go back to this one.
const CHILDREN: &str = "(SELECT count(*) FROM runs AS child WHERE child.parent_id = runs.id)";

/// Names of so many of the newest runs are offered when one is not known.
const NAMES_OF_RUNS: u32 = 50;
/// So many are offered.
const OFFERED: usize = 3;

/// A name that some run has.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// As it was asked for.
    name: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// The expression.
    Column(&'static str),
    Setting,
    /// `split`, `name` and `target`.
    Result(String, String, String),
    /// `split` and `name`.
    Metric(String, String),
}

/// A piece of SQL over the table `runs`, and what its question marks stand for.
pub(super) struct Sql {
    pub text: String,
    pub values: Vec<Value>,
}

impl Key {
    /// Finds out what `name` means in this database.
    ///
    /// # Errors
    /// A name that no run has, unless there are no runs at all.
    pub(super) fn resolve(connection: &Connection, name: &str) -> Result<Self, KeyError> {
        let source = match (COLUMNS.iter().find(|(column, _)| *column == name), name.split_once('/')) {
            (Some((_, expression)), _) => Source::Column(expression),
            (None, None) => Source::Setting,
            (None, Some((split, rest))) => {
                let (figure, target) = rest.split_once('/').unwrap_or((rest, ""));
                let final_one = Source::Result(split.to_owned(), figure.to_owned(), target.to_owned());
                match is_known(connection, &final_one, name)? {
                    true => final_one,
                    false => Source::Metric(split.to_owned(), rest.to_owned()),
                }
            }
        };
        let known = matches!(source, Source::Column(_) | Source::Result(..)) || is_known(connection, &source, name)?;
        if !known && connection.query_row("SELECT EXISTS (SELECT 1 FROM runs)", [], |row| row.get(0))? {
            return Err(KeyError::Unknown(Error::UnknownKey {
                key: name.to_owned(),
                nearest: nearest(name, &names(connection)?),
            }));
        }
        Ok(Self {
            name: name.to_owned(),
            source,
        })
    }

    /// As it was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the row of `runs` at hand.
    pub(super) fn sql(&self) -> Sql {
        let (text, values) = match &self.source {
            Source::Column(expression) => ((*expression).to_owned(), Vec::new()),
            Source::Setting => (
                "(SELECT value FROM params WHERE run_id = runs.id AND key = ?)".to_owned(),
                vec![self.name.clone()],
            ),
            Source::Result(split, name, target) => (
                "(SELECT value FROM results WHERE run_id = runs.id AND split = ? AND name = ? AND target = ?)"
                    .to_owned(),
                vec![split.clone(), name.clone(), target.clone()],
            ),
            Source::Metric(split, name) => (
                "(SELECT value FROM metrics WHERE run_id = runs.id AND split = ? AND name = ?
                  ORDER BY step DESC, epoch DESC LIMIT 1)"
                    .to_owned(),
                vec![split.clone(), name.clone()],
            ),
        };
        Sql {
            text,
            values: values.into_iter().map(Value::Text).collect(),
        }
    }
}

/// Why a name has no meaning.
pub(super) enum KeyError {
    Unknown(Error),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for KeyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

fn is_known(connection: &Connection, source: &Source, name: &str) -> rusqlite::Result<bool> {
    let found = |condition: &str, values: &[&str]| {
        connection
            .query_row(
                &format!("SELECT 1 FROM runs WHERE EXISTS (SELECT 1 FROM {condition}) LIMIT 1"),
                rusqlite::params_from_iter(values),
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
    };
    match source {
        Source::Column(_) => Ok(true),
        Source::Setting => found("params WHERE run_id = runs.id AND key = ?1", &[name]),
        Source::Result(split, name, target) => found(
            "results WHERE run_id = runs.id AND split = ?1 AND name = ?2 AND target = ?3",
            &[split, name, target],
        ),
        Source::Metric(split, name) => found(
            "metrics WHERE run_id = runs.id AND split = ?1 AND name = ?2",
            &[split, name],
        ),
    }
}

/// Every name that the newest runs know.
fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut names: Vec<String> = COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut query = connection.prepare(
        "WITH newest AS (SELECT id FROM runs ORDER BY created_at DESC LIMIT ?1)
         SELECT DISTINCT key FROM params WHERE run_id IN newest
         UNION SELECT DISTINCT split || '/' || name || iif(target = '', '', '/' || target) FROM results WHERE run_id IN newest
         UNION SELECT DISTINCT split || '/' || name FROM metrics WHERE run_id IN newest AND split <> ''",
    )?;
    for name in query.query_map(params![NAMES_OF_RUNS], |row| row.get(0))? {
        names.push(name?);
    }
    Ok(names)
}

/// The names that were probably meant: slips of the finger, then names whose last part was typed alone, then names that hold
/// what was typed.
fn nearest(typed: &str, names: &[String]) -> Vec<String> {
    let typed: String = typed.chars().take(100).collect::<String>().to_ascii_lowercase();
    let slips = (typed.chars().count() / 3).max(1);
    let distance = |name: &String| {
        let last = name.rsplit(['.', '/']).next().unwrap_or(name);
        let whole = strsim::osa_distance(&typed, name);
        let part = strsim::osa_distance(&typed, last);
        let near = whole.min(part.saturating_add(1));
        match near <= slips && near < typed.chars().count() {
            true => Some(near),
            false => (typed.len() > 2 && name.contains(&typed)).then_some(slips + 1),
        }
    };
    let mut near: Vec<(usize, usize, &String)> = names
        .iter()
        .filter_map(|name| Some((distance(name)?, name.len(), name)))
        .collect();
    near.sort();
    near.into_iter().take(OFFERED).map(|(.., name)| name.clone()).collect()
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    /// Longer signs before their beginnings.
    const SIGNS: [(&str, Self); 7] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("!=", Self::NotEqual),
        ("==", Self::Equal),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn sql(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "IN",
            Self::NotEqual => "NOT IN",
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// One condition on runs: `optimizer.learning_rate < 1e-3`, `status != failed`, `model.preset = "crnn"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    key: String,
    comparison: Comparison,
    /// As it was typed, without quotes.
    text: String,
    /// What it is as a number, unless it was in quotes.
    number: Option<Value>,
}

impl Condition {
    /// Reads a name, one of `<`, `<=`, `>`, `>=`, `=`, `!=`, and a number or a text, which may stand in quotes.
    ///
    /// # Errors
    /// [`Error::Condition`] says what is missing.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: String| Error::Condition {
            condition: text.trim().to_owned(),
            what,
        };
        let at = text
            .find(['<', '>', '=', '!'])
            .ok_or_else(|| refuse("there is no `<`, `<=`, `>`, `>=`, `=` or `!=` in it".to_owned()))?;
        let (key, rest) = text.split_at(at);
        let (sign, comparison) = Comparison::SIGNS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| refuse("`!` is no comparison; use `!=`".to_owned()))?;
        let (key, value) = (key.trim(), rest.get(sign.len()..).unwrap_or_default().trim());
        if key.is_empty() {
            return Err(refuse(format!("there is no name before `{sign}`")));
        }
        let quoted = ['"', '\'']
            .iter()
            .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
        if value.is_empty() {
            return Err(refuse(format!("there is no value after `{sign}`")));
        }
        if quoted.is_none() && value.starts_with(['<', '>', '=', '!']) {
            return Err(refuse(format!("`{sign}` is followed by another sign")));
        }
        let condition = Self {
            key: key.to_owned(),
            comparison,
            text: quoted.unwrap_or(value).to_owned(),
            number: match quoted {
                Some(_) => None,
                None => number(value),
            },
        };
        match condition.key == "status" && Status::from_name(&condition.text).is_none() {
            false => Ok(condition),
            true => {
                let all = Status::ALL.map(|status| format!("`{}`", status.name())).join(", ");
                Err(refuse(format!("`{}` is no status; there are {all}", condition.text)))
            }
        }
    }

    /// The name that it asks for.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// True or false of the row of `runs` at hand. Numbers are compared with numbers and texts with texts; a number in an
    /// equation also means the text that looks like it.
    pub(super) fn sql(&self, key: &Key) -> Sql {
        let Sql { text: value, values } = key.sql();
        let text = Value::Text(self.text.clone());
        let sign = self.comparison.sql();
        let mut all = values.clone();
        let is_moment = key.name.ends_with("_at");
        let condition = match (&self.number, self.comparison.is_order()) {
            (Some(number), false) => {
                all.extend([number.clone(), text]);
                format!("{value} {sign} (?, ?)")
            }
            (None, false) => {
                all.push(text);
                format!("{value} {sign} (?)")
            }
            (Some(number), true) if !is_moment => {
                all.extend(values);
                all.push(number.clone());
                format!("(typeof({value}) <> 'text' AND {value} {sign} ?)")
            }
            (_, true) => {
                all.extend(values);
                all.push(text);
                format!("(typeof({value}) = 'text' AND {value} {sign} ?)")
            }
        };
        Sql {
            text: condition,
            values: all,
        }
    }
}

/// Whole numbers stay whole: seeds need all their digits.
fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::Integer(whole));
    }
    // A seed beyond 2^63 is stored as the negative number of the same bits.
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Value::Integer(whole.cast_signed()));
    }
    let begins = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    text.parse::<f64>().ok().filter(|_| begins).map(Value::Real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, &'static str, String, bool) {
        let condition = Condition::parse(text).unwrap();
        let number = condition.number.is_some();
        (condition.key, condition.comparison.sql(), condition.text, number)
    }

    #[test]
    fn conditions_are_read_with_and_without_blanks_and_quotes() {
        for (text, expected) in [
            (
                "optimizer.learning_rate < 1e-3",
                ("optimizer.learning_rate", "<", "1e-3", true),
            ),
            ("test/rmse<=.3", ("test/rmse", "<=", ".3", true)),
            ("seed == 7", ("seed", "IN", "7", true)),
            ("status != failed", ("status", "NOT IN", "failed", false)),
            ("experiment = \"2024\"", ("experiment", "IN", "2024", false)),
            ("model.preset='a < b'", ("model.preset", "IN", "a < b", false)),
            ("features.center = true", ("features.center", "IN", "true", false)),
            ("experiment = nan", ("experiment", "IN", "nan", false)),
        ] {
            let (key, sign, value, number) = expected;
            assert_eq!(parse(text), (key.to_owned(), sign, value.to_owned(), number), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_says_what_is_missing() {
        let message = |text| Condition::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("seed"), @"`seed` is no condition: there is no `<`, `<=`, `>`, `>=`, `=` or `!=` in it");
        insta::assert_snapshot!(message(" < 3"), @"`< 3` is no condition: there is no name before `<`");
        insta::assert_snapshot!(message("seed <"), @"`seed <` is no condition: there is no value after `<`");
        insta::assert_snapshot!(message("seed ! 3"), @"`seed ! 3` is no condition: `!` is no comparison; use `!=`");
        insta::assert_snapshot!(message("seed => 3"), @"`seed => 3` is no condition: `=` is followed by another sign");
        insta::assert_snapshot!(message("status = done"), @"`status = done` is no condition: `done` is no status; there are `queued`, `running`, `completed`, `stopped-early`, `failed`, `interrupted`");
    }

    #[test]
    fn the_names_that_were_meant_are_offered() {
        let names: Vec<String> = [
            "seed",
            "optimizer.learning_rate",
            "test/rmse",
            "test/rmse/valence",
            "val/rmse",
        ]
        .map(String::from)
        .into();
        assert_eq!(nearest("optimizer.learning_rat", &names), ["optimizer.learning_rate"]);
        assert_eq!(nearest("learning_rate", &names), ["optimizer.learning_rate"]);
        assert_eq!(nearest("test/rsme", &names)[0], "test/rmse");
        assert_eq!(nearest("rmse", &names), ["val/rmse", "test/rmse", "test/rmse/valence"]);
        assert_eq!(nearest("momentum", &names), Vec::<String>::new());
        assert_eq!(nearest("", &names), Vec::<String>::new());
    }
}

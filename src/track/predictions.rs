//! predictions.csv: every example of every split with its truth and what the best checkpoint said.
//!
//! Regression: `split,id,group`, then per target `valence,valence_predicted`. Classification: `split,id,group,label,
//! predicted`, then one probability per class, `p_<class>`. Numbers are in the shortest form that reads back as the same
//! 32-bit value, so equal predictions make equal files, byte for byte.

use std::path::Path;

use super::Error;
use super::rows::{Outcome, PredictionRow, Predictions};
use crate::files;

const FIXED: [&str; 3] = ["split", "id", "group"];
const LABEL: &str = "label";
const PREDICTED: &str = "predicted";
const SUFFIX: &str = "_predicted";
const PROBABILITY: &str = "p_";

impl Predictions {
    /// Writes the table to `path`, whole or not at all.
    ///
    /// # Errors
    /// Columns that would have the same name (a target called `id`), rows that don't fit the targets or classes, a file
    /// that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let refuse = |what: String| Error::PredictionTable {
            path: path.to_path_buf(),
            what,
        };
        let columns = columns(&self.kind);
        for (index, column) in columns.iter().enumerate() {
            if columns.iter().skip(index + 1).any(|other| other == column) {
                return Err(refuse(format!("two columns would be called `{column}`")));
            }
        }
        let records = self
            .rows
            .iter()
            .map(|row| record(&self.kind, row).map_err(|what| refuse(format!("example `{}` {what}", row.id))))
            .collect::<Result<Vec<_>, Error>>()?;
        files::write_whole_with(path, |writer| {
            let mut writer = csv::Writer::from_writer(writer);
            writer.write_record(&columns)?;
            for record in &records {
                writer.write_record(record)?;
            }
            writer.flush()
        })?;
        Ok(())
    }

    /// Reads a table that [`write`](Self::write) made, and checks it.
    ///
    /// # Errors
    /// A file that cannot be read; columns, numbers, classes or predicted classes that are not as they were written, with
    /// the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let at = |line: u64| {
            move |what: String| Error::PredictionFile {
                path: path.to_path_buf(),
                line,
                what,
            }
        };
        let bytes = std::fs::read(path).map_err(files::Error::at("read", path))?;
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header = reader.headers().map_err(|error| at(1)(error.to_string()))?;
        let kind = outcome(&header.iter().collect::<Vec<_>>()).map_err(at(1))?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                at(line)(error.to_string())
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push(row(&kind, &record.iter().collect::<Vec<_>>()).map_err(at(line))?);
        }
        Ok(Self { kind, rows })
    }
}

fn columns(kind: &Outcome) -> Vec<String> {
    let mut columns: Vec<String> = FIXED.map(String::from).to_vec();
    match kind {
        Outcome::Regression { targets } => {
            for target in targets {
                columns.extend([target.clone(), format!("{target}{SUFFIX}")]);
            }
        }
        Outcome::Classification { classes } => {
            columns.extend([LABEL.to_string(), PREDICTED.to_string()]);
            columns.extend(classes.iter().map(|class| format!("{PROBABILITY}{class}")));
        }
    }
    columns
}

fn record(kind: &Outcome, row: &PredictionRow) -> Result<Vec<String>, String> {
    let mut fields = vec![row.split.clone(), row.id.clone(), row.group.clone()];
    let given = (row.truth.len(), row.predicted.len());
    match kind {
        Outcome::Regression { targets } => {
            if given != (targets.len(), targets.len()) {
                let (truths, predictions) = given;
                let targets = targets.len();
                return Err(format!(
                    "has {truths} truths and {predictions} predictions for {targets} targets"
                ));
            }
            for (truth, predicted) in row.truth.iter().zip(&row.predicted) {
                fields.extend([number(*truth), number(*predicted)]);
            }
        }
        Outcome::Classification { classes } => {
            if given != (1, classes.len()) {
                let (truths, probabilities) = given;
                let classes = classes.len();
                return Err(format!(
                    "has {truths} labels and {probabilities} probabilities for {classes} classes"
                ));
            }
            let label = row.truth.first().and_then(|truth| class_at(classes, *truth));
            let label = label.ok_or("has a label that is no class")?;
            let predicted = likeliest(classes, &row.predicted).ok_or("has no probabilities")?;
            fields.extend([label.clone(), predicted.clone()]);
            fields.extend(row.predicted.iter().map(|probability| number(*probability)));
        }
    }
    Ok(fields)
}

fn outcome(columns: &[&str]) -> Result<Outcome, String> {
    let rest = match columns.split_first_chunk::<3>() {
        Some((first, rest)) if *first == FIXED => rest,
        _ => return Err(format!("the first columns are not `{}`", FIXED.join("`, `"))),
    };
    let kind = if let [LABEL, PREDICTED, probabilities @ ..] = rest {
        let classes = probabilities
            .iter()
            .map(|column| column.strip_prefix(PROBABILITY).map(String::from))
            .collect::<Option<Vec<_>>>()
            .ok_or("a column after `predicted` does not begin with `p_`")?;
        Outcome::Classification { classes }
    } else {
        let targets = rest
            .chunks(2)
            .map(|pair| match pair {
                [target, predicted] if predicted.strip_suffix(SUFFIX) == Some(target) => Ok((*target).to_string()),
                [target, ..] => Err(format!("the column `{target}` is not followed by `{target}{SUFFIX}`")),
                [] => Err("there are no columns".to_string()),
            })
            .collect::<Result<Vec<_>, String>>()?;
        Outcome::Regression { targets }
    };
    if rest.is_empty() {
        return Err("there are no columns with predictions".to_string());
    }
    Ok(kind)
}

fn row(kind: &Outcome, fields: &[&str]) -> Result<PredictionRow, String> {
    // The reader has checked that every line has as many fields as the header.
    let Some(([split, id, group], rest)) = fields.split_first_chunk::<3>() else {
        return Err("too few fields".to_string());
    };
    let (truth, predicted) = match (kind, rest) {
        (Outcome::Regression { .. }, _) => {
            let values = rest
                .iter()
                .map(|field| parse(field))
                .collect::<Result<Vec<f32>, String>>()?;
            let every_other = |first| values.iter().skip(first).step_by(2).copied().collect();
            (every_other(0), every_other(1))
        }
        (Outcome::Classification { classes }, [label, predicted, probabilities @ ..]) => {
            let index = classes
                .iter()
                .position(|class| class == label)
                .ok_or_else(|| format!("the label `{label}` is no class"))?;
            let probabilities = probabilities
                .iter()
                .map(|field| parse(field))
                .collect::<Result<Vec<f32>, String>>()?;
            if likeliest(classes, &probabilities).is_none_or(|class| class != predicted) {
                return Err(format!("`{predicted}` is not the class with the highest probability"));
            }
            (vec![index as f32], probabilities)
        }
        (Outcome::Classification { .. }, _) => return Err("too few fields".to_string()),
    };
    Ok(PredictionRow {
        split: (*split).to_string(),
        id: (*id).to_string(),
        group: (*group).to_string(),
        truth,
        predicted,
    })
}

/// The class that `truth`, a whole number from 0, stands for.
fn class_at(classes: &[String], truth: f32) -> Option<&String> {
    (0..classes.len())
        .find(|index| *index as f32 == truth)
        .and_then(|index| classes.get(index))
}

/// The class with the highest probability: the first of equals; NaN counts as lowest.
fn likeliest<'a>(classes: &'a [String], probabilities: &[f32]) -> Option<&'a String> {
    let value = |probability: f32| {
        if probability.is_nan() {
            f32::NEG_INFINITY
        } else {
            probability
        }
    };
    let mut best: Option<(&String, f32)> = None;
    for (class, probability) in classes.iter().zip(probabilities) {
        if best.is_none_or(|(_, highest)| value(*probability) > highest) {
            best = Some((class, value(*probability)));
        }
    }
    best.map(|(class, _)| class)
}

/// Rust's debug form is the shortest that reads back as the same value, with an exponent where that is shorter.
fn number(value: f32) -> String {
    format!("{value:?}")
}

fn parse(field: &str) -> Result<f32, String> {
    field.parse().map_err(|_| format!("`{field}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(predictions: &Predictions) -> Result<Predictions, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        predictions.write(&path)?;
        Predictions::read(&path)
    }

    fn read(text: &str) -> Result<Predictions, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        files::write_whole(&path, text.as_bytes()).unwrap();
        Predictions::read(&path)
    }

    fn any_row(truths: usize, predictions: usize) -> impl Strategy<Value = PredictionRow> {
        let numbers =
            |count| proptest::collection::vec(any::<f32>().prop_filter("NaN is not equal", |x| !x.is_nan()), count);
        (
            any::<String>(),
            any::<String>(),
            any::<String>(),
            numbers(truths),
            numbers(predictions),
        )
            .prop_map(|(split, id, group, truth, predicted)| PredictionRow {
                split,
                id,
                group,
                truth,
                predicted,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn regression_survives_the_file(rows in proptest::collection::vec(any_row(2, 2), 0..8), target in "[^_]{0,8}") {
            prop_assume!(!FIXED.contains(&target.as_str()) && target != "arousal");
            let targets = vec![target, "arousal".to_string()];
            let predictions = Predictions { kind: Outcome::Regression { targets }, rows };
            prop_assert_eq!(round_trip(&predictions).unwrap(), predictions);
        }

        #[test]
        fn classification_survives_the_file(
            rows in proptest::collection::vec((any_row(0, 3), 0u8..3), 0..8),
            classes in proptest::collection::btree_set(any::<String>(), 3),
        ) {
            let kind = Outcome::Classification { classes: classes.into_iter().collect() };
            let rows = rows.into_iter().map(|(row, class)| PredictionRow { truth: vec![f32::from(class)], ..row });
            let predictions = Predictions { kind, rows: rows.collect() };
            prop_assert_eq!(round_trip(&predictions).unwrap(), predictions);
        }

        #[test]
        fn no_text_makes_reading_panic(text in any::<String>(), body in "[a-z_,\n\"0-9.]{0,60}") {
            drop(read(&text));
            drop(read(&format!("split,id,group,label,predicted,p_a\n{body}")));
            drop(read(&format!("split,id,group,x,x_predicted\n{body}")));
        }
    }

    #[test]
    fn the_file_is_what_it_says() {
        let row = PredictionRow {
            split: "test".to_string(),
            id: "a, b".to_string(),
            group: "g".to_string(),
            truth: vec![0.1, -1.0],
            predicted: vec![1e-10, f32::NAN],
        };
        let targets = vec!["valence".to_string(), "arousal".to_string()];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let predictions = Predictions {
            kind: Outcome::Regression { targets },
            rows: vec![row],
        };
        predictions.write(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "split,id,group,valence,valence_predicted,arousal,arousal_predicted\ntest,\"a, b\",g,0.1,1e-10,-1.0,NaN\n"
        );
        assert!(Predictions::read(&path).unwrap().rows[0].predicted[1].is_nan());
    }

    #[test]
    fn columns_that_collide_and_rows_that_do_not_fit_are_refused() {
        let predictions = |targets: &[&str], truth| Predictions {
            kind: Outcome::Regression {
                targets: targets.iter().map(ToString::to_string).collect(),
            },
            rows: vec![PredictionRow {
                split: String::new(),
                id: "x".to_string(),
                group: String::new(),
                truth,
                predicted: vec![0.0],
            }],
        };
        for (predictions, expected) in [
            (predictions(&["id"], vec![0.0]), "two columns would be called `id`"),
            (predictions(&["valence"], vec![]), "example `x` has 0 truths"),
        ] {
            let error = round_trip(&predictions).unwrap_err();
            assert!(
                error.to_string().contains(expected) && error.hint().is_some(),
                "{error}"
            );
        }
    }

    #[test]
    fn a_changed_file_is_refused_with_its_line() {
        for (text, expected) in [
            ("", "line 1: the first columns are not"),
            ("split,id,group\n", "line 1: there are no columns with predictions"),
            (
                "split,id,group,x,y\n",
                "line 1: the column `x` is not followed by `x_predicted`",
            ),
            (
                "split,id,group,x,x_predicted\na,b,c,1,2\na,b,c,1,two\n",
                "line 3: `two` is no number",
            ),
            ("split,id,group,x,x_predicted\na,b,c,1\n", "line 2"),
            (
                "split,id,group,label,predicted,p_a,p_b\nt,i,g,c,a,1,0\n",
                "line 2: the label `c` is no class",
            ),
            (
                "split,id,group,label,predicted,p_a,p_b\nt,i,g,a,b,1,0\n",
                "line 2: `b` is not the class",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}

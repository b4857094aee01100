//! The tables `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`: a row per utterance.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::{Key, MeldLabel, classes};
use crate::dataset::csv_file::{CsvFile, Row};
use crate::dataset::{Error, Fault, Source, Split};

/// A row.
pub(super) struct Utterance {
    pub key: Key,
    /// Index into the classes of the label.
    pub class: u32,
    pub speaker: String,
    pub text: String,
    /// Start and end in the episode, in seconds, where the row has them.
    pub time: Option<(f64, f64)>,
    pub source: Source,
}

/// The utterances of a split in the order of its table, and what is wrong with rows.
///
/// # Errors
/// The file cannot be read or has no rows.
pub(super) fn read(path: &Path, split: Split, label: MeldLabel) -> Result<(Vec<Utterance>, Vec<Fault>), Error> {
    let mut file = CsvFile::read(path)?;
    let mut problems = std::mem::take(&mut file.faults);
    let mut find = |name| {
        file.column(name, "MELD's tables")
            .map_err(|fault| problems.push(fault))
            .ok()
    };
    let label_name = match label {
        MeldLabel::Emotion => "Emotion",
        MeldLabel::Sentiment => "Sentiment",
    };
    let wanted = ["Dialogue_ID", "Utterance_ID", label_name, "Speaker", "Utterance"].map(&mut find);
    let [
        Some(dialogue),
        Some(utterance),
        Some(label_column),
        Some(speaker),
        Some(text),
    ] = wanted
    else {
        return Ok((Vec::new(), problems));
    };
    let time = |name: &str| file.header.iter().position(|it| it == name);
    let times = time("StartTime").zip(time("EndTime"));
    let mut utterances = Vec::new();
    let mut lines: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for row in &file.rows {
        let mut complain = |what: String| problems.push(file.fault(row.line, what));
        let mut number = |column: usize, name: &str| {
            let text = row.get(column);
            let number = text.parse::<u32>().ok();
            if number.is_none() {
                complain(format!("{name} is \"{text}\", not a whole number"));
            }
            number
        };
        let ids = (number(dialogue, "Dialogue_ID"), number(utterance, "Utterance_ID"));
        let class = class(row, label_column, label_name, label, &mut complain);
        let ((Some(dialogue), Some(utterance)), Some(class)) = (ids, class) else {
            continue;
        };
        match lines.entry((dialogue, utterance)) {
            Entry::Occupied(first) => {
                complain(format!(
                    "dia{dialogue}_utt{utterance} is already on line {}",
                    first.get()
                ));
                continue;
            }
            Entry::Vacant(free) => free.insert(row.line),
        };
        utterances.push(Utterance {
            key: (split, dialogue, utterance),
            class,
            speaker: row.get(speaker).to_owned(),
            text: row.get(text).to_owned(),
            time: times.and_then(|(start, end)| Some((seconds(row.get(start))?, seconds(row.get(end))?))),
            source: file.source(row),
        });
    }
    Ok((utterances, problems))
}

fn class(row: &Row, column: usize, name: &str, label: MeldLabel, mut complain: impl FnMut(String)) -> Option<u32> {
    let text = row.get(column);
    let class = classes(label).iter().position(|class| *class == text);
    if class.is_none() {
        complain(format!("{name} is \"{text}\", none of {}", classes(label).join(", ")));
    }
    class.and_then(|class| u32::try_from(class).ok())
}

/// "00:16:16,059" (or with a point) in seconds.
fn seconds(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = |text: &str| text.trim().parse::<u32>().ok().map(f64::from);
    let seconds: f64 = seconds.trim().replace(',', ".").parse().ok()?;
    let fits = parts.next().is_none() && (0.0..60.0).contains(&seconds);
    fits.then_some(whole(hours)? * 3600.0 + whole(minutes)? * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("00:16:16,059"), Some(976.059));
        assert_eq!(seconds("01:00:01.5"), Some(3601.5));
        for text in [
            "",
            "16:16",
            "a:b:c",
            "00:00:61,0",
            "00:00:01:02",
            "00:00:-1",
            "00:00:nan",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev_sent_emo.csv");
        let text = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r\n\
            1,\"Oh my God, he’s lost it.\",Phoebe,sadness,negative,0,0,4,7,\"00:20:57,256\",\"00:21:00,049\"\r\n\
            2,What?,Monica,happy,neutral,0,1,4,7,,\r\n\
            3,What?,Monica,joy,positive,0,0,4,7,,\r\n\
            4,What?,Monica,joy,positive,x,0,4,7,,\r\n";
        files::write_whole(&path, text.as_bytes()).unwrap();
        let (utterances, problems) = read(&path, Split::Val, MeldLabel::Emotion).unwrap();
        assert_eq!(utterances.len(), 1);
        let first = &utterances[0];
        assert_eq!((first.key, first.class), ((Split::Val, 0, 0), 5));
        assert_eq!(
            (first.speaker.as_str(), first.text.as_str()),
            ("Phoebe", "Oh my God, he’s lost it.")
        );
        assert_eq!(first.time, Some((1257.256, 1260.049)));
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(
            said[0].contains("csv:3: Emotion is \"happy\", none of anger, disgust"),
            "{said:?}"
        );
        assert!(said[1].ends_with("csv:4: dia0_utt0 is already on line 2"));
        assert!(said[2].ends_with("csv:5: Dialogue_ID is \"x\", not a whole number"));
        let (utterances, problems) = read(&path, Split::Val, MeldLabel::Sentiment).unwrap();
        assert_eq!((utterances.len(), problems.len(), utterances[0].class), (2, 2, 0));
    }
}

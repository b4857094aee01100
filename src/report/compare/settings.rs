//! What is different about the runs?

use serde::Serialize;

use super::group::{Group, RunRecord, matters};

/// So many values of one group are named.
const NAMED: usize = 3;
/// Kinds of splits that are drawn with a seed.
const BY_SEED: [&str; 3] = ["random", "k-fold", "leave-one-group-out"];
/// So many digits of a hash tell two apart.
const DIGITS: usize = 10;

/// A setting, or a circumstance, that is not the same in all groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingRow {
    pub key: String,
    /// One for each group; several values of one group are separated by commas.
    pub values: Vec<String>,
}

/// In the order of the settings, then data, features, device and program.
pub(super) fn differing(groups: &[Group]) -> Vec<SettingRow> {
    let mut keys: Vec<&str> = Vec::new();
    for row in groups.iter().flat_map(|group| &group.runs).flat_map(|run| &run.params) {
        if matters(&row.key) && !keys.contains(&row.key.as_str()) {
            keys.push(&row.key);
        }
    }
    let short = |text: &str| text.chars().take(DIGITS).collect::<String>();
    let settings = keys
        .into_iter()
        .map(|key| row(groups, key, |run| effective(run, key).unwrap_or_else(|| "–".to_owned())));
    let circumstances = [
        row(groups, "data", |run| short(&run.summary.data_fingerprint)),
        row(groups, "features", |run| short(&run.summary.feature_key)),
        row(groups, "device", |run| run.summary.device.clone()),
        row(groups, "git commit", |run| {
            short(run.summary.git_commit.as_deref().unwrap_or("–"))
        }),
    ];
    settings
        .chain(circumstances)
        .filter(|row| row.values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}

/// The setting; where a split names no seed, the experiment's is its seed.
fn effective(run: &RunRecord, key: &str) -> Option<String> {
    run.setting(key).or_else(|| {
        let of_split = key == "dataset.split.seed"
            && run
                .setting("dataset.split.kind")
                .is_some_and(|kind| BY_SEED.contains(&&*kind));
        of_split.then(|| run.summary.seed.to_string())
    })
}

fn row(groups: &[Group], key: &str, of: impl Fn(&RunRecord) -> String) -> SettingRow {
    let value = |group: &Group| {
        let mut values: Vec<String> = Vec::new();
        for run in &group.runs {
            let value = of(run);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        match values.len() {
            0..=NAMED => values.join(", "),
            count => format!("{count} values"),
        }
    };
    SettingRow {
        key: key.to_owned(),
        values: groups.iter().map(value).collect(),
    }
}

/// What a group of examples is called: "songs", "speakers"; "groups" where no setting tells.
pub(super) fn unit(groups: &[Group]) -> String {
    let run = groups.first().and_then(|group| group.runs.first());
    let name = run.and_then(|run| {
        run.setting("dataset.split.group")
            .or_else(|| run.setting("dataset.group"))
    });
    let is_word = |name: &String| !name.is_empty() && name.chars().all(|letter| letter.is_alphabetic());
    name.filter(is_word)
        .map_or_else(|| "groups".to_owned(), |name| format!("{name}s"))
}

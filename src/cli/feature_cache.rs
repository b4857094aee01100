//! `affect features --list` and `--prune`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use super::output;
use crate::features::sets::{self, CachedSet};

/// Digits of a key that tell sets apart.
const KEY_SHOWN: usize = 12;

pub fn list(cache: &Path, json: bool) -> Result<(), Failure> {
    let sets = sets::list(cache)?;
    if json {
        return output::json(&sets);
    }
    if sets.is_empty() {
        output::note(&format!("no features in `{}`", cache.display()));
        return Ok(());
    }
    let mut table = output::table(&["key", "recipe", "shape", "examples", "size", "last used"], 3..5, 1);
    for set in &sets {
        table.add_row([
            shown(&set.key).to_owned(),
            set.recipe.clone(),
            set.shape.map(|shape| crate::nn::shape_text(&shape)).unwrap_or_default(),
            set.examples.to_string(),
            output::bytes(set.bytes),
            ago(set.last_used),
        ]);
    }
    let all = output::bytes(sets.iter().map(|set| set.bytes).sum());
    output::result(&format!(
        "{table}\n{} take {all}",
        output::count(sets.len(), "feature set")
    ))
}

fn shown(key: &str) -> &str {
    key.get(..KEY_SHOWN).unwrap_or(key)
}

fn ago(seconds: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    match now.saturating_sub(seconds) {
        0..60 => "now".into(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} ago", output::count((seconds / 86_400) as usize, "day")),
    }
}

pub fn prune(cache: &Path, at_most: u64, json: bool) -> Result<(), Failure> {
    let pruned = sets::prune(cache, at_most)?;
    if json {
        return output::json(&pruned);
    }
    for set in &pruned.removed {
        output::result(&line("removed", set))?;
    }
    for set in &pruned.kept_in_use {
        output::result(&line("in use ", set))?;
    }
    let freed = output::bytes(pruned.removed.iter().map(|set| set.bytes).sum());
    let left = output::bytes(pruned.bytes_left);
    output::result(&match pruned.removed.is_empty() {
        true => format!("nothing removed; the feature sets take {left}"),
        false => format!("{freed} freed; the feature sets take {left}"),
    })
}

fn line(what: &str, set: &CachedSet) -> String {
    let (key, size) = (shown(&set.key), output::bytes(set.bytes));
    format!("{what} {key}: {}, {size}, last used {}", set.recipe, ago(set.last_used))
}

/// "20GB", "1.5 GiB", "500000": bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 11] = [
        ("", 1.0),
        ("b", 1.0),
        ("k", 1e3),
        ("kb", 1e3),
        ("m", 1e6),
        ("mb", 1e6),
        ("g", 1e9),
        ("gb", 1e9),
        ("tb", 1e12),
        ("mib", 1_048_576.0),
        ("gib", 1_073_741_824.0),
    ];
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) => Ok((number * factor) as u64),
        _ => Err("not a size; write it as 20GB, 500MB or 1.5GiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("20GB"), Ok(20_000_000_000));
        assert_eq!(parse_size("1.5 gib"), Ok(1_610_612_736));
        assert_eq!(parse_size("0"), Ok(0));
        for wrong in ["", "quickstart", "-1", "1.2.3GB", "5 parsecs", "GB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_read_well() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((ago(now), ago(now - 7300)), ("now".into(), "2 h ago".into()));
        assert_eq!((ago(now - 86_400), ago(now + 5)), ("1 day ago".into(), "now".into()));
    }
}

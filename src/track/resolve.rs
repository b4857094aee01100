//! Which run does a word on the command line mean?

use super::Error;
use super::run_dir::suffix;

/// How many runs an error names when nothing comes near.
const RECENT: usize = 3;

/// `ids` are those of all runs, newest first. An id, a unique beginning of one or of its random suffix ("k3" for
/// "20261121-101530-k3f9"), the path of a run's folder, or `latest`.
pub(super) fn resolve(reference: &str, ids: &[String]) -> Result<String, Error> {
    let unknown = || Error::UnknownRun {
        reference: reference.to_string(),
        nearest: nearest(reference, ids),
    };
    if reference == "latest" {
        return ids.first().cloned().ok_or_else(unknown);
    }
    let name = reference.trim_end_matches(['/', '\\']);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if name.is_empty() {
        return Err(unknown());
    }
    let name = name.to_ascii_lowercase();
    let found: Vec<&String> = ids
        .iter()
        .filter(|id| id.starts_with(&name) || suffix(id).starts_with(&name))
        .collect();
    match found.as_slice() {
        [] => Err(unknown()),
        [id] => Ok((*id).clone()),
        several => match several.iter().find(|id| **id == &name) {
            Some(id) => Ok((**id).clone()),
            None => Err(Error::AmbiguousRun {
                reference: reference.to_string(),
                candidates: several.iter().map(|id| (*id).clone()).collect(),
            }),
        },
    }
}

/// The ids with one or two slips of the finger in them, else the most recent ones.
fn nearest(reference: &str, ids: &[String]) -> Vec<String> {
    let distance = |id: &String| {
        strsim::damerau_levenshtein(reference, id).min(strsim::damerau_levenshtein(reference, suffix(id)))
    };
    let slips = if reference.len() > 4 { 2 } else { 1 };
    let mut near: Vec<(usize, &String)> = ids
        .iter()
        .map(|id| (distance(id), id))
        .filter(|(distance, _)| *distance <= slips)
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let near: Vec<String> = near.into_iter().take(RECENT).map(|(_, id)| id.clone()).collect();
    if near.is_empty() {
        ids.iter().take(RECENT).cloned().collect()
    } else {
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        [
            "20261122-090000-k3x2",
            "20261121-101530-k3f9",
            "20261121-101530-ab2c",
            "20261120-080000-zz9y",
        ]
        .map(String::from)
        .to_vec()
    }

    #[test]
    fn ids_prefixes_suffixes_paths_and_latest_are_understood() {
        for (reference, expected) in [
            ("latest", 0),
            ("20261121-101530-k3f9", 1),
            ("20261122", 0),
            ("k3f", 1),
            ("K3F9", 1),
            ("z", 3),
            ("runs/deam/20261121-101530-ab2c/", 2),
        ] {
            assert_eq!(resolve(reference, &ids()).unwrap(), ids()[expected], "{reference}");
        }
    }

    #[test]
    fn what_could_be_several_lists_them() {
        for (reference, count) in [("k3", 2), ("20261121", 2), ("2026", 4)] {
            let error = resolve(reference, &ids()).unwrap_err();
            let Error::AmbiguousRun { candidates, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(candidates.len(), count);
            assert!(error.to_string().contains(&candidates[0]), "{error}");
        }
    }

    #[test]
    fn what_is_unknown_names_the_nearest_or_the_newest() {
        let nearest = |reference| match resolve(reference, &ids()) {
            Err(Error::UnknownRun { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("k3g9"), ["20261121-101530-k3f9"]);
        assert_eq!(nearest("20261121-101530-ab3c"), ["20261121-101530-ab2c"]);
        assert_eq!(nearest("nonsense"), ids()[..3]);
        assert_eq!(nearest(""), ids()[..3]);
        assert_eq!(nearest("/"), ids()[..3]);
    }
}

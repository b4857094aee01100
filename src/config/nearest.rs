//! Which valid name was meant?

use std::cmp::Reverse;

/// The candidate that `typed` is most likely a slip of; `None` when nothing is close.
///
/// Close is: the same letters but for case, `-` and `_`; a third of the letters wrong at most (optimal string alignment
/// distance, so that a swap of neighbours counts once); or the initials (`lr` for `learning_rate`).
pub(super) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(typed);
    // A word of three letters may have one wrong, one of nine three.
    let allowed = (plain.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = self::plain(candidate);
            let distance = if is_initials(typed, candidate) {
                0
            } else {
                strsim::osa_distance(&plain, &other)
            };
            // Two words of one or two letters have nothing in common when the only letter differs.
            let close =
                distance == 0 || (distance <= allowed && distance < other.chars().count().min(plain.chars().count()));
            close.then_some((distance, candidate))
        })
        .min_by_key(|(distance, candidate)| (*distance, Reverse(common_prefix(typed, candidate))))
        .map(|(_, candidate)| candidate)
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .take(100)
        .collect()
}

fn is_initials(typed: &str, candidate: &str) -> bool {
    let initials: String = candidate
        .split(['-', '_'])
        .filter_map(|word| word.chars().next())
        .collect();
    initials.len() > 1 && initials == typed
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = [
            "learning_rate",
            "beta1",
            "beta2",
            "epsilon",
            "weight_decay",
            "batch_size",
        ];
        for (typed, meant) in [
            ("learning_rat", Some("learning_rate")),
            ("learningRate", Some("learning_rate")),
            ("lr", Some("learning_rate")),
            ("weight-decay", Some("weight_decay")),
            ("beta2", Some("beta2")),
            ("bach_size", Some("batch_size")),
            ("esp", None),
            ("epslion", Some("epsilon")),
            ("momentum", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
        assert_eq!(nearest("adm", ["adam", "adamw", "sgd"]), Some("adam"));
    }
}

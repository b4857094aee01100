//! Are valence and arousal of the songs 1 to 1000 swapped in the song-level file?
//!
//! The dynamic annotations of the same songs can tell: their averages should correlate with the song-level ratings of the same
//! dimension, and not with those of the other one more.

use std::path::Path;

use super::song_level::Song;
use super::{layout, per_second};
use crate::dataset::ValenceArousalSwap;

/// The last song that is suspected.
const LAST: u64 = 1000;

/// Exchanges what is to be exchanged; what a reader of the results must know.
pub(super) fn apply(swap: ValenceArousalSwap, songs: &mut [Song], root: &Path) -> Option<String> {
    match swap {
        ValenceArousalSwap::None => None,
        ValenceArousalSwap::UpTo1000 => {
            let mut count = 0;
            for song in songs.iter_mut().filter(|song| song.id <= LAST) {
                std::mem::swap(&mut song.valence, &mut song.arousal);
                count += 1;
            }
            Some(format!(
                "valence and arousal of {count} songs (up to {LAST}) exchanged, because they look swapped in the published file \
                 (valence_arousal_swap = \"up-to-1000\")"
            ))
        }
        ValenceArousalSwap::Check => Some(check(songs, root)),
    }
}

fn check(songs: &[Song], root: &Path) -> String {
    const AS_PUBLISHED: &str = "valence and arousal are as published (valence_arousal_swap = \"check\")";
    let read = || {
        let folder = layout::dynamic_folder(root).ok()?;
        let read = |name: &str| per_second::read(&folder.join(name)).ok();
        Some((read("valence.csv")?, read("arousal.csv")?))
    };
    let Some((valence, arousal)) = read() else {
        return format!(
            "{AS_PUBLISHED}; those of songs up to {LAST} look swapped in DEAM's file, which the dynamic annotations could tell, but \
             they are not there"
        );
    };
    let compare = |from: u64, to: u64| {
        let rows: Vec<[f64; 4]> = (songs.iter().filter(|song| (from..=to).contains(&song.id)))
            .filter_map(|song| {
                let mean = |dynamic: &per_second::Dynamic| dynamic.songs.get(&song.id)?.mean();
                Some([song.valence.mean, song.arousal.mean, mean(&valence)?, mean(&arousal)?])
            })
            .collect();
        let r = |a: usize, b: usize| pearson(rows.iter().map(|row| (row[a], row[b])));
        Comparison {
            songs: rows.len(),
            straight: r(0, 2).zip(r(1, 3)),
            crossed: r(0, 3).zip(r(1, 2)),
        }
    };
    format!(
        "{AS_PUBLISHED}; correlations with the averages of the dynamic annotations: songs up to {LAST}: {}; later songs: {}",
        compare(0, LAST).text(),
        compare(LAST + 1, u64::MAX).text()
    )
}

struct Comparison {
    songs: usize,
    /// Valence with valence, arousal with arousal.
    straight: Option<(f64, f64)>,
    /// Song-level valence with dynamic arousal, song-level arousal with dynamic valence.
    crossed: Option<(f64, f64)>,
}

impl Comparison {
    fn text(&self) -> String {
        let (Some((valence, arousal)), Some((to_arousal, to_valence))) = (self.straight, self.crossed) else {
            return format!("{} in common, too few to compare", self.songs);
        };
        let verdict = match (to_arousal + to_valence) > (valence + arousal) {
            true => "swapped, it seems",
            false => "the right way round",
        };
        format!(
            "valence {valence:.2}, arousal {arousal:.2}; crosswise {to_arousal:.2} and {to_valence:.2} (n = {}): {verdict}",
            self.songs
        )
    }
}

/// Pearson's correlation; `None` for fewer than three pairs, or where one of the two does not vary.
fn pearson(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = pairs.collect();
    if pairs.len() < 3 {
        return None;
    }
    let count = pairs.len() as f64;
    let mean_a = pairs.iter().map(|(a, _)| a).sum::<f64>() / count;
    let mean_b = pairs.iter().map(|(_, b)| b).sum::<f64>() / count;
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 { pairs.iter().map(|(a, b)| f(a - mean_a, b - mean_b)).sum() };
    let r = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    r.is_finite().then_some(r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_of_lines_and_of_nothing() {
        let r = |pairs: &[(f64, f64)]| pearson(pairs.iter().copied());
        assert!((r(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]).unwrap() - 1.0).abs() < 1e-12);
        assert!((r(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(r(&[(1.0, 3.0), (1.0, 2.0), (1.0, 1.0)]), None);
        assert_eq!(r(&[(1.0, 3.0)]), None);
    }
}

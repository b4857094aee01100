//! Who is paired with whom, and how well they match.

use super::SyntheticPairsSpec;
use crate::dataset::Split;
use crate::dataset::synthetic::emotion::Affect;
use crate::dataset::synthetic::song::Song;
use crate::random::Generator;

/// Half a unit of distance in the plane (−1 to 1 on both axes) brings a score from 1 to 0.61.
const WIDTH: f64 = 0.5;
/// Of the pictures of a clip, one of so many is among its best matches.
const ONE_IN: usize = 4;
/// So many best matches are drawn from.
const BEST: usize = 6;
/// Shares of val and test in the songs and in the pictures.
const SHARES: [f64; 2] = [0.15, 0.15];

/// A picture before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture {
    /// 1-based; also its name.
    pub id: u64,
    pub truth: Affect,
}

/// A line of a matching file.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    pub song: u64,
    /// 0-based.
    pub clip: usize,
    pub picture: u64,
    /// From 0 to 1.
    pub score: f64,
}

pub fn pictures(spec: &SyntheticPairsSpec) -> Vec<Picture> {
    (1..=spec.images as u64)
        .map(|id| Picture {
            id,
            truth: Affect::draw(&mut Generator::keyed(
                spec.seed,
                "synthetic pairs: picture truth",
                &[id],
            )),
        })
        .collect()
}

/// How well two points of the plane match: exp(−d² / (2 · 0.5²)).
pub fn score(a: Affect, b: Affect) -> f64 {
    let distance = (a.valence - b.valence).powi(2) + (a.arousal - b.arousal).powi(2);
    (-distance / (2.0 * WIDTH * WIDTH)).exp()
}

/// The pairs of each side.
pub fn deal(spec: &SyntheticPairsSpec, songs: &[Song], pictures: &[Picture]) -> Vec<(Split, Vec<Match>)> {
    let songs = sides(spec.seed, "synthetic pairs: songs", songs);
    let pictures = sides(spec.seed, "synthetic pairs: pictures", pictures);
    let of_side = |side: Split| {
        let (songs, pictures) = (&songs[side as usize], &pictures[side as usize]);
        let pairs = songs
            .iter()
            .flat_map(|song| (0..spec.clips_per_song).flat_map(|clip| of_clip(spec, song, clip, pictures)));
        (side, pairs.collect())
    };
    Split::ALL.into_iter().map(of_side).collect()
}

/// Shuffled, then cut into train, val and test; each has at least one.
fn sides<'a, T>(seed: u64, purpose: &str, all: &'a [T]) -> [Vec<&'a T>; 3] {
    let mut order: Vec<usize> = (0..all.len()).collect();
    Generator::keyed(seed, purpose, &[]).shuffle(&mut order);
    let [val, test] = SHARES.map(|share| ((share * all.len() as f64).round() as usize).max(1));
    let mut sides: [Vec<usize>; 3] = Default::default();
    for (place, number) in order.into_iter().enumerate() {
        let side = if place < test {
            2
        } else {
            usize::from(place < test + val)
        };
        sides[side].push(number);
    }
    sides.map(|mut numbers| {
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|number| all.get(number)).collect()
    })
}

fn of_clip(spec: &SyntheticPairsSpec, song: &Song, clip: usize, pictures: &[&Picture]) -> Vec<Match> {
    let mut generator = Generator::keyed(spec.seed, "synthetic pairs: matches", &[song.id, clip as u64]);
    let mut by_distance: Vec<(f64, &Picture)> = pictures
        .iter()
        .map(|picture| (score(song.truth, picture.truth), *picture))
        .collect();
    by_distance.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
    let wanted = spec.pairs_per_clip.min(by_distance.len());
    let from_best = wanted.div_ceil(ONE_IN);
    let (best, rest) = by_distance.split_at(BEST.max(from_best).min(by_distance.len()));
    let (mut best, mut rest) = (best.to_vec(), rest.to_vec());
    generator.shuffle(&mut best);
    generator.shuffle(&mut rest);
    // Where the side is small, the best that are left make up the number.
    let spare = best.split_off(from_best.min(best.len()));
    let others = rest.into_iter().chain(spare).take(wanted - best.len());
    let chosen: Vec<(f64, &Picture)> = best.iter().copied().chain(others).collect();
    chosen
        .into_iter()
        .map(|(score, picture)| Match {
            song: song.id,
            clip,
            picture: picture.id,
            score: (score + spec.score_deviation * generator.normal()).clamp(0.0, 1.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sides_share_nothing_and_scores_follow_the_truth() {
        let spec = SyntheticPairsSpec {
            songs: 40,
            images: 80,
            score_deviation: 0.0,
            ..SyntheticPairsSpec::default()
        };
        let songs: Vec<Song> = (1..=40).map(|id| Song::draw(&spec.music(), id)).collect();
        let pictures = pictures(&spec);
        let sides = deal(&spec, &songs, &pictures);
        let (mut seen_songs, mut seen_pictures) = (BTreeSet::new(), BTreeSet::new());
        for (side, pairs) in &sides {
            let of_side: BTreeSet<u64> = pairs.iter().map(|pair| pair.song).collect();
            assert_eq!(pairs.len(), of_side.len() * 2 * 8, "{side:?}");
            assert!(of_side.iter().all(|song| seen_songs.insert(*song)));
            let of_side: BTreeSet<u64> = pairs.iter().map(|pair| pair.picture).collect();
            assert!(of_side.iter().all(|picture| seen_pictures.insert(*picture)));
            let distinct: BTreeSet<_> = pairs.iter().map(|pair| (pair.song, pair.clip, pair.picture)).collect();
            assert_eq!(distinct.len(), pairs.len());
            for pair in pairs {
                let song = &songs[pair.song as usize - 1];
                let picture = pictures[pair.picture as usize - 1];
                assert_eq!(pair.score, score(song.truth, picture.truth));
            }
        }
        assert_eq!(seen_songs.len(), 40);
        let all: Vec<f64> = sides
            .iter()
            .flat_map(|(_, pairs)| pairs.iter().map(|pair| pair.score))
            .collect();
        let high = all.iter().filter(|score| **score >= 0.5).count() as f64 / all.len() as f64;
        assert!((0.3..0.8).contains(&high), "{high}");
        assert_eq!(deal(&spec, &songs, &pictures), sides);
    }

    #[test]
    fn a_side_with_few_pictures_pairs_each_of_them_once() {
        let spec = SyntheticPairsSpec {
            songs: 10,
            images: 20,
            pairs_per_clip: 8,
            ..SyntheticPairsSpec::default()
        };
        let songs: Vec<Song> = (1..=10).map(|id| Song::draw(&spec.music(), id)).collect();
        let sides = deal(&spec, &songs, &pictures(&spec));
        for (_, pairs) in &sides[1..] {
            let clips: BTreeSet<_> = pairs.iter().map(|pair| (pair.song, pair.clip)).collect();
            assert_eq!(pairs.len(), 3 * clips.len());
        }
    }
}

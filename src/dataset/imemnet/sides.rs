//! Which pairs train, which validate, which test.

use super::matching::Leak;
use super::media::PairCorpus;
use super::spec::{OfficialOverlap, PairGroup};
use crate::dataset::{Split, SplitSpec, split};

/// The division of the pairs.
pub struct PairSides {
    /// Of every pair; `None` where its song and its picture are on different sides.
    pub sides: Vec<Option<Split>>,
    /// What a reader of the results must know.
    pub remarks: Vec<String>,
}

impl PairCorpus {
    /// The side of each pair, by song, or by song and picture together. Where the pairs are divided anew, the shares are of clips and of
    /// pictures.
    ///
    /// # Errors
    /// As [`split::assign`]. The official files share songs and the settings refuse that; the official split by song and picture.
    pub fn sides(&self, spec: &SplitSpec, seed: u64) -> Result<PairSides, split::Error> {
        let mut remarks = Vec::new();
        let sides: Vec<Option<Split>> = match (spec, self.overlap) {
            (SplitSpec::Official, OfficialOverlap::Remark) => {
                remarks.extend(self.matching.leaks().iter().map(Leak::remark));
                let sides: Vec<Split> = self.matching.pairs.iter().map(|pair| pair.split).collect();
                if let Some(side) = Split::ALL.into_iter().find(|side| !sides.contains(side)) {
                    return Err(split::Error::EmptySide { side, left_out: 0 });
                }
                sides.into_iter().map(Some).collect()
            }
            _ => self.matching.assign(spec, seed)?.into_iter().map(Some).collect(),
        };
        let mut divided = PairSides { sides, remarks };
        if self.group == PairGroup::SongAndImage && *spec != SplitSpec::Official {
            self.keep_same_side(&mut divided, spec, seed)?;
        } else {
            divided.remarks.extend(self.remark_on_shared_images(&divided.sides));
        }
        Ok(divided)
    }

    fn keep_same_side(&self, divided: &mut PairSides, spec: &SplitSpec, seed: u64) -> Result<(), split::Error> {
        let of_images = split::assign(&self.images, &of_images(spec), seed)?;
        let mut dropped = 0;
        for (pair, side) in self.matching.pairs.iter().zip(&mut divided.sides) {
            if of_images.get(pair.image as usize).copied() != *side {
                dropped += 1;
                *side = None;
            }
        }
        for side in Split::ALL {
            if !divided.sides.contains(&Some(side)) {
                return Err(split::Error::EmptySide {
                    side,
                    left_out: dropped,
                });
            }
        }
        divided.remarks.push(format!(
            "{dropped} of {} pairs are left out, because their song and their picture are on different sides \
             (dataset.group = \"song-and-image\")",
            self.matching.pairs.len()
        ));
        Ok(())
    }

    fn remark_on_shared_images(&self, sides: &[Option<Split>]) -> Option<String> {
        let mut first: Vec<Option<Split>> = vec![None; self.matching.images.len()];
        let mut several = vec![false; self.matching.images.len()];
        for (pair, side) in self.matching.pairs.iter().zip(sides) {
            let image = pair.image as usize;
            if let (Some(first), Some(several), Some(side)) = (first.get_mut(image), several.get_mut(image), side) {
                *several |= first.get_or_insert(*side) != side;
            }
        }
        let count = several.iter().filter(|several| **several).count();
        (count > 0).then(|| {
            format!(
                "{count} of {} pictures are on more than one side of the split: songs are divided, pictures are not",
                self.matching.images.len()
            )
        })
    }
}

/// Pictures have no groups to be left out one by one: where songs are, a random share of the pictures tests.
fn of_images(spec: &SplitSpec) -> SplitSpec {
    match *spec {
        SplitSpec::LeaveOneGroupOut { validation, seed, .. } => SplitSpec::Random {
            fractions: [1.0 - 0.2 - 0.8 * validation, 0.8 * validation, 0.2],
            stratify: false,
            seed,
        },
        ref other => other.clone(),
    }
}

impl Leak {
    /// "the files of val and test share 90 songs of 90 and 135, …".
    pub fn remark(&self) -> String {
        let [a, b] = self.splits.map(Split::name);
        let share = |[of_a, of_b, both]: [usize; 3], what: &str| format!("{both} {what} of {of_a} and {of_b}");
        format!(
            "the files of {a} and {b} share {}, {}, {}, {}",
            share(self.songs, "songs"),
            share(self.clips, "clips"),
            share(self.images, "pictures"),
            share(self.pairs, "pairs")
        )
    }
}

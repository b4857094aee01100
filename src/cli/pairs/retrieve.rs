//! Every picture of a split asked for among its clips, every clip among its pictures.

use rayon::prelude::*;

use super::{Prepared, unique};
use crate::cli::failure::Failure;
use crate::evaluate::retrieval::{Answer, Answers};
use crate::evaluate::{Score, answer, retrieval};

/// Scores that are in memory at once.
const AT_ONCE: usize = 1 << 18;

/// The queries and candidates of one split.
pub struct Search<'a> {
    prepared: &'a Prepared,
    /// Numbers in the corpus, sorted.
    images: Vec<usize>,
    clips: Vec<usize>,
    /// For each picture the clips that it was scored with, by their places, and the scores.
    of_images: Vec<Vec<(usize, f32)>>,
    of_clips: Vec<Vec<(usize, f32)>>,
}

impl<'a> Search<'a> {
    /// Of the pairs of a split, by their numbers.
    pub fn new(prepared: &'a Prepared, pairs: &[usize]) -> Self {
        let all = &prepared.corpus.matching.pairs;
        let of_split = || pairs.iter().filter_map(|&pair| all.get(pair));
        let images = unique(of_split().map(|pair| pair.image));
        let clips = unique(of_split().map(|pair| pair.clip));
        let mut of_images: Vec<Vec<(usize, f32)>> = vec![Vec::new(); images.len()];
        let mut of_clips: Vec<Vec<(usize, f32)>> = vec![Vec::new(); clips.len()];
        for pair in of_split() {
            let image = images.binary_search(&(pair.image as usize));
            let clip = clips.binary_search(&(pair.clip as usize));
            if let (Ok(image), Ok(clip)) = (image, clip) {
                let (of_image, of_clip) = (&mut of_images[image], &mut of_clips[clip]);
                // Two of the official files may name one pair; the first counts.
                if !of_image.iter().any(|(known, _)| *known == clip) {
                    of_image.push((clip, pair.score));
                    of_clip.push((image, pair.score));
                }
            }
        }
        Self {
            prepared,
            images,
            clips,
            of_images,
            of_clips,
        }
    }

    /// "90 pictures among 45 clips and the other way round".
    pub fn describe(&self) -> String {
        format!(
            "each of {} pictures is asked for among {} clips, and each clip among the pictures",
            self.images.len(),
            self.clips.len()
        )
    }

    /// The figures of what `score` says of pairs of a picture and a clip, by their numbers in the corpus. `told` hears how many queries
    /// are done, of all.
    pub fn figures(
        &self,
        relevant: f64,
        seed: u64,
        resamples: usize,
        mut score: impl FnMut(&[(usize, usize)]) -> Result<Vec<f32>, Failure>,
        told: impl Fn(usize, usize),
    ) -> Result<Vec<Score>, Failure> {
        let total = self.images.len() + self.clips.len();
        let mut done = 0;
        let mut answers = |queries: &[usize], candidates: &[usize], known: &[Vec<(usize, f32)>], images_ask: bool| {
            let mut answers: Vec<Answer> = Vec::with_capacity(queries.len());
            let block = (AT_ONCE / candidates.len().max(1)).max(1);
            for (queries, known) in queries.chunks(block).zip(known.chunks(block)) {
                let pairs: Vec<(usize, usize)> = queries
                    .iter()
                    .flat_map(|&query| {
                        candidates.iter().map(move |&candidate| match images_ask {
                            true => (query, candidate),
                            false => (candidate, query),
                        })
                    })
                    .collect();
                let scores = score(&pairs)?;
                let of_block = scores
                    .par_chunks(candidates.len().max(1))
                    .zip(known)
                    .map(|(scores, known)| answer(scores, known, relevant));
                answers.extend(of_block.collect::<Result<Vec<Answer>, _>>()?);
                done += queries.len();
                told(done, total);
            }
            Ok::<_, Failure>(answers)
        };
        let of_images = answers(&self.images, &self.clips, &self.of_images, true)?;
        let of_clips = answers(&self.clips, &self.images, &self.of_clips, false)?;
        let corpus = &self.prepared.corpus;
        let group = |examples: &[crate::dataset::Example], numbers: &[usize]| -> Vec<String> {
            numbers
                .iter()
                .map(|&number| {
                    examples
                        .get(number)
                        .map_or_else(String::new, |example| example.group.clone())
                })
                .collect()
        };
        let image_to_music = Answers {
            answers: of_images,
            groups: group(&corpus.images.examples, &self.images),
        };
        let music_to_image = Answers {
            answers: of_clips,
            groups: group(&corpus.clips.examples, &self.clips),
        };
        Ok(retrieval(&image_to_music, &music_to_image, seed, resamples)?)
    }
}

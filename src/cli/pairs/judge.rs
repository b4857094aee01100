//! How good a trained network of pairs is: its scores, what it finds, and the valence and arousal that it has learned beside.

use super::retrieve::Search;
use super::work::PairWork;
use super::{SCORE, unique};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::Stage;
use crate::cli::recording::result_rows;
use crate::dataset::Split;
use crate::evaluate::{EMOTION_METRICS, Problem, REGRESSION_METRICS, Score, Truth, score_with_intervals};
use crate::features::FeatureSet;
use crate::nn::Side;
use crate::track::{Outcome, PredictionRow, Predictions, ResultRow};
use crate::train::pairs::{Embedded, embed, scores};

/// More training pairs than this are not listed in predictions.csv.
const MOST_TRAINING_ROWS: usize = 200_000;

/// What a network makes of all pictures and clips that are in a pair of some side.
pub struct Embeddings {
    images: Of,
    clips: Of,
}

/// Of one side of the pairs.
struct Of {
    /// Numbers in the corpus, sorted.
    numbers: Vec<usize>,
    embedded: Embedded,
}

impl Of {
    fn place(&self, number: usize) -> usize {
        self.numbers.binary_search(&number).unwrap_or_default()
    }

    /// Valence and arousal, where they were learned.
    fn emotion(&self, number: usize) -> [f32; 2] {
        let place = self.place(number);
        let values = self.embedded.emotions.as_deref().unwrap_or_default();
        [0, 1].map(|part| values.get(2 * place + part).copied().unwrap_or(f32::NAN))
    }
}

impl PairWork<'_> {
    /// Each picture and each clip goes through its branch once, however many pairs it is in.
    fn embeddings(&self, stage: &Stage) -> Result<Embeddings, Failure> {
        let used = || {
            Split::ALL
                .iter()
                .flat_map(|&split| self.sides.get(split))
                .filter_map(|&pair| self.list.get(pair))
        };
        let images = unique(used().map(|pair| pair.image));
        let clips = unique(used().map(|pair| pair.clip));
        let total = images.len() + clips.len();
        let batch_size = self.frame.experiment.train.batch_size;
        let mut done = 0;
        let mut of = |side: Side, features: &FeatureSet, numbers: Vec<usize>| -> Result<Of, Failure> {
            let embedded = embed(self.network, side, features, &numbers, batch_size, |count| {
                done += count;
                stage.count("pictures and clips embedded", done, total);
            })?;
            Ok(Of { numbers, embedded })
        };
        Ok(Embeddings {
            images: of(Side::Image, &self.features.images, images)?,
            clips: of(Side::Audio, &self.features.clips, clips)?,
        })
    }

    /// What the network says of pairs, by the numbers of picture and clip.
    fn scored(&self, embeddings: &Embeddings, pairs: &[(usize, usize)]) -> Result<Vec<f32>, Failure> {
        let places = pairs
            .iter()
            .map(|&(image, clip)| (embeddings.images.place(image), embeddings.clips.place(clip)));
        Ok(scores(
            self.network,
            &embeddings.images.embedded,
            &embeddings.clips.embedded,
            places,
        )?)
    }

    /// Judges every split with the parameters that training left: the best, unless the last are asked for.
    pub(super) fn test(&self, remarks: &mut Vec<String>) -> Result<(Vec<ResultRow>, Predictions), Failure> {
        let stage = Stage::start("test");
        let evaluate = &self.frame.experiment.evaluate;
        let seed = self.frame.experiment.experiment.seed;
        let embeddings = self.embeddings(&stage)?;
        let mut results = Vec::new();
        let mut rows = Vec::new();
        for split in Split::ALL {
            let pairs = self.sides.get(split);
            let numbers: Vec<(usize, usize)> = pairs
                .iter()
                .filter_map(|&pair| self.list.get(pair))
                .map(|pair| (pair.image as usize, pair.clip as usize))
                .collect();
            let predicted = self.scored(&embeddings, &numbers)?;
            let truth = self.truth(split);
            let scored = score_with_intervals(
                &self.prepared.problem,
                Truth::Values(&truth),
                &predicted,
                &self.songs(split),
                seed,
                evaluate.bootstrap,
            )?;
            results.extend(result_rows(split.name(), &of_the_score(scored)));
            results.extend(result_rows(split.name(), &self.emotion_scores(split, &embeddings)?));
            if split != Split::Train {
                let search = Search::new(self.prepared, pairs);
                let found = search.figures(
                    evaluate.relevant_score,
                    seed,
                    evaluate.bootstrap,
                    |pairs| self.scored(&embeddings, pairs),
                    |done, total| stage.count("queries", done, total),
                )?;
                results.extend(result_rows(split.name(), &found));
                if split == Split::Test {
                    remarks.push(format!(
                        "Retrieval on the test split: {}; relevant are pairs with a true score of {} or more, and pairs without a score \
                         are not",
                        search.describe(),
                        evaluate.relevant_score
                    ));
                }
            }
            if split == Split::Train && pairs.len() > MOST_TRAINING_ROWS {
                remarks.push(format!(
                    "predictions.csv has the pairs of val and test only: {} training pairs are too many to list",
                    pairs.len()
                ));
                continue;
            }
            rows.extend(self.prediction_rows(split, &truth, &predicted));
        }
        let predictions = Predictions {
            kind: Outcome::Regression {
                targets: vec![SCORE.into()],
            },
            rows,
        };
        predictions.write(&self.frame.dir.file("predictions.csv"))?;
        stage.finish(&output::count(predictions.rows.len(), "prediction"));
        Ok((results, predictions))
    }

    /// The true scores of a split.
    pub(super) fn truth(&self, split: Split) -> Vec<f32> {
        let pairs = &self.prepared.corpus.matching.pairs;
        let of_split = self.sides.get(split).iter().filter_map(|&pair| pairs.get(pair));
        of_split.map(|pair| pair.score).collect()
    }

    /// The songs of the pairs of a split: what is resampled.
    fn songs(&self, split: Split) -> Vec<String> {
        let corpus = &self.prepared.corpus;
        let of_split = self
            .sides
            .get(split)
            .iter()
            .filter_map(|&pair| corpus.matching.pairs.get(pair));
        of_split.map(|pair| corpus.song(pair).to_owned()).collect()
    }

    /// `truth` and `predicted` of the pairs of a split.
    pub(super) fn prediction_rows(&self, split: Split, truth: &[f32], predicted: &[f32]) -> Vec<PredictionRow> {
        let corpus = &self.prepared.corpus;
        let pairs = self
            .sides
            .get(split)
            .iter()
            .filter_map(|&pair| corpus.matching.pairs.get(pair));
        pairs
            .zip(truth.iter().zip(predicted))
            .map(|(pair, (&truth, &predicted))| PredictionRow {
                split: split.name().into(),
                id: corpus.id(pair),
                group: corpus.song(pair).to_owned(),
                truth: vec![truth],
                predicted: vec![predicted],
            })
            .collect()
    }

    /// Valence and arousal of the pictures and clips of a split, where they are known and were learned.
    fn emotion_scores(&self, split: Split, embeddings: &Embeddings) -> Result<Vec<Score>, Failure> {
        let used = || self.sides.get(split).iter().filter_map(|&pair| self.list.get(pair));
        let (images_known, clips_known) = (&embeddings.images, &embeddings.clips);
        if images_known.embedded.emotions.is_none() || clips_known.embedded.emotions.is_none() {
            return Ok(Vec::new());
        }
        let images = unique(used().map(|pair| pair.image));
        let clips = unique(used().map(|pair| pair.clip));
        self.emotion_figures(
            self.with_values(&images, Side::Image, |number| images_known.emotion(number)),
            self.with_values(&clips, Side::Audio, |number| clips_known.emotion(number)),
        )
    }

    /// The known ones of some pictures or clips: group, truth and prediction.
    pub(super) fn with_values(
        &self,
        numbers: &[usize],
        side: Side,
        predicted: impl Fn(usize) -> [f32; 2],
    ) -> Vec<(String, [f32; 2], [f32; 2])> {
        let (known, examples) = match side {
            Side::Image => (&self.emotions.images, &self.prepared.corpus.images.examples),
            Side::Audio => (&self.emotions.clips, &self.prepared.corpus.clips.examples),
        };
        numbers
            .iter()
            .filter_map(|&number| {
                let truth = [*known.get(2 * number)?, *known.get(2 * number + 1)?];
                let group = examples.get(number)?.group.clone();
                truth
                    .iter()
                    .all(|value| value.is_finite())
                    .then(|| (group, truth, predicted(number)))
            })
            .collect()
    }

    /// Figures of valence and arousal, per side and coordinate, and their average (target "").
    pub(super) fn emotion_figures(
        &self,
        images: Vec<(String, [f32; 2], [f32; 2])>,
        clips: Vec<(String, [f32; 2], [f32; 2])>,
    ) -> Result<Vec<Score>, Failure> {
        let seed = self.frame.experiment.experiment.seed;
        let resamples = self.frame.experiment.evaluate.bootstrap;
        let mut all: Vec<Score> = Vec::new();
        for (what, rows) in [("image", images), ("music", clips)] {
            if rows.is_empty() {
                continue;
            }
            let problem = Problem::Regression {
                targets: vec![format!("{what}-valence"), format!("{what}-arousal")],
            };
            let truth: Vec<f32> = rows.iter().flat_map(|row| row.1).collect();
            let predicted: Vec<f32> = rows.iter().flat_map(|row| row.2).collect();
            let groups: Vec<String> = rows.into_iter().map(|row| row.0).collect();
            let scored = score_with_intervals(&problem, Truth::Values(&truth), &predicted, &groups, seed, resamples)?;
            all.extend(scored.into_iter().filter(|score| !score.target.is_empty()));
        }
        let mut named = Vec::new();
        for (name, plain) in EMOTION_METRICS.into_iter().zip(REGRESSION_METRICS) {
            let of_metric: Vec<Score> = all.iter().filter(|score| score.name == plain).cloned().collect();
            if of_metric.is_empty() {
                continue;
            }
            let mean = of_metric.iter().map(|score| score.value).sum::<f64>() / of_metric.len() as f64;
            named.push(Score {
                name,
                target: String::new(),
                value: mean,
                ci: None,
                undefined_resamples: 0,
            });
            named.extend(of_metric.into_iter().map(|score| Score { name, ..score }));
        }
        Ok(named)
    }
}

/// There is one target, so its average would only say the same again.
pub(super) fn of_the_score(scores: Vec<Score>) -> Vec<Score> {
    scores.into_iter().filter(|score| score.target.is_empty()).collect()
}

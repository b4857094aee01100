//! What simple means reach on the same pairs, before training.

use super::judge::of_the_score;
use super::retrieve::Search;
use super::work::PairWork;
use super::{SCORE, unique};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::Stage;
use crate::cli::recording::baseline_rows;
use crate::dataset::Split;
use crate::evaluate::{Baseline, Examples, Problem, Truth, fit_and_predict, pool, score};
use crate::features::FeatureSet;
use crate::files;
use crate::nn::Side;
use crate::report::baseline_predictions;
use crate::track::{BaselineRow, Outcome, Predictions};

/// Splits that baselines are judged on.
const JUDGED: [Split; 2] = [Split::Val, Split::Test];
/// Bands of rows that a picture is pooled in, as many of these as divide its rows.
const BANDS: [usize; 4] = [8, 4, 2, 1];

impl PairWork<'_> {
    /// With figures of the validation and test splits.
    pub(super) fn baselines(&self) -> Result<(Vec<BaselineRow>, Vec<String>), Failure> {
        let wanted = match &self.frame.experiment.evaluate.baselines {
            Some(baselines) => baselines.clone(),
            None => Baseline::OF_PAIRS.to_vec(),
        };
        let stage = Stage::start("baselines");
        let (mut rows, mut remarks, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for baseline in wanted {
            let of_baseline = match baseline {
                Baseline::Mean => self.mean()?,
                Baseline::Chance => self.chance()?,
                Baseline::VaDistance => match self.va_distance(&stage)? {
                    Ok((of_baseline, remark)) => {
                        remarks.push(format!("Baseline va-distance: {remark}"));
                        of_baseline
                    }
                    Err(why) => {
                        remarks.push(format!("Baseline va-distance is left out: {why}"));
                        continue;
                    }
                },
                _ => continue,
            };
            names.push(baseline.name());
            rows.extend(of_baseline);
        }
        stage.finish(&names.join(", "));
        for remark in &remarks {
            output::item("", remark.trim_start_matches("Baseline "));
        }
        Ok((rows, remarks))
    }

    /// The mean score of the training pairs, for every pair.
    fn mean(&self) -> Result<Vec<BaselineRow>, Failure> {
        let train = self.truth(Split::Train);
        let mean = train.iter().map(|&score| f64::from(score)).sum::<f64>() / train.len().max(1) as f64;
        let of_split = |split| vec![mean as f32; self.sides.get(split).len()];
        self.judged(Baseline::Mean, JUDGED.map(of_split))
    }

    /// What a random order finds, on average.
    fn chance(&self) -> Result<Vec<BaselineRow>, Failure> {
        let mut rows = Vec::new();
        for split in JUDGED {
            let found = Search::new(self.prepared, self.sides.get(split)).figures(
                self.frame.experiment.evaluate.relevant_score,
                self.frame.experiment.experiment.seed,
                0,
                |pairs| Ok(vec![0.0; pairs.len()]),
                |_, _| {},
            )?;
            rows.extend(baseline_rows(split.name(), Baseline::Chance.name(), &found));
        }
        Ok(rows)
    }

    /// The figures of predictions for the pairs of the judged splits, which are kept in a file too.
    fn judged(&self, baseline: Baseline, predicted: [Vec<f32>; 2]) -> Result<Vec<BaselineRow>, Failure> {
        let mut rows = Vec::new();
        let mut kept = Vec::new();
        for (split, predicted) in JUDGED.into_iter().zip(&predicted) {
            let truth = self.truth(split);
            let scores = of_the_score(score(&self.prepared.problem, Truth::Values(&truth), predicted)?);
            rows.extend(baseline_rows(split.name(), baseline.name(), &scores));
            kept.extend(self.prediction_rows(split, &truth, predicted));
        }
        let name = baseline_predictions(baseline.name());
        let path = self.frame.dir.file(&name.display().to_string());
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let kind = Outcome::Regression {
            targets: vec![SCORE.into()],
        };
        Predictions { kind, rows: kept }.write(&path)?;
        Ok(rows)
    }

    /// Rows and a remark; why there are none otherwise.
    fn va_distance(&self, stage: &Stage) -> Result<Result<(Vec<BaselineRow>, String), String>, Failure> {
        let images = match self.ridge(Side::Image, stage)? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let clips = match self.ridge(Side::Audio, stage)? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let distance = |image: usize, clip: usize| {
            let (image, clip) = (images.at(image), clips.at(clip));
            f64::hypot(f64::from(image[0] - clip[0]), f64::from(image[1] - clip[1]))
        };
        let of_split = |split: Split| -> Vec<f64> {
            let pairs = self.sides.get(split).iter().filter_map(|&pair| self.list.get(pair));
            pairs
                .map(|pair| distance(pair.image as usize, pair.clip as usize))
                .collect()
        };
        let line = Line::fit(&of_split(Split::Train), &self.truth(Split::Train));
        let predicted = JUDGED.map(|split| of_split(split).into_iter().map(|it| line.at(it) as f32).collect());
        let mut rows = self.judged(Baseline::VaDistance, predicted)?;
        let evaluate = &self.frame.experiment.evaluate;
        for split in JUDGED {
            let found = Search::new(self.prepared, self.sides.get(split)).figures(
                evaluate.relevant_score,
                self.frame.experiment.experiment.seed,
                0,
                |pairs| {
                    let scores = pairs.iter().map(|&(image, clip)| line.at(distance(image, clip)) as f32);
                    Ok(scores.collect())
                },
                |_, _| {},
            )?;
            rows.extend(baseline_rows(split.name(), Baseline::VaDistance.name(), &found));
            if self.frame.experiment.model.emotion.is_some() {
                let used = || self.sides.get(split).iter().filter_map(|&pair| self.list.get(pair));
                let figures = self.emotion_figures(
                    self.with_values(&unique(used().map(|pair| pair.image)), Side::Image, |number| {
                        images.at(number)
                    }),
                    self.with_values(&unique(used().map(|pair| pair.clip)), Side::Audio, |number| {
                        clips.at(number)
                    }),
                )?;
                rows.extend(baseline_rows(split.name(), Baseline::VaDistance.name(), &figures));
            }
        }
        Ok(Ok((
            rows,
            format!(
                "the score is {} − {} · distance; pictures: {}; clips: {}",
                output::figure(line.offset),
                output::figure(-line.slope),
                images.remark,
                clips.remark
            ),
        )))
    }

    /// Valence and arousal of all pictures or clips by ridge regression on their pooled features.
    fn ridge(&self, side: Side, stage: &Stage) -> Result<Result<Predicted, String>, Failure> {
        let (features, known, what) = match side {
            Side::Image => (&self.features.images, &self.emotions.images, "pictures"),
            Side::Audio => (&self.features.clips, &self.emotions.clips, "clips"),
        };
        let of_split = |split: Split| {
            let pairs = self.sides.get(split).iter().filter_map(|&pair| self.list.get(pair));
            unique(pairs.map(|pair| match side {
                Side::Image => pair.image,
                Side::Audio => pair.clip,
            }))
        };
        let value = |number: usize| [0, 1].map(|part| known.get(2 * number + part).copied().unwrap_or(f32::NAN));
        let is_known = |number: &usize| value(*number).iter().all(|value| value.is_finite());
        let train: Vec<usize> = of_split(Split::Train).into_iter().filter(is_known).collect();
        let val: Vec<usize> = of_split(Split::Val).into_iter().filter(is_known).collect();
        if train.len() < 2 {
            return Ok(Err(format!(
                "valence and arousal of the training split's {what} are not known (dataset.image_va, dataset.music_va)"
            )));
        }
        let all = unique(Split::ALL.into_iter().flat_map(of_split).map(|number| number as u32));
        let mut pooled = Vec::with_capacity(all.len());
        let mut array = vec![0.0; features.array_len()];
        let shape = pooled_shape(features);
        for (done, &number) in all.iter().enumerate() {
            features.read(number, &mut array)?;
            pooled.push(pool(&array, &shape)?);
            stage.count(what, done + 1, all.len());
        }
        let of = |numbers: &[usize]| -> Vec<Vec<f64>> {
            let at = |number: &usize| Some(pooled.get(all.binary_search(number).ok()?)?.clone());
            numbers.iter().filter_map(at).collect()
        };
        let truth = |numbers: &[usize]| -> Vec<f32> { numbers.iter().flat_map(|&number| value(number)).collect() };
        let problem = Problem::Regression {
            targets: vec!["valence".into(), "arousal".into()],
        };
        let (train_truth, val_truth) = (truth(&train), truth(&val));
        let output = fit_and_predict(
            Baseline::Ridge,
            &problem,
            Examples {
                features: &of(&train),
                truth: Truth::Values(&train_truth),
            },
            Examples {
                features: &of(&val),
                truth: Truth::Values(&val_truth),
            },
            &pooled,
            self.frame.experiment.experiment.seed,
        )?;
        Ok(Ok(Predicted {
            numbers: all,
            values: output.test,
            remark: output.remark,
        }))
    }
}

/// `[channels, bands, the rest]`.
fn pooled_shape(features: &FeatureSet) -> [usize; 3] {
    let [channels, rows, columns] = features.shape();
    match channels {
        // Of a picture every row would be too much.
        3 => {
            let bands = BANDS.into_iter().find(|bands| rows.is_multiple_of(*bands)).unwrap_or(1);
            [channels, bands, rows / bands * columns]
        }
        _ => [channels, rows, columns],
    }
}

/// Valence and arousal of some pictures or clips.
struct Predicted {
    /// Sorted.
    numbers: Vec<usize>,
    values: Vec<f32>,
    remark: String,
}

impl Predicted {
    fn at(&self, number: usize) -> [f32; 2] {
        let place = self.numbers.binary_search(&number).unwrap_or_default();
        [0, 1].map(|part| self.values.get(2 * place + part).copied().unwrap_or_default())
    }
}

/// offset + slope · x.
struct Line {
    offset: f64,
    slope: f64,
}

impl Line {
    /// By least squares; level where all x are the same.
    fn fit(x: &[f64], y: &[f32]) -> Self {
        let count = x.len().max(1) as f64;
        let mean_x = x.iter().sum::<f64>() / count;
        let mean_y = y.iter().map(|&y| f64::from(y)).sum::<f64>() / count;
        let spread: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
        let together: f64 = x
            .iter()
            .zip(y)
            .map(|(x, &y)| (x - mean_x) * (f64::from(y) - mean_y))
            .sum();
        let slope = if spread > 0.0 { together / spread } else { 0.0 };
        Self {
            offset: mean_y - slope * mean_x,
            slope,
        }
    }

    fn at(&self, x: f64) -> f64 {
        self.offset + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_points() {
        let line = Line::fit(&[0.0, 1.0, 3.0], &[0.5, 0.25, -0.25]);
        assert!((line.at(2.0)).abs() < 1e-6, "{}", line.at(2.0));
        assert_eq!(Line::fit(&[1.0, 1.0], &[0.0, 1.0]).at(7.0), 0.5);
        assert_eq!(Line::fit(&[], &[]).at(7.0), 0.0);
    }
}

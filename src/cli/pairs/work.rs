//! A run on pairs that has begun: baselines, training, test, report.

use super::{PairFeatures, Prepared};
use crate::cli::failure::Failure;
use crate::cli::media;
use crate::cli::output;
use crate::cli::pipeline::Sides;
use crate::cli::profile::Parts;
use crate::cli::recording;
use crate::cli::work::{Done, Frame};
use crate::dataset::Split;
use crate::evaluate::{Baseline, FEW_GROUPS, higher_is_better};
use crate::nn::Network;
use crate::random::Generator;
use crate::train::{Data, Emotions, PairOf, Pairs};

/// A run that has begun.
pub struct PairWork<'a> {
    pub frame: Frame<'a>,
    pub prepared: &'a Prepared,
    pub features: &'a PairFeatures,
    /// Numbers of pairs.
    pub sides: &'a Sides,
    pub network: &'a Network,
    pub list: &'a [PairOf],
    pub emotions: &'a Emotions,
}

impl PairWork<'_> {
    fn data(&self) -> Data<'_> {
        let matching = &self.prepared.corpus.matching;
        let emotion = self.frame.experiment.model.emotion.as_ref();
        Data {
            features: &self.features.clips,
            problem: &self.prepared.problem,
            labels: &self.prepared.labels,
            ids: &[],
            agreement: None,
            pairs: Some(Pairs {
                images: &self.features.images,
                list: self.list,
                emotions: emotion.map(|emotion| (self.emotions, emotion.weight)),
                names: [&matching.images, &matching.clips],
            }),
        }
    }

    pub fn carry_out(&self) -> Result<Done, Failure> {
        let mut remarks = self.remarks();
        let sizes: Vec<(&str, usize)> = Split::ALL
            .iter()
            .map(|&split| (split.name(), self.sides.get(split).len()))
            .collect();
        let faults = || self.features.images.faults.iter().chain(&self.features.clips.faults);
        let faults: Vec<String> = faults().map(ToString::to_string).collect();
        let damaged: Vec<String> = self.features.clips.damaged.iter().map(ToString::to_string).collect();
        self.frame.recorder.event(
            "data",
            serde_json::json!({ "splits": sizes, "faults": faults, "damaged": damaged, "remarks": remarks,
                "feature_shape": { "image": self.prepared.image_shape, "audio": self.prepared.audio_shape } }),
        );
        let mut parts = Parts::since(self.frame.started);
        let (baselines, baseline_remarks) = self.baselines()?;
        parts.add("baselines", None);
        if recording::interrupted() {
            return Err(Failure::Interrupted {
                message: "interrupted before training began".into(),
            });
        }
        remarks.extend(baseline_remarks);
        // The contrastive loss depends on what is in a batch: in the order of the files, a batch of one clip's pairs says nothing.
        let mut val = self.sides.val.clone();
        Generator::keyed(self.frame.experiment.experiment.seed, "validation order", &[]).shuffle(&mut val);
        let (fitted, metrics) = self.frame.train(self.network, self.data(), &self.sides.train, &val)?;
        parts.add("training", Some(&fitted.profile));
        parts.remark(fitted.launches.clone());
        let status = self.frame.ended(&fitted, &mut remarks)?;
        let (results, predictions) = self.test(&mut remarks)?;
        parts.add("test", None);
        self.frame.recorder.results(results.clone(), baselines.clone());
        let done = Done {
            status,
            fitted,
            metrics,
            results,
            baselines,
        };
        let warnings = self.tell_if_no_better_than_nothing(&done);
        for warning in warnings.into_iter().chain(self.tell_if_groups_are_few()) {
            output::warning(&warning);
            remarks.push(warning);
        }
        self.write_media()?;
        self.frame.report(&done, predictions, remarks)?;
        parts.add("report", None);
        if self.frame.profile {
            parts.tell(self.frame.dir, self.frame.recorder);
        }
        Ok(done)
    }

    /// Where the picture and the clip of each pair of val and test are.
    fn write_media(&self) -> Result<(), Failure> {
        let corpus = &self.prepared.corpus;
        let pairs = [Split::Val, Split::Test]
            .into_iter()
            .flat_map(|split| self.sides.get(split));
        let parts = pairs
            .filter_map(|&pair| corpus.matching.pairs.get(pair))
            .flat_map(|pair| {
                let image = corpus.images.examples.get(pair.image as usize);
                let clip = corpus.clips.examples.get(pair.clip as usize);
                let both = image.into_iter().chain(clip);
                both.map(|example| (corpus.id(pair), &example.media))
            });
        media::write_all(self.frame.dir, parts)
    }

    /// What a reader of the results must know of the data.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.prepared.remarks.clone();
        let sided = self.prepared.splits.iter().flatten().count();
        let used: usize = Split::ALL.iter().map(|&split| self.sides.get(split).len()).sum();
        if used < sided {
            let how = serde_json::to_value(self.prepared.corpus.on_error()).unwrap_or_default();
            remarks.push(format!(
                "{} of {sided} pairs left out, because their picture or clip cannot be used (on_error = {how})",
                sided - used
            ));
        }
        if !self.features.clips.damaged.is_empty() {
            let files = output::count(self.features.clips.damaged.len(), "file");
            remarks.push(format!(
                "{files} damaged in part, used as far as the sound can be decoded"
            ));
        }
        remarks
    }

    /// Where a model that looks at nothing does as well on the test split, that must be said.
    fn tell_if_no_better_than_nothing(&self, done: &Done) -> Vec<String> {
        let of = |(metric, floor): (&str, Baseline)| {
            let result = done
                .results
                .iter()
                .find(|row| row.split == Split::Test.name() && row.name == metric && row.target.is_empty())?;
            let baseline = done.baselines.iter().find(|row| {
                row.split == Split::Test.name()
                    && row.baseline == floor.name()
                    && row.name == metric
                    && row.target.is_empty()
            })?;
            let is_better = match higher_is_better(metric) {
                true => result.value > baseline.value,
                false => result.value < baseline.value,
            };
            (!is_better).then(|| {
                format!(
                    "the model is no better than the baseline {} on the test split: {metric} {} against {}",
                    floor.name(),
                    output::figure(result.value),
                    output::figure(baseline.value)
                )
            })
        };
        let floors = [("rmse", Baseline::Mean), ("recall@10", Baseline::Chance)];
        floors.into_iter().filter_map(of).collect()
    }

    /// Intervals resample songs, and a handful of them says little.
    fn tell_if_groups_are_few(&self) -> Option<String> {
        let corpus = &self.prepared.corpus;
        let test = self
            .sides
            .test
            .iter()
            .filter_map(|&pair| corpus.matching.pairs.get(pair));
        let songs: std::collections::BTreeSet<&str> = test.map(|pair| corpus.song(pair)).collect();
        let few = songs.len() < FEW_GROUPS && self.frame.experiment.evaluate.bootstrap > 0;
        few.then(|| {
            format!(
                "the test split has {}: confidence intervals over so few say little",
                output::count(songs.len(), "song")
            )
        })
    }
}

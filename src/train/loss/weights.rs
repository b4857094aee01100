//! How much classes, targets and examples count.

use super::super::Error;
use super::super::batches::Labels;
use super::super::spec::loss::{CrossEntropySpec, NamedClassWeights};
use super::super::spec::{ClassWeights, Weighting};

/// What a corpus says about the agreement of its annotators, for every example of the manifest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Agreement<'a> {
    /// Standard deviations of the annotators, `[examples, targets]`, in the units of the targets; NaN where unknown.
    Deviations(&'a [f32]),
    /// A share or weight for each example, `[examples]`, at least 0; NaN where unknown.
    Weights(&'a [f32]),
}

/// How much each example counts, for every example of the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleWeights {
    /// `[examples, width]`.
    values: Vec<f32>,
    /// Targets, or 1 for classes.
    width: usize,
}

impl ExampleWeights {
    /// `None` where all count alike. `width`: targets, or 1 for classes. Weights have mean 1 over `train`, target by target;
    /// examples of which nothing is known count 1.
    ///
    /// # Errors
    /// Weighting by agreement where the corpus says nothing about it.
    pub fn new(
        weighting: Weighting,
        agreement: Option<Agreement>,
        width: usize,
        train: &[usize],
    ) -> Result<Option<Self>, Error> {
        if weighting == Weighting::None {
            return Ok(None);
        }
        let mut values: Vec<f32> = match agreement {
            None => return Err(Error::NoAgreement),
            Some(Agreement::Weights(weights)) => weights
                .iter()
                .flat_map(|&weight| std::iter::repeat_n(weight, width))
                .collect(),
            Some(Agreement::Deviations(deviations)) => deviations.to_vec(),
        };
        for target in 0..width {
            let of_train: Vec<f64> = train
                .iter()
                .filter_map(|&example| values.get(example * width + target))
                .map(|&value| f64::from(value))
                .filter(|value| value.is_finite())
                .collect();
            let median = median(of_train.clone());
            let weigh = |value: f64| match agreement {
                // Where all annotators agree on most examples, nothing is left to weigh by.
                Some(Agreement::Deviations(_)) if median > 0.0 => 1.0 / (value * value + median * median),
                Some(Agreement::Deviations(_)) => 1.0,
                _ => value.max(0.0),
            };
            let mean = of_train.iter().map(|&value| weigh(value)).sum::<f64>() / of_train.len().max(1) as f64;
            for value in values.iter_mut().skip(target).step_by(width.max(1)) {
                *value = match value.is_finite() && mean > 0.0 {
                    true => (weigh(f64::from(*value)) / mean) as f32,
                    false => 1.0,
                };
            }
        }
        Ok(Some(Self { values, width }))
    }

    /// Of some examples, in their order.
    pub fn select(&self, examples: &[usize]) -> Vec<f32> {
        examples
            .iter()
            .flat_map(|&example| self.values.iter().skip(example * self.width).take(self.width).copied())
            .collect()
    }

    pub fn width(&self) -> usize {
        self.width
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half), values.len() % 2) {
        (None, _) => 0.0,
        (Some(&middle), 1) => middle,
        (Some(&upper), _) => (values.get(half.saturating_sub(1)).copied().unwrap_or(upper) + upper) / 2.0,
    }
}

/// Scaled to a mean of 1.
pub fn of_targets(given: Option<&[f64]>, targets: usize) -> Result<Vec<f32>, Error> {
    let Some(given) = given else {
        return Ok(vec![1.0; targets]);
    };
    let sum: f64 = given.iter().sum();
    if given.len() != targets || sum <= 0.0 || !sum.is_finite() {
        return Err(Error::TargetWeights {
            found: given.len(),
            targets,
        });
    }
    Ok(given
        .iter()
        .map(|weight| (weight * targets as f64 / sum) as f32)
        .collect())
}

/// One weight per class.
pub fn of_classes(
    spec: &CrossEntropySpec,
    classes: &[String],
    labels: &Labels,
    train: &[usize],
) -> Result<Vec<f32>, Error> {
    let mut weights = match &spec.class_weights {
        ClassWeights::Named(NamedClassWeights::None) => vec![1.0; classes.len()],
        ClassWeights::Named(NamedClassWeights::Balanced) => balanced(classes.len(), labels, train),
        ClassWeights::Given(given) => {
            let mut weights = vec![1.0; classes.len()];
            for (class, &weight) in given {
                let slot = classes.iter().position(|name| name == class);
                match slot.and_then(|slot| weights.get_mut(slot)) {
                    Some(slot) if weight >= 0.0 && weight.is_finite() => *slot = weight as f32,
                    _ => {
                        return Err(Error::ClassWeight {
                            class: class.clone(),
                            weight,
                            classes: classes.join(", "),
                        });
                    }
                }
            }
            weights
        }
    };
    if let Some(cap) = spec.class_weight_cap {
        for weight in &mut weights {
            *weight = weight.min(cap as f32);
        }
    }
    Ok(weights)
}

/// n / (classes · n of the class); classes that the training split lacks get weight 0.
pub fn balanced(classes: usize, labels: &Labels, train: &[usize]) -> Vec<f32> {
    let Labels::Classes(labels) = labels else {
        return vec![1.0; classes];
    };
    let mut counts = vec![0usize; classes];
    for &example in train {
        if let Some(count) = labels.get(example).and_then(|&class| counts.get_mut(class as usize)) {
            *count += 1;
        }
    }
    let weight = |count: usize| match count {
        0 => 0.0,
        _ => train.len() as f32 / (classes as f32 * count as f32),
    };
    counts.into_iter().map(weight).collect()
}

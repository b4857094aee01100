//! Splits: no group on two sides, shares as asked for, independence of the order of examples, and every way to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use affect::dataset::split::{self, Error, assign};
use affect::dataset::{Example, Manifest, Media, Source, Split, SplitSpec, Target, Task, Window};
use proptest::prelude::*;

/// One example per (group, class); ids are numbers.
fn manifest(examples: &[(usize, u32)]) -> Manifest {
    Manifest {
        root: "corpus".into(),
        task: Task::Classification {
            label: "emotion".into(),
            classes: ["anger", "joy", "fear"].map(Into::into).into(),
        },
        examples: (examples.iter().enumerate())
            .map(|(number, &(group, class))| Example {
                id: format!("{number:05}"),
                group: format!("g{group:05}"),
                media: Media::Audio {
                    path: format!("corpus/{number}.wav").into(),
                    window: Window::default(),
                },
                target: Target::Class(class),
                deviations: Vec::new(),
                split: None,
                source: Source {
                    file: Path::new("corpus/labels.csv").into(),
                    line: Some(number as u64 + 2),
                },
            })
            .collect(),
        annotation_files: Vec::new(),
        faults: Vec::new(),
        remarks: Vec::new(),
    }
}

fn singletons(count: usize) -> Manifest {
    manifest(&(0..count).map(|group| (group, (group % 3) as u32)).collect::<Vec<_>>())
}

fn random(fractions: [f64; 3], stratify: bool) -> SplitSpec {
    SplitSpec::Random {
        fractions,
        stratify,
        seed: None,
    }
}

fn k_fold(folds: usize, fold: usize) -> SplitSpec {
    SplitSpec::KFold {
        folds,
        fold,
        stratify: false,
        seed: None,
    }
}

fn leave_one_group_out(fold: usize, validation: f64) -> SplitSpec {
    SplitSpec::LeaveOneGroupOut {
        fold,
        validation,
        seed: None,
    }
}

fn counts(sides: &[Split]) -> [usize; 3] {
    Split::ALL.map(|side| sides.iter().filter(|it| **it == side).count())
}

fn no_group_straddles(manifest: &Manifest, sides: &[Split]) -> bool {
    let mut seen: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for (example, side) in manifest.examples.iter().zip(sides) {
        seen.entry(&example.group).or_default().insert(*side);
    }
    seen.values().all(|sides| sides.len() == 1)
}

fn by_id(manifest: &Manifest, sides: Vec<Split>) -> BTreeMap<String, Split> {
    (manifest.examples.iter().map(|example| example.id.clone()).zip(sides)).collect()
}

fn fractions() -> impl Strategy<Value = [f64; 3]> {
    (1u32..100, 1u32..100, 1u32..100).prop_map(|(train, val, test)| {
        let sum = f64::from(train + val + test);
        [f64::from(train) / sum, f64::from(val) / sum, f64::from(test) / sum]
    })
}

/// 3 to 30 groups, each with at least one example, in a jumbled order.
fn grouped() -> impl Strategy<Value = Vec<(usize, u32)>> {
    (3usize..30)
        .prop_flat_map(|groups| {
            let more = prop::collection::vec((0..groups, 0u32..3), 0..120);
            (Just(groups), more)
        })
        .prop_map(|(groups, more)| {
            let first = (0..groups).map(|group| (group, (group % 3) as u32));
            more.into_iter().chain(first).collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_group_is_on_two_sides_and_no_side_is_empty(
        examples in grouped(), fractions in fractions(), seed: u64, stratify: bool, folds in 3usize..6, validation in 0.01..0.99,
    ) {
        let manifest = manifest(&examples);
        let groups = split::folds(&manifest, &leave_one_group_out(0, 0.2));
        let folds = folds.min(groups);
        for spec in [
            random(fractions, stratify),
            SplitSpec::KFold { folds, fold: seed as usize % folds, stratify, seed: None },
            leave_one_group_out(seed as usize % groups, validation),
        ] {
            let sides = assign(&manifest, &spec, seed).unwrap();
            prop_assert_eq!(sides.len(), examples.len());
            prop_assert!(no_group_straddles(&manifest, &sides), "{:?}", spec);
            prop_assert!(counts(&sides).iter().all(|count| *count > 0), "{:?} {:?}", spec, counts(&sides));
        }
    }

    #[test]
    fn the_order_of_examples_does_not_matter(
        (examples, order) in grouped().prop_flat_map(|examples| {
            let order = Just((0..examples.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(examples), order)
        }),
        seed: u64,
        stratify: bool,
    ) {
        let straight = manifest(&examples);
        let mut jumbled = straight.clone();
        jumbled.examples = order.into_iter().map(|at| straight.examples[at].clone()).collect();
        for spec in [random([0.6, 0.2, 0.2], stratify), k_fold(3, 1), leave_one_group_out(1, 0.4)] {
            let expected = by_id(&straight, assign(&straight, &spec, seed).unwrap());
            prop_assert_eq!(by_id(&jumbled, assign(&jumbled, &spec, seed).unwrap()), expected);
        }
    }

    #[test]
    fn with_singletons_the_shares_are_met_to_one_example(count in 3usize..400, fractions in fractions(), seed: u64) {
        let sides = assign(&singletons(count), &random(fractions, false), seed).unwrap();
        for (found, fraction) in counts(&sides).into_iter().zip(fractions) {
            let wanted = fraction * count as f64;
            // A side that would be empty gets one, which others pay for.
            prop_assert!((found as f64 - wanted).abs() <= 2.0 || found == 1, "{} of {} for {}", found, count, fraction);
            if wanted >= 1.0 {
                prop_assert!((found as f64 - wanted).abs() < 2.0, "{} for {}", found, wanted);
            }
        }
    }

    #[test]
    fn each_group_tests_once_and_validates_once_in_k_fold(examples in grouped(), seed: u64) {
        let manifest = manifest(&examples);
        let all: Vec<Vec<Split>> = (0..3).map(|fold| assign(&manifest, &k_fold(3, fold), seed).unwrap()).collect();
        for position in 0..examples.len() {
            for side in Split::ALL {
                prop_assert_eq!(all.iter().filter(|sides| sides[position] == side).count(), 1);
            }
        }
    }
}

#[test]
fn stratified_sides_have_every_class_in_proportion() {
    // 240 of class 0, 60 of class 1, 30 of class 2.
    let examples: Vec<(usize, u32)> = (0..330)
        .map(|it| (it, u32::from(it >= 240) + u32::from(it >= 300)))
        .collect();
    let manifest = manifest(&examples);
    for seed in 0..10 {
        let sides = assign(&manifest, &random([0.8, 0.1, 0.1], true), seed).unwrap();
        for (class, expected) in [(0, [192, 24, 24]), (1, [48, 6, 6]), (2, [24, 3, 3])] {
            let of_class: Vec<Split> = (sides.iter().zip(&examples))
                .filter(|(_, example)| example.1 == class)
                .map(|(side, _)| *side)
                .collect();
            assert_eq!(counts(&of_class), expected, "class {class}, seed {seed}");
        }
    }
}

#[test]
fn stratified_sides_have_every_fifth_of_the_targets_in_proportion() {
    let mut manifest = singletons(200);
    manifest.task = Task::Regression {
        targets: vec!["valence".into()],
    };
    for (number, example) in manifest.examples.iter_mut().enumerate() {
        example.target = Target::Values(vec![((number * 37) % 200) as f32]);
    }
    let sides = assign(&manifest, &random([0.7, 0.15, 0.15], true), 3).unwrap();
    for fifth in 0..5 {
        let inside: Vec<Split> = (sides.iter().zip(&manifest.examples))
            .filter(|(_, example)| match &example.target {
                Target::Values(values) => (values[0] / 40.0) as usize == fifth,
                Target::Class(_) => false,
            })
            .map(|(side, _)| *side)
            .collect();
        assert_eq!(counts(&inside), [28, 6, 6], "fifth {fifth}");
    }
}

#[test]
fn the_seed_of_the_split_goes_before_the_experiments() {
    let manifest = singletons(50);
    let own = |seed| SplitSpec::Random {
        fractions: [0.8, 0.1, 0.1],
        stratify: false,
        seed: Some(seed),
    };
    assert_eq!(assign(&manifest, &own(7), 1), assign(&manifest, &own(7), 2));
    assert_eq!(
        assign(&manifest, &own(7), 1),
        assign(&manifest, &random([0.8, 0.1, 0.1], false), 7)
    );
    assert_ne!(assign(&manifest, &own(7), 1), assign(&manifest, &own(8), 1));
}

#[test]
fn leave_one_group_out_tests_the_group_of_that_number() {
    let examples: Vec<(usize, u32)> = (0..35).map(|number| (6 - number % 7, 0)).collect();
    let manifest = manifest(&examples);
    for fold in 0..7 {
        let sides = assign(&manifest, &leave_one_group_out(fold, 0.34), 42).unwrap();
        assert_eq!(counts(&sides), [20, 10, 5]);
        for (example, side) in manifest.examples.iter().zip(sides) {
            assert_eq!(side == Split::Test, example.group == format!("g{fold:05}"));
        }
    }
    assert_eq!(split::folds(&manifest, &leave_one_group_out(0, 0.2)), 7);
}

#[test]
fn settings_that_cannot_be_met_are_refused() {
    let manifest = singletons(5);
    let error = |spec| assign(&manifest, &spec, 1).unwrap_err();
    assert_eq!(
        error(random([0.8, 0.1, 0.2], false)).to_string(),
        "the fractions [0.8, 0.1, 0.2] of `dataset.split` sum to 1.1, not 1"
    );
    assert_eq!(
        error(random([0.9, 0.1, 0.0], false)).to_string(),
        "the fraction 0 of `dataset.split` leaves test empty"
    );
    assert!(matches!(
        error(random([1.5, -0.25, -0.25], false)),
        Error::Fraction { side: Split::Val, .. }
    ));
    assert!(matches!(
        error(random([f64::NAN, 0.5, 0.5], false)),
        Error::FractionSum { .. }
    ));
    assert!(matches!(
        error(random([f64::INFINITY, 0.5, 0.5], false)),
        Error::FractionSum { .. }
    ));
    assert_eq!(
        error(k_fold(6, 0)).to_string(),
        "the data has 5 groups, but the split needs at least 6: one for each fold"
    );
    assert!(matches!(error(k_fold(usize::MAX, 0)), Error::TooFewGroups { .. }));
    assert!(matches!(error(k_fold(2, 0)), Error::TooFewFolds { .. }));
    assert_eq!(
        error(k_fold(5, 5)).to_string(),
        "`dataset.split.fold` is 5, but there are 5, numbered from 0 to 4"
    );
    assert!(matches!(
        error(leave_one_group_out(5, 0.2)),
        Error::NoSuchFold { folds: 5, .. }
    ));
    assert!(matches!(error(leave_one_group_out(0, 0.0)), Error::Validation { .. }));
    assert!(matches!(
        error(leave_one_group_out(0, f64::NAN)),
        Error::Validation { .. }
    ));
    let two = assign(&singletons(2), &random([0.8, 0.1, 0.1], false), 1).unwrap_err();
    assert!(
        two.to_string()
            .starts_with("the data has 2 groups, but the split needs at least 3"),
        "{two}"
    );
    assert!(two.hint().unwrap().contains("dataset.group"));
}

#[test]
fn a_declared_split_that_leaks_names_the_groups() {
    let examples: Vec<(usize, u32)> = (0..60).map(|number| (number / 4, 0)).collect();
    let mut manifest = manifest(&examples);
    for (number, example) in manifest.examples.iter_mut().enumerate() {
        // Group 14 is all in test; the other 14 groups straddle.
        example.split = Some(match (number / 4, number % 4) {
            (14, _) => Split::Test,
            (_, 0) => Split::Val,
            _ => Split::Train,
        });
    }
    let error = assign(&manifest, &SplitSpec::Column, 1).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("the declared split leaks: 14 groups are on more than one side:\n"),
        "{message}"
    );
    assert!(
        message.contains("\n  `g00009` in train and val\n  … and 4 more"),
        "{message}"
    );
    assert!(!message.contains("g00014"), "{message}");
}

#[test]
fn a_declared_split_must_be_complete() {
    let mut manifest = singletons(6);
    let error = assign(&manifest, &SplitSpec::Official, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "6 of 6 examples have no declared split: `00000`, `00001`, `00002` and 3 more"
    );
    assert!(error.hint().unwrap().contains("published without a split"));
    for example in &mut manifest.examples {
        example.split = Some(Split::Train);
    }
    manifest.examples[0].split = Some(Split::Test);
    let error = assign(&manifest, &SplitSpec::Column, 1).unwrap_err();
    assert_eq!(error.to_string(), "the declared split has no val examples");
    manifest.examples[1].split = Some(Split::Val);
    assert_eq!(counts(&assign(&manifest, &SplitSpec::Column, 1).unwrap()), [4, 1, 1]);
}

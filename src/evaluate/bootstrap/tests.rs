use super::*;

fn two_targets() -> Problem {
    Problem::Regression {
        targets: vec!["valence".into(), "arousal".into()],
    }
}

/// Truths and noisy predictions of two targets, five examples a song.
fn songs(examples: usize) -> (Vec<f32>, Vec<f32>, Vec<String>) {
    let mut generator = Generator::keyed(5, "test", &[]);
    let truth: Vec<f32> = (0..examples * 2).map(|_| generator.normal() as f32).collect();
    let predicted = truth
        .iter()
        .map(|t| t * 0.6 + 0.5 * generator.normal() as f32)
        .collect();
    let groups = (0..examples).map(|example| format!("song {}", example / 5)).collect();
    (truth, predicted, groups)
}

/// The plain way: rows are copied and scored anew.
fn by_copying(truth: &[f32], predicted: &[f32], groups: &[String], seed: u64, resamples: u64) -> Vec<Vec<f64>> {
    let groups = Groups::of(groups);
    (0..resamples)
        .map(|resample| {
            let mut generator = Generator::keyed(seed, "bootstrap", &[resample]);
            let (mut new_truth, mut new_predicted) = (Vec::new(), Vec::new());
            for _ in 0..groups.members.len() {
                for &row in &groups.members[generator.below(groups.members.len())] {
                    new_truth.extend_from_slice(&truth[2 * row..2 * row + 2]);
                    new_predicted.extend_from_slice(&predicted[2 * row..2 * row + 2]);
                }
            }
            let scores = score(&two_targets(), Truth::Values(&new_truth), &new_predicted).unwrap();
            scores.into_iter().map(|score| score.value).collect()
        })
        .collect()
}

#[test]
fn combined_sums_give_what_copied_rows_give() {
    let (truth, predicted, groups) = songs(60);
    let scores = score_with_intervals(&two_targets(), Truth::Values(&truth), &predicted, &groups, 3, 200).unwrap();
    let draws = by_copying(&truth, &predicted, &groups, 3, 200);
    for (index, score) in scores.iter().enumerate() {
        let mut values: Vec<f64> = draws.iter().map(|draw| draw[index]).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = score.ci.unwrap();
        assert!((low - percentile(&values, 0.025).unwrap()).abs() < 1e-12, "{score:?}");
        assert!((high - percentile(&values, 0.975).unwrap()).abs() < 1e-12, "{score:?}");
        assert!(low <= score.value && score.value <= high && low < high, "{score:?}");
    }
}

#[test]
fn a_group_per_row_has_the_spread_that_theory_gives() {
    // The interval of a mean over n independent rows is ± 1.96 standard errors.
    let (truth, predicted, _) = songs(2000);
    let groups: Vec<String> = (0..2000).map(|row| row.to_string()).collect();
    let scores = score_with_intervals(&two_targets(), Truth::Values(&truth), &predicted, &groups, 3, 2000).unwrap();
    let mae = scores
        .iter()
        .find(|s| s.name == "mae" && s.target == "valence")
        .unwrap();
    let errors: Vec<f64> = column(&truth, &predicted, 2, 0)
        .map(|(t, p)| f64::from((t - p).abs()))
        .collect();
    let mean = errors.iter().sum::<f64>() / 2000.0;
    let deviation = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
    let (low, high) = mae.ci.unwrap();
    let expected = 2.0 * 1.96 * deviation / 2000f64.sqrt();
    assert!(((high - low) / expected - 1.0).abs() < 0.1, "{} {expected}", high - low);
}

#[test]
fn alike_rows_of_a_group_widen_the_interval() {
    // Each song's error occurs ten times: there is no more knowledge in that than in one.
    let (truth, predicted, _) = songs(50);
    let repeat = |rows: &[f32]| rows.chunks(2).flat_map(|row| row.repeat(10)).collect::<Vec<f32>>();
    let (many_truth, many_predicted) = (repeat(&truth), repeat(&predicted));
    let single: Vec<String> = (0..50).map(|row| format!("{row:03}")).collect();
    let grouped: Vec<String> = (0..500).map(|row| format!("{:03}", row / 10)).collect();
    let interval = |truth: &[f32], predicted: &[f32], groups: &[String]| {
        score_with_intervals(&two_targets(), Truth::Values(truth), predicted, groups, 3, 500).unwrap()[0]
            .ci
            .unwrap()
    };
    let (low, high) = interval(&truth, &predicted, &single);
    let (low_many, high_many) = interval(&many_truth, &many_predicted, &grouped);
    assert!((low - low_many).abs() < 1e-12 && (high - high_many).abs() < 1e-12);
}

#[test]
fn threads_and_order_do_not_matter() {
    let (truth, predicted, groups) = songs(100);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| score_with_intervals(&two_targets(), Truth::Values(&truth), &predicted, &groups, 3, 300))
            .unwrap()
    };
    let (one, four) = (on(1), on(4));
    assert_eq!(one, four);

    let reversed = |rows: &[f32]| rows.chunks(2).rev().flatten().copied().collect::<Vec<f32>>();
    let groups_reversed: Vec<String> = groups.iter().rev().cloned().collect();
    let other = score_with_intervals(
        &two_targets(),
        Truth::Values(&reversed(&truth)),
        &reversed(&predicted),
        &groups_reversed,
        3,
        300,
    )
    .unwrap();
    for (a, b) in one.iter().zip(&other) {
        let ((a_low, a_high), (b_low, b_high)) = (a.ci.unwrap(), b.ci.unwrap());
        assert!((a_low - b_low).abs() < 1e-12 && (a_high - b_high).abs() < 1e-12);
    }
}

#[test]
fn undefined_resamples_are_left_out_and_counted() {
    // Three songs, each with a constant truth: a resample that draws one song three times has no R².
    let problem = Problem::Regression {
        targets: vec!["valence".into()],
    };
    let truth = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
    let predicted = [1.1, 1.3, 1.7, 2.2, 2.9, 3.4];
    let groups: Vec<String> = ["a", "a", "b", "b", "c", "c"].map(String::from).to_vec();
    let scores = score_with_intervals(&problem, Truth::Values(&truth), &predicted, &groups, 1, 900).unwrap();
    let of = |name: &str| scores.iter().find(|score| score.name == name).unwrap();
    // 3 of 27 draws on average.
    assert!((60..140).contains(&of("r2").undefined_resamples), "{:?}", of("r2"));
    assert!(of("r2").ci.unwrap().0 > 0.0);
    assert_eq!(of("mae").undefined_resamples, 0);
}

#[test]
fn no_interval_without_two_groups() {
    let problem = Problem::Classification {
        classes: vec!["anger".into(), "joy".into()],
    };
    let truth = [0, 1, 1];
    let predicted = [0.9, 0.1, 0.2, 0.8, 0.7, 0.3];
    let with = |groups: [&str; 3], resamples| {
        let groups = groups.map(String::from);
        score_with_intervals(&problem, Truth::Classes(&truth), &predicted, &groups, 1, resamples).unwrap()
    };
    assert!(with(["a"; 3], 100).iter().all(|score| score.ci.is_none()));
    assert!(with(["a", "b", "c"], 0).iter().all(|score| score.ci.is_none()));
    let scores = with(["a", "b", "c"], 500);
    assert!(scores[0].ci.is_some(), "{scores:?}");
    // Only song `a` holds anger: (2/3)³ of the resamples do without it.
    let recall = scores
        .iter()
        .find(|s| s.name == "recall" && s.target == "anger")
        .unwrap();
    assert!((100..200).contains(&recall.undefined_resamples), "{recall:?}");
    assert!(score_with_intervals(&problem, Truth::Classes(&truth), &predicted, &[], 1, 9).is_err());
}

#[test]
fn percentiles_are_numpys() {
    assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
    assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
    assert_eq!(percentile(&[], 0.5), None);
}

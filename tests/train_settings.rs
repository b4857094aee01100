//! The settings of networks, losses, optimisers, schedules and augmentation, through the whole program.

#![allow(clippy::disallowed_methods)] // tests read and write files

mod common;

use common::Lab;
use insta::assert_snapshot;

/// `--set` before each.
fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|&setting| ["--set", setting]).collect()
}

/// Predictions, and the checkpoint's files but for the times that none has.
fn bytes(lab: &Lab, name: &str, options: &[&str]) -> Vec<Vec<u8>> {
    let (run, _) = lab.run_anew(name, options);
    [
        "predictions.csv",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
        "checkpoints/last/state.json",
    ]
    .iter()
    .map(|file| std::fs::read(run.join(file)).unwrap())
    .collect()
}

const RECURRENT: &str = "model.layers=[\
    {residual={channels=4,stride=2,dropout=0.2}},\
    {gru={units=3,layers=2,bidirectional=true,dropout=0.2}},\
    {layer_norm={over=\"last\"}},\
    {attention_pool={units=4}},\
    {linear={units=5,activation=\"gelu\",init=\"orthogonal\"}},\
    {linear=\"targets\"}]";

#[test]
fn everything_at_once_is_the_same_on_one_thread_and_on_two() {
    let lab = Lab::new();
    let regression = set(&[
        RECURRENT,
        "augment={time_shift={frames=3},gain={low=-0.5,high=0.5},spec_augment={time_width=4,frequency_width=3},mixup={alpha=0.4}}",
        "loss={kind=\"huber\",delta=0.5,target_weights=[1,2]}",
        "optimizer={kind=\"rmsprop\",momentum=0.5,centered=true,learning_rate=0.001}",
        "schedule={kind=\"one-cycle\",warmup={steps=2}}",
        "train.accumulate=2",
        "train.clip_norm=1.0",
        "train.epochs=3",
    ]);
    let one = bytes(&lab, "reg", &[&regression[..], &["--threads", "1"]].concat());
    assert_eq!(
        one,
        bytes(&lab, "reg", &[&regression[..], &["--threads", "2"]].concat())
    );
    let other = bytes(&lab, "reg", &[&regression[..], &["--seed", "8"]].concat());
    assert!(one.iter().zip(&other).all(|(one, other)| one != other));

    let classification = set(&[
        "augment={spec_augment={fill=\"zero\"},mixup={alpha=1.0}}",
        "loss={kind=\"cross-entropy\",label_smoothing=0.1,class_weights=\"balanced\",class_weight_cap=3}",
        "optimizer={kind=\"sgd\",momentum=0.9,nesterov=true,weight_decay=1e-3,decay_on=\"weights\"}",
        "schedule={kind=\"cosine\",pace=\"epoch\",warmup={epochs=0.5}}",
        "train.clip_value=0.1",
        "evaluate.baselines=[\"stratified\",\"knn\",\"majority\"]",
    ]);
    let one = bytes(&lab, "cls", &[&classification[..], &["--threads", "1"]].concat());
    assert_eq!(
        one,
        bytes(&lab, "cls", &[&classification[..], &["--threads", "2"]].concat())
    );
}

#[test]
fn every_preset_trains_and_can_be_changed() {
    let lab = Lab::new();
    let mut first = None;
    for preset in [
        "deam-cnn",
        "music2emotion",
        "music2emotion-4",
        "meld-cnn",
        "crnn",
        "attention-crnn",
    ] {
        let preset = format!("model.preset={preset}");
        let settings = set(&[
            &preset,
            "train.epochs=1",
            "evaluate.baselines=[\"median\",\"knn\",\"mean\"]",
        ]);
        lab.succeed(&[&["run", "reg.toml"], &settings[..]].concat());
        // Later ones may begin within the same second, and then come in any order.
        first.get_or_insert_with(|| lab.run("reg"));
    }
    let settings = set(&[
        "model.preset=crnn",
        "model.layers[2].gru.units=3",
        "model.layers[0].conv2d.channels=2",
    ]);
    let outcome = lab.succeed(&[&["check", "reg.toml"], &settings[..]].concat());
    assert_snapshot!(outcome.stdout.split("\n\n").last().unwrap(), @r#"
──────────────────────────────────────────────────────────────────────────────────────────────────────
 layer                                                  output        parameters    FLOPs      memory 
──────────────────────────────────────────────────────────────────────────────────────────────────────
 input                                                  1 × 16 × 19                            1.2 kB 
 0 conv2d: 2 of 3 × 3, batch norm, relu, dropout 0.25   2 × 16 × 19           22   12.8 k     12.2 kB 
 1 linear: 32 → 8, per frame, dropout 0.25              19 × 8               264    9.7 k      1.8 kB 
 2 gru: 8 → 3, both ways                                19 × 6               234    7.5 k      5.5 kB 
 3 global_pool: mean                                    6                      0      228   480 bytes 
 4 linear: 6 → 2                                        2                     14       24     8 bytes 
 all                                                                         534   30.3 k     21.2 kB 
──────────────────────────────────────────────────────────────────────────────────────────────────────
FLOPs of a forward pass and memory of a training step, both for one example;
a batch of 4 needs 84.6 kB
"#);
    // The resolved settings are the same network, whatever presets become.
    let settings = first.unwrap().join("experiment.toml");
    let again = lab.succeed(&["check", settings.to_str().unwrap(), "--json"]).json();
    assert_eq!(again["parameters"], 9 * 16 + 16 + 9 * 16 * 32 + 32 + 2 * 32 + 2);
}

#[test]
fn augmentation_is_for_training_batches_alone() {
    let lab = Lab::new();
    // Nothing is learned, so that what was seen in training cannot show in validation. Without batch norm: its averages learn.
    let still = set(&[
        "model.layers=[{conv2d={channels=4,activation=\"relu\"}},{adaptive_avg_pool2d=2},{linear=\"targets\"}]",
        "optimizer.learning_rate=0",
    ]);
    let losses = |options: &[&str]| -> (f64, f64) {
        lab.succeed(&[&["run", "reg.toml"], &still[..], options].concat());
        let of = |split: &str| {
            lab.query(&format!(
                "SELECT value FROM metrics WHERE split = '{split}' AND name = 'loss' ORDER BY run_id DESC, epoch DESC LIMIT 1"
            ))
        };
        let found = (of("train"), of("val"));
        std::fs::remove_dir_all(lab.path("runs")).unwrap();
        found
    };
    let plain = losses(&[]);
    for augment in [
        "augment.time_shift={frames=5,fill=\"minimum\"}",
        "augment.gain={low=1.0,high=2.0}",
        "augment.spec_augment={time_width=9,frequency_width=9,fill=\"zero\"}",
        "augment.mixup={alpha=1.0}",
    ] {
        let (train, val) = losses(&["--set", augment]);
        assert_ne!(train, plain.0, "{augment}");
        assert_eq!(val, plain.1, "{augment}");
    }
}

#[test]
fn a_model_that_is_no_better_than_nothing_is_told_and_is_no_failure() {
    let lab = Lab::new();
    let outcome = lab.succeed(&["run", "reg.toml", "--set", "optimizer.learning_rate=0"]);
    assert!(
        outcome
            .stderr
            .contains("the model is no better than the baseline mean on the test split: rmse"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("say little"), "{}", outcome.stderr);
    let page = std::fs::read_to_string(lab.run("reg").join("report.html")).unwrap();
    assert!(page.contains("no better than the baseline mean"));
    // Six speakers in all.
    let outcome = lab.succeed(&["run", "cls.toml"]);
    assert!(
        outcome.stderr.contains("group: confidence intervals")
            || outcome.stderr.contains("groups: confidence intervals"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_makes_no_sense_is_said_before_any_work() {
    let lab = Lab::new();
    let complaint = |file: &str, settings: &[&str]| {
        lab.complaint(2, &[&["run", file], &set(settings)[..]].concat())
            .lines()
            .take_while(|line| !line.contains('╭'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (file, settings) in [
        ("reg.toml", vec!["loss.weighting=agreement"]),
        ("reg.toml", vec!["evaluate.baselines=[\"human\"]"]),
        ("reg.toml", vec!["evaluate.baselines=[\"stratified\"]"]),
        ("reg.toml", vec!["augment.gain={low=1,high=0}"]),
        ("reg.toml", vec!["loss.kind=ccc", "augment.mixup={alpha=0.4}"]),
    ] {
        let text = complaint(file, &settings);
        assert!(!text.is_empty() && lab.runs("reg").is_empty(), "{settings:?}: {text}");
    }
    assert_snapshot!(complaint("reg.toml", &["loss.weighting=agreement"]), @r#"error: weighting by agreement needs the annotators' deviations, which the dataset does not have"#);
    assert_snapshot!(complaint("reg.toml", &["loss.target_weights=[1]"]), @r#"error: `loss.target_weights` needs a weight for each target (2), not all of them 0; it has 1"#);
    assert_snapshot!(complaint("cls.toml", &["loss.class_weights={lov=2}"]), @r#"
error: `loss.class_weights` gives lov the weight 2; the classes are high, low, mid, and weights
  │ are at least 0
"#);
}

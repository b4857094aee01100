//! Who wins: defaults, the chain of files, the environment, the command line.
#![allow(irrefutable_let_patterns, reason = "features come in one kind so far")]

mod config_support;

use affect::config::{BUILT_IN, Request, Source, find, flatten, load, to_toml};
use affect::dataset::{DatasetSpec, SplitSpec};
use affect::features::Recipe;
use affect::nn::spec::{LayerSpec, Pair};
use affect::train::{OptimizerSpec, ScheduleSpec};
use config_support::{Case, rendered, sound};
use proptest::prelude::*;

#[test]
fn what_is_stronger_wins_and_the_rest_stays() {
    let case = Case::new("strength")
        .file("base/deep.toml", &sound())
        .file(
            "base/middle.toml",
            "extends = \"deep.toml\"\n[train]\nbatch_size = 1\n[experiment]\ntags = [\"a\", \"b\"]\n",
        )
        .file(
            "cnn.toml",
            "extends = \"base/middle.toml\"\n[train]\nbatch_size = 2\n[experiment]\ntags = [\"c\"]\n",
        );
    let resolved = case.load().unwrap();
    let experiment = &resolved.experiment;
    assert_eq!((experiment.train.epochs, experiment.train.batch_size), (3, 2));
    assert_eq!(experiment.experiment.tags, ["c"], "arrays are replaced");
    assert_eq!(experiment.experiment.name, "cnn", "the file's stem");
    assert_eq!(experiment.experiment.seed, 7);
    let files: Vec<_> = resolved
        .files()
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(files, ["deep.toml", "middle.toml", "cnn.toml"]);

    let case = case
        .environment("AFFECT_TRAIN__BATCH_SIZE", "4")
        .environment("AFFECT_TRAIN__EPOCHS", "5");
    let experiment = case.load().unwrap().experiment;
    assert_eq!((experiment.train.epochs, experiment.train.batch_size), (5, 4));

    let experiment = case
        .set("train.epochs=6")
        .set("train.epochs = 7 ")
        .load()
        .unwrap()
        .experiment;
    assert_eq!((experiment.train.epochs, experiment.train.batch_size), (7, 4));
}

#[test]
fn origins_lead_back_to_where_a_setting_was_written() {
    let case = Case::new("origins")
        .file("base.toml", &sound())
        .file("cnn.toml", "extends = \"base.toml\"\n[train]\nbatch_size = 2\n")
        .environment("AFFECT_EXPERIMENT__SEED", "1")
        .set("model.layers[0].conv2d.channels=4");
    let resolved = case.load().unwrap();
    let origin = |path: &str| {
        let origin = resolved.origin(path)?;
        Some((
            origin.file.rsplit('/').next().unwrap().to_owned(),
            origin.line,
            origin.column,
        ))
    };
    assert_eq!(origin("train.batch_size"), Some(("cnn.toml".to_owned(), 3, 14)));
    assert_eq!(origin("train.epochs"), Some(("base.toml".to_owned(), 24, 10)));
    assert_eq!(
        origin("experiment.seed"),
        Some(("environment variable `AFFECT_EXPERIMENT__SEED`".to_owned(), 1, 25))
    );
    assert_eq!(
        origin("model.layers[0].conv2d.channels"),
        Some(("--set".to_owned(), 1, 33))
    );
    assert_eq!(origin("model.layers.1.linear"), Some(("base.toml".to_owned(), 11, 10)));
    assert_eq!(origin("train.device"), None);

    let mistakes = resolved.mistake(
        "model.layers[1]",
        "the layer does not fit",
        Some("put `flatten` before it".to_owned()),
    );
    insta::assert_snapshot!(rendered(&mistakes), @r#"
 × the layer does not fit
   ╭─[origins/base.toml:10:1]
 9 │ conv2d = { channels = 8 }
10 │ [[model.layers]]
   · ────────────────
11 │ linear = "targets"
   ╰────
 help: put `flatten` before it
"#);
    let mistakes = resolved.mistake("train.early_stopping.patience", "too patient", None);
    assert_eq!(mistakes.list()[0].line, Some(25), "the table around it");
    let mistakes = resolved.mistake("evaluate.bootstrap", "too many", None);
    assert_eq!(mistakes.list()[0].line, None);
    assert!(mistakes.to_string().contains("cnn.toml"));
}

#[test]
fn another_kind_replaces_the_table_whole() {
    let base = sound().replace("learning_rate = 1e-3", "learning_rate = 0.5\nbeta1 = 0.5");
    let case = Case::new("kinds").file("base.toml", &base).file(
        "cnn.toml",
        "extends = \"base.toml\"\n[schedule]\nkind = \"constant\"\n[dataset.split]\nkind = \"k-fold\"\nfolds = 5\n[optimizer]\nkind = \"adam\"\n",
    );
    let experiment = case.load().unwrap().experiment;
    let OptimizerSpec::Adam(adam) = &experiment.optimizer else {
        panic!("{experiment:?}")
    };
    assert_eq!(adam.learning_rate, 0.5, "the same kind is merged");
    assert_eq!(experiment.schedule, ScheduleSpec::default());
    assert!(matches!(experiment.dataset.split(), SplitSpec::KFold { folds: 5, .. }));

    let experiment = case
        .set("optimizer.beta2=0.7")
        .set("optimizer.kind=adamw")
        .load()
        .unwrap()
        .experiment;
    let OptimizerSpec::Adamw(adam) = &experiment.optimizer else {
        panic!("{experiment:?}")
    };
    assert_eq!(
        (adam.learning_rate, adam.beta1),
        (1e-3, 0.9),
        "another kind starts from its defaults"
    );
    assert_eq!(adam.beta2, 0.7, "what stands beside the kind stays, whatever the order");
}

/// Of a table whose own kind is not the default one.
#[test]
fn a_kind_inside_another_kind_may_be_left_out_too() {
    let text = sound().replace(
        "[loss]",
        "[features]\nkind = \"pair\"\n[features.audio]\nduration = 5\nscale = { top_db = 60 }\n[loss]",
    );
    let mistakes = Case::new("inner-kind").file("cnn.toml", &text).rendered();
    // What is left to complain about is that the dataset has no pairs.
    assert!(mistakes.contains("for pairs of music and pictures"), "{mistakes}");
    assert!(!mistakes.contains("missing field"), "{mistakes}");
}

#[test]
fn a_kind_may_be_left_out_where_it_has_a_default() {
    let text = sound().replace(
        "[loss]",
        "[dataset.split]\nstratify = true\n[features]\nn_mels = 32\nscale = { top_db = 60 }\n[loss]",
    );
    let case = Case::new("default-kind").file("cnn.toml", &text);
    let experiment = case.load().unwrap().experiment;
    let Recipe::Mel(mel) = &experiment.features else {
        panic!("{experiment:?}")
    };
    assert_eq!(mel.n_mels, 32);
    assert!(
        matches!(mel.scale, affect::audio::spec::Scale::Db { top_db: 60.0, .. }),
        "an integer is a number: {mel:?}"
    );
    assert!(matches!(
        experiment.dataset.split(),
        SplitSpec::Random { stratify: true, .. }
    ));
    let experiment = case.set("features.scale.kind=log").load().unwrap().experiment;
    let Recipe::Mel(mel) = &experiment.features else {
        panic!("{experiment:?}")
    };
    assert!(matches!(mel.scale, affect::audio::spec::Scale::Log { .. }), "{mel:?}");
}

#[test]
fn the_command_line_reaches_into_arrays() {
    let case = Case::new("arrays")
        .file("cnn.toml", &sound())
        .set("model.layers[0].conv2d.channels=4")
        .set("model.layers.0.conv2d.kernel=[5, 3]")
        .set("model.layers[1]={ linear = { units = \"targets\", dropout = 0.1 } }");
    let experiment = case.load().unwrap().experiment;
    let LayerSpec::Conv2d(conv) = &experiment.model.layers[0] else {
        panic!("{experiment:?}")
    };
    assert_eq!((conv.channels, conv.kernel), (4, Pair::Each([5, 3])));
    let case = case
        .environment("AFFECT_MODEL__LAYERS__0__CONV2D__STRIDE", "1")
        .set("experiment.tags=[\"x\"]")
        .set("experiment.tags[0]=y");
    assert_eq!(case.load().unwrap().experiment.experiment.tags, ["y"]);
}

#[test]
fn text_needs_no_quotes_on_the_command_line() {
    let case = Case::new("text")
        .file("cnn.toml", &sound())
        .set("experiment.description=a = b, and \"c\"")
        .set("loss.kind=mse")
        .set("experiment.name=2026")
        .set("experiment.tags=[\"a\"]")
        .set("experiment.tags[0]=2026-11-21");
    assert_eq!(case.load().unwrap().experiment.experiment.name, "2026");
    assert_eq!(case.load().unwrap().experiment.experiment.tags, ["2026-11-21"]);
    assert_eq!(
        case.load().unwrap().experiment.experiment.description,
        "a = b, and \"c\""
    );
}

const KINDS: [&str; 4] = [
    "",
    "[features]\nscale = { kind = \"log\", offset = 1e-30 }\nfmax = 123.456\nnormalize = \"min-max\"\nduration = 3.0\n[evaluate]\nbaselines = []\n",
    "[features]\nscale = { kind = \"power\" }\n[dataset.split]\nkind = \"leave-one-group-out\"\nseed = 9223372036854775807\n",
    "[evaluate]\nbootstrap = 0\nbaselines = [\"mean\"]\n[dataset.split]\nkind = \"official\"\n",
];

#[test]
fn resolved_settings_load_as_the_same_experiment() {
    for (index, more) in KINDS.iter().enumerate() {
        let case = Case::new("round-trip").file(&format!("cnn-{index}.toml"), &(sound() + more));
        let experiment = case.load().unwrap().experiment;
        assert_eq!(reloaded(&to_toml(&experiment)), experiment);
    }
    for built_in in BUILT_IN {
        let experiment = load(&Request::new(Source::BuiltIn(built_in))).unwrap().experiment;
        assert_eq!(experiment.experiment.name, built_in.name);
        assert_eq!(reloaded(&to_toml(&experiment)), experiment);
    }
}

fn reloaded(text: &str) -> affect::config::Experiment {
    let source = Source::Text {
        name: "again".to_owned(),
        text: text.to_owned(),
    };
    load(&Request::new(source))
        .unwrap_or_else(|mistakes| panic!("{}\n{text}", rendered(&mistakes)))
        .experiment
}

#[test]
fn resolved_settings_read_well() {
    let text = sound().replace(
        "linear = \"targets\"",
        "flatten = {}\n[[model.layers]]\nlinear = \"targets\"",
    );
    let experiment = Case::new("reads").file("cnn.toml", &text).load().unwrap().experiment;
    insta::assert_snapshot!(to_toml(&experiment), @r#"
[experiment]
name = "cnn"
description = ""
tags = []
seed = 7

[dataset]
kind = "synthetic"
songs = 20
seconds = 6.0
sample_rate = 22050
annotators = 10
annotator_deviation = 1.0
seed = 1
targets = ["valence", "arousal"]
scale = "-1..1"

[dataset.split]
kind = "random"
fractions = [0.8, 0.1, 0.1]
stratify = false

[features]
kind = "mel"
sample_rate = 22050
resampler = "soxr-hq"
cut = "after-resampling"
n_fft = 2048
hop_length = 512
window = "hann"
center = true
pad_mode = "constant"
power = "power"
n_mels = 128
fmin = 0.0
mel_scale = "slaney"
mel_norm = "slaney"
normalize = "none"

[features.scale]
kind = "db"
reference = "max"
top_db = 80.0
amin = 1e-10

[[model.layers]]
conv2d = { channels = 8, kernel = 3, stride = 1, padding = "same", dilation = 1, groups = 1, init = "default", batch_norm = false }

[[model.layers]]
flatten = {}

[[model.layers]]
linear = "targets"

[loss]
kind = "mse"
weighting = "none"

[optimizer]
kind = "adam"
learning_rate = 0.001
beta1 = 0.9
beta2 = 0.999
epsilon = 1e-8
weight_decay = 0.0
decay_on = "all"

[schedule]
kind = "plateau"
factor = 0.5
patience = 4
threshold = 0.0001
cooldown = 0
min_learning_rate = 0.0

[train]
epochs = 3
batch_size = 32
accumulate = 1
device = "auto"
precision = "float32"
deterministic = true
cuda_graph = "auto"
validate_every = "epoch"
keep_last = 2
checkpoint_minutes = 10.0

[train.early_stopping]
monitor = "val/loss"
patience = 8
min_delta = 0.0
restore_best = true

[augment]

[evaluate]
bootstrap = 1000
"#);
    let list = flatten(&experiment);
    let get = |path: &str| {
        list.iter()
            .find(|(name, _)| name == path)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(get("optimizer.learning_rate"), Some("0.001"));
    assert_eq!(get("model.layers.0.conv2d.channels"), Some("8"));
    assert_eq!(get("model.layers.1.flatten"), Some("{}"));
    assert_eq!(get("model.layers.2.linear"), Some("targets"));
    assert_eq!(get("dataset.split.fractions"), Some("[0.8, 0.1, 0.1]"));
    assert_eq!(get("dataset.split.seed"), None);
}

#[test]
fn experiments_are_found_by_name_and_by_path() {
    let case = Case::new("found")
        .file("exps/meld/cnn.toml", &sound())
        .file("exps/deam-cnn.toml", &sound());
    case.load().unwrap();
    let folder = std::path::Path::new("found/exps");
    let file = |name: &str| Source::File(folder.join(name));
    assert_eq!(find("deam-cnn", folder).unwrap(), file("deam-cnn.toml"));
    assert_eq!(find("meld/cnn", folder).unwrap(), file("meld/cnn.toml"));
    assert_eq!(find("found/exps/deam-cnn.toml", folder).unwrap(), file("deam-cnn.toml"));
    assert!(matches!(find("quickstart", folder).unwrap(), Source::BuiltIn(_)));
    assert!(matches!(
        find("quickstart", std::path::Path::new("no/such/folder")).unwrap(),
        Source::BuiltIn(_)
    ));
    let shown = ["deam-cn", "found/exps/deam-cn.toml", "found/exps", "", "zebra"].map(|name| {
        let mistakes = find(name, folder).unwrap_err();
        format!("{name}\n{}", rendered(&mistakes))
    });
    insta::assert_snapshot!(shown.join("\n"), @"
deam-cn
  × there is no experiment `deam-cn` in `found/exps`
  help: did you mean `deam-cnn`?
        experiments: deam-cnn, quickstart
found/exps/deam-cn.toml
  × there is no file `found/exps/deam-cn.toml`
  help: did you mean `found/exps/deam-cnn.toml`?
found/exps
  × `found/exps` is a folder, not an experiment file

  × there is no experiment `` in `found/exps`
  help: experiments: deam-cnn, quickstart; or give the path of a .toml file
zebra
  × there is no experiment `zebra` in `found/exps`
  help: experiments: deam-cnn, quickstart; or give the path of a .toml file
");
}

#[test]
fn a_file_in_the_folder_stands_before_a_built_in_experiment() {
    Case::new("before").file("quickstart.toml", &sound()).load().unwrap();
    let source = find("quickstart", std::path::Path::new("before")).unwrap();
    assert_eq!(source, Source::File("before/quickstart.toml".into()));
}

#[test]
fn resolved_settings_extend_nothing() {
    let source = Source::Text {
        name: "run".to_owned(),
        text: format!("extends = \"x.toml\"\n{}", sound()),
    };
    let mistakes = load(&Request::new(source)).unwrap_err();
    assert_eq!(mistakes.list()[0].message, "`extends` has a meaning in files only");
    let mistakes = Case::new("extends-set")
        .file("cnn.toml", &sound())
        .set("extends=x.toml")
        .load()
        .unwrap_err();
    assert_eq!(mistakes.list()[0].file, "--set");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the numbers and texts, what is written is read as the same.
    #[test]
    fn any_settings_come_back(
        description in any::<String>(),
        tag in "[a-zä-ü0-9. \"'#=\\[\\]]{0,8}[a-z]",
        root in "\\PC{1,20}",
        seed in 0..=i64::MAX as u64,
        learning_rate in 0.0..1000.0f64,
        amin in 1e-30..1.0f64,
        epsilon in any::<f64>().prop_filter("in range", |x| x.is_finite() && *x >= 0.0),
    ) {
        let mut experiment = reloaded(&sound().replace("\"synthetic\"\nsongs = 20", "\"deam-static\"\nroot = \"x\""));
        experiment.experiment.description = description;
        experiment.experiment.tags = vec![tag.trim().to_owned()];
        experiment.experiment.seed = seed;
        if let DatasetSpec::DeamStatic(deam) = &mut experiment.dataset {
            deam.root = root.into();
        }
        if let OptimizerSpec::Adam(adam) = &mut experiment.optimizer {
            adam.learning_rate = learning_rate;
            adam.epsilon = epsilon;
        }
        if let Recipe::Mel(mel) = &mut experiment.features
            && let affect::audio::spec::Scale::Db { amin: setting, .. } = &mut mel.scale
        {
            *setting = amin;
        }
        prop_assert_eq!(reloaded(&to_toml(&experiment)), experiment);
    }
}

#[test]
fn what_is_loaded_can_go_to_other_threads() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<affect::config::Resolved>();
    goes::<affect::config::Mistakes>();
}

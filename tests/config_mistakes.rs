//! What a user sees when an experiment file is wrong: every mistake at its place, all at once.

mod config_support;

use config_support::Case;
use insta::assert_snapshot;

#[test]
fn a_slip_in_a_key_is_shown_with_the_nearest_key() {
    let case = Case::new("slip").file(
        "cnn.toml",
        &config_support::sound().replace("learning_rate", "learning_rat"),
    );
    assert_snapshot!(case.rendered(), @r#"
 × unknown key `learning_rat`
   ╭─[slip/cnn.toml:18:1]
17 │ kind = "adam"
18 │ learning_rat = 1e-3
   · ──────┬─────
   ·       ╰── not a key of `optimizer` with kind = "adam"
19 │
   ╰────
 help: did you mean `learning_rate`?
"#);
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_what_was_expected() {
    let case = Case::new("type").file(
        "cnn.toml",
        &config_support::sound().replace("epochs = 3", "epochs = \"three\""),
    );
    assert_snapshot!(case.rendered(), @r#"
 × `train.epochs`: expected an integer, found the string "three"
   ╭─[type/cnn.toml:24:10]
23 │ [train]
24 │ epochs = "three"
   ·          ───┬───
   ·             ╰── expected an integer
25 │ early_stopping = { monitor = "val/loss" }
   ╰────
"#);
}

#[test]
fn several_mistakes_are_shown_at_once_in_the_order_of_the_file() {
    let text = r#"
seed = 1

[experiment]
name = "../up"
tags = ["a,b", 3]

[dataset]
kind = "synthetic"
songs = 5
split = { kind = "random", fractions = [0.8, 0.1] }

[features]
windw = "hann"
fmin = 9000.0
fmax = 20000.0

[model]
[[model.layers]]
conv2d = { chanels = 16, kernel = [3, 3, 3], activation = "rellu" }
[[model.layers]]
conv2d = { channels = 8.0, padding = "sam", max_pool = "2" }
[[model.layers]]
linear = "target"

[loss]
kind = "mse"
beta = 1.0
"#;
    assert_snapshot!(Case::new("several").file("cnn.toml", text).rendered(), @r#"
  × 14 mistakes in the experiment

Error:
  × unknown key `seed`
   ╭─[several/cnn.toml:2:1]
 1 │
 2 │ seed = 1
   · ──┬─
   ·   ╰── not a table of an experiment
 3 │
   ╰────
  help: `seed` is a key of `[experiment]`

Error:
  × `experiment.tags[1]`: expected a string, found the integer 3
   ╭─[several/cnn.toml:6:16]
 5 │ name = "../up"
 6 │ tags = ["a,b", 3]
   ·                ┬
   ·                ╰── expected a string
 7 │
   ╰────
  help: put it in quotes: "3"

Error:
  × `dataset.songs` must be between 10 and 5000, not 5
    ╭─[several/cnn.toml:10:9]
  9 │ kind = "synthetic"
 10 │ songs = 5
    ·         ┬
    ·         ╰── out of range
 11 │ split = { kind = "random", fractions = [0.8, 0.1] }
    ╰────

Error:
  × `dataset.split.fractions`: expected an array of 3 numbers, found 2
    ╭─[several/cnn.toml:11:40]
 10 │ songs = 5
 11 │ split = { kind = "random", fractions = [0.8, 0.1] }
    ·                                        ─────┬────
    ·                                             ╰── expected an array of 3 numbers
 12 │
    ╰────

Error:
  × unknown key `windw`
    ╭─[several/cnn.toml:14:1]
 13 │ [features]
 14 │ windw = "hann"
    · ──┬──
    ·   ╰── not a key of `features` with kind = "mel"
 15 │ fmin = 9000.0
    ╰────
  help: did you mean `window`?

Error:
  × unknown key `chanels`
    ╭─[several/cnn.toml:20:12]
 19 │ [[model.layers]]
 20 │ conv2d = { chanels = 16, kernel = [3, 3, 3], activation = "rellu" }
    ·            ───┬───
    ·               ╰── not a key of `model.layers[0].conv2d`
 21 │ [[model.layers]]
    ╰────
  help: did you mean `channels`?

Error:
  × `model.layers[0].conv2d.kernel`: expected an array of 2 integers, found 3
    ╭─[several/cnn.toml:20:35]
 19 │ [[model.layers]]
 20 │ conv2d = { chanels = 16, kernel = [3, 3, 3], activation = "rellu" }
    ·                                   ────┬────
    ·                                       ╰── expected an array of 2 integers
 21 │ [[model.layers]]
    ╰────

Error:
  × unknown value "rellu" of `model.layers[0].conv2d.activation`
    ╭─[several/cnn.toml:20:59]
 19 │ [[model.layers]]
 20 │ conv2d = { chanels = 16, kernel = [3, 3, 3], activation = "rellu" }
    ·                                                           ───┬───
    ·                                                              ╰── expected "relu", "leaky-relu", "gelu", "gelu-tanh", "elu", "tanh" or "sigmoid"
 21 │ [[model.layers]]
    ╰────
  help: did you mean "relu"?

Error:
  × `model.layers[1].conv2d.channels`: expected an integer, found the number 8.0
    ╭─[several/cnn.toml:22:23]
 21 │ [[model.layers]]
 22 │ conv2d = { channels = 8.0, padding = "sam", max_pool = "2" }
    ·                       ─┬─
    ·                        ╰── expected an integer
 23 │ [[model.layers]]
    ╰────
  help: write it without the point: 8

Error:
  × unknown value "sam" of `model.layers[1].conv2d.padding`
    ╭─[several/cnn.toml:22:38]
 21 │ [[model.layers]]
 22 │ conv2d = { channels = 8.0, padding = "sam", max_pool = "2" }
    ·                                      ──┬──
    ·                                        ╰── expected "same", "valid", an integer or an array of 2 integers
 23 │ [[model.layers]]
    ╰────
  help: did you mean "same"?

Error:
  × `model.layers[1].conv2d.max_pool`: expected an integer or an array of 2 integers, found the
  │ string "2"
    ╭─[several/cnn.toml:22:56]
 21 │ [[model.layers]]
 22 │ conv2d = { channels = 8.0, padding = "sam", max_pool = "2" }
    ·                                                        ─┬─
    ·                                                         ╰── expected an integer or an array of 2 integers
 23 │ [[model.layers]]
    ╰────
  help: leave out the quotes: 2

Error:
  × unknown value "target" of `model.layers[2].linear`
    ╭─[several/cnn.toml:24:10]
 23 │ [[model.layers]]
 24 │ linear = "target"
    ·          ────┬───
    ·              ╰── expected "targets", an integer or a table
 25 │
    ╰────
  help: did you mean "targets"?

Error:
  × unknown key `beta`
    ╭─[several/cnn.toml:28:1]
 27 │ kind = "mse"
 28 │ beta = 1.0
    · ──┬─
    ·   ╰── not a key of `loss` with kind = "mse"
    ╰────
  help: `beta` belongs to kind = "smooth-l1"

Error:
  × missing table `[optimizer]` in several/cnn.toml
  help: How the parameters move.
        kinds: adam, adamw, sgd, rmsprop
"#);
}

#[test]
fn errors_of_syntax_are_shown_together_with_mistakes_before_them() {
    let text = config_support::sound()
        .replace("songs", "song")
        .replace("epochs = 3", "epochs = \nbatch_size = 1 2");
    assert_snapshot!(Case::new("syntax").file("cnn.toml", &text).rendered(), @r#"
  × 3 mistakes in the experiment

Error:
  × unknown key `song`
   ╭─[syntax/cnn.toml:6:1]
 5 │ kind = "synthetic"
 6 │ song = 20
   · ──┬─
   ·   ╰── not a key of `dataset` with kind = "synthetic"
 7 │
   ╰────
  help: did you mean `songs`?

Error:
  × this is not valid TOML
    ╭─[syntax/cnn.toml:24:10]
 23 │ [train]
 24 │ epochs =
    ·          ▲
    ·          ╰── a value is missing here
 25 │ batch_size = 1 2
    ╰────

Error:
  × this is not valid TOML
    ╭─[syntax/cnn.toml:25:14]
 24 │ epochs =
 25 │ batch_size = 1 2
    ·              ─┬─
    ·               ╰── not a value; text needs quotes
 26 │ early_stopping = { monitor = "val/loss" }
    ╰────
"#);
}

#[test]
fn an_unknown_kind_is_shown_with_the_kinds_there_are() {
    let case = Case::new("kind").file("cnn.toml", &config_support::sound().replace("\"adam\"", "\"adm\""));
    assert_snapshot!(case.rendered(), @r#"
 × unknown kind "adm" of `optimizer`
   ╭─[kind/cnn.toml:17:8]
16 │ [optimizer]
17 │ kind = "adm"
   ·        ──┬──
   ·          ╰── expected "adam", "adamw", "sgd" or "rmsprop"
18 │ learning_rate = 1e-3
   ╰────
 help: did you mean "adam"?
"#);
}

#[test]
fn an_unknown_layer_is_shown_with_the_layers_there_are() {
    let text = config_support::sound().replace(
        "linear = \"targets\"",
        "lstm = 3\n[[model.layers]]\nlinaer = 1\n[[model.layers]]\n",
    );
    assert_snapshot!(Case::new("layer").file("cnn.toml", &text).rendered(), @"
  × 3 mistakes in the experiment

Error:
  × unknown layer `lstm`
    ╭─[layer/cnn.toml:11:1]
 10 │ [[model.layers]]
 11 │ lstm = 3
    · ──┬─
    ·   ╰── not a layer
 12 │ [[model.layers]]
    ╰────
  help: layers: conv2d, residual, batch_norm, layer_norm, relu, leaky_relu, gelu, elu, tanh,
        sigmoid, max_pool2d, avg_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d, global_pool,
        flatten, dropout, linear, gru, attention_pool

Error:
  × unknown layer `linaer`
    ╭─[layer/cnn.toml:13:1]
 12 │ [[model.layers]]
 13 │ linaer = 1
    · ───┬──
    ·    ╰── not a layer
 14 │ [[model.layers]]
    ╰────
  help: did you mean `linear`?

Error:
  × `model.layers[3]` is empty
    ╭─[layer/cnn.toml:14:1]
 13 │ linaer = 1
 14 │ [[model.layers]]
    · ────────┬───────
    ·         ╰── which layer?
 15 │
    ╰────
  help: layers: conv2d, residual, batch_norm, layer_norm, relu, leaky_relu, gelu, elu, tanh,
        sigmoid, max_pool2d, avg_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d, global_pool,
        flatten, dropout, linear, gru, attention_pool
");
}

#[test]
fn a_circle_of_extends_is_shown_whole() {
    let case = Case::new("circle")
        .file("base/a.toml", "extends = \"b.toml\"\n")
        .file("base/b.toml", "# why\nextends = \"../circle.toml\"\n")
        .file("circle.toml", "extends = \"base/a.toml\"\n");
    assert_snapshot!(case.rendered(), @r#"
 × `extends` goes round in a circle
  ╭─[circle/base/b.toml:2:11]
1 │ # why
2 │ extends = "../circle.toml"
  ·           ────────┬───────
  ·                   ╰── this file was read already
  ╰────
 help: circle/circle.toml
         extends circle/base/a.toml
         extends circle/base/b.toml
         extends circle/base/../circle.toml
"#);
}

#[test]
fn a_missing_base_is_shown_where_it_is_named_and_the_rest_is_checked() {
    let case = Case::new("base")
        .file("base/deam.toml", "")
        .file("cnn.toml", "extends = \"base/dean.toml\"\ntrian = 1\n");
    assert_snapshot!(case.rendered(), @r#"
  × 2 mistakes in the experiment

Error:
  × `extends`: there is no file `base/base/dean.toml`
   ╭─[base/cnn.toml:1:11]
 1 │ extends = "base/dean.toml"
   ·           ────────────────
 2 │ trian = 1
   ╰────
  help: did you mean `base/deam.toml`?

Error:
  × unknown key `trian`
   ╭─[base/cnn.toml:2:1]
 1 │ extends = "base/dean.toml"
 2 │ trian = 1
   · ──┬──
   ·   ╰── not a table of an experiment
   ╰────
  help: did you mean `train`?
"#);
}

#[test]
fn a_mistake_in_a_base_is_shown_in_the_base() {
    let case = Case::new("in-base")
        .file(
            "base.toml",
            &config_support::sound().replace("\"val/loss\"", "\"val/los\""),
        )
        .file("cnn.toml", "extends = \"base.toml\"\n[train]\nepochs = 2\n");
    assert_snapshot!(case.rendered(), @r#"
 × unknown value "val/los" of `train.early_stopping.monitor`
   ╭─[in-base/base.toml:25:30]
24 │ epochs = 3
25 │ early_stopping = { monitor = "val/los" }
   ·                              ────┬────
   ·                                  ╰── expected "val/loss", "val/mse", "val/mae", "val/ccc", "val/pearson", "val/accuracy", "val/uar" or "val/macro-f1"
   ╰────
 help: did you mean "val/loss"?
"#);
}

#[test]
fn mistakes_on_the_command_line_are_shown_in_the_argument() {
    let case = Case::new("set")
        .file("cnn.toml", &config_support::sound())
        .set("train.epochs=many")
        .set("optimiser.learning_rate=0.1")
        .set("model.layers[7].dropout=0.5")
        .set("model.layers[0].conv2d.channels=0")
        .set("dataset.split.fractions=[0.5, 0.5")
        .set("train.device=2026")
        .set("train.batch_size")
        .set("train..batch_size=3");
    assert_snapshot!(case.rendered(), @r#"
  × 8 mistakes in the experiment

Error:
  × `train.epochs`: expected an integer, found the string "many"
   ╭─[--set:1:14]
 1 │ train.epochs=many
   ·              ──┬─
   ·                ╰── expected an integer
   ╰────

Error:
  × unknown key `optimiser`
   ╭─[--set:1:1]
 1 │ optimiser.learning_rate=0.1
   · ────┬────
   ·     ╰── not a table of an experiment
   ╰────
  help: did you mean `optimizer`?

Error:
  × there is no `model.layers[7]`
   ╭─[--set:1:14]
 1 │ model.layers[7].dropout=0.5
   ·              ┬
   ·              ╰── the array has 2 entries, 0 to 1
   ╰────

Error:
  × `model.layers[0].conv2d.channels` must be between 1 and 65536, not 0
   ╭─[--set:1:33]
 1 │ model.layers[0].conv2d.channels=0
   ·                                 ┬
   ·                                 ╰── out of range
   ╰────

Error:
  × `train.device`: expected "auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:3",
  │ "cuda:4", "cuda:5", "cuda:6" or "cuda:7", found the integer 2026
   ╭─[--set:1:14]
 1 │ train.device=2026
   ·              ──┬─
   ·                ╰── expected "auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6" or "cuda:7"
   ╰────

Error:
  × `train.batch_size` sets nothing
   ╭─[--set:1:1]
 1 │ train.batch_size
   · ────────┬───────
   ·         ╰── there is no `=` in it
   ╰────
  help: write `--set key=value`, as in `--set train.epochs=3`

Error:
  × `train..batch_size` is not the name of a setting
   ╭─[--set:1:7]
 1 │ train..batch_size=3
   ·       ▲
   ·       ╰── there is no key here
   ╰────
  help: names look like `train.epochs` or `model.layers[0].dropout`

Error:
  × this is not valid TOML
   ╭─[--set:1:33]
 1 │ dataset.split.fractions=[0.5, 0.5
   ·                                 ┬
   ·                                 ╰── unclosed array, expected `]`
   ╰────
"#);
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let case = Case::new("environment")
        .file("cnn.toml", &config_support::sound())
        .environment("AFFECT_TRAIN__EPOCHS", "0")
        .environment("AFFECT_TRIAN__EPOCHS", "1")
        .environment("AFFECT_COLOR", "not a setting")
        .environment("PATH", "/bin");
    assert_snapshot!(case.rendered(), @"
  × 2 mistakes in the experiment

Error:
  × `train.epochs` must be between 1 and 1000000, not 0
   ╭─[environment variable `AFFECT_TRAIN__EPOCHS`:1:22]
 1 │ AFFECT_TRAIN__EPOCHS=0
   ·                      ┬
   ·                      ╰── out of range
   ╰────

Error:
  × unknown key `trian`
   ╭─[environment variable `AFFECT_TRIAN__EPOCHS`:1:8]
 1 │ AFFECT_TRIAN__EPOCHS=1
   ·        ──┬──
   ·          ╰── not a table of an experiment
   ╰────
  help: did you mean `train`?
");
}

#[test]
fn a_number_out_of_range_is_shown_with_its_range() {
    let text = config_support::sound()
        .replace("epochs = 3", "epochs = 0\nbatch_size = 99999999999999999999")
        .replace("learning_rate = 1e-3", "learning_rate = -1\nbeta1 = nan");
    assert_snapshot!(Case::new("range").file("cnn.toml", &text).rendered(), @r#"
  × 4 mistakes in the experiment

Error:
  × `optimizer.learning_rate` must be between 0 and 1000, not -1
    ╭─[range/cnn.toml:18:17]
 17 │ kind = "adam"
 18 │ learning_rate = -1
    ·                 ─┬
    ·                  ╰── out of range
 19 │ beta1 = nan
    ╰────

Error:
  × `optimizer.beta1`: expected a finite number, found nan
    ╭─[range/cnn.toml:19:9]
 18 │ learning_rate = -1
 19 │ beta1 = nan
    ·         ───
 20 │
    ╰────

Error:
  × `train.epochs` must be between 1 and 1000000, not 0
    ╭─[range/cnn.toml:25:10]
 24 │ [train]
 25 │ epochs = 0
    ·          ┬
    ·          ╰── out of range
 26 │ batch_size = 99999999999999999999
    ╰────

Error:
  × `train.batch_size`: 99999999999999999999 is too large a number
    ╭─[range/cnn.toml:26:14]
 25 │ epochs = 0
 26 │ batch_size = 99999999999999999999
    ·              ────────────────────
 27 │ early_stopping = { monitor = "val/loss" }
    ╰────
"#);
}

#[test]
fn missing_tables_and_keys_say_what_they_are_for() {
    let text = "[dataset]\nkind = \"deam-static\"\n[model]\n[optimizer]\nlearning_rate = 0.1\n";
    assert_snapshot!(Case::new("missing").file("cnn.toml", text).rendered(), @r#"
  × 4 mistakes in the experiment

Error:
  × missing key `root` in `dataset`
   ╭─[missing/cnn.toml:1:1]
 1 │ [dataset]
   · ────┬────
   ·     ╰── kind = "deam-static" needs `root`
 2 │ kind = "deam-static"
   ╰────
  help: `root` is a string: The folder that holds `annotations/` and `MEMD_audio/` (or
        `DEAM_Annotations/` and `DEAM_audio/`).

Error:
  × missing key `layers` in `model`
   ╭─[missing/cnn.toml:3:1]
 2 │ kind = "deam-static"
 3 │ [model]
   · ───┬───
   ·    ╰── needs `layers`, or a `preset`
 4 │ [optimizer]
   ╰────
  help: `layers` is an array of tables

Error:
  × missing key `kind` in `optimizer`
   ╭─[missing/cnn.toml:4:1]
 3 │ [model]
 4 │ [optimizer]
   · ─────┬─────
   ·      ╰── which kind?
 5 │ learning_rate = 0.1
   ╰────
  help: `kind` is "adam", "adamw", "sgd" or "rmsprop"

Error:
  × missing table `[loss]` in missing/cnn.toml
  help: What is minimised.
        kinds: mse, mae, smooth-l1, huber, ccc, cross-entropy, contrastive
"#);
}

#[test]
fn settings_that_make_no_sense_together_are_shown() {
    let text = r#"
[experiment]
tags = ["a", "a"]
[dataset]
kind = "table"
root = "data"
file = "labels.csv"
audio = "file"
label = "emotion"
split = { kind = "random", fractions = [0.8, 0.3, 0.0] }
[features]
n_fft = 401
win_length = 512
fmin = 100.0
fmax = 50.0
[[model.layers]]
conv2d = { channels = 8, kernel = [3, 4], stride = 2 }
[[model.layers]]
linear = "targets"
[loss]
kind = "mse"
[optimizer]
kind = "adam"
[train]
early_stopping = { monitor = "val/ccc" }
[evaluate]
baselines = ["majority", "ridge", "majority"]
"#;
    assert_snapshot!(Case::new("together").file("cnn.toml", text).rendered(), @r#"
  × 12 mistakes in the experiment

Error:
  × `a` stands twice in `experiment.tags`
   ╭─[together/cnn.toml:3:14]
 2 │ [experiment]
 3 │ tags = ["a", "a"]
   ·              ───
 4 │ [dataset]
   ╰────

Error:
  × `dataset.split.fractions` must sum to 1
    ╭─[together/cnn.toml:10:40]
  9 │ label = "emotion"
 10 │ split = { kind = "random", fractions = [0.8, 0.3, 0.0] }
    ·                                        ───────┬───────
    ·                                               ╰── sums to 1.1
 11 │ [features]
    ╰────
  help: the shares of train, val and test, such as [0.8, 0.1, 0.1]

Error:
  × the share of test is 0
    ╭─[together/cnn.toml:10:51]
  9 │ label = "emotion"
 10 │ split = { kind = "random", fractions = [0.8, 0.3, 0.0] }
    ·                                                   ─┬─
    ·                                                    ╰── must be above 0
 11 │ [features]
    ╰────

Error:
  × `features.n_fft` must be even, not 401
    ╭─[together/cnn.toml:12:9]
 11 │ [features]
 12 │ n_fft = 401
    ·         ───
 13 │ win_length = 512
    ╰────

Error:
  × the window of 512 samples is longer than the transform
    ╭─[together/cnn.toml:13:14]
 12 │ n_fft = 401
 13 │ win_length = 512
    ·              ─┬─
    ·               ╰── must be at most `features.n_fft`, which is 401
 14 │ fmin = 100.0
    ╰────

Error:
  × no frequencies between 100 and 50 Hz
    ╭─[together/cnn.toml:15:8]
 14 │ fmin = 100.0
 15 │ fmax = 50.0
    ·        ──┬─
    ·          ╰── must be above `features.fmin`, which is 100
 16 │ [[model.layers]]
    ╰────

Error:
  × padding = "same" (the default) needs an odd kernel
    ╭─[together/cnn.toml:17:35]
 16 │ [[model.layers]]
 17 │ conv2d = { channels = 8, kernel = [3, 4], stride = 2 }
    ·                                   ───┬──
    ·                                      ╰── must be odd
 18 │ [[model.layers]]
    ╰────
  help: give `padding` as a number, or as [rows, columns]

Error:
  × padding = "same" (the default) needs a stride of 1
    ╭─[together/cnn.toml:17:52]
 16 │ [[model.layers]]
 17 │ conv2d = { channels = 8, kernel = [3, 4], stride = 2 }
    ·                                                    ┬
    ·                                                    ╰── must be 1
 18 │ [[model.layers]]
    ╰────
  help: give `padding` as a number, or as [rows, columns]

Error:
  × the loss "mse" is for numbers, but the dataset gives classes
    ╭─[together/cnn.toml:21:8]
 20 │ [loss]
 21 │ kind = "mse"
    ·        ──┬──
    ·          ╰── not for classes
 22 │ [optimizer]
    ╰────
  help: for classes: "cross-entropy"

Error:
  × the monitored value "val/ccc" is for numbers, but the dataset gives classes
    ╭─[together/cnn.toml:25:30]
 24 │ [train]
 25 │ early_stopping = { monitor = "val/ccc" }
    ·                              ────┬────
    ·                                  ╰── not for classes
 26 │ [evaluate]
    ╰────
  help: for classes: "val/loss", "val/accuracy", "val/uar" or "val/macro-f1"

Error:
  × the baseline "ridge" is for numbers, but the dataset gives classes
    ╭─[together/cnn.toml:27:26]
 26 │ [evaluate]
 27 │ baselines = ["majority", "ridge", "majority"]
    ·                          ───┬───
    ·                             ╰── not for classes
    ╰────
  help: for classes: "majority", "stratified", "logistic" or "knn"

Error:
  × `majority` stands twice in `evaluate.baselines`
    ╭─[together/cnn.toml:27:35]
 26 │ [evaluate]
 27 │ baselines = ["majority", "ridge", "majority"]
    ·                                   ──────────
    ╰────
"#);
}

#[test]
fn keys_that_belong_elsewhere_are_shown_where_they_belong() {
    let text = config_support::sound()
        .replace("epochs = 3", "learning_rate = 0.1")
        .replace("kind = \"plateau\"", "factor = 0.5")
        .replace("channels = 8", "channels = 8, colour = 1");
    assert_snapshot!(Case::new("elsewhere").file("cnn.toml", &text).rendered(), @r#"
  × 3 mistakes in the experiment

Error:
  × unknown key `colour`
    ╭─[elsewhere/cnn.toml:9:26]
  8 │ [[model.layers]]
  9 │ conv2d = { channels = 8, colour = 1 }
    ·                          ───┬──
    ·                             ╰── not a key of `model.layers[0].conv2d`
 10 │ [[model.layers]]
    ╰────
  help: valid here: channels, kernel, stride, padding, dilation, groups, bias, init, batch_norm,
        activation, max_pool, dropout

Error:
  × unknown key `factor`
    ╭─[elsewhere/cnn.toml:21:1]
 20 │ [schedule]
 21 │ factor = 0.5
    · ───┬──
    ·    ╰── not a key of `schedule` with kind = "constant"
 22 │
    ╰────
  help: `factor` belongs to kind = "plateau", "step" or "exponential"

Error:
  × unknown key `learning_rate`
    ╭─[elsewhere/cnn.toml:24:1]
 23 │ [train]
 24 │ learning_rate = 0.1
    · ──────┬──────
    ·       ╰── not a key of `train`
 25 │ early_stopping = { monitor = "val/loss" }
    ╰────
  help: `learning_rate` is a key of `[optimizer]`
"#);
}

#[test]
fn a_key_lost_with_another_kind_is_named() {
    let case = Case::new("lost")
        .file(
            "base.toml",
            &config_support::sound().replace("\"synthetic\"\nsongs = 20", "\"deam-static\"\nroot = \"deam\""),
        )
        .file(
            "cnn.toml",
            "extends = \"base.toml\"\n[dataset]\nkind = \"table\"\nfile = \"x.csv\"\naudio = \"path\"\n",
        )
        .file(
            "other.toml",
            "extends = \"cnn.toml\"\n[dataset]\nroot = \"x\"\ntargets = [\"valence\"]\n",
        );
    assert_snapshot!(case.rendered_of("cnn.toml"), @r#"
 × missing key `root` in `dataset`
  ╭─[lost/cnn.toml:2:1]
1 │ extends = "base.toml"
2 │ [dataset]
  · ────┬────
  ·     ╰── kind = "table" needs `root`
3 │ kind = "table"
  ╰────
 help: `root` is a string: The folder that the other paths are relative to.
       `lost/base.toml` gives it, but for another kind: a table whose `kind` changes is replaced
       whole
"#);
    case.load_file("other.toml").unwrap();
}

#[test]
fn a_table_and_an_array_mixed_up_are_shown() {
    let text = config_support::sound()
        .replace("[[model.layers]]\nlinear", "linear")
        .replace("[train]", "[[train]]");
    assert_snapshot!(Case::new("mixed").file("cnn.toml", &text).rendered(), @"
  × 2 mistakes in the experiment

Error:
  × `model.layers[0]` holds `conv2d` and `linear`: each layer needs a table of its own
   ╭─[mixed/cnn.toml:8:1]
 7 │
 8 │ [[model.layers]]
   · ────────────────
 9 │ conv2d = { channels = 8 }
   ╰────
  help: write `[[model.layers]]` before each

Error:
  × `train`: expected a table, found an array
    ╭─[mixed/cnn.toml:22:1]
 21 │
 22 │ [[train]]
    · ────┬────
    ·     ╰── expected a table
 23 │ epochs = 3
    ╰────
  help: write its header in single brackets: […]
");
}

#[test]
fn an_empty_file_and_one_that_is_no_text_are_named() {
    assert_snapshot!(Case::new("empty").file("cnn.toml", "").rendered(), @"
  × 4 mistakes in the experiment

Error:
  × missing table `[dataset]` in empty/cnn.toml
  help: Where the examples come from. `kind` decides which keys there are.
        kinds: table, deam-static, deam-dynamic, meld, imemnet, imemnet-c-image, imemnet-c-music,
        synthetic, synthetic-pairs

Error:
  × missing table `[model]` in empty/cnn.toml
  help: A feed-forward network: layers in order.

Error:
  × missing table `[loss]` in empty/cnn.toml
  help: What is minimised.
        kinds: mse, mae, smooth-l1, huber, ccc, cross-entropy, contrastive

Error:
  × missing table `[optimizer]` in empty/cnn.toml
  help: How the parameters move.
        kinds: adam, adamw, sgd, rmsprop
");
    let case = Case::new("bytes").bytes("cnn.toml", b"a = 1\nb = \"\xff\"\n");
    assert_snapshot!(case.rendered(), @"
× `bytes/cnn.toml` is not text: line 2 is not valid UTF-8
help: is it a TOML file, saved as UTF-8?
");
}

#[test]
fn a_date_and_a_bare_word_are_refused() {
    let text = config_support::sound().replace("seed = 7", "seed = 2026-11-21\ndescription = hello");
    assert_snapshot!(Case::new("date").file("cnn.toml", &text).rendered(), @r#"
  × 2 mistakes in the experiment

Error:
  × `experiment.seed`: no setting is a date
   ╭─[date/cnn.toml:2:8]
 1 │ [experiment]
 2 │ seed = 2026-11-21
   ·        ──────────
 3 │ description = hello
   ╰────
  help: where it is meant as text, put it in quotes: "2026-11-21"

Error:
  × this is not valid TOML
   ╭─[date/cnn.toml:3:15]
 2 │ seed = 2026-11-21
 3 │ description = hello
   ·               ──┬──
   ·                 ╰── not a value; text needs quotes
 4 │
   ╰────
"#);
}

#[test]
fn places_are_plain_data_too() {
    let text = config_support::sound().replace("learning_rate", "learning_rat");
    let mistakes = Case::new("data").file("cnn.toml", &text).load().unwrap_err();
    let [mistake] = mistakes.list() else {
        panic!("{mistakes:?}")
    };
    assert!(mistake.file.ends_with("cnn.toml"));
    let line = text.lines().position(|line| line.contains("learning_rat")).unwrap() + 1;
    assert_eq!((mistake.line, mistake.column), (Some(line), Some(1)));
    assert_eq!(mistake.help.as_deref(), Some("did you mean `learning_rate`?"));
    let json = serde_json::to_value(mistakes.list()).unwrap();
    assert_eq!(json[0]["message"], "unknown key `learning_rat`");
}

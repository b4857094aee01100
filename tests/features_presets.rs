//! `features.preset`: what it stands for, what is stronger than it, and where mistakes are shown.

mod config_support;

use affect::config::{Request, Source, flatten, load, to_toml};
use affect::dataset::{Example, Manifest, Media, Target, Task, Window};
use affect::features::{self, MelRecipe, Normalize, Preset, Recipe};
use config_support::{Case, sound};
use proptest::prelude::*;

fn with(features: &str) -> String {
    format!("{}\n[features]\n{features}\n", sound())
}

fn recipe(case: &Case) -> MelRecipe {
    match case.load().unwrap().experiment.features {
        Recipe::Mel(recipe) => recipe,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_preset_alone_is_its_recipe() {
    for preset in Preset::ALL {
        let name = preset.name();
        let case = Case::new(name).file("a.toml", &with(&format!("preset = {name:?}")));
        assert_eq!(recipe(&case), preset.recipe());
    }
}

/// The shapes that the field's own pipelines give.
#[test]
fn presets_have_the_shapes_of_the_field() {
    let manifest = Manifest {
        root: "root".into(),
        task: Task::Regression {
            targets: vec!["valence".into()],
        },
        examples: vec![Example {
            id: "1".into(),
            group: "1".into(),
            media: Media::Audio {
                path: "1.mp3".into(),
                window: Window::default(),
            },
            target: Target::Values(vec![0.0]),
            deviations: Vec::new(),
            split: None,
            source: affect::dataset::Source {
                file: std::path::Path::new("labels.csv").into(),
                line: None,
            },
        }],
        annotation_files: Vec::new(),
        faults: Vec::new(),
        remarks: Vec::new(),
    };
    let shape = |preset: Preset| {
        let recipe = Recipe::Mel(preset.recipe());
        features::shape(&recipe, &manifest, &[affect::dataset::Split::Train], Default::default()).unwrap()
    };
    assert_eq!(shape(Preset::DeamDynamic), [1, 128, 431]);
    assert_eq!(shape(Preset::Music2emotion), [1, 64, 1292]);
    assert_eq!(shape(Preset::Meld128), [1, 128, 128]);
}

#[test]
fn keys_beside_a_preset_change_it_one_by_one() {
    let text = with("preset = \"meld-128\"\nn_mels = 40\nscale = { kind = \"log\" }");
    let changed = recipe(&Case::new("beside").file("a.toml", &text));
    let scale = affect::audio::Scale::Log { offset: 1e-6 };
    let expected = MelRecipe {
        n_mels: 40,
        scale,
        ..Preset::Meld128.recipe()
    };
    assert_eq!(changed, expected);
    // A part of a table inside.
    let text = with("preset = \"meld-128\"\nscale.top_db = 60.0");
    let affect::audio::Scale::Db { top_db, .. } = recipe(&Case::new("part").file("a.toml", &text)).scale else {
        panic!("the scale is dB")
    };
    assert!((top_db - 60.0).abs() < 1e-12);
}

#[test]
fn stronger_layers_change_a_preset_and_another_preset_begins_anew() {
    let base = with("preset = \"deam-dynamic\"\nn_mels = 64");
    let case = |name: &str, child: &str| {
        let child = format!("extends = \"base.toml\"\n[features]\n{child}\n");
        Case::new(name).file("base.toml", &base).file("a.toml", &child)
    };
    let layered = recipe(&case("layers", "hop_length = 256").set("features.fmin=20.0"));
    assert_eq!(layered.preset, Some(Preset::DeamDynamic));
    assert_eq!((layered.n_mels, layered.hop_length, layered.fmin), (64, 256, 20.0));
    // The same name again changes nothing.
    assert_eq!(recipe(&case("again", "preset = \"deam-dynamic\"")).n_mels, 64);
    // Another one: what was said for the first does not hold.
    assert_eq!(
        recipe(&case("anew", "preset = \"music2emotion\"")),
        Preset::Music2emotion.recipe()
    );
    let full = with("sample_rate = 8000\nn_mels = 20\nnormalize = \"min-max\"");
    let case = || Case::new("command").file("a.toml", &full);
    assert_eq!(
        recipe(&case().set("features.preset=deam-dynamic")),
        Preset::DeamDynamic.recipe()
    );
    // Settings of one rank stand side by side, in whatever order they are said.
    let both = recipe(&case().set("features.n_mels=30").set("features.preset=deam-dynamic"));
    assert_eq!((both.n_mels, both.sample_rate), (30, 44_100));
    let from_environment = case().environment("AFFECT_FEATURES__PRESET", "meld-128");
    assert_eq!(recipe(&from_environment), Preset::Meld128.recipe());
    // Over a table of another kind.
    let npy = with("kind = \"npy\"\nfolder = \"x\"\nlayout = \"song-seg\"");
    let case = Case::new("over-npy").file("a.toml", &npy);
    assert_eq!(
        recipe(&case.set("features.preset=music2emotion")),
        Preset::Music2emotion.recipe()
    );
}

#[test]
fn mistakes_beside_a_preset_keep_their_places() {
    let text = with("preset = \"deam-dynamic\"\nn_mells = 64\nhop_length = 0");
    insta::assert_snapshot!(Case::new("keys").file("a.toml", &text).rendered(), @r#"
      × 2 mistakes in the experiment

    Error:
      × unknown key `n_mells`
        ╭─[keys/a.toml:29:1]
     28 │ preset = "deam-dynamic"
     29 │ n_mells = 64
        · ───┬───
        ·    ╰── not a key of `features` with kind = "mel"
     30 │ hop_length = 0
        ╰────
      help: did you mean `n_mels`?

    Error:
      × `features.hop_length` must be between 1 and 65536, not 0
        ╭─[keys/a.toml:30:14]
     29 │ n_mells = 64
     30 │ hop_length = 0
        ·              ┬
        ·              ╰── out of range
        ╰────
    "#);
    let text = with("preset = \"deam-dynamics\"");
    insta::assert_snapshot!(Case::new("name").file("a.toml", &text).rendered(), @r#"
      × unknown value "deam-dynamics" of `features.preset`
        ╭─[name/a.toml:28:10]
     27 │ [features]
     28 │ preset = "deam-dynamics"
        ·          ───────┬───────
        ·                 ╰── expected "deam-dynamic", "music2emotion" or "meld-128"
        ╰────
      help: did you mean "deam-dynamic"?
    "#);
    // What the preset says is shown where its name is.
    let text = with("preset = \"deam-dynamic\"\nfmin = 9000.0");
    insta::assert_snapshot!(Case::new("together").file("a.toml", &text).rendered(), @r#"
      × no frequencies between 9000 and 8000 Hz
        ╭─[together/a.toml:28:10]
     27 │ [features]
     28 │ preset = "deam-dynamic"
        ·          ───────┬──────
        ·                 ╰── must be above `features.fmin`, which is 9000
     29 │ fmin = 9000.0
        ╰────
    "#);
    let text = with("kind = \"npy\"\npreset = \"deam-dynamic\"\nfolder = \"x\"\nlayout = \"song-seg\"");
    insta::assert_snapshot!(Case::new("kind").file("a.toml", &text).rendered(), @r#"
      × unknown key `preset`
        ╭─[kind/a.toml:29:1]
     28 │ kind = "npy"
     29 │ preset = "deam-dynamic"
        · ───┬──
        ·    ╰── not a key of `features` with kind = "npy"
     30 │ folder = "x"
        ╰────
      help: `preset` belongs to kind = "mel"
    "#);
}

#[test]
fn it_is_known_where_a_setting_of_a_preset_was_written() {
    let case = Case::new("origin").file(
        "a.toml",
        "extends = \"b.toml\"\n[features]\npreset = \"meld-128\"\nfmin = 5.0",
    );
    let case = case.file("b.toml", &sound());
    let resolved = case.load_file("a.toml").unwrap();
    let line = |path: &str| resolved.origin(path).map(|origin| (origin.file, origin.line));
    assert_eq!(line("features.frames"), Some(("origin/a.toml".into(), 3)));
    assert_eq!(line("features.scale.top_db"), Some(("origin/a.toml".into(), 3)));
    assert_eq!(line("features.fmin"), Some(("origin/a.toml".into(), 4)));
}

#[test]
fn a_record_holds_the_resolved_values() {
    let case = Case::new("record").file("a.toml", &with("preset = \"meld-128\"\nn_mels = 40"));
    let settings = flatten(&case.load().unwrap().experiment);
    let value = |key: &str| {
        settings
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("features.preset"), Some("meld-128"));
    assert_eq!(value("features.n_mels"), Some("40"));
    assert_eq!(value("features.sample_rate"), Some("16000"));
    assert_eq!(value("features.scale.reference"), Some("max"));
}

/// What an experiment file may say beside a preset.
fn overrides() -> impl Strategy<Value = Vec<String>> {
    let one = prop_oneof![
        (1u32..100).prop_map(|mels| format!("n_mels = {mels}")),
        (1u32..2000).prop_map(|hop| format!("hop_length = {hop}")),
        (1u32..300).prop_map(|frames| format!("frames = {frames}")),
        (0.5f64..40.0).prop_map(|seconds| format!("duration = {seconds:?}")),
        (0.0f64..120.0).prop_map(|top_db| format!("scale.top_db = {top_db:?}")),
        Just("scale = { kind = \"log\", offset = 1e-5 }".to_owned()),
        Just("scale = { kind = \"power\" }".to_owned()),
        Just("normalize = \"train-statistics\"".to_owned()),
        Just("center = false".to_owned()),
    ];
    prop::collection::vec(one, 0..4).prop_map(|mut lines| {
        let key = |line: &String| line.split([' ', '.']).next().map(str::to_owned);
        let mut seen = Vec::new();
        lines.retain(|line| {
            let new = !seen.contains(&key(line));
            seen.push(key(line));
            new
        });
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_recorded_loads_as_the_same_experiment(preset in 0usize..3, lines in overrides()) {
        let text = with(&format!("preset = {:?}\n{}", Preset::ALL[preset].name(), lines.join("\n")));
        let load = |text: String| load(&Request::new(Source::Text { name: "x".into(), text })).unwrap().experiment;
        let experiment = load(text);
        prop_assert_eq!(load(to_toml(&experiment)), experiment);
    }
}

#[test]
fn per_example_normalisation_is_said_by_the_recipe() {
    assert_eq!(
        Recipe::Mel(Preset::Music2emotion.recipe()).normalize(),
        Normalize::Standard
    );
}

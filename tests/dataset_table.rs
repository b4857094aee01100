//! `kind = "table"`: what is read, everything that can be wrong with it, and EmoDB's real files.

use std::path::{Path, PathBuf};

use affect::dataset::{DatasetSpec, Error, LoadContext, Manifest, Split, Target, Task, Window, split};
use affect::files;

/// A corpus with `labels.csv` and some small files that stand for audio (nothing here opens them).
struct Corpus(tempfile::TempDir);

impl Corpus {
    fn new(table: &str, audio: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files::write_whole(&folder.path().join("labels.csv"), table.as_bytes()).unwrap();
        for name in audio {
            let path = folder.path().join(name);
            files::create_folder(path.parent().unwrap()).unwrap();
            files::write_whole(&path, b"RIFF").unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Loads it with further `settings`.
    fn load(&self, settings: &str) -> Result<Manifest, Error> {
        load(self.path(), settings)
    }
}

fn load(root: &Path, settings: &str) -> Result<Manifest, Error> {
    let mut table: toml::Table = toml::from_str(settings).unwrap();
    table.insert("kind".into(), "table".into());
    table.insert("root".into(), root.to_str().unwrap().into());
    table.entry("file").or_insert("labels.csv".into());
    table.entry("audio").or_insert("file".into());
    let spec: DatasetSpec = table.try_into().unwrap();
    spec.load(&LoadContext {
        cache: Path::new("unused"),
        progress: &|_, _| {},
    })
}

/// The message, with the corpus's folder cut away.
fn message(corpus: &Corpus, settings: &str) -> String {
    let error = corpus.load(settings).unwrap_err();
    error.to_string().replace(&format!("{}/", corpus.path().display()), "")
}

#[test]
fn numbers_with_windows_groups_and_a_split() {
    let corpus = Corpus::new(
        "\u{feff}file,song,valence,arousal,from,to,side,note\r\n\
         a.mp3,1, 0.5 ,-1e-1,0,5.5,train,\"commas, quoted\"\r\n\
         a.mp3,1,0,1,5.5,,Training,\r\n\
         b.mp3,2,0.25,1,,3,dev,\r\n\
         c.mp3,3,0.25,1,1,2.5,test,\r\n",
        &["clips/a.mp3", "clips/b.mp3", "clips/c.mp3"],
    );
    let manifest = corpus
        .load(
            "targets = ['arousal', 'valence']\ngroup = 'song'\nstart = 'from'\nend = 'to'\nsplit_column = 'side'\n\
             audio_root = 'clips'\nsplit.kind = 'column'",
        )
        .unwrap();
    assert_eq!(
        manifest.task,
        Task::Regression {
            targets: vec!["arousal".into(), "valence".into()]
        }
    );
    let ids: Vec<_> = manifest.examples.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["a.mp3@0", "a.mp3@5.5", "b.mp3@0", "c.mp3@1"]);
    let groups: Vec<_> = manifest.examples.iter().map(|it| it.group.as_str()).collect();
    assert_eq!(groups, ["1", "1", "2", "3"]);
    assert_eq!(manifest.examples[0].target, Target::Values(vec![-0.1, 0.5]));
    let windows: Vec<_> = (manifest.examples.iter()).map(|it| it.media.window()).collect();
    let window = |start, duration| Window { start, duration };
    assert_eq!(
        windows,
        [
            window(0.0, Some(5.5)),
            window(5.5, None),
            window(0.0, Some(3.0)),
            window(1.0, Some(1.5))
        ]
    );
    assert_eq!(manifest.examples[3].media.path(), corpus.path().join("clips/c.mp3"));
    assert_eq!(manifest.examples[3].source.line, Some(5));
    assert_eq!(manifest.annotation_files, [corpus.path().join("labels.csv")]);
    let sides = split::assign(&manifest, &split::SplitSpec::Column, 1).unwrap();
    assert_eq!(sides, [Split::Train, Split::Train, Split::Val, Split::Test]);
}

#[test]
fn classes_are_sorted_and_rows_of_one_file_are_a_group() {
    let corpus = Corpus::new(
        "file,start,emotion,Emotion\na.wav,0,joy,x\na.wav,1,anger,x\nb.wav,0,joy,y\nc.wav,0,anger,y\n",
        &["a.wav", "b.wav", "c.wav"],
    );
    let manifest = corpus.load("label = 'emotion'\nstart = 'start'").unwrap();
    assert_eq!(
        manifest.task,
        Task::Classification {
            label: "emotion".into(),
            classes: vec!["anger".into(), "joy".into()]
        }
    );
    let read: Vec<_> = manifest
        .examples
        .iter()
        .map(|it| (it.group.as_str(), it.target.clone()))
        .collect();
    let (anger, joy) = (Target::Class(0), Target::Class(1));
    assert_eq!(
        read,
        [
            ("a.wav", joy.clone()),
            ("a.wav", anger.clone()),
            ("b.wav", joy),
            ("c.wav", anger)
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_line() {
    let corpus = Corpus::new(
        "file,id,speaker,valence,arousal,from,to,side\n\
         a.wav,1,x,nan,0.5,0,1,train\n\
         a.wav,2,,abc,0.5,0,1,train\n\
         a.wav,3,x,\"1,5\",,0,1,train\n\
         a.wav,4,x,1,1e300,-1,1,train\n\
         a.wav,5,x,1,1,3,2,train\n\
         a.wav,6,x,1,1,0,1,trial\n\
         ,7,x,1,1,0:01,1,test\n\
         a.wav,8,x,1,1,0,1,val\n\
         a.wav,8,x,1,1,1,2,val\n\
         a.wav,9,x,1,1,1,2\n\
         gone.wav,10,x,1,1,1,2,test\n",
        &["a.wav"],
    );
    let message = message(
        &corpus,
        "targets = ['valence', 'arousal', 'dominance']\nid = 'id'\ngroup = 'speaker'\nstart = 'from'\nend = 'to'\nsplit_column = 'side'",
    );
    let expected = "\
14 problems in the annotations:
  labels.csv:1: no column `dominance` (dataset.targets); there are `file`, `id`, `speaker`, `valence`, `arousal`, `from`, `to`, `side`
  labels.csv:2: target `valence` is nan, not a finite number
  labels.csv:3: target `valence` is \"abc\", not a number
  labels.csv:3: the group (column `speaker`) is empty
  labels.csv:4: target `valence` is \"1,5\"; write 1.5: the point is the decimal sign
  labels.csv:4: target `arousal` is empty, but a number is needed
  labels.csv:5: target `arousal` is 1e300, too large for a number here
  labels.csv:5: `from` is -1 seconds, before the beginning of the file
  labels.csv:6: `to` (2) is not after `from` (3)
  labels.csv:7: `side` is `trial`, but must be `train`, `val` or `test`
  labels.csv:8: the audio path (column `file`) is empty
  labels.csv:8: `from` is \"0:01\", not a number; it is the time in seconds
  labels.csv:10: id `8` is already on line 9; ids must be unique
  labels.csv:11: 7 fields where the header has 8
1 audio file cannot be used:
  gone.wav: missing (named in labels.csv:12)";
    assert_eq!(message, expected);
}

#[test]
fn a_class_needs_two_examples_and_a_label_two_classes() {
    let corpus = Corpus::new(
        "file,emotion\na.wav,joy\nb.wav,joy\nc.wav,jyo\nd.wav,\n",
        &["a.wav", "b.wav", "c.wav", "d.wav"],
    );
    let said = message(&corpus, "label = 'emotion'");
    assert!(
        said.contains("labels.csv:4: class `jyo` (emotion) has this one example only"),
        "{said}"
    );
    assert!(
        said.contains("labels.csv:5: the label (column `emotion`) is empty"),
        "{said}"
    );
    let corpus = Corpus::new("file,emotion\na.wav,joy\nb.wav,joy\n", &["a.wav", "b.wav"]);
    let said = message(&corpus, "label = 'emotion'");
    assert!(said.contains("every row has the class `joy`"), "{said}");
}

#[test]
fn a_row_twice_is_a_duplicate_and_the_way_out_is_named() {
    let corpus = Corpus::new("file,valence\na.wav,1\na.wav,2\n", &["a.wav"]);
    let said = message(&corpus, "targets = ['valence']");
    assert!(
        said.contains("labels.csv:3: id `a.wav` is already on line 2; rows that share a file need a unique id"),
        "{said}"
    );
}

#[test]
fn missing_audio_is_collected_and_on_error_decides() {
    let mut table = "file,valence\n".to_owned();
    for number in 0..20 {
        table += &format!("{number}.wav,{number}\n");
    }
    let present: Vec<String> = (0..6).map(|number| format!("{number}.wav")).collect();
    let corpus = Corpus::new(&table, &present.iter().map(String::as_str).collect::<Vec<_>>());
    files::write_whole(&corpus.path().join("6.wav"), b"").unwrap();
    files::create_folder(&corpus.path().join("7.wav")).unwrap();

    let said = message(&corpus, "targets = ['valence']");
    assert!(
        said.starts_with("14 audio files cannot be used:\n  6.wav: empty (0 bytes) (named in labels.csv:8)\n"),
        "{said}"
    );
    assert!(
        said.contains("  7.wav: a folder, not an audio file (named in labels.csv:9)\n"),
        "{said}"
    );
    assert!(said.contains("  8.wav: missing (named in labels.csv:10)\n"), "{said}");
    assert!(said.ends_with("\n  … and 4 more"), "{said}");
    assert!(
        corpus
            .load("targets = ['valence']")
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("on_error")
    );

    let skipped = corpus.load("targets = ['valence']\non_error = 'skip'").unwrap();
    assert_eq!((skipped.examples.len(), skipped.faults.len()), (6, 14));
    assert_eq!(
        skipped.remarks,
        ["14 examples of 20 left out, because the audio cannot be used (on_error = \"skip\")"]
    );
    let zeros = corpus.load("targets = ['valence']\non_error = 'zeros'").unwrap();
    assert_eq!((zeros.examples.len(), zeros.faults.len()), (20, 14));
    assert!(zeros.is_faulty(&corpus.path().join("8.wav")) && !zeros.is_faulty(&corpus.path().join("0.wav")));
    assert_ne!(skipped.fingerprint(), zeros.fingerprint());
}

#[test]
fn a_class_whose_files_are_all_missing_is_not_skipped_silently() {
    let corpus = Corpus::new(
        "file,emotion\na.wav,joy\nb.wav,joy\nc.wav,fear\nd.wav,fear\ne.wav,fear\n",
        &["a.wav", "b.wav", "c.wav"],
    );
    let said = message(&corpus, "label = 'emotion'\non_error = 'skip'");
    assert!(
        said.contains("labels.csv:4: class `fear` has 1 of its 3 examples left"),
        "{said}"
    );
    assert!(said.contains("2 audio files cannot be used"), "{said}");
}

#[test]
fn when_nothing_is_left_it_says_so() {
    let corpus = Corpus::new("file,valence\na.wav,1\nb.wav,2\n", &[]);
    let said = message(&corpus, "targets = ['valence']\non_error = 'skip'");
    assert!(said.starts_with("all 2 examples were left out"), "{said}");
    let hint = corpus.load("targets = ['valence']").unwrap_err().hint().unwrap();
    assert!(hint.starts_with("none of the audio was found"), "{hint}");
}

#[test]
fn the_order_of_the_rows_is_kept_and_paths_may_be_absolute() {
    let corpus = Corpus::new("", &["z.wav", "a.wav"]);
    let absolute = corpus.path().join("a.wav");
    let table = format!("file,valence\nz.wav,1\n{},2\n", absolute.display());
    files::write_whole(&corpus.path().join("labels.csv"), table.as_bytes()).unwrap();
    let manifest = corpus.load("targets = ['valence']").unwrap();
    let paths: Vec<_> = manifest
        .examples
        .iter()
        .map(|it| it.media.path().to_path_buf())
        .collect();
    assert_eq!(paths, [corpus.path().join("z.wav"), absolute]);
}

#[test]
fn settings_and_folders_that_make_no_sense_are_refused() {
    let corpus = Corpus::new("file,valence\na.wav,1\n", &["a.wav"]);
    let error = |settings: &str| corpus.load(settings).unwrap_err();
    assert!(error("").to_string().contains("nothing to predict"));
    assert!(error("targets = ['valence']\nlabel = 'x'").to_string().contains("both"));
    assert!(error("targets = ['valence', 'valence']").to_string().contains("twice"));
    assert!(
        error("targets = ['valence']\nsplit.kind = 'column'")
            .to_string()
            .contains("split_column")
    );
    assert!(matches!(
        error("targets = ['valence']\nfile = 'lables.csv'"),
        Error::NoFile { .. }
    ));
    assert!(matches!(
        error("targets = ['valence']\nfile = '.'"),
        Error::FileIsFolder { .. }
    ));
    let nowhere = load(&corpus.path().join("nowhere"), "targets = ['valence']").unwrap_err();
    assert!(nowhere.to_string().ends_with("nowhere` does not exist"), "{nowhere}");
    assert!(nowhere.hint().unwrap().contains("--set dataset.root="));
    let file = load(&corpus.path().join("labels.csv"), "targets = ['valence']").unwrap_err();
    assert!(matches!(file, Error::RootIsNoFolder { .. }), "{file}");
}

#[test]
fn unknown_keys_are_refused_and_keys_are_written_with_underscores() {
    let parse = |text: &str| toml::from_str::<DatasetSpec>(text);
    let base = "kind = 'table'\nroot = 'r'\nfile = 'f.csv'\naudio = 'a'\n";
    assert!(
        parse(&format!(
            "{base}split_column = 's'\non_error = 'skip'\naudio_root = 'x'"
        ))
        .is_ok()
    );
    assert!(parse(&format!("{base}labels = 's'")).is_err());
    assert_eq!(parse(base).unwrap().kind(), "table");
}

#[allow(clippy::disallowed_methods, reason = "tests find the shared data by the environment")]
fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("AFFECT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if folder.join("emodb").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no EmoDB in {} (set AFFECT_SHARED_DATA)", folder.display());
    None
}

#[test]
fn the_experiments_on_speech_and_rendered_music_are_complete() {
    for (name, kind) in [("quickstart", "synthetic"), ("emodb-cnn", "table")] {
        let experiment = named_experiment(name);
        assert_eq!(
            (experiment.experiment.name.as_str(), experiment.dataset.kind()),
            (name, kind)
        );
        assert!(!experiment.experiment.description.is_empty());
    }
}

fn named_experiment(name: &str) -> affect::config::Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("experiments/{name}.toml"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn emodb_is_read_whole_and_split_by_speaker() {
    let Some(shared) = shared_data() else { return };
    let mut experiment = named_experiment("emodb-cnn");
    let DatasetSpec::Table(spec) = &mut experiment.dataset else {
        panic!("emodb-cnn is a table");
    };
    spec.root = shared.join("emodb");
    let context = LoadContext {
        cache: Path::new("unused"),
        progress: &|_, _| {},
    };
    let manifest = experiment.dataset.load(&context).unwrap();
    assert_eq!(manifest.examples.len(), 339);
    assert_eq!((manifest.faults.len(), manifest.remarks.len()), (0, 0));
    let Task::Classification { classes, .. } = &manifest.task else {
        panic!("emotions are classes");
    };
    assert_eq!(
        classes,
        &["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]
    );
    let of_class: Vec<usize> = (0..7)
        .map(|class| {
            manifest
                .examples
                .iter()
                .filter(|it| it.target == Target::Class(class))
                .count()
        })
        .collect();
    assert_eq!(of_class, [84, 50, 22, 42, 46, 56, 39]);

    let sides = split::assign(&manifest, experiment.dataset.split(), experiment.experiment.seed).unwrap();
    let mut speakers: Vec<(Split, &str)> = sides
        .iter()
        .zip(&manifest.examples)
        .map(|(side, example)| (*side, example.group.as_str()))
        .collect();
    speakers.sort();
    speakers.dedup();
    assert_eq!(speakers.len(), 7, "{speakers:?}");
    let of = |side| speakers.iter().filter(|it| it.0 == side).count();
    assert_eq!(Split::ALL.map(of), [4, 1, 2]);
}

//! MELD: its real tables, and a small corpus with real MP4 files in six channels and every trap.

mod corpora_support;

use std::path::Path;

use affect::dataset::split::{self, assign};
use affect::dataset::{Error, Manifest, Split, SplitSpec, Target, Task};
use corpora_support::meld::{self, Nesting};
use corpora_support::{golden, has_ffmpeg, load, result, shared, train, write};

fn ids(manifest: &Manifest) -> Vec<&str> {
    manifest.examples.iter().map(|it| it.id.as_str()).collect()
}

fn says(manifest: &Manifest, text: &str) {
    assert!(
        manifest.remarks.iter().any(|it| it.contains(text)),
        "{text}: {:?}",
        manifest.remarks
    );
}

#[test]
fn the_real_tables_have_the_documented_counts() {
    let Some(root) = shared("meld") else { return };
    let manifest = load("meld", &root, "").unwrap();
    let count = |split: Split| manifest.examples.iter().filter(|it| it.split == Some(split)).count();
    assert_eq!(Split::ALL.map(count), [9989, 1109, 2610]);
    assert_eq!((manifest.faults.len(), manifest.annotation_files.len()), (13_708, 3));
    let Task::Classification { label, classes } = &manifest.task else {
        panic!()
    };
    assert_eq!(
        (label.as_str(), classes.join(" ").as_str()),
        ("emotion", "anger disgust fear joy neutral sadness surprise")
    );
    let neutral = |split: Split| {
        let of_split = manifest.examples.iter().filter(|it| it.split == Some(split));
        of_split.filter(|it| it.target == Target::Class(4)).count()
    };
    assert_eq!(Split::ALL.map(neutral), [4710, 470, 1256]);
    let first = &manifest.examples[0];
    assert_eq!(
        (first.id.as_str(), first.group.as_str()),
        ("train/dia0_utt0", "train/dia0")
    );
    let details = first.details.as_ref().unwrap();
    assert_eq!(details.speaker.as_deref(), Some("Chandler"));
    assert_eq!(details.time, Some((976.059, 981.731)));
    assert!(details.text.as_ref().unwrap().contains("company’s transition"));
    says(&manifest, "13708 examples of 13708 kept as zeros");
    let sides = assign(&manifest, &SplitSpec::Official, 1).unwrap();
    assert!(
        manifest
            .examples
            .iter()
            .zip(sides)
            .all(|(example, side)| example.split == Some(side))
    );

    let sentiment = load("meld", &root, "label = 'sentiment'").unwrap();
    let of_test = sentiment.examples.iter().filter(|it| it.split == Some(Split::Test));
    let mut counts = [0; 3];
    of_test.for_each(|it| match it.target {
        Target::Class(class) => counts[class as usize] += 1,
        Target::Values(_) => {}
    });
    assert_eq!(counts, [833, 1256, 521]);

    // Characters speak in all splits: divided by speaker, the official split leaks.
    let by_speaker = load("meld", &root, "group = 'speaker'").unwrap();
    let error = assign(&by_speaker, &SplitSpec::Official, 1).unwrap_err();
    let split::Error::Leak { leaks } = &error else {
        panic!("{error}")
    };
    assert!(
        leaks
            .iter()
            .any(|leak| leak.group == "Rachel" && leak.sides == Split::ALL),
        "{error}"
    );
    assert!(
        error.to_string().contains("`Chandler` in train and val and test"),
        "{error}"
    );
}

#[test]
fn the_key_is_of_split_dialogue_and_utterance_and_classes_are_sorted() {
    let root = tempfile::tempdir().unwrap();
    meld::tables(root.path(), Nesting::Nested);
    let manifest = load("meld", root.path(), "").unwrap();
    assert_eq!(manifest.examples.len(), 19 + 9 + 9);
    for (split, name) in [(Split::Train, "train"), (Split::Val, "dev"), (Split::Test, "test")] {
        for (dialogue, number) in meld::utterances(split) {
            let id = format!("{name}/dia{dialogue}_utt{number}");
            let example = manifest.examples.iter().find(|it| it.id == id).unwrap();
            let emotion = meld::emotion(split, dialogue, number);
            let class = meld::EMOTIONS.iter().position(|it| *it == emotion).unwrap();
            assert_eq!(example.target, Target::Class(class as u32));
            assert_eq!(example.split, Some(split));
        }
    }
    says(
        &manifest,
        "the official split divides dialogues, not speakers: 3 of the 3 speakers",
    );
}

#[test]
fn lists_of_ids_choose_and_order_whatever_their_form() {
    let root = tempfile::tempdir().unwrap();
    meld::tables(root.path(), Nesting::Flat);
    // The pickle's rows are numbers of utterances: dialogue 1 has no number 2, and six rows are more than a dialogue has.
    let expected = [
        "train/dia1_utt0",
        "train/dia1_utt1",
        "train/dia0_utt0",
        "train/dia0_utt1",
        "train/dia0_utt2",
        "dev/dia0_utt0",
        "dev/dia0_utt1",
        "dev/dia0_utt2",
        "dev/dia0_utt3",
        "dev/dia0_utt4",
        "dev/dia1_utt0",
        "dev/dia1_utt1",
        "test/dia1_utt0",
        "test/dia1_utt1",
        "test/dia0_utt0",
        "test/dia0_utt1",
    ];
    for protocol in ["0", "1", "2", "3", "4", "5", "numpy1"] {
        let file = format!("text_emotion.{protocol}.pkl");
        let path = golden("dataset").join(&file);
        let manifest =
            load("meld", root.path(), &format!("ids = {path:?}")).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(ids(&manifest), expected, "{file}");
        // train/dia4_utt0 and dev/dia0_utt5
        says(&manifest, "2 entries of `ids` name utterances that MELD's tables lack");
    }
    let array = golden("dataset/ids.npy");
    let manifest = load("meld", root.path(), &format!("ids = {array:?}")).unwrap();
    assert_eq!(
        ids(&manifest),
        ["train/dia1_utt0", "train/dia0_utt2", "dev/dia0_utt1", "test/dia1_utt1"]
    );
    says(&manifest, "4 of 37 utterances used");

    let pairs = golden("dataset/pairs.npy");
    write(
        &root.path().join("test.csv"),
        "Dialogue_ID,Utterance_ID\r\n1,1\r\n0,0\r\n",
    );
    write(&root.path().join("dev.csv"), "id\ndia1_utt4.mp4\n");
    let each = format!("ids = {{ train = {pairs:?}, val = 'dev.csv', test = 'test.csv' }}");
    let manifest = load("meld", root.path(), &each).unwrap();
    assert_eq!(
        ids(&manifest),
        [
            "train/dia1_utt0",
            "train/dia0_utt2",
            "dev/dia1_utt4",
            "test/dia1_utt1",
            "test/dia0_utt0"
        ]
    );

    write(
        &root.path().join("all.csv"),
        "split,dialogue,utterance\ntest,0,0\ntrain,1,0\ndev,0,1\n",
    );
    let manifest = load("meld", root.path(), "ids = 'all.csv'").unwrap();
    assert_eq!(ids(&manifest), ["test/dia0_utt0", "train/dia1_utt0", "dev/dia0_utt1"]);
}

#[test]
fn lists_that_cannot_be_used_say_why() {
    let root = tempfile::tempdir().unwrap();
    meld::tables(root.path(), Nesting::Flat);
    let complaint = |settings: &str| load("meld", root.path(), settings).unwrap_err().to_string();
    write(&root.path().join("plain.csv"), "id\ndia0_utt0\n");
    assert!(complaint("ids = 'plain.csv'").contains("plain.csv:2: dia0_utt0 is without a split"));
    write(&root.path().join("twice.csv"), "id\ntrain/dia0_utt0\ntrain/dia0_utt0\n");
    assert!(complaint("ids = 'twice.csv'").contains("twice.csv:3: dia0_utt0 of train is named twice"));
    write(&root.path().join("other.csv"), "a,b\n1,2\n");
    assert!(complaint("ids = 'other.csv'").contains("no columns `dialogue` and `utterance`"));
    write(
        &root.path().join("wrong.csv"),
        "split,dialogue,utterance\nholdout,0,0\n",
    );
    assert!(complaint("ids = 'wrong.csv'").contains("split is \"holdout\""));
    write(&root.path().join("none.csv"), "id\ntrain/dia99_utt0\n");
    assert!(complaint("ids = 'none.csv'").contains("name none of MELD's utterances"));
    write(&root.path().join("bad.pkl"), "gotcha");
    assert!(complaint("ids = 'bad.pkl'").contains("bad.pkl: it is no pickle, or it is damaged"));
    assert!(complaint("ids = 'list.txt'").contains("is no list of ids"));
    assert!(complaint("ids = 'missing.npy'").contains("missing.npy"));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        load("meld", empty.path(), "").unwrap_err(),
        Error::NoAnnotations { .. }
    ));
}

#[test]
fn the_experiment_trains_on_clips_in_six_channels_and_stays_aligned() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (nesting, name) in [(Nesting::Flat, "flat"), (Nesting::Nested, "nested")] {
        let root = folder.path().join(name);
        meld::generate(&root, nesting);
        let (summary, outcome) = train(folder.path(), "meld-audio-cnn", &root, &["train.batch_size=8"]);
        assert!(result(&summary, "accuracy").is_finite());
        assert!(outcome.stderr.contains("3 AppleDouble files"), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("2 examples of 37 kept as zeros"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("dia1_utt1."),
            "the damaged clip is named: {}",
            outcome.stderr
        );
        // Nothing lost its place: every utterance is predicted.
        let predictions =
            std::fs::read_to_string(Path::new(summary["folder"].as_str().unwrap()).join("predictions.csv"));
        let predictions = predictions.or_else(|_| {
            std::fs::read_to_string(
                folder
                    .path()
                    .join(summary["folder"].as_str().unwrap())
                    .join("predictions.csv"),
            )
        });
        let predictions = predictions.unwrap();
        assert_eq!(predictions.lines().count(), 1 + 37);
        assert!(predictions.contains("train/dia0_utt1") && predictions.contains("dev/dia1_utt1"));
    }
}

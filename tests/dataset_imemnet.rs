//! IMEMNet and IMEMNet-C: the real matching files and table, and small corpora with every trap.

mod corpora_support;

use std::collections::BTreeMap;
use std::path::Path;

use affect::dataset::imemnet::{Matching, matching};
use affect::dataset::{DatasetSpec, Manifest, Media, Split, SplitSpec, Target, split};
use corpora_support::{affect, imemnet, load, result, shared, spec, train, write};

fn pairs(root: &Path, settings: &str) -> Matching {
    let DatasetSpec::Imemnet(spec) = spec("imemnet", root, settings) else {
        panic!()
    };
    matching::load(&spec).unwrap_or_else(|error| panic!("{error}"))
}

fn says(remarks: &[String], text: &str) {
    assert!(remarks.iter().any(|it| it.contains(text)), "{text}: {remarks:?}");
}

#[test]
fn the_real_files_have_the_documented_rows_and_leak() {
    let Some(root) = shared("imemnet") else { return };
    let raw = pairs(&root, "");
    let count = |matching: &Matching, split: Split| matching.pairs.iter().filter(|pair| pair.split == split).count();
    // 8795 and 26115 rows, seven and nine of which repeat a pair.
    assert_eq!(Split::ALL.map(|split| count(&raw, split)), [0, 8788, 26_106]);
    says(&raw.remarks, "val: 7 rows repeat a pair");
    says(&raw.remarks, "test: 9 rows repeat a pair");
    says(&raw.remarks, "there is no file of the split train");
    assert_eq!(
        matching::count_lines(&raw_spec(&root)).unwrap(),
        BTreeMap::from([(Split::Val, 8795), (Split::Test, 26_115)])
    );
    let [leak] = raw.leaks().try_into().unwrap();
    assert_eq!(leak.splits, [Split::Val, Split::Test]);
    assert_eq!((leak.songs, leak.clips), ([90, 360, 90], [1750, 6760, 1598]));
    assert_eq!((leak.images, leak.pairs), ([1278, 4937, 1175], [8788, 26_106, 4110]));

    let cleaned = pairs(&root, "files = 'cleaned'");
    assert_eq!(Split::ALL.map(|split| count(&cleaned, split)), [0, 3270, 10_000]);
    let [leak] = cleaned.leaks().try_into().unwrap();
    assert_eq!((leak.songs, leak.clips), ([90, 359, 89], [1399, 4994, 971]));
    assert_eq!((leak.images, leak.pairs), ([981, 3480, 772], [3270, 10_000, 1532]));
    assert!(cleaned.pairs.iter().all(|pair| pair.score >= 0.5));

    // The official split is refused with the songs; by song it is divided anew without a leak.
    let error = raw.assign(&SplitSpec::Official, 1).unwrap_err();
    let split::Error::Leak { leaks } = &error else {
        panic!("{error}")
    };
    assert_eq!(leaks.len(), 90);
    assert!(
        error
            .to_string()
            .starts_with("the declared split leaks: 90 groups are on more than one side"),
        "{error}"
    );
    let sides = raw.assign(&SplitSpec::default(), 1).unwrap();
    let (_, song_of_clip) = raw.songs();
    let mut of_songs: BTreeMap<u32, Split> = BTreeMap::new();
    for (pair, side) in raw.pairs.iter().zip(&sides) {
        assert_eq!(of_songs.entry(song_of_clip[pair.clip as usize]).or_insert(*side), side);
    }
    assert_eq!(of_songs.len(), 360);
}

fn raw_spec(root: &Path) -> affect::dataset::ImemnetSpec {
    let DatasetSpec::Imemnet(spec) = spec("imemnet", root, "") else {
        panic!()
    };
    spec
}

#[test]
fn the_real_table_has_the_documented_rows() {
    let Some(root) = shared("imemnet-c") else { return };
    let read = |settings: &str| load("imemnet-c-image", &root, &format!("on_error = 'zeros'\n{settings}")).unwrap();
    let groups = |manifest: &Manifest| {
        manifest
            .examples
            .iter()
            .map(|it| it.group.as_str())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    let all = read("repeated = 'keep'");
    assert_eq!((all.examples.len(), groups(&all)), (24_758, 24_744));
    let dropped = read("");
    assert_eq!((dropped.examples.len(), groups(&dropped)), (24_736, 24_736));
    says(
        &dropped.remarks,
        "8 pictures have 22 rows with different values: left out (repeated): 2345, 2352, 2745, 2900, 3550, 4664, 6250, 6570",
    );
    let mean = read("repeated = 'mean'");
    assert_eq!(mean.examples.len(), 24_744);
    let value = |manifest: &Manifest, id: &str| match &manifest.examples.iter().find(|it| it.id == id).unwrap().target {
        Target::Values(values) => values.clone(),
        Target::Class(_) => Vec::new(),
    };
    let first = value(&all, "3053");
    assert!(
        first[0] == 0.0 && (f64::from(first[1]) - 0.921_847_246_891_652).abs() < 1e-6,
        "{first:?}"
    );
    assert!((value(&mean, "2352")[0] - (0.110_953 + 0.800_853 + 0.847_795) / 3.0).abs() < 1e-6);

    // Joined to the pairs: 4782 of the 4937 pictures in test, 1278 in val.
    let Some(pairs_root) = shared("imemnet") else { return };
    let joined = read(&format!(
        "matching = {:?}\nrepeated = 'keep'",
        pairs_root.to_str().unwrap()
    ));
    assert!(joined.examples.len() > 4782 && joined.examples.iter().all(|it| it.split.is_some()));
    let error = load(
        "imemnet-c-image",
        &root,
        &format!(
            "matching = {:?}\nsplit = {{ kind = 'official' }}",
            pairs_root.to_str().unwrap()
        ),
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1175 groups are on more than one side"), "{error}");
    let matched = pairs(
        &pairs_root,
        &format!("image_va = {:?}", root.join("image_va.csv").to_str().unwrap()),
    );
    let with_va = matched.image_va.iter().flatten().count();
    assert!((4700..5000).contains(&with_va), "{with_va}");
    says(&matched.remarks, "valence and arousal joined: 0 pairs have the clip's");
}

/// What the published cleaned files show of the arrays: raw rows and cleaned rows are in one order.
fn arrays_of(raw: &str, cleaned: &str, names: &mut BTreeMap<String, String>) {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut rows = raw.lines().map(words);
    for line in cleaned.lines().map(words) {
        let score: f64 = line[2].parse().unwrap();
        let row = rows
            .find(|row| row[0] == line[0] && (row[2].parse::<f64>().unwrap() - score).abs() < 1e-14)
            .unwrap();
        names.insert(row[1].clone(), line[1].clone());
    }
}

#[test]
fn cleaning_the_real_files_gives_the_real_cleaned_files() {
    let Some(root) = shared("imemnet") else { return };
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let files = [
        ("val_matching.txt", "cleaned/cleaned_val_matching.txt"),
        ("test_matching.txt", "cleaned/cleaned_test_matching.txt"),
    ];
    let mut names = BTreeMap::new();
    for (raw, cleaned) in files {
        arrays_of(&read(raw), &read(cleaned), &mut names);
    }
    assert_eq!(names.len(), 3689);
    // Manifests of the arrays that these files name; each picture has an earlier row with another array, which must not win.
    let folder = tempfile::tempdir().unwrap();
    let rows = |prefix: &str| {
        names
            .iter()
            .map(|(image, array)| format!("{image}.jpg,{prefix}{array}\n"))
            .collect::<String>()
    };
    write(
        &folder.path().join("emotic/annots_arrs/annot_arrs_train.csv"),
        format!("Filename,Crop_name\n{}", rows("other_")),
    );
    write(
        &folder.path().join("emotic/annots_arrs/annot_arrs_test.csv"),
        format!("Filename,Crop_name\n{}", rows("")),
    );
    let paths: Vec<String> = files
        .iter()
        .map(|(raw, _)| root.join(raw).canonicalize().unwrap().to_str().unwrap().to_owned())
        .collect();
    let outcome = affect(
        folder.path(),
        &[
            "datasets", "clean", "imemnet", &paths[0], &paths[1], "--emotic", "emotic", "--out", "out", "--json",
        ],
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("every array that the manifests name counts as being there"),
        "{}",
        outcome.stderr
    );
    let report = outcome.json();
    assert_eq!(
        (report[0]["rows"].as_u64(), report[0]["kept"].as_u64()),
        (Some(8795), Some(3271))
    );
    assert_eq!(
        (report[1]["rows"].as_u64(), report[1]["kept"].as_u64()),
        (Some(26_115), Some(10_003))
    );
    assert_eq!(
        (
            report[1]["clips"].as_u64(),
            report[1]["songs"].as_u64(),
            report[1]["pictures"].as_u64()
        ),
        (Some(4994), Some(359), Some(3480))
    );
    assert_eq!(
        (report[0]["repeated"].as_u64(), report[1]["repeated"].as_u64()),
        (Some(1), Some(3))
    );
    for (raw, cleaned) in files {
        let ours = std::fs::read_to_string(folder.path().join(format!("out/cleaned_{raw}"))).unwrap();
        let theirs = read(cleaned);
        assert!(ours.ends_with("\r\n"));
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.split("\r\n").collect(), theirs.split("\r\n").collect());
        assert_eq!(ours.len(), theirs.len());
        let mut reprinted = 0;
        for (ours, theirs) in ours.iter().zip(theirs) {
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let (ours, theirs) = (words(ours), words(theirs));
            assert_eq!(ours[..ours.len().min(2)], theirs[..theirs.len().min(2)]);
            if let (Some(a), Some(b)) = (ours.get(2), theirs.get(2)) {
                // pandas changed the last digit of some.
                reprinted += usize::from(a != b);
                assert!((a.parse::<f64>().unwrap() - b.parse::<f64>().unwrap()).abs() < 1e-14);
            }
        }
        assert!(reprinted < 1500, "{reprinted}");
    }
}

#[test]
fn pairs_are_checked_with_their_leak() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    imemnet::generate_matching(&root);
    imemnet::generate_pictures(&root);
    imemnet::generate_music(&root);
    let experiment = |more: &str| {
        let branch = |side: &str| {
            format!("[[model.{side}.layers]]\nadaptive_avg_pool2d = 2\n[[model.{side}.layers]]\nlinear = 4\n")
        };
        format!(
            "[dataset]\nkind = 'imemnet'\nroot = 'data'\non_error = 'skip'\n{more}\n[features]\nkind = 'pair'\n[features.image]\nsize = 16\n\
             [features.audio]\nduration = 1.0\n{}{}[model.head]\njoin = 'product'\n[loss]\nkind = 'mse'\n[optimizer]\nkind = 'adam'\n",
            branch("image"),
            branch("audio")
        )
    };
    write(&folder.path().join("official.toml"), experiment(""));
    let outcome = affect(folder.path(), &["check", "official.toml"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome
            .stderr
            .contains("warning: the files of val and test share 1 songs of 1 and 2, 3 clips of 3 and 6"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("`704` in val and test"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("dataset.split.kind = \"random\""),
        "{}",
        outcome.stderr
    );
    write(
        &folder.path().join("anew.toml"),
        experiment(
            "image_va = 'image_va.csv'\nmusic_va = 'music_va.csv'\nsplit = { kind = 'random', fractions = [0.5, 0.25, 0.25] }",
        ),
    );
    let outcome = affect(folder.path(), &["check", "anew.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let plan = outcome.json();
    // 18 clips twice, those of song 704 in two files, one row more with a picture without a table's row of its own; one repeats.
    assert_eq!(
        (plan["pairs"].as_u64(), plan["songs"].as_u64(), plan["clips"].as_u64()),
        (Some(43), Some(6), Some(18))
    );
    let leaks = plan["leaks"].as_array().unwrap();
    let leak = leaks
        .iter()
        .find(|leak| leak["splits"] == serde_json::json!(["val", "test"]))
        .unwrap();
    assert_eq!(leak["songs"], serde_json::json!([1, 2, 1]));
    let remarks: Vec<String> = serde_json::from_value(plan["remarks"].clone()).unwrap();
    says(&remarks, "train: 1 rows repeat a pair");
    says(&remarks, "43 pairs have the clip's, 43 the picture's, 43 both");
    // One picture is missing; its one pair goes.
    says(&remarks, "1 of 25 pictures and 0 of 18 clips are missing or empty");
    let outcome = affect(folder.path(), &["check", "anew.toml"]);
    for part in [
        "product",
        "image 1 linear",
        "3 × 16 × 16 per picture",
        "the experiment is sound",
    ] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    // The official split is taken where that is asked for, and its overlap is told.
    write(
        &folder.path().join("overlap.toml"),
        experiment("official_overlap = 'remark'"),
    );
    let outcome = affect(folder.path(), &["check", "overlap.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let remarks: Vec<String> = serde_json::from_value(outcome.json()["remarks"].clone()).unwrap();
    says(&remarks, "the files of val and test share 1 songs of 1 and 2");
    // By song and by picture: no picture is on two sides.
    write(
        &folder.path().join("both.toml"),
        experiment("group = 'song-and-image'\nsplit = { kind = 'random', fractions = [0.4, 0.3, 0.3] }"),
    );
    let outcome = affect(folder.path(), &["check", "both.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let plan = outcome.json();
    assert_eq!(plan["images_on_several_sides"], 0);
    let kept: u64 = (plan["splits"].as_array().unwrap().iter())
        .map(|side| side[1].as_u64().unwrap())
        .sum();
    assert!(kept < 43, "{kept}");
}

#[test]
fn pictures_train_from_files_and_from_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("imemnet-c");
    imemnet::generate_pictures(&root);
    imemnet::generate_arrays(&root.join("emotic"));
    let small = [
        "features.size=32",
        "dataset.split.fractions=[0.5,0.25,0.25]",
        "train.batch_size=8",
    ];
    let (summary, outcome) = train(folder.path(), "imemnet-c-image-va", &root, &small);
    assert!(result(&summary, "mse").is_finite());
    assert!(
        outcome
            .stderr
            .contains("1 pictures have 3 rows with different values: left out"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("1 example of 26 left out"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("the end of the JPEG picture is missing"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("[3, 32, 32]") || outcome.stderr.contains("3 × 32 × 32"),
        "{}",
        outcome.stderr
    );
    // The second time nothing is decoded; a list of the cache knows the pictures.
    let (_, outcome) = train(folder.path(), "imemnet-c-image-va", &root, &small);
    assert!(
        outcome.stderr.contains("0 computed, 24 from the cache"),
        "{}",
        outcome.stderr
    );
    let outcome = affect(folder.path(), &["features", "--list"]);
    assert!(outcome.stdout.contains("pictures of 32×32"), "{}", outcome.stdout);

    let arrays = [
        &small[..],
        &["dataset.pictures=\"arrays\"", "dataset.folder=\"emotic\""],
    ]
    .concat();
    let (summary, outcome) = train(folder.path(), "imemnet-c-image-va", &root, &arrays);
    assert!(result(&summary, "mse").is_finite());
    assert!(
        outcome.stderr.contains("8 examples of 26 left out"),
        "six of IAPS, one missing, one damaged: {}",
        outcome.stderr
    );

    // The last array of a picture counts, in the order val, train, extra_train, test.
    let manifest = load(
        "imemnet-c-image",
        &root,
        "pictures = 'arrays'\nfolder = 'emotic'\non_error = 'skip'",
    )
    .unwrap();
    let path = |id: &str| {
        let example = manifest.examples.iter().find(|it| it.id == id).unwrap();
        let Media::Image { path } = &example.media else {
            panic!()
        };
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(path("frame_x1"), "crop_arr_val_90.npy");

    // Spectrograms of pictures are refused where they are asked for.
    let path = corpora_support::experiment("imemnet-c-image-va");
    let outcome = affect(folder.path(), &["check", &path, "--set", "features.kind=\"mel\""]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("is made of pictures"), "{}", outcome.stderr);
}

#[test]
fn clips_with_captions_train_divided_by_song() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("imemnet-c");
    imemnet::generate_music(&root);
    imemnet::generate_matching(&root);
    let small = [
        "features.duration=1.0",
        "dataset.split.fractions=[0.5,0.25,0.25]",
        "dataset.on_error=\"skip\"",
    ];
    let (summary, _) = train(folder.path(), "imemnet-c-music-va", &root, &small);
    assert!(result(&summary, "mse").is_finite());
    let manifest = load("imemnet-c-music", &root, "on_error = 'skip'").unwrap();
    assert_eq!(manifest.examples.len(), 18);
    let first = &manifest.examples[0];
    assert_eq!((first.id.as_str(), first.group.as_str()), ("700-10", "700"));
    assert_eq!(
        first.details.as_ref().unwrap().text.as_deref(),
        Some("A \"slow\" song, with piano 0")
    );
    assert!(manifest.examples[1].media.path().ends_with("clips/700-11.WAV"));
    // Joined to the pairs, which do not name 799-1.
    let joined = load("imemnet-c-music", &root, "matching = ''").unwrap();
    assert_eq!(joined.examples.len(), 18);
    says(&joined.remarks, "18 of 19 clips are in a pair");
    let error = load("imemnet-c-music", &root, "matching = ''\nsplit = { kind = 'official' }").unwrap_err();
    assert!(
        error.to_string().contains("3 groups are on more than one side"),
        "{error}"
    );
}

//! `affect report`: pages of a run, of repeats, of several runs.

#![allow(clippy::disallowed_methods, reason = "tests read what the program wrote")]

mod common;

use std::path::Path;

use common::Lab;

fn page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("report.html")).unwrap()
}

/// The ids of the only parent and its children, oldest first.
fn family(lab: &Lab) -> (String, Vec<String>) {
    let database = lab.database();
    let ids = |which: &str| -> Vec<String> {
        let query = format!("SELECT id FROM runs WHERE parent_id {which} ORDER BY created_at, id");
        let mut query = database.prepare(&query).unwrap();
        let ids = query.query_map([], |row| row.get(0)).unwrap();
        ids.map(Result::unwrap).collect()
    };
    let parents = ids("IS NULL");
    assert_eq!(parents.len(), 1);
    (parents[0].clone(), ids("IS NOT NULL"))
}

/// Every link of a page leads to a file.
fn assert_links_lead_somewhere(folder: &Path, page: &str) -> usize {
    let links: Vec<&str> = page
        .split(" href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let links: Vec<&str> = links.into_iter().filter(|link| !link.starts_with("data:")).collect();
    for link in &links {
        assert!(folder.join(link).exists(), "{link}");
    }
    links.len()
}

/// A page without how long the run took, which is not recorded to the last digit.
fn without_duration(page: &str) -> String {
    let (before, after) = page.split_once("<dt>duration</dt>").unwrap();
    format!("{before}{}", after.split_once("</div>").unwrap().1)
}

#[test]
fn the_page_of_a_run_is_the_same_from_its_record() {
    let lab = Lab::new();
    lab.edit("reg.toml", "epochs = 2", "epochs = 2\nvalidate_every = { updates = 2 }");
    lab.succeed(&["run", "reg.toml"]);
    let run = lab.run("reg");
    let at_the_end = page(&run);
    std::fs::remove_file(run.join("report.html")).unwrap();
    std::fs::remove_dir_all(run.join("plots")).unwrap();
    let told = lab.succeed(&["report", "latest"]);
    assert!(told.stdout.trim().ends_with("report.html"), "{}", told.stdout);
    let from_record = page(&run);
    let (at_the_end, again) = (without_duration(&at_the_end), without_duration(&from_record));
    if at_the_end != again {
        let mut lines = at_the_end.lines().zip(again.lines());
        panic!("{:?}", lines.find(|(a, b)| a != b));
    }
    // Six validations: two epochs of three updates, each second one.
    for figure in [
        "residuals",
        "valence-arousal",
        "predicted-true",
        "baselines",
        "loss",
        "learning-rate",
    ] {
        assert!(from_record.contains(&format!("id=\"{figure}\"")), "{figure}");
        assert!(run.join("plots").join(format!("{figure}.png")).exists(), "{figure}");
    }
    assert!(from_record.contains("<audio controls"), "no sound");
    assert!(from_record.contains("affect reproduce"));
    let csv = std::fs::read_to_string(run.join("tables/results.csv")).unwrap();
    assert!(csv.lines().next().unwrap().contains("mean_ci_low"), "{csv}");
    assert!(assert_links_lead_somewhere(&run, &from_record) > 0);
}

#[test]
fn a_parent_has_a_page_of_its_own() {
    let lab = Lab::new();
    lab.edit(
        "cls.toml",
        "kind = \"random\"\nfractions = [0.5, 0.25, 0.25]",
        "kind = \"k-fold\"\nfolds = 3",
    );
    lab.succeed(&["run", "cls.toml", "--folds", "all", "--seeds", "2", "--jobs", "2"]);
    let (parent, children) = family(&lab);
    let folder = lab.path("runs/cls").join(&parent);
    let text = page(&folder);
    for child in &children {
        assert!(
            text.contains(&format!("<a href=\"../{child}/report.html\">{child}</a>")),
            "{child}"
        );
    }
    assert!(text.contains("2 seeds of 3 folds") && text.contains("seed 8, fold 2"));
    assert!(text.contains("Results of all test folds together") && text.contains("±"));
    for figure in ["confusion", "loss", "uar", "baselines"] {
        assert!(text.contains(&format!("id=\"{figure}\"")), "{figure}");
    }
    assert!(text.contains("one standard deviation"), "the band is not explained");
    assert!(assert_links_lead_somewhere(&folder, &text) >= children.len());
    // Each example was tested once by each seed.
    let examples = common::EXAMPLES;
    let count = format!("{} predictions of the {examples} test examples", 2 * examples);
    assert!(text.contains(&count), "{count}");
    assert!(text.contains(&format!(", of {examples} examples</dd>")));
    assert!(text.contains("<th scope=\"col\">seed</th>") && text.contains("the seed is that of the run which made it"));

    // From the record alone, also elsewhere.
    lab.succeed(&["report", &parent]);
    assert_eq!(page(&folder), text);
    lab.succeed(&["report", &parent, "--out", "elsewhere/x"]);
    let elsewhere = page(&lab.path("elsewhere/x"));
    assert!(elsewhere.contains(&format!("../../runs/cls/{}/report.html", children[0])));
    assert_links_lead_somewhere(&lab.path("elsewhere/x"), &elsewhere);

    // A child whose folder is gone leaves a page with what there is.
    std::fs::remove_dir_all(lab.path("runs/cls").join(&children[0])).unwrap();
    lab.succeed(&["report", &parent]);
    let text = page(&folder);
    assert!(
        !text.contains(&format!("href=\"../{}", children[0])),
        "a link to nothing"
    );
    assert!(text.contains("predictions of the repeats cannot be read"));
}

#[test]
fn several_runs_are_overlaid() {
    let lab = Lab::new();
    let repeated = lab.succeed(&["run", "reg.toml", "--seeds", "2", "--jobs", "2"]);
    lab.succeed(&["run", "reg.toml", "--set", "optimizer.learning_rate=0.03"]);
    let told = lab.succeed(&["report", "--experiment", "reg"]);
    let parent: String = lab.query("SELECT DISTINCT parent_id FROM runs WHERE parent_id IS NOT NULL");
    let of_repeats = page(&lab.path("runs/reg").join(&parent));
    assert!(of_repeats.contains(" examples of the test split") && of_repeats.contains("Each point is one prediction."));
    // Targets in the order of the experiment file, figures as in all tables.
    let table = of_repeats.split_once("<table class=\"results\">").unwrap().1;
    assert!(table.find("<td>valence</td>").unwrap() < table.find("<td>arousal</td>").unwrap());
    for told in [&repeated.stdout, &lab.succeed(&["show", &parent]).stdout] {
        assert!(told.find("valence").unwrap() < told.find("arousal").unwrap(), "{told}");
        let table = told.split("\nsettings").next().unwrap();
        assert!(
            !table.contains("NaN") && !table.contains("e-") && !table.contains(" -"),
            "{table}"
        );
    }
    let folder = lab.path(told.stdout.trim()).parent().unwrap().to_path_buf();
    assert!(folder.starts_with(lab.path("runs/reports")), "{}", folder.display());
    let text = page(&folder);
    assert!(text.contains("Settings that differ") && text.contains("optimizer.learning_rate"));
    // Both were split by the same seed, one by that of the experiment; repeats are called by their parent.
    assert!(!text.contains("dataset.split.seed"));
    let suffix = parent.rsplit('-').next().unwrap();
    assert!(text.contains(&format!("<li>reg {suffix}: 2 runs (")), "{suffix}");
    for figure in ["results", "loss", "mae"] {
        assert!(text.contains(&format!("id=\"{figure}\"")), "{figure}");
    }
    assert_eq!(assert_links_lead_somewhere(&folder, &text), 3);
    for kind in ["md", "csv", "tex"] {
        assert!(folder.join("tables").join(format!("comparison.{kind}")).exists());
    }
    let tex = std::fs::read_to_string(folder.join("tables/comparison.tex")).unwrap();
    assert!(
        tex.contains("\\toprule") && tex.contains("\\textbf{") && tex.contains("$\\pm$"),
        "{tex}"
    );
    // Again, into the same folder.
    assert_eq!(lab.succeed(&["report", "--experiment", "reg"]).stdout, told.stdout);
    assert_eq!(page(&folder), text);
    // Runs that were made before are still all that `ls` shows.
    let listed = lab.succeed(&["ls", "--all", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
}

#[test]
fn foreign_files_are_never_replaced() {
    let lab = Lab::new();
    lab.succeed(&["run", "cls.toml"]);
    lab.write("paper/plots/loss.svg", "mine");
    let complaint = lab.complaint(2, &["report", "latest", "--out", "paper"]);
    assert!(
        complaint.contains("loss.svg` is there already") && complaint.contains("--out"),
        "{complaint}"
    );
    assert_eq!(lab.read("paper/plots/loss.svg"), "mine");
    assert!(!lab.path("paper/report.html").exists());
    lab.write("notes/notes.txt", "mine");
    for _ in 0..2 {
        lab.succeed(&["report", "latest", "--out", "notes"]);
    }
    assert_eq!(lab.read("notes/notes.txt"), "mine");
    let complaint = lab.complaint(2, &["report"]);
    assert!(complaint.contains("no runs are named"), "{complaint}");
    let complaint = lab.complaint(2, &["report", "nothing-like-it"]);
    assert!(complaint.contains("nothing-like-it"), "{complaint}");
}

#[test]
fn an_unfinished_run_has_a_page() {
    let lab = Lab::new();
    lab.write("wild.toml", &lab.diverging(4));
    let failed = lab.affect(&["run", "wild.toml"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    lab.succeed(&["report", "latest"]);
    let text = page(&lab.run("wild"));
    assert!(text.contains("did not finish") && text.contains("No results were recorded"));
    assert!(text.contains("ended with an error"), "the error is not told");
    // Nor is a parent whose children fail without one.
    lab.edit("wild.toml", "seed = 7", "name = \"family\"\nseed = 7");
    let failed = lab.affect(&["run", "wild.toml", "--seeds", "2"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let parent: String = lab.query("SELECT DISTINCT parent_id FROM runs WHERE parent_id IS NOT NULL");
    let text = page(&lab.path("runs/family").join(parent));
    assert!(
        text.contains("0 of 2 runs are done") && text.contains("class=\"why\""),
        "{text}"
    );
}

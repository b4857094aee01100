//! LaTeX takes the tables, whatever they are called. Skipped where there is no pdflatex.

mod common;
mod report;

use std::path::Path;
use std::process::Command;

use affect::report::Output;
use common::Lab;

/// One column, as of an article.
const PAGE: &str = "\\documentclass{article}\n";
/// Two columns of 239.7 points, as of a paper on A4.
const COLUMNS: &str =
    "\\documentclass[10pt,twocolumn]{article}\n\\setlength{\\textwidth}{489.4pt}\\setlength{\\columnsep}{10pt}\n";

/// Sets a document with the files of `folder` named `names`; nothing may stick out of the page or the column by more than `tolerance`
/// points.
fn set(class: &str, folder: &Path, names: &[String], tolerance: f64) {
    let inputs: String = names.iter().map(|name| format!("\\input{{{name}}}\n")).collect();
    let document = format!(
        "{class}\\usepackage[T1]{{fontenc}}\n\\usepackage[utf8]{{inputenc}}\n\\usepackage{{booktabs}}\n\
         \\begin{{document}}\n{inputs}\\end{{document}}\n"
    );
    affect::files::write_whole(&folder.join("all.tex"), document.as_bytes()).unwrap();
    let output = Command::new("pdflatex")
        .args(["-interaction=nonstopmode", "-halt-on-error", "all.tex"])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(folder.join("all.pdf").exists());
    assert!(!said.contains("Float too large"), "{said}");
    let too_wide = said
        .lines()
        .filter_map(|line| line.strip_prefix("Overfull \\hbox (")?.split("pt").next());
    let too_wide: Vec<f64> = too_wide.map(|points| points.parse().unwrap()).collect();
    assert!(too_wide.iter().all(|points| *points < tolerance), "{too_wide:?}");
}

fn is_there() -> bool {
    let there = Command::new("pdflatex").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no pdflatex");
    }
    there
}

#[test]
fn the_tables_of_a_run_are_set() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut odd = report::regression(30, &["valence_50%", "[ä]&{\\x}", "^~#$<>|\"²−–…"], 3);
    odd.experiment = "100% & {more}_\\input{x}^2".to_owned();
    odd.baselines.iter_mut().for_each(|row| row.baseline.push_str("_%&"));
    for row in &mut odd.results {
        row.value = [f64::NAN, -1.5e-9, 3e7, -0.2][row.target.len() % 4];
    }
    let mut names = Vec::new();
    for (index, report) in [odd, report::classification(7, 60, 3)].iter().enumerate() {
        for (path, text) in Output::of_run(report).unwrap().tables {
            if path.ends_with(".tex") {
                let name = format!("t{index}{}", names.len());
                affect::files::write_whole(&folder.path().join(format!("{name}.tex")), text.as_bytes()).unwrap();
                names.push(name);
            }
        }
    }
    assert_eq!(names.len(), 2);
    // Powers of ten take more room than they seem to.
    set(PAGE, folder.path(), &names, 60.0);
}

#[test]
fn the_tables_of_repeats_and_comparisons_are_set() {
    if !is_there() {
        return;
    }
    let lab = Lab::new();
    lab.edit(
        "cls.toml",
        "kind = \"random\"\nfractions = [0.5, 0.25, 0.25]",
        "kind = \"k-fold\"\nfolds = 3",
    );
    lab.succeed(&["run", "cls.toml", "--folds", "all"]);
    lab.succeed(&["run", "reg.toml", "--seeds", "2"]);
    lab.succeed(&["run", "reg.toml", "--set", "optimizer.learning_rate=0.02"]);
    lab.succeed(&[
        "report",
        "--experiment",
        "reg",
        "--all-pairs",
        "--baselines",
        "--out",
        "both",
    ]);
    lab.succeed(&["report", "latest", "--out", "one"]);
    let parent: String =
        lab.query("SELECT DISTINCT parent_id FROM runs WHERE experiment = 'cls' AND parent_id IS NOT NULL");
    lab.succeed(&["report", &parent, "--out", "folds", "--width", "column"]);
    let names = [
        "both/tables/comparison",
        "one/tables/results",
        "folds/tables/results",
        "folds/tables/results-mean",
    ];
    // Differences with long names are a little wider than the page in the smallest type, too.
    set(PAGE, &lab.path(""), &names.map(str::to_owned), 60.0);

    let all = [
        "report",
        "--experiment",
        "reg",
        "--all-pairs",
        "--baselines",
        "--out",
        "columns",
        "--width",
        "column",
    ];
    lab.succeed(&all);
    lab.succeed(&["report", "latest", "--out", "column", "--width", "column"]);
    let names = [
        "columns/tables/comparison",
        "column/tables/results",
        "folds/tables/results",
        "folds/tables/results-mean",
    ];
    for name in names {
        let text = lab.read(&format!("{name}.tex"));
        assert!(!text.contains("table*"), "{text}");
        set(COLUMNS, &lab.path(""), &[name.to_owned()], 0.1);
    }
}

//! `affect ls`: which runs it lists, in which order, and what it shows of them.

mod common;
mod records_support;

use affect::track::Status;
use common::Lab;
use insta::assert_snapshot;
use records_support::{Made, make};

/// Four runs on their own, and a parent with two children.
struct Listed {
    lab: Lab,
    /// Oldest first: fast, slow, failed, other, parent, child, child.
    ids: Vec<String>,
}

impl Listed {
    fn new() -> Self {
        let lab = Lab::new();
        let runs = lab.path("runs");
        let mut ids = Vec::new();
        let mut add = |made: Made| {
            ids.push(make(&runs, made));
            ids.last().cloned().unwrap()
        };
        add(Made {
            learning_rate: 0.1,
            rmse: Some(0.4),
            tags: &["fast", "x"],
            ..Made::default()
        });
        add(Made {
            learning_rate: 1e-4,
            rmse: Some(0.2),
            tags: &["x"],
            ..Made::default()
        });
        add(Made {
            status: Status::Failed,
            rmse: None,
            seed: u64::MAX,
            ..Made::default()
        });
        add(Made {
            experiment: "b",
            rmse: Some(0.3),
            settings: "[model]\npreset = 'crnn'\nflag = true",
            ..Made::default()
        });
        let parent = add(Made {
            experiment: "c",
            rmse: Some(0.35),
            ..Made::default()
        });
        for seed in [1, 2] {
            add(Made {
                experiment: "c",
                seed,
                rmse: Some(0.3 + 0.05 * seed as f64),
                parent: Some(&parent),
                ..Made::default()
            });
        }
        Self { lab, ids }
    }

    /// Which runs, as places in `ids`.
    fn places(&self, more: &[&str]) -> Vec<usize> {
        let listed = self.lab.succeed(&[&["ls", "--json"], more].concat()).json();
        let ids = listed.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap());
        ids.map(|id| self.ids.iter().position(|known| known == id).unwrap())
            .collect()
    }

    /// The output with ids replaced by their places.
    fn shown(&self, more: &[&str]) -> String {
        let outcome = self.lab.succeed(&[&["ls"], more].concat());
        assert_eq!(outcome.stderr, "");
        let mut text = outcome.stdout;
        for (place, id) in self.ids.iter().enumerate() {
            text = text.replace(id, &format!("<{place:-<18}>"));
        }
        text
    }

    fn complaint(&self, more: &[&str]) -> String {
        self.lab.complaint(2, &[&["ls"], more].concat())
    }
}

#[test]
fn runs_are_filtered_by_everything_that_is_known_of_them() {
    let listed = Listed::new();
    let places = |more: &[&str]| listed.places(more);
    assert_eq!(places(&[]), [4, 3, 2, 1, 0]);
    assert_eq!(places(&["--all"]), [4, 5, 6, 3, 2, 1, 0]);
    assert_eq!(places(&["--experiment", "a"]), [2, 1, 0]);
    assert_eq!(places(&["--status", "failed"]), [2]);
    assert_eq!(places(&["--tag", "fast"]), [0]);
    assert_eq!(places(&["--since", "1h"]), [4, 3, 2, 1, 0]);
    assert!(places(&["--since", "0s"]).is_empty());
    for (condition, expected) in [
        ("optimizer.learning_rate < 1e-3", &[1][..]),
        ("optimizer.learning_rate>=0.1", &[0]),
        ("optimizer.learning_rate = 0.001", &[4, 3, 2]),
        ("optimizer.kind = adam", &[4, 3, 2, 1, 0]),
        ("optimizer.kind > 3", &[]),
        ("test/rmse < 0.3", &[1]),
        ("test/rmse != 0.3", &[4, 1, 0]),
        ("test/rmse/valence <= 0.3", &[3, 1]),
        ("val/loss = 0.5", &[4, 3, 2, 1, 0]),
        ("val/loss > 0.5", &[]),
        ("model.preset = \"crnn\"", &[3]),
        ("model.preset != crnn", &[]),
        ("model.flag = true", &[3]),
        ("seed = 18446744073709551615", &[2]),
        ("children > 0", &[4]),
        ("created_at > 2026", &[4, 3, 2, 1, 0]),
        ("experiment > a", &[4, 3]),
        ("tags = \"fast x\"", &[0]),
    ] {
        assert_eq!(places(&["--where", condition]), expected, "{condition}");
    }
    assert_eq!(
        places(&["--where", "test/rmse < 0.35", "--where", "experiment != b"]),
        [1]
    );
}

#[test]
fn runs_are_sorted_with_those_without_a_value_last() {
    let listed = Listed::new();
    assert_eq!(listed.places(&["--sort", "test/rmse"]), [1, 3, 4, 0, 2]);
    assert_eq!(listed.places(&["--sort", "test/rmse", "--reverse"]), [0, 4, 3, 1, 2]);
    assert_eq!(
        listed.places(&["--sort", "optimizer.learning_rate", "--limit", "2"]),
        [1, 4]
    );
    assert_eq!(listed.places(&["--reverse", "--limit", "2"]), [0, 1]);
    assert_eq!(listed.places(&["--all", "--limit", "2"]), [4, 5]);
}

#[test]
fn parents_are_counted_and_their_children_shown_under_them() {
    let listed = Listed::new();
    assert_snapshot!(listed.shown(&[]), @r"
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 run                    experiment   status      epoch                   seed   children   test                     
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 <4----------------->   c            completed       –                      1   2 runs     rmse 0.3500  ccc 0.6500  
 <3----------------->   b            completed       2                      1              rmse 0.3000  ccc 0.7000  
 <2----------------->   a            failed          2   18446744073709551615              the loss is not a number 
 <1----------------->   a            completed       2                      1              rmse 0.2000  ccc 0.8000  
 <0----------------->   a            completed       2                      1              rmse 0.4000  ccc 0.6000  
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
");
    assert_snapshot!(listed.shown(&["--all", "--limit", "4"]), @r"
─────────────────────────────────────────────────────────────────────────────────────────────────────
 run                      experiment   status      epoch   seed   children   test                    
─────────────────────────────────────────────────────────────────────────────────────────────────────
 <4----------------->     c            completed       –      1   2 runs     rmse 0.3500  ccc 0.6500 
 └ <5----------------->   c            completed       2      1              rmse 0.3500  ccc 0.6500 
 └ <6----------------->   c            completed       2      2              rmse 0.4000  ccc 0.6000 
 <3----------------->     b            completed       2      1              rmse 0.3000  ccc 0.7000 
─────────────────────────────────────────────────────────────────────────────────────────────────────
");
}

#[test]
fn columns_are_what_was_asked_for() {
    let listed = Listed::new();
    let columns = ["--columns", "experiment,optimizer.learning_rate,test/rmse,error"];
    assert_snapshot!(listed.shown(&columns), @r"
────────────────────────────────────────────────────────────────────────────────────────────────────
 run                    experiment   optimizer.learning_rate   test/rmse   error                    
────────────────────────────────────────────────────────────────────────────────────────────────────
 <4----------------->   c                              0.001      0.3500   –                        
 <3----------------->   b                              0.001      0.3000   –                        
 <2----------------->   a                              0.001           –   the loss is not a number 
 <1----------------->   a                             0.0001      0.2000   –                        
 <0----------------->   a                                0.1      0.4000   –                        
────────────────────────────────────────────────────────────────────────────────────────────────────
");
    let csv = listed.shown(&[&columns[..], &["--csv", "--limit", "3"]].concat());
    assert_snapshot!(csv, @r"
id,experiment,optimizer.learning_rate,test/rmse,error
<4----------------->,c,0.001,0.35,
<3----------------->,b,0.001,0.3,
<2----------------->,a,0.001,,the loss is not a number
");
    let json = listed
        .lab
        .succeed(&["ls", "--json", "--columns", "seed,test/rmse", "--limit", "3"])
        .json();
    assert_eq!(json[0]["test/rmse"], 0.35);
    assert!(json[2]["test/rmse"].is_null());
    let default = listed.shown(&["--csv", "--limit", "1"]);
    assert!(
        default.starts_with("id,experiment,status,seed,device,created_at,finished_at,seconds,epoch,"),
        "{default}"
    );
    assert!(
        default.lines().next().unwrap().ends_with("error,test/ccc,test/rmse"),
        "{default}"
    );
    assert!(
        default.contains("completed") && default.ends_with(",0.65,0.35\n"),
        "{default}"
    );
}

#[test]
fn names_that_no_run_has_come_with_those_that_were_meant() {
    let listed = Listed::new();
    assert_snapshot!(listed.complaint(&["--where", "optimizer.learning_rat < 1"]), @r"
error: no run has a setting or figure called `optimizer.learning_rat`
 help: did you mean `optimizer.learning_rate`?
");
    assert_snapshot!(listed.complaint(&["--sort", "rmse"]), @r"
error: no run has a setting or figure called `rmse`
 help: did you mean `test/rmse` or `test/rmse/valence`?
");
    assert_snapshot!(listed.complaint(&["--columns", "xyz"]), @r"
error: no run has a setting or figure called `xyz`
 help: name a setting (`optimizer.learning_rate`), a figure (`test/rmse`) or a column (`status`); `affect show RUN` lists what a run has
");
    assert_snapshot!(listed.complaint(&["--where", "seed"]), @r"
error: `seed` is no condition: there is no `<`, `<=`, `>`, `>=`, `=` or `!=` in it
 help: write a name, a comparison and a value: `optimizer.learning_rate < 1e-3`, `test/rmse < 0.3`, `status = completed`
");
    assert_snapshot!(listed.complaint(&["--since", "yesterday"]), @r"
error: invalid value 'yesterday' for '--since <WHEN>': give a date (`2026-11-20`), a moment (`2026-11-20T15:30`) or an age (`30m`, `3h`, `2d`, `1w`)

For more information, try '--help'.
");
    let status = listed.complaint(&["--status", "done"]);
    assert!(
        status.contains("possible values: queued, running, completed"),
        "{status}"
    );
    let nothing = listed.lab.succeed(&["ls", "--where", "seed = 5"]);
    assert_eq!(
        (nothing.stdout.as_str(), nothing.stderr.as_str()),
        ("", "no such runs in runs\n")
    );
}

//! `compare`, `report` and `explain` as a shell sees them.

use std::path::Path;
use std::process::{Command, Output};

use s3b_tuner::compare::{Judged, Verdict, compare};
use s3b_tuner::outcome::Outcome;
use s3b_tuner::report::{explain, json};

use crate::fixture;

fn tuner(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_s3b-tuner")).current_dir(dir).args(args).output().unwrap()
}

/// The same with every real round of one workload slower.
fn slower(outcome: &Outcome, workload: usize, factor: f64) -> Outcome {
    let mut outcome = outcome.clone();
    for one in &mut outcome.configurations {
        one.measured_losses.iter_mut().for_each(|round| round[workload] *= factor);
    }
    outcome
}

#[test]
fn simulated_figures_are_compared_exactly() {
    let base = fixture::simulated();
    let verdict = |new: &Outcome| compare(&base, new, 0.05).verdict;
    assert_eq!(verdict(&base), Verdict::Fine);
    let mut new = base.clone();
    new.configurations[3].simulated[1].ledger.store.puts *= 2;
    new.configurations[4].simulated[0].seconds *= 0.5;
    let found = compare(&base, &new, 0.05);
    assert_eq!((found.verdict, found.changes.len()), (Verdict::Regression, 2));
    let worst = &found.changes[0];
    assert_eq!((worst.metric, &*worst.workload, worst.ratio), ("puts", "backup", Some(2.0)));
    assert_eq!(found.changes[1].judged, Judged::Better);
    new = base.clone();
    new.configurations[3].simulated[1].seconds *= 1.04;
    assert_eq!(verdict(&new), Verdict::Fine);
    new.configurations.pop();
    assert_eq!(verdict(&new), Verdict::Inconclusive, "a figure that is gone may be the slow one");
}

#[test]
fn real_rounds_are_compared_with_their_noise() {
    let base = fixture::confirmed();
    assert_eq!(compare(&base, &base, 0.05).verdict, Verdict::Fine);
    let found = compare(&base, &slower(&base, 1, 1.3), 0.05);
    assert_eq!((found.verdict, found.real), (Verdict::Regression, true));
    assert!(found.changes.iter().any(|one| one.workload == "backup" && one.judged == Judged::Worse), "{found:#?}");
    assert!(!found.changes.iter().any(|one| one.workload == "vm-io"), "{found:#?}");
    // Another price table is another question where dollars are part of the goal.
    let mut dearer = base.clone();
    dearer.prices.put_per_1000 *= 2.0;
    assert_eq!(compare(&base, &dearer, 0.05).verdict, Verdict::NotComparable);
    // Rounds that scatter by far more than the threshold show nothing.
    let mut noisy = base.clone();
    for one in &mut noisy.configurations {
        for (n, round) in one.measured_losses.iter_mut().enumerate() {
            round.iter_mut().for_each(|loss| *loss *= if n % 2 == 0 { 1.6 } else { 0.6 });
        }
    }
    assert_eq!(compare(&base, &noisy, 0.05).verdict, Verdict::Inconclusive);
}

/// The first rounds only.
fn rounds(outcome: &Outcome, count: usize) -> Outcome {
    let mut outcome = outcome.clone();
    for one in &mut outcome.configurations {
        one.measured_losses.truncate(count);
    }
    outcome
}

#[test]
fn sweeps_of_another_number_of_rounds_are_compared_all_the_same() {
    let base = fixture::confirmed();
    let all_slower = |outcome: &Outcome| (0..3).fold(outcome.clone(), |slow, workload| slower(&slow, workload, 2.0));
    let found = compare(&rounds(&base, 3), &all_slower(&rounds(&base, 4)), 0.05);
    assert_eq!((found.verdict, found.real, found.rounds), (Verdict::Regression, true, [3, 4]), "{found:#?}");
    // The same in few rounds is not shown to be the same.
    for (ours, theirs, wanted) in [(3, 3, Verdict::Inconclusive), (4, 6, Verdict::Inconclusive), (5, 6, Verdict::Fine)]
    {
        let found = compare(&rounds(&base, ours), &rounds(&base, theirs), 0.05);
        assert_eq!(found.verdict, wanted, "{ours} and {theirs}: {found:#?}");
    }
    // One round each shows nothing, and never falls back to the simulation, which is the same.
    for count in [0, 1, 2] {
        let found = compare(&rounds(&base, count), &all_slower(&rounds(&base, count)), 0.05);
        assert_eq!((found.verdict, found.real), (Verdict::Inconclusive, true), "{count}: {found:#?}");
        assert!(found.notes.iter().any(|note| note.starts_with(&format!("{count} real rounds"))), "{:?}", found.notes);
    }
}

#[test]
fn a_bad_round_counts_once_however_many_configurations_ran_in_it() {
    // Every configuration is slower in half of the rounds of the new one, by far: by pairs of runs that is dozens of times
    // the same evidence, by rounds it is three.
    let base = fixture::confirmed();
    let mut new = base.clone();
    for one in &mut new.configurations {
        for round in one.measured_losses.iter_mut().take(3) {
            round.iter_mut().for_each(|loss| *loss *= 1.25);
        }
    }
    let found = compare(&base, &new, 0.05);
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:#?}");
    // What is worse by less than two runs of one configuration differ by is not counted, nor called the same.
    let mut noisy = base.clone();
    noisy.trust.noise_floor = Some(0.5);
    for (one, other) in [(&base, &noisy), (&noisy, &base)] {
        let found = compare(one, &slower(other, 1, 1.3), 0.05);
        assert_eq!((found.verdict, found.limit), (Verdict::Inconclusive, 0.5), "{found:#?}");
        assert!(found.notes.iter().any(|note| note.contains("up to 50 %")), "{:?}", found.notes);
    }
}

#[test]
fn another_question_is_not_comparable() {
    let base = fixture::simulated();
    let changed = |change: fn(&mut Outcome)| {
        let mut new = base.clone();
        change(&mut new);
        let found = compare(&base, &new, 0.05);
        assert_eq!(found.verdict, Verdict::NotComparable, "{found:#?}");
        found.notes.concat()
    };
    assert!(changed(|new| new.workloads[0].bytes += 1).contains("workloads"));
    assert!(changed(|new| new.run.seed = 8).contains("seed"));
    assert!(changed(|new| new.place.model_toml.push(' ')).contains("model"));
    assert!(changed(|new| new.axes[1].values.push("128".into())).contains("settings"));
    assert!(changed(|new| new.goal.name = "cost".into()).contains("goal"));
    assert!(changed(|new| new.workloads[1].compressibility = 3.0).contains("compressibility 3"));
    assert!(changed(|new| new.workloads[1].zero_share = 0.5).contains("zero share 0.5"));
    let other = changed(|new| new.configurations[2].settings_toml.push_str("compress = \"zstd\"\n"));
    assert!(other.contains("do not vary: nothing else in the base, compress = \"zstd\" in the new"), "{other}");
    assert!(changed(|new| new.schema = "s3b-sweep/2".into()).contains("schema"));
}

#[test]
fn the_shell_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = fixture::confirmed();
    let mut other = base.clone();
    other.run.seed = 99;
    let files = [("base", &base), ("new", &slower(&base, 0, 1.4)), ("other", &other)];
    for (name, outcome) in files {
        std::fs::write(dir.path().join(format!("{name}.json")), json::render(outcome)).unwrap();
    }
    for (new, code) in [("base.json", 0), ("new.json", 1), ("other.json", 3), ("absent.json", 3)] {
        let output = tuner(dir.path(), &["compare", "base.json", new, "--threshold", "5%"]);
        assert_eq!(output.status.code(), Some(code), "{new}: {output:?}");
    }
    for format in ["json", "md"] {
        let output = tuner(dir.path(), &["compare", "base.json", "new.json", "--format", format]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("regression"), "{output:?}");
    }
    let output = tuner(dir.path(), &["report", "base.json", "--html", "page.html", "--format", "md"]);
    assert!(output.status.success() && output.stdout.starts_with(b"### s3b"), "{output:?}");
    assert!(std::fs::read_to_string(dir.path().join("page.html")).unwrap().starts_with("<!doctype html>"));
    let output = tuner(dir.path(), &["explain", "base.json"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), explain::render(&base, 100));
}

#[test]
fn an_explanation_names_every_setting_and_where_it_went() {
    let text = explain::render(&fixture::confirmed(), 100);
    for part in [
        "block-size: ",
        "block-cache-threads: ",
        "Block sizes by their worst case",
        "PUT rate",
        "merge reads",
        "link up",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\x1b'));
    // Of five rounds what is shown is little more than their range.
    let mut five = fixture::confirmed();
    five.configurations.iter_mut().for_each(|one| one.measured_seconds.truncate(5));
    let five = explain::render(&five, 100);
    assert!(text.contains("95 % interval") && !five.contains("95 % interval") && five.contains("range"), "{five}");
    println!(
        "{text}\n{}",
        s3b_tuner::compare::text(&compare(&fixture::confirmed(), &slower(&fixture::confirmed(), 1, 1.3), 0.05))
    );
}

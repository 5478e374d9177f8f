//! Durability as an axis, as a person meets it: what a sweep over it prints, recommends and writes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
    command.current_dir(dir).args(args).env_remove("RUST_LOG").stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// One line, however it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "#").collect::<Vec<_>>().join(" ")
}

const VARIED: [&str; 6] =
    ["sweep", "--scenario", "fsync-small", "--vary", "durability=store,journal", "--goal=latency"];

#[test]
fn a_sweep_over_durability_simulates_the_journal_and_says_what_it_means() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &[&VARIED[..], &["--vary", "write-delay=1s,4s", "--save", "run.json"]].concat());
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let outcome: Value = serde_json::from_str(&std::fs::read_to_string(home.path().join("run.json")).unwrap()).unwrap();
    let rows = outcome["configurations"].as_array().unwrap();
    let p50 = |n: usize| rows[n]["summary"]["flush_p50_ms"].as_f64().unwrap();
    assert_eq!(rows[2]["values"][0], "journal");
    assert!(p50(2) < p50(0) / 2.0, "a flush to the journal takes {} ms, one to the store {} ms", p50(2), p50(0));
    let share = |n: usize| &rows[n]["simulated"][0]["ledger"]["cache"]["flush_stores"];
    assert!(share(0).as_u64().unwrap() > 0 && share(2) == 0, "{} {}", share(0), share(2));
    for part in ["the cache file is the only copy", "assumed SSD", "durability", "with store"] {
        assert!(flat(&text).contains(part), "{part} is missing in:\n{text}");
    }
    let file = std::fs::read_to_string(home.path().join("s3b.toml")).unwrap();
    assert!(file.contains("durability = \"journal\"\n") && file.contains("block-cache-file = "), "{file}");
    assert!(flat(&file).contains("SET THIS PATH: nobody named one to the sweep."), "{file}");

    // The same without the journal: flushes are said to set the rate of PUTs.
    let stores = ["sweep", "--scenario", "fsync-small", "--vary", "write-delay=1s,4s", "--save", "run.json", "--force"];
    let text = said(&run(home.path(), &stores));
    let needed = ["flushes, not the write delay, set the PUT rate (", "durability = journal would"];
    assert!(needed.iter().all(|part| flat(&text).contains(part)), "{text}");
    let explained = said(&run(home.path(), &["explain", "run.json"]));
    assert!(needed.iter().all(|part| flat(&explained).contains(part)), "{explained}");
    assert!(explained.contains("forced by flushes"), "{explained}");
}

#[test]
fn real_runs_of_a_journal_have_cache_files_of_their_own_on_the_named_disk() {
    let (home, store, cache) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = cache.path().join("disk1");
    std::fs::write(&file, "of a mount").unwrap();
    let of_file = format!("--block-cache-file={}", file.display());
    let real = ["--test", store.path().to_str().unwrap(), "--latency=2ms", "--rounds=1", "--confirm=2", &of_file];
    let output = run(home.path(), &[&VARIED[..], &real].concat());
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for part in ["disk of", "as measured", "simulations do not touch --block-cache-file=", "real runs do not touch"] {
        assert!(flat(&text).contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"of a mount");
    let left = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!((left(cache.path()), left(store.path())), (vec!["disk1".into()], vec![]));
    let written = std::fs::read_to_string(home.path().join("s3b.toml")).unwrap();
    assert!(written.contains(&*file.display().to_string()) && !written.contains("SET THIS PATH"), "{written}");
}

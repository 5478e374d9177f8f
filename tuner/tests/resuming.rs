//! Sweeps on a store that something ended: what was measured is kept, and nothing of it is run again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_s3b-tuner");

/// Three configurations and the twin of the first; three rounds (the fewest that decide anything) and the hold-out.
const RUNS: usize = 13;

fn sweep(store: &Path) -> Vec<String> {
    let store = store.to_str().unwrap();
    let args = [
        &["sweep", "--test", store, "--latency", "1ms", "--scenario", "fsync-small", "--goal", "throughput"][..],
        &["--vary", "block-size=64k,128k", "--vary", "threads=4,8", "--confirm", "2", "--rounds", "3"],
        &["--save", "result.json"],
    ];
    args.concat().into_iter().map(str::to_owned).collect()
}

fn command(program: &str, home: &Path, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).args(args).env("XDG_STATE_HOME", home.join("state")).env_remove("RUST_LOG");
    command.stdin(Stdio::null());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    command(PROGRAM, home, &args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Returns when the given line has appeared on the child's stderr.
fn wait_for(child: &mut Child, begin: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with(begin)), "{begin} never came");
}

/// What does not depend on how fast this machine was: what ran, how often, what was simulated.
fn story(home: &Path) -> (Value, Vec<Value>, Vec<Value>) {
    let result: Value = serde_json::from_slice(&std::fs::read(home.join("result.json")).unwrap()).unwrap();
    let all = result["configurations"].as_array().unwrap();
    let simulated = all.iter().map(|one| one["simulated"].clone()).collect();
    let counts = |one: &Value| {
        let run = &one["measured"][0];
        serde_json::json!([
            run["runs"],
            run["write"]["ops"],
            run["flush"]["ops"],
            one["measured_seconds"].as_array().map(Vec::len)
        ])
    };
    let hold_out = result["trust"]["hold_out"].is_number();
    (
        serde_json::json!([result["run"]["stopped"], hold_out, result["answer"]["default"]]),
        simulated,
        all.iter().map(counts).collect(),
    )
}

/// Number and hold-out of the rounds in the only journal, in their order.
fn journalled(home: &Path) -> Vec<(u64, bool)> {
    let round = |record: Value| Some((record["round"]["number"].as_u64()?, record["round"]["hold_out"].as_bool()?));
    records(home).filter_map(round).collect()
}

/// Those of the only journal.
fn records(home: &Path) -> impl Iterator<Item = Value> {
    let run = std::fs::read_dir(home.join("state/s3b/runs")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(run.join("results.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.into_iter()
}

#[test]
fn a_killed_sweep_goes_on_and_repeats_no_round() {
    let [home, store, other, whole] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (home, store) = (home.path(), store.path());
    let mut child = command(PROGRAM, home, &sweep(store)).stderr(Stdio::piped()).spawn().unwrap();
    // In the third round.
    wait_for(&mut child, &format!("confirming 9/{RUNS}"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(journalled(home), [(0, false), (1, false)]);
    let disk = records(home).find_map(|record| record["planned"]["disk"]["sync-ms"].as_f64());
    assert!(disk.is_some(), "another sitting plans with the same disk");
    assert!(entries(store) > 0, "a killed run leaves objects");
    let listed = run(home, &["runs", "--format", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let run_entry = &listed["runs"][0];
    let (id, resume) = (run_entry["id"].as_str().unwrap(), run_entry["resume"].as_str().unwrap());
    assert_eq!((&run_entry["state"], resume), (&"stopped".into(), &*format!("s3b-tuner sweep --resume {id}")));
    assert!(String::from_utf8_lossy(&run(home, &["runs"]).stdout).contains(resume));

    // Other questions than the one that was asked, each by its name.
    let other_store = other.path().to_str().unwrap();
    for (changed, part) in [
        (&["--seed", "2"][..], "--seed was 1 and is 2 now"),
        (&["--block-cache-size", "8m"], "--block-cache-size was nothing and is 8m now"),
        (&["--scenario", "mail"], "the workload fsync-small was"),
        (&["--test", other_store], "not in"),
    ] {
        let refused = run(home, &[&["sweep", "--resume", id], changed].concat());
        assert!(refused.status.code() == Some(1) && stderr(&refused).contains(part), "{}", stderr(&refused));
    }
    assert!(entries(other.path()) == 0 && journalled(home).len() == 2);

    let resumed = run(home, &["sweep", "--resume", &id[..6], "--max-time", "11m"]);
    let said = stderr(&resumed);
    assert!(resumed.status.success(), "{said}");
    assert!(said.contains("2 rounds are there") && said.contains("confirming 5/5") && !said.contains("6/5"), "{said}");
    assert_eq!(journalled(home), [(0, false), (1, false), (2, false), (3, true)]);
    assert_eq!(entries(store), 0, "what the killed part left is deleted too");
    let finished = run(home, &["sweep", "--resume", id]);
    assert!(stderr(&finished).contains("is finished"), "{}", stderr(&finished));

    let uninterrupted = command(PROGRAM, whole.path(), &sweep(store)).output().unwrap();
    assert!(uninterrupted.status.success(), "{}", stderr(&uninterrupted));
    assert_eq!(story(home), story(whole.path()));
}

/// A file that cannot grow any more stands for a full disk: the line is cut off in the middle.
#[test]
fn a_full_disk_ends_a_sweep_with_nothing_lost() {
    let [home, store] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (home, store) = (home.path(), store.path());
    // In units of 512 bytes: room for a block of 8 KiB, and for two rounds of about 6.
    let limited = "trap '' XFSZ; ulimit -f 36; exec \"$0\" \"$@\"";
    let mut args = vec!["-c".to_owned(), limited.to_owned(), PROGRAM.to_owned()];
    let delays = |arg: String| if arg.starts_with("block-size") { "write-delay=0,250ms".into() } else { arg };
    args.extend(sweep(store).into_iter().map(delays).chain(["--block-size=8k".to_owned()]));
    let full = command("sh", home, &args).output().unwrap();
    let said = stderr(&full);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("results.jsonl; what was noted before is kept") && said.contains("sweep --resume"), "{said}");
    assert_eq!(entries(store), 0, "what it stored is deleted");
    let whole = journalled(home);
    assert!(whole.len() == 2 || whole.len() == 1, "{whole:?}");
    let id = said.split("--resume ").nth(1).unwrap().split_whitespace().next().unwrap();
    // Out of time at once: what is there is still an answer.
    let resumed = run(home, &["sweep", "--resume", id, "--max-time", "1ms"]);
    let text = String::from_utf8_lossy(&resumed.stdout);
    assert!(text.contains("recommended") && text.contains("out of time"), "{text}{}", stderr(&resumed));
    assert_eq!(journalled(home), whole);
}

/// A directory in the place of an object stands for whatever cannot be deleted.
#[test]
fn objects_that_stay_are_a_failure_and_have_a_command() {
    let [home, store] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (home, store) = (home.path(), store.path());
    let mut args = sweep(store);
    let rounds = args.iter().position(|arg| arg == "3").unwrap();
    args[rounds] = "1".into();
    let mut child = command(PROGRAM, home, &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("confirming 1/")));
    let names = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let marker = names.into_iter().find(|path| path.to_str().unwrap().ends_with("-run")).unwrap();
    std::fs::remove_file(&marker).unwrap();
    std::fs::create_dir_all(marker.join("theirs")).unwrap();
    let said = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("1 objects could not be deleted") && said.contains("s3b-tuner clean "), "{said}");
    assert!(home.join("result.json").exists(), "what was measured is an answer all the same");
    std::fs::remove_dir_all(&marker).unwrap();
    std::fs::write(&marker, "").unwrap();
    let cleaned = run(home, &["clean", "--all"]);
    assert!(cleaned.status.success() && entries(store) == 0, "{}", stderr(&cleaned));
}

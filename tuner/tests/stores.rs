//! `probe` and `doctor` as a person runs them: on a directory, and on a real S3 server behind a known latency.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use s3b_testkit::seaweed::Seaweed;
use s3b_testkit::{Latency, Latproxy};
use s3b_tuner::model::{Operation, StoreModel};
use serde_json::Value;

fn tuner(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
    command.current_dir(dir).args(args).env_remove("RUST_LOG").env("XDG_STATE_HOME", dir).stdin(Stdio::null());
    command.output().unwrap()
}

/// Killed without a chance to clean up: what it stored is known, and is all that goes.
#[test]
fn a_killed_probe_is_cleaned_from_its_journal() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = || std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let mut probe = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"))
        .args(["probe", "--access-key=hidden", "--test", store.path().to_str().unwrap()])
        .current_dir(home.path())
        .env("XDG_STATE_HOME", home.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while names().len() < 20 {
        assert!(probe.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    probe.kill().unwrap();
    probe.wait().unwrap();
    assert!(names().len() >= 20);
    std::fs::write(store.path().join("mine"), b"untouched").unwrap();
    let runs = tuner(home.path(), &["runs", "--format", "json"]);
    let runs = String::from_utf8_lossy(&runs.stdout).into_owned();
    assert!(runs.contains("stopped") && !runs.contains("hidden"), "{runs}");
    let cleaned = tuner(home.path(), &["clean", "--all"]);
    assert!(cleaned.status.success(), "{}", stderr(&cleaned));
    assert_eq!(names(), ["mine"]);
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn on_server<'a>(args: &[&'a str], endpoint: &'a str, secret: &'a str) -> Vec<&'a str> {
    [args, &["--base-url", endpoint, "--access-id", Seaweed::ACCESS_ID, "--access-key", secret]].concat()
}

/// The median of small requests, one at a time, in milliseconds.
fn median(model: &StoreModel, operation: Operation) -> f64 {
    let mut cells = model.cells(operation).filter(|cell| cell.concurrency == 1);
    cells.next().map(|cell| cell.ms[5]).unwrap()
}

#[test]
fn a_directory_is_probed_and_left_as_it_was() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(store.path().join("mine"), b"untouched").unwrap();
    let args = ["probe", "--test", store.path().to_str().unwrap(), "-o", "d.toml", "--max-time", "2s"];
    let dry = tuner(home.path(), &[&args[..], &["--dry-run"]].concat());
    assert!(dry.status.success() && stderr(&dry).contains("costs nothing"), "{}", stderr(&dry));
    assert!(!home.path().join("d.toml").exists());
    // Known before anything is sent, and so before anything is paid for.
    for (path, part) in [("no/such/d.toml", "there is no directory"), (home.path().to_str().unwrap(), "a directory is")]
    {
        let nowhere = tuner(home.path(), &[&args[..3], &["--force", "-o", path]].concat());
        let said = stderr(&nowhere);
        assert!(nowhere.status.code() == Some(1) && said.contains(part) && !said.contains("plan:"), "{said}");
    }
    // Known before anything is sent, and so before anything is paid for.
    for (path, part) in [("no/such/d.toml", "there is no directory"), (home.path().to_str().unwrap(), "a directory is")]
    {
        let nowhere = tuner(home.path(), &[&args[..3], &["--force", "-o", path]].concat());
        let said = stderr(&nowhere);
        assert!(nowhere.status.code() == Some(1) && said.contains(part) && !said.contains("plan:"), "{said}");
    }
    let output = tuner(home.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let model = StoreModel::load(&home.path().join("d.toml")).unwrap();
    assert!(model.origin.measured && model.cpu.md5_bytes_per_s > 1e6);
    for operation in Operation::ALL {
        assert!(model.cells(operation).all(|cell| cell.samples > 0));
    }
    let names: Vec<_> = std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["mine"]);
    let again = tuner(home.path(), &args);
    assert!(again.status.code() == Some(1) && stderr(&again).contains("--force"), "{}", stderr(&again));
}

#[test]
fn a_probe_behind_twenty_milliseconds_finds_them() {
    let Some(server) = Seaweed::required() else { return };
    let latency = Latency { fixed_ms: 20.0, jitter_ms: 0.0, megabytes_per_second: 0.0 };
    let upstream = server.endpoint();
    let upstream = upstream.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let Some(proxy) = Latproxy::start(upstream, latency).unwrap() else {
        // Even in CI: like the recorded traces, its source is not part of the tree.
        return eprintln!("SKIPPED: {} is absent", Latproxy::source().display());
    };
    server.create_bucket("probed").unwrap();
    let home = tempfile::tempdir().unwrap();
    let endpoint = format!("http://127.0.0.1:{}/", proxy.port());
    let probe = ["probe", "--bucket", "probed", "-o", "m.toml", "--max-time", "8s", "--in-region"];
    let refused =
        tuner(home.path(), &on_server(&[&probe[..], &["--max-cost", "0.0001"]].concat(), &endpoint, Seaweed::SECRET));
    assert!(refused.status.code() == Some(1) && stderr(&refused).contains("--max-cost 0.05"), "{}", stderr(&refused));
    let output = tuner(home.path(), &on_server(&probe, &endpoint, Seaweed::SECRET));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    let plan = text.find("worst case $").unwrap();
    assert!(plan < text.find("working under").unwrap(), "the price is named before anything is sent: {text}");
    let model = StoreModel::load(&home.path().join("m.toml")).unwrap();
    // What the server itself takes depends on the machine, and is not below zero.
    for operation in [Operation::Get, Operation::Put, Operation::Head, Operation::Delete] {
        let found = median(&model, operation);
        assert!((20.0..60.0).contains(&found), "{}: {found} ms", operation.name());
    }
    let spent = String::from_utf8_lossy(&output.stdout);
    assert!(spent.contains("Requests cost $0.0"), "{spent}");

    let doctor = ["doctor", "--bucket", "probed", "--format", "json"];
    let output = tuner(home.path(), &on_server(&doctor, &endpoint, Seaweed::SECRET));
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "s3b-tuner.doctor/1");
    let check = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}")).clone()
    };
    for name in ["bucket", "clock", "versioning", "access", "conditional PUT", "volume", "round trip"] {
        assert_eq!(check(name)["verdict"], "ok", "{:#}", check(name));
    }
    let round_trip = check("round trip")["found"].as_str().unwrap().to_owned();
    let milliseconds: f64 = round_trip.split(' ').next().unwrap().parse().unwrap();
    assert!((20.0..100.0).contains(&milliseconds), "{round_trip}");
    let output = tuner(home.path(), &on_server(&doctor[..3], &endpoint, "wrong"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains("FAIL  bucket"), "{text}");
    assert!(text.contains("secret"), "the cause is named: {text}");
}

#[test]
fn a_directory_is_examined() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = tuner(home.path(), &["doctor", "--test", store.path().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    for part in ["ok    directory", "free space", "MB/s written", "none here", "zstd 3", "aes-256"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 0);
    let missing = tuner(home.path(), &["doctor", "--test", "/no/such/dir"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("/no/such/dir"));
}

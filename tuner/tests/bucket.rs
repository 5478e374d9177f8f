//! Replay and sweep on a real S3 server: what is in the bucket afterwards, and what a wrong bucket gets.

use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use s3b_engine::object::{ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::S3Settings;
use s3b_testkit::seaweed::Seaweed;

fn tuner(server: &Seaweed, dir: &std::path::Path, args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command.arg("--base-url").arg(server.endpoint()).arg("--access-id").arg(Seaweed::ACCESS_ID);
    command.env("SECRET", Seaweed::SECRET).arg("--access-key-env=SECRET").output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_holds_afterwards_what_it_held_before() {
    let Some(server) = Seaweed::required() else { return };
    let bucket = format!("tuner-{}", std::process::id());
    server.create_bucket(&bucket).unwrap();
    let settings = S3Settings { base_url: Some(server.endpoint()), access_type: None, ..S3Settings::default() };
    let credentials = Credentials::fixed(Seaweed::ACCESS_ID, Seaweed::SECRET.to_string().into(), None);
    let backend = S3Backend::new(&bucket, &settings, credentials, Arc::default()).unwrap();
    let body = Bytes::from_static(b"untouched");
    backend.put("00000000", ObjectHeaders::default(), body, PutIf::Always).await.unwrap();

    let home = tempfile::tempdir().unwrap();
    let args = ["replay", "fsync-small", "--bucket", &bucket, "--pace", "max", "--format", "json"];
    let output = tuner(&server, home.path(), &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let puts = report["requests"]["puts"].as_u64().unwrap();
    assert!((12..=14).contains(&puts), "12 small writes, each made durable: {puts} PUTs");
    assert_eq!(backend.list("", "").await.unwrap().keys, ["00000000"]);

    let many = "question = \"?\"\nspan = \"16m\"\nprefill = true\ndepth = 16\narrivals = { kind = \"poisson\", rate = 1000 }\n[[phase]]\nshape = \"zipf\"\n\
                request = \"4k\"\nrequests = 3000\nread-percent = 50\ntheta = 0.5\n";
    std::fs::write(home.path().join("many.toml"), format!("name = \"many\"\n{many}")).unwrap();
    let paid = |cap: &str| {
        let args = ["replay", "many.toml", "--block-size", "64k", "--bucket", &bucket, "--pace=max", "--max-cost", cap];
        let output = tuner(&server, home.path(), &args);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let dear = paid("0.0001");
    assert!(dear.contains("putting 256 blocks in place alone") && !dear.contains("working under"), "{dear}");
    let filled = dear.split("may cost $").nth(1).unwrap().split(';').next().unwrap();
    let poor = paid(&format!("{:.4}", filled.parse::<f64>().unwrap() + 0.0001));
    assert!(poor.contains("256 blocks are put in place") && poor.contains("out of money"), "{poor}");
    assert_eq!(backend.list("", "").await.unwrap().keys, ["00000000"]);

    let args =
        ["sweep", "--bucket", &bucket, "--vary", "block-size=64k,256k", "--scenario", "discard", "--rounds", "1"];
    let output = tuner(&server, home.path(), &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file: toml::Table = std::fs::read_to_string(home.path().join("s3b.toml")).unwrap().parse().unwrap();
    assert!(file.contains_key("block-size"), "a bucket may be told a block size: {file}");
    assert_eq!(file["base-url"].as_str(), Some(&*server.endpoint()));
    assert_eq!(file["access-key-env"].as_str(), Some("SECRET"), "where the secret is, never the secret");
    assert_eq!(backend.list("", "").await.unwrap().keys, ["00000000"]);

    let output = tuner(&server, home.path(), &["replay", "discard", "--bucket", "no-such-bucket-here"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("no-such-bucket-here"), "{stderr}");
}

/// Killed without a chance to clean up, and cleaned from its journal: what others stored meanwhile stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_cleaned_by_its_journal() {
    let Some(server) = Seaweed::required() else { return };
    let bucket = format!("killed-{}", std::process::id());
    server.create_bucket(&bucket).unwrap();
    let settings = S3Settings { base_url: Some(server.endpoint()), access_type: None, ..S3Settings::default() };
    let credentials = Credentials::fixed(Seaweed::ACCESS_ID, Seaweed::SECRET.to_string().into(), None);
    let backend = S3Backend::new(&bucket, &settings, credentials, Arc::default()).unwrap();
    let (home, endpoint) = (tempfile::tempdir().unwrap(), server.endpoint());
    let tuner = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
        command.current_dir(home.path()).env("XDG_STATE_HOME", home.path()).stdin(Stdio::null());
        command.args(args).args(["--access-id", Seaweed::ACCESS_ID, "--access-key", Seaweed::SECRET]);
        command
    };
    let args = ["replay", "random-mix", "--bucket", &bucket, "--pace", "trace", "--base-url", &endpoint];
    let mut run = tuner(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let keys = loop {
        let keys = backend.list("", "").await.unwrap().keys;
        if keys.len() > 20 {
            break keys;
        }
        assert!(run.try_wait().unwrap().is_none(), "it ended before it was killed");
        s3b_engine::clock::sleep(std::time::Duration::from_millis(20)).await;
    };
    let marker = keys.iter().find(|key| key.ends_with("-run")).expect("a marker says who works here");
    let theirs = format!("{}theirs", marker.strip_suffix("run").unwrap());
    backend.put(&theirs, ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always).await.unwrap();
    let alive = tuner(&["clean", "--all"]).output().unwrap();
    assert!(String::from_utf8_lossy(&alive.stdout).contains("nothing is left behind"), "one that is alive is none");
    run.kill().unwrap();
    run.wait().unwrap();

    let listed = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"))
        .args(["runs", "--format", "json"])
        .env("XDG_STATE_HOME", home.path())
        .output()
        .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let entry = &listed["runs"][0];
    assert_eq!((&entry["state"], entry["place"].as_str()), (&"stopped".into(), Some(&*format!("s3://{bucket}/"))));
    assert!(entry["left_objects"].as_u64().unwrap() >= keys.len() as u64, "{entry}");
    assert!(!entry.to_string().contains(Seaweed::SECRET), "no secret is kept: {entry}");
    let id = entry["id"].as_str().unwrap();
    let elsewhere = tuner(&["clean", id, "--bucket", "another"]).output().unwrap();
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains(&bucket), "{elsewhere:?}");
    let cleaned = tuner(&["clean", &id[..6]]).output().unwrap();
    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    assert_eq!(backend.list("", "").await.unwrap().keys, [theirs]);
}

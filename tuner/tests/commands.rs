//! The commands as a person runs them: what they print, write, leave behind and answer to the shell.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn tuner(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
    command.current_dir(dir).args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    tuner(dir, args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A vscsi v1 trace: every third request a write, one every 200 us.
fn trace(requests: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in 0..requests {
        let command: u16 = if n % 3 == 0 { 0x2a } else { 0x28 };
        bytes.extend((n as u32).to_le_bytes());
        bytes.extend(4096u32.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(command.to_le_bytes());
        bytes.extend(0x0100u16.to_le_bytes());
        bytes.extend((n * 37 % 256 * 8).to_le_bytes());
        bytes.extend((5_000_000_000 + n * 200).to_le_bytes());
    }
    bytes
}

const TINY: [&str; 8] =
    ["--vary", "block-size=64k,256k", "--vary", "threads=4,8", "--scenario", "fsync-small", "--latency", "1ms"];

#[test]
fn a_sweep_recommends_writes_the_file_and_leaves_nothing_else() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(store.path().join("mine"), b"untouched").unwrap();
    let store_arg = store.path().to_str().unwrap();
    let rounds = ["--scenario", "discard", "--rounds", "2", "--confirm", "2", "--goal", "throughput"];
    let args = [&["sweep", "--test", store_arg][..], &TINY, &rounds].concat();
    let output = run(home.path(), &args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["recommended", "block-size", "Trust", "$ per month", "permanent"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(names(store.path()), ["mine"]);
    assert_eq!(std::fs::read(store.path().join("mine")).unwrap(), b"untouched");
    let file = std::fs::read_to_string(home.path().join("s3b.toml")).unwrap();
    let table: toml::Table = file.parse().unwrap();
    let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["block-cache-threads", "block-size"]);
    // Its own result is replaced, and the file is understood as input.
    let again = ["replay", "fsync-small", "--config", "s3b.toml", "--test", store_arg, "--pace", "max"];
    assert!(run(home.path(), &again).status.success());
    assert!(run(home.path(), &args).status.success());
    // An edited one is kept, and that is said before anything runs.
    std::fs::write(home.path().join("s3b.toml"), file + "# mine\n").unwrap();
    let refused = run(home.path(), &args);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--force") && refused.stdout.is_empty(), "{}", stderr(&refused));
    assert_eq!(names(store.path()), ["mine"]);
}

#[test]
fn a_simulated_sweep_speaks_json_and_is_the_same_twice() {
    let home = tempfile::tempdir().unwrap();
    let args = [&["sweep", "--format", "json", "-o", "out.toml", "--save", "a.json", "--html", "a.html"][..], &TINY];
    let output = run(home.path(), &args.concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!((&report["schema"], &report["run"]["stopped"]), (&"s3b-sweep/1".into(), &Value::Null));
    // The default is compared too, whatever is varied.
    let all = report["configurations"].as_array().unwrap();
    assert_eq!((all.len(), report["answer"]["default"].as_u64()), (5, Some(4)));
    let winner = &all[report["answer"]["recommended"].as_u64().unwrap() as usize];
    let file: toml::Table = std::fs::read_to_string(home.path().join("out.toml")).unwrap().parse().unwrap();
    assert_eq!(winner["values"][0].as_str(), file["block-size"].as_str());
    assert_eq!(report["trust"]["verdict"], "simulated-only");
    assert!(winner["simulated"][0]["flush"]["latency"]["p50_ms"].as_f64().unwrap() >= 1.0);
    let page = std::fs::read_to_string(home.path().join("a.html")).unwrap();
    assert!(page.starts_with("<!") && page.contains("Content-Security-Policy"));
    let again = json(&run(home.path(), &args.concat()));
    assert_eq!(again["configurations"], report["configurations"], "same seed, same figures");
    assert_eq!(names(home.path()), ["a.html", "a.json", "out.toml"]);
    // What CI asks: the same is fine, another place is not comparable.
    let same = run(home.path(), &["compare", "a.json", "a.json", "--threshold", "5%"]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
}

#[test]
fn a_dry_run_and_impossible_demands_say_so() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store_arg = store.path().to_str().unwrap();
    let dry = run(home.path(), &[&["sweep", "--test", store_arg, "--dry-run"][..], &TINY].concat());
    assert!(dry.status.success() && stderr(&dry).contains("confirming"), "{}", stderr(&dry));
    // No time for real runs: a plan has nothing to show, a sweep still has what it simulated.
    let small = ["--scenario", "discard", "--confirm", "5", "--max-time", "4s", "-o", "small.toml", "--format", "json"];
    let small = [&["sweep", "--test", store_arg][..], &small, &TINY].concat();
    let simulated = run(home.path(), &small);
    let outcome = json(&simulated);
    assert!(simulated.status.success() && outcome["trust"]["verdict"] == "simulated-only", "{}", stderr(&simulated));
    assert!(outcome["trust"]["notes"].to_string().contains("is too little"), "{}", outcome["trust"]);
    std::fs::remove_file(home.path().join("small.toml")).unwrap();
    let refused = run(home.path(), &[&small[..], &["--dry-run"]].concat());
    assert!(!refused.status.success() && stderr(&refused).contains("is too little"), "{}", stderr(&refused));
    let none = run(home.path(), &[&["sweep", "--slo", "flush.p99<1us"][..], &TINY].concat());
    assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
    let said = String::from_utf8_lossy(&none.stdout).replace("\n       ", " ");
    assert!(said.contains("5 of 5 configurations break flush.p99<1us: it is"), "{said}");
    let hasty = run(home.path(), &[&["sweep", "--max-time", "0", "--format", "json"][..], &TINY].concat());
    assert_eq!(json(&hasty)["run"]["stopped"], "out of time", "{}", stderr(&hasty));
    assert!(names(home.path()).is_empty() && names(store.path()).is_empty());
    for (args, part) in [
        (&["--slo", "flush.p98<1s"][..], "p50"),
        (&["--real-only"], "--bucket mybucket"),
        (&["--max-cost", "much"], "0.05"),
        (&["--model", "nowhere"], "nowhere"),
    ] {
        let refused = run(home.path(), &[&["sweep"][..], args, &TINY[..6]].concat());
        assert!(!refused.status.success() && stderr(&refused).contains(part), "{}", stderr(&refused));
    }
}

#[test]
fn no_block_size_is_recommended_for_a_bare_directory() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store_arg = store.path().to_str().unwrap();
    let refused = run(home.path(), &["sweep", "--test", store_arg, "--vary", "block-size=64k,1m"]);
    assert!(!refused.status.success() && stderr(&refused).contains("--latency 30ms"), "{}", stderr(&refused));
    let args = ["sweep", "--test", store_arg, "--scenario", "fsync-small", "--rounds", "1", "--vary", "threads=4,32"];
    let output = run(home.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("no block size is recommended"), "{text}");
    let file: toml::Table = std::fs::read_to_string(home.path().join("s3b.toml")).unwrap().parse().unwrap();
    assert!(!file.contains_key("block-size") && file.contains_key("block-cache-threads"), "{file}");
}

#[test]
fn a_trace_is_replayed_and_counted() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(home.path().join("day"), trace(300)).unwrap();
    std::fs::write(home.path().join("s3b.toml"), "block-size = \"64k\"\nblock-cache-threads = 4\n").unwrap();
    let store_arg = store.path().to_str().unwrap();
    let args = ["replay", "day", "--config", "s3b.toml", "--test", store_arg, "--format", "json"];
    for pace in ["trace", "max", "closed", "x4"] {
        let output = run(home.path(), &[&args[..], &["--pace", pace]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let report = json(&output);
        let counts: Vec<(&str, u64)> = report["operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["kind"].as_str().unwrap(), one["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(counts, [("read", 200), ("write", 100)]);
        assert_eq!((&report["subject"]["block_size"], &report["failures"]), (&Value::from(65536), &Value::from(0)));
        assert_eq!(report["subject"]["prefilled_blocks"], 16);
        assert!(names(store.path()).is_empty(), "{:?}", names(store.path()));
    }
}

#[test]
fn another_pace_is_for_replays_alone() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(home.path().join("day"), trace(300)).unwrap();
    let args = ["replay", "day", "--test", store.path().to_str().unwrap(), "--format", "json", "--pace"];
    let paced = |pace: &[&str]| run(home.path(), &[&args[..], pace].concat());
    let (slow, closed) = (paced(&["x0.5"]), paced(&["closed", "--outstanding", "3"]));
    // 300 requests, one every 200 us, at half the speed.
    assert!(json(&slow)["elapsed_s"].as_f64().unwrap() >= 0.1196, "{}", stderr(&slow));
    assert_eq!(json(&closed)["subject"]["pace"], "closed loop, 3 outstanding");
    assert!([&slow, &closed].iter().all(|output| stderr(output).contains("nothing about which write delay")));
    assert!(!stderr(&paced(&["trace"])).contains("write delay"));
    assert!(stderr(&paced(&["x4", "--outstanding", "3"])).contains("--pace closed"));
    for (command, pace) in [("sweep", "x2"), ("sweep", "max"), ("check", "x0.5")] {
        let refused = run(home.path(), &[command, "--trace", "day", "--pace", pace]);
        let said = stderr(&refused);
        assert!(refused.status.code() == Some(2) && said.contains("write delay") && said.contains("replay"), "{said}");
    }
}

/// What its content does not tell is said the same way to every command that reads a trace.
#[test]
fn every_command_that_reads_a_trace_takes_its_format() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(home.path().join("day"), "1,5633898,28,1,7\n".repeat(40)).unwrap();
    let store_arg = store.path().to_str().unwrap();
    let vary = ["--vary", "threads=4", "--block-size=64k"];
    for args in [
        &["inspect", "day"][..],
        &["mrc", "day"],
        &["convert", "day", "day.csv"],
        &["cost", "day"],
        &["check", "--trace", "day"],
        &["replay", "day", "--test", store_arg, "--pace", "max"],
        &[&["sweep", "--trace", "day"][..], &vary].concat(),
    ] {
        let refused = run(home.path(), args);
        assert!(
            refused.status.code() == Some(1) && stderr(&refused).contains("--from tencent"),
            "{args:?}: {}",
            stderr(&refused)
        );
        let read = run(home.path(), &[args, &["--from", "tencent"]].concat());
        assert!(read.status.success(), "{args:?}: {}", stderr(&read));
    }
}

#[test]
fn a_configuration_is_checked_before_it_is_mounted_with() {
    let home = tempfile::tempdir().unwrap();
    let file = "block-size = \"64k\"\nblock-cache-size = \"64m\"\nfuse-threads = 2\ndurability = \"none\"\n";
    std::fs::write(home.path().join("s3b.toml"), file).unwrap();
    let args = ["check", "--config", "s3b.toml", "--scenario", "fsync-small"];
    let output = run(home.path(), &[&args[..], &["--ram", "64m"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    for part in [
        "ok    settings",
        "WARN  settings           --durability=none",
        "64m of this machine",
        "ok    bounds",
        "PUT per GiB        21,845",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let slow =
        run(home.path(), &[&args[..], &["--durability=store", "--slo", "flush.p99<1us", "--format", "json"]].concat());
    let report = json(&slow);
    assert_eq!(
        (slow.status.code(), &report["schema"], &report["verdict"]),
        (Some(1), &"s3b-tuner.check/1".into(), &"fail".into())
    );
    let checks = report["checks"].as_array().unwrap();
    let broken = checks.iter().find(|check| check["verdict"] == "fail").unwrap();
    assert!(
        broken["name"] == "bounds" && broken["found"].as_str().unwrap().contains("flush.p99<1us: it is"),
        "{broken}"
    );
    assert!(report["simulated"]["this"]["flush_p50_ms"].as_f64() > Some(1.0), "{report:#}");
    // What a mount refuses is the result, and so is what it cannot hold.
    let refused = run(home.path(), &[&args[..], &["--offline"]].concat());
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(
        refused.status.code() == Some(1) && text.contains("FAIL  settings") && text.contains("cache file"),
        "{text}"
    );
    std::fs::write(home.path().join("s3b.toml"), "blok-size = 1\n").unwrap();
    let unknown = json(&run(home.path(), &[&args[..], &["--format", "json"]].concat()));
    assert!(unknown["checks"][0]["found"].as_str().unwrap().contains("did you mean `block-size`"), "{unknown}");
}

#[test]
fn a_broken_trace_changes_nothing_and_says_where() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = trace(10);
    std::fs::write(home.path().join("cut"), &whole[..whole.len() - 7]).unwrap();
    std::fs::write(home.path().join("text"), "time,offset\n1,2\n").unwrap();
    let store_arg = store.path().to_str().unwrap();
    for (file, part) in [("cut", "record 10 at byte 288"), ("text", "no known trace format"), ("absent", "scenarios: ")]
    {
        let output = run(home.path(), &["replay", file, "--test", store_arg]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert!(names(store.path()).is_empty());
    let nowhere = run(home.path(), &["replay", "fsync-small"]);
    assert!(stderr(&nowhere).contains("--bucket mybucket"), "{}", stderr(&nowhere));
    // Whatever takes long to read is read last.
    for (args, part) in [
        (&["replay", "absent"][..], "--bucket mybucket"),
        (&["sweep", "--trace", "absent", "--vary", "no-such-setting=1"], "no-such-setting"),
        (&["check", "--trace", "absent", "--prices", "s3-nowhere"], "s3-nowhere"),
    ] {
        let said = stderr(&run(home.path(), args));
        assert!(said.contains(part) && !said.contains("absent"), "{said}");
    }
    let small = run(home.path(), &["replay", "discard", "--test", store_arg, "--size", "1m"]);
    assert!(stderr(&small).contains("--size=1048576") && stderr(&small).contains("try --size="), "{}", stderr(&small));
}

/// After the first result comes SIGINT: what runs is finished, cleaned up and reported.
#[test]
fn an_interrupted_sweep_cleans_up_and_reports() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store_arg = store.path().to_str().unwrap();
    let endless = ["sweep", "--test", store_arg, "--rounds", "1000", "--goal", "throughput"];
    let args = [&endless[..], &TINY].concat();
    let mut child = tuner(home.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut asked = false;
    for line in lines {
        if !asked && line.unwrap().starts_with("confirming 9/") {
            asked = true;
            let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            assert!(kill.success());
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("recommended") && text.contains("interrupted"), "{text}");
    assert!(names(store.path()).is_empty(), "{:?}", names(store.path()));
}

/// The connection shows that the program has read its arguments.
#[test]
fn secrets_do_not_stay_in_the_process_list() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let args = ["replay", "discard", "--bucket", "b", "--base-url", &address, "--accessId=me", "--accessKey=topsecret"];
    let mut child = tuner(home.path(), &args).arg("--password").arg("hush").stderr(Stdio::null()).spawn().unwrap();
    let connection = listener.accept().unwrap();
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    let cmdline = String::from_utf8(cmdline).unwrap().replace('\0', " ");
    drop(connection);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(cmdline.contains("--accessId=me --accessKey=xxxxxxxxx --password xxxx"), "{cmdline}");
}

#[test]
fn scenarios_are_listed_shown_and_checked() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["scenarios"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["oltp", "fstrim", "fsync-small", "How fast does a full restore stream", "1280m"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // What is shown can be edited and checked; what is wrong with it is said with its line.
    let shown = run(home.path(), &["scenarios", "--show", "oltp"]).stdout;
    let mine = String::from_utf8(shown).unwrap().replace("name = \"oltp\"", "name = \"mine\"");
    std::fs::write(home.path().join("mine.toml"), &mine).unwrap();
    let listed = json(&run(home.path(), &["scenarios", "mine.toml", "--format", "json"]));
    let (mine_entry, all) = (&listed["scenarios"][0], json(&run(home.path(), &["scenarios", "--format", "json"])));
    let oltp = all["scenarios"].as_array().unwrap().iter().find(|one| one["name"] == "oltp").unwrap();
    assert_eq!((&mine_entry["name"], &mine_entry["operations"]), (&Value::from("mine"), &oltp["operations"]));
    std::fs::write(home.path().join("mine.toml"), mine.replace("read-percent = 70", "read-percent = 170")).unwrap();
    let wrong = run(home.path(), &["scenarios", "mine.toml"]);
    assert_eq!(wrong.status.code(), Some(1));
    let message = stderr(&wrong);
    assert!(message.contains("mine.toml: line ") && message.contains("try read-percent = 70"), "{message}");
    let unknown = run(home.path(), &["scenarios", "--show", "oltq"]);
    assert!(stderr(&unknown).contains("--show=oltq") && stderr(&unknown).contains("mail"), "{}", stderr(&unknown));
}

#[test]
fn help_teaches_with_examples() {
    let home = tempfile::tempdir().unwrap();
    for (args, parts) in [
        (&["--help"][..], &["s3b-tuner sweep ", "s3b-tuner replay "][..]),
        (&["sweep", "--help"], &["--vary", "block-size=64k..8m:x2", "permanent", "--base-url", "Exit code"]),
        (&["replay", "-h"], &["vm.vscsi.zst", "intended start", "--bucket"]),
    ] {
        let output = run(home.path(), args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && parts.iter().all(|part| text.contains(part)), "{text}");
    }
    assert_eq!(run(home.path(), &["sweep", "--frobnicate"]).status.code(), Some(2));
}

#[test]
fn convert_writes_whole_files_and_never_over_others() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("in"), trace(30)).unwrap();
    for (from, to) in
        [("in", "a.s3bt"), ("a.s3bt", "b.csv.zst"), ("b.csv.zst", "c.iolog.gz"), ("c.iolog.gz", "d.s3bt.zst")]
    {
        let output = run(dir.path(), &["convert", from, to]);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("30 operations: 20 reads, 10 writes, 0 flushes, 0 discards"), "{to}: {said}");
    }
    std::fs::write(at("last.csv"), "mine").unwrap();
    let refused = run(dir.path(), &["convert", "d.s3bt.zst", "last.csv"]);
    assert!(!refused.status.success() && stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert_eq!(std::fs::read(at("last.csv")).unwrap(), b"mine");
    assert!(run(dir.path(), &["convert", "d.s3bt.zst", "last.csv", "--force"]).status.success());
    let text = std::fs::read_to_string(at("last.csv")).unwrap();
    let lines: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(lines, ["time_ns,device,op,offset,length,flags", "0,0,write,0,4096,", "200000,0,read,151552,4096,"]);
    // Broken off in the last record: nothing is left behind.
    std::fs::write(at("torn"), &trace(30)[..950]).unwrap();
    for (args, part) in [
        (["convert", "torn", "e.csv"], "record 30 at byte 928"),
        (["convert", "in", "e.xml"], "which format"),
        (["convert", "missing", "e.csv"], "no such trace file"),
        (["convert", "in", "absent/e.csv"], "cannot write absent/e.csv"),
    ] {
        let output = run(dir.path(), &args);
        assert!(!output.status.success() && stderr(&output).contains(part), "{}", stderr(&output));
    }
    let expected = ["a.s3bt", "b.csv.zst", "c.iolog.gz", "d.s3bt.zst", "in", "last.csv", "torn"];
    assert_eq!(names(dir.path()), expected);
}

/// Whatever a recorder said of its recording is said by what is made of it, and reaches whoever uses it.
#[test]
fn what_a_recorder_says_outlives_a_conversion() {
    use s3b_scenarios::trace::s3bt::{Encoder, EndReason, Frame, Header, Packing, Statement};
    use s3b_scenarios::{Op, OpKind, Trace};
    let header = Header { volume_bytes: 1 << 30, block_bytes: 4096, started_unix_ms: 1_800_000_000_000, tick_ns: 1000 };
    let mut bytes = header.encode();
    // Nothing for an hour, then five writes, 7 that are missing, five more.
    for half in 0..2u64 {
        let mut encoder = Encoder::new(&header);
        for n in 0..5 {
            assert!(
                encoder.push(&Op::new((3600 + half * 60 + n) * 1_000_000_000, OpKind::Write, n << 12, 4096)).is_none()
            );
        }
        bytes.extend(encoder.rest().unwrap().seal(Packing::Zstd));
        if half == 0 {
            bytes.extend(Frame::stating(Statement::Dropped(7)).seal(Packing::Plain));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let whole = Frame::stating(Statement::Ended { reason: EndReason::SizeLimit, ops: 10 }).seal(Packing::Plain);
    std::fs::write(dir.path().join("whole.s3bt"), [&bytes[..], &whole].concat()).unwrap();
    std::fs::write(dir.path().join("killed.s3bt"), &bytes).unwrap();
    for (name, ending, words) in
        [("whole", Some(EndReason::SizeLimit), "stopped at its size limit"), ("killed", None, "was not ended")]
    {
        let (from, to) = (format!("{name}.s3bt"), format!("{name}.2.s3bt"));
        let output = run(dir.path(), &["convert", &from, &to]);
        assert!(output.status.success(), "{}", stderr(&output));
        let read = |file: &str| {
            let mut trace = Trace::open(&dir.path().join(file)).unwrap();
            let (mut ops, mut dropped) = (Vec::new(), Vec::new());
            while let Some(op) = trace.next() {
                ops.push(op.unwrap());
                dropped.push(trace.skipped().dropped);
            }
            (ops, dropped, trace.recording(), trace.first_ns(), trace.ending(), trace.notices())
        };
        let original = read(&from);
        assert_eq!(original.4, ending);
        assert_eq!(original.3, 3_600_000_000_000);
        assert_eq!(read(&to), original, "{name}");
        let inspected = run(dir.path(), &["inspect", &to]);
        let text = String::from_utf8_lossy(&inspected.stdout);
        assert!(text.contains(words) && text.contains("dropped 7 operations"), "{text}");
    }
}

#[test]
fn a_workload_is_inspected_without_running_it() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("day"), trace(3000)).unwrap();
    let report = json(&run(home.path(), &["inspect", "day", "--format", "json", "--block-size", "64k,1m"]));
    assert_eq!(report["schema"], "s3b-inspect/1");
    let found = &report["fingerprint"];
    assert_eq!((&found["requests"][0]["count"], &found["requests"][1]["count"]), (&2000.into(), &1000.into()));
    assert_eq!(
        (&found["working_set"]["bytes"], &found["working_set"]["sampling_rate"]),
        (&(1 << 20).into(), &1.0.into())
    );
    assert_eq!(
        (report["curves"].as_array().unwrap().len(), &report["curves"][1]["block_size"]),
        (2, &(1 << 20).into())
    );
    assert_eq!(
        (&found["stores"][4]["stores"], &report["windows"]["windows"][0]["weight_time"]),
        (&3.into(), &1.0.into())
    );
    for (format, parts) in [
        (
            "text",
            &["day (vscsi v1): 3,000 requests, 11.7 MiB moved", "working set  1.00 MiB", "add up to the whole"][..],
        ),
        ("md", &["## Requests", "| read | 2,000 | 66.7 % |", "- working set"]),
        ("csv", &["name,value\n", "fingerprint.requests.0.count,2000\n", "workload,day (vscsi v1)\n"]),
    ] {
        let output = run(home.path(), &["inspect", "day", "--format", format]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && parts.iter().all(|part| text.contains(part)), "{text}{}", stderr(&output));
    }
    assert_eq!(names(home.path()), ["day"]);
}

#[test]
fn miss_ratio_curves_are_drawn_and_told() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("day"), trace(3000)).unwrap();
    let args = ["mrc", "day", "--block-size", "4k,8k", "--cache", "512k,1m"];
    let report = json(&run(home.path(), &[&args[..], &["--format", "json"]].concat()));
    assert_eq!((&report["schema"], &report["requests"]), (&"s3b-mrc/1".into(), &3000.into()));
    // 256 pages in a loop: a cache of half of them never hits, one of all misses the first round.
    let ratios: Vec<f64> = [0, 1].map(|n| report["curves"][0]["points"][n]["miss_ratio"].as_f64().unwrap()).into();
    assert!(ratios[0] == 1.0 && (ratios[1] - 256.0 / 3000.0).abs() < 1e-12, "{ratios:?}");
    let text = run(home.path(), &args);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("100 % ┤ a") && text.contains("blocks: a 4k   b 8k") && text.contains("8.5 %"), "{text}");
    let csv = run(home.path(), &[&args[..], &["--format", "csv"]].concat());
    assert_eq!(String::from_utf8_lossy(&csv.stdout).lines().nth(1), Some("4096,524288,1,1,1"));
    for (wrong, part) in [("3000", "try 4k"), ("x", "try 64k"), ("2g", "try 1g"), ("100", "try 512")] {
        let refused = run(home.path(), &["mrc", "day", "--block-size", wrong]);
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(part), "{}", stderr(&refused));
    }
    std::fs::write(home.path().join("cut"), &trace(10)[..100]).unwrap();
    for command in ["inspect", "mrc"] {
        let refused = run(home.path(), &[command, "cut"]);
        assert!(
            refused.status.code() == Some(1) && stderr(&refused).contains("record 4 at byte 96"),
            "{}",
            stderr(&refused)
        );
    }
}

#[test]
fn a_bill_is_broken_down_by_a_table_of_ones_own() {
    let home = tempfile::tempdir().unwrap();
    let shown = run(home.path(), &["cost", "--show"]);
    let table = String::from_utf8_lossy(&shown.stdout).replace("put-per-1000 = 0.005", "put-per-1000 = 0.5");
    std::fs::write(home.path().join("prices.toml"), table).unwrap();
    std::fs::write(home.path().join("s3b.toml"), "block-size = \"64k\"\nblock-cache-size = \"8m\"\n").unwrap();
    let simulate = ["cost", "random-mix", "--config", "s3b.toml", "--stored", "100g", "--format", "json"];
    let list = json(&run(home.path(), &simulate));
    let own = json(&run(home.path(), &[&simulate[..], &["--prices", "prices.toml", "--in-region"]].concat()));
    let dollars = |bill: &Value, line: &str| bill["dollars_per_month"][line].as_f64().unwrap();
    assert!((dollars(&own, "puts") / dollars(&list, "puts") - 100.0).abs() < 1e-6, "{own}");
    assert!(dollars(&list, "transfer") > 0.0 && dollars(&own, "transfer") == 0.0, "{own}");
    assert!((dollars(&list, "storage") - 100.0 * 1.073_741_824 * 0.023).abs() < 1e-9, "{list}");
    assert!(list["store"]["puts"].as_u64().unwrap() > 0);
    // Plain arithmetic, in words.
    let args = ["cost", "--puts", "2000000", "--gets", "1000000", "--storage-class", "STANDARD_IA", "--block-size=4k"];
    let output = run(home.path(), &args);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["2,000,000", "$10.00", "$0.40", "$10.40", "128 KB and 30 days", "2026-11", "--stored"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}{}", stderr(&output));
    }
    let nothing = run(home.path(), &["cost"]);
    assert!(!nothing.status.success() && stderr(&nothing).contains("cost oltp"), "{}", stderr(&nothing));
}

/// A small validation against a directory, its result judged again without running, and what bad input gets.
#[test]
fn predictions_are_held_against_real_runs_and_judged_again_from_the_file() {
    let (home, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tuner = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3b-tuner"));
        command.current_dir(home.path()).env("XDG_STATE_HOME", home.path()).arg("validate").args(args);
        command.output().unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let store = store.path().to_str().unwrap();
    let small = ["--test", store, "--latency", "5ms", "--scenario", "fsync-small"];
    let vary = ["--vary", "block-size=64k,256k", "--vary", "threads=4"];
    let with = |more: &[&'static str]| [&small[..], &vary, more].concat();
    let args = with(&["--configurations", "2", "-o", "r.json"]);
    let dry = tuner(&[&args[..], &["--dry-run"]].concat());
    assert!(dry.status.success() && text(&dry.stderr).contains("2 rounds"), "{}", text(&dry.stderr));
    assert!(std::fs::read_dir(store).unwrap().next().is_none() && !home.path().join("r.json").exists());
    let ran = tuner(&args);
    // What a busy machine measures is not for a test to say; how often the store is asked is.
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", text(&ran.stderr));
    let table = text(&ran.stdout);
    let puts = table.lines().find(|line| line.starts_with("PUT requests")).unwrap_or_else(|| panic!("{table}"));
    assert!(puts.ends_with("yes"), "{table}");
    assert!(table.contains("2 configurations x 1 workloads, 2 whole rounds, 6 real runs"), "{table}");
    assert!(std::fs::read_dir(store).unwrap().next().is_none(), "nothing is left behind");
    let again = tuner(&["--from", "r.json"]);
    assert_eq!((again.status.code(), text(&again.stdout)), (ran.status.code(), table));
    assert_eq!(
        std::fs::read_dir(home.path().join("s3b/runs")).unwrap().count(),
        0,
        "its journal is of no use any more"
    );
    for (args, part) in [
        (vec!["--oracles", "x", "--bucket", "b"], "--bucket"),
        (vec![], "--bucket mybucket"),
        (vec!["--from", "absent.json"], "absent.json"),
        (with(&["--configurations", "3"]), "--configurations 3"),
        (with(&["--configurations", "2", "-o", "no/such/folder.json"]), "no/such/folder.json"),
    ] {
        let refused = tuner(&args);
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(part),
            "{args:?}: {}",
            text(&refused.stderr)
        );
    }
}

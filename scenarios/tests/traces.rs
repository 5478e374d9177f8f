//! The readers against recorded traces with known counts. Skipped, visibly, where the traces are absent.

use std::path::{Path, PathBuf};

use s3b_scenarios::trace::Format;
use s3b_scenarios::{Op, OpKind, Summary, Trace};

fn trace_path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces").join(name);
    if path.exists() {
        return Some(path);
    }
    // Even in CI: the traces are not part of the tree.
    eprintln!("SKIPPED: {} is absent", path.display());
    None
}

fn read(path: &Path) -> (Format, Vec<Op>) {
    let trace = Trace::open(path).unwrap();
    let format = trace.format();
    (format, trace.collect::<Result<_, _>>().unwrap())
}

fn counts(ops: &[Op]) -> [usize; 4] {
    OpKind::ALL.map(|kind| ops.iter().filter(|op| op.kind == kind).count())
}

fn summary(ops: &[Op]) -> Summary {
    Summary::of(ops.iter().map(|op| Ok::<_, ()>(*op))).unwrap()
}

#[test]
fn vscsi_of_a_production_vm() {
    let Some(path) = trace_path("vm-io/cloudPhysicsIO.vscsi.zst") else { return };
    let (format, ops) = read(&path);
    assert_eq!((format, ops.len()), (Format::VscsiV1, 113_872));
    assert_eq!(counts(&ops), [46_974, 66_898, 0, 0]);
    let all = summary(&ops);
    assert_eq!([all.read_bytes, all.write_bytes].map(|bytes| (bytes as f64 / 1048576.0).round()), [1714.0, 2297.0]);
    assert!((all.duration_ns as f64 / 1e9 - 7200.09).abs() < 0.01, "{} ns", all.duration_ns);
    assert!(ops.is_sorted_by_key(|op| op.time_ns) && ops[0].time_ns == 0);
}

/// 3000 requests from number 18,000 on are those of crossformat/vmio3000.
#[test]
fn vscsi_agrees_with_the_same_requests_in_other_formats() {
    let (Some(path), Some(expected)) =
        (trace_path("vm-io/cloudPhysicsIO.vscsi.zst"), trace_path("crossformat/vmio3000.expected.json"))
    else {
        return;
    };
    let ops: Vec<Op> = Trace::open(&path).unwrap().skip(18_000).take(3000).collect::<Result<_, _>>().unwrap();
    assert_agrees(&ops, &expected, 0);
}

/// With crossformat/vmio3000.expected.json, up to a tolerance in the duration.
fn assert_agrees(ops: &[Op], expected: &Path, tolerance_ns: u64) {
    let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let all = summary(ops);
    let number = |key: &str| expected[key].as_u64().unwrap();
    assert_eq!(
        [all.reads, all.writes, all.discards, all.flushes],
        [number("reads"), number("writes"), number("trims"), number("flushes")]
    );
    let mib = |bytes: u64| (bytes as f64 / (1 << 20) as f64 * 10.0).round() / 10.0;
    assert_eq!(
        (Some(mib(all.read_bytes)), Some(mib(all.write_bytes))),
        (expected["read_MiB"].as_f64(), expected["write_MiB"].as_f64())
    );
    let duration_ns = (expected["duration_s"].as_f64().unwrap() * 1e9).round() as u64;
    assert!((all.duration_ns - ops[0].time_ns).abs_diff(duration_ns) <= tolerance_ns, "{} ns", all.duration_ns);
    assert_eq!((all.lowest, all.device_ends), (Some(number("min_off")), vec![number("max_end")]));
}

#[test]
fn blktrace_of_two_packed_cpus_in_queue_events() {
    let Some(path) = trace_path("blk-sqlite/sqlite.blktrace.0.zst") else { return };
    let (format, ops) = read(&path);
    assert_eq!((format, ops.len()), (Format::Blktrace('Q'), 81_234));
    assert_eq!(counts(&ops), [18_647, 53_281, 9_297, 9]);
    let all = summary(&ops);
    assert_eq!((all.read_bytes >> 20, all.write_bytes >> 20), (101, 1141));
    assert_eq!(all.duration_ns / 100_000_000, 465, "46.5 s");
    assert_eq!(ops.iter().filter(|op| op.flush_before && op.durable).count(), 287, "journal commits are PREFLUSH|FUA");
    // Any file of the recording, or its name alone, stands for all of it.
    for other in ["blk-sqlite/sqlite.blktrace.1.zst", "blk-sqlite/sqlite"] {
        assert_eq!(read(&path.parent().unwrap().parent().unwrap().join(other)).1, ops, "{other}");
    }
}

#[test]
fn blktrace_without_queue_events_falls_back_to_issue() {
    let Some(path) = trace_path("blk-small/keks.blktrace.3") else { return };
    let (format, ops) = read(&path);
    assert_eq!((format, ops.len()), (Format::Blktrace('D'), 1_192));
    assert_eq!(counts(&ops), [0, 1158, 24, 10]);
    assert_eq!(summary(&ops).duration_ns / 100_000_000, 563, "56.3 s");
}

#[test]
fn blktrace_of_one_cpu() {
    let Some(path) = trace_path("blk-small/randread.blktrace.0") else { return };
    let (format, ops) = read(&path);
    assert_eq!((format, counts(&ops)), (Format::Blktrace('Q'), [963, 0, 0, 0]));
    assert!(ops.iter().all(|op| op.len == 4096));
}

/// The same 3000 requests in seven formats: the same counts, and the same operations one by one.
#[test]
fn all_formats_agree_on_the_same_requests() {
    let (Some(vscsi), Some(expected)) =
        (trace_path("vm-io/cloudPhysicsIO.vscsi.zst"), trace_path("crossformat/vmio3000.expected.json"))
    else {
        return;
    };
    let truth: Vec<Op> = Trace::open(&vscsi).unwrap().skip(18_000).take(3000).collect::<Result<_, _>>().unwrap();
    let start_ns = truth[0].time_ns;
    for (name, format) in [
        ("v2.iolog", Format::FioV2),
        ("v3.iolog", Format::FioV3),
        ("msr.csv", Format::Msr),
        ("spc", Format::Spc),
        ("alibaba.csv", Format::Alibaba),
        ("tencent.csv", Format::Tencent),
        ("mqsim.trace", Format::MqSim),
    ] {
        let Some(path) = trace_path(&format!("crossformat/vmio3000.{name}")) else { return };
        let (found, ops) = read(&path);
        assert_eq!((found, ops.len()), (format, 3000), "{name}");
        // fio's waits are rounded one by one, and Tencent has seconds only.
        let tolerance_ns = match format {
            Format::FioV2 => 100_000,
            Format::Tencent => 1_000_000_000,
            _ => 0,
        };
        assert_agrees(&ops, &expected, tolerance_ns);
        for (op, truth) in ops.iter().zip(&truth) {
            let late = op.time_ns.abs_diff(truth.time_ns - start_ns);
            assert_eq!((op.kind, op.offset, op.len), (truth.kind, truth.offset, truth.len), "{name}");
            assert!(late <= tolerance_ns, "{name}: {late} ns off");
        }
    }
}

#[test]
fn traces_with_known_counts() {
    for (name, format, expected, moved_mib, tenths) in [
        ("mqsim/tpcc-small.trace", Format::MqSim, [4381, 2618, 0, 0], (35, 22), 1),
        ("diskarray/ssd-postmark-aligned2.trace.zst", Format::DiskSim, [51_780, 10_477, 0, 0], (4994, 8523), 4900),
        ("arc/OLTP.lis.zst", Format::Arc, [914_145, 0, 0, 0], (446, 0), 0),
        ("vm-io/cloudPhysicsIO.csv.zst", Format::CloudPhysics, [46_974, 66_898, 0, 0], (1714, 2297), 72_000),
    ] {
        let Some(path) = trace_path(name) else { return };
        let (found, ops) = read(&path);
        assert_eq!((found, counts(&ops)), (format, expected), "{name}");
        let all = summary(&ops);
        let mib = |bytes: u64| (bytes as f64 / 1048576.0).round() as u64;
        assert_eq!((mib(all.read_bytes), mib(all.write_bytes)), moved_mib, "{name}");
        assert!((all.duration_ns / 100_000_000).abs_diff(tenths) <= 10, "{name}: {} ns", all.duration_ns);
    }
}

#[test]
fn cloudphysics_seconds_stay_close_to_the_real_times() {
    let (Some(binary), Some(text)) =
        (trace_path("vm-io/cloudPhysicsIO.vscsi.zst"), trace_path("vm-io/cloudPhysicsIO.csv.zst"))
    else {
        return;
    };
    let (_, binary) = read(&binary);
    let (_, text) = read(&text);
    assert_eq!(binary.len(), text.len());
    for (binary, text) in binary.iter().zip(&text) {
        assert_eq!((binary.kind, binary.offset, binary.len), (text.kind, text.offset, text.len));
        assert!(binary.time_ns.abs_diff(text.time_ns) < 2_000_000_000);
    }
}

/// Every prefix of a real trace either ends cleanly at a record or says where it was cut.
#[test]
fn a_trace_cut_anywhere_is_reported() {
    let Some(path) = trace_path("blk-small/randread.blktrace.0") else { return };
    let bytes = std::fs::read(path).unwrap();
    let mut clean = 0;
    for cut in 0..2000 {
        match Trace::from_bytes(bytes[..cut].to_vec()).and_then(|trace| trace.collect::<Result<Vec<_>, _>>()) {
            Ok(_) => clean += 1,
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(clean > 5 && clean < 60, "{clean} cuts at a record border");
}

//! The file that a recording leaves behind.

use s3b_scenarios::{Op, OpKind, Trace};

use super::writer::RecordFile;
use super::*;

fn geometry() -> Geometry {
    Geometry::new(4096, 1 << 30).unwrap()
}

fn read(path: &Path) -> (Vec<Op>, Trace) {
    let mut trace = Trace::open(path).unwrap();
    let ops = trace.by_ref().map(Result::unwrap).collect();
    (ops, trace)
}

#[test]
fn what_is_pushed_is_read_back_and_the_end_is_stated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("day.s3bt");
    let recording = Recording::start(&path, 0, geometry()).unwrap();
    let (intake, counts) = (recording.intake(), recording.counts());
    let pushed: Vec<(OpKind, u64, u64)> = (0..30_000u64)
        .map(|n| match n % 10 {
            0 => (OpKind::Flush, 0, 0),
            1 => (OpKind::Discard, n << 12, 1 << 20),
            2..5 => (OpKind::Read, n * 7919 % 262_144 * 4096, 4096),
            _ => (OpKind::Write, n * 104_729 % 262_144 * 4096 + n % 2, 100 + n),
        })
        .collect();
    for &(kind, offset, len) in &pushed {
        intake.push(kind, offset, len);
    }
    recording.finish();
    let (ops, trace) = read(&path);
    assert!(ops.iter().map(|op| (op.kind, op.offset, op.len)).eq(pushed));
    assert_eq!(trace.notices(), Vec::<String>::new());
    assert_eq!((trace.skipped().dropped, trace.skipped().back_in_time), (0, 0));
    let header = trace.recording().unwrap();
    assert_eq!((header.volume_bytes, header.block_bytes), (1 << 30, 4096));
    assert!(header.started_unix_ms > 1_700_000_000_000, "2023 and later: {}", header.started_unix_ms);
    assert_eq!((counts.ops.get(), counts.dropped.get()), (30_000, 0));
    assert_eq!(counts.bytes.get(), path.metadata().unwrap().len());
}

#[test]
fn nothing_is_overwritten_and_a_failed_mount_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("day.s3bt");
    check(&path).unwrap();
    let recording = Recording::start(&path, 0, geometry()).unwrap();
    for refused in [check(&path), Recording::start(&path, 0, geometry()).map(drop)] {
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("day.s3bt") && words.contains("day.2.s3bt"), "{words}");
    }
    recording.abandon();
    check(&path).unwrap();
    let words = check(&dir.path().join("no/day.s3bt")).unwrap_err().to_string();
    assert!(words.contains("make it first"), "{words}");
    assert!(!path.exists());
}

/// A device that is always full: the writer's errors must not reach whoever pushes.
#[test]
fn what_a_full_disk_refuses_is_counted() {
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let counts = Arc::<Counts>::default();
    let (sender, queue) = sync_channel(QUEUE);
    let intake = Intake::new(&Header::default(), sender, counts.clone());
    for n in 0..20_000u64 {
        intake.push(OpKind::Read, n * 7919 % 262_144 * 4096, 4096);
    }
    intake.close();
    Writer::new(file, "/dev/full".into(), 64, u64::MAX, counts.clone()).run(&intake, queue);
    assert_eq!((counts.ops.get(), counts.dropped.get(), counts.bytes.get()), (0, 20_000, 64));
}

/// How far the file was written, and how much of that is on the disk.
#[derive(Clone, Default)]
struct Watched(Arc<parking_lot::Mutex<(u64, u64)>>);

impl RecordFile for Watched {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        self.0.lock().0 = at + bytes.len() as u64;
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.lock().0 = len;
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut state = self.0.lock();
        state.1 = state.0;
        Ok(())
    }
}

#[test]
fn what_was_written_is_synced_within_a_second_and_not_each_time() {
    let file = Watched::default();
    let synced = || file.0.lock().1;
    let (sender, _queue) = sync_channel(QUEUE);
    let intake = Intake::new(&Header::default(), sender, Arc::default());
    let mut writer = Writer::new(file.clone(), "any".into(), 64, u64::MAX, Arc::default());
    let write = |writer: &mut Writer<Watched>| {
        intake.push(OpKind::Write, 0, 4096);
        writer.append(&intake.rest());
        file.0.lock().0
    };
    let start = clock::now();
    let first = write(&mut writer);
    writer.sync_if_due(start);
    assert_eq!(synced(), 0, "not each time");
    let second = write(&mut writer);
    writer.sync_if_due(clock::now() + Duration::from_secs(1));
    assert!(first < second && synced() == second, "{first} {second} {}", synced());
}

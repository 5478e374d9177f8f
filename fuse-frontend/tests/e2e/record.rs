//! `--record`: what a mount writes down of its I/O, read back as a trace.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use s3b_scenarios::{Op, OpKind, Trace};
use s3b_testkit::{FilesystemMount, LoopDevice, Mount, require_program, require_root_and_fuse, until, xorshift};

use crate::place::{LONG, in_time, mount, refusal, s3b, unmount};

const SIZE: u64 = 32 << 20;
/// Direct I/O: the kernel passes every request on as it is. The file's data never leave the process's cache.
const FLAGS: &[&str] = &["--size=32m", "--block-size=64k", "--direct-io", "--durability=none"];

fn recorded(store: &Path, trace: &Path, more: &[&str]) -> Command {
    let record = format!("--record={}", trace.display());
    s3b().mount_directory(store, &[FLAGS, &[&record], more].concat())
}

/// The operations, and what the trace says of its end.
fn read(trace: &Path) -> (Vec<Op>, Vec<String>) {
    let mut reader = Trace::open(trace).unwrap();
    let ops = reader.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(reader.skipped().back_in_time, 0, "times fall");
    (ops, reader.notices())
}

/// Memory as direct I/O wants it: at a page's border.
struct Pages(Vec<u8>, usize);

impl Pages {
    fn of(content: &[u8], len: usize) -> Self {
        let mut bytes = vec![0; len + 4096];
        let start = bytes.as_ptr().align_offset(4096);
        bytes[start..start + len].iter_mut().zip(content.iter().cycle()).for_each(|(byte, from)| *byte = *from);
        Self(bytes, start)
    }

    fn part(&mut self, len: u64) -> &mut [u8] {
        &mut self.0[self.1..self.1 + len as usize]
    }
}

fn direct(file: &Path) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(file).unwrap()
}

fn punch(file: &File, offset: u64, len: u64) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open for as long as the call; no memory is passed.
    assert_eq!(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, len as i64) }, 0);
}

/// Reads at random places, one after the other.
fn random_reads(volume: &Mount, count: u64) {
    let path = volume.file();
    in_time("reading", move || {
        let (file, mut pages, mut state) = (direct(&path), Pages::of(&[0], 4096), 5);
        for _ in 0..count {
            let offset = xorshift(&mut state) % (SIZE / 4096) * 4096;
            file.read_exact_at(pages.part(4096), offset).unwrap();
        }
    });
}

#[test]
fn a_trace_holds_exactly_what_was_asked_and_no_content() {
    const MARK: &[u8] = b"Never in a trace";
    if !require_root_and_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, trace) = (dir.path().join("store"), dir.path().join("day.s3bt"));
    std::fs::create_dir(&store).unwrap();
    let volume = mount(recorded(&store, &trace, &[]));
    let path = volume.file();
    let sent = in_time("the workload", move || {
        let (file, mut pages, mut state) = (direct(&path), Pages::of(MARK, 64 << 10), 7);
        let mut sent = Vec::new();
        for n in 0..3000 {
            let len = (xorshift(&mut state) % 16 + 1) * 4096;
            let offset = xorshift(&mut state) % (SIZE / 4096 - 16) * 4096;
            let (kind, offset, len) = match n % 20 {
                7 => (OpKind::Flush, 0, 0),
                13 => (OpKind::Discard, offset, len),
                even if even % 2 == 0 => (OpKind::Write, offset, len),
                _ => (OpKind::Read, offset, len),
            };
            match kind {
                OpKind::Read => file.read_exact_at(pages.part(len), offset).unwrap(),
                OpKind::Write => file.write_all_at(Pages::of(MARK, len as usize).part(len), offset).unwrap(),
                OpKind::Flush => file.sync_data().unwrap(),
                OpKind::Discard => punch(&file, offset, len),
            }
            sent.push((kind, offset, len));
        }
        // What closing asks for.
        sent.push((OpKind::Flush, 0, 0));
        sent
    });
    let said = refusal(recorded(&store, &trace, &[]));
    assert!(said.contains("move it away") && said.contains("day.2.s3bt"), "{said}");
    unmount(volume);
    let (ops, notices) = read(&trace);
    // A program that another test starts meanwhile inherits the file for a moment, and closing it there is a flush too.
    let (asked_flushes, asked): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(kind, ..)| *kind == OpKind::Flush);
    let found = ops.iter().map(|op| (op.kind, op.offset, op.len));
    let (flushes, found): (Vec<_>, Vec<_>) = found.partition(|(kind, ..)| *kind == OpKind::Flush);
    assert_eq!(found.len(), asked.len());
    if let Some(at) = (0..asked.len()).find(|&at| found[at] != asked[at]) {
        panic!("operation {at}: {:?} was sent, {:?} recorded", asked[at], found[at]);
    }
    assert!(flushes.len() >= asked_flushes.len(), "{} flushes of {}", flushes.len(), asked_flushes.len());
    assert_eq!(notices, Vec::<String>::new());
    assert!(ops.last().unwrap().time_ns > 0);
    let bytes = std::fs::read(&trace).unwrap();
    assert!(!bytes.windows(4).any(|window| MARK.windows(4).any(|mark| mark == window)), "content is in the trace");
    assert_eq!(trace.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_recording_stops_at_its_largest_size() {
    if !require_root_and_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, trace) = (dir.path().join("store"), dir.path().join("day.s3bt"));
    std::fs::create_dir(&store).unwrap();
    let volume = mount(recorded(&store, &trace, &["--record-max-size=64k"]));
    random_reads(&volume, 30_000);
    until(LONG, "a full recording", || (volume.stats().unwrap()["s3b_record_full"] == "1").then_some(())).unwrap();
    random_reads(&volume, 100);
    let log = unmount(volume);
    assert_eq!(log.matches("--record-max-size").count(), 1, "{log}");
    let (ops, notices) = read(&trace);
    assert!(trace.metadata().unwrap().len() <= 64 << 10);
    assert!((5_000..30_000).contains(&ops.len()), "{} operations", ops.len());
    assert!(notices.len() == 1 && notices[0].contains("size limit"), "{notices:?}");
}

#[test]
fn a_full_disk_and_a_killed_mount_leave_readable_traces() {
    if !require_root_and_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let small = SmallDisk::mount(dir.path());
    let trace = small.0.join("day.s3bt");
    let volume = mount(recorded(&store, &trace, &[]));
    random_reads(&volume, 30_000);
    let dropped = |volume: &Mount| volume.stats().unwrap()["s3b_record_dropped_ops"].parse::<u64>().unwrap();
    until(LONG, "dropped operations", || (dropped(&volume) > 0).then_some(())).unwrap();
    let log = unmount(volume);
    assert_eq!(log.matches("the mount goes on").count(), 1, "told once: {log}");
    let (ops, notices) = read(&trace);
    let missing: u64 = notices.iter().find_map(|n| n.split(' ').find_map(|word| word.parse().ok())).unwrap();
    // The flush on close, and perhaps one of a program started meanwhile, come on top.
    let all = ops.len() as u64 + missing;
    assert!((30_001..30_100).contains(&all), "read or said to be missing: {all}, {notices:?}");

    let trace = dir.path().join("killed.s3bt");
    let volume = mount(recorded(&store, &trace, &[]));
    random_reads(&volume, 20_000);
    let header = 64;
    until(LONG, "a frame in the file", || (trace.metadata().unwrap().len() > header).then_some(())).unwrap();
    volume.crash().unwrap();
    let (ops, notices) = read(&trace);
    assert!(ops.len() > 100 && ops[..100].iter().all(|op| op.kind == OpKind::Read && op.len == 4096), "{}", ops.len());
    assert!(notices.iter().any(|notice| notice.contains("not ended") || notice.contains("torn")), "{notices:?}");
}

/// 64 KiB of tmpfs.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(parent: &Path) -> Self {
        let point = parent.join("small");
        std::fs::create_dir(&point).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&point).status().unwrap();
        assert!(status.success());
        Self(point)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing else can be done in a drop.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The flushes of a filesystem on a loop device arrive, and its trim.
#[test]
fn a_filesystem_on_a_loop_device_is_recorded_with_its_flushes() {
    if !require_root_and_fuse() || !require_program("mkfs.ext4") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, trace) = (dir.path().join("store"), dir.path().join("day.s3bt"));
    std::fs::create_dir(&store).unwrap();
    let volume = mount(recorded(&store, &trace, &[]));
    let device = LoopDevice::attach(&volume.file(), false).unwrap();
    device.make_filesystem("ext4").unwrap();
    let filesystem = FilesystemMount::start(device.path(), "discard").unwrap();
    let log = filesystem.path().join("log");
    in_time("fsyncs", move || {
        let file = File::create(log).unwrap();
        for n in 0..20 {
            file.write_all_at(&[7; 4096], n * 4096).unwrap();
            file.sync_all().unwrap();
        }
    });
    filesystem.unmount().unwrap();
    device.detach().unwrap();
    unmount(volume);
    let (ops, notices) = read(&trace);
    assert_eq!(notices, Vec::<String>::new());
    let count = |kind| ops.iter().filter(|op| op.kind == kind).count();
    assert!(count(OpKind::Flush) >= 20, "20 fsyncs, {} flushes", count(OpKind::Flush));
    assert!(count(OpKind::Write) > 20 && count(OpKind::Discard) > 0 && count(OpKind::Read) > 0);
}

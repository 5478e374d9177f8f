//! What users of the mounted file see, through a real FUSE mount of the real binary.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::Signal;
use s3b_testkit::{
    FilesystemMount, Finished, LoopDevice, Mount, MountPoint, S3b, is_mounted, require_program, require_root_and_fuse,
    run_to_end, run_when_idle, skip,
};
use tempfile::TempDir;

const SIZE: u64 = 16 << 20;
/// Nothing here takes this long, also on a busy machine; what does, hangs.
const LONG: Duration = Duration::from_secs(120);

fn s3b() -> S3b {
    S3b::new(env!("CARGO_BIN_EXE_s3b"))
}

/// A mount of a directory of its own.
struct Mounted {
    mount: Mount,
    store: TempDir,
}

impl Deref for Mounted {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.mount
    }
}

impl DerefMut for Mounted {
    fn deref_mut(&mut self) -> &mut Mount {
        &mut self.mount
    }
}

impl Mounted {
    /// Mounts 16 MiB of 4 KiB blocks, with more flags.
    fn with(flags: &[&str]) -> Self {
        Self::again(tempfile::tempdir().unwrap(), flags)
    }

    fn again(store: TempDir, flags: &[&str]) -> Self {
        let flags = [&["--size=16m", "--block-size=4k"], flags].concat();
        Self::start(store, |store| s3b().mount_directory(store, &flags))
    }

    fn start(store: TempDir, command: impl FnOnce(&Path) -> Command) -> Self {
        let mount = Mount::start(&mut command(store.path())).unwrap_or_else(|error| panic!("{error:#}"));
        Self { mount, store }
    }

    /// Answers the log, and what it was stored in.
    fn unmount(self) -> (String, TempDir) {
        (self.mount.unmount().unwrap_or_else(|error| panic!("{error:#}")), self.store)
    }
}

fn ended(command: &mut Command) -> Finished {
    run_to_end(command, LONG).unwrap_or_else(|error| panic!("{error:#}"))
}

fn s3b_umount(mountpoint: &Path) {
    run_when_idle(s3b().command("umount").arg("--wait").arg(mountpoint), LONG).unwrap();
}

fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
}

fn part(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

#[test]
fn bytes_come_back() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let pattern: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
    for offset in [0, 4095, 1 << 20, SIZE - 100_000] {
        let file = writable(&mounted.file());
        file.write_all_at(&pattern, offset).unwrap();
        file.sync_all().unwrap();
        drop(file);
        assert_eq!(part(&File::open(mounted.file()).unwrap(), offset, pattern.len()), pattern, "at {offset}");
    }
    let (log, _) = mounted.unmount();
    assert!(log.contains("everything is stored"), "{log}");
}

#[test]
fn the_end_of_the_volume_is_the_end_of_a_disk() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let file = writable(&mounted.file());
    assert_eq!(file.write_at(&[1; 8192], SIZE - 4096).unwrap(), 4096, "what fits is written");
    assert_eq!(errno(file.write_at(&[1], SIZE)), libc::ENOSPC);
    assert_eq!(file.read_at(&mut [0; 10], SIZE).unwrap(), 0);
    assert_eq!(fs::metadata(mounted.file()).unwrap().len(), SIZE);
}

#[test]
fn a_volume_has_one_size() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let file = writable(&mounted.file());
    file.write_all_at(b"kept", 0).unwrap();
    file.set_len(SIZE).unwrap();
    assert_eq!(errno(file.set_len(SIZE - 1)), libc::EPERM);
    assert_eq!(errno(file.set_len(SIZE + 1)), libc::EPERM);
    assert_eq!(errno(file.set_len(0)), libc::EPERM);
    // As on a block device, O_TRUNC is ignored: `dd of=file` works.
    let truncating = OpenOptions::new().write(true).truncate(true).open(mounted.file()).unwrap();
    drop(truncating);
    assert_eq!(fs::metadata(mounted.file()).unwrap().len(), SIZE);
    assert_eq!(part(&file, 0, 4), b"kept");
}

#[test]
fn holes_and_zero_ranges_are_real_and_other_modes_refused() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let file = writable(&mounted.file());
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for (flags, at) in [
        (punch, 0),
        (FallocateFlags::ZERO_RANGE, 1 << 20),
        (FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, 2 << 20),
    ] {
        file.write_all_at(&[7; 20_000], at).unwrap();
        fallocate(&file, flags, at + 100, 10_000).unwrap();
        let bytes = part(&file, at, 20_000);
        let zeros = bytes.iter().enumerate().all(|(i, b)| (*b == 0) == (100..10_100).contains(&i));
        assert!(zeros, "{flags:?}");
    }
    for flags in [FallocateFlags::empty(), FallocateFlags::KEEP_SIZE, FallocateFlags::COLLAPSE_RANGE] {
        assert_eq!(fallocate(&file, flags, 0, 4096), Err(rustix::io::Errno::OPNOTSUPP), "{flags:?}");
    }
    assert_eq!(fallocate(&file, FallocateFlags::ZERO_RANGE, SIZE, 4096), Err(rustix::io::Errno::NOSPC));
    fallocate(&file, punch, SIZE - 4096, 1 << 20).unwrap();
}

#[test]
fn read_only_mounts_refuse_every_change() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&["--read-only"]);
    assert_eq!(errno(OpenOptions::new().write(true).open(mounted.file())), libc::EROFS);
    assert_eq!(fs::metadata(mounted.file()).unwrap().permissions().mode() & 0o777, 0o400);
    assert_eq!(errno(fs::remove_file(mounted.path("stats"))), libc::EROFS);
    let file = File::open(mounted.file()).unwrap();
    assert_eq!(part(&file, 0, 4096), [0; 4096]);
    assert_eq!(
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096),
        Err(rustix::io::Errno::BADF)
    );
}

#[test]
fn attributes_are_truthful() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let file = fs::metadata(mounted.file()).unwrap();
    assert_eq!((file.len(), file.blocks(), file.blksize()), (SIZE, SIZE / 512, 4096));
    let before = file.modified().unwrap();
    writable(&mounted.file()).write_all_at(b"x", 0).unwrap();
    assert!(fs::metadata(mounted.file()).unwrap().modified().unwrap() > before);
    let whole = rustix::fs::statvfs(mounted.point()).unwrap();
    assert_eq!((whole.f_bsize, whole.f_frsize, whole.f_blocks, whole.f_bfree), (4096, 4096, SIZE / 4096, 0));
    let mut names: Vec<_> = fs::read_dir(mounted.point()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["file", "stats"]);
    for change in
        [fs::write(mounted.path("new"), ""), fs::create_dir(mounted.path("dir")), fs::remove_file(mounted.file())]
    {
        assert_eq!(errno(change), libc::EPERM);
    }
}

#[test]
fn direct_io_and_names_are_as_asked() {
    if !require_root_and_fuse() {
        return;
    }
    let flags = ["--direct-io", "--filename=disk", "--stats-filename=", "--file-mode=0640", "-o", "uid=12,gid=34"];
    let mounted = Mounted::with(&flags);
    let names: Vec<_> = fs::read_dir(mounted.point()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["disk"], "an empty stats name turns the stats file off");
    let disk = fs::metadata(mounted.path("disk")).unwrap();
    assert_eq!((disk.permissions().mode() & 0o777, disk.uid(), disk.gid()), (0o640, 12, 34));
    let file = writable(&mounted.path("disk"));
    file.write_all_at(b"past the page cache", 5).unwrap();
    assert_eq!(part(&file, 5, 19), b"past the page cache");
}

#[test]
fn the_stats_file_is_a_snapshot_and_unlinking_it_resets() {
    if !require_root_and_fuse() {
        return;
    }
    let mounted = Mounted::with(&[]);
    let stats = mounted.path("stats");
    let mut open = File::open(&stats).unwrap();
    let text = fs::read_to_string(&stats).unwrap();
    assert!(text.lines().all(|line| line.len() > 29 && line.is_char_boundary(28)), "{text}");
    assert!(text.contains("out_of_memory_errors         0\n"), "{text}");
    assert_eq!(errno(OpenOptions::new().write(true).open(&stats)), libc::EACCES);
    fs::remove_file(&stats).unwrap();
    assert!(stats.exists(), "it stays");
    let mut kept = String::new();
    open.read_to_string(&mut kept).unwrap();
    assert!(kept.starts_with(text.lines().next().unwrap()), "an open handle keeps its text: {kept}");
}

#[test]
fn the_kernel_reads_ahead() {
    if !require_root_and_fuse() {
        return;
    }
    let mut mounted = Mounted::with(&["--kernel-read-ahead=2m"]);
    mounted.daemon().wait_for("is mounted on", LONG).unwrap();
    let device = fs::metadata(mounted.point()).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let kib = fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb")).unwrap();
    assert_eq!(kib.trim(), "2048");
}

#[test]
fn ext4_lives_on_a_loop_device() {
    if !require_root_and_fuse() || !require_program("mkfs.ext4") {
        return;
    }
    let mounted = Mounted::with(&["--size=64m", "--block-size=64k"]);
    let on_loop = |file: PathBuf| {
        let device = LoopDevice::attach(&file, false).unwrap();
        let inner = FilesystemMount::start(device.path(), "discard").unwrap();
        (inner, device)
    };
    let off_loop = |(inner, device): (FilesystemMount, LoopDevice)| {
        inner.unmount().unwrap();
        device.detach().unwrap();
    };
    let device = LoopDevice::attach(&mounted.file(), false).unwrap();
    device.make_filesystem("ext4").unwrap();
    device.detach().unwrap();
    let first = on_loop(mounted.file());
    for number in 0..200 {
        let mut file = File::create(first.0.path().join(format!("file{number}"))).unwrap();
        file.write_all(format!("content {number} ").repeat(number * 10).as_bytes()).unwrap();
    }
    first.0.sync().unwrap();
    off_loop(first);
    let second = on_loop(mounted.file());
    for number in 0..200 {
        let text = fs::read_to_string(second.0.path().join(format!("file{number}"))).unwrap();
        assert_eq!(text, format!("content {number} ").repeat(number * 10));
    }
    off_loop(second);
    run_when_idle(Command::new("e2fsck").args(["-f", "-n"]).arg(mounted.file()), LONG).unwrap();
}

#[test]
fn secrets_do_not_stay_in_the_process_list() {
    if !require_root_and_fuse() {
        return;
    }
    let flags = ["--accessId=me", "--accessKey=sesame", "--password", "hush-hush", "-o", "ro,password=quiet-now"];
    let mounted = Mounted::with(&flags);
    let cmdline = fs::read(format!("/proc/{}/cmdline", mounted.pid())).unwrap();
    let cmdline = String::from_utf8(cmdline).unwrap().replace('\0', " ");
    for secret in ["sesame", "hush", "quiet"] {
        assert!(!cmdline.contains(secret), "{cmdline}");
    }
    assert!(
        cmdline.contains("--accessId=me --accessKey=xxxxxx --password xxxxxxxxx -o ro,password=xxxxxxxxx"),
        "{cmdline}"
    );
}

#[test]
fn in_the_background_the_exit_code_tells() {
    if !require_root_and_fuse() {
        return;
    }
    let (store, mountpoint) = (tempfile::tempdir().unwrap(), MountPoint::new().unwrap());
    let mount = |mountpoint: &Path| {
        let mut command = s3b().command("mount");
        ended(command.args(["--test", "--size=1m", "--block-size=4k"]).arg(store.path()).arg(mountpoint))
    };
    let missing = mount(&mountpoint.path().join("missing"));
    assert_eq!(missing.status.code(), Some(1));
    let text = missing.stderr;
    assert!(text.contains("does not exist") && text.lines().count() == 1, "{text}");
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 0, "nothing was written before the check");

    assert_eq!(mount(mountpoint.path()).status.code(), Some(0));
    assert!(is_mounted(mountpoint.path()), "it returns when the mount is up");
    fs::write(mountpoint.path().join("file"), b"hello").unwrap();

    let busy = mount(mountpoint.path());
    assert!(busy.status.code() == Some(1) && busy.stderr.contains("is busy"), "{busy}");

    s3b_umount(mountpoint.path());
    assert!(!is_mounted(mountpoint.path()));
    let again = ended(s3b().command("umount").arg(mountpoint.path()));
    assert!(again.stderr.contains("not a mount point"), "{again}");
}

#[test]
fn sigterm_stores_unmounts_and_ends() {
    if !require_root_and_fuse() {
        return;
    }
    let mut mounted = Mounted::with(&[]);
    let point = mounted.point().to_owned();
    fs::write(mounted.file(), b"stored").unwrap();
    mounted.daemon().signal(Signal::TERM).unwrap();
    let (status, log) = mounted.mount.ended().unwrap();
    assert!(status.success() && log.contains("everything is stored"), "{status}\n{log}");
    assert!(!is_mounted(&point));
}

#[test]
fn a_second_signal_gives_up_on_a_busy_mount() {
    if !require_root_and_fuse() {
        return;
    }
    let mut mounted = Mounted::with(&[]);
    let file = writable(&mounted.file());
    mounted.daemon().signal(Signal::TERM).unwrap();
    mounted.daemon().wait_for("is in use and was detached", LONG).unwrap();
    file.write_all_at(b"still served", 0).unwrap();
    mounted.daemon().signal(Signal::INT).unwrap();
    let (status, log) = mounted.mount.ended().unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the lock and the cache file are kept"), "{log}");
}

#[test]
fn s3backers_command_line_mounts() {
    if !require_root_and_fuse() {
        return;
    }
    let bin = tempfile::tempdir().unwrap();
    let s3backer = bin.path().join("s3backer");
    symlink(env!("CARGO_BIN_EXE_s3b"), &s3backer).unwrap();
    let mounted = Mounted::start(tempfile::tempdir().unwrap(), |store| {
        let mut command = Command::new(s3backer);
        let options = "fileMode=0644,nodev,entry_timeout=1";
        command.args(["--test", "--size=1m", "--blockSize=8k", "-f", "-o", options]).arg(store);
        command
    });
    let file = fs::metadata(mounted.file()).unwrap();
    assert_eq!((file.len(), file.blksize(), file.permissions().mode() & 0o777), (1 << 20, 8192, 0o644));
    mounted.unmount();
}

#[test]
fn an_fstab_line_mounts() {
    if !require_root_and_fuse() {
        return;
    }
    let Some(helper) = ["/sbin/mount.fuse3", "/sbin/mount.fuse"].into_iter().find(|p| Path::new(p).exists()) else {
        return skip("needs mount.fuse3 of the package fuse3");
    };
    let (store, mountpoint) = (tempfile::tempdir().unwrap(), MountPoint::new().unwrap());
    let bin = Path::new(env!("CARGO_BIN_EXE_s3b")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let options = "rw,_netdev,nofail,test,size=1m,block-size=4k,filename=disk";
    let mut mount = Command::new(helper);
    mount.arg(store.path()).arg(mountpoint.path()).args(["-t", "fuse.s3b", "-o", options]).env("PATH", path);
    run_when_idle(&mut mount, LONG).unwrap();
    assert_eq!(fs::metadata(mountpoint.path().join("disk")).unwrap().len(), 1 << 20);
    s3b_umount(mountpoint.path());
}

#[test]
fn the_process_behaves_as_asked() {
    if !require_root_and_fuse() {
        return;
    }
    let fuse_threads = |pid: u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
        names.filter(|name| name.strip_prefix("fuser-").is_some_and(|rest| rest.trim().parse::<u32>().is_ok())).count()
    };
    let mut quiet = Mounted::with(&["--quiet", "--fuse-threads=5"]);
    assert!(quiet.daemon().ended().is_none(), "--foreground: what was started is what serves");
    assert_eq!(fuse_threads(quiet.pid()), 5);
    fs::write(quiet.file(), vec![7; 40_000]).unwrap();
    let (log, store) = quiet.unmount();
    assert_eq!(log, "", "--quiet");

    let mut debug = Mounted::again(store, &["--debug", "--preload", "--fuse-threads=3"]);
    assert_eq!(fuse_threads(debug.pid()), 3);
    debug.daemon().wait_for("preloaded 10 blocks", LONG).unwrap();
    let file = File::open(debug.file()).unwrap();
    assert_eq!(part(&file, 0, 40_000), vec![7; 40_000]);
    let stats = debug.stats().unwrap();
    assert_eq!((&*stats["block_cache_read_misses"], &*stats["block_cache_current_size"]), ("0", "10 blocks"));
    drop(file);
    let (log, _) = debug.unmount();
    assert!(log.contains("DEBUG settings: size = \"16m\", block-size = \"4k\", preload = true\n"), "{log}");
}

//! `--offline` with real mounts and a real server: away, then back; and what a mount without it does then.

use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s3b_testkit::{Fault, FilesystemMount, LoopDevice, Mount, free_port, until, write_tree};

use crate::place::{Bucket, LONG, assert_same, in_time, mount, noise, open, refusal, unmount, write_at};

const FLAGS: &[&str] = &["--prefix=o-", "--size=48m", "--block-size=64k"];
/// Notices soon that the server is back.
const EAGER: &[&str] = &["--longest-backoff=500ms", "--max-retry-pause=1s", "--block-cache-size=48m"];

fn cache_file(directory: &Path) -> String {
    format!("--block-cache-file={}", directory.join("cache").display())
}

fn same_trees(one: &Path, other: &Path) {
    let mut diff = Command::new("diff");
    s3b_testkit::run(diff.args(["--recursive", "--no-dereference"]).arg(one).arg(other), LONG).unwrap();
}

/// ext4 on a loop device on the volume.
fn with_filesystem(mounted: &mut Mount, work: impl FnOnce(&FilesystemMount)) {
    let device = LoopDevice::attach(&mounted.file(), false).unwrap();
    let filesystem = FilesystemMount::start(device.path(), "defaults");
    let filesystem = filesystem.unwrap_or_else(|error| panic!("{error:#}\n{}", mounted.daemon().log()));
    work(&filesystem);
    filesystem.unmount().unwrap();
    device.detach().unwrap();
}

#[test]
fn a_filesystem_mounted_offline_is_in_the_bucket_once_the_server_is_up() {
    let Some(bucket) = Bucket::make("e2e-offline") else {
        return;
    };
    let local = tempfile::tempdir().unwrap();
    let cache_file = cache_file(local.path());
    let flags = [FLAGS, EAGER, &[&cache_file, "--durability=journal"]].concat();
    let (first, second) = (local.path().join("first"), local.path().join("second"));
    write_tree(&first, 7, 4 << 20).unwrap();
    write_tree(&second, 8, 4 << 20).unwrap();
    let copy = |from: &Path, filesystem: &FilesystemMount| {
        s3b_testkit::run(Command::new("cp").arg("-a").arg(from).arg(filesystem.path()), LONG).unwrap();
    };

    let proxy = bucket.proxy(Duration::ZERO);
    let mut mounted = mount(bucket.s3b_through(proxy.port(), &flags));
    let device = LoopDevice::attach(&mounted.file(), false).unwrap();
    device.make_filesystem("ext4").unwrap();
    device.detach().unwrap();
    with_filesystem(&mut mounted, |filesystem| copy(&first, filesystem));
    unmount(mounted);

    proxy.set_fault(Fault::Down);
    let offline = [&flags[..], &["--offline"]].concat();
    let mounted = mount(bucket.s3b_through(proxy.port(), &offline));
    let device = LoopDevice::attach(&mounted.file(), false).unwrap();
    let filesystem = FilesystemMount::start(device.path(), "defaults").unwrap();
    same_trees(&first, &filesystem.path().join("first"));
    copy(&second, &filesystem);
    filesystem.sync().expect("fsync is a matter of the cache file");
    // And the machine dies.
    mounted.crash().unwrap();
    drop(filesystem);
    drop(device);

    let mut mounted = mount(bucket.s3b_through(proxy.port(), &offline));
    with_filesystem(&mut mounted, |filesystem| same_trees(&second, &filesystem.path().join("second")));
    proxy.set_fault(Fault::None);
    let log = unmount(mounted);
    assert!(log.contains("joined"), "{log}");

    let mut again = mount(bucket.s3b(FLAGS));
    with_filesystem(&mut again, |filesystem| {
        same_trees(&first, &filesystem.path().join("first"));
        same_trees(&second, &filesystem.path().join("second"));
    });
    unmount(again);
}

#[test]
fn what_others_wrote_meanwhile_is_seen_after_joining() {
    let Some(bucket) = Bucket::make("e2e-joining") else {
        return;
    };
    let local = tempfile::tempdir().unwrap();
    let cache_file = cache_file(local.path());
    let flags = [FLAGS, EAGER, &[&cache_file]].concat();
    let proxy = bucket.proxy(Duration::ZERO);
    let mounted = mount(bucket.s3b_through(proxy.port(), &flags));
    write_at(&mounted.file(), 0, noise(1, 256 << 10));
    unmount(mounted);

    proxy.set_fault(Fault::Down);
    let mut mounted = mount(bucket.s3b_through(proxy.port(), &[&flags[..], &["--offline"]].concat()));
    // Open all the time, so that what the kernel may cache stays.
    let file = open(&mounted.file());
    let read = |at: u64| {
        let same = file.try_clone().unwrap();
        in_time("reading", move || {
            let mut bytes = vec![0; 64 << 10];
            same.read_exact_at(&mut bytes, at).map(|()| bytes)
        })
    };
    assert_same(&read(0).unwrap(), &noise(1, 64 << 10), "offline");
    assert_same(&read(1 << 20).unwrap(), &vec![0; 64 << 10], "a hole");
    let other = mount(bucket.s3b(FLAGS));
    write_at(&other.file(), 0, noise(2, 64 << 10));
    write_at(&other.file(), 1 << 20, noise(3, 64 << 10));
    unmount(other);
    assert_same(&read(0).unwrap(), &noise(1, 64 << 10), "nobody can know");
    proxy.set_fault(Fault::None);
    let daemon = mounted.daemon();
    until(LONG, "joined", || daemon.log().contains("joined").then_some(())).unwrap();
    assert_same(&read(0).unwrap(), &noise(2, 64 << 10), "after joining");
    assert_same(&read(1 << 20).unwrap(), &noise(3, 64 << 10), "the hole after joining");
    drop(file);
    unmount(mounted);
}

#[test]
fn without_offline_a_store_that_is_away_fails_the_mount_and_spares_the_cache_file() {
    let Some(bucket) = Bucket::make("e2e-away") else {
        return;
    };
    let local = tempfile::tempdir().unwrap();
    let cache_file = cache_file(local.path());
    let flags = [FLAGS, EAGER, &[&cache_file]].concat();
    let mounted = mount(bucket.s3b(&flags));
    write_at(&mounted.file(), 0, noise(1, 256 << 10));
    unmount(mounted);
    let before = std::fs::read(local.path().join("cache")).unwrap();

    // It takes connections and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let hung = bucket.s3b_through(silent_port, &flags);
    let hung = std::thread::spawn(move || refusal(hung));
    let said = refusal(bucket.s3b_through(free_port().unwrap(), &flags));
    assert!(said.contains("bucket e2e-away: ") && said.contains("refused"), "{said}");
    let said = in_time("a mount of a silent server", move || hung.join().unwrap());
    // The second mount found the cache file free: neither got as far as that.
    assert!(said.contains("bucket e2e-away: ") && said.contains("no answer within 10s"), "{said}");
    assert!(std::fs::read(local.path().join("cache")).unwrap() == before, "the cache file changed");
}

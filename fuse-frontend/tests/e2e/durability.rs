//! What an fsync promises, and what happens to it when the store is away.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use s3b_testkit::{Fault, FilesystemMount, LoopDevice, within, write_tree, xorshift};

use crate::place::{Bucket, LONG, assert_same, in_time, mount, noise, open, read_all, unmount};

/// Longer than any fsync that does not wait for the store; waited for once.
const SOON: Duration = Duration::from_secs(3);

const NEW: &[&str] = &["--prefix=d-", "--size=32m", "--block-size=64k"];

#[test]
fn two_hundred_fsynced_writes_survive_kill_9() {
    let Some(bucket) = Bucket::make("e2e-kill") else {
        return;
    };
    let mounted = mount(bucket.s3b(NEW));
    let mut expected = vec![0; 32 << 20];
    let file = open(&mounted.file());
    let mut state = 5;
    for number in 0..200 {
        let at = (xorshift(&mut state) % (expected.len() as u64 / 4096)) as usize * 4096;
        let bytes = noise(number + 1, 4096);
        expected[at..at + 4096].copy_from_slice(&bytes);
        let same = file.try_clone().unwrap();
        let write = move || same.write_all_at(&bytes, at as u64).and_then(|()| same.sync_all());
        in_time("a write with fsync", write).unwrap();
    }
    mounted.crash().unwrap();
    drop(file);

    // The dead mount's token is still there.
    let again = mount(bucket.s3b(&["--prefix=d-", "--force"]));
    assert_same(&read_all(&again.file()), &expected, "after kill -9");
    unmount(again);
}

#[test]
fn fsync_waits_for_a_store_that_is_busy_and_then_keeps_its_promise() {
    let Some(bucket) = Bucket::make("e2e-busy") else {
        return;
    };
    let proxy = bucket.proxy(Duration::ZERO);
    let mounted = mount(bucket.s3b_through(proxy.port(), NEW));
    let file = open(&mounted.file());
    let bytes = noise(9, 100_000);
    file.write_all_at(&bytes, 4096).unwrap();
    proxy.set_fault(Fault::RefuseWrites(503));
    let (early, same) = (file.try_clone().unwrap(), file.try_clone().unwrap());
    let answer = within(SOON, move || early.sync_all());
    assert!(!matches!(answer, Some(Ok(()))), "fsync succeeded while every PUT was refused");
    proxy.set_fault(Fault::None);
    in_time("fsync after the store came back", move || same.sync_all()).unwrap();
    mounted.crash().unwrap();
    drop(file);

    let again = mount(bucket.s3b(&["--prefix=d-", "--force"]));
    assert_same(&read_all(&again.file())[4096..104_096], &bytes, "after fsync said so");
    unmount(again);
}

#[test]
fn fsync_reports_a_store_that_forbids_writing() {
    let Some(bucket) = Bucket::make("e2e-forbidden") else {
        return;
    };
    let proxy = bucket.proxy(Duration::ZERO);
    let mounted = mount(bucket.s3b_through(proxy.port(), NEW));
    let file = open(&mounted.file());
    proxy.set_fault(Fault::RefuseWrites(403));
    file.write_all_at(&noise(3, 8192), 0).unwrap();
    let same = file.try_clone().unwrap();
    in_time("fsync", move || same.sync_all()).expect_err("the store forbids it");
    // Nothing was dropped: it is stored once that is allowed.
    proxy.set_fault(Fault::None);
    let same = file.try_clone().unwrap();
    in_time("storing at last", move || {
        while same.sync_all().is_err() {
            std::thread::yield_now();
        }
    });
    drop(file);
    unmount(mounted);
    let again = mount(bucket.s3b(&["--prefix=d-"]));
    assert_same(&read_all(&again.file())[..8192], &noise(3, 8192), "written while forbidden");
    unmount(again);
}

#[test]
fn a_journalled_filesystem_goes_on_without_the_store_and_survives_kill_9() {
    let Some(bucket) = Bucket::make("e2e-journal") else {
        return;
    };
    let local = tempfile::tempdir().unwrap();
    let cache_file = format!("--block-cache-file={}", local.path().join("cache").display());
    let flags = ["--prefix=d-", "--size=128m", "--block-size=64k"];
    let journal = [&flags[..], &[&cache_file, "--durability=journal", "--block-cache-size=128m"]].concat();
    let original = local.path().join("tree");
    write_tree(&original, 7, 16 << 20).unwrap();

    let proxy = bucket.proxy(Duration::ZERO);
    let mounted = mount(bucket.s3b_through(proxy.port(), &journal));
    let device = LoopDevice::attach(&mounted.file(), false).unwrap();
    device.make_filesystem("ext4").unwrap();
    let filesystem = FilesystemMount::start(device.path(), "defaults").unwrap();
    proxy.set_fault(Fault::Down);
    copy(&original, filesystem.path());
    filesystem.sync().expect("fsync is a matter of the cache file");
    // The machine dies now: what was synced lives in the cache file alone.
    mounted.crash().unwrap();
    drop(filesystem);
    drop(device);
    proxy.set_fault(Fault::None);

    // The cache file holds the dead mount's token, so nothing needs to be forced: a journal is replayed.
    unmount(mount(bucket.s3b_through(proxy.port(), &journal)));

    // Without the cache file: everything is in the bucket.
    let again = mount(bucket.s3b(&flags));
    let device = LoopDevice::attach(&again.file(), false).unwrap();
    let filesystem = FilesystemMount::start(device.path(), "defaults").unwrap();
    let mut diff = std::process::Command::new("diff");
    diff.args(["--recursive", "--no-dereference"]).arg(&original).arg(filesystem.path().join("tree"));
    s3b_testkit::run(&mut diff, LONG).unwrap();
    filesystem.unmount().unwrap();
    device.detach().unwrap();
    unmount(again);
}

fn copy(from: &Path, to: &Path) {
    s3b_testkit::run(std::process::Command::new("cp").arg("-a").arg(from).arg(to), LONG).unwrap();
}

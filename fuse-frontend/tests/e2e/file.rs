//! The one file of a mount, as programs see it.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use s3b_testkit::{Fault, require_root_and_fuse, run, until};

use crate::place::{Bucket, LONG, assert_same, in_time, mount, noise, open, read_all, refusal, s3b, unmount, write_at};

const SIZE: u64 = 8 << 20;
const FLAGS: &[&str] = &["--size=8m", "--block-size=64k"];

/// Names and contents of everything in a `--test` directory.
fn snapshot(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(store).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

#[test]
fn the_file_keeps_its_size() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    write_at(&volume.file(), SIZE - 4096, noise(1, 4096));
    let file = open(&volume.file());
    let seen = file.metadata().unwrap();
    assert_eq!((seen.len(), seen.blksize()), (SIZE, 64 << 10));
    file.set_len(SIZE).expect("to the size it has");
    let refused = file.set_len(SIZE / 2).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    file.write_at(b"beyond", SIZE).expect_err("there is nothing beyond the end");
    assert_eq!(file.read_at(&mut [0; 16], SIZE).unwrap(), 0);
    drop(file);
    assert_same(&read_all(&volume.file())[SIZE as usize - 4096..], &noise(1, 4096), "after all that");
    unmount(volume);
}

#[test]
fn a_read_only_mount_changes_nothing() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    write_at(&volume.file(), 0, noise(1, 300_000));
    unmount(volume);
    let before = snapshot(store.path());
    assert!(before.len() >= 5, "{:?}", before.keys());

    let reader = mount(s3b().mount_directory(store.path(), &[FLAGS, &["--read-only"]].concat()));
    assert_same(&read_all(&reader.file())[..300_000], &noise(1, 300_000), "read-only");
    let writing = std::fs::OpenOptions::new().write(true).open(reader.file());
    writing.and_then(|file| file.write_at(b"no", 0)).expect_err("the mount is read-only");
    unmount(reader);
    assert!(snapshot(store.path()) == before, "the store changed");
}

#[test]
fn a_block_size_is_never_changed() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    write_at(&volume.file(), 0, noise(1, 300_000));
    unmount(volume);
    let before = snapshot(store.path());
    for other in [&["--size=8m", "--block-size=128k"][..], &["--size=8m", "--block-size=128k", "--force"]] {
        let said = refusal(s3b().mount_directory(store.path(), other));
        assert!(said.contains("65536") || said.contains("64k"), "the size it has: {said}");
    }
    assert!(snapshot(store.path()) == before, "the store changed");
}

#[test]
fn deleting_the_statistics_resets_them() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    write_at(&volume.file(), 0, noise(1, 300_000));
    let writes = |stats: BTreeMap<String, String>| -> u64 {
        ["block_cache_write_hits", "block_cache_write_misses"]
            .iter()
            .map(|name| stats[*name].parse::<u64>().unwrap())
            .sum()
    };
    assert!(writes(volume.stats().unwrap()) > 0);
    std::fs::remove_file(volume.point().join("stats")).unwrap();
    assert_eq!(writes(volume.stats().unwrap()), 0);
    unmount(volume);
}

#[test]
fn umount_wait_returns_when_all_is_stored() {
    let Some(bucket) = Bucket::make("e2e-umount") else {
        return;
    };
    let proxy = bucket.proxy(Duration::ZERO);
    // Closing does not wait with this durability, so umount finds blocks that are not stored yet.
    let flags = [FLAGS, &["--prefix=u-", "--durability=none"]].concat();
    let mut volume = mount(bucket.s3b_through(proxy.port(), &flags));
    proxy.set_fault(Fault::RefuseWrites(503));
    write_at(&volume.file(), 0, noise(1, 300_000));
    let mut umount = s3b().command("umount");
    umount.arg("--wait").arg(volume.point());
    let waiting = std::thread::spawn(move || run(&mut umount, LONG));
    until(LONG, "unmounted", || (!volume.file().exists()).then_some(())).unwrap();
    let refused = proxy.count("PUT");
    until(LONG, "another refused PUT", || (proxy.count("PUT") > refused).then_some(())).unwrap();
    assert!(!waiting.is_finished(), "umount --wait returned before anything was stored");
    proxy.set_fault(Fault::None);
    in_time("umount --wait", move || waiting.join().unwrap()).unwrap();
    // The process went before the command returned: it needs no time now.
    assert!(volume.daemon().ended().is_some(), "the process still runs");
    drop(volume);
    let again = mount(bucket.s3b(&["--prefix=u-"]));
    assert_same(&read_all(&again.file())[..300_000], &noise(1, 300_000), "after umount --wait");
    unmount(again);
}

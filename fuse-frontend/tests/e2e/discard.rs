//! Discarded blocks leave the store.

use std::os::fd::AsRawFd;
use std::path::Path;

use s3b_testkit::{FilesystemMount, LoopDevice, require_program, require_root_and_fuse};

use crate::place::{assert_same, in_time, mount, noise, open, read_all, s3b, unmount, write_at};

const FLAGS: &[&str] = &["--size=128m", "--block-size=64k"];
const BLOCK: usize = 64 << 10;

/// Blocks in a `--test` directory: files whose names are eight hex digits.
fn blocks(store: &Path) -> usize {
    let names = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).count()
}

#[test]
fn fstrim_gives_blocks_back() {
    if !require_root_and_fuse() || !require_program("mkfs.ext4") {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    let device = LoopDevice::attach(&volume.file(), false).unwrap();
    device.make_filesystem("ext4").unwrap();
    let filesystem = FilesystemMount::start(device.path(), "defaults").unwrap();
    let big = filesystem.path().join("big");
    std::fs::write(&big, noise(1, 64 << 20)).unwrap();
    filesystem.sync().unwrap();
    let full = blocks(store.path());
    assert!(full >= (64 << 20) / BLOCK, "64 MiB are stored, in {full} blocks");

    std::fs::remove_file(&big).unwrap();
    filesystem.sync().unwrap();
    filesystem.trim().unwrap();
    filesystem.unmount().unwrap();
    device.detach().unwrap();
    unmount(volume);
    let left = blocks(store.path());
    assert!(left <= full - 900, "of {full} blocks {left} are left after fstrim");
}

#[test]
fn punching_and_zeroing_delete_and_read_back_as_zeros() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    let mut expected = noise(2, 16 * BLOCK);
    write_at(&volume.file(), 0, expected.clone());
    // From the middle of block 1 to the middle of block 4, and blocks 8 and 9.
    for (mode, start, end) in [
        (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, BLOCK + 100, 4 * BLOCK + 100),
        (libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE, 8 * BLOCK, 10 * BLOCK),
    ] {
        fallocate(&volume.file(), mode, start, end - start).unwrap();
        expected[start..end].fill(0);
    }
    let path = volume.file();
    in_time("fsync", move || open(&path).sync_all()).unwrap();
    assert_eq!(blocks(store.path()), 16 - 2 - 2, "four whole blocks are gone, the halves remain");
    let wrong = fallocate(&volume.file(), libc::FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK).unwrap_err();
    assert_eq!(wrong.raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_same(&read_all(&volume.file())[..16 * BLOCK], &expected, "while mounted");
    unmount(volume);
    let again = mount(s3b().mount_directory(store.path(), FLAGS));
    assert_same(&read_all(&again.file())[..16 * BLOCK], &expected, "after mounting again");
    unmount(again);
}

fn fallocate(file: &Path, mode: i32, start: usize, len: usize) -> std::io::Result<()> {
    let file = open(file);
    // SAFETY: the descriptor is open for as long as the call; no memory is passed.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, start as i64, len as i64) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

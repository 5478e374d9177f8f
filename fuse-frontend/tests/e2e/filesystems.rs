//! ext4 and xfs on a loop device over the volume keep a source tree through unmounting and mounting again.

use std::path::Path;
use std::process::Command;

use s3b_testkit::{
    FilesystemMount, LoopDevice, Mount, require_program, require_root_and_fuse, run, tool, workspace_root, write_tree,
};

use crate::place::{LONG, mount, s3b, unmount};

/// Volumes are as small as mkfs.xfs allows; an eighth of them is the small cache.
const SIZE: &str = "--size=512m";
const DEFAULT: &[&str] = &[SIZE];
const SMALL_64K: &[&str] = &[SIZE, "--block-size=64k", "--block-cache-size=64m", "--block-cache-threads=4"];
const SMALL_1M: &[&str] = &[SIZE, "--block-size=1m", "--block-cache-size=64m", "--block-cache-threads=4"];

#[test]
fn ext4_keeps_a_tree() {
    keeps_a_tree("ext4", DEFAULT);
}

#[test]
fn ext4_keeps_a_tree_in_a_small_cache_of_64k_blocks() {
    keeps_a_tree("ext4", SMALL_64K);
}

#[test]
fn ext4_keeps_a_tree_in_a_small_cache_of_1m_blocks() {
    keeps_a_tree("ext4", SMALL_1M);
}

#[test]
fn xfs_keeps_a_tree() {
    keeps_a_tree("xfs", DEFAULT);
}

#[test]
fn xfs_keeps_a_tree_in_a_small_cache_of_64k_blocks() {
    keeps_a_tree("xfs", SMALL_64K);
}

fn keeps_a_tree(kind: &str, flags: &[&str]) {
    if !require_root_and_fuse() || !require_program(&format!("mkfs.{kind}")) {
        return;
    }
    let original = tempfile::tempdir().unwrap();
    // More than the small cache holds, so that blocks are evicted and fetched again.
    write_tree(&original.path().join("made"), 42, 96 << 20).unwrap();
    copy(&workspace_root().join("engine"), &original.path().join("engine"));

    let store = tempfile::tempdir().unwrap();
    let volume = || mount(s3b().mount_directory(store.path(), flags));
    let first = volume();
    let device = LoopDevice::attach(&first.file(), false).unwrap();
    device.make_filesystem(kind).unwrap();
    let filesystem = FilesystemMount::start(device.path(), "discard").unwrap();
    copy(original.path(), &filesystem.path().join("copy"));
    filesystem.sync().unwrap();
    compare(original.path(), &filesystem.path().join("copy"));
    put_away(filesystem, device, first);

    let second = volume();
    let device = LoopDevice::attach(&second.file(), false).unwrap();
    check(kind, device.path());
    let filesystem = FilesystemMount::start(device.path(), "discard").unwrap();
    compare(original.path(), &filesystem.path().join("copy"));
    put_away(filesystem, device, second);
}

fn put_away(filesystem: FilesystemMount, device: LoopDevice, volume: Mount) {
    filesystem.unmount().unwrap();
    device.detach().unwrap();
    unmount(volume);
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to), LONG).unwrap();
}

fn compare(original: &Path, copied: &Path) {
    run(Command::new("diff").args(["--recursive", "--no-dereference"]).arg(original).arg(copied), LONG).unwrap();
}

/// The filesystem's own checker, changing nothing.
fn check(kind: &str, device: &Path) {
    let (program, flags) = if kind == "ext4" { ("e2fsck", "-fn") } else { ("xfs_repair", "-n") };
    run(Command::new(tool(program).unwrap()).arg(flags).arg(device), LONG).unwrap();
}

//! fsx on the volume's file, in block mode: every read is checked against what was written.

use s3b_testkit::{Fsx, require_program, require_root_and_fuse, run_fsx};

use crate::place::{LONG, assert_same, mount, read_all, s3b, unmount};

const LEN: u32 = 4 << 20;

#[test]
fn fsx_finds_no_wrong_byte() {
    passes(1, &["--size=4m"]);
}

#[test]
fn fsx_finds_no_wrong_byte_in_a_small_cache_of_64k_blocks() {
    passes(2, &["--size=4m", "--block-size=64k", "--block-cache-size=512k", "--block-cache-threads=4"]);
}

#[test]
fn fsx_finds_no_wrong_byte_in_a_small_cache_of_1m_blocks() {
    // An eighth of 4 MiB is less than one such block; one it is.
    passes(3, &["--size=4m", "--block-size=1m", "--block-cache-size=1m", "--block-cache-threads=4"]);
}

#[test]
fn fsx_finds_no_wrong_byte_without_a_cache() {
    passes(4, &["--size=4m", "--block-size=64k", "--block-cache-size=0"]);
}

fn passes(seed: u64, flags: &[&str]) {
    if !require_root_and_fuse() || !require_program("fsx") {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = || mount(s3b().mount_directory(store.path(), flags));
    let first = volume();
    run_fsx(&first.file(), &Fsx { operations: 3000, seed, file_len: LEN, align: 1, limit: LONG }).unwrap();
    let left = read_all(&first.file());
    assert!(left.iter().any(|byte| *byte != 0), "fsx wrote something");
    unmount(first);
    let second = volume();
    assert_same(&read_all(&second.file()), &left, "after mounting again");
    unmount(second);
}

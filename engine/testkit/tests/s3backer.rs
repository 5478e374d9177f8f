//! The harness itself, tried on Debian's s3backer, which has the same shape as s3b.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use s3b_testkit::{Fsx, LoopDevice, Mount, S3backer, require_root_and_fuse, run_fsx};

#[test]
fn a_mount_is_used_unmounted_crashed_and_cleaned_up() {
    let Some(s3backer) = require_root_and_fuse().then(S3backer::installed).flatten() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--size=1048576", "--blockSize=65536", "--blockCacheThreads=16"];
    let mount = || Mount::start(&mut s3backer.mount_directory(directory.path(), &flags));

    let first = mount().unwrap();
    let device = LoopDevice::attach(&first.file(), false).unwrap();
    std::fs::OpenOptions::new().write(true).open(device.path()).unwrap().write_all_at(b"through a loop", 0).unwrap();
    device.detach().unwrap();
    assert!(first.stats().unwrap()["block_cache_dirty_ratio"].parse::<f64>().is_ok());
    first.unmount().unwrap();

    let second = mount().unwrap();
    assert!(std::fs::read(second.file()).unwrap().starts_with(b"through a loop"));
    let fsx = Fsx { operations: 50, seed: 1, file_len: 1 << 20, align: 1, limit: Duration::from_secs(120) };
    run_fsx(&second.file(), &fsx).unwrap();
    let (point, pid) = (second.point().to_owned(), second.pid());
    second.crash().unwrap();
    assert!(!point.exists(), "the mount point is removed");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the process is gone");
}

#[test]
fn a_program_that_refuses_is_quoted() {
    let Some(s3backer) = require_root_and_fuse().then(S3backer::installed).flatten() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let Err(error) = Mount::start(&mut s3backer.mount_directory(directory.path(), &[])) else {
        panic!("a directory has no size of its own");
    };
    assert!(format!("{error:#}").contains("--size"), "{error:#}");
}

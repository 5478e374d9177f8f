//! One bucket, two programs: what s3backer wrote s3b reads and changes, and the reverse.

use std::path::PathBuf;

use s3b_testkit::{S3backer, require_root_and_fuse, run};

use crate::place::{Bucket, LONG, assert_same, mount, noise, read_all, refusal, s3b, unmount, write_at};

const SIZE: usize = 4 << 20;
const PASSWORD: &str = "correct horse battery staple";

/// A password in a file that lives as long as this.
struct Password(tempfile::TempDir);

impl Password {
    fn new(password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), password).unwrap();
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("password")
    }
}

/// What is in the volume, kept beside it.
struct Content(Vec<u8>);

impl Content {
    fn zeros() -> Self {
        Self(vec![0; SIZE])
    }

    /// Writes whole blocks, parts of blocks, compressible bytes and zeros, different for each seed.
    fn change(&mut self, volume: &std::path::Path, seed: u64) {
        let at = (seed as usize * 300_000) % (SIZE / 2);
        for (offset, bytes) in [
            (0, noise(seed, 1000)),
            (at, noise(seed + 1, 400_000)),
            (at + 500_000, vec![b'A' + seed as u8; 200_000]),
            (at + 800_000, vec![0; 300_000]),
            (SIZE - 5000, noise(seed + 2, 5000)),
        ] {
            self.0[offset..offset + bytes.len()].copy_from_slice(&bytes);
            write_at(volume, offset as u64, bytes);
        }
    }

    fn check(&self, volume: &std::path::Path, when: &str) {
        assert_same(&read_all(volume), &self.0, when);
    }
}

/// Each program makes a volume; then they take turns, four mounts each volume, size known only to the first.
fn take_turns(bucket: &'static str, s3b_flags: &[&str], s3backer_flags: &[&str], block_size: &str) {
    let Some(bucket) = Bucket::make(bucket) else {
        return;
    };
    let Some(s3backer) = S3backer::installed() else {
        return;
    };
    let ours = |more: &[&str]| mount(bucket.s3b(&[s3b_flags, more].concat()));
    let theirs = |more: &[&str]| mount(bucket.s3backer(&s3backer, &[s3backer_flags, more].concat()));
    let (our_size, their_size) = (format!("--block-size={block_size}"), format!("--blockSize={block_size}"));
    for we_begin in [true, false] {
        let prefix = if we_begin { "--prefix=ours-" } else { "--prefix=theirs-" };
        let mut content = Content::zeros();
        for turn in 0..4 {
            let geometry = if turn == 0 { vec![prefix, "--size=4m"] } else { vec![prefix] };
            let volume = if (turn % 2 == 0) == we_begin {
                let geometry = if turn == 0 { [&geometry[..], &[&our_size]].concat() } else { geometry };
                ours(&geometry)
            } else {
                let geometry = if turn == 0 { [&geometry[..], &[&their_size]].concat() } else { geometry };
                theirs(&geometry)
            };
            content.check(&volume.file(), &format!("{prefix}, turn {turn}"));
            content.change(&volume.file(), turn + 1);
            unmount(volume);
        }
        let last = ours(&[prefix, "--read-only"]);
        content.check(&last.file(), &format!("{prefix}, at the end"));
        unmount(last);
    }
}

#[test]
fn plain_blocks() {
    take_turns("e2e-plain", &[], &[], "64k");
}

#[test]
fn deflated_blocks() {
    take_turns("e2e-deflate", &["--compress=6"], &["--compress=6"], "64k");
}

#[test]
fn encrypted_blocks() {
    let password = Password::new(PASSWORD);
    let ours = format!("--password-file={}", password.file().display());
    let theirs = format!("--passwordFile={}", password.file().display());
    take_turns("e2e-encrypt", &["--encrypt", &ours], &["--encrypt", &theirs], "64k");
}

#[test]
fn hashed_names() {
    take_turns("e2e-hash", &["--block-hash-prefix"], &["--blockHashPrefix"], "64k");
}

#[test]
fn small_caches() {
    let small = ["--block-cache-size=512k", "--block-cache-threads=4"];
    take_turns("e2e-small-64k", &small, &["--blockCacheSize=8", "--blockCacheThreads=4"], "64k");
    let small = ["--block-cache-size=1m", "--block-cache-threads=4"];
    take_turns("e2e-small-1m", &small, &["--blockCacheSize=1", "--blockCacheThreads=4"], "1m");
}

#[test]
fn directories() {
    if !require_root_and_fuse() {
        return;
    }
    let Some(s3backer) = S3backer::installed() else {
        return;
    };
    let store = tempfile::tempdir().unwrap();
    let mut content = Content::zeros();
    for turn in 0..4 {
        let volume = if turn % 2 == 0 {
            mount(s3b().mount_directory(store.path(), &["--size=4m", "--block-size=64k"]))
        } else {
            mount(s3backer.mount_directory(store.path(), &["--size=4m", "--blockSize=64k"]))
        };
        content.check(&volume.file(), &format!("turn {turn}"));
        content.change(&volume.file(), turn + 1);
        unmount(volume);
    }
    let last = mount(s3b().mount_directory(store.path(), &["--size=4m", "--block-size=64k", "--read-only"]));
    content.check(&last.file(), "at the end");
    unmount(last);
}

#[test]
fn what_s3backer_erased_becomes_a_new_volume() {
    let Some(bucket) = Bucket::make("e2e-erase") else {
        return;
    };
    let Some(s3backer) = S3backer::installed() else {
        return;
    };
    let first = mount(bucket.s3b(&["--prefix=e-", "--size=4m", "--block-size=64k"]));
    let mut content = Content::zeros();
    content.change(&first.file(), 1);
    unmount(first);
    run(&mut bucket.s3backer_erase(&s3backer, &["--prefix=e-"]), LONG).unwrap();

    // Another block size and another size: nothing of the old volume binds the new one.
    let second = mount(bucket.s3b(&["--prefix=e-", "--size=8m", "--block-size=128k"]));
    assert_same(&read_all(&second.file()), &vec![0; 8 << 20], "a new volume");
    unmount(second);

    run(&mut bucket.s3b_erase(&["--prefix=e-"]), LONG).unwrap();
    let third = mount(bucket.s3backer(&s3backer, &["--prefix=e-", "--size=4m", "--blockSize=64k"]));
    Content::zeros().check(&third.file(), "after s3b erased");
    unmount(third);
}

#[test]
fn a_wrong_password_is_refused_before_it_can_do_harm() {
    let Some(bucket) = Bucket::make("e2e-password") else {
        return;
    };
    let Some(s3backer) = S3backer::installed() else {
        return;
    };
    let (right, wrong) = (Password::new(PASSWORD), Password::new("guess"));
    let theirs = format!("--passwordFile={}", right.file().display());
    let theirs = |more| mount(bucket.s3backer(&s3backer, &["--prefix=w-", "--encrypt", &theirs, more]));
    let volume = theirs("--size=4m");
    let mut content = Content::zeros();
    content.change(&volume.file(), 1);
    unmount(volume);

    let guess = format!("--password-file={}", wrong.file().display());
    let said = refusal(bucket.s3b(&["--prefix=w-", "--encrypt", &guess]));
    assert!(said.to_lowercase().contains("password"), "{said}");
    let said = refusal(bucket.s3b(&["--prefix=w-"]));
    assert!(said.contains("encrypt"), "mounting without --encrypt: {said}");

    let volume = theirs("--compress");
    content.check(&volume.file(), "after two refusals");
    unmount(volume);
}

//! What cannot work is refused with its cause and a way out, before anything is changed; what is damaged fails alone.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use s3b_testkit::{MountPoint, require_root_and_fuse, run, run_to_end};

use crate::place::{
    LONG, assert_same, in_time, mount, noise, open, read_all, refusal, s3b, snapshot, unmount, write_at,
};

/// Gives every request the same answer until the process ends; keeps their first lines.
fn serve(status: &'static str, headers: &'static str, code: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = asked.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = noted.clone();
            thread::spawn(move || {
                let (mut seen, mut byte) = (Vec::new(), [0]);
                while matches!(stream.read(&mut byte), Ok(1)) {
                    seen.push(byte[0]);
                    if !seen.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let head = String::from_utf8_lossy(&std::mem::take(&mut seen)).into_owned();
                    let first = head.lines().next().unwrap_or_default().to_owned();
                    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
                    let body = if first.starts_with("HEAD") { String::new() } else { body };
                    let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
                    asked.lock().unwrap().push(first);
                    // A client that is gone needs no answer.
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
        }
    });
    (port, asked)
}

#[test]
fn a_mount_that_cannot_work_fails_at_once_and_names_the_cause() {
    if !require_root_and_fuse() {
        return;
    }
    let date = "Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n";
    let region = "x-amz-bucket-region: eu-west-3\r\n";
    for (status, headers, code, advice) in [
        ("404 Not Found", "", "NoSuchBucket", "create the bucket"),
        ("403 Forbidden", "", "AccessDenied", "--access-id"),
        ("403 Forbidden", "", "SignatureDoesNotMatch", "--access-key"),
        ("400 Bad Request", "", "ExpiredToken", "temporary credentials"),
        ("403 Forbidden", date, "RequestTimeTooSkewed", "set this machine's clock"),
        ("301 Moved Permanently", region, "PermanentRedirect", "--region=eu-west-3"),
    ] {
        let (port, asked) = serve(status, headers, code);
        let mountpoint = MountPoint::new().unwrap();
        let flags = ["--debug-http", "--size=1m"];
        let mut command = s3b().mount_bucket(port, ("some-id", "sesame"), "bucket", &flags);
        let finished = run_to_end(command.arg(mountpoint.path()), LONG).unwrap();
        let said = &finished.stderr;
        assert_eq!(finished.status.code(), Some(1), "{code}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.contains("bucket bucket") && last.contains(code) && last.contains(advice), "{code}: {said}");
        let asked = asked.lock().unwrap().clone();
        assert!(!asked.is_empty() && asked.iter().all(|line| line.starts_with("GET") || line.starts_with("HEAD")));
        // --debug-http: each request and its answer, and no secret.
        let logged = format!("GET http://127.0.0.1:{port}/bucket/");
        let number = status.split(' ').next().unwrap();
        assert!(said.lines().any(|l| l.contains(&logged) && l.contains(&format!(" -> {number} "))), "{said}");
        assert!(!said.contains("sesame") && !said.contains("Signature="), "{said}");
    }
}

#[test]
fn a_damaged_block_gives_an_error_and_is_named_in_the_log() {
    if !require_root_and_fuse() {
        return;
    }
    const FLAGS: &[&str] = &["--size=1m", "--block-size=4k", "--direct-io"];
    let length = |length| move |_: Vec<u8>| noise(2, length);
    let altered = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let garbage = |bytes: Vec<u8>| {
        let at = bytes.windows(7).position(|word| word == b"deflate").unwrap();
        [&bytes[..at], b"garbage", &bytes[at + 7..]].concat()
    };
    damaged(FLAGS, length(10), "10 bytes", length(5000), "5000 bytes");
    let encrypted = [FLAGS, &["--encrypt", "--password=secret"]].concat();
    damaged(&encrypted, altered, "HMAC does not fit", garbage, "Content-Encoding \"garbage, ");
}

/// Damages blocks 1 and 3 of a volume: their reads fail, with these words in the log, and no others.
fn damaged(
    flags: &[&str],
    first: impl Fn(Vec<u8>) -> Vec<u8>,
    first_words: &str,
    other: impl Fn(Vec<u8>) -> Vec<u8>,
    other_words: &str,
) {
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), flags));
    write_at(&volume.file(), 0, noise(1, 6 * 4096));
    unmount(volume);
    let (one, three) = (store.path().join("00000001"), store.path().join("00000003"));
    fs::write(&one, first(fs::read(&one).unwrap())).unwrap();
    fs::write(&three, other(fs::read(&three).unwrap())).unwrap();

    let volume = mount(s3b().mount_directory(store.path(), flags));
    let file = open(&volume.file());
    for block in 0..6 {
        let same = file.try_clone().unwrap();
        let mut bytes = vec![0; 4096];
        let read = in_time("reading", move || same.read_exact_at(&mut bytes, block * 4096).map(|()| bytes));
        match block {
            1 | 3 => assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EIO), "block {block}"),
            _ => assert_eq!(read.unwrap(), noise(1, 6 * 4096)[block as usize * 4096..][..4096], "block {block}"),
        }
    }
    drop(file);
    let log = unmount(volume);
    for (block, offset, words) in [("00000001", 4096, first_words), ("00000003", 12288, other_words)] {
        let named = |line: &&str| line.contains(block) && line.contains(&format!("offset {offset}"));
        let line = log.lines().find(named).unwrap_or_else(|| panic!("{block} is not in the log:\n{log}"));
        assert!(line.contains(words), "{words}: {line}");
    }
}

#[test]
fn a_cache_file_that_does_not_fit_is_refused_untouched() {
    if !require_root_and_fuse() {
        return;
    }
    const FLAGS: &[&str] = &["--size=1m", "--block-size=4k"];
    let (store, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let local = tempfile::tempdir().unwrap();
    let path = local.path().join("cache");
    let cache = format!("--block-cache-file={}", path.display());
    let flags = [FLAGS, &[&cache]].concat();
    let volume = mount(s3b().mount_directory(store.path(), &flags));
    write_at(&volume.file(), 0, noise(1, 40_000));
    unmount(volume);
    let (sound, stored) = (fs::read(&path).unwrap(), snapshot(store.path()));

    let refused = |directory: &Path, bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let said = refusal(s3b().mount_directory(directory, &flags));
        let shown = path.display().to_string();
        assert!(said.contains(&shown) && words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        assert!(fs::read(&path).unwrap() == bytes, "{words:?}: the cache file changed");
    };
    let mut damaged = sound.clone();
    damaged[20] ^= 1;
    refused(other.path(), &sound, &["belongs to", "name another"]);
    refused(store.path(), &sound[..sound.len() / 2], &["truncated", "--force"]);
    refused(store.path(), &damaged, &["checksum does not fit", "move it away"]);
    refused(store.path(), &noise(2, 20_000), &["not a cache file"]);
    assert!(snapshot(store.path()) == stored && snapshot(other.path()).is_empty(), "a store changed");

    fs::write(&path, &sound).unwrap();
    let volume = mount(s3b().mount_directory(store.path(), &flags));
    assert_same(&read_all(&volume.file())[..40_000], &noise(1, 40_000), "with the sound file");
    unmount(volume);
}

#[test]
fn a_cache_file_on_a_full_disk_is_bypassed() {
    if !require_root_and_fuse() {
        return;
    }
    const FLAGS: &[&str] = &["--size=8m", "--block-size=64k"];
    let (store, small) = (tempfile::tempdir().unwrap(), MountPoint::new().unwrap());
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(small.path()), LONG).unwrap();
    let cache = format!("--block-cache-file={}", small.path().join("cache").display());
    let volume = mount(s3b().mount_directory(store.path(), &[FLAGS, &[&cache]].concat()));
    let path = volume.file();
    write_at(&path, 0, noise(1, 8 << 20));
    in_time("fsync", move || open(&path).sync_all()).unwrap();
    assert_same(&read_all(&volume.file()), &noise(1, 8 << 20), "while mounted");
    let log = unmount(volume);
    assert!(log.contains("going on without the cache file") && log.contains("make room"), "{log}");
    let again = mount(s3b().mount_directory(store.path(), FLAGS));
    assert_same(&read_all(&again.file()), &noise(1, 8 << 20), "without the cache file");
    unmount(again);
}

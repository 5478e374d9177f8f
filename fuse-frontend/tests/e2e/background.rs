//! A mount that goes into the background, and where its words go.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use s3b_testkit::{require_root_and_fuse, run, run_to_end, skip};

use crate::place::{LONG, s3b};

const SYSLOG: &str = "/dev/log";

/// `/dev/log` for the time of a test.
struct Listener(Receiver<String>);

impl Listener {
    /// `None`: somebody else listens there.
    fn start() -> Option<Self> {
        let socket = UnixDatagram::bind(SYSLOG).ok()?;
        let (lines, received) = mpsc::channel();
        thread::spawn(move || {
            let mut line = [0; 4096];
            while let Ok(len) = socket.recv(&mut line) {
                // The test is over if nobody takes it.
                let _ = lines.send(String::from_utf8_lossy(&line[..len]).into_owned());
            }
        });
        Some(Self(received))
    }

    fn wait_for(&self, words: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.0.recv_timeout(LONG) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("nobody logged {words:?}; seen: {seen:#?}"),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It was ours.
        let _ = std::fs::remove_file(SYSLOG);
    }
}

/// Unmounted whatever the test did; in the background nobody else would.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let _ = Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

#[test]
fn in_the_background_the_log_goes_to_syslog() {
    if !require_root_and_fuse() {
        return;
    }
    let Some(log) = Listener::start() else {
        skip("somebody else listens at /dev/log");
        return;
    };
    let (store, point) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _unmounted = Unmounted(point.path());
    let mut mount = s3b().command("mount");
    mount.args(["--test", "--size=1m", "--block-size=4k", "--durability=none"]).arg(store.path()).arg(point.path());
    let mounting = run_to_end(&mut mount, LONG).unwrap();
    assert!(mounting.status.success(), "{mounting}");
    let said = mounting.stderr;
    let warning = log.wait_for("--durability=none");
    // Facility daemon (3), severities warning (4) and informational (6).
    assert!(warning.starts_with("<28>") && warning.contains(" s3b["), "{warning}");
    assert!(said.contains("--durability=none"), "a warning is for the terminal, too: {said:?}");
    let mounted = log.wait_for(&format!("is mounted on {}", point.path().display()));
    assert!(mounted.starts_with("<30>") && !said.contains("is mounted on"), "{mounted}");
    run(s3b().command("umount").arg("--wait").arg(point.path()), LONG).unwrap();
    log.wait_for("everything is stored");
}

//! A real mount of the real binary, that cannot outlive its test nor hang it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};

/// After this a mount is killed, whatever the test is doing with it.
const PATIENCE: Duration = Duration::from_secs(90);

/// `s3b -f` over a directory of its own.
pub struct Mounted {
    _store: tempfile::TempDir,
    pub mountpoint: tempfile::TempDir,
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    /// Dropped when the guard goes: the watchdog sleeps on its other end.
    _awake: Sender<()>,
}

/// Whether this machine can mount; says so aloud if not, and fails where that is no excuse.
pub fn able() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "needs root"
    } else if !Path::new("/dev/fuse").exists() {
        "needs /dev/fuse"
    } else {
        return true;
    };
    skipped(reason);
    false
}

pub fn skipped(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}, and CI must not skip");
    eprintln!("SKIPPED: {reason}");
}

/// The binary under test.
pub fn s3b() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3b"));
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end, killing it when it hangs.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let awake = watchdog(child.id());
    let output = child.wait_with_output().expect("it can be waited for");
    drop(awake);
    output
}

/// As [`run`], and it must succeed.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {} {text}", output.status);
    text
}

/// As [`succeed`], tried again while the mount is busy: between fork and exec, a child that another test of this
/// process starts holds copies of our open files for a moment.
pub fn succeed_when_idle(command: &mut Command) -> String {
    for _ in 0..100 {
        let output = run(command);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return text;
        }
        assert!(text.contains("busy") || text.contains("in use"), "{command:?}: {text}");
    }
    succeed(command)
}

fn watchdog(pid: u32) -> Sender<()> {
    let (awake, asleep) = mpsc::channel();
    thread::spawn(move || {
        if asleep.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("process {pid} hangs; killing it");
            kill(pid, Signal::KILL);
        }
    });
    awake
}

fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }
}

impl Mounted {
    /// Mounts 16 MiB of 4 KiB blocks, with more flags.
    pub fn with<S: AsRef<OsStr>>(flags: &[S]) -> Self {
        let mut command = s3b();
        command.args(["mount", "--test", "--size=16m", "--block-size=4k", "-f"]).args(flags);
        Self::start(command)
    }

    /// Adds store and mount point to a command that stays in the foreground, and waits until it is mounted.
    pub fn start(mut command: Command) -> Self {
        let store = tempfile::tempdir().unwrap();
        let mountpoint = tempfile::tempdir().unwrap();
        let child = command.arg(store.path()).arg(mountpoint.path()).stderr(Stdio::piped()).spawn().unwrap();
        let awake = watchdog(child.id());
        let (lines, log) = mpsc::channel();
        let mut mounted = Self { _store: store, mountpoint, child, log, seen: Vec::new(), _awake: awake };
        let stderr = BufReader::new(mounted.child.stderr.take().expect("it is piped"));
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        mounted.wait_for("is mounted on");
        mounted
    }

    /// Returns when a log line holds `words`.
    pub fn wait_for(&mut self, words: &str) {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line);
                    if self.seen.last().is_some_and(|line| line.contains(words)) {
                        return;
                    }
                }
                Err(e) => panic!("never said {words:?} ({e}), but:\n{}", self.seen.join("\n")),
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.mountpoint.path().join(name)
    }

    pub fn file(&self) -> PathBuf {
        self.path("file")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// The whole log, once the process has ended.
    pub fn ended(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.seen.extend(self.log.iter());
        (status, self.seen.join("\n"))
    }

    /// Unmounts and waits; the process must end well.
    pub fn unmount(mut self) -> String {
        succeed_when_idle(s3b().arg("umount").arg("--wait").arg(self.mountpoint.path()));
        let (status, log) = self.ended();
        assert!(status.success() && status.signal().is_none(), "{status}\n{log}");
        log
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if is_mounted(self.mountpoint.path()) {
            let _ = rustix::mount::unmount(self.mountpoint.path(), UnmountFlags::DETACH);
        }
        // Detached and unused it ends by itself; if not, the watchdog still waits to kill it.
        let _ = self.child.wait();
    }
}

pub fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == path))
}

/// Unmounts a background mount and a file system on top, at the end of a test, however it ends.
pub struct UnmountOnDrop(pub PathBuf);

impl Drop for UnmountOnDrop {
    fn drop(&mut self) {
        if is_mounted(&self.0) {
            let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
        }
    }
}

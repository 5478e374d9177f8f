//! Going into the background, with an exit code that tells whether the mount is up.
//!
//! The fork comes first, before any thread; the parent waits on a pipe until the child is ready or gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// Held by the process that serves the mount until it is up.
#[derive(Debug)]
pub struct Starting(Option<File>);

impl Starting {
    /// Nobody waits: foreground.
    pub fn foreground() -> Self {
        Self(None)
    }

    /// Lets the parent exit with success, and lets go of the terminal.
    pub fn up(mut self) {
        let Some(mut pipe) = self.0.take() else { return };
        if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            // If one fails, that stream stays where it was: harmless.
            let _ = rustix::stdio::dup2_stdin(&null);
            let _ = rustix::stdio::dup2_stdout(&null);
            let _ = rustix::stdio::dup2_stderr(&null);
        }
        // A parent that was killed cannot be told.
        let _ = pipe.write_all(&[0]);
    }
}

/// Forks. Returns in the child; the parent exits when the child is up (0) or gone (the child's code).
///
/// Must be called while this process has one thread.
///
/// # Errors
/// Of pipe and fork.
pub fn detach() -> io::Result<Starting> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: one thread runs, so the child may go on as a full process.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            rustix::process::setsid()?;
            std::env::set_current_dir("/")?;
            Ok(Starting(Some(File::from(writer))))
        }
        child => {
            drop(writer);
            std::process::exit(outcome(reader, child))
        }
    }
}

fn outcome(reader: OwnedFd, child: libc::pid_t) -> i32 {
    let mut byte = [0];
    if File::from(reader).read_exact(&mut byte).is_ok() {
        return 0;
    }
    let status = rustix::process::Pid::from_raw(child)
        .and_then(|pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).ok().flatten());
    status.and_then(|(_, status)| status.exit_status()).filter(|code| *code != 0).unwrap_or(1)
}

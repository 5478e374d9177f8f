//! Tests that cannot run here: visibly skipped on a person's machine, failed in CI.

use std::io::Write;
use std::path::Path;

use crate::run::tool;

/// Says why a test is skipped, and fails it when `CI` is set: there, everything must be installed.
///
/// Written past libtest's capture, which would hide it: a passing test's output is never shown.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "SKIPPED: {reason} (a failure, because CI is set)");
    // Nothing sensible is left to do when stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {reason}");
}

/// Whether real mounts and loop devices work here; if not, the test is skipped.
pub fn require_root_and_fuse() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "mounting a loop device needs root"
    } else if !Path::new("/dev/fuse").exists() {
        "no /dev/fuse: the kernel has no FUSE, or this container hides it"
    } else if !Path::new("/dev/loop-control").exists() {
        "no /dev/loop-control: the kernel has no loop devices, or this container hides them"
    } else {
        return true;
    };
    skip(reason);
    false
}

/// Whether a program is installed; if not, the test is skipped.
pub fn require_program(name: &str) -> bool {
    let found = tool(name).is_some();
    if !found {
        skip(&format!("{name} is not installed (./run-tests as root installs it)"));
    }
    found
}

//! What the kernel must be told about a mount.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The product's own figure; the kernel's default of 128 KiB would make small requests of large reads.
const READ_AHEAD_KB: u32 = 1024;

/// Raises the read-ahead of the file system mounted at `point`. Needs root.
pub fn raise_read_ahead(point: &Path) -> Result<()> {
    let device = point.metadata()?.dev();
    let file = format!("/sys/class/bdi/{}:{}/read_ahead_kb", libc::major(device), libc::minor(device));
    std::fs::write(&file, READ_AHEAD_KB.to_string()).with_context(|| format!("writing {file}"))
}

/// Resident memory of a process now and at its highest, in bytes.
pub fn resident(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path)?;
    let bytes = |name: &str| {
        let kib =
            status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("{path} has no {name}"))
    };
    Ok((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_some_memory() {
        let (now, highest) = resident(std::process::id()).unwrap();
        assert!(now > 1 << 20 && highest >= now, "{now} {highest}");
    }
}

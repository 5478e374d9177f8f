//! `fsx`, the file system exerciser, in block mode: random reads, writes, maps, syncs and hole punches on a file of
//! fixed size, every read checked.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::run::{run, tool};

/// One run of fsx.
pub struct Fsx {
    /// Operations.
    pub operations: u32,
    /// Same seed, same operations.
    pub seed: u64,
    /// Bytes of the file it uses, from the start.
    pub file_len: u32,
    /// Every offset and length is a multiple of this many bytes.
    pub align: u32,
    /// How long it may take.
    pub limit: Duration,
}

/// Runs fsx; the error shows its log of operations.
pub fn run_fsx(file: &Path, fsx: &Fsx) -> Result<()> {
    let program = tool("fsx").context("fsx is not installed (./run-tests installs it)")?;
    let artifacts = tempfile::tempdir()?;
    let config = artifacts.path().join("fsx.toml");
    std::fs::write(&config, configuration(fsx))?;
    let mut command = Command::new(program);
    command.arg("-q").arg("-f").arg(&config).arg("-P").arg(artifacts.path());
    command.args(["-N", &fsx.operations.to_string(), "-S", &fsx.seed.to_string()]).arg(file);
    run(&mut command, fsx.limit).map(|_| ())
}

fn configuration(fsx: &Fsx) -> String {
    format!(
        "flen = {len}\nblockmode = true\nnosizechecks = true\n\
         [opsize]\nmax = 262144\nmin = {align}\nalign = {align}\n\
         [weights]\nclose_open = 0\ntruncate = 0\nposix_fallocate = 0\n\
         read = 10\nwrite = 20\nmapread = 5\nmapwrite = 5\ninvalidate = 2\nfsync = 1\nfdatasync = 1\n\
         punch_hole = 4\nsendfile = 1\nposix_fadvise = 1\ncopy_file_range = 2\n",
        len = fsx.file_len,
        align = fsx.align,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fsx_passes_on_a_plain_file_and_complains_about_a_broken_one() {
        if !crate::require_program("fsx") {
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let fsx = Fsx { operations: 500, seed: 7, file_len: 1 << 20, align: 1, limit: Duration::from_secs(60) };
        run_fsx(file.path(), &fsx).unwrap();
        // A file that loses everything written to it.
        run_fsx(Path::new("/dev/zero"), &fsx).unwrap_err();
    }
}

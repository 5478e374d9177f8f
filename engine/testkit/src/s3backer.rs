//! Debian's s3backer (1.5.4), the program s3b must share buckets with.
//!
//! It knows no `bucket/dir` (use a prefix), always speaks to `BUCKET.localhost`, and takes numbers without suffix.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::tool;
use crate::skip::require_program;

/// The installed program.
pub struct S3backer(PathBuf);

impl S3backer {
    /// `None` when it is not installed; the test is skipped then.
    pub fn installed() -> Option<Self> {
        require_program("s3backer").then(|| Self(tool("s3backer").expect("just found")))
    }

    /// Mounts a directory, in the foreground; the mount point is to be appended. It sleeps 0 to 199 ms per block.
    pub fn mount_directory(&self, directory: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(["-f", "--test"]).args(flags).arg(directory);
        command
    }

    /// Mounts a bucket of an S3 server on this machine whose domain is `localhost`.
    pub fn mount_bucket(&self, port: u16, keys: (&str, &str), bucket: &str, flags: &[&str]) -> Command {
        let mut command = self.on_bucket(port, keys, flags);
        command.arg("-f").arg(bucket);
        command
    }

    /// Erases a volume.
    pub fn erase(&self, port: u16, keys: (&str, &str), bucket: &str, flags: &[&str]) -> Command {
        let mut command = self.on_bucket(port, keys, flags);
        command.args(["--erase", "--force", bucket]);
        command
    }

    fn on_bucket(&self, port: u16, (id, secret): (&str, &str), flags: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command
            .arg(format!("--baseURL=http://localhost:{port}/"))
            .args([&format!("--accessId={id}"), &format!("--accessKey={secret}")])
            .args(["--region=us-east-1", "--vhost"])
            .args(flags);
        command
    }
}

//! Command lines of s3b, with the same methods as [`S3backer`](crate::S3backer)'s.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A built `s3b` program.
pub struct S3b(PathBuf);

impl S3b {
    /// Tests pass `env!("CARGO_BIN_EXE_s3b")`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self(program.into())
    }

    /// Any subcommand.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(subcommand);
        command
    }

    /// Mounts a directory, in the foreground; the mount point is to be appended.
    pub fn mount_directory(&self, directory: &Path, flags: &[&str]) -> Command {
        let mut command = self.command("mount");
        command.args(["-f", "--test"]).args(flags).arg(directory);
        command
    }

    /// Mounts a bucket of an S3 server on this machine, in the foreground; the mount point is to be appended.
    pub fn mount_bucket(&self, port: u16, keys: (&str, &str), bucket: &str, flags: &[&str]) -> Command {
        let mut command = self.on_bucket("mount", port, keys, flags);
        command.arg("-f").arg(bucket);
        command
    }

    /// Erases a volume.
    pub fn erase(&self, port: u16, keys: (&str, &str), bucket: &str, flags: &[&str]) -> Command {
        let mut command = self.on_bucket("erase", port, keys, flags);
        command.args(["--force", bucket]);
        command
    }

    /// Removes the mount token.
    pub fn reset_mounted_flag(&self, port: u16, keys: (&str, &str), bucket: &str, flags: &[&str]) -> Command {
        let mut command = self.on_bucket("reset-mounted-flag", port, keys, flags);
        command.arg(bucket);
        command
    }

    fn on_bucket(&self, subcommand: &str, port: u16, (id, secret): (&str, &str), flags: &[&str]) -> Command {
        let mut command = self.command(subcommand);
        command
            .arg(format!("--base-url=http://127.0.0.1:{port}/"))
            .args([&format!("--access-id={id}"), &format!("--access-key={secret}")])
            .args(["--region=us-east-1", "--no-vhost"])
            .args(flags);
        command
    }
}

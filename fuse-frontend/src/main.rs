//! s3b: an S3 bucket as a virtual disk.
//!
//! ```text
//! cli -> Action -+-> mount -> Stack::open -> filesystem (FUSE threads) -> Volume
//!                +-> umount -> presence of the serving process
//!                +-> volume_commands (erase, reset-mounted-flag, info, warm)
//! ```

mod allocator;
mod cli;
mod daemon;
mod errno;
mod filesystem;
mod logging;
mod mount;
mod mount_point;
mod parts;
mod presence;
mod signals;
mod stats_file;
mod umount;
mod volume_commands;

use std::process::ExitCode;

use cli::Action;
use s3b_engine::error::{Error, Result};
use s3b_engine::hidden_args;
use s3b_frontend::record;

fn main() -> ExitCode {
    allocator::settle();
    let args = collected();
    // The copies above stay; what other users can see goes.
    hidden_args::hide();
    match args.and_then(|args| cli::parse(args, &|path| std::fs::read_to_string(path))).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("s3b: {error}");
            ExitCode::FAILURE
        }
    }
}

fn collected() -> Result<Vec<String>> {
    let text = |arg: std::ffi::OsString| {
        arg.into_string()
            .map_err(|arg| Error::config(format!("argument {} is not UTF-8; rename it", arg.to_string_lossy())))
    };
    std::env::args_os().map(text).collect()
}

fn run(action: Action) -> Result<()> {
    match action {
        Action::Mount(request, mountpoint) => mount::run(request, &mountpoint),
        Action::Erase(request) => volume_commands::erase(&request),
        Action::ResetMountedFlag(request) => volume_commands::reset_mounted_flag(&request),
        Action::Info(request) => volume_commands::info(&request),
        Action::Warm(request) => volume_commands::warm(&request),
        Action::Umount { mountpoint, wait, lazy } => umount::run(&mountpoint, wait, lazy),
        Action::Flags { markdown: true } => volume_commands::said(&cli::markdown::flags()),
        Action::Flags { markdown: false } => volume_commands::said(&cli::markdown::plain()),
        Action::Say(text) => volume_commands::said(&text),
        Action::Nothing => Ok(()),
    }
}

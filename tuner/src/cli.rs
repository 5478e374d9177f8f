//! The command line.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use s3b_engine::settings::parse;

use crate::commands;

/// Finds the settings of an s3b mount by running I/O against the real engine.
#[derive(Parser)]
#[command(name = "s3b-tuner", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep                                          no account, no set-up: about a minute, writes s3b.toml
  s3b-tuner sweep --bucket mybucket --trace vm.vscsi.zst   your bucket, your workload
  s3b-tuner replay fsync-small --test /mnt/scratch         one scenario on one configuration
  s3b-tuner replay disk.blktrace.0 --config s3b.toml --bucket mybucket
  s3b-tuner scenarios --show oltp > mine.toml              a workload of your own, from a built-in one";

#[derive(Subcommand)]
pub enum Command {
    Sweep(commands::sweep::Sweep),
    Replay(commands::replay::Replay),
    Convert(commands::convert::Convert),
    Scenarios(commands::scenarios::Scenarios),
    Validate(commands::validate::Validate),
}

impl Command {
    /// # Errors
    /// With a message for the user.
    pub async fn run(&self) -> Result<ExitCode> {
        match self {
            Self::Sweep(args) => commands::sweep::sweep(args).await,
            Self::Replay(args) => commands::replay::replay(args).await,
            Self::Convert(args) => commands::convert::convert(args).await,
            Self::Scenarios(args) => commands::scenarios::scenarios(args),
            Self::Validate(args) => commands::validate::validate(args).await,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PaceName {
    /// Open loop, by the workload's own times
    Trace,
    /// As fast as possible with a bounded number outstanding
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Reads a duration as a mount's flags do: `30ms`, `90s`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse::seconds(text).map_err(|error| format!("{error}; try 90s"))
}

/// Reads a latency: a bare number is in milliseconds.
pub fn latency(text: &str) -> Result<Duration, String> {
    let time = parse::millis(text).map_err(|error| format!("{error}; try 30ms"))?;
    if time.as_secs() < 60 { Ok(time) } else { Err("longer than a minute; try 30ms".into()) }
}

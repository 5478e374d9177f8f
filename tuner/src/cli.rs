//! The command line.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use s3b_engine::settings::parse;
use s3b_scenarios::size::Size;

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
  s3b-tuner inspect vm.vscsi.zst                           what a workload is like, without running it
  s3b-tuner doctor --bucket mybucket                       is it fit to be a disk?
  s3b-tuner probe --bucket mybucket                        how fast is it? about a minute and at most $0.05
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
    Inspect(commands::inspect::Inspect),
    Mrc(commands::mrc::Mrc),
    Probe(commands::probe::Probe),
    Doctor(commands::doctor::Doctor),
    Runs(commands::runs::Runs),
    Clean(commands::clean::Clean),
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
            Self::Inspect(args) => commands::inspect::inspect(args).await,
            Self::Mrc(args) => commands::mrc::mrc(args).await,
            Self::Probe(args) => commands::probe::probe(args).await,
            Self::Doctor(args) => commands::doctor::doctor(args).await,
            Self::Runs(args) => commands::runs::runs(args),
            Self::Clean(args) => commands::clean::clean(args).await,
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

/// For results that are tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    Text,
    Json,
    Csv,
    /// Markdown
    Md,
}

/// The largest block that is analysed.
pub const BLOCK_SIZE_MAX: u64 = 1 << 30;

/// Reads a number of bytes: `64k`, `1g`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let size = Size::parse(text).ok_or_else(|| format!("{text:?} is not a size; try 64k, 1m or 2g"))?;
    Ok(size.0)
}

/// Reads a block size: a power of two from 512 to [`BLOCK_SIZE_MAX`].
pub fn block_size(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes.is_power_of_two() && (512..=BLOCK_SIZE_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    let near = bytes.clamp(512, BLOCK_SIZE_MAX).checked_next_power_of_two().unwrap_or(BLOCK_SIZE_MAX);
    Err(format!("not a power of two from 512 to {}; try {}", Size(BLOCK_SIZE_MAX), Size(near)))
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

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::connection::Connection;

/// Finds the settings of an s3b mount by running I/O against the real engine.
#[derive(Parser, Debug)]
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
  s3b-tuner replay disk.blktrace.0 --config s3b.toml --bucket mybucket";

#[derive(Subcommand, Debug)]
pub enum Command {
    Replay(Replay),
}

/// Run one workload on one configuration and report latencies, requests and cost
///
/// The volume is a new one under a random prefix; it is deleted afterwards, and nothing else is touched. Blocks that
/// a trace reads (or overwrites in part) are put in place first, then read through a cold cache.
#[derive(Args, Debug)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct Replay {
    /// A recorded trace (vscsi, blktrace; plain, gz or zst), a scenario file, or the name of a built-in scenario:
    /// sequential-write, sequential-read, random-mix, fsync-small, discard
    #[arg(value_name = "TRACE|SCENARIO")]
    pub workload: String,
    #[command(flatten)]
    pub connection: Connection,
    /// When operations start: at the recorded times, or as fast as possible
    #[arg(long, value_enum, default_value_t = PaceName::Trace)]
    pub pace: PaceName,
    /// With --pace max: operations outstanding (default: the scenario's own, 32 for a trace)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub depth: Option<u16>,
    /// Do not put data in place first: reads of a trace then mostly find nothing
    #[arg(long)]
    pub no_prefill: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  s3b-tuner replay random-mix --test /mnt/scratch --pace max
  s3b-tuner replay vm.vscsi.zst --config s3b.toml --test /mnt/scratch
  s3b-tuner replay disk.blktrace.0 --bucket mybucket --region eu-west-1 --format json > result.json

Any one file of a blktrace recording stands for all of its CPUs.
Latencies count from the intended start, so an operation that queued behind a slow one is charged for the wait;
service times (from the real start) and the lag are shown beside them.
Exit code: 0 done, 1 error, 2 wrong usage, 3 done but operations failed, 130 interrupted (results are still shown).";

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

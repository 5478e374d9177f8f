//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::connection::Connection;
use crate::sweep;

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
  s3b-tuner replay disk.blktrace.0 --config s3b.toml --bucket mybucket";

#[derive(Subcommand)]
pub enum Command {
    Sweep(Sweep),
    Replay(Replay),
}

/// Run one workload on one configuration and report latencies, requests and cost
///
/// The volume is a new one under a random prefix; it is deleted afterwards, and nothing else is touched. Blocks that
/// a trace reads (or overwrites in part) are put in place first, then read through a cold cache.
#[derive(Args)]
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

/// Try many configurations on the same workloads, recommend one, and write it to s3b.toml
///
/// Without a store it needs no account: built-in scenarios on a temporary directory behind a model of S3's latency, in
/// about a minute. Each configuration is run once a round, in another order each round, from a cold cache to the end
/// of a final flush. Everything happens under a random prefix; only what was written there is deleted afterwards.
#[derive(Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct Sweep {
    /// A recorded trace to sweep over, or several; instead of the built-in scenarios
    #[arg(long, value_name = "TRACE")]
    pub trace: Vec<String>,
    /// A scenario to sweep over: a built-in name or a file; may be repeated
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Vec<String>,
    /// Values to try for one setting; may be repeated. Any flag of a mount, or the short names threads, write-delay,
    /// cache. Default: block-size=64k,256k,1m threads=8,20,48 write-delay=250ms,2s
    #[arg(long, value_name = "SETTING=VALUES")]
    pub vary: Vec<String>,
    /// Median latency of the model of S3 around a directory [default: 30ms without --test, no model with it]
    #[arg(long, value_name = "TIME", value_parser = sweep::latency)]
    pub latency: Option<Duration>,
    /// How often every configuration runs; with fewer than two the noise stays unknown
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: u16,
    /// Begin no further configuration after this
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = sweep::duration)]
    pub max_time: Duration,
    /// Multiply the operations and the span of the scenarios
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub scale: u64,
    /// Operations taken from the beginning of each trace
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub trace_ops: u64,
    /// When operations start
    #[arg(long, value_enum, default_value_t = PaceName::Max)]
    pub pace: PaceName,
    /// Seed of the order of runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where the recommendation goes [default: s3b.toml]. An earlier, unedited result is replaced, nothing else
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the output file whoever wrote it
    #[arg(long)]
    pub force: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub connection: Connection,
}

const SWEEP_EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep
  s3b-tuner sweep --latency 5ms --vary block-size=64k..4m:x4 --vary threads=8..64:x2 --max-time 10m
  s3b-tuner sweep --bucket mybucket --region eu-west-1 --trace vm.vscsi.zst -o vm.toml
  s3b-tuner sweep --bucket mybucket --block-size 256k --vary read-ahead=0,4,16 --scenario sequential-read

A block size is recommended only for a bucket or a model of one: on a bare directory (--test DIR without --latency)
it would be a statement about a local disk, and the block size of a volume is permanent.
Exit code: 0 done, 1 error or no usable configuration, 2 wrong usage, 130 interrupted (what is there is still reported).";

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

//! `s3b-tuner validate`: how far the simulation can be believed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use s3b_engine::settings::parse::show_size;

use crate::arguments::{dollars, duration, latency};
use crate::connection::Connection;
use crate::interrupt::Interrupt;
use crate::oracles::{Answer, Case, Samples, ask};
use crate::outcome::PriceTable;
use crate::output;
use crate::prices::Reader;
use crate::progress::ProgressLine;
use crate::report::table::Table;
use crate::sweep::target::Target;
use crate::validate::judge::judge;
use crate::validate::run::{self, Request, Validated};
use crate::validate::show;
use crate::validate::validation::Validation;

/// What is left out of it counts as missed, but not as wrong.
const EXIT_PARTIAL: u8 = 3;

/// Hold predictions against a real store, or counts against answers that are known
///
/// With --bucket: many configurations over the same workloads, simulated and run for real from the same state of the
/// cache, in interleaved rounds; request counts, hit ratios, throughput, latencies, the order of the configurations and
/// the choice are judged. The plan and its worst case are shown before the first paid request; real runs happen under a
/// random prefix of their own, and only what was written there is deleted. With --oracles: PUT counts and hit ratios of
/// recorded traces that other programs have computed; no store is used.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Validate {
    /// The directory of the traces whose answers are known (vm-io/, blk-sqlite/, diskarray/, arc/)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["bucket", "test", "from"])]
    pub oracles: Option<PathBuf>,
    /// With --oracles, only this trace: vm-io, sqlite, postmark, OLTP.lis
    #[arg(long, value_name = "NAME", requires = "oracles")]
    pub only: Option<String>,
    /// Judge an earlier result again; nothing is run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bucket", "test"])]
    pub from: Option<PathBuf>,

    /// A recorded trace: windows of it run by its own times, and latency is judged; may be repeated
    #[arg(long, value_name = "TRACE", help_heading = "Workloads")]
    pub trace: Vec<String>,
    /// A scenario, a built-in name or a file: runs as fast as it goes, and throughput is judged; may be repeated
    /// [default: three small ones made for this]
    #[arg(long, value_name = "SCENARIO", help_heading = "Workloads")]
    pub scenario: Vec<String>,
    /// Length of a window of a trace
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Workloads")]
    pub window: Duration,
    /// Windows of each trace at most
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8), help_heading = "Workloads")]
    pub windows: u32,

    /// The store's model: a file written by `probe`, or a shipped one [default: the store is probed first]
    #[arg(long, value_name = "MODEL", help_heading = "Store")]
    pub model: Option<String>,
    /// With --test: behind a model of S3 STANDARD with this median time to the first byte
    #[arg(long, value_name = "TIME", value_parser = latency, conflicts_with = "model", help_heading = "Store")]
    pub latency: Option<Duration>,
    /// Prices: s3-standard, s3-express, or a file [default: the model's]
    #[arg(long, value_name = "PRICES", help_heading = "Store")]
    pub prices: Option<String>,
    /// This machine is in the bucket's region, where reading costs no transfer
    #[arg(long, help_heading = "Store")]
    pub in_region: bool,

    /// Configurations: corners of the axes, then points between
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..=500), help_heading = "Runs")]
    pub configurations: u16,
    /// Values of one setting, as `sweep --vary` takes them; may be repeated. Replaces the default axes: block size,
    /// threads, write delay, cache
    #[arg(long, value_name = "SETTING=VALUES", help_heading = "Runs")]
    pub vary: Vec<String>,
    /// Real runs of each configuration on each workload
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Runs")]
    pub rounds: u32,
    /// Never spend more dollars than this
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.5, value_parser = dollars, help_heading = "Runs")]
    pub max_cost: f64,
    /// Run nothing after this
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, help_heading = "Runs")]
    pub max_time: Duration,
    /// Fixes every random choice
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Runs")]
    pub seed: u64,
    /// Simulations at a time [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Runs")]
    pub jobs: Option<NonZeroUsize>,
    /// Show what would be run, how long it takes and what it costs at worst, and stop
    #[arg(long, help_heading = "Runs")]
    pub dry_run: bool,

    /// Write everything as JSON: every prediction and every run
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Printed::Text, help_heading = "Output")]
    pub format: Printed,
    #[command(flatten)]
    pub connection: Connection,
}

/// How a validation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    Text,
    /// Markdown
    Md,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner validate --oracles traces
  s3b-tuner validate --bucket mybucket --trace vm.vscsi.zst --trace db.blktrace.0 --dry-run
  s3b-tuner validate --bucket mybucket --model mybucket.model.toml --trace vm.vscsi.zst --max-cost 5 -o result.json
  s3b-tuner validate --test /mnt/scratch --latency 20ms --configurations 4 --rounds 1
  s3b-tuner validate --from result.json --format md

Exit code: 0 everything reached, 1 something missed, or an error, 2 wrong usage, 3 partial: judged on what there is.";

/// # Errors
/// Traces that cannot be read, a store that cannot be used, a file that cannot be written. Wrong predictions are an exit
/// code, not an error.
pub async fn validate(args: &Validate) -> Result<ExitCode> {
    if let Some(directory) = &args.oracles {
        return oracles(args, directory.clone());
    }
    let (validation, of_now) = match &args.from {
        Some(path) => {
            let mut validation = Validation::load(path)?;
            validation.judgement = Some(judge(&validation));
            (validation, None)
        }
        None => {
            let request = request(args)?;
            if let Some(path) = &args.output {
                // Half an hour of runs is not to be lost for a mistyped path.
                output::check_target("-o", path)?;
            }
            let Some(Validated { validation, left, run }) = run::validate(&request, &Interrupt::listen()).await? else {
                return Ok(ExitCode::SUCCESS);
            };
            (validation, Some((left, run)))
        }
    };
    if let Some(path) = &args.output {
        output::write(path, &(serde_json::to_string(&validation)? + "\n"))?;
        eprintln!("Written to {}", path.display());
    }
    output::print(&show::render(&validation, args.format == Printed::Md))?;
    let left = of_now.as_ref().map_or(0, |(left, _)| *left);
    if let Some((_, run)) = of_now {
        run.give_up()?;
    }
    let reached = validation.judgement.as_ref().is_some_and(crate::validate::judgement::Judgement::is_reached);
    Ok(match (validation.is_partial(), reached) {
        _ if left > 0 => ExitCode::FAILURE,
        (true, _) => ExitCode::from(EXIT_PARTIAL),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

fn request(args: &Validate) -> Result<Request> {
    let target = Target::of(&args.connection, args.model.as_deref(), args.latency)?;
    let prices = match &args.prices {
        Some(name) => PriceTable::load(name)?,
        None => PriceTable::load(target.price_class())?,
    };
    // As of a sweep: a bucket bills what really happens, wherever the model's reader was.
    let of_model = !target.is_bucket() && target.model.as_ref().is_some_and(|model| model.price.in_region);
    let in_region = args.in_region || of_model;
    Ok(Request {
        target,
        scenarios: args.scenario.clone(),
        traces: args.trace.clone(),
        configurations: args.configurations.into(),
        vary: args.vary.clone(),
        rounds: args.rounds,
        window: args.window,
        windows: args.windows,
        prices,
        reader: if in_region { Reader::InRegion } else { Reader::Outside },
        max_cost: args.max_cost,
        max_time: args.max_time,
        seed: args.seed,
        jobs: args.jobs,
        dry_run: args.dry_run,
    })
}

fn oracles(args: &Validate, directory: PathBuf) -> Result<ExitCode> {
    let mut cases = Case::all();
    if let Some(name) = &args.only {
        cases.retain(|case| case.sample().name() == name);
        if cases.is_empty() {
            bail!("--only {name}: no trace of that name; try --only sqlite");
        }
    }
    let threads = args.jobs.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let mut progress = ProgressLine::stepping("validate", cases.len() as u64);
    let told = &mut |answer: &Answer| progress.step(|| describe(answer).join(" "));
    let answers = ask(&Samples(directory), &cases, threads, told)?;
    progress.finish();
    let mut table = Table::new(&["question", "expected", "found", "error", ""]);
    answers.iter().for_each(|answer| table.row(describe(answer)));
    let wrong = answers.iter().filter(|answer| !answer.is_right()).count();
    let right = answers.len() - wrong;
    output::print(&format!("{}{right} of {} within bounds\n", table.render(), answers.len()))?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(answer: &Answer) -> Vec<String> {
    let sample = answer.case.sample().name();
    let expected = answer.case.expected();
    let (question, expected, found, error) = match (&answer.case, &answer.found) {
        (case, Err(error)) => (format!("{case:?}"), expected.to_string(), "failed".into(), format!("{error:#}")),
        (Case::Puts { block_size, delay_ms, .. }, Ok(found)) => (
            format!("{sample} PUTs at {}, {delay_ms} ms", show_size(block_size)),
            format!("{expected}"),
            format!("{found}"),
            format!("{:+.3} %", (found / expected - 1.0) * 100.0),
        ),
        (Case::HitRatio(row), Ok(found)) => (
            format!("{sample} LRU hits with {} blocks", row.blocks),
            format!("{expected:.4}"),
            format!("{found:.4}"),
            format!("{:+.4}", found - expected),
        ),
    };
    vec![question, expected, found, error, if answer.is_right() { "ok" } else { "WRONG" }.into()]
}

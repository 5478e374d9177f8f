//! `s3b-tuner sweep`: many configurations over the same workloads, one recommendation.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, FromArgMatches};
use s3b_scenarios::content::ContentProperties;

use crate::answer::goal::GoalKind;
use crate::answer::slo::{Constraints, Slo};
use crate::arguments::{self, PaceName, TableFormat, dollars, duration, latency, overlaid, own_pace};
use crate::command_line::{command_line, is_secret};
use crate::connection::Connection;
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::outcome::{Outcome, PriceTable};
use crate::output;
use crate::prices::Reader;
use crate::report::{self, config};
use crate::runs;
use crate::sweep::request::Request;
use crate::sweep::run::{self, Swept};
use crate::sweep::subjects::Chosen;
use crate::sweep::{show, target};
use crate::trace_options::TraceOptions;

/// Try many configurations on the same workloads and recommend one, written to s3b.toml
///
/// Without a store it needs no account and no set-up: the real engine runs the ten larger built-in workloads in virtual
/// time over a model of S3 STANDARD. With --bucket the bucket is probed first, the leaders of the simulation are
/// confirmed on it, and the plan and its worst-case cost are shown before the first paid request. Real runs happen under
/// a random prefix of their own; only what was written there is deleted afterwards. Where nothing is simulated, the five
/// small built-in workloads run instead of the ten (`s3b-tuner scenarios` lists both).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Sweep {
    /// A recorded trace to sweep over, in any format that `convert` reads; may be repeated. Replaces the built-in ones
    #[arg(long, value_name = "TRACE", help_heading = "Workloads")]
    pub trace: Vec<String>,
    /// A scenario to sweep over, a built-in name or a file; may be repeated
    #[arg(long, value_name = "SCENARIO", help_heading = "Workloads")]
    pub scenario: Vec<String>,
    /// Operations taken from the beginning of each trace [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Workloads")]
    pub trace_ops: Option<u64>,
    /// Multiply the operations and the span of the scenarios
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000), help_heading = "Workloads")]
    pub scale: u64,
    /// Bytes before compression for each byte after it, in the data of traces, which record none [default: 1]
    #[arg(long, value_name = "R", value_parser = ratio, help_heading = "Workloads")]
    pub compressibility: Option<f64>,
    /// Share of the data of traces that is zero, 0 to 1 [default: 0]
    #[arg(long, value_name = "Z", value_parser = share, help_heading = "Workloads")]
    pub zero_share: Option<f64>,

    /// The store's model: a file written by `probe`, or s3-standard, s3-express, s3-standard-from-home
    #[arg(long, value_name = "MODEL", help_heading = "Store")]
    pub model: Option<String>,
    /// Median time to the first byte of the model of S3 STANDARD
    #[arg(long, value_name = "TIME", value_parser = latency, conflicts_with = "model", help_heading = "Store")]
    pub latency: Option<Duration>,
    /// Prices: s3-standard, s3-express, or a file (`s3b-tuner cost --show` prints one) [default: the model's]
    #[arg(long, value_name = "PRICES", help_heading = "Store")]
    pub prices: Option<String>,
    /// The mount runs in the bucket's region, so downloads cost no transfer
    #[arg(long, help_heading = "Store")]
    pub in_region: bool,

    /// What is best
    #[arg(long, value_enum, default_value_t = GoalKind::Balanced, help_heading = "Answer")]
    pub goal: GoalKind,
    /// A bound that must hold on every workload, such as 'flush.p99<200ms'; may be repeated
    #[arg(long, value_name = "BOUND", help_heading = "Answer")]
    pub slo: Vec<Slo>,
    /// Most bytes acknowledged and not yet stored, such as 64m
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes, help_heading = "Answer")]
    pub max_at_risk: Option<u64>,
    /// Memory for the cache, such as 2g; also the cache's size unless that is given or varied
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes, help_heading = "Answer")]
    pub ram: Option<u64>,
    /// Most dollars a month for requests, transfer and storage
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, help_heading = "Answer")]
    pub max_monthly_cost: Option<f64>,

    /// Values to try for one setting; may be repeated: block-size=64k..8m:x2, write-delay=0,250ms,1s. Any flag of a mount
    /// or a short name: threads, write-delay, cache, read-ahead. Replaces the default axes
    #[arg(long, value_name = "SETTING=VALUES", help_heading = "Search")]
    pub vary: Vec<String>,
    /// Confirm so many leaders, and the default, on the real store; 0: none
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=50), help_heading = "Search")]
    pub confirm: u8,
    /// Known so that it can be refused with the reason
    #[arg(long, value_name = "PACE", value_parser = own_pace, hide = true)]
    pub pace: Option<PaceName>,
    /// Never spend more dollars than this on real runs
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.5, value_parser = dollars, help_heading = "Search")]
    pub max_cost: f64,
    /// Begin nothing new after this
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration, help_heading = "Search")]
    pub max_time: Duration,
    /// Rounds of real runs at most
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Search")]
    pub rounds: u16,
    /// Fixes every random choice
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Search")]
    pub seed: u64,
    /// Simulations at a time [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Search")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Show what would be done and what it costs at worst, and stop
    #[arg(long, help_heading = "Search")]
    pub dry_run: bool,
    /// Go on with a sweep that was interrupted, killed or ran out of time or money (`s3b-tuner runs` lists them). Its own
    /// arguments are taken again; what is given besides replaces them: --max-cost, --max-time, secrets, outputs. Rounds
    /// that were run and money that was spent count
    #[arg(long, value_name = "RUN", help_heading = "Search")]
    pub resume: Option<String>,
    /// No request to a real store
    #[arg(long, conflicts_with = "real_only", help_heading = "Search")]
    pub sim_only: bool,
    /// No simulation: every configuration runs for real
    #[arg(long, help_heading = "Search")]
    pub real_only: bool,

    /// Where the recommendation goes. An earlier, unedited result is replaced, nothing else
    #[arg(short, long, value_name = "FILE", default_value = "s3b.toml", help_heading = "Output")]
    pub output: PathBuf,
    /// Replace the output file whoever wrote it
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = TableFormat::Text, help_heading = "Output")]
    pub format: TableFormat,
    /// Also write the whole result as JSON, for `report`, `explain` and `compare`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub save: Option<PathBuf>,
    /// Also write a page to look at in a browser
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub reading: TraceOptions,
    #[command(flatten)]
    pub connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep
  s3b-tuner sweep --trace vm.vscsi.zst --goal cost --slo 'flush.p99<500ms' --html vm.html
  s3b-tuner sweep --latency 5ms --vary block-size=64k..8m:x2 --vary threads=8..64:x2
  s3b-tuner sweep --bucket mybucket --region eu-west-1 --trace vm.vscsi.zst --dry-run
  s3b-tuner sweep --resume 3fa1                    after an interruption; --max-cost 1 allows more money than before
  s3b-tuner sweep --bucket mybucket --block-size 256k --vary read-ahead=0,4,16 --max-cost 0.20

A block size is recommended only for a bucket or a model of one: on a bare directory (--test DIR without a model) it would
be a statement about a local disk, and the block size of a volume is permanent.
Exit code: 0 done, 1 error or no usable configuration, 2 wrong usage, 130 interrupted (what is there is still reported).";

pub async fn sweep(args: &Sweep) -> Result<ExitCode> {
    let resumed = args.resume.as_deref().map(|id| resumed(id, args)).transpose()?;
    let args = resumed.as_ref().unwrap_or(args);
    config::check_target(&args.output, args.force)?;
    for (option, path) in [("--save", &args.save), ("--html", &args.html)] {
        path.as_ref().map_or(Ok(()), |path| output::check_target(option, path))?;
    }
    let request = request(args)?;
    let interrupt = Interrupt::listen();
    let Some(Swept { outcome, left }) = run::sweep(&request, &interrupt).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    // What was paid for is kept first: the settings, then the rest, whichever of it fails.
    let kept = keep(args, &outcome);
    output::print(&report::render(&outcome, args.format))?;
    kept?;
    if outcome.answer.is_some() {
        say(args, &written(args))?;
    }
    Ok(exit_code(&outcome, left))
}

/// Writes all files; the first failure is the answer.
fn keep(args: &Sweep, outcome: &Outcome) -> Result<()> {
    let mut kept = Ok(());
    if outcome.answer.is_some() {
        kept = show::settings_file(outcome).and_then(|text| output::write(&args.output, &text));
    }
    if let Some(path) = &args.save {
        kept = kept.and(output::write(path, &report::json::render(outcome)));
    }
    if let Some(path) = &args.html {
        kept = kept.and(output::write(path, &report::html::render(outcome)));
    }
    kept
}

/// The arguments that a run was begun with, and those of now on top.
fn resumed(id: &str, now: &Sweep) -> Result<Sweep> {
    let found = runs::find(&runs::directory_of_runs()?, id)?;
    let before =
        found.description.with_context(|| format!("--resume={id}: its run.json cannot be read; start anew"))?;
    if before.depends_on.is_empty() {
        bail!("--resume={id}: that was no sweep on a store; `s3b-tuner runs` says which can be gone on with");
    }
    if std::env::current_dir().ok().as_ref() != Some(&before.directory) {
        bail!("--resume={id}: its arguments may name files where it was begun; type: {}", before.resuming());
    }
    let command = Sweep::augment_args(clap::Command::new("sweep").no_binary_name(true));
    let matches = |words: &[String]| {
        // After the program's name and `sweep`.
        let words = words.iter().skip_while(|word| *word != "sweep").skip(1);
        command.clone().try_get_matches_from(words).with_context(|| format!("--resume={id}: the arguments of that run"))
    };
    let (then, typed) = (matches(&before.command)?, matches(&command_line(std::env::args()))?);
    for flag in command.get_arguments().filter_map(|arg| arg.get_long()).filter(|name| is_secret(name)) {
        if then.get_raw(flag).is_some() && !now.connection.given.has(flag) {
            eprintln!("--{flag} was given then; secrets are not kept, so give it again unless the environment has it");
        }
    }
    let words = overlaid(&command, &then, &typed, is_secret);
    let matches = command.clone().try_get_matches_from(words).with_context(|| format!("--resume={id}"))?;
    let mut all = Sweep::from_arg_matches(&matches)?;
    // Secrets are not kept, and are given anew.
    all.connection.given.extend(now.connection.given.clone());
    Ok(all)
}

/// `left`: objects that could not be deleted.
fn exit_code(outcome: &Outcome, left: u64) -> ExitCode {
    match (outcome.run.stopped.as_deref(), &outcome.answer) {
        (Some("interrupted"), _) => ExitCode::from(EXIT_INTERRUPTED),
        (_, None) => ExitCode::FAILURE,
        _ if left > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn written(args: &Sweep) -> String {
    let output = args.output.display();
    let mut line =
        format!("Written to {output}. Use it: s3b mount --config {output} --size 10g mybucket/disk1 /mnt/s3b");
    for path in args.save.iter().chain(&args.html) {
        line.push_str(&format!("\nWritten to {}", path.display()));
    }
    line
}

/// To the person: on stdout, unless that belongs to a program.
fn say(args: &Sweep, line: &str) -> Result<()> {
    match args.format {
        TableFormat::Text => output::print(&format!("{line}\n"))?,
        _ => eprintln!("{line}"),
    }
    Ok(())
}

fn request(args: &Sweep) -> Result<Request> {
    let content = (args.compressibility.is_some() || args.zero_share.is_some()).then(|| ContentProperties {
        compressibility: args.compressibility.unwrap_or(1.0),
        zero_share: args.zero_share.unwrap_or(0.0),
    });
    let target = target::Target::of(&args.connection, args.model.as_deref(), args.latency)?;
    if args.real_only && target.is_model_only() {
        bail!("--real-only: there is no real store; name one with --bucket mybucket or --test DIR");
    }
    let prices = match &args.prices {
        Some(name) => PriceTable::load(name)?,
        None => PriceTable::load(target.price_class())?,
    };
    // Where a model's reader is says nothing of where this machine is, and a bucket bills what really happens.
    let in_region = !target.is_bucket() && target.model.as_ref().is_some_and(|model| model.price.in_region);
    Ok(Request {
        chosen: Chosen {
            traces: args.trace.clone(),
            scenarios: args.scenario.clone(),
            scale: args.scale,
            trace_ops: args.trace_ops,
            content,
            reading: args.reading.options(),
        },
        target,
        prices,
        reader: if args.in_region || in_region { Reader::InRegion } else { Reader::Outside },
        goal: args.goal,
        constraints: Constraints {
            slos: args.slo.clone(),
            max_at_risk: args.max_at_risk,
            ram: args.ram,
            max_dollars_per_month: args.max_monthly_cost,
        },
        vary: args.vary.clone(),
        confirm: args.confirm,
        max_cost: args.max_cost,
        max_time: args.max_time,
        rounds: args.rounds,
        seed: args.seed,
        jobs: args.jobs,
        dry_run: args.dry_run,
        sim_only: args.sim_only,
        real_only: args.real_only,
        resume: args.resume.clone(),
    })
}

fn ratio(text: &str) -> Result<f64, String> {
    number(text, |value| (1.0..=1000.0).contains(&value)).ok_or_else(|| "not from 1 to 1000; try 2".into())
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value)).ok_or_else(|| "not from 0 to 1; try 0.05".into())
}

fn number(text: &str, fits: impl Fn(f64) -> bool) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && fits(*value))
}

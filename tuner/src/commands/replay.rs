//! `s3b-tuner replay`: one workload, one configuration.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::{Location, Settings};
use s3b_scenarios::trace::Skipped;
use s3b_scenarios::{Op, StreamProperties};

use clap::Args;

use crate::arguments::{Format, PaceName, dollars};
use crate::budget::{Budget, at_most};
use crate::claim::Claim;
use crate::confirm::OPENING;
use crate::connection::Connection;
use crate::doctor::bucket::{self, QUESTIONS};
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::left_out;
use crate::outcome::{PriceTable, StoreLedger};
use crate::output;
use crate::place::{CLAIMING, End, Place};
use crate::prices::{Billing, Reader};
use crate::progress::ProgressLine;
use crate::report::replay::{self as report, Subject};
use crate::run::{self, Run, RunResult};
use crate::simulate::Tape;
use crate::trace_options::TraceOptions;
use crate::turns::Pace;
use crate::workload::{BlockSet, Workload};

/// Run one workload on one configuration and report latencies, requests and cost
///
/// The volume is a new one under a random prefix; it is deleted afterwards, and nothing else is touched. Blocks that
/// a trace reads (or overwrites in part) are put in place first, then read through a cold cache.
#[derive(Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct Replay {
    /// A recorded trace (any format that `convert` reads; plain, gz or zst), a scenario file, or the name of a built-in
    /// scenario (`s3b-tuner scenarios` lists them)
    #[arg(value_name = "TRACE|SCENARIO")]
    pub workload: String,
    #[command(flatten)]
    pub connection: Connection,
    /// When operations start: `trace`, at their own times; `x2`, twice as fast (x0.1 to x100); `closed`, a number
    /// outstanding, with the callers' own bounds and pauses; `max`, as fast as the store takes them
    #[arg(long, value_name = "PACE", default_value_t = PaceName::Trace)]
    pub pace: PaceName,
    /// Operations outstanding with --pace closed (default: the scenario's own, 32 for a trace) or max (default: 256)
    #[arg(long, alias = "depth", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub outstanding: Option<u16>,
    /// Do not put data in place first: reads of a trace then mostly find nothing
    #[arg(long)]
    pub no_prefill: bool,
    /// Never spend more dollars than this on a bucket
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.5, value_parser = dollars)]
    pub max_cost: f64,
    /// Prices that --max-cost counts by: s3-standard, s3-express, or a file (`s3b-tuner cost --show` prints one)
    #[arg(long, value_name = "NAME|FILE", default_value = "s3-standard")]
    pub prices: String,
    /// This machine is in the bucket's region, where reading costs no transfer
    #[arg(long)]
    pub in_region: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub reading: TraceOptions,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  s3b-tuner replay random-mix --test /mnt/scratch --pace max
  s3b-tuner replay vm.vscsi.zst --config s3b.toml --test /mnt/scratch --pace x2
  s3b-tuner replay disk.blktrace.0 --bucket mybucket --region eu-west-1 --max-cost 2 --format json > result.json

Any one file of a blktrace recording stands for all of its CPUs.
Latencies count from the intended start, so an operation that queued behind a slow one is charged for the wait;
service times (from the real start) and the lag are shown beside them.
Exit code: 0 done, 1 error, 2 wrong usage, 3 done but operations failed, 130 interrupted (results are still shown).";

/// The workload ran, but operations failed.
const EXIT_FAILURES: u8 = 3;

/// With --pace max: more than any mount has threads, and few enough for their data to fit into memory.
const MAX_OUTSTANDING: usize = 256;

const NOT_SCALED: &str = "note: only the times of the operations change: write delay, cache times and flush intervals are \
                          not scaled, so this run says nothing about which write delay to choose";

/// The volume's name in its place: there is one.
const VOLUME: &str = "replay";

pub async fn replay(args: &Replay) -> Result<ExitCode> {
    let access = args.connection.resolve()?;
    let billing = match &access.settings.location {
        Location::Memory => {
            bail!("where to? Name a bucket (--bucket mybucket) or an existing directory (--test /mnt/scratch)")
        }
        Location::Directory(_) => Billing::FREE,
        Location::Bucket(_) => {
            let reader = if args.in_region { Reader::InRegion } else { Reader::Outside };
            Billing::of(PriceTable::load(&args.prices)?, reader)
        }
    };
    if args.outstanding.is_some() && !matches!(args.pace, PaceName::Closed | PaceName::Max) {
        bail!("--outstanding does nothing at --pace={}, where times decide; add --pace closed", args.pace);
    }
    let work = Work::of(args, &access.settings)?;
    if args.pace != PaceName::Trace {
        eprintln!("{NOT_SCALED}");
    }
    let budget = budget(args, &billing, &work)?;
    let interrupt = Interrupt::listen();
    if let Location::Bucket(name) = &access.settings.location {
        bucket::warn(name, &access).await?;
    }
    let claim = Claim::new(&access, None, budget.clone()).await?;
    let place = &claim.place;
    left_out::left_out(&work.settings, left_out::Run::Real).iter().for_each(|notice| eprintln!("{notice}"));
    eprintln!("working under {} of {}", place.prefix(), place.describe());
    let ran = tokio::select! {
        biased;
        end = place.ended() => Err(of_end(args, end)),
        ran = in_place(args, place, &work, &interrupt) => {
            // Whatever failed because the place has ended failed for that reason.
            ran.map_err(|error| place.has_ended().map_or(error, |end| of_end(args, end)))
        }
    };
    let cleaned = claim.end().await;
    if let Some(budget) = &budget {
        eprintln!("spent ${:.4} of at most ${}, all requests included", budget.dollars(), args.max_cost);
    }
    let (subject, result) = ran?;
    result.notices.iter().for_each(|notice| eprintln!("{notice}"));
    let text = match args.format {
        Format::Text => report::text(&subject, &result),
        Format::Json => report::json(&subject, &result)?,
    };
    output::print(&text)?;
    Ok(if result.measured.interrupted {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if result.measured.failures() > 0 {
        ExitCode::from(EXIT_FAILURES)
    } else if cleaned.left > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn of_end(args: &Replay, end: End) -> anyhow::Error {
    match end {
        End::OutOfMoney => anyhow!(
            "out of money: the next request might pass --max-cost {}; the workload is not at its end, and what was stored \
             is deleted; --max-cost {} allows more",
            args.max_cost,
            args.max_cost * 2.0
        ),
        End::CannotNote(error) => {
            anyhow::Error::from(error).context("the run ends here, and what it stored is deleted")
        }
    }
}

/// What is to run, read and fitted.
struct Work {
    tape: Tape,
    /// Of its records.
    skipped: Skipped,
    /// Of how it was recorded.
    notices: Vec<String>,
    settings: Settings,
    device_starts: Vec<u64>,
    /// The blocks to be put in place.
    found: Arc<BlockSet>,
}

impl Work {
    fn of(args: &Replay, settings: &Settings) -> Result<Self> {
        let mut workload = Workload::load_with(&args.workload, &args.reading.options())?;
        if let PaceName::Times(factor) = args.pace {
            workload = workload.at_speed(factor);
        }
        let (skipped, notices) = (workload.skipped, workload.notices.clone());
        let tape = Tape::of(workload)?;
        let (settings, device_starts) = tape.fit(settings)?;
        let (block_size, size) = (settings.volume.block_size.unwrap_or(0), settings.volume.size.unwrap_or(0));
        let geometry = Geometry::new(block_size, size)?;
        let found = match args.no_prefill {
            true => Arc::new(BlockSet::new(geometry.blocks())),
            false => tape.found_blocks(geometry, &device_starts)?,
        };
        Ok(Self { tape, skipped, notices, settings, device_starts, found })
    }
}

/// When operations start, and within which bounds of their streams.
fn pace(name: PaceName, outstanding: Option<u16>, tape: &Tape) -> (Pace, Vec<StreamProperties>) {
    let closed = |unless: usize| Pace::Closed { outstanding: outstanding.map_or(unless, usize::from) };
    let unbounded = |stream: &StreamProperties| StreamProperties { depth: None, think_ns: 0, ..*stream };
    match name {
        PaceName::Trace | PaceName::Times(_) => (Pace::Schedule, tape.streams.clone()),
        PaceName::Closed => (closed(tape.depth), tape.streams.clone()),
        PaceName::Max => (closed(MAX_OUTSTANDING), tape.streams.iter().map(unbounded).collect()),
    }
}

/// Says what putting blocks in place costs, before anything is sent; of a store that costs nothing, how many they are.
fn budget(args: &Replay, billing: &Billing, work: &Work) -> Result<Option<Arc<Budget>>> {
    let (settings, blocks) = (&work.settings, work.found.count());
    let budget = Budget::of(billing, args.max_cost);
    let put_bytes = blocks * settings.volume.block_size.unwrap_or(0);
    let puts = StoreLedger { puts: blocks, put_bytes, ..StoreLedger::ZERO };
    // Looking at the bucket, claiming a place, opening a volume to fill it and one to run on.
    let opening = at_most(&OPENING.times(2.0), &settings.volume.prefix, 1);
    let most = puts.plus(&QUESTIONS).plus(&CLAIMING).plus(&opening);
    let dollars = billing.dollars(&most);
    match &budget {
        None if blocks > 0 => eprintln!("putting {blocks} blocks in place"),
        None => {}
        Some(_) if dollars > args.max_cost => bail!(
            "--max-cost {} is too little: putting {blocks} blocks in place alone may cost ${dollars:.4}; --max-cost {:.2} \
             leaves as much for the workload",
            args.max_cost,
            dollars * 2.0 + 0.01
        ),
        Some(_) => eprintln!(
            "before the workload begins, {blocks} blocks are put in place: at most {} PUT of {} MiB and {} GET, \
             ${dollars:.4}; what it asks itself comes on top; never more than ${}",
            most.puts,
            put_bytes.div_ceil(1 << 20),
            most.gets,
            args.max_cost
        ),
    }
    if let Some(budget) = &budget {
        // Asked before there is a place.
        budget.charge_earlier(&QUESTIONS);
    }
    Ok(budget)
}

async fn in_place(args: &Replay, place: &Place, work: &Work, interrupt: &Interrupt) -> Result<(Subject, RunResult)> {
    let Work { tape, skipped, notices, settings, device_starts, found } = work;
    let prefilled_blocks = run::prefill(place, settings, VOLUME, found, &tape.content, interrupt).await?;
    let (pace, streams) = pace(args.pace, args.outstanding, tape);
    let mut line = ProgressLine::counting("replay", tape.summary.ops());
    let mut progress = |_: &Op| line.step(String::new);
    let device_starts = device_starts.clone();
    let run = Run { settings, volume: VOLUME, tape, device_starts, pace, streams, weather: 0 };
    let result = run::run(place, run, interrupt, &mut progress).await;
    line.finish();
    let subject = Subject {
        workload: tape.title.clone(),
        store: place.describe(),
        pace: match (args.pace, pace) {
            (PaceName::Times(factor), _) => format!("{factor} times as fast as its own times"),
            (_, Pace::Schedule) => "by its own times".into(),
            (PaceName::Max, Pace::Closed { outstanding }) => format!("as fast as possible, {outstanding} outstanding"),
            (_, Pace::Closed { outstanding }) => format!("closed loop, {outstanding} outstanding"),
        },
        scheduled: pace == Pace::Schedule,
        block_size: settings.volume.block_size.unwrap_or(0),
        size: settings.volume.size.unwrap_or(0),
        threads: settings.block_cache.threads,
        write_delay_ms: settings.block_cache.write_delay.as_millis() as u64,
        prefilled_blocks,
        skipped_records: skipped.other + skipped.empty,
        times_mended: skipped.back_in_time,
        notices: notices.clone(),
    };
    Ok((subject, result?))
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::OpKind;

    use super::*;
    use crate::simulate::Found;

    #[test]
    fn as_fast_as_possible_knows_no_bounds_of_streams() {
        let mut tape = Tape::of_ops("t", vec![Op::new(0, OpKind::Read, 0, 512)], Found::Nothing);
        tape.depth = 7;
        let bounded = StreamProperties { depth: Some(2), think_ns: 9, ..StreamProperties::default() };
        tape.streams = vec![bounded];
        assert_eq!(pace(PaceName::Times(2.0), None, &tape).0, Pace::Schedule);
        assert_eq!(pace(PaceName::Closed, None, &tape), (Pace::Closed { outstanding: 7 }, vec![bounded]));
        let free = vec![StreamProperties::default()];
        assert_eq!(pace(PaceName::Max, Some(3), &tape), (Pace::Closed { outstanding: 3 }, free.clone()));
        assert_eq!(pace(PaceName::Max, None, &tape), (Pace::Closed { outstanding: MAX_OUTSTANDING }, free));
    }
}

//! `s3b-tuner inspect`: what a workload is like, found out without running it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use s3b_scenarios::Op;

use crate::analysis::PAGE;
use crate::analysis::curve::Curves;
use crate::analysis::fingerprint::Gatherer;
use crate::analysis::shards::FOLLOWED_BLOCKS;
use crate::analysis::walk;
use crate::analysis::windows::Picker;
use crate::arguments::{self, TableFormat};
use crate::output;
use crate::progress::ProgressLine;
use crate::report::inspect::Report;
use crate::trace_options::TraceOptions;
use crate::workload::Workload;

/// Describe a workload: mix, sizes, rates, working set, sequentiality, reuse, flushes, and what caches and delays would save
///
/// One pass, nothing is run, and memory is bounded whatever the length of the trace.
#[derive(Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct Inspect {
    /// A recorded trace, a scenario file, or the name of a built-in scenario
    #[arg(value_name = "TRACE|SCENARIO")]
    pub workload: String,
    /// Block sizes to count stores and misses for, powers of two
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = arguments::block_size,
          default_value = "4k,64k,256k,1m,4m")]
    pub block_size: Vec<u64>,
    /// The windows that stand for the whole take at most so long together
    #[arg(long, value_name = "TIME", value_parser = budget, default_value = "5m")]
    pub windows: Duration,
    /// Decides ties in picking windows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
    #[command(flatten)]
    pub reading: TraceOptions,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  s3b-tuner inspect vm.vscsi.zst
  s3b-tuner inspect disk.blktrace.0 --block-size 64k,1m --format json > disk.json
  s3b-tuner inspect random-mix

Exit code: 0 done, 1 error, 2 wrong usage.";

/// Operations of a pass that takes long enough to show how far it is.
const LONG: u64 = 1_000_000;

/// Shorter windows would show nothing but how a run starts.
fn budget(text: &str) -> Result<Duration, String> {
    let budget = arguments::duration(text)?;
    if budget >= Duration::from_secs(1) { Ok(budget) } else { Err("shorter than a second; try 5m".into()) }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// # Errors
/// Whatever is wrong with the workload, with the place in it.
pub async fn inspect(args: &Inspect) -> Result<ExitCode> {
    let workload = Workload::load_with(&args.workload, &args.reading.options())?;
    let mut sizes = args.block_size.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let with_pages: Vec<u64> = std::iter::once(PAGE).chain(sizes.iter().copied().filter(|one| *one != PAGE)).collect();
    let mut gatherer = Gatherer::new(&sizes, FOLLOWED_BLOCKS);
    let mut curves = Curves::new(&with_pages, FOLLOWED_BLOCKS);
    let mut picker = Picker::new(workload.summary.duration_ns, nanoseconds(args.windows));
    pass(&workload, |op, at| {
        gatherer.add(op, at);
        curves.add(op, at);
        picker.add(op, at);
    })?;
    let pages = curves.of(PAGE).context("pages are among what was followed")?;
    let mut shown = curves.curves(None);
    shown.retain(|curve| sizes.contains(&curve.block_size));
    let report = Report {
        schema: Report::SCHEMA,
        workload: &workload.title,
        fingerprint: &gatherer.fingerprint(pages),
        curves: &shown,
        windows: &picker.pick(args.seed),
        skipped_records: workload.skipped.other + workload.skipped.empty,
        times_mended: workload.skipped.back_in_time,
        notices: &workload.notices,
    };
    let text = match args.format {
        TableFormat::Text => report.text(),
        TableFormat::Json => report.json()?,
        TableFormat::Csv => report.csv()?,
        TableFormat::Md => report.markdown(),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Hands over every operation with its first byte in a volume in which devices begin on borders of the largest block.
/// Long ones show how far they are.
///
/// # Errors
/// Whatever is wrong with the workload, with its name.
pub fn pass(workload: &Workload, mut visit: impl FnMut(&Op, u64)) -> Result<()> {
    let starts = workload.device_starts(arguments::BLOCK_SIZE_MAX)?;
    let ops = workload.summary.ops();
    let mut line = (ops >= LONG).then(|| ProgressLine::counting("reading", ops));
    let walked = walk(workload.ops()?, &starts, |op, at| {
        visit(op, at);
        if let Some(line) = &mut line {
            line.step(String::new);
        }
    });
    if let Some(line) = line {
        line.finish();
    }
    walked.with_context(|| workload.title.clone())
}

//! `s3b-tuner mrc`: which share of its accesses a workload misses, by cache size and block size.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use s3b_engine::clock;

use crate::analysis::curve::Curves;
use crate::analysis::shards::FOLLOWED_BLOCKS;
use crate::arguments::{self, TableFormat};
use crate::commands::inspect::pass;
use crate::output;
use crate::report::mrc::Report;
use crate::report::numbers;
use crate::trace_options::TraceOptions;
use crate::workload::Workload;

/// Show how many block accesses an LRU cache of each size would miss, for several block sizes
///
/// Found in one pass without running anything: by exact LRU stack distances, and by a sample of the blocks (SHARDS) where
/// there are too many to follow.
#[derive(Args)]
#[command(after_help = MRC_EXAMPLES)]
pub struct Mrc {
    /// A recorded trace, a scenario file, or the name of a built-in scenario
    #[arg(value_name = "TRACE|SCENARIO")]
    pub workload: String,
    /// Block sizes, powers of two
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = arguments::block_size,
          default_value = "4k,16k,64k,256k,1m,4m,8m")]
    pub block_size: Vec<u64>,
    /// Cache sizes (default: two for each doubling, until everything fits)
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = arguments::bytes)]
    pub cache: Vec<u64>,
    /// Follow every block, however many there are: about 50 bytes of memory each, for each block size
    #[arg(long)]
    pub exact: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
    #[command(flatten)]
    pub reading: TraceOptions,
}

const MRC_EXAMPLES: &str = "\
Examples:
  s3b-tuner mrc vm.vscsi.zst
  s3b-tuner mrc disk.blktrace.0 --block-size 64k,1m --cache 256m,1g,4g
  s3b-tuner mrc random-mix --format csv > curve.csv

Exit code: 0 done, 1 error, 2 wrong usage.";

/// # Errors
/// Whatever is wrong with the workload, with the place in it.
pub async fn mrc(args: &Mrc) -> Result<ExitCode> {
    let workload = Workload::load_with(&args.workload, &args.reading.options())?;
    workload.notices.iter().for_each(|notice| eprintln!("{notice}"));
    let limit = if args.exact { usize::MAX } else { FOLLOWED_BLOCKS };
    let mut sizes = args.block_size.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut curves = Curves::new(&sizes, limit);
    let begun = clock::now();
    pass(&workload, |op, at| curves.add(op, at))?;
    let took = begun.elapsed();
    let caches = (!args.cache.is_empty()).then_some(&args.cache[..]);
    let curves = curves.curves(caches);
    let accesses: u64 = curves.iter().map(|curve| curve.accesses).sum();
    let rate = accesses as f64 / took.as_secs_f64().max(1e-9) / 1e6;
    eprintln!("{} block accesses in {}, {rate:.1} million/s", numbers::count(accesses), numbers::time(took));
    let requests = workload.summary.ops();
    let report = Report { schema: Report::SCHEMA, workload: &workload.title, requests, curves: &curves };
    let text = match args.format {
        TableFormat::Text => report.text(),
        TableFormat::Json => report.json()?,
        TableFormat::Csv => report.csv(),
        TableFormat::Md => report.markdown(),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

//! `s3b-tuner validate`: how far the simulation can be believed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use s3b_engine::settings::parse::show_size;

use crate::oracles::{Answer, Case, Samples, ask};
use crate::progress::ProgressLine;
use crate::report::table::Table;

/// Check the simulation against answers that are known
///
/// PUTs that write-back coalesces recorded traces into, and hit ratios of LRU caches, both computed by other programs
/// from the traces alone. No store is used.
#[derive(Args)]
pub struct Validate {
    /// The directory of the traces whose answers are known (vm-io/, blk-sqlite/, diskarray/, arc/)
    #[arg(long, value_name = "DIR")]
    pub oracles: PathBuf,
    /// Only this trace: vm-io, sqlite, postmark, OLTP.lis
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Simulations at a time
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// # Errors
/// Traces that cannot be read. Wrong answers are an exit code, not an error.
pub async fn validate(args: &Validate) -> Result<ExitCode> {
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
    let answers = ask(&Samples(args.oracles.clone()), &cases, threads, told)?;
    progress.finish();
    let mut table = Table::new(&["question", "expected", "found", "error", ""]);
    answers.iter().for_each(|answer| table.row(describe(answer)));
    print!("{}", table.render());
    let wrong = answers.iter().filter(|answer| !answer.is_right()).count();
    println!("{} of {} within bounds", answers.len() - wrong, answers.len());
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

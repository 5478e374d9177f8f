//! Compares the golden results with what the simulator gives now; `--write` makes them what it gives.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use s3b_benches::golden;

/// Simulates the golden jobs and compares every figure with `benches/golden/`.
#[derive(Parser)]
struct Arguments {
    /// Write the figures of now; a change needs its reason in docs/decisions/golden-results.md.
    #[arg(long)]
    write: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let (found, folder) = (golden::run()?, golden::folder());
    let lines = golden::differences(&found, &folder)?;
    lines.iter().for_each(|line| println!("{line}"));
    if lines.is_empty() {
        println!("{} golden results are as written ({})", found.len(), golden::hash(&folder)?);
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.write {
        println!("If that is meant to be: {}", golden::REWRITE);
        return Ok(ExitCode::FAILURE);
    }
    golden::write(&found, &folder)?;
    println!("Written. Say why in {}, under the hash {}", golden::DECISIONS, golden::hash(&folder)?);
    Ok(ExitCode::SUCCESS)
}

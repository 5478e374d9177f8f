//! Counts the instructions of fixed work under callgrind and compares them with the baseline of this compiler.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use s3b_benches::instructions::{Baseline, Case, REWRITE, complaints};

/// Counts instructions under valgrind and compares them with the baseline.
#[derive(Parser)]
struct Arguments {
    /// Make the counts of now the baseline of this compiler.
    #[arg(long)]
    write: bool,
    /// Do the work of one case, and print its number of operations; what is run under valgrind.
    #[arg(long, value_name = "CASE", conflicts_with = "write")]
    run: Option<String>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(case) = &arguments.run {
        println!("{}", Case::named(case)?.work()?);
        return Ok(ExitCode::SUCCESS);
    }
    let now = Baseline::count(&std::env::current_exe()?)?;
    now.instructions.iter().for_each(|(case, count)| println!("{case}: {count} instructions an operation"));
    if arguments.write {
        now.save()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(baseline) = Baseline::load()? else {
        println!("NOT COMPARED: {} does not exist", Baseline::path().display());
        return Ok(ExitCode::SUCCESS);
    };
    match complaints(&now, &baseline) {
        Err(why) => println!("NOT COMPARED: {why}"),
        Ok(complaints) if complaints.is_empty() => println!("as in the baseline"),
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| println!("{complaint}"));
            println!("If that is meant to be: {REWRITE}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

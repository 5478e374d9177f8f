//! `s3b-tuner explain`: the long form of an answer.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::report::load;
use crate::output;
use crate::report::WIDTH;

/// Explain an earlier sweep's answer: what each other value would have meant, where bytes and requests went, what binds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// What `sweep --save` wrote (or `--format json` printed)
    #[arg(value_name = "RUN.json")]
    pub run: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep --save run.json
  s3b-tuner explain run.json

Exit code: 0 done, 1 error, 2 wrong usage.";

/// # Errors
/// Names the file and what is wrong with it.
pub fn explain(args: &Explain) -> Result<ExitCode> {
    output::print(&crate::report::explain::render(&load(&args.run)?, WIDTH))?;
    Ok(ExitCode::SUCCESS)
}

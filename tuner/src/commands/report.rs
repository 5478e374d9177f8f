//! `s3b-tuner report`: shows the outcome of an earlier sweep again, in any form.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::arguments::TableFormat;
use crate::outcome::Outcome;
use crate::output;
use crate::report::{self, html, json};

/// Show the outcome of an earlier sweep again: as text, JSON, CSV, Markdown or a page for a browser
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// What `sweep --save` wrote (or `--format json` printed)
    #[arg(value_name = "RUN.json")]
    pub run: PathBuf,
    /// Write the page, one file that needs no network, here
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How the outcome is printed on stdout; with --html, nothing unless given
    #[arg(long, value_enum)]
    pub format: Option<TableFormat>,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep --save run.json
  s3b-tuner report run.json --html run.html
  s3b-tuner report run.json --format md

Exit code: 0 done, 1 error, 2 wrong usage.";

/// # Errors
/// Names the file and what is wrong with it.
pub fn report(args: &Report) -> Result<ExitCode> {
    let outcome = load(&args.run)?;
    if let Some(path) = &args.html {
        output::write(path, &html::render(&outcome)).context("--html")?;
    }
    let format = args.format.or_else(|| args.html.is_none().then_some(TableFormat::Text));
    if let Some(format) = format {
        output::print(&report::render(&outcome, format))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// Names the file and what is wrong with it.
pub fn load(path: &Path) -> Result<Outcome> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{name}: cannot be read; try a file that `s3b-tuner sweep --save` wrote"))?;
    json::read(&text, &name)
}

//! `s3b-tuner clean`: deletes the objects that killed runs left, by their journals.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::cleaning::{clean as clean_run, fill_in};
use crate::connection::Connection;
use crate::output;
use crate::runs::{self, Found, State};

/// Delete what killed runs left in a store: exactly the objects that their journals name
///
/// Needs the credentials of the run; where its store is, it knows itself. Never lists a bucket and never deletes what it
/// did not store. A run that is alive is refused.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Clean {
    /// The run, as `s3b-tuner runs` shows it; its first digits are enough
    #[arg(value_name = "RUN", required_unless_present = "all", conflicts_with = "all")]
    pub run: Option<String>,
    /// All runs that left something and are not alive
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner runs
  s3b-tuner clean 3fa1
  s3b-tuner clean --all --access-key-env SECRET --access-id AK...

Exit code: 0 all deleted, 1 error or something could not be deleted (it stays noted), 2 wrong usage.";

pub async fn clean(args: &Clean) -> Result<ExitCode> {
    let directory = runs::directory_of_runs()?;
    let chosen: Vec<Found> = match &args.run {
        Some(id) => vec![runs::find(&directory, id)?],
        None => {
            let all = runs::all(&directory)?.into_iter();
            all.filter(|run| run.left > 0 && run.state != State::Alive).collect()
        }
    };
    if chosen.is_empty() {
        output::print("nothing is left behind\n")?;
    }
    let mut failed = 0;
    for run in &chosen {
        failed += u32::from(!one(args, run).await?);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether all was deleted. With several runs, one that cannot be cleaned does not stop the others.
async fn one(args: &Clean, run: &Found) -> Result<bool> {
    let mut access = args.connection.resolve()?;
    let cleaned = async {
        fill_in(&mut access, run)?;
        clean_run(&access, run).await
    };
    match cleaned.await {
        Ok(cleaned) => {
            output::print(&format!("{}: {} objects deleted\n", run.id, cleaned.deleted))?;
            cleaned.report();
            Ok(cleaned.left == 0)
        }
        Err(error) if args.all => {
            eprintln!("{}: {error:#}", run.id);
            Ok(false)
        }
        Err(error) => bail!("{}: {error:#}", run.id),
    }
}

//! `s3b-tuner doctor`: whether a store is fit to be a disk, and what to do where it is not.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use s3b_engine::settings::Location;

use crate::arguments::Format;
use crate::connection::Connection;
use crate::doctor::{Report, Verdict, bucket, cache_disk, directory};
use crate::output;
use crate::rates;

/// Check a store before trusting a disk to it
///
/// Looks at the bucket's configuration, tries a few requests under a random prefix (deleted afterwards), and measures how
/// fast this machine hashes, compresses and encrypts; with --block-cache-file also the disk it lies on. Costs less than a thousandth of a dollar.
#[derive(Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct Doctor {
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub connection: Connection,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  s3b-tuner doctor --bucket mybucket/disk1 --region eu-west-1
  s3b-tuner doctor --bucket mybucket --format json
  s3b-tuner doctor --test /mnt/scratch

ok: nothing to do; WARN: works, at a price or a risk; FAIL: does not work, or loses data; ?: could not tell, and why.
Exit code: 0 no FAIL, 1 a FAIL or an error, 2 wrong usage.";

pub async fn doctor(args: &Doctor) -> Result<ExitCode> {
    let access = args.connection.resolve()?;
    let (store, mut checks) = match &access.settings.location {
        Location::Bucket(name) => {
            let prefix = &access.settings.volume.prefix;
            (format!("s3://{name}/{prefix}"), bucket::checks(name, &access).await)
        }
        Location::Directory(path) => (path.display().to_string(), directory::checks(path, &access).await),
        Location::Memory => bail!("doctor needs a store: --bucket mybucket, or --test /mnt/scratch"),
    };
    if let Some(file) = access.settings.block_cache.file.clone() {
        checks.push(tokio::task::spawn_blocking(move || cache_disk::check(&file)).await?);
    }
    let report = Report::new(store, checks, rates::of_this_machine().await?);
    match args.format {
        Format::Text => output::print(&report.text())?,
        Format::Json => output::print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    Ok(if report.verdict == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

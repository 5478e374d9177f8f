//! `s3b-tuner probe`: measures a store and writes a model of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use s3b_engine::settings::Location;

use crate::arguments::{dollars, duration};
use crate::connection::Connection;
use crate::doctor::bucket;
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::model::text;
use crate::outcome::PriceTable;
use crate::prices::{Billing, Reader};
use crate::probe::Findings;
use crate::probe::fit::Fitted;
use crate::probe::learn::{Studied, Study};
use crate::probe::plan::Plan;
use crate::{output, reach};

/// Measure a store and write a model of it for sweeps
///
/// Sends a few thousand GETs, PUTs, HEADs, DELETEs and LISTs, of 4 KiB to 8 MiB, 1 to 128 at a time, under a random
/// prefix; only what was written there is deleted afterwards. The worst case in dollars is shown before the first paid
/// request, and no request is sent that might pass the cap.
#[derive(Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub struct Probe {
    /// Where the model goes [default: the bucket's or directory's name with .model.toml]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the output file if it is there
    #[arg(long)]
    pub force: bool,
    /// Never spend more than this, in dollars; the probe gets smaller to fit
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.05, value_parser = dollars)]
    pub max_cost: f64,
    /// Begin nothing after this
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub max_time: Duration,
    /// This machine is in the bucket's region, where reading costs no transfer: read more
    #[arg(long)]
    pub in_region: bool,
    /// Prices: s3-standard, s3-express, or a file (`s3b-tuner cost --show` prints one)
    #[arg(long, value_name = "NAME|FILE", default_value = "s3-standard")]
    pub prices: String,
    /// Show the plan and what it may cost, and stop: nothing is sent
    #[arg(long)]
    pub dry_run: bool,
    /// Seed of the order of requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub connection: Connection,
}

const PROBE_EXAMPLES: &str = "\
Examples:
  s3b-tuner probe --bucket mybucket --region eu-west-1 -o mybucket.model.toml
  s3b-tuner probe --bucket mybucket --dry-run
  s3b-tuner probe --bucket mybucket --in-region --max-cost 0.20 --max-time 3m
  s3b-tuner probe --test /mnt/scratch -o scratch.model.toml

The model is a text file, to be read and edited; how sure each number is stands above it.
Exit code: 0 done, 1 error, 2 wrong usage, 130 interrupted (a model of what was measured is written if it can be).";

pub async fn probe(args: &Probe) -> Result<ExitCode> {
    let access = args.connection.resolve()?;
    let reader = if args.in_region { Reader::InRegion } else { Reader::Outside };
    let (name, billing) = match &access.settings.location {
        Location::Bucket(name) => (name.clone(), Billing::of(PriceTable::load(&args.prices)?, reader)),
        Location::Directory(path) => (directory_name(path), Billing::FREE),
        Location::Memory => bail!("probe needs a store: --bucket mybucket, or --test /mnt/scratch"),
    };
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.model.toml")));
    if !args.dry_run && !args.force && output.exists() {
        bail!("{} is there already; give --force to replace it, or another -o", output.display());
    }
    if !args.dry_run {
        output::check_target("-o", &output)?;
    }
    let study = Study::new(&name, billing, args.max_cost, args.max_time, args.seed)
        .map_err(|why| anyhow!("--max-cost {}: {why}; try --max-cost 0.05", args.max_cost))?;
    announce(args, &study);
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let interrupt = Interrupt::listen();
    if let Location::Bucket(name) = &access.settings.location {
        bucket::warn(name, &access).await?;
    }
    let Studied { fitted, findings, left } = study.carry_out(&access, None, &interrupt).await?;
    keep(&output, &file_text(&fitted, &findings, &study.plan))?;
    output::print(&said(&fitted, &findings, &output))?;
    Ok(if findings.interrupted {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if left > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Writes the model; what was paid for is not lost with the file.
fn keep(path: &Path, text: &str) -> Result<()> {
    output::write(path, text).or_else(|error| {
        output::print(text).with_context(|| format!("-o: {error:#}"))?;
        Err(error.context("-o (the model is on stdout instead)"))
    })
}

fn said(fitted: &Fitted, findings: &Findings, output: &Path) -> String {
    let mut text = fitted.model.describe() + "\n";
    fitted.head.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text + &format!("Requests cost ${:.4}. Written to {}.\n", findings.dollars, output.display())
}

fn directory_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "directory".into(), |name| name.to_string_lossy().into_owned())
}

fn announce(args: &Probe, study: &Study) {
    let (plan, billing) = (&study.plan, &study.bounds.billing);
    let worst = plan.worst_requests();
    eprintln!(
        "plan: {} visits; at most {} PUTs ({} MB), {} GETs ({} MB), {} HEADs, {} LISTs, {} DELETEs, in about {} s",
        plan.visits(),
        worst.puts,
        worst.put_bytes / 1_000_000,
        worst.gets,
        worst.get_bytes / 1_000_000,
        worst.heads,
        worst.lists,
        worst.deletes,
        args.max_time.as_secs()
    );
    let Some(prices) = &billing.prices else { return eprintln!("a local directory: costs nothing") };
    let transfer = match billing.reader {
        Reader::Outside => "transfer out of the region included (--in-region: there is none)",
        Reader::InRegion => "no transfer, since --in-region was given",
    };
    eprintln!(
        "worst case ${:.4} of at most ${} ({}; {transfer}; with {} LISTs to time connections)",
        study.worst_case(),
        args.max_cost,
        prices.title(),
        reach::REQUESTS
    );
    if plan.scale < 1.0 {
        eprintln!("--max-cost leaves room for {:.0} % of the requests wanted", plan.scale * 100.0);
    }
}

fn file_text(fitted: &Fitted, findings: &Findings, plan: &Plan) -> String {
    let mut text = format!("# Measured by s3b-tuner probe; requests cost ${:.4}.\n", findings.dollars);
    for (said, what) in [
        (findings.interrupted, "interrupted: the rest of the cells is missing"),
        (findings.out_of_time, "out of time (--max-time): some cells have fewer samples than planned, or none"),
        (findings.out_of_money, "the cap (--max-cost) left some visits out"),
        (plan.scale < 1.0, "the cap (--max-cost) made the probe smaller than it should be"),
    ] {
        if said {
            text.push_str(&format!("# {what}.\n"));
        }
    }
    fitted.head.iter().for_each(|line| text.push_str(&format!("# {}\n", line.replace('\n', " "))));
    text.push_str("# Bandwidth of a connection includes our own hashing of what is sent.\n");
    text + &text::write(&fitted.model, &fitted.notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_cannot_be_written_is_printed_and_an_error() {
        let error = format!("{:#}", keep(Path::new("/no/such/directory/m.toml"), "").unwrap_err());
        assert!(error.contains("on stdout") && error.contains("/no/such/directory/m.toml"), "{error}");
    }
}

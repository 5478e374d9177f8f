//! `s3b-tuner cost`: the monthly bill of one configuration over one workload, or of numbers. Sends nothing anywhere.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use s3b_engine::settings::VolumeSettings;

use crate::arguments::{self, Format};
use crate::connection::Connection;
use crate::model::StoreModel;
use crate::outcome::{PriceTable, StoreLedger};
use crate::output;
use crate::prices::{Reader, class_warning, rounds_per_month};
use crate::report::cost::Report;
use crate::simulate::{self, Job, Tape};
use crate::trace_options::TraceOptions;
use crate::workload::Workload;

/// Say what a month costs, line by line, by a dated table of prices
///
/// With a workload: simulates the configuration, and takes it to go on like that round the clock for 730 hours. With
/// numbers (--puts, --gets, ...): those are a month's, and it is plain arithmetic.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Cost {
    /// A recorded trace, a scenario file, or the name of a built-in scenario
    #[arg(value_name = "TRACE|SCENARIO")]
    pub workload: Option<String>,
    /// Print the table of prices, as a file to edit
    #[arg(long, exclusive = true)]
    pub show: bool,
    /// Prices: s3-standard, s3-express, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = "s3-standard")]
    pub prices: String,
    /// The mount runs inside the bucket's region, where downloads are free
    #[arg(long)]
    pub in_region: bool,
    /// Bytes kept in the bucket all the time: 100g
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes)]
    pub stored: Option<u64>,
    /// The store that is simulated: a shipped model's name, or a file of `s3b-tuner probe`
    #[arg(long, value_name = "NAME|FILE", default_value = "s3-standard")]
    pub model: String,
    /// Of the simulation
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub numbers: Numbers,
    #[command(flatten)]
    pub connection: Connection,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub reading: TraceOptions,
}

/// Of a month.
#[derive(Args)]
pub struct Numbers {
    /// PUT requests a month
    #[arg(long, value_name = "N", conflicts_with = "workload")]
    pub puts: Option<u64>,
    /// GET and HEAD requests a month
    #[arg(long, value_name = "N", conflicts_with = "workload")]
    pub gets: Option<u64>,
    /// LIST requests a month
    #[arg(long, value_name = "N", conflicts_with = "workload")]
    pub lists: Option<u64>,
    /// Bytes uploaded a month
    #[arg(long, value_name = "SIZE", conflicts_with = "workload", value_parser = arguments::bytes)]
    pub uploaded: Option<u64>,
    /// Bytes downloaded a month
    #[arg(long, value_name = "SIZE", conflicts_with = "workload", value_parser = arguments::bytes)]
    pub downloaded: Option<u64>,
}

impl Numbers {
    fn are_given(&self) -> bool {
        [self.puts, self.gets, self.lists, self.uploaded, self.downloaded].iter().any(Option::is_some)
    }

    fn store(&self) -> StoreLedger {
        StoreLedger {
            puts: self.puts.unwrap_or(0),
            gets: self.gets.unwrap_or(0),
            lists: self.lists.unwrap_or(0),
            put_bytes: self.uploaded.unwrap_or(0),
            get_bytes: self.downloaded.unwrap_or(0),
            ..StoreLedger::default()
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner cost --show > prices.toml
  s3b-tuner cost oltp --config s3b.toml --stored 100g
  s3b-tuner cost vm.vscsi.zst --config s3b.toml --prices prices.toml --in-region --format json
  s3b-tuner cost --puts 5000000 --gets 800000 --downloaded 50g --stored 1t

Where the mount runs is not known, so transfer out of the region is counted unless --in-region says otherwise.
Exit code: 0 done, 1 error, 2 wrong usage.";

/// # Errors
/// A workload, settings, model or prices that are wrong, with the place in them.
pub async fn cost(args: &Cost) -> Result<ExitCode> {
    if args.show {
        output::print(PriceTable::example())?;
        return Ok(ExitCode::SUCCESS);
    }
    let prices = PriceTable::load(&args.prices)?;
    let access = args.connection.resolve()?;
    let (subject, store, rounds, seconds) = match &args.workload {
        Some(name) => {
            let workload = Workload::load_with(name, &args.reading.options())?;
            workload.notices.iter().for_each(|notice| eprintln!("{notice}"));
            let job = Job {
                store: Some(Arc::new(StoreModel::named(&args.model)?)),
                seed: args.seed,
                ..Job::new(access.settings.clone(), Arc::new(Tape::of(workload)?))
            };
            let simulated = simulate::run(&job)?;
            if let Some(failure) = &simulated.measured.first_failure {
                bail!("{name}: {} operations failed, so there is no bill: {failure}", simulated.measured.failures());
            }
            let seconds = simulated.measured.elapsed.as_secs_f64();
            (Some(job.tape.title.clone()), simulated.ledger.store, rounds_per_month(seconds), Some(seconds))
        }
        None if args.numbers.are_given() || args.stored.is_some() => (None, args.numbers.store(), 1.0, None),
        None => bail!("of what? Name a workload (cost oltp --config s3b.toml) or numbers (cost --puts 1000000)"),
    };
    let reader = if args.in_region { Reader::InRegion } else { Reader::Outside };
    let bill = prices.bill(&store, rounds, args.stored.unwrap_or(0) as f64, reader);
    let settings = &access.settings;
    let block_size = settings.volume.block_size.unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
    let class = settings.s3.storage_class.as_deref().unwrap_or("STANDARD");
    let warning = class_warning(class, block_size, Some(store.puts as f64 * rounds));
    let report = Report {
        schema: Report::SCHEMA,
        workload: subject.as_deref(),
        simulated_seconds: seconds,
        rounds_per_month: rounds,
        block_size: subject.is_some().then_some(block_size),
        in_region: args.in_region,
        stored_bytes: args.stored,
        store: &store,
        dollars_per_month: bill,
        total_dollars_per_month: bill.total(),
        prices: &prices,
        warnings: warning.into_iter().collect(),
    };
    let text = match args.format {
        Format::Text => report.text(),
        Format::Json => report.json()?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

//! The result of one replay.

use std::time::Duration;

use s3b_scenarios::OpKind;
use serde::Serialize;

use super::numbers::{count, digits, dollars, mib, time};
use super::table::Table;
use crate::measure::{Durations, KindMeasured, LATE, Measured, P99_SAMPLES};
use crate::outcome::{PriceTable, StoreLedger};
use crate::prices::Reader;
use crate::run::RunResult;

/// Marks the form of the JSON; a changed meaning gets a new number.
const SCHEMA: &str = "s3b-tuner.replay/1";

/// What was replayed, on what.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    pub workload: String,
    pub store: String,
    pub pace: String,
    /// By intended starts, so that lag means something.
    pub scheduled: bool,
    pub block_size: u64,
    pub size: u64,
    pub threads: u32,
    pub write_delay_ms: u64,
    pub prefilled_blocks: u64,
    pub skipped_records: u64,
    pub times_mended: u64,
    /// Of how a trace was recorded.
    pub notices: Vec<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    subject: &'a Subject,
    complete: bool,
    elapsed_s: f64,
    drain_s: f64,
    bytes_per_s: f64,
    operations: Vec<JsonKind>,
    lag_us: JsonDurations,
    late: u64,
    failures: u64,
    first_failure: Option<&'a str>,
    requests: StoreLedger,
    /// Without storage and transfer out of the region.
    dollars: f64,
    prices: String,
}

#[derive(Serialize)]
struct JsonKind {
    kind: &'static str,
    count: u64,
    bytes: u64,
    failed: u64,
    latency_us: JsonDurations,
    service_us: JsonDurations,
}

/// Microseconds.
#[derive(Serialize)]
pub struct JsonDurations {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl From<&Durations> for JsonDurations {
    fn from(durations: &Durations) -> Self {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        let at = |percent| us(durations.percentile(percent));
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), p999: at(99.9), max: us(durations.longest()) }
    }
}

pub fn json(subject: &Subject, result: &RunResult) -> anyhow::Result<String> {
    let measured = &result.measured;
    let operations = kinds(measured)
        .map(|(kind, one)| JsonKind {
            kind: kind.name(),
            count: one.ops,
            bytes: one.bytes,
            failed: one.failed,
            latency_us: (&one.latency).into(),
            service_us: (&one.service).into(),
        })
        .collect();
    let json = Json {
        schema: SCHEMA,
        subject,
        complete: !measured.interrupted,
        elapsed_s: measured.elapsed.as_secs_f64(),
        drain_s: measured.drain.as_secs_f64(),
        bytes_per_s: measured.throughput(),
        operations,
        lag_us: (&measured.lag).into(),
        late: measured.late,
        failures: measured.failures(),
        first_failure: measured.first_failure.as_deref(),
        requests: result.requests,
        dollars: PriceTable::standard().dollars(&result.requests, Reader::InRegion),
        prices: PriceTable::standard().title(),
    };
    Ok(serde_json::to_string_pretty(&json)? + "\n")
}

pub fn text(subject: &Subject, result: &RunResult) -> String {
    let measured = &result.measured;
    let mut out = format!(
        "{} on {}\n{} at a block size of {} bytes, {} threads, write delay {} ms; {} blocks were put in place before\n",
        subject.workload,
        subject.store,
        subject.pace,
        subject.block_size,
        subject.threads,
        subject.write_delay_ms,
        count(subject.prefilled_blocks),
    );
    if measured.interrupted {
        out.push_str("INTERRUPTED: what follows covers the operations that had started\n");
    }
    out.push('\n');
    out.push_str(&operations(measured));
    out.push_str(&format!(
        "\n{} MiB/s over {}, of which {} in the final flush\n",
        digits(measured.throughput() / f64::from(1 << 20)),
        time(measured.elapsed),
        time(measured.drain)
    ));
    if subject.scheduled {
        out.push_str(&lag(measured));
    }
    let (requests, prices) = (&result.requests, PriceTable::standard());
    out.push_str(&format!(
        "requests: {} PUT ({} MiB), {} GET ({} MiB), {} HEAD, {} LIST, {} DELETE; {} at prices of {}\n",
        count(requests.puts),
        mib(requests.put_bytes),
        count(requests.gets),
        mib(requests.get_bytes),
        requests.heads,
        requests.lists,
        requests.deletes,
        dollars(prices.dollars(requests, Reader::InRegion)),
        prices.title()
    ));
    if subject.skipped_records + subject.times_mended > 0 {
        let (skipped, mended) = (subject.skipped_records, subject.times_mended);
        out.push_str(&format!("trace: {skipped} records ask for no data, {mended} times ran backwards\n"));
    }
    subject.notices.iter().for_each(|notice| out.push_str(&format!("trace: {notice}\n")));
    if let Some(failure) = &measured.first_failure {
        out.push_str(&format!("FAILED: {} operations, the first: {failure}\n", count(measured.failures())));
    }
    out
}

fn lag(measured: &Measured) -> String {
    format!(
        "lag behind the intended start: p50 {}, p99 {}, longest {}; {} of {} operations late (more than {})\n",
        time(measured.lag.percentile(50.0)),
        time(measured.lag.percentile(99.0)),
        time(measured.lag.longest()),
        count(measured.late),
        count(measured.lag.count()),
        time(LATE)
    )
}

/// Latency from the intended start, and beside it service time.
fn operations(measured: &Measured) -> String {
    let head = ["", "count", "MiB", "p50", "p90", "p99", "p99.9", "max", "service p50", "service p99"];
    let mut table = Table::new(&head);
    let mut few = false;
    for (kind, one) in kinds(measured) {
        let at = |percent| time(one.latency.percentile(percent));
        let mark = if one.latency.count() < P99_SAMPLES { "~" } else { "" };
        few |= !mark.is_empty();
        table.row(vec![
            kind.name().into(),
            count(one.ops),
            mib(one.bytes),
            at(50.0),
            at(90.0),
            at(99.0) + mark,
            at(99.9) + mark,
            time(one.latency.longest()),
            time(one.service.percentile(50.0)),
            time(one.service.percentile(99.0)) + mark,
        ]);
    }
    let note = if few { "~ fewer than 299 samples: close to the largest seen\n" } else { "" };
    table.render() + note
}

fn kinds(measured: &Measured) -> impl Iterator<Item = (OpKind, &KindMeasured)> {
    let kinds = OpKind::ALL.into_iter().map(|kind| (kind, measured.kind(kind)));
    kinds.filter(|(_, one)| one.ops + one.failed > 0)
}

//! What a workload is like, for people and programs.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::analysis::coalescing::Stores;
use crate::analysis::curve::MissRatioCurve;
use crate::analysis::fingerprint::{Fingerprint, Requests};
use crate::analysis::windows::Selection;

use super::mrc;
use super::numbers::{bytes, clock, count, digits, percent, size, time};
use super::sections::{self, Section};
use super::table::Table;

#[derive(Serialize)]
pub struct Report<'a> {
    pub schema: &'static str,
    pub workload: &'a str,
    pub fingerprint: &'a Fingerprint,
    pub curves: &'a [MissRatioCurve],
    pub windows: &'a Selection,
    /// Records that were left out because they ask for no data, and times that were mended.
    pub skipped_records: u64,
    pub times_mended: u64,
    /// Of how a trace was recorded.
    pub notices: &'a [String],
}

/// Cache sizes shown here; `mrc` shows all.
const CACHES_SHOWN: usize = 8;

impl Report<'_> {
    pub const SCHEMA: &'static str = "s3b-inspect/1";

    fn sections(&self) -> Vec<Section> {
        let found = self.fingerprint;
        let mut mix = requests(&found.requests);
        if self.skipped_records > 0 {
            mix.notes.push(format!("{} records that ask for no data were left out", count(self.skipped_records)));
        }
        if self.times_mended > 0 {
            mix.notes
                .push(format!("{} times lay before their predecessor's and were mended", count(self.times_mended)));
        }
        mix.notes.extend(self.notices.iter().cloned());
        let mut sections = vec![mix];
        sections.extend(sizes(&found.requests));
        sections.push(character(found));
        sections.extend(stores(found));
        let mut misses = mrc::all(self.curves, CACHES_SHOWN);
        misses.notes.extend(mrc::sampling(self.curves));
        sections.push(misses);
        sections.push(windows(self.windows));
        sections
    }

    fn head(&self) -> String {
        let found = self.fingerprint;
        let requests: u64 = found.requests.iter().map(|one| one.count).sum();
        let moved: u64 = found.requests.iter().filter(|one| one.kind != "discard").map(|one| one.bytes).sum();
        let (requests, moved, took) = (count(requests), bytes(moved), clock(found.duration_s));
        format!("{}: {requests} requests, {moved} moved, in {took}", self.workload)
    }

    pub fn text(&self) -> String {
        sections::text(&self.head(), &self.sections())
    }

    pub fn markdown(&self) -> String {
        sections::markdown(&self.head(), &self.sections())
    }

    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// # Errors
    /// None that is known.
    pub fn csv(&self) -> Result<String> {
        Ok(sections::csv(&serde_json::to_value(self)?))
    }
}

fn requests(all: &[Requests]) -> Section {
    let mut table = Table::new(&["", "count", "share", "bytes", "mean size", "p50", "p95", "largest"]);
    for one in all {
        let mut row = vec![one.kind.to_owned(), count(one.count), percent(one.share)];
        if one.bytes > 0 {
            row.extend([one.bytes, one.size_mean, one.size_p50, one.size_p95, one.size_max].map(bytes));
        }
        table.row(row);
    }
    Section { table: Some(table), ..Section::new("Requests") }
}

/// In percent of each kind, by upper size; sizes from 512 bytes to 8 MiB have a column if any request has it.
fn sizes(all: &[Requests]) -> Option<Section> {
    let with_data = || all.iter().filter(|one| one.bytes > 0);
    let mut uppers: Vec<u64> = with_data().flat_map(|one| one.sizes.iter().map(|(upper, _)| *upper)).collect();
    uppers.sort_unstable();
    uppers.dedup();
    let (first, last) = (*uppers.first()?, *uppers.last()?);
    // Without gaps; beyond some width, only those that occur.
    let columns: Vec<u64> = (first.ilog2()..=last.ilog2()).map(|power| 1 << power).collect();
    let columns = if columns.len() <= 14 { columns } else { uppers };
    let names: Vec<String> = columns.iter().map(|upper| size(*upper)).collect();
    let head: Vec<&str> = std::iter::once("up to").chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for one in with_data() {
        let cell = |upper: &u64| match one.sizes.iter().find(|(known, _)| known == upper) {
            Some((_, found)) => rounded(*found as f64 / one.count as f64),
            None => "·".into(),
        };
        table.row(std::iter::once(one.kind.to_owned()).chain(columns.iter().map(cell)).collect());
    }
    Some(Section { table: Some(table), ..Section::new("Sizes, in percent of each kind") })
}

fn rounded(share: f64) -> String {
    let percent = (share * 100.0).round();
    if percent == 0.0 { "<1".into() } else { format!("{percent:.0}") }
}

fn character(found: &Fingerprint) -> Section {
    let lines = lines(found);
    let width = lines.iter().map(|[label, _]| label.chars().count()).max().unwrap_or(0);
    let lead = lines.iter().map(|[label, value]| format!("{label:<width$}  {value}")).collect();
    Section { lead, ..Section::new("Character") }
}

/// Label and value of what characterises a workload, for people.
pub fn lines(found: &Fingerprint) -> Vec<[String; 2]> {
    let (rates, set, sequential, reuse) = (&found.rates, &found.working_set, &found.sequential, &found.reuse);
    let gap = |ns: u64| time(Duration::from_nanos(ns));
    let about = if set.sampling_rate < 1.0 { "about " } else { "" };
    let mut lines = vec![
        [
            "rate".to_owned(),
            format!(
                "{} requests/s and {}/s on average; at most {}/s (at {}) and {}/s",
                digits(rates.ops_per_s),
                bytes(rates.bytes_per_s as u64),
                count(rates.peak_ops_per_s),
                clock(rates.peak_at_s as f64),
                bytes(rates.peak_bytes_per_s)
            ),
        ],
        [
            "arrivals".into(),
            format!(
                "{}: gaps vary by {} of their mean (random arrivals: 1); busy in {} of the seconds",
                burstiness(rates.gap_variation),
                digits(rates.gap_variation),
                percent(rates.busy_seconds)
            ),
        ],
        [
            "gaps".into(),
            format!(
                "half below {}, 1 % above {}, longest {}",
                gap(rates.gap_p50_ns),
                gap(rates.gap_p99_ns),
                gap(rates.longest_gap_ns)
            ),
        ],
        [
            "working set".into(),
            format!(
                "{about}{} ({} read, {} written), spread over {}",
                bytes(set.bytes),
                bytes(set.read_bytes),
                bytes(set.written_bytes),
                bytes(set.span_bytes)
            ),
        ],
        [
            "sequential".into(),
            format!(
                "{} right behind the request before; {} of reads and {} of writes within streams, {} a run",
                percent(sequential.strict),
                percent(sequential.reads_in_streams),
                percent(sequential.writes_in_streams),
                bytes(sequential.run_bytes_mean)
            ),
        ],
        ["reuse".into(), reused(reuse.accesses, reuse.distance_p50_bytes, reuse.distance_p95_bytes)],
    ];
    lines.push(["flushes".into(), flushes(found)]);
    if found.page_aligned < 1.0 {
        lines.push(["alignment".into(), format!("{} of requests lie on 4 KiB borders", percent(found.page_aligned))]);
    }
    lines
}

fn burstiness(variation: f64) -> &'static str {
    match variation {
        _ if variation < 0.5 => "regular",
        _ if variation < 1.5 => "random",
        _ => "bursty",
    }
}

fn reused(share: f64, half: Option<u64>, most: Option<u64>) -> String {
    match (half, most) {
        (Some(half), Some(most)) => format!(
            "{} of page accesses are to pages touched before; half of these within {} of other data, 95 % within {}",
            percent(share),
            bytes(half),
            bytes(most)
        ),
        _ => "no page is touched twice".into(),
    }
}

fn flushes(found: &Fingerprint) -> String {
    let flushes = &found.flushes;
    if flushes.count == 0 {
        return "none".into();
    }
    format!(
        "{}, {}/s; between two of them {} writes and {} in the median, {} and {} at the 95th percentile",
        count(flushes.count),
        digits(flushes.per_s),
        flushes.writes_between_p50,
        bytes(flushes.bytes_between_p50),
        flushes.writes_between_p95,
        bytes(flushes.bytes_between_p95)
    )
}

/// What a write delay saves, for each block size.
fn stores(found: &Fingerprint) -> Option<Section> {
    let first = found.stores.first().filter(|one| one.block_writes > 0)?;
    let flushed = found.stores.iter().any(|one| one.stores_with_flushes != one.stores);
    let delays: Vec<&Stores> = found.stores.iter().filter(|one| one.block_size == first.block_size).collect();
    let names: Vec<String> = delays.iter().map(|one| delay(one.write_delay_ms)).collect();
    let head: Vec<&str> = ["blocks", "writes"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&[&head[..], &["most dirty at 5 s"]].concat());
    for of_size in found.stores.chunk_by(|one, other| one.block_size == other.block_size) {
        let mut row = vec![size(of_size[0].block_size), count(of_size[0].block_writes)];
        row.extend(of_size.iter().map(|one| count(one.stores)));
        row.extend(of_size.iter().filter(|one| one.write_delay_ms == 5000).map(|one| bytes(one.dirty_bytes_peak)));
        table.row(row);
        if flushed {
            let mut row = vec!["  with flushes".to_owned(), String::new()];
            row.extend(of_size.iter().map(|one| count(one.stores_with_flushes)));
            let five = of_size.iter().filter(|one| one.write_delay_ms == 5000);
            row.extend(five.map(|one| bytes(one.dirty_bytes_peak_with_flushes)));
            table.row(row);
        }
    }
    let note = if flushed {
        "Each is a PUT at least once; with flushes: every flush stores all that is dirty, whatever the delay."
    } else {
        "Each is a PUT, if the cache never fills up."
    };
    Some(Section {
        table: Some(table),
        notes: vec![note.into()],
        ..Section::new("Blocks stored, by block size and write delay")
    })
}

fn delay(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

fn windows(selection: &Selection) -> Section {
    let mut section = Section::new("Windows that stand for the whole in a real run");
    let mut table = Table::new(&["from", "to", "requests", "share of time", "share of requests"]);
    let at = |ns: u64| clock(ns as f64 / 1e9);
    for one in &selection.windows {
        let shares = [one.weight_time, one.weight_ops].map(percent);
        table.row([at(one.start_ns), at(one.end_ns), count(one.ops)].into_iter().chain(shares).collect());
    }
    section.table = Some(table);
    let idle =
        if selection.idle > 0.0 { format!("; idle {} of the time", percent(selection.idle)) } else { String::new() };
    let error = match selection.worst_error {
        error if error < 0.0005 => "weighted, they add up to the whole".into(),
        error => {
            format!("weighted, they differ from the whole by at most {}, in {}", percent(error), selection.worst_in)
        }
    };
    section.notes = vec![format!("{} to run{idle}; {error}", at(selection.run_ns()))];
    section
}

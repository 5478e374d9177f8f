//! Each workload: what it is like, what an LRU cache would miss, how long reads and flushes took.

use super::markup::{absent, escape, figure, legend, section, table};
use super::plot::Plot;
use super::scale::{Scale, Unit};
use crate::outcome::{Figures, KindFigures, Outcome, WorkloadInfo, WorkloadSource};
use crate::report::columns::{ms, runs};
use crate::report::numbers::{bytes, clock, count, percent, size};

/// Colours of an ordered series.
const ORDERED: [&str; 8] = ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"];

pub fn fingerprints(outcome: &Outcome) -> String {
    let all: String = outcome.workloads.iter().map(fingerprint).collect();
    let lead = "What was run; what the answer is an answer to.";
    let body = if all.is_empty() { absent("No workload was given.") } else { all };
    section("workloads", "Workloads", lead, &body)
}

fn fingerprint(one: &WorkloadInfo) -> String {
    let source = match one.source {
        WorkloadSource::Trace => "trace",
        WorkloadSource::Scenario => "scenario",
    };
    let assumed = if one.content_assumed { " (assumed: a trace has no content)" } else { "" };
    let mut rows = vec![
        vec![
            "operations".to_owned(),
            format!("{}, {} moved, {}", count(one.ops), bytes(one.bytes), clock(one.seconds)),
        ],
        vec!["weight in the score".into(), percent(one.weight)],
        vec![
            "content".into(),
            format!("shrinks {:.2} times, {} of it zero{assumed}", one.compressibility, percent(one.zero_share)),
        ],
    ];
    if !one.windows.is_empty() {
        let windows: Vec<String> = one
            .windows
            .iter()
            .map(|w| format!("{} to {} for {}", clock(w.start_s), clock(w.end_s), percent(w.weight)))
            .collect();
        rows.push(vec!["windows that ran".into(), windows.join("; ")]);
    }
    rows.extend(one.fingerprint.iter().map(|[label, value]| vec![label.clone(), value.clone()]));
    let rows: String =
        rows.iter().map(|row| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&row[0]), escape(&row[1]))).collect();
    format!(
        "<h3>{} <small>{source}</small></h3><p>{}</p><dl class=\"facts\">{rows}</dl>",
        escape(&one.name),
        escape(&one.title)
    )
}

pub fn misses(outcome: &Outcome) -> String {
    let memory = outcome.answer.as_ref().map(|answer| outcome.configurations[answer.recommended].summary.memory_bytes);
    let all: String = outcome.workloads.iter().filter_map(|one| curves(one, memory)).collect();
    let lead = "Share of block accesses that an LRU cache of a size would miss; a line for each block size.";
    let body = if all.is_empty() {
        absent("No miss-ratio curves were computed.")
    } else {
        format!("<div class=\"charts\">{all}</div>")
    };
    section("misses", "Cache size", lead, &body)
}

fn curves(one: &WorkloadInfo, memory: Option<u64>) -> Option<String> {
    let all = &one.miss_ratio_curves;
    let sizes = all.iter().flat_map(|curve| curve.points.iter().map(|point| point[0]));
    sizes.clone().next()?;
    let x = Scale::fitting(sizes, Unit::Bytes);
    let name = format!("Miss ratio by cache size of {}", one.name);
    let mut plot = Plot::new(&name, (440.0, 300.0), (x, "cache size"), (Scale::share(1.0), "miss ratio"));
    if let Some(memory) = memory.map(|bytes| bytes as f64).filter(|bytes| (x.low..=x.high).contains(bytes)) {
        plot.line(&[(memory, 0.0), (memory, 1.0)], "diagonal", &format!("recommended: {}", bytes(memory as u64)));
    }
    let class = |n: usize| ORDERED[n * ORDERED.len() / all.len()];
    for (n, curve) in all.iter().enumerate() {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|point| (point[0], point[1])).collect();
        plot.line(&points, class(n), &format!("blocks of {}", size(curve.block_size)));
        // Few enough to point at.
        for (cache, ratio) in points.iter().step_by((points.len() / 12).max(1)) {
            let tip =
                format!("blocks of {}, cache of {}: {}", size(curve.block_size), bytes(*cache as u64), percent(*ratio));
            plot.dot((*cache, *ratio), 2.2, &format!("mark {}", class(n)), &tip);
        }
    }
    let keys = all.iter().enumerate().map(|(n, curve)| (class(n), size(curve.block_size)));
    Some(figure(&one.name, &plot.finish(), &legend(keys)))
}

pub fn latencies(outcome: &Outcome) -> String {
    let lead = "From the intended start, not from when there was time: what a user feels. Solid: recommended; dashed: default.";
    let Some(answer) = &outcome.answer else {
        return section("latency", "Latency", lead, &absent("Without an answer there is nothing to compare."));
    };
    let ours = runs(outcome, answer.recommended);
    let theirs = answer.default.filter(|n| *n != answer.recommended && *n < outcome.configurations.len());
    let theirs = theirs.map_or(&[][..], |n| runs(outcome, n));
    let charts: String = outcome
        .workloads
        .iter()
        .enumerate()
        .filter_map(|(n, one)| distribution(&one.name, ours.get(n)?, theirs.get(n)))
        .collect();
    let charts = if charts.is_empty() {
        absent("No distribution of latencies was kept.")
    } else {
        format!("<div class=\"charts\">{charts}</div>")
    };
    section("latency", "Latency", lead, &(charts + &percentiles(outcome, ours)))
}

/// Name, colour, and where its figures are.
type Kind = (&'static str, &'static str, fn(&Figures) -> &KindFigures);

fn distribution(name: &str, ours: &Figures, theirs: Option<&Figures>) -> Option<String> {
    let kinds: [Kind; 2] = [("read", "s1", |one| &one.read), ("flush", "s2", |one| &one.flush)];
    let both = || std::iter::once(("recommended", "", ours)).chain(theirs.map(|one| ("default", " dashed", one)));
    let times = both()
        .flat_map(|(_, _, one)| kinds.iter().flat_map(move |(_, _, kind)| kind(one).latency.cdf.iter().map(|p| p[0])));
    let times: Vec<f64> = times.collect();
    if times.is_empty() {
        return None;
    }
    let label = format!("Latency distribution of {name}");
    let x = Scale::fitting(times, Unit::Milliseconds);
    let mut plot = Plot::new(&label, (440.0, 300.0), (x, "latency"), (Scale::share(1.0), "share not above"));
    for (role, dashed, one) in both() {
        for (kind, class, of) in &kinds {
            let latency = &of(one).latency;
            let points: Vec<(f64, f64)> = latency.cdf.iter().map(|point| (point[0], point[1])).collect();
            let tip = format!(
                "{kind}, {role}: p50 {}, p90 {}, p99 {}",
                ms(latency.p50_ms),
                ms(latency.p90_ms),
                ms(latency.p99_ms)
            );
            plot.line(&points, &format!("{class}{dashed}"), &tip);
            if dashed.is_empty() && latency.count > 0 {
                for (share, at) in [(0.5, latency.p50_ms), (0.9, latency.p90_ms), (0.99, latency.p99_ms)] {
                    plot.dot(
                        (at, share),
                        3.0,
                        &format!("mark {class}"),
                        &format!("{kind} p{:.0}: {}", share * 100.0, ms(at)),
                    );
                }
            }
        }
    }
    Some(figure(name, &plot.finish(), &legend([("s1", "read".to_owned()), ("s2", "flush".to_owned())])))
}

/// Of the recommended configuration.
fn percentiles(outcome: &Outcome, ours: &[Figures]) -> String {
    let head = ["recommended", "count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let mut rows = Vec::new();
    for (workload, run) in outcome.workloads.iter().zip(ours) {
        rows.push(vec![workload.name.clone()]);
        for (name, kind) in
            [("read", &run.read), ("write", &run.write), ("flush", &run.flush), ("discard", &run.discard)]
        {
            let one = &kind.latency;
            if one.count > 0 {
                let times = [one.p50_ms, one.p90_ms, one.p99_ms, one.p999_ms, one.max_ms].map(ms);
                rows.push([name.to_owned(), count(one.count)].into_iter().chain(times).collect());
            }
        }
    }
    table("Latencies of the recommended configuration", &head, &rows)
}

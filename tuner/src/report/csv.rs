//! A sweep's outcome as CSV: a row for each configuration and workload, simulated and measured apart.

use super::sections::csv_text;
use crate::outcome::{Configuration, Figures, KindFigures, Outcome};

/// Behind the axes.
const FIGURES: &str = "workload,run,runs,seconds,drain_s,read_ops,read_bytes,read_p50_ms,read_p90_ms,read_p99_ms,read_max_ms,\
write_ops,write_bytes,write_p50_ms,write_p90_ms,write_p99_ms,write_max_ms,flush_ops,flush_p50_ms,flush_p90_ms,flush_p99_ms,\
flush_max_ms,lag_p99_ms,late,skipped,failed,hit_ratio,gets,heads,puts,lists,deletes,get_bytes,put_bytes,header_bytes,retries,\
throttled,merge_reads,read_ahead,coalesced,at_risk_bytes";
/// Of the configuration, the same on each of its rows.
const SUMMARY: &str = "recommended,score,dollars_per_month,memory_bytes,breaks";

/// With a head line. Percentiles are milliseconds from the intended start, and empty without samples.
pub fn render(outcome: &Outcome) -> String {
    let axes: String = outcome.axes.iter().map(|axis| format!("{},", text(&axis.name))).collect();
    let mut out = format!("configuration,{axes}{FIGURES},{SUMMARY}\n");
    for (n, one) in outcome.configurations.iter().enumerate() {
        let recommended = outcome.answer.as_ref().is_some_and(|answer| answer.recommended == n);
        for (run, all) in [("simulated", &one.simulated), ("measured", &one.measured)] {
            for (figures, workload) in all.iter().zip(&outcome.workloads) {
                let mut row = vec![n.to_string()];
                row.extend(one.values.iter().map(|value| text(value)));
                row.extend([text(&workload.name), run.to_owned()]);
                row.extend(cells(figures));
                row.extend(summary(one, recommended));
                out.push_str(&row.join(","));
                out.push('\n');
            }
        }
    }
    out
}

fn cells(figures: &Figures) -> Vec<String> {
    let (cache, store) = (&figures.ledger.cache, &figures.ledger.store);
    let mut row = vec![figures.runs.to_string(), figures.seconds.to_string(), figures.drain_seconds.to_string()];
    for (kind, bytes) in [(&figures.read, true), (&figures.write, true), (&figures.flush, false)] {
        row.push(kind.ops.to_string());
        if bytes {
            row.push(kind.bytes.to_string());
        }
        row.extend(latency(kind));
    }
    let failed: u64 =
        [&figures.read, &figures.write, &figures.flush, &figures.discard].iter().map(|kind| kind.failed).sum();
    row.extend([figures.lag_p99_ms.to_string(), figures.late.to_string(), figures.skipped.to_string()]);
    let reads = cache.read_hits + cache.read_misses;
    let hits = if reads == 0 { String::new() } else { (cache.read_hits as f64 / reads as f64).to_string() };
    row.extend([failed.to_string(), hits]);
    let counts = [
        store.gets,
        store.heads,
        store.puts,
        store.lists,
        store.deletes,
        store.get_bytes,
        store.put_bytes,
        store.header_bytes,
        store.retries,
        store.throttled,
        cache.merge_reads,
        cache.read_ahead,
        cache.coalesced,
        figures.at_risk_bytes,
    ];
    row.extend(counts.map(|count| count.to_string()));
    row
}

fn latency(kind: &KindFigures) -> [String; 4] {
    let one = &kind.latency;
    let shown = |ms: f64| if one.count == 0 { String::new() } else { ms.to_string() };
    [one.p50_ms, one.p90_ms, one.p99_ms, one.max_ms].map(shown)
}

fn summary(one: &Configuration, recommended: bool) -> Vec<String> {
    let summary = &one.summary;
    vec![
        recommended.to_string(),
        if summary.score.is_finite() { summary.score.to_string() } else { String::new() },
        summary.dollars_per_month.to_string(),
        summary.memory_bytes.to_string(),
        text(&one.breaks.join("; ")),
    ]
}

/// A spreadsheet takes text that begins like a formula for one.
fn text(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']) && value.parse::<f64>().is_err();
    csv_text(&if formula { format!("'{value}") } else { value.to_owned() })
}

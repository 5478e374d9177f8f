//! The answer as one table: which configurations stand in it, and which figures are told of each. The terminal, the
//! Markdown comment and the page show the same cells. Knows nothing of how they are drawn.

use std::time::Duration;

use super::numbers::{bytes, digits, dollars, percent, time};
use crate::answer::goal::P99_SAMPLES;
use crate::outcome::{Figures, Outcome, Summary};

/// One configuration in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Why it is there: `recommended`, `as good`, `cheapest`, `safest`, `default`. Several where one is all of them.
    pub roles: Vec<&'static str>,
    /// Index.
    pub configuration: usize,
}

impl Column {
    pub fn head(&self) -> String {
        self.roles.join(", ")
    }
}

/// In the order they are shown: what to take first, what to compare it with last. Empty without an answer.
pub fn columns(outcome: &Outcome) -> Vec<Column> {
    let Some(answer) = &outcome.answer else { return Vec::new() };
    let next_tied = answer.tied.iter().copied().find(|n| *n != answer.recommended);
    let wanted = [
        ("recommended", Some(answer.recommended)),
        ("as good", next_tied),
        ("cheapest", Some(answer.cheapest)),
        ("safest", Some(answer.safest)),
        ("default", answer.default),
    ];
    let mut columns: Vec<Column> = Vec::new();
    for (role, configuration) in wanted {
        let Some(configuration) = configuration.filter(|n| *n < outcome.configurations.len()) else { continue };
        match columns.iter_mut().find(|column| column.configuration == configuration) {
            Some(column) => column.roles.push(role),
            None => columns.push(Column { roles: vec![role], configuration }),
        }
    }
    columns
}

/// One figure of a summary.
pub struct Row {
    pub label: &'static str,
    /// As a person reads it; `-` where there is none.
    pub show: fn(&Summary) -> String,
    /// To compare with; `None` where there is none.
    pub value: fn(&Summary) -> Option<f64>,
    /// Whether more of it is better.
    pub more_is_better: bool,
}

/// What is told of every configuration, in order.
pub const ROWS: [Row; 11] = [
    Row {
        label: "throughput",
        show: |one| format!("{}/s", bytes(one.bytes_per_s as u64)),
        value: |one| Some(one.bytes_per_s),
        more_is_better: true,
    },
    Row {
        label: "read p50",
        show: |one| shown(one.read_p50_ms, ms),
        value: |one| one.read_p50_ms,
        more_is_better: false,
    },
    Row {
        label: "read p99",
        show: |one| shown(one.read_p99_ms, ms),
        value: |one| one.read_p99_ms,
        more_is_better: false,
    },
    Row {
        label: "flush p50",
        show: |one| shown(one.flush_p50_ms, ms),
        value: |one| one.flush_p50_ms,
        more_is_better: false,
    },
    Row {
        label: "flush p99",
        show: |one| shown(one.flush_p99_ms, ms),
        value: |one| one.flush_p99_ms,
        more_is_better: false,
    },
    Row {
        label: "hit ratio",
        show: |one| shown(one.hit_ratio, percent),
        value: |one| one.hit_ratio,
        more_is_better: true,
    },
    Row {
        label: "PUT per GiB",
        show: |one| shown(one.puts_per_gib, whole),
        value: |one| one.puts_per_gib,
        more_is_better: false,
    },
    Row {
        label: "$ per month",
        show: |one| monthly(one.dollars_per_month),
        value: |one| Some(one.dollars_per_month),
        more_is_better: false,
    },
    Row {
        label: "bytes at risk",
        show: |one| bytes(one.at_risk_bytes),
        value: |one| Some(one.at_risk_bytes as f64),
        more_is_better: false,
    },
    Row {
        label: "cache memory",
        show: |one| bytes(one.memory_bytes),
        value: |one| Some(one.memory_bytes as f64),
        more_is_better: false,
    },
    Row { label: "score", show: |one| score(one.score), value: |one| Some(one.score), more_is_better: false },
];

fn shown(value: Option<f64>, show: fn(f64) -> String) -> String {
    value.map_or_else(|| "-".into(), show)
}

/// Why a median stands above a tail, where one of those shown does: each is that of the workload where it is worst, and
/// not every workload has a tail.
pub fn medians_above_tails(outcome: &Outcome, shown: &[&Column]) -> Option<String> {
    let above = |p50_ms: Option<f64>, p99_ms: Option<f64>| p50_ms.zip(p99_ms).is_some_and(|(p50, p99)| p50 > p99);
    let mut summaries = shown.iter().map(|column| &outcome.configurations[column.configuration].summary);
    let any = summaries.any(|one| above(one.read_p50_ms, one.read_p99_ms) || above(one.flush_p50_ms, one.flush_p99_ms));
    any.then(|| {
        format!(
            "A p99 exists only for workloads with at least {P99_SAMPLES} operations of the kind; a p50 above it is that of one \
             with fewer."
        )
    })
}

/// Milliseconds; a dash for what is no time.
pub fn ms(value: f64) -> String {
    Duration::try_from_secs_f64(value / 1e3).map_or_else(|_| "-".into(), time)
}

/// Seconds.
pub fn seconds(value: f64) -> String {
    ms(value * 1e3)
}

/// Dollars a month: cents matter below a hundred only.
pub fn monthly(value: f64) -> String {
    if value >= 100.0 { format!("${}", whole(value)) } else { dollars(value) }
}

/// With thousands apart from ten thousand on; three digits below a hundred.
pub fn whole(value: f64) -> String {
    if value < 100.0 { digits(value) } else { super::numbers::count(value.round() as u64) }
}

fn score(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".into() }
}

/// The runs that a configuration's summary rests on: measured where measured, else simulated.
pub fn runs(outcome: &Outcome, configuration: usize) -> &[Figures] {
    outcome.configurations[configuration].runs()
}

/// How one configuration's figures relate to another's, in words: `2.4 times the throughput`, `read p99 61 % lower`.
/// Only what differs by at least 3 %, in the order of [`ROWS`].
pub fn against(ours: &Summary, theirs: &Summary) -> Vec<String> {
    let told = ROWS.iter().filter(|row| !["score", "cache memory", "read p50", "flush p50"].contains(&row.label));
    told.filter_map(|row| {
        let (ours, theirs) = ((row.value)(ours)?, (row.value)(theirs)?);
        if row.label == "hit ratio" {
            let points = (ours - theirs) * 100.0;
            return (points.abs() >= 1.0).then(|| format!("hit ratio {points:+.0} points"));
        }
        ratio(ours, theirs).map(|change| format!("{} {change}", row.label))
    })
    .collect()
}

/// `2.4 times as high`, `61 % lower`, `7 % higher`; `None` for less than 3 % and for what has no ratio.
pub fn ratio(ours: f64, theirs: f64) -> Option<String> {
    let ratio = ours / theirs;
    match ratio {
        _ if !ratio.is_finite() || ratio <= 0.0 => None,
        r if r >= 2.0 => Some(format!("{} times as high", digits(r))),
        r if r >= 1.03 => Some(format!("{:.0} % higher", (r - 1.0) * 100.0)),
        r if r <= 0.005 => Some(format!("{} times lower", whole(1.0 / r))),
        r if r <= 0.97 => Some(format!("{:.0} % lower", (1.0 - r) * 100.0)),
        _ => None,
    }
}

/// Text of others on one line and without anything that a terminal or a page could obey: control characters and
/// invisible marks of direction become spaces.
pub fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_as_people_say_them() {
        let all = [(5.0, 2.0), (1.5, 1.0), (0.4, 1.0), (0.001, 1.0), (1.01, 1.0), (1.0, 0.0), (0.0, 1.0)];
        let told: Vec<String> = all.iter().map(|(a, b)| ratio(*a, *b).unwrap_or_default()).collect();
        assert_eq!(told, ["2.50 times as high", "50 % higher", "60 % lower", "1,000 times lower", "", "", ""]);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(plain("a\x1b[31m\nb\u{202e}c"), "a [31m b c");
    }

    #[test]
    fn what_is_no_time_is_a_dash() {
        assert_eq!([0.0, 12.34, f64::NAN, -1.0, 1e300].map(ms), ["0 ns", "12.3 ms", "-", "-", "-"]);
    }
}

//! A comparison for people and programs.

use super::{Change, Comparison, Judged, Verdict};
use crate::report::columns::{monthly, ms, plain, seconds, whole};
use crate::report::numbers::count;
use crate::report::table::Table;

/// Rows that a person reads; the JSON has all.
const SHOWN: usize = 20;

fn head(one: &Comparison) -> String {
    let number = |judged| one.changes.iter().filter(|change| change.judged == judged).count();
    let [base, new] = one.rounds;
    let what =
        if one.real { format!("figures of real rounds ({base} and {new})") } else { "simulated figures".to_owned() };
    match one.verdict {
        Verdict::NotComparable => "not comparable".to_owned(),
        verdict => format!(
            "{}: of {} {what}, {} worse by more than {}, {} unclear, {} better",
            verdict.name(),
            count(one.compared as u64),
            number(Judged::Worse),
            percent(one.limit),
            number(Judged::Unclear),
            number(Judged::Better)
        ),
    }
}

pub(super) fn percent(share: f64) -> String {
    // A share of 0.05 is not exactly a twentieth.
    format!("{} %", (share * 1e8).round() / 1e6)
}

fn table(one: &Comparison) -> Option<Table> {
    let mut table = Table::new(&["", "configuration", "workload", "metric", "base", "new", "change", "95 % interval"]);
    // What is worse is never crowded out by what is better.
    for change in one.changes.iter().take(SHOWN) {
        table.row(row(change));
    }
    (!one.changes.is_empty()).then_some(table)
}

fn row(one: &Change) -> Vec<String> {
    let show: fn(f64) -> String = match one.metric {
        "seconds" => seconds,
        "dollars" => monthly,
        "puts" | "gets" | "loss" => whole,
        _ => ms,
    };
    let all = |name: &str| if name.is_empty() { "all".to_owned() } else { plain(name) };
    let judged = match one.judged {
        Judged::Better => "better",
        Judged::Same => "same",
        Judged::Worse => "WORSE",
        Judged::Unclear => "unclear",
    };
    let change = one.ratio.map_or_else(|| "from zero".to_owned(), |ratio| format!("{:+.1} %", (ratio - 1.0) * 100.0));
    let [low, high] = one.interval.unwrap_or([f64::NAN; 2]);
    let interval = if low.is_nan() {
        String::new()
    } else {
        format!("{:+.1} to {:+.1} %", (low - 1.0) * 100.0, (high - 1.0) * 100.0)
    };
    vec![
        judged.to_owned(),
        all(&one.configuration),
        all(&one.workload),
        one.metric.to_owned(),
        show(one.base),
        show(one.new),
        change,
        interval,
    ]
}

fn below(one: &Comparison) -> Vec<String> {
    let more = one.changes.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} more changes; --format json has all"));
    more.into_iter().chain(one.notes.iter().map(|note| plain(note))).collect()
}

pub fn text(one: &Comparison) -> String {
    let table = table(one).map_or_else(String::new, |table| format!("\n{}", table.render()));
    let notes: String = below(one).iter().map(|note| format!("Note: {note}\n")).collect();
    format!("{}\n{table}{}{notes}", head(one), if notes.is_empty() { "" } else { "\n" })
}

pub fn markdown(one: &Comparison) -> String {
    // Text of others as code, where nothing is markup.
    let table =
        table(one).map_or_else(String::new, |table| format!("\n```\n{}```\n", table.render().replace('`', "'")));
    let notes: String = below(one).iter().map(|note| format!("- `{}`\n", note.replace('`', "'"))).collect();
    format!("### s3b-tuner compare: {}\n{table}\n{notes}", head(one))
}

pub fn json(one: &Comparison) -> String {
    serde_json::to_string_pretty(one).expect("plain data is always JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_told_as_it_was_given() {
        assert_eq!(
            [1.0, 10.0, 0.05, 0.005, 0.1, 0.07, 0.0].map(percent),
            ["100 %", "1000 %", "5 %", "0.5 %", "10 %", "7 %", "0 %"]
        );
    }
}

//! The decision card: what to mount with, what it gives against the default, the file to copy, and why.

use super::markup::{absent, escape, escape_lines, list, section, table};
use crate::outcome::{Answer, Outcome};
use crate::report::columns::{self, ROWS, ratio};
use crate::report::words;

/// Told large, in this order, by the labels of [`ROWS`].
const LARGE: [&str; 6] = ["throughput", "read p99", "flush p99", "hit ratio", "$ per month", "bytes at risk"];

pub fn card(outcome: &Outcome) -> String {
    let Some(answer) = &outcome.answer else {
        let notes = list("notes", &outcome.trust.notes);
        return section("decision", "Decision", "", &(absent("No configuration can be recommended.") + &notes));
    };
    let one = &outcome.configurations[answer.recommended];
    let settings: String = outcome
        .axes
        .iter()
        .zip(&one.values)
        .map(|(axis, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&axis.name), escape(value)))
        .collect();
    let body = format!(
        "<div class=\"card\"><dl class=\"settings\">{settings}</dl>{}{}</div>{}<h3>The table</h3>{}<h3>Why</h3>{}{}",
        large(outcome, answer),
        binding(answer),
        file(&one.settings_toml),
        answers(outcome),
        reasons(answer),
        list("notes", &answer.caveats),
    );
    let goal = format!("Best by {} over {} workloads.", outcome.goal.name, outcome.workloads.len());
    section("decision", "Decision", &(goal + &demands(outcome)), &body)
}

fn demands(outcome: &Outcome) -> String {
    let goal = &outcome.goal;
    let mut all = goal.slos.clone();
    all.extend(goal.max_at_risk_bytes.map(|most| format!("at most {} at risk", crate::report::numbers::bytes(most))));
    all.extend(goal.ram_bytes.map(|most| format!("at most {} of memory", crate::report::numbers::bytes(most))));
    all.extend(goal.max_dollars_per_month.map(|most| format!("at most {} a month", columns::monthly(most))));
    if all.is_empty() { all.concat() } else { format!(" Demanded: {}.", all.join(", ")) }
}

/// Key figures, each against the default's.
fn large(outcome: &Outcome, answer: &Answer) -> String {
    let ours = &outcome.configurations[answer.recommended].summary;
    let theirs = answer.default.filter(|n| *n != answer.recommended);
    let theirs = theirs.and_then(|n| outcome.configurations.get(n)).map(|one| &one.summary);
    let mut out = String::new();
    for row in ROWS.iter().filter(|row| LARGE.contains(&row.label)) {
        let change = theirs.and_then(|theirs| {
            let (our, their) = ((row.value)(ours)?, (row.value)(theirs)?);
            let class = if (our > their) == row.more_is_better { "better" } else { "worse" };
            let Some(change) = ratio(our, their) else {
                return Some("<span class=\"change\">as the default</span>".to_owned());
            };
            let text = format!("{} {change}", if class == "better" { "▲" } else { "▼" });
            Some(format!("<span class=\"change {class}\">{}</span>", escape(&text)))
        });
        out.push_str(&format!(
            "<div><dt>{}</dt><dd>{}</dd>{}</div>",
            escape(row.label),
            escape(&(row.show)(ours)),
            change.unwrap_or_default()
        ));
    }
    let key = if theirs.is_some() { "<p class=\"aside\">▲ better, ▼ worse than the default</p>" } else { "" };
    format!("<dl class=\"large\">{out}</dl>{key}")
}

/// What has only so much, as bars.
fn binding(answer: &Answer) -> String {
    let Some(text) = words::limits(&answer.limits) else { return String::new() };
    format!("<p class=\"binding\"><b>Limit:</b> {}</p>", escape(&text))
}

fn file(toml: &str) -> String {
    format!(
        "<div class=\"file\"><div class=\"filehead\"><code>s3b.toml</code><button type=\"button\" data-copy=\"toml\" hidden>\
         Copy</button></div><pre id=\"toml\" tabindex=\"0\">{}</pre></div>\
         <p class=\"aside\">For <code>s3b mount --config s3b.toml</code></p>",
        escape_lines(toml)
    )
}

fn answers(outcome: &Outcome) -> String {
    let all = columns::columns(outcome);
    let head: Vec<String> = std::iter::once(String::new()).chain(all.iter().map(columns::Column::head)).collect();
    let shown = || all.iter().map(|column| &outcome.configurations[column.configuration]);
    let settings =
        outcome.axes.iter().enumerate().map(|(n, axis)| {
            std::iter::once(axis.name.clone()).chain(shown().map(|one| one.values[n].clone())).collect()
        });
    let figures = ROWS
        .iter()
        .map(|row| std::iter::once(row.label.to_owned()).chain(shown().map(|one| (row.show)(&one.summary))).collect());
    let rows: Vec<Vec<String>> = settings.chain(figures).collect();
    table("The answer", &head, &rows)
}

fn reasons(answer: &Answer) -> String {
    if answer.reasons.is_empty() {
        return absent("No setting was varied, so there is nothing to compare with.");
    }
    let all: String = answer
        .reasons
        .iter()
        .map(|one| {
            let (setting, value) = (escape(&one.setting), escape(&one.value));
            let parts: String = one.why.split("; ").map(|part| format!("<li>{}</li>", escape(part))).collect();
            format!("<div><dt>{setting} <b>{value}</b></dt><dd><ul>{parts}</ul></dd></div>")
        })
        .collect();
    format!("<dl class=\"reasons\">{all}</dl>")
}

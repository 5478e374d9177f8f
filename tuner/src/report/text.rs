//! The answer for a terminal: one table, why each setting has its value, what binds, how far to trust it. Fits the width
//! it is given from 60 columns on. Uses no colours, so that it reads the same in a file.

use super::columns::{self, Column, ROWS, plain, runs};
use super::numbers::{clock, count, dollars, percent};
use super::words;
use crate::outcome::{Answer, Outcome};

/// The narrowest that a table still fits.
const NARROWEST: usize = 60;
/// Between columns.
const GAP: usize = 2;

/// The whole answer, with a newline at the end. Where files were written is the caller's to add.
pub fn render(outcome: &Outcome, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = head(outcome, width);
    match &outcome.answer {
        Some(answer) => {
            out.push_str(&table(outcome, width));
            out.push_str(&why(answer, width));
            out.push_str(&facts(outcome, answer, width));
        }
        None => out.push_str("\nNo configuration can be recommended.\n"),
    }
    let trust = words::trust(outcome);
    out.push('\n');
    out.push_str(&labelled("Trust", &trust.join(" "), width));
    let caveats = outcome.answer.iter().flat_map(|answer| &answer.caveats).chain(&outcome.trust.notes);
    for caveat in caveats {
        out.push_str(&labelled("Note", caveat, width));
    }
    out
}

fn head(outcome: &Outcome, width: usize) -> String {
    let (tried, workloads) = (outcome.configurations.len() as u64, outcome.workloads.len());
    let mut line = format!(
        "{} on {}: {} configurations x {workloads} workload{} in {}",
        words::how(outcome),
        outcome.place.description,
        count(tried),
        if workloads == 1 { "" } else { "s" },
        clock(outcome.run.seconds),
    );
    if outcome.run.spent_dollars > 0.0 {
        line.push_str(&format!(", {} spent", dollars(outcome.run.spent_dollars)));
    }
    if let Some(why) = &outcome.run.stopped {
        line.push_str(&format!(". STOPPED EARLY: {why}"));
    }
    wrap(&line, width, 0, 0)
}

/// Settings above, figures below; a column for each configuration. The default and the cheapest give way last.
fn table(outcome: &Outcome, width: usize) -> String {
    let all = columns::columns(outcome);
    let label = labels(outcome).map(|label| label.chars().count()).max().unwrap_or(0);
    let mut shown: Vec<&Column> = all.iter().collect();
    let mut cells = filled(outcome, &shown);
    let wide = |cells: &[Vec<String>]| {
        let widths = cells.iter().map(|column| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0));
        2 + label + widths.map(|width| width + GAP).sum::<usize>()
    };
    for role in ["as good", "safest", "cheapest", "default"] {
        if wide(&cells) > width {
            shown.retain(|column| column.roles.contains(&"recommended") || !column.roles.contains(&role));
            cells = filled(outcome, &shown);
        }
    }
    let heads = shown.iter().map(|column| column.roles.len()).max().unwrap_or(0);
    let names: Vec<String> = std::iter::repeat_n(String::new(), heads).chain(labels(outcome)).collect();
    let mut out = String::from("\n");
    for (row, name) in names.iter().enumerate() {
        // A blank line between settings and figures.
        if row == heads || row == heads + outcome.axes.len() {
            out.push('\n');
        }
        let mut line = format!("  {name:<label$}");
        for column in &cells {
            let width = column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            line.push_str(&format!("{:>1$}", column[row], width + GAP));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if let Some(text) = columns::medians_above_tails(outcome, &shown) {
        out.push('\n');
        out.push_str(&wrap(&text, width, 2, 2));
    }
    out
}

fn labels(outcome: &Outcome) -> impl Iterator<Item = String> {
    outcome.axes.iter().map(|axis| plain(&axis.name)).chain(ROWS.iter().map(|row| row.label.to_owned()))
}

/// The cells of each column: its roles, one below the other, then settings and figures.
fn filled(outcome: &Outcome, shown: &[&Column]) -> Vec<Vec<String>> {
    let heads = shown.iter().map(|column| column.roles.len()).max().unwrap_or(0);
    let column = |column: &&Column| {
        let one = &outcome.configurations[column.configuration];
        let roles = column.roles.iter().map(|role| (*role).to_owned());
        let above = std::iter::repeat_n(String::new(), heads - column.roles.len());
        let values = one.values.iter().map(|value| plain(value));
        let figures = ROWS.iter().map(|row| (row.show)(&one.summary));
        above.chain(roles).chain(values).chain(figures).collect()
    };
    shown.iter().map(column).collect()
}

fn why(answer: &Answer, width: usize) -> String {
    let mut out = String::new();
    if !answer.reasons.is_empty() {
        out.push_str("\nWhy\n");
        for reason in &answer.reasons {
            let text = format!("{} {}: {}.", reason.setting, reason.value, reason.why.trim_end_matches('.'));
            out.push_str(&wrap(&text, width, 2, 6));
        }
    }
    out
}

/// A line each: against the default, what is as good, what binds, what stores and fetches were for.
fn facts(outcome: &Outcome, answer: &Answer, width: usize) -> String {
    let mut out = String::from("\n");
    if let Some(text) = words::against_default(outcome, answer) {
        out.push_str(&labelled("Change", &text, width));
    }
    let others = answer.tied.iter().filter(|n| **n != answer.recommended).count() as u64;
    if others > 0 {
        let text = format!("{} other configurations cannot be told apart from the best by the goal.", count(others));
        let text = if others == 1 { "one other configuration cannot be told apart from it.".to_owned() } else { text };
        out.push_str(&labelled("Ties", &text, width));
    }
    if let Some(text) = words::limits(&answer.limits) {
        out.push_str(&labelled("Limit", &text, width));
    }
    if let Some(text) = requests(outcome, answer) {
        out.push_str(&labelled("Store", &text, width));
    }
    out
}

/// What one pass over all workloads asked of the store.
fn requests(outcome: &Outcome, answer: &Answer) -> Option<String> {
    let runs = runs(outcome, answer.recommended);
    let sum = |value: fn(&crate::outcome::StoreLedger) -> u64| -> u64 {
        runs.iter().map(|run| value(&run.ledger.store)).sum()
    };
    (!runs.is_empty()).then(|| {
        let (throttled, retries) = (sum(|one| one.throttled), sum(|one| one.retries));
        let mut text = format!(
            "one pass over all workloads takes {} PUT, {} GET, {} DELETE",
            count(sum(|one| one.puts)),
            count(sum(|one| one.gets)),
            count(sum(|one| one.deletes))
        );
        if throttled + retries > 0 {
            text.push_str(&format!("; {} answers of 503, {} retries", count(throttled), count(retries)));
        }
        let retried = sum(|one| one.puts + one.gets);
        if retried > 0 && throttled > 0 {
            text.push_str(&format!(" ({} of all requests)", percent(throttled as f64 / retried as f64)));
        }
        text + "."
    })
}

fn labelled(label: &str, text: &str, width: usize) -> String {
    wrap(&format!("{label:<7}{}", plain(text)), width, 0, 7)
}

/// Words over lines of at most `width`, the first indented by `first`, the others by `rest`; words longer than a line
/// are cut. A label's padding at the front stays.
pub fn wrap(text: &str, width: usize, first: usize, rest: usize) -> String {
    let mut out = String::new();
    let mut line = " ".repeat(first);
    let mut empty = true;
    for word in plain(text).split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = line.chars().count() + usize::from(!empty);
            if used + word.len() <= width {
                if !empty {
                    line.push(' ');
                }
                line.extend(word);
                empty = false;
                break;
            }
            // Longer than any line: cut; else it begins the next line.
            let alone = width.saturating_sub(rest).max(1);
            if empty && word.len() > alone {
                line.extend(word.drain(..width.saturating_sub(used).max(1)));
            }
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(rest);
            empty = true;
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_and_what_is_longer_than_a_line_is_cut() {
        assert_eq!(wrap("ab cd ef", 5, 0, 2), "ab cd\n  ef\n");
        assert_eq!(wrap("Note   abc", 12, 0, 7), "Note   abc\n");
        assert_eq!(wrap("x abcdefghij", 6, 0, 1), "x\n abcde\n fghij\n");
        assert!(wrap(&"y".repeat(300), 60, 2, 6).lines().all(|line| line.chars().count() <= 60));
    }
}

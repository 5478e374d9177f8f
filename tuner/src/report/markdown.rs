//! The answer as Markdown, for a comment on a pull request: short, with the table first.

use super::columns::{self, ROWS, plain};
use super::numbers::{clock, count};
use super::words;
use crate::outcome::{Answer, Outcome};

/// With a newline at the end.
pub fn render(outcome: &Outcome) -> String {
    let mut out = String::new();
    match &outcome.answer {
        Some(answer) => {
            let arguments = words::arguments(outcome, answer.recommended).join(" ");
            out.push_str(&format!("### s3b: {}\n\n", code(&arguments)));
            out.push_str(&table(outcome));
            if let Some(text) = words::against_default(outcome, answer) {
                out.push_str(&format!("\n{}\n", escape(&sentence(&text))));
            }
            out.push_str(&why(answer));
            if let Some(text) = words::limits(&answer.limits) {
                out.push_str(&format!("\n**Limit:** {}\n", escape(&text)));
            }
        }
        None => out.push_str("### s3b: no configuration can be recommended\n"),
    }
    out.push_str(&format!("\n**Trust:** {}\n", escape(&words::trust(outcome).join(" "))));
    let caveats = outcome.answer.iter().flat_map(|answer| &answer.caveats).chain(&outcome.trust.notes);
    let caveats: String = caveats.map(|caveat| format!("- {}\n", escape(caveat))).collect();
    if !caveats.is_empty() {
        out.push_str(&format!("\n{caveats}"));
    }
    let names: Vec<String> = outcome.workloads.iter().map(|one| escape(&one.name)).collect();
    out.push_str(&format!(
        "\n<sub>{} on {}; {} configurations, workloads {}; {}, seed {}, s3b-tuner {}; prices {}, {}</sub>\n",
        words::how(outcome),
        escape(&outcome.place.description),
        count(outcome.configurations.len() as u64),
        names.join(", "),
        clock(outcome.run.seconds),
        outcome.run.seed,
        escape(&outcome.run.version),
        escape(&outcome.prices.name),
        escape(&outcome.prices.dated),
    ));
    out
}

fn table(outcome: &Outcome) -> String {
    let columns = columns::columns(outcome);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = columns.iter().map(|column| column.head());
    let mut out = line(std::iter::once(String::new()).chain(heads).collect());
    out.push_str(&format!("|---|{}\n", "--:|".repeat(columns.len())));
    let shown = || columns.iter().map(|column| &outcome.configurations[column.configuration]);
    for (n, axis) in outcome.axes.iter().enumerate() {
        let cells = shown().map(|one| code(&one.values[n]));
        out.push_str(&line(std::iter::once(code(&axis.name)).chain(cells).collect()));
    }
    for row in &ROWS {
        let cells = shown().map(|one| (row.show)(&one.summary));
        out.push_str(&line(std::iter::once(row.label.to_owned()).chain(cells).collect()));
    }
    out
}

fn why(answer: &Answer) -> String {
    if answer.reasons.is_empty() {
        return String::new();
    }
    let lines: String = answer
        .reasons
        .iter()
        .map(|one| format!("- {} {}: {}\n", code(&one.setting), code(&one.value), escape(&one.why)))
        .collect();
    format!("\n<details><summary>Why</summary>\n\n{lines}\n</details>\n")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Text of others stays text: no markup, no HTML, no link, no mention of a person.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// As code; a backtick would end it, a bar a table's cell, and no tag may stand even there.
fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'").replace('<', "‹").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup() {
        assert_eq!(escape("<b>@you [x](y) a|b\n# c"), "&lt;b&gt;&#64;you \\[x\\](y) a\\|b \\# c");
        assert_eq!(code("a`|b"), "`a'\\|b`");
    }
}

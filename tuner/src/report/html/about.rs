//! Where it ran and how to run it again, every configuration, and the whole outcome as data.

use super::markup::{escape, escape_lines, section, table};
use crate::outcome::Outcome;
use crate::report::columns::{ROWS, runs};
use crate::report::numbers::{bytes, clock, count, dollars};
use crate::report::words;

/// The block sizes by their worst case.
pub fn block_sizes(outcome: &Outcome) -> String {
    let Some(answer) = outcome.answer.as_ref().filter(|answer| !answer.block_sizes.is_empty()) else {
        return String::new();
    };
    let names = outcome.workloads.iter().map(|one| one.name.clone());
    let head: Vec<String> = ["block size", "worst"].map(str::to_owned).into_iter().chain(names).collect();
    let rows: Vec<Vec<String>> = answer
        .block_sizes
        .iter()
        .map(|one| {
            let each = one.per_workload.iter().map(|share| words::regret(*share));
            [one.block_size.clone(), words::regret(one.worst)].into_iter().chain(each).collect()
        })
        .collect();
    let lead = "It is permanent, so it is chosen by its smallest worst case over all workloads: how much worse than with the \
                best block size for that workload.";
    section("blocks", "Block size", lead, &table("Regret of each block size", &head, &rows))
}

pub fn configurations(outcome: &Outcome) -> String {
    let mut order: Vec<usize> = (0..outcome.configurations.len()).filter(|n| !runs(outcome, *n).is_empty()).collect();
    order.sort_by(|a, b| {
        let score = |n: &usize| outcome.configurations[*n].summary.score;
        score(a).total_cmp(&score(b))
    });
    let axes = outcome.axes.iter().map(|axis| axis.title.clone());
    let figures = ROWS.iter().map(|row| row.label.to_owned());
    let head: Vec<String> =
        std::iter::once("#".to_owned()).chain(axes).chain(figures).chain(["breaks".into()]).collect();
    let rows: Vec<Vec<String>> = order
        .iter()
        .map(|n| {
            let one = &outcome.configurations[*n];
            let figures = ROWS.iter().map(|row| (row.show)(&one.summary));
            let values = std::iter::once(n.to_string()).chain(one.values.iter().cloned());
            values.chain(figures).chain([one.breaks.join("; ")]).collect()
        })
        .collect();
    let mut body = format!(
        "<details><summary>{} configurations, the best first</summary>{}</details>",
        count(order.len() as u64),
        table("All configurations", &head, &rows)
    );
    if !outcome.left_out.is_empty() {
        let rows: Vec<Vec<String>> =
            outcome.left_out.iter().map(|one| vec![one.values.join(" "), one.why.clone()]).collect();
        let head = ["not tried", "why"].map(str::to_owned);
        body.push_str(&format!(
            "<details><summary>{} not tried</summary>{}</details>",
            count(rows.len() as u64),
            table("Not tried", &head, &rows)
        ));
    }
    section("all", "All of them", "Every configuration that ran.", &body)
}

pub fn run(outcome: &Outcome) -> String {
    let (run, machine, place) = (&outcome.run, &outcome.environment, &outcome.place);
    let spent = if run.spent_dollars > 0.0 { dollars(run.spent_dollars) } else { "nothing".into() };
    let mut facts = vec![
        ("store", format!("{} ({})", place.description, words::place(place.kind))),
        ("started", format!("{}, took {}", run.started, clock(run.seconds))),
        ("spent", spent),
        ("seed", run.seed.to_string()),
        ("run", format!("{}, s3b-tuner {}", run.id, run.version)),
        ("machine", format!("{} cores, {} of memory, {}", machine.cores, bytes(machine.memory_bytes), machine.cpu)),
        ("kernel", machine.kernel.clone()),
        ("prices", format!("{}, {}", outcome.prices.name, outcome.prices.dated)),
    ];
    facts.extend(run.stopped.iter().map(|why| ("stopped early", why.clone())));
    let facts: String = facts
        .iter()
        .map(|(label, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value)))
        .collect();
    let model = if place.model_toml.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>The model</summary><pre tabindex=\"0\">{}</pre></details>",
            escape_lines(&place.model_toml)
        )
    };
    let body = format!(
        "<dl class=\"facts\">{facts}</dl><pre class=\"command\" tabindex=\"0\">{}</pre>{model}",
        escape(&words::command(&run.command))
    );
    section("run", "This run", "Where it ran, and the command that does it again.", &body)
}

/// Everything, for programs. No `<` is left, so nothing inside can end the script.
pub fn data(outcome: &Outcome) -> String {
    let text = serde_json::to_string(outcome).expect("plain data is always JSON");
    let text = text.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("<script type=\"application/json\" id=\"outcome\">{text}</script>\n")
}

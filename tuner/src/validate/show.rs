//! A validation for people: one table, the worst offenders, what else is to be said. Pure.

use std::fmt::Write;

use super::judgement::{Figure, Judged, Unit};
use super::validation::Validation;
use crate::report::table::Table;

/// Of each row.
const OFFENDERS: usize = 4;

/// As text for a terminal, or as Markdown.
pub fn render(validation: &Validation, markdown: bool) -> String {
    let Some(judgement) = &validation.judgement else { return "nothing was judged\n".into() };
    let table = |table: &Table| if markdown { table.markdown() } else { table.render() };
    let head = |title: &str| if markdown { format!("\n## {title}\n\n") } else { format!("\n{title}\n") };
    let mut out = format!("{}\n", summary(validation));
    if let Some(why) = &validation.run.stopped {
        let _ = writeln!(out, "PARTIAL ({why}): what follows rests on fewer runs than planned");
    }
    out.push('\n');
    let mut measures =
        Table::new(&["measure", "promised", "A/A noise", "bound", "found", "worst", "rests on", "reached"]);
    judgement.measures.iter().for_each(|row| measures.row(cells(row)));
    out.push_str(&table(&measures));
    let offenders = offenders(validation, &judgement.figures, &judgement.measures);
    if !offenders.is_empty() {
        out.push_str(&head("The worst"));
        let mut worst =
            Table::new(&["measure", "workload", "configuration", "predicted", "measured", "noise", "error"]);
        offenders.into_iter().for_each(|row| worst.row(row));
        out.push_str(&table(&worst));
        let axes: Vec<&str> = validation.axes.iter().map(|axis| &*axis.title).collect();
        let _ = writeln!(out, "{}(configuration: {})", if markdown { "\n" } else { "" }, axes.join(", "));
    }
    out.push_str(&head("Notes"));
    for note in judgement.notes.iter().chain(&validation.notes) {
        let _ = writeln!(out, "* {note}");
    }
    out
}

fn summary(validation: &Validation) -> String {
    let runs = validation.runs().count();
    format!(
        "{} configurations x {} workloads, {} whole rounds, {runs} real runs in {:.0} min on {}",
        validation.configurations.len(),
        validation.workloads.len(),
        validation.rounds.len(),
        validation.run.seconds / 60.0,
        validation.place.description
    )
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{:.2} %", value * 100.0),
        Unit::Number => format!("{value:.4}"),
    }
}

fn cells(row: &Judged) -> Vec<String> {
    let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| number(value, row.unit));
    let sign = if row.at_least { ">=" } else { "<=" };
    vec![
        row.measure.clone(),
        format!("{sign} {}", number(row.stated, row.unit)),
        of(row.noise),
        format!("{sign} {}", number(row.bound, row.unit)),
        of(row.found),
        of(row.worst),
        row.count.to_string(),
        row.verdict().into(),
    ]
}

/// Of every row, the figures that are furthest beyond its bound; where it is reached, only those beyond.
fn offenders(validation: &Validation, figures: &[Figure], rows: &[Judged]) -> Vec<Vec<String>> {
    let mut shown = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for figure in figures {
        if !names.contains(&&*figure.measure) {
            names.push(&figure.measure);
        }
    }
    for name in names {
        let of_name = rows.iter().filter(|row| row.measure.starts_with(name));
        let bound = of_name.map(|row| row.bound).fold(0.0, f64::max);
        let mut worst: Vec<&Figure> = figures.iter().filter(|one| one.measure == name && one.error > bound).collect();
        worst.sort_by(|a, b| b.error.total_cmp(&a.error));
        shown.extend(worst.into_iter().take(OFFENDERS).map(|one| offender(validation, one)));
    }
    shown
}

fn offender(validation: &Validation, one: &Figure) -> Vec<String> {
    let ratio = one.measure == "hit ratio";
    let error = |value: f64| if ratio { format!("{value:.4}") } else { format!("{:.1} %", value * 100.0) };
    vec![
        format!("{} {}", one.measure, one.kind).trim_end().to_owned(),
        validation.workload(one.workload).to_owned(),
        validation.configuration(one.configuration),
        value(&one.measure, one.predicted),
        value(&one.measure, one.measured),
        one.noise.map_or_else(|| "-".into(), error),
        error(one.error),
    ]
}

fn value(measure: &str, value: f64) -> String {
    match measure {
        "throughput" => format!("{:.2} MB/s", value / 1e6),
        "p50" | "p99" => format!("{value:.2} ms"),
        "dollars" => format!("${value:.6}"),
        "hit ratio" => format!("{value:.4}"),
        _ => format!("{value:.0}"),
    }
}

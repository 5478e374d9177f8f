//! The long form of an answer, for a terminal: what every other value would have meant, where bytes and requests went,
//! what binds, and every pair that the trust rests on.

use super::columns::{ROWS, Row, plain, runs, seconds, whole};
use super::ledger::{self, PARTS};
use super::neighbours::with;
use super::numbers::percent;
use super::sections::{self, Section};
use super::table::Table;
use super::text::wrap;
use super::words;
use crate::answer::reasons::flush_share;
use crate::outcome::{Answer, Configuration, Outcome};

const WRITE_DELAY: &str = "block-cache-write-delay";

/// Delays whose PUT counts differ by less do not set them.
const SAME_PUTS: f64 = 1.05;

/// Sentences fit `width`; tables are as wide as they are.
pub fn render(outcome: &Outcome, width: usize) -> String {
    let width = width.max(60) - 2;
    let Some(answer) = &outcome.answer else {
        let notes: String = outcome.trust.notes.iter().map(|note| wrap(note, width, 2, 2)).collect();
        return format!("No configuration can be recommended.\n{notes}");
    };
    let ours = words::arguments(outcome, answer.recommended).join(" ");
    let mut sections: Vec<Section> =
        (0..outcome.axes.len()).map(|axis| setting(outcome, answer, axis, width)).collect();
    sections.extend(block_sizes(outcome, answer, width));
    sections.push(where_it_went(outcome, answer, width));
    sections.push(limits(outcome, answer));
    sections.extend(trust(outcome, width));
    if !answer.caveats.is_empty() {
        let lead = answer.caveats.iter().flat_map(|caveat| lines(caveat, width)).collect();
        sections.push(Section { lead, ..Section::new("Caveats") });
    }
    sections::text(&format!("Recommended: {ours}"), &sections)
}

fn lines(sentence: &str, width: usize) -> Vec<String> {
    wrap(sentence, width, 0, 0).lines().map(str::to_owned).collect()
}

/// All values of one setting, everything else as recommended.
fn setting(outcome: &Outcome, answer: &Answer, axis: usize, width: usize) -> Section {
    let shown = |row: &&Row| !["throughput", "cache memory", "read p50", "flush p50"].contains(&row.label);
    let name = plain(&outcome.axes[axis].name);
    let head: Vec<&str> = std::iter::once("").chain(ROWS.iter().filter(shown).map(|row| row.label)).collect();
    let mut table = Table::new(&[&head[..], &["PUTs", ""]].concat());
    let ours = &outcome.configurations[answer.recommended].values[axis];
    let is_measured = !outcome.configurations[answer.recommended].measured.is_empty();
    let mut puts = Vec::new();
    // A measurement and a simulation are not compared.
    let of_all = |found: fn(&Configuration) -> bool| {
        let values = outcome.axes[axis].values.iter();
        values.filter_map(|value| with(outcome, answer, &[(axis, value.as_str())])).all(found)
    };
    let (all_measured, all_simulated) =
        (of_all(|one| !one.measured.is_empty()), of_all(|one| !one.simulated.is_empty()));
    for value in &outcome.axes[axis].values {
        let mark = if value == ours { "> " } else { "  " };
        let mut row = vec![format!("{mark}{}", plain(value))];
        match with(outcome, answer, &[(axis, value.as_str())]) {
            Some(one) => {
                row.extend(ROWS.iter().filter(shown).map(|row| (row.show)(&one.summary)));
                let figures = if all_simulated && !all_measured { &one.simulated } else { one.runs() };
                let store = ledger::sum(figures).store;
                puts.push(store.puts as f64);
                row.push(whole(store.puts as f64));
                let only_simulated = is_measured && one.measured.is_empty();
                let how = only_simulated.then(|| "only simulated".to_owned());
                let broken = one.breaks.first().map(|broken| format!("breaks {}", plain(broken)));
                row.push(how.into_iter().chain(broken).collect::<Vec<_>>().join("; "));
            }
            None => row.push("not tried".into()),
        }
        table.row(row);
    }
    let why = answer.reasons.iter().filter(|reason| reason.setting == outcome.axes[axis].name);
    let mut notes: Vec<String> = why.flat_map(|reason| lines(&reason.why, width)).collect();
    if is_measured && !all_measured && all_simulated {
        notes.push("PUTs as simulated: not every value ran for real.".into());
    }
    if name == WRITE_DELAY && flush_share(outcome.configurations[answer.recommended].runs()).is_none() {
        notes.extend(lines(&what_sets_the_puts(outcome, answer, &puts), width));
    }
    Section { table: Some(table), notes, ..Section::new(&format!("{name}: {}", plain(ours))) }
}

/// Whether flushes or the write delay set the number of PUTs.
fn what_sets_the_puts(outcome: &Outcome, answer: &Answer, puts: &[f64]) -> String {
    let all = ledger::sum(runs(outcome, answer.recommended));
    let (low, high) = (puts.iter().copied().fold(f64::INFINITY, f64::min), puts.iter().copied().fold(0.0, f64::max));
    if puts.len() < 2 {
        return "Only one write delay was tried.".into();
    }
    let flushes = whole(all.host.flushes as f64);
    if high <= low * SAME_PUTS && all.host.flushes > 0 {
        return format!(
            "Flushes, not the write delay, set the PUT rate: there are {flushes}, and over all delays the PUTs stay \
             between {} and {}.",
            whole(low),
            whole(high)
        );
    }
    format!(
        "The write delay sets the PUT rate: the PUTs go from {} to {} over the delays tried, with {flushes} flushes.",
        whole(high),
        whole(low)
    )
}

fn block_sizes(outcome: &Outcome, answer: &Answer, width: usize) -> Option<Section> {
    if answer.block_sizes.is_empty() {
        return None;
    }
    let names: Vec<String> = outcome.workloads.iter().map(|one| plain(&one.name)).collect();
    let head: Vec<&str> = ["", "worst"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for one in &answer.block_sizes {
        let each = one.per_workload.iter().map(|share| words::regret(*share));
        table.row([plain(&one.block_size), words::regret(one.worst)].into_iter().chain(each).collect());
    }
    let why = "A volume keeps its block size for ever, so the one with the smallest worst case was taken: how much worse \
               than with the best block size for each workload.";
    Some(Section { lead: lines(why, width), table: Some(table), ..Section::new("Block sizes by their worst case") })
}

fn where_it_went(outcome: &Outcome, answer: &Answer, width: usize) -> Section {
    let found = runs(outcome, answer.recommended);
    let names: Vec<String> = outcome.workloads.iter().map(|one| plain(&one.name)).collect();
    let head: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).chain(["all"]).collect();
    let mut table = Table::new(&head);
    let all = ledger::sum(found);
    for part in &PARTS {
        table.row(vec![part.name.to_owned()]);
        for (label, show) in part.lines {
            let each = found.iter().map(|run| show(&run.ledger)).chain([show(&all)]);
            table.row(std::iter::once(format!("  {label}")).chain(each).collect());
        }
    }
    let bill = ledger::bill(outcome, answer.recommended);
    let money = super::columns::monthly;
    let mut notes = lines(
        &format!(
            "A month costs {}: {} for PUT and LIST, {} for GET and HEAD, {} for transfer and storage ({}, {}).",
            money(bill.total()),
            money(bill.puts),
            money(bill.gets),
            money(bill.rest),
            outcome.prices.name,
            outcome.prices.dated
        ),
        width,
    );
    // With delays to compare, the reason for the delay says it.
    if let Some(said) = flush_share(found).filter(|_| outcome.axis(WRITE_DELAY).is_none()) {
        notes.extend(lines(&format!("PUTs: {said}."), width));
    }
    Section { table: Some(table), notes, ..Section::new("Where bytes and requests went") }
}

fn limits(outcome: &Outcome, answer: &Answer) -> Section {
    let told = |name: &str, limits: &[crate::outcome::Limit]| {
        let all: Vec<String> =
            limits.iter().map(|limit| format!("{} {}", plain(&limit.name), percent(limit.share))).collect();
        if all.is_empty() { None } else { Some(format!("{}: {}", plain(name), all.join(", "))) }
    };
    let each = outcome.workloads.iter().zip(runs(outcome, answer.recommended));
    let mut lead: Vec<String> = told("over all workloads", &answer.limits).into_iter().collect();
    lead.extend(each.filter_map(|(workload, run)| told(&workload.name, &run.limits)));
    if lead.is_empty() {
        lead.push("Nothing was near its limit.".into());
    }
    Section { lead, ..Section::new("Limits: share in use") }
}

fn trust(outcome: &Outcome, width: usize) -> Vec<Section> {
    let trust = &outcome.trust;
    let lead = words::trust(outcome).iter().chain(&trust.notes).flat_map(|one| lines(one, width)).collect();
    let mut pairs = Table::new(&["", "workload", "metric", "predicted", "measured", words::interval(outcome), ""]);
    for one in &trust.confirmations {
        let show: fn(f64) -> String = match &*one.metric {
            "seconds" => seconds,
            "hit ratio" => percent,
            metric if metric.contains(".p") => super::columns::ms,
            _ => whole,
        };
        let values = outcome.configurations.get(one.configuration).map(|one| one.values.join(" ")).unwrap_or_default();
        let workload = outcome.workloads.get(one.workload).map(|one| plain(&one.name)).unwrap_or_default();
        pairs.row(vec![
            plain(&values),
            workload,
            plain(&one.metric),
            show(one.predicted),
            show(one.measured),
            format!("{} to {}", show(one.low), show(one.high)),
            if one.within_bounds { String::new() } else { "outside".into() },
        ]);
    }
    let table = (!trust.confirmations.is_empty()).then_some(pairs);
    let mut sections = vec![Section { lead, table, ..Section::new("Trust") }];
    if !trust.differences.is_empty() {
        let mut table = Table::new(&["", "its loss / ours", words::interval(outcome), "p (Holm)"]);
        for one in &trust.differences {
            let values = outcome.configurations.get(one.other).map(|one| one.values.join(" ")).unwrap_or_default();
            let interval = format!("{:.3} to {:.3}", one.low, one.high);
            table.row(vec![plain(&values), format!("{:.3}", one.ratio), interval, format!("{:.3}", one.p)]);
        }
        sections.push(Section { table: Some(table), ..Section::new("Others on the real store") });
    }
    sections
}

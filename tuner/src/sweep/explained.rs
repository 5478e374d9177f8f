//! The answer of a sweep with its sentences: what binds, and what to keep in mind. Chooses nothing.

use super::widen::is_end;
use super::{durability, show};
use crate::answer::{guard, pareto};
use crate::outcome::{Answer, Configuration, Limit, Outcome, PlaceKind};

/// The answer with its sentences.
pub fn explained(answer: Answer, outcome: &Outcome) -> Answer {
    let mut limits: Vec<Limit> = Vec::new();
    for limit in outcome.configurations[answer.recommended].runs().iter().flat_map(|run| &run.limits) {
        match limits.iter_mut().find(|known| known.name == limit.name) {
            Some(known) => known.share = known.share.max(limit.share),
            None => limits.push(limit.clone()),
        }
    }
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    Answer { limits, caveats: caveats(outcome, &answer), pareto: pareto::front(&outcome.configurations), ..answer }
}

fn caveats(outcome: &Outcome, answer: &Answer) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.axis("block-size").is_some() {
        notes.push("the block size of a volume is permanent; everything else can be changed at any mount".to_owned());
    }
    if !outcome.place.says_block_size {
        notes.push(
            "no block size is recommended: a local disk says nothing about S3, and a volume's block size is permanent"
                .into(),
        );
    }
    if let Some(why) = &outcome.run.stopped {
        let ran = |one: &&Configuration| !(one.simulated.is_empty() && one.measured.is_empty());
        let done = outcome.configurations.iter().filter(ran).count();
        notes.push(format!("{why}: {done} of {} configurations were compared", outcome.configurations.len()));
    }
    notes.extend(guard::sentence(&outcome.configurations));
    let recommended = &outcome.configurations[answer.recommended];
    for (axis, value) in outcome.axes.iter().zip(&recommended.values) {
        if is_end(&axis.values, value) {
            notes.push(format!("{}={value} is the end of what was tried: the best may lie beyond", axis.title));
        }
    }
    if outcome.workloads.iter().any(|workload| workload.content_assumed) {
        notes.push(
            "traces have no content: their data was taken as incompressible and never zero (--compressibility, \
             --zero-share)"
                .into(),
        );
    }
    notes.extend(show::settings(outcome, answer.recommended).ok().and_then(|one| durability::meaning(outcome, &one)));
    notes.extend(unproven(outcome.place.kind, &outcome.configurations));
    notes
}

/// Whether any of them was run for real.
pub fn ran(rows: &[Configuration]) -> bool {
    rows.iter().any(|row| !row.measured.is_empty())
}

/// Without a row that was measured, whatever the store.
fn unproven(kind: PlaceKind, rows: &[Configuration]) -> Option<String> {
    let how = match kind {
        _ if ran(rows) => return None,
        PlaceKind::Model => "the store is a model; `sweep --bucket` confirms on yours",
        _ => "all figures are the model's; `sweep` with --confirm and without --sim-only confirms on the store",
    };
    Some(format!("nothing was run for real: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Figures;

    #[test]
    fn without_a_measured_row_it_says_so_whatever_the_store() {
        let mut rows = vec![Configuration::default(); 2];
        assert!(unproven(PlaceKind::Bucket, &rows).unwrap().contains("--sim-only"));
        assert!(unproven(PlaceKind::Model, &rows).unwrap().contains("--bucket"));
        rows[1].measured = vec![Figures::default()];
        assert_eq!(unproven(PlaceKind::Bucket, &rows), None);
    }
}

//! The goal's numbers of real rounds: at a workload's own pace its seconds are the same however slow the disk is. Each
//! workload is tested over all configurations, and each configuration over all workloads: a handful of tests with enough
//! pairs to show something, corrected for their number.

use super::{Change, Judged};
use crate::answer::goal::GoalKind;
use crate::outcome::{Configuration, Outcome};
use crate::statistics::{compare_pairs, holm, mean};

/// A test counts below this.
const SIGNIFICANT: f64 = 0.05;
/// For the bootstrap: a comparison made twice is the same comparison.
const SEED: u64 = 1;

/// How many rounds both have; `None` if there are not two, or another number of them.
pub fn rounds(base: &Configuration, new: &Configuration) -> Option<usize> {
    let (ours, theirs) = (base.measured_losses.len(), new.measured_losses.len());
    (ours == theirs && ours >= 2).then_some(ours)
}

/// Pairs of numbers of one question.
struct Question {
    configuration: String,
    workload: String,
    base: Vec<f64>,
    new: Vec<f64>,
}

pub fn changes(base: &Outcome, new: &Outcome, pairs: &[(usize, usize)], threshold: f64) -> Vec<Change> {
    let both = || {
        let all = pairs.iter().map(|(b, n)| (&base.configurations[*b], &new.configurations[*n]));
        all.filter(|(base, new)| rounds(base, new).is_some())
    };
    let mut questions: Vec<Question> = base
        .workloads
        .iter()
        .enumerate()
        .map(|(n, workload)| Question {
            configuration: String::new(),
            workload: workload.name.clone(),
            base: both()
                .flat_map(|(one, _)| one.measured_losses.iter().filter_map(move |r| r.get(n).copied()))
                .collect(),
            new: both()
                .flat_map(|(_, one)| one.measured_losses.iter().filter_map(move |r| r.get(n).copied()))
                .collect(),
        })
        .collect();
    questions.extend(both().map(|(ours, theirs)| Question {
        configuration: ours.values.join(" "),
        workload: String::new(),
        base: ours.measured_losses.concat(),
        new: theirs.measured_losses.concat(),
    }));
    // The goal of both, or they would not be compared.
    let metric = if base.goal.name == GoalKind::Throughput.name() { "seconds" } else { "loss" };
    judged(questions, metric, threshold)
}

fn judged(questions: Vec<Question>, metric: &'static str, threshold: f64) -> Vec<Change> {
    let asked: Vec<_> =
        questions.into_iter().filter_map(|q| compare_pairs(&q.base, &q.new, SEED).map(|found| (q, found))).collect();
    let p = holm(&asked.iter().map(|(_, found)| found.p).collect::<Vec<_>>());
    let change = |((question, found), p): ((Question, crate::statistics::Compared), f64)| {
        let (ratio, most) = (found.ratio, 1.0 + threshold);
        let judged = match ratio.value {
            r if r > most && p < SIGNIFICANT => Judged::Worse,
            r if r < 1.0 / most && p < SIGNIFICANT => Judged::Better,
            // It could be worse by more than the threshold.
            _ if ratio.high > most => Judged::Unclear,
            _ => Judged::Same,
        };
        Change {
            configuration: question.configuration,
            workload: question.workload,
            metric,
            base: mean(&question.base),
            new: mean(&question.new),
            ratio: Some(ratio.value),
            interval: Some([ratio.low, ratio.high]),
            p: Some(p),
            judged,
        }
    };
    asked.into_iter().zip(p).map(change).collect()
}

//! The goal's numbers of real rounds: at a workload's own pace its seconds are the same however slow the disk is. Each
//! workload is tested over all configurations, and each configuration over all workloads: a handful of tests, corrected
//! for their number.
//!
//! What repeats is the round: its runs share the store's mood, so a round is one number, the mean logarithm over what is
//! asked. Two sweeps ran at two times; their rounds have nothing to do with each other, and may be of another number.

use super::{Change, Judged};
use crate::answer::goal::GoalKind;
use crate::outcome::{Configuration, Outcome};
use crate::statistics::{ALIKE_ROUNDS, Compared, LEAST_ROUNDS, compare_logs, holm, mean};

/// A test counts below this.
const SIGNIFICANT: f64 = 0.05;

/// Whether it ran for real in both.
pub fn ran(base: &Configuration, new: &Configuration) -> bool {
    !base.measured.is_empty() && !new.measured.is_empty()
}

fn both<'a>(base: &'a Outcome, new: &'a Outcome, pairs: &[(usize, usize)]) -> Vec<[&'a Configuration; 2]> {
    let all = pairs.iter().map(|(b, n)| [&base.configurations[*b], &new.configurations[*n]]);
    all.filter(|[base, new]| ran(base, new)).collect()
}

/// Rounds of the base and of the new one: as many as each configuration that ran in both has.
pub fn rounds(base: &Outcome, new: &Outcome, pairs: &[(usize, usize)]) -> [usize; 2] {
    let both = both(base, new, pairs);
    [0, 1].map(|side| both.iter().map(|pair| pair[side].measured_losses.len()).min().unwrap_or(0))
}

/// The share by which something must be worse to count: never less than what two runs of one configuration differed by, in
/// either sweep.
pub fn limit(base: &Outcome, new: &Outcome, threshold: f64) -> f64 {
    // To a hundredth of a per cent: it is shown.
    let floors = [base, new].map(|one| one.trust.noise_floor.map(|noise| (noise * 1e4).round() / 1e4));
    floors.into_iter().flatten().fold(threshold, f64::max)
}

/// What is asked, and the answer of each round of the base and of the new one, as logarithms.
struct Question {
    configuration: String,
    workload: String,
    logs: [Vec<f64>; 2],
}

pub fn changes(base: &Outcome, new: &Outcome, pairs: &[(usize, usize)], threshold: f64) -> Vec<Change> {
    let (both, rounds) = (both(base, new, pairs), rounds(base, new, pairs));
    if rounds.contains(&0) {
        return Vec::new();
    }
    let of = |configurations: &[[&Configuration; 2]], workload: Option<usize>| {
        [0, 1].map(|side| {
            let configurations: Vec<&Configuration> = configurations.iter().map(|pair| pair[side]).collect();
            (0..rounds[side]).map(|round| of_round(&configurations, workload, round)).collect()
        })
    };
    let mut questions: Vec<Question> = Vec::new();
    for (number, workload) in base.workloads.iter().enumerate() {
        let logs = of(&both, Some(number));
        questions.push(Question { configuration: String::new(), workload: workload.name.clone(), logs });
    }
    for pair in &both {
        let logs = of(&[*pair], None);
        questions.push(Question { configuration: pair[0].values.join(" "), workload: String::new(), logs });
    }
    // The goal of both, or they would not be compared.
    let metric = if base.goal.name == GoalKind::Throughput.name() { "seconds" } else { "loss" };
    judged(questions, metric, threshold, limit(base, new, threshold))
}

/// One number of one round, over the workload or all of them.
fn of_round(configurations: &[&Configuration], workload: Option<usize>, round: usize) -> f64 {
    let wanted = |number: &usize| workload.is_none_or(|workload| workload == *number);
    let losses = configurations.iter().flat_map(|one| {
        one.measured_losses[round].iter().enumerate().filter(|(number, _)| wanted(number)).map(|(_, loss)| *loss)
    });
    mean(&losses.map(|loss| loss.max(f64::MIN_POSITIVE).ln()).collect::<Vec<f64>>())
}

fn judged(questions: Vec<Question>, metric: &'static str, threshold: f64, limit: f64) -> Vec<Change> {
    let found: Vec<Option<Compared>> = questions.iter().map(|one| compare_logs(&one.logs[0], &one.logs[1])).collect();
    let p = holm(&found.iter().map(|one| one.map_or(1.0, |one| one.p)).collect::<Vec<_>>());
    let change = |((question, found), p): ((Question, Option<Compared>), f64)| {
        let [base, new] = [0, 1].map(|side| mean(&question.logs[side]).exp());
        let rounds = question.logs.iter().map(Vec::len).min().unwrap_or(0);
        Change {
            configuration: question.configuration,
            workload: question.workload,
            metric,
            base,
            new,
            ratio: Some(new / base),
            interval: found.map(|found| [found.ratio.low, found.ratio.high]),
            p: found.map(|_| p),
            judged: found.map_or(Judged::Unclear, |found| judge(found, p, rounds, threshold, limit)),
        }
    };
    questions.into_iter().zip(found).zip(p).map(change).collect()
}

fn judge(found: Compared, p: f64, rounds: usize, threshold: f64, limit: f64) -> Judged {
    let (ratio, sure) = (found.ratio, p < SIGNIFICANT && rounds >= LEAST_ROUNDS);
    match ratio.value {
        r if r > 1.0 + limit && sure => Judged::Worse,
        r if r < 1.0 / (1.0 + limit) && sure => Judged::Better,
        // It could be worse by more than the threshold, or nobody can know.
        _ if ratio.high > 1.0 + threshold || rounds < ALIKE_ROUNDS => Judged::Unclear,
        _ => Judged::Same,
    }
}

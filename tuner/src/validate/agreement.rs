//! Whether the model puts configurations into the order that was measured, and whether choosing by it is choosing well.
//! Pure; draws come from the seed.
//!
//! A loss says how bad a configuration is on a workload: its seconds in a closed loop, by schedule what the goal `latency`
//! of a sweep weighs (means and tails). It is that of one run; several, simulated weathers as real rounds, come to the mean of
//! their logarithms. Never of runs pooled: more samples show a higher percentile, and a tail would be held against another
//! one. The tail is the same percentile in all runs on a workload: the highest that the run with the fewest samples shows.
//! Two configurations are *separable* on a workload when their measured losses differ by more than 95 % of what two runs of
//! one configuration there differ by.
//!
//! The choice is judged over draws of whole rounds and of workloads, both with replacement, the same for every
//! configuration. *True best*: the lowest geometric mean of the measured losses of a draw; it should be among the five that the
//! model puts first for the workloads of that draw. *Regret*: the best of those five by one round, against the best of all by the
//! other rounds, both judged by the other rounds. Its noise is the regret of who chooses among all by that one round, without
//! any model: what no model can be better than. With no more than five configurations there is no choice to judge.

use s3b_scenarios::OpKind;
use s3b_scenarios::random::Random;

use super::judgement::{Judged, Unit};
use super::pairs::Pair;
use super::validation::Validation;
use crate::answer::goal::GoalKind;
use crate::figures;
use crate::outcome::Figures;
use crate::outcome::rounds::OneRun;
use crate::promises;
use crate::statistics::{mean, quantile, separable_tau_b};

/// So many are confirmed by a sweep.
pub const TOP: usize = 5;
/// The rows that judge choices.
pub const CHOICES: [&str; 3] =
    ["true best among the predicted 5", "regret after confirmation (mean)", "regret after confirmation (p95)"];
const KINDS: [OpKind; 3] = [OpKind::Read, OpKind::Write, OpKind::Flush];
const DRAWS: usize = 2000;
/// Of the differences between two runs of the same.
const APART: f64 = 0.95;

const SEPARABLE: f64 = 0.5;
const BEST_AMONG_TOP: f64 = 0.98;
const REGRET_MEAN: f64 = 0.01;
const REGRET_P95: f64 = 0.03;

/// See the module.
pub struct Agreement {
    pub rows: Vec<Judged>,
    pub notes: Vec<String>,
}

/// See the module.
pub fn agreement(validation: &Validation, pairs: &[Pair<'_>]) -> Agreement {
    let scale = Scale::of(validation);
    let (mut rows, notes) = orders(validation, &scale, pairs);
    let losses = Losses::of(validation, &scale, pairs);
    rows.extend(choices(losses.as_ref(), validation.run.seed));
    Agreement { rows, notes }
}

/// What turns a run into a loss.
struct Scale {
    /// By workload: as fast as it goes.
    closed: Vec<bool>,
    /// By workload: samples of reads, writes and flushes that every run has, predicted or measured.
    samples: Vec<[u64; 3]>,
}

impl Scale {
    fn of(validation: &Validation) -> Self {
        let predicted = validation.predicted.iter().flat_map(|round| &round.runs);
        let mut samples = vec![[u64::MAX; 3]; validation.workloads.len()];
        for run in predicted.chain(validation.runs().map(|(_, run)| run)) {
            let counts = KINDS.map(|kind| run.measured.kind(kind).latency.count());
            for (least, count) in samples[run.piece].iter_mut().zip(counts) {
                *least = (*least).min(count);
            }
        }
        Self { closed: validation.workloads.iter().map(|one| one.closed).collect(), samples }
    }

    /// The logarithm of the loss of one run; lower is better.
    fn log(&self, run: &OneRun) -> f64 {
        let mut figures = figures::of_measured(&run.measured);
        let Figures { read, write, flush, .. } = &mut figures;
        for (kind, least) in [read, write, flush].into_iter().zip(self.samples[run.piece]) {
            // The goal takes the percentile that so many samples show.
            kind.latency.count = least;
        }
        let goal = if self.closed[run.piece] { GoalKind::Throughput } else { GoalKind::Latency };
        goal.loss(&figures, 0.0).ln()
    }

    fn log_of(&self, runs: &[&OneRun]) -> f64 {
        mean(&runs.iter().map(|run| self.log(run)).collect::<Vec<f64>>())
    }
}

/// A configuration on a workload, as logarithms of losses.
struct Placed {
    workload: usize,
    predicted: f64,
    measured: f64,
}

fn orders(validation: &Validation, scale: &Scale, pairs: &[Pair<'_>]) -> (Vec<Judged>, Vec<String>) {
    let mut placed: Vec<Placed> = Vec::new();
    let mut noises: Vec<Vec<f64>> = vec![Vec::new(); validation.workloads.len()];
    for pair in pairs {
        let (predicted, measured) = (scale.log_of(&pair.predicted), scale.log_of(&pair.measured));
        placed.push(Placed { workload: pair.workload, predicted, measured });
        noises[pair.workload].extend(pair.repeats().into_iter().map(|(a, b)| (scale.log(a) - scale.log(b)).abs()));
    }
    let apart: Vec<Option<f64>> = noises.iter().map(|noises| quantile(noises, APART)).collect();
    let separable = |a: &Placed, b: &Placed| {
        a.workload == b.workload && apart[a.workload].is_some_and(|noise| (a.measured - b.measured).abs() > noise)
    };
    let of = |chosen: &[&Placed]| {
        let side = |value: fn(&Placed) -> f64| chosen.iter().map(|one| value(one)).collect::<Vec<f64>>();
        let tau = separable_tau_b(&side(|one| one.predicted), &side(|one| one.measured), |a, b| {
            separable(chosen[a], chosen[b])
        });
        let (mut all, mut told) = (0, 0);
        for (n, a) in chosen.iter().enumerate() {
            for b in chosen[..n].iter().filter(|b| b.workload == a.workload && apart[a.workload].is_some()) {
                all += 1;
                told += usize::from(separable(a, b));
            }
        }
        (tau, told, all)
    };
    let (tau, told, all) = of(&placed.iter().collect::<Vec<_>>());
    let rows = vec![
        Judged::at_least("order, tau b (separable pairs)", Unit::Number, promises::ORDER, tau, told),
        Judged::at_least("separable pairs", Unit::Share, SEPARABLE, (all > 0).then(|| told as f64 / all as f64), all),
    ];
    let mut notes = Vec::new();
    for (number, workload) in validation.workloads.iter().enumerate() {
        let here: Vec<&Placed> = placed.iter().filter(|one| one.workload == number).collect();
        if let ((tau, told, all @ 1..), Some(noise)) = (of(&here), apart[number]) {
            let tau = tau.map_or("none".into(), |tau| format!("{tau:.2}"));
            notes.push(format!(
                "{}: tau b {tau} over {told} separable of {all} pairs; two runs of the same differ by up to {:.1} %",
                workload.name,
                (noise.exp() - 1.0) * 100.0
            ));
        }
    }
    (rows, notes)
}

fn regret(measure: &str, stated: f64, found: Option<f64>, noise: Option<f64>, worst: Option<f64>) -> Judged {
    let count = if found.is_some() { DRAWS } else { 0 };
    Judged { worst, count, ..Judged::at_most(measure.to_owned(), stated, noise, found) }
}

/// Logarithms of losses of the configurations that ran on every workload in every whole round.
struct Losses {
    /// By workload and configuration.
    predicted: Vec<Vec<f64>>,
    /// By round, workload and configuration.
    measured: Vec<Vec<Vec<f64>>>,
}

impl Losses {
    /// `None`: not a single whole round, or no more configurations than are confirmed: whatever a model says, the best is
    /// among them.
    fn of(validation: &Validation, scale: &Scale, pairs: &[Pair<'_>]) -> Option<Self> {
        let (count, workloads) = (validation.configurations.len(), validation.workloads.len());
        if count <= TOP || workloads == 0 || validation.rounds.is_empty() {
            return None;
        }
        let mut predicted = vec![vec![f64::NAN; count]; workloads];
        for pair in pairs {
            predicted[pair.workload][pair.configuration] = scale.log_of(&pair.predicted);
        }
        let mut measured = vec![vec![vec![f64::NAN; count]; workloads]; validation.rounds.len()];
        for (number, round) in validation.rounds.iter().enumerate() {
            for run in round.runs.iter().filter(|run| run.slot < count) {
                measured[number][run.piece][run.slot] = scale.log(run);
            }
        }
        let whole = measured.iter().flatten().chain(&predicted).flatten().all(|value| value.is_finite());
        whole.then_some(Self { predicted, measured })
    }

    /// For each configuration, its mean over the rounds and workloads given.
    fn scores(&self, rounds: &[usize], workloads: &[usize]) -> Vec<f64> {
        let of = |configuration: usize| {
            let values =
                rounds.iter().flat_map(|round| workloads.iter().map(|w| self.measured[*round][*w][configuration]));
            mean(&values.collect::<Vec<f64>>())
        };
        (0..self.predicted[0].len()).map(of).collect()
    }

    fn predicted_scores(&self, workloads: &[usize]) -> Vec<f64> {
        let of = |configuration: usize| {
            mean(&workloads.iter().map(|w| self.predicted[*w][configuration]).collect::<Vec<f64>>())
        };
        (0..self.predicted[0].len()).map(of).collect()
    }
}

fn choices(losses: Option<&Losses>, seed: u64) -> Vec<Judged> {
    let names = CHOICES;
    let Some(losses) = losses else {
        let none = Judged::at_least(names[0], Unit::Share, BEST_AMONG_TOP, None, 0);
        let [mean, p95] =
            [(names[1], REGRET_MEAN), (names[2], REGRET_P95)].map(|(n, b)| regret(n, b, None, None, None));
        return vec![none, mean, p95];
    };
    let mut random = Random::new(seed);
    let (rounds, workloads) = (losses.measured.len(), losses.predicted.len());
    let (mut among, mut ours, mut without) = (0, Vec::new(), Vec::new());
    for _ in 0..DRAWS {
        let drawn = |random: &mut Random, count: usize| -> Vec<usize> {
            (0..count).map(|_| random.below(count as u64) as usize).collect()
        };
        let (some_rounds, some) = (drawn(&mut random, rounds), drawn(&mut random, workloads));
        let everyone: Vec<usize> = (0..losses.predicted[0].len()).collect();
        let predicted = losses.predicted_scores(&some);
        let mut top = everyone.clone();
        top.sort_by(|a, b| predicted[*a].total_cmp(&predicted[*b]));
        top.truncate(TOP);
        among += usize::from(top.contains(&best(&everyone, &losses.scores(&some_rounds, &some))));
        let chooses = random.below(rounds as u64) as usize;
        let others: Vec<usize> = (0..rounds).filter(|round| *round != chooses).collect();
        if !others.is_empty() {
            let (choosing, judging) = (losses.scores(&[chooses], &some), losses.scores(&others, &some));
            let regret_of = |shortlist: &[usize]| {
                (judging[best(shortlist, &choosing)] - judging[best(&everyone, &judging)]).exp() - 1.0
            };
            ours.push(regret_of(&top));
            without.push(regret_of(&everyone));
        }
    }
    let average = |values: &[f64]| (!values.is_empty()).then(|| mean(values));
    let worst = ours.iter().copied().reduce(f64::max);
    vec![
        Judged::at_least(names[0], Unit::Share, BEST_AMONG_TOP, Some(among as f64 / DRAWS as f64), DRAWS),
        regret(names[1], REGRET_MEAN, average(&ours), average(&without), worst),
        regret(names[2], REGRET_P95, quantile(&ours, 0.95), quantile(&without, 0.95), worst),
    ]
}

/// The lowest; of equals the first.
fn best(among: &[usize], scores: &[f64]) -> usize {
    among.iter().copied().min_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0)
}

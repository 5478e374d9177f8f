//! Predicted and measured runs of the same configuration on the same workload, side by side. Pure.

use std::collections::BTreeMap;

use super::validation::Validation;
use crate::outcome::rounds::OneRun;

/// Everything that ran of one configuration on one workload.
#[derive(Clone, Default)]
pub struct Pair<'a> {
    /// Places among those of the validation.
    pub configuration: usize,
    pub workload: usize,
    /// As fast as it goes.
    pub closed: bool,
    /// One for each simulated weather.
    pub predicted: Vec<&'a OneRun>,
    /// Real runs, in the order in which they were made.
    pub measured: Vec<&'a OneRun>,
}

impl<'a> Pair<'a> {
    /// Runs of the same thing: what they differ by is noise. Every two runs of different rounds, so that each configuration
    /// has the same say; the second run of the first one only where there is no second round.
    pub fn repeats(&self) -> Vec<(&'a OneRun, &'a OneRun)> {
        let own: Vec<&OneRun> = self.measured.iter().copied().filter(|run| run.slot == self.configuration).collect();
        let runs = if own.len() < 2 { &self.measured } else { &own };
        let later = |n: usize| runs[n + 1..].iter().map(move |other| (runs[n], *other));
        (0..runs.len()).flat_map(later).collect()
    }
}

/// Those that were both predicted and measured, by workload, then configuration. The second runs of the first
/// configuration are runs of it.
pub fn pairs(validation: &Validation) -> Vec<Pair<'_>> {
    let count = validation.configurations.len();
    let mut found: BTreeMap<(usize, usize), Pair<'_>> = BTreeMap::new();
    for (_, run) in validation.runs() {
        let configuration = if run.slot >= count { 0 } else { run.slot };
        let pair = found.entry((run.piece, configuration)).or_default();
        (pair.configuration, pair.workload) = (configuration, run.piece);
        pair.closed = validation.workloads.get(run.piece).is_some_and(|workload| workload.closed);
        pair.measured.push(run);
    }
    for run in validation.predicted.iter().flat_map(|round| &round.runs) {
        if let Some(pair) = found.get_mut(&(run.piece, run.slot)) {
            pair.predicted.push(run);
        }
    }
    found.into_values().filter(|pair| !pair.predicted.is_empty()).collect()
}

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

impl Pair<'_> {
    /// Runs of the same thing: what they differ by is noise. A run and the next, so that none counts twice as much.
    pub fn repeats(&self) -> impl Iterator<Item = (&OneRun, &OneRun)> {
        self.measured.windows(2).map(|two| (two[0], two[1]))
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

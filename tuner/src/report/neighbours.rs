//! What stands beside the recommended configuration: the same but for one setting, or two.

use super::columns::runs;
use crate::outcome::{Answer, Configuration, Outcome};

/// Everything as recommended but the values of some axes; `None` if that did not run.
pub fn with<'a>(outcome: &'a Outcome, answer: &Answer, changed: &[(usize, &str)]) -> Option<&'a Configuration> {
    let ours = &outcome.configurations[answer.recommended].values;
    let wanted = |n: usize| changed.iter().find(|(axis, _)| *axis == n).map_or(ours[n].as_str(), |(_, value)| *value);
    let place = outcome
        .configurations
        .iter()
        .position(|one| one.values.iter().enumerate().all(|(n, value)| value == wanted(n)))?;
    (!runs(outcome, place).is_empty()).then(|| &outcome.configurations[place])
}

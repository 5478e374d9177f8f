//! Sentences that every form of the report says alike. Each is made from the outcome only.

use super::columns::{against, plain};
use super::numbers::{digits, percent};
use crate::outcome::{Answer, Limit, Outcome, PlaceKind, Verdict};

/// `Simulated`, `Measured` or both.
pub fn how(outcome: &Outcome) -> &'static str {
    let any = |value: fn(&crate::outcome::Configuration) -> bool| outcome.configurations.iter().any(value);
    match (any(|one| !one.simulated.is_empty()), any(|one| !one.measured.is_empty())) {
        (true, true) => "Simulated, then confirmed",
        (false, true) => "Measured",
        _ => "Simulated",
    }
}

/// The kind of place, for people.
pub fn place(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::Model => "a model",
        PlaceKind::Bucket => "a bucket",
        PlaceKind::Directory => "a directory",
    }
}

/// One word for a badge.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::SimulatedOnly => "simulated only",
        Verdict::MeasuredOnly => "measured only",
        Verdict::ModelNotTrusted => "model not trusted",
    }
}

/// How far the answer can be believed: the verdict first, then its numbers, a sentence each.
pub fn trust(outcome: &Outcome) -> Vec<String> {
    let trust = &outcome.trust;
    let mut said = vec![
        match trust.verdict {
            Verdict::Confirmed => "Confirmed: the store did what the model predicted.",
            Verdict::SimulatedOnly => "Simulated only: nothing was run on a real store.",
            Verdict::MeasuredOnly => "Measured only: no model was used.",
            Verdict::ModelNotTrusted => {
                "The model is not trusted: it missed by more than its bounds, so the answer rests on real runs only."
            }
        }
        .to_owned(),
    ];
    if let Some([median, worst]) = trust.model_error {
        let what = of_the_model(outcome).1;
        said.push(format!("{what} predicted within {} (median), {} (worst).", percent(median), percent(worst)));
    }
    if let Some(tau) = trust.rank_agreement {
        said.push(format!("Rank agreement (tau b) {tau:.2}."));
    }
    if let Some(noise) = trust.noise_floor {
        said.push(format!("Noise floor {}.", percent(noise)));
    }
    if let Some(ratio) = trust.hold_out {
        said.push(format!("In a round that did not choose it, its loss was {} of what was expected.", percent(ratio)));
    }
    said
}

/// How the ends are headed between which confirming rounds lie: of few of them it is no 95 % interval.
pub fn interval(outcome: &Outcome) -> &'static str {
    let rounds = outcome.configurations.iter().map(|one| one.measured_seconds.len()).max();
    crate::statistics::name_of_interval(rounds.unwrap_or(0))
}

/// The metric by which the model is judged, and how a sentence about it begins: seconds where workloads ran as fast as they
/// could, else the goal's number, since at its own pace a workload takes as long as it takes.
pub fn of_the_model(outcome: &Outcome) -> (&'static str, String) {
    if outcome.trust.confirmations.iter().any(|one| one.metric == "loss") {
        ("loss", format!("The loss by the goal ({}) was", plain(&outcome.goal.name)))
    } else {
        ("seconds", "Seconds were".to_owned())
    }
}

/// `link up 78 %, threads 41 %`; what is used less than a tenth binds nothing.
pub fn limits(limits: &[Limit]) -> Option<String> {
    let told: Vec<String> = limits
        .iter()
        .filter(|limit| limit.share >= 0.1)
        .take(3)
        .map(|limit| format!("{} {:.0} %", plain(&limit.name), limit.share * 100.0))
        .collect();
    (!told.is_empty()).then(|| format!("{} in use.", told.join(", ")))
}

/// What the recommended configuration changes, if the default ran too.
pub fn against_default(outcome: &Outcome, answer: &Answer) -> Option<String> {
    let default = answer.default?;
    if default == answer.recommended {
        return Some("the default is the recommended configuration.".into());
    }
    let ours = &outcome.configurations[answer.recommended].summary;
    let changes = against(ours, &outcome.configurations.get(default)?.summary);
    if changes.is_empty() {
        return Some("no figure differs from the default's by 3 % or more.".into());
    }
    Some(format!("against the default: {}.", changes.join(", ")))
}

/// A recommended setting as an argument, `--block-size=256k`.
pub fn arguments(outcome: &Outcome, configuration: usize) -> Vec<String> {
    let values = &outcome.configurations[configuration].values;
    outcome.axes.iter().zip(values).map(|(axis, value)| format!("--{}={}", plain(&axis.name), plain(value))).collect()
}

/// The command as it would be typed again.
pub fn command(words: &[String]) -> String {
    let quoted = |word: &String| {
        let word = plain(word);
        let bare = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
        if !word.is_empty() && word.chars().all(bare) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// A share worse than the best: `best`, `+12 %`, `3.4 times`.
pub fn regret(share: f64) -> String {
    match share {
        s if !s.is_finite() => "ruled out".into(),
        s if s < 0.0005 => "best".into(),
        s if s < 1.0 => format!("+{}", percent(s)),
        s => format!("{} times", digits(1.0 + s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_as_a_shell_needs_it() {
        let words = ["s3b-tuner", "sweep", "--slo", "flush.p99<200ms", "it's"].map(str::to_owned);
        assert_eq!(command(&words), r"s3b-tuner sweep --slo 'flush.p99<200ms' 'it'\''s'");
    }

    #[test]
    fn limits_that_do_not_bind_are_not_told() {
        let limit = |name: &str, share| Limit { name: name.into(), share };
        assert_eq!(limits(&[limit("link up", 0.78), limit("cpu", 0.04)]).unwrap(), "link up 78 % in use.");
        assert_eq!(limits(&[limit("cpu", 0.04)]), None);
    }

    #[test]
    fn regrets_are_told_by_size() {
        assert_eq!([0.0, 0.12, 2.4, f64::INFINITY].map(regret), ["best", "+12.0 %", "3.40 times", "ruled out"]);
    }
}

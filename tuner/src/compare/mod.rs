//! Two outcomes of the same sweep: did anything get worse? Real rounds are compared as two independent samples, with
//! intervals; simulated figures exactly, as the same seed gives the same figures. Never compares what was not asked the same
//! way, nor simulated figures where both ran for real.

mod comparable;
mod real;
mod render;
mod simulated;

use serde::Serialize;

use crate::outcome::Outcome;
pub use render::{json, markdown, text};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "s3b-compare/1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Fine,
    Regression,
    /// Some differences may be regressions or noise, or not everything could be compared.
    Inconclusive,
    NotComparable,
}

impl Verdict {
    /// What the shell is told.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Regression => 1,
            Self::Inconclusive => 2,
            Self::NotComparable => 3,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Regression => "regression",
            Self::Inconclusive => "inconclusive",
            Self::NotComparable => "not comparable",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judged {
    Better,
    Same,
    Worse,
    /// Noise hides whether it is worse, or there are too few rounds.
    Unclear,
}

/// One figure of one configuration on one workload; empty names stand for all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub configuration: String,
    pub workload: String,
    /// `loss` (the goal's number, of real rounds), `seconds`, `read.p99`, `write.p99`, `flush.p99`, `puts`, `gets`, `dollars`; more of it is worse.
    pub metric: &'static str,
    /// Of real rounds, geometric means.
    pub base: f64,
    pub new: f64,
    /// New / base; `None`: the base is zero and the new one is not.
    pub ratio: Option<f64>,
    /// 95 % interval of the ratio, of real rounds (Welch, on logarithms); none with fewer than two on either side.
    pub interval: Option<[f64; 2]>,
    /// After Holm's correction, of real rounds.
    pub p: Option<f64>,
    pub judged: Judged,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub schema: &'static str,
    pub verdict: Verdict,
    /// As a share.
    pub threshold: f64,
    /// Worse by more than this counts, as a share: the threshold, or the wider noise floor of real rounds.
    pub limit: f64,
    /// Whether real rounds were compared, or simulated figures.
    pub real: bool,
    /// Real rounds of the base and of the new one; 0 of simulated figures.
    pub rounds: [usize; 2],
    /// Figures that were looked at.
    pub compared: usize,
    /// All but the unchanged, the worst first.
    pub changes: Vec<Change>,
    /// Why it is not comparable, or what was left out: sentences.
    pub notes: Vec<String>,
}

/// `threshold` is a share: 0.05 lets a figure grow by 5 %.
pub fn compare(base: &Outcome, new: &Outcome, threshold: f64) -> Comparison {
    let pairs = comparable::pairs(base, new);
    let real = pairs.iter().any(|(b, n)| real::ran(&base.configurations[*b], &new.configurations[*n]));
    let mut notes = comparable::differences(base, new, real);
    let mut comparison = Comparison {
        schema: SCHEMA,
        verdict: Verdict::NotComparable,
        threshold,
        limit: if real { real::limit(base, new, threshold) } else { threshold },
        real,
        rounds: if real { real::rounds(base, new, &pairs) } else { [0; 2] },
        compared: 0,
        changes: vec![],
        notes: vec![],
    };
    if notes.is_empty() && pairs.is_empty() {
        notes.push("no configuration ran in both".into());
    }
    if !notes.is_empty() {
        comparison.notes = notes;
        return comparison;
    }
    let found = if real {
        real::changes(base, new, &pairs, threshold)
    } else {
        simulated::changes(base, new, &pairs, threshold)
    };
    comparison.notes = comparable::gaps(base, new, &pairs, real);
    comparison.notes.extend(comparable::too_few(comparison.rounds).filter(|_| real));
    comparison.compared = found.len();
    comparison.verdict = verdict(&found, &comparison.notes);
    comparison.notes.extend(comparable::remarks(base, new));
    comparison.notes.extend(noisy(&comparison));
    let mut changes: Vec<Change> = found.into_iter().filter(|one| one.judged != Judged::Same).collect();
    // The worst first; what has no ratio is worst.
    let weight = |one: &Change| one.ratio.unwrap_or(f64::INFINITY);
    changes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    comparison.changes = changes;
    comparison
}

fn noisy(one: &Comparison) -> Option<String> {
    let [limit, threshold] = [one.limit, one.threshold].map(render::percent);
    (one.limit > one.threshold).then(|| {
        format!("two runs of the same differed by up to {limit}: only what is worse by more counts as worse, not {threshold}")
    })
}

fn verdict(found: &[Change], gaps: &[String]) -> Verdict {
    let any = |judged| found.iter().any(|one| one.judged == judged);
    if any(Judged::Worse) {
        Verdict::Regression
    } else if found.is_empty() || any(Judged::Unclear) || !gaps.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Fine
    }
}

//! Whether predictions were met. Pure.
//!
//! A figure of each pair (configuration, workload) has an error; a measure is reached when nine pairs of ten are within
//! its bound (of throughput also: half of them within a closer one). A bound is never closer than what two runs of the same
//! pair differ by: the same share of those differences. Orders and choices are judged by [`super::agreement`].

use serde::{Deserialize, Serialize};

use super::agreement::{self, Agreement};
use super::measures::{Frame, MEASURES, Measure, Shown, What};
use super::pairs::{Pair, pairs};
use super::validation::Validation;
use crate::prices::Reader;
use crate::statistics::quantile;

/// So many of the pairs must be within a bound.
const SHARE: f64 = 0.9;
const HALF: f64 = 0.5;

/// What a model promises of each row: name, share of the pairs, bound.
const PROMISES: [(&str, f64, f64); 10] = [
    ("PUT requests", SHARE, 0.01),
    ("GET requests", SHARE, 0.01),
    ("DELETE requests", SHARE, 0.01),
    ("HEAD and LIST requests", SHARE, 0.01),
    ("dollars", SHARE, 0.01),
    ("hit ratio", SHARE, 0.005),
    ("throughput", HALF, 0.05),
    ("throughput", SHARE, 0.10),
    ("p50", SHARE, 0.10),
    ("p99", SHARE, 0.20),
];

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub measures: Vec<Judged>,
    /// Every figure of every pair.
    pub figures: Vec<Figure>,
    pub notes: Vec<String>,
}

/// A row of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub measure: String,
    /// How its numbers are to be read.
    pub unit: Unit,
    /// Whether found must be at least the bound, instead of at most.
    pub at_least: bool,
    /// As promised.
    pub stated: f64,
    /// What two runs of the same differ by, read off in the same way; nothing: not measured, or of no meaning here.
    pub noise: Option<f64>,
    /// The wider of the two.
    pub bound: f64,
    /// `None`: nothing there to judge.
    pub found: Option<f64>,
    pub worst: Option<f64>,
    /// Figures (or draws, or pairs in order) that it rests on.
    pub count: usize,
    /// `None`: not judged.
    pub reached: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Shown in percent.
    #[default]
    Share,
    /// As it is.
    Number,
}

/// One figure of one pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub measure: String,
    /// `read`, `write`, `flush`; empty for what is of no kind.
    pub kind: String,
    pub configuration: usize,
    pub workload: usize,
    /// Requests, dollars, a ratio, bytes per second or milliseconds.
    pub predicted: f64,
    pub measured: f64,
    /// 95 % interval of what was measured, where one is known.
    pub interval: Option<[f64; 2]>,
    /// The largest of what two runs of this pair differ by, as the error is told.
    pub noise: Option<f64>,
    /// As a share; of ratios, the difference. 0 where the prediction lies inside the interval.
    pub error: f64,
}

impl Judgement {
    /// Whether everything that could be judged was reached, and something could.
    pub fn is_reached(&self) -> bool {
        let judged: Vec<bool> = self.measures.iter().filter_map(|row| row.reached).collect();
        !judged.is_empty() && judged.iter().all(|reached| *reached)
    }
}

/// See the module.
pub fn judge(validation: &Validation) -> Judgement {
    let reader = if validation.in_region { Reader::InRegion } else { Reader::Outside };
    let frame = Frame { prices: &validation.prices, reader };
    let pairs = pairs(validation);
    let found: Vec<Found> = MEASURES.iter().flat_map(|measure| of_measure(measure, &pairs, frame)).collect();
    let mut measures: Vec<Judged> = PROMISES.iter().map(|promise| row(*promise, &found)).collect();
    let Agreement { rows, notes: said } = agreement::agreement(validation, &pairs);
    measures.extend(rows);
    let mut notes: Vec<String> =
        measures.iter().filter(|row| row.reached.is_none()).map(|row| not_judged(&row.measure)).collect();
    notes.extend(said);
    Judgement { measures, figures: found.into_iter().map(|one| one.figure).collect(), notes }
}

fn not_judged(measure: &str) -> String {
    match measure {
        "p99 (9 of 10)" => {
            "p99 was not judged: no kind of operation of any window has 299 samples and a time to feel".into()
        }
        _ => format!("{measure}: not judged, there was nothing of it or too few runs"),
    }
}

/// A figure, and each difference of two runs of it.
struct Found {
    figure: Figure,
    noises: Vec<f64>,
}

fn of_measure(measure: &Measure, pairs: &[Pair<'_>], frame: Frame<'_>) -> Vec<Found> {
    let shown = |pair: &&Pair<'_>| match measure.shown {
        Shown::Everywhere => true,
        Shown::Closed => pair.closed,
        Shown::Scheduled => !pair.closed,
    };
    pairs.iter().filter(shown).filter_map(|pair| of_pair(measure, pair, frame)).collect()
}

fn of_pair(measure: &Measure, pair: &Pair<'_>, frame: Frame<'_>) -> Option<Found> {
    let what = measure.what;
    let (predicted, measured) = (what.of(&pair.predicted, frame)?, what.of(&pair.measured, frame)?);
    if !what.is_telling(predicted, measured) {
        return None;
    }
    let noises: Vec<f64> = pair.repeats().filter_map(|(a, b)| difference(what, a, b, frame)).collect();
    let interval = what.interval(&pair.measured);
    let inside = interval.is_some_and(|(low, high)| (low..=high).contains(&predicted));
    let figure = Figure {
        measure: measure.name.to_owned(),
        kind: what.of_kind().to_owned(),
        configuration: pair.configuration,
        workload: pair.workload,
        predicted,
        measured,
        interval: interval.map(|(low, high)| [low, high]),
        noise: noises.iter().copied().reduce(f64::max),
        error: if inside { 0.0 } else { what.error(predicted, measured) },
    };
    Some(Found { figure, noises })
}

/// What two runs of the same differ by, as an error of the one against the other.
fn difference(
    what: What,
    a: &crate::outcome::rounds::OneRun,
    b: &crate::outcome::rounds::OneRun,
    frame: Frame<'_>,
) -> Option<f64> {
    let (a, b) = (what.of(&[a], frame)?, what.of(&[b], frame)?);
    Some(what.error(a, b).max(what.error(b, a)))
}

fn row((name, share, stated): (&str, f64, f64), found: &[Found]) -> Judged {
    let of_row: Vec<&Found> = found.iter().filter(|one| one.figure.measure == name).collect();
    let errors: Vec<f64> = of_row.iter().map(|one| one.figure.error).collect();
    let noises: Vec<f64> = of_row.iter().flat_map(|one| one.noises.iter().copied()).collect();
    let noise = quantile(&noises, share);
    let bound = noise.map_or(stated, |noise| noise.max(stated));
    let found = quantile(&errors, share);
    Judged {
        measure: format!("{name} ({})", if share == HALF { "median" } else { "9 of 10" }),
        unit: if name == "hit ratio" { Unit::Number } else { Unit::Share },
        at_least: false,
        stated,
        noise,
        bound,
        found,
        worst: errors.iter().copied().reduce(f64::max),
        count: errors.len(),
        reached: found.map(|found| found <= bound),
    }
}

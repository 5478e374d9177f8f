//! Whether predictions were met. Pure.
//!
//! A figure of each pair (configuration, workload) has an error; a measure is reached when nine pairs of ten are within
//! its bound (of throughput also: half of them within a closer one). A bound is never closer than what two runs of the same
//! pair differ by: the same share of those differences. What is reached only for that reason is told apart. Orders and
//! choices are judged by [`super::agreement`].

use super::agreement::{self, Agreement, CHOICES, TOP};
use super::judgement::{Figure, Judged, Judgement, Unit};
use super::measures::{Frame, MEASURES, Measure, Shown, What};
use super::pairs::{Pair, pairs};
use super::validation::Validation;
use crate::prices::Reader;
use crate::promises::{self, SHARE};
use crate::statistics::quantile;

const HALF: f64 = 0.5;

/// What a model promises of each row: name, share of the pairs, bound.
const PROMISES: [(&str, f64, f64); 10] = [
    ("PUT requests", SHARE, promises::REQUESTS),
    ("GET requests", SHARE, promises::REQUESTS),
    ("DELETE requests", SHARE, promises::REQUESTS),
    ("HEAD and LIST requests", SHARE, promises::REQUESTS),
    ("dollars", SHARE, promises::REQUESTS),
    ("hit ratio", SHARE, promises::HIT_RATIO),
    ("throughput", HALF, promises::THROUGHPUT_MEDIAN),
    ("throughput", SHARE, promises::THROUGHPUT),
    ("p50", SHARE, promises::P50),
    ("p99", SHARE, promises::P99),
];

/// See the module.
pub fn judge(validation: &Validation) -> Judgement {
    let reader = if validation.in_region { Reader::InRegion } else { Reader::Outside };
    let frame = Frame { prices: &validation.prices, reader };
    let pairs = pairs(validation);
    let found: Vec<Found> = MEASURES.iter().flat_map(|measure| of_measure(measure, &pairs, frame)).collect();
    let mut measures: Vec<Judged> = PROMISES.iter().map(|promise| row(*promise, &found)).collect();
    let Agreement { rows, notes: said } = agreement::agreement(validation, &pairs);
    measures.extend(rows);
    let mut notes: Vec<String> = measures
        .iter()
        .filter(|row| row.reached.is_none())
        .map(|row| not_judged(&row.measure, validation.configurations.len()))
        .collect();
    notes.extend(hidden(&measures));
    notes.extend(said);
    Judgement { measures, figures: found.into_iter().map(|one| one.figure).collect(), notes }
}

fn not_judged(measure: &str, configurations: usize) -> String {
    let choice = CHOICES.contains(&measure);
    match measure {
        "p99 (9 of 10)" => {
            "p99 was not judged: no kind of operation of any window has 299 samples in each run and a time to feel"
                .into()
        }
        _ if choice && configurations <= TOP => {
            format!("{measure}: not judged, all {configurations} configurations are among {TOP}")
        }
        _ => format!("{measure}: not judged, there was nothing of it or too few runs"),
    }
}

/// What the noise of the machine hides, in a sentence.
fn hidden(measures: &[Judged]) -> Option<String> {
    let judged = measures.iter().filter(|row| row.reached.is_some()).count();
    let hidden: Vec<String> = measures
        .iter()
        .filter(|row| row.within_noise)
        .map(|row| match row.repeats {
            0 => row.measure.clone(),
            repeats => format!("{} (noise of {repeats} repeats)", row.measure),
        })
        .collect();
    (!hidden.is_empty()).then(|| {
        format!(
            "{} of {judged} judged measures are hidden by noise: {}; found beyond what is promised, but by no more than two \
             runs of the same differ by, which shows neither that the model is right nor that it is wrong",
            hidden.len(),
            hidden.join(", ")
        )
    })
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
    let noises: Vec<f64> = pair.repeats().into_iter().filter_map(|(a, b)| difference(what, a, b, frame)).collect();
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
    let measure = format!("{name} ({})", if share == HALF { "median" } else { "9 of 10" });
    Judged {
        unit: if name == "hit ratio" { Unit::Number } else { Unit::Share },
        worst: errors.iter().copied().reduce(f64::max),
        count: errors.len(),
        repeats: noises.len(),
        ..Judged::at_most(measure, stated, quantile(&noises, share), quantile(&errors, share))
    }
}

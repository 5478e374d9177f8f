//! Each setting by itself, everything else as recommended.

use super::heat::heat;
use super::markup::{absent, escape, figure, section};
use super::scale::{Scale, Unit};
use crate::outcome::{Answer, Configuration, Outcome, Summary};
use crate::report::columns::{monthly, ms};
use crate::report::neighbours::with;

/// One strip of a small multiple.
struct Strip {
    label: &'static str,
    unit: Unit,
    value: fn(&Summary) -> Option<f64>,
    show: fn(f64) -> String,
}

static STRIPS: [Strip; 4] = [
    Strip {
        label: "score",
        unit: Unit::Plain,
        value: |one| Some(one.score).filter(|score| score.is_finite()),
        show: |v| format!("{v:.2}"),
    },
    Strip { label: "read p99", unit: Unit::Milliseconds, value: |one| one.read_p99_ms, show: ms },
    Strip { label: "flush p99", unit: Unit::Milliseconds, value: |one| one.flush_p99_ms, show: ms },
    Strip { label: "$ per month", unit: Unit::Dollars, value: |one| Some(one.dollars_per_month), show: monthly },
];

const WIDTH: f64 = 290.0;
const LEFT: f64 = 16.0;
const STRIP: f64 = 58.0;

pub fn knobs(outcome: &Outcome) -> String {
    let lead = "What each value would have meant, with everything else as recommended. The band marks the recommended value; \
                score 1 is the best of all, lower is better.";
    let varied = || outcome.axes.iter().enumerate().filter(|(_, axis)| axis.values.len() > 1);
    let body = match &outcome.answer {
        Some(answer) if varied().next().is_some() => {
            let all: String = varied().map(|(n, _)| small(outcome, answer, n)).collect();
            format!("<div class=\"charts small\">{all}</div>{}", heat(outcome, answer))
        }
        _ => absent("Without an answer and a setting that varies there is nothing to show."),
    };
    section("knobs", "Settings", lead, &body)
}

fn small(outcome: &Outcome, answer: &Answer, axis: usize) -> String {
    let values = &outcome.axes[axis].values;
    let found: Vec<Option<&Configuration>> =
        values.iter().map(|value| with(outcome, answer, &[(axis, value.as_str())])).collect();
    let step = (WIDTH - LEFT * 2.0) / values.len() as f64;
    let x = |n: usize| LEFT + (n as f64 + 0.5) * step;
    let strips: Vec<&Strip> =
        STRIPS.iter().filter(|strip| found.iter().flatten().any(|one| (strip.value)(&one.summary).is_some())).collect();
    let height = strips.len() as f64 * STRIP + 40.0;
    let mut out = String::new();
    if let Some(ours) =
        values.iter().position(|value| *value == outcome.configurations[answer.recommended].values[axis])
    {
        let (left, tall) = (x(ours) - step / 2.0, height - 40.0);
        out.push_str(&format!(
            "<rect class=\"band\" x=\"{left:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{tall:.1}\"/>"
        ));
    }
    for (row, strip) in strips.iter().enumerate() {
        out.push_str(&drawn(strip, &found, row as f64 * STRIP, &x, values));
    }
    for (n, value) in values.iter().enumerate() {
        // Every second one where they would touch.
        if step > value.chars().count() as f64 * 6.5 || n % 2 == 0 {
            let (x, y) = (x(n), height - 25.0);
            let value = escape(value);
            out.push_str(&format!(
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{value}</text>"
            ));
        }
    }
    let name = &outcome.axes[axis].name;
    out.push_str(&format!(
        "<text class=\"label\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        WIDTH / 2.0,
        height - 6.0,
        escape(name)
    ));
    let label = escape(&format!("Effect of {name} with everything else as recommended"));
    let drawing = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">{out}</svg>"
    );
    figure(name, &drawing, "")
}

/// One measure over the values of the axis: a line, a dot for each value, its extremes in words.
fn drawn(
    strip: &Strip,
    found: &[Option<&Configuration>],
    top: f64,
    x: &dyn Fn(usize) -> f64,
    names: &[String],
) -> String {
    let values: Vec<Option<f64>> = found.iter().map(|one| (strip.value)(&one.as_ref()?.summary)).collect();
    let scale = Scale::fitting(values.iter().flatten().copied(), strip.unit);
    let y = |value: f64| top + STRIP - 6.0 - scale.place(value) * (STRIP - 26.0);
    let known = values.iter().flatten().copied();
    let (low, high) = (known.clone().fold(f64::INFINITY, f64::min), known.fold(f64::MIN, f64::max));
    let logarithmic = if scale.log { ", log scale" } else { "" };
    let mut out = format!(
        "<path class=\"grid\" d=\"M{LEFT} {:.1}H{}\"/><text class=\"strip\" x=\"{LEFT}\" y=\"{:.1}\">{}{logarithmic}</text>\
         <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{} to {}</text>",
        top + STRIP - 0.5,
        WIDTH - LEFT,
        top + 12.0,
        strip.label,
        WIDTH - LEFT,
        top + 12.0,
        escape(&(strip.show)(low)),
        escape(&(strip.show)(high))
    );
    let points: Vec<String> =
        values.iter().enumerate().filter_map(|(n, value)| Some(format!("{:.1} {:.1}", x(n), y((*value)?)))).collect();
    if points.len() > 1 {
        out.push_str(&format!("<path class=\"line s1\" d=\"M{}\"/>", points.join("L")));
    }
    for (n, (value, one)) in values.iter().zip(found).enumerate() {
        let (Some(value), Some(one)) = (value, one) else { continue };
        let broken: String = one.breaks.iter().map(|broken| format!("; breaks {broken}")).collect();
        let class = if one.breaks.is_empty() { "mark s1" } else { "mark broken" };
        let tip = escape(&format!("{}: {} {}{broken}", names[n], strip.label, (strip.show)(*value)));
        out.push_str(&format!(
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{tip}</title></circle>",
            x(n),
            y(*value)
        ));
    }
    out
}

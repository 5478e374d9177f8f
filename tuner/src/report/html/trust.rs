//! How far to believe it: the verdict in words, predicted against measured, and the ratio of every figure.

use super::markup::{absent, escape, figure, legend, list, section, table};
use super::plot::Plot;
use super::scale::{Scale, Unit};
use crate::outcome::{Confirmation, Outcome, Verdict};
use crate::report::words;

pub fn trust(outcome: &Outcome) -> String {
    let trust = &outcome.trust;
    let class = match trust.verdict {
        Verdict::Confirmed | Verdict::MeasuredOnly => "good",
        Verdict::SimulatedOnly => "plain",
        Verdict::ModelNotTrusted => "bad",
    };
    let sentences = words::trust(outcome);
    let mut body = format!(
        "<div class=\"card trust\"><span class=\"badge {class}\">{}</span><p>{}</p>{}</div>",
        escape(words::verdict(trust.verdict)),
        escape(&sentences.join(" ")),
        list("notes", &trust.notes)
    );
    if trust.confirmations.is_empty() {
        body.push_str(&absent("Nothing was predicted and measured both, so there is nothing to compare."));
    } else {
        body.push_str(&format!("<div class=\"charts\">{}{}</div>", scatter(outcome), ratios(outcome)));
    }
    body.push_str(&differences(outcome));
    section("trust", "Trust", "What was predicted against what the store did.", &body)
}

fn named(outcome: &Outcome, one: &Confirmation) -> String {
    let configuration = outcome.configurations.get(one.configuration);
    let workload = outcome.workloads.get(one.workload).map_or("", |workload| &workload.name);
    format!("{} on {workload}", configuration.map(|one| one.values.join(" ")).unwrap_or_default())
}

/// Seconds, or the goal's number, on both axes; on the diagonal the model was right.
fn scatter(outcome: &Outcome) -> String {
    let (metric, _) = words::of_the_model(outcome);
    let pairs: Vec<&Confirmation> = outcome.trust.confirmations.iter().filter(|one| one.metric == metric).collect();
    if pairs.is_empty() {
        return absent("No times were compared.");
    }
    let (unit, title) = match metric {
        "loss" => (Unit::Plain, "Loss by the goal"),
        _ => (Unit::Seconds, "Seconds"),
    };
    let scale = Scale::fitting(pairs.iter().flat_map(|one| [one.predicted, one.measured]), unit);
    let name = &format!("{title} of each confirmed run, predicted against measured");
    let mut plot = Plot::new(name, (440.0, 330.0), (scale, "predicted"), (scale, "measured"));
    plot.line(&[(scale.low, scale.low), (scale.high, scale.high)], "diagonal", "");
    for one in pairs {
        let class = if one.within_bounds { "s1" } else { "s2" };
        let tip = format!(
            "{}: predicted {}, measured {} ({} to {})",
            named(outcome, one),
            unit.show(one.predicted),
            unit.show(one.measured),
            unit.show(one.low),
            unit.show(one.high)
        );
        plot.line(&[(one.predicted, one.low), (one.predicted, one.high)], &format!("whisker {class}"), "");
        plot.dot((one.predicted, one.measured), 4.5, &format!("mark {class}"), &tip);
    }
    let keys = [("s1", "within bounds".to_owned()), ("s2", "outside".to_owned())];
    figure(&format!("{title}: predicted and measured"), &plot.finish(), &legend(keys))
}

/// For each metric, measured / predicted of every pair.
fn ratios(outcome: &Outcome) -> String {
    let all = &outcome.trust.confirmations;
    let mut metrics: Vec<&str> = Vec::new();
    for one in all {
        if !metrics.contains(&&*one.metric) {
            metrics.push(&one.metric);
        }
    }
    let ratio = |one: &Confirmation| if one.predicted == one.measured { 1.0 } else { one.measured / one.predicted };
    let spread =
        all.iter().map(ratio).filter(|r| r.is_finite() && *r > 0.0).map(|r| r.max(1.0 / r)).fold(1.05, f64::max);
    let (width, height) = (440.0, 330.0);
    let (left, right, top, bottom) = (82.0, 14.0, 10.0, 42.0);
    let at = |r: f64| left + (r.ln() / spread.ln() / 1.1 + 1.0) / 2.0 * (width - left - right);
    let step = (height - top - bottom) / metrics.len() as f64;
    let mut out = String::new();
    for r in [1.0 / spread, 1.0 / spread.sqrt(), 1.0, spread.sqrt(), spread] {
        let (x, class) = (at(r), if r == 1.0 { "axis" } else { "grid" });
        out.push_str(&format!("<path class=\"{class}\" d=\"M{x:.1} {top}V{}\"/>", height - bottom));
        out.push_str(&format!(
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{r:.2}</text>",
            height - bottom + 15.0
        ));
    }
    for (n, metric) in metrics.iter().enumerate() {
        let y = top + (n as f64 + 0.5) * step;
        let name = escape(metric);
        out.push_str(&format!(
            "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            left - 8.0,
            y + 3.5
        ));
        for (k, one) in all.iter().filter(|one| one.metric == *metric).enumerate() {
            let r = ratio(one);
            if !(r.is_finite() && r > 0.0) {
                continue;
            }
            // Spread over the row's height so that equal ratios stay apart.
            let y = y + ((k * 5 % 9) as f64 / 8.0 - 0.5) * step * 0.5;
            let class = if one.within_bounds { "s1" } else { "s2" };
            let tip = escape(&format!("{}: {metric} measured / predicted {r:.3}", named(outcome, one)));
            out.push_str(&format!(
                "<circle class=\"mark {class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{tip}</title></circle>",
                at(r)
            ));
        }
    }
    let label = (left + width - right) / 2.0;
    let drawing = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Measured over predicted, by metric\">\
         {out}<text class=\"label\" text-anchor=\"middle\" x=\"{label}\" y=\"{}\">measured / predicted, log scale</text></svg>",
        height - 6.0
    );
    let keys = [("s1", "within bounds".to_owned()), ("s2", "outside".to_owned())];
    figure("Every figure: measured over predicted", &drawing, &legend(keys))
}

fn differences(outcome: &Outcome) -> String {
    if outcome.trust.differences.is_empty() {
        return String::new();
    }
    let head = ["configuration", "its loss by the goal / the recommended one's", words::interval(outcome), "p (Holm)"]
        .map(str::to_owned);
    let rows: Vec<Vec<String>> = outcome
        .trust
        .differences
        .iter()
        .filter_map(|one| {
            let values = outcome.configurations.get(one.other)?.values.join(" ");
            let interval = format!("{:.3} to {:.3}", one.low, one.high);
            Some(vec![values, format!("{:.3}", one.ratio), interval, format!("{:.3}", one.p)])
        })
        .collect();
    format!("<h3>On the real store</h3>{}", table("Paired comparisons", &head, &rows))
}

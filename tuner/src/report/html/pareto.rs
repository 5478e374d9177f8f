//! What else could be chosen: dollars, latency and bytes at risk of every configuration at once.

use super::markup::{absent, figure, legend, section, wide};
use super::plot::Plot;
use super::scale::{Scale, Unit};
use crate::answer::pareto::coordinates;
use crate::outcome::Outcome;
use crate::report::columns;
use crate::report::numbers::bytes;

pub fn pareto(outcome: &Outcome) -> String {
    let lead = "Dollars a month, the slower of read and flush p99, and (by size) bytes at risk. Nothing beats the dark ones \
                in all three.";
    let ran = |n: &usize| !columns::runs(outcome, *n).is_empty();
    let all: Vec<(usize, [f64; 3])> =
        (0..outcome.configurations.len()).filter(ran).map(|n| (n, coordinates(&outcome.configurations[n]))).collect();
    if all.is_empty() {
        return section("pareto", "Trade-offs", lead, &absent("No configuration ran."));
    }
    let x = Scale::fitting(all.iter().map(|(_, at)| at[0]), Unit::Dollars);
    let y = Scale::fitting(all.iter().map(|(_, at)| at[1]), Unit::Milliseconds);
    let most = all.iter().map(|(_, at)| at[2]).fold(1.0, f64::max);
    let name = "Dollars a month against p99; the area of a dot is its bytes at risk";
    let mut plot = Plot::new(name, (880.0, 430.0), (x, "$ per month"), (y, "slower of read and flush p99"));
    let front = outcome.answer.as_ref().map_or(&[][..], |answer| &answer.pareto);
    let recommended = outcome.answer.as_ref().map(|answer| answer.recommended);
    let class = |n: usize| match n {
        n if Some(n) == recommended => "mark s2",
        n if front.contains(&n) => "mark s1",
        n if !outcome.configurations[n].breaks.is_empty() => "mark broken",
        _ => "mark faint",
    };
    // The large ones first, so that none hides a small one; the recommended one on top.
    let mut order = all.clone();
    order.sort_by(|a, b| (Some(a.0) == recommended).cmp(&(Some(b.0) == recommended)).then(b.1[2].total_cmp(&a.1[2])));
    for (n, [dollars, p99, risk]) in order {
        let one = &outcome.configurations[n];
        let broken: String = one.breaks.iter().map(|broken| format!("; breaks {broken}")).collect();
        let tip = format!(
            "{}: {} a month, p99 {}, {} at risk{broken}",
            one.values.join(" "),
            columns::monthly(dollars),
            columns::ms(p99),
            bytes(risk as u64)
        );
        plot.dot((dollars, p99), 3.0 + 15.0 * (risk / most).sqrt(), class(n), &tip);
    }
    for column in columns::columns(outcome) {
        if let Some((_, at)) = all.iter().find(|(n, _)| *n == column.configuration) {
            let lift = if column.roles.contains(&"recommended") { -9.0 } else { 12.0 };
            plot.words((at[0], at[1]), lift, &column.head());
        }
    }
    let keys = [
        ("s2", "recommended".to_owned()),
        ("s1", "nothing beats it".to_owned()),
        ("faint", "beaten by another".to_owned()),
        ("broken", "breaks a demand".to_owned()),
    ];
    let body = figure(&format!("Largest dot: {} at risk", bytes(most as u64)), &wide(&plot.finish()), &legend(keys));
    section("pareto", "Trade-offs", lead, &body)
}

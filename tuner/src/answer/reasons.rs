//! Why each setting has its value: what the other values would have meant with everything else as recommended.

use super::choose::{COST_TIE, FELT, Scores};
use crate::outcome::{Axis, CacheLedger, Configuration, Figures, Reason};

/// PUT counts this near to each other, over delays this far apart, show that something else sets them.
const SAME_PUTS: f64 = 1.05;

/// From this share of PUTs on, flushes set their rate.
const MOST_PUTS: f64 = 0.5;

/// A sentence for each axis that has another value to compare with.
pub fn reasons(configurations: &[Configuration], axes: &[Axis], scores: &Scores, recommended: usize) -> Vec<Reason> {
    let ours = &configurations[recommended];
    let mut reasons = Vec::new();
    for (place, axis) in axes.iter().enumerate() {
        let neighbours: Vec<usize> =
            (0..configurations.len()).filter(|n| differs_only(&configurations[*n], ours, place)).collect();
        let mut parts: Vec<String> = neighbours
            .iter()
            .map(|n| {
                let other = &configurations[*n];
                format!("{} {}", other.values[place], compared(other, ours, scores.of(*n) / scores.of(recommended)))
            })
            .collect();
        match &*axis.name {
            "block-cache-write-delay" => parts.extend(flush_share(ours.runs()).or_else(|| {
                flushes_set_the_puts(ours, &neighbours, configurations).then(|| {
                    "flushes, not the write delay, set the PUT rate: the number of PUTs hardly depends on the delay"
                        .into()
                })
            })),
            "durability" => parts.extend(fewer_puts(ours, &neighbours, configurations, place)),
            _ => {}
        }
        if !parts.is_empty() {
            let value = ours.values[place].clone();
            reasons.push(Reason { setting: axis.name.clone(), value, why: parts.join("; ") });
        }
    }
    reasons
}

fn differs_only(other: &Configuration, ours: &Configuration, place: usize) -> bool {
    // A measurement and a simulation are not compared.
    let alike = !other.runs().is_empty() && other.measured.is_empty() == ours.measured.is_empty();
    alike && other.values.iter().zip(&ours.values).enumerate().all(|(n, (a, b))| (a == b) != (n == place))
}

fn compared(other: &Configuration, ours: &Configuration, score: f64) -> String {
    if let Some(broken) = other.breaks.first() {
        return format!("is ruled out ({broken})");
    }
    let mut parts = vec![match score {
        s if s > FELT => format!("is {} worse", percent(s)),
        s if s < 1.0 / FELT => format!("is {} better by score alone", percent(1.0 / s)),
        _ => "is as good".to_owned(),
    }];
    let (dollars, our_dollars) = (other.summary.dollars_per_month, ours.summary.dollars_per_month);
    if our_dollars > 0.0 && dollars / our_dollars > COST_TIE {
        parts.push(format!("costs {} more", percent(dollars / our_dollars)));
    } else if dollars > 0.0 && our_dollars / dollars > COST_TIE {
        parts.push(format!("costs {:.0} % less", (1.0 - dollars / our_dollars) * 100.0));
    }
    let (risk, our_risk) = (other.summary.at_risk_bytes as f64, ours.summary.at_risk_bytes as f64);
    if risk > 2.0 * our_risk.max(1.0) {
        parts.push("puts more than twice the bytes at risk".into());
    } else if our_risk > 2.0 * risk {
        parts.push("puts less than half the bytes at risk".into());
    }
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

/// 1.25 is `25 %`; 3.4 is `3.4 times`.
fn percent(ratio: f64) -> String {
    if ratio < 2.0 { format!("{:.0} %", (ratio - 1.0) * 100.0) } else { format!("{ratio:.1} times") }
}

fn puts(one: &Configuration) -> f64 {
    one.runs().iter().map(|run| run.ledger.store.puts).sum::<u64>() as f64
}

/// Said where most PUTs of these runs were forced by a flush.
pub fn flush_share(runs: &[Figures]) -> Option<String> {
    let mut all = CacheLedger::default();
    for run in runs {
        let one = run.ledger.cache;
        all.delay_stores += one.delay_stores;
        all.flush_stores += one.flush_stores;
        all.pressure_stores += one.pressure_stores;
    }
    let share = all.forced_by_flush().filter(|share| *share >= MOST_PUTS)?;
    Some(format!(
        "flushes, not the write delay, set the PUT rate ({:.0} % of PUTs were forced by a flush): a longer write delay changes \
         little; durability = journal would",
        share * 100.0
    ))
}

/// What flushes that wait for the store cost in PUTs, where another durability was tried.
fn fewer_puts(ours: &Configuration, neighbours: &[usize], all: &[Configuration], place: usize) -> Option<String> {
    let told = |one: &Configuration| format!("{} with {}", puts(one), one.values[place]);
    let others: Vec<String> = neighbours.iter().map(|n| told(&all[*n])).collect();
    (!others.is_empty()).then(|| format!("PUTs: {}, {}", told(ours), others.join(", ")))
}

/// Whether delays at least four times apart make no difference to the PUTs although the workload flushes.
fn flushes_set_the_puts(ours: &Configuration, neighbours: &[usize], configurations: &[Configuration]) -> bool {
    let flushes: u64 = ours.runs().iter().map(|run| run.ledger.host.flushes).sum();
    let near = |n: &usize| {
        let ratio = puts(&configurations[*n]) / puts(ours).max(1.0);
        (1.0 / SAME_PUTS..=SAME_PUTS).contains(&ratio)
    };
    flushes > 0 && puts(ours) > 0.0 && neighbours.len() >= 2 && neighbours.iter().all(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::choose::{Question, choose};
    use crate::answer::goal::GoalKind;
    use crate::outcome::{Figures, HostLedger, Ledger, PriceTable, StoreLedger, Summary};
    use crate::prices::Reader;

    fn configuration(values: [&str; 2], seconds: f64, dollars: f64, puts: u64) -> Configuration {
        let (host, store) = (HostLedger { flushes: 9, ..HostLedger::default() }, StoreLedger::default());
        let ledger = Ledger { host, store: StoreLedger { puts, ..store }, ..Ledger::default() };
        Configuration {
            values: values.map(str::to_owned).to_vec(),
            simulated: vec![Figures { seconds, ledger, ..Figures::default() }],
            summary: Summary { dollars_per_month: dollars, ..Summary::default() },
            ..Configuration::default()
        }
    }

    #[test]
    fn flushes_that_force_most_puts_are_named_with_what_would_help() {
        let mut all =
            [configuration(["2s", "store"], 1.0, 10.0, 100), configuration(["5s", "store"], 1.0, 9.0, 90)].to_vec();
        all.push(configuration(["2s", "journal"], 2.0, 3.0, 30));
        for one in &mut all[..2] {
            let cache = &mut one.simulated[0].ledger.cache;
            (cache.delay_stores, cache.flush_stores) = (17, 83);
        }
        let axis = |name: &str| Axis { name: name.into(), title: name.into(), values: vec![] };
        let question = Question {
            configurations: &all,
            weights: &[1.0],
            goal: GoalKind::Throughput,
            prices: &PriceTable::standard(),
            reader: Reader::InRegion,
            pool: &[0],
            block_size: None,
            threads: None,
            default: None,
            tie: 1.0,
        };
        let (scores, _) = choose(&question);
        let said = reasons(&all, &[axis("block-cache-write-delay"), axis("durability")], &scores, 0);
        assert!(
            said[0].why.ends_with(
                "set the PUT rate (83 % of PUTs were forced by a flush): a longer write delay changes little; durability = \
                 journal would"
            ),
            "{}",
            said[0].why
        );
        assert!(said[1].why.ends_with("PUTs: 100 with store, 30 with journal"), "{}", said[1].why);
        assert_eq!(flush_share(&all[2].simulated), None, "nobody counted");
    }

    #[test]
    fn every_axis_is_compared_with_everything_else_as_recommended() {
        let mut all = vec![
            configuration(["256k", "250ms"], 1.0, 10.0, 100),
            configuration(["64k", "250ms"], 1.5, 40.0, 400),
            configuration(["256k", "0"], 1.01, 10.2, 104),
            configuration(["256k", "2s"], 1.01, 8.0, 98),
            configuration(["64k", "2s"], 9.0, 9.0, 9),
        ];
        all[3].summary.at_risk_bytes = 100;
        let axis = |name: &str| Axis { name: name.into(), title: name.into(), values: vec![] };
        let question = Question {
            configurations: &all,
            weights: &[1.0],
            goal: GoalKind::Throughput,
            prices: &PriceTable::standard(),
            reader: Reader::InRegion,
            pool: &[0, 1, 2, 4],
            block_size: Some(0),
            threads: None,
            default: None,
            tie: 1.0,
        };
        let (scores, answer) = choose(&question);
        let axes = [axis("block-size"), axis("block-cache-write-delay")];
        let reasons = reasons(&all, &axes, &scores, answer.unwrap().recommended);
        assert_eq!((reasons.len(), &*reasons[0].value), (2, "256k"));
        assert_eq!(reasons[0].why, "64k is 50 % worse and costs 4.0 times more");
        assert_eq!(
            reasons[1].why,
            "0 is as good; 2s is as good, costs 20 % less and puts more than twice the bytes at risk; flushes, not the \
             write delay, set the PUT rate: the number of PUTs hardly depends on the delay"
        );
    }

    #[test]
    fn what_ran_for_real_is_compared_with_what_ran_for_real() {
        let mut all = vec![
            configuration(["256k", "250ms"], 1.0, 10.0, 100),
            configuration(["64k", "250ms"], 1.5, 10.0, 100),
            configuration(["1m", "250ms"], 0.5, 10.0, 100),
        ];
        for (one, seconds) in all[..2].iter_mut().zip([2.0, 4.0]) {
            one.measured = vec![Figures { seconds, ..Figures::default() }];
        }
        let question = Question {
            configurations: &all,
            weights: &[1.0],
            goal: GoalKind::Throughput,
            prices: &PriceTable::standard(),
            reader: Reader::InRegion,
            pool: &[0, 1],
            block_size: Some(0),
            threads: None,
            default: None,
            tie: 1.0,
        };
        let (scores, answer) = choose(&question);
        let axes = [Axis { name: "block-size".into(), title: "block-size".into(), values: vec![] }];
        let reasons = reasons(&all, &axes, &scores, answer.unwrap().recommended);
        assert_eq!(
            reasons[0].why, "64k is 2.0 times worse",
            "not the simulated 1m, which would look four times better"
        );
    }
}

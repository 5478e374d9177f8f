//! Whether two outcomes answer the same question, and what only one of them has.

use sha2::{Digest, Sha256};

use crate::answer::goal::GoalKind;
use crate::outcome::{Outcome, PriceTable};
use crate::statistics::{ALIKE_ROUNDS, LEAST_ROUNDS};

/// Why they cannot be compared, a sentence each.
pub fn differences(base: &Outcome, new: &Outcome, real: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} in the base, {b} in the new"));
        }
    };
    differ("schema", base.schema.clone(), new.schema.clone());
    let kind = |one: &Outcome| crate::report::words::place(one.place.kind).to_owned();
    differ("goal", base.goal.name.clone(), new.goal.name.clone());
    differ("kind of place", kind(base), kind(new));
    let axes = |one: &Outcome| {
        let all: Vec<String> = one.axes.iter().map(|axis| format!("{}={}", axis.name, axis.values.join(","))).collect();
        all.join(" ")
    };
    differ("settings that vary", axes(base), axes(new));
    // Names, sizes and lengths: another file under the same name is another workload.
    let workloads = |one: &Outcome| {
        let all: Vec<String> = one
            .workloads
            .iter()
            .map(|one| {
                format!(
                    "{} ({} operations, {} bytes, {:.3} s, compressibility {}, zero share {})",
                    one.name, one.ops, one.bytes, one.seconds, one.compressibility, one.zero_share
                )
            })
            .collect();
        all.join(", ")
    };
    differ("workloads", workloads(base), workloads(new));
    differ("seed", base.run.seed.to_string(), new.run.seed.to_string());
    if real && uses_dollars(&base.goal.name) {
        // The goal's number has the dollars in it.
        let prices = |one: &Outcome| format!("{}, {} ({})", one.prices.name, one.prices.dated, digest(&one.prices));
        differ("prices", prices(base), prices(new));
    }
    if let Some((a, b)) = other_settings(base, new) {
        differ("settings that do not vary", a, b);
    }
    if real {
        differ("place", base.place.description.clone(), new.place.description.clone());
    } else {
        // Simulated figures are those of the model, which may stand for several places. That of a real store is measured
        // anew each time; it decides nothing where real runs are compared.
        differ("model (its hash)", hash(&base.place.model_toml), hash(&new.place.model_toml));
    }
    found
}

fn uses_dollars(goal: &str) -> bool {
    [GoalKind::Cost, GoalKind::Balanced].iter().any(|kind| kind.name() == goal)
}

fn digest(prices: &PriceTable) -> String {
    hash(&serde_json::to_string(prices).expect("plain data is always JSON"))
}

/// What the settings of the same configuration differ in; nothing if in nothing. How a store is reached is no setting of
/// a volume.
fn other_settings(base: &Outcome, new: &Outcome) -> Option<(String, String)> {
    fn lines(toml: &str) -> Vec<&str> {
        let told = |line: &&str| !["#", "base-url", "access-"].iter().any(|start| line.starts_with(start));
        toml.lines().filter(told).filter(|line| !line.is_empty()).collect()
    }
    pairs(base, new).into_iter().find_map(|(b, n)| {
        let [ours, theirs] = [&base.configurations[b], &new.configurations[n]].map(|one| lines(&one.settings_toml));
        let only = |these: &[&str], those: &[&str]| {
            let found: Vec<&str> = these.iter().copied().filter(|line| !those.contains(line)).collect();
            if found.is_empty() { "nothing else".to_owned() } else { found.join(", ") }
        };
        (ours != theirs).then(|| (only(&ours, &theirs), only(&theirs, &ours)))
    })
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Indices of the same configuration in both, in the base's order.
pub fn pairs(base: &Outcome, new: &Outcome) -> Vec<(usize, usize)> {
    let place = |values: &[String]| new.configurations.iter().position(|one| one.values == values);
    base.configurations.iter().enumerate().filter_map(|(n, one)| Some((n, place(&one.values)?))).collect()
}

/// What the base had and the new one cannot be held against.
pub fn gaps(base: &Outcome, new: &Outcome, pairs: &[(usize, usize)], real: bool) -> Vec<String> {
    let mut found = Vec::new();
    let lost = base.configurations.len() - pairs.len();
    if lost > 0 && !real {
        found.push(format!("{lost} configurations of the base are not in the new one"));
    }
    let ran = |b: &usize, n: &usize| {
        let (base, new) = (&base.configurations[*b], &new.configurations[*n]);
        let (had, has) = if real {
            (!base.measured.is_empty(), super::real::ran(base, new))
        } else {
            (!base.simulated.is_empty(), !new.simulated.is_empty())
        };
        has || !had
    };
    let missing = pairs.iter().filter(|(b, n)| !ran(b, n)).count();
    if missing > 0 {
        let what = if real { "run for real" } else { "simulated" };
        found.push(format!("{missing} configurations of the base were not {what} in the new one"));
    }
    if let Some(why) = &new.run.stopped {
        found.push(format!("the new run stopped early: {why}"));
    }
    found
}

/// That so many real rounds of the base and of the new one show too little, if they do.
pub fn too_few([base, new]: [usize; 2]) -> Option<String> {
    (base.min(new) < ALIKE_ROUNDS).then(|| {
        format!(
            "{base} real rounds in the base, {new} in the new: only {LEAST_ROUNDS} on both sides can show that something is \
             worse, and only {ALIKE_ROUNDS} that nothing is"
        )
    })
}

/// Told, never judged: other prices, another recommendation.
pub fn remarks(base: &Outcome, new: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if base.prices != new.prices {
        found.push(format!(
            "the prices differ ({}, {} and {}, {}), so dollars were not compared",
            base.prices.name, base.prices.dated, new.prices.name, new.prices.dated
        ));
    }
    let chosen = |one: &Outcome| {
        let answer = one.answer.as_ref()?;
        Some(one.configurations.get(answer.recommended)?.values.join(" "))
    };
    let (base, new) = (chosen(base), chosen(new));
    if base != new {
        let shown = |one: Option<String>| one.unwrap_or_else(|| "nothing".into());
        found.push(format!("the recommendation changed from {} to {}", shown(base), shown(new)));
    }
    found
}

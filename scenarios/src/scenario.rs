//! A scenario: a question, and the generated operations that answer it. Data, not code: one TOML file each.
//!
//! ```toml
//! name = "fsync-small"            # lower case, digits, dashes
//! question = "How long does a small synchronous write take?"
//! span = "4m"                     # the part of the volume it works in
//! depth = 1                       # operations outstanding when run as fast as possible (closed loop)
//! prefill = true                  # the span holds data before the first operation
//! seed = 11
//! arrivals = { kind = "poisson", mean-us = 20000 }    # or "regular"; when run by schedule (open loop)
//! content = { compressibility = 2.0, zero-share = 0.05 }
//! [[phase]]                       # one after the other; see `Shape` for the kinds
//! shape = "fsync-writes"
//! request = "4k"
//! requests = 16
//! writes-per-flush = 1
//! ```

use serde::Deserialize;

use crate::content::ContentProperties;
use crate::op::{Op, OpKind};
use crate::random::Random;
use crate::shapes::Shape;
use crate::size::Size;

/// The scenarios that come with the program, in the order they are shown.
const BUILT_IN: [(&str, &str); 5] = [
    ("sequential-write", include_str!("../data/sequential-write.toml")),
    ("sequential-read", include_str!("../data/sequential-read.toml")),
    ("random-mix", include_str!("../data/random-mix.toml")),
    ("fsync-small", include_str!("../data/fsync-small.toml")),
    ("discard", include_str!("../data/discard.toml")),
];

/// What is wrong with a scenario.
#[derive(Debug, thiserror::Error)]
#[error("scenario {name}: {what}")]
pub struct ScenarioError {
    name: String,
    what: String,
}

/// Generated operations with a question.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    pub name: String,
    pub question: String,
    pub span: Size,
    pub depth: u32,
    #[serde(default)]
    pub prefill: bool,
    #[serde(default)]
    pub seed: u64,
    pub arrivals: Arrivals,
    #[serde(default)]
    pub content: ContentProperties,
    #[serde(rename = "phase", default)]
    pub phases: Vec<Shape>,
}

/// When operations want to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Arrivals {
    pub kind: ArrivalKind,
    /// Mean time between two operations, in microseconds.
    pub mean_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalKind {
    Regular,
    Poisson,
}

impl Scenario {
    /// All scenarios that come with the program.
    pub fn built_in() -> Vec<Scenario> {
        let parse = |(name, text): &(&str, &str)| match Self::parse(name, text) {
            Ok(scenario) => scenario,
            Err(error) => unreachable!("a shipped scenario is wrong (a test reads them all): {error}"),
        };
        BUILT_IN.iter().map(parse).collect()
    }

    pub fn built_in_named(name: &str) -> Option<Scenario> {
        Self::built_in().into_iter().find(|scenario| scenario.name == name)
    }

    /// Reads a scenario; `origin` names it in errors.
    ///
    /// # Errors
    /// Bad TOML, unknown keys, or values out of range, each with the key, the value and one that works.
    pub fn parse(origin: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let wrong = |what: String| ScenarioError { name: origin.to_owned(), what };
        let scenario: Scenario = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match scenario.fault() {
            Some(fault) => Err(wrong(fault)),
            None => Ok(scenario),
        }
    }

    fn fault(&self) -> Option<String> {
        let (span, content) = (self.span.0, self.content);
        if self.name.is_empty() || !self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Some(format!("name = {:?}: lower case letters, digits and dashes; try \"my-load\"", self.name));
        }
        if span == 0 || !span.is_multiple_of(512) || span > 1 << 50 {
            return Some(format!("span = {span}: a positive multiple of 512 up to 2^50; try span = \"64m\""));
        }
        if !(1..=4096).contains(&self.depth) {
            return Some(format!("depth = {}: 1 to 4096; try depth = 16", self.depth));
        }
        // An hour between two operations is a mistake of units; sums of more would overflow.
        if self.arrivals.mean_us > 3_600_000_000 {
            return Some(format!("mean-us = {}: at most 3600000000; try mean-us = 1000", self.arrivals.mean_us));
        }
        if !(1.0..=512.0).contains(&content.compressibility) {
            let given = content.compressibility;
            return Some(format!("compressibility = {given}: 1 (incompressible) to 512; try compressibility = 2.0"));
        }
        if !(0.0..=1.0).contains(&content.zero_share) {
            return Some(format!("zero-share = {}: 0 to 1; try zero-share = 0.1", content.zero_share));
        }
        if self.phases.is_empty() {
            return Some("no [[phase]]: at least one; see the built-in scenarios".into());
        }
        let faults = self.phases.iter().enumerate();
        faults.filter_map(|(n, shape)| Some(format!("phase {}: {}", n + 1, shape.fault(span)?))).next()
    }

    /// The same with `factor` times the requests on `factor` times the span.
    #[must_use]
    pub fn scaled(mut self, factor: u64) -> Self {
        self.span.0 = self.span.0.saturating_mul(factor).min(1 << 50);
        self.phases.iter_mut().for_each(|shape| shape.multiply(factor));
        self
    }

    /// The operations, the same for the same scenario on every machine.
    pub fn ops(&self) -> impl Iterator<Item = Op> + Send + use<> {
        let (span, seed, arrivals) = (self.span.0, self.seed, self.arrivals);
        let phases = self.phases.clone().into_iter().enumerate();
        // A stream of random numbers of its own for each phase and for time: changing one leaves the others.
        let steps = phases.flat_map(move |(n, shape)| shape.steps(span, seed.wrapping_add(n as u64 + 1)));
        let mut random = Random::new(seed);
        let mut time_ns = 0u64;
        steps.map(move |(kind, offset, len)| {
            let op = Op::new(time_ns, kind, offset, len);
            let mean_ns = arrivals.mean_us * 1000;
            let gap = match arrivals.kind {
                ArrivalKind::Regular => mean_ns,
                ArrivalKind::Poisson => random.exponential(mean_ns),
            };
            time_ns = time_ns.saturating_add(gap);
            op
        })
    }

    /// Whether any phase makes operations of this kind.
    pub fn has(&self, kind: OpKind) -> bool {
        self.phases.iter().any(|shape| match (kind, shape) {
            (OpKind::Read, shape) => shape.reads(),
            (OpKind::Write, Shape::ZipfMix { read_percent, .. }) => *read_percent < 100,
            (OpKind::Write, Shape::SequentialWrite { .. } | Shape::FsyncWrites { .. }) => true,
            (OpKind::Flush, Shape::FsyncWrites { .. } | Shape::Flush) => true,
            (OpKind::Discard, Shape::Discard { .. }) => true,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_sound_and_stays_inside_its_span() {
        for scenario in Scenario::built_in() {
            assert!(scenario.question.ends_with('?'), "{} asks nothing", scenario.name);
            assert_eq!(Scenario::built_in_named(&scenario.name).as_ref(), Some(&scenario));
            let (mut count, mut last) = (0, 0);
            for op in scenario.ops() {
                assert!(op.end() <= scenario.span.0 && op.time_ns >= last, "{}: {op:?}", scenario.name);
                assert!(scenario.has(op.kind), "{}: {op:?}", scenario.name);
                last = op.time_ns;
                count += 1;
            }
            assert!(count > 10, "{}: {count} operations", scenario.name);
        }
    }

    /// A changed number here changes everybody's results: say why in docs/decisions.
    #[test]
    fn same_seed_same_operations_on_every_machine() {
        let print = |scenario: &Scenario| {
            scenario.ops().fold(0xcbf2_9ce4_8422_2325u64, |hash, op| {
                [op.time_ns, op.kind as u64, op.offset, op.len]
                    .into_iter()
                    .fold(hash, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3))
            })
        };
        let prints: Vec<(String, u64)> = Scenario::built_in().iter().map(|s| (s.name.clone(), print(s))).collect();
        let golden: [(&str, u64); 5] = [
            ("sequential-write", 12781192611081539487),
            ("sequential-read", 13853880217126517029),
            ("random-mix", 9573993761859627452),
            ("fsync-small", 18305523789287495719),
            ("discard", 18149838253144799381),
        ];
        assert_eq!(prints, golden.map(|(name, print)| (name.to_owned(), print)));
    }

    #[test]
    fn scaling_multiplies_requests_and_span() {
        let small = Scenario::built_in_named("sequential-write").unwrap();
        let large = small.clone().scaled(3);
        assert_eq!(large.span.0, 3 * small.span.0);
        let writes = |s: &Scenario| s.ops().filter(|op| op.kind == OpKind::Write).count();
        assert_eq!(writes(&large), 3 * writes(&small));
    }

    #[test]
    fn a_wrong_value_is_answered_with_one_that_works() {
        let base = "name = \"x\"\nquestion = \"?\"\nspan = \"1m\"\ndepth = 1\n\
                    arrivals = { kind = \"regular\", mean-us = 5 }\n";
        let zipf = "[[phase]]\nshape = \"zipf-mix\"\nrequest = \"4k\"\nrequests = 9\n";
        for (text, hint) in [
            (base.replace("1m", "100"), "try span = \"64m\""),
            (base.replace("depth = 1", "depth = 0"), "try depth = 16"),
            (base.to_owned(), "phase"),
            (format!("{base}{zipf}read-percent = 170\ntheta = 1.0\n"), "try read-percent = 70"),
            (format!("{base}{zipf}read-percent = 70\ntheta = -1.0\n"), "try theta = 0.99"),
            (format!("{base}{zipf}read-percent = 70\ntheta = 1.0\ncolour = 2\n"), "colour"),
            (format!("{base}[[phase]]\nshape = \"discard\"\nrequest = \"2m\"\nrequests = 1\n"), "try request = 4096"),
            (format!("{base}[[phase]]\nshape = \"discard\"\nrequest = \"2x\"\nrequests = 1\n"), "is not a size"),
            (format!("{base}[[phase]]\nshape = \"spiral\"\n"), "spiral"),
        ] {
            let message = Scenario::parse("x", &text).expect_err(&text).to_string();
            assert!(message.contains(hint), "{message}");
        }
    }
}

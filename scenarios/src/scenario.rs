//! A scenario: a question, and the generated operations that answer it. Data, not code: one TOML file each, whose
//! every key is explained in `docs/SCENARIOS.md`.
//!
//! Phases follow one another; the streams of a phase run side by side and are merged by time. Operations are made as
//! they are asked for: memory does not depend on how many there are. Same file, same operations, on every machine:
//! whatever reaches an operation is integer arithmetic (see [`crate::random`]).

use std::sync::Arc;

use crate::content::ContentProperties;
use crate::op::Op;
use crate::size::Size;

mod arrivals;
mod built_in;
mod estimate;
mod keys;
mod raw;
mod schema;
mod shape;
mod small_files;
mod step;
mod stream;

pub use schema::ScenarioError;
pub use stream::StreamProperties;

use shape::Kept;
use stream::{Stream, StreamOps};

/// Generated operations with a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub name: String,
    pub question: String,
    /// The part of the volume it works in.
    pub span: Size,
    /// Operations outstanding when run as fast as possible (closed loop).
    pub depth: u32,
    pub seed: u64,
    /// So much of the span holds data before the first operation, from its start on.
    pub prefill: Size,
    /// What writes carry where a stream says nothing else, and what the prefilled part holds.
    pub content: ContentProperties,
    /// How often the phases are gone through.
    repeat: u64,
    phases: Arc<[Phase]>,
}

/// Streams side by side, each with its number within the scenario.
#[derive(Clone, Debug, PartialEq)]
struct Phase {
    streams: Vec<(usize, Stream)>,
}

impl Scenario {
    /// Largest span, in bytes.
    pub const MAX_SPAN: u64 = 1 << 50;

    /// The scenarios that model something a person would recognise, in the order they are shown.
    pub fn built_in() -> Vec<Scenario> {
        built_in::all(&built_in::BUILT_IN)
    }

    /// Small ones, of one kind of operation each: for tests, and for sweeps that cost real time.
    pub fn basic() -> Vec<Scenario> {
        built_in::all(&built_in::BASIC)
    }

    /// A built-in or a basic one.
    pub fn named(name: &str) -> Option<Scenario> {
        Self::parse(name, Self::text_of(name)?).ok()
    }

    /// The file of a built-in or a basic one.
    pub fn text_of(name: &str) -> Option<&'static str> {
        built_in::text_of(name)
    }

    /// Reads a scenario; `origin` names it in errors.
    ///
    /// # Errors
    /// Bad TOML, unknown keys, or values out of range, each with the line, the key, the value and one that works.
    pub fn parse(origin: &str, text: &str) -> Result<Scenario, ScenarioError> {
        schema::parse(origin, text)
    }

    /// What each stream's operations share, by [`crate::op::Origin::stream`].
    pub fn streams(&self) -> Vec<StreamProperties> {
        self.phases.iter().flat_map(|phase| &phase.streams).map(|(_, stream)| stream.properties).collect()
    }

    /// The same, `factor` times as long on a span `factor` times as large, at most [`Scenario::MAX_SPAN`].
    #[must_use]
    pub fn scaled(mut self, factor: u64) -> Self {
        let factor = factor.clamp(1, (Self::MAX_SPAN / self.span.0).max(1));
        self.span.0 *= factor;
        self.prefill.0 *= factor;
        let mut phases = self.phases.to_vec();
        phases.iter_mut().flat_map(|phase| &mut phase.streams).for_each(|(_, stream)| stream.multiply(factor));
        self.phases = phases.into();
        self
    }

    /// The operations in order of time: never empty, inside the span.
    pub fn ops(&self) -> Ops {
        Ops {
            phases: self.phases.clone(),
            seed: self.seed,
            rounds_left: self.repeat,
            round: 0,
            next_phase: 0,
            start_ns: 0,
            running: Vec::new(),
            kept: vec![Kept::default(); self.phases.iter().map(|phase| phase.streams.len()).sum()],
        }
    }
}

/// The operations of a scenario. Holds one operation of each stream of the current phase.
pub struct Ops {
    phases: Arc<[Phase]>,
    seed: u64,
    /// This round included.
    rounds_left: u64,
    round: u64,
    next_phase: usize,
    /// Of the current phase.
    start_ns: u64,
    /// In the order of the file, which decides between operations of the same time.
    running: Vec<Running>,
    /// Of every stream, for its next round.
    kept: Vec<Kept>,
}

struct Running {
    number: usize,
    ops: StreamOps,
    next: Option<Op>,
}

impl Ops {
    /// False: that was the last phase.
    fn start_phase(&mut self) -> bool {
        for over in self.running.drain(..) {
            self.start_ns = self.start_ns.max(over.ops.end_ns());
            self.kept[over.number] = over.ops.kept();
        }
        if self.next_phase == self.phases.len() {
            (self.next_phase, self.round, self.rounds_left) = (0, self.round + 1, self.rounds_left - 1);
        }
        if self.rounds_left == 0 {
            return false;
        }
        for (number, stream) in &self.phases[self.next_phase].streams {
            let kept = std::mem::take(&mut self.kept[*number]);
            let mut ops = StreamOps::new(stream, *number, self.seed, self.round, self.start_ns, kept);
            let next = ops.next();
            self.running.push(Running { number: *number, ops, next });
        }
        self.next_phase += 1;
        true
    }
}

impl Iterator for Ops {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        loop {
            let waiting = self.running.iter_mut().filter(|stream| stream.next.is_some());
            // The first of several minima: the one that stands first in the file.
            if let Some(first) = waiting.min_by_key(|stream| stream.next.map(|op| op.time_ns)) {
                return std::mem::replace(&mut first.next, first.ops.next());
            }
            if self.rounds_left == 0 || !self.start_phase() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;

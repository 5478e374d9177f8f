//! What streams are made of: request sizes, areas, and operations that have no time yet.

use crate::op::OpKind;
use crate::random::Random;

/// Request sizes, drawn in proportion to their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes, weight; at least one, no weight 0.
    pub(super) weighted: Vec<(u64, u64)>,
}

impl Sizes {
    pub(super) fn smallest(&self) -> u64 {
        self.weighted.iter().map(|(size, _)| *size).min().unwrap_or(1)
    }

    pub(super) fn largest(&self) -> u64 {
        self.weighted.iter().map(|(size, _)| *size).max().unwrap_or(1)
    }

    /// Of what each size amounts to, at least 1.
    pub(super) fn mean(&self, of: impl Fn(u64) -> u64) -> u64 {
        let weights: u128 = self.weighted.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let sum: u128 = self.weighted.iter().map(|(size, weight)| u128::from(of(*size)) * u128::from(*weight)).sum();
        u64::try_from(sum / weights.max(1)).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        if let [(only, _)] = self.weighted[..] {
            return only;
        }
        let mut at = random.below(self.weighted.iter().map(|(_, weight)| weight).sum());
        for (size, weight) in &self.weighted {
            if at < *weight {
                return *size;
            }
            at -= weight;
        }
        self.smallest()
    }
}

/// A part of the span, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub start: u64,
    pub len: u64,
}

/// What a shape yields: an operation without its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub kind: OpKind,
    pub offset: u64,
    pub len: u64,
    /// The next one starts at the same time.
    pub together: bool,
    /// A flush belongs behind it.
    pub flush: bool,
}

impl Step {
    pub(super) fn new(kind: OpKind, offset: u64, len: u64) -> Self {
        Self { kind, offset, len, together: false, flush: false }
    }
}

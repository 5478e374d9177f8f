//! Traces whose times are whole seconds: what shares a second is spread evenly over it.
//!
//! Left at the second's start, its requests would look like one burst. How many share a second is known only at its
//! end, so they are held back; of a second with very many, each full batch gets half of what is left of the second.

use std::collections::VecDeque;

use super::{RawOp, RawOps, Skipped, TraceError};

const SECOND_NS: u64 = 1_000_000_000;

/// Operations held back: about 6 MiB.
const BATCH: usize = 1 << 17;

pub struct WholeSeconds {
    raw: Box<dyn RawOps>,
    batch: usize,
    /// Spread and ready.
    ready: VecDeque<RawOp>,
    /// The first of the next second.
    next: Option<RawOp>,
    error: Option<TraceError>,
    /// The second under way, and where in it the next batch begins.
    second_ns: u64,
    begin_ns: u64,
    back_in_time: u64,
}

impl WholeSeconds {
    pub fn new(raw: Box<dyn RawOps>) -> Self {
        Self::with_batch(raw, BATCH)
    }

    fn with_batch(raw: Box<dyn RawOps>, batch: usize) -> Self {
        let (ready, next, error) = (VecDeque::new(), None, None);
        Self { raw, batch, ready, next, error, second_ns: 0, begin_ns: 0, back_in_time: 0 }
    }

    /// Collects what shares a second, and spreads it.
    fn gather(&mut self) {
        let mut whole = true;
        if let Some(op) = self.next.take() {
            (self.second_ns, self.begin_ns) = (op.time_ns, 0);
            self.ready.push_back(op);
        }
        while self.error.is_none() {
            if self.ready.len() >= self.batch {
                whole = false;
                break;
            }
            match self.raw.next() {
                Ok(Some(op)) if op.time_ns > self.second_ns && !self.ready.is_empty() => {
                    self.next = Some(op);
                    break;
                }
                Ok(Some(op)) => {
                    if op.time_ns > self.second_ns {
                        (self.second_ns, self.begin_ns) = (op.time_ns, 0);
                    }
                    self.back_in_time += u64::from(op.time_ns < self.second_ns);
                    self.ready.push_back(op);
                }
                Ok(None) => break,
                Err(error) => self.error = Some(error),
            }
        }
        let left = SECOND_NS - self.begin_ns;
        let share = if whole { left } else { left / 2 };
        let count = self.ready.len().max(1) as u64;
        for (op, number) in self.ready.iter_mut().zip(0u64..) {
            op.time_ns = self.second_ns.saturating_add(self.begin_ns + share * number / count);
        }
        self.begin_ns += if whole { 0 } else { share };
    }
}

impl RawOps for WholeSeconds {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        if self.ready.is_empty() {
            self.gather();
        }
        match (self.ready.pop_front(), self.error.take()) {
            (None, Some(error)) => Err(error),
            (op, error) => {
                self.error = error;
                Ok(op)
            }
        }
    }

    fn notices(&self) -> Vec<String> {
        self.raw.notices()
    }

    fn skipped(&self) -> Skipped {
        let raw = self.raw.skipped();
        Skipped { back_in_time: raw.back_in_time + self.back_in_time, ..raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::OpKind;

    struct Times(std::vec::IntoIter<u64>);

    impl RawOps for Times {
        fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
            Ok(self.0.next().map(|second| RawOp::new(second * SECOND_NS, OpKind::Read, 0, 512)))
        }

        fn skipped(&self) -> Skipped {
            Skipped::default()
        }
    }

    fn spread(seconds: Vec<u64>, batch: usize) -> (Vec<f64>, u64) {
        let mut spread = WholeSeconds::with_batch(Box::new(Times(seconds.into_iter())), batch);
        let mut times = Vec::new();
        while let Some(op) = spread.next().unwrap() {
            times.push(op.time_ns as f64 / 1e9);
        }
        (times, spread.skipped().back_in_time)
    }

    #[test]
    fn a_second_is_shared_evenly_and_never_left() {
        assert_eq!(spread(vec![5, 5, 7, 6, 7, 7, 9], 100).0, [5.0, 5.5, 7.0, 7.25, 7.5, 7.75, 9.0]);
        assert_eq!(spread(vec![5, 5, 7, 6], 100).1, 1);
        assert_eq!(spread(vec![0; 5], 2).0, [0.0, 0.25, 0.5, 0.625, 0.75]);
        assert_eq!(spread(vec![0, 0, 0, 0, 1], 2).0, [0.0, 0.25, 0.5, 0.625, 1.0]);
    }
}

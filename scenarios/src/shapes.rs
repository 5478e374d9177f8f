//! The shapes of synthetic I/O. Each knows offsets and order; times come from the scenario's arrivals.

use serde::Deserialize;

use crate::op::OpKind;
use crate::random::{Random, Zipf};
use crate::size::Size;

/// One phase of a scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// The span from its start to its end, and around again.
    SequentialWrite {
        request: Size,
        requests: u64,
    },
    SequentialRead {
        request: Size,
        requests: u64,
    },
    /// Reads and writes at places of skewed popularity: rank i with probability 1 / i^theta.
    ZipfMix {
        request: Size,
        requests: u64,
        read_percent: u64,
        theta: f64,
    },
    /// Small appending writes, each `writes-per-flush` of them followed by a flush: a journal, a mail queue.
    FsyncWrites {
        request: Size,
        requests: u64,
        writes_per_flush: u64,
    },
    /// Discards from the start of the span on.
    Discard {
        request: Size,
        requests: u64,
    },
    /// One flush.
    Flush,
}

/// What a shape yields: an operation without its time.
pub type Step = (OpKind, u64, u64);

impl Shape {
    fn request_and_count(&self) -> (u64, u64) {
        match self {
            Self::SequentialWrite { request, requests }
            | Self::SequentialRead { request, requests }
            | Self::ZipfMix { request, requests, .. }
            | Self::FsyncWrites { request, requests, .. }
            | Self::Discard { request, requests } => (request.0, *requests),
            Self::Flush => (0, 1),
        }
    }

    /// What is wrong with it inside a span of `span` bytes, naming the key, the value and one that works.
    pub(crate) fn fault(&self, span: u64) -> Option<String> {
        let (request, requests) = self.request_and_count();
        if *self != Self::Flush && (request == 0 || !request.is_multiple_of(512) || request > span) {
            return Some(format!("request = {request}: a multiple of 512 up to the span ({span}); try request = 4096"));
        }
        if requests == 0 {
            return Some("requests = 0: at least one; try requests = 100".into());
        }
        match self {
            Self::ZipfMix { read_percent, .. } if *read_percent > 100 => {
                Some(format!("read-percent = {read_percent}: 0 to 100; try read-percent = 70"))
            }
            Self::ZipfMix { theta, .. } if !(0.0..=4.0).contains(theta) => {
                Some(format!("theta = {theta}: 0 (uniform) to 4; try theta = 0.99"))
            }
            Self::FsyncWrites { writes_per_flush: 0, .. } => {
                Some("writes-per-flush = 0: at least one; try writes-per-flush = 1".into())
            }
            _ => None,
        }
    }

    /// Whether it reads what was there before.
    pub fn reads(&self) -> bool {
        match self {
            Self::SequentialRead { .. } => true,
            Self::ZipfMix { read_percent, .. } => *read_percent > 0,
            _ => false,
        }
    }

    /// `factor` times as many requests.
    pub(crate) fn multiply(&mut self, factor: u64) {
        match self {
            Self::SequentialWrite { requests, .. }
            | Self::SequentialRead { requests, .. }
            | Self::ZipfMix { requests, .. }
            | Self::FsyncWrites { requests, .. }
            | Self::Discard { requests, .. } => *requests = requests.saturating_mul(factor),
            Self::Flush => {}
        }
    }

    /// The operations inside `0..span`.
    pub(crate) fn steps(&self, span: u64, seed: u64) -> Box<dyn Iterator<Item = Step> + Send> {
        let (request, requests) = self.request_and_count();
        let places = span.checked_div(request).unwrap_or(1).max(1);
        let in_order = move |n: u64| n % places * request;
        match *self {
            Self::SequentialWrite { .. } => Box::new((0..requests).map(move |n| (OpKind::Write, in_order(n), request))),
            Self::SequentialRead { .. } => Box::new((0..requests).map(move |n| (OpKind::Read, in_order(n), request))),
            Self::Discard { .. } => Box::new((0..requests).map(move |n| (OpKind::Discard, in_order(n), request))),
            Self::ZipfMix { read_percent, theta, .. } => {
                let mut mix = ZipfPlaces::new(places, theta, seed);
                Box::new((0..requests).map(move |_| {
                    let kind = if mix.random.below(100) < read_percent { OpKind::Read } else { OpKind::Write };
                    (kind, mix.place() * request, request)
                }))
            }
            Self::FsyncWrites { writes_per_flush, .. } => Box::new((0..requests).flat_map(move |n| {
                let flush = ((n + 1) % writes_per_flush == 0).then_some((OpKind::Flush, 0, 0));
                std::iter::once((OpKind::Write, in_order(n), request)).chain(flush)
            })),
            Self::Flush => Box::new(std::iter::once((OpKind::Flush, 0, 0))),
        }
    }
}

/// Popular places, spread over the span: neighbours in rank are not neighbours on disk.
struct ZipfPlaces {
    random: Random,
    zipf: Zipf,
    /// The group of places that each rank stands for.
    order: Vec<u32>,
    places: u64,
}

impl ZipfPlaces {
    fn new(places: u64, theta: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ranks = places.min(Zipf::MAX_RANKS);
        let mut order: Vec<u32> = (0..ranks as u32).collect();
        random.shuffle(&mut order);
        Self { random, zipf: Zipf::new(ranks, theta), order, places }
    }

    fn place(&mut self) -> u64 {
        let rank = self.zipf.rank(&mut self.random);
        let (group, groups) = (u64::from(self.order[rank as usize]), self.order.len() as u64);
        // More places than ranks: a rank is a group of neighbours, all equally popular.
        let bound = |group: u64| (u128::from(self.places) * u128::from(group) / u128::from(groups)) as u64;
        let (first, end) = (bound(group), bound(group + 1));
        first + self.random.below(end - first)
    }
}

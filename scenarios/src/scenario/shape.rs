//! Where the operations of a stream go, and how long they are. Knows offsets and order; never time, never flushes.

use std::sync::Arc;

use crate::op::OpKind;
use crate::random::{Random, Zipf};

use super::small_files::SmallFiles;
use super::step::{Area, Sizes, Step};

/// The order in which a stream visits its area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// From the start of the area to its end, and around again.
    Sequential,
    /// Steps of `stride` bytes; each lap begins one request further on.
    Strided { stride: u64 },
    /// Any place as likely as any other; `run` requests in a row from each.
    Uniform { run: u64 },
    /// The place of rank i in proportion to 1 / i^theta; the ranks are spread over the area at random.
    Zipf { theta: f64, run: u64 },
    /// The first `area_percent` of the area get `request_percent` of the requests.
    Hotspot { area_percent: u64, request_percent: u64, run: u64 },
    /// Appends, and wraps; goes on where it was when the phases are repeated.
    Log,
    /// New files in bursts of `files`, one behind the other, then the metadata that they changed.
    SmallFiles { files: u64, flush_each_burst: bool },
    /// Discards from the start of the area on, leaving `gap` bytes between; once over the area unless told otherwise.
    Discard { gap: u64 },
    /// One flush.
    Flush,
}

/// The places of one stream, without end but for a discard's single pass.
pub(super) struct Places {
    shape: Shape,
    area: Area,
    sizes: Sizes,
    read_percent: u64,
    random: Random,
    /// Offset in the area of the next request in order.
    cursor: u64,
    /// Where the current lap of strides began.
    lane: u64,
    run: Run,
    popular: Option<Arc<Popular>>,
    files: Option<SmallFiles>,
}

/// Random numbers for one stream in one round.
pub(super) struct Sources {
    pub places: Random,
    /// The same in every round: what is popular stays so.
    pub popularity: Random,
}

/// Requests in a row from a random place.
struct Run {
    left: u64,
    kind: OpKind,
}

impl Places {
    /// `kept`: from the round before.
    pub(super) fn new(
        shape: Shape,
        area: Area,
        sizes: Sizes,
        read_percent: u64,
        mut sources: Sources,
        kept: Kept,
    ) -> Self {
        let popular = match shape {
            Shape::Zipf { theta, .. } => Some(
                kept.popular
                    .unwrap_or_else(|| Arc::new(Popular::new(slots(area, &sizes), theta, &mut sources.popularity))),
            ),
            _ => None,
        };
        let files = match shape {
            Shape::SmallFiles { files, flush_each_burst } => {
                Some(SmallFiles::new(area, files, flush_each_burst, kept.cursor, kept.files))
            }
            _ => None,
        };
        let cursor = if shape == Shape::Log { kept.cursor } else { 0 };
        let run = Run { left: 0, kind: OpKind::Write };
        Self { shape, area, sizes, read_percent, random: sources.places, cursor, lane: 0, run, popular, files }
    }

    /// For the next round.
    pub(super) fn kept(&self) -> Kept {
        let (cursor, files) = self.files.as_ref().map_or((self.cursor, 0), |files| (files.cursor(), files.made()));
        Kept { cursor, files, popular: self.popular.clone() }
    }

    /// `endless`: a discard begins again at the end of its area.
    pub(super) fn next(&mut self, endless: bool) -> Option<Step> {
        let step = match self.shape {
            Shape::Flush => Step::new(OpKind::Flush, 0, 0),
            Shape::SmallFiles { .. } => self.files.as_mut()?.next(&self.sizes, &mut self.random),
            Shape::Sequential => {
                let (kind, len) = (self.kind(), self.sizes.draw(&mut self.random));
                self.in_order(kind, len)
            }
            Shape::Log => {
                let len = self.sizes.draw(&mut self.random);
                self.in_order(OpKind::Write, len)
            }
            Shape::Discard { gap } => self.discard(gap, endless)?,
            Shape::Strided { stride } => self.strided(stride),
            Shape::Uniform { run } | Shape::Zipf { run, .. } | Shape::Hotspot { run, .. } => self.at_random(run),
        };
        Some(step)
    }

    fn kind(&mut self) -> OpKind {
        let reads = match self.read_percent {
            0 => false,
            100 => true,
            percent => self.random.below(100) < percent,
        };
        if reads { OpKind::Read } else { OpKind::Write }
    }

    fn at(&self, kind: OpKind, at: u64, len: u64) -> Step {
        Step::new(kind, self.area.start + at, len)
    }

    fn in_order(&mut self, kind: OpKind, len: u64) -> Step {
        if self.cursor + len > self.area.len {
            self.cursor = 0;
        }
        let step = self.at(kind, self.cursor, len);
        self.cursor += len;
        step
    }

    fn discard(&mut self, gap: u64, endless: bool) -> Option<Step> {
        let mut len = self.sizes.draw(&mut self.random);
        if self.cursor + len > self.area.len {
            if self.cursor >= self.area.len {
                if !endless {
                    return None;
                }
                self.cursor = 0;
            }
            // The tail of the area is discarded too.
            len = len.min(self.area.len - self.cursor);
        }
        let step = self.at(OpKind::Discard, self.cursor, len);
        self.cursor += len + gap;
        Some(step)
    }

    fn strided(&mut self, stride: u64) -> Step {
        let (kind, len) = (self.kind(), self.sizes.draw(&mut self.random));
        if self.cursor + len > self.area.len {
            self.lane += len;
            if self.lane >= stride || self.lane + len > self.area.len {
                self.lane = 0;
            }
            self.cursor = self.lane;
        }
        let step = self.at(kind, self.cursor, len);
        self.cursor += stride;
        step
    }

    fn at_random(&mut self, run: u64) -> Step {
        let len = self.sizes.draw(&mut self.random);
        if self.run.left == 0 || self.cursor + len > self.area.len {
            let unit = self.sizes.smallest();
            let slot = self.slot(slots(self.area, &self.sizes));
            self.cursor = (slot * unit).min((self.area.len - len) / unit * unit);
            self.run = Run { left: run, kind: self.kind() };
        }
        self.run.left -= 1;
        let step = self.at(self.run.kind, self.cursor, len);
        self.cursor += len;
        step
    }

    fn slot(&mut self, slots: u64) -> u64 {
        match (self.shape, &self.popular) {
            (_, Some(popular)) => popular.slot(&mut self.random),
            (Shape::Hotspot { area_percent, request_percent, .. }, None) => {
                let hot = (u128::from(slots) * u128::from(area_percent) / 100) as u64;
                let hot = hot.clamp(1, slots);
                if hot == slots || self.random.below(100) < request_percent {
                    self.random.below(hot)
                } else {
                    hot + self.random.below(slots - hot)
                }
            }
            _ => self.random.below(slots),
        }
    }
}

/// What a stream keeps from round to round.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// Offset of the next append.
    pub cursor: u64,
    /// Made so far.
    pub files: u64,
    /// Large, and the same in every round.
    pub popular: Option<Arc<Popular>>,
}

/// Places of the smallest request, of which there is at least one.
fn slots(area: Area, sizes: &Sizes) -> u64 {
    (area.len / sizes.smallest()).max(1)
}

/// Popular places, spread over the area: neighbours in rank are not neighbours on disk.
pub(super) struct Popular {
    zipf: Zipf,
    /// The group of places that each rank stands for.
    order: Vec<u32>,
    slots: u64,
}

/// A table of more ranks takes longer to make than a scenario to simulate, and changes little: the few places within a
/// group are equally popular, and the groups are not.
const MAX_RANKS: u64 = 1 << 16;

impl Popular {
    fn new(slots: u64, theta: f64, random: &mut Random) -> Self {
        let ranks = slots.min(MAX_RANKS);
        let mut order: Vec<u32> = (0..ranks as u32).collect();
        random.shuffle(&mut order);
        Self { zipf: Zipf::new(ranks, theta), order, slots }
    }

    fn slot(&self, random: &mut Random) -> u64 {
        let rank = self.zipf.rank(random);
        let (group, groups) = (u64::from(self.order[rank as usize]), self.order.len() as u64);
        let bound = |group: u64| (u128::from(self.slots) * u128::from(group) / u128::from(groups)) as u64;
        let (first, end) = (bound(group), bound(group + 1));
        first + random.below(end - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1024;

    fn steps(shape: Shape, area: Area, sizes: &[(u64, u64)], read_percent: u64, count: usize) -> Vec<Step> {
        let sizes = Sizes { weighted: sizes.to_vec() };
        let sources = Sources { places: Random::new(7), popularity: Random::new(8) };
        let mut places = Places::new(shape, area, sizes, read_percent, sources, Kept::default());
        std::iter::from_fn(|| places.next(false)).take(count).collect()
    }

    fn offsets(steps: &[Step]) -> Vec<u64> {
        steps.iter().map(|step| step.offset / K).collect()
    }

    #[test]
    fn orders_are_those_documented() {
        let area = Area { start: 100 * K, len: 10 * K };
        assert_eq!(offsets(&steps(Shape::Sequential, area, &[(4 * K, 1)], 0, 4)), [100, 104, 100, 104]);
        let strided = steps(Shape::Strided { stride: 4 * K }, area, &[(2 * K, 1)], 100, 7);
        assert_eq!(offsets(&strided), [100, 104, 108, 102, 106, 100, 104]);
        assert!(strided.iter().all(|step| step.kind == OpKind::Read));
        let discards = steps(Shape::Discard { gap: K }, area, &[(4 * K, 1)], 0, 9);
        assert_eq!(
            discards.iter().map(|step| (step.offset / K, step.len / K)).collect::<Vec<_>>(),
            [(100, 4), (105, 4)]
        );
        let whole = steps(Shape::Discard { gap: 0 }, area, &[(64 * K, 1)], 0, 9);
        assert_eq!(whole, [Step::new(OpKind::Discard, 100 * K, 10 * K)]);
        let runs = steps(Shape::Uniform { run: 3 }, Area { start: 0, len: 1 << 30 }, &[(4 * K, 1)], 50, 300);
        for run in runs.chunks(3) {
            assert!(run.iter().all(|step| step.kind == run[0].kind));
            assert!(run.windows(2).all(|pair| pair[0].offset + 4 * K == pair[1].offset), "{run:?}");
        }
    }

    #[test]
    fn shares_sizes_and_hot_places_are_those_asked_for() {
        let area = Area { start: 0, len: 64 << 20 };
        let shape = Shape::Hotspot { area_percent: 10, request_percent: 90, run: 1 };
        let all = steps(shape, area, &[(4 * K, 3), (64 * K, 1)], 70, 20_000);
        let share = |what: &dyn Fn(&Step) -> bool| all.iter().filter(|step| what(step)).count() as f64 / 20_000.0;
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.01, "{found}, wanted {wanted}");
        near(share(&|step| step.kind == OpKind::Read), 0.7);
        near(share(&|step| step.len == 64 * K), 0.25);
        near(share(&|step| step.offset < area.len / 10), 0.9);
    }

    #[test]
    fn zipf_keeps_its_skew_when_places_outnumber_ranks() {
        let area = Area { start: 0, len: 4 << 30 };
        let all = steps(Shape::Zipf { theta: 0.99, run: 1 }, area, &[(4 * K, 1)], 100, 50_000);
        // A million places in 65,536 groups of sixteen; a uniform choice would give the busiest group about 5.
        let mut counts = std::collections::BTreeMap::new();
        all.iter().for_each(|step| *counts.entry(step.offset / (64 * K)).or_insert(0u32) += 1);
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let weights: f64 = (1..=65_536).map(|rank| f64::from(rank).powf(-0.99)).sum();
        for rank in [1, 2, 10, 100] {
            let expected = 50_000.0 * f64::from(rank).powf(-0.99) / weights;
            let found = f64::from(counts[rank as usize - 1]);
            assert!((found / expected - 1.0).abs() < 0.25, "rank {rank}: {found}, expected {expected}");
        }
    }
}

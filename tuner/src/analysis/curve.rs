//! Miss-ratio curves: what share of block accesses an LRU cache of each size would miss, for several block sizes at once.

use s3b_scenarios::Op;
use serde::Serialize;

use super::distance::Recency;
use crate::outcome::run as outcome;

/// How the accesses of a workload miss, by cache size, in blocks of one size.
///
/// Reads and writes both count, both load the block, and every block of a request is one access.
#[derive(Clone, Debug, Serialize)]
pub struct MissRatioCurve {
    /// Bytes.
    pub block_size: u64,
    pub accesses: u64,
    pub read_accesses: u64,
    /// Distinct blocks touched, in bytes: a cache of this size misses only first accesses.
    pub footprint_bytes: u64,
    /// The share of blocks followed; 1: the curve is exact.
    pub sampling_rate: f64,
    /// By ascending cache size.
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub cache_bytes: u64,
    /// Of all accesses, 0 to 1.
    pub miss_ratio: f64,
    /// Of the reads, in a cache that writes use too; nothing where nothing is read.
    pub read_miss_ratio: Option<f64>,
}

impl MissRatioCurve {
    /// At the cache sizes given, in bytes; each holds as many whole blocks as fit.
    pub fn at(recency: &Recency, cache_bytes: &[u64]) -> Self {
        let block_size = recency.block_size();
        let mut cache_bytes = cache_bytes.to_vec();
        cache_bytes.sort_unstable();
        cache_bytes.dedup();
        let blocks: Vec<u64> = cache_bytes.iter().map(|bytes| bytes / block_size).collect();
        let (all, reads) = (recency.all().hit_ratios(&blocks), recency.reads().hit_ratios(&blocks));
        let any_read = recency.reads().accesses > 0;
        let points = cache_bytes.iter().zip(all.iter().zip(&reads)).map(|(bytes, (all, reads))| Point {
            cache_bytes: *bytes,
            miss_ratio: 1.0 - all,
            read_miss_ratio: any_read.then_some(1.0 - reads),
        });
        Self {
            block_size,
            accesses: recency.all().accesses,
            read_accesses: recency.reads().accesses,
            footprint_bytes: recency.distinct() * block_size,
            sampling_rate: recency.rate(),
            points: points.collect(),
        }
    }

    /// At the point whose cache is the largest of at most so many bytes.
    pub fn point(&self, cache_bytes: u64) -> Option<Point> {
        let behind = self.points.partition_point(|point| point.cache_bytes <= cache_bytes);
        behind.checked_sub(1).map(|n| self.points[n])
    }

    /// The smallest cache shown that comes within `slack` of the best ratio any cache can reach.
    pub fn enough(&self, slack: f64) -> Option<Point> {
        let best = self.points.last()?.miss_ratio;
        self.points.iter().find(|point| point.miss_ratio <= best + slack).copied()
    }
}

impl From<&MissRatioCurve> for outcome::MissRatioCurve {
    fn from(curve: &MissRatioCurve) -> Self {
        let points = curve.points.iter().map(|point| [point.cache_bytes as f64, point.miss_ratio]);
        Self { block_size: curve.block_size, points: points.collect() }
    }
}

/// Smallest cache shown, in bytes.
const CACHE_MIN: u64 = 1 << 20;

/// Two cache sizes for each doubling (1m, 1.5m, 2m, 3m...), from the smallest to the first that holds `footprint` bytes.
pub fn cache_sizes(footprint: u64) -> Vec<u64> {
    let mut sizes = vec![CACHE_MIN];
    let mut size = CACHE_MIN;
    while size < footprint && size < 1 << 62 {
        sizes.push(size / 2 * 3);
        size *= 2;
        sizes.push(size);
    }
    sizes
}

/// The curves of several block sizes, from one pass.
pub struct Curves(Vec<Recency>);

impl Curves {
    /// At most `limit` blocks of each size are followed, beyond that a sample of them.
    pub fn new(block_sizes: &[u64], limit: usize) -> Self {
        Self(block_sizes.iter().map(|block_size| Recency::new(*block_size, limit)).collect())
    }

    pub fn add(&mut self, op: &Op, at: u64) {
        self.0.iter_mut().for_each(|recency| recency.add(op, at));
    }

    pub fn of(&self, block_size: u64) -> Option<&Recency> {
        self.0.iter().find(|recency| recency.block_size() == block_size)
    }

    /// At the cache sizes given, or at those which [`cache_sizes`] picks for the largest footprint.
    pub fn curves(&self, cache_bytes: Option<&[u64]>) -> Vec<MissRatioCurve> {
        let footprint = self.0.iter().map(|recency| recency.distinct() * recency.block_size()).max();
        let sizes = cache_bytes.map_or_else(|| cache_sizes(footprint.unwrap_or(0)), <[u64]>::to_vec);
        self.0.iter().map(|recency| MissRatioCurve::at(recency, &sizes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::OpKind;

    use super::*;

    #[test]
    fn a_loop_misses_until_it_fits() {
        let mut curves = Curves::new(&[4096, 1 << 20], 1000);
        for n in 0..1024u64 {
            let at = n % 512 * 4096;
            curves.add(&Op::new(n, OpKind::Write, at, 4096), at);
        }
        let [small, large] = &curves.curves(None)[..] else { panic!("two block sizes") };
        let ratios: Vec<(u64, f64)> = small.points.iter().map(|p| (p.cache_bytes >> 10, p.miss_ratio)).collect();
        assert_eq!(ratios, [(1024, 1.0), (1536, 1.0), (2048, 0.5)]);
        assert_eq!((small.footprint_bytes, small.sampling_rate, small.points[0].read_miss_ratio), (2 << 20, 1.0, None));
        assert_eq!(large.points[0].miss_ratio, 4.0 / 1024.0);
        assert_eq!((small.enough(0.01), small.point(1 << 21)), (Some(small.points[2]), Some(small.points[2])));
        assert_eq!((small.point(1 << 19), large.enough(0.01)), (None, Some(large.points[0])));
    }

    #[test]
    fn the_cache_sizes_reach_the_footprint() {
        assert_eq!(cache_sizes(0), [1 << 20]);
        assert_eq!(cache_sizes(3 << 20).iter().map(|size| size >> 19).collect::<Vec<_>>(), [2, 3, 4, 6, 8]);
        assert_eq!(cache_sizes(u64::MAX).last(), Some(&(1 << 62)));
    }
}

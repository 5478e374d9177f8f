//! The ledger of a run, from the counters of the player, the engine and the backend.

use s3b_engine::geometry::Geometry;
use s3b_engine::stats::Stats;
use s3b_engine::wrap::Counts;
use s3b_scenarios::{Op, OpKind};

use crate::outcome::{CacheLedger, HostLedger, Ledger, StoreLedger};
use crate::requests;

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostSide {
    ledger: HostLedger,
    /// Blocks touched: a request of three blocks counts three.
    read_blocks: u64,
    written_blocks: u64,
}

impl HostSide {
    pub(crate) fn count(&mut self, op: &Op, geometry: Geometry) {
        let size = u64::from(geometry.block_size());
        let blocks = if op.len == 0 { 0 } else { (op.end() - 1) / size - op.offset / size + 1 };
        let ledger = &mut self.ledger;
        match op.kind {
            OpKind::Read => {
                ledger.reads += 1;
                ledger.read_bytes += op.len;
                self.read_blocks += blocks;
            }
            OpKind::Write => {
                ledger.writes += 1;
                ledger.write_bytes += op.len;
                self.written_blocks += blocks;
            }
            OpKind::Flush => ledger.flushes += 1,
            OpKind::Discard => {
                ledger.discards += 1;
                ledger.discard_bytes += op.len;
            }
        }
    }
}

/// The place of the stores that flushes hurried, among the counters of the cache.
const FORCED: usize = 12;

/// The counters at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub(crate) requests: StoreLedger,
    get_retries: u64,
    /// Counters of the cache and the zero map, in one order.
    cache: [u64; 14],
}

impl Observed {
    pub(crate) fn of(stats: &Stats, counts: &Counts) -> Self {
        let (cache, zero) = (&stats.block_cache, &stats.zero_map);
        Self {
            requests: StoreLedger { retries: stats.http.num_retries.get(), ..requests::sent(counts) },
            get_retries: stats.http.get_retries.get(),
            cache: [
                &cache.write_misses,
                &cache.merge_reads,
                &cache.read_ahead_reads,
                &cache.read_ahead_used,
                &cache.stores,
                &cache.zero_stores,
                &zero.read_hits,
                &cache.zero_reads,
                &zero.write_hits,
                &cache.evictions,
                &cache.pressure_waits,
                &cache.delay_stores,
                &cache.flush_stores,
                &cache.pressure_stores,
            ]
            .map(s3b_engine::stats::Counter::get),
        }
    }

    /// The same without what later flushes hurried.
    pub(crate) fn with_forced(mut self, forced: u64) -> Self {
        self.cache[FORCED] = forced;
        self
    }

    /// What came since `before`. `throttled`: answers of 503, which the counters below the engine do not tell apart.
    pub(crate) fn since(&self, before: &Observed, host: HostSide, throttled: u64) -> Ledger {
        let mut cache = self.cache;
        cache.iter_mut().zip(before.cache).for_each(|(now, then)| *now -= then);
        let [write_misses, merge_reads, read_ahead, read_ahead_used, stores, zero_stores, unasked, ..] = cache;
        let [.., zero_reads, zero_writes, evictions, pressure_waits, delay_stores, flush_stores, pressure_stores] =
            cache;
        let store = StoreLedger { throttled, ..self.requests.since(&before.requests) };
        let stores = stores + zero_stores;
        // Every GET is a demand, a merge or a read-ahead, and some of those needed no GET: the zero map answered them.
        let again = self.get_retries - before.get_retries;
        let read_misses = (store.gets + unasked).saturating_sub(merge_reads + read_ahead + again);
        let read_misses = read_misses.min(host.read_blocks);
        let cache = CacheLedger {
            read_hits: host.read_blocks - read_misses,
            read_misses,
            write_hits: host.written_blocks.saturating_sub(write_misses),
            write_misses,
            merge_reads,
            read_ahead,
            read_ahead_used,
            stores,
            coalesced: host.written_blocks.saturating_sub(stores),
            zero_reads,
            zero_writes: zero_writes + store.deleted_keys,
            evictions,
            pressure_waits,
            delay_stores,
            flush_stores,
            pressure_stores,
        };
        Ledger { host: host.ledger, cache, store }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_touched_are_those_of_the_geometry() {
        let geometry = Geometry::new(4096, 1 << 20).unwrap();
        for (offset, len) in [(0, 1), (0, 4096), (1, 4096), (4095, 2), (4096, 8192), (100, 8192), (512, 3584)] {
            let mut side = HostSide::default();
            side.count(&Op::new(0, OpKind::Write, offset, len), geometry);
            assert_eq!(side.written_blocks, geometry.pieces(offset, len).count() as u64, "{offset}+{len}");
        }
    }
}

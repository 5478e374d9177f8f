//! The ledger of a run: operations and bytes at the host, in the cache and at the store.

use s3b_engine::geometry::Geometry;
use s3b_engine::stats::Stats;
use s3b_engine::wrap::Counts;
use s3b_scenarios::{Op, OpKind};
use serde::Serialize;

use crate::cost::Requests;

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostSide {
    pub reads: u64,
    pub writes: u64,
    pub flushes: u64,
    pub discards: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    /// Blocks touched: a request of three blocks counts three.
    pub read_blocks: u64,
    pub written_blocks: u64,
}

impl HostSide {
    pub(super) fn count(&mut self, op: &Op, geometry: Geometry) {
        let size = u64::from(geometry.block_size());
        let blocks = if op.len == 0 { 0 } else { (op.end() - 1) / size - op.offset / size + 1 };
        match op.kind {
            OpKind::Read => {
                self.reads += 1;
                self.read_bytes += op.len;
                self.read_blocks += blocks;
            }
            OpKind::Write => {
                self.writes += 1;
                self.write_bytes += op.len;
                self.written_blocks += blocks;
            }
            OpKind::Flush => self.flushes += 1,
            OpKind::Discard => self.discards += 1,
        }
    }
}

/// What the engine made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheSide {
    /// Requests answered from memory, and those that waited.
    pub read_hits: u64,
    pub read_misses: u64,
    /// Writes into blocks that were in the cache, and into others, block by block (or 64 KiB by 64 KiB).
    pub write_hits: u64,
    pub write_misses: u64,
    /// GETs to complete a block before it is stored.
    pub merge_reads: u64,
    /// Blocks fetched before they were asked for.
    pub read_ahead_fetched: u64,
    /// Blocks stored, and how many of the blocks written needed no store of their own.
    pub stores: u64,
    pub coalesced_writes: u64,
    /// Reads and writes of blocks known to be zero, which cost no request.
    pub zero_hits: u64,
    pub evictions: u64,
    /// Times a request waited for room in the cache.
    pub pressure_waits: u64,
    pub copied_bytes: u64,
}

/// What reached the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreSide {
    pub requests: Requests,
    pub deleted_keys: u64,
    pub failed: u64,
    pub retries: u64,
    pub most_in_flight: u64,
    pub most_gets_in_flight: u64,
}

/// All three sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub host: HostSide,
    pub cache: CacheSide,
    pub store: StoreSide,
}

/// The counters at one time.
pub(super) struct Observed {
    cache: CacheSide,
    store: StoreSide,
}

impl Observed {
    pub(super) fn of(stats: &Stats, counts: &Counts) -> Self {
        let (cache, zero) = (&stats.block_cache, &stats.zero_map);
        let requests = Requests::of(counts);
        Self {
            cache: CacheSide {
                read_hits: cache.read_hits.get(),
                read_misses: cache.read_misses.get(),
                write_hits: cache.write_hits.get(),
                write_misses: cache.write_misses.get(),
                merge_reads: cache.merge_reads.get(),
                read_ahead_fetched: cache.read_ahead_reads.get(),
                stores: cache.stores.get(),
                coalesced_writes: 0,
                zero_hits: zero.read_hits.get() + zero.write_hits.get(),
                evictions: cache.evictions.get(),
                pressure_waits: cache.pressure_waits.get(),
                copied_bytes: cache.copied_bytes.get(),
            },
            store: StoreSide {
                requests,
                deleted_keys: counts.deletes.get() + counts.bulk_deleted_keys.get(),
                failed: counts.errors.get(),
                retries: stats.http.num_retries.get(),
                most_in_flight: counts.most_in_flight(),
                most_gets_in_flight: counts.most_gets_in_flight(),
            },
        }
    }

    /// What came since `before`. What is the most at any time stays so.
    pub(super) fn since(&self, before: &Observed, host: HostSide) -> Ledger {
        let (now, then) = (&self.cache, &before.cache);
        let stores = now.stores - then.stores;
        let cache = CacheSide {
            read_hits: now.read_hits - then.read_hits,
            read_misses: now.read_misses - then.read_misses,
            write_hits: now.write_hits - then.write_hits,
            write_misses: now.write_misses - then.write_misses,
            merge_reads: now.merge_reads - then.merge_reads,
            read_ahead_fetched: now.read_ahead_fetched - then.read_ahead_fetched,
            stores,
            coalesced_writes: host.written_blocks.saturating_sub(stores),
            zero_hits: now.zero_hits - then.zero_hits,
            evictions: now.evictions - then.evictions,
            pressure_waits: now.pressure_waits - then.pressure_waits,
            copied_bytes: now.copied_bytes - then.copied_bytes,
        };
        let (now, then) = (&self.store, &before.store);
        let store = StoreSide {
            requests: now.requests.since(&then.requests),
            deleted_keys: now.deleted_keys - then.deleted_keys,
            failed: now.failed - then.failed,
            retries: now.retries - then.retries,
            ..*now
        };
        Ledger { host, cache, store }
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

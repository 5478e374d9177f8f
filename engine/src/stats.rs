//! Counters that every layer keeps, under s3backer's names where it has one. Plain relaxed atomics:
//! they are read for people, never for decisions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn reset(&self) {
        self.set(0);
    }
}

/// Adds up durations, in microseconds.
#[derive(Debug, Default)]
pub struct TimeCounter(Counter);

impl TimeCounter {
    pub fn add(&self, time: Duration) {
        self.0.add(time.as_micros() as u64);
    }

    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.get())
    }
}

macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name { $(pub $field: $type),+ }
        impl $name {
            fn reset(&self) { $(self.$field.reset();)+ }
        }
    };
}

impl TimeCounter {
    fn reset(&self) {
        self.0.reset();
    }
}

group! {
    /// Requests below the object blocks, whatever the backend.
    HttpStats {
        normal_blocks_read: Counter, normal_blocks_written: Counter, zero_blocks_read: Counter, zero_blocks_written: Counter,
        gets: Counter, puts: Counter, deletes: Counter, heads: Counter, lists: Counter, bulk_deletes: Counter,
        get_time: TimeCounter, put_time: TimeCounter, delete_time: TimeCounter,
        get_bytes: Counter, put_bytes: Counter,
        unauthorized: Counter, forbidden: Counter, stale: Counter, redirect: Counter, verified: Counter, mismatch: Counter,
        error_5xx: Counter, error_4xx: Counter, error_3xx: Counter, other_error: Counter,
        num_retries: Counter, get_retries: Counter, total_retry_delay: TimeCounter,
        connections: Counter, timeouts: Counter, connect_failed: Counter, host_unknown: Counter, other_connection_error: Counter,
    }
}

group! {
    /// The block cache. The gauges (current_size, initial_size, dirty) are set, not counted; most_at_risk is the most bytes
    /// written and not yet stored at any time, rewritten ones counted again up to their block's size. Of stores and merges
    /// begun, each once: those whose write delay was over, those that a flush hurried, those that too many dirty blocks
    /// hurried.
    BlockCacheStats {
        current_size: Counter, initial_size: Counter, dirty: Counter, capacity: Counter,
        read_hits: Counter, read_misses: Counter, write_hits: Counter, write_misses: Counter,
        verified: Counter, mismatch: Counter,
        merge_reads: Counter, read_ahead_reads: Counter, read_ahead_used: Counter, stores: Counter, zero_stores: Counter, zero_reads: Counter, flushes: Counter,
        delay_stores: Counter, flush_stores: Counter, pressure_stores: Counter,
        store_errors: Counter, copied_bytes: Counter, pressure_waits: Counter, evictions: Counter,
        most_at_risk: Counter,
    }
}

group! {
    /// The zero map; known_zero is a gauge.
    ZeroMapStats { known_zero: Counter, read_hits: Counter, write_hits: Counter, batched_deletes: Counter }
}

group! {
    /// The MD5 cache; current_size is a gauge.
    Md5CacheStats { current_size: Counter, data_hits: Counter, full_delays: TimeCounter, write_delays: TimeCounter }
}

/// All counters of one engine.
#[derive(Debug, Default)]
pub struct Stats {
    pub http: HttpStats,
    pub block_cache: BlockCacheStats,
    pub zero_map: ZeroMapStats,
    pub md5_cache: Md5CacheStats,
}

impl Stats {
    /// Zeroes what was counted. Gauges keep their value.
    pub fn reset(&self) {
        let gauges = [
            &self.block_cache.current_size,
            &self.block_cache.initial_size,
            &self.block_cache.dirty,
            &self.block_cache.capacity,
            &self.block_cache.most_at_risk,
            &self.zero_map.known_zero,
            &self.md5_cache.current_size,
        ];
        let kept = gauges.map(Counter::get);
        self.http.reset();
        self.block_cache.reset();
        self.zero_map.reset();
        self.md5_cache.reset();
        for (gauge, value) in gauges.into_iter().zip(kept) {
            gauge.set(value);
        }
    }
}

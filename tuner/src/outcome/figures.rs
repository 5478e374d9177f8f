//! What one run of one workload on one configuration gave, simulated or real.

use serde::{Deserialize, Serialize};

/// One run, or several of the same pooled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// From the first intended start to the end of the final flush.
    pub seconds: f64,
    /// The final flush: what was not yet stored when the last operation had returned.
    pub drain_seconds: f64,
    pub read: KindFigures,
    pub write: KindFigures,
    pub flush: KindFigures,
    pub discard: KindFigures,
    /// How late operations really started; of an open loop only.
    pub lag_p99_ms: f64,
    /// Operations that started more than 2 ms late.
    pub late: u64,
    /// Operations of the workload that were not run.
    pub skipped: u64,
    pub ledger: Ledger,
    /// Most bytes ever acknowledged and not yet stored.
    pub at_risk_bytes: u64,
    /// In the store at the end, what the workload found there included; of a real run, as simulated.
    #[serde(default)]
    pub stored_bytes: u64,
    /// What kept it from being faster, most binding first.
    pub limits: Vec<super::Limit>,
    /// Runs pooled here.
    pub runs: u32,
}

/// One kind of operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindFigures {
    pub ops: u64,
    pub bytes: u64,
    pub failed: u64,
    /// From the intended start.
    pub latency: Latency,
    /// From the real start.
    pub service: Latency,
}

/// A distribution of times, in milliseconds; all zero without samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// `[milliseconds, share of samples not above]`, rising, at most about 60 points; empty where nobody draws it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdf: Vec<[f64; 2]>,
}

/// Operations and bytes on their way: what the host asked, what the cache made of it, what the store was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub host: HostLedger,
    pub cache: CacheLedger,
    pub store: StoreLedger,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLedger {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub write_bytes: u64,
    pub discards: u64,
    pub discard_bytes: u64,
    pub flushes: u64,
}

/// In blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLedger {
    pub read_hits: u64,
    pub read_misses: u64,
    pub write_hits: u64,
    pub write_misses: u64,
    /// GETs only to complete partly written blocks.
    pub merge_reads: u64,
    pub read_ahead: u64,
    /// Blocks read ahead that a read then used.
    pub read_ahead_used: u64,
    /// Blocks handed to the store, zeros included.
    pub stores: u64,
    /// Writes to blocks that were dirty already: stores saved.
    pub coalesced: u64,
    /// Reads answered because the block is known to be zero.
    pub zero_reads: u64,
    /// Stores that became deletes, or nothing at all.
    pub zero_writes: u64,
    pub evictions: u64,
    /// Writes that waited because too much was dirty.
    pub pressure_waits: u64,
    /// Stores and merges begun because the write delay was over. These three came later to the form, and may be missing.
    #[serde(default)]
    pub delay_stores: u64,
    /// Begun before that for a flush: of a simulation without the final one.
    #[serde(default)]
    pub flush_stores: u64,
    /// Begun before that because too much was dirty.
    #[serde(default)]
    pub pressure_stores: u64,
}

impl CacheLedger {
    /// Share of the stores that a flush hurried; `None` where nobody counted.
    pub fn forced_by_flush(&self) -> Option<f64> {
        let all = self.delay_stores + self.flush_stores + self.pressure_stores;
        (all > 0).then(|| self.flush_stores as f64 / all as f64)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLedger {
    pub gets: u64,
    pub heads: u64,
    pub puts: u64,
    pub lists: u64,
    /// Requests, single and bulk.
    pub deletes: u64,
    /// Keys in them.
    pub deleted_keys: u64,
    /// Bodies.
    pub get_bytes: u64,
    pub put_bytes: u64,
    /// Request and response headers, estimated from the sizes that the client sends.
    pub header_bytes: u64,
    /// Requests sent again, included above.
    pub retries: u64,
    /// Answers of 503.
    pub throttled: u64,
    pub errors: u64,
}

impl StoreLedger {
    /// Both together.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            gets: self.gets + more.gets,
            heads: self.heads + more.heads,
            puts: self.puts + more.puts,
            lists: self.lists + more.lists,
            deletes: self.deletes + more.deletes,
            deleted_keys: self.deleted_keys + more.deleted_keys,
            get_bytes: self.get_bytes + more.get_bytes,
            put_bytes: self.put_bytes + more.put_bytes,
            header_bytes: self.header_bytes + more.header_bytes,
            retries: self.retries + more.retries,
            throttled: self.throttled + more.throttled,
            errors: self.errors + more.errors,
        }
    }
}

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

macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident: u64),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $($(#[$of])* pub $field: u64),+ }

        impl $name {
            pub const ZERO: Self = Self { $($field: 0),+ };

            /// Each count made of the two of its name.
            #[must_use]
            pub fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
                Self { $($field: combine(self.$field, other.$field)),+ }
            }
        }
    };
}

impl Ledger {
    /// Each count made of the two of its name.
    #[must_use]
    pub fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            host: self.host.zip(&other.host, &combine),
            cache: self.cache.zip(&other.cache, &combine),
            store: self.store.zip(&other.store, &combine),
        }
    }
}

impl StoreLedger {
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.zip(before, u64::saturating_sub)
    }

    /// Rounded up, each count.
    #[must_use]
    pub fn times(&self, times: f64) -> Self {
        self.zip(self, |count, _| (count as f64 * times).ceil() as u64)
    }
}

counts! {
    HostLedger {
        reads: u64,
        read_bytes: u64,
        writes: u64,
        write_bytes: u64,
        discards: u64,
        discard_bytes: u64,
        flushes: u64,
    }
}

counts! {
    /// In blocks.
    CacheLedger {
        read_hits: u64,
        read_misses: u64,
        write_hits: u64,
        write_misses: u64,
        /// GETs only to complete partly written blocks.
        merge_reads: u64,
        read_ahead: u64,
        /// Blocks read ahead that a read then used.
        read_ahead_used: u64,
        /// Blocks handed to the store, zeros included.
        stores: u64,
        /// Writes to blocks that were dirty already: stores saved.
        coalesced: u64,
        /// Reads answered because the block is known to be zero.
        zero_reads: u64,
        /// Stores that became deletes, or nothing at all.
        zero_writes: u64,
        evictions: u64,
        /// Writes that waited because too much was dirty.
        pressure_waits: u64,
        /// Stores and merges begun because the write delay was over. These three came later to the form, and may be
        /// missing.
        #[serde(default)]
        delay_stores: u64,
        /// Begun before that for a flush: of a simulation without the final one.
        #[serde(default)]
        flush_stores: u64,
        /// Begun before that because too much was dirty.
        #[serde(default)]
        pressure_stores: u64,
    }
}

impl CacheLedger {
    /// Share of the stores that a flush hurried; `None` where nobody counted.
    pub fn forced_by_flush(&self) -> Option<f64> {
        let all = self.delay_stores + self.flush_stores + self.pressure_stores;
        (all > 0).then(|| self.flush_stores as f64 / all as f64)
    }
}

counts! {
    StoreLedger {
        gets: u64,
        heads: u64,
        puts: u64,
        lists: u64,
        /// Requests, single and bulk.
        deletes: u64,
        /// Keys in them.
        deleted_keys: u64,
        /// Bodies.
        get_bytes: u64,
        put_bytes: u64,
        /// Request and response headers, estimated from the sizes that the client sends.
        header_bytes: u64,
        /// Requests sent again, included above.
        retries: u64,
        /// Answers of 503.
        throttled: u64,
        errors: u64,
    }
}

//! The jobs: settings and workloads chosen to pass through everything a mount can do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use s3b_engine::settings::parse::show_size;
use s3b_engine::settings::{CacheSize, CipherName, Compression, Durability, Settings};
use s3b_tuner::model::shipped;
use s3b_tuner::simulate::{Job, Pace, Tape};
use s3b_tuner::workload::Workload;

/// Of the store's weather, in every job.
const SEED: u64 = 1;

/// The trace among the workloads, below this crate.
const SQLITE: &str = "traces/sqlite.s3bt";

/// One job. Sizes in bytes.
pub struct Golden {
    /// Of its file.
    pub name: &'static str,
    /// A built-in scenario, or [`SQLITE`].
    workload: &'static str,
    block_size: u64,
    cache: u64,
    threads: u32,
    write_delay_ms: u64,
    /// Of a closed loop; nothing: by the workload's own times.
    outstanding: Option<usize>,
    /// The rest of its settings, in words and in deed.
    also: &'static str,
    set: fn(&mut Settings),
}

const fn golden(
    name: &'static str,
    workload: &'static str,
    [block_size, cache]: [u64; 2],
    threads: u32,
    write_delay_ms: u64,
) -> Golden {
    let outstanding = None;
    Golden { name, workload, block_size, cache, threads, write_delay_ms, outstanding, also: "", set: |_| {} }
}

impl Golden {
    const fn closed(mut self, outstanding: usize) -> Self {
        self.outstanding = Some(outstanding);
        self
    }

    const fn also(mut self, also: &'static str, set: fn(&mut Settings)) -> Self {
        self.also = also;
        self.set = set;
        self
    }

    /// One line for people.
    pub fn what(&self) -> String {
        let pace = match self.outstanding {
            Some(outstanding) => format!("{outstanding} outstanding"),
            None => "by its own times".into(),
        };
        let also = if self.also.is_empty() { String::new() } else { format!(", {}", self.also) };
        format!(
            "{}, {pace}; {} blocks, cache {}, {} threads, write delay {} ms{also}; s3-standard, seed {SEED}",
            self.workload,
            show_size(&self.block_size),
            show_size(&self.cache),
            self.threads,
            self.write_delay_ms,
        )
    }

    /// # Errors
    /// A workload that cannot be read: none is known.
    pub fn job(&self) -> Result<Job> {
        let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.workload);
        let workload = if trace.exists() { trace.display().to_string() } else { self.workload.to_owned() };
        let mut settings = Settings::default();
        settings.volume.block_size = Some(self.block_size);
        settings.block_cache.size = CacheSize::Bytes(self.cache);
        settings.block_cache.threads = self.threads;
        settings.block_cache.write_delay = Duration::from_millis(self.write_delay_ms);
        (self.set)(&mut settings);
        let pace = self.outstanding.map_or(Pace::Schedule, |outstanding| Pace::Closed { outstanding });
        let tape = Arc::new(Tape::of(Workload::load(&workload)?)?);
        Ok(Job { store: Some(Arc::new(shipped::standard())), seed: SEED, pace, ..Job::new(settings, tape) })
    }
}

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

/// See the module.
pub static JOBS: [Golden; 15] = [
    golden("oltp-64k", "oltp", [64 * K, 128 * M], 32, 250),
    golden("oltp-8k-small-cache", "oltp", [8 * K, 8 * M], 16, 1000),
    golden("oltp-256k-closed", "oltp", [256 * K, 256 * M], 64, 5000).closed(32),
    golden("mail-64k-no-delay", "mail", [64 * K, 64 * M], 8, 0),
    golden("mail-256k-zstd-encrypted", "mail", [256 * K, 64 * M], 32, 250).also("zstd 1, AES-256", |settings| {
        settings.codec.compress = Some(Compression::Zstd(1));
        settings.codec.encrypt = Some(CipherName::Aes256Cbc);
    }),
    golden("mail-64k-journal", "mail", [64 * K, 64 * M], 32, 1000).also("durability journal", |settings| {
        settings.durability = Durability::Journal;
        // Never looked at: the disk is modelled.
        settings.block_cache.file = Some("cache".into());
    }),
    golden("mail-64k-not-durable", "mail", [64 * K, 32 * M], 32, 1000)
        .also("durability none", |settings| settings.durability = Durability::None),
    golden("backup-stream-1m-zlib", "backup-stream", [M, 128 * M], 16, 1000)
        .also("zlib", |settings| settings.codec.compress = Some(Compression::Deflate(-1))),
    golden("restore-128k-closed", "restore", [128 * K, 64 * M], 32, 250).closed(8),
    golden("vm-boot-256k", "vm-boot", [256 * K, 256 * M], 32, 250),
    golden("vm-boot-1m-small-cache", "vm-boot", [M, 16 * M], 8, 250)
        .also("read-ahead 8", |settings| settings.block_cache.read_ahead = Some(8)),
    golden("git-churn-64k-dirty-limit", "git-churn", [64 * K, 64 * M], 16, 2000)
        .also("64 dirty at most", |settings| settings.block_cache.max_dirty = 64),
    golden("fstrim-64k", "fstrim", [64 * K, 128 * M], 32, 250),
    golden("sqlite-64k", SQLITE, [64 * K, 64 * M], 32, 250),
    golden("sqlite-1m-rewrites-held-back", SQLITE, [M, 64 * M], 16, 250).also(
        "MD5 cache, a second between stores of a block",
        |settings| {
            settings.md5_cache.size = 1000;
            settings.md5_cache.time = Duration::from_secs(10);
            settings.md5_cache.min_write_delay = Duration::from_secs(1);
        },
    ),
];

//! The block cache: write-back, in memory and optionally in a cache file.
//!
//! Adds hits without waiting, coalescing of writes, a flush that is a barrier, read-ahead and survival of restarts. Never
//! hashes, compresses or does I/O under its lock, never reads a block before a partial write, never drops a write.
//!
//! Why a pure core under one lock: the lock is held for a table look-up and at most 64 KiB of copying, so a hit costs well
//! under a microsecond; one lock makes every interleaving a sequence of core calls that tests can enumerate.
//! The downside is that two threads copying hits take turns; the front end's system calls dwarf that.
//!
//! `core` decides what is legal and when, `driver` carries it out, `disk` is the cache file.

mod at_risk;
mod barrier;
mod buffer;
mod content;
mod core;
pub mod disk;
mod driver;
mod oldest;
mod persister;
mod preload;
mod readahead;
mod reading;
mod recency;
pub mod sectors;
mod sizing;
mod slab;
mod slot;
mod ticket;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub use self::buffer::{HeldBytes, HitBytes};
use self::content::{Base, COPY_LIMIT};
use self::core::{Access, Blocked, Core, Purpose, Wake, Want};
use self::disk::{CacheFile, Loaded};
use self::driver::Shared;
pub use self::sizing::{CacheBlocks, resolve_size};
use self::ticket::Ticket;
use crate::cpu::Cpu;
use crate::error::Result;
use crate::geometry::{BlockNumber, Geometry, Piece, SECTOR};
use crate::payload::{Payload, Source};
use crate::settings::{BlockCacheSettings, Durability, RetrySettings};
use crate::stats::Stats;
use crate::store::BlockStore;

/// An open cache file and what was in it.
pub struct OpenFile {
    pub file: Arc<CacheFile>,
    pub loaded: Loaded,
}

/// What a cache is made of besides its settings.
pub struct CacheParts {
    pub store: Arc<dyn BlockStore>,
    pub cpu: Cpu,
    pub stats: Arc<Stats>,
    pub file: Option<OpenFile>,
    pub durability: Durability,
    /// Stores nothing, not even what a crash left in the cache file.
    pub read_only: bool,
    /// Capacity in blocks, from [`resolve_size`].
    pub blocks: CacheBlocks,
    pub payload: Payload,
}

/// See the module. Needs a tokio runtime; calls that do not wait may come from any thread.
pub struct BlockCache {
    shared: Arc<Shared>,
    geometry: Geometry,
    sync: bool,
    read_only: bool,
    durability: Durability,
    driver: JoinHandle<()>,
    persister: Mutex<Option<JoinHandle<()>>>,
}

impl BlockCache {
    /// Opens the cache and starts its driver on the current runtime.
    pub fn open(settings: &BlockCacheSettings, retry: &RetrySettings, parts: CacheParts) -> Result<Self> {
        let geometry = parts.store.geometry();
        let file = parts.file.is_some();
        let config = sizing::config(settings, retry, geometry, parts.payload, parts.blocks, parts.read_only, file);
        let mut core = Core::new(config, parts.stats.clone());
        let file = match parts.file {
            Some(OpenFile { file, loaded }) => {
                for block in loaded.blocks {
                    let image = match &block.mask {
                        Some(_) => Some(slot::read(&file, block.block, block.slot, core.form())?),
                        None => None,
                    };
                    core.restore(block, image, settings.no_verify || settings.offline);
                }
                Some(file)
            }
            None => None,
        };
        let shared = Arc::new(Shared::new(core, parts.store, parts.cpu, parts.stats, file));
        let driver = tokio::spawn(driver::drive(shared.clone()));
        let persister =
            shared.file.is_some().then(|| tokio::spawn(persister::run(shared.clone(), settings.write_delay)));
        Ok(Self {
            shared,
            geometry,
            sync: settings.sync,
            read_only: parts.read_only,
            durability: parts.durability,
            driver,
            persister: Mutex::new(persister),
        })
    }

    pub(crate) fn try_write(&self, offset: u64, len: u64, source: Source<'_>) -> Result<usize> {
        if self.sync {
            return Ok(0);
        }
        Ok(self.write_some(offset, len, source, false).0 as usize)
    }

    pub(crate) async fn write(&self, offset: u64, len: u64, source: Source<'_>) -> Result<()> {
        self.write_all(offset, len, source).await?;
        if self.sync { self.flush_store().await } else { Ok(()) }
    }

    pub(crate) fn payload(&self) -> Payload {
        self.shared.form.payload
    }

    pub async fn flush(&self) -> Result<()> {
        match self.durability {
            _ if self.read_only => Ok(()),
            Durability::None => Ok(()),
            Durability::Journal if self.shared.lock().has_file() => match self.flush_file().await {
                Ok(()) => Ok(()),
                // The cache file went out of use meanwhile: the store is the only durable place left.
                Err(_) if !self.shared.lock().has_file() => self.flush_store().await,
                Err(error) => Err(error),
            },
            Durability::Journal | Durability::Store => self.flush_store().await,
        }
    }

    /// Blocks that were believed without asking are verified before their next use (after a time offline).
    pub fn distrust_restored(&self) {
        self.shared.step(|core, _| core.distrust_restored());
    }

    /// Stores everything, for as long as it takes, then stops.
    pub async fn close(&self) -> Result<()> {
        self.shared.step(|core, _| core.drain());
        while !self.read_only
            && let Err(error) = self.flush_store().await
        {
            let dirty = self.shared.lock().dirty();
            tracing::error!("{dirty} blocks are still not stored, trying on: {error}");
            let pause = self.shared.lock().longest_backoff();
            crate::clock::sleep(pause).await;
        }
        self.driver.abort();
        self.shared.close_persister();
        let persister = self.persister.lock().take();
        if let Some(persister) = persister {
            // Never aborted here: a group under way must come back, or what it did to the file is forgotten.
            let _ = persister.await;
        }
        let synced = if self.read_only { Ok(()) } else { self.sync_store().await };
        self.shared.store.close().await;
        synced
    }

    fn block_range(&self, offset: u64, len: u64) -> (BlockNumber, BlockNumber) {
        let size = u64::from(self.geometry.block_size());
        (BlockNumber((offset / size) as u32), BlockNumber(((offset + len - 1) / size) as u32))
    }

    /// Waits until something about a piece changed; answers its block's content where it is at hand.
    async fn wait_for(&self, piece: Piece) -> Result<Option<Base>> {
        let mut queued = false;
        loop {
            let known_zero = self.shared.store.known_zero(piece.block);
            let waiter = self.shared.step_waiting(|core, now| {
                let want = core.want(piece, now, known_zero);
                if queued {
                    core.pass_on_room();
                }
                match want {
                    Want::Ready => Err(Ok(None)),
                    Want::Zero => {
                        self.shared.stats.block_cache.zero_reads.increment();
                        Err(Ok(Some(Base::Zero)))
                    }
                    Want::Failed(error) => Err(Err(error)),
                    Want::Wait(ticket) => Ok(ticket),
                    Want::NoRoom => Ok(core.wait_for_room(queued, Purpose::Read)),
                }
            });
            let waiter = match waiter {
                Ok(waiter) => waiter,
                Err(answer) => return answer,
            };
            match waiter.await {
                Wake::Failed(error) => {
                    self.shared.step(|core, _| core.pass_on_room());
                    return Err(error);
                }
                Wake::Block(base) => return Ok(Some(base)),
                Wake::Room => queued = true,
                Wake::Retry | Wake::Flushed => return Ok(None),
            }
        }
    }

    async fn write_all(&self, offset: u64, len: u64, source: Source<'_>) -> Result<()> {
        let mut done = 0;
        let mut queued = false;
        while done < len {
            let rest = source.part(done as usize..len as usize);
            let (taken, blocked) = self.write_some(offset + done, len - done, rest, queued);
            done += taken;
            if queued {
                self.shared.step(|core, _| core.pass_on_room());
            }
            match blocked {
                None => tokio::task::yield_now().await,
                Some(Blocked::Room) => {
                    let again = queued && taken == 0;
                    let waiter = self.shared.step_waiting(|core, _| {
                        let ticket = core.wait_for_room(again, Purpose::Write);
                        // There may be room since the look above, and nobody else to say so.
                        core.pass_on_room();
                        Ok::<_, ()>(ticket)
                    });
                    if let Ok(waiter) = waiter {
                        waiter.await;
                    }
                    queued = true;
                }
                Some(Blocked::Bytes(piece)) => {
                    let waited = self.wait_for(piece).await;
                    // Whole sectors need no old bytes, so a failed verification of those does not fail the write.
                    let sector = u64::from(SECTOR);
                    if !((offset + done).is_multiple_of(sector) && (offset + len).is_multiple_of(sector)) {
                        waited?;
                    }
                    queued = true;
                }
            }
        }
        Ok(())
    }

    /// Writes leading bytes until it would have to wait, or has done a good deal. Answers how many and why not more.
    fn write_some(&self, offset: u64, len: u64, source: Source<'_>, queued: bool) -> (u64, Option<Blocked>) {
        let mut done = 0;
        for piece in self.geometry.pieces(offset, len) {
            let part = source.part(done as usize..done as usize + piece.len as usize);
            let (taken, blocked) = self.write_piece(piece, part, queued);
            done += u64::from(taken);
            if blocked.is_some() {
                return (done, blocked);
            }
        }
        (done, None)
    }

    fn write_piece(&self, piece: Piece, source: Source<'_>, queued: bool) -> (u32, Option<Blocked>) {
        // Asked under the lock: between the question and the write another writer's data may be stored and evicted.
        let store = &self.shared.store;
        let access = |now| Access { now, known_zero: store.known_zero(piece.block), queued };
        let whole = piece.len == self.geometry.block_size();
        let large = piece.len as usize > COPY_LIMIT;
        if whole && (source.is_zeros() || large && self.shared.lock().wants_new_base(piece.block)) {
            // Made outside the lock.
            let base = Base::written(self.shared.form, source);
            let copied = if source.is_zeros() { 0 } else { piece.len };
            self.shared.stats.block_cache.copied_bytes.add(u64::from(copied));
            return match self.shared.step(|core, now| core.replace(piece.block, base, access(now))) {
                Ok(()) => (piece.len, None),
                Err(blocked) => (0, Some(blocked)),
            };
        }
        let mut done = 0;
        while done < piece.len {
            let len = (piece.len - done).min(COPY_LIMIT as u32);
            let part = Piece { block: piece.block, start: piece.start + done, len };
            let source = source.part(done as usize..(done + len) as usize);
            if let Err(blocked) = self.shared.step(|core, now| core.write(part, source, access(now))) {
                return (done, Some(blocked));
            }
            done += len;
        }
        (done, None)
    }

    async fn flush_store(&self) -> Result<()> {
        self.wait_flushed(|core| core.flush()).await?;
        // The file must not keep an older dirty version of what is stored: it would be replayed after a crash. A flush of
        // the file fails as its disk fills up; then its records alone are put right.
        while self.shared.lock().has_records()
            && let Err(error) = self.flush_file().await
        {
            tracing::warn!("{error}");
        }
        self.sync_store().await
    }

    /// As patient as a store: what may heal is waited for.
    async fn sync_store(&self) -> Result<()> {
        loop {
            match self.shared.store.sync().await {
                Err(error) if error.is_transient() => {
                    tracing::warn!("{error}");
                    let pause = self.shared.lock().longest_backoff();
                    crate::clock::sleep(pause).await;
                }
                synced => return synced,
            }
        }
    }

    async fn flush_file(&self) -> Result<()> {
        self.wait_flushed(|core| core.flush_file()).await
    }

    async fn wait_flushed(&self, start: impl FnOnce(&mut Core) -> Option<Ticket>) -> Result<()> {
        match self.shared.step_waiting(|core, _| start(core).ok_or(())) {
            Err(()) => Ok(()),
            Ok(waiter) => match waiter.await {
                Wake::Failed(error) => Err(error),
                _ => Ok(()),
            },
        }
    }
}

impl Drop for BlockCache {
    /// Without [`BlockCache::close`]: as after a crash, nothing more is stored.
    fn drop(&mut self) {
        self.driver.abort();
        if let Some(persister) = self.persister.lock().take() {
            persister.abort();
        }
    }
}

//! The MD5 cache: remembers the ETag of what was stored lately, for stores that may answer with older content.
//!
//! It adds: reads of recently written blocks are strict (the store must answer what was stored last, and is asked
//! again until it does); a read during a store gets the data being stored; a least time between two stores of a block;
//! after a failed store, a pause before the block is read plainly. The name is s3backer's; no MD5 is computed here.
//!
//! It never caches content beyond the store under way, never retries (a stale answer is retried below), and never
//! forgets an ETag early: when the table is full, a write waits. It assumes to be the only writer, so shared-disk and
//! read-only mounts have no such layer. Two callers that write one block at the same time get either order.

mod core;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, BoxFuture};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::core::{Core, ReadStep, Wait};
use crate::clock;
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::running::Running;
use crate::settings::Md5CacheSettings;
use crate::stats::Stats;
use crate::store::{BlockStore, Expect, Fetched, SurveySink};

/// The layer.
pub struct Md5Cache {
    inner: Arc<Inner>,
}

struct Inner {
    below: Arc<dyn BlockStore>,
    stats: Arc<Stats>,
    /// The core's time starts here.
    born: clock::Instant,
    // One short lock: some look-ups per network request.
    core: Mutex<Core>,
    /// A store ended or an entry went. Wakes all who wait, in order of arrival: they are at most as many as the block
    /// cache has write-back slots, and a wake-up that meets a dropped future is not lost this way.
    changed: Notify,
    running: Running,
}

/// A store under way. Dropped without an ETag it leaves the block's content unknown.
struct Storing {
    inner: Arc<Inner>,
    block: BlockNumber,
    etag: Option<ETag>,
}

/// Deletes of one `delete_many` that wait for their block at a time.
const WAITING_DELETES: usize = 32;

impl Md5Cache {
    /// # Errors
    /// `Config` when the settings contradict each other or could make a write wait for ever.
    pub fn new(below: Arc<dyn BlockStore>, settings: &Md5CacheSettings, stats: Arc<Stats>) -> Result<Self> {
        check(settings, below.geometry())?;
        stats.md5_cache.current_size.set(0);
        let inner = Inner {
            below,
            stats,
            born: clock::now(),
            core: Mutex::new(Core::new(settings.clone())),
            changed: Notify::new(),
            running: Running::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// s3backer's rules for the three options.
fn check(settings: &Md5CacheSettings, geometry: Geometry) -> Result<()> {
    let Md5CacheSettings { size, time, min_write_delay } = settings;
    let (time, delay) = (time.as_millis(), min_write_delay.as_millis());
    if *size == 0 {
        return Err(Error::config(format!(
            "--md5-cache-size=0 means no MD5 cache, but one is being built; try --md5-cache-size={}",
            geometry.blocks().min(10_000)
        )));
    }
    if time == 0 && *size < geometry.blocks() {
        return Err(Error::config(format!(
            "--md5-cache-time=0 keeps every entry for ever, so --md5-cache-size={size} must hold all {} blocks; \
             try --md5-cache-size={} or --md5-cache-time={}",
            geometry.blocks(),
            geometry.blocks(),
            delay.max(10_000)
        )));
    }
    if time > 0 && time < delay {
        return Err(Error::config(format!(
            "--md5-cache-time={time} is shorter than --min-write-delay={delay}; try --md5-cache-time={delay}"
        )));
    }
    Ok(())
}

impl BlockStore for Md5Cache {
    fn geometry(&self) -> Geometry {
        self.inner.below.geometry()
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let _running = inner.running.begin();
            inner.read(block, expect).await
        })
    }

    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let _running = inner.running.begin();
            Ok(inner.write(block, data).await?.filter(|_| want_etag))
        })
    }

    fn delete_many(&self, mut blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let _running = inner.running.begin();
            blocks.sort_unstable();
            blocks.dedup();
            inner.delete_all(blocks).await
        })
    }

    /// What is here is reported first: the listing may be older.
    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let holding = inner.core.lock().holding();
            if !holding.is_empty() {
                sink(&holding);
            }
            inner.below.survey(sink).await
        })
    }

    fn known_zero(&self, block: BlockNumber) -> bool {
        let here = self.inner.core.lock().is_zero(block);
        here.unwrap_or_else(|| self.inner.below.known_zero(block))
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.below.sync()
    }

    /// Waits for everybody who sleeps here, delays included.
    fn close(&self) -> BoxFuture<'static, ()> {
        let inner = self.inner.clone();
        Box::pin(async move {
            inner.running.wait_until_idle().await;
            inner.below.close().await;
        })
    }
}

impl Inner {
    /// One step of the core at the present time; whoever waits is told if it made room.
    fn step<T>(&self, step: impl FnOnce(&mut Core, Duration) -> T) -> T {
        let (answer, shrunk) = {
            let mut core = self.core.lock();
            let before = core.len();
            let answer = step(&mut core, clock::now() - self.born);
            self.stats.md5_cache.current_size.set(core.len() as u64);
            (answer, core.len() < before)
        };
        if shrunk {
            self.changed.notify_waiters();
        }
        answer
    }

    async fn read(&self, block: BlockNumber, expect: Expect) -> Result<Fetched> {
        loop {
            match self.step(|core, now| core.read(block, now)) {
                ReadStep::Pass => return self.below.read(block, expect).await,
                ReadStep::InFlight(data) => {
                    self.stats.md5_cache.data_hits.increment();
                    return Ok(Fetched::Data(data, None));
                }
                ReadStep::Zero if expect == Expect::Unless(ETag::ZERO_BLOCK) => return Ok(Fetched::Unchanged),
                ReadStep::Zero => return Ok(Fetched::Data(BlockData::Zero, Some(ETag::ZERO_BLOCK))),
                ReadStep::Strict(etag) if expect == Expect::Unless(etag) => return Ok(Fetched::Unchanged),
                ReadStep::Strict(etag) => {
                    if let Some(fetched) = self.read_strictly(block, etag).await {
                        return fetched;
                    }
                }
                ReadStep::WaitUntil(time) => self.sleep_until(Some(time)).await,
            }
        }
    }

    /// `None` when another store of the block made this ETag obsolete: waiting for it on would end in a stale read.
    async fn read_strictly(&self, block: BlockNumber, etag: ETag) -> Option<Result<Fetched>> {
        let mut reading = self.below.read(block, Expect::Exactly(etag));
        loop {
            let changed = self.changed.notified();
            if self.core.lock().is_superseded(block, etag) {
                return None;
            }
            tokio::select! {
                biased;
                fetched = &mut reading => return Some(fetched),
                () = changed => {}
            }
        }
    }

    async fn write(self: &Arc<Self>, block: BlockNumber, data: BlockData) -> Result<Option<ETag>> {
        if data.is_known_zero() && self.stays_zero(block) {
            return self.below.write(block, data, true).await;
        }
        let mut storing = self.begin_write(block, &data).await;
        storing.etag = self.below.write(block, data, true).await?;
        Ok(storing.etag)
    }

    /// A zero store that changes nothing needs no entry: a discard must not fill the table.
    fn stays_zero(&self, block: BlockNumber) -> bool {
        let absent = self.core.lock().is_zero(block).is_none();
        absent && self.below.known_zero(block)
    }

    async fn begin_write(self: &Arc<Self>, block: BlockNumber, data: &BlockData) -> Storing {
        loop {
            // Registered before the step, so that no change between the two is missed.
            let changed = self.changed.notified();
            let asked = clock::now();
            match self.try_begin_write(block, data) {
                Ok(storing) => return storing,
                Err(Wait::ForRoom(until)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = self.sleep_until(until) => {}
                    }
                    self.stats.md5_cache.full_delays.add(clock::now() - asked);
                }
                Err(Wait::Until(time)) => {
                    self.sleep_until(Some(time)).await;
                    self.stats.md5_cache.write_delays.add(clock::now() - asked);
                }
                Err(Wait::ForStore) => {
                    changed.await;
                    self.stats.md5_cache.write_delays.add(clock::now() - asked);
                }
            }
        }
    }

    fn try_begin_write(self: &Arc<Self>, block: BlockNumber, data: &BlockData) -> Result<Storing, Wait> {
        self.step(|core, now| core.write(block, data, now))?;
        Ok(Storing { inner: self.clone(), block, etag: None })
    }

    /// Blocks that may go now go together; each of the others goes when it may.
    async fn delete_all(self: &Arc<Self>, blocks: Vec<BlockNumber>) -> Vec<(BlockNumber, Result<()>)> {
        let (mut together, mut ready, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for &block in &blocks {
            if self.stays_zero(block) {
                together.push(block);
                continue;
            }
            match self.try_begin_write(block, &BlockData::Zero) {
                Ok(storing) => {
                    together.push(block);
                    ready.push(storing);
                }
                Err(_) => waiting.push(block),
            }
        }
        let together = async {
            if together.is_empty() {
                return Vec::new();
            }
            let answers = self.below.delete_many(together).await;
            let stored: HashSet<BlockNumber> =
                answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(block, _)| *block).collect();
            for mut storing in ready {
                storing.etag = stored.contains(&storing.block).then_some(ETag::ZERO_BLOCK);
            }
            answers
        };
        let waiting = stream::iter(waiting)
            .map(|block| async move { (block, self.write(block, BlockData::Zero).await.map(|_| ())) })
            .buffered(WAITING_DELETES)
            .collect::<Vec<_>>();
        let (mut results, waited) = future::join(together, waiting).await;
        results.extend(waited);
        results.sort_unstable_by_key(|(block, _)| *block);
        results
    }

    /// Sleeps until a time of the core; `None`, or a time beyond all clocks: for ever.
    async fn sleep_until(&self, time: Option<Duration>) {
        match time.and_then(|time| self.born.checked_add(time)) {
            Some(instant) => clock::sleep_until(instant).await,
            None => future::pending().await,
        }
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.inner.step(|core, now| core.end_write(self.block, self.etag, now));
        self.inner.changed.notify_waiters();
    }
}

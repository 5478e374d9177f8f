//! The zero map: one bit per block, set when the block is surely zero.
//!
//! It adds: reads of known-zero blocks without a request; zero stores of known-zero blocks dropped; all other zero
//! stores gathered into batched deletes; one store of a block at a time, in order of arrival, so that a write never
//! overtakes a delete; a background survey that learns of zero blocks from a listing; a saved form of the map.
//!
//! It never caches content, never retries, never delays a read or a non-zero write (but behind another store of the same
//! block), and never takes a block for zero because of a store that failed, was dropped or is under way. It assumes
//! to be the only writer: shared-disk mode has no zero map at all.
//!
//! # When a saved map may be believed
//!
//! A map is true at the moment of a clean unmount and until anybody writes the volume again. The identity passed to
//! [`ZeroMap::to_bytes`] and [`SavedMap::from_bytes`] must therefore change with every mount that may write. The stack:
//!
//! 1. holds the mount lock before it reads the saved map, so nobody writes meanwhile;
//! 2. passes as identity: location and prefix, the *session* that the superblock records, and block 0's ETag. Each
//!    writing mount of ours that will keep a map puts a fresh random session into the superblock before its first write,
//!    each other one takes away the session it finds. So a map older than the last such mount, ours or another host's,
//!    crashed or not, does not match. No superblock or no session in it: no saved map;
//! 3. having read the map, deletes the file and then records the new session;
//! 4. saves at a clean unmount only: after [`BlockStore::close`], before the lock is released, with the new session and
//!    the then current ETag of block 0, by temporary file, fsync and rename. Should the lock turn out to have been
//!    another's, the file is deleted again.
//!
//! A mount by s3backer leaves no trace in the superblock. Whoever mounts a file system through it changes block 0, which
//! the ETag shows; one that only wrote elsewhere cannot be detected without a listing. Therefore a saved map is believed
//! only where [`SurveyMode::Auto`] skips the survey for its price. An affordable survey runs, and one asked for by name
//! (`--list-blocks`) always does; both start from nothing, not from the saved map, and what they find is saved
//! in its place. `docs/decisions/saved-zero-map.md` tells the danger that remains, and its remedy.
//!
//! [`SurveyMode::Auto`]: crate::settings::SurveyMode::Auto

mod batch;
mod bits;
mod deletes;
mod saved;
mod survey;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use self::batch::Gathering;
use self::bits::Bits;
use self::deletes::Delete;
pub use self::saved::SavedMap;
use self::survey::Plan;
pub use self::survey::survey_is_too_dear;
use self::turns::{Begin, Content, End, Grant, Turns};
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::running::Running;
use crate::settings::ZeroMapSettings;
use crate::stats::Stats;
use crate::store::{BlockStore, Expect, Fetched, SurveySink};

/// What is known at mount.
#[derive(Debug)]
pub enum Known {
    Nothing,
    /// A new volume: no block-shaped key exists.
    AllZero,
    Saved(SavedMap),
}

/// The layer.
pub struct ZeroMap {
    inner: Arc<Inner>,
}

struct Inner {
    below: Arc<dyn BlockStore>,
    geometry: Geometry,
    settings: ZeroMapSettings,
    stats: Arc<Stats>,
    /// Read by anyone at any time, changed under `turns`.
    zero: Arc<Bits>,
    // One short lock over all blocks: it is taken a few times per network request, for some map look-ups each.
    turns: Mutex<Turns<oneshot::Sender<Granted>>>,
    gathering: Mutex<Gathering<Delete>>,
    hurry: Notify,
    /// There is nothing a survey could find.
    new_volume: bool,
    /// Every zero block is known, but for those whose store failed.
    complete: AtomicBool,
    surveying: AtomicBool,
    closing: watch::Sender<bool>,
    running: Running,
}

/// The right to store one block. Passes on when dropped; dropped in the middle of a store it leaves the block in doubt.
struct Turn {
    inner: Arc<Inner>,
    block: BlockNumber,
    end: End,
    /// Somebody else passes it on.
    disarmed: bool,
}

enum Granted {
    AlreadyZero,
    Turn(Turn),
}

/// A read under way.
struct Reading {
    inner: Arc<Inner>,
    block: BlockNumber,
    saw_zero: bool,
}

/// Blocks looked at in one go when the map answers a survey: some tens of microseconds.
const SURVEY_BLOCKS: usize = 1 << 14;

impl ZeroMap {
    pub fn new(below: Arc<dyn BlockStore>, settings: &ZeroMapSettings, known: Known, stats: Arc<Stats>) -> Self {
        let geometry = below.geometry();
        let new_volume = matches!(known, Known::AllZero);
        let (zero, complete) = match known {
            Known::Nothing => (Bits::none(geometry.blocks()), false),
            Known::AllZero => (Bits::all(geometry.blocks()), true),
            Known::Saved(map) => (map.zero, map.complete),
        };
        debug_assert_eq!(zero.blocks(), geometry.blocks());
        let zero = Arc::new(zero);
        stats.zero_map.known_zero.set(zero.members());
        let inner = Inner {
            below,
            geometry,
            settings: settings.clone(),
            stats,
            turns: Mutex::new(Turns::new(zero.clone())),
            zero,
            gathering: Mutex::new(Gathering::new()),
            hurry: Notify::new(),
            new_volume,
            complete: AtomicBool::new(complete),
            surveying: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            running: Running::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the background survey if the settings want one and it is worth its price. Answers what the user should
    /// know, if anything. It runs on the caller's runtime. Where listings are free (a local directory) pass
    /// [`SurveyMode::On`] instead of `Auto`.
    ///
    /// [`SurveyMode::On`]: crate::settings::SurveyMode::On
    pub fn start_survey(&self) -> Option<String> {
        let inner = &self.inner;
        if inner.new_volume {
            return None;
        }
        match survey::plan(&inner.settings, inner.geometry.blocks(), inner.complete.load(Ordering::Acquire)) {
            Plan::No => None,
            Plan::Skip(notice) => Some(notice),
            Plan::Run => {
                if !inner.surveying.swap(true, Ordering::AcqRel) {
                    tokio::spawn(inner.clone().run_survey(inner.running.begin()));
                }
                None
            }
        }
    }

    /// The map as bytes for [`SavedMap::from_bytes`]; see the head of this module for what `identity` must be. Only after
    /// [`BlockStore::close`]: a store that begins later makes it untrue.
    pub fn to_bytes(&self, identity: &[u8]) -> Vec<u8> {
        let complete = self.inner.complete.load(Ordering::Acquire);
        saved::to_bytes(&self.inner.zero, complete, self.inner.geometry, identity)
    }
}

impl BlockStore for ZeroMap {
    fn geometry(&self) -> Geometry {
        self.inner.geometry
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            if let Some(answer) = inner.answer(block, expect) {
                inner.stats.zero_map.read_hits.increment();
                return Ok(answer);
            }
            let mut reading = Reading::begin(inner, block);
            let fetched = reading.inner.below.read(block, expect).await?;
            reading.saw_zero = match &fetched {
                Fetched::Data(data, _) => data.is_known_zero(),
                Fetched::Unchanged => expect == Expect::Unless(ETag::ZERO_BLOCK),
            };
            Ok(fetched)
        })
    }

    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            // Nearly free for other content: the test stops at the first byte that is not zero.
            let data = match data {
                BlockData::Bytes(bytes) => BlockData::detect_zero(bytes),
                BlockData::Zero => BlockData::Zero,
            };
            if data.is_known_zero() {
                inner.delete(block).await?;
                return Ok(want_etag.then_some(ETag::ZERO_BLOCK));
            }
            let Granted::Turn(mut turn) = inner.take_turn(block, Content::NonZero).await else {
                return Err(Error::failed(format!("{block:?}: a write was answered as a delete")));
            };
            turn.end = End::InDoubt(Content::NonZero);
            let etag = inner.below.write(block, data, want_etag).await?;
            turn.end = End::Stored(Content::NonZero);
            Ok(etag)
        })
    }

    fn delete_many(&self, mut blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            blocks.sort_unstable();
            blocks.dedup();
            inner.delete_all(blocks).await
        })
    }

    /// Needs no listing once the map is complete: what is not known zero may be there.
    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        let inner = self.inner.clone();
        if !inner.complete.load(Ordering::Acquire) {
            return inner.below.survey(sink);
        }
        Box::pin(async move {
            let blocks = inner.geometry.blocks();
            // In portions, so that a large empty volume does not hold up this thread.
            for start in (0..blocks).step_by(SURVEY_BLOCKS) {
                let portion = start..blocks.min(start.saturating_add(SURVEY_BLOCKS as u32));
                let found: Vec<BlockNumber> =
                    portion.map(BlockNumber).filter(|block| !inner.zero.contains(*block)).collect();
                if !found.is_empty() {
                    sink(&found);
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    }

    fn known_zero(&self, block: BlockNumber) -> bool {
        self.inner.zero.contains(block)
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.below.sync()
    }

    /// Sends what waits for company, waits for all batches, gives up a survey.
    fn close(&self) -> BoxFuture<'static, ()> {
        let inner = self.inner.clone();
        Box::pin(async move {
            inner.closing.send_replace(true);
            inner.hurry_deletes();
            inner.running.wait_until_idle().await;
            inner.below.close().await;
        })
    }
}

impl Inner {
    /// The answer to a read of a known-zero block. A reader that insists on other content asks the store.
    fn answer(&self, block: BlockNumber, expect: Expect) -> Option<Fetched> {
        if !self.zero.contains(block) {
            return None;
        }
        match expect {
            Expect::Exactly(etag) if !etag.is_zero_block() => None,
            Expect::Unless(etag) if etag.is_zero_block() => Some(Fetched::Unchanged),
            _ => Some(Fetched::Data(BlockData::Zero, Some(ETag::ZERO_BLOCK))),
        }
    }

    /// Asks for the turn; when it is not free the receiver brings it. Never waits.
    fn ask_turn(self: &Arc<Self>, block: BlockNumber, content: Content) -> Result<Granted, oneshot::Receiver<Granted>> {
        let (ticket, granted) = oneshot::channel();
        let begin = {
            let mut turns = self.turns.lock();
            let begin = turns.begin_store(block, content, ticket);
            self.stats.zero_map.known_zero.set(self.zero.members());
            begin
        };
        match begin {
            Begin::AlreadyZero => Ok(Granted::AlreadyZero),
            Begin::Go => Ok(Granted::Turn(Turn::new(self, block))),
            Begin::Wait => Err(granted),
        }
    }

    async fn take_turn(self: &Arc<Self>, block: BlockNumber, content: Content) -> Granted {
        match self.ask_turn(block, content) {
            Ok(granted) => granted,
            Err(waiting) => {
                self.hurry_deletes();
                waiting.await.expect("tickets are answered as long as the map lives")
            }
        }
    }

    fn end_turn(self: &Arc<Self>, block: BlockNumber, mut end: End) {
        loop {
            let answered = {
                let mut turns = self.turns.lock();
                let answered = turns.end_store(block, end);
                self.stats.zero_map.known_zero.set(self.zero.members());
                answered
            };
            let mut refused = false;
            for (ticket, grant) in answered {
                let granted = match grant {
                    Grant::AlreadyZero => Granted::AlreadyZero,
                    Grant::Go => Granted::Turn(Turn::new(self, block)),
                };
                // Whoever waited may have gone; the turn comes back and is passed on here, not by its drop.
                if let Err(Granted::Turn(mut turn)) = ticket.send(granted) {
                    turn.disarmed = true;
                    refused = true;
                }
            }
            if !refused {
                return;
            }
            end = End::NotStarted;
        }
    }
}

impl Turn {
    fn new(inner: &Arc<Inner>, block: BlockNumber) -> Self {
        Self { inner: inner.clone(), block, end: End::NotStarted, disarmed: false }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.disarmed {
            self.inner.end_turn(self.block, self.end);
        }
    }
}

impl Reading {
    fn begin(inner: Arc<Inner>, block: BlockNumber) -> Self {
        inner.turns.lock().begin_read(block);
        Self { inner, block, saw_zero: false }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut turns = self.inner.turns.lock();
        turns.end_read(self.block, self.saw_zero);
        self.inner.stats.zero_map.known_zero.set(self.inner.zero.members());
    }
}

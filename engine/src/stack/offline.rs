//! `--offline`: a mount from the cache file alone, joined to the store when that answers again.
//!
//! Until then reads of cached blocks and all writes work; a read that needs the store fails as any read does. The store is
//! tried by every request that needs it, and now and then without one. Joining compares the volume's shape, takes the mount
//! lock, and from then on restored blocks are verified before they are read. If the volume is not what the cache
//! file is of, or another mount has it, nothing is stored: flushes fail and the dirty blocks stay in the cache file.
//!
//! One attempt at a time, in a task of its own that no impatient reader can cancel half way; whoever comes meanwhile shares
//! it. All attempts use one mount token, so that one which got lost with a connection is recognised by the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::zero_file::ZeroFile;
use crate::block_cache::disk::CacheFile;
use crate::clock;
use crate::data::BlockData;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::mount_lock::{Claim, LockOptions, MountLock};
use crate::object::ObjectBackend;
use crate::object_blocks::{Keys, Naming, Resolved, resolve};
use crate::settings::{Location, RetrySettings, Settings};
use crate::store::{BlockStore, Expect, Fetched, SurveySink};
use crate::volume::Volume;
use crate::zero_map::SavedMap;

/// What a mount from the cache file is to be joined with.
pub(super) struct Shore {
    /// As the user gave them: what they say of size and naming must agree with the store's.
    pub(super) settings: Settings,
    pub(super) backend: Arc<dyn ObjectBackend>,
    pub(super) keys: Option<Arc<Keys>>,
    /// Of the cache file, as is the naming.
    pub(super) geometry: Geometry,
    pub(super) naming: Naming,
    pub(super) file: Arc<CacheFile>,
    /// Untrue as soon as something is stored.
    pub(super) zero_file: Option<ZeroFile>,
}

pub(super) struct Joining {
    shore: Shore,
    /// What is looked for in the store.
    sought: Settings,
    /// Where the lock goes once the volume is joined.
    lock: Arc<Mutex<Option<MountLock>>>,
    volume: OnceLock<Weak<Volume>>,
    claim: Claim,
    /// Our token may lie in the store, although the volume is not joined.
    claimed: AtomicBool,
    state: Mutex<State>,
    /// For those who ask before every request, some of them under the cache's lock.
    joined: AtomicBool,
    phase: watch::Sender<Phase>,
}

enum State {
    Apart,
    Trying(Attempt, AbortHandle),
    Joined,
}

/// What others wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Apart,
    Joined,
    Closing,
}

type Attempt = Shared<BoxFuture<'static, Result<()>>>;

impl Joining {
    pub(super) fn new(shore: Shore, lock: Arc<Mutex<Option<MountLock>>>) -> Arc<Self> {
        let mut sought = shore.settings.clone();
        sought.volume.block_hash_prefix = shore.naming.hashed();
        // Forces the lock only: a shape is changed by a mount that sees the store when it begins.
        sought.volume.force = false;
        Arc::new(Self {
            claim: Claim::new(shore.settings.test.seed),
            shore,
            sought,
            lock,
            volume: OnceLock::new(),
            claimed: AtomicBool::new(false),
            state: Mutex::new(State::Apart),
            joined: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Apart),
        })
    }

    /// Call it once, before anybody has the volume. Starts the attempts that wait for no request: who reads cached blocks
    /// only must not go on reading them unverified, and others must learn that the volume is taken.
    pub(super) fn start(self: &Arc<Self>, volume: &Arc<Volume>) {
        let _ = self.volume.set(Arc::downgrade(volume));
        tokio::spawn(keep_trying(Arc::downgrade(self), self.phase.subscribe()));
    }

    /// Between attempts that nobody waits for.
    fn pause(&self) -> Duration {
        match self.shore.settings.retry.longest_backoff {
            Duration::ZERO => RetrySettings::default().longest_backoff,
            pause => pause,
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    /// Waits for as long as a read does; the attempt goes on without who gave up.
    async fn join(self: &Arc<Self>) -> Result<()> {
        if self.is_joined() {
            return Ok(());
        }
        let start = clock::now();
        let Some((attempt, begun_before)) = self.attempt()? else { return Ok(()) };
        let outcome = match self.shore.settings.retry.max_pause {
            // An attempt is a chain of requests, each of which may take so long.
            Some(most) if !most.is_zero() => clock::timeout(most, attempt)
                .await
                .unwrap_or_else(|| Err(Error::transient("the store does not answer"))),
            // No patience means one try of each request, and so one attempt.
            Some(_) | None => attempt.await,
        };
        let error = match outcome {
            // Its patience began before ours.
            Err(error) if begun_before && error.is_transient() => error,
            outcome => return outcome,
        };
        let left = match self.shore.settings.retry.max_pause {
            Some(most) => most.saturating_sub(clock::now() - start),
            None => RetrySettings::default().longest_backoff,
        };
        if left.is_zero() {
            return Err(error);
        }
        let Some((attempt, _)) = self.attempt()? else { return Ok(()) };
        clock::timeout(left, attempt).await.unwrap_or(Err(error))
    }

    /// The attempt under way (`true`), or a new one. `None`: joined already.
    fn attempt(self: &Arc<Self>) -> Result<Option<(Attempt, bool)>> {
        let mut state = self.state.lock();
        match &*state {
            State::Joined => return Ok(None),
            State::Trying(attempt, _) => return Ok(Some((attempt.clone(), true))),
            State::Apart if *self.phase.borrow() == Phase::Closing => return Err(closed()),
            State::Apart => {}
        }
        let joining = self.clone();
        let trying = tokio::spawn({
            let joining = self.clone();
            async move { joining.try_join().await }
        });
        let abort = trying.abort_handle();
        // In a task around it, so that however it ends the next attempt can begin.
        let task = tokio::spawn(async move {
            let outcome = trying.await.unwrap_or_else(|died| match died.is_panic() {
                true => Err(Error::transient("the attempt to join the store died")),
                false => Err(closed()),
            });
            joining.ended(outcome.is_ok());
            outcome
        });
        // A task ends without an outcome when its runtime does.
        let attempt = task.map(|outcome| outcome.unwrap_or_else(|_| Err(closed()))).boxed().shared();
        *state = State::Trying(attempt.clone(), abort);
        Ok(Some((attempt, false)))
    }

    fn ended(&self, joined: bool) {
        self.joined.store(joined, Ordering::Release);
        *self.state.lock() = if joined { State::Joined } else { State::Apart };
        if joined {
            self.phase.send_if_modified(|phase| {
                let changed = *phase == Phase::Apart;
                *phase = if changed { Phase::Joined } else { *phase };
                changed
            });
        }
    }

    async fn try_join(&self) -> Result<()> {
        let mut phase = self.phase.subscribe();
        let looked = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => Err(closed()),
            looked = self.look() => looked,
        };
        // A close waits for what follows: it must not leave a token behind.
        let taken = match looked {
            Ok(resolved) => self.take(&resolved).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {}
            // The next attempt goes on with the token.
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                return Err(match self.give_back().await {
                    Ok(()) => error,
                    Err(left) => error.context(format!("and the mount token is left behind for now ({left})")),
                });
            }
        }
        if !self.shore.settings.block_cache.no_verify
            && let Some(volume) = self.volume.get().and_then(Weak::upgrade)
        {
            // Also if the lock was ours all along: a crash may have left an older version in the file than in the store.
            volume.distrust_restored();
        }
        tracing::info!("{} answers again: the volume is joined to it", self.shore.backend.describe());
        Ok(())
    }

    /// Whether the store has the volume that the cache file is of.
    async fn look(&self) -> Result<Resolved> {
        let refused = |error: Error| match error.kind() {
            ErrorKind::Config => error.context(
                "--offline: the store does not have the volume of the cache file; nothing is stored, what was written \
                 stays in the file",
            ),
            _ => error,
        };
        let resolved = resolve(&self.shore.backend, &self.sought, self.shore.keys.as_ref()).await.map_err(refused)?;
        let (stored, cached) = (resolved.geometry, self.shore.geometry);
        if resolved.is_new {
            // Every mount that may write leaves a superblock.
            return Err(refused(Error::config("no block and no superblock is left of it")));
        }
        if stored != cached {
            return Err(refused(Error::config(format!("there it is {stored:?}, in the file {cached:?}"))));
        }
        Ok(resolved)
    }

    async fn take(&self, resolved: &Resolved) -> Result<()> {
        let Shore { settings, backend, keys, file, .. } = &self.shore;
        let mut held = None;
        // A directory is locked by the file system, since it was opened.
        if !matches!(settings.location, Location::Directory(_)) {
            let cached = Some(file.token()).filter(|token| *token != 0);
            let mut options = LockOptions::from_settings(settings, cached);
            options.recover_dirty = true;
            options.claim = Some(self.claim.clone());
            self.claimed.store(true, Ordering::Release);
            let (lock, notices) = MountLock::acquire(backend, &self.shore.naming.token_key(), &options).await?;
            notices.iter().for_each(|notice| tracing::info!("{notice}"));
            if let Some(token) = lock.token()
                && let Err(error) = file.set_token(token)
            {
                // A broken cache file is one more reason to store what is dirty.
                tracing::warn!("{error}: after a crash this mount's token will not be known for ours");
            }
            held = Some(lock);
        }
        let resolved = super::resolve_again(backend, &self.sought, keys.as_ref(), resolved).await?;
        // No session: nobody's saved zero map may be believed after this mount.
        resolved.commit(backend, None).await?;
        if let Some(zeros) = self.shore.zero_file.as_ref().filter(|_| !settings.volume.read_only)
            && let Err(error) = zeros.forget()
        {
            tracing::warn!("{error}; delete it, it will be untrue");
        }
        *self.lock.lock() = held;
        Ok(())
    }

    /// Removes our token, should an attempt have left it.
    async fn give_back(&self) -> Result<()> {
        if self.claimed.load(Ordering::Acquire) {
            let key = self.shore.naming.token_key();
            MountLock::of_claim(&self.shore.backend, &key, &self.claim).release().await?;
            self.claimed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Ends the attempts, soon: a store that went away meanwhile cannot hold up who has nothing to store. What is joined
    /// stays so; what is not has no token in the store, unless that stopped answering.
    async fn close(&self) {
        let patience = RetrySettings::default().longest_backoff;
        self.phase.send_replace(Phase::Closing);
        let last = match &*self.state.lock() {
            State::Trying(attempt, abort) => Some((attempt.clone(), abort.clone())),
            State::Apart | State::Joined => None,
        };
        if let Some((attempt, abort)) = last
            && clock::timeout(patience, attempt.clone()).await.is_none()
        {
            abort.abort();
            // Its outcome is in the state.
            let _ = attempt.await;
        }
        if !self.is_joined() {
            let silent = || Err(Error::transient("the store does not answer"));
            if let Err(error) = clock::timeout(patience, self.give_back()).await.unwrap_or_else(silent) {
                tracing::warn!("{error}; s3b reset-mounted-flag removes the mount token, if there is one");
            }
        }
    }
}

async fn keep_trying(joining: Weak<Joining>, mut phase: watch::Receiver<Phase>) {
    let mut said = String::new();
    loop {
        let Some(still) = joining.upgrade() else { return };
        let outcome = still.join().await;
        let pause = still.pause();
        drop(still);
        match outcome {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) if error.message() != said => {
                tracing::warn!("offline: {error}");
                error.message().clone_into(&mut said);
            }
            Err(_) => {}
        }
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Apart) => return,
            () = clock::sleep(pause) => {}
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the volume is being closed and was not joined to its store")
}

/// A store whose every request joins first.
pub(super) struct Joined {
    pub(super) joining: Arc<Joining>,
    pub(super) below: Arc<dyn BlockStore>,
}

impl Joined {
    fn after_joining<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn BlockStore) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (joining, below) = (self.joining.clone(), self.below.clone());
        Box::pin(async move {
            joining.join().await?;
            call(&*below).await
        })
    }
}

impl BlockStore for Joined {
    fn geometry(&self) -> Geometry {
        self.below.geometry()
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        self.after_joining(move |below| below.read(block, expect))
    }

    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.after_joining(move |below| below.write(block, data, want_etag))
    }

    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let (joining, below) = (self.joining.clone(), self.below.clone());
        Box::pin(async move {
            match joining.join().await {
                Ok(()) => below.delete_many(blocks).await,
                Err(error) => blocks.into_iter().map(|block| (block, Err(error.clone()))).collect(),
            }
        })
    }

    /// In no hurry: waits until the volume is joined. Whoever closes the zero map drops it.
    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        let (joining, below) = (self.joining.clone(), self.below.clone());
        Box::pin(async move {
            let mut phase = joining.phase.subscribe();
            // The sender is in `joining`.
            let _ = phase.wait_for(|phase| *phase != Phase::Apart).await;
            if !joining.is_joined() {
                return Err(closed());
            }
            below.survey(sink).await
        })
    }

    /// Nothing was handed down before joining, so there is nothing to wait for: a flush or a close with nothing dirty
    /// needs no store.
    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        match self.joining.is_joined() {
            true => self.below.sync(),
            false => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let (joining, below) = (self.joining.clone(), self.below.clone());
        Box::pin(async move {
            joining.close().await;
            below.close().await;
        })
    }
}

/// On top of all: the holes of a volume, which no cache file holds, read as zeros while nobody can be asked.
pub(super) struct Remembered {
    pub(super) joining: Arc<Joining>,
    pub(super) zeros: SavedMap,
    pub(super) below: Arc<dyn BlockStore>,
}

impl BlockStore for Remembered {
    fn geometry(&self) -> Geometry {
        self.below.geometry()
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        self.below.read(block, expect)
    }

    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.below.write(block, data, want_etag)
    }

    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        self.below.delete_many(blocks)
    }

    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        self.below.survey(sink)
    }

    fn known_zero(&self, block: BlockNumber) -> bool {
        self.below.known_zero(block) || (self.zeros.contains(block) && !self.joining.is_joined())
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.below.sync()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.below.close()
    }
}

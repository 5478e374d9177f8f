//! `--offline`: a mount from the cache file alone, joined to the store when that answers again.
//!
//! Until then reads of cached blocks and all writes work; a read that needs the store tries to reach it and fails as any
//! read does. The first request that gets through joins: the volume's shape is compared, the mount lock taken, and
//! restored blocks are verified from then on, unless the lock was ours all along. If the volume is not what the cache
//! file is of, or another mount has it, nothing is stored: flushes fail and the dirty blocks stay in the cache file.

use std::sync::{Arc, OnceLock, Weak};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::block_cache::disk::CacheFile;
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::mount_lock::{LockOptions, MountLock};
use crate::object::ObjectBackend;
use crate::object_blocks::{Keys, Resolved, resolve};
use crate::settings::Settings;
use crate::store::{BlockStore, Expect, Fetched, SurveySink};
use crate::volume::Volume;

/// What joining needs and changes.
pub(super) struct Joining {
    pub(super) settings: Settings,
    pub(super) backend: Arc<dyn ObjectBackend>,
    pub(super) geometry: Geometry,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) file: Arc<CacheFile>,
    pub(super) lock: Arc<Mutex<Option<MountLock>>>,
    pub(super) volume: OnceLock<Weak<Volume>>,
    joined: OnceCell<()>,
}

impl Joining {
    pub(super) fn new(
        settings: &Settings,
        backend: Arc<dyn ObjectBackend>,
        geometry: Geometry,
        keys: Option<Arc<Keys>>,
        file: Arc<CacheFile>,
        lock: Arc<Mutex<Option<MountLock>>>,
    ) -> Arc<Self> {
        let settings = settings.clone();
        Arc::new(Self {
            settings,
            backend,
            geometry,
            keys,
            file,
            lock,
            volume: OnceLock::new(),
            joined: OnceCell::new(),
        })
    }

    /// Once; a failed attempt leaves nothing behind and the next request tries again.
    async fn join(&self) -> Result<()> {
        self.joined.get_or_try_init(|| self.try_join()).await.copied()
    }

    async fn try_join(&self) -> Result<()> {
        let resolved = resolve(&self.backend, &self.settings, self.keys.as_ref()).await?;
        if resolved.geometry != self.geometry {
            return Err(Error::config(format!(
                "the volume in the store has another shape ({:?}) than the one of the cache file ({:?}): nothing is stored",
                resolved.geometry, self.geometry
            )));
        }
        let cached = Some(self.file.token()).filter(|token| *token != 0);
        let mut options = LockOptions::from_settings(&self.settings, cached);
        options.recover_dirty = true;
        let ours_all_along = match crate::mount_lock::holder(&self.backend, &resolved.naming.token_key()).await? {
            Some(holder) => cached == Some(holder.token),
            None => false,
        };
        let (lock, notices) = MountLock::acquire(&self.backend, &resolved.naming.token_key(), &options).await?;
        if let Err(error) = self.take(&resolved, &lock).await {
            return Err(super::give_back(Some(lock), error).await);
        }
        if !ours_all_along && let Some(volume) = self.volume.get().and_then(Weak::upgrade) {
            volume.distrust_restored();
        }
        *self.lock.lock() = Some(lock);
        notices.iter().for_each(|notice| tracing::info!("{notice}"));
        tracing::info!("{} answers again: the volume is joined to it", self.backend.describe());
        Ok(())
    }

    async fn take(&self, resolved: &Resolved, lock: &MountLock) -> Result<()> {
        let resolved = super::resolve_again(&self.backend, &self.settings, self.keys.as_ref(), resolved).await?;
        // No session: nobody's saved zero map may be believed after this mount.
        resolved.commit(&self.backend, None).await?;
        match lock.token() {
            Some(token) => self.file.set_token(token),
            None => Ok(()),
        }
    }
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

    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        self.after_joining(move |below| below.survey(sink))
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.after_joining(|below| below.sync())
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.below.close()
    }
}

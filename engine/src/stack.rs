//! Builds the layers from [`Settings`]: the one place that names them all.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::cpu::Cpu;
use crate::data::BlockData;
use crate::direct::Direct;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::object::ObjectBackend;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::store::{BlockStore, Expect, Fetched, SurveySink};
use crate::volume::{Blocks, Volume};

/// What is not data: components, and secrets.
pub struct Parts {
    /// `None`: built from [`Settings::location`].
    pub backend: Option<Arc<dyn ObjectBackend>>,
    pub cpu: Cpu,
    /// The encryption password.
    pub password: Option<SecretString>,
    /// The S3 secret key, where it was given directly.
    pub access_key: Option<SecretString>,
}

/// What a store knows of a volume.
#[derive(Clone, Debug)]
pub struct VolumeInfo {
    /// `s3://bucket/prefix` or a path.
    pub place: String,
    /// `None`: there is no volume yet.
    pub geometry: Option<Geometry>,
    /// The owner of the mount lock.
    pub lock: Option<String>,
    /// More that is known, as name and value, in the order to show: naming, encoding, format version.
    pub details: Vec<(String, String)>,
}

/// An open volume with all below it.
pub struct Stack {
    volume: Arc<Volume>,
    stats: Arc<Stats>,
    notices: Vec<String>,
}

impl Stack {
    /// Opens the volume: finds its geometry, checks that the settings fit, takes the mount lock. Every failure
    /// path releases what it took; nothing is written before everything is checked.
    pub async fn open(settings: &Settings, _parts: Parts) -> Result<Stack> {
        let geometry =
            Geometry::new(settings.volume.block_size.unwrap_or(256 << 10), settings.volume.size.unwrap_or(1 << 30))?;
        let store = Arc::new(Scratch { geometry, blocks: Arc::default() });
        let volume = Arc::new(Volume::new(geometry, settings.volume.read_only, Blocks::Direct(Direct::new(store))));
        Ok(Stack { volume, stats: Arc::default(), notices: Vec::new() })
    }

    /// Deletes all blocks, the superblock and the lock; answers how many blocks there were.
    pub async fn erase(_settings: &Settings, _parts: Parts) -> Result<u64> {
        Err(Error::failed("erase: the scratch stack has no store"))
    }

    /// Removes the mount lock whoever holds it; answers its owner, `None` if there was no lock.
    pub async fn reset_lock(_settings: &Settings, _parts: Parts) -> Result<Option<String>> {
        Err(Error::failed("reset-mounted-flag: the scratch stack has no store"))
    }

    /// What the store knows of the volume. Writes nothing, takes no lock.
    pub async fn info(_settings: &Settings, _parts: Parts) -> Result<VolumeInfo> {
        Err(Error::failed("info: the scratch stack has no store"))
    }

    pub fn volume(&self) -> Arc<Volume> {
        self.volume.clone()
    }

    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    /// What the user should know at mount, a line each.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Stores everything (as long as it takes), stops background work, releases the lock.
    pub async fn close(&self) -> Result<()> {
        self.volume.close().await
    }
}

struct Scratch {
    geometry: Geometry,
    blocks: Arc<Mutex<HashMap<BlockNumber, BlockData>>>,
}

impl BlockStore for Scratch {
    fn geometry(&self) -> Geometry {
        self.geometry
    }
    fn read(&self, block: BlockNumber, _expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        let data = self.blocks.lock().get(&block).cloned().unwrap_or(BlockData::Zero);
        Box::pin(async move { Ok(Fetched::Data(data, None)) })
    }
    fn write(&self, block: BlockNumber, data: BlockData, _want: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.blocks.lock().insert(block, data);
        Box::pin(async move { Ok(None) })
    }
    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let mut all = self.blocks.lock();
        let done = blocks
            .into_iter()
            .map(|b| {
                (b, {
                    all.remove(&b);
                    Ok(())
                })
            })
            .collect();
        Box::pin(async move { done })
    }
    fn survey(&self, _sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

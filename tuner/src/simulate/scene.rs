//! What a simulated volume stands on: the blocks that exist, the model of a store, the counters, the opened stack.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::memory::Memory;
use s3b_engine::object::{ObjectBackend, ObjectHeaders};
use s3b_engine::object_blocks::Naming;
use s3b_engine::settings::{Durability, Location, Settings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{Counting, Counts};

use super::dilation::{DILATION, stretched, stretched_settings};
use super::ledger::{HostSide, Ledger, Observed};
use super::{Job, Start};
use crate::cost::Requests;
use crate::model::{Model, ModelSettings};

pub(super) struct Scene {
    stack: Stack,
    counts: Arc<Counts>,
    model: Option<Arc<Model>>,
}

impl Scene {
    /// Puts the blocks in place that the workload finds, and opens the volume as a mount would; at no cost.
    pub(super) async fn set(job: &Job, settings: &Settings, device_starts: &[u64]) -> Result<Self> {
        let settings = of_a_mount(&stretched_settings(settings), job.seed);
        let memory = Memory::new();
        let geometry = Geometry::new(settings.volume.block_size.unwrap_or(0), settings.volume.size.unwrap_or(0))?;
        let found = job.tape.found_blocks(geometry, device_starts)?;
        if found.count() > 0 {
            // A first mount leaves the volume's shape behind; blocks without one would have to be decoded to find it.
            let stack = open(&settings, Arc::new(memory.clone())).await.context("cannot make the volume")?;
            stack.close().await.context("cannot make the volume")?;
            let naming = Naming::new(&*settings.volume.prefix, settings.volume.block_hash_prefix);
            let body = Bytes::from(vec![0x5a; geometry.block_size() as usize]);
            for block in found.iter() {
                memory.insert(&naming.key(BlockNumber(block)), ObjectHeaders::default(), body.clone());
            }
        }
        let model = job.store.map(|store| Arc::new(Model::new(Arc::new(memory.clone()), slowed(store))));
        let below: Arc<dyn ObjectBackend> = match &model {
            Some(model) => model.clone(),
            None => Arc::new(memory),
        };
        let counting = Counting::new(below);
        let counts = counting.counts();
        let stack = open(&settings, Arc::new(counting)).await.context("cannot open the volume")?;
        // The survey runs in the background, and takes no time here.
        idle().await;
        Ok(Self { stack, counts, model })
    }

    /// Reads and writes what the cache is to hold.
    pub(super) async fn prime(&self, start: &Start) -> Result<()> {
        const PIECE: u64 = 1 << 20;
        let volume = self.stack.volume();
        for (offset, len) in &start.resident {
            for at in (0..*len).step_by(PIECE as usize) {
                volume.read(offset + at, (len - at).min(PIECE) as usize).await?;
            }
        }
        let data = Bytes::from(vec![0x5a; PIECE as usize]);
        for (offset, len) in &start.dirty {
            for at in (0..*len).step_by(PIECE as usize) {
                volume.write(offset + at, data.slice(..(len - at).min(PIECE) as usize)).await?;
            }
        }
        Ok(())
    }

    /// Requests take the model's time from now on.
    pub(super) fn weather_on(&self, seed: u64) {
        if let Some(model) = &self.model {
            model.switch_on(seed);
        }
    }

    pub(super) fn weather_off(&self) {
        if let Some(model) = &self.model {
            model.switch_off();
        }
    }

    pub(super) fn volume(&self) -> Arc<Volume> {
        self.stack.volume()
    }

    pub(super) fn observe(&self) -> Observed {
        Observed::of(&self.stack.stats(), &self.counts)
    }

    pub(super) fn requests(&self, before: &Observed) -> Requests {
        Requests::of(&self.counts).since(&before.requests)
    }

    /// Of all requests so far; opening is nearly free, so it may count here.
    pub(super) fn dollars(&self) -> f64 {
        Requests::of(&self.counts).dollars()
    }

    pub(super) fn ledger(&self, before: &Observed, host: HostSide) -> Ledger {
        self.observe().since(before, host)
    }

    pub(super) fn notices(&self) -> Vec<String> {
        self.stack.notices().to_vec()
    }

    pub(super) fn describe(&self) -> String {
        let stats = self.stack.stats();
        format!("{} blocks dirty, {} requests in flight", stats.block_cache.dirty.get(), self.counts.in_flight())
    }

    pub(super) async fn close(&self) -> Result<()> {
        Ok(self.stack.close().await?)
    }
}

async fn open(settings: &Settings, backend: Arc<dyn ObjectBackend>) -> Result<Stack> {
    let parts = Parts { backend: Some(backend), cpu: Cpu::inline(), password: None, access_key: None };
    Ok(Stack::open(settings, parts).await?)
}

/// Returns when nothing is left to do at this instant.
async fn idle() {
    clock::sleep(std::time::Duration::from_millis(1)).await;
}

/// As a mount of a bucket has them, without the user's own files, and with a seed for every random choice.
fn of_a_mount(settings: &Settings, seed: u64) -> Settings {
    let mut settings = settings.clone();
    let cache = &mut settings.block_cache;
    (cache.file, cache.offline, cache.recover_dirty, cache.preload) = (None, false, false, false);
    (settings.volume.read_only, settings.volume.force) = (false, false);
    if settings.durability == Durability::Journal {
        settings.durability = Durability::Store;
    }
    settings.location = Location::Bucket("modelled".into());
    settings.test.seed = Some(seed);
    (settings.test.delays, settings.test.errors, settings.test.discard) = (false, None, false);
    settings
}

fn slowed(store: ModelSettings) -> ModelSettings {
    let factor = u64::from(DILATION);
    ModelSettings {
        latency: stretched(store.latency),
        connection_bytes_per_s: (store.connection_bytes_per_s / factor).max(1),
        link_bytes_per_s: (store.link_bytes_per_s / factor).max(1),
    }
}

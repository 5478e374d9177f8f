//! What a simulated volume stands on: the blocks that exist, the model of a store, the counters, the opened stack.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use s3b_engine::block_cache::disk::{CacheDisk, DiskTimes, ModelledDisk};
use s3b_engine::clock;
use s3b_engine::cpu::{Cpu, Work};
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectBackend;
use s3b_engine::payload::{Payload, Weight};
use s3b_engine::settings::{CipherName, Compression, Durability, Location, Settings};
use s3b_engine::stack::{Parts, Stack, prefill};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{Counting, Counts};
use secrecy::SecretString;

use super::client::{Client, HashTime};
use super::dilation::{DILATION, stretched, stretched_settings};
use super::ledger::{HostSide, Observed};
use super::{Job, Start};
use crate::left_out::of_a_run;
use crate::model::settings::CpuRates;
use crate::model::{StoreModel, Switched, Utilisation};
use crate::outcome::Ledger;

/// Any that encrypts: no byte of a simulation is ever encrypted, but headers and lengths are those of encryption.
const PASSWORD: &str = "simulated";

pub(super) struct Scene {
    stack: Stack,
    memory: Memory,
    counts: Arc<Counts>,
    model: Option<Arc<Switched>>,
    /// Where the cache file lies, if the settings have one.
    disk: Option<Arc<ModelledDisk>>,
}

impl Scene {
    /// Puts the blocks in place that the workload finds, and opens the volume as a mount would; at no cost.
    pub(super) async fn set(job: &Job, settings: &Settings, device_starts: &[u64]) -> Result<Self> {
        let settings = of_a_mount(&stretched_settings(settings), job.seed);
        let memory = Memory::new();
        let geometry = Geometry::new(settings.volume.block_size.unwrap_or(0), settings.volume.size.unwrap_or(0))?;
        let found = job.tape.found_blocks(geometry, device_starts)?;
        let password = settings.codec.encrypt.map(|_| SecretString::from(PASSWORD));
        let weight = Weight::of_ratio(job.tape.content.compressibility);
        let blocks = found.iter().map(BlockNumber);
        prefill(&memory, &settings, password.as_ref(), geometry, blocks, weight).context("cannot put data in place")?;
        let mut below: Arc<dyn ObjectBackend> = Arc::new(memory.clone());
        let cpu = job.store.as_ref().map_or_else(Cpu::inline, |store| modelled_cpu(&store.cpu));
        let model = match &job.store {
            Some(store) => {
                let hash_time = if store.origin.measured { HashTime::Contained } else { HashTime::Added };
                let store = within_speeds(store, &settings);
                let model = Arc::new(Switched::dilated(below, store, DILATION)?);
                below = Arc::new(Client::new(model.clone(), cpu.clone(), hash_time));
                Some(model)
            }
            None => None,
        };
        let counting = Counting::new(below);
        let counts = counting.counts();
        let parts =
            Parts { backend: Some(Arc::new(counting)), cpu, payload: Payload::Weightless, password, access_key: None };
        let disk = cache_disk(job, &settings)?;
        let as_disk = disk.clone().map(|disk| disk as Arc<dyn CacheDisk>);
        let stack = Stack::open_on(&settings, parts, as_disk).await.context("cannot open the volume")?;
        let scene = Self { stack, memory, counts, model, disk };
        // The survey runs in the background, and takes no time here.
        scene.idle().await;
        Ok(scene)
    }

    /// Reads and writes what the cache is to hold; writes carry data of this weight.
    pub(super) async fn prime(&self, start: &Start, weight: Weight) -> Result<()> {
        /// No longer than a kernel's requests.
        const PIECE: u64 = 1 << 20;
        let volume = self.stack.volume();
        for (offset, len) in &start.resident {
            for at in (0..*len).step_by(PIECE as usize) {
                volume.read(offset + at, (len - at).min(PIECE) as usize).await?;
            }
        }
        if !start.resident.is_empty() {
            self.settle().await;
        }
        for (offset, len) in &start.dirty {
            for at in (0..*len).step_by(PIECE as usize) {
                volume.write_weight(offset + at, (len - at).min(PIECE), weight).await?;
            }
        }
        Ok(())
    }

    /// Returns when nothing is left to do at this instant: only then does the clock move on.
    async fn idle(&self) {
        clock::sleep(Duration::from_millis(1)).await;
    }

    /// Returns when the store is asked for nothing any more: what reading made the engine read ahead belongs to no
    /// operation. An engine that never rests is not waited for.
    async fn settle(&self) {
        // Longer than a wake-up. Requests take no time yet, so none is ever seen in flight: they are counted.
        const LOOK: Duration = Duration::from_millis(3);
        const MOST_LOOKS: u32 = 1000;
        for _ in 0..MOST_LOOKS {
            let before = self.counts.requests();
            clock::sleep(stretched(LOOK)).await;
            if self.counts.requests() == before {
                return;
            }
        }
    }

    /// Requests, and the cache file's disk, take the model's time from now on.
    pub(super) fn weather_on(&self, seed: u64) {
        if let Some(model) = &self.model {
            model.switch_on(seed);
        }
        self.disk.iter().for_each(|disk| disk.switch(true));
    }

    pub(super) fn weather_off(&self) {
        if let Some(model) = &self.model {
            model.switch_off();
        }
        self.disk.iter().for_each(|disk| disk.switch(false));
    }

    pub(super) fn volume(&self) -> Arc<Volume> {
        self.stack.volume()
    }

    pub(super) fn observe(&self) -> Observed {
        Observed::of(&self.stack.stats(), &self.counts)
    }

    /// `forced`: stores that flushes had hurried before the final one.
    pub(super) fn ledger(&self, before: &Observed, host: HostSide, forced: Option<u64>) -> Ledger {
        let used = self.utilisation().unwrap_or_default();
        let after = forced.map_or_else(|| self.observe(), |forced| self.observe().with_forced(forced));
        after.since(before, host, used.throttled_gets + used.throttled_puts)
    }

    /// Stores that a flush hurried, so far.
    pub(super) fn forced(&self) -> u64 {
        self.stack.stats().block_cache.flush_stores.get()
    }

    /// Most bytes written and not yet stored.
    pub(super) fn most_at_risk(&self) -> u64 {
        self.stack.stats().block_cache.most_at_risk.get()
    }

    /// In the store now, all bodies together.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.memory.stored_bytes()
    }

    pub(super) fn utilisation(&self) -> Option<Utilisation> {
        self.model.as_ref().and_then(|model| model.utilisation())
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

/// An empty cache file's disk, in memory: the path that the settings name is never looked at.
fn cache_disk(job: &Job, settings: &Settings) -> Result<Option<Arc<ModelledDisk>>> {
    let has_file = settings.block_cache.file.is_some();
    ensure!(
        has_file || settings.durability != Durability::Journal,
        "--durability=journal needs a cache file; add --block-cache-file=/var/cache/s3b/disk1"
    );
    let times = job.store.as_ref().map_or(DiskTimes::NOTHING, |store| store.disk.times(DILATION));
    Ok(has_file.then(|| Arc::new(ModelledDisk::new(times))))
}

/// As a mount of a bucket has them, writable, from an empty cache, and with a seed for every random choice.
fn of_a_mount(settings: &Settings, seed: u64) -> Settings {
    let mut settings = of_a_run(settings);
    settings.location = Location::Bucket("modelled".into());
    settings.test.seed = Some(seed);
    (settings.test.delays, settings.test.errors, settings.test.discard) = (false, None, false);
    settings
}

/// The model, no faster than the settings allow.
pub(crate) fn within_speeds(model: &StoreModel, settings: &Settings) -> StoreModel {
    let mut model = model.clone();
    let (network, s3) = (&mut model.network, &settings.s3);
    let limits = [
        (&mut network.connection_up_bytes_per_s, s3.max_upload_speed),
        (&mut network.connection_down_bytes_per_s, s3.max_download_speed),
        (&mut network.link_up_bytes_per_s, s3.total_upload_speed),
        (&mut network.link_down_bytes_per_s, s3.total_download_speed),
    ];
    for (speed, bits) in limits {
        *speed = bits.map_or(*speed, |bits| speed.min(bits as f64 / 8.0));
    }
    model
}

/// Decompression runs at about this many times the speed of the fastest compression.
const DECOMPRESSION: f64 = 3.0;

/// 3DES against AES-256.
const TRIPLE_DES: f64 = 1.0 / 12.0;

fn modelled_cpu(rates: &CpuRates) -> Cpu {
    let cores = rates.cores as usize;
    let rates = rates.clone();
    let fastest = |levels: &[_]| CpuRates::at_level(levels, 1).unwrap_or(0.0);
    let rate = move |work| match work {
        Work::Md5 => rates.md5_bytes_per_s,
        Work::Sha256 => rates.sha256_bytes_per_s,
        // zlib's own default level is 6.
        Work::Compress(Compression::Deflate(-1)) => CpuRates::at_level(&rates.zlib, 6).unwrap_or(0.0),
        Work::Compress(Compression::Deflate(level)) => CpuRates::at_level(&rates.zlib, level).unwrap_or(0.0),
        Work::Compress(Compression::Zstd(level)) => CpuRates::at_level(&rates.zstd, level).unwrap_or(0.0),
        Work::Inflate => DECOMPRESSION * fastest(&rates.zlib),
        Work::Unzstd => DECOMPRESSION * fastest(&rates.zstd),
        Work::Encrypt(CipherName::DesEde3Cbc) | Work::Decrypt(CipherName::DesEde3Cbc) => {
            rates.aes_256_bytes_per_s * TRIPLE_DES
        }
        Work::Encrypt(_) | Work::Decrypt(_) => rates.aes_256_bytes_per_s,
        Work::Request => 1e6 / rates.request_us,
        Work::Carry => rates.body_bytes_per_s,
        Work::WakeUp => 1e6 / rates.wake_up_us,
    };
    Cpu::modelled(Box::new(rate), cores, DILATION)
}

//! A volume over a store in memory that counts requests and fails on command, in virtual time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use s3b_engine::block_cache::disk::{CacheDisk, MemoryDisk};
use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::error::Error;
use s3b_engine::memory::Memory;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{CacheSize, Settings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{Counting, Counts, Delay, Delays, FaultControl, FaultRates, Faults, Latency};

pub const BLOCK: u64 = 4096;
pub const BLOCKS: u64 = 16;

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One life of a process: whatever still runs at its end is gone.
pub fn life<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { clock::timeout(secs(30 * 86_400), story).await.expect("it hangs") })
}

pub struct Rig {
    pub objects: Memory,
    pub settings: Settings,
    pub disk: Option<Arc<MemoryDisk>>,
    pub password: Option<&'static str>,
    /// The store does not answer when the volume is opened.
    pub away: bool,
}

/// An open volume, its faults and its requests.
pub struct Open {
    pub stack: Stack,
    pub volume: Arc<Volume>,
    pub faults: Arc<FaultControl>,
    pub counts: Arc<Counts>,
}

impl Rig {
    /// 16 blocks of 4 KiB, all of them in the cache; a dirty block rests for ten seconds.
    pub fn new() -> Self {
        let mut settings = Settings::default();
        settings.volume.size = Some(BLOCK * BLOCKS);
        settings.volume.block_size = Some(BLOCK);
        settings.block_cache.size = CacheSize::Blocks(BLOCKS * 2);
        settings.block_cache.write_delay = secs(10);
        settings.block_cache.read_ahead = Some(0);
        settings.retry.longest_backoff = secs(5);
        settings.test.seed = Some(1);
        Self { objects: Memory::new(), settings, disk: None, password: None, away: false }
    }

    pub fn with_file() -> Self {
        let mut rig = Self::new();
        rig.settings.block_cache.file = Some("a disk in memory".into());
        rig.disk = Some(Arc::new(MemoryDisk::new()));
        rig
    }

    pub async fn try_open(&self) -> Result<Open, Error> {
        let slow =
            Latency::new(Arc::new(self.objects.clone()), Delays::all(Delay::fixed(Duration::from_millis(20))), 1);
        let faults = Faults::new(Arc::new(slow), FaultRates::default(), 1);
        let control = faults.control();
        control.set_outage(self.away);
        let counting = Counting::new(Arc::new(faults));
        let counts = counting.counts();
        let password = self.password.map(|password| password.to_string().into());
        let parts = Parts {
            backend: Some(Arc::new(counting)),
            cpu: Cpu::inline(),
            payload: Payload::Real,
            password,
            access_key: None,
        };
        let disk = self.disk.clone().map(|disk| disk as Arc<dyn CacheDisk>);
        let stack = Stack::open_on(&self.settings, parts, disk).await?;
        Ok(Open { volume: stack.volume(), stack, faults: control, counts })
    }

    pub async fn open(&self) -> Open {
        self.try_open().await.unwrap()
    }

    /// A volume whose blocks hold their number plus one.
    pub fn filled(self) -> Self {
        life(async {
            let open = self.open().await;
            for block in 0..BLOCKS {
                open.write(block, block as u8 + 1).await;
            }
            open.stack.close().await.unwrap();
        });
        self
    }

    /// The process is dead, and perhaps the power was off; the operator removes the token.
    pub fn crash(&mut self, power_failed: bool) {
        if power_failed {
            self.disk = self.disk.take().map(|disk| Arc::new(disk.crash(7)));
        }
        self.objects.remove("s3backer-mounted");
    }

    /// A byte of each block as the store alone has it.
    pub fn stored(&self) -> Vec<u8> {
        let copy = Memory::new();
        for (key, object) in self.objects.objects() {
            copy.insert(&key, object.headers, object.body);
        }
        let mut settings = Settings::default();
        settings.volume.read_only = true;
        let password = self.password.map(|password| password.to_string().into());
        let parts = Parts {
            backend: Some(Arc::new(copy)),
            cpu: Cpu::inline(),
            payload: Payload::Real,
            password,
            access_key: None,
        };
        life(async {
            let volume = Stack::open(&settings, parts).await.unwrap().volume();
            let mut bytes = Vec::new();
            for block in 0..BLOCKS {
                bytes.push(volume.read(block * BLOCK, 1).await.unwrap()[0]);
            }
            bytes
        })
    }
}

impl Open {
    /// Fills a block.
    pub async fn write(&self, block: u64, byte: u8) {
        self.volume.write(block * BLOCK, vec![byte; BLOCK as usize].into()).await.unwrap();
    }

    pub async fn try_read(&self, block: u64) -> Result<u8, Error> {
        let bytes = self.volume.read(block * BLOCK, BLOCK as usize).await?;
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mixed block");
        Ok(bytes[0])
    }

    pub async fn read(&self, block: u64) -> u8 {
        self.try_read(block).await.unwrap()
    }

    /// Whether a block can be read without waiting.
    pub fn is_cached(&self, block: u64) -> bool {
        self.volume.try_read(block * BLOCK, BLOCK as usize, &mut Vec::new()).is_some()
    }
}

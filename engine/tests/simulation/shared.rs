//! Shared-disk mode: two hosts over one store, which fails now and then, and one reference for both.
//!
//! Each host writes blocks of its own (that is what a cluster file system sees to) and reads all of them; hosts die and
//! come back at random. Every read, on either host, must give what was current between its start and its end: no write
//! that has returned anywhere is ever missed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, join_all};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::error::ErrorKind;
use s3b_engine::memory::Memory;
use s3b_engine::payload::Payload;
use s3b_engine::settings::check::settle;
use s3b_engine::settings::{Compression, Settings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{FaultControl, FaultRates};

use crate::reference::{Reference, SECTOR};
use crate::store::{Events, copy_of, troubled};

const HOSTS: usize = 2;
const HANG: Duration = Duration::from_secs(12 * 3600);

#[derive(Default)]
pub struct Outcome {
    pub events: Vec<String>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// What some dozen seeds must at least have seen.
    pub const LEAST: [(&'static str, u64); 6] = [
        ("reads", 1000),
        ("writes", 500),
        ("reads of the other's", 300),
        ("crashes", 10),
        ("closes", 20),
        ("failures", 50),
    ];
}

struct World {
    seed: u64,
    block_size: usize,
    blocks: usize,
    settings: Settings,
    objects: Memory,
    reference: RefCell<Reference>,
    content: Cell<u64>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
    events: Events,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn run(seed: u64) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    let block_size = [512, 1024, 4096][random.random_range(0..3)];
    let blocks = random.random_range(2..=12);
    let mut settings = Settings::default();
    settings.volume.shared_disk = true;
    settings.volume.size = Some((blocks * block_size) as u64);
    settings.volume.block_size = Some(block_size as u64);
    settings.codec.compress = random.random_bool(0.3).then_some(Compression::Deflate(1));
    settings.retry.max_pause = [Some(Duration::ZERO), Some(ms(2000)), None][random.random_range(0..3)];
    settings.test.seed = Some(seed);
    settle(&mut settings).unwrap();
    let world = World {
        seed,
        block_size,
        blocks,
        settings,
        objects: Memory::new(),
        reference: RefCell::new(Reference::new(blocks * block_size / SECTOR)),
        content: Cell::new(random.random()),
        counts: RefCell::default(),
        events: Events::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        // The first mount makes the volume.
        world.open(&mut random).await.0.close().await.unwrap();
        let hosts: Vec<SmallRng> = (0..HOSTS).map(|_| SmallRng::seed_from_u64(random.random())).collect();
        let hosts = hosts.into_iter().enumerate().map(|(number, random)| world.host(number, random));
        let ended = clock::timeout(HANG, join_all(hosts)).await;
        assert!(ended.is_some(), "{}: hangs", world.story());
        world.check_store_alone().await;
    });
    Outcome { events: world.events.take(), counts: world.counts.take() }
}

impl World {
    fn story(&self) -> String {
        format!("shared seed {} ({} blocks of {})", self.seed, self.blocks, self.block_size)
    }

    fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn sound(&self, result: Result<(), String>) {
        if let Err(what) = result {
            panic!("{}: {what}; ... {:#?}", self.story(), self.events.tail(24));
        }
    }

    async fn open(&self, random: &mut SmallRng) -> (Stack, Arc<FaultControl>) {
        let slowest = ms([0, 5, 50][random.random_range(0..3)]);
        let (backend, control) = troubled(&self.objects, slowest, random.random(), &self.events);
        let parts = Parts {
            backend: Some(backend),
            cpu: Cpu::inline(),
            payload: Payload::Real,
            password: None,
            access_key: None,
        };
        (Stack::open(&self.settings, parts).await.unwrap_or_else(|error| panic!("{}: {error}", self.story())), control)
    }

    /// Some lives of one host.
    async fn host(&self, number: usize, mut random: SmallRng) {
        for _ in 0..random.random_range(1..=3) {
            let (stack, control) = self.open(&mut random).await;
            let volume = stack.volume();
            let mut work: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
            let writers = random.random_range(1..=2);
            for writer in 0..writers {
                let random = SmallRng::seed_from_u64(random.random());
                work.push(Box::pin(self.write_on(&volume, number, (writer, writers), random)));
            }
            for _ in 0..2 {
                work.push(Box::pin(self.read_on(&volume, number, SmallRng::seed_from_u64(random.random()))));
            }
            work.push(Box::pin(trouble(&control, SmallRng::seed_from_u64(random.random()))));
            let crash_at = random.random_bool(0.4).then(|| ms(random.random_range(0..5000)));
            let crash = async {
                match crash_at {
                    Some(at) => clock::sleep(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // What was under way is gone, done or not.
                () = crash => self.count("crashes"),
                _ = join_all(work) => {
                    stack.close().await.unwrap();
                    self.count("closes");
                }
            }
            self.refuses_a_mount_of_its_own().await;
        }
    }

    /// The shared token keeps mounts away that believe to be alone, also after a host's end.
    async fn refuses_a_mount_of_its_own(&self) {
        let mut settings = Settings::default();
        settings.retry = self.settings.retry.clone();
        let backend = Arc::new(copy_of(&self.objects));
        let parts = Parts {
            backend: Some(backend),
            cpu: Cpu::inline(),
            payload: Payload::Real,
            password: None,
            access_key: None,
        };
        let refused = Stack::open(&settings, parts).await.err();
        assert!(refused.is_some_and(|error| error.kind() == ErrorKind::Busy), "{}", self.story());
    }

    /// Sectors that nobody else writes, in blocks that no other host writes.
    async fn write_on(&self, volume: &Volume, host: usize, (writer, writers): (usize, usize), mut random: SmallRng) {
        let per_block = self.block_size / SECTOR;
        let own: Vec<usize> = (0..self.blocks * per_block)
            .filter(|sector| (sector / per_block) % HOSTS == host && (sector % per_block) % writers == writer)
            .collect();
        if own.is_empty() {
            return;
        }
        for _ in 0..random.random_range(3..25) {
            pause(&mut random).await;
            let sector = own[random.random_range(0..own.len())];
            // The whole block where it is the writer's alone.
            let count = if writers == 1 && random.random_bool(0.5) { per_block } else { 1 };
            let first = if count == 1 { sector } else { sector / per_block * per_block };
            let zero = random.random_bool(0.25);
            let bytes = self.fresh(count * SECTOR, zero);
            let contents = bytes.chunks(SECTOR).map(<[u8]>::to_vec).collect();
            let write = self.reference.borrow_mut().begin(first, contents);
            let (offset, len) = ((first * SECTOR) as u64, (count * SECTOR) as u64);
            // A program that insists.
            loop {
                let written = match zero {
                    true => volume.zero(offset, len).await,
                    false => volume.write(offset, bytes.clone().into()).await,
                };
                if written.is_ok() {
                    break;
                }
                self.count("failures");
                clock::sleep(ms(50)).await;
            }
            self.reference.borrow_mut().end(&write);
            self.count("writes");
        }
    }

    async fn read_on(&self, volume: &Volume, host: usize, mut random: SmallRng) {
        let size = self.blocks * self.block_size;
        for _ in 0..random.random_range(10..40) {
            pause(&mut random).await;
            let offset = random.random_range(0..size);
            let len = random.random_range(1..=2 * self.block_size).min(size - offset);
            let since = self.reference.borrow_mut().now();
            let hit = volume.try_read(offset as u64, len, &mut Vec::new()).is_some();
            assert!(!hit, "{}: something is cached", self.story());
            match volume.read(offset as u64, len).await {
                Ok(bytes) => {
                    self.sound(self.reference.borrow().check_read(offset, &bytes, since));
                    self.count("reads");
                    if offset / self.block_size % HOSTS != host {
                        self.count("reads of the other's");
                    }
                }
                Err(_) => self.count("failures"),
            }
        }
    }

    /// Never the same twice, unless zero.
    fn fresh(&self, len: usize, zero: bool) -> Vec<u8> {
        self.content.set(self.content.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(12345));
        let mark = self.content.get().to_le_bytes();
        (0..len).map(|at| if zero { 0 } else { mark[at % 8] ^ (at / 8) as u8 }).collect()
    }

    /// What is in the store, decoded by a mount that only reads.
    async fn check_store_alone(&self) {
        let mut settings = Settings::default();
        settings.volume.read_only = true;
        let backend = Arc::new(copy_of(&self.objects));
        let parts = Parts {
            backend: Some(backend),
            cpu: Cpu::inline(),
            payload: Payload::Real,
            password: None,
            access_key: None,
        };
        let volume = Stack::open(&settings, parts).await.unwrap().volume();
        let found = volume.read(0, self.blocks * self.block_size).await.unwrap();
        let since = self.reference.borrow_mut().now();
        self.sound(self.reference.borrow().check_read(0, &found, since));
    }
}

async fn pause(random: &mut SmallRng) {
    let most = [0, 10, 200][random.random_range(0..3)];
    clock::sleep(ms(random.random_range(0..=most))).await;
}

/// Ends with everything healed.
async fn trouble(control: &FaultControl, mut random: SmallRng) {
    for _ in 0..random.random_range(0..4) {
        clock::sleep(ms(random.random_range(0..2000))).await;
        if random.random_bool(0.3) {
            control.set_outage(true);
            clock::sleep(ms(random.random_range(0..3000))).await;
            control.set_outage(false);
        } else {
            let most = [0.05, 0.3, 0.6][random.random_range(0..3)];
            let before = random.random_range(0.0..most);
            control.set_rates(FaultRates { before, after: most - before, stale: 0.0 });
        }
    }
    clock::sleep(ms(random.random_range(0..3000))).await;
    control.set_rates(FaultRates::default());
}

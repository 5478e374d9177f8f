//! One story: a volume lives several times, ends each life by a close or a crash, and is compared with the reference.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, join_all};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use s3b_engine::block_cache::disk::{CacheDisk, MemoryDisk};
use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::error::ErrorKind;
use s3b_engine::memory::Memory;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{CacheSize, CipherName, Compression, Durability, Settings, SurveyMode};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{FaultControl, FaultRates};

use crate::reference::{Reference, SECTOR};
use crate::store::{Events, copy_of, remove_token, troubled};

/// Virtual time after which a life counts as hung.
const HANG: Duration = Duration::from_secs(12 * 3600);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What does not change between the lives of a volume.
pub struct Plan {
    seed: u64,
    blocks: u32,
    block_size: u32,
    durability: Durability,
    file: bool,
    lives: u32,
    /// Whether anything fails at all.
    troubles: bool,
    base: Settings,
}

/// What a story brought about.
#[derive(Default)]
pub struct Outcome {
    pub events: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// What some hundred seeds must at least have seen.
    pub const LEAST: [(&'static str, u64); 11] = [
        ("crashes", 100),
        ("closes", 100),
        ("reads", 5000),
        ("writes", 5000),
        ("flushes", 500),
        ("flushes refused", 10),
        ("reads failed", 10),
        ("outages", 50),
        ("journal flushes", 50),
        ("restored blocks", 100),
        ("full disks", 20),
    ];

    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }
}

impl Plan {
    pub fn random(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let (block_size, most) =
            *pick(&mut random, &[(512, 24), (1024, 16), (4096, 24), (4096, 6), (16384, 8), (131_072, 4)]);
        let blocks = random.random_range(1..=most);
        let durability = *pick(
            &mut random,
            &[
                Durability::Store,
                Durability::Store,
                Durability::Store,
                Durability::Journal,
                Durability::Journal,
                Durability::None,
            ],
        );
        let mut base = Settings { durability, ..Settings::default() };
        base.volume.size = Some(u64::from(blocks) * u64::from(block_size));
        base.volume.block_size = Some(u64::from(block_size));
        base.volume.block_hash_prefix = random.random_bool(0.2);
        base.codec.compress =
            *pick(&mut random, &[None, None, None, Some(Compression::Deflate(1)), Some(Compression::Zstd(1))]);
        // Deriving keys takes a while.
        base.codec.encrypt = (seed % 16 == 5).then_some(CipherName::Aes128Cbc);
        base.test.seed = Some(seed);
        let file = durability == Durability::Journal || random.random_bool(0.4);
        Self {
            seed,
            blocks,
            block_size,
            durability,
            file,
            lives: random.random_range(1..=4),
            troubles: random.random_bool(0.8),
            base,
        }
    }

    /// The settings of one life.
    fn settings(&self, random: &mut SmallRng) -> Settings {
        let mut settings = self.base.clone();
        let cache = &mut settings.block_cache;
        let size = random.random_range(1..=self.blocks);
        cache.size = CacheSize::Blocks(u64::from(size));
        cache.threads = random.random_range(1..6);
        cache.write_delay = ms(*pick(random, &[0, 10, 250, 2000, 20_000]));
        cache.max_dirty = random.random_range(0..=size);
        cache.timeout = ms(*pick(random, &[0, 0, 500, 5000]));
        cache.sync = random.random_bool(0.05);
        cache.protected = random.random_range(0..3);
        cache.read_ahead = *pick(random, &[None, Some(0), Some(2), Some(8)]);
        cache.read_ahead_trigger = random.random_range(1..4);
        cache.recover_dirty = true;
        if self.file {
            cache.file = Some("a disk in memory".into());
            cache.memory = CacheSize::Blocks(random.random_range(1..=u64::from(size)));
        }
        settings.retry.initial_pause = ms(*pick(random, &[1, 20, 200]));
        settings.retry.max_pause = *pick(random, &[Some(Duration::ZERO), Some(ms(500)), Some(ms(5000)), None]);
        settings.retry.longest_backoff = ms(*pick(random, &[50, 1000, 10_000]));
        settings.zero_map.survey = *pick(random, &[SurveyMode::Off, SurveyMode::On]);
        settings.zero_map.delete_delay = ms(*pick(random, &[0, 20]));
        if random.random_bool(0.4) {
            let md5 = &mut settings.md5_cache;
            md5.min_write_delay = ms(*pick(random, &[0, 300]));
            if random.random_bool(0.5) {
                md5.size = self.blocks;
            } else {
                md5.size = random.random_range(1..=self.blocks);
                md5.time = md5.min_write_delay + ms(random.random_range(1..3000));
            }
        }
        settings
    }

    fn parts(&self, backend: Arc<dyn s3b_engine::object::ObjectBackend>) -> Parts {
        let password = self.base.codec.encrypt.is_some().then(|| "password".to_string().into());
        Parts { backend: Some(backend), cpu: Cpu::inline(), payload: Payload::Real, password, access_key: None }
    }

    fn sectors(&self) -> usize {
        (self.blocks * self.block_size) as usize / SECTOR
    }
}

fn pick<'a, T>(random: &mut SmallRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

/// How a life ends.
#[derive(Debug, PartialEq)]
enum End {
    Closed,
    Crashed,
}

pub fn run(plan: &Plan) -> Outcome {
    let mut random = SmallRng::seed_from_u64(!plan.seed);
    let objects = Memory::new();
    let mut disk = plan.file.then(|| Arc::new(MemoryDisk::new()));
    let reference = Rc::new(RefCell::new(Reference::new(plan.sectors())));
    let events = Events::default();
    let mut outcome = Outcome::default();
    let mut closed = true;
    for life in 0..plan.lives {
        let story = format!("seed {}, life {life}", plan.seed);
        events.add(story.clone());
        let mut settings = plan.settings(&mut random);
        // After a close nothing is left to recover, and nobody needs to say so.
        settings.block_cache.recover_dirty = !closed;
        let life = Life {
            plan,
            story,
            settings,
            reference: reference.clone(),
            counts: RefCell::default(),
            failing: Cell::new(false),
            refused: Cell::new(false),
            content: Cell::new(random.random()),
            events: events.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let end = runtime.block_on(life.live(&mut random, &objects, disk.clone()));
        // The crash: everything under way is gone.
        drop(runtime);
        for (what, count) in life.counts.take() {
            *outcome.counts.entry(what).or_default() += count;
        }
        closed = end == End::Closed;
        if end == End::Crashed {
            remove_token(&objects);
            if random.random_bool(0.6) {
                // The power failed, too.
                disk = disk.map(|disk| Arc::new(disk.crash(random.random())));
            }
        }
        life.check_store_alone(&objects, &end);
    }
    outcome.events = events.take();
    outcome
}

struct Life<'a> {
    plan: &'a Plan,
    story: String,
    settings: Settings,
    reference: Rc<RefCell<Reference>>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
    /// Faults have been possible in this life.
    failing: Cell<bool>,
    /// The store has refused writes in this life.
    refused: Cell<bool>,
    content: Cell<u64>,
    events: Events,
}

impl Life<'_> {
    fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn fail(&self, what: &str) -> ! {
        let settings = (&self.settings.block_cache, &self.settings.md5_cache, &self.settings.retry);
        let codec = &self.settings.codec;
        panic!("{}: {what}; {settings:?}, {codec:?}; ... {:#?}", self.story, self.events.tail(24));
    }

    fn sound(&self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(&what);
        }
    }

    async fn live(&self, random: &mut SmallRng, objects: &Memory, disk: Option<Arc<MemoryDisk>>) -> End {
        let slowest = ms(*pick(random, &[0, 5, 50, 1000]));
        let (backend, control) = troubled(objects, slowest, random.random(), &self.events);
        disk.iter().for_each(|disk| disk.set_full(false));
        let cache_disk = disk.clone().map(|disk| disk as Arc<dyn CacheDisk>);
        let stack = Stack::open_on(&self.settings, self.plan.parts(backend), cache_disk).await;
        let stack = stack.unwrap_or_else(|error| panic!("{}: {error}", self.story));
        let volume = stack.volume();
        let restored = stack.stats().block_cache.initial_size.get();
        self.counts.borrow_mut().insert("restored blocks", restored);
        let found = clock::timeout(HANG, read_all(&volume)).await.unwrap_or_else(|| panic!("{}: hangs", self.story));
        self.sound(self.reference.borrow().check_survivors(&found));
        self.reference.borrow_mut().restart(&found);

        let crash_at = ms(random.random_range(0..20_000));
        let crashes = random.random_bool(0.5);
        let troubles = random.random_bool(0.7);
        let early_close = random.random_bool(0.3);
        let mut work = self.workers(&volume, random);
        let full_at = (disk.is_some() && random.random_bool(0.2)).then(|| ms(random.random_range(0..10_000)));
        let fills_up = async {
            if let Some(at) = full_at {
                clock::sleep(at).await;
                self.count("full disks");
                disk.iter().for_each(|disk| disk.set_full(true));
            }
            std::future::pending::<()>().await;
        };
        let trouble: LocalBoxFuture<'_, ()> = if self.plan.troubles && troubles {
            Box::pin(self.trouble(&control, SmallRng::seed_from_u64(random.random())))
        } else {
            Box::pin(async {})
        };
        let crash = async {
            match crashes {
                true => clock::sleep(crash_at).await,
                false => std::future::pending().await,
            }
        };
        let whole = async {
            let mut trouble = Some(trouble);
            if !early_close {
                work.extend(trouble.take());
            }
            let close = async {
                join_all(work).await;
                stack.close().await
            };
            match trouble {
                // The store is still in trouble when the volume is closed.
                Some(trouble) => futures::join!(close, trouble).0,
                None => close.await,
            }
        };
        let ended = clock::timeout(HANG, async {
            tokio::select! {
                biased;
                () = crash => End::Crashed,
                () = fills_up => End::Crashed,
                closed = whole => {
                    if let Err(error) = closed {
                        // All is stored; only the token could not be taken back.
                        let token = error.message().contains("mount token");
                        assert!(token && self.failing.get(), "{}: close: {error}", self.story);
                        self.count("tokens left");
                        remove_token(objects);
                    }
                    End::Closed
                }
            }
        });
        let end = ended.await.unwrap_or_else(|| self.fail("hangs"));
        self.count(if end == End::Closed { "closes" } else { "crashes" });
        end
    }

    fn workers<'s>(&'s self, volume: &'s Arc<Volume>, random: &mut SmallRng) -> Vec<LocalBoxFuture<'s, ()>> {
        let per_block = self.plan.block_size as usize / SECTOR;
        let strip = *pick(random, &[1, per_block.div_ceil(2), per_block, 2 * per_block]);
        let writers = random.random_range(1..5);
        let mut work: Vec<LocalBoxFuture<'s, ()>> = Vec::new();
        for number in 0..writers {
            let writer = Writer { life: self, volume, number, writers, strip };
            work.push(Box::pin(writer.write_on(SmallRng::seed_from_u64(random.random()))));
        }
        for _ in 0..random.random_range(1..5) {
            work.push(Box::pin(self.read_on(volume, SmallRng::seed_from_u64(random.random()))));
        }
        for _ in 0..random.random_range(0..3) {
            work.push(Box::pin(self.flush_on(volume, SmallRng::seed_from_u64(random.random()))));
        }
        work
    }

    async fn read_on(&self, volume: &Volume, mut random: SmallRng) {
        let size = self.plan.sectors() * SECTOR;
        let mut scratch = Vec::new();
        for _ in 0..random.random_range(5..40) {
            pause(&mut random).await;
            let (mut offset, mut len) = (random.random_range(0..size), random.random_range(1..5 * SECTOR));
            if random.random_bool(0.7) {
                (offset, len) = (offset / SECTOR * SECTOR, len.div_ceil(SECTOR) * SECTOR);
            }
            if random.random_bool(0.1) {
                len = 2 * self.plan.block_size as usize;
            }
            let len = len.min(size - offset);
            let since = self.reference.borrow_mut().now();
            if random.random_bool(0.5)
                && let Some(hit) = volume.try_read(offset as u64, len, &mut scratch)
            {
                let bytes = hit.unwrap();
                self.sound(self.reference.borrow().check_read(offset, &bytes, since));
                self.count("reads");
                continue;
            }
            match volume.read(offset as u64, len).await {
                Ok(bytes) => {
                    self.sound(self.reference.borrow().check_read(offset, &bytes, since));
                    self.count("reads");
                }
                Err(error) => {
                    assert!(self.failing.get(), "{}: a read failed without a fault: {error}", self.story);
                    self.count("reads failed");
                }
            }
        }
    }

    async fn flush_on(&self, volume: &Volume, mut random: SmallRng) {
        for _ in 0..random.random_range(1..12) {
            clock::sleep(ms(random.random_range(0..3000))).await;
            let at = self.reference.borrow_mut().now();
            match volume.flush().await {
                Ok(()) if self.plan.durability == Durability::None => {}
                Ok(()) => {
                    self.reference.borrow_mut().flushed(at);
                    let journal = self.plan.durability == Durability::Journal;
                    self.count(if journal { "journal flushes" } else { "flushes" });
                }
                Err(error) => {
                    assert!(self.refused.get(), "{}: a flush failed, and nothing was refused: {error}", self.story);
                    self.count("flushes refused");
                }
            }
        }
    }

    /// Ends with everything healed.
    async fn trouble(&self, control: &FaultControl, mut random: SmallRng) {
        // Stale answers are the business of an MD5 cache that forgets nothing.
        let strict = self.settings.md5_cache.size == self.plan.blocks && self.settings.md5_cache.time.is_zero();
        for _ in 0..random.random_range(1..6) {
            clock::sleep(ms(random.random_range(0..3000))).await;
            self.failing.set(true);
            match random.random_range(0..4) {
                0 => {
                    self.count("outages");
                    control.set_outage(true);
                    clock::sleep(ms(*pick(&mut random, &[100, 5000, 100_000]))).await;
                    control.set_outage(false);
                }
                1 => {
                    self.refused.set(true);
                    control.refuse_writes(Some(*pick(&mut random, &[ErrorKind::Denied, ErrorKind::NoBucket])));
                    clock::sleep(ms(*pick(&mut random, &[100, 5000, 100_000]))).await;
                    control.refuse_writes(None);
                }
                _ => {
                    let stale = if strict { 0.3 } else { 0.0 };
                    let most = *pick(&mut random, &[0.05, 0.3, 0.6]);
                    let before = random.random_range(0.0..most);
                    control.set_rates(FaultRates { before, after: most - before, stale });
                }
            }
        }
        clock::sleep(ms(random.random_range(0..10_000))).await;
        control.set_rates(FaultRates::default());
    }

    /// What the store has by itself, decoded by a fresh engine.
    fn check_store_alone(&self, objects: &Memory, end: &End) {
        // Between crash and recovery the rest is in the cache file.
        let in_file =
            self.plan.file && (self.plan.durability == Durability::Journal || !self.story.ends_with("life 0"));
        if *end == End::Crashed && (in_file || self.plan.durability == Durability::None) {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let found = runtime.block_on(async {
            let mut settings = self.plan.base.clone();
            settings.volume.read_only = true;
            let stack = Stack::open(&settings, self.plan.parts(Arc::new(copy_of(objects)))).await.unwrap();
            read_all(&stack.volume()).await
        });
        let reference = self.reference.borrow();
        self.sound(match end {
            End::Closed => reference.check_latest(&found),
            End::Crashed => reference.check_survivors(&found),
        });
    }
}

async fn read_all(volume: &Volume) -> Vec<u8> {
    volume.read(0, volume.geometry().size() as usize).await.unwrap().to_vec()
}

async fn pause(random: &mut SmallRng) {
    let pause = *pick(random, &[0, 0, 1, 10, 100, 1000]);
    clock::sleep(ms(random.random_range(0..=pause))).await;
}

/// Writes sectors that nobody else writes, in blocks that everybody writes.
struct Writer<'a> {
    life: &'a Life<'a>,
    volume: &'a Volume,
    number: usize,
    writers: usize,
    strip: usize,
}

impl Writer<'_> {
    async fn write_on(self, mut random: SmallRng) {
        let strips = self.life.plan.sectors().div_ceil(self.strip);
        let own: Vec<usize> = (0..strips).filter(|strip| strip % self.writers == self.number).collect();
        if own.is_empty() {
            return;
        }
        for _ in 0..random.random_range(5..50) {
            pause(&mut random).await;
            let first = pick(&mut random, &own) * self.strip;
            let end = (first + self.strip).min(self.life.plan.sectors());
            let (mut from, mut to) = (first * SECTOR, end * SECTOR);
            if random.random_bool(0.7) {
                let start = random.random_range(first..end);
                (from, to) = (start * SECTOR, random.random_range(start..end) * SECTOR + SECTOR);
            }
            if random.random_bool(0.15) {
                (from, to) = (from + random.random_range(0..SECTOR), to - random.random_range(0..SECTOR));
                to = to.max(from + 1);
            }
            let zero = random.random_bool(0.25);
            self.write(from, to, zero, random.random_bool(0.5)).await;
        }
    }

    async fn write(&self, from: usize, to: usize, zero: bool, at_once: bool) {
        let life = self.life;
        life.content.set(life.content.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(12345));
        let mark = life.content.get().to_le_bytes();
        let bytes: Vec<u8> = (from..to).map(|at| if zero { 0 } else { mark[at % 8] ^ (at / 8) as u8 }).collect();
        let (first, last) = (from / SECTOR, (to - 1) / SECTOR);
        let contents = (first..=last).map(|sector| {
            let mut content = life.reference.borrow().latest(sector).to_vec();
            let start = from.max(sector * SECTOR);
            let end = to.min((sector + 1) * SECTOR);
            content[start % SECTOR..][..end - start].copy_from_slice(&bytes[start - from..end - from]);
            content
        });
        let contents = contents.collect();
        let write = life.reference.borrow_mut().begin(first, contents);
        let mut taken = 0;
        if !zero && at_once {
            taken = self.volume.try_write(from as u64, &bytes).unwrap();
        }
        // A program that insists: the same again until it succeeds.
        loop {
            let rest = bytes[taken..].to_vec();
            let written = match zero {
                true => self.volume.zero(from as u64, (to - from) as u64).await,
                false => self.volume.write((from + taken) as u64, rest.into()).await,
            };
            let Err(error) = written else { break };
            let aligned = from.is_multiple_of(SECTOR) && to.is_multiple_of(SECTOR);
            assert!(life.failing.get(), "{}: a write failed without a fault: {error}", life.story);
            assert!(
                !aligned || life.settings.block_cache.sync,
                "{}: a write of whole sectors failed: {error}",
                life.story
            );
            life.count("writes failed");
            clock::sleep(ms(100)).await;
        }
        life.reference.borrow_mut().end(&write);
        life.count("writes");
    }
}

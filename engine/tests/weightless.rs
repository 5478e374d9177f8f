//! A weightless volume asks of its backend what a real one asks, to the microsecond: this is what every simulation stands on.
//!
//! One seed is one workload on one engine: several writers, readers and flushers at a time over a slow and faulty store,
//! with a cache that is too small. It runs with real bytes and without; the two records of all requests, all answers and
//! all counters must be the same, and every read must find the same sectors zero.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use s3b_engine::block_cache::disk::{CacheDisk, DiskTimes, ModelledDisk};
use s3b_engine::clock::{self, Instant};
use s3b_engine::cpu::{Cpu, Work};
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::memory::Memory;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use s3b_engine::payload::{Payload, Weight};
use s3b_engine::settings::{
    BlockCacheSettings, CacheSize, CipherName, CodecSettings, Compression, Durability, Location, Md5CacheSettings,
    Settings, TestSettings, VolumeSettings, ZeroMapSettings,
};
use s3b_engine::stack::{Parts, Stack, prefill};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{Delay, Delays, FaultRates, Faults, Latency, Spread};

const SECTOR: u64 = 512;

/// Workloads compared: about eight seconds on one core.
const SEEDS: u64 = 250;

/// One request or answer: virtual microseconds, what it was, and the bytes of its body.
type Event = (u128, String, usize);

/// Writes down every request and its answer.
struct Recording {
    inner: Arc<dyn ObjectBackend>,
    events: Arc<Mutex<Vec<Event>>>,
    start: Instant,
}

impl Recording {
    fn record<T: Send + 'static>(
        &self,
        request: String,
        len: usize,
        call: BoxFuture<'static, T>,
        told: impl FnOnce(&T) -> (String, usize) + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let (events, start) = (self.events.clone(), self.start);
        Box::pin(async move {
            events.lock().push((start.elapsed().as_micros(), request.clone(), len));
            let answer = call.await;
            let (outcome, len) = told(&answer);
            events.lock().push((start.elapsed().as_micros(), format!("{request}: {outcome}"), len));
            answer
        })
    }
}

fn outcome<T>(answer: &Result<T>) -> (String, usize) {
    (answer.as_ref().map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".into()), 0)
}

/// Everything but values: ETags and HMACs are other ones, of the same length.
fn shape(headers: &ObjectHeaders) -> String {
    let meta: Vec<_> = headers.meta.iter().map(|(name, value)| (name, value.len())).collect();
    format!("{:?} {:?} {meta:?}", headers.content_type, headers.content_encoding)
}

impl ObjectBackend for Recording {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let told = |got: &Result<Got>| match got {
            Ok(Got::Object(object)) => (shape(&object.headers), object.body.len()),
            other => outcome(other),
        };
        let request = format!("get {key} {condition:?} {max_len}");
        self.record(request, 0, self.inner.get(key, condition, max_len), told)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.record(format!("head {key}"), 0, self.inner.head(key), outcome)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (request, len) = (format!("put {key} {}", shape(&headers)), body.len());
        // As if sent: what is stored does not share the cache's buffer.
        let body = Bytes::copy_from_slice(&body);
        self.record(request, len, self.inner.put(key, headers, body, condition), outcome)
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.record(format!("delete {key}"), 0, self.inner.delete(key), outcome)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let told = |answers: &Vec<Result<()>>| (answers.iter().map(|answer| outcome(answer).0).collect(), 0);
        self.record(format!("delete {keys:?}"), 0, self.inner.delete_many(keys), told)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.record(format!("list {prefix} {after}"), 0, self.inner.list(prefix, after), outcome)
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.record("sync".into(), 0, self.inner.sync(), outcome)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

fn pick<T: Copy>(random: &mut SmallRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A workload, the engine it runs on, and the store below.
struct Plan {
    seed: u64,
    settings: Settings,
    geometry: Geometry,
    slowest: Duration,
    faults: FaultRates,
    /// Blocks that hold data before.
    filled: Vec<BlockNumber>,
    /// How well the written data compresses.
    ratio: f64,
    modelled: bool,
    /// With a cache file, on a disk of these times.
    disk: Option<DiskTimes>,
}

impl Plan {
    fn random(seed: u64) -> Plan {
        let mut random = SmallRng::seed_from_u64(seed);
        let block_size = pick(&mut random, &[512, 4096, 4096, 16384, 65536, 65536, 262_144]);
        let blocks = random.random_range(1..40);
        let geometry = Geometry::new(block_size, block_size * blocks).unwrap();
        let block_cache = BlockCacheSettings {
            size: CacheSize::Blocks(random.random_range(1..12)),
            threads: random.random_range(1..8),
            write_delay: ms(pick(&mut random, &[0, 10, 250, 3000])),
            timeout: ms(pick(&mut random, &[0, 0, 1500])),
            max_dirty: pick(&mut random, &[0, 1, 3]),
            sync: random.random_bool(0.1),
            read_ahead: pick(&mut random, &[None, Some(0), Some(3)]),
            protected: pick(&mut random, &[0, 2]),
            ..BlockCacheSettings::default()
        };
        let md5_cache = match random.random_range(0..3) {
            0 => Md5CacheSettings { size: blocks as u32, time: ms(2000), min_write_delay: ms(500) },
            _ => Md5CacheSettings::default(),
        };
        let codec = CodecSettings {
            compress: pick(
                &mut random,
                &[None, None, None, None, Some(Compression::Deflate(1)), Some(Compression::Zstd(1))],
            ),
            encrypt: pick(&mut random, &[None, None, None, None, None, None, None, Some(CipherName::Aes128Cbc)]),
            ..CodecSettings::default()
        };
        let settings = Settings {
            location: Location::Memory,
            volume: VolumeSettings {
                size: Some(geometry.size()),
                block_size: Some(block_size),
                prefix: "v/".into(),
                block_hash_prefix: random.random_bool(0.2),
                ..VolumeSettings::default()
            },
            block_cache,
            md5_cache,
            zero_map: ZeroMapSettings { delete_delay: ms(pick(&mut random, &[0, 20])), ..Default::default() },
            codec,
            durability: if random.random_bool(0.2) { Durability::None } else { Durability::Store },
            test: TestSettings { seed: Some(seed), ..TestSettings::default() },
            ..Settings::default()
        };
        let share = pick(&mut random, &[0.0, 0.5, 1.0]);
        let filled = geometry.all_blocks().filter(|_| random.random_bool(share)).collect();
        let rate = pick(&mut random, &[0.0, 0.0, 0.1]);
        let faults = FaultRates { before: rate, after: rate / 2.0, stale: 0.0 };
        let slowest = ms(pick(&mut random, &[0, 5, 60, 1000]));
        // Whether a compressor gains a byte on noise is its own affair.
        let ratio = if settings.codec == CodecSettings::default() { 1.0 } else { pick(&mut random, &[2.0, 4.0]) };
        Plan { seed, settings, geometry, slowest, faults, filled, ratio, modelled: random.random_bool(0.5), disk: None }
    }

    /// With a cache file of which little is in memory, on a slow disk.
    fn with_file(seed: u64) -> Plan {
        let mut plan = Plan::random(seed);
        let mut random = SmallRng::seed_from_u64(seed ^ 0xf11e);
        plan.disk = Some(DiskTimes {
            sync: ms(pick(&mut random, &[0, 2, 40])),
            write_bytes_per_s: pick(&mut random, &[1e6, 1e8, f64::INFINITY]),
            read: ms(pick(&mut random, &[0, 3])),
            read_bytes_per_s: pick(&mut random, &[1e6, f64::INFINITY]),
        });
        let cache = &mut plan.settings.block_cache;
        (cache.file, cache.memory) = (Some("modelled".into()), CacheSize::Blocks(random.random_range(1..5)));
        plan.settings.durability = pick(&mut random, &[Durability::Journal, Durability::Journal, Durability::Store]);
        plan
    }

    fn is_plain(&self) -> bool {
        self.settings.codec == CodecSettings::default()
    }

    /// Bytes that compress as planned; no part of a sector is zero.
    fn data(&self, random: &mut SmallRng, len: usize) -> Vec<u8> {
        let noise = (SECTOR as f64 / self.ratio).round() as usize;
        let mut bytes = vec![0x5a; len];
        for sector in bytes.chunks_mut(SECTOR as usize) {
            let noisy = noise.min(sector.len());
            random.fill_bytes(&mut sector[..noisy]);
        }
        bytes
    }

    fn prefill(&self, memory: &Memory, payload: Payload) {
        if payload == Payload::Weightless {
            let weight = Weight::of_ratio(self.ratio);
            let blocks = self.filled.iter().copied();
            prefill(memory, &self.settings, Some(&"password".into()), self.geometry, blocks, weight).unwrap();
            return;
        }
        let naming = s3b_engine::object_blocks::Naming::new("v/", self.settings.volume.block_hash_prefix);
        let keys = s3b_engine::object_blocks::Keys::from_settings(
            &self.settings.codec,
            Some(&"password".into()),
            "",
            &self.settings.volume.prefix,
        );
        let keys = keys.unwrap().map(Arc::new);
        let codec = s3b_engine::object_blocks::Codec::new(&self.settings.codec, self.geometry, keys).unwrap();
        let mut random = SmallRng::seed_from_u64(self.seed);
        for block in &self.filled {
            let data = self.data(&mut random, self.geometry.block_size() as usize);
            let (headers, body) = codec.encode(*block, data.into()).unwrap();
            memory.insert(&naming.key(*block), headers, body);
        }
    }
}

/// What one run showed.
#[derive(Default)]
struct Story {
    events: Vec<Event>,
    /// What readers found and callers were told, in order.
    answers: Vec<String>,
    stats: String,
    counts: BTreeMap<&'static str, u64>,
}

/// How the writes of a run come in.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Real,
    ByWeight,
    /// Weightless, but given bytes.
    ByBytes,
}

fn run(plan: &Plan, mode: Mode) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let payload = if mode == Mode::Real { Payload::Real } else { Payload::Weightless };
        let memory = Memory::new();
        plan.prefill(&memory, payload);
        let delay = Delay { fixed: Duration::ZERO, spread: Spread::Uniform(plan.slowest) };
        let slow = Latency::new(Arc::new(memory.clone()), Delays::all(delay), plan.seed);
        let faulty = Faults::new(Arc::new(slow), FaultRates::default(), plan.seed);
        let control = faulty.control();
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let recording = Recording { inner: Arc::new(faulty), events: events.clone(), start: clock::now() };
        // Encryption is free: it depends on the size after compression, which a model cannot know to the byte.
        let rates = |work| if matches!(work, Work::Encrypt(_) | Work::Decrypt(_)) { 0.0 } else { 2e6 };
        let cpu = if plan.modelled { Cpu::modelled(Box::new(rates), 2, 1) } else { Cpu::inline() };
        let password = Some("password".into());
        let parts = Parts { backend: Some(Arc::new(recording)), cpu, payload, password, access_key: None };
        let disk = plan.disk.map(|times| Arc::new(ModelledDisk::new(times)));
        let as_disk = disk.clone().map(|disk| disk as Arc<dyn CacheDisk>);
        let stack = Stack::open_on(&plan.settings, parts, as_disk).await.unwrap();
        control.set_rates(plan.faults);
        disk.iter().for_each(|disk| disk.switch(true));
        let client = Client { plan, mode, volume: stack.volume(), story: Mutex::default() };
        client.work().await;
        control.set_rates(FaultRates::default());
        stack.close().await.unwrap();
        let mut story = client.story.into_inner();
        story.events = std::mem::take(&mut *events.lock());
        story.stats = format!("{:#?}", stack.stats());
        *story.counts.entry("syncs").or_default() += disk.map_or(0, |disk| disk.syncs());
        story
    })
}

struct Client<'a> {
    plan: &'a Plan,
    mode: Mode,
    volume: Arc<Volume>,
    story: Mutex<Story>,
}

impl Client<'_> {
    async fn work(&self) {
        let mut random = SmallRng::seed_from_u64(self.plan.seed ^ 0xc11e);
        let programs = random.random_range(1..6);
        join_all((0..programs).map(|_| self.program(SmallRng::seed_from_u64(random.random())))).await;
        // All of it, once more, and after everything was written back.
        self.read(0, self.plan.geometry.size(), false).await;
        self.volume.flush().await.ok();
        self.read(0, self.plan.geometry.size(), false).await;
    }

    async fn program(&self, mut random: SmallRng) {
        let size = self.plan.geometry.size();
        let mut next = 0;
        for _ in 0..random.random_range(5..60) {
            let longest = pick(&mut random, &[0, 0, 5, 300, 4000]);
            clock::sleep(ms(random.random_range(0..=longest))).await;
            let longest = pick(&mut random, &[1, 8, 8, 140, 600]);
            let mut len = (random.random_range(1..=longest) * SECTOR).min(size);
            let mut offset = random.random_range(0..=(size - len) / SECTOR) * SECTOR;
            if random.random_bool(0.15) {
                len = u64::from(self.plan.geometry.block_size()).min(size);
                offset = offset / len * len;
            }
            // A sector that is data in part is all data to a weightless volume; a compressor sees the difference.
            let ragged = random.random_bool(0.2) && len > SECTOR && self.plan.is_plain();
            let at_once = random.random_bool(0.5);
            match random.random_range(0..20) {
                0..7 if ragged => self.write(&mut random, offset + 77, len - 100, false, at_once).await,
                0..7 => self.write(&mut random, offset, len, false, at_once).await,
                7..10 => self.write(&mut random, offset, len, true, at_once).await,
                10..12 => self.zero(offset, len).await,
                12 => self.flush().await,
                13..16 => {
                    // One after the other, for the read-ahead.
                    offset = if next + len > size { 0 } else { next };
                    next = offset + len;
                    self.read(offset, len, at_once).await;
                }
                _ if ragged => self.read(offset + 77, len - 100, at_once).await,
                _ => self.read(offset, len, at_once).await,
            }
        }
    }

    fn told(&self, what: &'static str, answer: String) {
        let mut story = self.story.lock();
        *story.counts.entry(what).or_default() += 1;
        story.answers.push(format!("{what} {answer}"));
    }

    async fn write(&self, random: &mut SmallRng, offset: u64, len: u64, zero: bool, at_once: bool) {
        let data = if zero { vec![0; len as usize] } else { self.plan.data(random, len as usize) };
        let weight = if zero { Weight::ZERO } else { Weight::of_ratio(self.plan.ratio) };
        let by_weight = self.mode == Mode::ByWeight;
        let mut taken = 0;
        if at_once {
            taken = match by_weight {
                true => self.volume.try_write_weight(offset, len, weight).unwrap(),
                false => self.volume.try_write(offset, &data).unwrap() as u64,
            };
        }
        let (at, rest) = (offset + taken, len - taken);
        let written = match by_weight {
            _ if rest == 0 => Ok(()),
            true => self.volume.write_weight(at, rest, weight).await,
            false => self.volume.write(at, data[taken as usize..].to_vec().into()).await,
        };
        let what = if zero { "zero writes" } else { "writes" };
        self.told(what, format!("{offset} {len} took {taken} at once: {}", outcome(&written).0));
    }

    async fn zero(&self, offset: u64, len: u64) {
        let zeroed = self.volume.zero(offset, len).await;
        self.told("discards", format!("{offset} {len}: {}", outcome(&zeroed).0));
    }

    async fn flush(&self) {
        let flushed = self.volume.flush().await;
        self.told("flushes", outcome(&flushed).0);
    }

    /// The answer: which of the touched sectors are zero.
    async fn read(&self, offset: u64, len: u64, at_once: bool) {
        let mut scratch = Vec::new();
        // A page does not say what is zero; that the volume knows is looked at when it waits.
        if at_once && let Some(hit) = self.volume.try_read(offset, len as usize, &mut scratch) {
            self.told("hits", format!("{offset} {}", hit.unwrap().len()));
            return;
        }
        let found = match self.mode {
            Mode::Real => self.volume.read(offset, len as usize).await.map(|bytes| {
                assert_eq!(bytes.len() as u64, len);
                let first = (SECTOR - offset % SECTOR).min(len) as usize;
                let sectors = std::iter::once(&bytes[..first]).chain(bytes[first..].chunks(SECTOR as usize));
                sectors.map(|sector| if sector.iter().any(|byte| *byte != 0) { '#' } else { '.' }).collect::<String>()
            }),
            _ => self.volume.read_weights(offset, len as usize).await.map(|weights| {
                weights.iter().map(|weight| if weight.is_zero() { '.' } else { '#' }).collect::<String>()
            }),
        };
        let found = found.unwrap_or_else(|error| format!("{:?}", error.kind()));
        self.told("reads", format!("{offset} {len}: {found}"));
    }
}

/// Exact where bodies are the blocks themselves, else as close as a ratio is to a compressor.
fn same_len(plan: &Plan, one: usize, other: usize) -> bool {
    let block_size = plan.geometry.block_size() as usize;
    one == other || !plan.is_plain() && one.abs_diff(other) <= one.max(other) / 4 + block_size / 64 + 80
}

fn compare(plan: &Plan, real: &Story, weightless: &Story, mode: &str) {
    let seed = plan.seed;
    for (at, (one, other)) in real.events.iter().zip(&weightless.events).enumerate() {
        let same = one.0 == other.0 && one.1 == other.1 && same_len(plan, one.2, other.2);
        assert!(
            same,
            "seed {seed} {mode}, event {at}: {one:?} is {other:?}\n{:#?}",
            &real.events[at.saturating_sub(8)..at]
        );
    }
    assert_eq!(real.events.len(), weightless.events.len(), "seed {seed} {mode}");
    for (one, other) in real.answers.iter().zip(&weightless.answers) {
        assert_eq!(one, other, "seed {seed} {mode}");
    }
    assert_eq!(real.answers.len(), weightless.answers.len(), "seed {seed} {mode}");
    assert_eq!(real.counts["syncs"], weightless.counts["syncs"], "seed {seed} {mode}");
    // How much is copied depends on who shares a buffer; nobody waits for it.
    let counters = |story: &Story| -> Vec<String> {
        story.stats.split("),").filter(|c| !c.contains("copied_bytes")).map(str::to_owned).collect()
    };
    for (one, other) in counters(real).iter().zip(counters(weightless)) {
        assert_eq!(*one, other, "seed {seed} {mode}");
    }
}

#[test]
fn real_and_weightless_volumes_tell_the_same_story() {
    let chosen = std::env::var("WEIGHTLESS_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut counts = BTreeMap::<String, u64>::new();
    for seed in chosen.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let plan = Plan::random(seed);
        let real = run(&plan, Mode::Real);
        compare(&plan, &real, &run(&plan, Mode::ByWeight), "by weight");
        if seed % 8 == 0 && plan.is_plain() {
            compare(&plan, &real, &run(&plan, Mode::ByBytes), "by bytes");
        }
        for (what, count) in &real.counts {
            *counts.entry((*what).into()).or_default() += count;
        }
        for (_, what, _) in real.events.iter().filter(|(_, what, _)| !what.contains(": ")) {
            *counts.entry(what.split(' ').next().unwrap_or_default().into()).or_default() += 1;
        }
        for answer in real.answers.iter().filter(|answer| answer.starts_with("reads")) {
            *counts.entry("reads of zeros".into()).or_default() += u64::from(answer.contains('.'));
            *counts.entry("reads of data".into()).or_default() += u64::from(answer.contains('#'));
        }
    }
    eprintln!("{counts:?}");
    // A comparison of nothing proves nothing.
    for (what, least) in [("put", 3000), ("get", 3000), ("delete", 500), ("hits", 500), ("flushes", 300)] {
        assert!(chosen.is_some() || counts[what] >= least, "only {} {what}: {counts:?}", counts[what]);
    }
    for what in ["reads of zeros", "reads of data", "discards", "zero writes"] {
        assert!(chosen.is_some() || counts[what] >= 500, "only {} {what}: {counts:?}", counts[what]);
    }
}

#[test]
fn with_a_cache_file_on_a_modelled_disk_they_do_so_too() {
    let (mut syncs, mut puts) = (0, 0);
    for seed in 0..SEEDS / 3 {
        let plan = Plan::with_file(seed);
        let real = run(&plan, Mode::Real);
        compare(&plan, &real, &run(&plan, Mode::ByWeight), "by weight, with a file");
        syncs += real.counts["syncs"];
        puts += real.events.iter().filter(|(_, what, _)| what.starts_with("put")).count();
    }
    assert!(syncs > 1000 && puts > 1000, "{syncs} syncs and {puts} PUTs prove little");
}

#[test]
fn what_a_weightless_volume_cannot_do_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let open = async |change: fn(&mut Settings), payload| {
            let mut settings = Plan::random(1).settings;
            settings.codec = CodecSettings::default();
            change(&mut settings);
            let parts = Parts { backend: None, cpu: Cpu::inline(), payload, password: None, access_key: None };
            Stack::open(&settings, parts).await
        };
        let refused =
            async |change: fn(&mut Settings)| open(change, Payload::Weightless).await.err().unwrap().to_string();
        assert!(refused(|s| s.block_cache.size = CacheSize::Blocks(0)).await.contains("--block-cache-size"));
        assert!(refused(|s| s.block_cache.file = Some("f".into())).await.contains("--block-cache-file"));
        assert!(refused(|s| s.location = Location::Directory("/".into())).await.contains("in memory"));
        let large = |s: &mut Settings| (s.volume.size, s.volume.block_size) = (Some(1 << 30), Some(1 << 28));
        assert!(refused(large).await.contains("--block-size=134217728"));
        let real = open(|_| {}, Payload::Real).await.unwrap();
        let error = real.volume().try_write_weight(0, 512, Weight::INCOMPRESSIBLE).unwrap_err();
        assert!(error.to_string().contains("weightless"), "{error}");
        real.close().await.unwrap();
    });
}

/// No hit can answer more than the page that all answers are parts of: it is left to `read` before anything is counted.
#[test]
fn a_read_longer_than_the_page_counts_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let volume = VolumeSettings { size: Some(1 << 30), block_size: Some(1 << 20), ..VolumeSettings::default() };
        let settings = Settings { location: Location::Memory, volume, ..Settings::default() };
        let payload = Payload::Weightless;
        let parts = Parts { backend: None, cpu: Cpu::inline(), payload, password: None, access_key: None };
        let stack = Stack::open(&settings, parts).await.unwrap();
        let (len, mut scratch) = (257 << 20, Vec::new());
        assert!(stack.volume().try_read(0, len, &mut scratch).is_none());
        assert_eq!(stack.volume().read(0, len).await.unwrap().len(), len);
        assert_eq!(stack.stats().block_cache.zero_reads.get(), 257);
        stack.close().await.unwrap();
    });
}

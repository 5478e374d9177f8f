//! The layers between block cache and object blocks, over a slow, failing store in memory, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::data::BlockData;
use s3b_engine::error::{Error, ErrorKind, Result};
use s3b_engine::etag::ETag;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::settings::{SurveyMode, ZeroMapSettings};
use s3b_engine::stats::Stats;
use s3b_engine::store::{BlockStore, Expect, Fetched, SurveySink};
use s3b_engine::zero_map::{Known, SavedMap, ZeroMap};

const BLOCK_SIZE: u32 = 512;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn block(n: u32) -> BlockNumber {
    BlockNumber(n)
}

/// A block full of one byte.
fn content(byte: u8) -> BlockData {
    match byte {
        0 => BlockData::Zero,
        _ => BlockData::Bytes(Bytes::from(vec![byte; BLOCK_SIZE as usize])),
    }
}

fn byte_of(data: &BlockData) -> u8 {
    match data {
        BlockData::Zero => 0,
        BlockData::Bytes(bytes) => bytes[0],
    }
}

/// splitmix64: small, and the same on every machine.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// What reached the store, and when (ms since the store was made).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Read(u64, u32, Expect),
    Write(u64, u32, u8),
    Delete(u64, Vec<u32>),
    Survey(u64),
}

/// Objects in memory behind delays and failures. Asserts that no two stores of one block overlap.
#[derive(Clone)]
struct Objects {
    geometry: Geometry,
    born: clock::Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    objects: BTreeMap<u32, (u8, ETag)>,
    next_etag: u64,
    calls: Vec<Call>,
    storing: BTreeSet<u32>,
    random: Random,
    /// Most milliseconds before and after a request takes effect.
    delay: u64,
    /// Exactly so long before and after instead, where set.
    fixed_delay: Option<u64>,
    failures_percent: u64,
    /// Stores of these always fail, without effect.
    broken: BTreeSet<u32>,
    closed: bool,
}

impl Objects {
    fn new(blocks: u32) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            next_etag: 1,
            calls: Vec::new(),
            storing: BTreeSet::new(),
            random: Random(1),
            delay: 0,
            fixed_delay: Some(10),
            failures_percent: 0,
            broken: BTreeSet::new(),
            closed: false,
        };
        let geometry = Geometry::new(u64::from(BLOCK_SIZE), u64::from(BLOCK_SIZE) * u64::from(blocks)).unwrap();
        Self { geometry, born: clock::now(), state: Arc::new(Mutex::new(state)) }
    }

    fn holding(blocks: u32, present: impl IntoIterator<Item = u32>) -> Self {
        let store = Self::new(blocks);
        for n in present {
            store.state.lock().put(n, 0xee);
        }
        store
    }

    fn now(&self) -> u64 {
        (clock::now() - self.born).as_millis() as u64
    }

    fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    fn exists(&self, n: u32) -> bool {
        self.state.lock().objects.contains_key(&n)
    }

    async fn pause(&self) {
        let pause = {
            let mut state = self.state.lock();
            let most = state.delay + 1;
            state.fixed_delay.unwrap_or_else(|| state.random.below(most))
        };
        clock::sleep(ms(pause)).await;
    }

    /// `Some(effect)`: fail, with or without effect.
    fn failure(&self, n: u32) -> Option<bool> {
        if self.state.lock().broken.contains(&n) {
            return Some(false);
        }
        self.bad_luck()
    }

    fn bad_luck(&self) -> Option<bool> {
        let mut state = self.state.lock();
        let share = state.failures_percent;
        state.random.percent(share).then(|| state.random.percent(50))
    }

    async fn store(self, n: u32, byte: u8) -> Result<ETag> {
        assert!(self.state.lock().storing.insert(n), "two stores of block {n} at once");
        let _storing = Storing(self.clone(), n);
        self.pause().await;
        let failure = self.failure(n);
        let etag = if failure == Some(false) { ETag::ZERO_BLOCK } else { self.state.lock().put(n, byte) };
        self.pause().await;
        match failure {
            Some(_) => Err(Error::transient(format!("block {n}: scripted failure"))),
            None => Ok(etag),
        }
    }
}

struct Storing(Objects, u32);

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.state.lock().storing.remove(&self.1);
    }
}

impl State {
    fn put(&mut self, n: u32, byte: u8) -> ETag {
        if byte == 0 {
            self.objects.remove(&n);
            return ETag::ZERO_BLOCK;
        }
        let mut etag = [0xa0; 16];
        etag[..8].copy_from_slice(&self.next_etag.to_le_bytes());
        self.next_etag += 1;
        self.objects.insert(n, (byte, ETag(etag)));
        ETag(etag)
    }
}

impl BlockStore for Objects {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        let this = self.clone();
        Box::pin(async move {
            let now = this.now();
            this.state.lock().calls.push(Call::Read(now, block.0, expect));
            this.pause().await;
            let failure = this.bad_luck();
            let (byte, etag) = this.state.lock().objects.get(&block.0).copied().unwrap_or((0, ETag::ZERO_BLOCK));
            this.pause().await;
            match expect {
                _ if failure.is_some() => Err(Error::transient(format!("{block:?}: scripted failure"))),
                Expect::Exactly(wanted) if wanted != etag => {
                    Err(Error::new(ErrorKind::Stale, format!("{block:?} is stale")))
                }
                Expect::Unless(held) if held == etag => Ok(Fetched::Unchanged),
                _ => Ok(Fetched::Data(content(byte), Some(etag))),
            }
        })
    }

    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        let this = self.clone();
        Box::pin(async move {
            let (now, byte) = (this.now(), byte_of(&data));
            this.state.lock().calls.push(Call::Write(now, block.0, byte));
            let etag = this.store(block.0, byte).await?;
            Ok(want_etag.then_some(etag))
        })
    }

    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let this = self.clone();
        Box::pin(async move {
            let now = this.now();
            this.state.lock().calls.push(Call::Delete(now, blocks.iter().map(|b| b.0).collect()));
            let results = join_all(blocks.iter().map(|b| this.clone().store(b.0, 0))).await;
            blocks.into_iter().zip(results.into_iter().map(|r| r.map(|_| ()))).collect()
        })
    }

    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        let this = self.clone();
        Box::pin(async move {
            let now = this.now();
            this.state.lock().calls.push(Call::Survey(now));
            // Four blocks a page: what is seen is of different times.
            for page in (0..this.geometry.blocks()).step_by(4) {
                this.pause().await;
                let found: Vec<BlockNumber> =
                    this.state.lock().objects.range(page..page + 4).map(|(n, _)| BlockNumber(*n)).collect();
                sink(&found);
                if this.failure(u32::MAX).is_some() {
                    return Err(Error::transient("scripted failure of the survey"));
                }
            }
            Ok(())
        })
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.state.lock().closed = true;
        Box::pin(std::future::ready(()))
    }
}

fn zero_settings(survey: SurveyMode, delete_delay: u64) -> ZeroMapSettings {
    ZeroMapSettings { survey, delete_delay: ms(delete_delay), ..ZeroMapSettings::default() }
}

fn zero_map(store: &Objects, known: Known) -> (ZeroMap, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::On, 20), known, stats.clone());
    (map, stats)
}

async fn read_byte(store: &dyn BlockStore, n: u32) -> Result<u8> {
    match store.read(block(n), Expect::Any).await? {
        Fetched::Data(data, _) => Ok(byte_of(&data)),
        Fetched::Unchanged => panic!("unchanged, unasked"),
    }
}

// ---------------------------------------------------------------- zero map

#[tokio::test(start_paused = true)]
async fn a_new_volume_costs_no_request_until_something_is_written() {
    let store = Objects::new(100);
    let (map, stats) = zero_map(&store, Known::AllZero);
    assert_eq!(stats.zero_map.known_zero.get(), 100);
    assert_eq!(read_byte(&map, 5).await.unwrap(), 0);
    assert_eq!(map.read(block(5), Expect::Unless(ETag::ZERO_BLOCK)).await.unwrap(), Fetched::Unchanged);
    assert_eq!(map.write(block(6), BlockData::Zero, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
    let zeros = BlockData::Bytes(Bytes::from(vec![0; BLOCK_SIZE as usize]));
    assert_eq!(map.write(block(6), zeros, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
    assert!(map.delete_many(vec![block(1), block(1), block(2)]).await.iter().all(|(_, r)| r.is_ok()));
    assert_eq!(store.calls(), []);
    assert_eq!((stats.zero_map.read_hits.get(), stats.zero_map.write_hits.get()), (2, 4));

    let etag = map.write(block(6), content(7), true).await.unwrap().expect("wanted");
    assert_eq!(stats.zero_map.known_zero.get(), 99);
    let fetched = map.read(block(6), Expect::Exactly(etag)).await.unwrap();
    assert_eq!(fetched, Fetched::Data(content(7), Some(etag)));
}

#[tokio::test(start_paused = true)]
async fn a_read_of_an_absent_block_is_asked_once() {
    let store = Objects::holding(10, [1]);
    let (map, _) = zero_map(&store, Known::Nothing);
    for _ in 0..3 {
        assert_eq!(read_byte(&map, 0).await.unwrap(), 0);
        assert_eq!(read_byte(&map, 1).await.unwrap(), 0xee);
    }
    assert!(map.known_zero(block(0)) && !map.known_zero(block(1)) && !map.known_zero(block(10)));
    assert_eq!(store.calls().len(), 1 + 3);
    // "It is zero" may also be the answer to a verification.
    assert_eq!(map.read(block(2), Expect::Unless(ETag::ZERO_BLOCK)).await.unwrap(), Fetched::Unchanged);
    assert!(map.known_zero(block(2)));
    // A reader that knows better is not contradicted from memory.
    let stale = map.read(block(2), Expect::Exactly(ETag([9; 16]))).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_single_deletes_share_a_request_and_each_gets_its_own_answer() {
    let store = Objects::holding(1500, 0..1500);
    store.state.lock().broken.extend([3, 1200]);
    let (map, stats) = zero_map(&store, Known::Nothing);
    let results = join_all((0..1500).map(|n| map.write(block(n), BlockData::Zero, false))).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), n == 3 || n == 1200, "block {n}");
    }
    let sizes: Vec<_> = store
        .calls()
        .iter()
        .map(|call| match call {
            Call::Delete(at, blocks) => (*at, blocks.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [(0, 1000), (20, 500)]);
    assert_eq!((stats.zero_map.batched_deletes.get(), stats.zero_map.known_zero.get()), (1500, 1498));
    assert!(!map.known_zero(block(3)) && store.exists(3));
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_many_blocks_does_not_wait_and_deletes_only_what_may_exist() {
    let store = Objects::holding(20, 0..10);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(read_byte(&map, 15).await.unwrap(), 0);
    let results = map.delete_many([15, 3, 2, 3].map(block).to_vec()).await;
    assert_eq!(
        results.into_iter().map(|(b, r)| (b.0, r.is_ok())).collect::<Vec<_>>(),
        [(2, true), (3, true), (15, true)]
    );
    assert_eq!(store.calls()[1..], [Call::Delete(20, vec![2, 3])]);
}

#[tokio::test(start_paused = true)]
async fn a_write_never_overtakes_a_delete_nor_waits_out_its_delay() {
    let store = Objects::holding(10, [1]);
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::Off, 60_000), Known::Nothing, stats);
    let delete = tokio::spawn(map.write(block(1), BlockData::Zero, false));
    tokio::task::yield_now().await;
    let write = tokio::spawn(map.write(block(1), content(5), false));
    let again = {
        tokio::task::yield_now().await;
        tokio::spawn(map.write(block(1), BlockData::Zero, false))
    };
    for task in [delete, write, again] {
        task.await.unwrap().unwrap();
    }
    // The last delete waited for company alone: nobody hurried it.
    assert_eq!(store.calls(), [Call::Write(0, 1, 0), Call::Write(20, 1, 5), Call::Write(60_040, 1, 0)]);
    assert!(map.known_zero(block(1)) && !store.exists(1));
}

#[tokio::test(start_paused = true)]
async fn failed_and_dropped_stores_are_never_taken_for_zero() {
    let store = Objects::holding(10, [1]);
    store.state.lock().broken.extend([1, 2]);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(read_byte(&map, 2).await.unwrap(), 0);
    assert!(map.known_zero(block(2)));
    map.write(block(2), content(1), false).await.unwrap_err();
    map.write(block(1), BlockData::Zero, false).await.unwrap_err();
    // Reading zero proves nothing while the failed write may still arrive.
    assert_eq!(read_byte(&map, 2).await.unwrap(), 0);
    assert!(!map.known_zero(block(1)) && !map.known_zero(block(2)));

    assert_eq!(read_byte(&map, 3).await.unwrap(), 0);
    let mut dropped = map.write(block(3), content(1), false);
    assert!(map.known_zero(block(3)), "a future does nothing before it is polled");
    assert!((&mut dropped).now_or_never().is_none());
    assert!(!map.known_zero(block(3)));
    let waiting = tokio::spawn(map.write(block(3), content(2), false));
    tokio::task::yield_now().await;
    drop(dropped);
    // The dropped write's turn passes on.
    waiting.await.unwrap().unwrap();
    assert_eq!(read_byte(&map, 3).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_does_not_block_the_line() {
    let store = Objects::new(4);
    let (map, _) = zero_map(&store, Known::Nothing);
    let mut first = map.write(block(1), content(1), false);
    let mut second = map.write(block(1), content(2), false);
    let third = map.write(block(1), content(3), false);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    let third = tokio::spawn(third);
    tokio::task::yield_now().await;
    drop(second);
    first.await.unwrap();
    third.await.unwrap().unwrap();
    // One that gives up after the turn was given to it, before it looked.
    let mut first = map.write(block(1), content(1), false);
    let mut second = map.write(block(1), content(2), false);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    first.await.unwrap();
    drop(second);
    map.write(block(1), content(4), false).await.unwrap();
    assert_eq!(read_byte(&map, 1).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_outlives_the_caller_that_started_it() {
    let store = Objects::holding(10, [1, 2]);
    let (map, _) = zero_map(&store, Known::Nothing);
    let mut gone = map.write(block(1), BlockData::Zero, false);
    let stays = map.write(block(2), BlockData::Zero, false);
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    stays.await.unwrap();
    assert_eq!(store.calls(), [Call::Delete(20, vec![1, 2])]);
    assert!(map.known_zero(block(1)) && map.known_zero(block(2)));
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_waits_and_gives_up_the_survey() {
    let store = Objects::holding(40_000, [1]);
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::On, 60_000), Known::Nothing, stats);
    assert_eq!(map.start_survey(), None);
    let delete = tokio::spawn(map.write(block(1), BlockData::Zero, false));
    tokio::task::yield_now().await;
    map.close().await;
    delete.await.unwrap().unwrap();
    // 20 ms of delete; the survey would have taken 100 s.
    assert_eq!(store.now(), 20);
    assert!(store.state.lock().closed);
    assert!(map.known_zero(block(1)) && !map.known_zero(block(2)));
}

#[tokio::test(start_paused = true)]
async fn a_survey_finds_what_is_zero_but_for_what_was_touched() {
    let store = Objects::holding(40, [1, 17, 39]);
    let (map, stats) = zero_map(&store, Known::Nothing);
    // Under way when the survey starts.
    let mut early = map.write(block(8), content(8), false);
    assert!((&mut early).now_or_never().is_none());
    assert_eq!(map.start_survey(), None);
    early.await.unwrap();
    // Written behind the listing's back: page 0 is listed at 10 ms.
    clock::sleep(ms(15)).await;
    map.write(block(2), content(2), false).await.unwrap();
    assert!(!map.known_zero(block(3)), "nothing is believed before the survey succeeds");
    clock::sleep(ms(1000)).await;
    let unknown: Vec<u32> = (0..40).filter(|n| !map.known_zero(block(*n))).collect();
    assert_eq!(unknown, [1, 2, 8, 17, 39]);
    assert_eq!(stats.zero_map.known_zero.get(), 35);

    // Complete now: the next one needs no listing.
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = found.clone();
    map.survey(Arc::new(move |blocks| sink.lock().extend(blocks.iter().map(|b| b.0)))).await.unwrap();
    assert_eq!(*found.lock(), unknown);
    assert_eq!(store.calls().iter().filter(|call| matches!(call, Call::Survey(_))).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_survey_teaches_nothing_and_may_be_started_again() {
    let store = Objects::holding(40, [1]);
    let (map, _) = zero_map(&store, Known::Nothing);
    store.state.lock().broken.insert(u32::MAX);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!((0..40).all(|n| !map.known_zero(block(n))));
    store.state.lock().broken.clear();
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!((0..40).all(|n| map.known_zero(block(n)) == (n != 1)));
}

#[tokio::test(start_paused = true)]
async fn a_dear_survey_is_skipped_with_a_notice() {
    let store = Objects::new(50_000);
    let settings = ZeroMapSettings { max_cost: 0.0, ..zero_settings(SurveyMode::Auto, 20) };
    let map = ZeroMap::new(Arc::new(store.clone()), &settings, Known::Nothing, Arc::default());
    assert!(map.start_survey().unwrap().contains("--list-blocks"));
    let map = ZeroMap::new(Arc::new(store.clone()), &settings, Known::AllZero, Arc::default());
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert_eq!(store.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_saved_map_serves_the_next_mount_and_a_survey_checks_it() {
    let store = Objects::holding(100, [1, 17]);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    map.close().await;
    let bytes = map.to_bytes(b"session 1");
    let saved = SavedMap::from_bytes(&bytes, map.geometry(), b"session 1").unwrap();

    // Somebody writes block 5 and leaves no trace.
    store.state.lock().put(5, 5);
    let (map, stats) = zero_map(&store, Known::Saved(saved));
    assert_eq!(stats.zero_map.known_zero.get(), 98);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!(!map.known_zero(block(5)) && map.known_zero(block(6)));
    assert_eq!(read_byte(&map, 5).await.unwrap(), 5);
}

// ---------------------------------------------------------------- the layers against a reference

/// What each block may hold, as its writers know it.
#[derive(Default)]
struct Reference {
    blocks: BTreeMap<u32, Possible>,
}

struct Possible {
    now: BTreeSet<u8>,
    /// Everything that ever became possible, in order.
    added: Vec<u8>,
}

impl Reference {
    fn entry(&mut self, n: u32) -> &mut Possible {
        self.blocks.entry(n).or_insert_with(|| Possible { now: BTreeSet::from([0]), added: Vec::new() })
    }

    fn begin(&mut self, n: u32, byte: u8) {
        let possible = self.entry(n);
        possible.now.insert(byte);
        possible.added.push(byte);
    }

    fn end(&mut self, n: u32, byte: u8, stored: bool) {
        if stored {
            self.entry(n).now = BTreeSet::from([byte]);
        }
    }
}

const MODEL_BLOCKS: u32 = 12;
const WRITERS: u32 = 4;

struct Model {
    store: Objects,
    layers: Arc<dyn BlockStore>,
    reference: Mutex<Reference>,
    checks: Mutex<u64>,
}

impl Model {
    /// Each writer owns some blocks; everybody reads everything.
    async fn work(self: Arc<Self>, writer: u32, mut random: Random) {
        for _ in 0..60 {
            let n = random.below(u64::from(MODEL_BLOCKS)) as u32;
            let own = n / WRITERS * WRITERS + writer;
            let byte = 1 + random.below(250) as u8;
            let limit = ms(random.below(60));
            match random.below(10) {
                0..3 => self.read(n).await,
                3..5 => self.write(own, byte).await,
                5..7 => self.write(own, 0).await,
                7 => self.delete_many(writer).await,
                // Drops the future in the middle.
                8 => _ = clock::timeout(limit, self.write(own, byte)).await,
                _ => clock::sleep(limit).await,
            }
            self.check_map();
        }
    }

    async fn read(&self, n: u32) {
        let (mut allowed, from) = {
            let mut reference = self.reference.lock();
            let possible = reference.entry(n);
            (possible.now.clone(), possible.added.len())
        };
        let Ok(byte) = read_byte(&*self.layers, n).await else { return };
        allowed.extend(&self.reference.lock().entry(n).added[from..]);
        assert!(allowed.contains(&byte), "block {n}: read {byte}, possible {allowed:?}");
        *self.checks.lock() += 1;
    }

    async fn write(&self, n: u32, byte: u8) {
        self.reference.lock().begin(n, byte);
        let result = self.layers.write(block(n), content(byte), false).await;
        self.reference.lock().end(n, byte, result.is_ok());
    }

    async fn delete_many(&self, writer: u32) {
        let own: Vec<u32> = (0..MODEL_BLOCKS).filter(|n| n % WRITERS == writer).collect();
        own.iter().for_each(|n| self.reference.lock().begin(*n, 0));
        let results = self.layers.delete_many(own.iter().map(|n| block(*n)).collect()).await;
        assert_eq!(results.len(), own.len());
        for (b, result) in results {
            self.reference.lock().end(b.0, 0, result.is_ok());
        }
    }

    /// At every moment, whatever is under way.
    fn check_map(&self) {
        for n in 0..MODEL_BLOCKS {
            assert!(!(self.layers.known_zero(block(n)) && self.store.exists(n)), "block {n} is there, yet known zero");
        }
    }
}

/// Runs one seed to its end and answers the store's story.
async fn run_model(
    seed: u64,
    build: impl FnOnce(Arc<dyn BlockStore>) -> (Arc<dyn BlockStore>, Arc<ZeroMap>),
) -> Vec<Call> {
    let store = Objects::new(MODEL_BLOCKS);
    {
        let mut state = store.state.lock();
        let mut random = Random(seed);
        state.delay = 1 + random.below(40);
        state.fixed_delay = None;
        state.failures_percent = random.below(30);
        state.random = random;
    }
    let (layers, map) = build(Arc::new(store.clone()));
    let model = Model { store, layers, reference: Mutex::default(), checks: Mutex::new(0) };
    let model = Arc::new(model);
    let writers = (0..WRITERS).map(|writer| {
        let random = Random(seed.wrapping_mul(31).wrapping_add(u64::from(writer)));
        tokio::spawn(model.clone().work(writer, random))
    });
    let writers: Vec<_> = writers.collect();
    let mut random = Random(!seed);
    for _ in 0..8 {
        assert_eq!(map.start_survey(), None);
        clock::sleep(ms(random.below(300))).await;
        model.check_map();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // Rest: what the store holds is what the writers believe, and so it reads.
    model.store.state.lock().failures_percent = 0;
    model.layers.close().await;
    for n in 0..MODEL_BLOCKS {
        model.read(n).await;
    }
    model.check_map();
    assert!(*model.checks.lock() > 20, "the model checked next to nothing");
    model.store.calls()
}

fn over_zero_map(below: Arc<dyn BlockStore>) -> (Arc<dyn BlockStore>, Arc<ZeroMap>) {
    let settings = zero_settings(SurveyMode::On, 20);
    let map = Arc::new(ZeroMap::new(below, &settings, Known::Nothing, Arc::default()));
    (map.clone(), map)
}

#[tokio::test(start_paused = true)]
async fn the_zero_map_agrees_with_the_reference() {
    for seed in 0..150 {
        run_model(seed, over_zero_map).await;
    }
}

#[tokio::test(start_paused = true)]
async fn same_seed_same_story() {
    for seed in 0..5 {
        assert_eq!(run_model(seed, over_zero_map).await, run_model(seed, over_zero_map).await);
    }
}

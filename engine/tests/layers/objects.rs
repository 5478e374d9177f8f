//! A slow, failing store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::data::BlockData;
use s3b_engine::error::{Error, ErrorKind, Result};
use s3b_engine::etag::ETag;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::store::{BlockStore, Expect, Fetched, SurveySink};

pub const BLOCK_SIZE: u32 = 512;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn block(n: u32) -> BlockNumber {
    BlockNumber(n)
}

/// A block full of one byte.
pub fn content(byte: u8) -> BlockData {
    match byte {
        0 => BlockData::Zero,
        _ => BlockData::Bytes(Bytes::from(vec![byte; BLOCK_SIZE as usize])),
    }
}

pub fn byte_of(data: &BlockData) -> u8 {
    match data {
        BlockData::Zero => 0,
        BlockData::Bytes(bytes) => bytes[0],
    }
}

/// splitmix64: small, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// What reached the store, and when (ms since the store was made).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Read(u64, u32, Expect),
    Write(u64, u32, u8),
    Delete(u64, Vec<u32>),
    Survey(u64),
}

/// Objects in memory behind delays and failures. Asserts that no two stores of one block overlap.
#[derive(Clone)]
pub struct Objects {
    geometry: Geometry,
    born: clock::Instant,
    pub state: Arc<Mutex<State>>,
}

pub struct State {
    pub objects: BTreeMap<u32, (u8, ETag)>,
    next_etag: u64,
    calls: Vec<Call>,
    storing: BTreeSet<u32>,
    pub random: Random,
    /// Most milliseconds before and after a request takes effect.
    pub delay: u64,
    /// Exactly so long before and after instead, where set.
    pub fixed_delay: Option<u64>,
    pub failures_percent: u64,
    /// Stores of these always fail, without effect.
    pub broken: BTreeSet<u32>,
    pub closed: bool,
}

impl Objects {
    pub fn new(blocks: u32) -> Self {
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

    pub fn holding(blocks: u32, present: impl IntoIterator<Item = u32>) -> Self {
        let store = Self::new(blocks);
        for n in present {
            store.state.lock().put(n, 0xee);
        }
        store
    }

    pub fn now(&self) -> u64 {
        (clock::now() - self.born).as_millis() as u64
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    pub fn exists(&self, n: u32) -> bool {
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

pub struct Storing(Objects, u32);

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.state.lock().storing.remove(&self.1);
    }
}

impl State {
    pub fn put(&mut self, n: u32, byte: u8) -> ETag {
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

pub async fn read_byte(store: &dyn BlockStore, n: u32) -> Result<u8> {
    match store.read(block(n), Expect::Any).await? {
        Fetched::Data(data, _) => Ok(byte_of(&data)),
        Fetched::Unchanged => panic!("unchanged, unasked"),
    }
}

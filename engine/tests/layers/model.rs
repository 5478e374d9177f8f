//! The layers against a reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::md5_cache::Md5Cache;
use s3b_engine::settings::SurveyMode;
use s3b_engine::store::BlockStore;
use s3b_engine::zero_map::{Known, ZeroMap};

use crate::md5_cache::md5_settings;
use crate::objects::*;
use crate::zero_map::zero_settings;

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
        read_byte(&*model.layers, n).await.unwrap();
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

fn over_both(below: Arc<dyn BlockStore>) -> (Arc<dyn BlockStore>, Arc<ZeroMap>) {
    let (below, map) = over_zero_map(below);
    // Too small for all blocks: writers wait for room, too.
    let cache = Md5Cache::new(below, &md5_settings(7, 500, 100), Arc::default()).unwrap();
    (Arc::new(cache), map)
}

#[tokio::test(start_paused = true)]
async fn md5_cache_over_zero_map_agree_with_the_reference() {
    for seed in 0..150 {
        run_model(seed, over_both).await;
    }
}

#[tokio::test(start_paused = true)]
async fn same_seed_same_story() {
    for seed in 0..5 {
        assert_eq!(run_model(seed, over_zero_map).await, run_model(seed, over_zero_map).await);
        assert_eq!(run_model(seed, over_both).await, run_model(seed, over_both).await);
    }
}

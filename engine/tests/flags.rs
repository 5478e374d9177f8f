//! What flags do, from their text to what happens, where no other test shows it. In virtual time.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::memory::Memory;
use s3b_engine::payload::Payload;
use s3b_engine::settings::flags::{Given, engine};
use s3b_engine::settings::{Location, Settings, check};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_engine::wrap::{Counting, Counts, Delay, Delays, FaultControl, FaultRates, Faults, Latency};

const BLOCK: u64 = 4096;
const BLOCKS: u64 = 64;
/// Of every request.
const ROUND_TRIP: Duration = Duration::from_millis(20);

type Flags<'a> = &'a [(&'a str, &'a str)];

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// 64 blocks of 4 KiB without read-ahead, and what else is asked for.
fn settings(flags: Flags<'_>) -> Settings {
    let mut given = Given::default();
    for (name, value) in [("size", "256k"), ("block-size", "4k"), ("read-ahead", "0")].iter().chain(flags) {
        given.add(name, *value, "");
    }
    given.canonical(engine());
    given.refuse_unknown(Given::engine_names()).unwrap();
    let mut settings = Settings::default();
    given.apply(engine(), &mut settings).unwrap();
    check::settle(&mut settings).unwrap();
    settings
}

/// One life of a process: what still runs at its end is gone.
fn life<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { clock::timeout(secs(30 * 86_400), story).await.expect("it hangs") })
}

struct Open {
    stack: Stack,
    volume: Arc<Volume>,
    counts: Arc<Counts>,
    faults: Arc<FaultControl>,
}

async fn open(memory: &Memory, flags: Flags<'_>) -> Open {
    let slow = Latency::new(Arc::new(memory.clone()), Delays::all(Delay::fixed(ROUND_TRIP)), 1);
    let faulty = Faults::new(Arc::new(slow), FaultRates::default(), 1);
    let faults = faulty.control();
    let counting = Counting::new(Arc::new(faulty));
    let counts = counting.counts();
    let parts = Parts {
        backend: Some(Arc::new(counting)),
        cpu: Cpu::inline(),
        payload: Payload::Real,
        password: None,
        access_key: None,
    };
    let stack = Stack::open(&settings(flags), parts).await.unwrap();
    Open { volume: stack.volume(), stack, counts, faults }
}

/// A volume whose blocks hold their number plus one.
fn filled() -> Memory {
    let memory = Memory::new();
    life(async {
        let open = open(&memory, &[]).await;
        for block in 0..BLOCKS {
            open.write(block, block as u8 + 1).await;
        }
        open.stack.close().await.unwrap();
    });
    memory
}

impl Open {
    async fn write(&self, block: u64, byte: u8) {
        self.volume.write(block * BLOCK, vec![byte; BLOCK as usize].into()).await.unwrap();
    }

    async fn read(&self, block: u64) -> u8 {
        self.volume.read(block * BLOCK, 1).await.unwrap()[0]
    }

    /// The blocks that can be read without waiting.
    fn in_memory(&self) -> Vec<u64> {
        let there = |block: &u64| self.volume.try_read(block * BLOCK, 1, &mut Vec::new()).is_some();
        (0..BLOCKS).filter(there).collect()
    }
}

#[test]
fn surveys_list_as_asked() {
    let memory = filled();
    let after_mounting = |flags: Flags<'_>| {
        let seen = life(async {
            let open = open(&memory, flags).await;
            let (lists, known) = (open.counts.lists.get(), open.stack.stats().zero_map.known_zero.get());
            clock::sleep(secs(60)).await;
            let learnt = open.stack.stats().zero_map.known_zero.get() - known;
            (open.counts.lists.get() - lists, open.counts.most_in_flight(), learnt)
        });
        memory.remove("s3backer-mounted");
        seen
    };
    memory.remove("00000005");
    // Opening alone looks at three objects side by side.
    assert_eq!(after_mounting(&[("survey", "off")]), (0, 3, 0));
    assert_eq!(after_mounting(&[("survey", "off"), ("list-blocks", "true"), ("list-blocks-threads", "1")]), (1, 3, 1));
    for (threads, most) in [("5", 5), ("9", 9)] {
        let (lists, in_flight, learnt) = after_mounting(&[("survey", "on"), ("listBlocksThreads", threads)]);
        assert_eq!((lists, in_flight, learnt), (most, most, 1), "--list-blocks-threads={threads}");
    }
}

#[test]
fn the_cache_holds_what_was_asked() {
    let memory = filled();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cache");
    let cached = |flags: Flags<'_>| {
        life(async {
            let open = open(&memory, flags).await;
            for block in 0..BLOCKS {
                open.read(block).await;
            }
            // What may leave memory for the file has left it.
            clock::sleep(secs(60)).await;
            let in_memory = open.in_memory().len();
            let gets = open.counts.gets.get();
            for block in (0..BLOCKS).rev() {
                assert_eq!(open.read(block).await, block as u8 + 1);
            }
            let again = open.counts.gets.get() - gets;
            open.stack.close().await.unwrap();
            (in_memory, again)
        })
    };
    assert_eq!(cached(&[("block-cache-size", "0")]), (0, BLOCKS));
    assert_eq!(cached(&[("block-cache-size", "10")]), (10, BLOCKS - 10));
    assert_eq!(cached(&[("blockCacheSize", "80k")]), (20, BLOCKS - 20));
    let file = file.to_str().unwrap();
    let (in_memory, again) =
        cached(&[("block-cache-size", "50"), ("block-cache-file", file), ("block-cache-memory", "5")]);
    assert!((1..=6).contains(&in_memory), "{in_memory} blocks in memory, and one may have just come");
    assert_eq!(again, BLOCKS - 50, "the others are in the file");
}

#[test]
fn a_block_is_stored_after_the_write_delay() {
    for cache in ["4", "50"] {
        let stored_after = |delay: &str, waited: Duration| {
            let memory = Memory::new();
            life(async {
                let flags = [("block-cache-size", cache), ("block-cache-write-delay", delay)];
                let open = open(&memory, &flags).await;
                let puts = open.counts.puts.get();
                open.write(3, 1).await;
                clock::sleep(waited).await;
                open.counts.puts.get() - puts
            })
        };
        assert_eq!(stored_after("7s", secs(6)), 0, "in a cache of {cache} blocks");
        assert_eq!(stored_after("7s", secs(8)), 1);
        assert_eq!(stored_after("100", ROUND_TRIP), 0, "a bare number is milliseconds");
        assert_eq!(stored_after("0", ROUND_TRIP), 1);
    }
}

#[test]
fn no_more_stores_at_a_time_than_asked() {
    for (threads, most) in [("5", 5), ("20", 20)] {
        let memory = Memory::new();
        life(async {
            let open = open(&memory, &[("block-cache-threads", threads)]).await;
            for block in 0..BLOCKS {
                open.write(block, 1).await;
            }
            open.volume.flush().await.unwrap();
            assert_eq!(open.counts.most_in_flight(), most);
        });
    }
}

#[test]
fn stores_are_repeated_at_the_longest_backoff() {
    let attempts = |longest: &str| {
        let memory = Memory::new();
        life(async {
            let open = open(&memory, &[("longest-backoff", longest), ("max-retry-pause", "0")]).await;
            open.faults.set_outage(true);
            open.write(0, 1).await;
            clock::sleep(secs(600)).await;
            let puts = open.counts.puts.get();
            clock::sleep(secs(6000)).await;
            open.counts.puts.get() - puts
        })
    };
    let (short, long) = (attempts("6s"), attempts("60s"));
    assert!((900..1100).contains(&short) && (90..110).contains(&long), "{short}, {long} attempts in 6000 s");
}

#[test]
fn reading_ahead_starts_and_goes_as_far_as_asked() {
    let memory = filled();
    // After so many sequential reads, the blocks that came unasked.
    let ahead = |flags: Flags<'_>, reads: u64| {
        let there = life(async {
            let open = open(&memory, flags).await;
            for block in 0..reads {
                open.read(block).await;
            }
            clock::sleep(secs(10)).await;
            let there = open.in_memory();
            open.stack.close().await.unwrap();
            there
        });
        let expected: Vec<u64> = (0..there.len() as u64).collect();
        assert_eq!(there, expected, "from the start, without holes");
        there.len() as u64 - reads
    };
    assert_eq!(ahead(&[("read-ahead", "0")], 9), 0);
    assert_eq!(ahead(&[("read-ahead", "3"), ("read-ahead-trigger", "4")], 3), 0);
    assert_eq!(ahead(&[("read-ahead", "3"), ("read-ahead-trigger", "4")], 4), 3);
    assert_eq!(ahead(&[("readAhead", "7"), ("readAheadTrigger", "2")], 9), 7);
    assert!(ahead(&[("read-ahead", "auto")], 9) > 7);
}

/// Nothing is fetched that is known without, and nothing known leaves the cache for it.
#[test]
fn reading_ahead_passes_over_known_zeros() {
    let memory = filled();
    for block in 8..60 {
        memory.remove(&format!("{block:08x}"));
    }
    life(async {
        let open = open(&memory, &[("read-ahead", "16"), ("survey", "on")]).await;
        clock::sleep(secs(60)).await;
        let gets = open.counts.gets.get();
        for block in 0..12 {
            open.read(block).await;
        }
        clock::sleep(secs(10)).await;
        assert_eq!(open.counts.gets.get() - gets, 8, "the zeros cost no request");
        let cache = &open.stack.stats().block_cache;
        assert_eq!(cache.current_size.get(), 8, "nor an entry");
        assert!(cache.read_ahead_reads.get() < 8);
    });
}

#[test]
fn the_test_store_is_slow_and_fails_as_asked() {
    const READS: u32 = 300;
    let memory = filled();
    // How long the reads took, and how many had to be repeated.
    let story = |flags: Flags<'_>| {
        let seen = life(async {
            let flags = [&[("block-cache-size", "0"), ("survey", "off"), ("initial-retry-pause", "1")], flags].concat();
            let open = open(&memory, &flags).await;
            let (start, retries) = (clock::now(), open.stack.stats().http.num_retries.get());
            for read in 0..u64::from(READS) {
                assert_eq!(u64::from(open.read(read % BLOCKS).await), read % BLOCKS + 1);
            }
            (clock::now() - start, open.stack.stats().http.num_retries.get() - retries)
        });
        memory.remove("s3backer-mounted");
        seen
    };
    assert_eq!(story(&[]), (READS * ROUND_TRIP, 0));
    let (slow, retries) = story(&[("test-delays", "true"), ("test-seed", "7")]);
    let each = (slow - READS * ROUND_TRIP) / READS;
    assert!(each > Duration::from_millis(80) && each < Duration::from_millis(120), "{each:?} on average");
    assert_eq!(retries, 0);
    let (_, retries) = story(&[("test-errors", "20%"), ("test-seed", "7")]);
    assert!((40..120).contains(&retries), "{retries} of {READS}");

    let both = |seed| story(&[("test-delays", "true"), ("test-errors", "5%"), ("test-seed", seed)]);
    assert_eq!(both("7"), both("7"));
    assert_ne!(both("7"), both("8"));
}

#[test]
fn the_test_store_keeps_nothing_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let content = |path: &Path| std::fs::read_dir(path).unwrap().count();
    for (discard, blocks, byte) in [("true", 0, 0), ("false", 1, 9)] {
        let mut settings = settings(&[("test-discard", discard), ("block-cache-size", "0")]);
        settings.location = Location::Directory(directory.path().to_owned());
        life(async {
            let parts =
                Parts { backend: None, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
            let stack = Stack::open(&settings, parts).await.unwrap();
            stack.volume().write(BLOCK, vec![9; BLOCK as usize].into()).await.unwrap();
            assert_eq!(stack.volume().read(BLOCK, 1).await.unwrap()[0], byte);
            stack.close().await.unwrap();
        });
        assert_eq!(content(directory.path()) > 0, blocks > 0, "--test-discard={discard}");
    }
}

#[test]
fn offline_mounts_from_the_cache_file_and_verifies_on_return() {
    let memory = filled();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cache");
    let online = [("block-cache-file", file.to_str().unwrap())];
    let offline = [&online[..], &[("offline", "true"), ("max-retry-pause", "1s")]].concat();
    life(async {
        let open = open(&memory, &online).await;
        for block in 0..10 {
            open.read(block).await;
        }
        open.stack.close().await.unwrap();
    });
    // Somebody else changes a block while we are away.
    memory.insert("00000004", Default::default(), vec![99; BLOCK as usize]);
    life(async {
        let open = open(&memory, &offline).await;
        open.faults.set_outage(true);
        assert_eq!(open.counts.requests(), 0, "mounting asks nobody");
        for block in 0..10 {
            assert_eq!(open.read(block).await, block as u8 + 1);
        }
        open.write(3, 33).await;
        assert!(open.volume.read(20 * BLOCK, 1).await.is_err(), "what is not in the file cannot be had");
        open.faults.set_outage(false);
        open.volume.flush().await.unwrap();
        assert_eq!([open.read(3).await, open.read(4).await, open.read(20).await], [33, 99, 21]);
        open.stack.close().await.unwrap();
    });
    assert_eq!(memory.object("00000003").unwrap().body, vec![33; BLOCK as usize]);
}

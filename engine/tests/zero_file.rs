//! The saved zero map: believed after a clean unmount where a survey is too dear, and never after anything else.

use std::cell::Cell;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectHeaders;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{CacheSize, Location, Settings, SurveyMode};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::wrap::{Counting, Counts, FaultControl, FaultRates, Faults};
use tempfile::TempDir;

const BLOCK: u64 = 4096;
/// Never written by any test, and more than one: a lucky guess does not pass.
const ZEROS: std::ops::Range<u64> = 100..110;

/// A bucket, and a disk for cache files.
struct World {
    memory: Memory,
    disk: TempDir,
    /// The store does not answer an offline mount.
    away: Cell<bool>,
}

/// One mount of it.
struct Mount {
    stack: Stack,
    counts: Arc<Counts>,
    control: Arc<FaultControl>,
}

/// Each mount is a process of its own: what it leaves running ends with it.
fn process<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

impl World {
    /// A volume with some blocks, unmounted cleanly.
    fn used() -> Self {
        let world = Self { memory: Memory::new(), disk: tempfile::tempdir().unwrap(), away: Cell::new(false) };
        process(async {
            let mount = world.mount(&world.dear("a")).await;
            mount.write(0, 1).await;
            mount.write(5, 1).await;
            mount.stack.close().await.unwrap();
        });
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// Settings under which a survey is too dear, with the cache file `file`.
    fn dear(&self, file: &str) -> Settings {
        let mut settings = self.without_file();
        settings.block_cache.file = Some(self.path(file));
        settings
    }

    fn without_file(&self) -> Settings {
        let mut settings = Settings { location: Location::Bucket("bucket".into()), ..Settings::default() };
        settings.volume.prefix = "v/".into();
        settings.volume.block_size = Some(BLOCK);
        settings.volume.size = Some(256 * BLOCK);
        settings.zero_map.max_cost = 0.0;
        settings.block_cache.size = CacheSize::Blocks(16);
        settings.block_cache.read_ahead = Some(0);
        settings
    }

    async fn mount(&self, settings: &Settings) -> Mount {
        let faults = Faults::new(Arc::new(self.memory.clone()), FaultRates::default(), 1);
        let control = faults.control();
        control.set_outage(settings.block_cache.offline && self.away.get());
        let counting = Counting::new(Arc::new(faults));
        let counts = counting.counts();
        let backend = Some(Arc::new(counting) as _);
        let parts = Parts { backend, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
        Mount { stack: Stack::open(settings, parts).await.unwrap(), counts, control }
    }

    /// Mounts, looks whether the saved map is used, checks a block, unmounts.
    fn believes(&self, settings: &Settings, block: u64, byte: u8) -> bool {
        process(async {
            let mount = self.mount(settings).await;
            assert!(!self.path("a.zeros").is_file(), "the map is gone while the volume is mounted");
            let believed = mount.knows_zeros().await;
            assert_eq!(mount.read(block).await, byte, "block {block}");
            mount.stack.close().await.unwrap();
            believed
        })
    }
}

impl Mount {
    async fn write(&self, block: u64, byte: u8) {
        let data = Bytes::from(vec![byte; BLOCK as usize]);
        self.stack.volume().write(block * BLOCK, data).await.unwrap();
    }

    async fn read(&self, block: u64) -> u8 {
        self.stack.volume().read(block * BLOCK, BLOCK as usize).await.unwrap()[0]
    }

    /// Whether reads of zero blocks cost nothing. All of them do, or none.
    async fn knows_zeros(&self) -> bool {
        let before = self.counts.gets.get();
        for block in ZEROS {
            assert_eq!(self.read(block).await, 0);
        }
        match self.counts.gets.get() - before {
            0 => true,
            gets => {
                assert_eq!(gets, ZEROS.end - ZEROS.start);
                false
            }
        }
    }
}

#[test]
fn a_clean_unmount_leaves_a_map_that_is_used_without_a_listing() {
    let world = World::used();
    for round in 2..5 {
        let mode = fs::metadata(world.path("a.zeros")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        process(async {
            let mount = world.mount(&world.dear("a")).await;
            assert!(!world.path("a.zeros").exists());
            assert!(mount.knows_zeros().await);
            assert_eq!((mount.read(0).await, mount.read(5).await), (1, round - 1));
            // What this mount writes and what it frees is in the next map.
            mount.write(5, round).await;
            mount.write(20, 1).await;
            mount.stack.volume().flush().await.unwrap();
            mount.stack.volume().zero(20 * BLOCK, BLOCK).await.unwrap();
            mount.stack.close().await.unwrap();
            assert_eq!(mount.counts.lists.get(), 0);
        });
    }
    assert!(world.believes(&world.dear("a"), 20, 0));
}

#[test]
fn a_map_from_before_a_crash_is_not_believed() {
    let world = World::used();
    let old = fs::read(world.path("a.zeros")).unwrap();
    process(async {
        let mount = world.mount(&world.dear("a")).await;
        mount.write(7, 7).await;
        mount.stack.volume().flush().await.unwrap();
    });
    assert!(!world.path("a.zeros").exists());
    // A backup of the disk may bring it back.
    fs::write(world.path("a.zeros"), old).unwrap();
    let mut recover = world.dear("a");
    recover.block_cache.recover_dirty = true;
    assert!(!world.believes(&recover, 7, 7));
}

#[test]
fn any_other_writing_mount_of_ours_makes_a_map_unbelievable() {
    type Other = fn(&World) -> Settings;
    let others: [(&str, Other); 5] = [
        ("with another cache file", |world| world.dear("b")),
        ("without a cache file", World::without_file),
        ("without a survey", |world| {
            let mut settings = world.without_file();
            settings.zero_map.survey = SurveyMode::Off;
            settings
        }),
        ("shared", |world| {
            let mut settings = world.without_file();
            settings.volume.shared_disk = true;
            settings.block_cache.size = CacheSize::Blocks(0);
            settings
        }),
        ("offline", |world| {
            let mut settings = world.dear("a");
            settings.block_cache.offline = true;
            settings
        }),
    ];
    for (name, other) in others {
        for clean in [true, false] {
            let world = World::used();
            let old = fs::read(world.path("a.zeros")).unwrap();
            process(async {
                let mount = world.mount(&other(&world)).await;
                mount.write(9, 9).await;
                mount.stack.volume().flush().await.unwrap();
                if clean {
                    mount.stack.close().await.unwrap();
                }
            });
            // As it lies on the disk of another host.
            fs::write(world.path("a.zeros"), old).unwrap();
            let mut settings = world.dear("a");
            settings.volume.force = true;
            assert!(!world.believes(&settings, 9, 9), "{name}, clean: {clean}");
            assert!(world.believes(&settings, 9, 9), "{name}: the next map is good again");
        }
    }
}

/// Holes are in no cache file, and a file system reads them.
#[test]
fn offline_the_holes_of_the_last_clean_unmount_read_as_zeros() {
    let world = World::used();
    let mut offline = world.dear("a");
    offline.block_cache.offline = true;
    offline.retry.max_pause = Some(Duration::ZERO);
    world.away.set(true);
    // Two lives that never join, and crash: the map stays, what was written since wins over it.
    for byte in [7, 8] {
        process(async {
            let mount = world.mount(&offline).await;
            assert!(mount.knows_zeros().await);
            mount.write(20, byte).await;
            mount.stack.volume().zero(30 * BLOCK, BLOCK).await.unwrap();
            assert_eq!((mount.read(20).await, mount.read(30).await), (byte, 0));
            clock::sleep(Duration::from_secs(60)).await;
        });
        assert!(world.path("a.zeros").exists());
    }
    // Somebody else wrote to holes; once joined that is seen, and what was zeroed here is deleted.
    for block in [30, 200] {
        world.memory.insert(&format!("v/{block:08x}"), ObjectHeaders::default(), vec![5; BLOCK as usize]);
    }
    process(async {
        let mount = world.mount(&offline).await;
        assert_eq!((mount.read(20).await, mount.read(30).await, mount.read(200).await), (8, 0, 0));
        mount.control.set_outage(false);
        mount.stack.volume().flush().await.unwrap();
        assert!(!world.path("a.zeros").exists(), "something was stored");
        assert_eq!(mount.read(200).await, 5);
        mount.stack.close().await.unwrap();
    });
    assert!(!world.memory.keys().contains(&"v/0000001e".to_owned()));
    assert!(!world.believes(&world.dear("a"), 20, 8), "no other mount believes what was saved without a session");
}

#[test]
fn a_read_only_mount_neither_uses_nor_spoils_the_map() {
    let world = World::used();
    let objects = world.memory.objects();
    for mut settings in [world.without_file(), world.dear("a")] {
        settings.volume.read_only = true;
        process(async {
            let mount = world.mount(&settings).await;
            assert!(!mount.knows_zeros().await, "without the lock anybody may write");
            mount.stack.close().await.unwrap();
        });
    }
    assert_eq!(world.memory.objects(), objects);
    assert!(world.believes(&world.dear("a"), 5, 1));
}

#[test]
fn another_program_that_changed_block_zero_is_noticed() {
    let world = World::used();
    let block = |byte| vec![byte; BLOCK as usize];
    world.memory.insert("v/00000009", ObjectHeaders::default(), block(9));
    world.memory.insert("v/00000000", ObjectHeaders::default(), block(2));
    assert!(!world.believes(&world.dear("a"), 9, 9));
    assert!(world.memory.remove("v/00000000"));
    assert!(!world.believes(&world.dear("a"), 0, 0));
    // No block 0 is a state of its own.
    assert!(world.believes(&world.dear("a"), 9, 9));
}

#[test]
fn a_map_of_another_mount_or_another_volume_is_not_believed() {
    let world = World::used();
    process(async { world.mount(&world.dear("b")).await.stack.close().await.unwrap() });
    fs::copy(world.path("a.zeros"), world.path("b.zeros")).unwrap();
    fs::remove_file(world.path("a.zeros")).unwrap();
    assert!(!world.believes(&world.dear("b"), 5, 1));

    // A copy of the bucket's objects: same session, same block 0, another place.
    for (key, object) in world.memory.objects() {
        if let Some(name) = key.strip_prefix("v/") {
            world.memory.insert(&format!("w/{name}"), object.headers, object.body);
        }
    }
    let mut elsewhere = world.dear("c");
    elsewhere.volume.prefix = "w/".into();
    fs::copy(world.path("b.zeros"), world.path("c.zeros")).unwrap();
    assert!(!world.believes(&elsewhere, 5, 1));
    assert!(world.believes(&world.dear("b"), 5, 1));
}

#[test]
fn a_damaged_file_costs_requests_and_no_mount() {
    let world = World::used();
    let path = world.path("a.zeros");
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |_| Vec::new(),
        |bytes| bytes.repeat(1000),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        fs::write(&path, damage(fs::read(&path).unwrap())).unwrap();
        assert!(!world.believes(&world.dear("a"), 5, 1), "damage {number}");
        assert!(world.believes(&world.dear("a"), 5, 1), "damage {number} was replaced");
    }
    // Nor does one that can be neither read nor replaced.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!world.believes(&world.dear("a"), 5, 1));
    assert!(!world.believes(&world.dear("a"), 5, 1));
}

#[test]
fn a_map_that_cannot_be_written_stops_no_unmount() {
    let world = World::used();
    fs::create_dir(world.path("a.zeros.new")).unwrap();
    assert!(world.believes(&world.dear("a"), 5, 1));
    assert!(!world.path("a.zeros").exists());
    assert!(!world.believes(&world.dear("a"), 5, 1));
}

#[test]
fn a_survey_that_is_affordable_or_asked_for_is_made_instead() {
    let affordable = |mut settings: Settings| {
        settings.zero_map.max_cost = 1.0;
        settings
    };
    let asked_for = |mut settings: Settings| {
        settings.zero_map.survey = SurveyMode::On;
        settings
    };
    for change in [affordable as fn(Settings) -> Settings, asked_for] {
        let world = World::used();
        // Nothing tells of this one but a listing.
        world.memory.insert("v/00000009", ObjectHeaders::default(), vec![9; BLOCK as usize]);
        process(async {
            let mount = world.mount(&change(world.dear("a"))).await;
            assert_eq!(mount.read(9).await, 9);
            while mount.stack.stats().zero_map.known_zero.get() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(mount.counts.lists.get() > 0);
            assert!(mount.knows_zeros().await);
            mount.stack.close().await.unwrap();
        });
        // What the survey found is what the next dear mount believes.
        assert!(world.believes(&world.dear("a"), 9, 9));
    }
}

#[test]
fn a_volume_without_blocks_is_known_zero_whatever_the_file_says() {
    let world = World { memory: Memory::new(), disk: tempfile::tempdir().unwrap(), away: Cell::new(false) };
    fs::write(world.path("a.zeros"), "something").unwrap();
    assert!(world.believes(&world.dear("a"), 0, 0));
    assert!(world.believes(&world.dear("a"), 0, 0));
}

#[test]
fn a_mount_that_lost_its_lock_leaves_no_map() {
    let world = World::used();
    process(async {
        let mount = world.mount(&world.dear("a")).await;
        world.memory.insert("v/s3backer-mounted", ObjectHeaders::default(), "vm\n20261122T072341Z\n");
        mount.stack.close().await.unwrap();
    });
    assert!(!world.path("a.zeros").exists());
}

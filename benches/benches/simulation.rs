//! How fast the real engine is simulated: the two hours of the vm-io trace, weightless, in virtual time, on one core.
//! The target: 200,000 requests/s at blocks of 64 KiB and more, 300,000 block operations/s at 4 KiB.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use s3b_engine::clock::{self, Instant};
use s3b_engine::cpu::Cpu;
use s3b_engine::geometry::Geometry;
use s3b_engine::memory::Memory;
use s3b_engine::payload::{Payload, Weight};
use s3b_engine::settings::{
    BlockCacheSettings, CacheSize, Location, RetrySettings, Settings, VolumeSettings, ZeroMapSettings,
};
use s3b_engine::stack::{Parts, Stack, prefill};
use s3b_engine::wrap::{Counting, Delay, Delays, Latency, Spread};
use s3b_scenarios::trace::Trace;
use s3b_scenarios::{Op, OpKind};

/// Virtual seconds for one of the trace: a paused clock ticks in whole milliseconds.
const DILATION: u32 = 1000;

const CACHE_BYTES: u64 = 1 << 30;

fn dilated(millis: u64) -> Duration {
    Duration::from_millis(millis) * DILATION
}

fn settings(block_size: u64, size: u64) -> Settings {
    Settings {
        location: Location::Memory,
        volume: VolumeSettings { size: Some(size), block_size: Some(block_size), ..VolumeSettings::default() },
        block_cache: BlockCacheSettings {
            size: CacheSize::Bytes(CACHE_BYTES),
            write_delay: dilated(250),
            ..BlockCacheSettings::default()
        },
        zero_map: ZeroMapSettings { delete_delay: dilated(20), ..ZeroMapSettings::default() },
        retry: RetrySettings {
            initial_pause: dilated(200),
            longest_backoff: dilated(30_000),
            ..RetrySettings::default()
        },
        ..Settings::default()
    }
}

fn main() {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces/vm-io/cloudPhysicsIO.vscsi.zst");
    let Ok(trace) = Trace::open(&trace) else {
        eprintln!("SKIPPED: {} is not here", trace.display());
        return;
    };
    let ops: Vec<Op> = trace.map(|op| op.unwrap()).collect();
    let only = std::env::args().filter_map(|argument| argument.parse::<u64>().ok()).next();
    let sizes = [4 << 10, 64 << 10, 1 << 20, 8 << 20];
    for block_size in sizes.into_iter().filter(|size| only.is_none_or(|only| only == *size)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        // Another clock than the engine's: how long it took for us.
        let started = cpu_time();
        let (blocks, requests) = runtime.block_on(replay(&ops, block_size));
        drop(runtime);
        let took = (cpu_time() - started).as_secs_f64();
        let speed = |count: u64| (count as f64 / took) as u64;
        println!(
            "{block_size:8} byte blocks: {took:.3} s, {} requests/s, {} block operations/s, {requests} to the store",
            speed(ops.len() as u64),
            speed(blocks)
        );
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Block operations, and requests to the store.
async fn replay(ops: &[Op], block_size: u64) -> (u64, u64) {
    let end = ops.iter().map(Op::end).max().unwrap_or(1);
    let geometry = Geometry::new(block_size, end.next_multiple_of(block_size)).unwrap();
    let settings = settings(block_size, geometry.size());
    let memory = Memory::new();
    let mut filled: Vec<_> =
        ops.iter().flat_map(|op| geometry.pieces(op.offset, op.len)).map(|piece| piece.block).collect();
    let blocks = filled.len() as u64;
    filled.sort_unstable();
    filled.dedup();
    prefill(&memory, &settings, None, geometry, filled, Weight::INCOMPRESSIBLE).unwrap();
    let delay = Delay { fixed: dilated(15), spread: Spread::Exponential(dilated(10)) };
    let slow = Latency::new(Arc::new(memory), Delays::all(delay), 1);
    let counting = Counting::new(Arc::new(slow));
    let counts = counting.counts();
    let parts = Parts {
        backend: Some(Arc::new(counting)),
        cpu: Cpu::inline(),
        payload: Payload::Weightless,
        password: None,
        access_key: None,
    };
    let stack = Stack::open(&settings, parts).await.unwrap();
    let volume = stack.volume();
    let mut scratch = Vec::new();
    let start: Instant = clock::now();
    let mut now = start;
    for op in ops {
        let at = start + Duration::from_nanos(op.time_ns) * DILATION;
        if at > now {
            clock::sleep_until(at).await;
            now = clock::now();
        }
        let (offset, len) = (op.offset, op.len);
        match op.kind {
            OpKind::Read => {
                let hit = volume.try_read(offset, len as usize, &mut scratch);
                if hit.is_none() {
                    let volume = volume.clone();
                    tokio::spawn(async move { volume.read(offset, len as usize).await.unwrap() });
                }
            }
            OpKind::Write => {
                let taken = volume.try_write_weight(offset, len, Weight::INCOMPRESSIBLE).unwrap();
                if taken < len {
                    let (volume, at, rest) = (volume.clone(), offset + taken, len - taken);
                    tokio::spawn(async move { volume.write_weight(at, rest, Weight::INCOMPRESSIBLE).await.unwrap() });
                }
            }
            _ => {}
        }
    }
    stack.close().await.unwrap();
    (blocks, counts.requests())
}

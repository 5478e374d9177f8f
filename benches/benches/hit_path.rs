//! What a hit costs inside the engine, without FUSE: the target is 1 us per 4 KiB read. Requests of 64 KiB beside those of
//! 4 KiB show what a byte costs.

use std::hint::black_box;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use s3b_engine::cpu::Cpu;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{BlockCacheSettings, CacheSize, Location, Settings, VolumeSettings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;

const SIZE: u64 = 64 << 20;
const REQUESTS: [usize; 2] = [4096, 64 << 10];

fn settings(block_size: u64) -> Settings {
    let volume = VolumeSettings { size: Some(SIZE), block_size: Some(block_size), ..VolumeSettings::default() };
    let block_cache = BlockCacheSettings { size: CacheSize::Bytes(2 * SIZE), ..BlockCacheSettings::default() };
    Settings { location: Location::Memory, volume, block_cache, ..Settings::default() }
}

fn hits(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("hit");
    for block_size in [4 << 10, 64 << 10, 1 << 20] {
        let parts =
            Parts { backend: None, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
        let stack = runtime.block_on(Stack::open(&settings(block_size), parts)).unwrap();
        let volume = stack.volume();
        runtime.block_on(async {
            for at in (0..SIZE).step_by(1 << 20) {
                volume.write(at, Bytes::from(vec![7; 1 << 20])).await.unwrap();
            }
            volume.flush().await.unwrap();
        });
        for request in REQUESTS {
            requests(&mut group, &volume, block_size, request);
        }
        runtime.block_on(stack.close()).unwrap();
    }
    group.finish();
}

fn requests(group: &mut BenchmarkGroup<'_, WallTime>, volume: &Volume, block_size: u64, request: usize) {
    group.throughput(Throughput::Bytes(request as u64));
    let kib = request >> 10;
    let mut state = 1;
    let mut somewhere = || s3b_testkit::xorshift(&mut state) % (SIZE / request as u64) * request as u64;
    let mut scratch = Vec::new();
    group.bench_function(format!("read {kib}k, {block_size} byte blocks"), |bencher| {
        bencher.iter(|| {
            let bytes = volume.try_read(somewhere(), request, &mut scratch).expect("all is in cache").unwrap();
            black_box(bytes.len())
        });
    });
    let data = vec![9; request];
    group.bench_function(format!("write {kib}k, {block_size} byte blocks"), |bencher| {
        // The cache is larger than the volume, so a write never waits.
        bencher.iter(|| assert_eq!(volume.try_write(somewhere(), &data).unwrap(), request));
    });
}

criterion_group!(benches, hits);
criterion_main!(benches);

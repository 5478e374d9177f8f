//! How fast this machine hashes, compresses and encrypts, with the engine's own code, one core at a time.
//!
//! Takes about a second of real time; keeps nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use s3b_engine::clock::{self, Instant};
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::object_blocks::{Codec, Keys};
use s3b_engine::settings::{CipherName, CodecSettings, Compression};
use s3b_scenarios::random::Random;
use serde::Serialize;
use sha2::Digest;

use crate::model::settings::{CpuRates, LevelRate};
use crate::statistics::median;

/// Block sizes measured; the engine works on whole blocks.
pub const SIZES: [usize; 2] = [64 << 10, 256 << 10];

/// Of each piece of work and size: long enough for some dozen repetitions of the slowest.
const LONG_ENOUGH: Duration = Duration::from_millis(80);

/// Bytes per second of one piece of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkRate {
    pub work: &'static str,
    /// At each of [`SIZES`].
    pub bytes_per_s: [f64; SIZES.len()],
}

const MD5: &str = "md5";
const SHA256: &str = "sha256";
const AES: &str = "aes-256";
/// What a sweep may choose from.
const LEVELS: [(&str, Compression); 4] = [
    ("zstd 1", Compression::Zstd(1)),
    ("zstd 3", Compression::Zstd(3)),
    ("zlib 1", Compression::Deflate(1)),
    ("zlib 6", Compression::Deflate(6)),
];

/// Measures all of them. Blocks the thread.
///
/// # Errors
/// The engine refuses a setting, which it should not.
pub fn measure(long_enough: Duration) -> Result<Vec<WorkRate>> {
    let blocks = SIZES.map(|size| Bytes::from(half_text(size)));
    let secret = Some("rate".to_owned().into());
    let settings = CodecSettings { encrypt: Some(CipherName::Aes256Cbc), ..CodecSettings::default() };
    let keys = Keys::from_settings(&settings, secret.as_ref(), "bucket", "")?.context("a cipher without keys")?;
    let mut rates = vec![
        rate(MD5, &blocks, long_enough, |block| _ = black_box(md5::Md5::digest(block))),
        rate(SHA256, &blocks, long_enough, |block| _ = black_box(sha2::Sha256::digest(block))),
        rate(AES, &blocks, long_enough, |block| {
            let body = keys.encrypt(BlockNumber(1), block);
            black_box(keys.hmac(BlockNumber(1), &body));
        }),
    ];
    for (work, compression) in LEVELS {
        let settings = CodecSettings { compress: Some(compression), ..CodecSettings::default() };
        let mut bytes_per_s = [0.0; SIZES.len()];
        for (at, block) in blocks.iter().enumerate() {
            let size = block.len() as u64;
            let codec = Codec::new(&settings, Geometry::new(size, size)?, None::<Arc<Keys>>)?;
            // Block 1 has no geometry headers.
            codec.encode(BlockNumber(1), block.clone())?;
            bytes_per_s[at] =
                one_rate(block, long_enough, |_| drop(black_box(codec.encode(BlockNumber(1), block.clone()))));
        }
        rates.push(WorkRate { work, bytes_per_s });
    }
    Ok(rates)
}

/// [`measure`] for as long as it takes to know, off the runtime's threads.
///
/// # Errors
/// As [`measure`].
pub async fn of_this_machine() -> Result<Vec<WorkRate>> {
    tokio::task::spawn_blocking(|| measure(LONG_ENOUGH)).await.context("measuring this machine's speed")?
}

/// Microseconds, in the median, from the call to a task whose thread sleeps until it runs. Only on a runtime of several
/// threads, such as a mount's, does this mean anything.
pub async fn wake_up_us() -> f64 {
    const CALLS: usize = 51;
    let (call, mut called) = tokio::sync::mpsc::channel::<Instant>(1);
    let sleeper = tokio::spawn(async move {
        let mut us = Vec::with_capacity(CALLS);
        while let Some(at) = called.recv().await {
            us.push(at.elapsed().as_secs_f64() * 1e6);
        }
        us
    });
    for _ in 0..CALLS {
        // Long enough for its thread to fall asleep.
        clock::sleep(Duration::from_millis(2)).await;
        // From a thread that is not of the runtime, as FUSE calls. Refused only if the task is gone, which its result tells.
        let call = call.clone();
        let _ = tokio::task::spawn_blocking(move || call.blocking_send(clock::now())).await;
    }
    drop(call);
    let us = sleeper.await.unwrap_or_default();
    median(&us).unwrap_or_else(|| CpuRates::default().wake_up_us)
}

/// As a model holds them, at 64 KiB.
pub fn cpu_rates(rates: &[WorkRate]) -> CpuRates {
    let mut cpu = CpuRates { zstd: Vec::new(), zlib: Vec::new(), ..CpuRates::default() };
    cpu.cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    for rate in rates {
        let bytes_per_s = rate.bytes_per_s[0].round();
        match rate.work {
            MD5 => cpu.md5_bytes_per_s = bytes_per_s,
            SHA256 => cpu.sha256_bytes_per_s = bytes_per_s,
            AES => cpu.aes_256_bytes_per_s = bytes_per_s,
            work => {
                for (name, compression) in LEVELS.iter().filter(|(name, _)| *name == work) {
                    let (Compression::Zstd(level) | Compression::Deflate(level)) = *compression;
                    let list = if name.starts_with("zstd") { &mut cpu.zstd } else { &mut cpu.zlib };
                    list.push(LevelRate { level, bytes_per_s });
                }
            }
        }
    }
    cpu
}

fn rate(work: &'static str, blocks: &[Bytes; SIZES.len()], long_enough: Duration, run: impl Fn(&[u8])) -> WorkRate {
    let mut bytes_per_s = [0.0; SIZES.len()];
    for (at, block) in blocks.iter().enumerate() {
        bytes_per_s[at] = one_rate(block, long_enough, &run);
    }
    WorkRate { work, bytes_per_s }
}

/// The fastest of the repetitions: what disturbs can only make it slower.
fn one_rate(block: &[u8], long_enough: Duration, run: impl Fn(&[u8])) -> f64 {
    let begin = clock::now();
    let mut fastest = f64::INFINITY;
    while begin.elapsed() < long_enough || fastest == f64::INFINITY {
        let start = clock::now();
        run(block);
        let took = start.elapsed().as_secs_f64();
        if took > 0.0 {
            fastest = fastest.min(took);
        }
    }
    block.len() as f64 / fastest
}

/// Every other 4 KiB is noise, the rest words: neither a best nor a worst case.
fn half_text(len: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    let words = ["block ", "of the ", "bucket ", "and ", "every ", "sector ", "write ", "\n", "disk ", "0x00 "];
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        if bytes.len() / 4096 % 2 == 0 {
            bytes.extend(random.bits().to_le_bytes());
        } else {
            bytes.extend(words[random.below(words.len() as u64) as usize].bytes());
        }
    }
    bytes.truncate(len);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn waking_a_thread_takes_a_time_that_was_measured() {
        let us = wake_up_us().await;
        assert!(us.is_finite() && us > 0.0, "{us}");
        assert_ne!(us, CpuRates::default().wake_up_us, "what stands for it where nothing was measured");
    }

    #[test]
    fn every_kind_of_work_has_a_rate_that_a_model_can_hold() {
        let rates = measure(Duration::from_millis(1)).unwrap();
        assert_eq!(rates.len(), 3 + LEVELS.len());
        assert!(
            rates.iter().all(|rate| rate.bytes_per_s.iter().all(|rate| rate.is_finite() && *rate > 1e5)),
            "{rates:?}"
        );
        let mut model = crate::model::shipped::standard();
        model.cpu = cpu_rates(&rates);
        model.check().unwrap();
        assert_eq!(model.cpu.zlib.iter().map(|rate| rate.level).collect::<Vec<_>>(), [1, 6]);
        assert_eq!(model.cpu.md5_bytes_per_s, rates[0].bytes_per_s[0].round());
    }
}

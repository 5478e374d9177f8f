//! What a mount's settings mean for this machine and its link. Pure: settings and a model in, checks out.

use s3b_engine::settings::parse::{show_duration, show_size};
use s3b_engine::settings::{Settings, VolumeSettings};

use super::{Check, configuration};
use crate::caching::{cache_memory, pointless};
use crate::model::StoreModel;
use crate::simulate::within_speeds;

/// A cache of more than this share of the memory leaves too little for whoever uses the disk.
const LARGE_SHARE: f64 = 0.5;

/// All of them; `memory` are the bytes of this machine's.
pub fn checks(settings: &Settings, model: &StoreModel, memory: u64) -> Vec<Check> {
    vec![
        cache(settings, memory),
        threads(settings),
        timeout(settings, model),
        configuration::storage_class(settings.s3.storage_class.as_deref()),
    ]
}

fn cache(settings: &Settings, memory: u64) -> Check {
    let name = "cache memory";
    let cache = cache_memory(settings, memory);
    let found = format!("{} of this machine's {}", show_size(&cache), show_size(&(memory >> 20 << 20)));
    let advice = || format!("--block-cache-size={}", show_size(&((memory / 4) >> 20 << 20)));
    if cache >= memory {
        Check::fail(name, found, advice())
    } else if cache as f64 > memory as f64 * LARGE_SHARE {
        Check::warn(name, found, advice())
    } else {
        Check::ok(name, found)
    }
}

fn threads(settings: &Settings) -> Check {
    match pointless(settings) {
        Some(why) => Check::warn("threads", why, "fewer --block-cache-threads, or a larger --block-cache-size"),
        None => Check::ok("threads", settings.block_cache.threads.to_string()),
    }
}

/// One block within `--timeout`, alone on the link and with all threads busy.
fn timeout(settings: &Settings, model: &StoreModel) -> Check {
    let name = "timeout";
    let network = within_speeds(model, settings).network;
    let block_size = settings.volume.block_size.unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
    let seconds =
        |connection: f64, link: f64, threads: u32| block_size as f64 / connection.min(link / f64::from(threads.max(1)));
    let both = |threads| {
        let up = seconds(network.connection_up_bytes_per_s, network.link_up_bytes_per_s, threads);
        up.max(seconds(network.connection_down_bytes_per_s, network.link_down_bytes_per_s, threads))
    };
    let (alone, busy) = (both(1), both(settings.block_cache.threads));
    let shown = show_duration(&settings.s3.timeout);
    let enough = |seconds: f64| format!("--timeout={:.0}s", (seconds * 2.0).ceil());
    let allowed = settings.s3.timeout.as_secs_f64();
    let block = show_size(&block_size);
    if alone > allowed {
        let found = format!("a block of {block} takes {alone:.1} s on this link, and {shown} are allowed");
        Check::fail(name, found, format!("{}, or a smaller --block-size", enough(alone)))
    } else if busy > allowed {
        let threads = settings.block_cache.threads;
        let found =
            format!("with {threads} threads busy a block of {block} takes {busy:.1} s, and {shown} are allowed");
        Check::warn(name, found, format!("{}, or fewer --block-cache-threads", enough(busy)))
    } else {
        Check::ok(name, format!("{shown}; a block of {block} takes {busy:.2} s with all threads busy"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3b_engine::settings::CacheSize;

    use super::super::Verdict;
    use super::*;
    use crate::model::shipped;

    #[test]
    fn memory_threads_and_link_set_bounds() {
        let (model, memory) = (shipped::standard(), 8 << 30);
        let mut settings = Settings::default();
        assert!(checks(&settings, &model, memory).iter().all(|check| check.verdict == Verdict::Ok));
        let sizes = [6 << 30, 9 << 30].map(|bytes| {
            settings.block_cache.size = CacheSize::Bytes(bytes);
            cache(&settings, memory).verdict
        });
        assert_eq!(sizes, [Verdict::Warn, Verdict::Fail]);
        settings.block_cache.size = CacheSize::Blocks(4);
        assert_eq!(threads(&settings).verdict, Verdict::Warn);
        // 256 KiB at 100 kB/s take 2.6 s alone, and 84 s beside 31 others.
        settings.s3.total_upload_speed = Some(800_000);
        let verdicts = [1, 30, 100].map(|seconds| {
            settings.s3.timeout = Duration::from_secs(seconds);
            timeout(&settings, &model)
        });
        let expected = [Verdict::Fail, Verdict::Warn, Verdict::Ok];
        assert_eq!(verdicts.each_ref().map(|check| check.verdict), expected, "{verdicts:?}");
        assert!(verdicts[0].advice.contains("--timeout=6s"), "{}", verdicts[0].advice);
    }
}

//! Time, stretched: tokio's paused timers tick in whole milliseconds, so a simulation runs on a clock a thousand times as
//! slow. Every duration is multiplied on the way in, every measured time divided on the way out; a tick is then a
//! microsecond, and the engine does not know.
//!
//! Knows which of the settings are durations, never what they mean.

use std::time::Duration;

use s3b_engine::clock::{self, Instant};
use s3b_engine::settings::Settings;

/// Virtual time passes this much slower than the time it stands for.
pub const DILATION: u32 = 1000;

/// What a timer can tell apart, in the time it stands for.
pub const TICK: Duration = Duration::from_micros(1);

/// A duration as the simulated engine must see it. Beyond what a duration can hold (17 million years) it stays there.
pub fn stretched(time: Duration) -> Duration {
    time.saturating_mul(DILATION)
}

/// What a stretch of virtual time stands for.
pub fn shrunk(time: Duration) -> Duration {
    time / DILATION
}

/// `ns` nanoseconds after `start`, on the next tick.
pub fn tick_after(start: Instant, ns: u64) -> Instant {
    start + Duration::from_millis(ns.div_ceil(1000))
}

/// The time that has passed since `start`, undilated.
pub fn since(start: Instant) -> Duration {
    shrunk(clock::now().saturating_duration_since(start))
}

/// The settings with every duration stretched.
#[must_use]
pub fn stretched_settings(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let Settings { volume, s3, retry, zero_map, md5_cache, block_cache, .. } = &mut settings;
    let durations = [
        &mut volume.lock_settle,
        &mut s3.idle_timeout,
        &mut s3.connect_timeout,
        &mut s3.timeout,
        &mut retry.initial_pause,
        &mut retry.longest_backoff,
        &mut retry.mount_patience,
        &mut zero_map.delete_delay,
        &mut md5_cache.time,
        &mut md5_cache.min_write_delay,
        &mut block_cache.write_delay,
        &mut block_cache.timeout,
    ];
    for duration in durations.into_iter().chain(&mut retry.max_pause) {
        *duration = stretched(*duration);
    }
    settings
}

#[cfg(test)]
mod tests {
    use s3b_engine::settings::flags::engine;
    use serde_json::Value;

    use super::*;

    /// Every duration in some settings, by its path.
    fn durations(value: &Value, path: &str, found: &mut Vec<(String, Duration)>) {
        let Value::Object(fields) = value else { return };
        if let (2, Some(secs), Some(nanos)) = (fields.len(), fields.get("secs"), fields.get("nanos")) {
            let time = Duration::new(secs.as_u64().unwrap(), nanos.as_u64().unwrap() as u32);
            found.push((path.to_owned(), time));
        }
        fields.iter().for_each(|(name, field)| durations(field, &format!("{path}/{name}"), found));
    }

    fn durations_of(settings: &Settings) -> Vec<(String, Duration)> {
        let mut found = Vec::new();
        durations(&serde_json::to_value(settings).unwrap(), "", &mut found);
        found
    }

    #[test]
    fn no_duration_of_the_settings_or_of_any_flag_is_forgotten() {
        let mut variants = vec![Settings::default()];
        for flag in engine() {
            let mut settings = Settings::default();
            if flag.set(&mut settings, "7s").is_ok() {
                variants.push(settings);
            }
        }
        let mut most = 0;
        for settings in &variants {
            let (before, after) = (durations_of(settings), durations_of(&stretched_settings(settings)));
            most = most.max(before.len());
            for ((path, before), (_, after)) in before.iter().zip(&after) {
                assert_eq!(stretched(*before), *after, "{path} is not stretched");
            }
            assert_eq!(before.len(), after.len());
        }
        assert!(most >= 13, "durations are no longer written as secs and nanos: {most} found");
        let set = |name: &str| {
            variants
                .iter()
                .any(|s| durations_of(s).iter().any(|(path, t)| path.contains(name) && *t == Duration::from_secs(7)))
        };
        for name in ["write-delay", "delete-delay", "min-write-delay", "max-pause", "timeout"] {
            assert!(set(name) || name == "delete-delay", "no flag reaches {name}: is the table still walked?");
        }
    }

    #[test]
    fn times_end_on_ticks_and_come_back_as_they_were() {
        let start = clock::now();
        assert_eq!(tick_after(start, 1) - start, stretched(TICK));
        assert_eq!(tick_after(start, 2000) - start, stretched(2 * TICK));
        assert_eq!(shrunk(stretched(Duration::from_nanos(123_456))), Duration::from_nanos(123_456));
        assert_eq!(stretched(Duration::MAX), Duration::MAX);
    }
}

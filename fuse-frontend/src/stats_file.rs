//! The text of the stats file: s3backer's names, format and order, then our own counters.
//!
//! Pure: counters in, text out. Also the mirror, which copies the text to a path at intervals.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use s3b_engine::clock;
use s3b_engine::settings::{CacheSize, Settings};
use s3b_engine::stats::{Counter, Stats, TimeCounter};

use crate::record::Counts;

/// Which sections the mount has.
#[derive(Clone, Debug)]
pub struct Sections {
    /// A network store; s3backer shows no http section in test mode.
    pub http: bool,
    pub block_cache: bool,
    pub md5_cache: bool,
    /// Of `--record`.
    pub recording: Option<Arc<Counts>>,
}

impl Sections {
    pub fn of(settings: &Settings, recording: Option<Arc<Counts>>) -> Self {
        Self {
            http: matches!(settings.location, s3b_engine::settings::Location::Bucket(_)),
            block_cache: !matches!(settings.block_cache.size, CacheSize::Blocks(0) | CacheSize::Bytes(0)),
            md5_cache: settings.md5_cache.size > 0,
            recording,
        }
    }
}

struct Text(String);

impl Text {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name:<28} {value}");
    }

    fn count(&mut self, name: &str, counter: &Counter) {
        self.line(name, counter.get());
    }

    fn blocks(&mut self, name: &str, counter: &Counter) {
        self.line(name, format_args!("{} blocks", counter.get()));
    }

    fn seconds(&mut self, name: &str, counter: &TimeCounter) {
        self.line(name, format_args!("{:.3} sec", counter.get().as_secs_f64()));
    }

    fn average(&mut self, name: &str, total: &TimeCounter, count: &Counter) {
        let average = total.get().as_secs_f64() / count.get().max(1) as f64;
        self.line(name, format_args!("{average:.3} sec"));
    }

    fn ratio(&mut self, name: &str, part: u64, whole: u64) {
        self.line(name, format_args!("{:.8}", share(part, whole)));
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The whole text.
pub fn text(stats: &Stats, sections: &Sections) -> String {
    let mut out = Text(String::with_capacity(4096));
    if sections.http {
        http(&mut out, stats);
    }
    if sections.block_cache {
        block_cache(&mut out, stats);
    }
    let zero = &stats.zero_map;
    out.blocks("zero_block_cache_size", &zero.known_zero);
    out.count("zero_block_cache_read_hits", &zero.read_hits);
    out.count("zero_block_cache_write_hits", &zero.write_hits);
    if sections.md5_cache {
        let md5 = &stats.md5_cache;
        out.blocks("md5_cache_current_size", &md5.current_size);
        out.count("md5_cache_data_hits", &md5.data_hits);
        out.seconds("md5_cache_full_delays", &md5.full_delays);
        out.seconds("md5_cache_write_delays", &md5.write_delays);
    }
    // Running out of memory ends the process here; s3backer's readers expect the line.
    out.line("out_of_memory_errors", 0);
    ours(&mut out, stats, sections);
    out.0
}

fn http(out: &mut Text, stats: &Stats) {
    let http = &stats.http;
    out.count("http_normal_blocks_read", &http.normal_blocks_read);
    out.count("http_normal_blocks_written", &http.normal_blocks_written);
    out.count("http_zero_blocks_read", &http.zero_blocks_read);
    out.count("http_zero_blocks_written", &http.zero_blocks_written);
    out.count("http_gets", &http.gets);
    out.count("http_puts", &http.puts);
    out.count("http_deletes", &http.deletes);
    out.average("http_avg_get_time", &http.get_time, &http.gets);
    out.average("http_avg_put_time", &http.put_time, &http.puts);
    out.average("http_avg_delete_time", &http.delete_time, &http.deletes);
    out.count("http_unauthorized", &http.unauthorized);
    out.count("http_forbidden", &http.forbidden);
    out.count("http_stale", &http.stale);
    out.count("http_redirect", &http.redirect);
    out.count("http_verified", &http.verified);
    out.count("http_mismatch", &http.mismatch);
    out.count("http_5xx_error", &http.error_5xx);
    out.count("http_4xx_error", &http.error_4xx);
    out.count("http_3xx_error", &http.error_3xx);
    out.count("http_other_error", &http.other_error);
    // Writes in flight are never cancelled here.
    out.line("http_canceled_writes", 0);
    out.count("http_num_retries", &http.num_retries);
    out.seconds("http_total_retry_delay", &http.total_retry_delay);
    let requests = http.gets.get() + http.puts.get() + http.deletes.get() + http.heads.get() + http.lists.get();
    let reused = requests.saturating_sub(http.connections.get());
    out.line("curl_handle_reuse_ratio", format_args!("{:.4}", share(reused, requests)));
    out.count("curl_timeouts", &http.timeouts);
    out.count("curl_connect_failed", &http.connect_failed);
    out.count("curl_host_unknown", &http.host_unknown);
    out.line("curl_out_of_memory", 0);
    out.count("curl_other_error", &http.other_connection_error);
}

fn block_cache(out: &mut Text, stats: &Stats) {
    let cache = &stats.block_cache;
    let (read_hits, read_misses) = (cache.read_hits.get(), cache.read_misses.get());
    let (write_hits, write_misses) = (cache.write_hits.get(), cache.write_misses.get());
    out.blocks("block_cache_current_size", &cache.current_size);
    out.blocks("block_cache_initial_size", &cache.initial_size);
    out.ratio("block_cache_dirty_ratio", cache.dirty.get(), cache.capacity.get());
    out.line("block_cache_read_hits", read_hits);
    out.line("block_cache_read_misses", read_misses);
    out.ratio("block_cache_read_hit_ratio", read_hits, read_hits + read_misses);
    out.line("block_cache_write_hits", write_hits);
    out.line("block_cache_write_misses", write_misses);
    out.ratio("block_cache_write_hit_ratio", write_hits, write_hits + write_misses);
    out.count("block_cache_verified", &cache.verified);
    out.count("block_cache_mismatch", &cache.mismatch);
}

/// What s3backer does not count.
fn ours(out: &mut Text, stats: &Stats, sections: &Sections) {
    let http = &stats.http;
    out.count("s3b_heads", &http.heads);
    out.count("s3b_lists", &http.lists);
    out.count("s3b_bulk_deletes", &http.bulk_deletes);
    out.count("s3b_bytes_got", &http.get_bytes);
    out.count("s3b_bytes_put", &http.put_bytes);
    out.count("s3b_connections", &http.connections);
    out.count("s3b_batched_deletes", &stats.zero_map.batched_deletes);
    if sections.block_cache {
        let cache = &stats.block_cache;
        out.blocks("s3b_cache_capacity", &cache.capacity);
        out.blocks("s3b_cache_dirty", &cache.dirty);
        out.count("s3b_cache_stores", &cache.stores);
        out.count("s3b_cache_store_errors", &cache.store_errors);
        out.count("s3b_cache_flushes", &cache.flushes);
        out.count("s3b_cache_merge_reads", &cache.merge_reads);
        out.count("s3b_cache_read_ahead_reads", &cache.read_ahead_reads);
        out.count("s3b_cache_read_ahead_used", &cache.read_ahead_used);
        out.count("s3b_cache_zero_stores", &cache.zero_stores);
        out.count("s3b_cache_zero_reads", &cache.zero_reads);
        out.count("s3b_cache_most_at_risk_bytes", &cache.most_at_risk);
        out.count("s3b_cache_evictions", &cache.evictions);
        out.count("s3b_cache_pressure_waits", &cache.pressure_waits);
        out.count("s3b_cache_copied_bytes", &cache.copied_bytes);
    }
    if let Some(recording) = &sections.recording {
        out.count("s3b_recorded_ops", &recording.ops);
        out.count("s3b_recorded_bytes", &recording.bytes);
        out.count("s3b_record_dropped_ops", &recording.dropped);
        out.count("s3b_record_full", &recording.full);
    }
}

/// Copies the stats to `path` every `interval`, until dropped or an error stops it. A file that vanished between two
/// rounds resets the counters, as in s3backer.
pub async fn mirror(stats: Arc<Stats>, sections: Sections, path: PathBuf, interval: Duration) {
    let mut written = false;
    loop {
        if written && !path.exists() {
            stats.reset();
        }
        let text = text(&stats, &sections);
        let target = path.clone();
        let done = tokio::task::spawn_blocking(move || replace(&target, &text)).await;
        if let Ok(Err(e)) = done {
            tracing::error!("--stats-file-mirror={}: {e}; the mirror stops here", path.display());
            return;
        }
        written = true;
        clock::sleep(interval).await;
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sections = Sections { http: true, block_cache: true, md5_cache: true, recording: None };

    #[test]
    fn names_format_and_order_are_s3backers() {
        let stats = Stats::default();
        stats.http.gets.add(4);
        stats.http.get_time.add(Duration::from_millis(100));
        stats.block_cache.read_hits.add(3);
        stats.block_cache.read_misses.add(1);
        let text = text(&stats, &ALL);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "http_normal_blocks_read      0");
        assert_eq!(lines[4], "http_gets                    4");
        assert_eq!(lines[7], "http_avg_get_time            0.025 sec");
        assert!(text.contains("block_cache_read_hit_ratio   0.75000000\n"));
        assert!(text.contains("block_cache_current_size     0 blocks\n"));
        assert!(text.contains("curl_handle_reuse_ratio      1.0000\n"));
        let at = |name: &str| lines.iter().position(|l| l.starts_with(name)).unwrap();
        let order = ["http_gets", "curl_other_error", "block_cache_current_size", "zero_block_cache_size"];
        let order = order.into_iter().chain(["md5_cache_current_size", "out_of_memory_errors", "s3b_heads"]);
        assert!(order.map(at).is_sorted());
    }

    #[test]
    fn sections_that_do_not_exist_are_left_out() {
        let none = Sections { http: false, block_cache: false, md5_cache: false, recording: None };
        let text = text(&Stats::default(), &none);
        assert!(text.starts_with("zero_block_cache_size"));
        assert!(!text.contains("http_gets") && !text.contains("md5_cache") && !text.contains("\nblock_cache_"));
        assert!(!text.contains("record"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_mirror_is_written_anew_at_each_interval() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.txt");
        let stats = Arc::new(Stats::default());
        let mirrored = || std::fs::read_to_string(&path).unwrap().contains("http_puts                    7\n");
        let task = tokio::spawn(mirror(stats.clone(), ALL, path.clone(), Duration::from_secs(60)));
        clock::sleep(Duration::from_secs(1)).await;
        stats.http.puts.add(7);
        clock::sleep(Duration::from_secs(58)).await;
        assert!(!mirrored());
        clock::sleep(Duration::from_secs(2)).await;
        assert!(mirrored());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_vanished_mirror_resets_the_counters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.txt");
        let stats = Arc::new(Stats::default());
        stats.http.puts.add(7);
        let interval = Duration::from_secs(1);
        let task = tokio::spawn(mirror(stats.clone(), ALL, path.clone(), interval));
        while !path.exists() {
            clock::sleep(interval / 10).await;
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("http_puts                    7\n"));
        std::fs::remove_file(&path).unwrap();
        while stats.http.puts.get() != 0 {
            clock::sleep(interval).await;
        }
        task.abort();
    }
}

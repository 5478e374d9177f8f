//! The check of the disk that a cache file lies on, where one is named.

use std::path::Path;

use super::Check;
use crate::disk::{self, Found};

/// Above this many milliseconds a flush to the journal, which waits for two syncs, takes longer than one to S3.
const SLOW_SYNC_MS: f64 = 20.0;

/// Writes, syncs and reads a file without a name beside it, for some seconds. Blocks the thread.
pub fn check(cache_file: &Path) -> Check {
    let folder = disk::folder_of(cache_file);
    match disk::measure(&folder) {
        Ok(found) => judged(&found),
        Err(error) => Check::fail(NAME, format!("{error:#}"), "make the directory, or name another --block-cache-file"),
    }
}

const NAME: &str = "cache file's disk";

fn judged(found: &Found) -> Check {
    let text = found.rates.describe();
    if found.in_memory {
        let advice =
            "name a --block-cache-file on a disk: with --durability=journal it is the only copy of what was flushed";
        return Check::warn(NAME, format!("{text}; it is memory, nothing in it survives a restart"), advice);
    }
    if found.rates.sync_ms > SLOW_SYNC_MS {
        let advice = "with --durability=journal every flush waits for two syncs; use an SSD, or --durability=store";
        return Check::warn(NAME, text, advice);
    }
    Check::ok(NAME, text)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::model::DiskRates;

    #[test]
    fn memory_slow_disks_and_missing_folders_are_warned_about() {
        let verdict = |sync_ms, in_memory| {
            judged(&Found { rates: DiskRates { sync_ms, ..DiskRates::default() }, in_memory }).verdict
        };
        let all = [verdict(2.0, false), verdict(2.0, true), verdict(40.0, false)];
        assert_eq!(all, [Verdict::Ok, Verdict::Warn, Verdict::Warn]);
        let missing = check(Path::new("/no/such/folder/disk1"));
        assert!(missing.verdict == Verdict::Fail && missing.found.contains("/no/such/folder"), "{missing:?}");
    }
}

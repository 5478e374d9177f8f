//! The disk that a cache file lies on, as a model knows it: four numbers. Draws nothing, measures nothing.

use std::time::Duration;

use s3b_engine::block_cache::disk::DiskTimes;
use serde::{Deserialize, Serialize};

use super::settings::{not_negative, positive};

/// What `durability = journal` waits for, and what reads of blocks take that only the cache file has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskRates {
    /// Whether anybody measured this.
    pub measured: bool,
    /// Milliseconds of an fdatasync, without the transfer of what it makes durable.
    #[serde(deserialize_with = "not_negative")]
    pub sync_ms: f64,
    #[serde(deserialize_with = "positive")]
    pub write_bytes_per_s: f64,
    /// Milliseconds of a read, without its transfer.
    #[serde(deserialize_with = "not_negative")]
    pub read_ms: f64,
    #[serde(deserialize_with = "positive")]
    pub read_bytes_per_s: f64,
}

impl Default for DiskRates {
    /// Of the order of SATA and cloud SSDs. Drives that keep their cache at a power failure sync in a tenth of it, others in
    /// up to ten times as long: an assumption until `doctor` or `sweep` is given `--block-cache-file` and measures.
    fn default() -> Self {
        Self { measured: false, sync_ms: 2.0, write_bytes_per_s: 400e6, read_ms: 0.2, read_bytes_per_s: 500e6 }
    }
}

impl DiskRates {
    /// Times on a clock that takes `dilation` seconds for one.
    pub fn times(&self, dilation: u32) -> DiskTimes {
        // Nobody waits a day for a disk, and no clock overflows.
        let stretched = |ms: f64| Duration::from_secs_f64((ms / 1e3).min(86_400.0)) * dilation;
        DiskTimes {
            sync: stretched(self.sync_ms),
            write_bytes_per_s: self.write_bytes_per_s / f64::from(dilation),
            read: stretched(self.read_ms),
            read_bytes_per_s: self.read_bytes_per_s / f64::from(dilation),
        }
    }

    /// Half a sentence for a person.
    pub fn describe(&self) -> String {
        format!(
            "{:.2} ms for a sync, {:.0} MB/s written, {:.2} ms for a read, {:.0} MB/s read",
            self.sync_ms,
            self.write_bytes_per_s / 1e6,
            self.read_ms,
            self.read_bytes_per_s / 1e6
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::StoreModel;
    use crate::model::{shipped, text};

    #[test]
    fn a_model_without_a_disk_has_a_typical_one_and_a_wrong_one_is_named() {
        assert_eq!(shipped::standard().disk, DiskRates::default());
        let written = text::write(&shipped::standard(), &[]);
        for (from, to, parts) in [
            ("sync-ms = ", "sync-ms = -1 # ", ["line", "sync-ms", "-1"]),
            ("write-bytes-per-s = ", "write-bytes-per-s = 0.0 # ", ["line", "write-bytes-per-s", "above zero"]),
        ] {
            let at = written.find("[disk]").expect("a written model says what its disk is like");
            let (head, disk) = written.split_at(at);
            let wrong = format!("{head}{}", disk.replacen(from, to, 1));
            let message = format!("{:#}", StoreModel::parse(&wrong).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)), "{to}: {message}");
        }
        let mut model = shipped::standard();
        model.disk.read_ms = f64::NAN;
        assert!(model.check().unwrap_err().to_string().contains("disk.read-ms"));
    }
}

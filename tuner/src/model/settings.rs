//! The numbers of a model, as a person reads and edits them: a TOML file, measured by `probe` or shipped.
//!
//! Reads and checks; draws nothing. What is wrong is named with its key, its line where the parser knows it, and what
//! would work.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::disk::DiskRates;
use super::numbers::{are_quantiles, is_not_negative, is_positive, not_negative, positive, quantiles};

/// What the first line of a model file must say.
pub const SCHEMA: &str = "s3b-model/1";

/// Percentiles that `probe` writes. Close together where a few outliers would else lift all between the points.
pub const PERCENTS: [f64; 15] =
    [0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.0, 98.0, 99.0, 99.5, 99.9, 100.0];

/// The kinds of requests a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Get,
    Head,
    Put,
    Delete,
    BulkDelete,
    List,
}

impl Operation {
    pub const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Put, Self::Delete, Self::BulkDelete, Self::List];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::BulkDelete => "bulk-delete",
            Self::List => "list",
        }
    }

    /// Counted against the limit of PUTs; the others against that of GETs.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::BulkDelete)
    }
}

/// A store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreModel {
    /// [`SCHEMA`].
    pub schema: String,
    /// For reports: `s3-standard`, or the bucket.
    pub name: String,
    /// Percentiles of every `ms` list below: rising, from 0 to 100.
    pub percents: Vec<f64>,
    pub origin: Origin,
    #[serde(default)]
    pub price: Price,
    pub network: Network,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub slow_periods: SlowPeriods,
    #[serde(default)]
    pub cpu: CpuRates,
    #[serde(default)]
    pub disk: DiskRates,
    /// Times of requests, without the transfer of their bodies.
    pub service: Vec<Cell>,
}

/// Where the numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Origin {
    /// Whether anybody measured this.
    pub measured: bool,
    /// The store and the machine it was measured from, or the source of the ranges.
    #[serde(rename = "where")]
    pub place: String,
    /// Date, or date and time.
    pub when: String,
}

/// Which line of the price table this store is billed by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Price {
    pub class: String,
    /// Whether it is read from inside its region, so that downloads cost no transfer.
    #[serde(default)]
    pub in_region: bool,
}

impl Default for Price {
    fn default() -> Self {
        Self { class: "s3-standard".into(), in_region: false }
    }
}

/// Bytes per second, and what opening a connection takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// Milliseconds of a first request on a new connection on top of its own: TCP, and TLS.
    #[serde(default, deserialize_with = "not_negative")]
    pub connection_set_up_ms: f64,
    /// Of one connection, to the store.
    #[serde(deserialize_with = "positive")]
    pub connection_up_bytes_per_s: f64,
    #[serde(deserialize_with = "positive")]
    pub connection_down_bytes_per_s: f64,
    /// Of all connections together.
    #[serde(deserialize_with = "positive")]
    pub link_up_bytes_per_s: f64,
    #[serde(deserialize_with = "positive")]
    pub link_down_bytes_per_s: f64,
}

/// Request rates above which the store answers 503 SlowDown. A bulk delete counts once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// PUT and DELETE; none: no limit.
    pub put: Option<RateLimit>,
    /// GET, HEAD and LIST.
    pub get: Option<RateLimit>,
}

/// A token bucket: filled at `per-s`, holding at most `burst`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateLimit {
    #[serde(deserialize_with = "positive")]
    pub per_s: f64,
    /// Requests; at least 1.
    #[serde(deserialize_with = "positive")]
    pub burst: f64,
}

/// Times in which every request takes longer, at random moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SlowPeriods {
    /// How many begin in an hour, on average; 0: none.
    #[serde(deserialize_with = "not_negative")]
    pub per_hour: f64,
    #[serde(deserialize_with = "not_negative")]
    pub duration_s: f64,
    /// Service times are multiplied by it.
    #[serde(deserialize_with = "positive")]
    pub factor: f64,
}

impl Default for SlowPeriods {
    fn default() -> Self {
        Self { per_hour: 0.0, duration_s: 0.0, factor: 1.0 }
    }
}

/// What computing costs on the machine that mounts, bytes per second of one core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CpuRates {
    pub cores: u32,
    /// Microseconds of one core for a request without its body: client, signature, connection.
    #[serde(deserialize_with = "not_negative")]
    pub request_us: f64,
    /// Microseconds from a call to a sleeping thread until it runs.
    #[serde(deserialize_with = "not_negative")]
    pub wake_up_us: f64,
    /// Of a request's body, either way, through the client and the kernel, and through TLS if it was measured with it; hashing
    /// comes on top.
    #[serde(deserialize_with = "positive")]
    pub body_bytes_per_s: f64,
    #[serde(deserialize_with = "positive")]
    pub md5_bytes_per_s: f64,
    #[serde(deserialize_with = "positive")]
    pub sha256_bytes_per_s: f64,
    /// AES-256-CBC with its HMAC, encrypting.
    #[serde(deserialize_with = "positive")]
    pub aes_256_bytes_per_s: f64,
    /// Compression, by level.
    pub zstd: Vec<LevelRate>,
    pub zlib: Vec<LevelRate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LevelRate {
    pub level: i32,
    #[serde(deserialize_with = "positive")]
    pub bytes_per_s: f64,
}

impl Default for CpuRates {
    /// Measured on two 2.x GHz cores of a cloud machine with this engine's own libraries, without TLS; `probe` measures yours
    /// (`request_us` and `body_bytes_per_s` are from `cpu client` of the benches, docs/PERFORMANCE.md).
    fn default() -> Self {
        let rate = |level, megabytes: f64| LevelRate { level, bytes_per_s: megabytes * 1e6 };
        Self {
            cores: 2,
            request_us: 45.0,
            wake_up_us: 50.0,
            body_bytes_per_s: 2.2e9,
            md5_bytes_per_s: 650e6,
            sha256_bytes_per_s: 1.8e9,
            aes_256_bytes_per_s: 400e6,
            zstd: vec![rate(1, 430.0), rate(3, 250.0)],
            zlib: vec![rate(1, 350.0), rate(6, 70.0)],
        }
    }
}

impl CpuRates {
    /// Bytes per second at a level: that of the nearest level known, `None` where no level is.
    pub fn at_level(rates: &[LevelRate], level: i32) -> Option<f64> {
        rates.iter().min_by_key(|rate| (rate.level - level).unsigned_abs()).map(|rate| rate.bytes_per_s)
    }
}

/// Empirical times of one operation, at one size and one concurrency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cell {
    pub operation: Operation,
    /// Bytes of the body of a GET or PUT; keys of a bulk delete or a page of a listing; 0 for the others.
    #[serde(default)]
    pub size: u64,
    /// Requests in flight, this one included.
    pub concurrency: u32,
    /// How many requests the quantiles rest on; 0: nobody measured.
    #[serde(default)]
    pub samples: u64,
    /// Milliseconds at each of `percents`: to the first byte of a GET's answer; of the others, all but the body's transfer.
    #[serde(deserialize_with = "quantiles")]
    pub ms: Vec<f64>,
}

impl Cell {
    /// For messages and comments: `get of 65536 at 8`.
    pub fn title(&self) -> String {
        format!("{} of {} at {}", self.operation.name(), self.size, self.concurrency)
    }
}

impl StoreModel {
    /// # Errors
    /// Names the file, the line where the parser knows it, the key, and what belongs there.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("model {name}: cannot be read"))?;
        Self::parse(&text).with_context(|| format!("model {name}"))
    }

    /// # Errors
    /// As [`StoreModel::load`], without the file.
    pub fn parse(text: &str) -> Result<Self> {
        // First, because the keys of another version would all be unknown.
        let table: toml::Table = text.parse()?;
        match table.get("schema").map(|schema| schema.as_str().unwrap_or("?")) {
            Some(SCHEMA) => {}
            Some(other) => {
                bail!("schema = {other:?}: this program reads {SCHEMA:?}; measure anew with s3b-tuner probe")
            }
            None => bail!("no `schema = {SCHEMA:?}`: is this a model?"),
        }
        let model: Self = toml::from_str(text)?;
        model.check()?;
        Ok(model)
    }

    /// What the parser cannot see, and all that it can, for models made otherwise.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<()> {
        ensure!(self.schema == SCHEMA, "schema = {:?}: only {SCHEMA:?} is known", self.schema);
        are_quantiles(&self.percents).map_err(|why| anyhow::anyhow!("percents: {why}"))?;
        let ends = (self.percents.first(), self.percents.last());
        ensure!(
            ends == (Some(&0.0), Some(&100.0)) && self.percents.windows(2).all(|pair| pair[0] < pair[1]),
            "percents: {:?} must rise from 0 to 100, like [0, 50, 99, 100]",
            self.percents
        );
        self.check_numbers().map_err(|why| anyhow::anyhow!(why))?;
        for (index, cell) in self.service.iter().enumerate() {
            let at = || format!("service[{index}] ({})", cell.title());
            are_quantiles(&cell.ms).map_err(|why| anyhow::anyhow!("{}: ms: {why}", at()))?;
            let (values, wanted) = (cell.ms.len(), self.percents.len());
            ensure!(values == wanted, "{}: ms has {values} values for {wanted} percents", at());
            ensure!(cell.concurrency > 0, "{}: concurrency = 0; the least is 1", at());
            let same = |other: &Cell| {
                (other.operation, other.size, other.concurrency) == (cell.operation, cell.size, cell.concurrency)
            };
            ensure!(!self.service[..index].iter().any(same), "{}: is there twice", at());
        }
        for needed in [Operation::Get, Operation::Put] {
            let there = self.service.iter().any(|cell| cell.operation == needed);
            ensure!(
                there,
                "service: no cell with operation = {:?}; there must be one of get and of put",
                needed.name()
            );
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), String> {
        let (network, slow, cpu, disk) = (&self.network, &self.slow_periods, &self.cpu, &self.disk);
        let mut above = vec![
            ("network.connection-up-bytes-per-s", network.connection_up_bytes_per_s),
            ("network.connection-down-bytes-per-s", network.connection_down_bytes_per_s),
            ("network.link-up-bytes-per-s", network.link_up_bytes_per_s),
            ("network.link-down-bytes-per-s", network.link_down_bytes_per_s),
            ("slow-periods.factor", slow.factor),
            ("cpu.cores", f64::from(cpu.cores)),
            ("cpu.body-bytes-per-s", cpu.body_bytes_per_s),
            ("cpu.md5-bytes-per-s", cpu.md5_bytes_per_s),
            ("cpu.sha256-bytes-per-s", cpu.sha256_bytes_per_s),
            ("cpu.aes-256-bytes-per-s", cpu.aes_256_bytes_per_s),
            ("disk.write-bytes-per-s", disk.write_bytes_per_s),
            ("disk.read-bytes-per-s", disk.read_bytes_per_s),
        ];
        above.extend(cpu.zstd.iter().map(|rate| ("cpu.zstd.bytes-per-s", rate.bytes_per_s)));
        above.extend(cpu.zlib.iter().map(|rate| ("cpu.zlib.bytes-per-s", rate.bytes_per_s)));
        for (name, limit) in [("limits.put", &self.limits.put), ("limits.get", &self.limits.get)] {
            if let Some(limit) = limit {
                above.extend([(name, limit.per_s), (name, limit.burst)]);
                if limit.burst < 1.0 {
                    return Err(format!("{name}.burst = {}: no request would ever pass; the least is 1", limit.burst));
                }
            }
        }
        let from_zero = [
            ("network.connection-set-up-ms", network.connection_set_up_ms),
            ("slow-periods.per-hour", slow.per_hour),
            ("slow-periods.duration-s", slow.duration_s),
            ("cpu.request-us", cpu.request_us),
            ("cpu.wake-up-us", cpu.wake_up_us),
            ("disk.sync-ms", disk.sync_ms),
            ("disk.read-ms", disk.read_ms),
        ];
        above.into_iter().try_for_each(|(key, value)| is_positive(value).map_err(|why| format!("{key}: {why}")))?;
        from_zero.into_iter().try_for_each(|(key, value)| is_not_negative(value).map_err(|why| format!("{key}: {why}")))
    }

    /// The cells of one operation.
    pub fn cells(&self, operation: Operation) -> impl Iterator<Item = &Cell> {
        self.service.iter().filter(move |cell| cell.operation == operation)
    }

    /// Median milliseconds to the first byte of the smallest GET alone.
    pub fn first_byte_ms(&self) -> f64 {
        let smallest = self.cells(Operation::Get).min_by_key(|cell| (cell.size, cell.concurrency));
        smallest.map_or(0.0, |cell| interpolate(&self.percents, &cell.ms, 50.0))
    }

    /// The same store with every service time multiplied, so that the first byte takes this long in the median.
    #[must_use]
    pub fn with_first_byte_ms(mut self, median_ms: f64) -> Self {
        let factor = median_ms / self.first_byte_ms().max(f64::MIN_POSITIVE);
        for cell in &mut self.service {
            cell.ms.iter_mut().for_each(|ms| *ms *= factor);
        }
        self
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        let kind = if self.origin.measured { "measured model" } else { "model" };
        format!(
            "a {kind} of {} (first byte {:.3} ms in the median, {:.0} MB/s down a connection, {:.0} MB/s down a link)",
            self.name,
            self.first_byte_ms(),
            self.network.connection_down_bytes_per_s / 1e6,
            self.network.link_down_bytes_per_s / 1e6
        )
    }
}

/// The value at `percent` of a distribution given by points.
pub fn interpolate(percents: &[f64], values: &[f64], percent: f64) -> f64 {
    let after = percents.partition_point(|p| *p <= percent).clamp(1, percents.len() - 1);
    let (low, high) = (percents[after - 1], percents[after]);
    let share = ((percent - low) / (high - low)).clamp(0.0, 1.0);
    values[after - 1] + share * (values[after] - values[after - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{shipped, text};

    fn edited(from: &str, to: &str) -> String {
        let text = text::write(&shipped::standard(), &[]);
        assert!(text.contains(from), "{from} is not in the text");
        format!("{:#}", StoreModel::parse(&text.replacen(from, to, 1)).unwrap_err())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key_and_line() {
        for (from, to, parts) in [
            ("schema = \"s3b-model/1\"", "schema = \"s3b-model/2\"", &["s3b-model/2", "s3b-model/1"][..]),
            ("schema = \"s3b-model/1\"", "", &["no `schema", "s3b-model/1"]),
            ("link-up-bytes-per-s = ", "link-up-bytes-per-s = 0.0 # ", &["line", "link-up-bytes-per-s", "above zero"]),
            ("link-up-bytes-per-s", "link-up-speed", &["line", "link-up-speed", "unknown field"]),
            ("connection-set-up-ms = ", "connection-set-up-ms = -1 # ", &["line", "connection-set-up-ms", "-1"]),
            ("ms = [", "ms = [nan, ", &["line", "ms = [nan", "NaN"]),
            ("ms = [", "ms = [1e9, ", &["line", "quantiles never fall"]),
            ("ms = [", "ms = [0.0, ", &["service[0]", "13 values for 12"]),
            ("ms = [", "ms = [-3.0, ", &["line", "-3"]),
            ("percents = [0.0, ", "percents = [", &["percents", "rise from 0 to 100"]),
            ("burst = ", "burst = 0.5 # ", &["burst = 0.5", "least is 1"]),
            ("operation = \"get\"", "operation = \"fetch\"", &["line", "fetch", "bulk-delete"]),
            ("concurrency = ", "concurrency = 0 # ", &["service[0]", "concurrency = 0"]),
        ] {
            let message = edited(from, to);
            assert!(parts.iter().all(|part| message.contains(part)), "{to}: {message}");
        }
        let mut twice = shipped::standard();
        twice.service.push(twice.service[0].clone());
        assert!(twice.check().unwrap_err().to_string().contains("twice"));
        let mut infinite = shipped::standard();
        infinite.network.link_down_bytes_per_s = f64::INFINITY;
        assert!(infinite.check().unwrap_err().to_string().contains("link-down"));
        let mut silent = shipped::standard();
        silent.service.retain(|cell| cell.operation != Operation::Put);
        assert!(silent.check().unwrap_err().to_string().contains("put"));
    }

    #[test]
    fn a_first_byte_is_set_for_all_operations() {
        let model = shipped::standard().with_first_byte_ms(100.0);
        assert!((model.first_byte_ms() - 100.0).abs() < 1e-9);
        let before = shipped::standard();
        let ratio = model.service.last().unwrap().ms[5] / before.service.last().unwrap().ms[5];
        assert!((ratio - 100.0 / before.first_byte_ms()).abs() < 1e-9);
    }

    #[test]
    fn a_missing_level_is_as_fast_as_its_neighbour() {
        let rates = CpuRates::default();
        assert_eq!(CpuRates::at_level(&rates.zlib, 9), CpuRates::at_level(&rates.zlib, 6));
        assert_eq!(CpuRates::at_level(&[], 1), None);
    }
}

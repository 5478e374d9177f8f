//! What requests, storage and transfer cost, from a dated table of list prices that a user can replace.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::outcome::{Figures, PriceTable, StoreLedger};

/// The tables that come with the program, the default first.
const SHIPPED: [(&str, &str); 2] = [
    ("s3-standard", include_str!("../data/prices/s3-standard.toml")),
    ("s3-express", include_str!("../data/prices/s3-express.toml")),
];

/// What a place bills.
#[derive(Clone, Debug)]
pub struct Billing {
    /// Nothing: a local directory, which costs nothing.
    pub prices: Option<PriceTable>,
    pub reader: Reader,
}

impl Billing {
    pub const FREE: Self = Self { prices: None, reader: Reader::InRegion };

    pub fn of(prices: PriceTable, reader: Reader) -> Self {
        Self { prices: Some(prices), reader }
    }

    pub fn dollars(&self, store: &StoreLedger) -> f64 {
        self.prices.as_ref().map_or(0.0, |prices| prices.dollars(store, self.reader))
    }

    /// Whether bytes that are read cost something of their own.
    pub fn charges_reading(&self) -> bool {
        let byte = StoreLedger { get_bytes: 1, ..StoreLedger::ZERO };
        self.dollars(&byte) > 0.0
    }
}

/// Hours of a month, as bills count them.
const HOURS_PER_MONTH: f64 = 730.0;
const GB: f64 = 1e9;

/// Where the mount runs, which decides what downloads cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    InRegion,
    /// Or not known to be inside.
    Outside,
}

impl PriceTable {
    /// Of S3 STANDARD.
    pub fn standard() -> Self {
        Self::parse(SHIPPED[0].1, SHIPPED[0].0).expect("a shipped table is tested to be sound")
    }

    /// A shipped table by name, or a file.
    ///
    /// # Errors
    /// Names the option, the value, the key, and what works.
    pub fn load(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text, name);
        }
        let names = SHIPPED.map(|(name, _)| name).join(", ");
        if !Path::new(name).exists() {
            bail!("--prices={name}: neither a file nor a table that comes with the program ({names})");
        }
        let text = std::fs::read_to_string(name).with_context(|| format!("--prices={name}: cannot be read"))?;
        Self::parse(&text, name)
    }

    /// The name of the shipped table that this is, also where it came from a file.
    pub fn class(&self) -> Option<&'static str> {
        let same = |(name, text): &&(&str, &str)| Self::parse(text, name).is_ok_and(|table| table == *self);
        SHIPPED.iter().find(same).map(|(name, _)| *name)
    }

    /// The text of a file; `name` is for messages.
    ///
    /// # Errors
    /// As [`PriceTable::load`].
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)
            .with_context(|| format!("--prices={name}: not a table of prices; `s3b-tuner cost --show` prints one"))?;
        for (key, price) in [
            ("storage-per-gb-month", table.storage_per_gb_month),
            ("put-per-1000", table.put_per_1000),
            ("get-per-1000", table.get_per_1000),
            ("upload-per-gb", table.upload_per_gb),
            ("retrieval-per-gb", table.retrieval_per_gb),
            ("egress-per-gb", table.egress_per_gb),
        ] {
            if !(price.is_finite() && price >= 0.0) {
                bail!("--prices={name}: {key} = {price} is no price; write dollars, such as 0.005");
            }
        }
        Ok(table)
    }

    /// Of the default table, as a file to begin with.
    pub fn example() -> &'static str {
        SHIPPED[0].1
    }

    /// Named wherever a sum is shown.
    pub fn title(&self) -> String {
        format!("{}, {}", self.dated, self.name)
    }

    /// Requests and transfer, retries included. DELETEs are free.
    pub fn dollars(&self, store: &StoreLedger, reader: Reader) -> f64 {
        self.bill(store, 1.0, 0.0, reader).total()
    }

    /// The lines of a bill: `rounds` times what `store` says, and `stored_bytes` kept for a month.
    pub fn bill(&self, store: &StoreLedger, rounds: f64, stored_bytes: f64, reader: Reader) -> Bill {
        let requests = |count: u64, per_1000: f64| count as f64 * per_1000 / 1000.0 * rounds;
        let bytes = |bytes: u64, per_gb: f64| bytes as f64 / GB * per_gb * rounds;
        let outside = if reader == Reader::Outside { self.egress_per_gb } else { 0.0 };
        Bill {
            puts: requests(store.puts, self.put_per_1000),
            gets: requests(store.gets + store.heads, self.get_per_1000),
            lists: requests(store.lists, self.put_per_1000),
            upload: bytes(store.put_bytes, self.upload_per_gb),
            retrieval: bytes(store.get_bytes, self.retrieval_per_gb),
            transfer: bytes(store.get_bytes, outside),
            storage: stored_bytes / GB * self.storage_per_gb_month,
        }
    }

    /// Of a run that goes on like that for a month, with what it left in the store kept all the time.
    pub fn month_of(&self, run: &Figures, reader: Reader) -> f64 {
        self.per_month(&run.ledger.store, run.seconds, run.stored_bytes as f64, reader)
    }

    /// Of a workload that took `seconds` and goes on like that for a month, with `stored_bytes` kept all the time.
    pub fn per_month(&self, store: &StoreLedger, seconds: f64, stored_bytes: f64, reader: Reader) -> f64 {
        self.bill(store, rounds_per_month(seconds), stored_bytes, reader).total()
    }
}

/// How often something that takes `seconds` happens in a month without a pause; never, if it takes no time.
pub fn rounds_per_month(seconds: f64) -> f64 {
    if seconds > 0.0 { HOURS_PER_MONTH * 3600.0 / seconds } else { 0.0 }
}

/// Dollars, by what they are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    pub puts: f64,
    /// And HEADs.
    pub gets: f64,
    pub lists: f64,
    /// Charged for bytes sent, where a class does.
    pub upload: f64,
    /// Charged for bytes fetched, wherever the mount runs, where a class does.
    pub retrieval: f64,
    /// Of bytes out of the region.
    pub transfer: f64,
    pub storage: f64,
}

impl Bill {
    pub fn total(&self) -> f64 {
        self.puts + self.gets + self.lists + self.upload + self.retrieval + self.transfer + self.storage
    }
}

/// What the storage classes with least times and sizes do to a disk, in words; nothing for the others.
pub fn class_warning(class: &str, block_size: u64, puts_per_month: Option<f64>) -> Option<String> {
    let days = match class {
        "STANDARD_IA" | "ONEZONE_IA" => 30,
        "GLACIER" | "GLACIER_IR" => 90,
        "DEEP_ARCHIVE" => 180,
        _ => return None,
    };
    let mut text = format!(
        "--storage-class={class}: every object is billed as at least 128 KB and {days} days, so every overwrite or \
         discard of a younger block pays for the days that are left"
    );
    if block_size < MINIMUM_OBJECT {
        let times = MINIMUM_OBJECT as f64 / block_size as f64;
        text.push_str(&format!("; a block of {block_size} bytes costs the storage of {times:.0}"));
    }
    if let Some(puts) = puts_per_month.filter(|puts| *puts > 0.0) {
        let gb = puts * block_size.max(MINIMUM_OBJECT) as f64 / GB * f64::from(days) / 30.0;
        text.push_str(&format!("; these PUTs alone can be billed as {gb:.0} GB-months of storage, uncompressed"));
    }
    if matches!(class, "GLACIER" | "DEEP_ARCHIVE") {
        text.push_str("; and no block can be read before it is restored, which takes hours");
    }
    text.push_str(". None of this is in the sum, and the class has prices of its own (--prices FILE)");
    Some(text)
}

/// Bytes that the infrequent-access and archive classes bill for any smaller object.
const MINIMUM_OBJECT: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tebibyte_written_once_costs_what_the_price_list_says() {
        let prices = PriceTable::standard();
        for (block, dollars) in [(4u64 << 10, 1342.18), (64 << 10, 83.89), (256 << 10, 20.97), (8 << 20, 0.66)] {
            let store = StoreLedger { puts: (1 << 40) / block, put_bytes: 1 << 40, ..StoreLedger::default() };
            assert!((prices.dollars(&store, Reader::InRegion) - dollars).abs() < 0.01, "{block}");
        }
    }

    #[test]
    fn downloads_cost_more_outside_and_a_month_is_730_hours() {
        let prices = PriceTable::standard();
        let store = StoreLedger { gets: 1000, get_bytes: 1_000_000_000, ..StoreLedger::default() };
        assert!((prices.dollars(&store, Reader::InRegion) - 0.0004).abs() < 1e-12);
        assert!((prices.dollars(&store, Reader::Outside) - 0.0904).abs() < 1e-12);
        let month = prices.per_month(&store, 3600.0, 1e9, Reader::InRegion);
        assert!((month - (0.0004 * 730.0 + 0.023)).abs() < 1e-9, "{month}");
        let express = PriceTable::load("s3-express").unwrap();
        assert!((express.dollars(&store, Reader::InRegion) - (0.00003 + 0.0006)).abs() < 1e-12);
    }

    #[test]
    fn a_bill_has_a_line_for_everything_and_adds_up() {
        let prices = PriceTable::load("s3-express").unwrap();
        let store = StoreLedger {
            puts: 1000,
            gets: 600,
            heads: 400,
            lists: 2000,
            put_bytes: 1_000_000_000,
            get_bytes: 2_000_000_000,
            ..StoreLedger::default()
        };
        let bill = prices.bill(&store, 10.0, 5e9, Reader::Outside);
        let lines = [bill.puts, bill.gets, bill.lists, bill.upload, bill.retrieval, bill.transfer, bill.storage];
        let expected = [0.0113, 0.0003, 0.0226, 0.032, 0.012, 1.8, 0.55];
        assert!(lines.iter().zip(expected).all(|(line, dollars)| (line - dollars).abs() < 1e-9), "{bill:?}");
        assert!((bill.total() - expected.iter().sum::<f64>()).abs() < 1e-9);
        assert_eq!(prices.bill(&store, 1.0, 0.0, Reader::InRegion).transfer, 0.0);
    }

    #[test]
    fn classes_that_bill_more_than_is_stored_are_named() {
        assert_eq!(class_warning("STANDARD", 4096, None), None);
        let text = class_warning("STANDARD_IA", 4096, Some(1e6)).unwrap();
        for part in ["128 KB and 30 days", "the storage of 32", "131 GB-months"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = class_warning("DEEP_ARCHIVE", 1 << 20, None).unwrap();
        assert!(text.contains("180 days") && text.contains("restored") && !text.contains("storage of"), "{text}");
    }

    #[test]
    fn wrong_tables_name_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        for (from, to, part) in [
            ("put-per-1000 = 0.005", "put-per-1000 = nan", "put-per-1000"),
            ("put-per-1000 = 0.005", "put-per-1000 = -1.0", "put-per-1000"),
            ("put-per-1000 = 0.005", "put-per-thousand = 1.0", "put-per-thousand"),
        ] {
            std::fs::write(&path, PriceTable::example().replace(from, to)).unwrap();
            let error = format!("{:#}", PriceTable::load(path.to_str().unwrap()).unwrap_err());
            assert!(error.contains(part) && error.contains("--prices="), "{error}");
        }
        assert!(PriceTable::load("s3-nowhere").unwrap_err().to_string().contains("s3-standard"));
    }
}

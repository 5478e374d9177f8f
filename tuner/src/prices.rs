//! What requests, storage and transfer cost, from a dated table of list prices that a user can replace.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::outcome::{PriceTable, StoreLedger};

/// The tables that come with the program, the default first.
const SHIPPED: [(&str, &str); 2] = [
    ("s3-standard", include_str!("../data/prices/s3-standard.toml")),
    ("s3-express", include_str!("../data/prices/s3-express.toml")),
];

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

    fn parse(text: &str, name: &str) -> Result<Self> {
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

    /// Requests and transfer, retries included. DELETEs are free.
    pub fn dollars(&self, store: &StoreLedger, reader: Reader) -> f64 {
        let down = match reader {
            Reader::InRegion => self.retrieval_per_gb,
            Reader::Outside => self.retrieval_per_gb + self.egress_per_gb,
        };
        (store.puts + store.lists) as f64 * self.put_per_1000 / 1000.0
            + (store.gets + store.heads) as f64 * self.get_per_1000 / 1000.0
            + store.put_bytes as f64 / GB * self.upload_per_gb
            + store.get_bytes as f64 / GB * down
    }

    /// Of a workload that took `seconds` and goes on like that for a month, with `stored_bytes` kept all the time.
    pub fn per_month(&self, store: &StoreLedger, seconds: f64, stored_bytes: f64, reader: Reader) -> f64 {
        let rounds = if seconds > 0.0 { HOURS_PER_MONTH * 3600.0 / seconds } else { 0.0 };
        self.dollars(store, reader) * rounds + stored_bytes / GB * self.storage_per_gb_month
    }
}

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

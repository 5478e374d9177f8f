//! A monthly bill, line by line, and as data.

use anyhow::Result;
use serde::Serialize;

use super::numbers::{self, dollars};
use super::table::Table;
use crate::outcome::{PriceTable, StoreLedger};
use crate::prices::Bill;

#[derive(Serialize)]
pub struct Report<'a> {
    pub schema: &'static str,
    /// Nothing: plain numbers.
    pub workload: Option<&'a str>,
    pub simulated_seconds: Option<f64>,
    /// How often the workload runs in a month.
    pub rounds_per_month: f64,
    pub block_size: Option<u64>,
    pub in_region: bool,
    pub stored_bytes: Option<u64>,
    /// Of one round.
    pub store: &'a StoreLedger,
    pub dollars_per_month: Bill,
    pub total_dollars_per_month: f64,
    pub prices: &'a PriceTable,
    pub warnings: Vec<String>,
}

impl Report<'_> {
    pub const SCHEMA: &'static str = "s3b-cost/1";

    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        if let (Some(workload), Some(seconds)) = (self.workload, self.simulated_seconds) {
            let (time, rounds) = (numbers::clock(seconds), numbers::count(self.rounds_per_month.round() as u64));
            let size = self.block_size.map_or_else(String::new, |size| format!(", {} blocks", numbers::size(size)));
            out.push_str(&format!(
                "{workload}{size}: {time} simulated, and on like that round the clock ({rounds} times a month)\n\n"
            ));
        }
        out.push_str(&self.table().render());
        let PriceTable { name, dated, .. } = self.prices;
        out.push_str(&format!(
            "\nPrices: {name}, {dated}; yours: s3b-tuner cost --show > prices.toml, then --prices\n"
        ));
        if !self.in_region && self.dollars_per_month.transfer > 0.0 {
            out.push_str("The mount is taken to run outside the bucket's region; --in-region if it does not.\n");
        }
        if self.stored_bytes.is_none() {
            out.push_str("Storage is not counted: say how much is kept with --stored 100g\n");
        }
        self.warnings.iter().for_each(|warning| out.push_str(&format!("Warning: {warning}\n")));
        out
    }

    fn table(&self) -> Table {
        let (bill, prices, store) = (&self.dollars_per_month, self.prices, self.store);
        let month = |amount: u64| (amount as f64 * self.rounds_per_month).round() as u64;
        let requests = |amount: u64| numbers::count(month(amount));
        let gb = |amount: u64| format!("{} GB", numbers::digits(amount as f64 * self.rounds_per_month / 1e9));
        let (per_1000, per_gb) = (|price: f64| format!("${price} per 1000"), |price: f64| format!("${price} per GB"));
        let stored = self.stored_bytes.map_or_else(|| "?".into(), |bytes| numbers::digits(bytes as f64 / 1e9) + " GB");
        let transfer = if self.in_region { 0.0 } else { prices.egress_per_gb };
        let lines = [
            ("PUT", requests(store.puts), per_1000(prices.put_per_1000), bill.puts),
            ("GET, HEAD", requests(store.gets + store.heads), per_1000(prices.get_per_1000), bill.gets),
            ("LIST", requests(store.lists), per_1000(prices.put_per_1000), bill.lists),
            ("DELETE", requests(store.deletes), "free".into(), 0.0),
            ("upload", gb(store.put_bytes), per_gb(prices.upload_per_gb), bill.upload),
            ("retrieval", gb(store.get_bytes), per_gb(prices.retrieval_per_gb), bill.retrieval),
            ("transfer out", gb(store.get_bytes), per_gb(transfer), bill.transfer),
            ("storage", stored, format!("${} per GB-month", prices.storage_per_gb_month), bill.storage),
        ];
        let mut table = Table::new(&["", "a month", "price", "dollars"]);
        for (name, amount, price, sum) in lines {
            table.row(vec![name.into(), amount, price, dollars(sum)]);
        }
        table.row(vec!["together".into(), String::new(), String::new(), dollars(self.total_dollars_per_month)]);
        table
    }
}

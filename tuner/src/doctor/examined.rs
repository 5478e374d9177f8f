//! What `check` found: the checks, and the configuration beside the default one.

use serde::Serialize;

use super::{Check, Verdict, lines};
use crate::outcome::Summary;
use crate::report::columns::{ROWS, Row};
use crate::report::table::Table;

/// Of one configuration.
#[derive(Serialize)]
pub struct Report {
    pub schema: &'static str,
    /// The file, or the command line.
    pub configuration: String,
    /// What was simulated; empty for settings that are not valid.
    pub store: String,
    pub verdict: Verdict,
    pub checks: Vec<Check>,
    pub workloads: Vec<String>,
    /// Absent for settings that are not valid.
    pub simulated: Option<Pair>,
}

/// Two configurations on the same workloads.
#[derive(Serialize)]
pub struct Pair {
    pub this: Summary,
    pub default: Summary,
}

impl Pair {
    /// Whether the default is as good in every figure, and better in one.
    pub fn is_beaten(&self) -> bool {
        let worse = |row: &Row| {
            let (this, default) = ((row.value)(&self.this)?, (row.value)(&self.default)?);
            let order = this.total_cmp(&default);
            Some(if row.more_is_better { order.reverse() } else { order })
        };
        let orders: Vec<_> = ROWS.iter().filter_map(worse).collect();
        orders.iter().all(|order| order.is_ge()) && orders.iter().any(|order| order.is_gt())
    }
}

impl Report {
    /// Marks the form of the JSON; a changed meaning gets a new number.
    pub const SCHEMA: &str = "s3b-tuner.check/1";

    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}", self.configuration, lines(&self.checks));
        if let Some(pair) = &self.simulated {
            text += &format!("\nsimulated on {}, over {}\n", self.store, self.workloads.join(", "));
            let mut table = Table::new(&["", "this", "default"]);
            for row in ROWS.iter().filter(|row| row.label != "score") {
                table.row(vec![row.label.to_owned(), (row.show)(&pair.this), (row.show)(&pair.default)]);
            }
            text += &table.render();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_beats_only_what_is_nowhere_better() {
        let summary = |bytes_per_s, at_risk_bytes| Summary { bytes_per_s, at_risk_bytes, ..Summary::default() };
        let beaten = |this, default| Pair { this, default }.is_beaten();
        assert!(beaten(summary(1.0, 5), summary(2.0, 5)));
        assert!(!beaten(summary(1.0, 5), summary(1.0, 5)));
        assert!(!beaten(summary(1.0, 4), summary(2.0, 5)));
    }
}

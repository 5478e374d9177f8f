//! The figures of one job, as a file that people read in a diff.

use anyhow::{Context, Result, bail};
use s3b_scenarios::OpKind;
use s3b_tuner::simulate::Simulated;

use super::{Golden, REWRITE};

/// Named figures of one job, in a fixed order. All are exact: counts and bytes are whole, and seconds and milliseconds
/// come from whole nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    name: String,
    what: String,
    figures: Vec<(String, f64)>,
}

impl Record {
    pub fn of(golden: &Golden, simulated: &Simulated) -> Self {
        let (ledger, measured) = (&simulated.ledger, &simulated.measured);
        let (cache, store) = (&ledger.cache, &ledger.store);
        let count = |value: u64| value as f64;
        let at = |kind, percent| measured.kind(kind).latency.percentile(percent).as_secs_f64() * 1e3;
        let reads = (cache.read_hits + cache.read_misses).max(1);
        let figures = [
            ("puts", count(store.puts)),
            ("gets", count(store.gets)),
            ("deletes", count(store.deletes)),
            ("lists", count(store.lists)),
            ("heads", count(store.heads)),
            ("put-bytes", count(store.put_bytes)),
            ("get-bytes", count(store.get_bytes)),
            ("deleted-keys", count(store.deleted_keys)),
            ("retries", count(store.retries)),
            ("throttled", count(store.throttled)),
            ("operations-failed", count(measured.failures())),
            ("virtual-seconds", measured.elapsed.as_secs_f64()),
            ("drain-seconds", measured.drain.as_secs_f64()),
            ("read-p50-ms", at(OpKind::Read, 50.0)),
            ("read-p99-ms", at(OpKind::Read, 99.0)),
            ("write-p99-ms", at(OpKind::Write, 99.0)),
            ("flush-p50-ms", at(OpKind::Flush, 50.0)),
            ("flush-p99-ms", at(OpKind::Flush, 99.0)),
            ("late", count(measured.late)),
            ("hit-ratio", cache.read_hits as f64 / reads as f64),
            ("read-hits", count(cache.read_hits)),
            ("read-misses", count(cache.read_misses)),
            ("merge-reads", count(cache.merge_reads)),
            ("read-ahead", count(cache.read_ahead)),
            ("read-ahead-used", count(cache.read_ahead_used)),
            ("stores", count(cache.stores)),
            ("coalesced", count(cache.coalesced)),
            ("zero-writes", count(cache.zero_writes)),
            ("evictions", count(cache.evictions)),
            ("pressure-waits", count(cache.pressure_waits)),
            ("bytes-at-risk", count(simulated.at_risk_bytes)),
        ];
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { name: golden.name.to_owned(), what: golden.what(), figures }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn file_name(&self) -> String {
        format!("{}.toml", self.name)
    }

    pub fn text(&self) -> String {
        let mut text = format!("# Written by: {REWRITE}\nwhat = {:?}\n\n[figures]\n", self.what);
        for (name, value) in &self.figures {
            // The shortest decimal that reads back as the same number.
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }

    /// # Errors
    /// Names the key.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let what = table.get("what").and_then(toml::Value::as_str).context("`what` is missing")?.to_owned();
        let figures = table.get("figures").and_then(toml::Value::as_table).context("`[figures]` is missing")?;
        let number = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Integer(whole) => Ok((key.clone(), *whole as f64)),
            toml::Value::Float(number) => Ok((key.clone(), *number)),
            other => bail!("{key} = {other}: not a number"),
        };
        Ok(Self { name: name.to_owned(), what, figures: figures.iter().map(number).collect::<Result<_>>()? })
    }

    /// What changed since `old`, a line each.
    pub fn against(&self, old: &Self) -> Vec<String> {
        let name = &self.name;
        let mut lines = Vec::new();
        if self.what != old.what {
            lines.push(format!("{name}: another job now: {} -> {}", old.what, self.what));
        }
        for (key, value) in &self.figures {
            match old.figure(key) {
                None => lines.push(format!("{name}: {key} (none) -> {value}")),
                Some(before) if before == *value => {}
                Some(0.0) => lines.push(format!("{name}: {key} 0 -> {value}")),
                Some(before) => {
                    let percent = (value / before - 1.0) * 100.0;
                    lines.push(format!("{name}: {key} {before} -> {value} ({percent:+.2} %)"));
                }
            }
        }
        let gone = old.figures.iter().filter(|(key, _)| self.figure(key).is_none());
        lines.extend(gone.map(|(key, value)| format!("{name}: {key} {value} -> (none)")));
        lines
    }

    fn figure(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    #[cfg(test)]
    pub(super) fn made_up(name: &str, figures: &[(&str, f64)]) -> Self {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Self { name: name.to_owned(), what: "made up".into(), figures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_every_digit() {
        let third = 1.0 / 3.0;
        let record = Record::made_up("x", &[("a", 123_456_789_012.0), ("b", third), ("c", 40.012_345_678), ("d", 0.0)]);
        let back = Record::parse("x", &record.text()).unwrap();
        assert!(record.against(&back).is_empty() && back.against(&record).is_empty(), "{back:?}");
        let other = Record::made_up("x", &[("a", 123_456_789_012.0), ("b", third + 1e-16), ("e", 1.0)]);
        let lines = other.against(&back);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].contains("b 0.333") && lines[1].contains("e (none) -> 1"), "{lines:?}");
        let error = Record::parse("x", "what = \"\"\n[figures]\na = \"1\"\n").unwrap_err().to_string();
        assert!(error.contains("a ="), "{error}");
    }
}

//! Numbers as people read them.

use std::time::Duration;

/// Three significant digits with a unit: `17 us`, `4.21 ms`, `2.30 s`.
pub fn time(time: Duration) -> String {
    let ns = time.as_nanos() as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{} us", digits(ns / 1e3)),
        _ if ns < 1e9 => format!("{} ms", digits(ns / 1e6)),
        _ => format!("{} s", digits(ns / 1e9)),
    }
}

/// MiB, three significant digits.
pub fn mib(bytes: u64) -> String {
    digits(bytes as f64 / f64::from(1 << 20))
}

/// Three significant digits, never in scientific form.
pub fn digits(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".into(),
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Dollars, with enough digits to tell small sums apart.
pub fn dollars(value: f64) -> String {
    match value {
        _ if value == 0.0 => "$0".into(),
        _ if value < 0.1 => format!("${value:.5}"),
        _ => format!("${value:.2}"),
    }
}

/// With thousands apart: `113,872`.
pub fn count(value: u64) -> String {
    let text = value.to_string();
    let parts: Vec<&str> = text.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        let times = [0, 999, 17_400, 4_210_000, 2_300_000_000].map(|ns| time(Duration::from_nanos(ns)));
        assert_eq!(times, ["0 ns", "999 ns", "17.4 us", "4.21 ms", "2.30 s"]);
        assert_eq!([7, 1000, 113_872].map(count), ["7", "1,000", "113,872"]);
        assert_eq!([0.0, 0.00042, 83.886].map(dollars), ["$0", "$0.00042", "$83.89"]);
    }
}

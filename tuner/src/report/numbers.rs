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

/// Three significant digits in the unit that fits: `512 B`, `4.01 GiB`.
pub fn bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{} {unit}", digits(bytes as f64 / (1u64 << shift) as f64)),
        None => format!("{bytes} B"),
    }
}

/// Of a share: `0 %`, `0.03 %`, `26.1 %`, `100 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent == 0.0 || percent >= 99.95 => format!("{percent:.0} %"),
        percent if percent < 0.1 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}

/// Hours, minutes and seconds of something long: `2:00:00`, `0:46.5`.
pub fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0).round() as u64;
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}.{tenth}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A size as a flag takes it, or with one decimal: `64k`, `1.5m`.
pub fn size(bytes: u64) -> String {
    let exact = s3b_scenarios::size::Size(bytes).to_string();
    let units = [(40, "t"), (30, "g"), (20, "m"), (10, "k")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) if exact.len() > 4 => format!("{:.1}{unit}", bytes as f64 / (1u64 << shift) as f64),
        _ => exact,
    }
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
        assert_eq!([0, 512, 4096, 4_310_000_000].map(bytes), ["0 B", "512 B", "4.00 KiB", "4.01 GiB"]);
        assert_eq!([0.0, 0.0003, 0.261, 0.9996].map(percent), ["0 %", "0.03 %", "26.1 %", "100 %"]);
        assert_eq!([46.52, 7200.1, 59.96].map(clock), ["0:46.5", "2:00:00", "1:00.0"]);
        assert_eq!([4096, 3 << 19, 1 << 30, 512].map(size), ["4k", "1.5m", "1g", "512"]);
        assert_eq!([7, 1000, 113_872].map(count), ["7", "1,000", "113,872"]);
        assert_eq!([0.0, 0.00042, 83.886].map(dollars), ["$0", "$0.00042", "$83.89"]);
    }
}

//! Sizes, durations and other values as people write them, and back.
//!
//! Pure text work. Errors say what is wrong with the value; the flag that was given adds its name and a value that works.

use std::time::Duration;

use super::{CacheSize, CipherName, Compression};
use crate::error::{Error, Result};

/// Suffixes in rising order; each is 1024 times the one before.
const SUFFIXES: [char; 6] = ['k', 'm', 'g', 't', 'p', 'e'];

/// A number of bytes (or bits per second): `4096`, `256k`, `1M`, `10GiB`. Suffixes are powers of 1024.
pub fn size(text: &str) -> Result<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, suffix) = text.split_at(digits);
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let letter = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let shift = match letter.chars().next() {
        None => 0,
        Some(c) if letter.len() == 1 => match SUFFIXES.iter().position(|s| *s == c) {
            Some(at) => 10 * (at as u32 + 1),
            None => return Err(Error::config("not a size: the suffix is one of k m g t p e")),
        },
        Some(_) => return Err(Error::config("not a size: a number and one suffix of k m g t p e")),
    };
    let number: u64 = number.parse().map_err(|_| Error::config("not a size: it starts with a whole number"))?;
    number.checked_mul(1 << shift).ok_or_else(|| Error::config("this size does not fit in 64 bits; the largest is 15e"))
}

/// The shortest text that [`size`] reads back as `bytes`.
pub fn show_size(bytes: &u64) -> String {
    let shift = (bytes.trailing_zeros() / 10).min(6);
    match shift {
        _ if *bytes == 0 => "0".into(),
        0 => bytes.to_string(),
        shift => format!("{}{}", bytes >> (10 * shift), SUFFIXES[shift as usize - 1]),
    }
}

/// A cache's capacity: `auto`, blocks (`1000`) or bytes (`512m`).
pub fn cache_size(text: &str) -> Result<CacheSize> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(CacheSize::Auto);
    }
    let value = size(text).map_err(|e| Error::config(format!("{e} (a bare number counts blocks)")))?;
    let bare = text.trim().chars().all(|c| c.is_ascii_digit());
    Ok(if bare { CacheSize::Blocks(value) } else { CacheSize::Bytes(value) })
}

pub fn show_cache_size(size: &CacheSize) -> String {
    match size {
        CacheSize::Auto => "auto".into(),
        CacheSize::Blocks(blocks) => blocks.to_string(),
        CacheSize::Bytes(bytes) => match show_size(bytes) {
            text if text.ends_with(|c: char| c.is_ascii_digit()) => text + "b",
            text => text,
        },
    }
}

/// A duration; a bare number is in milliseconds.
pub fn millis(text: &str) -> Result<Duration> {
    duration(text, 1e-3)
}

/// A duration; a bare number is in seconds.
pub fn seconds(text: &str) -> Result<Duration> {
    duration(text, 1.0)
}

/// A duration, bare in milliseconds, or `forever` (`None`).
pub fn millis_or_forever(text: &str) -> Result<Option<Duration>> {
    if text.eq_ignore_ascii_case("forever") { Ok(None) } else { millis(text).map(Some) }
}

fn duration(text: &str, bare_unit: f64) -> Result<Duration> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" => bare_unit,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(Error::config("not a duration: the unit is one of us ms s m h")),
    };
    let number: f64 = number.parse().map_err(|_| Error::config("not a duration: it starts with a number"))?;
    // Through whole microseconds: 0.001 * 250 must be the same 250 ms as the default.
    let micros = (number * unit * 1e6).round();
    if micros > MOST_MICROS {
        return Err(Error::config("longer than ten years"));
    }
    Ok(Duration::from_micros(micros as u64))
}

/// Ten years.
const MOST_MICROS: f64 = 10.0 * 366.0 * 86400.0 * 1e6;

/// The shortest text with a unit that reads back as `time`.
pub fn show_duration(time: &Duration) -> String {
    match time.as_micros() {
        0 => "0".into(),
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1000 == 0 => format!("{}ms", us / 1000),
        us => format!("{us}us"),
    }
}

pub fn show_duration_or_forever(time: &Option<Duration>) -> String {
    time.as_ref().map_or("forever".into(), show_duration)
}

pub fn boolean(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Error::config("neither true nor false")),
    }
}

/// A whole number that fits `u32`, as counts do.
pub fn count(text: &str) -> Result<u32> {
    text.trim().parse().map_err(|_| Error::config("not a whole number from 0 to 4294967295"))
}

pub fn count_usize(text: &str) -> Result<usize> {
    count(text).map(|n| n as usize)
}

pub fn seed(text: &str) -> Result<u64> {
    text.trim().parse().map_err(|_| Error::config("not a whole number"))
}

/// Dollars.
pub fn price(text: &str) -> Result<f64> {
    match text.trim().trim_start_matches('$').parse::<f64>() {
        Ok(price) if price.is_finite() && price >= 0.0 => Ok(price),
        _ => Err(Error::config("not a price in dollars")),
    }
}

/// A share from 0 to 1, written as a percentage (`5%`), a fraction (`0.05`), or `true` for 5 %.
pub fn share(text: &str) -> Result<f64> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text.trim(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&(share * scale)) => Ok(share * scale),
        _ => Err(Error::config("not a share from 0% to 100%")),
    }
}

/// An octal file mode.
pub fn mode(text: &str) -> Result<u32> {
    match u32::from_str_radix(text.trim().trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(Error::config("not an octal mode from 0 to 777")),
    }
}

/// One of a fixed list of words; the error lists them.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Error::config(format!("not one of {}", known.join(", ")))
    })
}

/// The word [`one_of`] reads back as `value`.
pub fn word_of<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> String {
    words.iter().find(|(_, v)| v == value).map_or_else(String::new, |(word, _)| (*word).to_owned())
}

/// Any text but the empty one.
pub fn text(text: &str) -> Result<String> {
    if text.is_empty() { Err(Error::config("empty")) } else { Ok(text.to_owned()) }
}

/// zlib's own default level.
const DEFLATE_DEFAULT: i32 = -1;
/// zstd's own default level.
const ZSTD_DEFAULT: i32 = 3;

/// `--compress`: an algorithm, or a deflate level as in s3backer.
pub fn compression(text: &str) -> Result<Option<Compression>> {
    match text.to_ascii_lowercase().as_str() {
        "deflate" | "zlib" | "true" => Ok(Some(Compression::Deflate(DEFLATE_DEFAULT))),
        "zstd" => Ok(Some(Compression::Zstd(ZSTD_DEFAULT))),
        "none" | "false" => Ok(None),
        other => match other.parse() {
            Ok(level) => compression_level(Compression::Deflate(DEFLATE_DEFAULT), level).map(Some),
            Err(_) => Err(Error::config("not one of deflate, zstd, none, nor a deflate level")),
        },
    }
}

/// `--compress-level` for an algorithm.
pub fn compression_level(algorithm: Compression, level: i32) -> Result<Compression> {
    match algorithm {
        Compression::Deflate(_) if (-1..=9).contains(&level) => Ok(Compression::Deflate(level)),
        Compression::Deflate(_) => Err(Error::config("deflate has levels -1 to 9")),
        Compression::Zstd(_) if (-131_072..=22).contains(&level) => Ok(Compression::Zstd(level)),
        Compression::Zstd(_) => Err(Error::config("zstd has levels -131072 to 22")),
    }
}

/// Ciphers that volumes can be encrypted with, by OpenSSL's names and aliases.
pub const CIPHERS: &[(&str, CipherName)] = &[
    ("AES-128-CBC", CipherName::Aes128Cbc),
    ("AES-192-CBC", CipherName::Aes192Cbc),
    ("AES-256-CBC", CipherName::Aes256Cbc),
    ("DES-EDE3-CBC", CipherName::DesEde3Cbc),
    ("AES128", CipherName::Aes128Cbc),
    ("AES192", CipherName::Aes192Cbc),
    ("AES256", CipherName::Aes256Cbc),
    ("DES3", CipherName::DesEde3Cbc),
];

/// Splits `bucket[/dir]`: the bucket, and the prefix (`dir/`, or empty).
pub fn bucket(text: &str) -> Result<(String, String)> {
    let hint = "a bucket is named like mybucket or mybucket/disk1";
    let Some((bucket, dir)) = text.split_once('/') else {
        return if text.is_empty() {
            Err(Error::config(format!("the bucket's name is empty: {hint}")))
        } else {
            Ok((text.to_owned(), String::new()))
        };
    };
    let dots = dir.split('/').any(|part| part == "." || part == "..");
    if bucket.is_empty() || dir.is_empty() || dir.starts_with('/') || dir.ends_with('/') || dir.contains("//") || dots {
        return Err(Error::config(format!(
            "`{text}`: empty parts, `.`, `..` and slashes at an end have no place in a bucket's path; {hint}"
        )));
    }
    Ok((bucket.to_owned(), format!("{dir}/")))
}

/// The one of `names` most like `word`, if any is like it at all.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let best = names.into_iter().map(|name| (distance(&folded, &fold(name)), name)).min_by_key(|(d, _)| *d)?;
    (best.0 <= 1 + word.len() / 4).then_some(best.1)
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| *c != '-' && *c != '_').flat_map(char::to_lowercase).collect()
}

/// Edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_suffixes_of_any_case() {
        for (text, value) in [
            ("0", 0),
            ("4096", 4096),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("4kb", 4096),
            ("7b", 7),
            ("10 g", 10 << 30),
            ("15e", 15 << 60),
        ] {
            assert_eq!(size(text).unwrap(), value, "{text}");
        }
        for text in ["", "k", "4x", "4kk", "-1", "1.5g", "16e", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1 << 20, 3 << 30, u64::MAX, 1 << 60, 5120] {
            assert_eq!(size(&show_size(&bytes)).unwrap(), bytes);
            for cache in [CacheSize::Bytes(bytes), CacheSize::Blocks(bytes), CacheSize::Auto] {
                assert_eq!(cache_size(&show_cache_size(&cache)).unwrap(), cache);
            }
        }
        for us in [0, 1, 1000, 250_000, 1_000_000, 90_000_000, 1_234_567] {
            let time = Duration::from_micros(us);
            assert_eq!(millis(&show_duration(&time)).unwrap(), time);
        }
    }

    #[test]
    fn a_bare_number_has_the_flags_unit() {
        assert_eq!(millis("250").unwrap(), Duration::from_millis(250));
        assert_eq!(seconds("5").unwrap(), Duration::from_secs(5));
        assert_eq!(seconds("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(millis("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(millis_or_forever("forever").unwrap(), None);
        for text in ["", "s", "5d", "-5", "1e400s", "99999999999h"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cache_sizes_count_blocks_or_bytes() {
        assert_eq!(cache_size("1000").unwrap(), CacheSize::Blocks(1000));
        assert_eq!(cache_size("512m").unwrap(), CacheSize::Bytes(512 << 20));
    }

    #[test]
    fn bucket_paths_follow_s3backers_rules() {
        assert_eq!(bucket("b").unwrap(), ("b".into(), String::new()));
        assert_eq!(bucket("b/c/d").unwrap(), ("b".into(), "c/d/".into()));
        for text in ["", "/", "/b", "b/", "b//c", "b/c/", "b/../c", "b/./c"] {
            assert!(bucket(text).is_err(), "{text}");
        }
    }

    #[test]
    fn compression_is_an_algorithm_or_a_level() {
        assert_eq!(compression("9").unwrap(), Some(Compression::Deflate(9)));
        assert_eq!(compression("ZSTD").unwrap(), Some(Compression::Zstd(3)));
        for text in ["10", "-2", "lz4"] {
            assert!(compression(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["block-size", "block-cache-size", "size"];
        assert_eq!(nearest("blocksize", names), Some("block-size"));
        assert_eq!(nearest("blok-size", names), Some("block-size"));
        assert_eq!(nearest("frobnicate", names), None);
    }

    #[test]
    fn shares_and_modes() {
        assert_eq!(share("5%").unwrap(), 0.05);
        assert_eq!(share("0.5").unwrap(), 0.5);
        assert!(share("50").is_err());
        assert_eq!(mode("0640").unwrap(), 0o640);
        assert!(mode("8").is_err() && mode("1777").is_err());
    }
}

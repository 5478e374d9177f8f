//! Numbers, times and ranges as text formats write them. Every mistake is answered by name and value.

/// A field as a message shows it: printable, and short.
pub fn quoted(text: &[u8]) -> String {
    const SHOWN: usize = 48;
    let dots = if text.len() > SHOWN { "..." } else { "" };
    format!("\"{}{dots}\"", text[..text.len().min(SHOWN)].escape_ascii())
}

/// A whole number without sign.
pub fn integer(name: &str, text: &[u8]) -> Result<u64, String> {
    digits(text).ok_or_else(|| format!("{name} {} is not a whole number from 0 to {}", quoted(text), u64::MAX))
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A time of whole units.
pub fn whole_time(text: &[u8], unit_ns: u64) -> Result<u64, String> {
    integer("time", text)?.checked_mul(unit_ns).ok_or_else(|| too_late(text))
}

/// A time with or without a fraction, of which nanoseconds are kept.
pub fn time(text: &[u8], unit_ns: u64) -> Result<u64, String> {
    exact_time(text, unit_ns).or_else(|| rounded_time(text, unit_ns)).ok_or_else(|| match digits(text) {
        Some(_) => too_late(text),
        None => format!("time {} is not a time from 0 on", quoted(text)),
    })
}

fn too_late(text: &[u8]) -> String {
    format!("time {} lies beyond 584 years in nanoseconds", quoted(text))
}

/// Digits around a point, without floating point: `0.551706`.
fn exact_time(text: &[u8], unit_ns: u64) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { digits(whole)? };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let kept = &fraction[..fraction.len().min(18)];
    let part = if kept.is_empty() { 0 } else { u128::from(digits(kept)?) * u128::from(unit_ns) };
    let part = part / 10u128.pow(kept.len() as u32);
    whole.checked_mul(unit_ns)?.checked_add(part as u64)
}

/// What printf writes for small and large numbers: `1e-05`.
fn rounded_time(text: &[u8], unit_ns: u64) -> Option<u64> {
    let exponent = text.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let number: f64 = std::str::from_utf8(text).ok().filter(|_| exponent)?.parse().ok()?;
    let ns = number * unit_ns as f64;
    (ns >= 0.0 && ns < u64::MAX as f64).then_some(ns.round() as u64)
}

/// Offset and length in bytes of a range that starts at unit number `start`, if its end fits in 64 bits.
pub fn range(start: u64, unit: u64, len: Option<u64>) -> Result<(u64, u64), String> {
    let offset = start.checked_mul(unit);
    let range = offset.zip(len).filter(|(offset, len)| offset.checked_add(*len).is_some());
    range.ok_or_else(|| format!("the range at {start} (in units of {unit} bytes) ends beyond 64-bit byte offsets"))
}

/// Exactly `N` fields between separators, spaces around them taken off.
pub fn split<const N: usize>(line: &[u8]) -> Result<[&[u8]; N], String> {
    let mut fields = [&line[..0]; N];
    let mut count = 0;
    for field in line.split(|byte| *byte == b',') {
        if let Some(place) = fields.get_mut(count) {
            *place = field.trim_ascii();
        }
        count += 1;
    }
    if count == N { Ok(fields) } else { Err(format!("{} has {count} comma-separated fields, not {N}", quoted(line))) }
}

/// Words between blanks and tabs.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Exactly `N` words.
pub fn split_words<const N: usize>(line: &[u8]) -> Result<[&[u8]; N], String> {
    let mut fields = [&line[..0]; N];
    let mut count = 0;
    for word in words(line) {
        if let Some(place) = fields.get_mut(count) {
            *place = word;
        }
        count += 1;
    }
    if count == N { Ok(fields) } else { Err(format!("{} has {count} words, not {N}", quoted(line))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_nothing_else_passes() {
        for (text, unit, ns) in [
            ("0.551706", 1_000_000_000, 551_706_000),
            ("7961.833", 1_000_000, 7_961_833_000),
            ("12", 1000, 12_000),
            (".5", 1000, 500),
            ("3.", 1000, 3000),
            ("1e-05", 1_000_000_000, 10_000),
            ("0.0000000019", 1_000_000_000, 1),
            ("1.99999999999999999999999", 1, 1),
        ] {
            assert_eq!(time(text.as_bytes(), unit), Ok(ns), "{text}");
        }
        for wrong in ["", ".", "-1", "-0.5", "nan", "NaN", "inf", "1e999", "-1e3", "1.2.3", "1,5", "0x10", "+1", "1e"] {
            let message = time(wrong.as_bytes(), 1000).unwrap_err();
            assert!(message.contains("is not a time"), "{wrong}: {message}");
        }
        assert!(time(b"18446744073709551615", 1000).unwrap_err().contains("584 years"));
        assert_eq!(integer("length", b"18446744073709551615"), Ok(u64::MAX));
        assert!(integer("length", b"18446744073709551616").unwrap_err().contains("length \"18446744073709551616\""));
        assert!(range(u64::MAX / 512 + 1, 512, Some(1)).is_err() && range(u64::MAX, 1, Some(1)).is_err());
    }
}

//! More values for an axis whose best value lies at its end: the optimum may lie beyond.

use s3b_engine::settings::parse;

use super::grid::{Axis, BLOCK_SIZE, THREADS};

/// Ends beyond which nothing is tried: what the format takes or what no mount wants.
const ENDS: [(&str, u64, u64); 2] = [(BLOCK_SIZE, 4 << 10, 32 << 20), (THREADS, 1, 512)];

/// The axis with one more value beyond the end at which `best` lies; nothing if it lies inside, or nothing lies beyond.
/// Values are counts or sizes, and the step is that of the last two.
pub fn widened(axis: &Axis, best: &str) -> Option<Axis> {
    let (_, least, most) = ENDS.iter().find(|(name, ..)| *name == axis.name())?;
    let mut values: Vec<u64> = axis.values.iter().map(|value| parse::size(value).ok()).collect::<Option<_>>()?;
    values.sort_unstable();
    let best = parse::size(best).ok()?;
    let (first, last) = (*values.first()?, *values.last()?);
    let step = |inner: u64, end: u64| (inner.max(end) / inner.min(end).max(1)).max(2);
    let next = if best == last && values.len() > 1 {
        last.checked_mul(step(values[values.len() - 2], last))?.min(*most)
    } else if best == first && values.len() > 1 {
        (first / step(values[1], first)).max(*least)
    } else {
        return None;
    };
    if values.contains(&next) {
        return None;
    }
    let mut wider = axis.clone();
    let shown = parse::show_size(&next);
    if next > last {
        wider.values.push(shown)
    } else {
        wider.values.insert(0, shown)
    }
    Some(wider)
}

/// Whether a value is the smallest or the largest of at least three sizes, counts or times: names have no end to go beyond,
/// and of two values each is one.
pub fn is_end(values: &[String], value: &str) -> bool {
    fn ends(values: &[String], value: &str, read: impl Fn(&str) -> Option<f64>) -> Option<bool> {
        let read_all: Vec<f64> = values.iter().map(|value| read(value)).collect::<Option<_>>()?;
        let value = read(value)?;
        let inside = read_all.iter().any(|one| *one < value) && read_all.iter().any(|one| *one > value);
        Some(read_all.len() >= 3 && !inside)
    }
    let size = |text: &str| parse::size(text).ok().map(|size| size as f64);
    let time = |text: &str| parse::millis(text).ok().map(|time| time.as_secs_f64());
    ends(values, value, size).or_else(|| ends(values, value, time)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wider(text: &str, best: &str) -> Option<Vec<String>> {
        widened(&Axis::parse(text).unwrap(), best).map(|axis| axis.values)
    }

    #[test]
    fn only_a_range_has_ends() {
        let end = |values: &str, value| is_end(&values.split(',').map(str::to_owned).collect::<Vec<_>>(), value);
        assert!(end("1m,64k,256k", "64k") && end("1m,64k,256k", "1m") && end("0,250ms,2s", "2s"));
        assert!(!end("1m,64k,256k", "256k"), "by size, not by place");
        assert!(!end("store,none,journal", "store") && !end("8,32", "8") && !end("8", "8"));
    }

    #[test]
    fn only_beyond_the_ends_and_never_beyond_sense() {
        assert_eq!(wider("block-size=64k,256k,1m", "1m").unwrap(), ["64k", "256k", "1m", "4m"]);
        assert_eq!(wider("block-size=64k,256k,1m", "64k").unwrap(), ["16k", "64k", "256k", "1m"]);
        assert_eq!(wider("threads=8,32,96", "96").unwrap(), ["8", "32", "96", "288"]);
        assert_eq!(wider("block-size=64k,256k,1m", "256k"), None);
        assert_eq!(wider("block-size=8m,32m", "32m"), None, "the largest that is tried");
        assert_eq!(wider("threads=300,400", "400").unwrap()[2], "512");
        assert_eq!(wider("write-delay=250ms,2s", "2s"), None);
        assert_eq!(wider("threads=8", "8"), None, "one value is a decision, not a range");
    }
}

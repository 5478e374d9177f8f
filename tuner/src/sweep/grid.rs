//! The configurations of a sweep: every combination of the values on each axis. Any flag of a mount can be an axis.

use anyhow::{Context, Result, bail};
use s3b_engine::settings::flags::{Flag, engine};
use s3b_engine::settings::{Durability, Settings, VolumeSettings, check, parse};

use crate::caching;
use crate::outcome::{self, LeftOut};

/// Short names for the usual axes.
const SHORT: [(&str, &str); 4] = [
    ("threads", "block-cache-threads"),
    ("write-delay", "block-cache-write-delay"),
    ("cache", "block-cache-size"),
    ("block", "block-size"),
];

/// Settings that say where and how large, not how fast; and what would make runs incomparable.
const NO_AXIS: [&str; 6] = ["size", "prefix", "read-only", "shared-disk-mode", "block-cache-file", "force"];

/// The cache file of a configuration that needs one where nobody named any: to be replaced by the user.
pub const CACHE_FILE: &str = "/var/cache/s3b/disk1";

/// More combinations than this are a mistake.
const MOST: usize = 2000;

pub const BLOCK_SIZE: &str = "block-size";
pub const THREADS: &str = "block-cache-threads";
pub const WRITE_DELAY: &str = "block-cache-write-delay";
pub const DURABILITY: &str = "durability";

/// One flag and the values to try.
#[derive(Clone)]
pub struct Axis {
    flag: &'static Flag<Settings>,
    pub values: Vec<String>,
}

impl Axis {
    /// Reads `block-size=64k,256k,1m`, `threads=8..64:x2` (times two each step), `write-delay=0,250ms`.
    ///
    /// # Errors
    /// Names what was given and what works.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = "write it as --vary block-size=64k,256k,1m or --vary threads=8..64:x2";
        let (name, list) = text.split_once('=').with_context(|| format!("--vary {text}: {wrong}"))?;
        let name = name.trim();
        let long = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        let Some(flag) = engine().find(|flag| flag.is_called(long)) else {
            let near = parse::nearest(long, engine().map(|flag| flag.name)).unwrap_or("threads");
            bail!("--vary {text}: no flag is called {name}; did you mean {near}?");
        };
        if NO_AXIS.contains(&flag.name) {
            bail!("--vary {text}: {name} is not something to tune; give it as --{}", flag.name);
        }
        let mut values = Vec::new();
        for part in list.split(',').map(str::trim) {
            match part.split_once("..") {
                Some((from, rest)) => {
                    values.extend(range(from, rest).with_context(|| format!("--vary {text}: {wrong}"))?)
                }
                None => values.push(part.to_owned()),
            }
        }
        for value in &values {
            flag.set(&mut Settings::default(), value).with_context(|| format!("--vary {text}"))?;
        }
        values.dedup();
        Ok(Self { flag, values })
    }

    pub fn name(&self) -> &'static str {
        self.flag.name
    }

    /// The value that settings have, as a user would write it.
    fn shown(&self, settings: &Settings) -> String {
        let cache = &settings.block_cache;
        self.flag.get(settings).unwrap_or_else(|| match self.name() {
            THREADS => cache.threads.to_string(),
            WRITE_DELAY => format!("{}ms", cache.write_delay.as_millis()),
            _ => "default".into(),
        })
    }

    /// For the head of a column.
    pub fn title(&self) -> &'static str {
        SHORT.iter().find(|(_, long)| *long == self.flag.name).map_or(self.flag.name, |(short, _)| short)
    }
}

/// `8..64:x2` is 8, 16, 32, 64; values are sizes or counts.
fn range(from: &str, rest: &str) -> Option<Vec<String>> {
    let (to, factor) = rest.split_once(":x")?;
    let (from, to, factor) = (parse::size(from).ok()?, parse::size(to).ok()?, factor.parse::<u64>().ok()?);
    if from == 0 || factor < 2 || to < from {
        return None;
    }
    // At most 63 steps, as every one at least doubles.
    let steps = std::iter::successors(Some(from), |value| value.checked_mul(factor)).take_while(|value| *value <= to);
    Some(steps.map(|value| parse::show_size(&value)).collect())
}

/// One combination.
#[derive(Clone)]
pub struct Configuration {
    pub settings: Settings,
    /// A value for each axis, as written.
    pub values: Vec<String>,
}

pub struct Grid {
    pub axes: Vec<Axis>,
    pub configurations: Vec<Configuration>,
    /// Combinations left out, and why.
    pub left_out: Vec<LeftOut>,
}

impl Grid {
    /// All combinations over `base`, without those that cannot be or make no sense.
    ///
    /// # Errors
    /// An axis given twice, too many combinations, or none that works.
    pub fn new(base: &Settings, axes: Vec<Axis>) -> Result<Self> {
        for (n, axis) in axes.iter().enumerate() {
            if axes[..n].iter().any(|other| other.name() == axis.name()) {
                bail!("--vary {}: given twice; put all its values into one", axis.title());
            }
        }
        let combinations = axes.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.values.len()));
        if combinations.is_none_or(|product| product > MOST) {
            bail!("--vary: more than {MOST} combinations; give fewer values");
        }
        let mut grid = Self { axes, configurations: Vec::new(), left_out: Vec::new() };
        let mut rows: Vec<Vec<String>> = vec![Vec::new()];
        for axis in &grid.axes {
            let longer =
                |row: &Vec<String>| axis.values.iter().map(|v| [&row[..], std::slice::from_ref(v)].concat()).collect();
            rows = rows.iter().flat_map::<Vec<Vec<String>>, _>(longer).collect();
        }
        for values in rows {
            let mut settings = base.clone();
            let fault = grid.apply(&mut settings, &values).err().map(|error| error.to_string());
            match fault.or_else(|| caching::pointless(&settings)) {
                Some(why) => grid.left_out.push(LeftOut { values, why }),
                None => grid.configurations.push(Configuration { settings, values }),
            }
        }
        if grid.configurations.is_empty() {
            let LeftOut { values, why } = &grid.left_out[0];
            bail!("--vary: no combination works; the first, {}: {why}", values.join(" "));
        }
        Ok(grid)
    }

    fn apply(&self, settings: &mut Settings, values: &[String]) -> Result<()> {
        for (axis, value) in self.axes.iter().zip(values) {
            axis.flag.set(settings, value)?;
        }
        if settings.durability == Durability::Journal {
            settings.block_cache.file.get_or_insert_with(|| CACHE_FILE.into());
        }
        check::settle(settings)?;
        Ok(())
    }

    /// What a mount does without any of the axes' flags: its place among the configurations, where it is added if the
    /// axes leave it out. `None` if it cannot be.
    pub fn default_of_mount(&mut self, base: &Settings) -> Option<usize> {
        let mut settings = base.clone();
        // Where block sizes are not compared none is named, so that none is recommended.
        if self.place_of(BLOCK_SIZE).is_some() {
            settings.volume.block_size.get_or_insert(VolumeSettings::NEW_BLOCK_SIZE);
        }
        check::settle(&mut settings).ok()?;
        if let Some(place) = self.configurations.iter().position(|one| one.settings == settings) {
            return Some(place);
        }
        let values = self.axes.iter().map(|axis| axis.shown(&settings)).collect();
        self.configurations.push(Configuration { settings, values });
        Some(self.configurations.len() - 1)
    }

    /// Takes wider axes; the configurations there are keep their places, new ones follow.
    ///
    /// # Errors
    /// As [`Grid::new`].
    pub fn grow(&mut self, base: &Settings, axes: Vec<Axis>) -> Result<()> {
        let wider = Self::new(base, axes)?;
        for one in wider.configurations {
            if !self.configurations.iter().any(|known| known.values == one.values) {
                self.configurations.push(one);
            }
        }
        (self.axes, self.left_out) = (wider.axes, wider.left_out);
        Ok(())
    }

    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name() == name)
    }

    /// For the outcome.
    pub fn axes_of_outcome(&self) -> Vec<outcome::Axis> {
        let of = |axis: &Axis| outcome::Axis {
            name: axis.name().to_owned(),
            title: axis.title().to_owned(),
            values: axis.values.clone(),
        };
        self.axes.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3b_engine::settings::CacheSize;

    use super::*;

    fn values(text: &str) -> Vec<String> {
        Axis::parse(text).unwrap().values
    }

    #[test]
    fn lists_and_ranges() {
        assert_eq!(values("block-size=64k..1m:x4"), ["64k", "256k", "1m"]);
        assert_eq!(values("threads=4..64:x2,100"), ["4", "8", "16", "32", "64", "100"]);
        assert_eq!(values("write-delay=0,250ms,5s"), ["0", "250ms", "5s"]);
        assert_eq!(values("compress=zstd,deflate"), ["zstd", "deflate"]);
    }

    #[test]
    fn mistakes_are_named_with_what_works() {
        for (text, part) in [
            ("threads", "threads=8..64:x2"),
            ("treads=1", "read"),
            ("threads=8..64", "threads=8..64:x2"),
            ("threads=64..8:x2", "threads=8..64:x2"),
            ("threads=0..8:x2", "threads=8..64:x2"),
            ("block-size=3q", "--block-size="),
            ("size=1g", "not something to tune"),
        ] {
            let message = format!("{:#}", Axis::parse(text).err().expect(text));
            assert!(message.contains(part) && message.contains(text), "{message}");
        }
    }

    #[test]
    fn a_journal_gets_a_cache_file_and_the_others_keep_theirs() {
        let axes = || vec![Axis::parse("durability=store,journal,none").unwrap()];
        let files = |base: &Settings| {
            let grid = Grid::new(base, axes()).unwrap();
            let shown =
                |one: &Configuration| one.settings.block_cache.file.as_ref().map(|file| file.display().to_string());
            grid.configurations.iter().map(shown).collect::<Vec<_>>()
        };
        let mut base = Settings::default();
        assert_eq!(files(&base), [None, Some(CACHE_FILE.into()), None]);
        base.block_cache.file = Some("/data/disk1".into());
        assert_eq!(files(&base), vec![Some("/data/disk1".to_owned()); 3]);
        base = Settings::default();
        base.block_cache.size = CacheSize::Blocks(0);
        let grid = Grid::new(&base, axes()).unwrap();
        assert!(grid.left_out[0].why.contains("needs a cache"), "{:?}", grid.left_out);
    }

    #[test]
    fn every_combination_once_and_senseless_ones_left_out() {
        let base = Settings::default();
        let axes = ["block-size=64k,1m", "threads=4,32", "cache=16m", "write-delay=0,1s"];
        let grid = Grid::new(&base, axes.map(|text| Axis::parse(text).unwrap()).to_vec()).unwrap();
        assert_eq!((grid.configurations.len(), grid.left_out.len()), (6, 2), "1m x 32 threads needs 32m of cache");
        let last = &grid.configurations[5];
        assert_eq!(last.values, ["1m", "4", "16m", "1s"]);
        assert_eq!(last.settings.block_cache.write_delay, Duration::from_secs(1));
        assert!(
            Grid::new(&base, vec![Axis::parse("threads=1").unwrap(), Axis::parse("block-cache-threads=2").unwrap()])
                .is_err()
        );
        let error = Grid::new(&base, vec![Axis::parse("block-size=3000").unwrap()]).err().unwrap().to_string();
        assert!(error.contains("3000"), "{error}");
    }
}

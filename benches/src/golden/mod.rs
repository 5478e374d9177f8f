//! Golden results: what fixed jobs give in simulation, to the last request and nanosecond, compared with files in the tree.
//!
//! A change of the engine that costs a request more, or saves one, shows here without any measuring. Nothing depends on
//! this machine: virtual time, seeds, and cache sizes that are spelled out. Never decides what is better: a result that
//! changes on purpose is written anew, with its reason in `docs/decisions/golden-results.md`.

mod jobs;
mod record;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use s3b_tuner::simulate::{Ended, Simulated, many};
use sha2::{Digest, Sha256};

pub use self::jobs::{Golden, JOBS};
pub use self::record::Record;

/// Writes the files anew.
pub const REWRITE: &str = "cargo run -p s3b-benches --bin golden -- --write";

/// Where changes are explained, below the workspace.
pub const DECISIONS: &str = "docs/decisions/golden-results.md";

/// The files' folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// All jobs simulated, in their order.
///
/// # Errors
/// A job that cannot be run to its end: none is known.
pub fn run() -> Result<Vec<Record>> {
    let jobs = JOBS.iter().map(Golden::job).collect::<Result<Vec<_>>>()?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let results = many(&jobs, cores, &mut |_| {}, &AtomicBool::new(false));
    let of = |(golden, result): (&Golden, Option<Result<Simulated>>)| -> Result<Record> {
        let simulated = result.with_context(|| format!("{} was not run", golden.name))?;
        let simulated = simulated.with_context(|| golden.name.to_owned())?;
        ensure!(simulated.ended == Ended::Whole, "{} did not run to its end", golden.name);
        Ok(Record::of(golden, &simulated))
    };
    JOBS.iter().zip(results).map(of).collect()
}

/// What differs between `found` and the files, for people; empty: nothing.
///
/// # Errors
/// A folder or a file that cannot be read.
pub fn differences(found: &[Record], folder: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for record in found {
        let path = folder.join(record.file_name());
        if !path.exists() {
            lines.push(format!("{}: has no file yet", record.name()));
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let old = Record::parse(record.name(), &text).with_context(|| path.display().to_string())?;
        lines.extend(record.against(&old));
    }
    for name in files(folder)? {
        if !found.iter().any(|record| record.file_name() == name) {
            lines.push(format!("{name}: no such job any more"));
        }
    }
    Ok(lines)
}

/// Writes all files, and removes those of jobs that are no more.
///
/// # Errors
/// A file that cannot be written or removed.
pub fn write(found: &[Record], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for name in files(folder)? {
        fs::remove_file(folder.join(&name)).with_context(|| name.clone())?;
    }
    for record in found {
        let path = folder.join(record.file_name());
        fs::write(&path, record.text()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Short hash of all files: the name under which a state of the results is explained.
///
/// # Errors
/// A folder or a file that cannot be read.
pub fn hash(folder: &Path) -> Result<String> {
    let mut all = Sha256::new();
    for name in files(folder)? {
        let text = fs::read(folder.join(&name)).with_context(|| name.clone())?;
        all.update(name.as_bytes());
        all.update((text.len() as u64).to_le_bytes());
        all.update(text);
    }
    Ok(hex::encode(&all.finalize()[..6]))
}

/// The names, sorted.
fn files(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_missing_or_left_over_file_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let record = |puts: f64| Record::made_up("one", &[("puts", puts), ("gets", 0.0)]);
        assert_eq!(differences(&[record(5.0)], folder.path()).unwrap(), ["one: has no file yet"]);
        write(&[record(5.0)], folder.path()).unwrap();
        let before = hash(folder.path()).unwrap();
        assert!(differences(&[record(5.0)], folder.path()).unwrap().is_empty());
        let lines = differences(&[record(6.0)], folder.path()).unwrap();
        assert_eq!(lines, ["one: puts 5 -> 6 (+20.00 %)"]);
        fs::write(folder.path().join("old.toml"), "").unwrap();
        assert_eq!(differences(&[record(5.0)], folder.path()).unwrap(), ["old.toml: no such job any more"]);
        assert_ne!(hash(folder.path()).unwrap(), before);
        write(&[record(5.0)], folder.path()).unwrap();
        assert_eq!(hash(folder.path()).unwrap(), before);
    }
}

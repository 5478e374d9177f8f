//! Instructions of the engine's hit path and of a simulated job, counted by callgrind and compared with a baseline.
//!
//! Counts hardly vary, where times do: what an operation costs more shows on any machine, busy or not. A baseline holds
//! for one compiler, profile, processor family and C library; under any other, counts are shown and judge nothing.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use s3b_engine::cpu::Cpu;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{BlockCacheSettings, CacheSize, Location, Settings, VolumeSettings};
use s3b_engine::stack::{Parts, Stack};
use s3b_tuner::model::shipped;
use s3b_tuner::simulate::{self, Job, Tape};
use s3b_tuner::workload::Workload;
use serde::{Deserialize, Serialize};

/// Writes the baseline anew.
pub const REWRITE: &str = "cargo run -p s3b-benches --bin instructions -- --write";

/// Counts may differ from the baseline by this share. Repetitions differ by nothing (hits) and by 0.01 % (simulation); the
/// rest is room for changes that cost nothing worth a line of explanation.
pub const TOLERANCE: f64 = 0.01;

const SIZE: u64 = 4 << 20;
const BLOCK_SIZE: u64 = 64 << 10;
const REQUEST: usize = 4096;
const REQUESTS: u64 = 10_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A read of 4 KiB that hits.
    ReadHit,
    /// A write of 4 KiB into a block in the cache.
    WriteHit,
    /// An operation of `random-mix`, simulated.
    Simulation,
}

impl Case {
    pub const ALL: [Self; 3] = [Self::ReadHit, Self::WriteHit, Self::Simulation];

    pub fn name(self) -> &'static str {
        match self {
            Self::ReadHit => "read-4k-hit",
            Self::WriteHit => "write-4k-hit",
            Self::Simulation => "simulated-operation",
        }
    }

    /// # Errors
    /// Names those there are.
    pub fn named(name: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|case| case.name() == name).with_context(|| format!("no case {name:?}: try {names}"))
    }

    /// Does the work once, of which callgrind counts what happens in [`counted`]. Answers the operations in it.
    ///
    /// # Errors
    /// An engine that cannot be opened: none is known.
    pub fn work(self) -> Result<u64> {
        match self {
            Self::ReadHit | Self::WriteHit => hits(self == Self::WriteHit),
            Self::Simulation => simulation(),
        }
    }
}

fn hits(write: bool) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let volume = VolumeSettings { size: Some(SIZE), block_size: Some(BLOCK_SIZE), ..VolumeSettings::default() };
    let block_cache = BlockCacheSettings { size: CacheSize::Bytes(2 * SIZE), ..BlockCacheSettings::default() };
    let settings = Settings { location: Location::Memory, volume, block_cache, ..Settings::default() };
    let parts = Parts { backend: None, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
    let stack = runtime.block_on(Stack::open(&settings, parts))?;
    let volume = stack.volume();
    runtime.block_on(async {
        for at in (0..SIZE).step_by(1 << 20) {
            volume.write(at, Bytes::from(vec![7; 1 << 20])).await?;
        }
        volume.flush().await
    })?;
    let (mut state, mut scratch, data) = (1, Vec::new(), vec![9; REQUEST]);
    let mut result = Ok(());
    counted(&mut || {
        for _ in 0..REQUESTS {
            let at = s3b_testkit::xorshift(&mut state) % (SIZE / REQUEST as u64) * REQUEST as u64;
            let moved = if write {
                volume.try_write(at, &data).ok()
            } else {
                volume.try_read(at, REQUEST, &mut scratch).and_then(Result::ok).map(|bytes| black_box(bytes).len())
            };
            if moved != Some(REQUEST) {
                result = Err(anyhow::anyhow!("{moved:?} at {at}: everything is in the cache"));
            }
        }
    });
    result?;
    runtime.block_on(stack.close())?;
    Ok(REQUESTS)
}

fn simulation() -> Result<u64> {
    let tape = Arc::new(Tape::of(Workload::load("random-mix")?.scaled(4))?);
    let ops = tape.summary.ops();
    let mut settings = Settings::default();
    settings.volume.block_size = Some(BLOCK_SIZE);
    settings.block_cache.size = CacheSize::Bytes(8 << 20);
    let job = Job { store: Some(Arc::new(shipped::standard())), seed: 1, ..Job::new(settings, tape) };
    let mut result = None;
    counted(&mut || result = Some(simulate::run(&job)));
    result.context("it was not run")??;
    Ok(ops)
}

/// Callgrind begins and ends its counting here, by this name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // Keeps the call above from becoming a jump, after which this function would be over.
    black_box(());
}

/// Instructions for each operation, by case.
pub type Counts = BTreeMap<String, f64>;

/// Runs a case of `program` (the one whose `--run` does [`Case::work`]) under callgrind.
///
/// # Errors
/// What valgrind says.
pub fn count(program: &Path, case: Case, scratch: &Path) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions*counted*"])
        .arg(format!("--callgrind-out-file={}", scratch.join(case.name()).display()))
        .arg(program)
        .args(["--run", case.name()]);
    // One way to copy memory on every processor, and nothing of the caller's environment on the stack.
    let environment = [("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM")];
    valgrind.env_clear().envs(environment);
    valgrind.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = valgrind.output().context("valgrind cannot be started")?;
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "valgrind {}: {said}", case.name());
    let operations: f64 = told.trim().parse().with_context(|| format!("{told:?} is no number of operations"))?;
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1));
    let collected: f64 = collected.context("valgrind counted nothing")?.trim().parse()?;
    ensure!(collected > operations, "{}: {collected} instructions: the counted function was not found", case.name());
    Ok(collected / operations)
}

/// Counts and what they hold for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Baseline {
    pub c_library: String,
    /// Instructions for each operation.
    pub instructions: Counts,
}

impl Baseline {
    /// Of this compiler, profile and processor family.
    pub fn path() -> PathBuf {
        let name = format!("instructions-{}-{}-{}.toml", env!("COMPILER"), std::env::consts::ARCH, env!("PROFILE"));
        Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline").join(name)
    }

    /// Counts now.
    ///
    /// # Errors
    /// As [`count`].
    pub fn count(program: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let counts = Case::ALL.map(|case| Ok((case.name().to_owned(), count(program, case, scratch.path())?.round())));
        Ok(Self { c_library: c_library(), instructions: counts.into_iter().collect::<Result<_>>()? })
    }

    /// The one in the tree; nothing if there is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load() -> Result<Option<Self>> {
        let path = Self::path();
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Some(toml::from_str(&text).with_context(|| path.display().to_string())?))
    }

    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self) -> Result<()> {
        let path = Self::path();
        let text = format!("# Instructions for each operation. Written by: {REWRITE}\n{}", toml::to_string(self)?);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

/// `glibc 2.36`; empty where nobody knows. It copies the memory, so it is a part of every count.
fn c_library() -> String {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// What differs by more than the tolerance. Less is a failure too: the baseline would hide the next regression.
///
/// # Errors
/// A baseline that cannot be compared with: of another C library.
pub fn complaints(now: &Baseline, baseline: &Baseline) -> Result<Vec<String>> {
    if now.c_library != baseline.c_library {
        bail!("the baseline was counted with {}, this is {}", baseline.c_library, now.c_library);
    }
    let mut complaints = Vec::new();
    for (case, count) in &now.instructions {
        match baseline.instructions.get(case) {
            None => complaints.push(format!("{case}: {count} instructions, not in the baseline")),
            Some(before) if (count / before - 1.0).abs() > TOLERANCE => {
                let percent = (count / before - 1.0) * 100.0;
                complaints.push(format!("{case}: {before} -> {count} instructions ({percent:+.1} %)"));
            }
            Some(_) => {}
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_less_are_told_of_beyond_the_tolerance() {
        let of = |read: f64| Baseline {
            c_library: "glibc 2.36".into(),
            instructions: [("read".to_owned(), read), ("write".to_owned(), 500.0)].into(),
        };
        let told = |read: f64| complaints(&of(read), &of(1000.0)).unwrap();
        assert!(told(1009.0).is_empty() && told(991.0).is_empty());
        assert_eq!(told(1050.0), ["read: 1000 -> 1050 instructions (+5.0 %)"]);
        assert_eq!(told(900.0).len(), 1);
        let other = Baseline { c_library: "glibc 2.41".into(), ..of(1000.0) };
        assert!(complaints(&other, &of(1000.0)).unwrap_err().to_string().contains("2.41"));
    }
}

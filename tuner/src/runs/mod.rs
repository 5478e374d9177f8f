//! The journal of a run on this machine: what it is, every key it may have stored, its results as they come.
//!
//! ```text
//! $XDG_STATE_HOME/s3b/runs/ID/   run.json  lock  keys.log  results.jsonl  outcome.json
//! ```
//!
//! Written for the day the run is killed: `clean` then deletes exactly the keys noted here, `--resume` goes on after the
//! last whole result. Holds no secret. Never deletes the journal of a run that left objects behind.

pub mod durable;
pub mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use s3b_engine::settings::{Location, Settings};
use serde::{Deserialize, Serialize};

use self::keys::KeyLog;
use crate::model::DiskRates;
use crate::outcome::rounds::Round;
use crate::outcome::{Outcome, StoreLedger};

const RUN: &str = "run.json";
const LOCK: &str = "lock";
const RESULTS: &str = "results.jsonl";
const OUTCOME: &str = "outcome.json";

/// Where a run keeps its objects, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    pub bucket: Option<String>,
    pub directory: Option<PathBuf>,
    /// Before the run's own prefix.
    pub prefix: String,
    pub base_url: Option<String>,
    pub region: Option<String>,
}

impl Whereabouts {
    /// Those of a mount's settings.
    pub fn of(settings: &Settings) -> Self {
        let (bucket, directory) = match &settings.location {
            Location::Memory => (None, None),
            Location::Bucket(name) => (Some(name.clone()), None),
            // The same place wherever `clean` is called.
            Location::Directory(path) => (None, Some(fs::canonicalize(path).unwrap_or_else(|_| path.clone()))),
        };
        let (prefix, s3) = (settings.volume.prefix.clone(), &settings.s3);
        Self { bucket, directory, prefix, base_url: s3.base_url.clone(), region: s3.region.clone() }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match (&self.bucket, &self.directory) {
            (Some(bucket), _) => format!("s3://{bucket}/{}", self.prefix),
            (None, Some(directory)) => directory.display().to_string(),
            (None, None) => "memory".into(),
        }
    }

    /// With all that tells two places apart.
    fn exactly(&self) -> String {
        if self.bucket.is_none() {
            return self.describe();
        }
        let endpoint = self.base_url.as_deref().unwrap_or("Amazon's endpoint");
        let region = self.region.as_deref().unwrap_or("not given");
        format!("{} ({endpoint}, region {region})", self.describe())
    }
}

/// What a run is: `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Hex digits; names the run, and its marker object in the store.
    pub id: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub version: String,
    /// As typed, secrets left out.
    pub command: Vec<String>,
    /// Where it was typed: paths in it may be relative.
    #[serde(default)]
    pub directory: PathBuf,
    pub place: Whereabouts,
    /// What results depend on, by name: options, hashes of workloads and of the model. Equal: results may be reused.
    /// Empty: a run that cannot be gone on with.
    pub depends_on: BTreeMap<String, String>,
}

impl Description {
    /// A new run of this command, here and now.
    ///
    /// # Errors
    /// This machine's clock is before 1970 or beyond the year 9999.
    pub fn new(command: Vec<String>, settings: &Settings, depends_on: BTreeMap<String, String>) -> Result<Self> {
        let now = jiff::Timestamp::try_from(s3b_engine::clock::wall()).context("this machine's clock")?;
        Ok(Self {
            id: format!("{:012x}", rand::random::<u64>() >> 16),
            started: format!("{now:.0}"),
            version: env!("CARGO_PKG_VERSION").into(),
            command,
            directory: std::env::current_dir().unwrap_or_default(),
            place: Whereabouts::of(settings),
            depends_on,
        })
    }

    /// What a person types to go on with this run.
    pub fn resuming(&self) -> String {
        let here = std::env::current_dir().is_ok_and(|here| here == self.directory);
        let resume = format!("s3b-tuner sweep --resume {}", self.id);
        if here { resume } else { format!("cd {} && {resume}", self.directory.display()) }
    }
}

/// One line of `results.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The store is going to be learnt for at most so many dollars.
    Learning { dollars: f64 },
    /// That is done: what it did cost, and the model's file. No model: it was interrupted, or nothing came of it.
    Learnt { dollars: f64, model: Option<String> },
    /// What is run for real is settled.
    Planned(Planned),
    /// A whole round of real runs.
    Round(Round),
    /// Everything issued to the store in real runs so far; while one is under way, with the most that it may issue.
    Spent(StoreLedger),
}

/// What real runs were planned by: the same again gives the same plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    pub max_time_ns: u64,
    pub max_dollars: f64,
    /// That simulated cache files lie on, as it was found then: measured again, it would be another.
    #[serde(default)]
    pub disk: Option<DiskRates>,
    /// Of the plan.
    pub digest: String,
}

/// The directory of a run under way. Others see that it is alive until this is dropped.
pub struct RunDirectory {
    pub description: Description,
    path: PathBuf,
    results: Mutex<File>,
    /// Held, never read.
    _lock: File,
}

impl RunDirectory {
    /// Begins a journal below [`directory_of_runs`].
    ///
    /// # Errors
    /// Names the path: no room, not allowed.
    pub fn create(description: Description) -> Result<Self> {
        Self::create_in(&directory_of_runs()?, description)
    }

    /// # Errors
    /// As [`RunDirectory::create`].
    pub fn create_in(runs: &Path, description: Description) -> Result<Self> {
        let path = runs.join(&description.id);
        let making = || format!("cannot make {}; set XDG_STATE_HOME to a directory with room", path.display());
        // What was run where is nobody else's business.
        let missing = runs.ancestors().take_while(|above| !above.is_dir()).count();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(runs).with_context(making)?;
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(making)?;
        // Each holds the name of the one below it.
        runs.ancestors().take(missing + 1).try_for_each(durable::sync_directory).with_context(making)?;
        let lock = lock_file(&path)?;
        // Whoever lists runs at this moment lets it go at once.
        lock.lock().with_context(making)?;
        let text = serde_json::to_string_pretty(&description)?;
        durable::write(&path.join(RUN), &text).with_context(|| format!("cannot write {}", path.join(RUN).display()))?;
        Ok(Self { results: Mutex::new(results_file(&path)?), description, path, _lock: lock })
    }

    /// Goes on with a run that was stopped or killed. Answers also what it had, as it came; rounds in order.
    ///
    /// # Errors
    /// No such run, one that is alive or finished, or one whose results depend on other things than `now`: named, with
    /// both values.
    pub fn resume(id: &str, now: &Description) -> Result<(Self, Vec<Record>)> {
        Self::resume_in(&directory_of_runs()?, id, now)
    }

    /// # Errors
    /// As [`RunDirectory::resume`].
    pub fn resume_in(runs: &Path, id: &str, now: &Description) -> Result<(Self, Vec<Record>)> {
        let found = find(runs, id)?;
        let path = found.path;
        let Some(lock) = lock(&path)? else {
            bail!("--resume={id}: that run is still alive; wait for it, or stop it first");
        };
        if found.state == State::Finished {
            bail!("--resume={id}: that run is finished; start a new one without --resume");
        }
        let before = found.description.with_context(|| format!("--resume={id}: {RUN} cannot be read; start anew"))?;
        differences(&before, now).with_context(|| format!("--resume={id}"))?;
        let records = read_results(&path)?;
        Ok((Self { results: Mutex::new(results_file(&path)?), description: before, path, _lock: lock }, records))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a result; on disk when this returns.
    ///
    /// # Errors
    /// Full disk and the like. What was there before stays readable.
    pub fn note(&self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record)? + "\n";
        let mut file = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = file.metadata().map(|meta| meta.len());
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        if let (Err(_), Ok(whole)) = (&written, whole) {
            // Half a line would spoil the next one; what opens the file again mends it too.
            let _ = file.set_len(whole);
        }
        written.with_context(|| {
            format!("cannot note a result in {}; what was noted before is kept", self.path.join(RESULTS).display())
        })
    }

    /// Keeps the outcome, whole or not at all: the run is finished, unless it says that it was stopped.
    ///
    /// # Errors
    /// As [`RunDirectory::note`].
    pub fn finish(&self, outcome: &Outcome) -> Result<()> {
        let path = self.path.join(OUTCOME);
        let text = serde_json::to_string_pretty(outcome)? + "\n";
        durable::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Forgets a run that has nothing to tell and left nothing behind; any other stays. Answers whether it stays.
    ///
    /// # Errors
    /// The file system's.
    pub fn forget(&self) -> Result<bool> {
        if !read_results(&self.path)?.is_empty() {
            return Ok(true);
        }
        self.give_up()
    }

    /// Forgets a run whose results are kept elsewhere, and that left nothing behind; any other stays. Answers whether it
    /// stays.
    ///
    /// # Errors
    /// The file system's.
    pub fn give_up(&self) -> Result<bool> {
        if !keys::read(&self.path)?.is_empty() {
            return Ok(true);
        }
        fs::remove_dir_all(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))?;
        Ok(false)
    }

    /// The log of keys, and what it holds already.
    pub(crate) fn keys(&self) -> Result<(KeyLog, BTreeSet<String>)> {
        Ok((KeyLog::open(&self.path)?, keys::read(&self.path)?))
    }

    /// What could not be deleted when the run cleaned up.
    pub(crate) fn left(&self, keys: &BTreeSet<String>) -> Result<()> {
        keys::replace(&self.path, keys)
    }
}

/// What a run depended on against what it would depend on now.
fn differences(before: &Description, now: &Description) -> Result<()> {
    let names: BTreeSet<&String> = before.depends_on.keys().chain(now.depends_on.keys()).collect();
    let differs = names.into_iter().find(|name| before.depends_on.get(*name) != now.depends_on.get(*name));
    if before.version != now.version {
        bail!("that run was of version {}, this is {}; start anew without --resume", before.version, now.version);
    }
    if let Some(name) = differs {
        let value = |of: &Description| of.depends_on.get(name).map_or("nothing", String::as_str).to_owned();
        let (was, is) = (value(before), value(now));
        bail!("{name} was {was} and is {is} now; give the same arguments, or start anew without --resume");
    }
    if before.place != now.place {
        let (was, is) = (before.place.exactly(), now.place.exactly());
        bail!("that run worked in {was}, not in {is}; give the same arguments, or start anew without --resume");
    }
    Ok(())
}

/// A run found on disk.
pub struct Found {
    pub id: String,
    pub path: PathBuf,
    /// `None`: killed before it was written, or damaged.
    pub description: Option<Description>,
    pub state: State,
    /// Objects that may be left in the store.
    pub left: u64,
}

impl Found {
    /// What a person types to go on with it; `None`: it cannot be gone on with.
    pub fn resuming(&self) -> Option<String> {
        let description = self.description.as_ref().filter(|one| !one.depends_on.is_empty())?;
        // Another version of the program may answer otherwise, and refuses.
        let description = Some(description).filter(|one| one.version == env!("CARGO_PKG_VERSION"))?;
        (self.state == State::Stopped).then(|| description.resuming())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Alive,
    /// It has an outcome, and nothing stopped it.
    Finished,
    /// Killed, interrupted or failed.
    Stopped,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

/// `$XDG_STATE_HOME/s3b/runs`, or `~/.local/state/s3b/runs`.
///
/// # Errors
/// Neither variable is set.
pub fn directory_of_runs() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let state = state.context("where to keep the journal of runs? Set XDG_STATE_HOME or HOME to an absolute path")?;
    Ok(state.join("s3b/runs"))
}

/// All runs, the latest last.
///
/// # Errors
/// The file system's; no directory at all is no runs.
pub fn all(runs: &Path) -> Result<Vec<Found>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", runs.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", runs.display()))?;
        found.extend(look(&entry.path())?);
    }
    let started = |one: &Found| one.description.as_ref().map(|description| description.started.clone());
    found.sort_by_key(|one| (started(one), one.id.clone()));
    Ok(found)
}

/// The run whose id begins with `id`.
///
/// # Errors
/// None, or several.
pub fn find(runs: &Path, id: &str) -> Result<Found> {
    let mut found: Vec<Found> = all(runs)?.into_iter().filter(|one| one.id.starts_with(id)).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("no run {id} in {}; `s3b-tuner runs` lists them", runs.display()),
        _ => bail!("{id} may be {} or {}; give more digits", found[0].id, found[1].id),
    }
}

/// `None`: no directory, perhaps no longer: a run may be forgotten meanwhile.
fn look(path: &Path) -> Result<Option<Found>> {
    let text = fs::read_to_string(path.join(RUN)).ok();
    let description = text.and_then(|text| serde_json::from_str(&text).ok());
    let state = if is_alive(path)? {
        State::Alive
    } else if is_whole(&path.join(OUTCOME)) {
        State::Finished
    } else {
        State::Stopped
    };
    let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let left = match keys::read(path) {
        Err(_) if !path.is_dir() => 0,
        keys => keys?.len() as u64,
    };
    // Asked last: what was read of a run that went meanwhile is nothing.
    Ok(path.is_dir().then(|| Found { id, path: path.to_owned(), description, state, left }))
}

/// Whether a run holds its lock. Makes none: its directory may be about to be removed.
fn is_alive(path: &Path) -> Result<bool> {
    let name = path.join(LOCK);
    match File::options().write(true).open(&name) {
        Ok(file) => Ok(try_lock(file, path)?.is_none()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot open {}", name.display())),
    }
}

/// Whether this is the outcome of a run that nothing stopped. Half an outcome is none.
fn is_whole(outcome: &Path) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        run: Run,
    }
    #[derive(Deserialize)]
    struct Run {
        stopped: Option<String>,
    }
    let Ok(file) = File::open(outcome) else { return false };
    serde_json::from_reader(std::io::BufReader::new(file)).is_ok_and(|ended: Ended| ended.run.stopped.is_none())
}

/// The lock that says a run is alive; the kernel lets it go however the process ends. `None`: another holds it.
pub fn lock(path: &Path) -> Result<Option<File>> {
    try_lock(lock_file(path)?, path)
}

fn try_lock(file: File, path: &Path) -> Result<Option<File>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    let name = path.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name);
    file.with_context(|| format!("cannot open {}", name.display()))
}

fn results_file(path: &Path) -> Result<File> {
    let name = path.join(RESULTS);
    let whole = whole_lines(&fs::read(&name).unwrap_or_default()) as u64;
    let file = OpenOptions::new().append(true).create(true).open(&name);
    let file = file.with_context(|| format!("cannot open {}", name.display()))?;
    // A line cut off by a crash or a full disk would spoil the next one.
    file.set_len(whole).with_context(|| format!("cannot mend {}", name.display()))?;
    durable::sync_directory(path).with_context(|| format!("cannot sync {}", path.display()))?;
    Ok(file)
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn read_results(path: &Path) -> Result<Vec<Record>> {
    let name = path.join(RESULTS);
    let bytes = fs::read(&name).unwrap_or_default();
    let text = std::str::from_utf8(&bytes[..whole_lines(&bytes)]).with_context(|| name.display().to_string())?;
    let record = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}: line {}", name.display(), number + 1))
    };
    text.lines().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(id: &str, started: &str) -> Description {
        let depends_on = [("--seed".to_owned(), "1".to_owned())].into();
        Description { id: id.into(), started: started.into(), depends_on, ..Description::default() }
    }

    fn spent(puts: u64) -> Record {
        Record::Spent(StoreLedger { puts, ..StoreLedger::default() })
    }

    #[test]
    fn a_run_is_alive_until_it_ends_and_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let first = description("aa01", "2026-11-01T00:00:00Z");
        let run = RunDirectory::create_in(dir.path(), first.clone()).unwrap();
        RunDirectory::create_in(dir.path(), description("aa02", "2026-11-02T00:00:00Z")).unwrap();
        run.note(&spent(7)).unwrap();
        // Being removed: nothing is put into it, and it is not listed for long.
        let going = dir.path().join("aa00");
        fs::create_dir(&going).unwrap();
        assert_eq!(all(dir.path()).unwrap().len(), 3);
        fs::remove_dir(&going).unwrap();
        assert!(look(&going).unwrap().is_none());
        let states: Vec<_> = all(dir.path()).unwrap().iter().map(|one| (one.id.clone(), one.state)).collect();
        assert_eq!(states, [("aa01".into(), State::Alive), ("aa02".into(), State::Stopped)]);
        assert!(RunDirectory::resume_in(dir.path(), "aa01", &first).err().unwrap().to_string().contains("alive"));
        let several = find(dir.path(), "aa").err().unwrap().to_string();
        assert!(several.contains("aa01 or aa02"), "{several}");
        let path = run.path().to_owned();
        drop(run);
        // As a crash leaves it.
        let torn = fs::read_to_string(path.join(RESULTS)).unwrap() + "{\"spent\":{\"pu";
        fs::write(path.join(RESULTS), torn).unwrap();
        let (again, records) = RunDirectory::resume_in(dir.path(), "aa01", &first).unwrap();
        assert!(matches!(&records[..], [Record::Spent(StoreLedger { puts: 7, .. })]));
        again.note(&spent(8)).unwrap();
        drop(again);
        assert_eq!(RunDirectory::resume_in(dir.path(), "aa01", &first).unwrap().1.len(), 2);
    }

    #[test]
    fn other_arguments_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = description("aa01", "2026-11-01T00:00:00Z");
        drop(RunDirectory::create_in(dir.path(), first.clone()).unwrap());
        let refused =
            |now: Description| format!("{:#}", RunDirectory::resume_in(dir.path(), "aa", &now).err().unwrap());
        let mut other = first.clone();
        other.depends_on.insert("--seed".into(), "2".into());
        let text = refused(other);
        assert!(text.contains("--seed was 1 and is 2"), "{text}");
        let mut other = first.clone();
        other.place.bucket = Some("theirs".into());
        let text = refused(other.clone());
        assert!(text.contains("s3://theirs/") && text.contains("Amazon's endpoint"), "{text}");
        // Of several, what explains the others comes first.
        other.depends_on.insert("--seed".into(), "2".into());
        assert!(refused(other.clone()).contains("--seed was 1 and is 2"));
        other.version = "9".into();
        assert!(refused(other).contains("version"));
        assert!(find(dir.path(), "bb").err().unwrap().to_string().contains("s3b-tuner runs"));
        assert!(all(&dir.path().join("none")).unwrap().is_empty());
    }
}

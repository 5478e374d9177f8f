//! Where a run works: a prefix of its own in a store, with a journal of what it wrote.
//!
//! It never looks at, changes or deletes anything else, and never deletes what a listing shows: only what its journal has.
//! The prefix is random; one that holds anything (a mount's token too) is refused, and it is taken by creating a marker
//! object that says who works here.
//!
//! ```text
//! engine -> (model) -> journal of keys -> counts -> budget -> store
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use s3b_engine::block_cache::disk::{CacheDisk, FileDisk};
use s3b_engine::clock;
use s3b_engine::directory::Directory;
use s3b_engine::error::Error;
use s3b_engine::memory::Memory;
use s3b_engine::object::{GetIf, Got, ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::retry::Retrying;
use s3b_engine::settings::{Location, Settings};
use s3b_engine::stack::{Parts, Stack, open_bucket};
use s3b_engine::stats::Stats;
use s3b_engine::wrap::{Counting, Counts};

use crate::budget::{Budget, Budgeted};
use crate::connection::Access;
use crate::disk::folder_of;
use crate::journal::{Cleaned, Journal, delete_all};
use crate::left_out::of_a_run;
use crate::model::{StoreModel, Switched};
use crate::outcome::StoreLedger;
use crate::reach;
use crate::requests;
use crate::runs::RunDirectory;

/// What the names of all our objects begin with, after the prefix that the user gave.
pub const OWN_PREFIX: &str = "s3b-tuner-";

/// After the run's prefix: the object that says who works here.
const MARKER: &str = "run";

/// A marker's text is shorter.
const MARKER_MOST: usize = 4096;

/// What claiming a place sends at worst: opening a bucket and the prefix listed, the marker put and read back; each doubled.
/// Bytes are those of listings under way, which may bring whole pages.
pub const CLAIMING: StoreLedger = StoreLedger { gets: 2, puts: 2, lists: 4, get_bytes: 2 << 20, ..StoreLedger::ZERO };

/// On whose account a place is claimed.
#[derive(Clone, Default)]
pub struct Owner {
    /// Its keys are noted on disk, so that they can be cleaned after a crash.
    pub run: Option<Arc<RunDirectory>>,
    /// Everything that costs is charged to it, and refused beyond its cap.
    pub budget: Option<Arc<Budget>>,
}

/// A claimed prefix.
pub struct Place {
    journal: Arc<Journal>,
    owner: Owner,
    /// Of the store's client: throttling.
    stats: Arc<Stats>,
    counts: Arc<Counts>,
    backend: Arc<dyn ObjectBackend>,
    model: Option<Arc<Switched>>,
    access: Access,
    prefix: String,
}

impl Place {
    /// Connects to the store that `access` names and claims a random prefix below its prefix, on account of a run.
    ///
    /// # Errors
    /// The store's own, a prefix that already holds something, the budget's, the run journal's.
    pub async fn claim_for(access: &Access, model: Option<StoreModel>, owner: Owner) -> Result<Self> {
        let stats = Arc::<Stats>::default();
        if let (Some(budget), Location::Bucket(_)) = (&owner.budget, &access.settings.location) {
            // Not sent through it: a bucket is asked before there is a backend to wrap.
            budget.charge(&reach::OPENING).context("cannot open the store")?;
        }
        let store = open_store(access, &stats).await.context("cannot open the store")?;
        Self::claim_in(store, access, model, owner, stats, rand::random()).await
    }

    async fn claim_in(
        store: Arc<dyn ObjectBackend>,
        access: &Access,
        model: Option<StoreModel>,
        owner: Owner,
        stats: Arc<Stats>,
        number: u64,
    ) -> Result<Self> {
        let prefix = format!("{}{OWN_PREFIX}{number:016x}-", access.settings.volume.prefix);
        let patient = |store| Retrying::new(store, access.settings.retry.clone(), Arc::default());
        // Cleaning up is never refused: only deletes go this way.
        let cleaner: Arc<dyn ObjectBackend> = Arc::new(patient(store.clone()));
        let mut below = store;
        if let Some(budget) = &owner.budget {
            below = Arc::new(Budgeted::new(below, budget.clone()));
        }
        let page = patient(below.clone()).list(&prefix, "").await;
        let page = page.with_context(|| format!("cannot list {}", below.describe()))?;
        if let Some(key) = page.keys.first() {
            bail!("{} already holds {key}: the tuner works only in an empty prefix; start it again", below.describe());
        }
        let counting = Counting::new(below);
        let counts = counting.counts();
        let log = owner.run.as_ref().map(|run| run.keys()).transpose()?;
        let journal = Arc::new(Journal::with_log(Arc::new(counting), cleaner, log));
        mark(&patient(journal.clone()), &format!("{prefix}{MARKER}"), owner.run.as_deref()).await?;
        let mut access = access.clone();
        let mut backend: Arc<dyn ObjectBackend> = journal.clone();
        let model = model.map(|model| Switched::new(journal.clone(), model).map(Arc::new)).transpose()?;
        if let Some(model) = &model {
            backend = model.clone();
            // The engine then does all that it does for a bucket (mount token, price of a survey), as it should here.
            access.settings.location = Location::Bucket("modelled".into());
        }
        Ok(Self { journal, owner, stats, counts, backend, model, access, prefix })
    }

    /// All requests sent here so far.
    pub fn requests(&self) -> StoreLedger {
        requests::sent(&self.counts)
    }

    /// The objects themselves: counted, noted for cleaning up, without patience and without the model.
    pub fn objects(&self) -> Arc<dyn ObjectBackend> {
        self.journal.clone()
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Of all requests sent here.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Answers of 5xx so far, a model's since it was switched on: a store that sends them is asked for too much.
    pub fn throttled(&self) -> u64 {
        let used = self.model.as_ref().and_then(|model| model.utilisation()).unwrap_or_default();
        self.stats.http.error_5xx.get() + used.throttled_gets + used.throttled_puts
    }

    pub fn budget(&self) -> Option<&Arc<Budget>> {
        self.owner.budget.as_ref()
    }

    /// Notes the keys of blocks that are going to be stored in a volume, so that no PUT waits for the disk.
    ///
    /// # Errors
    /// The run journal's: a full disk.
    pub async fn announce(&self, keys: Vec<String>) -> Result<(), Error> {
        self.journal.announce(keys).await
    }

    /// Returns, with the reason, when nothing more can be stored here: out of money, or keys cannot be noted.
    pub async fn ended(&self) -> End {
        let out_of_money = async {
            match &self.owner.budget {
                Some(budget) => budget.exhausted().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.journal.failed() => {}
            () = out_of_money => {}
        }
        self.has_ended().unwrap_or(End::OutOfMoney)
    }

    /// As [`Place::ended`], now.
    pub fn has_ended(&self) -> Option<End> {
        let exhausted = || self.owner.budget.as_ref().is_some_and(|budget| budget.is_exhausted());
        match self.journal.failure() {
            Some(error) => Some(End::CannotNote(error)),
            None => exhausted().then_some(End::OutOfMoney),
        }
    }

    /// What the objects of a volume here are named by.
    pub fn volume_prefix(&self, name: &str) -> String {
        format!("{}{name}-", self.prefix)
    }

    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Opens a volume under `name` in this place. `settings` need not know where that is. With a cache file in them it gets
    /// an empty one of its own.
    pub async fn open(&self, settings: &Settings, name: &str) -> Result<Stack> {
        let mut settings = of_a_run(settings);
        settings.location = self.access.settings.location.clone();
        settings.volume.prefix = self.volume_prefix(name);
        let parts = Parts {
            backend: Some(self.backend.clone()),
            ..Parts::for_process(self.access.password.clone(), self.access.access_key.clone())
        };
        let disk = own_cache_file(&settings)?;
        Ok(Stack::open_on(&settings, parts, disk).await?)
    }

    /// Requests take the model's time from now on; no effect without a model.
    pub fn model_on(&self, seed: u64) {
        if let Some(model) = &self.model {
            model.switch_on(seed);
        }
    }

    /// Requests take the store's own time: for all that is not measured.
    pub fn model_off(&self) {
        if let Some(model) = &self.model {
            model.switch_off();
        }
    }

    /// Deletes some of what was written, patiently and at the store's own speed.
    ///
    /// # Errors
    /// The first key's that could not be deleted.
    pub async fn delete(&self, keys: &BTreeSet<String>) -> Result<()> {
        self.model_off();
        let patient = Retrying::new(self.journal.clone(), self.access.settings.retry.clone(), Arc::default());
        match delete_all(&patient, keys, |_| {}).await.first_error {
            Some(error) => bail!("cannot delete in {}: {error}", self.journal.describe()),
            None => Ok(()),
        }
    }

    /// Deletes what was written, at the store's own speed. Nothing can be stored here afterwards.
    pub async fn clean(&self) -> Cleaned {
        self.model_off();
        let mut cleaned = self.journal.clean().await;
        if let Some(run) = &self.owner.run
            && let Err(error) = run.left(&self.journal.written())
        {
            cleaned.first_error.get_or_insert_with(|| format!("{error:#}"));
        }
        cleaned
    }
}

/// Why nothing more can be stored.
#[derive(Clone, Debug)]
pub enum End {
    OutOfMoney,
    /// A key cannot be noted on disk: it is full, most likely.
    CannotNote(Error),
}

/// Creates the object that says who works here.
async fn mark(store: &Retrying, key: &str, run: Option<&RunDirectory>) -> Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = rustix::process::geteuid().as_raw();
    let run = run.map_or("", |run| &run.description.id);
    let now = jiff::Timestamp::try_from(clock::wall()).context("this machine's clock")?;
    // The number makes it ours alone, also where two of us start in the same second.
    let nonce: u64 = rand::random();
    let text = format!(
        "s3b-tuner works under this prefix and deletes what it stored when it ends; after a crash, `s3b-tuner clean` does\n\
         run {run}\nhost {host}\nuser {user}\npid {}\ntime {now:.0}\nnonce {nonce:016x}\n",
        std::process::id()
    );
    let body = Bytes::from(text);
    let stored = store.put(key, ObjectHeaders::default(), body.clone(), PutIf::Absent).await;
    stored.with_context(|| format!("cannot create {key} in {}", store.describe()))?;
    // A server that ignores the condition may have replaced another's.
    match store.get(key, GetIf::Always, MARKER_MOST).await.with_context(|| format!("cannot read {key} back"))? {
        Got::Object(object) if object.body == body => Ok(()),
        _ => bail!("{key} in {} is not what was just stored: another run works here; start again", store.describe()),
    }
}

/// An empty cache file on the disk of the one that the settings name, or among temporary files where that is not possible.
/// It has no name as soon as it is open: nothing of it stays, whatever ends this program.
fn own_cache_file(settings: &Settings) -> Result<Option<Arc<dyn CacheDisk>>> {
    let cache = &settings.block_cache;
    let Some(named) = &cache.file else { return Ok(None) };
    let folder = || tempfile::Builder::new().prefix(OWN_PREFIX).tempdir_in(folder_of(named));
    let folder = folder().or_else(|_| tempfile::Builder::new().prefix(OWN_PREFIX).tempdir());
    let folder = folder.context("cannot make a temporary folder for a run's cache file")?;
    let disk = FileDisk::open(&folder.path().join("cache"), cache.file_advise)?;
    folder.close().context("cannot remove the temporary folder of a run's cache file")?;
    Ok(Some(Arc::new(disk)))
}

/// One request shows in seconds what no waiting would mend.
pub(crate) async fn open_store(access: &Access, stats: &Arc<Stats>) -> Result<Arc<dyn ObjectBackend>> {
    match &access.settings.location {
        Location::Memory => Ok(Arc::new(Memory::new())),
        Location::Directory(path) => {
            let directory = Directory::open(path)?;
            directory.lock()?;
            Ok(Arc::new(directory))
        }
        Location::Bucket(bucket) => {
            let parts = Parts::for_process(None, access.access_key.clone());
            Ok(Arc::new(open_bucket(bucket, &access.settings, &parts, stats).await?))
        }
    }
}

#[cfg(test)]
mod tests {
    use s3b_engine::settings::{Durability, VolumeSettings};

    use super::*;
    use crate::outcome::PriceTable;
    use crate::prices::Reader;

    fn access(location: Location) -> Access {
        let settings = Settings { location, ..Settings::default() };
        Access { settings, password: None, access_key: None }
    }

    async fn claim_in(memory: &Arc<Memory>, owner: Owner, number: u64) -> Result<Place> {
        let access = access(Location::Memory);
        Place::claim_in(memory.clone(), &access, None, owner, Arc::default(), number).await
    }

    #[tokio::test]
    async fn a_prefix_that_holds_anything_is_refused() {
        for key in ["s3b-tuner-0000000000000007-x", "s3b-tuner-0000000000000007-s3backer-mounted"] {
            let memory = Arc::new(Memory::new());
            memory.insert(key, ObjectHeaders::default(), "x");
            let refused = claim_in(&memory, Owner::default(), 7).await.err().unwrap();
            assert!(refused.to_string().contains(key), "{refused}");
            assert_eq!(memory.keys(), [key]);
            let place = claim_in(&memory, Owner::default(), 8).await.unwrap();
            let marker = memory.object(&format!("{}{MARKER}", place.prefix())).unwrap();
            let text = String::from_utf8(marker.body.to_vec()).unwrap();
            assert!(text.contains(&format!("pid {}\n", std::process::id())) && text.contains("host "), "{text}");
            let other = claim_in(&memory, Owner::default(), 8).await.err().unwrap();
            assert!(other.to_string().contains("already holds"), "{other}");
        }
    }

    #[tokio::test]
    async fn what_appears_under_the_prefix_survives() {
        let memory = Arc::new(Memory::new());
        let place = claim_in(&memory, Owner::default(), 1).await.unwrap();
        let theirs = [format!("{}theirs", place.prefix()), format!("{}v-00000001", place.prefix())];
        let settings = Settings {
            volume: VolumeSettings { size: Some(1 << 20), ..VolumeSettings::default() },
            ..Settings::default()
        };
        let stack = place.open(&settings, "v").await.unwrap();
        for key in &theirs {
            memory.insert(key, ObjectHeaders::default(), "x");
        }
        stack.volume().write(0, vec![1; 4096].into()).await.unwrap();
        stack.close().await.unwrap();
        assert!(memory.keys().contains(&format!("{}v-00000000", place.prefix())));
        let cleaned = place.clean().await;
        assert!(cleaned.deleted >= 2 && cleaned.left == 0, "{cleaned:?}");
        assert_eq!(memory.keys(), theirs, "one of them looks like a block of ours, but we never stored it");
    }

    #[tokio::test]
    async fn a_run_without_money_ends_and_still_cleans_up() {
        let memory = Arc::new(Memory::new());
        let prices = PriceTable::standard();
        // A listing, a PUT and a GET of a marker, and a little.
        let budget = Budget::new(prices, Reader::InRegion, Some(0.000_02));
        let place = claim_in(&memory, Owner { budget: Some(budget.clone()), run: None }, 1).await.unwrap();
        let objects = place.objects();
        for n in 0..10 {
            let key = format!("{}{n}", place.prefix());
            let _ = objects.put(&key, ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always).await;
        }
        assert!(matches!(place.ended().await, End::OutOfMoney));
        assert!(budget.dollars() <= 0.000_02 && memory.keys().len() < 4);
        assert_eq!(place.clean().await.left, 0);
        assert!(memory.keys().is_empty());
    }

    #[tokio::test]
    async fn a_run_has_a_cache_file_of_its_own_and_leaves_none() {
        let memory = Arc::new(Memory::new());
        let place = claim_in(&memory, Owner::default(), 1).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("disk1");
        std::fs::write(&theirs, "of a mount").unwrap();
        let mut settings = Settings::default();
        (settings.volume.size, settings.durability) = (Some(1 << 20), Durability::Journal);
        settings.block_cache.file = Some(theirs.clone());
        settings.block_cache.write_delay = std::time::Duration::from_secs(3600);
        let stack = place.open(&settings, "v").await.unwrap();
        stack.volume().write(0, vec![1; 4096].into()).await.unwrap();
        let puts = place.counts().puts.get();
        stack.volume().flush().await.unwrap();
        assert_eq!(place.counts().puts.get(), puts, "the flush went to the file, not to the store");
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!((names, std::fs::read(&theirs).unwrap()), (vec!["disk1".into()], b"of a mount".to_vec()));
        stack.close().await.unwrap();
        assert_eq!(place.counts().puts.get(), puts + 1);
        // Where it cannot lie beside the one that is named, it lies among temporary files.
        settings.block_cache.file = Some(folder.path().join("no/such/disk1"));
        place.open(&settings, "w").await.unwrap().close().await.unwrap();
        assert_eq!(place.clean().await.left, 0);
    }

    #[tokio::test]
    async fn an_address_where_nobody_answers_is_not_waited_for() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut access = access(Location::Bucket("mine".into()));
        access.settings.s3.base_url = Some(format!("http://{}/", silent.local_addr().unwrap()));
        access.settings.s3.credentials.access_id = Some(String::new());
        access.settings.retry.mount_patience = std::time::Duration::from_millis(100);
        let error = format!("{:#}", Place::claim_for(&access, None, Owner::default()).await.err().unwrap());
        let parts = ["bucket mine", "no answer within 100ms", "--base-url"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let access = access(Location::Directory("/no/such/dir".into()));
        let error = format!("{:#}", Place::claim_for(&access, None, Owner::default()).await.err().unwrap());
        assert!(error.contains("/no/such/dir"), "{error}");
    }
}

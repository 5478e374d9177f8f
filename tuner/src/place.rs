//! Where a run works: a prefix of its own in a store, with a journal of what it wrote.
//!
//! It never looks at, changes or deletes anything else. The prefix is random; one that holds anything is refused.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use s3b_engine::directory::Directory;
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectBackend;
use s3b_engine::retry::Retrying;
use s3b_engine::settings::{Durability, Location, Settings};
use s3b_engine::stack::{Parts, Stack, open_bucket};
use s3b_engine::wrap::{Counting, Counts};

use crate::connection::Access;
use crate::cost::Requests;
use crate::journal::{Cleaned, Journal};
use crate::model::{StoreModel, Switched};

/// A claimed prefix.
pub struct Place {
    /// Below everything, patient with a store that is busy: for listing and cleaning up.
    journal: Arc<Journal>,
    counts: Arc<Counts>,
    backend: Arc<dyn ObjectBackend>,
    model: Option<Arc<Switched>>,
    access: Access,
    prefix: String,
}

impl Place {
    /// Connects to the store that `access` names and claims a random prefix below its prefix.
    ///
    /// # Errors
    /// The store's own, or a prefix that already holds something.
    pub async fn claim(access: &Access, model: Option<StoreModel>) -> Result<Self> {
        let store = open_store(access).await.context("cannot open the store")?;
        Self::claim_in(store, access, model, rand::random()).await
    }

    async fn claim_in(
        store: Arc<dyn ObjectBackend>,
        access: &Access,
        model: Option<StoreModel>,
        number: u32,
    ) -> Result<Self> {
        let prefix = format!("{}s3b-tuner-{number:08x}-", access.settings.volume.prefix);
        let patient: Arc<dyn ObjectBackend> =
            Arc::new(Retrying::new(store.clone(), access.settings.retry.clone(), Arc::default()));
        let page = patient.list(&prefix, "").await.with_context(|| format!("cannot list {}", store.describe()))?;
        if let Some(key) = page.keys.first() {
            bail!("{} already holds {key}: the tuner works only in an empty prefix; start it again", store.describe());
        }
        let counting = Counting::new(store);
        let counts = counting.counts();
        let journal = Arc::new(Journal::new(Arc::new(counting), patient));
        let mut access = access.clone();
        let mut backend: Arc<dyn ObjectBackend> = journal.clone();
        let model = model.map(|model| Switched::new(journal.clone(), model).map(Arc::new)).transpose()?;
        if let Some(model) = &model {
            backend = model.clone();
            // The engine then does all that it does for a bucket (mount token, price of a survey), as it should here.
            access.settings.location = Location::Bucket("modelled".into());
        }
        Ok(Self { journal, counts, backend, model, access, prefix })
    }

    /// All requests sent here so far.
    pub fn requests(&self) -> Requests {
        Requests::of(&self.counts)
    }

    /// The objects themselves: counted, noted for cleaning up, without patience and without the model.
    pub fn objects(&self) -> Arc<dyn ObjectBackend> {
        self.journal.clone()
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Opens a volume under `name` in this place. `settings` need not know where that is.
    pub async fn open(&self, settings: &Settings, name: &str) -> Result<Stack> {
        let mut settings = of_our_own(settings.clone());
        settings.location = self.access.settings.location.clone();
        settings.volume.prefix = format!("{}{name}-", self.prefix);
        let parts = Parts {
            backend: Some(self.backend.clone()),
            ..Parts::for_process(self.access.password.clone(), self.access.access_key.clone())
        };
        Ok(Stack::open(&settings, parts).await?)
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

    /// Deletes what was written, at the store's own speed.
    pub async fn clean(&self) -> Cleaned {
        self.model_off();
        self.journal.clean().await
    }
}

/// Without what belongs to the user's own mount: above all its cache file, which no run may touch.
fn of_our_own(mut settings: Settings) -> Settings {
    let cache = &mut settings.block_cache;
    (cache.file, cache.offline, cache.recover_dirty, cache.preload) = (None, false, false, false);
    (settings.volume.read_only, settings.volume.force) = (false, false);
    if settings.durability == Durability::Journal {
        settings.durability = Durability::Store;
    }
    settings
}

/// What a run leaves out of the settings it was given, for the user to know.
pub fn left_out(settings: &Settings) -> Option<&'static str> {
    (of_our_own(settings.clone()) != *settings).then_some(
        "runs start from an empty cache in memory: cache file, preload, offline, read-only and durability=journal are not \
         used here",
    )
}

/// One request shows in seconds what no waiting would mend.
async fn open_store(access: &Access) -> Result<Arc<dyn ObjectBackend>> {
    match &access.settings.location {
        Location::Memory => Ok(Arc::new(Memory::new())),
        Location::Directory(path) => {
            let directory = Directory::open(path)?;
            directory.lock()?;
            Ok(Arc::new(directory))
        }
        Location::Bucket(bucket) => {
            let parts = Parts::for_process(None, access.access_key.clone());
            Ok(Arc::new(open_bucket(bucket, &access.settings, &parts, &Arc::default()).await?))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use s3b_engine::object::{ObjectHeaders, PutIf};

    use super::*;

    fn access(location: Location) -> Access {
        let settings = Settings { location, ..Settings::default() };
        Access { settings, password: None, access_key: None }
    }

    #[tokio::test]
    async fn a_prefix_that_holds_anything_is_refused() {
        let memory: Arc<dyn ObjectBackend> = Arc::new(Memory::new());
        memory
            .put("s3b-tuner-00000007-x", ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always)
            .await
            .unwrap();
        let access = access(Location::Memory);
        let refused = Place::claim_in(memory.clone(), &access, None, 7).await.err().unwrap();
        assert!(refused.to_string().contains("s3b-tuner-00000007-x"), "{refused}");
        Place::claim_in(memory, &access, None, 8).await.unwrap();
    }

    #[test]
    fn no_run_touches_the_cache_file_of_a_mount() {
        let mut settings = Settings::default();
        assert_eq!(left_out(&settings), None);
        settings.block_cache.file = Some("/var/cache/disk1".into());
        settings.durability = Durability::Journal;
        assert!(left_out(&settings).is_some());
        assert_eq!(of_our_own(settings), Settings::default());
    }

    #[tokio::test]
    async fn an_address_where_nobody_answers_is_not_waited_for() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut access = access(Location::Bucket("mine".into()));
        access.settings.s3.base_url = Some(format!("http://{}/", silent.local_addr().unwrap()));
        access.settings.s3.credentials.access_id = Some(String::new());
        access.settings.retry.mount_patience = std::time::Duration::from_millis(100);
        let error = format!("{:#}", Place::claim(&access, None).await.err().unwrap());
        let parts = ["bucket mine", "no answer within 100ms", "--base-url"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let access = access(Location::Directory("/no/such/dir".into()));
        let error = format!("{:#}", Place::claim(&access, None).await.err().unwrap());
        assert!(error.contains("/no/such/dir"), "{error}");
    }
}

//! Where a run works: a prefix of its own in a store, with a journal of what it wrote.
//!
//! It never looks at, changes or deletes anything else. The prefix is random; one that holds anything is refused.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use s3b_engine::cpu::Cpu;
use s3b_engine::directory::Directory;
use s3b_engine::memory::Memory;
use s3b_engine::object::ObjectBackend;
use s3b_engine::settings::{Location, Settings};
use s3b_engine::stack::{Parts, Stack};
use secrecy::SecretString;

pub use crate::connection::Access;
use crate::journal::{Cleaned, Journal};
use crate::model::{Model, ModelSettings};

/// A claimed prefix.
pub struct Place {
    journal: Arc<Journal>,
    backend: Arc<dyn ObjectBackend>,
    model: Option<Arc<Model>>,
    prefix: String,
    password: Option<SecretString>,
    access_key: Option<SecretString>,
}

impl Place {
    /// Connects to the store that `access` names and claims a random prefix below its prefix.
    ///
    /// # Errors
    /// The store's own, or a prefix that already holds something.
    pub async fn claim(access: &Access, model: Option<ModelSettings>) -> Result<Self> {
        let store = open_store(&access.settings.location).context("cannot open the store")?;
        let prefix = format!("{}s3b-tuner-{:08x}-", access.settings.volume.prefix, rand::random::<u32>());
        let place = Self::claim_prefix(store, prefix, model).await?;
        Ok(Self { password: access.password.clone(), access_key: access.access_key.clone(), ..place })
    }

    async fn claim_prefix(store: Arc<dyn ObjectBackend>, prefix: String, model: Option<ModelSettings>) -> Result<Self> {
        let page = store.list(&prefix, "").await.with_context(|| format!("cannot list {}", store.describe()))?;
        if let Some(key) = page.keys.first() {
            bail!("{} already holds {key}: the tuner works only in an empty prefix; start it again", store.describe());
        }
        let journal = Arc::new(Journal::new(store));
        let model = model.map(|settings| Arc::new(Model::new(journal.clone(), settings)));
        let backend: Arc<dyn ObjectBackend> = match &model {
            Some(model) => model.clone(),
            None => journal.clone(),
        };
        Ok(Self { journal, backend, model, prefix, password: None, access_key: None })
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Opens a volume under `name` in this place. `settings` need not know where that is.
    pub async fn open(&self, settings: &Settings, name: &str) -> Result<Stack> {
        let mut settings = settings.clone();
        settings.volume.prefix = format!("{}{name}-", self.prefix);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = Parts {
            backend: Some(self.backend.clone()),
            cpu: Cpu::pool(cpus),
            password: self.password.clone(),
            access_key: self.access_key.clone(),
        };
        Ok(Stack::open(&settings, parts).await?)
    }

    /// Whether requests take the model's time. Off for what is not measured; no effect without a model.
    pub fn switch_model(&self, on: bool) {
        if let Some(model) = &self.model {
            model.switch(on);
        }
    }

    /// Deletes what was written, at the store's own speed.
    pub async fn clean(&self) -> Cleaned {
        self.switch_model(false);
        self.journal.clean().await
    }
}

fn open_store(location: &Location) -> Result<Arc<dyn ObjectBackend>> {
    match location {
        Location::Memory => Ok(Arc::new(Memory::new())),
        Location::Directory(path) => {
            let directory = Directory::open(path)?;
            directory.lock()?;
            Ok(Arc::new(directory))
        }
        Location::Bucket(name) => bail!("--bucket={name}: this build has no S3 client"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use s3b_engine::object::{ObjectHeaders, PutIf};

    use super::*;

    #[tokio::test]
    async fn a_prefix_that_holds_anything_is_refused() {
        let memory: Arc<dyn ObjectBackend> = Arc::new(Memory::new());
        memory.put("mine-00000000", ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always).await.unwrap();
        let refused = Place::claim_prefix(memory.clone(), "mine-".into(), None).await.err().unwrap();
        assert!(refused.to_string().contains("mine-00000000"), "{refused}");
        Place::claim_prefix(memory, "mine-2".into(), None).await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let settings = Settings { location: Location::Directory("/no/such/dir".into()), ..Settings::default() };
        let access = Access { settings, password: None, access_key: None };
        let error = format!("{:#}", Place::claim(&access, None).await.err().unwrap());
        assert!(error.contains("/no/such/dir"), "{error}");
    }
}

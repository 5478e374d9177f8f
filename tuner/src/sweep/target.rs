//! Which store a sweep is about: a model alone, a bucket, a directory, or a directory behind a model.

use std::time::Duration;

use anyhow::{Result, bail};
use s3b_engine::settings::{Location, SurveyMode};

use crate::connection::{Access, Connection};
use crate::model::{StoreModel, shipped, text};
use crate::outcome::{Place, PlaceKind};

/// See the module.
#[derive(Clone)]
pub struct Target {
    /// With the user's settings; the volumes of a sweep are as large as their workloads.
    pub access: Access,
    /// What is simulated; around a directory, what it is slowed down by as well. Nothing: to be learnt by probing
    /// (a bucket), or not to be simulated at all (a directory).
    pub model: Option<StoreModel>,
    /// As the user wants it for mounts.
    pub survey: SurveyMode,
}

impl Target {
    /// # Errors
    /// Flags that contradict each other, or a model that cannot be read.
    pub fn of(connection: &Connection, model: Option<&str>, latency: Option<Duration>) -> Result<Self> {
        let mut access = connection.resolve()?;
        access.settings.volume.size = None;
        // A survey belongs to a mount, not to a workload: here its listings would only blur the costs.
        let survey = access.settings.zero_map.survey;
        if survey == SurveyMode::Auto {
            access.settings.zero_map.survey = SurveyMode::Off;
        }
        let asked = match (model, latency) {
            (Some(name), _) => Some(StoreModel::named(name)?),
            (None, Some(latency)) => Some(shipped::standard().with_first_byte_ms(latency.as_secs_f64() * 1e3)),
            (None, None) => None,
        };
        let model = match &access.settings.location {
            Location::Bucket(name) if latency.is_some() => {
                bail!("--latency with --bucket={name}: a bucket has its own latency; leave one of them out")
            }
            Location::Memory => Some(asked.unwrap_or_else(shipped::standard)),
            _ => asked,
        };
        Ok(Self { access, model, survey })
    }

    pub fn is_model_only(&self) -> bool {
        self.access.settings.location == Location::Memory
    }

    pub fn is_bucket(&self) -> bool {
        matches!(self.access.settings.location, Location::Bucket(_))
    }

    /// A directory and nothing else: it says nothing about a store.
    pub fn is_bare_directory(&self) -> bool {
        matches!(self.access.settings.location, Location::Directory(_)) && self.model.is_none()
    }

    /// The line of the price table.
    pub fn price_class(&self) -> &str {
        self.model.as_ref().map_or("s3-standard", |model| &model.price.class)
    }

    /// For the outcome. A bucket in which nothing ran is named together with what was simulated in its place.
    ///
    /// # Errors
    /// A model that cannot be written down.
    pub fn place(&self, simulated: Option<&StoreModel>, ran: bool) -> Result<Place> {
        let model = || simulated.map(StoreModel::describe);
        let (kind, description) = match &self.access.settings.location {
            Location::Memory => (PlaceKind::Model, model().unwrap_or_default()),
            Location::Bucket(name) => {
                let instead = model().filter(|_| !ran).map(|model| format!(", simulated on {model}"));
                (PlaceKind::Bucket, format!("bucket {name}{}", instead.unwrap_or_default()))
            }
            Location::Directory(path) => {
                let path = path.display();
                let behind = model().map_or_else(|| "a bare directory".to_owned(), |model| format!("behind {model}"));
                (PlaceKind::Directory, format!("{path}, {behind}"))
            }
        };
        let model_toml = simulated.map(|model| text::write(model, &[])).unwrap_or_default();
        Ok(Place { kind, description, model_toml, says_block_size: !self.is_bare_directory() })
    }
}

#[cfg(test)]
mod tests {
    use s3b_engine::settings::Settings;

    use super::*;

    #[test]
    fn a_bucket_in_which_nothing_ran_is_named_with_its_model() {
        let settings = Settings { location: Location::Bucket("b".into()), ..Settings::default() };
        let access = Access { settings, password: None, access_key: None };
        let target = Target { access, model: None, survey: SurveyMode::Off };
        let described = |ran| target.place(Some(&shipped::standard()), ran).unwrap().description;
        assert_eq!(described(true), "bucket b");
        assert!(described(false).starts_with("bucket b, simulated on a model of s3-standard"), "{}", described(false));
    }
}

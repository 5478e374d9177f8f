//! Deletes what a run that is no longer alive left in a store: exactly the keys that it noted, never what a listing shows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use s3b_engine::clock;
use s3b_engine::object::ObjectBackend;
use s3b_engine::retry::Retrying;
use s3b_engine::settings::Location;

use crate::connection::Access;
use crate::journal::{Cleaned, delete_all};
use crate::place::{OWN_PREFIX, open_store};
use crate::runs::{Found, State, Whereabouts, keys, lock};

/// A server goes on with what a killed client had sent: a PUT that it had all of may be stored after the object was deleted.
const STRAGGLING: Duration = Duration::from_secs(2);
/// A run whose last key is older has nothing on its way.
const LATELY: Duration = Duration::from_secs(120);

/// The access with the store of the run where none is named.
///
/// # Errors
/// Another one is named.
pub fn fill_in(access: &mut Access, run: &Found) -> Result<()> {
    let Some(description) = &run.description else { return Ok(()) };
    let (recorded, settings) = (&description.place, &mut access.settings);
    if settings.location == Location::Memory {
        settings.location = match (&recorded.bucket, &recorded.directory) {
            (Some(bucket), _) => Location::Bucket(bucket.clone()),
            (None, Some(directory)) => Location::Directory(directory.clone()),
            (None, None) => Location::Memory,
        };
        settings.volume.prefix.clone_from(&recorded.prefix);
    }
    let s3 = &mut settings.s3;
    s3.base_url = s3.base_url.take().or_else(|| recorded.base_url.clone());
    s3.region = s3.region.take().or_else(|| recorded.region.clone());
    let given = Whereabouts::of(settings);
    let same = (given.bucket.as_ref(), given.directory.as_ref(), given.base_url.as_ref())
        == (recorded.bucket.as_ref(), recorded.directory.as_ref(), recorded.base_url.as_ref());
    if !same {
        bail!(
            "run {} worked in {} ({}), not in {} ({}); leave --bucket, --test and --base-url out",
            run.id,
            recorded.describe(),
            recorded.base_url.as_deref().unwrap_or("Amazon's endpoint"),
            given.describe(),
            given.base_url.as_deref().unwrap_or("Amazon's endpoint"),
        );
    }
    Ok(())
}

/// Deletes the objects of a run; what could not be deleted stays noted.
///
/// # Errors
/// A run that is alive, a noted key that no run of ours can have written, or the store's own.
pub async fn clean(access: &Access, run: &Found) -> Result<Cleaned> {
    // Held to the end, so that nobody resumes it meanwhile.
    let Some(_lock) = lock(&run.path)?.filter(|_| run.state != State::Alive) else {
        bail!("run {} is alive; stop it first (Ctrl-C), it cleans up itself", run.id);
    };
    let noted = keys::read(&run.path)?;
    let prefix = run.description.as_ref().map_or("", |description| &description.place.prefix);
    let own = format!("{prefix}{OWN_PREFIX}");
    if let Some(foreign) = noted.iter().find(|key| !key.starts_with(&own)) {
        bail!("{}: {foreign:?} is no key of a run ({own}...); nothing is deleted", run.path.join(keys::FILE).display());
    }
    if noted.is_empty() {
        return Ok(Cleaned::default());
    }
    let store = open_store(access, &Arc::default()).await?;
    let patient: Arc<dyn ObjectBackend> = Arc::new(Retrying::new(store, access.settings.retry.clone(), Arc::default()));
    let mut left: BTreeSet<String> = noted.clone();
    let mut cleaned = delete_all(&*patient, &noted, |key| {
        left.remove(key);
    })
    .await;
    if was_alive_lately(run) {
        clock::sleep(STRAGGLING).await;
        // Deleting is free, and what is not there can be deleted too.
        left.clone_from(&noted);
        let again = delete_all(&*patient, &noted, |key| {
            left.remove(key);
        })
        .await;
        cleaned = Cleaned { deleted: cleaned.deleted.max(again.deleted), ..again };
    }
    keys::replace(&run.path, &left)?;
    Ok(cleaned)
}

/// Whether what the run had sent when it was killed may not be stored yet.
fn was_alive_lately(run: &Found) -> bool {
    let noted = std::fs::metadata(run.path.join(keys::FILE)).and_then(|file| file.modified());
    let age = noted.ok().and_then(|at| clock::wall().duration_since(at).ok());
    age.is_none_or(|age| age < LATELY)
}

//! The mount token: one object that keeps a second mount away, s3b's or s3backer's.
//!
//! Unlike its ancestor it is a lock: created with `If-None-Match: *`, and a second such PUT shows whether the server
//! honours the condition. Where it does not, the token is read back after a pause, which narrows the race but
//! cannot close it. Never breaks another's token unless told to, never deletes one that is not ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::object::{GetIf, Got, Object, ObjectBackend, ObjectHeaders, PutIf};
use crate::settings::{Durability, Settings};

const TOKEN_META: &str = "s3backer-mount-token";

/// What shared-disk mounts all write.
const SHARED: u32 = 0x7fff_ffff;

/// What a token without a readable header counts as, as in s3backer.
const OLD: u32 = 1;

/// More than any token's body.
const MAX_LEN: usize = 64 << 10;

/// How the lock is taken.
#[derive(Clone, Debug, Default)]
pub struct LockOptions {
    /// Break another's token.
    pub force: bool,
    /// Neither take the lock nor mind it.
    pub read_only: bool,
    /// Share it with other shared-disk mounts.
    pub shared_disk: bool,
    /// The token in the cache file, if a mount that did not end left one.
    pub cached_token: Option<u32>,
    /// With an equal token in the cache file: the dead mount was ours, go on where it ended. A journal is always
    /// replayed.
    pub recover_dirty: bool,
    /// The pause before reading back on servers that ignore conditions.
    pub settle: Duration,
    /// Fixes the token's value; `None`: a random one.
    pub seed: Option<u64>,
    /// The token to write, for attempts that are repeated; `None`: one of its own.
    pub claim: Option<Claim>,
}

/// A token to come. Several attempts with one claim are one mount: what an attempt left whose answer got lost is the
/// next one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim(Mine);

impl Claim {
    /// `seed` fixes the token's value; `None`: a random one.
    pub fn new(seed: Option<u64>) -> Self {
        Self(Mine::new(random_token(seed)))
    }
}

impl LockOptions {
    /// As the settings say; `cached_token` comes from the cache file.
    pub fn from_settings(settings: &Settings, cached_token: Option<u32>) -> Self {
        Self {
            force: settings.volume.force,
            read_only: settings.volume.read_only,
            shared_disk: settings.volume.shared_disk,
            cached_token,
            recover_dirty: settings.block_cache.recover_dirty || settings.durability == Durability::Journal,
            settle: settings.volume.lock_settle,
            seed: settings.test.seed,
            claim: None,
        }
    }
}

/// A token that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Positive; 1 stands for tokens of old versions.
    pub token: u32,
    /// The body on one line: host, time, and ours also the process.
    pub owner: String,
}

/// A held lock (or none, for read-only mounts). Dropping it leaves the token in the store, on purpose: only
/// [`MountLock::release`], after everything is stored, says that the volume is free.
pub struct MountLock {
    backend: Arc<dyn ObjectBackend>,
    key: String,
    mine: Option<Mine>,
}

/// What we wrote: the value for s3backer and the cache file, the body to tell two mounts with one seed apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mine {
    token: u32,
    body: Bytes,
}

impl MountLock {
    /// Takes the lock, an object called `key`. Answers with notices for the user, a line each.
    ///
    /// # Errors
    /// `Busy`, naming the owner and the ways out.
    pub async fn acquire(
        backend: &Arc<dyn ObjectBackend>,
        key: &str,
        options: &LockOptions,
    ) -> Result<(Self, Vec<String>)> {
        let mut lock = Self { backend: backend.clone(), key: key.into(), mine: None };
        let mut notices = Vec::new();
        let found = lock.get().await?;
        if let (Some(object), Some(Claim(mine))) = (&found, &options.claim)
            && Mine::of(object) == *mine
        {
            lock.mine = Some(mine.clone());
            return Ok((lock, notices));
        }
        let holder = found.as_ref().map(Holder::of);
        if options.read_only {
            if let Some(holder) = holder.filter(|holder| holder.token != SHARED) {
                notices.push(format!("the volume is mounted for writing ({}): reads may be stale", holder.owner));
            }
            return Ok((lock, notices));
        }
        if options.shared_disk {
            if let Some(holder) = holder.filter(|holder| holder.token != SHARED) {
                break_or_refuse(&holder, options, &mut notices)?;
            }
            let mine = Mine::new(SHARED);
            lock.put(&mine, PutIf::Always).await?;
            lock.mine = Some(mine);
            return Ok((lock, notices));
        }
        let Claim(mine) = options.claim.clone().unwrap_or_else(|| Claim::new(options.seed));
        let taken = match holder {
            Some(holder) => {
                break_or_refuse(&holder, options, &mut notices)?;
                lock.replace(&mine).await
            }
            None => lock.create(&mine, options, &mut notices).await,
        };
        if let Err(error) = taken {
            return Err(lock.give_back(&mine, error).await);
        }
        lock.mine = Some(mine);
        Ok((lock, notices))
    }

    /// The lock that an attempt with this claim may have taken; to be released, if so.
    pub fn of_claim(backend: &Arc<dyn ObjectBackend>, key: &str, Claim(mine): &Claim) -> Self {
        Self { backend: backend.clone(), key: key.into(), mine: Some(mine.clone()) }
    }

    /// The value the cache file keeps; `None` for a read-only mount.
    pub fn token(&self) -> Option<u32> {
        self.mine.as_ref().map(|mine| mine.token)
    }

    /// Gives the lock back, if the token still is ours. Call it only when nothing is dirty. Answers a
    /// notice when there was another's token, or none, which both mean that somebody else may have written.
    pub async fn release(self) -> Result<Option<String>> {
        let Some(mine) = self.mine.as_ref().filter(|mine| mine.token != SHARED) else {
            return Ok(None);
        };
        let Some(object) = self.get().await? else {
            return Ok(Some(format!("the mount token {} was removed while the volume was mounted", self.key)));
        };
        if Mine::of(&object) != *mine {
            let owner = Holder::of(&object).owner;
            return Ok(Some(format!(
                "another mount has taken the volume over ({owner}); its token {} stays",
                self.key
            )));
        }
        let deleted = self.backend.delete(&self.key).await;
        deleted.map_err(|error| error.context(format!("release the mount token {}", self.key)))?;
        Ok(None)
    }

    /// What to tell a user whose mount ends without [`MountLock::release`].
    pub fn left_behind(&self) -> Option<String> {
        let mine = self.mine.as_ref().filter(|mine| mine.token != SHARED)?;
        Some(format!(
            "the mount token {} ({:08x}) stays: to store what only the cache file has, mount again with the same \
             --block-cache-file and --block-cache-recover-dirty-blocks; to give it up, s3b reset-mounted-flag",
            self.key, mine.token
        ))
    }

    async fn get(&self) -> Result<Option<Object>> {
        read(&self.backend, &self.key).await
    }

    async fn put(&self, mine: &Mine, condition: PutIf) -> Result<Option<ETag>> {
        let headers = ObjectHeaders {
            content_type: Some("text/plain"),
            meta: vec![(TOKEN_META.into(), format!("{:08x}", mine.token))],
            ..ObjectHeaders::default()
        };
        let stored = self.backend.put(&self.key, headers, mine.body.clone(), condition).await;
        stored.map_err(|error| error.context(format!("write the mount token {}", self.key)))
    }

    async fn replace(&self, mine: &Mine) -> Result<()> {
        self.put(mine, PutIf::Always).await?;
        self.read_back(mine).await
    }

    /// Nobody held it a moment ago.
    async fn create(&self, mine: &Mine, options: &LockOptions, notices: &mut Vec<String>) -> Result<()> {
        match self.put(mine, PutIf::Absent).await {
            Ok(_) => {}
            // Another was faster; or a repeated request met its own first attempt.
            Err(error) if error.kind() == ErrorKind::Conflict => self.read_back(mine).await?,
            // The server refuses conditions outright.
            Err(error) if error.kind() == ErrorKind::Failed => {
                self.put(mine, PutIf::Always).await?;
            }
            Err(error) => return Err(error),
        }
        match self.put(mine, PutIf::Absent).await {
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Failed => return Err(error),
            Ok(_) | Err(_) => {}
        }
        notices.push(format!(
            "{} ignores If-None-Match, so two mounts at the same moment might both succeed: never mount twice",
            self.backend.describe()
        ));
        clock::sleep(options.settle).await;
        self.read_back(mine).await
    }

    /// Taking the lock failed, perhaps after the token was written: no failed mount may lock the volume.
    async fn give_back(&self, mine: &Mine, error: Error) -> Error {
        let left = match self.get().await {
            Ok(Some(object)) if Mine::of(&object) == *mine => self.backend.delete(&self.key).await.is_err(),
            Ok(_) => false,
            Err(_) => true,
        };
        if !left {
            return error;
        }
        error.context(format!("the mount token {} may be left over (then: s3b reset-mounted-flag)", self.key))
    }

    /// Whether the token in the store is ours.
    async fn read_back(&self, mine: &Mine) -> Result<()> {
        match self.get().await? {
            Some(object) if Mine::of(&object) == *mine => Ok(()),
            Some(object) => Err(busy(&Holder::of(&object), "has just taken it")),
            None => Err(Error::transient(format!("the mount token {} vanished at once", self.key))),
        }
    }
}

/// Who holds the volume, for `s3b info` and messages.
pub async fn holder(backend: &Arc<dyn ObjectBackend>, key: &str) -> Result<Option<Holder>> {
    Ok(read(backend, key).await?.as_ref().map(Holder::of))
}

/// Deletes the token, whoever's it is (`s3b reset-mounted-flag`). Answers whose it was.
pub async fn reset(backend: &Arc<dyn ObjectBackend>, key: &str) -> Result<Option<Holder>> {
    let held = holder(backend, key).await?;
    backend.delete(key).await.map_err(|error| error.context("delete the mount token"))?;
    Ok(held)
}

async fn read(backend: &Arc<dyn ObjectBackend>, key: &str) -> Result<Option<Object>> {
    match backend.get(key, GetIf::Always, MAX_LEN).await {
        Ok(Got::Object(object)) => Ok(Some(object)),
        Ok(Got::Absent) => Ok(None),
        Ok(Got::NotModified | Got::Mismatch) => {
            Err(Error::transient(format!("mount token {key}: an answer to no question")))
        }
        Err(error) => Err(error.context(format!("read the mount token {key}"))),
    }
}

fn break_or_refuse(holder: &Holder, options: &LockOptions, notices: &mut Vec<String>) -> Result<()> {
    let ours = options.cached_token == Some(holder.token);
    if ours && options.recover_dirty {
        notices.push(format!("going on after a mount that did not end ({})", holder.owner));
        return Ok(());
    }
    if options.force {
        notices.push(format!("took the volume over from {}, because of --force", holder.owner));
        return Ok(());
    }
    let more = match options.cached_token {
        Some(_) if ours => {
            "by a mount that did not end and left its data in the cache file: \
             --block-cache-recover-dirty-blocks stores them"
        }
        Some(_) => "and not by the mount the cache file is of",
        None => "",
    };
    Err(busy(holder, more))
}

fn busy(holder: &Holder, more: &str) -> Error {
    let (owner, gap) = (&holder.owner, if more.is_empty() { "" } else { ", " });
    let text = format!(
        "the volume is mounted by {owner}{gap}{more}; unmount it there, or, if that mount is surely dead, \
         s3b reset-mounted-flag or --force"
    );
    Error::new(ErrorKind::Busy, text)
}

fn random_token(seed: Option<u64>) -> u32 {
    // Not 1, which old tokens count as.
    let range = OLD + 1..SHARED;
    match seed {
        Some(seed) => StdRng::seed_from_u64(seed).random_range(range),
        None => rand::rng().random_range(range),
    }
}

impl Holder {
    fn of(object: &Object) -> Self {
        let owner = String::from_utf8_lossy(&object.body).split_whitespace().collect::<Vec<_>>().join(" ");
        let owner = if owner.is_empty() { "an unknown mount".into() } else { owner };
        Self { token: token_of(&object.headers), owner }
    }
}

/// Zero, unreadable and missing headers are the boolean flag of old versions.
fn token_of(headers: &ObjectHeaders) -> u32 {
    let value = headers.meta(TOKEN_META).and_then(|digits| u32::from_str_radix(digits.trim(), 16).ok());
    value.filter(|value| (1..=SHARED).contains(value)).unwrap_or(OLD)
}

impl Mine {
    /// s3backer's body, host and time, and a third line that makes it unique.
    fn new(token: u32) -> Self {
        static MOUNTS: AtomicU64 = AtomicU64::new(1);
        let mount = MOUNTS.fetch_add(1, Ordering::Relaxed);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let now = jiff::Timestamp::try_from(clock::wall()).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
        // Of constant length, for simulations that compare bytes sent.
        let body = format!("{host}\n{now}\ns3b process {:07} mount {mount:06}\n", std::process::id());
        Self { token, body: body.into() }
    }

    fn of(object: &Object) -> Self {
        Self { token: token_of(&object.headers), body: object.body.clone() }
    }
}

#[cfg(test)]
mod tests;

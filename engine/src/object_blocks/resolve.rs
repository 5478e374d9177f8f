//! Which shape a volume has, decided before anything is written: from the superblock, from the headers of block 0,
//! from the settings, and from one existing block where nothing else tells.
//!
//! Only reads, until [`Resolved::commit`]. What does not fit is refused with both values named; never is a
//! block size or a password believed that an existing block contradicts.

use std::sync::Arc;

use futures::try_join;

use super::cipher::Keys;
use super::codec::{self, Codec};
use super::names::{Naming, mode};
use super::superblock::{Session, Superblock, sized};
use super::survey::BlockWalk;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::object::{GetIf, Got, ObjectBackend, PutIf};
use crate::settings::{Settings, VolumeSettings};

/// What a prefix holds, by three requests.
#[derive(Clone, Debug)]
pub struct Found {
    pub superblock: Option<Superblock>,
    /// There is one, and this is wrong with it.
    pub damage: Option<Error>,
    pub plain_block_zero: Option<BlockZero>,
    pub hashed_block_zero: Option<BlockZero>,
}

/// Block 0 exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockZero {
    /// Its headers: block size and size of the volume in bytes.
    pub geometry: Option<(u64, u64)>,
    pub encrypted: bool,
    pub etag: Option<ETag>,
}

/// The shape to mount with, and what to write once the mount is sure to happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub geometry: Geometry,
    pub naming: Naming,
    /// What the user should know, a line each.
    pub notices: Vec<String>,
    /// The superblock to write; `None` when it stands as it is, and on read-only mounts.
    pub write_superblock: Option<Superblock>,
    /// The prefix holds no block: everything is zero.
    pub is_new: bool,
    /// Block 0's, [`ETag::ZERO_BLOCK`] when there is none; `None` where the store gives no ETags.
    pub block_zero_etag: Option<ETag>,
    /// The superblock that stands as it is, with the session in it; `None` on read-only mounts too.
    standing: Option<Superblock>,
    /// There is another one now.
    replaces: bool,
    /// Block 0 carries another size in its headers.
    restamp_block_zero: bool,
}

/// Looks at a prefix.
pub async fn probe(backend: &Arc<dyn ObjectBackend>, prefix: &str) -> Result<Found> {
    let plain = Naming::new(prefix, false);
    let hashed = plain.other();
    let superblock = async {
        match Superblock::read(backend, &plain).await {
            Ok(superblock) => Ok((superblock, None)),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok((None, Some(error))),
            Err(error) => Err(error),
        }
    };
    let zero = async |naming: &Naming| {
        let info = backend.head(&naming.key(BlockNumber(0))).await;
        let info = info.map_err(|error| error.context("look at block 0"))?;
        Ok(info.map(|info| BlockZero {
            geometry: codec::geometry_headers(&info.headers),
            encrypted: codec::says_encrypted(&info.headers),
            etag: info.etag,
        }))
    };
    let ((superblock, damage), plain, hashed) = try_join!(superblock, zero(&plain), zero(&hashed))?;
    Ok(Found { superblock, damage, plain_block_zero: plain, hashed_block_zero: hashed })
}

impl Found {
    fn block_zero(&self, hashed: bool) -> Option<BlockZero> {
        if hashed { self.hashed_block_zero } else { self.plain_block_zero }
    }
}

/// Decides. `keys` are those of [`Keys::from_settings`].
///
/// # Errors
/// `Config` when the settings do not fit what is there, `Corrupt` for a damaged superblock; nothing was written.
pub async fn resolve(
    backend: &Arc<dyn ObjectBackend>,
    settings: &Settings,
    keys: Option<&Arc<Keys>>,
) -> Result<Resolved> {
    let volume = &settings.volume;
    if !volume.auto_detect && volume.size.is_none() {
        return Err(Error::config("--no-auto-detect: the size is then not looked up; give it, such as --size=10g"));
    }
    let mut notices = Vec::new();
    let found = probe(backend, &volume.prefix).await?;
    if let Some(damage) = &found.damage {
        if !volume.force {
            return Err(damage.clone().context("--force does without it and writes a new one"));
        }
        notices.push(format!("{damage}; going on without it, because of --force"));
    }
    let replaces = found.superblock.is_some() || found.damage.is_some();
    let naming = Naming::new(&*volume.prefix, volume.block_hash_prefix);
    let mut case = Case { backend, settings, volume, keys, found, naming, notices, is_new: false };
    let geometry = case.decide().await?;
    let superblock = Superblock::new(geometry, volume.block_hash_prefix, keys.map(|keys| &**keys));
    let standing = case.found.superblock.clone().filter(|found| found.same_volume(&superblock));
    let block_zero = case.found.block_zero(volume.block_hash_prefix);
    let stamped = block_zero.and_then(|zero| zero.geometry);
    Ok(Resolved {
        geometry,
        naming: case.naming,
        notices: case.notices,
        write_superblock: (standing.is_none() && !volume.read_only).then_some(superblock),
        is_new: case.is_new,
        block_zero_etag: block_zero.map_or(Some(ETag::ZERO_BLOCK), |zero| zero.etag),
        standing: standing.filter(|_| !volume.read_only),
        replaces,
        restamp_block_zero: !volume.read_only && stamped.is_some_and(|(_, size)| size != geometry.size()),
    })
}

/// One decision.
struct Case<'a> {
    backend: &'a Arc<dyn ObjectBackend>,
    settings: &'a Settings,
    volume: &'a VolumeSettings,
    keys: Option<&'a Arc<Keys>>,
    found: Found,
    naming: Naming,
    notices: Vec<String>,
    is_new: bool,
}

impl Case<'_> {
    async fn decide(&mut self) -> Result<Geometry> {
        let Some(superblock) = self.found.superblock.clone() else {
            return match self.existing_block().await? {
                None => self.new_volume(None),
                Some((naming, block)) => self.by_existing_block(&naming, block).await,
            };
        };
        let fits = self.by_superblock(&superblock).await;
        if fits.is_ok() {
            return fits;
        }
        // The superblock outlives an erase by s3backer; without blocks it is the record of nothing.
        if self.existing_block().await?.is_none() {
            self.notices.push(format!("no block is left of the volume made with {superblock}: making a new one"));
            return self.new_volume(Some(&superblock));
        }
        fits
    }

    async fn by_superblock(&mut self, superblock: &Superblock) -> Result<Geometry> {
        let hashed = superblock.hashed;
        if self.found.block_zero(hashed).is_none() && self.found.block_zero(!hashed).is_some() {
            return self.by_other_naming(superblock).await;
        }
        if hashed != self.naming.hashed() {
            return Err(self.wrong_naming(hashed, "the superblock says so"));
        }
        let recorded = (u64::from(superblock.geometry.block_size()), superblock.geometry.size());
        let stamped = self.found.block_zero(hashed).and_then(|zero| zero.geometry);
        let geometry = match stamped.filter(|stamped| *stamped != recorded) {
            None => self.fit_to(recorded, "the superblock")?,
            Some(stamped) => self.by_block_zero(stamped, recorded).await?,
        };
        self.check_keys(superblock, geometry).await?;
        Ok(geometry)
    }

    /// Superblock and block 0 differ.
    async fn by_block_zero(&mut self, stamped: (u64, u64), recorded: (u64, u64)) -> Result<Geometry> {
        let (in_superblock, in_block) = (shape(recorded), shape(stamped));
        if !self.volume.force {
            return Err(Error::config(format!(
                "the superblock says {in_superblock}, the headers of block 0 say {in_block}: another program wrote the \
                 volume since. --force believes block 0 and mends the superblock"
            )));
        }
        let geometry = self.fit_to(stamped, "block 0")?;
        self.check_block(&self.naming, BlockNumber(0), geometry).await?;
        self.notices.push(format!("believing block 0 ({in_block}), not the superblock ({in_superblock})"));
        Ok(geometry)
    }

    /// Block 0 lies under the name that the superblock excludes.
    async fn by_other_naming(&mut self, superblock: &Superblock) -> Result<Geometry> {
        let (said, found) = (mode(superblock.hashed), mode(!superblock.hashed));
        if !self.volume.force {
            return Err(Error::config(format!(
                "the superblock says {said}, but there is a block 0 with {found}: another program made the volume anew. \
                 --force believes --block-hash-prefix as you give it, or leave it out"
            )));
        }
        self.notices.push("believing --block-hash-prefix as given, where superblock and block 0 differ".into());
        if self.naming.hashed() == superblock.hashed {
            superblock.check_keys(self.keys.map(|keys| &**keys))?;
            let geometry = superblock.geometry;
            return self.fit_to((geometry.block_size().into(), geometry.size()), "the superblock");
        }
        let naming = self.naming.clone();
        self.by_existing_block(&naming, BlockNumber(0)).await
    }

    /// Whether the keys are the volume's: by the superblock, and by block 0 too, which s3backer may have written anew
    /// under another password. A full write under wrong keys would destroy a block.
    async fn check_keys(&mut self, superblock: &Superblock, geometry: Geometry) -> Result<()> {
        let by_superblock = superblock.check_keys(self.keys.map(|keys| &**keys));
        let by_block = match self.found.block_zero(superblock.hashed) {
            Some(zero) if zero.encrypted || self.keys.is_some() || by_superblock.is_err() => {
                Some(self.check_block(&self.naming, BlockNumber(0), geometry).await)
            }
            _ => None,
        };
        match (by_superblock, by_block) {
            (Ok(()), None | Some(Ok(()))) => Ok(()),
            // Damage to one block does not lock up the others.
            (Ok(()), Some(Err(error))) if error.kind() == ErrorKind::Config && self.lenient() => {
                self.notices.push(error.message().to_owned());
                Ok(())
            }
            (Ok(()), Some(Err(error))) => Err(error),
            (Err(error), Some(Ok(()))) if self.volume.force => {
                self.notices.push(format!("believing block 0, not the superblock ({error})"));
                Ok(())
            }
            (Err(error), Some(Ok(()))) => Err(Error::config(format!(
                "{error}. But block 0 can be read so: another program made the volume anew; --force believes block 0"
            ))),
            (Err(error), _) => Err(error),
        }
    }

    fn lenient(&self) -> bool {
        self.volume.force || self.volume.read_only
    }

    /// No superblock, but blocks: s3backer's volume, or one whose superblock was lost.
    async fn by_existing_block(&mut self, naming: &Naming, block: BlockNumber) -> Result<Geometry> {
        if *naming != self.naming {
            return Err(self.wrong_naming(naming.hashed(), &format!("there is {:?}", naming.key(block))));
        }
        let stamped = self.found.block_zero(naming.hashed()).and_then(|zero| zero.geometry);
        let geometry = match (stamped, self.volume.block_size, self.volume.size) {
            (Some(stamped), ..) => self.fit_to(stamped, "block 0")?,
            (None, Some(block_size), Some(size)) => Geometry::new(block_size, size)?,
            (None, block_size, _) => {
                let missing = if block_size.is_none() { "--block-size (and --size)" } else { "--size" };
                let looks = self.looks_like(naming, block).await;
                return Err(Error::config(format!(
                    "blocks are here, such as {:?}, but nothing tells the volume's shape: give {missing} as it was made \
                     with{looks}",
                    naming.key(block)
                )));
            }
        };
        if block.0 >= geometry.blocks() && !self.volume.force {
            let needed = (u64::from(block.0) + 1) * u64::from(geometry.block_size());
            return Err(Error::config(format!(
                "--size={}: block {block} lies beyond it; give at least --size={}, or --force to leave it out",
                sized(geometry.size()),
                sized(needed)
            )));
        }
        self.check_block(naming, block, geometry).await?;
        Ok(geometry)
    }

    fn new_volume(&mut self, old: Option<&Superblock>) -> Result<Geometry> {
        self.is_new = true;
        let old = old.map(|old| old.geometry);
        let Some(size) = self.volume.size.or(old.map(|old| old.size())) else {
            return Err(Error::config(format!(
                "there is no volume at {}/{}; to make one give its size, such as --size=10g",
                self.backend.describe(),
                self.volume.prefix
            )));
        };
        let old_block_size = old.map(|old| u64::from(old.block_size()));
        let block_size = self.volume.block_size.or(old_block_size).unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
        Geometry::new(block_size, size)
    }

    /// The recorded shape, as far as the settings agree.
    fn fit_to(&mut self, (block_size, size): (u64, u64), source: &str) -> Result<Geometry> {
        if let Some(asked) = self.volume.block_size.filter(|asked| *asked != block_size) {
            return Err(Error::config(format!(
                "--block-size={}: {source} says {}, and a volume's block size can never change: leave --block-size out, \
                 or copy the content to a new volume with --block-size={0} under another prefix",
                sized(asked),
                sized(block_size)
            )));
        }
        let Some(asked) = self.volume.size.filter(|asked| *asked != size) else {
            return Geometry::new(block_size, size).map_err(|error| error.context(format!("as {source} says")));
        };
        if !self.volume.force {
            return Err(Error::config(format!(
                "--size={}: {source} says --size={}; leave --size out, or give --force to resize the volume",
                sized(asked),
                sized(size)
            )));
        }
        let geometry = Geometry::new(block_size, asked)?;
        self.notices.push(format!("the volume had {}, it has {} now, because of --force", sized(size), sized(asked)));
        Ok(geometry)
    }

    fn wrong_naming(&self, hashed: bool, evidence: &str) -> Error {
        let change = if hashed { "add" } else { "leave out" };
        Error::config(format!(
            "the volume has {}, the settings say {}: {evidence}; {change} --block-hash-prefix",
            mode(hashed),
            mode(!hashed)
        ))
    }

    /// Some block of the volume, one in the settings' naming first.
    async fn existing_block(&self) -> Result<Option<(Naming, BlockNumber)>> {
        for naming in [self.naming.clone(), self.naming.other()] {
            if self.found.block_zero(naming.hashed()).is_some() {
                return Ok(Some((naming, BlockNumber(0))));
            }
        }
        let mut walk = BlockWalk::new(self.backend, self.naming.prefix());
        while let Some(page) = walk.next_page().await.map_err(|error| error.context("look for blocks"))? {
            let ours = page.iter().find(|(naming, _)| *naming == self.naming);
            if let Some(found) = ours.or(page.first()) {
                return Ok(Some(found.clone()));
            }
        }
        Ok(None)
    }

    /// Whether an existing block can be read with these settings.
    async fn check_block(&self, naming: &Naming, block: BlockNumber, geometry: Geometry) -> Result<()> {
        let codec = Codec::new(&self.settings.codec, geometry, self.keys.cloned())?;
        let key = naming.key(block);
        let got = self.backend.get(&key, GetIf::Always, codec.max_body_len()).await;
        let decoded = match got {
            // A simulation's, by the same settings.
            Ok(Got::Object(object)) if object.headers.stands_for.is_some() => Ok(()),
            Ok(Got::Object(object)) => codec.decode(block, &object.headers, object.body).map(|_| ()),
            Ok(_) => {
                Err(Error::transient(format!("object {key} was there and is gone: is the volume mounted elsewhere?")))
            }
            Err(error) => Err(error),
        };
        match decoded {
            Err(error) if error.kind() == ErrorKind::Corrupt => Err(Error::config(format!(
                "the existing object {key} is no block of this volume as the settings describe it ({error}); check \
                 --block-size, --encrypt, --key-length and the password"
            ))),
            other => other,
        }
    }

    /// A hint from the length of a plain block.
    async fn looks_like(&self, naming: &Naming, block: BlockNumber) -> String {
        match self.backend.head(&naming.key(block)).await {
            Ok(Some(info)) if info.headers.content_encoding.is_none() && info.len.is_power_of_two() => {
                format!("; by its length, --block-size={}", sized(info.len))
            }
            _ => String::new(),
        }
    }
}

fn shape((block_size, size): (u64, u64)) -> String {
    format!("--block-size={} --size={}", sized(block_size), sized(size))
}

impl Resolved {
    /// The session of the last writing mount; `None` when it left none, on a new or changed volume, and on read-only
    /// mounts.
    pub fn session(&self) -> Option<Session> {
        self.standing.as_ref().and_then(|superblock| superblock.session)
    }

    /// Whether both are of one volume in one shape. Mounts that came and went in between do not count.
    pub fn same_volume(&self, other: &Self) -> bool {
        let same_superblock = match (&self.standing, &other.standing) {
            (Some(one), Some(other)) => one.same_volume(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let (standing, block_zero_etag) = (other.standing.clone(), other.block_zero_etag);
        same_superblock && Self { standing, block_zero_etag, ..self.clone() } == *other
    }

    /// Writes the superblock, and the new size into block 0's headers after a resize. Call it with the mount
    /// lock held and before the first block is written.
    ///
    /// The superblock gets `session`; `None` takes away what an earlier mount left. Only a superblock that says so
    /// already is not written. A read-only mount writes nothing.
    ///
    /// # Errors
    /// `Conflict` when another mount made the volume in the meantime.
    pub async fn commit(&self, backend: &Arc<dyn ObjectBackend>, session: Option<Session>) -> Result<()> {
        let standing = self.standing.as_ref().filter(|superblock| superblock.session != session);
        if let Some(superblock) = self.write_superblock.as_ref().or(standing) {
            let superblock = superblock.clone().with_session(session);
            self.store(backend, &superblock).await.map_err(|error| error.context("write the superblock"))?;
        }
        if self.restamp_block_zero { self.restamp(backend).await } else { Ok(()) }
    }

    async fn store(&self, backend: &Arc<dyn ObjectBackend>, superblock: &Superblock) -> Result<()> {
        let (key, body) = (self.naming.superblock_key(), superblock.to_body());
        let condition = if self.replaces { PutIf::Always } else { PutIf::Absent };
        match backend.put(&key, Superblock::headers(), body.clone(), condition).await {
            // Either a repeated request met its own first attempt, or somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if Superblock::read(backend, &self.naming).await?.as_ref() == Some(superblock) {
                    return Ok(());
                }
                Err(error.context("another mount has just made this volume; mount again"))
            }
            // Some servers know no conditions; the mount lock protects as well as it can there.
            Err(error) if error.kind() == ErrorKind::Failed && condition == PutIf::Absent => {
                backend.put(&key, Superblock::headers(), body, PutIf::Always).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    /// Block 0's content stays, its headers get the new size: else the next mount would find two truths.
    async fn restamp(&self, backend: &Arc<dyn ObjectBackend>) -> Result<()> {
        let key = self.naming.key(BlockNumber(0));
        let most = codec::max_body_len(self.geometry.block_size());
        let got =
            backend.get(&key, GetIf::Always, most).await.map_err(|error| error.context("resize: read block 0"))?;
        if let Got::Object(mut object) = got {
            object.headers.content_type = Some(codec::CONTENT_TYPE);
            for (name, value) in &mut object.headers.meta {
                if name == codec::FILE_SIZE_META {
                    *value = self.geometry.size().to_string();
                }
            }
            let stored = backend.put(&key, object.headers, object.body, PutIf::Always).await;
            stored.map_err(|error| error.context("resize: write block 0"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

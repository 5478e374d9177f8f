//! Every version of every sector, and when it was current. Stamps count events, so that two are never equal.

use std::ops::Range;

pub const SECTOR: usize = 512;

struct Version {
    content: Vec<u8>,
    begun: u64,
    /// `None`: the write has not returned.
    done: Option<u64>,
}

struct History {
    /// In the order of their writing: each sector has one writer.
    versions: Vec<Version>,
    /// The oldest version that may be found after a crash.
    floor: usize,
}

pub struct Reference {
    sectors: Vec<History>,
    clock: u64,
}

/// A write under way: its first sector, and the place of its version in each sector's history.
pub struct Write {
    first: usize,
    places: Vec<usize>,
}

impl Reference {
    /// All zero.
    pub fn new(sectors: usize) -> Self {
        let zero =
            || History { versions: vec![Version { content: vec![0; SECTOR], begun: 0, done: Some(0) }], floor: 0 };
        Self { sectors: (0..sectors).map(|_| zero()).collect(), clock: 0 }
    }

    pub fn now(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// What the writer of a sector wrote last.
    pub fn latest(&self, sector: usize) -> &[u8] {
        let versions = &self.sectors[sector].versions;
        &versions[versions.len() - 1].content
    }

    /// Whole sectors begin to change.
    pub fn begin(&mut self, first: usize, contents: Vec<Vec<u8>>) -> Write {
        let begun = self.now();
        let sectors = self.sectors[first..].iter_mut().zip(contents);
        let places = sectors.map(|(sector, content)| {
            sector.versions.push(Version { content, begun, done: None });
            sector.versions.len() - 1
        });
        Write { first, places: places.collect() }
    }

    pub fn end(&mut self, write: &Write) {
        let done = self.now();
        for (sector, place) in self.sectors[write.first..].iter_mut().zip(&write.places) {
            sector.versions[*place].done = Some(done);
        }
    }

    /// A read of the bytes at `offset` that began at `since` and ends now.
    pub fn check_read(&self, offset: usize, bytes: &[u8], since: u64) -> Result<(), String> {
        let mut at = offset;
        while at < offset + bytes.len() {
            let (sector, start) = (at / SECTOR, at % SECTOR);
            let len = (SECTOR - start).min(offset + bytes.len() - at);
            let seen = &bytes[at - offset..][..len];
            let versions = &self.sectors[sector].versions;
            let oldest =
                versions.iter().rposition(|version| version.done.is_some_and(|done| done < since)).unwrap_or(0);
            let fits = |version: &Version| &version.content[start..start + len] == seen;
            if !versions[oldest..].iter().any(fits) {
                let found = versions.iter().rposition(fits);
                return Err(format!(
                    "sector {sector}: read version {found:?}, current were {oldest}..{}",
                    versions.len()
                ));
            }
            at += len;
        }
        Ok(())
    }

    /// A flush that began at `at` has succeeded.
    pub fn flushed(&mut self, at: u64) {
        for sector in &mut self.sectors {
            let done = |version: &Version| version.done.is_some_and(|done| done < at);
            sector.floor = sector.floor.max(sector.versions.iter().rposition(done).unwrap_or(0));
        }
    }

    fn compare(&self, bytes: &[u8], allowed: impl Fn(&History) -> Range<usize>) -> Result<(), String> {
        assert_eq!(bytes.len(), self.sectors.len() * SECTOR);
        for (at, (sector, content)) in self.sectors.iter().zip(bytes.chunks(SECTOR)).enumerate() {
            let allowed = allowed(sector);
            if !sector.versions[allowed.clone()].iter().any(|version| version.content == content) {
                let found = sector.versions.iter().rposition(|version| version.content == content);
                return Err(format!(
                    "sector {at}: found version {found:?} ({:?}..), allowed {allowed:?}",
                    &content[..8]
                ));
            }
        }
        Ok(())
    }

    /// After a crash: what was flushed, or anything newer.
    pub fn check_survivors(&self, bytes: &[u8]) -> Result<(), String> {
        self.compare(bytes, |sector| sector.floor..sector.versions.len())
    }

    /// After a close.
    pub fn check_latest(&self, bytes: &[u8]) -> Result<(), String> {
        self.compare(bytes, |sector| sector.versions.len() - 1..sector.versions.len())
    }

    /// What was found after a crash is where everything goes on from. It is durable if it was flushed in this life.
    pub fn restart(&mut self, bytes: &[u8]) {
        for (sector, content) in self.sectors.iter_mut().zip(bytes.chunks(SECTOR)) {
            let at = sector.versions.iter().rposition(|version| version.content == content).unwrap_or(0);
            sector.versions.drain(..at);
            sector.versions.truncate(1);
            sector.versions[0].done = Some(sector.versions[0].begun);
            sector.floor = 0;
        }
    }
}

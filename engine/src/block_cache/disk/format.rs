//! The bytes of a cache file: header, state sector, record, and where everything lies. Pure; no I/O.
//!
//! All integers are little-endian.

use super::device::CacheDisk;
use crate::block_cache::disk::BlockRecord;
use crate::block_cache::sectors::SectorMask;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry, SECTOR};

const MAGIC: &[u8; 8] = b"s3bcache";
const STATE_MAGIC: &[u8; 8] = b"s3bstate";
const VERSION: u32 = 1;
/// The first word of s3backer's cache files, in its writer's byte order.
const S3BACKER_SIGNATURE: u32 = 0xe496_f17b;

pub const HEADER_LEN: usize = 8192;
/// Written last when a file is created: until it is there, the file holds nothing.
pub const HEADER_HEAD: usize = SECTOR as usize;
/// The two state sectors, far enough apart for disks that write 4 KiB at once.
pub const STATE_AT: [u64; 2] = [8192, 12288];
pub const STATE_LEN: usize = SECTOR as usize;
pub const SEGMENTS_AT: u64 = 16384;

pub const RECORD_LEN: usize = 64;
/// Records fill four pages, which a load reads at once.
pub const SLOTS_PER_SEGMENT: u32 = 256;
pub const DIRECTORY_LEN: usize = SLOTS_PER_SEGMENT as usize * RECORD_LEN;
/// Longest `Identity::location`, in bytes: an S3 key has at most 1024, a path 4096.
const MAX_LOCATION: usize = HEADER_LEN - 96;
const MAX_KEY_CHECK: usize = 64;
/// Masks up to this long (blocks up to 64 KiB) live in the record, longer ones behind the slot's data.
const INLINE_MASK: usize = 16;

const TAG_CLEAN: &[u8; 4] = b"CLEN";
const TAG_DIRTY: &[u8; 4] = b"DRTY";
const FLAG_ZERO: u8 = 1;
const FLAG_ETAG: u8 = 2;
const FLAG_INCOMPLETE: u8 = 4;

/// Which volume a cache file belongs to. Everything must be equal for the file to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Bucket or directory, and prefix, as a person writes them.
    pub location: String,
    pub geometry: Geometry,
    /// Keys start with a hash of the block number.
    pub hashed_names: bool,
    /// Differs for another password, tells nothing about it; at most 64 bytes, not empty. `None`: not encrypted.
    pub key_check: Option<Vec<u8>>,
}

impl Identity {
    /// For messages.
    fn describe(&self) -> String {
        format!(
            "{} (--size={} --block-size={}{})",
            self.location,
            self.geometry.size(),
            self.geometry.block_size(),
            if self.hashed_names { " --block-hash-prefix" } else { "" }
        )
    }

    /// `name`: the cache file.
    pub fn encode(&self, name: &str) -> Result<Vec<u8>> {
        let key_check = self.key_check.as_deref().unwrap_or_default();
        debug_assert!(key_check.len() <= MAX_KEY_CHECK);
        if self.location.len() > MAX_LOCATION {
            return Err(Error::config(format!(
                "cache file {name}: the volume's name has {} bytes, the file has room for {MAX_LOCATION}; shorten the prefix",
                self.location.len()
            )));
        }
        let mut bytes = vec![0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.geometry.block_size().to_le_bytes());
        bytes[20..24].copy_from_slice(&self.geometry.blocks().to_le_bytes());
        bytes[24] = self.hashed_names.into();
        bytes[25] = key_check.len() as u8;
        bytes[26..28].copy_from_slice(&(self.location.len() as u16).to_le_bytes());
        bytes[32..32 + key_check.len()].copy_from_slice(key_check);
        bytes[96..96 + self.location.len()].copy_from_slice(self.location.as_bytes());
        let crc = crc32c::crc32c(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    /// Reads a header, whole or cut short. The error says whose or what kind of file it is.
    fn decode(bytes: &[u8], name: &str) -> Result<Identity> {
        let corrupt = |what: &str| {
            Error::corrupt(format!(
                "cache file {name}: {what}; it cannot be used, and dirty blocks in it are lost: move it away to start with an empty one"
            ))
        };
        if let Some(first) = bytes.first_chunk::<4>()
            && (u32::from_le_bytes(*first) == S3BACKER_SIGNATURE || u32::from_be_bytes(*first) == S3BACKER_SIGNATURE)
        {
            return Err(Error::config(format!(
                "--block-cache-file={name} is a cache file of s3backer, which s3b cannot read; mount and unmount the volume \
                 once with s3backer, so that no dirty block stays in it, then remove the file or name another one"
            )));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Error::config(format!(
                "--block-cache-file={name} is not a cache file, or its first bytes are destroyed; it is left untouched, name another one"
            )));
        }
        let Ok(bytes) = <&[u8; HEADER_LEN]>::try_from(bytes) else {
            return Err(corrupt("truncated inside its header"));
        };
        let version = word(bytes, 8);
        if version != VERSION {
            return Err(Error::config(format!(
                "cache file {name} has format version {version}, this s3b knows {VERSION}; use the s3b that wrote it, or name another file"
            )));
        }
        if crc32c::crc32c(&bytes[16..]) != word(bytes, 12) {
            return Err(corrupt("the header's checksum does not fit"));
        }
        let location_len = usize::from(u16::from_le_bytes([bytes[26], bytes[27]]));
        let key_len = usize::from(bytes[25]);
        let (block_size, blocks) = (u64::from(word(bytes, 16)), u64::from(word(bytes, 20)));
        let geometry = Geometry::new(block_size, block_size * blocks);
        let location = bytes.get(96..96 + location_len).map(|text| String::from_utf8_lossy(text).into_owned());
        match (geometry, location) {
            (Ok(geometry), Some(location)) if key_len <= MAX_KEY_CHECK => Ok(Identity {
                location,
                geometry,
                hashed_names: bytes[24] != 0,
                key_check: (key_len > 0).then(|| bytes[32..32 + key_len].to_vec()),
            }),
            _ => Err(corrupt("the header makes no sense")),
        }
    }

    /// Which volume the file on `disk` belongs to; `None` for an empty one.
    pub fn read(disk: &dyn CacheDisk, name: &str) -> Result<Option<Identity>> {
        let failed = |error| Error::from(error).context(format!("cache file {name}: reading its header"));
        let len = disk.len().map_err(failed)?;
        let mut header = vec![0; len.min(HEADER_LEN as u64) as usize];
        disk.read_at(0, &mut header).map_err(failed)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        Identity::decode(&header, name).map(Some)
    }

    /// Checks that `header`, the first bytes of cache file `name`, is of this volume.
    pub fn check(&self, header: &[u8], name: &str) -> Result<()> {
        let theirs = Identity::decode(header, name)?;
        let advice = "mount that volume with it, or name another --block-cache-file";
        if (&theirs.location, theirs.geometry, theirs.hashed_names)
            != (&self.location, self.geometry, self.hashed_names)
        {
            return Err(Error::config(format!(
                "cache file {name} belongs to {}, not to {}; {advice}",
                theirs.describe(),
                self.describe()
            )));
        }
        let wrong_key = match (&theirs.key_check, &self.key_check) {
            (theirs, ours) if theirs == ours => return Ok(()),
            (Some(_), Some(_)) => "was made with another password or cipher than the one given",
            (Some(_), None) => "was made with encryption, and no --encrypt is given",
            (None, _) => "was made without encryption, and --encrypt is given",
        };
        Err(Error::config(format!("cache file {name} of {} {wrong_key}; {advice}", self.describe())))
    }
}

/// What changes during a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileState {
    /// Counts the writes; its lowest bit says which of the two places gets it first.
    pub generation: u64,
    pub token: u32,
    pub segments: u32,
}

impl FileState {
    pub fn place(&self) -> u64 {
        STATE_AT[(self.generation % 2) as usize]
    }

    pub fn other_place(&self) -> u64 {
        STATE_AT[((self.generation + 1) % 2) as usize]
    }

    pub fn encode(&self) -> [u8; STATE_LEN] {
        let mut bytes = [0; STATE_LEN];
        bytes[..8].copy_from_slice(STATE_MAGIC);
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.token.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.segments.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[16..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; STATE_LEN]) -> Option<FileState> {
        let valid = bytes.starts_with(STATE_MAGIC) && crc32c::crc32c(&bytes[16..]) == word(bytes, 8);
        valid.then(|| FileState { generation: long(bytes, 16), token: word(bytes, 24), segments: word(bytes, 28) })
    }
}

/// One block in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Of two records of a block the higher one counts.
    pub sequence: u64,
    pub block: BlockNumber,
    pub kind: BlockRecord,
    pub zero: bool,
    pub incomplete: bool,
    /// Of the mask, if incomplete, and then of all known bytes; 0 for a zero block.
    pub data_crc: u32,
    /// The mask of an incomplete block, where it is short enough.
    pub inline_mask: [u8; INLINE_MASK],
}

/// What 64 bytes of the directory are.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Free,
    Record(Record),
    Bad {
        /// Unless its tag says clean in full.
        maybe_dirty: bool,
    },
}

impl Record {
    pub fn encode(&self, slot: u32) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        let (tag, etag) = match self.kind {
            BlockRecord::Clean { etag } => (TAG_CLEAN, etag),
            BlockRecord::Dirty => (TAG_DIRTY, None),
        };
        bytes[..4].copy_from_slice(tag);
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.block.0.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.data_crc.to_le_bytes());
        bytes[24..40].copy_from_slice(&etag.map_or([0; 16], |etag| etag.0));
        for (set, flag) in [(self.zero, FLAG_ZERO), (etag.is_some(), FLAG_ETAG), (self.incomplete, FLAG_INCOMPLETE)] {
            bytes[40] |= if set { flag } else { 0 };
        }
        bytes[48..].copy_from_slice(&self.inline_mask);
        let crc = record_crc(&bytes, slot);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; RECORD_LEN], slot: u32) -> Found {
        if *bytes == [0; RECORD_LEN] {
            return Found::Free;
        }
        let clean = bytes.starts_with(TAG_CLEAN);
        if word(bytes, 4) != record_crc(bytes, slot) || !(clean || bytes.starts_with(TAG_DIRTY)) {
            return Found::Bad { maybe_dirty: !clean };
        }
        let flags = bytes[40];
        let mut etag = [0; 16];
        etag.copy_from_slice(&bytes[24..40]);
        let mut inline_mask = [0; INLINE_MASK];
        inline_mask.copy_from_slice(&bytes[48..]);
        Found::Record(Record {
            sequence: long(bytes, 8),
            block: BlockNumber(word(bytes, 16)),
            kind: if clean {
                BlockRecord::Clean { etag: (flags & FLAG_ETAG != 0).then_some(ETag(etag)) }
            } else {
                BlockRecord::Dirty
            },
            zero: flags & FLAG_ZERO != 0,
            incomplete: flags & FLAG_INCOMPLETE != 0,
            data_crc: word(bytes, 20),
            inline_mask,
        })
    }
}

/// The slot is part of it: a record copied to another place is no record.
fn record_crc(bytes: &[u8; RECORD_LEN], slot: u32) -> u32 {
    let crc = crc32c::crc32c(&slot.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &bytes[..4]), &bytes[8..])
}

/// Where things lie in a file of blocks of one size.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub block_size: u32,
    /// Bytes of a sector mask.
    mask_len: usize,
    /// From one slot's data to the next.
    stride: u64,
}

impl Layout {
    pub fn new(block_size: u32) -> Self {
        let mask_len = SectorMask::empty(block_size).words().len() * 8;
        let mask_room = if mask_len > INLINE_MASK { mask_len.next_multiple_of(4096) } else { 0 };
        Self { block_size, mask_len, stride: u64::from(block_size) + mask_room as u64 }
    }

    /// Where segment `segment` starts, with its directory; also the length of a file of that many segments.
    pub fn segment_at(&self, segment: u32) -> u64 {
        SEGMENTS_AT + u64::from(segment) * (DIRECTORY_LEN as u64 + u64::from(SLOTS_PER_SEGMENT) * self.stride)
    }

    pub fn record_at(&self, slot: u32) -> u64 {
        self.segment_at(slot / SLOTS_PER_SEGMENT) + u64::from(slot % SLOTS_PER_SEGMENT) * RECORD_LEN as u64
    }

    pub fn data_at(&self, slot: u32) -> u64 {
        self.segment_at(slot / SLOTS_PER_SEGMENT)
            + DIRECTORY_LEN as u64
            + u64::from(slot % SLOTS_PER_SEGMENT) * self.stride
    }

    /// Where the mask lies that is too long for a record, and its length.
    pub fn mask_at(&self, slot: u32) -> Option<(u64, usize)> {
        (self.mask_len > INLINE_MASK).then(|| (self.data_at(slot) + u64::from(self.block_size), self.mask_len))
    }

    /// The part of a mask that goes into the record.
    pub fn inline_mask(&self, mask: Option<&SectorMask>) -> [u8; INLINE_MASK] {
        let mut inline = [0; INLINE_MASK];
        if let Some(mask) = mask.filter(|_| self.mask_len <= INLINE_MASK) {
            inline[..self.mask_len].copy_from_slice(&mask_bytes(mask));
        }
        inline
    }

    /// Rebuilds a mask from at least as many bytes as it has.
    pub fn mask_from(&self, bytes: &[u8]) -> Option<SectorMask> {
        let words: Vec<u64> = bytes.get(..self.mask_len)?.chunks_exact(8).map(|word| long(word, 0)).collect();
        SectorMask::from_words(self.block_size, &words)
    }
}

pub fn mask_bytes(mask: &SectorMask) -> Vec<u8> {
    mask.words().iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut long = [0; 8];
    long.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn identity() -> Identity {
        Identity {
            location: "bucket/disk1".into(),
            geometry: Geometry::new(4096, 1 << 20).unwrap(),
            hashed_names: false,
            key_check: Some(vec![7; 16]),
        }
    }

    #[test]
    fn a_header_fits_only_its_own_volume_and_key() {
        let ours = identity();
        let header = ours.encode("f").unwrap();
        ours.check(&header, "f").unwrap();
        let other = |change: fn(&mut Identity)| {
            let mut other = identity();
            change(&mut other);
            let error = other.check(&header, "/cache").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("/cache"), "{error}");
            error.to_string()
        };
        let message = other(|other| other.location = "bucket/disk2".into());
        assert!(message.contains("bucket/disk1 (") && message.contains("bucket/disk2 ("), "{message}");
        let message = other(|other| other.geometry = Geometry::new(4096, 2 << 20).unwrap());
        assert!(message.contains("--size=1048576") && message.contains("--size=2097152"), "{message}");
        let message = other(|other| other.geometry = Geometry::new(8192, 1 << 20).unwrap());
        assert!(message.contains("--block-size=4096") && message.contains("--block-size=8192"), "{message}");
        assert!(other(|other| other.hashed_names = true).contains("--block-hash-prefix"));
        assert!(other(|other| other.key_check = Some(vec![8; 16])).contains("another password"));
        assert!(other(|other| other.key_check = None).contains("no --encrypt"));
        let plain = Identity { key_check: None, ..identity() }.encode("f").unwrap();
        assert!(ours.check(&plain, "f").unwrap_err().message().contains("without encryption"));
        assert!(Identity { location: "x".repeat(9000), ..identity() }.encode("f").is_err());
    }

    #[test]
    fn every_damaged_header_is_refused() {
        let ours = identity();
        let header = ours.encode("f").unwrap();
        for at in 0..HEADER_LEN {
            let mut damaged = header.clone();
            damaged[at] ^= 0x10;
            assert!(ours.check(&damaged, "f").is_err(), "byte {at}");
        }
        assert!(ours.check(&header[..5000], "f").unwrap_err().message().contains("truncated"));
        assert!(ours.check(&[1; 100], "f").unwrap_err().message().contains("not a cache file"));
        let mut newer = header;
        newer[8] = 2;
        assert!(ours.check(&newer, "f").unwrap_err().message().contains("version 2"));
    }

    #[test]
    fn a_file_of_s3backer_is_named_in_both_byte_orders() {
        // The header of a real file: spec, section 13.
        let mut real = hex::decode("7bf196e4400000000400000004000000001000000010000001000000").unwrap();
        real.resize(448, 0);
        let mut big = real.clone();
        big[..4].reverse();
        for file in [real, big] {
            let error = identity().check(&file, "/cache").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("/cache is a cache file of s3backer"), "{error}");
        }
    }

    #[test]
    fn records_come_back_and_any_damage_shows() {
        let etag = ETag([9; 16]);
        for kind in [BlockRecord::Dirty, BlockRecord::Clean { etag: None }, BlockRecord::Clean { etag: Some(etag) }] {
            let record = Record {
                sequence: 1 << 40,
                block: BlockNumber(5),
                kind,
                zero: false,
                incomplete: kind == BlockRecord::Dirty,
                data_crc: 77,
                inline_mask: [3; 16],
            };
            let bytes = record.encode(12);
            assert_eq!(Record::decode(&bytes, 12), Found::Record(record));
            assert_eq!(Record::decode(&bytes, 13), Found::Bad { maybe_dirty: kind == BlockRecord::Dirty });
            for at in 0..RECORD_LEN {
                let mut damaged = bytes;
                damaged[at] ^= 1;
                let maybe_dirty = kind == BlockRecord::Dirty || at < 4;
                assert_eq!(Record::decode(&damaged, 12), Found::Bad { maybe_dirty }, "byte {at}");
            }
        }
        assert_eq!(Record::decode(&[0; RECORD_LEN], 12), Found::Free);
    }

    #[test]
    fn states_alternate_and_masks_find_room() {
        let state = FileState { generation: 3, token: 0x2f88_00bb, segments: 2 };
        let mut bytes = state.encode();
        assert_eq!((FileState::decode(&bytes), state.place()), (Some(state), STATE_AT[1]));
        bytes[24] ^= 1;
        assert_eq!(FileState::decode(&bytes), None);

        for block_size in [512, 4096, 64 << 10, 128 << 10, 1 << 20] {
            let layout = Layout::new(block_size);
            let mut mask = SectorMask::empty(block_size);
            mask.insert(0..1);
            mask.insert(block_size / SECTOR - 1..block_size / SECTOR);
            assert_eq!(layout.mask_at(300).is_some(), block_size > 64 << 10);
            match layout.mask_at(300) {
                None => assert_eq!(layout.mask_from(&layout.inline_mask(Some(&mask))), Some(mask)),
                Some((at, len)) => {
                    assert_eq!(layout.mask_from(&mask_bytes(&mask)), Some(mask));
                    assert!(
                        at + len as u64 <= layout.data_at(301) && at >= layout.data_at(300) + u64::from(block_size)
                    );
                }
            }
            assert_eq!(layout.data_at(255) + layout.stride, layout.segment_at(1));
            assert_eq!(layout.record_at(256), layout.segment_at(1));
        }
    }
}

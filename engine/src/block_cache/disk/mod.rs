//! The cache file: cached blocks, clean and dirty, that survive a restart and a power failure.
//!
//! Adds a crash-safe home for block contents, addressed by slots that the caller remembers. Never decides which block
//! stays or when it is stored, never talks to the store, and never runs on a thread that must not block.
//!
//! ```text
//! header 8 KiB | state A | state B | segment 0: 256 records, 256 data slots | segment 1 | ...
//! ```
//!
//! * The header binds the file to one volume and is written once. A state sector holds the mount token and the number of
//!   segments; two of them are written in turn, the newest valid one counts. The file grows and shrinks by whole segments,
//!   so a changed capacity copies nothing.
//! * A record is 64 bytes inside one 512-byte sector, the unit that a disk is assumed to write whole or not at all. It names
//!   its block, carries the checksum of the data in its slot, and a sequence number that never repeats.
//! * Everything is covered by CRC-32C: header, state and records when the file is opened, dirty data too (the last moment at
//!   which nothing is lost by refusing), clean data whenever it is read.
//!
//! # What a crash cannot break
//!
//! Changes are queued and committed in groups, with at most two syncs:
//!
//! 1. data goes to free slots, never to one that a record on the disk points to;
//! 2. **sync**, if there are data, or something is to be dropped while erasures of step 5 are not durable yet;
//! 3. new records, clean marks (in place: same block, same data) and erasures of dropped slots are written;
//! 4. **sync**: the group is durable;
//! 5. records of replaced slots are erased; the next sync, whosesoever, makes that durable, and only then are they reused.
//!
//! After a crash a block may so have two records; the higher sequence number wins. The winner's own record is only
//! erased when all older ones are durably gone (2), so an older version cannot come back.
//!
//! # What the caller owes
//!
//! A dirty record is replayed after a crash. Before a flush is answered because the *store* holds a block, the file must
//! durably have no older dirty record of it: `Put`, `Clean` or `Drop` it with `durable` first.

mod device;
mod file;
mod format;
mod load;
mod memory_disk;
mod modelled_disk;
mod slots;
mod table;
#[cfg(test)]
mod tests;

pub use device::{CacheDisk, FileDisk};
pub use file::CacheFile;
pub use format::Identity;
pub use memory_disk::MemoryDisk;
pub use modelled_disk::{DiskTimes, ModelledDisk};

use bytes::Bytes;

use crate::block_cache::sectors::SectorMask;
use crate::etag::ETag;
use crate::geometry::BlockNumber;
use crate::payload::Payload;

/// Where the file keeps one block. Good until the block is replaced or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What the file knows of a block besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRecord {
    /// As in the store, under this ETag if one is known.
    Clean { etag: Option<ETag> },
    /// Newer than in the store.
    Dirty,
}

/// One step of a batch. A block takes part in at most one change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new content. Its slot is the answer at this place of the batch.
    Put {
        block: BlockNumber,
        record: BlockRecord,
        /// The known sectors of an incomplete dirty block; `None`: complete.
        mask: Option<SectorMask>,
        /// The cells of the whole block; those of sectors outside the mask are ignored. `None`: all zero, no data are written.
        data: Option<Bytes>,
        /// The slot that holds the block now.
        replaces: Option<Slot>,
    },
    /// The content of this slot is stored. Lost in a crash, it is stored once more.
    Clean { block: BlockNumber, slot: Slot, etag: Option<ETag> },
    /// The file forgets the block, dirty or not.
    Drop { block: BlockNumber, slot: Slot },
}

impl Change {
    pub fn block(&self) -> BlockNumber {
        match self {
            Change::Put { block, .. } | Change::Clean { block, .. } | Change::Drop { block, .. } => *block,
        }
    }
}

/// A block found in the file.
#[derive(Clone, Debug)]
pub struct LoadedBlock {
    pub block: BlockNumber,
    pub slot: Slot,
    pub record: BlockRecord,
    /// The known sectors of an incomplete dirty block; `None`: complete.
    pub mask: Option<SectorMask>,
    /// All zero: no need to read the slot.
    pub zero: bool,
}

/// What a file held when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In the order in which they were recorded, oldest first. One entry per block.
    pub blocks: Vec<LoadedBlock>,
    /// Mount token of the last mount; 0 after a clean unmount.
    pub token: u32,
    /// What the user should know, a line each.
    pub notices: Vec<String>,
}

/// How to open a cache file.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Go on although dirty blocks are damaged, without them (`--force`). Otherwise that is an error.
    pub accept_loss: bool,
    /// What blocks are made of.
    pub payload: Payload,
}

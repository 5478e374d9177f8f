//! The opened cache file: reads of slots by anybody, changes by one persister. The order of writes and syncs that makes
//! it crash-safe is written in the module's head; here is where it is kept.
//!
//! ```text
//! a slot:  free -> fresh (data written, record queued) -> recorded -> leaving (replaced or dropped) -> erased -> free
//!             ^------- replaced or dropped while fresh ----'              erasure durable: any later sync -------^
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::format::{FileState, Identity, RECORD_LEN, Record, SLOTS_PER_SEGMENT};
use super::load::{self, Opened, free_slots, spare};
use super::slots::Slots;
use super::table::{Content, Table};
use super::{BlockRecord, CacheDisk, Change, Loaded, OpenOptions, Slot};
use crate::block_cache::sectors::SectorMask;
use crate::clock::Instant;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::BlockNumber;

/// Queued changes that are committed unasked: enough to make two syncs cheap, few enough to be lost in a crash.
const QUEUED_CHANGES: usize = 1024;
/// The same for bytes, so that one sync does not take seconds.
const QUEUED_BYTES: u64 = 64 << 20;

/// An open cache file.
pub struct CacheFile {
    slots: Slots,
    capacity: u32,
    token: AtomicU32,
    /// A sync or a record failed: how much of the last group is on the disk is unknown, so nothing is written any more.
    failed: OnceLock<Error>,
    // Short: readers and the core only look.
    table: Mutex<Table>,
    // Long, through I/O: only the persister, which may block, and the mount's start and end take it. Always before `table`.
    writer: Mutex<Writer>,
}

struct Writer {
    state: FileState,
    next_sequence: u64,
    /// Slots that may be used; the file grows up to this.
    slots: u32,
    /// Lowest last.
    free: Vec<u32>,
    /// What step 3 of the next commit writes, by slot.
    queue: BTreeMap<u32, Queued>,
    /// Recorded slots to be erased in step 5, by the fresh slot that replaces them.
    replaced: BTreeMap<u32, u32>,
    /// Erased, not durably yet.
    erased: Vec<u32>,
    /// Slots with data written since the last sync.
    written: Vec<u32>,
    written_bytes: u64,
}

enum Queued {
    /// `fresh`: the disk has no record in this slot yet.
    Record {
        bytes: [u8; RECORD_LEN],
        fresh: bool,
    },
    Erase,
}

/// What a `Put` became.
struct Placed {
    slot: Slot,
    crc: u32,
}

impl CacheFile {
    /// Opens the file on `disk`, or makes one if it is empty. `capacity_blocks`: blocks that may live in it; it takes up to an
    /// eighth (at least 16 slots) more room, because new versions are written before old ones go.
    ///
    /// Errors: `Config` for a file of another volume, password, format or program; `Corrupt` where dirty blocks are or may be
    /// lost and that is not accepted; `NoSpace`; `Failed` for I/O. None of them changes what the file holds.
    pub fn open(
        disk: Arc<dyn CacheDisk>,
        identity: &Identity,
        capacity_blocks: u32,
        options: OpenOptions,
    ) -> Result<(CacheFile, Loaded)> {
        let slots = Slots::new(disk, identity.geometry.block_size(), options.payload);
        let Opened { state, table, next_sequence, capacity, slots: most, free, loaded } =
            load::open(&slots, identity, capacity_blocks, options)?;
        let writer = Writer {
            state,
            next_sequence,
            slots: most,
            free,
            queue: BTreeMap::new(),
            replaced: BTreeMap::new(),
            erased: Vec::new(),
            written: Vec::new(),
            written_bytes: 0,
        };
        let file = CacheFile {
            slots,
            capacity,
            token: AtomicU32::new(state.token),
            failed: OnceLock::new(),
            table: Mutex::new(table),
            writer: Mutex::new(writer),
        };
        Ok((file, loaded))
    }

    /// Reads the content of `block` from `slot` into `out`, the cells of one block; sectors outside the mask of an incomplete
    /// block become zero. Never waits for the persister.
    ///
    /// Errors: `Corrupt` if the bytes are not those that were written (drop a clean block and fetch it again); `Stale` if the
    /// block is no longer there, so ask the core again; `Failed` for I/O.
    pub fn read(&self, block: BlockNumber, slot: Slot, out: &mut [u8]) -> Result<()> {
        let moved =
            || Error::new(ErrorKind::Stale, format!("block {block} has left slot {} of the cache file", slot.0));
        let content = self.table.lock().get(slot).filter(|content| content.block == block).ok_or_else(moved)?;
        if content.zero {
            out.fill(0);
            return Ok(());
        }
        let crc = self.slots.read_data(slot.0, content.mask.as_ref(), out)?;
        self.slots.advise_unneeded(slot.0);
        if crc == content.crc {
            return Ok(());
        }
        // The persister may have reused the slot meanwhile; that is no damage.
        if self.table.lock().get(slot).as_ref() != Some(&content) {
            return Err(moved());
        }
        Err(Error::corrupt(format!(
            "block {block} in slot {} of cache file {} is damaged: its checksum does not fit",
            slot.0, self.slots.name
        )))
    }

    /// Takes up to [`CacheFile::max_batch`] changes and answers the slot of each `Put`: `None` means no room, with nothing
    /// changed for that block; that happens only without `replaces`. Other changes answer `None`.
    ///
    /// `durable`: on return everything so far survives a power failure; two syncs if there are data, else one (rarely more,
    /// when slots run short). Otherwise it is as durable once a later durable call or [`CacheFile::sync`] has returned.
    ///
    /// After an error, `NoSpace` on a full disk, nothing of the batch counts: the slots named in it keep their contents. If
    /// [`CacheFile::is_failed`] then, later changes fail too, and the file can only be read.
    pub fn apply(&self, batch: &[Change], durable: bool) -> Result<Vec<Option<Slot>>> {
        let mut writer = self.writer.lock();
        self.check_writable()?;
        self.check_batch(batch)?;
        let placed = self.write_data(&mut writer, batch)?;
        for (change, placed) in batch.iter().zip(&placed) {
            self.queue(&mut writer, change, placed.as_ref());
        }
        if durable || writer.queue.len() >= QUEUED_CHANGES || writer.written_bytes >= QUEUED_BYTES {
            self.commit(&mut writer)?;
        }
        Ok(placed.into_iter().map(|placed| placed.map(|placed| placed.slot)).collect())
    }

    /// Makes everything applied so far durable. Due before an unmount, and when the persister has nothing left to do.
    pub fn sync(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check_writable()?;
        self.commit(&mut writer)
    }

    /// Records the mount token, durably; 0 at a clean unmount, after [`CacheFile::sync`].
    pub fn set_token(&self, token: u32) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check_writable()?;
        let state = FileState { token, ..writer.state };
        self.write_state(&mut writer, state)?;
        self.token.store(token, Ordering::Release);
        Ok(())
    }

    /// The mount token in the file; 0: cleanly unmounted.
    pub fn token(&self) -> u32 {
        self.token.load(Ordering::Acquire)
    }

    /// See [`CacheDisk::done_at`].
    pub fn done_at(&self) -> Option<Instant> {
        self.slots.disk.done_at()
    }

    /// Blocks that still fit.
    pub fn free_slots(&self) -> u32 {
        self.capacity.saturating_sub(self.table.lock().live())
    }

    /// Blocks that may live in the file.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Most changes of one batch.
    pub fn max_batch(&self) -> usize {
        spare(self.capacity) as usize
    }

    /// Whether the file takes no more changes. Slots stay readable.
    pub fn is_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    fn check_writable(&self) -> Result<()> {
        self.failed.get().cloned().map_or(Ok(()), Err)
    }

    /// From here on the file is only read.
    fn fail(&self, error: Error) -> Error {
        self.failed.get_or_init(|| error.clone().context("the cache file is no longer written until the next mount"));
        error
    }

    /// Refuses what only a mistake in the caller can ask for, before anything happens.
    fn check_batch(&self, batch: &[Change]) -> Result<()> {
        let refuse = |what: String| Err(Error::failed(format!("cache file {}: {what}", self.slots.name)));
        if batch.len() > self.max_batch() {
            return refuse(format!("a batch of {} changes, at most {} fit", batch.len(), self.max_batch()));
        }
        let mut blocks = BTreeSet::new();
        let table = self.table.lock();
        for change in batch {
            let (Change::Put { block, .. } | Change::Clean { block, .. } | Change::Drop { block, .. }) = change;
            if !blocks.insert(block) {
                return refuse(format!("block {block} twice in a batch"));
            }
            let (block, slot) = match change {
                Change::Put { block, data, .. }
                    if data.as_ref().is_some_and(|data| data.len() != self.slots.block_len()) =>
                {
                    return refuse(format!("block {block} with a wrong length"));
                }
                Change::Put { replaces: None, .. } => continue,
                Change::Put { block, replaces: Some(slot), .. } => (block, slot),
                Change::Clean { block, slot, .. } if table.is_incomplete(*slot) => {
                    return refuse(format!("block {block} cannot be clean, it is incomplete"));
                }
                Change::Clean { block, slot, .. } | Change::Drop { block, slot } => (block, slot),
            };
            if !table.holds(*slot, *block) {
                return refuse(format!("block {block} is not in slot {}", slot.0));
            }
        }
        Ok(())
    }

    /// Step 1: finds slots and fills them. An error leaves everything as it was.
    fn write_data(&self, writer: &mut Writer, batch: &[Change]) -> Result<Vec<Option<Placed>>> {
        let mut live = self.table.lock().live();
        let puts: Vec<bool> = batch
            .iter()
            .map(|change| match change {
                Change::Put { replaces: Some(_), .. } => true,
                Change::Put { replaces: None, .. } => {
                    let fits = live < self.capacity;
                    live += u32::from(fits);
                    fits
                }
                Change::Drop { .. } => {
                    live -= 1;
                    false
                }
                Change::Clean { .. } => false,
            })
            .collect();
        self.provide(writer, puts.iter().filter(|put| **put).count())?;

        let mut taken = Vec::new();
        let mut place = |change: &Change, put: bool| -> Result<Option<Placed>> {
            let Change::Put { data, mask, .. } = change else { return Ok(None) };
            let Some(slot) = put.then(|| writer.free.pop()).flatten() else { return Ok(None) };
            taken.push(slot);
            let Some(data) = data else { return Ok(Some(Placed { slot: Slot(slot), crc: 0 })) };
            writer.written.push(slot);
            writer.written_bytes += self.slots.payload.byte_count(data.len()) as u64;
            let crc = self.slots.write_data(slot, data, partial(mask.as_ref()))?;
            Ok(Some(Placed { slot: Slot(slot), crc }))
        };
        let placed: Result<Vec<_>> = batch.iter().zip(puts).map(|(change, put)| place(change, put)).collect();
        if placed.is_err() {
            writer.free.extend(taken.into_iter().rev());
        }
        placed
    }

    /// Makes sure of `wanted` free slots: the file grows, or slots on their way out are hurried.
    fn provide(&self, writer: &mut Writer, wanted: usize) -> Result<()> {
        while writer.free.len() < wanted && writer.state.segments * SLOTS_PER_SEGMENT < writer.slots {
            self.grow(writer)?;
        }
        if writer.free.len() < wanted {
            self.commit(writer)?;
        }
        if writer.free.len() < wanted && !writer.erased.is_empty() {
            self.sync_disk(writer)?;
        }
        debug_assert!(writer.free.len() >= wanted, "the spare slots are as many as the largest batch");
        Ok(())
    }

    fn grow(&self, writer: &mut Writer) -> Result<()> {
        let segments = writer.state.segments;
        // A quarter at a time: a large file grows in few syncs, a small one wastes little.
        let more = (segments / 4).clamp(1, 64).min(writer.slots.div_ceil(SLOTS_PER_SEGMENT) - segments);
        self.slots.extend(segments..segments + more)?;
        self.sync_disk(writer)?;
        let state = FileState { segments: segments + more, ..writer.state };
        self.write_state(writer, state)?;
        let slots = state.segments * SLOTS_PER_SEGMENT;
        let mut table = self.table.lock();
        table.grow(slots);
        let mut free = free_slots(&table, segments * SLOTS_PER_SEGMENT..slots.min(writer.slots));
        free.append(&mut writer.free);
        writer.free = free;
        Ok(())
    }

    /// Brings an applied change into memory and into the queue.
    fn queue(&self, writer: &mut Writer, change: &Change, placed: Option<&Placed>) {
        let mut table = self.table.lock();
        match change {
            Change::Put { block, record, mask, data, replaces } => {
                let Some(Placed { slot, crc }) = placed else { return };
                let mask = partial(mask.as_ref()).filter(|_| data.is_some());
                let content = Content { block: *block, zero: data.is_none(), crc: *crc, mask: mask.cloned() };
                let bytes = self.record(writer, *slot, *record, &content);
                table.put(*slot, content);
                writer.queue.insert(slot.0, Queued::Record { bytes, fresh: true });
                if let Some(old) = replaces {
                    let recorded = writer.unless_fresh(&mut table, *old);
                    if let Some(recorded) = recorded {
                        writer.queue.remove(&recorded);
                        writer.replaced.insert(slot.0, recorded);
                    }
                }
            }
            Change::Clean { slot, etag, .. } => {
                let Some(content) = table.get(*slot) else { return };
                let fresh = matches!(writer.queue.get(&slot.0), Some(Queued::Record { fresh: true, .. }));
                let bytes = self.record(writer, *slot, BlockRecord::Clean { etag: *etag }, &content);
                writer.queue.insert(slot.0, Queued::Record { bytes, fresh });
            }
            Change::Drop { slot, .. } => {
                if let Some(recorded) = writer.unless_fresh(&mut table, *slot) {
                    writer.queue.insert(recorded, Queued::Erase);
                }
            }
        }
    }

    fn record(&self, writer: &mut Writer, slot: Slot, kind: BlockRecord, content: &Content) -> [u8; RECORD_LEN] {
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        Record {
            sequence,
            block: content.block,
            kind,
            zero: content.zero,
            incomplete: content.mask.is_some(),
            data_crc: content.crc,
            inline_mask: self.slots.layout.inline_mask(content.mask.as_ref()),
        }
        .encode(slot.0)
    }

    /// Steps 2 to 5.
    fn commit(&self, writer: &mut Writer) -> Result<()> {
        if writer.queue.is_empty() {
            return Ok(());
        }
        let drops = writer.queue.values().any(|queued| matches!(queued, Queued::Erase));
        if !writer.written.is_empty() || drops && !writer.erased.is_empty() {
            self.sync_disk(writer)?;
        }
        for (slot, queued) in &writer.queue {
            match queued {
                Queued::Record { bytes, .. } => self.slots.write_record(*slot, bytes),
                Queued::Erase => self.slots.erase_record(*slot),
            }
            .map_err(|error| self.fail(error))?;
        }
        // The sync below covers these erasures.
        let dropped = writer.queue.iter().filter(|(_, queued)| matches!(queued, Queued::Erase)).map(|(slot, _)| *slot);
        writer.erased.extend(dropped);
        self.sync_disk(writer)?;
        writer.queue.clear();
        for (_, slot) in std::mem::take(&mut writer.replaced) {
            self.slots.erase_record(slot).map_err(|error| self.fail(error))?;
            writer.erased.push(slot);
        }
        Ok(())
    }

    /// Everything written becomes durable, erasures included, so their slots become free.
    fn sync_disk(&self, writer: &mut Writer) -> Result<()> {
        self.slots.sync().map_err(|error| self.fail(error))?;
        let mut table = self.table.lock();
        for slot in writer.erased.drain(..) {
            release(&mut table, &mut writer.free, writer.slots, slot);
        }
        drop(table);
        for slot in writer.written.drain(..) {
            self.slots.advise_unneeded(slot);
        }
        writer.written_bytes = 0;
        Ok(())
    }

    /// A state is written over the older of the two and made durable, then over the other, for the case that one rots.
    /// A failed write is repeated at the same place.
    fn write_state(&self, writer: &mut Writer, state: FileState) -> Result<()> {
        let state = FileState { generation: writer.state.generation + 1, ..state };
        self.slots.write_state(&state, state.place())?;
        self.sync_disk(writer)?;
        writer.state = state;
        // Only a second copy of what is durable already.
        let _ = self.slots.write_state(&state, state.other_place());
        Ok(())
    }
}

impl Writer {
    /// The block leaves `slot`. The answer is the slot whose record is now to go from the disk: this one, or, if this one never
    /// had a record, the one that it was to replace, if any.
    fn unless_fresh(&mut self, table: &mut Table, slot: Slot) -> Option<u32> {
        if let Some(Queued::Record { fresh: true, .. }) = self.queue.get(&slot.0) {
            self.queue.remove(&slot.0);
            release(table, &mut self.free, self.slots, slot.0);
            return self.replaced.remove(&slot.0);
        }
        table.leave(slot);
        Some(slot.0)
    }
}

/// Nothing on the disk points to this slot any more.
fn release(table: &mut Table, free: &mut Vec<u32>, slots: u32, slot: u32) {
    table.free(Slot(slot));
    // Above the capacity slots are only used until their blocks are stored.
    if slot < slots {
        free.push(slot);
    }
}

/// A mask that leaves something unknown.
fn partial(mask: Option<&SectorMask>) -> Option<&SectorMask> {
    mask.filter(|mask| !mask.is_full())
}

//! The cache file: what of the cache is in it, what has to go there, and what may leave memory because it is there.
//!
//! One task carries changes to the file, in batches: [`Core::next_persist`] until it is idle, then the file's `apply`, then
//! [`Core::persisted`]. An entry that is being loaded or carried is pinned: not evicted, its slot not replaced.

use std::collections::BTreeMap;

use super::super::barrier::Barrier;
use super::super::buffer::Buffer;
use super::super::content::{Base, COPY_LIMIT, Fold};
use super::super::disk::{BlockRecord, Change, Slot};
use super::super::oldest::Oldest;
use super::super::sectors::SectorMask;
use super::{Config, Core, Effect, InFile, NO_SLOT, State, Ticket, Wake};
use crate::error::{Error, ErrorKind};
use crate::etag::ETag;
use crate::geometry::BlockNumber;

/// What the carrier does next.
pub(crate) enum PersistStep {
    /// Ask again: a piece was copied or folded.
    Again,
    /// Copy this buffer outside the lock, then [`Core::replace_base`].
    Private(u32, Buffer),
    /// Load this slot, then [`Core::loaded`].
    Load(u32, Slot),
    /// One more change for the batch.
    Item(PersistItem),
    Idle,
}

/// A change and the entry it belongs to (`None`: a dropped slot).
pub(crate) struct PersistItem {
    pub(crate) index: Option<u32>,
    pub(crate) change: Change,
}

/// A copy of an incomplete block. Sectors written while it is made may be in it or not; the entry is pending anew then.
struct Image {
    index: u32,
    mask: SectorMask,
    buffer: Buffer,
    copied: usize,
}

pub(super) struct FileState {
    /// Records can be changed.
    pub(super) enabled: bool,
    /// No room for new contents: what is there is read, marked clean and dropped, so that nothing old comes back.
    pub(super) full: bool,
    /// Blocks in memory at most.
    pub(super) memory: u32,
    pub(super) resident: u32,
    /// Where the search for blocks that may leave memory goes on.
    pub(super) hand: u32,
    queue: Oldest,
    waiting: u32,
    barrier: Barrier,
    /// Slots of evicted blocks and the numbers of the evictions, by block.
    drops: BTreeMap<u32, (u32, u64)>,
    /// Changes were handed to the file that may not be durable yet.
    unsynced: bool,
    /// The image of an incomplete block, being copied piece by piece.
    image: Option<Image>,
}

impl FileState {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            enabled: config.file.is_some(),
            full: false,
            memory: config.file.as_ref().map_or(u32::MAX, |file| file.memory.max(1)),
            resident: 0,
            hand: 0,
            queue: Oldest::default(),
            waiting: 0,
            barrier: Barrier::default(),
            drops: BTreeMap::new(),
            unsynced: false,
            image: None,
        }
    }
}

impl InFile {
    const NOTHING: InFile = InFile {
        slot: NO_SLOT,
        pending: 0,
        carrying: 0,
        current: false,
        recorded_dirty: false,
        resident: false,
        unverified: false,
        etag: None,
    };
}

impl Core {
    /// Waits until the file durably holds everything up to now. `None`: it does.
    pub(crate) fn flush_file(&mut self) -> Option<Ticket> {
        if !self.file.unsynced && self.file.drops.is_empty() && self.first_unpersisted().is_none() {
            return None;
        }
        let ticket = self.new_ticket();
        self.file.barrier.wait(self.sequence, ticket);
        self.effects.push(Effect::Persist);
        Some(ticket)
    }

    /// Whether the file takes new contents.
    pub(crate) fn has_file(&self) -> bool {
        self.file.enabled && !self.file.full
    }

    /// Whether the file may hold records that must be kept true.
    pub(crate) fn has_records(&self) -> bool {
        self.file.enabled
    }

    /// Whether a batch must survive a power loss when it is applied.
    pub(crate) fn wants_durable(&self) -> bool {
        self.file.barrier.is_waiting()
    }

    fn first_unpersisted(&mut self) -> Option<u64> {
        let in_file = &self.in_file;
        self.file.barrier.first(|seq, i| in_file.get(i as usize).is_some_and(|f| f.pending == seq || f.carrying == seq))
    }

    /// The next change to carry to the file.
    pub(crate) fn next_persist(&mut self) -> PersistStep {
        if !self.file.enabled {
            return PersistStep::Idle;
        }
        if let Some((block, (slot, _))) = self.file.drops.pop_first() {
            self.file.unsynced = true;
            let change = Change::Drop { block: BlockNumber(block), slot: Slot(slot) };
            return PersistStep::Item(PersistItem { index: None, change });
        }
        if let Some(image) = self.file.image.take() {
            return self.go_on_with(image);
        }
        let in_file = &self.in_file;
        let entries = &self.table.entries;
        let alive = |seq, i: u32| in_file.get(i as usize).is_some_and(|f| f.pending == seq);
        self.file.queue.tidy(self.file.waiting as usize, alive);
        let _ = self.file.queue.first(alive);
        let next = self.file.queue.iter().find(|(seq, i)| alive(*seq, *i) && entries[*i as usize].pins == 0);
        let Some((_, index)) = next else {
            return PersistStep::Idle;
        };
        let file = self.in_file[index as usize];
        let block = self.entry(index).block;
        let clean = self.entry(index).state == State::Clean;
        if file.current {
            // Only the record is out of date.
            if clean && file.recorded_dirty {
                let change = Change::Clean { block, slot: Slot(file.slot), etag: file.etag };
                return self.carry(index, change);
            }
            self.stays_as_it_is(index);
            return PersistStep::Again;
        }
        if self.file.full {
            // A dirty block's older version stays until a newer one is stored.
            if clean && file.slot != NO_SLOT {
                return self.carry(index, Change::Drop { block, slot: Slot(file.slot) });
            }
            self.stays_as_it_is(index);
            return PersistStep::Again;
        }
        self.persist_content(index, clean)
    }

    fn stays_as_it_is(&mut self, index: u32) {
        self.in_file[index as usize].pending = 0;
        self.file.waiting -= 1;
    }

    fn persist_content(&mut self, index: u32, clean: bool) -> PersistStep {
        let form = self.form();
        let file = self.in_file[index as usize];
        let entry = self.entry_mut(index);
        let block = entry.block;
        let (fold, copied) = entry.content.fold(form);
        self.stats.block_cache.copied_bytes.add(copied as u64);
        let record = if clean { BlockRecord::Clean { etag: file.etag } } else { BlockRecord::Dirty };
        let replaces = (file.slot != NO_SLOT).then_some(Slot(file.slot));
        match fold {
            Fold::More => PersistStep::Again,
            Fold::Shared(buffer) => PersistStep::Private(index, buffer),
            Fold::InFile => PersistStep::Load(index, Slot(self.slot_for_load(index))),
            Fold::Done => {
                let data = match &self.entry(index).content.base {
                    Base::Memory(buffer) => Some(buffer.to_bytes()),
                    _ => None,
                };
                self.carry(index, Change::Put { block, record, mask: None, data, replaces })
            }
            Fold::Incomplete => {
                self.begin_image(index);
                PersistStep::Again
            }
        }
    }

    /// Begins the image of an incomplete block. What is written to it from here on is pending anew.
    fn begin_image(&mut self, index: u32) {
        let form = self.form();
        let mask = self.entry(index).content.incomplete_mask().cloned();
        let mask = mask.unwrap_or_else(|| SectorMask::empty(form.block_size));
        self.begin_carrying(index);
        self.file.image = Some(Image { index, mask, buffer: form.arbitrary(), copied: 0 });
    }

    /// Copies the next piece; answers the change once the image is whole.
    fn go_on_with(&mut self, mut image: Image) -> PersistStep {
        let block_size = self.block_size() as usize;
        let entry = self.entry(image.index);
        let piece = image.copied..(image.copied + COPY_LIMIT).min(block_size);
        let cells = self.config.payload.cells(piece.clone());
        let out = &mut image.buffer.get_mut().expect("the image is not handed out before it is whole")[cells];
        // A merge or a whole write may have completed it meanwhile.
        if entry.content.is_complete() {
            entry.content.copy_out(piece.clone(), out);
        } else {
            // The buffer holds anything, and what is unknown goes to the file too.
            out.fill(0);
            entry.content.copy_overlay(piece.clone(), out);
        }
        self.stats.block_cache.copied_bytes.add(piece.len() as u64);
        image.copied = piece.end;
        if image.copied < block_size {
            self.file.image = Some(image);
            return PersistStep::Again;
        }
        let slot = self.in_file[image.index as usize].slot;
        let change = Change::Put {
            block: self.entry(image.index).block,
            record: BlockRecord::Dirty,
            mask: Some(image.mask),
            data: Some(image.buffer.to_bytes()),
            replaces: (slot != NO_SLOT).then_some(Slot(slot)),
        };
        PersistStep::Item(PersistItem { index: Some(image.index), change })
    }

    fn carry(&mut self, index: u32, change: Change) -> PersistStep {
        self.begin_carrying(index);
        PersistStep::Item(PersistItem { index: Some(index), change })
    }

    fn begin_carrying(&mut self, index: u32) {
        let file = &mut self.in_file[index as usize];
        file.carrying = std::mem::take(&mut file.pending);
        self.file.waiting -= 1;
        self.file.unsynced = true;
        self.pin(index);
    }

    /// Whether the file has something that a power loss would take.
    pub(crate) fn wants_sync(&self) -> bool {
        self.file.enabled && (self.file.unsynced || self.wants_durable())
    }

    /// All changes that came back so far are durable.
    pub(crate) fn synced(&mut self, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                self.file.unsynced = false;
                self.settle_file_flushes();
            }
            Err(error) => self.file_failed(&[], &error),
        }
    }

    /// A batch came back: the slots of its `Put`s, in its order. `broken`: the file takes no changes at all any more.
    pub(crate) fn persisted(
        &mut self,
        items: &[PersistItem],
        result: Result<Vec<Option<Slot>>, Error>,
        durable: bool,
        broken: bool,
    ) {
        let failed = result.is_err();
        match result {
            Ok(slots) => {
                for (item, slot) in items.iter().zip(slots) {
                    if let Some(index) = item.index {
                        self.item_persisted(index, &item.change, slot);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NoSpace && !broken && brings_contents(items) => {
                self.file_is_full(items, &error);
            }
            Err(error) => self.file_failed(items, &error),
        }
        if durable && !failed {
            self.synced(Ok(()));
        }
        self.shrink_memory(None);
        self.pass_on_room();
    }

    fn item_persisted(&mut self, index: u32, change: &Change, slot: Option<Slot>) {
        let file = &mut self.in_file[index as usize];
        let carried = std::mem::take(&mut file.carrying);
        match change {
            // No room in the file, for now: a dirty block must get in, a clean one may stay out.
            Change::Put { record, replaces: None, .. } if slot.is_none() => {
                if *record == BlockRecord::Dirty && self.file.enabled {
                    self.file.waiting += u32::from(file.pending == 0);
                    file.pending = carried;
                    self.file.queue.insert(carried, index);
                    self.effects.push(Effect::Persist);
                }
            }
            Change::Put { record, .. } => {
                file.slot = slot.map_or(NO_SLOT, |slot| slot.0);
                file.current = file.pending == 0 && slot.is_some();
                file.recorded_dirty = *record == BlockRecord::Dirty;
            }
            Change::Clean { .. } => file.recorded_dirty = false,
            Change::Drop { .. } => {
                file.slot = NO_SLOT;
                file.recorded_dirty = false;
            }
        }
        self.unpin(index);
        // Stored while its dirty content was on its way to the file.
        if self.entry(index).state == State::Clean && self.in_file[index as usize].recorded_dirty {
            self.record_changed(index);
        }
    }

    /// Nothing of the batch counts; what it was to say of stored and evicted blocks is said again, without contents.
    fn file_is_full(&mut self, items: &[PersistItem], error: &Error) {
        self.file.full = true;
        for item in items {
            match (item.index, &item.change) {
                (Some(index), _) => {
                    self.in_file[index as usize].carrying = 0;
                    self.unpin(index);
                    self.enqueue(index);
                }
                (None, Change::Drop { block, slot }) => {
                    self.sequence += 1;
                    self.file.drops.insert(block.0, (slot.0, self.sequence));
                }
                (None, _) => {}
            }
        }
        self.fail_file_flushes(error);
    }

    fn fail_file_flushes(&mut self, error: &Error) {
        let error = error.clone().context("the cache file is out of use");
        let waiting = self.file.barrier.fail(0);
        self.effects.extend(waiting.into_iter().map(|ticket| Effect::Wake(ticket, Wake::Failed(error.clone()))));
    }

    /// The file takes no more: the cache goes on in memory alone. What only the file has stays readable.
    fn file_failed(&mut self, items: &[PersistItem], error: &Error) {
        self.file.enabled = false;
        for index in items.iter().filter_map(|item| item.index) {
            self.in_file[index as usize].carrying = 0;
            self.unpin(index);
        }
        for file in &mut self.in_file {
            file.pending = 0;
        }
        self.fail_file_flushes(error);
    }

    /// Called when all that came back is durable, and only then.
    fn settle_file_flushes(&mut self) {
        let first_drop = self.file.drops.values().map(|(_, sequence)| *sequence).min();
        let in_file = &self.in_file;
        let alive =
            |seq, i: u32| in_file.get(i as usize).is_some_and(|f: &InFile| f.pending == seq || f.carrying == seq);
        let done = self.file.barrier.settle(self.file.waiting as usize + 64, first_drop.unwrap_or(u64::MAX), alive);
        self.effects.extend(done.into_iter().map(|ticket| Effect::Wake(ticket, Wake::Flushed)));
    }

    /// The content of an entry is no longer that of its slot.
    pub(super) fn content_changed(&mut self, index: u32) {
        self.recount(index);
        if let Some(file) = self.in_file.get_mut(index as usize) {
            // Also without a working file: what differs from its slot must not leave memory.
            file.current = false;
        }
        if !self.file.enabled {
            return;
        }
        self.enqueue(index);
        self.shrink_memory(Some(index));
    }

    /// The entry became clean; its record may still call it dirty.
    pub(super) fn record_changed(&mut self, index: u32) {
        if self.file.enabled {
            self.enqueue(index);
        }
    }

    fn enqueue(&mut self, index: u32) {
        let file = &mut self.in_file[index as usize];
        if file.pending == 0 {
            self.sequence += 1;
            file.pending = self.sequence;
            self.file.waiting += 1;
            self.file.queue.insert(self.sequence, index);
            self.file.barrier.insert(self.sequence, index);
            self.effects.push(Effect::Persist);
        }
    }

    /// The content cannot be had any more, so neither can the file.
    pub(super) fn give_up_persisting(&mut self, index: u32) {
        let file = &mut self.in_file[index as usize];
        if std::mem::take(&mut file.pending) != 0 && self.file.enabled {
            self.file.waiting -= 1;
            self.effects.push(Effect::Persist);
        }
    }

    pub(super) fn file_inserted(&mut self, index: u32) {
        if self.config.file.is_none() {
            return;
        }
        let at = index as usize;
        if self.in_file.len() <= at {
            self.in_file.resize(at + 1, InFile::NOTHING);
        }
        self.in_file[at] = InFile::NOTHING;
        // The slot of an eviction not yet carried to the file is not taken over: its record may still say dirty.
        self.recount(index);
    }

    pub(super) fn file_removed(&mut self, index: u32) {
        if self.config.file.is_none() {
            return;
        }
        let file = std::mem::replace(&mut self.in_file[index as usize], InFile::NOTHING);
        self.file.resident -= u32::from(file.resident);
        self.file.waiting -= u32::from(file.pending != 0 && self.file.enabled);
        if file.slot != NO_SLOT && self.file.enabled {
            self.sequence += 1;
            self.file.drops.insert(self.entry(index).block.0, (file.slot, self.sequence));
            self.effects.push(Effect::Persist);
        } else if self.wants_durable() {
            self.effects.push(Effect::Persist);
        }
    }

    /// A load of the entry's slot begins outside a reader's.
    pub(super) fn slot_for_load(&mut self, index: u32) -> u32 {
        self.pin(index);
        self.in_file[index as usize].slot
    }

    pub(super) fn pin(&mut self, index: u32) {
        self.recency.remove(&mut self.table, index);
        self.entry_mut(index).pins += 1;
    }

    pub(super) fn unpin(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        entry.pins -= 1;
        if entry.pins == 0 {
            if matches!(entry.state, State::Clean | State::Clean2) {
                self.push_recent(index);
            }
            if self.file.enabled && self.in_file[index as usize].pending != 0 {
                self.effects.push(Effect::Persist);
            }
        }
    }

    /// The ETag under which a block was stored, where it is kept.
    pub(super) fn keep_etag(&mut self, index: u32, etag: Option<ETag>) {
        if let Some(file) = self.in_file.get_mut(index as usize) {
            file.etag = etag;
        }
    }
}

fn brings_contents(items: &[PersistItem]) -> bool {
    items.iter().any(|item| matches!(item.change, Change::Put { .. }))
}

//! What a reader must know of each slot: nine bytes a slot, behind a lock that is held for a few loads and stores.

use std::collections::BTreeMap;

use super::Slot;
use crate::block_cache::sectors::SectorMask;
use crate::geometry::BlockNumber;

const USED: u8 = 1;
const ZERO: u8 = 2;
/// Replaced or dropped, but neither its record nor its data are gone yet: still readable, no longer a place of its block.
const LEAVING: u8 = 4;

/// The content of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub block: BlockNumber,
    pub zero: bool,
    pub crc: u32,
    pub mask: Option<SectorMask>,
}

#[derive(Default)]
pub struct Table {
    blocks: Vec<u32>,
    crcs: Vec<u32>,
    flags: Vec<u8>,
    /// Only of incomplete blocks, which are dirty and hence few.
    masks: BTreeMap<u32, SectorMask>,
    /// Slots that are places of their blocks.
    live: u32,
}

impl Table {
    /// Never shrinks.
    pub fn grow(&mut self, slots: u32) {
        self.blocks.resize(slots as usize, 0);
        self.crcs.resize(slots as usize, 0);
        self.flags.resize(slots as usize, 0);
    }

    pub fn live(&self) -> u32 {
        self.live
    }

    pub fn get(&self, slot: Slot) -> Option<Content> {
        let at = slot.0 as usize;
        let flags = self.flags.get(at).filter(|flags| **flags & USED != 0)?;
        Some(Content {
            block: BlockNumber(self.blocks[at]),
            zero: flags & ZERO != 0,
            crc: self.crcs[at],
            mask: self.masks.get(&slot.0).cloned(),
        })
    }

    /// Whether `slot` is the place of `block`.
    pub fn holds(&self, slot: Slot, block: BlockNumber) -> bool {
        let at = slot.0 as usize;
        self.flags.get(at).is_some_and(|flags| flags & (USED | LEAVING) == USED) && self.blocks[at] == block.0
    }

    pub fn is_incomplete(&self, slot: Slot) -> bool {
        self.masks.contains_key(&slot.0)
    }

    /// `slot` must be free.
    pub fn put(&mut self, slot: Slot, content: Content) {
        let at = slot.0 as usize;
        debug_assert_eq!(self.flags[at], 0, "slot {at} is free");
        self.blocks[at] = content.block.0;
        self.crcs[at] = content.crc;
        self.flags[at] = USED | if content.zero { ZERO } else { 0 };
        if let Some(mask) = content.mask {
            self.masks.insert(slot.0, mask);
        }
        self.live += 1;
    }

    /// The block has left this slot for another or for good.
    pub fn leave(&mut self, slot: Slot) {
        let flags = &mut self.flags[slot.0 as usize];
        if *flags & (USED | LEAVING) == USED {
            *flags |= LEAVING;
            self.live -= 1;
        }
    }

    /// Nothing on the disk points here any more.
    pub fn free(&mut self, slot: Slot) {
        self.leave(slot);
        self.flags[slot.0 as usize] = 0;
        self.masks.remove(&slot.0);
    }
}

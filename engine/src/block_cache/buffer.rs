//! Block buffers: contiguous, from a slab or one allocation each, immutable while shared.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::slab::Slot;
use crate::payload::{Payload, Source, shared_page};

/// What the buffers of one cache are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) block_size: u32,
    pub(crate) payload: Payload,
}

/// The cells of one block: its bytes, or in a weightless volume one for each sector. Clones share; only an unshared
/// buffer can be written.
#[derive(Clone)]
pub(crate) enum Buffer {
    /// Real blocks of the sizes that have slabs, unless the kernel refused one.
    Slot(Slot),
    Heap(Arc<[u8]>, Payload),
}

impl Form {
    /// All zero; those beyond the slabs' sizes come as untouched pages from the kernel.
    pub(crate) fn zeroed(self) -> Buffer {
        if let Some(slot) = self.slot(Slot::zeroed) {
            return slot;
        }
        let cells = Arc::<[u8]>::new_zeroed_slice(self.payload.cell_count(self.block_size as usize));
        // SAFETY: zero is a valid `u8`.
        Buffer::Heap(unsafe { cells.assume_init() }, self.payload)
    }

    /// Holding anything: for who keeps track of what was written, and shows nothing else.
    pub(crate) fn arbitrary(self) -> Buffer {
        self.slot(Slot::arbitrary).unwrap_or_else(|| self.zeroed())
    }

    /// A block written whole.
    pub(crate) fn written(self, source: Source<'_>) -> Buffer {
        match source {
            Source::Bytes(bytes) => self.holding(bytes),
            Source::Zeros => self.zeroed(),
            Source::Weight(weight) => {
                let count = self.payload.cell_count(self.block_size as usize);
                Buffer::Heap(std::iter::repeat_n(weight.0, count).collect(), self.payload)
            }
        }
    }

    /// A copy of what the layers below hold, to be written later.
    pub(crate) fn holding(self, cells: &[u8]) -> Buffer {
        debug_assert_eq!(cells.len(), self.payload.cell_count(self.block_size as usize));
        self.slot(|_| Slot::copy_of(cells)).unwrap_or_else(|| Buffer::Heap(cells.into(), self.payload))
    }

    fn slot(self, make: impl FnOnce(usize) -> Option<Slot>) -> Option<Buffer> {
        match self.payload {
            Payload::Real => make(self.block_size as usize).map(Buffer::Slot),
            Payload::Weightless => None,
        }
    }
}

impl Buffer {
    pub(crate) fn private_copy(&self) -> Self {
        Form { block_size: self.len() as u32, payload: self.payload() }.holding(self.as_ref())
    }

    /// Bytes that it stands for.
    pub(crate) fn len(&self) -> usize {
        self.payload().byte_count(self.as_ref().len())
    }

    pub(crate) fn payload(&self) -> Payload {
        match self {
            Self::Slot(_) => Payload::Real,
            Self::Heap(_, payload) => *payload,
        }
    }

    /// The cells that a range of bytes touches.
    pub(crate) fn cells(&self, range: Range<usize>) -> &[u8] {
        &self.as_ref()[self.payload().cells(range)]
    }

    /// All cells; `None` while a store, a reply or a reader holds them.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Slot(slot) => slot.get_mut(),
            Self::Heap(cells, _) => Arc::get_mut(cells),
        }
    }

    pub(crate) fn is_unshared(&self) -> bool {
        match self {
            Self::Slot(slot) => slot.is_unshared(),
            Self::Heap(cells, _) => Arc::strong_count(cells) == 1,
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Slot(slot), Self::Slot(other)) => slot.is_same(other),
            (Self::Heap(cells, _), Self::Heap(other, _)) => Arc::ptr_eq(cells, other),
            _ => false,
        }
    }

    /// The same cells for the layers below, without a copy.
    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Slot(slot) => slot,
            Self::Heap(cells, _) => cells,
        }
    }
}

/// Part of a cached block, held without a copy. Later writes do not show in it.
pub struct HeldBytes {
    buffer: Buffer,
    range: Range<usize>,
}

impl HeldBytes {
    pub(crate) fn new(buffer: Buffer, range: Range<usize>) -> Self {
        debug_assert!(range.end <= buffer.len());
        Self { buffer, range }
    }

    pub(crate) fn cells(&self) -> &[u8] {
        self.buffer.cells(self.range.clone())
    }
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for HeldBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.buffer.payload() {
            Payload::Real => self.cells(),
            Payload::Weightless => shared_page(self.range.len()).expect("no weightless block is longer than the page"),
        }
    }
}

/// The bytes of a hit: in the caller's scratch buffer, or held in the cache without a copy.
pub enum HitBytes<'a> {
    Copied(&'a [u8]),
    Held(HeldBytes),
}

impl Deref for HitBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Held(bytes) => bytes,
        }
    }
}

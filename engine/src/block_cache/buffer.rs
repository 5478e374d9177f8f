//! Block buffers: one contiguous allocation each, immutable while shared.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

/// The bytes of one block. Clones share; only an unshared buffer can be written.
#[derive(Clone)]
pub(crate) struct Buffer(Arc<[u8]>);

impl Buffer {
    /// All zero; large ones come as untouched pages from the kernel.
    pub(crate) fn zeroed(len: usize) -> Self {
        // SAFETY: zero is a valid `u8`.
        Self(unsafe { Arc::<[u8]>::new_zeroed_slice(len).assume_init() })
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// `None` while a store, a reply or a reader holds it.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0)
    }

    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same bytes for the layers below, without a copy.
    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
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
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for HeldBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
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

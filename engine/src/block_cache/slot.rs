//! A block's bytes from the cache file.

use super::buffer::Buffer;
use super::disk::{CacheFile, Slot};
use crate::error::Result;
use crate::geometry::BlockNumber;

/// Reads a slot into a buffer. Waits for the disk.
pub(super) fn read(file: &CacheFile, block: BlockNumber, slot: Slot, block_size: u32) -> Result<Buffer> {
    let mut buffer = Buffer::zeroed(block_size as usize);
    let bytes = buffer.get_mut().expect("the buffer was made here");
    file.read(block, slot, bytes)?;
    Ok(buffer)
}

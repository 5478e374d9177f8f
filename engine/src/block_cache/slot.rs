//! A block's bytes from the cache file.

use super::buffer::{Buffer, Form};
use super::disk::{CacheFile, Slot};
use crate::error::Result;
use crate::geometry::BlockNumber;
use crate::payload::Payload;

/// Reads a slot into a buffer. Waits for the disk. A weightless cache has no file.
pub(super) fn read(file: &CacheFile, block: BlockNumber, slot: Slot, block_size: u32) -> Result<Buffer> {
    let mut buffer = Form { block_size, payload: Payload::Real }.arbitrary();
    let bytes = buffer.get_mut().expect("the buffer was made here");
    file.read(block, slot, bytes)?;
    Ok(buffer)
}

//! A block's bytes from the cache file.

use super::buffer::{Buffer, Form};
use super::disk::{CacheFile, Slot};
use crate::error::Result;
use crate::geometry::BlockNumber;

/// Reads a slot into a buffer. Waits for the disk.
pub(super) fn read(file: &CacheFile, block: BlockNumber, slot: Slot, form: Form) -> Result<Buffer> {
    let mut buffer = form.arbitrary();
    let cells = buffer.get_mut().expect("the buffer was made here");
    file.read(block, slot, cells)?;
    Ok(buffer)
}

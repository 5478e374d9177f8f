//! Block numbers and the shape of a volume.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The unit of partial writes inside a block, in bytes.
pub const SECTOR: u32 = 512;

/// Number of a block in its volume. Printed, as in object names, as eight lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockNumber(pub u32);

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {:08x}", self.0)
    }
}

/// Block size and size of a volume. Always valid: the block size is a power of two of at least one
/// sector, the size is a positive multiple of it, and there are fewer than 2^32 blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    block_size: u32,
    blocks: u32,
}

/// The part of one block that a byte range covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub block: BlockNumber,
    /// First byte within the block.
    pub start: u32,
    /// Length in bytes, at least 1.
    pub len: u32,
}

impl Geometry {
    /// Checks and builds; sizes in bytes. The error names the option, the value and one that works.
    pub fn new(block_size: u64, size: u64) -> Result<Self> {
        if !block_size.is_power_of_two() || block_size < u64::from(SECTOR) || block_size > 1 << 31 {
            let near = block_size.clamp(u64::from(SECTOR), 1 << 31).next_power_of_two();
            return Err(Error::config(format!(
                "--block-size={block_size}: a block size is a power of two from 512 to 2g; try --block-size={near}"
            )));
        }
        if size == 0 || !size.is_multiple_of(block_size) {
            let near = size.div_ceil(block_size).max(1) * block_size;
            return Err(Error::config(format!(
                "--size={size}: a volume's size is a positive multiple of its block size {block_size}; try --size={near}"
            )));
        }
        let blocks = size / block_size;
        let Ok(blocks) = u32::try_from(blocks) else {
            let needed = (size / u64::from(u32::MAX)).next_power_of_two().max(block_size * 2);
            return Err(Error::config(format!(
                "--size={size} with --block-size={block_size} makes {blocks} blocks, the format has room for {}; try --block-size={needed}",
                u32::MAX
            )));
        };
        Ok(Self { block_size: block_size as u32, blocks })
    }

    /// Bytes per block.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Bytes in the volume.
    pub fn size(&self) -> u64 {
        u64::from(self.block_size) * u64::from(self.blocks)
    }

    pub fn sectors_per_block(&self) -> u32 {
        self.block_size / SECTOR
    }

    /// Splits a byte range at block borders. The range must lie inside the volume.
    pub fn pieces(&self, offset: u64, len: u64) -> impl Iterator<Item = Piece> + Clone + use<> {
        debug_assert!(offset + len <= self.size());
        let block_size = u64::from(self.block_size);
        let end = offset + len;
        let mut at = offset;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let start = at % block_size;
            let len = (block_size - start).min(end - at);
            let piece = Piece { block: BlockNumber((at / block_size) as u32), start: start as u32, len: len as u32 };
            at += len;
            Some(piece)
        })
    }

    /// All block numbers.
    pub fn all_blocks(&self) -> impl Iterator<Item = BlockNumber> + use<> {
        let all: Range<u32> = 0..self.blocks;
        all.map(BlockNumber)
    }
}

impl Piece {
    /// The bytes of the block as a range of indices.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_split_at_block_borders() {
        let geometry = Geometry::new(4096, 65536).unwrap();
        let pieces: Vec<_> = geometry.pieces(4000, 5000).map(|p| (p.block.0, p.start, p.len)).collect();
        assert_eq!(pieces, [(0, 4000, 96), (1, 0, 4096), (2, 0, 808)]);
        assert_eq!(geometry.pieces(0, 0).count(), 0);
    }

    #[test]
    fn bad_geometry_names_a_value_that_works() {
        for (block_size, size, hint) in
            [(3000, 30000, "--block-size=4096"), (4096, 5000, "--size=8192"), (1024, 8 << 40, "--block-size=2048")]
        {
            let message = Geometry::new(block_size, size).unwrap_err().to_string();
            assert!(message.contains(hint), "{message}");
        }
        assert_eq!(BlockNumber(0x4a).to_string(), "0000004a");
    }
}

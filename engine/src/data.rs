//! The content of one whole block.

use std::fmt;

use bytes::Bytes;

/// A block's content: all zero, or exactly block-size bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum BlockData {
    Zero,
    Bytes(Bytes),
}

impl BlockData {
    /// Turns all-zero bytes into [`BlockData::Zero`]. O(block size): once per store, never under a lock.
    pub fn detect_zero(bytes: Bytes) -> Self {
        if is_zero(&bytes) { Self::Zero } else { Self::Bytes(bytes) }
    }

    pub fn is_known_zero(&self) -> bool {
        matches!(self, Self::Zero)
    }

    /// The bytes; a zero block is made of `block_size` zero bytes.
    pub fn into_bytes(self, block_size: u32) -> Bytes {
        match self {
            Self::Zero => Bytes::from(vec![0; block_size as usize]),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Copies the part from `start` into `out`.
    pub fn copy_to(&self, start: usize, out: &mut [u8]) {
        match self {
            Self::Zero => out.fill(0),
            Self::Bytes(bytes) => out.copy_from_slice(&bytes[start..start + out.len()]),
        }
    }
}

impl fmt::Debug for BlockData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("Zero"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// Whether every byte is zero. Reads a word at a time and stops at the first other chunk.
pub fn is_zero(bytes: &[u8]) -> bool {
    // 128 bytes at a time is what the compiler turns into straight vector code.
    let mut chunks = bytes.chunks_exact(128);
    chunks.by_ref().all(|chunk| chunk.iter().fold(0, |seen, byte| seen | byte) == 0)
        && chunks.remainder().iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_set_byte_anywhere_is_not_zero() {
        for at in 0..300 {
            let mut bytes = vec![0u8; 300];
            assert!(is_zero(&bytes));
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "byte {at}");
        }
        assert!(is_zero(&[]));
    }
}

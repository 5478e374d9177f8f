//! The block cache (being built).

pub mod disk;
pub mod sectors;

use std::ops::Deref;

use bytes::Bytes;

use crate::error::Result;
use crate::volume::HitBytes;

pub struct BlockCache {}

/// Bytes of one block, held without a copy.
pub struct HeldBytes(Bytes);

impl Deref for HeldBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl BlockCache {
    pub fn try_read<'a>(&self, _offset: u64, _len: usize, _scratch: &'a mut Vec<u8>) -> Option<Result<HitBytes<'a>>> {
        None
    }
    pub fn try_write(&self, _offset: u64, _data: &[u8]) -> Result<usize> {
        Ok(0)
    }
    pub async fn read(&self, _offset: u64, _len: usize) -> Result<Bytes> {
        Ok(Bytes::new())
    }
    pub async fn write(&self, _offset: u64, _data: Bytes) -> Result<()> {
        Ok(())
    }
    pub async fn zero(&self, _offset: u64, _len: u64) -> Result<()> {
        Ok(())
    }
    pub async fn flush(&self) -> Result<()> {
        Ok(())
    }
    pub async fn preload(&self) -> Result<u64> {
        Ok(0)
    }
    pub async fn close(&self) -> Result<()> {
        Ok(())
    }
}

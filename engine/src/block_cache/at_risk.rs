//! How much a crash would lose at most: bytes written and not yet stored. For people, never for decisions.
//!
//! An upper bound: a block counts what was written into it since its last snapshot, a byte written twice as two, at most
//! its size. Writes of zeros count nothing, nor do the dirty blocks that a restart found in the cache file.

/// Bytes of all blocks together, and the most there ever were.
#[derive(Debug, Default)]
pub(crate) struct AtRisk {
    now: u64,
    most: u64,
}

impl AtRisk {
    /// `len` more bytes are written into a block whose bytes at risk are `block`. Says whether it is more than ever.
    pub(crate) fn written(&mut self, block: &mut u32, len: u32, block_size: u32) -> bool {
        let more = len.min(block_size.saturating_sub(*block));
        *block += more;
        self.now += u64::from(more);
        let record = self.now > self.most;
        self.most = self.most.max(self.now);
        record
    }

    /// A snapshot with this many bytes is stored.
    pub(crate) fn stored(&mut self, bytes: u32) {
        self.now = self.now.saturating_sub(u64::from(bytes));
    }

    /// A snapshot was not stored: what was written since belongs to the same block again.
    pub(crate) fn joined(&mut self, block: &mut u32, since: u32, block_size: u32) {
        let both = block.saturating_add(since).min(block_size);
        self.stored(*block + since - both);
        *block = both;
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_at_risk_once_however_often_it_is_written() {
        let (mut all, mut one, mut two, mut since) = (AtRisk::default(), 0, 0, 0);
        assert!(all.written(&mut one, 3000, 4096) && all.written(&mut one, 3000, 4096));
        assert!(!all.written(&mut one, 10, 4096) && all.written(&mut two, 10, 4096));
        assert_eq!((all.now, all.most(), one), (4106, 4106, 4096));
        all.written(&mut since, 100, 4096);
        all.joined(&mut one, since, 4096);
        assert_eq!((all.now, one), (4106, 4096));
        all.stored(one);
        all.stored(two);
        assert_eq!((all.now, all.most()), (0, 4206));
    }
}

//! ARC .lis: `start_block n_blocks ignored request_number`. All are reads, and there are no times: all are at 0.
//!
//! For the P and S traces a block has 512 bytes, the default. OLTP counts database pages.

use super::fields::{integer, quoted, range, split_words};
use super::text::LineFormat;
use super::{RawOp, Skipped};
use crate::op::OpKind;

pub struct Arc {
    block_bytes: u64,
    last_number: Option<u64>,
}

impl Arc {
    pub fn new(block_bytes: u64) -> Self {
        Self { block_bytes, last_number: None }
    }
}

impl LineFormat for Arc {
    fn example(&self) -> &'static str {
        "123456 1 0 17"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        let [block, blocks, ignored, number] = split_words(line)?;
        integer("third field", ignored)?;
        let request = integer("request number", number)?;
        if self.last_number.is_some_and(|last| request < last) {
            return Err(format!("request number {} is smaller than the one before", quoted(number)));
        }
        self.last_number = Some(request);
        let blocks = integer("number of blocks", blocks)?.checked_mul(self.block_bytes);
        let (offset, len) = range(integer("start block", block)?, self.block_bytes, blocks)?;
        Ok(Some(RawOp::new(0, OpKind::Read, offset, len)))
    }
}

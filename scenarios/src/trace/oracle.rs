//! libCacheSim's oracleGeneral: packed little-endian records of 24 bytes without any header, and without operations.
//!
//! Seconds, an object's number, its bytes, and when it is asked for next. The number is taken for a 512-byte sector,
//! as in the traces that were made from block traces; all are reads.

use super::source::{Source, u32_at, u64_at};
use super::{RawOp, RawOps, Skipped, TraceError};
use crate::op::OpKind;

const RECORD_LEN: usize = 24;
const SECOND_NS: u64 = 1_000_000_000;
/// Larger objects and longer futures are taken for another format.
const MAX_BYTES: u32 = 1 << 30;
const MAX_FUTURE: u64 = 1 << 40;

fn fits(record: &[u8]) -> bool {
    let (bytes, next) = (u32_at(record, 12), u64_at(record, 16));
    (1..=MAX_BYTES).contains(&bytes) && (next == u64::MAX || next <= MAX_FUTURE)
}

/// At least four records, all plausible, with times that never fall.
pub fn recognise(head: &[u8]) -> bool {
    let records = || head.chunks_exact(RECORD_LEN);
    records().count() >= 4 && records().all(fits) && records().is_sorted_by_key(|record| u32_at(record, 0))
}

pub struct Oracle(Source);

impl Oracle {
    pub fn new(source: Source) -> Self {
        Self(source)
    }
}

impl RawOps for Oracle {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        let mut record = [0; RECORD_LEN];
        if !self.0.record(&mut record)? {
            return Ok(None);
        }
        if !fits(&record) {
            let (bytes, next) = (u32_at(&record, 12), u64_at(&record, 16));
            let what = format!("{bytes} bytes, next access {next}: not an oracleGeneral record as the first ones are");
            return Err(self.0.error(what));
        }
        let len = u64::from(u32_at(&record, 12));
        let offset = self.0.offset_of(u64_at(&record, 4), len)?;
        Ok(Some(RawOp::new(u64::from(u32_at(&record, 0)) * SECOND_NS, OpKind::Read, offset, len)))
    }

    fn skipped(&self) -> Skipped {
        Skipped::default()
    }
}

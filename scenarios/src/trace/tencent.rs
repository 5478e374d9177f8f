//! Tencent CBS csv: `Timestamp,Offset,Size,IOType,VolumeID`; whole seconds, 512-byte sectors, 0 reads and 1 writes.

use super::devices::Devices;
use super::fields::{integer, quoted, range, split, whole_time};
use super::text::{LineFormat, is_header};
use super::{RawOp, Skipped};
use crate::op::OpKind;

const SECOND_NS: u64 = 1_000_000_000;
const SECTOR: u64 = 512;

#[derive(Default)]
pub struct Tencent {
    devices: Devices,
}

impl LineFormat for Tencent {
    fn example(&self) -> &'static str {
        "1538323200,42932745,1,1,0"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        if is_header(line, "Timestamp,Offset,Size,IOType,VolumeID") {
            return Ok(None);
        }
        let [time, sector, sectors, kind, volume] = split(line)?;
        let time_ns = whole_time(time, SECOND_NS)?;
        let kind = match kind {
            b"0" => OpKind::Read,
            b"1" => OpKind::Write,
            _ => return Err(format!("IOType {} is neither 0 (read) nor 1 (write)", quoted(kind))),
        };
        let sectors = integer("size", sectors)?.checked_mul(SECTOR);
        let (offset, len) = range(integer("offset", sector)?, SECTOR, sectors)?;
        integer("VolumeID", volume)?;
        Ok(Some(RawOp { device: self.devices.number(volume)?, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}

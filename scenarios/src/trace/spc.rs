//! SPC csv (UMass Financial and WebSearch): `ASU,LBA,Size,Opcode,Timestamp`, more fields allowed behind.
//!
//! Each application storage unit is a device of its own. The specification leaves the block size of the LBA open; the
//! UMass traces use 512 bytes, which is the default.

use super::devices::Devices;
use super::fields::{integer, quoted, range, time};
use super::text::LineFormat;
use super::{RawOp, Skipped};
use crate::op::OpKind;

const SECOND_NS: u64 = 1_000_000_000;

pub struct Spc {
    devices: Devices,
    block_bytes: u64,
}

impl Spc {
    pub fn new(block_bytes: u64) -> Self {
        Self { devices: Devices::default(), block_bytes }
    }
}

impl LineFormat for Spc {
    fn example(&self) -> &'static str {
        "0,20941264,8192,W,0.551706"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        let mut fields = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let mut field = || fields.next().ok_or_else(|| format!("{} has fewer than 5 fields", quoted(line)));
        let (unit, block, len, opcode, start) = (field()?, field()?, field()?, field()?, field()?);
        integer("ASU", unit)?;
        let kind = match opcode {
            b"r" | b"R" => OpKind::Read,
            b"w" | b"W" => OpKind::Write,
            _ => return Err(format!("opcode {} is none of r, R, w, W", quoted(opcode))),
        };
        let (offset, len) = range(integer("LBA", block)?, self.block_bytes, Some(integer("size", len)?))?;
        let time_ns = time(start, SECOND_NS)?;
        Ok(Some(RawOp { device: self.devices.number(unit)?, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}

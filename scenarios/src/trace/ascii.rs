//! MQSim, SSDSim and DiskSim ascii: `time device start_sector n_sectors type`; 512-byte sectors, bit 0 of type reads.
//!
//! The formats differ in the unit of time only: whole nanoseconds (MQSim as it ships, SSDSim), or milliseconds with a
//! fraction (DiskSim). MQSim's unit can be set in its workload file, so it can be set here.

use super::devices::Devices;
use super::fields::{integer, quoted, range, split_words, time};
use super::options::TimeUnit;
use super::text::LineFormat;
use super::{RawOp, Skipped};
use crate::op::OpKind;

const SECTOR: u64 = 512;

pub struct Ascii {
    devices: Devices,
    unit: TimeUnit,
    fractions: bool,
}

impl Ascii {
    pub fn mqsim(unit: Option<TimeUnit>) -> Self {
        Self { devices: Devices::default(), unit: unit.unwrap_or(TimeUnit::Nanoseconds), fractions: false }
    }

    pub fn disksim(unit: Option<TimeUnit>) -> Self {
        Self { devices: Devices::default(), unit: unit.unwrap_or(TimeUnit::Milliseconds), fractions: true }
    }
}

impl LineFormat for Ascii {
    fn example(&self) -> &'static str {
        if self.fractions { "7961.833 0 20228336 8 0" } else { "938513000 4 264719034 16 0" }
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        let [start, device, sector, sectors, kind] = split_words(line)?;
        if !self.fractions && start.contains(&b'.') {
            let what = "has a fraction, as DiskSim's milliseconds have and MQSim's do not";
            return Err(format!("time {} {what}; name the format to read it so", quoted(start)));
        }
        let (unit_ns, divisor) = self.unit.ratio();
        let time_ns = time(start, unit_ns)? / divisor;
        integer("device", device)?;
        let sectors = integer("size", sectors)?.checked_mul(SECTOR);
        let (offset, len) = range(integer("start sector", sector)?, SECTOR, sectors)?;
        let flags = integer("type", kind)?;
        if !self.fractions && flags > 1 {
            return Err(format!("type {} is neither 0 (write) nor 1 (read)", quoted(kind)));
        }
        let kind = if flags & 1 == 1 { OpKind::Read } else { OpKind::Write };
        Ok(Some(RawOp { device: self.devices.number(device)?, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}

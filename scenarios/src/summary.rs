//! What a workload amounts to, from one pass over it: counts, bytes, extents. Memory is bounded by the devices.

use crate::op::{Op, OpKind};

/// Counts and extents of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub reads: u64,
    pub writes: u64,
    pub flushes: u64,
    pub discards: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    /// Intended start of the last operation.
    pub duration_ns: u64,
    /// First byte behind the last access, for each device.
    pub device_ends: Vec<u64>,
    /// Lowest byte touched.
    pub lowest: Option<u64>,
    /// Operations that do not cover whole 512-byte sectors.
    pub unaligned: u64,
}

impl Summary {
    pub fn add(&mut self, op: &Op) {
        match op.kind {
            OpKind::Read => (self.reads, self.read_bytes) = (self.reads + 1, self.read_bytes.saturating_add(op.len)),
            OpKind::Write => {
                (self.writes, self.write_bytes) = (self.writes + 1, self.write_bytes.saturating_add(op.len))
            }
            OpKind::Flush => self.flushes += 1,
            OpKind::Discard => self.discards += 1,
        }
        self.duration_ns = self.duration_ns.max(op.time_ns);
        if op.kind == OpKind::Flush {
            return;
        }
        let device = op.device as usize;
        if self.device_ends.len() <= device {
            self.device_ends.resize(device + 1, 0);
        }
        self.device_ends[device] = self.device_ends[device].max(op.end());
        self.lowest = Some(self.lowest.map_or(op.offset, |lowest| lowest.min(op.offset)));
        self.unaligned += u64::from(!op.offset.is_multiple_of(512) || !op.len.is_multiple_of(512));
    }

    /// Sums up a workload; the first error ends it.
    ///
    /// # Errors
    /// Whatever the workload yields.
    pub fn of<E>(ops: impl IntoIterator<Item = Result<Op, E>>) -> Result<Self, E> {
        let mut summary = Self::default();
        for op in ops {
            summary.add(&op?);
        }
        Ok(summary)
    }

    pub fn ops(&self) -> u64 {
        self.reads + self.writes + self.flushes + self.discards
    }

    /// Where each device begins when they are put one behind the other, each rounded up to `align`; the last
    /// number is the size of all. `None` when that is beyond 64 bits.
    pub fn stacked(&self, align: u64) -> Option<Vec<u64>> {
        let mut starts = vec![0u64];
        for end in &self.device_ends {
            let start = starts[starts.len() - 1];
            starts.push(start.checked_add(end.checked_next_multiple_of(align)?)?);
        }
        Some(starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_stacked_without_overlap() {
        let mut summary = Summary::default();
        summary.add(&Op::new(5, OpKind::Write, 4096, 512));
        summary.add(&Op { device: 1, ..Op::new(9, OpKind::Read, 100, 50) });
        summary.add(&Op::new(11, OpKind::Flush, 0, 0));
        assert_eq!(summary.stacked(4096), Some(vec![0, 8192, 12288]));
        assert_eq!((summary.ops(), summary.duration_ns, summary.lowest), (3, 11, Some(100)));
        summary.add(&Op::new(12, OpKind::Read, u64::MAX - 10, 10));
        assert_eq!(summary.stacked(4096), None);
    }
}

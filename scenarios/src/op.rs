//! One operation of a workload.

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    Read,
    Write,
    Flush,
    Discard,
}

impl OpKind {
    pub const ALL: [OpKind; 4] = [OpKind::Read, OpKind::Write, OpKind::Flush, OpKind::Discard];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
        }
    }
}

/// One operation, normalised: times from the first operation, never falling; `offset + len` never overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Intended start, in nanoseconds from the start of the workload.
    pub time_ns: u64,
    pub kind: OpKind,
    /// Bytes from the start of the device; 0 for a flush.
    pub offset: u64,
    /// Bytes, at least 1; 0 for a flush.
    pub len: u64,
    /// Address space, numbered from 0 in order of first appearance.
    pub device: u32,
    /// A write that flushes what came before it first (the kernel's PREFLUSH).
    pub flush_before: bool,
    /// A write that is durable when it returns (FUA).
    pub durable: bool,
}

impl Op {
    /// A plain operation on device 0.
    pub fn new(time_ns: u64, kind: OpKind, offset: u64, len: u64) -> Self {
        Self { time_ns, kind, offset, len, device: 0, flush_before: false, durable: false }
    }

    /// First byte behind the operation.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

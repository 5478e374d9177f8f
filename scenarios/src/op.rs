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

/// Which stream of a scenario made an operation, and whether a write carries nothing but zeros. One byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin(u8);

impl Origin {
    /// What a recorded operation has: stream 0, not zero.
    pub const RECORDED: Origin = Origin(0);
    /// Streams are numbered below this.
    pub const STREAMS: usize = 128;

    /// # Panics
    /// If `stream` is [`Origin::STREAMS`] or more.
    pub fn new(stream: usize, zero: bool) -> Self {
        assert!(stream < Self::STREAMS, "stream {stream} of at most {}", Self::STREAMS);
        Self(stream as u8 | if zero { 0x80 } else { 0 })
    }

    /// As one byte, for whoever packs operations.
    pub fn bits(self) -> u8 {
        self.0
    }

    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Index into the workload's streams.
    pub fn stream(self) -> usize {
        usize::from(self.0 & 0x7f)
    }

    /// A write of zeros: a store need not keep it.
    pub fn is_zero(self) -> bool {
        self.0 & 0x80 != 0
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
    /// Of generated operations.
    pub origin: Origin,
}

impl Op {
    /// A plain operation on device 0.
    pub fn new(time_ns: u64, kind: OpKind, offset: u64, len: u64) -> Self {
        Self { time_ns, kind, offset, len, device: 0, flush_before: false, durable: false, origin: Origin::RECORDED }
    }

    /// First byte behind the operation.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

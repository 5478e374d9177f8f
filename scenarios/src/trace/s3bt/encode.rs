//! Operations to frames. A pure buffer: cheap enough for the thread that serves the operation.

use super::{
    EndReason, FRAME_HEADER_LEN, FRAME_MAGIC, Header, MAX_CONTENT, OPS, Previous, STATEMENT, Statement, tag, zigzag,
};
use crate::op::{Op, OpKind};

/// A frame's content is full at so many bytes: about 8,000 operations, a fraction of a second to tens of seconds.
const FULL: usize = 64 << 10;
/// The longest operation: tag, device, time, offset, length.
const LONGEST: usize = 1 + 5 + 10 + 10 + 10;
const _: () = assert!(FULL + LONGEST <= MAX_CONTENT);
const SECTOR: u64 = 512;

/// Whether frames are compressed when they are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    /// Saves little, because random offsets do not compress: docs/TRACE-FORMAT.md has the numbers.
    Zstd,
}

/// Gathers operations into frames.
///
/// ```
/// # use s3b_scenarios::{Op, OpKind};
/// # use s3b_scenarios::trace::s3bt::{Encoder, Frame, Header, Packing};
/// let header = Header { tick_ns: 1000, ..Header::default() };
/// let (mut file, mut encoder) = (header.encode(), Encoder::new(&header));
/// if let Some(full) = encoder.push(&Op::new(1_000, OpKind::Write, 4096, 512)) {
///     file.extend(full.seal(Packing::Plain));
/// }
/// if let Some(rest) = encoder.rest() {
///     file.extend(rest.seal(Packing::Plain));
/// }
/// ```
pub struct Encoder {
    tick_ns: u64,
    content: Vec<u8>,
    ops: u32,
    previous: Previous,
    /// In all.
    total: u64,
}

impl Encoder {
    /// Of the header, the tick alone matters here.
    pub fn new(header: &Header) -> Self {
        let content = Vec::with_capacity(FULL + LONGEST);
        Self { tick_ns: header.tick_ns.max(1).into(), content, ops: 0, previous: Previous::default(), total: 0 }
    }

    /// Adds an operation; its time counts from the start of the recording, and may fall a little. Answers the frame
    /// that this one filled.
    pub fn push(&mut self, op: &Op) -> Option<Frame> {
        // The divisions of the usual ticks by a constant are several times faster.
        let ticks = match self.tick_ns {
            1 => op.time_ns,
            1000 => op.time_ns / 1000,
            tick_ns => op.time_ns / tick_ns,
        };
        if self.ops == 0 {
            self.previous = Previous { ticks, ..Previous::default() };
            put_varint(&mut self.content, ticks);
        }
        self.put(op, ticks);
        self.ops += 1;
        self.total += 1;
        if self.content.len() >= FULL { self.rest() } else { None }
    }

    fn put(&mut self, op: &Op, ticks: u64) {
        let (out, previous) = (&mut self.content, &mut self.previous);
        let kind = op.kind as usize;
        let data = op.kind != OpKind::Flush;
        let (last_end, last_len) = (previous.end[kind], previous.len[kind]);
        let sectors = op.offset.is_multiple_of(SECTOR) && op.len.is_multiple_of(SECTOR);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let bits = kind as u8
            | flag(op.flush_before, tag::FLUSH_BEFORE)
            | flag(op.durable, tag::DURABLE)
            | flag(data && op.len == last_len, tag::SAME_LEN)
            | flag(data && op.offset == last_end, tag::ADJACENT)
            | flag(data && !sectors, tag::BYTES)
            | flag(op.device != previous.device, tag::DEVICE);
        out.push(bits);
        if bits & tag::DEVICE != 0 {
            put_varint(out, op.device.into());
            previous.device = op.device;
        }
        put_varint(out, zigzag(ticks.wrapping_sub(previous.ticks)));
        previous.ticks = ticks;
        if !data {
            return;
        }
        let in_units = |bytes: u64| if sectors { bytes / SECTOR } else { bytes };
        if bits & tag::ADJACENT == 0 {
            put_varint(out, zigzag(in_units(op.offset).wrapping_sub(in_units(last_end))));
        }
        if bits & tag::SAME_LEN == 0 {
            put_varint(out, in_units(op.len));
        }
        previous.end[kind] = op.offset.wrapping_add(op.len);
        previous.len[kind] = op.len;
    }

    /// Operations pushed so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What no full frame holds, if anything.
    pub fn rest(&mut self) -> Option<Frame> {
        if self.ops == 0 {
            return None;
        }
        let content = std::mem::replace(&mut self.content, Vec::with_capacity(FULL + LONGEST));
        Some(Frame { kind: OPS, ops: std::mem::take(&mut self.ops), content })
    }
}

/// A part of the file, not yet in its final form.
#[derive(Debug)]
pub struct Frame {
    kind: u8,
    ops: u32,
    content: Vec<u8>,
}

impl Frame {
    /// The frame that makes a statement.
    pub fn stating(statement: Statement) -> Self {
        let mut content = Vec::new();
        match statement {
            Statement::Dropped(ops) => {
                content.push(1);
                put_varint(&mut content, ops);
            }
            Statement::Ended { reason, ops } => {
                content.push(2);
                let place = EndReason::ALL.iter().position(|known| *known == reason);
                content.push(place.unwrap_or_default() as u8);
                put_varint(&mut content, ops);
            }
        }
        Self { kind: STATEMENT, ops: 0, content }
    }

    /// Operations in it.
    pub fn ops(&self) -> u32 {
        self.ops
    }

    /// The bytes to append to the file. Compresses if asked to and if it helps: not for the thread that pushes.
    pub fn seal(&self, packing: Packing) -> Vec<u8> {
        const ZSTD_LEVEL: i32 = 1;
        let packed = match packing {
            Packing::Plain => None,
            Packing::Zstd => zstd::bulk::compress(&self.content, ZSTD_LEVEL).ok(),
        };
        let packed = packed.filter(|packed| packed.len() < self.content.len());
        let stored = packed.as_ref().unwrap_or(&self.content);
        let mut bytes = Vec::with_capacity(FRAME_HEADER_LEN + stored.len());
        bytes.extend(FRAME_MAGIC);
        bytes.extend([self.kind, u8::from(packed.is_some()), 0, 0]);
        bytes.extend((stored.len() as u32).to_le_bytes());
        bytes.extend((self.content.len() as u32).to_le_bytes());
        bytes.extend(self.ops.to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), stored);
        bytes.extend(checksum.to_le_bytes());
        bytes.extend_from_slice(stored);
        bytes
    }
}

/// Seven bits to a byte, lowest first; the top bit says that more follow.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

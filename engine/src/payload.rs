//! What the blocks of an open volume are made of: their bytes or, in a simulation, what matters of them.
//!
//! A weightless volume runs the same code over buffers that have one *cell* for each sector, where a real one has a cell
//! for each byte. A weightless cell says what was written there: nothing but zeros, or data that compresses so and so well.
//! So a sweep moves a five hundredth of the bytes, copies, folds and merges them by the same code, and still knows exactly
//! which sectors are zero. Bodies of objects have their real length; they are parts of one page that nobody fills.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;

use crate::data::is_zero;
use crate::geometry::SECTOR;

/// How a volume keeps what is written to it. Fixed when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    #[default]
    Real,
    /// Reads answer bytes without meaning. Only over a backend that keeps
    /// [`ObjectHeaders::stands_for`](crate::object::ObjectHeaders::stands_for), as [`Memory`](crate::memory::Memory) does.
    Weightless,
}

/// What a sector of a weightless volume holds: its size after compression, in 255ths of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub(crate) u8);

/// What a write brings.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A discard or its like: zeros by name.
    Zeros,
    /// As many as are written. Only to real volumes.
    Bytes(&'a [u8]),
    /// Only to weightless volumes.
    Weight(Weight),
}

/// Longest body of one piece. Address space of which no page is ever touched.
const PAGE: usize = 256 << 20;

impl Weight {
    /// Written, and all zero.
    pub const ZERO: Weight = Weight(0);
    pub const INCOMPRESSIBLE: Weight = Weight(u8::MAX);

    /// Data that compression makes this many times smaller; 1 and less: incompressible. True to 0.2 % of the size before
    /// compression, and never zero.
    pub fn of_ratio(ratio: f64) -> Weight {
        Weight((255.0 / ratio.max(1.0)).round().max(1.0) as u8)
    }

    /// What is to be said of these bytes without compressing them.
    pub fn of(bytes: &[u8]) -> Weight {
        if is_zero(bytes) { Self::ZERO } else { Self::INCOMPRESSIBLE }
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl Payload {
    /// The largest block of a weightless volume, in bytes.
    pub const LARGEST_WEIGHTLESS_BLOCK: u32 = 128 << 20;

    /// Binary logarithm of the bytes that one cell stands for.
    const fn shift(self) -> u32 {
        match self {
            Self::Real => 0,
            Self::Weightless => SECTOR.trailing_zeros(),
        }
    }

    /// The cells that a range of bytes touches.
    pub(crate) fn cells(self, bytes: Range<usize>) -> Range<usize> {
        let (shift, rest) = (self.shift(), (1 << self.shift()) - 1);
        bytes.start >> shift..(bytes.end + rest) >> shift
    }

    /// The cells that a range of bytes covers whole.
    fn whole_cells(self, bytes: Range<usize>) -> Range<usize> {
        let (shift, rest) = (self.shift(), (1 << self.shift()) - 1);
        let start = (bytes.start + rest) >> shift;
        start..(bytes.end >> shift).max(start)
    }

    /// Cells of so many bytes from the start of a cell on.
    pub(crate) fn cell_count(self, bytes: usize) -> usize {
        self.cells(0..bytes).end
    }

    /// The smallest range around this one whose ends are ends of cells.
    pub(crate) fn round(self, offset: u64, len: usize) -> (u64, usize) {
        let rest = (1 << self.shift()) - 1;
        let start = offset & !rest;
        (start, (((offset + len as u64 + rest) & !rest) - start) as usize)
    }

    /// The bytes of so many cells.
    pub(crate) fn byte_count(self, cells: usize) -> usize {
        cells << self.shift()
    }

    /// How this volume takes written bytes: of a weightless one's only whether there is any that is not zero is asked.
    pub(crate) fn source(self, bytes: &[u8]) -> Source<'_> {
        match self {
            Self::Real => Source::Bytes(bytes),
            Self::Weightless => Source::Weight(Weight::of(bytes)),
        }
    }

    /// Writes to the cells of a range of bytes.
    pub(crate) fn put(self, cells: &mut [u8], range: Range<usize>, source: Source<'_>) {
        match source {
            Source::Bytes(bytes) => cells[range].copy_from_slice(bytes),
            // A sector of which only a part becomes zero is not zero.
            Source::Zeros | Source::Weight(Weight::ZERO) => cells[self.whole_cells(range)].fill(0),
            Source::Weight(weight) => cells[self.cells(range)].fill(weight.0),
        }
    }
}

impl<'a> Source<'a> {
    /// What falls on a part of the written range.
    pub(crate) fn part(self, range: Range<usize>) -> Source<'a> {
        match self {
            Self::Bytes(bytes) => Self::Bytes(&bytes[range]),
            same => same,
        }
    }

    pub(crate) fn is_zeros(self) -> bool {
        matches!(self, Self::Zeros)
    }
}

/// So many bytes without meaning, and without weight up to [`PAGE`].
pub(crate) fn page(len: usize) -> Bytes {
    shared_page(len).map_or_else(|| vec![0; len].into(), Bytes::from_static)
}

/// A part of the page that all weightless answers and bodies share.
pub(crate) fn shared_page(len: usize) -> Option<&'static [u8]> {
    // Fresh from the kernel and never written: it costs addresses, not memory.
    static SHARED: LazyLock<Box<[u8]>> = LazyLock::new(|| vec![0; PAGE].into());
    SHARED.get(..len)
}

/// The cells of a real block.
pub(crate) fn weigh(block: &[u8]) -> Bytes {
    block.chunks(SECTOR as usize).map(|sector| Weight::of(sector).0).collect()
}

/// The cells of a block that is all of one weight.
pub(crate) fn weightless_block(block_size: u32, weight: Weight) -> Bytes {
    vec![weight.0; Payload::Weightless.cell_count(block_size as usize)].into()
}

/// The size of a block after compression, in bytes.
pub(crate) fn compressed_len(cells: &[u8]) -> usize {
    let parts: u64 = cells.iter().map(|cell| u64::from(*cell)).sum();
    (parts * u64::from(SECTOR)).div_ceil(u64::from(u8::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_zero_only_when_all_of_it_was_zeroed() {
        let mut cells = [7; 4];
        Payload::Weightless.put(&mut cells, 100..1636, Source::Weight(Weight::ZERO));
        assert_eq!(cells, [7, 0, 0, 7]);
        Payload::Weightless.put(&mut cells, 600..700, Source::Zeros);
        assert_eq!(cells, [7, 0, 0, 7]);
        Payload::Weightless.put(&mut cells, 600..1025, Source::Weight(Weight::INCOMPRESSIBLE));
        assert_eq!(cells, [7, 255, 255, 7]);
        let mut bytes = [7; 4];
        Payload::Real.put(&mut bytes, 1..3, Source::Zeros);
        assert_eq!(bytes, [7, 0, 0, 7]);
    }

    #[test]
    fn ranges_are_rounded_to_sectors_where_there_is_nothing_smaller() {
        assert_eq!(Payload::Real.round(100, 1000), (100, 1000));
        assert_eq!(Payload::Weightless.round(100, 1000), (0, 1536));
        assert_eq!(Payload::Weightless.round(512, 1024), (512, 1024));
        assert_eq!(Payload::Weightless.cells(512..1025), 1..3);
    }

    #[test]
    fn a_ratio_is_kept_and_never_taken_for_zero() {
        for ratio in [0.5, 1.0, 1.7, 3.0, 20.0] {
            let cells = [Weight::of_ratio(ratio).0; 2048];
            let share = compressed_len(&cells) as f64 / f64::from(2048 * SECTOR);
            assert!((share - 1.0 / f64::max(ratio, 1.0)).abs() < 0.002, "{ratio}: {share}");
        }
        assert!(!Weight::of_ratio(1e9).is_zero());
        assert_eq!(compressed_len(&[255; 8]), 4096);
    }
}

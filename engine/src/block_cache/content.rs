//! What is known of one block's bytes: a base, and on top of it an overlay of written sectors.
//!
//! The base is the whole block as last fetched, stored or written whole. It may be shared with a store or a reply
//! and is then never written: new bytes go to the overlay, which is read first, and are folded into the base once it
//! is unshared again. A block without a base is incomplete: only the overlay's sectors are known. Every operation
//! costs O(bytes touched); callers pass at most [`COPY_LIMIT`] bytes at a time, because they hold the cache's lock.

use std::ops::Range;

use super::buffer::{Buffer, Form, HeldBytes};
use super::sectors::SectorMask;
use crate::geometry::SECTOR;
use crate::payload::Source;

/// Most bytes copied under the cache's lock in one go.
pub(crate) const COPY_LIMIT: usize = 64 << 10;

#[derive(Clone)]
pub(crate) enum Base {
    /// Unknown: the block is incomplete.
    Absent,
    /// All zero.
    Zero,
    Memory(Buffer),
    /// Whole in the cache file, not in memory.
    File,
}

impl Base {
    /// Of a block written whole.
    pub(crate) fn written(form: Form, source: Source<'_>) -> Self {
        if source.is_zeros() { Self::Zero } else { Self::Memory(form.written(source)) }
    }
}

/// Sectors written over the base. The buffer is never shared; outside the mask it holds anything.
pub(crate) struct Overlay {
    buffer: Buffer,
    mask: SectorMask,
}

pub(crate) struct Content {
    pub(crate) base: Base,
    pub(crate) overlay: Option<Box<Overlay>>,
}

/// How much of a byte range can be read from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    /// All of it is known, some only in the cache file.
    InFile,
    No,
}

/// The outcome of one folding step.
pub(crate) enum Fold {
    /// No overlay (any more): the base is everything.
    Done,
    /// A piece was folded, more remains.
    More,
    /// The base is shared; writing into it needs a private copy first.
    Shared(Buffer),
    /// The base must be loaded from the cache file first.
    InFile,
    /// There is no base.
    Incomplete,
}

impl Content {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, overlay: None }
    }

    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self.base, Base::Absent)
    }

    pub(crate) fn is_zero(&self) -> bool {
        matches!(self.base, Base::Zero) && self.overlay.is_none()
    }

    /// The mask of an incomplete block.
    pub(crate) fn incomplete_mask(&self) -> Option<&SectorMask> {
        if self.is_complete() { None } else { self.overlay.as_ref().map(|overlay| &overlay.mask) }
    }

    pub(crate) fn known(&self, range: Range<usize>) -> Known {
        match self.base {
            Base::Zero | Base::Memory(_) => Known::Yes,
            Base::Absent | Base::File => match self.base {
                _ if self.is_overlaid(&range) => Known::Yes,
                Base::File => Known::InFile,
                _ => Known::No,
            },
        }
    }

    /// Whether the overlay has all of it.
    fn is_overlaid(&self, range: &Range<usize>) -> bool {
        self.overlay.as_ref().is_some_and(|overlay| overlay.mask.contains_all(touched(range)))
    }

    /// Copies the cells of known bytes into `out`. Bytes that are not [`Known::Yes`] must not be asked for.
    pub(crate) fn copy_out(&self, range: Range<usize>, out: &mut [u8]) {
        debug_assert_eq!(self.known(range.clone()), Known::Yes);
        match &self.base {
            _ if self.is_overlaid(&range) => {}
            Base::Memory(buffer) => out.copy_from_slice(buffer.cells(range.clone())),
            Base::Zero => out.fill(0),
            Base::Absent | Base::File => {}
        }
        if let Some(overlay) = &self.overlay {
            overlay.copy_over(range, out);
        }
    }

    /// The bytes without a copy, where one buffer has them all.
    pub(crate) fn hold(&self, range: Range<usize>) -> Option<HeldBytes> {
        match (&self.base, &self.overlay) {
            (Base::Memory(buffer), None) => Some(HeldBytes::new(buffer.clone(), range)),
            (Base::Memory(buffer), Some(overlay)) if overlay.mask.contains_none(touched(&range)) => {
                Some(HeldBytes::new(buffer.clone(), range))
            }
            _ => None,
        }
    }

    /// Whether `range` can be written now: sectors it covers in part must be known already.
    pub(crate) fn can_write(&self, range: &Range<usize>) -> bool {
        edges(range).into_iter().flatten().all(|sector| self.known(sector_bytes(sector)) == Known::Yes)
    }

    /// Writes to a range for which [`Content::can_write`] holds. Answers the bytes copied.
    pub(crate) fn write(&mut self, form: Form, range: Range<usize>, source: Source<'_>) -> usize {
        debug_assert!(self.can_write(&range) && range.len() <= COPY_LIMIT);
        let overlaid = self.overlay.as_ref().is_some_and(|overlay| !overlay.mask.contains_none(touched(&range)));
        if !overlaid {
            match &mut self.base {
                Base::Zero if source.is_zeros() => return 0,
                Base::Memory(buffer) => {
                    if let Some(all) = buffer.get_mut() {
                        form.payload.put(all, range.clone(), source);
                        return range.len();
                    }
                }
                _ => {}
            }
        }
        self.write_overlay(form, range, source)
    }

    fn write_overlay(&mut self, form: Form, range: Range<usize>, source: Source<'_>) -> usize {
        let overlay = self.overlay.get_or_insert_with(|| {
            Box::new(Overlay { buffer: form.arbitrary(), mask: SectorMask::empty(form.block_size) })
        });
        let mut copied = range.len();
        for sector in edges(&range).into_iter().flatten() {
            if !overlay.mask.contains(sector) {
                let at = sector_bytes(sector);
                copied += at.len();
                let cells = &mut overlay.cells()[form.payload.cells(at.clone())];
                match &self.base {
                    Base::Memory(base) => cells.copy_from_slice(base.cells(at)),
                    // A zero base: outside the mask the overlay holds anything.
                    _ => cells.fill(0),
                }
            }
        }
        form.payload.put(overlay.cells(), range.clone(), source);
        overlay.mask.insert(touched(&range));
        self.promote_overlay();
        copied
    }

    /// Moves up to [`COPY_LIMIT`] bytes of the overlay into the base, or zeros of the base into the overlay. Answers the
    /// bytes copied too.
    pub(crate) fn fold(&mut self, form: Form) -> (Fold, usize) {
        let outcome = match (&self.base, &self.overlay) {
            (Base::Absent, _) => Some(Fold::Incomplete),
            (Base::File, _) => Some(Fold::InFile),
            (_, None) => Some(Fold::Done),
            (Base::Zero | Base::Memory(_), Some(_)) => None,
        };
        if let Some(outcome) = outcome {
            return (outcome, 0);
        }
        let (Base::Memory(base), Some(overlay)) = (&mut self.base, &mut self.overlay) else {
            return self.fold_zeros(form);
        };
        let Some(cells) = base.get_mut() else {
            return (Fold::Shared(base.clone()), 0);
        };
        let mut copied = 0;
        while copied < COPY_LIMIT
            && let Some(run) = overlay.mask.next_run(0, ((COPY_LIMIT - copied) as u32) / SECTOR)
        {
            let at = run.start as usize * SECTOR as usize..run.end as usize * SECTOR as usize;
            cells[form.payload.cells(at.clone())].copy_from_slice(overlay.buffer.cells(at.clone()));
            copied += at.len();
            overlay.mask.remove(run);
        }
        if overlay.mask.is_empty() {
            self.overlay = None;
            return (Fold::Done, copied);
        }
        (Fold::More, copied)
    }

    /// Clears a piece of what an overlay over zeros leaves out; once it has all, it is the base.
    fn fold_zeros(&mut self, form: Form) -> (Fold, usize) {
        let Some(overlay) = &mut self.overlay else {
            return (Fold::Done, 0);
        };
        let (mut copied, mut from) = (0, 0);
        while copied < COPY_LIMIT
            && let Some(gap) = overlay.mask.next_gap(from, ((COPY_LIMIT - copied) as u32) / SECTOR)
        {
            let at = gap.start as usize * SECTOR as usize..gap.end as usize * SECTOR as usize;
            copied += at.len();
            overlay.cells()[form.payload.cells(at)].fill(0);
            from = gap.end;
            overlay.mask.insert(gap);
        }
        if !self.promote_overlay() {
            return (Fold::More, copied);
        }
        (Fold::Done, copied)
    }

    /// An overlay that has every sector becomes the base.
    fn promote_overlay(&mut self) -> bool {
        let Some(overlay) = self.overlay.take_if(|overlay| overlay.mask.is_full()) else {
            return false;
        };
        self.base = Base::Memory(overlay.buffer);
        true
    }

    /// Puts a fetched base under whatever was written meanwhile. A base that is there already stays.
    pub(crate) fn set_base(&mut self, base: Base) {
        if !self.is_complete() {
            self.base = base;
        }
    }

    /// An incomplete block from the cache file: its bytes and which sectors of them count.
    pub(crate) fn incomplete(buffer: Buffer, mask: SectorMask) -> Self {
        Self { base: Base::Absent, overlay: Some(Box::new(Overlay { buffer, mask })) }
    }

    /// Copies the cells of the overlay's known sectors in `range` into `out`, for an image of an incomplete block.
    pub(crate) fn copy_overlay(&self, range: Range<usize>, out: &mut [u8]) {
        if let Some(overlay) = &self.overlay {
            overlay.copy_over(range, out);
        }
    }
}

impl Overlay {
    fn cells(&mut self) -> &mut [u8] {
        self.buffer.get_mut().expect("an overlay's buffer is never cloned")
    }

    fn copy_over(&self, range: Range<usize>, out: &mut [u8]) {
        let payload = self.buffer.payload();
        let first = payload.cells(range.clone()).start;
        let sectors = touched(&range);
        let mut from = sectors.start;
        while let Some(run) = self.mask.next_run(from, u32::MAX / 2)
            && run.start < sectors.end
        {
            let at = (run.start as usize * SECTOR as usize).max(range.start)
                ..(run.end as usize * SECTOR as usize).min(range.end);
            let cells = payload.cells(at.clone());
            out[cells.start - first..cells.end - first].copy_from_slice(self.buffer.cells(at));
            from = run.end;
        }
    }
}

/// All sectors a byte range touches.
fn touched(range: &Range<usize>) -> Range<u32> {
    range.start as u32 / SECTOR..(range.end as u32).div_ceil(SECTOR)
}

/// The first and last sector of a range, where only part of it is covered.
fn edges(range: &Range<usize>) -> [Option<u32>; 2] {
    let (start, end) = (range.start as u32, range.end as u32);
    [(!start.is_multiple_of(SECTOR)).then_some(start / SECTOR), (!end.is_multiple_of(SECTOR)).then_some(end / SECTOR)]
}

fn sector_bytes(sector: u32) -> Range<usize> {
    let start = sector as usize * SECTOR as usize;
    start..start + SECTOR as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use crate::payload::Payload;

    const SIZE: u32 = 4096;
    const FORM: Form = Form { block_size: SIZE, payload: Payload::Real };

    /// Slots that are taken next hold this, and not what a test would let pass.
    fn poison(form: Form) {
        let poisoned = vec![0xee; form.payload.cell_count(form.block_size as usize)];
        drop([(); 4].map(|()| form.holding(&poisoned)));
    }

    /// Nothing is cleared beyond a step's limit, and nothing of the slots' last users shows.
    #[test]
    fn a_block_of_zeros_is_written_and_folded_piece_by_piece() {
        const SIZE: usize = 256 << 10;
        for payload in [Payload::Real, Payload::Weightless] {
            let form = Form { block_size: SIZE as u32, payload };
            for seed in 0..60 {
                let mut random = SmallRng::seed_from_u64(seed);
                poison(form);
                let mut content = Content::new(Base::Zero);
                let mut plain = vec![0; payload.cell_count(SIZE)];
                let mut copied = 0;
                for step in 0..40 {
                    let len = random.random_range(1..=if step % 8 == 0 { COPY_LIMIT } else { 2048 });
                    let start = random.random_range(0..SIZE - len);
                    let bytes: Vec<u8> = (0..len).map(|_| random.random()).collect();
                    let source = if random.random_bool(0.2) { Source::Zeros } else { payload.source(&bytes) };
                    let most = len + 2 * SECTOR as usize;
                    assert!(content.write(form, start..start + len, source) <= most, "a write costs what it writes");
                    payload.put(&mut plain, start..start + len, source);
                    if random.random_bool(0.1) {
                        let (_, piece) = content.fold(form);
                        assert!(piece <= COPY_LIMIT);
                        copied += piece;
                    }
                    let mut got = vec![1; plain.len()];
                    content.copy_out(0..SIZE, &mut got);
                    assert!(got == plain, "{payload:?}, seed {seed}, step {step}");
                }
                while let (Fold::More, piece) = content.fold(form) {
                    assert!((1..=COPY_LIMIT).contains(&piece));
                    copied += piece;
                }
                let Base::Memory(base) = &content.base else { panic!("something was written") };
                assert!(base.as_ref() == plain && content.overlay.is_none(), "{payload:?}, seed {seed}");
                assert!(copied > 0 && copied < SIZE, "what was not written was cleared, once: {copied}");
            }
        }
    }

    /// Random writes, folds, holds and merges agree with a plain array in which unknown bytes are `None`.
    #[test]
    fn agrees_with_a_plain_array() {
        for seed in 0..300 {
            let mut random = SmallRng::seed_from_u64(seed);
            let fetched: Vec<u8> = (0..SIZE).map(|_| random.random()).collect();
            let mut content = Content::new(match seed % 3 {
                0 => Base::Absent,
                1 => Base::Zero,
                _ => Base::Memory(FORM.holding(&fetched)),
            });
            let mut plain: Vec<Option<u8>> = match seed % 3 {
                0 => vec![None; SIZE as usize],
                1 => vec![Some(0); SIZE as usize],
                _ => fetched.iter().copied().map(Some).collect(),
            };
            let mut held: Vec<(HeldBytes, Vec<u8>)> = Vec::new();
            for _ in 0..60 {
                let start = random.random_range(0..SIZE as usize);
                let mut range = start..random.random_range(start..SIZE as usize) + 1;
                if random.random_bool(0.6) {
                    range = range.start / 512 * 512..range.end.div_ceil(512) * 512;
                }
                match random.random_range(0..10) {
                    0..5 => {
                        let wanted =
                            !edges(&range).into_iter().flatten().any(|s| plain[sector_bytes(s)].contains(&None));
                        assert_eq!(content.can_write(&range), wanted);
                        if wanted {
                            let bytes: Vec<u8> = range.clone().map(|_| random.random()).collect();
                            let zeros = random.random_bool(0.2);
                            let source = if zeros { Source::Zeros } else { Source::Bytes(&bytes) };
                            content.write(FORM, range.clone(), source);
                            for (at, byte) in range.zip(bytes) {
                                plain[at] = Some(if zeros { 0 } else { byte });
                            }
                        }
                    }
                    5 => {
                        content.fold(FORM);
                    }
                    6 => held.clear(),
                    7 if seed % 3 == 0 && random.random_bool(0.2) => {
                        content.set_base(Base::Memory(FORM.holding(&fetched)));
                        plain.iter_mut().zip(&fetched).for_each(|(known, byte)| *known = Some(known.unwrap_or(*byte)));
                    }
                    _ => {
                        let known = touched(&range).all(|s| !plain[sector_bytes(s)].contains(&None));
                        assert_eq!(content.known(range.clone()) == Known::Yes, known);
                        if known {
                            let wanted: Vec<u8> = plain[range.clone()].iter().map(|byte| byte.unwrap()).collect();
                            let mut got = vec![1; range.len()];
                            content.copy_out(range.clone(), &mut got);
                            assert_eq!(got, wanted, "seed {seed}");
                            if let Some(bytes) = content.hold(range) {
                                held.push((bytes, wanted));
                            }
                        }
                    }
                }
                assert!(held.iter().all(|(bytes, wanted)| **bytes == **wanted), "a held reply changed, seed {seed}");
            }
        }
    }
}

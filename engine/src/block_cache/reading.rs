//! Reading: hits copied or held at once; misses piece by piece, all pieces at a time.
//!
//! Offsets and lengths are bytes; what is copied are cells, of which a weightless volume has one for a whole sector. So
//! its reads are rounded to sectors, and what they answer is a page without meaning.

use std::task::Poll;

use bytes::Bytes;
use futures::future::try_join_all;

use super::BlockCache;
use super::buffer::HitBytes;
use super::content::{Base, COPY_LIMIT};
use crate::error::Result;
use crate::geometry::Piece;
use crate::payload::{Payload, Weight, page, shared_page};

/// Of the place where hits are put together. Blocks are aligned too, and copies between places that differ modulo 32 run at
/// half the speed (AMD Zen 4).
const ALIGNMENT: usize = 64;

impl BlockCache {
    pub fn try_read<'a>(&self, offset: u64, len: usize, scratch: &'a mut Vec<u8>) -> Option<Result<HitBytes<'a>>> {
        let mut pieces = self.geometry.pieces(offset, len as u64);
        let first = pieces.next()?;
        if len > COPY_LIMIT && first.len as usize == len {
            let held = self.shared.step(|core, now| {
                let held = core.hit(first, now)?.hold(first.range())?;
                core.note_read(first.block, first.block, false);
                Some(held)
            });
            if let Some(held) = held {
                self.shared.stats.block_cache.read_hits.increment();
                return Some(Ok(HitBytes::Held(held)));
            }
        }
        let payload = self.payload();
        let page = match payload {
            Payload::Real => None,
            // Longer than the page: `read` answers, and does what is to be done once.
            Payload::Weightless => Some(shared_page(len)?),
        };
        let (start, rounded) = payload.round(offset, len);
        let cells = payload.cell_count(rounded);
        if scratch.len() < cells + ALIGNMENT {
            scratch.resize(cells + ALIGNMENT, 0);
        }
        let lead = scratch.as_ptr().align_offset(ALIGNMENT);
        let out = &mut scratch[lead..lead + cells];
        if !self.copy_pieces(start, rounded, out) {
            return None;
        }
        self.shared.stats.block_cache.read_hits.increment();
        Some(Ok(HitBytes::Copied(page.unwrap_or(out))))
    }

    pub async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let payload = self.payload();
        let (start, rounded) = payload.round(offset, len);
        let cells = self.read_cells(start, rounded).await?;
        Ok(match payload {
            Payload::Real => cells.into(),
            Payload::Weightless => page(len),
        })
    }

    /// Reads what a weightless volume knows of some sectors.
    pub(crate) async fn weights(&self, offset: u64, len: usize) -> Result<Vec<Weight>> {
        let (start, rounded) = self.payload().round(offset, len);
        Ok(self.read_cells(start, rounded).await?.into_iter().map(Weight).collect())
    }

    async fn read_cells(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let payload = self.payload();
        let mut out = vec![0; payload.cell_count(len)];
        if len == 0 || self.copy_pieces(offset, len, &mut out) {
            return Ok(out);
        }
        self.shared.stats.block_cache.read_misses.increment();
        let (first, last) = self.block_range(offset, len as u64);
        {
            let mut parts = Vec::new();
            let mut rest = &mut out[..];
            for piece in self.geometry.pieces(offset, len as u64) {
                let (part, tail) = rest.split_at_mut(payload.cell_count(piece.len as usize));
                rest = tail;
                parts.push(self.read_piece(piece, part));
            }
            let all = try_join_all(parts);
            tokio::pin!(all);
            // The first poll registers all demands, before any read-ahead.
            let early = futures::poll!(&mut all);
            self.shared.step(|core, _| core.note_read(first, last, true));
            match early {
                Poll::Ready(done) => done?,
                Poll::Pending => all.await?,
            };
        }
        Ok(out)
    }

    /// Copies all of a range out of the cache, or `false`.
    fn copy_pieces(&self, offset: u64, len: usize, out: &mut [u8]) -> bool {
        let payload = self.payload();
        let (first, last) = self.block_range(offset, len as u64);
        let mut pieces = self.geometry.pieces(offset, len as u64).peekable();
        let (mut at, mut zeros) = (0, 0);
        while pieces.peek().is_some() {
            let mut large = None;
            let hit = self.shared.step(|core, now| {
                let mut copied = 0;
                while let Some(piece) = pieces.next_if(|piece| copied == 0 || copied + piece.len as usize <= COPY_LIMIT)
                {
                    let part = &mut out[payload.cells(at..at + piece.len as usize)];
                    if let Some(content) = core.hit(piece, now) {
                        if piece.len as usize > COPY_LIMIT {
                            large = Some(piece);
                        } else {
                            content.copy_out(piece.range(), part);
                        }
                    } else if core.is_absent(piece.block) && self.shared.store.known_zero(piece.block) {
                        part.fill(0);
                        zeros += 1;
                    } else {
                        return false;
                    }
                    at += piece.len as usize;
                    copied += piece.len as usize;
                }
                if pieces.peek().is_none() {
                    core.note_read(first, last, false);
                }
                true
            });
            if !hit {
                return false;
            }
            if let Some(piece) = large
                && !self.copy_large(piece, &mut out[payload.cells(at - piece.len as usize..at)])
            {
                return false;
            }
        }
        if zeros > 0 {
            self.shared.stats.block_cache.zero_reads.add(zeros);
        }
        true
    }

    /// Copies a piece above the limit: outside the lock where one buffer has it, else bit by bit.
    fn copy_large(&self, piece: Piece, out: &mut [u8]) -> bool {
        if let Some(held) = self.shared.step(|core, now| core.hit(piece, now)?.hold(piece.range())) {
            out.copy_from_slice(held.cells());
            return true;
        }
        let payload = self.payload();
        out.chunks_mut(payload.cell_count(COPY_LIMIT)).enumerate().all(|(i, part)| {
            let start = piece.start + (i * COPY_LIMIT) as u32;
            let piece = Piece { block: piece.block, start, len: payload.byte_count(part.len()) as u32 };
            self.shared
                .step(|core, now| core.hit(piece, now).map(|content| content.copy_out(piece.range(), part)).is_some())
        })
    }

    async fn read_piece(&self, piece: Piece, out: &mut [u8]) -> Result<()> {
        let mut waited = false;
        loop {
            let hit = if piece.len as usize > COPY_LIMIT {
                self.copy_large(piece, out)
            } else {
                self.shared.step(|core, now| {
                    core.hit(piece, now).map(|content| content.copy_out(piece.range(), out)).is_some()
                })
            };
            let done = hit
                || match self.wait_for(piece).await? {
                    Some(Base::Memory(buffer)) => {
                        out.copy_from_slice(buffer.cells(piece.range()));
                        true
                    }
                    Some(Base::Zero) => {
                        out.fill(0);
                        true
                    }
                    _ => false,
                };
            waited |= !hit;
            if done {
                if waited {
                    self.shared.step(|core, _| core.pass_on_room());
                }
                return Ok(());
            }
        }
    }
}

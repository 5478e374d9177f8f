//! Writing a range: bytes into entries until there is none to wait for, then waiting.

use super::BlockCache;
use super::buffer::Buffer;
use super::content::{Base, COPY_LIMIT};
use super::core::{Access, Blocked};
use crate::error::Result;
use crate::geometry::Piece;

impl BlockCache {
    pub(super) async fn write_all(&self, offset: u64, len: u64, data: Option<&[u8]>) -> Result<()> {
        let mut done = 0;
        let mut queued = false;
        while done < len {
            let rest = data.map(|data| &data[done as usize..]);
            let (taken, blocked) = self.write_some(offset + done, len - done, rest, queued);
            done += taken;
            if queued {
                self.shared.step(|core, _| core.pass_on_room());
            }
            match blocked {
                None => tokio::task::yield_now().await,
                Some(Blocked::Room) => {
                    let again = queued && taken == 0;
                    let waiter = self.shared.step_waiting(|core, _| {
                        let ticket = core.wait_for_room(again, Purpose::Write);
                        // There may be room since the look above, and nobody else to say so.
                        core.pass_on_room();
                        Ok::<_, ()>(ticket)
                    });
                    if let Ok(waiter) = waiter {
                        waiter.await;
                    }
                    queued = true;
                }
                Some(Blocked::Bytes(piece)) => {
                    let waited = self.wait_for(piece).await;
                    // Whole sectors need no old bytes, so a failed verification of those does not fail the write.
                    let sector = u64::from(SECTOR);
                    if !((offset + done).is_multiple_of(sector) && (offset + len).is_multiple_of(sector)) {
                        waited?;
                    }
                    queued = true;
                }
            }
        }
        Ok(())
    }

    /// Writes leading bytes until it would have to wait, or has done a good deal. Answers how many and why not more.
    pub(super) fn write_some(
        &self,
        offset: u64,
        len: u64,
        data: Option<&[u8]>,
        queued: bool,
    ) -> (u64, Option<Blocked>) {
        let mut done = 0;
        for piece in self.geometry.pieces(offset, len) {
            let bytes = data.map(|data| &data[done as usize..done as usize + piece.len as usize]);
            let (taken, blocked) = self.write_piece(piece, bytes, queued);
            done += u64::from(taken);
            if blocked.is_some() {
                return (done, blocked);
            }
        }
        (done, None)
    }

    fn write_piece(&self, piece: Piece, bytes: Option<&[u8]>, queued: bool) -> (u32, Option<Blocked>) {
        // Asked under the lock: between the question and the write another writer's data may be stored and evicted.
        let store = &self.shared.store;
        let access = |now| Access { now, known_zero: store.known_zero(piece.block), queued };
        let whole = piece.len == self.geometry.block_size();
        let large = piece.len as usize > COPY_LIMIT;
        if whole && (bytes.is_none() || large && self.shared.lock().wants_new_base(piece.block)) {
            // Made outside the lock.
            let base = bytes.map_or(Base::Zero, |bytes| Base::Memory(Buffer::copy_of(bytes)));
            self.shared.stats.block_cache.copied_bytes.add(bytes.map_or(0, |bytes| bytes.len() as u64));
            return match self.shared.step(|core, now| core.replace(piece.block, base, access(now))) {
                Ok(()) => (piece.len, None),
                Err(blocked) => (0, Some(blocked)),
            };
        }
        let mut done = 0;
        while done < piece.len {
            let len = (piece.len - done).min(COPY_LIMIT as u32);
            let part = Piece { block: piece.block, start: piece.start + done, len };
            let bytes = bytes.map(|bytes| &bytes[done as usize..(done + len) as usize]);
            if let Err(blocked) = self.shared.step(|core, now| core.write(part, bytes, access(now))) {
                return (done, Some(blocked));
            }
            done += len;
        }
        (done, None)
    }
}

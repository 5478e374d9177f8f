//! What runs of a piece change of the blocks in its volume, so that the next one can begin as the first did. Pure.

use anyhow::Result;
use s3b_engine::geometry::Geometry;
use s3b_scenarios::OpKind;

use super::Piece;
use crate::outcome::StoreLedger;
use crate::workload::BlockSet;

/// Keys in one delete request.
const DELETE_BATCH: u64 = 1000;

/// Of any run, whatever its candidate had dirty at the start: they share volumes.
pub(super) struct Wear {
    /// Not there before, and there afterwards, perhaps.
    pub made: BlockSet,
    /// There before, and perhaps not afterwards. Several discards together may empty a block that none covers.
    pub gone: BlockSet,
}

impl Wear {
    /// # Errors
    /// What the piece's source yields.
    pub(super) fn of(piece: &Piece, geometry: Geometry, device_starts: &[u64], found: &BlockSet) -> Result<Self> {
        let mut wear = Self { made: BlockSet::new(geometry.blocks()), gone: BlockSet::new(geometry.blocks()) };
        let dirty = piece.starts.iter().flat_map(|start| &start.dirty).filter(|(_, len)| *len > 0);
        for block in dirty.flat_map(|(at, len)| geometry.pieces(*at, *len)).map(|part| part.block.0) {
            if !found.contains(block) {
                wear.made.insert(block);
            }
        }
        for op in piece.tape.ops()? {
            let op = op?;
            let empties = op.kind == OpKind::Discard || op.kind == OpKind::Write && op.origin.is_zero();
            if op.len == 0 || !(empties || op.kind == OpKind::Write) {
                continue;
            }
            for part in geometry.pieces(device_starts[op.device as usize] + op.offset, op.len) {
                match (found.contains(part.block.0), empties) {
                    (true, true) => wear.gone.insert(part.block.0),
                    (false, false) => wear.made.insert(part.block.0),
                    _ => {}
                }
            }
        }
        Ok(wear)
    }

    /// What mending it sends.
    pub(super) fn requests(&self, block_size: u64) -> StoreLedger {
        let (puts, deleted_keys) = (self.gone.count(), self.made.count());
        let deletes = deleted_keys.div_ceil(DELETE_BATCH);
        StoreLedger { puts, put_bytes: puts * block_size, deletes, deleted_keys, ..StoreLedger::ZERO }
    }
}

//! Carries changes to the cache file, in groups.

use std::sync::Arc;
use std::time::Duration;

use super::buffer::Buffer;
use super::core::{PersistItem, PersistStep};
use super::disk::{CacheFile, Change, Slot};
use super::driver::Shared;
use crate::clock;
use crate::error::Result;
use crate::geometry::BlockNumber;

/// Bytes of one group: enough for sequential writing, little enough for a flush to slip in soon.
const GROUP_BYTES: usize = 16 << 20;

/// Changes of one group.
const GROUP_ITEMS: usize = 4096;

/// Runs for the life of the cache. Without a flush waiting it rests `pause` between groups, so that a block rewritten
/// again and again is not written to the file as often.
pub(super) async fn run(shared: Arc<Shared>, pause: Duration) {
    let Some(file) = shared.file.clone() else { return };
    loop {
        shared.persist.notified().await;
        if !shared.lock().wants_durable() {
            let called = shared.persist.notified();
            tokio::pin!(called);
            let deadline = clock::now() + pause;
            loop {
                tokio::select! {
                    biased;
                    () = &mut called => {}
                    () = clock::sleep_until(deadline) => break,
                }
                if shared.lock().wants_durable() {
                    break;
                }
                called.set(shared.persist.notified());
            }
        }
        carry_all(&shared, &file).await;
    }
}

/// Carries everything there is.
pub(super) async fn carry_all(shared: &Arc<Shared>, file: &Arc<CacheFile>) {
    loop {
        let items = gather(shared).await;
        if items.is_empty() {
            return;
        }
        let durable = shared.lock().wants_durable();
        let changes: Vec<Change> = items.iter().map(|item| item.change.clone()).collect();
        let target = file.clone();
        let result = shared.cpu.block(move || target.apply(&changes, durable)).await;
        if let Err(error) = &result {
            tracing::error!("{error}; going on without the cache file");
        }
        shared.step(|core, _| core.persisted(&items, result));
    }
}

async fn gather(shared: &Arc<Shared>) -> Vec<PersistItem> {
    let mut items = Vec::new();
    let mut bytes = 0;
    while bytes < GROUP_BYTES && items.len() < GROUP_ITEMS {
        match shared.step(|core, _| core.next_persist()) {
            PersistStep::Idle => break,
            PersistStep::Again => {}
            PersistStep::Private(index, buffer) => {
                let private = Buffer::copy_of(&buffer);
                shared.step(|core, _| core.replace_base(index, &buffer, private));
            }
            PersistStep::Load(index, slot) => {
                shared.load(index, slot.0).await;
            }
            PersistStep::Item(item) => {
                if let Change::Put { data: Some(data), .. } = &item.change {
                    bytes += data.len();
                }
                items.push(item);
            }
        }
    }
    items
}

/// Reads a slot into a buffer.
pub(super) fn read_slot(file: &CacheFile, block: BlockNumber, slot: Slot, block_size: u32) -> Result<Buffer> {
    let mut buffer = Buffer::zeroed(block_size as usize);
    let bytes = buffer.get_mut().expect("the buffer was made here");
    file.read(block, slot, bytes)?;
    Ok(buffer)
}

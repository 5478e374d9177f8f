//! Carries changes to the cache file, in groups.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::core::{PersistItem, PersistStep};
use super::disk::{CacheFile, Change};
use super::driver::Shared;
use crate::clock;

/// Bytes of one group: enough for sequential writing, little enough for a flush to slip in soon.
const GROUP_BYTES: usize = 16 << 20;

/// Runs until [`Shared::close_persister`], then carries the rest. Without a flush waiting it rests `pause` between groups, so that a block rewritten
/// again and again is not written to the file as often.
pub(super) async fn run(shared: Arc<Shared>, pause: Duration) {
    let Some(file) = shared.file.clone() else { return };
    loop {
        if !shared.is_closing() {
            shared.persist.notified().await;
        }
        if !shared.lock().wants_durable() && !shared.is_closing() {
            let called = shared.persist.notified();
            tokio::pin!(called);
            let deadline = clock::now() + pause;
            loop {
                tokio::select! {
                    biased;
                    () = &mut called => {}
                    () = clock::sleep_until(deadline) => break,
                }
                if shared.lock().wants_durable() || shared.is_closing() {
                    break;
                }
                called.set(shared.persist.notified());
            }
        }
        let closing = shared.is_closing();
        carry_all(&shared, &file).await;
        if closing {
            return;
        }
    }
}

/// Carries everything there is, and makes it durable.
async fn carry_all(shared: &Arc<Shared>, file: &Arc<CacheFile>) {
    let mut held_over = None;
    loop {
        let items = gather(shared, file.max_batch(), &mut held_over).await;
        if items.is_empty() {
            break;
        }
        let durable = shared.lock().wants_durable();
        let changes: Vec<Change> = items.iter().map(|item| item.change.clone()).collect();
        let result = shared.on_file(file, move |file| file.apply(&changes, durable)).await;
        if let Err(error) = &result {
            tracing::error!("{error}; going on without the cache file");
        }
        let no_room = result.as_ref().is_ok_and(|slots| {
            slots.iter().zip(&items).any(|(slot, item)| slot.is_none() && matches!(item.change, Change::Put { .. }))
        });
        shared.step(|core, _| core.persisted(&items, result, durable, file.is_failed()));
        if no_room && held_over.is_none() {
            break;
        }
    }
    // The file keeps undurable records back; a killed process would lose them.
    if shared.lock().wants_sync() {
        let result = shared.on_file(file, CacheFile::sync).await;
        if let Err(error) = &result {
            tracing::error!("{error}; going on without the cache file");
        }
        shared.step(|core, _| core.synced(result));
    }
}

/// The next group: a block takes part once at most, `held_over` is what must wait for the next group because of that.
async fn gather(shared: &Arc<Shared>, most: usize, held_over: &mut Option<PersistItem>) -> Vec<PersistItem> {
    let mut items: Vec<PersistItem> = Vec::new();
    let mut blocks = BTreeSet::new();
    let mut bytes = 0;
    while bytes < GROUP_BYTES && items.len() < most {
        let item = match held_over.take() {
            Some(item) => item,
            None => match shared.step(|core, _| core.next_persist()) {
                PersistStep::Idle => break,
                PersistStep::Again => continue,
                PersistStep::Private(index, buffer) => {
                    let private = buffer.private_copy();
                    shared.step(|core, _| core.replace_base(index, &buffer, private));
                    continue;
                }
                PersistStep::Load(index, slot) => {
                    shared.load(index, slot.0).await;
                    continue;
                }
                PersistStep::Item(item) => item,
            },
        };
        if !blocks.insert(item.change.block()) {
            *held_over = Some(item);
            break;
        }
        if let Change::Put { data: Some(data), .. } = &item.change {
            bytes += shared.form.payload.byte_count(data.len());
        }
        items.push(item);
    }
    items
}

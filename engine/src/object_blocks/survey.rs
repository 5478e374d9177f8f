//! Lists the blocks of a volume, with several listings side by side. Holds one page of each at a time; order and
//! duplicates of concurrent changes are the caller's business.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::names::{KeyRange, Naming};
use crate::error::{Error, Result};
use crate::geometry::BlockNumber;
use crate::object::ObjectBackend;
use crate::store::SurveySink;

/// Hands every block of the volume that has an object to `sink`, a page at a time.
pub async fn survey(
    backend: &Arc<dyn ObjectBackend>,
    naming: &Naming,
    blocks: u32,
    threads: u32,
    sink: SurveySink,
) -> Result<()> {
    let ranges = naming.ranges(blocks, threads);
    let all = stream::iter(ranges).map(|range| list_range(backend, naming, blocks, range, &sink));
    all.buffer_unordered(threads.max(1) as usize).try_collect().await
}

async fn list_range(
    backend: &Arc<dyn ObjectBackend>,
    naming: &Naming,
    blocks: u32,
    range: KeyRange,
    sink: &SurveySink,
) -> Result<()> {
    let mut after = range.after.clone();
    loop {
        let page = backend.list(naming.prefix(), &after).await?;
        let found: Vec<BlockNumber> =
            page.keys.iter().filter_map(|key| naming.parse_in(&range, key)).filter(|block| block.0 < blocks).collect();
        if !found.is_empty() {
            sink(&found);
        }
        let last = page.keys.into_iter().next_back();
        if !page.truncated || last.as_ref().is_some_and(|last| *last >= range.stop) {
            return Ok(());
        }
        // An incomplete survey must not pass for a complete one: blocks it misses would be taken for zero.
        let on = last.filter(|last| *last > after);
        after =
            on.ok_or_else(|| Error::failed(format!("list after {after:?}: a truncated page that leads nowhere")))?;
    }
}

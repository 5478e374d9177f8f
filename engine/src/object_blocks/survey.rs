//! Lists the blocks of a volume, with several listings side by side. Holds one page of each at a time; order and
//! duplicates of concurrent changes are the caller's business.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::names::{KeyRange, Naming, skip_foreign};
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

/// A walk over the block-shaped keys of a prefix, in either naming. Costs one listing per page, and few pages for whatever else
/// the bucket holds.
pub struct BlockWalk<'a> {
    backend: &'a Arc<dyn ObjectBackend>,
    plain: Naming,
    hashed: Naming,
    /// Where the next page starts; `None` at the end.
    after: Option<String>,
}

impl<'a> BlockWalk<'a> {
    pub fn new(backend: &'a Arc<dyn ObjectBackend>, prefix: &str) -> Self {
        let plain = Naming::new(prefix, false);
        let after = Some(plain.ranges(u32::MAX, 1).swap_remove(0).after);
        Self { backend, hashed: plain.other(), plain, after }
    }

    /// The blocks of one page, perhaps none, each with its naming; `None` when the walk is over.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Naming, BlockNumber)>>> {
        let Some(after) = self.after.take() else {
            return Ok(None);
        };
        let prefix = self.plain.prefix();
        let page = self.backend.list(prefix, &after).await?;
        let found = page.keys.iter().filter_map(|key| self.parse(key)).collect();
        // Blocks start with a digit up to 'f'.
        let end = format!("{prefix}g");
        if page.truncated && page.keys.last().is_some_and(|last| *last < end) {
            let on = page.keys.last().map(|last| skip_foreign(prefix, last)).filter(|on| *on > after);
            let stuck = || Error::failed(format!("list after {after:?}: a truncated page that leads nowhere"));
            self.after = Some(on.ok_or_else(stuck)?);
        }
        Ok(Some(found))
    }

    fn parse(&self, key: &str) -> Option<(Naming, BlockNumber)> {
        [&self.plain, &self.hashed].into_iter().find_map(|naming| Some((naming.clone(), naming.parse(key)?)))
    }
}

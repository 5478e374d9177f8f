//! Makes a volume as if it had never been: deletes its blocks in both namings, then its superblock and mount token. Never
//! deletes any other key, and needs no geometry.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::DELETE_BATCH;
use super::names::Naming;
use super::survey::BlockWalk;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{GetIf, Got, ObjectBackend};

/// More than any mount token's body.
const TOKEN_LEN: usize = 64 << 10;

/// Deletes and answers how many blocks there were, with up to `at_a_time` requests side by side; `progress` is told the
/// count now and then.
///
/// # Errors
/// `Busy` when a mount token is there and `force` is not given. After a failed delete the superblock and the token stay,
/// so that an erase can be repeated.
pub async fn erase(
    backend: &Arc<dyn ObjectBackend>,
    prefix: &str,
    force: bool,
    at_a_time: u32,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64> {
    let naming = Naming::new(prefix, false);
    if !force {
        refuse_if_mounted(backend, &naming).await?;
    }
    let mut walk = BlockWalk::new(backend, prefix);
    let (mut keys, mut deleted, at_a_time) = (Vec::new(), 0, at_a_time.max(1) as usize);
    loop {
        let page = walk.next_page().await.map_err(|error| error.context("list the blocks to erase"))?;
        let last = page.is_none();
        keys.extend(page.into_iter().flatten().map(|(naming, block)| naming.key(block)));
        if last || keys.len() >= DELETE_BATCH * at_a_time {
            deleted += delete(backend, std::mem::take(&mut keys), at_a_time).await?;
            progress(deleted);
        }
        if last {
            break;
        }
    }
    for key in [naming.superblock_key(), naming.token_key()] {
        backend.delete(&key).await.map_err(|error| error.context(format!("erase {key}")))?;
    }
    backend.sync().await?;
    Ok(deleted)
}

async fn refuse_if_mounted(backend: &Arc<dyn ObjectBackend>, naming: &Naming) -> Result<()> {
    let key = naming.token_key();
    let got = backend.get(&key, GetIf::Always, TOKEN_LEN).await;
    let Got::Object(token) = got.map_err(|error| error.context(format!("read the mount token {key}")))? else {
        return Ok(());
    };
    let owner = String::from_utf8_lossy(&token.body).split_whitespace().collect::<Vec<_>>().join(" ");
    let owner = if owner.is_empty() { "unknown" } else { &owner };
    Err(Error::new(
        ErrorKind::Busy,
        format!(
            "the volume is mounted (object {key}, by: {owner}): unmount it there; if that mount is dead, \
             s3b reset-mounted-flag or --force"
        ),
    ))
}

async fn delete(backend: &Arc<dyn ObjectBackend>, keys: Vec<String>, at_a_time: usize) -> Result<u64> {
    let count = keys.len() as u64;
    let batches: Vec<Vec<String>> = keys.chunks(DELETE_BATCH).map(<[_]>::to_vec).collect();
    let deletes = stream::iter(batches).map(|batch| async move {
        let asked = batch.len();
        let answers = backend.delete_many(batch.clone()).await;
        if answers.len() < asked {
            return Err(Error::transient(format!("erase: {asked} keys, {} answers", answers.len())));
        }
        let failed = answers.into_iter().zip(batch).find_map(|(answer, key)| Some((answer.err()?, key)));
        failed.map_or(Ok(()), |(error, key)| Err(error.context(format!("erase {key}"))))
    });
    deletes.buffer_unordered(at_a_time).try_collect::<()>().await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BlockNumber;
    use crate::memory::Memory;
    use crate::object::ObjectHeaders;

    fn filled() -> (Memory, Arc<dyn ObjectBackend>) {
        let memory = Memory::new();
        for hashed in [false, true] {
            let naming = Naming::new("v/", hashed);
            for block in 0..2500 {
                memory.insert(&naming.key(BlockNumber(block * 1_700_000)), ObjectHeaders::default(), "x");
            }
        }
        memory.insert("v/s3b-superblock", ObjectHeaders::default(), "x");
        for number in 0..3000 {
            memory.insert(&format!("v/0foreign{number}"), ObjectHeaders::default(), "x");
        }
        for foreign in ["00000001", "v/zzz", "v/0000004A", "v/deadbeef-00000007", "w/00000001"] {
            memory.insert(foreign, ObjectHeaders::default(), "x");
        }
        (memory.clone(), Arc::new(memory))
    }

    #[tokio::test]
    async fn blocks_superblock_and_token_go_and_nothing_else() {
        let (memory, backend) = filled();
        let deleted = erase(&backend, "v/", false, 4, &|_| {}).await.unwrap();
        assert_eq!(deleted, 5000);
        assert_eq!(memory.keys().len(), 3005);
        assert_eq!(erase(&backend, "v/", false, 4, &|_| {}).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_mounted_volume_is_erased_by_force_only() {
        let (memory, backend) = filled();
        memory.insert("v/s3backer-mounted", ObjectHeaders::default(), "vm\n20261122T072341Z\n");
        let before = memory.objects();
        let error = erase(&backend, "v/", false, 4, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.message().contains("vm 20261122T072341Z"), "{error}");
        assert_eq!(memory.objects(), before);
        erase(&backend, "v/", true, 4, &|_| {}).await.unwrap();
        assert_eq!(memory.object("v/s3backer-mounted"), None);
    }
}

use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::*;
use crate::memory::Memory;
use crate::object::{ListPage, ObjectInfo};

const KEY: &str = "v/s3backer-mounted";

fn naming() -> Naming {
    Naming::new("v/", true)
}

fn memory() -> (Memory, Arc<dyn ObjectBackend>) {
    let memory = Memory::new();
    (memory.clone(), Arc::new(memory))
}

fn s3backers(memory: &Memory, token: Option<&str>) {
    let meta = token.map(|token| (TOKEN_META.into(), token.into())).into_iter().collect();
    memory.insert(KEY, ObjectHeaders { meta, ..Default::default() }, "vm\n20261122T072341Z\n");
}

fn busy_message(result: Result<(MountLock, Vec<String>)>) -> String {
    let error = result.err().expect("it is busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    error.message().to_owned()
}

#[tokio::test]
async fn a_second_mount_is_refused_and_told_who_the_first_is() {
    let (memory, backend) = memory();
    let (lock, notices) = MountLock::acquire(&backend, &naming(), &LockOptions::default()).await.unwrap();
    assert_eq!(notices, [""; 0]);
    let object = memory.object(KEY).unwrap();
    assert_eq!(object.headers.meta(TOKEN_META).unwrap(), format!("{:08x}", lock.token().unwrap()));
    let lines: Vec<_> = std::str::from_utf8(&object.body).unwrap().lines().collect();
    assert_eq!((lines.len(), lines[1].len(), &lines[1][8..9]), (3, 16, "T"));
    let message = busy_message(MountLock::acquire(&backend, &naming(), &LockOptions::default()).await);
    assert!(
        message.contains(&format!("process {:07} mount", std::process::id())) && message.contains("--force"),
        "{message}"
    );
    assert_eq!(memory.object(KEY).unwrap(), object);
    assert_eq!(lock.release().await.unwrap(), None);
    assert_eq!(memory.keys(), [""; 0]);
}

#[tokio::test]
async fn s3backers_token_counts_also_an_old_one() {
    let (memory, backend) = memory();
    for (value, token) in [(Some("2f8800bb"), 0x2f88_00bb), (None, 1), (Some("00000000"), 1), (Some("x"), 1)] {
        s3backers(&memory, value);
        let held = holder(&backend, &naming()).await.unwrap().unwrap();
        assert_eq!(held, Holder { token, owner: "vm 20261122T072341Z".into() });
        let message = busy_message(MountLock::acquire(&backend, &naming(), &LockOptions::default()).await);
        assert!(message.contains("vm 20261122T072341Z"), "{message}");
    }
    assert_eq!(reset(&backend, &naming()).await.unwrap().unwrap().token, 1);
    assert_eq!(memory.keys(), [""; 0]);
}

#[tokio::test]
async fn force_takes_over_and_the_loser_leaves_the_winners_token() {
    let (memory, backend) = memory();
    let (first, _) = MountLock::acquire(&backend, &naming(), &LockOptions::default()).await.unwrap();
    let force = LockOptions { force: true, ..Default::default() };
    let (second, notices) = MountLock::acquire(&backend, &naming(), &force).await.unwrap();
    assert!(notices[0].contains("took the volume over"), "{notices:?}");
    assert!(second.left_behind().unwrap().contains("recover-dirty-blocks"));
    let held = memory.object(KEY);
    assert!(first.release().await.unwrap().unwrap().contains("another mount has taken the volume over"));
    assert_eq!(memory.object(KEY), held);
    memory.remove(KEY);
    assert!(second.release().await.unwrap().unwrap().contains("was removed"));
}

#[tokio::test]
async fn equal_seeds_do_not_share_a_lock() {
    let (_, backend) = memory();
    let options = LockOptions { seed: Some(7), ..Default::default() };
    let (lock, _) = MountLock::acquire(&backend, &naming(), &options).await.unwrap();
    busy_message(MountLock::acquire(&backend, &naming(), &options).await);
    assert_eq!(lock.token(), Some(random_token(Some(7))));
}

#[tokio::test]
async fn a_crashed_mount_goes_on_with_its_cache_file_only() {
    let (memory, backend) = memory();
    s3backers(&memory, Some("2f8800bb"));
    let with = |cached_token, recover_dirty| LockOptions { cached_token, recover_dirty, ..Default::default() };
    let ours = Some(0x2f88_00bb);
    let message = busy_message(MountLock::acquire(&backend, &naming(), &with(ours, false)).await);
    assert!(message.contains("--block-cache-recover-dirty-blocks"), "{message}");
    busy_message(MountLock::acquire(&backend, &naming(), &with(Some(5), true)).await);
    let (lock, _) = MountLock::acquire(&backend, &naming(), &with(ours, true)).await.unwrap();
    assert_ne!(lock.token(), ours);
    lock.release().await.unwrap();
    assert_eq!(memory.keys(), [""; 0]);
}

#[tokio::test]
async fn read_only_mounts_neither_take_nor_mind_the_lock() {
    let (memory, backend) = memory();
    let read_only = LockOptions { read_only: true, ..Default::default() };
    let (lock, notices) = MountLock::acquire(&backend, &naming(), &read_only).await.unwrap();
    assert_eq!((lock.token(), notices.len(), memory.keys().len()), (None, 0, 0));
    s3backers(&memory, Some("2f8800bb"));
    let before = memory.objects();
    let (lock, notices) = MountLock::acquire(&backend, &naming(), &read_only).await.unwrap();
    assert!(notices[0].contains("may be stale"));
    assert_eq!((lock.left_behind(), lock.release().await.unwrap()), (None, None));
    assert_eq!(memory.objects(), before);
}

#[tokio::test]
async fn shared_mounts_share_and_leave_the_token() {
    let (memory, backend) = memory();
    let shared = LockOptions { shared_disk: true, ..Default::default() };
    for _ in 0..2 {
        let (lock, _) = MountLock::acquire(&backend, &naming(), &shared).await.unwrap();
        assert_eq!(lock.token(), Some(0x7fff_ffff));
        lock.release().await.unwrap();
    }
    assert_eq!(memory.object(KEY).unwrap().headers.meta(TOKEN_META), Some("7fffffff"));
    busy_message(MountLock::acquire(&backend, &naming(), &LockOptions::default()).await);
    s3backers(&memory, Some("2f8800bb"));
    busy_message(MountLock::acquire(&backend, &naming(), &shared).await);
}

/// What a server does with `If-None-Match: *`, and what happens meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    Ignores,
    Refuses,
    /// Applies the first PUT, but its answer is lost and the repeated request meets it.
    Repeats,
    FailsTheProbe,
}

struct Odd {
    memory: Memory,
    server: Server,
    conditional_puts: Mutex<u32>,
}

impl ObjectBackend for Odd {
    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        if condition == PutIf::Always {
            return self.memory.put(key, headers, body, PutIf::Always);
        }
        let number = {
            let mut puts = self.conditional_puts.lock();
            *puts += 1;
            *puts
        };
        match self.server {
            Server::Ignores => self.memory.put(key, headers, body, PutIf::Always),
            Server::Refuses => Box::pin(async { Err(Error::failed("501")) }),
            Server::FailsTheProbe if number == 2 => Box::pin(async { Err(Error::transient("503")) }),
            Server::Repeats if number == 1 => {
                let (memory, key) = (self.memory.clone(), key.to_owned());
                Box::pin(async move {
                    memory.insert(&key, headers.clone(), body.clone());
                    memory.put(&key, headers, body, PutIf::Absent).await
                })
            }
            _ => self.memory.put(key, headers, body, condition),
        }
    }

    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.memory.get(key, condition, max_len)
    }
    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.memory.head(key)
    }
    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.memory.delete(key)
    }
    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.memory.delete_many(keys)
    }
    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.memory.list(prefix, after)
    }
    fn describe(&self) -> String {
        "odd".into()
    }
}

fn odd(server: Server) -> (Memory, Arc<dyn ObjectBackend>) {
    let memory = Memory::new();
    let odd = Odd { memory: memory.clone(), server, conditional_puts: Mutex::new(0) };
    (memory, Arc::new(odd))
}

fn settling() -> LockOptions {
    LockOptions { settle: Settings::default().volume.lock_settle, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_conditions_is_noticed_and_read_back() {
    for server in [Server::Ignores, Server::Refuses] {
        let (memory, backend) = odd(server);
        let before = clock::now();
        let (_lock, notices) = MountLock::acquire(&backend, &naming(), &settling()).await.unwrap();
        assert!(notices[0].contains("odd ignores If-None-Match"), "{notices:?}");
        assert!(clock::now() - before >= settling().settle);
        assert_eq!(memory.keys(), [KEY]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_racing_mounts_on_such_a_server_do_not_both_win() {
    let (_, backend) = odd(Server::Ignores);
    let (naming, options) = (naming(), settling());
    let mount = || MountLock::acquire(&backend, &naming, &options);
    let (first, second) = tokio::join!(mount(), mount());
    assert_eq!([first.is_ok(), second.is_ok()].into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn a_repeated_put_that_meets_itself_has_won() {
    let (_, backend) = odd(Server::Repeats);
    let (lock, notices) = MountLock::acquire(&backend, &naming(), &LockOptions::default()).await.unwrap();
    assert!(lock.token().is_some() && notices.is_empty());
}

#[tokio::test]
async fn a_mount_that_fails_after_taking_the_lock_gives_it_back() {
    let (memory, backend) = odd(Server::FailsTheProbe);
    assert!(MountLock::acquire(&backend, &naming(), &LockOptions::default()).await.is_err());
    assert_eq!(memory.keys(), [""; 0]);
}

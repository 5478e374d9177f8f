use std::path::Path;

use super::*;
use crate::object_blocks::codec::{BLOCK_SIZE_META, FILE_SIZE_META};

fn open() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(dir.path()).unwrap();
    (dir, directory)
}

async fn put(directory: &Directory, key: &str, body: &'static [u8]) -> ETag {
    let stored = directory.put(key, ObjectHeaders::default(), Bytes::from_static(body), PutIf::Always).await;
    stored.unwrap().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn plain_blocks_are_bare_files_as_s3backer_has_them() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, directory) = open();
    let mut headers = ObjectHeaders { content_type: Some("application/x-s3backer-block"), ..Default::default() };
    headers.meta = vec![(BLOCK_SIZE_META.into(), "4096".into()), (FILE_SIZE_META.into(), "8192".into())];
    directory.put("00000000", headers, Bytes::from(vec![7; 4096]), PutIf::Always).await.unwrap();
    assert_eq!(fs::read(dir.path().join("00000000")).unwrap(), vec![7; 4096]);
    assert_eq!(fs::metadata(dir.path().join("00000000")).unwrap().permissions().mode() & 0o777, 0o600);
    // And s3backer's are read.
    fs::write(dir.path().join("00000001"), vec![8; 4096]).unwrap();
    let Got::Object(object) = directory.get("00000001", GetIf::Always, 4096).await.unwrap() else { panic!() };
    assert_eq!((object.body, object.headers), (vec![8; 4096].into(), ObjectHeaders::default()));
    assert_eq!(names(dir.path()), ["00000000", "00000001"]);
}

#[tokio::test]
async fn a_missing_directory_is_no_bucket_and_never_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("volume");
    let error = Directory::open(&inside).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NoBucket);
    assert!(error.message().contains("mkdir"), "{error}");
    fs::write(&inside, "a file").unwrap();
    assert_eq!(Directory::open(&inside).err().unwrap().kind(), ErrorKind::NoBucket);
    fs::remove_file(&inside).unwrap();
    fs::create_dir(&inside).unwrap();
    let directory = Directory::open(&inside).unwrap();
    fs::remove_dir(&inside).unwrap();
    let gone = [
        directory.get("00000000", GetIf::Always, 10).await.map(|_| ()),
        directory.head("00000000").await.map(|_| ()),
        directory.delete("00000000").await,
        directory.list("", "").await.map(|_| ()),
        directory.put("00000000", ObjectHeaders::default(), Bytes::new(), PutIf::Always).await.map(|_| ()),
    ];
    for result in gone {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NoBucket);
    }
}

#[tokio::test]
async fn a_directory_that_is_moved_is_still_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    fs::create_dir(&old).unwrap();
    let directory = Directory::open(&old).unwrap();
    put(&directory, "disk1/00000001", b"x").await;
    fs::rename(&old, &new).unwrap();
    assert!(matches!(directory.get("disk1/00000001", GetIf::Always, 9).await.unwrap(), Got::Object(_)));
    put(&directory, "disk1/00000002", b"x").await;
    assert_eq!(directory.list("", "").await.unwrap().keys, ["disk1/00000001", "disk1/00000002"]);
    directory.sync().await.unwrap();
    assert_eq!(names(&new.join("disk1")), ["00000001", "00000002"]);
}

#[tokio::test]
async fn a_second_mount_is_refused_and_told_who_the_first_is() {
    let (dir, first) = open();
    fs::write(dir.path().join(".s3b-tmp-1-1"), "half").unwrap();
    first.lock().unwrap();
    assert_eq!(names(dir.path()), [""; 0], "leftovers are gone");
    let second = Directory::open(dir.path()).unwrap();
    let error = second.lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    second.lock().unwrap();
}

#[tokio::test]
async fn keys_never_leave_the_directory() {
    let (_dir, directory) = open();
    for key in ["../x", "a/../../x", "/etc/x", "a//b", "./x", "a/", "", "x\0y", ".s3b-tmp-1"] {
        let error = directory.get(key, GetIf::Always, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{key:?}");
        assert!(error.message().contains("--prefix=disk1/"), "{error}");
    }
}

#[tokio::test]
async fn every_write_has_its_own_etag_and_so_has_anothers() {
    let (dir, directory) = open();
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        // Two writes may well get one inode and one tick of the kernel's clock.
        assert!(seen.insert(put(&directory, "k", b"same").await.0));
    }
    fs::write(dir.path().join("k"), "other").unwrap();
    let info = directory.head("k").await.unwrap().unwrap();
    assert!(seen.insert(info.etag.unwrap().0));
}

#[tokio::test]
async fn sync_covers_what_changed_since_the_last_one() {
    let (dir, mut directory) = open();
    directory.inline = false;
    let changed = |directory: &Directory| {
        let changed = directory.place.changed.lock();
        (changed.files.len(), changed.dirs.len())
    };
    put(&directory, "disk1/deep/00000001", b"x").await;
    put(&directory, "00000002", b"x").await;
    put(&directory, "00000003", b"x").await;
    directory.delete("00000002").await.unwrap();
    assert_eq!(changed(&directory), (2, 3));
    directory.sync().await.unwrap();
    assert_eq!(changed(&directory), (0, 0));
    // What cannot be synced is not forgotten.
    put(&directory, "00000004", b"x").await;
    put(&directory, "a/00000005", b"x").await;
    fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("a")).unwrap();
    assert!(directory.sync().await.is_err());
    assert_eq!(changed(&directory), (2, 2));
}

#[tokio::test]
async fn a_failed_write_leaves_the_old_object_and_no_litter() {
    let (dir, directory) = open();
    put(&directory, "k", b"old").await;
    let mut headers = ObjectHeaders { content_encoding: Some("deflate".into()), ..Default::default() };
    headers.meta.push(("name".into(), "two\nlines".into()));
    assert!(directory.put("k", headers, Bytes::from_static(b"new"), PutIf::Always).await.is_err());
    fs::create_dir(dir.path().join("dir")).unwrap();
    assert!(directory.put("dir", ObjectHeaders::default(), Bytes::new(), PutIf::Always).await.is_err());
    assert_eq!(names(dir.path()), ["dir", "k"]);
    assert_eq!(fs::read(dir.path().join("k")).unwrap(), b"old");
}

#[tokio::test]
async fn damaged_objects_are_corrupt_and_named() {
    let (dir, directory) = open();
    let headers = ObjectHeaders { content_encoding: Some("deflate".into()), ..Default::default() };
    directory.put("00000005", headers, Bytes::from_static(b"body"), PutIf::Always).await.unwrap();
    let path = dir.path().join("00000005");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    for error in [
        directory.get("00000005", GetIf::Always, 4096).await.unwrap_err(),
        directory.head("00000005").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("object 00000005"), "{error}");
    }
    fs::create_dir(dir.path().join("00000006")).unwrap();
    assert_eq!(directory.get("00000006", GetIf::Always, 9).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

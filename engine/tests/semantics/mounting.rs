//! Second mounts, other shapes, other passwords, read-only and shared-disk mode.

use s3b_engine::error::ErrorKind;
use s3b_engine::settings::CipherName;

use crate::rig::{BLOCK, BLOCKS, Rig, life};

#[test]
fn a_second_mount_is_refused() {
    let rig = Rig::new();
    life(async {
        let first = rig.open().await;
        let error = rig.try_open().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        first.stack.close().await.unwrap();
        rig.open().await.stack.close().await.unwrap();
    });
    assert!(!rig.objects.keys().iter().any(|key| key.contains("mounted")));
}

#[test]
fn a_wrong_password_is_refused_and_nothing_is_changed() {
    let mut rig = Rig::new();
    rig.settings.codec.encrypt = Some(CipherName::Aes128Cbc);
    rig.password = Some("right");
    let mut rig = rig.filled();
    let before = rig.objects.objects();
    rig.password = Some("wrong");
    let error = life(async { rig.try_open().await.err().unwrap() });
    assert!(error.message().contains("password"), "{error}");
    assert_eq!(rig.objects.objects(), before);
}

#[test]
fn another_block_size_or_size_is_refused_and_nothing_is_changed() {
    let mut rig = Rig::new().filled();
    let before = rig.objects.objects();
    for (block_size, size, force) in
        [(BLOCK * 2, BLOCK * BLOCKS, false), (BLOCK * 2, BLOCK * BLOCKS, true), (BLOCK, BLOCK * BLOCKS * 2, false)]
    {
        rig.settings.volume.block_size = Some(block_size);
        rig.settings.volume.size = Some(size);
        rig.settings.volume.force = force;
        let error = life(async { rig.try_open().await.err().unwrap() });
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert_eq!(rig.objects.objects(), before);
    }
}

#[test]
fn a_read_only_mount_changes_nothing() {
    let mut rig = Rig::new().filled();
    let before = rig.objects.objects();
    rig.settings.volume.read_only = true;
    life(async {
        let open = rig.open().await;
        for changed in [
            open.volume.try_write(0, &[1]).map(|_| ()),
            open.volume.write(0, vec![1].into()).await,
            open.volume.zero(0, BLOCK).await,
        ] {
            assert_eq!(changed.unwrap_err().kind(), ErrorKind::ReadOnly);
        }
        assert_eq!(open.read(4).await, 5);
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.objects.objects(), before);
}

#[test]
fn shared_disk_mounts_see_each_others_blocks() {
    let mut rig = Rig::new().filled();
    rig.settings.volume.shared_disk = true;
    life(async {
        let (one, other) = (rig.open().await, rig.open().await);
        one.write(3, 77).await;
        assert_eq!(other.read(3).await, 77);
        other.write(3, 78).await;
        assert_eq!(one.read(3).await, 78);
        one.stack.close().await.unwrap();
        other.stack.close().await.unwrap();
    });
}

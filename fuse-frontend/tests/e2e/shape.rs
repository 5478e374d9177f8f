//! The shape of a volume is fixed when it is made.

use s3b_testkit::require_root_and_fuse;

use crate::place::{mount, noise, refusal, s3b, snapshot, unmount, write_at};

const FLAGS: &[&str] = &["--size=8m", "--block-size=64k"];

#[test]
fn a_block_size_is_never_changed() {
    if !require_root_and_fuse() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let volume = mount(s3b().mount_directory(store.path(), FLAGS));
    write_at(&volume.file(), 0, noise(1, 300_000));
    unmount(volume);
    let before = snapshot(store.path());
    for other in [&["--size=8m", "--block-size=128k"][..], &["--size=8m", "--block-size=128k", "--force"]] {
        let said = refusal(s3b().mount_directory(store.path(), other));
        assert!(said.contains("65536") || said.contains("64k"), "the size it has: {said}");
    }
    assert!(snapshot(store.path()) == before, "the store changed");
}

//! What is left to do when a volume is unmounted.

use std::time::Duration;

use s3b_testkit::{Fault, run, until};

use crate::place::{Bucket, LONG, assert_same, in_time, mount, noise, read_all, s3b, unmount, write_at};

const FLAGS: &[&str] = &["--size=8m", "--block-size=64k"];

#[test]
fn umount_wait_returns_when_all_is_stored() {
    let Some(bucket) = Bucket::make("e2e-umount") else {
        return;
    };
    let proxy = bucket.proxy(Duration::ZERO);
    // Closing does not wait with this durability, so umount finds blocks that are not stored yet.
    let flags = [FLAGS, &["--prefix=u-", "--durability=none"]].concat();
    let mut volume = mount(bucket.s3b_through(proxy.port(), &flags));
    proxy.set_fault(Fault::RefuseWrites(503));
    write_at(&volume.file(), 0, noise(1, 300_000));
    let mut umount = s3b().command("umount");
    umount.arg("--wait").arg(volume.point());
    let waiting = std::thread::spawn(move || run(&mut umount, LONG));
    until(LONG, "unmounted", || (!volume.file().exists()).then_some(())).unwrap();
    let refused = proxy.count("PUT");
    until(LONG, "another refused PUT", || (proxy.count("PUT") > refused).then_some(())).unwrap();
    assert!(!waiting.is_finished(), "umount --wait returned before anything was stored");
    proxy.set_fault(Fault::None);
    in_time("umount --wait", move || waiting.join().unwrap()).unwrap();
    // The process went before the command returned: it needs no time now.
    assert!(volume.daemon().ended().is_some(), "the process still runs");
    drop(volume);
    let again = mount(bucket.s3b(&["--prefix=u-"]));
    assert_same(&read_all(&again.file())[..300_000], &noise(1, 300_000), "after umount --wait");
    unmount(again);
}

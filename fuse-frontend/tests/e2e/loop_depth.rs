//! A loop device with 32 requests in flight has them in flight in the store, too.

use std::process::Command;
use std::time::Duration;

use s3b_testkit::{LoopDevice, require_program, run};

use crate::place::{Bucket, LONG, mount, noise, unmount, write_at};

#[test]
fn one_loop_device_keeps_32_reads_in_flight_below_the_engine() {
    let Some(bucket) = Bucket::make("e2e-depth").filter(|_| require_program("fio")) else {
        return;
    };
    let new = mount(bucket.s3b(&["--prefix=q-", "--size=64m", "--block-size=64k"]));
    write_at(&new.file(), 0, noise(1, 64 << 20));
    unmount(new);

    // Long enough that all 32 are under way before the first answer.
    let proxy = bucket.proxy(Duration::from_millis(50));
    // No read-ahead: it would add reads that nobody asked for.
    let mounted = mount(bucket.s3b_through(proxy.port(), &["--prefix=q-", "--read-ahead=0"]));
    let device = LoopDevice::attach(&mounted.file(), true).unwrap();
    let mut fio = Command::new("fio");
    fio.args(["--name=depth", "--rw=randread", "--bs=4k", "--direct=1", "--ioengine=libaio", "--iodepth=32"])
        .args(["--readonly", "--size=64m", "--io_size=4m", "--randseed=1", "--allow_file_create=0"])
        .arg(format!("--filename={}", device.path().display()));
    run(&mut fio, LONG).unwrap();
    let most = proxy.most_gets_at_once();
    assert!(most >= 32, "at most {most} GETs were in flight");
    device.detach().unwrap();
    unmount(mounted);
}

//! One volume, one mount: s3b and s3backer honour each other's token.

use s3b_testkit::{S3backer, run};

use crate::place::{Bucket, LONG, mount, refusal, unmount};

const PREFIX: &str = "--prefix=l-";
const OURS: &[&str] = &[PREFIX, "--size=4m", "--block-size=64k"];
const THEIRS: &[&str] = &[PREFIX, "--size=4m", "--blockSize=64k"];

#[test]
fn each_refuses_while_the_other_holds_the_volume() {
    let Some(bucket) = Bucket::make("e2e-lock") else {
        return;
    };
    let Some(s3backer) = S3backer::installed() else {
        return;
    };
    let held = mount(bucket.s3backer(&s3backer, THEIRS));
    let said = refusal(bucket.s3b(OURS));
    assert!(said.contains("mounted"), "{said}");
    unmount(held);

    let held = mount(bucket.s3b(OURS));
    let said = refusal(bucket.s3backer(&s3backer, THEIRS));
    assert!(said.contains("mounted"), "{said}");
    let said = refusal(bucket.s3b(OURS));
    assert!(said.contains("mounted"), "{said}");
    // Neither is stopped by a reader, nor stops one.
    let reader = mount(bucket.s3b(&[PREFIX, "--read-only"]));
    unmount(reader);
    unmount(held);
    unmount(mount(bucket.s3backer(&s3backer, THEIRS)));
}

#[test]
fn a_token_left_by_a_crash_goes_by_force_or_by_reset() {
    let Some(bucket) = Bucket::make("e2e-token") else {
        return;
    };
    for clear in ["force", "reset"] {
        mount(bucket.s3b(OURS)).crash().unwrap();
        let said = refusal(bucket.s3b(OURS));
        assert!(said.contains("reset-mounted-flag"), "a message that says how to go on: {said}");
        if clear == "force" {
            unmount(mount(bucket.s3b(&[OURS, &["--force"]].concat())));
        } else {
            run(&mut bucket.s3b_reset_mounted_flag(&[PREFIX]), LONG).unwrap();
            unmount(mount(bucket.s3b(OURS)));
        }
    }
}

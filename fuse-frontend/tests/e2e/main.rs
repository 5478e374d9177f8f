//! The product as a person uses it: real FUSE mounts, loop devices, filesystems, S3 servers, Debian's s3backer.
//!
//! Needs root and FUSE; without them every test says so and is skipped, in CI it fails. `S3B_TEST_PROGRAM` names another
//! build of s3b than the one cargo made for this test.

mod background;
mod bad_input;
mod discard;
mod durability;
mod filesystems;
mod fsx;
mod interop;
mod loop_depth;
mod mount_lock;
mod offline;
mod place;
mod record;
mod shape;
mod unmounting;

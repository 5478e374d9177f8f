//! What s3b's tests stand on: real S3 servers, a misbehaving proxy, mounts, loop devices, Debian's s3backer.
//!
//! Everything started here listens on 127.0.0.1, ends by its own process id, and is taken down when dropped, whatever
//! the test did. Nothing waits without a limit: a hang is a failed test. Real time is used here, and only here.

mod daemon;
mod fsx;
mod latproxy;
mod loop_device;
mod mount;
mod net;
mod proxy;
mod run;
mod s3b;
mod s3backer;
pub mod seaweed;
mod skip;
mod tree;
mod wait;

pub use daemon::Daemon;
pub use fsx::{Fsx, run_fsx};
pub use latproxy::{Latency, Latproxy};
pub use loop_device::{FilesystemMount, LoopDevice};
pub use mount::{Mount, MountPoint, is_mounted};
pub use net::{free_port, port_of};
pub use proxy::{Fault, Proxy};
pub use run::{Finished, run, run_to_end, run_when_idle, tool, workspace_root};
pub use s3b::S3b;
pub use s3backer::S3backer;
pub use skip::{require_program, require_root_and_fuse, skip};
pub use tree::{write_tree, xorshift};
pub use wait::{until, within};

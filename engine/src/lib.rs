//! The engine of s3b: a volume of bytes whose blocks are objects in a store.
//!
//! ```text
//! Volume -> block cache -> MD5 cache -> zero map -> object blocks -> object backend
//! ```
//!
//! Layers stand side by side on two contracts, [`store::BlockStore`] (blocks and ETags) and
//! [`object::ObjectBackend`] (named objects), and never import each other; only [`stack`] names them all.

pub mod admin;
pub mod block_cache;
pub mod clock;
pub mod cpu;
pub mod data;
pub mod direct;
pub mod directory;
pub mod discard;
pub mod error;
pub mod etag;
pub mod geometry;
pub mod hidden_args;
pub mod md5_cache;
pub mod memory;
pub mod mount_lock;
pub mod object;
pub mod object_blocks;
pub mod payload;
pub mod retry;
pub(crate) mod running;
pub mod s3;
pub mod settings;
pub mod stack;
pub mod stats;
pub mod store;
pub mod volume;
pub mod wrap;
pub mod zero_map;

//! The layers between block cache and object blocks, over a slow, failing store in memory, in virtual time.

mod md5_cache;
mod model;
mod objects;
mod zero_map;

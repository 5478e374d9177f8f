//! How long it takes to reach a bucket: on a connection that is open, and on a new one.

use std::sync::Arc;

use anyhow::Result;
use s3b_engine::clock;
use s3b_engine::s3::S3Backend;
use s3b_engine::settings::Settings;
use s3b_engine::stack::{Parts, open_bucket};

use crate::connection::Access;
use crate::outcome::StoreLedger;
use crate::statistics::median;

/// Times each is tried; a listing of one key each, so ten of them cost $0.0001.
const TRIES: usize = 5;

/// Milliseconds, medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReachTimes {
    /// A listing of one key on an open connection.
    pub round_trip_ms: f64,
    /// What a new connection adds.
    pub set_up_ms: f64,
}

/// What opening a bucket sends: a listing of one key.
pub const OPENING: StoreLedger = StoreLedger { lists: 1, get_bytes: 2 << 10, ..StoreLedger::ZERO };

/// Requests that [`reach_times`] sends, all of them listings of one key.
pub const REQUESTS: u64 = 3 * TRIES as u64;

/// The bucket, once it has answered.
///
/// # Errors
/// The bucket's own, within seconds.
pub async fn bucket(name: &str, access: &Access) -> Result<S3Backend> {
    Ok(open(name, &access.settings, access).await?)
}

async fn open(name: &str, settings: &Settings, access: &Access) -> s3b_engine::error::Result<S3Backend> {
    let parts = Parts::for_process(None, access.access_key.clone());
    open_bucket(name, settings, &parts, &Arc::default()).await
}

/// # Errors
/// The bucket's own.
pub async fn reach_times(name: &str, access: &Access) -> Result<ReachTimes> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        // A backend has connections of its own, so the first request of each opens one.
        let start = clock::now();
        let backend = open(name, &access.settings, access).await?;
        first.push(start.elapsed().as_secs_f64() * 1000.0);
        for _ in 0..2 {
            let start = clock::now();
            backend.check_bucket().await?;
            again.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let (first, round_trip_ms) = (median(&first).unwrap_or(0.0), median(&again).unwrap_or(0.0));
    Ok(ReachTimes { round_trip_ms, set_up_ms: (first - round_trip_ms).max(0.0) })
}

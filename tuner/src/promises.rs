//! What the model promises, in one place: `validate` judges a model by it, and a sweep the model that it used. From the
//! list of numbers to reach of the design. Constants only.

/// So many of the figures must be within their bound.
pub const SHARE: f64 = 0.9;

/// Requests of each kind, and dollars, as a share.
pub const REQUESTS: f64 = 0.01;
/// Of a ratio from 0 to 1, absolute.
pub const HIT_RATIO: f64 = 0.005;
/// Of throughput, or of the time that a workload takes as fast as it goes: half of the figures ...
pub const THROUGHPUT_MEDIAN: f64 = 0.05;
/// ... and [`SHARE`] of them.
pub const THROUGHPUT: f64 = 0.10;
pub const P50: f64 = 0.10;
pub const P99: f64 = 0.20;
/// Kendall's tau b of the order, at least.
pub const ORDER: f64 = 0.9;

/// Requests and times that differ by no more are alike, whatever the share, and where both sides are below there is nothing
/// to be right about: one request more, less than FUSE costs on a hit.
pub const FEW_REQUESTS: f64 = 2.0;
pub const UNFELT_MS: f64 = 0.05;
/// Samples of one run from which a median is one. Of tails: [`crate::answer::goal::P99_SAMPLES`].
pub const P50_SAMPLES: u64 = 20;

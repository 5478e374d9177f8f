//! Sizes, durations and other values as people write them.

//! The cache file (being built).

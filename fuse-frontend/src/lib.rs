//! What of the mount stands on its own, and is measured by `benches`. The program is `main.rs`.

pub mod record;

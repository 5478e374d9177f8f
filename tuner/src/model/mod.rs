//! What a store is like: how long its requests take, how fast its links are, when it refuses; as data, and as a backend.
//!
//! ```text
//! settings (TOML, what a person reads and edits) -> tables (fast look-up) -+
//! weather (draws, slow periods, rate limits) ------------------------------+-> store (an ObjectBackend) -> switch
//! link (processor sharing, pure) ------------------------------------------+
//! ```
//!
//! Never changes an answer: it adds time, and refuses with 503 what the store would refuse.

pub mod disk;
pub mod link;
pub mod settings;
pub mod shipped;
pub mod store;
pub mod switch;
pub mod tables;
pub mod text;
pub mod utilisation;
pub mod weather;

pub use self::disk::DiskRates;
pub use self::settings::{Operation, StoreModel};
pub use self::store::ModelStore;
pub use self::switch::Switched;
pub use self::utilisation::Utilisation;

//! Data that is there before a simulation begins.

use secrecy::SecretString;

use super::derive_keys;
use crate::error::Result;
use crate::geometry::{BlockNumber, Geometry};
use crate::memory::Memory;
use crate::object_blocks::{Codec, Naming};
use crate::payload::{Payload, Weight, weightless_block};
use crate::settings::Settings;

/// Puts blocks full of data of this weight into `memory`, as a weightless volume with these settings stores them, and
/// in no time. Do it before the volume is opened. `weight` zero: nothing is put, as a zero block has no object.
///
/// # Errors
/// `Config`: settings that cannot be opened either.
pub fn prefill(
    memory: &Memory,
    settings: &Settings,
    password: Option<&SecretString>,
    geometry: Geometry,
    blocks: impl IntoIterator<Item = BlockNumber>,
    weight: Weight,
) -> Result<()> {
    if weight.is_zero() {
        return Ok(());
    }
    let naming = Naming::new(settings.volume.prefix.clone(), settings.volume.block_hash_prefix);
    let codec = Codec::new(&settings.codec, geometry, derive_keys(settings, password)?)?;
    let codec = codec.with_payload(Payload::Weightless);
    let cells = weightless_block(geometry.block_size(), weight);
    for block in blocks {
        let (headers, body) = codec.encode(block, cells.clone())?;
        memory.insert(&naming.key(block), headers, body);
    }
    Ok(())
}

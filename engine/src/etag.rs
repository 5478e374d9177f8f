//! ETags as s3backer keeps them: sixteen opaque bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object's ETag: 32 hex digits on the wire. It need not be the MD5 of the body, only stable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ETag(pub [u8; 16]);

impl ETag {
    /// Stands for a block that is all zero, hence for an absent object.
    pub const ZERO_BLOCK: ETag = ETag([0; 16]);

    /// Reads a response header: `"` and 32 hex digits, whatever follows. Anything else, a weak ETag
    /// included, counts as absent.
    pub fn from_header(value: &str) -> Option<ETag> {
        let digits = value.trim().strip_prefix('"')?.get(..32)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(ETag(bytes))
    }

    /// The quoted form of request headers.
    pub fn to_header(self) -> String {
        format!("\"{self}\"")
    }

    pub fn is_zero_block(&self) -> bool {
        *self == Self::ZERO_BLOCK
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_hex_etags_count() {
        let text = "\"6679d91884f0a23669a05dd5ae45ad88\"";
        assert_eq!(ETag::from_header(text).unwrap().to_header(), text);
        assert!(ETag::from_header("\"6679d91884f0a23669a05dd5ae45ad88-2\"").is_some());
        for absent in
            ["W/\"6679d91884f0a23669a05dd5ae45ad88\"", "6679d91884f0a23669a05dd5ae45ad88", "\"6679\"", "\"é\""]
        {
            assert_eq!(ETag::from_header(absent), None, "{absent}");
        }
    }
}

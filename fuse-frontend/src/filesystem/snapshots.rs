//! The text of the stats file as it was when each handle was opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use fuser::FileHandle;
use parking_lot::Mutex;

/// Handles below this are the volume's file.
const FIRST: u64 = 2;

#[derive(Debug, Default)]
pub struct Snapshots(Mutex<BTreeMap<u64, Arc<str>>>);

impl Snapshots {
    /// Keeps a text until its handle is forgotten.
    pub fn take(&self, text: String) -> FileHandle {
        let mut all = self.0.lock();
        let handle = all.last_key_value().map_or(FIRST, |(last, _)| last + 1);
        all.insert(handle, text.into());
        FileHandle(handle)
    }

    /// A part of a text; `None` for an unknown handle.
    pub fn part(&self, handle: FileHandle, offset: u64, len: usize) -> Option<Vec<u8>> {
        let text = self.0.lock().get(&handle.0)?.clone();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let end = start.saturating_add(len).min(text.len());
        Some(text.as_bytes()[start..end].to_vec())
    }

    pub fn forget(&self, handle: FileHandle) {
        self.0.lock().remove(&handle.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handle_keeps_its_own_text() {
        let all = Snapshots::default();
        let (a, b) = (all.take("first".into()), all.take("second".into()));
        assert_ne!(a, b);
        assert_eq!(all.part(a, 1, 3).unwrap(), b"irs");
        assert_eq!(all.part(b, 4, 100).unwrap(), b"nd");
        assert_eq!(all.part(b, u64::MAX, 1).unwrap(), b"");
        all.forget(a);
        assert!(all.part(a, 0, 1).is_none());
    }
}

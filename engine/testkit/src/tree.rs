//! Directory trees with content that is easy to make again and hard to get right by accident.

use std::path::Path;

use anyhow::Result;

/// A small generator of pseudo-random numbers; the same sequence for the same seed, for ever.
pub fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Fills `directory` with files up to `bytes` in all: empty, tiny, large and sparse ones, in a few levels, with links.
pub fn write_tree(directory: &Path, seed: u64, bytes: u64) -> Result<()> {
    let mut state = seed.max(1);
    let mut written = 0;
    let mut number = 0;
    while written < bytes {
        let inside = directory.join(format!("{}/{}", xorshift(&mut state) % 5, xorshift(&mut state) % 7));
        std::fs::create_dir_all(&inside)?;
        // Mostly small, some up to 4 MiB: shifts spread sizes over all powers of two.
        let len = (xorshift(&mut state) % (4 << 20)) >> (xorshift(&mut state) % 16);
        let mut content = Vec::with_capacity(len as usize + 8);
        // One in four is sparse: a whole file of zeros but for its end.
        let sparse = number % 4 == 3;
        while (content.len() as u64) < len {
            let word = if sparse { 0 } else { xorshift(&mut state) };
            content.extend_from_slice(&word.to_le_bytes());
        }
        content.truncate(len as usize);
        let file = inside.join(format!("file-{number}"));
        std::fs::write(&file, &content)?;
        if number % 10 == 0 {
            std::os::unix::fs::symlink(&file, inside.join(format!("link-{number}")))?;
        }
        written += len;
        number += 1;
    }
    Ok(())
}

//! Many new files on a file system, as the disk below sees them: file data one behind the other, and after each burst
//! the few metadata blocks that the files share. Modelled on ext4 with its defaults; nothing is ever read.

use crate::op::OpKind;
use crate::random::Random;

use super::estimate::mean;
use super::step::{Area, Sizes, Step};

/// A file system's block.
const BLOCK: u64 = 4096;
/// ext4's default inode is 256 bytes.
const INODES_PER_BLOCK: u64 = 16;
/// One bitmap covers a block group: a bit for each block in a block.
const GROUP: u64 = 8 * BLOCK * BLOCK;
/// Longest write: what a FUSE mount takes at a time.
const LONGEST: u64 = 1 << 20;
/// Share of the area that holds metadata: one part of so many. Chosen.
const METADATA_PART: u64 = 32;

pub(super) struct SmallFiles {
    /// Of a burst.
    files: u64,
    flush_each_burst: bool,
    /// Bitmaps and directories in the first half, inodes in the second.
    metadata: Area,
    data: Area,
    /// Offset in the data of the next file.
    cursor: u64,
    /// Files made so far.
    made: u64,
    /// Of the file being written.
    bytes_left: u64,
    /// Of the burst.
    files_left: u64,
    metadata_left: u64,
    inode_blocks: u64,
}

impl SmallFiles {
    /// Smallest area: room for one block of each kind of metadata.
    pub(super) const SMALLEST_AREA: u64 = METADATA_PART * 4 * BLOCK;

    /// Longest file in an area of this length.
    pub(super) fn longest_file(area_len: u64) -> u64 {
        area_len - metadata_len(area_len)
    }

    /// Writes and bytes of a burst, in the mean.
    pub(super) fn burst(files: u64, sizes: &Sizes) -> (u64, u64) {
        // To a thousandth: most files are one write.
        let writes = mean(sizes, |size| size.div_ceil(LONGEST).saturating_mul(1000));
        let metadata = files / INODES_PER_BLOCK + 3;
        let bytes = mean(sizes, |size| size.next_multiple_of(BLOCK));
        let whole = (u128::from(files) * u128::from(writes) / 1000) as u64;
        (whole.saturating_add(metadata), files.saturating_mul(bytes).saturating_add(metadata * BLOCK))
    }

    pub(super) fn new(area: Area, files: u64, flush_each_burst: bool, cursor: u64, made: u64) -> Self {
        let len = metadata_len(area.len);
        Self {
            files,
            flush_each_burst,
            metadata: Area { start: area.start, len },
            data: Area { start: area.start + len, len: area.len - len },
            cursor,
            made,
            bytes_left: 0,
            files_left: files,
            metadata_left: 0,
            inode_blocks: 0,
        }
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) fn made(&self) -> u64 {
        self.made
    }

    pub(super) fn next(&mut self, sizes: &Sizes, random: &mut Random) -> Step {
        if self.bytes_left == 0 && self.files_left == 0 && self.metadata_left == 0 {
            self.files_left = self.files;
        }
        if self.bytes_left > 0 || self.files_left > 0 { self.file_data(sizes, random) } else { self.metadata(random) }
    }

    fn file_data(&mut self, sizes: &Sizes, random: &mut Random) -> Step {
        if self.bytes_left == 0 {
            self.bytes_left = sizes.draw(random).next_multiple_of(BLOCK).min(self.data.len / BLOCK * BLOCK);
            self.files_left -= 1;
            self.made += 1;
            if self.cursor + self.bytes_left > self.data.len {
                self.cursor = 0;
            }
        }
        let len = self.bytes_left.min(LONGEST);
        let step = Step::new(OpKind::Write, self.data.start + self.cursor, len);
        self.cursor += len;
        self.bytes_left -= len;
        if self.bytes_left == 0 && self.files_left == 0 {
            let first = (self.made - self.files) / INODES_PER_BLOCK;
            self.inode_blocks = (self.made - 1) / INODES_PER_BLOCK - first + 1;
            self.metadata_left = self.inode_blocks + 2;
        }
        Step { together: true, ..step }
    }

    /// The inodes of the burst, its directory, the bitmap of the group that it ended in.
    fn metadata(&mut self, random: &mut Random) -> Step {
        self.metadata_left -= 1;
        let half = self.metadata.len / 2 / BLOCK;
        let block = match self.metadata_left {
            0 => self.cursor / GROUP % half,
            1 => random.below(half),
            left => half + ((self.made - 1) / INODES_PER_BLOCK + 2 - left) % half,
        };
        let last = self.metadata_left == 0;
        let step = Step::new(OpKind::Write, self.metadata.start + block * BLOCK, BLOCK);
        Step { together: !last, flush: last && self.flush_each_burst, ..step }
    }
}

/// Whole blocks, an even number.
fn metadata_len(area_len: u64) -> u64 {
    area_len / METADATA_PART / (2 * BLOCK) * (2 * BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_its_files_then_their_metadata_then_a_flush() {
        let sizes = Sizes { weighted: vec![(10_000, 1)] };
        let area = Area { start: 1 << 20, len: 4 << 20 };
        let mut files = SmallFiles::new(area, 20, true, 0, 0);
        let mut random = Random::new(1);
        for burst in 0..50u64 {
            let data: Vec<Step> = (0..20).map(|_| files.next(&sizes, &mut random)).collect();
            assert!(data.iter().all(|step| step.len == 12_288 && step.together && step.offset >= (1 << 20) + 131_072));
            assert!(data.windows(2).filter(|pair| pair[0].offset + pair[0].len != pair[1].offset).count() <= 1);
            // Files 20 b .. 20 b + 19, sixteen inodes to a block.
            let inode_blocks = (burst * 20 + 19) / 16 - burst * 20 / 16 + 1;
            let metadata: Vec<Step> = (0..inode_blocks + 2).map(|_| files.next(&sizes, &mut random)).collect();
            assert!(metadata.iter().all(|step| step.len == 4096 && step.offset < (1 << 20) + 131_072));
            let ends: Vec<bool> = metadata.iter().map(|step| step.flush && !step.together).collect();
            assert!(ends.iter().rev().skip(1).all(|end| !end) && ends.last() == Some(&true), "{metadata:?}");
        }
    }

    #[test]
    fn a_large_file_is_written_in_pieces() {
        let sizes = Sizes { weighted: vec![(5 << 19, 1)] };
        let mut files = SmallFiles::new(Area { start: 0, len: 64 << 20 }, 1, false, 0, 0);
        let mut random = Random::new(1);
        let lens: Vec<u64> = (0..6).map(|_| files.next(&sizes, &mut random).len).collect();
        assert_eq!(lens, [1 << 20, 1 << 20, 1 << 19, 4096, 4096, 4096]);
    }
}

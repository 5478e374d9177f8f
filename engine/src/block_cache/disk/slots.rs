//! Reads and writes single pieces of a cache file: the data of a slot, a record, the state. Knows nothing of order.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::CacheDisk;
use super::format::{DIRECTORY_LEN, FileState, Layout, RECORD_LEN, Record, mask_bytes};
use crate::block_cache::sectors::SectorMask;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::SECTOR;
use crate::payload::Payload;

pub struct Slots {
    pub disk: Arc<dyn CacheDisk>,
    pub layout: Layout,
    pub payload: Payload,
    /// The cache file, for messages.
    pub name: String,
}

impl Slots {
    pub fn new(disk: Arc<dyn CacheDisk>, block_size: u32, payload: Payload) -> Self {
        let name = disk.name();
        Self { disk, layout: Layout::new(block_size), payload, name }
    }

    pub fn error(&self, doing: impl fmt::Display, error: io::Error) -> Error {
        let error = Error::from(error);
        let hint = match error.kind() {
            ErrorKind::NoSpace => "; make room on its file system, or use a smaller --block-cache-size",
            _ => "",
        };
        Error::new(error.kind(), format!("cache file {}: {doing}: {}{hint}", self.name, error.message()))
    }

    /// Cells of a block.
    pub fn block_len(&self) -> usize {
        self.payload.cell_count(self.layout.block_size as usize)
    }

    /// Writes the known cells of a block; the answer is the checksum for its record.
    pub fn write_data(&self, slot: u32, data: &[u8], mask: Option<&SectorMask>) -> Result<u32> {
        let failed = |error| self.error(format_args!("writing slot {slot}"), error);
        let mut crc = 0;
        if let Some(mask) = mask {
            let bytes = mask_bytes(mask);
            crc = crc32c::crc32c(&bytes);
            if let Some((at, _)) = self.layout.mask_at(slot) {
                self.disk.write_at(at, &bytes).map_err(failed)?;
            }
        }
        for run in self.known(mask) {
            let at = self.layout.data_at(slot) + run.start as u64;
            let cells = &data[self.payload.cells(run)];
            crc = crc32c::crc32c_append(crc, cells);
            match self.payload {
                Payload::Real => self.disk.write_at(at, cells),
                Payload::Weightless => self.disk.write_cells(at, cells),
            }
            .map_err(failed)?;
        }
        Ok(crc)
    }

    /// Reads the known cells of a block, zeros elsewhere; the answer is the checksum of what was read.
    pub fn read_data(&self, slot: u32, mask: Option<&SectorMask>, out: &mut [u8]) -> Result<u32> {
        let mut crc = 0;
        if let Some(mask) = mask {
            crc = crc32c::crc32c(&mask_bytes(mask));
            out.fill(0);
        }
        for run in self.known(mask) {
            let at = self.layout.data_at(slot) + run.start as u64;
            let cells = &mut out[self.payload.cells(run)];
            match self.payload {
                Payload::Real => self.disk.read_at(at, cells),
                Payload::Weightless => self.disk.read_cells(at, cells),
            }
            .map_err(|error| self.error(format_args!("reading slot {slot}"), error))?;
            crc = crc32c::crc32c_append(crc, cells);
        }
        Ok(crc)
    }

    /// The byte ranges of a block that a mask calls known.
    fn known<'a>(&self, mask: Option<&'a SectorMask>) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let block_size = self.layout.block_size;
        let mut from = 0;
        std::iter::from_fn(move || {
            let run = match mask {
                Some(mask) => mask.next_run(from, block_size / SECTOR)?,
                None if from == 0 => 0..block_size / SECTOR,
                None => return None,
            };
            from = run.end;
            Some((run.start * SECTOR) as usize..(run.end * SECTOR) as usize)
        })
    }

    /// The mask of an incomplete block; `None` if it makes no sense.
    pub fn read_mask(&self, slot: u32, record: &Record) -> Result<Option<SectorMask>> {
        let Some((at, len)) = self.layout.mask_at(slot) else {
            return Ok(self.layout.mask_from(&record.inline_mask));
        };
        let mut bytes = vec![0; len];
        let failed = |error| self.error(format_args!("reading the sector mask of slot {slot}"), error);
        self.disk.read_at(at, &mut bytes).map_err(failed)?;
        Ok(self.layout.mask_from(&bytes))
    }

    pub fn write_record(&self, slot: u32, record: &[u8; RECORD_LEN]) -> Result<()> {
        let failed = |error| self.error(format_args!("writing the record of slot {slot}"), error);
        self.disk.write_at(self.layout.record_at(slot), record).map_err(failed)
    }

    pub fn erase_record(&self, slot: u32) -> Result<()> {
        self.write_record(slot, &[0; RECORD_LEN])
    }

    /// Reads the records of one segment.
    pub fn read_directory(&self, segment: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; DIRECTORY_LEN];
        let failed = |error| self.error(format_args!("reading the directory of segment {segment}"), error);
        self.disk.read_at(self.layout.segment_at(segment), &mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Makes room for more segments. The records are real zeros, so that none of them meets a full disk later.
    pub fn extend(&self, segments: Range<u32>) -> Result<()> {
        let failed = |error| self.error("growing it", error);
        let len = self.layout.segment_at(segments.end);
        for segment in segments {
            self.disk.write_at(self.layout.segment_at(segment), &[0; DIRECTORY_LEN]).map_err(failed)?;
        }
        self.disk.set_len(len).map_err(failed)
    }

    pub fn write_state(&self, state: &FileState, place: u64) -> Result<()> {
        let failed = |error| self.error("writing its state", error);
        self.disk.write_at(place, &state.encode()).map_err(failed)
    }

    pub fn sync(&self) -> Result<()> {
        self.disk.sync().map_err(|error| self.error("syncing it", error))
    }

    /// The kernel need not keep the data of this slot.
    pub fn advise_unneeded(&self, slot: u32) {
        self.disk.advise_unneeded(self.layout.data_at(slot), u64::from(self.layout.block_size));
    }
}

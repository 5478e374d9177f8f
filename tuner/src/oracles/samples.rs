//! The traces whose answers are known, below one directory.

use std::path::PathBuf;

use anyhow::Result;
use s3b_scenarios::trace::Options;
use s3b_scenarios::{Op, Trace};

/// A trace with known answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sample {
    /// A production VM's disk, two hours.
    VmIo,
    /// SQLite with WAL on ext4; its Q events.
    Sqlite,
    /// A Postmark run.
    Postmark,
    /// Page requests of a database; no times.
    Oltp,
}

impl Sample {
    pub fn name(self) -> &'static str {
        match self {
            Self::VmIo => "vm-io",
            Self::Sqlite => "sqlite",
            Self::Postmark => "postmark",
            Self::Oltp => "OLTP.lis",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::VmIo => "vm-io/cloudPhysicsIO.vscsi.zst",
            Self::Sqlite => "blk-sqlite/sqlite.blktrace.0.zst",
            Self::Postmark => "diskarray/ssd-postmark-aligned2.trace.zst",
            Self::Oltp => "arc/OLTP.lis.zst",
        }
    }
}

/// The directory they are in.
#[derive(Clone, Debug)]
pub struct Samples(pub PathBuf);

impl Samples {
    pub fn path(&self, sample: Sample) -> PathBuf {
        self.0.join(sample.path())
    }

    /// The operations of a sample, in order.
    ///
    /// # Errors
    /// A file that is missing or not what it should be.
    pub fn ops(&self, sample: Sample) -> Result<Vec<Op>> {
        let path = self.path(sample);
        // A page of OLTP.lis is as large as the blocks of the cache it is asked about.
        let block_bytes = (sample == Sample::Oltp).then_some(4096);
        let trace = Trace::open_with(&path, &Options { block_bytes, ..Options::default() })?;
        Ok(trace.collect::<Result<_, _>>()?)
    }
}

//! The traces whose answers are known, below one directory.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use s3b_scenarios::{Op, OpKind, Trace};

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
        let lines = |read: fn(usize, &str) -> Result<Op>| read_lines(&path, read);
        match sample {
            Sample::VmIo | Sample::Sqlite => Ok(Trace::open(&path)?.collect::<Result<_, _>>()?),
            Sample::Postmark => lines(disksim_line),
            Sample::Oltp => lines(lis_line),
        }
        .with_context(|| path.display().to_string())
    }
}

fn read_lines(path: &Path, read: fn(usize, &str) -> Result<Op>) -> Result<Vec<Op>> {
    let file = BufReader::new(zstd::Decoder::new(std::fs::File::open(path)?)?);
    let mut ops = Vec::new();
    for (n, line) in file.lines().enumerate() {
        let line = line?;
        if !line.trim().is_empty() {
            ops.push(read(n, &line).with_context(|| format!("line {}", n + 1))?);
        }
    }
    Ok(ops)
}

/// `time(ms) device sector sectors flags`; bit 0 of the flags: read.
fn disksim_line(_: usize, line: &str) -> Result<Op> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [time, device, start, sectors, flags] = fields[..] else { bail!("{line:?}: five fields are expected") };
    let time_ns = (time.parse::<f64>()? * 1e6).round() as u64;
    let kind = if flags.parse::<u32>()? & 1 == 1 { OpKind::Read } else { OpKind::Write };
    let op = Op::new(time_ns, kind, start.parse::<u64>()? * 512, sectors.parse::<u64>()? * 512);
    Ok(Op { device: device.parse()?, ..op })
}

/// `page pages ignored number`.
fn lis_line(n: usize, line: &str) -> Result<Op> {
    let mut fields = line.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(page)), Some(Ok(pages))) = (fields.next(), fields.next()) else { bail!("{line:?}: page and pages") };
    Ok(Op::new(n as u64 * 2000, OpKind::Read, page * 4096, pages * 4096))
}

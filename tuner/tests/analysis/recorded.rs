//! The shared traces, as operations.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use s3b_scenarios::{Op, OpKind, Trace};

pub fn path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past libtest's capture, which would hide it.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {} is absent", path.display());
    None
}

/// Of a format that is recognised.
pub fn trace(name: &str) -> Option<Vec<Op>> {
    Some(Trace::open(&path(name)?).unwrap().collect::<Result<_, _>>().unwrap())
}

pub fn vm_io() -> Option<Vec<Op>> {
    trace("vm-io/cloudPhysicsIO.vscsi.zst")
}

pub fn sqlite() -> Option<Vec<Op>> {
    trace("blk-sqlite/sqlite.blktrace.0.zst")
}

fn text(name: &str) -> Option<String> {
    let mut text = String::new();
    zstd::Decoder::new(std::fs::File::open(path(name)?).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    Some(text)
}

/// DiskSim: milliseconds, device, first sector, sectors, 1 for a read.
pub fn postmark() -> Option<Vec<Op>> {
    let text = text("diskarray/ssd-postmark-aligned2.trace.zst")?;
    let mut first = None;
    let ops = text.lines().map(|line| {
        let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
        let [ms, _, sector, sectors, read] = fields[..] else { panic!("{line}") };
        let kind = if read == 1.0 { OpKind::Read } else { OpKind::Write };
        let time_ns = ((ms - *first.get_or_insert(ms)) * 1e6).round() as u64;
        Op::new(time_ns, kind, sector as u64 * 512, sectors as u64 * 512)
    });
    Some(ops.collect())
}

/// ARC: the first page of each record.
pub fn oltp_pages() -> Option<Vec<u64>> {
    let text = text("arc/OLTP.lis.zst")?;
    Some(text.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect())
}

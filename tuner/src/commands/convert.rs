//! `s3b-tuner convert`: a trace in any format to one of ours.
//!
//! Streams, and writes beside OUT under a temporary name: OUT appears whole or not at all.

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use s3b_scenarios::trace::s3bt::{EndReason, Header, Packing};
use s3b_scenarios::trace::write::{OutputFormat, Pack, Packed, TraceWriter, writer};
use s3b_scenarios::{Op, Summary, Trace};
use tempfile::NamedTempFile;

use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::output;
use crate::progress::ProgressLine;
use crate::report::numbers::count;
use crate::trace_options::TraceOptions;

/// Convert a trace of any known format to s3bt, a fio iolog v3, or csv
///
/// The format of IN is recognised by its content, that of OUT by its name.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Convert {
    /// Any one file of a blktrace recording stands for all of its CPUs
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Ends in .s3bt, .iolog or .csv, and .gz or .zst behind that if it is to be packed
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Format of OUT, whatever its name: s3bt, iolog, csv
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<OutputFormat>,
    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub reading: TraceOptions,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner convert disk.blktrace.0 disk.s3bt
  s3b-tuner convert day.s3bt day.iolog              for fio --read_iolog=day.iolog --replay_redirect=/dev/vdb
  s3b-tuner convert trace.txt out.csv --from spc    columns: time_ns,device,op,offset,length,flags

Exit code: 0 done, 1 error, 2 wrong usage, 130 interrupted (nothing is written).";

/// How many operations pass between looks at whether to stop.
const LOOK_EVERY: u64 = 4096;

type Target = Packed<BufWriter<NamedTempFile>>;

pub async fn convert(args: &Convert) -> Result<ExitCode> {
    let out = args.output.as_path();
    let (format, pack) = chosen(out, args.to)?;
    if !args.force && out.symlink_metadata().is_ok() {
        bail!("{} exists; --force replaces it", out.display());
    }
    let mut trace = Trace::open_with(&args.input, &args.reading.options())?;
    let writing = || format!("cannot write {}", out.display());
    let header = trace.recording().unwrap_or_default();
    let mut target = begin(out, format, pack, header).with_context(writing)?;
    let interrupt = Interrupt::listen();
    let mut line = ProgressLine::open_ended("convert");
    let mut summary = Summary::default();
    // A recording's times go on counting from when it began, as its header says.
    let goes_on = format == OutputFormat::S3bt && trace.recording().is_some();
    let mut missing = 0;
    while let Some(op) = trace.next() {
        let op = op?;
        tell_dropped(&mut *target, &trace, &mut missing).with_context(writing)?;
        let began_ns = if goes_on { trace.first_ns() } else { 0 };
        target.write(&Op { time_ns: op.time_ns.saturating_add(began_ns), ..op }).with_context(writing)?;
        summary.add(&op);
        line.step(String::new);
        if summary.ops().is_multiple_of(LOOK_EVERY) && interrupt.is_asked() {
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    }
    line.finish();
    tell_dropped(&mut *target, &trace, &mut missing).with_context(writing)?;
    let notices = target.notices();
    let bytes = end(target, trace.ending(), out, args.force).with_context(writing)?;
    let mut text = told(args, &trace, format, &summary, bytes);
    notices.iter().for_each(|notice| text.push_str(&format!("  {notice}\n")));
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Operations that were found missing since the last look are missing in the same place of the output. Of the kernel's
/// tracer these are events, which are more: nobody knows how many operations they were.
fn tell_dropped(target: &mut dyn TraceWriter<Target>, trace: &Trace, told: &mut u64) -> std::io::Result<()> {
    let dropped = trace.skipped().dropped;
    let new = dropped - std::mem::replace(told, dropped);
    if new > 0 { target.dropped(new) } else { Ok(()) }
}

/// Format and packing by the name of the output.
fn chosen(out: &Path, to: Option<OutputFormat>) -> Result<(OutputFormat, Pack)> {
    let name = out.file_name().with_context(|| format!("{} names no file", out.display()))?.to_string_lossy();
    let (name, pack) = match name.rsplit_once('.') {
        Some((name, "gz")) => (name, Pack::Gzip),
        Some((name, "zst")) => (name, Pack::Zstd),
        _ => (&*name, Pack::Plain),
    };
    let by_name = || name.rsplit_once('.').and_then(|(_, extension)| extension.parse().ok());
    let Some(format) = to.or_else(by_name) else {
        bail!("{}: which format? Let the name end in .s3bt, .iolog or .csv, or say --to s3bt", out.display());
    };
    Ok((format, pack))
}

fn begin(out: &Path, format: OutputFormat, pack: Pack, header: Header) -> Result<Box<dyn TraceWriter<Target>>> {
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // What the umask leaves of it, as for any file.
    builder.prefix(".s3b-convert-").permissions(Permissions::from_mode(0o666));
    let file = builder.tempfile_in(directory)?;
    // Packed as a whole, frames are not packed once more.
    let packing = if pack == Pack::Plain { Packing::Zstd } else { Packing::Plain };
    Ok(writer(format, header, packing, Packed::new(pack, BufWriter::new(file))?)?)
}

/// Makes the output durable and gives it its name; answers its size.
fn end(target: Box<dyn TraceWriter<Target>>, ending: Option<EndReason>, out: &Path, force: bool) -> Result<u64> {
    let mut buffer = target.finish(ending)?.finish()?;
    buffer.flush()?;
    let file = buffer.into_inner().map_err(|error| error.into_error())?;
    file.as_file().sync_all()?;
    let bytes = file.as_file().metadata()?.len();
    if force {
        file.persist(out)?;
    } else {
        file.persist_noclobber(out)?;
    }
    Ok(bytes)
}

fn told(args: &Convert, trace: &Trace, format: OutputFormat, summary: &Summary, bytes: u64) -> String {
    let (input, output) = (args.input.display(), args.output.display());
    let mut text = format!("{input} ({}) -> {output} ({format})\n", trace.format());
    text += &format!(
        "  {} operations: {} reads, {} writes, {} flushes, {} discards; {:.1} s\n",
        count(summary.ops()),
        count(summary.reads),
        count(summary.writes),
        count(summary.flushes),
        count(summary.discards),
        summary.duration_ns as f64 / 1e9
    );
    let each = bytes as f64 / summary.ops().max(1) as f64;
    text += &format!("  {} bytes, {each:.1} for an operation\n", count(bytes));
    let skipped = trace.skipped();
    for (number, what) in [
        (skipped.other, "records that ask for no data were left out"),
        (skipped.empty, "operations of no bytes were left out"),
        (skipped.back_in_time, "times were before their predecessor's and were raised to it"),
    ] {
        if number > 0 {
            text += &format!("  {} {what}\n", count(number));
        }
    }
    trace.notices().iter().for_each(|notice| text += &format!("  {notice}\n"));
    text
}

//! Which format a trace has, from its first bytes and never from its name.
//!
//! Binary formats by magic or by fields that only they have. Text by trying: each reader is given the first lines, and
//! the one that gets farthest has it. Two that get equally far are not decided between.

use super::alibaba::Alibaba;
use super::arc::Arc;
use super::ascii::Ascii;
use super::blkparse::Blkparse;
use super::cloudphysics::{self, CloudPhysics};
use super::csv::{self, Csv};
use super::event::Event;
use super::format::Format;
use super::msr::Msr;
use super::spc::Spc;
use super::tencent::Tencent;
use super::text::{LineFormat, is_blank, is_header, trimmed};
use super::{Skipped, blktrace, iolog, oracle, s3bt, vscsi};

/// Lines that are tried.
const LINES: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Known(Format),
    /// Each of these reads as many lines.
    Ambiguous(Vec<Format>),
    Unknown,
}

/// `whole`: the head is the whole file, so that its last line is not cut.
pub fn recognise(head: &[u8], whole: bool) -> Verdict {
    if s3bt::recognise(head) {
        return Verdict::Known(Format::S3bt);
    }
    if blktrace::recognise(head) {
        return Verdict::Known(Format::Blktrace('Q'));
    }
    match vscsi::recognise(head) {
        Some(vscsi::Version::V1) => return Verdict::Known(Format::VscsiV1),
        Some(vscsi::Version::V2) => return Verdict::Known(Format::VscsiV2),
        None => {}
    }
    if !is_text(head) {
        return if oracle::recognise(head) { Verdict::Known(Format::OracleGeneral) } else { Verdict::Unknown };
    }
    let all = if whole { head } else { &head[..head.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)] };
    let lines = all.split(|byte| *byte == b'\n').map(trimmed).filter(|line| !is_blank(line));
    recognise_lines(&lines.take(LINES).collect::<Vec<_>>())
}

/// Whether this can be text: no control characters but the usual.
pub fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c))
}

fn recognise_lines(lines: &[&[u8]]) -> Verdict {
    let Some(first) = lines.first() else { return Verdict::Unknown };
    for (header, format) in [(iolog::HEADER_V2, Format::FioV2), (iolog::HEADER_V3, Format::FioV3)] {
        if *first == header {
            return Verdict::Known(format);
        }
    }
    for (header, format) in [(cloudphysics::HEADER, Format::CloudPhysics), (csv::HEADER, Format::Csv)] {
        if is_header(first, header) {
            return Verdict::Known(format);
        }
    }
    let scores: Vec<(Format, usize)> =
        readers().into_iter().map(|(format, reader)| (format, lines_read(reader, lines))).collect();
    let best = scores.iter().map(|(_, lines)| *lines).max().unwrap_or(0);
    let mut candidates: Vec<Format> =
        scores.iter().filter(|(_, lines)| *lines == best).map(|(format, _)| *format).collect();
    // Whole numbers only: DiskSim's times would have a fraction somewhere.
    if candidates.contains(&Format::MqSim) {
        candidates.retain(|format| *format != Format::DiskSim);
    }
    match candidates[..] {
        _ if best == 0 => Verdict::Unknown,
        [format] => Verdict::Known(format),
        _ => Verdict::Ambiguous(candidates),
    }
}

fn readers() -> Vec<(Format, Box<dyn LineFormat>)> {
    vec![
        (Format::Blkparse('Q'), Box::new(Blkparse::new(Event::Queued))),
        (Format::Msr, Box::<Msr>::default()),
        (Format::Spc, Box::new(Spc::new(512))),
        (Format::Alibaba, Box::<Alibaba>::default()),
        (Format::Tencent, Box::<Tencent>::default()),
        (Format::CloudPhysics, Box::new(CloudPhysics)),
        (Format::Csv, Box::<Csv>::default()),
        (Format::MqSim, Box::new(Ascii::mqsim(None))),
        (Format::DiskSim, Box::new(Ascii::disksim(None))),
        (Format::Arc, Box::new(Arc::new(512))),
    ]
}

/// Lines from the beginning without a mistake.
fn lines_read(mut reader: Box<dyn LineFormat>, lines: &[&[u8]]) -> usize {
    let mut skipped = Skipped::default();
    lines.iter().take_while(|line| reader.parse(line, &mut skipped).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Verdict {
        recognise(text.as_bytes(), true)
    }

    #[test]
    fn numbers_alone_are_told_apart_by_shape() {
        for (text, format) in [
            ("1538323200,42932745,1,1,0\n", Format::Tencent),
            ("1,5633898,28,512,42932745\n", Format::CloudPhysics),
            ("0,R,126703644672,4096,1577808000000626\n", Format::Alibaba),
            ("0,20941264,8192,W,0.551706\n", Format::Spc),
            ("0,20941264,8192,w,0,extra,fields\n", Format::Spc),
            ("938513000 4 264719034 16 0\n", Format::MqSim),
            // DiskSim's first time may well be a whole number.
            ("0 0 20228336 8 0\n7961.833 0 20228336 8 0\n", Format::DiskSim),
            ("123456 1 0 1\n123457 1 0 2", Format::Arc),
            ("\u{feff}# a comment\r\n\r\n  8,0 3 11 0.009507758 697 C W 223490 + 8 [0]\r\n", Format::Blkparse('Q')),
            (
                "     kworker/0:1H-276 [000] d..1. 12.000001: 8,52 D DS 983947432 + 64 [kworker]\n",
                Format::Blkparse('Q'),
            ),
            // A mistake in line 3 is for the reader to report.
            ("1,R,0,512,7\n1,R,0,512,8\nnonsense\n", Format::Alibaba),
        ] {
            assert_eq!(verdict(text), Verdict::Known(format), "{text}");
        }
    }

    #[test]
    fn what_two_readers_read_is_not_guessed() {
        // A SCSI read of one byte, or one sector written to volume 7.
        assert_eq!(verdict("1,5633898,28,1,7\n"), Verdict::Ambiguous(vec![Format::Tencent, Format::CloudPhysics]));
        for text in ["", "# only comments\n", "name = \"x\"\n", "1,2,3\n", "fio version 4 iolog\n", "\u{1}\u{2}"] {
            assert_eq!(verdict(text), Verdict::Unknown, "{text}");
        }
    }
}

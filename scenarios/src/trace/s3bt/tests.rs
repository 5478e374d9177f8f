use proptest::prelude::*;

use super::*;
use crate::op::{Op, OpKind};
use crate::trace::{Format, Options, Trace, TraceError};

fn any_op() -> impl Strategy<Value = Op> {
    let place = prop_oneof![
        (0..1u64 << 50, 1..1u64 << 40),
        (0..1u64 << 32, 1..64u64).prop_map(|(sector, sectors)| (sector * 512, sectors * 512)),
        Just((u64::MAX - 10, 10)),
        Just((4096, 4096)),
    ];
    (any::<u64>(), 0..4usize, place, prop_oneof![Just(0), Just(0), 0..3u32], any::<bool>(), any::<bool>()).prop_map(
        |(time_ns, kind, (offset, len), device, flush_before, durable)| {
            let kind = OpKind::ALL[kind];
            let (offset, len) = if kind == OpKind::Flush { (0, 0) } else { (offset, len) };
            let write = kind == OpKind::Write;
            let (flush_before, durable) = (write && flush_before, write && durable);
            Op { device, flush_before, durable, ..Op::new(time_ns, kind, offset, len) }
        },
    )
}

/// Every `cut` operations a frame is taken, full or not.
fn file(header: Header, ops: &[Op], packing: Packing, cut: usize) -> Vec<u8> {
    let (mut file, mut encoder) = (header.encode(), Encoder::new(&header));
    for (number, op) in ops.iter().enumerate() {
        let full = encoder.push(op);
        let taken = full.or_else(|| if (number + 1) % cut == 0 { encoder.rest() } else { None });
        file.extend(taken.map(|frame| frame.seal(packing)).unwrap_or_default());
    }
    file.extend(encoder.rest().map(|frame| frame.seal(packing)).unwrap_or_default());
    file
}

fn ended(mut file: Vec<u8>, reason: EndReason, ops: u64) -> Vec<u8> {
    file.extend(Frame::stating(Statement::Ended { reason, ops }).seal(Packing::Plain));
    file
}

fn read(bytes: &[u8]) -> Result<(Vec<Op>, Vec<String>), TraceError> {
    let mut trace = Trace::from_bytes_with(bytes.to_vec(), &Options::of(Format::S3bt))?;
    let ops = trace.by_ref().collect::<Result<_, _>>()?;
    Ok((ops, trace.notices()))
}

/// A sequential reader with a random writer, as a volume sees them.
fn workload(count: u64) -> Vec<Op> {
    let mut random = crate::random::Random::new(7);
    let op = |n: u64| match n % 4 {
        0 => Op::new(n * 8_640_000 + random.bits() % 5_000_000, OpKind::Read, n * 131_072, 131_072),
        3 if n % 100 == 3 => Op::new(n * 8_640_000, OpKind::Flush, 0, 0),
        _ => Op::new(
            n * 8_640_000 + random.bits() % 5_000_000,
            OpKind::Write,
            random.bits() % (1 << 28) * 4096,
            4096 << (random.bits() % 3),
        ),
    };
    (0..count).map(op).collect()
}

proptest! {
    #[test]
    fn whatever_is_pushed_comes_back(
        mut ops in prop::collection::vec(any_op(), 0..200), cut in 1..60usize, zstd in any::<bool>()
    ) {
        // The trace makes times rise and counts devices anew; here that must change nothing.
        ops.sort_by_key(|op| op.time_ns);
        let first = ops.first().map_or(0, |op| op.time_ns);
        let mut seen = Vec::new();
        let expected: Vec<Op> = ops.iter().map(|op| {
            let device = seen.iter().position(|known| *known == op.device).unwrap_or_else(|| {
                seen.push(op.device);
                seen.len() - 1
            }) as u32;
            Op { time_ns: op.time_ns - first, device, ..*op }
        }).collect();
        let packing = if zstd { Packing::Zstd } else { Packing::Plain };
        let bytes = ended(file(Header::default(), &ops, packing, cut), EndReason::Complete, ops.len() as u64);
        let (back, notices) = read(&bytes).unwrap();
        prop_assert_eq!(back, expected);
        prop_assert!(notices.is_empty(), "{:?}", notices);
    }

    /// Any damage is noticed: an error, a notice, or nothing but whole frames lost.
    #[test]
    fn a_changed_byte_never_changes_an_operation(at in 0..4000usize, bit in 0..8u32, cut in 5..40usize) {
        let ops = workload(300);
        let mut bytes = ended(file(Header::default(), &ops, Packing::Plain, cut), EndReason::Complete, 300);
        let at = at % bytes.len();
        bytes[at] ^= 1u8 << bit;
        if let Ok((back, notices)) = read(&bytes) {
            prop_assert!(!notices.is_empty() && back.len().is_multiple_of(cut) || back.len() == 300);
            let first = ops[0].time_ns;
            let same = back.iter().zip(&ops).all(|(back, op)| *back == Op { time_ns: op.time_ns - first, ..*op });
            prop_assert!(same);
        }
    }
}

#[test]
fn a_torn_tail_loses_the_last_frame_and_is_reported() {
    let ops = workload(100);
    let whole = file(Header::default(), &ops, Packing::Plain, 10);
    let nine = file(Header::default(), &ops[..90], Packing::Plain, 10);
    for cut in [nine.len() + 1, nine.len() + 23, nine.len() + 24, whole.len() - 1] {
        let (back, notices) = read(&whole[..cut]).unwrap();
        let torn = format!("torn off; its last {} bytes", cut - nine.len());
        assert!(back.len() == 90 && notices[0].contains(&torn), "{cut}: {} {notices:?}", back.len());
    }
    // What a power cut leaves: the size is there, the content is not.
    let mut zeros = nine.clone();
    zeros.resize(whole.len() + 100_000, 0);
    let (back, notices) = read(&zeros).unwrap();
    assert!(back.len() == 90 && notices[0].contains("torn off"), "{notices:?}");
    assert!(read(&nine).unwrap().1[0].contains("not ended"));
    // Or one page of it is missing and a later one is there.
    let five = file(Header::default(), &ops[..50], Packing::Plain, 10).len();
    let mut gap = whole;
    gap[five..nine.len()].fill(0);
    let (back, notices) = read(&gap).unwrap();
    let words = format!("broken at byte {five}, as a power cut can leave it; what follows from byte {}", nine.len());
    assert!(back.len() == 50 && notices[0].contains(&words), "{} {notices:?}", back.len());
}

#[test]
fn statements_are_heard() {
    let ops = workload(20);
    let mut bytes = file(Header::default(), &ops[..10], Packing::Plain, 10);
    bytes.extend(Frame::stating(Statement::Dropped(7)).seal(Packing::Plain));
    bytes.extend(&file(Header::default(), &ops[10..], Packing::Plain, 10)[HEADER_LEN..]);
    let bytes = ended(bytes, EndReason::SizeLimit, 21);
    let mut trace = Trace::from_bytes(bytes).unwrap();
    assert_eq!(trace.by_ref().map(Result::unwrap).count(), 20);
    assert_eq!(trace.skipped().dropped, 7);
    let notices = trace.notices().join("; ");
    for part in ["dropped 7", "size limit", "wrote 21 operations, 20 are there"] {
        assert!(notices.contains(part), "{notices}");
    }
}

#[test]
fn the_header_is_kept_and_held_to() {
    let header =
        Header { volume_bytes: 1 << 40, block_bytes: 65_536, started_unix_ms: 1_763_800_000_000, tick_ns: 1000 };
    let ops = [Op::new(5_999, OpKind::Read, 0, 512), Op::new(7_001, OpKind::Read, 0, 512)];
    let bytes = file(header, &ops, Packing::Plain, 9);
    let mut trace = Trace::from_bytes(bytes.clone()).unwrap();
    assert_eq!(trace.recording(), Some(header));
    assert_eq!(trace.by_ref().map(|op| op.unwrap().time_ns).collect::<Vec<_>>(), [0, 2000]);
    for (at, part) in [(8, "version"), (16, "checksum"), (HEADER_LEN - 1, "checksum")] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 4;
        let message = read(&wrong).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    assert!(read(&bytes[..30]).unwrap_err().to_string().contains("cut short"));
}

/// The layout in docs/TRACE-FORMAT.md, byte by byte.
#[test]
fn the_documented_example_is_what_is_written() {
    let ops = [
        Op::new(1_000, OpKind::Write, 4096, 4096),
        Op { durable: true, ..Op::new(3_000, OpKind::Write, 8192, 4096) },
        Op::new(4_000, OpKind::Flush, 0, 0),
    ];
    let header = Header { tick_ns: 1000, ..Header::default() };
    let bytes = file(header, &ops, Packing::Plain, 9);
    assert_eq!(bytes[..12], *b"\x89s3bt\r\n\x1a\x01\0\0\0");
    assert_eq!(bytes[HEADER_LEN..][..20], *b"s3bf\x01\0\0\0\x09\0\0\0\x09\0\0\0\x03\0\0\0");
    assert_eq!(bytes[HEADER_LEN + FRAME_HEADER_LEN..], [1, 0x01, 0, 0x10, 0x08, 0x39, 0x04, 0x02, 0x02]);
}

/// Ten million operations of a day are to fit in 100 MB.
#[test]
fn an_operation_takes_less_than_ten_bytes() {
    let ops = workload(30_000);
    let header = Header { tick_ns: 1000, ..Header::default() };
    let per_op = |packing| file(header, &ops, packing, usize::MAX).len() as f64 / ops.len() as f64;
    let (plain, zstd) = (per_op(Packing::Plain), per_op(Packing::Zstd));
    println!("an operation takes {plain:.1} bytes plain, {zstd:.1} packed");
    assert!(plain < 10.0 && zstd < plain, "{plain:.2} bytes, {zstd:.2} packed");
}

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn vscsi_v1(time_us: u64, command: u16, sector: u64, len: u32) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(7u32.to_le_bytes());
    record.extend(len.to_le_bytes());
    record.extend(1u32.to_le_bytes());
    record.extend(command.to_le_bytes());
    record.extend(0x0100u16.to_le_bytes());
    record.extend(sector.to_le_bytes());
    record.extend(time_us.to_le_bytes());
    record
}

fn vscsi_v2(time_us: u64, command: u16, sector: u64, len: u32) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(command.to_le_bytes());
    record.extend(0x0200u16.to_le_bytes());
    for word in [7, len, 1] {
        record.extend(word.to_le_bytes());
    }
    for long in [sector, time_us, 99] {
        record.extend(long.to_le_bytes());
    }
    record
}

struct Event {
    time_ns: u64,
    sector: u64,
    bytes: u32,
    action: u32,
    device: u32,
    pdu: usize,
}

const EVENT: Event = Event { time_ns: 0, sector: 0, bytes: 0, action: 0, device: 1, pdu: 0 };
const Q: u32 = 1;
const FROM_CGROUP: u32 = 1 << 8;
const READ: u32 = 1 << 16;
const WRITE: u32 = 1 << 17;
const FLUSH: u32 = 1 << 18;
const NOTIFY: u32 = 1 << 26;
const DISCARD: u32 = 1 << 29;

fn blktrace(event: &Event, big_endian: bool) -> Vec<u8> {
    let mut record = Vec::new();
    let mut put = |value: u64, len: usize| {
        let mut bytes = value.to_le_bytes()[..len].to_vec();
        if big_endian {
            bytes.reverse();
        }
        record.extend(bytes);
    };
    put(0x6561_7407, 4);
    put(0, 4);
    put(event.time_ns, 8);
    put(event.sector, 8);
    for word in [event.bytes, event.action, 11, event.device, 0] {
        put(word.into(), 4);
    }
    put(0, 2);
    put(event.pdu as u64, 2);
    record.extend(vec![0xee; event.pdu]);
    record
}

fn read(bytes: Vec<u8>) -> Result<Vec<Op>, TraceError> {
    Trace::from_bytes(bytes)?.collect()
}

#[test]
fn both_vscsi_versions_say_the_same() {
    let requests = [(5_000_000, 0x2a, 8, 4096), (5_000_007, 0x88, 16, 512), (5_000_009, 0x35, 0, 0)];
    let all = |make: fn(u64, u16, u64, u32) -> Vec<u8>| requests.map(|(t, c, s, l)| make(t, c, s, l)).concat();
    let v1 = read(all(vscsi_v1)).unwrap();
    assert_eq!(
        v1,
        [
            Op::new(0, OpKind::Write, 4096, 4096),
            Op::new(7000, OpKind::Read, 8192, 512),
            Op::new(9000, OpKind::Flush, 0, 0)
        ]
    );
    assert_eq!(read(all(vscsi_v2)).unwrap(), v1);
    assert_eq!(Trace::from_bytes(all(vscsi_v2)).unwrap().format(), Format::VscsiV2);
}

#[test]
fn what_asks_for_no_data_is_left_out_and_counted() {
    let bytes =
        [vscsi_v1(9, 0x28, 0, 512), vscsi_v1(8, 0x2a, 0, 512), vscsi_v1(10, 0x12, 0, 96), vscsi_v1(11, 0x28, 0, 0)];
    let mut trace = Trace::from_bytes(bytes.concat()).unwrap();
    let times: Vec<u64> = trace.by_ref().map(|op| op.unwrap().time_ns).collect();
    assert_eq!(times, [0, 0]);
    assert_eq!(trace.skipped(), Skipped { other: 1, empty: 1, back_in_time: 1, dropped: 0 });
}

#[test]
fn errors_say_which_record_at_which_byte() {
    let good = vscsi_v1(1, 0x28, 0, 512);
    let mut bad = good.clone();
    bad[15] = 9;
    let far = vscsi_v1(1, 0x28, u64::MAX / 512 + 1, 512);
    let q = blktrace(&Event { action: Q | READ, bytes: 512, pdu: 10, ..EVENT }, false);
    for (bytes, parts) in [
        (vec![], vec!["empty"]),
        (b"name = \"mine\"\n".to_vec(), vec!["no known trace format", "\"name = "]),
        (vec![0, 1, 2, 0xff], vec!["no known trace format", "00 01 02 ff"]),
        (b"\xfd7zXZ\0\0".to_vec(), vec!["xz: unpack it first"]),
        ([good.clone(), good.clone(), bad].concat(), vec!["record 3 at byte 64", "version field 0900"]),
        ([good.clone(), good.clone(), good[..31].to_vec()].concat(), vec!["record 3 at byte 64", "31 of 32"]),
        ([good.clone(), good.clone(), far].concat(), vec!["record 3 at byte 64", "beyond 64-bit"]),
        ([q.clone(), q[..50].to_vec()].concat(), vec!["record 2 at byte 58", "cut short 8 bytes"]),
        ([q.clone(), good.clone(), good].concat(), vec!["record 2 at byte 58", "magic"]),
        (blktrace(&Event { action: 9, ..EVENT }, false), vec!["no Q, D or C"]),
    ] {
        let message = read(bytes).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn devices_count_from_the_first_operation_that_is_kept() {
    let devices = |text: &str| read(text.into()).unwrap().iter().map(|op| op.device).collect::<Vec<_>>();
    assert_eq!(devices("7,R,0,0,1\n5,R,0,512,2\n7,R,0,512,3\n5,R,0,512,4\n"), [0, 1, 0]);
}

#[test]
fn errors_in_text_say_which_line_at_which_byte() {
    let long = format!("0,R,0,512,7\n0,R,0,512,{}\n", "7".repeat(20_000));
    for (text, parts) in [
        ("0,R,0,512,7\r\n\r\n# note\r\n0,R,0,-5,8\r\n", vec!["line 4 at byte 23", "length \"-5\"", "looks like: 0,R"]),
        ("0,R,0,512,7\n0,R,0,512,8,9", vec!["line 2 at byte 12", "6 comma-separated fields, not 5"]),
        ("0,R,0,512,7\n0,R,18446744073709551615,512,8\n", vec!["line 2", "beyond 64-bit"]),
        ("0,R,0,512,7\n0,R,0,512,18446744073709551615\n", vec!["line 2", "584 years"]),
        // Cut short in the last line, and two formats in one file.
        ("0,R,0,512,7\n0,R,0,5", vec!["line 2", "4 comma-separated fields"]),
        ("0,R,0,512,7\n128166372003061629,hm,0,Write,7014912,4096,26\n", vec!["line 2", "7 comma-separated"]),
        (&long, vec!["line 2", "longer than"]),
        ("0,0,512,R,0.5\n0,0,512,R,-0.5\n", vec!["line 2", "time \"-0.5\" is not a time"]),
        ("0,0,512,R,0.5\n0,0,512,R,NaN\n", vec!["line 2", "time \"NaN\""]),
        ("5 0 8 8 1\n6.5 0 8 8 1\n7.5 0 8 8 1 9\n", vec!["line 3", "6 words, not 5"]),
        ("1 1 0 2\n1 1 0 1\n", vec!["line 2", "request number \"1\" is smaller"]),
        ("fio version 2 iolog\nf read 0 512\nf READ 0 512\n", vec!["line 3", "action \"READ\""]),
        ("fio version 3 iolog\n5 f read 0\n", vec!["line 2", "too few words"]),
        ("fio version 3 iolog\nfio version 3 iolog\n", vec!["line 2", "second log"]),
        ("8,0 1 1 0.5 7 Q R 8 + 8 [x]\nwhat is this\n", vec!["line 2", "\"what is this\" is not an event"]),
        ("8,0 1 1 0.5 7 P N [x]\n", vec!["no Q, D or C event"]),
        ("1,5633898,28,1,7\n", vec!["Tencent csv or CloudPhysics csv", "for example tencent"]),
    ] {
        let message = read(text.as_bytes().to_vec()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{text:.60}\n{message}");
    }
}

/// Whatever the content looks like, a named format is taken at its word.
#[test]
fn options_decide_what_the_content_does_not() {
    let with = |text: &str, options: Options| {
        let ops = Trace::from_bytes_with(text.into(), &options).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let last = ops[ops.len() - 1];
        (last.time_ns, last.kind, last.offset, last.len)
    };
    let ambiguous = "1,5633898,28,1,7\n";
    assert_eq!(with(ambiguous, Options::of(Format::Tencent)), (0, OpKind::Write, 5_633_898 * 512, 28 * 512));
    assert_eq!(with(ambiguous, Options::of(Format::CloudPhysics)), (0, OpKind::Read, 7 * 512, 1));
    let waits = "fio version 2 iolog\nf read 0 512\nf wait 3000 0\nf wait 4000 0\nf datasync 9 9\n";
    assert_eq!(with(waits, Options::default()).0, 7_000_000);
    let wait = WaitMeaning::MillisecondsFromStart;
    assert_eq!(with(waits, Options { wait, ..Options::default() }), (4_000_000_000, OpKind::Flush, 0, 0));
    let ascii = "1000 0 8 8 1\n3000 0 16 8 0\n";
    assert_eq!(with(ascii, Options::default()), (2000, OpKind::Write, 8192, 4096));
    assert_eq!(with(ascii, Options { time_unit: Some(TimeUnit::Picoseconds), ..Options::default() }).0, 2);
    assert_eq!(with(ascii, Options::of(Format::DiskSim)).0, 2_000_000_000);
    let blocks = Options { block_bytes: Some(4096), ..Options::default() };
    assert_eq!(with("9 2 0 1\n", blocks), (0, OpKind::Read, 9 * 4096, 2 * 4096));
    assert_eq!(with("0,9,100,R,0\n", blocks), (0, OpKind::Read, 9 * 4096, 100));
}

#[test]
fn blkparse_text_says_what_the_recording_says() {
    let text = "\
  8,16   0        1     0.000001000 18615  Q   W 8 + 8 [java]
  8,16   0        0     0.000002000     0  m   N cfq18615S / insert_request
  8,16   0        2     0.000003000 18615  G   W 8 + 8 [java]
  8,16   0        3     0.000004000 18615  Q FWFS 16 + 1 [a process (with) blanks]
  8,16   0        4     0.000005000 18615  Q  FN [kworker/0:1H]
  8,16   0        5     0.000006000     0  P   N [java]
  8,52   0        6     0.000007000   276  Q  DS 983947432 + 64 [kworker/0:1H]
  8,16   0        7     0.000008000   276  Q   R 80 (00 12) [smartd]
  8,16   0        8     0.000009000   276  D   W 8 + 8 [java]
  8,16   0        9     0.000009000   276  Q  RA 8 + 16 [java]
CPU0 (sdb):
 Reads Queued:           1,        8KiB\t Writes Queued:           2,      516KiB

Throughput (R/W): 0KiB/s / 0KiB/s
Events (sdb): 9 entries
";
    let mut trace = Trace::from_bytes(text.into()).unwrap();
    let ops: Vec<Op> = trace.by_ref().collect::<Result<_, _>>().unwrap();
    let expected = [
        Op::new(0, OpKind::Write, 4096, 4096),
        Op { flush_before: true, durable: true, ..Op::new(3000, OpKind::Write, 8192, 512) },
        Op::new(4000, OpKind::Flush, 0, 0),
        Op { device: 1, ..Op::new(6000, OpKind::Discard, 983_947_432 * 512, 64 * 512) },
        Op::new(8000, OpKind::Read, 4096, 8192),
    ];
    assert_eq!((trace.format(), &ops[..], trace.skipped().other), (Format::Blkparse('Q'), &expected[..], 1));
    let issued = Trace::from_bytes_with(text.into(), &Options::of(Format::Blkparse('D'))).unwrap();
    assert_eq!((issued.format(), issued.count()), (Format::Blkparse('D'), 1));
    let kernel = "# tracer: blk\n  a b-276 [000] d..1. 12.000001: 8,52 D WS 8 + 64 [a b]\n";
    let mut trace = Trace::from_bytes(kernel.into()).unwrap();
    assert_eq!(
        (trace.format(), trace.next().unwrap().unwrap()),
        (Format::Blkparse('D'), Op::new(0, OpKind::Write, 4096, 32_768))
    );
}

/// As the kernel writes it where its buffer ran over; it is no summary, and ends no events.
#[test]
fn events_that_the_tracer_lost_are_counted() {
    let event = |time: u32| format!("  a-276 [000] d..1. {time}.000001: 8,52 Q WS {} + 8 [a]\n", time * 8);
    let text = format!("{}CPU:3 [LOST 71 EVENTS]\n{}CPU:0 [LOST EVENTS]\n{}", event(12), event(13), event(14));
    let mut trace = Trace::from_bytes(text.clone().into()).unwrap();
    assert_eq!((trace.by_ref().map(Result::unwrap).count(), trace.skipped().dropped), (3, 72));
    assert!(trace.notices()[0].contains("lost 72 events"), "{:?}", trace.notices());
    let message = read((text + "nonsense\n").into()).unwrap_err().to_string();
    assert!(message.contains("line 6") && message.contains("nonsense"), "{message}");
    // Two outputs one behind the other: what follows the first summary is looked at again.
    let blkparse = "8,16 0 1 0.000001000 1 Q W 8 + 8 [a]\nCPU0 (sdb):\n Reads Queued: 0\n";
    let message = read(format!("{blkparse}{0}nonsense\n", blkparse.lines().next().unwrap().to_owned() + "\n").into());
    assert!(message.unwrap_err().to_string().contains("line 5"));
}

#[test]
fn oracle_general_is_known_by_its_fields() {
    let record = |time: u32, block: u64, next: i64| {
        [&time.to_le_bytes()[..], &block.to_le_bytes(), &512u32.to_le_bytes(), &next.to_le_bytes()].concat()
    };
    let bytes = [record(7, 42_932_745, 3), record(7, 8, -1), record(8, 9, -1), record(9, 42_932_745, -1)].concat();
    let mut trace = Trace::from_bytes(bytes).unwrap();
    assert_eq!(trace.format(), Format::OracleGeneral);
    let ops: Vec<(u64, u64)> = trace.by_ref().map(|op| op.unwrap()).map(|op| (op.time_ns, op.offset / 512)).collect();
    assert_eq!(ops, [(0, 42_932_745), (500_000_000, 8), (1_000_000_000, 9), (2_000_000_000, 42_932_745)]);
    assert!(trace.notices()[0].contains("whole seconds"));
}

#[test]
fn every_name_chooses_its_format() {
    for (name, format) in Format::NAMES {
        assert_eq!((name.parse(), format.name()), (Ok(format), name));
    }
    assert!("blktrace".parse::<Format>().unwrap_err().contains("blktrace-q"));
}

#[test]
fn either_byte_order_and_any_packing() {
    let events = [
        Event { time_ns: 100, action: 2 | NOTIFY, pdu: 16, ..EVENT },
        Event { time_ns: 1000, sector: 8, bytes: 4096, action: Q | WRITE | FLUSH | FROM_CGROUP, pdu: 8, ..EVENT },
        Event { time_ns: 1500, sector: u64::MAX, action: Q | FLUSH, ..EVENT },
        Event { time_ns: 1700, sector: 9, bytes: 512, action: 7 | WRITE, ..EVENT },
        Event { time_ns: 2000, sector: 16, bytes: 8192, action: Q | WRITE | DISCARD, device: 2, ..EVENT },
    ];
    let expected = [
        Op { flush_before: true, ..Op::new(0, OpKind::Write, 4096, 4096) },
        Op::new(500, OpKind::Flush, 0, 0),
        Op { device: 1, ..Op::new(1000, OpKind::Discard, 8192, 8192) },
    ];
    for big_endian in [false, true] {
        let bytes = events.iter().flat_map(|event| blktrace(event, big_endian)).collect::<Vec<u8>>();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
        for packed in [bytes, gzip.finish().unwrap(), zstd] {
            assert_eq!(read(packed).unwrap(), expected);
        }
    }
}

#[test]
fn a_packed_trace_cut_short_is_an_error() {
    let mut random = crate::random::Random::new(1);
    let bytes: Vec<u8> = (0..20_000).flat_map(|n| vscsi_v1(n, 0x28, random.bits() >> 9, 512)).collect();
    let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    for packed in [zstd, gzip.finish().unwrap()] {
        let message = read(packed[..packed.len() / 2].to_vec()).unwrap_err().to_string();
        assert!(message.contains("record") && message.contains("unpacked"), "{message}");
    }
}

#[test]
fn all_cpu_files_are_merged_and_gaps_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, times: &[u64]| {
        let events = times.iter().map(|time| Event { time_ns: *time, bytes: 512, action: Q | READ, ..EVENT });
        let bytes: Vec<u8> = events.flat_map(|event| blktrace(&event, false)).collect();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    };
    write("disk.blktrace.0", &[]);
    write("disk.blktrace.2", &[10, 40, 50]);
    write("disk.blktrace.11", &[20, 30, 60]);
    write("disk.blktrace.eleven", &[1]);
    write("other.blktrace.1", &[2]);
    let packed = zstd::encode_all(&std::fs::read(dir.path().join("disk.blktrace.2")).unwrap()[..], 1).unwrap();
    std::fs::write(dir.path().join("disk.blktrace.2.zst"), packed).unwrap();
    for name in
        ["disk.blktrace.0", "disk.blktrace.2", "disk.blktrace.2.zst", "disk.blktrace.11", "disk", "disk.blktrace"]
    {
        let trace = Trace::open(&dir.path().join(name)).unwrap();
        let times: Vec<u64> = trace.map(|op| op.unwrap().time_ns).collect();
        assert_eq!(times, [0, 10, 20, 30, 40, 50], "{name}");
    }
    let message = Trace::open(&dir.path().join("missing")).err().unwrap().to_string();
    assert!(message.contains("missing") && message.contains("no such trace file"), "{message}");
}

proptest! {
    /// Any bytes: an answer, never a panic, and what comes out is sound.
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(bytes);
    }

    /// The same for every format by name, with text made of what text formats are made of.
    #[test]
    fn arbitrary_text_does_no_harm(
        text in "(fio version [23] iolog\n)?([0-9]{1,3}|[QRWDFNrw]|wait|read|sync|add|8,0|[,.+ :\n-]|99999999999999999999){0,60}",
        format in prop::sample::select(&Format::NAMES[..]),
    ) {
        let _ = read(text.clone().into_bytes());
        if let Ok(trace) = Trace::from_bytes_with(text.into_bytes(), &Options::of(format.1)) {
            for op in trace.map_while(Result::ok) {
                prop_assert!(op.offset.checked_add(op.len).is_some());
            }
        }
    }

    #[test]
    fn records_of_arbitrary_content_do_no_harm(
        kind in 0..4, fields in prop::collection::vec(any::<[u8; 44]>(), 1..6), cut in 0..300usize, packed in 0..3
    ) {
        let mut bytes = Vec::new();
        for field in fields {
            let start = bytes.len();
            bytes.extend(match kind { 0 => &field[..32], 1 => &field[..40], _ => &field[..] });
            match kind {
                0 => bytes[start + 12..start + 16].copy_from_slice(&[0x2a, 0, 0, 1]),
                1 => bytes[start..start + 4].copy_from_slice(&[0x2a, 0, 0, 2]),
                2 => bytes.splice(start..start, [7, 0x74, 0x61, 0x65]).for_each(drop),
                _ => bytes.splice(start..start, [0x65, 0x61, 0x74, 7]).for_each(drop),
            }
        }
        bytes.truncate(cut.max(1));
        if packed == 1 {
            bytes.splice(0..0, super::source::ZSTD_MAGIC).for_each(drop);
        }
        if let Ok(trace) = Trace::from_bytes(bytes) {
            let mut last = 0;
            for op in trace.map_while(Result::ok) {
                prop_assert!(op.time_ns >= last && op.offset.checked_add(op.len).is_some());
                last = op.time_ns;
            }
        }
    }
}

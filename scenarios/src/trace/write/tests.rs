use super::*;
use crate::trace::{Format, Trace};

fn ops() -> Vec<Op> {
    let mut ops = vec![
        Op::new(0, OpKind::Write, 4096, 4096),
        Op { device: 1, flush_before: true, ..Op::new(1_500, OpKind::Write, 7, 13) },
        Op { flush_before: true, durable: true, ..Op::new(2_000, OpKind::Write, 8192, 512) },
        Op { device: 1, ..Op::new(3_000, OpKind::Discard, 0, 5 << 30) },
        Op::new(3_000, OpKind::Flush, 0, 0),
    ];
    let mut random = crate::random::Random::new(3);
    for n in 0..20_000 {
        let kind = if n % 3 == 0 { OpKind::Write } else { OpKind::Read };
        ops.push(Op::new(3_000 + n * 700, kind, (random.bits() >> 30) << 9, 4096 << (n % 4)));
    }
    ops
}

fn written(format: OutputFormat, packing: Packing, pack: Pack, ops: &[Op]) -> (Vec<u8>, Vec<String>) {
    let out = Packed::new(pack, Vec::new()).unwrap();
    let mut writer = writer(format, Header::default(), packing, out).unwrap();
    ops.iter().for_each(|op| writer.write(op).unwrap());
    let notices = writer.notices();
    (writer.finish(Some(EndReason::Complete)).unwrap().finish().unwrap(), notices)
}

fn read(bytes: Vec<u8>) -> (Format, Vec<Op>, Vec<String>) {
    let mut trace = Trace::from_bytes(bytes).unwrap();
    let ops = trace.by_ref().collect::<Result<_, _>>().unwrap();
    (trace.format(), ops, trace.notices())
}

#[test]
fn what_is_written_reads_back_the_same() {
    let ops = ops();
    for (format, packing) in
        [(OutputFormat::S3bt, Packing::Plain), (OutputFormat::S3bt, Packing::Zstd), (OutputFormat::Csv, Packing::Plain)]
    {
        for pack in [Pack::Plain, Pack::Gzip, Pack::Zstd] {
            let (bytes, notices) = written(format, packing, pack, &ops);
            let (_, back, said) = read(bytes);
            assert!(back == ops && notices.is_empty() && said.is_empty(), "{format} {packing:?} {pack:?} {said:?}");
        }
    }
}

#[test]
fn an_iolog_says_what_fio_can_say() {
    let (bytes, notices) = written(OutputFormat::FioV3, Packing::Plain, Pack::Plain, &ops()[..5]);
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(
        text,
        "fio version 3 iolog\n0 device0 add\n0 device0 open\n0 device0 write 4096 4096\n1 device1 add\n\
         1 device1 open\n1 device1 sync 0 0\n1 device1 write 7 13\n2 device0 sync 0 0\n2 device0 write 8192 512\n\
         2 device0 sync 0 0\n3 device1 trim 0 2147483648\n3 device1 trim 2147483648 2147483648\n\
         3 device1 trim 4294967296 1073741824\n3 device0 sync 0 0\n3 device0 close\n3 device1 close\n"
    );
    assert!(notices.iter().any(|notice| notice.starts_with("2 writes")), "{notices:?}");
    let (format, back, _) = read(bytes);
    assert_eq!((format, back.len()), (Format::FioV3, 10));
}

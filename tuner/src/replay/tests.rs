use s3b_scenarios::Origin;

use super::*;

/// A disk of known slowness that writes down what happens to it.
#[derive(Default)]
struct Slow {
    /// Microseconds, by what is asked.
    read_us: u64,
    write_us: u64,
    flush_us: u64,
    /// Reads and writes below this offset are hits.
    hits_below: u64,
    fails: Option<ErrorKind>,
    /// Reads fail without waiting.
    fails_at_once: Option<ErrorKind>,
    log: Mutex<Vec<String>>,
}

impl Slow {
    fn note(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    async fn work(&self, what: String, us: u64) -> Result<(), Error> {
        self.note(format!("{what} begins"));
        clock::sleep(Duration::from_micros(us)).await;
        self.note(format!("{what} ends"));
        self.fails.map_or(Ok(()), |kind| Err(Error::new(kind, "as arranged")))
    }
}

impl Disk for Slow {
    fn try_read(&self, offset: u64, len: usize, _scratch: &mut Vec<u8>) -> Option<Result<(), Error>> {
        if let Some(kind) = self.fails_at_once {
            return Some(Err(Error::new(kind, "as arranged")));
        }
        (offset + len as u64 <= self.hits_below).then_some(Ok(()))
    }

    fn try_write(&self, offset: u64, data: &[u8]) -> Result<usize, Error> {
        Ok(self.hits_below.saturating_sub(offset).min(data.len() as u64) as usize)
    }

    async fn read(&self, offset: u64, len: usize) -> Result<(), Error> {
        self.work(format!("read {offset}+{len}"), self.read_us).await
    }

    async fn write(&self, offset: u64, data: Bytes) -> Result<(), Error> {
        self.work(format!("write {offset}+{}", data.len()), self.write_us).await
    }

    async fn zero(&self, offset: u64, len: u64) -> Result<(), Error> {
        self.work(format!("zero {offset}+{len}"), self.write_us).await
    }

    async fn flush(&self) -> Result<(), Error> {
        self.work("flush".into(), self.flush_us).await
    }
}

fn options(pace: Pace) -> Options {
    Options { pace, device_starts: vec![0, 1 << 30], streams: Vec::new(), seed: 1 }
}

async fn measure(disk: &Arc<Slow>, pace: Pace, ops: &[Op]) -> Measured {
    let ops = ops.iter().map(|op| Ok(*op)).collect::<Vec<_>>().into_iter();
    replay(disk.clone(), ops, &options(pace), &Interrupt::default(), &mut |_: &Op| {}).await.unwrap()
}

fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_does_not_hold_the_schedule_up() {
    let disk = Arc::new(Slow { read_us: 500_000, ..Slow::default() });
    let ops: Vec<Op> = (0..10).map(|n| Op::new(ms(n * 10), OpKind::Read, n * 4096, 4096)).collect();
    let measured = measure(&disk, Pace::Schedule, &ops).await;
    assert!((millis(measured.elapsed) - 590.0).abs() < 3.0, "{:?}", measured.elapsed);
    assert_eq!(measured.late, 0);
    let read = measured.kind(OpKind::Read);
    assert!((read.ops, read.bytes) == (10, 40960) && (millis(read.latency.longest()) - 500.0).abs() < 3.0);
}

/// One outstanding operation of 10 ms every millisecond: by completion each takes 10 ms, and that is all it shows.
#[tokio::test(start_paused = true)]
async fn as_fast_as_possible_is_bounded_by_the_outstanding() {
    let disk = Arc::new(Slow { read_us: 10_000, ..Slow::default() });
    let ops: Vec<Op> = (0..40).map(|n| Op::new(0, OpKind::Read, n * 4096, 4096)).collect();
    for (outstanding, expected) in [(1, 400.0), (8, 50.0), (100, 10.0)] {
        let measured = measure(&disk, Pace::Closed { outstanding }, &ops).await;
        assert!((millis(measured.elapsed) - expected).abs() < 1.0, "{outstanding}: {:?}", measured.elapsed);
        assert!((millis(measured.kind(OpKind::Read).latency.longest()) - 10.0).abs() < 1.0);
    }
}

/// Two streams of 20 reads of 10 ms: the first two at a time within sixteen of all, the second thinks for 30 ms.
#[tokio::test(start_paused = true)]
async fn streams_have_bounds_and_think_times_of_their_own() {
    let disk = Arc::new(Slow { read_us: 10_000, ..Slow::default() });
    let stream = |depth, think_ms| StreamProperties { depth, think_ns: ms(think_ms), ..StreamProperties::default() };
    for (streams, expected) in [
        (vec![stream(None, 0), stream(None, 0)], 30.0),
        (vec![stream(Some(2), 0), stream(None, 0)], 100.0),
        (vec![stream(None, 0), stream(Some(4), 30)], 200.0),
    ] {
        let op = |n: usize| Op { origin: Origin::new(n % 2, false), ..Op::new(0, OpKind::Read, n as u64 * 4096, 4096) };
        let ops = (0..40).map(op).map(Ok).collect::<Vec<_>>().into_iter();
        let options = Options { streams, ..options(Pace::Closed { outstanding: 16 }) };
        let measured = replay(disk.clone(), ops, &options, &Interrupt::default(), &mut |_: &Op| {}).await.unwrap();
        assert!((millis(measured.elapsed) - expected).abs() < 3.0, "{expected}: {:?}", measured.elapsed);
        assert!((millis(measured.kind(OpKind::Read).latency.longest()) - 10.0).abs() < 1.0, "thinking is no latency");
    }
}

/// Ten reads, one at a time, and 30 ms of thought after each: as long whether they are hits or fail.
#[tokio::test(start_paused = true)]
async fn an_answer_is_thought_about_whatever_it_is() {
    for (fails_at_once, hits_below) in [(None, 1 << 20), (Some(ErrorKind::Corrupt), 0)] {
        let disk = Arc::new(Slow { fails_at_once, hits_below, ..Slow::default() });
        let ops = (0..10).map(|n| Ok(Op::new(0, OpKind::Read, n * 4096, 4096))).collect::<Vec<_>>().into_iter();
        let stream = StreamProperties { depth: Some(1), think_ns: ms(30), ..StreamProperties::default() };
        let options = Options { streams: vec![stream], ..options(Pace::Closed { outstanding: 16 }) };
        let measured = replay(disk, ops, &options, &Interrupt::default(), &mut |_: &Op| {}).await.unwrap();
        assert_eq!(measured.failures(), if fails_at_once.is_some() { 10 } else { 0 });
        assert!((millis(measured.elapsed) - 300.0).abs() < 12.0, "{fails_at_once:?}: {:?}", measured.elapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_never_overtakes_the_writes_before_it() {
    let ops = [
        Op::new(0, OpKind::Write, 0, 4096),
        Op::new(0, OpKind::Discard, 8192, 4096),
        Op::new(ms(1), OpKind::Flush, 0, 0),
        Op::new(ms(2), OpKind::Write, 4096, 4096),
        Op::new(ms(3), OpKind::Flush, 0, 0),
    ];
    for pace in [Pace::Schedule, Pace::Closed { outstanding: 16 }] {
        let disk = Arc::new(Slow { write_us: 100_000, flush_us: 5_000, ..Slow::default() });
        let measured = measure(&disk, pace, &ops).await;
        let log = disk.log();
        let at = |what: &str| log.iter().position(|line| line == what).unwrap_or_else(|| panic!("{what}: {log:?}"));
        let flushes: Vec<usize> = (0..log.len()).filter(|n| log[*n] == "flush begins").collect();
        assert_eq!(flushes.len(), 3, "two of the workload, one at the end");
        assert!(flushes[0] > at("write 0+4096 ends") && flushes[0] > at("zero 8192+4096 ends"), "{log:?}");
        assert!(flushes[1] > at("write 4096+4096 ends"), "{log:?}");
        let second_write_waits = at("write 4096+4096 begins") > flushes[0];
        assert_eq!(second_write_waits, pace != Pace::Schedule, "by schedule writes do not wait for flushes");
        if pace == Pace::Schedule {
            let flush = measured.kind(OpKind::Flush).latency.longest();
            assert!((millis(flush) - 104.0).abs() < 3.0, "the wait for the writes counts: {flush:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn journal_commits_flush_before_and_after() {
    let disk = Arc::new(Slow { write_us: 10_000, flush_us: 1_000, ..Slow::default() });
    let commit = Op { flush_before: true, durable: true, ..Op::new(0, OpKind::Write, 4096, 512) };
    let measured = measure(&disk, Pace::Schedule, &[Op::new(0, OpKind::Write, 0, 512), commit]).await;
    let lines = ["write 0+512", "flush", "write 4096+512", "flush", "flush"];
    let expected: Vec<String> =
        lines.iter().flat_map(|line| [format!("{line} begins"), format!("{line} ends")]).collect();
    assert_eq!(disk.log(), expected);
    assert_eq!(measured.kind(OpKind::Flush).ops, 0, "they are part of the write");
}

#[tokio::test(start_paused = true)]
async fn hits_cost_nothing_and_what_a_hit_took_in_is_not_written_twice() {
    let disk = Arc::new(Slow { hits_below: 6144, read_us: 7_000, write_us: 7_000, ..Slow::default() });
    let ops = [
        Op::new(0, OpKind::Read, 0, 4096),
        Op::new(0, OpKind::Write, 0, 4096),
        Op::new(0, OpKind::Write, 4096, 4096),
        Op { device: 1, ..Op::new(0, OpKind::Read, 0, 4096) },
    ];
    let measured = measure(&disk, Pace::Closed { outstanding: 4 }, &ops).await;
    let begun: Vec<String> = disk.log().into_iter().filter(|line| line.ends_with("begins")).collect();
    assert_eq!(begun, ["write 6144+2048 begins", "read 1073741824+4096 begins", "flush begins"]);
    assert_eq!(measured.kind(OpKind::Write).bytes, 8192);
    assert!(measured.kind(OpKind::Write).latency.percentile(50.0) < Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn long_operations_go_in_pieces_a_kernel_would_send() {
    let disk = Arc::new(Slow::default());
    let ops = [Op::new(0, OpKind::Write, 512, (2 << 20) + 512), Op::new(0, OpKind::Read, 0, (1 << 20) + 1)];
    measure(&disk, Pace::Closed { outstanding: 1 }, &ops).await;
    let begun: Vec<String> = disk.log().into_iter().filter(|line| line.ends_with("begins")).collect();
    let expected = [
        "write 512+1048576",
        "write 1049088+1048576",
        "write 2097664+512",
        "read 0+1048576",
        "read 1048576+1",
        "flush",
    ];
    assert_eq!(begun, expected.map(|line| format!("{line} begins")));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_hopeless_ones_end_it() {
    let ops: Vec<Op> = (0..100).map(|n| Op::new(0, OpKind::Read, n * 4096, 4096)).collect();
    for (kind, failures) in [(ErrorKind::Transient, 101), (ErrorKind::Denied, 2)] {
        let disk = Arc::new(Slow { fails: Some(kind), ..Slow::default() });
        let measured = measure(&disk, Pace::Closed { outstanding: 1 }, &ops).await;
        assert!(measured.failures() <= failures + 1 && measured.failures() >= failures, "{}", measured.failures());
        assert_eq!(measured.kind(OpKind::Read).latency.count(), 0);
        let first = measured.first_failure.unwrap();
        assert!(first.contains("read of 4096 bytes at 0") && first.contains("as arranged"), "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_a_long_wait_and_still_flushes() {
    let disk = Arc::new(Slow { write_us: 1000, ..Slow::default() });
    let hour = Op::new(3_600_000_000_000, OpKind::Read, 0, 4096);
    let ops = vec![Ok(Op::new(0, OpKind::Write, 0, 512)), Ok(hour), Ok(hour)].into_iter();
    let interrupt = Interrupt::default();
    let later = interrupt.clone();
    tokio::spawn(async move {
        clock::sleep(Duration::from_secs(1)).await;
        later.ask();
    });
    let measured = replay(disk.clone(), ops, &options(Pace::Schedule), &interrupt, &mut |_: &Op| {}).await.unwrap();
    assert!(measured.interrupted && measured.elapsed < Duration::from_secs(2), "{:?}", measured.elapsed);
    assert_eq!(disk.log().last().map(String::as_str), Some("flush ends"));
    assert_eq!((measured.kind(OpKind::Write).ops, measured.kind(OpKind::Read).ops), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_workload_is_an_error() {
    let disk = Arc::new(Slow::default());
    let ops = vec![Ok(Op::new(0, OpKind::Write, 0, 512)), Err(anyhow::anyhow!("record 2 is cut short"))].into_iter();
    let result = replay(disk, ops, &options(Pace::Schedule), &Interrupt::default(), &mut |_: &Op| {}).await;
    assert_eq!(result.unwrap_err().to_string(), "record 2 is cut short");
}

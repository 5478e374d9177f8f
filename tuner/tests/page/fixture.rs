//! A whole outcome, rich and always the same: 8 block sizes, 3 numbers of threads, 2 write delays, 3 workloads, and
//! names that try to break out of every form.

use s3b_tuner::answer::choose::{Question, choose};
use s3b_tuner::answer::goal::GoalKind;
use s3b_tuner::answer::{pareto, reasons};
use s3b_tuner::outcome::*;

const BLOCKS: [&str; 8] = ["64k", "128k", "256k", "512k", "1m", "2m", "4m", "8m"];
const THREADS: [&str; 3] = ["8", "20", "64"];
const DELAYS: [&str; 2] = ["250ms", "2s"];
/// Ends a script, a quote, a tag, a Markdown cell, a CSV cell and a terminal's patience.
pub const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"'|`\x1b[31m";
const DEFAULT: usize = 2 * 6 + 2;

/// Between 0.9 and 1.1, by the numbers it is made of.
fn wobble(seed: usize) -> f64 {
    let bits = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    0.9 + 0.2 * ((bits >> 40) as f64 / (1u64 << 24) as f64)
}

fn latency(count: u64, p50: f64, spread: f64) -> Latency {
    let at = |power: f64| p50 * spread.powf(power);
    let cdf = (0..48).map(|n| {
        let share = (f64::from(n) + 0.5) / 48.0;
        // The logistic distribution's quantile, in logarithms.
        [p50 * spread.powf((share / (1.0 - share)).ln() / 4.6), share]
    });
    let (mean_ms, p90_ms, p99_ms, p999_ms) = (at(0.1), at(0.48), at(1.0), at(1.5));
    Latency { count, mean_ms, p50_ms: p50, p90_ms, p99_ms, p999_ms, max_ms: at(1.9), cdf: cdf.collect() }
}

fn kind(ops: u64, bytes: u64, p50: f64, spread: f64) -> KindFigures {
    let latency = latency(ops, p50, spread);
    KindFigures { ops, bytes, failed: 0, service: Latency { cdf: vec![], ..latency.clone() }, latency }
}

/// Of so many reads, writes and flushes with so many misses, PUTs and GETs of so many bytes.
fn ledger([reads, writes, flushes]: [u64; 3], [misses, puts, gets]: [u64; 3], bytes: u64, lanes: f64) -> Ledger {
    Ledger {
        host: HostLedger {
            reads,
            read_bytes: reads * 16_384,
            writes,
            write_bytes: writes * 65_536,
            discards: 12,
            discard_bytes: 12 << 20,
            flushes,
        },
        cache: CacheLedger {
            read_hits: reads - misses,
            read_misses: misses,
            write_hits: writes / 2,
            write_misses: writes - writes / 2,
            merge_reads: misses / 7,
            read_ahead: misses / 3,
            read_ahead_used: misses / 4,
            stores: puts,
            coalesced: writes.saturating_sub(puts),
            zero_reads: 31,
            zero_writes: 17,
            evictions: misses / 2,
            pressure_waits: if lanes < 10.0 { 120 } else { 0 },
            delay_stores: puts / 4,
            flush_stores: puts - puts / 4,
            pressure_stores: 0,
        },
        store: StoreLedger {
            gets,
            heads: 2,
            puts,
            lists: 1,
            deletes: 3,
            deleted_keys: 17,
            get_bytes: gets * bytes,
            put_bytes: puts * bytes,
            header_bytes: (gets + puts) * 720,
            retries: if lanes > 50.0 { 7 } else { 0 },
            throttled: if lanes > 50.0 { 5 } else { 0 },
            errors: 0,
        },
    }
}

/// A made-up but plausible store: 20 ms to the first byte, 60 MB/s for a connection, 200 for the link.
fn run(block: usize, threads: usize, delay: usize, workload: usize) -> Figures {
    let bytes = (64u64 << 10) << block;
    let lanes = [8.0, 20.0, 64.0][threads];
    let wait = [0.25, 2.0][delay];
    let noise = wobble(block * 100 + threads * 10 + delay + workload * 1000);
    let whole = 20.0 + bytes as f64 / 60_000.0;
    let (reads, writes, flushes) = [(9000, 3000, 40), (400, 22_000, 4), (5000, 2500, 900)][workload];
    let locality = [0.55, 0.97, 0.8][workload];
    let hits = (locality * (1.0 - 0.02 * block as f64) * noise.sqrt()).min(0.995);
    let puts = (writes as f64 * 65_536.0 / bytes as f64 * [1.0, 0.7][delay]).max(60.0) as u64 + flushes;
    let misses = (reads as f64 * (1.0 - hits)) as u64;
    let gets = misses + misses / 7;
    let moved = (puts + gets) as f64 * bytes as f64;
    let seconds = (moved / 200e6).max((puts + gets) as f64 * whole / 1e3 / lanes) * noise + 4.0;
    let reading = kind(reads, reads * 16_384, if hits > 0.9 { 0.02 } else { whole * 0.4 }, 18.0 / lanes.ln());
    let ledger = ledger([reads, writes, flushes], [misses, puts, gets], bytes, lanes);
    Figures {
        seconds,
        drain_seconds: 0.2 + wait,
        read: reading,
        write: kind(writes, writes * 65_536, 0.03, 40.0),
        flush: kind(flushes.max(299), 0, whole * (1.0 + 12.0 / lanes) * noise, 4.0),
        discard: kind(12, 12 << 20, 0.01, 3.0),
        lag_p99_ms: 0.4,
        late: 3,
        skipped: 0,
        ledger,
        stored_bytes: 20 << 30,
        at_risk_bytes: ((wait * 18e6) as u64 + bytes) * (1 + workload as u64),
        limits: vec![],
        runs: 1,
    }
}

fn summary(figures: &[Figures], weights: &[f64], prices: &PriceTable, block: usize) -> Summary {
    let worst = |value: &dyn Fn(&Figures) -> f64| figures.iter().map(value).fold(0.0, f64::max);
    let sum = |value: &dyn Fn(&Figures) -> u64| figures.iter().map(value).sum::<u64>() as f64;
    let hits = sum(&|one| one.ledger.cache.read_hits);
    let month = |one: &Figures| {
        prices.per_month(&one.ledger.store, one.seconds * 40.0, 2e10, s3b_tuner::prices::Reader::InRegion)
    };
    let rate = |one: &Figures| ((one.read.bytes + one.write.bytes) as f64 / one.seconds).ln();
    Summary {
        score: 1.0,
        bytes_per_s: (figures.iter().map(rate).sum::<f64>() / figures.len() as f64).exp(),
        read_p50_ms: Some(worst(&|one| one.read.latency.p50_ms)),
        read_p99_ms: Some(worst(&|one| one.read.latency.p99_ms)),
        flush_p50_ms: Some(worst(&|one| one.flush.latency.p50_ms)),
        flush_p99_ms: Some(worst(&|one| one.flush.latency.p99_ms)),
        hit_ratio: Some(hits / (hits + sum(&|one| one.ledger.cache.read_misses))),
        puts_per_gib: Some(sum(&|one| one.ledger.store.puts) / (sum(&|one| one.write.bytes) / f64::from(1 << 30))),
        dollars_per_month: figures.iter().map(month).zip(weights).map(|(dollars, weight)| dollars * weight).sum(),
        at_risk_bytes: worst(&|one| one.at_risk_bytes as f64) as u64,
        memory_bytes: (512 << 20) + ((64u64 << 10) << block) * 64,
    }
}

fn configurations(weights: &[f64], prices: &PriceTable) -> Vec<Configuration> {
    let mut all = Vec::new();
    for (block, block_name) in BLOCKS.iter().enumerate() {
        for (threads, threads_name) in THREADS.iter().enumerate() {
            for (delay, delay_name) in DELAYS.iter().enumerate() {
                let simulated: Vec<Figures> = (0..3).map(|workload| run(block, threads, delay, workload)).collect();
                all.push(Configuration {
                    values: [block_name, threads_name, delay_name].map(|value| (*value).to_owned()).to_vec(),
                    settings_toml: format!(
                        "# {HOSTILE:?}\nblock-size = \"{block_name}\"\nblock-cache-threads = {threads_name}\n\
                         block-cache-write-delay = \"{delay_name}\"\n"
                    ),
                    summary: summary(&simulated, weights, prices, block),
                    simulated,
                    breaks: if block == 7 { vec!["flush.p99<900ms: it is 1203.0 ms".into()] } else { vec![] },
                    ..Configuration::default()
                });
            }
        }
    }
    all
}

fn workloads() -> Vec<WorkloadInfo> {
    let curve = |workload: usize, block: u32| MissRatioCurve {
        block_size: (64u64 << 10) << (block * 2),
        points: (0..24)
            .map(|n| {
                let cache = 4_194_304.0 * f64::from(n).exp2().powf(0.5);
                let reach = cache / (1e8 * (1.0 + workload as f64)) / f64::from(1 + block);
                [cache, (0.04 + 0.9 / (1.0 + reach.powf(0.8))).min(1.0)]
            })
            .collect(),
    };
    let names = ["vm-io", "backup", HOSTILE];
    let titles = ["vscsi trace of 113,872 requests", "Does a long sequential write keep the link full?", HOSTILE];
    (0..3)
        .map(|n| WorkloadInfo {
            name: names[n].into(),
            title: titles[n].into(),
            source: if n == 0 { WorkloadSource::Trace } else { WorkloadSource::Scenario },
            ops: [12_040, 22_404, 8400][n],
            bytes: [344_064_000, 1_448_345_600, 245_760_000][n],
            seconds: [600.0, 60.0, 120.0][n],
            weight: [0.5, 0.25, 0.25][n],
            compressibility: [1.0, 1.8, 2.4][n],
            zero_share: [0.0, 0.05, 0.1][n],
            content_assumed: n == 0,
            fingerprint: vec![
                ["working set".into(), "about 3.91 GiB (3.20 GiB read, 1.10 GiB written), spread over 32.0 GiB".into()],
                ["sequential".into(), "41.2 % right behind the request before; 63.0 % of reads within streams".into()],
                ["flushes".into(), "one every 4.80 s".into()],
                ["remark".into(), HOSTILE.into()],
            ],
            miss_ratio_curves: (0..4).map(|block| curve(n, block)).collect(),
            windows: if n == 0 {
                vec![
                    WindowInfo { start_s: 120.0, end_s: 180.0, weight: 0.7 },
                    WindowInfo { start_s: 4800.0, end_s: 4860.0, weight: 0.3 },
                ]
            } else {
                vec![]
            },
        })
        .collect()
}

fn limits() -> Vec<Limit> {
    [("link up", 0.78), ("threads", 0.41), ("request rate", 0.06)]
        .map(|(name, share)| Limit { name: name.into(), share })
        .to_vec()
}

fn axes() -> Vec<Axis> {
    let axis = |name: &str, title: &str, values: &[&str]| Axis {
        name: name.into(),
        title: title.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    vec![
        axis("block-size", "block", &BLOCKS),
        axis("block-cache-threads", "threads", &THREADS),
        axis("block-cache-write-delay", "delay", &DELAYS),
    ]
}

fn this_run() -> RunInfo {
    RunInfo {
        id: "7f3a9c".into(),
        version: "0.1.0".into(),
        command: ["s3b-tuner", "sweep", "--goal", "balanced", "--trace", HOSTILE].map(str::to_owned).to_vec(),
        started: "2026-11-22T09:15:00Z".into(),
        seconds: 41.25,
        seed: 7,
        stopped: None,
        spent_dollars: 0.0,
    }
}

/// Simulated only.
pub fn simulated() -> Outcome {
    let prices = PriceTable::standard();
    let workloads = workloads();
    let weights: Vec<f64> = workloads.iter().map(|one| one.weight).collect();
    let mut configurations = configurations(&weights, &prices);
    let pool: Vec<usize> = (0..configurations.len()).collect();
    let question = Question {
        configurations: &configurations,
        weights: &weights,
        goal: GoalKind::Balanced,
        pool: &pool,
        block_size: Some(0),
        threads: Some(1),
        default: Some(DEFAULT),
        tie: 1.0,
        prices: &prices,
        reader: s3b_tuner::prices::Reader::InRegion,
    };
    let (scores, answer) = choose(&question);
    let axes = axes();
    let mut answer = answer.expect("something keeps the constraints");
    answer.reasons = reasons::reasons(&configurations, &axes, &scores, answer.recommended);
    answer.pareto = pareto::front(&configurations);
    answer.limits = limits();
    answer.caveats = vec![
        "block size is permanent: a volume keeps the one it was made with".into(),
        format!("trace {HOSTILE} has no content: compression was assumed to gain nothing"),
    ];
    for (n, one) in configurations.iter_mut().enumerate() {
        one.summary.score = scores.of(n);
    }
    Outcome {
        schema: SCHEMA.into(),
        run: this_run(),
        environment: Environment {
            cores: 2,
            memory_bytes: 8 << 30,
            cpu: "Example CPU".into(),
            kernel: "6.12.0".into(),
        },
        place: Place {
            kind: PlaceKind::Model,
            description: "the shipped model of S3 STANDARD".into(),
            model_toml: "schema = \"s3b-model/1\"\n".into(),
            says_block_size: true,
        },
        prices,
        goal: Goal { name: "balanced".into(), slos: vec!["flush.p99<900ms".into()], ..Goal::default() },
        workloads,
        axes,
        configurations,
        left_out: vec![LeftOut {
            values: ["8m", "64", "2s"].map(str::to_owned).to_vec(),
            why: "64 blocks of 8m need more than --ram=512m".into(),
        }],
        answer: Some(answer),
        trust: Trust::default(),
    }
}

/// Each figure of one run, predicted and measured; requests exactly, times nearly.
fn confirmations(configuration: usize, workload: usize, run: &Figures) -> Vec<Confirmation> {
    let (read, flush, store) = (&run.read.latency, &run.flush.latency, &run.ledger.store);
    let all = [
        ("loss", run.seconds * 3.0),
        ("read.p50", read.p50_ms),
        ("read.p99", read.p99_ms),
        ("flush.p99", flush.p99_ms),
        ("puts", store.puts as f64),
        ("gets", store.gets as f64),
    ];
    let one = |(n, (metric, predicted)): (usize, (&str, f64))| {
        let exact = n >= 4;
        let ratio = if exact { 1.0 } else { wobble(configuration * 11 + workload * 5 + n) };
        let measured = predicted * ratio;
        let [low, high] = if exact { [measured; 2] } else { [measured * 0.95, measured * 1.06] };
        let within_bounds = (ratio - 1.0).abs() < 0.09;
        Confirmation { configuration, workload, metric: metric.into(), predicted, measured, low, high, within_bounds }
    };
    all.into_iter().enumerate().map(one).collect()
}

/// The same with six rounds on a real store.
pub fn confirmed() -> Outcome {
    let mut outcome = simulated();
    let answer = outcome.answer.clone().expect("there is one");
    let mut chosen: Vec<usize> = answer.tied.iter().copied().take(4).collect();
    chosen.extend([answer.recommended, DEFAULT, answer.safest]);
    chosen.sort_unstable();
    chosen.dedup();
    for &n in &chosen {
        let one = &mut outcome.configurations[n];
        one.measured = one.simulated.clone();
        for (workload, figures) in one.measured.iter_mut().enumerate() {
            figures.seconds *= wobble(n * 7 + workload).sqrt();
            figures.runs = 6;
        }
        one.measured_seconds = (0..6)
            .map(|round| {
                let seconds =
                    |(workload, run): (usize, &Figures)| run.seconds * wobble(round * 31 + workload).powf(0.3);
                one.measured.iter().enumerate().map(seconds).collect()
            })
            .collect();
        // Any number that goes with the seconds.
        one.measured_losses =
            one.measured_seconds.iter().map(|round| round.iter().map(|s| s * 3.0).collect()).collect();
        for workload in 0..3 {
            outcome.trust.confirmations.extend(confirmations(n, workload, &one.simulated[workload]));
        }
    }
    let others = chosen.iter().filter(|n| **n != answer.recommended);
    outcome.trust.differences = others
        .map(|n| {
            let ratio =
                outcome.configurations[*n].summary.score / outcome.configurations[answer.recommended].summary.score;
            Difference {
                other: *n,
                ratio,
                low: ratio * 0.96,
                high: ratio * 1.05,
                p: if ratio > 1.1 { 0.012 } else { 0.6 },
            }
        })
        .collect();
    outcome.trust.verdict = Verdict::Confirmed;
    outcome.trust.model_error = Some([0.031, 0.094]);
    outcome.trust.rank_agreement = Some(0.93);
    outcome.trust.noise_floor = Some(0.021);
    outcome.trust.hold_out = Some(1.013);
    outcome.run.spent_dollars = 0.183;
    outcome.place.kind = PlaceKind::Bucket;
    outcome.place.description = "bucket example, eu-central-1".into();
    outcome
}

/// Nothing to recommend, nothing to draw.
pub fn empty() -> Outcome {
    let mut outcome = simulated();
    outcome.answer = None;
    outcome.configurations.clear();
    outcome.trust.notes = vec!["no configuration keeps the constraints".into()];
    for workload in &mut outcome.workloads {
        workload.miss_ratio_curves.clear();
        workload.fingerprint.clear();
    }
    outcome
}

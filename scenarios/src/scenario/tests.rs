//! The language, the shipped scenarios, and what no scenario may ever yield.

use proptest::prelude::*;

use super::keys::{KEYS, SWITCHES};
use super::raw::RawStream;
use super::*;
use crate::op::OpKind;
use crate::summary::Summary;

const DOCUMENT: &str = include_str!("../../../docs/SCENARIOS.md");

fn all() -> impl Iterator<Item = Scenario> {
    Scenario::built_in().into_iter().chain(Scenario::basic())
}

fn summary(scenario: &Scenario) -> Summary {
    Summary::of(scenario.ops().map(Ok::<_, ()>)).unwrap()
}

/// FNV-1a over every field of every operation.
fn print(scenario: &Scenario) -> u64 {
    scenario.ops().fold(0xcbf2_9ce4_8422_2325, |hash, op| {
        let flags = u64::from(op.flush_before) | u64::from(op.durable) << 1 | u64::from(op.origin.is_zero()) << 2;
        let words = [op.time_ns, op.kind as u64, op.offset, op.len, op.device.into(), flags, op.origin.stream() as u64];
        let bytes = words.into_iter().flat_map(u64::to_le_bytes);
        bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    })
}

fn assert_sound(scenario: &Scenario, ops: &mut dyn Iterator<Item = Op>) -> u64 {
    let (mut last, mut count) = (0, 0);
    let streams = scenario.streams().len();
    for op in ops {
        assert!(op.time_ns >= last, "{}: back in time at {op:?}", scenario.name);
        assert!(op.origin.stream() < streams, "{}: {op:?}", scenario.name);
        match op.kind {
            OpKind::Flush => assert_eq!((op.offset, op.len), (0, 0), "{}: {op:?}", scenario.name),
            _ => assert!(op.len > 0 && op.end() <= scenario.span.0, "{}: {op:?}", scenario.name),
        }
        assert!(op.len.is_multiple_of(512) && op.offset.is_multiple_of(512), "{}: {op:?}", scenario.name);
        assert!(op.kind == OpKind::Write || !(op.flush_before || op.durable || op.origin.is_zero()), "{op:?}");
        last = op.time_ns;
        count += 1;
    }
    count
}

#[test]
fn every_shipped_scenario_is_sound_and_of_a_size_to_simulate() {
    let mut total = 0;
    for scenario in all() {
        let name = &scenario.name;
        assert!(scenario.question.ends_with('?'), "{name} asks nothing");
        assert_eq!(Scenario::named(name).as_ref(), Some(&scenario));
        assert!(Scenario::text_of(name).unwrap().contains("chosen"), "{name} does not say where its numbers come from");
        let count = assert_sound(&scenario, &mut scenario.ops());
        assert!((12..=40_000).contains(&count), "{name}: {count} operations");
        total += count;
    }
    assert!(total < 150_000, "{total} operations in all");
    for scenario in Scenario::built_in() {
        let (name, seconds) = (&scenario.name, summary(&scenario).duration_ns / 1_000_000_000);
        assert!((10..=125).contains(&seconds), "{name}: {seconds} s");
        assert!((64 << 20..=2 << 30).contains(&scenario.span.0), "{name}: span {}", scenario.span);
        assert!(scenario.span.0.is_multiple_of(8 << 20), "{name}: its span is no whole number of the largest blocks");
    }
    assert!(Scenario::named("oltp2").is_none());
}

/// A changed number here changes everybody's results: say why in docs/decisions.
#[test]
fn same_seed_same_operations_on_every_machine() {
    let golden: &[(&str, u64)] = &[
        ("backup-stream", 5214264180605929477),
        ("restore", 12380386451838006189),
        ("vm-boot", 12566772655478525089),
        ("oltp", 10798213113899366439),
        ("mail", 9788662978278178163),
        ("mkfs-untar", 8860171546490662116),
        ("git-churn", 14615019165263874777),
        ("photo-archive", 14514392899087069168),
        ("idle-desktop", 2617542089522047594),
        ("fstrim", 18380044435317100602),
        ("sequential-write", 15330452446972272195),
        ("sequential-read", 2419801731357308782),
        ("random-mix", 298701575515651736),
        ("fsync-small", 3954914152839328757),
        ("discard", 16733886320698300297),
    ];
    let prints: Vec<(String, u64)> = all().map(|scenario| (scenario.name.clone(), print(&scenario))).collect();
    let golden: Vec<(String, u64)> = golden.iter().map(|(name, print)| ((*name).to_owned(), *print)).collect();
    assert_eq!(prints, golden);
}

#[test]
fn the_shipped_scenarios_do_what_they_say() {
    let of = |name: &str| summary(&Scenario::named(name).unwrap());
    let (oltp, backup, restore, mail) = (of("oltp"), of("backup-stream"), of("restore"), of("mail"));
    let pages = Scenario::named("oltp").unwrap().ops().filter(|op| op.origin.stream() == 0).collect::<Vec<_>>();
    let share = |kind| pages.iter().filter(|op| op.kind == kind).count() as f64 / pages.len() as f64;
    assert!((share(OpKind::Read) - 0.7).abs() < 0.02, "70/30: {}", share(OpKind::Read));
    assert!((oltp.duration_ns as f64 / 1e9 - 40.0).abs() < 1.0);
    assert!((backup.write_bytes >> 20) == 1024 && backup.reads == 0);
    assert!(restore.writes == 0 && restore.read_bytes >> 20 > 768);
    // A message is four writes (more if it is long) and one flush.
    assert!(mail.writes >= 4 * mail.flushes && mail.writes < 5 * mail.flushes && mail.flushes > 900, "{mail:?}");
    assert!(of("fstrim").discards > 500 && of("mkfs-untar").discards == 1);
    let writes = |name: &str| {
        let ops: Vec<Op> = Scenario::named(name).unwrap().ops().filter(|op| op.kind == OpKind::Write).collect();
        (ops.iter().filter(|op| op.origin.is_zero()).count(), ops.iter().filter(|op| op.durable).count(), ops.len())
    };
    assert_eq!(writes("backup-stream").0, 0);
    assert!(writes("mkfs-untar").0 >= 64, "the cleared journal");
    assert!(writes("idle-desktop").1 >= 23, "a journal commit every 5 s");
}

/// A database beside a log, in two rounds.
const TWO: &str = "\
name = \"two\"
question = \"Does this work?\"
span = \"8m\"
seed = 7
repeat = 2
content = { compressibility = 3.0 }
arrivals = { kind = \"regular\", every = \"10ms\" }

[[phase]]
[[phase.stream]]
shape = \"uniform\"
area-start = \"1m\"
request = \"4k\"
requests = 5
[[phase.stream]]
shape = \"log\"
area-size = \"1m\"
request = \"8k\"
requests = 3
durable = true
depth = 2
think-time = \"1ms\"
content = { zero-share = 0.5 }

[[phase]]
shape = \"flush\"
";

#[test]
fn streams_run_side_by_side_and_phases_one_after_another() {
    let scenario = Scenario::parse("two", TWO).unwrap();
    let ops: Vec<Op> = scenario.ops().collect();
    let story: Vec<(u64, usize)> = ops.iter().map(|op| (op.time_ns / 1_000_000, op.origin.stream())).collect();
    let round = [(0, 0), (0, 1), (10, 0), (10, 1), (20, 0), (20, 1), (30, 0), (40, 0), (50, 2)];
    // A single flush takes no time worth speaking of.
    let second: Vec<(u64, usize)> = round.iter().map(|(ms, stream)| (ms + 50, *stream)).collect();
    assert_eq!(story, [&round[..], &second].concat());
    let log: Vec<u64> = ops.iter().filter(|op| op.durable).map(|op| op.offset >> 13).collect();
    assert_eq!(log, [0, 1, 2, 3, 4, 5], "a log goes on in the second round");
    let places =
        |round: &[Op]| round.iter().filter(|op| op.origin.stream() == 0).map(|op| op.offset).collect::<Vec<_>>();
    assert_ne!(places(&ops[..9]), places(&ops[9..]), "the second round goes to other places");
    let streams = scenario.streams();
    assert_eq!((streams[1].content.compressibility, streams[1].content.zero_share), (3.0, 0.5));
    assert_eq!((streams[0].depth, streams[1].depth, streams[1].think_ns), (None, Some(2), 1_000_000));
}

/// The index of a repository is as hot in the second round as in the first.
#[test]
fn what_is_popular_stays_so_in_every_round() {
    let text = "name = \"hot\"\nquestion = \"?\"\nspan = \"64m\"\nrepeat = 2\n\
        [[phase]]\nshape = \"zipf\"\ntheta = 3\nrequest = \"4k\"\nrequests = 200\n\
        arrivals = { kind = \"poisson\", rate = 100 }\n";
    let ops: Vec<Op> = Scenario::parse("hot", text).unwrap().ops().collect();
    let offsets: Vec<u64> = ops.iter().map(|op| op.offset).collect();
    let busiest = |round: &[u64]| round.iter().copied().max_by_key(|one| round.iter().filter(|o| *o == one).count());
    assert_eq!(busiest(&offsets[..200]), busiest(&offsets[200..]));
    assert_ne!(offsets[..200], offsets[200..]);
}

#[test]
fn scaling_multiplies_operations_and_span() {
    let small = Scenario::parse("two", TWO).unwrap();
    let large = small.clone().scaled(3);
    assert_eq!((large.span.0, summary(&large).writes), (3 * small.span.0, 3 * summary(&small).writes));
    assert_sound(&large, &mut large.ops());
    assert_eq!(small.clone().scaled(u64::MAX).span.0, Scenario::MAX_SPAN);
    assert_eq!(small.clone().scaled(0), small);
}

/// Each wrong line, and what the message must contain: line, value, and one that works.
#[test]
fn a_wrong_value_is_answered_with_its_line_and_one_that_works() {
    for (right, wrong, parts) in [
        ("span = \"8m\"", "span = \"100\"", &["line 3: span = \"100\"", "try span = \"64m\""][..]),
        ("span = \"8m\"", "spam = \"8m\"", &["line 3", "spam", "`span`"]),
        ("span = \"8m\"", "span = 1.5", &["line 3", "span = 1.5", "try span = \"64m\""]),
        ("seed = 7", "seed = -7", &["line 4: seed = -7", "try seed = 1"]),
        ("name = \"two\"", "name = \"Two\"", &["line 1: name = \"Two\"", "try name = \"my-load\""]),
        ("repeat = 2", "repeat = 1000000\ndepth = 0", &["line 6: depth = 0: 1 to 4096; try depth = 16"]),
        ("repeat = 2", "prefill = \"9m\"", &["line 5: prefill = \"9m\"", "8m"]),
        ("= 3.0", "= 0.5", &["line 6: compressibility = 0.5", "try compressibility = 2.0"]),
        ("= 3.0", "= nan", &["line 6: compressibility = nan"]),
        ("every = \"10ms\"", "every = 10", &["line 7", "every = 10", "\"250ms\""]),
        ("every = \"10ms\"", "every = \"0s\"", &["line 7: every = \"0s\"", "try every = \"5ms\""]),
        ("every = \"10ms\"", "rate = 0", &["line 7: rate = 0", "try rate = 200"]),
        ("every = \"10ms\"", "rate = 5, every = \"1s\"", &["line 7", "one of every and rate"]),
        ("\"regular\"", "\"bursty\"", &["line 7: kind = \"bursty\"", "on = \"2s\""]),
        ("\"regular\"", "\"regular\", on = \"1s\", off = \"1s\"", &["line 7", "bursty"]),
        ("\"regular\"", "\"bursty\", on = \"1us\", off = \"1s\"", &["line 7", "on is shorter"]),
        ("arrivals = { kind = \"regular\", every = \"10ms\" }", "", &["line 10: no arrivals"]),
        ("shape = \"uniform\"", "shape = \"spiral\"", &["line 11", "spiral", "`zipf`", "try shape = \"sequential\""]),
        ("shape = \"uniform\"", "", &["line 10: no shape"]),
        ("shape = \"uniform\"", "shape = \"zipf\"\ntheta = -1", &["line 12: theta = -1", "try theta = 0.99"]),
        ("shape = \"uniform\"", "shape = \"uniform\"\ntheta = 1", &["line 12: theta says nothing to this shape"]),
        ("shape = \"uniform\"", "shape = \"strided\"", &["no stride; try stride = \"1m\""]),
        ("area-start = \"1m\"", "area-start = \"8m\"", &["line 12: area-start = \"8m\"", "try area-start = \"16m\""]),
        ("area-size = \"1m\"", "area-size = \"9m\"", &["line 17: area-size = \"9m\""]),
        ("request = \"4k\"", "request = \"4x\"", &["line 13", "is not a size"]),
        ("request = \"4k\"", "request = \"8m\"", &["line 13: request = \"8m\"", "(7m)", "try request = \"4k\""]),
        ("request = \"4k\"", "request = []", &["line 13: weight = []", "weight = 3"]),
        ("request = \"4k\"", "request = [{ size = \"4k\", weight = 0 }]", &["line 13", "weight 0: 1 to 1000000"]),
        ("requests = 5", "requests = 0", &["line 14: requests = 0", "try requests = 1000"]),
        ("requests = 5", "requests = \"many\"", &["line 14: requests = \"many\": invalid type", "try requests = 1000"]),
        ("requests = 5", "requests = 99000000", &["line 5", "operations; at most 100000000"]),
        ("requests = 5", "duration = \"1h\"\nbytes = 5", &["only one of requests, bytes and duration"]),
        ("requests = 5", "", &["line 10: how much?"]),
        ("requests = 5", "requests = 5\nread-percent = 170", &["line 15: read-percent = 170", "try read-percent = 70"]),
        ("requests = 5", "requests = 5\nread-percent = 100\ndurable = true", &["line 16", "there are no writes"]),
        ("[[phase]]\n[[phase.stream]]", "[[phase]]\ndepth = 3\n[[phase.stream]]", &["line 10: depth beside"]),
        ("shape = \"flush\"", "shape = \"flush\"\nrequests = 3", &["line 27: requests says nothing"]),
        ("[[phase]]\nshape", "[[phases]]\nshape", &["line 25", "phases", "`phase`"]),
        ("request = \"8k\"", "request = \"8k", &["line 18"]),
    ] {
        let text = TWO.replacen(right, wrong, 1);
        let message = Scenario::parse("mine.toml", &text).expect_err(wrong).to_string();
        assert!(parts.iter().all(|part| message.contains(part)) && message.contains("mine.toml"), "{wrong}: {message}");
    }
    let none = TWO.split("[[phase]]").next().unwrap();
    assert!(Scenario::parse("x", none).unwrap_err().to_string().contains("no [[phase]]"));
}

/// One stream, with keys of the scenario above it.
fn one(above: &str, stream: &str) -> Result<Scenario, ScenarioError> {
    let text = format!("name = \"one\"\nquestion = \"?\"\nspan = \"1024t\"\n{above}\n[[phase]]\n{stream}\n");
    Scenario::parse("one", &text)
}

#[test]
fn what_nobody_would_wait_for_is_refused() {
    let bursty = |off: &str| format!("arrivals = {{ kind = \"bursty\", rate = 10000, on = \"1s\", off = \"{off}\" }}");
    let day = "shape = \"uniform\"\nrequest = \"4k\"\nduration = \"24h\"\n";
    for (above, stream, part) in [
        ("repeat = 10000", "shape = \"flush\"\ndelay = \"1h\"".to_owned(), "416 days long; at most 365"),
        ("repeat = 366", day.to_owned() + "arrivals = { kind = \"poisson\", every = \"1h\" }", "days long"),
        ("", day.to_owned() + &bursty("1s"), "operations; at most"),
    ] {
        let message = one(above, &stream).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    // Silence between bursts makes no operations, and few files are as large as the largest.
    one("", &(day.to_owned() + &bursty("99s"))).unwrap();
    let files = "request = [{ size = \"4k\", weight = 9999 }, { size = \"1t\", weight = 1 }]\nduration = \"1h\"\n\
        shape = \"small-files\"\narrivals = { kind = \"regular\", rate = 1 }";
    one("", files).unwrap();
    // A sum of bytes beyond 64 bits.
    let huge = "shape = \"log\"\nrequest = \"1024t\"\nbytes = \"18446744073709551615\"\n\
        arrivals = { kind = \"regular\", every = \"1us\" }";
    assert_eq!(one("", huge).unwrap().ops().take(20_000).count(), 16_384);
}

/// Their table of places is the dearest thing that a scenario makes.
#[test]
fn what_is_popular_is_worked_out_once() {
    let zipf = "shape = \"zipf\"\nrequest = \"4k\"\nrequests = 3\narrivals = { kind = \"poisson\", rate = 100 }";
    let mut ops = one("repeat = 3", zipf).unwrap().ops();
    let mut tables = Vec::new();
    while ops.next().is_some() {
        tables.extend(ops.running[0].ops.kept().popular);
    }
    assert_eq!(tables.len(), 9);
    assert!(tables.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}

/// The names that serde lists when it is asked for an unknown one.
fn names_known_at(place: &str) -> Vec<String> {
    let file = "name = \"x\"\nquestion = \"?\"\nspan = \"1m\"\nTOP\ncontent = { CONTENT }\n[[phase]]\nSTREAM\n\
        request = [{ size = \"4k\", weight = 3 }, { WEIGHTED }]\narrivals = { kind = \"regular\", ARRIVALS }\n";
    let text = ["TOP", "CONTENT", "STREAM", "WEIGHTED", "ARRIVALS"]
        .iter()
        .fold(file.to_owned(), |text, one| text.replace(one, if *one == place { "zzz = 1" } else { "" }))
        .replace(", {  }", "")
        .replace(",  }", " }");
    let message = Scenario::parse("x", &text).unwrap_err().to_string();
    assert!(message.contains("unknown field `zzz`"), "{place}: {message}");
    message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_that_is_read_is_known_to_errors_and_to_the_check_of_shapes() {
    let of_streams = names_known_at("STREAM");
    let mut read: Vec<String> =
        ["TOP", "CONTENT", "WEIGHTED", "ARRIVALS"].into_iter().flat_map(names_known_at).collect();
    read.extend(of_streams.iter().cloned());
    // A request's size is explained and shown with its weight.
    read.retain(|name| name != "size");
    let mut known: Vec<String> = KEYS.iter().map(|(key, _)| *key).chain(SWITCHES).map(str::to_owned).collect();
    for list in [&mut read, &mut known] {
        list.sort();
        list.dedup();
    }
    assert_eq!(read, known);
    let stream: RawStream = toml::from_str("").unwrap();
    let mut placed: Vec<&str> = stream.places().iter().map(|(key, _)| *key).chain(["stream", "shape"]).collect();
    let mut of_streams: Vec<&str> = of_streams.iter().map(String::as_str).collect();
    placed.sort_unstable();
    of_streams.sort_unstable();
    assert_eq!(placed, of_streams);
}

#[test]
fn the_document_has_every_key_and_its_example_works() {
    for key in KEYS.iter().map(|(key, _)| *key).chain(SWITCHES) {
        let forms = [format!("`{key}`"), format!("[[{key}]]"), format!("[[phase.{key}]]")];
        assert!(forms.iter().any(|form| DOCUMENT.contains(form)), "{key} is not explained");
    }
    let example = DOCUMENT.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let scenario = Scenario::parse("docs/SCENARIOS.md", example).unwrap();
    assert!(assert_sound(&scenario, &mut scenario.ops()) > 100);
}

fn a_size() -> impl Strategy<Value = u64> {
    (0u32..8, 1u64..4).prop_map(|(shift, odd)| (512 * odd) << shift)
}

fn a_request() -> impl Strategy<Value = String> {
    prop_oneof![
        a_size().prop_map(|size| size.to_string()),
        prop::collection::vec((a_size(), 1u64..9), 1..4).prop_map(|sizes| {
            let list: Vec<String> =
                sizes.iter().map(|(size, weight)| format!("{{ size = {size}, weight = {weight} }}")).collect();
            format!("[{}]", list.join(", "))
        }),
    ]
}

fn a_shape() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u64..=99).prop_map(|reads| format!("shape = \"sequential\"\nread-percent = {reads}\nflush-every-writes = 2")),
        (1u64..40).prop_map(|n| format!("shape = \"strided\"\nstride = {}", 196_608 + n * 512)),
        (1u64..9, 0u64..=100)
            .prop_map(|(run, reads)| format!("shape = \"uniform\"\nrun = {run}\nread-percent = {reads}")),
        (0.0..4.0f64, 1u64..4).prop_map(|(theta, run)| format!("shape = \"zipf\"\nrun = {run}\ntheta = {theta:?}")),
        (1u64..=99, 1u64..=100)
            .prop_map(|(a, r)| format!("shape = \"hotspot\"\nhot-area-percent = {a}\nhot-request-percent = {r}")),
        Just("shape = \"log\"\ndurable = true\nflush-every = \"3ms\"".to_owned()),
        (1u64..40, any::<bool>())
            .prop_map(|(files, flush)| format!("shape = \"small-files\"\nfiles = {files}\nflush-each-burst = {flush}")),
        (0u64..99).prop_map(|gap| format!("shape = \"discard\"\ngap = {}\nflush-at-end = true", gap * 512)),
    ]
}

fn a_stream() -> impl Strategy<Value = String> {
    let amount = prop_oneof![
        (1u64..60).prop_map(|n| format!("requests = {n}")),
        (1u64..1 << 20).prop_map(|n| format!("bytes = {n}")),
        (1u64..90).prop_map(|ms| format!("duration = \"{ms}ms\"")),
    ];
    let arrivals = prop_oneof![
        (1u64..9000).prop_map(|us| format!("{{ kind = \"regular\", every = \"{us}us\" }}")),
        (200.0..1e5f64).prop_map(|rate| format!("{{ kind = \"poisson\", rate = {rate:?} }}")),
        (5u64..50, 0u64..50).prop_map(|(on, off)| {
            format!("{{ kind = \"bursty\", every = \"1ms\", on = \"{on}ms\", off = \"{off}ms\" }}")
        }),
    ];
    let area = (0u64..4000, 1024u64..4000)
        .prop_map(|(start, len)| format!("area-start = {}\narea-size = {}", start * 512, len * 512));
    (a_shape(), a_request(), amount, arrivals, area, 0u64..9).prop_map(
        |(shape, request, amount, arrivals, area, delay)| {
            format!("{shape}\nrequest = {request}\n{amount}\narrivals = {arrivals}\n{area}\ndelay = \"{delay}ms\"\n")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_scenario_yields_ordered_operations_inside_its_span(
        phases in prop::collection::vec(prop::collection::vec(a_stream(), 1..4), 1..4),
        seed in 0i64..,
        repeat in 1u64..3,
        zero_share in 0.0..=1.0f64,
    ) {
        let mut text = format!(
            "name = \"any\"\nquestion = \"?\"\nspan = \"4m\"\nseed = {seed}\nrepeat = {repeat}\n\
             content = {{ zero-share = {zero_share:?} }}\n"
        );
        for streams in &phases {
            text += "[[phase]]\n";
            for stream in streams {
                text += "[[phase.stream]]\n";
                text += stream;
            }
        }
        let scenario = Scenario::parse("any", &text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let count = assert_sound(&scenario, &mut scenario.ops());
        let streams = phases.iter().flatten().count() as u64;
        prop_assert!(count >= streams * repeat, "{count} operations of {streams} streams");
        prop_assert_eq!(print(&scenario), print(&scenario.clone()));
    }

    /// Whatever the text: an answer, never a panic, and an error that says something.
    #[test]
    fn a_damaged_file_is_answered_not_obeyed(at in 0usize..600, byte in any::<u8>(), name in 0usize..15) {
        let shipped: Vec<String> = all().map(|scenario| scenario.name).collect();
        let mut bytes = Scenario::text_of(&shipped[name]).unwrap().as_bytes().to_vec();
        let at = at * bytes.len() / 600;
        bytes[at] = byte;
        if let Err(error) = Scenario::parse("damaged", &String::from_utf8_lossy(&bytes)) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

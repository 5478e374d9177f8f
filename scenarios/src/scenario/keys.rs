//! Every key of a scenario file with a value that works, for errors. `docs/SCENARIOS.md` explains them; a test compares.

pub(super) const KEYS: [(&str, &str); 38] = [
    ("name", "name = \"my-load\""),
    ("question", "question = \"How long does my nightly job take?\""),
    ("span", "span = \"64m\""),
    ("seed", "seed = 1"),
    ("depth", "depth = 16"),
    ("think-time", "think-time = \"5ms\""),
    ("prefill", "prefill = true"),
    ("repeat", "repeat = 1"),
    ("content", "content = { compressibility = 2.0, zero-share = 0.1 }"),
    ("compressibility", "compressibility = 2.0"),
    ("zero-share", "zero-share = 0.1"),
    ("arrivals", "arrivals = { kind = \"poisson\", rate = 200 }"),
    ("kind", "kind = \"poisson\""),
    ("every", "every = \"5ms\""),
    ("rate", "rate = 200"),
    ("on", "on = \"2s\""),
    ("off", "off = \"8s\""),
    ("phase", "[[phase]]"),
    ("stream", "[[phase.stream]]"),
    ("shape", "shape = \"sequential\""),
    ("request", "request = \"4k\""),
    ("weight", "request = [{ size = \"4k\", weight = 3 }, { size = \"64k\", weight = 1 }]"),
    ("requests", "requests = 1000"),
    ("bytes", "bytes = \"64m\""),
    ("duration", "duration = \"30s\""),
    ("area-start", "area-start = \"16m\""),
    ("area-size", "area-size = \"64m\""),
    ("read-percent", "read-percent = 70"),
    ("run", "run = 8"),
    ("theta", "theta = 0.99"),
    ("hot-area-percent", "hot-area-percent = 10"),
    ("hot-request-percent", "hot-request-percent = 90"),
    ("stride", "stride = \"1m\""),
    ("files", "files = 32"),
    ("gap", "gap = \"64k\""),
    ("delay", "delay = \"2s\""),
    ("flush-every-writes", "flush-every-writes = 16"),
    ("flush-every", "flush-every = \"5s\""),
];

/// Keys that are true or false.
pub(super) const SWITCHES: [&str; 4] = ["flush-at-end", "flush-each-burst", "flush-before", "durable"];

/// `key = value` that works.
pub(super) fn example(key: &str) -> Option<String> {
    if SWITCHES.contains(&key) {
        return Some(format!("{key} = true"));
    }
    KEYS.iter().find(|(known, _)| *known == key).map(|(_, example)| (*example).to_owned())
}

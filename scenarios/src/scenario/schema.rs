//! From a file's text to a scenario, or to what is wrong with it: the line, the key, the value and one that works.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;

use crate::content::ContentProperties;
use crate::op::Origin;
use crate::period::Period;
use crate::size::Size;

use super::arrivals::{ArrivalKind, Arrivals};
use super::estimate::estimate;
use super::keys;
use super::raw::{Given, RawArrivalKind, RawArrivals, RawContent, RawPrefill, RawScenario, RawShape, RawStream};
use super::shape::Shape;
use super::small_files::SmallFiles;
use super::step::{Area, Sizes};
use super::stream::{Amount, FlushPoints, Stream, StreamProperties};
use super::{Phase, Scenario};

/// What is wrong with a scenario.
#[derive(Debug, thiserror::Error)]
#[error("scenario {origin}: {}{what}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ScenarioError {
    origin: String,
    /// Counted from 1.
    line: Option<usize>,
    what: String,
}

type Checked<T> = Result<T, ScenarioError>;

/// More operations than this are a slip in a unit; the longest recorded days have ten million.
const MAX_OPS: u64 = 100_000_000;
const SECTOR: u64 = 512;
/// A gap shorter than this has no meaning on a network.
const SHORTEST: Period = Period(1000);
const DAY: Period = Period(24 * Period::HOUR.0);
/// A scenario that is longer is a slip in a unit, too; 64 bits of nanoseconds end after 584 of them.
const YEAR: Period = Period(365 * DAY.0);

pub(super) fn parse(origin: &str, text: &str) -> Checked<Scenario> {
    let file = File { origin, text };
    let raw: RawScenario = toml::from_str(text).map_err(|error| file.unreadable(&error))?;
    file.scenario(&raw)
}

/// The text that values and lines are quoted from.
struct File<'a> {
    origin: &'a str,
    text: &'a str,
}

/// What streams take from the scenario where they say nothing themselves.
struct Defaults {
    span: u64,
    content: ContentProperties,
    arrivals: Option<Arrivals>,
    think_time: Period,
}

impl File<'_> {
    fn wrong(&self, place: Option<Range<usize>>, what: impl Into<String>) -> ScenarioError {
        let line = place.map(|place| 1 + self.text[..place.start.min(self.text.len())].matches('\n').count());
        ScenarioError { origin: self.origin.to_owned(), line, what: what.into() }
    }

    /// `key = value: why; try key = another`.
    fn fault(&self, key: &str, place: Range<usize>, why: impl fmt::Display) -> ScenarioError {
        let value = self.text.get(place.clone()).unwrap_or_default().trim();
        let hint = keys::example(key).map(|example| format!("; try {example}")).unwrap_or_default();
        self.wrong(Some(place), format!("{key} = {value}: {why}{hint}"))
    }

    fn unreadable(&self, error: &toml::de::Error) -> ScenarioError {
        let place = error.span();
        let line = place.as_ref().and_then(|place| {
            let start = self.text.get(..place.start)?.rfind('\n').map_or(0, |at| at + 1);
            self.text[start..].lines().next()
        });
        let key = line.and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
        // Serde lists the known keys itself, but it quotes neither the line nor a value that works.
        let quoted = line.filter(|_| key.is_some()).map(|line| format!("{}: ", line.trim())).unwrap_or_default();
        let unknown = error.message().starts_with("unknown field");
        let example = key.filter(|_| !unknown).and_then(keys::example);
        let hint = example.map(|example| format!("; try {example}")).unwrap_or_default();
        self.wrong(place, format!("{quoted}{}{hint}", error.message()))
    }

    fn scenario(&self, raw: &RawScenario) -> Checked<Scenario> {
        let name = raw.name.get_ref();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(self.fault("name", raw.name.span(), "lower case letters, digits and dashes"));
        }
        let span = raw.span.get_ref().0;
        if span == 0 || !span.is_multiple_of(SECTOR) || span > Scenario::MAX_SPAN {
            return Err(self.fault("span", raw.span.span(), "a positive multiple of 512 up to 1024t"));
        }
        let content = self.content(&raw.content, ContentProperties::default())?;
        let arrivals = raw.arrivals.as_ref().map(|one| self.arrivals(one)).transpose()?;
        let think_time = self.period("think-time", &raw.think_time, Period(0)..=Period::HOUR)?.unwrap_or_default();
        let defaults = Defaults { span, content, arrivals, think_time };
        if raw.phase.is_empty() {
            return Err(self.wrong(None, "no [[phase]]: at least one; see the built-in scenarios"));
        }
        let repeat = self.whole("repeat", &raw.repeat, 1..=1_000_000)?.unwrap_or(1);
        let phases = self.phases(&raw.phase, &defaults)?;
        refuse_endless(&phases, repeat).map_err(|why| self.wrong(raw.repeat.as_ref().map(Spanned::span), why))?;
        Ok(Scenario {
            name: name.clone(),
            question: raw.question.get_ref().clone(),
            span: Size(span),
            depth: self.whole("depth", &raw.depth, 1..=4096)?.unwrap_or(16) as u32,
            seed: self.whole("seed", &raw.seed, 0..=i64::MAX as u64)?.unwrap_or(0),
            prefill: self.prefill(&raw.prefill, span)?,
            content,
            repeat,
            phases: phases.into(),
        })
    }

    fn prefill(&self, given: &Given<RawPrefill>, span: u64) -> Checked<Size> {
        match given.as_ref().map(|given| (given.get_ref(), given.span())) {
            None | Some((RawPrefill::All(false), _)) => Ok(Size(0)),
            Some((RawPrefill::All(true), _)) => Ok(Size(span)),
            Some((RawPrefill::Part(size), _)) if size.0 <= span => Ok(*size),
            Some((_, place)) => Err(self.fault("prefill", place, format!("more than the span, {}", Size(span)))),
        }
    }

    fn phases(&self, raw: &[Spanned<RawStream>], defaults: &Defaults) -> Checked<Vec<Phase>> {
        let mut number = 0;
        let mut phases = Vec::new();
        for phase in raw {
            let (place, phase) = (phase.span(), phase.get_ref());
            let several = !phase.stream.is_empty();
            if several {
                let shape = phase.shape.as_ref().map(Spanned::span);
                let extra = [("shape", shape)].into_iter().chain(phase.places()).find(|(_, place)| place.is_some());
                if let Some((key, place)) = extra {
                    let why = format!("{key} beside [[phase.stream]]: write it into the streams");
                    return Err(self.wrong(place, why));
                }
            }
            let alone = [(place, phase)];
            let streams: Vec<(Range<usize>, &RawStream)> = match several {
                true => phase.stream.iter().map(|stream| (stream.span(), stream.get_ref())).collect(),
                false => alone.to_vec(),
            };
            let mut checked = Vec::new();
            for (place, stream) in streams {
                if number == Origin::STREAMS {
                    return Err(self.wrong(Some(place), format!("more than {} streams", Origin::STREAMS)));
                }
                checked.push((number, self.stream(stream, place, defaults)?));
                number += 1;
            }
            phases.push(Phase { streams: checked });
        }
        Ok(phases)
    }

    fn stream(&self, raw: &RawStream, place: Range<usize>, defaults: &Defaults) -> Checked<Stream> {
        if let Some(inner) = raw.stream.first() {
            return Err(self.wrong(Some(inner.span()), "a stream within a stream: write them side by side"));
        }
        let Some(kind) = &raw.shape else {
            return Err(self.wrong(Some(place), "no shape; try shape = \"sequential\""));
        };
        let kind = *kind.get_ref();
        self.refuse_foreign_keys(raw, kind)?;
        let area = self.area(raw, defaults.span)?;
        let sizes = self.sizes(raw, kind, area, &place)?;
        let shape = self.shape(raw, kind, area, &sizes, &place)?;
        let arrivals = match &raw.arrivals {
            Some(given) => self.arrivals(given)?,
            // One operation alone has no gaps.
            None if shape == Shape::Flush => Arrivals { every: Period(0), kind: ArrivalKind::Regular },
            None => defaults.arrivals.ok_or_else(|| {
                let hint =
                    "neither here nor above the first [[phase]]; try arrivals = { kind = \"poisson\", rate = 200 }";
                self.wrong(Some(place.clone()), format!("no arrivals: {hint}"))
            })?,
        };
        let think = self.period("think-time", &raw.think_time, Period(0)..=Period::HOUR)?;
        let content = match &raw.content {
            Some(given) => self.content(given, defaults.content)?,
            None => defaults.content,
        };
        Ok(Stream {
            amount: self.amount(raw, kind, &place)?,
            read_percent: self.whole("read-percent", &raw.read_percent, 0..=100)?.unwrap_or(0),
            delay: self.period("delay", &raw.delay, Period(0)..=Period::HOUR)?.unwrap_or_default(),
            flush: FlushPoints {
                every_writes: self.whole("flush-every-writes", &raw.flush_every_writes, 1..=MAX_OPS)?,
                every: self.period("flush-every", &raw.flush_every, SHORTEST..=Period::HOUR)?,
                at_end: is_on(&raw.flush_at_end),
            },
            flush_before: is_on(&raw.flush_before),
            durable: is_on(&raw.durable),
            properties: StreamProperties {
                content,
                depth: self.whole("depth", &raw.depth, 1..=4096)?.map(|depth| depth as u32),
                think_ns: think.unwrap_or(defaults.think_time).0,
            },
            shape,
            area,
            sizes,
            arrivals,
        })
    }

    /// A key that its shape has no use for is a misunderstanding.
    fn refuse_foreign_keys(&self, raw: &RawStream, shape: RawShape) -> Checked<()> {
        for (key, place) in raw.places() {
            if let (Some(place), false) = (place, belongs(key, shape)) {
                let has: Vec<&str> =
                    raw.places().into_iter().map(|(key, _)| key).filter(|key| belongs(key, shape)).collect();
                let what = format!("{key} says nothing to this shape; it knows {}", has.join(", "));
                return Err(self.wrong(Some(place), what));
            }
        }
        if raw.read_percent.as_ref().is_some_and(|percent| *percent.get_ref() == 100) {
            let writes = ["flush-every-writes", "flush-every", "flush-at-end", "flush-before", "durable"];
            let useless = raw.places().into_iter().find(|(key, place)| writes.contains(key) && place.is_some());
            if let Some((key, place)) = useless {
                return Err(
                    self.wrong(place, format!("{key} with read-percent = 100: there are no writes; leave it out"))
                );
            }
        }
        Ok(())
    }

    fn area(&self, raw: &RawStream, span: u64) -> Checked<Area> {
        let start = self.size("area-start", &raw.area_start, 0..=span - SECTOR)?.unwrap_or(0);
        let len = self.size("area-size", &raw.area_size, SECTOR..=span - start)?.unwrap_or(span - start);
        Ok(Area { start, len })
    }

    fn sizes(&self, raw: &RawStream, shape: RawShape, area: Area, place: &Range<usize>) -> Checked<Sizes> {
        let Some(given) = &raw.request else {
            return match shape {
                RawShape::Discard | RawShape::Flush => Ok(Sizes { weighted: vec![(area.len, 1)] }),
                _ => Err(self.wrong(Some(place.clone()), "no request size; try request = \"4k\"")),
            };
        };
        let fault = |key: &str, why: String| self.fault(key, given.span(), why);
        let list = &given.get_ref().0;
        if list.is_empty() || list.len() > 64 {
            return Err(fault("weight", "1 to 64 sizes".into()));
        }
        let (least, most) = match shape {
            RawShape::SmallFiles if area.len < SmallFiles::SMALLEST_AREA => {
                let why = format!("small files need an area of at least {}", Size(SmallFiles::SMALLEST_AREA));
                return Err(self.wrong(Some(place.clone()), format!("{why}; this one has {}", Size(area.len))));
            }
            RawShape::SmallFiles => (1, SmallFiles::longest_file(area.len)),
            _ => (SECTOR, area.len),
        };
        for one in list {
            let size = one.size.0;
            if !(least..=most).contains(&size) || !size.is_multiple_of(least) {
                let what = if least == 1 { "a size" } else { "a multiple of 512" };
                return Err(fault("request", format!("{what} up to what its area has room for ({})", Size(most))));
            }
            if !(1..=1_000_000).contains(&one.weight) {
                return Err(fault("weight", format!("weight {}: 1 to 1000000", one.weight)));
            }
        }
        Ok(Sizes { weighted: list.iter().map(|one| (one.size.0, one.weight as u64)).collect() })
    }

    fn shape(&self, raw: &RawStream, kind: RawShape, area: Area, sizes: &Sizes, at: &Range<usize>) -> Checked<Shape> {
        let run = self.whole("run", &raw.run, 1..=65_536)?.unwrap_or(1);
        Ok(match kind {
            RawShape::Sequential => Shape::Sequential,
            RawShape::Log => Shape::Log,
            RawShape::Flush => Shape::Flush,
            RawShape::Uniform => Shape::Uniform { run },
            RawShape::Zipf => {
                let theta = raw.theta.as_ref().map_or(0.99, |theta| *theta.get_ref());
                if let (Some(given), false) = (&raw.theta, (0.0..=4.0).contains(&theta)) {
                    return Err(self.fault("theta", given.span(), "0 (uniform) to 4"));
                }
                Shape::Zipf { theta, run }
            }
            RawShape::Hotspot => Shape::Hotspot {
                area_percent: self.whole("hot-area-percent", &raw.hot_area_percent, 1..=99)?.unwrap_or(10),
                request_percent: self.whole("hot-request-percent", &raw.hot_request_percent, 1..=100)?.unwrap_or(90),
                run,
            },
            RawShape::Strided => {
                let stride = self.size("stride", &raw.stride, sizes.largest()..=area.len)?;
                let missing = || self.wrong(Some(at.clone()), "no stride; try stride = \"1m\"");
                Shape::Strided { stride: stride.ok_or_else(missing)? }
            }
            RawShape::SmallFiles => Shape::SmallFiles {
                files: self.whole("files", &raw.files, 1..=100_000)?.unwrap_or(1),
                flush_each_burst: is_on(&raw.flush_each_burst),
            },
            RawShape::Discard => Shape::Discard { gap: self.size("gap", &raw.gap, 0..=area.len)?.unwrap_or(0) },
        })
    }

    fn amount(&self, raw: &RawStream, shape: RawShape, place: &Range<usize>) -> Checked<Amount> {
        let requests = self.whole("requests", &raw.requests, 1..=MAX_OPS)?;
        let bytes = self.size("bytes", &raw.bytes, 1..=u64::MAX)?;
        let duration = self.period("duration", &raw.duration, SHORTEST..=DAY)?;
        match (requests, bytes, duration) {
            (Some(requests), None, None) => Ok(Amount::Requests(requests)),
            (None, Some(bytes), None) => Ok(Amount::Bytes(bytes)),
            (None, None, Some(duration)) => Ok(Amount::Duration(duration)),
            (None, None, None) if matches!(shape, RawShape::Discard | RawShape::Flush) => Ok(Amount::Once),
            (None, None, None) => Err(self
                .wrong(Some(place.clone()), "how much? One of requests = 1000, bytes = \"64m\", duration = \"30s\"")),
            _ => Err(self.wrong(Some(place.clone()), "only one of requests, bytes and duration; leave the others out")),
        }
    }

    fn arrivals(&self, given: &Spanned<RawArrivals>) -> Checked<Arrivals> {
        let (place, raw) = (given.span(), given.get_ref());
        let fault = |why: &str| self.fault("arrivals", place.clone(), why);
        let every = match (&raw.every, &raw.rate) {
            (Some(_), None) => self.period("every", &raw.every, SHORTEST..=Period::HOUR)?.unwrap_or(Period::HOUR),
            (None, Some(rate)) => {
                if !(0.0003..=1_000_000.0).contains(rate.get_ref()) {
                    return Err(self.fault("rate", rate.span(), "0.0003 to 1000000 per second"));
                }
                // Division and rounding are exact by IEEE 754, the same everywhere.
                Period((1e9 / rate.get_ref()).round() as u64)
            }
            _ => return Err(fault("one of every and rate")),
        };
        let on = self.period("on", &raw.on, SHORTEST..=Period::HOUR)?;
        let off = self.period("off", &raw.off, Period(0)..=Period::HOUR)?;
        let kind = match (raw.kind.get_ref(), on, off) {
            (RawArrivalKind::Regular, None, None) => ArrivalKind::Regular,
            (RawArrivalKind::Poisson, None, None) => ArrivalKind::Poisson,
            (RawArrivalKind::Bursty, Some(on), Some(off)) if on >= every => ArrivalKind::Bursty { on, off },
            (RawArrivalKind::Bursty, Some(_), Some(_)) => {
                return Err(fault("on is shorter than the gap within a burst, so most bursts would be empty"));
            }
            (RawArrivalKind::Bursty, _, _) => {
                return Err(self.fault(
                    "kind",
                    raw.kind.span(),
                    "needs on and off, as arrivals = { kind = \"bursty\", rate = 200, on = \"2s\", off = \"8s\" }",
                ));
            }
            _ => return Err(fault("on and off belong to kind = \"bursty\"")),
        };
        Ok(Arrivals { every, kind })
    }

    fn content(&self, raw: &RawContent, default: ContentProperties) -> Checked<ContentProperties> {
        let mut content = default;
        if let Some(given) = &raw.compressibility {
            content.compressibility = *given.get_ref();
            if !(1.0..=512.0).contains(&content.compressibility) {
                return Err(self.fault("compressibility", given.span(), "1 (incompressible) to 512"));
            }
        }
        if let Some(given) = &raw.zero_share {
            content.zero_share = *given.get_ref();
            if !(0.0..=1.0).contains(&content.zero_share) {
                return Err(self.fault("zero-share", given.span(), "0 to 1"));
            }
        }
        Ok(content)
    }

    fn whole(&self, key: &str, given: &Given<i64>, range: RangeInclusive<u64>) -> Checked<Option<u64>> {
        let Some(given) = given else { return Ok(None) };
        match u64::try_from(*given.get_ref()) {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(self.fault(key, given.span(), format!("{} to {}", range.start(), range.end()))),
        }
    }

    /// `bytes` counts any number; places and strides are of whole sectors.
    fn size(&self, key: &str, given: &Given<Size>, range: RangeInclusive<u64>) -> Checked<Option<u64>> {
        let Some(given) = given else { return Ok(None) };
        let size = given.get_ref().0;
        let sectors = key == "bytes" || size.is_multiple_of(SECTOR);
        if range.contains(&size) && sectors {
            return Ok(Some(size));
        }
        let (least, most) = (Size(*range.start()), Size(*range.end()));
        Err(self.fault(key, given.span(), format!("a multiple of 512 from {least} to {most}")))
    }

    fn period(&self, key: &str, given: &Given<Period>, range: RangeInclusive<Period>) -> Checked<Option<Period>> {
        let Some(given) = given else { return Ok(None) };
        if range.contains(given.get_ref()) {
            return Ok(Some(*given.get_ref()));
        }
        Err(self.fault(key, given.span(), format!("{} to {}", range.start(), range.end())))
    }
}

/// What nobody would wait for.
fn refuse_endless(phases: &[Phase], repeat: u64) -> Result<(), String> {
    let (mut ops, mut length_ns) = (0u64, 0u64);
    for phase in phases {
        let streams = || phase.streams.iter().map(|(_, stream)| estimate(stream));
        ops = streams().fold(ops, |sum, one| sum.saturating_add(one.ops));
        // They run side by side.
        length_ns = length_ns.saturating_add(streams().map(|one| one.length_ns).max().unwrap_or(0));
    }
    let (ops, length_ns) = (ops.saturating_mul(repeat), length_ns.saturating_mul(repeat));
    if ops > MAX_OPS {
        return Err(format!("about {ops} operations; at most {MAX_OPS}, write fewer"));
    }
    if length_ns > YEAR.0 {
        let days = length_ns / DAY.0;
        return Err(format!("about {days} days long; at most 365: shorten delays, gaps or durations, or repeat less"));
    }
    Ok(())
}

fn is_on(given: &Given<bool>) -> bool {
    given.as_ref().is_some_and(|given| *given.get_ref())
}

/// Whether a key means anything to a shape.
fn belongs(key: &str, shape: RawShape) -> bool {
    use RawShape::{Discard, Flush, Hotspot, Log, Sequential, SmallFiles, Strided, Uniform, Zipf};
    match key {
        "delay" | "depth" | "think-time" => true,
        "read-percent" => matches!(shape, Sequential | Strided | Uniform | Zipf | Hotspot),
        "run" => matches!(shape, Uniform | Zipf | Hotspot),
        "theta" => shape == Zipf,
        "hot-area-percent" | "hot-request-percent" => shape == Hotspot,
        "stride" => shape == Strided,
        "files" | "flush-each-burst" => shape == SmallFiles,
        "gap" => shape == Discard,
        "flush-every-writes" | "flush-before" | "durable" | "content" => {
            matches!(shape, Sequential | Strided | Uniform | Zipf | Hotspot | Log | SmallFiles)
        }
        _ => shape != Flush,
    }
}

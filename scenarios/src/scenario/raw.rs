//! A scenario file as it is written, before anything is checked but types and the names of keys.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::period::Period;
use crate::size::Size;

/// A value with its place in the file, if it is there.
pub(super) type Given<T> = Option<Spanned<T>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawScenario {
    pub name: Spanned<String>,
    pub question: Spanned<String>,
    pub span: Spanned<Size>,
    pub seed: Given<i64>,
    pub depth: Given<i64>,
    pub think_time: Given<Period>,
    pub prefill: Given<RawPrefill>,
    pub repeat: Given<i64>,
    #[serde(default)]
    pub content: RawContent,
    pub arrivals: Given<RawArrivals>,
    #[serde(default)]
    pub phase: Vec<Spanned<RawStream>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawContent {
    pub compressibility: Given<f64>,
    pub zero_share: Given<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawArrivals {
    pub kind: Spanned<RawArrivalKind>,
    pub every: Given<Period>,
    pub rate: Given<f64>,
    pub on: Given<Period>,
    pub off: Given<Period>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawArrivalKind {
    Regular,
    Poisson,
    Bursty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawShape {
    Sequential,
    Strided,
    Uniform,
    Zipf,
    Hotspot,
    Log,
    SmallFiles,
    Discard,
    Flush,
}

/// A phase that is one stream, a phase of several, or one of those.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStream {
    #[serde(default)]
    pub stream: Vec<Spanned<RawStream>>,
    pub shape: Given<RawShape>,
    pub request: Given<RawSizes>,
    pub requests: Given<i64>,
    pub bytes: Given<Size>,
    pub duration: Given<Period>,
    pub area_start: Given<Size>,
    pub area_size: Given<Size>,
    pub read_percent: Given<i64>,
    pub run: Given<i64>,
    pub theta: Given<f64>,
    pub hot_area_percent: Given<i64>,
    pub hot_request_percent: Given<i64>,
    pub stride: Given<Size>,
    pub files: Given<i64>,
    pub gap: Given<Size>,
    pub arrivals: Given<RawArrivals>,
    pub delay: Given<Period>,
    pub flush_every_writes: Given<i64>,
    pub flush_every: Given<Period>,
    pub flush_at_end: Given<bool>,
    pub flush_each_burst: Given<bool>,
    pub flush_before: Given<bool>,
    pub durable: Given<bool>,
    pub content: Option<RawContent>,
    pub depth: Given<i64>,
    pub think_time: Given<Period>,
}

/// Where a key of a stream stands, if it does.
pub(super) type KeyPlace = (&'static str, Option<std::ops::Range<usize>>);

impl RawStream {
    /// All keys but `stream` and `shape`.
    pub(super) fn places(&self) -> [KeyPlace; 25] {
        fn at<T>(given: &Given<T>) -> Option<std::ops::Range<usize>> {
            given.as_ref().map(Spanned::span)
        }
        let content = self.content.as_ref().and_then(|one| at(&one.compressibility).or(at(&one.zero_share)));
        [
            ("request", at(&self.request)),
            ("requests", at(&self.requests)),
            ("bytes", at(&self.bytes)),
            ("duration", at(&self.duration)),
            ("area-start", at(&self.area_start)),
            ("area-size", at(&self.area_size)),
            ("read-percent", at(&self.read_percent)),
            ("run", at(&self.run)),
            ("theta", at(&self.theta)),
            ("hot-area-percent", at(&self.hot_area_percent)),
            ("hot-request-percent", at(&self.hot_request_percent)),
            ("stride", at(&self.stride)),
            ("files", at(&self.files)),
            ("gap", at(&self.gap)),
            ("arrivals", at(&self.arrivals)),
            ("delay", at(&self.delay)),
            ("flush-every-writes", at(&self.flush_every_writes)),
            ("flush-every", at(&self.flush_every)),
            ("flush-at-end", at(&self.flush_at_end)),
            ("flush-each-burst", at(&self.flush_each_burst)),
            ("flush-before", at(&self.flush_before)),
            ("durable", at(&self.durable)),
            ("content", content),
            ("depth", at(&self.depth)),
            ("think-time", at(&self.think_time)),
        ]
    }
}

/// `true`, `false`, or so much of the span's start.
#[derive(Clone, Copy)]
pub(super) enum RawPrefill {
    All(bool),
    Part(Size),
}

/// One size, or several with weights.
pub(super) struct RawSizes(pub Vec<RawWeighted>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWeighted {
    pub size: Size,
    pub weight: i64,
}

impl<'de> Deserialize<'de> for RawPrefill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrefillVisitor)
    }
}

struct PrefillVisitor;

impl Visitor<'_> for PrefillVisitor {
    type Value = RawPrefill;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a size as \"256m\"")
    }

    fn visit_bool<E: Error>(self, all: bool) -> Result<RawPrefill, E> {
        Ok(RawPrefill::All(all))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<RawPrefill, E> {
        Size::deserialize(serde::de::value::I64Deserializer::new(bytes)).map(RawPrefill::Part)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawPrefill, E> {
        Size::deserialize(serde::de::value::StrDeserializer::new(text)).map(RawPrefill::Part)
    }
}

impl<'de> Deserialize<'de> for RawSizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizesVisitor)
    }
}

struct SizesVisitor;

impl SizesVisitor {
    fn one(size: Size) -> RawSizes {
        RawSizes(vec![RawWeighted { size, weight: 1 }])
    }
}

impl<'de> Visitor<'de> for SizesVisitor {
    type Value = RawSizes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size as \"4k\", or a list of sizes with weights as [{ size = \"4k\", weight = 3 }]")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<RawSizes, E> {
        Size::deserialize(serde::de::value::I64Deserializer::new(bytes)).map(Self::one)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawSizes, E> {
        Size::deserialize(serde::de::value::StrDeserializer::new(text)).map(Self::one)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawSizes, A::Error> {
        let mut sizes = Vec::new();
        while let Some(one) = list.next_element()? {
            sizes.push(one);
        }
        Ok(RawSizes(sizes))
    }
}

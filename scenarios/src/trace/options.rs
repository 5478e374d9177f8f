//! What a reader cannot know from the trace itself.

use std::fmt;
use std::str::FromStr;

use super::format::Format;

/// How to read a trace; the default lets the content decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Reads the trace as this format, whatever it looks like.
    pub format: Option<Format>,
    /// What `wait` means in a fio iolog of version 2.
    pub wait: WaitMeaning,
    /// The unit of time in MQSim, SSDSim and DiskSim ascii; nothing: the format's own.
    pub time_unit: Option<TimeUnit>,
    /// Bytes of a block in SPC and ARC traces, from 1; nothing: 512.
    pub block_bytes: Option<u64>,
}

impl Options {
    /// Reads the trace as `format`.
    pub fn of(format: Format) -> Self {
        Self { format: Some(format), ..Self::default() }
    }
}

/// The number of a `wait` line in a fio iolog of version 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMeaning {
    /// What fio's manual says. Unlike fio we keep those below 100.
    #[default]
    MicrosecondsSincePrevious,
    /// What fio 3.33 does.
    MillisecondsFromStart,
}

impl WaitMeaning {
    const NAMES: [(&str, WaitMeaning); 2] =
        [("us-since-previous", Self::MicrosecondsSincePrevious), ("ms-from-start", Self::MillisecondsFromStart)];
}

impl fmt::Display for WaitMeaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MicrosecondsSincePrevious => "us-since-previous",
            Self::MillisecondsFromStart => "ms-from-start",
        })
    }
}

impl FromStr for WaitMeaning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| "is neither us-since-previous nor ms-from-start".into())
    }
}

/// A unit of time of the simulators' traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    Picoseconds,
    Nanoseconds,
    Microseconds,
    Milliseconds,
}

impl TimeUnit {
    /// Nanoseconds of so many units.
    pub(super) fn ratio(self) -> (u64, u64) {
        match self {
            Self::Picoseconds => (1, 1000),
            Self::Nanoseconds => (1, 1),
            Self::Microseconds => (1000, 1),
            Self::Milliseconds => (1_000_000, 1),
        }
    }
}

impl FromStr for TimeUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ps" => Ok(Self::Picoseconds),
            "ns" => Ok(Self::Nanoseconds),
            "us" => Ok(Self::Microseconds),
            "ms" => Ok(Self::Milliseconds),
            _ => Err("is none of ps, ns, us, ms".into()),
        }
    }
}

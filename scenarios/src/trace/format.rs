//! The formats by name.

use std::fmt;
use std::str::FromStr;

/// The formats this build reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    VscsiV1,
    VscsiV2,
    /// With the letter of the event that stands for a request: Q, D or C.
    Blktrace(char),
    /// Text of blkparse or of the kernel's blk tracer; the letter as above.
    Blkparse(char),
    FioV2,
    FioV3,
    Msr,
    Spc,
    Alibaba,
    Tencent,
    CloudPhysics,
    /// And SSDSim, which writes the same.
    MqSim,
    DiskSim,
    Arc,
    OracleGeneral,
    Csv,
    S3bt,
}

impl Format {
    /// Every format by the name that chooses it.
    pub const NAMES: [(&str, Format); 21] = [
        ("vscsi-v1", Self::VscsiV1),
        ("vscsi-v2", Self::VscsiV2),
        ("blktrace-q", Self::Blktrace('Q')),
        ("blktrace-d", Self::Blktrace('D')),
        ("blktrace-c", Self::Blktrace('C')),
        ("blkparse-q", Self::Blkparse('Q')),
        ("blkparse-d", Self::Blkparse('D')),
        ("blkparse-c", Self::Blkparse('C')),
        ("fio-v2", Self::FioV2),
        ("fio-v3", Self::FioV3),
        ("msr", Self::Msr),
        ("spc", Self::Spc),
        ("alibaba", Self::Alibaba),
        ("tencent", Self::Tencent),
        ("cloudphysics", Self::CloudPhysics),
        ("mqsim", Self::MqSim),
        ("disksim", Self::DiskSim),
        ("arc", Self::Arc),
        ("oracle-general", Self::OracleGeneral),
        ("csv", Self::Csv),
        ("s3bt", Self::S3bt),
    ];

    /// The name that chooses it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("unknown", |(name, _)| name)
    }

    /// Whether its records say when they happened.
    pub fn has_times(self) -> bool {
        self != Self::Arc
    }

    /// Whether its times are whole seconds, over which we spread what shares one.
    pub fn has_whole_seconds(self) -> bool {
        matches!(self, Self::Tencent | Self::CloudPhysics | Self::OracleGeneral)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VscsiV1 => "vscsi v1",
            Self::VscsiV2 => "vscsi v2",
            Self::Blktrace(event) => return write!(f, "blktrace binary ({event} events)"),
            Self::Blkparse(event) => return write!(f, "blkparse text ({event} events)"),
            Self::FioV2 => "fio iolog v2",
            Self::FioV3 => "fio iolog v3",
            Self::Msr => "MSR csv",
            Self::Spc => "SPC csv",
            Self::Alibaba => "Alibaba csv",
            Self::Tencent => "Tencent csv",
            Self::CloudPhysics => "CloudPhysics csv",
            Self::MqSim => "MQSim ascii",
            Self::DiskSim => "DiskSim ascii",
            Self::Arc => "ARC lis",
            Self::OracleGeneral => "oracleGeneral",
            Self::Csv => "csv",
            Self::S3bt => "s3bt",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("is no trace format; known: {}", names.join(", "))
        })
    }
}

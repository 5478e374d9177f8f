//! The flags that say how to read a trace; every command that reads one takes them.

use clap::Args;
use s3b_scenarios::trace::{Format, Options, TimeUnit, WaitMeaning};

#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Reading traces")]
pub struct TraceOptions {
    /// Read the trace as this format instead of recognising it by its content: vscsi-v1, vscsi-v2, blktrace-q (-d, -c),
    /// blkparse-q (-d, -c), fio-v2, fio-v3, msr, spc, alibaba, tencent, cloudphysics, mqsim, disksim, arc,
    /// oracle-general, csv, s3bt
    #[arg(long, value_name = "FORMAT")]
    pub from: Option<Format>,
    /// What `wait` means in a fio iolog v2: us-since-previous (fio's manual) or ms-from-start (what fio does)
    #[arg(long, value_name = "MEANING", default_value_t)]
    pub iolog_wait: WaitMeaning,
    /// Unit of time in MQSim, SSDSim and DiskSim traces: ps, ns, us, ms (default: ns, and ms for DiskSim)
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<TimeUnit>,
    /// Bytes of a block in SPC and ARC traces (default: 512)
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub trace_block: Option<u64>,
}

impl TraceOptions {
    pub fn options(&self) -> Options {
        let Self { from, iolog_wait, time_unit, trace_block } = *self;
        Options { format: from, wait: iolog_wait, time_unit, block_bytes: trace_block }
    }
}

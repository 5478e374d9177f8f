//! The workloads of a sweep: recorded once for many simulations, and described for the reader.

use std::sync::Arc;

use anyhow::{Result, bail};
use s3b_scenarios::Scenario;
use s3b_scenarios::content::ContentProperties;
use s3b_scenarios::trace::Options;

use super::digest::Digest;
use crate::analysis;
use crate::analysis::curve::Curves;
use crate::analysis::fingerprint::Gatherer;
use crate::outcome::{WorkloadInfo, WorkloadSource};
use crate::report::inspect;
use crate::simulate::Tape;
use crate::workload::Workload;

/// Block sizes whose miss-ratio curves are shown.
const CURVES: [u64; 4] = [4 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Distinct blocks that are followed exactly; beyond, a sample of them.
const FOLLOWED_BLOCKS: usize = 1 << 17;

/// One workload of a sweep.
pub struct Subject {
    pub name: String,
    pub tape: Arc<Tape>,
    pub info: WorkloadInfo,
    /// Of all that a run of it depends on.
    pub digest: String,
    /// Of how a trace was recorded.
    pub notices: Vec<String>,
}

/// Where the workloads come from.
pub struct Chosen {
    pub traces: Vec<String>,
    pub scenarios: Vec<String>,
    /// Multiplies the scenarios' operations and spans.
    pub scale: u64,
    /// Operations taken from the beginning of each trace; nothing: all.
    pub trace_ops: Option<u64>,
    /// Of traces, if the user says it.
    pub content: Option<ContentProperties>,
    /// How traces are read.
    pub reading: Options,
}

/// The named workloads, or the built-in scenarios where none is named: the five short ones if every configuration runs for
/// real. All weigh the same.
///
/// # Errors
/// Of the first that cannot be read.
pub fn load(chosen: &Chosen, simulates: bool) -> Result<Vec<Subject>> {
    let mut workloads = Vec::new();
    for name in chosen.traces.iter().chain(&chosen.scenarios) {
        let mut workload = Workload::load_with(name, &chosen.reading)?.scaled(chosen.scale);
        if let Some(content) = chosen.content
            && workload.is_trace()
        {
            workload = workload.with_content(content);
        }
        if let Some(ops) = chosen.trace_ops {
            workload = workload.limited(ops)?;
        }
        workloads.push((name.clone(), workload));
    }
    if workloads.is_empty() {
        let all = if simulates { Scenario::built_in() } else { Scenario::basic() };
        workloads = all
            .into_iter()
            .map(|scenario| (scenario.name.clone(), Workload::of_scenario(scenario.scaled(chosen.scale))))
            .collect();
    }
    let names = names(&workloads.iter().map(|(name, _)| &**name).collect::<Vec<_>>())?;
    let weight = 1.0 / workloads.len() as f64;
    let stated = chosen.content.is_some();
    let named = names.into_iter().zip(workloads);
    named.map(|(name, (_, workload))| subject(name, workload, weight, stated)).collect()
}

/// The last part of each path, or all of it where the last part is another's as well.
fn names(paths: &[&str]) -> Result<Vec<String>> {
    let real = |path: &str| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    for (n, path) in paths.iter().enumerate() {
        if paths[..n].iter().any(|other| real(other) == real(path)) {
            bail!("{path}: given twice; every workload counts once");
        }
    }
    let alike = |path: &str| paths.iter().filter(|other| short_name(other) == short_name(path)).count();
    Ok(paths.iter().map(|path| if alike(path) > 1 { (*path).to_owned() } else { short_name(path) }).collect())
}

/// The last part of a path.
fn short_name(name: &str) -> String {
    std::path::Path::new(name).file_name().map_or_else(|| name.to_owned(), |last| last.to_string_lossy().into_owned())
}

fn subject(name: String, workload: Workload, weight: f64, stated: bool) -> Result<Subject> {
    let is_trace = workload.is_trace();
    let content = workload.content();
    let title = workload.question().unwrap_or(&workload.title).to_owned();
    let starts = workload.device_starts(1)?;
    let mut gatherer = Gatherer::new(&CURVES, FOLLOWED_BLOCKS);
    let mut curves = Curves::new(&CURVES, FOLLOWED_BLOCKS);
    let mut digest = Digest::default();
    analysis::walk(workload.ops()?, &starts, |op, at| {
        digest.op(op);
        gatherer.add(op, at);
        curves.add(op, at);
    })?;
    let fingerprint =
        curves.of(CURVES[0]).map(|pages| inspect::lines(&gatherer.fingerprint(pages))).unwrap_or_default();
    let summary = &workload.summary;
    let info = WorkloadInfo {
        name: name.clone(),
        title,
        source: if is_trace { WorkloadSource::Trace } else { WorkloadSource::Scenario },
        ops: summary.ops(),
        bytes: summary.read_bytes + summary.write_bytes,
        seconds: summary.duration_ns as f64 / 1e9,
        weight,
        compressibility: content.compressibility,
        zero_share: content.zero_share,
        content_assumed: is_trace && !stated,
        fingerprint,
        miss_ratio_curves: curves.curves(None).iter().map(Into::into).collect(),
        windows: Vec::new(),
    };
    let notices = workload.notices.clone();
    let tape = Arc::new(Tape::of(workload)?);
    digest.add(&(tape.content, &tape.streams, tape.depth, tape.found, &tape.summary.device_ends));
    Ok(Subject { name, tape, info, digest: digest.finish(), notices })
}

/// What a reader of the result should know of the traces, each with its name.
pub fn notices(subjects: &[Subject]) -> Vec<String> {
    let of = |subject: &Subject| {
        subject.notices.iter().map(|notice| format!("{}: {notice}", subject.name)).collect::<Vec<_>>()
    };
    subjects.iter().flat_map(of).collect()
}

//! What a user names as TRACE|SCENARIO: a built-in scenario, a scenario file, or a recorded trace, told apart by content.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use s3b_scenarios::content::ContentProperties;
use s3b_scenarios::random::Random;
use s3b_scenarios::trace::{Options, Skipped};
use s3b_scenarios::{Op, OpKind, Origin, Scenario, StreamProperties, Summary, Trace, TraceError};

/// A workload that was read through once, so that its extent is known and its errors were found.
pub struct Workload {
    source: Source,
    pub summary: Summary,
    /// For people: name and format.
    pub title: String,
    pub skipped: Skipped,
    /// What a person should know of how a trace was recorded: sentences without a full stop.
    pub notices: Vec<String>,
    /// Operations taken from the beginning; nothing: all.
    limit: Option<u64>,
    /// What the writes of a trace are taken to carry.
    trace_content: ContentProperties,
    /// How many times as fast as its own times say.
    speed: f64,
}

enum Source {
    Scenario(Box<Scenario>),
    /// And how to read it.
    Trace(PathBuf, Options),
}

/// Operations outstanding when a trace is run as fast as possible and nothing else is said.
const TRACE_DEPTH: usize = 32;

/// Which writes of a trace are zero, where a share of them is said to be; the same ones in every run.
const ZEROS_SEED: u64 = 0x2e;

/// A file larger than this is no scenario.
const SCENARIO_BYTES: u64 = 1 << 20;

impl Workload {
    /// # Errors
    /// An unknown name, or whatever is wrong with the file, with the place in it.
    pub fn load(name: &str) -> Result<Self> {
        Self::load_with(name, &Options::default())
    }

    /// The same, with what the content of a trace does not tell; scenarios need none of it.
    ///
    /// # Errors
    /// As [`Workload::load`].
    pub fn load_with(name: &str, options: &Options) -> Result<Self> {
        if let Some(scenario) = Scenario::named(name) {
            return Ok(Self::of_scenario(scenario));
        }
        let path = Path::new(name);
        let mut trace = match Trace::open_with(path, options) {
            Ok(trace) => trace,
            Err(TraceError::Unknown { .. }) if is_text(path) => return Self::load_scenario(path),
            Err(TraceError::Open { what, .. }) if !path.exists() => {
                let all = Scenario::built_in().into_iter().chain(Scenario::basic());
                let names: Vec<String> = all.map(|scenario| scenario.name).collect();
                bail!("{name}: {what}, and no scenario of that name; scenarios: {}", names.join(", "));
            }
            Err(error) => return Err(error.into()),
        };
        let summary = Summary::of(trace.by_ref())?;
        let notices = trace.notices();
        if summary.ops() == 0 {
            let why: String = notices.iter().map(|notice| format!("; {notice}")).collect();
            bail!("{name}: holds no read, write, flush or discard{why}");
        }
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let title = format!("{file} ({})", trace.format());
        let (source, trace_content) = (Source::Trace(path.to_owned(), *options), ContentProperties::default());
        Ok(Self { source, summary, title, skipped: trace.skipped(), notices, limit: None, trace_content, speed: 1.0 })
    }

    pub fn of_scenario(scenario: Scenario) -> Self {
        let mut summary = Summary::default();
        scenario.ops().for_each(|op| summary.add(&op));
        // Its volume is the same whatever of it is touched.
        summary.device_ends = vec![scenario.span.0];
        let title = scenario.name.clone();
        let (source, trace_content) = (Source::Scenario(Box::new(scenario)), ContentProperties::default());
        Self {
            source,
            summary,
            title,
            skipped: Skipped::default(),
            notices: Vec::new(),
            limit: None,
            trace_content,
            speed: 1.0,
        }
    }

    /// A scenario with `factor` times the operations and span; a trace as it is.
    #[must_use]
    pub fn scaled(self, factor: u64) -> Self {
        match self.source {
            Source::Scenario(scenario) => Self::of_scenario(scenario.scaled(factor)),
            Source::Trace(..) => self,
        }
    }

    /// At most so many operations of a trace; a scenario as it is.
    pub fn limited(mut self, ops: u64) -> Result<Self> {
        if self.is_trace() && self.summary.ops() > ops {
            self.limit = Some(ops);
            self.summary = Summary::of(self.ops()?)?;
        }
        Ok(self)
    }

    /// So many times as fast. For a replay alone: delays and flush intervals of settings do not scale with it.
    #[must_use]
    pub fn at_speed(mut self, factor: f64) -> Self {
        self.speed *= factor;
        self.summary.duration_ns = sooner(self.summary.duration_ns, factor);
        self
    }

    fn load_scenario(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::of_scenario(Scenario::parse(&path.display().to_string(), &text)?))
    }

    /// A trace with content, which none has recorded: each write is zero with the probability given. A scenario as it
    /// is: it says what it writes.
    #[must_use]
    pub fn with_content(mut self, content: ContentProperties) -> Self {
        self.trace_content = content;
        self
    }

    /// The operations from the beginning.
    pub fn ops(&self) -> Result<Box<dyn Iterator<Item = Result<Op>> + Send>> {
        let ops: Box<dyn Iterator<Item = Result<Op>> + Send> = match &self.source {
            Source::Scenario(scenario) => Box::new(scenario.ops().map(Ok)),
            Source::Trace(path, options) => {
                let mut random = Random::new(ZEROS_SEED);
                let zero_share = self.trace_content.zero_share;
                let ops = Trace::open_with(path, options)?.map(move |op| {
                    let op = op?;
                    let zero = op.kind == OpKind::Write && random.chance(zero_share);
                    Ok(Op { origin: Origin::new(0, zero), ..op })
                });
                Box::new(ops.take(self.limit.map_or(usize::MAX, |limit| limit as usize)))
            }
        };
        if self.speed == 1.0 {
            return Ok(ops);
        }
        let speed = self.speed;
        let faster = move |op: Op| Op { time_ns: sooner(op.time_ns, speed), ..op };
        Ok(Box::new(ops.map(move |op| op.map(faster))))
    }

    /// What its author asks; a trace asks nothing.
    pub fn question(&self) -> Option<&str> {
        match &self.source {
            Source::Scenario(scenario) => Some(&scenario.question),
            Source::Trace(..) => None,
        }
    }

    pub fn is_trace(&self) -> bool {
        matches!(self.source, Source::Trace(..))
    }

    /// What the data carries that is there before the first operation, and what writes carry unless their stream says
    /// otherwise. Traces have no content; theirs is taken as the expensive kind.
    pub fn content(&self) -> ContentProperties {
        match &self.source {
            Source::Scenario(scenario) => scenario.content,
            Source::Trace(..) => self.trace_content,
        }
    }

    /// What each operation's writes carry, and its bounds in a closed loop, by [`Origin::stream`].
    pub fn streams(&self) -> Vec<StreamProperties> {
        match &self.source {
            Source::Scenario(scenario) => scenario.streams(),
            Source::Trace(..) => vec![StreamProperties { content: self.trace_content, ..StreamProperties::default() }],
        }
    }

    /// Bytes from the start of the volume that a scenario finds in place; nothing for a trace, which finds what it reads.
    pub fn prefilled_bytes(&self) -> Option<u64> {
        match &self.source {
            Source::Scenario(scenario) => Some(scenario.prefill.0),
            Source::Trace(..) => None,
        }
    }

    /// Operations outstanding when run as fast as possible.
    pub fn depth(&self) -> usize {
        match &self.source {
            Source::Scenario(scenario) => scenario.depth as usize,
            Source::Trace(..) => TRACE_DEPTH,
        }
    }

    /// Where each device begins in a volume of this block size, and at last the volume's size.
    ///
    /// # Errors
    /// It is larger than any volume.
    pub fn device_starts(&self, block_size: u64) -> Result<Vec<u64>> {
        device_starts(&self.summary, &self.title, block_size)
    }
}

/// Where each device of a workload begins in a volume of this block size, and at last the volume's size.
///
/// # Errors
/// It is larger than any volume.
pub fn device_starts(summary: &Summary, title: &str, block_size: u64) -> Result<Vec<u64>> {
    let starts = summary.stacked(block_size);
    let starts = starts.with_context(|| format!("{title}: reaches beyond 64-bit offsets"))?;
    // A workload of flushes alone still needs a volume.
    Ok(if starts.last() == Some(&0) { vec![0, block_size] } else { starts })
}

fn sooner(time_ns: u64, factor: f64) -> u64 {
    (time_ns as f64 / factor) as u64
}

/// A bit for each block of a volume.
pub struct BlockSet(Vec<u64>);

impl BlockSet {
    /// Room for this many blocks.
    pub fn new(blocks: u32) -> Self {
        Self(vec![0; (blocks as usize).div_ceil(64)])
    }

    pub fn insert(&mut self, block: u32) {
        self.0[block as usize / 64] |= 1 << (block % 64);
    }

    pub fn contains(&self, block: u32) -> bool {
        self.0[block as usize / 64] >> (block % 64) & 1 == 1
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(n, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| n as u32 * 64 + bit))
    }
}

fn is_text(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= SCENARIO_BYTES);
    small && std::fs::read_to_string(path).is_ok_and(|text| text.contains('=') && text.contains('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_files_and_mistakes() {
        assert_eq!(Workload::load("discard").unwrap().title, "discard");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("anything");
        let scenario = "name = \"mine\"\nquestion = \"?\"\nspan = \"1m\"\ndepth = 2\n\
            arrivals = { kind = \"regular\", every = \"5us\" }\n\
            [[phase]]\nshape = \"sequential\"\nrequest = \"4k\"\nrequests = 3\n";
        std::fs::write(&file, scenario).unwrap();
        let name = file.to_str().unwrap();
        let workload = Workload::load(name).unwrap();
        assert_eq!((workload.depth(), workload.summary.writes), (2, 3));
        std::fs::write(&file, scenario.replace("span", "spam")).unwrap();
        let error = Workload::load(name).err().unwrap().to_string();
        assert!(error.contains("spam") && error.contains(name), "{error}");
        let error = Workload::load("sequential-wrote").err().unwrap().to_string();
        assert!(error.contains("oltp, mail") && error.contains("sequential-write, sequential-read"), "{error}");
    }

    #[test]
    fn a_trace_has_the_content_that_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trace");
        let mut bytes = Vec::new();
        for n in 0..1000u32 {
            bytes.extend([n, 4096, 1].map(u32::to_le_bytes).concat());
            // vscsi v1: a ten-byte write or read.
            bytes.extend([if n % 2 == 0 { 0x2a } else { 0x28 }, 0x0100u16].map(u16::to_le_bytes).concat());
            bytes.extend([u64::from(n) * 8, 5_000_000 + u64::from(n)].map(u64::to_le_bytes).concat());
        }
        std::fs::write(&file, bytes).unwrap();
        let plain = Workload::load(file.to_str().unwrap()).unwrap();
        assert!(plain.ops().unwrap().all(|op| !op.unwrap().origin.is_zero()));
        let content = ContentProperties { compressibility: 3.0, zero_share: 0.2 };
        let given = plain.with_content(content);
        let zeros: Vec<Op> = given.ops().unwrap().map(Result::unwrap).filter(|op| op.origin.is_zero()).collect();
        assert!((70..130).contains(&zeros.len()), "{} of 500 writes", zeros.len());
        assert!(zeros.iter().all(|op| op.kind == OpKind::Write));
        assert_eq!(given.streams()[0].content, content);
    }

    #[test]
    fn a_speed_scales_times_and_nothing_else() {
        let plain = Workload::load("mail").unwrap();
        let (before, ends) = (plain.summary.clone(), plain.device_starts(4096).unwrap());
        let fast = plain.at_speed(4.0);
        assert_eq!(fast.summary.duration_ns, before.duration_ns / 4);
        assert_eq!(fast.summary.duration_ns, fast.ops().unwrap().map(|op| op.unwrap().time_ns).max().unwrap());
        assert_eq!((fast.summary.ops(), fast.device_starts(4096).unwrap()), (before.ops(), ends));
    }
}

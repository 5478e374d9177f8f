//! What judging came to: the table, and every figure behind it.

use serde::{Deserialize, Serialize};

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub measures: Vec<Judged>,
    /// Every figure of every pair.
    pub figures: Vec<Figure>,
    pub notes: Vec<String>,
}

/// A row of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub measure: String,
    /// How its numbers are to be read.
    pub unit: Unit,
    /// Whether found must be at least the bound, instead of at most.
    pub at_least: bool,
    /// As promised.
    pub stated: f64,
    /// What two runs of the same differ by, read off in the same way; nothing: not measured, or of no meaning here.
    pub noise: Option<f64>,
    /// The wider of the two.
    pub bound: f64,
    /// `None`: nothing there to judge.
    pub found: Option<f64>,
    pub worst: Option<f64>,
    /// Figures (or draws, or pairs in order) that it rests on.
    pub count: usize,
    /// `None`: not judged.
    pub reached: Option<bool>,
    /// Reached only because the bound is as wide as the noise: beyond what was promised. The noisier the machine, the more
    /// of it; absent in results of earlier programs.
    #[serde(default)]
    pub within_noise: bool,
    /// Pairs of runs that the noise rests on; 0 of draws.
    #[serde(default)]
    pub repeats: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Shown in percent.
    #[default]
    Share,
    /// As it is.
    Number,
}

/// One figure of one pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub measure: String,
    /// `read`, `write`, `flush`; empty for what is of no kind.
    pub kind: String,
    pub configuration: usize,
    pub workload: usize,
    /// Requests, dollars, a ratio, bytes per second or milliseconds.
    pub predicted: f64,
    pub measured: f64,
    /// 95 % interval of what was measured, where one is known.
    pub interval: Option<[f64; 2]>,
    /// The largest of what two runs of this pair differ by, as the error is told.
    pub noise: Option<f64>,
    /// As a share; of ratios, the difference. 0 where the prediction lies inside the interval.
    pub error: f64,
}

impl Judged {
    /// What was found must be at least what is stated; noise widens nothing.
    pub fn at_least(measure: &str, unit: Unit, stated: f64, found: Option<f64>, count: usize) -> Self {
        let (measure, reached) = (measure.to_owned(), found.map(|found| found >= stated));
        Self { measure, unit, at_least: true, stated, bound: stated, found, count, reached, ..Self::default() }
    }

    /// What was found must be at most the wider of what is stated and the noise.
    pub fn at_most(measure: String, stated: f64, noise: Option<f64>, found: Option<f64>) -> Self {
        let bound = noise.map_or(stated, |noise| noise.max(stated));
        let reached = found.map(|found| found <= bound);
        let within_noise = reached == Some(true) && found > Some(stated);
        Self { measure, stated, noise, bound, found, reached, within_noise, ..Self::default() }
    }

    /// The word of the table.
    pub fn verdict(&self) -> &'static str {
        match self.reached {
            Some(true) if self.within_noise => "within noise",
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not judged",
        }
    }
}

impl Judgement {
    /// Whether everything that could be judged was reached, and something could.
    pub fn is_reached(&self) -> bool {
        let judged: Vec<bool> = self.measures.iter().filter_map(|row| row.reached).collect();
        !judged.is_empty() && judged.iter().all(|reached| *reached)
    }
}

//! From rows to an answer: what they break, which is chosen, and why. The same for simulated rows, after each round of real
//! runs, and at the end, so that what is told of the recommended one is told of the one that is recommended.

use super::grid::{BLOCK_SIZE, Grid, THREADS};
use super::request::Request;
use super::subjects::Subject;
use super::summary::{Frame, summary};
use crate::answer::choose::{Question, Scores, choose};
use crate::answer::guard;
use crate::answer::reasons::reasons;
use crate::outcome::{Answer, Axis, Configuration, Reason};

/// What does not change while a sweep runs.
pub struct Asked<'a> {
    request: &'a Request,
    names: Vec<String>,
    weights: Vec<f64>,
    block_size: Option<usize>,
    threads: Option<usize>,
}

impl<'a> Asked<'a> {
    pub fn of(request: &'a Request, subjects: &[Subject], grid: &Grid) -> Self {
        Self {
            request,
            names: subjects.iter().map(|subject| subject.name.clone()).collect(),
            weights: subjects.iter().map(|subject| subject.info.weight).collect(),
            block_size: grid.place_of(BLOCK_SIZE),
            threads: grid.place_of(THREADS),
        }
    }

    pub fn frame(&self) -> Frame<'_> {
        Frame { weights: &self.weights, prices: &self.request.prices, reader: self.request.reader }
    }

    /// Notes in each row what it breaks: the user's bounds, and the guard of tails against the default.
    pub fn mark(&self, rows: &mut [Configuration], default: Option<usize>) {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let default = default.filter(|_| self.request.goal.guards_tails()).map(|n| rows[n].clone());
        for row in rows {
            row.breaks = self.request.constraints.broken_by(row);
            row.breaks.extend(default.as_ref().and_then(|default| guard::broken_by(row, default, &names)));
        }
    }

    fn question<'b>(&'b self, rows: &'b [Configuration], pool: &'b [usize]) -> Question<'b> {
        Question {
            configurations: rows,
            weights: &self.weights,
            goal: self.request.goal,
            prices: &self.request.prices,
            reader: self.request.reader,
            pool,
            block_size: self.block_size,
            threads: self.threads,
            default: None,
            tie: 1.0,
        }
    }

    /// Of marked rows. `noise`: what two runs of the same differ by, as a share; nothing for simulations.
    pub fn choose(
        &self,
        rows: &[Configuration],
        pool: &[usize],
        default: Option<usize>,
        noise: Option<f64>,
    ) -> (Scores, Option<Answer>) {
        choose(&Question { default, tie: 1.0 + noise.unwrap_or(0.0), ..self.question(rows, pool) })
    }

    /// A sentence for each setting. Where no other value of a setting ran for real, both sides are taken from the
    /// simulation, and the sentence says so.
    pub fn reasons(
        &self,
        rows: &[Configuration],
        axes: &[Axis],
        scores: &Scores,
        (recommended, default): (usize, Option<usize>),
    ) -> Vec<Reason> {
        let mut found = reasons(rows, axes, scores, recommended);
        let ours = &rows[recommended];
        if ours.measured.is_empty() || ours.simulated.is_empty() {
            return found;
        }
        let mut simulated: Vec<Configuration> = rows.iter().map(|row| self.as_simulated(row)).collect();
        self.mark(&mut simulated, default);
        let pool: Vec<usize> = (0..rows.len()).filter(|n| simulated[*n].breaks.is_empty()).collect();
        let scores = Scores::new(&self.question(&simulated, &pool), &pool);
        for reason in reasons(&simulated, axes, &scores, recommended) {
            if !found.iter().any(|known| known.setting == reason.setting) {
                found.push(Reason { why: format!("in simulation, {}", reason.why), ..reason });
            }
        }
        found.sort_by_key(|reason| axes.iter().position(|axis| axis.name == reason.setting));
        found
    }

    /// A row as if nothing had run for real.
    fn as_simulated(&self, row: &Configuration) -> Configuration {
        let summary = match &row.simulated[..] {
            [] => row.summary.clone(),
            simulated => summary(simulated, self.frame(), row.summary.memory_bytes),
        };
        Configuration {
            values: row.values.clone(),
            simulated: row.simulated.clone(),
            summary,
            ..Configuration::default()
        }
    }
}

/// Why nothing may be recommended: what is broken most often, with an example of each.
pub fn why_none(rows: &[Configuration]) -> Vec<String> {
    /// More would not be read.
    const MOST: usize = 3;
    let ran = rows.iter().filter(|row| !row.runs().is_empty()).count();
    if ran == 0 {
        return vec![format!("none of {} configurations was run to its end", rows.len())];
    }
    // The phrase up to its figure names the bound.
    let mut bounds: Vec<(&str, &str, usize)> = Vec::new();
    for row in rows {
        let mut seen: Vec<&str> = Vec::new();
        for broken in &row.breaks {
            let bound = broken.split_once(": ").map_or(broken.as_str(), |(bound, _)| bound);
            if seen.contains(&bound) {
                continue;
            }
            seen.push(bound);
            match bounds.iter_mut().find(|(known, ..)| *known == bound) {
                Some((.., times)) => *times += 1,
                None => bounds.push((bound, broken, 1)),
            }
        }
    }
    bounds.sort_by_key(|(.., times)| std::cmp::Reverse(*times));
    let told = bounds.iter().take(MOST);
    told.map(|(_, example, times)| format!("{times} of {ran} configurations break {example}")).collect()
}

//! The result of a sweep: the table, the recommendation in words, and the same as JSON.

use s3b_scenarios::OpKind;
use serde::Serialize;

use super::numbers::{count, digits, dollars, mib, time};
use super::replay::JsonDurations;
use super::table::Table;
use crate::cost::{PRICES_DATED, Requests};
use crate::measure::{Durations, Measured, P99_SAMPLES};
use crate::recommend::{Candidate, Choice, compared, slower_by};
use crate::stats::{Noise, percent};
use crate::sweep::grid::Axis;
use crate::sweep::rounds::Tally;

/// Marks the form of the JSON; a changed meaning gets a new number.
const SCHEMA: &str = "s3b-tuner.sweep/1";

/// Beyond 25 % the answer is hardly one.
const MUCH_NOISE: f64 = 0.223;

/// Everything a report is made of.
pub struct Report<'a> {
    pub store: String,
    pub axes: &'a [Axis],
    pub tallies: &'a [Tally],
    pub candidates: &'a [Candidate],
    pub workloads: Vec<(String, Option<String>)>,
    pub choice: Option<&'a Choice>,
    pub reasons: Vec<(usize, String)>,
    pub caveats: Vec<String>,
    pub complete: bool,
    pub took_s: f64,
}

impl Report<'_> {
    pub fn text(&self) -> String {
        let mut out = format!("on {}\n\n", self.store);
        out.push_str(&self.table());
        match self.choice {
            Some(choice) => out.push_str(&self.answer(choice)),
            None => out.push_str("\nNo recommendation: no configuration completed a round without failures.\n"),
        }
        for caveat in &self.caveats {
            out.push_str(&format!("Note: {caveat}\n"));
        }
        out
    }

    fn named(&self, n: usize) -> String {
        let pairs = self.axes.iter().zip(&self.candidates[n].values);
        pairs.map(|(axis, value)| format!("{}={value}", axis.name())).collect::<Vec<_>>().join(" ")
    }

    /// A row for each configuration, fastest first; those without a complete round at the end.
    fn table(&self) -> String {
        let mut head: Vec<&str> = self.axes.iter().map(Axis::title).collect();
        head.extend([
            "slower by",
            "MiB/s",
            "read p50",
            "p99",
            "flush p50",
            "p99",
            "PUT",
            "GET",
            "MiB up",
            "down",
            "cost",
        ]);
        let mut table = Table::new(&[&[""], &head[..]].concat());
        let mut rows: Vec<usize> =
            (0..self.candidates.len()).filter(|n| !self.candidates[*n].scores.is_empty()).collect();
        let score = |n: usize| {
            let scores = &self.candidates[n].scores;
            scores.iter().sum::<f64>() / scores.len() as f64
        };
        rows.sort_by(|a, b| score(*a).total_cmp(&score(*b)));
        let mut few = false;
        for &n in &rows {
            let (tally, candidate) = (&self.tallies[n], &self.candidates[n]);
            let rounds = candidate.scores.len() as u64;
            let pooled = tally.pooled();
            let requests = tally.all_requests();
            let mark = match self.choice {
                Some(choice) if choice.winner == n => ">",
                Some(choice) if choice.tied.contains(&n) => "=",
                _ => "",
            };
            let mut row = vec![mark.to_owned()];
            row.extend(candidate.values.iter().cloned());
            let slower = percent(slower_by(candidate, &self.candidates[rows[0]]));
            row.push(if candidate.failures > 0 { "FAILED".into() } else { format!("{slower:.0} %") });
            row.push(digits(pooled.throughput() / f64::from(1 << 20)));
            for kind in [OpKind::Read, OpKind::Flush] {
                let latency = &pooled.kind(kind).latency;
                few |= (1..P99_SAMPLES).contains(&latency.count());
                row.extend([p(latency, 50.0), p(latency, 99.0)]);
            }
            let per_round = [requests.puts, requests.gets].map(|n| count(n / rounds));
            row.extend(per_round);
            row.extend([requests.put_bytes, requests.get_bytes].map(|bytes| mib(bytes / rounds)));
            row.push(dollars(candidate.dollars));
            table.row(row);
        }
        let mut out = table.render();
        out.push_str(
            "> recommended, = as fast within the noise; requests, bytes and cost of one pass over all workloads\n",
        );
        if few {
            out.push_str("~ fewer than 299 samples: close to the largest seen\n");
        }
        out
    }

    fn answer(&self, choice: &Choice) -> String {
        let winner = &self.candidates[choice.winner];
        let mut out = format!("\nRecommended: {}\n", self.named(choice.winner));
        let why = match choice.tied.len() {
            1 => "It is the fastest".to_owned(),
            n => format!(
                "{n} configurations are equally fast within the noise; of these it is the cheapest, \
                 or among equally cheap ones the one with the least data waiting and the fewest threads"
            ),
        };
        out.push_str(&format!("  {why}: {} for one pass over all workloads.\n", dollars(winner.dollars)));
        for (axis, reason) in &self.reasons {
            out.push_str(&format!("  {} {}: {reason}.\n", self.axes[*axis].title(), winner.values[*axis]));
        }
        if let Some(runner_up) = choice.runner_up {
            let other = &self.candidates[runner_up];
            let difference = compared(slower_by(other, winner), choice.tie_bound);
            let cost = dollars(other.dollars);
            out.push_str(&format!("Runner-up: {} ({difference}, {cost})\n", self.named(runner_up)));
        }
        out.push_str(&noise_line(choice, winner.scores.len()));
        out.push_str(&self.by_workload(choice.winner));
        out
    }

    /// The recommended configuration on each workload.
    fn by_workload(&self, n: usize) -> String {
        let head = ["", "MiB/s", "read p50", "p99", "write p50", "p99", "flush p50", "p99", "PUT", "GET"];
        let mut table = Table::new(&head);
        let tally = &self.tallies[n];
        let rounds = tally.scores.len().max(1) as u64;
        for ((measured, requests), (name, _)) in tally.workloads.iter().zip(&tally.requests).zip(&self.workloads) {
            let mut row = vec![name.clone(), digits(measured.throughput() / f64::from(1 << 20))];
            for kind in [OpKind::Read, OpKind::Write, OpKind::Flush] {
                let latency = &measured.kind(kind).latency;
                row.extend([p(latency, 50.0), p(latency, 99.0)]);
            }
            row.extend([count(requests.puts / rounds), count(requests.gets / rounds)]);
            table.row(row);
        }
        let mut out = "\nWith it:\n".to_owned() + &table.render();
        for (name, question) in &self.workloads {
            if let Some(question) = question {
                out.push_str(&format!("  {name}: {question}\n"));
            }
        }
        out + "\n"
    }

    pub fn json(&self) -> anyhow::Result<String> {
        let configurations = self.candidates.iter().zip(self.tallies).map(|(candidate, tally)| JsonConfiguration {
            values: self.axes.iter().map(Axis::name).zip(candidate.values.iter().map(String::as_str)).collect(),
            rounds: candidate.scores.len(),
            scores: &candidate.scores,
            failures: candidate.failures,
            dollars: candidate.dollars,
            workloads: tally.workloads.iter().zip(&tally.requests).zip(&self.workloads).map(json_workload).collect(),
        });
        let json = Json {
            schema: SCHEMA,
            store: &self.store,
            complete: self.complete,
            took_s: self.took_s,
            prices: PRICES_DATED,
            recommended: self.choice.map(|choice| choice.winner),
            runner_up: self.choice.and_then(|choice| choice.runner_up),
            tied: self.choice.map_or(&[], |choice| &choice.tied[..]),
            tie_percent: self.choice.map(|choice| percent(choice.tie_bound)),
            noise_percent: self.choice.and_then(|choice| match choice.noise {
                Noise::Unknown => None,
                Noise::Bound(bound) => Some(percent(bound)),
            }),
            reasons: self.reasons.iter().map(|(axis, text)| (self.axes[*axis].name(), text.as_str())).collect(),
            caveats: &self.caveats,
            configurations: configurations.collect(),
        };
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }
}

/// How far to trust the differences.
pub fn noise_line(choice: &Choice, rounds: usize) -> String {
    match choice.noise {
        Noise::Unknown => format!(
            "Noise: unknown after {rounds} round; differences up to {:.0} % count as ties. More rounds (--rounds 3) tell more apart\n",
            percent(choice.tie_bound)
        ),
        Noise::Bound(bound) if bound > MUCH_NOISE => format!(
            "Noise: {rounds} interleaved rounds differ so much that differences up to {:.0} % count as ties; a quieter machine, \
             --rounds 5 or --scale 4 tell more apart\n",
            percent(choice.tie_bound)
        ),
        Noise::Bound(bound) => format!(
            "Noise: {rounds} interleaved rounds; differences below {:.1} % are noise (95 %), below {:.0} % count as ties\n",
            percent(bound),
            percent(choice.tie_bound)
        ),
    }
}

/// A percentile with its mark; a dash without samples.
fn p(durations: &Durations, percent: f64) -> String {
    match durations.count() {
        0 => "-".into(),
        samples if samples < P99_SAMPLES && percent > 50.0 => time(durations.percentile(percent)) + "~",
        _ => time(durations.percentile(percent)),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    store: &'a str,
    complete: bool,
    took_s: f64,
    prices: &'static str,
    /// Indices into `configurations`.
    recommended: Option<usize>,
    runner_up: Option<usize>,
    tied: &'a [usize],
    tie_percent: Option<f64>,
    noise_percent: Option<f64>,
    reasons: Vec<(&'static str, &'a str)>,
    caveats: &'a [String],
    configurations: Vec<JsonConfiguration<'a>>,
}

#[derive(Serialize)]
struct JsonConfiguration<'a> {
    values: std::collections::BTreeMap<&'static str, &'a str>,
    rounds: usize,
    /// For each round, the mean natural logarithm of the workloads' seconds.
    scores: &'a [f64],
    failures: u64,
    /// For one pass over all workloads.
    dollars: f64,
    workloads: Vec<JsonWorkload<'a>>,
}

/// All rounds pooled.
#[derive(Serialize)]
struct JsonWorkload<'a> {
    name: &'a str,
    bytes_per_s: f64,
    elapsed_s: f64,
    requests: Requests,
    read_us: JsonDurations,
    write_us: JsonDurations,
    flush_us: JsonDurations,
}

fn json_workload<'a>(
    ((measured, requests), (name, _)): ((&Measured, &Requests), &'a (String, Option<String>)),
) -> JsonWorkload<'a> {
    let latency = |kind| (&measured.kind(kind).latency).into();
    JsonWorkload {
        name,
        bytes_per_s: measured.throughput(),
        elapsed_s: measured.elapsed.as_secs_f64(),
        requests: *requests,
        read_us: latency(OpKind::Read),
        write_us: latency(OpKind::Write),
        flush_us: latency(OpKind::Flush),
    }
}

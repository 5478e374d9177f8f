//! Miss-ratio curves: drawn, in a table, and as data.

use anyhow::Result;
use serde::Serialize;

use crate::analysis::curve::{MissRatioCurve, Point};

use super::numbers;
use super::plot::{self, Line};
use super::sections::{self, Section};
use super::table::Table;

/// A cache is enough when a larger one would save less than this share of accesses.
const ENOUGH: f64 = 0.01;

#[derive(Serialize)]
pub struct Report<'a> {
    pub schema: &'static str,
    pub workload: &'a str,
    pub requests: u64,
    pub curves: &'a [MissRatioCurve],
}

impl Report<'_> {
    pub const SCHEMA: &'static str = "s3b-mrc/1";

    fn sections(&self) -> Vec<Section> {
        let mut drawn = drawing(self.curves);
        drawn.notes.extend(sampling(self.curves));
        let mut sections = vec![drawn, all(self.curves, usize::MAX)];
        sections.extend(reads(self.curves));
        sections
    }

    fn head(&self) -> String {
        format!("{}: {} requests", self.workload, numbers::count(self.requests))
    }

    pub fn text(&self) -> String {
        sections::text(&self.head(), &self.sections())
    }

    pub fn markdown(&self) -> String {
        sections::markdown(&self.head(), &self.sections())
    }

    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn csv(&self) -> String {
        let mut out = "block_size,cache_bytes,miss_ratio,read_miss_ratio,sampling_rate\n".to_owned();
        for curve in self.curves {
            for point in &curve.points {
                let reads = point.read_miss_ratio.map_or_else(String::new, |ratio| ratio.to_string());
                let (size, rate) = (curve.block_size, curve.sampling_rate);
                out.push_str(&format!("{size},{},{},{reads},{rate}\n", point.cache_bytes, point.miss_ratio));
            }
        }
        out
    }
}

/// The curves of all accesses, each with a letter.
fn drawing(curves: &[MissRatioCurve]) -> Section {
    let mut section = Section::new("Misses of an LRU cache by its size");
    let letters = ('a'..='z').cycle();
    let line = |(curve, mark): (&MissRatioCurve, char)| Line {
        mark,
        values: curve.points.iter().map(|point| point.miss_ratio).collect(),
    };
    let lines: Vec<Line> = curves.iter().zip(letters.clone()).map(line).collect();
    let points = curves.first().map_or(&[][..], |curve| &curve.points);
    let columns: Vec<String> = points.iter().map(|point| numbers::size(point.cache_bytes)).collect();
    let names = curves.iter().zip(letters).map(|(curve, mark)| format!("{mark} {}", numbers::size(curve.block_size)));
    section.figure = plot::plot(&columns, &lines);
    section.notes = vec![format!("blocks: {}", names.collect::<Vec<_>>().join("   "))];
    section
}

/// Cache sizes down, block sizes across, in percent of the block accesses; about `rows` of the cache sizes, the largest always.
pub fn all(curves: &[MissRatioCurve], rows: usize) -> Section {
    let mut section = Section::new("Share of block accesses missed");
    let mut table = table(curves, rows, |point| Some(point.miss_ratio));
    let enough =
        curves.iter().map(|curve| curve.enough(ENOUGH).map_or_else(String::new, |p| numbers::size(p.cache_bytes)));
    table.row(std::iter::once("enough".to_owned()).chain(enough).collect());
    let footprints = curves.iter().map(|curve| numbers::bytes(curve.footprint_bytes));
    table.row(std::iter::once("touched".to_owned()).chain(footprints).collect());
    section.table = Some(table);
    section.notes = vec![
        "Reads and writes count and load alike. Each block of a request is an access: columns count different ones."
            .into(),
        "enough: a larger cache saves less than 1 % of the accesses; touched: all blocks that are ever asked for."
            .into(),
    ];
    section
}

/// The same of reads, where there are any: these are the GETs a reader waits for.
pub fn reads(curves: &[MissRatioCurve]) -> Option<Section> {
    curves.iter().any(|curve| curve.read_accesses > 0).then(|| Section {
        table: Some(table(curves, usize::MAX, |point| point.read_miss_ratio)),
        ..Section::new("Share of block reads missed, in the same cache")
    })
}

/// Which curves are estimates.
pub fn sampling(curves: &[MissRatioCurve]) -> Option<String> {
    let sampled = curves.iter().filter(|curve| curve.sampling_rate < 1.0);
    let names: Vec<String> = sampled
        .map(|curve| {
            format!("{} (1 block in {})", numbers::size(curve.block_size), (1.0 / curve.sampling_rate).round())
        })
        .collect();
    (!names.is_empty()).then(|| format!("estimated from a sample of blocks: {}; the rest is exact", names.join(", ")))
}

fn table(curves: &[MissRatioCurve], rows: usize, value: impl Fn(&Point) -> Option<f64>) -> Table {
    let names: Vec<String> = curves.iter().map(|curve| numbers::size(curve.block_size)).collect();
    let head: Vec<&str> = std::iter::once("cache").chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    let points = curves.first().map_or(&[][..], |curve| &curve.points);
    let last = points.len().saturating_sub(1);
    let step = last.div_ceil(rows.saturating_sub(1).max(1)).max(1);
    for (n, point) in points.iter().enumerate().filter(|(n, _)| (last - n).is_multiple_of(step)) {
        let cell = |curve: &MissRatioCurve| value(&curve.points[n]).map_or_else(String::new, numbers::percent);
        table.row(std::iter::once(numbers::size(point.cache_bytes)).chain(curves.iter().map(cell)).collect());
    }
    table
}

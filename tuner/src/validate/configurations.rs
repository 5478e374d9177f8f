//! Which configurations a model is judged on: the corners of the axes, where it is wrong first, and points that fill what
//! lies between.

use anyhow::{Result, bail};
use s3b_engine::settings::Settings;

use super::sobol;
use crate::outcome;
use crate::sweep::grid::{Axis, Configuration, Grid};

/// What a configuration varies in unless told otherwise. The smallest cache holds a quarter of the scenarios' volumes,
/// the largest all of any.
pub const DEFAULT_AXES: [&str; 4] =
    ["block-size=64k,256k,1m", "threads=4,8,16,32,64", "write-delay=0,100ms,250ms,500ms,1s", "cache=16m,64m,512m"];

/// Points looked at before it is said that there are no more.
const MOST_POINTS: u32 = 4096;

/// The corners first, then Sobol's points snapped to the axes' values, until there are `count`; each once, none that makes
/// no sense (more threads than the cache has blocks).
///
/// # Errors
/// Axes that [`Grid::new`] refuses, more than eight of them, or fewer combinations than asked for: says how many.
pub fn choose(base: &Settings, vary: &[String], count: usize) -> Result<(Vec<Configuration>, Vec<outcome::Axis>)> {
    let texts: Vec<&str> =
        if vary.is_empty() { DEFAULT_AXES.to_vec() } else { vary.iter().map(String::as_str).collect() };
    let axes = texts.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>>>()?;
    if axes.len() > sobol::MOST_DIMENSIONS {
        bail!("--vary: {} axes; at most {} work here", axes.len(), sobol::MOST_DIMENSIONS);
    }
    let grid = Grid::new(base, axes)?;
    let levels: Vec<usize> = grid.axes.iter().map(|axis| axis.values.len()).collect();
    let mut chosen: Vec<Configuration> = Vec::new();
    let points = corners(&levels).into_iter().chain((1..MOST_POINTS).map(|number| snapped(number, &levels)));
    for point in points {
        if chosen.len() == count {
            break;
        }
        let values: Vec<String> = grid.axes.iter().zip(&point).map(|(axis, n)| axis.values[*n].clone()).collect();
        let known = chosen.iter().any(|one| one.values == values);
        // What is not in the grid was left out of it for a reason.
        let found = grid.configurations.iter().find(|one| one.values == values);
        if let (false, Some(found)) = (known, found) {
            chosen.push(found.clone());
        }
    }
    if chosen.len() < count {
        let most = chosen.len();
        bail!(
            "--configurations {count}: the axes have only {most} that make sense; give {most}, or --vary more values"
        );
    }
    Ok((chosen, grid.axes_of_outcome()))
}

/// Every combination of first and last values.
fn corners(levels: &[usize]) -> Vec<Vec<usize>> {
    let ends = |level: usize| if level > 1 { vec![0, level - 1] } else { vec![0] };
    let mut points: Vec<Vec<usize>> = vec![Vec::new()];
    for level in levels {
        let ends = ends(*level);
        points = points.iter().flat_map(|point| ends.iter().map(|end| [&point[..], &[*end]].concat())).collect();
    }
    points
}

fn snapped(number: u32, levels: &[usize]) -> Vec<usize> {
    let point = sobol::point(number, levels.len());
    point.iter().zip(levels).map(|(at, level)| (at * *level as f64) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_come_first_then_points_between_and_none_twice() {
        let (chosen, axes) = choose(&Settings::default(), &[], 24).unwrap();
        assert_eq!((chosen.len(), axes.len()), (24, 4));
        let ends = |one: &Configuration| {
            one.values
                .iter()
                .zip(&axes)
                .all(|(v, axis)| axis.values.first() == Some(v) || axis.values.last() == Some(v))
        };
        // 16 corners, two of which want 64 threads of a cache of 16 blocks.
        assert!(chosen[..14].iter().all(ends) && !chosen[14..].iter().any(ends));
        let distinct: std::collections::BTreeSet<_> = chosen.iter().map(|one| &one.values).collect();
        assert_eq!(distinct.len(), 24);
        for (place, axis) in axes.iter().enumerate() {
            let used: std::collections::BTreeSet<_> = chosen.iter().map(|one| &one.values[place]).collect();
            assert_eq!(used.len(), axis.values.len(), "every value of {} is tried", axis.name);
        }
    }

    #[test]
    fn too_few_combinations_are_said() {
        let vary = ["block-size=64k,1m".to_owned(), "threads=8".to_owned()];
        assert_eq!(choose(&Settings::default(), &vary, 2).unwrap().0.len(), 2);
        let error = choose(&Settings::default(), &vary, 3).err().unwrap().to_string();
        assert!(error.contains("--configurations 3") && error.contains("give 2"), "{error}");
    }
}

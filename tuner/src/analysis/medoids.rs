//! Clustering around medoids: a few members that stand for all, chosen so that all are near one (PAM, Kaufman and Rousseeuw 1990).

use s3b_scenarios::random::Random;

/// Medoids are sought among so many members at most (as CLARA does); all members are then given to the nearest.
const SOUGHT_AMONG: usize = 600;

/// Rounds of exchanging a medoid; each lowers the cost, and few are ever needed.
const EXCHANGES: usize = 100;

/// Members with coordinates and weights.
pub struct Members<'a, const N: usize> {
    pub points: &'a [[f64; N]],
    pub weights: &'a [f64],
}

/// Medoids, by member, and for each member the position of its medoid.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    pub medoids: Vec<usize>,
    pub of: Vec<usize>,
}

/// Scales each coordinate by its weighted spread, so that all count alike; one that never varies becomes 0.
pub fn scale<const N: usize>(points: &mut [[f64; N]], weights: &[f64]) {
    let all: f64 = weights.iter().sum();
    for n in 0..N {
        let mean = points.iter().zip(weights).map(|(point, weight)| point[n] * weight).sum::<f64>() / all;
        let square = |(point, weight): (&[f64; N], &f64)| (point[n] - mean).powi(2) * weight;
        let spread = (points.iter().zip(weights).map(square).sum::<f64>() / all).sqrt();
        for point in &mut *points {
            point[n] = if spread > 1e-9 { (point[n] - mean) / spread } else { 0.0 };
        }
    }
}

fn distance<const N: usize>(one: &[f64; N], other: &[f64; N]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

impl<const N: usize> Members<'_, N> {
    /// Clusterings with 1 to `most` medoids. Ties go to the earlier member, so the same input and seed give the same answer.
    pub fn clusterings(&self, most: usize, seed: u64) -> Vec<Clusters> {
        let among = self.sought_among(seed);
        let table: Vec<Vec<f64>> = among
            .iter()
            .map(|one| among.iter().map(|other| distance(&self.points[*one], &self.points[*other])).collect())
            .collect();
        let weights: Vec<f64> = among.iter().map(|one| self.weights[*one]).collect();
        let mut search = Search { table, weights, medoids: Vec::new() };
        let mut found = Vec::new();
        for _ in 0..most.min(among.len()) {
            search.add_best();
            let mut exchanged = search.clone();
            exchanged.exchange();
            let medoids: Vec<usize> = exchanged.medoids.iter().map(|one| among[*one]).collect();
            found.push(Clusters { of: self.nearest(&medoids), medoids });
        }
        found
    }

    fn sought_among(&self, seed: u64) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.points.len()).collect();
        if all.len() > SOUGHT_AMONG {
            Random::new(seed).shuffle(&mut all);
            all.truncate(SOUGHT_AMONG);
            all.sort_unstable();
        }
        all
    }

    fn nearest(&self, medoids: &[usize]) -> Vec<usize> {
        let to = |point: &[f64; N], medoid: usize| distance(point, &self.points[medoid]);
        let nearest = |point: &[f64; N]| {
            (0..medoids.len()).min_by(|a, b| to(point, medoids[*a]).total_cmp(&to(point, medoids[*b]))).unwrap_or(0)
        };
        self.points.iter().map(nearest).collect()
    }

    /// The members of a cluster, the nearest to its medoid first.
    pub fn around(&self, clusters: &Clusters, cluster: usize) -> Vec<usize> {
        let medoid = &self.points[clusters.medoids[cluster]];
        let mut members: Vec<usize> = (0..self.points.len()).filter(|one| clusters.of[*one] == cluster).collect();
        members.sort_by(|a, b| distance(&self.points[*a], medoid).total_cmp(&distance(&self.points[*b], medoid)));
        members
    }
}

#[derive(Clone)]
struct Search {
    /// Distances.
    table: Vec<Vec<f64>>,
    weights: Vec<f64>,
    medoids: Vec<usize>,
}

impl Search {
    /// What all are away from the nearest medoid, were `also` one too and `without` none.
    fn cost(&self, also: usize, without: Option<usize>) -> f64 {
        let kept: Vec<usize> = self.medoids.iter().copied().filter(|one| Some(*one) != without).collect();
        let nearest = |row: &Vec<f64>| kept.iter().map(|one| row[*one]).fold(row[also], f64::min);
        self.table.iter().zip(&self.weights).map(|(row, weight)| nearest(row) * weight).sum()
    }

    /// The cheapest newcomer in place of `without`, or beside all.
    fn best(&self, without: Option<usize>) -> Option<(f64, usize)> {
        let others = (0..self.table.len()).filter(|one| !self.medoids.contains(one));
        others.map(|one| (self.cost(one, without), one)).min_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn add_best(&mut self) {
        if let Some((_, one)) = self.best(None) {
            self.medoids.push(one);
        }
    }

    /// Exchanges medoids for others as long as that brings all nearer.
    fn exchange(&mut self) {
        let Some(last) = self.medoids.last() else { return };
        let mut cost = self.cost(*last, None);
        for _ in 0..EXCHANGES {
            let exchanges = (0..self.medoids.len()).filter_map(|n| Some((self.best(Some(self.medoids[n]))?, n)));
            let Some(((lower, one), n)) = exchanges.min_by(|a, b| a.0.0.total_cmp(&b.0.0)) else { return };
            if lower >= cost * (1.0 - 1e-9) {
                return;
            }
            (cost, self.medoids[n]) = (lower, one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_heaps_are_found_with_a_member_in_the_middle_of_each() {
        let mut random = Random::new(5);
        let mut points = Vec::new();
        for n in 0..1500u64 {
            let heap = (n % 3) as f64 * 100.0;
            points.push([heap + random.below(21) as f64 - 10.0, -heap, 7.0]);
        }
        let weights = vec![1.0; points.len()];
        scale(&mut points, &weights);
        assert!(points.iter().all(|point| point[2] == 0.0));
        let members = Members { points: &points, weights: &weights };
        let found = members.clusterings(4, 1);
        assert_eq!((found.len(), found.clone()), (4, members.clusterings(4, 1)));
        let three = &found[2];
        for heap in 0..3 {
            assert!((0..500).all(|n| three.of[3 * n + heap] == three.of[heap]), "a heap is one cluster");
        }
        let middle = three.medoids[three.of[0]];
        assert!((points[middle][0] - points.iter().step_by(3).map(|p| p[0]).sum::<f64>() / 500.0).abs() < 0.02);
        assert_eq!(points[members.around(three, three.of[0])[0]], points[middle]);
    }

    #[test]
    fn weight_draws_the_medoid_and_few_members_are_enough() {
        let points = [[0.0], [1.0], [10.0]];
        let one = |weights: [f64; 3]| Members { points: &points, weights: &weights }.clusterings(1, 0)[0].medoids[0];
        assert_eq!((one([1.0, 1.0, 1.0]), one([1.0, 1.0, 5.0])), (1, 2));
        let all = Members { points: &points, weights: &[1.0; 3] }.clusterings(8, 0);
        assert_eq!((all.len(), &all[2].of.len()), (3, &3));
    }
}

//! Points that fill a cube evenly: Sobol's sequence with the direction numbers of Joe and Kuo (new-joe-kuo-6, 2008).

/// Dimensions there are numbers for.
pub const MOST_DIMENSIONS: usize = 8;

/// Degree of the primitive polynomial, its inner coefficients, and the first direction numbers, from the second
/// dimension on.
const DIRECTIONS: [(u32, u32, &[u32]); MOST_DIMENSIONS - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
];

/// The `number`th point, each coordinate from 0 to below 1; the zeroth is the origin. At most [`MOST_DIMENSIONS`].
pub fn point(number: u32, dimensions: usize) -> Vec<f64> {
    let gray = number ^ (number >> 1);
    let coordinate = |dimension: usize| {
        let chosen = (0..32).filter(|bit| gray >> bit & 1 == 1);
        let bits = chosen.fold(0u32, |bits, bit| bits ^ direction(dimension, bit));
        f64::from(bits) / 4_294_967_296.0
    };
    (0..dimensions.min(MOST_DIMENSIONS)).map(coordinate).collect()
}

/// The `bit`th direction number of a dimension, as a binary fraction of 32 digits.
fn direction(dimension: usize, bit: usize) -> u32 {
    let Some((degree, coefficients, first)) = dimension.checked_sub(1).map(|n| DIRECTIONS[n]) else {
        return 1 << (31 - bit);
    };
    let degree = degree as usize;
    let mut numbers: Vec<u32> = first.iter().enumerate().map(|(n, m)| m << (31 - n)).collect();
    for n in degree..=bit {
        let mut next = numbers[n - degree] ^ (numbers[n - degree] >> degree);
        for k in 1..degree {
            if coefficients >> (degree - 1 - k) & 1 == 1 {
                next ^= numbers[n - k];
            }
        }
        numbers.push(next);
    }
    numbers[bit]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_points_are_those_that_were_published() {
        let points: Vec<Vec<f64>> = (0..8).map(|number| point(number, 3)).collect();
        let published = [
            [0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25],
            [0.25, 0.75, 0.75],
            [0.375, 0.375, 0.625],
            [0.875, 0.875, 0.125],
            [0.625, 0.125, 0.875],
            [0.125, 0.625, 0.375],
        ];
        assert_eq!(points, published);
    }

    #[test]
    fn every_dimension_is_filled_evenly_and_pairs_are_too() {
        for dimension in 0..MOST_DIMENSIONS {
            let cells = (0..64).map(|number| (point(number, MOST_DIMENSIONS)[dimension] * 64.0) as u32);
            let cells: std::collections::BTreeSet<u32> = cells.collect();
            assert_eq!(cells.len(), 64, "dimension {dimension}");
        }
        let square = |point: &[f64]| ((point[0] * 8.0) as u32, (point[1] * 8.0) as u32);
        let squares: std::collections::BTreeSet<_> = (0..64).map(|number| square(&point(number, 2))).collect();
        assert_eq!(squares.len(), 64);
    }
}

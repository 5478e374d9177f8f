//! A model's service times, laid out to be looked up a million times a second.
//!
//! Between the cells it goes along the logarithm of size and along concurrency itself (in a queue, every further request
//! waits as long as the one before); beyond them it takes the nearest.

use super::settings::{Cell, Operation, StoreModel};

/// Of one operation: the measured sizes, rising.
struct Row {
    /// log2 of size + 1.
    size: f64,
    /// A concurrency, rising, and the quantiles there, in seconds.
    columns: Vec<(f64, Box<[f64]>)>,
}

pub struct Tables {
    /// Of each percentile, as a share.
    shares: Vec<f64>,
    rows: [Vec<Row>; Operation::ALL.len()],
}

/// Two neighbours, and how far between them.
struct Between<'a, T> {
    low: &'a T,
    high: &'a T,
    share: f64,
}

impl Tables {
    /// Of a model that was checked.
    pub fn new(model: &StoreModel) -> Self {
        let shares = model.percents.iter().map(|percent| percent / 100.0).collect();
        Self { shares, rows: Operation::ALL.map(|operation| rows(cells(model, operation))) }
    }

    /// Seconds that a request takes where `luck` (0 to 1, evenly drawn) falls on the distribution.
    pub fn service_s(&self, operation: Operation, size: u64, in_flight: u32, luck: f64) -> f64 {
        let rows = &self.rows[operation as usize];
        // As many points as percentiles: the same two of every list.
        let after = self.shares.partition_point(|share| *share <= luck).clamp(1, self.shares.len() - 1);
        let (low, high) = (self.shares[after - 1], self.shares[after]);
        let quantile = (after - 1, (luck - low) / (high - low));
        let row = between(rows, |row| row.size, ((size + 1) as f64).log2());
        let in_flight = f64::from(in_flight);
        let small = row.low.at(in_flight, quantile);
        if row.share == 0.0 {
            return small;
        }
        small + row.share * (row.high.at(in_flight, quantile) - small)
    }
}

impl Row {
    fn at(&self, in_flight: f64, (index, share): (usize, f64)) -> f64 {
        let column = between(&self.columns, |column| column.0, in_flight);
        let value = |list: &[f64]| list[index] + share * (list[index + 1] - list[index]);
        let low = value(&column.low.1);
        if column.share == 0.0 { low } else { low + column.share * (value(&column.high.1) - low) }
    }
}

/// `list` is never empty.
fn between<T>(list: &[T], place: impl Fn(&T) -> f64, wanted: f64) -> Between<'_, T> {
    let after = list.partition_point(|one| place(one) <= wanted);
    let (Some(low), Some(high)) = (after.checked_sub(1).and_then(|low| list.get(low)), list.get(after)) else {
        let nearest = &list[after.min(list.len() - 1)];
        return Between { low: nearest, high: nearest, share: 0.0 };
    };
    Between { low, high, share: (wanted - place(low)) / (place(high) - place(low)) }
}

/// An operation that nobody measured takes as long as its like.
fn cells(model: &StoreModel, operation: Operation) -> Vec<&Cell> {
    let like = if operation.is_write() { Operation::Put } else { Operation::Get };
    let own: Vec<&Cell> = model.cells(operation).collect();
    if own.is_empty() { model.cells(like).collect() } else { own }
}

fn rows(mut cells: Vec<&Cell>) -> Vec<Row> {
    cells.sort_by_key(|cell| (cell.size, cell.concurrency));
    let rows = cells.chunk_by(|a, b| a.size == b.size).map(|row| Row {
        size: ((row[0].size + 1) as f64).log2(),
        columns: row
            .iter()
            .map(|cell| (f64::from(cell.concurrency), cell.ms.iter().map(|ms| ms / 1000.0).collect()))
            .collect(),
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shipped;

    #[test]
    fn it_goes_between_the_cells_and_stops_at_the_last() {
        let mut model = shipped::standard();
        model.percents = vec![0.0, 50.0, 100.0];
        let cell = |size, concurrency, ms: [f64; 3]| Cell {
            operation: Operation::Get,
            size,
            concurrency,
            samples: 9,
            ms: ms.to_vec(),
        };
        model.service = vec![
            cell(4095, 1, [10.0, 20.0, 40.0]),
            cell(4095, 16, [20.0, 40.0, 80.0]),
            cell(65535, 1, [30.0, 60.0, 90.0]),
        ];
        let put = Cell { operation: Operation::Put, ..cell(0, 1, [1.0, 2.0, 3.0]) };
        model.service.push(put);
        model.check().unwrap();
        let tables = Tables::new(&model);
        let ms = |size, in_flight, luck| (tables.service_s(Operation::Get, size, in_flight, luck) * 1e9).round() / 1e6;
        assert_eq!(
            (ms(4095, 1, 0.5), ms(4095, 1, 0.75), ms(4095, 1, 0.0), ms(4095, 1, 0.999_999_999_9)),
            (20.0, 30.0, 10.0, 40.0)
        );
        assert_eq!((ms(4095, 4, 0.5), ms(4095, 16, 0.5), ms(4095, 500, 0.5)), (24.0, 40.0, 40.0));
        // Half way between the logarithms of the sizes; the larger one was measured alone only.
        assert_eq!((ms(16383, 1, 0.5), ms(16383, 16, 0.5)), (40.0, 50.0));
        assert_eq!((ms(0, 1, 0.5), ms(1 << 30, 1, 0.5)), (20.0, 60.0));
        assert_eq!(tables.service_s(Operation::Delete, 0, 1, 0.5), 0.002, "as a PUT");
        assert_eq!(tables.service_s(Operation::Head, 0, 1, 0.5), 0.02, "as a GET");
    }
}

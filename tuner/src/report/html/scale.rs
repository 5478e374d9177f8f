//! From values to places on paper: linear, or logarithmic where values span more than a decade; and which values are
//! written at an axis.

use crate::report::columns::{ms, seconds, whole};
use crate::report::numbers::{bytes, dollars, percent};

/// What values are, which decides how they are written and which are round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Milliseconds,
    Seconds,
    Dollars,
    Share,
    Plain,
}

impl Unit {
    /// As in a table.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Bytes => bytes(value as u64),
            Self::Milliseconds => ms(value),
            Self::Seconds => seconds(value),
            Self::Dollars => dollars(value),
            Self::Share => percent(value),
            Self::Plain => whole(value),
        }
    }

    /// As at an axis: without zeros that say nothing.
    pub fn tick(self, value: f64) -> String {
        if value == 0.0 {
            return "0".into();
        }
        let text = self.show(value);
        let (number, unit) = text.split_once(' ').map_or((&*text, ""), |(number, unit)| (number, unit));
        let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
        if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
    }
}

/// Spread from which a logarithmic scale is used.
const DECADE: f64 = 10.0;
/// About so many values are written at an axis.
const TICKS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    pub unit: Unit,
}

impl Scale {
    /// Holds all finite values with a little room. Zeros do not keep it from being logarithmic; they lie at its low end.
    pub fn fitting(values: impl IntoIterator<Item = f64>, unit: Unit) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let high = values.iter().copied().fold(f64::MIN, f64::max);
        let positive = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if values.is_empty() || high <= 0.0 || !positive.is_finite() {
            return Self { low: 0.0, high: 1.0, log: false, unit };
        }
        if high / positive >= DECADE {
            let room = (high / positive).powf(0.06);
            return Self { low: positive / room, high: high * room, log: true, unit };
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        // From zero, unless that would leave nothing to see.
        let (low, high) = if low < 0.7 * high {
            (0.0, high * 1.06)
        } else {
            (low - 0.4 * (high - low).max(high * 0.02), high + 0.3 * (high - low).max(high * 0.02))
        };
        Self { low: low.max(0.0), high, log: false, unit }
    }

    pub fn share(unit_high: f64) -> Self {
        Self { low: 0.0, high: unit_high, log: false, unit: Unit::Share }
    }

    /// 0 at the low end, 1 at the high one; what lies beyond stays at the end.
    pub fn place(&self, value: f64) -> f64 {
        let place = if self.log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Round values inside.
    pub fn ticks(&self) -> Vec<f64> {
        if self.log { self.log_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / TICKS as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough * 0.999).unwrap_or(power);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|n| n as f64 * step).take_while(|value| *value <= self.high * (1.0 + 1e-9)).take(20).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let base: f64 = if self.unit == Unit::Bytes { 2.0 } else { 10.0 };
        let (first, last) = (self.low.log(base).ceil() as i32, self.high.log(base).floor() as i32);
        let powers = (last - first + 1).max(0) as usize;
        if powers < 3 && base == 10.0 {
            let all = (first - 1..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10f64.powi(power)));
            let inside: Vec<f64> = all.filter(|value| (self.low..=self.high).contains(value)).collect();
            return inside;
        }
        let step = powers.div_ceil(TICKS + 1).max(1);
        (first..=last).step_by(step).map(|power| base.powi(power)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::fitting([3.0, 9.0], Unit::Plain);
        assert_eq!((scale.log, scale.ticks()), (false, vec![0.0, 2.0, 4.0, 6.0, 8.0]));
        let scale = Scale::fitting([0.5, 800.0], Unit::Milliseconds);
        assert_eq!((scale.log, scale.ticks()), (true, vec![1.0, 10.0, 100.0, 1000.0]));
        let scale = Scale::fitting([65_536.0, 8_388_608.0], Unit::Bytes);
        assert!(scale.ticks().iter().all(|tick| (*tick as u64).is_power_of_two()), "{:?}", scale.ticks());
        assert_eq!(Scale::fitting([], Unit::Plain).ticks().len(), 6);
        assert_eq!(Scale::fitting([f64::NAN, 0.0], Unit::Plain).place(f64::NAN), 0.0);
    }

    #[test]
    fn ticks_say_no_more_than_they_know() {
        let ticks = [(Unit::Milliseconds, 10.0), (Unit::Bytes, 4096.0), (Unit::Share, 0.2), (Unit::Dollars, 0.001)];
        assert_eq!(ticks.map(|(unit, value)| unit.tick(value)), ["10 ms", "4 KiB", "20 %", "$0.001"]);
    }
}

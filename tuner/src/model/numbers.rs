//! What a number of a model file may be.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub(super) fn is_positive(value: f64) -> Result<(), String> {
    let good = value.is_finite() && value > 0.0;
    if good { Ok(()) } else { Err(format!("{value} where a number above zero belongs")) }
}

pub(super) fn is_not_negative(value: f64) -> Result<(), String> {
    let good = value.is_finite() && value >= 0.0;
    if good { Ok(()) } else { Err(format!("{value} where a number of zero or more belongs")) }
}

pub(super) fn are_quantiles(values: &[f64]) -> Result<(), String> {
    values.iter().try_for_each(|value| is_not_negative(*value))?;
    match values.windows(2).find(|pair| pair[0] > pair[1]) {
        Some(pair) => Err(format!("{} comes after {}; quantiles never fall", pair[1], pair[0])),
        None => Ok(()),
    }
}

// Checked while parsing, because only then is the line known.
pub(super) fn positive<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(input)?;
    is_positive(value).map(|()| value).map_err(D::Error::custom)
}

pub(super) fn not_negative<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(input)?;
    is_not_negative(value).map(|()| value).map_err(D::Error::custom)
}

pub(super) fn quantiles<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::deserialize(input)?;
    are_quantiles(&values).map(|()| values).map_err(D::Error::custom)
}

//! The models that come with the program: from published ranges, not from measurements, and they say so.

use anyhow::{Result, bail};

use super::settings::StoreModel;

/// Name and file of each.
const SHIPPED: [(&str, &str); 3] = [
    ("s3-standard", include_str!("../../data/models/s3-standard.toml")),
    ("s3-express", include_str!("../../data/models/s3-express.toml")),
    ("s3-standard-from-home", include_str!("../../data/models/s3-standard-from-home.toml")),
];

/// The names, in the order to offer them.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// # Errors
/// Names the ones there are.
pub fn load(name: &str) -> Result<StoreModel> {
    match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, text)) => StoreModel::parse(text),
        None => {
            bail!("no model is called {name:?}; there are {}, or give a file", names().collect::<Vec<_>>().join(", "))
        }
    }
}

/// S3 STANDARD from a machine in its region: what is used where nobody says otherwise.
pub fn standard() -> StoreModel {
    load("s3-standard").expect("a shipped model is read by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operation;

    #[test]
    fn every_shipped_model_is_one_and_says_that_nobody_measured_it() {
        for (name, text) in SHIPPED {
            let model = load(name).unwrap();
            assert_eq!(model.name, name);
            assert!(!model.origin.measured && text.contains("not a measurement"), "{name}");
            for operation in Operation::ALL {
                assert!(model.cells(operation).count() > 0, "{name} lacks {}", operation.name());
            }
        }
        assert!(load("s4").unwrap_err().to_string().contains("s3-express"));
    }

    #[test]
    fn the_standard_model_stays_inside_what_is_published() {
        let model = standard();
        assert_eq!(model.first_byte_ms(), 30.0);
        let get = model.cells(Operation::Get).next().unwrap();
        assert!(get.ms.iter().all(|ms| *ms <= 200.0));
        let limits = (model.limits.put.unwrap().per_s, model.limits.get.unwrap().per_s);
        assert_eq!(limits, (3500.0, 5500.0));
        assert!((85e6..=90e6).contains(&model.network.connection_down_bytes_per_s));
    }
}

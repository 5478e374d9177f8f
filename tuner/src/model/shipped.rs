//! The models that come with the program: from published ranges, not from measurements, and they say so.

use std::path::Path;

use anyhow::{Result, bail};

use super::settings::StoreModel;

/// Name and file of each.
const SHIPPED: [(&str, &str); 3] = [
    ("s3-standard", include_str!("../../data/models/s3-standard.toml")),
    ("s3-express", include_str!("../../data/models/s3-express.toml")),
    ("s3-standard-from-home", include_str!("../../data/models/s3-standard-from-home.toml")),
];

impl StoreModel {
    /// A shipped model, or one from a file.
    ///
    /// # Errors
    /// Neither there, or a file that is wrong; names the models there are.
    pub fn named(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text);
        }
        let path = Path::new(name);
        if !path.exists() {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            bail!("no model is called {name:?}, and there is no such file; there are {names}");
        }
        Self::load(path)
    }
}

/// S3 STANDARD from a machine in its region: what is used where nobody says otherwise.
pub fn standard() -> StoreModel {
    StoreModel::named("s3-standard").expect("a shipped model is read by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operation;

    #[test]
    fn every_shipped_model_is_one_and_says_that_nobody_measured_it() {
        for (name, text) in SHIPPED {
            let model = StoreModel::named(name).unwrap();
            assert_eq!(model.name, name);
            assert!(!model.origin.measured && text.contains("not a measurement"), "{name}");
            for operation in Operation::ALL {
                assert!(model.cells(operation).count() > 0, "{name} lacks {}", operation.name());
            }
        }
        assert!(StoreModel::named("s4").unwrap_err().to_string().contains("s3-express"));
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

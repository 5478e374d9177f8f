//! What a sweep must say about durability, cache files and the disk they lie on; and where that disk's figures come from.

use std::sync::Arc;

use s3b_engine::settings::{Durability, Settings};

use super::grid::{CACHE_FILE, DURABILITY, Grid};
use crate::disk::{self, Found};
use crate::left_out::{Run, left_out};
use crate::model::{DiskRates, StoreModel};
use crate::outcome::Outcome;

/// The model with the disk of the user's cache file, measured unless it is known from an `earlier` sitting; as it is where
/// none is named or it cannot be measured. Blocks the thread for some seconds.
pub fn with_users_disk(model: Arc<StoreModel>, settings: &Settings, earlier: Option<&DiskRates>) -> Arc<StoreModel> {
    let Some(file) = &settings.block_cache.file else { return model };
    let folder = disk::folder_of(file);
    if let Some(rates) = earlier {
        eprintln!("disk of {}, as this run found it before: {}", folder.display(), rates.describe());
        return Arc::new(StoreModel { disk: rates.clone(), ..(*model).clone() });
    }
    match disk::measure(&folder) {
        Ok(Found { rates, in_memory }) => {
            let memory = if in_memory { "; it is memory: nothing in it survives a restart" } else { "" };
            eprintln!("disk of {}: {}{memory}", folder.display(), rates.describe());
            Arc::new(StoreModel { disk: rates, ..(*model).clone() })
        }
        Err(error) => {
            eprintln!("{error:#}");
            model
        }
    }
}

/// What all answers of this sweep rest on, a sentence each.
pub fn assumptions(base: &Settings, grid: &Grid, model: Option<&StoreModel>, real: bool) -> Vec<String> {
    let mut said = Vec::new();
    let runs = [(model.is_some(), Run::Simulated), (real, Run::Real)];
    for (_, run) in runs.into_iter().filter(|(happens, _)| *happens) {
        said.extend(left_out(base, run));
    }
    let has_file = grid.configurations.iter().any(|one| one.settings.block_cache.file.is_some());
    if let Some(disk) = model.map(|model| &model.disk).filter(|_| has_file) {
        said.push(match disk.measured {
            true => format!("simulated cache files lie on a disk as measured: {}", disk.describe()),
            false => format!(
                "simulated cache files lie on an assumed SSD ({}): name yours with --block-cache-file to have its disk measured",
                disk.describe()
            ),
        });
    }
    if real && has_file && base.block_cache.file.is_none() {
        said.push(format!(
            "cache files of real runs lay in {CACHE_FILE}'s directory or, where that is missing, among this machine's temporary \
             files: name yours with --block-cache-file to run on its disk"
        ));
    }
    said
}

/// What the recommended durability means, where it was varied or is not the default; in the words of SEMANTICS.md.
pub fn meaning(outcome: &Outcome, settings: &Settings) -> Option<String> {
    let varied = outcome.axis(DURABILITY).map(|place| &outcome.axes[place].values);
    let has = |value: &str| varied.is_some_and(|values| values.iter().any(|one| one == value));
    match settings.durability {
        Durability::None => Some(
            "durability = none: fsync promises nothing; after a crash of this machine, data reported as saved may be gone".into(),
        ),
        Durability::Journal => Some(
            "durability = journal: flushed means in the synced cache file on this machine; after a crash the next mount with \
             this cache file stores it, until then the bucket has older bytes and the cache file is the only copy: losing it \
             loses what was flushed to it. Bytes at risk are those not yet in the bucket, whether or not they are in the file"
                .into(),
        ),
        Durability::Store if has("journal") => Some(
            "bytes at risk are those not yet in the bucket; with durability = journal those that were flushed are in the cache \
             file and survive a crash that leaves its disk whole"
                .into(),
        ),
        Durability::Store => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shipped;
    use crate::sweep::grid::Axis;

    #[test]
    fn assumptions_are_said_where_there_is_a_cache_file() {
        let (base, model) = (Settings::default(), shipped::standard());
        let of = |base: &Settings, axis: &str, real| {
            let grid = Grid::new(base, vec![Axis::parse(axis).unwrap()]).unwrap();
            assumptions(base, &grid, Some(&model), real).join("; ")
        };
        assert_eq!(of(&base, "threads=8,32", true), "");
        let said = of(&base, "durability=store,journal", true);
        assert!(said.contains("assumed SSD (2.00 ms") && said.contains("temporary files"), "{said}");
        let mut base = base;
        base.block_cache.file = Some("/data/disk1".into());
        let said = of(&base, "threads=8,32", false);
        assert!(said.contains("do not touch --block-cache-file=/data/disk1") && !said.contains("real runs"), "{said}");
    }

    #[test]
    fn a_disk_that_cannot_be_measured_stays_an_assumption() {
        let mut settings = Settings::default();
        let model = Arc::new(shipped::standard());
        assert!(Arc::ptr_eq(&model, &with_users_disk(model.clone(), &settings, None)));
        settings.block_cache.file = Some("/no/such/folder/disk1".into());
        assert!(!with_users_disk(model.clone(), &settings, None).disk.measured);
        let folder = tempfile::tempdir().unwrap();
        settings.block_cache.file = Some(folder.path().join("disk1"));
        assert!(with_users_disk(model.clone(), &settings, None).disk.measured);
        // Nobody measures the same twice.
        let earlier = DiskRates { measured: true, sync_ms: 12.345, ..DiskRates::default() };
        assert_eq!(with_users_disk(model, &settings, Some(&earlier)).disk, earlier);
    }
}

//! What runs do not take from the settings they were given, for the user to know. A run starts from an empty cache, may
//! write, and is alone: what a mount finds, or refuses, is not what is measured. Pure.

use s3b_engine::settings::Settings;

/// How settings are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Real,
    Simulated,
}

/// The settings of a run: everything but what belongs to the user's own mount. A cache file stays named; whoever opens a
/// volume puts an empty one of its own in its place.
#[must_use]
pub fn of_a_run(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let cache = &mut settings.block_cache;
    (cache.offline, cache.recover_dirty, cache.preload) = (false, false, false);
    (settings.volume.read_only, settings.volume.force) = (false, false);
    settings
}

/// A sentence for each kind of thing that is left out; empty: nothing.
pub fn left_out(settings: &Settings, run: Run) -> Vec<String> {
    let (cache, volume, test) = (&settings.block_cache, &settings.volume, &settings.test);
    let simulated = run == Run::Simulated;
    let given = [
        (cache.offline, "--offline"),
        (cache.recover_dirty, "--block-cache-recover-dirty-blocks"),
        (cache.preload, "--preload"),
        (volume.read_only, "--read-only"),
        (volume.force, "--force"),
        (simulated && cache.file_advise, "--block-cache-file-advise"),
        (simulated && test.delays, "--test-delays"),
        (simulated && test.errors.is_some(), "--test-errors"),
        (simulated && test.discard, "--test-discard"),
    ];
    let names: Vec<&str> = given.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
    let how = if simulated { "simulations" } else { "real runs" };
    let mut sentences = Vec::new();
    if !names.is_empty() {
        sentences.push(format!(
            "{how} start from an empty cache, write, and are alone: {} not used there",
            names.join(", ")
        ));
    }
    if let Some(file) = &cache.file {
        let instead =
            if simulated { "an empty one on a modelled disk" } else { "a new, empty one each, removed again" };
        sentences.push(format!("{how} do not touch --block-cache-file={}: they have {instead}", file.display()));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_in_silence() {
        assert!(left_out(&Settings::default(), Run::Simulated).is_empty());
        let mut settings = Settings::default();
        (settings.block_cache.preload, settings.volume.read_only) = (true, true);
        (settings.block_cache.file_advise, settings.test.delays) = (true, true);
        settings.block_cache.file = Some("/var/cache/disk1".into());
        let told = |run| left_out(&settings, run).join("; ");
        let (real, simulated) = (told(Run::Real), told(Run::Simulated));
        for name in ["--preload", "--read-only", "--block-cache-file=/var/cache/disk1"] {
            assert!(real.contains(name) && simulated.contains(name), "{name}: {real}; {simulated}");
        }
        assert!(!real.contains("advise") && simulated.contains("--block-cache-file-advise, --test-delays"));
        let ours = of_a_run(&settings);
        assert!(!ours.block_cache.preload && !ours.volume.read_only && ours.block_cache.file.is_some());
    }
}

//! What flags require of each other. Pure: settings in, a corrected copy and notices out, before anything is opened.

use super::flags::{Given, engine};
use super::{CacheSize, CipherName, Compression, Durability, Location, Settings, SurveyMode};
use crate::error::{Error, Result};

/// Checks the settings against each other, applies what one flag implies for another, and answers what the user
/// should be told, a line each.
///
/// # Errors
/// Names the flags that contradict each other, and what to change.
pub fn settle(settings: &mut Settings) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    shared_disk(settings)?;
    volume(settings)?;
    connection(settings, &mut notices)?;
    credentials(settings)?;
    caches(settings, &mut notices)?;
    codec(settings, &mut notices)?;
    test_store(settings, &mut notices)?;
    Ok(notices)
}

/// Flags that give one mount a memory of the volume, which other mounts would not hear of.
const NOT_SHARED: &[&str] = &[
    "survey",
    "list-blocks-threads",
    "survey-max-cost",
    "delete-delay",
    "md5-cache-size",
    "md5-cache-time",
    "min-write-delay",
    "block-cache-size",
    "block-cache-threads",
    "block-cache-write-delay",
    "block-cache-timeout",
    "block-cache-max-dirty",
    "block-cache-sync",
    "block-cache-file",
    "block-cache-memory",
    "block-cache-no-verify",
    "block-cache-recover-dirty-blocks",
    "block-cache-num-protected",
    "block-cache-file-advise",
    "read-ahead",
    "read-ahead-trigger",
    "preload",
    "offline",
    "durability",
];

fn shared_disk(settings: &mut Settings) -> Result<()> {
    if !settings.volume.shared_disk {
        return Ok(());
    }
    // What the mode itself sets is no contradiction, so that settling twice changes nothing.
    let mut asked = settings.clone();
    if asked.block_cache.size == CacheSize::Blocks(0) {
        asked.block_cache.size = CacheSize::Auto;
    }
    if asked.zero_map.survey == SurveyMode::Off {
        asked.zero_map.survey = SurveyMode::Auto;
    }
    let given = engine().find(|flag| NOT_SHARED.contains(&flag.name) && flag.get(&asked).is_some());
    if let Some(flag) = given {
        return Err(Error::config(format!(
            "--{} and --shared-disk-mode exclude each other: other mounts would not see it; drop one of them",
            flag.name
        )));
    }
    settings.block_cache.size = CacheSize::Blocks(0);
    settings.zero_map.survey = SurveyMode::Off;
    Ok(())
}

fn volume(settings: &Settings) -> Result<()> {
    let volume = &settings.volume;
    if let Some(block_size) = volume.block_size {
        // One block always fits; the errors about the block size itself come from the geometry.
        crate::geometry::Geometry::new(block_size, volume.size.unwrap_or(block_size))?;
    }
    if !volume.auto_detect && volume.size.is_none() {
        return Err(Error::config("--no-auto-detect needs the size: add --size=10g or whatever it is"));
    }
    Ok(())
}

fn connection(settings: &Settings, notices: &mut Vec<String>) -> Result<()> {
    let s3 = &settings.s3;
    if s3.ssl && s3.base_url.as_deref().is_some_and(|url| url.starts_with("http://")) {
        return Err(Error::config(format!(
            "--ssl and --base-url={} contradict each other; write https:// or drop --ssl",
            s3.base_url.as_deref().unwrap_or_default()
        )));
    }
    if s3.sse.as_deref() == Some("aws:kms") && s3.sse_key_id.is_none() {
        return Err(Error::config("--sse=aws:kms needs --sse-key-id=ID; or use --sse=AES256"));
    }
    if s3.sse_key_id.is_some() && s3.sse.is_none() {
        notices.push("--sse-key-id does nothing without --sse=aws:kms".into());
    }
    if s3.timeout.is_zero() {
        return Err(Error::config("--timeout=0: no request finishes in no time; try --timeout=30s"));
    }
    if s3.connect_timeout.is_zero() {
        return Err(Error::config("--connect-timeout=0: no connection is made in no time; try --connect-timeout=10s"));
    }
    if let Some(block_size) = settings.volume.block_size {
        speeds(settings, block_size)?;
    }
    let retry = &settings.retry;
    if let Some(most) = retry.max_pause.filter(|most| !most.is_zero() && retry.initial_pause > *most) {
        return Err(Error::config(format!(
            "--initial-retry-pause={} is longer than --max-retry-pause={}; try --initial-retry-pause=200ms",
            super::parse::show_duration(&retry.initial_pause),
            super::parse::show_duration(&most),
        )));
    }
    if retry.initial_pause.is_zero() && retry.max_pause.is_none_or(|most| !most.is_zero()) {
        return Err(Error::config(
            "--initial-retry-pause=0 would ask the server without a pause; try --initial-retry-pause=200ms, or --max-retry-pause=0 for one attempt",
        ));
    }
    Ok(())
}

/// Checks that one block gets through within the timeout. Call again when the block size is known from the bucket.
///
/// # Errors
/// Names the speed, the block size and the timeout.
pub fn speeds(settings: &Settings, block_size: u64) -> Result<()> {
    let s3 = &settings.s3;
    let limits = [
        ("max-upload-speed", s3.max_upload_speed),
        ("max-download-speed", s3.max_download_speed),
        ("total-upload-speed", s3.total_upload_speed),
        ("total-download-speed", s3.total_download_speed),
    ];
    for (name, speed) in limits {
        let Some(speed) = speed else { continue };
        let slowest = (block_size as f64 * 8.0 / s3.timeout.as_secs_f64()).ceil() as u64;
        if speed <= slowest {
            return Err(Error::config(format!(
                "--{name}={speed}: a block of {block_size} bytes does not get through within --timeout={}; try --{name}={}",
                super::parse::show_duration(&s3.timeout),
                slowest.saturating_mul(2),
            )));
        }
    }
    Ok(())
}

fn credentials(settings: &Settings) -> Result<()> {
    let credentials = &settings.s3.credentials;
    if credentials.ec2_role.is_some() && credentials.access_id.is_some() {
        return Err(Error::config("--access-ec2-iam and --access-id exclude each other; drop one of them"));
    }
    if credentials.ec2_imds_v2 && credentials.ec2_role.is_none() {
        return Err(Error::config("--access-ec2-iam-imdsv2 needs --access-ec2-iam=ROLE"));
    }
    if credentials.access_key_env.is_some() && credentials.access_id.is_none() {
        return Err(Error::config("--access-key-env needs --access-id=ID"));
    }
    Ok(())
}

fn caches(settings: &mut Settings, notices: &mut Vec<String>) -> Result<()> {
    let md5 = &mut settings.md5_cache;
    if settings.volume.read_only && md5.size > 0 {
        *md5 = Default::default();
    }
    if md5.size == 0 && !(md5.time.is_zero() && md5.min_write_delay.is_zero()) {
        return Err(Error::config(
            "--md5-cache-time and --min-write-delay need --md5-cache-size=N; try --md5-cache-size=10000",
        ));
    }
    if !md5.time.is_zero() && md5.time < md5.min_write_delay {
        return Err(Error::config(format!(
            "--md5-cache-time={} is shorter than --min-write-delay={}; make it at least as long",
            super::parse::show_duration(&md5.time),
            super::parse::show_duration(&md5.min_write_delay),
        )));
    }
    let cache = &settings.block_cache;
    let off = matches!(cache.size, CacheSize::Blocks(0) | CacheSize::Bytes(0));
    if cache.threads == 0 && !off {
        return Err(Error::config("--block-cache-threads=0 would never store a block; try --block-cache-threads=32"));
    }
    if settings.zero_map.threads == 0 {
        return Err(Error::config("--list-blocks-threads=0 would never list; try --list-blocks-threads=16"));
    }
    if cache.sync && !cache.write_delay.is_zero() {
        return Err(Error::config("--block-cache-sync needs --block-cache-write-delay=0; add it"));
    }
    if off && cache.file.is_some() {
        return Err(Error::config("--block-cache-file needs a cache; try --block-cache-size=1g"));
    }
    if cache.file.is_none() {
        let needing = [
            (cache.recover_dirty, "--block-cache-recover-dirty-blocks"),
            (cache.offline, "--offline"),
            (settings.durability == Durability::Journal, "--durability=journal"),
        ];
        if let Some((_, name)) = needing.into_iter().find(|(given, _)| *given) {
            return Err(Error::config(format!(
                "{name} needs a cache file; add --block-cache-file=/var/cache/s3b/disk1"
            )));
        }
    }
    if let CacheSize::Blocks(blocks @ 1..) = cache.size
        && u64::from(cache.protected) > blocks
    {
        notices.push(format!(
            "--block-cache-num-protected={} is more than --block-cache-size={blocks}: blocks protected by it push each other out",
            cache.protected
        ));
    }
    if off && (cache.preload || cache.protected > 0) {
        notices.push("--preload and --block-cache-num-protected do nothing without a block cache".into());
    }
    if settings.durability == Durability::None {
        notices.push(
            "--durability=none: fsync promises nothing; after a crash of this machine, data reported as saved may be gone".into(),
        );
    }
    Ok(())
}

fn codec(settings: &mut Settings, notices: &mut Vec<String>) -> Result<()> {
    let codec = &mut settings.codec;
    let Some(cipher) = codec.encrypt else {
        if codec.key_length.take().is_some() {
            notices.push("--key-length does nothing without --encrypt".into());
        }
        return Ok(());
    };
    let needed = match cipher {
        CipherName::Aes128Cbc => 16,
        CipherName::Aes192Cbc | CipherName::DesEde3Cbc => 24,
        CipherName::Aes256Cbc => 32,
    };
    if let Some(length) = codec.key_length.filter(|length| *length < needed || *length > 64) {
        return Err(Error::config(format!(
            "--key-length={length}: this cipher takes keys of {needed} to 64 bytes; try --key-length={needed}"
        )));
    }
    // As in s3backer: encryption implies compression.
    codec.compress.get_or_insert(Compression::Deflate(-1));
    Ok(())
}

fn test_store(settings: &Settings, notices: &mut Vec<String>) -> Result<()> {
    let test = &settings.test;
    let given = test.delays || test.errors.is_some() || test.discard;
    if given && matches!(settings.location, Location::Bucket(_)) {
        return Err(Error::config("--test-delays, --test-errors and --test-discard need --test and a directory"));
    }
    if test.discard {
        notices.push("--test-discard: nothing that is written is kept".into());
    }
    Ok(())
}

/// Warnings about flags that are accepted and do nothing.
pub fn ignored(given: &Given) -> Vec<String> {
    engine()
        .filter(|flag| given.has(flag.name))
        .filter_map(|flag| match flag.effect {
            super::flags::Effect::Ignored(why) => Some(format!("--{} is ignored: {why}", flag.name)),
            super::flags::Effect::ShownBy(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(flags: &[(&str, &str)]) -> Result<(Settings, Vec<String>)> {
        let mut given = Given::default();
        flags.iter().for_each(|(name, value)| given.add(name, *value, ""));
        given.canonical(engine());
        let mut settings = Settings::default();
        given.apply(engine(), &mut settings)?;
        let notices = settle(&mut settings)?;
        Ok((settings, notices))
    }

    fn refused(flags: &[(&str, &str)]) -> String {
        match settled(flags) {
            Ok(_) => panic!("{flags:?} is accepted"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn defaults_are_in_order_and_say_nothing() {
        let (settings, notices) = settled(&[]).unwrap();
        assert_eq!((settings, notices), (Settings::default(), vec![]));
    }

    #[test]
    fn shared_disk_mode_excludes_every_cache() {
        for flag in engine().filter(|f| NOT_SHARED.contains(&f.name)) {
            let message = refused(&[("sharedDiskMode", "true"), (flag.name, flag.example)]);
            assert!(message.contains(&format!("--{}", flag.name)), "{message}");
        }
        let (mut settings, _) = settled(&[("sharedDiskMode", "true")]).unwrap();
        assert_eq!(settings.block_cache.size, CacheSize::Blocks(0));
        settle(&mut settings).unwrap();
    }

    /// Every flag that changes a layer which shared-disk mode leaves out.
    #[test]
    fn the_shared_disk_list_is_complete() {
        let layers = |s: &Settings| (s.zero_map.clone(), s.md5_cache.clone(), s.block_cache.clone(), s.durability);
        let plain = Settings::default();
        for flag in engine() {
            let mut settings = Settings::default();
            if flag.set(&mut settings, flag.example).is_err() {
                // It needs another flag, and none of these layers does.
                assert!(!NOT_SHARED.contains(&flag.name), "--{}", flag.name);
                continue;
            }
            // `list-blocks` is another name of `survey`.
            let listed = NOT_SHARED.contains(&flag.name) || flag.name == "list-blocks";
            assert_eq!(layers(&settings) != layers(&plain), listed, "--{}", flag.name);
        }
        assert!(refused(&[("sharedDiskMode", "true"), ("listBlocks", "true")]).contains("--survey"));
    }

    #[test]
    fn names_in_the_shared_disk_list_exist() {
        for name in NOT_SHARED {
            assert!(engine().any(|f| f.name == *name), "{name}");
        }
    }

    #[test]
    fn sync_needs_no_write_delay() {
        assert!(refused(&[("blockCacheSync", "true")]).contains("--block-cache-write-delay=0"));
        assert!(settled(&[("blockCacheSync", "true"), ("blockCacheWriteDelay", "0")]).is_ok());
    }

    #[test]
    fn what_needs_a_cache_file_says_so() {
        for flag in [("offline", "true"), ("block-cache-recover-dirty-blocks", "true"), ("durability", "journal")] {
            assert!(refused(&[flag]).contains("--block-cache-file="), "{flag:?}");
            assert!(settled(&[flag, ("block-cache-file", "/tmp/c")]).is_ok());
        }
    }

    #[test]
    fn speeds_must_get_a_block_through_in_time() {
        let message = refused(&[("blockSize", "1m"), ("maxUploadSpeed", "100k"), ("timeout", "30")]);
        assert!(message.contains("try --max-upload-speed=559242"), "{message}");
        assert!(settled(&[("blockSize", "1m"), ("maxUploadSpeed", "559242")]).is_ok());
        assert!(settled(&[("maxUploadSpeed", "8")]).is_ok(), "the block size is not known yet");
        let tight = settled(&[("maxUploadSpeed", "8")]).unwrap().0;
        assert!(speeds(&tight, 4096).is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        for flags in [
            &[("ssl", "true"), ("baseURL", "http://h/")][..],
            &[("sse", "aws:kms")],
            &[("initialRetryPause", "1s"), ("maxRetryPause", "500")],
            &[("initialRetryPause", "0")],
            &[("accessId", "x"), ("accessEC2IAM", "r")],
            &[("md5CacheTime", "10")],
            &[("md5CacheSize", "10"), ("md5CacheTime", "10"), ("minWriteDelay", "20")],
            &[("blockSize", "3k")],
            &[("blockSize", "4k"), ("size", "5k")],
            &[("noAutoDetect", "true")],
            &[("keyLength", "8"), ("encrypt", "AES-256-CBC")],
            &[("blockCacheSize", "0"), ("blockCacheFile", "/tmp/c")],
            &[("blockCacheThreads", "0")],
            &[("timeout", "0")],
            &[("connect-timeout", "0")],
        ] {
            assert!(refused(flags).contains("--"), "{flags:?}");
        }
    }

    #[test]
    fn encryption_compresses_too() {
        let (settings, _) = settled(&[("encrypt", "AES128")]).unwrap();
        assert_eq!(settings.codec.compress, Some(Compression::Deflate(-1)));
        let (settings, notices) = settled(&[("keyLength", "16")]).unwrap();
        assert_eq!((settings.codec.key_length, notices.len()), (None, 1));
    }

    #[test]
    fn unsafe_choices_are_said_aloud() {
        let protecting = |blocks| settled(&[("blockCacheSize", "100"), ("blockCacheNumProtected", blocks)]).unwrap().1;
        assert!(protecting("101")[0].contains("--block-cache-num-protected=101") && protecting("100").is_empty());
        assert!(settled(&[("durability", "none")]).unwrap().1[0].contains("--durability=none"));
        let mut given = Given::default();
        given.add("ip-tos", "4", "");
        assert!(ignored(&given)[0].contains("--ip-tos is ignored"));
    }
}

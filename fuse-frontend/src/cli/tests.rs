use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;
use s3b_engine::settings::Location;

fn parsed(line: &[&str]) -> Result<Action> {
    let read = |path: &Path| match path.to_str() {
        Some("s3b.toml") => Ok("block-size = \"64k\"\nblockCacheThreads = 7\ndirect-io = true\n".to_owned()),
        Some("odd.toml") => Ok("blocksizes = 4\n".to_owned()),
        Some("s3backer.conf") => Ok("--blockSize=8k\n--ssl\n".to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    parse(line.iter().map(|a| (*a).to_owned()).collect(), &read)
}

fn mount(line: &[&str]) -> (Request, PathBuf) {
    match parsed(line) {
        Ok(Action::Mount(request, mountpoint)) => (request, mountpoint),
        other => panic!("{line:?}: {other:?}"),
    }
}

fn refused(line: &[&str]) -> String {
    match parsed(line) {
        Err(e) => e.to_string(),
        Ok(action) => panic!("{line:?} is accepted: {action:?}"),
    }
}

#[test]
fn ours_and_s3backers_command_lines_mean_the_same() {
    let lines: [&[&str]; 6] = [
        &["s3b", "mount", "--block-size", "64k", "--read-only", "b/d", "/m"],
        &["s3b", "--blockSize=64K", "--readOnly", "b/d", "/m"],
        &["/usr/bin/s3backer", "b/d", "/m", "--blockSize=64k", "--readOnly"],
        &["s3backer", "-o", "blockSize=64k,ro", "b/d", "/m"],
        &["/sbin/mount.s3b", "b/d", "/m", "-s", "-o", "rw,nofail,block-size=64k,readOnly"],
        &["s3b", "b/d", "/m", "-oread-only,blockSize=65536"],
    ];
    let (first, _) = mount(lines[0]);
    assert_eq!(first.settings.location, Location::Bucket("b".into()));
    assert_eq!(first.settings.volume.prefix, "d/");
    for line in lines {
        let (request, mountpoint) = mount(line);
        assert_eq!(request.settings, first.settings, "{line:?}");
        assert_eq!(mountpoint, PathBuf::from("/m"));
    }
}

#[test]
fn a_bucket_called_like_a_subcommand_needs_s3backers_name() {
    assert!(matches!(parsed(&["s3b", "info", "b"]), Ok(Action::Info(_))));
    let (request, _) = mount(&["s3backer", "info", "/m"]);
    assert_eq!(request.source, "info");
}

#[test]
fn the_command_line_beats_the_config_file_and_the_last_flag_wins() {
    let (request, _) = mount(&["s3b", "mount", "--config", "s3b.toml", "--blockSize=4k", "b", "/m"]);
    assert_eq!((request.settings.volume.block_size, request.settings.block_cache.threads), (Some(4096), 7));
    assert!(request.options.direct_io);
    let (request, _) = mount(&["s3b", "mount", "--size=1g", "-o", "size=2g", "--ssl", "--ssl=false", "b", "/m"]);
    assert_eq!((request.settings.volume.size, request.settings.s3.ssl), (Some(2 << 30), false));
    let (request, _) = mount(&["s3b", "-F", "s3backer.conf", "b", "/m"]);
    assert_eq!((request.settings.volume.block_size, request.settings.s3.ssl), (Some(8192), true));
    for (line, vhost) in [(["--vhost", "--no-vhost"], Some(false)), (["--no-vhost", "--vhost"], Some(true))] {
        let (request, _) = mount(&["s3b", "mount", line[0], line[1], "b", "/m"]);
        assert_eq!(request.settings.s3.vhost, vhost);
    }
}

#[test]
fn switches_do_not_swallow_the_bucket() {
    let (request, mountpoint) = mount(&["s3b", "mount", "--ssl", "--compress", "--encrypt", "b", "/m"]);
    assert_eq!((request.source.as_str(), mountpoint), ("b", PathBuf::from("/m")));
    assert!(request.settings.codec.encrypt.is_some());
}

#[test]
fn every_refusal_names_what_and_what_works() {
    for (line, parts) in [
        (&["s3b", "mount", "--block-size=10x", "b", "/m"][..], &["--block-size=10x", "try --block-size=64k"][..]),
        (&["s3b", "mount", "--block-size=3000", "b", "/m"], &["--block-size=3000", "--block-size=4096"]),
        (&["s3b", "mount", "--block-size=1k", "--size=8t", "b", "/m"], &["--size=8796093022208", "--block-size=2048"]),
        (&["s3b", "mount", "--block-size=4k", "--size=5000", "b", "/m"], &["--size=5000", "--size=8192"]),
        (&["s3b", "mount", "--encrypt=blowfish", "b", "/m"], &["--encrypt=blowfish", "AES-256-CBC"]),
        (&["s3b", "mount", "--blok-size=1", "b", "/m"], &["--blok-size", "--block-size"]),
        (&["s3b", "mount", "-o", "blok-size=1", "b", "/m"], &["blok-size", "`block-size`"]),
        (&["s3b", "mount", "-o", "blockSize", "b", "/m"], &["-o blockSize", "try -o blockSize=64k"]),
        (&["s3b", "mount", "--config", "odd.toml", "b", "/m"], &["odd.toml", "`blocksizes`", "`block-size`"]),
        (&["s3b", "mount", "--config", "none.toml", "b", "/m"], &["--config=none.toml"]),
        (&["s3b", "mount", "b"], &["mount point", "`b`", "s3b mount"]),
        (&["s3b", "mout", "b", "/m"], &["did you mean `s3b mount`"]),
        (&["s3b", "mount", "b/", "/m"], &["`b/`", "mybucket/disk1"]),
        (&["s3b", "mount", "--prefix=x", "b/c", "/m"], &["--prefix=x", "`b/c`"]),
        (&["s3b", "erase", "b", "/m"], &["one bucket"]),
        (&["s3b", "mount", "--accessKey=sesame", "b", "/m"], &["--access-id"]),
        (&["s3backer", "--erase", "--reset-mounted-flag", "b"], &["--erase"]),
    ] {
        let message = refused(line);
        assert!(parts.iter().all(|part| message.contains(part)), "{line:?}: {message}");
        assert!(!message.contains('\n') && !message.contains("sesame"), "{message}");
    }
}

#[test]
fn legacy_actions_are_flags() {
    assert!(
        matches!(parsed(&["s3backer", "--erase", "--force", "b"]), Ok(Action::Erase(r)) if r.settings.volume.force)
    );
    assert!(matches!(parsed(&["s3b", "--reset-mounted-flag", "b"]), Ok(Action::ResetMountedFlag(_))));
    assert!(matches!(parsed(&["mount.s3b", "b", "/m", "-f"]), Ok(Action::Nothing)));
    let (request, _) = mount(&["s3backer", "--test", "/some/dir", "/m"]);
    assert_eq!(request.settings.location, Location::Directory("/some/dir".into()));
}

#[test]
fn what_only_mounts_understand_is_not_taken_in_silence() {
    let notices = |line: &[&str]| match parsed(line) {
        Ok(Action::Erase(r) | Action::Info(r) | Action::ResetMountedFlag(r) | Action::Mount(r, _)) => r.notices,
        other => panic!("{line:?}: {other:?}"),
    };
    for line in [
        &["s3b", "erase", "--direct-io", "b"][..],
        &["s3b", "info", "-o", "directIO", "b"],
        &["s3backer", "--reset-mounted-flag", "--directIO", "b"],
    ] {
        let notices = notices(line);
        assert!(notices.len() == 1 && notices[0].contains("--direct-io is ignored"), "{line:?}: {notices:?}");
    }
    // A config file serves a mount and its tools; and some flags mean something to all.
    for line in [
        &["s3b", "info", "--config", "s3b.toml", "b"][..],
        &["s3b", "erase", "--test", "--debug", "--quiet", "d"],
        &["s3b", "mount", "--direct-io", "b", "/m"],
    ] {
        assert_eq!(notices(line), [""; 0], "{line:?}");
    }
}

#[test]
fn letters_and_kernel_options_are_understood() {
    let (request, _) = mount(&["s3b", "-f", "-s", "-o", "allow_other,nosuid,max_read=4096", "b", "/m"]);
    assert!(request.options.foreground && request.kernel.allow_other);
    assert_eq!((request.options.fuse_threads, request.kernel.passed.as_slice()), (Some(1), &["nosuid".to_owned()][..]));
    assert!(request.notices.iter().any(|n| n.contains("max_read")), "{:?}", request.notices);
    let (request, _) = mount(&["s3b", "-d", "b", "/m"]);
    assert!(request.options.foreground && request.options.debug);
}

#[test]
fn secrets_arrive_and_are_never_printed() {
    let (request, _) = mount(&["s3b", "mount", "--accessId=i", "--accessKey=sesame", "--password", "open", "b", "/m"]);
    assert_eq!(request.secrets.access_key.as_ref().unwrap().expose_secret(), "sesame");
    assert_eq!(request.secrets.password.as_ref().unwrap().expose_secret(), "open");
    let debug = format!("{request:?}");
    assert!(!debug.contains("sesame") && !debug.contains("open\""), "{debug}");
}

#[test]
fn help_and_version_are_said() {
    for line in
        [&["s3b"][..], &["s3b", "--help"], &["s3b", "mount", "--help"], &["s3backer", "-?"], &["s3b", "umount", "-h"]]
    {
        assert!(matches!(parsed(line), Ok(Action::Say(text)) if text.contains("s3b")), "{line:?}");
    }
    for line in [&["s3b", "--version"][..], &["s3backer", "-v"], &["s3b", "mount", "--version"]] {
        assert!(matches!(parsed(line), Ok(Action::Say(text)) if text.starts_with("s3b ")), "{line:?}");
    }
}

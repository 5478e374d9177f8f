//! `s3b erase`, `reset-mounted-flag`, `info`, `warm`: what is done to a volume without mounting it.

use std::io::{self, Write};

use s3b_engine::admin;
use s3b_engine::error::{Error, Result};
use s3b_engine::settings::parse::show_size;
use s3b_engine::stack::Stack;
use tokio::runtime::Runtime;

use crate::cli::Request;
use crate::{logging, parts};

fn prepared(request: &Request) -> Result<Runtime> {
    logging::to_stderr(logging::Detail {
        debug: request.options.debug,
        debug_http: request.settings.s3.debug_http,
        quiet: request.options.quiet,
    });
    for notice in &request.notices {
        tracing::warn!("{notice}");
    }
    Runtime::new().map_err(|e| Error::failed(format!("starting threads: {e}")))
}

/// Deletes a whole volume, after asking.
pub fn erase(request: &Request) -> Result<()> {
    let parts = parts::assemble(request)?;
    let runtime = prepared(request)?;
    let source = &request.source;
    if !request.settings.volume.force
        && !parts::confirmed(&format!("Delete every block of {source}? This cannot be undone."))
    {
        return Err(Error::config(format!("{source} was not erased; answer y, or add --force")));
    }
    let progress = |count| tracing::info!("{count} blocks deleted so far");
    let erased = runtime.block_on(admin::erase(&request.settings, &parts, &progress))?;
    said(&format!("{source}: {erased} blocks deleted\n"))
}

/// Removes a lock left by a crash.
pub fn reset_mounted_flag(request: &Request) -> Result<()> {
    let parts = parts::assemble(request)?;
    let was = prepared(request)?.block_on(admin::reset_mounted_flag(&request.settings, &parts))?;
    said(&match was {
        Some(owner) => format!("{}: the lock of {owner} is removed\n", request.source),
        None => format!("{}: there was no lock\n", request.source),
    })
}

/// Shows what is known of a volume.
pub fn info(request: &Request) -> Result<()> {
    let parts = parts::assemble(request)?;
    let info = prepared(request)?.block_on(admin::info(&request.settings, &parts))?;
    let mut lines = vec![("place", info.location)];
    match (info.geometry, info.block_zero) {
        (Some(geometry), _) => lines.extend(shape(u64::from(geometry.block_size()), geometry.size())),
        (None, Some((block_size, size))) => lines.extend(shape(block_size, size)),
        (None, None) => {
            lines.push(("size", "unknown: no volume here yet, or one made without a size on record".into()))
        }
    }
    if info.geometry.is_none() && info.block_zero.is_some() {
        lines.push(("made by", "s3backer (s3b has not mounted it yet)".into()));
    }
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_string();
    lines.extend(info.hashed_names.map(|hashed| ("hash prefix", yes(hashed))));
    lines.extend(info.encrypted.map(|encrypted| ("encrypted", yes(encrypted))));
    lines.extend(info.damage.map(|damage| ("damaged", damage)));
    let mounted = info.mounted_by.map_or("no".into(), |(owner, token)| format!("by {owner} (token {token:08x})"));
    lines.push(("mounted", mounted));
    said(&lines.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect::<String>())
}

fn shape(block_size: u64, size: u64) -> Vec<(&'static str, String)> {
    vec![
        ("size", format!("{} ({size} bytes)", show_size(&size))),
        ("block size", show_size(&block_size)),
        ("blocks", size.checked_div(block_size).unwrap_or(0).to_string()),
    ]
}

/// Fills the cache file.
pub fn warm(request: &Request) -> Result<()> {
    if request.settings.block_cache.file.is_none() {
        return Err(Error::config("warming fills a cache file; add --block-cache-file=/var/cache/s3b/disk1"));
    }
    let parts = parts::assemble(request)?;
    let runtime = prepared(request)?;
    let read = runtime.block_on(async {
        let stack = Stack::open(&request.settings, parts).await?;
        for notice in stack.notices() {
            tracing::warn!("{notice}");
        }
        let read = stack.volume().preload().await;
        // The lock is released whether or not the reading went well.
        let closed = stack.close().await;
        let read = read?;
        closed?;
        Ok::<u64, Error>(read)
    })?;
    said(&format!("{}: {read} blocks are in the cache\n", request.source))
}

/// Writes to stdout; a closed pipe is no error.
pub fn said(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(format!("writing to stdout: {e}"))),
        _ => Ok(()),
    }
}

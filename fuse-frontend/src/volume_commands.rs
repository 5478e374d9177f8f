//! `s3b erase`, `reset-mounted-flag`, `info`, `warm`: what is done to a volume without mounting it.

use std::io::{self, Write};

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
    let erased = runtime.block_on(Stack::erase(&request.settings, parts))?;
    said(&format!("{source}: {erased} blocks deleted\n"))
}

/// Removes a lock left by a crash.
pub fn reset_mounted_flag(request: &Request) -> Result<()> {
    let parts = parts::assemble(request)?;
    let was = prepared(request)?.block_on(Stack::reset_lock(&request.settings, parts))?;
    said(&match was {
        Some(owner) => format!("{}: the lock of {owner} is removed\n", request.source),
        None => format!("{}: there was no lock\n", request.source),
    })
}

/// Shows what is known of a volume.
pub fn info(request: &Request) -> Result<()> {
    let parts = parts::assemble(request)?;
    let info = prepared(request)?.block_on(Stack::info(&request.settings, parts))?;
    let mut out = format!("place        {}\n", info.place);
    match info.geometry {
        Some(geometry) => out.push_str(&format!(
            "size         {} ({} bytes)\nblock size   {}\nblocks       {}\n",
            show_size(&geometry.size()),
            geometry.size(),
            show_size(&u64::from(geometry.block_size())),
            geometry.blocks()
        )),
        None => out.push_str("size         unknown: no volume here yet\n"),
    }
    for (name, value) in &info.details {
        out.push_str(&format!("{name:<12} {value}\n"));
    }
    out.push_str(&format!("mounted      {}\n", info.lock.as_deref().unwrap_or("no")));
    said(&out)
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

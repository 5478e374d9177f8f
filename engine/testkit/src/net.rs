//! Ports nobody else uses.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;

/// A port free on 127.0.0.1 a moment ago. The kernel hands ephemeral ports out in a wide circle, so the next taker is
/// this caller unless very unlucky.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

//! Ports nobody else uses.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// A port free on 127.0.0.1 a moment ago. The kernel hands ephemeral ports out in a wide circle, so the next taker is
/// this caller unless very unlucky.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The port at the end of `http://host:port/`.
pub fn port_of(endpoint: &str) -> Result<u16> {
    let port = endpoint.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("{endpoint} names no port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found() {
        assert_eq!(port_of("http://127.0.0.1:8333/").unwrap(), 8333);
        assert!(port_of("http://localhost/").is_err());
        assert_ne!(free_port().unwrap(), 0);
    }
}

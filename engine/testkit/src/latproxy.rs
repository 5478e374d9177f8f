//! A local S3 server at a distance: each answer begins so long after its request has ended, and a connection carries only
//! so many bytes a second. Passes bytes as they come, `Host` included, so signatures stay valid. Never fails a request:
//! that is `proxy.rs`.
//!
//! The delay runs beside the server's own time, not behind it: a server quicker than the delay is not to be noticed. Two
//! sockets and one thread per connection; what it costs is little beside the server, and is borne by whoever started it,
//! which should not be the process that is measured.
#![expect(clippy::disallowed_methods, reason = "a network is modelled on real time")]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::io::{BufReader, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Head;
use crate::tree::xorshift;

/// Spread of the lognormal part.
const SIGMA: f64 = 0.5;
/// Bytes read at once.
const BUFFER: usize = 64 << 10;
/// Bytes written at once under a cap.
const STEP: usize = 16 << 10;
/// What a connection under a cap may save up while it is idle, in time.
const BURST: Duration = Duration::from_millis(25);
/// Under a cap, shorter pauses are put off: a thread does not wake on the dot.
const SHORT: Duration = Duration::from_millis(2);

/// What the proxy adds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Milliseconds from the end of a request to the first byte of its answer.
    pub fixed_ms: f64,
    /// Median of the lognormal part, in milliseconds; 0: none.
    pub jitter_ms: f64,
    /// Megabytes (10^6 bytes) per second of one connection, each way; 0: unlimited.
    pub megabytes_per_second: f64,
}

impl Latency {
    /// Of one request.
    fn delay(&self, state: &mut u64) -> Duration {
        let mut share = || ((xorshift(state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        // Box and Muller's normal deviate.
        let normal = (-2.0 * share().ln()).sqrt() * (TAU * share()).cos();
        let jitter_ms = if self.jitter_ms > 0.0 { self.jitter_ms * (SIGMA * normal).exp() } else { 0.0 };
        Duration::from_secs_f64((self.fixed_ms + jitter_ms) / 1e3)
    }
}

/// A running proxy. Stops listening when dropped, and serves connections that are open then until their next request.
pub struct Latproxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    latency: Latency,
    stopped: AtomicBool,
    connections: AtomicU64,
    /// Requests by method.
    requests: Mutex<BTreeMap<String, u64>>,
}

impl Latproxy {
    /// Listens on a free port, in front of a local one.
    pub fn start(upstream: u16, latency: Latency) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: (Ipv4Addr::LOCALHOST, upstream).into(),
            latency,
            stopped: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            requests: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.stopped.load(SeqCst) {
                    return;
                }
                let shared = accepting.clone();
                // A broken connection is the client's business; it will open another one.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Self { port, shared })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Requests with this method so far.
    pub fn count(&self, method: &str) -> u64 {
        self.shared.requests.lock().expect("never poisoned").get(method).copied().unwrap_or(0)
    }
}

impl Drop for Latproxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> Result<()> {
        // Other delays on each connection; a multiple of the golden ratio, since from small numbers xorshift starts slowly.
        let mut random = (self.connections.fetch_add(1, SeqCst) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let server = TcpStream::connect(self.upstream)?;
        let (mut to_client, mut to_server) = (self.capped(&client)?, self.capped(&server)?);
        let mut from_client = BufReader::with_capacity(BUFFER, client);
        let mut from_server = BufReader::with_capacity(BUFFER, server);
        while let Some(mut request) = Head::read(&mut from_client)? {
            if self.stopped.load(SeqCst) {
                break;
            }
            *self.requests.lock().expect("never poisoned").entry(request.method().to_owned()).or_default() += 1;
            let delay = self.latency.delay(&mut random);
            if request.remove("expect").is_some() {
                // To ask first costs a round trip of its own.
                thread::sleep(delay);
                to_client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            to_server.write_all(&request.to_bytes())?;
            request.copy_body(&mut from_client, &mut to_server, false)?;
            let due = Instant::now() + delay;
            let answer = Head::read_answer(&mut from_server)?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            to_client.write_all(&answer.to_bytes())?;
            let to_end = answer.has_body(request.method()) && !answer.says_length();
            if answer.has_body(request.method()) {
                answer.copy_body(&mut from_server, &mut to_client, true)?;
            }
            if to_end || request.is_last() || answer.is_last() {
                break;
            }
        }
        Ok(())
    }

    fn capped(&self, to: &TcpStream) -> Result<Capped> {
        to.set_nodelay(true)?;
        let bytes_per_second = self.latency.megabytes_per_second * 1e6;
        Ok(Capped { to: to.try_clone()?, bytes_per_second, free_at: Instant::now() })
    }
}

/// One direction of a connection.
struct Capped {
    to: TcpStream,
    /// 0: no cap.
    bytes_per_second: f64,
    /// When everything written so far has gone through.
    free_at: Instant,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.bytes_per_second <= 0.0 {
            return self.to.write(bytes);
        }
        let written = self.to.write(&bytes[..bytes.len().min(STEP)])?;
        let now = Instant::now();
        let takes = Duration::from_secs_f64(written as f64 / self.bytes_per_second);
        self.free_at = self.free_at.max(now - BURST) + takes;
        let wait = self.free_at.saturating_duration_since(now);
        if wait > SHORT {
            thread::sleep(wait);
        }
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{ask, echo_server};

    const NEAR: Latency = Latency { fixed_ms: 0.0, jitter_ms: 0.0, megabytes_per_second: 0.0 };

    #[test]
    fn delays_are_fixed_and_lognormal() {
        let mut random = 0x9e37_79b9_7f4a_7c15;
        let mut delays = |latency: Latency| -> Vec<f64> {
            let mut ms: Vec<f64> = (0..10_001).map(|_| latency.delay(&mut random).as_secs_f64() * 1e3).collect();
            ms.sort_by(f64::total_cmp);
            ms
        };
        assert!(delays(Latency { fixed_ms: 20.0, ..NEAR }).iter().all(|ms| *ms == 20.0));
        let ms = delays(Latency { fixed_ms: 20.0, jitter_ms: 2.0, ..NEAR });
        // 2 ms times e to the power of 0.5 x (0, 1, 2.326), the quantiles of the normal distribution.
        for (share, expected) in [(0.5, 2.0), (0.841_34, 3.297), (0.99, 6.401)] {
            let found = ms[(share * 10_000.0) as usize] - 20.0;
            assert!((found / expected - 1.0).abs() < 0.05, "{share}: {found} ms for {expected}");
        }
        assert!(ms[0] > 20.0);
    }

    #[test]
    fn answers_come_whole_and_not_before_their_time() {
        let proxy = Latproxy::start(echo_server(), Latency { fixed_ms: 30.0, ..NEAR }).unwrap();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let begun = Instant::now();
        for round in 0..3 {
            let body = format!("hello {round}");
            let (status, answer) = ask(&mut connection, "PUT", &body).unwrap();
            assert!(status == 200 && answer.contains(&format!("PUT {body}")), "{status} {answer}");
        }
        assert!(begun.elapsed() >= Duration::from_millis(90), "{:?}", begun.elapsed());
        assert_eq!((proxy.count("PUT"), proxy.count("GET")), (3, 0));
    }

    #[test]
    fn a_connection_carries_no_more_than_it_may() {
        let proxy = Latproxy::start(echo_server(), Latency { megabytes_per_second: 10.0, ..NEAR }).unwrap();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let begun = Instant::now();
        let (_, answer) = ask(&mut connection, "PUT", &"x".repeat(1_000_000)).unwrap();
        assert!(answer.len() > 1_000_000);
        // Up and down, less what may have been saved up and put off.
        let least = Duration::from_millis(200) - 2 * (BURST + SHORT);
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    }
}

//! An HTTP/1.1 proxy in front of a real S3 server that counts, delays, and misbehaves on demand.
//!
//! It passes bytes, `Host` included, so signatures stay valid. One thread per connection: tests open dozens, not
//! thousands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the proxy does to requests instead of passing them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every request that would change something is answered with this status (503, 403 ...).
    RefuseWrites(u16),
    /// Every request is answered with this status.
    RefuseAll(u16),
    /// Connections are closed without an answer: the store is down.
    Down,
}

/// A running proxy. Stops listening, and cuts what is open, when dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    latency: Duration,
    fault: Mutex<Fault>,
    stopped: AtomicBool,
    /// Requests by method, those refused included.
    requests: Mutex<BTreeMap<String, u64>>,
    /// By method, of the last exchange.
    heads: Mutex<BTreeMap<String, [usize; 2]>>,
    gets_now: AtomicU64,
    gets_at_once: AtomicU64,
}

impl Proxy {
    /// Listens on a free port. `latency` passes before each request is handed on.
    pub fn start(upstream: u16, latency: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: (Ipv4Addr::LOCALHOST, upstream).into(),
            latency,
            fault: Mutex::new(Fault::None),
            stopped: AtomicBool::new(false),
            requests: Mutex::default(),
            heads: Mutex::default(),
            gets_now: AtomicU64::new(0),
            gets_at_once: AtomicU64::new(0),
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

    /// From the next request on, also on connections already open.
    pub fn set_fault(&self, fault: Fault) {
        *self.shared.fault.lock().expect("never poisoned") = fault;
    }

    /// Requests with this method so far.
    pub fn count(&self, method: &str) -> u64 {
        self.shared.requests.lock().expect("never poisoned").get(method).copied().unwrap_or(0)
    }

    /// Bytes of the head of the last request with this method that was passed on, and of the head of its answer: first
    /// line, headers, and the empty line.
    pub fn last_heads(&self, method: &str) -> Option<[usize; 2]> {
        self.shared.heads.lock().expect("never poisoned").get(method).copied()
    }

    /// The most GETs that were being answered at the same time.
    pub fn most_gets_at_once(&self) -> u64 {
        self.shared.gets_at_once.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set_fault(Fault::Down);
        self.shared.stopped.store(true, SeqCst);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        let mut to_client = client.try_clone()?;
        let mut from_client = BufReader::new(client);
        let mut upstream: Option<BufReader<TcpStream>> = None;
        while let Some(mut request) = Head::read(&mut from_client)? {
            if request.remove("expect").is_some() {
                to_client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let mut body = Vec::new();
            request.copy_body(&mut from_client, &mut body, false)?;
            let method = request.method().to_owned();
            *self.requests.lock().expect("never poisoned").entry(method.clone()).or_default() += 1;
            let fault = *self.fault.lock().expect("never poisoned");
            let writes = matches!(method.as_str(), "PUT" | "POST" | "DELETE");
            match fault {
                Fault::Down => return to_client.shutdown(Shutdown::Both),
                Fault::RefuseAll(status) => to_client.write_all(&refusal(status, &method))?,
                Fault::RefuseWrites(status) if writes => to_client.write_all(&refusal(status, &method))?,
                Fault::None | Fault::RefuseWrites(_) => {
                    let _counted = (method == "GET").then(|| GetInFlight::new(self));
                    pause(self.latency);
                    let server = match &mut upstream {
                        Some(server) => server,
                        none => none.insert(BufReader::new(TcpStream::connect(self.upstream)?)),
                    };
                    let (answer, heads) = exchange(&request, &body, server)?;
                    // Before the client has its answer and may look.
                    self.heads.lock().expect("never poisoned").insert(method, heads);
                    to_client.write_all(&answer)?;
                }
            }
        }
        Ok(())
    }
}

/// Counts one GET for as long as it lives.
struct GetInFlight<'a>(&'a Shared);

impl<'a> GetInFlight<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = shared.gets_now.fetch_add(1, SeqCst) + 1;
        shared.gets_at_once.fetch_max(now, SeqCst);
        Self(shared)
    }
}

impl Drop for GetInFlight<'_> {
    fn drop(&mut self) {
        self.0.gets_now.fetch_sub(1, SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "the proxy models a network, on real time")]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// The answer, and the bytes of both heads.
fn exchange(request: &Head, body: &[u8], server: &mut BufReader<TcpStream>) -> Result<(Vec<u8>, [usize; 2])> {
    server.get_mut().set_nodelay(true)?;
    let mut bytes = request.to_bytes();
    let sent = bytes.len();
    bytes.extend_from_slice(body);
    server.get_mut().write_all(&bytes)?;
    let response = loop {
        match Head::read(server)? {
            Some(head) if head.status() == 100 => {}
            Some(head) => break head,
            None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let mut answer = response.to_bytes();
    let answered = answer.len();
    if request.method() != "HEAD" && !matches!(response.status(), 204 | 304) {
        response.copy_body(server, &mut answer, true)?;
    }
    Ok((answer, [sent, answered]))
}

fn refusal(status: u16, method: &str) -> Vec<u8> {
    let code = if status == 403 { "AccessDenied" } else { "SlowDown" };
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>refused by a test</Message></Error>");
    let head =
        format!("HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n", body.len());
    if method == "HEAD" { head.into_bytes() } else { (head + &body).into_bytes() }
}

/// The first line and the headers of a request or a response.
struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None` at the end of the connection.
    fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Self { first: first.trim_end().to_owned(), headers }))
    }

    fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.headers.iter().position(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(self.headers.remove(at).1)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        (text + "\r\n").into_bytes()
    }

    /// Copies the body as it stands, chunk marks included. `to_end`: without a length it reaches to the end.
    fn copy_body(&self, from: &mut impl BufRead, to: &mut Vec<u8>, to_end: bool) -> Result<()> {
        if self.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return copy_chunks(from, to);
        }
        match self.get("content-length").and_then(|len| len.parse().ok()) {
            Some(len) => copy_exactly(from, to, len),
            None if to_end => from.read_to_end(to).map(drop),
            None => Ok(()),
        }
    }
}

fn copy_exactly(from: &mut impl BufRead, to: &mut Vec<u8>, len: u64) -> Result<()> {
    match from.take(len).read_to_end(to)? as u64 == len {
        true => Ok(()),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

fn copy_chunks(from: &mut impl BufRead, to: &mut Vec<u8>) -> Result<()> {
    loop {
        let start = to.len();
        from.read_until(b'\n', to)?;
        let digits = String::from_utf8_lossy(&to[start..]).trim().split(';').next().unwrap_or_default().to_owned();
        let len = u64::from_str_radix(&digits, 16).map_err(std::io::Error::other)?;
        if len > 0 {
            copy_exactly(from, to, len + 2)?;
            continue;
        }
        // Trailers, then an empty line.
        loop {
            let start = to.len();
            if from.read_until(b'\n', to)? == 0 || to[start..].iter().all(u8::is_ascii_whitespace) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every connection's requests with their method and body, in chunks.
    fn echo_server() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut to = client.try_clone().unwrap();
                    let mut from = BufReader::new(client);
                    while let Ok(Some(head)) = Head::read(&mut from) {
                        let mut body = Vec::new();
                        head.copy_body(&mut from, &mut body, false).unwrap();
                        let text = format!("{} {}", head.method(), String::from_utf8_lossy(&body));
                        let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                        write!(to, "{reply}{:x}\r\n{text}\r\n0\r\n\r\n", text.len()).unwrap();
                    }
                });
            }
        });
        port
    }

    fn ask(connection: &mut TcpStream, method: &str, body: &str) -> Option<(u16, String)> {
        write!(connection, "{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut from = BufReader::new(connection);
        let head = Head::read(&mut from).ok()??;
        let mut answer = Vec::new();
        head.copy_body(&mut from, &mut answer, true).ok()?;
        Some((head.status(), String::from_utf8_lossy(&answer).into_owned()))
    }

    #[test]
    fn passes_on_counts_refuses_and_goes_down() {
        let proxy = Proxy::start(echo_server(), Duration::from_millis(1)).unwrap();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let (status, answer) = ask(&mut connection, "PUT", "hello").unwrap();
        assert!(status == 200 && answer.contains("PUT hello"), "{status} {answer}");
        proxy.set_fault(Fault::RefuseWrites(503));
        assert_eq!(ask(&mut connection, "PUT", "again").unwrap().0, 503);
        assert_eq!(ask(&mut connection, "GET", "").unwrap().0, 200);
        proxy.set_fault(Fault::RefuseAll(403));
        let (status, answer) = ask(&mut connection, "GET", "").unwrap();
        assert!(status == 403 && answer.contains("AccessDenied"), "{status} {answer}");
        assert_eq!((proxy.count("PUT"), proxy.count("GET"), proxy.most_gets_at_once()), (2, 2, 1));
        proxy.set_fault(Fault::Down);
        assert_eq!(ask(&mut connection, "GET", ""), None);
    }

    #[test]
    fn counts_gets_that_overlap() {
        // Each waits far longer than four threads need to start.
        let proxy = Proxy::start(echo_server(), Duration::from_millis(500)).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
                    assert_eq!(ask(&mut connection, "GET", "").unwrap().0, 200);
                });
            }
        });
        assert_eq!(proxy.most_gets_at_once(), 4);
    }
}

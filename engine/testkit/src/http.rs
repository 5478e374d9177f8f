//! As much of HTTP/1.1 as proxies between a client and an S3 server need: heads, and where bodies end. Copies bodies as they
//! stand and never looks into them.

use std::io::{BufRead, ErrorKind, Result, Write};

#[cfg(test)]
pub use tests::{ask, echo_server};

/// The first line and the headers of a request or a response.
pub struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None` at the end of the connection.
    pub fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Self { first: first.trim_end().to_owned(), headers }))
    }

    /// That of an answer; those that only say "go on" are passed over.
    ///
    /// # Errors
    /// Also the end of the connection: somebody waits for this one.
    pub fn read_answer(from: &mut impl BufRead) -> Result<Self> {
        loop {
            match Self::read(from)? {
                Some(head) if head.status() == 100 => {}
                Some(head) => return Ok(head),
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.headers.iter().position(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(self.headers.remove(at).1)
    }

    /// Of an answer to this method.
    pub fn has_body(&self, method: &str) -> bool {
        method != "HEAD" && !matches!(self.status(), 204 | 304)
    }

    /// Whether nothing follows on this connection after an exchange with this head.
    pub fn is_last(&self) -> bool {
        self.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether the body tells its own end; else that is the connection's.
    pub fn says_length(&self) -> bool {
        self.is_chunked() || self.length().is_some()
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")?.parse().ok()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        (text + "\r\n").into_bytes()
    }

    /// Copies the body as it stands, chunk marks included. `to_end`: without a length it reaches to the end of the
    /// connection.
    pub fn copy_body(&self, from: &mut impl BufRead, to: &mut impl Write, to_end: bool) -> Result<()> {
        if self.is_chunked() {
            return copy_chunks(from, to);
        }
        match self.length() {
            Some(len) => copy_exactly(from, to, len),
            None if to_end => copy(from, to, u64::MAX).map(drop),
            None => Ok(()),
        }
    }
}

fn copy_exactly(from: &mut impl BufRead, to: &mut impl Write, len: u64) -> Result<()> {
    if copy(from, to, len)? == len { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Up to `len` bytes or the end, as they come; answers how many.
fn copy(from: &mut impl BufRead, to: &mut impl Write, len: u64) -> Result<u64> {
    let mut done = 0;
    while done < len {
        let here = from.fill_buf()?;
        if here.is_empty() {
            break;
        }
        let some = usize::try_from(len - done).unwrap_or(usize::MAX).min(here.len());
        to.write_all(&here[..some])?;
        from.consume(some);
        done += some as u64;
    }
    Ok(done)
}

fn copy_chunks(from: &mut impl BufRead, to: &mut impl Write) -> Result<()> {
    loop {
        let mark = copy_line(from, to)?;
        let digits = String::from_utf8_lossy(&mark).trim().split(';').next().unwrap_or_default().to_owned();
        let len = u64::from_str_radix(&digits, 16).map_err(std::io::Error::other)?;
        if len > 0 {
            copy_exactly(from, to, len + 2)?;
            continue;
        }
        // Trailers, then an empty line.
        while !copy_line(from, to)?.iter().all(u8::is_ascii_whitespace) {}
        return Ok(());
    }
}

/// Empty at the end.
fn copy_line(from: &mut impl BufRead, to: &mut impl Write) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    to.write_all(&line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// Answers every connection's requests with their method and body, in chunks.
    pub fn echo_server() -> u16 {
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

    pub fn ask(connection: &mut TcpStream, method: &str, body: &str) -> Option<(u16, String)> {
        write!(connection, "{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut from = BufReader::new(connection);
        let head = Head::read(&mut from).ok()??;
        let mut answer = Vec::new();
        head.copy_body(&mut from, &mut answer, true).ok()?;
        Some((head.status(), String::from_utf8_lossy(&answer).into_owned()))
    }
}

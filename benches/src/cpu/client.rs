//! What a request costs the S3 client: signing, hashing, HTTP, the kernel's part; against a server that answers at once.
//!
//! The server is another process, so that its time is not counted. Plain HTTP: TLS comes on top.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use s3b_engine::object::{GetIf, Got, ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::S3Settings;

use super::{median, used};

/// Bytes of a body.
pub const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];
/// Of each size: about as long for each, and at least so many requests.
const BYTES: usize = 640 << 20;
const MOST: usize = 20_000;
const AT_A_TIME: usize = 16;
const ROUNDS: usize = 3;

/// Microseconds of processor time, medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub size: usize,
    pub requests: usize,
    pub get_us: f64,
    pub put_us: f64,
}

/// A process of this program with `serve` as its arguments, that runs [`serve`].
struct Server(Child);

impl Server {
    fn start(serve: &[&str]) -> Result<(Self, u16)> {
        let mut server = Command::new(std::env::current_exe()?).args(serve).stdout(Stdio::piped()).spawn()?;
        let output = server.stdout.take().context("no output")?;
        let server = Self(server);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok((server, line.trim().parse().context("the server names no port")?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures every size. `serve`: the arguments with which this program runs [`serve`].
///
/// # Errors
/// A server that cannot be started, or a request that fails.
pub fn measure(serve: &[&str]) -> Result<Vec<Cost>> {
    let (_server, port) = Server::start(serve)?;
    // As a mount has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let settings = S3Settings { base_url: Some(format!("http://127.0.0.1:{port}/")), ..S3Settings::default() };
    let credentials = Credentials::fixed("AKIAIOSFODNN7EXAMPLE", "SECRET".to_string().into(), None);
    let backend = S3Backend::new("my-disk-bucket", &settings, credentials, Arc::default())?;
    let each = SIZES.into_iter().map(|size| {
        let requests = (BYTES / size).min(MOST);
        let body = Bytes::from(vec![7; size]);
        let (mut gets, mut puts) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let get = timed(requests, || runtime.block_on(all(requests, |number| get(&backend, size, number))))?;
            let put = timed(requests, || runtime.block_on(all(requests, |number| put(&backend, &body, number))))?;
            if round > 0 {
                gets.push(get);
                puts.push(put);
            }
        }
        Ok(Cost { size, requests, get_us: median(gets), put_us: median(puts) })
    });
    each.collect()
}

fn timed(requests: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = used()?;
    work()?;
    Ok((used()? - before).as_secs_f64() * 1e6 / requests as f64)
}

async fn all<F: Future<Output = Result<()>> + Send + 'static>(count: usize, one: impl Fn(usize) -> F) -> Result<()> {
    // Tasks, as the engine's own requests are.
    let mut answers = futures::stream::iter(0..count).map(|n| tokio::spawn(one(n))).buffer_unordered(AT_A_TIME);
    while let Some(answer) = answers.next().await {
        answer??;
    }
    Ok(())
}

/// The server learns from the key what to answer.
fn key(size: usize, number: usize) -> String {
    format!("disk1/{size}/{number:08x}")
}

fn get(backend: &S3Backend, size: usize, number: usize) -> impl Future<Output = Result<()>> + use<> {
    let request = backend.get(&key(size, number), GetIf::Always, size);
    async move {
        let got = request.await?;
        ensure!(matches!(&got, Got::Object(object) if object.body.len() == size), "{got:?}");
        Ok(())
    }
}

fn put(backend: &S3Backend, body: &Bytes, number: usize) -> impl Future<Output = Result<()>> + use<> {
    let request = backend.put(&key(0, number), ObjectHeaders::default(), body.clone(), PutIf::Always);
    async move { Ok(request.await.map(drop)?) }
}

/// Answers every request at once, until it is killed; says its port first.
///
/// # Errors
/// No port.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    for client in listener.incoming() {
        let client = client?;
        // A connection that breaks is the client's business.
        std::thread::spawn(move || drop(answer(&client)));
    }
    Ok(())
}

fn answer(client: &TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    let (mut from, mut to) = (BufReader::with_capacity(1 << 18, client), client);
    let (mut line, mut body, mut reply) = (String::new(), Vec::new(), Vec::new());
    loop {
        let (mut wanted, mut length) = (0, 0);
        loop {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(path) = line.strip_prefix("GET ") {
                wanted = path.split('/').nth(3).context("no size in the path")?.parse()?;
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse()?;
            } else if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        from.read_exact(&mut body)?;
        reply.clear();
        write!(reply, "HTTP/1.1 200 OK\r\nETag: \"{:032x}\"\r\nContent-Length: {wanted}\r\n\r\n", 1)?;
        reply.resize(reply.len() + wanted, 7);
        to.write_all(&reply)?;
    }
}

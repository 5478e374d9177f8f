//! Connections to the store: how many are kept, for how long, and how long one is tried for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use s3b_engine::clock;
use s3b_engine::cpu::Cpu;
use s3b_engine::error::ErrorKind;
use s3b_engine::payload::Payload;
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::{Location, S3Settings, Settings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::stats::Stats;

/// Requests that this server answers together.
const TOGETHER: usize = 2;

/// Answers with empty listings once there are two requests to answer, and keeps connections open.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let together = Arc::new(Barrier::new(TOGETHER));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let together = together.clone();
            thread::spawn(move || {
                let (mut seen, mut byte) = (Vec::new(), [0]);
                while matches!(stream.read(&mut byte), Ok(1)) {
                    seen.push(byte[0]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        together.wait();
                        let body = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        // A client that is gone needs no answer.
                        let _ = stream.write_all((head + body).as_bytes());
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn idle_connections_are_kept_as_asked() {
    const ROUNDS: u64 = 10;
    let connections = async |settings: S3Settings| {
        let settings = S3Settings { base_url: Some(format!("http://127.0.0.1:{}/", serve())), ..settings };
        let stats = Arc::<Stats>::default();
        let backend = S3Backend::new("bucket", &settings, Credentials::anonymous(), stats.clone()).unwrap();
        for _ in 0..ROUNDS {
            let (one, other) = tokio::join!(backend.check_bucket(), backend.check_bucket());
            one.and(other).unwrap();
            // The client takes its connections back in tasks of its own.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        stats.http.connections.get()
    };
    let kept = connections(S3Settings::default()).await;
    assert!((2..ROUNDS).contains(&kept), "{kept} connections for {ROUNDS} times two requests");
    // Of each two one is kept, so each round makes one anew.
    let one = connections(S3Settings { max_idle_connections: 1, ..S3Settings::default() }).await;
    assert!((ROUNDS + 1..2 * ROUNDS).contains(&one), "{one}");
    let none = connections(S3Settings { idle_timeout: Duration::from_nanos(1), ..S3Settings::default() }).await;
    assert_eq!(none, 2 * ROUNDS);
}

/// A port where connections are neither accepted nor refused. The kernel takes one for later, and drops the next.
fn black_hole() -> (u16, [std::os::fd::OwnedFd; 2]) {
    use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(&listener, 0).unwrap();
    let at = std::net::SocketAddrV4::try_from(getsockname(&listener).unwrap()).unwrap();
    let filler = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    connect(&filler, &at).unwrap();
    (at.port(), [listener, filler])
}

#[tokio::test(start_paused = true)]
async fn a_connection_attempt_ends_after_its_timeout() {
    let (port, _open) = black_hole();
    for seconds in [3, 20] {
        let connect_timeout = Duration::from_secs(seconds);
        let base_url = Some(format!("http://127.0.0.1:{port}/"));
        let settings = S3Settings { base_url, connect_timeout, ..S3Settings::default() };
        let backend = S3Backend::new("bucket", &settings, Credentials::anonymous(), Arc::default()).unwrap();
        let start = clock::now();
        let error = backend.check_bucket().await.unwrap_err();
        assert!(error.is_transient() && error.message().contains("--base-url"), "{error}");
        let took = clock::now() - start;
        assert!(took >= connect_timeout && took < connect_timeout * 11 / 10, "{took:?}");
    }
}

/// A mount says within seconds that nobody is there, however patient its reads are.
#[tokio::test(start_paused = true)]
async fn a_mount_does_not_wait_for_a_store_that_is_not_there() {
    let (port, _open) = black_hole();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for port in [port, refusing] {
        let mut settings = Settings { location: Location::Bucket("bucket".into()), ..Settings::default() };
        settings.s3.base_url = Some(format!("http://127.0.0.1:{port}/"));
        settings.s3.connect_timeout = Duration::from_secs(60);
        settings.s3.credentials.access_id = Some(String::new());
        settings.retry.max_pause = None;
        let parts =
            Parts { backend: None, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
        let start = clock::now();
        let error = Stack::open(&settings, parts).await.err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Transient), "{error}");
        assert!(error.message().contains("bucket bucket") && error.message().contains("--base-url"), "{error}");
        assert!(clock::now() - start <= settings.retry.mount_patience, "{:?}", clock::now() - start);
    }
}

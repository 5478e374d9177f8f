//! The S3 backend against answers that no healthy server gives, from a scripted server on a raw socket. Client and
//! server share one runtime with a paused clock: a stall of half a minute takes no time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use s3b_engine::clock;
use s3b_engine::error::{Error, ErrorKind};
use s3b_engine::object::{GetIf, Got, ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::s3::{Credentials, S3Backend, Surroundings};
use s3b_engine::settings::{CredentialSource, S3Settings};
use s3b_engine::stats::Stats;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One answer: what is sent, and how long it waits before each part.
#[derive(Clone)]
struct Answer {
    parts: Vec<(Duration, String)>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    KeepAlive,
    Close,
    Hang,
}

fn raw(text: impl Into<String>) -> Answer {
    Answer { parts: vec![(Duration::ZERO, text.into())], then: Then::KeepAlive }
}

fn answer(status: &str, headers: &str, body: &str) -> Answer {
    raw(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn refusal(status: &str, headers: &str, code: &str) -> Answer {
    answer(status, headers, &format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

/// Gives its answers in order, whatever the connection, and keeps the requests.
#[derive(Clone)]
struct Fake {
    port: u16,
    script: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let fake = Self { port, script, requests: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        fake
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream).await {
            self.requests.lock().unwrap().push(request);
            let Some(answer) = self.script.lock().unwrap().pop_front() else {
                return;
            };
            for (pause, part) in answer.parts {
                if !pause.is_zero() {
                    clock::sleep(pause).await;
                }
                if stream.write_all(part.as_bytes()).await.is_err() {
                    return;
                }
            }
            match answer.then {
                Then::KeepAlive => {}
                Then::Close => return,
                Then::Hang => std::future::pending().await,
            }
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn backend(&self) -> (S3Backend, Arc<Stats>) {
        let credentials = Credentials::fixed("AKID", "SECRET".to_string().into(), Some("TOKEN".to_string().into()));
        self.backend_of(&self.settings(), credentials)
    }

    fn settings(&self) -> S3Settings {
        S3Settings { base_url: Some(self.url()), ..S3Settings::default() }
    }

    fn backend_of(&self, settings: &S3Settings, credentials: Credentials) -> (S3Backend, Arc<Stats>) {
        let stats = Arc::<Stats>::default();
        (S3Backend::new("bucket", settings, credentials, stats.clone()).unwrap(), stats)
    }
}

/// Head and body, as text; `None` when the client is gone.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

async fn get_from(script: impl IntoIterator<Item = Answer>) -> (Result<Got, Error>, Fake, Arc<Stats>) {
    let fake = Fake::start(script).await;
    let (backend, stats) = fake.backend();
    (backend.get("k", GetIf::Always, 100).await, fake, stats)
}

async fn put_to(script: impl IntoIterator<Item = Answer>) -> Result<(), Error> {
    let fake = Fake::start(script).await;
    let (backend, _) = fake.backend();
    backend.put("k", ObjectHeaders::default(), Bytes::from_static(b"body"), PutIf::Always).await.map(drop)
}

fn body_of(got: Result<Got, Error>) -> Bytes {
    match got.unwrap() {
        Got::Object(object) => object.body,
        other => panic!("{other:?}"),
    }
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_transient_and_its_wish_is_passed_on() {
    let (got, _, stats) = get_from([refusal("503 Slow Down", "Retry-After: 7\r\n", "SlowDown")]).await;
    let error = got.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Transient, Some(Duration::from_secs(7))));
    for part in ["GET s3://bucket/k", "503", "SlowDown"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(stats.http.error_5xx.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed_and_name_the_flag() {
    let region = "x-amz-bucket-region: eu-west-3\r\n";
    let (got, fake, stats) = get_from([refusal("301 Moved", region, "PermanentRedirect")]).await;
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert!(error.message().contains("--region=eu-west-3"), "{error}");
    assert_eq!((fake.requests().len(), stats.http.redirect.get()), (1, 1));

    let (got, fake, _) = get_from([answer("307 Temporary Redirect", "Location: http://127.0.0.1:1/x\r\n", "")]).await;
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert!(error.message().contains("http://127.0.0.1:1/x"), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_skewed_clock_is_signed_around_once() {
    let date = "Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n";
    let skewed = || refusal("403 Forbidden", date, "RequestTimeTooSkewed");
    let fake = Fake::start([skewed(), answer("200 OK", "", "one"), answer("200 OK", "", "two"), skewed()]).await;
    let (backend, _) = fake.backend();
    assert_eq!(body_of(backend.get("k", GetIf::Always, 9).await), "one");
    assert_eq!(body_of(backend.get("k", GetIf::Always, 9).await), "two");
    let dates: Vec<String> = fake.requests().iter().map(|r| header(r, "x-amz-date").unwrap().to_string()).collect();
    assert!(!dates[0].starts_with("2030") && dates[1].starts_with("20300101T0000"), "{dates:?}");
    assert!(dates[2].starts_with("20300101T0000"), "the offset is kept: {dates:?}");

    // Two requests at once learn the same offset, and both use it.
    let fake = Fake::start([skewed(), skewed(), answer("200 OK", "", "x"), answer("200 OK", "", "x")]).await;
    let (backend, _) = fake.backend();
    let (one, two) = (backend.get("k", GetIf::Always, 9), backend.get("k", GetIf::Always, 9));
    let (one, two) = futures::join!(one, two);
    assert_eq!((body_of(one), body_of(two)), ("x".into(), "x".into()));

    // A server that is never content is not asked for ever.
    let (got, fake, _) = get_from([skewed(), skewed(), skewed()]).await;
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn expired_fixed_keys_are_reported_with_the_next_step() {
    let (got, fake, _) = get_from([refusal("400 Bad Request", "", "ExpiredToken")]).await;
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("temporary credentials"), "{error}");
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(header(&requests[0], "x-amz-security-token"), Some("TOKEN"));
}

fn role_keys(id: &str, seconds: i64) -> Answer {
    let expires = jiff_now_plus(seconds);
    let keys = format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"S","Token":"T-{id}","Expiration":"{expires}"}}"#
    );
    answer("200 OK", "", &keys)
}

fn jiff_now_plus(seconds: i64) -> String {
    let now = jiff::Timestamp::try_from(clock::wall()).unwrap();
    jiff::Timestamp::from_second(now.as_second() + seconds).unwrap().to_string()
}

fn role(fake: &Fake, imds: &Fake, imds_v2: bool) -> S3Backend {
    let credentials = CredentialSource {
        ec2_role: Some("my-role".into()),
        ec2_imds_v2: imds_v2,
        ec2_endpoint: Some(imds.url()),
        ..CredentialSource::default()
    };
    let settings = S3Settings { credentials, ..fake.settings() };
    let nothing = Surroundings { variable: &|_| None };
    let credentials = Credentials::resolve(&settings, None, &nothing).unwrap();
    fake.backend_of(&settings, credentials).0
}

#[tokio::test(start_paused = true)]
async fn a_roles_keys_are_fetched_kept_and_replaced_when_they_expire() {
    let ok = || answer("200 OK", "", "x");
    let expired = refusal("400 Bad Request", "", "ExpiredToken");
    let fake = Fake::start([ok(), ok(), expired, ok()]).await;
    let imds = Fake::start([role_keys("ONE", 3600), role_keys("TWO", 3600)]).await;
    let backend = role(&fake, &imds, false);
    for _ in 0..3 {
        assert_eq!(body_of(backend.get("k", GetIf::Always, 9).await), "x");
    }
    let ids: Vec<String> =
        fake.requests().iter().map(|r| header(r, "x-amz-security-token").unwrap().to_string()).collect();
    assert_eq!(ids, ["T-ONE", "T-ONE", "T-ONE", "T-TWO"]);
    let asked = imds.requests();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with("GET /latest/meta-data/iam/security-credentials/my-role "), "{}", asked[0]);
}

#[tokio::test(start_paused = true)]
async fn keys_about_to_expire_are_refreshed_and_kept_while_that_fails() {
    let fake = Fake::start((0..3).map(|_| answer("200 OK", "", "x"))).await;
    let session = || answer("200 OK", "", "SESSION");
    let down = answer("500 Internal Server Error", "", "");
    let imds = Fake::start([session(), role_keys("ONE", 100), down]).await;
    let backend = role(&fake, &imds, true);
    for _ in 0..3 {
        assert_eq!(body_of(backend.get("k", GetIf::Always, 9).await), "x");
    }
    let used: Vec<String> =
        fake.requests().iter().map(|r| header(r, "x-amz-security-token").unwrap().to_string()).collect();
    // The failed refresh is not repeated at every request.
    assert_eq!(used, ["T-ONE", "T-ONE", "T-ONE"]);
    let asked = imds.requests();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with("PUT /latest/api/token "), "{}", asked[0]);
    assert_eq!(header(&asked[0], "x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
    assert_eq!(header(&asked[1], "x-aws-ec2-metadata-token"), Some("SESSION"));
}

#[tokio::test(start_paused = true)]
async fn the_service_is_not_asked_at_every_request_while_it_has_no_new_keys() {
    let fake = Fake::start((0..5).map(|_| answer("200 OK", "", "x"))).await;
    let imds = Fake::start((0..5).map(|_| role_keys("ONE", 100))).await;
    let backend = role(&fake, &imds, false);
    for _ in 0..5 {
        assert_eq!(body_of(backend.get("k", GetIf::Always, 9).await), "x");
    }
    assert_eq!(imds.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_not_there_is_denied() {
    let fake = Fake::start([]).await;
    let imds = Fake::start([answer("404 Not Found", "", "no")]).await;
    let error = role(&fake, &imds, false).check_bucket().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("my-role") && error.message().contains("--access-ec2-iam"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_times_out_after_the_last_progress() {
    let timeout = S3Settings::default().timeout;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let parts = vec![(timeout / 2, head.into()), (timeout / 2, "01234".into())];
    let started = clock::now();
    let (got, _, stats) = get_from([Answer { parts, then: Then::Hang }]).await;
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("--timeout"), "{error}");
    let took = clock::now() - started;
    assert!(took >= timeout * 2 && took < timeout * 2 + timeout / 10, "{took:?}");
    assert_eq!(stats.http.timeouts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_that_goes_on_does_not_time_out() {
    let timeout = S3Settings::default().timeout;
    let mut parts = vec![(Duration::ZERO, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_string())];
    parts.extend((0..10).map(|i| (timeout * 9 / 10, i.to_string())));
    let started = clock::now();
    let (got, ..) = get_from([Answer { parts, then: Then::KeepAlive }]).await;
    assert_eq!(body_of(got), "0123456789");
    assert!(clock::now() - started >= timeout * 9);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_body_is_transient() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    let (got, _, stats) = get_from([Answer { then: Then::Close, ..raw(text) }]).await;
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(stats.http.other_connection_error.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_length_is_held_to_the_limit() {
    let chunked = |text: &str| {
        raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len()))
    };
    let (got, ..) = get_from([chunked("small")]).await;
    assert_eq!(body_of(got), "small");
    let (got, ..) = get_from([chunked(&"x".repeat(101))]).await;
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test(start_paused = true)]
async fn an_error_behind_a_200_fails_the_put() {
    let error = put_to([refusal("200 OK", "ETag: \"x\"\r\n", "InternalError")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.message().contains("InternalError"), "{error}");
    put_to([answer("200 OK", "ETag: \"6679d91884f0a23669a05dd5ae45ad88\"\r\n", "")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn garbage_is_an_error_not_a_panic() {
    for text in [
        "garbage\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\u{0}bad: x\r\n\r\n",
        "",
    ] {
        let (got, ..) = get_from([Answer { then: Then::Close, ..raw(text) }]).await;
        assert_eq!(got.unwrap_err().kind(), ErrorKind::Transient, "{text:?}");
    }
    let (got, ..) = get_from([answer("200 OK", "ETag: \"nonsense\"\r\nContent-Encoding: \u{ff}\r\n", "x")]).await;
    match got.unwrap() {
        Got::Object(object) => assert_eq!(object.etag, None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_is_believed_for_its_code_only() {
    let listing = || answer("200 OK", "", "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>");
    let no_bucket = || refusal("404 Not Found", "", "NoSuchBucket");
    let kind = |got: Result<Got, Error>| got.map_err(|error| error.kind());

    let (got, fake, _) = get_from([refusal("404 Not Found", "", "NoSuchKey")]).await;
    assert_eq!((kind(got), fake.requests().len()), (Ok(Got::Absent), 1));
    let (got, ..) = get_from([no_bucket()]).await;
    assert_eq!(kind(got), Err(ErrorKind::NoBucket));
    let (got, ..) = get_from([answer("404 Not Found", "", "<html>no such page</html>")]).await;
    assert_eq!(kind(got), Err(ErrorKind::Failed));
    // Without a word the bucket is asked for.
    let (got, ..) = get_from([answer("404 Not Found", "", ""), listing()]).await;
    assert_eq!(kind(got), Ok(Got::Absent));
    let (got, ..) = get_from([answer("404 Not Found", "", ""), no_bucket()]).await;
    assert_eq!(kind(got), Err(ErrorKind::NoBucket));
}

#[tokio::test(start_paused = true)]
async fn an_old_server_is_listed_its_way() {
    let page = |keys: &[&str], truncated: bool| {
        let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        let text = format!("<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{keys}</ListBucketResult>");
        answer("200 OK", "", &text)
    };
    // It takes no notice of start-after and begins anew; then it is asked with a marker, and only so.
    let fake = Fake::start([page(&["a", "b"], true), page(&["c"], true), page(&["d"], false)]).await;
    let (backend, _) = fake.backend();
    assert_eq!(backend.list("", "b").await.unwrap().keys, ["c"]);
    assert_eq!(backend.list("", "c").await.unwrap().keys, ["d"]);
    let asked: Vec<String> = fake.requests().iter().map(|r| r.lines().next().unwrap().to_string()).collect();
    assert!(asked[0].contains("start-after=b") && asked[1].contains("marker=b"), "{asked:?}");
    assert!(asked[2].contains("marker=c") && !asked[2].contains("list-type"), "{asked:?}");

    let refused = refusal("501 Not Implemented", "", "NotImplemented");
    let fake = Fake::start([refused, page(&["a"], false)]).await;
    assert_eq!(fake.backend().0.list("", "").await.unwrap().keys, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn without_multi_delete_keys_go_one_by_one() {
    let done = || answer("204 No Content", "", "");
    let fake =
        Fake::start([refusal("501 Not Implemented", "", "NotImplemented"), done(), done(), done(), done()]).await;
    let (backend, stats) = fake.backend();
    for _ in 0..2 {
        let answers = backend.delete_many(vec!["a".into(), "b".into()]).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let posts = fake.requests().iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!((posts, stats.http.deletes.get(), stats.http.bulk_deletes.get()), (1, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn every_put_carries_length_checksum_and_settings() {
    let fake = Fake::start([answer("200 OK", "", "")]).await;
    let settings = S3Settings {
        storage_class: Some("ANY_VALUE".into()),
        sse: Some("aws:kms".into()),
        sse_key_id: Some("key-1".into()),
        ..fake.settings()
    };
    let (backend, _) = fake.backend_of(&settings, Credentials::fixed("AKID", "SECRET".to_string().into(), None));
    let headers = ObjectHeaders { content_type: Some("text/plain"), ..ObjectHeaders::default() };
    backend.put("k", headers, Bytes::from_static(b"body"), PutIf::Absent).await.unwrap();
    let request = &fake.requests()[0];
    for (name, value) in [
        ("content-length", "4"),
        ("content-type", "text/plain"),
        ("x-amz-acl", "private"),
        ("x-amz-storage-class", "ANY_VALUE"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
        ("if-none-match", "*"),
        ("x-amz-content-sha256", "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"),
        ("x-amz-checksum-sha256", "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU="),
    ] {
        assert_eq!(header(request, name), Some(value), "{name} in {request}");
    }
    assert!(header(request, "transfer-encoding").is_none());
    assert!(request.ends_with("\r\n\r\nbody"));

    // Some buckets refuse any ACL.
    let fake = Fake::start([answer("200 OK", "", "")]).await;
    let (backend, _) = fake.backend_of(&S3Settings { access_type: None, ..fake.settings() }, Credentials::anonymous());
    backend.put("k", ObjectHeaders::default(), Bytes::from_static(b"body"), PutIf::Always).await.unwrap();
    for absent in ["x-amz-acl", "x-amz-storage-class", "x-amz-server-side-encryption"] {
        assert_eq!(header(&fake.requests()[0], absent), None, "{absent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_the_checksum_header_gets_md5() {
    let text =
        "<Error><Code>InvalidArgument</Code><Message>Unsupported header 'x-amz-checksum-sha256'</Message></Error>";
    let refused = answer("400 Bad Request", "", text);
    let ok = || answer("200 OK", "", "");
    let fake = Fake::start([refused.clone(), ok(), ok()]).await;
    let (backend, _) = fake.backend();
    for _ in 0..2 {
        let body = Bytes::from_static(b"body");
        backend.put("k", ObjectHeaders::default(), body, PutIf::Always).await.unwrap();
    }
    let sent: Vec<bool> = fake.requests().iter().map(|r| header(r, "content-md5").is_some()).collect();
    assert_eq!(sent, [false, true, true]);
    assert!(put_to([refused.clone(), refused]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_explained_or_healed_by_a_listing() {
    let listing = || answer("200 OK", "", "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>");
    let expired = refusal("400 Bad Request", "", "ExpiredToken");
    let found = raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let bare = |status: &str| raw(format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n"));
    let fake = Fake::start([bare("400 Bad Request"), expired, listing(), found]).await;
    let imds = Fake::start([role_keys("ONE", 3600), role_keys("TWO", 3600)]).await;
    assert_eq!(role(&fake, &imds, false).head("k").await.unwrap().map(|info| info.len), Some(5));

    let fake = Fake::start([bare("403 Forbidden"), refusal("403 Forbidden", "", "InvalidAccessKeyId")]).await;
    let error = fake.backend().0.head("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("InvalidAccessKeyId"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_transient_and_says_where() {
    let fake = Fake::start([]).await;
    let settings = S3Settings { base_url: Some("http://127.0.0.1:1/".into()), ..fake.settings() };
    let (backend, stats) = fake.backend_of(&settings, Credentials::anonymous());
    let error = backend.check_bucket().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.message().contains("--base-url"), "{error}");
    assert_eq!((stats.http.connect_failed.get(), stats.http.connections.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn speed_limits_hold_without_timing_out() {
    // Of each connection, or of all together: two bodies side by side take as long as one, or twice as long.
    for (each, total, expected) in [(Some(800), None, 100), (None, Some(800), 200)] {
        let body = "x".repeat(10_000);
        let (stored, found) = (answer("200 OK", "", ""), answer("200 OK", "", &body));
        let fake = Fake::start([stored.clone(), stored, found.clone(), found]).await;
        let settings = S3Settings {
            max_upload_speed: each,
            max_download_speed: each,
            total_upload_speed: total,
            total_download_speed: total,
            ..fake.settings()
        };
        let (backend, _) = fake.backend_of(&settings, Credentials::anonymous());
        let put = || backend.put("k", ObjectHeaders::default(), body.clone().into(), PutIf::Always);
        let started = clock::now();
        let sent = futures::join!(put(), put());
        assert!(sent.0.is_ok() && sent.1.is_ok());
        let sent = clock::now() - started;
        assert!((expected - 3..expected + 5).contains(&sent.as_secs()), "{sent:?} for 20 kB up, {each:?} {total:?}");
        let get = || backend.get("k", GetIf::Always, 10_000);
        let (one, other) = futures::join!(get(), get());
        assert_eq!((body_of(one), body_of(other)), (body.clone().into(), body.clone().into()));
        let received = clock::now() - started - sent;
        assert!((expected - 3..expected + 5).contains(&received.as_secs()), "{received:?} down, {each:?} {total:?}");
    }
}

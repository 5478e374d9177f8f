//! The S3 backend against a real server, in both URL styles. (Answers no healthy server gives are in
//! `s3_unhealthy.rs`.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use s3b_engine::error::ErrorKind;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::{AuthVersion, S3Settings};
use s3b_engine::stats::Stats;
use s3b_testkit::seaweed::Seaweed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A bucket of its own for every test.
fn new_bucket(server: &Seaweed) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    server.create_bucket(&name).expect("the filer makes a bucket");
    name
}

fn settings(server: &Seaweed, vhost: bool) -> S3Settings {
    let base_url = if vhost { server.vhost_endpoint() } else { server.endpoint() };
    S3Settings { base_url: Some(base_url), vhost: Some(vhost), access_type: None, ..S3Settings::default() }
}

fn credentials(secret: &str) -> Credentials {
    Credentials::fixed(Seaweed::ACCESS_ID, secret.to_string().into(), None)
}

fn open(bucket: &str, settings: &S3Settings) -> S3Backend {
    S3Backend::new(bucket, settings, credentials(Seaweed::SECRET), Arc::default()).expect("good settings")
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn put(backend: &S3Backend, key: &str, text: &'static str) -> Option<ETag> {
    backend.put(key, ObjectHeaders::default(), body(text), PutIf::Always).await.unwrap_or_else(|e| panic!("{key}: {e}"))
}

async fn read(backend: &S3Backend, key: &str) -> Option<Bytes> {
    match backend.get(key, GetIf::Always, 1 << 20).await.unwrap_or_else(|e| panic!("{key}: {e}")) {
        Got::Object(object) => Some(object.body),
        Got::Absent => None,
        other => panic!("{key}: {other:?}"),
    }
}

const ODD_KEYS: [&str; 8] = [
    "a&b",
    "with blank",
    "ü/…/é",
    "plus+sign",
    "<tag>'\"",
    "percent%41",
    "semi;colon=equals?query#hash",
    "tilde~(1)!*",
];

/// Runs a test in both styles, each in a bucket of its own.
async fn in_both_styles(test: impl AsyncFn(&S3Backend)) {
    let Some(server) = Seaweed::required() else {
        return;
    };
    for vhost in [false, true] {
        let backend = open(&new_bucket(&server), &settings(&server, vhost));
        test(&backend).await;
    }
}

#[tokio::test]
async fn an_object_comes_back_with_its_headers() {
    in_both_styles(async |backend| {
        let headers = ObjectHeaders {
            content_type: Some("application/x-s3backer-block"),
            content_encoding: Some("deflate, encrypt-AES-128-CBC".into()),
            meta: vec![
                ("s3backer-blocksize".into(), "4096".into()),
                ("s3backer-hmac".into(), "\"643f070b9170d2aa3662a627d5d94e84a0c9ada9\"".into()),
            ],
            ..ObjectHeaders::default()
        };
        let etag = backend.put("disk1/00000000", headers.clone(), body("content"), PutIf::Always).await.unwrap();
        let expected = ObjectHeaders { content_type: None, ..headers };
        match backend.get("disk1/00000000", GetIf::Always, 7).await.unwrap() {
            Got::Object(object) => {
                assert_eq!((object.body, &object.headers), (body("content"), &expected));
                assert!(etag.is_some() && object.etag == etag);
            }
            other => panic!("{other:?}"),
        }
        let info = backend.head("disk1/00000000").await.unwrap().expect("it is there");
        assert_eq!((info.len, info.etag, info.headers), (7, etag, expected));
        assert_eq!(backend.head("disk1/00000001").await.unwrap(), None);
        backend.delete("disk1/00000000").await.unwrap();
        backend.delete("disk1/00000000").await.unwrap();
        assert_eq!(read(backend, "disk1/00000000").await, None);
    })
    .await;
}

#[tokio::test]
async fn large_and_empty_bodies_come_back() {
    in_both_styles(async |backend| {
        let large =
            Bytes::from((0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>());
        for body in [large, Bytes::new()] {
            backend.put("k", ObjectHeaders::default(), body.clone(), PutIf::Always).await.unwrap();
            match backend.get("k", GetIf::Always, body.len()).await.unwrap() {
                Got::Object(object) => assert!(object.body == body, "{} bytes", body.len()),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn conditions_are_honoured() {
    in_both_styles(async |backend| {
        let first = put(backend, "k", "one").await.unwrap();
        assert_eq!(backend.get("k", GetIf::Differs(first), 9).await.unwrap(), Got::NotModified);
        assert!(matches!(backend.get("k", GetIf::Matches(first), 9).await.unwrap(), Got::Object(_)));
        let second = put(backend, "k", "two").await.unwrap();
        assert_eq!(backend.get("k", GetIf::Matches(first), 9).await.unwrap(), Got::Mismatch);
        match backend.get("k", GetIf::Differs(first), 9).await.unwrap() {
            Got::Object(object) => assert_eq!((object.body, object.etag), (body("two"), Some(second))),
            other => panic!("{other:?}"),
        }
        assert_eq!(backend.get("absent", GetIf::Differs(first), 9).await.unwrap(), Got::Absent);

        let create = |key: &'static str| backend.put(key, ObjectHeaders::default(), body("x"), PutIf::Absent);
        create("new").await.unwrap();
        assert_eq!(create("new").await.unwrap_err().kind(), ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn odd_keys_survive_every_request() {
    in_both_styles(async |backend| {
        for key in ODD_KEYS {
            put(backend, key, "x").await;
            assert!(read(backend, key).await.is_some(), "{key}");
            let listed = backend.list(key, "").await.unwrap();
            assert_eq!(listed.keys, [key], "listed by itself");
        }
        let mut keys: Vec<String> = ODD_KEYS.map(String::from).to_vec();
        keys.push("never written".into());
        for (key, answer) in keys.iter().zip(backend.delete_many(keys.clone()).await) {
            answer.unwrap_or_else(|e| panic!("{key}: {e}"));
        }
        for key in ODD_KEYS {
            assert_eq!(read(backend, key).await, None, "{key}");
        }
        let error = backend.get("a/../b", GetIf::Always, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    })
    .await;
}

#[tokio::test]
async fn listings_are_paged_in_order_and_kept_to_their_prefix() {
    in_both_styles(async |backend| {
        let keys: Vec<String> = (0..1203).map(|block| format!("disk/{block:08x}")).collect();
        put(backend, "disj/00000000", "x").await;
        put(backend, "disk", "x").await;
        put(backend, "disk0", "x").await;
        for batch in keys.chunks(32) {
            let puts = batch.iter().map(|key| put(backend, key, "x"));
            futures::future::join_all(puts).await;
        }
        let mut seen = Vec::new();
        let mut after = String::new();
        let mut pages = 0;
        loop {
            let page = backend.list("disk/", &after).await.unwrap();
            assert!(page.keys.len() <= 1000);
            pages += 1;
            seen.extend(page.keys);
            if !page.truncated {
                break;
            }
            after.clone_from(seen.last().expect("a truncated page has keys"));
        }
        assert_eq!((pages, seen == keys), (2, true), "{} of {} keys", seen.len(), keys.len());
        let page = backend.list("disk/", "disk/000004b0").await.unwrap();
        assert_eq!(page.keys, ["disk/000004b1", "disk/000004b2"]);
        assert!(backend.list("disk/", "disk/000004b2").await.unwrap().keys.is_empty());

        let answers = backend.delete_many(keys.clone()).await;
        assert_eq!(answers.len(), keys.len());
        assert!(answers.iter().all(Result::is_ok));
        assert!(backend.list("disk/", "").await.unwrap().keys.is_empty());
        assert_eq!(backend.list("disk", "").await.unwrap().keys, ["disk", "disk0"]);
    })
    .await;
}

#[tokio::test]
async fn an_oversized_object_is_corrupt_and_names_its_size() {
    in_both_styles(async |backend| {
        put(backend, "k", "0123456789").await;
        let error = backend.get("k", GetIf::Always, 9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("10 bytes") && error.message().contains("/k"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_missing_bucket_is_never_a_missing_object() {
    let Some(server) = Seaweed::required() else {
        return;
    };
    for vhost in [false, true] {
        let backend = open("no-such-bucket", &settings(&server, vhost));
        let kind = |error: s3b_engine::error::Error| {
            assert!(error.message().contains("NoSuchBucket"), "{error}");
            error.kind()
        };
        assert_eq!(kind(backend.check_bucket().await.unwrap_err()), ErrorKind::NoBucket);
        assert_eq!(kind(backend.get("k", GetIf::Always, 1).await.unwrap_err()), ErrorKind::NoBucket);
        assert_eq!(kind(backend.head("k").await.unwrap_err()), ErrorKind::NoBucket);
        assert_eq!(kind(backend.delete("k").await.unwrap_err()), ErrorKind::NoBucket);
        assert_eq!(kind(backend.list("", "").await.unwrap_err()), ErrorKind::NoBucket);
        let keys = vec!["a".to_string(), "b".to_string()];
        for answer in backend.delete_many(keys).await {
            assert_eq!(kind(answer.unwrap_err()), ErrorKind::NoBucket);
        }
    }
}

#[tokio::test]
async fn wrong_secrets_are_denied_with_the_next_step() {
    let Some(server) = Seaweed::required() else {
        return;
    };
    let bucket = new_bucket(&server);
    let stats = Arc::<Stats>::default();
    let wrong = S3Backend::new(&bucket, &settings(&server, false), credentials("no"), stats.clone()).unwrap();
    for error in [wrong.check_bucket().await.unwrap_err(), wrong.head("k").await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("SignatureDoesNotMatch"), "{error}");
        assert!(error.message().contains("--access-key"), "{error}");
    }
    assert!(stats.http.forbidden.get() >= 2);
    let nobody = S3Backend::new(&bucket, &settings(&server, false), Credentials::anonymous(), stats).unwrap();
    assert_eq!(nobody.check_bucket().await.unwrap_err().kind(), ErrorKind::Denied);
    open(&bucket, &settings(&server, false)).check_bucket().await.unwrap();
}

#[tokio::test]
async fn version_2_signatures_are_accepted() {
    let Some(server) = Seaweed::required() else {
        return;
    };
    // In path style only: in vhost style SeaweedFS refuses a signature over `/bucket/key`, which is what Amazon wants.
    let settings = S3Settings { auth_version: AuthVersion::Aws2, ..settings(&server, false) };
    let backend = open(&new_bucket(&server), &settings);
    put(&backend, "a b", "x").await;
    put(&backend, "c", "x").await;
    assert_eq!(backend.list("", "").await.unwrap().keys, ["a b", "c"]);
    let answers = backend.delete_many(vec!["a b".into(), "c".into()]).await;
    answers.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    assert_eq!(read(&backend, "c").await, None);
}

/// Passes bytes on, and damages every `sound` to `wrong` on its way up.
async fn damaging_proxy(to: String) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&to).await else {
                return;
            };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    let bytes = &mut buffer[..n];
                    if let Some(at) = bytes.windows(5).position(|five| five == b"sound") {
                        bytes[at..at + 5].copy_from_slice(b"wrong");
                    }
                    if to_server.write_all(bytes).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(url)
}

#[tokio::test]
async fn a_body_damaged_on_its_way_is_refused() {
    let Some(server) = Seaweed::required() else {
        return;
    };
    let direct = settings(&server, false);
    let address = server.endpoint().trim_start_matches("http://").trim_end_matches('/').to_string();
    let proxy = damaging_proxy(address).await.unwrap();
    for auth_version in [AuthVersion::Aws4, AuthVersion::Aws2] {
        let bucket = new_bucket(&server);
        let damaged = S3Settings { base_url: Some(proxy.clone()), auth_version, ..direct.clone() };
        let damaged = open(&bucket, &damaged);
        let put = |text| damaged.put("k", ObjectHeaders::default(), body(text), PutIf::Always);
        let error = put("sound").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        assert!(error.message().contains("BadDigest"), "{error}");
        assert_eq!(read(&open(&bucket, &direct), "k").await, None);
        put("another").await.unwrap();
    }
}

#[tokio::test]
async fn requests_are_counted_and_connections_kept() {
    let Some(server) = Seaweed::required() else {
        return;
    };
    let stats = Arc::<Stats>::default();
    let settings = settings(&server, false);
    let backend = S3Backend::new(&new_bucket(&server), &settings, credentials(Seaweed::SECRET), stats.clone()).unwrap();
    for _ in 0..10 {
        put(&backend, "k", "12345").await;
        read(&backend, "k").await;
    }
    let http = &stats.http;
    assert_eq!((http.puts.get(), http.gets.get()), (10, 10));
    assert_eq!((http.put_bytes.get(), http.get_bytes.get()), (50, 50));
    assert_eq!(http.connections.get(), 1);
}

//! The bytes that a ledger charges for headers are those that the engine's client sends: counted on the way to a real
//! server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3b_engine::object::{GetIf, ObjectBackend, ObjectHeaders, PutIf};
use s3b_engine::object_blocks::codec::CONTENT_TYPE;
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::S3Settings;
use s3b_testkit::Proxy;
use s3b_testkit::seaweed::Seaweed;
use s3b_tuner::headers::{self, Heads};

/// As long as an access key of Amazon's.
const KEY_ID_LEN: usize = 20;
const AMAZON: &str = "s3.us-east-1.amazonaws.com";
const BUCKET: &str = "my-disk-bucket";
const PREFIX: &str = "disk1/";
/// `Content-Length` and the like may have a digit more or less.
const DIGITS: u64 = 4;

#[test]
fn heads_are_as_long_as_the_ledger_says() {
    let Some(server) = Seaweed::required() else { return };
    server.create_bucket(BUCKET).unwrap();
    let upstream = server.endpoint().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(upstream, Duration::ZERO).unwrap();
    let host = format!("127.0.0.1:{}", proxy.port());
    let settings = S3Settings { base_url: Some(format!("http://{host}/")), ..S3Settings::default() };
    let credentials = Credentials::fixed(Seaweed::ACCESS_ID, Seaweed::SECRET.to_string().into(), None);
    let backend = S3Backend::new(BUCKET, &settings, credentials, Arc::default()).unwrap();
    // What a request to Amazon has more: in vhost style the bucket's name moves from the path to the host.
    let more = AMAZON.len() - host.len() + KEY_ID_LEN - Seaweed::ACCESS_ID.len();
    let counted = |method: &str| {
        let [sent, answered] = proxy.last_heads(method).unwrap();
        Heads { sent: (sent + more) as u64, answered: answered as u64 }
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = |number: u64| format!("{PREFIX}{number:08x}");
    let put = |number| {
        let headers = ObjectHeaders { content_type: Some(CONTENT_TYPE), ..ObjectHeaders::default() };
        backend.put(&key(number), headers, Bytes::from(vec![7; 64 << 10]), PutIf::Always)
    };
    let (mut found, mut note) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        put(1).await.unwrap();
        found.push(("PUT", counted("PUT"), headers::PUT));
        backend.get(&key(1), GetIf::Always, 64 << 10).await.unwrap();
        found.push(("GET", counted("GET"), headers::GET));
        backend.head(&key(1)).await.unwrap();
        found.push(("HEAD", counted("HEAD"), headers::HEAD));
        backend.list(PREFIX, &key(0)).await.unwrap();
        found.push(("LIST", counted("GET"), headers::LIST));
        backend.delete(&key(1)).await.unwrap();
        found.push(("DELETE", counted("DELETE"), headers::DELETE));
        put(2).await.unwrap();
        put(3).await.unwrap();
        note.extend(backend.delete_many(vec![key(2), key(3)]).await);
        found.push(("bulk DELETE", counted("POST"), headers::BULK_DELETE));
    });
    assert!(note.iter().all(Result::is_ok), "{note:?}");
    for (name, counted, charged) in &found {
        assert!(counted.sent.abs_diff(charged.sent) <= DIGITS, "{name}: {counted:?}, charged {charged:?}; {found:?}");
        // This server says less than Amazon, with the same answers to what matters.
        assert!((100..=charged.answered).contains(&counted.answered), "{name}: {counted:?}, charged {charged:?}");
    }
}

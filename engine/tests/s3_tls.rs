//! TLS: `--cacert`, `--insecure`, and neither; `--http2`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use s3b_engine::error::ErrorKind;
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::S3Settings;

/// A certificate for `localhost` that no root of the system signed. `None`: no openssl here.
fn certificate(directory: &Path) -> Option<()> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory)
        .output();
    match made {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(())
        }
        Err(_) => {
            s3b_testkit::skip("no openssl to make a certificate with");
            None
        }
    }
}

/// The protocols that connections agreed on, in order; empty where none was offered.
type Agreed = Arc<Mutex<Vec<Vec<u8>>>>;

/// Answers every request with an empty listing in HTTP/1.1, a connection at a time, until the process ends.
fn serve(directory: &Path) -> (u16, Agreed) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let agreed = Agreed::default();
    let noted = agreed.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                seen.push(byte[0]);
            }
            noted.lock().unwrap().push(stream.conn.alpn_protocol().unwrap_or_default().to_vec());
            let body = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";
            // A client that refused the certificate is gone.
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, agreed)
}

#[tokio::test]
async fn a_certificate_is_verified_unless_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let Some(()) = certificate(directory.path()) else {
        return;
    };
    let (port, _) = serve(directory.path());
    let plain = S3Settings { base_url: Some(format!("https://localhost:{port}/")), ..S3Settings::default() };
    let check = async |settings: &S3Settings| {
        S3Backend::new("bucket", settings, Credentials::anonymous(), Arc::default())?.check_bucket().await
    };

    let error = check(&plain).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    assert!(error.message().contains("--cacert") && error.message().contains("certificate"), "{error}");

    check(&S3Settings { cacert: Some(directory.path().join("cert.pem")), ..plain.clone() }).await.unwrap();
    check(&S3Settings { insecure: true, ..plain.clone() }).await.unwrap();
    for bad in ["missing.pem", "key.pem"] {
        let error = check(&S3Settings { cacert: Some(directory.path().join(bad)), ..plain.clone() }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(bad), "{error}");
    }
}

#[tokio::test]
async fn http2_is_offered_only_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let Some(()) = certificate(directory.path()) else {
        return;
    };
    let (port, agreed) = serve(directory.path());
    for http2 in [false, true] {
        let base_url = Some(format!("https://localhost:{port}/"));
        let settings = S3Settings { base_url, insecure: true, http2, ..S3Settings::default() };
        let backend = S3Backend::new("bucket", &settings, Credentials::anonymous(), Arc::default()).unwrap();
        // This server speaks HTTP/1.1 whatever was agreed on.
        assert_eq!(backend.check_bucket().await.is_ok(), !http2);
    }
    let agreed = agreed.lock().unwrap().clone();
    assert_eq!(agreed[0], b"http/1.1");
    assert!(agreed.len() > 1 && agreed[1..].iter().all(|protocol| protocol == b"h2"), "{agreed:?}");
}

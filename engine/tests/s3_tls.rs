//! Certificates: `--cacert`, `--insecure`, and neither.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

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
            assert!(std::env::var_os("CI").is_none(), "no openssl");
            eprintln!("SKIPPED: no openssl to make a certificate with");
            None
        }
    }
}

/// Answers every request with an empty listing, a connection at a time, until the process ends.
fn serve(directory: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
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
            let body = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";
            // A client that refused the certificate is gone.
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_is_verified_unless_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let Some(()) = certificate(directory.path()) else {
        return;
    };
    let port = serve(directory.path());
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

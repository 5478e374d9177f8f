//! Flags of the connection to the store: endpoint, credentials, speeds, patience. The same in every front end.

use super::ValueKind::{Optional, Required, Switch};
use super::{Field, Flag, path, show_path};
use crate::field;
use crate::settings::parse::{self, show_duration, show_duration_or_forever, show_size};
use crate::settings::{AuthVersion, Settings};

const STORE: &str = "Connection";
const CREDENTIALS: &str = "Credentials";
const SPEED: &str = "Speed and patience";
const TEST: &str = "Test store";

/// Amazon's own canned ACLs.
const ACCESS_TYPES: &[(&str, &str)] = &[
    ("private", "private"),
    ("public-read", "public-read"),
    ("public-read-write", "public-read-write"),
    ("authenticated-read", "authenticated-read"),
    ("bucket-owner-read", "bucket-owner-read"),
    ("bucket-owner-full-control", "bucket-owner-full-control"),
    ("none", "none"),
];
const AUTH_VERSIONS: &[(&str, AuthVersion)] = &[("aws4", AuthVersion::Aws4), ("aws2", AuthVersion::Aws2)];
const SSE: &[(&str, &str)] = &[("AES256", "AES256"), ("aws:kms", "aws:kms"), ("aws:kms:dsse", "aws:kms:dsse")];

fn access_type(value: &str) -> crate::error::Result<Option<String>> {
    if value == "none" { Ok(None) } else { parse::one_of(value, ACCESS_TYPES).map(|v| Some(v.to_owned())) }
}

/// Also the empty text, which means unsigned requests.
fn any_text(value: &str) -> crate::error::Result<String> {
    Ok(value.to_owned())
}

pub static CONNECTION: &[Flag<Settings>] = &[
    Flag::new(
        "base-url",
        Required("URL"),
        STORE,
        "http://127.0.0.1:8333/",
        "Endpoint, such as http://127.0.0.1:8333/; default: Amazon's for the region",
        field!(Settings; opt s3.base_url, base_url, String::clone),
    )
    .legacy("baseURL")
    .shown_by("engine/tests/s3_compatible.rs::an_object_comes_back_with_its_headers"),
    Flag::new(
        "region",
        Required("NAME"),
        STORE,
        "eu-central-1",
        "Region to sign for; naming one turns --vhost on unless --no-vhost says otherwise; default us-east-1",
        field!(Settings; opt s3.region, parse::text, String::clone),
    )
    .shown_by("engine/src/s3/url.rs::the_default_endpoint_follows_the_region"),
    Flag::new(
        "vhost",
        Switch,
        STORE,
        "true",
        "http://bucket.host/key instead of http://host/bucket/key",
        field!(Settings; opt s3.vhost, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/s3_compatible.rs::odd_keys_survive_every_request"),
    Flag::new(
        "no-vhost",
        Switch,
        STORE,
        "true",
        "http://host/bucket/key also when a region is named; the later of --vhost and --no-vhost wins",
        Field {
            set: |s: &mut Settings, v| {
                s.s3.vhost = Some(!parse::boolean(v)?);
                Ok(())
            },
            get: |_| None,
        },
    )
    .shown_by("engine/src/s3/url.rs::the_default_endpoint_follows_the_region"),
    Flag::new(
        "ssl",
        Switch,
        STORE,
        "true",
        "Use https for the default endpoint",
        field!(Settings; s3.ssl, parse::boolean, bool::to_string),
    )
    .shown_by("engine/src/s3/url.rs::the_default_endpoint_follows_the_region"),
    Flag::new(
        "cacert",
        Required("FILE"),
        STORE,
        "/etc/ssl/certs/ca-certificates.crt",
        "Trust the certificates in this PEM file instead of the system's",
        field!(Settings; opt s3.cacert, path, |p| show_path(p)),
    )
    .shown_by("engine/tests/s3_tls.rs::a_certificate_is_verified_unless_told_otherwise"),
    Flag::new(
        "insecure",
        Switch,
        STORE,
        "true",
        "Do not verify the server's certificate",
        field!(Settings; s3.insecure, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/s3_tls.rs::a_certificate_is_verified_unless_told_otherwise"),
    Flag::new(
        "http2",
        Switch,
        STORE,
        "true",
        "Offer HTTP/2 over TLS; many HTTP/1.1 connections are usually faster for blocks",
        field!(Settings; s3.http2, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/s3_tls.rs::http2_is_offered_only_when_asked"),
    Flag::new("http11", Switch, STORE, "true", "Use HTTP/1.1 only", Field::NONE)
        .ignored("HTTP/1.1 is the default; it only cancels an earlier --http2"),
    Flag::new(
        "max-idle-connections",
        Required("N"),
        STORE,
        "64",
        "Idle connections kept open; default 128",
        field!(Settings; s3.max_idle_connections, parse::count_usize, usize::to_string),
    )
    .shown_by("engine/tests/s3_connections.rs::idle_connections_are_kept_as_asked"),
    Flag::new(
        "idle-timeout",
        Required("SECONDS"),
        STORE,
        "10s",
        "Close idle connections after this, before the server does; default 15s",
        field!(Settings; s3.idle_timeout, parse::seconds, show_duration),
    )
    .shown_by("engine/tests/s3_connections.rs::idle_connections_are_kept_as_asked"),
    Flag::new(
        "sse",
        Required("TYPE"),
        STORE,
        "AES256",
        "Server-side encryption: AES256, aws:kms or aws:kms:dsse",
        field!(Settings; opt s3.sse, |v: &str| parse::one_of(v, SSE).map(str::to_owned), String::clone),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::every_put_carries_length_checksum_and_settings"),
    Flag::new(
        "sse-key-id",
        Required("ID"),
        STORE,
        "alias/disk",
        "KMS key for --sse=aws:kms",
        field!(Settings; opt s3.sse_key_id, parse::text, String::clone),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::every_put_carries_length_checksum_and_settings"),
    Flag::new(
        "storage-class",
        Required("CLASS"),
        STORE,
        "STANDARD_IA",
        "Storage class of written objects; any value passes",
        field!(Settings; opt s3.storage_class, parse::text, String::clone),
    )
    .legacy("storageClass")
    .shown_by("engine/tests/s3_unhealthy.rs::every_put_carries_length_checksum_and_settings"),
    Flag::new(
        "access-type",
        Required("ACL"),
        STORE,
        "none",
        "Canned ACL sent with every object, or `none` for buckets that refuse ACLs; default private",
        field!(Settings; s3.access_type, access_type, |v: &Option<String>| v.clone().unwrap_or("none".into())),
    )
    .legacy("accessType")
    .shown_by("engine/tests/s3_unhealthy.rs::every_put_carries_length_checksum_and_settings"),
    Flag::new("no-curl-cache", Switch, STORE, "true", "Do not reuse connections", Field::NONE)
        .legacy("noCurlCache")
        .ignored("there is no curl here; a broken connection is never reused"),
    Flag::new("ip-tos", Required("VALUE"), STORE, "lowdelay", "IP type of service of the sockets", Field::NONE)
        .legacy("ipTOS")
        .ignored("the HTTP client offers no access to its sockets; use a firewall rule on the port"),
    Flag::new(
        "access-id",
        Required("ID"),
        CREDENTIALS,
        "AKIAEXAMPLE",
        "S3 access key id; empty: unsigned requests",
        field!(Settings; opt s3.credentials.access_id, any_text, String::clone),
    )
    .legacy("accessId")
    .shown_by("engine/src/s3/credentials/tests.rs::flags_come_before_all_else"),
    Flag::new(
        "access-key-env",
        Required("VAR"),
        CREDENTIALS,
        "AWS_SECRET_ACCESS_KEY",
        "Environment variable that holds the secret key",
        field!(Settings; opt s3.credentials.access_key_env, parse::text, String::clone),
    )
    .legacy("accessKeyEnv")
    .shown_by("engine/src/s3/credentials/tests.rs::flags_come_before_all_else"),
    Flag::new(
        "access-file",
        Required("FILE"),
        CREDENTIALS,
        "/etc/s3b/passwd",
        "File of id:key lines; default ~/.s3backer_passwd",
        field!(Settings; opt s3.credentials.access_file, path, |p| show_path(p)),
    )
    .legacy("accessFile")
    .shown_by("engine/src/s3/credentials/tests.rs::the_access_file_gives_the_first_or_the_matching_line"),
    Flag::new(
        "access-ec2-iam",
        Required("ROLE"),
        CREDENTIALS,
        "disk-role",
        "Credentials of this role from the EC2 metadata service, renewed before they expire",
        field!(Settings; opt s3.credentials.ec2_role, parse::text, String::clone),
    )
    .legacy("accessEC2IAM")
    .shown_by("engine/tests/s3_unhealthy.rs::a_roles_keys_are_fetched_kept_and_replaced_when_they_expire"),
    Flag::new(
        "access-ec2-iam-imdsv2",
        Switch,
        CREDENTIALS,
        "true",
        "Use version 2 of the metadata service",
        field!(Settings; s3.credentials.ec2_imds_v2, parse::boolean, bool::to_string),
    )
    .legacy("accessEC2IAM-IMDSv2")
    .shown_by("engine/tests/s3_unhealthy.rs::keys_about_to_expire_are_refreshed_and_kept_while_that_fails"),
    Flag::new(
        "access-ec2-endpoint",
        Required("URL"),
        CREDENTIALS,
        "http://127.0.0.1:1338/",
        "Another address of the metadata service",
        field!(Settings; opt s3.credentials.ec2_endpoint, parse::text, String::clone),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::a_roles_keys_are_fetched_kept_and_replaced_when_they_expire"),
    Flag::new(
        "auth-version",
        Required("VERSION"),
        CREDENTIALS,
        "aws2",
        "Request signing: aws4, or aws2 for old servers",
        field!(Settings; s3.auth_version, |v: &str| parse::one_of(v, AUTH_VERSIONS), |v| parse::word_of(v, AUTH_VERSIONS)),
    )
    .legacy("authVersion")
    .shown_by("engine/tests/s3_compatible.rs::version_2_signatures_are_accepted"),
    Flag::new(
        "timeout",
        Required("SECONDS"),
        SPEED,
        "20s",
        "A request fails after this long without progress; default 30s",
        field!(Settings; s3.timeout, parse::seconds, show_duration),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::a_stalled_body_times_out_after_the_last_progress"),
    Flag::new(
        "connect-timeout",
        Required("SECONDS"),
        SPEED,
        "5s",
        "A connection attempt fails after this; default 10s",
        field!(Settings; s3.connect_timeout, parse::seconds, show_duration),
    )
    .shown_by("engine/tests/s3_connections.rs::a_connection_attempt_ends_after_its_timeout"),
    Flag::new(
        "initial-retry-pause",
        Required("MS"),
        SPEED,
        "100ms",
        "First pause before a retry, doubled each time; default 200ms",
        field!(Settings; retry.initial_pause, parse::millis, show_duration),
    )
    .legacy("initialRetryPause")
    .shown_by("engine/src/retry.rs::pauses_grow_jitter_and_add_up_to_the_most"),
    Flag::new(
        "max-retry-pause",
        Required("MS"),
        SPEED,
        "60s",
        "The longest a read waits in pauses, all told; 0: one attempt, `forever`: no limit; default 30s. Writes never give up",
        field!(Settings; retry.max_pause, parse::millis_or_forever, show_duration_or_forever),
    )
    .legacy("maxRetryPause")
    .shown_by("engine/tests/semantics/outages.rs::uncached_reads_fail_after_the_longest_pause_or_wait_for_ever"),
    Flag::new(
        "longest-backoff",
        Required("MS"),
        SPEED,
        "10s",
        "The longest single pause between attempts to store a block; default 30s",
        field!(Settings; retry.longest_backoff, parse::millis, show_duration),
    )
    .shown_by("engine/tests/flags.rs::stores_are_repeated_at_the_longest_backoff"),
    Flag::new(
        "max-upload-speed",
        Required("BITS/S"),
        SPEED,
        "10m",
        "Upload limit of one connection, bits per second",
        field!(Settings; opt s3.max_upload_speed, parse::size, show_size),
    )
    .legacy("maxUploadSpeed")
    .shown_by("engine/tests/s3_unhealthy.rs::speed_limits_hold_without_timing_out"),
    Flag::new(
        "max-download-speed",
        Required("BITS/S"),
        SPEED,
        "10m",
        "Download limit of one connection, bits per second",
        field!(Settings; opt s3.max_download_speed, parse::size, show_size),
    )
    .legacy("maxDownloadSpeed")
    .shown_by("engine/tests/s3_unhealthy.rs::speed_limits_hold_without_timing_out"),
    Flag::new(
        "total-upload-speed",
        Required("BITS/S"),
        SPEED,
        "100m",
        "Upload limit of all connections together, bits per second",
        field!(Settings; opt s3.total_upload_speed, parse::size, show_size),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::speed_limits_hold_without_timing_out"),
    Flag::new(
        "total-download-speed",
        Required("BITS/S"),
        SPEED,
        "100m",
        "Download limit of all connections together, bits per second",
        field!(Settings; opt s3.total_download_speed, parse::size, show_size),
    )
    .shown_by("engine/tests/s3_unhealthy.rs::speed_limits_hold_without_timing_out"),
    Flag::new(
        "debug-http",
        Switch,
        SPEED,
        "true",
        "Log requests and replies, without secrets",
        field!(Settings; s3.debug_http, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/e2e/bad_input.rs::a_mount_that_cannot_work_fails_at_once_and_names_the_cause"),
    Flag::new(
        "test-delays",
        Switch,
        TEST,
        "true",
        "With --test: sleep up to 199 ms per operation",
        field!(Settings; test.delays, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/flags.rs::the_test_store_is_slow_and_fails_as_asked"),
    Flag::new(
        "test-errors",
        Optional { name: "SHARE", bare: "5%" },
        TEST,
        "5%",
        "With --test: this share of operations fails; default 5%",
        field!(Settings; opt test.errors, parse::share, f64::to_string),
    )
    .shown_by("engine/tests/flags.rs::the_test_store_is_slow_and_fails_as_asked"),
    Flag::new(
        "test-discard",
        Switch,
        TEST,
        "true",
        "With --test: no I/O at all, reads are zero",
        field!(Settings; test.discard, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/flags.rs::the_test_store_keeps_nothing_when_asked"),
    Flag::new(
        "test-seed",
        Required("N"),
        TEST,
        "42",
        "Seed of --test-delays and --test-errors; default: a random one, logged",
        field!(Settings; opt test.seed, parse::seed, u64::to_string),
    )
    .shown_by("engine/tests/flags.rs::the_test_store_is_slow_and_fails_as_asked"),
];

/// `http://host[:port]/`: nothing after the host, as in s3backer; a missing last slash is added.
fn base_url(value: &str) -> crate::error::Result<String> {
    use crate::error::Error;
    let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    let host = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    match host {
        None => Err(Error::config("an endpoint starts with http:// or https://")),
        Some("") => Err(Error::config("the host is missing")),
        Some(host) if host.contains(['/', '?', '#', '@', ' ']) => {
            Err(Error::config("an endpoint is a host and a port, nothing more"))
        }
        Some(_) => Ok(format!("{}/", value.trim_end_matches('/'))),
    }
}

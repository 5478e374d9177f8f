use secrecy::ExposeSecret;

use super::*;
use crate::settings::CredentialSource;

/// What [`Credentials::resolve`] came to: id, secret and token.
type Found = Option<(String, String, Option<String>)>;

async fn resolve(source: CredentialSource, key: Option<&str>, variables: &[(&str, &str)]) -> Result<Found> {
    let settings = S3Settings { credentials: source, ..S3Settings::default() };
    let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
    let around = Surroundings { variable: &variable };
    let credentials = Credentials::resolve(&settings, key.map(|key| key.to_string().into()), &around)?;
    let identity = credentials.current().await?;
    assert_eq!(identity.is_none(), credentials.is_anonymous());
    let text = |secret: &SecretString| secret.expose_secret().to_string();
    Ok(identity.map(|i| (i.access_id.clone(), text(&i.secret), i.token.as_ref().map(text))))
}

fn found(id: &str, secret: &str) -> Found {
    Some((id.into(), secret.into(), None))
}

fn with_id(id: &str) -> CredentialSource {
    CredentialSource { access_id: Some(id.into()), ..CredentialSource::default() }
}

fn access_file(text: &str) -> (tempfile::TempDir, CredentialSource) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s3backer_passwd");
    std::fs::write(&path, text).unwrap();
    let source = CredentialSource { access_file: Some(path), ..CredentialSource::default() };
    (directory, source)
}

const FILE: &str = "# comment:x\n\n indented:x\nONE:k1\nTWO:k:2\r\nTWO:again\n";
const AWS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "es"), ("AWS_SESSION_TOKEN", "et")];

#[tokio::test]
async fn flags_come_before_all_else() {
    assert_eq!(resolve(with_id("ID"), Some("key"), &AWS).await.unwrap(), found("ID", "key"));
    let source = CredentialSource { access_key_env: Some("MINE".into()), ..with_id("ID") };
    assert_eq!(resolve(source, None, &[("MINE", "of-env")]).await.unwrap(), found("ID", "of-env"));
    assert_eq!(resolve(with_id(""), None, &AWS).await.unwrap(), None);
}

#[tokio::test]
async fn the_access_file_gives_the_first_or_the_matching_line() {
    let (_directory, source) = access_file(FILE);
    assert_eq!(resolve(source.clone(), None, &AWS).await.unwrap(), found("ONE", "k1"));
    let source = CredentialSource { access_id: Some("TWO".into()), ..source };
    assert_eq!(resolve(source, None, &AWS).await.unwrap(), found("TWO", "k:2"));
}

#[tokio::test]
async fn the_environment_comes_before_the_default_file() {
    let (directory, _) = access_file(FILE);
    let home = ("HOME", directory.path().to_str().unwrap());
    assert_eq!(resolve(CredentialSource::default(), None, &[home]).await.unwrap(), found("ONE", "k1"));
    let all = [AWS[0], AWS[1], AWS[2], home];
    let of_environment = Some(("ENV".to_string(), "es".to_string(), Some("et".to_string())));
    assert_eq!(resolve(CredentialSource::default(), None, &all).await.unwrap(), of_environment);
    assert_eq!(resolve(with_id("ENV"), None, &all).await.unwrap(), of_environment);
    assert_eq!(resolve(CredentialSource::default(), None, &[("HOME", "/nowhere")]).await.unwrap(), None);
}

#[tokio::test]
async fn contradictions_are_refused_by_name() {
    let role = CredentialSource { ec2_role: Some("r".into()), ..CredentialSource::default() };
    let both = CredentialSource { access_id: Some("ID".into()), ..role.clone() };
    let env = CredentialSource { access_key_env: Some("UNSET".into()), ..with_id("ID") };
    let no_file = CredentialSource { access_file: Some("/nowhere/file".into()), ..CredentialSource::default() };
    let (_directory, empty_file) = access_file("# nothing\n");
    let v2_alone = CredentialSource { ec2_imds_v2: true, ..CredentialSource::default() };
    for (source, key, variables, named) in [
        (both, None, &[][..], "--access-ec2-iam"),
        (role, Some("key"), &[], "--access-ec2-iam"),
        (v2_alone, None, &[], "--access-ec2-iam-imdsv2"),
        (env.clone(), Some("key"), &[], "--access-key-env"),
        (env, None, &[], "UNSET"),
        (CredentialSource::default(), Some("key"), &[], "--access-id"),
        (with_id("ID"), None, &[], "--access-id=ID"),
        (no_file, None, &[], "/nowhere/file"),
        (empty_file, None, &[], "--access-file"),
        (CredentialSource::default(), None, &AWS[..1], "AWS_SECRET_ACCESS_KEY"),
    ] {
        let error = resolve(source, key, variables).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(named), "{named} in {error}");
        assert!(!error.message().contains("key\""), "{error}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let credentials = Credentials::fixed("ID", "hidden".to_string().into(), Some("hidden".to_string().into()));
    let shown = format!("{credentials:?}");
    assert!(shown.contains("ID") && !shown.contains("hidden"), "{shown}");
}

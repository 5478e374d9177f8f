//! Secrets given as flags. They are never part of `Settings`, never printed, never written to a file.

use std::path::PathBuf;

use secrecy::SecretString;

use super::ValueKind::{Required, Secret};
use super::{Field, Flag};
use crate::error::{Error, Result};
use crate::field;
use crate::settings::parse;

/// The secrets of one command line, and where else to look for them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub access_key: Option<SecretString>,
    pub password: Option<SecretString>,
    /// Its first line is the password.
    pub password_file: Option<PathBuf>,
    /// The variable that holds the password.
    pub password_env: Option<String>,
}

/// The longest password s3backer reads from a file; longer ones would open no volume it made.
const LONGEST_PASSWORD: usize = 1023;

pub static SECRETS: &[Flag<Secrets>] = &[
    Flag::new(
        "access-key",
        Secret("KEY"),
        "Credentials",
        "KEY",
        "S3 secret key; safer in --access-file or --access-key-env",
        Field {
            set: |s: &mut Secrets, v| {
                s.access_key = Some(v.into());
                Ok(())
            },
            get: |_| None,
        },
    )
    .legacy("accessKey")
    .shown_by("fuse-frontend/tests/mount.rs::secrets_do_not_stay_in_the_process_list"),
    Flag::new(
        "password",
        Secret("TEXT"),
        "Encryption and compression",
        "TEXT",
        "Encryption password; safer in --password-file or --password-env, or asked for on the terminal",
        Field {
            set: |s: &mut Secrets, v| {
                s.password = Some(v.into());
                Ok(())
            },
            get: |_| None,
        },
    )
    .shown_by("fuse-frontend/tests/mount.rs::secrets_do_not_stay_in_the_process_list"),
    Flag::new(
        "password-file",
        Required("FILE"),
        "Encryption and compression",
        "/etc/s3b/password",
        "Read the encryption password from the first line of FILE",
        field!(Secrets; opt password_file, super::path, |p| super::show_path(p)),
    )
    .legacy("passwordFile")
    .shown_by("engine/src/settings/flags/secrets.rs::password_comes_from_file_or_environment"),
    Flag::new(
        "password-env",
        Required("VAR"),
        "Encryption and compression",
        "S3B_PASSWORD",
        "Read the encryption password from the environment variable VAR",
        field!(Secrets; opt password_env, parse::text, String::clone),
    )
    .shown_by("engine/src/settings/flags/secrets.rs::password_comes_from_file_or_environment"),
];

impl Secrets {
    /// The password, if it was given in any way but the terminal. `environment` looks a variable up.
    ///
    /// # Errors
    /// More than one way at once, an unreadable or empty file, an unset variable.
    pub fn find_password(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Option<SecretString>> {
        let ways = [self.password.is_some(), self.password_file.is_some(), self.password_env.is_some()];
        if ways.iter().filter(|given| **given).count() > 1 {
            return Err(Error::config(
                "--password, --password-file and --password-env exclude each other; keep --password-file",
            ));
        }
        if let Some(path) = &self.password_file {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::config(format!("--password-file={shown}: {e}; name a readable file")))?;
            let line = text.lines().next().unwrap_or_default();
            if line.is_empty() || line.len() > LONGEST_PASSWORD {
                return Err(Error::config(format!(
                    "--password-file={shown}: its first line must hold 1 to {LONGEST_PASSWORD} bytes, it holds {}",
                    line.len()
                )));
            }
            return Ok(Some(line.into()));
        }
        if let Some(name) = &self.password_env {
            return match environment(name).filter(|value| !value.is_empty()) {
                Some(value) => Ok(Some(value.into())),
                None => Err(Error::config(format!("--password-env={name}: this variable is not set; export it first"))),
            };
        }
        Ok(self.password.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn password_comes_from_file_or_environment() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"sesame\nsecond line\n").unwrap();
        let from_file = Secrets { password_file: Some(file.path().into()), ..Default::default() };
        assert_eq!(from_file.find_password(|_| None).unwrap().unwrap().expose_secret(), "sesame");
        let from_env = Secrets { password_env: Some("P".into()), ..Default::default() };
        assert_eq!(from_env.find_password(|n| Some(n.repeat(3))).unwrap().unwrap().expose_secret(), "PPP");
        assert!(from_env.find_password(|_| None).is_err());
        let both = Secrets { password: Some("x".into()), ..from_file };
        assert!(both.find_password(|_| None).is_err());
        assert!(Secrets::default().find_password(|_| None).unwrap().is_none());
    }
}

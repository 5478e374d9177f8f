//! The engine's components for production, and its secrets.

use std::io::{BufRead, Write};

use s3b_engine::error::{Error, Result};
use s3b_engine::stack::Parts;
use secrecy::SecretString;

use crate::cli::Request;

/// Finds the password (asking on the terminal if nothing else gives it) and warns about secrets on the command line.
///
/// Must be called before the process goes into the background.
pub fn assemble(request: &Request) -> Result<Parts> {
    let secrets = &request.secrets;
    let mut password = secrets.find_password(|name| std::env::var(name).ok())?;
    match (request.settings.codec.encrypt, &password) {
        (Some(_), None) => password = Some(ask()?),
        (None, Some(_)) => eprintln!("s3b: warning: a password does nothing without --encrypt"),
        _ => {}
    }
    for (given, name, better) in [
        (secrets.access_key.is_some(), "--access-key", "--access-file"),
        (secrets.password.is_some(), "--password", "--password-file"),
    ] {
        if given {
            eprintln!(
                "s3b: warning: {name} was visible to other users for a moment, and may be in your history; {better} is safer"
            );
        }
    }
    Ok(Parts::for_process(password, secrets.access_key.clone()))
}

fn ask() -> Result<SecretString> {
    let password = rpassword::prompt_password("Encryption password: ").map_err(|e| {
        Error::config(format!(
            "--encrypt needs a password, and there is no terminal to ask on ({e}); add --password-file=FILE"
        ))
    })?;
    if password.is_empty() {
        return Err(Error::config("the password is empty; type one, or add --password-file=FILE"));
    }
    Ok(password.into())
}

/// Asks a yes-or-no question; anything but `y` or `yes` on standard input means no.
pub fn confirmed(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok()
        && ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

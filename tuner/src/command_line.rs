//! The command that a result came from, as it may be kept.

use s3b_engine::settings::flags::{SECRETS, ValueKind};

/// Whether the value of this flag is never kept or shown.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|flag| matches!(flag.value, ValueKind::Secret(_)) && flag.is_called(name))
}

/// The command line as typed, with the values of secrets left out.
pub fn command_line(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let secret = |arg: &str| is_secret(arg.trim_start_matches('-'));
    let mut shown: Vec<String> = Vec::new();
    let mut hide_next = false;
    for arg in args {
        if std::mem::take(&mut hide_next) {
            shown.push("***".into());
            continue;
        }
        match arg.split_once('=') {
            Some((name, _)) if secret(name) => shown.push(format!("{name}=***")),
            _ => {
                hide_next = arg.starts_with('-') && secret(&arg);
                shown.push(arg);
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let typed = ["s3b-tuner", "sweep", "--access-key=abc", "--accessKey", "def", "--bucket", "b", "--seed=1"];
        let kept = command_line(typed.map(str::to_owned));
        assert_eq!(kept, ["s3b-tuner", "sweep", "--access-key=***", "--accessKey", "***", "--bucket", "b", "--seed=1"]);
    }
}

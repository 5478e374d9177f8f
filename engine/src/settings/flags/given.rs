//! Values gathered from config files and command lines, in the order of rising precedence.

use super::{Flag, engine};
use crate::error::{Error, Result};
use crate::settings::parse;

/// Flags as given: canonical name, value, where it was said. The last one of a name wins.
#[derive(Clone, Debug, Default)]
pub struct Given(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: String,
    source: String,
}

/// Two names for one setting: whichever comes last wins.
const OPPOSITES: [(&str, &str); 2] = [("vhost", "no-vhost"), ("http2", "http11")];

impl Given {
    /// Adds a value; `source` is put in front of errors about it, empty for the command line.
    pub fn add(&mut self, name: &str, value: impl Into<String>, source: &str) {
        let opposite =
            OPPOSITES.iter().find_map(|(a, b)| if *a == name { Some(*b) } else { (*b == name).then_some(*a) });
        self.0.retain(|e| e.name != name && Some(e.name.as_str()) != opposite);
        self.0.push(Entry { name: name.to_owned(), value: value.into(), source: source.to_owned() });
    }

    /// Adds all of `later`, which takes precedence.
    pub fn extend(&mut self, later: Given) {
        for entry in later.0 {
            self.add(&entry.name, entry.value, &entry.source);
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|e| e.name == name)
    }

    /// Whether the command line itself says it, not a config file that serves several commands.
    pub fn has_on_command_line(&self, name: &str) -> bool {
        self.0.iter().any(|e| e.name == name && e.source.is_empty())
    }

    /// Reads a TOML config file: keys are flag names in either spelling, values are text, numbers or booleans.
    /// Keys are not checked yet; [`Given::refuse_unknown`] does when all tables are known.
    pub fn from_toml(text: &str, source: &str) -> Result<Given> {
        let table: toml::Table = toml::from_str(text)
            .map_err(|e| Error::config(format!("{source} is not a config file: {}", e.to_string().trim_end())))?;
        let mut given = Given::default();
        for (key, value) in table {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(on) => on.to_string(),
                other => {
                    return Err(Error::config(format!(
                        "{source}: `{key}` is a {}; write one value, such as {key} = \"256k\"",
                        other.type_str()
                    )));
                }
            };
            given.add(&key, value, source);
        }
        Ok(given)
    }

    /// Forgets these names: flags that another program alone understands.
    pub fn skip(&mut self, names: &[&str]) {
        self.0.retain(|e| !names.contains(&e.name.as_str()));
    }

    /// Turns s3backer's spellings into ours, for the flags of one table.
    pub fn canonical<T: 'static>(&mut self, flags: impl Iterator<Item = &'static Flag<T>> + Clone) {
        for entry in std::mem::take(&mut self.0) {
            let name = flags.clone().find(|f| f.is_called(&entry.name)).map_or(entry.name.as_str(), |f| f.name);
            self.add(name, entry.value, &entry.source);
        }
    }

    /// # Errors
    /// For the first name that is in none of `names`, with the nearest one.
    pub fn refuse_unknown<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        match self.0.iter().find(|e| !names.clone().any(|n| n == e.name)) {
            None => Ok(()),
            Some(Entry { name, source, .. }) => {
                let hint = match parse::nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`s3b flags` lists all".to_owned(),
                };
                Err(located(source, Error::config(format!("unknown option `{name}`; {hint}"))))
            }
        }
    }

    /// Sets what this table knows, in the table's order (`compress` before `compress-level`), and leaves the rest.
    pub fn apply<T: 'static>(&self, flags: impl Iterator<Item = &'static Flag<T>>, to: &mut T) -> Result<()> {
        for flag in flags {
            for entry in self.0.iter().filter(|e| flag.is_called(&e.name)) {
                flag.set(to, &entry.value).map_err(|e| located(&entry.source, e))?;
            }
        }
        Ok(())
    }

    /// All spellings of the engine's flags and secrets.
    pub fn engine_names() -> impl Iterator<Item = &'static str> + Clone {
        let secrets = super::SECRETS.iter().flat_map(|f| [Some(f.name), f.legacy]);
        engine().flat_map(|f| [Some(f.name), f.legacy]).chain(secrets).flatten()
    }
}

fn located(source: &str, error: Error) -> Error {
    if source.is_empty() { error } else { error.context(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Compression, Settings};

    #[test]
    fn both_spellings_are_one_flag_and_the_last_wins() {
        let mut given = Given::from_toml("blockSize = \"64k\"\ncompress-level = 5\n", "a.toml").unwrap();
        given.add("block-size", "128k", "");
        given.add("compress", "zstd", "");
        given.canonical(engine());
        let mut settings = Settings::default();
        given.apply(engine(), &mut settings).unwrap();
        assert_eq!(settings.volume.block_size, Some(128 << 10));
        assert_eq!(settings.codec.compress, Some(Compression::Zstd(5)), "whatever the order they were given in");
    }

    #[test]
    fn of_opposites_the_last_wins() {
        for (order, wanted) in [(["vhost", "no-vhost"], Some(false)), (["no-vhost", "vhost"], Some(true))] {
            let mut given = Given::default();
            order.into_iter().for_each(|name| given.add(name, "true", ""));
            let mut settings = Settings::default();
            given.apply(engine(), &mut settings).unwrap();
            assert_eq!(settings.s3.vhost, wanted);
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_name() {
        let given = Given::from_toml("blok-size = 1\n", "my.toml").unwrap();
        let message = given.refuse_unknown(Given::engine_names()).unwrap_err().to_string();
        assert_eq!(message, "my.toml: unknown option `blok-size`; did you mean `block-size`?");
        let message = Given::from_toml("[size]\na = 1\n", "my.toml").unwrap_err().to_string();
        assert!(message.contains("`size` is a table"), "{message}");
    }
}

//! The one table of flags: names (ours and s3backer's), what they set, what they say of themselves.
//!
//! Command lines, TOML config files, s3backer's config files and `docs/FLAGS.md` all come from it. Each front end adds
//! tables of the same type over its own options. Tables are data: no parser of command lines lives here.

mod connection;
mod given;
mod layers;
mod secrets;

pub use connection::CONNECTION;
pub use given::Given;
pub use layers::LAYERS;
pub use secrets::{SECRETS, Secrets};

use std::path::{Path, PathBuf};

use super::Settings;
use crate::error::{Error, Result};

/// One flag that sets something in a `T`.
pub struct Flag<T: 'static> {
    /// Ours: kebab-case, without the dashes.
    pub name: &'static str,
    /// s3backer's name, where it is another.
    pub legacy: Option<&'static str>,
    pub value: ValueKind,
    pub group: &'static str,
    pub help: &'static str,
    /// A value that works, for error messages.
    pub example: &'static str,
    pub effect: Effect,
    set: fn(&mut T, &str) -> Result<()>,
    get: fn(&T) -> Option<String>,
}

/// How a flag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `--flag`, also `--flag=false`.
    Switch,
    /// `--flag=VALUE` or `--flag VALUE`; the text names the value in the help.
    Required(&'static str),
    /// `--flag` means `--flag=bare`; otherwise `--flag=VALUE`.
    Optional { name: &'static str, bare: &'static str },
    /// As `Required`, and never shown again.
    Secret(&'static str),
}

impl ValueKind {
    /// What the flag means when no value is given with it.
    pub fn bare(self) -> Option<&'static str> {
        match self {
            Self::Switch => Some("true"),
            Self::Optional { bare, .. } => Some(bare),
            Self::Required(_) | Self::Secret(_) => None,
        }
    }

    /// The value's name in the help.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Switch => "BOOL",
            Self::Required(name) | Self::Secret(name) | Self::Optional { name, .. } => name,
        }
    }
}

/// Whether a flag does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The test that shows it: `file::test`, the file from the top of the workspace.
    ShownBy(&'static str),
    /// Accepted for s3backer's sake; the reason.
    Ignored(&'static str),
}

impl<T> Flag<T> {
    pub const fn new(
        name: &'static str,
        value: ValueKind,
        group: &'static str,
        example: &'static str,
        help: &'static str,
        field: Field<T>,
    ) -> Self {
        // Nobody says yet; the test of `docs/FLAGS.md` refuses that.
        let effect = Effect::ShownBy("");
        Self { name, legacy: None, value, group, help, example, effect, set: field.set, get: field.get }
    }

    /// s3backer's name for it.
    pub const fn legacy(mut self, name: &'static str) -> Self {
        self.legacy = Some(name);
        self
    }

    /// The test that shows what it does, beyond setting its field; see [`Effect::ShownBy`].
    pub const fn shown_by(mut self, test: &'static str) -> Self {
        self.effect = Effect::ShownBy(test);
        self
    }

    pub const fn ignored(mut self, why: &'static str) -> Self {
        self.effect = Effect::Ignored(why);
        self
    }

    /// Whether `name` is one of this flag's spellings.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.legacy == Some(name)
    }

    /// Sets it from text.
    ///
    /// # Errors
    /// Names the flag, the value (unless it is a secret) and a value that works.
    pub fn set(&self, to: &mut T, value: &str) -> Result<()> {
        (self.set)(to, value).map_err(|e| {
            let given = if matches!(self.value, ValueKind::Secret(_)) { "..." } else { value };
            Error::config(format!("--{}={given}: {e}; try --{}={}", self.name, self.name, self.example))
        })
    }

    /// The value as text that [`Flag::set`] takes; `None` when it is the default (or a secret).
    pub fn get(&self, from: &T) -> Option<String> {
        (self.get)(from)
    }
}

/// How a flag reaches its field; made by [`field!`](crate::field).
pub struct Field<T: 'static> {
    pub set: fn(&mut T, &str) -> Result<()>,
    pub get: fn(&T) -> Option<String>,
}

impl<T> Field<T> {
    /// For flags that are accepted and do nothing.
    pub const NONE: Self = Self { set: |_, _| Ok(()), get: |_| None };
}

/// `field!(Type; a.b, parse, show)` is a field with a default, `field!(Type; opt a.b, parse, show)` an optional one.
#[macro_export]
macro_rules! field {
    ($T:ty; opt $($f:ident).+, $parse:expr, $show:expr) => {
        $crate::settings::flags::Field {
            set: |to: &mut $T, value: &str| { to.$($f).+ = Some($parse(value)?); Ok(()) },
            get: |from: &$T| from.$($f).+.as_ref().map($show),
        }
    };
    ($T:ty; $($f:ident).+, $parse:expr, $show:expr) => {
        $crate::settings::flags::Field {
            set: |to: &mut $T, value: &str| { to.$($f).+ = $parse(value)?; Ok(()) },
            get: |from: &$T| (from.$($f).+ != <$T>::default().$($f).+).then(|| $show(&from.$($f).+)),
        }
    };
}

fn path(value: &str) -> Result<PathBuf> {
    super::parse::text(value).map(PathBuf::from)
}

fn show_path(path: &Path) -> String {
    path.display().to_string()
}

/// All flags of the engine's settings.
pub fn engine() -> impl Iterator<Item = &'static Flag<Settings>> + Clone {
    CONNECTION.iter().chain(LAYERS)
}

/// What differs from the defaults, as a TOML config file. [`Location`](super::Location) and secrets are not in it.
pub fn to_toml(settings: &Settings) -> String {
    let mut out = String::new();
    for flag in engine() {
        if let Some(value) = flag.get(settings) {
            let plain = value.parse::<bool>().is_ok() || value.parse::<u32>().is_ok_and(|n| n.to_string() == value);
            let value = if plain { value } else { toml::Value::String(value).to_string() };
            out.push_str(&format!("{} = {value}\n", flag.name));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_taken_twice() {
        let mut seen = BTreeSet::new();
        let secrets = SECRETS.iter().flat_map(|f| [Some(f.name), f.legacy]);
        for name in engine().flat_map(|f| [Some(f.name), f.legacy]).chain(secrets).flatten() {
            assert!(seen.insert(name), "{name}");
        }
    }

    /// Every flag's example is accepted, changes the settings, and survives a trip through TOML.
    #[test]
    fn every_flag_reaches_its_setting() {
        for flag in engine().filter(|f| !matches!(f.effect, Effect::Ignored(_))) {
            let mut base = Settings::default();
            if flag.name == "compress-level" {
                base.codec.compress = Some(crate::settings::Compression::Zstd(1));
            }
            let mut settings = base.clone();
            flag.set(&mut settings, flag.example).unwrap_or_else(|e| panic!("{e}"));
            assert_ne!(settings, base, "--{}={} changes nothing", flag.name, flag.example);
            let given = Given::from_toml(&to_toml(&settings), "test").unwrap();
            let mut again = Settings::default();
            given.apply(engine(), &mut again).unwrap();
            assert_eq!(again, settings, "--{} is lost in:\n{}", flag.name, to_toml(&settings));
        }
    }

    #[test]
    fn a_bad_value_names_flag_value_and_one_that_works() {
        for flag in engine().filter(|f| !matches!(f.effect, Effect::Ignored(_))) {
            let mut settings = Settings::default();
            if let Err(e) = flag.set(&mut settings, "\u{1}") {
                let text = e.to_string();
                assert!(text.starts_with(&format!("--{}=\u{1}: ", flag.name)), "{text}");
                assert!(text.ends_with(&format!("; try --{}={}", flag.name, flag.example)), "{text}");
            }
        }
    }
}

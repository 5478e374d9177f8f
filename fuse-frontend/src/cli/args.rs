//! Turns rows of the tables of flags into clap's arguments.

use clap::{Arg, ArgAction};
use s3b_engine::settings::flags::{Effect, Flag, ValueKind};

/// A flag without what it sets, so that rows of different tables mix.
#[derive(Clone, Copy, Debug)]
pub struct FlagText {
    pub name: &'static str,
    pub legacy: Option<&'static str>,
    pub value: ValueKind,
    pub group: &'static str,
    pub help: &'static str,
    pub example: &'static str,
    pub effect: Effect,
}

impl FlagText {
    pub fn of<T>(flag: &'static Flag<T>) -> Self {
        let Flag { name, legacy, value, group, help, example, effect, .. } = *flag;
        Self { name, legacy, value, group, help, example, effect }
    }

    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.legacy == Some(name)
    }
}

/// One argument per flag; the value is text, the table itself parses it.
pub fn args_from_flags(flags: impl Iterator<Item = FlagText>) -> impl Iterator<Item = Arg> {
    flags.map(|flag| {
        let mut arg = Arg::new(flag.name)
            .long(flag.name)
            .action(ArgAction::Append)
            .value_name(flag.value.placeholder())
            .help_heading(flag.group)
            .help(flag.help)
            .allow_hyphen_values(true)
            .hide(matches!(flag.effect, Effect::Ignored(_)));
        if let Some(legacy) = flag.legacy {
            arg = arg.alias(legacy);
        }
        match flag.value.bare() {
            // `--ssl` and `--ssl=false`, but never `--ssl false`: that would swallow the bucket.
            Some(bare) => {
                arg.num_args(0..=1).require_equals(true).default_missing_value(bare).hide_possible_values(true)
            }
            None => arg,
        }
    })
}

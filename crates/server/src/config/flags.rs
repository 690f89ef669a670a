//! The settings as flags of every command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint, value_parser};

use super::table::{Kind, SETTINGS, Setting};
use super::{CONFIG_VARIABLE, Given};

/// Those that the short help shows, too.
const USUAL: &[&str] = &["listen", "data-dir", "database-url"];

/// The flags that were given. Values are judged later, together with those from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    config_file: Option<PathBuf>,
    values: BTreeMap<&'static str, String>,
}

impl Flags {
    /// These flags, with the environment of this process.
    #[must_use]
    pub fn given(self) -> Given {
        Given::with_environment(self.config_file, self.values)
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .global(true)
            .help_heading("Settings")
            .help(format!(
                "The configuration file [env: {CONFIG_VARIABLE}] [default: insightdesk.toml in the data folder or here]"
            ));
        command.arg(file).args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        if let Some(file) = matches.get_one::<PathBuf>("config") {
            self.config_file = Some(file.clone());
        }
        for setting in SETTINGS {
            if let Some(value) = matches.get_one::<String>(setting.name) {
                self.values.insert(setting.name, value.clone());
            }
        }
        Ok(())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(match setting.kind {
            Kind::Number => "N",
            Kind::Switch => "true|false",
            Kind::Text | Kind::List | Kind::Secret => "VALUE",
        })
        .global(true)
        .help_heading("Settings")
        .hide_short_help(!USUAL.contains(&setting.name))
        .help(help(setting));
    match setting.kind {
        // `--behind-tls` alone means true.
        Kind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Text | Kind::Number | Kind::List | Kind::Secret => arg,
    }
}

fn help(setting: &Setting) -> String {
    let default = setting
        .default_value()
        .map(|value| format!(" [default: {value}]"));
    format!(
        "{} [env: {}]{}",
        setting.help,
        setting.variables().join(" or "),
        default.unwrap_or_default()
    )
}

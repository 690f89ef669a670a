//! The settings as text: what holds now, and the table for the README.

use std::fmt::Write as _;

use super::table::{Kind, SETTINGS, Setting};
use super::{Config, Loaded};

/// The configuration that holds, as a configuration file that documents itself. Secrets are masked, and their lines are
/// comments, like those of what is not set.
#[must_use]
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    let read = match &loaded.file {
        Some(file) => format!("# Read from {}.\n", file.display()),
        None => "# No configuration file was found.\n".to_owned(),
    };
    text.push_str("# The configuration of InsightDesk, in the form of its configuration file.\n");
    text.push_str(&read);
    text.push_str("# A flag comes before an environment variable, that before the file, and the file before the default.\n");
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let _ = write!(text, "\n# ---- {group}\n");
        }
        let _ = write!(
            text,
            "\n# {}\n# Must be {}.\n# {}; now from {}.\n{}\n",
            setting.help,
            setting.rule,
            ways(setting),
            loaded.source(setting),
            line(setting, &loaded.config)
        );
    }
    text
}

/// The table of all settings in Markdown, for the README.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| Setting | Default | What it means |\n|---|---|---|\n");
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let _ = writeln!(text, "| **{group}** | | |");
        }
        let default = match setting.default_value() {
            Some(value) => format!("`{value}`"),
            None => setting.unset.to_owned(),
        };
        let Setting { name, help, rule, .. } = setting;
        let _ = writeln!(text, "| `{name}` | {default} | {help} Must be {rule}. |");
    }
    text
}

fn ways(setting: &Setting) -> String {
    format!("--{}, {}", setting.name, setting.variables().join(" or "))
}

fn line(setting: &Setting, config: &Config) -> String {
    let name = setting.name;
    let Some(value) = (setting.show)(config) else {
        return format!("# {name} =   (not set: {})", setting.unset);
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match setting.kind {
        Kind::Text => format!("{name} = {}", quoted(&value)),
        Kind::Number | Kind::Switch => format!("{name} = {value}"),
        Kind::List => {
            let parts: Vec<String> = value.split(',').map(quoted).collect();
            format!("{name} = [{}]", parts.join(", "))
        }
        Kind::Secret => format!("# {name} = {}   (set)", quoted(&value)),
    }
}

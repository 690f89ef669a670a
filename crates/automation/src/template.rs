//! Texts with places to fill in: `Your ticket {{ticket.number}} is on its way.`
//!
//! The language has one thing, `{{path}}`, with the paths of [`Field::in_text`]; no calls, filters, blocks, comments or
//! arithmetic. A text is checked when it is saved: whoever reads it is known by then, so a text that a customer may get
//! names nothing internal. MiniJinja fills it in, and sees numbered slots only, in an environment without functions,
//! filters or globals and with little fuel: whatever a path or a value is called, nothing of it is ever run.
//!
//! A value is made harmless for where the text goes ([`Channel`]) before it is put in. A field without value gives nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kernel::filter::Operand;
use kernel::{Violation, Violations};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::facts::Scene;
use crate::field::{Audience, Field, Owner};
use crate::trigger::Occasion;

/// The most characters of a text as it is written.
pub const TEMPLATE_MAX_CHARS: usize = 10_000;
/// The most places to fill in.
pub const SLOTS_MAX: usize = 50;
/// The most characters that one value puts in.
pub const VALUE_MAX_CHARS: usize = 10_000;
/// The most bytes of a filled-in text: what a message can hold, 64 KiB.
pub const OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// The most characters of a mail's subject.
pub const HEADER_MAX_CHARS: usize = 200;
/// The work that filling in one text may take, in the template engine's own measure: it counts instructions, of which a
/// slot takes a few, and bytes, of which there are at most those of the written text and twice [`OUTPUT_MAX_BYTES`].
const FUEL: u64 = 20_000;

/// Where a text goes, which decides how values are made harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Plain text: control characters go, line breaks stay.
    Plain,
    /// Markdown: what would be markup is escaped, also at the beginning of lines.
    Markdown,
    /// HTML, also within quoted attributes.
    Html,
    /// A header of a mail: one line.
    Header,
}

/// What a place is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Field(Field),
    /// `ticket.url`
    Url,
}

/// A text that can be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    written: String,
    /// The same with `{{v0}}`, `{{v1}}` and so on.
    numbered: String,
    slots: Vec<Slot>,
}

impl Template {
    /// Reads a text for an audience on an occasion; `pointer` is where in the rule it stands.
    ///
    /// # Errors
    /// Everything that is wrong with it: `wrong_type`, `empty`, `too_long`, `bad_character` for U+0000, `unclosed`,
    /// `not_a_path` for anything but a path in braces, `unknown_path`, `not_for_customers` for a path that this audience
    /// may not read, `not_available` for one that the occasion does not have, `not_allowed` for blocks and comments, `too_many`. Messages say at which character.
    pub fn read(
        json: &Value,
        pointer: &str,
        audience: Audience,
        occasion: Occasion,
    ) -> Result<Self, Violations> {
        let fault = |code, message: String| Violation::new(pointer, code, message);
        let Some(written) = json.as_str() else {
            return Err(fault("wrong_type", "must be a text".to_owned()).into());
        };
        let chars = written.chars().count();
        if written.trim().is_empty() {
            return Err(fault("empty", "must not be empty".to_owned()).into());
        }
        if chars > TEMPLATE_MAX_CHARS {
            let message = format!("must have at most {TEMPLATE_MAX_CHARS} characters, has {chars}");
            return Err(fault("too_long", message).into());
        }
        if written.contains('\0') {
            return Err(fault("bad_character", "must not contain U+0000".to_owned()).into());
        }
        let mut faults = Violations::new();
        let mut numbered = String::with_capacity(written.len());
        let mut slots = Vec::new();
        let mut rest = written;
        while let Some((before, opened)) = rest.split_once('{') {
            numbered.push_str(before);
            let at = written.len() - opened.len() - 1;
            let at = written.get(..at).map_or(0, |before| before.chars().count()) + 1;
            if let Some(kind @ ('%' | '#')) = opened.chars().next() {
                let message = format!("has {{{kind} at character {at}; only {{{{path}}}} is known");
                faults.push(fault("not_allowed", message));
                rest = opened;
                continue;
            }
            let Some(inside) = opened.strip_prefix('{') else {
                numbered.push('{');
                rest = opened;
                continue;
            };
            let Some((path, after)) = inside.split_once("}}") else {
                let message = format!("has {{{{ at character {at} without }}}}");
                faults.push(fault("unclosed", message));
                rest = "";
                break;
            };
            rest = after;
            match slot(path.trim(), audience, occasion) {
                Ok(slot) => {
                    numbered.push_str(&format!("{{{{v{}}}}}", slots.len()));
                    slots.push(slot);
                }
                Err((code, what)) => {
                    faults.push(fault(code, format!("{what} (at character {at})")));
                }
            }
        }
        numbered.push_str(rest);
        if slots.len() > SLOTS_MAX {
            let message = format!(
                "must have at most {SLOTS_MAX} places to fill in, has {}",
                slots.len()
            );
            faults.push(fault("too_many", message));
        }
        faults.into_result()?;
        Ok(Self {
            written: written.to_owned(),
            numbered,
            slots,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The fields that it shows.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Field(field) => Some(field),
            Slot::Url => None,
        })
    }

    /// Fills it in; cut at [`OUTPUT_MAX_BYTES`], a header at [`HEADER_MAX_CHARS`].
    pub(crate) fn render(&self, scene: &Scene<'_>, channel: Channel) -> Result<String, RenderError> {
        let filled = if self.slots.is_empty() {
            self.written.clone()
        } else {
            let mut environment = Environment::empty();
            environment.set_fuel(Some(FUEL));
            // Each slot has a value: one that had none would be a bug, and is no reason to send half a text.
            environment.set_undefined_behavior(UndefinedBehavior::Strict);
            let mut values = BTreeMap::new();
            let mut left_bytes = OUTPUT_MAX_BYTES;
            for (index, slot) in self.slots.iter().enumerate() {
                let value = cut(escaped(&clipped(slot.text(scene)), channel), left_bytes);
                left_bytes -= value.len();
                values.insert(format!("v{index}"), minijinja::Value::from(value));
            }
            // The name has no ending that would switch escaping of the engine's own on.
            let filled = environment.render_named_str("text", &self.numbered, minijinja::Value::from(values));
            filled.map_err(|error| RenderError(error.to_string()))?
        };
        Ok(match channel {
            Channel::Plain | Channel::Markdown | Channel::Html => cut(filled, OUTPUT_MAX_BYTES),
            // What is written into the rule goes through the same sieve as the values.
            Channel::Header => one_line(&filled).chars().take(HEADER_MAX_CHARS).collect(),
        })
    }
}

/// A text could not be filled in. One that was read can always be, so this is a bug of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text could not be filled in: {0}")]
pub struct RenderError(String);

impl Slot {
    fn text(&self, scene: &Scene<'_>) -> String {
        let field = match self {
            Slot::Url => {
                let view = scene.view.as_deref();
                return view.and_then(|view| view.url.clone()).unwrap_or_default();
            }
            Slot::Field(field) => field,
        };
        match field.value(scene) {
            Operand::Absent => String::new(),
            Operand::Text(text) => text.to_owned(),
            Operand::Tags(tags) => tags.join(", "),
            Operand::Id(id) => id.to_string(),
            Operand::Time(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
            Operand::Number(number) => {
                // Hours have fractions that nobody wants to read.
                let rounded = (number * 10.0).round() / 10.0;
                rounded.to_string()
            }
            Operand::Flag(true) => "yes".to_owned(),
            Operand::Flag(false) => "no".to_owned(),
            Operand::Json(json) => shown(json),
        }
    }
}

fn shown(json: &Value) -> String {
    match json {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => elements.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Object(_) => json.to_string(),
    }
}

fn slot(path: &str, audience: Audience, occasion: Occasion) -> Result<Slot, (&'static str, String)> {
    let shown: String = path.chars().take(64).collect();
    // A custom field may be called almost anything; all else is words and dots.
    let is_path = match path.strip_prefix("ticket.customFields.") {
        Some(name) => !name.is_empty() && !name.contains(['{', '}', '|', '(', ')', '"', '\'', '[', ']']),
        None => !path.is_empty() && path.split('.').all(is_word),
    };
    if !is_path {
        let message =
            format!("`{shown}` is no path like ticket.number; there are no calls, filters or blocks");
        return Err(("not_a_path", message));
    }
    let not_available = || {
        let message = format!("`{shown}` is not there when this happens");
        Err(("not_available", message))
    };
    if path == "ticket.url" {
        return if occasion.has(Owner::Ticket) {
            Ok(Slot::Url)
        } else {
            not_available()
        };
    }
    if let Some(field) = Field::in_text(path, audience) {
        let is_there = occasion.has(field.owner());
        return if is_there {
            Ok(Slot::Field(field))
        } else {
            not_available()
        };
    }
    if Field::in_text(path, Audience::Staff).is_some() {
        let message = format!("`{shown}` is for staff, and a customer may get this text");
        return Err(("not_for_customers", message));
    }
    let message = format!(
        "`{shown}` is not known; there are {}",
        Field::paths(audience).join(", ")
    );
    Err(("unknown_path", message))
}

fn is_word(part: &str) -> bool {
    let mut chars = part.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn clipped(text: String) -> String {
    match text.char_indices().nth(VALUE_MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Makes a value harmless for where it goes.
fn escaped(value: &str, channel: Channel) -> String {
    match channel {
        Channel::Plain => plain(value).into_owned(),
        Channel::Markdown => markdown(&plain(value)),
        Channel::Html => {
            let mut html = String::with_capacity(value.len());
            for c in plain(value).chars() {
                match c {
                    '&' => html.push_str("&amp;"),
                    '<' => html.push_str("&lt;"),
                    '>' => html.push_str("&gt;"),
                    '"' => html.push_str("&quot;"),
                    '\'' => html.push_str("&#39;"),
                    c => html.push(c),
                }
            }
            html
        }
        Channel::Header => one_line(value),
    }
}

/// Without control characters but line breaks and tabs, and without what turns the direction of other text.
fn plain(value: &str) -> Cow<'_, str> {
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if value.contains(is_bad) {
        Cow::Owned(
            value
                .replace("\r\n", "\n")
                .replace('\r', "\n")
                .replace(is_bad, ""),
        )
    } else {
        Cow::Borrowed(value)
    }
}

/// On one line: a line break of any kind would begin another header.
fn one_line(value: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = value.replace(is_break, " ");
    plain(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// With what Markdown would read as markup escaped by a backslash (CommonMark 2.4).
fn markdown(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 16);
    for (index, line) in value.split('\n').enumerate() {
        if index > 0 {
            escaped.push('\n');
        }
        // Four blanks in front would make it code, and a mark a list, heading or line.
        let line = if index > 0 { line.trim_start() } else { line };
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        for (place, c) in line.char_indices() {
            let is_mark = match c {
                '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '!' | '&'
                | '$' => true,
                '-' | '+' | '=' => line.get(..place).is_some_and(|before| before.trim().is_empty()),
                '.' | ')' => digits > 0 && place == digits,
                // Addresses of the web become links by themselves.
                ':' => line.get(place..).is_some_and(|rest| rest.starts_with("://")),
                _ => false,
            };
            if is_mark {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests;

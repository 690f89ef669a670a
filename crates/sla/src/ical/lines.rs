//! Content lines of a calendar file, taken apart.
//!
//! Folded lines are put together; a line that is none is passed over, so that the others can be read. To look at another kind of
//! component, extend [`events`].

use super::IcalError;
use crate::calendar::HOLIDAY_NAME_MAX_CHARS;

/// An event with its properties.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) line: usize,
    properties: Vec<Property>,
    pub(super) is_finished: bool,
}

/// A content line: `NAME;PARAM=value:value`.
#[derive(Debug)]
pub(super) struct Property {
    name: String,
    params: Vec<(String, String)>,
    pub(super) value: String,
}

impl Event {
    pub(super) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.properties
            .iter()
            .filter(move |property| property.name == name)
    }

    pub(super) fn name(&self) -> Option<String> {
        let text = unescaped(&self.property("SUMMARY")?.value);
        let words: Vec<_> = text
            .split(|c: char| c.is_control() || c.is_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        let name: String = words.join(" ").chars().take(HOLIDAY_NAME_MAX_CHARS).collect();
        let name = name.trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
}

impl Property {
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(param, _)| param == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The file's lines, unfolded: a line that begins with a blank or a tab goes on the one before. Each with its number.
fn lines(file: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    for (number, line) in (1..).zip(file.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, last))) => last.push_str(rest),
            (Some(_) | None, _) => lines.push((number, line.to_owned())),
        }
    }
    lines
}

/// The events of a file, each with the properties of its own: what lies in an alarm within is left out.
pub(super) fn events(file: &str) -> Result<Vec<Event>, IcalError> {
    let mut events: Vec<Event> = Vec::new();
    let mut is_calendar = false;
    // How deep in the event: 0 outside of one, 1 in it, more in what lies in it.
    let mut depth = 0_usize;
    for (number, line) in lines(file) {
        let Some(property) = property(&line) else {
            continue;
        };
        let value = property.value.trim().to_ascii_uppercase();
        match (property.name.as_str(), depth) {
            ("BEGIN", 0) if value == "VEVENT" => {
                depth = 1;
                events.push(Event {
                    line: number,
                    ..Event::default()
                });
            }
            ("BEGIN", 0) => is_calendar |= value == "VCALENDAR",
            ("BEGIN", _) => depth += 1,
            ("END", 0) => {}
            // What is open then stays unfinished.
            ("END", _) if value == "VCALENDAR" => depth = 0,
            ("END", 1) => {
                if let Some(event) = events.last_mut().filter(|_| value == "VEVENT") {
                    event.is_finished = true;
                    depth = 0;
                }
            }
            ("END", _) => depth -= 1,
            (_, 1) => {
                if let Some(event) = events.last_mut() {
                    event.properties.push(property);
                }
            }
            (_, _) => {}
        }
    }
    if is_calendar {
        Ok(events)
    } else {
        Err(IcalError::NoCalendar)
    }
}

/// A content line taken apart; `None` for what is none. Colons and semicolons in quotes belong to a parameter.
fn property(line: &str) -> Option<Property> {
    let mut is_quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        is_quoted ^= *c == '"';
        *c == ':' && !is_quoted
    });
    let (colon, _) = colon?;
    let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let mut is_quoted = false;
    let mut parts = head.split(|c: char| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    });
    let name = parts.next()?.trim().to_ascii_uppercase();
    let params = parts.filter_map(|part| {
        let (param, value) = part.split_once('=')?;
        Some((param.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
    });
    Some(Property {
        name,
        params: params.collect(),
        value: value.to_owned(),
    })
}

/// A text without its escapes: `\n`, `\,`, `\;` and `\\`.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

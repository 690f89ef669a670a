//! The JSON document `businessHours` of a calendar.

use chrono::{Datelike as _, NaiveDate};
use chrono_tz::Tz;
use kernel::Violations;
use serde_json::{Map, Value, json};

use super::{
    Calendar, DayTime, HOLIDAYS_MAX, Holiday, WINDOWS_PER_DAY_MAX, Weekly, Window, YEAR_FIRST, YEAR_LAST,
};
use crate::reading::{Reader, member, optional};

/// The names of the days, from Monday.
pub(super) const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
/// The most characters of a zone's name that are looked at.
const ZONE_CHARS_MAX: usize = 64;

impl Calendar {
    /// Reads the document `businessHours`, which stands at `pointer`:
    /// `{ "timezone": "Europe/Berlin", "weekly": { "monday": [{ "from": "09:00", "to": "17:00" }] }, "holidays": [{ "date":
    /// "2026-12-25", "from": "12:00", "to": "24:00", "name": "Christmas", "yearly": true }] }`. Days without windows and
    /// `holidays` may be left out; of a holiday all but its date.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to a bound: `required`, `wrong_type`, `unknown_member`, `unknown_timezone`,
    /// `not_a_time`, `not_a_date`, `empty_window`, `overlap`, `no_working_time`, `too_many`, and those of texts.
    pub fn read(json: &Value, pointer: &str) -> Result<Self, Violations> {
        let mut reader = Reader::new();
        let calendar = calendar(&mut reader, json, pointer);
        reader.finish(calendar)
    }

    /// The document, as [`Calendar::read`] takes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut weekly = Map::new();
        for (name, windows) in DAYS.iter().zip(self.weekly.days()) {
            if !windows.is_empty() {
                let windows: Vec<_> = windows.iter().copied().map(written).collect();
                weekly.insert((*name).to_owned(), windows.into());
            }
        }
        let holidays: Vec<_> = self.holidays.iter().map(Holiday::to_json).collect();
        json!({ "timezone": self.zone.name(), "weekly": weekly, "holidays": holidays })
    }
}

fn written(window: Window) -> Value {
    json!({ "from": window.from().to_string(), "to": window.to().to_string() })
}

impl Holiday {
    /// The document, as one of `holidays` of [`Calendar::read`].
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("date".into(), self.date.to_string().into());
        if self.hours != Window::DAY {
            members.insert("from".into(), self.hours.from().to_string().into());
            members.insert("to".into(), self.hours.to().to_string().into());
        }
        if let Some(name) = &self.name {
            members.insert("name".into(), name.clone().into());
        }
        if self.is_yearly {
            members.insert("yearly".into(), true.into());
        }
        Value::Object(members)
    }
}

fn calendar(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Calendar> {
    let members = reader.object(json, pointer, &["timezone", "weekly", "holidays"])?;
    let zone = reader
        .required(members, pointer, "timezone")
        .and_then(|json| zone(reader, json, &member(pointer, "timezone")));
    let weekly = reader
        .required(members, pointer, "weekly")
        .and_then(|json| weekly(reader, json, &member(pointer, "weekly")));
    let holidays = match optional(members, "holidays") {
        Some(json) => holidays(reader, json, &member(pointer, "holidays")),
        None => Some(Vec::new()),
    };
    Calendar::new(zone?, weekly?, holidays?).ok()
}

fn zone(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Tz> {
    let name = reader.text(json, pointer)?;
    let found = (name.len() <= ZONE_CHARS_MAX)
        .then(|| name.parse::<Tz>().ok())
        .flatten();
    if found.is_none() {
        let message = "must be the name of a time zone as IANA has it, such as Europe/Berlin or UTC";
        return reader.refuse(pointer, "unknown_timezone", message);
    }
    found
}

fn weekly(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Weekly> {
    let members = reader.object(json, pointer, &DAYS)?;
    let mut is_whole = true;
    let days = DAYS.map(|name| {
        let day = optional(members, name).map_or(Some(Vec::new()), |json| {
            windows(reader, json, &member(pointer, name))
        });
        is_whole &= day.is_some();
        day.unwrap_or_default()
    });
    match Weekly::new(days) {
        Ok(weekly) => is_whole.then_some(weekly),
        Err(faults) => {
            for fault in faults.as_slice() {
                // What could not be read may have been working time.
                if is_whole || fault.code != "no_working_time" {
                    reader.refuse::<()>(
                        format!("{pointer}{}", fault.pointer),
                        fault.code,
                        fault.message.clone(),
                    );
                }
            }
            None
        }
    }
}

fn windows(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Vec<Window>> {
    let elements = reader.list(json, pointer, WINDOWS_PER_DAY_MAX)?;
    let mut windows = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let pointer = format!("{pointer}/{index}");
        let Some(members) = reader.object(element, &pointer, &["from", "to"]) else {
            continue;
        };
        let from = reader.required(members, &pointer, "from");
        let from = from.and_then(|json| time(reader, json, &member(&pointer, "from"), Bound::From));
        let to = reader.required(members, &pointer, "to");
        let to = to.and_then(|json| time(reader, json, &member(&pointer, "to"), Bound::To));
        windows.extend(
            from.zip(to)
                .and_then(|(from, to)| window(reader, from, to, &pointer)),
        );
    }
    (windows.len() == elements.len()).then_some(windows)
}

fn window(reader: &mut Reader, from: DayTime, to: DayTime, pointer: &str) -> Option<Window> {
    let window = Window::new(from, to);
    if window.is_none() {
        let message = "must end after it begins; what goes over midnight is two windows";
        return reader.refuse(pointer, "empty_window", message);
    }
    window
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    From,
    To,
}

fn time(reader: &mut Reader, json: &Value, pointer: &str, bound: Bound) -> Option<DayTime> {
    let time = reader.text(json, pointer).map(DayTime::parse)?;
    match (time, bound) {
        (Some(time), Bound::From) if time < DayTime::END => Some(time),
        (Some(time), Bound::To) => Some(time),
        (Some(_) | None, Bound::From) => {
            reader.refuse(pointer, "not_a_time", "must be a time of day from 00:00 to 23:59")
        }
        (None, Bound::To) => {
            reader.refuse(pointer, "not_a_time", "must be a time of day from 00:01 to 24:00")
        }
    }
}

fn holidays(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Vec<Holiday>> {
    let elements = reader.list(json, pointer, HOLIDAYS_MAX)?;
    let mut holidays = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        holidays.extend(holiday(reader, element, &format!("{pointer}/{index}")));
    }
    (holidays.len() == elements.len()).then_some(holidays)
}

fn holiday(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Holiday> {
    let members = reader.object(json, pointer, &["date", "from", "to", "name", "yearly"])?;
    let date = reader.required(members, pointer, "date");
    let date = date.and_then(|json| date_of(reader, json, &member(pointer, "date")));
    let from = match optional(members, "from") {
        Some(json) => time(reader, json, &member(pointer, "from"), Bound::From),
        None => Some(DayTime::START),
    };
    let to = match optional(members, "to") {
        Some(json) => time(reader, json, &member(pointer, "to"), Bound::To),
        None => Some(DayTime::END),
    };
    let hours = from
        .zip(to)
        .and_then(|(from, to)| window(reader, from, to, pointer));
    let is_yearly = match optional(members, "yearly") {
        Some(json) => reader.flag(json, &member(pointer, "yearly")),
        None => Some(false),
    };
    let name = match optional(members, "name") {
        Some(json) => {
            let pointer = member(pointer, "name");
            let text = reader.text(json, &pointer);
            text.and_then(|text| reader.take(Holiday::NAME_RULE.parse(&pointer, text)))
                .map(Some)
        }
        None => Some(None),
    };
    Some(Holiday {
        date: date?,
        hours: hours?,
        name: name?,
        is_yearly: is_yearly?,
    })
}

fn date_of(reader: &mut Reader, json: &Value, pointer: &str) -> Option<NaiveDate> {
    let text = reader.text(json, pointer)?;
    // chrono alone would also take 2026-1-1 and +2026-01-01.
    let date = (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
        .filter(|date| (YEAR_FIRST..=YEAR_LAST).contains(&date.year()) && date.to_string() == text);
    if date.is_none() {
        let message = format!("must be a date such as 2026-12-25, from {YEAR_FIRST} to {YEAR_LAST}");
        return reader.refuse(pointer, "not_a_date", message);
    }
    date
}

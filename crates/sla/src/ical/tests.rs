use proptest::prelude::*;

use super::*;
use crate::calendar::HOLIDAY_NAME_MAX_CHARS;

fn file(events: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")
        .replace("\r\n", "\n")
        .replace('\n', "\r\n")
}

fn one(properties: &str) -> IcalHolidays {
    let event = file(&format!("BEGIN:VEVENT\n{properties}\nEND:VEVENT\n"));
    read_holidays(&event, chrono_tz::Europe::Berlin).unwrap()
}

fn told(found: &IcalHolidays) -> Vec<String> {
    let told = found.holidays.iter().map(|holiday| {
        let hours = holiday.hours();
        let part = if hours == Window::DAY {
            String::new()
        } else {
            format!(" {}-{}", hours.from(), hours.to())
        };
        let yearly = if holiday.is_yearly() { " yearly" } else { "" };
        format!("{}{part}{yearly}", holiday.date())
    });
    told.collect()
}

fn not_taken(found: &IcalHolidays) -> Vec<NotTaken> {
    found.notes.iter().map(|note| note.why).collect()
}

#[test]
fn days_times_and_lengths_become_holidays() {
    for (properties, expected) in [
        (
            "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227",
            vec!["2026-12-25", "2026-12-26"],
        ),
        ("DTSTART:20261225", vec!["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\nDURATION:P1D", vec!["2026-12-25"]),
        (
            "DTSTART:20261224T140000\nDTEND:20261225T000000",
            vec!["2026-12-24 14:00-24:00"],
        ),
        (
            "DTSTART:20261224T130000Z\nDURATION:PT1H30M",
            vec!["2026-12-24 14:00-15:30"],
        ),
        (
            "DTSTART;TZID=America/New_York:20261224T120000\nDTEND;TZID=\"/mozilla.org/20070129_1/America/New_York\":20261224T180030",
            vec!["2026-12-24 18:00-24:00", "2026-12-25 00:00-00:01"],
        ),
        (
            "DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=12;BYMONTHDAY=25",
            vec!["2026-12-25 yearly"],
        ),
        (
            "DTSTART:20261224T120000\nDURATION:PT4H\nRRULE:FREQ=YEARLY",
            vec!["2026-12-24 12:00-16:00 yearly"],
        ),
        (
            "DTSTART:20261225\nRRULE:FREQ=YEARLY;COUNT=2",
            vec!["2026-12-25", "2027-12-25"],
        ),
        (
            "DTSTART:20240229\nRRULE:FREQ=YEARLY;UNTIL=20290101T000000Z",
            vec!["2024-02-29", "2028-02-29"],
        ),
        (
            "DTSTART:20261225\nRRULE:FREQ=YEARLY;UNTIL=20281225\nEXDATE;VALUE=DATE:20271225,20301225",
            vec!["2026-12-25", "2028-12-25"],
        ),
    ] {
        let found = one(properties);
        assert_eq!(told(&found), expected, "{properties}");
        assert_eq!(found.notes, [], "{properties}");
    }
}

#[test]
fn what_is_not_taken_is_told_with_its_reason() {
    for (properties, expected) in [
        ("SUMMARY:x", NotTaken::NoStart),
        ("DTSTART:25.12.2026", NotTaken::NoStart),
        ("DTSTART:20261225T120000", NotTaken::NoTime),
        ("DTSTART:20261225\nDTEND:20261225", NotTaken::NoTime),
        ("DTSTART:20261225\nDURATION:-P1D", NotTaken::NoTime),
        (
            "DTSTART;TZID=Our Office:20261225T120000\nDURATION:PT1H",
            NotTaken::UnknownZone,
        ),
        ("DTSTART:20260101\nDTEND:20270101", NotTaken::TooLong),
        ("DTSTART:19691225", NotTaken::OutOfRange),
        ("DTSTART:21001225", NotTaken::OutOfRange),
        ("DTSTART:20261225\nRRULE:FREQ=WEEKLY", NotTaken::Recurrence),
        (
            "DTSTART:20261126\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            NotTaken::Recurrence,
        ),
        (
            "DTSTART:20261225\nRRULE:FREQ=YEARLY;INTERVAL=2",
            NotTaken::Recurrence,
        ),
        (
            "DTSTART:20261225T120000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY",
            NotTaken::Recurrence,
        ),
        ("DTSTART:20261225\nRECURRENCE-ID:20261224", NotTaken::Exception),
        ("DTSTART:20261225\nSTATUS:CANCELLED", NotTaken::Cancelled),
    ] {
        let found = one(properties);
        assert_eq!(
            (told(&found).len(), not_taken(&found)),
            (0, vec![expected]),
            "{properties}"
        );
    }
    let found = one("DTSTART:20261225\nRDATE:20270101");
    assert_eq!(
        (told(&found).len(), not_taken(&found)),
        (1, vec![NotTaken::FurtherDates])
    );
    let found = one("DTSTART:20261225\nRRULE:FREQ=YEARLY\nEXDATE:20271225");
    assert_eq!(
        (told(&found).len(), not_taken(&found)),
        (29, vec![NotTaken::Shortened])
    );
}

#[test]
fn lines_are_unfolded_names_unescaped_and_alarms_left_out() {
    let text = file(
        "BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:19701025T030000\nEND:STANDARD\nEND:VTIMEZONE\n\
         begin:vevent\ndtstart;value=date:2026\n 1225\nSUMMARY;X-A=\"a:b;c\":New Year\\, bank \\; hol\n\tiday\\nof \\\\n\n\
         BEGIN:VALARM\nSUMMARY:Alarm\nDTSTART:20260101\nEND:VALARM\nEND:VEVENT\n\
         BEGIN:VEVENT\nDTSTART:20261225\nSUMMARY:Again\nEND:VEVENT\nBEGIN:VEVENT\nDTSTART:20270101\n",
    );
    let found = read_holidays(&format!("\u{feff}{text}"), chrono_tz::UTC).unwrap();
    assert_eq!(told(&found), ["2026-12-25"]);
    assert_eq!(found.holidays[0].name(), Some("New Year, bank ; holiday of \\n"));
    assert_eq!(not_taken(&found), [NotTaken::Unfinished]);
    assert_eq!(found.notes[0].line, 23);
    let long = one(&format!("DTSTART:20261225\nSUMMARY:{}", "ä".repeat(500)));
    assert_eq!(
        long.holidays[0].name().unwrap().chars().count(),
        HOLIDAY_NAME_MAX_CHARS
    );
}

#[test]
fn there_are_bounds() {
    let utc = chrono_tz::UTC;
    assert_eq!(read_holidays("", utc), Err(IcalError::NoCalendar));
    assert_eq!(
        read_holidays(&"x".repeat(ICAL_MAX_BYTES + 1), utc),
        Err(IcalError::TooLarge)
    );
    let events = "BEGIN:VEVENT\nEND:VEVENT\n".repeat(ICAL_EVENTS_MAX + 1);
    assert_eq!(read_holidays(&file(&events), utc), Err(IcalError::TooManyEvents));
    let many: String = (0..HOLIDAYS_MAX as u64 + 3)
        .map(|day| {
            let date = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + Days::new(day);
            format!("BEGIN:VEVENT\nDTSTART:{}\nEND:VEVENT\n", date.format("%Y%m%d"))
        })
        .collect();
    let found = read_holidays(&file(&many), utc).unwrap();
    assert_eq!((found.holidays.len(), found.notes.len()), (HOLIDAYS_MAX, 3));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(BEGIN:VEVENT\n|END:VEVENT\n|DTSTART[:;][0-9TZ]{0,16}\n|[ \t]|DTEND:99991231\n|DURATION:P[0-9]{0,9}[WDTHMS]{0,3}\n|RRULE:FREQ=YEARLY;UNTIL=[0-9]{0,8}\n|EXDATE:,\n|\\PC{0,9}\n){0,20}") {
        let _ = read_holidays(&format!("BEGIN:VCALENDAR\n{text}"), chrono_tz::Pacific::Apia);
    }
}

use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn office(zone: &str, holidays: Value) -> Calendar {
    let day = json!([{ "from": "09:00", "to": "17:00" }]);
    let weekly = json!({ "monday": day, "tuesday": day, "wednesday": day, "thursday": day, "friday": day });
    Calendar::read(
        &json!({ "timezone": zone, "weekly": weekly, "holidays": holidays }),
        "",
    )
    .unwrap()
}

/// Open each day in these windows.
fn daily(zone: &str, windows: &[(&str, &str)]) -> Calendar {
    let windows: Vec<_> = windows
        .iter()
        .map(|(from, to)| json!({ "from": from, "to": to }))
        .collect();
    let weekly: serde_json::Map<_, _> = document::DAYS
        .iter()
        .map(|day| ((*day).to_owned(), windows.clone().into()))
        .collect();
    Calendar::read(&json!({ "timezone": zone, "weekly": weekly }), "").unwrap()
}

fn faults(json: &Value) -> Vec<(String, &'static str)> {
    let violations = Calendar::read(json, "/businessHours").unwrap_err();
    let faults = violations.as_slice().iter();
    faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
}

fn found(expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected
        .iter()
        .map(|(pointer, code)| (format!("/businessHours{pointer}"), *code))
        .collect()
}

#[test]
fn a_document_comes_back_as_it_was_written() {
    let document = json!({
        "timezone": "Europe/Berlin",
        "weekly": { "monday": [{ "from": "09:00", "to": "12:30" }, { "from": "13:30", "to": "24:00" }] },
        "holidays": [
            { "date": "2026-12-25", "name": "Christmas", "yearly": true },
            { "date": "2026-12-24", "from": "12:00", "to": "24:00" },
        ],
    });
    assert_eq!(Calendar::read(&document, "").unwrap().to_json(), document);
}

#[test]
fn windows_may_touch_and_come_in_any_order() {
    let calendar = daily(
        "UTC",
        &[("13:00", "18:00"), ("12:00", "13:00"), ("08:00", "10:00")],
    );
    let day = calendar.weekly().days()[0];
    assert_eq!(
        day,
        [
            Window::new(DayTime(8 * 60), DayTime(10 * 60)).unwrap(),
            Window::new(DayTime(12 * 60), DayTime(18 * 60)).unwrap(),
        ]
    );
}

#[test]
fn every_fault_is_told_with_its_place() {
    let document = json!({
        "timezone": "Europe/Atlantis",
        "weekly": {
            "monday": [{ "from": "09:00", "to": "12:00" }, { "from": "11:59", "to": "13:00" }],
            "tuesday": [{ "from": "09:00", "to": "09:00" }, { "from": "24:00", "to": "25:00" }, { "from": 9 }],
            "wednesday": { "from": "09:00" },
            "funday/~": [],
        },
        "holidays": [
            { "date": "2026-02-29" },
            { "date": "2026-1-1", "from": "12:00", "to": "11:00", "name": "", "yearly": "yes", "until": 1 },
            "2026-12-25",
        ],
        "breaks": [],
    });
    let mut told = faults(&document);
    told.sort();
    let mut expected = found(&[
        ("/breaks", "unknown_member"),
        ("/timezone", "unknown_timezone"),
        ("/weekly/funday~1~0", "unknown_member"),
        ("/weekly/monday/1", "overlap"),
        ("/weekly/tuesday/0", "empty_window"),
        ("/weekly/tuesday/1/from", "not_a_time"),
        ("/weekly/tuesday/1/to", "not_a_time"),
        ("/weekly/tuesday/2/from", "wrong_type"),
        ("/weekly/tuesday/2/to", "required"),
        ("/weekly/wednesday", "wrong_type"),
        ("/holidays/0/date", "not_a_date"),
        ("/holidays/1", "empty_window"),
        ("/holidays/1/date", "not_a_date"),
        ("/holidays/1/name", "too_short"),
        ("/holidays/1/until", "unknown_member"),
        ("/holidays/1/yearly", "wrong_type"),
        ("/holidays/2", "wrong_type"),
    ]);
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn what_another_writer_left_is_an_error_and_never_a_panic() {
    for document in [
        json!(null),
        json!([]),
        json!(""),
        json!(7),
        json!({}),
        json!({ "timezone": "UTC", "weekly": {} }),
        json!({ "timezone": "UTC", "weekly": { "monday": [] }, "holidays": null }),
        json!({ "timezone": "utc", "weekly": { "monday": [{ "from": "09:00", "to": "10:00" }] } }),
        json!({ "timezone": "UTC\u{0}", "weekly": { "monday": [{ "from": "0９:00", "to": "10:00" }] } }),
        json!({ "monday": "9-5" }),
    ] {
        assert!(Calendar::read(&document, "").is_err(), "{document}");
    }
    assert_eq!(
        faults(&json!({ "timezone": "UTC", "weekly": { "monday": [] } })),
        found(&[("/weekly", "no_working_time")])
    );
}

#[test]
fn there_are_bounds() {
    let holidays: Vec<_> = (0..=HOLIDAYS_MAX)
        .map(|_| json!({ "date": "2026-01-01" }))
        .collect();
    let windows: Vec<_> = (0..=WINDOWS_PER_DAY_MAX)
        .map(|hour| json!({ "from": format!("{hour:02}:00"), "to": format!("{hour:02}:30") }))
        .collect();
    let document = json!({ "timezone": "UTC", "weekly": { "monday": windows }, "holidays": holidays });
    assert_eq!(
        faults(&document),
        found(&[("/weekly/monday", "too_many"), ("/holidays", "too_many")])
    );
    let nonsense: Vec<_> = (0..HOLIDAYS_MAX).map(|_| json!(1)).collect();
    let document = json!({ "timezone": "UTC", "weekly": {}, "holidays": nonsense });
    assert_eq!(faults(&document).len(), crate::reading::FAULTS_MAX);
}

#[test]
fn closing_time_is_a_possible_answer_and_the_next_opening_is_not() {
    let calendar = office("Europe/Berlin", json!([]));
    let friday = at("2026-06-05T14:00:00Z");
    assert_eq!(
        calendar.add(friday, TimeDelta::hours(1)),
        Ok(at("2026-06-05T15:00:00Z"))
    );
    assert_eq!(
        calendar.add(friday, TimeDelta::microseconds(3_600_000_001)),
        Ok(at("2026-06-08T07:00:00.000001Z"))
    );
    assert_eq!(
        calendar.next_open(at("2026-06-05T15:00:00Z")),
        Ok(at("2026-06-08T07:00:00Z"))
    );
    assert_eq!(calendar.next_open(friday), Ok(friday));
    // Nothing to wait for: even where it is closed.
    let sunday = at("2026-06-07T10:00:00Z");
    assert_eq!(calendar.add(sunday, TimeDelta::zero()), Ok(sunday));
    assert_eq!(calendar.add(sunday, TimeDelta::hours(-1)), Ok(sunday));
    assert_eq!(
        calendar.between(friday, at("2026-06-05T06:00:00Z")),
        Ok(TimeDelta::hours(-7))
    );
}

#[test]
fn an_hour_that_is_skipped_is_not_worked_and_one_that_comes_twice_is_worked_twice() {
    let nights = daily("Europe/Berlin", &[("02:00", "03:00")]);
    let hours = |a: &str, b: &str| nights.between(at(a), at(b)).unwrap().num_minutes();
    assert_eq!(hours("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 0);
    assert_eq!(hours("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 120);
    assert_eq!(
        nights.add(at("2026-10-24T12:00:00Z"), TimeDelta::minutes(90)),
        Ok(at("2026-10-25T01:30:00Z"))
    );
    // Half an hour, on an island.
    let island = daily("Australia/Lord_Howe", &[("01:00", "03:00")]);
    let spring = island.between(at("2026-10-03T12:00:00Z"), at("2026-10-04T12:00:00Z"));
    assert_eq!(spring, Ok(TimeDelta::minutes(90)));
    let autumn = island.between(at("2026-04-04T12:00:00Z"), at("2026-04-05T12:00:00Z"));
    assert_eq!(autumn, Ok(TimeDelta::minutes(150)));
}

#[test]
fn a_day_that_a_zone_skipped_does_not_exist() {
    let apia = office("Pacific/Apia", json!([]));
    // There was no Friday, 30 December 2011: from Thursday's closing it is no longer than a night and a weekend.
    assert_eq!(
        apia.next_open(at("2011-12-30T04:00:00Z")),
        Ok(at("2012-01-01T19:00:00Z"))
    );
    let all_day = daily("Pacific/Apia", &[("00:00", "24:00")]);
    assert_eq!(
        all_day.add(at("2011-12-30T09:00:00Z"), TimeDelta::hours(2)),
        Ok(at("2011-12-30T11:00:00Z"))
    );
}

#[test]
fn a_yearly_holiday_of_29_february_is_in_leap_years_only() {
    let calendar = office("UTC", json!([{ "date": "2024-02-29", "yearly": true }]));
    assert_eq!(calendar.is_open(at("2024-02-29T10:00:00Z")), Ok(false));
    assert_eq!(calendar.is_open(at("2028-02-29T10:00:00Z")), Ok(false));
    assert_eq!(
        calendar.is_open(at("2027-02-28T10:00:00Z")),
        Ok(false),
        "a Sunday"
    );
    assert_eq!(calendar.is_open(at("2025-02-28T10:00:00Z")), Ok(true));
    assert_eq!(calendar.is_open(at("2027-03-01T10:00:00Z")), Ok(true));
}

#[test]
fn stretches_say_why_a_desk_is_closed() {
    let calendar = office(
        "UTC",
        json!([
            { "date": "2026-12-24", "from": "12:00", "name": "Eve" },
            { "date": "2020-12-25", "name": "Christmas", "yearly": true },
        ]),
    );
    let stretches = calendar.stretches(at("2026-12-24T10:00:00Z"), at("2026-12-28T09:30:00Z"));
    let told: Vec<_> = stretches
        .unwrap()
        .map(|stretch| {
            let why = match stretch.why {
                Why::Open => "open",
                Why::Shut(Shut::Hours) => "hours",
                Why::Shut(Shut::Holiday(holiday)) => holiday.name().unwrap_or(""),
            };
            (stretch.to.format("%d %H:%M").to_string(), why)
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(to, why)| (to.as_str(), *why)).collect();
    assert_eq!(
        told,
        [
            ("24 12:00", "open"),
            ("24 17:00", "Eve"),
            ("25 09:00", "hours"),
            ("25 17:00", "Christmas"),
            ("28 09:00", "hours"),
            ("28 09:30", "open"),
        ]
    );
}

#[test]
fn a_calendar_that_holidays_leave_no_day_says_so() {
    let mondays = json!({ "timezone": "UTC", "weekly": { "monday": [{ "from": "09:00", "to": "10:00" }] },
        "holidays": (1..=12).flat_map(|month| (1..=28 + 3).map(move |day| (month, day)))
            .filter(|(month, day)| NaiveDate::from_ymd_opt(2024, *month, *day).is_some())
            .map(|(month, day)| json!({ "date": format!("2024-{month:02}-{day:02}"), "yearly": true }))
            .collect::<Vec<_>>() });
    let calendar = Calendar::read(&mondays, "").unwrap();
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(calendar.next_open(now), Err(TimeError::NeverOpens));
    assert_eq!(calendar.add(now, TimeDelta::hours(1)), Err(TimeError::NeverOpens));
    assert_eq!(calendar.between(now, Calendar::horizon()), Ok(TimeDelta::zero()));
}

#[test]
fn beyond_the_known_years_is_an_error_and_never_a_panic() {
    let calendar = office(
        "Pacific/Kiritimati",
        json!([{ "date": "2099-12-31", "yearly": true }]),
    );
    let known = [Calendar::epoch(), Calendar::horizon(), at("2026-01-01T00:00:00Z")];
    let unknown = [
        at("1969-12-31T23:59:59.999999Z"),
        at("2100-01-01T00:00:00.000001Z"),
        at("9999-12-31T23:59:59Z"),
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
    ];
    for moment in known {
        assert!(calendar.is_open(moment).is_ok(), "{moment}");
        for far in unknown {
            assert_eq!(calendar.is_open(far), Err(TimeError::OutOfRange), "{far}");
            assert_eq!(calendar.between(moment, far), Err(TimeError::OutOfRange));
            assert_eq!(calendar.add(far, TimeDelta::hours(1)), Err(TimeError::OutOfRange));
            assert_eq!(
                calendar.back(far, TimeDelta::hours(1)),
                Err(TimeError::OutOfRange)
            );
            assert_eq!(calendar.next_open(far), Err(TimeError::OutOfRange));
            assert!(calendar.stretches(moment, far).is_err());
        }
        assert_eq!(calendar.add(moment, TimeDelta::MAX), Err(TimeError::OutOfRange));
        assert_eq!(
            calendar.add(moment, TimeDelta::days(366 * 200)),
            Err(TimeError::OutOfRange)
        );
        assert_eq!(
            calendar.back(moment, TimeDelta::days(366 * 200)),
            Err(TimeError::OutOfRange)
        );
    }
    assert_eq!(
        calendar.next_open(Calendar::horizon()),
        Err(TimeError::OutOfRange)
    );
    assert!(calendar.between(Calendar::epoch(), Calendar::horizon()).is_ok());
    // A leap second counts as the second behind it.
    let leap = at("2016-12-31T23:59:60.5Z");
    assert_eq!(
        calendar.is_open(leap),
        calendar.is_open(at("2017-01-01T00:00:00.5Z"))
    );
}

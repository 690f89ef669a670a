//! Builders that show only what a test is about.

#![expect(clippy::expect_used, reason = "a builder's parts are written here")]

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::id::Uuid;
use kernel::{Actor, Person, Role, UserId, Version};
use serde_json::{Value, json};

use crate::calendar::Calendar;
use crate::policy::{
    Escalation, Hours, Minutes, Multipliers, Pauses, PolicyDraft, PolicyId, PolicyName, PolicyRef, Promise,
    Targets, Terms, Unchecked,
};

/// The moment of an RFC 3339 text.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

/// A desk that is open from Monday to Friday, 09:00 to 17:00.
///
/// # Panics
/// When there is no such zone.
#[must_use]
pub fn office(zone: &str) -> Calendar {
    let day = json!([{ "from": "09:00", "to": "17:00" }]);
    let weekly = json!({ "monday": day, "tuesday": day, "wednesday": day, "thursday": day, "friday": day });
    Calendar::read(&json!({ "timezone": zone, "weekly": weekly }), "").expect("a calendar")
}

/// A promise of so many minutes around the clock, in which everything pauses while pending.
///
/// # Panics
/// When they are out of bounds.
#[must_use]
pub fn promise(first_response: u32, resolution: u32) -> Promise {
    let minutes = |minutes| Minutes::new(minutes).expect("minutes");
    Promise {
        targets: Targets {
            first_response: minutes(first_response),
            next_response: None,
            resolution: minutes(resolution),
        },
        multipliers: Multipliers::default(),
        hours: Hours::AroundTheClock(None),
        pauses: Pauses::ALL,
        escalation: Escalation::default(),
    }
}

/// The same in the hours of a calendar.
#[must_use]
pub fn in_hours(promise: Promise, calendar: Calendar) -> Promise {
    Promise {
        hours: Hours::Business(Arc::new(calendar)),
        ..promise
    }
}

/// The same with steps, each of a metric at a point, that do nothing.
///
/// # Panics
/// When one is none.
#[must_use]
pub fn with_steps(promise: Promise, steps: &[(&str, &str)]) -> Promise {
    let steps: Vec<_> = steps
        .iter()
        .map(|(metric, at)| json!({ "metric": metric, "at": at, "actions": [] }))
        .collect();
    Promise {
        escalation: Escalation::read(&steps.into(), "", &Unchecked).expect("steps"),
        ..promise
    }
}

/// The name of version `version` of the policy `policy`.
#[must_use]
pub fn reference(policy: u128, version: i32) -> PolicyRef {
    PolicyRef {
        id: PolicyId(Uuid::from_u128(policy)),
        version: Version(version),
    }
}

/// A promise under a name.
#[must_use]
pub fn terms(policy: PolicyRef, promise: Promise) -> Arc<Terms> {
    Arc::new(Terms {
        policy,
        calendar_version: policy.version,
        promise,
    })
}

/// A policy as someone writes it: an hour for the first response and a day for the resolution, around the clock.
#[must_use]
pub fn draft(name: &str) -> PolicyDraft {
    PolicyDraft {
        name: PolicyName::stored(name.to_owned()),
        description: None,
        promise: promise(60, 1_440),
        filter: None,
    }
}

/// The document of a policy in business hours, with everything that one can have.
#[must_use]
pub fn document() -> Value {
    json!({
        "name": "Standard",
        "description": "What we promise everybody.",
        "firstResponseTime": 60,
        "nextResponseTime": 120,
        "resolutionTime": 960,
        "priorityMultipliers": { "urgent": 0.25, "high": 0.5, "low": 2.0 },
        "businessHoursOnly": true,
        "businessHours": {
            "timezone": "Europe/Berlin",
            "weekly": { "monday": [{ "from": "09:00", "to": "17:00" }] },
            "holidays": [{ "date": "2026-12-25", "name": "Christmas", "yearly": true }],
        },
        "pausedWhilePending": ["resolution"],
        "escalationRules": [{ "metric": "resolution", "at": "80%", "actions": [{ "type": "notify" }] }],
        "filter": { "field": "priority", "operator": "equals", "value": "urgent" },
    })
}

/// Someone of a role.
#[must_use]
pub fn actor(role: Role) -> Actor {
    Actor::Person(Person {
        id: UserId(Uuid::from_u128(7)),
        role,
        teams: Vec::new(),
        origin: None,
    })
}

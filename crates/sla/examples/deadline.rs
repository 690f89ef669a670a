//! When a ticket is due by a policy, and why: no store, no server.
//!
//! `cargo run -p insightdesk-sla --example deadline`, or with a file that holds a policy as JSON.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use insightdesk_sla::{
    Metric, PolicyDraft, PolicyId, PolicyRef, PreviewWish, Priority, Terms, Unchecked, preview,
};
use kernel::Version;

const POLICY: &str = r#"{
    "name": "Standard",
    "firstResponseTime": 120,
    "resolutionTime": 960,
    "priorityMultipliers": { "urgent": 0.5 },
    "businessHoursOnly": true,
    "businessHours": {
        "timezone": "Europe/Berlin",
        "weekly": {
            "monday": [{ "from": "09:00", "to": "12:30" }, { "from": "13:30", "to": "18:00" }],
            "tuesday": [{ "from": "09:00", "to": "18:00" }],
            "wednesday": [{ "from": "09:00", "to": "18:00" }],
            "thursday": [{ "from": "09:00", "to": "18:00" }],
            "friday": [{ "from": "09:00", "to": "15:00" }]
        },
        "holidays": [{ "date": "2026-12-25", "name": "Christmas", "yearly": true }]
    }
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => POLICY.to_owned(),
    };
    let draft = PolicyDraft::read(&serde_json::from_str(&text)?, "", &Unchecked)?;
    let policy = PolicyRef {
        id: PolicyId(kernel::id::Uuid::nil()),
        version: Version::FIRST,
    };
    let started_at: DateTime<Utc> = "2026-12-24T15:30:00Z".parse()?;
    let told = preview(&PreviewWish {
        terms: Arc::new(Terms {
            policy,
            calendar_version: Version::FIRST,
            promise: draft.promise,
        }),
        priority: Priority::Medium,
        started_at,
        pauses: Vec::new(),
        at: started_at + TimeDelta::days(5),
    })?;
    println!("made at {started_at}");
    println!("first response due at {:?}", told.first_response_due_at);
    println!("resolution due at {:?}", told.resolution_due_at);
    for (metric, part) in told.ledger {
        if metric == Metric::FirstResponse {
            println!("  {} to {}: {:?}", part.from, part.to, part.cause);
        }
    }
    Ok(())
}

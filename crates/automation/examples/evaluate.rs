//! Reads a rule, says what is wrong with another, and runs the first over a ticket: no HTTP, no database.
//!
//! ```sh
//! cargo run -p insightdesk-automation --example evaluate --features testing
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use automation::testing::build;
use automation::{AlwaysOpen, Detail, Ran, Rule, RuleContent, RuleId, RuleSet, TriggerKind};
use insightdesk_automation as automation;
use kernel::{IdSource as _, SequentialIds, Version};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let ids = SequentialIds::default();
    let document = json!({
        "name": "Fires first",
        "trigger": "ticket.created",
        "conditions": { "all": [
            { "field": "subject", "operator": "matches_regex", "value": "(?i)fire|smoke" },
            { "field": "requester.email", "operator": "ends_with", "value": "@example.org" },
        ] },
        "actions": [
            { "type": "set_priority", "value": "urgent" },
            { "type": "add_tags", "value": ["fire"] },
            { "type": "send_reply", "value": "We are on our way, {{requester.name}}: {{ticket.number}} is now {{ticket.priority}}." },
        ],
    });
    let rule = Rule {
        id: RuleId(ids.next()),
        content: RuleContent::check(&document, &build::world())?,
        owner: build::AGENT,
        disabled: None,
        created_at: build::noon(),
        updated_at: build::noon(),
        version: Version::FIRST,
        ran: Ran::default(),
    };
    let set = RuleSet::new([rule]);
    let (event, ticket) = (build::event(TriggerKind::Created), build::view());
    let decision = set.decide(&event, Some(&ticket), &AlwaysOpen, Detail::All);
    for fired in &decision.fired {
        println!("{} runs, since", fired.name);
        for condition in &fired.explanation.conditions {
            println!(
                "  {} {} {} {} and it is {}: {}",
                condition.pointer,
                condition.field,
                condition.operator,
                condition.wanted,
                condition.actual,
                condition.holds
            );
        }
        for step in &fired.steps {
            println!("  {}", serde_json::to_string(step)?);
        }
    }

    let mut bad = document;
    bad["conditions"]["all"][0]["operator"] = json!("resembles");
    bad["actions"][2]["value"] = json!("{{ticket.tags}} {% if true %}");
    if let Err(faults) = RuleContent::check(&bad, &build::world()) {
        println!("and the other one is refused:");
        for fault in faults.as_slice() {
            println!("  {} {}: {}", fault.pointer, fault.code, fault.message);
        }
    }
    Ok(())
}

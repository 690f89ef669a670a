//! How many events a second go through 1, 100 and 1 000 enabled rules, on one core.
//!
//! ```sh
//! cargo run --release -p insightdesk-automation --example rule_timing --features testing
//! ```

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a measurement prints, and ends where it cannot be made"
)]

use std::time::{Duration, Instant};

use automation::testing::build;
use automation::{AlwaysOpen, Detail, Rule, RuleSet, TriggerKind};
use insightdesk_automation as automation;
use serde_json::{Value, json};

/// For how long each figure is measured.
const MEASURED_FOR: Duration = Duration::from_millis(500);

/// Rules like those of a desk: of the trigger, mostly not matching, with the usual operators.
fn rule(number: u128, is_matching: bool) -> Rule {
    let word = format!("word{number}");
    let first: Value = match number % 5 {
        0 => json!({ "field": "subject", "operator": "contains", "value": word }),
        1 => json!({ "field": "description", "operator": "contains", "value": word }),
        2 => json!({ "field": "tags", "operator": "in", "value": [word, "vip"] }),
        3 => json!({ "field": "customFields.region", "operator": "equals", "value": word }),
        _ => {
            json!({ "field": "subject", "operator": "matches_regex", "value": format!("(?i)^{word}[a-z]+$") })
        }
    };
    let other = json!({ "field": "status", "operator": "in", "value": ["open", "pending"] });
    let age = json!({ "field": "hoursSinceCreated", "operator": "less_than", "value": 48 });
    let conditions = if is_matching {
        json!({ "all": [other, age] })
    } else {
        json!({ "all": [other, { "any": [first, { "field": "priority", "operator": "equals", "value": "urgent" }] }, age] })
    };
    let actions = json!([
        { "type": "add_tags", "value": [format!("t{}", number % 20)] },
        { "type": "add_note", "value": "{{ticket.number}} of {{requester.name}}" },
    ]);
    build::rule(number, "ticket.updated", &conditions, &actions)
}

fn measure(name: &str, mut once: impl FnMut()) {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < MEASURED_FOR {
        for _ in 0..10 {
            once();
        }
        count += 10;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(count) / seconds;
    println!("{name:<55} {rate:>12.0} /s {:>10.2} µs", 1e6 / rate);
}

fn main() {
    let mut view = build::view();
    // About as long as a mail.
    view.ticket.description = "The printer in the hall is on fire again, please come. ".repeat(30);
    view.ticket.tags = vec!["printer".to_owned(), "hall".to_owned()];
    let event = build::event(TriggerKind::Updated);
    for count in [1_u128, 100, 1_000] {
        for matching in [0, 1, 3] {
            let rules = (1..=count).map(|number| rule(number, number <= matching));
            let set = RuleSet::new(rules);
            let fired = set
                .decide(&event, Some(&view), &AlwaysOpen, Detail::Fired)
                .fired
                .len();
            measure(&format!("{count} rules, {fired} of them run"), || {
                let decision = set.decide(&event, Some(&view), &AlwaysOpen, Detail::Fired);
                assert_eq!(decision.fired.len(), fired);
            });
        }
        let rules: Vec<Rule> = (1..=count).map(|number| rule(number, false)).collect();
        let set = RuleSet::new(rules.clone());
        measure(&format!("{count} rules, everything explained"), || {
            let decision = set.decide(&event, Some(&view), &AlwaysOpen, Detail::All);
            assert_eq!(decision.passed.len() as f64, count as f64);
        });
        let rows: Vec<_> = rules.iter().map(Rule::to_row).collect();
        measure(&format!("{count} rules read from their rows"), || {
            assert!(RuleSet::read(&rows).faults().is_empty());
        });
        measure(&format!("{count} rules searched for circles"), || {
            let _ = set.cycles();
        });
    }
    // The dearest text there can be: 64 KiB, searched for by a pattern that finds nothing.
    view.ticket.description = "a".repeat(64 * 1024);
    let dear = json!({ "field": "description", "operator": "matches_regex", "value": "(a|b)*c$" });
    let set = RuleSet::new([build::rule(
        1,
        "ticket.updated",
        &dear,
        &json!([{ "type": "stop" }]),
    )]);
    measure("1 rule with a pattern over a text of 64 KiB", || {
        let decision = set.decide(&event, Some(&view), &AlwaysOpen, Detail::Fired);
        assert!(decision.fired.is_empty());
    });
    let huge = json!({ "any": vec![json!({ "field": "tags", "operator": "is_set" }); 10_000] });
    let mut row = set.rules().first().expect("there is one").to_row();
    row.conditions = huge;
    measure("a row of 10 000 conditions refused", || {
        assert_eq!(RuleSet::read([&row]).faults().len(), 1);
    });
}

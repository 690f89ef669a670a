use std::collections::HashMap;

use events::{TicketPriority, TicketStatus};
use kernel::{TeamId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::chain::CHAIN_DEPTH_MAX;
use crate::facts::{AlwaysOpen, PersonFacts};
use crate::field::Field;
use crate::plan::{Impossible, Outcome};
use crate::rule::RunCounts;
use crate::testing::build;

fn rule(number: u128, conditions: &Value, actions: &Value) -> Rule {
    build::rule(number, "ticket.updated", conditions, actions)
}

fn id(number: u128) -> RuleId {
    RuleId(Uuid::from_u128(number))
}

fn tag(tag: &str) -> Value {
    json!([{ "type": "add_tags", "value": [tag] }])
}

fn has_tag(tag: &str) -> Value {
    json!({ "field": "tags", "operator": "contains", "value": tag })
}

fn decide(rules: Vec<Rule>, happening: &Happening, view: &TicketView) -> Decision {
    RuleSet::new(rules).decide(happening, Some(view), &AlwaysOpen, Detail::Fired)
}

fn fired(decision: &Decision) -> Vec<RuleId> {
    decision.fired.iter().map(|fired| fired.rule).collect()
}

fn skipped(decision: &Decision) -> Vec<(RuleId, SkipReason)> {
    decision
        .skipped
        .iter()
        .map(|one| (one.rule, one.reason))
        .collect()
}

fn updated() -> Happening {
    build::event(TriggerKind::Updated)
}

#[test]
fn rules_run_by_priority_and_then_by_id() {
    let mut rules = vec![
        rule(3, &json!({}), &tag("c")),
        rule(2, &json!({}), &tag("b")),
        rule(1, &json!({}), &tag("a")),
    ];
    rules[2].content.priority = 5;
    rules[0].content.priority = -1;
    let decision = decide(rules, &updated(), &build::view());
    assert_eq!(fired(&decision), [id(3), id(2), id(1)]);
}

#[test]
fn a_rule_sees_what_the_rules_before_it_did() {
    let rules = vec![
        rule(
            1,
            &json!({}),
            &json!([{ "type": "set_priority", "value": "urgent" },
                                    { "type": "set_custom_field", "field": "x", "value": 1 }]),
        ),
        rule(
            2,
            &json!({ "all": [ { "field": "priority", "operator": "equals", "value": "urgent" },
                              { "field": "customFields.x", "operator": "equals", "value": 1 } ] }),
            &json!([{ "type": "add_note", "value": "Now {{ticket.priority}}" }]),
        ),
        rule(
            3,
            &json!({ "field": "priority", "operator": "equals", "value": "medium" }),
            &tag("x"),
        ),
    ];
    let view = build::view();
    let decision = decide(rules, &updated(), &view);
    assert_eq!(fired(&decision), [id(1), id(2)]);
    let effects: Vec<_> = decision.effects().cloned().collect();
    assert_eq!(
        effects,
        [
            Effect::Priority {
                from: TicketPriority::Medium,
                to: TicketPriority::Urgent
            },
            Effect::CustomField {
                name: "x".to_owned(),
                from: None,
                to: Some(json!(1))
            },
            Effect::Note {
                text: "Now urgent".to_owned()
            },
        ]
    );
    // The caller's ticket is as it was.
    assert_eq!(view, build::view());
}

#[test]
fn the_explanation_is_of_the_moment_before_the_rules_own_actions() {
    let rules = vec![rule(
        1,
        &json!({ "field": "priority", "operator": "equals", "value": "medium" }),
        &json!([{ "type": "set_priority", "value": "high" }]),
    )];
    let decision = decide(rules, &updated(), &build::view());
    let explained = &decision.fired[0].explanation;
    assert!(explained.holds);
    assert_eq!(explained.conditions[0].actual, json!("medium"));
}

#[test]
fn stop_and_stop_after_match_end_the_event() {
    let stops = [
        rule(
            1,
            &json!({}),
            &json!([{ "type": "add_tags", "value": ["a"] }, { "type": "stop" }]),
        ),
        {
            let mut rule = rule(1, &json!({}), &tag("a"));
            rule.content.stop_after_match = true;
            rule
        },
    ];
    for first in stops {
        let decision = decide(
            vec![first, rule(2, &json!({}), &tag("b"))],
            &updated(),
            &build::view(),
        );
        assert_eq!(fired(&decision), [id(1)]);
        assert_eq!(skipped(&decision), [(id(2), SkipReason::Stopped)]);
    }
    // One that does not match stops nothing.
    let mut first = rule(1, &has_tag("none"), &tag("a"));
    first.content.stop_after_match = true;
    let decision = decide(
        vec![first, rule(2, &json!({}), &tag("b"))],
        &updated(),
        &build::view(),
    );
    assert_eq!(fired(&decision), [id(2)]);
}

#[test]
fn only_the_events_own_triggers_and_enabled_rules_count() {
    let mut off = build::rule(1, "ticket.reopened", &json!({}), &tag("a"));
    off.content.enabled = false;
    let rules = vec![
        off,
        build::rule(2, "ticket.reopened", &json!({}), &tag("b")),
        build::rule(3, "ticket.created", &json!({}), &tag("c")),
        build::rule(4, "ticket.status_changed", &json!({}), &tag("d")),
    ];
    let mut event = build::event(TriggerKind::StatusChanged);
    event.kinds = vec![
        TriggerKind::StatusChanged,
        TriggerKind::Reopened,
        TriggerKind::Reopened,
    ];
    let decision = decide(rules.clone(), &event, &build::view());
    assert_eq!(fired(&decision), [id(2), id(4)]);
    let set = RuleSet::new(rules);
    assert!(set.listens_to(&event.kinds) && !set.listens_to(&[TriggerKind::Rated]));
}

#[test]
fn what_changes_nothing_is_unchanged_and_what_cannot_be_done_is_said() {
    let mut view = build::view();
    view.ticket.tags = (0..20).map(|index| format!("t{index}")).collect();
    let actions = json!([
        { "type": "set_priority", "value": "medium" },
        { "type": "add_tags", "value": ["t1"] },
        { "type": "add_tags", "value": ["new"] },
        { "type": "remove_tags", "value": ["t1", "none"] },
        { "type": "add_tags", "value": ["new"] },
        { "type": "set_custom_field", "field": "x", "value": null },
        { "type": "assign_round_robin" },
        { "type": "set_team", "value": build::TEAM },
        { "type": "assign_round_robin" },
        { "type": "notify", "to": ["assignee"], "value": "{{assignee.name}}" },
        { "type": "set_tags", "value": ["t2", "x"] },
    ]);
    let decision = decide(vec![rule(1, &json!({}), &actions)], &updated(), &view);
    let outcomes: Vec<_> = decision.fired[0]
        .steps
        .iter()
        .map(|step| step.outcome.clone())
        .collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(outcomes[0], Outcome::Unchanged);
    assert_eq!(outcomes[1], Outcome::Unchanged);
    assert_eq!(outcomes[2], Outcome::Impossible(Impossible::TooManyTags));
    assert_eq!(
        outcomes[3],
        Outcome::Do(Effect::Tags {
            added: vec![],
            removed: texts(&["t1"])
        })
    );
    assert_eq!(
        outcomes[4],
        Outcome::Do(Effect::Tags {
            added: texts(&["new"]),
            removed: vec![]
        })
    );
    assert_eq!(outcomes[5], Outcome::Unchanged);
    assert_eq!(outcomes[6], Outcome::Impossible(Impossible::NoTeam));
    assert!(matches!(
        outcomes[8],
        Outcome::Do(Effect::AssignFrom {
            team: build::TEAM,
            ..
        })
    ));
    assert_eq!(outcomes[9], Outcome::Impossible(Impossible::EmptyText));
    let Outcome::Do(Effect::Tags { added, removed }) = &outcomes[10] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((added, removed.len()), (&texts(&["x"]), 19));
}

#[test]
fn who_is_assigned_is_known_to_the_texts_after_it() {
    struct Known;
    impl Surroundings for Known {
        fn is_open(&self, _: Option<Uuid>, _: DateTime<Utc>) -> Option<bool> {
            None
        }
        fn person(&self, id: UserId) -> Option<PersonFacts> {
            Some(build::person(id, "Grace", kernel::Role::Agent))
        }
        fn team_name(&self, _: TeamId) -> Option<String> {
            Some("Network".to_owned())
        }
    }
    let actions = json!([
        { "type": "set_assignee", "value": build::AGENT }, { "type": "set_team", "value": build::TEAM },
        { "type": "send_reply", "value": "{{assignee.name}} of {{team.name}} looks at it." },
    ]);
    let set = RuleSet::new([rule(1, &json!({}), &actions)]);
    let decision = set.decide(&updated(), Some(&build::view()), &Known, Detail::Fired);
    let last = decision.effects().last().cloned();
    assert_eq!(
        last,
        Some(Effect::Reply {
            text: "Grace of Network looks at it.".to_owned()
        })
    );
}

#[test]
fn a_rule_runs_once_for_a_ticket_and_chain() {
    let fights = json!([{ "type": "set_priority", "value": "high" }]);
    let rules = vec![rule(1, &json!({}), &fights), rule(2, &json!({}), &tag("b"))];
    let mut event = updated();
    let first = decide(rules.clone(), &event, &build::view());
    assert_eq!(fired(&first), [id(1), id(2)]);
    assert_eq!((first.chain.depth(), first.chain.runs().len()), (1, 2));
    event.chain = first.chain;
    let again = decide(rules.clone(), &event, &build::view());
    assert_eq!(fired(&again), []);
    assert_eq!(
        skipped(&again),
        [(id(1), SkipReason::RanInChain), (id(2), SkipReason::RanInChain)]
    );
    // Both would change the ticket again: they trip. Where all is done, none does.
    assert_eq!(again.trips.len(), 2);
    let mut done = build::view();
    done.ticket.priority = TicketPriority::High;
    done.ticket.tags = vec!["b".to_owned()];
    assert_eq!(decide(rules.clone(), &event, &done).trips, []);
    // Another ticket is another matter.
    let mut other = build::view();
    other.ticket.id = TicketId(Uuid::from_u128(2));
    assert_eq!(fired(&decide(rules, &event, &other)).len(), 2);
}

#[test]
fn a_chain_ends_after_its_last_step() {
    let mut event = updated();
    for number in 100..100 + u128::from(CHAIN_DEPTH_MAX) {
        assert!(!event.chain.is_spent());
        event.chain = event.chain.after([id(number)], None);
    }
    let decision = decide(vec![rule(1, &json!({}), &tag("a"))], &event, &build::view());
    assert_eq!(skipped(&decision), [(id(1), SkipReason::ChainTooLong)]);
    assert_eq!(decision.trips.len(), 1);
    assert_eq!(decision.chain, event.chain);
}

#[test]
fn a_chain_is_stored_and_read_again() {
    let chain = Chain::default().after([id(1), id(2)], Some(TicketId(Uuid::from_u128(3))));
    let text = serde_json::to_string(&chain).unwrap();
    assert_eq!(serde_json::from_str::<Chain>(&text).unwrap(), chain);
    assert_eq!(serde_json::from_str::<Chain>("{}").unwrap(), Chain::default());
}

#[test]
fn one_event_is_worth_so_many_actions_and_no_more() {
    let ten: Vec<Value> = (0..10)
        .map(|index| json!({ "type": "add_note", "value": format!("note {index}") }))
        .collect();
    let mut rules: Vec<Rule> = (1..=6)
        .map(|number| rule(number, &json!({}), &json!(ten)))
        .collect();
    rules.push(rule(7, &json!({}), &tag("a")));
    let decision = decide(rules, &updated(), &build::view());
    assert_eq!(decision.effects().count(), EVENT_ACTIONS_MAX);
    assert_eq!(
        skipped(&decision),
        [
            (id(6), SkipReason::TooManyActions),
            (id(7), SkipReason::TooManyActions)
        ]
    );
}

#[test]
fn a_rate_limit_holds_for_the_ticket_and_for_the_rule() {
    struct Ran(HashMap<RuleId, RunCounts>);
    impl Surroundings for Ran {
        fn is_open(&self, _: Option<Uuid>, _: DateTime<Utc>) -> Option<bool> {
            None
        }
        fn runs(&self, rule: RuleId, _: Option<TicketId>) -> RunCounts {
            self.0.get(&rule).copied().unwrap_or_default()
        }
    }
    let limited = |number, json: Value| {
        let mut document = build::document("ticket.updated", &json!({}), &tag("a"));
        document["rateLimit"] = json;
        build::rule_of(number, &document)
    };
    let set = RuleSet::new([
        limited(1, json!({ "perTicketPerHour": 2 })),
        limited(2, json!({ "perTicketPerHour": 3 })),
        limited(3, json!({ "perRulePerHour": 9 })),
        limited(4, json!({ "perRulePerHour": 10, "perTicketPerHour": 9 })),
        rule(5, &json!({}), &tag("b")),
    ]);
    assert_eq!(set.limited(&[TriggerKind::Updated]), [id(1), id(2), id(3), id(4)]);
    let counts = RunCounts { ticket: 2, rule: 9 };
    let ran = Ran((1..=5).map(|number| (id(number), counts)).collect());
    let decision = set.decide(&updated(), Some(&build::view()), &ran, Detail::Fired);
    assert_eq!(fired(&decision), [id(2), id(4), id(5)]);
    assert_eq!(
        skipped(&decision),
        [(id(1), SkipReason::RateLimited), (id(3), SkipReason::RateLimited)]
    );
}

#[test]
fn a_new_account_sets_off_rules_without_a_ticket() {
    let welcome = build::rule(
        1,
        "user.created",
        &json!({ "field": "user.role", "operator": "equals", "value": "user" }),
        &json!([{ "type": "send_email", "to": ["user"], "subject": "Hi {{user.name}}", "value": "Welcome" }]),
    );
    let mut event = build::event(TriggerKind::UserCreated);
    event.user = Some(build::person(build::REQUESTER, "Ada", kernel::Role::User));
    let set = RuleSet::new([welcome, rule(2, &json!({}), &tag("a"))]);
    let decision = set.decide(&event, None, &AlwaysOpen, Detail::Fired);
    assert!(matches!(decision.effects().next(), Some(Effect::Email { subject, .. }) if subject == "Hi Ada"));
    // A ticket that is gone sets nothing off.
    assert_eq!(
        fired(&set.decide(&updated(), None, &AlwaysOpen, Detail::Fired)),
        []
    );
}

#[test]
fn poison_rows_are_set_aside_and_the_others_run() {
    let good = rule(1, &json!({}), &tag("a")).to_row();
    let mut bad = rule(2, &json!({}), &tag("b")).to_row();
    bad.actions = json!([{ "type": "unknown" }]);
    let set = RuleSet::read([&bad, &good]);
    assert_eq!(set.faults().len(), 1);
    let decision = set.decide(&updated(), Some(&build::view()), &AlwaysOpen, Detail::Fired);
    assert_eq!(fired(&decision), [id(1)]);
}

#[test]
fn a_trial_tells_of_every_rule_and_writes_nothing() {
    let mut off = rule(1, &has_tag("vip"), &tag("a"));
    off.content.enabled = false;
    let set = RuleSet::on_trial([off]);
    let (mut vip, plain, event) = (build::view(), build::view(), updated());
    vip.ticket.tags = vec!["vip".to_owned()];
    let cases = [(&event, Some(&vip)), (&event, Some(&plain))];
    let tried: Vec<_> = set.simulate(cases, &AlwaysOpen).collect();
    assert_eq!(tried[0].decision.fired.len(), 1);
    assert_eq!(tried[1].decision.fired.len(), 0);
    let passed = &tried[1].decision.passed[0];
    assert!(!passed.explanation.holds && !passed.explanation.conditions[0].holds);
    assert_eq!(plain, build::view());
}

#[test]
fn plans_are_stored_and_read_again() {
    let actions = json!([
        { "type": "set_status", "value": "pending" }, { "type": "set_assignee", "value": build::AGENT },
        { "type": "set_team", "value": build::TEAM }, { "type": "add_tags", "value": ["a"] },
        { "type": "set_custom_field", "field": "x", "value": [] }, { "type": "set_sla_policy", "value": build::POLICY },
        { "type": "assign_least_loaded" }, { "type": "add_note", "value": "n" }, { "type": "send_reply", "value": "r" },
        { "type": "notify", "to": ["team", build::AGENT], "value": "x" },
        { "type": "send_email", "to": ["requester", "a@example.org"], "subject": "s", "value": "v" },
        { "type": "webhook", "value": build::ENDPOINT, "payload": { "a": ["{{ticket.number}}", 1] } },
        { "type": "set_priority", "value": "medium" }, { "type": "stop" },
    ]);
    let steps = decide(vec![rule(1, &json!({}), &actions)], &updated(), &build::view()).fired[0]
        .steps
        .clone();
    let text = serde_json::to_string(&steps).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Step>>(&text).unwrap(), steps);
    assert_eq!(
        serde_json::to_value(&steps[0]).unwrap(),
        json!({ "index": 0, "type": "set_status",
                "outcome": { "kind": "do", "data": { "effect": "status", "from": "open", "to": "pending" } } })
    );
}

/// What the ticket is after the effects, and the events that they make.
fn carried_out(decision: &Decision, event: &Happening, view: &TicketView) -> (TicketView, Vec<Happening>) {
    let mut view = view.clone();
    let mut kinds = Vec::new();
    for effect in decision.effects() {
        match effect {
            Effect::Priority { to, .. } => {
                view.ticket.priority = *to;
                kinds.push(vec![TriggerKind::PriorityChanged]);
            }
            Effect::Status { from, to } => {
                view.ticket.status = *to;
                let is_reopened = *from == TicketStatus::Resolved && *to == TicketStatus::Open;
                kinds.push(if is_reopened {
                    vec![TriggerKind::StatusChanged, TriggerKind::Reopened]
                } else {
                    vec![TriggerKind::StatusChanged]
                });
            }
            Effect::Tags { added, removed } => {
                view.ticket.tags.retain(|tag| !removed.contains(tag));
                view.ticket.tags.extend(added.clone());
                kinds.push(vec![TriggerKind::Updated]);
            }
            _ => {}
        }
    }
    let events = kinds.into_iter().map(|kinds| Happening {
        kinds,
        chain: decision.chain.clone(),
        changes: vec![build::change(Field::Status, "open", "pending")],
        ..event.clone()
    });
    (view, events.collect())
}

/// Lets everything run until nothing happens any more; how many events there were, and the trips of each rule.
fn exhausted(rules: Vec<Rule>) -> (usize, HashMap<RuleId, u32>) {
    let set = RuleSet::new(rules);
    let (mut view, mut queue) = (build::view(), vec![updated()]);
    let (mut count, mut trips) = (0, HashMap::new());
    while let Some(event) = queue.pop() {
        count += 1;
        assert!(count < 5_000, "it goes on for ever");
        let decision = set.decide(&event, Some(&view), &AlwaysOpen, Detail::Fired);
        for trip in &decision.trips {
            *trips.entry(trip.rule).or_insert(0) += 1;
        }
        let (after, events) = carried_out(&decision, &event, &view);
        view = after;
        queue.extend(events);
    }
    (count, trips)
}

#[test]
fn two_rules_that_fight_come_to_an_end_and_trip() {
    let (count, trips) = exhausted(vec![
        rule(1, &json!({ "none": [has_tag("x")] }), &tag("x")),
        rule(
            2,
            &has_tag("x"),
            &json!([{ "type": "remove_tags", "value": ["x"] }]),
        ),
    ]);
    assert!(count < 10, "{count}");
    assert!(trips.values().sum::<u32>() >= 1, "{trips:?}");
    assert!(!must_disable(TRIPS_MAX - 1) && must_disable(TRIPS_MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_set_of_rules_comes_to_an_end(choices in prop::collection::vec((0..4_usize, 0..6_usize, 0..4_usize), 1..10)) {
        let triggers = ["ticket.updated", "ticket.status_changed", "ticket.priority_changed", "ticket.reopened"];
        let actions = [
            tag("x"),
            json!([{ "type": "remove_tags", "value": ["x"] }]),
            json!([{ "type": "set_status", "value": "open" }]),
            json!([{ "type": "set_status", "value": "resolved" }]),
            json!([{ "type": "set_priority", "value": "low" }]),
            json!([{ "type": "set_priority", "value": "high" }]),
        ];
        let conditions = [json!({}), has_tag("x"), json!({ "none": [has_tag("x")] }),
            json!({ "field": "priority", "operator": "equals", "value": "low" })];
        let rules = choices.iter().enumerate().map(|(number, (trigger, action, condition))| {
            build::rule(number as u128 + 1, triggers[*trigger], &conditions[*condition], &actions[*action])
        });
        exhausted(rules.collect());
    }
}

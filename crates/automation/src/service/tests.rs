use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify as _, FailureKind, ManualClock, PageLimit, PortError, SequentialIds, SystemActor,
    TeamRole, Version,
};
use serde_json::{Value, json};

use super::*;
use crate::engine::SkipReason;
use crate::facts::{AlwaysOpen, Happening};
use crate::macros::MacroHolder;
use crate::plan::Effect;
use crate::port::{Carried, Run, RunState, RunStore as _, StepResult};
use crate::rule::{Disabled, RuleId};
use crate::testing::webhooks::webhook_stores;
use crate::testing::{
    MemoryDirectory, MemoryMacros, MemoryRules, MemoryRuns, MemoryWebhooks, MockEffects, build, contract,
};
use crate::trigger::TriggerKind;

struct Desk {
    store: Arc<MemoryRules>,
    runs: Arc<MemoryRuns>,
    clock: Arc<ManualClock>,
    rules: Rules,
    macros: Macros,
}

fn desk() -> Desk {
    let (store, runs) = (Arc::new(MemoryRules::default()), Arc::new(MemoryRuns::default()));
    let clock = Arc::new(ManualClock::at(build::noon()));
    let ids = Arc::new(SequentialIds::default());
    let directory = Arc::new(MemoryDirectory(build::world()));
    Desk {
        rules: Rules::new(
            store.clone(),
            runs.clone(),
            directory.clone(),
            clock.clone(),
            ids.clone(),
        ),
        macros: Macros::new(Arc::new(MemoryMacros::default()), directory, clock.clone(), ids),
        store,
        runs,
        clock,
    }
}

impl Desk {
    fn automation(&self, effects: MockEffects) -> Automation {
        Automation::new(
            Arc::new(KnownRules::new(self.store.clone(), self.clock.clone())),
            self.runs.clone(),
            Arc::new(effects),
            self.clock.clone(),
            Arc::new(SequentialIds::default()),
        )
    }

    async fn made(&self, document: &Value) -> RuleId {
        let saved = self.rules.create(&admin(), document, &no_receipt).await.unwrap();
        saved.rule.id
    }
}

fn admin() -> Actor {
    Actor::Person(build::admin())
}

fn document(trigger: &str, actions: Value) -> Value {
    build::document(trigger, &json!({}), &actions)
}

fn tagging(tag: &str) -> Value {
    document("ticket.updated", json!([{ "type": "add_tags", "value": [tag] }]))
}

fn updated() -> Happening {
    build::event(TriggerKind::Updated)
}

fn done(run: &Run) -> Vec<StepResult> {
    let steps = run.steps.iter().filter(|step| step.effect().is_some());
    steps
        .map(|step| StepResult {
            index: step.index,
            result: Carried::Done,
        })
        .collect()
}

fn unreachable() -> PortError {
    PortError::Unavailable {
        port: "effects",
        source: "gone".into(),
    }
}

#[tokio::test]
async fn the_fakes_keep_the_contracts() {
    let cast = contract::any_cast();
    let ids = || Arc::new(SequentialIds::default());
    contract::rule_store(Arc::new(MemoryRules::default()), ids(), cast).await;
    let (runs, rules) = (Arc::new(MemoryRuns::default()), Arc::new(MemoryRules::default()));
    contract::run_store(runs, rules, ids(), cast).await;
    contract::macro_store(Arc::new(MemoryMacros::default()), ids(), cast).await;
    let webhooks = Arc::new(MemoryWebhooks::default());
    webhook_stores(webhooks.clone(), webhooks, ids(), cast).await;
}

#[tokio::test]
async fn rights_are_those_of_the_matrix() {
    let desk = desk();
    let id = desk.made(&tagging("a")).await;
    let callers = [
        (Actor::Person(build::customer()), [false, false, false]),
        (
            Actor::Person(build::agent(TeamRole::Agent)),
            [false, false, false],
        ),
        (
            Actor::Person(build::agent(TeamRole::Supervisor)),
            [true, false, false],
        ),
        (Actor::Person(build::agent(TeamRole::Lead)), [true, true, false]),
        (admin(), [true, true, true]),
    ];
    for (actor, [reads, tries, writes]) in callers {
        let forbidden = |error: AutomationError| {
            assert_eq!(error.kind(), FailureKind::Forbidden);
            false
        };
        let page = PageLimit::default();
        let read = [
            desk.rules.list(&actor).await.map_or_else(forbidden, |_| true),
            desk.rules.show(&actor, id).await.map_or_else(forbidden, |_| true),
            desk.rules
                .log(&actor, None, None, None, page)
                .await
                .map_or_else(forbidden, |_| true),
        ];
        assert_eq!(read, [reads; 3], "{actor:?}");
        let tried = desk.rules.simulate(&actor, &tagging("x"), &[], &AlwaysOpen).await;
        assert_eq!(tried.map_or_else(forbidden, |_| true), tries, "{actor:?}");
        let guard = Guard::none();
        let wrote = [
            desk.rules
                .create(&actor, &tagging("x"), &no_receipt)
                .await
                .map_or_else(forbidden, |_| true),
            desk.rules
                .update(&actor, id, &json!({}), guard)
                .await
                .map_or_else(forbidden, |_| true),
            desk.rules
                .disable(&actor, id, guard)
                .await
                .map_or_else(forbidden, |_| true),
            desk.rules
                .enable(&actor, id, guard)
                .await
                .map_or_else(forbidden, |_| true),
        ];
        assert_eq!(wrote, [writes; 4], "{actor:?}");
        if !writes {
            assert!(desk.rules.reorder(&actor, &[], &no_receipt).await.is_err());
            assert!(desk.rules.delete(&actor, id, Guard::none()).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_rule_is_made_changed_and_deleted() {
    let desk = desk();
    let refused = desk
        .rules
        .create(&admin(), &json!({ "name": 1 }), &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.violations().len()),
        (FailureKind::Invalid, 2)
    );
    let id = desk.made(&tagging("a")).await;
    desk.clock.advance(TimeDelta::seconds(5));
    let patch = json!({ "name": "New", "priority": 5 });
    let saved = desk
        .rules
        .update(&admin(), id, &patch, Guard::none())
        .await
        .unwrap();
    assert_eq!(
        (saved.rule.version, saved.rule.content.name.as_str()),
        (Version(2), "New")
    );
    assert!(saved.rule.updated_at > saved.rule.created_at);
    // Saying the same again is no change.
    let same = desk
        .rules
        .update(&admin(), id, &patch, Guard::none())
        .await
        .unwrap();
    assert_eq!(same.rule.version, Version(2));
    let stale = Guard {
        expected: Some(Version(1)),
        ..Guard::none()
    };
    let refused = desk.rules.update(&admin(), id, &patch, stale).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.current_version()),
        (FailureKind::Stale, Some(Version(2)))
    );
    let stale = Guard {
        expected: Some(Version(1)),
        ..Guard::none()
    };
    assert_eq!(
        desk.rules.delete(&admin(), id, stale).await.unwrap_err().kind(),
        FailureKind::Stale
    );
    desk.rules.delete(&admin(), id, Guard::none()).await.unwrap();
    assert_eq!(
        desk.rules.show(&admin(), id).await.unwrap_err().code(),
        "rule.not_found"
    );
}

#[tokio::test]
async fn circles_are_named_when_a_rule_is_saved() {
    let desk = desk();
    let first = desk
        .made(&document(
            "ticket.updated",
            json!([{ "type": "set_priority", "value": "high" }]),
        ))
        .await;
    let second = document(
        "ticket.priority_changed",
        json!([{ "type": "add_tags", "value": ["x"] }]),
    );
    let saved = desk.rules.create(&admin(), &second, &no_receipt).await.unwrap();
    assert_eq!(saved.cycles, [[first, saved.rule.id]]);
    let off = desk
        .rules
        .disable(&admin(), saved.rule.id, Guard::none())
        .await
        .unwrap();
    assert_eq!(off.cycles, [[]; 0]);
}

#[tokio::test]
async fn rows_of_others_are_shown_mended_and_deleted() {
    let desk = desk();
    let mut row = build::rule_of(77, &tagging("a")).to_row();
    row.actions = json!("nonsense");
    desk.store.write(row.clone());
    let id = RuleId(row.id);
    let listed = desk.rules.list(&admin()).await.unwrap();
    assert!(matches!(&listed[..], [Listed::Faulty(fault)] if fault.id == id));
    let refused = desk.rules.enable(&admin(), id, Guard::none()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.kind()),
        ("rule.faulty", FailureKind::Conflict)
    );
    // It runs nothing, and keeps nothing from running.
    desk.made(&tagging("b")).await;
    let mut effects = MockEffects::new();
    effects.expect_apply().times(1).returning(|run| Ok(done(run)));
    let ran = desk
        .automation(effects)
        .on_event(&updated(), Some(&build::view()), &AlwaysOpen)
        .await
        .unwrap();
    assert_eq!(ran.ran.len(), 1);
    let saved = desk
        .rules
        .update(&admin(), id, &tagging("c"), Guard::none())
        .await
        .unwrap();
    assert_eq!(saved.rule.version, Version(2));
    desk.store.write(row);
    desk.rules.delete(&admin(), id, Guard::none()).await.unwrap();
}

#[tokio::test]
async fn a_rule_that_names_what_is_gone_can_be_switched_off_and_not_on() {
    let desk = desk();
    let mut row = build::rule_of(
        78,
        &document(
            "ticket.updated",
            json!([{ "type": "set_team", "value": build::TEAM }]),
        ),
    )
    .to_row();
    row.actions = json!([{ "type": "set_team", "value": uuid::Uuid::nil() }]);
    desk.store.write(row.clone());
    let id = RuleId(row.id);
    let off = desk.rules.disable(&admin(), id, Guard::none()).await.unwrap();
    assert!(!off.rule.content.enabled);
    let refused = desk.rules.enable(&admin(), id, Guard::none()).await.unwrap_err();
    assert_eq!(refused.violations()[0].pointer, "/actions/0/value");
}

#[tokio::test]
async fn rules_are_put_in_order_all_at_once() {
    let desk = desk();
    let (a, b) = (desk.made(&tagging("a")).await, desk.made(&tagging("b")).await);
    let code = |error: AutomationError| error.violations()[0].code;
    for (order, expected) in [
        (vec![a], "incomplete"),
        (vec![a, a], "unknown"),
        (vec![a, b, RuleId(uuid::Uuid::nil())], "unknown"),
    ] {
        let refused = desk
            .rules
            .reorder(&admin(), &order, &no_receipt)
            .await
            .unwrap_err();
        assert_eq!(code(refused), expected);
    }
    desk.rules.reorder(&admin(), &[b, a], &no_receipt).await.unwrap();
    let order: Vec<_> = desk
        .rules
        .list(&admin())
        .await
        .unwrap()
        .iter()
        .map(Listed::id)
        .collect();
    assert_eq!(order, [b, a]);
}

#[tokio::test]
async fn what_rules_do_is_handed_over_once_for_an_event() {
    let desk = desk();
    let id = desk.made(&tagging("vip")).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut effects = MockEffects::new();
    let kept = seen.clone();
    effects.expect_apply().times(1).returning(move |run| {
        kept.lock().unwrap().push(run.clone());
        Ok(done(run))
    });
    let automation = desk.automation(effects);
    let (event, view) = (updated(), build::view());
    for _ in 0..3 {
        let outcome = automation
            .on_event(&event, Some(&view), &AlwaysOpen)
            .await
            .unwrap();
        assert_eq!(outcome.ran, [id]);
    }
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        (seen[0].key.rule, seen[0].key.event, seen[0].version),
        (id, event.id, Version::FIRST)
    );
    assert!(matches!(seen[0].steps[0].effect(), Some(Effect::Tags { added, .. }) if added == &["vip"]));
    assert!(seen[0].chain.has(id, seen[0].ticket) && seen[0].explanation.holds);
    let log = desk
        .rules
        .log(&admin(), Some(id), None, None, PageLimit::default())
        .await
        .unwrap();
    assert!(matches!(&log.items[0].state, RunState::Settled { results, .. } if results.len() == 1));
    // An event that concerns no rule costs nothing.
    let other = build::event(TriggerKind::Rated);
    assert_eq!(
        automation.on_event(&other, None, &AlwaysOpen).await.unwrap(),
        EventOutcome::default()
    );
}

#[tokio::test]
async fn after_a_failure_the_same_decision_is_carried_out_again() {
    let desk = desk();
    let good = desk.made(&tagging("a")).await;
    let bad = desk.made(&tagging("b")).await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let kept = calls.clone();
    let mut effects = MockEffects::new();
    effects.expect_apply().times(3).returning(move |run| {
        let mut calls = kept.lock().unwrap();
        calls.push((run.key.rule, run.steps.clone()));
        // The first one fails the first time; the other is carried out all the same.
        if calls.len() == 1 {
            Err(unreachable())
        } else {
            Ok(done(run))
        }
    });
    let automation = desk.automation(effects);
    let event = updated();
    let failed = automation
        .on_event(&event, Some(&build::view()), &AlwaysOpen)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), FailureKind::Unavailable);
    // Meanwhile the ticket has the tag, and rules would decide otherwise.
    let mut moved_on = build::view();
    moved_on.ticket.tags = vec!["a".to_owned(), "b".to_owned()];
    desk.clock.advance(TimeDelta::minutes(10));
    let outcome = automation
        .on_event(&event, Some(&moved_on), &AlwaysOpen)
        .await
        .unwrap();
    assert_eq!(outcome.ran, [good, bad]);
    let calls = calls.lock().unwrap();
    let order: Vec<_> = calls.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(order, [good, bad, good]);
    assert_eq!(calls[0].1, calls[2].1);
}

#[tokio::test]
async fn what_a_dead_node_left_over_is_resumed() {
    let desk = desk();
    desk.made(&tagging("a")).await;
    let mut dying = MockEffects::new();
    dying.expect_apply().returning(|_| Err(unreachable()));
    let _ = desk
        .automation(dying)
        .on_event(&updated(), Some(&build::view()), &AlwaysOpen)
        .await;
    let mut effects = MockEffects::new();
    effects.expect_apply().times(1).returning(|run| Ok(done(run)));
    let automation = desk.automation(effects);
    let page = PageLimit::default();
    assert_eq!(automation.resume(page).await.unwrap(), 0);
    desk.clock.advance(RESUME_AFTER + TimeDelta::seconds(1));
    assert_eq!(automation.resume(page).await.unwrap(), 1);
    assert_eq!(automation.resume(page).await.unwrap(), 0);
}

#[tokio::test]
async fn of_two_nodes_one_decides() {
    let desk = desk();
    desk.made(&tagging("a")).await;
    let mut effects = MockEffects::new();
    effects.expect_apply().returning(|run| Ok(done(run)));
    let (one, other) = (desk.automation(effects), desk.automation(MockEffects::new()));
    let event = updated();
    one.on_event(&event, Some(&build::view()), &AlwaysOpen)
        .await
        .unwrap();
    // The other one finds what is settled and has nothing to do.
    let outcome = other
        .on_event(&event, Some(&build::view()), &AlwaysOpen)
        .await
        .unwrap();
    assert_eq!(outcome.ran.len(), 1);
    assert_eq!(desk.runs.runs_of(event.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_that_keeps_looping_is_disabled_and_the_others_run() {
    let desk = desk();
    let looping = desk.made(&tagging("a")).await;
    let other = desk
        .made(&document(
            "ticket.updated",
            json!([{ "type": "add_note", "value": "x" }]),
        ))
        .await;
    let mut effects = MockEffects::new();
    effects.expect_apply().returning(|run| Ok(done(run)));
    let automation = desk.automation(effects);
    let mut disabled = Vec::new();
    for number in 0..crate::engine::TRIPS_MAX {
        let mut event = updated();
        event.id = kernel::EventId(uuid::Uuid::from_u128(1_000 + u128::from(number)));
        event.at += TimeDelta::minutes(i64::from(number));
        event.chain = event.chain.after([looping], Some(build::view().ticket.id));
        let outcome = automation
            .on_event(&event, Some(&build::view()), &AlwaysOpen)
            .await
            .unwrap();
        assert_eq!(outcome.ran, [other]);
        assert_eq!(outcome.skipped[0].reason, SkipReason::RanInChain);
        disabled.extend(outcome.disabled);
    }
    assert_eq!(disabled, [looping]);
    let Listed::Rule(rule) = desk.rules.show(&admin(), looping).await.unwrap() else {
        panic!("it is a rule still")
    };
    assert_eq!(
        (rule.content.enabled, rule.disabled),
        (false, Some(Disabled::Loop))
    );
    // An administrator lets it run again.
    let saved = desk.rules.enable(&admin(), looping, Guard::none()).await.unwrap();
    assert_eq!((saved.rule.content.enabled, saved.rule.disabled), (true, None));
}

#[tokio::test]
async fn a_rate_limit_counts_stored_runs() {
    let desk = desk();
    let mut limited = document("ticket.updated", json!([{ "type": "add_note", "value": "x" }]));
    limited["rateLimit"] = json!({ "perTicketPerHour": 2 });
    let id = desk.made(&limited).await;
    let mut effects = MockEffects::new();
    effects.expect_apply().returning(|run| Ok(done(run)));
    let automation = desk.automation(effects);
    let mut ran = Vec::new();
    for minutes in [0, 10, 20, 59, 61, 71] {
        let mut event = updated();
        event.id = kernel::EventId(uuid::Uuid::from_u128(2_000 + u128::try_from(minutes).unwrap()));
        event.at += TimeDelta::minutes(minutes);
        let outcome = automation
            .on_event(&event, Some(&build::view()), &AlwaysOpen)
            .await
            .unwrap();
        ran.push(outcome.ran == [id]);
    }
    assert_eq!(ran, [true, true, false, false, true, true]);
}

#[tokio::test]
async fn changed_rules_run_within_a_second_and_at_once_where_they_were_changed() {
    let desk = desk();
    let mut effects = MockEffects::new();
    effects.expect_apply().returning(|run| Ok(done(run)));
    let automation = desk.automation(effects);
    let kinds = [TriggerKind::Updated];
    assert!(!automation.listens_to(&kinds).await.unwrap());
    desk.made(&tagging("a")).await;
    assert!(!automation.listens_to(&kinds).await.unwrap());
    automation.forget();
    assert!(automation.listens_to(&kinds).await.unwrap());
    desk.store.write({
        let mut row = build::rule_of(5, &document("ticket.rated", json!([{ "type": "stop" }]))).to_row();
        row.priority = 3;
        row
    });
    desk.clock.advance(RULES_KNOWN_FOR);
    assert!(automation.listens_to(&[TriggerKind::Rated]).await.unwrap());
}

#[tokio::test]
async fn a_trial_shows_what_would_happen_and_writes_nothing() {
    let desk = desk();
    let cases = [(updated(), Some(build::view()))];
    let lead = Actor::Person(build::agent(TeamRole::Lead));
    let tried = desk
        .rules
        .simulate(&lead, &tagging("x"), &cases, &AlwaysOpen)
        .await
        .unwrap();
    assert_eq!(tried[0].decision.effects().count(), 1);
    assert_eq!(desk.rules.list(&admin()).await.unwrap(), []);
    assert_eq!(desk.runs.runs_of(cases[0].0.id).await.unwrap(), []);
}

#[tokio::test]
async fn macros_belong_to_people_teams_and_everyone() {
    let desk = desk();
    let agent = |role| Actor::Person(build::agent(role));
    let one = |visibility: &str, team: Value| {
        json!({ "name": "Close", "visibility": visibility, "teamId": team,
                "actions": [{ "type": "set_status", "value": "resolved" },
                            { "type": "send_reply", "value": "Done, {{requester.name}}." }] })
    };
    let (own, team, all) = (
        one("own", Value::Null),
        one("team", json!(build::TEAM)),
        one("all", Value::Null),
    );
    let kind = |made: Result<crate::macros::Macro, AutomationError>| {
        made.map_err(|error| error.kind()).map(|one| one.content.holder)
    };
    let make =
        async |actor: &Actor, document: &Value| kind(desk.macros.create(actor, document, &no_receipt).await);
    let member = agent(TeamRole::Agent);
    assert_eq!(make(&member, &own).await, Ok(MacroHolder::Person(build::AGENT)));
    assert_eq!(make(&member, &team).await, Err(FailureKind::Forbidden));
    assert_eq!(
        make(&agent(TeamRole::Supervisor), &team).await,
        Ok(MacroHolder::Team(build::TEAM))
    );
    assert_eq!(
        make(&agent(TeamRole::Lead), &all).await,
        Err(FailureKind::Forbidden)
    );
    assert_eq!(make(&admin(), &all).await, Ok(MacroHolder::Desk));
    assert_eq!(
        make(&Actor::Person(build::customer()), &own).await,
        Err(FailureKind::Forbidden)
    );
    let system = Actor::System(SystemActor::Import);
    assert_eq!(make(&system, &own).await, Err(FailureKind::Invalid));
    let gone = one("team", json!(uuid::Uuid::nil()));
    assert_eq!(make(&admin(), &gone).await, Err(FailureKind::Invalid));
    assert_eq!(desk.macros.list(&member).await.unwrap().len(), 3);
    let admins = desk.macros.list(&admin()).await.unwrap();
    assert_eq!(admins.len(), 2, "somebody's own is nobody else's");

    let view = build::view();
    let shared = admins.last().unwrap().id;
    let applied = desk
        .macros
        .plan(&member, shared, &view, &AlwaysOpen)
        .await
        .unwrap();
    let effects: Vec<_> = applied.steps.iter().filter_map(|step| step.effect()).collect();
    assert!(matches!(effects[1], Effect::Reply { text } if text == "Done, Ada."));
    let refused = desk
        .macros
        .update(&member, shared, &all, Guard::none())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Forbidden);
    let mut renamed = all.clone();
    renamed["name"] = json!("Solve");
    let changed = desk
        .macros
        .update(&admin(), shared, &renamed, Guard::none())
        .await
        .unwrap();
    assert_eq!(
        (changed.content.name.as_str(), changed.version),
        ("Solve", Version(2))
    );
    let private = desk.macros.list(&member).await.unwrap()[0].id;
    let hidden = desk
        .macros
        .delete(&admin(), private, Guard::none())
        .await
        .unwrap_err();
    assert_eq!(hidden.kind(), FailureKind::NotFound);
    desk.macros.delete(&member, private, Guard::none()).await.unwrap();
}

#[tokio::test]
async fn only_everyones_macros_reach_outside() {
    let desk = desk();
    let document = |visibility: &str| {
        json!({ "name": "x", "visibility": visibility, "actions": [
            { "type": "send_email", "to": ["a@example.org"], "subject": "s", "value": "v" },
            { "type": "webhook", "value": build::ENDPOINT },
            { "type": "stop" },
            { "type": "add_note", "value": "{{message.body}}" } ] })
    };
    let faults = async |actor: &Actor, visibility: &str| {
        let refused = desk
            .macros
            .create(actor, &document(visibility), &no_receipt)
            .await
            .unwrap_err();
        let faults = refused.violations().iter();
        faults.map(|fault| fault.pointer.clone()).collect::<Vec<_>>()
    };
    let member = Actor::Person(build::agent(TeamRole::Agent));
    assert_eq!(faults(&member, "own").await, ["/actions/3/value"]);
    let mut mended = document("own");
    mended["actions"][3] = json!({ "type": "add_note", "value": "x" });
    let refused = desk
        .macros
        .create(&member, &mended, &no_receipt)
        .await
        .unwrap_err();
    let places: Vec<_> = refused
        .violations()
        .iter()
        .map(|fault| fault.pointer.as_str())
        .collect();
    assert_eq!(places, ["/actions/0/type", "/actions/1/type", "/actions/2/type"]);
    mended["visibility"] = json!("all");
    mended["actions"].as_array_mut().unwrap().remove(2);
    assert!(desk.macros.create(&admin(), &mended, &no_receipt).await.is_ok());
}

#[test]
fn a_runs_ids_are_the_same_each_time_and_never_shared() {
    let key = |rule, event| crate::port::RunKey {
        rule: RuleId(uuid::Uuid::from_u128(rule)),
        event: kernel::EventId(uuid::Uuid::from_u128(event)),
    };
    assert_eq!(key(1, 2).step_id(0), key(1, 2).step_id(0));
    let all = [
        key(1, 2).step_id(0),
        key(1, 2).step_id(1),
        key(2, 1).step_id(0),
        key(1, 2).ticket_receipt().event.0,
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(all[0].get_version_num(), 8);
}

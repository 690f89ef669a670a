//! What every [`RuleStore`], [`RunStore`] and [`MacroStore`] must do. Run on the fakes and on the database, whose accounts,
//! teams and tickets the [`Cast`] names.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use kernel::{EventId, EventReceipt, IdSource, PageLimit, Receipt, TeamId, TicketId, UserId, Version};
use serde_json::json;
use uuid::Uuid;

use super::build;
use crate::chain::Chain;
use crate::engine::{SkipReason, Trip};
use crate::macros::{Macro, MacroContent, MacroHolder, MacroId, MacroReach};
use crate::port::{
    Carried, CommitError, MACROS_MAX, MacroCommit, MacroStore, MacroWrite, Place, RuleCommit, RuleStore,
    RuleWrite, Run, RunKey, RunState, RunStore, ScheduleLease, StepResult,
};
use crate::rule::{Disabled, Rule, RuleId};

/// Whom the rows of a suite belong to; a database has to have them.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// An agent.
    pub agent: UserId,
    /// Another account of staff.
    pub stranger: UserId,
    /// A team.
    pub team: TeamId,
    /// Another team.
    pub other_team: TeamId,
    /// A ticket.
    pub ticket: TicketId,
    /// Another ticket.
    pub other_ticket: TicketId,
}

fn rule(ids: &dyn IdSource, cast: &Cast, priority: i32) -> Rule {
    let document = json!({
        "name": "Größe", "description": "two\nlines", "trigger": "schedule",
        "schedule": { "cron": "0 9 * * *", "timezone": "Europe/Berlin" },
        "conditions": { "field": "subject", "operator": "contains", "value": "\"x\"" },
        "actions": [{ "type": "add_note", "value": "{{ticket.number}}" }],
        "priority": priority, "stopAfterMatch": true,
        "rateLimit": { "perTicketPerHour": 1, "perRulePerHour": 2 },
    });
    let made_at = build::noon() + TimeDelta::microseconds(3);
    Rule {
        id: RuleId::new(ids),
        owner: cast.agent,
        created_at: made_at,
        updated_at: made_at,
        ..build::rule_of(0, &document)
    }
}

/// A commit of which nobody is told.
fn change(write: RuleWrite, receipt: Option<Receipt>) -> RuleCommit {
    RuleCommit {
        write,
        event: None,
        receipt,
    }
}

fn insertion(rule: &Rule) -> RuleCommit {
    change(RuleWrite::Insert(Box::new(rule.clone())), None)
}

fn deletion(rule: &Rule) -> RuleCommit {
    let write = RuleWrite::Delete {
        id: rule.id,
        expected: rule.version,
    };
    change(write, None)
}

/// Everything that a [`RuleStore`] promises. It must be empty when this begins, and is when it ends.
///
/// # Panics
/// When a promise is broken.
pub async fn rule_store(store: Arc<dyn RuleStore>, ids: Arc<dyn IdSource>, cast: Cast) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    a_rule_reads_back_as_it_was_written(store, ids, &cast).await;
    a_stale_commit_stores_nothing(store, ids, &cast).await;
    a_receipt_is_stored_once_and_with_its_effect(store, ids, &cast).await;
    rules_come_in_their_order_and_take_new_places(store, ids, &cast).await;
    a_revision_moves_with_every_change(store, ids, &cast).await;
    assert_eq!(store.rules().await.unwrap(), []);
}

async fn a_rule_reads_back_as_it_was_written(store: &dyn RuleStore, ids: &dyn IdSource, cast: &Cast) {
    let mut written = rule(ids, cast, -5);
    store.commit(insertion(&written)).await.unwrap();
    let read = store.rule(written.id).await.unwrap().unwrap();
    assert_eq!(Rule::read(&read), Ok(written.clone()));
    // Every member is another afterwards.
    let document = json!({ "name": "Other", "trigger": "ticket.created", "enabled": false, "priority": 9,
        "conditions": {}, "actions": [{ "type": "stop" }] });
    written.content = build::rule_of(0, &document).content;
    written.disabled = Some(Disabled::Loop);
    written.updated_at += TimeDelta::seconds(1);
    written.version = written.version.next();
    let write = RuleWrite::Update {
        rule: Box::new(written.clone()),
        expected: Version::FIRST,
    };
    store.commit(change(write, None)).await.unwrap();
    let read = store.rule(written.id).await.unwrap().unwrap();
    assert_eq!(Rule::read(&read), Ok(written.clone()));
    store.commit(deletion(&written)).await.unwrap();
    assert_eq!(store.rule(written.id).await.unwrap(), None);
}

async fn a_stale_commit_stores_nothing(store: &dyn RuleStore, ids: &dyn IdSource, cast: &Cast) {
    let stored = rule(ids, cast, 1);
    store.commit(insertion(&stored)).await.unwrap();
    let other = rule(ids, cast, 2);
    store.commit(insertion(&other)).await.unwrap();
    let (id, expected) = (stored.id, Version(2));
    let mut changed = stored.clone();
    changed.content.priority = 7;
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "one",
    });
    let place = |rule: &Rule, expected| Place {
        id: rule.id,
        priority: 99,
        expected,
    };
    let gone = rule(ids, cast, 3);
    for write in [
        RuleWrite::Update {
            rule: Box::new(changed),
            expected,
        },
        RuleWrite::Keep { id, expected },
        RuleWrite::Delete { id, expected },
        RuleWrite::Delete {
            id: gone.id,
            expected: gone.version,
        },
        // One stale place keeps all from being taken.
        RuleWrite::Reorder {
            places: vec![place(&other, other.version), place(&stored, expected)],
            at: build::noon(),
        },
    ] {
        let receipt = Some(receipt.clone());
        let refused = store.commit(change(write, receipt)).await;
        assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    }
    let rows = store.rules().await.unwrap();
    assert_eq!(rows, [stored.to_row(), other.to_row()]);
    // The receipt was not stored either.
    let receipt = Some(receipt);
    store
        .commit(RuleCommit {
            receipt,
            ..deletion(&stored)
        })
        .await
        .unwrap();
    store.commit(deletion(&other)).await.unwrap();
}

async fn a_receipt_is_stored_once_and_with_its_effect(
    store: &dyn RuleStore,
    ids: &dyn IdSource,
    cast: &Cast,
) {
    let receipt = Some(Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "two",
    }));
    let stored = rule(ids, cast, 1);
    let commit = |rule: &Rule| RuleCommit {
        receipt: receipt.clone(),
        ..insertion(rule)
    };
    store.commit(commit(&stored)).await.unwrap();
    let again = rule(ids, cast, 1);
    let refused = store.commit(commit(&again)).await;
    assert!(matches!(refused, Err(CommitError::Repeated)), "{refused:?}");
    assert_eq!(store.rule(again.id).await.unwrap(), None);
    store.commit(deletion(&stored)).await.unwrap();
}

async fn rules_come_in_their_order_and_take_new_places(
    store: &dyn RuleStore,
    ids: &dyn IdSource,
    cast: &Cast,
) {
    let mut rules = Vec::new();
    for priority in [2, -1, 2, 0] {
        let one = rule(ids, cast, priority);
        store.commit(insertion(&one)).await.unwrap();
        rules.push(one);
    }
    rules.sort_by_key(Rule::place);
    let rows: Vec<_> = rules.iter().map(Rule::to_row).collect();
    assert_eq!(store.rules().await.unwrap(), rows);
    rules.reverse();
    let at = build::noon() + TimeDelta::hours(1);
    let mut places = Vec::new();
    for (rule, priority) in rules.iter_mut().zip(10..) {
        places.push(Place {
            id: rule.id,
            priority,
            expected: rule.version,
        });
        rule.content.priority = priority;
        rule.version = rule.version.next();
        rule.updated_at = at;
    }
    let write = RuleWrite::Reorder { places, at };
    store.commit(change(write, None)).await.unwrap();
    let rows: Vec<_> = rules.iter().map(Rule::to_row).collect();
    assert_eq!(store.rules().await.unwrap(), rows);
    for rule in &rules {
        store.commit(deletion(rule)).await.unwrap();
    }
}

async fn a_revision_moves_with_every_change(store: &dyn RuleStore, ids: &dyn IdSource, cast: &Cast) {
    let (first, rows) = store.changed_since(None).await.unwrap().unwrap();
    assert_eq!(rows, []);
    assert_eq!(store.changed_since(Some(first)).await.unwrap(), None);
    let mut one = rule(ids, cast, 1);
    store.commit(insertion(&one)).await.unwrap();
    let (second, rows) = store.changed_since(Some(first)).await.unwrap().unwrap();
    assert_eq!((rows, second != first), (vec![one.to_row()], true));
    one.content.enabled = false;
    one.version = one.version.next();
    let write = RuleWrite::Update {
        rule: Box::new(one.clone()),
        expected: Version::FIRST,
    };
    store.commit(change(write, None)).await.unwrap();
    let (third, _) = store.changed_since(Some(second)).await.unwrap().unwrap();
    store.commit(deletion(&one)).await.unwrap();
    let (fourth, rows) = store.changed_since(Some(third)).await.unwrap().unwrap();
    assert_eq!(rows, []);
    assert_eq!(store.changed_since(Some(fourth)).await.unwrap(), None);
}

/// A planned run; its steps and reasons are those of a real decision.
fn run(rule: RuleId, event: EventId, ticket: Option<TicketId>, minutes: i64, place: u32) -> Run {
    let steps = json!([
        { "index": 0, "type": "set_priority",
          "outcome": { "kind": "do", "data": { "effect": "priority", "from": "low", "to": "high" } } },
        { "index": 1, "type": "add_tags", "outcome": { "kind": "unchanged" } },
        { "index": 2, "type": "add_note", "outcome": { "kind": "impossible", "data": "empty_text" } },
    ]);
    let explanation = json!({ "holds": true, "conditions": [
        { "pointer": "/conditions", "field": "subject", "operator": "contains", "wanted": "x", "actual": "äx", "holds": true }
    ] });
    Run {
        key: RunKey { rule, event },
        version: Version(3),
        name: "Größe".to_owned(),
        ticket,
        at: build::noon() + TimeDelta::minutes(minutes),
        place,
        explanation: serde_json::from_value(explanation).unwrap(),
        steps: serde_json::from_value(steps).unwrap(),
        chain: Chain::default().after([rule], ticket),
        state: RunState::Planned,
    }
}

/// Everything that a [`RunStore`] promises; `rules` are stored where the runs' rules are looked up. It must be empty when this
/// begins.
///
/// # Panics
/// When a promise is broken.
pub async fn run_store(
    store: Arc<dyn RunStore>,
    rules: Arc<dyn RuleStore>,
    ids: Arc<dyn IdSource>,
    cast: Cast,
) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    let (first, second) = (rule(ids, &cast, 1), rule(ids, &cast, 2));
    for rule in [&first, &second] {
        rules.commit(insertion(rule)).await.unwrap();
    }
    let (first, second) = (first.id, second.id);
    let page = PageLimit::default();
    let ticket = Some(cast.ticket);

    // What was decided is stored whole and in its order, once.
    let event = EventId::new(ids);
    let runs = [run(second, event, ticket, 0, 0), run(first, event, ticket, 0, 1)];
    store.begin(event, &runs, &[]).await.unwrap();
    assert_eq!(store.runs_of(event).await.unwrap(), runs);
    let third = EventId::new(ids);
    let mixed = [run(first, third, None, 1, 0), run(second, event, ticket, 1, 1)];
    let refused = store.begin(third, &mixed, &[]).await;
    assert!(matches!(refused, Err(CommitError::Repeated)), "{refused:?}");
    assert_eq!(store.runs_of(third).await.unwrap(), []);

    // The first settling counts.
    let at = build::noon() + TimeDelta::minutes(2);
    let result = |result: Carried| [StepResult { index: 0, result }];
    let done = result(Carried::Refused("ticket.transition_not_allowed".to_owned()));
    store.settle(runs[0].key, at, &done).await.unwrap();
    store
        .settle(runs[0].key, at + TimeDelta::hours(1), &result(Carried::Done))
        .await
        .unwrap();
    let mut settled = runs[0].clone();
    settled.state = RunState::Settled {
        at,
        results: done.to_vec(),
    };
    assert_eq!(store.runs_of(event).await.unwrap(), [settled, runs[1].clone()]);
    let unknown = RunKey {
        rule: RuleId::new(ids),
        event,
    };
    store.settle(unknown, at, &[]).await.unwrap();

    // What is left over is found, the oldest first.
    let late = EventId::new(ids);
    let later = run(first, late, Some(cast.other_ticket), 5, 0);
    store
        .begin(late, std::slice::from_ref(&later), &[])
        .await
        .unwrap();
    let left = store
        .unsettled(build::noon() + TimeDelta::minutes(6), page)
        .await
        .unwrap();
    assert_eq!(left, [runs[1].clone(), later.clone()]);
    let left = store
        .unsettled(later.at, PageLimit::new(1).unwrap())
        .await
        .unwrap();
    assert_eq!(left, [runs[1].clone()]);

    // Runs are counted for the ticket and for all, since a moment.
    let counts = store.counts(&[first], ticket, build::noon()).await.unwrap();
    assert_eq!(counts.len(), 1);
    assert_eq!((counts[&first].ticket, counts[&first].rule), (1, 2));
    let counts = store.counts(&[first, second], None, later.at).await.unwrap();
    assert_eq!(counts.get(&second).copied().unwrap_or_default().rule, 0);
    assert_eq!((counts[&first].ticket, counts[&first].rule), (0, 1));

    // The trip of a rule and event counts once.
    let trip = |minutes| Trip {
        rule: first,
        at: build::noon() + TimeDelta::minutes(minutes),
        reason: SkipReason::RanInChain,
    };
    let (one, two) = (EventId::new(ids), EventId::new(ids));
    for (event, minutes) in [(one, 0), (one, 0), (two, 30)] {
        store.begin(event, &[], &[trip(minutes)]).await.unwrap();
    }
    assert_eq!(store.trips(first, build::noon()).await.unwrap(), 2);
    assert_eq!(
        store
            .trips(first, build::noon() + TimeDelta::minutes(1))
            .await
            .unwrap(),
        1
    );
    assert_eq!(store.trips(second, build::noon()).await.unwrap(), 0);

    // Each run is counted once.
    assert_eq!(store.count(2).await.unwrap(), 2);
    assert_eq!(store.count(9).await.unwrap(), 1);
    assert_eq!(store.count(9).await.unwrap(), 0);

    // A time of a schedule is with one node at a time, until it is worked off.
    assert_eq!(store.worked_off(&[first, second]).await.unwrap(), HashMap::new());
    let lease = |due, now, until| ScheduleLease {
        rule: first,
        due: build::noon() + TimeDelta::minutes(due),
        now: build::noon() + TimeDelta::minutes(now),
        until: build::noon() + TimeDelta::minutes(until),
    };
    assert!(store.lease(lease(0, 1, 3)).await.unwrap());
    assert!(!store.lease(lease(0, 2, 4)).await.unwrap());
    // Whoever died is followed.
    assert!(store.lease(lease(0, 3, 5)).await.unwrap());
    store
        .prolong(first, build::noon() + TimeDelta::minutes(9))
        .await
        .unwrap();
    assert!(!store.lease(lease(0, 6, 8)).await.unwrap());
    store.finish(first, lease(0, 0, 0).due).await.unwrap();
    assert_eq!(
        store.worked_off(&[first, second]).await.unwrap(),
        HashMap::from([(first, lease(0, 0, 0).due)])
    );
    assert_eq!(store.worked_off(&[second]).await.unwrap(), HashMap::new());
    assert!(!store.lease(lease(0, 7, 9)).await.unwrap());
    assert!(store.lease(lease(7, 7, 9)).await.unwrap());

    // The log has the newest first, page by page.
    for (rule, ticket, expected) in [
        (None, None, 3),
        (Some(first), None, 2),
        (Some(second), None, 1),
        (None, ticket, 2),
        (Some(first), Some(cast.other_ticket), 1),
    ] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store
                .log(rule, ticket, after, PageLimit::new(1).unwrap())
                .await
                .unwrap();
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), expected, "{rule:?} {ticket:?}");
        assert!(found.is_sorted_by(|one, other| one.at >= other.at));
        let whole = store.log(rule, ticket, None, page).await.unwrap();
        assert_eq!((whole.items, whole.next), (found, None));
    }

    // What was settled is forgotten in time; what is planned is not.
    let later = build::noon() + TimeDelta::hours(1);
    assert_eq!(store.forget(build::noon(), 9).await.unwrap(), 0);
    assert_eq!(store.forget(later, 9).await.unwrap(), 1);
    let left = store.log(None, None, None, page).await.unwrap();
    assert_eq!(left.items.len(), 2);
    assert_eq!(store.trips(first, build::noon()).await.unwrap(), 0);
}

fn one_macro(ids: &dyn IdSource, holder: MacroHolder, name: &str) -> Macro {
    let document = json!({ "name": name, "description": "two\nlines", "visibility": "all",
        "actions": [{ "type": "send_reply", "value": "Größe {{ticket.number}}" }] });
    let at = build::noon() + TimeDelta::microseconds(3);
    Macro {
        id: MacroId::new(ids),
        content: MacroContent {
            holder,
            ..MacroContent::read(&document, None).unwrap()
        },
        created_at: at,
        updated_at: at,
        version: Version::FIRST,
    }
}

async fn commit_macro(store: &dyn MacroStore, write: MacroWrite) -> Result<(), CommitError> {
    store.commit(MacroCommit { write, receipt: None }).await
}

/// Everything that a [`MacroStore`] promises. It must be empty when this begins, and is when it ends.
///
/// # Panics
/// When a promise is broken.
pub async fn macro_store(store: Arc<dyn MacroStore>, ids: Arc<dyn IdSource>, cast: Cast) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    let insert = |one: &Macro| MacroWrite::Insert(Box::new(one.clone()));
    let delete = |one: &Macro| MacroWrite::Delete {
        id: one.id,
        expected: one.version,
    };
    let update = |one: &Macro, expected| MacroWrite::Update {
        one: Box::new(one.clone()),
        expected,
    };
    // Written as it is, changed in every member, and never from a stale version.
    let mut one = one_macro(ids, MacroHolder::Person(cast.agent), "b");
    commit_macro(store, insert(&one)).await.unwrap();
    assert_eq!(store.get(one.id).await.unwrap(), Some(one.clone()));
    let document =
        json!({ "name": "Other", "visibility": "all", "actions": [{ "type": "add_tags", "value": ["x"] }] });
    one.content = MacroContent {
        holder: MacroHolder::Team(cast.team),
        ..MacroContent::read(&document, None).unwrap()
    };
    one.updated_at += TimeDelta::seconds(1);
    one.version = one.version.next();
    let refused = commit_macro(store, update(&one, Version(2))).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    commit_macro(store, update(&one, Version::FIRST)).await.unwrap();
    assert_eq!(store.get(one.id).await.unwrap(), Some(one.clone()));
    let mut stale = one.clone();
    stale.version = Version::FIRST;
    let refused = commit_macro(store, delete(&stale)).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    commit_macro(store, delete(&one)).await.unwrap();
    assert_eq!(store.get(one.id).await.unwrap(), None);

    // The list has what is in reach, in order.
    let mut all = Vec::new();
    for holder in [
        MacroHolder::Desk,
        MacroHolder::Team(cast.team),
        MacroHolder::Team(cast.other_team),
        MacroHolder::Person(cast.agent),
        MacroHolder::Person(cast.stranger),
    ] {
        for name in ["b", "a"] {
            let one = one_macro(ids, holder, name);
            commit_macro(store, insert(&one)).await.unwrap();
            all.push(one);
        }
    }
    all.sort_by(|one, other| one.place().cmp(&other.place()));
    for (person, teams) in [
        (Some(cast.agent), Some(vec![cast.team])),
        (Some(cast.agent), Some(vec![])),
        (Some(cast.stranger), None),
        (None, None),
    ] {
        let reach = MacroReach { person, teams };
        let seen: Vec<_> = all
            .iter()
            .filter(|one| reach.contains(one.content.holder))
            .cloned()
            .collect();
        assert_eq!(store.list(&reach).await.unwrap(), seen, "{reach:?}");
    }

    // A receipt is stored once and with its effect.
    let receipt = Some(Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "macro",
    }));
    let first = one_macro(ids, MacroHolder::Desk, "c");
    let again = one_macro(ids, MacroHolder::Desk, "c");
    for (one, is_new) in [(&first, true), (&again, false)] {
        let commit = MacroCommit {
            write: insert(one),
            receipt: receipt.clone(),
        };
        let stored = store.commit(commit).await;
        assert_eq!(matches!(stored, Err(CommitError::Repeated)), !is_new);
        assert_eq!(store.get(one.id).await.unwrap().is_some(), is_new);
    }
    all.push(first);

    // Nobody has more than the bound.
    let holder = MacroHolder::Team(cast.team);
    let held = all.iter().filter(|one| one.content.holder == holder).count();
    for _ in held..MACROS_MAX {
        let one = one_macro(ids, holder, "d");
        commit_macro(store, insert(&one)).await.unwrap();
        all.push(one);
    }
    let refused = commit_macro(store, insert(&one_macro(ids, holder, "d"))).await;
    assert!(matches!(refused, Err(CommitError::TooMany)), "{refused:?}");
    for one in &all {
        commit_macro(store, delete(one)).await.unwrap();
    }
}

/// Ids that no fake looks up.
#[must_use]
pub fn any_cast() -> Cast {
    let id = Uuid::from_u128;
    Cast {
        agent: UserId(id(1)),
        stranger: UserId(id(2)),
        team: TeamId(id(3)),
        other_team: TeamId(id(4)),
        ticket: TicketId(id(5)),
        other_ticket: TicketId(id(6)),
    }
}

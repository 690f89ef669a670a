//! What every [`PolicyStore`] must do. Run on the fake and on the database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::TimeDelta;
use kernel::{Answer, EventId, EventReceipt, IdSource, Receipt, RequestKey, RequestReceipt, UserId, Version};
use serde_json::json;

use super::build;
use crate::policy::{POLICIES_MAX, PolicyDraft, PolicyFilter, PolicyId, PolicyName, SlaPolicy, Unchecked};
use crate::port::{PolicyCommit, PolicyCommitError, PolicyEvent, PolicyFact, PolicyStore, PolicyWrite};

fn policy(ids: &dyn IdSource, place: i32) -> SlaPolicy {
    let at = build::at("2026-06-01T12:00:00.000003Z");
    let PolicyDraft {
        name,
        description,
        promise,
        filter,
    } = PolicyDraft::read(&build::document(), "", &Unchecked).unwrap();
    SlaPolicy {
        id: PolicyId::new(ids),
        name,
        description,
        promise,
        place,
        filter,
        is_default: false,
        created_at: at,
        updated_at: at,
        version: Version::FIRST,
        terms_version: Version::FIRST,
        calendar_version: Version::FIRST,
    }
}

/// A commit of these writes with an event about `about`.
fn commit(ids: &dyn IdSource, about: &SlaPolicy, writes: Vec<PolicyWrite>) -> PolicyCommit {
    let event = PolicyEvent {
        id: EventId::new(ids),
        at: about.updated_at,
        by: Some(UserId(ids.next())),
        policy: about.id,
        name: about.name.clone(),
        what: PolicyFact::Changed,
    };
    PolicyCommit {
        writes,
        events: vec![event],
        receipt: None,
    }
}

fn insertion(policy: &SlaPolicy) -> PolicyWrite {
    PolicyWrite::Insert(Box::new(policy.clone()))
}

fn update(policy: &SlaPolicy, expected: Version) -> PolicyWrite {
    PolicyWrite::Update {
        policy: Box::new(policy.clone()),
        expected,
    }
}

fn deletion(policy: &SlaPolicy, successor: Option<PolicyId>) -> PolicyWrite {
    PolicyWrite::Delete {
        id: policy.id,
        expected: policy.version,
        successor,
    }
}

/// Everything that a [`PolicyStore`] promises, one promise after the other. The store must be empty when this begins, and is when
/// it ends. What it promises of policies in use belongs to the tests of who has tickets.
///
/// # Panics
/// When a promise is broken.
pub async fn policy_store(store: Arc<dyn PolicyStore>, ids: Arc<dyn IdSource>) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    a_policy_reads_back_as_it_was_written(store, ids).await;
    what_was_promised_stays_readable(store, ids).await;
    a_stale_commit_stores_nothing(store, ids).await;
    there_is_exactly_one_default(store, ids).await;
    the_list_is_in_order_and_no_two_have_a_place(store, ids).await;
    a_receipt_is_stored_once_and_with_its_effect(store, ids).await;
    there_are_no_more_than_the_bound(store, ids).await;
    assert_eq!(store.policies().await.unwrap(), []);
}

/// A default, so that others can come and go.
async fn with_default(store: &dyn PolicyStore, ids: &dyn IdSource) -> SlaPolicy {
    let mut default = policy(ids, 1);
    default.is_default = true;
    store
        .commit(commit(ids, &default, vec![insertion(&default)]))
        .await
        .unwrap();
    default
}

async fn delete(store: &dyn PolicyStore, ids: &dyn IdSource, policy: &SlaPolicy) {
    store
        .commit(commit(ids, policy, vec![deletion(policy, None)]))
        .await
        .unwrap();
}

async fn a_policy_reads_back_as_it_was_written(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let mut written = with_default(store, ids).await;
    assert_eq!(store.policy(written.id).await.unwrap(), Some(written.clone()));
    assert_eq!(store.policies().await.unwrap(), std::slice::from_ref(&written));
    // Every member is another afterwards.
    written.name = PolicyName::stored("ö".repeat(100));
    written.description = None;
    written.promise = build::with_steps(build::promise(1, 525_600), &[("first_response", "breach")]);
    written.place = 99;
    written.filter = Some(PolicyFilter::stored(
        json!({ "field": "größe", "operator": "is_set" }),
    ));
    written.updated_at += TimeDelta::seconds(1);
    written.version = Version(2);
    written.terms_version = Version(2);
    written.calendar_version = Version(2);
    store
        .commit(commit(ids, &written, vec![update(&written, Version::FIRST)]))
        .await
        .unwrap();
    assert_eq!(store.policy(written.id).await.unwrap(), Some(written.clone()));
    let mut bare = written.clone();
    bare.filter = None;
    bare.description = Some("Two\nlines".to_owned());
    bare.version = Version(3);
    store
        .commit(commit(ids, &bare, vec![update(&bare, Version(2))]))
        .await
        .unwrap();
    assert_eq!(store.policy(bare.id).await.unwrap(), Some(bare.clone()));
    assert_eq!(store.usage(bare.id).await.unwrap(), 0);
    delete(store, ids, &bare).await;
    assert_eq!(store.policy(bare.id).await.unwrap(), None);
}

async fn what_was_promised_stays_readable(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let first = with_default(store, ids).await;
    let mut renamed = first.clone();
    renamed.name = PolicyName::stored("Other".to_owned());
    renamed.version = Version(2);
    let mut second = renamed.clone();
    second.promise = build::promise(5, 50);
    second.version = Version(3);
    second.terms_version = Version(3);
    second.calendar_version = Version(3);
    for (policy, expected) in [(&renamed, Version(1)), (&second, Version(2))] {
        store
            .commit(commit(ids, policy, vec![update(policy, expected)]))
            .await
            .unwrap();
    }
    delete(store, ids, &second).await;
    for policy in [&first, &renamed, &second] {
        let terms = store.terms(policy.reference()).await.unwrap();
        assert_eq!(terms, Some(policy.terms()));
    }
    let mut unknown = first.reference();
    unknown.version = Version(2);
    assert_eq!(store.terms(unknown).await.unwrap(), None);
}

async fn a_stale_commit_stores_nothing(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let stored = with_default(store, ids).await;
    let other = policy(ids, 2);
    let mut changed = stored.clone();
    changed.name = PolicyName::stored("Other".to_owned());
    changed.version = Version(3);
    let expected = Version(2);
    let id = stored.id;
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "one",
    });
    for write in [
        update(&changed, expected),
        PolicyWrite::Keep { id, expected },
        PolicyWrite::Delete {
            id,
            expected,
            successor: None,
        },
        PolicyWrite::Keep {
            id: PolicyId::new(ids),
            expected: Version::FIRST,
        },
    ] {
        let mut commit = commit(ids, &stored, vec![insertion(&other), write]);
        commit.receipt = Some(receipt.clone());
        let refused = store.commit(commit).await;
        assert!(matches!(refused, Err(PolicyCommitError::Stale)), "{refused:?}");
    }
    assert_eq!(store.policies().await.unwrap(), std::slice::from_ref(&stored));
    assert_eq!(store.terms(other.reference()).await.unwrap(), None);
    // The receipt was not stored either.
    let mut deleting = commit(ids, &stored, vec![deletion(&stored, None)]);
    deleting.receipt = Some(receipt);
    store.commit(deleting).await.unwrap();
}

async fn there_is_exactly_one_default(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let default = with_default(store, ids).await;
    let mut second = policy(ids, 2);
    second.is_default = true;
    let refused = store.commit(commit(ids, &second, vec![insertion(&second)])).await;
    assert!(matches!(refused, Err(PolicyCommitError::Stale)), "{refused:?}");
    second.is_default = false;
    store
        .commit(commit(ids, &second, vec![insertion(&second)]))
        .await
        .unwrap();
    // The flag moves in one commit, and never goes alone.
    let flagged = |policy: &SlaPolicy, is_default| {
        let mut flagged = policy.clone();
        flagged.is_default = is_default;
        flagged.version = policy.version.next();
        flagged
    };
    let (without, with) = (flagged(&default, false), flagged(&second, true));
    let refused = store
        .commit(commit(ids, &default, vec![update(&without, Version(1))]))
        .await;
    assert!(matches!(refused, Err(PolicyCommitError::Stale)), "{refused:?}");
    let refused = store
        .commit(commit(ids, &default, vec![deletion(&default, None)]))
        .await;
    assert!(matches!(refused, Err(PolicyCommitError::Stale)), "{refused:?}");
    let writes = vec![update(&without, Version(1)), update(&with, Version(1))];
    store.commit(commit(ids, &default, writes)).await.unwrap();
    assert_eq!(store.policies().await.unwrap(), [without.clone(), with.clone()]);
    // A default that goes hands it on.
    let back = flagged(&without, true);
    let writes = vec![deletion(&with, Some(back.id)), update(&back, without.version)];
    store.commit(commit(ids, &with, writes)).await.unwrap();
    assert_eq!(store.policies().await.unwrap(), std::slice::from_ref(&back));
    delete(store, ids, &back).await;
}

async fn the_list_is_in_order_and_no_two_have_a_place(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let default = with_default(store, ids).await;
    let (second, third) = (policy(ids, 7), policy(ids, 3));
    for policy in [&second, &third] {
        store
            .commit(commit(ids, policy, vec![insertion(policy)]))
            .await
            .unwrap();
    }
    let order = [default.id, third.id, second.id];
    let listed = store.policies().await.unwrap();
    assert_eq!(listed.iter().map(|policy| policy.id).collect::<Vec<_>>(), order);
    let taken = policy(ids, 3);
    let refused = store.commit(commit(ids, &taken, vec![insertion(&taken)])).await;
    assert!(matches!(refused, Err(PolicyCommitError::Stale)), "{refused:?}");
    // Two change places in one commit.
    let moved = |policy: &SlaPolicy, place| {
        let mut moved = policy.clone();
        moved.place = place;
        moved.version = policy.version.next();
        moved
    };
    let (second, third) = (moved(&second, 3), moved(&third, 7));
    let writes = vec![update(&second, Version(1)), update(&third, Version(1))];
    store.commit(commit(ids, &second, writes)).await.unwrap();
    let listed = store.policies().await.unwrap();
    assert_eq!(listed, [default.clone(), second.clone(), third.clone()]);
    for policy in [&second, &third, &default] {
        delete(store, ids, policy).await;
    }
}

async fn a_receipt_is_stored_once_and_with_its_effect(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let default = with_default(store, ids).await;
    let principal = ids.next();
    let receipt = || {
        let key = RequestKey {
            principal,
            key: "key".into(),
            route: "POST /sla/policies".into(),
            request_sha256: [3; 32],
        };
        let answer = Answer {
            status: 201,
            etag: None,
            location: None,
            body: "{}".into(),
        };
        Some(Receipt::Request(RequestReceipt { key, answer }))
    };
    let mut keeping = commit(
        ids,
        &default,
        vec![PolicyWrite::Keep {
            id: default.id,
            expected: default.version,
        }],
    );
    keeping.receipt = receipt();
    store.commit(keeping).await.unwrap();
    let again = policy(ids, 2);
    let mut inserting = commit(ids, &again, vec![insertion(&again)]);
    inserting.receipt = receipt();
    let refused = store.commit(inserting).await;
    assert!(matches!(refused, Err(PolicyCommitError::Repeated)), "{refused:?}");
    assert_eq!(store.policy(again.id).await.unwrap(), None);
    delete(store, ids, &default).await;
}

async fn there_are_no_more_than_the_bound(store: &dyn PolicyStore, ids: &dyn IdSource) {
    let default = with_default(store, ids).await;
    let others: Vec<_> = (2..)
        .take(POLICIES_MAX - 1)
        .map(|place| policy(ids, place))
        .collect();
    let writes = others.iter().map(insertion).collect();
    store.commit(commit(ids, &default, writes)).await.unwrap();
    let further = policy(ids, 9_999);
    let refused = store
        .commit(commit(ids, &further, vec![insertion(&further)]))
        .await;
    assert!(matches!(refused, Err(PolicyCommitError::TooMany)), "{refused:?}");
    let writes = others.iter().map(|policy| deletion(policy, None)).collect();
    store.commit(commit(ids, &default, writes)).await.unwrap();
    delete(store, ids, &default).await;
}

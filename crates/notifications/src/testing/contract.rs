//! What every [`NotificationStore`] must do. Run on the fake here and on the database in its own tests.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use kernel::id::Uuid;
use kernel::{EventId, EventReceipt, PageLimit, Position, Receipt, UserId};
use serde_json::json;

use crate::notification::{Kind, Notification, NotificationId};
use crate::port::{CommitError, InboxQuery, NotificationCommit, NotificationStore, Unread};

/// A fresh store with the people that the suite speaks of.
pub struct World {
    /// The empty store.
    pub store: Box<dyn NotificationStore>,
    /// Someone with an account.
    pub reader: UserId,
    /// Another one.
    pub stranger: UserId,
    /// Someone whose account does not exist.
    pub absent: UserId,
}

/// Tries every promise of [`NotificationStore`], each on a fresh store.
///
/// # Panics
/// When a promise is broken.
pub async fn notification_store(fresh: impl AsyncFn() -> World) {
    what_is_stored_reads_back(&fresh().await).await;
    an_event_has_its_effect_once(&fresh().await).await;
    the_same_fact_is_told_once(&fresh().await).await;
    an_absent_reader_keeps_nobody_from_being_told(&fresh().await).await;
    pages_show_everything_once_latest_first(&fresh().await).await;
    reading_is_remembered_from_the_first_time(&fresh().await).await;
    all_are_marked_in_bounded_steps(&fresh().await).await;
    nobody_reaches_anothers_notifications(&fresh().await).await;
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(second)
}

fn notification(number: u128, user: UserId, second: i64) -> Notification {
    Notification {
        id: NotificationId(Uuid::from_u128(number)),
        user,
        kind: Kind::Replied,
        title: format!("TKT-{number:05} has a new reply"),
        message: "Ünïcode".into(),
        data: json!({ "ticketId": "x", "deep": [1, null] }),
        read_at: None,
        created_at: at(second),
        dedupe_key: Some(format!("event:{number}")),
    }
}

fn commit(event: u128, notifications: Vec<Notification>) -> NotificationCommit {
    let event = EventId(Uuid::from_u128(event));
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "notifications",
        event,
        step: "notify",
    });
    NotificationCommit {
        notifications,
        receipt,
    }
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn store(world: &World, event: u128, notifications: Vec<Notification>) {
    world
        .store
        .commit(commit(event, notifications))
        .await
        .expect("a commit");
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn list(world: &World, user: UserId, query: InboxQuery) -> Vec<Notification> {
    world.store.list(user, query).await.expect("a list")
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn unread(world: &World, user: UserId) -> i64 {
    world.store.unread(user).await.expect("a count").0
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
fn limit(rows: u8) -> PageLimit {
    PageLimit::new(rows).expect("a limit")
}

async fn what_is_stored_reads_back(world: &World) {
    // Whether somebody sees a ticket a store of notifications alone cannot tell.
    let notifications: Vec<Notification> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.asks_for_sight())
        .enumerate()
        .map(|(index, kind)| Notification {
            kind,
            dedupe_key: None,
            ..notification(index as u128 + 1, world.reader, -(index as i64))
        })
        .collect();
    store(world, 1, notifications.clone()).await;
    assert_eq!(
        list(world, world.reader, InboxQuery::default()).await,
        notifications
    );
}

async fn an_event_has_its_effect_once(world: &World) {
    store(world, 1, vec![notification(1, world.reader, 1)]).await;
    let again = world
        .store
        .commit(commit(1, vec![notification(2, world.reader, 2)]))
        .await;
    assert!(matches!(again, Err(CommitError::Repeated)), "{again:?}");
    assert_eq!(unread(world, world.reader).await, 1);
}

async fn the_same_fact_is_told_once(world: &World) {
    store(world, 1, vec![notification(1, world.reader, 1)]).await;
    let mut double = notification(2, world.reader, 2);
    double.dedupe_key = notification(1, world.reader, 1).dedupe_key;
    let same_key_of_another = Notification {
        user: world.stranger,
        ..notification(1, world.stranger, 2)
    };
    let same_key_of_another = Notification {
        id: NotificationId(Uuid::from_u128(9)),
        ..same_key_of_another
    };
    store(world, 2, vec![double, same_key_of_another]).await;
    assert_eq!(unread(world, world.reader).await, 1);
    assert_eq!(unread(world, world.stranger).await, 1);
}

async fn an_absent_reader_keeps_nobody_from_being_told(world: &World) {
    store(
        world,
        1,
        vec![notification(1, world.absent, 1), notification(2, world.reader, 1)],
    )
    .await;
    assert_eq!(unread(world, world.reader).await, 1);
    assert_eq!(unread(world, world.absent).await, 0);
}

async fn pages_show_everything_once_latest_first(world: &World) {
    // Two of each second, so that the id has to tell them apart.
    let notifications =
        (0..10_u8).map(|number| notification(u128::from(number) + 1, world.reader, i64::from(number / 2)));
    store(world, 1, notifications.collect()).await;
    for number in [3, 4] {
        let marked = world
            .store
            .mark_read(world.reader, NotificationId(Uuid::from_u128(number)), at(60))
            .await;
        assert!(matches!(marked, Ok(Some(_))), "{marked:?}");
    }
    for (unread_only, expected) in [
        (false, vec![10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (true, vec![10, 9, 8, 7, 6, 5, 2, 1]),
    ] {
        let mut seen: Vec<u128> = Vec::new();
        let mut after = None;
        loop {
            let mut page = list(
                world,
                world.reader,
                InboxQuery {
                    unread_only,
                    after,
                    limit: limit(3),
                },
            )
            .await;
            assert!(page.len() <= 4, "a page and one row more");
            let more = page.len() > 3;
            page.truncate(3);
            seen.extend(page.iter().map(|row| row.id.0.as_u128()));
            after = page.last().map(|row| Position {
                at: row.created_at,
                id: row.id.0,
            });
            if !more {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn reading_is_remembered_from_the_first_time(world: &World) {
    store(world, 1, vec![notification(1, world.reader, 1)]).await;
    let id = NotificationId(Uuid::from_u128(1));
    for second in [10, 20] {
        let read = world
            .store
            .mark_read(world.reader, id, at(second))
            .await
            .expect("marks")
            .expect("is there");
        assert_eq!(
            read,
            Notification {
                read_at: Some(at(10)),
                ..notification(1, world.reader, 1)
            }
        );
    }
    assert_eq!(unread(world, world.reader).await, 0);
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn all_are_marked_in_bounded_steps(world: &World) {
    let many = u128::from(Unread::COUNT_MAX.unsigned_abs()) + 20;
    store(
        world,
        1,
        (1..=many)
            .map(|number| notification(number, world.reader, 1))
            .collect(),
    )
    .await;
    store(world, 2, vec![notification(many + 1, world.stranger, 1)]).await;
    assert_eq!(
        unread(world, world.reader).await,
        Unread::COUNT_MAX,
        "counting stops"
    );
    let mut marked = 0;
    loop {
        let rows = world
            .store
            .mark_all_read(world.reader, at(30), 50)
            .await
            .expect("marks");
        assert!(rows <= 50);
        marked += rows;
        if rows == 0 {
            break;
        }
    }
    assert_eq!(u128::from(marked), many);
    assert_eq!(unread(world, world.reader).await, 0);
    assert_eq!(unread(world, world.stranger).await, 1);
    let times: BTreeSet<_> = list(world, world.reader, InboxQuery::default())
        .await
        .into_iter()
        .map(|row| row.read_at)
        .collect();
    assert_eq!(times, BTreeSet::from([Some(at(30))]));
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
async fn nobody_reaches_anothers_notifications(world: &World) {
    store(world, 1, vec![notification(1, world.reader, 1)]).await;
    let id = NotificationId(Uuid::from_u128(1));
    assert_eq!(
        world
            .store
            .mark_read(world.stranger, id, at(10))
            .await
            .expect("an answer"),
        None
    );
    assert_eq!(
        world
            .store
            .mark_all_read(world.stranger, at(10), 10)
            .await
            .expect("an answer"),
        0
    );
    assert_eq!(list(world, world.stranger, InboxQuery::default()).await, []);
    assert_eq!(unread(world, world.reader).await, 1);
}

//! The subscriber and the inbox over the fake, and the fake over the contract.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use chrono::DateTime;
use events::testing::ticket_event;
use events::{Event, HandleError, Subscriber as _, TicketFact};
use insightdesk_notifications::testing::contract::{World, notification_store};
use insightdesk_notifications::testing::{MemoryNotifications, MockNotificationStore};
use insightdesk_notifications::{
    CommitError, Inbox, InboxError, InboxQuery, Kind, Marked, NotificationId, NotifyPeople, Unread,
};
use kernel::{Actor, ManualClock, MessageId, Person, PortError, Role, SequentialIds, SystemActor, UserId};
use uuid::Uuid;

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn person(number: u128) -> Actor {
    Actor::Person(Person {
        id: user(number),
        role: Role::User,
        teams: vec![],
        origin: None,
    })
}

/// The assignee, user number 2, replies to the requester, user number 1.
fn reply(id: u128) -> Event {
    let message = MessageId(Uuid::from_u128(id));
    ticket_event(
        id,
        10,
        TicketFact::MessageAdded {
            message,
            author: user(2),
            by_staff: true,
        },
    )
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(
        DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    ))
}

fn notifier(store: &Arc<MemoryNotifications>) -> NotifyPeople {
    NotifyPeople::new(
        Arc::<MemoryNotifications>::clone(store),
        Arc::new(SequentialIds::default()),
    )
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let fresh = async || World {
        store: Box::new(MemoryNotifications::without(vec![user(3)])),
        reader: user(1),
        stranger: user(2),
        absent: user(3),
    };
    notification_store(fresh).await;
}

#[tokio::test]
async fn an_event_that_comes_twice_is_told_once() {
    let store = Arc::new(MemoryNotifications::new());
    let notifier = notifier(&store);
    for _ in 0..3 {
        notifier.handle(&reply(1)).await.unwrap();
    }
    let all = store.all();
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].user, all[0].kind, all[0].created_at),
        (user(1), Kind::Replied, reply(1).at)
    );
}

#[tokio::test]
async fn a_fact_that_concerns_nobody_is_not_stored() {
    let store = MockNotificationStore::new();
    let notifier = NotifyPeople::new(Arc::new(store), Arc::new(SequentialIds::default()));
    notifier
        .handle(&ticket_event(1, 10, TicketFact::Created {}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_out_of_reach_is_tried_again() {
    let mut store = MockNotificationStore::new();
    store.expect_commit().returning(|_| {
        Err(CommitError::Port(PortError::Unavailable {
            port: "notifications",
            source: "down".into(),
        }))
    });
    let notifier = NotifyPeople::new(Arc::new(store), Arc::new(SequentialIds::default()));
    assert!(matches!(
        notifier.handle(&reply(1)).await,
        Err(HandleError::Retry(_))
    ));
}

#[tokio::test]
async fn people_read_their_own_and_mark_them() {
    let store = Arc::new(MemoryNotifications::new());
    let notifier = notifier(&store);
    for id in 1..=3 {
        notifier.handle(&reply(id)).await.unwrap();
    }
    let inbox = Inbox::new(store, clock());
    let page = inbox.list(&person(1), InboxQuery::default()).await.unwrap();
    assert_eq!((page.items.len(), page.next), (3, None));
    let read = inbox.mark_read(&person(1), page.items[0].id).await.unwrap();
    assert!(read.is_read());
    assert_eq!(inbox.unread(&person(1)).await.unwrap(), Unread(2));
    assert_eq!(inbox.mark_all_read(&person(1)).await.unwrap(), Marked(2));
    let unread = InboxQuery {
        unread_only: true,
        ..InboxQuery::default()
    };
    assert_eq!(inbox.list(&person(1), unread).await.unwrap().items, []);
}

#[tokio::test]
async fn anothers_notification_is_as_unknown_as_none() {
    let store = Arc::new(MemoryNotifications::new());
    notifier(&store).handle(&reply(1)).await.unwrap();
    let id = store.all()[0].id;
    let inbox = Inbox::new(store, clock());
    assert!(matches!(
        inbox.mark_read(&person(2), id).await,
        Err(InboxError::NotFound)
    ));
    let unknown = NotificationId(Uuid::from_u128(99));
    assert!(matches!(
        inbox.mark_read(&person(1), unknown).await,
        Err(InboxError::NotFound)
    ));
    let server = Actor::System(SystemActor::Import);
    assert!(matches!(inbox.unread(&server).await, Err(InboxError::NoPerson)));
}

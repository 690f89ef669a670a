//! A reply becomes a notification, which its reader finds in the inbox: `cargo run -p insightdesk-notifications --example told`.

#![expect(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;

use events::testing::ticket_event;
use events::{Subscriber as _, TicketFact};
use insightdesk_notifications::testing::MemoryNotifications;
use insightdesk_notifications::{Inbox, InboxQuery, NotifyPeople};
use kernel::{Actor, ManualClock, MessageId, Person, Role, SequentialIds, UserId};
use uuid::Uuid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (customer, agent) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let store = Arc::new(MemoryNotifications::new());

    // The relay would hand the event over; here we do.
    let message = MessageId(Uuid::from_u128(3));
    let event = ticket_event(
        4,
        5,
        TicketFact::MessageAdded {
            message,
            author: agent,
            by_staff: true,
        },
    );
    let notifier = NotifyPeople::new(
        Arc::<MemoryNotifications>::clone(&store),
        Arc::new(SequentialIds::default()),
    );
    notifier.handle(&event).await?;

    let inbox = Inbox::new(store, Arc::new(ManualClock::at(event.at)));
    let reader = Actor::Person(Person {
        id: customer,
        role: Role::User,
        teams: vec![],
        origin: None,
    });
    for notification in inbox.list(&reader, InboxQuery::default()).await?.items {
        println!("{}: {}", notification.title, notification.message);
        inbox.mark_read(&reader, notification.id).await?;
    }
    println!("unread now: {}", inbox.unread(&reader).await?.0);
    Ok(())
}

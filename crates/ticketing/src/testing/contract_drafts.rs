//! What every [`UnsentStore`] must do, together with the [`TicketStore`] whose messages take drafts away. Run on the fake
//! and on the database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::Duration;
use kernel::{IdSource, UserId};

use super::build;
use super::contract::{World, fresh, insert, message, only};
use crate::port::{TicketStore, TicketWrite};
use crate::service::{Unsent, UnsentStore};
use crate::ticket::{Ticket, Visibility};
use crate::value::Body;

fn unsent(ticket: &Ticket, author: UserId, text: &str) -> Unsent {
    Unsent {
        ticket: ticket.id,
        author,
        body: Body::stored(text.to_owned()),
        visibility: Visibility::Public,
        updated_at: build::noon() + Duration::microseconds(5),
    }
}

/// Everything that an [`UnsentStore`] promises. There must be no drafts when this begins.
///
/// # Panics
/// When a promise is broken.
pub async fn unsent_store(
    store: Arc<dyn UnsentStore>,
    tickets: Arc<dyn TicketStore>,
    ids: Arc<dyn IdSource>,
    world: World,
) {
    let ticket = fresh(tickets.as_ref(), ids.as_ref(), &world).await;
    insert(tickets.as_ref(), &ticket).await;
    let found = async |author| store.unsent(ticket.id, author).await.unwrap();
    assert_eq!(found(world.agent).await, None);
    let first = unsent(&ticket, world.agent, "Grüß \"dich\"\n");
    store.keep(&first).await.unwrap();
    let others = unsent(&ticket, world.customer, "mine");
    store.keep(&others).await.unwrap();
    assert_eq!(found(world.agent).await, Some(first.clone()));
    // Another one in its place, every member of it.
    let second = Unsent {
        body: Body::stored("x".to_owned()),
        visibility: Visibility::Internal,
        updated_at: first.updated_at + Duration::seconds(1),
        ..first
    };
    store.keep(&second).await.unwrap();
    assert_eq!(found(world.agent).await, Some(second));
    // A message of theirs takes it away, and nobody else's.
    let mut commit = only(TicketWrite::Unchanged);
    let sent = message(
        ids.as_ref(),
        &ticket,
        world.agent,
        Visibility::Public,
        build::noon(),
    );
    commit.messages = vec![sent];
    tickets.commit(commit).await.unwrap();
    assert_eq!(found(world.agent).await, None);
    assert_eq!(found(world.customer).await, Some(others.clone()));
    assert!(!store.discard(ticket.id, world.agent).await.unwrap());
    assert!(store.discard(ticket.id, world.customer).await.unwrap());
    assert_eq!(found(world.customer).await, None);
    // Old ones are forgotten, a bounded number at a time.
    store.keep(&others).await.unwrap();
    store.keep(&unsent(&ticket, world.agent, "y")).await.unwrap();
    let later = build::noon() + Duration::days(1);
    assert_eq!(store.forget(build::noon(), 10).await.unwrap(), 0);
    assert_eq!(store.forget(later, 1).await.unwrap(), 1);
    assert_eq!(store.forget(later, 10).await.unwrap(), 1);
}

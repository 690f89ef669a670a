//! Identifiers: a newtype for each kind of thing, over UUIDs that sort by their time of birth (UUIDv7, RFC 9562).
//!
//! To add one, call [`id_type!`](crate::id_type) in the crate that owns the thing; only ids that two domains name
//! live here.

use std::sync::atomic::{AtomicU64, Ordering};

pub use uuid::Uuid;

/// Defines an identifier: a newtype over [`Uuid`] with conversions, `Display` and serde as the bare UUID.
#[macro_export]
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $crate::id::Uuid);

        impl $name {
            /// A new id from the source of ids.
            pub fn new(ids: &dyn $crate::IdSource) -> Self {
                Self(ids.next())
            }
        }

        impl From<$crate::id::Uuid> for $name {
            fn from(value: $crate::id::Uuid) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $crate::id::Uuid {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id_type! {
    /// A person with an account: customer, agent or administrator.
    UserId
}
id_type! {
    /// A team of agents.
    TeamId
}
id_type! {
    /// A ticket.
    TicketId
}
id_type! {
    /// A message in a ticket's conversation.
    MessageId
}
id_type! {
    /// A published fact; the same id in the outbox, in the feed and on every wire.
    EventId
}

/// Where new ids come from.
pub trait IdSource: Send + Sync {
    /// A fresh id. Must never repeat, and must sort after those handed out earlier by the same source, give or
    /// take a millisecond.
    fn next(&self) -> Uuid;
}

/// Predictable ids for tests: `00000000-0000-7000-8000-000000000001`, `…2` and so on.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl IdSource for SequentialIds {
    fn next(&self) -> Uuid {
        let count = u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | count)
    }
}

//! The record of acts: written by a subscriber, read by administrators.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, HandleError, Subscriber};
use kernel::{Actor, PageLimit};

use crate::audit::{AuditNumber, entry_of};
use crate::policy;
use crate::ports::{AuditFilter, AuditPage, AuditStore, Recorded};
use crate::service::audit_error::ReadAuditError;

/// Puts every act on record, once.
pub struct AuditTrail {
    store: Arc<dyn AuditStore>,
}

impl AuditTrail {
    /// A subscriber that keeps the record here.
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Subscriber for AuditTrail {
    fn name(&self) -> &'static str {
        "audit"
    }

    // Needs no receipt: the entry carries its event, of which the store keeps one.
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        match entry_of(event) {
            Some(entry) => Ok(self.store.append(entry).await?),
            None => Ok(()),
        }
    }
}

/// Shows the record to administrators.
pub struct AuditLog {
    store: Arc<dyn AuditStore>,
}

impl AuditLog {
    /// The record kept here.
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self { store }
    }

    /// A page of the record, the latest first. Of people who were anonymised it shows ids alone.
    ///
    /// # Errors
    /// When the caller is no administrator.
    pub async fn list(
        &self,
        actor: &Actor,
        filter: AuditFilter,
        before: Option<AuditNumber>,
        limit: PageLimit,
    ) -> Result<AuditPage, ReadAuditError> {
        policy::read_audit_log(actor)?;
        let AuditPage { items, next } = self.store.list(filter, before, limit).await?;
        let shown = |recorded: Recorded| match recorded.anonymized {
            true => Recorded {
                entry: recorded.entry.without_person(),
                ..recorded
            },
            false => recorded,
        };
        Ok(AuditPage {
            items: items.into_iter().map(shown).collect(),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use events::{Cause, Fact, IdentityFact};
    use kernel::{Client, EventId, Origin, PortError, Role, SystemActor, UserId};

    use super::*;
    use crate::ports::MockAuditStore;
    use crate::testing::MemoryAudit;
    use crate::testing::builders::{actor, start, unique_id};

    fn event(fact: IdentityFact, by: UserId) -> Event {
        let client = Client::new(Some("curl"), Some("203.0.113.7".parse().unwrap()));
        Event {
            id: EventId(unique_id()),
            at: start(),
            cause: Cause::Person(by),
            origin: Some(Arc::new(Origin::of(client))),
            chain: None,
            fact: Fact::Identity(fact),
        }
    }

    #[tokio::test]
    async fn an_event_that_comes_again_is_on_record_once_and_one_that_is_no_act_never() {
        let store = Arc::new(MemoryAudit::new());
        let trail = AuditTrail::new(store.clone());
        let user = UserId(unique_id());
        let made = event(IdentityFact::UserCreated { user }, user);
        for _ in 0..3 {
            trail.handle(&made).await.unwrap();
        }
        let mail = event(IdentityFact::MailAsked { token: unique_id() }, user);
        trail.handle(&mail).await.unwrap();
        let log = AuditLog::new(store);
        let page = log
            .list(
                &actor(Role::Admin),
                AuditFilter::default(),
                None,
                PageLimit::DEFAULT,
            )
            .await
            .unwrap();
        let events: Vec<_> = page
            .items
            .iter()
            .map(|item| (item.number.0, item.entry.event))
            .collect();
        assert_eq!(events, [(1, made.id)]);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_written_is_tried_again() {
        let mut store = MockAuditStore::new();
        store.expect_append().returning(|_| {
            Err(PortError::Unavailable {
                port: "audit",
                source: "down".into(),
            })
        });
        let user = UserId(unique_id());
        let trail = AuditTrail::new(Arc::new(store));
        let handled = trail
            .handle(&event(IdentityFact::UserCreated { user }, user))
            .await;
        assert!(matches!(handled, Err(HandleError::Retry(_))), "{handled:?}");
    }

    #[tokio::test]
    async fn administrators_alone_read_the_record() {
        let log = AuditLog::new(Arc::new(MemoryAudit::new()));
        let read = async |actor: Actor| {
            log.list(&actor, AuditFilter::default(), None, PageLimit::DEFAULT)
                .await
        };
        assert!(read(actor(Role::Admin)).await.is_ok());
        for refused in [
            actor(Role::User),
            actor(Role::Agent),
            Actor::System(SystemActor::Import),
        ] {
            assert!(matches!(read(refused).await, Err(ReadAuditError::Forbidden)));
        }
    }

    #[tokio::test]
    async fn of_people_who_were_anonymised_ids_are_shown_and_of_others_everything() {
        let store = Arc::new(MemoryAudit::new());
        let trail = AuditTrail::new(store.clone());
        let (gone, admin) = (UserId(unique_id()), UserId(unique_id()));
        let refused = IdentityFact::SignInRefused {
            user: Some(gone),
            reason: "password".into(),
        };
        for event in [
            event(IdentityFact::PasswordChanged { user: gone }, gone),
            event(refused, gone),
            event(IdentityFact::UserAnonymized { user: gone }, admin),
        ] {
            trail.handle(&event).await.unwrap();
        }
        let page = AuditLog::new(store)
            .list(
                &actor(Role::Admin),
                AuditFilter::default(),
                None,
                PageLimit::DEFAULT,
            )
            .await
            .unwrap();
        let shown: Vec<_> = page
            .items
            .iter()
            .map(|item| (item.entry.action.as_str(), item.entry.client.ip().is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                ("user.anonymized", true),
                ("session.refused", false),
                ("user.password_changed", false)
            ]
        );
        assert_eq!(page.items[1].entry.target.id(), Some(gone.0));
    }
}

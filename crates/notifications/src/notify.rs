//! The subscriber that turns events into notifications.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, HandleError, Subscriber};
use kernel::{EventReceipt, IdSource, Receipt};

use crate::decide::{Draft, decide};
use crate::notification::{Notification, NotificationId};
use crate::port::{CommitError, NotificationCommit, NotificationStore};

/// Tells people what concerns them.
pub struct NotifyPeople {
    store: Arc<dyn NotificationStore>,
    ids: Arc<dyn IdSource>,
}

impl NotifyPeople {
    /// A subscriber that stores notifications here.
    pub fn new(store: Arc<dyn NotificationStore>, ids: Arc<dyn IdSource>) -> Self {
        Self { store, ids }
    }

    fn commit_for(&self, event: &Event, drafts: Vec<Draft>) -> NotificationCommit {
        let notification = |draft: Draft| {
            let Draft {
                user,
                kind,
                title,
                message,
                data,
            } = draft;
            Notification {
                id: NotificationId::new(&*self.ids),
                user,
                kind,
                title,
                message,
                data,
                read_at: None,
                created_at: event.at,
                dedupe_key: Some(format!("event:{}", event.id)),
            }
        };
        NotificationCommit {
            notifications: drafts.into_iter().map(notification).collect(),
            receipt: Receipt::Event(EventReceipt {
                subscriber: self.name(),
                event: event.id,
                step: "notify",
            }),
        }
    }
}

#[async_trait]
impl Subscriber for NotifyPeople {
    fn name(&self) -> &'static str {
        "notifications"
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let drafts = decide(event);
        // Nothing to store is nothing to store twice: no receipt is needed.
        if drafts.is_empty() {
            return Ok(());
        }
        match self.store.commit(self.commit_for(event, drafts)).await {
            Ok(()) | Err(CommitError::Repeated) => Ok(()),
            Err(CommitError::Port(error)) => Err(error.into()),
        }
    }
}

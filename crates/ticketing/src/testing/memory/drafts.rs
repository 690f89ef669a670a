//! Messages in the making, in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, TicketId, UserId};

use super::MemoryTickets;
use crate::service::{Unsent, UnsentStore};

#[async_trait]
impl UnsentStore for MemoryTickets {
    async fn unsent(&self, ticket: TicketId, author: UserId) -> Result<Option<Unsent>, PortError> {
        let state = self.state();
        let mut all = state.unsent.iter();
        let found = all.find(|unsent| unsent.ticket == ticket && unsent.author == author);
        Ok(found.cloned())
    }

    async fn keep(&self, unsent: &Unsent) -> Result<(), PortError> {
        self.discard(unsent.ticket, unsent.author).await?;
        self.state().unsent.push(unsent.clone());
        Ok(())
    }

    async fn discard(&self, ticket: TicketId, author: UserId) -> Result<bool, PortError> {
        let mut state = self.state();
        let before = state.unsent.len();
        state
            .unsent
            .retain(|unsent| unsent.ticket != ticket || unsent.author != author);
        Ok(state.unsent.len() < before)
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut left = rows_max;
        let mut forgotten = 0;
        self.state().unsent.retain(|unsent| {
            let goes = unsent.updated_at < before && left > 0;
            left -= i64::from(goes);
            forgotten += u64::from(goes);
            !goes
        });
        Ok(forgotten)
    }
}

//! Resolved tickets close themselves after a silence.

use std::sync::Arc;

use kernel::{Actor, PortError, SystemActor};

use super::{Guard, Tickets};
use crate::error::TicketError;
use crate::machine::{ClosedBy, Standing};
use crate::ticket::TicketKey;
use events::TicketStatus;

/// The sweep that closes resolved tickets after `Settings::auto_close_after` without a public message: internal ones
/// must not move a time that the customer sees. Any number of nodes
/// may run it: each ticket's close is a commit on the version that was read, so that it happens once.
pub struct AutoClose {
    tickets: Arc<Tickets>,
}

/// How many tickets one round closes at the most.
const ROUND_MAX_TICKETS: i64 = 200;

impl AutoClose {
    /// The sweep over these tickets.
    #[must_use]
    pub fn new(tickets: Arc<Tickets>) -> Self {
        Self { tickets }
    }

    /// Closes up to 200 silent tickets; gives the number closed. Call again at once while it closes any.
    ///
    /// # Errors
    /// When a port fails; what was closed until then stays closed.
    pub async fn run_once(&self) -> Result<u64, TicketError> {
        let actor = Actor::System(SystemActor::AutoClose);
        let before = self.tickets.clock.now() - self.tickets.settings.auto_close_after;
        let mut closed = 0;
        let mut failed = None;
        for id in self.tickets.store.silent_since(before, ROUND_MAX_TICKETS).await? {
            let outcome = self
                .tickets
                .change(&actor, &TicketKey::Id(id), Guard::none(), |draft| {
                    // It may have been answered, reopened or closed since the sweep looked.
                    let ticket = draft.ticket();
                    let still_silent = matches!(ticket.standing, Standing::Resolved { at } if at <= before)
                        && ticket.public_face.last_message_at.is_none_or(|at| at <= before);
                    if still_silent {
                        draft.set_status(TicketStatus::Closed, ClosedBy::Silence, None)?;
                    }
                    Ok(still_silent)
                })
                .await;
            match outcome {
                Ok(written) => closed += u64::from(written.detail),
                Err(TicketError::NotFound | TicketError::Deleted | TicketError::Stale { .. }) => {}
                // One that cannot be closed must not keep the others open.
                Err(error @ TicketError::Port(PortError::Corrupt { .. } | PortError::Bug { .. })) => {
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) if closed == 0 => Err(error),
            Some(_) | None => Ok(closed),
        }
    }
}

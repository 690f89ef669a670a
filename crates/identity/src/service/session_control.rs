//! Ending a person's sessions from outside of them.

use std::sync::Arc;

use events::{Event, Fact, IdentityFact};
use kernel::{Actor, Clock, IdSource, UserId};

use crate::policy;
use crate::ports::{Revocation, SessionStore, WhichSessions};
use crate::service::{PrincipalCache, SessionError};

/// What [`SessionControl`] works with.
#[derive(Clone)]
pub struct SessionControlPorts {
    /// Keeps the sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// Ends people's sessions, for themselves and for administrators.
pub struct SessionControl {
    ports: SessionControlPorts,
}

impl SessionControl {
    /// The use case over these ports.
    #[must_use]
    pub fn new(ports: SessionControlPorts) -> Self {
        Self { ports }
    }

    /// Ends every session of a person: of the caller, or of anyone for an administrator. Keys of programs stay good.
    ///
    /// # Errors
    /// [`SessionError::NoAccount`] when the caller may not know of them.
    pub async fn end_all(&self, actor: &Actor, owner: UserId) -> Result<(), SessionError> {
        policy::manage_sessions(actor, owner).map_err(|_| SessionError::NoAccount)?;
        let now = self.ports.clock.now();
        let fact = IdentityFact::SessionsEnded {
            user: owner,
            session: None,
        };
        let revocation = Revocation {
            which: WhichSessions::AllOf(owner),
            at: now,
            events: vec![Event::new(
                self.ports.ids.as_ref(),
                now,
                actor,
                Fact::Identity(fact),
            )],
        };
        let outcome = self.ports.sessions.revoke(revocation).await;
        // Also after a failure, which may hide a success.
        self.ports.cache.invalidate_all();
        outcome?;
        Ok(())
    }
}

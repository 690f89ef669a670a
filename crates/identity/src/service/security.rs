//! What administrators set about the desk's security while it runs.

use std::sync::Arc;

use events::{Event, Fact, IdentityFact};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, IdSource, Patch, Version};

use super::{DECISIONS_MAX, PrincipalCache, SecurityError};
use crate::policy;
use crate::ports::{SecurityCommit, SecurityCommitError, SecurityStore};
use crate::two_factor::{SecuritySettings, TwoFactorRule};

/// What [`Security`] works with.
#[derive(Clone)]
pub struct SecurityPorts {
    /// Keeps the settings.
    pub store: Arc<dyn SecurityStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// A change of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateSecurity {
    /// Of whom a second factor is asked; of nobody when it is emptied.
    pub require_two_factor: Patch<TwoFactorRule>,
}

/// The use cases of the security settings.
pub struct Security {
    ports: SecurityPorts,
}

impl Security {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: SecurityPorts) -> Self {
        Self { ports }
    }

    /// The settings.
    ///
    /// # Errors
    /// [`SecurityError::Forbidden`] for all but administrators.
    pub async fn get(&self, actor: &Actor) -> Result<SecuritySettings, SecurityError> {
        policy::manage_security(actor)?;
        Ok(self.ports.store.security().await?)
    }

    /// Changes the settings. Whoever they apply to and who is signed in is held to them at once on this node, and
    /// within [`PrincipalCache::TTL_SECS`] on others: also the administrator who sets them.
    ///
    /// # Errors
    /// See [`SecurityError`].
    pub async fn update(
        &self,
        actor: &Actor,
        update: UpdateSecurity,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, SecuritySettings>,
    ) -> Result<SecuritySettings, SecurityError> {
        policy::manage_security(actor)?;
        for _ in 0..DECISIONS_MAX {
            let before = self.ports.store.security().await?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(SecurityError::Stale {
                    current: before.version,
                });
            }
            let mut after = before;
            match update.require_two_factor {
                Patch::Keep => {}
                Patch::Clear => after.require_two_factor = TwoFactorRule::default(),
                Patch::Set(rule) => after.require_two_factor = rule,
            }
            let mut events = Vec::new();
            let now = self.ports.clock.now();
            if after != before {
                after.version = before.version.next();
                let name = after.require_two_factor.as_str().to_owned();
                let fact = IdentityFact::SecuritySettingsChanged {
                    settings: vec![("requireTwoFactor".to_owned(), name)],
                };
                events.push(Event::new(
                    self.ports.ids.as_ref(),
                    now,
                    actor,
                    Fact::Identity(fact),
                ));
            }
            let receipt = receipt(&after);
            if events.is_empty() && receipt.is_none() {
                return Ok(after);
            }
            let commit = SecurityCommit {
                settings: after,
                expected: before.version,
                at: now,
                events,
                receipt,
            };
            let committed = self.ports.store.commit(commit).await;
            self.ports.cache.invalidate_all();
            match committed {
                Ok(()) => return Ok(after),
                Err(SecurityCommitError::Stale) => {}
                Err(SecurityCommitError::Repeated) => return Err(SecurityError::Repeated),
                Err(SecurityCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(SecurityError::Busy)
    }
}

//! Making, showing, applying and deleting macros.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, EventId, IdSource, Version, Violation};
use serde_json::Value;
use uuid::Uuid;

use super::{Guard, STALE_TRIES_MAX, met};
use crate::chain::Chain;
use crate::error::{AutomationError, Thing};
use crate::facts::{Happening, Surroundings, TicketView};
use crate::macros::{Macro, MacroContent, MacroHolder, MacroId, MacroReach, MacroRight};
use crate::plan::{Outcome, Step};
use crate::port::{CommitError, Directory, MacroCommit, MacroStore, MacroWrite, step_id};

/// The use cases of macros.
pub struct Macros {
    store: Arc<dyn MacroStore>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// What a macro comes to for a ticket. It is carried out in the name of who applies it, who may do no more than else.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The macro.
    pub one: Macro,
    /// This application of it.
    pub event: EventId,
    /// When.
    pub at: DateTime<Utc>,
    /// Its actions with their texts filled in.
    pub steps: Vec<Step>,
}

impl Applied {
    /// An id of one of its steps, the same whenever it is asked for.
    #[must_use]
    pub fn step_id(&self, index: usize) -> Uuid {
        step_id(self.one.id.0, self.event, index)
    }
}

impl Macros {
    /// The macros of this store.
    #[must_use]
    pub fn new(
        store: Arc<dyn MacroStore>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            directory,
            clock,
            ids,
        }
    }

    /// Makes a macro of a document; see [`MacroContent::read`].
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] where the caller may not write the macros of whoever is to have it;
    /// [`AutomationError::Invalid`] with all that is wrong; [`AutomationError::TooMany`].
    pub async fn create(
        &self,
        actor: &Actor,
        document: &Value,
        receipt: ReceiptFor<'_, Macro>,
    ) -> Result<Macro, AutomationError> {
        open(actor)?;
        let content = self.checked(actor, document).await?;
        let now = self.clock.now();
        let one = Macro {
            id: MacroId::new(self.ids.as_ref()),
            content,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        let commit = MacroCommit {
            receipt: receipt(&one),
            write: MacroWrite::Insert(Box::new(one.clone())),
        };
        self.store.commit(commit).await.map_err(refused)?;
        Ok(one)
    }

    /// The macros that the caller sees: their own, their teams', everyone's.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] for customers.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Macro>, AutomationError> {
        let reach = open(actor)?;
        Ok(self.store.list(&reach).await?)
    }

    /// One macro.
    ///
    /// # Errors
    /// [`AutomationError::NotFound`] for one that the caller does not see.
    pub async fn show(&self, actor: &Actor, id: MacroId) -> Result<Macro, AutomationError> {
        open(actor)?;
        let one = self.store.get(id).await?;
        let one = one.ok_or(AutomationError::NotFound(Thing::Macro))?;
        allow(actor, one.content.holder, MacroRight::Apply)?;
        Ok(one)
    }

    /// Changes a macro by a merge patch of its document. Who gives it to others must be allowed to write theirs, too.
    ///
    /// # Errors
    /// As for [`Macros::create`]; [`AutomationError::NotFound`], [`AutomationError::Stale`] for a failed precondition.
    pub async fn update(
        &self,
        actor: &Actor,
        id: MacroId,
        patch: &Value,
        guard: Guard<'_, Macro>,
    ) -> Result<Macro, AutomationError> {
        open(actor)?;
        MacroContent::check_members(patch)?;
        for _ in 0..STALE_TRIES_MAX {
            let present = self.show(actor, id).await?;
            allow(actor, present.content.holder, MacroRight::Write)?;
            met(guard.expected, present.version)?;
            let changed = Macro {
                content: self.checked(actor, &present.content.patched(patch)).await?,
                updated_at: self.clock.now(),
                version: present.version.next(),
                ..present
            };
            let commit = MacroCommit {
                receipt: (guard.receipt)(&changed),
                write: MacroWrite::Update {
                    one: Box::new(changed.clone()),
                    expected: present.version,
                },
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(changed),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// Deletes a macro.
    ///
    /// # Errors
    /// As for [`Macros::update`].
    pub async fn delete(
        &self,
        actor: &Actor,
        id: MacroId,
        guard: Guard<'_, ()>,
    ) -> Result<(), AutomationError> {
        for _ in 0..STALE_TRIES_MAX {
            let present = self.show(actor, id).await?;
            allow(actor, present.content.holder, MacroRight::Write)?;
            met(guard.expected, present.version)?;
            let commit = MacroCommit {
                receipt: (guard.receipt)(&()),
                write: MacroWrite::Delete {
                    id,
                    expected: present.version,
                },
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// What a macro comes to for a ticket that the caller may work on; carrying it out is for whoever asks, as the caller, all
    /// of it or nothing.
    ///
    /// # Errors
    /// As for [`Macros::show`]; [`AutomationError::Invalid`] at the action that cannot be done.
    pub async fn plan(
        &self,
        actor: &Actor,
        id: MacroId,
        view: &TicketView,
        surroundings: &(dyn Surroundings + Sync),
    ) -> Result<Applied, AutomationError> {
        let one = self.show(actor, id).await?;
        let event = EventId::new(self.ids.as_ref());
        let happening = Happening {
            id: event,
            kinds: Vec::new(),
            at: self.clock.now(),
            changes: Vec::new(),
            message: None,
            sla: None,
            user: None,
            chain: Chain::default(),
        };
        let steps = one.content.actions.plan(&happening, Some(view), surroundings);
        for step in &steps {
            if let Outcome::Impossible(why) = step.outcome {
                let place = format!("/actions/{}", step.index);
                return Err(Violation::new(place, why.as_str(), "cannot be done to this ticket").into());
            }
        }
        Ok(Applied {
            one,
            event,
            at: happening.at,
            steps,
        })
    }

    /// A document, where the caller may write what it says.
    async fn checked(&self, actor: &Actor, document: &Value) -> Result<MacroContent, AutomationError> {
        let content = MacroContent::read(document, actor.user_id())?;
        match allow(actor, content.holder, MacroRight::Write) {
            // The macros are hidden; that there is the team is known to all staff.
            Err(AutomationError::NotFound(_)) => return Err(not_written(content.holder)),
            other => other?,
        }
        let targets: Vec<_> = content.references().iter().map(|one| one.target).collect();
        content.check(&self.directory.world(&targets).await?)?;
        Ok(content)
    }
}

fn open(actor: &Actor) -> Result<MacroReach, AutomationError> {
    MacroReach::of(actor).ok_or(AutomationError::Forbidden("use macros; they are for staff"))
}

fn allow(actor: &Actor, holder: MacroHolder, needed: MacroRight) -> Result<(), AutomationError> {
    match MacroRight::of(actor, holder) {
        right if right >= needed => Ok(()),
        MacroRight::Closed => open(actor).map(drop),
        MacroRight::Hidden => Err(AutomationError::NotFound(Thing::Macro)),
        MacroRight::Apply | MacroRight::Write => Err(not_written(holder)),
    }
}

fn not_written(holder: MacroHolder) -> AutomationError {
    AutomationError::Forbidden(match holder {
        MacroHolder::Person(_) => "write the macros of someone else",
        MacroHolder::Team(_) => "write the macros of this team",
        MacroHolder::Desk => "write the macros that all staff share",
    })
}

fn refused(error: CommitError) -> AutomationError {
    AutomationError::refused(error, Thing::Macro)
}

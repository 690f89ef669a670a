//! Changing a ticket's fields, deleting and restoring it.

use std::sync::Arc;

use events::{TicketPriority, TicketStatus};
use kernel::{Actor, Patch, Violation};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Existence, Guard, Tickets, dangling};
use crate::draft::Draft;
use crate::error::TicketError;
use crate::field_definition::FieldSet;
use crate::machine::ClosedBy;
use crate::policy::Operation;
use crate::port::Reference;
use crate::ruling::Action;
use crate::service::view::Written;
use crate::ticket::{Audience, TicketKey};
use crate::value::{Description, Subject, Tags, within_document_bound};

/// A merge patch of a ticket's writable fields; `None` keeps a field. None of them can be emptied by null, but
/// for single custom fields, single members of the metadata, and the SLA policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edit {
    /// Another subject.
    pub subject: Option<Subject>,
    /// Another description.
    pub description: Option<Description>,
    /// Another priority.
    pub priority: Option<TicketPriority>,
    /// Another status.
    pub status: Option<TicketStatus>,
    /// All tags.
    pub tags: Option<Tags>,
    /// Custom fields to set, or to take away by null.
    pub custom_fields: Option<Map<String, Value>>,
    /// Metadata to set, or to take away by null (administrators).
    pub metadata: Option<Map<String, Value>>,
    /// The SLA policy to be under, or the one that fits (leads of its team and administrators).
    pub sla_policy: Patch<Uuid>,
}

impl Tickets {
    /// Changes fields of a ticket, all of them or none.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] when the caller may not change one of the fields, [`TicketError::Transition`] for
    /// a status that cannot follow, [`TicketError::Stale`] for a failed precondition.
    pub async fn edit(
        &self,
        actor: &Actor,
        key: &TicketKey,
        edit: &Edit,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let fields = match edit.custom_fields {
            Some(_) => self.field_set().await?,
            None => Arc::default(),
        };
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let waits = match edit.status {
                Some(to) if to != ticket.status() => self.waits(actor, &ticket, relation, to).await,
                Some(_) | None => Ok(()),
            };
            Ok((ticket, relation, waits))
        };
        let has_policy = match edit.sla_policy {
            Patch::Set(policy) => self.levels.has_policy(policy).await?,
            Patch::Keep | Patch::Clear => true,
        };
        self.settle(actor, guard, load, |draft, waits| {
            if edit.sla_policy != Patch::Keep {
                draft.permit(Operation::SetSlaPolicy, "choose the SLA policy of this ticket")?;
                if !has_policy {
                    return Err(dangling(Reference::SlaPolicy).into());
                }
            }
            apply(draft, edit, &fields, waits)
        })
        .await
    }

    /// Adds tags, whatever others add or take away at the same time. Nothing changes when it has them.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for customers, [`TicketError::Invalid`] when it would have too many.
    pub async fn add_tags(
        &self,
        actor: &Actor,
        key: &TicketKey,
        tags: &Tags,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::EditTags)?;
            let tags = draft.ticket().tags.with("/tags", tags)?;
            draft.set_tags(tags);
            Ok(())
        })
        .await
    }

    /// Takes tags away, whatever others add or take away at the same time. Nothing changes when it has none of them.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for customers.
    pub async fn remove_tags(
        &self,
        actor: &Actor,
        key: &TicketKey,
        tags: &Tags,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::EditTags)?;
            let tags = draft.ticket().tags.without(tags);
            draft.set_tags(tags);
            Ok(())
        })
        .await
    }

    /// Deletes a ticket, so that it can be restored.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] below the rank of a lead.
    pub async fn delete(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Delete)?;
            draft.delete();
            Ok(())
        })
        .await
    }

    /// Restores a deleted ticket: administrators always, a lead of its team within the window.
    ///
    /// # Errors
    /// [`TicketError::NotDeleted`] for a live ticket, [`TicketError::NotFound`] for all who may not know.
    pub async fn restore(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change_if(actor, key, guard, Existence::Any, |draft| {
            draft.allow(Action::Restore)?;
            draft.restore();
            Ok(())
        })
        .await
    }
}

pub(super) fn apply(
    draft: &mut Draft<'_>,
    edit: &Edit,
    fields: &FieldSet,
    waits: Result<(), TicketError>,
) -> Result<(), TicketError> {
    let Edit {
        subject,
        description,
        priority,
        status,
        tags,
        custom_fields,
        metadata,
        sla_policy,
    } = edit.clone();
    // Every right is checked before anything is decided: the order of the fields must not matter.
    let wishes = [
        (subject.is_some() || description.is_some(), Action::Edit),
        (priority.is_some(), Action::SetPriority),
        (tags.is_some(), Action::EditTags),
        (custom_fields.is_some(), Action::EditCustomFields),
        (metadata.is_some(), Action::EditMetadata),
    ];
    let wishes = wishes
        .into_iter()
        .filter_map(|(wished, action)| wished.then_some(action));
    for action in wishes.chain(status.map(Action::SetStatus)) {
        draft.require(action)?;
    }
    waits?;
    if let Some(target) = draft.ticket().merged_into {
        return Err(TicketError::Merged(target));
    }
    let metadata = metadata
        .map(|changes| merged(&draft.ticket().metadata, changes))
        .transpose()?;
    draft.edit(subject, description, metadata);
    if let Some(priority) = priority {
        draft.set_priority(priority);
    }
    if let Some(tags) = tags {
        draft.set_tags(tags);
    }
    if let Some(changes) = custom_fields {
        let audience = draft.relation().audience().unwrap_or(Audience::Customer);
        fields.check_changes(&changes, audience)?;
        let fields = draft.ticket().custom_fields.merged("/customFields", changes)?;
        draft.set_custom_fields(fields);
    }
    match sla_policy {
        Patch::Keep => {}
        Patch::Clear => draft.set_sla_policy(None),
        Patch::Set(policy) => draft.set_sla_policy(Some(policy)),
    }
    if let Some(status) = status.filter(|status| *status != draft.ticket().status()) {
        draft.set_status(status, ClosedBy::Person, None)?;
    }
    Ok(())
}

fn merged(
    present: &Map<String, Value>,
    changes: Map<String, Value>,
) -> Result<Map<String, Value>, Violation> {
    let mut result = present.clone();
    for (name, value) in changes {
        if value.is_null() {
            result.remove(&name);
        } else {
            result.insert(name, value);
        }
    }
    within_document_bound("/metadata", &result)?;
    Ok(result)
}

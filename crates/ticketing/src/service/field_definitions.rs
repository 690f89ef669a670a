//! Defining custom fields, and knowing what is defined.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, IdSource, Patch, PortError, Role, Version};

use super::field_error::FieldError;
use super::{Guard, STALE_TRIES_MAX};
use crate::field_definition::port::{FieldCommit, FieldCommitError, FieldStore, FieldWrite};
use crate::field_definition::{
    FieldDefinition, FieldHelp, FieldId, FieldLabel, FieldName, FieldSet, FieldValues, Options, Pattern,
};

/// How old what is known of the definitions may be. A change on another node is known here by then, one on this node at
/// once.
const KNOWN_FOR: Duration = Duration::seconds(3);

/// The use cases of custom fields' definitions, and what is known of them: tickets are checked without asking the store each
/// time.
pub struct FieldDefinitions {
    store: Arc<dyn FieldStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    known: Mutex<Option<(DateTime<Utc>, Arc<FieldSet>)>>,
}

/// A definition to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewField {
    /// The member's name in `customFields`.
    pub name: FieldName,
    /// What forms call it.
    pub label: FieldLabel,
    /// What forms say about it.
    pub description: Option<FieldHelp>,
    /// What it can hold.
    pub values: FieldValues,
    /// Whether a new ticket must have it.
    pub required: bool,
    /// Whether requesters may set it.
    pub user_editable: bool,
    /// Its place among the others.
    pub place: i16,
}

/// What to change of a definition; `None` keeps. Its name and type never change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldChange {
    /// Another label.
    pub label: Option<FieldLabel>,
    /// Another description, or none any more.
    pub description: Patch<FieldHelp>,
    /// Other options, all of them.
    pub options: Option<Options>,
    /// Another pattern, or none any more.
    pub pattern: Patch<Pattern>,
    /// Whether a new ticket must have it.
    pub required: Option<bool>,
    /// Whether requesters may set it.
    pub user_editable: Option<bool>,
    /// Another place.
    pub place: Option<i16>,
}

impl FieldDefinitions {
    /// The definitions of this store.
    #[must_use]
    pub fn new(store: Arc<dyn FieldStore>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            store,
            clock,
            ids,
            known: Mutex::new(None),
        }
    }

    /// All definitions, by their places. Everyone sees them: requesters fill them in.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn list(&self) -> Result<Vec<FieldDefinition>, FieldError> {
        Ok(self.store.fields().await?)
    }

    /// One definition.
    ///
    /// # Errors
    /// [`FieldError::NotFound`].
    pub async fn show(&self, id: FieldId) -> Result<FieldDefinition, FieldError> {
        let mut all = self.store.fields().await?.into_iter();
        all.find(|field| field.id == id).ok_or(FieldError::NotFound)
    }

    /// Defines a custom field. From the first on, tickets take no others.
    ///
    /// # Errors
    /// [`FieldError::Forbidden`] for all but administrators, [`FieldError::NameTaken`], [`FieldError::TooMany`].
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewField,
        receipt: ReceiptFor<'_, FieldDefinition>,
    ) -> Result<FieldDefinition, FieldError> {
        administrator(actor)?;
        let NewField {
            name,
            label,
            description,
            values,
            required,
            user_editable,
            place,
        } = new;
        let now = self.clock.now();
        let field = FieldDefinition {
            id: FieldId::new(self.ids.as_ref()),
            name,
            label,
            description,
            values,
            required,
            user_editable,
            place,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        let commit = FieldCommit {
            receipt: receipt(&field),
            write: FieldWrite::Insert(Box::new(field.clone())),
        };
        self.store.commit(commit).await?;
        self.forget();
        Ok(field)
    }

    /// Changes a definition. Values that tickets have already stay as they are.
    ///
    /// # Errors
    /// As for [`FieldDefinitions::create`]; [`FieldError::Stale`] for a failed precondition.
    pub async fn change(
        &self,
        actor: &Actor,
        id: FieldId,
        change: &FieldChange,
        guard: Guard<'_, FieldDefinition>,
    ) -> Result<FieldDefinition, FieldError> {
        for _ in 0..STALE_TRIES_MAX {
            let field = self.changeable(actor, id, guard.expected).await?;
            let changed = changed(&field, change.clone(), self.clock.now())?;
            let receipt = (guard.receipt)(&changed);
            if changed == field && receipt.is_none() {
                return Ok(changed);
            }
            let write = FieldWrite::Update {
                field: Box::new(changed.clone()),
                expected: field.version,
            };
            match self.store.commit(FieldCommit { write, receipt }).await {
                Ok(()) => {
                    self.forget();
                    return Ok(changed);
                }
                Err(FieldCommitError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FieldError::Stale { current: None })
    }

    /// Deletes a definition. Values that tickets have stay readable, and can only be taken away.
    ///
    /// # Errors
    /// As for [`FieldDefinitions::change`].
    pub async fn delete(&self, actor: &Actor, id: FieldId, guard: Guard<'_, ()>) -> Result<(), FieldError> {
        for _ in 0..STALE_TRIES_MAX {
            let field = self.changeable(actor, id, guard.expected).await?;
            let commit = FieldCommit {
                write: FieldWrite::Delete {
                    id,
                    expected: field.version,
                },
                receipt: (guard.receipt)(&()),
            };
            match self.store.commit(commit).await {
                Ok(()) => {
                    self.forget();
                    return Ok(());
                }
                Err(FieldCommitError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FieldError::Stale { current: None })
    }

    /// What tickets are checked by, at most three seconds old.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn known(&self) -> Result<Arc<FieldSet>, PortError> {
        let now = self.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, set)) = known
            && now - at < KNOWN_FOR
        {
            return Ok(set);
        }
        let set = Arc::new(FieldSet::new(self.store.fields().await?));
        let fresh = (now, Arc::clone(&set));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(set)
    }

    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn changeable(
        &self,
        actor: &Actor,
        id: FieldId,
        expected: Option<Version>,
    ) -> Result<FieldDefinition, FieldError> {
        administrator(actor)?;
        let field = self.show(id).await?;
        if expected.is_some_and(|expected| expected != field.version) {
            return Err(FieldError::Stale {
                current: Some(field.version),
            });
        }
        Ok(field)
    }
}

fn administrator(actor: &Actor) -> Result<(), FieldError> {
    match actor {
        Actor::System(_) => Ok(()),
        Actor::Person(person) if person.role == Role::Admin => Ok(()),
        Actor::Person(_) => Err(FieldError::Forbidden),
    }
}

/// The definition after the change; where nothing differs, it is as before.
fn changed(
    field: &FieldDefinition,
    change: FieldChange,
    now: DateTime<Utc>,
) -> Result<FieldDefinition, FieldError> {
    let FieldChange {
        label,
        description,
        options,
        pattern,
        required,
        user_editable,
        place,
    } = change;
    let mut changed = field.clone();
    let kind = field.values.kind();
    let options = options.or_else(|| field.values.options().cloned());
    let pattern = pattern.apply(field.values.pattern().cloned());
    changed.values = FieldValues::of(kind, options, pattern)?;
    changed.label = label.unwrap_or(changed.label);
    changed.description = description.apply(changed.description);
    changed.required = required.unwrap_or(changed.required);
    changed.user_editable = user_editable.unwrap_or(changed.user_editable);
    changed.place = place.unwrap_or(changed.place);
    if changed != *field {
        changed.updated_at = now;
        changed.version = field.version.next();
    }
    Ok(changed)
}

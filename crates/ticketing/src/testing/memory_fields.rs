//! Definitions of custom fields in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kernel::{PortError, Receipt, Version};

use super::memory::same_request;
use crate::field_definition::port::{FieldCommit, FieldCommitError, FieldStore, FieldWrite};
use crate::field_definition::{FIELDS_MAX, FieldDefinition, FieldId};

#[derive(Default)]
struct State {
    fields: Vec<FieldDefinition>,
    receipts: Vec<Receipt>,
}

/// Definitions of custom fields in memory.
#[derive(Default)]
pub struct MemoryFields(Mutex<State>);

impl MemoryFields {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn at(&mut self, id: FieldId, version: Version) -> Result<&mut FieldDefinition, FieldCommitError> {
        let mut fields = self.fields.iter_mut();
        let found = fields.find(|field| field.id == id && field.version == version);
        found.ok_or(FieldCommitError::Stale)
    }
}

#[async_trait]
impl FieldStore for MemoryFields {
    async fn fields(&self) -> Result<Vec<FieldDefinition>, PortError> {
        let mut fields = self.state().fields.clone();
        fields.sort_by(|a, b| (a.place, a.name.as_str()).cmp(&(b.place, b.name.as_str())));
        Ok(fields)
    }

    async fn commit(&self, commit: FieldCommit) -> Result<(), FieldCommitError> {
        let FieldCommit { write, receipt } = commit;
        let mut state = self.state();
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| same_request(stored, receipt))
        {
            return Err(FieldCommitError::Repeated);
        }
        match write {
            FieldWrite::Insert(field) => {
                if state.fields.iter().any(|stored| stored.name == field.name) {
                    return Err(FieldCommitError::NameTaken);
                }
                if state.fields.len() >= FIELDS_MAX {
                    return Err(FieldCommitError::TooMany);
                }
                state.fields.push(*field);
            }
            FieldWrite::Update { field, expected } => {
                let id = field.id;
                *state.at(id, expected)? = *field;
            }
            FieldWrite::Delete { id, expected } => {
                state.at(id, expected)?;
                state.fields.retain(|stored| stored.id != id);
            }
        }
        state.receipts.extend(receipt);
        Ok(())
    }
}

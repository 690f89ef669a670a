//! The port that keeps the record of acts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PageLimit, PortError, UserId};
use uuid::Uuid;

use crate::audit::{AuditEntry, AuditNumber};

/// Keeps the record of acts. Nothing in it is ever changed or taken out.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Puts an entry at the end. Must keep one for each event: an entry of an event that has one already is a
    /// repetition, which succeeds and changes nothing. Must number entries from 1 on without gaps, whoever else appends
    /// at the same time.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is kept then.
    async fn append(&self, entry: AuditEntry) -> Result<(), PortError>;

    /// A page of entries, the latest first, of those before `before` where that is given. Must tell of each whether the
    /// [person](AuditEntry::person) behind it has been anonymised, as the record itself says
    /// ([`ANONYMIZED`](crate::audit::ANONYMIZED)).
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn list(
        &self,
        filter: AuditFilter,
        before: Option<AuditNumber>,
        limit: PageLimit,
    ) -> Result<AuditPage, PortError>;
}

/// Which entries; all of what is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Acts of this person.
    pub actor: Option<UserId>,
    /// Acts on the account or team of this id.
    pub target: Option<Uuid>,
    /// Acts of this kind.
    pub action: Option<ActionFilter>,
    /// Acts at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Acts before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Which kind of act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionFilter {
    /// This one: `user.updated`.
    Exactly(String),
    /// Those whose name begins so: `user.`
    Beginning(String),
}

impl ActionFilter {
    /// A filter as it is written: what ends with a dot names all that begin so.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.ends_with('.') {
            ActionFilter::Beginning(text.to_owned())
        } else {
            ActionFilter::Exactly(text.to_owned())
        }
    }

    /// Whether it lets `action` through.
    #[must_use]
    pub fn admits(&self, action: &str) -> bool {
        match self {
            ActionFilter::Exactly(name) => action == name,
            ActionFilter::Beginning(start) => action.starts_with(start),
        }
    }
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place.
    pub number: AuditNumber,
    /// The entry.
    pub entry: AuditEntry,
    /// Whether the person behind it has been anonymised since.
    pub anonymized: bool,
}

/// A page of the record.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The entries, the latest first.
    pub items: Vec<Recorded>,
    /// What to ask for as `before` for the next page; `None` on the last one.
    pub next: Option<AuditNumber>,
}

impl AuditPage {
    /// Makes a page of up to `limit` + 1 entries as a store reads them; the one too many only says that more follows.
    #[must_use]
    pub fn from_rows(mut rows: Vec<Recorded>, limit: PageLimit) -> Self {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let next = if more {
            rows.last().map(|row| row.number)
        } else {
            None
        };
        Self { items: rows, next }
    }
}

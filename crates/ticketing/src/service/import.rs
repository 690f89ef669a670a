//! Bringing tickets in from elsewhere, so that it can be repeated: a row is known by its source and its id there.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Event, Fact, TicketChannel, TicketFact, TicketPriority, TicketStatus};
use kernel::{Actor, Clock, IdSource, PortError, SystemActor, TicketId, UserId};
use serde_json::{Map, Value, json};

use crate::machine::{ClosedBy, Standing};
use crate::ticket::{Activity, ActivityId, Face, Ticket, TicketNumber, action};
use crate::value::{CustomFields, Description, Subject, Tags};

/// A row that satisfies every rule of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRow {
    /// Its id where it comes from, 1 to 200 characters.
    pub external_id: String,
    /// What it is about.
    pub subject: Subject,
    /// What the requester wrote.
    pub description: Description,
    /// Who asked.
    pub requester: UserId,
    /// How much it presses.
    pub priority: TicketPriority,
    /// Where it stands.
    pub status: TicketStatus,
    /// How it came in.
    pub channel: TicketChannel,
    /// Its tags.
    pub tags: Tags,
    /// Its custom fields.
    pub custom_fields: CustomFields,
    /// When it was made; `None` for the time of the import.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was resolved or closed, for one that is; `None` for the time of its making.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A ticket that comes from elsewhere, with its traces.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedTicket {
    /// Its id where it comes from.
    pub external_id: String,
    /// The ticket.
    pub ticket: Ticket,
    /// The one entry of its history.
    pub activity: Activity,
    /// What other domains are told.
    pub event: Event,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is a ticket now.
    New,
    /// It was imported before, or by someone else just now.
    AlreadyThere,
}

/// Keeps what is imported.
#[async_trait]
pub trait ImportStore: Send + Sync {
    /// Which of these ids of a source were imported before.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError>;

    /// So many fresh ticket numbers.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn numbers(&self, count: i64) -> Result<Vec<TicketNumber>, PortError>;

    /// Stores tickets whole, all of them or none, but for those whose id is known by now; gives the ids stored.
    ///
    /// # Errors
    /// When the store cannot be reached, or refuses one of them.
    async fn store(&self, source: &str, tickets: Vec<ImportedTicket>) -> Result<HashSet<String>, PortError>;
}

/// The import of one source.
pub struct Import {
    store: Arc<dyn ImportStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Import {
    /// The most rows that one call takes.
    pub const BATCH_MAX_ROWS: usize = 1_000;

    /// An import over these ports.
    #[must_use]
    pub fn new(store: Arc<dyn ImportStore>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { store, clock, ids }
    }

    /// Imports a batch, all of it or nothing; the answer has one entry for each row, in order. Of rows with the same
    /// id the first counts.
    ///
    /// # Errors
    /// When the store fails; nothing of the batch is stored then, and it may be sent again.
    pub async fn import(&self, source: &str, rows: Vec<ImportRow>) -> Result<Vec<Imported>, PortError> {
        let external_ids: Vec<String> = rows.iter().map(|row| row.external_id.clone()).collect();
        let mut known = self.store.known(source, &external_ids).await?;
        let mut first_of_its_id = Vec::with_capacity(rows.len());
        for id in &external_ids {
            first_of_its_id.push(known.insert(id.clone()));
        }
        let fresh: Vec<ImportRow> = rows
            .into_iter()
            .zip(&first_of_its_id)
            .filter(|(_, first)| **first)
            .map(|(row, _)| row)
            .collect();
        if fresh.is_empty() {
            return Ok(vec![Imported::AlreadyThere; external_ids.len()]);
        }
        let count = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
        let numbers = self.store.numbers(count).await?;
        let tickets = fresh
            .into_iter()
            .zip(numbers)
            .map(|(row, number)| self.ticket(source, row, number))
            .collect();
        let stored = self.store.store(source, tickets).await?;
        Ok(external_ids
            .iter()
            .zip(first_of_its_id)
            .map(|(id, first)| {
                if first && stored.contains(id) {
                    Imported::New
                } else {
                    Imported::AlreadyThere
                }
            })
            .collect())
    }

    fn ticket(&self, source: &str, row: ImportRow, number: TicketNumber) -> ImportedTicket {
        let actor = Actor::System(SystemActor::Import);
        let now = self.clock.now();
        let ids = self.ids.as_ref();
        let ImportRow {
            external_id,
            subject,
            description,
            requester,
            priority,
            status,
            channel,
            tags,
            custom_fields,
            created_at,
            ended_at,
        } = row;
        let created_at = created_at.unwrap_or(now);
        let ended_at = ended_at.unwrap_or(created_at).max(created_at);
        let standing = match status {
            TicketStatus::Open => Standing::Open,
            TicketStatus::Pending => Standing::Pending,
            TicketStatus::Resolved => Standing::Resolved { at: ended_at },
            TicketStatus::Closed => Standing::Closed {
                resolved_at: ended_at,
                at: ended_at,
                by: ClosedBy::Person,
            },
        };
        let mut metadata = Map::new();
        metadata.insert(
            "import".to_owned(),
            json!({ "source": source, "externalId": external_id }),
        );
        let mut face = Face::new(created_at);
        face.updated_at = standing.resolved_at().unwrap_or(created_at);
        let ticket = Ticket {
            id: TicketId::new(ids),
            number,
            subject,
            description,
            requester,
            assignee: None,
            team: None,
            priority,
            standing,
            channel,
            sla_policy: None,
            first_response_at: None,
            sla_due_at: None,
            sla_breached: false,
            tags,
            custom_fields,
            metadata,
            created_at,
            deleted_at: None,
            staff_face: face,
            public_face: face,
        };
        let activity = Activity {
            id: ActivityId::new(ids),
            ticket: ticket.id,
            actor: None,
            action: action::IMPORTED.to_owned(),
            old_value: None,
            new_value: Some(json!({ "subject": ticket.subject.as_str(), "status": status })),
            metadata: json!({ "system": SystemActor::Import.as_str(), "source": source, "externalId": Value::from(external_id.as_str()) }),
            created_at: now,
        };
        let fact = Fact::Ticket {
            ticket: ticket.summary(),
            what: TicketFact::Created {},
        };
        let event = Event::new(ids, now, &actor, fact);
        ImportedTicket {
            external_id,
            ticket,
            activity,
            event,
        }
    }
}

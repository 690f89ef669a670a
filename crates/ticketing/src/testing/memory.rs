//! The ports in memory. They pass the same [`contract`](super::contract) suite as the database adapter.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Event, TicketStatus};
use kernel::{MessageId, Page, PageLimit, PortError, Position, Receipt, TeamId, TicketId, UserId};

mod attachments;

pub use attachments::MemoryBlobs;

use crate::attachment::{Attachment, AttachmentId};
use crate::port::{
    AssigneeFacts, CommitError, Directory, Markup, PersonCard, TeamCard, TicketCommit, TicketStore,
    TicketWrite,
};
use crate::query::{Count, Direction, Scope, SortKey, TicketQuery};
use crate::service::{ImportStore, ImportedTicket};
use crate::ticket::{Activity, Audience, Message, Note, Ticket, TicketKey, TicketNumber, Visibility, action};

#[derive(Default)]
struct State {
    sequence: i64,
    tickets: HashMap<TicketId, Ticket>,
    messages: Vec<Message>,
    attachments: Vec<Attachment>,
    notes: Vec<Note>,
    activities: Vec<Activity>,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
    imports: HashSet<(String, String)>,
}

/// Tickets in memory.
#[derive(Default)]
pub struct MemoryTickets(Mutex<State>);

impl MemoryTickets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every event that was committed, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// A ticket's whole history.
    pub fn history(&self, ticket: TicketId) -> Vec<Activity> {
        self.state()
            .activities
            .iter()
            .filter(|activity| activity.ticket == ticket)
            .cloned()
            .collect()
    }

    /// A ticket as stored.
    pub fn stored(&self, ticket: TicketId) -> Option<Ticket> {
        self.state().tickets.get(&ticket).cloned()
    }
}

fn same_request(a: &Receipt, b: &Receipt) -> bool {
    match (a, b) {
        (Receipt::Event(a), Receipt::Event(b)) => a == b,
        (Receipt::Request(a), Receipt::Request(b)) => {
            (a.key.principal, &a.key.key) == (b.key.principal, &b.key.key)
        }
        (Receipt::Event(_), Receipt::Request(_)) | (Receipt::Request(_), Receipt::Event(_)) => false,
    }
}

fn page<T: Clone>(
    rows: Vec<T>,
    position: impl Fn(&T) -> Position,
    direction: Direction,
    after: Option<Position>,
    limit: PageLimit,
) -> Page<T> {
    let key = |row: &T| {
        let at = position(row);
        (at.at, at.id)
    };
    let mut rows = rows;
    rows.sort_by_key(|row| key(row));
    if direction == Direction::NewestFirst {
        rows.reverse();
    }
    let rest: Vec<T> = rows
        .into_iter()
        .filter(|row| match (after, direction) {
            (None, _) => true,
            (Some(after), Direction::OldestFirst) => key(row) > (after.at, after.id),
            (Some(after), Direction::NewestFirst) => key(row) < (after.at, after.id),
        })
        .take(limit.rows() + 1)
        .collect();
    Page::from_rows(rest, limit, position)
}

impl State {
    fn selected(&self, scope: &Scope, query: &TicketQuery) -> Vec<Ticket> {
        let audience = scope.audience();
        self.tickets
            .values()
            .filter(|ticket| query.include_deleted || ticket.deleted_at.is_none())
            .filter(|ticket| scope.contains(ticket) && query.filter.matches(ticket, audience))
            .cloned()
            .collect()
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    async fn next_number(&self) -> Result<TicketNumber, PortError> {
        let mut state = self.state();
        state.sequence += 1;
        Ok(TicketNumber::of(state.sequence))
    }

    async fn find(&self, key: &TicketKey) -> Result<Option<Ticket>, PortError> {
        let state = self.state();
        Ok(match key {
            TicketKey::Id(id) => state.tickets.get(id).cloned(),
            TicketKey::Number(number) => state
                .tickets
                .values()
                .find(|ticket| ticket.number == *number)
                .cloned(),
        })
    }

    async fn list(&self, scope: &Scope, query: &TicketQuery) -> Result<Page<Ticket>, PortError> {
        let audience = scope.audience();
        let rows = self.state().selected(scope, query);
        let position = |ticket: &Ticket| Position {
            at: match query.sort.key {
                SortKey::CreatedAt => ticket.created_at,
                SortKey::UpdatedAt => ticket.face(audience).updated_at,
            },
            id: ticket.id.0,
        };
        Ok(page(
            rows,
            position,
            query.sort.direction,
            query.after,
            query.limit,
        ))
    }

    async fn count(&self, scope: &Scope, query: &TicketQuery) -> Result<Count, PortError> {
        let count = self.state().selected(scope, query).len();
        Ok(Count::Exact(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    async fn commit(&self, commit: TicketCommit) -> Result<(), CommitError> {
        let TicketCommit {
            ticket,
            messages,
            edited_messages,
            removed_attachments,
            notes,
            activities,
            events,
            receipt,
        } = commit;
        let mut state = self.state();
        if !messages.iter().all(|message| state.can_hang_on(message)) {
            return Err(CommitError::Stale);
        }
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| same_request(stored, receipt))
        {
            return Err(CommitError::Repeated);
        }
        match ticket {
            TicketWrite::Insert(ticket) => {
                if state.tickets.values().any(|other| other.number == ticket.number) {
                    return Err(CommitError::NumberTaken);
                }
                state.tickets.insert(ticket.id, *ticket);
            }
            TicketWrite::Update { ticket, expected } => {
                let current = state.tickets.get(&ticket.id).map(Ticket::version);
                if current != Some(expected) {
                    return Err(CommitError::Stale);
                }
                state.tickets.insert(ticket.id, *ticket);
            }
            TicketWrite::Unchanged => {}
        }
        for edited in edited_messages {
            if let Some(stored) = state.messages.iter_mut().find(|message| message.id == edited.id) {
                *stored = edited;
            }
        }
        for message in &messages {
            state.hang_on(message);
        }
        state
            .attachments
            .retain(|stored| !removed_attachments.contains(&stored.id));
        state.messages.extend(messages);
        state.notes.extend(notes);
        state.activities.extend(activities);
        state.events.extend(events);
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn messages(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Message>, PortError> {
        let state = self.state();
        let shown = |message: &&Message| {
            message.ticket == ticket
                && (audience == Audience::Staff || message.visibility == Visibility::Public)
        };
        let rows = state.messages.iter().filter(shown).cloned().collect();
        Ok(page(
            rows,
            Message::position,
            Direction::OldestFirst,
            after,
            limit,
        ))
    }

    async fn message(&self, ticket: TicketId, message: MessageId) -> Result<Option<Message>, PortError> {
        let state = self.state();
        Ok(state
            .messages
            .iter()
            .find(|stored| stored.ticket == ticket && stored.id == message)
            .cloned())
    }

    async fn uploads(&self, uploader: UserId, ids: &[AttachmentId]) -> Result<Vec<Attachment>, PortError> {
        Ok(self.state().uploads(uploader, ids))
    }

    async fn notes(
        &self,
        ticket: TicketId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Note>, PortError> {
        let state = self.state();
        let rows = state
            .notes
            .iter()
            .filter(|note| note.ticket == ticket)
            .cloned()
            .collect();
        Ok(page(rows, Note::position, Direction::OldestFirst, after, limit))
    }

    async fn activities(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Activity>, PortError> {
        let state = self.state();
        let shown = |activity: &&Activity| {
            activity.ticket == ticket
                && (audience == Audience::Staff || action::PUBLIC.contains(&activity.action.as_str()))
        };
        let rows = state.activities.iter().filter(shown).cloned().collect();
        Ok(page(
            rows,
            Activity::position,
            Direction::OldestFirst,
            after,
            limit,
        ))
    }

    async fn silent_since(&self, before: DateTime<Utc>, rows_max: i64) -> Result<Vec<TicketId>, PortError> {
        let state = self.state();
        let mut silent: Vec<_> = state
            .tickets
            .values()
            .filter(|ticket| ticket.status() == TicketStatus::Resolved && ticket.deleted_at.is_none())
            .filter(|ticket| ticket.standing.resolved_at().is_some_and(|at| at <= before))
            .filter(|ticket| ticket.public_face.last_message_at.is_none_or(|at| at <= before))
            .collect();
        silent.sort_by_key(|ticket| ticket.standing.resolved_at());
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        Ok(silent
            .into_iter()
            .take(rows_max)
            .map(|ticket| ticket.id)
            .collect())
    }
}

#[async_trait]
impl ImportStore for MemoryTickets {
    async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError> {
        let state = self.state();
        let known = |id: &&String| state.imports.contains(&(source.to_owned(), (*id).clone()));
        Ok(external_ids.iter().filter(known).cloned().collect())
    }

    async fn numbers(&self, count: i64) -> Result<Vec<TicketNumber>, PortError> {
        let mut state = self.state();
        let first = state.sequence + 1;
        state.sequence += count;
        Ok((first..=state.sequence).map(TicketNumber::of).collect())
    }

    async fn store(&self, source: &str, tickets: Vec<ImportedTicket>) -> Result<HashSet<String>, PortError> {
        let mut state = self.state();
        let mut stored = HashSet::new();
        for ImportedTicket {
            external_id,
            ticket,
            activity,
            event,
        } in tickets
        {
            if state.imports.insert((source.to_owned(), external_id.clone())) {
                state.tickets.insert(ticket.id, ticket);
                state.activities.push(activity);
                state.events.push(event);
                stored.insert(external_id);
            }
        }
        Ok(stored)
    }
}

/// People and teams in memory.
#[derive(Default)]
pub struct MemoryDirectory {
    /// Who can be given work.
    pub assignees: HashMap<UserId, AssigneeFacts>,
    /// Who can ask.
    pub requesters: HashSet<UserId>,
    /// Which teams there are, by name.
    pub teams: HashMap<TeamId, String>,
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn assignee(&self, user: UserId) -> Result<Option<AssigneeFacts>, PortError> {
        Ok(self.assignees.get(&user).cloned())
    }

    async fn is_requester(&self, user: UserId) -> Result<bool, PortError> {
        Ok(self.requesters.contains(&user))
    }

    async fn team_exists(&self, team: TeamId) -> Result<bool, PortError> {
        Ok(self.teams.contains_key(&team))
    }

    async fn people(&self, users: &[UserId]) -> Result<Vec<PersonCard>, PortError> {
        let known = users.iter().filter(|user| self.requesters.contains(user));
        let card = |user: &UserId| PersonCard {
            id: *user,
            name: format!("Person {user}"),
            avatar_url: None,
            email: format!("{user}@example.org"),
        };
        Ok(known.map(card).collect())
    }

    async fn teams(&self, teams: &[TeamId]) -> Result<Vec<TeamCard>, PortError> {
        let card = |id: &TeamId| {
            self.teams.get(id).map(|name| TeamCard {
                id: *id,
                name: name.clone(),
            })
        };
        Ok(teams.iter().filter_map(card).collect())
    }
}

/// Markup that only escapes.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainMarkup;

impl Markup for PlainMarkup {
    fn to_html(&self, markdown: &str) -> String {
        format!(
            "<p>{}</p>",
            markdown
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        )
    }
}

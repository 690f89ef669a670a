//! The ports in memory. They pass the same [`contract`](super::contract) suite as the database adapter.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Event, TicketStatus};
use kernel::{
    EventReceipt, MessageId, Page, PageLimit, Person, PortError, Position, Receipt, TeamId, TicketId, UserId,
};
use serde_json::Value;
use uuid::Uuid;

mod attachments;
mod drafts;
mod jobs;
mod routing;

pub use attachments::MemoryBlobs;

use crate::attachment::{Attachment, AttachmentId};
use crate::joint::{
    Counted, JointCommit, JointError, LINKS_MAX, Later, Link, LinkKind, LinkWrite, LinkedTicket, Merge,
    MergeFacts, MergeWrite, Move, Tally,
};
use crate::port::{
    AssigneeFacts, CommitError, Directory, Markup, PersonCard, RaterFacts, TeamCard, TicketCommit,
    TicketStore, TicketWrite,
};
use crate::query::{Count, Direction, Scope, SortKey, TicketFilter, TicketQuery};
use crate::routing::Availability;
use crate::search::{
    Excerpt, Hit, Part, Run, SearchIndex, SearchOrder, SearchPosition, SearchQuery, SearchTerm, Wanted,
};
use crate::service::{ImportStore, ImportedTicket, Unsent};
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
    imports: HashMap<(String, String), TicketId>,
    links: Vec<Link>,
    merges: Vec<StoredMerge>,
    jobs: Vec<jobs::StoredJob>,
    unsent: Vec<Unsent>,
    routing: HashMap<TeamId, routing::Team>,
    availability: HashMap<UserId, (Availability, i64)>,
    staff: HashSet<(TeamId, UserId)>,
}

/// A merge with what it moved.
struct StoredMerge {
    merge: Merge,
    items: HashSet<Uuid>,
    is_present: bool,
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

pub(super) fn same_request(a: &Receipt, b: &Receipt) -> bool {
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

impl State {
    fn is_repeated(&self, receipt: Option<&Receipt>) -> bool {
        receipt.is_some_and(|receipt| self.receipts.iter().any(|stored| same_request(stored, receipt)))
    }

    fn refuse_repeated(&self, receipt: Option<&Receipt>) -> Result<(), CommitError> {
        if self.is_repeated(receipt) {
            Err(CommitError::Repeated)
        } else {
            Ok(())
        }
    }

    fn store(&mut self, commit: TicketCommit) -> Result<(), CommitError> {
        let TicketCommit {
            ticket,
            messages,
            edited_messages,
            removed_attachments,
            notes,
            activities,
            events,
            receipt,
            item,
            // The people are elsewhere: see `MemoryDirectory`.
            assigns: _,
            clocks: _,
        } = commit;
        if !messages.iter().all(|message| self.can_hang_on(message)) {
            return Err(CommitError::Stale);
        }
        self.refuse_repeated(receipt.as_ref())?;
        if item.as_ref().is_some_and(|item| self.has_result(item)) {
            return Err(CommitError::Repeated);
        }
        match ticket {
            TicketWrite::Insert(ticket) => {
                if self.tickets.values().any(|other| other.number == ticket.number) {
                    return Err(CommitError::NumberTaken);
                }
                self.tickets.insert(ticket.id, *ticket);
            }
            TicketWrite::Update { ticket, expected } => {
                let current = self.tickets.get(&ticket.id).map(Ticket::version);
                if current != Some(expected) {
                    return Err(CommitError::Stale);
                }
                self.tickets.insert(ticket.id, *ticket);
            }
            TicketWrite::Unchanged => {}
        }
        for edited in edited_messages {
            if let Some(stored) = self.messages.iter_mut().find(|message| message.id == edited.id) {
                *stored = edited;
            }
        }
        self.unsent.retain(|unsent| {
            let mut sent = messages.iter();
            !sent.any(|message| message.ticket == unsent.ticket && message.sender == unsent.author)
        });
        for message in &messages {
            self.hang_on(message);
        }
        self.attachments
            .retain(|stored| !removed_attachments.contains(&stored.id));
        self.messages.extend(messages);
        self.notes.extend(notes);
        self.activities.extend(activities);
        self.events.extend(events);
        self.receipts.extend(receipt);
        if let Some(item) = item {
            self.keep_result(item);
        }
        Ok(())
    }

    fn refuse_link(&self, link: &Link) -> Result<(), JointError> {
        if self.links.iter().any(|stored| stored.is_same(link)) {
            return Err(JointError::LinkExists);
        }
        for ticket in [link.from, link.to] {
            let of_it = self
                .links
                .iter()
                .filter(|stored| stored.from == ticket || stored.to == ticket);
            if of_it.count() >= LINKS_MAX {
                return Err(JointError::TooManyLinks);
            }
        }
        let of_its_kind = || self.links.iter().filter(|stored| stored.kind == link.kind);
        if link.kind == LinkKind::Parent && of_its_kind().any(|stored| stored.to == link.to) {
            return Err(JointError::SecondParent);
        }
        let mut reached = vec![link.to];
        let mut next = 0;
        while let Some(here) = reached.get(next).copied() {
            next += 1;
            let further = of_its_kind()
                .filter(|stored| stored.from == here)
                .map(|stored| stored.to);
            let news: Vec<_> = further.filter(|ticket| !reached.contains(ticket)).collect();
            reached.extend(news);
        }
        if link.kind != LinkKind::Relates && reached.contains(&link.from) {
            return Err(JointError::Cycle);
        }
        Ok(())
    }

    fn begin(&mut self, merge: Merge) {
        let mut items = HashSet::new();
        for message in self
            .messages
            .iter_mut()
            .filter(|message| message.ticket == merge.source)
        {
            message.ticket = merge.target;
            items.insert(message.id.0);
        }
        for note in self.notes.iter_mut().filter(|note| note.ticket == merge.source) {
            note.ticket = merge.target;
            items.insert(note.id.0);
        }
        self.merges.push(StoredMerge {
            merge,
            items,
            is_present: true,
        });
    }

    fn end(&mut self, merge: &Merge, later: Later) {
        let stored = self.merges.iter().find(|stored| stored.merge.id == merge.id);
        let items = stored.map(|stored| stored.items.clone()).unwrap_or_default();
        let goes = |state: &State, id: Uuid, at: DateTime<Utc>| {
            items.contains(&id) || (later == Later::Source && state.is_later(merge, id, at))
        };
        // One that was moved on since belongs to another ticket now.
        self.messages
            .retain(|message| message.id != merge.description_message || message.ticket != merge.target);
        let of_target = self
            .messages
            .iter()
            .filter(|message| message.ticket == merge.target);
        let messages: Vec<_> = of_target
            .filter(|message| goes(self, message.id.0, message.created_at))
            .map(|message| message.id)
            .collect();
        let of_target = self.notes.iter().filter(|note| note.ticket == merge.target);
        let notes: Vec<_> = of_target
            .filter(|note| goes(self, note.id.0, note.created_at))
            .map(|note| note.id)
            .collect();
        for message in self
            .messages
            .iter_mut()
            .filter(|message| messages.contains(&message.id))
        {
            message.ticket = merge.source;
        }
        for note in self.notes.iter_mut().filter(|note| notes.contains(&note.id)) {
            note.ticket = merge.source;
        }
        for stored in self
            .merges
            .iter_mut()
            .filter(|stored| stored.merge.id == merge.id)
        {
            stored.is_present = false;
        }
    }

    /// Whether something in a merge's target was written since, and came with no other merge.
    fn is_later(&self, merge: &Merge, item: Uuid, at: DateTime<Utc>) -> bool {
        let of_another = |stored: &StoredMerge| {
            stored.is_present
                && stored.merge.target == merge.target
                && (stored.items.contains(&item) || stored.merge.description_message.0 == item)
        };
        at > merge.at && !self.merges.iter().any(of_another)
    }

    fn tally<'a>(&self, ticket: TicketId, messages: impl Iterator<Item = &'a Message>) -> Tally {
        let ticket = self.tickets.get(&ticket);
        let asks = |user| ticket.is_some_and(|ticket| ticket.requester == user || ticket.cc.contains(&user));
        messages.fold(Tally::default(), |tally, message| {
            let one = Counted {
                messages: 1,
                last: Some(message.created_at),
            };
            let is_public = message.visibility == Visibility::Public;
            let answers = is_public && !asks(message.sender);
            tally.and(Tally {
                staff: one,
                public: if is_public { one } else { Counted::default() },
                first_answer: answers.then_some(message.created_at),
            })
        })
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

    async fn count_each(
        &self,
        scope: &Scope,
        filters: &[TicketFilter],
        rows_max: i64,
    ) -> Result<Vec<i64>, PortError> {
        let state = self.state();
        let count = |filter: &TicketFilter| {
            let query = TicketQuery {
                filter: filter.clone(),
                ..TicketQuery::default()
            };
            let count = state.selected(scope, &query).len();
            i64::try_from(count).unwrap_or(i64::MAX).min(rows_max)
        };
        Ok(filters.iter().map(count).collect())
    }

    async fn commit(&self, commit: TicketCommit) -> Result<(), CommitError> {
        self.state().store(commit)
    }

    async fn commit_together(&self, commit: JointCommit) -> Result<(), JointError> {
        let JointCommit {
            parts,
            moves,
            link,
            merge,
            receipt,
        } = commit;
        let mut state = self.state();
        state.refuse_repeated(receipt.as_ref())?;
        for part in &parts {
            if let TicketWrite::Update { ticket, expected } = &part.ticket
                && state.tickets.get(&ticket.id).map(Ticket::version) != Some(*expected)
            {
                return Err(CommitError::Stale.into());
            }
        }
        for Move { messages, from, .. } in &moves {
            let there = |id: &MessageId| {
                let mut all = state.messages.iter();
                all.any(|message| message.id == *id && message.ticket == *from)
            };
            if !messages.iter().all(there) {
                return Err(CommitError::Stale.into());
            }
        }
        match &link {
            Some(LinkWrite::Add(link)) => {
                state.refuse_link(link)?;
                state.links.push(link.clone());
            }
            Some(LinkWrite::Remove(link)) => state.links.retain(|stored| !stored.is_same(link)),
            None => {}
        }
        match merge {
            Some(MergeWrite::Begin(merge)) => state.begin(merge),
            Some(MergeWrite::End { merge, later, .. }) => state.end(&merge, later),
            None => {}
        }
        for part in parts {
            state.store(part)?;
        }
        for Move { messages, to, .. } in moves {
            for message in state
                .messages
                .iter_mut()
                .filter(|message| messages.contains(&message.id))
            {
                message.ticket = to;
            }
        }
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn links(&self, ticket: TicketId) -> Result<Vec<LinkedTicket>, PortError> {
        let state = self.state();
        let of_it = state
            .links
            .iter()
            .filter(|link| link.from == ticket || link.to == ticket);
        let linked = of_it.filter_map(|link| {
            let (_, other) = link.seen_from(ticket);
            Some(LinkedTicket {
                link: link.clone(),
                other: state.tickets.get(&other)?.clone(),
            })
        });
        Ok(linked.collect())
    }

    async fn merge_of(&self, source: TicketId) -> Result<Option<MergeFacts>, PortError> {
        let state = self.state();
        let mut present = state.merges.iter().filter(|stored| stored.is_present);
        let Some(StoredMerge { merge, items, .. }) = present.find(|stored| stored.merge.source == source)
        else {
            return Ok(None);
        };
        let tally = |wanted: &dyn Fn(&Message) -> bool| {
            let messages = state
                .messages
                .iter()
                .filter(|message| message.ticket == merge.target);
            let counted =
                messages.filter(|message| message.id != merge.description_message && wanted(message));
            state.tally(merge.target, counted)
        };
        let is_moved = |message: &Message| items.contains(&message.id.0);
        let is_later =
            |message: &Message| !is_moved(message) && state.is_later(merge, message.id.0, message.created_at);
        Ok(Some(MergeFacts {
            merge: merge.clone(),
            moved: tally(&is_moved),
            later: tally(&is_later),
            rest: tally(&|message| !is_moved(message) && !is_later(message)),
        }))
    }

    async fn tally(&self, ticket: TicketId, without: &[MessageId]) -> Result<Tally, PortError> {
        let state = self.state();
        let messages = state.messages.iter().filter(|message| message.ticket == ticket);
        Ok(state.tally(ticket, messages.filter(|message| !without.contains(&message.id))))
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

    async fn messages_among(
        &self,
        ticket: TicketId,
        messages: &[MessageId],
    ) -> Result<Vec<Message>, PortError> {
        let state = self.state();
        let wanted = state
            .messages
            .iter()
            .filter(|message| message.ticket == ticket && messages.contains(&message.id));
        let mut found: Vec<_> = wanted.cloned().collect();
        found.sort_by_key(|message| (message.created_at, message.id));
        Ok(found)
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

    async fn take_back(&self, receipt: &EventReceipt) -> Result<(), PortError> {
        let receipt = Receipt::Event(receipt.clone());
        self.state()
            .receipts
            .retain(|stored| !same_request(stored, &receipt));
        Ok(())
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

/// The words of a text, in lower case. The fake knows no other forms of a word.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

impl State {
    /// The texts of a ticket that an audience may read, with their parts.
    fn texts(&self, ticket: &Ticket, audience: Audience) -> Vec<(Part, Option<MessageId>, String)> {
        let mut texts = vec![
            (Part::Subject, None, ticket.subject.as_str().to_owned()),
            (Part::Description, None, ticket.description.as_str().to_owned()),
        ];
        for message in self.messages.iter().filter(|message| message.ticket == ticket.id) {
            let part = match message.visibility {
                Visibility::Public => Part::Message,
                Visibility::Internal => Part::Internal,
            };
            texts.push((part, Some(message.id), message.body.as_str().to_owned()));
        }
        for note in self.notes.iter().filter(|note| note.ticket == ticket.id) {
            texts.push((Part::Internal, None, note.body.as_str().to_owned()));
        }
        texts.retain(|(part, ..)| part.is_shown_to(audience));
        texts
    }

    fn found(&self, scope: &Scope, query: &SearchQuery) -> Vec<Hit> {
        let audience = scope.audience();
        let all = TicketQuery {
            filter: query.filter.clone(),
            ..TicketQuery::default()
        };
        let mut hits = Vec::new();
        for ticket in self.selected(scope, &all) {
            let texts = self.texts(&ticket, audience);
            let in_term = |term: &SearchTerm| {
                let looked_at = texts
                    .iter()
                    .filter(|(part, ..)| term.part.is_none_or(|named| named == *part));
                looked_at.filter(|(_, _, text)| fits(&term.wanted, text)).count()
            };
            let terms = &query.text.terms;
            if terms.iter().all(|term| (in_term(term) > 0) != term.excluded) {
                let score = terms
                    .iter()
                    .filter(|term| !term.excluded)
                    .map(in_term)
                    .sum::<usize>();
                let wanted = |text: &str| {
                    let mut asked = terms.iter().filter(|term| !term.excluded);
                    asked.any(|term| fits(&term.wanted, text))
                };
                let excerpts = texts.iter().filter(|(_, _, text)| wanted(text));
                let excerpts = excerpts.map(|(part, message, text)| Excerpt {
                    part: *part,
                    message: *message,
                    runs: vec![Run {
                        text: text.clone(),
                        is_match: true,
                    }],
                });
                hits.push(Hit {
                    score: i64::try_from(score).unwrap_or(i64::MAX),
                    excerpts: excerpts.collect(),
                    ticket,
                });
            }
        }
        hits
    }
}

fn fits(wanted: &Wanted, text: &str) -> bool {
    let have = words(text);
    match wanted {
        Wanted::Word(phrase) | Wanted::Phrase(phrase) => {
            let asked = words(phrase);
            have.windows(asked.len().max(1)).any(|window| window == asked)
        }
        Wanted::Prefix(beginning) => {
            let beginning = beginning.to_lowercase();
            have.iter().any(|word| word.starts_with(&beginning))
        }
    }
}

#[async_trait]
impl SearchIndex for MemoryTickets {
    async fn search(
        &self,
        scope: &Scope,
        query: &SearchQuery,
    ) -> Result<Page<Hit, SearchPosition>, PortError> {
        let mut hits = self.state().found(scope, query);
        let audience = scope.audience();
        let place = |hit: &Hit| match query.order {
            SearchOrder::Relevance => (hit.score, hit.ticket.id.0),
            SearchOrder::By(sort) => {
                let at = match sort.key {
                    SortKey::CreatedAt => hit.ticket.created_at,
                    SortKey::UpdatedAt => hit.ticket.face(audience).updated_at,
                };
                (at.timestamp_micros(), hit.ticket.id.0)
            }
        };
        let descending =
            !matches!(query.order, SearchOrder::By(sort) if sort.direction == Direction::OldestFirst);
        hits.sort_by_key(place);
        if descending {
            hits.reverse();
        }
        if let Some(after) = query.after {
            let after = match after {
                SearchPosition::Ranked { score, ticket } => (score, ticket.0),
                SearchPosition::Timed(Position { at, id }) => (at.timestamp_micros(), id),
            };
            hits.retain(|hit| (place(hit) < after) == descending && place(hit) != after);
        }
        hits.truncate(query.limit.rows() + 1);
        Ok(Page::from_rows(hits, query.limit, |hit| match query.order {
            SearchOrder::Relevance => SearchPosition::Ranked {
                score: hit.score,
                ticket: hit.ticket.id,
            },
            SearchOrder::By(sort) => SearchPosition::Timed(Position {
                at: match sort.key {
                    SortKey::CreatedAt => hit.ticket.created_at,
                    SortKey::UpdatedAt => hit.ticket.face(audience).updated_at,
                },
                id: hit.ticket.id.0,
            }),
        }))
    }

    async fn count_found(&self, scope: &Scope, query: &SearchQuery) -> Result<Count, PortError> {
        let count = self.state().found(scope, query).len();
        Ok(Count::Exact(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    async fn take_up(&self, _: i64) -> Result<u64, PortError> {
        Ok(0)
    }
}

#[async_trait]
impl ImportStore for MemoryTickets {
    async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError> {
        let state = self.state();
        let known = |id: &&String| state.imports.contains_key(&(source.to_owned(), (*id).clone()));
        Ok(external_ids.iter().filter(known).cloned().collect())
    }

    async fn origins(
        &self,
        source: &str,
        external_ids: &[String],
    ) -> Result<HashMap<String, Value>, PortError> {
        let state = self.state();
        let origin = |id: &String| {
            let ticket = state.imports.get(&(source.to_owned(), id.clone()))?;
            let metadata = &state.tickets.get(ticket)?.metadata;
            Some((id.clone(), metadata.get("import").cloned().unwrap_or_default()))
        };
        Ok(external_ids.iter().filter_map(origin).collect())
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
            messages,
            activity,
            event,
        } in tickets
        {
            if let Entry::Vacant(fresh) = state.imports.entry((source.to_owned(), external_id.clone())) {
                fresh.insert(ticket.id);
                state.messages.extend(messages);
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
    /// Who can rate without signing in.
    pub raters: HashMap<UserId, RaterFacts>,
    /// Who can ask.
    pub requesters: HashSet<UserId>,
    /// Which teams there are, by name.
    pub teams: HashMap<TeamId, String>,
    /// As whom people act.
    pub acting: HashMap<UserId, Person>,
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn assignees(&self, users: &[UserId]) -> Result<Vec<(UserId, AssigneeFacts)>, PortError> {
        let known = self.assignees.iter().filter(|(user, _)| users.contains(user));
        Ok(known.map(|(user, facts)| (*user, facts.clone())).collect())
    }

    async fn acting(&self, user: UserId) -> Result<Option<Person>, PortError> {
        Ok(self.acting.get(&user).cloned())
    }

    async fn rater(&self, user: UserId) -> Result<Option<RaterFacts>, PortError> {
        Ok(self.raters.get(&user).cloned())
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

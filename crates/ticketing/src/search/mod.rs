//! Full-text search: what can be asked, and the port that answers it.
//!
//! A [`SearchText`] is what a person typed, read once ([`SearchText::read`]): words, phrases, beginnings of words, each of
//! them perhaps excluded or asked of one part of the ticket, and tests on the ticket's fields. An index keeps two documents
//! of each ticket, one for each [`Audience`], so that nothing hidden has a part in what is found, in its order or in its
//! count.

mod reading;

use async_trait::async_trait;
use kernel::{MessageId, Page, PageLimit, PortError, Position, TicketId};

use crate::query::{Count, Scope, Sort, TicketFilter};
use crate::ticket::{Audience, Ticket};

pub use reading::{PREFIX_MIN_CHARS, SEARCH_TERMS_MAX, SEARCH_TEXT_MAX_CHARS};

/// The best are looked for among so many of the newest matches, so that a common word costs no more than a rare one.
pub const RANKED_MAX_TICKETS: i64 = 200;

/// What to look for in the texts of tickets: all of its terms must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchText {
    /// The terms; none for every ticket.
    pub terms: Vec<SearchTerm>,
}

/// One thing to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchTerm {
    /// What.
    pub wanted: Wanted,
    /// In which part of the ticket; anywhere when `None`.
    pub part: Option<Part>,
    /// Whether it must not be there.
    pub excluded: bool,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A word in any of its forms.
    Word(String),
    /// Exactly these words, one after the other.
    Phrase(String),
    /// A word that begins so.
    Prefix(String),
}

/// The parts of a ticket that hold text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The subject, which weighs most.
    Subject,
    /// The description.
    Description,
    /// Public messages.
    Message,
    /// Internal messages and notes; for staff.
    Internal,
}

impl Part {
    /// Every part, the weightiest first.
    pub const ALL: [Part; 4] = [Part::Subject, Part::Description, Part::Message, Part::Internal];

    /// The name, as searches and answers have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Subject => "subject",
            Part::Description => "description",
            Part::Message => "message",
            Part::Internal => "note",
        }
    }

    /// Whether an audience may look there.
    #[must_use]
    pub fn is_shown_to(self, audience: Audience) -> bool {
        match self {
            Part::Subject | Part::Description | Part::Message => true,
            Part::Internal => audience == Audience::Staff,
        }
    }
}

/// A search as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchQuery {
    /// What must be in the texts.
    pub text: SearchText,
    /// And what else must hold.
    pub filter: TicketFilter,
    /// In which order.
    pub order: SearchOrder,
    /// Where the page begins; `None` for the first.
    pub after: Option<SearchPosition>,
    /// How many.
    pub limit: PageLimit,
}

/// The order of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchOrder {
    /// The best first, among the [`RANKED_MAX_TICKETS`] matches that changed last; equals newest first.
    #[default]
    Relevance,
    /// As lists are sorted, through all matches.
    By(Sort),
}

/// A place among what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchPosition {
    /// By relevance.
    Ranked {
        /// The score of the last ticket.
        score: i64,
        /// The last ticket.
        ticket: TicketId,
    },
    /// By a time.
    Timed(Position),
}

/// A ticket that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The ticket.
    pub ticket: Ticket,
    /// How well it fits, in millionths; comparable within one search alone. 0 where the order is by time.
    pub score: i64,
    /// Where it fits: in the subject, and where that does not say it all, further on.
    pub excerpts: Vec<Excerpt>,
}

/// A piece of a ticket's text in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The part of the ticket.
    pub part: Part,
    /// Which message, where it is one.
    pub message: Option<MessageId>,
    /// The text in runs, as it was written: no markup of ours.
    pub runs: Vec<Run>,
}

/// A run of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The text.
    pub text: String,
    /// Whether this is what was looked for.
    pub is_match: bool,
}

/// Finds tickets by their texts.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// One page of the tickets in `scope` that fit. Must not find by, show of, or rank by a text that the scope's audience
    /// may not read; must not give a ticket outside of the scope, nor a deleted one.
    ///
    /// # Errors
    /// When the index cannot be reached, or a row is no ticket.
    async fn search(
        &self,
        scope: &Scope,
        query: &SearchQuery,
    ) -> Result<Page<Hit, SearchPosition>, PortError>;

    /// How many tickets in `scope` fit; exact up to [`COUNT_EXACT_MAX_ROWS`](crate::COUNT_EXACT_MAX_ROWS).
    ///
    /// # Errors
    /// When the index cannot be reached.
    async fn count_found(&self, scope: &Scope, query: &SearchQuery) -> Result<Count, PortError>;

    /// Takes up what changed since, of up to `tickets_max` tickets; gives the number of tickets. Any number of nodes may
    /// do so at once.
    ///
    /// # Errors
    /// When the index cannot be reached.
    async fn take_up(&self, tickets_max: i64) -> Result<u64, PortError>;
}

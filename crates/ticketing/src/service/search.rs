//! Finding tickets by their texts.

use std::sync::Arc;

use kernel::filter::Circumstances;
use kernel::{Actor, Page, PortError, Violations};

use super::Tickets;
use super::read::{admitted, is_out_of_reach, scope, seen_as};
use crate::error::TicketError;
use crate::query::{Count, Scope, TicketFilter};
use crate::search::{Excerpt, SearchIndex, SearchPosition, SearchQuery, SearchText};
use crate::service::view::TicketView;

/// How many tickets one round of [`Search::take_up`] takes up at the most.
const ROUND_MAX_TICKETS: i64 = 200;

/// The use cases of searching.
pub struct Search {
    index: Arc<dyn SearchIndex>,
    tickets: Arc<Tickets>,
}

/// A ticket that was found, as its caller may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The ticket.
    pub view: TicketView,
    /// Where what was looked for stands in it.
    pub excerpts: Vec<Excerpt>,
}

impl Search {
    /// Searching these tickets by this index.
    #[must_use]
    pub fn new(index: Arc<dyn SearchIndex>, tickets: Arc<Tickets>) -> Self {
        Self { index, tickets }
    }

    /// Reads what someone typed, and narrows a filter by the fields that it names.
    ///
    /// # Errors
    /// All that is wrong with it; the pointers are empty, for the text is one value.
    pub fn read(
        &self,
        actor: &Actor,
        text: &str,
        filter: TicketFilter,
    ) -> Result<(SearchText, TicketFilter), Violations> {
        let scope = scope(actor, &filter);
        let (text, conditions) = SearchText::read(text, scope.audience())?;
        let circumstances = Circumstances {
            now: self.tickets.clock.now(),
            me: actor.user_id().map(|id| id.0),
        };
        let narrowed = conditions.into_iter().fold(filter, |filter, condition| {
            filter.and(condition.settled(&circumstances), &scope)
        });
        Ok((text, narrowed))
    }

    /// One page of the tickets that the caller may see and that fit. What the caller may not read has no part in it.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for conditions about what the caller is not shown.
    pub async fn search(
        &self,
        actor: &Actor,
        query: &SearchQuery,
    ) -> Result<Page<Found, SearchPosition>, TicketError> {
        let Some(scope) = reached(actor, query)? else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let now = self.tickets.clock.now();
        let page = self.index.search(&scope, query).await?;
        Ok(page.map(|hit| Found {
            view: seen_as(&scope, actor, hit.ticket, now, &self.tickets.settings),
            excerpts: hit.excerpts,
        }))
    }

    /// How many tickets [`Search::search`] would go through.
    ///
    /// # Errors
    /// As for [`Search::search`].
    pub async fn count(&self, actor: &Actor, query: &SearchQuery) -> Result<Count, TicketError> {
        match reached(actor, query)? {
            Some(scope) => Ok(self.index.count_found(&scope, query).await?),
            None => Ok(Count::Exact(0)),
        }
    }

    /// Lets searches find what was written since, of up to 200 tickets; gives their number. Call again at once while it
    /// takes up any.
    ///
    /// # Errors
    /// When the index cannot be reached.
    pub async fn take_up(&self) -> Result<u64, PortError> {
        self.index.take_up(ROUND_MAX_TICKETS).await
    }
}

/// The scope of a search that the caller may make; `None` where nothing can be found.
fn reached(actor: &Actor, query: &SearchQuery) -> Result<Option<Scope>, TicketError> {
    let scope = admitted(actor, &query.filter)?;
    Ok((!is_out_of_reach(&scope, &query.filter)).then_some(scope))
}

//! Rating a resolution: by the requester who is signed in, and by the link of a mail.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::{Actor, Person, Role};

use super::{Guard, STALE_TRIES_MAX, Tickets};
use crate::draft::{Draft, RatingWay};
use crate::error::TicketError;
use crate::policy::Relation;
use crate::ruling::Action;
use crate::satisfaction::{Rating, Satisfaction};
use crate::service::view::Written;
use crate::survey::{RatingClaim, RatingLinks};
use crate::ticket::{Ticket, TicketKey};

impl Tickets {
    /// Keeps what the requester says of a ticket's resolution, or changes it. Saying the same again changes nothing.
    ///
    /// # Errors
    /// [`TicketError::NotResolved`], [`TicketError::RatingFinal`] when the rating was first given more than a week ago.
    pub async fn rate(
        &self,
        actor: &Actor,
        key: &TicketKey,
        rating: &Rating,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Rate)?;
            draft.rate(rating.clone(), RatingWay::SignedIn)
        })
        .await
    }
}

/// What a link shows of what it rates: nothing but what its reader wrote or was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratable {
    /// The ticket's number.
    pub number: String,
    /// What the ticket is about.
    pub subject: String,
    /// The rating of this resolution, if it was given.
    pub satisfaction: Option<Satisfaction>,
    /// Until when it can be given or changed by this link.
    pub until: DateTime<Utc>,
}

/// Ratings by links. A link that is forged, expired, of another resolution, or of someone who is shut out or became staff
/// is one and the same [`TicketError::RatingLinkUnknown`].
pub struct Ratings {
    tickets: Arc<Tickets>,
    links: Arc<dyn RatingLinks>,
}

impl Ratings {
    /// The use cases over these tickets.
    #[must_use]
    pub fn new(tickets: Arc<Tickets>, links: Arc<dyn RatingLinks>) -> Self {
        Self { tickets, links }
    }

    /// What a link rates.
    ///
    /// # Errors
    /// [`TicketError::RatingLinkUnknown`].
    pub async fn shown(&self, link: &str) -> Result<Ratable, TicketError> {
        let (claim, ticket) = self.opened(link).await?;
        Ok(ratable(&claim, &ticket))
    }

    /// Keeps what the requester says, or changes it.
    ///
    /// # Errors
    /// [`TicketError::RatingLinkUnknown`], [`TicketError::RatingFinal`].
    pub async fn rate(&self, link: &str, rating: &Rating) -> Result<Ratable, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let (claim, ticket) = self.opened(link).await?;
            // As its customer and nothing more.
            let actor = Actor::Person(Person {
                id: claim.requester,
                role: Role::User,
                teams: Vec::new(),
                origin: None,
            });
            let relation = Relation::of(&actor, &ticket);
            let decide = |draft: &mut Draft<'_>| {
                draft.allow(Action::Rate)?;
                draft.rate(rating.clone(), RatingWay::Link)
            };
            let written = self
                .tickets
                .attempt(&actor, ticket, relation, Guard::none(), decide);
            if let Some(Written { view, detail: () }) = written.await? {
                return Ok(ratable(&claim, &view.ticket));
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// What a link says, and its ticket as far as that is still so.
    async fn opened(&self, link: &str) -> Result<(RatingClaim, Ticket), TicketError> {
        let now = self.tickets.clock.now();
        let claim = self.links.claim(link);
        let claim = claim.filter(|claim| now < claim.expires_at());
        let claim = claim.ok_or(TicketError::RatingLinkUnknown)?;
        let ticket = self.tickets.store.find(&TicketKey::Id(claim.ticket)).await?;
        let ticket = ticket.filter(|ticket| {
            ticket.requester == claim.requester
                && ticket.standing.resolved_at() == Some(claim.resolved_at)
                && ticket.deleted_at.is_none()
                && ticket.merged_into.is_none()
        });
        let ticket = ticket.ok_or(TicketError::RatingLinkUnknown)?;
        let rater = self.tickets.directory.rater(claim.requester).await?;
        rater.ok_or(TicketError::RatingLinkUnknown)?;
        Ok((claim, ticket))
    }
}

fn ratable(claim: &RatingClaim, ticket: &Ticket) -> Ratable {
    let given = ticket.satisfaction.clone();
    let satisfaction = given.filter(|given| given.rated_at >= claim.resolved_at);
    let end = satisfaction.as_ref().map(Satisfaction::changeable_until);
    Ratable {
        number: ticket.number.as_str().to_owned(),
        subject: ticket.subject.as_str().to_owned(),
        until: end.map_or(claim.expires_at(), |end| end.min(claim.expires_at())),
        satisfaction,
    }
}

//! The subscriber that asks requesters what they say of a resolution.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, Fact, HandleError, Subscriber, TicketFact, TicketStatus};
use kernel::{EventReceipt, Receipt, UserId};

use super::Tickets;
use crate::port::{CommitError, TicketCommit, TicketWrite};
use crate::survey::{RatingClaim, RatingLinks, SurveyMail, SurveyMailError, SurveyMailer};
use crate::ticket::{Ticket, TicketKey};

/// Sends a mail with a link when a ticket becomes resolved, to a customer whose account is active and whose address is
/// proved.
///
/// A resolution is asked about once: the receipt is stored before the mail goes out, and taken back only when it is known
/// not to have gone. A process that dies in between asks nobody.
pub struct SatisfactionSurvey {
    tickets: Arc<Tickets>,
    links: Arc<dyn RatingLinks>,
    mailer: Arc<dyn SurveyMailer>,
}

impl SatisfactionSurvey {
    /// A survey about these tickets.
    #[must_use]
    pub fn new(tickets: Arc<Tickets>, links: Arc<dyn RatingLinks>, mailer: Arc<dyn SurveyMailer>) -> Self {
        Self {
            tickets,
            links,
            mailer,
        }
    }

    /// What to ask about, if the resolution that the event tells of is still the ticket's.
    async fn asked(&self, event: &Event, ticket: &Ticket) -> Result<Option<SurveyMail>, HandleError> {
        let stands = ticket.standing.resolved_at() == Some(event.at);
        let rated = ticket.satisfaction.as_ref();
        let is_rated = rated.is_some_and(|given| given.rated_at >= event.at);
        if !stands || is_rated || ticket.deleted_at.is_some() || ticket.merged_into.is_some() {
            return Ok(None);
        }
        let claim = RatingClaim {
            ticket: ticket.id,
            requester: ticket.requester,
            resolved_at: event.at,
        };
        let left = claim.expires_at() - self.tickets.clock.now();
        let Some(rater) = self.tickets.directory.rater(ticket.requester).await? else {
            return Ok(None);
        };
        // One that waited so long in the outbox asks about what nobody remembers.
        Ok((left > chrono::Duration::zero()).then(|| SurveyMail {
            id: event.id,
            to: rater.email,
            name: rater.name,
            number: ticket.number.as_str().to_owned(),
            subject: ticket.subject.as_str().to_owned(),
            link: self.links.link(&claim),
            life: left,
        }))
    }
}

/// Whether the event is a resolution that its requester did not bring about: who withdraws a ticket is not asked.
fn resolves(event: &Event, what: &TicketFact, requester: UserId) -> bool {
    let TicketFact::StatusChanged { from, to } = what else {
        return false;
    };
    let was_open = matches!(from, TicketStatus::Open | TicketStatus::Pending);
    let is_done = matches!(to, TicketStatus::Resolved | TicketStatus::Closed);
    was_open && is_done && event.cause.person() != Some(requester)
}

#[async_trait]
impl Subscriber for SatisfactionSurvey {
    fn name(&self) -> &'static str {
        "satisfaction_survey"
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let (summary, what) = match &event.fact {
            Fact::Ticket { ticket, what } => (ticket, what),
            Fact::Identity(_) | Fact::Knowledge(_) => return Ok(()),
        };
        if !resolves(event, what, summary.requester) {
            return Ok(());
        }
        let store = &self.tickets.store;
        let Some(ticket) = store.find(&TicketKey::Id(summary.id)).await? else {
            return Ok(());
        };
        let Some(mail) = self.asked(event, &ticket).await? else {
            return Ok(());
        };
        let receipt = EventReceipt {
            subscriber: self.name(),
            event: event.id,
            step: "mail",
        };
        match store.commit(only(Receipt::Event(receipt.clone()))).await {
            Ok(()) => {}
            Err(CommitError::Repeated) => return Ok(()),
            Err(CommitError::Port(error)) => return Err(error.into()),
            Err(error @ (CommitError::Stale | CommitError::NumberTaken | CommitError::Dangling(_))) => {
                return Err(HandleError::GiveUp(error.to_string()));
            }
        }
        match self.mailer.send(&mail).await {
            Ok(()) => Ok(()),
            Err(error @ SurveyMailError::Refused(_)) => Err(HandleError::GiveUp(error.to_string())),
            Err(SurveyMailError::Port(error)) => {
                store.take_back(&receipt).await?;
                Err(error.into())
            }
        }
    }
}

/// A commit of a receipt alone.
fn only(receipt: Receipt) -> TicketCommit {
    TicketCommit {
        ticket: TicketWrite::Unchanged,
        messages: Vec::new(),
        edited_messages: Vec::new(),
        removed_attachments: Vec::new(),
        notes: Vec::new(),
        activities: Vec::new(),
        events: Vec::new(),
        receipt: Some(receipt),
        item: None,
        assigns: None,
        clocks: None,
    }
}

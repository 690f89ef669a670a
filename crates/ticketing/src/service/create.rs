//! Opening a ticket.

use events::{TicketChannel, TicketPriority};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, TeamId, TicketId, UserId, Violation, Violations};

use super::{NUMBER_TRIES_MAX, Tickets, dangling, refused};
use crate::draft::Draft;
use crate::error::TicketError;
use crate::machine::Standing;
use crate::policy::Relation;
use crate::port::{CommitError, Reference};
use crate::service::view::{TicketView, Written};
use crate::ticket::{Audience, Face, Ticket};
use crate::value::{CustomFields, Description, Subject, Tags};

/// What a new ticket is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTicket {
    /// What it is about.
    pub subject: Subject,
    /// What the requester says.
    pub description: Description,
    /// How much it presses; medium when not said.
    pub priority: Option<TicketPriority>,
    /// How it came in.
    pub channel: TicketChannel,
    /// Which team it is for.
    pub team: Option<TeamId>,
    /// Its tags.
    pub tags: Tags,
    /// Its custom fields.
    pub custom_fields: CustomFields,
    /// For whom staff open it; `None` for themselves.
    pub requester: Option<UserId>,
}

impl Tickets {
    /// Opens a ticket, for oneself, or as staff for someone else.
    ///
    /// # Errors
    /// [`TicketError::Invalid`] for a requester or team that does not exist, [`TicketError::Forbidden`] for a
    /// customer who names another requester.
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewTicket,
        receipt: ReceiptFor<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let requester = self.requester_for(actor, &new).await?;
        let audience = match actor {
            Actor::Person(person) if !person.is_staff() => Audience::Customer,
            Actor::Person(_) | Actor::System(_) => Audience::Staff,
        };
        self.field_set().await?.check_new(&new.custom_fields, audience)?;
        for _ in 0..NUMBER_TRIES_MAX {
            let number = self.store.next_number().await?;
            let circumstances = self.circumstances(actor);
            let NewTicket {
                subject,
                description,
                priority,
                channel,
                team,
                tags,
                custom_fields,
                requester: _,
            } = new.clone();
            let ticket = Ticket {
                id: TicketId::new(self.ids.as_ref()),
                number,
                subject,
                description,
                requester,
                assignee: None,
                team,
                priority: priority.unwrap_or_default(),
                standing: Standing::Open,
                channel,
                sla_policy: None,
                first_response_at: None,
                sla_due_at: None,
                sla_breached: false,
                tags,
                custom_fields,
                metadata: serde_json::Map::new(),
                created_at: circumstances.now,
                deleted_at: None,
                merged_into: None,
                satisfaction: None,
                cc: Vec::new(),
                followers: Vec::new(),
                staff_face: Face::new(circumstances.now),
                public_face: Face::new(circumstances.now),
            };
            let draft = Draft::create(&circumstances, ticket);
            // One may open a ticket into a team that one has no part in: the answer shows it once, as to a requester.
            let relation = draft.relation().max(Relation::Requester);
            let (mut commit, mut ticket) = draft.finish();
            self.let_clocks_follow(&mut commit, &mut ticket, &circumstances)
                .await?;
            let view = TicketView::new(ticket, relation, actor, circumstances.now, &self.settings);
            let written = Written { view, detail: () };
            commit.receipt = receipt(&written);
            match self.store.commit(commit).await {
                Ok(()) => return Ok(written),
                Err(CommitError::NumberTaken) => {}
                Err(error) if self.is_overtaken(&error) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(TicketError::Stale { current: None })
    }

    async fn requester_for(&self, actor: &Actor, new: &NewTicket) -> Result<UserId, TicketError> {
        let staff = match actor {
            Actor::Person(person) => person.is_staff(),
            Actor::System(_) => true,
        };
        let mut violations = Violations::new();
        let requester = match (new.requester, actor.user_id()) {
            (Some(named), Some(own)) if named == own => own,
            (Some(_), _) if !staff => {
                return Err(TicketError::Forbidden("open a ticket in someone else's name"));
            }
            (Some(named), _) => {
                if !self.directory.is_requester(named).await? {
                    violations.push(dangling(Reference::Requester));
                }
                named
            }
            (None, Some(own)) => own,
            (None, None) => {
                let message = "must name the requester";
                return Err(Violation::new("/createdById", "required", message).into());
            }
        };
        if new.priority.is_some() && !staff && !self.settings.requester_sets_priority {
            return Err(TicketError::Forbidden("choose a priority"));
        }
        if let Some(team) = new.team
            && !self.directory.team_exists(team).await?
        {
            violations.push(dangling(Reference::Team));
        }
        violations.into_result()?;
        Ok(requester)
    }
}

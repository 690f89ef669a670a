//! Showing and listing tickets.

use chrono::{DateTime, Utc};
use kernel::filter::{Circumstances, Condition};
use kernel::{Actor, Page, Role, UserId, Violations};
use serde_json::Value;

use super::Tickets;
use crate::Settings;
use crate::error::TicketError;
use crate::fields::TicketFields;
use crate::policy::Relation;
use crate::port::PersonCard;
use crate::query::{Count, Maybe, Scope, TicketFilter, TicketQuery};
use crate::ruling::Action;
use crate::service::view::{Related, RelatedWish, TicketView};
use crate::ticket::{Ticket, TicketKey};

impl Tickets {
    /// One ticket. Administrators reach deleted ones by `include_deleted`.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for one that the caller may not see.
    pub async fn show(
        &self,
        actor: &Actor,
        key: &TicketKey,
        include_deleted: bool,
    ) -> Result<TicketView, TicketError> {
        let (ticket, relation) = self.visible(actor, key).await?;
        if ticket.deleted_at.is_some() && !(include_deleted && relation == Relation::Admin) {
            return Err(TicketError::NotFound);
        }
        Ok(TicketView::new(
            ticket,
            relation,
            actor,
            self.clock.now(),
            &self.settings,
        ))
    }

    /// A ticket whose clocks the caller may read.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for a ticket that the caller may not see, and for customers: clocks do not exist for them.
    pub async fn with_clocks(&self, actor: &Actor, key: &TicketKey) -> Result<Ticket, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        Action::ReadClocks.judge(&self.case(actor, relation, &ticket))?;
        Ok(ticket)
    }

    /// A filter and a condition of the [filter language](kernel::filter) besides, as the caller may ask for it.
    ///
    /// # Errors
    /// All that is wrong with the condition; the places are pointers into it, behind `at`.
    pub fn narrowed(
        &self,
        actor: &Actor,
        filter: TicketFilter,
        condition: &Value,
        at: &str,
    ) -> Result<TicketFilter, Violations> {
        let scope = scope(actor, &filter);
        let condition = Condition::read(condition, at, &TicketFields(scope.audience()))?;
        let circumstances = Circumstances {
            now: self.clock.now(),
            me: actor.user_id().map(|id| id.0),
        };
        Ok(filter.and(condition.settled(&circumstances), &scope))
    }

    /// One page of the tickets that the caller may see: customers those that they asked for, agents those that they
    /// work on (or, when they filter by themselves as requester, those that they asked for), administrators all.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for deleted tickets by anyone but an administrator, and for conditions about what the
    /// caller is not shown.
    pub async fn list(&self, actor: &Actor, query: &TicketQuery) -> Result<Page<TicketView>, TicketError> {
        let scope = listed(actor, query)?;
        if is_out_of_reach(&scope, &query.filter) {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let now = self.clock.now();
        let page = self.store.list(&scope, query).await?;
        Ok(page.map(|ticket| seen_as(&scope, actor, ticket, now, &self.settings)))
    }

    /// How many tickets [`Tickets::list`] would go through.
    ///
    /// # Errors
    /// As for [`Tickets::list`].
    pub async fn count(&self, actor: &Actor, query: &TicketQuery) -> Result<Count, TicketError> {
        let scope = listed(actor, query)?;
        if is_out_of_reach(&scope, &query.filter) {
            return Ok(Count::Exact(0));
        }
        Ok(self.store.count(&scope, query).await?)
    }

    /// The people and teams that tickets name, as far as they are wanted, by one query each however many tickets there
    /// are.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    pub async fn related(
        &self,
        views: impl Iterator<Item = &TicketView>,
        wanted: RelatedWish,
    ) -> Result<Related, TicketError> {
        let RelatedWish {
            requesters,
            assignees,
            teams: teams_too,
        } = wanted;
        let mut users: Vec<UserId> = Vec::new();
        let mut teams = Vec::new();
        for view in views {
            users.extend(requesters.then_some(view.ticket.requester));
            users.extend(view.ticket.assignee.filter(|_| assignees));
            teams.extend(view.ticket.team.filter(|_| teams_too));
        }
        teams.sort_unstable();
        teams.dedup();
        let people = self.people(users).await?;
        let teams = if teams.is_empty() {
            Vec::new()
        } else {
            self.directory.teams(&teams).await?
        };
        Ok(Related { people, teams })
    }

    /// People by id, for showing names beside what they did.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    pub async fn people(&self, mut users: Vec<UserId>) -> Result<Vec<PersonCard>, TicketError> {
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            Ok(Vec::new())
        } else {
            Ok(self.directory.people(&users).await?)
        }
    }
}

/// A ticket that was found within a scope, as the caller may see it.
pub(super) fn seen_as(
    scope: &Scope,
    actor: &Actor,
    ticket: Ticket,
    now: DateTime<Utc>,
    settings: &Settings,
) -> TicketView {
    let relation = match scope {
        Scope::Customer(user) => Relation::of_customer(*user, &ticket),
        Scope::WorkOf { .. } | Scope::Desk => Relation::of(actor, &ticket),
    };
    TicketView::new(ticket, relation, actor, now, settings)
}

/// What the caller can have in a list at all.
pub(super) fn scope(actor: &Actor, filter: &TicketFilter) -> Scope {
    match actor {
        Actor::System(_) => Scope::Desk,
        Actor::Person(person) => match person.role {
            Role::Admin => Scope::Desk,
            Role::User => Scope::Customer(person.id),
            Role::Agent if filter.requester == Some(person.id) => Scope::Customer(person.id),
            Role::Agent => {
                let teams = person.teams.iter().map(|membership| membership.team).collect();
                Scope::WorkOf {
                    agent: person.id,
                    teams,
                }
            }
        },
    }
}

/// The scope of a list that the caller may ask for.
fn listed(actor: &Actor, query: &TicketQuery) -> Result<Scope, TicketError> {
    let scope = admitted(actor, &query.filter)?;
    if query.include_deleted && scope != Scope::Desk {
        return Err(TicketError::Forbidden("list deleted tickets"));
    }
    Ok(scope)
}

/// The scope of a filter that the caller may use.
pub(super) fn admitted(actor: &Actor, filter: &TicketFilter) -> Result<Scope, TicketError> {
    let scope = scope(actor, filter);
    let mut is_shown = true;
    if let Some(condition) = &filter.condition {
        condition.each_term(&mut |term| is_shown &= term.field.is_shown_to(scope.audience()));
    }
    if !is_shown {
        return Err(TicketError::Forbidden("filter by what they are not shown"));
    }
    Ok(scope)
}

/// Whether scope and filter exclude each other, so that the store need not be asked.
pub(super) fn is_out_of_reach(scope: &Scope, filter: &TicketFilter) -> bool {
    match scope {
        Scope::WorkOf { agent, teams } => match (filter.team, filter.assignee) {
            (Some(Maybe::Is(team)), assignee) => {
                !teams.contains(&team) && assignee.is_some_and(|wanted| wanted != Maybe::Is(*agent))
            }
            (Some(Maybe::Nothing) | None, _) => false,
        },
        Scope::Customer(_) | Scope::Desk => false,
    }
}

//! The operations, a module for each part of the product. A handler turns a DTO into a domain command, calls the
//! service, and turns what came of it into a DTO; rules live in the domains.

mod account_links;
mod api_keys;
mod attachments;
mod audit;
mod auth;
mod automation_rules;
mod jobs;
mod kb;
mod macros;
mod notifications;
pub(crate) mod ratings;
mod routing;
mod sessions;
mod settings;
mod sign_on;
mod sla_policies;
mod teams;
mod ticket_fields;
mod tickets;
mod two_factor;
mod user_actions;
mod users;
mod views;
mod webhooks;
pub(crate) mod why_not;

use crate::routes::Operation;

/// Every operation of the API. What is asked for most comes first: the router looks from the top.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        // Before `/tickets/{id}`, which would take "bulk" for one.
        jobs::operations(),
        tickets::operations(),
        views::operations(),
        ticket_fields::operations(),
        sla_policies::operations(),
        automation_rules::operations(),
        macros::operations(),
        kb::operations(),
        webhooks::operations(),
        attachments::operations(),
        notifications::operations(),
        ratings::operations(),
        routing::operations(),
        auth::operations(),
        account_links::operations(),
        two_factor::operations(),
        sessions::operations(),
        api_keys::operations(),
        why_not::operations(),
        sign_on::operations(),
        users::operations(),
        user_actions::operations(),
        teams::operations(),
        audit::operations(),
        settings::operations(),
    ]
    .concat()
}

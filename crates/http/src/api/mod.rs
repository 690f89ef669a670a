//! The operations, a module for each part of the product. A handler turns a DTO into a domain command, calls the
//! service, and turns what came of it into a DTO; rules live in the domains.

mod api_keys;
mod auth;
mod notifications;
mod sessions;
mod teams;
mod tickets;
mod users;
pub(crate) mod why_not;

use crate::routes::Operation;

/// Every operation of the API. What is asked for most comes first: the router looks from the top.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        tickets::operations(),
        notifications::operations(),
        auth::operations(),
        sessions::operations(),
        api_keys::operations(),
        why_not::operations(),
        users::operations(),
        teams::operations(),
    ]
    .concat()
}

//! The operations, a module for each part of the product. A handler turns a DTO into a domain command, calls the
//! service, and turns what came of it into a DTO; rules live in the domains.

mod auth;
mod notifications;
mod sign_on;
mod teams;
mod tickets;
mod users;

use crate::routes::Operation;

/// Every operation of the API. What is asked for most comes first: the router looks from the top.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        tickets::operations(),
        notifications::operations(),
        auth::operations(),
        sign_on::operations(),
        users::operations(),
        teams::operations(),
    ]
    .concat()
}

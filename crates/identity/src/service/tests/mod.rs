//! The use cases over the world in memory, and over mocks where a fake cannot show the point.

mod account_mails;
mod accounts;
mod api_keys;
mod authenticator;
mod intake;
mod lifecycle;
mod mailed_links;
mod reauthentication;
mod sessions;
mod setup;
mod sign_on;
mod teams;
mod two_factor;

use std::sync::Mutex;

use events::IdentityFact;

use kernel::receipt::{Answer, RequestKey, RequestReceipt};
use kernel::{PortError, Receipt};
use uuid::Uuid;

use crate::testing::Desk;

/// A receipt for the request with this key.
fn receipt(key: &str) -> Receipt {
    Receipt::Request(RequestReceipt {
        key: RequestKey {
            principal: Uuid::from_u128(1),
            key: key.to_owned(),
            route: "POST /anything".to_owned(),
            request_sha256: [0; 32],
        },
        answer: Answer {
            status: 200,
            etag: None,
            location: None,
            body: "{}".to_owned(),
        },
    })
}

/// What was published, but for people's signing in.
fn changes(desk: &Desk) -> Vec<IdentityFact> {
    let signed_in = |fact: &IdentityFact| matches!(fact, IdentityFact::SignedIn { .. });
    let facts = desk.world.facts().into_iter();
    facts.filter(|fact| !signed_in(fact)).collect()
}

fn unreachable_store() -> PortError {
    PortError::Unavailable {
        port: "store",
        source: "connection refused".into(),
    }
}

/// Holds a list of answers, given one by one.
struct Script<T>(Mutex<Vec<T>>);

impl<T> Script<T> {
    fn new(mut answers: Vec<T>) -> Self {
        answers.reverse();
        Self(Mutex::new(answers))
    }

    fn next(&self) -> T {
        self.0.lock().unwrap().pop().expect("the script is over")
    }
}

//! Receipts: what a commit stores beside its effect, so that the same request or event again has none.
//!
//! A commit that carries a receipt is stored whole or not at all; where the receipt is there already, the adapter
//! stores nothing and says so.

use async_trait::async_trait;

use crate::Version;
use crate::failure::PortError;
use crate::id::{EventId, Uuid};

/// Proof that something was done, kept in the transaction that did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// A subscriber dealt with an event.
    Event(EventReceipt),
    /// A client's request with an idempotency key was carried out.
    Request(RequestReceipt),
}

/// One step of one subscriber for one event; unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReceipt {
    /// The subscriber's name, at most 50 characters.
    pub subscriber: &'static str,
    /// The event that caused it.
    pub event: EventId,
    /// Which of the subscriber's effects, at most 50 characters.
    pub step: &'static str,
}

/// Names a request that a client may send again: its `Idempotency-Key`, within its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who sent it.
    pub principal: Uuid,
    /// The client's key, 1 to 255 characters.
    pub key: String,
    /// Method and path, so that one key cannot serve two routes.
    pub route: String,
    /// SHA-256 over the request's body and precondition: the same key with another request is an error.
    pub request_sha256: [u8; 32],
}

/// The first answer to a request, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `ETag` header, if there was one.
    pub etag: Option<String>,
    /// The `Location` header, if there was one.
    pub location: Option<String>,
    /// The JSON text of the body; empty for 204.
    pub body: String,
}

/// A request with the answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReceipt {
    /// Which request.
    pub key: RequestKey,
    /// What was answered.
    pub answer: Answer,
}

/// An answer as it was stored with the effect of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Method and path of the request.
    pub route: String,
    /// SHA-256 over the request's body and precondition.
    pub request_sha256: [u8; 32],
    /// What was answered.
    pub answer: Answer,
}

/// Finds the answers that receipts of requests hold. Writing them is part of each domain's commit port.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// The answer that `principal` got to the request with the idempotency key `key`. Must find every receipt whose
    /// commit has ended, and may forget it after 24 hours.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn find(&self, principal: Uuid, key: &str) -> Result<Option<StoredAnswer>, PortError>;
}

/// Makes the receipt of a command from what came of it, before that is committed. A use case calls it once its
/// decision stands; `None` means that the caller wants none.
pub type ReceiptFor<'a, T> = &'a (dyn Fn(&T) -> Option<Receipt> + Send + Sync);

/// A [`ReceiptFor`] that gives none.
#[must_use]
pub fn no_receipt<T>(_: &T) -> Option<Receipt> {
    None
}

/// How often a use case decides anew when others overtake it, before it gives up.
pub const STALE_TRIES_MAX: u32 = 8;

/// What comes with a command besides its content.
pub struct Guard<'a, T> {
    /// The version that the caller saw (`If-Match`), as its audience counts; `None` to change whatever is there.
    pub expected: Option<Version>,
    /// Makes the receipt from the outcome, to be stored with it.
    pub receipt: ReceiptFor<'a, T>,
}

// By hand: derived, they would ask the same of `T`, of which a guard holds nothing.
impl<T> Clone for Guard<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Guard<'_, T> {}

impl<T: 'static> Guard<'_, T> {
    /// No precondition and no receipt.
    #[must_use]
    pub fn none() -> Self {
        Self {
            expected: None,
            receipt: &no_receipt,
        }
    }
}

//! What every InsightDesk domain shares.
//!
//! Only what two domains use, and what no feature is expected to change, belongs here: [ids](mod@id), [time](clock),
//! the [actor](actor) on whose behalf something happens and the [origin](origin) of its request, [rates](rate),
//! [pages](page), [patches](patch), [texts](text), [filters](filter),
//! [receipts](receipt) that make a repeated request or event harmless, and [kinds of failure](failure).
//! Nothing here knows of a database, of HTTP or of a runtime.

pub mod actor;
pub mod clock;
pub mod failure;
pub mod filter;
pub mod id;
pub mod origin;
pub mod page;
pub mod patch;
pub mod rate;
pub mod receipt;
pub mod text;

pub use actor::{Actor, Membership, Person, Role, SystemActor, TeamRole};
pub use clock::{Clock, ManualClock};
pub use failure::{Classify, FailureKind, PortError, Violation, Violations, member_pointer};
pub use id::{EventId, IdSource, MessageId, SequentialIds, TeamId, TicketId, UserId};
pub use origin::{Client, Origin};
pub use page::{Page, PageLimit, Position};
pub use patch::Patch;
pub use rate::{Bucket, MemoryRateLimits, Rate, RateLimits, Taken};
pub use receipt::{
    Answer, AnswerStore, EventReceipt, Guard, Receipt, RequestKey, RequestReceipt, STALE_TRIES_MAX,
    StoredAnswer,
};

/// Counts the changes of a stored aggregate, starting at 1. A commit names the version that it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i32);

impl Version {
    /// The version of an aggregate that has just been created.
    pub const FIRST: Version = Version(1);

    /// The version after one more change.
    #[must_use]
    pub fn next(self) -> Version {
        Version(self.0 + 1)
    }
}

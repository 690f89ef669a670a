//! Asking a requester by mail what they say of a resolution: the link that they rate by, and the ports that it takes.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use kernel::{EventId, PortError, TicketId, UserId};

/// For how long a link is good after the resolution that it rates.
pub const RATING_LINK_LIFE: Duration = Duration::days(30);

/// What a link says: who rates which resolution of which ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatingClaim {
    /// The ticket.
    pub ticket: TicketId,
    /// Its requester.
    pub requester: UserId,
    /// When it was resolved: a link is for one resolution.
    pub resolved_at: DateTime<Utc>,
}

impl RatingClaim {
    /// When the link is good no more.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.resolved_at + RATING_LINK_LIFE
    }
}

/// Makes and reads the signed part of links.
pub trait RatingLinks: Send + Sync {
    /// The signed part of the link for this: letters, digits, `-` and `_`.
    fn link(&self, claim: &RatingClaim) -> String;

    /// What a link says. Must be `None` for every text that [`RatingLinks::link`] did not make, under the present secret
    /// of the installation or one before it that is still known.
    fn claim(&self, link: &str) -> Option<RatingClaim>;
}

/// A mail that asks for a rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyMail {
    /// The event that caused it: the same however often it is sent.
    pub id: EventId,
    /// The address that it goes to.
    pub to: String,
    /// What the person is called.
    pub name: String,
    /// The ticket's number.
    pub number: String,
    /// What the ticket is about.
    pub subject: String,
    /// The signed part of the link.
    pub link: String,
    /// For how long the link is good.
    pub life: Duration,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SurveyMailError {
    /// No later try can succeed.
    #[error("the mail is refused: {0}")]
    Refused(String),
    /// A later try may succeed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Sends mails that ask for a rating.
#[async_trait]
pub trait SurveyMailer: Send + Sync {
    /// Sends one mail. Must end within a bound of its own.
    ///
    /// # Errors
    /// See [`SurveyMailError`].
    async fn send(&self, mail: &SurveyMail) -> Result<(), SurveyMailError>;
}

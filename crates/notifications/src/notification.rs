//! What a notification is.

use chrono::{DateTime, Utc};
use kernel::{UserId, id_type};
use serde_json::Value;

id_type! {
    /// A notification.
    NotificationId
}

/// What a notification tells of (contract column `type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A ticket is now the reader's to answer.
    Assigned,
    /// The other side wrote in a ticket.
    Replied,
    /// Someone wrote something for staff alone in a ticket that is the reader's to answer.
    InternalNote,
    /// Something for staff alone calls the reader.
    Mentioned,
    /// Something happened in a ticket that the reader follows.
    Followed,
    /// The reader has part in a ticket from now on, beside its requester.
    Copied,
    /// The requester rated a ticket that is the reader's.
    Rated,
    /// A ticket that is the reader's to answer is soon due.
    SlaWarning,
    /// A ticket that is the reader's to answer is overdue.
    SlaBreached,
    /// A rule says something of a ticket.
    Rule,
    /// A rule says something that is of no ticket.
    RuleNews,
    /// A rule of the reader's was disabled, since it kept setting itself off.
    RuleDisabled,
    /// A webhook endpoint of the reader's was disabled, since it did not answer.
    WebhookDisabled,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 13] = [
        Kind::Assigned,
        Kind::Replied,
        Kind::InternalNote,
        Kind::Mentioned,
        Kind::Followed,
        Kind::Copied,
        Kind::Rated,
        Kind::SlaWarning,
        Kind::SlaBreached,
        Kind::Rule,
        Kind::RuleNews,
        Kind::RuleDisabled,
        Kind::WebhookDisabled,
    ];

    /// Whether it tells of what only staff may know of. Someone who is no longer staff is not told.
    #[must_use]
    pub fn is_for_staff(self) -> bool {
        match self {
            Kind::Assigned
            | Kind::InternalNote
            | Kind::Mentioned
            | Kind::Followed
            | Kind::Rated
            | Kind::SlaWarning
            | Kind::SlaBreached
            | Kind::Rule
            | Kind::RuleNews
            | Kind::RuleDisabled
            | Kind::WebhookDisabled => true,
            Kind::Replied | Kind::Copied => false,
        }
    }

    /// Whether the reader need not have a part in the ticket any more: then only those are told who work on it now.
    #[must_use]
    pub fn asks_for_sight(self) -> bool {
        match self {
            Kind::Mentioned | Kind::Followed | Kind::Rule => true,
            Kind::Assigned
            | Kind::Replied
            | Kind::Copied
            | Kind::InternalNote
            | Kind::Rated
            | Kind::SlaWarning
            | Kind::SlaBreached
            | Kind::RuleNews
            | Kind::RuleDisabled
            | Kind::WebhookDisabled => false,
        }
    }

    /// The name in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Assigned => "assigned",
            Kind::Replied => "replied",
            Kind::InternalNote => "internal_note",
            Kind::Mentioned => "mentioned",
            Kind::Followed => "followed",
            Kind::Copied => "copied",
            Kind::Rated => "rated",
            Kind::SlaWarning => "sla_warning",
            Kind::SlaBreached => "sla_breached",
            Kind::Rule => "rule",
            Kind::RuleNews => "rule_news",
            Kind::RuleDisabled => "rule_disabled",
            Kind::WebhookDisabled => "webhook_disabled",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something that one person is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Which notification.
    pub id: NotificationId,
    /// Who is told.
    pub user: UserId,
    /// What it tells of.
    pub kind: Kind,
    /// In a few words, at most 200 characters.
    pub title: String,
    /// In a sentence.
    pub message: String,
    /// What programs need to lead there: a JSON object.
    pub data: Value,
    /// When it was read, if it was.
    pub read_at: Option<DateTime<Utc>>,
    /// When that happened of which it tells.
    pub created_at: DateTime<Utc>,
    /// Unique for the reader: the same fact is told once. At most 200 characters.
    pub dedupe_key: Option<String>,
}

impl Notification {
    /// The most characters of a title.
    pub const TITLE_CHARS_MAX: usize = 200;

    /// Whether it was read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.read_at.is_some()
    }
}

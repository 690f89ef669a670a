//! What can be published.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::{Actor, EventId, IdSource, MessageId, Origin, SystemActor, TeamId, TicketId, UserId, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::vocabulary::{TicketPriority, TicketStatus};

/// A fact with its circumstances, as it stands in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The same in the outbox, in the feed and on every wire, however often it is sent.
    pub id: EventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who or what made it happen.
    pub cause: Cause,
    /// Where the request came from that made it happen. Kept for what happens to accounts and teams alone, for the
    /// audit log; no feed shows it.
    pub origin: Option<Arc<Origin>>,
    /// The rules that led to it, as whoever runs rules writes them; `None` for what no rule led to. Kept for what happens to
    /// tickets alone; no feed shows it.
    pub chain: Option<Arc<Value>>,
    /// What happened.
    pub fact: Fact,
}

impl Event {
    /// A new event for `fact`, which `actor` brought about.
    pub fn new(ids: &dyn IdSource, at: DateTime<Utc>, actor: &Actor, fact: Fact) -> Self {
        Self::caused(ids, at, Cause::from(actor), actor.origin().cloned(), fact)
    }

    /// A new event for `fact`, where whoever brought it about is no actor: one who signs in is none yet.
    pub fn caused(
        ids: &dyn IdSource,
        at: DateTime<Utc>,
        cause: Cause,
        origin: Option<Arc<Origin>>,
        fact: Fact,
    ) -> Self {
        Self {
            id: EventId::new(ids),
            at,
            cause,
            origin,
            chain: None,
            fact,
        }
    }
}

/// Who or what made something happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A signed-in person.
    Person(UserId),
    /// A part of the server, by [`SystemActor::as_str`].
    System(String),
}

impl Cause {
    /// The person, if it was one.
    #[must_use]
    pub fn person(&self) -> Option<UserId> {
        match self {
            Cause::Person(id) => Some(*id),
            Cause::System(_) => None,
        }
    }
}

impl From<&Actor> for Cause {
    fn from(actor: &Actor) -> Self {
        match actor {
            Actor::Person(person) => Cause::Person(person.id),
            Actor::System(
                system @ (SystemActor::AutoClose
                | SystemActor::Import
                | SystemActor::Routing
                | SystemActor::Automation
                | SystemActor::Publishing),
            ) => Cause::System(system.as_str().to_owned()),
        }
    }
}

/// Everything that domains tell each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Something happened to a ticket.
    Ticket {
        /// The ticket as it stands after the change.
        ticket: TicketSummary,
        /// What happened.
        what: TicketFact,
    },
    /// Something happened to an account or a team.
    Identity(IdentityFact),
    /// Something happened in the knowledge base.
    Knowledge(KnowledgeFact),
}

/// What every subscriber needs to know of a ticket to act on an event without reading it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketSummary {
    /// The ticket.
    pub id: TicketId,
    /// Its number, `TKT-00001`.
    pub number: String,
    /// Its subject.
    pub subject: String,
    /// Who asked.
    pub requester: UserId,
    /// Who answers, if anyone yet.
    pub assignee: Option<UserId>,
    /// The team it lies with.
    pub team: Option<TeamId>,
    /// Where it stands.
    pub status: TicketStatus,
    /// How much it presses.
    pub priority: TicketPriority,
    /// The version that the change made.
    pub version: i32,
    /// Further people who have part in it as its requester has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<UserId>,
    /// Staff who follow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<UserId>,
}

impl TicketSummary {
    /// The version as the kernel's type.
    #[must_use]
    pub fn version(&self) -> Version {
        Version(self.version)
    }
}

/// What happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all_fields = "camelCase")]
pub enum TicketFact {
    /// It was made.
    #[serde(rename = "ticket.created")]
    Created {},
    /// Fields without a fact of their own changed.
    #[serde(rename = "ticket.updated")]
    Updated {
        /// The contract's names of the changed fields.
        fields: Vec<String>,
        /// What the short ones of them were before: `subject`, `tags`, `slaPolicyId`, and each custom field that changed by its full name,
        /// `customFields.region`; null where it had no value. Absent in rows of earlier releases.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        before: Map<String, Value>,
    },
    /// It moved in the state machine.
    #[serde(rename = "ticket.status_changed")]
    StatusChanged {
        /// The status before.
        from: TicketStatus,
        /// The status now.
        to: TicketStatus,
    },
    /// It became more or less pressing.
    #[serde(rename = "ticket.priority_changed")]
    PriorityChanged {
        /// The priority before.
        from: TicketPriority,
        /// The priority now.
        to: TicketPriority,
    },
    /// Another person, or no one, is to answer it.
    #[serde(rename = "ticket.assigned")]
    Assigned {
        /// The assignee before.
        from: Option<UserId>,
        /// The assignee now.
        to: Option<UserId>,
    },
    /// It went to another team, or to none.
    #[serde(rename = "ticket.transferred")]
    Transferred {
        /// The team before.
        from: Option<TeamId>,
        /// The team now.
        to: Option<TeamId>,
    },
    /// Something was written that the customer may read.
    #[serde(rename = "ticket.message_added")]
    MessageAdded {
        /// The message.
        message: MessageId,
        /// Who wrote it.
        author: UserId,
        /// Whether it was the requester's side or the desk's.
        by_staff: bool,
    },
    /// Something was written for staff alone.
    #[serde(rename = "ticket.internal_message_added")]
    InternalMessageAdded {
        /// The message.
        message: MessageId,
        /// Who wrote it.
        author: UserId,
        /// Whom it calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentioned: Vec<UserId>,
    },
    /// A message's text was changed by its author.
    #[serde(rename = "ticket.message_edited")]
    MessageEdited {
        /// The message.
        message: MessageId,
        /// Whether staff alone may read it.
        internal: bool,
    },
    /// A message lost an attachment.
    #[serde(rename = "ticket.attachment_removed")]
    AttachmentRemoved {
        /// The message.
        message: MessageId,
        /// The attachment.
        attachment: Uuid,
        /// Whether staff alone may read the message.
        internal: bool,
    },
    /// A note for staff was added.
    #[serde(rename = "ticket.note_added")]
    NoteAdded {
        /// The note.
        note: Uuid,
        /// Who wrote it.
        author: UserId,
        /// Whom it calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentioned: Vec<UserId>,
    },
    /// Someone follows it from now on.
    #[serde(rename = "ticket.followed")]
    Followed {
        /// Who.
        user: UserId,
    },
    /// Someone follows it no longer.
    #[serde(rename = "ticket.unfollowed")]
    Unfollowed {
        /// Who.
        user: UserId,
    },
    /// Someone has part in it from now on, beside its requester.
    #[serde(rename = "ticket.cc_added")]
    CcAdded {
        /// Who.
        user: UserId,
    },
    /// Someone has part in it no longer.
    #[serde(rename = "ticket.cc_removed")]
    CcRemoved {
        /// Who.
        user: UserId,
    },
    /// It was linked to another ticket.
    #[serde(rename = "ticket.linked")]
    Linked {
        /// The other ticket.
        other: TicketId,
        /// What this one is to it.
        link: String,
    },
    /// A link to another ticket was taken away.
    #[serde(rename = "ticket.unlinked")]
    Unlinked {
        /// The other ticket.
        other: TicketId,
        /// What this one was to it.
        link: String,
    },
    /// Another ticket was merged into it.
    #[serde(rename = "ticket.merged")]
    Merged {
        /// The other ticket.
        source: TicketId,
    },
    /// It was merged into another ticket.
    #[serde(rename = "ticket.merged_into")]
    MergedInto {
        /// The other ticket.
        target: TicketId,
    },
    /// A merge with another ticket was undone.
    #[serde(rename = "ticket.unmerged")]
    Unmerged {
        /// The other ticket.
        other: TicketId,
    },
    /// A message came from another ticket, or went there.
    #[serde(rename = "ticket.message_moved")]
    MessageMoved {
        /// The message.
        message: MessageId,
        /// The ticket that it came from.
        from: TicketId,
        /// The ticket that it went to.
        to: TicketId,
        /// Whether staff alone may read it.
        internal: bool,
    },
    /// Its requester said how content they are with its resolution, or changed that.
    #[serde(rename = "ticket.rated")]
    Rated {
        /// From 1, not at all, to 5, entirely.
        score: u8,
    },
    /// One of its clocks came to a point before its deadline of which the policy warns.
    #[serde(rename = "ticket.sla_warning")]
    SlaWarning {
        /// Which clock: `first_response`, `next_response` or `resolution`.
        metric: String,
        /// Which of its runs, from 1.
        run: u32,
        /// The point as the policy writes it: `80%`, `-30m`.
        at: String,
        /// The deadline.
        due_at: Option<DateTime<Utc>>,
        /// The policy.
        policy: Uuid,
        /// The version of its terms.
        policy_version: i32,
    },
    /// One of its clocks missed its deadline.
    #[serde(rename = "ticket.sla_breached")]
    SlaBreached {
        /// Which clock.
        metric: String,
        /// Which of its runs, from 1.
        run: u32,
        /// The deadline.
        due_at: Option<DateTime<Utc>>,
        /// The policy.
        policy: Uuid,
        /// The version of its terms.
        policy_version: i32,
    },
    /// One of its clocks came to a point at or behind its deadline for which the policy has a step.
    #[serde(rename = "ticket.sla_escalated")]
    SlaEscalated {
        /// Which clock.
        metric: String,
        /// Which of its runs, from 1.
        run: u32,
        /// The point as the policy writes it: `breach`, `+60m`.
        at: String,
        /// The deadline.
        due_at: Option<DateTime<Utc>>,
        /// The policy.
        policy: Uuid,
        /// The version of its terms.
        policy_version: i32,
    },
    /// It was deleted, and can be restored.
    #[serde(rename = "ticket.deleted")]
    Deleted {},
    /// It was restored.
    #[serde(rename = "ticket.restored")]
    Restored {},
}

/// What happened to an account or a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all_fields = "camelCase")]
pub enum IdentityFact {
    /// An account was made.
    #[serde(rename = "user.created")]
    UserCreated {
        /// The account.
        user: UserId,
    },
    /// An account changed.
    #[serde(rename = "user.updated")]
    UserUpdated {
        /// The account.
        user: UserId,
        /// The contract's names of the changed fields.
        fields: Vec<String>,
        /// The role now, by name, if that changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        /// The status now, by name, if that changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
    },
    /// An account was deleted, and can be restored.
    #[serde(rename = "user.deleted")]
    UserDeleted {
        /// The account.
        user: UserId,
    },
    /// An account was restored.
    #[serde(rename = "user.restored")]
    UserRestored {
        /// The account.
        user: UserId,
    },
    /// A refresh token that had been exchanged already was shown again, and its session ended.
    #[serde(rename = "session.reuse_detected")]
    SessionReuseDetected {
        /// Whose session.
        user: UserId,
        /// Which session.
        session: Uuid,
    },
    /// An address was to be proved: that of a new account, of an invitation, of a change or of a reset. The mail's link
    /// carries what is derived from the token's id; there may be no account behind it, so that nothing tells whether
    /// there is.
    #[serde(rename = "mail.asked")]
    MailAsked {
        /// The id of the one-time token.
        token: Uuid,
    },
    /// Someone asked to register with the address of an account.
    #[serde(rename = "user.registration_repeated")]
    RegistrationRepeated {
        /// The account that has the address.
        user: UserId,
    },
    /// The address of an account was proved to be its owner's.
    #[serde(rename = "user.email_verified")]
    EmailVerified {
        /// The account.
        user: UserId,
    },
    /// An account has another address.
    #[serde(rename = "user.email_changed")]
    EmailChanged {
        /// The account.
        user: UserId,
        /// The address before, for the mail that tells its owner.
        previous: String,
    },
    /// The owner changed the password, knowing the one before.
    #[serde(rename = "user.password_changed")]
    PasswordChanged {
        /// The account.
        user: UserId,
    },
    /// The password was reset through the address.
    #[serde(rename = "user.password_reset")]
    PasswordReset {
        /// The account.
        user: UserId,
    },
    /// Second factor, keys of programs and links to sign-on providers were taken from an account whose address nobody
    /// had proved until now: they may have been a stranger's.
    #[serde(rename = "user.credentials_removed")]
    CredentialsRemoved {
        /// The account.
        user: UserId,
    },
    /// Someone in a session was asked for the password again and gave a wrong one, or tried too often.
    #[serde(rename = "user.reauthentication_failed")]
    ReauthenticationFailed {
        /// The account.
        user: UserId,
    },
    /// An account's personal data was removed for good.
    #[serde(rename = "user.anonymized")]
    UserAnonymized {
        /// The account.
        user: UserId,
    },
    /// Someone signed in.
    #[serde(rename = "session.began")]
    SignedIn {
        /// The account.
        user: UserId,
        /// The session.
        session: Uuid,
        /// By what: `password`, `password+totp`, `password+recovery_code`, `sso`.
        method: String,
    },
    /// Someone failed to sign in.
    #[serde(rename = "session.refused")]
    SignInRefused {
        /// The account that was tried, if there is one.
        user: Option<UserId>,
        /// Why: `password`, `unknown`, `shut_out`, `second_factor`, `rate`, `sso`.
        reason: String,
    },
    /// Sessions were ended before their time.
    #[serde(rename = "session.ended")]
    SessionsEnded {
        /// Whose.
        user: UserId,
        /// Which one; all of them when it is absent.
        session: Option<Uuid>,
    },
    /// A second factor is asked for from now on.
    #[serde(rename = "user.two_factor_enabled")]
    TwoFactorEnabled {
        /// The account.
        user: UserId,
    },
    /// No second factor is asked for any more.
    #[serde(rename = "user.two_factor_disabled")]
    TwoFactorDisabled {
        /// The account.
        user: UserId,
    },
    /// The recovery codes were replaced.
    #[serde(rename = "user.recovery_codes_replaced")]
    RecoveryCodesReplaced {
        /// The account.
        user: UserId,
    },
    /// A recovery code was used up.
    #[serde(rename = "user.recovery_code_used")]
    RecoveryCodeUsed {
        /// The account.
        user: UserId,
        /// How many are left.
        left: u32,
    },
    /// A program was given a key.
    #[serde(rename = "api_key.created")]
    ApiKeyCreated {
        /// Whose key.
        user: UserId,
        /// The key.
        key: Uuid,
        /// Its name.
        name: String,
    },
    /// A program's key was taken back.
    #[serde(rename = "api_key.revoked")]
    ApiKeyRevoked {
        /// Whose key.
        user: UserId,
        /// The key.
        key: Uuid,
    },
    /// An account can be used through a single sign-on provider from now on.
    #[serde(rename = "user.sign_on_linked")]
    SignOnLinked {
        /// The account.
        user: UserId,
        /// The provider's name.
        provider: String,
    },
    /// The desk's own security rules changed.
    #[serde(rename = "settings.security_changed")]
    SecuritySettingsChanged {
        /// The names of the changed ones with what they are now.
        settings: Vec<(String, String)>,
    },
    /// Something became of what the desk promises.
    #[serde(rename = "sla_policy.changed")]
    SlaPolicyChanged {
        /// The policy.
        policy: Uuid,
        /// Its name then.
        name: String,
        /// What: `created`, `changed`, `promise_changed`, `made_default`, `no_longer_default`, `moved`, `deleted`.
        change: String,
    },
    /// Something became of a rule.
    #[serde(rename = "automation_rule.changed")]
    AutomationRuleChanged {
        /// The rule; `None` where all of them were put in another order.
        rule: Option<Uuid>,
        /// Its name then; empty for all of them.
        name: String,
        /// Who made it; `None` for all of them.
        owner: Option<UserId>,
        /// What: `created`, `changed`, `enabled`, `disabled`, `disabled_as_loop`, `reordered`, `deleted`.
        change: String,
    },
    /// A rule has a mail sent.
    #[serde(rename = "mail.written")]
    MailWritten {
        /// To the owner of this account, if their address is proved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        /// Or to this address, which whoever wrote the rule named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// One line.
        subject: String,
        /// Plain text.
        text: String,
        /// What has it sent: a rule, a macro, an SLA policy.
        source: Uuid,
    },
    /// Something became of a webhook endpoint.
    #[serde(rename = "webhook.changed")]
    WebhookChanged {
        /// The endpoint.
        endpoint: Uuid,
        /// Its name then.
        name: String,
        /// Who made it.
        owner: UserId,
        /// What: `created`, `changed`, `secret_rotated`, `secret_retired`, `disabled`, `deleted`; or, by the server, `too_many_failures`,
        /// `failing_too_long`, `gone`.
        change: String,
    },
    /// A team was made.
    #[serde(rename = "team.created")]
    TeamCreated {
        /// The team.
        team: TeamId,
    },
    /// A team changed.
    #[serde(rename = "team.updated")]
    TeamUpdated {
        /// The team.
        team: TeamId,
    },
    /// A team's tickets are given out in another way.
    #[serde(rename = "team.routing_changed")]
    TeamRoutingChanged {
        /// The team.
        team: TeamId,
        /// How, by name.
        mode: String,
        /// How many tickets an agent may have to be given another.
        capacity: Option<u32>,
    },
    /// Someone of the staff wants to be given tickets, or no longer, or so many.
    #[serde(rename = "user.availability_changed")]
    AvailabilityChanged {
        /// The account.
        user: UserId,
        /// Whether they want some.
        available: bool,
        /// How many tickets they may have to be given another.
        capacity: Option<u32>,
    },
    /// A team was deleted for good.
    #[serde(rename = "team.deleted")]
    TeamDeleted {
        /// The team.
        team: TeamId,
    },
    /// Someone joined a team, or changed rank in it.
    #[serde(rename = "team.member_set")]
    TeamMemberSet {
        /// The team.
        team: TeamId,
        /// The member.
        user: UserId,
        /// The rank now, by name.
        role_in_team: String,
    },
    /// Someone left a team.
    #[serde(rename = "team.member_removed")]
    TeamMemberRemoved {
        /// The team.
        team: TeamId,
        /// The former member.
        user: UserId,
    },
}

/// What happened in the knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all_fields = "camelCase")]
pub enum KnowledgeFact {
    /// Something became of a category.
    #[serde(rename = "category.changed")]
    CategoryChanged {
        /// The category.
        category: Uuid,
        /// Its name then.
        name: String,
        /// What: `created`, `changed`, `deleted`.
        change: String,
    },
    /// Something became of an article.
    #[serde(rename = "article.changed")]
    ArticleChanged {
        /// The article.
        article: Uuid,
        /// Its title then.
        title: String,
        /// Who wrote it first.
        author: UserId,
        /// Where it stands now.
        status: String,
        /// What: `created`, `edited`, `submitted`, `published`, `archived`, `reopened`, `reverted`, `deleted`.
        change: String,
    },
}

/// A stored payload that this version of the program cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program, or an older one whose reader was dropped.
    #[error("payload version {0} is not known")]
    Version(i16),
    /// The payload does not have the shape of its kind.
    #[error("payload of kind {kind} has another shape")]
    Shape {
        /// The event's kind.
        kind: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct TicketPayload {
    cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<Value>,
    ticket: TicketSummary,
    data: Value,
}

#[derive(Serialize, Deserialize)]
struct KnowledgePayload {
    cause: Cause,
    data: Value,
}

#[derive(Serialize, Deserialize)]
struct IdentityPayload {
    cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    data: Value,
}

impl Event {
    /// The name of what happened: `ticket.created`.
    ///
    /// # Errors
    /// See [`Event::encode`].
    pub fn kind(&self) -> Result<String, serde_json::Error> {
        self.encode().map(|(kind, _)| kind)
    }

    /// The kind and the payload, as stored with [`Fact::PAYLOAD_VERSION`].
    ///
    /// # Errors
    /// None for any fact there is; serde's signature has one.
    pub fn encode(&self) -> Result<(String, Value), serde_json::Error> {
        let cause = self.cause.clone();
        match &self.fact {
            Fact::Ticket { ticket, what } => {
                let (kind, data) = split(serde_json::to_value(what)?);
                let payload = TicketPayload {
                    cause,
                    chain: self.chain.as_deref().cloned(),
                    ticket: ticket.clone(),
                    data,
                };
                Ok((kind, serde_json::to_value(payload)?))
            }
            Fact::Identity(fact) => {
                let (kind, data) = split(serde_json::to_value(fact)?);
                let origin = self.origin.as_deref().cloned();
                let payload = IdentityPayload { cause, origin, data };
                Ok((kind, serde_json::to_value(payload)?))
            }
            Fact::Knowledge(fact) => {
                let (kind, data) = split(serde_json::to_value(fact)?);
                Ok((kind, serde_json::to_value(KnowledgePayload { cause, data })?))
            }
        }
    }

    /// Reads what [`Event::encode`] made, also by earlier versions of the program.
    ///
    /// # Errors
    /// When the version or the shape is not known.
    pub fn decode(
        id: EventId,
        at: DateTime<Utc>,
        kind: &str,
        version: i16,
        payload: Value,
    ) -> Result<Self, DecodeError> {
        if version != Fact::PAYLOAD_VERSION {
            return Err(DecodeError::Version(version));
        }
        let shape = |source| DecodeError::Shape {
            kind: kind.to_owned(),
            source,
        };
        if kind.starts_with("ticket.") {
            let TicketPayload {
                cause,
                chain,
                ticket,
                data,
            } = serde_json::from_value(payload).map_err(shape)?;
            let what = serde_json::from_value(join(kind, data)).map_err(shape)?;
            return Ok(Self {
                id,
                at,
                cause,
                origin: None,
                chain: chain.map(Arc::new),
                fact: Fact::Ticket { ticket, what },
            });
        }
        if kind.starts_with("category.") || kind.starts_with("article.") {
            let KnowledgePayload { cause, data } = serde_json::from_value(payload).map_err(shape)?;
            let fact = serde_json::from_value(join(kind, data)).map_err(shape)?;
            return Ok(Self {
                id,
                at,
                cause,
                origin: None,
                chain: None,
                fact: Fact::Knowledge(fact),
            });
        }
        let IdentityPayload { cause, origin, data } = serde_json::from_value(payload).map_err(shape)?;
        let fact = serde_json::from_value(join(kind, data)).map_err(shape)?;
        Ok(Self {
            id,
            at,
            cause,
            origin: origin.map(Arc::new),
            chain: None,
            fact: Fact::Identity(fact),
        })
    }
}

impl Fact {
    /// The version of all payloads that this program writes.
    pub const PAYLOAD_VERSION: i16 = 1;

    /// The thing whose events keep their order: the ticket, the account, the team, the category or the article.
    #[must_use]
    pub fn aggregate(&self) -> Uuid {
        match self {
            Fact::Ticket { ticket, .. } => ticket.id.0,
            Fact::Knowledge(fact) => match fact {
                KnowledgeFact::CategoryChanged { category, .. } => *category,
                KnowledgeFact::ArticleChanged { article, .. } => *article,
            },
            Fact::Identity(fact) => match fact {
                IdentityFact::UserCreated { user }
                | IdentityFact::UserUpdated { user, .. }
                | IdentityFact::UserDeleted { user }
                | IdentityFact::UserRestored { user }
                | IdentityFact::SessionReuseDetected { user, .. }
                | IdentityFact::RegistrationRepeated { user }
                | IdentityFact::EmailVerified { user }
                | IdentityFact::EmailChanged { user, .. }
                | IdentityFact::PasswordChanged { user }
                | IdentityFact::PasswordReset { user }
                | IdentityFact::CredentialsRemoved { user }
                | IdentityFact::UserAnonymized { user }
                | IdentityFact::SignedIn { user, .. }
                | IdentityFact::SessionsEnded { user, .. }
                | IdentityFact::TwoFactorEnabled { user }
                | IdentityFact::TwoFactorDisabled { user }
                | IdentityFact::RecoveryCodesReplaced { user }
                | IdentityFact::RecoveryCodeUsed { user, .. }
                | IdentityFact::ApiKeyCreated { user, .. }
                | IdentityFact::ApiKeyRevoked { user, .. }
                | IdentityFact::AvailabilityChanged { user, .. }
                | IdentityFact::SignOnLinked { user, .. } => user.0,
                // Nothing to keep an order for; one who guesses passwords must not hold up the account's own events.
                IdentityFact::SignInRefused { .. } | IdentityFact::ReauthenticationFailed { .. } => {
                    Uuid::nil()
                }
                IdentityFact::MailAsked { token } => *token,
                IdentityFact::SecuritySettingsChanged { .. } => Uuid::max(),
                IdentityFact::SlaPolicyChanged { policy, .. } => *policy,
                IdentityFact::AutomationRuleChanged { rule, .. } => rule.unwrap_or(Uuid::max()),
                IdentityFact::WebhookChanged { endpoint, .. } => *endpoint,
                // Nothing to keep an order for where there is no account.
                IdentityFact::MailWritten { user, .. } => user.map_or(Uuid::nil(), |user| user.0),
                IdentityFact::TeamCreated { team }
                | IdentityFact::TeamUpdated { team }
                | IdentityFact::TeamRoutingChanged { team, .. }
                | IdentityFact::TeamDeleted { team }
                | IdentityFact::TeamMemberSet { team, .. }
                | IdentityFact::TeamMemberRemoved { team, .. } => team.0,
            },
        }
    }
}

fn split(tagged: Value) -> (String, Value) {
    match tagged {
        Value::Object(mut map) => {
            let kind = map
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            (kind, map.remove("data").unwrap_or(Value::Null))
        }
        other => (String::new(), other),
    }
}

fn join(kind: &str, data: Value) -> Value {
    serde_json::json!({ "kind": kind, "data": data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fact: Fact) -> Event {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        Event {
            id: EventId(Uuid::from_u128(1)),
            at,
            cause: Cause::Person(UserId(Uuid::from_u128(2))),
            origin: None,
            chain: None,
            fact,
        }
    }

    fn summary() -> TicketSummary {
        TicketSummary {
            id: TicketId(Uuid::from_u128(3)),
            number: "TKT-00001".into(),
            subject: "Printer".into(),
            requester: UserId(Uuid::from_u128(2)),
            assignee: None,
            team: None,
            status: TicketStatus::Open,
            priority: TicketPriority::Medium,
            version: 1,
            cc: Vec::new(),
            followers: vec![UserId(Uuid::from_u128(9))],
        }
    }

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let facts = [
            Fact::Ticket {
                ticket: summary(),
                what: TicketFact::Created {},
            },
            Fact::Knowledge(KnowledgeFact::CategoryChanged {
                category: Uuid::from_u128(5),
                name: "Accounts".into(),
                change: "created".into(),
            }),
            Fact::Knowledge(KnowledgeFact::ArticleChanged {
                article: Uuid::from_u128(6),
                title: "Passwords".into(),
                author: UserId(Uuid::from_u128(2)),
                status: "published".into(),
                change: "published".into(),
            }),
            Fact::Ticket {
                ticket: summary(),
                what: TicketFact::StatusChanged {
                    from: TicketStatus::Open,
                    to: TicketStatus::Resolved,
                },
            },
            Fact::Identity(IdentityFact::TeamMemberSet {
                team: TeamId(Uuid::from_u128(4)),
                user: UserId(Uuid::from_u128(2)),
                role_in_team: "lead".into(),
            }),
        ];
        for fact in facts {
            let event = event(fact);
            let (kind, payload) = event.encode().unwrap();
            let read = Event::decode(event.id, event.at, &kind, Fact::PAYLOAD_VERSION, payload).unwrap();
            assert_eq!(read, event);
        }
    }

    #[test]
    fn the_rules_that_led_to_it_are_kept_with_it() {
        let mut event = event(Fact::Ticket {
            ticket: summary(),
            what: TicketFact::Created {},
        });
        event.chain = Some(Arc::new(serde_json::json!({ "depth": 1, "runs": [] })));
        let (kind, payload) = event.encode().unwrap();
        let read = Event::decode(event.id, event.at, &kind, Fact::PAYLOAD_VERSION, payload).unwrap();
        assert_eq!(read, event);
    }

    /// Rows of an earlier release must stay readable: this text is what version 1 stored.
    #[test]
    fn a_stored_row_of_version_1_can_still_be_read() {
        let stored = serde_json::json!({
            "cause": { "system": "auto_close" },
            "ticket": {
                "id": "00000000-0000-0000-0000-000000000003", "number": "TKT-00001", "subject": "Printer",
                "requester": "00000000-0000-0000-0000-000000000002", "assignee": null, "team": null,
                "status": "closed", "priority": "medium", "version": 4,
            },
            "data": { "from": "resolved", "to": "closed" },
        });
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let event = Event::decode(
            EventId(Uuid::from_u128(1)),
            at,
            "ticket.status_changed",
            1,
            stored,
        )
        .unwrap();
        assert_eq!(event.cause, Cause::System("auto_close".into()));
        let Fact::Ticket { what, .. } = event.fact else {
            panic!("not a ticket's fact")
        };
        assert_eq!(
            what,
            TicketFact::StatusChanged {
                from: TicketStatus::Resolved,
                to: TicketStatus::Closed
            }
        );
    }

    #[test]
    fn an_unknown_version_or_kind_is_refused() {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let id = EventId(Uuid::from_u128(1));
        assert!(matches!(
            Event::decode(id, at, "ticket.created", 9, Value::Null),
            Err(DecodeError::Version(9))
        ));
        let odd = serde_json::json!({ "cause": { "system": "x" }, "data": {} });
        assert!(matches!(
            Event::decode(id, at, "moon.rose", 1, odd),
            Err(DecodeError::Shape { .. })
        ));
    }
}

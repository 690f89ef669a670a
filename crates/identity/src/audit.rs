//! What is on record: who did what to whom, from where.
//!
//! [`entry_of`] makes an entry of an event, or none of an event that is nobody's act. It is a match without a
//! wildcard: a new fact does not compile until someone has decided what the record says of it. An entry holds ids and
//! names of things, never an address of mail, a password or a token; that way it can outlive the people it tells of.

use chrono::{DateTime, Utc};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{Client, EventId, UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The most characters of a request id that are kept.
const REQUEST_ID_CHARS_MAX: usize = 200;
/// The most characters of the name of a part of the server.
const SYSTEM_CHARS_MAX: usize = 50;

/// An act on record.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The event that tells of it; there is one entry for each.
    pub event: EventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What was done, by the event's kind: `user.updated`. At most 50 characters.
    pub action: String,
    /// Who did it.
    pub actor: AuditActor,
    /// To what.
    pub target: AuditTarget,
    /// The program through which it was done, and its address.
    pub client: Client,
    /// The request, as the log names it. At most 200 characters.
    pub request_id: Option<String>,
    /// The session or API key through which it was done.
    pub credential: Option<Uuid>,
    /// More of it: a JSON object.
    pub detail: Value,
}

impl AuditEntry {
    /// What of it may be shown once the person behind it has been anonymised: ids alone, neither the program nor its
    /// address nor a name that they gave.
    #[must_use]
    pub fn without_person(mut self) -> Self {
        self.client = Client::default();
        if let Value::Object(detail) = &mut self.detail {
            detail.remove("name");
        }
        self
    }

    /// The person whom the entry's circumstances are of: who acted, or else whom it is about.
    #[must_use]
    pub fn person(&self) -> Option<UserId> {
        match &self.actor {
            AuditActor::Person(id) => Some(*id),
            // The server acts at the request of whoever it is about, or of one who pretends to be them.
            AuditActor::System(_) | AuditActor::Stranger => match self.target {
                AuditTarget::User(id) => id,
                AuditTarget::Team(_) | AuditTarget::Settings => None,
            },
        }
    }
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditActor {
    /// A person who had proved who they are.
    Person(UserId),
    /// A part of the server, by name.
    System(String),
    /// Someone who had not: they failed to sign in, showed a used token, or asked for what anyone may ask for.
    Stranger,
}

/// What was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditTarget {
    /// An account, with its sessions and keys; `None` where the one that was tried is none.
    User(Option<UserId>),
    /// A team.
    Team(kernel::TeamId),
    /// The desk's own settings.
    Settings,
}

impl AuditTarget {
    /// The kind's name: `user`, `team` or `settings`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            AuditTarget::User(_) => "user",
            AuditTarget::Team(_) => "team",
            AuditTarget::Settings => "settings",
        }
    }

    /// The id; `None` for what has none.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        match self {
            AuditTarget::User(id) => id.map(|id| id.0),
            AuditTarget::Team(id) => Some(id.0),
            AuditTarget::Settings => None,
        }
    }

    /// The target of that kind and id; `None` for a kind that there is not, or a team without an id.
    #[must_use]
    pub fn of(kind: &str, id: Option<Uuid>) -> Option<Self> {
        match kind {
            "user" => Some(AuditTarget::User(id.map(UserId))),
            "team" => id.map(|id| AuditTarget::Team(kernel::TeamId(id))),
            "settings" => Some(AuditTarget::Settings),
            _ => None,
        }
    }
}

/// The place of an entry in the record, from 1 on and without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditNumber(pub i64);

/// What the record says of an event; `None` when it is no one's act.
#[must_use]
pub fn entry_of(event: &Event) -> Option<AuditEntry> {
    let Event {
        id,
        at,
        cause,
        origin,
        chain: _,
        fact,
    } = event;
    let Act {
        action,
        proved,
        target,
        detail,
    } = match fact {
        Fact::Ticket { .. } | Fact::Knowledge(_) => return None,
        Fact::Identity(fact) => act_of(fact)?,
    };
    let actor = match (proved, cause) {
        (true, Cause::Person(id)) => AuditActor::Person(*id),
        (true, Cause::System(name)) => AuditActor::System(shortened(name, SYSTEM_CHARS_MAX)),
        (false, Cause::Person(_) | Cause::System(_)) => AuditActor::Stranger,
    };
    let origin = origin.as_deref();
    Some(AuditEntry {
        event: *id,
        at: *at,
        action: action.to_owned(),
        actor,
        target,
        client: origin.map(|origin| origin.client.clone()).unwrap_or_default(),
        request_id: origin
            .and_then(|origin| origin.request_id.as_deref())
            .map(|id| shortened(id, REQUEST_ID_CHARS_MAX)),
        credential: origin.and_then(|origin| origin.credential),
        detail: Value::Object(detail),
    })
}

/// What a fact says was done.
struct Act {
    action: &'static str,
    /// Whether who did it had proved who they are.
    proved: bool,
    target: AuditTarget,
    detail: Map<String, Value>,
}

impl Act {
    fn on(action: &'static str, target: AuditTarget) -> Self {
        Self {
            action,
            proved: true,
            target,
            detail: Map::new(),
        }
    }

    fn on_user(action: &'static str, user: &UserId) -> Self {
        Self::on(action, AuditTarget::User(Some(*user)))
    }

    fn by_stranger(self) -> Self {
        Self {
            proved: false,
            ..self
        }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

fn act_of(fact: &IdentityFact) -> Option<Act> {
    Some(match fact {
        IdentityFact::UserCreated { user } => Act::on_user("user.created", user),
        IdentityFact::UserUpdated {
            user,
            fields,
            role,
            status,
        } => {
            let act = Act::on_user("user.updated", user).with("fields", fields.clone());
            let now = [("role", role), ("status", status)];
            now.into_iter().fold(act, |act, (name, value)| match value {
                Some(value) => act.with(name, value.clone()),
                None => act,
            })
        }
        IdentityFact::UserDeleted { user } => Act::on_user("user.deleted", user),
        IdentityFact::UserRestored { user } => Act::on_user("user.restored", user),
        IdentityFact::SessionReuseDetected { user, session } => Act::on_user("session.reuse_detected", user)
            .by_stranger()
            .with("session", session.to_string()),
        // A mail to be sent is a consequence of an act that has a fact of its own.
        IdentityFact::MailAsked { token: _ } => return None,
        IdentityFact::RegistrationRepeated { user } => {
            Act::on_user("user.registration_repeated", user).by_stranger()
        }
        IdentityFact::EmailVerified { user } => Act::on_user("user.email_verified", user),
        // The address before is for a mail to its owner alone.
        IdentityFact::EmailChanged { user, previous: _ } => Act::on_user("user.email_changed", user),
        IdentityFact::PasswordChanged { user } => Act::on_user("user.password_changed", user),
        IdentityFact::PasswordReset { user } => Act::on_user("user.password_reset", user),
        IdentityFact::CredentialsRemoved { user } => Act::on_user("user.credentials_removed", user),
        IdentityFact::ReauthenticationFailed { user } => Act::on_user("user.reauthentication_failed", user),
        IdentityFact::UserAnonymized { user } => Act::on_user(ANONYMIZED, user),
        IdentityFact::SignedIn {
            user,
            session,
            method,
        } => Act::on_user("session.began", user)
            .with("session", session.to_string())
            .with("method", method.clone()),
        IdentityFact::SignInRefused { user, reason } => Act::on("session.refused", AuditTarget::User(*user))
            .by_stranger()
            .with("reason", reason.clone()),
        IdentityFact::SessionsEnded { user, session } => Act::on_user("session.ended", user)
            .with("session", session.map_or(Value::Null, |id| id.to_string().into())),
        IdentityFact::TwoFactorEnabled { user } => Act::on_user("user.two_factor_enabled", user),
        IdentityFact::TwoFactorDisabled { user } => Act::on_user("user.two_factor_disabled", user),
        IdentityFact::RecoveryCodesReplaced { user } => Act::on_user("user.recovery_codes_replaced", user),
        IdentityFact::RecoveryCodeUsed { user, left } => {
            Act::on_user("user.recovery_code_used", user).with("left", *left)
        }
        IdentityFact::ApiKeyCreated { user, key, name } => Act::on_user("api_key.created", user)
            .with("key", key.to_string())
            .with("name", name.clone()),
        IdentityFact::ApiKeyRevoked { user, key } => {
            Act::on_user("api_key.revoked", user).with("key", key.to_string())
        }
        IdentityFact::SignOnLinked { user, provider } => {
            Act::on_user("user.sign_on_linked", user).with("provider", provider.clone())
        }
        IdentityFact::SecuritySettingsChanged { settings } => {
            let settings: Map<String, Value> = settings
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            Act::on("settings.security_changed", AuditTarget::Settings).with("settings", settings)
        }
        IdentityFact::SlaPolicyChanged { policy, name, change } => {
            Act::on("sla_policy.changed", AuditTarget::Settings)
                .with("policyId", policy.to_string())
                .with("name", name.clone())
                .with("change", change.clone())
        }
        IdentityFact::AutomationRuleChanged {
            rule,
            name,
            owner: _,
            change,
        } => Act::on("automation_rule.changed", AuditTarget::Settings)
            .with("ruleId", rule.map(|rule| rule.to_string()))
            .with("name", name.clone())
            .with("change", change.clone()),
        // What it says is between the desk and the reader.
        IdentityFact::MailWritten {
            user,
            address: _,
            subject: _,
            text: _,
            source,
        } => match user {
            Some(user) => Act::on_user("mail.written", user),
            None => Act::on("mail.written", AuditTarget::Settings),
        }
        .with("sourceId", source.to_string()),
        IdentityFact::WebhookChanged {
            endpoint,
            name,
            owner: _,
            change,
        } => Act::on("webhook.changed", AuditTarget::Settings)
            .with("webhookId", endpoint.to_string())
            .with("name", name.clone())
            .with("change", change.clone()),
        IdentityFact::TeamCreated { team } => Act::on("team.created", AuditTarget::Team(*team)),
        IdentityFact::TeamUpdated { team } => Act::on("team.updated", AuditTarget::Team(*team)),
        IdentityFact::TeamRoutingChanged { team, mode, capacity } => {
            Act::on("team.routing_changed", AuditTarget::Team(*team))
                .with("mode", mode.clone())
                .with("capacity", *capacity)
        }
        IdentityFact::AvailabilityChanged {
            user,
            available,
            capacity,
        } => Act::on_user("user.availability_changed", user)
            .with("available", *available)
            .with("capacity", *capacity),
        IdentityFact::TeamDeleted { team } => Act::on("team.deleted", AuditTarget::Team(*team)),
        IdentityFact::TeamMemberSet {
            team,
            user,
            role_in_team,
        } => Act::on("team.member_set", AuditTarget::Team(*team))
            .with("user", user.to_string())
            .with("roleInTeam", role_in_team.clone()),
        IdentityFact::TeamMemberRemoved { team, user } => {
            Act::on("team.member_removed", AuditTarget::Team(*team)).with("user", user.to_string())
        }
    })
}

/// The action by which an account was anonymised: from then on its entries show ids alone.
pub const ANONYMIZED: &str = "user.anonymized";

fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::{Origin, TeamId};

    use super::*;
    use crate::testing::builders::start;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// One of each.
    fn facts() -> Vec<IdentityFact> {
        let (user, team) = (UserId(id(1)), TeamId(id(2)));
        let (session, key) = (id(3), id(4));
        vec![
            IdentityFact::UserCreated { user },
            IdentityFact::UserUpdated {
                user,
                fields: vec!["role".into()],
                role: Some("agent".into()),
                status: None,
            },
            IdentityFact::UserDeleted { user },
            IdentityFact::UserRestored { user },
            IdentityFact::SessionReuseDetected { user, session },
            IdentityFact::MailAsked { token: id(5) },
            IdentityFact::RegistrationRepeated { user },
            IdentityFact::EmailVerified { user },
            IdentityFact::EmailChanged {
                user,
                previous: "canary@example.com".into(),
            },
            IdentityFact::PasswordChanged { user },
            IdentityFact::PasswordReset { user },
            IdentityFact::CredentialsRemoved { user },
            IdentityFact::ReauthenticationFailed { user },
            IdentityFact::UserAnonymized { user },
            IdentityFact::SignedIn {
                user,
                session,
                method: "password".into(),
            },
            IdentityFact::SignInRefused {
                user: None,
                reason: "unknown".into(),
            },
            IdentityFact::SessionsEnded { user, session: None },
            IdentityFact::TwoFactorEnabled { user },
            IdentityFact::TwoFactorDisabled { user },
            IdentityFact::RecoveryCodesReplaced { user },
            IdentityFact::RecoveryCodeUsed { user, left: 7 },
            IdentityFact::ApiKeyCreated {
                user,
                key,
                name: "backup".into(),
            },
            IdentityFact::ApiKeyRevoked { user, key },
            IdentityFact::SignOnLinked {
                user,
                provider: "acme".into(),
            },
            IdentityFact::SecuritySettingsChanged {
                settings: vec![("twoFactorRoles".into(), "admin".into())],
            },
            IdentityFact::SlaPolicyChanged {
                policy: Uuid::from_u128(4),
                name: "Standard".into(),
                change: "created".into(),
            },
            IdentityFact::AutomationRuleChanged {
                rule: Some(Uuid::from_u128(5)),
                name: "VPN".into(),
                owner: Some(user),
                change: "created".into(),
            },
            IdentityFact::MailWritten {
                user: Some(user),
                address: None,
                subject: "s".into(),
                text: "t".into(),
                source: Uuid::from_u128(7),
            },
            IdentityFact::WebhookChanged {
                endpoint: Uuid::from_u128(6),
                name: "CRM".into(),
                owner: user,
                change: "created".into(),
            },
            IdentityFact::TeamCreated { team },
            IdentityFact::TeamUpdated { team },
            IdentityFact::TeamRoutingChanged {
                team,
                mode: "round_robin".into(),
                capacity: Some(9),
            },
            IdentityFact::AvailabilityChanged {
                user,
                available: false,
                capacity: None,
            },
            IdentityFact::TeamDeleted { team },
            IdentityFact::TeamMemberSet {
                team,
                user,
                role_in_team: "lead".into(),
            },
            IdentityFact::TeamMemberRemoved { team, user },
        ]
    }

    fn event(fact: IdentityFact) -> Event {
        let origin = Origin {
            client: Client::new(Some("curl"), Some("203.0.113.7".parse().unwrap())),
            request_id: Some("r".repeat(300)),
            credential: Some(id(6)),
        };
        Event {
            id: EventId(id(9)),
            at: start(),
            cause: Cause::Person(UserId(id(8))),
            origin: Some(Arc::new(origin)),
            chain: None,
            fact: Fact::Identity(fact),
        }
    }

    #[test]
    fn every_act_is_on_record_under_its_events_kind_with_who_and_where() {
        for fact in facts() {
            let event = event(fact.clone());
            let Some(entry) = entry_of(&event) else {
                assert!(matches!(fact, IdentityFact::MailAsked { .. }), "{fact:?}");
                continue;
            };
            assert_eq!(entry.action, event.kind().unwrap());
            assert!(entry.action.len() <= 50 && entry.target.kind().len() <= 30);
            assert_eq!((entry.event, entry.at), (event.id, event.at));
            assert_eq!(entry.client.user_agent(), Some("curl"));
            assert_eq!(entry.request_id.as_deref().map(str::len), Some(200));
            assert_eq!(entry.credential, Some(id(6)));
            assert!(entry.detail.is_object());
            assert_eq!(
                AuditTarget::of(entry.target.kind(), entry.target.id()),
                Some(entry.target)
            );
        }
    }

    #[test]
    fn no_address_is_on_record() {
        for fact in facts() {
            let text = format!("{:?}", entry_of(&event(fact)).map(|entry| entry.detail));
            assert!(!text.contains('@'), "{text}");
        }
    }

    #[test]
    fn who_proved_nothing_is_a_stranger_whomever_they_tried_to_be() {
        let strangers: Vec<_> = facts()
            .into_iter()
            .filter_map(|fact| entry_of(&event(fact)))
            .filter(|entry| entry.actor == AuditActor::Stranger)
            .map(|entry| entry.action)
            .collect();
        assert_eq!(
            strangers,
            [
                "session.reuse_detected",
                "user.registration_repeated",
                "session.refused"
            ]
        );
        let mut of_system = event(IdentityFact::UserCreated { user: UserId(id(1)) });
        of_system.cause = Cause::System("import".into());
        assert_eq!(
            entry_of(&of_system).unwrap().actor,
            AuditActor::System("import".into())
        );
    }

    #[test]
    fn of_one_who_was_anonymised_ids_remain() {
        let key = IdentityFact::ApiKeyCreated {
            user: UserId(id(8)),
            key: id(4),
            name: "Ann's laptop".into(),
        };
        let entry = entry_of(&event(key)).unwrap();
        assert_eq!(entry.person(), Some(UserId(id(8))));
        let shown = entry.without_person();
        assert_eq!(shown.client, Client::default());
        assert_eq!(shown.detail, json!({ "key": id(4) }));
        assert_eq!(shown.credential, Some(id(6)));
    }
}

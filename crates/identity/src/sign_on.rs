//! Who an account is at a provider of single sign-on, and what a provider's words are worth on the desk.

use std::fmt;

use chrono::{DateTime, Utc};
use kernel::{Role, UserId};
use serde_json::{Map, Value};

/// A provider's name on this desk: in paths and in storage. Stays the same as long as the provider does, for accounts
/// are found by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(String);

impl ProviderId {
    /// The most characters.
    pub const MAX_CHARS: usize = 50;

    /// The id in `text`: lower-case letters, digits and `-`; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=Self::MAX_CHARS).contains(&text.len()) && text.chars().all(allowed);
        fits.then(|| Self(text.to_owned()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provider's own id of a person, which never changes and is never given to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(String);

impl Subject {
    /// The most characters.
    pub const MAX_CHARS: usize = 255;

    /// The subject in `text`: 1 to 255 ASCII characters, none of them a control character (OpenID Connect Core 2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii() && !c.is_ascii_control();
        let fits = (1..=Self::MAX_CHARS).contains(&text.len()) && text.chars().all(allowed);
        fits.then(|| Self(text.to_owned()))
    }

    /// The subject.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who an account is at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIdentity {
    /// The provider.
    pub provider: ProviderId,
    /// The person there.
    pub subject: Subject,
    /// The account here.
    pub user: UserId,
    /// The address that the provider gave last, as it wrote it; for people to read, and nothing else.
    pub email: Option<String>,
    /// When they were linked.
    pub created_at: DateTime<Utc>,
    /// When the link was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ExternalIdentity {
    /// The most characters of an address that are kept.
    pub const EMAIL_MAX_CHARS: usize = 255;
}

/// How a provider's words become a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRules {
    /// Where the words stand: the claim's name, or names with dots between for a claim inside of others.
    pub claim: String,
    /// Whoever has one of these is an administrator.
    pub admin: Vec<String>,
    /// Whoever has one of these, and none of the others, is an agent.
    pub agent: Vec<String>,
}

impl RoleRules {
    /// The role of someone of whom a provider says `claims`. Without any of the values they are a customer.
    #[must_use]
    pub fn role(&self, claims: &Map<String, Value>) -> Role {
        let values = self.values(claims);
        let has = |wanted: &[String]| wanted.iter().any(|wanted| values.contains(&wanted.as_str()));
        if has(&self.admin) {
            Role::Admin
        } else if has(&self.agent) {
            Role::Agent
        } else {
            Role::User
        }
    }

    /// The texts at the claim: one, or those of a list. A claim whose own name has the dots comes first
    /// (`https://example.com/roles`).
    fn values<'a>(&self, claims: &'a Map<String, Value>) -> Vec<&'a str> {
        let nested = || {
            let mut names = self.claim.split('.');
            let first = claims.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        };
        match claims.get(&self.claim).or_else(nested) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(claim: &str) -> RoleRules {
        RoleRules {
            claim: claim.to_owned(),
            admin: vec!["desk-admins".to_owned()],
            agent: vec!["support".to_owned(), "field".to_owned()],
        }
    }

    fn role(claim: &str, claims: Value) -> Role {
        let Value::Object(claims) = claims else {
            panic!("claims are an object")
        };
        rules(claim).role(&claims)
    }

    #[test]
    fn the_highest_role_that_a_value_gives_counts() {
        assert_eq!(
            role("groups", json!({"groups": ["support", "desk-admins"]})),
            Role::Admin
        );
        assert_eq!(role("groups", json!({"groups": ["x", "field"]})), Role::Agent);
        assert_eq!(role("groups", json!({"groups": "support"})), Role::Agent);
    }

    #[test]
    fn what_is_no_text_of_the_set_gives_no_role() {
        for groups in [
            json!(null),
            json!([]),
            json!("Support"),
            json!("desk-admins,support"),
            json!({"support": true}),
            json!([["support"]]),
            json!([1, true]),
        ] {
            assert_eq!(
                role("groups", json!({ "groups": groups })),
                Role::User,
                "{groups}"
            );
        }
        assert_eq!(role("groups", json!({})), Role::User);
    }

    #[test]
    fn a_claim_may_lie_inside_of_others_or_have_dots_in_its_name() {
        let nested = json!({"realm_access": {"roles": ["support"]}});
        assert_eq!(role("realm_access.roles", nested), Role::Agent);
        let dotted = json!({"https://example.com/roles": ["desk-admins"]});
        assert_eq!(role("https://example.com/roles", dotted), Role::Admin);
        assert_eq!(role("realm_access.roles", json!({"realm_access": 1})), Role::User);
    }

    #[test]
    fn ids_and_subjects_are_of_few_letters() {
        assert!(ProviderId::parse("login-example-com-0a1b2c3d").is_some());
        for bad in ["", "A", "a b", "a/b", "ä", &"a".repeat(51)] {
            assert_eq!(ProviderId::parse(bad), None, "{bad}");
        }
        assert!(Subject::parse("auth0|5f7c8ec7c33c6c004bbafe82").is_some());
        for bad in ["", "a\n", "ä", &"a".repeat(256)] {
            assert_eq!(Subject::parse(bad), None, "{bad}");
        }
    }
}

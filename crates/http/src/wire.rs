//! Small shapes that many DTOs share: times, names of roles, people beside other things.
//!
//! A DTO is converted from its domain type by taking that apart without `..`, so that a field that the domain gains
//! does not compile until someone has decided whether clients see it.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use identity::PersonCard;
use kernel::{Role, TeamRole, UserId, Violation};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

/// A moment, written as RFC 3339 in UTC with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T09:00:00.000000Z")]
pub struct Timestamp(pub DateTime<Utc>);

/// A moment that a body gives as RFC 3339, in microseconds.
///
/// # Errors
/// `not_a_time`.
pub fn time(pointer: &str, text: &str) -> Result<DateTime<Utc>, Violation> {
    let parsed = DateTime::parse_from_rfc3339(text).ok();
    parsed.map(|time| time.to_utc().trunc_subsecs(6)).ok_or_else(|| {
        let message = "must be a time as in RFC 3339: 2026-01-31T09:00:00Z";
        Violation::new(pointer, "not_a_time", message)
    })
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// What an account may do in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleName {
    /// A customer.
    User,
    /// Answers tickets.
    Agent,
    /// Runs the desk.
    Admin,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Agent => Self::Agent,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::User => Self::User,
            RoleName::Agent => Self::Agent,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// What a member may do in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TeamRole)]
pub enum TeamRoleName {
    /// Works on the team's tickets.
    #[default]
    Agent,
    /// Also hands out the team's work.
    Supervisor,
    /// Also manages the team's members.
    Lead,
}

impl From<TeamRole> for TeamRoleName {
    fn from(role: TeamRole) -> Self {
        match role {
            TeamRole::Agent => Self::Agent,
            TeamRole::Supervisor => Self::Supervisor,
            TeamRole::Lead => Self::Lead,
        }
    }
}

impl From<TeamRoleName> for TeamRole {
    fn from(name: TeamRoleName) -> Self {
        match name {
            TeamRoleName::Agent => Self::Agent,
            TeamRoleName::Supervisor => Self::Supervisor,
            TeamRoleName::Lead => Self::Lead,
        }
    }
}

/// As much of a person as working together needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Person)]
pub struct PersonBody {
    /// The account.
    pub id: Uuid,
    /// What the person is called.
    #[schema(examples("Ann Lee"))]
    pub name: String,
    /// The person's picture.
    #[schema(required = true)]
    pub avatar_url: Option<String>,
    /// What the account may do in general.
    pub role: RoleName,
}

impl From<PersonCard> for PersonBody {
    fn from(card: PersonCard) -> Self {
        let PersonCard {
            id: UserId(id),
            name,
            avatar_url,
            role,
        } = card;
        Self {
            id,
            name: name.as_str().to_owned(),
            avatar_url: avatar_url.map(|url| url.as_str().to_owned()),
            role: role.into(),
        }
    }
}

/// Everything but letters, digits and `-._~` as `%XX` (RFC 3986).
pub(crate) fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_an_address_is_encoded() {
        assert_eq!(
            percent_encoded("a+b&c=d@example.com/ä"),
            "a%2Bb%26c%3Dd%40example.com%2F%C3%A4"
        );
    }

    #[test]
    fn times_have_microseconds_even_when_they_are_whole() {
        let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        assert_eq!(
            serde_json::to_string(&Timestamp(time)).unwrap(),
            "\"2026-01-01T00:00:00.000000Z\""
        );
    }

    #[test]
    fn role_names_are_the_contracts() {
        for role in Role::ALL {
            let name = serde_json::to_value(RoleName::from(role)).unwrap();
            assert_eq!(name, role.as_str());
            assert_eq!(Role::from(RoleName::from(role)), role);
        }
        for role in TeamRole::ALL {
            let name = serde_json::to_value(TeamRoleName::from(role)).unwrap();
            assert_eq!(name, role.as_str());
            assert_eq!(TeamRole::from(TeamRoleName::from(role)), role);
        }
    }
}

//! Rows of identity's tables and what they are in the domain.
//!
//! Other writers of the database may have left what nobody could have typed here. A text is then read as near to what
//! is stored as the domain allows, so that its owner can mend it; what nothing can stand for is
//! [`PortError::Corrupt`].

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types as types;
use identity::ports::{MemberRecord, PrincipalRecord};
use identity::{
    ApiKey, ApiKeyId, ApiKeyName, AvatarUrl, Client, EmailAddress, MemberId, PasswordHash, PersonCard,
    PersonName, Scope, Scopes, Session, SessionId, SignInMethod, Team, TeamDescription, TeamMember, TeamName,
    TokenHash, User, UserStatus,
};
use ipnetwork::IpNetwork;
use kernel::id::Uuid;
use kernel::text::{Lines, TextRule};
use kernel::{Membership, Person, PortError, Role, TeamId, TeamRole, UserId, Version};

use super::security::rule_of;
use crate::moment::{MaybeMoment, Moment};
use crate::schema::{sql_types, team_members, teams, users};

/// Stands for a name that has no letters.
const NAMELESS: &str = "(no name)";

/// A row of `users`.
#[derive(QueryableByName)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    password_hash: String,
    role: Role,
    status: UserStatus,
    avatar_url: Option<String>,
    #[diesel(deserialize_as = MaybeMoment)]
    email_verified_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    last_login_at: Option<DateTime<Utc>>,
    two_factor_enabled: bool,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
    #[diesel(deserialize_as = MaybeMoment)]
    deleted_at: Option<DateTime<Utc>>,
    version: i32,
}

impl UserRow {
    /// The columns, of `users u`.
    pub(super) const COLUMNS: &str = "u.id, u.email, u.name, u.password_hash, u.role, u.status, u.avatar_url, \
        u.email_verified_at, u.last_login_at, u.two_factor_enabled, u.created_at, u.updated_at, u.deleted_at, \
        u.version";

    /// The account.
    pub(super) fn into_user(self) -> Result<User, PortError> {
        let Self {
            id,
            email,
            name,
            password_hash,
            role,
            status,
            avatar_url,
            email_verified_at,
            last_login_at,
            two_factor_enabled,
            created_at,
            updated_at,
            deleted_at,
            version,
        } = self;
        Ok(User {
            id: UserId(id),
            email: EmailAddress::stored(email),
            name: person_name(id, &name)?,
            password_hash: PasswordHash::from_phc(password_hash),
            role,
            status,
            avatar_url: picture(avatar_url),
            email_verified_at,
            last_login_at,
            two_factor_enabled,
            created_at,
            updated_at,
            deleted_at,
            version: Version(version),
        })
    }
}

/// As much of `users` as a card shows.
#[derive(QueryableByName)]
#[diesel(table_name = users)]
pub(super) struct CardRow {
    name: String,
    avatar_url: Option<String>,
    role: Role,
}

/// A row of `team_members` with the member's card.
#[derive(QueryableByName)]
#[diesel(table_name = team_members)]
pub(super) struct MemberRow {
    id: Uuid,
    team_id: Uuid,
    user_id: Uuid,
    role_in_team: TeamRole,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(embed)]
    card: CardRow,
}

impl MemberRow {
    /// The columns, of `team_members m` and `users u`.
    pub(super) const COLUMNS: &str =
        "m.id, m.team_id, m.user_id, m.role_in_team, m.created_at, u.name, u.avatar_url, u.role";

    /// The membership and the card.
    pub(super) fn into_record(self) -> Result<MemberRecord, PortError> {
        let Self {
            id,
            team_id,
            user_id,
            role_in_team,
            created_at,
            card,
        } = self;
        let CardRow {
            name,
            avatar_url,
            role,
        } = card;
        Ok(MemberRecord {
            member: TeamMember {
                id: MemberId(id),
                team_id: TeamId(team_id),
                user_id: UserId(user_id),
                role_in_team,
                created_at,
            },
            person: PersonCard {
                id: UserId(user_id),
                name: person_name(user_id, &name)?,
                avatar_url: picture(avatar_url),
                role,
            },
        })
    }
}

/// A row of `teams`.
#[derive(QueryableByName)]
#[diesel(table_name = teams)]
pub(super) struct TeamRow {
    id: Uuid,
    name: String,
    description: Option<String>,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
    version: i32,
}

impl TeamRow {
    /// The columns.
    pub(super) const COLUMNS: &str = "id, name, description, created_at, updated_at, version";

    /// The team.
    pub(super) fn into_team(self) -> Result<Team, PortError> {
        let Self {
            id,
            name,
            description,
            created_at,
            updated_at,
            version,
        } = self;
        let name = nearest(&name, TeamName::RULE).unwrap_or_else(|| NAMELESS.to_owned());
        let name = TeamName::parse("", &name).map_err(|violation| PortError::Corrupt {
            table: "teams",
            column: "name",
            id: id.to_string(),
            detail: violation.message,
        })?;
        let description = description.and_then(|text| nearest(&text, TeamDescription::RULE));
        Ok(Team {
            id: TeamId(id),
            name,
            description: description.and_then(|text| TeamDescription::parse("", &text).ok()),
            created_at,
            updated_at,
            version: Version(version),
        })
    }
}

/// A row of `sessions`, under names that no other table's columns have.
#[derive(QueryableByName)]
pub(super) struct SessionRow {
    #[diesel(sql_type = types::Uuid)]
    session_id: Uuid,
    #[diesel(sql_type = types::Uuid)]
    user_id: Uuid,
    #[diesel(sql_type = types::Text)]
    method: String,
    #[diesel(sql_type = types::Text)]
    refresh_token_sha256: String,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    user_agent: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Inet>)]
    ip_address: Option<IpNetwork>,
    #[diesel(sql_type = types::Timestamptz)]
    #[diesel(deserialize_as = Moment)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = types::Timestamptz)]
    #[diesel(deserialize_as = Moment)]
    began_at: DateTime<Utc>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    last_used_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    revoked_at: Option<DateTime<Utc>>,
}

impl SessionRow {
    /// The columns, of `sessions s`. A token that another writer stored bare is read as its hash; nobody can refresh
    /// with it here.
    pub(super) const COLUMNS: &str = "s.id AS session_id, s.user_id, s.method, \
        CASE WHEN s.refresh_token ~ '^[0-9a-f]{64}$' THEN s.refresh_token \
        ELSE encode(sha256(convert_to(s.refresh_token, 'UTF8')), 'hex') END AS refresh_token_sha256, \
        s.user_agent, s.ip_address, s.expires_at, s.created_at AS began_at, s.last_used_at, s.revoked_at";

    /// The session.
    pub(super) fn into_session(self) -> Result<Session, PortError> {
        let Self {
            session_id,
            user_id,
            method,
            refresh_token_sha256,
            user_agent,
            ip_address,
            expires_at,
            began_at,
            last_used_at,
            revoked_at,
        } = self;
        let hash = TokenHash::from_hex(&refresh_token_sha256).ok_or_else(|| PortError::Corrupt {
            table: "sessions",
            column: "refresh_token",
            id: session_id.to_string(),
            detail: "not a SHA-256 in hexadecimal digits".to_owned(),
        })?;
        Ok(Session {
            id: SessionId(session_id),
            user_id: UserId(user_id),
            method: sign_in_method(&method),
            refresh_token_sha256: hash,
            client: Client::new(user_agent.as_deref(), ip_address.map(|network| network.ip())),
            expires_at,
            created_at: began_at,
            last_used_at: last_used_at.unwrap_or(began_at),
            revoked_at,
        })
    }
}

/// A session with its account and memberships, as far as authentication asks.
#[derive(QueryableByName)]
pub(super) struct PrincipalRow {
    #[diesel(sql_type = types::Uuid)]
    user_id: Uuid,
    #[diesel(sql_type = sql_types::UserRole)]
    role: Role,
    #[diesel(sql_type = sql_types::UserStatus)]
    status: UserStatus,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    deleted_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = types::Timestamptz)]
    #[diesel(deserialize_as = Moment)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    revoked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = types::Text)]
    method: String,
    #[diesel(sql_type = types::Bool)]
    two_factor_enabled: bool,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    two_factor_rule: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Array<types::Uuid>>)]
    teams: Option<Vec<Uuid>>,
    #[diesel(sql_type = types::Nullable<types::Array<sql_types::TeamRole>>)]
    ranks: Option<Vec<TeamRole>>,
}

impl PrincipalRow {
    /// The columns, of `users u`, of the memberships `m`, and of what the person shows: a session or a key, `s`.
    pub(super) const COLUMNS: &str = "u.id AS user_id, u.role, u.status, u.deleted_at, s.expires_at, s.revoked_at, u.two_factor_enabled, \
         (SELECT value ->> 'requireTwoFactor' FROM desk_settings WHERE name = 'security') AS two_factor_rule, \
         m.teams, m.ranks";
    /// The memberships `m` of whom `s` is.
    pub(super) const MEMBERSHIPS: &str = "CROSS JOIN LATERAL (\
           SELECT array_agg(team_id) AS teams, array_agg(role_in_team) AS ranks FROM (\
             SELECT team_id, role_in_team FROM team_members WHERE user_id = s.user_id ORDER BY team_id\
           ) sorted\
         ) m";

    /// Who it is.
    pub(super) fn into_record(self) -> PrincipalRecord {
        let Self {
            user_id,
            role,
            status,
            deleted_at,
            expires_at,
            revoked_at,
            method,
            two_factor_enabled,
            two_factor_rule,
            teams,
            ranks,
        } = self;
        // Two aggregates of the same rows: of one length, in one order.
        let teams = teams.unwrap_or_default().into_iter().map(TeamId);
        let memberships = teams.zip(ranks.unwrap_or_default());
        PrincipalRecord {
            person: Person {
                id: UserId(user_id),
                role,
                teams: memberships
                    .map(|(team, role)| Membership { team, role })
                    .collect(),
                origin: None,
            },
            status,
            deleted_at,
            session_expires_at: expires_at,
            session_revoked_at: revoked_at,
            method: sign_in_method(&method),
            two_factor_enabled,
            two_factor_rule: rule_of(two_factor_rule.as_deref()),
        }
    }
}

/// Another writer's own word tells of no more than a password.
fn sign_in_method(stored: &str) -> SignInMethod {
    SignInMethod::parse(stored).unwrap_or(SignInMethod::Password)
}

/// A row of `api_keys`, under names that no other table's columns have.
#[derive(QueryableByName)]
pub(super) struct ApiKeyRow {
    #[diesel(sql_type = types::Uuid)]
    key_id: Uuid,
    #[diesel(sql_type = types::Uuid)]
    user_id: Uuid,
    #[diesel(sql_type = types::Text)]
    key_name: String,
    #[diesel(sql_type = types::Text)]
    prefix: String,
    #[diesel(sql_type = types::Text)]
    key_sha256: String,
    #[diesel(sql_type = types::Array<types::Text>)]
    scopes: Vec<String>,
    #[diesel(sql_type = types::Timestamptz)]
    #[diesel(deserialize_as = Moment)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = types::Timestamptz)]
    #[diesel(deserialize_as = Moment)]
    made_at: DateTime<Utc>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    last_used_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = types::Nullable<types::Inet>)]
    last_used_ip: Option<IpNetwork>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    #[diesel(deserialize_as = MaybeMoment)]
    revoked_at: Option<DateTime<Utc>>,
}

impl ApiKeyRow {
    /// The columns, of `api_keys k`.
    pub(super) const COLUMNS: &str = "k.id AS key_id, k.user_id, k.name AS key_name, k.prefix, k.key_sha256, \
        k.scopes, k.expires_at, k.created_at AS made_at, k.last_used_at, k.last_used_ip, k.revoked_at";

    /// The key.
    pub(super) fn into_key(self) -> Result<ApiKey, PortError> {
        let Self {
            key_id,
            user_id,
            key_name,
            prefix,
            key_sha256,
            scopes,
            expires_at,
            made_at,
            last_used_at,
            last_used_ip,
            revoked_at,
        } = self;
        let corrupt = |column, detail: &str| PortError::Corrupt {
            table: "api_keys",
            column,
            id: key_id.to_string(),
            detail: detail.to_owned(),
        };
        let name =
            ApiKeyName::parse("", &key_name).map_err(|violation| corrupt("name", &violation.message))?;
        let hash = TokenHash::from_hex(&key_sha256)
            .ok_or_else(|| corrupt("key_sha256", "not a SHA-256 in hexadecimal digits"))?;
        Ok(ApiKey {
            id: ApiKeyId(key_id),
            user_id: UserId(user_id),
            name,
            prefix,
            key_sha256: hash,
            scopes: known_scopes(&scopes),
            expires_at,
            created_at: made_at,
            last_used_at,
            last_used_ip: last_used_ip.map(|network| network.ip()),
            revoked_at,
        })
    }
}

/// The scopes of these names. A name that this program does not know, of a newer one, opens nothing.
pub(super) fn known_scopes(names: &[String]) -> Scopes {
    Scopes::of(names.iter().filter_map(|name| Scope::parse(name)).collect())
}

fn person_name(id: Uuid, stored: &str) -> Result<PersonName, PortError> {
    let name = nearest(stored, PersonName::RULE).unwrap_or_else(|| NAMELESS.to_owned());
    PersonName::parse("", &name).map_err(|violation| PortError::Corrupt {
        table: "users",
        column: "name",
        id: id.to_string(),
        detail: violation.message,
    })
}

/// What is no address of a picture is no picture.
fn picture(stored: Option<String>) -> Option<AvatarUrl> {
    stored.and_then(|url| AvatarUrl::parse("", &url).ok())
}

/// The nearest text that the rule allows; `None` when nothing is left.
fn nearest(stored: &str, rule: TextRule) -> Option<String> {
    if let Ok(text) = rule.parse("", stored) {
        return Some(text);
    }
    let allowed = |c: &char| match rule.lines {
        Lines::One => !c.is_control(),
        Lines::Many => !c.is_control() || matches!(c, '\n' | '\r' | '\t'),
    };
    let text: String = stored
        .trim()
        .chars()
        .filter(allowed)
        .take(rule.max_chars)
        .collect();
    rule.parse("", &text).ok()
}

//! Keys with which programs speak for a person.
//!
//! A key is `idk_` and 43 characters of base64url over 256 random bits. Its owner sees it once, when it is made; only
//! its SHA-256 is kept, and the first characters, by which a person recognises it.

use chrono::{DateTime, Duration, Utc};
use kernel::text::TextRule;
use kernel::{UserId, Violation};
use std::net::IpAddr;

use crate::access::{ApiKeyId, Scope};
use crate::session::{SecretToken, TokenHash};

/// What every key begins with, so that people and scanners of source code recognise one, and a bearer is told from an
/// access token at once.
pub const API_KEY_MARK: &str = "idk_";

/// What a key is called by its owner: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyName(String);

impl ApiKeyName {
    /// The most characters.
    pub const MAX_CHARS: usize = 100;
    const RULE: TextRule = TextRule::line(1, Self::MAX_CHARS);

    /// A name as typed.
    ///
    /// # Errors
    /// `too_short`, `too_long` or `bad_character`, at `pointer`.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        Self::RULE.parse(pointer, raw).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a key is good for: at least one scope, each once, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The scopes of these names. A name that comes twice counts once.
    ///
    /// # Errors
    /// `required` for none at all, `not_allowed` at the first name that is no scope's.
    pub fn parse(pointer: &str, names: &[String]) -> Result<Self, Violation> {
        let mut scopes = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let Some(scope) = Scope::parse(name) else {
                let all = Scope::ALL.map(Scope::as_str).join(", ");
                let message = format!("must be one of {all}");
                return Err(Violation::new(
                    format!("{pointer}/{index}"),
                    "not_allowed",
                    message,
                ));
            };
            scopes.push(scope);
        }
        if scopes.is_empty() {
            return Err(Violation::new(
                pointer,
                "required",
                "must name at least one scope",
            ));
        }
        Ok(Self::of(scopes))
    }

    /// These scopes, as they are stored; none where nothing that is stored is a scope: such a key opens nothing.
    #[must_use]
    pub fn of(mut scopes: Vec<Scope>) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// The scopes.
    #[must_use]
    pub fn as_slice(&self) -> &[Scope] {
        &self.0
    }
}

/// A program's key as it is stored, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key.
    pub id: ApiKeyId,
    /// For whom its programs speak.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: ApiKeyName,
    /// The first [`ApiKey::PREFIX_CHARS`] characters of the key.
    pub prefix: String,
    /// The hash of the whole key.
    pub key_sha256: TokenHash,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From where it was used when that was last noted.
    pub last_used_ip: Option<IpAddr>,
    /// When it was taken back, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// How many characters of a key are kept for recognition: the mark, and 24 of the 256 random bits.
    pub const PREFIX_CHARS: usize = 8;
    /// The most keys of one person that are live at once.
    pub const LIVE_MAX: u32 = 50;
    /// For how long a key is good unless its owner says otherwise, in days.
    pub const LIFE_DEFAULT_DAYS: i64 = 90;
    /// For how long a key can be good at most, in days.
    pub const LIFE_MAX_DAYS: i64 = 366;
    /// For how long a key must be good at least, in hours.
    pub const LIFE_MIN_HOURS: i64 = 1;

    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// The first characters of a key, as they are kept.
    #[must_use]
    pub fn prefix_of(key: &SecretToken) -> String {
        key.expose().chars().take(Self::PREFIX_CHARS).collect()
    }

    /// When a key that is made at `now` ends, given its owner's wish.
    ///
    /// # Errors
    /// `out_of_range` at `pointer` for a time that is too near or too far.
    pub fn expiry(
        pointer: &str,
        wish: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Violation> {
        let Some(wish) = wish else {
            return Ok(now + Duration::days(Self::LIFE_DEFAULT_DAYS));
        };
        let earliest = now + Duration::hours(Self::LIFE_MIN_HOURS);
        let latest = now + Duration::days(Self::LIFE_MAX_DAYS);
        if (earliest..=latest).contains(&wish) {
            return Ok(wish);
        }
        let (hours, days) = (Self::LIFE_MIN_HOURS, Self::LIFE_MAX_DAYS);
        let message = format!("must lie at least {hours} hour and at most {days} days ahead");
        Err(Violation::new(pointer, "out_of_range", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::builders::start;

    #[test]
    fn a_key_needs_a_scope_and_knows_each_once() {
        let parse = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Scopes::parse("/scopes", &names)
        };
        let scopes = parse(&["users:read", "tickets:read", "users:read"]).unwrap();
        assert_eq!(scopes.as_slice(), [Scope::TicketsRead, Scope::UsersRead]);
        let nothing = parse(&[]).unwrap_err();
        assert_eq!((nothing.pointer.as_str(), nothing.code), ("/scopes", "required"));
        let unknown = parse(&["tickets:read", "tickets:*"]).unwrap_err();
        assert_eq!(
            (unknown.pointer.as_str(), unknown.code),
            ("/scopes/1", "not_allowed")
        );
    }

    #[test]
    fn a_key_lasts_an_hour_at_least_and_a_leap_year_at_most() {
        let now = start();
        let ends = |wish: Option<Duration>| ApiKey::expiry("/expiresAt", wish.map(|wish| now + wish), now);
        assert_eq!(ends(None), Ok(now + Duration::days(90)));
        for good in [Duration::hours(1), Duration::days(366)] {
            assert_eq!(ends(Some(good)), Ok(now + good));
        }
        let moment = Duration::microseconds(1);
        for bad in [
            Duration::hours(1) - moment,
            Duration::days(366) + moment,
            -Duration::days(1),
        ] {
            assert_eq!(
                ends(Some(bad)).map_err(|violation| violation.code),
                Err("out_of_range")
            );
        }
    }

    #[test]
    fn a_name_is_one_line_of_at_most_a_hundred_characters() {
        assert_eq!(ApiKeyName::parse("/name", " backup ").unwrap().as_str(), "backup");
        assert!(ApiKeyName::parse("/name", &"é".repeat(100)).is_ok());
        for bad in ["", "  ", "a\nb", &"é".repeat(101)] {
            assert!(ApiKeyName::parse("/name", bad).is_err(), "{bad}");
        }
    }
}

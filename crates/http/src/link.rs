//! Links by which a browser fetches a file without signing in: signed, for a few minutes, for one file and one person.
//!
//! A link says for whom it was made, and through which session or key. It is good for that person as they are when it is
//! used: a session that ended, a person who was shut out, demoted or moved to another team, and a ticket that was
//! deleted make it worthless at once, since whoever takes a link asks the
//! [authenticator](identity::Authenticator::reauthenticate) and the domain anew.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use identity::{Access, ApiKeyId, Principal, SessionId};
use kernel::{Person, Role, TicketId, UserId};
use ring::hmac;
use ticketing::{AttachmentId, RatingClaim, RatingLinks};
use uuid::Uuid;

/// For how long a link is good.
const LINK_LIFE: TimeDelta = TimeDelta::minutes(5);

/// The most characters of a link's signed part; a longer text is not looked at.
pub(crate) const LINK_CHARS_MAX: usize = 128;

/// The bytes of what is signed: through what, for whom, until when.
const CLAIM_BYTES: usize = 1 + 16 + 16 + 8;

/// The secret that links are signed with. All nodes of an installation share it.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// The signed part of a link, and until when it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) text: String,
    pub(crate) expires_at: DateTime<Utc>,
}

impl LinkKey {
    /// The key for `secret`, which should have 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A link to a file for whoever speaks here.
    pub(crate) fn link(&self, file: AttachmentId, principal: &Principal, now: DateTime<Utc>) -> Link {
        let expires_at = now + LINK_LIFE;
        let (kind, credential) = match &principal.access {
            Access::Session(SessionId(session)) => (0_u8, session),
            Access::ApiKey {
                key: ApiKeyId(key), ..
            } => (1, key),
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(credential.as_bytes());
        bytes.extend_from_slice(principal.person.id.0.as_bytes());
        bytes.extend_from_slice(&expires_at.timestamp_micros().to_be_bytes());
        let tag = hmac::sign(&self.0, &signed(file, &bytes));
        bytes.extend_from_slice(tag.as_ref());
        Link {
            text: URL_SAFE_NO_PAD.encode(bytes),
            expires_at,
        }
    }

    /// For whom a link to this file was made; `None` for a text that is no link to it, or none any more.
    pub(crate) fn holder(&self, file: AttachmentId, text: &str, now: DateTime<Utc>) -> Option<Principal> {
        if text.len() > LINK_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (claim, tag) = bytes.split_at_checked(CLAIM_BYTES)?;
        hmac::verify(&self.0, &signed(file, claim), tag).ok()?;
        let (kind, rest) = claim.split_first()?;
        let (credential, rest) = rest.split_at_checked(16)?;
        let (person, expiry) = rest.split_at_checked(16)?;
        let expiry = i64::from_be_bytes(expiry.try_into().ok()?);
        if DateTime::from_timestamp_micros(expiry)? <= now {
            return None;
        }
        let credential = Uuid::from_slice(credential).ok()?;
        let access = match kind {
            0 => Access::Session(SessionId(credential)),
            1 => Access::ApiKey {
                key: ApiKeyId(credential),
                scopes: Vec::new(),
            },
            _ => return None,
        };
        // As little as nothing: what the person is now is for the authenticator to say.
        Some(Principal {
            person: Person {
                id: UserId(Uuid::from_slice(person).ok()?),
                role: Role::User,
                teams: Vec::new(),
                origin: None,
            },
            access,
            restriction: None,
        })
    }
}

/// The most characters of a link to rate by; ours have 98.
pub(crate) const RATING_LINK_CHARS_MAX: usize = 128;

/// How what a link to rate by says is written; another way gets another number.
const RATING_CLAIM_VERSION: u8 = 1;

/// The bytes of what such a link says: its version, the ticket, the requester, when it was resolved.
const RATING_CLAIM_BYTES: usize = 1 + 16 + 16 + 8;

/// The secrets that links to rate a ticket are signed with: the present one, and those before it, by which links are still
/// known. All nodes of an installation share them.
///
/// Unlike a link to a file, such a link is itself what lets in: to say how content one person is with one resolution, and to
/// nothing else.
#[derive(Clone)]
pub struct RatingKeys(Vec<hmac::Key>);

impl fmt::Debug for RatingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RatingKeys(…)")
    }
}

impl RatingKeys {
    /// The keys for these secrets, each of 32 random bytes; the present one first.
    #[must_use]
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let key = |secret: S| hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        Self(secrets.into_iter().map(key).collect())
    }
}

impl RatingLinks for RatingKeys {
    fn link(&self, claim: &RatingClaim) -> String {
        let RatingClaim {
            ticket,
            requester,
            resolved_at,
        } = claim;
        let mut bytes = vec![RATING_CLAIM_VERSION];
        bytes.extend_from_slice(ticket.0.as_bytes());
        bytes.extend_from_slice(requester.0.as_bytes());
        bytes.extend_from_slice(&resolved_at.timestamp_micros().to_be_bytes());
        if let Some(present) = self.0.as_slice().first() {
            let tag = hmac::sign(present, &bytes);
            bytes.extend_from_slice(tag.as_ref());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn claim(&self, link: &str) -> Option<RatingClaim> {
        if link.len() > RATING_LINK_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(link).ok()?;
        let (claim, tag) = bytes.split_at_checked(RATING_CLAIM_BYTES)?;
        if !self.0.iter().any(|key| hmac::verify(key, claim, tag).is_ok()) {
            return None;
        }
        let (version, rest) = claim.split_first()?;
        let (ticket, rest) = rest.split_at_checked(16)?;
        let (requester, resolved_at) = rest.split_at_checked(16)?;
        if *version != RATING_CLAIM_VERSION {
            return None;
        }
        let resolved_at = i64::from_be_bytes(resolved_at.try_into().ok()?);
        Some(RatingClaim {
            ticket: TicketId(Uuid::from_slice(ticket).ok()?),
            requester: UserId(Uuid::from_slice(requester).ok()?),
            resolved_at: DateTime::from_timestamp_micros(resolved_at)?,
        })
    }
}

/// What the signature is made over.
fn signed(file: AttachmentId, claim: &[u8]) -> Vec<u8> {
    [file.0.as_bytes(), claim].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn principal(access: Access) -> Principal {
        Principal {
            person: Person {
                id: UserId(Uuid::from_u128(7)),
                role: Role::Admin,
                teams: Vec::new(),
                origin: None,
            },
            access,
            restriction: None,
        }
    }

    fn file(number: u128) -> AttachmentId {
        AttachmentId(Uuid::from_u128(number))
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn a_link_is_good_for_its_file_and_its_time_alone() {
        let key = LinkKey::new(b"secret");
        let session = Access::Session(SessionId(Uuid::from_u128(9)));
        let link = key.link(file(1), &principal(session.clone()), NOW);
        assert_eq!(link.expires_at, NOW + LINK_LIFE);
        assert!(link.text.len() <= LINK_CHARS_MAX);
        let last = NOW + LINK_LIFE - TimeDelta::microseconds(1);
        let holder = key.holder(file(1), &link.text, last).unwrap();
        assert_eq!(
            (holder.person.id, holder.access),
            (UserId(Uuid::from_u128(7)), session)
        );
        assert_eq!(holder.person.role, Role::User, "a link says nothing of rights");
        assert!(key.holder(file(1), &link.text, link.expires_at).is_none());
        assert!(key.holder(file(2), &link.text, NOW).is_none());
        assert!(LinkKey::new(b"other").holder(file(1), &link.text, NOW).is_none());
    }

    #[test]
    fn a_link_of_a_key_is_bound_to_that_key() {
        let key = LinkKey::new(b"secret");
        let access = Access::ApiKey {
            key: ApiKeyId(Uuid::from_u128(9)),
            scopes: Vec::new(),
        };
        let link = key.link(file(1), &principal(access.clone()), NOW);
        assert_eq!(key.holder(file(1), &link.text, NOW).unwrap().access, access);
    }

    fn claim() -> RatingClaim {
        RatingClaim {
            ticket: TicketId(Uuid::from_u128(1)),
            requester: UserId(Uuid::from_u128(2)),
            resolved_at: NOW + TimeDelta::microseconds(1_780_000_000_000_007),
        }
    }

    #[test]
    fn a_link_to_rate_by_says_what_it_was_made_of_under_every_secret_that_is_known() {
        let first = RatingKeys::new([b"first"]);
        let link = first.link(&claim());
        assert_eq!(link.len(), 98);
        assert_eq!(first.claim(&link), Some(claim()));
        let rotated = RatingKeys::new([b"secnd", b"first"]);
        assert_eq!(rotated.claim(&link), Some(claim()));
        assert_ne!(rotated.link(&claim()), link);
        assert_eq!(RatingKeys::new([b"secnd"]).claim(&link), None);
        let file_key = LinkKey::new(b"first");
        assert!(file_key.holder(file(1), &link, NOW).is_none());
        let file_link = file_key.link(file(1), &principal(Access::Session(SessionId(Uuid::nil()))), NOW);
        assert_eq!(first.claim(&file_link.text), None);
    }

    #[test]
    fn without_a_secret_no_link_is_known() {
        let none = RatingKeys::new(Vec::<&[u8]>::new());
        assert_eq!(none.claim(&none.link(&claim())), None);
    }

    proptest! {
        #[test]
        fn a_changed_link_to_rate_by_is_none(at in 0_usize..98, to in "[A-Za-z0-9_-]", cut in 0_usize..98) {
            let keys = RatingKeys::new([b"k"]);
            let link = keys.link(&claim());
            let mut changed = link.clone();
            changed.replace_range(at..=at, &to);
            if changed != link {
                prop_assert!(keys.claim(&changed).is_none());
            }
            prop_assert!(keys.claim(&link[..cut]).is_none());
            let longer = format!("{link}{to}");
            prop_assert!(keys.claim(&longer).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_changed_link_is_none(at in 0_usize..97, to in "[A-Za-z0-9_-]", cut in 0_usize..97) {
            let key = LinkKey::new(b"k");
            let session = Access::Session(SessionId(Uuid::from_u128(9)));
            let text = key.link(file(1), &principal(session), NOW).text;
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            if changed != text {
                prop_assert!(key.holder(file(1), &changed, NOW).is_none());
            }
            prop_assert!(key.holder(file(1), &text[..cut], NOW).is_none());
        }

        #[test]
        fn any_text_is_refused_quietly(text in ".{0,200}") {
            prop_assert!(LinkKey::new(b"k").holder(file(1), &text, NOW).is_none());
        }
    }
}

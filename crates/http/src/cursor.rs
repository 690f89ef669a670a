//! Where the next page of a list begins, as an opaque and signed text.
//!
//! It promises that a cursor is good only for the caller, the path, the filter and the order that it was given out
//! for, and that any other text, forged, cut or foreign, is told apart from it: 400 `request.invalid_cursor`. So a
//! position that reaches a store is always one that the same list gave out.
//!
//! A list whose rows are not sorted by a time implements [`Seek`] for its own position.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use kernel::{Position, TicketId};
use ring::hmac;
use ticketing::SearchPosition;
use uuid::Uuid;

use crate::problem::{Fault, Place, Problem};

/// The bytes of the signature that a cursor carries.
const TAG_BYTES: usize = 16;

/// The most characters of a cursor; a longer text is not looked at.
const CURSOR_CHARS_MAX: usize = 512;

/// The secret that cursors are signed with. All nodes of an installation share it.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// The key for `secret`, which should have 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Begins a keyed digest: of a text in which a secret may stand, so that nobody without the key can try out
    /// which one it was.
    pub(crate) fn digest(&self) -> hmac::Context {
        hmac::Context::with_key(&self.0)
    }

    /// A position as text, good for `scope` alone.
    #[must_use]
    pub fn seal(&self, scope: &CursorScope, position: &impl Seek) -> String {
        let mut bytes = position.to_bytes();
        let tag = self.tag(scope, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a text that was sealed for the same scope.
    ///
    /// # Errors
    /// 400 `request.invalid_cursor` for every other text.
    pub fn open<P: Seek>(&self, scope: &CursorScope, text: &str) -> Result<P, Problem> {
        self.try_open(scope, text).ok_or_else(invalid)
    }

    fn try_open<P: Seek>(&self, scope: &CursorScope, text: &str) -> Option<P> {
        if text.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (position, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let genuine = self.tag(scope, position);
        // Looks at every byte whatever they are, so that the time tells nothing.
        let difference = genuine
            .iter()
            .zip(tag)
            .fold(0_u8, |difference, (a, b)| difference | (a ^ b));
        if difference == 0 {
            P::from_bytes(position)
        } else {
            None
        }
    }

    fn tag(&self, scope: &CursorScope, position: &[u8]) -> [u8; TAG_BYTES] {
        let CursorScope(scope) = scope;
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(scope.len() as u64).to_be_bytes());
        context.update(scope);
        context.update(position);
        let whole = context.sign();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&whole.as_ref()[..TAG_BYTES]);
        tag
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// The answer to a cursor that is not good here.
pub(crate) fn invalid() -> Problem {
    Problem::unreadable(
        "request.invalid_cursor",
        "The cursor is not one that this list gave out for this query.",
    )
    .with_faults(vec![Fault {
        place: Place::Parameter("cursor".to_owned()),
        code: "invalid_cursor",
        message: "is not one that this list gave out for this query".to_owned(),
    }])
}

/// What a cursor is good for: one caller's view of one path with one filter and order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorScope(Vec<u8>);

impl CursorScope {
    /// The scope of a list. `pairs` are the query parameters that decide which rows come and in which order, in any
    /// order.
    #[must_use]
    pub fn new<'a>(principal: Uuid, path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        let mut bytes = principal.as_bytes().to_vec();
        let mut push = |text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        push(path);
        for (name, value) in pairs {
            push(name);
            push(value);
        }
        Self(bytes)
    }
}

/// A position that fits into a cursor.
pub trait Seek: Sized {
    /// The position as bytes.
    fn to_bytes(&self) -> Vec<u8>;

    /// The position of bytes that [`to_bytes`](Self::to_bytes) made; `None` for others.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Seek for Position {
    fn to_bytes(&self) -> Vec<u8> {
        let Position { at, id } = self;
        let mut bytes = at.timestamp_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(id.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (micros, id) = bytes.split_at_checked(8)?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        Some(Self {
            at,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

/// A letter tells the two orders apart.
impl Seek for SearchPosition {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            SearchPosition::Timed(position) => [vec![b't'], position.to_bytes()].concat(),
            SearchPosition::Ranked { score, ticket } => {
                let mut bytes = vec![b'r'];
                bytes.extend_from_slice(&score.to_be_bytes());
                bytes.extend_from_slice(ticket.0.as_bytes());
                bytes
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            b't' => Position::from_bytes(rest).map(SearchPosition::Timed),
            b'r' => {
                let (score, ticket) = rest.split_at_checked(8)?;
                Some(SearchPosition::Ranked {
                    score: i64::from_be_bytes(score.try_into().ok()?),
                    ticket: TicketId(Uuid::from_slice(ticket).ok()?),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(principal: u128, path: &str, pairs: &[(&str, &str)]) -> CursorScope {
        CursorScope::new(Uuid::from_u128(principal), path, pairs.iter().copied())
    }

    fn position() -> impl Strategy<Value = Position> {
        // Every moment from the year 1 to 9999, in microseconds.
        (
            -62_135_596_800_000_000_i64..253_402_300_800_000_000,
            any::<u128>(),
        )
            .prop_map(|(micros, id)| Position {
                at: DateTime::from_timestamp_micros(micros).unwrap(),
                id: Uuid::from_u128(id),
            })
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_alone() {
        let key = CursorKey::new(b"secret");
        let own = scope(1, "/tickets", &[("status", "open"), ("sort", "-updatedAt")]);
        let at = Position {
            at: DateTime::from_timestamp_micros(1).unwrap(),
            id: Uuid::nil(),
        };
        let text = key.seal(&own, &at);
        assert_eq!(key.open::<Position>(&own, &text).unwrap(), at);
        // The order in which parameters are written does not matter.
        let same = scope(1, "/tickets", &[("sort", "-updatedAt"), ("status", "open")]);
        assert_eq!(key.open::<Position>(&same, &text).unwrap(), at);
        for foreign in [
            scope(2, "/tickets", &[("status", "open"), ("sort", "-updatedAt")]),
            scope(1, "/users", &[("status", "open"), ("sort", "-updatedAt")]),
            scope(1, "/tickets", &[("status", "closed"), ("sort", "-updatedAt")]),
            scope(1, "/tickets", &[("status", "open"), ("sort", "updatedAt")]),
            scope(1, "/tickets", &[("status", "open")]),
            scope(1, "/tickets", &[]),
        ] {
            let problem = key.open::<Position>(&foreign, &text).unwrap_err();
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (400, "request.invalid_cursor")
            );
        }
        assert!(CursorKey::new(b"other").open::<Position>(&own, &text).is_err());
    }

    #[test]
    fn no_cursor_that_differs_by_one_character_is_taken() {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (key, scope) = (CursorKey::new(b"k"), scope(1, "/x", &[]));
        let at = Position {
            at: DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap(),
            id: Uuid::from_u128(7),
        };
        let text = key.seal(&scope, &at);
        let mut tried = 0;
        let mut refused = |changed: &str| {
            assert!(key.open::<Position>(&scope, changed).is_err(), "{changed}");
            tried += 1;
        };
        for place in 0..text.len() {
            let (before, after) = text.split_at(place);
            refused(before);
            refused(&format!("{before}{}", &after[1..]));
            for letter in LETTERS.iter().map(|letter| char::from(*letter)) {
                if !after.starts_with(letter) {
                    refused(&format!("{before}{letter}{}", &after[1..]));
                }
                refused(&format!("{before}{letter}{after}"));
                refused(&format!("{text}{letter}"));
            }
        }
        assert!(tried >= 10_000, "{tried}");
    }

    proptest! {
        #[test]
        fn a_position_survives(at in position()) {
            let (key, scope) = (CursorKey::new(b"k"), scope(1, "/x", &[]));
            let text = key.seal(&scope, &at);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(key.open::<Position>(&scope, &text).unwrap(), at);
        }

        #[test]
        fn a_place_among_what_was_found_survives(at in position(), score in any::<i64>(), ranked in any::<bool>()) {
            let (key, scope) = (CursorKey::new(b"k"), scope(1, "/x", &[]));
            let place = if ranked {
                SearchPosition::Ranked { score, ticket: TicketId(at.id) }
            } else {
                SearchPosition::Timed(at)
            };
            let text = key.seal(&scope, &place);
            prop_assert_eq!(key.open::<SearchPosition>(&scope, &text).unwrap(), place);
        }

        #[test]
        fn a_changed_cursor_is_refused(at in position(), byte in 0_usize..54, to in "[A-Za-z0-9_-]", cut in 0_usize..54) {
            let (key, scope) = (CursorKey::new(b"k"), scope(1, "/x", &[]));
            let text = key.seal(&scope, &at);
            let mut changed = text.clone();
            changed.replace_range(byte..=byte, &to);
            if changed != text {
                prop_assert!(key.open::<Position>(&scope, &changed).is_err());
            }
            prop_assert!(key.open::<Position>(&scope, &text[..cut]).is_err());
        }

        #[test]
        fn any_text_is_refused_quietly(text in ".{0,80}") {
            prop_assert!(CursorKey::new(b"k").open::<Position>(&scope(1, "/x", &[]), &text).is_err());
        }
    }
}

//! Entity tags: which version of a resource an answer shows, and which one a request is about.
//!
//! A tag is `"user-7"` or `"user-7.1f0a2b3c4d5e"`: the kind, the version, and in answers with a body a digest of it,
//! so that 304 is said only when every byte is the same (an answer also shows things that no version counts, such as
//! what the caller may do). `If-Match` looks at kind and version alone.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use kernel::Version;
use ring::digest;

use crate::problem::{Fault, Place, Problem};

/// A version that nothing has: the precondition of a request whose tags are none of ours.
const NEVER: Version = Version(0);

/// The most tags of one header.
const TAGS_MAX: usize = 32;

/// Ends the tag of an answer that was sent compressed: its bytes are others, so its tag must be another.
const GZIP_MARK: &str = "-gzip\"";

/// The tag of a version, without regard to how it is shown.
#[must_use]
pub fn version_tag(kind: &str, version: Version) -> String {
    format!("\"{kind}-{}\"", version.0)
}

/// The tag of a version as `body` shows it.
#[must_use]
pub fn body_tag(kind: &str, version: Version, body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, body);
    let digest = hash
        .as_ref()
        .iter()
        .take(6)
        .fold(0_u64, |digest, byte| digest << 8 | u64::from(*byte));
    format!("\"{kind}-{}.{digest:012x}\"", version.0)
}

/// The tag of the same answer in its compressed form.
pub(crate) fn compressed(tag: &HeaderValue) -> Option<HeaderValue> {
    let plain = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{plain}{GZIP_MARK}")).ok()
}

/// The tag as it was before the answer was compressed: the same version, shown the same way.
fn uncompressed(tag: &str) -> String {
    match tag.strip_suffix(GZIP_MARK) {
        Some(plain) => format!("{plain}\""),
        None => tag.to_owned(),
    }
}

/// What a request demands of the version that it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IfMatch {
    /// Nothing.
    #[default]
    Absent,
    /// That there is one.
    Any,
    /// That it has one of these tags.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Reads the header `If-Match`.
    ///
    /// # Errors
    /// 400 `request.invalid_header` when it is no list of entity tags.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(match tags(request, header::IF_MATCH, "If-Match")? {
            None => Self::Absent,
            Some(Tags::Any) => Self::Any,
            // A weak tag never matches: If-Match compares strongly.
            Some(Tags::Listed(tags)) => {
                Self::Tags(tags.into_iter().filter(|tag| !tag.starts_with("W/")).collect())
            }
        })
    }

    /// The version that a command is to find; `None` where any will do. Versions only grow and a client knows none
    /// that has not been, so of several tags only the highest can be the present one.
    #[must_use]
    pub fn expected(&self, kind: &str) -> Option<Version> {
        match self {
            Self::Absent | Self::Any => None,
            Self::Tags(tags) => Some(
                tags.iter()
                    .filter_map(|tag| version_of(kind, tag))
                    .max()
                    .unwrap_or(NEVER),
            ),
        }
    }
}

/// The version that a tag of ours names.
fn version_of(kind: &str, tag: &str) -> Option<Version> {
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = tag.strip_prefix(kind)?.strip_prefix('-')?;
    let version = version.split_once('.').map_or(version, |(version, _)| version);
    version
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| version.parse().ok().map(Version))?
}

/// Whether the client has the very answer already (`If-None-Match`).
///
/// # Errors
/// 400 `request.invalid_header` when it is no list of entity tags.
pub fn is_known(request: &HttpRequest, tag: &str) -> Result<bool, Problem> {
    Ok(match tags(request, header::IF_NONE_MATCH, "If-None-Match")? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags
            .iter()
            .any(|known| known.strip_prefix("W/").unwrap_or(known) == tag),
    })
}

enum Tags {
    Any,
    Listed(Vec<String>),
}

fn tags(request: &HttpRequest, header: HeaderName, name: &'static str) -> Result<Option<Tags>, Problem> {
    let mut tags = Vec::new();
    let mut present = false;
    for value in request.headers().get_all(header) {
        present = true;
        let text = value.to_str().map_err(|_| invalid(name))?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        parse_list(text, &mut tags).ok_or_else(|| invalid(name))?;
    }
    Ok(present.then_some(Tags::Listed(tags)))
}

/// Reads `"a", W/"b"`; a comma may stand inside of the quotes.
fn parse_list(mut rest: &str, tags: &mut Vec<String>) -> Option<()> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(());
        }
        let prefix = if rest.starts_with("W/") { 2 } else { 0 };
        let inner = rest.get(prefix..)?.strip_prefix('"')?;
        let length = inner.find('"')?;
        let end = prefix + length + 2;
        tags.push(uncompressed(rest.get(..end)?));
        rest = rest.get(end..)?;
        if tags.len() > TAGS_MAX || !(rest.is_empty() || rest.starts_with([' ', '\t', ','])) {
            return None;
        }
    }
}

fn invalid(name: &'static str) -> Problem {
    let message = format!("must be * or up to {TAGS_MAX} entity tags in double quotes");
    let detail = format!("The header {name} {message}.");
    Problem::unreadable("request.invalid_header", detail).with_faults(vec![Fault {
        place: Place::Header(name),
        code: "invalid",
        message,
    }])
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn if_match(value: &str) -> Result<IfMatch, Problem> {
        IfMatch::of(
            &TestRequest::default()
                .insert_header((header::IF_MATCH, value))
                .to_http_request(),
        )
    }

    #[test]
    fn if_match_names_the_version_that_a_command_expects() {
        let expected = |value: &str| if_match(value).unwrap().expected("ticket");
        assert_eq!(expected("*"), None);
        assert_eq!(expected("\"ticket-7\""), Some(Version(7)));
        assert_eq!(expected("\"ticket-7.0123456789ab\""), Some(Version(7)));
        assert_eq!(expected("\"ticket-7.0123456789ab-gzip\""), Some(Version(7)));
        assert_eq!(
            expected("\"ticket-3\", \"ticket-9.ab\",\"x,y\""),
            Some(Version(9))
        );
        for never in [
            "\"user-7\"",
            "W/\"ticket-7\"",
            "\"ticket-x\"",
            "\"ticket-+7\"",
            "\"ticket--7\"",
            "\"7\"",
            "\"ticket-99999999999\"",
        ] {
            assert_eq!(expected(never), Some(NEVER), "{never}");
        }
        assert_eq!(
            IfMatch::of(&TestRequest::default().to_http_request())
                .unwrap()
                .expected("ticket"),
            None
        );
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in [
            "",
            "ticket-7",
            "\"ticket-7",
            "\"a\"\"b\"",
            ",",
            "W/ticket",
            "\"a\" x",
        ] {
            assert_eq!(
                if_match(bad).unwrap_err().code(),
                "request.invalid_header",
                "{bad}"
            );
        }
    }

    #[test]
    fn an_answer_is_known_by_every_byte() {
        let known = |value: &str, tag: &str| {
            let request = TestRequest::default()
                .insert_header((header::IF_NONE_MATCH, value))
                .to_http_request();
            is_known(&request, tag).unwrap()
        };
        let tag = body_tag("user", Version(2), b"{}");
        assert!(known(&tag, &tag));
        assert!(known(&format!("\"x\", W/{tag}"), &tag));
        assert!(known("*", &tag));
        let sent = compressed(&HeaderValue::from_str(&tag).unwrap()).unwrap();
        assert_ne!(sent, tag.as_str());
        assert!(known(sent.to_str().unwrap(), &tag));
        assert!(!known(&body_tag("user", Version(2), b"{ }"), &tag));
        assert!(!known(&version_tag("user", Version(2)), &tag));
    }

    proptest! {
        #[test]
        fn what_an_answer_says_is_understood_in_a_request(version in 1..=i32::MAX, body in ".{0,40}") {
            for tag in [version_tag("team", Version(version)), body_tag("team", Version(version), body.as_bytes())] {
                prop_assert_eq!(if_match(&tag).unwrap().expected("team"), Some(Version(version)));
            }
        }

        #[test]
        fn any_header_is_read_or_refused(value in "[ -~]{0,60}") {
            let _ = if_match(&value);
        }
    }
}

//! Values as people type them, parsed once at the edge: a value that exists is valid.
//!
//! Each `parse` takes the JSON pointer of its field and gives the broken rule, so that a use case can collect every
//! fault of an input (`kernel::Violations`) before it answers.

use std::fmt;

use kernel::Violation;
use kernel::text::TextRule;

/// The address that an account is known by. Trimmed and in lower case, so that it is stored, looked up and compared
/// in one form; ASCII only, so that no two addresses look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The most characters of an address.
    pub const MAX_CHARS: usize = 255;
    /// The most characters before the `@`.
    pub const LOCAL_PART_MAX_CHARS: usize = 64;

    /// The address in `raw`.
    ///
    /// # Errors
    /// `too_long`, or `bad_email` for what is no address.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let text = raw.trim();
        if text.chars().count() > Self::MAX_CHARS {
            let message = format!("must have at most {} characters", Self::MAX_CHARS);
            return Err(Violation::new(pointer, "too_long", message));
        }
        let bad = || {
            Violation::new(
                pointer,
                "bad_email",
                "must be an e-mail address like name@example.com",
            )
        };
        let (local, domain) = text.split_once('@').ok_or_else(bad)?;
        if !is_local_part(local) || !is_domain(domain) {
            return Err(bad());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_local_part(local: &str) -> bool {
    let dots_are_inside = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    (1..=EmailAddress::LOCAL_PART_MAX_CHARS).contains(&local.len())
        && dots_are_inside
        && local.chars().all(allowed)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (domain.contains('.') || domain.eq_ignore_ascii_case("localhost")) && domain.split('.').all(is_label)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Defines a text that one rule of the kernel describes.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// What the text must satisfy.
            pub const RULE: TextRule = $rule;

            /// The trimmed text.
            ///
            /// # Errors
            /// `too_short`, `too_long` or `bad_character`.
            pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
                Self::RULE.parse(pointer, raw).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type! {
    /// What a person is called.
    PersonName, TextRule::line(1, 100)
}
text_type! {
    /// What a team is called; unique on the desk.
    TeamName, TextRule::line(1, 100)
}
text_type! {
    /// What a team is for.
    TeamDescription, TextRule::block(1, 2_000)
}

/// Where a person's picture is: an absolute `http` or `https` address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AvatarUrl(String);

impl AvatarUrl {
    /// The most characters of an address.
    pub const MAX_CHARS: usize = 500;

    /// The address in `raw`.
    ///
    /// # Errors
    /// What a line of text can break, or `bad_url`.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let text = TextRule::line(1, Self::MAX_CHARS).parse(pointer, raw)?;
        let lower = text.to_ascii_lowercase();
        let host = lower
            .strip_prefix("https://")
            .or_else(|| lower.strip_prefix("http://"));
        let is_url =
            host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['));
        if !is_url || text.contains(|c: char| c.is_whitespace() || "\"'<>\\`".contains(c)) {
            let message = "must be an absolute address that begins with https:// or http://";
            return Err(Violation::new(pointer, "bad_url", message));
        }
        Ok(Self(text))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AvatarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a new password must satisfy beyond not being a common one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    min_chars: usize,
}

impl PasswordPolicy {
    /// A policy of at least `min_chars` characters, which is held within 8 and 128.
    #[must_use]
    pub fn at_least(min_chars: usize) -> Self {
        Self {
            min_chars: min_chars.clamp(Password::MIN_CHARS, Password::MAX_CHARS),
        }
    }

    /// The fewest characters.
    #[must_use]
    pub fn min_chars(self) -> usize {
        self.min_chars
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::at_least(Password::MIN_CHARS)
    }
}

/// A new password: of allowed length, not a common one, and exactly as typed, white space and all.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The fewest characters that any policy allows.
    pub const MIN_CHARS: usize = 8;
    /// The most characters.
    pub const MAX_CHARS: usize = 128;

    /// The password, if the policy allows it.
    ///
    /// # Errors
    /// `too_short`, `too_long` or `common_password`.
    pub fn parse(pointer: &str, raw: &str, policy: PasswordPolicy) -> Result<Self, Violation> {
        let chars = raw.chars().count();
        if chars < policy.min_chars {
            let message = format!("must have at least {} characters", policy.min_chars);
            return Err(Violation::new(pointer, "too_short", message));
        }
        if chars > Self::MAX_CHARS {
            let message = format!("must have at most {} characters", Self::MAX_CHARS);
            return Err(Violation::new(pointer, "too_long", message));
        }
        if is_common(raw) {
            let message = "must not be one of the passwords that everyone tries first";
            return Err(Violation::new(pointer, "common_password", message));
        }
        Ok(Self(raw.to_owned()))
    }

    /// The password itself, for the hasher alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// One a line, in lower case, sorted; also words that are common only with digits or signs behind them.
static COMMON_PASSWORDS: &str = include_str!("../data/common_passwords.txt");

/// Digits and signs that people put behind a common word and take for a new password.
const COMMON_SUFFIX_MAX_CHARS: usize = 4;

fn is_common(raw: &str) -> bool {
    let lower = raw.trim().to_lowercase();
    let stem = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let suffix_chars = lower.chars().count() - stem.chars().count();
    let one_character = lower
        .chars()
        .next()
        .is_none_or(|first| lower.chars().all(|c| c == first));
    let stem_counts = suffix_chars <= COMMON_SUFFIX_MAX_CHARS && !stem.is_empty();
    one_character
        || COMMON_PASSWORDS
            .lines()
            .any(|common| common == lower || (stem_counts && common == stem))
}

/// A password that someone shows to prove who they are. Not held to the policy, which may have changed since; only
/// bounded.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordAttempt(String);

impl PasswordAttempt {
    /// The attempt; `None` for one longer than any password can be.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        let fits = raw.len() <= Password::MAX_CHARS * 4 && raw.chars().count() <= Password::MAX_CHARS;
        fits.then(|| Self(raw.to_owned()))
    }

    /// An attempt that is shown in place of one that no password can match.
    #[must_use]
    pub fn nothing() -> Self {
        Self(String::new())
    }

    /// The attempt itself, for the hasher alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordAttempt(redacted)")
    }
}

/// A password's hash in the PHC string format, as it is stored: `$argon2id$…`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A stored or fresh hash. What it holds is the hasher's matter.
    #[must_use]
    pub fn from_phc(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

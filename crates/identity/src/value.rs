//! Values as people type them, parsed once at the edge: a value that exists is valid.
//!
//! Each `parse` takes the JSON pointer of its field and gives the broken rule, so that a use case can collect every
//! fault of an input (`kernel::Violations`) before it answers.

use std::fmt;
use std::sync::LazyLock;

use idna::AsciiDenyList;
use kernel::Violation;
use kernel::text::TextRule;
use unicode_normalization::UnicodeNormalization as _;

/// The address that an account is known by, in the one form in which it is stored, looked up and compared: trimmed,
/// NFKC, in lower case, an international domain as `xn--…`. So what is stored is ASCII only, and no two addresses look
/// alike; a local part in another script is refused. Dots and `+` tell addresses apart, for only the receiving side
/// knows what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The most characters of an address (RFC 5321, section 4.5.3.1.3).
    pub const MAX_CHARS: usize = 254;
    /// The most characters before the `@`.
    pub const LOCAL_PART_MAX_CHARS: usize = 64;

    /// The address in `raw`.
    ///
    /// # Errors
    /// `too_long`, or `bad_email` for what is no address.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let too_long = || {
            let message = format!("must have at most {} characters", Self::MAX_CHARS);
            Violation::new(pointer, "too_long", message)
        };
        let trimmed = raw.trim();
        if trimmed.chars().count() > Self::MAX_CHARS {
            return Err(too_long());
        }
        let text: String = trimmed.nfkc().collect();
        let bad = || {
            Violation::new(
                pointer,
                "bad_email",
                "must be an e-mail address like name@example.com",
            )
        };
        let (local, domain) = text.split_once('@').ok_or_else(bad)?;
        let domain = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::STD3).map_err(|_| bad())?;
        if !is_local_part(local) || !is_domain(&domain) {
            return Err(bad());
        }
        let address = format!("{}@{domain}", local.to_ascii_lowercase());
        if address.len() > Self::MAX_CHARS {
            return Err(too_long());
        }
        Ok(Self(address))
    }

    /// An address that lies in a store. What another writer left there and [`EmailAddress::parse`] would refuse is kept
    /// as it is, so that it spoils no page; no mail goes to it ([`EmailAddress::is_sound`]).
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self::parse("", &text).unwrap_or(Self(text))
    }

    /// Whether it is one that someone could have typed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        Self::parse("", &self.0).is_ok()
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
impl PersonName {
    /// What stands for the name of someone whose data was removed.
    #[must_use]
    pub fn of_the_deleted() -> Self {
        Self("Deleted user".to_owned())
    }
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

/// In lower case, sorted; also words that are common only with digits or signs behind them. `data/README.md` says where
/// they are from.
static COMMON_PASSWORDS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../data/common_passwords.txt").lines().collect());

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
    let is_listed = |text: &str| COMMON_PASSWORDS.binary_search(&text).is_ok();
    one_character || is_listed(&lower) || (stem_counts && is_listed(stem))
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
    /// What is stored where there is no password.
    const UNSET: &'static str = "!";

    /// A stored or fresh hash. What it holds is the hasher's matter.
    #[must_use]
    pub fn from_phc(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Stands for no password: nothing matches it. It is of an account that was invited and has not answered yet, or
    /// that is used through single sign-on alone.
    #[must_use]
    pub fn unset() -> Self {
        Self(Self::UNSET.to_owned())
    }

    /// Whether there is no password.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0 == Self::UNSET
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trimmed_and_in_lower_case() {
        let address = EmailAddress::parse("/email", "  Robin.O'Neil+Tag@Mail.Example.COM\n").unwrap();
        assert_eq!(address.as_str(), "robin.o'neil+tag@mail.example.com");
        for good in [
            "a@b.co",
            "x_y-z@sub.a-b.example",
            "1@1.de",
            "root@localhost",
            "a@xn--bcher-kva.example",
        ] {
            assert_eq!(
                EmailAddress::parse("/email", good).map(|a| a.0).as_deref(),
                Ok(good)
            );
        }
    }

    /// What two spellings are to each other.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Pair {
        /// One account.
        Same,
        /// Two accounts.
        Different,
        /// The second is no address.
        Refused,
    }

    #[test]
    fn spellings_of_one_address_are_one_account_and_no_others_are() {
        use Pair::{Different, Refused, Same};
        let long_label = format!("a@{}.example", "b".repeat(64));
        let long_local = format!("{}@b.example", "a".repeat(65));
        let table: [(&str, &str, Pair); 68] = [
            ("kim@example.com", "kim@example.com", Same),
            ("kim@example.com", "Kim@example.com", Same),
            ("kim@example.com", "KIM@EXAMPLE.COM", Same),
            ("kim@example.com", "kim@Example.Com", Same),
            ("kim@example.com", "  kim@example.com\n", Same),
            ("kim@example.com", "\u{a0}kim@example.com", Same),
            ("kim@example.com", "ｋｉｍ@example.com", Same),
            ("kim@example.com", "kim＠example.com", Same),
            ("kim@example.com", "kim@ｅｘａｍｐｌｅ.com", Same),
            ("kim@example.com", "kim@example。com", Same),
            ("kim@example.com", "kim@example．com", Same),
            ("kim@example.com", "kim@exam\u{ad}ple.com", Same),
            ("fix@example.com", "ﬁx@example.com", Same),
            ("a1@example.com", "a①@example.com", Same),
            ("kim@example.com", "\u{1d424}im@example.com", Same),
            ("kim@example.com", "\u{212a}im@example.com", Same),
            ("kim@xn--bcher-kva.example", "kim@bücher.example", Same),
            ("kim@xn--bcher-kva.example", "kim@BÜCHER.example", Same),
            ("kim@xn--bcher-kva.example", "kim@bu\u{308}cher.example", Same),
            ("kim@xn--bcher-kva.example", "kim@XN--BCHER-KVA.example", Same),
            ("kim@xn--fa-hia.example", "kim@faß.example", Same),
            ("kim@xn--wgv71a.example", "kim@日本.example", Same),
            ("root@localhost", "ROOT@LocalHost", Same),
            ("o'neil+tag@example.com", "O'Neil+Tag@example.com", Same),
            ("kim@example.com", "k.im@example.com", Different),
            ("kim@example.com", "kim+desk@example.com", Different),
            ("kim@gmail.com", "k.i.m@gmail.com", Different),
            ("kim@gmail.com", "kim+1@gmail.com", Different),
            ("kim@gmail.com", "kim@googlemail.com", Different),
            ("kim@example.com", "kim@example.org", Different),
            ("kim@example.com", "kim@mail.example.com", Different),
            ("kim@example.com", "kim@example.co", Different),
            ("kim@example.com", "kim@ex\u{430}mple.com", Different),
            ("kim@example.com", "kim@examp1e.com", Different),
            ("kim@example.com", "kim-@example.com", Different),
            ("kim@example.com", "kim_@example.com", Different),
            ("kim@example.com", "1kim@example.com", Different),
            ("kim@fass.example", "kim@faß.example", Different),
            ("kim@bucher.example", "kim@bücher.example", Different),
            ("kim@i.example", "kim@ı.example", Different),
            ("o'neil@example.com", "oneil@example.com", Different),
            ("kim@example.com", "k\u{456}m@example.com", Refused),
            ("kim@example.com", "ки\u{43c}@example.com", Refused),
            ("kim@example.com", "k\u{131}m@example.com", Refused),
            ("kim@example.com", "k\u{200d}im@example.com", Refused),
            ("kim@example.com", "k\u{ad}im@example.com", Refused),
            ("kim@example.com", "\u{202e}kim@example.com", Refused),
            ("kim@example.com", "kím@example.com", Refused),
            ("kim@example.com", "\"kim\"@example.com", Refused),
            ("kim@example.com", "\"k im\"@example.com", Refused),
            ("kim@example.com", "kim@example.com.", Refused),
            ("kim@example.com", "kim@.example.com", Refused),
            ("kim@example.com", "kim.@example.com", Refused),
            ("kim@example.com", ".kim@example.com", Refused),
            ("kim@example.com", "k..im@example.com", Refused),
            ("kim@example.com", "kim@example", Refused),
            ("kim@example.com", "kim@exam_ple.com", Refused),
            ("kim@example.com", "kim@-example.com", Refused),
            ("kim@example.com", "kim@example-.com", Refused),
            ("kim@example.com", "kim@[127.0.0.1]", Refused),
            ("kim@example.com", "kim@example.com@example.org", Refused),
            ("kim@example.com", "Kim <kim@example.com>", Refused),
            ("kim@example.com", "kim@example.com\r\nBcc: a@b.example", Refused),
            ("kim@example.com", "kim\0@example.com", Refused),
            ("kim@example.com", "kim(a)@example.com", Refused),
            ("kim@example.com", "kim@xn--a.example", Refused),
            ("kim@example.com", &long_label, Refused),
            ("kim@example.com", &long_local, Refused),
        ];
        for (stored, typed, pair) in table {
            let stored = EmailAddress::parse("/email", stored).unwrap();
            let found = match EmailAddress::parse("/email", typed) {
                Ok(typed) if typed == stored => Same,
                Ok(typed) => {
                    assert!(typed.as_str().is_ascii(), "{typed}");
                    Different
                }
                Err(_) => Refused,
            };
            assert_eq!(found, pair, "{stored} {typed:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@@b.co",
            "a b@c.co",
            "a@b c.co",
            "a@b..co",
            "<a@b.co>",
            "a,b@c.co",
            "a\"b@c.co",
            "ä@b.co",
            "a@[127.0.0.1]",
            "kim@",
            "kim@example.com,b@c.co",
        ] {
            assert_eq!(
                EmailAddress::parse("/email", bad).map_err(|v| v.code),
                Err("bad_email"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_address_is_as_long_as_mail_allows_also_in_its_other_form() {
        let label = "a".repeat(63);
        let domain = format!("{label}.{label}.{label}.{}", "a".repeat(59));
        let fits = format!("ab@{domain}");
        assert_eq!(fits.len(), 254);
        assert!(EmailAddress::parse("/email", &fits).is_ok());
        let grows = format!("ab@{}", "ü.".repeat(60) + "example");
        for long in [format!("c{fits}"), grows] {
            assert_eq!(
                EmailAddress::parse("/email", &long).map_err(|v| v.code),
                Err("too_long"),
                "{long}"
            );
        }
    }

    #[test]
    fn a_stored_address_is_read_whatever_it_is_and_is_known_for_what_it_is() {
        let sound = EmailAddress::stored("Kim@Example.com".to_owned());
        assert_eq!((sound.as_str(), sound.is_sound()), ("kim@example.com", true));
        for odd in ["", "kim", "Käthe@Example.com", "a@b\r\nBcc: c@d.example"] {
            let address = EmailAddress::stored(odd.to_owned());
            assert_eq!((address.as_str(), address.is_sound()), (odd, false));
        }
    }

    #[test]
    fn a_name_has_one_to_a_hundred_characters() {
        assert_eq!(
            PersonName::parse("/name", "  漢字 Ünïcode ").unwrap().as_str(),
            "漢字 Ünïcode"
        );
        assert!(PersonName::parse("/name", &"ä".repeat(100)).is_ok());
        for bad in ["", "  ", "a\nb", "a\0b", &"ä".repeat(101)] {
            assert!(PersonName::parse("/name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_picture_is_at_a_web_address() {
        for good in [
            "https://example.com/a.png?x=1#y",
            "http://localhost:8080/a",
            "HTTPS://example.com",
            "https://[::1]/a",
        ] {
            assert!(AvatarUrl::parse("/avatarUrl", good).is_ok(), "{good}");
        }
        let long = format!("https://example.com/{}", "a".repeat(500));
        for bad in [
            "",
            "example.com",
            "//example.com",
            "javascript:alert(1)",
            "data:image/png;base64,AA",
            "https://",
            "https:///a",
            "https://exa mple.com",
            "https://example.com/\"onload=\"",
            "https://example.com/<b>",
            "file:///etc/passwd",
            &long,
        ] {
            assert!(AvatarUrl::parse("/avatarUrl", bad).is_err(), "{bad}");
        }
    }

    fn password(raw: &str) -> Result<String, &'static str> {
        Password::parse("/password", raw, PasswordPolicy::default())
            .map(|p| p.0)
            .map_err(|v| v.code)
    }

    #[test]
    fn a_password_has_eight_to_128_characters_and_is_taken_as_typed() {
        assert_eq!(password("zebra-7").map_err(drop), Err(()));
        assert_eq!(password("seven12"), Err("too_short"));
        for good in [
            "  lamps ",
            "xkcdfoo9bar",
            "pâté-pâté",
            "\u{1F600}\u{1F601}\u{1F602}\u{1F603}\u{1F604}\u{1F605}\u{1F606}\u{1F607}",
        ] {
            assert_eq!(password(good).as_deref(), Ok(good));
        }
        let long = "ab cd ef".repeat(16);
        assert_eq!(password(&long).as_deref(), Ok(long.as_str()));
        assert_eq!(password(&format!("{long}x")), Err("too_long"));
    }

    #[test]
    fn the_least_length_is_a_setting_within_bounds() {
        assert_eq!(PasswordPolicy::at_least(1).min_chars(), 8);
        assert_eq!(PasswordPolicy::at_least(1_000).min_chars(), 128);
        let strict = PasswordPolicy::at_least(12);
        let short = Password::parse("/password", "eleven-lamp", strict);
        assert_eq!(
            short.map_err(|v| v.message),
            Err("must have at least 12 characters".to_owned())
        );
    }

    #[test]
    fn a_common_password_is_refused_also_in_capitals_or_with_a_few_signs_behind_it() {
        for common in [
            "password",
            "PASSWORD",
            "Password1",
            "password123!",
            "P@ssw0rd",
            "Passw0rd!",
            "12345678",
            "qwertyuiop",
            "Qwerty123!",
            "iloveyou",
            "Welcome1",
            "welcome2026",
            "letmein!!",
            "Summer2025",
            "administrator",
            "changeme",
            "aaaaaaaa",
            "11111111",
            "!!!!!!!!",
            "1q2w3e4r",
            "trustno1",
            "trustno1!",
            "football",
            "insightdesk",
            "  password  ",
        ] {
            assert_eq!(
                password(common),
                Err(if common.len() < 8 {
                    "too_short"
                } else {
                    "common_password"
                }),
                "{common}"
            );
        }
        for fine in [
            "password of a llama",
            "summerhouse on the hill",
            "seven purple lanterns",
            "dragonfruit smoothie",
        ] {
            assert!(password(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn every_password_of_the_list_is_refused() {
        for listed in COMMON_PASSWORDS.iter() {
            let long_enough = listed.chars().count() >= Password::MIN_CHARS;
            let code = if long_enough {
                "common_password"
            } else {
                "too_short"
            };
            assert_eq!(password(listed), Err(code), "{listed}");
        }
    }

    #[test]
    fn the_list_of_common_passwords_is_as_it_says() {
        let lines = &*COMMON_PASSWORDS;
        let can_be_met = lines
            .iter()
            .filter(|line| line.chars().count() >= Password::MIN_CHARS);
        assert!(can_be_met.count() > 3_000);
        assert!(
            lines.windows(2).all(|pair| pair[0] < pair[1]),
            "sorted, each once"
        );
        assert!(
            lines.iter().all(|line| *line == line.to_lowercase().trim()),
            "in lower case"
        );
    }

    #[test]
    fn an_attempt_is_bounded() {
        assert!(PasswordAttempt::new(&"ä".repeat(128)).is_some());
        assert!(PasswordAttempt::new(&"ä".repeat(129)).is_none());
        assert!(PasswordAttempt::new("").is_some());
    }
}

//! The second factor: its secret, its codes, the codes that stand in for them, and whom the desk asks for it.
//!
//! Codes are those of RFC 6238 as every authenticator app makes them: HMAC-SHA-1 over the number of the 30-second step,
//! six digits. Computing one is the port [`Totp`](crate::ports::Totp)'s; which steps count is decided here.

use std::fmt;

use chrono::{DateTime, Utc};
use kernel::{Role, Version};

/// The length of a step, in seconds.
pub const STEP_SECS: i64 = 30;
/// The number of digits of a code.
pub const CODE_DIGITS: usize = 6;
/// How many recovery codes a person is given at once.
pub const RECOVERY_CODES: usize = 10;

/// The alphabet of base32 (RFC 4648), in which apps take secrets.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The alphabet of recovery codes: no letters that look like others.
const READABLE: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The number of the step that `at` lies in.
#[must_use]
pub fn step_at(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(STEP_SECS)
}

/// The secret that the desk shares with a person's app.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; Self::BYTES]);

impl TotpSecret {
    /// The length in bytes: that of the hash, as RFC 4226 recommends.
    pub const BYTES: usize = 20;

    /// The secret of the first bytes of `random`; `None` when there are too few.
    #[must_use]
    pub fn from_random(random: &[u8]) -> Option<Self> {
        random
            .get(..Self::BYTES)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
    }

    /// Reads what [`TotpSecret::to_base32`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base32(BASE32, text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
    }

    /// The secret as apps take it.
    #[must_use]
    pub fn to_base32(&self) -> String {
        to_base32(BASE32, &self.0)
    }

    /// The secret's bytes, for computing codes.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(redacted)")
    }
}

/// A way in without the device, good once: 80 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// The random bytes of a code.
    pub const BYTES: usize = 10;
    /// The characters of a code.
    const CHARS: usize = 16;
    /// The characters of a group, as codes are shown.
    const GROUP: usize = 4;

    /// The code of the first bytes of `random`; `None` when there are too few.
    #[must_use]
    pub fn from_random(random: &[u8]) -> Option<Self> {
        random
            .get(..Self::BYTES)
            .map(|bytes| Self(to_base32(READABLE, bytes)))
    }

    /// The code as it is hashed: without groups, in lower case.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The code as it is shown: `7h2k-90vd-x3mm-c1qe`.
    #[must_use]
    pub fn grouped(&self) -> String {
        let chars: Vec<char> = self.0.chars().collect();
        let groups: Vec<String> = chars
            .chunks(Self::GROUP)
            .map(|group| group.iter().collect())
            .collect();
        groups.join("-")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(redacted)")
    }
}

/// What a person shows as the second factor, as typed.
#[derive(Clone, PartialEq, Eq)]
pub enum FactorAttempt {
    /// Six digits.
    Code(u32),
    /// What may be a recovery code.
    Recovery(RecoveryCode),
    /// What can be neither.
    Neither,
}

impl FactorAttempt {
    /// Reads what was typed: without regard to case, white space and dashes; `o` is read as 0, `i` and `l` as 1.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let mut plain = String::new();
        for letter in raw
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
        {
            let letter = letter.to_ascii_lowercase();
            if plain.len() >= RecoveryCode::CHARS || !letter.is_ascii_alphanumeric() {
                return FactorAttempt::Neither;
            }
            plain.push(letter);
        }
        if plain.len() == CODE_DIGITS && plain.bytes().all(|byte| byte.is_ascii_digit()) {
            return plain.parse().map_or(FactorAttempt::Neither, FactorAttempt::Code);
        }
        let read: String = plain
            .chars()
            .map(|letter| match letter {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            })
            .collect();
        let known = read.bytes().all(|byte| READABLE.contains(&byte));
        if read.len() == RecoveryCode::CHARS && known {
            FactorAttempt::Recovery(RecoveryCode(read))
        } else {
            FactorAttempt::Neither
        }
    }
}

impl fmt::Debug for FactorAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactorAttempt(redacted)")
    }
}

/// Of whom the desk asks a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TwoFactorRule {
    /// Of nobody: each person chooses.
    #[default]
    Nobody,
    /// Of administrators.
    Admins,
    /// Of agents and administrators.
    Staff,
}

impl TwoFactorRule {
    /// Every rule.
    pub const ALL: [TwoFactorRule; 3] = [TwoFactorRule::Nobody, TwoFactorRule::Admins, TwoFactorRule::Staff];

    /// The name in storage and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TwoFactorRule::Nobody => "none",
            TwoFactorRule::Admins => "admins",
            TwoFactorRule::Staff => "staff",
        }
    }

    /// The rule of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<TwoFactorRule> {
        TwoFactorRule::ALL.into_iter().find(|rule| rule.as_str() == name)
    }

    /// Whether people of `role` need a second factor.
    #[must_use]
    pub fn applies_to(self, role: Role) -> bool {
        match (self, role) {
            (TwoFactorRule::Nobody, Role::User | Role::Agent | Role::Admin)
            | (TwoFactorRule::Admins, Role::User | Role::Agent)
            | (TwoFactorRule::Staff, Role::User) => false,
            (TwoFactorRule::Admins, Role::Admin) | (TwoFactorRule::Staff, Role::Agent | Role::Admin) => true,
        }
    }
}

/// What administrators set about the desk's security while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecuritySettings {
    /// Of whom a second factor is asked.
    pub require_two_factor: TwoFactorRule,
    /// Counts the changes.
    pub version: Version,
}

impl Default for SecuritySettings {
    fn default() -> Self {
        Self {
            require_two_factor: TwoFactorRule::default(),
            version: Version::FIRST,
        }
    }
}

/// Five bits a character, the first ones first, as RFC 4648 does, without padding.
fn to_base32(alphabet: &[u8; 32], bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xffff;
        held += 8;
        while held >= 5 {
            held -= 5;
            text.extend(letter(alphabet, bits >> held));
        }
    }
    if held > 0 {
        text.extend(letter(alphabet, bits << (5 - held)));
    }
    text
}

fn letter(alphabet: &[u8; 32], bits: u32) -> Option<char> {
    alphabet.get((bits & 31) as usize).copied().map(char::from)
}

/// The whole bytes of such a text; `None` when it has other characters.
fn from_base32(alphabet: &[u8; 32], text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.bytes() {
        let value = alphabet.iter().position(|known| *known == letter)?;
        bits = (bits << 5 | u32::try_from(value).ok()?) & 0xffff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.extend(u8::try_from(bits >> held & 0xff).ok());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(to_base32(BASE32, plain.as_bytes()), coded);
            assert_eq!(from_base32(BASE32, coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(from_base32(BASE32, "M1"), None);
    }

    #[test]
    fn a_secret_is_read_back_from_its_text() {
        let secret = TotpSecret::from_random(b"12345678901234567890").unwrap();
        assert_eq!(secret.to_base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(TotpSecret::parse(&secret.to_base32()), Some(secret));
        for odd in ["", "GEZDGNBV", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "!"] {
            assert_eq!(TotpSecret::parse(odd), None, "{odd}");
        }
        assert_eq!(TotpSecret::from_random(&[0; 19]), None);
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let code =
            RecoveryCode::from_random(&[0x08, 0x42, 0x10, 0x84, 0x21, 0xff, 0xee, 0xdd, 0xcc, 0xbb]).unwrap();
        let shown = code.grouped();
        assert_eq!((shown.len(), shown.matches('-').count()), (19, 3), "{shown}");
        let upper = shown.to_uppercase().replace('1', "I").replace('0', "O");
        for typed in [
            shown.as_str(),
            code.expose(),
            &shown.replace('-', " "),
            &format!("  {upper}\n"),
        ] {
            assert_eq!(
                FactorAttempt::parse(typed),
                FactorAttempt::Recovery(code.clone()),
                "{typed}"
            );
        }
    }

    #[test]
    fn six_digits_are_a_code_and_anything_else_is_neither() {
        assert_eq!(FactorAttempt::parse(" 012 345"), FactorAttempt::Code(12_345));
        let long = "1".repeat(10_000);
        for odd in [
            "",
            "12345",
            "1234567",
            "12345a",
            "٠١٢٣٤٥",
            "u".repeat(16).as_str(),
            "1%2'3_4\0",
            &long,
        ] {
            assert_eq!(FactorAttempt::parse(odd), FactorAttempt::Neither, "{odd:.20}");
        }
    }

    #[test]
    fn a_rule_is_read_by_its_name_and_says_of_whom_it_asks() {
        for rule in TwoFactorRule::ALL {
            assert_eq!(TwoFactorRule::parse(rule.as_str()), Some(rule));
        }
        assert_eq!(TwoFactorRule::parse("everyone"), None);
        let asked =
            TwoFactorRule::ALL.map(|rule| [Role::User, Role::Agent, Role::Admin].map(|r| rule.applies_to(r)));
        assert_eq!(
            asked,
            [[false, false, false], [false, false, true], [false, true, true]]
        );
    }

    #[test]
    fn nothing_of_a_secret_or_code_shows_in_debug_output() {
        let secret = TotpSecret::from_random(&[7; 20]).unwrap();
        let code = RecoveryCode::from_random(&[7; 10]).unwrap();
        let shown = format!("{secret:?} {code:?} {:?}", FactorAttempt::parse("123456"));
        assert_eq!(
            shown,
            "TotpSecret(redacted) RecoveryCode(redacted) FactorAttempt(redacted)"
        );
    }
}

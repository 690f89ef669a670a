//! Texts as people type them: what every stored text must satisfy, checked once at the edge.
//!
//! PostgreSQL stores no U+0000, so it is refused here, where the field can still be named. Texts are kept in Unicode's
//! normal form C (UAX #15), so that what looks the same is found and compared as the same.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::failure::Violation;

/// Whether a text may hold line breaks and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One line: no control characters at all.
    One,
    /// Several lines: line breaks and tabs are fine, other control characters are not.
    Many,
}

/// The bounds of a text, in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRule {
    /// The fewest characters, after trimming.
    pub min_chars: usize,
    /// The most characters.
    pub max_chars: usize,
    /// Line breaks or none.
    pub lines: Lines,
}

impl TextRule {
    /// A text of one line.
    #[must_use]
    pub const fn line(min_chars: usize, max_chars: usize) -> Self {
        Self {
            min_chars,
            max_chars,
            lines: Lines::One,
        }
    }

    /// A text of any number of lines.
    #[must_use]
    pub const fn block(min_chars: usize, max_chars: usize) -> Self {
        Self {
            min_chars,
            max_chars,
            lines: Lines::Many,
        }
    }

    /// Trims white space off both ends, composes characters, and checks what is left; `pointer` names the field in the violation.
    ///
    /// # Errors
    /// `too_short`, `too_long` or `bad_character`.
    pub fn parse(self, pointer: &str, raw: &str) -> Result<String, Violation> {
        let text = raw.trim();
        let text = if is_nfc(text) {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.nfc().collect())
        };
        let forbidden = |c: char| match self.lines {
            Lines::One => c.is_control(),
            Lines::Many => c.is_control() && !matches!(c, '\n' | '\r' | '\t'),
        };
        if let Some(c) = text.chars().find(|c| forbidden(*c)) {
            return Err(Violation::new(
                pointer,
                "bad_character",
                format!("must not contain the control character U+{:04X}", u32::from(c)),
            ));
        }
        // A text has at least one byte a character, so the cheap check on bytes settles most texts.
        let chars = if text.len() < self.min_chars {
            text.len()
        } else {
            text.chars().count()
        };
        if chars < self.min_chars {
            let message = match self.min_chars {
                1 => "must not be empty".to_owned(),
                min => format!("must have at least {min} characters"),
            };
            return Err(Violation::new(pointer, "too_short", message));
        }
        if chars > self.max_chars {
            let message = format!("must have at most {} characters, has {chars}", self.max_chars);
            return Err(Violation::new(pointer, "too_long", message));
        }
        Ok(text.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_measured_in_characters() {
        let rule = TextRule::line(1, 3);
        assert_eq!(rule.parse("/x", "  äöü ").as_deref(), Ok("äöü"));
        assert_eq!(rule.parse("/x", "äöüß").map_err(|v| v.code), Err("too_long"));
        assert_eq!(rule.parse("/x", " \t ").map_err(|v| v.code), Err("too_short"));
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        let rule = TextRule::line(1, 3);
        assert_eq!(
            rule.parse("/x", "u\u{308}ber".get(..4).unwrap()).as_deref(),
            Ok("üb")
        );
        assert_eq!(rule.parse("/x", "\u{212b}").as_deref(), Ok("Å"));
    }

    #[test]
    fn control_characters_are_refused_by_name() {
        let violation = TextRule::block(1, 10)
            .parse("/description", "a\u{0}b")
            .unwrap_err();
        assert_eq!(violation.code, "bad_character");
        assert!(violation.message.contains("U+0000"), "{}", violation.message);
        assert!(TextRule::block(1, 10).parse("/x", "a\nb\tc").is_ok());
        assert!(TextRule::line(1, 10).parse("/x", "a\nb").is_err());
    }
}

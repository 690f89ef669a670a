//! Texts and numbers of the knowledge base, checked once where they come in.

use kernel::Violation;
use kernel::text::TextRule;

/// The most characters of an article's Markdown.
pub const CONTENT_MAX_CHARS: usize = 64 * 1024;
/// The most characters of a search.
pub const SEARCH_MAX_CHARS: usize = 200;
/// The greatest place among siblings; the least is 0.
pub const PLACE_MAX: i32 = 9_999;

/// Texts of one rule each.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $rule:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            const RULE: TextRule = $rule;

            /// The text as someone typed it.
            ///
            /// # Errors
            /// When it is too short, too long or has control characters.
            pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
                Self::RULE.parse(pointer, raw).map(Self)
            }

            /// The text as a store holds it, whatever it is.
            #[must_use]
            pub fn stored(text: String) -> Self {
                Self(text)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}

texts! {
    /// A category's name: 1 to 100 characters on one line.
    CategoryName = TextRule::line(1, 100);
    /// What is said of a category: 1 to 2,000 characters.
    Description = TextRule::block(1, 2_000);
    /// The name of a category's icon: 1 to 50 characters on one line.
    Icon = TextRule::line(1, 50);
    /// An article's title: 1 to 200 characters on one line.
    ArticleTitle = TextRule::line(1, 200);
    /// An article's Markdown: 1 to 65,536 characters.
    ArticleContent = TextRule::block(1, CONTENT_MAX_CHARS);
    /// What an article is about in short: 1 to 500 characters on one line.
    Excerpt = TextRule::line(1, 500);
    /// What is searched for: 1 to 200 characters on one line.
    SearchText = TextRule::line(1, SEARCH_MAX_CHARS);
}

/// The most characters of an excerpt that is made.
const MADE_EXCERPT_MAX_CHARS: usize = 200;

impl Excerpt {
    /// The beginning of an article's plain text, up to a word's end.
    #[must_use]
    pub fn made_of(plain: &str) -> Self {
        let mut excerpt = String::new();
        let mut chars = 0;
        for word in plain.split_whitespace() {
            let length = word.chars().count();
            if chars + length + 1 > MADE_EXCERPT_MAX_CHARS {
                if excerpt.is_empty() {
                    excerpt.extend(word.chars().take(MADE_EXCERPT_MAX_CHARS - 1));
                }
                excerpt.push('…');
                break;
            }
            if !excerpt.is_empty() {
                excerpt.push(' ');
            }
            excerpt.extend(word.chars().filter(|c| !c.is_control()));
            chars += length + 1;
        }
        Self(excerpt)
    }
}

/// The language of an article: a code of two or three letters, perhaps with a region (`de`, `pt-br`). It decides which forms of a word
/// are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(String);

impl Language {
    /// A language as someone names it; capitals do not count.
    ///
    /// # Errors
    /// `bad_language` when it is no code.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let code = raw.to_ascii_lowercase();
        let (language, region) = code.split_once('-').unwrap_or((&code, "xx"));
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
        let fits =
            (2..=3).contains(&language.len()) && letters(language) && region.len() == 2 && letters(region);
        if !fits {
            let message = "must be a language like en or pt-br";
            return Err(Violation::new(pointer, "bad_language", message));
        }
        Ok(Self(code))
    }

    /// A language as a store holds it.
    #[must_use]
    pub fn stored(code: String) -> Self {
        Self(code)
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Language {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

/// A place among siblings, the least first: 0 to 9,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place(i32);

impl Place {
    /// A place as someone asks for it.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn parse(pointer: &str, raw: i64) -> Result<Self, Violation> {
        let place = i32::try_from(raw)
            .ok()
            .filter(|place| (0..=PLACE_MAX).contains(place));
        place.map(Self).ok_or_else(|| {
            let message = format!("must be a number from 0 to {PLACE_MAX}");
            Violation::new(pointer, "out_of_range", message)
        })
    }

    /// A place as a store holds it.
    #[must_use]
    pub fn stored(place: i32) -> Self {
        Self(place)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_code() {
        for (raw, fits) in [
            ("en", true),
            ("pt-BR", true),
            ("gsw", true),
            ("", false),
            ("english", false),
            ("e1", false),
            ("en-", false),
        ] {
            assert_eq!(Language::parse("/language", raw).is_ok(), fits, "{raw}");
        }
        assert_eq!(Language::parse("", "pt-BR").unwrap().as_str(), "pt-br");
    }

    #[test]
    fn an_excerpt_ends_with_a_word_within_its_bound() {
        assert_eq!(Excerpt::made_of(" one\n two\tthree ").as_str(), "one two three");
        assert_eq!(Excerpt::made_of("").as_str(), "");
        let long = Excerpt::made_of(&"word ".repeat(100));
        assert!(long.as_str().ends_with("word…") && long.as_str().chars().count() <= MADE_EXCERPT_MAX_CHARS);
        let endless = Excerpt::made_of(&"ä".repeat(1_000));
        assert_eq!(endless.as_str().chars().count(), MADE_EXCERPT_MAX_CHARS);
    }
}

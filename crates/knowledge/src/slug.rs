//! Slugs: what an article or a category is called in an address.

use kernel::Violation;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

/// Names that addresses need for themselves.
const RESERVED: &[&str] = &[
    "new",
    "search",
    "suggestions",
    "admin",
    "versions",
    "articles",
    "categories",
];
/// What has no letters and digits is called.
const NAMELESS: &str = "untitled";
/// The most characters that a suffix (`-2`, `-1f3a…`) takes.
const SUFFIX_CHARS_MAX: usize = 40;

/// A part of an address: letters and digits of any script, in small letters, with single hyphens between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);

impl Slug {
    /// The slug of a title, of at most `chars_max` characters less room for a suffix. Marks over letters are left out; a title
    /// without letters and digits, or one that addresses need for themselves, gets a name of its own.
    #[must_use]
    pub fn of(title: &str, chars_max: usize) -> Self {
        let bare = title.nfkd().filter(|c| !is_combining_mark(*c)).nfc();
        let mut slug = String::new();
        let mut chars = 0;
        let most = chars_max.saturating_sub(SUFFIX_CHARS_MAX);
        for c in bare.flat_map(char::to_lowercase) {
            if c.is_alphanumeric() {
                slug.push(c);
                chars += 1;
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
                chars += 1;
            }
            if chars >= most {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        let slug = if slug.is_empty() { NAMELESS } else { slug };
        if is_reserved(slug) {
            return Self(format!("{slug}-1"));
        }
        Self(slug.to_owned())
    }

    /// The same with a number behind it, for one that is taken.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        Self(format!("{}-{number}", self.0))
    }

    /// The same with an id behind it, which nothing else has.
    #[must_use]
    pub fn unique(&self, id: Uuid) -> Self {
        Self(format!("{}-{}", self.0, id.simple()))
    }

    /// A slug as someone wishes it.
    ///
    /// # Errors
    /// `bad_slug` for one that is not in the form of slugs, `too_long`, `reserved` for one that addresses need.
    pub fn parse(pointer: &str, raw: &str, chars_max: usize) -> Result<Self, Violation> {
        if raw.chars().count() > chars_max {
            let message = format!("must have at most {chars_max} characters");
            return Err(Violation::new(pointer, "too_long", message));
        }
        let is_slug = raw.nfc().eq(raw.chars())
            && raw.split('-').all(|word| {
                !word.is_empty()
                    && word
                        .chars()
                        .all(|c| c.is_alphanumeric() && c.to_lowercase().eq([c]))
            });
        if !is_slug {
            let message = "must be small letters and digits with single hyphens between them";
            return Err(Violation::new(pointer, "bad_slug", message));
        }
        if is_reserved(raw) {
            let message = "is needed for addresses of other things";
            return Err(Violation::new(pointer, "reserved", message));
        }
        Ok(Self(raw.to_owned()))
    }

    /// A slug as a store holds it, or as an address names it.
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

/// Whether addresses need it for themselves; they also name articles by their ids.
fn is_reserved(slug: &str) -> bool {
    RESERVED.contains(&slug) || Uuid::try_parse(slug).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn titles_become_slugs() {
        for (title, slug) in [
            ("How to reset your password", "how-to-reset-your-password"),
            ("  Éclair — à la carte!  ", "eclair-a-la-carte"),
            ("C++ & C#: 10 tips", "c-c-10-tips"),
            ("パスワードを忘れた", "ハスワートを忘れた"),
            ("Как сменить пароль", "как-сменить-пароль"),
            ("!!!", "untitled"),
            ("🎉", "untitled"),
            ("", "untitled"),
            ("Search", "search-1"),
            ("ＦＵＬＬ width", "full-width"),
        ] {
            assert_eq!(Slug::of(title, 200).as_str(), slug, "{title}");
        }
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(Slug::of(id, 200).as_str(), format!("{id}-1"));
    }

    #[test]
    fn wishes_are_checked() {
        for (raw, code) in [
            ("", "bad_slug"),
            ("A", "bad_slug"),
            ("a--b", "bad_slug"),
            ("-a", "bad_slug"),
            ("a_b", "bad_slug"),
            ("a b", "bad_slug"),
            ("../a", "bad_slug"),
            ("new", "reserved"),
            ("01890a5d-ac96-774b-bcce-b302099a8057", "reserved"),
        ] {
            assert_eq!(Slug::parse("/slug", raw, 200).unwrap_err().code, code, "{raw}");
        }
        assert_eq!(
            Slug::parse("/slug", &"a".repeat(201), 200).unwrap_err().code,
            "too_long"
        );
        assert!(Slug::parse("/slug", "über-uns-2", 200).is_ok());
    }

    proptest! {
        #[test]
        fn the_slug_of_any_title_is_one(title in any::<String>(), number in 2..99_u32, id in any::<u128>()) {
            let slug = Slug::of(&title, 200);
            for slug in [slug.numbered(number), slug.unique(Uuid::from_u128(id)), slug] {
                prop_assert!(slug.as_str().chars().count() <= 200);
                prop_assert!(Slug::parse("", slug.as_str(), 200).is_ok(), "{slug:?}");
            }
        }
    }
}

//! Searching: what is looked for, what counts for it, and what is found.

use chrono::NaiveDate;
use kernel::PageLimit;

use crate::article::{ArticleCard, ArticleId};
use crate::category::CategoryId;
use crate::value::{Language, SearchText};

/// The most words of a search that synonyms and spellings are looked up for.
pub(crate) const WORDS_MAX: usize = 16;
/// The most other words that count for those of a search.
pub(crate) const ALTERNATIVES_MAX: usize = 48;

/// What is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The words.
    pub text: SearchText,
    /// What counts as well as one of them.
    pub alternatives: Vec<Alternative>,
    /// The last word, where it may be the beginning of one.
    pub begun: Option<String>,
    /// The language that they, and the articles, are in.
    pub language: Language,
    /// The categories to search; `None` for all.
    pub categories: Option<Vec<CategoryId>>,
    /// An article that is not to be found.
    pub except: Option<ArticleId>,
    /// Whether pieces of the texts are to be shown.
    pub with_pieces: bool,
    /// How many articles to show.
    pub limit: PageLimit,
}

/// What counts as well as a word of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The word.
    pub word: String,
    /// What counts for it: a word, or words in this order.
    pub other: String,
}

/// An article that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The article.
    pub card: ArticleCard,
    /// Its title, in runs.
    pub title: Vec<Run>,
    /// Pieces of its Markdown with what was searched for, in runs; none where they were not asked for.
    pub pieces: Vec<Run>,
}

/// A run of a text that was searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The text, with no markup of ours.
    pub text: String,
    /// Whether it is what was searched for.
    pub is_match: bool,
}

/// What published articles of a language know of some words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spellings {
    /// For each word in order: words of published articles that are written like it, the most alike first; none for a word that
    /// published articles have in some form.
    pub like: Vec<Vec<String>>,
    /// Words that begin like the one that was begun, the shortest first.
    pub completions: Vec<String>,
}

/// A word that no published article has, and what was looked for in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The word.
    pub word: String,
    /// What was looked for: any of these.
    pub instead: Vec<String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFound {
    /// The articles, the best first.
    pub hits: Vec<Hit>,
    /// What was taken for misspelt.
    pub corrections: Vec<Correction>,
}

/// A search that someone made, as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Searched {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The language.
    pub language: Language,
    /// The words, in small letters with single spaces.
    pub text: String,
    /// Whether it found something.
    pub has_hits: bool,
}

/// How often something was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedOften {
    /// The words.
    pub text: String,
    /// The language.
    pub language: Language,
    /// How often.
    pub searches: u64,
    /// How often nothing was found.
    pub without_hits: u64,
}

/// What readers searched for in some days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchReport {
    /// How many searches there were.
    pub searches: u64,
    /// How many found nothing.
    pub without_hits: u64,
    /// What was searched for most often.
    pub most_searched: Vec<SearchedOften>,
    /// What was searched for most often and not found.
    pub most_missed: Vec<SearchedOften>,
}

/// The words of a text in small letters, in order; [`WORDS_MAX`] at the most.
#[must_use]
pub(crate) fn words_of(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)))
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .map(str::to_lowercase)
        .collect()
}

/// The fewest characters of a word that can be misspelt.
const MISSPELT_MIN_CHARS: usize = 4;
/// From how many characters on a word can be misspelt in two places.
const LONG_MIN_CHARS: usize = 8;
/// The most words that are tried in place of a misspelt one.
const INSTEAD_MAX: usize = 3;

/// Which of these words was meant by one that nobody writes: those with the fewest slips between them (a letter too much, too few,
/// another one, or two in the wrong order), one in a short word, two in one of eight letters and more.
#[must_use]
pub(crate) fn meant(word: &str, like: &[String]) -> Vec<String> {
    let slips_max = match word.chars().count() {
        ..MISSPELT_MIN_CHARS => return Vec::new(),
        MISSPELT_MIN_CHARS..LONG_MIN_CHARS => 1,
        LONG_MIN_CHARS.. => 2,
    };
    let slips = |other: &String| strsim::osa_distance(word, other);
    let Some(fewest) = like.iter().map(slips).min().filter(|fewest| *fewest <= slips_max) else {
        return Vec::new();
    };
    let best = like.iter().filter(|other| slips(other) == fewest);
    best.take(INSTEAD_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(
            words_of("  Can't log-in, Größe 3!"),
            ["can", "t", "log", "in", "größe", "3"]
        );
        assert!(words_of("?! --").is_empty());
        assert_eq!(words_of(&"a ".repeat(100)).len(), WORDS_MAX);
    }

    #[test]
    fn few_slips_are_forgiven() {
        let like = ["password", "passport", "printer", "code", "core", "drücker"].map(str::to_owned);
        let cases: &[(&str, &[&str])] = &[
            ("pasword", &["password"]),
            ("passwrod", &["password"]),
            ("pasworrd", &["password"]),
            ("pritner", &["printer"]),
            ("cose", &["code", "core"]),
            ("drucker", &["drücker"]),
            // Too much, or too short to tell.
            ("pritnre", &[]),
            ("cod", &[]),
            ("elephant", &[]),
        ];
        for (word, expected) in cases {
            assert_eq!(meant(word, &like), *expected, "{word}");
        }
        assert!(meant("anything", &[]).is_empty());
    }
}

//! Words that readers use for the same thing.

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use crate::search::words_of;

/// The most sets of words.
pub(crate) const SETS_MAX: usize = 2_000;
/// The most members of a set.
const MEMBERS_MAX: usize = 12;
/// The most words of a member.
const MEMBER_WORDS_MAX: usize = 4;
/// The most characters of a member.
const MEMBER_CHARS_MAX: usize = 60;

/// Sets of words that mean the same to those who search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synonyms {
    sets: Vec<Vec<String>>,
    /// The first word of each member, with all its words and its set.
    members: HashMap<String, Vec<(Vec<String>, usize)>>,
}

/// Why a list of synonyms cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("set {set}: {rule}")]
pub struct SynonymFault {
    /// The set, from 1.
    pub set: usize,
    /// The rule that it breaks.
    pub rule: String,
}

impl Synonyms {
    /// The sets of a list, with semicolons or ends of lines between them, and commas between the members of each. A member is a word, or
    /// up to four in this order.
    ///
    /// # Errors
    /// For a set of fewer than two members or more than 12, a member of no word, more than four or more than 60 characters, and more
    /// than 2,000 sets.
    pub fn parse(list: &str) -> Result<Self, SynonymFault> {
        let mut synonyms = Self::default();
        let sets = list
            .split([';', '\n'])
            .map(str::trim)
            .filter(|text| !text.is_empty());
        for (set, text) in (1..).zip(sets) {
            let fault = |rule: String| Err(SynonymFault { set, rule });
            if synonyms.sets.len() == SETS_MAX {
                return fault(format!("there may be {SETS_MAX} sets at the most"));
            }
            let members: Vec<&str> = text.split(',').map(str::trim).collect();
            if !(2..=MEMBERS_MAX).contains(&members.len()) {
                return fault(format!(
                    "a set has from 2 to {MEMBERS_MAX} members, with commas between them"
                ));
            }
            let mut names = Vec::new();
            for member in members {
                let words = words_of(member);
                if words.is_empty()
                    || words.len() > MEMBER_WORDS_MAX
                    || member.chars().count() > MEMBER_CHARS_MAX
                {
                    return fault(format!(
                        "a member has from 1 to {MEMBER_WORDS_MAX} words and {MEMBER_CHARS_MAX} characters at the most: {member:?}"
                    ));
                }
                names.push(words.join(" "));
                let first = synonyms.members.entry(words[0].clone()).or_default();
                first.push((words, synonyms.sets.len()));
            }
            synonyms.sets.push(names);
        }
        Ok(synonyms)
    }

    /// What these words could be called otherwise: the place of the first word of what is called so, and what it is called.
    #[must_use]
    pub fn of(&self, words: &[String]) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for (place, word) in words.iter().enumerate() {
            let rest = &words[place..];
            let members = self.members.get(word).into_iter().flatten();
            for (member, set) in members.filter(|(member, _)| rest.starts_with(member)) {
                let itself = member.join(" ");
                let others = self.sets[*set].iter().filter(|other| **other != itself);
                found.extend(others.map(|other| (place, other.as_str())));
            }
        }
        found
    }
}

impl fmt::Display for Synonyms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<String> = self.sets.iter().map(|set| set.join(", ")).collect();
        out.write_str(&sets.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_otherwise_is_found_wherever_it_stands() {
        let synonyms = Synonyms::parse("sign in, log in, Login;\nPC, computer;").unwrap();
        let of = |text: &str| -> Vec<(usize, String)> {
            let found = synonyms.of(&words_of(text));
            found
                .into_iter()
                .map(|(place, other)| (place, other.to_owned()))
                .collect()
        };
        assert_eq!(
            of("cannot log in"),
            [(1, "sign in".to_owned()), (1, "login".to_owned())]
        );
        assert_eq!(of("my Computer"), [(1, "pc".to_owned())]);
        assert!(of("log of the sign").is_empty());
        assert_eq!(synonyms.to_string(), "sign in, log in, login; pc, computer");
        assert!(Synonyms::default().of(&words_of("pc")).is_empty());
    }

    #[test]
    fn a_bad_list_says_where() {
        let long = format!("a, {}", "b".repeat(61));
        let many = vec!["x"; 13].join(",");
        for (list, set) in [
            ("pc", 1),
            ("pc, computer\n\npc,", 2),
            ("pc, one two three four five", 1),
            (long.as_str(), 1),
            (many.as_str(), 1),
        ] {
            assert_eq!(Synonyms::parse(list).unwrap_err().set, set, "{list}");
        }
        let full = "a, b\n".repeat(SETS_MAX + 1);
        assert_eq!(Synonyms::parse(&full).unwrap_err().set, SETS_MAX + 1);
    }
}

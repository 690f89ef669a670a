//! What differs between two versions of a text, by lines.

use similar::{Algorithm, ChangeTag, TextDiff};

/// A stretch of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Both have it.
    Same(String),
    /// Only the newer one has it.
    Added(String),
    /// Only the older one had it.
    Removed(String),
}

/// What has to be done to `older` to make it `newer`: stretches in order, of which neighbours are of different kinds.
#[must_use]
pub fn difference(older: &str, newer: &str) -> Vec<Difference> {
    // Patience stays near linear where two texts have nothing in common.
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Patience)
        .diff_lines(older, newer);
    let mut parts: Vec<Difference> = Vec::new();
    for change in diff.iter_all_changes() {
        let line = change.value();
        match (change.tag(), parts.last_mut()) {
            (ChangeTag::Equal, Some(Difference::Same(text)))
            | (ChangeTag::Insert, Some(Difference::Added(text)))
            | (ChangeTag::Delete, Some(Difference::Removed(text))) => text.push_str(line),
            (ChangeTag::Equal, _) => parts.push(Difference::Same(line.to_owned())),
            (ChangeTag::Insert, _) => parts.push(Difference::Added(line.to_owned())),
            (ChangeTag::Delete, _) => parts.push(Difference::Removed(line.to_owned())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_is_told_by_lines() {
        let parts = difference("a\nb\nc\n", "a\nx\ny\nc\n");
        assert_eq!(
            parts,
            [
                Difference::Same("a\n".into()),
                Difference::Removed("b\n".into()),
                Difference::Added("x\ny\n".into()),
                Difference::Same("c\n".into()),
            ]
        );
        assert_eq!(difference("", ""), []);
        assert_eq!(difference("a", "a"), [Difference::Same("a".into())]);
    }

    proptest! {
        /// The parts of each side, put together, are that side.
        #[test]
        fn nothing_is_lost(older in "([abc]{0,2}\n){0,12}", newer in "([abc]{0,2}\n?){0,12}") {
            let (mut old, mut new) = (String::new(), String::new());
            for part in difference(&older, &newer) {
                match part {
                    Difference::Same(text) => {
                        old.push_str(&text);
                        new.push_str(&text);
                    }
                    Difference::Added(text) => new.push_str(&text),
                    Difference::Removed(text) => old.push_str(&text),
                }
            }
            prop_assert_eq!((old, new), (older, newer));
        }
    }
}

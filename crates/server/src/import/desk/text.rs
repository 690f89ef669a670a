//! Texts of other desks within the bounds of ours: nothing of them is lost where it can be helped.

use ticketing::BODY_MAX_BYTES;

/// What stands for a ticket's description where the export has none.
pub(super) const NO_TEXT: &str = "(no text)";
/// What stands for the description of a ticket that staff began among themselves.
pub(super) const FOR_STAFF: &str = "(The first text of this ticket is for staff alone.)";
/// The most bytes of a description; less than a body may have, so that a subject that is too long fits before it.
const DESCRIPTION_MAX_BYTES: usize = BODY_MAX_BYTES - 8 * 1024;
/// The most characters of a subject that are read.
const SUBJECT_READ_MAX_CHARS: usize = 1_000;

/// One line without control characters.
pub(super) fn line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Lines without other control characters.
pub(super) fn block(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    kept.collect::<String>().trim().to_owned()
}

/// The first characters of a text.
pub(super) fn clip(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// A subject: the given one, or how the description begins.
pub(super) fn subject(given: Option<&str>, description: &str) -> String {
    let given = given.map(line).filter(|line| !line.is_empty());
    let subject = given.unwrap_or_else(|| {
        let first = description.lines().map(line).find(|line| !line.is_empty());
        clip(first.as_deref().unwrap_or("(no subject)"), 200)
    });
    clip(&subject, SUBJECT_READ_MAX_CHARS)
}

/// A description, and what of it is too long to be one, in parts that fit a message each.
pub(super) fn description(text: &str) -> (String, Vec<String>) {
    let (first, rest) = cut(text, DESCRIPTION_MAX_BYTES);
    (first.to_owned(), parts(rest))
}

/// A text in parts that fit a message each.
pub(super) fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.trim().is_empty() {
        let (first, behind) = cut(rest, BODY_MAX_BYTES);
        if !first.trim().is_empty() {
            parts.push(first.to_owned());
        }
        rest = behind;
    }
    parts
}

/// As much of a text as fits, up to the end of a line where there is one, and the rest.
fn cut(text: &str, bytes_max: usize) -> (&str, &str) {
    if text.len() <= bytes_max {
        return (text, "");
    }
    let fits = (0..=bytes_max)
        .rev()
        .find(|place| text.is_char_boundary(*place))
        .unwrap_or(0);
    let line_end = text[..fits].rfind('\n').filter(|end| *end > fits / 2);
    text.split_at(line_end.map_or(fits, |end| end + 1))
}

/// Whether a text begins as another one does, but for white space: some exports cut texts.
pub(super) fn begins_with(text: &str, start: &str) -> bool {
    let mut words = text.split_whitespace();
    let mut starts = start.split_whitespace().peekable();
    while let Some(word) = starts.next() {
        let is_same = match words.next() {
            Some(other) if starts.peek().is_none() => other.starts_with(word),
            other => other == Some(word),
        };
        if !is_same {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_go_and_lines_stay() {
        assert_eq!(line(" a\u{0}b\n c "), "a b c");
        assert_eq!(block("a\u{0}\r\nb\tc\u{7}\n"), "a\nb\tc");
    }

    #[test]
    fn a_ticket_without_a_subject_takes_it_from_the_description() {
        assert_eq!(subject(Some(" \n"), "\n Printer\nis on fire"), "Printer");
        assert_eq!(subject(None, ""), "(no subject)");
        assert_eq!(subject(Some("a\nb"), "x"), "a b");
    }

    #[test]
    fn a_long_text_comes_in_parts_and_nothing_is_lost() {
        let long = "ä line of text\n".repeat(20_000);
        let (first, rest) = description(&long);
        assert!(rest.len() > 3 && rest.iter().all(|part| part.len() <= BODY_MAX_BYTES));
        assert_eq!(first + &rest.concat(), long);
        let unbroken = "ä".repeat(BODY_MAX_BYTES);
        assert_eq!(parts(&unbroken).concat(), unbroken);
        assert!(parts("  ").is_empty());
    }

    #[test]
    fn white_space_makes_no_other_text() {
        assert!(begins_with("a  b\n", "a b") && begins_with("a bc d", "a b"));
        assert!(!begins_with("a b", "ab") && !begins_with("a", "a b") && !begins_with("ab c", "a c"));
    }
}

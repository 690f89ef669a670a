//! Texts of strangers, made fit to be shown in a mail.
//!
//! Mail programs make links of whatever looks like one, `evil.example` as well as `https://…`, and a reader
//! trusts what stands in a mail from the desk. So a name is shown only when it can be nothing but a name, and
//! labels lose every sign that an address is made of.

use chrono::Duration;

/// The most characters of a person's name that are shown.
const NAME_CHARS_MAX: usize = 40;

/// The most characters of a key's or a provider's name that are shown.
const LABEL_CHARS_MAX: usize = 60;

/// Signs that names are written with besides letters, and that no address is made of. A full stop is looked
/// at apart.
const NAME_SIGNS: &str = " -'\u{2019}.";

/// Signs that labels keep.
const LABEL_SIGNS: &str = " -_+()#,";

/// Marks of Indic scripts that are written with letters and are none themselves: nuktas and viramas.
const NAME_MARKS: &str = "\u{93c}\u{94d}\u{9bc}\u{9cd}\u{a3c}\u{a4d}\u{abc}\u{acd}\
                          \u{b3c}\u{b4d}\u{bcd}\u{c4d}\u{cbc}\u{ccd}\u{d4d}\u{dca}";

/// The name to greet someone by; `None` for one that could pass for something else, who is greeted without a
/// name.
pub(crate) fn name(raw: &str) -> Option<String> {
    let allowed = |c: char| {
        c.is_alphabetic()
            || NAME_SIGNS.contains(c)
            || NAME_MARKS.contains(c)
            || ('\u{300}'..='\u{36f}').contains(&c)
    };
    // In a name a space follows the full stop; in an address none does.
    let dotted = raw
        .chars()
        .zip(raw.chars().skip(1))
        .any(|(c, next)| c == '.' && next != ' ');
    let is_name = raw.chars().all(allowed) && raw.chars().any(char::is_alphabetic) && !dotted;
    is_name.then(|| cut(raw, NAME_CHARS_MAX))
}

/// A key's or a provider's name with a dot in the middle for each sign that could be part of an address.
pub(crate) fn label(raw: &str) -> String {
    let plain: String = raw
        .chars()
        .map(|c| match c {
            c if c.is_alphanumeric() || LABEL_SIGNS.contains(c) => c,
            _ => '\u{b7}',
        })
        .collect();
    cut(&plain, LABEL_CHARS_MAX)
}

/// The first characters of a text, and a sign that there were more.
fn cut(text: &str, chars_max: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default().trim_end()),
    }
}

/// For how long something is good, in words: rounded down, since a link that is said to be good must be.
pub(crate) fn life(life: Duration) -> String {
    const MINUTES_OF_AN_HOUR: i64 = 60;
    const HOURS_OF_TWO_DAYS: i64 = 48;
    let (hours, minutes) = (life.num_hours(), life.num_minutes());
    match (hours, minutes) {
        (HOURS_OF_TWO_DAYS.., _) => format!("{} days", life.num_days()),
        (2.., _) => format!("{hours} hours"),
        (_, MINUTES_OF_AN_HOUR) => "1 hour".to_owned(),
        (_, 2..) => format!("{minutes} minutes"),
        _ => "1 minute".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_people_are_shown_as_they_are() {
        for good in [
            "Kim",
            "Robin O'Neil",
            "Jean-Luc D\u{2019}Arc",
            "Dr. J. R. Smith Jr.",
            "Ünïcode Jürgen",
            "漢字 太郎",
            "Нина Петрова",
            "प्रिया शर्मा",
            "محمد علي",
            "e\u{301}milie",
        ] {
            assert_eq!(name(good).as_deref(), Some(good));
        }
    }

    #[test]
    fn a_name_that_could_pass_for_something_else_is_not_shown() {
        for bad in [
            "",
            " . ",
            "http://evil.example",
            "evil.example",
            "Kim evil.example",
            "Kim (www.evil.example)",
            "evil\u{3002}example",
            "evil\u{ff0e}example",
            "evil\u{2024}example",
            "kim@evil.example",
            "evil.example/a",
            "Call 0800 123456",
            "<a href=x>Kim</a>",
            "{{ link }}",
            "Kim\r\nBcc: x",
            "Kim\0",
            "Kim\u{202e}moc",
            "Kim\u{200b}",
            "mailto:kim",
        ] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(name(&"ä".repeat(40)), Some("ä".repeat(40)));
        assert_eq!(name(&"ä".repeat(41)), Some(format!("{}…", "ä".repeat(40))));
        let words = format!("{} and more", "ä".repeat(39));
        assert_eq!(name(&words), Some(format!("{}…", "ä".repeat(39))));
    }

    #[test]
    fn a_label_keeps_its_words_and_loses_what_makes_a_link() {
        assert_eq!(label("Deploy key #2 (CI)"), "Deploy key #2 (CI)");
        assert_eq!(label("https://evil.example/a"), "https···evil·example·a");
        assert_eq!(label("kim@evil.example"), "kim·evil·example");
        assert_eq!(label("a\r\nb\0<b>"), "a··b··b·");
        assert_eq!(label(&"k".repeat(500)).chars().count(), LABEL_CHARS_MAX + 1);
    }

    #[test]
    fn a_life_is_told_in_the_unit_that_people_would_use_and_never_too_long() {
        for (minutes, words) in [
            (0, "1 minute"),
            (1, "1 minute"),
            (30, "30 minutes"),
            (60, "1 hour"),
            (90, "90 minutes"),
            (119, "119 minutes"),
            (120, "2 hours"),
            (1_440, "24 hours"),
            (2_879, "47 hours"),
            (2_880, "2 days"),
            (10_080, "7 days"),
            (10_079, "6 days"),
        ] {
            assert_eq!(life(Duration::minutes(minutes)), words);
        }
        assert_eq!(life(Duration::seconds(-5)), "1 minute");
    }

    proptest! {
        #[test]
        fn nothing_shown_has_a_sign_of_an_address_within_it(raw in "\\PC{0,120}") {
            for shown in name(&raw).into_iter().chain([label(&raw)]) {
                prop_assert!(!shown.contains([':', '/', '@', '\\', '\r', '\n', '\0', '<', '>']), "{shown:?}");
                let inner = shown.trim_end_matches('.');
                prop_assert!(
                    inner.match_indices('.').all(|(at, _)| inner[at + 1..].starts_with([' ', '…'])),
                    "{shown:?}"
                );
            }
        }
    }
}

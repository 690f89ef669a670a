//! A program in a few words, by what it says of itself: for a person who looks over their sessions.

/// Browsers and other programs: what their `User-Agent` holds, and what they are called. The first that fits counts:
/// most browsers claim to be several others, too.
const PROGRAMS: [(&str, &str); 15] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-requests/", "Python"),
    ("Python", "Python"),
    ("okhttp/", "Android app"),
    ("Go-http-client/", "Go"),
];

/// Systems, likewise: Android says that it is Linux, an iPhone that it is like Mac OS X.
const SYSTEMS: [(&str, &str); 8] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// The most characters of the name of a program that is not known.
const NAME_CHARS_MAX: usize = 30;

/// A program by its `User-Agent`: "Firefox on Linux", "curl", or "Unknown device". Anyone can claim anything there.
pub(crate) fn device(user_agent: Option<&str>) -> String {
    let Some(user_agent) = user_agent else {
        return UNKNOWN.to_owned();
    };
    let find = |known: &[(&'static str, &'static str)]| {
        let fits = known.iter().find(|(mark, _)| user_agent.contains(mark));
        fits.map(|(_, name)| *name)
    };
    match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, Some(system)) => format!("A program on {system}"),
        (None, None) => own_name(user_agent),
    }
}

const UNKNOWN: &str = "Unknown device";

/// What a program calls itself: `deskbot/2.1 (nightly)` is "deskbot".
fn own_name(user_agent: &str) -> String {
    let name = user_agent.split(['/', ' ', '(', ';']).next().unwrap_or_default();
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    if name.chars().any(char::is_alphanumeric) {
        name
    } else {
        UNKNOWN.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_by_what_it_says_of_itself() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 \
                 Safari/537.36 Edg/138.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile \
                 Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/138.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("deskbot/2.1 (nightly)", "deskbot"),
            ("Mozilla/5.0 (Linux)", "A program on Linux"),
            ("((;", "Unknown device"),
        ] {
            assert_eq!(device(Some(user_agent)), expected, "{user_agent}");
        }
        assert_eq!(device(None), "Unknown device");
        assert_eq!(device(Some(&"x".repeat(400))).len(), NAME_CHARS_MAX);
    }
}

//! What mails say of the desk itself.

use url::{Host, Url};

use crate::settings::SettingsError;

/// The desk's name and where it is reached. Set by its operator; nothing of a request goes in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desk {
    name: String,
    origin: String,
    host: Host<String>,
}

impl Desk {
    /// The most characters of a desk's name.
    pub const NAME_CHARS_MAX: usize = 60;

    /// A desk that is called `name` and reached at `public_url`, such as `https://help.example.com`.
    ///
    /// # Errors
    /// [`SettingsError::DeskName`] for a name that is empty, too long or has control characters;
    /// [`SettingsError::PublicUrl`] for what is no `http` or `https` URL, or has more than host and port.
    pub fn new(name: &str, public_url: &str) -> Result<Self, SettingsError> {
        let name = name.trim();
        let fits = (1..=Self::NAME_CHARS_MAX).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Err(SettingsError::DeskName);
        }
        let url = Url::parse(public_url).map_err(|_| SettingsError::PublicUrl)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare || !matches!(url.scheme(), "http" | "https") {
            return Err(SettingsError::PublicUrl);
        }
        let host = url.host().ok_or(SettingsError::PublicUrl)?.to_owned();
        if !is_plain(&host) {
            return Err(SettingsError::PublicUrl);
        }
        Ok(Self {
            name: name.to_owned(),
            origin: url.origin().ascii_serialization(),
            host,
        })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is reached, without a slash at the end: `https://help.example.com`. In ASCII, and nothing in
    /// it means anything in HTML.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host of that URL, which also greets mail servers.
    pub(crate) fn host(&self) -> &Host<String> {
        &self.host
    }
}

/// Whether a host has no sign but those of names and addresses. URLs allow more, a quotation mark for one.
pub(crate) fn is_plain(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_a_scheme_a_host_and_a_port_in_ascii() {
        for (url, origin) in [
            ("https://help.example.com", "https://help.example.com"),
            ("https://help.example.com/", "https://help.example.com"),
            ("HTTPS://Help.Example.COM:443", "https://help.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            (
                "https://hilfe.bücher.example",
                "https://hilfe.xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(Desk::new("Help", url).unwrap().origin(), origin, "{url}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for url in [
            "",
            "help.example.com",
            "ftp://help.example.com",
            "javascript:alert(1)",
            "https://",
            "https://help.example.com/desk",
            "https://help.example.com/?a",
            "https://help.example.com/#a",
            "https://help.example.com@evil.example",
            "https://user:pass@help.example.com",
            "https://a b.example",
            "https://a\".example",
        ] {
            assert_eq!(Desk::new("Help", url), Err(SettingsError::PublicUrl), "{url}");
        }
    }

    #[test]
    fn a_name_is_one_short_line() {
        let name = |name: &str| Desk::new(name, "https://help.example.com").map(|desk| desk.name);
        assert_eq!(name("  Bücher & Co. ").as_deref(), Ok("Bücher & Co."));
        assert!(name(&"ä".repeat(60)).is_ok());
        for bad in ["", "  ", "a\r\nBcc: x@example.com", "a\0b", &"ä".repeat(61)] {
            assert_eq!(name(bad), Err(SettingsError::DeskName), "{bad:?}");
        }
    }
}

//! Which addresses may be called: those of the public internet, and what the operator allows besides.
//!
//! A URL is checked when it is saved ([`AddressRules::check_url`]) and every address that its name resolves to when it is
//! called ([`AddressRules::check_ip`]), since names can point elsewhere by then. Hosts are read as browsers read them (the
//! WHATWG's URL standard, by the crate `url`), so that `0x7f.1`, `2130706433`, `０１２７.0.0.1` and `[::ffff:7f00:1]` are all the
//! address that they reach. The blocks are those of IANA's registries of special-purpose addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// The most characters of a URL.
pub const URL_MAX_CHARS: usize = 2_000;

/// What an operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRules {
    /// Networks inside that may be called all the same.
    pub allowed: Vec<Network>,
    /// The ports that may be called; 443 alone.
    pub ports: Vec<u16>,
    /// Whether calls without TLS may be made, on port 80 besides; no.
    pub allows_http: bool,
}

impl Default for AddressRules {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            ports: vec![443],
            allows_http: false,
        }
    }
}

/// Why a URL or an address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It is no URL, or one that could be read in two ways.
    #[error("must be a URL: https://example.org/hook")]
    NotAUrl,
    /// It is too long.
    #[error("must have at most {URL_MAX_CHARS} characters")]
    TooLong,
    /// Its scheme is another than https, or http where that is allowed.
    #[error("must begin with https://")]
    Scheme,
    /// It has a user name or password in it.
    #[error("must not have a user name or password in it")]
    UserInfo,
    /// It has a fragment, which is never sent.
    #[error("must not have a fragment")]
    Fragment,
    /// Its port is not among the allowed ones.
    #[error("must not name this port")]
    Port,
    /// Its name is one of the inside.
    #[error("must not name a host of the inside")]
    InsideName,
    /// Its address is one of the inside: this machine, a private network, or a special one.
    #[error("must not lead to an address of the inside")]
    InsideAddress,
}

impl Forbidden {
    /// A stable name, for violations.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Forbidden::NotAUrl => "not_a_url",
            Forbidden::TooLong => "too_long",
            Forbidden::Scheme => "scheme_not_allowed",
            Forbidden::UserInfo => "user_info_not_allowed",
            Forbidden::Fragment => "fragment_not_allowed",
            Forbidden::Port => "port_not_allowed",
            Forbidden::InsideName => "inside_name",
            Forbidden::InsideAddress => "inside_address",
        }
    }
}

/// A block of addresses: `10.1.0.0/16`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: 10.1.0.0/16 or fd00::/8")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let bits = match base {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(wrong)?,
        };
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Self {
        Self {
            base: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)),
            prefix,
        }
    }

    const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Self {
        Self {
            base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
            prefix,
        }
    }

    /// Whether an address lies in it. Those of one family never lie in a network of the other.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let differing = u32::from(base) ^ u32::from(ip);
                differing.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let differing = u128::from(base) ^ u128::from(ip);
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// IANA's special-purpose addresses of IPv4, and multicast.
const INSIDE_V4: [Network; 17] = [
    Network::v4(0, 0, 0, 8),
    Network::v4(10, 0, 0, 8),
    Network::v4(100, 64, 0, 10),
    Network::v4(127, 0, 0, 8),
    Network::v4(169, 254, 0, 16),
    Network::v4(172, 16, 0, 12),
    Network::v4(192, 0, 0, 24),
    Network::v4(192, 0, 2, 24),
    Network::v4(192, 31, 196, 24),
    Network::v4(192, 52, 193, 24),
    Network::v4(192, 88, 99, 24),
    Network::v4(192, 168, 0, 16),
    Network::v4(198, 18, 0, 15),
    Network::v4(198, 51, 100, 24),
    Network::v4(203, 0, 113, 24),
    Network::v4(224, 0, 0, 4),
    Network::v4(240, 0, 0, 4),
];

/// All that IPv6 gives to the public. What is not in it is inside: loopback, mapped and translated IPv4 (`64:ff9b::/96` and
/// `64:ff9b:1::/48`), unique local, link-local, multicast.
const PUBLIC_V6: Network = Network::v6(0x2000, 0, 0, 3);

/// What of it is special all the same: protocols (Teredo among them), documentation, 6to4.
const INSIDE_V6: [Network; 4] = [
    Network::v6(0x2001, 0, 0, 23),
    Network::v6(0x2001, 0xdb8, 0, 32),
    Network::v6(0x2002, 0, 0, 16),
    Network::v6(0x3fff, 0, 0, 20),
];

/// Ends of names that never lead outside (RFC 6761, 6762, 8375, 9476, and ICANN's `internal`), or are used inside.
const INSIDE_NAMES: [&str; 13] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "alt",
    "onion",
    "test",
];

impl AddressRules {
    /// The URL in the form in which it is called, where it may be. Names are not resolved: what they lead to is checked by
    /// [`AddressRules::check_ip`] at each call.
    ///
    /// # Errors
    /// See [`Forbidden`].
    pub fn check_url(&self, text: &str) -> Result<String, Forbidden> {
        if text.chars().count() > URL_MAX_CHARS {
            return Err(Forbidden::TooLong);
        }
        // The standard reads over these, and other readers do not: what can be read in two ways is refused.
        let is_ambiguous = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if text.contains(is_ambiguous) {
            return Err(Forbidden::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| Forbidden::NotAUrl)?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" if self.allows_http => true,
            _ => return Err(Forbidden::Scheme),
        };
        let authority = text.split_once("//").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
            return Err(Forbidden::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(Forbidden::Fragment);
        }
        let port = url.port_or_known_default().ok_or(Forbidden::Port)?;
        let is_allowed = self.ports.contains(&port) || (is_plain && port == 80);
        if !is_allowed {
            return Err(Forbidden::Port);
        }
        match url.host().ok_or(Forbidden::NotAUrl)? {
            Host::Ipv4(ip) => self.check_ip(ip.into())?,
            Host::Ipv6(ip) => self.check_ip(ip.into())?,
            Host::Domain(name) => self.check_name(name)?,
        }
        Ok(url.into())
    }

    /// Whether a name may be called, without resolving it. Where the operator allows networks inside, names inside may be:
    /// what they lead to is checked.
    fn check_name(&self, name: &str) -> Result<(), Forbidden> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.ends_with('.') || name.contains("..") {
            return Err(Forbidden::NotAUrl);
        }
        let ends = |end: &str| {
            let rest = name.strip_suffix(end);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let is_inside = !name.contains('.') || INSIDE_NAMES.iter().any(|end| ends(end));
        if is_inside && self.allowed.is_empty() {
            return Err(Forbidden::InsideName);
        }
        Ok(())
    }

    /// Whether an address may be called. To be asked of every address that a name resolves to, and of the very one that the
    /// connection is made to.
    ///
    /// # Errors
    /// [`Forbidden::InsideAddress`].
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Forbidden> {
        // ::ffff:127.0.0.1 reaches 127.0.0.1.
        let ip = ip.to_canonical();
        if self.allowed.iter().any(|network| network.contains(ip)) {
            return Ok(());
        }
        let is_inside = match ip {
            IpAddr::V4(_) => INSIDE_V4.iter().any(|network| network.contains(ip)),
            IpAddr::V6(_) => !PUBLIC_V6.contains(ip) || INSIDE_V6.iter().any(|network| network.contains(ip)),
        };
        if is_inside {
            Err(Forbidden::InsideAddress)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(url: &str) -> Option<Forbidden> {
        AddressRules::default().check_url(url).err()
    }

    #[test]
    fn public_urls_may_be_called() {
        for url in [
            "https://example.org/hook?a=b",
            "https://example.org:443/",
            "https://sub.example.co.uk./x",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "https://bücher.example/",
            "HTTPS://EXAMPLE.ORG",
        ] {
            assert_eq!(refused(url), None, "{url}");
        }
        let rules = AddressRules::default();
        assert_eq!(
            rules.check_url("https://Bücher.Example").unwrap(),
            "https://xn--bcher-kva.example/"
        );
    }

    #[test]
    fn every_spelling_of_an_address_inside_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.01",
            "127.0.0.1.",
            "１２７.0.0.1",
            "⑫7.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0xA9FEA9FE",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::808:808]",
            "[64:ff9b:1::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[100::1]",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(refused(&url), Some(Forbidden::InsideAddress), "{url}");
        }
    }

    #[test]
    fn names_of_the_inside_are_refused() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "ｌocalhost",
            "db",
            "printer.local",
            "api.internal.",
            "metadata.google.internal",
            "router.lan",
            "x.home.arpa",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(refused(&url), Some(Forbidden::InsideName), "{url}");
        }
        // Only whole labels count.
        assert_eq!(refused("https://notlocalhost.example/"), None);
        assert_eq!(refused("https://local.example/"), None);
    }

    #[test]
    fn schemes_ports_and_users_are_refused() {
        for (url, expected) in [
            ("http://example.org/", Forbidden::Scheme),
            ("ftp://example.org/", Forbidden::Scheme),
            ("file:///etc/passwd", Forbidden::Scheme),
            ("gopher://example.org:70/", Forbidden::Scheme),
            ("javascript:alert(1)", Forbidden::Scheme),
            ("https://user@example.org/", Forbidden::UserInfo),
            ("https://user:word@example.org/", Forbidden::UserInfo),
            ("https://@example.org/", Forbidden::UserInfo),
            ("https://example.org@127.0.0.1/", Forbidden::UserInfo),
            ("https://example.org/#x", Forbidden::Fragment),
            ("https://example.org:22/", Forbidden::Port),
            ("https://example.org:8443/", Forbidden::Port),
            ("https://exa mple.org/", Forbidden::NotAUrl),
            ("https://example.org\\@127.0.0.1/", Forbidden::NotAUrl),
            ("https://exam\nple.org/", Forbidden::NotAUrl),
            (" https://example.org/", Forbidden::NotAUrl),
            ("https://", Forbidden::NotAUrl),
            ("https://1.2.3.4.5.256/", Forbidden::NotAUrl),
            ("https://[::1/", Forbidden::NotAUrl),
            ("https://[fe80::1%25eth0]/", Forbidden::NotAUrl),
            ("https://example..org/", Forbidden::NotAUrl),
            ("example.org", Forbidden::NotAUrl),
            ("", Forbidden::NotAUrl),
        ] {
            assert_eq!(refused(url), Some(expected), "{url}");
        }
        let long = format!("https://example.org/{}", "x".repeat(URL_MAX_CHARS));
        assert_eq!(refused(&long), Some(Forbidden::TooLong));
    }

    #[test]
    fn an_operator_can_allow_networks_ports_and_plain_http() {
        let rules = AddressRules {
            allowed: vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.1".parse().unwrap()],
            ports: vec![443, 8443],
            allows_http: true,
        };
        for url in [
            "http://10.1.2.3/",
            "https://10.1.255.255:8443/",
            "http://127.0.0.1/",
            "https://[::ffff:10.1.0.1]/",
            "http://db/",
        ] {
            assert!(rules.check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://10.2.0.1/",
            "http://127.0.0.2/",
            "http://10.1.2.3:8080/",
            "ftp://10.1.2.3/",
            "http://[::1]/",
        ] {
            assert!(rules.check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in ["", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "fd00::/129", "10.0.0/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn an_address_has_one_answer_in_every_spelling(bits in any::<u32>()) {
            let rules = AddressRules::default();
            let ip = Ipv4Addr::from(bits);
            let expected = rules.check_ip(ip.into()).is_ok();
            for host in [ip.to_string(), bits.to_string(), format!("{bits:#x}"), format!("0{bits:o}"), format!("[::ffff:{ip}]")] {
                prop_assert_eq!(rules.check_url(&format!("https://{host}/")).is_ok(), expected, "{}", host);
            }
            let std_says = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_unspecified() || ip.is_broadcast();
            prop_assert!(!(std_says && expected));
        }

        #[test]
        fn nothing_panics(text in ".{0,40}", host in "[0-9a-fx.:\\[\\]%@#/]{0,24}") {
            let _ = AddressRules::default().check_url(&text);
            let _ = AddressRules::default().check_url(&format!("https://{host}"));
            let _ = text.parse::<Network>();
        }
    }
}

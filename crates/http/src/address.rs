//! Where a request comes from.
//!
//! It promises that a client cannot choose its own address: `X-Forwarded-For` counts only when the peer is a proxy
//! that the configuration trusts, and then only up to the last hop that is none.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use actix_web::HttpRequest;

/// The header in which proxies hand the client's address on.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// A block of addresses: `10.0.0.0/8`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressBlock {
    base: IpAddr,
    prefix_bits: u8,
}

impl AddressBlock {
    /// Whether `address` lies in the block.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let (base, address, width) = match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (u128::from(base.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let dropped = width - u32::from(self.prefix_bits);
        base.checked_shr(dropped).unwrap_or(0) == address.checked_shr(dropped).unwrap_or(0)
    }
}

/// Why a text is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a block such as 10.0.0.0/8")]
pub struct AddressBlockError(String);

impl FromStr for AddressBlock {
    type Err = AddressBlockError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AddressBlockError(text.to_owned());
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.trim().parse().map_err(|_| error())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| error())?,
            None => width,
        };
        if prefix_bits > width {
            Err(error())
        } else {
            Ok(Self { base, prefix_bits })
        }
    }
}

/// The address of the client that sent `request`.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted_proxies: &[AddressBlock]) -> IpAddr {
    // A unix socket has no address; whoever sits behind it is on this machine.
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| {
            address.ip().to_canonical()
        });
    let trusted = |address: IpAddr| trusted_proxies.iter().any(|block| block.contains(address));
    if !trusted(peer) {
        return peer;
    }
    let values = request
        .headers()
        .get_all(X_FORWARDED_FOR)
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|block| block.parse().unwrap()).collect();
        let request = TestRequest::default()
            .peer_addr((peer.parse::<IpAddr>().unwrap(), 1).into())
            .insert_header((X_FORWARDED_FOR, forwarded))
            .to_http_request();
        client_address(&request, &trusted).to_string()
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        assert_eq!(client("203.0.113.9", "10.1.1.1", &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", "10.1.1.1", &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", "1.1.1.1, 203.0.113.9", &["10.0.0.0/8"]),
            "203.0.113.9"
        );
        assert_eq!(
            client("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", &["10.0.0.0/8"]),
            "203.0.113.9"
        );
        assert_eq!(client("10.0.0.1", "nonsense", &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(
            client("::ffff:10.0.0.1", "2001:db8::1", &["10.0.0.0/8"]),
            "2001:db8::1"
        );
    }

    #[test]
    fn blocks_are_read_or_refused() {
        let all: AddressBlock = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        let v6: AddressBlock = "fd00::/8".parse().unwrap();
        assert!(v6.contains("fd12::1".parse().unwrap()) && !v6.contains("fe80::1".parse().unwrap()));
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129"] {
            assert!(bad.parse::<AddressBlock>().is_err(), "{bad}");
        }
    }
}

//! Requests to the provider, each with a bound on everything.

use std::time::Duration;

use identity::ports::ProviderError;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use rustls::crypto::CryptoProvider;
use url::{Host, Url};

/// How long a connection may take.
const CONNECT_SECS_MAX: u64 = 3;
/// How long a request may take altogether.
const REQUEST_SECS_MAX: u64 = 5;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Speaks HTTP with a provider.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher(Client);

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Fetcher {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        // reqwest takes the process' provider. Whoever comes first installs it; all of ours are ring.
        if CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .timeout(Duration::from_secs(REQUEST_SECS_MAX))
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("InsightDesk/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    pub(crate) fn get(&self, address: &Url) -> RequestBuilder {
        self.0.get(address.clone())
    }

    pub(crate) fn post(&self, address: &Url) -> RequestBuilder {
        self.0.post(address.clone())
    }
}

/// Sends a request and reads its answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, ProviderError> {
    let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
    // Addresses may carry secrets; the log gets none.
    let mut response = request
        .send()
        .await
        .map_err(|error| unavailable(error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unavailable(error.without_url()))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(unavailable(format!(
                "the answer is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// Fetches a JSON document.
pub(crate) async fn document<T: for<'a> serde::Deserialize<'a>>(
    what: &str,
    request: RequestBuilder,
) -> Result<T, ProviderError> {
    let Answer { status, body } = send(request).await?;
    if status != StatusCode::OK {
        return Err(unavailable(format!("{what} answers {status}")));
    }
    serde_json::from_slice(&body).map_err(|error| unavailable(format!("{what} is not understood: {error}")))
}

pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ProviderError {
    ProviderError::Unavailable(cause.into())
}

/// Whether secrets may go to an address: over HTTPS, or to this machine. Neither a fragment nor a user may stand in it.
#[must_use]
pub fn is_safe_address(address: &Url) -> bool {
    let plain = address.fragment().is_none() && address.username().is_empty() && address.password().is_none();
    let is_here = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return false,
    };
    plain
        && match address.scheme() {
            "https" => true,
            "http" => is_here,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_https_or_stay_on_this_machine() {
        for good in [
            "https://login.example.com/realms/a",
            "http://localhost:8080/",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
        ] {
            assert!(is_safe_address(&Url::parse(good).unwrap()), "{good}");
        }
        for bad in [
            "http://login.example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://user@example.com/",
            "https://example.com/#a",
        ] {
            assert!(!is_safe_address(&Url::parse(bad).unwrap()), "{bad}");
        }
    }
}

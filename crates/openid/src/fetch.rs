//! Requests to the provider, each with a bound on everything: the HTTP client that the library is given.

use std::pin::Pin;
use std::time::Duration;

use identity::ports::ProviderError;
use openidconnect::http::header::AUTHORIZATION;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use reqwest::{Client, Request};
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

/// An answer on its way.
pub(crate) type Answering<'c> = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

/// Why there is no answer. No address stands in it: addresses may carry secrets, and it goes to the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The provider named an address that secrets must not go to.
    #[error("an address of the provider is neither https nor one of this machine")]
    Address,
    /// It cannot be reached, or not in time.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// The answer does not end.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
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

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let mut request = Request::try_from(request)?;
        if !is_safe_address(request.url()) {
            return Err(FetchError::Address);
        }
        if let Some(secret) = request.headers_mut().get_mut(AUTHORIZATION) {
            secret.set_sensitive(true);
        }
        let mut response = self.0.execute(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Fetcher {
    type Error = FetchError;
    type Future = Answering<'c>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
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

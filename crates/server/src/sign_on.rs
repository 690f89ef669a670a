//! Single sign-on, as it is configured.

use std::sync::Arc;

use identity::service::{ProviderEntry, SignOnSettings};
use identity::sign_on::{ProviderId, RoleRules};
use kernel::{Clock, PortError};
use openid::{OpenIdProvider, OpenIdSettings};
use ring::digest;
use url::Url;

use crate::config::{Config, OpenIdConfig};

/// Where providers send browsers back to, below `public-url`.
const CALLBACK_PATH: &str = "/api/v1/auth/sso/callback";
/// How much of the issuer's host stands in a provider's id.
const HOST_CHARS_MAX: usize = 40;
/// How much of the issuer's SHA-256 does, in bytes.
const DIGEST_BYTES: usize = 4;

/// The providers of this configuration, of which nothing is asked yet.
///
/// # Errors
/// When a provider cannot be made of its settings.
pub fn settings(config: &Config, clock: &Arc<dyn Clock>) -> Result<SignOnSettings, PortError> {
    let OpenIdConfig {
        issuer,
        client_id,
        client_secret,
        name,
        scopes,
        verified_claim,
        role_claim,
        admin_values,
        agent_values,
        create_accounts,
        return_urls,
    } = &config.oidc;
    let (Some(issuer), Some(client_id), Some(public_url)) = (issuer, client_id, &config.public_url) else {
        return Ok(SignOnSettings::default());
    };
    let host = Url::parse(issuer)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let openid = OpenIdSettings {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: client_secret.as_ref().map(|secret| secret.expose().to_owned()),
        scopes: scopes.clone(),
        verified_claim: verified_claim.clone(),
        redirect_uri: format!("{public_url}{CALLBACK_PATH}"),
    };
    let provider = OpenIdProvider::new(openid, Arc::clone(clock)).map_err(|error| bug(Box::new(error)))?;
    let entry = ProviderEntry {
        id: provider_id(&host, issuer).ok_or_else(|| bug("the provider has no id".into()))?,
        name: name.clone().unwrap_or(host),
        provider: Arc::new(provider),
        create_accounts: *create_accounts,
        roles: role_claim.as_ref().map(|claim| RoleRules {
            claim: claim.clone(),
            admin: admin_values.clone(),
            agent: agent_values.clone(),
        }),
    };
    Ok(SignOnSettings {
        providers: vec![entry],
        return_urls: return_urls.clone(),
    })
}

/// An id for people to recognise, that no other issuer has: accounts are found by it, and another issuer's people must
/// not be taken for this one's.
fn provider_id(host: &str, issuer: &str) -> Option<ProviderId> {
    let letters = host.chars().map(|c| c.to_ascii_lowercase());
    let host: String = letters
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(HOST_CHARS_MAX)
        .collect();
    let digest = digest::digest(&digest::SHA256, issuer.as_bytes());
    let digest: String = digest
        .as_ref()
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ProviderId::parse(&format!("{host}-{digest}"))
}

fn bug(source: kernel::failure::BoxError) -> PortError {
    PortError::Bug {
        port: "single sign-on",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_on_one_host_have_different_ids() {
        let id = |issuer: &str| provider_id("Login.Example.com", issuer).unwrap();
        let one = id("https://login.example.com/realms/a");
        assert!(one.as_str().starts_with("login-example-com-"), "{one}");
        assert_eq!(one, id("https://login.example.com/realms/a"));
        assert_ne!(one, id("https://login.example.com/realms/b"));
        assert!(provider_id(&"a".repeat(300), "x").is_some());
    }
}

//! What a provider says of itself (OpenID Connect Discovery 1.0).

use identity::ports::ProviderError;
use serde::Deserialize;
use url::Url;

use crate::fetch::{Fetcher, document, is_safe_address, unavailable};

/// Where a provider describes itself, below its issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// How this desk says who it is when it shows a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// In the header `Authorization`.
    Basic,
    /// In the body.
    Post,
}

/// As much of a provider's description as is used.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) keys: Url,
    pub(crate) userinfo: Option<Url>,
    pub(crate) auth: ClientAuth,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Fetches a provider's description.
pub(crate) async fn describe(fetcher: &Fetcher, issuer: &str) -> Result<Description, ProviderError> {
    let address = format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'));
    let address = Url::parse(&address).map_err(unavailable)?;
    let read: Document = document("the provider's description", fetcher.get(&address)).await?;
    description(read, issuer)
}

fn description(read: Document, issuer: &str) -> Result<Description, ProviderError> {
    let Document {
        issuer: named,
        authorization_endpoint,
        token_endpoint,
        jwks_uri,
        userinfo_endpoint,
        token_endpoint_auth_methods_supported: methods,
    } = read;
    if named != issuer {
        return Err(unavailable(format!(
            "the provider calls itself {named:?}, and the setting oidc-issuer calls it {issuer:?}: they must be \
             written alike"
        )));
    }
    let address = |name: &str, text: &str| {
        let url = Url::parse(text).ok().filter(is_safe_address);
        url.ok_or_else(|| unavailable(format!("the provider's {name} is no https address: {text:?}")))
    };
    let offers = |method: &str| methods.iter().flatten().any(|offered| offered == method);
    Ok(Description {
        authorization: address("authorization_endpoint", &authorization_endpoint)?,
        token: address("token_endpoint", &token_endpoint)?,
        keys: address("jwks_uri", &jwks_uri)?,
        userinfo: userinfo_endpoint
            .map(|text| address("userinfo_endpoint", &text))
            .transpose()?,
        // Without a list it is the header (Discovery 3).
        auth: if !offers("client_secret_basic") && offers("client_secret_post") {
            ClientAuth::Post
        } else {
            ClientAuth::Basic
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://login.example.com/realms/desk";

    fn read(change: impl FnOnce(&mut Value)) -> Result<Description, ProviderError> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example.com/auth?tenant=1",
            "token_endpoint": "https://login.example.com/token",
            "jwks_uri": "https://login.example.com/keys",
            "something_else": [1, 2],
        });
        change(&mut document);
        description(serde_json::from_value(document).unwrap(), ISSUER)
    }

    #[test]
    fn the_way_to_say_who_one_is_is_the_providers() {
        let auth = |methods: Value| {
            read(|document| document["token_endpoint_auth_methods_supported"] = methods)
                .unwrap()
                .auth
        };
        assert_eq!(read(|_| {}).unwrap().auth, ClientAuth::Basic);
        assert_eq!(auth(json!(["client_secret_post"])), ClientAuth::Post);
        assert_eq!(
            auth(json!(["client_secret_post", "client_secret_basic"])),
            ClientAuth::Basic
        );
        assert_eq!(auth(json!(["private_key_jwt"])), ClientAuth::Basic);
    }

    #[test]
    fn a_description_of_another_provider_is_refused() {
        for other in [
            "https://login.example.com/realms/desk/",
            "https://login.example.com",
            "https://evil.example",
        ] {
            assert!(
                read(|document| document["issuer"] = json!(other)).is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn every_address_must_be_safe() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
        ] {
            for bad in [
                "http://login.example.com/x",
                "/relative",
                "javascript:alert(1)",
                "",
            ] {
                assert!(
                    read(|document| document[name] = json!(bad)).is_err(),
                    "{name} {bad}"
                );
            }
        }
    }
}

//! What a provider says of itself (OpenID Connect Discovery 1.0): the library asks and reads it, and finds that the
//! provider calls itself as it is called. Here is what is made of it.

use identity::ports::ProviderError;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse,
};
use openidconnect::{
    AuthType, ClientId, ClientSecret, DiscoveryError, EmptyAdditionalProviderMetadata, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, ProviderMetadata, RedirectUrl, StandardErrorResponse,
};
use url::Url;

use crate::fetch::{Fetcher, is_safe_address, unavailable};
use crate::keys::{Key, Keys};
use crate::token::{MoreClaims, Tokens};

type Metadata = ProviderMetadata<
    EmptyAdditionalProviderMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    Key,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// How a token endpoint says no.
pub(crate) type Refusal = StandardErrorResponse<CoreErrorResponseType>;

/// The library's client of a provider.
pub(crate) type Client = openidconnect::Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    Key,
    CoreAuthPrompt,
    Refusal,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointMaybeSet,
>;

/// Who this desk is at a provider.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) issuer: IssuerUrl,
    pub(crate) client_id: ClientId,
    pub(crate) client_secret: Option<ClientSecret>,
    pub(crate) redirect_uri: RedirectUrl,
}

/// Fetches a provider's description and keys.
pub(crate) async fn discover(fetcher: &Fetcher, us: &Registration) -> Result<(Client, Keys), ProviderError> {
    let Registration {
        issuer,
        client_id,
        client_secret,
        redirect_uri,
    } = us;
    let metadata = Metadata::discover_async(issuer.clone(), fetcher).await;
    let metadata = metadata.map_err(|error| match error {
        DiscoveryError::Validation(why) => unavailable(format!(
            "{why}: the setting oidc-issuer must be written as the provider writes it"
        )),
        error => unavailable(error),
    })?;
    let token = metadata.token_endpoint().cloned();
    let token = token.ok_or_else(|| unavailable("the provider has no token_endpoint"))?;
    // The client for HTTP asks no other; this finds them early, and the one that a browser is sent to.
    is_safe("authorization_endpoint", metadata.authorization_endpoint().url())?;
    is_safe("token_endpoint", token.url())?;
    is_safe("jwks_uri", metadata.jwks_uri().url())?;
    if let Some(userinfo) = metadata.userinfo_endpoint() {
        is_safe("userinfo_endpoint", userinfo.url())?;
    }
    let methods = metadata.token_endpoint_auth_methods_supported();
    let offers = |method| methods.is_some_and(|methods| methods.contains(&method));
    // Without a list it is the header (Discovery 3).
    let auth = if !offers(CoreClientAuthMethod::ClientSecretBasic)
        && offers(CoreClientAuthMethod::ClientSecretPost)
    {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    };
    let keys = metadata.jwks().clone();
    let client =
        openidconnect::Client::from_provider_metadata(metadata, client_id.clone(), client_secret.clone())
            .set_token_uri(token)
            .set_redirect_uri(redirect_uri.clone())
            .set_auth_type(auth);
    Ok((client, keys))
}

fn is_safe(name: &str, address: &Url) -> Result<(), ProviderError> {
    if is_safe_address(address) {
        Ok(())
    } else {
        Err(unavailable(format!("the provider's {name} is no https address")))
    }
}

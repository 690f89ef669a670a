//! Webhooks: how their secrets are made and kept, and what sends their calls.

use std::sync::Arc;
use std::time::Duration;

use automation::webhook::{Caller, Secret, SecretSource};
use automation::{EndpointId, SendCalls};
use delivery::WebhookCaller;
use identity::ports::{SealPurpose, Sealed, Secrets, Vault};
use kernel::PortError;
use postgres::SealSecrets;
use worker::{Piece, Pump};

use crate::config::Config;

/// How long a call waits at the most until a node looks for it.
const SEND_EVERY: Duration = Duration::from_millis(500);
/// How many calls a node makes at the same time.
const CALLS_AT_ONCE: usize = 64;

/// What makes the calls of a desk of this configuration.
#[must_use]
pub fn caller(config: &Config) -> Arc<dyn Caller> {
    Arc::new(WebhookCaller::new(config.webhooks.clone()))
}

/// Secrets of random bytes.
pub(crate) struct FreshSecrets(pub(crate) Arc<dyn Secrets>);

impl SecretSource for FreshSecrets {
    fn fresh(&self) -> Result<Secret, PortError> {
        Secret::of(self.0.salt()?).map_err(|error| PortError::Bug {
            port: "secrets",
            source: error.into(),
        })
    }
}

/// Secrets sealed under the installation's key.
pub(crate) struct VaultedSecrets(pub(crate) Arc<dyn Vault>);

impl SealSecrets for VaultedSecrets {
    fn seal(&self, endpoint: EndpointId, secret: &Secret) -> Result<String, PortError> {
        let sealed = self.0.seal(SealPurpose::Webhook, endpoint.0, &secret.reveal())?;
        Ok(sealed.as_str().to_owned())
    }

    fn open(&self, endpoint: EndpointId, sealed: String) -> Result<Secret, PortError> {
        let sealed = Sealed::from_stored(sealed);
        let text = self.0.open(SealPurpose::Webhook, endpoint.0, &sealed)?;
        Secret::parse(&text).map_err(|error| {
            let (table, column) = SealPurpose::Webhook.place();
            PortError::Corrupt {
                table,
                column,
                id: endpoint.to_string(),
                detail: error.to_string(),
            }
        })
    }
}

/// Sends calls as their time comes.
pub(crate) fn pump(send: Arc<SendCalls>) -> Pump {
    Pump::new("webhooks", SEND_EVERY, CALLS_AT_ONCE, move |room| {
        let send = Arc::clone(&send);
        async move {
            let claimed = send.claim(room).await?;
            let pieces = claimed.into_iter().map(|one| -> Piece {
                let send = Arc::clone(&send);
                Box::pin(async move { Ok(send.send(one).await?) })
            });
            Ok::<_, PortError>(pieces.collect())
        }
    })
}

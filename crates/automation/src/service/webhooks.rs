//! Making, showing and deleting webhook endpoints, and what was sent to them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{Actor, Clock, EventId, IdSource, Page, PageLimit, Position, SystemActor, Version, Violation};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Guard, STALE_TRIES_MAX, met};
use crate::error::{AutomationError, Thing};
use crate::pointer;
use crate::port::CommitError;
use crate::reference::EndpointId;
use crate::rights::RuleRight;
use crate::webhook::{
    AddressRules, Broken, Call, CallState, DeliveryStore, Endpoint, EndpointCommit, EndpointContent,
    EndpointStore, EndpointWrite, Health, NewCall, PING, REPLAYED_IDS_MAX, Replay, Secret, SecretSource,
    Secrets, of_ping,
};

/// For how long calls that ended are kept, in days.
pub const CALLS_KEPT_DAYS: i64 = 30;

/// The use cases of webhook endpoints, for administrators.
pub struct Webhooks {
    endpoints: Arc<dyn EndpointStore>,
    calls: Arc<dyn DeliveryStore>,
    secrets: Arc<dyn SecretSource>,
    addresses: AddressRules,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// An endpoint with a secret that was just made: the one time that it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSecret {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its newest secret.
    pub secret: Secret,
}

impl Webhooks {
    /// The endpoints of this store, at addresses that these rules allow.
    #[must_use]
    pub fn new(
        endpoints: Arc<dyn EndpointStore>,
        calls: Arc<dyn DeliveryStore>,
        secrets: Arc<dyn SecretSource>,
        addresses: AddressRules,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            endpoints,
            calls,
            secrets,
            addresses,
            clock,
            ids,
        }
    }

    /// Refuses whoever may not have to do with endpoints: all but administrators. Every use case asks it; whoever asks for
    /// more before one, such as a password, asks it first.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`].
    pub fn permit(&self, actor: &Actor) -> Result<(), AutomationError> {
        if RuleRight::of(actor) >= RuleRight::Write {
            Ok(())
        } else {
            Err(AutomationError::Forbidden("have to do with webhooks"))
        }
    }

    /// All endpoints.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`].
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Endpoint>, AutomationError> {
        self.permit(actor)?;
        Ok(self.endpoints.endpoints().await?)
    }

    /// One endpoint.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`], [`AutomationError::NotFound`].
    pub async fn show(&self, actor: &Actor, id: EndpointId) -> Result<Endpoint, AutomationError> {
        self.permit(actor)?;
        let endpoint = self.endpoints.endpoint(id).await?;
        endpoint.ok_or(AutomationError::NotFound(Thing::Endpoint))
    }

    /// Makes an endpoint of a document; see [`EndpointContent::read`].
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`]; [`AutomationError::Invalid`] with all that is wrong; [`AutomationError::TooMany`].
    pub async fn create(&self, actor: &Actor, document: &Value) -> Result<NewSecret, AutomationError> {
        self.permit(actor)?;
        let owner = actor
            .user_id()
            .ok_or(AutomationError::Forbidden("make a webhook as nobody"))?;
        let content = EndpointContent::read(document, &self.addresses)?;
        let secret = self.secrets.fresh()?;
        let now = self.clock.now();
        let endpoint = Endpoint {
            id: EndpointId::new(self.ids.as_ref()),
            content,
            secrets: Secrets::one(secret.clone()),
            health: Health::default(),
            disabled: None,
            owner,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        let commit = EndpointCommit {
            event: told(self.ids.as_ref(), now, actor, &endpoint, "created"),
            write: EndpointWrite::Insert(Box::new(endpoint.clone())),
            receipt: None,
        };
        self.endpoints.commit(commit).await.map_err(refused)?;
        Ok(NewSecret { endpoint, secret })
    }

    /// Whether a patch would send something elsewhere than before, or send more: whoever asks for a proof of who one is asks
    /// for it then.
    #[must_use]
    pub fn redirects(patch: &Value) -> bool {
        ["url", "audience"].iter().any(|name| patch.get(name).is_some())
    }

    /// Changes an endpoint by a merge patch. One that is enabled again begins without failures; the calls of one that is
    /// disabled are given up, and can be replayed.
    ///
    /// # Errors
    /// As for [`Webhooks::create`]; [`AutomationError::NotFound`], [`AutomationError::Stale`] for a failed precondition.
    pub async fn update(
        &self,
        actor: &Actor,
        id: EndpointId,
        patch: &Value,
        guard: Guard<'_, Endpoint>,
    ) -> Result<Endpoint, AutomationError> {
        self.permit(actor)?;
        EndpointContent::check_members(patch)?;
        let decide = |mut endpoint: Endpoint| {
            let content = if *patch == json!({ "enabled": false }) {
                // One whose address is not allowed any more can still be switched off.
                EndpointContent {
                    enabled: false,
                    ..endpoint.content.clone()
                }
            } else {
                EndpointContent::read(
                    &pointer::patched(endpoint.content.to_json(), patch),
                    &self.addresses,
                )?
            };
            let change = match (endpoint.content.enabled, content.enabled) {
                (true, false) => "disabled",
                (false, true) => {
                    endpoint.health = Health::default();
                    endpoint.disabled = None;
                    "changed"
                }
                (true, true) | (false, false) => "changed",
            };
            endpoint.content = content;
            Ok((endpoint, change))
        };
        self.changed(actor, id, guard, decide).await
    }

    /// Gives an endpoint a new secret. The one before stays live until [`Webhooks::retire`] or the next.
    ///
    /// # Errors
    /// As for [`Webhooks::update`].
    pub async fn rotate(
        &self,
        actor: &Actor,
        id: EndpointId,
        expected: Option<Version>,
    ) -> Result<NewSecret, AutomationError> {
        self.permit(actor)?;
        let secret = self.secrets.fresh()?;
        let guard = Guard {
            expected,
            ..Guard::none()
        };
        let decide = |mut endpoint: Endpoint| {
            endpoint.secrets = endpoint.secrets.rotated(secret.clone());
            Ok((endpoint, "secret_rotated"))
        };
        let endpoint = self.changed(actor, id, guard, decide).await?;
        Ok(NewSecret { endpoint, secret })
    }

    /// Ends the older of two live secrets.
    ///
    /// # Errors
    /// As for [`Webhooks::update`].
    pub async fn retire(
        &self,
        actor: &Actor,
        id: EndpointId,
        guard: Guard<'_, Endpoint>,
    ) -> Result<Endpoint, AutomationError> {
        self.permit(actor)?;
        let decide = |mut endpoint: Endpoint| {
            endpoint.secrets = endpoint.secrets.retired();
            Ok((endpoint, "secret_retired"))
        };
        self.changed(actor, id, guard, decide).await
    }

    async fn changed(
        &self,
        actor: &Actor,
        id: EndpointId,
        guard: Guard<'_, Endpoint>,
        decide: impl Fn(Endpoint) -> Result<(Endpoint, &'static str), AutomationError> + Send + Sync,
    ) -> Result<Endpoint, AutomationError> {
        for _ in 0..STALE_TRIES_MAX {
            let present = self.show(actor, id).await?;
            met(guard.expected, present.version)?;
            let (mut endpoint, change) = decide(present.clone())?;
            if endpoint == present {
                return Ok(present);
            }
            endpoint.updated_at = self.clock.now();
            endpoint.version = present.version.next();
            let commit = EndpointCommit {
                event: told(self.ids.as_ref(), endpoint.updated_at, actor, &endpoint, change),
                receipt: (guard.receipt)(&endpoint),
                write: EndpointWrite::Update {
                    endpoint: Box::new(endpoint.clone()),
                    expected: present.version,
                },
            };
            match self.endpoints.commit(commit).await {
                Ok(()) => return Ok(endpoint),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// Deletes an endpoint with its calls. Rules that name it are refused from then on what they send there.
    ///
    /// # Errors
    /// As for [`Webhooks::update`].
    pub async fn delete(
        &self,
        actor: &Actor,
        id: EndpointId,
        guard: Guard<'_, ()>,
    ) -> Result<(), AutomationError> {
        for _ in 0..STALE_TRIES_MAX {
            let present = self.show(actor, id).await?;
            met(guard.expected, present.version)?;
            let commit = EndpointCommit {
                event: told(self.ids.as_ref(), self.clock.now(), actor, &present, "deleted"),
                receipt: (guard.receipt)(&()),
                write: EndpointWrite::Delete {
                    id,
                    expected: present.version,
                },
            };
            match self.endpoints.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// Queues a call that tells of nothing, to see whether it arrives; gives its id.
    ///
    /// # Errors
    /// As for [`Webhooks::show`]; [`AutomationError::EndpointDisabled`].
    pub async fn ping(&self, actor: &Actor, id: EndpointId) -> Result<Uuid, AutomationError> {
        self.enabled(actor, id).await?;
        let (event, now) = (EventId::new(self.ids.as_ref()), self.clock.now());
        let call = NewCall {
            id: event.0,
            endpoint: id,
            ticket: None,
            event: PING.to_owned(),
            body: of_ping(event, now).to_string(),
            at: now,
        };
        self.calls.queue(&[call]).await?;
        Ok(event.0)
    }

    async fn enabled(&self, actor: &Actor, id: EndpointId) -> Result<Endpoint, AutomationError> {
        let endpoint = self.show(actor, id).await?;
        if endpoint.content.enabled {
            Ok(endpoint)
        } else {
            Err(AutomationError::EndpointDisabled)
        }
    }

    /// One page of an endpoint's calls, the newest first.
    ///
    /// # Errors
    /// As for [`Webhooks::show`].
    pub async fn calls(
        &self,
        actor: &Actor,
        id: EndpointId,
        state: Option<CallState>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Call>, AutomationError> {
        self.show(actor, id).await?;
        Ok(self.calls.calls(id, state, after, limit).await?)
    }

    /// One call, with what was sent.
    ///
    /// # Errors
    /// As for [`Webhooks::show`].
    pub async fn call(&self, actor: &Actor, id: EndpointId, call: Uuid) -> Result<Call, AutomationError> {
        self.show(actor, id).await?;
        let found = self.calls.call(id, call).await?;
        found.ok_or(AutomationError::NotFound(Thing::Call))
    }

    /// Makes ended calls again, under their ids and in their order; gives their number.
    ///
    /// # Errors
    /// As for [`Webhooks::show`]; [`AutomationError::EndpointDisabled`]; [`AutomationError::Invalid`] for too many ids or an
    /// empty range.
    pub async fn replay(
        &self,
        actor: &Actor,
        id: EndpointId,
        which: &Replay,
    ) -> Result<u64, AutomationError> {
        self.permit(actor)?;
        match which {
            Replay::Ids(ids) if !(1..=REPLAYED_IDS_MAX).contains(&ids.len()) => {
                let message = format!("must be 1 to {REPLAYED_IDS_MAX} ids");
                return Err(Violation::new("/ids", "out_of_range", message).into());
            }
            Replay::Range { from, to, .. } if from >= to => {
                return Err(Violation::new("/to", "out_of_range", "must be later than from").into());
            }
            Replay::Ids(_) | Replay::Range { .. } => {}
        }
        self.enabled(actor, id).await?;
        Ok(self.calls.replay(id, which, self.clock.now()).await?)
    }
}

/// Disables an endpoint that does not answer; nothing where it is gone or disabled by now.
pub(super) async fn disable(
    endpoints: &dyn EndpointStore,
    clock: &dyn Clock,
    ids: &dyn IdSource,
    id: EndpointId,
    why: Broken,
) -> Result<(), AutomationError> {
    for _ in 0..STALE_TRIES_MAX {
        let present = endpoints.endpoint(id).await?;
        let Some(present) = present.filter(|endpoint| endpoint.content.enabled) else {
            return Ok(());
        };
        let now = clock.now();
        let expected = present.version;
        let mut endpoint = Endpoint {
            disabled: Some(why),
            updated_at: now,
            version: expected.next(),
            ..present
        };
        endpoint.content.enabled = false;
        let actor = Actor::System(SystemActor::Automation);
        let commit = EndpointCommit {
            event: told(ids, now, &actor, &endpoint, why.as_str()),
            write: EndpointWrite::Update {
                endpoint: Box::new(endpoint),
                expected,
            },
            receipt: None,
        };
        match endpoints.commit(commit).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Stale) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(AutomationError::Stale { current: None })
}

fn told(ids: &dyn IdSource, at: DateTime<Utc>, actor: &Actor, endpoint: &Endpoint, change: &str) -> Event {
    let fact = IdentityFact::WebhookChanged {
        endpoint: endpoint.id.0,
        name: endpoint.content.name.clone(),
        owner: endpoint.owner,
        change: change.to_owned(),
    };
    Event::new(ids, at, actor, Fact::Identity(fact))
}

fn refused(error: CommitError) -> AutomationError {
    AutomationError::refused(error, Thing::Endpoint)
}

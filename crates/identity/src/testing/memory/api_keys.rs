//! Programs' keys in memory, and people by their account.

use async_trait::async_trait;
use kernel::{Page, PageLimit, Person, PortError, Position, UserId};

use super::{MemoryIdentity, Order, World, page};
use crate::access::ApiKeyId;
use crate::api_key::ApiKey;
use crate::ports::{
    ApiKeyCommit, ApiKeyCommitError, ApiKeyRecord, ApiKeyRevocation, ApiKeyStore, People, PrincipalRecord,
    SignOfUse, WhichKey,
};
use crate::session::SignInMethod;
use crate::user::User;

impl World {
    fn person(&self, user: &User) -> Person {
        Person {
            id: user.id,
            role: user.role,
            teams: self.memberships(user.id),
            origin: None,
        }
    }
}

#[async_trait]
impl ApiKeyStore for MemoryIdentity {
    async fn create(&self, commit: ApiKeyCommit) -> Result<(), ApiKeyCommitError> {
        let ApiKeyCommit {
            key,
            proof,
            live_max,
            events,
        } = commit;
        let mut world = self.world();
        let admitted = world
            .users
            .get(&key.user_id)
            .is_some_and(|user| user.is_usable() && user.password_hash == proof);
        if !admitted {
            return Err(ApiKeyCommitError::Refused);
        }
        let live = world
            .api_keys
            .values()
            .filter(|other| other.user_id == key.user_id && other.is_live(key.created_at));
        if live.count() >= usize::try_from(live_max).unwrap_or(usize::MAX) {
            return Err(ApiKeyCommitError::TooMany);
        }
        world.api_keys.insert(key.id, key);
        world.publish(events, None);
        Ok(())
    }

    async fn key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, PortError> {
        Ok(self.world().api_keys.get(&id).cloned())
    }

    async fn keys(
        &self,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ApiKey>, PortError> {
        let world = self.world();
        let rows = world.api_keys.values().filter(|key| key.user_id == owner);
        let position = |key: &ApiKey| Position {
            at: key.created_at,
            id: key.id.0,
        };
        Ok(page(
            rows.cloned().collect(),
            Order::NewestFirst,
            after,
            limit,
            position,
        ))
    }

    async fn revoke(&self, revocation: ApiKeyRevocation) -> Result<bool, PortError> {
        let ApiKeyRevocation { key, at, events } = revocation;
        let mut world = self.world();
        let stored = world.api_keys.get_mut(&key);
        let Some(stored) = stored.filter(|key| key.revoked_at.is_none()) else {
            return Ok(false);
        };
        stored.revoked_at = Some(at);
        world.publish(events, None);
        Ok(true)
    }

    async fn bearer(&self, which: WhichKey) -> Result<Option<ApiKeyRecord>, PortError> {
        let world = self.world();
        let key = match which {
            WhichKey::Shown(hash) => world.api_keys.values().find(|key| key.key_sha256 == hash),
            WhichKey::Known(id) => world.api_keys.get(&id),
        };
        Ok(key.and_then(|key| {
            let user = world.users.get(&key.user_id)?;
            Some(ApiKeyRecord {
                key: key.id,
                scopes: key.scopes.clone(),
                owner: PrincipalRecord {
                    person: world.person(user),
                    status: user.status,
                    deleted_at: user.deleted_at,
                    session_expires_at: key.expires_at,
                    session_revoked_at: key.revoked_at,
                    method: SignInMethod::Password,
                    two_factor_enabled: user.two_factor_enabled,
                    two_factor_rule: world.security.require_two_factor,
                },
            })
        }))
    }

    async fn used(&self, sign: SignOfUse) -> Result<bool, PortError> {
        let SignOfUse { key, at, ip } = sign;
        let mut world = self.world();
        let stored = world.api_keys.get_mut(&key);
        let Some(stored) = stored.filter(|key| key.last_used_at.is_none_or(|last| last < at)) else {
            return Ok(false);
        };
        stored.last_used_at = Some(at);
        stored.last_used_ip = ip;
        Ok(true)
    }
}

#[async_trait]
impl People for MemoryIdentity {
    async fn person(&self, id: UserId) -> Result<Option<Person>, PortError> {
        let world = self.world();
        let user = world.users.get(&id).filter(|user| user.deleted_at.is_none());
        Ok(user.map(|user| world.person(user)))
    }
}

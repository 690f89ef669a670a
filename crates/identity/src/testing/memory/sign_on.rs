//! Sign-ons and links in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{PortError, UserId};

use super::MemoryIdentity;
use crate::ports::{
    Expected, LinkChange, MembershipsAfter, PendingSignOn, Sealed, SignOnCommit, SignOnCommitError,
    SignOnStore, SignOnToken, WaysIn,
};
use crate::session::TokenHash;
use crate::sign_on::{ExternalIdentity, ProviderId, Subject};
use crate::user::User;

#[async_trait]
impl SignOnStore for MemoryIdentity {
    async fn remember(&self, pending: PendingSignOn) -> Result<(), PortError> {
        self.world().sign_ons.insert(pending.token.clone(), pending);
        Ok(())
    }

    async fn spend(
        &self,
        kind: SignOnToken,
        token: &TokenHash,
        at: DateTime<Utc>,
    ) -> Result<Option<Sealed>, PortError> {
        let mut world = self.world();
        if world
            .sign_ons
            .get(token)
            .is_none_or(|pending| pending.kind != kind)
        {
            return Ok(None);
        }
        let spent = world.sign_ons.remove(token);
        Ok(spent
            .filter(|pending| at < pending.expires_at)
            .map(|pending| pending.sealed))
    }

    async fn linked(&self, provider: &ProviderId, subject: &Subject) -> Result<Option<User>, PortError> {
        let world = self.world();
        let link = world
            .links
            .iter()
            .find(|link| link.provider == *provider && link.subject == *subject);
        Ok(link.and_then(|link| world.users.get(&link.user)).cloned())
    }

    async fn links(&self, user: UserId) -> Result<Vec<ExternalIdentity>, PortError> {
        let world = self.world();
        let mut links: Vec<_> = world
            .links
            .iter()
            .filter(|link| link.user == user)
            .cloned()
            .collect();
        links.sort_by_key(|link| (link.created_at, link.provider.clone(), link.subject.clone()));
        Ok(links)
    }

    async fn commit(&self, commit: SignOnCommit) -> Result<(), SignOnCommitError> {
        let SignOnCommit {
            mut user,
            expected,
            link,
            ways_in,
            memberships,
            events,
        } = commit;
        let mut world = self.world();
        match (expected, world.users.get(&user.id)) {
            (Expected::Absent, None) => {}
            (Expected::Version(version), Some(stored)) if stored.version == version => {
                user.last_login_at = stored.last_login_at;
                user.created_at = stored.created_at;
            }
            (Expected::Absent, Some(_)) | (Expected::Version(_), Some(_) | None) => {
                return Err(SignOnCommitError::Stale);
            }
        }
        if world.is_taken(&user.email, user.id) {
            return Err(SignOnCommitError::Stale);
        }
        if let LinkChange::Add(link) = &link {
            let same = |other: &ExternalIdentity| {
                other.provider == link.provider
                    && other.subject == link.subject
                    && !(other.user == user.id && ways_in != WaysIn::Keep)
            };
            if world.links.iter().any(same) {
                return Err(SignOnCommitError::Stale);
            }
        }
        let was_admin = world.users.get(&user.id).is_some_and(User::is_acting_admin);
        let others = world
            .users
            .values()
            .any(|other| other.id != user.id && other.is_acting_admin());
        if was_admin && !user.is_acting_admin() && !others {
            return Err(SignOnCommitError::LastAdmin);
        }
        let id = user.id;
        world.users.insert(id, user);
        match ways_in {
            WaysIn::Keep => {}
            WaysIn::Close { at } => {
                world.end_sessions(at, |session| session.user_id == id);
                world.links.retain(|link| link.user != id);
            }
        }
        match link {
            LinkChange::Add(link) => world.links.push(link),
            LinkChange::Used(used) => {
                let stored = world
                    .links
                    .iter_mut()
                    .find(|link| link.provider == used.provider && link.subject == used.subject);
                if let Some(stored) = stored {
                    stored.email = used.email;
                    stored.last_used_at = used.last_used_at;
                }
            }
            LinkChange::Remove(provider) => {
                world
                    .links
                    .retain(|link| !(link.user == id && link.provider == provider));
            }
        }
        match memberships {
            MembershipsAfter::Keep => {}
            MembershipsAfter::LeaveAll => world.members.retain(|(_, user), _| *user != id),
        }
        world.publish(events, None);
        Ok(())
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(), PortError> {
        self.world().publish(events, None);
        Ok(())
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut world = self.world();
        let over = world
            .sign_ons
            .values()
            .filter(|pending| pending.expires_at < before);
        let tokens: Vec<TokenHash> = over
            .map(|pending| pending.token.clone())
            .take(usize::try_from(rows_max).unwrap_or(0))
            .collect();
        for token in &tokens {
            world.sign_ons.remove(token);
        }
        Ok(tokens.len() as u64)
    }
}

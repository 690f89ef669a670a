//! One-time tokens in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, UserId};

use super::{MemoryIdentity, World};
use crate::ports::{
    OneTimeToken, OneTimeTokenId, OneTimeTokens, OtherTokens, TokenIssue, TokenKind, TokenSpend,
};
use crate::session::TokenHash;

impl MemoryIdentity {
    /// The one-time tokens, in the order in which they were issued.
    #[must_use]
    pub fn tokens(&self) -> Vec<OneTimeToken> {
        self.world().tokens.clone()
    }
}

impl World {
    /// Whether the token that was shown, if one was, is open and the account's.
    pub(super) fn is_open(&self, spend: &TokenSpend, user: UserId) -> bool {
        spend.shown.is_none_or(|shown| {
            self.tokens
                .iter()
                .any(|token| token.id == shown && token.user == Some(user) && token.is_open(spend.at))
        })
    }

    pub(super) fn spend(&mut self, spend: &TokenSpend, user: UserId) {
        let TokenSpend { shown, others, at } = *spend;
        let of_account = self.tokens.iter_mut().filter(|token| token.user == Some(user));
        for token in of_account.filter(|token| token.used_at.is_none()) {
            let goes = match others {
                OtherTokens::OfKind(kind) => token.kind == kind,
                OtherTokens::All => true,
            };
            if goes || Some(token.id) == shown {
                token.used_at = Some(at);
            }
        }
    }

    pub(super) fn supersede(&mut self, user: UserId, kind: TokenKind, at: DateTime<Utc>) {
        for token in &mut self.tokens {
            if token.user == Some(user) && token.kind == kind && token.used_at.is_none() {
                token.used_at = Some(at);
            }
        }
    }
}

#[async_trait]
impl OneTimeTokens for MemoryIdentity {
    async fn token(&self, id: OneTimeTokenId) -> Result<Option<OneTimeToken>, PortError> {
        Ok(self.tokens().into_iter().find(|token| token.id == id))
    }

    async fn shown(&self, sha256: &TokenHash) -> Result<Option<OneTimeToken>, PortError> {
        Ok(self.tokens().into_iter().find(|token| token.sha256 == *sha256))
    }

    async fn issue(&self, issue: TokenIssue) -> Result<(), PortError> {
        let TokenIssue {
            mut token,
            bound,
            supersedes,
            events,
        } = issue;
        let mut world = self.world();
        if let Some(user) = token.user {
            let issued = world.tokens.iter().filter(|other| {
                other.user == Some(user) && other.kind == token.kind && other.created_at > bound.since
            });
            if i64::try_from(issued.count()).unwrap_or(i64::MAX) < bound.issued_max {
                world.supersede(user, token.kind, token.created_at);
            } else {
                token.user = None;
                token.email = None;
            }
        }
        if let Some((user, kind)) = supersedes {
            world.supersede(user, kind, token.created_at);
        }
        world.tokens.push(token);
        world.publish(events, None);
        Ok(())
    }

    async fn forget_expired(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut world = self.world();
        let mut left = u64::try_from(rows_max).unwrap_or(0);
        let count = world.tokens.len();
        world.tokens.retain(|token| {
            let goes = left > 0 && token.expires_at < before;
            left -= u64::from(goes);
            !goes
        });
        Ok((count - world.tokens.len()) as u64)
    }
}

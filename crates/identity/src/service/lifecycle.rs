//! What administrators do to an account as a whole: suspend and activate it, invite its owner, send a link for a new
//! password, remove its personal data.

use chrono::{DateTime, Utc};
use events::IdentityFact;
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Patch, UserId, Version};

use super::accounts::{change_refused, check_version};
use super::mailed_links::may_use_links;
use crate::access::Principal;
use crate::policy;
use crate::ports::{
    AccountCommit, AccountCommitError, CredentialsAfter, Expected, MembershipsAfter, SessionsAfter, TokenKind,
};
use crate::service::{Accounts, AnonymizeError, ChangeAccountError, DECISIONS_MAX, UpdateUser};
use crate::user::{Profile, User, UserStatus};

impl Accounts {
    /// Suspends an account, which ends its sessions and spends the links that were mailed to it, or makes it active
    /// again.
    ///
    /// # Errors
    /// See [`ChangeAccountError`]; administrators do not suspend themselves, and one of them always stays.
    pub async fn set_status(
        &self,
        actor: &Actor,
        id: UserId,
        status: UserStatus,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, ChangeAccountError> {
        let user = self.ports.users.user(id).await?;
        let user = user.ok_or(ChangeAccountError::NotFound)?;
        policy::delete_person(actor, &user)?;
        let update = UpdateUser {
            status: Patch::Set(status),
            ..UpdateUser::default()
        };
        self.update(actor, id, update, expected, receipt).await
    }

    /// Sends the invitation of an account once more; the links of earlier ones are of no use any more.
    ///
    /// # Errors
    /// See [`ChangeAccountError`]; [`ChangeAccountError::NotInvited`] unless the account waits for its invitation to be
    /// accepted.
    pub async fn invite(
        &self,
        actor: &Actor,
        id: UserId,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, ChangeAccountError> {
        self.send(actor, id, TokenKind::Invitation, expected, receipt, |user| {
            if user.awaits_invitation() {
                Ok(())
            } else {
                Err(ChangeAccountError::NotInvited)
            }
        })
        .await
    }

    /// Sends the owner of an account a link that sets a new password. The administrator never learns it.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn send_password_reset(
        &self,
        actor: &Actor,
        id: UserId,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, ChangeAccountError> {
        self.send(actor, id, TokenKind::ResetPassword, expected, receipt, |user| {
            if may_use_links(user) {
                Ok(())
            } else {
                Err(ChangeAccountError::Suspended)
            }
        })
        .await
    }

    async fn send(
        &self,
        actor: &Actor,
        id: UserId,
        kind: TokenKind,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
        admits: impl Fn(&User) -> Result<(), ChangeAccountError>,
    ) -> Result<Profile, ChangeAccountError> {
        for _ in 0..DECISIONS_MAX {
            let user = self.ports.users.user(id).await?;
            let user = user.ok_or(ChangeAccountError::NotFound)?;
            policy::delete_person(actor, &user)?;
            check_version(&user, expected)?;
            if user.deleted_at.is_some() {
                return Err(ChangeAccountError::Deleted);
            }
            admits(&user)?;
            let now = self.ports.clock.now();
            let token = self.token(kind, &user, now);
            let asked = IdentityFact::MailAsked { token: token.id.0 };
            let profile = user.profile();
            let version = user.version;
            let commit = AccountCommit {
                issues: Some(token),
                events: vec![self.event_of(actor, now, asked)],
                receipt: receipt(&profile),
                ..AccountCommit::of(user, Expected::Version(version))
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(profile),
                Err(AccountCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeAccountError::Busy)
    }

    /// Removes for good what tells whose an account was, and deletes it. Its address is free again; its tickets and all
    /// counts stay. An administrator who can act must be demoted before.
    ///
    /// # Errors
    /// See [`AnonymizeError`]; the caller must prove again who they are.
    pub async fn anonymize(
        &self,
        principal: &Principal,
        id: UserId,
        current_password: Option<&str>,
        expected: Option<Version>,
    ) -> Result<(), AnonymizeError> {
        let actor = principal.actor();
        let find = async || {
            let user = self.ports.users.user(id).await?;
            let user = user.ok_or(ChangeAccountError::NotFound)?;
            policy::delete_person(&actor, &user)?;
            check_version(&user, expected)?;
            Ok::<User, ChangeAccountError>(user)
        };
        find().await?;
        self.ports
            .reauthentication
            .prove(principal, current_password)
            .await?;
        for _ in 0..DECISIONS_MAX {
            let user = find().await?;
            if user.is_anonymized() {
                return Err(ChangeAccountError::Anonymized.into());
            }
            if principal.person.id == id {
                return Err(ChangeAccountError::OwnAccount.into());
            }
            if user.is_acting_admin() {
                return Err(AnonymizeError::ActingAdmin);
            }
            match self
                .commit(self.anonymization(&actor, user, self.ports.clock.now()))
                .await
            {
                Ok(()) => return Ok(()),
                Err(AccountCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error).into()),
            }
        }
        Err(ChangeAccountError::Busy.into())
    }

    fn anonymization(&self, actor: &Actor, user: User, now: DateTime<Utc>) -> AccountCommit {
        let (id, expected) = (user.id, Expected::Version(user.version));
        AccountCommit {
            sessions: SessionsAfter::EraseAll { at: now },
            memberships: MembershipsAfter::LeaveAll,
            credentials: CredentialsAfter::RemoveAll,
            events: vec![self.event_of(actor, now, IdentityFact::UserAnonymized { user: id })],
            ..AccountCommit::of(user.anonymized(now), expected)
        }
    }
}

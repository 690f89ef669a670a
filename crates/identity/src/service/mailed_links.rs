//! Accounts, as far as they go by mail: registering, proving an address, getting a forgotten password back, changing the
//! address, accepting an invitation.
//!
//! What a stranger asks for is answered alike whether or not the address has an account, and takes the same work: one
//! account is looked up, a password is hashed where there is one, and one commit stores a token with its event. Where
//! nobody is to hear of it, the token has no account and [`AccountMails`](crate::service::AccountMails) sends nothing.
//!
//! To add a link, add a [`TokenKind`], a use case here that [asks](Accounts::ask) for it and one that
//! [uses](Accounts::shown) it, and what its mail says to `AccountMails`.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Cause, IdentityFact};
use kernel::{Origin, PortError, Role, UserId, Violations};

use super::accounts::{others_end, unexpected, updated};
use crate::access::Principal;
use crate::ports::{
    AccountCommit, AccountCommitError, CredentialsAfter, Expected, IssueBound, OneTimeToken, OtherTokens,
    SessionsAfter, TokenIssue, TokenKind, TokenSpend,
};
use crate::service::{
    Accounts, AskError, ChangeEmailError, DECISIONS_MAX, Registration, TokenUseError, VerifiedEmail,
};
use crate::session::SecretToken;
use crate::user::{User, UserStatus};
use crate::value::{EmailAddress, Password, PasswordHash, PersonName};

/// How many mails of one kind an account is sent in an hour because someone asked for them.
pub const MAILS_PER_HOUR_MAX: i64 = 3;
/// What strangers do is nobody's doing.
const STRANGER: &str = "stranger";

/// A person's change of their own address.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeEmail {
    /// The new address, as typed.
    pub email: String,
    /// The present password, as typed; absent where the account has none.
    pub current: Option<String>,
}

impl fmt::Debug for ChangeEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeEmail(redacted)")
    }
}

/// What one who was invited gives to have their account.
#[derive(Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// What the link carries.
    pub token: String,
    /// The password, as typed.
    pub password: String,
    /// The name, as typed, if it is to be another than the one that the administrator gave.
    pub name: Option<String>,
}

impl fmt::Debug for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptance(redacted)")
    }
}

/// What a token makes of its account.
struct Decision {
    changed: User,
    sessions: SessionsAfter,
    credentials: CredentialsAfter,
    others: OtherTokens,
    /// What to tell besides that the address is proved and the account active.
    facts: Vec<IdentityFact>,
    /// The contract's names of changed fields that no fact of their own tells of.
    fields: Vec<&'static str>,
}

impl Accounts {
    // ------------------------------------------------------------------------------------------- registering

    /// Makes a customer's account, and has its address proved by mail. When the address has an account already, its
    /// owner is told by mail; the caller learns nothing of it.
    ///
    /// # Errors
    /// When the input breaks a rule.
    pub async fn register(&self, registration: Registration, origin: Arc<Origin>) -> Result<(), AskError> {
        let applicant = self.applicant(&registration)?;
        let address = applicant.email.clone();
        let owner = self.ports.users.user_by_email(&address).await?;
        let now = self.ports.clock.now();
        // Also where there is an account: the answer must come no sooner.
        let mut user = self.new_user(applicant, Role::User, now).await?;
        if let Some(owner) = owner {
            return Ok(self.notify(Some(owner), None, &origin, now).await?);
        }
        user.status = match self.limits.verified_email {
            VerifiedEmail::Required => UserStatus::Pending,
            VerifiedEmail::Optional => UserStatus::Active,
        };
        let token = self.token(TokenKind::VerifyEmail, &user, now);
        let facts = [
            IdentityFact::UserCreated { user: user.id },
            IdentityFact::MailAsked { token: token.id.0 },
        ];
        let cause = Cause::Person(user.id);
        let commit = AccountCommit {
            events: facts
                .into_iter()
                .map(|fact| self.event(cause.clone(), Some(Arc::clone(&origin)), now, fact))
                .collect(),
            issues: Some(token),
            ..AccountCommit::of(user, Expected::Absent)
        };
        match self.commit(commit).await {
            Ok(()) => Ok(()),
            // Somebody was faster.
            Err(AccountCommitError::EmailTaken) => {
                let owner = self.ports.users.user_by_email(&address).await?;
                Ok(self.notify(owner, None, &origin, now).await?)
            }
            Err(AccountCommitError::Port(error)) => Err(error.into()),
            Err(
                error @ (AccountCommitError::Stale
                | AccountCommitError::Repeated
                | AccountCommitError::LastAdmin
                | AccountCommitError::TokenSpent),
            ) => Err(unexpected(error).into()),
        }
    }

    /// Tells the owner of an address that someone else gave it, unless their account is deleted.
    async fn notify(
        &self,
        owner: Option<User>,
        supersedes: Option<(UserId, TokenKind)>,
        origin: &Arc<Origin>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError> {
        let owner = owner.filter(|owner| owner.deleted_at.is_none());
        let token = match &owner {
            Some(owner) => self.token(TokenKind::AddressNotice, owner, now),
            None => self.token_for(TokenKind::AddressNotice, None, now),
        };
        let repeated = owner.map(|owner| IdentityFact::RegistrationRepeated { user: owner.id });
        self.ask(
            token,
            supersedes,
            repeated,
            Cause::System(STRANGER.to_owned()),
            origin,
            now,
        )
        .await
    }

    /// Issues a token and has it mailed, within the bound of an account.
    async fn ask(
        &self,
        token: OneTimeToken,
        supersedes: Option<(UserId, TokenKind)>,
        also: Option<IdentityFact>,
        cause: Cause,
        origin: &Arc<Origin>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError> {
        let asked = IdentityFact::MailAsked { token: token.id.0 };
        let facts = also.into_iter().chain([asked]);
        let issue = TokenIssue {
            events: facts
                .map(|fact| self.event(cause.clone(), Some(Arc::clone(origin)), now, fact))
                .collect(),
            token,
            bound: IssueBound {
                issued_max: MAILS_PER_HOUR_MAX,
                since: now - Duration::hours(1),
            },
            supersedes,
        };
        self.ports.tokens.issue(issue).await
    }

    /// Has a link of `kind` mailed to the owner of an address, if `admits` holds for their account.
    async fn ask_for(
        &self,
        kind: TokenKind,
        email: &str,
        origin: &Arc<Origin>,
        admits: impl Fn(&User) -> bool,
    ) -> Result<(), AskError> {
        let email = EmailAddress::parse("/email", email).map_err(Violations::from)?;
        let owner = self.ports.users.user_by_email(&email).await?;
        let now = self.ports.clock.now();
        let token = match owner.filter(|owner| may_use_links(owner) && admits(owner)) {
            Some(owner) => self.token(kind, &owner, now),
            None => self.token_for(kind, None, now),
        };
        let cause = Cause::System(STRANGER.to_owned());
        Ok(self.ask(token, None, None, cause, origin, now).await?)
    }

    // --------------------------------------------------------------------------------------------- addresses

    /// Sends the mail that proves an address once more, to whoever has an account of that address and has not proved
    /// it yet.
    ///
    /// # Errors
    /// When the input is no address.
    pub async fn resend_verification(&self, email: &str, origin: Arc<Origin>) -> Result<(), AskError> {
        self.ask_for(TokenKind::VerifyEmail, email, &origin, awaits_verification)
            .await
    }

    /// Sends the caller the mail that proves their address once more, if they have not proved it yet.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn resend_own_verification(&self, principal: &Principal) -> Result<(), AskError> {
        let user = self.ports.users.user(principal.person.id).await?;
        let now = self.ports.clock.now();
        let token = match user.filter(|user| may_use_links(user) && awaits_verification(user)) {
            Some(user) => self.token(TokenKind::VerifyEmail, &user, now),
            None => self.token_for(TokenKind::VerifyEmail, None, now),
        };
        let (cause, origin) = (Cause::from(&principal.actor()), origin_of(principal));
        Ok(self.ask(token, None, None, cause, &origin, now).await?)
    }

    /// Has the caller's new address proved by mail; it becomes the account's when its owner follows the link. When it
    /// has an account already, the owner of that is told by mail; the caller learns nothing of it.
    ///
    /// # Errors
    /// When the input is no address, or the caller does not prove again who they are.
    pub async fn change_email(
        &self,
        principal: &Principal,
        command: ChangeEmail,
    ) -> Result<(), ChangeEmailError> {
        let email = EmailAddress::parse("/email", &command.email).map_err(Violations::from)?;
        let guard = &self.ports.reauthentication;
        let user = guard.prove(principal, command.current.as_deref()).await?;
        let owner = self.ports.users.user_by_email(&email).await?;
        let now = self.ports.clock.now();
        // Whatever comes of this one, an earlier link of the caller's has had its time.
        let supersedes = Some((user.id, TokenKind::ChangeEmail));
        let (cause, origin) = (Cause::from(&principal.actor()), origin_of(principal));
        let new_owner = match owner {
            Some(owner) if owner.id != user.id => {
                return Ok(self.notify(Some(owner), supersedes, &origin, now).await?);
            }
            Some(_) => None,
            None => Some((user.id, email)),
        };
        let token = self.token_for(TokenKind::ChangeEmail, new_owner, now);
        Ok(self.ask(token, supersedes, None, cause, &origin, now).await?)
    }

    /// Takes an address as proved, by the token that was mailed there: the account's own, which makes a pending account
    /// active, or a new one, which becomes the account's. The latter ends all sessions but that of `caller`, if they
    /// are the owner.
    ///
    /// # Errors
    /// See [`TokenUseError`].
    pub async fn verify_email(
        &self,
        token: &str,
        caller: Option<&Principal>,
        origin: Arc<Origin>,
    ) -> Result<(), TokenUseError> {
        let kinds = [TokenKind::VerifyEmail, TokenKind::ChangeEmail];
        self.with_token(token, &kinds, &origin, async |token, user, now| {
            let caller = caller.filter(|caller| caller.person.id == user.id);
            let proved = token.email.clone().ok_or(TokenUseError::Spent)?;
            if token.kind == TokenKind::ChangeEmail {
                let fact = IdentityFact::EmailChanged {
                    user: user.id,
                    previous: user.email.as_str().to_owned(),
                };
                let mut changed = verified(user, now);
                changed.email = proved;
                changed.email_verified_at = Some(now);
                return Ok(Decision {
                    changed,
                    sessions: others_end(caller, now),
                    credentials: CredentialsAfter::Keep,
                    others: OtherTokens::All,
                    facts: vec![fact],
                    fields: Vec::new(),
                });
            }
            if proved != user.email {
                return Err(TokenUseError::Spent);
            }
            Ok(Decision {
                changed: verified(user, now),
                sessions: SessionsAfter::Keep,
                credentials: CredentialsAfter::Keep,
                others: OtherTokens::OfKind(TokenKind::VerifyEmail),
                facts: Vec::new(),
                fields: Vec::new(),
            })
        })
        .await
    }

    // --------------------------------------------------------------------------------------------- passwords

    /// Sends a link that sets a new password to whoever has an account of that address.
    ///
    /// # Errors
    /// When the input is no address.
    pub async fn forgot_password(&self, email: &str, origin: Arc<Origin>) -> Result<(), AskError> {
        self.ask_for(TokenKind::ResetPassword, email, &origin, |_| true)
            .await
    }

    /// Sets a new password by the token that was mailed, which also proves the address, and ends every session. A
    /// second factor and keys stay, unless nobody had proved the address before.
    ///
    /// # Errors
    /// See [`TokenUseError`]. A password that breaks a rule does not spend the token.
    pub async fn reset_password(
        &self,
        token: &str,
        password: &str,
        origin: Arc<Origin>,
    ) -> Result<(), TokenUseError> {
        let password =
            Password::parse("/password", password, self.limits.password).map_err(Violations::from)?;
        let mut hashed = None;
        self.with_token(
            token,
            &[TokenKind::ResetPassword],
            &origin,
            async |token, user, now| {
                if token.email.as_ref() != Some(&user.email) {
                    return Err(TokenUseError::Spent);
                }
                let password_hash = self.hash_once(&mut hashed, &password).await?;
                let mut facts = vec![IdentityFact::PasswordReset { user: user.id }];
                // Where nobody had proved the address, someone else may have registered it in advance, and set up a
                // second factor or keys that would outlive this. An invited account had nothing to sign in with.
                let was_theirs = user.email_verified_at.is_some() || user.awaits_invitation();
                let two_factor_enabled = user.two_factor_enabled && was_theirs;
                if user.two_factor_enabled && !two_factor_enabled {
                    facts.push(IdentityFact::TwoFactorDisabled { user: user.id });
                }
                if !was_theirs {
                    facts.push(IdentityFact::CredentialsRemoved { user: user.id });
                }
                Ok(Decision {
                    changed: User {
                        password_hash,
                        two_factor_enabled,
                        ..verified(user, now)
                    },
                    sessions: SessionsAfter::RevokeAll { at: now },
                    credentials: if was_theirs {
                        CredentialsAfter::Keep
                    } else {
                        CredentialsAfter::RemoveAll
                    },
                    others: OtherTokens::All,
                    facts,
                    fields: Vec::new(),
                })
            },
        )
        .await
    }

    /// Makes an invited person's account theirs: sets its first password and takes its address as proved.
    ///
    /// # Errors
    /// See [`TokenUseError`]. Input that breaks a rule does not spend the token.
    pub async fn accept_invitation(
        &self,
        acceptance: Acceptance,
        origin: Arc<Origin>,
    ) -> Result<(), TokenUseError> {
        let Acceptance {
            token,
            password,
            name,
        } = acceptance;
        let mut violations = Violations::new();
        let password = violations.check(Password::parse("/password", &password, self.limits.password));
        let name = violations.check(name.map(|raw| PersonName::parse("/name", &raw)).transpose());
        let (Some(password), Some(name)) = (password, name) else {
            return Err(violations.into());
        };
        let mut hashed = None;
        self.with_token(
            &token,
            &[TokenKind::Invitation],
            &origin,
            async |token, user, now| {
                if token.email.as_ref() != Some(&user.email) || !user.password_hash.is_unset() {
                    return Err(TokenUseError::Spent);
                }
                let password_hash = self.hash_once(&mut hashed, &password).await?;
                let mut fields = vec!["passwordHash"];
                let mut changed = User {
                    password_hash,
                    ..verified(user, now)
                };
                if let Some(name) = name.clone().filter(|name| *name != changed.name) {
                    changed.name = name;
                    fields.push("name");
                }
                Ok(Decision {
                    changed,
                    sessions: SessionsAfter::RevokeAll { at: now },
                    credentials: CredentialsAfter::Keep,
                    others: OtherTokens::All,
                    facts: Vec::new(),
                    fields,
                })
            },
        )
        .await
    }

    async fn hash_once(
        &self,
        hashed: &mut Option<PasswordHash>,
        password: &Password,
    ) -> Result<PasswordHash, PortError> {
        if let Some(hash) = hashed {
            return Ok(hash.clone());
        }
        let hash = self.ports.hasher.hash(password).await?;
        *hashed = Some(hash.clone());
        Ok(hash)
    }

    // ------------------------------------------------------------------------------------------------ tokens

    /// The token that is shown, which is open, and its account.
    async fn shown(
        &self,
        token: &SecretToken,
        kinds: &[TokenKind],
        now: DateTime<Utc>,
    ) -> Result<(OneTimeToken, User), TokenUseError> {
        let sha256 = self.ports.secrets.sha256(token);
        let found = self.ports.tokens.shown(&sha256).await?;
        let found = found.filter(|found| kinds.contains(&found.kind));
        let found = found.ok_or(TokenUseError::Unknown)?;
        let owner = found.user.ok_or(TokenUseError::Unknown)?;
        if !found.is_open(now) {
            return Err(TokenUseError::Spent);
        }
        let user = self.ports.users.user(owner).await?;
        let user = user.filter(may_use_links).ok_or(TokenUseError::Spent)?;
        Ok((found, user))
    }

    /// Uses a token: what `decide` makes of its account is stored together with the token's end, once.
    async fn with_token(
        &self,
        token: &str,
        kinds: &[TokenKind],
        origin: &Arc<Origin>,
        mut decide: impl AsyncFnMut(&OneTimeToken, User, DateTime<Utc>) -> Result<Decision, TokenUseError>,
    ) -> Result<(), TokenUseError> {
        let token = SecretToken::parse(token).ok_or(TokenUseError::Unknown)?;
        for _ in 0..DECISIONS_MAX {
            let now = self.ports.clock.now();
            let (shown, user) = self.shown(&token, kinds, now).await?;
            let before = user.clone();
            let Decision {
                mut changed,
                sessions,
                credentials,
                others,
                mut facts,
                mut fields,
            } = decide(&shown, user, now).await?;
            changed.updated_at = now;
            changed.version = before.version.next();
            if before.email_verified_at.is_none() && changed.email_verified_at.is_some() {
                facts.push(IdentityFact::EmailVerified { user: changed.id });
            }
            if before.status != changed.status {
                fields.push("status");
            }
            if !fields.is_empty() {
                let fields = fields.into_iter().map(str::to_owned).collect();
                facts.push(updated(&before, &changed, fields));
            }
            let cause = Cause::Person(changed.id);
            let commit = AccountCommit {
                sessions,
                credentials,
                spends: Some(TokenSpend {
                    shown: Some(shown.id),
                    others,
                    at: now,
                }),
                events: facts
                    .into_iter()
                    .map(|fact| self.event(cause.clone(), Some(Arc::clone(origin)), now, fact))
                    .collect(),
                ..AccountCommit::of(changed, Expected::Version(before.version))
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(AccountCommitError::Stale) => {}
                Err(AccountCommitError::TokenSpent) => return Err(TokenUseError::Spent),
                Err(AccountCommitError::EmailTaken) => return Err(TokenUseError::EmailTaken),
                Err(AccountCommitError::Port(error)) => return Err(error.into()),
                Err(error @ (AccountCommitError::Repeated | AccountCommitError::LastAdmin)) => {
                    return Err(unexpected(error).into());
                }
            }
        }
        Err(TokenUseError::Busy)
    }

    /// Forgets up to `rows_max` one-time tokens that expired long ago; gives the number forgotten. Any number of nodes
    /// may call it at once.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget_expired_tokens(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.ports.clock.now() - Duration::days(OneTimeToken::EXPIRED_KEPT_DAYS);
        self.ports.tokens.forget_expired(before, rows_max).await
    }
}

/// Whether links that were mailed may open the account: whom an administrator shut out, no mail lets in.
pub(super) fn may_use_links(user: &User) -> bool {
    user.deleted_at.is_none()
        && match user.status {
            UserStatus::Active | UserStatus::Pending => true,
            UserStatus::Suspended => false,
        }
}

/// Whether the address is still to be proved. One who was invited proves it by accepting.
pub(super) fn awaits_verification(user: &User) -> bool {
    user.email_verified_at.is_none() && !user.awaits_invitation()
}

/// The account with its address proved, and so active.
fn verified(user: User, now: DateTime<Utc>) -> User {
    User {
        email_verified_at: user.email_verified_at.or(Some(now)),
        status: match user.status {
            UserStatus::Active | UserStatus::Pending => UserStatus::Active,
            UserStatus::Suspended => UserStatus::Suspended,
        },
        ..user
    }
}

fn origin_of(principal: &Principal) -> Arc<Origin> {
    principal.person.origin.clone().unwrap_or_default()
}

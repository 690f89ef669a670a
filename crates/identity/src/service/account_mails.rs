//! Tells the owners of accounts by mail what happens to these.
//!
//! To tell of another fact, give it its [`MailContent`] in [`AccountMails::handle`].

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, Fact, HandleError, IdentityFact, Subscriber};
use kernel::{Clock, EventId, PortError, UserId};
use uuid::Uuid;

use super::mailed_links::{awaits_verification, may_use_links};
use crate::ports::{
    Mail, MailContent, MailError, Mailer, OneTimeToken, OneTimeTokenId, OneTimeTokens, Secrets, TokenKind,
    UserStore,
};
use crate::user::User;
use crate::value::{EmailAddress, PersonName};

/// Turns facts into mails. A mail may go out twice when a try failed half-way, under the same id; one whose link is
/// spent meanwhile, or whose account is deleted, is not sent.
pub struct AccountMails {
    users: Arc<dyn UserStore>,
    tokens: Arc<dyn OneTimeTokens>,
    secrets: Arc<dyn Secrets>,
    mailer: Arc<dyn Mailer>,
    clock: Arc<dyn Clock>,
}

impl AccountMails {
    /// A subscriber that sends by `mailer`.
    #[must_use]
    pub fn new(
        users: Arc<dyn UserStore>,
        tokens: Arc<dyn OneTimeTokens>,
        secrets: Arc<dyn Secrets>,
        mailer: Arc<dyn Mailer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            users,
            tokens,
            secrets,
            mailer,
            clock,
        }
    }

    async fn link(&self, event: EventId, token: Uuid) -> Result<(), HandleError> {
        let Some(token) = self.tokens.token(OneTimeTokenId(token)).await? else {
            return Ok(());
        };
        if !token.is_open(self.clock.now()) {
            return Ok(());
        }
        let Some(owner) = token.user else {
            return Ok(());
        };
        let Some(user) = self.owner(owner).await? else {
            return Ok(());
        };
        let Some(address) = recipient(&token, &user) else {
            return Ok(());
        };
        let secret = self.secrets.mailed(token.id);
        if self.secrets.sha256(&secret) != token.sha256 {
            return Err(HandleError::GiveUp(
                "the token was made under another secret key".to_owned(),
            ));
        }
        let life = token.kind.life();
        let content = match token.kind {
            TokenKind::VerifyEmail => MailContent::VerifyEmail { token: secret, life },
            TokenKind::ChangeEmail => MailContent::ConfirmNewEmail { token: secret, life },
            TokenKind::ResetPassword => MailContent::ResetPassword { token: secret, life },
            TokenKind::Invitation => MailContent::Invitation { token: secret, life },
            TokenKind::AddressNotice => MailContent::AlreadyRegistered,
        };
        self.send(event, &user, address, content).await
    }

    /// Tells the owner of an account at its address.
    async fn tell(&self, event: EventId, owner: UserId, content: MailContent) -> Result<(), HandleError> {
        match self.owner(owner).await? {
            // Of an address that nobody proved it is not known whose it is; whoever registered it could have it flooded.
            Some(user) if user.email_verified_at.is_some() => {
                let address = user.email.clone();
                self.send(event, &user, address, content).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Writes to an address outside, which whoever wrote a rule named.
    async fn write_to(&self, id: EventId, address: &str, content: MailContent) -> Result<(), HandleError> {
        let to = EmailAddress::parse("/to", address);
        let name = address.split('@').next().unwrap_or_default();
        let (Ok(to), Ok(name)) = (to, PersonName::parse("/name", name)) else {
            return Err(HandleError::GiveUp("the address is none".to_owned()));
        };
        let mail = Mail {
            id,
            to,
            name,
            content,
        };
        self.hand_over(&mail).await
    }

    async fn owner(&self, id: UserId) -> Result<Option<User>, PortError> {
        let user = self.users.user(id).await?;
        Ok(user.filter(|user| user.deleted_at.is_none()))
    }

    async fn send(
        &self,
        id: EventId,
        user: &User,
        to: EmailAddress,
        content: MailContent,
    ) -> Result<(), HandleError> {
        if !to.is_sound() {
            return Err(HandleError::GiveUp(
                "the account's address is no address".to_owned(),
            ));
        }
        let mail = Mail {
            id,
            to,
            name: user.name.clone(),
            content,
        };
        self.hand_over(&mail).await
    }

    async fn hand_over(&self, mail: &Mail) -> Result<(), HandleError> {
        match self.mailer.send(mail).await {
            Ok(()) => Ok(()),
            Err(error @ MailError::Refused(_)) => Err(HandleError::GiveUp(error.to_string())),
            Err(MailError::Port(error)) => Err(error.into()),
        }
    }
}

/// Where the mail about a token goes; nowhere when its account has no use for it any more.
fn recipient(token: &OneTimeToken, user: &User) -> Option<EmailAddress> {
    let is_own = token.email.as_ref() == Some(&user.email);
    let is_due = match token.kind {
        TokenKind::AddressNotice => is_own,
        TokenKind::VerifyEmail => is_own && may_use_links(user) && awaits_verification(user),
        TokenKind::ResetPassword => is_own && may_use_links(user),
        TokenKind::Invitation => is_own && user.awaits_invitation(),
        TokenKind::ChangeEmail => may_use_links(user),
    };
    token.email.clone().filter(|_| is_due)
}

#[async_trait]
impl Subscriber for AccountMails {
    fn name(&self) -> &'static str {
        "account_mails"
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let fact = match &event.fact {
            Fact::Identity(fact) => fact,
            Fact::Ticket { .. } | Fact::Knowledge(_) => return Ok(()),
        };
        let (owner, content) = match fact {
            IdentityFact::MailAsked { token } => return self.link(event.id, *token).await,
            IdentityFact::MailWritten {
                user,
                address,
                subject,
                text,
                source: _,
            } => {
                let content = MailContent::Written {
                    subject: subject.clone(),
                    text: text.clone(),
                };
                return match (user, address) {
                    // One who is shut out is written nothing about what happens at the desk.
                    (Some(user), _) => match self.owner(*user).await? {
                        Some(owner) if may_use_links(&owner) => self.tell(event.id, *user, content).await,
                        Some(_) | None => Ok(()),
                    },
                    (None, Some(address)) => self.write_to(event.id, address, content).await,
                    (None, None) => Ok(()),
                };
            }
            IdentityFact::EmailChanged { user, previous } => {
                let previous = EmailAddress::stored(previous.clone());
                return match self.owner(*user).await? {
                    Some(user) => {
                        self.send(event.id, &user, previous, MailContent::EmailChanged)
                            .await
                    }
                    None => Ok(()),
                };
            }
            IdentityFact::PasswordChanged { user } | IdentityFact::PasswordReset { user } => {
                (user, MailContent::PasswordChanged)
            }
            IdentityFact::TwoFactorEnabled { user } => (user, MailContent::TwoFactorEnabled),
            IdentityFact::TwoFactorDisabled { user } => (user, MailContent::TwoFactorDisabled),
            IdentityFact::RecoveryCodeUsed { user, left } => {
                (user, MailContent::RecoveryCodeUsed { left: *left })
            }
            IdentityFact::ApiKeyCreated { user, key: _, name } => {
                (user, MailContent::ApiKeyCreated { name: name.clone() })
            }
            IdentityFact::SignOnLinked { user, provider } => (
                user,
                MailContent::SignOnLinked {
                    provider: provider.clone(),
                },
            ),
            // Told by the mail about the token that comes with it.
            IdentityFact::RegistrationRepeated { .. }
            | IdentityFact::UserCreated { .. }
            | IdentityFact::UserUpdated { .. }
            | IdentityFact::UserDeleted { .. }
            | IdentityFact::UserRestored { .. }
            | IdentityFact::SessionReuseDetected { .. }
            | IdentityFact::EmailVerified { .. }
            | IdentityFact::UserAnonymized { .. }
            | IdentityFact::SignedIn { .. }
            | IdentityFact::SignInRefused { .. }
            | IdentityFact::CredentialsRemoved { .. }
            | IdentityFact::ReauthenticationFailed { .. }
            | IdentityFact::SessionsEnded { .. }
            | IdentityFact::RecoveryCodesReplaced { .. }
            | IdentityFact::ApiKeyRevoked { .. }
            | IdentityFact::SecuritySettingsChanged { .. }
            | IdentityFact::SlaPolicyChanged { .. }
            | IdentityFact::AutomationRuleChanged { .. }
            | IdentityFact::WebhookChanged { .. }
            | IdentityFact::TeamCreated { .. }
            | IdentityFact::TeamUpdated { .. }
            | IdentityFact::TeamRoutingChanged { .. }
            | IdentityFact::AvailabilityChanged { .. }
            | IdentityFact::TeamDeleted { .. }
            | IdentityFact::TeamMemberSet { .. }
            | IdentityFact::TeamMemberRemoved { .. } => return Ok(()),
        };
        self.tell(event.id, *owner, content).await
    }
}

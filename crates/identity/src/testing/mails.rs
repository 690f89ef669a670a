//! A mailer that keeps what it is given.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::{Mail, MailContent, MailError, Mailer};

/// The mails that were sent, in order.
#[derive(Debug, Default)]
pub struct SentMails {
    mails: Mutex<Vec<Mail>>,
    refusal: Mutex<Option<String>>,
}

impl SentMails {
    /// What was sent since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut lock(&self.mails))
    }

    /// From now on every mail is refused for this reason.
    pub fn refuse(&self, reason: &str) {
        *lock(&self.refusal) = Some(reason.to_owned());
    }
}

#[async_trait]
impl Mailer for SentMails {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        if let Some(reason) = lock(&self.refusal).clone() {
            return Err(MailError::Refused(reason));
        }
        lock(&self.mails).push(mail.clone());
        Ok(())
    }
}

/// The token that a mail's link carries; `None` for a mail without a link.
#[must_use]
pub fn token_of(mail: &Mail) -> Option<String> {
    match &mail.content {
        MailContent::VerifyEmail { token, life: _ }
        | MailContent::ConfirmNewEmail { token, life: _ }
        | MailContent::ResetPassword { token, life: _ }
        | MailContent::Invitation { token, life: _ }
        | MailContent::RateTicket { token, .. } => Some(token.expose().to_owned()),
        MailContent::Written { .. }
        | MailContent::AlreadyRegistered
        | MailContent::PasswordChanged
        | MailContent::EmailChanged
        | MailContent::TwoFactorEnabled
        | MailContent::TwoFactorDisabled
        | MailContent::RecoveryCodeUsed { .. }
        | MailContent::ApiKeyCreated { .. }
        | MailContent::SignOnLinked { .. } => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

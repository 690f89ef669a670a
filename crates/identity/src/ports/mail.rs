//! Mail to the owners of accounts.

use async_trait::async_trait;
use chrono::Duration;
use kernel::{EventId, PortError};

use crate::session::SecretToken;
use crate::value::{EmailAddress, PersonName};

/// Sends mail. Whoever calls it does so again after a failure: a [`Mail`] must carry its `id` over every try as its
/// `Message-ID`, so that the reader's program can tell a repetition.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one mail to the transport. Must end within a bound of its own.
    ///
    /// # Errors
    /// See [`MailError`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// One mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The event that caused it: the same however often it is sent.
    pub id: EventId,
    /// The address that it goes to.
    pub to: EmailAddress,
    /// What the person is called.
    pub name: PersonName,
    /// What it says.
    pub content: MailContent,
}

/// What a mail about an account says. Tokens go into links; nothing else of them is ever shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailContent {
    /// Prove that the address is yours.
    VerifyEmail {
        /// What the link carries.
        token: SecretToken,
        /// For how long the link is good.
        life: Duration,
    },
    /// Prove that the new address is yours; it becomes the account's.
    ConfirmNewEmail {
        /// What the link carries.
        token: SecretToken,
        /// For how long the link is good.
        life: Duration,
    },
    /// Choose a new password.
    ResetPassword {
        /// What the link carries.
        token: SecretToken,
        /// For how long the link is good.
        life: Duration,
    },
    /// An administrator made an account for you; choose a password.
    Invitation {
        /// What the link carries.
        token: SecretToken,
        /// For how long the link is good.
        life: Duration,
    },
    /// Someone, perhaps you, tried to register with this address, which has an account already.
    AlreadyRegistered,
    /// The password was changed or reset.
    PasswordChanged,
    /// The account's address is another from now on; goes to the one before.
    EmailChanged,
    /// A second factor is asked for from now on.
    TwoFactorEnabled,
    /// No second factor is asked for any more.
    TwoFactorDisabled,
    /// A recovery code was used up.
    RecoveryCodeUsed {
        /// How many are left.
        left: u32,
    },
    /// A program may act in the account's name from now on.
    ApiKeyCreated {
        /// The key's name.
        name: String,
    },
    /// The account can be used through a single sign-on provider from now on.
    SignOnLinked {
        /// The provider's name.
        provider: String,
    },
    /// What a rule of the desk says, in the words of whoever wrote that.
    Written {
        /// One line.
        subject: String,
        /// Plain text.
        text: String,
    },
    /// A ticket of yours is resolved: say how content you are. Goes by the desk's choice to proved addresses alone.
    RateTicket {
        /// What the link carries.
        token: SecretToken,
        /// For how long the link is good.
        life: Duration,
        /// The ticket's number.
        number: String,
        /// What the ticket is about.
        subject: String,
    },
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No later try can succeed: the receiving side refuses the address or the mail for good.
    #[error("the mail is refused: {0}")]
    Refused(String),
    /// The transport failed; a later try may succeed.
    #[error(transparent)]
    Port(#[from] PortError),
}

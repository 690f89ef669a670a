//! What each mail is made of: its templates, its link, and whether it greets by name.

use chrono::Duration;
use identity::SecretToken;
use identity::ports::{Mail, MailContent};
use kernel::PortError;

use crate::desk::Desk;
use crate::shown;
use crate::templates::{PORT, Pair};
use crate::transport::bug;

/// What the templates are filled with. `None` where the mail has no such thing.
#[derive(Default)]
pub(crate) struct Filling {
    /// What the person is called.
    pub(crate) name: Option<String>,
    /// Where the mail leads.
    pub(crate) link: Option<String>,
    /// For how long the link is good, in words.
    pub(crate) life: Option<String>,
    /// What a key or a provider is called.
    pub(crate) label: Option<String>,
    /// Which ticket it is about.
    pub(crate) ticket: Option<String>,
    /// How many are left.
    pub(crate) left: Option<u32>,
    /// What the desk wrote.
    pub(crate) text: Option<String>,
}

/// The templates of a mail and what goes into them.
///
/// # Errors
/// [`PortError::Bug`] for a token that does not fit into a link.
pub(crate) fn of(mail: &Mail, desk: &Desk) -> Result<(Pair, Filling), PortError> {
    let linked = |page: &str, token: &SecretToken, life: Duration| {
        let token = SecretToken::parse(token.expose())
            .ok_or_else(|| bug(PORT, "a token holds more than letters, digits, - and _"))?;
        Ok::<_, PortError>(Filling {
            link: Some(format!("{}/{page}{}", desk.origin(), token.expose())),
            life: Some(shown::life(life)),
            ..Filling::default()
        })
    };
    // Behind the `#`, which no browser sends.
    let link =
        |path: &str, token: &SecretToken, life: Duration| linked(&format!("account/{path}#"), token, life);
    // Only where the account is known to be the reader's own, or its name was chosen by an administrator.
    // Whoever registers, or asks for another address, chooses both the name and the address that the mail
    // goes to.
    let named = |filling: Filling| Filling {
        name: shown::name(mail.name.as_str()),
        ..filling
    };
    let labelled = |label: &str| {
        named(Filling {
            label: Some(shown::label(label)),
            ..Filling::default()
        })
    };
    Ok(match &mail.content {
        MailContent::VerifyEmail { token, life } => (Pair::VerifyEmail, link("verify-email", token, *life)?),
        MailContent::ConfirmNewEmail { token, life } => {
            (Pair::ConfirmNewEmail, link("confirm-email", token, *life)?)
        }
        MailContent::ResetPassword { token, life } => {
            (Pair::ResetPassword, link("reset-password", token, *life)?)
        }
        MailContent::Invitation { token, life } => {
            (Pair::Invitation, named(link("invitation", token, *life)?))
        }
        MailContent::AlreadyRegistered => (Pair::AlreadyRegistered, Filling::default()),
        MailContent::PasswordChanged => (Pair::PasswordChanged, named(Filling::default())),
        MailContent::EmailChanged => (Pair::EmailChanged, named(Filling::default())),
        MailContent::TwoFactorEnabled => (Pair::TwoFactorEnabled, named(Filling::default())),
        MailContent::TwoFactorDisabled => (Pair::TwoFactorDisabled, named(Filling::default())),
        MailContent::RecoveryCodeUsed { left } => {
            let left = Some(*left);
            (
                Pair::RecoveryCodeUsed,
                named(Filling {
                    left,
                    ..Filling::default()
                }),
            )
        }
        MailContent::ApiKeyCreated { name } => (Pair::ApiKeyCreated, labelled(name)),
        MailContent::SignOnLinked { provider } => (Pair::SignOnLinked, labelled(provider)),
        // An administrator made both.
        MailContent::Written { subject, text } => (
            Pair::Written,
            named(Filling {
                label: Some(subject.clone()),
                text: Some(text.clone()),
                ..Filling::default()
            }),
        ),
        // Its page works without a script, so that the link carries its token in the path. It is good for one rating.
        MailContent::RateTicket {
            token,
            life,
            number,
            subject,
        } => (
            Pair::RateTicket,
            named(Filling {
                ticket: Some(shown::label(number)),
                label: Some(shown::label(subject)),
                ..linked("rate/", token, *life)?
            }),
        ),
    })
}

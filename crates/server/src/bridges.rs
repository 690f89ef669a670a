//! Where one crate's port is answered by another crate, neither of which knows the other.

use std::sync::Arc;

use async_trait::async_trait;
use http::app::Health;
use identity::ports::{Mail, MailContent, MailError, Mailer};
use identity::{EmailAddress, PersonName, SecretToken};
use kernel::PortError;
use postgres::{Database, PgFacts};
use ticketing::{Markup, SurveyMail, SurveyMailError, SurveyMailer};

use crate::facts::DeskFacts;

/// Ticketing's Markdown, by the markdown crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

impl Markup for Markdown {
    fn to_html(&self, markdown: &str) -> String {
        markdown::render(markdown)
    }
}

/// The knowledge base's Markdown, by the same crate.
impl knowledge::Markup for Markdown {
    fn render(&self, text: &str) -> knowledge::Rendered {
        let markdown::Document {
            html,
            headings,
            plain,
        } = markdown::document(text);
        let heading = |markdown::Heading { level, text, anchor }| knowledge::Heading { level, text, anchor };
        knowledge::Rendered {
            html,
            headings: headings.into_iter().map(heading).collect(),
            plain,
        }
    }
}

/// The API's question whether the database answers.
#[derive(Debug, Clone)]
pub struct DatabaseHealth(pub Database);

#[async_trait]
impl Health for DatabaseHealth {
    async fn ping(&self) -> Result<(), PortError> {
        self.0.ping().await
    }
}

/// Ticketing's mails that ask for a rating, by the mailer of accounts.
pub struct SurveyMails(pub Arc<dyn Mailer>);

#[async_trait]
impl SurveyMailer for SurveyMails {
    async fn send(&self, mail: &SurveyMail) -> Result<(), SurveyMailError> {
        let SurveyMail {
            id,
            to,
            name,
            number,
            subject,
            link,
            life,
        } = mail;
        let to = EmailAddress::stored(to.clone());
        if !to.is_sound() {
            let why = "the account's address is no address".to_owned();
            return Err(SurveyMailError::Refused(why));
        }
        let name = PersonName::parse("/name", name);
        let name = name.map_err(|violation| SurveyMailError::Refused(violation.message))?;
        let mail = Mail {
            id: *id,
            to,
            name,
            content: MailContent::RateTicket {
                token: SecretToken::fresh(link.clone()),
                life: *life,
                number: number.clone(),
                subject: subject.clone(),
            },
        };
        match self.0.send(&mail).await {
            Ok(()) => Ok(()),
            Err(MailError::Refused(why)) => Err(SurveyMailError::Refused(why)),
            Err(MailError::Port(error)) => Err(error.into()),
        }
    }
}

/// Sends nothing: for a desk that hands no events on.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMail;

#[async_trait]
impl Mailer for NoMail {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

#[async_trait]
impl DeskFacts for PgFacts {
    async fn read(&self, name: &str) -> Result<Option<String>, PortError> {
        PgFacts::read(self, name).await
    }

    async fn state(&self, name: &str, value: &str) -> Result<String, PortError> {
        PgFacts::state(self, name, value).await
    }

    async fn replace(&self, name: &str, from: &str, to: &str) -> Result<Option<String>, PortError> {
        PgFacts::replace(self, name, from, to).await
    }
}

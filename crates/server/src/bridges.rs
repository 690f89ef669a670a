//! Where one crate's port is answered by another crate, neither of which knows the other.

use async_trait::async_trait;
use http::app::Health;
use identity::ports::{Mail, MailError, Mailer};
use kernel::PortError;
use postgres::{Database, PgFacts};
use ticketing::Markup;

use crate::facts::DeskFacts;

/// Ticketing's Markdown, by the markdown crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

impl Markup for Markdown {
    fn to_html(&self, markdown: &str) -> String {
        markdown::render(markdown)
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

//! A transport that keeps what it is given, for tests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use identity::ports::MailError;

use crate::letter::Letter;
use crate::transport::{Transport, unavailable};

/// Keeps the newest letters instead of sending them.
#[derive(Debug, Default)]
pub struct MemoryTransport(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sent: VecDeque<SentMail>,
    failures: u32,
}

/// A letter that would have gone out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    /// The address that it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// What it says, as text.
    pub text: String,
    /// What it says, as HTML.
    pub html: String,
    /// All headers as they are sent, with CRLF at the end of each line.
    pub headers: String,
}

impl MemoryTransport {
    /// The most letters that are kept; older ones go.
    pub const KEPT_MAX: usize = 1_000;

    /// A transport that has sent nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<SentMail> {
        self.state().sent.iter().cloned().collect()
    }

    /// The newest letter to an address.
    #[must_use]
    pub fn last_to(&self, address: &str) -> Option<SentMail> {
        self.state().sent.iter().rfind(|mail| mail.to == address).cloned()
    }

    /// Lets the next `times` deliveries fail as if the mail server were out of reach.
    pub fn fail_next(&self, times: u32) {
        self.state().failures = times;
    }

    /// Forgets what was sent.
    pub fn clear(&self) {
        self.state().sent.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SentMail {
    /// The link that it leads to.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        self.text
            .lines()
            .find(|line| line.starts_with("http") && line.contains('#'))
    }

    /// The token in that link.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.link()?.split_once('#').map(|(_, token)| token)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn deliver(&self, letter: &Letter) -> Result<(), MailError> {
        let mut state = self.state();
        if let Some(failures) = state.failures.checked_sub(1) {
            state.failures = failures;
            return Err(unavailable("mail in memory", "it was told to fail"));
        }
        let bytes = String::from_utf8_lossy(letter.bytes());
        let headers = bytes.split_inclusive("\r\n").take_while(|line| *line != "\r\n");
        if state.sent.len() == Self::KEPT_MAX {
            state.sent.pop_front();
        }
        state.sent.push_back(SentMail {
            to: letter.to().to_owned(),
            subject: letter.subject().to_owned(),
            text: letter.text().to_owned(),
            html: letter.html().to_owned(),
            headers: headers.collect(),
        });
        Ok(())
    }
}

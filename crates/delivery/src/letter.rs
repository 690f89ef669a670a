//! A mail as it goes out.

use std::fmt;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use identity::EmailAddress;
use identity::ports::MailError;
use kernel::EventId;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::settings::Sender;
use crate::templates::Words;
use crate::transport::bug;

const PORT: &str = "mail composer";

/// Told to other programs, so that none answers and no two of them write to each other for ever (RFC 3834,
/// and what Exchange heeds instead).
const AUTOMATIC: [(HeaderName, &str); 2] = [
    (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated"),
    (HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"), "All"),
];

/// One mail, written out: what it says, and its bytes as they are sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    id: EventId,
    written_at: DateTime<Utc>,
    from: Address,
    to: Address,
    words: Words,
    bytes: Vec<u8>,
}

/// To whom a letter goes.
pub(crate) struct Recipient<'a> {
    /// Only where it is safe to show.
    pub(crate) name: Option<String>,
    pub(crate) address: &'a EmailAddress,
}

impl Letter {
    /// Writes a letter.
    ///
    /// # Errors
    /// [`MailError::Refused`] for an address that no mail can be sent to.
    pub(crate) fn write(
        id: EventId,
        written_at: DateTime<Utc>,
        from: &Sender,
        from_name: &str,
        to: Recipient<'_>,
        words: Words,
    ) -> Result<Self, MailError> {
        let sender = address(from.address())?;
        let recipient = address(to.address)?;
        let mut builder = Message::builder()
            .from(Mailbox::new(Some(from_name.to_owned()), sender.clone()))
            .to(Mailbox::new(to.name, recipient.clone()))
            .subject(words.subject.as_str())
            .date(SystemTime::from(written_at).max(SystemTime::UNIX_EPOCH))
            .message_id(Some(format!("<{id}@{}>", sender.domain())));
        for (name, value) in AUTOMATIC {
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        // Of the id, so that a letter written again differs in its date alone.
        let parts = MultiPart::alternative()
            .boundary(format!("part-{id}"))
            .singlepart(SinglePart::plain(words.text.clone()))
            .singlepart(SinglePart::html(words.html.clone()));
        let message = builder.multipart(parts).map_err(|error| bug(PORT, error))?;
        Ok(Self {
            id,
            written_at,
            from: sender,
            to: recipient,
            words,
            bytes: message.formatted(),
        })
    }

    /// The event that caused it: the same however often it is written and sent.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// When it was written.
    #[must_use]
    pub fn written_at(&self) -> DateTime<Utc> {
        self.written_at
    }

    /// The address that it comes from.
    #[must_use]
    pub fn from(&self) -> &str {
        self.from.as_ref()
    }

    /// The address that it goes to.
    #[must_use]
    pub fn to(&self) -> &str {
        self.to.as_ref()
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.words.subject
    }

    /// What it says, as text. Holds the link with its token.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.words.text
    }

    /// What it says, as HTML. Holds the link with its token.
    #[must_use]
    pub fn html(&self) -> &str {
        &self.words.html
    }

    /// The whole as it is sent (RFC 5322): headers and both parts, in ASCII, with CRLF at the end of lines.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn envelope(&self) -> (&Address, &Address) {
        (&self.from, &self.to)
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("id", &self.id)
            .field("to", &self.to())
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}

fn address(address: &EmailAddress) -> Result<Address, MailError> {
    let parsed = address.as_str().parse();
    parsed.map_err(|error| MailError::Refused(format!("no mail can be sent to this address: {error}")))
}

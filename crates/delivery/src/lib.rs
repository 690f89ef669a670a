//! What InsightDesk hands to others: mail and webhook calls that it sends, the files of attachments, and files to be
//! scanned.
//!
//! - [`AccountMailer`]: implements `identity`'s port; writes a [`Letter`] from a template and hands it to a
//!   transport.
//! - [`Transport`]: a way out. [`SmtpTransport`] gives letters to a mail server, [`FileTransport`] writes
//!   them into a folder, and `MemoryTransport` (feature `testing`) keeps them for tests.
//! - [`FileBlobs`]: implements `ticketing`'s port; keeps files in a folder or, with the feature `s3`, in a bucket.
//! - [`ClamdScanner`]: implements `ticketing`'s port; has files looked at by ClamAV's daemon.
//! - [`WebhookCaller`]: implements `automation`'s port; makes webhook calls, to addresses that may be called alone.
//! - [`MailSettings`]: what an operator sets, parsed, with errors that say what is wrong and never show a
//!   password.
//!
//! What it promises:
//! - Links begin with the desk's own public URL, never with anything that a request said, and carry their
//!   token in the fragment, which no browser sends to a server.
//! - A letter keeps its `Message-ID` over every try, so that the reader's program can tell a repetition.
//! - No text that a stranger chose becomes a header or a link. Where whoever wrote a name may not own the
//!   address, the name is left out.
//! - Every delivery ends within a bound of its own. TLS is rustls on ring, and certificates are always
//!   verified.
//! - Neither errors nor `Debug` show a password, a token or a letter's text.
//!
//! To add a mail: a variant of `identity::ports::MailContent`, its two templates in `templates/` and its arm
//! in `content.rs`, which does not compile until it is there. To add a way out: implement [`Transport`], and
//! let [`Way`] parse its setting.

mod blobs;
mod clamd;
mod content;
mod content_type;
mod desk;
mod file;
mod letter;
mod mailer;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod settings;
mod shown;
mod smtp;
mod templates;
mod transport;
mod webhook;

pub use blobs::{FileBlobs, FilePlace, FilePlaceError};
pub use clamd::{ClamdScanner, ScannerAddress};
pub use desk::Desk;
pub use file::FileTransport;
pub use letter::Letter;
pub use mailer::AccountMailer;
#[cfg(any(test, feature = "testing"))]
pub use memory::{MemoryTransport, SentMail};
pub use settings::{MailSettings, Security, Sender, SettingsError, SmtpSettings, Way};
pub use smtp::SmtpTransport;
pub use transport::Transport;
pub use webhook::WebhookCaller;

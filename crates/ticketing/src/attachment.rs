//! Files that hang on messages: what is known of one, and what becomes of the name that its uploader's program gave.

use std::fmt;

use chrono::{DateTime, Utc};
use kernel::{MessageId, TicketId, UserId};
use serde_json::Value;

use crate::ticket::Visibility;

kernel::id_type! {
    /// A file that was uploaded.
    AttachmentId
}

/// The most attachments of one message.
pub const ATTACHMENTS_PER_MESSAGE_MAX: usize = 10;
/// The most bytes (UTF-8) of a file's name.
pub const FILE_NAME_MAX_BYTES: usize = 255;
/// A file's ending is kept when its name is cut, up to so many bytes.
const ENDING_MAX_BYTES: usize = 20;
/// What a file is called whose name has nothing in it that can be shown.
const NAMELESS: &str = "file";
/// The type of a file whose content tells none.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// A file's name as it is shown: without a path, control characters or characters that turn the text around, one to
/// [`FILE_NAME_MAX_BYTES`] bytes. It names nothing on the server, where a file goes by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// The name that is left of one that a client sent. There always is one.
    #[must_use]
    pub fn cleaned(raw: &str) -> Self {
        let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
        let shown: String = last.chars().filter(|c| !is_hidden(*c)).collect();
        let name = within_bound(trimmed(&shown));
        if name.is_empty() {
            return Self(NAMELESS.to_owned());
        }
        Self(name)
    }

    /// Takes a name as a store read it.
    #[must_use]
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character has no place in a name that people read: it cannot be seen, breaks the line, or makes what
/// stands beside it look like something else (`gpj.exe` as `exe.jpg`).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
        )
}

/// The text without what ends no name, which some systems leave out when they write it.
fn trimmed(text: &str) -> &str {
    text.trim_start()
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// The name cut to the bound, its ending kept.
fn within_bound(name: &str) -> String {
    if name.len() <= FILE_NAME_MAX_BYTES {
        return name.to_owned();
    }
    let ending = name
        .rfind('.')
        .map(|dot| &name[dot..])
        .filter(|ending| ending.len() <= ENDING_MAX_BYTES)
        .unwrap_or_default();
    let room = FILE_NAME_MAX_BYTES - ending.len();
    let cut = name
        .char_indices()
        .map(|(start, c)| start + c.len_utf8())
        .take_while(|end| *end <= room)
        .last()
        .unwrap_or_default();
    let name = format!("{}{ending}", trimmed(&name[..cut]));
    trimmed(&name).to_owned()
}

/// A file that was uploaded. Until it hangs on a message it is its uploader's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its id, by which its bytes are kept too.
    pub id: AttachmentId,
    /// Who uploaded it.
    pub uploader: UserId,
    /// The message that it hangs on, once there is one.
    pub message: Option<MessageId>,
    /// What it is called.
    pub file_name: FileName,
    /// What it is, as its first bytes tell; never what the client said.
    pub content_type: String,
    /// How many bytes it has.
    pub size_bytes: i64,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
}

impl Attachment {
    /// Where clients of the API find it: what the contract's `attachmentUrls` lists.
    #[must_use]
    pub fn url(&self) -> String {
        format!("/api/v1/attachments/{}", self.id)
    }

    /// The checksum in hexadecimal.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The contract's `attachmentUrls` of these attachments.
pub(crate) fn urls(attachments: &[Attachment]) -> Value {
    attachments.iter().map(Attachment::url).collect()
}

/// An attachment, and where it hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedAttachment {
    /// The attachment.
    pub attachment: Attachment,
    /// The place; `None` while it waits for its message.
    pub place: Option<AttachmentPlace>,
}

/// What decides who may see an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentPlace {
    /// The ticket of its message.
    pub ticket: TicketId,
    /// Its message.
    pub message: MessageId,
    /// Who may read that.
    pub visibility: Visibility,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_keeps_what_people_read_and_nothing_else() {
        for (raw, name) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\x.txt", "x.txt"),
            ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
            ("invoice\u{202E}gpj.exe", "invoicegpj.exe"),
            ("\u{2066}a\u{2069}\u{200B}.png\u{FEFF}", "a.png"),
            ("größe 图.png", "größe 图.png"),
            ("  a b.txt ", "a b.txt"),
            ("a.txt. . ", "a.txt"),
            ("", "file"),
            ("..", "file"),
            ("/", "file"),
            ("\u{0}", "file"),
        ] {
            assert_eq!(FileName::cleaned(raw).as_str(), name, "{raw:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_ending() {
        let name = FileName::cleaned(&format!("{}.tar.gz", "ö".repeat(200)));
        assert!(name.as_str().len() <= FILE_NAME_MAX_BYTES);
        assert!(name.as_str().ends_with("ö.gz"), "{name}");
        let endless = FileName::cleaned(&format!("a.{}", "b".repeat(300)));
        assert_eq!(endless.as_str().len(), FILE_NAME_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_that_can_be_shown(raw in "(\\PC|[/\\\\.\u{0}-\u{1f}\u{200e}\u{202a}-\u{202e}\u{2066}-\u{2069} ]){0,400}") {
            let name = FileName::cleaned(&raw);
            let shown = name.as_str();
            prop_assert!((1..=FILE_NAME_MAX_BYTES).contains(&shown.len()), "{shown:?}");
            prop_assert!(!shown.contains(['/', '\\']), "{shown:?}");
            prop_assert!(!shown.chars().any(is_hidden), "{shown:?}");
            prop_assert!(shown != "." && shown != "..");
            prop_assert_eq!(FileName::cleaned(shown), name);
        }
    }
}

//! What a file is, by its first bytes. What a client says of it decides nothing.

use ticketing::OCTET_STREAM;

/// As many of a file's first bytes are looked at.
pub(crate) const HEAD_BYTES: usize = 8_192;

/// The type of text that is nothing more particular.
const PLAIN_TEXT: &str = "text/plain";

/// The type of a file that begins with `head`.
pub(crate) fn content_type(head: &[u8]) -> &'static str {
    match infer::get(head) {
        Some(known) => known.mime_type(),
        None if is_text(head) => PLAIN_TEXT,
        None => OCTET_STREAM,
    }
}

/// Whether the bytes are text in UTF-8, perhaps cut within their last character.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_fit = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{0C}');
    !text.is_empty() && text.chars().all(is_fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_with() {
        for (head, expected) in [
            (b"%PDF-1.7\n".as_slice(), "application/pdf"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"<!DOCTYPE html><script>alert(1)</script>", "text/html"),
            (b"<?xml version=\"1.0\"?><svg/>", "text/xml"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "application/gzip"),
            (b"PK\x03\x04\x14\0\0\0\x08\0", "application/zip"),
            ("größe;zahl\r\n1;2\n".as_bytes(), "text/plain"),
            ("grö".as_bytes().split_at(3).0, "text/plain"),
            (b"", OCTET_STREAM),
            (b"\0\x01\x02\x03", OCTET_STREAM),
            (b"caf\xe9 au lait", OCTET_STREAM),
        ] {
            assert_eq!(content_type(head), expected, "{head:?}");
        }
    }
}

//! Texts that were written to be published.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use ammonia::UrlRelative;
use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, Options};

use crate::{Parsed, as_typed, options, parse, sanitizer};

/// The most characters that are read as Markdown; a longer text is shown as it was typed.
pub const DOCUMENT_CHARS_MAX: usize = 64 * 1024;
/// What stands before every anchor, so that none is the name of something else of the page.
const ANCHOR_PREFIX: &str = "s-";
/// The most characters of an anchor that come from its heading.
const ANCHOR_CHARS_MAX: usize = 80;

/// What a text looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// HTML that is safe to put into a page. Its headings have an `id`.
    pub html: String,
    /// Its headings, in order.
    pub headings: Vec<Heading>,
    /// Its words, without markup; parts are apart by line breaks.
    pub plain: String,
}

/// A heading of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// From 1 to 6.
    pub level: u8,
    /// What it says.
    pub text: String,
    /// The `id` of its element, once in a text: small letters and digits of any script, with `-` between them.
    pub anchor: String,
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(options);

static SANITIZER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut sanitizer = sanitizer();
    sanitizer.url_relative(UrlRelative::Custom(Box::new(within)));
    sanitizer
});

/// Links to places of the text itself and to pages of the same site stay; `//elsewhere` is another site, and so is `/\\elsewhere` to
/// browsers.
fn within(url: &str) -> Option<Cow<'_, str>> {
    let is_local = url.starts_with('#') || url.starts_with('/') && !url[1..].starts_with(['/', '\\']);
    let is_plain = !url.contains(|c: char| c.is_control() || c == '\\');
    (is_local && is_plain).then_some(Cow::Borrowed(url))
}

/// Markdown as a document.
#[must_use]
pub fn document(markdown: &str) -> Document {
    let as_it_is = || Document {
        html: as_typed(markdown),
        headings: Vec::new(),
        plain: markdown.to_owned(),
    };
    if markdown.len() > DOCUMENT_CHARS_MAX && markdown.chars().count() > DOCUMENT_CHARS_MAX {
        return as_it_is();
    }
    let arena = Arena::new();
    let Some(Parsed { root, html }) = parse(&arena, markdown, &OPTIONS) else {
        return as_it_is();
    };
    let headings = headings(root);
    let html = SANITIZER.clean(&html).to_string();
    Document {
        html: with_anchors(&html, &headings),
        plain: words(root),
        headings,
    }
}

fn headings(root: Node<'_>) -> Vec<Heading> {
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut found = Vec::new();
    for node in root.descendants() {
        let NodeValue::Heading(heading) = &node.data().value else {
            continue;
        };
        let text = words(node);
        let name = anchor(&text);
        let times = taken.entry(name.clone()).or_default();
        *times += 1;
        // Nothing ends with a number that was not given out here.
        let anchor = if *times == 1 && !name.ends_with(|c: char| c.is_ascii_digit()) {
            format!("{ANCHOR_PREFIX}{name}")
        } else {
            format!("{ANCHOR_PREFIX}{name}-{times}")
        };
        found.push(Heading {
            level: heading.level,
            text,
            anchor,
        });
    }
    found
}

/// Small letters and digits of a heading.
fn anchor(text: &str) -> String {
    let mut anchor = String::new();
    for c in text.chars().flat_map(char::to_lowercase).take(ANCHOR_CHARS_MAX) {
        if c.is_alphanumeric() {
            anchor.push(c);
        } else if !anchor.is_empty() && !anchor.ends_with('-') {
            anchor.push('-');
        }
    }
    anchor.truncate(anchor.trim_end_matches('-').len());
    anchor
}

/// The words of a node and all below it.
fn words(node: Node<'_>) -> String {
    let mut words = String::new();
    for below in node.descendants() {
        match &below.data().value {
            NodeValue::Text(text) => words.push_str(text),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::CodeBlock(block) => {
                words.push('\n');
                words.push_str(&block.literal);
            }
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            NodeValue::Paragraph
            | NodeValue::Heading(_)
            | NodeValue::Item(_)
            | NodeValue::TableRow(_)
            | NodeValue::TableCell
                if !words.is_empty() =>
            {
                words.push('\n');
            }
            _ => {}
        }
    }
    words.trim().to_owned()
}

/// HTML with the anchors of its headings. It is sanitised: a heading has no attributes, and nothing else looks like one.
fn with_anchors(html: &str, headings: &[Heading]) -> String {
    let mut out = String::with_capacity(html.len() + headings.len() * 32);
    let mut rest = html;
    for heading in headings {
        let tag = format!("<h{}>", heading.level);
        let Some(at) = rest.find(&tag) else { break };
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str(&tag[..3]);
        out.push_str(" id=\"");
        out.push_str(&heading.anchor);
        out.push_str("\">");
        rest = &after[tag.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_anchors_of_their_own() {
        let shown =
            document("# A & B\n\ntext\n\n## `code` *it*\n\n# A & B\n\n# Step 2\n\n# !!!\n\n### Ünïcode\n");
        let anchors: Vec<_> = shown
            .headings
            .iter()
            .map(|one| (one.level, one.anchor.as_str()))
            .collect();
        assert_eq!(
            anchors,
            [
                (1, "s-a-b"),
                (2, "s-code-it"),
                (1, "s-a-b-2"),
                (1, "s-step-2-1"),
                (1, "s-"),
                (3, "s-ünïcode")
            ]
        );
        assert_eq!(shown.headings[1].text, "code it");
        assert!(
            shown
                .html
                .contains("<h2 id=\"s-code-it\"><code>code</code> <em>it</em></h2>"),
            "{}",
            shown.html
        );
        assert!(!shown.html.contains("<h1>"), "{}", shown.html);
    }

    #[test]
    fn lines_run_on_and_words_are_apart() {
        let shown = document("one\ntwo\n\n- a\n- b\n\n|x|y|\n|-|-|\n|1|2|\n\n```sh\nls\n```\n");
        assert!(shown.html.starts_with("<p>one\ntwo</p>"), "{}", shown.html);
        let words: Vec<_> = shown.plain.split_whitespace().collect();
        assert_eq!(words, ["one", "two", "a", "b", "x", "y", "1", "2", "ls"]);
    }

    #[test]
    fn links_lead_within_the_site_and_to_others_and_nowhere_else() {
        for (link, stays) in [
            ("#s-a", true),
            ("/kb/articles/x", true),
            ("https://example.org/", true),
            ("mailto:a@example.org", true),
            ("//evil.example", false),
            // A page of the same site, with a backslash in its name.
            ("/\\page", true),
            ("relative", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
        ] {
            let shown = document(&format!("[a](<{link}>)"));
            assert_eq!(shown.html.contains("href="), stays, "{link}: {}", shown.html);
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_shown_as_it_was_typed() {
        let long = "a ".repeat(DOCUMENT_CHARS_MAX);
        assert!(document(&long).html.starts_with("<pre>"));
        let deep = format!("{}a", "> ".repeat(10_000));
        assert!(document(&deep).html.starts_with("<pre>"));
        assert!(document(&"ä".repeat(DOCUMENT_CHARS_MAX)).html.starts_with("<p>"));
    }
}

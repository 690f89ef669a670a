//! Markdown to sanitised HTML, as InsightDesk shows it.
//!
//! [`render`] takes what a person typed: GitHub's Markdown with tables, struck-through text, bare links and task
//! lists; a line break is a line break. It promises HTML that executes, loads and imitates nothing: raw HTML is shown
//! as text, only the [elements](ELEMENTS) and attributes named here come out, links go to web pages and mail
//! addresses alone, and pictures come from the web. It also promises to be quick whatever it is given: a text that is
//! too long or nests too deeply is shown as it was typed.
//!
//! To let another element through, add it to [`ELEMENTS`] and, with the attributes that it needs, to [`ATTRIBUTES`].

//! [`document`] takes what was written to be published: longer, with line breaks that are none, with anchors at its headings,
//! and with links within the same site.

mod document;
mod from_html;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::UrlRelative;
use comrak::nodes::Node;
use comrak::{Arena, Options};

pub use document::{DOCUMENT_CHARS_MAX, Document, Heading, document};
pub use from_html::from_html;

/// The most characters that are read as Markdown; a longer text is shown as it was typed. Some inputs cost the parsers
/// the square of their length: a bound that logs exceed and letters do not keeps the worst of them short.
pub const INPUT_CHARS_MAX: usize = 16 * 1024;

/// How deep quotes, lists and emphasis may stand inside of each other.
pub const NESTING_MAX: usize = 60;

/// The most nodes (paragraphs, words in bold, table cells) of a text.
pub const NODES_MAX: usize = 100_000;

/// The elements that come out.
pub const ELEMENTS: &[&str] = &[
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "img",
    "input",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// The attributes that come out, by element.
pub const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href", "title"]),
    ("img", &["src", "alt", "title"]),
    ("input", &["checked", "disabled"]),
    ("ol", &["start"]),
    ("td", &["align"]),
    ("th", &["align"]),
];

/// Where links and pictures may lead.
pub const URL_SCHEMES: &[&str] = &["http", "https", "mailto"];

/// What every link says of the page that it leads to.
const LINK_RELATION: &str = "noopener noreferrer nofollow";

/// Markdown as HTML that is safe to put into a page.
#[must_use]
pub fn render(markdown: &str) -> String {
    if markdown.len() > INPUT_CHARS_MAX && markdown.chars().count() > INPUT_CHARS_MAX {
        return as_typed(markdown);
    }
    let arena = Arena::new();
    match parse(&arena, markdown, &OPTIONS) {
        Some(Parsed { root: _, html }) => SANITIZER.clean(&html).to_string(),
        None => as_typed(markdown),
    }
}

/// The text itself, with nothing read into it.
fn as_typed(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    html.push_str("<pre>");
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\0' => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html.push_str("</pre>");
    html
}

/// A text that was read.
struct Parsed<'a> {
    root: Node<'a>,
    /// Not yet sanitised.
    html: String,
}

/// Reads Markdown; `None` when it nests too deeply.
fn parse<'a>(arena: &'a Arena<'a>, markdown: &str, options: &Options<'_>) -> Option<Parsed<'a>> {
    let root = comrak::parse_document(arena, markdown, options);
    if !is_flat(root) {
        return None;
    }
    let mut html = String::new();
    comrak::format_html(root, options, &mut html).ok()?;
    Some(Parsed { root, html })
}

/// Whether a document keeps to the bounds of depth and size. Walks without recursion.
fn is_flat(root: Node<'_>) -> bool {
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    let mut node = root;
    loop {
        nodes += 1;
        if depth > NESTING_MAX || nodes > NODES_MAX {
            return false;
        }
        if let Some(child) = node.first_child() {
            node = child;
            depth += 1;
            continue;
        }
        while node.next_sibling().is_none() {
            match node.parent() {
                Some(parent) if !parent.same_node(root) => node = parent,
                Some(_) | None => return true,
            }
            depth -= 1;
        }
        match node.next_sibling() {
            Some(sibling) => node = sibling,
            None => return true,
        }
    }
}

/// What both kinds of text are read by.
fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.render.escape = true;
    options
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = options();
    // People write messages, not documents: where they broke the line, it breaks.
    options.render.hardbreaks = true;
    options
});

/// What both kinds of text are cleaned by.
fn sanitizer() -> ammonia::Builder<'static> {
    let attributes: HashMap<_, HashSet<_>> = ATTRIBUTES
        .iter()
        .map(|(element, names)| (*element, names.iter().copied().collect()))
        .collect();
    let checkbox = HashMap::from([("type", HashSet::from(["checkbox"]))]);
    let mut sanitizer = ammonia::Builder::empty();
    sanitizer
        .tags(ELEMENTS.iter().copied().collect())
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(attributes)
        .tag_attribute_values(HashMap::from([("input", checkbox)]))
        .url_schemes(URL_SCHEMES.iter().copied().collect())
        .url_relative(UrlRelative::Deny)
        .link_rel(Some(LINK_RELATION))
        .strip_comments(true);
    sanitizer
}

static SANITIZER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(sanitizer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_what_people_mean() {
        for (markdown, html) in [
            ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
            (
                "**a** *b* ~~c~~ `d`",
                "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>\n",
            ),
            ("# A", "<h1>A</h1>\n"),
            ("> a", "<blockquote>\n<p>a</p>\n</blockquote>\n"),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
            ("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>\n"),
            (
                "```rust\nlet a = 1;\n```",
                "<pre><code>let a = 1;\n</code></pre>\n",
            ),
            ("", ""),
        ] {
            assert_eq!(render(markdown), html, "{markdown}");
        }
        let table = render("|a|b|\n|-|:-:|\n|c|d|");
        assert!(
            table.contains("<th align=\"center\">b</th>") && table.contains("<td>c</td>"),
            "{table}"
        );
        let tasks = render("- [x] done\n- [ ] open");
        assert_eq!(tasks.matches("<input").count(), 2, "{tasks}");
        assert_eq!(tasks.matches("checked").count(), 1, "{tasks}");
    }

    #[test]
    fn links_say_that_we_do_not_vouch_for_them() {
        let link = render("[a](https://example.com/ \"t\") and https://example.org");
        assert_eq!(
            link.matches("rel=\"noopener noreferrer nofollow\"").count(),
            2,
            "{link}"
        );
        assert!(link.contains("href=\"https://example.com/\""), "{link}");
        assert!(render("<mail@example.com>").contains("href=\"mailto:mail@example.com\""));
        let image = render("![a](https://example.com/a.png)");
        assert_eq!(
            image,
            "<p><img src=\"https://example.com/a.png\" alt=\"a\"></p>\n"
        );
    }

    #[test]
    fn links_lead_to_the_web_or_to_mail_alone() {
        for url in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java&#10;script:alert(1)",
            "&#x6A;avascript:alert(1)",
            "data:text/html,x",
            "data:image/png;base64,AA",
            "vbscript:x",
            "file:///etc/passwd",
            "//evil.example",
            "/relative",
            "#fragment",
            "\\\\evil",
            "blob:x",
            "view-source:x",
            "x:y",
        ] {
            for markdown in [
                format!("[a]({url})"),
                format!("![a]({url})"),
                format!("<{url}>"),
                format!("[a]: {url}\n\n[a]"),
            ] {
                let html = render(&markdown);
                assert!(
                    !html.contains("href=") && !html.contains("src="),
                    "{markdown}: {html}"
                );
            }
        }
    }

    #[test]
    fn raw_html_is_shown_as_text() {
        let html = render("<b onclick=x>a</b>\n\n<div style='position:fixed'>b</div>\n\n<!-- c -->");
        assert!(
            !html.contains("<b ") && !html.contains("<div") && !html.contains("<!--"),
            "{html}"
        );
        assert!(html.contains("&lt;b onclick=x&gt;"), "{html}");
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_shown_as_it_was_typed() {
        let long = format!("**a** <{}", "ä".repeat(INPUT_CHARS_MAX));
        let html = render(&long);
        assert!(html.starts_with("<pre>**a** &lt;ä"), "{}", &html[..40]);
        assert!(render(&"ä".repeat(INPUT_CHARS_MAX)).starts_with("<p>"));
        for deep in ["> ".repeat(10_000), "- ".repeat(10_000), "1. ".repeat(10_000)] {
            assert!(
                render(&format!("{deep}a")).starts_with("<pre>"),
                "{}",
                &deep[..10]
            );
        }
        let emphasis = format!("{}a{}", "*a **b ".repeat(500), "c** d*".repeat(500));
        assert!(render(&emphasis).starts_with("<pre>"));
        assert!(render(&format!("{}a", "> ".repeat(40))).starts_with("<blockquote>"));
    }
}

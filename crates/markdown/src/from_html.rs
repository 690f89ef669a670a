//! HTML of other programs as Markdown that shows what it showed.
//!
//! [`from_html`] keeps words, paragraphs, lists, quotes, code, emphasis and links; it forgets looks, scripts and what
//! loads from elsewhere. A picture becomes a link to it, so that nothing is fetched where it is only read. Text that
//! Markdown would take for markup is escaped. It reads tokens, not a tree: however deep elements nest, it takes no stack.

use std::cell::RefCell;

use html5ever::interface::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// How deep quotes, lists and items are kept; what nests deeper is written at this depth.
const NESTING_KEPT_MAX: usize = 16;
/// How many links can be open at once.
const LINKS_OPEN_MAX: usize = 4;
/// The elements whose content is nothing to read.
const UNREAD: &[&str] = &[
    "script", "style", "head", "title", "template", "iframe", "object", "svg", "math", "select", "button",
    "textarea", "noscript",
];
/// The elements among those whose content is no markup.
const RAW: &[&str] = &["script", "style", "title", "iframe", "textarea", "noscript"];

/// HTML as Markdown.
#[must_use]
pub fn from_html(html: &str) -> String {
    let tokenizer = Tokenizer::new(Sink(RefCell::default()), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    tokenizer.sink.0.into_inner().finish()
}

struct Sink(RefCell<Writer>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut writer = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => writer.text(&text),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                writer.open(&tag);
                if RAW.contains(&&*tag.name) && !tag.self_closing {
                    return TokenSinkResult::RawData(RawKind::Rawtext);
                }
            }
            Token::TagToken(tag) => writer.close(&tag.name),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

/// What lines stand in.
#[derive(Debug)]
enum Frame {
    Quote,
    /// With the number of the next item, where they are numbered.
    List(Option<u64>),
    /// Its lines after the first are set in by so much.
    Item(usize),
}

/// What stands between what is written already and what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Where its last line begins.
    line_begin: usize,
    gap: Gap,
    frames: Vec<Frame>,
    /// An item that has no text yet: its bullet.
    bullet: Option<String>,
    /// Emphasis that is on, and whether its mark is written.
    marks: Vec<(&'static str, bool)>,
    /// Links that are open: where to, and where their text begins.
    links: Vec<(Option<String>, usize)>,
    heading: Option<usize>,
    /// The text of preformatted lines, and how many elements deep it is.
    code: String,
    code_depth: usize,
    /// The element that is not read, and how many of its name are open.
    unread: Option<(String, usize)>,
}

impl Writer {
    fn open(&mut self, tag: &Tag) {
        let name: &str = &tag.name;
        if let Some((unread, depth)) = &mut self.unread {
            *depth += usize::from(name == unread && !tag.self_closing);
            return;
        }
        if UNREAD.contains(&name) {
            if !tag.self_closing {
                self.unread = Some((name.to_owned(), 1));
            }
            return;
        }
        if self.code_depth > 0 {
            match name {
                "pre" => self.code_depth += 1,
                "br" => self.code.push('\n'),
                _ => {}
            }
            return;
        }
        match name {
            "br" => self.line_break(),
            "p" | "dl" | "table" | "figure" | "fieldset" | "form" => self.separate(Gap::Paragraph),
            "hr" => {
                self.separate(Gap::Paragraph);
                self.raw("---");
                self.separate(Gap::Paragraph);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.separate(Gap::Paragraph);
                self.heading = name[1..].parse().ok();
            }
            "blockquote" => {
                self.separate(Gap::Paragraph);
                self.enter(Frame::Quote);
            }
            "ul" | "ol" | "menu" => {
                let is_nested = self.frames.iter().any(|frame| matches!(frame, Frame::List(_)));
                self.separate(if is_nested { Gap::Line } else { Gap::Paragraph });
                let start = attribute(tag, "start").and_then(|text| text.parse().ok());
                let first = (name == "ol").then(|| start.filter(|start| *start < 1_000_000).unwrap_or(1));
                self.enter(Frame::List(first));
            }
            "li" => self.item(),
            "pre" => {
                self.separate(Gap::Paragraph);
                self.code_depth = 1;
            }
            "b" | "strong" => self.mark("**"),
            "i" | "em" => self.mark("*"),
            "s" | "del" | "strike" => self.mark("~~"),
            "a" if self.links.len() < LINKS_OPEN_MAX => {
                let target = attribute(tag, "href").and_then(|target| link_target(&target));
                self.flush_before_text();
                self.links.push((target, self.out.len()));
            }
            "img" => self.picture(tag),
            "td" | "th" => self.gap = self.gap.max(Gap::Space),
            _ if is_block(name) => self.separate(Gap::Line),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((unread, depth)) = &mut self.unread {
            if name == unread {
                *depth -= 1;
                if *depth == 0 {
                    self.unread = None;
                }
            }
            return;
        }
        if self.code_depth > 0 {
            if name == "pre" {
                self.code_depth -= 1;
                if self.code_depth == 0 {
                    self.fence();
                }
            }
            return;
        }
        match name {
            "p" | "dl" | "table" | "figure" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.separate(Gap::Paragraph);
                self.heading = None;
            }
            "blockquote" => {
                self.separate(Gap::Paragraph);
                self.leave(|frame| matches!(frame, Frame::Quote));
            }
            "ul" | "ol" | "menu" => {
                self.leave(|frame| matches!(frame, Frame::List(_)));
                let is_nested = self.frames.iter().any(|frame| matches!(frame, Frame::List(_)));
                self.separate(if is_nested { Gap::Line } else { Gap::Paragraph });
            }
            "li" => {
                self.separate(Gap::Line);
                self.bullet = None;
            }
            "b" | "strong" => self.unmark("**"),
            "i" | "em" => self.unmark("*"),
            "s" | "del" | "strike" => self.unmark("~~"),
            "a" => self.end_link(),
            "td" | "th" => self.gap = self.gap.max(Gap::Space),
            _ if is_block(name) => self.separate(Gap::Line),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.unread.is_some() {
            return;
        }
        if self.code_depth > 0 {
            self.code.push_str(text);
            return;
        }
        let mut words = text.split(|c: char| c.is_ascii_whitespace() || c == '\u{a0}');
        if let Some(first) = words.next() {
            self.word(first);
        }
        for word in words {
            self.gap = self.gap.max(Gap::Space);
            self.word(word);
        }
    }

    fn word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        self.flush_before_text();
        for index in 0..self.marks.len() {
            if !self.marks[index].1 {
                self.marks[index].1 = true;
                self.out.push_str(self.marks[index].0);
            }
        }
        let chars: Vec<char> = word.chars().collect();
        for (index, c) in chars.iter().copied().enumerate() {
            let before = self.out.chars().next_back();
            let after = chars.get(index + 1).copied();
            let at_start = index == 0 && self.is_line_start();
            let is_markup = match c {
                '\\' | '`' | '*' | '[' | ']' => true,
                '_' => {
                    !(before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric))
                }
                '~' => before == Some('~') || after == Some('~'),
                '<' => after.is_some_and(char::is_alphabetic),
                '#' | '>' | '+' | '-' | '=' | '|' => at_start,
                '.' | ')' => after.is_none() && self.line_is_number(),
                _ => false,
            };
            if is_markup {
                self.out.push('\\');
            }
            self.out.push(c);
        }
    }

    /// Writes what is due before text: the gap, a bullet, a heading's signs.
    fn flush_before_text(&mut self) {
        let gap = std::mem::take(&mut self.gap);
        let is_start = self.out.is_empty();
        match gap {
            Gap::None => {}
            Gap::Space if is_start || self.is_line_start() => {}
            Gap::Space => self.out.push(' '),
            Gap::Line | Gap::Paragraph if is_start => {}
            Gap::Line => self.new_line(),
            Gap::Paragraph => {
                self.new_line();
                self.new_line();
            }
        }
        if is_start {
            let prefix = self.prefix();
            self.out.push_str(&prefix);
        }
        if let Some(bullet) = self.bullet.take() {
            self.out.push_str(&bullet);
        }
        if let Some(level) = self.heading.take() {
            self.out.push_str(&"#".repeat(level));
            self.out.push(' ');
        }
    }

    fn raw(&mut self, text: &str) {
        self.flush_before_text();
        self.out.push_str(text);
    }

    fn separate(&mut self, gap: Gap) {
        self.end_marks();
        self.gap = self.gap.max(gap);
    }

    fn line_break(&mut self) {
        if self.gap >= Gap::Line {
            self.gap = Gap::Paragraph;
        } else {
            self.separate(Gap::Line);
        }
    }

    fn new_line(&mut self) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        let prefix = self.prefix();
        self.out.push('\n');
        self.line_begin = self.out.len();
        self.out.push_str(&prefix);
    }

    /// What every line begins with where this is written; an item's own bullet stands where its first line is set in.
    fn prefix(&self) -> String {
        let mut prefix = String::new();
        let mut left = self
            .frames
            .iter()
            .filter(|frame| matches!(frame, Frame::Item(_)))
            .count();
        for frame in &self.frames {
            match frame {
                Frame::Quote => prefix.push_str("> "),
                Frame::Item(width) => {
                    left -= 1;
                    if self.bullet.is_none() || left > 0 {
                        prefix.push_str(&" ".repeat(*width));
                    }
                }
                Frame::List(_) => {}
            }
        }
        prefix
    }

    fn item(&mut self) {
        self.separate(Gap::Line);
        // An item that was never closed ends where the next begins.
        if let Some(place) = self
            .frames
            .iter()
            .rposition(|frame| matches!(frame, Frame::List(_)))
        {
            self.frames.truncate(place + 1);
        } else {
            self.enter(Frame::List(None));
        }
        let bullet = match self.frames.last_mut() {
            Some(Frame::List(Some(number))) => {
                let bullet = format!("{number}. ");
                *number += 1;
                bullet
            }
            _ => "- ".to_owned(),
        };
        self.enter(Frame::Item(bullet.len()));
        self.bullet = Some(bullet);
    }

    fn enter(&mut self, frame: Frame) {
        if self.frames.len() < NESTING_KEPT_MAX {
            self.frames.push(frame);
        }
    }

    fn leave(&mut self, which: impl Fn(&Frame) -> bool) {
        if let Some(place) = self.frames.iter().rposition(which) {
            self.frames.truncate(place);
        }
        self.bullet = None;
    }

    /// Ends what emphasis is written; it goes on behind the gap.
    fn end_marks(&mut self) {
        for index in (0..self.marks.len()).rev() {
            if std::mem::take(&mut self.marks[index].1) {
                self.out.push_str(self.marks[index].0);
            }
        }
    }

    /// Begins emphasis; within its like it is on already.
    fn mark(&mut self, mark: &'static str) {
        if self.marks.iter().all(|(other, _)| *other != mark) {
            self.marks.push((mark, false));
        }
    }

    fn unmark(&mut self, mark: &'static str) {
        let Some(place) = self.marks.iter().rposition(|(other, _)| *other == mark) else {
            return;
        };
        // What was opened inside of it ends with it, and begins anew.
        for index in (place..self.marks.len()).rev() {
            if std::mem::take(&mut self.marks[index].1) {
                self.out.push_str(self.marks[index].0);
            }
        }
        self.marks.remove(place);
    }

    fn end_link(&mut self) {
        let Some((target, begin)) = self.links.pop() else {
            return;
        };
        let Some(target) = target else { return };
        let text = self.out.get(begin..).unwrap_or_default();
        if text.trim().is_empty() {
            return;
        }
        let plain: String = text.chars().filter(|c| *c != '\\').collect();
        let is_itself = plain == target || target.strip_prefix("mailto:") == Some(plain.as_str());
        // A link's text is one paragraph; a link around more than that stands behind it.
        if is_itself {
            self.out.truncate(begin);
            self.out.push_str(&format!("<{target}>"));
        } else if text.contains('\n') || !self.is_boundary(begin) {
            self.out.push_str(&format!(" (<{target}>)"));
        } else {
            self.out.insert(begin, '[');
            self.out.push_str(&format!("](<{target}>)"));
        }
    }

    fn is_boundary(&self, place: usize) -> bool {
        self.out.is_char_boundary(place) && self.marks.iter().all(|(_, written)| !written)
    }

    fn picture(&mut self, tag: &Tag) {
        let is_tiny = ["width", "height"].into_iter().any(|side| {
            attribute(tag, side).is_some_and(|text| matches!(text.trim(), "0" | "1" | "0px" | "1px"))
        });
        if is_tiny {
            return;
        }
        let alt = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty());
        let target = attribute(tag, "src").and_then(|source| link_target(&source));
        if alt.is_none() && target.is_none() {
            return;
        }
        let begin_of_link = self.links.is_empty().then_some(target).flatten();
        self.flush_before_text();
        self.links.push((begin_of_link, self.out.len()));
        self.text(alt.as_deref().unwrap_or("image"));
        self.end_link();
    }

    fn fence(&mut self) {
        let code = std::mem::take(&mut self.code);
        let code = code.trim_matches('\n').replace('\r', "");
        if code.trim().is_empty() {
            return;
        }
        let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        self.raw(&fence);
        for line in code.split('\n') {
            self.new_line();
            self.out.push_str(line);
        }
        self.new_line();
        self.out.push_str(&fence);
        self.gap = Gap::Paragraph;
    }

    fn line(&self) -> &str {
        self.out.get(self.line_begin..).unwrap_or_default()
    }

    fn is_line_start(&self) -> bool {
        self.line().chars().all(|c| matches!(c, ' ' | '>'))
    }

    fn line_is_number(&self) -> bool {
        let line = self.line().trim_start_matches(['>', ' ']);
        !line.is_empty() && line.len() <= 9 && line.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn finish(mut self) -> String {
        if self.code_depth > 0 {
            self.fence();
        }
        self.end_marks();
        while !self.links.is_empty() {
            self.end_link();
        }
        self.out.trim().to_owned()
    }
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    let found = tag
        .attrs
        .iter()
        .find(|attribute| &*attribute.name.local == name)?;
    Some(found.value.to_string())
}

/// A link's target as Markdown takes it between angle brackets; none that leads to neither a page nor an address.
fn link_target(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let scheme = raw.split(':').next()?.to_ascii_lowercase();
    if !crate::URL_SCHEMES.contains(&scheme.as_str()) || scheme.len() == raw.len() {
        return None;
    }
    let mut target = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '<' => target.push_str("%3C"),
            '>' => target.push_str("%3E"),
            '\\' => target.push_str("%5C"),
            ' ' => target.push_str("%20"),
            c if c.is_control() => {}
            c => target.push(c),
        }
    }
    Some(target)
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "div"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "main"
            | "aside"
            | "nav"
            | "address"
            | "tr"
            | "dt"
            | "dd"
            | "caption"
            | "figcaption"
            | "body"
            | "html"
            | "center"
            | "details"
            | "summary"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_paragraphs_and_lines_stay() {
        let table = [
            ("<div>This is a private note</div>", "This is a private note"),
            ("<p>One</p>\n<p>Two</p>", "One\n\nTwo"),
            ("<div>One</div><div>Two</div>", "One\nTwo"),
            ("One<br>Two<br><br>Three", "One\nTwo\n\nThree"),
            ("a  b\n c&nbsp;d", "a b c d"),
            ("5 &lt; 6 &amp; 7", "5 < 6 & 7"),
            ("<h2>Head</h2>Text", "## Head\n\nText"),
            ("<hr>x", "---\n\nx"),
            ("", ""),
            ("<div><br></div>", ""),
        ];
        for (html, markdown) in table {
            assert_eq!(from_html(html), markdown, "{html}");
        }
    }

    #[test]
    fn lists_quotes_and_code_stay() {
        let table = [
            ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
            ("<ol start=3><li>a<li>b</ol>z", "3. a\n4. b\n\nz"),
            (
                "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
                "- a\n  - b\n- c",
            ),
            ("<blockquote><p>a</p><p>b</p></blockquote>c", "> a\n>\n> b\n\nc"),
            ("<pre>x\n  y ``` z</pre>", "````\nx\n  y ``` z\n````"),
        ];
        for (html, markdown) in table {
            assert_eq!(from_html(html), markdown, "{html}");
        }
    }

    #[test]
    fn emphasis_and_links_stay() {
        let table = [
            ("<b>bold</b> and <i>it</i>", "**bold** and *it*"),
            ("<b> a </b>b", "**a** b"),
            ("<b><p>a</p><p>b</p></b>", "**a**\n\n**b**"),
            (
                "<a href='https://a.example/x y'>here</a>",
                "[here](<https://a.example/x%20y>)",
            ),
            (
                "<a href='https://a.example'>https://a.example</a>",
                "<https://a.example>",
            ),
            ("<a href='javascript:alert(1)'>x</a>", "x"),
            (
                "<img src='https://a.example/p.png' alt='Plan'>",
                "[Plan](<https://a.example/p.png>)",
            ),
            ("<img src='https://a.example/t.gif' width=1 height=1>x", "x"),
            ("<img src='cid:1' alt='Plan'>", "Plan"),
        ];
        for (html, markdown) in table {
            assert_eq!(from_html(html), markdown, "{html}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        let html = "<head><title>t</title><style>p{}</style></head><script>if (a<b) alert('</p>')</script><p>x</p>\
                    <!-- c --><select><option>y</select>";
        assert_eq!(from_html(html), "x");
    }

    #[test]
    fn signs_of_markdown_are_escaped_and_shown_as_they_were() {
        let table = [
            ("1. no list", "1\\. no list"),
            ("# no head", "\\# no head"),
            ("- no item", "\\- no item"),
            ("snake_case *star* [x]", "snake_case \\*star\\* \\[x\\]"),
            ("2 * 3 - 1", "2 \\* 3 - 1"),
        ];
        for (html, markdown) in table {
            assert_eq!(from_html(html), markdown, "{html}");
            let shown = crate::render(&from_html(html));
            assert_eq!(shown.trim(), format!("<p>{html}</p>"), "{html}");
        }
    }

    #[test]
    fn it_takes_no_stack_and_grows_within_bounds() {
        let deep = "<blockquote><ul><li><b>".repeat(20_000) + "x" + &"<br>y".repeat(1_000);
        assert!(from_html(&deep).len() < 64 * 1024);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_no_word_is_lost(parts in proptest::collection::vec(prop_oneof![
            "[a-z]{1,8}", "[*_#>~|.+)(\\[\\]`-]{1,3}", Just("<p>".to_owned()), Just("</p>".to_owned()), Just("<b>".to_owned()),
            Just("</b>".to_owned()), Just("<ul><li>".to_owned()), Just("</ul>".to_owned()), Just("<a href='https://x.example'>".to_owned()),
            Just("</a>".to_owned()), Just("<pre>".to_owned()), Just("</pre>".to_owned()), Just("<blockquote>".to_owned()),
        ], 0..40)) {
            let html = parts.join(" ");
            let markdown = from_html(&html);
            for part in parts.iter().filter(|part| part.bytes().all(|byte| byte.is_ascii_lowercase())) {
                prop_assert!(markdown.contains(part.as_str()), "{part} of {html} is not in {markdown}");
            }
            prop_assert!(crate::render(&markdown).is_empty() == markdown.is_empty());
        }

        #[test]
        fn any_bytes_are_taken(html in "\\PC{0,200}") {
            prop_assert!(from_html(&html).len() <= html.len() * 4 + 64);
        }
    }
}

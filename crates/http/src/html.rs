//! Texts of people in HTML of ours.

/// The text with every sign escaped that means something in HTML, in elements and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

/// Runs of a text as HTML that is safe to show: escaped, the matches in `<mark>` and no other element.
pub(crate) fn marked<'a>(runs: impl Iterator<Item = (&'a str, bool)>) -> String {
    let mut html = String::new();
    for (text, is_match) in runs {
        let text = escaped(text);
        if is_match {
            html.push_str("<mark>");
            html.push_str(&text);
            html.push_str("</mark>");
        } else {
            html.push_str(&text);
        }
    }
    html
}

//! What titles become in addresses, and what differs between two texts: no store, no server.
//!
//! `cargo run -p insightdesk-knowledge --example slugs`, or with titles as arguments.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use insightdesk_knowledge::{Difference, Slug, difference};

/// The most characters of a slug.
const CHARS_MAX: usize = 200;

fn main() {
    let mut titles: Vec<String> = std::env::args().skip(1).collect();
    if titles.is_empty() {
        titles = [
            "Reset your password",
            "Größe ändern",
            "Как сменить пароль",
            "C++ & C#: 10 tips",
        ]
        .map(str::to_owned)
        .into();
    }
    for title in titles {
        println!("{title}: /kb/articles/{}", Slug::of(&title, CHARS_MAX).as_str());
    }
    for part in difference(
        "Open settings.\nTap *Keys*.\n",
        "Open settings.\nTap *Security*.\n",
    ) {
        let (sign, text) = match &part {
            Difference::Same(text) => (' ', text),
            Difference::Added(text) => ('+', text),
            Difference::Removed(text) => ('-', text),
        };
        print!("{sign} {text}");
    }
}

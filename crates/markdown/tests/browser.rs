//! What comes out is shown to a real browser, Chromium, which finds nothing in it to execute.
//!
//! Where there is no Chromium the test is left out, unless `INSIGHTDESK_TEST_BROWSER` is set, which CI does.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use insightdesk_markdown::render;

/// Attacks on HTML, Markdown and the seams between both.
const ATTACKS: [&str; 36] = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=data:text/javascript,alert(1)></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<img src='x' onerror='alert(1)'//>",
    "<img src=data:, onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<template><script>alert(1)</script></template>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"java&#x09;script:alert(1)\">x</a>",
    "<a href=\"&#106;avascript:alert(1)\">x</a>",
    "<iframe srcdoc=\"<script>parent.alert(1)</script>\">",
    "<iframe src=javascript:alert(1)>",
    "<object data=data:text/html,<script>alert(1)</script>>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><input type=submit autofocus onfocus=alert(1)></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<body onload=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<base href=javascript:/a/+alert(1)//>",
    "<meta http-equiv=refresh content=0;url=javascript:alert(1)>",
    "<style>@import 'javascript:alert(1)'</style>",
    "<link rel=stylesheet href=javascript:alert(1)>",
    "<p style=\"background:url(javascript:alert(1))\">x</p>",
    "\"><script>alert(1)</script>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<https://example.com/\"onmouseover=\"alert(1)>",
    "[a](javascript:alert(1))",
];

/// Each attack in each of the places where Markdown treats text in its own ways.
fn texts() -> Vec<String> {
    let places = |attack: &&str| {
        [
            (*attack).to_owned(),
            format!("> {attack}"),
            format!("- {attack}"),
            format!("[a]({attack})"),
            format!("![{attack}](data:, \"{attack}\")"),
            format!("|a|\n|-|\n|{attack}|"),
            format!("```{attack}\n{attack}\n```"),
            format!("<{attack}>"),
        ]
    };
    ATTACKS.iter().flat_map(places).collect()
}

/// Opens what is put into it, touches everything there, and tells what was executed and what could be.
fn page(shown: &[String]) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><script>\
         var hits = 0; for (const name of ['alert', 'confirm', 'prompt', 'open', 'print']) window[name] = () => { hits++; };\
         window.onbeforeunload = () => { hits++; };</script>",
    );
    for html in shown {
        let _ = write!(page, "<div class=shown>{html}</div>");
    }
    page.push_str(
        "<script>addEventListener('load', () => setTimeout(() => {\
         const all = [...document.querySelectorAll('.shown *')];\
         for (const one of all) for (const name of ['mouseover', 'focus', 'error', 'load', 'toggle', 'click'])\
           one.dispatchEvent(new Event(name, { cancelable: true }));\
         const bad = document.querySelectorAll('script, iframe, object, embed, svg, math, style, form, base, link, meta, template, video');\
         const found = [...bad].filter(one => one.closest('.shown')).length;\
         const handlers = all.filter(one => [...one.attributes].some(a => /^on|^style$|^srcdoc$/i.test(a.name))).length;\
         const ways = all.filter(one => one.href && !/^(https?|mailto|tel):/i.test(one.href)).length;\
         const end = document.createElement('p'); end.id = 'end';\
         end.textContent = 'executed ' + hits + ', elements ' + found + ', handlers ' + handlers + ', links ' + ways + ', of ' + document.querySelectorAll('.shown').length;\
         document.body.append(end); }, 200));</script>",
    );
    page
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

/// What the page says of itself at its end.
fn told(browser: &Path, page: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--virtual-time-budget=10000"])
        // Nothing is to be fetched from anywhere.
        .args(["--proxy-server=127.0.0.1:9", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let end = dom
        .split_once("<p id=\"end\">")
        .and_then(|(_, rest)| rest.split_once("</p>"));
    let Some((told, _)) = end else {
        panic!(
            "the page did not come to its end: {dom}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    told.to_owned()
}

#[test]
fn a_browser_executes_nothing_of_what_comes_out() {
    let Some(browser) = browser() else {
        assert!(
            std::env::var_os("INSIGHTDESK_TEST_BROWSER").is_none(),
            "Chromium is asked for and not there"
        );
        return;
    };
    let shown: Vec<String> = texts().iter().map(|text| render(text)).collect();
    assert!(shown.len() >= 200);
    let expected = format!("executed 0, elements 0, handlers 0, links 0, of {}", shown.len());
    assert_eq!(told(&browser, &page(&shown)), expected);
    // And it would, were they not taken out.
    let raw = ["<img src=x onerror=alert(1)>".to_owned()];
    assert!(told(&browser, &page(&raw)).starts_with("executed 2, elements 0, handlers 1"));
}

use std::time::Instant;
#[test]
fn times() {
    let n = 65_000;
    let cases: Vec<(&str, String)> = vec![
        ("quotes", ">".repeat(n)), ("quotes lines", format!("{}a\n", ">".repeat(250)).repeat(250)),
        ("lists", "- ".repeat(n/2)), ("ol", "1. ".repeat(n/3)), ("brackets", "[".repeat(n)), ("bracket pairs", "[a](".repeat(n/4)),
        ("img", "![".repeat(n/2)), ("close", "]".repeat(n)), ("[]()", "[]()".repeat(n/4)), ("stars", "*a ".repeat(n/3)), ("stars2", "*a_ ".repeat(n/4)), ("***", "*".repeat(n)), ("**a", "**a *a ".repeat(n/7)), ("a**b", "a**b".repeat(n/4)+&"c* ".repeat(10)),
        ("under", "_a __a ".repeat(n/7)), ("ticks", (1..350).map(|i| "`".repeat(i)+" ").collect::<String>()), ("lt", "<".repeat(n)), ("<a", "<a ".repeat(n/3)), ("<!--", "<!--".repeat(n/4)), ("<?", "<?".repeat(n/2)), ("<!A", "<!A ".repeat(n/4)), ("<![CDATA", "<![CDATA[".repeat(n/9)),
        ("amp", "&".repeat(n)), ("tilde", "~".repeat(n)), ("~~a", "~~a ~a ".repeat(n/7)), ("urls", "http://a.b/c ".repeat(n/13)), ("www", "www.a.b".repeat(n/7)), ("mail", "a@b.c ".repeat(n/6)), ("@", "a@".repeat(n/2)), ("mail long", "a".repeat(n/2)+&"@a".repeat(n/4)), ("http", "http://".repeat(n/7)), ("parens", format!("http://a.b/{}", "(".repeat(n-20))), ("parens2", format!("http://a.b/{}", ")".repeat(n-20))),
        ("table", format!("|{}\n|{}\n", "a|".repeat(5000), "-|".repeat(5000)) + &"|\n".repeat(5000)), ("table2", "|a\n|-\n".repeat(n/6)), ("table3", format!("{}\n{}\n{}", "|".repeat(200), "-|".repeat(200), "|a|\n".repeat(15000))),
        ("refs", "[a]: b\n".repeat(n/7)), ("refuse", (0..3000).map(|i| format!("[{i}]: /x\n")).collect::<String>() + &"[1]".repeat(8000)),
        ("nested list lines", (0..300).map(|i| format!("{}- a\n", " ".repeat(i*2 % 400))).collect()), ("indent list", (0..330).map(|i| format!("{}- a\n", " ".repeat(i))).collect()),
        ("hr", "***\n".repeat(n/4)), ("setext", "a\n-\n".repeat(n/4)), ("hash", "#".repeat(n)), ("h", "# a\n".repeat(n/4)), ("esc", "\\".repeat(n)), ("newlines", "\n".repeat(n)), ("tabs", "\t".repeat(n)), ("spaces", " ".repeat(n)), ("> list", "> - ".repeat(n/4)), ("> - lines", ("> ".repeat(50)+"\n").repeat(600)), ("combining", "a\u{301}".repeat(n/3)), ("nul", "\0".repeat(n)), ("[[", "[[a]]".repeat(n/5)), ("link title", "[a](b \"".repeat(n/7)), ("[a](<b", "[a](<b".repeat(n/6)), ("![[]()", "![[]()".repeat(n/6)), ("nested em", format!("{}a{}", "*_".repeat(15000), "_*".repeat(15000))), ("nested em2", format!("{}a{}", "*a **b ".repeat(3000), "c** d*".repeat(3000))), ("nested links", format!("{}a{}", "[".repeat(30000), "](b)".repeat(8000))), ("nested img", format!("{}a{}", "![".repeat(10000), "](b)".repeat(10000))), ("crlf", "a\r\n".repeat(n/3)), ("task", "- [ ] a\n".repeat(n/8)), ("fences", "```\n".repeat(n/4)), ("html blocks", "<div>\n".repeat(n/6)), ("pre", "<pre>".repeat(n/5)), ("svg", "<svg><math>".repeat(n/11)), ("quote toggle", "> a\n\nb\n".repeat(n/8)),
    ];
    let mut worst = vec![];
    for (name, text) in &cases {
        let t = Instant::now();
        let out = insightdesk_markdown::render(text);
        worst.push((t.elapsed(), *name, out.len(), out.starts_with("<pre>") && !out.contains("<code>")));
    }
    worst.sort(); worst.reverse();
    for w in worst.iter().take(20) { println!("{w:?}"); }
}

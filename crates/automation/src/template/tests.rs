use kernel::Role;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::facts::{AlwaysOpen, TicketView};
use crate::testing::build;
use crate::trigger::TriggerKind;

const MESSAGE: Occasion = Occasion::Event(TriggerKind::MessageAdded);

fn read(text: &str, audience: Audience) -> Result<Template, Violations> {
    Template::read(&json!(text), "/actions/0/value", audience, MESSAGE)
}

fn codes(text: &str, audience: Audience) -> Vec<&'static str> {
    let violations = read(text, audience).unwrap_err();
    violations
        .as_slice()
        .iter()
        .map(|fault| {
            assert_eq!(fault.pointer, "/actions/0/value");
            fault.code
        })
        .collect()
}

fn filled(text: &str, view: &TicketView, channel: Channel) -> String {
    let mut event = build::event(TriggerKind::MessageAdded);
    event.message = Some(build::message(build::REQUESTER, Role::User, "hello"));
    let template = read(text, Audience::Staff).unwrap();
    template
        .render(&Scene::new(&event, Some(view), &AlwaysOpen), channel)
        .unwrap()
}

fn about(subject: &str) -> TicketView {
    let mut view = build::view();
    view.ticket.subject = subject.to_owned();
    view
}

#[test]
fn known_paths_are_filled_in() {
    let mut view = build::view();
    view.ticket.custom_fields = json!({ "my field": ["a", 2], "n": 1.5 })
        .as_object()
        .cloned()
        .unwrap();
    let text = "{{ticket.number}} {{ ticket.subject }} {{requester.name}} {{ticket.url}} {{message.body}} \
                [{{assignee.name}}] {{ticket.createdAt}} {{ticket.hoursSinceCreated}} {{ticket.slaBreached}} \
                {{ticket.customFields.my field}} {{ticket.customFields.n}} {a} } {{ticket.messageCount}}";
    assert_eq!(
        filled(text, &view, Channel::Plain),
        "TKT-00001 Printer on fire Ada https://desk.example.org/tickets/TKT-00001 hello \
         [] 2026-05-28 18:26 UTC 2 no a, 2 1.5 {a} } 0"
    );
    assert_eq!(filled("no places", &view, Channel::Plain), "no places");
}

#[test]
fn anything_but_a_path_is_refused_with_its_place() {
    for text in [
        "{{ 7 * 7 }}",
        "{{ ticket.subject | upper }}",
        "{{ ticket.subject() }}",
        "{{ ''.__class__ }}",
        "{{ ticket['subject'] }}",
        "{{ ticket.customFields['x'] }}",
        "{{ ticket.customFields.x|safe }}",
        "{{ range(10) }}",
        "{{- ticket.number -}}",
        "{{}}",
        "{{ ticket }}{{ ticket.. }}",
        "{{{ticket.number}}}",
        "{{ self }}",
    ] {
        let codes = codes(text, Audience::Staff);
        assert!(
            codes
                .iter()
                .all(|code| ["not_a_path", "unknown_path"].contains(code)),
            "{text}: {codes:?}"
        );
    }
    for text in [
        "{% for x in range(9) %}x{% endfor %}",
        "{% include 'x' %}",
        "{# hidden #}",
        "{%",
    ] {
        assert!(codes(text, Audience::Staff).contains(&"not_allowed"), "{text}");
    }
    assert_eq!(codes("Hi {{ticket.number", Audience::Staff), ["unclosed"]);
    assert_eq!(codes("{{ticket.secret}}", Audience::Staff), ["unknown_path"]);
    assert_eq!(codes("{{ticket.lastNote}}", Audience::Staff), ["unknown_path"]);
    assert_eq!(codes("{{user.name}}", Audience::Staff), ["not_available"]);
    assert_eq!(codes("  ", Audience::Staff), ["empty"]);
    assert_eq!(codes("a\0b", Audience::Staff), ["bad_character"]);
    assert_eq!(
        codes(&"x".repeat(TEMPLATE_MAX_CHARS + 1), Audience::Staff),
        ["too_long"]
    );
    assert_eq!(
        codes(&"{{ticket.number}}".repeat(SLOTS_MAX + 1), Audience::Staff),
        ["too_many"]
    );
    let fault = read("äö {{x}} {{y.z}}", Audience::Staff).unwrap_err();
    let messages: Vec<_> = fault
        .as_slice()
        .iter()
        .map(|fault| fault.message.as_str())
        .collect();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].ends_with("(at character 4)"), "{}", messages[0]);
    assert!(messages[1].ends_with("(at character 10)"), "{}", messages[1]);
    assert_eq!(
        Template::read(&json!(7), "/x", Audience::Staff, MESSAGE)
            .unwrap_err()
            .as_slice()[0]
            .code,
        "wrong_type"
    );
}

#[test]
fn a_text_for_customers_cannot_name_what_is_internal() {
    for path in Field::paths(Audience::Staff) {
        let path = path.replace("<name>", "region");
        let text = format!("{{{{{path}}}}}");
        let has = MESSAGE.has(match Field::in_text(&path, Audience::Staff) {
            Some(field) => field.owner(),
            None => Owner::Ticket,
        });
        if !has {
            continue;
        }
        let is_shown =
            Field::paths(Audience::Customer).contains(&path) || path.starts_with("ticket.customFields");
        match read(&text, Audience::Customer) {
            Ok(_) => assert!(is_shown, "{path}"),
            Err(faults) => {
                assert!(!is_shown, "{path}");
                assert_eq!(faults.as_slice()[0].code, "not_for_customers", "{path}");
            }
        }
    }
    assert_eq!(
        codes("{{message.body}}", Audience::Customer),
        ["not_for_customers"]
    );
}

#[test]
fn a_value_is_never_a_template() {
    let view = about("{{ticket.description}} {{v0}} {% raw %} {{ 7*7 }}");
    assert_eq!(
        filled("{{ticket.subject}}!", &view, Channel::Plain),
        "{{ticket.description}} {{v0}} {% raw %} {{ 7*7 }}!"
    );
}

#[test]
fn html_is_escaped() {
    let view = about("<script>alert('x')</script> & \"q\"");
    assert_eq!(
        filled("<b>{{ticket.subject}}</b>", &view, Channel::Html),
        "<b>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;</b>"
    );
}

#[test]
fn markdown_is_escaped() {
    let shown = |subject: &str| filled("{{ticket.subject}}", &about(subject), Channel::Markdown);
    assert_eq!(
        shown("**bold** [a](http://x)"),
        "\\*\\*bold\\*\\* \\[a\\](http\\://x)"
    );
    assert_eq!(shown("<img src=x>"), "\\<img src=x\\>");
    assert_eq!(
        shown("a\n# b\n    code\n- c\n1. d\n== e"),
        "a\n\\# b\ncode\n\\- c\n1\\. d\n\\== e"
    );
    assert_eq!(shown("- a-b 1.5 (c)"), "\\- a-b 1.5 (c)");
    assert_eq!(
        filled("**{{ticket.number}}**", &build::view(), Channel::Markdown),
        "**TKT-00001**"
    );
}

#[test]
fn a_header_is_one_line_whatever_comes_in() {
    let view = about("Hi\r\nBcc: all@example.org\u{2028}x\u{85}y\u{0}z\tw");
    let line = filled("Re:\n{{ticket.subject}}", &view, Channel::Header);
    assert_eq!(line, "Re: Hi Bcc: all@example.org x y z w");
    assert_eq!(
        filled("{{ticket.subject}}", &about(&"x".repeat(500)), Channel::Header).len(),
        HEADER_MAX_CHARS
    );
}

#[test]
fn plain_text_has_no_control_characters_and_turns_no_other_text() {
    let view = about("a\u{1b}[31mb\u{202e}c\r\nd\te");
    assert_eq!(
        filled("{{ticket.subject}}", &view, Channel::Plain),
        "a[31mbc\nd\te"
    );
}

#[test]
fn outputs_have_bounds() {
    let mut view = build::view();
    view.ticket.description = "ä".repeat(64 * 1024);
    let once = filled("{{ticket.description}}", &view, Channel::Plain);
    assert_eq!(once.chars().count(), VALUE_MAX_CHARS + 1);
    let often = filled(
        &"{{ticket.description}}".repeat(SLOTS_MAX),
        &view,
        Channel::Markdown,
    );
    assert!(often.len() <= OUTPUT_MAX_BYTES && often.len() > OUTPUT_MAX_BYTES - 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_can_be_filled_in(
        text in "([a-z {}%#|.\\n'\"-]{0,3}|\\{\\{ticket\\.(number|subject|x)\\}\\}|\\{%|\\{#|\\}\\}){0,8}",
        subject in ".{0,20}",
    ) {
        if let Ok(template) = read(&text, Audience::Staff) {
            let view = about(&subject);
            let event = build::event(TriggerKind::MessageAdded);
            let scene = Scene::new(&event, Some(&view), &AlwaysOpen);
            for channel in [Channel::Plain, Channel::Markdown, Channel::Html, Channel::Header] {
                let filled = template.render(&scene, channel);
                prop_assert!(filled.is_ok(), "{:?}", filled);
            }
            let header = template.render(&scene, Channel::Header).unwrap();
            prop_assert!(!header.contains(['\r', '\n', '\0']), "{header:?}");
        }
    }

    #[test]
    fn no_value_breaks_out_of_html(subject in ".{0,40}") {
        let html = filled("{{ticket.subject}}", &about(&subject), Channel::Html);
        prop_assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
    }
}

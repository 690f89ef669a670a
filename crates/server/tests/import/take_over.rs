//! Taking whole desks over, in this process, from invented exports.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use server::import::{DeskSummary, ImportError, ReadError, System, Tally, Visibility};

use crate::desk::TestDesk;

fn exports(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import/exports")
        .join(name)
}

/// Read, taken, there, skipped, refused, not taken.
pub(crate) fn tally(figures: [u64; 6]) -> Tally {
    let [read, taken, already_there, skipped, refused, not_taken] = figures;
    Tally {
        read,
        taken,
        already_there,
        skipped,
        refused,
        not_taken,
    }
}

/// Every record that was read became something.
pub(crate) fn assert_accounted(summary: &DeskSummary) {
    for (kind, tally) in &summary.types {
        let others = tally.taken + tally.already_there + tally.skipped + tally.refused + tally.not_taken;
        assert_eq!(tally.read, others, "{kind}: {tally:?}");
    }
}

fn assert_figures(summary: &DeskSummary, expected: &[(&str, [u64; 6])]) {
    assert_accounted(summary);
    let given: Vec<(&str, Tally)> = summary
        .types
        .iter()
        .map(|(kind, tally)| (&**kind, *tally))
        .collect();
    let expected: Vec<(&str, Tally)> = expected
        .iter()
        .map(|(kind, figures)| (*kind, tally(*figures)))
        .collect();
    assert_eq!(given, expected);
}

/// A query's rows, with `-` for null.
async fn rows(desk: &TestDesk, sql: &str) -> Vec<Vec<String>> {
    let rows = desk.test.rows(sql).await;
    rows.into_iter()
        .map(|row| {
            row.into_iter()
                .map(|value| value.unwrap_or_else(|| "-".to_owned()))
                .collect()
        })
        .collect()
}

/// What the report tells of: type, id, outcome and rule.
fn told(desk: &TestDesk) -> Vec<(String, String, String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<_> = desk
        .entries()
        .iter()
        .map(|entry| {
            (
                text(entry, "type"),
                text(entry, "id"),
                text(entry, "outcome"),
                text(entry, "rule"),
            )
        })
        .collect();
    told.sort();
    told
}

fn line(kind: &str, id: &str, outcome: &str, rule: &str) -> (String, String, String, String) {
    (
        kind.to_owned(),
        id.to_owned(),
        outcome.to_owned(),
        rule.to_owned(),
    )
}

const TICKET: &str = "SELECT subject, t.description, t.status, priority, channel, r.email, a.email, m.name, tags, custom_fields, \
     to_char(t.created_at, 'MM-DD HH24:MI'), to_char(first_response_at, 'MM-DD HH24:MI'), \
     to_char(resolved_at, 'MM-DD HH24:MI'), to_char(closed_at, 'MM-DD HH24:MI'), message_count, public_message_count \
     FROM tickets t JOIN ticket_imports i ON i.ticket_id = t.id JOIN users r ON r.id = created_by \
     LEFT JOIN users a ON a.id = assigned_to LEFT JOIN teams m ON m.id = team_id ";
const MESSAGES: &str = "SELECT message, is_internal, u.email, to_char(m.created_at, 'MM-DD HH24:MI'), message_html IS NOT NULL \
     FROM ticket_messages m JOIN ticket_imports i USING (ticket_id) JOIN users u ON u.id = sender_id ";

async fn ticket(desk: &TestDesk, id: &str) -> Vec<String> {
    let sql = format!("{TICKET} WHERE external_id = '{id}'");
    let mut found = rows(desk, &sql).await;
    assert_eq!(found.len(), 1, "{id}");
    found.remove(0)
}

async fn messages(desk: &TestDesk, id: &str) -> Vec<Vec<String>> {
    let sql = format!("{MESSAGES} WHERE external_id = '{id}' ORDER BY m.created_at, m.id");
    rows(desk, &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zendesk_account_comes_over_with_its_people_teams_and_conversations() {
    let desk = TestDesk::new().await;
    let summary = desk
        .take_over(System::Zendesk, &exports("zendesk"), &[])
        .await
        .unwrap();
    assert_figures(
        &summary,
        &[
            ("attachments", [3, 0, 0, 0, 0, 3]),
            ("audits", [9, 7, 0, 1, 0, 1]),
            ("comments", [7, 5, 0, 1, 0, 1]),
            ("group_memberships", [5, 3, 1, 0, 0, 1]),
            ("groups", [4, 3, 0, 1, 0, 0]),
            ("macros", [2, 0, 0, 0, 0, 2]),
            ("organizations", [1, 0, 0, 0, 0, 1]),
            ("people", [1, 1, 0, 0, 0, 0]),
            ("requests", [3, 1, 1, 1, 0, 0]),
            ("results", [3, 1, 1, 1, 0, 0]),
            ("satisfaction_ratings", [2, 1, 0, 0, 0, 1]),
            ("ticket_fields", [5, 0, 0, 0, 0, 5]),
            ("ticket_metrics", [1, 1, 0, 0, 0, 0]),
            ("tickets", [7, 4, 0, 1, 2, 0]),
            ("users", [6, 6, 0, 0, 0, 0]),
            ("views", [1, 0, 0, 0, 0, 1]),
        ],
    );
    assert_eq!(
        ticket(&desk, "100").await,
        [
            "Printer",
            "It is on fire.",
            "closed",
            "medium",
            "email",
            "kim@customer.example",
            "bo@desk.example",
            "Support",
            r#"["office", "fire"]"#,
            r#"{"Parts": ["Left wheel", "other"], "Product": "Product One", "Age (31)": "7", "Age (32)": 8}"#,
            "01-01 10:00",
            "01-01 12:00",
            "01-04 10:00",
            "01-08 10:00",
            "4",
            "2",
        ]
    );
    assert_eq!(
        messages(&desk, "100").await,
        [
            ["He always says that.", "t", "bo@desk.example", "01-01 11:00", "t"],
            [
                "Please **unplug** it.",
                "f",
                "bo@desk.example",
                "01-01 12:00",
                "t"
            ],
            [
                "The password is 1234",
                "t",
                "ada@desk.example",
                "01-01 13:00",
                "t"
            ],
            [
                "(no text; files: fire.jpg)",
                "f",
                "kim@customer.example",
                "01-01 13:00",
                "t"
            ],
        ]
    );
    let metadata = rows(
        &desk,
        "SELECT metadata->'import' FROM tickets JOIN ticket_imports ON ticket_id = id WHERE external_id = '100'",
    )
    .await;
    let kept: Value = serde_json::from_str(&metadata[0][0]).unwrap();
    let expected = json!({
        "source": "zendesk", "externalId": "100", "system": "zendesk", "via": "email", "status": "closed", "type": "incident",
        "url": "https://desk.example/api/v2/tickets/100.json", "organization": "Acme Ltd", "satisfaction": "good",
        "satisfactionComment": "Nice people", "submitterId": "3", "assigneeId": "2", "groupId": "10",
        "updatedAt": "2025-01-09T10:00:00Z", "comments": 5,
    });
    assert_eq!(kept, expected);
    let of_staff = ticket(&desk, "103").await;
    assert_eq!(of_staff[1], "(The first text of this ticket is for staff alone.)");
    assert_eq!(
        (&*of_staff[2], &*of_staff[6], &*of_staff[7], &*of_staff[15]),
        ("pending", "-", "-", "0")
    );
    let secret = messages(&desk, "103").await;
    assert_eq!(
        secret,
        [["Kim owes us money.", "t", "bo@desk.example", "01-01 10:00", "t"]]
    );
    let chat = ticket(&desk, "101").await;
    assert_eq!(
        chat[..5],
        ["Line one", "Line one\nLine two", "open", "urgent", "chat"]
    );
    assert!(chat[5].starts_with("zendesk-4-") && chat[5].ends_with("@imported.invalid"));
    assert_eq!(
        ticket(&desk, "109").await[10..],
        ["01-01 10:00", "01-01 11:30", "01-02 10:00", "-", "0", "0"]
    );
    let exported = ticket(&desk, "107").await;
    assert_eq!(
        exported[2..6],
        ["resolved", "urgent", "api", "new@customer.example"]
    );
    assert_eq!(
        exported[6..14],
        [
            "bo@desk.example",
            "Support",
            r#"["one", "two"]"#,
            r#"{"Colour": "red", "Age (31)": "9"}"#,
            "02-01 10:00",
            "02-01 10:30",
            "02-02 10:00",
            "-",
        ]
    );
    assert_eq!(
        told(&desk),
        [
            line("audits", "", "not_taken", "no_such_ticket"),
            line("comments", "1006", "not_taken", "no_such_ticket"),
            line("files", "", "not_taken", "not_read"),
            line("group_memberships", "10/3", "not_taken", "not_staff"),
            line("groups", "13", "skipped", "deleted"),
            line("macros", "", "not_taken", "no_such_thing"),
            line("organizations", "", "not_taken", "no_such_thing"),
            line("requests", "106", "skipped", "deleted"),
            line("results", "106", "skipped", "deleted"),
            line("satisfaction_ratings", "", "not_taken", "no_such_ticket"),
            line("ticket_fields", "", "not_taken", "no_such_thing"),
            line("tickets", "100", "adjusted", "attachments_left_out"),
            line("tickets", "102", "skipped", "deleted"),
            line("tickets", "103", "adjusted", "unknown_assignee"),
            line("tickets", "103", "adjusted", "unknown_team"),
            line("tickets", "104", "refused", "unknown_value"),
            line("tickets", "105", "refused", "bad_time"),
            line("users", "1", "adjusted", "admin_as_agent"),
            line("users", "4", "adjusted", "no_address"),
            line("users", "6", "adjusted", "no_address"),
            line("views", "", "not_taken", "no_such_thing"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_wait_without_a_password_and_nobody_is_written_to() {
    let desk = TestDesk::new().await;
    desk.take_over(System::Zendesk, &exports("zendesk"), &[])
        .await
        .unwrap();
    let people = rows(
        &desk,
        "SELECT split_part(email, '@', 1), name, role, status, password_hash, email_verified_at FROM users \
         WHERE email NOT LIKE '%.invalid' ORDER BY email",
    )
    .await;
    assert_eq!(
        people,
        [
            ["ada", "Ada Admin", "agent", "pending", "!", "-"],
            ["bo", "Bo Agent", "agent", "pending", "!", "-"],
            ["kim", "Kim", "user", "pending", "!", "-"],
            ["lou", "Lou", "user", "suspended", "!", "-"],
            ["new", "New Person", "user", "pending", "!", "-"],
        ]
    );
    let teams = rows(
        &desk,
        "SELECT t.name, string_agg(u.name, ', ' ORDER BY u.name) FROM teams t LEFT JOIN team_members m ON m.team_id = t.id \
         LEFT JOIN users u ON u.id = m.user_id GROUP BY t.name ORDER BY t.name",
    )
    .await;
    assert_eq!(
        teams,
        [
            ["My Group", "Bo Agent"],
            ["My Group (12)", "-"],
            ["Support", "Ada Admin, Bo Agent"]
        ]
    );
    let kinds = rows(
        &desk,
        "SELECT kind, count(*) FROM outbox GROUP BY kind ORDER BY kind",
    )
    .await;
    assert_eq!(
        kinds,
        [
            ["team.created", "3"],
            ["team.member_set", "3"],
            ["ticket.created", "6"],
            ["user.created", "7"]
        ]
    );
    assert_eq!(
        desk.test
            .number("SELECT count(*) FROM ticket_activities WHERE action_type <> 'created'")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_stay_administrators_only_when_that_is_asked_for() {
    let desk = TestDesk::new().await;
    desk.take_over(System::Zendesk, &exports("zendesk"), &["--keep-admins"])
        .await
        .unwrap();
    let admins = rows(&desk, "SELECT email, status FROM users WHERE role = 'admin'").await;
    assert_eq!(admins, [["ada@desk.example", "pending"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_again_nothing_changes_and_a_rule_brings_in_what_was_refused() {
    let desk = TestDesk::new().await;
    let path = exports("zendesk");
    desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    let state = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM teams), (SELECT count(*) FROM team_members), \
         (SELECT count(*) FROM tickets), (SELECT count(*) FROM ticket_messages), (SELECT count(*) FROM outbox), \
         (SELECT max(updated_at) FROM users)";
    let before = rows(&desk, state).await;
    let again = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_accounted(&again);
    assert_eq!(rows(&desk, state).await, before);
    assert_eq!(again.of("tickets"), tally([7, 0, 4, 1, 2, 0]));
    assert_eq!(again.of("users"), tally([6, 0, 6, 0, 0, 0]));
    assert_eq!(again.of("comments"), tally([7, 0, 5, 1, 0, 1]));
    let ruled = desk
        .take_over(System::Zendesk, &path, &["--value", "status:Strange=hold"])
        .await
        .unwrap();
    assert_eq!(ruled.of("tickets"), tally([7, 1, 4, 1, 1, 0]));
    assert_eq!(ticket(&desk, "104").await[2], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_be_and_writes_nothing() {
    let desk = TestDesk::new().await;
    let dry = desk
        .take_over(System::Zendesk, &exports("zendesk"), &["--dry-run"])
        .await
        .unwrap();
    let state = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM teams) + (SELECT count(*) FROM tickets) \
         + (SELECT count(*) FROM outbox)";
    assert_eq!(rows(&desk, state).await, [["0"]]);
    let lines_of_dry = told(&desk);
    let real = desk
        .take_over(System::Zendesk, &exports("zendesk"), &[])
        .await
        .unwrap();
    for kind in ["tickets", "results", "requests", "users", "groups", "comments"] {
        assert_eq!(dry.of(kind), real.of(kind), "{kind}");
    }
    assert_eq!(lines_of_dry, told(&desk));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freshdesk_account_of_both_versions_comes_over() {
    let desk = TestDesk::new().await;
    let path = exports("freshdesk");
    let summary = desk.take_over(System::Freshdesk, &path, &[]).await.unwrap();
    assert_figures(
        &summary,
        &[
            ("agents", [2, 2, 0, 0, 0, 0]),
            ("attachments", [1, 0, 0, 0, 0, 1]),
            ("comments", [5, 4, 0, 0, 0, 1]),
            ("companies", [1, 0, 0, 0, 0, 1]),
            ("contacts", [3, 3, 0, 0, 0, 0]),
            ("group_memberships", [2, 1, 0, 0, 0, 1]),
            ("groups", [1, 1, 0, 0, 0, 0]),
            ("people", [2, 2, 0, 0, 0, 0]),
            ("solution_articles", [1, 0, 0, 0, 0, 1]),
            ("tickets", [7, 4, 0, 2, 1, 0]),
        ],
    );
    assert_eq!(
        ticket(&desk, "1").await,
        [
            "Ticket 1",
            "My **printer** burns:\n\n- smoke\n- fire",
            "closed",
            "urgent",
            "email",
            "kim@customer.example",
            "bo@desk.example",
            "Support",
            r#"["foo"]"#,
            r#"{"cf_area": "North"}"#,
            "01-01 10:00",
            "01-01 11:00",
            "01-02 10:00",
            "01-03 10:00",
            "3",
            "2",
        ]
    );
    assert_eq!(
        messages(&desk, "1").await,
        [
            [
                "Come [here](<https://help.example/>)",
                "f",
                "bo@desk.example",
                "01-01 11:00",
                "t"
            ],
            ["Still burning", "f", "kim@customer.example", "01-01 12:00", "t"],
            ["Again him", "t", "bo@desk.example", "01-01 13:00", "t"],
        ]
    );
    assert_eq!(ticket(&desk, "4").await[2..5], ["pending", "low", "chat"]);
    assert_eq!(
        ticket(&desk, "5").await[2..8],
        ["resolved", "low", "web", "embedded@customer.example", "-", "-"]
    );
    let old = ticket(&desk, "6").await;
    assert_eq!(old[1..5], ["Plain *text*", "pending", "medium", "web"]);
    assert_eq!(
        old[6..11],
        [
            "cy@desk.example",
            "-",
            r#"["bar"]"#,
            r#"{"cf_old_1": "x"}"#,
            "12-31 02:27"
        ]
    );
    assert_eq!(
        messages(&desk, "6").await,
        [["A **note**", "t", "cy@desk.example", "12-31 03:27", "t"]]
    );
    let again = desk
        .take_over(System::Freshdesk, &path, &["--value", "status:12=open"])
        .await
        .unwrap();
    assert_eq!(again.of("tickets"), tally([7, 1, 4, 2, 0, 0]));
    assert_eq!(desk.tickets().await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_warehouse_come_over() {
    let desk = TestDesk::new().await;
    let summary = desk
        .take_over(System::Zendesk, &exports("warehouse"), &[])
        .await
        .unwrap();
    assert_figures(
        &summary,
        &[
            ("brand", [1, 0, 0, 0, 0, 1]),
            ("comments", [4, 3, 0, 0, 0, 1]),
            ("groups", [2, 1, 0, 1, 0, 0]),
            ("people", [1, 1, 0, 0, 0, 0]),
            ("ticket_field_history", [3, 3, 0, 0, 0, 0]),
            ("ticket_tags", [3, 2, 0, 0, 0, 1]),
            ("tickets", [3, 2, 0, 1, 0, 0]),
            ("users", [3, 2, 1, 0, 0, 0]),
        ],
    );
    assert_eq!(
        ticket(&desk, "50").await,
        [
            "Printer",
            "Two\nlines",
            "closed",
            "urgent",
            "email",
            "kim@customer.example",
            "bo@desk.example",
            "Support",
            r#"["fire"]"#,
            r#"{"region": "North"}"#,
            "01-01 10:00",
            "01-01 10:30",
            "01-04 10:00",
            "01-08 10:00",
            "2",
            "1",
        ]
    );
    assert_eq!(ticket(&desk, "52").await[2..5], ["pending", "medium", "web"]);
}

/// An export of `tickets` tickets, each with two comments, of which the second is for staff.
fn large(folder: &Path, tickets: usize) -> PathBuf {
    let path = folder.join("large");
    std::fs::create_dir_all(&path).unwrap();
    let write = |name: &str, items: Vec<Value>| {
        let page = json!({ name: items, "next_page": null }).to_string();
        std::fs::write(path.join(format!("{name}.json")), page).unwrap();
    };
    let users = (0..200).map(|id| {
        json!({ "id": id + 1, "name": format!("Person {id}"), "email": format!("p{id}@customer.example"),
                "role": if id == 0 { "agent" } else { "end-user" } })
    });
    write("users", users.collect());
    let ticket = |id: usize| {
        json!({ "id": id + 1, "subject": format!("Row {id}"), "description": "text", "status": "open",
                "requester_id": id % 199 + 2, "created_at": "2025-01-01T10:00:00Z" })
    };
    write("tickets", (0..tickets).map(ticket).collect());
    let comment = |id: usize| {
        let (ticket, public) = (id % tickets + 1, id < tickets);
        json!({ "id": id + 1, "ticket_id": ticket, "author_id": 1, "body": format!("reply {id}"), "public": public,
                "created_at": "2025-01-01T11:00:00Z" })
    };
    write("comments", (0..2 * tickets).map(comment).collect());
    path
}

async fn assert_one_of_each(desk: &TestDesk, tickets: usize) {
    let count = i64::try_from(tickets).unwrap();
    assert_eq!(desk.tickets().await, count);
    let sql = "SELECT count(DISTINCT subject) FROM tickets WHERE message_count = 2 AND public_message_count = 1 \
         AND first_response_at IS NOT NULL";
    assert_eq!(desk.test.number(sql).await, count);
    let sql = "SELECT count(DISTINCT (ticket_id, message)) FROM ticket_messages";
    assert_eq!(desk.test.number(sql).await, 2 * count);
    assert_eq!(
        desk.test.number("SELECT count(*) FROM ticket_messages").await,
        2 * count
    );
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_make_nothing_twice() {
    let desk = TestDesk::new().await;
    let path = large(desk.folder.path(), 2_000);
    let take_over = |report: &'static str| {
        let mut args = desk.desk_args(System::Zendesk, &path, &[]);
        args.report = Some(desk.folder.path().join(report));
        server::import::take_over(System::Zendesk, args, desk.desk_ports(), Visibility::Hidden)
    };
    let (one, other) = tokio::join!(take_over("one"), take_over("other"));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_accounted(&one);
    assert_accounted(&other);
    assert_eq!(one.of("tickets").taken + other.of("tickets").taken, 2_000);
    assert_one_of_each(&desk, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_killed_goes_on_where_it_ended() {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    const TICKETS: usize = 6_000;
    let desk = TestDesk::new().await;
    let path = large(desk.folder.path(), TICKETS);
    let begin = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_insightdesk"));
        command
            .args(["import", "zendesk"])
            .arg(&path)
            .args(["--database-url", desk.test.url(), "--data-dir"])
            .arg(desk.folder.path().join("data"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut first = begin();
    let patience = Instant::now() + Duration::from_secs(60);
    while desk.tickets().await == 0 {
        assert!(Instant::now() < patience, "nothing is imported");
        tokio::task::yield_now().await;
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // A batch whose process is gone may still be at work in the database.
    let mut second = begin();
    let mut told = String::new();
    second.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(second.wait().unwrap().success(), "{told}");
    assert_one_of_each(&desk, TICKETS).await;
    assert!(
        told.contains("tickets") && told.contains("large.report.jsonl"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_export_brings_new_tickets_and_tells_of_what_was_written_since() {
    let desk = TestDesk::new().await;
    let path = large(desk.folder.path(), 10);
    desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    let page = json!({ "comments": [
        { "id": 900, "ticket_id": 3, "author_id": 2, "body": "Thanks", "public": true, "created_at": "2025-02-01T10:00:00Z" },
        { "id": 901, "ticket_id": 11, "author_id": 2, "body": "New", "public": true, "created_at": "2025-02-01T10:00:00Z" },
    ] });
    std::fs::write(path.join("comments-2.json"), page.to_string()).unwrap();
    let page = json!({ "tickets": [{ "id": 11, "subject": "Eleven", "description": "x", "status": "open", "requester_id": 2,
        "created_at": "2025-02-01T09:00:00Z" }] });
    std::fs::write(path.join("tickets-2.json"), page.to_string()).unwrap();
    let later = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_accounted(&later);
    assert_eq!(later.of("tickets"), tally([11, 1, 10, 0, 0, 0]));
    assert_eq!(later.of("comments"), tally([22, 1, 20, 0, 0, 1]));
    assert_eq!(told(&desk), [line("tickets", "3", "not_taken", "later_comments")]);
    assert_eq!(messages(&desk, "3").await.len(), 2);
    assert_eq!(messages(&desk, "11").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_somebody_else_may_have_registered_gets_no_history() {
    let desk = TestDesk::new().await;
    desk.test
        .batch(
            "INSERT INTO users (email, name, password_hash, role, email_verified_at) VALUES \
             ('kim@customer.example', 'Stranger', '$x', 'user', NULL), \
             ('bo@desk.example', 'Bo', '$x', 'user', now())",
        )
        .await;
    let path = exports("zendesk");
    let summary = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_accounted(&summary);
    assert_eq!(summary.of("users"), tally([6, 4, 1, 0, 1, 0]));
    // 100 and 103 are Kim's, 104 and 105 are refused anyway.
    assert_eq!(summary.of("tickets"), tally([7, 2, 0, 1, 4, 0]));
    let mine = "SELECT count(*) FROM tickets JOIN users u ON u.id = created_by WHERE u.name = 'Stranger'";
    assert_eq!(desk.test.number(mine).await, 0);
    let told = told(&desk);
    assert!(told.contains(&line("users", "3", "refused", "unproved_address")));
    assert!(told.contains(&line("tickets", "100", "refused", "unproved_address")));
    assert!(
        told.contains(&line("users", "2", "adjusted", "role_kept")),
        "{told:?}"
    );
    let role = rows(&desk, "SELECT role FROM users WHERE email = 'bo@desk.example'").await;
    assert_eq!(role, [["user"]]);
    let trusted = desk
        .take_over(System::Zendesk, &path, &["--trust-addresses"])
        .await
        .unwrap();
    assert_eq!(trusted.of("tickets"), tally([7, 2, 2, 1, 2, 0]));
    assert_eq!(
        ticket(&desk, "100").await[6],
        "-",
        "a customer answers no tickets"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_gets_no_tickets_but_what_it_wrote_stays() {
    let desk = TestDesk::new().await;
    desk.test
        .batch(
            "INSERT INTO users (email, name, password_hash, deleted_at) VALUES ('bo@desk.example', 'Bo', '!', now()), \
             ('lou@customer.example', 'Lou', '!', now())",
        )
        .await;
    let summary = desk
        .take_over(System::Zendesk, &exports("zendesk"), &[])
        .await
        .unwrap();
    assert_accounted(&summary);
    assert_eq!(summary.of("tickets"), tally([7, 3, 0, 1, 3, 0]));
    assert!(told(&desk).contains(&line("tickets", "109", "refused", "deleted_account")));
    let senders = messages(&desk, "100").await;
    assert_eq!(senders[0][2], "bo@desk.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_broken_is_told_and_does_not_hold_the_others_up() {
    let desk = TestDesk::new().await;
    let folder = desk.folder.path().join("odd");
    std::fs::create_dir(&folder).unwrap();
    let text = r#"{"tickets":[{"id":1,"subject":"Fine","description":"x","status":"open"},{"id":},7,
        {"subject":"Nobody"},{"id":2,"subject":"Fine too","description":"\u0000y","tags":["\u0000"],"status":"open"}]}"#;
    std::fs::write(folder.join("tickets.json"), text).unwrap();
    let summary = desk.take_over(System::Zendesk, &folder, &[]).await.unwrap();
    assert_accounted(&summary);
    assert_eq!(summary.of("tickets"), tally([5, 2, 0, 0, 3, 0]));
    let place = |entry: &Value| {
        (
            entry["file"].clone(),
            entry["record"].clone(),
            entry["rule"].clone(),
        )
    };
    let places: Vec<_> = desk
        .entries()
        .iter()
        .filter(|entry| entry["outcome"] == "refused")
        .map(place)
        .collect();
    let refused = |record: u64, rule: &str| (json!("tickets.json"), json!(record), json!(rule));
    assert_eq!(
        places,
        [
            refused(2, "bad_json"),
            refused(3, "bad_json"),
            refused(4, "required")
        ]
    );
    let asked = rows(&desk, "SELECT DISTINCT split_part(email, '-', 2) FROM users").await;
    assert_eq!(
        asked,
        [["nobody"]],
        "a ticket that names nobody is of one account for all such"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_the_database_alone_refuses_is_told() {
    let desk = TestDesk::new().await;
    desk.test
        .batch("ALTER TABLE tickets ADD CONSTRAINT no_printers CHECK (subject <> 'Printer')")
        .await;
    let summary = desk
        .take_over(System::Zendesk, &exports("zendesk"), &[])
        .await
        .unwrap();
    assert_accounted(&summary);
    // Refused as a ticket, it is so once more as the export's and the customer's view of it.
    assert!(told(&desk).contains(&line("tickets", "100", "refused", "not_stored")));
    assert_eq!(messages(&desk, "100").await, Vec::<Vec<String>>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_off_ends_it_before_anything_is_stored() {
    let desk = TestDesk::new().await;
    let path = large(desk.folder.path(), 50);
    let file = path.join("tickets.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let error = desk.take_over(System::Zendesk, &path, &[]).await.unwrap_err();
    let ImportError::Read {
        file,
        source: ReadError::Io(_),
    } = error
    else {
        panic!("{error}")
    };
    assert!(file.ends_with("tickets.json"));
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 0);
    let nothing = desk.folder.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let error = desk.take_over(System::Zendesk, &nothing, &[]).await.unwrap_err();
    assert!(error.to_string().contains("nothing"), "{error}");
    let rule = ["--value", "subject:a=b"];
    let error = desk.take_over(System::Zendesk, &path, &rule).await.unwrap_err();
    assert!(matches!(error, ImportError::Usage(_)), "{error}");
}

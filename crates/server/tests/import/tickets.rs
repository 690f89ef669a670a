//! The import of tickets, in this process.

use std::io::Write as _;
use std::path::PathBuf;

use server::import::{ImportError, MappingError, ReadError, Summary};

use crate::desk::TestDesk;

fn summary(read: u64, imported: u64, already_there: u64, refused: u64) -> Summary {
    Summary {
        read,
        imported,
        already_there,
        refused,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_tickets_with_everything_that_they_say() {
    let desk = TestDesk::new().await;
    let text = "id,title,body,urgency,state,labels,who,area,opened,done\n\
        A-1,Printer,on fire,0,closed,\"Office; VPN\",Ann@Example.org,7,2025-03-01 09:30,2025-03-02T10:00:00+02:00\n\
        A-2,Screen,black,3,,,bob@example.org,,,\n";
    let file = desk.file("old.csv", text);
    let options = [
        "--map",
        "externalId=id",
        "--map",
        "subject=title",
        "--map",
        "description=body",
        "--map",
        "priority=urgency",
        "--map",
        "status=state",
        "--map",
        "tags=labels",
        "--map",
        "requesterEmail=who",
        "--map",
        "customFields.area=area",
        "--map",
        "createdAt=opened",
        "--map",
        "endedAt=done",
        "--value",
        "priority:0=urgent",
        "--value",
        "priority:3=low",
        "--set",
        "channel=email",
    ];
    assert_eq!(desk.import(&file, &options).await.unwrap(), summary(2, 2, 0, 0));
    let rows = desk
        .test
        .rows(
            "SELECT ticket_number, subject, description, priority, t.status, channel, tags, custom_fields, email, name, \
             to_char(t.created_at, 'YYYY-MM-DD HH24:MI'), to_char(closed_at, 'YYYY-MM-DD HH24:MI'), t.metadata, role \
             FROM tickets t JOIN users u ON u.id = created_by ORDER BY subject",
        )
        .await;
    let rows: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(|value| value.as_deref().unwrap_or("-")).collect())
        .collect();
    let origin = r#"{"import": {"source": "old.csv", "externalId": "A-1"}}"#;
    assert_eq!(
        rows[0][1..],
        [
            "Printer",
            "on fire",
            "urgent",
            "closed",
            "email",
            r#"["office", "vpn"]"#,
            r#"{"area": "7"}"#,
            "ann@example.org",
            "ann",
            "2025-03-01 09:30",
            "2025-03-02 08:00",
            origin,
            "user",
        ]
    );
    assert_eq!(rows[1][3..8], ["low", "open", "email", "[]", "{}"]);
    assert_eq!(
        desk.test
            .number("SELECT count(*) FROM ticket_activities WHERE action_type = 'created' AND metadata->>'system' = 'import'")
            .await,
        2
    );
    assert_eq!(
        desk.test
            .number("SELECT count(*) FROM outbox WHERE kind = 'ticket.created'")
            .await,
        2
    );
    assert!(!desk.report().exists(), "there is nothing to report");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_reported_with_its_line_and_every_fault_and_the_others_are_imported() {
    let desk = TestDesk::new().await;
    let text = "externalId,subject,description,requesterEmail,priority\n\
        1,Fine,text,a@example.org,\n\
        2,\"Two\nlines\",,nobody,soon\n\
        3,short\n\
        4,Fine too,text,A@EXAMPLE.org,HIGH\n";
    let file = desk.file("rows.csv", text);
    assert_eq!(desk.import(&file, &[]).await.unwrap(), summary(4, 2, 0, 2));
    let refused = |line: u64, id: &str, field: &str, rule: &str| {
        (line, id.to_owned(), field.to_owned(), rule.to_owned())
    };
    assert_eq!(
        desk.refusals(),
        [
            refused(3, "2", "description", "required"),
            refused(3, "2", "subject", "bad_character"),
            refused(3, "2", "requesterEmail", "bad_email"),
            refused(3, "2", "priority", "unknown_value"),
            refused(5, "", "", "column_count"),
        ]
    );
    assert_eq!(
        desk.test.number("SELECT count(*) FROM users").await,
        1,
        "an address is one person in any case"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn run_again_nothing_is_imported_twice_and_what_was_added_is_imported() {
    let desk = TestDesk::new().await;
    let options = ["--requester", "old.desk@example.org", "--source", "old desk"];
    let first = desk.file(
        "a.jsonl",
        "{\"subject\":\"One\",\"description\":\"x\"}\n{\"subject\":\"Two\",\"description\":\"x\"}\n",
    );
    assert_eq!(desk.import(&first, &options).await.unwrap(), summary(2, 2, 0, 0));
    assert_eq!(desk.import(&first, &options).await.unwrap(), summary(2, 0, 2, 0));
    let more = desk.file(
        "b.jsonl",
        "{\"subject\":\"One\",\"description\":\"x\"}\n{\"subject\":\"Two\",\"description\":\"x\"}\nno JSON\n{\"subject\":\"Three\",\"description\":\"x\"}\n",
    );
    assert_eq!(desk.import(&more, &options).await.unwrap(), summary(4, 1, 2, 1));
    assert_eq!(
        desk.import(&more, &["--requester", "a@example.org"])
            .await
            .unwrap(),
        summary(4, 3, 0, 1)
    );
    assert_eq!(desk.tickets().await, 6, "another source has tickets of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rows_with_the_same_id_the_first_counts_however_far_apart_they_are() {
    let desk = TestDesk::new().await;
    let mut text = "externalId,subject,description\n".to_owned();
    for row in 0..1_800 {
        text += &format!("{},Row {row},text\n", row % 600);
    }
    let file = desk.file("rows.csv", text);
    let imported = desk
        .import(&file, &["--requester", "a@example.org"])
        .await
        .unwrap();
    assert_eq!(imported, summary(1_800, 600, 1_200, 0));
    assert_eq!(
        desk.test
            .number("SELECT count(*) FROM tickets WHERE substr(subject, 5)::int >= 600")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_at_once_make_no_ticket_and_no_customer_twice() {
    let desk = TestDesk::new().await;
    let mut text = "externalId,subject,description,requesterEmail\n".to_owned();
    for row in 0..3_000 {
        text += &format!("{row},Row {row},text,customer{}@example.org\n", row % 200);
    }
    let file = desk.file("rows.csv", text);
    let import = |report: &'static str| {
        let mut args = desk.args(&file, &[]);
        args.report = Some(desk.folder.path().join(report));
        server::import::tickets(args, desk.ports(), server::import::Visibility::Hidden)
    };
    let (one, other) = tokio::join!(import("one"), import("other"));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(
        (one.imported + other.imported, one.refused + other.refused),
        (3_000, 0)
    );
    assert_eq!(desk.tickets().await, 3_000);
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_but_the_report() {
    let desk = TestDesk::new().await;
    let text = "subject,description,requesterEmail\nFine,text,a@example.org\n,text,a@example.org\n";
    let file = desk.file("rows.csv", text);
    assert_eq!(
        desk.import(&file, &["--dry-run"]).await.unwrap(),
        summary(2, 1, 0, 1)
    );
    assert_eq!(desk.refusals().len(), 1);
    assert_eq!(desk.tickets().await, 0);
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_deleted_account_refuses_its_rows() {
    let desk = TestDesk::new().await;
    desk.test
        .batch(
            "INSERT INTO users (email, name, password_hash, deleted_at) VALUES ('gone@example.org', 'G', '', now())",
        )
        .await;
    let file = desk.file(
        "rows.csv",
        "subject,description,requesterEmail\nFine,text,gone@example.org\n",
    );
    assert_eq!(desk.import(&file, &[]).await.unwrap(), summary(1, 0, 0, 1));
    assert_eq!(desk.refusals()[0].3, "deleted_account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_alone_refuses_does_not_hold_the_others_up() {
    let desk = TestDesk::new().await;
    desk.test
        .batch("ALTER TABLE tickets ADD CONSTRAINT no_thirteen CHECK (subject <> 'Row 13')")
        .await;
    let mut text = "externalId,subject,description\n".to_owned();
    for row in 0..40 {
        text += &format!("{row},Row {row},text\n");
    }
    let file = desk.file("rows.csv", text);
    let imported = desk
        .import(&file, &["--requester", "a@example.org"])
        .await
        .unwrap();
    assert_eq!(imported, summary(40, 39, 0, 1));
    assert_eq!(
        (desk.refusals()[0].0, desk.refusals()[0].3.as_str()),
        (15, "not_stored")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_does_not_fit_the_file_fails_before_anything_is_imported() {
    let desk = TestDesk::new().await;
    let file = desk.file("rows.csv", "subject,text\nFine,text\n");
    let error = desk
        .import(&file, &["--map", "description=body"])
        .await
        .unwrap_err();
    let ImportError::Mapping(error @ MappingError::UnknownColumn { .. }) = error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("subject, text"), "{error}");
    assert!(!desk.report().exists());
    let error = desk
        .import(&desk.folder.path().join("none.csv"), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::Read {
                source: ReadError::Io(_),
                ..
            }
        ),
        "{error}"
    );
    let nameless = desk.file("rows.txt", "");
    assert!(matches!(
        desk.import(&nameless, &[]).await.unwrap_err(),
        ImportError::Usage(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_the_file_broke_is_imported_and_the_break_is_told() {
    let desk = TestDesk::new().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    writeln!(gzip, "subject,description").unwrap();
    for row in 0..2_000 {
        writeln!(gzip, "Row {row},text").unwrap();
    }
    let whole = gzip.finish().unwrap();
    let file = desk.file("rows.csv.gz", &whole[..whole.len() - 9_000]);
    let error = desk
        .import(&file, &["--requester", "a@example.org"])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::Read {
                source: ReadError::Io(_),
                ..
            }
        ),
        "{error}"
    );
    let imported = desk.tickets().await;
    assert!((1..2_000).contains(&imported), "{imported}");
    let file = desk.file("rows.csv.gz", &whole);
    let again = desk
        .import(&file, &["--requester", "a@example.org"])
        .await
        .unwrap();
    assert_eq!(again.imported + again.already_there, 2_000);
    assert_eq!(desk.tickets().await, 2_000);
}

/// A file beside the workspace, which others may not have.
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/tickets")
        .join(name);
    path.exists().then_some(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_help_desks_tickets_are_all_accounted_for() {
    let Some(file) = shared("endava-it-helpdesk/tickets.csv.gz") else {
        return;
    };
    let desk = TestDesk::new().await;
    let options = [
        "--map",
        "externalId=row",
        "--map",
        "subject=title",
        "--map",
        "description=body",
        "--map",
        "priority=urgency",
        "--map",
        "customFields.category=category",
        "--map",
        "customFields.service=business_service",
        "--value",
        "priority:0=urgent",
        "--value",
        "priority:1=high",
        "--value",
        "priority:2=medium",
        "--value",
        "priority:3=low",
        "--requester",
        "helpdesk@example.org",
    ];
    let first = desk.import(&file, &options).await.unwrap();
    assert_eq!((first.read, first.imported + first.refused), (3_790, 3_790));
    assert_eq!(i64::try_from(first.imported).unwrap(), desk.tickets().await);
    let again = desk.import(&file, &options).await.unwrap();
    assert_eq!(again, summary(3_790, 0, first.imported, first.refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_in_five_languages_are_all_accounted_for() {
    let Some(file) = shared("multilang-tickets-NC/tickets.jsonl.gz") else {
        return;
    };
    let desk = TestDesk::new().await;
    let options = [
        "--map",
        "description=body",
        "--map",
        "customFields.language=language",
        "--map",
        "customFields.queue=queue",
        "--map",
        "customFields.type=type",
        "--value",
        "priority:very_low=low",
        "--value",
        "priority:critical=urgent",
        "--requester",
        "helpdesk@example.org",
    ];
    let first = desk.import(&file, &options).await.unwrap();
    assert_eq!((first.read, first.imported + first.refused), (7_395, 7_395));
    let again = desk.import(&file, &options).await.unwrap();
    assert_eq!(again, summary(7_395, 0, first.imported, first.refused));
}

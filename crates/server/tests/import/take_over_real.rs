//! Taking over recorded exports, which lie beside the workspace and which others may not have.

use std::path::PathBuf;

use server::import::{DeskSummary, System};

use crate::desk::TestDesk;
use crate::take_over::{assert_accounted, tally};

fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/exports")
        .join(name);
    path.exists().then_some(path)
}

fn assert_figures(summary: &DeskSummary, expected: &[(&str, [u64; 6])]) {
    assert_accounted(summary);
    for (kind, figures) in expected {
        assert_eq!(summary.of(kind), tally(*figures), "{kind}");
    }
    let named: u64 = expected.iter().map(|(_, figures)| figures[0]).sum();
    let read: u64 = summary.types.values().map(|tally| tally.read).sum();
    assert_eq!(read, named, "every type is named: {:?}", summary.types.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_a_recorded_zendesk_account_is_accounted_for() {
    let Some(path) = shared("zendesk-api-v2") else {
        return;
    };
    let desk = TestDesk::new().await;
    let dry = desk
        .take_over(System::Zendesk, &path, &["--dry-run"])
        .await
        .unwrap();
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 0);
    let summary = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_figures(
        &summary,
        &[
            ("users", [37, 37, 0, 0, 0, 0]),
            ("groups", [7, 7, 0, 0, 0, 0]),
            ("group_memberships", [6, 4, 2, 0, 0, 0]),
            ("tickets", [247, 247, 0, 0, 0, 0]),
            ("results", [702, 157, 94, 451, 0, 0]),
            ("requests", [148, 10, 138, 0, 0, 0]),
            ("comments", [19, 2, 0, 0, 0, 17]),
            ("audits", [65, 2, 0, 0, 0, 63]),
            ("ticket_metrics", [72, 32, 0, 0, 0, 40]),
            ("satisfaction_ratings", [51, 51, 0, 0, 0, 0]),
            ("attachments", [4, 0, 0, 0, 0, 4]),
            ("organizations", [5, 0, 0, 0, 0, 5]),
            ("ticket_fields", [18, 0, 0, 0, 0, 18]),
            ("macros", [6, 0, 0, 0, 0, 6]),
            ("automations", [7, 0, 0, 0, 0, 7]),
            ("triggers", [12, 0, 0, 0, 0, 12]),
            ("views", [14, 0, 0, 0, 0, 14]),
            ("brands", [2, 0, 0, 0, 0, 2]),
            ("categories", [5, 0, 0, 0, 0, 5]),
            ("forums", [18, 0, 0, 0, 0, 18]),
            ("topics", [79, 0, 0, 0, 0, 79]),
            ("topic_comments", [81, 0, 0, 0, 0, 81]),
            ("custom_roles", [4, 0, 0, 0, 0, 4]),
            ("organization_fields", [4, 0, 0, 0, 0, 4]),
            ("organization_memberships", [3, 0, 0, 0, 0, 3]),
            ("ticket_forms", [12, 0, 0, 0, 0, 12]),
            ("user_fields", [4, 0, 0, 0, 0, 4]),
        ],
    );
    for kind in ["tickets", "results", "requests", "users", "comments"] {
        assert_eq!(dry.of(kind), summary.of(kind), "{kind}");
    }
    assert_eq!(desk.tickets().await, 414);
    assert_eq!(desk.test.number("SELECT count(*) FROM users").await, 37);
    let by_status = "SELECT count(*) FROM tickets WHERE status = 'closed'";
    let closed = desk.test.number(by_status).await;
    let dated = "SELECT count(*) FROM tickets WHERE status = 'closed' AND closed_at >= resolved_at AND resolved_at >= created_at";
    assert_eq!((closed > 0, desk.test.number(dated).await), (true, closed));
    let skipped = desk
        .entries()
        .iter()
        .filter(|entry| entry["outcome"] == "skipped" && entry["rule"] == "deleted")
        .count();
    assert_eq!(skipped, 451, "each is named");
    let again = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_accounted(&again);
    assert_eq!(again.of("tickets"), tally([247, 0, 247, 0, 0, 0]));
    assert_eq!(again.of("results"), tally([702, 0, 251, 451, 0, 0]));
    assert_eq!(desk.tickets().await, 414);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_recorded_warehouse_is_accounted_for() {
    let Some(path) = shared("zendesk-warehouse-seeds") else {
        return;
    };
    let desk = TestDesk::new().await;
    let summary = desk.take_over(System::Zendesk, &path, &[]).await.unwrap();
    assert_figures(
        &summary,
        &[
            // All ten have one address, and so one account.
            ("users", [10, 1, 9, 0, 0, 0]),
            ("groups", [8, 8, 0, 0, 0, 0]),
            ("tickets", [6, 4, 0, 2, 0, 0]),
            ("people", [3, 3, 0, 0, 0, 0]),
            ("comments", [20, 0, 0, 0, 0, 20]),
            ("ticket_tags", [5, 0, 0, 0, 0, 5]),
            ("ticket_field_history", [34, 19, 0, 0, 0, 15]),
            ("organizations", [10, 0, 0, 0, 0, 10]),
            ("audit_log", [10, 0, 0, 0, 0, 10]),
            ("brand", [1, 0, 0, 0, 0, 1]),
            ("daylight_time", [2, 0, 0, 0, 0, 2]),
            ("domain_name", [10, 0, 0, 0, 0, 10]),
            ("organization_tag", [12, 0, 0, 0, 0, 12]),
            ("schedule", [5, 0, 0, 0, 0, 5]),
            ("schedule_holiday", [2, 0, 0, 0, 0, 2]),
            ("sla_policy_metric_history", [22, 0, 0, 0, 0, 22]),
            ("ticket_chat", [8, 0, 0, 0, 0, 8]),
            ("ticket_chat_event", [12, 0, 0, 0, 0, 12]),
            ("ticket_form_history", [15, 0, 0, 0, 0, 15]),
            ("ticket_schedule", [5, 0, 0, 0, 0, 5]),
            ("ticket_sla_policy", [6, 0, 0, 0, 0, 6]),
            ("time_zone", [2, 0, 0, 0, 0, 2]),
            ("user_tag", [10, 0, 0, 0, 0, 10]),
        ],
    );
    let rows = desk
        .test
        .rows(
            "SELECT external_id, status, to_char(resolved_at, 'YYYY-MM-DD'), to_char(closed_at, 'YYYY-MM-DD HH24:MI:SS') \
             FROM tickets JOIN ticket_imports ON ticket_id = id WHERE external_id = '11071'",
        )
        .await;
    let row: Vec<&str> = rows[0]
        .iter()
        .map(|value| value.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(row, ["11071", "closed", "2020-11-14", "2020-11-15 11:01:27"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_a_recorded_freshdesk_account_is_accounted_for() {
    let Some(path) = shared("freshdesk-api") else {
        return;
    };
    let desk = TestDesk::new().await;
    let summary = desk.take_over(System::Freshdesk, &path, &[]).await.unwrap();
    assert_figures(
        &summary,
        &[
            ("agents", [2, 2, 0, 0, 0, 0]),
            ("contacts", [1, 1, 0, 0, 0, 0]),
            // Both versions recorded the same ticket.
            ("tickets", [2, 1, 1, 0, 0, 0]),
            ("people", [1, 1, 0, 0, 0, 0]),
            ("comments", [2, 2, 0, 0, 0, 0]),
            ("attachments", [1, 0, 0, 0, 0, 1]),
            ("code_tables", [1, 0, 0, 0, 0, 1]),
            ("solution_articles", [1, 0, 0, 0, 0, 1]),
        ],
    );
    let messages = desk
        .test
        .rows("SELECT message, is_internal FROM ticket_messages ORDER BY created_at")
        .await;
    let messages: Vec<Vec<&str>> = messages
        .iter()
        .map(|row| row.iter().map(|value| value.as_deref().unwrap_or("-")).collect())
        .collect();
    assert_eq!(
        messages,
        [["This is a private note", "t"], ["This is a reply", "f"]]
    );
}

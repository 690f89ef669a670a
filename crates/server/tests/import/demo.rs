//! The sample data.

use server::demo::{DemoArgs, fill};

use crate::desk::TestDesk;

fn args(tickets: u32, seed: u64) -> DemoArgs {
    DemoArgs {
        tickets,
        seed,
        password: Some("seven purple lanterns".to_owned()),
        force: false,
    }
}

/// What tells two desks apart but for their ids.
const STORY: &str = "SELECT ticket_number, subject, description, t.status, priority, tags, t.created_at::time, \
    extract(epoch FROM t.updated_at - t.created_at), message_count, u.email, a.email \
    FROM tickets t JOIN users u ON u.id = created_by LEFT JOIN users a ON a.id = assigned_to ORDER BY 1";

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_desk_is_lifelike_and_true_to_itself() {
    let desk = TestDesk::new().await;
    let sample = fill(&args(120, 1), &desk.desk).await.unwrap();
    assert_eq!((sample.tickets, sample.accounts.len()), (120, 39));
    assert_eq!(desk.tickets().await, 120);
    assert!(
        sample.skipped * 20 < sample.turns,
        "{} of {} turns were refused",
        sample.skipped,
        sample.turns
    );
    for status in ["open", "resolved", "closed"] {
        let count = desk
            .test
            .number(&format!("SELECT count(*) FROM tickets WHERE status = '{status}'"))
            .await;
        assert!(count > 0, "none is {status}");
    }
    for (what, sql) in [
        (
            "public replies",
            "SELECT count(*) FROM ticket_messages WHERE NOT is_internal",
        ),
        (
            "internal messages",
            "SELECT count(*) FROM ticket_messages WHERE is_internal",
        ),
        ("notes", "SELECT count(*) FROM ticket_notes"),
        (
            "automatic closings",
            "SELECT count(*) FROM tickets WHERE auto_closed_at IS NOT NULL",
        ),
    ] {
        assert!(desk.test.number(sql).await > 0, "there are no {what}");
    }
    for (what, sql) in [
        (
            "tickets without a history",
            "SELECT count(*) FROM tickets t WHERE NOT EXISTS (SELECT FROM ticket_activities WHERE ticket_id = t.id)",
        ),
        (
            "things that happen in the future",
            "SELECT count(*) FROM ticket_activities WHERE created_at > now()",
        ),
        (
            "tickets that should have closed by themselves",
            "SELECT count(*) FROM tickets WHERE status = 'resolved' AND greatest(resolved_at, last_message_at) < now() - interval '97 hours'",
        ),
        (
            "events without their time",
            "SELECT count(*) FROM outbox WHERE aggregate_id IN (SELECT id FROM tickets WHERE created_at < now() - interval '2 days') AND kind = 'ticket.created' AND occurred_at > now() - interval '1 day'",
        ),
    ] {
        assert_eq!(desk.test.number(sql).await, 0, "there are {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_desk() {
    let mut stories = Vec::new();
    for _ in 0..2 {
        let desk = TestDesk::new().await;
        fill(&args(15, 9), &desk.desk).await.unwrap();
        // What happened today hangs on the time of day; the tickets of the first weeks do not.
        let mut story = desk.test.rows(STORY).await;
        story.truncate(5);
        stories.push(story);
    }
    assert_eq!(stories[0], stories[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_with_tickets_is_left_alone_unless_told_otherwise() {
    let desk = TestDesk::new().await;
    fill(&args(5, 1), &desk.desk).await.unwrap();
    let refused = fill(&args(5, 1), &desk.desk).await.unwrap_err();
    assert!(refused.to_string().contains("--force"), "{refused}");
    assert_eq!(desk.tickets().await, 5);
    let forced = fill(
        &DemoArgs {
            force: true,
            ..args(5, 2)
        },
        &desk.desk,
    )
    .await
    .unwrap();
    assert!(forced.accounts.iter().all(|account| account.was_there));
    assert_eq!(desk.tickets().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_made_up_when_none_is_given() {
    let desk = TestDesk::new().await;
    let made_up = fill(
        &DemoArgs {
            password: None,
            ..args(1, 1)
        },
        &desk.desk,
    )
    .await
    .unwrap()
    .password;
    assert!(made_up.len() >= 16, "{made_up}");
    let other = TestDesk::new().await;
    assert_ne!(
        fill(
            &DemoArgs {
                password: None,
                ..args(1, 1)
            },
            &other.desk
        )
        .await
        .unwrap()
        .password,
        made_up
    );
}

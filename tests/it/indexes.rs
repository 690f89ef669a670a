//! Every list that grows with the desk is read by an index: on a filled database no request walks through a large table.

use desk::app::{Caller, TestDesk};
use kernel::Role;

/// How many rows each of the large tables has, so that reading all of one is never the cheaper way.
const ROWS: u32 = 20_000;

/// The tables that grow with each ticket.
const LARGE: &str = "'tickets', 'ticket_messages', 'ticket_notes', 'ticket_activities', 'ticket_links', 'attachments', \
    'notifications', 'job_items', 'job_results', 'automation_runs', 'webhook_calls', 'sla_ledger', 'ticket_clocks', \
    'ticket_search', 'ticket_drafts', 'outbox'";

/// Fills every large table: a tenth of each belongs to the one ticket, the one person, the one job and rule that is asked for.
fn filling(ticket: &str, admin: &Caller, customer: &Caller) -> String {
    let (admin, customer) = (admin.id, customer.id);
    format!(
        "INSERT INTO tickets (id, ticket_number, subject, description, created_by, status, priority, tags, updated_at, created_at) \
           SELECT md5('t' || n)::uuid, 'F-' || n, 'Printer ' || n, 'd', '{customer}', \
             (ARRAY['open', 'pending', 'resolved', 'closed'])[1 + n % 4]::\"TicketStatus\", \
             (ARRAY['low', 'medium', 'high', 'urgent'])[1 + n / 7 % 4]::\"TicketPriority\", \
             CASE WHEN n % 500 = 0 THEN '[\"rare\"]'::jsonb ELSE '[]'::jsonb END, \
             now() - n * interval '1 minute', now() - n * interval '2 minutes' FROM generate_series(1, {ROWS}) n; \
         CREATE TEMP TABLE spread AS SELECT n, CASE WHEN n % 10 = 0 THEN '{ticket}'::uuid ELSE md5('t' || n)::uuid END AS ticket, \
             now() - n * interval '1 minute' AS at FROM generate_series(1, {ROWS}) n; \
         INSERT INTO ticket_messages (id, ticket_id, sender_id, message, is_internal, created_at) \
           SELECT md5('m' || n)::uuid, ticket, '{customer}', 'hello', n % 3 = 0, at FROM spread; \
         INSERT INTO ticket_notes (ticket_id, agent_id, message, created_at) SELECT ticket, '{admin}', 'note', at FROM spread; \
         INSERT INTO ticket_activities (ticket_id, actor_id, action_type, created_at) \
           SELECT ticket, '{admin}', 'claimed', at FROM spread; \
         INSERT INTO ticket_links (from_id, to_id, kind) SELECT ticket, md5('t' || n % {ROWS} + 1)::uuid, 'blocks' FROM spread; \
         INSERT INTO attachments (id, uploader_id, message_id, file_name, content_type, size_bytes, sha256, created_at) \
           SELECT gen_random_uuid(), '{customer}', md5('m' || n)::uuid, 'f', 'text/plain', 1, sha256('x'), at FROM spread; \
         INSERT INTO notifications (user_id, type, title, message, read, created_at) \
           SELECT CASE WHEN n % 10 = 0 THEN '{admin}'::uuid ELSE '{customer}'::uuid END, 'x', 't', 'm', n % 3 = 0, at FROM spread; \
         INSERT INTO jobs (id, owner_id, change, state, total, next_item, worked_at, created_at, finished_at) \
           SELECT md5('j' || n)::uuid, '{admin}', '{{\"status\":\"open\",\"addTags\":[],\"removeTags\":[]}}', 'completed', 100, 101, now(), now(), now() \
           FROM generate_series(0, {ROWS} / 100 - 1) n; \
         INSERT INTO job_items (job_id, item, ticket_id) SELECT md5('j' || n / 100)::uuid, 1 + n % 100, ticket \
           FROM spread WHERE n < {ROWS}; \
         INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at, done_at) \
           SELECT gen_random_uuid(), ticket, 'x', 1, '{{}}', at, at FROM spread;"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_walks_through_a_large_table() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("kim", Role::User).await;
    let path = desk.ticket(&customer, None).await;
    let ticket = path.rsplit('/').next().unwrap();
    let owned = &desk.database;
    owned.batch(&filling(ticket, &admin, &customer)).await;
    owned.batch("ANALYZE").await;
    let (message, job) = (
        "SELECT id::text FROM ticket_messages WHERE NOT is_internal LIMIT 1",
        "SELECT md5('j7')::uuid::text",
    );
    let one = async |query: &str| desk.database.rows(query).await.concat()[0].clone().unwrap();
    let (message, job) = (one(message).await, one(job).await);
    let walked = format!(
        "SELECT relname::text, seq_scan::text FROM pg_stat_user_tables WHERE relname IN ({LARGE}) ORDER BY 1"
    );
    // Sessions hand in what they counted when they end.
    let settled = async || {
        let end = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let _ = owned.rows(end).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        owned.rows(&walked).await
    };
    let sorts = [
        "",
        "&sort=createdAt",
        "&sort=-createdAt",
        "&sort=updatedAt",
        "&sort=-updatedAt",
    ];
    let filters = [
        "",
        "&status=open",
        "&status=open,pending",
        "&priority=urgent",
        "&tags=rare",
        "&assignedTo=none",
        "&assignedTo=me",
    ];
    let mut paths = vec![
        format!("{path}/messages?limit=10"),
        format!("{path}/messages/{message}"),
        format!("{path}/notes?limit=10"),
        format!("{path}/activity?limit=10"),
        format!("{path}/links"),
        format!("{path}/cc"),
        format!("{path}/followers"),
        format!("{path}/sla"),
        "/api/v1/notifications?limit=10".to_owned(),
        "/api/v1/notifications?limit=10&unread=true&count=true".to_owned(),
        format!("/api/v1/jobs/{job}"),
        format!("/api/v1/jobs/{job}/items?limit=10"),
    ];
    for filter in filters {
        for sort in sorts {
            paths.push(format!("/api/v1/tickets?limit=10{filter}{sort}"));
        }
    }
    paths.push("/api/v1/tickets?limit=10&count=true&status=open".to_owned());
    paths.push("/api/v1/tickets/search?q=Printer&limit=10".to_owned());
    let before = settled().await;
    for path in &paths {
        for caller in [&admin, &agent, &customer] {
            let reply = desk.get(caller, path).await;
            assert!([200, 403, 404].contains(&reply.status), "{path}: {}", reply.text);
        }
    }
    let after = settled().await;
    assert_eq!(before, after, "a table was walked through");
    // That it would be seen: the same without an index.
    owned
        .batch("DROP INDEX ticket_notes_ticket_created_idx, ticket_notes_ticket_id_idx")
        .await;
    let _ = desk
        .get(&admin, &format!("{path}/notes?limit=10"))
        .await
        .expect(200);
    assert_ne!(settled().await, after);
}

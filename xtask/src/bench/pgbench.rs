//! The same work as bare SQL, driven by pgbench: what the database alone could do.
//!
//! Each script does what the API's operation must: the list in one query with the names, a ticket and its messages, a
//! new ticket with its activity and its event, a reply with all that it changes. Nobody is authorized, nothing is
//! checked but by constraints, and no JSON is made.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::population::{BENCH_TEAM, CUSTOMERS, Population};
use crate::Outcome;

/// The list of the team's open tickets, so long.
pub(super) fn list(population: &Population, limit: u32) -> String {
    let team = population.team(BENCH_TEAM);
    format!(
        "SELECT t.*, c.name, c.email, c.avatar_url, a.name, a.email, a.avatar_url \
         FROM tickets t JOIN users c ON c.id = t.created_by LEFT JOIN users a ON a.id = t.assigned_to \
         WHERE t.team_id = '{team}' AND t.status = 'open' AND t.deleted_at IS NULL \
         ORDER BY t.updated_at DESC, t.id DESC LIMIT {};\n",
        limit + 1
    )
}

fn select_ticket() -> String {
    format!(
        "SELECT * FROM tickets WHERE id = {};\n",
        Population::pgbench_ticket()
    )
}

fn select_messages() -> String {
    format!(
        "SELECT * FROM ticket_messages WHERE ticket_id = {} ORDER BY created_at, id LIMIT 26;\n",
        Population::pgbench_ticket()
    )
}

/// A ticket.
pub(super) fn ticket(population: &Population) -> String {
    population.pgbench_any() + &select_ticket()
}

/// A ticket's messages.
pub(super) fn messages(population: &Population) -> String {
    population.pgbench_any() + &select_messages()
}

/// A new id in the order of time, from two numbers without order.
const NEW_ID: &str = "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || \
    lpad(to_hex(:r1::bigint), 3, '0') || '8' || lpad(to_hex(:r2::bigint), 15, '0'))::uuid";
const NEW_RANDOM: &str = "\\set r1 random(0, 4095)\n\\set r2 random(0, 1152921504606846975)\n";

fn insert_outbox(kind: &str, ticket: &str, data: &str) -> String {
    // The summary that the server writes, in the same size.
    let payload = format!(
        "{{\"cause\": {{\"person\": \"0190a1b2-c3d4-7e5f-8000-000000000001\"}}, \"data\": {data}, \"ticket\": \
         {{\"id\": \"0190a1b2-c3d4-7e5f-8000-000000000002\", \"team\": \"0190a1b2-c3d4-7e5f-8000-000000000003\", \
         \"number\": \"TKT-00001\", \"status\": \"open\", \"subject\": \"The printer on the second floor is on fire\", \
         \"version\": 1, \"assignee\": null, \"priority\": \"medium\", \"requester\": \
         \"0190a1b2-c3d4-7e5f-8000-000000000004\"}}}}"
    );
    // pgbench would take a colon before a letter for a variable; JSON has a blank after each.
    format!(
        "{NEW_RANDOM}INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at) \
         VALUES ({NEW_ID}, {ticket}, '{kind}', 1, '{payload}', now());\n"
    )
}

/// A new ticket for any customer, in the team.
pub(super) fn create(population: &Population, agent: &str, description: &str) -> String {
    let team = population.team(BENCH_TEAM);
    let customer = population.customer(0);
    // The last group is the number.
    let (first, rest) = customer.split_at(customer.rfind('-').map_or(0, |dash| dash + 1));
    format!(
        "\\set c random(0, {})\n{NEW_RANDOM}BEGIN;\n\
         INSERT INTO tickets (id, ticket_number, subject, description, created_by, team_id) \
         VALUES ({NEW_ID}, 'TKT-' || nextval('ticket_number_seq'), 'The bench asks', '{description}', \
         ('{first}' || lpad(to_hex(:c::bigint), {}, '0'))::uuid, '{team}') RETURNING id AS ticket \\gset\n\
         {NEW_RANDOM}INSERT INTO ticket_activities (id, ticket_id, actor_id, action_type, new_value) \
         VALUES ({NEW_ID}, :ticket::uuid, '{agent}', 'created', '{{\"subject\": \"The bench asks\", \"priority\": \"medium\", \
         \"status\": \"open\", \"channel\": \"web\"}}');\n{}END;\n",
        CUSTOMERS - 1,
        rest.len(),
        insert_outbox("ticket.created", ":ticket::uuid", "{}"),
    )
}

/// A reply to any ticket of the team that is not closed.
pub(super) fn reply(population: &Population, agent: &str, message: &str) -> String {
    let ticket = Population::pgbench_ticket();
    format!(
        "{}{NEW_RANDOM}BEGIN;\n\
         UPDATE tickets SET updated_at = now(), public_updated_at = now(), version = version + 1, \
         public_version = public_version + 1, message_count = message_count + 1, \
         public_message_count = public_message_count + 1, last_message_at = now(), public_last_message_at = now(), \
         first_response_at = coalesce(first_response_at, now()) WHERE id = {ticket};\n\
         INSERT INTO ticket_messages (id, ticket_id, sender_id, message, message_html) \
         VALUES ({NEW_ID}, {ticket}, '{agent}', '{message}', '<p>{message}</p>') RETURNING id AS message \\gset\n\
         {NEW_RANDOM}INSERT INTO ticket_activities (id, ticket_id, actor_id, action_type, metadata) \
         VALUES ({NEW_ID}, {ticket}, '{agent}', 'message_added', jsonb_build_object('messageId', :message::text));\n\
         {}END;\n",
        population.pgbench_any_unclosed(),
        insert_outbox(
            "ticket.message_added",
            &ticket,
            "{\"author\": \"0190a1b2-c3d4-7e5f-8000-000000000001\", \"message\": \
             \"0190a1b2-c3d4-7e5f-8000-000000000005\", \"byStaff\": true}"
        ),
    )
}

/// The program, and the database.
#[derive(Debug)]
pub(super) struct Pgbench {
    program: PathBuf,
    database_url: String,
    folder: PathBuf,
}

impl Pgbench {
    /// None when it does not lie beside the server's programs.
    pub(super) fn beside(bin_dir: &Path, database_url: String, folder: &Path) -> Option<Self> {
        let program = bin_dir.join("pgbench");
        program.exists().then(|| Self {
            program,
            database_url,
            folder: folder.to_owned(),
        })
    }

    /// Runs a script for `time`.
    pub(super) async fn run(&self, script: &str, connections: usize, time: Duration) -> Outcome<Rate> {
        let failed = |error: std::io::Error| format!("pgbench does not run: {error}");
        let file = self.folder.join("script.sql");
        std::fs::write(&file, script).map_err(failed)?;
        let threads = connections.min(std::thread::available_parallelism().map_or(1, usize::from));
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={connections}"))
            .arg(format!("--jobs={threads}"))
            .arg(format!("--time={}", time.as_secs()))
            .arg("--file")
            .arg(&file)
            .arg(&self.database_url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let complaint: Vec<&str> = complaint.lines().collect();
            return Err(format!(
                "pgbench failed ({}): {}",
                output.status,
                complaint.join("; ")
            ));
        }
        Rate::read(&said).ok_or_else(|| format!("pgbench gave no rate: {said}"))
    }
}

/// What pgbench says at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) transactions: u64,
    pub(super) per_second: f64,
}

impl Rate {
    fn read(report: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = report.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()
        };
        Some(Self {
            transactions: value("number of transactions actually processed: ")?
                .parse()
                .ok()?,
            per_second: value("tps = ")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_the_report() {
        let report = "latency average = 0.5 ms\nnumber of transactions actually processed: 19864\n\
                      tps = 1986.420000 (without initial connection time)\n";
        let rate = Rate {
            transactions: 19_864,
            per_second: 1986.42,
        };
        assert_eq!(Rate::read(report), Some(rate));
        assert_eq!(Rate::read("pgbench: nothing"), None);
    }
}

//! The desk that is measured: people, teams, and tickets with their conversations and histories.
//!
//! Everything about ticket number `n` follows from `n` by arithmetic, its id included, so that the load generator, the
//! scripts for pgbench and the filling statement speak of the same rows without asking for them. Ids are laid out as
//! UUIDv7: ordered by time, with the number where the random bits would be.

use tokio_postgres::Client;

use super::load::Random;
use crate::Outcome;

pub(super) const CUSTOMERS: u64 = 2_000;
pub(super) const AGENTS: u64 = 50;
pub(super) const TEAMS: u64 = 10;

/// The team whose agent sends the requests: every tenth ticket is its own.
pub(super) const BENCH_TEAM: u64 = 1;

/// How long ago the first ticket was made.
const HISTORY_MS: i64 = 730 * 24 * 3600 * 1000;

/// Of a hundred tickets of a team, in an order that [`SLOT_STEP`] mixes, those from here on are resolved, pending, open;
/// the others are closed.
const RESOLVED_FROM: u64 = 70;
const PENDING_FROM: u64 = 80;
const OPEN_FROM: u64 = 88;
const SLOT_STEP: u64 = 37;
/// Undoes the mixing: `SLOT_STEP * SLOT_BACK` leaves 1 of 100.
const SLOT_BACK: u64 = 73;

/// How many different texts messages have.
const TEXTS: usize = 512;

/// A word that one ticket in about ten thousand has, one that two in a hundred have, and one that all have.
pub(super) const RARE_WORD: &str = "quetzal";
pub(super) const MIDDLE_WORD: &str = "walrus";
pub(super) const COMMON_WORD: &str = "printer";
const RARE_STEP: u64 = 9_973;
const MIDDLE_STEP: u64 = 49;

const KIND_TICKET: u16 = 0;
const KIND_USER: u16 = 1;
const KIND_TEAM: u16 = 2;
const KIND_MESSAGE: u16 = 3;
const KIND_ACTIVITY: u16 = 4;
const KIND_NONE: u16 = 5;

#[derive(Debug, Clone, Copy)]
pub(super) struct Population {
    pub(super) tickets: u64,
    pub(super) messages_each: u32,
    /// The time of ticket 0, which is not there, and of all people and teams.
    pub(super) epoch_ms: i64,
    /// The time from one ticket to the next.
    pub(super) step_ms: i64,
}

impl Population {
    pub(super) fn new(tickets: u64, messages_each: u32, now_ms: i64) -> Self {
        let count = i64::try_from(tickets).unwrap_or(i64::MAX).max(1);
        Self {
            tickets,
            messages_each,
            epoch_ms: now_ms - HISTORY_MS,
            step_ms: (HISTORY_MS / (count + 1)).max(1),
        }
    }

    pub(super) fn ticket(&self, number: u64) -> String {
        let offset = i64::try_from(number).unwrap_or(0) * self.step_ms;
        id(KIND_TICKET, self.epoch_ms + offset, number)
    }

    /// An id that no ticket has, beside that of ticket `number`.
    pub(super) fn no_ticket(&self, number: u64) -> String {
        let offset = i64::try_from(number).unwrap_or(0) * self.step_ms;
        id(KIND_NONE, self.epoch_ms + offset, number)
    }

    pub(super) fn customer(&self, number: u64) -> String {
        id(KIND_USER, self.epoch_ms, number)
    }

    pub(super) fn team(&self, number: u64) -> String {
        id(KIND_TEAM, self.epoch_ms, number)
    }

    /// How many whole hundreds of tickets each team has.
    pub(super) fn hundreds(&self) -> u64 {
        self.tickets / (TEAMS * 100)
    }

    /// Any ticket of the bench's team.
    pub(super) fn any(&self, random: &mut Random) -> String {
        self.ticket(random.below(self.hundreds() * 100) * TEAMS + BENCH_TEAM)
    }

    /// Any ticket of the bench's team that can be replied to.
    pub(super) fn any_unclosed(&self, random: &mut Random) -> String {
        let slot = RESOLVED_FROM + random.below(100 - RESOLVED_FROM);
        let place = random.below(self.hundreds()) * 100 + slot * SLOT_BACK % 100;
        self.ticket(place * TEAMS + BENCH_TEAM)
    }

    /// The lines of a pgbench script that set `n` and `ms` as [`Self::any`] chooses.
    pub(super) fn pgbench_any(&self) -> String {
        format!(
            "\\set n random(0, {}) * {TEAMS} + {BENCH_TEAM}\n{}",
            self.hundreds() * 100 - 1,
            self.pgbench_ms()
        )
    }

    /// The lines of a pgbench script that set `n` and `ms` as [`Self::any_unclosed`] chooses.
    pub(super) fn pgbench_any_unclosed(&self) -> String {
        format!(
            "\\set slot random({RESOLVED_FROM}, 99)\n\
             \\set n (random(0, {}) * 100 + :slot * {SLOT_BACK} % 100) * {TEAMS} + {BENCH_TEAM}\n{}",
            self.hundreds() - 1,
            self.pgbench_ms()
        )
    }

    fn pgbench_ms(&self) -> String {
        format!("\\set ms {} + :n * {}\n", self.epoch_ms, self.step_ms)
    }

    /// A ticket's id in a pgbench script, from `n` and `ms`.
    pub(super) fn pgbench_ticket() -> String {
        format!(
            "(lpad(to_hex(:ms::bigint), 12, '0') || '7{KIND_TICKET:03x}8000' || lpad(to_hex(:n::bigint), 12, '0'))::uuid"
        )
    }

    /// Fills a migrated database.
    pub(super) async fn fill(&self, client: &Client) -> Outcome<()> {
        let texts = texts();
        let bodies: Vec<&str> = texts.iter().map(String::as_str).collect();
        let failed =
            |error: tokio_postgres::Error| format!("the database cannot be filled: {}", describe(&error));
        client.batch_execute(&self.preparations()).await.map_err(failed)?;
        client
            .execute(
                "INSERT INTO bench_texts SELECT i - 1, body, '<p>' || body || '</p>' \
                 FROM unnest($1::text[]) WITH ORDINALITY AS t (body, i)",
                &[&bodies],
            )
            .await
            .map_err(failed)?;
        for statement in [PEOPLE, TICKETS, MESSAGES, ACTIVITIES, SEARCH, INDEXES_BACK] {
            client
                .batch_execute(&self.filled_in(statement))
                .await
                .map_err(failed)?;
        }
        // Alone: a VACUUM cannot stand in a transaction, and statements sent together are one.
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            client.batch_execute(statement).await.map_err(failed)?;
        }
        Ok(())
    }

    fn preparations(&self) -> String {
        self.filled_in(PREPARATIONS)
    }

    fn filled_in(&self, statement: &str) -> String {
        [
            ("{tickets}", self.tickets.to_string()),
            ("{messages}", self.messages_each.to_string()),
            ("{epoch_ms}", self.epoch_ms.to_string()),
            ("{step_ms}", self.step_ms.to_string()),
            ("{customers}", CUSTOMERS.to_string()),
            ("{agents}", AGENTS.to_string()),
            ("{teams}", TEAMS.to_string()),
            ("{agents_per_team}", (AGENTS / TEAMS).to_string()),
            ("{texts}", TEXTS.to_string()),
            ("{slot_step}", SLOT_STEP.to_string()),
            ("{resolved_from}", RESOLVED_FROM.to_string()),
            ("{pending_from}", PENDING_FROM.to_string()),
            ("{open_from}", OPEN_FROM.to_string()),
            ("{rare_step}", RARE_STEP.to_string()),
            ("{middle_step}", MIDDLE_STEP.to_string()),
            ("{rare_word}", RARE_WORD.to_owned()),
            ("{middle_word}", MIDDLE_WORD.to_owned()),
            ("{kind_ticket}", KIND_TICKET.to_string()),
            ("{kind_user}", KIND_USER.to_string()),
            ("{kind_team}", KIND_TEAM.to_string()),
            ("{kind_message}", KIND_MESSAGE.to_string()),
            ("{kind_activity}", KIND_ACTIVITY.to_string()),
        ]
        .iter()
        .fold(statement.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}

/// An id of a kind, a time and a number.
fn id(kind: u16, ms: i64, number: u64) -> String {
    let ms = format!("{ms:012x}");
    let (high, low) = ms.split_at(8);
    format!("{high}-{low}-7{kind:03x}-8000-{number:012x}")
}

/// The whole of a database's complaint: by itself it shows only that there is one.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{}: {}", refusal.code().code(), refusal.message()),
        None => error.to_string(),
    }
}

/// Texts of 300 to 600 letters.
fn texts() -> Vec<String> {
    const WORDS: [&str; 40] = [
        "the", "printer", "on", "second", "floor", "does", "not", "answer", "since", "this", "morning",
        "invoice", "was", "sent", "twice", "please", "check", "account", "and", "tell", "us", "when", "it",
        "will", "work", "again", "password", "could", "be", "reset", "by", "our", "team", "thank", "you",
        "for", "patience", "order", "arrived", "damaged",
    ];
    let mut random = Random::new(7);
    (0..TEXTS)
        .map(|_| {
            let length = 300 + usize::try_from(random.below(290)).unwrap_or(0);
            let mut text = String::new();
            while text.len() < length {
                let index = usize::try_from(random.below(WORDS.len() as u64)).unwrap_or(0);
                text.push_str(WORDS.get(index).copied().unwrap_or_default());
                text.push(' ');
            }
            text.trim_end().to_owned()
        })
        .collect()
}

/// Keys and triggers are not checked while filling, and indexes are made afterwards.
const PREPARATIONS: &str = "
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
SET work_mem = '256MB';
SET synchronous_commit = off;

CREATE FUNCTION pg_temp.bench_id(kind bigint, ms bigint, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8000' || lpad(to_hex(number), 12, '0'))::uuid
$$;

CREATE TEMP TABLE bench_texts (place bigint PRIMARY KEY, body text NOT NULL, html text NOT NULL);

-- Words that stand in few tickets, in some, and beside them those that stand in all.
CREATE FUNCTION pg_temp.bench_words(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN n % {rare_step} = 1 THEN ' {rare_word}' ELSE '' END || CASE WHEN n % {middle_step} = 1 THEN ' {middle_word}' ELSE '' END
$$;
CREATE AGGREGATE pg_temp.bench_document(tsvector) (SFUNC = tsvector_concat, STYPE = tsvector, INITCOND = '');

CREATE TEMP TABLE bench_indexes AS
  SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index i
  WHERE indrelid = ANY (ARRAY['tickets', 'ticket_messages', 'ticket_activities', 'ticket_search']::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid);
DO $$
DECLARE dropped text;
BEGIN
  FOR dropped IN SELECT name FROM bench_indexes LOOP EXECUTE 'DROP INDEX ' || dropped; END LOOP;
END $$;

-- What is true of each ticket. `chance` is anything from 0 to 999.
CREATE TEMP TABLE bench_tickets AS
SELECT n, at, pg_temp.bench_id({kind_ticket}, {epoch_ms} + n * {step_ms}, n) AS id, status,
       CASE WHEN n % 20 <> 10 THEN n % {teams} END AS team,
       pg_temp.bench_id({kind_user}, {epoch_ms}, ((n * 7919) % 1000003) % {customers}) AS requester,
       CASE WHEN n % 20 <> 10 AND (status IN ('closed', 'resolved') OR chance % 10 < 6)
         THEN pg_temp.bench_id({kind_user}, {epoch_ms}, {customers} + (n % {teams}) * {agents_per_team} + chance % {agents_per_team})
       END AS assignee,
       chance,
       -- When something last happened: to a closed one soon, to a resolved one lately, to others at any time since.
       at + CASE status
         WHEN 'closed' THEN least(interval '20 days', now() - at) * (chance / 1000.0)
         WHEN 'resolved' THEN greatest(interval '0', now() - at - interval '2 days' * (chance / 1000.0))
         ELSE (now() - at) * (chance / 1000.0)
       END AS last_at
FROM (
  SELECT n, to_timestamp(({epoch_ms} + n * {step_ms}) / 1000.0) AS at, ((n * 104729) % 1000003) % 1000 AS chance,
         CASE WHEN slot >= {open_from} THEN 'open' WHEN slot >= {pending_from} THEN 'pending'
              WHEN slot >= {resolved_from} THEN 'resolved' ELSE 'closed' END AS status
  FROM (SELECT n, (n / {teams} * {slot_step}) % 100 AS slot FROM generate_series(1::bigint, {tickets}) AS n) slots
) known;
";

const PEOPLE: &str = "
INSERT INTO users (id, email, name, password_hash, role, status, email_verified_at, created_at, updated_at)
SELECT pg_temp.bench_id({kind_user}, {epoch_ms}, n), 'person' || n || '@bench.example', 'Person ' || n, '!',
       (CASE WHEN n < {customers} THEN 'user' ELSE 'agent' END)::\"UserRole\", 'active', at, at, at
FROM generate_series(0::bigint, {customers} + {agents} - 1) AS n, to_timestamp({epoch_ms} / 1000.0) AS at;

INSERT INTO teams (id, name, created_at, updated_at)
SELECT pg_temp.bench_id({kind_team}, {epoch_ms}, n), 'Team ' || n, at, at
FROM generate_series(0::bigint, {teams} - 1) AS n, to_timestamp({epoch_ms} / 1000.0) AS at;

INSERT INTO team_members (team_id, user_id)
SELECT pg_temp.bench_id({kind_team}, {epoch_ms}, n / {agents_per_team}), pg_temp.bench_id({kind_user}, {epoch_ms}, {customers} + n)
FROM generate_series(0::bigint, {agents} - 1) AS n;
";

const TICKETS: &str = "
INSERT INTO tickets (id, ticket_number, subject, description, created_by, assigned_to, team_id, priority, status,
  channel, first_response_at, resolved_at, closed_at, tags, custom_fields, created_at, updated_at, version,
  public_version, public_updated_at, message_count, public_message_count, last_message_at, public_last_message_at)
SELECT b.id, 'TKT-' || lpad(n::text, greatest(5, length(n::text)), '0'), left(t.body, 60), t.body || pg_temp.bench_words(n), requester, assignee,
       CASE WHEN team IS NOT NULL THEN pg_temp.bench_id({kind_team}, {epoch_ms}, team) END,
       (ARRAY['low', 'medium', 'medium', 'medium', 'medium', 'medium', 'high', 'high', 'high', 'urgent'])[1 + chance % 10]::\"TicketPriority\",
       status::\"TicketStatus\", (ARRAY['web', 'web', 'email', 'chat', 'api'])[1 + chance % 5]::\"TicketChannel\",
       CASE WHEN {messages} > 0 THEN at + (last_at - at) / ({messages} + 1) END,
       CASE WHEN status IN ('resolved', 'closed') THEN last_at END, CASE WHEN status = 'closed' THEN last_at END,
       CASE chance % 3 WHEN 0 THEN '[\"printer\"]' WHEN 1 THEN '[\"invoice\", \"urgent\"]' ELSE '[]' END::jsonb,
       jsonb_build_object('floor', chance % 9), at, changed_at, {messages} + 2, {messages} + 2, changed_at, {messages},
       {messages}, CASE WHEN {messages} > 0 THEN spoken_at END, CASE WHEN {messages} > 0 THEN spoken_at END
FROM bench_tickets b
JOIN bench_texts t ON t.place = n % {texts},
LATERAL (SELECT at + (last_at - at) * {messages} / ({messages} + 1) AS spoken_at) spoken,
LATERAL (SELECT CASE WHEN status IN ('resolved', 'closed') THEN last_at ELSE spoken_at END AS changed_at) changed
ORDER BY n;
SELECT setval('ticket_number_seq', {tickets} + 1);
";

/// The desk answers the requester, in turns.
const MESSAGES: &str = "
INSERT INTO ticket_messages (id, ticket_id, sender_id, message, message_html, created_at, updated_at)
SELECT pg_temp.bench_id({kind_message}, (extract(epoch FROM said_at) * 1000)::bigint, n * {messages} + i), b.id,
       CASE WHEN i % 2 = 0 THEN requester
            ELSE coalesce(assignee, pg_temp.bench_id({kind_user}, {epoch_ms}, {customers} + n % {agents})) END,
       t.body, t.html, said_at, said_at
FROM bench_tickets b
CROSS JOIN generate_series(1::bigint, {messages}) AS i
CROSS JOIN LATERAL (SELECT at + (last_at - at) * i / ({messages} + 1) AS said_at) said
JOIN bench_texts t ON t.place = (n * 31 + i * 17) % {texts}
ORDER BY n, i;
";

const ACTIVITIES: &str = "
INSERT INTO ticket_activities (id, ticket_id, actor_id, action_type, new_value, metadata, created_at)
SELECT pg_temp.bench_id({kind_activity}, (extract(epoch FROM done_at) * 1000)::bigint, n * ({messages} + 1) + i), b.id,
       CASE WHEN i % 2 = 0 THEN requester
            ELSE coalesce(assignee, pg_temp.bench_id({kind_user}, {epoch_ms}, {customers} + n % {agents})) END,
       CASE WHEN i = 0 THEN 'created' ELSE 'message_added' END,
       CASE WHEN i = 0 THEN jsonb_build_object('subject', 'A subject', 'priority', 'medium', 'status', 'open', 'channel', 'web') END,
       CASE WHEN i = 0 THEN '{}' ELSE jsonb_build_object('messageId',
         pg_temp.bench_id({kind_message}, (extract(epoch FROM done_at) * 1000)::bigint, n * {messages} + i)) END,
       done_at
FROM bench_tickets b
CROSS JOIN generate_series(0::bigint, {messages}) AS i
CROSS JOIN LATERAL (SELECT at + (last_at - at) * i / ({messages} + 1) AS done_at) done
ORDER BY n, i;
";

/// As `search_document` would make them, but each text's words once.
const SEARCH: &str = "
CREATE TEMP TABLE bench_text_words AS
  SELECT place, search_words('{english}', left(body, 60), 'A') AS subject, search_words('{english}', body, 'B') AS description,
         search_words('{english}', body, 'C') AS message
  FROM bench_texts;
CREATE UNIQUE INDEX ON bench_text_words (place);
INSERT INTO ticket_search (ticket_id, public_words, languages)
SELECT b.id, t.subject || t.description || search_words('{english}', pg_temp.bench_words(n), 'B')
       || (SELECT pg_temp.bench_document(m.message) FROM generate_series(1::bigint, {messages}) AS i
           JOIN bench_text_words m ON m.place = (n * 31 + i * 17) % {texts}), 'english'
FROM bench_tickets b JOIN bench_text_words t ON t.place = n % {texts}
ORDER BY n;
";

const INDEXES_BACK: &str = "
DO $$
DECLARE definition text;
BEGIN
  FOR definition IN SELECT i.definition FROM bench_indexes i LOOP EXECUTE definition; END LOOP;
END $$;
RESET session_replication_role;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u64) -> u64 {
        number / TEAMS * SLOT_STEP % 100
    }

    #[test]
    fn an_id_has_the_shape_of_a_uuid_v7_and_the_order_of_time() {
        assert_eq!(
            id(3, 0x0123_4567_89ab, 255),
            "01234567-89ab-7003-8000-0000000000ff"
        );
        let population = Population::new(100_000, 5, 1_800_000_000_000);
        assert!(population.ticket(1) < population.ticket(2));
        assert!(population.ticket(9) < population.ticket(100_000));
    }

    #[test]
    fn what_can_be_replied_to_is_not_closed() {
        let population = Population::new(100_000, 5, 1_800_000_000_000);
        let numbers: Vec<u64> = (0..population.hundreds() * 100)
            .map(|place| place * TEAMS + BENCH_TEAM)
            .collect();
        let unclosed: Vec<String> = numbers
            .iter()
            .filter(|number| slot(**number) >= RESOLVED_FROM)
            .map(|number| population.ticket(*number))
            .collect();
        assert_eq!(unclosed.len() * 10, numbers.len() * 3);
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!(unclosed.contains(&population.any_unclosed(&mut random)));
        }
    }
}

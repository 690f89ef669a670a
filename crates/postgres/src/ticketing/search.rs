//! Full-text search.
//!
//! Each ticket has a row in `ticket_search` with the words of its texts, once as its requester may read them and, where there
//! is internal text, once as staff may. Whoever writes a text, a contract's other client too, leaves the ticket's id in
//! `ticket_search_queue` (by trigger, in the same transaction); [`PgSearch::take_up`] makes the words anew.
//!
//! A search has two ways. The rarer its words, the better the text index, whose matches are then looked up one by one; the
//! more common, the better a walk through the newest tickets that looks whether each fits. What the planner knows of the
//! words decides, so that neither way ever does much more than the other would have. Ranking looks at the newest
//! [`RANKED_MAX_TICKETS`] matches alone.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use kernel::{MessageId, Page, PortError};
use serde_json::{Value, json};
use ticketing::{
    Audience, COUNT_EXACT_MAX_ROWS, Count, Excerpt, Hit, Part, RANKED_MAX_TICKETS, Run, Scope, SearchIndex,
    SearchOrder, SearchPosition, SearchQuery, SearchText, Sort, TicketQuery, Wanted,
};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::sql::Sql;

use super::rows::{NumberRow, TicketRow};
use super::{PORT, counts, list};

/// Excerpts are taken from so many of a ticket's newest messages and notes each.
const EXCERPTED_MAX_MESSAGES: i64 = 20;
/// The most excerpts of a ticket.
const EXCERPTS_MAX: usize = 5;
/// Of a longer text, excerpts are taken from the beginning.
const EXCERPTED_MAX_CHARS: i32 = 10_000;
/// Words are taken from so many characters of a ticket's newest messages, and of its newest internal texts.
const INDEXED_MAX_CHARS: i32 = 200_000;
/// The advisory lock of who takes texts up: two who knew different texts could undo each other's work.
const TAKE_UP_LOCK: i64 = 5_213_847_115_009_442_901;

/// What an excerpt's matches stand between: characters for private use, which are taken out of the texts before.
const MATCH_BEGINS: char = '\u{E000}';
const MATCH_ENDS: char = '\u{E001}';

/// Search in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgSearch {
    database: Database,
    languages: Vec<String>,
}

impl PgSearch {
    /// The index of this database, for texts in these languages: names of PostgreSQL's text search configurations. Words are
    /// always found as they stand, too.
    #[must_use]
    pub fn new(database: Database, languages: Vec<String>) -> Self {
        Self { database, languages }
    }

    /// The search in PostgreSQL's words; `None` when it holds nothing that can be found.
    async fn compiled(&self, text: &SearchText) -> Result<Option<Compiled>, Failure> {
        let query = |part: Option<Part>, excluded: Option<bool>| {
            Sql::new("search_query(")
                .bind(self.languages.clone())
                .push(", ")
                .bind(terms(text, part, excluded))
                .push(")")
        };
        let mut sql = Sql::new(
            "SELECT q.query::text AS query, search_estimate(q.query) AS estimate, \
             (SELECT greatest(reltuples, 1)::bigint FROM pg_class WHERE oid = 'ticket_search'::regclass) AS documents",
        );
        for (part, columns) in Part::ALL.into_iter().zip(PART_COLUMNS) {
            for (excluded, column) in [false, true].into_iter().zip(columns) {
                sql = sql
                    .push(", ")
                    .append(query(Some(part), Some(excluded)))
                    .push("::text AS ")
                    .push(column);
            }
        }
        let sql = sql
            .push(" FROM (SELECT ")
            .append(query(None, None))
            .push(" AS query) q");
        let row = self
            .database
            .run(async |connection| sql.clone().get_result::<CompiledRow>(connection).await)
            .await?;
        let CompiledRow {
            query,
            estimate,
            documents,
            subject,
            not_subject,
            description,
            not_description,
            message,
            not_message,
            internal,
            not_internal,
        } = row;
        let parts = [
            (PART_LABELS[0], subject, not_subject),
            (PART_LABELS[1], description, not_description),
            (PART_LABELS[2], message, not_message),
            (PART_LABELS[3], internal, not_internal),
        ];
        let compiled = Compiled {
            query,
            parts: parts.into(),
            estimate,
            documents,
        };
        Ok((!compiled.is_empty()).then_some(compiled))
    }

    async fn found(&self, scope: &Scope, query: &SearchQuery) -> Result<Vec<FoundRow>, Failure> {
        let list = listed(query);
        let rows = query.limit.rows_and_one();
        let compiled = if query.text.terms.is_empty() {
            Compiled::default()
        } else {
            match self.compiled(&query.text).await? {
                Some(compiled) => compiled,
                None => return Ok(Vec::new()),
            }
        };
        let sql = match query.order {
            SearchOrder::By(sort) => {
                let order = match sort.direction {
                    ticketing::Direction::NewestFirst => " ORDER BY page.at DESC, page.id DESC",
                    ticketing::Direction::OldestFirst => " ORDER BY page.at, page.id",
                };
                Sql::new("SELECT t.")
                    .push(list::columns_of_t())
                    .push(", 0::bigint AS score FROM (")
                    .append(compiled.places(scope, &list, rows))
                    .push(") page JOIN tickets t ON t.id = page.id")
                    .push(order)
            }
            SearchOrder::Relevance => {
                let mut sql = Sql::new("SELECT t.")
                    .push(list::columns_of_t())
                    .push(", page.score FROM (SELECT c.id, ")
                    .append(compiled.score(scope.audience()))
                    .push(" AS score FROM (")
                    .append(compiled.places(scope, &list, RANKED_MAX_TICKETS))
                    .push(") c LEFT JOIN ticket_search s ON s.ticket_id = c.id) page JOIN tickets t ON t.id = page.id");
                if let Some(SearchPosition::Ranked { score, ticket }) = query.after {
                    sql = sql
                        .push(" WHERE (page.score, page.id) < (")
                        .bind(score)
                        .push(", ")
                        .bind(ticket)
                        .push(")");
                }
                sql.push(" ORDER BY page.score DESC, page.id DESC LIMIT ")
                    .bind(rows)
            }
        };
        self.database
            .run(async |connection| sql.clone().load::<FoundRow>(connection).await)
            .await
    }

    /// Where the search's words stand in these tickets.
    async fn excerpts(
        &self,
        tickets: &[Uuid],
        text: &SearchText,
        audience: Audience,
    ) -> Result<Vec<ExcerptRow>, Failure> {
        let asked = text.terms.iter().any(|term| !term.excluded);
        if tickets.is_empty() || !asked {
            return Ok(Vec::new());
        }
        let language = self.languages.as_slice().first().map_or("simple", String::as_str);
        let headline = |column: &'static str, options: &'static str| {
            Sql::new("ts_headline(")
                .bind(language)
                .push("::regconfig, left(translate(")
                .push(column)
                .push(", E'\\uE000\\uE001', ''), ")
                .bind(EXCERPTED_MAX_CHARS)
                .push("), q.query, ")
                .push(options)
                .push(")")
        };
        const WHOLE: &str = "E'StartSel=\\uE000, StopSel=\\uE001, HighlightAll=true'";
        const PIECE: &str =
            "E'StartSel=\\uE000, StopSel=\\uE001, MaxWords=30, MinWords=12, ShortWord=0, MaxFragments=1'";
        let recent = |columns: &'static str, table: &'static str| {
            Sql::new(" CROSS JOIN LATERAL (SELECT ")
                .push(columns)
                .push(" FROM ")
                .push(table)
                .push(" WHERE ticket_id = t.id ORDER BY created_at DESC, id DESC LIMIT ")
                .bind(EXCERPTED_MAX_MESSAGES)
                .push(") m")
        };
        let messages = match audience {
            Audience::Customer => "public_messages",
            Audience::Staff => "ticket_messages",
        };
        // Where the subject says it all, or subject and description do, nothing else is looked through.
        let said_in = |label: &'static str| {
            Sql::new("coalesce(ts_filter(")
                .push(words(audience))
                .push(", ")
                .push(label)
                .push(") @@ q.query, false)")
        };
        let mut sql = Sql::new("WITH q AS MATERIALIZED (SELECT search_query(")
            .bind(self.languages.clone())
            .push(", ")
            .bind(terms(text, None, Some(false)))
            .push(") AS query), t AS MATERIALIZED (SELECT t.id, t.subject, t.description, ")
            .append(said_in("'{a}'"))
            .push(" AS in_subject, ")
            .append(said_in("'{a,b}'"))
            .push(
                " AS in_head FROM q CROSS JOIN tickets t LEFT JOIN ticket_search s ON s.ticket_id = t.id \
                 WHERE t.id = ANY(",
            )
            .bind(tickets.to_vec())
            .push(")) SELECT t.id, 0::smallint AS place, NULL::uuid AS message, ")
            .append(headline("t.subject", WHOLE))
            .push(" AS text FROM t, q UNION ALL SELECT t.id, 1::smallint, NULL::uuid, ")
            .append(headline("t.description", PIECE))
            .push(
                " FROM t, q WHERE NOT t.in_subject \
                 UNION ALL SELECT t.id, CASE WHEN m.is_internal THEN 3 ELSE 2 END::smallint, m.id, ",
            )
            .append(headline("m.message", PIECE))
            .push(" FROM q, t")
            .append(recent("id, message, is_internal", messages))
            .push(" WHERE NOT t.in_head");
        if audience == Audience::Staff {
            sql = sql
                .push(" UNION ALL SELECT t.id, 3::smallint, NULL::uuid, ")
                .append(headline("m.message", PIECE))
                .push(" FROM q, t")
                .append(recent("id, message", "ticket_notes"))
                .push(" WHERE NOT t.in_head");
        }
        self.database
            .run(async |connection| sql.clone().load::<ExcerptRow>(connection).await)
            .await
    }
}

const PART_LABELS: [&str; 4] = ["'{a}'", "'{b}'", "'{c}'", "'{d}'"];
const PART_COLUMNS: [[&str; 2]; 4] = [
    ["subject", "not_subject"],
    ["description", "not_description"],
    ["message", "not_message"],
    ["internal", "not_internal"],
];

/// The terms as `search_query` takes them. All parts': what is wanted anywhere and what must be nowhere, and of what one
/// part must have that the document has it. A part's: what it must have, or must not.
fn terms(text: &SearchText, part: Option<Part>, excluded: Option<bool>) -> Value {
    let fits = |term: &&ticketing::SearchTerm| match part {
        Some(_) => term.part == part && Some(term.excluded) == excluded,
        None => {
            let elsewhere = term.part.is_some() && term.excluded;
            !elsewhere && excluded.is_none_or(|wanted| wanted == term.excluded)
        }
    };
    let term = |term: &ticketing::SearchTerm| {
        let (kind, words) = match &term.wanted {
            Wanted::Word(words) => ("word", words),
            Wanted::Phrase(words) => ("phrase", words),
            Wanted::Prefix(words) => ("prefix", words),
        };
        let excluded = part.is_none() && term.excluded;
        json!({ "words": words, "kind": kind, "excluded": excluded })
    };
    text.terms.iter().filter(fits).map(term).collect()
}

/// The search as a list without its text.
fn listed(query: &SearchQuery) -> TicketQuery {
    let sort = match query.order {
        SearchOrder::Relevance => Sort::default(),
        SearchOrder::By(sort) => sort,
    };
    let after = match query.after {
        Some(SearchPosition::Timed(position)) => Some(position),
        Some(SearchPosition::Ranked { .. }) | None => None,
    };
    TicketQuery {
        filter: query.filter.clone(),
        sort,
        after,
        limit: query.limit,
        include_deleted: false,
    }
}

/// A search in PostgreSQL's words.
#[derive(Default)]
struct Compiled {
    /// A `tsquery` of the whole document; empty for every document.
    query: String,
    /// The label of a part, what it must have, and what of it must not be there; each may be empty.
    parts: Vec<(&'static str, String, String)>,
    /// How many documents the planner believes to fit.
    estimate: i64,
    /// How many documents there are.
    documents: i64,
}

/// The words of the document `s` that an audience may read.
fn words(audience: Audience) -> &'static str {
    match audience {
        Audience::Customer => "s.public_words",
        Audience::Staff => "coalesce(s.staff_words, s.public_words)",
    }
}

impl Compiled {
    fn is_empty(&self) -> bool {
        let of_parts = |(_, wanted, excluded): &(_, String, String)| wanted.is_empty() && excluded.is_empty();
        self.query.is_empty() && self.parts.iter().all(of_parts)
    }

    /// What the parts ask of the document `s`, each as a condition that begins with `AND`.
    fn of_parts(&self, audience: Audience) -> Sql {
        let mut sql = Sql::default();
        for (label, wanted, excluded) in &self.parts {
            for (query, opposite) in [(wanted, " AND "), (excluded, " AND NOT ")] {
                if !query.is_empty() {
                    sql = sql
                        .push(opposite)
                        .push("ts_filter(")
                        .push(words(audience))
                        .push(", ")
                        .push(label)
                        .push(") @@ ")
                        .bind(query.as_str())
                        .push("::tsquery");
                }
            }
        }
        sql
    }

    /// Whether to walk through the newest tickets for `rows` that fit, rather than to look up every match: each walk of the
    /// list takes about `rows * documents / estimate` steps, the other way `estimate` look-ups in all.
    fn is_common(&self, rows: i64, walks: i64) -> bool {
        let steps_by_estimate = rows.saturating_mul(walks).saturating_mul(self.documents);
        self.query.is_empty()
            || self.estimate.saturating_mul(self.estimate)
                > steps_by_estimate.saturating_mul(LOOK_UPS_PER_STEP)
    }

    /// The first `rows` of the list that fit, as `at` and `id`.
    fn places(&self, scope: &Scope, list: &TicketQuery, rows: i64) -> Sql {
        let audience = scope.audience();
        if self.is_empty() {
            return list::places(scope, list, &Sql::default(), rows);
        }
        if self.is_common(rows, list::walk_count(scope, list)) {
            return list::places(scope, list, &self.fits(audience), rows);
        }
        let sql = self.looked_up("SELECT DISTINCT p.at, p.id", scope, list);
        let newest_first = list.sort.direction == ticketing::Direction::NewestFirst;
        sql.push(if newest_first {
            " ORDER BY p.at DESC, p.id DESC"
        } else {
            " ORDER BY p.at, p.id"
        })
        .push(" LIMIT ")
        .bind(rows)
    }

    /// Some `rows` of the list that fit, no matter which; fewer only when there are no more.
    fn some(&self, scope: &Scope, list: &TicketQuery, rows: i64) -> Sql {
        // Here one walk follows the other, and the last may stop where there are enough.
        if self.is_common(rows, 1) {
            let fits = self.fits(scope.audience());
            return counts::some_of("SELECT 1 FROM (", scope, &list.filter, &fits, rows);
        }
        self.looked_up("SELECT 1", scope, list).push(" LIMIT ").bind(rows)
    }

    /// Whether the document of a ticket fits, as a condition on `tickets` that begins with `AND`.
    fn fits(&self, audience: Audience) -> Sql {
        let sql = Sql::new(" AND (SELECT ");
        let sql = if self.query.is_empty() {
            sql.push("true")
        } else {
            sql.push(words(audience))
                .push(" @@ ")
                .bind(self.query.as_str())
                .push("::tsquery")
        };
        sql.append(self.of_parts(audience))
            .push(" FROM ticket_search s WHERE s.ticket_id = tickets.id)")
    }

    /// What is selected of every match that is in the list, which is `p`.
    fn looked_up(&self, select: &'static str, scope: &Scope, list: &TicketQuery) -> Sql {
        // By itself: where only some are asked for, the planner would rather unpack one document after the other.
        Sql::new("WITH found AS MATERIALIZED (")
            .append(self.matches(scope.audience()))
            .push(") ")
            .push(select)
            .push(" FROM found CROSS JOIN LATERAL (")
            .append(list::place_of("found.ticket_id", scope, list))
            .push(" OFFSET 0) p")
    }

    /// The tickets whose documents fit, by the text index.
    fn matches(&self, audience: Audience) -> Sql {
        let query = || Sql::default().bind(self.query.as_str()).push("::tsquery");
        let sql = Sql::new("SELECT s.ticket_id FROM ticket_search s WHERE ");
        let sql = match audience {
            Audience::Customer => sql.push("s.public_words @@ ").append(query()),
            // Apart, so that the index alone decides: under an OR each match is unpacked and looked at once more.
            Audience::Staff => sql
                .push("s.staff_words IS NULL AND s.public_words @@ ")
                .append(query())
                .append(self.of_parts(audience))
                .push(" UNION ALL SELECT s.ticket_id FROM ticket_search s WHERE s.staff_words @@ ")
                .append(query()),
        };
        sql.append(self.of_parts(audience))
    }

    /// How well the document `s` fits, in millionths.
    fn score(&self, audience: Audience) -> Sql {
        if self.query.is_empty() {
            return Sql::new("0::bigint");
        }
        Sql::new("coalesce(round(1e6 * ts_rank(")
            .push(WEIGHTS)
            .push(", ")
            .push(words(audience))
            .push(", ")
            .bind(self.query.as_str())
            .push("::tsquery, 1))::bigint, 0)")
    }
}

/// How many matches are looked up in the time of one step of a walk, which unpacks a document's words: measured with
/// documents of six texts.
const LOOK_UPS_PER_STEP: i64 = 4;
/// What a word weighs in internal text, messages, description and subject.
const WEIGHTS: &str = "'{0.1, 0.1, 0.2, 1.0}'";

#[async_trait]
impl SearchIndex for PgSearch {
    async fn search(
        &self,
        scope: &Scope,
        query: &SearchQuery,
    ) -> Result<Page<Hit, SearchPosition>, PortError> {
        let audience = scope.audience();
        let rows = self
            .found(scope, query)
            .await
            .map_err(|failure| failure.at(PORT))?;
        let mut hits = Vec::with_capacity(rows.len());
        for FoundRow { ticket, score } in rows {
            hits.push(Hit {
                ticket: ticket.into_ticket()?,
                score,
                excerpts: Vec::new(),
            });
        }
        let mut page = Page::from_rows(hits, query.limit, |hit| match query.order {
            SearchOrder::Relevance => SearchPosition::Ranked {
                score: hit.score,
                ticket: hit.ticket.id,
            },
            SearchOrder::By(sort) => SearchPosition::Timed(list::position(&hit.ticket, sort.key, audience)),
        });
        let ids: Vec<Uuid> = page.items.iter().map(|hit| hit.ticket.id.0).collect();
        let excerpts = self.excerpts(&ids, &query.text, audience).await;
        for row in excerpts.map_err(|failure| failure.at(PORT))? {
            let Some(hit) = page.items.iter_mut().find(|hit| hit.ticket.id.0 == row.id) else {
                continue;
            };
            hit.excerpts.extend(row.into_excerpt());
        }
        for hit in &mut page.items {
            hit.excerpts.sort_by_key(|excerpt| excerpt.part);
            hit.excerpts.truncate(EXCERPTS_MAX);
        }
        Ok(page)
    }

    async fn count_found(&self, scope: &Scope, query: &SearchQuery) -> Result<Count, PortError> {
        let list = TicketQuery {
            after: None,
            ..listed(query)
        };
        let counted = async {
            if query.text.terms.is_empty() {
                return list::count(&self.database, scope, &list).await;
            }
            let Some(compiled) = self.compiled(&query.text).await? else {
                return Ok(Count::Exact(0));
            };
            let rows = COUNT_EXACT_MAX_ROWS + 1;
            let some = Sql::new("SELECT FROM (")
                .append(compiled.some(scope, &list, rows))
                .push(") found");
            let counted = list::count_of(&self.database, some).await?;
            if counted <= COUNT_EXACT_MAX_ROWS {
                return Ok(Count::Exact(counted));
            }
            Ok(Count::Estimate(compiled.estimate.max(counted)))
        };
        counted.await.map_err(|failure: Failure| failure.at(PORT))
    }

    async fn take_up(&self, tickets_max: i64) -> Result<u64, PortError> {
        let lock = Sql::new("SELECT pg_advisory_xact_lock(")
            .bind(TAKE_UP_LOCK)
            .push(")");
        let languages = self.languages.join(",");
        // Behind the lock, so that the statement sees what the one before it did. A ticket that was queued again since
        // the statement began has another row, for the next round.
        let sql = Sql::new(
            "WITH waiting AS (SELECT DISTINCT ticket_id FROM \
               (SELECT ticket_id FROM ticket_search_queue ORDER BY number LIMIT ",
        )
        .bind(tickets_max)
        .push(
            ") oldest), outdated AS (SELECT ticket_id FROM ticket_search WHERE languages < ",
        )
        .bind(languages.as_str())
        .push(" OR languages > ")
        .bind(languages.as_str())
        .push(" LIMIT ")
        .bind(tickets_max)
        .push(
            "), chosen AS (SELECT ticket_id FROM waiting UNION SELECT ticket_id FROM outdated), \
             done AS (DELETE FROM ticket_search_queue q USING waiting w WHERE q.ticket_id = w.ticket_id), \
             texts AS (SELECT t.id, t.subject, t.description, \
               (SELECT left(string_agg(m.message, E'\\n' ORDER BY m.created_at DESC, m.id DESC), ",
        )
        .bind(INDEXED_MAX_CHARS)
        .push(
            ") FROM ticket_messages m WHERE m.ticket_id = t.id AND NOT m.is_internal) AS messages, \
               (SELECT left(string_agg(i.message, E'\\n' ORDER BY i.created_at DESC, i.id DESC), ",
        )
        .bind(INDEXED_MAX_CHARS)
        .push(
            ") FROM (SELECT id, message, created_at FROM ticket_messages WHERE ticket_id = t.id AND is_internal \
               UNION ALL SELECT id, message, created_at FROM ticket_notes WHERE ticket_id = t.id) i) AS internal \
               FROM chosen c JOIN tickets t ON t.id = c.ticket_id), \
             made AS (INSERT INTO ticket_search AS s (ticket_id, public_words, staff_words, languages) \
               SELECT id, search_document(",
        )
        .bind(self.languages.clone())
        .push(
            ", subject, description, coalesce(messages, ''), ''), \
               CASE WHEN internal IS NOT NULL THEN search_document(",
        )
        .bind(self.languages.clone())
        .push(", subject, description, coalesce(messages, ''), internal) END, ")
        .bind(languages.as_str())
        .push(
            " FROM texts ON CONFLICT (ticket_id) DO UPDATE SET public_words = excluded.public_words, \
               staff_words = excluded.staff_words, languages = excluded.languages) \
             SELECT count(*) AS number FROM chosen",
        );
        let done = self.database.row_behind::<NumberRow>(Some(&lock), &sql).await;
        let NumberRow { number } = done.map_err(|failure| failure.at(PORT))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

#[derive(QueryableByName)]
struct CompiledRow {
    #[diesel(sql_type = Text)]
    query: String,
    #[diesel(sql_type = BigInt)]
    estimate: i64,
    #[diesel(sql_type = BigInt)]
    documents: i64,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    not_subject: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Text)]
    not_description: String,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Text)]
    not_message: String,
    #[diesel(sql_type = Text)]
    internal: String,
    #[diesel(sql_type = Text)]
    not_internal: String,
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(embed)]
    ticket: TicketRow,
    #[diesel(sql_type = BigInt)]
    score: i64,
}

#[derive(QueryableByName)]
struct ExcerptRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = diesel::sql_types::SmallInt)]
    place: i16,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    message: Option<Uuid>,
    #[diesel(sql_type = Text)]
    text: String,
}

impl ExcerptRow {
    /// The excerpt, where there is a match in it.
    fn into_excerpt(self) -> Option<Excerpt> {
        let part = *Part::ALL.get(usize::try_from(self.place).ok()?)?;
        let runs = runs(&self.text);
        runs.iter().any(|run| run.is_match).then_some(Excerpt {
            part,
            message: self.message.map(MessageId),
            runs,
        })
    }
}

/// A headline cut at its marks.
fn runs(headline: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut push = |text: &str, is_match| {
        if !text.is_empty() {
            runs.push(Run {
                text: text.to_owned(),
                is_match,
            });
        }
    };
    let mut rest = headline;
    while let Some((before, marked)) = rest.split_once(MATCH_BEGINS) {
        push(before, false);
        let (matched, after) = marked.split_once(MATCH_ENDS).unwrap_or((marked, ""));
        push(matched, true);
        rest = after;
    }
    push(rest, false);
    runs
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::SequentialIds;
    use ticketing::{SearchTerm, SearchText};

    use super::super::list::PlanRow;
    use super::super::tests::{nodes, world};
    use super::*;
    use crate::testing::own::test_database;

    fn word(word: &str) -> SearchText {
        SearchText {
            terms: vec![SearchTerm {
                wanted: Wanted::Word(word.to_owned()),
                part: None,
                excluded: false,
            }],
        }
    }

    /// How many documents a statement looks at.
    async fn looked_at(database: &Database, sql: Sql) -> f64 {
        let sql = Sql::new("EXPLAIN (ANALYZE, FORMAT JSON) ").append(sql);
        let row = database
            .run(async |connection| sql.clone().get_result::<PlanRow>(connection).await)
            .await;
        let plan = row.unwrap().plan;
        let all = nodes(plan.pointer("/0/Plan").unwrap());
        let mut documents = 0.0;
        for node in all {
            assert_ne!(node["Node Type"], "Seq Scan", "{plan:#}");
            if node["Relation Name"] == "ticket_search" {
                let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
                let rows = number("Actual Rows") + number("Rows Removed by Filter");
                documents += rows * number("Actual Loops");
            }
        }
        documents
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_search_looks_at_few_documents_however_common_the_word() {
        let test = test_database().await;
        let ids = Arc::new(SequentialIds::default());
        let world = world(&test, &ids).await;
        test.batch(&format!(
            "INSERT INTO tickets (ticket_number, subject, description, created_by, team_id, status, updated_at) \
             SELECT 'S-' || n, 'Printer', CASE WHEN n % 500 = 0 THEN 'quetzal' ELSE 'text' END, '{}', \
               CASE n % 10 WHEN 0 THEN '{}'::uuid ELSE '{}'::uuid END, \
               (ARRAY['open', 'pending', 'resolved', 'closed'])[1 + n % 4]::\"TicketStatus\", now() - n * interval '1 minute' \
             FROM generate_series(1, 3000) AS n",
            world.customer, world.team, world.other_team
        ))
        .await;
        let search = PgSearch::new(test.database().clone(), vec!["english".to_owned()]);
        while search.take_up(1_000).await.unwrap() > 0 {}
        test.batch("VACUUM ANALYZE ticket_search").await;
        test.batch("ANALYZE tickets").await;
        let list = TicketQuery::default();
        let work = Scope::WorkOf {
            agent: world.agent,
            teams: vec![world.team],
        };
        for scope in [Scope::Desk, work, Scope::Customer(world.customer)] {
            let common = search.compiled(&word("printer")).await.unwrap().unwrap();
            assert!(
                common.is_common(26, list::walk_count(&scope, &list)),
                "{}",
                common.estimate
            );
            let documents = looked_at(test.database(), common.places(&scope, &list, 26)).await;
            // A page for each walk: of each status, of the team and of the triage queue.
            assert!(documents <= 26.0 * 12.0, "{scope:?}: {documents}");
            let rare = search.compiled(&word("quetzals")).await.unwrap().unwrap();
            assert!(!rare.is_common(26, 1), "{}", rare.estimate);
            let documents = looked_at(test.database(), rare.places(&scope, &list, 26)).await;
            assert!(documents <= 2.0 * 6.0, "{scope:?}: {documents}");
        }
    }

    #[test]
    fn a_headline_is_cut_at_its_marks() {
        let run = |text: &str, is_match| Run {
            text: text.to_owned(),
            is_match,
        };
        assert_eq!(runs(""), []);
        assert_eq!(
            runs("a \u{E000}b\u{E001}\u{E000}c\u{E001} d"),
            [run("a ", false), run("b", true), run("c", true), run(" d", false)]
        );
        assert_eq!(runs("\u{E000}b"), [run("b", true)]);
    }
}

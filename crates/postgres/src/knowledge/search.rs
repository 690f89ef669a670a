//! Searching articles in PostgreSQL: by their words, how rare those are and where they stand.

use async_trait::async_trait;
use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types as types;
use kernel::PortError;
use knowledge::{
    Alternative, Hit, Language, Run, Search, SearchReport, SearchStore, Searched, SearchedOften, Spellings,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::articles::{CARD, CardRow};
use crate::Database;
use crate::sql::Sql;

const PORT: &str = "article search";

/// The words of published articles in PostgreSQL, and what readers searched for.
#[derive(Debug, Clone)]
pub struct PgArticleSearch {
    database: Database,
}

impl PgArticleSearch {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// An article that was found.
#[derive(QueryableByName)]
struct HitRow {
    #[diesel(embed)]
    card: CardRow,
    #[diesel(sql_type = types::Text)]
    marked_title: String,
    #[diesel(sql_type = types::Text)]
    marked_pieces: String,
}

/// The most words of a search that count; the rest is left out.
const WORDS_MAX: i64 = 16;
/// How many articles are looked at closely: all that have one of the rarest words, until there are so many.
const CANDIDATES_MAX: i64 = 600;
/// Of how many the words' closeness to each other is looked at.
const CLOSE_MAX: i64 = 50;
/// How many characters of a text are looked through for pieces to show.
const SHOWN_MAX_CHARS: i32 = 20_000;
/// What a word is worth in the text, nowhere, in a heading and in the title. Measured with the judged queries of a help centre; see the
/// bound that the tests hold.
const WORTH: &str = "array[0.3, 0.2, 0.6, 1.0]::float4[]";

/// Before and behind what was searched for, in a marked text. Texts have neither of them.
const MARKS: [char; 2] = ['\u{E000}', '\u{E001}'];

/// The runs of a marked text.
fn runs(marked: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut is_match = false;
    for text in marked.split(MARKS) {
        if !text.is_empty() {
            let text = text.to_owned();
            runs.push(Run { text, is_match });
        }
        is_match = !is_match;
    }
    runs
}

/// The most words that are corrected.
const STRANGE_MAX: i64 = 4;
/// The most words that are told to be like one.
const LIKE_MAX: i64 = 12;
/// The most words that are told to begin like one.
const COMPLETIONS_MAX: i64 = 20;
/// How many different texts of searches are kept of a day; others of that day are not counted.
const TEXTS_OF_A_DAY_MAX: i64 = 10_000;
/// How long it is kept what was searched for.
const KEPT_DAYS: i32 = 366;
/// How many texts a report shows of each kind.
const OFTEN_MAX: i64 = 50;

/// A word that is like one of those that were asked for; without a place, it begins like the one that was begun.
#[derive(QueryableByName)]
struct TermRow {
    #[diesel(sql_type = types::Nullable<types::BigInt>)]
    place: Option<i64>,
    #[diesel(sql_type = types::Text)]
    term: String,
}

/// How often something was searched for; without a text, all together.
#[derive(QueryableByName)]
struct OftenRow {
    #[diesel(sql_type = types::Bool)]
    is_by_misses: bool,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    query: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    language: Option<String>,
    #[diesel(sql_type = types::BigInt)]
    searches: i64,
    #[diesel(sql_type = types::BigInt)]
    found_nothing: i64,
}

#[async_trait]
impl SearchStore for PgArticleSearch {
    async fn find(&self, search: &Search) -> Result<Vec<Hit>, PortError> {
        let rows: Vec<HitRow> = self.database.rows(PORT, found(search)).await?;
        let hit = |HitRow {
                       card,
                       marked_title,
                       marked_pieces,
                   }| Hit {
            card: card.into_card(),
            title: runs(&marked_title),
            pieces: runs(&marked_pieces),
        };
        Ok(rows.into_iter().map(hit).collect())
    }

    async fn spellings(
        &self,
        language: &Language,
        words: &[String],
        begun: Option<&str>,
    ) -> Result<Spellings, PortError> {
        let rows: Vec<TermRow> = self
            .database
            .rows(PORT, spellings(language, words, begun))
            .await?;
        let mut known = Spellings {
            like: vec![Vec::new(); words.len()],
            completions: Vec::new(),
        };
        for TermRow { place, term } in rows {
            let Some(place) = place else {
                known.completions.push(term);
                continue;
            };
            let place = usize::try_from(place).unwrap_or(0);
            if let Some(like) = known.like.get_mut(place.wrapping_sub(1)) {
                like.push(term);
            }
        }
        Ok(known)
    }

    async fn add_searches(&self, searches: &[(Searched, u32)]) -> Result<(), PortError> {
        let row = |(searched, count): &(Searched, u32)| {
            let Searched {
                day,
                language,
                text,
                has_hits,
            } = searched;
            json!({ "day": day, "language": language.as_str(), "query": text, "searches": count,
                "found_nothing": if *has_hits { 0 } else { *count } })
        };
        let rows = Value::Array(searches.iter().map(row).collect());
        // Nodes that add to the same texts lock them in one order.
        let sql = Sql::new(
            "WITH r AS MATERIALIZED (SELECT day, language, query, sum(searches) AS searches, sum(found_nothing) AS found_nothing \
             FROM jsonb_to_recordset(",
        )
        .bind(rows)
        .push(
            ") AS r (day date, language text, query text, searches bigint, found_nothing bigint) GROUP BY 1, 2, 3), \
             room AS MATERIALIZED (SELECT d.day, ",
        )
        .bind(TEXTS_OF_A_DAY_MAX)
        .push(
            " - (SELECT count(*) FROM kb_searches s WHERE s.day = d.day) AS rows FROM (SELECT DISTINCT day FROM r) d), \
             fits AS MATERIALIZED (SELECT r.*, s.day IS NOT NULL AS is_there, row_number() OVER (PARTITION BY r.day \
               ORDER BY s.day IS NOT NULL, r.searches DESC, r.query) AS number \
               FROM r LEFT JOIN kb_searches s USING (day, language, query)), \
             forgotten AS (DELETE FROM kb_searches WHERE day < (SELECT max(day) FROM r) - ",
        )
        .bind(KEPT_DAYS)
        .push(
            ") INSERT INTO kb_searches AS t (day, language, query, searches, found_nothing) \
             SELECT f.day, f.language, f.query, f.searches, f.found_nothing FROM fits f JOIN room ON room.day = f.day \
               WHERE f.is_there OR f.number <= room.rows ORDER BY 1, 2, 3 \
             ON CONFLICT (day, language, query) DO UPDATE SET searches = t.searches + excluded.searches, \
               found_nothing = t.found_nothing + excluded.found_nothing",
        );
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn searches(&self, from: NaiveDate, to: NaiveDate) -> Result<SearchReport, PortError> {
        let sql = Sql::new(
            "WITH s AS MATERIALIZED (SELECT language, query, sum(searches)::bigint AS searches, sum(found_nothing)::bigint AS found_nothing \
             FROM kb_searches WHERE day BETWEEN ",
        )
        .bind(from)
        .push(" AND ")
        .bind(to)
        .push(
            " GROUP BY 1, 2) (SELECT false AS is_by_misses, NULL AS query, NULL AS language, coalesce(sum(searches), 0)::bigint AS searches, \
             coalesce(sum(found_nothing), 0)::bigint AS found_nothing FROM s) \
             UNION ALL (SELECT false, query, language, searches, found_nothing FROM s ORDER BY searches DESC, query, language LIMIT ",
        )
        .bind(OFTEN_MAX)
        .push(
            ") UNION ALL (SELECT true, query, language, searches, found_nothing FROM s WHERE found_nothing > 0 \
             ORDER BY found_nothing DESC, query, language LIMIT ",
        )
        .bind(OFTEN_MAX)
        .push(")");
        let rows: Vec<OftenRow> = self.database.rows(PORT, sql).await?;
        let mut report = SearchReport::default();
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        for row in rows {
            let (searches, without_hits) = (count(row.searches), count(row.found_nothing));
            let (Some(text), Some(language)) = (row.query, row.language) else {
                (report.searches, report.without_hits) = (searches, without_hits);
                continue;
            };
            let often = SearchedOften {
                text,
                language: Language::stored(language),
                searches,
                without_hits,
            };
            if row.is_by_misses {
                report.most_missed.push(often);
            } else {
                report.most_searched.push(often);
            }
        }
        // A union has no order of its own.
        report
            .most_searched
            .sort_by(|a, b| (b.searches, &a.text).cmp(&(a.searches, &b.text)));
        report
            .most_missed
            .sort_by(|a, b| (b.without_hits, &a.text).cmp(&(a.without_hits, &b.text)));
        Ok(report)
    }
}

/// Words of published articles that are like those that none of them has, and those that begin like the one that was begun.
fn spellings(language: &Language, words: &[String], begun: Option<&str>) -> Sql {
    let language = language.as_str();
    let has = |sql: Sql, word: &'static str| {
        sql.push("EXISTS (SELECT FROM kb_articles a WHERE a.status = 'published' AND a.language = ")
            .bind(language)
            .push(" AND a.words @@ plainto_tsquery(q.config, ")
            .push(word)
            .push("))")
    };
    let sql = Sql::new("WITH q AS MATERIALIZED (SELECT kb_config(")
        .bind(language)
        .push(") AS config), strange AS MATERIALIZED (SELECT w.word, w.place FROM q, unnest(")
        .bind(words.to_vec())
        .push(") WITH ORDINALITY AS w (word, place) WHERE numnode(plainto_tsquery(q.config, w.word)) > 0 AND NOT ");
    let sql = has(sql, "w.word")
        .push(" ORDER BY w.place LIMIT ")
        .bind(STRANGE_MAX)
        .push(
            "), alike AS MATERIALIZED (SELECT s.place, t.term, t.likeness FROM strange s, LATERAL (SELECT term, \
             similarity(term, s.word) AS likeness FROM kb_terms WHERE term % s.word AND language = ",
        )
        .bind(language)
        .push(" ORDER BY likeness DESC, term LIMIT ")
        .bind(LIKE_MAX)
        .push(") t) (SELECT alike.place, alike.term FROM alike, q WHERE ");
    let sql = has(sql, "alike.term").push(" ORDER BY alike.place, alike.likeness DESC, alike.term)");
    let Some(begun) = begun else { return sql };
    sql.push(" UNION ALL (SELECT NULL, term FROM kb_terms WHERE language = ")
        .bind(language)
        .push(" AND term >= ")
        .bind(begun)
        .push(" AND term < ")
        .bind(format!("{begun}\u{10FFFF}"))
        .push(" ORDER BY length(term), term LIMIT ")
        .bind(COMPLETIONS_MAX)
        .push(")")
}

/// The best of those that have a word of the search: each word counts by how rare it is and by where it stands, and those that
/// have the words together come before others.
pub(super) fn found(search: &Search) -> Sql {
    let Search {
        text,
        alternatives,
        begun,
        language,
        categories,
        except,
        with_pieces,
        limit,
    } = search;
    let (text, language) = (text.as_str(), language.as_str());
    let within = |sql: Sql| {
        let mut sql = sql
            .push("a.status = 'published' AND a.language = ")
            .bind(language);
        if let Some(except) = except {
            sql = sql.push(" AND a.id <> ").bind(except.0);
        }
        match categories {
            Some(categories) => {
                let ids: Vec<Uuid> = categories.iter().map(|category| category.0).collect();
                sql.push(" AND a.category_id = ANY(").bind(ids).push(")")
            }
            None => sql,
        }
    };
    let (words, others): (Vec<String>, Vec<String>) = alternatives
        .iter()
        .map(|Alternative { word, other }| (word.clone(), other.clone()))
        .unzip();
    let mut sql = Sql::new("WITH q AS MATERIALIZED (SELECT kb_config(")
        .bind(language)
        .push(
            ") AS config), said AS MATERIALIZED (SELECT l.lexeme, quote_literal(l.lexeme)::tsquery AS word, l.positions[1] AS place \
             FROM q, unnest(to_tsvector(q.config, ",
        )
        .bind(text)
        .push(")) l WHERE length(l.lexeme) < 200");
    if let Some(prefix) = begun.as_deref().and_then(prefix) {
        // What has the word as it stands has both.
        sql = sql
            .push(" UNION ALL SELECT ")
            .bind(begun.as_deref())
            .push(", ")
            .bind(prefix)
            .push("::tsquery, 0");
    }
    let sql = sql
        .push(" ORDER BY 3 LIMIT ")
        .bind(WORDS_MAX)
        .push(
            "), other AS MATERIALIZED (SELECT x.word, (tsvector_to_array(to_tsvector(q.config, x.word)))[1] AS lexeme, \
             phraseto_tsquery(q.config, x.other) AS words FROM q, unnest(",
        )
        .bind(words)
        .push(", ")
        .bind(others)
        .push(
            ") AS x (word, other)), t AS MATERIALIZED (SELECT coalesce(s.word || (SELECT string_agg('(' || o.words::text || ')', ' | ')::tsquery \
             FROM other o WHERE s.lexeme IN (o.word, o.lexeme) AND numnode(o.words) > 0), s.word) AS word FROM said s), \
             total AS MATERIALIZED (SELECT count(*)::float8 AS n FROM kb_articles a WHERE ",
        );
    let sql = within(sql).push(
        "), d AS MATERIALIZED (SELECT t.word, c.c, ln(1 + (total.n - c.c + 0.5) / (c.c + 0.5)) AS rarity FROM t, total, \
         LATERAL (SELECT count(*)::float8 AS c FROM kb_articles a WHERE a.words @@ t.word AND ",
    );
    let sql = within(sql)
        .push(
            ") c WHERE c.c > 0), chosen AS MATERIALIZED (SELECT word FROM (SELECT word, sum(c) OVER (ORDER BY c, word::text) - c AS before \
             FROM d) s WHERE before < ",
        )
        .bind(CANDIDATES_MAX)
        .push("), candidates AS MATERIALIZED (SELECT DISTINCT f.id FROM chosen, LATERAL (SELECT a.id FROM kb_articles a WHERE a.words @@ chosen.word AND ");
    let sql = within(sql)
        .push(" LIMIT ")
        .bind(CANDIDATES_MAX)
        .push(") f), scored AS MATERIALIZED (SELECT a.id, sum(d.rarity * (0.3 + ts_rank(")
        .push(WORTH)
        .push(
            ", a.words, d.word))) AS score FROM candidates c JOIN kb_articles a ON a.id = c.id JOIN d ON a.words @@ d.word \
             GROUP BY a.id ORDER BY 2 DESC, 1 LIMIT ",
        )
        .bind(CLOSE_MAX.max(i64::try_from(limit.rows()).unwrap_or(CLOSE_MAX)))
        .push("), ranked AS MATERIALIZED (SELECT s.id, s.score * (1 + ts_rank_cd(")
        .push(WORTH)
        .push(", a.words, plainto_tsquery(q.config, ")
        .bind(text)
        .push("))) AS score FROM q, scored s JOIN kb_articles a ON a.id = s.id ORDER BY 2 DESC, 1 LIMIT ")
        .bind(i64::try_from(limit.rows()).unwrap_or(CLOSE_MAX))
        .push("), sought AS (SELECT string_agg(word::text, ' | ')::tsquery AS words FROM d) SELECT ")
        .push(CARD);
    let ranked = |sql: Sql| {
        sql.push(" FROM q, sought, ranked r JOIN kb_articles a ON a.id = r.id ORDER BY r.score DESC, r.id")
    };
    let headline = |sql: Sql, column: &'static str, options: &'static str| {
        sql.push(", ts_headline(q.config, left(translate(")
            .push(column)
            .push(", E'\\uE000\\uE001', ''), ")
            .bind(SHOWN_MAX_CHARS)
            .push("), sought.words, ")
            .push(options)
    };
    let sql = headline(
        sql,
        "a.title",
        "E'StartSel=\\uE000, StopSel=\\uE001, HighlightAll=true') AS marked_title",
    );
    if !with_pieces {
        return ranked(sql.push(", '' AS marked_pieces"));
    }
    let sql = headline(
        sql,
        "a.content",
        "E'StartSel=\\uE000, StopSel=\\uE001, MaxWords=24, MinWords=10, ShortWord=0, MaxFragments=2, FragmentDelimiter=\" … \"') \
         AS marked_pieces",
    );
    ranked(sql)
}

/// The query of a word's beginning; none where nothing of it is a letter or a digit.
fn prefix(begun: &str) -> Option<String> {
    let word: String = begun
        .chars()
        .filter(|c| !c.is_ascii_punctuation() && !c.is_whitespace())
        .collect();
    (!word.is_empty()).then(|| format!("'{word}':*"))
}

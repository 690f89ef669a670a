//! Raw SQL with bound values, for what diesel's query language cannot say.
//!
//! Unlike `diesel::sql_query`, whose statements are prepared anew every time, an [`Sql`] is prepared once for each
//! connection and text. For that its texts must be few: they are made of `&'static str` pieces alone, chosen by code
//! and never by a user's words, which is also why nothing a user sends can become SQL. Lists of any length are bound
//! as arrays or as one JSON document, not as a placeholder for each. Where a user chooses the shape of a statement, though
//! not its words, it says so by [`Sql::ad_hoc`] and is not kept.
//!
//! ```text
//! let open = Sql::new("SELECT id FROM tickets WHERE team_id = ").bind(team).push(" AND status = ").bind("open")
//!     .push("::\"TicketStatus\"");
//! let rows: Vec<IdRow> = open.load(connection).await?;
//! ```
//! Rows are read by name (`#[derive(QueryableByName)]`). A [`Bind`] names PostgreSQL's type of its value; an enum is
//! bound as text and cast.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{self as types, Nullable, Untyped};
use ipnetwork::IpNetwork;
use serde_json::Value;
use uuid::Uuid;

use crate::moment::Moment;

/// A statement in pieces.
#[derive(Debug, Clone, Default)]
#[must_use = "a statement does nothing until it is loaded or executed"]
pub(crate) struct Sql(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(&'static str),
    Bind(Bind),
    /// No text; the statement is not to be kept.
    AdHoc,
}

impl Sql {
    /// A statement that begins with `text`.
    pub(crate) fn new(text: &'static str) -> Self {
        Self(vec![Piece::Text(text)])
    }

    /// Marks a statement whose shape a user chose, so that its texts are not few: it is prepared for this once.
    pub(crate) fn ad_hoc(mut self) -> Self {
        self.0.push(Piece::AdHoc);
        self
    }

    /// Adds text.
    pub(crate) fn push(mut self, text: &'static str) -> Self {
        self.0.push(Piece::Text(text));
        self
    }

    /// Adds a placeholder and its value.
    pub(crate) fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.0.push(Piece::Bind(value.into()));
        self
    }

    /// Adds another statement's pieces.
    pub(crate) fn append(mut self, other: Sql) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl QueryFragment<Pg> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_sql(text),
                Piece::Bind(bind) => bind.walk_ast(out.reborrow())?,
                Piece::AdHoc => out.unsafe_to_cache_prepared(),
            }
        }
        Ok(())
    }
}

impl QueryId for Sql {
    type QueryId = ();
    /// The text itself is the key of the cache.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}

macro_rules! binds {
    ($($(#[$doc:meta])* $name:ident($rust:ty) as $sql:ty;)*) => {
        /// A value with PostgreSQL's type of it, or null. Made by `into()` from the value or from an `Option` of it.
        #[derive(Debug, Clone)]
        pub(crate) enum Bind {
            $($(#[$doc])* $name(Option<$rust>),)*
        }

        impl QueryFragment<Pg> for Bind {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                match self {
                    $(Bind::$name(value) => out.push_bind_param::<Nullable<$sql>, _>(value),)*
                }
            }
        }

        $(
            impl From<$rust> for Bind {
                fn from(value: $rust) -> Self {
                    Bind::$name(Some(value))
                }
            }

            impl From<Option<$rust>> for Bind {
                fn from(value: Option<$rust>) -> Self {
                    Bind::$name(value)
                }
            }
        )*
    };
}

binds! {
    /// `uuid`
    Uuid(Uuid) as types::Uuid;
    /// `uuid[]`
    UuidArray(Vec<Uuid>) as types::Array<types::Uuid>;
    /// `text`
    Text(String) as types::Text;
    /// `text[]`
    TextArray(Vec<String>) as types::Array<types::Text>;
    /// `timestamptz`
    Timestamptz(Moment) as types::Timestamptz;
    /// `date`
    Date(NaiveDate) as types::Date;
    /// `smallint`
    SmallInt(i16) as types::SmallInt;
    /// `integer`
    Integer(i32) as types::Integer;
    /// `bigint`
    BigInt(i64) as types::BigInt;
    /// `double precision`
    Double(f64) as types::Double;
    /// `boolean`
    Bool(bool) as types::Bool;
    /// `jsonb`
    Jsonb(Value) as types::Jsonb;
    /// `bytea`
    Bytea(Vec<u8>) as types::Bytea;
    /// `inet`
    Inet(IpNetwork) as types::Inet;
}

impl From<&str> for Bind {
    fn from(value: &str) -> Self {
        Bind::Text(Some(value.to_owned()))
    }
}

impl From<Option<&str>> for Bind {
    fn from(value: Option<&str>) -> Self {
        Bind::Text(value.map(str::to_owned))
    }
}

macro_rules! id_binds {
    ($($id:ty),*) => {
        $(
            impl From<$id> for Bind {
                fn from(id: $id) -> Self {
                    Bind::Uuid(Some(id.0))
                }
            }

            impl From<Option<$id>> for Bind {
                fn from(id: Option<$id>) -> Self {
                    Bind::Uuid(id.map(|id| id.0))
                }
            }
        )*
    };
}

impl From<DateTime<Utc>> for Bind {
    fn from(at: DateTime<Utc>) -> Self {
        Bind::Timestamptz(Some(at.into()))
    }
}

impl From<Option<DateTime<Utc>>> for Bind {
    fn from(at: Option<DateTime<Utc>>) -> Self {
        Bind::Timestamptz(at.map(Moment::from))
    }
}
id_binds!(
    kernel::UserId,
    kernel::TeamId,
    kernel::TicketId,
    kernel::MessageId,
    kernel::EventId
);

#[cfg(test)]
mod tests {
    use diesel::QueryableByName;
    use diesel::sql_types::{BigInt, Nullable, Text};
    use diesel_async::RunQueryDsl as _;
    use events::TicketStatus;

    use super::*;
    use crate::schema::sql_types;
    use crate::testing::own::test_database;

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }

    #[tokio::test]
    async fn a_text_is_prepared_once_whatever_is_bound() {
        let test = test_database().await;
        let prepared = test
            .database()
            .run(async |connection| {
                for number in 0..5_i32 {
                    let sql = Sql::new("SELECT ")
                        .bind(number)
                        .push("::bigint + ")
                        .bind(1_i64)
                        .push(" AS count");
                    assert_eq!(
                        sql.get_result::<Count>(connection).await?.count,
                        i64::from(number) + 1
                    );
                }
                let own = Sql::new("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE ")
                    .bind("%::bigint + $2%");
                own.get_result::<Count>(connection).await
            })
            .await
            .unwrap();
        assert_eq!(prepared.count, 1);
    }

    #[tokio::test]
    async fn what_is_marked_as_ad_hoc_is_not_kept() {
        let test = test_database().await;
        let prepared = test
            .database()
            .run(async |connection| {
                let sql = Sql::new("SELECT ").bind(1_i64).push(" + 40 + 2 AS count");
                assert_eq!(sql.ad_hoc().get_result::<Count>(connection).await?.count, 43);
                let own = Sql::new("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE ")
                    .bind("%40 + 2%");
                own.get_result::<Count>(connection).await
            })
            .await
            .unwrap();
        assert_eq!(prepared.count, 0);
    }

    #[tokio::test]
    async fn every_kind_of_value_arrives_also_as_null() {
        let test = test_database().await;
        let id = Uuid::from_u128(1);
        let at: DateTime<Utc> = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let binds: Vec<(Bind, Bind, &str)> = vec![
            (
                id.into(),
                None::<Uuid>.into(),
                "00000000-0000-0000-0000-000000000001",
            ),
            (
                vec![id].into(),
                None::<Vec<Uuid>>.into(),
                "{00000000-0000-0000-0000-000000000001}",
            ),
            ("a".into(), None::<&str>.into(), "a"),
            (
                vec!["a".to_owned(), "b".to_owned()].into(),
                None::<Vec<String>>.into(),
                "{a,b}",
            ),
            (
                at.into(),
                None::<DateTime<Utc>>.into(),
                "2026-01-02 03:04:05.678901+00",
            ),
            (at.date_naive().into(), None::<NaiveDate>.into(), "2026-01-02"),
            (1_i16.into(), None::<i16>.into(), "1"),
            (2_i32.into(), None::<i32>.into(), "2"),
            (3_i64.into(), None::<i64>.into(), "3"),
            (1.5_f64.into(), None::<f64>.into(), "1.5"),
            (true.into(), None::<bool>.into(), "true"),
            (
                serde_json::json!({"a": 1}).into(),
                None::<Value>.into(),
                "{\"a\": 1}",
            ),
            (vec![1_u8, 255].into(), None::<Vec<u8>>.into(), "\\x01ff"),
            (
                "10.0.0.1".parse::<IpNetwork>().unwrap().into(),
                None::<IpNetwork>.into(),
                "10.0.0.1/32",
            ),
        ];
        #[derive(QueryableByName)]
        struct Pair {
            #[diesel(sql_type = Text)]
            value: String,
            #[diesel(sql_type = Nullable<Text>)]
            nothing: Option<String>,
        }
        for (value, null, text) in binds {
            let sql = Sql::new("SELECT ")
                .bind(value)
                .push("::text AS value, ")
                .bind(null)
                .push("::text AS nothing");
            let pair = test
                .database()
                .run(async |connection| (&sql).get_result::<Pair>(connection).await)
                .await;
            let pair = pair.unwrap();
            assert_eq!((pair.value.as_str(), pair.nothing), (text, None));
        }
    }

    #[tokio::test]
    async fn an_enum_is_bound_as_text_and_read_as_the_domains_own() {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql_types::TicketStatus)]
            status: TicketStatus,
        }
        let test = test_database().await;
        for status in TicketStatus::ALL {
            let sql = Sql::new("SELECT ")
                .bind(status.as_str())
                .push("::\"TicketStatus\" AS status");
            let row = test
                .database()
                .run(async |connection| (&sql).get_result::<Row>(connection).await)
                .await;
            assert_eq!(row.unwrap().status, status);
        }
    }
}

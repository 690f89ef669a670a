//! Raw SQL with bound values, for what diesel's query language cannot say.
//!
//! Unlike `diesel::sql_query`, whose statements are prepared anew every time, an [`Sql`] is prepared once for each
//! connection and text. For that its texts must be few: they are made of `&'static str` pieces alone, chosen by code
//! and never by a user's words, which is also why nothing a user sends can become SQL. Lists of any length are bound
//! as arrays or as one JSON document, not as a placeholder for each.
//!
//! ```ignore
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

/// A statement in pieces.
#[derive(Debug, Clone, Default)]
#[must_use = "a statement does nothing until it is loaded or executed"]
pub(crate) struct Sql(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(&'static str),
    Bind(Bind),
}

impl Sql {
    /// A statement that begins with `text`.
    pub(crate) fn new(text: &'static str) -> Self {
        Self(vec![Piece::Text(text)])
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
    Timestamptz(DateTime<Utc>) as types::Timestamptz;
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
id_binds!(kernel::UserId, kernel::TeamId, kernel::TicketId, kernel::MessageId, kernel::EventId);

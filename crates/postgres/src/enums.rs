//! The database's enums as the domains' own types: a row's field of type `schema::sql_types::TicketStatus` is read as
//! [`events::TicketStatus`], and so on.
//!
//! To add one, name the two types in a [`pg_enum!`] below; the Rust type must have `as_str` and `parse`, which give
//! and take the database's labels. As a value in a statement, bind the label as text and cast it: `$1::"TicketStatus"`.
//! (An expression of diesel's it cannot be, for it is neither ours nor diesel's.)

use std::io::Write as _;

use diesel::deserialize::{self, FromSql, Queryable};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};

use crate::schema::sql_types;

/// Lets a Rust enum stand for an enum of the database.
macro_rules! pg_enum {
    ($rust:ty => $sql:ty) => {
        impl FromSql<$sql, Pg> for $rust {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let label = std::str::from_utf8(value.as_bytes())?;
                <$rust>::parse(label).ok_or_else(|| format!("{label:?} is no {}", stringify!($rust)).into())
            }
        }

        impl ToSql<$sql, Pg> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.as_str().as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl Queryable<$sql, Pg> for $rust {
            type Row = Self;

            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
    };
}

pg_enum!(kernel::Role => sql_types::UserRole);
pg_enum!(kernel::TeamRole => sql_types::TeamRole);
pg_enum!(identity::UserStatus => sql_types::UserStatus);
pg_enum!(knowledge::ArticleStatus => sql_types::ArticleStatus);
pg_enum!(events::TicketStatus => sql_types::TicketStatus);
pg_enum!(events::TicketPriority => sql_types::TicketPriority);
pg_enum!(events::TicketChannel => sql_types::TicketChannel);

//! Moments between the domains and PostgreSQL, whose calendar is longer than theirs.
//!
//! `timestamptz` goes to the year 294276 and knows `infinity`; the API's times (RFC 3339) have years of four digits. What
//! another program stored beyond them is read as the nearest moment that can be told, and that moment is bound as `infinity`
//! again: so no row makes a list fail, and the page behind such a row is not that row again.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::data_types::PgTimestamp;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Nullable, Timestamptz};

/// 0001-01-01T00:00:00Z in microseconds from 1970.
const FIRST_MICROS: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z in microseconds from 1970.
const LAST_MICROS: i64 = 253_402_300_799_999_999;
/// 2000-01-01T00:00:00Z, where PostgreSQL begins to count, in microseconds from 1970.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A moment of the years 1 to 9999.
#[derive(Debug, Clone, Copy, AsExpression, FromSqlRow)]
#[diesel(sql_type = Timestamptz)]
pub(crate) struct Moment(DateTime<Utc>);

impl From<DateTime<Utc>> for Moment {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at)
    }
}

impl From<Moment> for DateTime<Utc> {
    fn from(Moment(at): Moment) -> Self {
        at
    }
}

impl FromSql<Timestamptz, Pg> for Moment {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let PgTimestamp(stored) = FromSql::<Timestamptz, Pg>::from_sql(bytes)?;
        let micros = stored
            .saturating_add(POSTGRES_EPOCH_MICROS)
            .clamp(FIRST_MICROS, LAST_MICROS);
        let at = DateTime::from_timestamp_micros(micros).ok_or("no moment of the calendar")?;
        Ok(Self(at))
    }
}

impl ToSql<Timestamptz, Pg> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let stored = match self.0.timestamp_micros() {
            ..=FIRST_MICROS => i64::MIN,
            LAST_MICROS.. => i64::MAX,
            micros => micros - POSTGRES_EPOCH_MICROS,
        };
        ToSql::<Timestamptz, Pg>::to_sql(&PgTimestamp(stored), &mut out.reborrow())
    }
}

/// A moment or none, for `#[diesel(deserialize_as = …)]`.
#[derive(Debug, Clone, Copy, FromSqlRow)]
pub(crate) struct MaybeMoment(Option<Moment>);

impl From<MaybeMoment> for Option<DateTime<Utc>> {
    fn from(MaybeMoment(moment): MaybeMoment) -> Self {
        moment.map(Into::into)
    }
}

impl FromSql<Nullable<Timestamptz>, Pg> for MaybeMoment {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Self::from_nullable_sql(Some(bytes))
    }

    fn from_nullable_sql(bytes: Option<PgValue<'_>>) -> deserialize::Result<Self> {
        bytes.map(Moment::from_sql).transpose().map(Self)
    }
}

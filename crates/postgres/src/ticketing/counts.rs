//! Counting many filters at once, none of them to its end.
//!
//! The walks are those of the list, each by its index, and follow one another until enough rows are counted: so a count
//! costs no more than its bound, whatever the size of the table. Walks must not meet here, for nothing tells a ticket that
//! comes twice: that of an agent's own tickets leaves out what the walks of the teams and of the queue have.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl as _;
use ticketing::{Maybe, Scope, TicketFilter, TicketQuery};

use super::list::{Anchor, anchors, scope_teams, walk, walks_of};
use crate::Database;
use crate::error::Failure;
use crate::sql::Sql;

/// The count of one filter, by the filter's place.
#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many live tickets each filter selects, in their order, up to `rows_max` each.
pub(super) async fn count_each(
    database: &Database,
    scope: &Scope,
    filters: &[TicketFilter],
    rows_max: i64,
) -> Result<Vec<i64>, Failure> {
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let sql = statement(scope, filters, rows_max);
    let rows = database
        .run(async |connection| (&sql).load::<CountRow>(connection).await)
        .await?;
    let mut counts = vec![0; filters.len()];
    for CountRow { place, count } in rows {
        if let Some(counted) = usize::try_from(place)
            .ok()
            .and_then(|place| counts.get_mut(place))
        {
            *counted = count;
        }
    }
    Ok(counts)
}

/// One row for each filter: its place and its count.
pub(super) fn statement(scope: &Scope, filters: &[TicketFilter], rows_max: i64) -> Sql {
    let mut sql = Sql::default();
    for (place, filter) in (0_i32..).zip(filters) {
        sql = sql
            .push(if place == 0 {
                "SELECT "
            } else {
                " UNION ALL SELECT "
            })
            .bind(place)
            .push(" AS place, (SELECT count(*) FROM (")
            .append(some_of("SELECT FROM (", scope, filter, &Sql::default(), rows_max))
            .push(") counted) AS count");
    }
    // How many filters there are, and of which shapes, is the users' choice.
    sql.ad_hoc()
}

/// The ids of some `rows` of the tickets that a filter selects.
pub(super) fn ids(scope: &Scope, filter: &TicketFilter, rows: i64) -> Sql {
    some_of("SELECT id FROM (", scope, filter, &Sql::default(), rows).ad_hoc()
}

/// Some `rows` of the tickets that a filter selects and for which `also` holds, no matter which; fewer only when there are no
/// more. `select` begins the statement; `also` is a condition on `tickets` that begins with `AND`, or nothing.
pub(super) fn some_of(
    select: &'static str,
    scope: &Scope,
    filter: &TicketFilter,
    also: &Sql,
    rows: i64,
) -> Sql {
    let query = TicketQuery {
        filter: filter.clone(),
        ..TicketQuery::default()
    };
    let anchors = anchors(scope, &query);
    let several = anchors.len() > 1;
    let mut sql = Sql::new(select);
    for (index, (anchor, status)) in walks_of(anchors, filter).into_iter().enumerate() {
        if index > 0 {
            sql = sql.push(" UNION ALL ");
        }
        let also = if several && anchor == Anchor::ScopeAgent {
            beyond_the_teams(scope, filter).append(also.clone())
        } else {
            also.clone()
        };
        sql = sql.append(walk(anchor, status, scope, &query, &also, rows));
    }
    sql.push(") walks LIMIT ").bind(rows)
}

/// What the walks of the teams and of the queue leave to that of the agent.
fn beyond_the_teams(scope: &Scope, filter: &TicketFilter) -> Sql {
    debug_assert!(
        !matches!(filter.team, Some(Maybe::Is(_))),
        "a list of one team is a walk by itself"
    );
    Sql::new(" AND team_id IS NOT NULL AND team_id <> ALL(")
        .bind(scope_teams(scope))
        .push(")")
}

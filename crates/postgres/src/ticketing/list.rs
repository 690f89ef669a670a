//! Lists of tickets as merges of short walks.
//!
//! PostgreSQL walks an index in order only under equalities on its leading columns. So a list is cut into walks that
//! have them: one for each status of the desk, of each of an agent's teams, of the triage queue, of an assignee; each
//! takes one page's worth from its index, and the walks are merged. The cost is then that of a few pages, whatever the
//! size of the table and the number of the page. A filter that names a team, an assignee or a requester makes the walk
//! by itself, and the scope becomes a condition on it. What is copied to someone has no order in its index: it is
//! gathered and sorted, at a cost that grows with the number of tickets that are copied to that person.
//!
//! To offer another sort, give it an index for every walk in `anchors`, and a column in `key`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Json};
use diesel_async::RunQueryDsl;
use kernel::{Position, UserId};
use serde_json::Value;
use ticketing::{
    Audience, COUNT_EXACT_MAX_ROWS, Count, Direction, Maybe, Scope, SortKey, Ticket, TicketFilter,
    TicketQuery, TicketStatus,
};

use crate::Database;
use crate::error::Failure;
use crate::sql::Sql;

use super::filter;
use super::rows::TicketRow;

/// What a walk holds equal, so that an index gives it in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Each wanted status of the whole desk.
    Desk,
    /// Each wanted status of each team in the scope.
    ScopeTeams,
    /// Each wanted status of the team that the filter names.
    FilterTeam,
    /// Each wanted status of tickets without team.
    Triage,
    /// Each wanted status of the agent of the scope.
    ScopeAgent,
    /// Each wanted status of the assignee that the filter names.
    FilterAssignee,
    /// The requester of the scope or the filter.
    Requester,
    /// What is copied to the customer of the scope.
    Participant,
    /// Deleted tickets.
    Deleted,
}

/// The walks that together hold the whole list, and nothing twice unless [`Anchor::ScopeAgent`] is among several.
pub(super) fn anchors(scope: &Scope, query: &TicketQuery) -> Vec<Anchor> {
    let filter = &query.filter;
    let mut walks = match scope {
        Scope::Customer(user) => match filter.requester {
            Some(requester) if requester == *user => vec![Anchor::Requester],
            Some(_) => vec![Anchor::Participant],
            None => vec![Anchor::Requester, Anchor::Participant],
        },
        Scope::Desk | Scope::WorkOf { .. } if filter.requester.is_some() => vec![Anchor::Requester],
        Scope::Desk | Scope::WorkOf { .. } if matches!(filter.assignee, Some(Maybe::Is(_))) => {
            vec![Anchor::FilterAssignee]
        }
        Scope::Desk | Scope::WorkOf { .. } if filter.team == Some(Maybe::Nothing) => vec![Anchor::Triage],
        Scope::Desk if matches!(filter.team, Some(Maybe::Is(_))) => vec![Anchor::FilterTeam],
        Scope::Desk => vec![Anchor::Desk],
        Scope::WorkOf { teams, .. } => match filter.team {
            Some(Maybe::Is(team)) if teams.contains(&team) => vec![Anchor::FilterTeam],
            Some(Maybe::Is(_)) => vec![Anchor::ScopeAgent],
            Some(Maybe::Nothing) | None => vec![Anchor::ScopeTeams, Anchor::Triage, Anchor::ScopeAgent],
        },
    };
    if query.include_deleted {
        walks.push(Anchor::Deleted);
    }
    walks
}

/// The column that a sort goes by, for an audience.
fn key(sort: SortKey, audience: Audience) -> &'static str {
    match (sort, audience) {
        (SortKey::CreatedAt, _) => "created_at",
        (SortKey::UpdatedAt, Audience::Staff) => "updated_at",
        (SortKey::UpdatedAt, Audience::Customer) => "public_updated_at",
    }
}

/// A ticket's place in a list.
pub(super) fn position(ticket: &Ticket, sort: SortKey, audience: Audience) -> Position {
    let at = match sort {
        SortKey::CreatedAt => ticket.created_at,
        SortKey::UpdatedAt => ticket.face(audience).updated_at,
    };
    Position { at, id: ticket.id.0 }
}

/// The statement for one page, a row more than the page holds.
pub(super) fn page(scope: &Scope, query: &TicketQuery) -> Sql {
    let order = match query.sort.direction {
        Direction::NewestFirst => " ORDER BY page.at DESC, page.id DESC",
        Direction::OldestFirst => " ORDER BY page.at, page.id",
    };
    Sql::new("SELECT t.")
        .push(columns_of_t())
        .push(" FROM (")
        .append(places(scope, query, &Sql::default(), query.limit.rows_and_one()))
        .push(") page JOIN tickets t ON t.id = page.id")
        .push(order)
}

/// The first `rows` of the list from where the query begins, as `at` and `id` in its order, for which `also` holds: a
/// condition on `tickets` that begins with `AND`, or nothing.
pub(super) fn places(scope: &Scope, query: &TicketQuery, also: &Sql, rows: i64) -> Sql {
    let anchors = anchors(scope, query);
    let several = anchors.len() > 1;
    let mut sql = Sql::new("SELECT ");
    if several {
        sql = sql.push("DISTINCT ");
    }
    sql = sql.push("at, id FROM (");
    for (index, (anchor, status)) in walks_of(anchors, &query.filter).into_iter().enumerate() {
        if index > 0 {
            sql = sql.push(" UNION ALL ");
        }
        sql = sql.append(walk(anchor, status, scope, query, also, rows));
    }
    sql.push(") walks")
        .push(match query.sort.direction {
            Direction::NewestFirst => " ORDER BY at DESC, id DESC",
            Direction::OldestFirst => " ORDER BY at, id",
        })
        .push(" LIMIT ")
        .bind(rows)
}

/// The walks of these anchors: one for each wanted status, where the anchor's index has the status.
pub(super) fn walks_of(anchors: Vec<Anchor>, filter: &TicketFilter) -> Vec<(Anchor, Option<TicketStatus>)> {
    // In the enum's order and each once, so that the text has few forms.
    let wanted = |status: &TicketStatus| filter.status.is_empty() || filter.status.contains(status);
    let wanted: Vec<_> = TicketStatus::ALL.into_iter().filter(wanted).collect();
    let mut walks = Vec::new();
    for anchor in anchors {
        match anchor {
            Anchor::Requester | Anchor::Participant | Anchor::Deleted => walks.push((anchor, None)),
            Anchor::Desk
            | Anchor::ScopeTeams
            | Anchor::FilterTeam
            | Anchor::Triage
            | Anchor::ScopeAgent
            | Anchor::FilterAssignee => walks.extend(wanted.iter().map(|status| (anchor, Some(*status)))),
        }
    }
    walks
}

/// How many walks the list is, those of each team counted.
pub(super) fn walk_count(scope: &Scope, query: &TicketQuery) -> i64 {
    let walks = walks_of(anchors(scope, query), &query.filter);
    let count = walks.into_iter().map(|(anchor, _)| match anchor {
        Anchor::ScopeTeams => scope_teams(scope).len(),
        Anchor::Desk
        | Anchor::FilterTeam
        | Anchor::Triage
        | Anchor::ScopeAgent
        | Anchor::FilterAssignee
        | Anchor::Requester
        | Anchor::Participant
        | Anchor::Deleted => 1,
    });
    i64::try_from(count.sum::<usize>()).unwrap_or(i64::MAX)
}

/// `TicketRow::COLUMNS`, each of the table `t`; the first is written by the caller.
pub(super) fn columns_of_t() -> &'static str {
    static COLUMNS: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| TicketRow::COLUMNS.split(", ").collect::<Vec<_>>().join(", t."));
    &COLUMNS
}

/// One walk: at most a page's worth of sort values and ids, for one status where the anchor has an index by it.
///
/// The status stands in the text: the planner must know which one it is, since some are rare and others are not.
pub(super) fn walk(
    anchor: Anchor,
    status: Option<TicketStatus>,
    scope: &Scope,
    query: &TicketQuery,
    also: &Sql,
    rows: i64,
) -> Sql {
    let filter = &query.filter;
    let sort = key(query.sort.key, scope.audience());
    let mut sql = Sql::new("(SELECT walk.at, walk.id FROM ");
    if anchor == Anchor::ScopeTeams {
        sql = sql
            .push("unnest(")
            .bind(scope_teams(scope))
            .push("::uuid[]) AS m(team_id) CROSS JOIN LATERAL ");
    }
    sql = sql
        .push("(SELECT ")
        .push(sort)
        .push(" AS at, id FROM tickets WHERE ");
    sql = if anchor == Anchor::Deleted {
        sql.push("deleted_at IS NOT NULL")
    } else {
        sql.push("deleted_at IS NULL")
    };
    sql = match status {
        Some(status) => sql.push(equals(status)),
        None if filter.status.is_empty() => sql,
        None => sql
            .push(" AND status = ANY(")
            .bind(names(&filter.status))
            .push("::\"TicketStatus\"[])"),
    };
    sql = match (anchor, scope) {
        (Anchor::ScopeTeams, _) => sql.push(" AND team_id = m.team_id"),
        (Anchor::ScopeAgent, Scope::WorkOf { agent, .. }) => sql.push(" AND assigned_to = ").bind(*agent),
        (Anchor::Triage, _) => sql.push(" AND team_id IS NULL"),
        (Anchor::Requester, Scope::Customer(user)) => sql.push(" AND created_by = ").bind(*user),
        // Not what they asked for themselves: that is the other walk's.
        (Anchor::Participant, Scope::Customer(user)) => copied_to(sql.push(" AND "), *user)
            .push(" AND created_by <> ")
            .bind(*user),
        (
            Anchor::Desk
            | Anchor::FilterTeam
            | Anchor::ScopeAgent
            | Anchor::FilterAssignee
            | Anchor::Requester
            | Anchor::Participant
            | Anchor::Deleted,
            _,
        ) => sql,
    };
    // The merged walks of an agent's work, or of a customer's tickets, are the scope; any other walk has it as a condition.
    let is_the_scope = match anchor {
        Anchor::ScopeTeams | Anchor::ScopeAgent | Anchor::Participant => true,
        Anchor::Triage => matches!(scope, Scope::WorkOf { .. }),
        Anchor::Requester => matches!(scope, Scope::Customer(_)),
        Anchor::Desk | Anchor::FilterTeam | Anchor::FilterAssignee | Anchor::Deleted => false,
    };
    if !is_the_scope {
        sql = within(sql, scope);
    }
    sql = beyond(conditions(sql, filter, scope.audience()), scope, query).append(also.clone());
    if anchor == Anchor::Participant {
        // Gathered first, so that no index is walked in order for the few that fit.
        return in_order(sql.push(" OFFSET 0) walk"), "at", query.sort.direction)
            .push(" LIMIT ")
            .bind(rows)
            .push(")");
    }
    in_order(sql, sort, query.sort.direction)
        .push(" LIMIT ")
        .bind(rows)
        .push(") walk)")
}

/// That a ticket is copied to someone, in the words of the index by that.
fn copied_to(sql: Sql, user: UserId) -> Sql {
    sql.push("cc_ids <> '{}' AND cc_ids @> ARRAY[")
        .bind(user)
        .push("]::uuid[]")
}

/// Where the page begins, as a condition.
fn beyond(sql: Sql, scope: &Scope, query: &TicketQuery) -> Sql {
    let Some(Position { at, id }) = query.after else {
        return sql;
    };
    sql.push(" AND (")
        .push(key(query.sort.key, scope.audience()))
        .push(match query.sort.direction {
            Direction::NewestFirst => ", id) < (",
            Direction::OldestFirst => ", id) > (",
        })
        .bind(at)
        .push(", ")
        .bind(id)
        .push(")")
}

fn in_order(sql: Sql, sort: &'static str, direction: Direction) -> Sql {
    match direction {
        Direction::NewestFirst => sql.push(" ORDER BY ").push(sort).push(" DESC, id DESC"),
        Direction::OldestFirst => sql.push(" ORDER BY ").push(sort).push(", id"),
    }
}

/// A ticket of the list by its id, which stands in `id_of`, as `at` and `id`; no row when it is not in the list, or
/// before where the query begins.
pub(super) fn place_of(id_of: &'static str, scope: &Scope, query: &TicketQuery) -> Sql {
    let sql = Sql::new("SELECT ")
        .push(key(query.sort.key, scope.audience()))
        .push(" AS at, id FROM tickets WHERE id = ")
        .push(id_of)
        .push(" AND deleted_at IS NULL");
    beyond(matching(sql, scope, query), scope, query)
}

/// Scope and filter, statuses among them, as conditions.
fn matching(mut sql: Sql, scope: &Scope, query: &TicketQuery) -> Sql {
    let wanted = names(&query.filter.status);
    if !wanted.is_empty() {
        sql = sql
            .push(" AND status = ANY(")
            .bind(wanted)
            .push("::\"TicketStatus\"[])");
    }
    conditions(within(sql, scope), &query.filter, scope.audience())
}

/// A status as a condition with its name in the text.
fn equals(status: TicketStatus) -> &'static str {
    match status {
        TicketStatus::Open => " AND status = 'open'",
        TicketStatus::Pending => " AND status = 'pending'",
        TicketStatus::Resolved => " AND status = 'resolved'",
        TicketStatus::Closed => " AND status = 'closed'",
    }
}

fn names(statuses: &[TicketStatus]) -> Vec<String> {
    statuses.iter().map(|status| status.as_str().to_owned()).collect()
}

pub(super) fn scope_teams(scope: &Scope) -> Vec<uuid::Uuid> {
    match scope {
        Scope::WorkOf { teams, .. } => teams.iter().map(|team| team.0).collect(),
        Scope::Customer(_) | Scope::Desk => Vec::new(),
    }
}

/// The scope as a condition.
fn within(sql: Sql, scope: &Scope) -> Sql {
    match scope {
        Scope::Desk => sql,
        Scope::Customer(user) => {
            let sql = sql.push(" AND (created_by = ").bind(*user).push(" OR (");
            copied_to(sql, *user).push("))")
        }
        Scope::WorkOf { agent, .. } => sql
            .push(" AND (team_id IS NULL OR assigned_to = ")
            .bind(*agent)
            .push(" OR team_id = ANY(")
            .bind(scope_teams(scope))
            .push("))"),
    }
}

/// The filter as conditions, but for the status, which each walk places by itself.
fn conditions(mut sql: Sql, filter: &TicketFilter, audience: Audience) -> Sql {
    let TicketFilter {
        status: _,
        priority,
        channel,
        assignee,
        team,
        requester,
        tags,
        created,
        updated,
        condition,
    } = filter;
    if !priority.is_empty() {
        let names: Vec<String> = priority.iter().map(|value| value.as_str().to_owned()).collect();
        sql = sql
            .push(" AND priority = ANY(")
            .bind(names)
            .push("::\"TicketPriority\"[])");
    }
    if !channel.is_empty() {
        let names: Vec<String> = channel.iter().map(|value| value.as_str().to_owned()).collect();
        sql = sql
            .push(" AND channel = ANY(")
            .bind(names)
            .push("::\"TicketChannel\"[])");
    }
    sql = match assignee {
        None => sql,
        Some(Maybe::Nothing) => sql.push(" AND assigned_to IS NULL"),
        Some(Maybe::Is(user)) => sql.push(" AND assigned_to = ").bind(*user),
    };
    sql = match team {
        None => sql,
        Some(Maybe::Nothing) => sql.push(" AND team_id IS NULL"),
        Some(Maybe::Is(team)) => sql.push(" AND team_id = ").bind(*team),
    };
    if let Some(user) = requester {
        sql = sql.push(" AND created_by = ").bind(*user);
    }
    if !tags.is_empty() {
        sql = sql.push(" AND tags @> ").bind(Value::from(tags.clone()));
    }
    let changed = key(SortKey::UpdatedAt, audience);
    for (column, span) in [("created_at", created), (changed, updated)] {
        if let Some(from) = span.from {
            sql = sql.push(" AND ").push(column).push(" >= ").bind(from);
        }
        if let Some(before) = span.before {
            sql = sql.push(" AND ").push(column).push(" < ").bind(before);
        }
    }
    match condition {
        Some(condition) => sql
            .push(" AND ")
            .append(filter::compiled(condition, audience))
            .ad_hoc(),
        None => sql,
    }
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
pub(crate) struct PlanRow {
    #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
    pub(crate) plan: Value,
}

/// Counts up to the bound; beyond it, what the planner believes.
pub(super) async fn count(database: &Database, scope: &Scope, query: &TicketQuery) -> Result<Count, Failure> {
    let matching = |head: &'static str| {
        let sql = Sql::new(head).push("SELECT 1 FROM tickets WHERE ");
        let sql = sql.push(if query.include_deleted {
            "true"
        } else {
            "deleted_at IS NULL"
        });
        matching(sql, scope, query)
    };
    let counted = count_of(database, matching("")).await?;
    if counted <= COUNT_EXACT_MAX_ROWS {
        return Ok(Count::Exact(counted));
    }
    let planning = matching("EXPLAIN (FORMAT JSON) ");
    let planned = database
        .run(async |connection| planning.clone().get_result::<PlanRow>(connection).await)
        .await?;
    let believed = planned
        .plan
        .pointer("/0/Plan/Plan Rows")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    Ok(Count::Estimate(believed.max(counted)))
}

/// How many rows a statement has, up to one more than are counted.
pub(super) async fn count_of(database: &Database, rows: Sql) -> Result<i64, Failure> {
    let counting = Sql::new("SELECT count(*) FROM (")
        .append(rows)
        .push(" LIMIT ")
        .bind(COUNT_EXACT_MAX_ROWS + 1)
        .push(") counted");
    let counted = database
        .run(async |connection| counting.clone().get_result::<CountRow>(connection).await)
        .await?;
    Ok(counted.count)
}

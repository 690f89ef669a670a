//! What ticketing asks about people and teams, read from identity's tables.

use async_trait::async_trait;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use identity::UserStatus;
use kernel::{Person, PortError, TeamId, UserId};
use ticketing::{AssigneeFacts, Directory, PersonCard, RaterFacts, TeamCard};
use uuid::Uuid;

use crate::Database;
use crate::identity::principal;
use crate::schema::{teams, users};
use crate::sql::Sql;

use super::rows::NumberRow;

const PORT: &str = "directory";

/// People and teams in PostgreSQL, as ticketing sees them.
#[derive(Debug, Clone)]
pub struct PgDirectory {
    database: Database,
}

impl PgDirectory {
    /// The people and teams of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
struct AssigneeRow {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    is_admin: bool,
    #[diesel(sql_type = diesel::sql_types::Array<diesel::sql_types::Uuid>)]
    teams: Vec<Uuid>,
}

#[derive(QueryableByName)]
#[diesel(table_name = users)]
struct RaterRow {
    name: String,
    email: String,
}

#[async_trait]
impl Directory for PgDirectory {
    async fn assignees(&self, users: &[UserId]) -> Result<Vec<(UserId, AssigneeFacts)>, PortError> {
        let users: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let sql = Sql::new(
            "SELECT u.id, u.role = 'admin' AS is_admin, \
             ARRAY(SELECT m.team_id FROM team_members m WHERE m.user_id = u.id) AS teams \
             FROM users u WHERE u.status = 'active' AND u.deleted_at IS NULL AND u.role <> 'user' AND u.id = ANY(",
        )
        .bind(users)
        .push(")");
        let rows = self.database.rows::<AssigneeRow>(PORT, sql).await?;
        let facts = rows.into_iter().map(|AssigneeRow { id, is_admin, teams }| {
            let teams = teams.into_iter().map(TeamId).collect();
            (UserId(id), AssigneeFacts { is_admin, teams })
        });
        Ok(facts.collect())
    }

    async fn acting(&self, user: UserId) -> Result<Option<Person>, PortError> {
        let record = principal(&self.database, user).await;
        let record = record.map_err(|failure| failure.at(PORT))?;
        let active = record.filter(|record| record.status == UserStatus::Active);
        Ok(active.map(|record| record.person))
    }

    async fn rater(&self, user: UserId) -> Result<Option<RaterFacts>, PortError> {
        let sql = Sql::new(
            "SELECT name, email FROM users WHERE role = 'user' AND status = 'active' AND deleted_at IS NULL \
             AND email_verified_at IS NOT NULL AND id = ",
        )
        .bind(user);
        let row = self.database.row::<RaterRow>(PORT, sql).await?;
        Ok(row.map(|RaterRow { name, email }| RaterFacts { name, email }))
    }

    async fn is_requester(&self, user: UserId) -> Result<bool, PortError> {
        let sql = Sql::new("SELECT 1::bigint AS number FROM users WHERE id = ")
            .bind(user)
            .push(" AND deleted_at IS NULL AND status <> 'suspended'");
        Ok(self.database.row::<NumberRow>(PORT, sql).await?.is_some())
    }

    async fn team_exists(&self, team: TeamId) -> Result<bool, PortError> {
        let read = self
            .database
            .run(async |connection| {
                diesel::select(exists(teams::table.find(team.0)))
                    .get_result(connection)
                    .await
            })
            .await;
        read.map_err(|failure| failure.at(PORT))
    }

    async fn people(&self, ids: &[UserId]) -> Result<Vec<PersonCard>, PortError> {
        type Row = (
            Uuid,
            String,
            Option<String>,
            String,
            Option<chrono::DateTime<chrono::Utc>>,
        );
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let read = self
            .database
            .run(async |connection| {
                users::table
                    .filter(users::id.eq_any(&ids))
                    .select((
                        users::id,
                        users::name,
                        users::avatar_url,
                        users::email,
                        users::deleted_at,
                    ))
                    .load::<Row>(connection)
                    .await
            })
            .await;
        let card = |(id, name, avatar_url, email, deleted_at): Row| match deleted_at {
            None => PersonCard {
                id: UserId(id),
                name,
                avatar_url,
                email,
            },
            Some(_) => PersonCard {
                id: UserId(id),
                name: "Deleted user".to_owned(),
                avatar_url: None,
                email: String::new(),
            },
        };
        Ok(read
            .map_err(|failure| failure.at(PORT))?
            .into_iter()
            .map(card)
            .collect())
    }

    async fn teams(&self, ids: &[TeamId]) -> Result<Vec<TeamCard>, PortError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let read = self
            .database
            .run(async |connection| {
                teams::table
                    .filter(teams::id.eq_any(&ids))
                    .select((teams::id, teams::name))
                    .load::<(Uuid, String)>(connection)
                    .await
            })
            .await;
        let card = |(id, name)| TeamCard { id: TeamId(id), name };
        Ok(read
            .map_err(|failure| failure.at(PORT))?
            .into_iter()
            .map(card)
            .collect())
    }
}

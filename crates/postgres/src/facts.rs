//! Facts about the whole desk that its nodes must agree on: stated once, never changed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use kernel::PortError;

use crate::pool::Database;
use crate::schema::desk_facts;

const PORT: &str = "desk facts";

/// Facts in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgFacts {
    database: Database,
}

impl PgFacts {
    /// The facts of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The fact of that name.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn read(&self, name: &str) -> Result<Option<String>, PortError> {
        let read = self
            .database
            .run(async |connection| {
                desk_facts::table
                    .find(name)
                    .select(desk_facts::value)
                    .first(connection)
                    .await
                    .optional()
            })
            .await;
        read.map_err(|failure| failure.at(PORT))
    }

    /// States a fact unless it is stated already; gives the one that holds, the same to all who do so at once.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn state(&self, name: &str, value: &str) -> Result<String, PortError> {
        let stated = self
            .database
            .run(async |connection| {
                diesel::insert_into(desk_facts::table)
                    .values((desk_facts::name.eq(name), desk_facts::value.eq(value)))
                    .on_conflict_do_nothing()
                    .execute(connection)
                    .await?;
                // A row that another node is about to commit was waited for above.
                desk_facts::table
                    .find(name)
                    .select(desk_facts::value)
                    .first(connection)
                    .await
            })
            .await;
        stated.map_err(|failure| failure.at(PORT))
    }

    /// Puts `to` in the place of the fact `from`; gives the one that holds then.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn replace(&self, name: &str, from: &str, to: &str) -> Result<Option<String>, PortError> {
        let replaced = self
            .database
            .run(async |connection| {
                diesel::update(desk_facts::table.find(name).filter(desk_facts::value.eq(from)))
                    .set(desk_facts::value.eq(to))
                    .execute(connection)
                    .await
            })
            .await;
        replaced.map_err(|failure| failure.at(PORT))?;
        self.read(name).await
    }
}

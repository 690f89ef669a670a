//! Categories in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::QueryResult;
use diesel::sql_types::BigInt;
use kernel::{PortError, Version};
use knowledge::{
    CATEGORIES_MAX, Category, CategoryCommit, CategoryCommitError, CategoryId, CategoryName, CategoryStore,
    CategoryWrite, Description, Icon, Place, Revision, Slug, Tree,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::moment::Moment;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::kb_categories;
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "categories";
/// More rows than we let there be, for those that others made.
const ROWS_MAX: usize = 10 * CATEGORIES_MAX;

/// Categories in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgCategories {
    database: Database,
}

impl PgCategories {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = kb_categories)]
struct CategoryRow {
    id: Uuid,
    name: String,
    slug: String,
    description: Option<String>,
    parent_id: Option<Uuid>,
    icon: Option<String>,
    order: i32,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
    version: i32,
}

/// A category, beside the revision of the tree.
#[derive(QueryableByName)]
struct TreeRow {
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(embed)]
    category: Option<CategoryRow>,
}

const COLUMNS: &str =
    "id, name, slug, description, parent_id, icon, \"order\", created_at, updated_at, version";

/// [`COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, name text, slug text, description text, parent_id uuid, icon text, \"order\" integer, \
    created_at timestamptz, updated_at timestamptz, version integer)";

impl CategoryRow {
    fn into_category(self) -> Category {
        let Self {
            id,
            name,
            slug,
            description,
            parent_id,
            icon,
            order,
            created_at,
            updated_at,
            version,
        } = self;
        Category {
            id: CategoryId(id),
            name: CategoryName::stored(name),
            slug: Slug::stored(slug),
            description: description.map(Description::stored),
            parent: parent_id.map(CategoryId),
            icon: icon.map(Icon::stored),
            place: Place::stored(order),
            created_at,
            updated_at,
            version: Version(version),
        }
    }
}

fn record(category: &Category) -> Value {
    let Category {
        id,
        name,
        slug,
        description,
        parent,
        icon,
        place,
        created_at,
        updated_at,
        version,
    } = category;
    json!([{
        "id": id.0,
        "name": name.as_str(),
        "slug": slug.as_str(),
        "description": description.as_ref().map(Description::as_str),
        "parent_id": parent.map(|parent| parent.0),
        "icon": icon.as_ref().map(Icon::as_str),
        "order": place.number(),
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version.0,
    }])
}

#[async_trait]
impl CategoryStore for PgCategories {
    async fn tree(&self) -> Result<(Tree, Revision), PortError> {
        let sql = Sql::new(
            "SELECT t.revision, c.* FROM kb_tree t LEFT JOIN kb_categories c ON true ORDER BY c.created_at, c.id LIMIT ",
        )
        .bind(i64::try_from(ROWS_MAX).unwrap_or(i64::MAX));
        let rows: Vec<TreeRow> = self.database.rows(PORT, sql).await?;
        let revision = Revision(rows.first().map_or(0, |row| row.revision));
        let categories = rows.into_iter().filter_map(|row| row.category);
        let tree = Tree::of(categories.map(CategoryRow::into_category).collect());
        Ok((tree, revision))
    }

    async fn commit(&self, commit: CategoryCommit) -> Result<(), CategoryCommitError> {
        let run = self
            .database
            .run(async |connection| {
                let sql = statement(&commit)?;
                diesel_async::RunQueryDsl::get_result::<NumberRow>(&sql, connection).await
            })
            .await;
        match run {
            Ok(NumberRow { number: 0 }) => Err(CategoryCommitError::Stale),
            Ok(NumberRow { .. }) => Ok(()),
            Err(failure) if is_repeated(&failure) => Err(CategoryCommitError::Repeated),
            Err(failure) => match failure.constraint() {
                Some("kb_articles_category_id_fkey") => Err(CategoryCommitError::HasArticles),
                // Made between by a program that knows nothing of revisions: the tree is read anew.
                Some("kb_categories_slug_key" | "kb_categories_parent_id_fkey") => {
                    Err(CategoryCommitError::Stale)
                }
                Some(_) | None => Err(CategoryCommitError::Port(failure.at(PORT))),
            },
        }
    }
}

fn statement(commit: &CategoryCommit) -> QueryResult<Sql> {
    let CategoryCommit {
        revision: Revision(revision),
        write,
        event,
        receipt,
    } = commit;
    let sql = Sql::new("WITH held AS MATERIALIZED (SELECT revision FROM kb_tree WHERE revision = ")
        .bind(*revision)
        .push(" FOR UPDATE), done AS (");
    let mut sql = match write {
        CategoryWrite::Insert(category) => sql
            .push("INSERT INTO kb_categories (")
            .push(COLUMNS)
            .push(") SELECT r.* FROM held, jsonb_to_recordset(")
            .bind(record(category))
            .push(") AS r ")
            .push(RECORD)
            .push(" RETURNING id"),
        CategoryWrite::Update(category) => sql
            .push(
                "UPDATE kb_categories t SET name = r.name, slug = r.slug, description = r.description, \
                 parent_id = r.parent_id, icon = r.icon, \"order\" = r.\"order\", updated_at = r.updated_at, \
                 version = r.version FROM held, jsonb_to_recordset(",
            )
            .bind(record(category))
            .push(") AS r ")
            .push(RECORD)
            .push(" WHERE t.id = r.id RETURNING t.id"),
        CategoryWrite::Delete(id) => sql
            .push("DELETE FROM kb_categories t USING held WHERE t.id = ")
            .bind(id.0)
            .push(" RETURNING t.id"),
    };
    let insert = insert_events(std::slice::from_ref(event), Some("done"))?;
    sql = sql.push("), new_event AS (").append(insert).push(")");
    if let Some(receipt) = receipt {
        let insert = insert_receipt(receipt, Some("done"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT count(*) AS number FROM done"))
}

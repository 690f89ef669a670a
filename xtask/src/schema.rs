//! Writes `crates/postgres/src/schema.rs` from the catalogue of a database that the migrations made, and tells
//! whether the file that is there still says the same.
//!
//! It runs the migrations' own SQL files and names nothing of the `postgres` crate, so that a `schema.rs` that does
//! not compile cannot keep itself from being made again. Tables come out in the order of their names, columns in the
//! order of the table. Views are left out: they have no key and their columns no `NOT NULL`.
//!
//! A type that diesel has no name for, every enum among them, becomes a struct in `sql_types`; `enums.rs` beside the
//! schema says which Rust type an enum is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use local_postgres::Cluster;
use tokio_postgres::{Client, NoTls};

use crate::Outcome;
use crate::postgres::made_sure;

/// Where the generated file stands, from the workspace's root.
const SCHEMA_FILE: &str = "crates/postgres/src/schema.rs";
/// Names a server to use instead of a throwaway one.
const VAR_TEST_POSTGRES: &str = "INSIGHTDESK_TEST_POSTGRES";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Change nothing, and fail when the file is not what the migrations make.
    #[arg(long)]
    check: bool,
}

/// What to do about a `schema.rs` that differs from the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Write,
    Check,
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let mode = if args.check { Mode::Check } else { Mode::Write };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no async runtime: {error}"))?;
    let done = match std::env::var(VAR_TEST_POSTGRES) {
        Ok(url) => runtime.block_on(compare(&url, mode)),
        Err(_) => {
            let programs = made_sure(None)?;
            runtime.block_on(async {
                let cluster = Cluster::scratch_of(programs).await?;
                let done = compare(&cluster.url("postgres"), mode).await;
                cluster.stop().await;
                done
            })
        }
    };
    done.map(|()| ExitCode::SUCCESS)
        .map_err(|error| error.to_string())
}

/// Compares `schema.rs` with what the migrations make in a database of its own on the server, and writes it in
/// [`Mode::Write`].
async fn compare(server_url: &str, mode: Mode) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = generate(&root.join("migrations"), server_url).await?;
    let path = root.join(SCHEMA_FILE);
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    if present == text {
        return Ok(());
    }
    match mode {
        Mode::Write => Ok(std::fs::write(&path, text)?),
        Mode::Check => Err(format!(
            "{SCHEMA_FILE} is not what the migrations make ({}); run `cargo xtask schema`",
            first_difference(&present, &text)
        )
        .into()),
    }
}

/// The text of `schema.rs` for the migrations in the folder.
async fn generate(migrations: &Path, server_url: &str) -> Result<String, Failure> {
    let config: tokio_postgres::Config = server_url.parse()?;
    let server = connect(&config).await?;
    let name = format!("schema_{}", std::process::id());
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    server.batch_execute(&drop).await?;
    server.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let text = async {
        let mut own = config.clone();
        let client = connect(own.dbname(&name)).await?;
        migrate(&client, migrations).await?;
        render(&client).await
    }
    .await;
    server.batch_execute(&drop).await?;
    text
}

async fn connect(config: &tokio_postgres::Config) -> Result<Client, Failure> {
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client.
    tokio::runtime::Handle::current().spawn(connection);
    Ok(client)
}

async fn migrate(client: &Client, migrations: &Path) -> Result<(), Failure> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(migrations)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    for folder in folders {
        let up = folder.join("up.sql");
        if up.exists() {
            let sql = std::fs::read_to_string(&up)?;
            client
                .batch_execute(&sql)
                .await
                .map_err(|error| format!("{}: {error}", up.display()))?;
        }
    }
    Ok(())
}

struct Column {
    name: String,
    type_name: String,
    is_array: bool,
    nullable: bool,
    max_length: Option<i32>,
}

const COLUMNS: &str = "
    SELECT c.relname::text, a.attname::text, coalesce(e.typname, t.typname)::text, e.oid IS NOT NULL, NOT a.attnotnull,
           CASE WHEN t.typname = 'varchar' AND a.atttypmod > 4 THEN a.atttypmod - 4 END
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND c.relname <> '__diesel_schema_migrations'
    ORDER BY c.relname COLLATE \"C\", a.attnum";

const PRIMARY_KEYS: &str = "
    SELECT c.relname::text, a.attname::text
    FROM pg_constraint p
    JOIN pg_class c ON c.oid = p.conrelid
    CROSS JOIN LATERAL unnest(p.conkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
    WHERE p.contype = 'p' AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname COLLATE \"C\", k.place";

const FOREIGN_KEYS: &str = "
    SELECT c.relname::text, r.relname::text, a.attname::text
    FROM pg_constraint f
    JOIN pg_class c ON c.oid = f.conrelid
    JOIN pg_class r ON r.oid = f.confrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
    WHERE f.contype = 'f' AND c.relnamespace = 'public'::regnamespace AND cardinality(f.conkey) = 1
    ORDER BY c.relname COLLATE \"C\", r.relname COLLATE \"C\", a.attnum";

async fn render(client: &Client) -> Result<String, Failure> {
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in client.query(COLUMNS, &[]).await? {
        tables.entry(row.get(0)).or_default().push(Column {
            name: row.get(1),
            type_name: row.get(2),
            is_array: row.get(3),
            nullable: row.get(4),
            max_length: row.get(5),
        });
    }
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in client.query(PRIMARY_KEYS, &[]).await? {
        keys.entry(row.get(0)).or_default().push(row.get(1));
    }
    let mut links: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in client.query(FOREIGN_KEYS, &[]).await? {
        links
            .entry((row.get(0), row.get(1)))
            .or_default()
            .push(row.get(2));
    }

    let mut text = String::from(
        "//! The tables as diesel knows them. Made from the catalogue of a migrated database by `cargo xtask schema`;\n\
         //! a test keeps the two equal.\n\n",
    );
    render_types(&mut text, &tables)?;
    for (table, columns) in &tables {
        let key = keys
            .get(table)
            .ok_or_else(|| format!("table {table} has no primary key"))?;
        render_table(&mut text, table, columns, key)?;
    }
    text.push('\n');
    for ((child, parent), columns) in &links {
        // Two keys to one parent leave no single meaning of a join; a table's key to itself has none either.
        if let [column] = columns.as_slice()
            && child != parent
        {
            writeln!(
                text,
                "diesel::joinable!({child} -> {parent} ({}));",
                rust_name(column)
            )?;
        }
    }
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    writeln!(
        text,
        "\ndiesel::allow_tables_to_appear_in_same_query!(\n    {},\n);",
        names.join(",\n    ")
    )?;
    Ok(text)
}

fn render_types(text: &mut String, tables: &BTreeMap<String, Vec<Column>>) -> Result<(), Failure> {
    let own: BTreeSet<&str> = tables
        .values()
        .flatten()
        .map(|column| column.type_name.as_str())
        .filter(|name| builtin(name).is_none())
        .collect();
    text.push_str("/// Types of the database that diesel has no name for.\n#[expect(unreachable_pub, reason = \"the tables, which are public to diesel, name them\")]\npub mod sql_types {\n");
    for (index, name) in own.iter().enumerate() {
        let blank = if index == 0 { "" } else { "\n" };
        let rust = camel(name);
        writeln!(
            text,
            "{blank}    \
             #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]\n    \
             #[diesel(postgres_type(name = \"{name}\"))]\n    pub struct {rust};"
        )?;
    }
    text.push_str("}\n");
    Ok(())
}

fn render_table(text: &mut String, table: &str, columns: &[Column], key: &[String]) -> Result<(), Failure> {
    text.push_str("\ndiesel::table! {\n    use diesel::sql_types::*;\n");
    let own: BTreeSet<String> = columns
        .iter()
        .filter(|column| builtin(&column.type_name).is_none())
        .map(|column| camel(&column.type_name))
        .collect();
    for name in own {
        writeln!(text, "    use super::sql_types::{name};")?;
    }
    let key: Vec<String> = key.iter().map(|column| rust_name(column)).collect();
    writeln!(text, "\n    {table} ({}) {{", key.join(", "))?;
    for column in columns {
        if let Some(length) = column.max_length {
            writeln!(text, "        #[max_length = {length}]")?;
        }
        let name = rust_name(&column.name);
        if name != column.name {
            writeln!(text, "        #[sql_name = \"{}\"]", column.name)?;
        }
        writeln!(text, "        {name} -> {},", sql_type(column))?;
    }
    text.push_str("    }\n}\n");
    Ok(())
}

fn sql_type(column: &Column) -> String {
    let mut name = builtin(&column.type_name).map_or_else(|| camel(&column.type_name), str::to_owned);
    if column.is_array {
        name = format!("Array<Nullable<{name}>>");
    }
    if column.nullable {
        format!("Nullable<{name}>")
    } else {
        name
    }
}

fn builtin(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "bool" => "Bool",
        "bytea" => "Bytea",
        "date" => "Date",
        "float4" => "Float4",
        "float8" => "Float8",
        "inet" => "Inet",
        "int2" => "Int2",
        "int4" => "Int4",
        "int8" => "Int8",
        "interval" => "Interval",
        "json" => "Json",
        "jsonb" => "Jsonb",
        "numeric" => "Numeric",
        "text" => "Text",
        "time" => "Time",
        "timestamp" => "Timestamp",
        "timestamptz" => "Timestamptz",
        "uuid" => "Uuid",
        "varchar" => "Varchar",
        _ => return None,
    })
}

/// `UserRole` as it is; `xid8` as `Xid8`, `some_type` as `SomeType`.
fn camel(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
        })
        .collect()
}

/// A column's name in Rust: with an underscore after it where Rust or diesel keeps the word for itself.
fn rust_name(column: &str) -> String {
    const KEPT: &[&str] = &[
        "as", "box", "for", "in", "loop", "match", "mod", "ref", "self", "type", "use", "where",
    ];
    if KEPT.contains(&column) {
        format!("{column}_")
    } else {
        column.to_owned()
    }
}

fn first_difference(present: &str, made: &str) -> String {
    let mut lines = present.lines();
    for (index, line) in made.lines().enumerate() {
        if lines.next() != Some(line) {
            return format!("first at line {}: `{}`", index + 1, line.trim());
        }
    }
    "it has lines too many at its end".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UPDATE_SCHEMA=1` in the environment it writes the file instead.
    #[tokio::test]
    async fn the_schema_is_what_the_migrations_make() {
        let update = std::env::var("UPDATE_SCHEMA").is_ok_and(|value| value == "1");
        let mode = if update { Mode::Write } else { Mode::Check };
        let cluster;
        let url = match std::env::var(VAR_TEST_POSTGRES) {
            Ok(url) => url,
            Err(_) => {
                cluster = Cluster::scratch().await.unwrap();
                cluster.url("postgres")
            }
        };
        compare(&url, mode).await.unwrap();
    }

    #[test]
    fn names_become_rusts_own() {
        assert_eq!(camel("UserRole"), "UserRole");
        assert_eq!(camel("some_type"), "SomeType");
        assert_eq!(rust_name("type"), "type_");
        assert_eq!(rust_name("read"), "read");
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), "first at line 2: `c`");
        assert_eq!(
            first_difference("a\nb\n", "a\n"),
            "it has lines too many at its end"
        );
    }
}

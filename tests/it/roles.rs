//! The database's two roles: the owner of the schema, and the server, which cannot change it.

use desk::app::TestDesk;
use desk::database::{empty_database, server_url};
use kernel::Role;
use server::config::{Config, Secret};
use server::desk::{Desk, OpenError};
use server::embedded::Company;

const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The URL with another user in it.
fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, rest) = rest.split_once('@').unwrap();
    format!("{scheme}://{user}@{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_migrates_and_the_server_works_with_what_it_was_granted() {
    let database = empty_database().await;
    // Roles are the whole server's; these are this test's own.
    let name = database.rows("SELECT current_database()").await[0][0]
        .clone()
        .unwrap();
    let (owner, app) = (format!("owner_{name}"), format!("app_{name}"));
    database
        .batch(&format!(
            "DROP ROLE IF EXISTS {owner}; DROP ROLE IF EXISTS {app}; \
             CREATE ROLE {owner} LOGIN; CREATE ROLE {app} LOGIN; ALTER DATABASE {name} OWNER TO {owner}"
        ))
        .await;
    let secret = |url: &str| Some(Secret::new(url));
    let (owner_url, app_url) = (
        as_user(database.owner_url(), &owner),
        as_user(database.owner_url(), &app),
    );
    let two = Config {
        database_url: secret(&app_url),
        database_owner_url: secret(&owner_url),
        secret_key: secret(SECRET),
        ..Config::default()
    };
    let one = Config {
        database_owner_url: None,
        ..two.clone()
    };

    // Alone, the server's role cannot make the schema, and says what would.
    let refused = Desk::open(&one, Company::Guest).await.unwrap_err();
    assert!(matches!(refused, OpenError::Migrate(_)), "{refused:?}");
    assert!(
        server::failure::one_line(&refused).contains("database-owner-url"),
        "{refused}"
    );

    // Two nodes at once: one migrates, both grant.
    let (first, second) = tokio::join!(Desk::open(&two, Company::Guest), Desk::open(&two, Company::Guest));
    let (first, second) = (first.unwrap(), second.unwrap());
    let role = first.database.role().await.unwrap();
    assert_eq!(
        (role.name.as_str(), role.is_superuser, role.changes_schema),
        (app.as_str(), false, false)
    );
    second.close().await;
    first.close().await;

    // Once it is there, a server without the owner's URL runs, too.
    let alone = Desk::open(&one, Company::Guest).await.unwrap();
    assert!(alone.accounts.open_setup().await.unwrap().is_some());
    alone.close().await;
    let owned = database
        .number(&format!(
            "SELECT count(*) FROM pg_class WHERE relowner = '{app}'::regrole"
        ))
        .await;
    assert_eq!(owned, 0);

    let same = Config {
        database_url: secret(&owner_url),
        ..two
    };
    let refused = Desk::open(&same, Company::Guest).await.unwrap_err();
    assert!(matches!(refused, OpenError::Roles(_)), "{refused:?}");

    drop(database);
    let server = postgres::testing::TestDatabase::create_empty(&server_url().await).await;
    server.batch(&format!("DROP ROLE {app}; DROP ROLE {owner}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_whole_desk_is_tested_as_such_a_role() {
    let desk = TestDesk::start().await;
    let _ = desk.person("ada", Role::Admin).await;
    let role = desk.desk.database.role().await.unwrap();
    assert_eq!(
        (role.name.as_str(), role.is_superuser, role.changes_schema),
        (server::embedded::SERVER_ROLE, false, false)
    );
}

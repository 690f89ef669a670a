//! A database for each test.
//!
//! They lie on the server that `INSIGHTDESK_TEST_POSTGRES` names (`cargo xtask test` starts one for a whole run), else
//! on a throwaway one that this process starts for itself and that goes with it.

use local_postgres::Cluster;
use tokio::sync::OnceCell;

pub use postgres::testing::TestDatabase;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A migrated, empty database of the test's own, to be used as the server's role, which can do with it what a server
/// needs and no more. It goes when it is dropped.
///
/// # Panics
/// When there is no PostgreSQL: the test cannot go on.
pub async fn test_database() -> TestDatabase {
    TestDatabase::create_for_server(&server_url().await).await
}

/// The same without a schema, for tests of the first start.
///
/// # Panics
/// When there is no PostgreSQL: the test cannot go on.
pub async fn empty_database() -> TestDatabase {
    TestDatabase::create_empty(&server_url().await).await
}

/// The URL of a superuser on the tests' server.
///
/// # Panics
/// When there is no PostgreSQL: the test cannot go on.
#[expect(clippy::expect_used, reason = "a test without its server ends here")]
pub async fn server_url() -> String {
    if let Ok(url) = std::env::var("INSIGHTDESK_TEST_POSTGRES") {
        return url;
    }
    let start = async || Cluster::scratch().await.expect("start a throwaway PostgreSQL");
    CLUSTER.get_or_init(start).await.url("postgres")
}

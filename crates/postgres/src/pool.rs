//! The way to PostgreSQL: a bounded pool, time limits on everything, and the rules of trying again.
//!
//! Every adapter holds a [`Database`] and does its work in [`Database::run`], which lends a connection, bounds the time,
//! runs the work again where two transactions met, and throws a connection away that cannot be trusted any more. Work
//! that is dropped half way (a client went away, a deadline passed) takes its connection with it: the next borrower
//! must never wait behind a stranger's statement or join a stranger's transaction.
//!
//! Connections are made on the runtime that made the [`Database`], whatever runtime borrows them: a connection's driver
//! lives where the connection was made, and a web worker's runtime may be busy.

use std::ops::DerefMut as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Timeouts};
use diesel::pg::Pg;
use diesel::{ConnectionError, ConnectionResult, OptionalExtension as _, QueryResult, QueryableByName};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use kernel::PortError;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::error::{Failure, Verdict, assess};
use crate::jitter;
use crate::settings::{Settings, SettingsError, Target};
use crate::sql::Sql;
use crate::wake_ups::WakeUps;

/// The longest wait for a free connection, for making one, and for looking one over.
const POOL_WAIT_MAX: Duration = Duration::from_secs(2);
/// The longest that one piece of work may take, its repetitions included. Above the statement timeout: PostgreSQL is to
/// say it first, and this is for one that says nothing.
const WORK_TIME_MAX: Duration = Duration::from_secs(8);
/// How often work is run again after it met another transaction.
const RUNS_AGAIN_MAX: u32 = 5;
/// How long a health check may take, all in all.
const PING_TIME_MAX: Duration = Duration::from_secs(2);
/// While the server refuses connections, it is tried no more often than this.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A PostgreSQL database with the pool of connections to it. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
    /// Of one connection: a health check answers although the pool is used up.
    reserved: Pool<AsyncPgConnection>,
    pub(crate) target: Arc<Target>,
    wake_ups: Arc<WakeUps>,
    /// How often a connection was lent.
    lent: Arc<AtomicU64>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.pool.status();
        f.debug_struct("Database")
            .field("pool", &status)
            .finish_non_exhaustive()
    }
}

/// Why there is no database to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The settings cannot be followed.
    #[error("the settings of the database cannot be used")]
    Settings(#[from] SettingsError),
    /// The server could not be reached in time.
    #[error("the database could not be reached")]
    Unreachable(#[source] PortError),
}

impl Database {
    /// A database by these settings, reached at least once. Tries for as long as `settings.start_patience` says. Must
    /// be called on the runtime on which the connections are to live: the main, multi-threaded one.
    ///
    /// # Errors
    /// When the settings cannot be followed, or the server cannot be reached in time.
    pub async fn connect(settings: &Settings) -> Result<Self, ConnectError> {
        let database = Self::new(settings)?;
        let deadline = Instant::now() + settings.start_patience;
        let mut pause = Duration::from_millis(100);
        loop {
            match database.ping().await {
                Ok(()) => break,
                Err(error) if Instant::now() + pause >= deadline => {
                    return Err(ConnectError::Unreachable(error));
                }
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the database is not there yet"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
        database.check_language().await;
        Ok(database)
    }

    /// A database by these settings, without trying to reach it.
    ///
    /// # Errors
    /// When the settings cannot be followed.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let target = Arc::new(Target::new(settings)?);
        let gate = Arc::new(Gate::default());
        let runtime = Handle::current();
        let wake_ups = Arc::new(WakeUps::default());
        Ok(Self {
            pool: pool(&target, &gate, &runtime, settings.connections_max),
            reserved: pool(&target, &gate, &runtime, 1),
            target,
            wake_ups,
            lent: Arc::default(),
        })
    }

    /// Whether the database answers. Uses a connection of its own, so that it can tell although the pool is used up.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), PortError> {
        let work = async |connection: &mut AsyncPgConnection| connection.batch_execute("SELECT 1").await;
        let ping = run_once(
            &self.reserved,
            Instant::now() + PING_TIME_MAX,
            PING_TIME_MAX,
            &work,
        );
        ping.await.map_err(|failure| failure.at("database"))
    }

    /// Closes every connection as it comes back. Borrowing fails from now on.
    pub fn close(&self) {
        self.pool.close();
        self.reserved.close();
    }

    /// How the outbox's reader is woken, in this process and others.
    #[must_use]
    pub fn wake_ups(&self) -> Arc<WakeUps> {
        Arc::clone(&self.wake_ups)
    }

    /// The rows of one statement, which `port` reports the failure of.
    ///
    /// # Errors
    /// As [`run`](Self::run), none of them with a meaning of its own.
    pub(crate) async fn rows<R>(&self, port: &'static str, sql: Sql) -> Result<Vec<R>, PortError>
    where
        R: QueryableByName<Pg> + Send + 'static,
    {
        let read = self
            .run(async |connection| (&sql).load::<R>(connection).await)
            .await;
        read.map_err(|failure| failure.at(port))
    }

    /// The first row of one statement, if it has any; as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub(crate) async fn row<R>(&self, port: &'static str, sql: Sql) -> Result<Option<R>, PortError>
    where
        R: QueryableByName<Pg> + Send + 'static,
    {
        let read = self
            .run(async |connection| (&sql).get_result::<R>(connection).await.optional())
            .await;
        read.map_err(|failure| failure.at(port))
    }

    /// How many rows one statement changed; as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub(crate) async fn affected(&self, port: &'static str, sql: Sql) -> Result<u64, PortError> {
        let run = self
            .run(async |connection| (&sql).execute(connection).await)
            .await;
        run.map(|rows| rows as u64).map_err(|failure| failure.at(port))
    }

    /// The row of one statement that runs once `lock` has locked what it must find standing still, if it must. The lock is a
    /// statement of its own, so that the other sees what was committed until it was had.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn row_behind<R>(&self, lock: Option<&Sql>, sql: &Sql) -> Result<R, Failure>
    where
        R: QueryableByName<Pg> + Send + 'static,
    {
        self.run(async |connection| {
            let Some(lock) = lock else {
                return sql.get_result::<R>(connection).await;
            };
            connection
                .transaction(async |connection| {
                    lock.execute(connection).await?;
                    sql.get_result::<R>(connection).await
                })
                .await
        })
        .await
    }

    /// Lends a connection to `work` and gives what it gives. Where two transactions met, the work is run again, up to
    /// five times: it must therefore be a transaction or a single statement, and must have no effect elsewhere. The
    /// closure is `async |connection|` without `move`: it borrows what it needs, for it may be called again.
    ///
    /// # Errors
    /// What the work failed with, or that there was no connection or no time.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send,
        F: for<'r> AsyncFn(&'r mut AsyncPgConnection) -> QueryResult<T>
            + for<'r> Work<&'r mut AsyncPgConnection, QueryResult<T>, Fut: Send>
            + Sync,
    {
        let deadline = Instant::now() + WORK_TIME_MAX;
        let mut runs = 0;
        self.lent.fetch_add(1, Ordering::Relaxed);
        loop {
            let failure = match run_once(&self.pool, deadline, WORK_TIME_MAX, &work).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let again = match &failure {
                Failure::Query(error) => match assess(error) {
                    Verdict::RunAgain | Verdict::Reconnect => runs < RUNS_AGAIN_MAX,
                    Verdict::Lost | Verdict::Busy | Verdict::Ours => false,
                },
                Failure::NoConnection(_) | Failure::TimedOut { .. } => false,
            };
            if !again {
                return Err(failure);
            }
            runs += 1;
            tokio::time::sleep(jitter::between(
                Duration::from_millis(5),
                Duration::from_millis(50 * u64::from(runs)),
            ))
            .await;
        }
    }

    /// How often a connection was lent since the start: for a statement, or for a transaction.
    #[must_use]
    pub fn lent(&self) -> u64 {
        AtomicU64::load(&self.lent, Ordering::Relaxed)
    }

    /// Says once how to make a server that speaks another language understood.
    async fn check_language(&self) {
        use diesel_async::RunQueryDsl as _;

        #[derive(diesel::QueryableByName)]
        struct Language {
            #[diesel(sql_type = diesel::sql_types::Text)]
            lc_messages: String,
        }
        let read = self
            .run(async |connection| {
                diesel::sql_query("SHOW lc_messages")
                    .get_result::<Language>(connection)
                    .await
            })
            .await;
        if let Ok(Language { lc_messages }) = read
            && !["", "C", "POSIX"].contains(&lc_messages.as_str())
            && !lc_messages.starts_with("C.")
            && !lc_messages.starts_with("en")
        {
            tracing::warn!(
                lc_messages,
                "the database speaks another language than English, by which its timeouts and deadlocks are not \
                 recognised: a superuser should run ALTER ROLE … SET lc_messages = 'C'"
            );
        }
    }
}

/// An async closure over a borrowed connection whose future may move between threads; closures fit by themselves.
pub(crate) trait Work<In, Out>: AsyncFn(In) -> Out + Fn(In) -> <Self as Work<In, Out>>::Fut {
    /// The closure's future.
    type Fut: Future<Output = Out>;
}

impl<F, In, Fut, Out> Work<In, Out> for F
where
    F: AsyncFn(In) -> Out + Fn(In) -> Fut,
    Fut: Future<Output = Out>,
{
    type Fut = Fut;
}

async fn run_once<T, F>(
    pool: &Pool<AsyncPgConnection>,
    deadline: Instant,
    allowed: Duration,
    work: &F,
) -> Result<T, Failure>
where
    T: Send,
    F: for<'r> AsyncFn(&'r mut AsyncPgConnection) -> QueryResult<T>
        + for<'r> Work<&'r mut AsyncPgConnection, QueryResult<T>, Fut: Send>
        + Sync,
{
    let secs = allowed.as_secs();
    let Ok(lent) = tokio::time::timeout_at(deadline, pool.get()).await else {
        return Err(Failure::TimedOut { secs });
    };
    let mut connection = Lent(Some(lent.map_err(no_connection)?));
    let result = {
        let connection: &mut AsyncPgConnection = connection.connection()?;
        tokio::time::timeout_at(deadline, work(connection)).await
    };
    match result {
        Ok(Ok(value)) => {
            connection.give_back();
            Ok(value)
        }
        Ok(Err(error)) => {
            match assess(&error) {
                Verdict::RunAgain | Verdict::Busy | Verdict::Ours => connection.give_back(),
                Verdict::Reconnect | Verdict::Lost => {}
            }
            Err(Failure::Query(error))
        }
        Err(_) => Err(Failure::TimedOut { secs }),
    }
}

/// Why none could be had; the pool's own text would say the driver's twice.
fn no_connection(error: deadpool::managed::PoolError<PoolError>) -> Failure {
    match error {
        deadpool::managed::PoolError::Backend(PoolError::ConnectionError(error)) => {
            Failure::NoConnection(Box::new(error))
        }
        other => Failure::NoConnection(Box::new(other)),
    }
}

type Borrowed = Object<AsyncDieselConnectionManager<AsyncPgConnection>>;

/// A borrowed connection. Unless it is given back in so many words it is closed, because whoever dropped it may have
/// left a statement running on it.
struct Lent(Option<Borrowed>);

impl Lent {
    fn connection(&mut self) -> Result<&mut AsyncPgConnection, Failure> {
        match &mut self.0 {
            Some(object) => Ok(object.deref_mut()),
            None => Err(Failure::NoConnection("given back already".into())),
        }
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

fn pool(target: &Arc<Target>, gate: &Arc<Gate>, runtime: &Handle, size: usize) -> Pool<AsyncPgConnection> {
    let (target, gate, runtime) = (Arc::clone(target), Arc::clone(gate), runtime.clone());
    let mut config = ManagerConfig::default();
    // Looks for a closed socket and an open transaction, without a round trip.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let (target, gate) = (Arc::clone(&target), Arc::clone(&gate));
        let made = runtime.spawn(async move { gate.connect(&target).await });
        async move {
            made.await
                .unwrap_or_else(|error| Err(ConnectionError::BadConnection(error.to_string())))
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(String::new(), config);
    let builder = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(POOL_WAIT_MAX),
            create: Some(POOL_WAIT_MAX),
            recycle: Some(POOL_WAIT_MAX),
        });
    match builder.build() {
        Ok(pool) => pool,
        // The only failure there is: time limits without a runtime.
        Err(deadpool::managed::BuildError::NoRuntimeSpecified) => unreachable!("a runtime is given"),
    }
}

/// Keeps a server that refuses connections from being stormed: while it does, one attempt at a time is made, and the
/// others fail at once with what the last one said.
#[derive(Default)]
struct Gate(Mutex<GateState>);

#[derive(Default)]
struct GateState {
    refused: Option<(Instant, String)>,
    trying: bool,
}

impl Gate {
    async fn connect(&self, target: &Target) -> ConnectionResult<AsyncPgConnection> {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, reason)) = &state.refused {
                if state.trying || at.elapsed() < CONNECT_PAUSE {
                    return Err(ConnectionError::BadConnection(reason.clone()));
                }
                state.trying = true;
            }
        }
        let made = match tokio::time::timeout(POOL_WAIT_MAX, establish(target)).await {
            Ok(made) => made,
            Err(_) => Err(ConnectionError::BadConnection(
                "no answer while connecting".to_owned(),
            )),
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.trying = false;
        state.refused = made
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.to_string()));
        made
    }
}

/// Opens a connection outside of any pool.
pub(crate) async fn establish(target: &Target) -> ConnectionResult<AsyncPgConnection> {
    let (client, connection) = target
        .config
        .connect(target.tls.clone())
        .await
        .map_err(|error| ConnectionError::BadConnection(chain(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// An error's text with those of its sources: the driver's own says only which step failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use diesel::QueryableByName;
    use diesel::result::{DatabaseErrorKind, Error};
    use diesel::sql_types::Integer;
    use diesel_async::RunQueryDsl as _;
    use tokio::sync::Notify;

    use super::*;
    use crate::sql::Sql;
    use crate::testing::TestDatabase;
    use crate::testing::own::test_database;

    #[derive(QueryableByName)]
    struct Pid {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }

    async fn pid(database: &Database) -> i32 {
        let sql = Sql::new("SELECT pg_backend_pid() AS pid");
        database
            .run(async |connection| (&sql).get_result::<Pid>(connection).await)
            .await
            .unwrap()
            .pid
    }

    fn with(test: &TestDatabase, change: impl FnOnce(&mut Settings)) -> Database {
        let mut settings = test.settings().clone();
        settings.connections_max = 1;
        change(&mut settings);
        Database::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn work_that_met_another_transaction_is_run_again_five_times() {
        let test = test_database().await;
        let runs = AtomicU32::new(0);
        let fail_first = |times: u32| {
            if runs.fetch_add(1, Ordering::Relaxed) < times {
                let said = Box::new("could not serialize access".to_owned());
                return Err(Error::DatabaseError(
                    DatabaseErrorKind::SerializationFailure,
                    said,
                ));
            }
            Ok(())
        };
        test.database().run(async |_| fail_first(5)).await.unwrap();
        assert_eq!(runs.swap(0, Ordering::Relaxed), 6);
        let failure = test
            .database()
            .run(async |_| fail_first(6))
            .await
            .unwrap_err()
            .at("test");
        assert!(matches!(failure, PortError::Unavailable { .. }), "{failure:?}");
        assert_eq!(runs.swap(0, Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn two_transactions_that_lock_each_other_out_both_succeed() {
        let test = test_database().await;
        test.batch("CREATE TABLE pair (id int PRIMARY KEY, n int); INSERT INTO pair VALUES (1, 0), (2, 0)")
            .await;
        let met = AtomicU32::new(0);
        let both = tokio::sync::Barrier::new(2);
        let cross = async |first: i32, second: i32| {
            let work = async |connection: &mut AsyncPgConnection| {
                connection
                    .transaction(async |connection| {
                        let add = |id: i32| Sql::new("UPDATE pair SET n = n + 1 WHERE id = ").bind(id);
                        add(first).execute(connection).await?;
                        if met.fetch_add(1, Ordering::Relaxed) < 2 {
                            both.wait().await;
                        }
                        add(second).execute(connection).await
                    })
                    .await
            };
            test.database().run(work).await
        };
        let (one, other) = tokio::join!(cross(1, 2), cross(2, 1));
        one.unwrap();
        other.unwrap();
        assert_eq!(test.number("SELECT sum(n) FROM pair").await, 4);
        assert!(met.fetch_max(0, Ordering::Relaxed) > 2, "there was no deadlock");
    }

    #[tokio::test]
    async fn a_connection_that_the_server_ended_is_replaced() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        let ended = pid(&database).await;
        let cut = async |connection: &mut AsyncPgConnection| {
            connection
                .batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")
                .await
        };
        let failure = database.run(cut).await.unwrap_err().at("test");
        assert!(matches!(failure, PortError::Unavailable { .. }), "{failure:?}");
        assert_ne!(pid(&database).await, ended);
    }

    #[tokio::test]
    async fn a_plan_that_a_migration_made_stale_is_made_anew_unseen() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        test.batch("CREATE TABLE plan (pid integer); INSERT INTO plan VALUES (1)")
            .await;
        let sql = Sql::new("SELECT * FROM plan");
        for change in ["SELECT 1", "ALTER TABLE plan ADD COLUMN other integer"] {
            test.batch(change).await;
            let read = database
                .run(async |connection| (&sql).get_result::<Pid>(connection).await)
                .await;
            assert_eq!(read.unwrap().pid, 1);
        }
    }

    #[tokio::test]
    async fn a_connection_to_a_server_that_became_a_standby_is_dropped() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        let standby = pid(&database).await;
        let write = async |connection: &mut AsyncPgConnection| {
            connection
                .batch_execute("SET default_transaction_read_only = on")
                .await?;
            connection.batch_execute("DELETE FROM outbox").await
        };
        let failure = database.run(write).await.unwrap_err().at("test");
        assert!(matches!(failure, PortError::Unavailable { .. }), "{failure:?}");
        assert_ne!(pid(&database).await, standby);
    }

    #[tokio::test]
    async fn work_dropped_half_way_takes_its_connection_with_it() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        let left = pid(&database).await;
        let (started, hang) = (Notify::new(), Notify::new());
        let work = database.run(async |connection| {
            connection.batch_execute("BEGIN").await?;
            started.notify_one();
            hang.notified().await;
            Ok(())
        });
        tokio::select! {
            _ = work => unreachable!("it hangs"),
            () = started.notified() => {}
        }
        assert_ne!(pid(&database).await, left);
    }

    #[tokio::test]
    async fn a_pool_used_up_is_unavailable_and_health_still_answers() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        let (started, hang) = (Notify::new(), Notify::new());
        let holder = database.run(async |_| {
            started.notify_one();
            hang.notified().await;
            Ok(())
        });
        let other = async {
            started.notified().await;
            database.ping().await.unwrap();
            let failure = database.run(async |_| Ok(())).await.unwrap_err();
            assert!(matches!(failure, Failure::NoConnection(_)), "{failure:?}");
            assert!(matches!(failure.at("test"), PortError::Unavailable { .. }));
            hang.notify_one();
        };
        let (held, ()) = tokio::join!(holder, other);
        held.unwrap();
        pid(&database).await;
    }

    #[tokio::test]
    async fn a_statement_over_its_time_is_unavailable_and_the_connection_stays() {
        let test = test_database().await;
        let database = with(&test, |settings| {
            settings.statement_timeout = Duration::from_millis(50)
        });
        let before = pid(&database).await;
        let slow = database
            .run(async |connection| connection.batch_execute("SELECT pg_sleep(60)").await)
            .await;
        let failure = slow.unwrap_err().at("test");
        assert!(matches!(failure, PortError::Unavailable { .. }), "{failure:?}");
        assert_eq!(pid(&database).await, before);
    }

    #[tokio::test]
    async fn a_violated_constraint_is_told_by_name() {
        let test = test_database().await;
        let sql = "INSERT INTO teams (name) VALUES ('a'), ('a')";
        let failure = test
            .database()
            .run(async |connection| connection.batch_execute(sql).await)
            .await
            .unwrap_err();
        assert_eq!(failure.constraint(), Some("teams_name_key"));
        assert!(failure.to_string().contains("teams_name_key"), "{failure}");
        assert!(matches!(failure.at("test"), PortError::Bug { .. }));
    }

    #[tokio::test]
    async fn a_connection_outlives_the_runtime_that_borrowed_it_first() {
        let test = test_database().await;
        let database = with(&test, |_| ());
        let borrower = database.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(pid(&borrower))
        });
        let first = tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
        assert_eq!(pid(&database).await, first);
    }

    #[tokio::test]
    async fn a_server_that_refuses_is_not_stormed() {
        let mut settings = Settings::new("postgresql://nobody@127.0.0.1:1/none");
        settings.start_patience = Duration::ZERO;
        let failed = Database::connect(&settings).await;
        assert!(matches!(failed, Err(ConnectError::Unreachable(_))), "{failed:?}");
        let database = Database::new(&settings).unwrap();
        let start = Instant::now();
        for _ in 0..200 {
            database.run(async |_| Ok(())).await.unwrap_err();
        }
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "failed at once, not by connecting"
        );
    }
}

//! The desk: every service, wired to its ports.
//!
//! A [`Desk`] is what commands work with, what the server serves, and what tests use in process. To add a domain: make
//! its adapters and its service in [`Desk::assemble`], give it a field, and hand it to
//! [`Desk::http_state`] or [`Desk::worker`].

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use credentials::{
    AesSeal, Argon2Hasher, Hs256AccessTokens, KeyUse, MasterSecret, RingSecrets, SystemClock, UuidIds,
};
use events::{Outbox, Subscriber};
use http::app::{AppParts, AppState, HttpSettings};
use http::cursor::CursorKey;
use http::operator::MetricsText;
use identity::ports::{
    AccessTokens, PasswordHasher, Secrets, SessionStore, SetupStore, TeamStore, UserStore,
};
use identity::service::{AccountPorts, SessionPorts, SignOnPorts, TeamPorts};
use identity::{Accounts, Authenticator, PrincipalCache, Sessions, SignOn, Teams};
use kernel::{AnswerStore, Clock, IdSource, PortError};
use local_postgres::Cluster;
use notifications::{Inbox, NotificationStore, NotifyPeople};
use postgres::{
    ConnectError, Database, MigrateError, PgAnswers, PgDirectory, PgFacts, PgNotifications, PgOutbox,
    PgSessions, PgSetup, PgSignOn, PgTeams, PgTickets, PgUsers,
};
use ticketing::{AutoClose, Directory, Import, ImportStore, Markup, TicketStore, Tickets};
use worker::{Relay, Sweep, Worker};

use crate::bridges::{DatabaseHealth, Markdown};
use crate::config::Config;
use crate::embedded::{self, Company, EmbeddedError};
use crate::secret::{self, SecretError};
use crate::sign_on;

/// Who issues access tokens, and for whom. Part of every token: a change logs everyone out.
const TOKEN_ISSUER: &str = "insightdesk";
const TOKEN_AUDIENCE: &str = "insightdesk-api";
/// How long a closing desk waits for its PostgreSQL.
const CLUSTER_STOP_MAX: Duration = Duration::from_secs(5);

/// A database that takes longer to answer at the start is told of.
const CONNECT_SILENCE_MAX: Duration = Duration::from_secs(2);

/// How often silent tickets are looked for.
const AUTO_CLOSE_EVERY: Duration = Duration::from_secs(60);
/// How often old rows are forgotten, and how many at a time.
const FORGET_EVERY: Duration = Duration::from_secs(15 * 60);
const FORGET_ROWS_MAX: i64 = 1_000;
/// How long delivered events are kept, for whoever looks into what happened.
const DELIVERED_EVENTS_KEPT: TimeDelta = TimeDelta::days(7);
/// How long the answers to requests with an idempotency key are kept.
const REQUEST_ANSWERS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its own PostgreSQL does not run.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The database is out of reach.
    #[error("there is no database to work with; check database-url, and that PostgreSQL runs there")]
    Connect(#[from] ConnectError),
    /// The schema is not up to date, and could not be brought there.
    #[error("the database could not be brought up to date")]
    Migrate(#[from] MigrateError),
    /// The secret is missing, or another desk's.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a desk is made of.
pub struct Basis {
    /// The database, with the present schema.
    pub database: Database,
    /// The secret of the installation.
    pub secret: MasterSecret,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

/// Every service of the desk.
pub struct Desk {
    /// The configuration by which it was made.
    pub config: Config,
    /// The database.
    pub database: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Sessions.
    pub sessions: Arc<Sessions>,
    /// Single sign-on.
    pub sign_on: Arc<SignOn>,
    /// Teams.
    pub teams: Arc<Teams>,
    /// Who a request comes from.
    pub authenticator: Arc<Authenticator>,
    /// Keeps accounts: for commands that look people up.
    pub users: Arc<dyn UserStore>,
    /// Tickets.
    pub tickets: Arc<Tickets>,
    /// Brings tickets in from elsewhere.
    pub import: Arc<Import>,
    /// People's notifications.
    pub inbox: Arc<Inbox>,
    /// Turns events into notifications.
    pub notify_people: Arc<NotifyPeople>,
    /// Events that wait to be delivered.
    pub outbox: Arc<PgOutbox>,
    /// The first answers to requests with an idempotency key.
    pub answers: Arc<PgAnswers>,
    cursors: CursorKey,
    cluster: Option<Cluster>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Desk {
    /// Opens the desk of this configuration: its PostgreSQL runs and has the present schema, its secret is the right
    /// one. Must be called on the main, multi-threaded runtime, where connections are to live.
    ///
    /// # Errors
    /// As [`OpenError`] says. Nothing is left running then.
    pub async fn open(config: &Config, company: Company) -> Result<Self, OpenError> {
        let (url, cluster) = match &config.database_url {
            Some(url) => (url.expose().to_owned(), None),
            None => {
                let embedded = embedded::start(&config.data_dir, company).await?;
                (embedded.url, embedded.cluster)
            }
        };
        match Self::open_at(url, config).await {
            Ok(desk) => Ok(Self { cluster, ..desk }),
            Err(error) => {
                if let Some(cluster) = cluster {
                    cluster.stop().await;
                }
                Err(error)
            }
        }
    }

    async fn open_at(url: String, config: &Config) -> Result<Self, OpenError> {
        let mut settings = postgres::Settings::new(url);
        settings.connections_max = config.database_connections;
        let database = connect(&settings).await?;
        let migrated = database.migrate().await?;
        if !migrated.is_empty() {
            tracing::info!(versions = ?migrated, "brought the database up to date");
        }
        let facts = PgFacts::new(database.clone());
        let secret = secret::agree(config, &facts).await?;
        Ok(Self::from_database(database, secret, config)?)
    }

    /// A desk on a database that has the present schema.
    ///
    /// # Errors
    /// When passwords cannot be hashed.
    pub fn from_database(
        database: Database,
        secret: MasterSecret,
        config: &Config,
    ) -> Result<Self, PortError> {
        let basis = Basis {
            database,
            secret,
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds),
        };
        Self::assemble(basis, config)
    }

    /// A desk on this basis.
    ///
    /// # Errors
    /// When passwords cannot be hashed.
    pub fn assemble(basis: Basis, config: &Config) -> Result<Self, PortError> {
        let Basis {
            database,
            secret,
            clock,
            ids,
        } = basis;

        let users: Arc<dyn UserStore> = Arc::new(PgUsers::new(database.clone()));
        let session_store: Arc<dyn SessionStore> = Arc::new(PgSessions::new(database.clone()));
        let team_store: Arc<dyn TeamStore> = Arc::new(PgTeams::new(database.clone()));
        let setup: Arc<dyn SetupStore> = Arc::new(PgSetup::new(database.clone()));
        let hasher: Arc<dyn PasswordHasher> = Arc::new(Argon2Hasher::new()?);
        let tokens: Arc<dyn AccessTokens> =
            Arc::new(Hs256AccessTokens::new(&secret, TOKEN_ISSUER, TOKEN_AUDIENCE));
        let secrets: Arc<dyn Secrets> = Arc::new(RingSecrets::new(&secret));
        let cache = Arc::new(PrincipalCache::new());

        let accounts = Accounts::new(
            AccountPorts {
                users: Arc::clone(&users),
                setup,
                hasher: Arc::clone(&hasher),
                secrets: Arc::clone(&secrets),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                cache: Arc::clone(&cache),
            },
            config.accounts,
        );
        let sessions = Sessions::new(
            SessionPorts {
                users: Arc::clone(&users),
                sessions: Arc::clone(&session_store),
                hasher,
                tokens: Arc::clone(&tokens),
                secrets: Arc::clone(&secrets),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                cache: Arc::clone(&cache),
            },
            config.sessions,
        );
        let sessions = Arc::new(sessions);
        let sign_on = SignOn::new(
            SignOnPorts {
                users: Arc::clone(&users),
                store: Arc::new(PgSignOn::new(database.clone())),
                sessions: Arc::clone(&sessions),
                secrets,
                seal: Arc::new(AesSeal::new(&secret, KeyUse::SignOn)?),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                cache: Arc::clone(&cache),
            },
            sign_on::settings(config, &clock)?,
        );
        let teams = Teams::new(TeamPorts {
            teams: team_store,
            users: Arc::clone(&users),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let authenticator = Authenticator::new(tokens, session_store, Arc::clone(&clock), cache);

        let pg_tickets = Arc::new(PgTickets::new(database.clone()));
        let ticket_store: Arc<dyn TicketStore> = Arc::clone(&pg_tickets) as _;
        let import_store: Arc<dyn ImportStore> = pg_tickets;
        let directory: Arc<dyn Directory> = Arc::new(PgDirectory::new(database.clone()));
        let markup: Arc<dyn Markup> = Arc::new(Markdown);
        let tickets = Tickets::new(
            ticket_store,
            directory,
            markup,
            Arc::clone(&clock),
            Arc::clone(&ids),
            config.tickets.clone(),
        );
        let import = Import::new(import_store, Arc::clone(&clock), Arc::clone(&ids));

        let notification_store: Arc<dyn NotificationStore> = Arc::new(PgNotifications::new(database.clone()));
        let inbox = Inbox::new(Arc::clone(&notification_store), Arc::clone(&clock));
        let notify_people = NotifyPeople::new(notification_store, Arc::clone(&ids));

        Ok(Self {
            config: config.clone(),
            outbox: Arc::new(PgOutbox::new(database.clone(), Arc::clone(&clock))),
            answers: Arc::new(PgAnswers::new(database.clone())),
            database,
            clock,
            ids,
            accounts: Arc::new(accounts),
            sessions,
            sign_on: Arc::new(sign_on),
            teams: Arc::new(teams),
            authenticator: Arc::new(authenticator),
            users,
            tickets: Arc::new(tickets),
            import: Arc::new(import),
            inbox: Arc::new(inbox),
            notify_people: Arc::new(notify_people),
            cursors: CursorKey::new(&secret.derive(KeyUse::Cursor).sign(b"cursors")),
            cluster: None,
        })
    }

    /// What the API serves.
    #[must_use]
    pub fn http_state(&self, metrics: Option<Arc<dyn MetricsText>>) -> Arc<AppState> {
        let config = &self.config;
        let settings = HttpSettings {
            behind_tls: config.behind_tls,
            trusted_proxies: config.trusted_proxies.blocks().to_vec(),
            rates: config.rates,
            metrics_token: config
                .metrics_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            ..HttpSettings::default()
        };
        Arc::new(AppState::new(AppParts {
            settings,
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            authenticator: Arc::clone(&self.authenticator),
            accounts: Arc::clone(&self.accounts),
            sessions: Arc::clone(&self.sessions),
            sign_on: Arc::clone(&self.sign_on),
            teams: Arc::clone(&self.teams),
            tickets: Arc::clone(&self.tickets),
            inbox: Arc::clone(&self.inbox),
            answers: Arc::clone(&self.answers) as Arc<dyn AnswerStore>,
            cursors: self.cursors.clone(),
            health: Arc::new(DatabaseHealth(self.database.clone())),
            metrics,
        }))
    }

    /// The background work.
    pub fn worker(&self) -> Worker {
        let outbox: Arc<dyn Outbox> = Arc::clone(&self.outbox) as _;
        let subscribers: Vec<Arc<dyn Subscriber>> = vec![Arc::clone(&self.notify_people) as _];
        let wake_up = self.database.wake_ups().reader();
        let relay = Relay::new(Arc::clone(&outbox), subscribers, Arc::clone(&self.clock), wake_up);

        let auto_close = Arc::new(AutoClose::new(Arc::clone(&self.tickets)));
        let (sessions, answers) = (Arc::clone(&self.sessions), Arc::clone(&self.answers));
        let (delivered, clock) = (Arc::clone(&outbox), Arc::clone(&self.clock));
        let clock_of_answers = Arc::clone(&clock);
        let database = self.database.clone();
        let sign_on = Arc::clone(&self.sign_on);
        Worker::new()
            .with_relay(relay)
            .with_backlog_of(outbox)
            .with_companion(async move { match database.pass_wake_ups_on().await {} })
            .with_sweep(Sweep::new("auto_close", AUTO_CLOSE_EVERY, move || {
                let auto_close = Arc::clone(&auto_close);
                async move { auto_close.run_once().await }
            }))
            .with_sweep(Sweep::new("ended_sessions", FORGET_EVERY, move || {
                let sessions = Arc::clone(&sessions);
                async move { sessions.forget_ended(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("unfinished_sign_ons", FORGET_EVERY, move || {
                let sign_on = Arc::clone(&sign_on);
                async move { sign_on.forget_unfinished(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("delivered_events", FORGET_EVERY, move || {
                let outbox = Arc::clone(&delivered);
                let before = clock.now() - DELIVERED_EVENTS_KEPT;
                async move { outbox.forget(before, FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("request_answers", FORGET_EVERY, move || {
                let answers = Arc::clone(&answers);
                let before = clock_of_answers.now() - REQUEST_ANSWERS_KEPT;
                async move { answers.forget(before, FORGET_ROWS_MAX).await }
            }))
    }

    /// Lets this process' commits wake the workers of others, until `until` ends: for one that has no worker itself.
    pub async fn pass_wake_ups_on(&self, until: impl Future<Output = ()>) {
        tokio::select! {
            never = self.database.pass_wake_ups_on() => match never {},
            () = until => {}
        }
    }

    /// Closes the connections, and stops PostgreSQL when this desk looks after it.
    pub async fn close(self) {
        self.database.close();
        if let Some(cluster) = self.cluster {
            let stopped = tokio::time::timeout(CLUSTER_STOP_MAX, cluster.stop()).await;
            if stopped.is_err() {
                tracing::warn!("the local PostgreSQL takes long to stop and is left to it");
            }
        }
    }
}

/// Connects, and says so when that takes a while.
async fn connect(settings: &postgres::Settings) -> Result<Database, ConnectError> {
    let mut connecting = std::pin::pin!(Database::connect(settings));
    tokio::select! {
        database = &mut connecting => return database,
        () = tokio::time::sleep(CONNECT_SILENCE_MAX) => {}
    }
    let secs = settings.start_patience.as_secs();
    tracing::warn!("the database does not answer; trying for {secs} s");
    connecting.await
}

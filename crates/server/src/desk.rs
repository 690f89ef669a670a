//! The desk: every service, wired to its ports.
//!
//! A [`Desk`] is what commands work with, what the server serves, and what tests use in process. To add a domain: make
//! its adapters and its service in [`Desk::assemble`], give it a field, and hand it to
//! [`Desk::http_state`] or [`Desk::worker`].

use std::sync::Arc;
use std::time::Duration;

use automation::webhook::{Caller, DeliveryStore};
use automation::{
    Automation, KnownEndpoints, KnownRules, Macros, QueueCalls, Rules, RunRules, RunSchedules, RunStore,
    Scenes, SendCalls, Webhooks,
};
use chrono::TimeDelta;
use credentials::{
    AesVault, Argon2Hasher, Hs256AccessTokens, KeyRing, KeyUse, RingSecrets, RingTotp, SystemClock, UuidIds,
};
use events::{Outbox, Subscriber};
use http::app::{AppParts, AppState, HttpSettings, MacroEffects};
use http::cursor::CursorKey;
use http::link::{LinkKey, RatingKeys};
use http::operator::MetricsText;
use identity::ports::{
    AccessTokens, ApiKeyStore, AuditStore, Mailer, OneTimeTokens, PasswordHasher, People, Secrets,
    SecurityStore, SessionStore, SetupStore, TeamStore, UserStore, Vault,
};
use identity::service::{
    AccountPorts, ApiKeyPorts, IntakePorts, SecondFactor, SecondFactorPorts, SecurityPorts,
    SessionControlPorts, SessionPorts, SignOnPorts, TeamPorts, Throttle, TwoFactorPorts, WhyNotPorts,
};
use identity::{
    AccountMails, Accounts, ApiKeys, AuditLog, AuditTrail, Authenticator, Intake, PrincipalCache,
    Reauthentication, Security, SessionControl, Sessions, SignOn, Teams, TwoFactor, WhyNot,
};
use kernel::{AnswerStore, Clock, IdSource, PortError, RateLimits};
use knowledge::{ArticleSearch, Articles, Categories};
use local_postgres::Cluster;
use notifications::{Inbox, NotificationStore, NotifyPeople};
use postgres::{
    ConnectError, Database, MigrateError, PgAnswers, PgApiKeys, PgArticleSearch, PgArticles, PgAudit,
    PgCategories, PgClocks, PgDirectory, PgDrafts, PgFacts, PgFields, PgJobs, PgMacros, PgNotifications,
    PgOutbox, PgPeople, PgPolicies, PgRateLimits, PgRouting, PgRules, PgRuns, PgSearch, PgSecurity,
    PgSessions, PgSetup, PgSignOn, PgTeams, PgTickets, PgTokens, PgTwoFactor, PgUsers, PgViews, PgWebhooks,
    Role, RolesError,
};
use sla::{KnownPolicies, PolicyStore, SlaPolicies, TicketSla};
use ticketing::{
    AttachmentStore, Attachments, AutoClose, Blobs, Deeds, Directory, Drafts, FieldDefinitions, FieldStore,
    Import, ImportStore, Jobs, Markup, RatingLinks, Ratings, Routing, SatisfactionSurvey, SavedViewStore,
    SavedViews, Search, SearchIndex, TeamRouting, TicketStore, Tickets,
};
use worker::{Relay, Sweep, Worker};

use crate::automation::{DeskDirectory, DeskEffects, DeskMacros, DeskScenes, RunSteps};
use crate::bridges::{DatabaseHealth, Markdown, SurveyMails};
use crate::config::Config;
use crate::embedded::{self, Company, Embedded, EmbeddedError};
use crate::files;
use crate::mail;
use crate::promises::{PolicyChecks, Promises};
use crate::secret::{self, SecretError};
use crate::sign_on;
use crate::webhooks::{self, FreshSecrets, VaultedSecrets};

/// Who issues access tokens, and for whom. Part of every token: a change logs everyone out.
const TOKEN_ISSUER: &str = "insightdesk";
const TOKEN_AUDIENCE: &str = "insightdesk-api";
/// How long a closing desk waits for its PostgreSQL.
const CLUSTER_STOP_MAX: Duration = Duration::from_secs(5);

/// What to do about a role that may do too much.
const ROLES_CURE: &str = "give it one of its own, and database-owner-url to who owns the schema (`insightdesk config` says \
                          how)";

/// A database that takes longer to answer at the start is told of.
const CONNECT_SILENCE_MAX: Duration = Duration::from_secs(2);

/// How often silent tickets are looked for.
const AUTO_CLOSE_EVERY: Duration = Duration::from_secs(60);
/// How long a ticket waits at the most that could be given to someone and that no event told of.
const ROUTE_EVERY: Duration = Duration::from_secs(1);
/// How long what was written waits at the most until it can be found.
const TAKE_UP_EVERY: Duration = Duration::from_secs(1);
/// How long a warning or a breach waits at the most until a node looks for it.
const SLA_EVERY: Duration = Duration::from_secs(1);
/// How long a rule's time waits at the most until a node looks for it.
const SCHEDULES_EVERY: Duration = Duration::from_secs(5);
/// How long an article's time waits at the most until a node looks for it.
const ARTICLE_TIMES_EVERY: Duration = Duration::from_secs(5);
/// How often it is stored how often articles were read and what was searched for.
const ARTICLE_VIEWS_EVERY: Duration = Duration::from_secs(5);
/// How often rules' runs are counted, and those that a node left over looked for.
const RUNS_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits at the most until a node looks for it.
const JOBS_EVERY: Duration = Duration::from_secs(1);
/// How many finished jobs are forgotten at a time; each has up to 10 000 items.
const FORGET_JOBS_MAX: i64 = 5;
/// How often files that nobody came back for are looked for.
const ATTACHMENT_SWEEP_EVERY: Duration = Duration::from_secs(15 * 60);
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
    /// The database's roles are not as they should be.
    #[error("the roles of the database could not be set up")]
    Roles(#[from] RolesError),
    /// The secret is missing, or another desk's.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A setting of mail cannot be used.
    #[error("mail cannot be sent as it is set")]
    Mail(#[from] delivery::SettingsError),
    /// The files of attachments cannot be kept where they are to be.
    #[error("attachments cannot be kept; check attachments-place")]
    Files(#[from] delivery::FilePlaceError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a desk is made of.
pub struct Basis {
    /// The database, with the present schema.
    pub database: Database,
    /// The secret of the installation, and those before it.
    pub secret: KeyRing,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Sends mail.
    pub mailer: Arc<dyn Mailer>,
    /// Keeps the files of attachments.
    pub blobs: Arc<dyn Blobs>,
    /// Makes webhook calls.
    pub caller: Arc<dyn Caller>,
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
    /// Second factors.
    pub two_factor: Arc<TwoFactor>,
    /// The security settings.
    pub security: Arc<Security>,
    /// Ends people's sessions.
    pub session_control: Arc<SessionControl>,
    /// Programs' keys.
    pub api_keys: Arc<ApiKeys>,
    /// Explains the rules of accounts and teams.
    pub why_not: Arc<WhyNot>,
    /// Single sign-on.
    pub sign_on: Arc<SignOn>,
    /// Teams.
    pub teams: Arc<Teams>,
    /// Who a request comes from.
    pub authenticator: Arc<Authenticator>,
    /// Keeps accounts: for commands that look people up.
    pub users: Arc<dyn UserStore>,
    /// The record of acts.
    pub audit_log: Arc<AuditLog>,
    /// Puts acts on record.
    pub audit_trail: Arc<AuditTrail>,
    /// How often something was done, on all nodes together.
    pub limits: Arc<PgRateLimits>,
    /// Tickets.
    pub tickets: Arc<Tickets>,
    /// Finds tickets by their texts.
    pub search: Arc<Search>,
    /// Saved views of tickets.
    pub saved_views: Arc<SavedViews>,
    /// What the custom fields of tickets are.
    pub fields: Arc<FieldDefinitions>,
    /// What people began to write.
    pub drafts: Arc<Drafts>,
    /// What is promised about tickets.
    pub sla_policies: Arc<SlaPolicies>,
    /// Tickets' clocks.
    pub ticket_sla: Arc<TicketSla>,
    /// Rules.
    pub rules: Arc<Rules>,
    /// Runs them.
    pub automation: Arc<Automation>,
    /// What they look at.
    pub scenes: Arc<dyn Scenes>,
    run_rules: Arc<RunRules>,
    run_steps: Arc<RunSteps>,
    /// Runs those whose time has come.
    pub run_schedules: Arc<RunSchedules>,
    /// What staff apply to tickets by hand.
    pub macros: Arc<Macros>,
    /// The categories of the knowledge base.
    pub categories: Arc<Categories>,
    /// Its articles.
    pub articles: Arc<Articles>,
    /// Searches them.
    pub article_search: Arc<ArticleSearch>,
    macro_effects: Arc<dyn MacroEffects>,
    /// Where events are sent.
    pub webhooks: Arc<Webhooks>,
    /// Proves once more who someone is, before endpoints are changed.
    pub reauthentication: Arc<Reauthentication>,
    queue_calls: Arc<QueueCalls>,
    /// Sends what is queued for them.
    pub send_calls: Arc<SendCalls>,
    /// Keeps their secrets.
    pub webhook_secrets: PgWebhooks,
    /// Many tickets changed at once.
    pub jobs: Arc<Jobs>,
    /// Giving out teams' tickets.
    pub routing: Arc<Routing>,
    /// Ratings by links.
    pub ratings: Arc<Ratings>,
    /// Asks for ratings, where the desk wants that.
    survey: Option<Arc<SatisfactionSurvey>>,
    /// What hangs on their messages.
    pub attachments: Arc<Attachments>,
    /// Keeps the files of that.
    pub blobs: Arc<dyn Blobs>,
    /// Brings tickets in from elsewhere.
    pub import: Arc<Import>,
    /// Brings people and teams in from elsewhere.
    pub intake: Arc<Intake>,
    /// People's notifications.
    pub inbox: Arc<Inbox>,
    /// Turns events into notifications.
    pub notify_people: Arc<NotifyPeople>,
    /// Turns events into mails to the owners of accounts.
    pub account_mails: Arc<AccountMails>,
    /// Events that wait to be delivered.
    pub outbox: Arc<PgOutbox>,
    /// The first answers to requests with an idempotency key.
    pub answers: Arc<PgAnswers>,
    cursors: CursorKey,
    links: LinkKey,
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
        let owner_url = config.database_owner_url.as_ref();
        let (place, cluster) = match &config.database_url {
            Some(url) => {
                let place = Place {
                    url: url.expose().to_owned(),
                    owner_url: owner_url.map(|url| url.expose().to_owned()),
                    makes_role: None,
                };
                (place, None)
            }
            None => {
                let Embedded {
                    url,
                    owner_url,
                    cluster,
                } = embedded::start(&config.data_dir, company).await?;
                let place = Place {
                    url,
                    owner_url: Some(owner_url),
                    makes_role: Some(embedded::SERVER_ROLE),
                };
                (place, cluster)
            }
        };
        match Self::open_at(place, config).await {
            Ok(desk) => Ok(Self { cluster, ..desk }),
            Err(error) => {
                if let Some(cluster) = cluster {
                    cluster.stop().await;
                }
                Err(error)
            }
        }
    }

    async fn open_at(place: Place, config: &Config) -> Result<Self, OpenError> {
        let Place {
            url,
            owner_url,
            makes_role,
        } = place;
        let mut settings = postgres::Settings::new(url);
        settings.connections_max = config.database_connections;
        let database = match owner_url {
            None => {
                let database = connect(&settings).await?;
                tell_of(&database.migrate().await?);
                database
            }
            Some(owner_url) => {
                let owner = connect(&postgres::Settings {
                    url: owner_url,
                    connections_max: 1,
                    ..settings.clone()
                })
                .await?;
                let prepared = prepare(&owner, &settings, makes_role).await;
                owner.close();
                prepared?
            }
        };
        let facts = PgFacts::new(database.clone());
        let secret = secret::agree(config, &facts).await?;
        let mailer = mail::settings(config)?.mailer(Arc::new(SystemClock))?;
        let blobs = files::blobs(config)?;
        Ok(Self::from_database(
            database,
            secret,
            config,
            Arc::new(mailer),
            blobs,
        )?)
    }

    /// A desk on a database that has the present schema.
    ///
    /// # Errors
    /// When passwords cannot be hashed.
    pub fn from_database(
        database: Database,
        secret: impl Into<KeyRing>,
        config: &Config,
        mailer: Arc<dyn Mailer>,
        blobs: Arc<dyn Blobs>,
    ) -> Result<Self, PortError> {
        let basis = Basis {
            database,
            secret: secret.into(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds),
            mailer,
            blobs,
            caller: webhooks::caller(config),
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
            mailer,
            blobs,
            caller,
        } = basis;

        let users: Arc<dyn UserStore> = Arc::new(PgUsers::new(database.clone()));
        let session_store: Arc<dyn SessionStore> = Arc::new(PgSessions::new(database.clone()));
        let team_store: Arc<dyn TeamStore> = Arc::new(PgTeams::new(database.clone()));
        let setup: Arc<dyn SetupStore> = Arc::new(PgSetup::new(database.clone()));
        let one_time_tokens: Arc<dyn OneTimeTokens> = Arc::new(PgTokens::new(database.clone()));
        let hasher: Arc<dyn PasswordHasher> = Arc::new(Argon2Hasher::new()?);
        let tokens = Hs256AccessTokens::new(secret.present(), TOKEN_ISSUER, TOKEN_AUDIENCE);
        let tokens: Arc<dyn AccessTokens> = Arc::new(tokens.accepting(secret.previous()));
        let secrets: Arc<dyn Secrets> = Arc::new(RingSecrets::new(secret.present()));
        let cache = Arc::new(PrincipalCache::new());
        let limits = Arc::new(PgRateLimits::new(database.clone()));
        let rates: Arc<dyn RateLimits> = Arc::clone(&limits) as _;
        let throttle = Arc::new(Throttle::new(
            rates,
            Arc::clone(&session_store),
            Arc::clone(&secrets),
            Arc::clone(&clock),
            config.throttle,
        ));
        let reauthentication = Arc::new(Reauthentication::new(
            Arc::clone(&users),
            Arc::clone(&session_store),
            Arc::clone(&hasher),
            Arc::clone(&throttle),
            Arc::clone(&clock),
            Arc::clone(&ids),
        ));
        let vault: Arc<dyn Vault> = Arc::new(AesVault::new(&secret)?);
        let second_factor = Arc::new(SecondFactor::new(
            SecondFactorPorts {
                store: Arc::new(PgTwoFactor::new(database.clone())),
                vault: Arc::clone(&vault),
                totp: Arc::new(RingTotp),
                secrets: Arc::clone(&secrets),
            },
            config.two_factor,
        ));
        let security_store: Arc<dyn SecurityStore> = Arc::new(PgSecurity::new(database.clone()));
        let two_factor = TwoFactor::new(TwoFactorPorts {
            users: Arc::clone(&users),
            security: Arc::clone(&security_store),
            reauthentication: Arc::clone(&reauthentication),
            second_factor: Arc::clone(&second_factor),
            throttle: Arc::clone(&throttle),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let security = Security::new(SecurityPorts {
            store: security_store,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });

        let account_mails = AccountMails::new(
            Arc::clone(&users),
            Arc::clone(&one_time_tokens),
            Arc::clone(&secrets),
            Arc::clone(&mailer),
            Arc::clone(&clock),
        );
        let accounts = Accounts::new(
            AccountPorts {
                users: Arc::clone(&users),
                setup,
                tokens: one_time_tokens,
                reauthentication: Arc::clone(&reauthentication),
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
                hasher: Arc::clone(&hasher),
                tokens: Arc::clone(&tokens),
                secrets: Arc::clone(&secrets),
                second_factor,
                throttle,
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                cache: Arc::clone(&cache),
            },
            config.sessions,
        );
        let key_store: Arc<dyn ApiKeyStore> = Arc::new(PgApiKeys::new(database.clone()));
        let api_keys = ApiKeys::new(ApiKeyPorts {
            keys: Arc::clone(&key_store),
            reauthentication: Arc::clone(&reauthentication),
            secrets: Arc::clone(&secrets),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let session_control = SessionControl::new(SessionControlPorts {
            sessions: Arc::clone(&session_store),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let people: Arc<dyn People> = Arc::new(PgPeople::new(database.clone()));
        let why_not = WhyNot::new(WhyNotPorts {
            users: Arc::clone(&users),
            teams: Arc::clone(&team_store),
            people,
        });
        let sessions = Arc::new(sessions);
        let sign_on = SignOn::new(
            SignOnPorts {
                users: Arc::clone(&users),
                store: Arc::new(PgSignOn::new(database.clone())),
                sessions: Arc::clone(&sessions),
                secrets: Arc::clone(&secrets),
                vault: Arc::clone(&vault),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                cache: Arc::clone(&cache),
            },
            sign_on::settings(config, &clock)?,
        );
        let intake = Intake::new(IntakePorts {
            users: Arc::clone(&users),
            teams: Arc::clone(&team_store),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let teams = Teams::new(TeamPorts {
            teams: Arc::clone(&team_store),
            users: Arc::clone(&users),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            cache: Arc::clone(&cache),
        });
        let authenticator = Authenticator::new(tokens, session_store, Arc::clone(&clock), cache)
            .accepting_keys(key_store, Arc::clone(&secrets));

        let audit_store: Arc<dyn AuditStore> = Arc::new(PgAudit::new(database.clone()));
        let audit_log = AuditLog::new(Arc::clone(&audit_store));
        let audit_trail = AuditTrail::new(audit_store);

        let pg_tickets = Arc::new(PgTickets::new(database.clone()));
        let ticket_store: Arc<dyn TicketStore> = Arc::clone(&pg_tickets) as _;
        let import_store: Arc<dyn ImportStore> = Arc::clone(&pg_tickets) as _;
        let attachment_store: Arc<dyn AttachmentStore> = pg_tickets;
        let search_index: Arc<dyn SearchIndex> =
            Arc::new(PgSearch::new(database.clone(), config.search_languages.clone()));
        let directory: Arc<dyn Directory> = Arc::new(PgDirectory::new(database.clone()));
        let markup: Arc<dyn Markup> = Arc::new(Markdown);
        let field_store: Arc<dyn FieldStore> = Arc::new(PgFields::new(database.clone()));
        let fields = FieldDefinitions::new(field_store, Arc::clone(&clock), Arc::clone(&ids));
        let fields = Arc::new(fields);
        let tickets = Tickets::new(
            ticket_store,
            Arc::clone(&directory),
            Arc::clone(&markup),
            Arc::clone(&clock),
            Arc::clone(&ids),
            config.tickets.clone(),
        );
        let policies: Arc<dyn PolicyStore> = Arc::new(PgPolicies::new(database.clone()));
        let policies = Arc::new(KnownPolicies::new(policies, Arc::clone(&clock)));
        let sla_policies = SlaPolicies::new(Arc::clone(&policies) as _, Arc::clone(&clock), Arc::clone(&ids));
        let ticket_sla = Arc::new(TicketSla::new(
            Arc::clone(&policies),
            Arc::new(PgClocks::new(database.clone())),
            Arc::clone(&clock),
            Arc::clone(&ids),
        ));
        let promises = Arc::new(Promises(Arc::clone(&ticket_sla)));
        let tickets = tickets.checking(Arc::clone(&fields)).promising(promises);
        let tickets = Arc::new(tickets);
        let rating_secrets = secret.all();
        let rating_secrets = rating_secrets.map(|secret| secret.derive(KeyUse::RatingLink).sign(b"ratings"));
        let rating_links: Arc<dyn RatingLinks> = Arc::new(RatingKeys::new(rating_secrets));
        let team_routing: Arc<dyn TeamRouting> = Arc::new(PgRouting::new(database.clone()));
        let routing = Routing::new(Arc::clone(&team_routing), Arc::clone(&tickets));
        let deeds = Arc::new(Deeds::new(Arc::clone(&tickets), team_routing));
        let ratings = Ratings::new(Arc::clone(&tickets), Arc::clone(&rating_links));
        let survey = config.satisfaction_survey.then(|| {
            let survey_mails = Arc::new(SurveyMails(mailer));
            Arc::new(SatisfactionSurvey::new(
                Arc::clone(&tickets),
                rating_links,
                survey_mails,
            ))
        });
        let attachments = Attachments::new(
            Arc::clone(&tickets),
            attachment_store,
            Arc::clone(&blobs),
            files::scanner(config),
            config.attachments,
        );
        let search = Search::new(search_index, Arc::clone(&tickets));
        let view_store: Arc<dyn SavedViewStore> = Arc::new(PgViews::new(database.clone()));
        let saved_views = SavedViews::new(view_store, Arc::clone(&tickets));
        let drafts = Drafts::new(Arc::new(PgDrafts::new(database.clone())), Arc::clone(&tickets));
        let jobs = Jobs::new(Arc::new(PgJobs::new(database.clone())), Arc::clone(&tickets));
        let jobs = Arc::new(jobs);
        let import = Import::new(import_store, markup, Arc::clone(&clock), Arc::clone(&ids));

        let notification_store: Arc<dyn NotificationStore> = Arc::new(PgNotifications::new(database.clone()));
        let inbox = Inbox::new(Arc::clone(&notification_store), Arc::clone(&clock));
        let notify_people = NotifyPeople::new(Arc::clone(&notification_store), Arc::clone(&ids));

        let rule_store = Arc::new(PgRules::new(database.clone()));
        let rule_store = Arc::new(KnownRules::new(rule_store, Arc::clone(&clock)));
        let run_store: Arc<dyn RunStore> = Arc::new(PgRuns::new(database.clone()));
        let webhook_secrets = PgWebhooks::new(database.clone(), Arc::new(VaultedSecrets(Arc::clone(&vault))));
        let calls: Arc<dyn DeliveryStore> = Arc::new(webhook_secrets.clone());
        let endpoints = KnownEndpoints::new(Arc::new(webhook_secrets.clone()), Arc::clone(&clock));
        let endpoints = Arc::new(endpoints);
        let webhooks = Webhooks::new(
            Arc::clone(&endpoints) as _,
            Arc::clone(&calls),
            Arc::new(FreshSecrets(secrets)),
            config.webhooks.clone(),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let send_calls = SendCalls::new(
            Arc::clone(&endpoints) as _,
            Arc::clone(&calls),
            caller,
            config.webhooks.clone(),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let named: Arc<dyn automation::Directory> = Arc::new(DeskDirectory {
            users: Arc::clone(&users),
            teams: Arc::clone(&team_store),
            policies: Arc::clone(&policies),
            endpoints: Arc::clone(&endpoints),
        });
        let scenes: Arc<dyn Scenes> = Arc::new(DeskScenes {
            tickets: Arc::clone(&tickets),
            jobs: Arc::clone(&jobs),
            users: Arc::clone(&users),
            teams: Arc::clone(&team_store),
            policies: Arc::clone(&policies),
            public_url: config.public_url.clone(),
        });
        let queue_calls = QueueCalls::new(endpoints, calls, Arc::clone(&scenes), Arc::clone(&clock));
        let queue_calls = Arc::new(queue_calls);
        let outbox = Arc::new(PgOutbox::new(database.clone(), Arc::clone(&clock)));
        let effects = Arc::new(DeskEffects {
            deeds,
            scenes: Arc::clone(&scenes),
            calls: Arc::clone(&queue_calls),
            tickets: Arc::clone(&tickets),
            rules: Arc::clone(&rule_store) as _,
            directory,
            teams: team_store,
            policies,
            notifications: notification_store,
            ids: Arc::clone(&ids),
            clock: Arc::clone(&clock),
            outbox: Arc::clone(&outbox),
        });
        let automation = Arc::new(Automation::new(
            Arc::clone(&rule_store),
            Arc::clone(&run_store),
            Arc::clone(&effects) as _,
            Arc::clone(&clock),
            Arc::clone(&ids),
        ));
        let category_store = Arc::new(PgCategories::new(database.clone()));
        let categories = Categories::new(category_store.clone(), Arc::clone(&clock), Arc::clone(&ids));
        let article_store = Arc::new(PgArticles::new(database.clone()));
        let article_search = ArticleSearch::new(
            Arc::new(PgArticleSearch::new(database.clone())),
            article_store.clone(),
            category_store.clone(),
            config.knowledge_synonyms.clone(),
            Arc::clone(&clock),
        );
        let articles = Articles::new(
            article_store,
            category_store,
            Arc::new(Markdown),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let macros = Macros::new(
            Arc::new(PgMacros::new(database.clone())),
            Arc::clone(&named),
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let macros = Arc::new(macros);
        let run_steps = Arc::new(RunSteps(Arc::clone(&effects)));
        let macro_effects = Arc::new(DeskMacros {
            macros: Arc::clone(&macros),
            effects: Arc::clone(&effects),
        });
        let rules = Rules::new(
            rule_store,
            Arc::clone(&run_store),
            named,
            Arc::clone(&clock),
            Arc::clone(&ids),
        );
        let run_rules = RunRules::new(Arc::clone(&automation), Arc::clone(&scenes));
        let run_schedules = RunSchedules::new(
            Arc::clone(&automation),
            run_store,
            Arc::clone(&scenes),
            Arc::clone(&clock),
        );

        Ok(Self {
            config: config.clone(),
            outbox,
            answers: Arc::new(PgAnswers::new(database.clone())),
            database,
            clock,
            ids,
            accounts: Arc::new(accounts),
            two_factor: Arc::new(two_factor),
            security: Arc::new(security),
            session_control: Arc::new(session_control),
            api_keys: Arc::new(api_keys),
            why_not: Arc::new(why_not),
            sessions,
            sign_on: Arc::new(sign_on),
            teams: Arc::new(teams),
            authenticator: Arc::new(authenticator),
            users,
            audit_log: Arc::new(audit_log),
            audit_trail: Arc::new(audit_trail),
            limits,
            tickets,
            search: Arc::new(search),
            rules: Arc::new(rules),
            automation,
            scenes,
            macros,
            categories: Arc::new(categories),
            articles: Arc::new(articles.with_four_eyes(config.knowledge_four_eyes)),
            article_search: Arc::new(article_search),
            macro_effects,
            webhooks: Arc::new(webhooks),
            reauthentication,
            queue_calls,
            send_calls: Arc::new(send_calls),
            webhook_secrets,
            run_rules: Arc::new(run_rules),
            run_steps,
            run_schedules: Arc::new(run_schedules),
            saved_views: Arc::new(saved_views),
            jobs,
            drafts: Arc::new(drafts),
            sla_policies: Arc::new(sla_policies),
            ticket_sla,
            fields,
            routing: Arc::new(routing),
            ratings: Arc::new(ratings),
            survey,
            attachments: Arc::new(attachments),
            blobs,
            import: Arc::new(import),
            intake: Arc::new(intake),
            inbox: Arc::new(inbox),
            notify_people: Arc::new(notify_people),
            account_mails: Arc::new(account_mails),
            cursors: CursorKey::new(&secret.present().derive(KeyUse::Cursor).sign(b"cursors")),
            links: LinkKey::new(&secret.present().derive(KeyUse::FileLink).sign(b"links")),
            cluster: None,
        })
    }

    /// What the API serves.
    #[must_use]
    pub fn http_state(&self, metrics: Option<Arc<dyn MetricsText>>) -> Arc<AppState> {
        let config = &self.config;
        let settings = HttpSettings {
            desk_name: config.desk_name.clone(),
            behind_tls: config.behind_tls,
            trusted_proxies: config.trusted_proxies.blocks().to_vec(),
            rates: config.rates,
            cors_origins: config.cors_origins.clone(),
            api_docs: config.api_docs,
            public_knowledge_base: config.public_knowledge_base,
            requests_in_flight_max: config.requests_in_flight_max,
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
            two_factor: Arc::clone(&self.two_factor),
            security: Arc::clone(&self.security),
            session_control: Arc::clone(&self.session_control),
            api_keys: Arc::clone(&self.api_keys),
            why_not: Arc::clone(&self.why_not),
            sign_on: Arc::clone(&self.sign_on),
            teams: Arc::clone(&self.teams),
            audit_log: Arc::clone(&self.audit_log),
            limits: Arc::clone(&self.limits) as Arc<dyn RateLimits>,
            tickets: Arc::clone(&self.tickets),
            search: Arc::clone(&self.search),
            saved_views: Arc::clone(&self.saved_views),
            jobs: Arc::clone(&self.jobs),
            drafts: Arc::clone(&self.drafts),
            sla_policies: Arc::clone(&self.sla_policies),
            rules: Arc::clone(&self.rules),
            scenes: Arc::clone(&self.scenes),
            macros: Arc::clone(&self.macros),
            categories: Arc::clone(&self.categories),
            articles: Arc::clone(&self.articles),
            article_search: Arc::clone(&self.article_search),
            macro_effects: Arc::clone(&self.macro_effects),
            webhooks: Arc::clone(&self.webhooks),
            reauthentication: Arc::clone(&self.reauthentication),
            policy_checks: Arc::new(PolicyChecks),
            ticket_sla: Arc::clone(&self.ticket_sla),
            fields: Arc::clone(&self.fields),
            attachments: Arc::clone(&self.attachments),
            routing: Arc::clone(&self.routing),
            ratings: Arc::clone(&self.ratings),
            inbox: Arc::clone(&self.inbox),
            answers: Arc::clone(&self.answers) as Arc<dyn AnswerStore>,
            cursors: self.cursors.clone(),
            links: self.links.clone(),
            health: Arc::new(DatabaseHealth(self.database.clone())),
            metrics,
        }))
    }

    /// What hands events to everyone who deals with them.
    #[must_use]
    pub fn relay(&self) -> Relay {
        let mut subscribers: Vec<Arc<dyn Subscriber>> = vec![
            Arc::clone(&self.notify_people) as _,
            Arc::clone(&self.account_mails) as _,
            Arc::clone(&self.audit_trail) as _,
            Arc::clone(&self.routing) as _,
        ];
        subscribers.extend(self.survey.clone().map(|survey| survey as _));
        subscribers.push(Arc::clone(&self.queue_calls) as _);
        // Last: what steps and rules do can fail for reasons of their own.
        subscribers.push(Arc::clone(&self.run_steps) as _);
        subscribers.push(Arc::clone(&self.run_rules) as _);
        let outbox: Arc<dyn Outbox> = Arc::clone(&self.outbox) as _;
        let wake_up = self.database.wake_ups().reader();
        Relay::new(outbox, subscribers, Arc::clone(&self.clock), wake_up)
    }

    /// The background work.
    pub fn worker(&self) -> Worker {
        let outbox: Arc<dyn Outbox> = Arc::clone(&self.outbox) as _;
        let relay = self.relay();

        let auto_close = Arc::new(AutoClose::new(Arc::clone(&self.tickets)));
        let search = Arc::clone(&self.search);
        let (sessions, answers) = (Arc::clone(&self.sessions), Arc::clone(&self.answers));
        let (accounts, two_factor) = (Arc::clone(&self.accounts), Arc::clone(&self.two_factor));
        let (delivered, clock) = (Arc::clone(&outbox), Arc::clone(&self.clock));
        let clock_of_answers = Arc::clone(&clock);
        let limits = Arc::clone(&self.limits);
        let database = self.database.clone();
        let sign_on = Arc::clone(&self.sign_on);
        let attachments = Arc::clone(&self.attachments);
        let drafts = Arc::clone(&self.drafts);
        let (jobs, finished_jobs) = (Arc::clone(&self.jobs), Arc::clone(&self.jobs));
        let routing = Arc::clone(&self.routing);
        let ticket_sla = Arc::clone(&self.ticket_sla);
        let schedules = Arc::clone(&self.run_schedules);
        let old_calls = Arc::clone(&self.send_calls);
        let articles = Arc::clone(&self.articles);
        let due_articles = Arc::clone(&self.articles);
        let searches = Arc::clone(&self.article_search);
        let (runs, old_runs) = (Arc::clone(&schedules), Arc::clone(&schedules));
        Worker::new()
            .with_relay(relay)
            .with_backlog_of(outbox)
            .with_companion(async move { match database.pass_wake_ups_on().await {} })
            .with_sweep(Sweep::new("auto_close", AUTO_CLOSE_EVERY, move || {
                let auto_close = Arc::clone(&auto_close);
                async move { auto_close.run_once().await }
            }))
            .with_sweep(Sweep::new("routing", ROUTE_EVERY, move || {
                let routing = Arc::clone(&routing);
                async move { routing.run_once().await }
            }))
            .with_sweep(Sweep::new("search_index", TAKE_UP_EVERY, move || {
                let search = Arc::clone(&search);
                async move { search.take_up().await }
            }))
            .with_sweep(Sweep::new("sla", SLA_EVERY, move || {
                let ticket_sla = Arc::clone(&ticket_sla);
                async move { ticket_sla.sweep().await }
            }))
            .with_sweep(Sweep::new("schedules", SCHEDULES_EVERY, move || {
                let schedules = Arc::clone(&schedules);
                async move { schedules.run_once().await }
            }))
            .with_sweep(Sweep::new("rule_runs", RUNS_EVERY, move || {
                let runs = Arc::clone(&runs);
                async move { runs.tidy().await }
            }))
            .with_sweep(Sweep::new("old_rule_runs", FORGET_EVERY, move || {
                let runs = Arc::clone(&old_runs);
                async move { runs.forget(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("article_views", ARTICLE_VIEWS_EVERY, move || {
                let articles = Arc::clone(&articles);
                async move { articles.store_views().await }
            }))
            .with_sweep(Sweep::new("article_searches", ARTICLE_VIEWS_EVERY, move || {
                let searches = Arc::clone(&searches);
                async move { searches.store_searches().await }
            }))
            .with_sweep(Sweep::new("article_times", ARTICLE_TIMES_EVERY, move || {
                let articles = Arc::clone(&due_articles);
                async move { articles.publish_due().await }
            }))
            .with_pump(webhooks::pump(Arc::clone(&self.send_calls)))
            .with_sweep(Sweep::new("old_webhook_calls", FORGET_EVERY, move || {
                let calls = Arc::clone(&old_calls);
                async move { calls.forget(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("jobs", JOBS_EVERY, move || {
                let jobs = Arc::clone(&jobs);
                async move { jobs.run_once().await }
            }))
            .with_sweep(Sweep::new("old_drafts", FORGET_EVERY, move || {
                let drafts = Arc::clone(&drafts);
                async move { drafts.forget(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("finished_jobs", FORGET_EVERY, move || {
                let jobs = Arc::clone(&finished_jobs);
                async move { jobs.forget(FORGET_JOBS_MAX).await }
            }))
            .with_sweep(Sweep::new("attachments", ATTACHMENT_SWEEP_EVERY, move || {
                let attachments = Arc::clone(&attachments);
                async move { attachments.sweep().await }
            }))
            .with_sweep(Sweep::new("ended_sessions", FORGET_EVERY, move || {
                let sessions = Arc::clone(&sessions);
                async move { sessions.forget_ended(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("expired_tokens", FORGET_EVERY, move || {
                let accounts = Arc::clone(&accounts);
                async move { accounts.forget_expired_tokens(FORGET_ROWS_MAX).await }
            }))
            .with_sweep(Sweep::new("login_challenges", FORGET_EVERY, move || {
                let two_factor = Arc::clone(&two_factor);
                async move { two_factor.forget_challenges(FORGET_ROWS_MAX).await }
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
            .with_sweep(Sweep::new("full_buckets", FORGET_EVERY, move || {
                let limits = Arc::clone(&limits);
                async move { limits.forget_full(FORGET_ROWS_MAX).await }
            }))
    }

    /// Warns when the server works as a role that may do more than it needs, which one who gets at its connection could
    /// use.
    pub async fn warn_of_rights(&self) {
        match self.database.role().await {
            Ok(Role {
                name,
                is_superuser: true,
                changes_schema: _,
            }) => {
                tracing::warn!(
                    role = name,
                    "the server works as a superuser of the database: {ROLES_CURE}"
                );
            }
            Ok(Role {
                name,
                is_superuser: false,
                changes_schema: true,
            }) => tracing::warn!(
                role = name,
                "the server works as a role that may change the database's schema: {ROLES_CURE}"
            ),
            Ok(Role { .. }) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database's roles could not be looked at"
            ),
        }
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

/// Where the database is.
struct Place {
    /// For the server.
    url: String,
    /// For the owner of the schema, where that is another role.
    owner_url: Option<String>,
    /// The server's role, where it is to be made.
    makes_role: Option<&'static str>,
}

/// Brings the schema up to date as its owner, and gives the server's role what it needs of it.
async fn prepare(
    owner: &Database,
    settings: &postgres::Settings,
    makes_role: Option<&str>,
) -> Result<Database, OpenError> {
    tell_of(&owner.migrate().await?);
    if let Some(role) = makes_role {
        owner.ensure_role(role).await?;
        owner.grant_to_role(role).await?;
        return Ok(connect(settings).await?);
    }
    let database = connect(settings).await?;
    owner.grant_to(&database).await?;
    Ok(database)
}

fn tell_of(migrated: &[String]) {
    if !migrated.is_empty() {
        tracing::info!(versions = ?migrated, "brought the database up to date");
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

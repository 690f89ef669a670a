//! The application: what handlers share, how it is configured, and how it is put together.
//!
//! The server's wiring makes an [`AppState`] of services and hands it to [`serve`](crate::server::serve). To add a
//! domain, give [`AppState`] its service as one more field.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Data};
use async_trait::async_trait;
use automation::{AutomationError, MacroId, Macros, Rules, Scenes, Webhooks};
use identity::{
    Accounts, ApiKeys, AuditLog, Authenticator, Reauthentication, Security, SessionControl, Sessions, SignOn,
    Teams, TwoFactor, WhyNot,
};
use kernel::{Actor, AnswerStore, Clock, IdSource, PortError, RateLimits};
use knowledge::{ArticleSearch, Articles, Categories};
use notifications::Inbox;
use sla::{DocumentChecks, SlaPolicies, TicketSla};
use ticketing::{
    Attachments, Drafts, FieldDefinitions, Guard, Jobs, Ratings, Routing, SavedViews, Search, TicketError,
    TicketKey, Tickets, Written,
};

use crate::address::AddressBlock;
use crate::cors::AllowedOrigins;
use crate::cursor::CursorKey;
use crate::link::LinkKey;
use crate::load::Load;
use crate::openapi::Reference;
use crate::operator::{self, MetricsText};
use crate::problem::Problem;
use crate::rate::{Gates, RateSettings};
use crate::routes::{Operation, RouteTable};

/// Whether the server can do its work.
#[async_trait]
pub trait Health: Send + Sync {
    /// Tries the database.
    ///
    /// # Errors
    /// When it cannot be reached.
    async fn ping(&self) -> Result<(), PortError>;
}

/// Carries macros out.
#[async_trait]
pub trait MacroEffects: Send + Sync {
    /// Applies a macro to a ticket in the caller's name: all of its changes, or none of them.
    ///
    /// # Errors
    /// See [`MacroError`].
    async fn apply(
        &self,
        actor: &Actor,
        key: &TicketKey,
        id: MacroId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, MacroError>;
}

/// Why a macro was not applied.
#[derive(Debug, thiserror::Error)]
pub enum MacroError {
    /// There is no such macro for the caller, or it cannot be done to this ticket.
    #[error(transparent)]
    Macro(#[from] AutomationError),
    /// The ticket refuses what it does.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<MacroError> for Problem {
    fn from(error: MacroError) -> Self {
        match error {
            MacroError::Macro(error) => error.into(),
            MacroError::Ticket(error) => error.into(),
            MacroError::Port(error) => error.into(),
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A handler, once the request is there.
    pub request_deadline: Duration,
    /// The arrival of a body.
    pub body_deadline: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            request_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
        }
    }
}

/// How the API is configured.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// What the desk is called.
    pub desk_name: String,
    /// Whether clients reach the server by HTTPS alone; then browsers are told to stay with it.
    pub behind_tls: bool,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<AddressBlock>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How often the API may be called.
    pub rates: RateSettings,
    /// The token that `/metrics` asks for; without one the path is not there (it may have a listener of its own).
    pub metrics_token: Option<String>,
    /// Origins whose pages may use the API from a browser.
    pub cors_origins: AllowedOrigins,
    /// Whether the API's document and its reference page are given out.
    pub api_docs: bool,
    /// Whether strangers read the knowledge base.
    pub public_knowledge_base: bool,
    /// The most requests that are worked on at once; those beyond are turned away with 503.
    pub requests_in_flight_max: usize,
}

/// The most requests at once, unless it is set: far more than a database works on, so that none waits in
/// vain.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 2_000;

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            desk_name: "InsightDesk".to_owned(),
            behind_tls: false,
            trusted_proxies: Vec::new(),
            deadlines: Deadlines::default(),
            rates: RateSettings::default(),
            metrics_token: None,
            cors_origins: AllowedOrigins::default(),
            api_docs: true,
            public_knowledge_base: true,
            requests_in_flight_max: REQUESTS_IN_FLIGHT_MAX,
        }
    }
}

/// What an [`AppState`] is made of: one field for each service and port that handlers use.
pub struct AppParts {
    /// The configuration.
    pub settings: HttpSettings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids, of requests too.
    pub ids: Arc<dyn IdSource>,
    /// Finds the person behind an access token.
    pub authenticator: Arc<Authenticator>,
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
    /// The record of acts.
    pub audit_log: Arc<AuditLog>,
    /// Tickets.
    pub tickets: Arc<Tickets>,
    /// Finding tickets by their texts.
    pub search: Arc<Search>,
    /// Saved views of tickets.
    pub saved_views: Arc<SavedViews>,
    /// What the custom fields of tickets are.
    pub fields: Arc<FieldDefinitions>,
    /// What people began to write.
    pub drafts: Arc<Drafts>,
    /// What is promised about tickets.
    pub sla_policies: Arc<SlaPolicies>,
    /// Rules.
    pub rules: Arc<Rules>,
    /// What they look at.
    pub scenes: Arc<dyn Scenes>,
    /// What staff apply to tickets by hand.
    pub macros: Arc<Macros>,
    /// Carries that out.
    pub macro_effects: Arc<dyn MacroEffects>,
    /// The categories of the knowledge base.
    pub categories: Arc<Categories>,
    /// Its articles.
    pub articles: Arc<Articles>,
    /// Searches them.
    pub article_search: Arc<ArticleSearch>,
    /// Where events are sent.
    pub webhooks: Arc<Webhooks>,
    /// Proves once more who someone is.
    pub reauthentication: Arc<Reauthentication>,
    /// What is checked of policies besides.
    pub policy_checks: Arc<dyn DocumentChecks>,
    /// Tickets' clocks.
    pub ticket_sla: Arc<TicketSla>,
    /// Many tickets changed at once.
    pub jobs: Arc<Jobs>,
    /// What hangs on their messages.
    pub attachments: Arc<Attachments>,
    /// Giving out teams' tickets.
    pub routing: Arc<Routing>,
    /// Ratings by links.
    pub ratings: Arc<Ratings>,
    /// People's notifications.
    pub inbox: Arc<Inbox>,
    /// The first answers to requests with an idempotency key.
    pub answers: Arc<dyn AnswerStore>,
    /// How often something was done, on all nodes together.
    pub limits: Arc<dyn RateLimits>,
    /// The secret of cursors.
    pub cursors: CursorKey,
    /// The secret of links to files.
    pub links: LinkKey,
    /// Whether the database answers.
    pub health: Arc<dyn Health>,
    /// The text of `/metrics`.
    pub metrics: Option<Arc<dyn MetricsText>>,
}

/// Everything that handlers share: the [parts](AppParts), to which it dereferences, and what is made of them once.
pub struct AppState {
    parts: AppParts,
    pub(crate) gates: Gates,
    pub(crate) table: RouteTable,
    pub(crate) reference: Reference,
    pub(crate) load: Arc<Load>,
    draining: AtomicBool,
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppState(…)")
    }
}

impl Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.parts
    }
}

impl AppState {
    /// The state of an application with the whole API.
    #[must_use]
    pub fn new(parts: AppParts) -> Self {
        Self::with_operations(parts, crate::api::operations())
    }

    /// The state of an application with some operations: for tests.
    #[must_use]
    pub fn with_operations(parts: AppParts, operations: Vec<Operation>) -> Self {
        let table = RouteTable::new(operations);
        let reference = Reference::of(&table);
        let gates = Gates::new(&parts.settings.rates, &parts.limits);
        let load = Load::new(parts.settings.requests_in_flight_max);
        Self {
            parts,
            gates,
            table,
            reference,
            load,
            draining: AtomicBool::new(false),
        }
    }

    /// Says that the server is about to stop: `/readyz` answers 503 from now on.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The deadlines that hold for `request`.
    pub(crate) fn deadlines_of(request: &HttpRequest) -> Deadlines {
        request
            .app_data::<Data<Self>>()
            .map(|app| app.settings.deadlines)
            .unwrap_or_default()
    }
}

/// Registers everything that the application answers. The [edge](crate::edge::edge) is to be wrapped around it.
pub fn configure(state: &Data<AppState>, config: &mut web::ServiceConfig) {
    config.app_data(Data::clone(state));
    if state.settings.api_docs {
        crate::openapi::configure(config);
    }
    operator::configure(state, config);
    crate::account::configure(config);
    crate::rating_page::configure(config);
    state.table.configure(config);
}

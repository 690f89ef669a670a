//! The application as a client meets it, over services in memory.

mod accounts;
mod commands;
mod edge;
mod inbox;
mod keys;
mod listening;
mod reference;
mod uploads;

use std::sync::Arc;

use actix_http::Request;
use actix_web::body::{BoxBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{Bytes, Data};
use actix_web::{App, Error};
use async_trait::async_trait;
use automation::testing::{
    MemoryDirectory as MemoryWorld, MemoryMacros, MemoryRules, MemoryRuns, MemoryWebhooks, MockScenes,
    MockSecretSource,
};
use automation::webhook::AddressRules;
use automation::{Macros, Rules, Webhooks};
use identity::AuditLog;
use identity::testing::{Desk, MemoryAudit, MemoryIdentity};
use kernel::{
    AnswerStore, IdSource, MemoryRateLimits, PortError, Receipt, Role, SequentialIds, StoredAnswer,
};
use knowledge::testing::{MemoryArticles, MemoryCategories, PlainMarkup as PlainDocuments};
use knowledge::{ArticleSearch, Articles, Categories, Synonyms};
use notifications::Inbox;
use notifications::testing::MemoryNotifications;
use serde_json::Value;
use sla::testing::{MemoryClocks, MemoryPolicies};
use sla::{KnownPolicies, PolicyStore, SlaPolicies, TicketSla, Unchecked};
use ticketing::testing::{
    MemoryBlobs, MemoryDirectory, MemoryFields, MemoryTickets, MemoryViews, PlainMarkup,
};
use ticketing::{
    AssigneeFacts, AttachmentSettings, Attachments, Drafts, FieldDefinitions, Jobs, Ratings, Routing,
    SavedViews, Search, Tickets,
};
use uuid::Uuid;

use crate::app::{AppParts, AppState, Health, HttpSettings, MacroEffects, MacroError, configure};
use crate::cursor::CursorKey;
use crate::edge::edge;
use crate::link::{LinkKey, RatingKeys};
use crate::rate::RateSettings;
use crate::routes::Operation;

/// A desk in memory, behind the API.
pub(super) struct World {
    pub(super) notifications: Arc<MemoryNotifications>,
    pub(super) state: Data<AppState>,
    admin: String,
    agent: String,
    customer: String,
}

/// Settings without limits on how often.
pub(super) fn settings() -> HttpSettings {
    HttpSettings {
        rates: RateSettings::lifted(),
        ..HttpSettings::default()
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(settings(), crate::api::operations()).await
    }

    pub(super) async fn with(settings: HttpSettings, operations: Vec<Operation>) -> Self {
        let desk = Desk::new();
        let mut tokens = Vec::new();
        let mut directory = MemoryDirectory::default();
        for (name, role) in [("ada", Role::Admin), ("ann", Role::Agent), ("carl", Role::User)] {
            let profile = desk.person(name, role);
            directory.requesters.insert(profile.id);
            if role != Role::User {
                let facts = AssigneeFacts {
                    is_admin: role == Role::Admin,
                    teams: Vec::new(),
                };
                directory.assignees.insert(profile.id, facts);
            }
            tokens.push(desk.log_in(name).await.access_token.expose().to_owned());
        }
        let Desk {
            world,
            clock,
            hasher: _,
            accounts,
            sessions,
            two_factor,
            vault: _,
            security,
            sign_on,
            teams,
            api_keys,
            session_control,
            why_not,
            authenticator,
            reauthentication,
            ..
        } = desk;
        let ids: Arc<dyn IdSource> = Arc::new(SequentialIds::default());
        let policies: Arc<dyn PolicyStore> = Arc::new(MemoryPolicies::default());
        let policies = Arc::new(KnownPolicies::new(policies, clock.clone()));
        let sla_policies = SlaPolicies::new(policies.clone(), clock.clone(), Arc::clone(&ids));
        let clocks = Arc::new(MemoryClocks::default());
        let ticket_sla = TicketSla::new(policies, clocks, clock.clone(), Arc::clone(&ids));
        let rules = Rules::new(
            Arc::new(MemoryRules::default()),
            Arc::new(MemoryRuns::default()),
            Arc::new(MemoryWorld::default()),
            clock.clone(),
            Arc::clone(&ids),
        );
        let webhook_store = Arc::new(MemoryWebhooks::default());
        let webhooks = Webhooks::new(
            webhook_store.clone(),
            webhook_store,
            Arc::new(MockSecretSource::new()),
            AddressRules::default(),
            clock.clone(),
            Arc::clone(&ids),
        );
        let macros = Macros::new(
            Arc::new(MemoryMacros::default()),
            Arc::new(MemoryWorld::default()),
            clock.clone(),
            Arc::clone(&ids),
        );
        let category_store = Arc::new(MemoryCategories::default());
        let categories = Categories::new(category_store.clone(), clock.clone(), Arc::clone(&ids));
        let article_store = Arc::new(MemoryArticles::default());
        let article_search = ArticleSearch::new(
            article_store.clone(),
            article_store.clone(),
            category_store.clone(),
            Synonyms::default(),
            clock.clone(),
        );
        let articles = Articles::new(
            article_store,
            category_store,
            Arc::new(PlainDocuments),
            clock.clone(),
            Arc::clone(&ids),
        );
        let ticket_store = Arc::new(MemoryTickets::default());
        let fields =
            FieldDefinitions::new(Arc::new(MemoryFields::default()), clock.clone(), Arc::clone(&ids));
        let fields = Arc::new(fields);
        let tickets = Tickets::new(
            ticket_store.clone(),
            Arc::new(directory),
            Arc::new(PlainMarkup),
            clock.clone(),
            Arc::clone(&ids),
            ticketing::Settings::default(),
        );
        let tickets = Arc::new(tickets.checking(Arc::clone(&fields)));
        let attachments = Attachments::new(
            Arc::clone(&tickets),
            ticket_store.clone(),
            Arc::new(MemoryBlobs::default()),
            None,
            AttachmentSettings::default(),
        );
        let drafts = Drafts::new(ticket_store.clone(), Arc::clone(&tickets));
        let jobs = Jobs::new(ticket_store.clone(), Arc::clone(&tickets));
        let routing = Routing::new(ticket_store.clone(), Arc::clone(&tickets));
        let search = Search::new(ticket_store, Arc::clone(&tickets));
        let ratings = Ratings::new(Arc::clone(&tickets), Arc::new(RatingKeys::new([[5_u8; 32]])));
        let saved_views = SavedViews::new(Arc::new(MemoryViews::default()), Arc::clone(&tickets));
        let notifications = Arc::new(MemoryNotifications::new());
        let parts = AppParts {
            settings,
            clock: clock.clone(),
            ids,
            authenticator: Arc::new(authenticator),
            accounts: Arc::new(accounts),
            sessions: Arc::new(sessions),
            two_factor: Arc::new(two_factor),
            security: Arc::new(security),
            session_control: Arc::new(session_control),
            api_keys: Arc::new(api_keys),
            why_not: Arc::new(why_not),
            sign_on: Arc::new(sign_on),
            teams: Arc::new(teams),
            audit_log: Arc::new(AuditLog::new(Arc::new(MemoryAudit::new()))),
            limits: Arc::new(MemoryRateLimits::new(clock.clone())),
            tickets,
            search: Arc::new(search),
            saved_views: Arc::new(saved_views),
            jobs: Arc::new(jobs),
            drafts: Arc::new(drafts),
            sla_policies: Arc::new(sla_policies),
            rules: Arc::new(rules),
            scenes: Arc::new(MockScenes::new()),
            macros: Arc::new(macros),
            macro_effects: Arc::new(NoMacros),
            categories: Arc::new(categories),
            articles: Arc::new(articles),
            article_search: Arc::new(article_search),
            webhooks: Arc::new(webhooks),
            reauthentication,
            policy_checks: Arc::new(Unchecked),
            ticket_sla: Arc::new(ticket_sla),
            fields,
            routing: Arc::new(routing),
            ratings: Arc::new(ratings),
            attachments: Arc::new(attachments),
            inbox: Arc::new(Inbox::new(notifications.clone(), clock.clone())),
            answers: Arc::new(Receipts(Arc::clone(&world))),
            cursors: CursorKey::new(b"a secret of tests"),
            links: LinkKey::new(b"another secret of tests"),
            health: Arc::new(Healthy),
            metrics: None,
        };
        let state = Data::new(AppState::with_operations(parts, operations));
        let mut tokens = tokens.into_iter();
        let mut next = || tokens.next().unwrap();
        Self {
            notifications,
            state,
            admin: next(),
            agent: next(),
            customer: next(),
        }
    }

    /// Sends a request through the whole application.
    pub(super) async fn send(&self, request: TestRequest) -> Answer {
        self.call(request.to_request()).await
    }

    /// Sends a request whose body comes as a stream.
    pub(super) async fn call(&self, request: Request) -> Answer {
        let state = Data::clone(&self.state);
        let app = App::new()
            .configure(|config| configure(&state, config))
            .wrap(from_fn(edge));
        let service = init_service(app).await;
        Answer::of(service.call(request).await).await
    }

    /// A request of the administrator.
    pub(super) fn admin(&self, method: Method, path: &str) -> TestRequest {
        request(method, path).insert_header(("authorization", format!("Bearer {}", self.admin)))
    }

    /// A request of the agent.
    pub(super) fn agent(&self, method: Method, path: &str) -> TestRequest {
        request(method, path).insert_header(("authorization", format!("Bearer {}", self.agent)))
    }

    /// A request of the customer.
    pub(super) fn customer(&self, method: Method, path: &str) -> TestRequest {
        request(method, path).insert_header(("authorization", format!("Bearer {}", self.customer)))
    }
}

/// A request to a path below the API's base, or to any path that begins with two slashes.
pub(super) fn request(method: Method, path: &str) -> TestRequest {
    let uri = path
        .strip_prefix('/')
        .filter(|rest| rest.starts_with('/'))
        .map_or(format!("/api/v1{path}"), str::to_owned);
    TestRequest::default()
        .method(method)
        .uri(&uri)
        .peer_addr(([203, 0, 113, 7], 4000).into())
}

/// Applies no macro.
struct NoMacros;

#[async_trait]
impl MacroEffects for NoMacros {
    async fn apply(
        &self,
        _actor: &kernel::Actor,
        _key: &ticketing::TicketKey,
        _id: automation::MacroId,
        _guard: ticketing::Guard<'_, ticketing::Written<()>>,
    ) -> Result<ticketing::Written<()>, MacroError> {
        Err(ticketing::TicketError::NotFound.into())
    }
}

/// The database, which is well.
struct Healthy;

#[async_trait]
impl Health for Healthy {
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// The answers that the stores in memory keep.
struct Receipts(Arc<MemoryIdentity>);

#[async_trait]
impl AnswerStore for Receipts {
    async fn find(&self, principal: Uuid, key: &str) -> Result<Option<StoredAnswer>, PortError> {
        Ok(self.0.receipts().into_iter().find_map(|receipt| match receipt {
            Receipt::Request(receipt) if receipt.key.principal == principal && receipt.key.key == key => {
                Some(StoredAnswer {
                    route: receipt.key.route,
                    request_sha256: receipt.key.request_sha256,
                    answer: receipt.answer,
                })
            }
            Receipt::Request(_) | Receipt::Event(_) => None,
        }))
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    async fn of(result: Result<ServiceResponse<BoxBody>, Error>) -> Self {
        let response = match result {
            Ok(response) => response.into(),
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            body: to_bytes(response.into_body()).await.unwrap(),
        }
    }

    /// The body as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem document, which this must be, with the status.
    #[track_caller]
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(document["requestId"], self.header("x-request-id"));
        assert_eq!(
            document["type"],
            format!("/problems/{}", document["code"].as_str().unwrap())
        );
        (
            self.status.as_u16(),
            document["code"].as_str().unwrap().to_owned(),
        )
    }

    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

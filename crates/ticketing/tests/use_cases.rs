//! The use cases on fakes: no database, no HTTP, no time but the test's own.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::collections::HashSet;
use std::sync::Arc;

use chrono::Duration;
use events::{Cause, Fact, TicketFact, TicketPriority, TicketStatus};
use insightdesk_ticketing as ticketing;
use kernel::{
    Actor, Answer, FailureKind, ManualClock, PageLimit, Receipt, RequestKey, RequestReceipt, SequentialIds,
    SystemActor, TeamId, TeamRole, UserId, Version,
};
use kernel::{Classify, IdSource};
use serde_json::json;
use ticketing::testing::{
    MemoryDirectory, MemoryTickets, MockMarkup, PlainMarkup, build, contract, contract_search,
};
use ticketing::{
    AssigneeFacts, AutoClose, Body, Edit, Guard, Import, ImportRow, Imported, Past, PastMessage, Remark,
    Reply, Scope, Settings, Subject, TicketError, TicketFilter, TicketKey, TicketQuery, Tickets, Visibility,
    Written, action,
};
use uuid::Uuid;

struct Desk {
    store: Arc<MemoryTickets>,
    clock: Arc<ManualClock>,
    tickets: Arc<Tickets>,
}

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const OTHER_CUSTOMER: UserId = UserId(Uuid::from_u128(0xc2));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const COLLEAGUE: UserId = UserId(Uuid::from_u128(0xa2));
const OUTSIDER: UserId = UserId(Uuid::from_u128(0xa3));
const ADMIN: UserId = UserId(Uuid::from_u128(0xad));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));
const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(0x72));

fn desk() -> Desk {
    let store = Arc::new(MemoryTickets::default());
    let clock = Arc::new(ManualClock::at(build::noon()));
    let mut directory = MemoryDirectory::default();
    for (user, team) in [(AGENT, TEAM), (COLLEAGUE, TEAM), (OUTSIDER, OTHER_TEAM)] {
        directory.assignees.insert(
            user,
            AssigneeFacts {
                is_admin: false,
                teams: vec![team],
            },
        );
    }
    directory.requesters = HashSet::from([CUSTOMER, OTHER_CUSTOMER, AGENT, COLLEAGUE, OUTSIDER, ADMIN]);
    directory.teams.insert(TEAM, "Front".into());
    directory.teams.insert(OTHER_TEAM, "Back".into());
    let tickets = Arc::new(Tickets::new(
        store.clone(),
        Arc::new(directory),
        Arc::new(PlainMarkup),
        clock.clone(),
        Arc::new(SequentialIds::default()),
        Settings::default(),
    ));
    Desk {
        store,
        clock,
        tickets,
    }
}

fn customer() -> Actor {
    Actor::Person(build::customer(CUSTOMER))
}
fn stranger() -> Actor {
    Actor::Person(build::customer(OTHER_CUSTOMER))
}
fn agent() -> Actor {
    Actor::Person(build::agent(AGENT, TEAM, TeamRole::Agent))
}
fn colleague() -> Actor {
    Actor::Person(build::agent(COLLEAGUE, TEAM, TeamRole::Agent))
}
fn supervisor() -> Actor {
    Actor::Person(build::agent(COLLEAGUE, TEAM, TeamRole::Supervisor))
}
fn lead() -> Actor {
    Actor::Person(build::agent(COLLEAGUE, TEAM, TeamRole::Lead))
}
fn outsider() -> Actor {
    Actor::Person(build::agent(OUTSIDER, OTHER_TEAM, TeamRole::Lead))
}
fn admin() -> Actor {
    Actor::Person(build::admin(ADMIN))
}

impl Desk {
    /// A ticket of the customer in the team.
    async fn ticket(&self) -> TicketKey {
        let mut new = build::new_ticket("Printer on fire");
        new.team = Some(TEAM);
        let written = self
            .tickets
            .create(&customer(), new, &kernel::receipt::no_receipt)
            .await
            .unwrap();
        TicketKey::Id(written.view.ticket.id)
    }

    async fn say(&self, actor: &Actor, key: &TicketKey, visibility: Visibility) -> Result<(), TicketError> {
        let reply = Reply {
            body: Body::parse("/message", "hello").unwrap(),
            visibility,
            attachments: vec![],
            mentions: Vec::new(),
        };
        self.tickets
            .reply(actor, key, &reply, Guard::none())
            .await
            .map(drop)
    }

    async fn seen_by(&self, actor: &Actor, key: &TicketKey) -> ticketing::TicketView {
        self.tickets.show(actor, key, false).await.unwrap()
    }

    async fn set_status(&self, key: &TicketKey, status: TicketStatus) {
        let edit = Edit {
            status: Some(status),
            ..Edit::default()
        };
        self.tickets
            .edit(&admin(), key, &edit, Guard::none())
            .await
            .unwrap();
    }
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, TicketError>) -> FailureKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn the_fake_keeps_the_stores_contract() {
    let store = Arc::new(MemoryTickets::default());
    let ids = Arc::new(SequentialIds::default());
    let world = contract::World {
        customer: CUSTOMER,
        stranger: OTHER_CUSTOMER,
        agent: AGENT,
        team: TEAM,
        other_team: OTHER_TEAM,
    };
    contract::ticket_store(store.clone(), ids.clone(), world.clone()).await;
    contract::import_store(store.clone(), store, ids.clone(), world.clone()).await;
    // On a store of its own: a search goes through all that the desk has.
    let store = Arc::new(MemoryTickets::default());
    contract_search::search_index(store.clone(), store, ids, world).await;
}

#[tokio::test]
async fn a_new_ticket_leaves_its_activity_and_its_event() {
    let desk = desk();
    let key = desk.ticket().await;
    let ticket = desk.seen_by(&customer(), &key).await.ticket;
    assert_eq!(ticket.number.as_str(), "TKT-00001");
    let history = desk.store.history(ticket.id);
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].action.as_str(), history[0].actor),
        (action::CREATED, Some(CUSTOMER))
    );
    let events = desk.store.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].cause, Cause::Person(CUSTOMER));
    assert!(
        matches!(&events[0].fact, Fact::Ticket { what: TicketFact::Created {}, ticket: t } if t.id == ticket.id)
    );
}

#[tokio::test]
async fn customers_open_tickets_only_for_themselves() {
    let desk = desk();
    let mut new = build::new_ticket("x");
    new.requester = Some(OTHER_CUSTOMER);
    let refused = desk
        .tickets
        .create(&customer(), new.clone(), &kernel::receipt::no_receipt)
        .await;
    assert_eq!(kind_of(refused), FailureKind::Forbidden);
    let written = desk
        .tickets
        .create(&agent(), new, &kernel::receipt::no_receipt)
        .await
        .unwrap();
    assert_eq!(written.view.ticket.requester, OTHER_CUSTOMER);
}

#[tokio::test]
async fn every_reference_that_does_not_exist_is_named_at_once() {
    let desk = desk();
    let mut new = build::new_ticket("x");
    new.requester = Some(UserId(Uuid::from_u128(404)));
    new.team = Some(TeamId(Uuid::from_u128(404)));
    let error = desk
        .tickets
        .create(&admin(), new, &kernel::receipt::no_receipt)
        .await
        .unwrap_err();
    let pointers: Vec<_> = error
        .violations()
        .iter()
        .map(|violation| violation.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/createdById", "/teamId"]);
}

#[tokio::test]
async fn a_ticket_does_not_exist_for_strangers_and_other_teams() {
    let desk = desk();
    let key = desk.ticket().await;
    for actor in [stranger(), outsider()] {
        assert_eq!(
            kind_of(desk.tickets.show(&actor, &key, false).await),
            FailureKind::NotFound
        );
        assert_eq!(
            kind_of(desk.say(&actor, &key, Visibility::Public).await),
            FailureKind::NotFound
        );
        assert_eq!(
            kind_of(desk.tickets.claim(&actor, &key, Guard::none()).await),
            FailureKind::NotFound
        );
        let limit = PageLimit::DEFAULT;
        assert_eq!(
            kind_of(desk.tickets.messages(&actor, &key, None, limit).await),
            FailureKind::NotFound
        );
        assert_eq!(
            kind_of(desk.tickets.notes(&actor, &key, None, limit).await),
            FailureKind::NotFound
        );
        assert!(
            desk.tickets
                .list(&actor, &TicketQuery::default())
                .await
                .unwrap()
                .items
                .is_empty()
        );
    }
}

#[tokio::test]
async fn the_first_public_answer_of_the_desk_is_the_first_response() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.say(&customer(), &key, Visibility::Public).await.unwrap();
    desk.say(&agent(), &key, Visibility::Internal).await.unwrap();
    assert_eq!(desk.seen_by(&agent(), &key).await.ticket.first_response_at, None);
    desk.clock.advance(Duration::minutes(3));
    desk.say(&agent(), &key, Visibility::Public).await.unwrap();
    desk.clock.advance(Duration::minutes(3));
    desk.say(&agent(), &key, Visibility::Public).await.unwrap();
    let first = desk.seen_by(&agent(), &key).await.ticket.first_response_at;
    assert_eq!(first, Some(build::noon() + Duration::minutes(3)));
}

#[tokio::test]
async fn a_customers_reply_opens_a_pending_or_resolved_ticket() {
    let desk = desk();
    for status in [TicketStatus::Pending, TicketStatus::Resolved] {
        let key = desk.ticket().await;
        desk.set_status(&key, status).await;
        desk.say(&agent(), &key, Visibility::Public).await.unwrap();
        assert_eq!(desk.seen_by(&customer(), &key).await.ticket.status(), status);
        desk.say(&customer(), &key, Visibility::Public).await.unwrap();
        assert_eq!(
            desk.seen_by(&customer(), &key).await.ticket.status(),
            TicketStatus::Open
        );
    }
}

#[tokio::test]
async fn a_closed_ticket_refuses_a_reply_and_takes_internal_text() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.set_status(&key, TicketStatus::Closed).await;
    for actor in [customer(), agent()] {
        let refused = desk.say(&actor, &key, Visibility::Public).await;
        assert!(matches!(refused, Err(TicketError::Closed)));
    }
    desk.say(&agent(), &key, Visibility::Internal).await.unwrap();
}

#[tokio::test]
async fn internal_text_moves_nothing_that_the_customer_sees() {
    let desk = desk();
    let key = desk.ticket().await;
    let before = desk.seen_by(&customer(), &key).await;
    desk.clock.advance(Duration::hours(1));
    desk.say(&agent(), &key, Visibility::Internal).await.unwrap();
    let note = Body::parse("/message", "canary").unwrap();
    desk.tickets
        .add_note(&agent(), &key, &note, &[], Guard::none())
        .await
        .unwrap();
    let after = desk.seen_by(&customer(), &key).await;
    assert_eq!(after.face(), before.face());
    assert!(desk.seen_by(&agent(), &key).await.version() > before.version());
    let limit = PageLimit::DEFAULT;
    assert!(
        desk.tickets
            .messages(&customer(), &key, None, limit)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let (_, history) = desk
        .tickets
        .activities(&customer(), &key, None, limit)
        .await
        .unwrap();
    assert_eq!(history.items.len(), 1, "only the creation");
    assert_eq!(
        kind_of(desk.tickets.notes(&customer(), &key, None, limit).await),
        FailureKind::NotFound
    );
    let refused = desk
        .tickets
        .add_note(&customer(), &key, &note, &[], Guard::none())
        .await;
    assert_eq!(kind_of(refused), FailureKind::NotFound);
}

#[tokio::test]
async fn a_customers_internal_message_is_refused_by_its_field() {
    let desk = desk();
    let key = desk.ticket().await;
    let error = desk
        .say(&customer(), &key, Visibility::Internal)
        .await
        .unwrap_err();
    assert_eq!(error.violations()[0].pointer, "/isInternal");
}

#[tokio::test]
async fn of_two_claims_one_wins_and_ones_own_can_be_repeated() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.tickets.claim(&agent(), &key, Guard::none()).await.unwrap();
    let lost = desk.tickets.claim(&colleague(), &key, Guard::none()).await;
    assert!(matches!(lost, Err(TicketError::AlreadyClaimed(AGENT))));
    let version = desk.seen_by(&agent(), &key).await.version();
    desk.tickets.claim(&agent(), &key, Guard::none()).await.unwrap();
    assert_eq!(
        desk.seen_by(&agent(), &key).await.version(),
        version,
        "nothing changed"
    );
}

#[tokio::test]
async fn agents_assign_themselves_and_supervisors_assign_others() {
    let desk = desk();
    let key = desk.ticket().await;
    let refused = desk
        .tickets
        .assign(&agent(), &key, COLLEAGUE, Guard::none())
        .await;
    assert_eq!(kind_of(refused), FailureKind::Forbidden);
    desk.tickets
        .assign(&agent(), &key, AGENT, Guard::none())
        .await
        .unwrap();
    desk.tickets
        .assign(&supervisor(), &key, COLLEAGUE, Guard::none())
        .await
        .unwrap();
    let refused = desk.tickets.unassign(&agent(), &key, Guard::none()).await;
    assert_eq!(kind_of(refused), FailureKind::Forbidden);
    let error = desk
        .tickets
        .assign(&supervisor(), &key, OUTSIDER, Guard::none())
        .await
        .unwrap_err();
    assert_eq!(error.violations()[0].code, "not_in_team");
    let error = desk
        .tickets
        .assign(&supervisor(), &key, CUSTOMER, Guard::none())
        .await
        .unwrap_err();
    assert_eq!(error.violations()[0].pointer, "/agentId");
}

#[tokio::test]
async fn a_transfer_takes_the_ticket_from_those_who_do_not_work_there() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.tickets.claim(&agent(), &key, Guard::none()).await.unwrap();
    let note = Body::parse("/note", "please").unwrap();
    let moved = desk
        .tickets
        .transfer(&agent(), &key, OTHER_TEAM, Some(&note), Guard::none())
        .await
        .unwrap();
    assert_eq!(
        (moved.view.ticket.team, moved.view.ticket.assignee),
        (Some(OTHER_TEAM), None)
    );
    assert_eq!(
        kind_of(desk.tickets.show(&agent(), &key, false).await),
        FailureKind::NotFound
    );
    let notes = desk
        .tickets
        .notes(&outsider(), &key, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert_eq!(notes.items.len(), 1);
}

#[tokio::test]
async fn an_illegal_transition_names_the_allowed_ones_and_changes_nothing() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.tickets
        .resolve(&agent(), &key, None, Guard::none())
        .await
        .unwrap();
    let before = desk.store.events().len();
    let error = desk
        .tickets
        .resolve(&agent(), &key, None, Guard::none())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "ticket.transition_not_allowed");
    assert!(error.detail().contains("open, closed"), "{}", error.detail());
    assert_eq!(desk.store.events().len(), before);
}

#[tokio::test]
async fn an_edit_is_whole_or_not_at_all() {
    let desk = desk();
    let key = desk.ticket().await;
    let edit = Edit {
        subject: Some(Subject::parse("/subject", "Changed").unwrap()),
        priority: Some(TicketPriority::Urgent),
        ..Edit::default()
    };
    assert_eq!(
        kind_of(desk.tickets.edit(&customer(), &key, &edit, Guard::none()).await),
        FailureKind::Forbidden
    );
    assert_eq!(
        desk.seen_by(&customer(), &key).await.ticket.subject.as_str(),
        "Printer on fire"
    );
    let written = desk
        .tickets
        .edit(&agent(), &key, &edit, Guard::none())
        .await
        .unwrap();
    assert_eq!(written.view.ticket.subject.as_str(), "Changed");
    let actions: Vec<_> = desk
        .store
        .history(written.view.ticket.id)
        .into_iter()
        .map(|activity| activity.action)
        .collect();
    assert_eq!(
        actions,
        [action::CREATED, action::UPDATED, action::PRIORITY_CHANGED]
    );
}

#[tokio::test]
async fn of_two_edits_on_one_version_one_wins() {
    let desk = desk();
    let key = desk.ticket().await;
    let edit = |subject: &str| Edit {
        subject: Some(Subject::parse("/subject", subject).unwrap()),
        ..Edit::default()
    };
    let seen = desk.seen_by(&agent(), &key).await.version();
    let guard = || Guard::<Written<()>> {
        expected: Some(seen),
        receipt: &kernel::receipt::no_receipt,
    };
    desk.tickets
        .edit(&agent(), &key, &edit("first"), guard())
        .await
        .unwrap();
    let lost = desk.tickets.edit(&agent(), &key, &edit("second"), guard()).await;
    assert!(matches!(
        lost,
        Err(TicketError::Stale {
            current: Some(Version(2))
        })
    ));
}

#[tokio::test]
async fn a_receipt_makes_the_same_request_happen_once() {
    let desk = desk();
    let receipt = |_: &Written<()>| {
        let key = RequestKey {
            principal: CUSTOMER.0,
            key: "k".into(),
            route: "POST /tickets".into(),
            request_sha256: [0; 32],
        };
        let answer = Answer {
            status: 201,
            etag: None,
            location: None,
            body: "{}".into(),
        };
        Some(Receipt::Request(RequestReceipt { key, answer }))
    };
    desk.tickets
        .create(&customer(), build::new_ticket("once"), &receipt)
        .await
        .unwrap();
    let again = desk
        .tickets
        .create(&customer(), build::new_ticket("once"), &receipt)
        .await;
    assert!(matches!(again, Err(TicketError::Repeated)));
    assert_eq!(desk.store.events().len(), 1);
}

#[tokio::test]
async fn deleting_hides_a_ticket_and_restoring_brings_it_back() {
    let desk = desk();
    let key = desk.ticket().await;
    assert_eq!(
        kind_of(desk.tickets.delete(&supervisor(), &key, Guard::none()).await),
        FailureKind::Forbidden
    );
    desk.tickets.delete(&lead(), &key, Guard::none()).await.unwrap();
    for actor in [customer(), agent(), lead()] {
        assert_eq!(
            kind_of(desk.tickets.show(&actor, &key, true).await),
            FailureKind::NotFound
        );
    }
    assert_eq!(
        kind_of(desk.tickets.show(&admin(), &key, false).await),
        FailureKind::NotFound
    );
    assert!(desk.tickets.show(&admin(), &key, true).await.is_ok());
    assert_eq!(
        kind_of(desk.say(&customer(), &key, Visibility::Public).await),
        FailureKind::NotFound
    );
    assert!(matches!(
        desk.say(&admin(), &key, Visibility::Public).await,
        Err(TicketError::Deleted)
    ));
    assert_eq!(
        kind_of(desk.tickets.restore(&agent(), &key, Guard::none()).await),
        FailureKind::NotFound
    );
    desk.tickets.restore(&lead(), &key, Guard::none()).await.unwrap();
    assert!(matches!(
        desk.tickets.restore(&lead(), &key, Guard::none()).await,
        Err(TicketError::NotDeleted)
    ));
    assert!(desk.tickets.show(&customer(), &key, false).await.is_ok());
}

#[tokio::test]
async fn a_lead_restores_only_within_the_window() {
    let desk = desk();
    let key = desk.ticket().await;
    desk.tickets.delete(&lead(), &key, Guard::none()).await.unwrap();
    desk.clock.advance(Duration::days(31));
    assert_eq!(
        kind_of(desk.tickets.restore(&lead(), &key, Guard::none()).await),
        FailureKind::NotFound
    );
    desk.tickets.restore(&admin(), &key, Guard::none()).await.unwrap();
}

#[tokio::test]
async fn authors_edit_their_messages_for_five_minutes() {
    let desk = desk();
    let key = desk.ticket().await;
    let reply = Reply {
        body: Body::parse("/message", "typo").unwrap(),
        visibility: Visibility::Public,
        attachments: vec![],
        mentions: Vec::new(),
    };
    let sent = desk
        .tickets
        .reply(&agent(), &key, &reply, Guard::none())
        .await
        .unwrap()
        .detail;
    let better = Body::parse("/message", "text").unwrap();
    let refused = desk
        .tickets
        .edit_message(&customer(), &key, sent.id, &better, Guard::none())
        .await;
    assert_eq!(kind_of(refused), FailureKind::Forbidden);
    let edited = desk
        .tickets
        .edit_message(&agent(), &key, sent.id, &better, Guard::none())
        .await
        .unwrap();
    assert_eq!(edited.detail.body, better);
    let history = desk.store.history(sent.ticket);
    assert_eq!(
        history.last().unwrap().old_value,
        Some(json!({ "message": "typo" }))
    );
    desk.clock.advance(Duration::minutes(6));
    let late = desk
        .tickets
        .edit_message(&agent(), &key, sent.id, &reply.body, Guard::none())
        .await;
    assert!(matches!(late, Err(TicketError::EditWindowOver)));
}

#[tokio::test]
async fn resolved_tickets_close_themselves_after_the_silence() {
    let desk = desk();
    let (silent, talking) = (desk.ticket().await, desk.ticket().await);
    for key in [&silent, &talking] {
        desk.tickets
            .resolve(&agent(), key, None, Guard::none())
            .await
            .unwrap();
    }
    let sweep = AutoClose::new(desk.tickets.clone());
    desk.clock.advance(Duration::hours(95));
    assert_eq!(sweep.run_once().await.unwrap(), 0);
    desk.say(&agent(), &talking, Visibility::Public).await.unwrap();
    desk.clock.advance(Duration::hours(2));
    assert_eq!(sweep.run_once().await.unwrap(), 1);
    assert_eq!(sweep.run_once().await.unwrap(), 0, "once");
    let closed = desk.seen_by(&agent(), &silent).await.ticket;
    assert_eq!(
        closed.standing.auto_closed_at(),
        Some(build::noon() + Duration::hours(97))
    );
    let last = desk.store.history(closed.id).pop().unwrap();
    assert_eq!(
        (last.actor, last.metadata),
        (None, json!({ "system": "auto_close" }))
    );
}

#[tokio::test]
async fn the_history_keeps_who_and_the_values() {
    let desk = desk();
    let key = desk.ticket().await;
    let reason = Remark::parse("/resolution", "new toner").unwrap();
    let written = desk
        .tickets
        .resolve(&agent(), &key, Some(&reason), Guard::none())
        .await
        .unwrap();
    let last = desk.store.history(written.view.ticket.id).pop().unwrap();
    assert_eq!(last.actor, Some(AGENT));
    assert_eq!(
        (last.old_value, last.new_value),
        (Some(json!("open")), Some(json!("resolved")))
    );
    assert_eq!(last.metadata, json!({ "remark": "new toner" }));
}

#[tokio::test]
async fn allowed_actions_are_those_that_succeed() {
    let desk = desk();
    let key = desk.ticket().await;
    let customers = desk.seen_by(&customer(), &key).await.allowed_actions;
    assert_eq!(customers, ["reply", "edit", "close"]);
    let leads = desk.seen_by(&lead(), &key).await.allowed_actions;
    assert!(leads.contains(&"delete") && leads.contains(&"assign") && !leads.contains(&"reopen"));
}

#[tokio::test]
async fn an_agents_list_is_the_work_and_with_themselves_as_requester_their_own() {
    let desk = desk();
    let _teams = desk.ticket().await;
    let mut new = build::new_ticket("my own laptop");
    new.team = Some(OTHER_TEAM);
    desk.tickets
        .create(&agent(), new, &kernel::receipt::no_receipt)
        .await
        .unwrap();
    let work = desk
        .tickets
        .list(&agent(), &TicketQuery::default())
        .await
        .unwrap();
    assert_eq!(work.items.len(), 1);
    let filter = TicketFilter {
        requester: Some(AGENT),
        ..TicketFilter::default()
    };
    let query = TicketQuery {
        filter,
        ..TicketQuery::default()
    };
    let own = desk.tickets.list(&agent(), &query).await.unwrap();
    assert_eq!(own.items[0].audience, ticketing::Audience::Customer);
    let query = TicketQuery {
        include_deleted: true,
        ..TicketQuery::default()
    };
    assert_eq!(
        kind_of(desk.tickets.list(&agent(), &query).await),
        FailureKind::Forbidden
    );
    assert_eq!(Scope::Desk.audience(), ticketing::Audience::Staff);
}

#[tokio::test]
async fn html_is_made_once_when_a_message_is_written() {
    let mut markup = MockMarkup::new();
    markup
        .expect_to_html()
        .times(1)
        .withf(|text| text == "*hi*")
        .return_const("<p><em>hi</em></p>".to_owned());
    let store = Arc::new(MemoryTickets::default());
    let tickets = Tickets::new(
        store.clone(),
        Arc::new(MemoryDirectory::default()),
        Arc::new(markup),
        Arc::new(ManualClock::at(build::noon())),
        Arc::new(SequentialIds::default()),
        Settings::default(),
    );
    let made = tickets
        .create(&customer(), build::new_ticket("x"), &kernel::receipt::no_receipt)
        .await
        .unwrap();
    let key = TicketKey::Id(made.view.ticket.id);
    let reply = Reply {
        body: Body::parse("/message", "*hi*").unwrap(),
        visibility: Visibility::Public,
        attachments: vec![],
        mentions: Vec::new(),
    };
    let sent = tickets
        .reply(&customer(), &key, &reply, Guard::none())
        .await
        .unwrap();
    assert_eq!(sent.detail.html.as_deref(), Some("<p><em>hi</em></p>"));
}

#[tokio::test]
async fn an_import_can_be_repeated() {
    let store = Arc::new(MemoryTickets::default());
    let ids = Arc::new(SequentialIds::default());
    let import = Import::new(
        store.clone(),
        Arc::new(PlainMarkup),
        Arc::new(ManualClock::at(build::noon())),
        ids.clone(),
    );
    let row = |id: &str| ImportRow {
        external_id: id.to_owned(),
        subject: Subject::stored("s".into()),
        description: ticketing::Description::stored("d".into()),
        requester: CUSTOMER,
        priority: TicketPriority::Low,
        status: TicketStatus::Closed,
        channel: ticketing::TicketChannel::Email,
        tags: ticketing::Tags::default(),
        custom_fields: ticketing::CustomFields::default(),
        created_at: Some(build::noon() - Duration::days(2)),
        ended_at: None,
        past: Past::default(),
    };
    let first = import
        .import("old desk", vec![row("1"), row("2"), row("1")])
        .await
        .unwrap();
    assert_eq!(first, [Imported::New, Imported::New, Imported::AlreadyThere]);
    let second = import.import("old desk", vec![row("2"), row("3")]).await.unwrap();
    assert_eq!(second, [Imported::AlreadyThere, Imported::New]);
    let events = store.events();
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|event| event.cause == Cause::System(SystemActor::Import.as_str().into()))
    );
    assert!(ids.next() > Uuid::nil());
}

/// A closed ticket of a customer that was written to by `messages`: who, whether for the desk, who may read it, and at
/// which hour of its first day.
async fn with_past(
    past: Past,
    messages: &[(UserId, bool, Visibility, i64)],
) -> (Arc<MemoryTickets>, ticketing::Ticket) {
    let store = Arc::new(MemoryTickets::default());
    let ids = Arc::new(SequentialIds::default());
    let clock = Arc::new(ManualClock::at(build::noon()));
    let import = Import::new(store.clone(), Arc::new(PlainMarkup), clock, ids);
    let made = build::noon() - Duration::days(2);
    let message = |(sender, by_staff, visibility, hour): &(UserId, bool, Visibility, i64)| PastMessage {
        sender: *sender,
        by_staff: *by_staff,
        body: Body::stored(format!("at {hour}")),
        visibility: *visibility,
        at: made + Duration::hours(*hour),
    };
    let row = ImportRow {
        external_id: "7".to_owned(),
        subject: Subject::stored("s".into()),
        description: ticketing::Description::stored("d".into()),
        requester: CUSTOMER,
        priority: TicketPriority::Low,
        status: TicketStatus::Closed,
        channel: ticketing::TicketChannel::Email,
        tags: ticketing::Tags::default(),
        custom_fields: ticketing::CustomFields::default(),
        created_at: Some(made),
        ended_at: Some(made + Duration::hours(10)),
        past: Past {
            messages: messages.iter().map(message).collect(),
            ..past
        },
    };
    assert_eq!(
        import.import("old desk", vec![row]).await.unwrap(),
        [Imported::New]
    );
    let events = store.events();
    assert_eq!(events.len(), 1, "of its messages nobody is told");
    let ticket = store
        .stored(kernel::TicketId(events[0].fact.aggregate()))
        .unwrap();
    (store, ticket)
}

#[tokio::test]
async fn an_imported_conversation_leaves_counts_times_and_the_first_response_as_they_were() {
    use Visibility::{Internal, Public};
    let messages = [
        (AGENT, true, Public, 5),
        (AGENT, true, Internal, 1),
        (CUSTOMER, false, Public, 2),
        (CUSTOMER, true, Public, 3),
    ];
    let past = Past {
        resolved_at: Some(build::noon() - Duration::days(2) + Duration::hours(6)),
        updated_at: Some(build::noon() - Duration::days(1)),
        ..Past::default()
    };
    let (store, ticket) = with_past(past, &messages).await;
    let at = |hour| Some(ticket.created_at + Duration::hours(hour));
    let (staff, public) = (ticket.staff_face, ticket.public_face);
    assert_eq!((staff.message_count, public.message_count), (4, 3));
    assert_eq!((staff.last_message_at, public.last_message_at), (at(5), at(5)));
    assert_eq!(
        (Some(staff.updated_at), Some(public.updated_at)),
        (at(24), at(10))
    );
    assert_eq!(
        ticket.first_response_at,
        at(5),
        "the requester's own is no response"
    );
    assert_eq!(
        (ticket.standing.resolved_at(), ticket.standing.closed_at()),
        (at(6), at(10))
    );
    assert_eq!(store.history(ticket.id).len(), 1);
}

#[tokio::test]
async fn internal_text_of_the_past_moves_nothing_that_customers_see_and_nothing_lies_in_the_future() {
    use Visibility::Internal;
    let said = Some(build::noon() - Duration::days(9));
    let past = Past {
        first_response_at: said,
        updated_at: Some(build::noon() + Duration::days(9)),
        ..Past::default()
    };
    let (_, ticket) = with_past(past, &[(AGENT, true, Internal, 20), (AGENT, true, Internal, 999)]).await;
    let (staff, public) = (ticket.staff_face, ticket.public_face);
    assert_eq!((staff.message_count, public.message_count), (2, 0));
    assert_eq!(
        (staff.updated_at, staff.last_message_at),
        (build::noon(), Some(build::noon()))
    );
    assert_eq!(
        (public.updated_at, public.last_message_at),
        (ticket.created_at + Duration::hours(10), None)
    );
    assert_eq!(ticket.first_response_at, Some(ticket.created_at));
}

#[test]
fn a_past_has_bounds() {
    let message = PastMessage {
        sender: AGENT,
        by_staff: true,
        body: Body::stored("x".into()),
        visibility: Visibility::Public,
        at: build::noon(),
    };
    let mut past = Past {
        messages: vec![message; ticketing::PAST_MESSAGES_MAX],
        ..Past::default()
    };
    assert!(past.check().is_ok());
    past.messages.extend(past.messages.first().cloned());
    past.origin.insert(
        "text".to_owned(),
        json!("x".repeat(ticketing::DOCUMENT_MAX_BYTES)),
    );
    let faults = past.check().unwrap_err();
    let codes: Vec<_> = faults.as_slice().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["too_many", "too_long"]);
}

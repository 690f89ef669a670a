//! What every [`TicketStore`] and [`ImportStore`] must do. Run on the fake here and on the database in its own tests.
//!
//! A suite makes its own people, teams and tickets out of fresh ids, so that it can run on a store that is not empty;
//! `world` must make the ids it is given exist as accounts and teams.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Event, Fact, TicketFact, TicketPriority};
use kernel::{
    Actor, EventId, EventReceipt, IdSource, PageLimit, Receipt, SystemActor, TeamId, TicketId, UserId,
    Version,
};
use serde_json::json;

use super::build;
use crate::machine::{ClosedBy, Standing};
use crate::port::{CommitError, TicketCommit, TicketStore, TicketWrite};
use crate::query::{Count, Direction, Maybe, Scope, Sort, SortKey, Span, TicketFilter, TicketQuery};
use crate::satisfaction::{Rating, Satisfaction, Score};
use crate::service::{ImportStore, ImportedTicket};
use crate::ticket::{
    Activity, ActivityId, Audience, Face, Message, Note, NoteId, Ticket, TicketKey, TicketNumber, Visibility,
    action,
};
use crate::value::Body;

/// Accounts and teams that exist in the store under test.
#[derive(Debug, Clone)]
pub struct World {
    /// A customer.
    pub customer: UserId,
    /// Another customer.
    pub stranger: UserId,
    /// An agent.
    pub agent: UserId,
    /// A team.
    pub team: TeamId,
    /// Another team.
    pub other_team: TeamId,
}

fn activity(ids: &dyn IdSource, ticket: &Ticket, action: &str, at: DateTime<Utc>) -> Activity {
    Activity {
        id: ActivityId::new(ids),
        ticket: ticket.id,
        actor: None,
        action: action.to_owned(),
        old_value: None,
        new_value: Some(json!({ "text": "ünïcode" })),
        metadata: json!({ "system": "import" }),
        created_at: at,
    }
}

pub(super) fn message(
    ids: &dyn IdSource,
    ticket: &Ticket,
    sender: UserId,
    visibility: Visibility,
    at: DateTime<Utc>,
) -> Message {
    Message {
        id: kernel::MessageId::new(ids),
        ticket: ticket.id,
        sender,
        body: Body::stored(format!("message at {at}")),
        html: Some("<p>x</p>".to_owned()),
        attachment_urls: json!([]),
        attachments: vec![],
        visibility,
        created_at: at,
        updated_at: at,
    }
}

fn event(ids: &dyn IdSource, ticket: &Ticket, at: DateTime<Utc>) -> Event {
    let fact = Fact::Ticket {
        ticket: ticket.summary(),
        what: TicketFact::Created {},
    };
    Event::new(ids, at, &Actor::System(SystemActor::Import), fact)
}

pub(super) fn only(ticket: TicketWrite) -> TicketCommit {
    TicketCommit {
        ticket,
        messages: vec![],
        edited_messages: vec![],
        removed_attachments: vec![],
        notes: vec![],
        activities: vec![],
        events: vec![],
        receipt: None,
        item: None,
        assigns: None,
        clocks: None,
    }
}

pub(super) async fn insert(store: &dyn TicketStore, ticket: &Ticket) {
    store
        .commit(only(TicketWrite::Insert(Box::new(ticket.clone()))))
        .await
        .unwrap();
}

pub(super) async fn fresh(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) -> Ticket {
    let number = store.next_number().await.unwrap();
    build::ticket()
        .identified(TicketId::new(ids), number)
        .requested_by(world.customer)
        .build()
}

/// Everything that a [`TicketStore`] promises, one promise after the other.
///
/// # Panics
/// When one is broken.
pub async fn ticket_store(store: Arc<dyn TicketStore>, ids: Arc<dyn IdSource>, world: World) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    a_commit_reads_back_as_it_was_written(store, ids, &world).await;
    a_stale_commit_stores_nothing(store, ids, &world).await;
    a_receipt_is_stored_once_and_with_its_effect(store, ids, &world).await;
    a_taken_number_is_said(store, ids, &world).await;
    a_conversation_is_paged_for_its_audience(store, ids, &world).await;
    lists_answer_as_the_filter_reads_in_memory(store, ids, &world).await;
    deleted_tickets_are_left_out_unless_asked_for(store, ids, &world).await;
    silent_tickets_are_found(store, ids, &world).await;
    a_rating_changes_and_stays_without_a_comment(store, ids, &world).await;
    a_receipt_that_was_taken_back_is_not_there(store, ids).await;
}

async fn a_rating_changes_and_stays_without_a_comment(
    store: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let mut ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    for (score, comment) in [(1, Some("Why")), (5, None)] {
        let expected = ticket.version();
        ticket.staff_face.version = expected.next();
        ticket.satisfaction = Some(Satisfaction {
            rating: Rating {
                score: Score::stored(score).unwrap(),
                comment: comment.map(|text| crate::Remark::stored(text.into())),
            },
            rated_at: build::noon() + Duration::microseconds(3),
        });
        let write = TicketWrite::Update {
            ticket: Box::new(ticket.clone()),
            expected,
        };
        store.commit(only(write)).await.unwrap();
        let found = store.find(&TicketKey::Id(ticket.id)).await.unwrap();
        assert_eq!(found.unwrap().satisfaction, ticket.satisfaction);
    }
}

async fn a_receipt_that_was_taken_back_is_not_there(store: &dyn TicketStore, ids: &dyn IdSource) {
    let event = EventId::new(ids);
    let receipt = |step| EventReceipt {
        subscriber: "contract",
        event,
        step,
    };
    let of = |receipt: &EventReceipt| TicketCommit {
        receipt: Some(Receipt::Event(receipt.clone())),
        ..only(TicketWrite::Unchanged)
    };
    let (one, other) = (receipt("one"), receipt("other"));
    for receipt in [&one, &other] {
        store.commit(of(receipt)).await.unwrap();
    }
    store.take_back(&one).await.unwrap();
    store.take_back(&one).await.unwrap();
    store.commit(of(&one)).await.unwrap();
    for receipt in [&one, &other] {
        let again = store.commit(of(receipt)).await;
        assert!(matches!(again, Err(CommitError::Repeated)), "{again:?}");
    }
}

async fn a_commit_reads_back_as_it_was_written(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) {
    let mut ticket = fresh(store, ids, world).await;
    let at = build::noon() + Duration::microseconds(7);
    ticket.assignee = Some(world.agent);
    ticket.team = Some(world.team);
    ticket.priority = TicketPriority::Urgent;
    ticket.standing = Standing::Closed {
        resolved_at: at,
        at,
        by: ClosedBy::Silence,
    };
    ticket.tags = crate::Tags::stored(vec!["vpn".into(), "größe".into()]);
    ticket.custom_fields = crate::CustomFields::stored(json!({"a": [1, null]}).as_object().cloned().unwrap());
    ticket.metadata = json!({"k": "v"}).as_object().cloned().unwrap();
    ticket.first_response_at = Some(at);
    ticket.sla_due_at = Some(at);
    ticket.sla_breached = true;
    ticket.satisfaction = Some(Satisfaction {
        rating: Rating {
            score: Score::stored(5).unwrap(),
            comment: Some(crate::Remark::stored("größer\n„gut“".into())),
        },
        rated_at: at,
    });
    ticket.public_face.message_count = 3;
    ticket.staff_face.message_count = 4;
    ticket.staff_face.last_message_at = Some(at);
    let note = Note {
        id: NoteId::new(ids),
        ticket: ticket.id,
        author: world.agent,
        body: Body::stored("note".into()),
        created_at: at,
    };
    let sent = message(ids, &ticket, world.agent, Visibility::Internal, at);
    let entry = activity(ids, &ticket, action::CREATED, at);
    let mut commit = only(TicketWrite::Insert(Box::new(ticket.clone())));
    commit.messages.push(sent.clone());
    commit.notes.push(note.clone());
    commit.activities.push(entry.clone());
    commit.events.push(event(ids, &ticket, at));
    store.commit(commit).await.unwrap();

    let by_id = store.find(&TicketKey::Id(ticket.id)).await.unwrap();
    let by_number = store
        .find(&TicketKey::Number(ticket.number.clone()))
        .await
        .unwrap();
    assert_eq!(by_id.as_ref(), Some(&ticket));
    assert_eq!(by_number.as_ref(), Some(&ticket));
    let limit = PageLimit::DEFAULT;
    assert_eq!(
        store
            .messages(ticket.id, Audience::Staff, None, limit)
            .await
            .unwrap()
            .items,
        std::slice::from_ref(&sent)
    );
    assert_eq!(
        store.message(ticket.id, sent.id).await.unwrap().as_ref(),
        Some(&sent)
    );
    assert_eq!(store.notes(ticket.id, None, limit).await.unwrap().items, [note]);
    assert_eq!(
        store
            .activities(ticket.id, Audience::Staff, None, limit)
            .await
            .unwrap()
            .items,
        [entry]
    );

    let mut changed = ticket.clone();
    // Every field that can change, so that a column which the update forgets is found.
    changed.subject = crate::Subject::stored("Another subject".into());
    changed.description = crate::Description::stored("Another description".into());
    changed.assignee = None;
    changed.team = Some(world.other_team);
    changed.priority = TicketPriority::Low;
    changed.standing = Standing::Open;
    changed.first_response_at = None;
    changed.sla_due_at = None;
    changed.sla_breached = false;
    changed.satisfaction = None;
    changed.tags = crate::Tags::default();
    changed.custom_fields = crate::CustomFields::default();
    changed.metadata = serde_json::Map::new();
    changed.deleted_at = Some(at);
    changed.staff_face.updated_at = at + Duration::seconds(2);
    changed.staff_face.message_count = 6;
    changed.staff_face.last_message_at = None;
    changed.public_face = Face {
        version: Version(5),
        updated_at: at + Duration::seconds(3),
        message_count: 5,
        last_message_at: Some(at),
    };
    changed.staff_face.version = ticket.version().next();
    let mut edited = sent.clone();
    edited.body = Body::stored("edited".into());
    edited.updated_at = at + Duration::seconds(1);
    let expected = ticket.version();
    let mut commit = only(TicketWrite::Update {
        ticket: Box::new(changed.clone()),
        expected,
    });
    commit.edited_messages.push(edited.clone());
    store.commit(commit).await.unwrap();
    assert_eq!(
        store.find(&TicketKey::Id(ticket.id)).await.unwrap(),
        Some(changed)
    );
    assert_eq!(store.message(ticket.id, sent.id).await.unwrap(), Some(edited));
    let other = fresh(store, ids, world).await;
    insert(store, &other).await;
    assert_eq!(
        store.message(other.id, sent.id).await.unwrap(),
        None,
        "a message is found in its own ticket alone"
    );
}

async fn a_stale_commit_stores_nothing(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) {
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    let mut changed = ticket.clone();
    changed.priority = TicketPriority::High;
    changed.staff_face.version = Version(9);
    let mut commit = only(TicketWrite::Update {
        ticket: Box::new(changed),
        expected: Version(8),
    });
    commit.messages.push(message(
        ids,
        &ticket,
        world.customer,
        Visibility::Public,
        build::noon(),
    ));
    commit
        .activities
        .push(activity(ids, &ticket, action::MESSAGE_ADDED, build::noon()));
    commit.events.push(event(ids, &ticket, build::noon()));
    assert!(matches!(store.commit(commit).await, Err(CommitError::Stale)));
    assert_eq!(
        store.find(&TicketKey::Id(ticket.id)).await.unwrap().as_ref(),
        Some(&ticket)
    );
    let limit = PageLimit::DEFAULT;
    assert!(
        store
            .messages(ticket.id, Audience::Staff, None, limit)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        store
            .activities(ticket.id, Audience::Staff, None, limit)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

async fn a_receipt_is_stored_once_and_with_its_effect(
    store: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "contract",
        event: EventId::new(ids),
        step: "only",
    });
    let ticket = fresh(store, ids, world).await;
    let mut commit = only(TicketWrite::Insert(Box::new(ticket.clone())));
    commit.receipt = Some(receipt.clone());
    store.commit(commit).await.unwrap();

    let mut changed = ticket.clone();
    changed.staff_face.version = ticket.version().next();
    let write = TicketWrite::Update {
        ticket: Box::new(changed),
        expected: ticket.version(),
    };
    let mut again = only(write);
    again.messages.push(message(
        ids,
        &ticket,
        world.customer,
        Visibility::Public,
        build::noon(),
    ));
    again.receipt = Some(receipt.clone());
    assert!(matches!(store.commit(again).await, Err(CommitError::Repeated)));
    assert_eq!(
        store.find(&TicketKey::Id(ticket.id)).await.unwrap(),
        Some(ticket.clone())
    );
    let limit = PageLimit::DEFAULT;
    assert!(
        store
            .messages(ticket.id, Audience::Staff, None, limit)
            .await
            .unwrap()
            .items
            .is_empty()
    );

    let mut nothing_else = only(TicketWrite::Unchanged);
    nothing_else.receipt = Some(receipt);
    assert!(matches!(
        store.commit(nothing_else).await,
        Err(CommitError::Repeated)
    ));
}

async fn a_taken_number_is_said(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) {
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    let mut clash = fresh(store, ids, world).await;
    clash.number = ticket.number.clone();
    let refused = store.commit(only(TicketWrite::Insert(Box::new(clash)))).await;
    assert!(matches!(refused, Err(CommitError::NumberTaken)));
    let numbers: HashSet<TicketNumber> = [
        store.next_number().await.unwrap(),
        store.next_number().await.unwrap(),
    ]
    .into();
    assert_eq!(numbers.len(), 2);
}

async fn a_conversation_is_paged_for_its_audience(
    store: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let ticket = fresh(store, ids, world).await;
    let mut commit = only(TicketWrite::Insert(Box::new(ticket.clone())));
    for n in 0..5 {
        let visibility = if n % 2 == 0 {
            Visibility::Public
        } else {
            Visibility::Internal
        };
        let at = build::noon() + Duration::seconds(n / 2);
        commit
            .messages
            .push(message(ids, &ticket, world.agent, visibility, at));
    }
    for kind in [
        action::CREATED,
        action::PRIORITY_CHANGED,
        action::NOTE_ADDED,
        action::STATUS_CHANGED,
    ] {
        commit
            .activities
            .push(activity(ids, &ticket, kind, build::noon()));
    }
    store.commit(commit.clone()).await.unwrap();
    let limit = PageLimit::new(2).unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .messages(ticket.id, Audience::Staff, after, limit)
            .await
            .unwrap();
        seen.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, commit.messages);
    let public = store
        .messages(ticket.id, Audience::Customer, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert_eq!(public.items.len(), 3);
    assert!(
        public
            .items
            .iter()
            .all(|message| message.visibility == Visibility::Public)
    );
    let history = store
        .activities(ticket.id, Audience::Customer, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    let kinds: Vec<_> = history
        .items
        .iter()
        .map(|activity| activity.action.as_str())
        .collect();
    assert_eq!(kinds, [action::CREATED, action::STATUS_CHANGED]);
}

/// Tickets that differ in everything that can be filtered, alone in the world of their requester's stranger.
async fn varied(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for n in 0..24_u32 {
        let at = build::noon() + Duration::minutes(i64::from(n / 3));
        let mut builder = build::ticket()
            .identified(TicketId::new(ids), store.next_number().await.unwrap())
            .requested_by(if n % 5 == 0 {
                world.stranger
            } else {
                world.customer
            })
            .made_at(at)
            .priority(TicketPriority::ALL[(n % 4) as usize])
            .tagged(if n % 3 == 0 { &["vpn", "mail"] } else { &["mail"] })
            .standing(match n % 4 {
                0 => Standing::Open,
                1 => Standing::Pending,
                2 => Standing::Resolved { at },
                _ => Standing::Closed {
                    resolved_at: at,
                    at,
                    by: ClosedBy::Person,
                },
            });
        if n % 3 != 1 {
            builder = builder.in_team(if n % 2 == 0 { world.team } else { world.other_team });
        }
        if n % 6 == 0 {
            builder = builder.assigned_to(world.agent);
        }
        let mut ticket = builder.build();
        // Of both who ask for tickets, so that a customer's list is made of their own and of these.
        if n % 4 == 0 && ticket.requester == world.stranger {
            ticket.cc = vec![world.agent, world.customer];
        }
        ticket.staff_face.updated_at = at + Duration::minutes(i64::from(n % 7));
        insert(store, &ticket).await;
        tickets.push(ticket);
    }
    tickets
}

async fn lists_answer_as_the_filter_reads_in_memory(
    store: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let tickets = varied(store, ids, world).await;
    let scopes = [
        Scope::Desk,
        Scope::Customer(world.customer),
        Scope::Customer(world.stranger),
        Scope::Customer(world.agent),
        Scope::WorkOf {
            agent: world.agent,
            teams: vec![world.team],
        },
        Scope::WorkOf {
            agent: world.agent,
            teams: vec![],
        },
        Scope::WorkOf {
            agent: world.stranger,
            teams: vec![world.team, world.other_team],
        },
    ];
    use events::TicketStatus as S;
    let noon = build::noon();
    let filters = [
        TicketFilter::default(),
        TicketFilter {
            status: vec![S::Open, S::Pending],
            ..TicketFilter::default()
        },
        TicketFilter {
            status: vec![S::Closed],
            team: Some(Maybe::Is(world.team)),
            ..TicketFilter::default()
        },
        TicketFilter {
            team: Some(Maybe::Nothing),
            ..TicketFilter::default()
        },
        TicketFilter {
            assignee: Some(Maybe::Is(world.agent)),
            ..TicketFilter::default()
        },
        TicketFilter {
            assignee: Some(Maybe::Nothing),
            status: vec![S::Open],
            ..TicketFilter::default()
        },
        TicketFilter {
            requester: Some(world.stranger),
            ..TicketFilter::default()
        },
        TicketFilter {
            priority: vec![TicketPriority::High, TicketPriority::Low],
            tags: vec!["vpn".into()],
            ..TicketFilter::default()
        },
        TicketFilter {
            created: Span {
                from: Some(noon + Duration::minutes(2)),
                before: Some(noon + Duration::minutes(5)),
            },
            ..TicketFilter::default()
        },
        TicketFilter {
            updated: Span {
                from: Some(noon + Duration::minutes(3)),
                before: None,
            },
            ..TicketFilter::default()
        },
    ];
    let sorts = [SortKey::CreatedAt, SortKey::UpdatedAt]
        .into_iter()
        .flat_map(|key| {
            [Direction::NewestFirst, Direction::OldestFirst].map(|direction| Sort { key, direction })
        });
    let ours: BTreeSet<TicketId> = tickets.iter().map(|ticket| ticket.id).collect();
    for sort in sorts {
        for scope in &scopes {
            for filter in &filters {
                let audience = scope.audience();
                let value = |ticket: &Ticket| match sort.key {
                    SortKey::CreatedAt => ticket.created_at,
                    SortKey::UpdatedAt => ticket.face(audience).updated_at,
                };
                let mut expected: Vec<&Ticket> = tickets
                    .iter()
                    .filter(|ticket| scope.contains(ticket) && filter.matches(ticket, audience))
                    .collect();
                expected.sort_by_key(|ticket| (value(ticket), ticket.id));
                if sort.direction == Direction::NewestFirst {
                    expected.reverse();
                }
                let expected: Vec<TicketId> = expected.into_iter().map(|ticket| ticket.id).collect();
                let found = all_pages(store, scope, filter, sort).await;
                let found: Vec<TicketId> = found.into_iter().filter(|id| ours.contains(id)).collect();
                assert_eq!(found, expected, "{scope:?} {filter:?} {sort:?}");
            }
        }
    }
    let query = TicketQuery {
        filter: TicketFilter {
            requester: Some(world.stranger),
            ..TicketFilter::default()
        },
        ..TicketQuery::default()
    };
    let strangers = tickets
        .iter()
        .filter(|ticket| ticket.requester == world.stranger)
        .count();
    let count = store.count(&Scope::Desk, &query).await.unwrap();
    assert_eq!(count, Count::Exact(i64::try_from(strangers).unwrap()));
}

async fn all_pages(
    store: &dyn TicketStore,
    scope: &Scope,
    filter: &TicketFilter,
    sort: Sort,
) -> Vec<TicketId> {
    let mut query = TicketQuery {
        filter: filter.clone(),
        sort,
        after: None,
        limit: PageLimit::new(7).unwrap(),
        include_deleted: false,
    };
    let mut found = Vec::new();
    for _ in 0..100 {
        let page = store.list(scope, &query).await.unwrap();
        assert!(page.items.len() <= 7);
        found.extend(page.items.iter().map(|ticket| ticket.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "no ticket comes twice");
    found
}

async fn deleted_tickets_are_left_out_unless_asked_for(
    store: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let mut ticket = fresh(store, ids, world).await;
    ticket.deleted_at = Some(build::noon());
    insert(store, &ticket).await;
    assert!(
        store.find(&TicketKey::Id(ticket.id)).await.unwrap().is_some(),
        "the caller decides who may know"
    );
    let mut query = TicketQuery {
        limit: PageLimit::new(100).unwrap(),
        ..TicketQuery::default()
    };
    query.filter.requester = Some(world.customer);
    let listed = |page: kernel::Page<Ticket>| page.items.iter().any(|found| found.id == ticket.id);
    assert!(!listed(store.list(&Scope::Desk, &query).await.unwrap()));
    query.include_deleted = true;
    assert!(listed(store.list(&Scope::Desk, &query).await.unwrap()));
}

async fn silent_tickets_are_found(store: &dyn TicketStore, ids: &dyn IdSource, world: &World) {
    let long_ago = build::noon() - Duration::days(3_000);
    let mut silent = fresh(store, ids, world).await;
    silent.standing = Standing::Resolved { at: long_ago };
    let mut talking = fresh(store, ids, world).await;
    talking.standing = Standing::Resolved { at: long_ago };
    talking.public_face.last_message_at = Some(long_ago + Duration::days(2));
    // What staff write among themselves must not show in the time of the closing.
    silent.staff_face.last_message_at = Some(long_ago + Duration::days(2));
    for ticket in [&silent, &talking] {
        insert(store, ticket).await;
    }
    let found = store
        .silent_since(long_ago + Duration::days(1), 1_000)
        .await
        .unwrap();
    assert!(found.contains(&silent.id) && !found.contains(&talking.id));
}

/// Everything that an [`ImportStore`] promises.
///
/// # Panics
/// When a promise is broken.
pub async fn import_store(
    store: Arc<dyn ImportStore>,
    tickets: Arc<dyn TicketStore>,
    ids: Arc<dyn IdSource>,
    world: World,
) {
    let source = format!("contract-{}", ids.next());
    let numbers = store.numbers(2).await.unwrap();
    assert_eq!(numbers.len(), 2);
    let rows: Vec<ImportedTicket> = numbers
        .into_iter()
        .enumerate()
        .map(|(index, number)| {
            let mut ticket = build::ticket()
                .identified(TicketId::new(ids.as_ref()), number)
                .requested_by(world.customer)
                .build();
            let origin = json!({ "externalId": format!("row-{index}") });
            ticket.metadata.insert("import".to_owned(), origin);
            ImportedTicket {
                messages: [Visibility::Public, Visibility::Internal]
                    .map(|visibility| message(ids.as_ref(), &ticket, world.agent, visibility, build::noon()))
                    .into(),
                external_id: format!("row-{index}"),
                activity: activity(ids.as_ref(), &ticket, action::CREATED, build::noon()),
                event: event(ids.as_ref(), &ticket, build::noon()),
                ticket,
            }
        })
        .collect();
    let all = ["row-0".to_owned(), "row-1".to_owned(), "row-2".to_owned()];
    assert!(store.known(&source, &all).await.unwrap().is_empty());
    assert_eq!(store.store(&source, rows.clone()).await.unwrap().len(), 2);
    assert_eq!(store.known(&source, &all).await.unwrap().len(), 2);
    let found = tickets.find(&TicketKey::Id(rows[0].ticket.id)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&rows[0].ticket));
    let conversation = tickets
        .messages(rows[0].ticket.id, Audience::Staff, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert_eq!(conversation.items, rows[0].messages);
    let origins = store.origins(&source, &all).await.unwrap();
    assert_eq!(origins.len(), 2);
    assert_eq!(origins["row-1"], json!({ "externalId": "row-1" }));

    let mut again = rows[1].clone();
    again.ticket.id = TicketId::new(ids.as_ref());
    again.ticket.number = store.numbers(1).await.unwrap().remove(0);
    again.activity = activity(ids.as_ref(), &again.ticket, action::CREATED, build::noon());
    again.event = event(ids.as_ref(), &again.ticket, build::noon());
    for said in &mut again.messages {
        said.id = kernel::MessageId::new(ids.as_ref());
        said.ticket = again.ticket.id;
    }
    assert!(
        store
            .store(&source, vec![again.clone()])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        tickets
            .find(&TicketKey::Id(again.ticket.id))
            .await
            .unwrap()
            .is_none()
    );
    let history = tickets
        .activities(again.ticket.id, Audience::Staff, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert!(history.items.is_empty());
    let said = tickets
        .messages(again.ticket.id, Audience::Staff, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert!(said.items.is_empty());
}

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use events::{Event, Fact, IdentityFact, Subscriber as _, TicketFact, TicketSummary};
use kernel::{
    Actor, Clock as _, EventId, IdSource as _, ManualClock, MessageId, SequentialIds, SystemActor, TicketId,
    UserId,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::error::Thing;
use crate::facts::{AlwaysOpen, MessageFacts, TicketView};
use crate::reference::EndpointId;
use crate::testing::{MemoryWebhooks, MockScenes, build};
use crate::webhook::{
    AddressRules, Answer, BREAK_AFTER, CallState, Called, Caller, DeliveryState, DeliveryStore as _,
    Outgoing, Replay, Secret, SecretSource, Secrets,
};

/// A receiver: notes what arrives, and answers as it is told.
struct Sink {
    clock: Arc<ManualClock>,
    arrived: Mutex<Vec<Outgoing>>,
    answer: Mutex<Box<dyn FnMut(usize) -> Answer + Send>>,
}

const FAILED: Answer = Answer::Failed { retry_after: None };

#[async_trait]
impl Caller for Sink {
    async fn call(&self, outgoing: &Outgoing) -> Called {
        let mut arrived = self.arrived.lock().unwrap();
        arrived.push(outgoing.clone());
        self.clock.advance(TimeDelta::milliseconds(3));
        let answer = (self.answer.lock().unwrap())(arrived.len());
        Called {
            answer,
            status: Some(if answer.is_taken() { 204 } else { 503 }),
            error: (!answer.is_taken()).then(|| "status".to_owned()),
            excerpt: None,
        }
    }
}

/// Secrets of one byte each, 1, 2, …
#[derive(Default)]
struct Counted(Mutex<u8>);

impl SecretSource for Counted {
    fn fresh(&self) -> Result<Secret, kernel::PortError> {
        let mut number = self.0.lock().unwrap();
        *number += 1;
        Ok(Secret::of(vec![*number; 32]).unwrap())
    }
}

fn admin() -> Actor {
    Actor::Person(build::admin())
}

struct World {
    clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    store: Arc<MemoryWebhooks>,
    webhooks: Webhooks,
    queue: QueueCalls,
    send: SendCalls,
    sink: Arc<Sink>,
}

fn scenes() -> MockScenes {
    let mut scenes = MockScenes::new();
    scenes.expect_ticket().returning(|id| {
        let mut view: TicketView = build::view();
        view.ticket.id = id;
        Ok(Some(view))
    });
    scenes.expect_message().returning(|_, id| {
        Ok(Some(MessageFacts {
            id,
            body: "CANARY".into(),
            is_internal: true,
            author: UserId(Uuid::from_u128(1)),
            author_role: kernel::Role::Agent,
        }))
    });
    scenes
        .expect_surroundings()
        .returning(|| Ok(Box::new(AlwaysOpen)));
    scenes
}

fn world(scenes: MockScenes) -> World {
    let clock = Arc::new(ManualClock::at(build::noon()));
    let ids = Arc::new(SequentialIds::default());
    let store = Arc::new(MemoryWebhooks::default());
    let known = Arc::new(KnownEndpoints::new(store.clone(), clock.clone()));
    let sink = Arc::new(Sink {
        clock: clock.clone(),
        arrived: Mutex::default(),
        answer: Mutex::new(Box::new(|_| Answer::Taken)),
    });
    let addresses = AddressRules::default();
    World {
        webhooks: Webhooks::new(
            known.clone(),
            store.clone(),
            Arc::new(Counted::default()),
            addresses.clone(),
            clock.clone(),
            ids.clone(),
        ),
        queue: QueueCalls::new(known.clone(), store.clone(), Arc::new(scenes), clock.clone()),
        send: SendCalls::new(
            known,
            store.clone(),
            sink.clone(),
            addresses,
            clock.clone(),
            ids.clone(),
        ),
        clock,
        ids,
        store,
        sink,
    }
}

impl World {
    async fn endpoint(&self, more: Value) -> NewSecret {
        let mut document = json!({ "name": "CRM", "url": "https://example.org/hook", "events": ["*"] });
        document
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.webhooks.create(&admin(), &document).await.unwrap()
    }

    fn event(&self, ticket: u128, what: TicketFact) -> Event {
        let summary = TicketSummary {
            id: TicketId(Uuid::from_u128(ticket)),
            number: "TKT-00001".into(),
            subject: "s".into(),
            requester: UserId(Uuid::from_u128(2)),
            assignee: None,
            team: None,
            status: events::TicketStatus::Open,
            priority: events::TicketPriority::Low,
            version: 1,
            cc: Vec::new(),
            followers: Vec::new(),
        };
        let fact = Fact::Ticket {
            ticket: summary,
            what,
        };
        let actor = Actor::System(SystemActor::Automation);
        Event::new(self.ids.as_ref(), self.clock.now(), &actor, fact)
    }

    /// An event that is delivered; its id.
    async fn happens(&self, ticket: u128, what: TicketFact) -> EventId {
        let event = self.event(ticket, what);
        self.queue.handle(&event).await.unwrap();
        event.id
    }

    fn arrived(&self) -> Vec<Outgoing> {
        self.sink.arrived.lock().unwrap().clone()
    }

    fn answering(&self, answer: impl FnMut(usize) -> Answer + Send + 'static) {
        *self.sink.answer.lock().unwrap() = Box::new(answer);
    }

    async fn in_state(&self, endpoint: EndpointId, state: CallState) -> Vec<EventId> {
        let limit = kernel::PageLimit::new(100).unwrap();
        let page = self
            .store
            .calls(endpoint, Some(state), None, limit)
            .await
            .unwrap();
        page.items
            .iter()
            .rev()
            .map(|call| EventId(call.delivery.id))
            .collect()
    }
}

#[tokio::test]
async fn an_event_is_sent_once_to_whoever_wants_it_and_signed() {
    let world = world(scenes());
    let all = world.endpoint(json!({})).await;
    let _none = world.endpoint(json!({ "events": ["ticket.rated"] })).await;
    let _filtered = world
        .endpoint(json!({ "filter": { "field": "status", "operator": "equals", "value": "closed" } }))
        .await;
    let event = world.event(1, TicketFact::Created {});
    world.queue.handle(&event).await.unwrap();
    world.queue.handle(&event).await.unwrap();
    assert_eq!(world.send.drain().await.unwrap(), 1);
    assert_eq!(world.send.drain().await.unwrap(), 0);
    let arrived = world.arrived();
    assert_eq!(
        (arrived.len(), arrived[0].signed.id.as_str()),
        (1, event.id.to_string().as_str())
    );
    assert_eq!(arrived[0].url, "https://example.org/hook");
    let body: Value = serde_json::from_str(&arrived[0].body).unwrap();
    assert_eq!(body["type"], "ticket.created");
    let receiver = Secrets::one(all.secret);
    let now = world.clock.now();
    assert_eq!(
        receiver.verify(&arrived[0].signed, arrived[0].body.as_bytes(), now),
        Ok(())
    );
    let call = world
        .webhooks
        .call(&admin(), all.endpoint.id, event.id.0)
        .await
        .unwrap();
    assert_eq!(
        (call.log.len(), call.log[0].status, call.log[0].took_ms),
        (1, Some(204), 3)
    );
}

#[tokio::test]
async fn customers_endpoints_hear_nothing_of_internal_writing() {
    let world = world(scenes());
    let _customers = world.endpoint(json!({})).await;
    let (message, author) = (MessageId(Uuid::from_u128(3)), UserId(Uuid::from_u128(4)));
    let internal = || TicketFact::InternalMessageAdded {
        message,
        author,
        mentioned: Vec::new(),
    };
    world.happens(1, internal()).await;
    world
        .happens(
            1,
            TicketFact::Assigned {
                from: None,
                to: Some(author),
            },
        )
        .await;
    assert_eq!(world.send.drain().await.unwrap(), 0);
    let _staff = world.endpoint(json!({ "audience": "staff" })).await;
    world.happens(1, internal()).await;
    assert_eq!(world.send.drain().await.unwrap(), 1);
    assert!(world.arrived()[0].body.contains("CANARY"));
}

#[tokio::test]
async fn secrets_and_accounts_secrets_never_go_out() {
    let world = world(scenes());
    let _staff = world.endpoint(json!({ "audience": "staff" })).await;
    let actor = Actor::System(SystemActor::Automation);
    for fact in [
        IdentityFact::MailAsked {
            token: Uuid::from_u128(5),
        },
        IdentityFact::PasswordReset {
            user: UserId(Uuid::from_u128(6)),
        },
    ] {
        let event = Event::new(
            world.ids.as_ref(),
            world.clock.now(),
            &actor,
            Fact::Identity(fact),
        );
        world.queue.handle(&event).await.unwrap();
    }
    assert_eq!(world.send.drain().await.unwrap(), 0);
}

#[tokio::test]
async fn a_deleted_ticket_is_told_of_no_more_but_for_its_deletion() {
    let mut gone = MockScenes::new();
    gone.expect_ticket().returning(|_| Ok(None));
    gone.expect_surroundings().returning(|| Ok(Box::new(AlwaysOpen)));
    let world = world(gone);
    let made = world.endpoint(json!({ "audience": "staff" })).await;
    world.happens(1, TicketFact::Created {}).await;
    let deleted = world.happens(1, TicketFact::Deleted {}).await;
    assert_eq!(
        world.in_state(made.endpoint.id, CallState::Waiting).await,
        [deleted]
    );
    assert_eq!(world.send.drain().await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_queued_about_a_ticket_is_not_sent_once_it_is_deleted() {
    let world = world(scenes());
    let made = world.endpoint(json!({})).await;
    let event = world.happens(1, TicketFact::Created {}).await;
    world.store.delete_ticket(TicketId(Uuid::from_u128(1)));
    world.send.drain().await.unwrap();
    assert!(world.arrived().is_empty());
    assert_eq!(world.in_state(made.endpoint.id, CallState::Dead).await, [event]);
}

/// A receiver that is down for three days: calls are tried with patience and given up after a day, the endpoint is disabled
/// and its owner told, and after it is enabled again a replay brings everything, in order.
#[tokio::test]
async fn a_receiver_that_is_down_for_days_loses_nothing() {
    let world = world(scenes());
    let made = world.endpoint(json!({})).await;
    let id = made.endpoint.id;
    world.answering(|_| FAILED);
    let begin = world.clock.now();
    let mut sent = Vec::new();
    for hour in 0..80 {
        if hour % 8 == 0 {
            sent.push(world.happens(1, TicketFact::Created {}).await);
        }
        world.send.drain().await.unwrap();
        world.clock.advance(TimeDelta::hours(1));
    }
    let endpoint = world.webhooks.show(&admin(), id).await.unwrap();
    assert!(!endpoint.content.enabled && endpoint.disabled.is_some());
    assert!(endpoint.updated_at - begin >= BREAK_AFTER);
    let told = world.store.events();
    let last = told.last().unwrap();
    assert!(
        matches!(&last.fact, Fact::Identity(IdentityFact::WebhookChanged { change, .. }) if change == "failing_too_long"),
        "{last:?}"
    );
    // While it is disabled, what happens is recorded, and nothing is tried.
    let tries = world.arrived().len();
    sent.push(world.happens(1, TicketFact::Created {}).await);
    world.send.drain().await.unwrap();
    assert_eq!(world.arrived().len(), tries);
    assert_eq!(world.in_state(id, CallState::Dead).await, sent);
    let refused = world
        .webhooks
        .replay(&admin(), id, &Replay::Ids(vec![sent[0].0]))
        .await;
    assert!(
        matches!(refused, Err(AutomationError::EndpointDisabled)),
        "{refused:?}"
    );

    world.answering(|_| Answer::Taken);
    let on = json!({ "enabled": true });
    world
        .webhooks
        .update(&admin(), id, &on, Guard::none())
        .await
        .unwrap();
    let range = Replay::Range {
        from: begin,
        to: world.clock.now() + TimeDelta::seconds(1),
        with_delivered: false,
    };
    assert_eq!(world.webhooks.replay(&admin(), id, &range).await.unwrap(), 11);
    assert_eq!(world.send.drain().await.unwrap(), 11);
    let arrived = world.arrived();
    let order: Vec<_> = arrived[tries..].iter().map(|one| one.signed.id.clone()).collect();
    assert_eq!(order, sent.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_secrets_live_while_a_receiver_changes_over() {
    let world = world(scenes());
    let made = world.endpoint(json!({})).await;
    let id = made.endpoint.id;
    let rotated = world.webhooks.rotate(&admin(), id, None).await.unwrap();
    assert_ne!(rotated.secret, made.secret);
    world.happens(1, TicketFact::Created {}).await;
    world.send.drain().await.unwrap();
    world.webhooks.retire(&admin(), id, Guard::none()).await.unwrap();
    world.clock.advance(TimeDelta::seconds(2));
    world.happens(1, TicketFact::Created {}).await;
    world.send.drain().await.unwrap();
    let (old, new) = (Secrets::one(made.secret), Secrets::one(rotated.secret));
    let is_signed = |receiver: &Secrets, one: &Outgoing| {
        receiver
            .verify(&one.signed, one.body.as_bytes(), world.clock.now())
            .is_ok()
    };
    let arrived = world.arrived();
    assert!(is_signed(&old, &arrived[0]) && is_signed(&new, &arrived[0]));
    assert!(!is_signed(&old, &arrived[1]) && is_signed(&new, &arrived[1]));
}

#[tokio::test]
async fn an_address_that_is_not_allowed_any_more_is_not_called() {
    let strict = world(scenes());
    let lax = AddressRules {
        ports: vec![443, 8443],
        ..AddressRules::default()
    };
    let webhooks = Webhooks::new(
        strict.store.clone(),
        strict.store.clone(),
        Arc::new(Counted::default()),
        lax,
        strict.clock.clone(),
        strict.ids.clone(),
    );
    let document = json!({ "name": "x", "url": "https://example.org:8443/", "events": ["*"] });
    let made = webhooks.create(&admin(), &document).await.unwrap();
    let event = strict.happens(1, TicketFact::Created {}).await;
    strict.send.drain().await.unwrap();
    assert!(strict.arrived().is_empty());
    let call = strict
        .webhooks
        .call(&admin(), made.endpoint.id, event.0)
        .await
        .unwrap();
    assert_eq!(call.log[0].error.as_deref(), Some("port_not_allowed"));
    // It can still be switched off.
    let off = json!({ "enabled": false });
    strict
        .webhooks
        .update(&admin(), made.endpoint.id, &off, Guard::none())
        .await
        .unwrap();
}

#[tokio::test]
async fn endpoints_are_for_administrators() {
    let world = world(scenes());
    let made = world.endpoint(json!({})).await;
    for rank in [kernel::TeamRole::Lead, kernel::TeamRole::Agent] {
        let actor = Actor::Person(build::agent(rank));
        let shown = world.webhooks.show(&actor, made.endpoint.id).await;
        assert!(matches!(shown, Err(AutomationError::Forbidden(_))), "{shown:?}");
    }
    let missing = world.webhooks.show(&admin(), EndpointId(world.ids.next())).await;
    assert!(matches!(missing, Err(AutomationError::NotFound(Thing::Endpoint))));
    let unknown = world
        .webhooks
        .update(
            &admin(),
            made.endpoint.id,
            &json!({ "secret": "x" }),
            Guard::none(),
        )
        .await;
    assert!(matches!(unknown, Err(AutomationError::Invalid(_))), "{unknown:?}");
}

proptest! {
    /// A receiver that fails, or loses its answer, at random: each event arrives at least once, under one id, and those of one
    /// ticket in their order.
    #[test]
    fn whatever_a_receiver_does_everything_arrives_in_order(
        seed in prop::collection::vec(any::<bool>(), 1..200), tickets in prop::collection::vec(1_u128..4, 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world(scenes());
            let made = world.endpoint(json!({})).await;
            world.answering(move |number| {
                // At last it behaves.
                match seed.get(number) {
                    Some(true) => FAILED,
                    Some(false) | None => Answer::Taken,
                }
            });
            let mut of_ticket: HashMap<String, u128> = HashMap::new();
            let mut expected: BTreeMap<u128, Vec<String>> = BTreeMap::new();
            for ticket in tickets {
                let id = world.happens(ticket, TicketFact::Created {}).await.to_string();
                of_ticket.insert(id.clone(), ticket);
                expected.entry(ticket).or_default().push(id);
            }
            // Nothing waits longer than nine tries each, one behind the other.
            for _ in 0..3_000 {
                world.send.drain().await.unwrap();
                if world.in_state(made.endpoint.id, CallState::Waiting).await.is_empty() {
                    break;
                }
                world.clock.advance(TimeDelta::minutes(10));
            }
            let mut first_arrivals: BTreeMap<u128, Vec<String>> = BTreeMap::new();
            let mut known = BTreeSet::new();
            for one in world.arrived() {
                if known.insert(one.signed.id.clone()) {
                    first_arrivals.entry(of_ticket[&one.signed.id]).or_default().push(one.signed.id);
                }
            }
            prop_assert_eq!(first_arrivals, expected);
            let limit = kernel::PageLimit::new(100).unwrap();
            let calls = world.store.calls(made.endpoint.id, None, None, limit).await.unwrap();
            let ended = |call: &crate::webhook::Call| !matches!(call.delivery.state, DeliveryState::Waiting { .. });
            prop_assert!(calls.items.iter().all(ended));
            Ok(())
        })?;
    }
}

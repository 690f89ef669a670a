//! Webhook endpoints and calls: a store in memory, and what every store of them must do.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{
    Actor, IdSource, Page, PageLimit, PortError, Position, Receipt, SystemActor, TicketId, Version,
};
use serde_json::json;
use uuid::Uuid;

use super::build;
use super::contract::Cast;
use super::memory::is_same;
use crate::port::CommitError;
use crate::reference::EndpointId;
use crate::webhook::{
    AddressRules, Answer, BREAK_AFTER_FAILURES, Broken, Call, CallState, Claimed, Dead, Delivery,
    DeliveryState, DeliveryStore, ENDPOINTS_MAX, Endpoint, EndpointCommit, EndpointContent, EndpointStore,
    EndpointWrite, Health, LOG_MAX, NewCall, Replay, Secret, Secrets, Settled, Try, WAITING_MAX,
};

#[derive(Default)]
struct State {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    calls: Vec<Kept>,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
    deleted_tickets: HashSet<TicketId>,
}

struct Kept {
    call: Call,
    leased_until: Option<DateTime<Utc>>,
}

/// Endpoints and calls in memory.
#[derive(Default)]
pub struct MemoryWebhooks(Mutex<State>);

impl MemoryWebhooks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told of changes, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Deletes a ticket.
    pub fn delete_ticket(&self, ticket: TicketId) {
        self.state().deleted_tickets.insert(ticket);
    }
}

impl State {
    fn at(&self, id: EndpointId, expected: Version) -> Result<(), CommitError> {
        let endpoint = self.endpoints.get(&id);
        let endpoint = endpoint.filter(|endpoint| endpoint.version == expected);
        endpoint.map(drop).ok_or(CommitError::Stale)
    }

    fn waiting(&self, endpoint: EndpointId) -> usize {
        let waits = |kept: &&Kept| {
            kept.call.delivery.endpoint == endpoint
                && matches!(kept.call.delivery.state, DeliveryState::Waiting { .. })
        };
        self.calls.iter().filter(waits).count()
    }
}

#[async_trait]
impl EndpointStore for MemoryWebhooks {
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>, PortError> {
        Ok(self.state().endpoints.get(&id).cloned())
    }

    async fn endpoints(&self) -> Result<Vec<Endpoint>, PortError> {
        let mut endpoints: Vec<_> = self.state().endpoints.values().cloned().collect();
        endpoints.sort_by(|one, other| (&one.content.name, one.id).cmp(&(&other.content.name, other.id)));
        Ok(endpoints)
    }

    async fn commit(&self, commit: EndpointCommit) -> Result<(), CommitError> {
        let EndpointCommit {
            write,
            event,
            receipt,
        } = commit;
        let mut state = self.state();
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| is_same(stored, receipt))
        {
            return Err(CommitError::Repeated);
        }
        match write {
            EndpointWrite::Insert(endpoint) => {
                if state.endpoints.len() >= ENDPOINTS_MAX {
                    return Err(CommitError::TooMany);
                }
                state.endpoints.insert(endpoint.id, *endpoint);
            }
            EndpointWrite::Update { endpoint, expected } => {
                state.at(endpoint.id, expected)?;
                if !endpoint.content.enabled {
                    for kept in &mut state.calls {
                        if kept.call.delivery.endpoint == endpoint.id {
                            let delivery = kept.call.delivery.clone();
                            kept.call.delivery = delivery.given_up(Dead::Disabled, endpoint.updated_at);
                            kept.leased_until = None;
                        }
                    }
                }
                state.endpoints.insert(endpoint.id, *endpoint);
            }
            EndpointWrite::Delete { id, expected } => {
                state.at(id, expected)?;
                state.endpoints.remove(&id);
                state.calls.retain(|kept| kept.call.delivery.endpoint != id);
            }
        }
        state.events.push(event);
        state.receipts.extend(receipt);
        Ok(())
    }
}

#[async_trait]
impl DeliveryStore for MemoryWebhooks {
    async fn queue(&self, calls: &[NewCall]) -> Result<(), PortError> {
        let mut state = self.state();
        for new in calls {
            let is_there = state
                .calls
                .iter()
                .any(|kept| (kept.call.delivery.endpoint, kept.call.delivery.id) == (new.endpoint, new.id));
            let Some(endpoint) = state.endpoints.get(&new.endpoint).filter(|_| !is_there) else {
                continue;
            };
            let is_enabled = endpoint.content.enabled;
            let sequence = i64::try_from(state.calls.len()).unwrap_or(i64::MAX);
            let mut delivery = Delivery::new(new.id, new.endpoint, new.ticket, sequence, new.at);
            if !is_enabled {
                delivery = delivery.given_up(Dead::Disabled, new.at);
            } else if state.waiting(new.endpoint) >= WAITING_MAX {
                delivery = delivery.given_up(Dead::Overflow, new.at);
            }
            state.calls.push(Kept {
                call: Call {
                    delivery,
                    event: new.event.clone(),
                    created_at: new.at,
                    body: Some(new.body.clone()),
                    log: Vec::new(),
                },
                leased_until: None,
            });
        }
        Ok(())
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: TimeDelta,
        calls_max: usize,
        each_max: usize,
    ) -> Result<Vec<Claimed>, PortError> {
        let mut state = self.state();
        let state = &mut *state;
        let deliveries: Vec<Delivery> = state
            .calls
            .iter()
            .map(|kept| kept.call.delivery.clone())
            .collect();
        let ready: Vec<(EndpointId, Uuid)> = crate::webhook::ready(&deliveries, now)
            .into_iter()
            .map(|delivery| (delivery.endpoint, delivery.id))
            .collect();
        let mut claimed: Vec<Claimed> = Vec::new();
        for (endpoint, id) in ready {
            let is_held = |kept: &&Kept| {
                kept.call.delivery.endpoint == endpoint && kept.leased_until.is_some_and(|until| until > now)
            };
            let held = state.calls.iter().filter(is_held).count();
            let known = state.endpoints.get(&endpoint).filter(|one| one.content.enabled);
            let Some(known) = known.filter(|_| held < each_max && claimed.len() < calls_max) else {
                continue;
            };
            let kept = state.calls.iter_mut();
            let kept = kept
                .filter(|kept| kept.leased_until.is_none_or(|until| until <= now))
                .find(|kept| (kept.call.delivery.endpoint, kept.call.delivery.id) == (endpoint, id));
            if let Some(kept) = kept {
                kept.leased_until = Some(now + lease);
                let ticket = kept.call.delivery.ticket;
                claimed.push(Claimed {
                    delivery: kept.call.delivery.clone(),
                    endpoint: known.clone(),
                    body: kept.call.body.clone().unwrap_or_default(),
                    leased_until: now + lease,
                    is_ticket_deleted: kept.call.event != "ticket.deleted"
                        && ticket.is_some_and(|ticket| state.deleted_tickets.contains(&ticket)),
                });
            }
        }
        Ok(claimed)
    }

    async fn settle(&self, settled: &Settled) -> Result<Option<Broken>, PortError> {
        let mut state = self.state();
        let key = (settled.delivery.endpoint, settled.delivery.id);
        let kept = state.calls.iter_mut().find(|kept| {
            (kept.call.delivery.endpoint, kept.call.delivery.id) == key
                && kept.leased_until == Some(settled.leased_until)
        });
        let Some(kept) = kept else { return Ok(None) };
        kept.leased_until = None;
        kept.call.delivery = settled.delivery.clone();
        let Some((answer, tried)) = &settled.tried else {
            return Ok(None);
        };
        kept.call.log.push(tried.clone());
        let cut = kept.call.log.len().saturating_sub(LOG_MAX);
        kept.call.log.drain(..cut);
        let Some(endpoint) = state.endpoints.get_mut(&key.0) else {
            return Ok(None);
        };
        let (health, broken) = endpoint.health.after(*answer, settled.at);
        endpoint.health = health;
        Ok(broken)
    }

    async fn calls(
        &self,
        endpoint: EndpointId,
        wanted: Option<CallState>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Call>, PortError> {
        let position = |call: &Call| Position {
            at: call.created_at,
            id: call.delivery.id,
        };
        let key = |call: &Call| (call.created_at, call.delivery.id);
        let state = self.state();
        let calls = state.calls.iter().map(|kept| &kept.call);
        let mut calls: Vec<Call> = calls
            .filter(|call| call.delivery.endpoint == endpoint)
            .filter(|call| wanted.is_none_or(|wanted| CallState::of(call.delivery.state) == wanted))
            .filter(|call| after.is_none_or(|after| key(call) < (after.at, after.id)))
            .map(|call| Call {
                body: None,
                ..call.clone()
            })
            .collect();
        calls.sort_by_key(|call| std::cmp::Reverse(key(call)));
        calls.truncate(limit.rows() + 1);
        Ok(Page::from_rows(calls, limit, position))
    }

    async fn call(&self, endpoint: EndpointId, id: Uuid) -> Result<Option<Call>, PortError> {
        let state = self.state();
        let mut calls = state.calls.iter().map(|kept| &kept.call);
        Ok(calls
            .find(|call| (call.delivery.endpoint, call.delivery.id) == (endpoint, id))
            .cloned())
    }

    async fn replay(
        &self,
        endpoint: EndpointId,
        which: &Replay,
        now: DateTime<Utc>,
    ) -> Result<u64, PortError> {
        let mut state = self.state();
        let mut replayed = 0;
        for kept in &mut state.calls {
            let call = &mut kept.call;
            let present = CallState::of(call.delivery.state);
            let is_meant = match which {
                Replay::Ids(ids) => ids.contains(&call.delivery.id),
                Replay::Range {
                    from,
                    to,
                    with_delivered,
                } => {
                    (*from..*to).contains(&call.created_at)
                        && (present == CallState::Dead || *with_delivered)
                        && replayed < u64::try_from(WAITING_MAX).unwrap_or(u64::MAX)
                }
            };
            if is_meant && call.delivery.endpoint == endpoint && present != CallState::Waiting {
                call.delivery = call.delivery.clone().replayed(now);
                replayed += 1;
            }
        }
        Ok(replayed)
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut state = self.state();
        let mut left = usize::try_from(rows_max).unwrap_or(0);
        let present = state.calls.len();
        state.calls.retain(|kept| {
            let ended_at = match kept.call.delivery.state {
                DeliveryState::Waiting { .. } => None,
                DeliveryState::Delivered { at } | DeliveryState::Dead { at, .. } => Some(at),
            };
            let goes = left > 0 && ended_at.is_some_and(|at| at < before);
            left -= usize::from(goes);
            !goes
        });
        Ok(u64::try_from(present - state.calls.len()).unwrap_or(u64::MAX))
    }
}

/// An endpoint of the cast's agent.
#[must_use]
pub fn endpoint(ids: &dyn IdSource, cast: &Cast, name: &str) -> Endpoint {
    let document = json!({ "name": name, "url": "https://example.org/hook", "events": ["ticket.*"],
        "filter": { "field": "priority", "operator": "equals", "value": "high" }, "audience": "staff" });
    let made_at = build::noon() + TimeDelta::microseconds(3);
    Endpoint {
        id: EndpointId::new(ids),
        content: EndpointContent::read(&document, &AddressRules::default()).unwrap(),
        secrets: Secrets::one(Secret::of(vec![7; 32]).unwrap()),
        health: Health::default(),
        disabled: None,
        owner: cast.agent,
        created_at: made_at,
        updated_at: made_at,
        version: Version::FIRST,
    }
}

fn commit(ids: &dyn IdSource, write: EndpointWrite) -> EndpointCommit {
    let fact = IdentityFact::WebhookChanged {
        endpoint: Uuid::nil(),
        name: "n".into(),
        owner: kernel::UserId(Uuid::nil()),
        change: "changed".into(),
    };
    let actor = Actor::System(SystemActor::Automation);
    EndpointCommit {
        write,
        event: Event::new(ids, build::noon(), &actor, Fact::Identity(fact)),
        receipt: None,
    }
}

const FAILED: Answer = Answer::Failed { retry_after: None };

fn limit(rows: u8) -> PageLimit {
    PageLimit::new(rows).unwrap()
}

/// Makes one call and settles it so.
async fn settled(
    calls: &dyn DeliveryStore,
    one: &Claimed,
    answer: Answer,
    at: DateTime<Utc>,
) -> Option<Broken> {
    let tried = Try {
        at,
        took_ms: 12,
        status: Some(500),
        error: Some("status".into()),
        answer: Some("größer \u{fffd}".into()),
    };
    let settled = Settled {
        delivery: one.delivery.clone().after(answer, at, 1),
        leased_until: one.leased_until,
        tried: Some((answer, tried)),
        at,
    };
    calls.settle(&settled).await.unwrap()
}

/// What every [`EndpointStore`] with its [`DeliveryStore`] must do.
#[expect(clippy::too_many_lines, reason = "one story")]
pub async fn webhook_stores(
    endpoints: Arc<dyn EndpointStore>,
    calls: Arc<dyn DeliveryStore>,
    ids: Arc<dyn IdSource>,
    cast: Cast,
) {
    let ids = ids.as_ref();
    let now = build::noon();
    let lease = TimeDelta::seconds(60);
    // Endpoints come back as they were stored, in the order of their names.
    let (first, second) = (endpoint(ids, &cast, "b"), endpoint(ids, &cast, "Ä"));
    for one in [&first, &second] {
        let write = EndpointWrite::Insert(Box::new(one.clone()));
        endpoints.commit(commit(ids, write)).await.unwrap();
    }
    assert_eq!(endpoints.endpoint(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(
        endpoints.endpoints().await.unwrap(),
        [first.clone(), second.clone()]
    );
    let mut changed = first.clone();
    changed.secrets = changed.secrets.rotated(Secret::of(vec![9; 24]).unwrap());
    changed.content.name = "a".into();
    changed.version = changed.version.next();
    let update = |endpoint: &Endpoint, expected| EndpointWrite::Update {
        endpoint: Box::new(endpoint.clone()),
        expected,
    };
    let write = update(&changed, first.version);
    endpoints.commit(commit(ids, write.clone())).await.unwrap();
    let again = endpoints.commit(commit(ids, write)).await;
    assert!(matches!(again, Err(CommitError::Stale)), "{again:?}");
    assert_eq!(endpoints.endpoint(first.id).await.unwrap(), Some(changed.clone()));

    // Calls are queued once, and taken in the order of their tickets.
    let new = |endpoint: &Endpoint, ticket: Option<TicketId>, seconds: i64| NewCall {
        id: ids.next(),
        endpoint: endpoint.id,
        ticket,
        event: "ticket.created".into(),
        body: "{\"größe\":1}".into(),
        at: now + TimeDelta::seconds(seconds),
    };
    let (one, two) = (
        new(&first, Some(cast.ticket), 0),
        new(&first, Some(cast.ticket), 1),
    );
    let (other, free) = (new(&first, Some(cast.other_ticket), 2), new(&second, None, 3));
    let nowhere = NewCall {
        endpoint: EndpointId(ids.next()),
        ..new(&first, None, 4)
    };
    let all = [
        one.clone(),
        two.clone(),
        other.clone(),
        free.clone(),
        nowhere.clone(),
    ];
    calls.queue(&all).await.unwrap();
    calls.queue(&all).await.unwrap();
    let later = now + TimeDelta::seconds(5);
    let claimed = calls.claim(later, lease, 10, 10).await.unwrap();
    let mut taken: Vec<Uuid> = claimed.iter().map(|one| one.delivery.id).collect();
    taken.sort_unstable();
    let mut expected = [one.id, other.id, free.id];
    expected.sort_unstable();
    assert_eq!(taken, expected);
    assert!(calls.claim(later, lease, 10, 10).await.unwrap().is_empty());
    let find =
        |claimed: &[Claimed], id: Uuid| claimed.iter().find(|one| one.delivery.id == id).unwrap().clone();
    let held = find(&claimed, one.id);
    assert_eq!(
        (&held.endpoint, held.body.as_str()),
        (&changed, one.body.as_str())
    );
    assert!(!held.is_ticket_deleted);

    // One that failed waits, and holds up those behind it, but no other ticket.
    assert_eq!(settled(calls.as_ref(), &held, FAILED, later).await, None);
    let failing = endpoints.endpoint(first.id).await.unwrap().unwrap();
    assert_eq!(
        (failing.health.failures, failing.health.failing_since),
        (1, Some(later))
    );
    assert_eq!(
        settled(calls.as_ref(), &find(&claimed, other.id), Answer::Taken, later).await,
        None
    );
    let mended = endpoints.endpoint(first.id).await.unwrap().unwrap();
    assert_eq!(mended.health, Health::default());
    assert!(calls.claim(later, lease, 10, 10).await.unwrap().is_empty());
    let much_later = later + TimeDelta::seconds(30);
    let claimed = calls.claim(much_later, lease, 10, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let held = find(&claimed, one.id);
    assert_eq!(held.delivery.tries, 1);
    // A lease that ran out counts no more.
    let after_lease = much_later + lease;
    let again = calls.claim(after_lease, lease, 10, 10).await.unwrap();
    assert_eq!(again.len(), 2, "that one, and the one that was never settled");
    assert_eq!(settled(calls.as_ref(), &held, FAILED, after_lease).await, None);
    let kept = calls.call(first.id, one.id).await.unwrap().unwrap();
    assert_eq!((kept.delivery.tries, kept.log.len()), (1, 1));
    assert_eq!(kept.body.as_deref(), Some(one.body.as_str()));
    assert_eq!(kept.log[0].answer.as_deref(), Some("größer \u{fffd}"));
    assert_eq!(
        settled(calls.as_ref(), &find(&again, one.id), Answer::Taken, after_lease).await,
        None
    );
    let next = calls.claim(after_lease, lease, 10, 10).await.unwrap();
    assert_eq!(
        next.iter().map(|one| one.delivery.id).collect::<Vec<_>>(),
        [two.id]
    );
    // Given up without a try, it is no failure of the endpoint's.
    let dropped = Settled {
        delivery: next[0]
            .delivery
            .clone()
            .given_up(Dead::TicketDeleted, after_lease),
        leased_until: next[0].leased_until,
        tried: None,
        at: after_lease,
    };
    assert_eq!(calls.settle(&dropped).await.unwrap(), None);
    let state = |call: &Call| CallState::of(call.delivery.state);
    let listed = calls.calls(first.id, None, None, limit(2)).await.unwrap();
    let ids_of = |page: &Page<Call>| page.items.iter().map(|call| call.delivery.id).collect::<Vec<_>>();
    assert_eq!(ids_of(&listed), [other.id, two.id]);
    assert!(listed.items.iter().all(|call| call.body.is_none()));
    let rest = calls.calls(first.id, None, listed.next, limit(2)).await.unwrap();
    assert_eq!(ids_of(&rest), [one.id]);
    let dead = calls
        .calls(first.id, Some(CallState::Dead), None, limit(9))
        .await
        .unwrap();
    assert_eq!(
        (ids_of(&dead), state(&dead.items[0])),
        (vec![two.id], CallState::Dead)
    );

    // No more than so many at once for one endpoint.
    let many: Vec<NewCall> = (0..5).map(|_| new(&second, None, 200)).collect();
    calls.queue(&many).await.unwrap();
    let at = now + TimeDelta::seconds(300);
    let held = calls.claim(at, lease, 10, 2).await.unwrap();
    assert_eq!(held.len(), 2);
    assert!(calls.claim(at, lease, 10, 2).await.unwrap().is_empty());
    assert_eq!(settled(calls.as_ref(), &held[0], Answer::Taken, at).await, None);
    assert_eq!(calls.claim(at, lease, 10, 2).await.unwrap().len(), 1);

    // It breaks after so many failures, and the calls of one that is disabled are given up.
    let mut broken = None;
    let mut at = at + lease;
    for _ in 0..BREAK_AFTER_FAILURES {
        at += TimeDelta::seconds(1);
        let call = NewCall {
            at,
            ..new(&first, None, 0)
        };
        calls.queue(&[call]).await.unwrap();
        let claimed = calls.claim(at, lease, 100, 1).await.unwrap();
        let of_first = claimed.iter().find(|one| one.endpoint.id == first.id).unwrap();
        broken = settled(calls.as_ref(), of_first, FAILED, at).await;
    }
    assert_eq!(broken, Some(Broken::TooManyFailures));
    let present = endpoints.endpoint(first.id).await.unwrap().unwrap();
    assert_eq!(present.health.failures, BREAK_AFTER_FAILURES);
    let mut off = Endpoint {
        disabled: Some(Broken::TooManyFailures),
        updated_at: at,
        version: present.version.next(),
        ..present.clone()
    };
    off.content.enabled = false;
    endpoints
        .commit(commit(ids, update(&off, present.version)))
        .await
        .unwrap();
    assert_eq!(endpoints.endpoint(first.id).await.unwrap(), Some(off.clone()));
    let waiting = calls
        .calls(first.id, Some(CallState::Waiting), None, limit(9))
        .await
        .unwrap();
    assert!(waiting.items.is_empty());
    let late = new(&first, Some(cast.ticket), 500);
    calls.queue(std::slice::from_ref(&late)).await.unwrap();
    let recorded = calls.call(first.id, late.id).await.unwrap().unwrap();
    assert!(matches!(
        recorded.delivery.state,
        DeliveryState::Dead {
            why: Dead::Disabled,
            ..
        }
    ));

    // What ended can be made again, in its place.
    let mut on = Endpoint {
        disabled: None,
        health: Health::default(),
        version: off.version.next(),
        ..off.clone()
    };
    on.content.enabled = true;
    endpoints
        .commit(commit(ids, update(&on, off.version)))
        .await
        .unwrap();
    let by_id = Replay::Ids(vec![late.id, two.id, Uuid::nil()]);
    assert_eq!(calls.replay(first.id, &by_id, at).await.unwrap(), 2);
    assert_eq!(calls.replay(first.id, &by_id, at).await.unwrap(), 0);
    let claimed = calls.claim(at, lease, 100, 1).await.unwrap();
    assert_eq!(
        claimed.iter().filter(|one| one.endpoint.id == first.id).count(),
        1
    );
    assert_eq!(find(&claimed, two.id).delivery.tries, 0);
    let range = |with_delivered| Replay::Range {
        from: now,
        to: now + TimeDelta::seconds(3),
        with_delivered,
    };
    assert_eq!(calls.replay(first.id, &range(false), at).await.unwrap(), 0);
    assert_eq!(
        calls.replay(first.id, &range(true), at).await.unwrap(),
        2,
        "one and other"
    );

    // Old ones are forgotten, waiting ones are not.
    let ended = calls
        .calls(first.id, Some(CallState::Dead), None, limit(100))
        .await
        .unwrap();
    assert_eq!(calls.forget(at + TimeDelta::days(1), 10).await.unwrap(), 10);
    let left = calls
        .calls(first.id, Some(CallState::Dead), None, limit(100))
        .await
        .unwrap();
    assert!(left.items.len() < ended.items.len());
    assert!(calls.call(first.id, two.id).await.unwrap().is_some());

    // With the endpoint go its calls.
    let delete = EndpointWrite::Delete {
        id: first.id,
        expected: on.version,
    };
    endpoints.commit(commit(ids, delete)).await.unwrap();
    assert_eq!(endpoints.endpoint(first.id).await.unwrap(), None);
    assert_eq!(calls.call(first.id, two.id).await.unwrap(), None);

    // There is an end to how many there can be.
    for number in 1..=ENDPOINTS_MAX {
        let write = EndpointWrite::Insert(Box::new(endpoint(ids, &cast, &format!("e{number}"))));
        let made = endpoints.commit(commit(ids, write)).await;
        if number == ENDPOINTS_MAX {
            assert!(matches!(made, Err(CommitError::TooMany)), "{made:?}");
        } else {
            made.unwrap();
        }
    }
}

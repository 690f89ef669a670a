//! A fake outbox in memory, and the contract that every [`Outbox`] must keep, which runs on the fake and on the real
//! one alike.
//!
//! A new promise of the port gets a case in [`outbox_contract`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kernel::{Clock, EventId, ManualClock, PortError, TicketId, UserId};
use uuid::Uuid;

use crate::fact::{Cause, Event, Fact, TicketFact, TicketSummary};
use crate::outbox::{Backlog, Claim, ClaimedEvent, Outbox};
use crate::vocabulary::{TicketPriority, TicketStatus};

/// An event about ticket number `ticket`: `what` happened to it, caused by its requester, user number 1, at 2026-01-01.
/// The ticket is assigned to user number 2. The event's own number is `id`.
#[must_use]
pub fn ticket_event(id: u128, ticket: u128, what: TicketFact) -> Event {
    let requester = UserId(Uuid::from_u128(1));
    let summary = TicketSummary {
        id: TicketId(Uuid::from_u128(ticket)),
        number: format!("TKT-{ticket:05}"),
        subject: "Printer on fire".into(),
        requester,
        assignee: Some(UserId(Uuid::from_u128(2))),
        team: None,
        status: TicketStatus::Open,
        priority: TicketPriority::Medium,
        version: 1,
        cc: Vec::new(),
        followers: Vec::new(),
    };
    Event {
        id: EventId(Uuid::from_u128(id)),
        at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        cause: Cause::Person(requester),
        fact: Fact::Ticket {
            ticket: summary,
            what,
        },
        origin: None,
        chain: None,
    }
}

#[derive(Debug)]
struct Row {
    event: Event,
    attempts: i32,
    available_at: DateTime<Utc>,
    leased_until: Option<DateTime<Utc>>,
    last_error: Option<String>,
    done_at: Option<DateTime<Utc>>,
    buried_at: Option<DateTime<Utc>>,
}

impl Row {
    fn is_unfinished(&self) -> bool {
        self.done_at.is_none() && self.buried_at.is_none()
    }

    fn can_be_taken(&self, now: DateTime<Utc>) -> bool {
        self.leased_until.is_none_or(|until| until <= now) && (self.attempts == 0 || self.available_at <= now)
    }
}

/// An outbox in memory.
#[derive(Debug)]
pub struct MemoryOutbox {
    clock: Arc<ManualClock>,
    rows: Mutex<Vec<Row>>,
}

impl MemoryOutbox {
    /// An empty outbox that tells the time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
        }
    }

    /// Publishes events, as a commit does.
    pub fn put(&self, events: &[Event]) {
        let new = events.iter().map(|event| Row {
            event: event.clone(),
            attempts: 0,
            available_at: event.at,
            leased_until: None,
            last_error: None,
            done_at: None,
            buried_at: None,
        });
        self.rows().extend(new);
    }

    /// The events that were given up, with the reasons.
    #[must_use]
    pub fn buried(&self) -> Vec<(EventId, String)> {
        let rows = self.rows();
        let buried = rows.iter().filter(|row| row.buried_at.is_some());
        buried
            .map(|row| (row.event.id, row.last_error.clone().unwrap_or_default()))
            .collect()
    }

    /// When the unfinished events may be claimed, in their order.
    #[must_use]
    pub fn waiting(&self) -> Vec<(EventId, DateTime<Utc>)> {
        let rows = self.rows();
        let waiting = rows.iter().filter(|row| row.is_unfinished());
        waiting
            .map(|row| (row.event.id, row.leased_until.unwrap_or(row.available_at)))
            .collect()
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, event: EventId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self
            .rows()
            .iter_mut()
            .find(|row| row.event.id == event && row.is_unfinished())
        {
            change(row);
        }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, PortError> {
        let Claim {
            now,
            lease,
            batch_max,
        } = claim;
        let leased_until = now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
        let batch_max = usize::try_from(batch_max).unwrap_or(0);
        let mut held_back: Vec<Uuid> = Vec::new();
        let mut claimed = Vec::new();
        for row in self.rows().iter_mut().filter(|row| row.is_unfinished()) {
            let aggregate = row.event.fact.aggregate();
            if claimed.len() == batch_max || held_back.contains(&aggregate) {
                continue;
            }
            if !row.can_be_taken(now) {
                held_back.push(aggregate);
                continue;
            }
            row.attempts += 1;
            row.leased_until = Some(leased_until);
            if row.attempts > 1 {
                held_back.push(aggregate);
            }
            claimed.push(ClaimedEvent {
                id: row.event.id,
                aggregate,
                attempts: row.attempts,
                event: Ok(row.event.clone()),
            });
        }
        Ok(claimed)
    }

    async fn settle(&self, delivered: &[EventId]) -> Result<(), PortError> {
        let now = self.clock.now();
        for row in self
            .rows()
            .iter_mut()
            .filter(|row| delivered.contains(&row.event.id))
        {
            row.done_at.get_or_insert(now);
            row.leased_until = None;
        }
        Ok(())
    }

    async fn postpone(
        &self,
        event: EventId,
        not_before: DateTime<Utc>,
        reason: &str,
    ) -> Result<(), PortError> {
        self.change(event, |row| {
            row.leased_until = None;
            row.available_at = not_before;
            row.last_error = Some(reason.to_owned());
        });
        Ok(())
    }

    async fn bury(&self, event: EventId, reason: &str) -> Result<(), PortError> {
        let now = self.clock.now();
        self.change(event, |row| {
            row.leased_until = None;
            row.buried_at = Some(now);
            row.last_error = Some(reason.to_owned());
        });
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        let rows = self.rows();
        let count = |wanted: &dyn Fn(&Row) -> bool| {
            i64::try_from(rows.iter().filter(|row| wanted(row)).count()).unwrap_or(i64::MAX)
        };
        Ok(Backlog {
            waiting: count(&Row::is_unfinished),
            buried: count(&|row| row.buried_at.is_some()),
        })
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut left = usize::try_from(rows_max).unwrap_or(0);
        let mut rows = self.rows();
        let count = rows.len();
        rows.retain(|row| {
            let old = row.done_at.is_some_and(|at| at < before) && left > 0;
            left -= usize::from(old);
            !old
        });
        Ok((count - rows.len()) as u64)
    }
}

/// An empty outbox to try the contract on.
#[async_trait]
pub trait OutboxUnderTest: Send + Sync {
    /// The outbox.
    fn outbox(&self) -> &dyn Outbox;

    /// The clock that it tells the time by.
    fn clock(&self) -> &ManualClock;

    /// Publishes events in one commit.
    async fn commit(&self, events: &[Event]);
}

#[async_trait]
impl OutboxUnderTest for MemoryOutbox {
    fn outbox(&self) -> &dyn Outbox {
        self
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn commit(&self, events: &[Event]) {
        self.put(events);
    }
}

/// Tries every promise of [`Outbox`], each on a fresh outbox.
///
/// # Panics
/// When a promise is broken.
pub async fn outbox_contract(fresh: impl AsyncFn() -> Box<dyn OutboxUnderTest>) {
    cases::events_come_in_the_order_of_their_commit(&*fresh().await).await;
    cases::a_leased_event_comes_again_only_after_its_lease(&*fresh().await).await;
    cases::no_event_overtakes_an_earlier_one_of_its_aggregate(&*fresh().await).await;
    cases::a_settled_event_never_comes_again(&*fresh().await).await;
    cases::a_postponed_event_holds_back_its_aggregate_and_no_other(&*fresh().await).await;
    cases::events_released_behind_a_failed_one_keep_their_order(&*fresh().await).await;
    cases::a_buried_event_lets_the_later_ones_go_on(&*fresh().await).await;
    cases::only_old_settled_events_are_forgotten(&*fresh().await).await;
    cases::what_is_finished_cannot_be_changed(&*fresh().await).await;
}

#[expect(clippy::expect_used, reason = "a contract that cannot be tried is broken")]
mod cases {
    use super::*;

    const LEASE: Duration = Duration::from_secs(60);

    fn event(id: u128, ticket: u128) -> Event {
        ticket_event(
            id,
            ticket,
            TicketFact::Updated {
                fields: vec![format!("field {id}")],
                before: serde_json::Map::new(),
            },
        )
    }

    fn id(number: u128) -> EventId {
        EventId(Uuid::from_u128(number))
    }

    async fn claim(subject: &dyn OutboxUnderTest, batch_max: i64) -> Vec<ClaimedEvent> {
        let claim = Claim {
            now: subject.clock().now(),
            lease: LEASE,
            batch_max,
        };
        subject.outbox().claim(claim).await.expect("a claim")
    }

    /// The numbers of the claimed events, with how often each was claimed.
    async fn claimed(subject: &dyn OutboxUnderTest, batch_max: i64) -> Vec<(u128, i32)> {
        let claimed = claim(subject, batch_max).await;
        claimed
            .iter()
            .map(|event| (event.id.0.as_u128(), event.attempts))
            .collect()
    }

    fn later(subject: &dyn OutboxUnderTest, secs: i64) -> DateTime<Utc> {
        subject.clock().now() + TimeDelta::seconds(secs)
    }

    pub(super) async fn events_come_in_the_order_of_their_commit(subject: &dyn OutboxUnderTest) {
        // Ids that sort against the order, so that only the order of the commits can explain the result.
        subject.commit(&[event(9, 1), event(8, 2), event(7, 1)]).await;
        subject.commit(&[event(6, 3)]).await;
        let claimed = claim(subject, 10).await;
        let events: Vec<Event> = claimed
            .into_iter()
            .map(|claimed| claimed.event.expect("readable"))
            .collect();
        assert_eq!(events, [event(9, 1), event(8, 2), event(7, 1), event(6, 3)]);
    }

    pub(super) async fn a_leased_event_comes_again_only_after_its_lease(subject: &dyn OutboxUnderTest) {
        subject.commit(&[event(1, 1)]).await;
        assert_eq!(claimed(subject, 10).await, [(1, 1)]);
        assert_eq!(claimed(subject, 10).await, []);
        subject.clock().advance(TimeDelta::seconds(59));
        assert_eq!(claimed(subject, 10).await, []);
        subject.clock().advance(TimeDelta::seconds(1));
        assert_eq!(claimed(subject, 10).await, [(1, 2)]);
    }

    pub(super) async fn no_event_overtakes_an_earlier_one_of_its_aggregate(subject: &dyn OutboxUnderTest) {
        subject
            .commit(&[event(1, 1), event(2, 1), event(3, 1), event(4, 2)])
            .await;
        assert_eq!(claimed(subject, 2).await, [(1, 1), (2, 1)]);
        assert_eq!(
            claimed(subject, 2).await,
            [(4, 1)],
            "3 waits for 1 and 2, which another holds"
        );
        subject.outbox().settle(&[id(1)]).await.expect("settle");
        assert_eq!(claimed(subject, 2).await, [], "3 still waits for 2");
        subject.outbox().settle(&[id(2)]).await.expect("settle");
        assert_eq!(claimed(subject, 2).await, [(3, 1)]);
    }

    pub(super) async fn a_settled_event_never_comes_again(subject: &dyn OutboxUnderTest) {
        subject.commit(&[event(1, 1), event(2, 2)]).await;
        assert_eq!(claimed(subject, 10).await, [(1, 1), (2, 1)]);
        subject.outbox().settle(&[id(1), id(2)]).await.expect("settle");
        subject.clock().advance(TimeDelta::days(2));
        assert_eq!(claimed(subject, 10).await, []);
        assert_eq!(
            subject.outbox().backlog().await.expect("backlog"),
            Backlog {
                waiting: 0,
                buried: 0
            }
        );
    }

    pub(super) async fn a_postponed_event_holds_back_its_aggregate_and_no_other(
        subject: &dyn OutboxUnderTest,
    ) {
        subject.commit(&[event(1, 1), event(2, 1), event(3, 2)]).await;
        assert_eq!(claimed(subject, 1).await, [(1, 1)]);
        subject
            .outbox()
            .postpone(id(1), later(subject, 30), "no answer")
            .await
            .expect("postpone");
        assert_eq!(claimed(subject, 10).await, [(3, 1)]);
        subject.clock().advance(TimeDelta::seconds(29));
        assert_eq!(claimed(subject, 10).await, []);
        subject.clock().advance(TimeDelta::seconds(1));
        assert_eq!(claimed(subject, 10).await.first(), Some(&(1, 2)));
    }

    pub(super) async fn events_released_behind_a_failed_one_keep_their_order(subject: &dyn OutboxUnderTest) {
        subject.commit(&[event(1, 1), event(2, 1), event(3, 1)]).await;
        assert_eq!(claimed(subject, 10).await, [(1, 1), (2, 1), (3, 1)]);
        subject
            .outbox()
            .postpone(id(1), later(subject, 30), "no answer")
            .await
            .expect("postpone");
        let now = subject.clock().now();
        for behind in [id(2), id(3)] {
            subject
                .outbox()
                .postpone(behind, now, "behind one that failed")
                .await
                .expect("release");
        }
        assert_eq!(claimed(subject, 10).await, [], "2 and 3 wait for 1");
        subject.clock().advance(TimeDelta::seconds(30));
        let mut order = Vec::new();
        for _ in 0..3 {
            for (number, _) in claimed(subject, 10).await {
                order.push(number);
                subject.outbox().settle(&[id(number)]).await.expect("settle");
            }
        }
        assert_eq!(order, [1, 2, 3]);
    }

    pub(super) async fn a_buried_event_lets_the_later_ones_go_on(subject: &dyn OutboxUnderTest) {
        subject.commit(&[event(1, 1), event(2, 1)]).await;
        assert_eq!(claimed(subject, 1).await, [(1, 1)]);
        subject
            .outbox()
            .bury(id(1), "cannot be\0read")
            .await
            .expect("bury");
        assert_eq!(
            subject.outbox().backlog().await.expect("backlog"),
            Backlog {
                waiting: 1,
                buried: 1
            }
        );
        assert_eq!(claimed(subject, 10).await, [(2, 1)]);
        subject.clock().advance(TimeDelta::days(2));
        assert_eq!(claimed(subject, 10).await, [(2, 2)]);
    }

    pub(super) async fn only_old_settled_events_are_forgotten(subject: &dyn OutboxUnderTest) {
        let numbers = [1, 2, 3, 4, 5];
        subject.commit(&numbers.map(|number| event(number, number))).await;
        assert_eq!(claimed(subject, 10).await.len(), 5);
        subject
            .outbox()
            .settle(&[id(1), id(2), id(3)])
            .await
            .expect("settle");
        subject.clock().advance(TimeDelta::hours(1));
        let cut = subject.clock().now();
        subject.outbox().settle(&[id(4)]).await.expect("settle");
        let forget = async |rows_max| subject.outbox().forget(cut, rows_max).await.expect("forget");
        assert_eq!(forget(2).await, 2);
        assert_eq!(forget(2).await, 1);
        assert_eq!(forget(2).await, 0, "4 is not old, 5 not settled");
        assert_eq!(claimed(subject, 10).await, [(5, 2)]);
    }

    pub(super) async fn what_is_finished_cannot_be_changed(subject: &dyn OutboxUnderTest) {
        subject.commit(&[event(1, 1)]).await;
        assert_eq!(claimed(subject, 1).await, [(1, 1)]);
        subject.outbox().settle(&[id(1)]).await.expect("settle");
        // From a claimer whose lease had ended.
        subject
            .outbox()
            .postpone(id(1), subject.clock().now(), "late")
            .await
            .expect("postpone");
        subject.outbox().bury(id(1), "late").await.expect("bury");
        subject.clock().advance(TimeDelta::days(1));
        assert_eq!(claimed(subject, 1).await, []);
        assert_eq!(
            subject.outbox().backlog().await.expect("backlog"),
            Backlog {
                waiting: 0,
                buried: 0
            }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let fresh = async || {
            Box::new(MemoryOutbox::new(Arc::new(ManualClock::at(start)))) as Box<dyn OutboxUnderTest>
        };
        outbox_contract(fresh).await;
    }
}

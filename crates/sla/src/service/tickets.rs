//! The clocks of tickets: they follow each change, they speak when they are due, and every minute of them can be explained.
//!
//! Whoever changes a ticket calls [`TicketSla::follow`] before it stores the change, and stores what that gives in the same step.
//! [`TicketSla::sweep`] says what came due without a change, and tells tickets of a policy that promises something else by now. What was said
//! is part of the clocks that said it, so that each warning and breach is told once, whoever comes first.
//!
//! A ticket has clocks from when a policy first meets it. On a desk without policies nothing is kept and nothing asked.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{Cause, Event, Fact as PublishedFact, TicketFact};
use kernel::{Classify, Clock, FailureKind, IdSource, PortError, TicketId};

use super::known::KnownPolicies;
use crate::clocks::{ClockError, ClockEvent, Fact, Reading, Status, TicketClocks, WakeFor, What};
use crate::ledger::{LedgerRow, Part};
use crate::policy::{
    Metric, PolicyFilter, PolicyId, PolicyRef, Priority, Promise, SlaPolicy, StepAt, Terms, Timing, select,
};
use crate::port::{ClockStore, PolicyStore};
use crate::preview::{IMPACT_TICKETS_MAX, Impact, impact as impact_of};
use crate::tracking::{Due, DueTicket, KeptClocks, KeptSpan, Spoken, Tracked};

/// The most tickets of a round of the sweep.
pub const SWEEP_TICKETS_MAX: i64 = 500;
/// The most rows of a ledger that an explanation takes, the latest ones.
pub const LEDGER_ROWS_MAX: i64 = 1_000;
/// The most stretches of an explanation, the latest ones.
pub const STRETCHES_MAX: usize = 5_000;
/// How long clocks that cannot be moved on are left alone, in seconds.
const PUT_OFF_SECONDS: i64 = 3_600;
/// Who speaks, in events.
const SPEAKER: &str = "sla";

/// A ticket after a change, as far as its clocks care.
pub struct Change<'a> {
    /// The ticket.
    pub ticket: TicketId,
    /// Whether the change makes it.
    pub is_new: bool,
    /// When it is changed.
    pub at: DateTime<Utc>,
    /// Where it stands now.
    pub status: Status,
    /// How much it presses now.
    pub priority: Priority,
    /// Whether the desk answered it before or with the change.
    pub is_answered: bool,
    /// The policy that the ticket names.
    pub named: Option<PolicyId>,
    /// What happened, in order; nothing of it for a ticket that is made.
    pub what: &'a [What],
    /// Whether something changed that a policy's filter can ask for.
    pub may_select: bool,
    /// Whether the ticket fits a policy's filter.
    pub matches: &'a (dyn Fn(&PolicyFilter) -> bool + Send + Sync),
}

/// What is to be stored with the change.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "clocks that are not stored did not move"]
pub struct Followed {
    /// The clocks.
    pub kept: KeptClocks,
    /// Spans that ended.
    pub spans: Vec<KeptSpan>,
    /// The policy that the ticket shows.
    pub policy: Option<PolicyId>,
    /// The deadline that it shows.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether a deadline was missed.
    pub is_breached: bool,
    /// What came due before the change and was not said yet, in order.
    pub said: Vec<TicketFact>,
}

/// Why clocks did not follow. Nothing of them changed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// They could not be moved on.
    #[error(transparent)]
    Clocks(#[from] ClockError),
    /// A store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for FollowError {
    fn kind(&self) -> FailureKind {
        match self {
            FollowError::Clocks(_) => FailureKind::Internal,
            FollowError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            FollowError::Clocks(_) => "server.internal",
            FollowError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            FollowError::Clocks(_) => "The ticket's clocks cannot be read.".into(),
            FollowError::Port(error) => error.detail(),
        }
    }
}

/// A stretch of a clock's run: of one kind, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Of which clock.
    pub metric: Metric,
    /// Of which of its runs, from 1.
    pub run: u32,
    /// What it was, from when to when.
    pub part: Part,
    /// By which terms.
    pub policy: Option<PolicyRef>,
    /// By which version of their hours; `None` around the clock.
    pub calendar_version: Option<kernel::Version>,
    /// At which priority.
    pub priority: Priority,
}

/// Why a ticket is due when it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// The terms in force.
    pub policy: Option<PolicyRef>,
    /// See [`Tracked::is_explicit`].
    pub is_explicit: bool,
    /// The earliest deadline of the running clocks.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether any was missed.
    pub is_breached: bool,
    /// The clocks that ever started.
    pub clocks: Vec<Reading>,
    /// What every moment of them was, clock by clock and run by run, in order.
    pub ledger: Vec<Stretch>,
    /// Whether older stretches were left out.
    pub is_cut: bool,
}

/// The clocks of tickets.
pub struct TicketSla {
    policies: Arc<KnownPolicies>,
    clocks: Arc<dyn ClockStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// The terms that a step needs.
type Book = HashMap<PolicyRef, Arc<Terms>>;

impl TicketSla {
    /// The clocks of this store.
    #[must_use]
    pub fn new(
        policies: Arc<KnownPolicies>,
        clocks: Arc<dyn ClockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            policies,
            clocks,
            clock,
            ids,
        }
    }

    /// Forgets which policies there are: one that was named is gone.
    pub fn forget(&self) {
        self.policies.forget();
    }

    /// Lets the clocks of a ticket follow a change; `None` where it moves none.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn follow(&self, change: &Change<'_>) -> Result<Option<Followed>, FollowError> {
        if !change.is_new && change.what.is_empty() && !change.may_select {
            return Ok(None);
        }
        let policies = self.policies.present().await?;
        let before = if change.is_new {
            None
        } else {
            self.clocks.clocks(change.ticket).await?
        };
        let Some(tracked) = before else {
            return self.begin(change, &policies).await;
        };
        let chosen = chosen(change, &tracked, &policies);
        let wanted = chosen.map(SlaPolicy::reference);
        let is_explicit = explicit(change, &tracked).is_some() && chosen.is_some();
        let book = self
            .book(tracked.clocks.policy().into_iter().chain(wanted), &policies)
            .await?;
        let mut steps = change.what.to_vec();
        if wanted != tracked.clocks.policy() {
            steps.push(What::Policy(wanted));
        }
        let mut moved = Moved::new(tracked.clocks.clone());
        for what in steps {
            moved.take(Fact { at: change.at, what }, &book)?;
        }
        if moved.clocks == tracked.clocks && is_explicit == tracked.is_explicit {
            return Ok(None);
        }
        moved.kept(is_explicit, &book).map(Some)
    }

    /// The first clocks of a ticket, where a policy meets it.
    async fn begin(
        &self,
        change: &Change<'_>,
        policies: &[SlaPolicy],
    ) -> Result<Option<Followed>, FollowError> {
        let Some(policy) = select(policies, change.named, |filter| (change.matches)(filter)) else {
            return Ok(None);
        };
        let is_explicit = change.named == Some(policy.id);
        let wanted = policy.reference();
        let book = self.book([wanted], policies).await?;
        let Change {
            at, status, priority, ..
        } = *change;
        let mut moved = Moved::new(TicketClocks::start(at, status, priority, Some(wanted), &book)?);
        // What a ticket went through before it was promised anything is not counted, but it is not promised again.
        if change.is_answered {
            moved.take(
                Fact {
                    at,
                    what: What::AgentReply,
                },
                &book,
            )?;
            if change.what.contains(&What::CustomerMessage) {
                moved.take(
                    Fact {
                        at,
                        what: What::CustomerMessage,
                    },
                    &book,
                )?;
            }
        }
        moved.kept(is_explicit, &book).map(Some)
    }

    /// Says what came due, and tells tickets what their policies promise by now: one round, of at most
    /// [`SWEEP_TICKETS_MAX`] tickets each. Gives the number of tickets it moved.
    ///
    /// # Errors
    /// When a store cannot be reached.
    pub async fn sweep(&self) -> Result<u64, PortError> {
        let Due { now, tickets } = self.clocks.due(SWEEP_TICKETS_MAX).await?;
        let said = self.speak(now, tickets, |_| None).await?;
        let policies = self.policies.present().await?;
        let present: Vec<_> = policies.iter().map(SlaPolicy::reference).collect();
        let Due { now, tickets } = self.clocks.behind(&present, SWEEP_TICKETS_MAX).await?;
        let told = self
            .speak(now, tickets, |due| {
                let current = due.tracked.as_ref().ok()?.clocks.policy()?;
                let find = |id: PolicyId| policies.iter().find(|policy| policy.id == id);
                // Of one that is gone, whoever follows it, or the default.
                let next = find(current.id)
                    .or_else(|| due.named.and_then(find))
                    .or_else(|| policies.iter().find(|policy| policy.is_default));
                let next = next.map(SlaPolicy::reference);
                (next != Some(current)).then_some(What::Policy(next))
            })
            .await?;
        Ok(said + told)
    }

    /// Whether there is such a policy.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn has_policy(&self, id: PolicyId) -> Result<bool, PortError> {
        let policies = self.policies.present().await?;
        Ok(policies.iter().any(|policy| policy.id == id))
    }

    /// What it would do to the open tickets of a policy if it promised this from now on: those that run by it, whatever its filter
    /// says. Stores nothing.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn impact(&self, policy: &SlaPolicy, promise: Promise) -> Result<Impact, FollowError> {
        let mut tickets: Vec<(TicketId, TicketClocks)> = Vec::new();
        let mut is_cut = false;
        loop {
            let after = tickets.last().map(|(ticket, _)| *ticket);
            let page = self.clocks.live(policy.id, after, SWEEP_TICKETS_MAX).await?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < SWEEP_TICKETS_MAX;
            tickets.extend(page.into_iter().map(|(ticket, tracked)| (ticket, tracked.clocks)));
            if is_last {
                break;
            }
            if tickets.len() >= IMPACT_TICKETS_MAX {
                is_cut = true;
                break;
            }
        }
        let version = policy.version.next();
        let after = Arc::new(Terms {
            policy: PolicyRef {
                id: policy.id,
                version,
            },
            calendar_version: if promise.hours == policy.promise.hours {
                policy.calendar_version
            } else {
                version
            },
            promise,
        });
        let mut wanted: Vec<PolicyRef> = Vec::new();
        for current in tickets.iter().filter_map(|(_, clocks)| clocks.policy()) {
            if !wanted.contains(&current) {
                wanted.push(current);
            }
        }
        let policies = self.policies.present().await?;
        let book = self.book(wanted, &policies).await?;
        let now = self.clock.now();
        let impact = impact_of(tickets, &after, now, &book)?;
        Ok(Impact { is_cut, ..impact })
    }

    async fn speak(
        &self,
        now: DateTime<Utc>,
        tickets: Vec<DueTicket>,
        besides: impl Fn(&DueTicket) -> Option<What> + Send + Sync,
    ) -> Result<u64, PortError> {
        let policies = self.policies.present().await?;
        let mut wanted: Vec<PolicyRef> = Vec::new();
        for due in &tickets {
            let current = due
                .tracked
                .as_ref()
                .ok()
                .and_then(|tracked| tracked.clocks.policy());
            let next = match besides(due) {
                Some(What::Policy(next)) => next,
                _ => None,
            };
            for policy in current.into_iter().chain(next) {
                if !wanted.contains(&policy) {
                    wanted.push(policy);
                }
            }
        }
        let book = self.book(wanted, &policies).await?;
        let (mut spoken, mut broken) = (Vec::with_capacity(tickets.len()), Vec::new());
        for due in tickets {
            let id = due.ticket.id;
            let what = besides(&due);
            match self.spoken(now, due, what, &book) {
                Some(said) => spoken.push(said),
                None => broken.push(id),
            }
        }
        if !broken.is_empty() {
            self.clocks.put_off(&broken, PUT_OFF_SECONDS).await?;
        }
        if spoken.is_empty() {
            return Ok(0);
        }
        self.clocks.save(spoken).await
    }

    /// What a ticket's clocks say now; `None` where they cannot.
    fn spoken(&self, now: DateTime<Utc>, due: DueTicket, what: Option<What>, book: &Book) -> Option<Spoken> {
        let DueTicket {
            mut ticket,
            named: _,
            tracked,
        } = due;
        let Tracked { clocks, is_explicit } = tracked.ok()?;
        let mut moved = Moved::new(clocks);
        match what {
            Some(what) => moved.take(Fact { at: now, what }, book).ok()?,
            None => moved.fire(now, book).ok()?,
        }
        let Followed {
            kept,
            spans,
            policy,
            due_at,
            is_breached,
            said,
        } = moved.kept(is_explicit, book).ok()?;
        ticket.version = ticket.version.saturating_add(1);
        let events = said.into_iter().map(|what| {
            let fact = PublishedFact::Ticket {
                ticket: ticket.clone(),
                what,
            };
            let cause = Cause::System(SPEAKER.to_owned());
            Event::caused(self.ids.as_ref(), now, cause, None, fact)
        });
        Some(Spoken {
            events: events.collect(),
            ticket,
            kept,
            spans,
            policy,
            due_at,
            is_breached,
        })
    }

    /// Why a ticket is due when it is due; `None` for one without clocks. Who may ask is for the caller to say.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn explain(&self, ticket: TicketId) -> Result<Option<Explained>, FollowError> {
        let Some(Tracked { clocks, is_explicit }) = self.clocks.clocks(ticket).await? else {
            return Ok(None);
        };
        let mut rows = self.clocks.ledger(ticket, LEDGER_ROWS_MAX).await?;
        let mut is_cut = i64::try_from(rows.len()).is_ok_and(|rows| rows >= LEDGER_ROWS_MAX);
        let policies = self.policies.present().await?;
        let mut named: Vec<_> = rows.iter().filter_map(|row| row.policy).collect();
        named.extend(clocks.policy());
        named.sort_unstable();
        named.dedup();
        let book = self.book(named, &policies).await?;
        let now = self.clock.now().max(clocks.at());
        // What came due and was not swept yet is true already.
        let clocks = clocks.fire(now, &book)?.clocks;
        rows.extend(clocks.open_rows(now, &book)?);
        rows.sort_by_key(|row| (row.metric, row.run, row.from));
        let mut ledger = Vec::new();
        for row in &rows {
            let LedgerRow {
                metric,
                run,
                policy,
                calendar_version,
                priority,
                ..
            } = *row;
            ledger.extend(row.parts(&book)?.into_iter().map(|part| Stretch {
                metric,
                run,
                part,
                policy,
                calendar_version,
                priority,
            }));
        }
        if ledger.len() > STRETCHES_MAX {
            is_cut = true;
            let mut by_time: Vec<_> = ledger.iter().map(|stretch| stretch.part.from).collect();
            by_time.sort_unstable();
            let first = by_time.get(ledger.len() - STRETCHES_MAX).copied();
            ledger.retain(|stretch| first.is_none_or(|first| stretch.part.from >= first));
        }
        Ok(Some(Explained {
            at: now,
            policy: clocks.policy(),
            is_explicit,
            due_at: clocks.sla_due_at(),
            is_breached: clocks.sla_breached(),
            clocks: clocks.readings(now, &book)?,
            ledger,
            is_cut,
        }))
    }

    async fn book(
        &self,
        wanted: impl IntoIterator<Item = PolicyRef> + Send,
        policies: &[SlaPolicy],
    ) -> Result<Book, PortError> {
        let mut book = Book::new();
        let wanted: Vec<_> = wanted.into_iter().collect();
        for policy in wanted {
            if book.contains_key(&policy) {
                continue;
            }
            let terms = match self.policies.terms(policy).await? {
                Some(terms) => Some(terms),
                // They are stored with the policy; another node's commit may be younger than what was read.
                None => policies
                    .iter()
                    .find(|known| known.reference() == policy)
                    .map(SlaPolicy::terms),
            };
            book.extend(terms.map(|terms| (policy, terms)));
        }
        Ok(book)
    }
}

/// The policy that somebody chose for the ticket.
fn explicit(change: &Change<'_>, tracked: &Tracked) -> Option<PolicyId> {
    let current = tracked.clocks.policy().map(|policy| policy.id);
    change
        .named
        .filter(|named| tracked.is_explicit || current != Some(*named))
}

/// The policy of a ticket that has clocks.
fn chosen<'p>(change: &Change<'_>, tracked: &Tracked, policies: &'p [SlaPolicy]) -> Option<&'p SlaPolicy> {
    let explicit = explicit(change, tracked);
    let current = tracked.clocks.policy().map(|policy| policy.id);
    let stays = !change.may_select && explicit.is_none() && current.is_some();
    if stays && let Some(policy) = policies.iter().find(|policy| Some(policy.id) == current) {
        return Some(policy);
    }
    select(policies, explicit, |filter| (change.matches)(filter))
}

/// Clocks on their way.
struct Moved {
    clocks: TicketClocks,
    rows: Vec<LedgerRow>,
    said: Vec<ClockEvent>,
}

impl Moved {
    fn new(clocks: TicketClocks) -> Self {
        Self {
            clocks,
            rows: Vec::new(),
            said: Vec::new(),
        }
    }

    fn take(&mut self, fact: Fact, book: &Book) -> Result<(), ClockError> {
        let applied = self.clocks.apply(&fact, book)?;
        self.clocks = applied.clocks;
        self.rows.extend(applied.rows);
        self.said.extend(applied.events);
        Ok(())
    }

    fn fire(&mut self, now: DateTime<Utc>, book: &Book) -> Result<(), ClockError> {
        let fired = self.clocks.fire(now, book)?;
        self.clocks = fired.clocks;
        self.said.extend(fired.events);
        Ok(())
    }

    fn kept(self, is_explicit: bool, book: &Book) -> Result<Followed, FollowError> {
        let Self { clocks, rows, said } = self;
        let tracked = Tracked { clocks, is_explicit };
        let kept = KeptClocks::of(&tracked, book)?;
        let clocks = tracked.clocks;
        Ok(Followed {
            kept,
            spans: rows.iter().map(KeptSpan::from).collect(),
            policy: clocks.policy().map(|policy| policy.id),
            due_at: clocks.sla_due_at(),
            is_breached: clocks.sla_breached(),
            said: said.iter().map(published).collect(),
        })
    }
}

/// What is told of something that clocks said.
fn published(event: &ClockEvent) -> TicketFact {
    let ClockEvent {
        at: _,
        metric,
        run,
        policy,
        due_at,
        what,
    } = *event;
    let metric = metric.as_str().to_owned();
    let (policy, policy_version) = (policy.id.0, policy.version.0);
    let step = |at: StepAt| at.to_string();
    match (event.timing(), what) {
        (_, WakeFor::Breach) => TicketFact::SlaBreached {
            metric,
            run,
            due_at,
            policy,
            policy_version,
        },
        (Timing::Warning, WakeFor::Step(at)) => TicketFact::SlaWarning {
            metric,
            run,
            at: step(at),
            due_at,
            policy,
            policy_version,
        },
        (Timing::Breach | Timing::After, WakeFor::Step(at)) => TicketFact::SlaEscalated {
            metric,
            run,
            at: step(at),
            due_at,
            policy,
            policy_version,
        },
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use events::{TicketPriority, TicketStatus, TicketSummary};
    use kernel::id::Uuid;
    use kernel::{ManualClock, SequentialIds, UserId};

    use super::*;
    use crate::testing::build::{at, document};
    use crate::testing::{MemoryClocks, MemoryPolicies, MockClockStore};
    use crate::{NewPolicy, PolicyDraft, SlaPolicies, Unchecked};

    const START: &str = "2026-06-01T09:00:00Z";

    struct World {
        sla: TicketSla,
        clocks: Arc<MemoryClocks>,
        known: Arc<KnownPolicies>,
    }

    impl World {
        /// With a policy that warns at 50 % of an hour to the first response.
        async fn new() -> Self {
            let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(START)));
            let ids: Arc<dyn IdSource> = Arc::new(SequentialIds::default());
            let store = Arc::new(MemoryPolicies::default());
            let known = Arc::new(KnownPolicies::new(store, Arc::clone(&clock)));
            let policies = SlaPolicies::new(Arc::clone(&known) as _, Arc::clone(&clock), Arc::clone(&ids));
            let mut document = document();
            document["firstResponseTime"] = 60.into();
            document["businessHoursOnly"] = false.into();
            document["filter"] = serde_json::Value::Null;
            document["priorityMultipliers"] = serde_json::json!({});
            document["escalationRules"] =
                serde_json::json!([{ "metric": "first_response", "at": "50%", "actions": [] }]);
            let draft = PolicyDraft::read(&document, "", &Unchecked).unwrap();
            let new = NewPolicy {
                draft,
                is_default: true,
            };
            let admin = crate::testing::build::actor(kernel::Role::Admin);
            let _ = policies
                .create(&admin, &new, &kernel::receipt::no_receipt)
                .await
                .unwrap();
            let clocks = Arc::new(MemoryClocks::default());
            let sla = TicketSla::new(Arc::clone(&known), Arc::clone(&clocks) as _, clock, ids);
            Self { sla, clocks, known }
        }

        async fn create(&self, number: u128) -> TicketSummary {
            let ticket = summary(number);
            let followed = self.sla.follow(&change(&ticket, true, &[])).await.unwrap();
            self.clocks.store(ticket.clone(), followed.unwrap());
            ticket
        }

        fn told(&self) -> Vec<(TicketId, &'static str)> {
            let told = |event: &Event| match &event.fact {
                PublishedFact::Ticket { ticket, what } => match what {
                    TicketFact::SlaWarning { .. } => (ticket.id, "warning"),
                    TicketFact::SlaBreached { .. } => (ticket.id, "breach"),
                    other => panic!("told of {other:?}"),
                },
                other @ (PublishedFact::Identity(_) | PublishedFact::Knowledge(_)) => {
                    panic!("told of {other:?}")
                }
            };
            self.clocks.events().iter().map(told).collect()
        }
    }

    fn summary(number: u128) -> TicketSummary {
        TicketSummary {
            id: TicketId(Uuid::from_u128(number)),
            number: format!("TKT-{number:05}"),
            subject: "s".into(),
            requester: UserId(Uuid::from_u128(1)),
            assignee: None,
            team: None,
            status: TicketStatus::Open,
            priority: TicketPriority::Medium,
            version: 1,
            cc: Vec::new(),
            followers: Vec::new(),
        }
    }

    fn change<'a>(ticket: &TicketSummary, is_new: bool, what: &'a [What]) -> Change<'a> {
        Change {
            ticket: ticket.id,
            is_new,
            at: at(START),
            status: Status::Open,
            priority: Priority::Medium,
            is_answered: false,
            named: None,
            what,
            may_select: is_new,
            matches: &|_| false,
        }
    }

    #[tokio::test]
    async fn a_warning_and_a_breach_are_said_once_and_in_order_however_late_the_sweep_comes() {
        let world = World::new().await;
        let ticket = world.create(7).await;
        world.clocks.set_now(at(START) + TimeDelta::minutes(29));
        assert_eq!(world.sla.sweep().await.unwrap(), 0);
        world.clocks.set_now(at(START) + TimeDelta::minutes(61));
        assert_eq!(world.sla.sweep().await.unwrap(), 1);
        assert_eq!(world.sla.sweep().await.unwrap(), 0);
        assert_eq!(world.told(), [(ticket.id, "warning"), (ticket.id, "breach")]);
    }

    #[tokio::test]
    async fn what_came_due_before_a_change_is_said_with_it_and_not_by_the_sweep() {
        let world = World::new().await;
        let ticket = world.create(7).await;
        let mut answer = change(&ticket, false, &[What::AgentReply]);
        answer.at = at(START) + TimeDelta::minutes(40);
        let followed = world.sla.follow(&answer).await.unwrap().unwrap();
        assert!(matches!(
            followed.said.as_slice(),
            [TicketFact::SlaWarning { .. }]
        ));
        assert!(!followed.is_breached);
        world.clocks.store(ticket, followed);
        world.clocks.set_now(at(START) + TimeDelta::minutes(61));
        assert_eq!(world.sla.sweep().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_change_that_concerns_no_clock_asks_the_store_nothing() {
        let world = World::new().await;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(START)));
        // A mock without expectations fails when it is asked.
        let sla = TicketSla::new(
            Arc::clone(&world.known),
            Arc::new(MockClockStore::new()),
            clock,
            Arc::new(SequentialIds::default()),
        );
        assert_eq!(sla.follow(&change(&summary(7), false, &[])).await.unwrap(), None);
    }
}

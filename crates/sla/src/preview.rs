//! What would be: the deadlines of a ticket that is thought up, and what a change of a policy would do to the tickets of now.
//!
//! Both run the [clocks](crate::clocks) themselves, so that a preview cannot differ from what happens later.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use kernel::{TicketId, Violation, Violations};

use crate::clocks::{ClockError, Fact, Phase, Status, TicketClocks, What};
use crate::ledger::{LedgerRow, Part};
use crate::policy::{Metric, PolicyRef, Priority, Terms, TermsBook};

/// The most pauses of a preview.
pub const PREVIEW_PAUSES_MAX: usize = 100;
/// The longest time that a preview looks at, in days.
pub const PREVIEW_DAYS_MAX: i64 = 3_660;
/// The most stretches that the ledger of a preview has: two clocks over some years of ordinary business hours.
pub const PREVIEW_STRETCHES_MAX: usize = 5_000;
/// The most deadlines that an impact names.
pub const IMPACT_NAMED_MAX: usize = 100;
/// The most tickets that an impact looks at.
pub const IMPACT_TICKETS_MAX: usize = 10_000;

/// A ticket that is thought up.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewWish {
    /// What is promised.
    pub terms: Arc<Terms>,
    /// How much it presses.
    pub priority: Priority,
    /// When it is made.
    pub started_at: DateTime<Utc>,
    /// When it is pending: each from its first moment, without its last, in order and apart.
    pub pauses: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Up to when the ledger goes.
    pub at: DateTime<Utc>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// When the first response is due, after all pauses.
    pub first_response_due_at: Option<DateTime<Utc>>,
    /// When the resolution is due, after all pauses.
    pub resolution_due_at: Option<DateTime<Utc>>,
    /// The whole minutes that the resolution's clock has counted at the moment asked for.
    pub counted_minutes: i64,
    /// What each moment was until then, by metric and in order.
    pub ledger: Vec<(Metric, Part)>,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The wish breaks rules: `too_many`, `out_of_order`, `out_of_range` or `too_long`.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The clocks could not be moved on.
    #[error(transparent)]
    Clocks(#[from] ClockError),
}

/// The deadlines and the ledger of a ticket that nobody answers.
///
/// # Errors
/// See [`PreviewError`].
pub fn preview(wish: &PreviewWish) -> Result<Preview, PreviewError> {
    checked(wish).map_err(PreviewError::Invalid)?;
    let book = [wish.terms.clone()];
    let policy = Some(wish.terms.policy);
    let mut clocks = TicketClocks::start(wish.started_at, Status::Open, wish.priority, policy, &book)?;
    let mut rows: Vec<LedgerRow> = Vec::new();
    let mut then = None;
    let pauses = wish
        .pauses
        .iter()
        .flat_map(|(from, to)| [(*from, Status::Pending), (*to, Status::Open)]);
    for (at, status) in pauses {
        if at > wish.at && then.is_none() {
            then = Some((clocks.clone(), rows.clone()));
        }
        let what = What::Status(status);
        let applied = clocks.apply(&Fact { at, what }, &book)?;
        clocks = applied.clocks;
        rows.extend(applied.rows);
    }
    let due_at = |metric| clocks.clock(metric).run().and_then(|run| run.due_at());
    let (first_response_due_at, resolution_due_at) =
        (due_at(Metric::FirstResponse), due_at(Metric::Resolution));
    let (then, mut rows) = then.unwrap_or((clocks, rows));
    rows.extend(then.open_rows(wish.at, &book)?);
    rows.sort_by_key(|row| (row.metric, row.from));
    let counted: TimeDelta = rows
        .iter()
        .filter(|row| row.metric == Metric::Resolution)
        .map(LedgerRow::counted)
        .sum();
    let mut ledger = Vec::new();
    for row in &rows {
        ledger.extend(row.parts(&book)?.into_iter().map(|part| (row.metric, part)));
        if ledger.len() > PREVIEW_STRETCHES_MAX {
            let message = format!(
                "must be earlier: until then the ledger has more than {PREVIEW_STRETCHES_MAX} stretches"
            );
            return Err(PreviewError::Invalid(
                Violation::new("/at", "too_long", message).into(),
            ));
        }
    }
    Ok(Preview {
        first_response_due_at,
        resolution_due_at,
        counted_minutes: counted.num_minutes(),
        ledger,
    })
}

fn checked(wish: &PreviewWish) -> Result<(), Violations> {
    let mut faults = Violations::new();
    if wish.pauses.len() > PREVIEW_PAUSES_MAX {
        let message = format!("must have at most {PREVIEW_PAUSES_MAX} elements");
        faults.push(Violation::new("/pauses", "too_many", message));
    }
    let mut end = wish.started_at;
    for (index, (from, to)) in wish.pauses.iter().take(PREVIEW_PAUSES_MAX).enumerate() {
        if *from < end || to <= from {
            let message = "must begin behind the start and the pause before it, and end after it begins";
            faults.push(Violation::new(
                format!("/pauses/{index}"),
                "out_of_order",
                message,
            ));
        }
        end = end.max(*to);
    }
    let within =
        |at: DateTime<Utc>| at.signed_duration_since(wish.started_at) <= TimeDelta::days(PREVIEW_DAYS_MAX);
    if wish.at < wish.started_at || !within(wish.at) || !within(end) {
        let message =
            format!("must lie behind the start, by at most {PREVIEW_DAYS_MAX} days, and so must pauses");
        faults.push(Violation::new("/at", "out_of_range", message));
    }
    faults.into_result()
}

/// How deadlines move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// So many.
    pub deadlines: u64,
    /// The farthest move, in real time.
    pub farthest: TimeDelta,
    /// All moves together, in whole seconds.
    pub seconds: i64,
}

impl Moved {
    fn by(&mut self, distance: TimeDelta) {
        self.deadlines += 1;
        self.farthest = self.farthest.max(distance);
        self.seconds = self.seconds.saturating_add(distance.num_seconds());
    }
}

/// A deadline that would move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedDeadline {
    /// Of which ticket.
    pub ticket: TicketId,
    /// Of which clock.
    pub metric: Metric,
    /// When it is now.
    pub from: DateTime<Utc>,
    /// When it would be.
    pub to: DateTime<Utc>,
}

/// What a change of a policy would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Impact {
    /// Tickets of the policy with a clock that is not stopped.
    pub tickets: u64,
    /// Deadlines of running clocks that would come earlier.
    pub earlier: Moved,
    /// Deadlines of running clocks that would come later.
    pub later: Moved,
    /// Running clocks that would be missed at once.
    pub new_breaches: u64,
    /// Running clocks that are missed, and whose deadline would lie ahead. They keep their mark.
    pub breaches_gone: u64,
    /// The first [`IMPACT_NAMED_MAX`] deadlines that would move.
    pub named: Vec<MovedDeadline>,
    /// Whether there are tickets that were not looked at: more than [`IMPACT_TICKETS_MAX`].
    pub is_cut: bool,
}

/// What it would do to these tickets if `after` came into force at `now` for the policy that it is a version of. Tickets of
/// other policies are passed over; one whose terms are not in the book is an error.
///
/// # Errors
/// See [`ClockError`].
pub fn impact(
    tickets: impl IntoIterator<Item = (TicketId, TicketClocks)>,
    after: &Arc<Terms>,
    now: DateTime<Utc>,
    book: &(impl TermsBook + ?Sized),
) -> Result<Impact, ClockError> {
    let with = With { book, after };
    let mut impact = Impact::default();
    for (id, clocks) in tickets {
        if clocks.policy().map(|policy| policy.id) != Some(after.policy.id) {
            continue;
        }
        let is_stopped = |metric| match clocks.clock(metric).run() {
            Some(run) => matches!(run.phase(), Phase::Stopped(_)),
            None => true,
        };
        if Metric::ALL.into_iter().all(is_stopped) {
            continue;
        }
        impact.tickets += 1;
        let before = clocks.fire(now, &with)?.clocks;
        let fact = Fact {
            at: now,
            what: What::Policy(Some(after.policy)),
        };
        let then = before.apply(&fact, &with)?.clocks;
        for metric in Metric::ALL {
            let moved = impact.compare(&before, &then, metric, now);
            if let Some((from, to)) = moved.filter(|_| impact.named.len() < IMPACT_NAMED_MAX) {
                impact.named.push(MovedDeadline {
                    ticket: id,
                    metric,
                    from,
                    to,
                });
            }
        }
    }
    Ok(impact)
}

impl Impact {
    /// Counts a clock; from when to when its deadline moves.
    fn compare(
        &mut self,
        before: &TicketClocks,
        then: &TicketClocks,
        metric: Metric,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let running = |clocks: &TicketClocks| {
            let run = clocks.clock(metric).run()?;
            (run.phase() == Phase::Running).then(|| (run.due_at(), run.breached_at()))
        };
        let (Some((old, breached)), Some((new, _))) = (running(before), running(then)) else {
            return None;
        };
        match (breached, new) {
            (None, Some(new)) if new <= now && old != Some(new) => self.new_breaches += 1,
            (Some(_), Some(new)) if new > now => self.breaches_gone += 1,
            (Some(_), None) => self.breaches_gone += 1,
            (None | Some(_), Some(_)) | (None, None) => {}
        }
        let (old, new) = (old?, new?);
        if new == old {
            return None;
        }
        if new < old {
            self.earlier.by(old - new);
        } else {
            self.later.by(new - old);
        }
        Some((old, new))
    }
}

/// A book with one more page.
struct With<'a, B: ?Sized> {
    book: &'a B,
    after: &'a Arc<Terms>,
}

impl<B: TermsBook + ?Sized> TermsBook for With<'_, B> {
    fn terms(&self, policy: PolicyRef) -> Option<&Terms> {
        if policy == self.after.policy {
            return Some(self.after);
        }
        self.book.terms(policy)
    }
}

#[cfg(test)]
mod tests {
    use kernel::id::Uuid;

    use super::*;
    use crate::ledger::PartKind;
    use crate::testing::build::{at, in_hours, office, promise, reference, terms};

    fn wish() -> PreviewWish {
        PreviewWish {
            terms: terms(reference(1, 1), in_hours(promise(60, 600), office("UTC"))),
            priority: Priority::Medium,
            started_at: at("2026-06-01T16:30:00Z"),
            pauses: vec![(at("2026-06-02T10:00:00Z"), at("2026-06-02T11:00:00Z"))],
            at: at("2026-06-02T10:30:00Z"),
        }
    }

    #[test]
    fn a_preview_tells_deadlines_behind_all_pauses_and_the_ledger_until_then() {
        let preview = preview(&wish()).unwrap();
        assert_eq!(preview.first_response_due_at, Some(at("2026-06-02T09:30:00Z")));
        // 30 minutes on Monday, 7 hours on Tuesday, and the rest on Wednesday.
        assert_eq!(preview.resolution_due_at, Some(at("2026-06-03T11:30:00Z")));
        assert_eq!(preview.counted_minutes, 90);
        let told: Vec<_> = preview
            .ledger
            .iter()
            .filter(|(metric, _)| *metric == Metric::Resolution)
            .map(|(_, part)| (part.cause.kind(), part.length().num_minutes()))
            .collect();
        let (counted, closed, paused) = (PartKind::Counted, PartKind::Closed, PartKind::Paused);
        assert_eq!(
            told,
            [(counted, 30), (closed, 16 * 60), (counted, 60), (paused, 30)]
        );
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_refused_with_its_places() {
        let mut wish = wish();
        wish.pauses
            .push((at("2026-06-02T10:59:00Z"), at("2026-06-02T12:00:00Z")));
        wish.at = at("2026-06-01T16:29:00Z");
        let Err(PreviewError::Invalid(faults)) = preview(&wish) else {
            panic!("it was not refused")
        };
        let faults: Vec<_> = faults
            .as_slice()
            .iter()
            .map(|fault| fault.pointer.as_str())
            .collect();
        assert_eq!(faults, ["/pauses/1", "/at"]);
    }

    #[test]
    fn an_impact_counts_what_would_move_and_changes_nothing() {
        let old = terms(reference(1, 1), promise(60, 600));
        let book = vec![old.clone(), terms(reference(2, 1), promise(60, 600))];
        let now = at("2026-06-01T12:00:00Z");
        let made = |hours: i64, policy| {
            let start = now - TimeDelta::minutes(hours * 60 - 30);
            TicketClocks::start(start, Status::Open, Priority::Medium, Some(policy), &book).unwrap()
        };
        let ticket = |number| TicketId(Uuid::from_u128(number));
        // Half an hour old, two and a half, and one of another policy.
        let tickets = || {
            vec![
                (ticket(1), made(1, old.policy)),
                (ticket(2), made(3, old.policy)),
                (ticket(3), made(3, reference(2, 1))),
            ]
        };
        let shorter = terms(reference(1, 2), promise(20, 120));
        let told = impact(tickets(), &shorter, now, &book).unwrap();
        // The first response and the resolution of the younger, the resolution of the older; of that the first response
        // was missed already.
        assert_eq!(
            (told.tickets, told.earlier.deadlines, told.later.deadlines),
            (2, 3, 0)
        );
        assert_eq!((told.new_breaches, told.breaches_gone), (2, 0));
        let named: Vec<_> = told
            .named
            .iter()
            .map(|moved| (moved.ticket, moved.metric))
            .collect();
        assert_eq!(
            named,
            [
                (ticket(1), Metric::FirstResponse),
                (ticket(1), Metric::Resolution),
                (ticket(2), Metric::Resolution)
            ]
        );
        assert_eq!(told.named[1].to, told.named[1].from - TimeDelta::minutes(480));
        let longer = terms(reference(1, 2), promise(240, 2_400));
        let told = impact(tickets(), &longer, now, &book).unwrap();
        assert_eq!((told.earlier.deadlines, told.later.deadlines), (0, 4));
        assert_eq!((told.new_breaches, told.breaches_gone), (0, 1));
        assert_eq!(told.later.farthest, TimeDelta::minutes(1_800));
    }
}

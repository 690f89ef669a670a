//! Jobs in memory, beside the tickets that they change.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{Page, PageLimit, PortError, Receipt, TicketId, Version};

use super::{MemoryTickets, State};
use crate::bulk::port::{Claimed, ClaimedItem, JobStore, NewJob, StartError};
use crate::bulk::undo::Undo;
use crate::bulk::{
    DoneItem, ItemOutcome, ItemPosition, ItemResult, Items, JOBS_UNFINISHED_MAX, Job, JobId, JobItem,
    JobState, Tallied, Task,
};
use crate::query::{Scope, TicketFilter, TicketQuery};

/// A job with its items and what came of them.
pub(super) struct StoredJob {
    job: Job,
    items: Vec<ClaimedItem>,
    results: HashMap<i32, (ItemResult, Undo)>,
    next: i32,
    lease_until: Option<DateTime<Utc>>,
    worked_at: DateTime<Utc>,
}

impl State {
    fn job(&mut self, id: JobId) -> Option<&mut StoredJob> {
        self.jobs.iter_mut().find(|stored| stored.job.id == id)
    }

    pub(super) fn has_result(&self, item: &DoneItem) -> bool {
        let mut jobs = self.jobs.iter();
        jobs.any(|stored| stored.job.id == item.job && stored.results.contains_key(&item.number))
    }

    pub(super) fn keep_result(&mut self, item: DoneItem) {
        if let Some(stored) = self.job(item.job) {
            let result = (item.result, item.undo);
            stored.results.entry(item.number).or_insert(result);
        }
    }
}

#[async_trait]
impl JobStore for MemoryTickets {
    async fn select(
        &self,
        scope: &Scope,
        filter: &TicketFilter,
        rows_max: i64,
    ) -> Result<Vec<TicketId>, PortError> {
        let query = TicketQuery {
            filter: filter.clone(),
            ..TicketQuery::default()
        };
        let selected = self.state().selected(scope, &query);
        let ids = selected.into_iter().map(|ticket| ticket.id);
        Ok(ids.take(usize::try_from(rows_max).unwrap_or(0)).collect())
    }

    async fn start(&self, new: NewJob) -> Result<(), StartError> {
        let NewJob { job, items, receipt } = new;
        let mut state = self.state();
        if state.is_repeated(receipt.as_ref()) {
            return Err(StartError::Repeated);
        }
        let unfinished =
            |stored: &&StoredJob| stored.job.owner == job.owner && !stored.job.state.is_finished();
        let held = state.jobs.iter().filter(unfinished).count();
        if i64::try_from(held).is_ok_and(|held| held >= JOBS_UNFINISHED_MAX) {
            return Err(StartError::TooMany);
        }
        if matches!(job.task, Task::Undo(_)) && state.jobs.iter().any(|stored| stored.job.task == job.task) {
            return Err(StartError::Undone);
        }
        let items: Vec<(TicketId, Undo)> = match items {
            Items::Tickets(tickets) => tickets.into_iter().map(|id| (id, Undo::default())).collect(),
            Items::ChangedBy(undone) => {
                let Some(stored) = state.job(undone) else {
                    return Err(StartError::Undone);
                };
                let changed = stored.items.iter().rev().filter_map(|item| {
                    let (result, undo) = stored.results.get(&item.number)?;
                    (result.outcome == ItemOutcome::Changed).then(|| (item.ticket, undo.clone()))
                });
                changed.collect()
            }
        };
        let items = (1..)
            .zip(items)
            .map(|(number, (ticket, undo))| ClaimedItem { number, ticket, undo });
        let stored = StoredJob {
            worked_at: job.created_at,
            items: items.collect(),
            job,
            results: HashMap::new(),
            next: 1,
            lease_until: None,
        };
        state.jobs.push(stored);
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, PortError> {
        Ok(self.state().job(id).map(|stored| stored.job.clone()))
    }

    async fn items(
        &self,
        job: JobId,
        outcome: Option<ItemOutcome>,
        after: Option<ItemPosition>,
        limit: PageLimit,
    ) -> Result<Page<JobItem, ItemPosition>, PortError> {
        let mut state = self.state();
        let Some(stored) = state.job(job) else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let all = stored.items.iter().map(|item| JobItem {
            number: item.number,
            ticket: item.ticket,
            result: stored.results.get(&item.number).map(|(result, _)| result.clone()),
        });
        let wanted = all
            .filter(|item| after.is_none_or(|after| item.number > after.0))
            .filter(|item| {
                outcome
                    .is_none_or(|outcome| item.result.as_ref().map(|result| result.outcome) == Some(outcome))
            });
        let rows = wanted.take(limit.rows() + 1).collect();
        Ok(Page::from_rows(rows, limit, |item| ItemPosition(item.number)))
    }

    async fn cancel(
        &self,
        job: JobId,
        expected: Version,
        receipt: Option<Receipt>,
    ) -> Result<(), StartError> {
        let mut state = self.state();
        if state.is_repeated(receipt.as_ref()) {
            return Err(StartError::Repeated);
        }
        let stored = state.job(job).filter(|stored| stored.job.version == expected);
        let Some(stored) = stored.filter(|stored| !stored.job.state.is_finished()) else {
            return Err(StartError::Stale);
        };
        stored.job.state = JobState::Cancelling;
        stored.job.version = expected.next();
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        items_max: i64,
    ) -> Result<Option<Claimed>, PortError> {
        let mut state = self.state();
        let free = state.jobs.iter_mut().filter(|stored| {
            !stored.job.state.is_finished() && stored.lease_until.is_none_or(|until| until < now)
        });
        let Some(stored) = free.min_by_key(|stored| (stored.worked_at, stored.job.id)) else {
            return Ok(None);
        };
        stored.lease_until = Some(lease_until);
        stored.worked_at = now;
        if stored.job.state == JobState::Waiting {
            stored.job.state = JobState::Running;
            stored.job.version = stored.job.version.next();
        }
        stored.job.started_at = stored.job.started_at.or(Some(now));
        let left = stored
            .items
            .iter()
            .filter(|item| item.number >= stored.next && !stored.results.contains_key(&item.number));
        Ok(Some(Claimed {
            job: stored.job.clone(),
            next: stored.next,
            items: left
                .take(usize::try_from(items_max).unwrap_or(0))
                .cloned()
                .collect(),
        }))
    }

    async fn record(&self, item: DoneItem) -> Result<(), PortError> {
        self.state().keep_result(item);
        Ok(())
    }

    async fn release(
        &self,
        claimed: &Claimed,
        next: i32,
        end: Option<JobState>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError> {
        let mut state = self.state();
        let stored = state
            .job(claimed.job.id)
            .filter(|stored| stored.next == claimed.next);
        let Some(stored) = stored.filter(|stored| !stored.job.state.is_finished()) else {
            return Ok(());
        };
        let mut done = Tallied::default();
        for (result, _) in stored.results.values() {
            match result.outcome {
                ItemOutcome::Changed => done.changed += 1,
                ItemOutcome::Unchanged => done.unchanged += 1,
                ItemOutcome::Refused => done.refused += 1,
            }
        }
        stored.next = next;
        stored.lease_until = None;
        stored.worked_at = now;
        stored.job.done = done;
        stored.job.version = stored.job.version.next();
        let ended = match (end, stored.job.state) {
            (Some(end), _) => Some(end),
            (None, _) if next > stored.job.total => Some(JobState::Completed),
            (None, JobState::Cancelling) => Some(JobState::Cancelled),
            (None, _) => None,
        };
        if let Some(ended) = ended {
            stored.job.state = ended;
            stored.job.finished_at = Some(now);
        }
        Ok(())
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut left = rows_max;
        let mut forgotten = 0;
        self.state().jobs.retain(|stored| {
            let is_old = stored.job.finished_at.is_some_and(|at| at < before) && left > 0;
            if is_old {
                left -= 1;
                forgotten += 1;
            }
            !is_old
        });
        Ok(forgotten)
    }
}

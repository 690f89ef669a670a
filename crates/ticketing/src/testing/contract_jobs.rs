//! What every [`JobStore`] must do, together with the [`TicketStore`] whose commits carry the results. Run on the fake and
//! on the database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::Duration;
use events::{TicketPriority, TicketStatus};
use kernel::{EventId, EventReceipt, IdSource, PageLimit, Patch, Receipt, TicketId, Version};
use serde_json::json;

use super::build;
use super::contract::{World, fresh, insert, only};
use crate::bulk::port::{Claimed, JobStore, NewJob, StartError};
use crate::bulk::undo::{Undo, Was};
use crate::bulk::{
    BulkChange, DoneItem, ItemOutcome, ItemPosition, ItemResult, Items, JOBS_UNFINISHED_MAX, Job, JobId,
    JobState, Tallied, Task,
};
use crate::machine::{ClosedBy, Standing};
use crate::port::{CommitError, TicketStore, TicketWrite};
use crate::query::{Maybe, Scope, TicketFilter};
use crate::ticket::Ticket;
use crate::value::Tags;

fn tags(tag: &str) -> Tags {
    Tags::stored(vec![tag.to_owned()])
}

fn change(world: &World) -> BulkChange {
    BulkChange {
        status: Some(TicketStatus::Resolved),
        priority: Some(TicketPriority::High),
        assignee: Patch::Set(world.agent),
        add_tags: tags("neu"),
        remove_tags: tags("größe"),
    }
}

fn job(ids: &dyn IdSource, world: &World, total: i32) -> Job {
    Job {
        id: JobId::new(ids),
        owner: world.agent,
        task: Task::Change(change(world)),
        state: JobState::Waiting,
        total,
        done: Tallied::default(),
        version: Version::FIRST,
        created_at: build::noon(),
        started_at: None,
        finished_at: None,
    }
}

async fn start(store: &dyn JobStore, job: &Job, tickets: Vec<TicketId>) {
    let new = NewJob {
        job: job.clone(),
        items: Items::Tickets(tickets),
        receipt: None,
    };
    store.start(new).await.unwrap();
}

fn done(job: &Job, number: i32, outcome: ItemOutcome, undo: Undo) -> DoneItem {
    DoneItem {
        job: job.id,
        number,
        result: ItemResult {
            outcome,
            code: (outcome == ItemOutcome::Refused).then(|| "ticket.not_found".to_owned()),
            detail: (outcome == ItemOutcome::Refused).then(|| "There is no such ticket.".to_owned()),
            at: build::noon() + Duration::microseconds(7),
        },
        undo,
    }
}

fn receipt(ids: &dyn IdSource) -> Receipt {
    Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "job",
    })
}

async fn claim(store: &dyn JobStore, seconds: i64, items_max: i64) -> Option<Claimed> {
    let now = build::noon() + Duration::seconds(seconds);
    let lease_until = now + Duration::seconds(60);
    store.claim(now, lease_until, items_max).await.unwrap()
}

async fn release(
    store: &dyn JobStore,
    claimed: &Claimed,
    next: i32,
    end: Option<JobState>,
    seconds: i64,
) -> Job {
    let now = build::noon() + Duration::seconds(seconds);
    store.release(claimed, next, end, now).await.unwrap();
    store.job(claimed.job.id).await.unwrap().unwrap()
}

/// Ends all jobs that are there.
async fn drain(store: &dyn JobStore) {
    while let Some(claimed) = claim(store, 100_000, 1).await {
        release(store, &claimed, claimed.next, Some(JobState::Failed), 100_000).await;
    }
}

/// Everything that a [`JobStore`] promises, one promise after the other. There must be no jobs when this begins.
///
/// # Panics
/// When one is broken.
pub async fn job_store(
    store: Arc<dyn JobStore>,
    tickets: Arc<dyn TicketStore>,
    ids: Arc<dyn IdSource>,
    world: World,
) {
    let (store, tickets, ids) = (store.as_ref(), tickets.as_ref(), ids.as_ref());
    a_job_reads_back_as_it_was_started(store, ids, &world).await;
    a_start_is_whole_and_once(store, ids, &world).await;
    nobody_has_more_unfinished_jobs_than_the_bound(store, ids, &world).await;
    a_job_is_with_one_at_a_time_and_the_one_that_waited_longest_is_next(store, ids, &world).await;
    an_item_has_one_result_and_it_comes_with_its_change(store, tickets, ids, &world).await;
    progress_counts_what_has_a_result(store, ids, &world).await;
    a_cancelled_job_ends_when_it_is_given_back(store, ids, &world).await;
    an_undo_has_what_was_changed_the_last_first(store, tickets, ids, &world).await;
    old_jobs_are_forgotten_a_bounded_number_at_a_time(store, ids, &world).await;
    the_selection_is_that_of_the_list(store, tickets, ids, &world).await;
}

async fn a_job_reads_back_as_it_was_started(store: &dyn JobStore, ids: &dyn IdSource, world: &World) {
    let some = [
        change(world),
        BulkChange {
            assignee: Patch::Clear,
            ..BulkChange::default()
        },
        BulkChange {
            status: Some(TicketStatus::Closed),
            ..BulkChange::default()
        },
    ];
    for change in some {
        let mut written = job(ids, world, 2);
        written.task = Task::Change(change);
        let tickets = vec![TicketId::new(ids), TicketId::new(ids)];
        start(store, &written, tickets.clone()).await;
        assert_eq!(store.job(written.id).await.unwrap(), Some(written.clone()));
        let page = store
            .items(written.id, None, None, PageLimit::default())
            .await
            .unwrap();
        let items: Vec<_> = page.items.iter().map(|item| (item.number, item.ticket)).collect();
        assert_eq!(items, [(1, tickets[0]), (2, tickets[1])]);
        assert!(page.items.iter().all(|item| item.result.is_none()));
        let claimed = claim(store, 0, 10).await.unwrap();
        assert_eq!(claimed.job.task, written.task);
        drain(store).await;
    }
    assert_eq!(store.job(JobId::new(ids)).await.unwrap(), None);
}

async fn a_start_is_whole_and_once(store: &dyn JobStore, ids: &dyn IdSource, world: &World) {
    let receipt = receipt(ids);
    let (first, second) = (job(ids, world, 0), job(ids, world, 0));
    for (job, expected) in [(&first, true), (&second, false)] {
        let new = NewJob {
            job: job.clone(),
            items: Items::Tickets(vec![]),
            receipt: Some(receipt.clone()),
        };
        let started = store.start(new).await;
        assert_eq!(started.is_ok(), expected);
        assert!(expected || matches!(started, Err(StartError::Repeated)));
        assert_eq!(store.job(job.id).await.unwrap().is_some(), expected);
    }
    drain(store).await;
}

async fn nobody_has_more_unfinished_jobs_than_the_bound(
    store: &dyn JobStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let new = || NewJob {
        job: job(ids, world, 0),
        items: Items::Tickets(vec![]),
        receipt: None,
    };
    for _ in 0..JOBS_UNFINISHED_MAX {
        store.start(new()).await.unwrap();
    }
    let refused = store.start(new()).await;
    assert!(matches!(refused, Err(StartError::TooMany)), "{refused:?}");
    let other = NewJob {
        job: Job {
            owner: world.customer,
            ..job(ids, world, 0)
        },
        ..new()
    };
    store.start(other).await.unwrap();
    drain(store).await;
    store.start(new()).await.unwrap();
    drain(store).await;
}

async fn a_job_is_with_one_at_a_time_and_the_one_that_waited_longest_is_next(
    store: &dyn JobStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let (first, second) = (job(ids, world, 1), job(ids, world, 1));
    start(store, &first, vec![TicketId::new(ids)]).await;
    start(store, &second, vec![TicketId::new(ids)]).await;
    let one = claim(store, 1, 10).await.unwrap();
    let two = claim(store, 1, 10).await.unwrap();
    assert_ne!(one.job.id, two.job.id);
    assert_eq!(claim(store, 2, 10).await, None, "both are being worked on");
    assert_eq!(one.job.state, JobState::Running);
    assert_eq!(one.job.started_at, Some(build::noon() + Duration::seconds(1)));
    // The second is given back with nothing done, the first one's lease ends.
    release(store, &two, 1, None, 3).await;
    let again = claim(store, 90, 10).await.unwrap();
    assert_eq!(again.job.id, one.job.id, "it was worked on before the other");
    assert_eq!(again.items, one.items);
    drain(store).await;
    let ended = release(store, &one, 2, None, 91).await;
    assert_eq!(
        ended.state,
        JobState::Failed,
        "whoever comes late changes nothing"
    );
}

async fn ticket(tickets: &dyn TicketStore, ids: &dyn IdSource, world: &World) -> Ticket {
    let ticket = fresh(tickets, ids, world).await;
    insert(tickets, &ticket).await;
    ticket
}

fn changed(ticket: &Ticket, item: DoneItem) -> crate::TicketCommit {
    let mut after = ticket.clone();
    after.priority = TicketPriority::Urgent;
    after.staff_face.version = ticket.version().next();
    let mut commit = only(TicketWrite::Update {
        ticket: Box::new(after),
        expected: ticket.version(),
    });
    commit.item = Some(item);
    commit
}

async fn an_item_has_one_result_and_it_comes_with_its_change(
    store: &dyn JobStore,
    tickets: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let ticket = ticket(tickets, ids, world).await;
    let job = job(ids, world, 2);
    start(store, &job, vec![ticket.id, TicketId::new(ids)]).await;
    let item = || done(&job, 1, ItemOutcome::Changed, Undo::default());
    // A stale change leaves no result.
    let mut stale = ticket.clone();
    stale.staff_face.version = Version(9);
    let refused = tickets.commit(changed(&stale, item())).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    tickets.commit(changed(&ticket, item())).await.unwrap();
    // Another result of the same item does not come, nor its change.
    let mut again = ticket.clone();
    again.staff_face.version = ticket.version().next();
    let refused = tickets.commit(changed(&again, item())).await;
    assert!(matches!(refused, Err(CommitError::Repeated)), "{refused:?}");
    store
        .record(done(&job, 1, ItemOutcome::Refused, Undo::default()))
        .await
        .unwrap();
    store
        .record(done(&job, 2, ItemOutcome::Refused, Undo::default()))
        .await
        .unwrap();
    // An unchanged ticket has a result, too; here of an item that is done.
    let mut unchanged = only(TicketWrite::Unchanged);
    unchanged.item = Some(done(&job, 2, ItemOutcome::Unchanged, Undo::default()));
    let refused = tickets.commit(unchanged).await;
    assert!(matches!(refused, Err(CommitError::Repeated)), "{refused:?}");
    let page = |outcome, after, rows| {
        let limit = PageLimit::new(rows).unwrap();
        store.items(job.id, outcome, after, limit)
    };
    let first = page(None, None, 1).await.unwrap();
    assert_eq!(first.next, Some(ItemPosition(1)));
    assert_eq!(
        first.items[0].result,
        Some(done(&job, 1, ItemOutcome::Changed, Undo::default()).result)
    );
    let second = page(None, first.next, 1).await.unwrap();
    assert_eq!(second.next, None);
    let refused = page(Some(ItemOutcome::Refused), None, 10).await.unwrap();
    assert_eq!(refused.items, second.items);
    assert_eq!(
        refused.items[0].result,
        Some(done(&job, 2, ItemOutcome::Refused, Undo::default()).result)
    );
    drain(store).await;
}

async fn progress_counts_what_has_a_result(store: &dyn JobStore, ids: &dyn IdSource, world: &World) {
    let job = job(ids, world, 5);
    start(store, &job, (0..5).map(|_| TicketId::new(ids)).collect()).await;
    let claimed = claim(store, 1, 3).await.unwrap();
    assert_eq!(
        claimed.items.iter().map(|item| item.number).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let record = async |number, outcome| {
        store
            .record(done(&job, number, outcome, Undo::default()))
            .await
            .unwrap();
    };
    record(1, ItemOutcome::Changed).await;
    record(2, ItemOutcome::Unchanged).await;
    // The node dies here; another one takes over what is left.
    let claimed = claim(store, 100, 2).await.unwrap();
    assert_eq!(
        claimed.items.iter().map(|item| item.number).collect::<Vec<_>>(),
        [3, 4]
    );
    record(3, ItemOutcome::Refused).await;
    record(4, ItemOutcome::Changed).await;
    let after = release(store, &claimed, 5, None, 101).await;
    let counted = Tallied {
        changed: 2,
        unchanged: 1,
        refused: 1,
    };
    assert_eq!((after.state, after.done), (JobState::Running, counted));
    assert!(after.version > claimed.job.version);
    let claimed = claim(store, 102, 3).await.unwrap();
    record(5, ItemOutcome::Refused).await;
    let ended = release(store, &claimed, 6, None, 103).await;
    assert_eq!((ended.state, ended.done.sum()), (JobState::Completed, 5));
    assert_eq!(ended.finished_at, Some(build::noon() + Duration::seconds(103)));
    assert_eq!(claim(store, 1_000, 3).await, None);
}

async fn a_cancelled_job_ends_when_it_is_given_back(store: &dyn JobStore, ids: &dyn IdSource, world: &World) {
    let job = job(ids, world, 2);
    start(store, &job, vec![TicketId::new(ids), TicketId::new(ids)]).await;
    let claimed = claim(store, 1, 1).await.unwrap();
    let stale = store.cancel(job.id, job.version, None).await;
    assert!(matches!(stale, Err(StartError::Stale)), "{stale:?}");
    let receipt = receipt(ids);
    let (version, once) = (claimed.job.version, Some(receipt.clone()));
    store.cancel(job.id, version, once).await.unwrap();
    let again = store.cancel(job.id, version.next(), Some(receipt)).await;
    assert!(matches!(again, Err(StartError::Repeated)), "{again:?}");
    let found = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.version),
        (JobState::Cancelling, version.next())
    );
    let ended = release(store, &claimed, 1, None, 2).await;
    assert_eq!(ended.state, JobState::Cancelled);
    let late = store.cancel(job.id, ended.version, None).await;
    assert!(matches!(late, Err(StartError::Stale)), "{late:?}");
}

async fn an_undo_has_what_was_changed_the_last_first(
    store: &dyn JobStore,
    tickets: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let job = job(ids, world, 3);
    let noon = build::noon();
    let undo = Undo {
        standing: Some(Was {
            before: Standing::Resolved { at: noon },
            after: Standing::Closed {
                resolved_at: noon,
                at: noon + Duration::seconds(1),
                by: ClosedBy::Silence,
            },
        }),
        priority: Some(Was {
            before: TicketPriority::Low,
            after: TicketPriority::Urgent,
        }),
        assignee: Some(Was {
            before: Some(world.agent),
            after: None,
        }),
        tags_added: tags("neu"),
        tags_removed: tags("größe"),
    };
    let mut about = Vec::new();
    for _ in 0..3 {
        about.push(ticket(tickets, ids, world).await);
    }
    start(store, &job, about.iter().map(|ticket| ticket.id).collect()).await;
    let none = Undo::default();
    for (number, outcome, undo) in [
        (1, ItemOutcome::Changed, &undo),
        (2, ItemOutcome::Unchanged, &none),
        (3, ItemOutcome::Changed, &none),
    ] {
        let place = usize::try_from(number - 1).unwrap();
        let item = done(&job, number, outcome, undo.clone());
        tickets.commit(changed(&about[place], item)).await.unwrap();
    }
    let claimed = claim(store, 1, 10).await.unwrap();
    release(store, &claimed, 4, None, 2).await;
    let undoing = Job {
        task: Task::Undo(job.id),
        ..self::job(ids, world, 2)
    };
    let new = || NewJob {
        job: undoing.clone(),
        items: Items::ChangedBy(job.id),
        receipt: None,
    };
    store.start(new()).await.unwrap();
    assert_eq!(store.job(undoing.id).await.unwrap(), Some(undoing.clone()));
    let second = NewJob {
        job: Job {
            id: JobId::new(ids),
            ..undoing.clone()
        },
        ..new()
    };
    let refused = store.start(second).await;
    assert!(matches!(refused, Err(StartError::Undone)), "{refused:?}");
    let claimed = claim(store, 3, 10).await.unwrap();
    let items: Vec<_> = claimed
        .items
        .iter()
        .map(|item| (item.number, item.ticket, item.undo.clone()))
        .collect();
    assert_eq!(items, [(1, about[2].id, none), (2, about[0].id, undo)]);
    drain(store).await;
}

async fn old_jobs_are_forgotten_a_bounded_number_at_a_time(
    store: &dyn JobStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let far = build::noon() + Duration::days(365);
    while store.forget(far, 10).await.unwrap() > 0 {}
    let mut started = Vec::new();
    for _ in 0..3 {
        let job = job(ids, world, 1);
        start(store, &job, vec![TicketId::new(ids)]).await;
        started.push(job);
    }
    assert_eq!(store.forget(far, 10).await.unwrap(), 0, "unfinished ones stay");
    drain(store).await;
    assert_eq!(
        store.forget(build::noon(), 10).await.unwrap(),
        0,
        "young ones stay"
    );
    assert_eq!(store.forget(far, 2).await.unwrap(), 2);
    assert_eq!(store.forget(far, 2).await.unwrap(), 1);
    assert_eq!(store.job(started[0].id).await.unwrap(), None);
}

async fn the_selection_is_that_of_the_list(
    store: &dyn JobStore,
    tickets: &dyn TicketStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let mut mine = Vec::new();
    for team in [None, Some(world.team), Some(world.other_team)] {
        let mut ticket = fresh(tickets, ids, world).await;
        ticket.team = team;
        ticket.assignee = Some(world.agent);
        ticket.metadata.insert("of".to_owned(), json!("selection"));
        insert(tickets, &ticket).await;
        mine.push(ticket);
    }
    let scope = Scope::WorkOf {
        agent: world.agent,
        teams: vec![world.team],
    };
    let filter = TicketFilter {
        assignee: Some(Maybe::Is(world.agent)),
        ..TicketFilter::default()
    };
    let mut selected = store.select(&scope, &filter, 1_000).await.unwrap();
    selected.sort_unstable();
    let mut expected: Vec<TicketId> = mine.iter().map(|ticket| ticket.id).collect();
    expected.sort_unstable();
    assert_eq!(selected, expected, "each once, though two walks have one of them");
    assert_eq!(store.select(&scope, &filter, 2).await.unwrap().len(), 2);
    let all = store
        .select(&scope, &TicketFilter::default(), 10_000)
        .await
        .unwrap();
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), all.len());
    for ticket in expected {
        assert!(all.contains(&ticket));
    }
}

//! Jobs on fakes: what comes of each ticket, who may, what is taken back, and what a crash leaves behind.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Duration;
use insightdesk_ticketing as ticketing;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify as _, Clock as _, ManualClock, PageLimit, Patch, Person, SequentialIds, TeamId, TeamRole,
    TicketId, UserId,
};
use serde_json::json;
use ticketing::testing::contract::World;
use ticketing::testing::contract_jobs::job_store;
use ticketing::testing::{MemoryDirectory, MemoryTickets, PlainMarkup, build};
use ticketing::{
    AssigneeFacts, BULK_IDS_MAX, BulkChange, Count, Edit, Guard, ItemOutcome, Job, JobError, JobState,
    JobStore as _, Jobs, Settings, Tags, Targets, Ticket, TicketKey, TicketPriority, TicketStatus, Tickets,
    UNDO_WINDOW, action,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const SUPERVISOR: UserId = UserId(Uuid::from_u128(0xa2));
const ADMIN: UserId = UserId(Uuid::from_u128(0xad));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));
const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(0x72));

struct Desk {
    store: Arc<MemoryTickets>,
    clock: Arc<ManualClock>,
    tickets: Arc<Tickets>,
    jobs: Jobs,
}

fn people() -> HashMap<UserId, Person> {
    HashMap::from([
        (AGENT, build::agent(AGENT, TEAM, TeamRole::Agent)),
        (SUPERVISOR, build::agent(SUPERVISOR, TEAM, TeamRole::Supervisor)),
        (ADMIN, build::admin(ADMIN)),
        (CUSTOMER, build::customer(CUSTOMER)),
    ])
}

fn as_who(user: UserId) -> Actor {
    Actor::Person(people().remove(&user).unwrap())
}

fn desk_of(acting: HashMap<UserId, Person>) -> Desk {
    let store = Arc::new(MemoryTickets::default());
    let clock = Arc::new(ManualClock::at(build::noon()));
    let mut directory = MemoryDirectory {
        acting,
        ..MemoryDirectory::default()
    };
    for user in [AGENT, SUPERVISOR] {
        let facts = AssigneeFacts {
            is_admin: false,
            teams: vec![TEAM],
        };
        directory.assignees.insert(user, facts);
    }
    directory.requesters.insert(CUSTOMER);
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
        jobs: Jobs::new(store.clone(), Arc::clone(&tickets)),
        store,
        clock,
        tickets,
    }
}

fn desk() -> Desk {
    desk_of(people())
}

fn tags(names: &[&str]) -> Tags {
    Tags::stored(names.iter().map(|name| (*name).to_owned()).collect())
}

fn close() -> BulkChange {
    BulkChange {
        status: Some(TicketStatus::Closed),
        ..BulkChange::default()
    }
}

impl Desk {
    async fn open(&self, team: TeamId) -> TicketId {
        self.clock.advance(Duration::seconds(1));
        let mut new = build::new_ticket("Printer on fire");
        new.team = Some(team);
        new.tags = tags(&["old"]);
        let made = self.tickets.create(&as_who(CUSTOMER), new, &no_receipt).await;
        made.unwrap().view.ticket.id
    }

    async fn start(&self, who: UserId, ids: &[TicketId], change: &BulkChange) -> Job {
        let targets = Targets::Ids(ids.to_vec());
        let started = self.jobs.start(&as_who(who), &targets, change, &no_receipt).await;
        started.unwrap()
    }

    async fn finish(&self, job: &Job) -> Job {
        self.clock.advance(Duration::seconds(1));
        while self.jobs.run_once().await.unwrap() > 0 {}
        self.store.job(job.id).await.unwrap().unwrap()
    }

    async fn results(&self, job: &Job) -> Vec<(TicketId, ItemOutcome, Option<String>)> {
        let limit = PageLimit::new(100).unwrap();
        let page = self.jobs.items(&as_who(ADMIN), job.id, None, None, limit).await;
        let items = page.unwrap().items.into_iter();
        items
            .map(|item| {
                let result = item.result.unwrap();
                (item.ticket, result.outcome, result.code)
            })
            .collect()
    }

    async fn edit(&self, id: TicketId, edit: Edit) {
        let (admin, key) = (as_who(ADMIN), TicketKey::Id(id));
        self.tickets
            .edit(&admin, &key, &edit, Guard::none())
            .await
            .unwrap();
    }

    fn stored(&self, id: TicketId) -> Ticket {
        self.store.stored(id).unwrap()
    }
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let store = Arc::new(MemoryTickets::default());
    let world = World {
        customer: CUSTOMER,
        stranger: UserId(Uuid::from_u128(0xc2)),
        agent: AGENT,
        team: TEAM,
        other_team: OTHER_TEAM,
    };
    job_store(store.clone(), store, Arc::new(SequentialIds::default()), world).await;
}

#[tokio::test]
async fn each_ticket_is_changed_as_by_a_single_change_or_refused_by_its_code() {
    let desk = desk();
    let (open, closed, hidden) = (
        desk.open(TEAM).await,
        desk.open(TEAM).await,
        desk.open(OTHER_TEAM).await,
    );
    let unknown = TicketId(Uuid::from_u128(0xdead));
    let status = Some(TicketStatus::Closed);
    desk.edit(
        closed,
        Edit {
            status,
            ..Edit::default()
        },
    )
    .await;
    let ids = [open, closed, hidden, unknown];
    let job = desk.start(AGENT, &ids, &close()).await;
    assert_eq!((job.state, job.total), (JobState::Waiting, 4));
    assert_eq!(
        desk.stored(open).status(),
        TicketStatus::Open,
        "nothing happens before a node is at it"
    );
    let ended = desk.finish(&job).await;
    assert_eq!(ended.state, JobState::Completed);
    assert_eq!(
        (ended.done.changed, ended.done.unchanged, ended.done.refused),
        (1, 1, 2)
    );
    let not_found = Some("ticket.not_found".to_owned());
    let expected = [
        (open, ItemOutcome::Changed, None),
        (closed, ItemOutcome::Unchanged, None),
        (hidden, ItemOutcome::Refused, not_found.clone()),
        (unknown, ItemOutcome::Refused, not_found),
    ];
    assert_eq!(desk.results(&job).await, expected);
    // As by a single change: in the history by whoever asked, and as an event.
    let history = desk.store.history(open);
    let last = history.last().unwrap();
    assert_eq!(
        (last.action.as_str(), last.actor),
        (action::STATUS_CHANGED, Some(AGENT))
    );
    assert_eq!(desk.stored(hidden).status(), TicketStatus::Open);
}

#[tokio::test]
async fn a_ticket_takes_the_whole_change_or_none_of_it() {
    let desk = desk();
    let ticket = desk.open(TEAM).await;
    // Agents do not assign to others, so that the priority stays, too.
    let change = BulkChange {
        priority: Some(TicketPriority::Urgent),
        assignee: Patch::Set(SUPERVISOR),
        ..BulkChange::default()
    };
    let job = desk.start(AGENT, &[ticket], &change).await;
    desk.finish(&job).await;
    let forbidden = Some("access.forbidden".to_owned());
    assert_eq!(
        desk.results(&job).await,
        [(ticket, ItemOutcome::Refused, forbidden)]
    );
    assert_eq!(desk.stored(ticket).priority, TicketPriority::Medium);
    let job = desk.start(SUPERVISOR, &[ticket], &change).await;
    desk.finish(&job).await;
    let after = desk.stored(ticket);
    assert_eq!(
        (after.priority, after.assignee),
        (TicketPriority::Urgent, Some(SUPERVISOR))
    );
}

#[tokio::test]
async fn what_is_taken_back_is_as_it_was_but_for_what_others_changed_since() {
    let desk = desk();
    let (quiet, busy, gone) = (
        desk.open(TEAM).await,
        desk.open(TEAM).await,
        desk.open(TEAM).await,
    );
    let before: Vec<Ticket> = [quiet, busy, gone].iter().map(|id| desk.stored(*id)).collect();
    let change = BulkChange {
        status: Some(TicketStatus::Resolved),
        priority: Some(TicketPriority::Low),
        assignee: Patch::Set(AGENT),
        add_tags: tags(&["new"]),
        remove_tags: tags(&["old"]),
    };
    let job = desk.start(AGENT, &[quiet, busy, gone], &change).await;
    let ended = desk.finish(&job).await;
    assert_eq!(ended.done.changed, 3);
    // One is made urgent and gets a tag more, one is changed in every respect.
    let busier = Edit {
        priority: Some(TicketPriority::Urgent),
        tags: Some(tags(&["new", "hot"])),
        ..Edit::default()
    };
    desk.edit(busy, busier).await;
    let other = Edit {
        status: Some(TicketStatus::Closed),
        priority: Some(TicketPriority::High),
        tags: Some(tags(&["old"])),
        ..Edit::default()
    };
    desk.edit(gone, other).await;
    let (who, key) = (as_who(SUPERVISOR), TicketKey::Id(gone));
    desk.tickets
        .assign(&who, &key, SUPERVISOR, Guard::none())
        .await
        .unwrap();
    let undo = desk.jobs.undo(&as_who(AGENT), job.id, &no_receipt).await.unwrap();
    assert_eq!(undo.total, 3);
    let ended = desk.finish(&undo).await;
    assert_eq!((ended.done.changed, ended.done.refused), (2, 1));
    let after = desk.stored(quiet);
    for (ticket, before) in [(&after, &before[0]), (&desk.stored(busy), &before[1])] {
        assert_eq!(
            (ticket.standing, ticket.assignee),
            (before.standing, before.assignee)
        );
    }
    assert_eq!(
        (after.priority, &after.tags),
        (before[0].priority, &before[0].tags)
    );
    let busy = desk.stored(busy);
    assert_eq!(
        (busy.priority, &busy.tags),
        (TicketPriority::Urgent, &tags(&["hot", "old"]))
    );
    let results = desk.results(&undo).await;
    assert_eq!(
        results[0],
        (
            gone,
            ItemOutcome::Refused,
            Some("ticket.changed_since".to_owned())
        ),
        "the last one is taken back first"
    );
    let again = desk.jobs.undo(&as_who(AGENT), job.id, &no_receipt).await;
    assert_eq!(again.unwrap_err().code(), "job.undone");
    let of_undo = desk.jobs.undo(&as_who(AGENT), undo.id, &no_receipt).await;
    assert_eq!(of_undo.unwrap_err().code(), "job.not_undoable");
}

#[tokio::test]
async fn a_job_can_be_undone_for_an_hour_after_its_end() {
    let desk = desk();
    let ticket = desk.open(TEAM).await;
    let job = desk.start(AGENT, &[ticket], &close()).await;
    let early = desk.jobs.undo(&as_who(AGENT), job.id, &no_receipt).await;
    assert_eq!(early.unwrap_err().code(), "job.unfinished");
    desk.finish(&job).await;
    desk.clock.advance(UNDO_WINDOW + Duration::seconds(1));
    let late = desk.jobs.undo(&as_who(AGENT), job.id, &no_receipt).await;
    assert_eq!(late.unwrap_err().code(), "job.not_undoable");
}

#[tokio::test]
async fn a_dry_run_says_what_would_come_of_it_and_does_nothing() {
    let desk = desk();
    let (first, second, hidden) = (
        desk.open(TEAM).await,
        desk.open(TEAM).await,
        desk.open(OTHER_TEAM).await,
    );
    let status = Some(TicketStatus::Closed);
    desk.edit(
        second,
        Edit {
            status,
            ..Edit::default()
        },
    )
    .await;
    let before = desk.store.events().len();
    let all = Targets::Filter(json!({ "field": "subject", "operator": "contains", "value": "printer" }));
    let preview = desk.jobs.preview(&as_who(AGENT), &all, &close()).await.unwrap();
    assert_eq!(preview.count, Count::Exact(2), "the caller's own list is meant");
    let mut sample: Vec<_> = preview
        .sample
        .iter()
        .map(|foreseen| (foreseen.ticket.id, foreseen.result.outcome))
        .collect();
    sample.sort_by_key(|(id, _)| *id);
    assert_eq!(
        sample,
        [(first, ItemOutcome::Changed), (second, ItemOutcome::Unchanged)]
    );
    let named = Targets::Ids(vec![hidden, first]);
    let preview = desk.jobs.preview(&as_who(AGENT), &named, &close()).await.unwrap();
    assert_eq!(preview.sample.len(), 1, "what is hidden is not shown");
    assert_eq!(desk.store.events().len(), before);
    assert_eq!(desk.stored(first).status(), TicketStatus::Open);
    let started = desk
        .jobs
        .start(&as_who(AGENT), &all, &close(), &no_receipt)
        .await
        .unwrap();
    assert_eq!(started.total, 2);
}

#[tokio::test]
async fn a_bad_request_starts_nothing() {
    let desk = desk();
    let ticket = desk.open(TEAM).await;
    let start = async |who: UserId, targets: Targets, change: &BulkChange| {
        let started = desk.jobs.start(&as_who(who), &targets, change, &no_receipt).await;
        started.unwrap_err()
    };
    let forbidden = start(CUSTOMER, Targets::Ids(vec![ticket]), &close()).await;
    assert_eq!(forbidden.code(), "access.forbidden");
    let place = |error: JobError| error.violations()[0].pointer.clone();
    assert_eq!(place(start(AGENT, Targets::Ids(vec![]), &close()).await), "/ids");
    let many = vec![ticket; BULK_IDS_MAX + 1];
    assert_eq!(place(start(AGENT, Targets::Ids(many), &close()).await), "/ids");
    let unknown = json!({ "all": [{ "field": "nothing", "operator": "equals", "value": 1 }] });
    let found = place(start(AGENT, Targets::Filter(unknown), &close()).await);
    assert_eq!(found, "/filter/all/0/field");
    let to_customer = BulkChange {
        assignee: Patch::Set(CUSTOMER),
        ..BulkChange::default()
    };
    let found = place(start(AGENT, Targets::Ids(vec![ticket]), &to_customer).await);
    assert_eq!(found, "/change/assignedToId");
    assert_eq!(
        BulkChange::default().checked("/change").unwrap_err().code,
        "required"
    );
    let both = BulkChange {
        add_tags: tags(&["a", "b"]),
        remove_tags: tags(&["b"]),
        ..BulkChange::default()
    };
    assert_eq!(both.checked("/change").unwrap_err().pointer, "/change/addTags/1");
    assert_eq!(desk.jobs.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn others_jobs_are_hidden_but_from_administrators() {
    let desk = desk();
    let ticket = desk.open(TEAM).await;
    let job = desk.start(AGENT, &[ticket], &close()).await;
    for who in [SUPERVISOR, CUSTOMER] {
        let seen = desk.jobs.show(&as_who(who), job.id).await;
        assert_eq!(seen.unwrap_err().code(), "job.not_found");
        let cancelled = desk.jobs.cancel(&as_who(who), job.id, Guard::none()).await;
        assert_eq!(cancelled.unwrap_err().code(), "job.not_found");
    }
    assert_eq!(desk.jobs.show(&as_who(ADMIN), job.id).await.unwrap().id, job.id);
}

#[tokio::test]
async fn a_cancelled_job_leaves_the_rest_as_it_is() {
    let desk = desk();
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(desk.open(TEAM).await);
    }
    let job = desk.start(AGENT, &ids, &close()).await;
    desk.clock.advance(Duration::seconds(1));
    assert_eq!(desk.jobs.run_once().await.unwrap(), 100);
    let cancelled = desk
        .jobs
        .cancel(&as_who(AGENT), job.id, Guard::none())
        .await
        .unwrap();
    assert_eq!(cancelled.state, JobState::Cancelling);
    let ended = desk.finish(&job).await;
    assert_eq!((ended.state, ended.done.changed), (JobState::Cancelled, 100));
    assert_eq!(desk.stored(ids[100]).status(), TicketStatus::Open);
    let again = desk.jobs.cancel(&as_who(AGENT), job.id, Guard::none()).await;
    assert_eq!(again.unwrap_err().code(), "job.finished");
    // What was done can be taken back.
    let undo = desk.jobs.undo(&as_who(AGENT), job.id, &no_receipt).await.unwrap();
    assert_eq!(desk.finish(&undo).await.done.changed, 100);
    assert!(
        ids.iter()
            .all(|id| desk.stored(*id).status() == TicketStatus::Open)
    );
}

#[tokio::test]
async fn a_job_works_with_the_rights_that_its_owner_has_by_then() {
    let mut acting = people();
    acting.remove(&AGENT);
    let demoted = build::customer(SUPERVISOR);
    acting.insert(SUPERVISOR, demoted);
    let desk = desk_of(acting);
    let ticket = desk.open(TEAM).await;
    for who in [AGENT, SUPERVISOR] {
        let job = desk.start(who, &[ticket], &close()).await;
        let ended = desk.finish(&job).await;
        assert_eq!((ended.state, ended.done.sum()), (JobState::Failed, 0));
    }
    assert_eq!(desk.stored(ticket).status(), TicketStatus::Open);
}

#[tokio::test]
async fn the_job_of_a_node_that_died_goes_on_when_its_lease_is_over() {
    let desk = desk();
    let ids = [desk.open(TEAM).await, desk.open(TEAM).await];
    let job = desk.start(AGENT, &ids, &close()).await;
    let now = desk.clock.now();
    let dead = desk.store.claim(now, now + Duration::seconds(60), 100).await;
    assert_eq!(dead.unwrap().unwrap().items.len(), 2);
    assert_eq!(desk.jobs.run_once().await.unwrap(), 0);
    desk.clock.advance(Duration::seconds(61));
    let ended = desk.finish(&job).await;
    assert_eq!((ended.state, ended.done.changed), (JobState::Completed, 2));
}

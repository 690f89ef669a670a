//! Jobs on a real database.

use std::sync::Arc;

use kernel::{IdSource as _, SequentialIds, TicketId, Version};
use ticketing::testing::build;
use ticketing::testing::contract_jobs::job_store;
use ticketing::{
    BulkChange, Items, JOBS_UNFINISHED_MAX, Job, JobId, JobState, JobStore as _, NewJob, StartError, Tallied,
    Task,
};

use super::tests::world;
use super::{PgJobs, PgTickets};
use crate::testing::own::test_database;

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_keep_their_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    let tickets = Arc::new(PgTickets::new(test.database().clone()));
    job_store(
        Arc::new(PgJobs::new(test.database().clone())),
        tickets,
        ids,
        world,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starts_at_once_no_more_than_the_bound_are_stored_and_a_job_is_claimed_once() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    let store = PgJobs::new(test.database().clone());
    let start = async || {
        let job = Job {
            id: JobId::new(ids.as_ref()),
            owner: world.agent,
            task: Task::Change(BulkChange::default()),
            state: JobState::Waiting,
            total: 1,
            done: Tallied::default(),
            version: Version::FIRST,
            created_at: build::noon(),
            started_at: None,
            finished_at: None,
        };
        let items = Items::Tickets(vec![TicketId(ids.next())]);
        store
            .start(NewJob {
                job,
                items,
                receipt: None,
            })
            .await
    };
    let starts = futures_util::future::join_all((0..12).map(|_| start())).await;
    let started = starts.iter().filter(|start| start.is_ok()).count();
    assert_eq!(i64::try_from(started).unwrap(), JOBS_UNFINISHED_MAX);
    assert!(
        starts
            .iter()
            .all(|start| matches!(start, Ok(()) | Err(StartError::TooMany)))
    );
    let (now, later) = (build::noon(), build::noon() + chrono::Duration::minutes(1));
    let claims = futures_util::future::join_all((0..20).map(|_| store.claim(now, later, 10))).await;
    let mut claimed: Vec<JobId> = claims
        .into_iter()
        .filter_map(|claim| claim.unwrap().map(|claimed| claimed.job.id))
        .collect();
    let all = claimed.len();
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), all, "none was with two at once");
}

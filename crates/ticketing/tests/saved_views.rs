//! The use cases of saved views on fakes.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::sync::Arc;

use chrono::Duration;
use insightdesk_ticketing as ticketing;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify, FailureKind, IdSource, ManualClock, PageLimit, Patch, SequentialIds, TeamId, TeamRole,
    UserId, Version,
};
use serde_json::{Value, json};
use ticketing::testing::contract::World;
use ticketing::testing::contract_views::{saved_view_store, ticket_counts};
use ticketing::testing::{MemoryDirectory, MemoryTickets, MemoryViews, PlainMarkup, build};
use ticketing::{
    Edit, Guard, NewView, SavedView, SavedViewError, SavedViews, Settings, Sort, TicketKey, TicketPriority,
    Tickets, VIEW_COUNT_MAX_TICKETS, VIEWS_MAX, ViewAction, ViewChange, ViewCount, ViewFilter, ViewHolder,
    ViewName, ViewPlace, ViewVisibility,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const LEAD: UserId = UserId(Uuid::from_u128(0xa2));
const OUTSIDER: UserId = UserId(Uuid::from_u128(0xa3));
const ADMIN: UserId = UserId(Uuid::from_u128(0xad));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));
const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(0x72));

fn agent() -> Actor {
    Actor::Person(build::agent(AGENT, TEAM, TeamRole::Agent))
}
fn lead() -> Actor {
    Actor::Person(build::agent(LEAD, TEAM, TeamRole::Lead))
}
fn outsider() -> Actor {
    Actor::Person(build::agent(OUTSIDER, OTHER_TEAM, TeamRole::Lead))
}
fn admin() -> Actor {
    Actor::Person(build::admin(ADMIN))
}
fn customer() -> Actor {
    Actor::Person(build::customer(CUSTOMER))
}

struct Desk {
    clock: Arc<ManualClock>,
    tickets: Arc<Tickets>,
    views: SavedViews,
}

fn desk() -> Desk {
    let clock = Arc::new(ManualClock::at(build::noon()));
    let mut directory = MemoryDirectory::default();
    directory.requesters.insert(CUSTOMER);
    for team in [TEAM, OTHER_TEAM] {
        directory.teams.insert(team, "Team".into());
    }
    let tickets = Arc::new(Tickets::new(
        Arc::new(MemoryTickets::default()),
        Arc::new(directory),
        Arc::new(PlainMarkup),
        clock.clone(),
        Arc::new(SequentialIds::default()),
        Settings::default(),
    ));
    Desk {
        clock,
        views: SavedViews::new(Arc::new(MemoryViews::default()), Arc::clone(&tickets)),
        tickets,
    }
}

fn new_view(visibility: ViewVisibility, team: Option<TeamId>, filter: Option<Value>) -> NewView {
    NewView {
        name: ViewName::parse("/name", "View").unwrap(),
        filter: filter.map(|filter| ViewFilter::parse("/filter", filter).unwrap()),
        sort: Sort::default(),
        place: ViewPlace::default(),
        visibility,
        team,
    }
}

impl Desk {
    async fn view(&self, actor: &Actor, visibility: ViewVisibility, filter: Option<Value>) -> SavedView {
        let team = (visibility == ViewVisibility::Team).then_some(TEAM);
        let new = new_view(visibility, team, filter);
        self.views.create(actor, new, &no_receipt).await.unwrap()
    }

    async fn ticket(&self, by: &Actor, team: Option<TeamId>) -> TicketKey {
        let mut new = build::new_ticket("Printer on fire");
        new.team = team;
        let written = self.tickets.create(by, new, &no_receipt).await.unwrap();
        TicketKey::Id(written.view.ticket.id)
    }

    async fn seen(&self, actor: &Actor, view: &SavedView) -> usize {
        let (_, query) = self.views.query(actor, view.id).await.unwrap();
        self.tickets.list(actor, &query).await.unwrap().items.len()
    }

    async fn rename(&self, actor: &Actor, view: &SavedView) -> Result<SavedView, SavedViewError> {
        let change = ViewChange {
            name: Some(ViewName::parse("/name", "Renamed").unwrap()),
            ..ViewChange::default()
        };
        self.views.change(actor, view.id, &change, Guard::none()).await
    }
}

fn kind<T>(outcome: Result<T, SavedViewError>) -> Option<FailureKind> {
    outcome.err().map(|error| error.kind())
}

#[tokio::test]
async fn the_fakes_keep_the_contract() {
    let ids = Arc::new(SequentialIds::default());
    let world = World {
        customer: UserId(ids.next()),
        stranger: UserId(ids.next()),
        agent: UserId(ids.next()),
        team: TeamId(ids.next()),
        other_team: TeamId(ids.next()),
    };
    saved_view_store(Arc::new(MemoryViews::default()), ids.clone(), world.clone()).await;
    ticket_counts(Arc::new(MemoryTickets::default()), ids, world).await;
}

#[tokio::test]
async fn each_sees_and_writes_the_views_that_are_theirs() {
    use FailureKind::{Forbidden, NotFound};
    let desk = desk();
    let own = desk.view(&agent(), ViewVisibility::Own, None).await;
    let of_team = desk.view(&lead(), ViewVisibility::Team, None).await;
    let shared = desk.view(&admin(), ViewVisibility::Shared, None).await;
    let rows = [
        (&own, customer(), Some(Forbidden), Some(Forbidden)),
        (&own, agent(), None, None),
        (&own, lead(), Some(NotFound), Some(NotFound)),
        (&own, admin(), Some(NotFound), Some(NotFound)),
        (&of_team, customer(), Some(Forbidden), Some(Forbidden)),
        (&of_team, agent(), None, Some(Forbidden)),
        (&of_team, lead(), None, None),
        (&of_team, outsider(), Some(NotFound), Some(NotFound)),
        (&of_team, admin(), None, None),
        (&shared, customer(), Some(Forbidden), Some(Forbidden)),
        (&shared, outsider(), None, Some(Forbidden)),
        (&shared, lead(), None, Some(Forbidden)),
        (&shared, admin(), None, None),
    ];
    for (view, actor, read, write) in rows {
        let what = format!("{:?} by {actor:?}", view.holder);
        assert_eq!(kind(desk.views.show(&actor, view.id).await), read, "{what}");
        assert_eq!(kind(desk.views.query(&actor, view.id).await), read, "{what}");
        assert_eq!(kind(desk.rename(&actor, view).await), write, "{what}");
        for (action, expected) in [
            (ViewAction::Read, read),
            (ViewAction::Change, write),
            (ViewAction::Delete, write),
        ] {
            let explained = desk.views.explain(&actor, view.id, action).await;
            let refusal = explained.map_or_else(Some, |explained| explained.refusal);
            assert_eq!(refusal.map(|error| error.kind()), expected, "{what}: {action:?}");
        }
        if write.is_some() {
            assert_eq!(
                kind(desk.views.delete(&actor, view.id, Guard::none()).await),
                write,
                "{what}"
            );
        }
    }
    for (view, actor) in [(&own, agent()), (&of_team, lead()), (&shared, admin())] {
        desk.views.delete(&actor, view.id, Guard::none()).await.unwrap();
        assert_eq!(kind(desk.views.show(&actor, view.id).await), Some(NotFound));
    }
}

#[tokio::test]
async fn nobody_makes_views_for_others_than_they_may() {
    let desk = desk();
    let rows = [
        (customer(), ViewVisibility::Own, None, false),
        (agent(), ViewVisibility::Own, None, true),
        (agent(), ViewVisibility::Team, Some(TEAM), false),
        (outsider(), ViewVisibility::Team, Some(TEAM), false),
        (lead(), ViewVisibility::Team, Some(TEAM), true),
        (lead(), ViewVisibility::Team, Some(OTHER_TEAM), false),
        (lead(), ViewVisibility::Shared, None, false),
        (admin(), ViewVisibility::Team, Some(OTHER_TEAM), true),
        (admin(), ViewVisibility::Shared, None, true),
    ];
    for (actor, visibility, team, is_allowed) in rows {
        let new = new_view(visibility, team, None);
        let made = kind(desk.views.create(&actor, new, &no_receipt).await);
        let expected = (!is_allowed).then_some(FailureKind::Forbidden);
        assert_eq!(made, expected, "{visibility:?} {team:?} by {actor:?}");
    }
    let unknown = TeamId(Uuid::from_u128(99));
    for (visibility, team, code) in [
        (ViewVisibility::Team, None, "required"),
        (ViewVisibility::Team, Some(unknown), "unknown"),
        (ViewVisibility::Own, Some(TEAM), "not_allowed"),
        (ViewVisibility::Shared, Some(TEAM), "not_allowed"),
    ] {
        let new = new_view(visibility, team, None);
        let error = desk.views.create(&admin(), new, &no_receipt).await.unwrap_err();
        let fault = &error.violations()[0];
        assert_eq!((fault.pointer.as_str(), fault.code), ("/teamId", code));
    }
}

#[tokio::test]
async fn giving_a_view_to_others_takes_the_right_to_theirs() {
    let desk = desk();
    let to = |visibility, team: Patch<TeamId>| ViewChange {
        visibility: Some(visibility),
        team,
        ..ViewChange::default()
    };
    let own = desk.view(&lead(), ViewVisibility::Own, None).await;
    let give = async |change: ViewChange| desk.views.change(&lead(), own.id, &change, Guard::none()).await;
    let refused = give(to(ViewVisibility::Shared, Patch::Keep)).await;
    assert_eq!(kind(refused), Some(FailureKind::Forbidden));
    let refused = give(to(ViewVisibility::Team, Patch::Set(OTHER_TEAM))).await;
    assert_eq!(kind(refused), Some(FailureKind::Forbidden));
    for missing in [Patch::Keep, Patch::Clear] {
        let refused = give(to(ViewVisibility::Team, missing)).await;
        assert_eq!(kind(refused), Some(FailureKind::Invalid));
    }
    let given = give(to(ViewVisibility::Team, Patch::Set(TEAM))).await.unwrap();
    assert_eq!(
        (given.holder, given.version),
        (ViewHolder::Team(TEAM), Version(2))
    );
    assert!(desk.views.show(&agent(), own.id).await.is_ok());
    // Its team stays where only the kind is named, and it is no change at all.
    let same = give(to(ViewVisibility::Team, Patch::Keep)).await.unwrap();
    assert_eq!(same, given);
    let back = give(to(ViewVisibility::Own, Patch::Clear)).await.unwrap();
    assert_eq!(back.holder, ViewHolder::Person(LEAD));
    assert_eq!(
        kind(desk.views.show(&agent(), own.id).await),
        Some(FailureKind::NotFound)
    );
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_the_version() {
    let desk = desk();
    let view = desk.view(&agent(), ViewVisibility::Own, None).await;
    desk.clock.advance(Duration::minutes(1));
    let renamed = desk.rename(&agent(), &view).await.unwrap();
    assert_eq!(
        (renamed.version, renamed.updated_at),
        (Version(2), build::noon() + Duration::minutes(1))
    );
    desk.clock.advance(Duration::minutes(1));
    assert_eq!(desk.rename(&agent(), &view).await.unwrap(), renamed);
    let guard = Guard {
        expected: Some(Version(1)),
        ..Guard::none()
    };
    let stale = desk
        .views
        .change(&agent(), view.id, &ViewChange::default(), guard)
        .await
        .unwrap_err();
    assert_eq!(
        (stale.kind(), stale.current_version()),
        (FailureKind::Stale, Some(Version(2)))
    );
    let guard = Guard {
        expected: Some(Version(1)),
        ..Guard::none()
    };
    assert_eq!(
        kind(desk.views.delete(&agent(), view.id, guard).await),
        Some(FailureKind::Stale)
    );
}

#[tokio::test]
async fn whoever_has_as_many_as_there_can_be_gets_no_more() {
    let desk = desk();
    for _ in 0..VIEWS_MAX {
        let _ = desk.view(&agent(), ViewVisibility::Own, None).await;
    }
    let new = new_view(ViewVisibility::Own, None, None);
    let refused = desk.views.create(&agent(), new, &no_receipt).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "view.too_many")
    );
    let _ = desk.view(&lead(), ViewVisibility::Own, None).await;
}

#[tokio::test]
async fn me_and_now_are_whoever_looks_and_when() {
    let desk = desk();
    let mine = json!({ "field": "assignedToId", "operator": "equals", "value": "me" });
    let view = desk.view(&admin(), ViewVisibility::Shared, Some(mine)).await;
    let old = json!({ "field": "updatedAt", "operator": "less_than", "value": "-7d" });
    let old = desk.view(&admin(), ViewVisibility::Shared, Some(old)).await;
    for _ in 0..2 {
        let key = desk.ticket(&customer(), None).await;
        let _ = desk.tickets.claim(&agent(), &key, Guard::none()).await.unwrap();
    }
    let key = desk.ticket(&customer(), None).await;
    let _ = desk.tickets.claim(&lead(), &key, Guard::none()).await.unwrap();
    assert_eq!(desk.seen(&agent(), &view).await, 2);
    assert_eq!(desk.seen(&lead(), &view).await, 1);
    assert_eq!(desk.seen(&admin(), &view).await, 0);
    assert_eq!(desk.seen(&agent(), &old).await, 0);
    desk.clock.advance(Duration::days(8));
    assert_eq!(desk.seen(&agent(), &old).await, 3);
}

#[tokio::test]
async fn a_view_never_widens_what_one_sees() {
    let desk = desk();
    let all = desk.view(&admin(), ViewVisibility::Shared, None).await;
    let theirs = json!({ "field": "teamId", "operator": "equals", "value": TEAM });
    let theirs = desk.view(&admin(), ViewVisibility::Shared, Some(theirs)).await;
    let _ = desk.ticket(&customer(), Some(TEAM)).await;
    let _ = desk.ticket(&customer(), Some(OTHER_TEAM)).await;
    let _ = desk.ticket(&customer(), None).await;
    for (actor, of_all, of_theirs) in [(admin(), 3, 1), (agent(), 2, 1), (outsider(), 2, 0)] {
        assert_eq!(desk.seen(&actor, &all).await, of_all, "{actor:?}");
        assert_eq!(desk.seen(&actor, &theirs).await, of_theirs, "{actor:?}");
        let counts = desk.views.counts(&actor, None).await.unwrap();
        let mut counts: Vec<_> = counts.iter().map(|count| (count.view, count.tickets)).collect();
        counts.sort_unstable();
        let (of_all, of_theirs) = (i64::try_from(of_all).unwrap(), i64::try_from(of_theirs).unwrap());
        assert_eq!(counts, [(all.id, of_all), (theirs.id, of_theirs)], "{actor:?}");
    }
}

#[tokio::test]
async fn counts_stop_at_their_bound_and_leave_out_what_is_hidden() {
    let desk = desk();
    let urgent = json!({ "field": "priority", "operator": "equals", "value": "urgent" });
    let all = desk.view(&agent(), ViewVisibility::Own, None).await;
    let urgent = desk.view(&agent(), ViewVisibility::Own, Some(urgent)).await;
    let hidden = desk.view(&lead(), ViewVisibility::Own, None).await;
    for index in 0..=VIEW_COUNT_MAX_TICKETS {
        let key = desk.ticket(&customer(), None).await;
        if index < 3 {
            let edit = Edit {
                priority: Some(TicketPriority::Urgent),
                ..Edit::default()
            };
            let _ = desk
                .tickets
                .edit(&agent(), &key, &edit, Guard::none())
                .await
                .unwrap();
        }
    }
    let count = |view: &SavedView, tickets, is_more| ViewCount {
        view: view.id,
        tickets,
        is_more,
    };
    let asked = [urgent.id, hidden.id, all.id, urgent.id];
    let counts = desk.views.counts(&agent(), Some(&asked)).await.unwrap();
    assert_eq!(counts, [count(&urgent, 3, false), count(&all, 1_000, true)]);
    assert_eq!(desk.views.counts(&agent(), Some(&[])).await.unwrap(), []);
    assert_eq!(
        kind(desk.views.counts(&customer(), None).await),
        Some(FailureKind::Forbidden)
    );
    let list = desk.views.list(&customer(), None, PageLimit::default()).await;
    assert_eq!(kind(list), Some(FailureKind::Forbidden));
}

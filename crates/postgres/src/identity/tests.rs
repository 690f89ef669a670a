//! The adapters on a real database: their contracts, what happens when two commits meet, what other writers leave
//! behind, and how the reads find their rows.

use chrono::{DateTime, Duration, Utc};
use diesel::QueryableByName;
use diesel_async::RunQueryDsl as _;
use events::{Cause, Event, Fact, IdentityFact};
use identity::ports::{
    AccountCommit, AccountCommitError, BeginError, Deleted, Expected, MemberChange, MemberCommit,
    MemberCommitError, MembershipsAfter, Proof, Revocation, Rotation, SearchFields, SessionBegin,
    SessionStore as _, SessionsAfter, SetupCommit, SetupCommitError, SetupOffer, SetupStore as _,
    TeamStore as _, UserFilter, UserSearch, UserStore as _, WhichSessions,
};
use identity::testing::builders::{email, member, name, session, start, team, token_hash, unique_id, user};
use identity::testing::{contract, contract_sign_on};
use identity::{Session, SessionId, User, UserStatus};
use kernel::{EventId, PageLimit, PortError, Position, Role, SystemActor, TeamId, TeamRole, UserId, Version};
use serde_json::Value;
use tokio_postgres::NoTls;

use super::{FIRST_ADMIN_LOCK, PgSessions, PgSetup, PgSignOn, PgTeams, PgUsers, sessions, teams, users};
use crate::sql::Sql;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

/// How often two commits are made to meet.
const ROUNDS: usize = 50;

struct World {
    test: TestDatabase,
    users: PgUsers,
    sessions: PgSessions,
    teams: PgTeams,
    setup: PgSetup,
}

async fn world() -> World {
    let test = test_database().await;
    let database = test.database();
    World {
        users: PgUsers::new(database.clone()),
        sessions: PgSessions::new(database.clone()),
        teams: PgTeams::new(database.clone()),
        setup: PgSetup::new(database.clone()),
        test,
    }
}

impl World {
    async fn made(&self, user: User) -> User {
        self.users.commit(creation(&user)).await.unwrap();
        user
    }

    async fn stored(&self, id: UserId) -> User {
        self.users.user(id).await.unwrap().unwrap()
    }

    async fn begun(&self, user: &User) -> Session {
        let new = session(user);
        self.sessions.begin(login(&new, user)).await.unwrap();
        new
    }

    async fn kept(&self, id: SessionId) -> Option<Session> {
        self.sessions.session(id).await.unwrap()
    }

    async fn founded(&self) -> TeamId {
        let team = team();
        let id = team.id;
        let commit = identity::ports::TeamCommit {
            team,
            expected: Expected::Absent,
            events: Vec::new(),
            receipt: None,
        };
        self.teams.commit(commit).await.unwrap();
        id
    }
}

fn creation(user: &User) -> AccountCommit {
    AccountCommit {
        user: user.clone(),
        expected: Expected::Absent,
        sessions: SessionsAfter::Keep,
        memberships: MembershipsAfter::Keep,
        events: Vec::new(),
        receipt: None,
    }
}

fn change(stored: &User, change: impl FnOnce(&mut User)) -> AccountCommit {
    let mut user = stored.clone();
    change(&mut user);
    user.version = stored.version.next();
    AccountCommit {
        expected: Expected::Version(stored.version),
        ..creation(&user)
    }
}

fn login(session: &Session, user: &User) -> SessionBegin {
    SessionBegin {
        session: session.clone(),
        proof: Proof::Password(user.password_hash.clone()),
        events: Vec::new(),
    }
}

fn joining(team: TeamId, user: UserId) -> MemberCommit {
    MemberCommit {
        team,
        user,
        before: None,
        change: MemberChange::Join(member(team, user, TeamRole::Agent)),
        events: Vec::new(),
        receipt: None,
    }
}

fn event(fact: IdentityFact) -> Event {
    Event {
        id: EventId(unique_id()),
        at: start(),
        cause: Cause::from(&kernel::Actor::System(SystemActor::Import)),
        fact: Fact::Identity(fact),
        origin: None,
    }
}

// ------------------------------------------------------------------------------------------------ contracts

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_accounts_keeps_its_contract() {
    let World {
        test: _test, users, ..
    } = world().await;
    contract::user_store(&users).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_sessions_keeps_its_contract() {
    let world = world().await;
    contract::session_store(&world.users, &world.sessions).await;
}

#[tokio::test]
async fn sign_ons_keep_their_contract() {
    let world = world().await;
    let store = PgSignOn::new(world.test.database().clone());
    contract_sign_on::sign_on_store(&store, &world.users, &world.sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_teams_keeps_its_contract() {
    let world = world().await;
    contract::team_store(&world.users, &world.sessions, &world.teams).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_desk_keeps_its_contract() {
    let world = world().await;
    contract::empty_desk(&world.users, &world.setup).await;
}

// --------------------------------------------------------------------------------------- commits that meet

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_take_each_other_away_never_leave_a_desk_without() {
    let world = world().await;
    let pair = [
        world.made(user(Role::Admin)).await.id,
        world.made(user(Role::Admin)).await.id,
    ];
    for round in 0..ROUNDS {
        let (one, other) = (world.stored(pair[0]).await, world.stored(pair[1]).await);
        let demoted = |stored: &User| {
            let mut commit = change(stored, |user| match round % 3 {
                0 => user.role = Role::Agent,
                1 => user.status = UserStatus::Suspended,
                _ => user.deleted_at = Some(start()),
            });
            // With a transaction of two statements, and with one statement.
            if round % 2 == 0 {
                commit.memberships = MembershipsAfter::LeaveAll;
            }
            commit
        };
        let outcome = tokio::join!(
            world.users.commit(demoted(&one)),
            world.users.commit(demoted(&other))
        );
        let gone = match outcome {
            (Ok(()), Err(AccountCommitError::LastAdmin)) => pair[0],
            (Err(AccountCommitError::LastAdmin), Ok(())) => pair[1],
            other => panic!("round {round}: {other:?}"),
        };
        let back = change(&world.stored(gone).await, |user| {
            (user.role, user.status, user.deleted_at) = (Role::Admin, UserStatus::Active, None);
        });
        world.users.commit(back).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_staff_while_joining_is_in_no_team() {
    let world = world().await;
    let team = world.founded().await;
    for round in 0..ROUNDS {
        let agent = world.made(user(Role::Agent)).await;
        let mut leaving = change(&agent, |user| user.role = Role::User);
        leaving.memberships = MembershipsAfter::LeaveAll;
        let (left, joined) = tokio::join!(
            world.users.commit(leaving),
            world.teams.commit_member(joining(team, agent.id))
        );
        left.unwrap();
        assert!(
            matches!(joined, Ok(()) | Err(MemberCommitError::NotStaff)),
            "round {round}: {joined:?}"
        );
        assert_eq!(
            world.teams.member(team, agent.id).await.unwrap(),
            None,
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_was_committed_while_its_account_waited_is_left_too() {
    let world = world().await;
    let team = world.founded().await;
    let agent = world.made(user(Role::Agent)).await;
    let mut leaving = change(&agent, |user| user.deleted_at = Some(start()));
    leaving.memberships = MembershipsAfter::LeaveAll;
    // What a joining does, half way.
    let stranger = Stranger::connect(&world.test).await;
    let sql = format!(
        "BEGIN; SELECT 1 FROM users WHERE id = '{agent}' FOR SHARE; \
         INSERT INTO team_members (team_id, user_id) VALUES ('{team}', '{agent}')",
        agent = agent.id
    );
    stranger.run(&sql).await;
    let (left, ()) = tokio::join!(world.users.commit(leaving), async {
        world.until_someone_waits().await;
        stranger.run("COMMIT").await;
    });
    left.unwrap();
    assert_eq!(world.teams.member(team, agent.id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_outlives_a_suspension_whatever_happens_beside_it() {
    let world = world().await;
    for round in 0..ROUNDS {
        let account = world.made(user(Role::User)).await;
        let (before, beside) = (world.begun(&account).await, session(&account));
        let exchange = Rotation {
            session: before.id,
            presented: before.refresh_token_sha256.clone(),
            successor: token_hash(),
            successor_salt: vec![1],
            at: start(),
            expires_at: before.expires_at,
            client: before.client.clone(),
        };
        let suspend = async || {
            loop {
                let mut commit = change(&world.stored(account.id).await, |user| {
                    user.status = UserStatus::Suspended
                });
                commit.sessions = SessionsAfter::RevokeAll { at: start() };
                match world.users.commit(commit).await {
                    // The login came between.
                    Err(AccountCommitError::Stale) => {}
                    other => return other.unwrap(),
                }
            }
        };
        let (_, begun, ()) = tokio::join!(
            world.sessions.rotate(exchange),
            world.sessions.begin(login(&beside, &account)),
            suspend()
        );
        assert_eq!(
            world.kept(before.id).await.unwrap().revoked_at,
            Some(start()),
            "round {round}"
        );
        match (begun, world.kept(beside.id).await) {
            (Ok(()), Some(kept)) => assert_eq!(kept.revoked_at, Some(start()), "round {round}"),
            (Err(BeginError::Refused), None) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
}

/// Another client of the database.
struct Stranger(tokio_postgres::Client);

impl Stranger {
    async fn connect(test: &TestDatabase) -> Self {
        let (client, connection) = tokio_postgres::connect(test.url(), NoTls).await.unwrap();
        tokio::runtime::Handle::current().spawn(connection);
        Self(client)
    }

    async fn run(&self, sql: &str) {
        self.0.batch_execute(sql).await.unwrap();
    }
}

impl World {
    /// Returns once a statement waits for a lock in this database.
    async fn until_someone_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.test.number(waiting).await == 0 {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_waits_for_another_who_is_being_made_and_finds_the_desk_closed() {
    let world = world().await;
    let offer = SetupOffer {
        token: token_hash(),
        created_at: start(),
        expires_at: start() + Duration::minutes(5),
    };
    world.setup.offer(offer.clone()).await.unwrap();
    let admin = user(Role::Admin);
    let completion = SetupCommit {
        token: offer.token,
        at: start(),
        user: admin.clone(),
        events: Vec::new(),
    };
    // A commit of an acting admin, half way.
    let stranger = Stranger::connect(&world.test).await;
    stranger
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock_shared({FIRST_ADMIN_LOCK}); \
             INSERT INTO users (email, name, password_hash, role) VALUES ('a@example.com', 'A', '', 'admin')"
        ))
        .await;
    let (completed, ()) = tokio::join!(world.setup.complete(completion.clone()), async {
        world.until_someone_waits().await;
        stranger.run("COMMIT").await;
    });
    assert!(
        matches!(completed, Err(SetupCommitError::Closed)),
        "{completed:?}"
    );
    assert_eq!(world.users.user(admin.id).await.unwrap(), None);

    // The desk loses its only admin to another writer: the token, unused, opens it again. Now the first admin is half
    // way, and the other one waits.
    stranger.run("UPDATE users SET role = 'user'; BEGIN").await;
    stranger
        .run(&format!("SELECT pg_advisory_xact_lock({FIRST_ADMIN_LOCK})"))
        .await;
    let (made, ()) = tokio::join!(world.users.commit(creation(&user(Role::Admin))), async {
        world.until_someone_waits().await;
        assert_eq!(world.test.number("SELECT count(*) FROM users").await, 1);
        stranger.run("ROLLBACK").await;
    });
    made.unwrap();
    assert!(!world.setup.is_open().await.unwrap());
}

// --------------------------------------------------------------------------------------------- publication

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_published_with_it_and_what_is_refused_is_not() {
    let world = world().await;
    let published = async || world.test.number("SELECT count(*) FROM outbox").await;
    let agent = user(Role::Agent);
    let mut commit = creation(&agent);
    commit.events = vec![event(IdentityFact::UserCreated { user: agent.id })];
    world.users.commit(commit).await.unwrap();
    assert_eq!(published().await, 1);

    let mut late = change(&agent, |user| user.name = name("Late"));
    late.expected = Expected::Version(Version(7));
    late.events = vec![event(IdentityFact::UserDeleted { user: agent.id })];
    let late = world.users.commit(late).await;
    assert!(matches!(late, Err(AccountCommitError::Stale)), "{late:?}");
    assert_eq!(published().await, 1);

    let team = world.founded().await;
    let with_event = |mut commit: MemberCommit| {
        let fact = IdentityFact::TeamMemberRemoved {
            team,
            user: commit.user,
        };
        commit.events = vec![event(fact)];
        commit
    };
    world
        .teams
        .commit_member(with_event(joining(team, agent.id)))
        .await
        .unwrap();
    assert_eq!(published().await, 2);
    let again = world
        .teams
        .commit_member(with_event(joining(team, agent.id)))
        .await;
    assert!(matches!(again, Err(MemberCommitError::Stale)), "{again:?}");
    assert_eq!(published().await, 2);

    let (one, two) = (world.begun(&agent).await, world.begun(&agent).await);
    let end = |which| Revocation {
        which,
        at: start(),
        events: vec![event(IdentityFact::SessionReuseDetected {
            user: agent.id,
            session: one.id.0,
        })],
    };
    assert_eq!(
        world
            .sessions
            .revoke(end(WhichSessions::One(one.id)))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        world
            .sessions
            .revoke(end(WhichSessions::AllOf(agent.id)))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        world
            .sessions
            .revoke(end(WhichSessions::AllOf(agent.id)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        world
            .sessions
            .revoke(end(WhichSessions::One(two.id)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(published().await, 4);
}

// -------------------------------------------------------------------------------------------- other writers

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_writer_is_found_and_read() {
    let world = world().await;
    let id = UserId(unique_id());
    world
        .test
        .batch(&format!(
            "INSERT INTO users (id, email, name, password_hash, avatar_url, two_factor_secret) \
             VALUES ('{id}', 'Robin@Example.COM', E' \\t', '', '/robin.png', 'secret')"
        ))
        .await;
    let address = email("robin@example.com");
    let found = world.users.user_by_email(&address).await.unwrap().unwrap();
    assert_eq!(
        (found.id, &found.email, found.name.as_str()),
        (id, &address, "(no name)")
    );
    assert_eq!((found.avatar_url.as_ref(), found.version), (None, Version::FIRST));

    let mut twin = user(Role::User);
    twin.email = address.clone();
    let taken = world.users.commit(creation(&twin)).await;
    assert!(matches!(taken, Err(AccountCommitError::EmailTaken)), "{taken:?}");
    let other = world.made(user(Role::User)).await;
    let taken = world
        .users
        .commit(change(&other, |user| user.email = address))
        .await;
    assert!(matches!(taken, Err(AccountCommitError::EmailTaken)), "{taken:?}");

    world
        .users
        .commit(change(&found, |user| user.name = name("Robin")))
        .await
        .unwrap();
    let kept =
        "SELECT count(*) FROM users WHERE two_factor_secret = 'secret' AND email = 'robin@example.com'";
    assert_eq!(world.test.number(kept).await, 1);

    // Another writer's change moves the version, too.
    let present = world.stored(id).await;
    world.test.batch("UPDATE users SET status = 'suspended'").await;
    let stale = world
        .users
        .commit(change(&present, |user| user.name = name("Kim")))
        .await;
    assert!(matches!(stale, Err(AccountCommitError::Stale)), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_an_address_is_named_to_the_operator() {
    let world = world().await;
    let id = UserId(unique_id());
    world
        .test
        .batch(&format!(
            "INSERT INTO users (id, email, name, password_hash) VALUES ('{id}', 'nobody', 'N', '')"
        ))
        .await;
    let read = world.users.user(id).await;
    match read {
        Err(PortError::Corrupt {
            table: "users",
            column: "email",
            id: row,
            ..
        }) => assert_eq!(row, id.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_writer_is_listed_and_ended_but_not_refreshed() {
    let world = world().await;
    let account = world.made(user(Role::User)).await;
    let id = SessionId(unique_id());
    world
        .test
        .batch(&format!(
            "INSERT INTO sessions (id, user_id, refresh_token, ip_address, expires_at) \
             VALUES ('{id}', '{}', 'bare', '10.1.2.3/8', now() + interval '1 day')",
            account.id
        ))
        .await;
    let page = world
        .sessions
        .live_sessions(account.id, start(), None, PageLimit::DEFAULT)
        .await
        .unwrap();
    let found = &page.items[0];
    assert_eq!((found.id, found.last_used_at), (id, found.created_at));
    assert_eq!(found.client.ip(), Some("10.1.2.3".parse().unwrap()));
    assert_eq!(
        world.sessions.shown(&found.refresh_token_sha256).await.unwrap(),
        None
    );
    let end = Revocation {
        which: WhichSessions::One(id),
        at: start(),
        events: Vec::new(),
    };
    assert_eq!(world.sessions.revoke(end).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_of_another_writer_is_read_as_far_as_it_can_be_shown() {
    let world = world().await;
    world
        .test
        .batch("INSERT INTO teams (name, description) VALUES (E'\\x01', repeat('x', 3000)), ('T', ' ')")
        .await;
    let page = world.teams.teams(None, PageLimit::DEFAULT).await.unwrap();
    let mut read: Vec<_> = page
        .items
        .iter()
        .map(|team| {
            (
                team.name.as_str(),
                team.description.as_ref().map(|text| text.as_str().len()),
            )
        })
        .collect();
    read.sort();
    assert_eq!(read, [("(no name)", Some(2_000)), ("T", None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_moves_the_version_and_not_the_time_of_change() {
    let world = world().await;
    let account = world.made(user(Role::User)).await;
    world.begun(&account).await;
    let stored = world.stored(account.id).await;
    assert_eq!(
        (stored.version, stored.updated_at),
        (account.version.next(), account.updated_at)
    );
}

// ---------------------------------------------------------------------------------------------------- plans

#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = diesel::sql_types::Json, column_name = "QUERY PLAN")]
    plan: Value,
}

/// Every node of a plan, top down.
fn nodes(plan: &Value) -> Vec<&Value> {
    let mut all = vec![plan];
    for child in plan["Plans"].as_array().into_iter().flatten() {
        all.extend(nodes(child));
    }
    all
}

/// A desk with so many people that the planner would rather walk than scan.
async fn fill(test: &TestDatabase) {
    test.batch(
        "INSERT INTO users (email, name, password_hash, role, status, created_at, deleted_at) \
         SELECT n || '@example.org', 'Person ' || n, '', \
           (CASE WHEN n % 2000 = 0 THEN 'admin' WHEN n % 100 = 1 THEN 'agent' ELSE 'user' END)::\"UserRole\", \
           (CASE WHEN n % 400 = 3 THEN 'suspended' WHEN n % 1000 = 4 THEN 'pending' ELSE 'active' END)::\"UserStatus\", \
           now() - n * interval '1 minute', CASE n % 50 WHEN 7 THEN now() END \
         FROM generate_series(1, 20000) AS n; \
         INSERT INTO sessions (user_id, refresh_token, expires_at, created_at, revoked_at) \
         SELECT id, encode(sha256(id::text::bytea), 'hex'), created_at + interval '20 days', created_at, \
           CASE WHEN status <> 'active' THEN created_at + interval '1 hour' END FROM users; \
         INSERT INTO session_rotated_tokens (token_sha256, session_id, successor_salt, rotated_at) \
         SELECT encode(sha256(id::text::bytea), 'hex'), id, '', created_at FROM sessions; \
         INSERT INTO teams (name, created_at) \
         SELECT 'Team ' || n, now() - n * interval '1 hour' FROM generate_series(1, 2000) AS n; \
         INSERT INTO team_members (team_id, user_id) \
         SELECT t.id, u.id FROM (SELECT id, row_number() OVER (ORDER BY id) % 50 AS lot FROM teams) t \
         JOIN (SELECT id, row_number() OVER (ORDER BY id) % 50 AS lot FROM users WHERE role <> 'user') u USING (lot); \
         ANALYZE users, sessions, session_rotated_tokens, teams, team_members",
    )
    .await;
}

/// A time in the middle of every list.
const MIDDLE: &str = "SELECT extract(epoch FROM avg(created_at - timestamptz 'epoch'))::bigint FROM users";

#[tokio::test(flavor = "multi_thread")]
async fn what_requests_read_is_found_by_an_index() {
    let World { test, .. } = world().await;
    fill(&test).await;
    let middle = DateTime::<Utc>::from_timestamp(test.number(MIDDLE).await, 0).unwrap();
    let after = Some(Position {
        at: middle,
        id: unique_id(),
    });
    let (id, limit) = (unique_id(), PageLimit::DEFAULT);
    let mut reads = vec![
        ("principal", sessions::select_principal(SessionId(id))),
        ("shown", sessions::select_shown(&token_hash())),
        ("ended", sessions::delete_ended(start(), 100)),
        ("lock", users::lock_account(UserId(id))),
    ];
    let search = UserSearch {
        text: "person".to_owned(),
        fields: SearchFields::NameAndEmail,
    };
    for after in [None, after] {
        reads.push(("live", sessions::select_live(UserId(id), start(), after, limit)));
        reads.push(("teams", teams::list(after, limit)));
        reads.push(("members", teams::list_members(TeamId(id), after, limit)));
        for role in [None, Some(Role::User), Some(Role::Agent), Some(Role::Admin)] {
            for status in UserStatus::ALL.into_iter().map(Some).chain([None]) {
                for deleted in [Deleted::Hidden, Deleted::Included] {
                    let filter = UserFilter {
                        role,
                        status,
                        search: None,
                        deleted,
                    };
                    reads.push(("users", users::list(filter, after, limit)));
                }
            }
        }
        let filter = UserFilter {
            search: Some(search.clone()),
            ..UserFilter::default()
        };
        reads.push(("search", users::list(filter, after, limit)));
    }
    for (what, sql) in reads {
        let explain = Sql::new("EXPLAIN (FORMAT JSON) ").append(sql);
        let row = test
            .database()
            .run(async |connection| (&explain).get_result::<PlanRow>(connection).await)
            .await
            .unwrap();
        for node in nodes(row.plan.pointer("/0/Plan").unwrap()) {
            let (kind, rows) = (
                node["Node Type"].as_str().unwrap(),
                node["Plan Rows"].as_f64().unwrap(),
            );
            assert_ne!(kind, "Seq Scan", "{what} {explain:?}: {:#}", row.plan);
            // Sorted are only the few of a rare role or status.
            assert!(
                kind != "Sort" || rows < 500.0,
                "{what} {explain:?}: {:#}",
                row.plan
            );
        }
    }
}

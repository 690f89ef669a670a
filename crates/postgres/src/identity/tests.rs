//! The adapters on a real database: their contracts, what happens when two commits meet, what other writers leave
//! behind, and how the reads find their rows.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use diesel::QueryableByName;
use diesel_async::RunQueryDsl as _;
use events::{Cause, Event, Fact, IdentityFact};
use identity::ports::{
    AccountCommit, AccountCommitError, ApiKeyCommit, ApiKeyStore as _, BeginError, Confirmation, Deleted,
    Enrolment, Expected, FactorUse, LoginChallenge, MemberChange, MemberCommit, MemberCommitError,
    MembershipsAfter, Proof, RemovalProof, Revocation, Rotation, Sealed, SearchFields, SessionBegin,
    SessionStore as _, SessionsAfter, SetupCommit, SetupCommitError, SetupOffer, SetupStore as _,
    TeamStore as _, TwoFactorCommitError, TwoFactorRemoval, TwoFactorStore as _, UserFilter, UserSearch,
    UserStore as _, WhichKey, WhichSessions,
};
use identity::testing::builders::{
    api_key, email, member, name, session, start, team, token_hash, unique_id, user,
};
use identity::testing::{contract, contract_keys, contract_sign_on};
use identity::{ApiKeyId, Session, SessionId, TokenHash, User, UserStatus};
use kernel::{EventId, PageLimit, Position, Role, SystemActor, TeamId, TeamRole, UserId, Version};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use super::{
    FIRST_ADMIN_LOCK, PgApiKeys, PgPeople, PgSecurity, PgSessions, PgSetup, PgSignOn, PgTeams, PgTokens,
    PgTwoFactor, PgUsers, api_keys, sessions, teams, two_factor, users,
};
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
    tokens: PgTokens,
    factors: PgTwoFactor,
    security: PgSecurity,
}

async fn world() -> World {
    let test = test_database().await;
    let database = test.database();
    World {
        users: PgUsers::new(database.clone()),
        sessions: PgSessions::new(database.clone()),
        teams: PgTeams::new(database.clone()),
        setup: PgSetup::new(database.clone()),
        tokens: PgTokens::new(database.clone()),
        factors: PgTwoFactor::new(database.clone()),
        security: PgSecurity::new(database.clone()),
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
    AccountCommit::of(user.clone(), Expected::Absent)
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
        chain: None,
    }
}

// ------------------------------------------------------------------------------------------------ contracts

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_keys_keeps_its_contract() {
    let world = world().await;
    let database = world.test.database();
    let keys = PgApiKeys::new(database.clone());
    contract_keys::api_key_store(&world.users, &world.teams, &keys).await;
    contract_keys::people(&world.users, &world.teams, &PgPeople::new(database.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_keys_that_are_made_at_once_no_more_are_stored_than_may_live() {
    let world = world().await;
    let owner = world.made(user(Role::Agent)).await;
    let keys = PgApiKeys::new(world.test.database().clone());
    let made = futures_util::future::join_all((0..12).map(|_| {
        let commit = ApiKeyCommit {
            key: api_key(owner.id),
            proof: owner.password_hash.clone(),
            live_max: 5,
            events: Vec::new(),
        };
        keys.create(commit)
    }))
    .await;
    let stored = made.iter().filter(|made| made.is_ok()).count();
    assert_eq!(stored, 5, "{made:?}");
    let count = "SELECT count(*) FROM api_keys";
    assert_eq!(world.test.number(count).await, 5);
}

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
async fn the_store_of_second_factors_keeps_its_contract() {
    let world = world().await;
    contract::two_factor_store(&world.users, &world.sessions, &world.factors).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_settings_keep_their_contract() {
    let world = world().await;
    contract::security_store(&world.users, &world.sessions, &world.security).await;
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

/// Someone with a second factor whose last step is 1, and one recovery code.
async fn protected(world: &World) -> (User, TokenHash) {
    let person = world.made(user(Role::Agent)).await;
    let secret = Sealed::from_stored("v1.abcdefgh.secret");
    let enrolment = Enrolment {
        user: person.id,
        password: person.password_hash.clone(),
        secret: secret.clone(),
        at: start(),
    };
    world.factors.enroll(enrolment).await.unwrap();
    let code = token_hash();
    let confirmation = Confirmation {
        user: person.id,
        secret,
        step: 1,
        codes: vec![code.clone()],
        at: start(),
        events: Vec::new(),
    };
    world.factors.confirm(confirmation).await.unwrap();
    (world.stored(person.id).await, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_logins_with_one_code_or_recovery_code_one_begins_a_session() {
    let world = Arc::new(world().await);
    let (person, recovery) = protected(&world).await;
    let code = FactorUse::Code {
        secret: Sealed::from_stored("v1.abcdefgh.secret"),
        step: 2,
    };
    for factor in [code, FactorUse::RecoveryCode(recovery)] {
        let mut tries = JoinSet::new();
        for _ in 0..50 {
            let (world, person, factor) = (Arc::clone(&world), person.clone(), factor.clone());
            tries.spawn(async move {
                let begin = SessionBegin {
                    session: session(&person),
                    proof: Proof::PasswordAndFactor {
                        password: person.password_hash.clone(),
                        factor,
                        challenge: None,
                    },
                    events: Vec::new(),
                };
                world.sessions.begin(begin).await
            });
        }
        let outcomes = tries.join_all().await;
        let refused = outcomes
            .iter()
            .filter(|one| matches!(one, Err(BeginError::Refused)));
        assert_eq!(
            (refused.count(), outcomes.iter().filter(|one| one.is_ok()).count()),
            (49, 1)
        );
    }
    let stored = world.stored(person.id).await;
    assert_eq!(
        stored.version,
        Version(person.version.0 + 2),
        "who was refused left no trace"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_tries_at_a_challenge_five_are_granted_and_one_spends_it() {
    let world = Arc::new(world().await);
    let (person, _) = protected(&world).await;
    let challenge = LoginChallenge {
        token: token_hash(),
        user: person.id,
        password: Sealed::from_stored("v1.abcdefgh.password"),
        created_at: start(),
        expires_at: start() + Duration::minutes(5),
    };
    world.factors.challenge(challenge.clone()).await.unwrap();
    let mut tries = JoinSet::new();
    for step in 2..52 {
        let (world, person, token) = (Arc::clone(&world), person.clone(), challenge.token.clone());
        tries.spawn(async move {
            let tried = world.factors.try_challenge(&token, start(), 5).await.unwrap();
            let begin = SessionBegin {
                session: session(&person),
                proof: Proof::PasswordAndFactor {
                    password: person.password_hash.clone(),
                    factor: FactorUse::Code {
                        secret: Sealed::from_stored("v1.abcdefgh.secret"),
                        step,
                    },
                    challenge: Some(token),
                },
                events: Vec::new(),
            };
            match tried {
                Some(_) => Some(world.sessions.begin(begin).await.is_ok()),
                None => None,
            }
        });
    }
    let outcomes = tries.join_all().await;
    let granted = outcomes.iter().flatten().count();
    assert!((1..=5).contains(&granted), "{granted}");
    assert_eq!(outcomes.iter().flatten().filter(|begun| **begun).count(), 1);
}

/// A login that meets the reset of its account's second factor is either refused, or its session is ended with the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_meets_a_reset_leaves_no_session_behind() {
    let world = world().await;
    for _ in 0..ROUNDS {
        let (person, code) = protected(&world).await;
        let new = session(&person);
        let begin = SessionBegin {
            session: new.clone(),
            proof: Proof::PasswordAndFactor {
                password: person.password_hash.clone(),
                factor: FactorUse::RecoveryCode(code),
                challenge: None,
            },
            events: Vec::new(),
        };
        let removal = TwoFactorRemoval {
            user: person.id,
            proof: RemovalProof::Admin,
            sessions: SessionsAfter::RevokeAll { at: start() },
            at: start(),
            events: Vec::new(),
            receipt: None,
        };
        let (begun, removed) =
            tokio::join!(world.sessions.begin(begin), world.factors.remove(removal.clone()));
        match removed {
            Ok(()) => {}
            Err(TwoFactorCommitError::Stale) => world.factors.remove(removal).await.unwrap(),
            Err(error) => panic!("{error}"),
        }
        if begun.is_ok() {
            assert!(world.kept(new.id).await.unwrap().revoked_at.is_some());
        }
    }
}

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
async fn an_account_without_an_address_spoils_no_list_and_is_kept_as_it_is() {
    let world = world().await;
    let id = UserId(unique_id());
    world
        .test
        .batch(&format!(
            "INSERT INTO users (id, email, name, password_hash) VALUES ('{id}', 'Nobody', 'N', '')"
        ))
        .await;
    let read = world.stored(id).await;
    assert_eq!((read.email.as_str(), read.email.is_sound()), ("Nobody", false));
    let listed = world
        .users
        .users(UserFilter::default(), None, PageLimit::DEFAULT)
        .await;
    assert_eq!(listed.unwrap().items.len(), 1);
    let renamed = change(&read, |user| user.name = name("Somebody"));
    world.users.commit(renamed).await.unwrap();
    assert_eq!(world.stored(id).await.email.as_str(), "Nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_credentials_leaves_nothing_of_them() {
    let world = world().await;
    let account = world.made(user(Role::User)).await;
    let other = world.made(user(Role::User)).await;
    let began = Session {
        client: kernel::Client::new(Some("Test/1.0"), "203.0.113.7".parse().ok()),
        ..session(&account)
    };
    world.sessions.begin(login(&began, &account)).await.unwrap();
    let account = world.stored(account.id).await;
    for id in [account.id, other.id] {
        let sha256 = token_hash();
        let sha256 = sha256.as_str();
        world
            .test
            .batch(&format!(
                "UPDATE users SET two_factor_secret = 's', totp_last_step = 7, version = version WHERE id = '{id}'; \
                 INSERT INTO recovery_codes (user_id, code_sha256) VALUES ('{id}', '{sha256}'); \
                 INSERT INTO api_keys (id, user_id, name, prefix, key_sha256, scopes, expires_at) \
                 VALUES (gen_random_uuid(), '{id}', 'k', 'idk', '{sha256}', '{{}}', now()); \
                 INSERT INTO external_identities (provider, subject, user_id) VALUES ('p', '{id}', '{id}'); \
                 INSERT INTO one_time_tokens (token_sha256, kind, user_id, expires_at, email) \
                 VALUES ('{sha256}', 'verify_email', '{id}', now(), 'a@example.com')"
            ))
            .await;
    }
    let account = world.stored(account.id).await;
    let commit = AccountCommit {
        sessions: SessionsAfter::EraseAll { at: start() },
        credentials: identity::ports::CredentialsAfter::RemoveAll,
        ..change(&account, |user| {
            user.password_hash = identity::PasswordHash::unset()
        })
    };
    world.users.commit(commit).await.unwrap();
    for (id, left) in [(account.id, "0"), (other.id, "1")] {
        for table in [
            "recovery_codes",
            "api_keys",
            "external_identities",
            "one_time_tokens",
        ] {
            let rows = world
                .test
                .rows(&format!(
                    "SELECT count(*)::text FROM {table} WHERE user_id = '{id}'"
                ))
                .await;
            assert_eq!(rows, [[Some(left.to_owned())]], "{table}");
        }
        let rows = world
            .test
            .rows(&format!(
                "SELECT count(*)::text FROM users WHERE id = '{id}' AND two_factor_secret IS NOT NULL \
                 AND totp_last_step IS NOT NULL"
            ))
            .await;
        assert_eq!(rows, [[Some(left.to_owned())]]);
    }
    let kept = world.kept(began.id).await.unwrap();
    assert_eq!(
        (kept.revoked_at, kept.client),
        (Some(start()), kernel::Client::default())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_one_time_tokens_keeps_its_contract() {
    let world = world().await;
    contract::one_time_tokens(&world.users, &world.tokens).await;
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
         INSERT INTO api_keys (id, user_id, name, prefix, key_sha256, scopes, expires_at) \
         SELECT gen_random_uuid(), id, 'k', 'idk_', encode(sha256(id::text::bytea), 'hex'), '{}', now() FROM users; \
         ANALYZE api_keys, users, sessions, session_rotated_tokens, teams, team_members",
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
        ("factor", two_factor::select_factor(UserId(id))),
        (
            "recovery code",
            two_factor::select_code(UserId(id), &token_hash()),
        ),
        ("challenges", two_factor::delete_challenges(start(), 100)),
        (
            "known",
            sessions::select_known(UserId(id), std::net::Ipv4Addr::LOCALHOST.into(), start()),
        ),
        (
            "known 6",
            sessions::select_known(UserId(id), std::net::Ipv6Addr::LOCALHOST.into(), start()),
        ),
        ("bearer", api_keys::select_bearer(&WhichKey::Shown(token_hash()))),
        ("bearer", api_keys::select_bearer(&WhichKey::Known(ApiKeyId(id)))),
    ];
    let search = UserSearch {
        text: "person".to_owned(),
        fields: SearchFields::NameAndEmail,
    };
    for after in [None, after] {
        reads.push(("live", sessions::select_live(UserId(id), start(), after, limit)));
        reads.push(("keys", api_keys::list(UserId(id), after, limit)));
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

//! The suites that every store must pass: the one in memory, and the one in a database.
//!
//! [`user_store`], [`session_store`], [`two_factor_store`] and [`team_store`] make their own data, unlike any other, and ask only for that:
//! they can run on a shared database. [`empty_desk`] needs one on which there is no acting admin, and to itself, and
//! [`security_store`] one whose settings were never set.
//!
//! Each takes the stores of one world. A failure panics and says which promise was broken.

mod tokens;
mod two_factor;

pub use tokens::one_time_tokens;

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use chrono::{Duration, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{
    EventId, Membership, PageLimit, Position, Receipt, Role, SystemActor, TeamRole, UserId,
    receipt::{Answer, RequestKey, RequestReceipt},
};

use super::builders::{email, member, name, session, start, team, team_name, token_hash, unique_id, user};
use crate::ports::{
    AccountCommit, AccountCommitError, BeginError, Deleted, Expected, MemberChange, MemberCommit,
    MemberCommitError, MembershipsAfter, Proof, Revocation, RotateError, Rotation, SearchFields,
    SessionBegin, SessionStore, SessionsAfter, SetupCommit, SetupCommitError, SetupOffer, SetupStore,
    TeamCommit, TeamCommitError, TeamDeletion, TeamStore, TokenPlace, UserFilter, UserSearch, UserStore,
    WhichSessions,
};
use crate::session::{Session, TokenHash};
use crate::team::{Team, TeamMember};
use crate::user::{User, UserStatus};
use crate::value::{AvatarUrl, PasswordHash, TeamDescription};
use kernel::Client;
pub use two_factor::{security_store, two_factor_store};

// -------------------------------------------------------------------------------------------------- helpers

pub(super) fn good<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

pub(super) fn there<T>(what: &str, value: Option<T>) -> T {
    match value {
        Some(value) => value,
        None => panic!("{what}: not there"),
    }
}

/// Runs two futures side by side.
pub(super) async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(value) = one.as_mut().poll(context)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = other.as_mut().poll(context)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

pub(super) fn event(fact: IdentityFact) -> Event {
    let cause = (&kernel::Actor::System(SystemActor::Import)).into();
    Event {
        id: EventId(unique_id()),
        at: start(),
        cause,
        fact: Fact::Identity(fact),
        origin: None,
        chain: None,
    }
}

fn receipt(principal: UserId) -> Receipt {
    Receipt::Request(RequestReceipt {
        key: RequestKey {
            principal: principal.0,
            key: unique_id().to_string(),
            route: "POST /users".to_owned(),
            request_sha256: [7; 32],
        },
        answer: Answer {
            status: 201,
            etag: Some("\"1\"".to_owned()),
            location: Some("/api/v1/users/1".to_owned()),
            body: "{}".to_owned(),
        },
    })
}

fn creation(user: &User) -> AccountCommit {
    AccountCommit {
        events: vec![event(IdentityFact::UserCreated { user: user.id })],
        ..AccountCommit::of(user.clone(), Expected::Absent)
    }
}

/// A commit that takes the stored account to what `change` makes of it.
pub(super) fn change(stored: &User, change: impl FnOnce(&mut User)) -> AccountCommit {
    let mut user = stored.clone();
    change(&mut user);
    user.version = stored.version.next();
    user.updated_at = start() + Duration::hours(1);
    AccountCommit {
        events: vec![event(IdentityFact::UserUpdated {
            user: stored.id,
            fields: vec!["name".to_owned()],
            role: None,
            status: None,
        })],
        ..AccountCommit::of(user, Expected::Version(stored.version))
    }
}

pub(super) async fn made(users: &dyn UserStore, user: User) -> User {
    good("a new account is stored", users.commit(creation(&user)).await);
    stored(users, user.id).await
}

pub(super) async fn stored(users: &dyn UserStore, id: UserId) -> User {
    there("the account", good("an account is read", users.user(id).await))
}

// ------------------------------------------------------------------------------------------------- accounts

/// What a store of accounts must do on any database.
///
/// # Panics
/// When a promise is broken.
pub async fn user_store(users: &dyn UserStore) {
    an_account_reads_back_as_it_was_stored(users).await;
    an_address_belongs_to_one_account_deleted_or_not(users).await;
    a_change_needs_the_version_it_was_decided_on(users).await;
    a_receipt_is_stored_once_and_with_its_change(users).await;
    a_list_of_accounts_is_newest_first_in_pages(users).await;
    a_list_of_accounts_is_filtered(users).await;
}

async fn an_account_reads_back_as_it_was_stored(users: &dyn UserStore) {
    let mut account = user(Role::Agent);
    account.avatar_url = AvatarUrl::parse("/avatarUrl", "https://example.com/robin.png").ok();
    account.email_verified_at = Some(start());
    good("a new account is stored", users.commit(creation(&account)).await);
    assert_eq!(stored(users, account.id).await, account);
    let by_email = good(
        "an account is read by its address",
        users.user_by_email(&account.email).await,
    );
    assert_eq!(by_email.as_ref(), Some(&account));

    let commit = change(&account, |user| {
        user.name = name("Kim Ünïcode 漢字");
        user.avatar_url = None;
        user.role = Role::User;
        user.status = UserStatus::Suspended;
        user.password_hash = PasswordHash::from_phc("$other");
        user.two_factor_enabled = true;
        user.last_login_at = Some(start() + Duration::hours(9));
    });
    let mut expected = commit.user.clone();
    expected.last_login_at = None;
    good("a change is stored", users.commit(commit).await);
    assert_eq!(
        stored(users, account.id).await,
        expected,
        "a change is stored, but for the last login"
    );

    assert_eq!(good("an unknown id", users.user(UserId(unique_id())).await), None);
    let unknown = email(&format!("{}@example.com", unique_id().simple()));
    assert_eq!(
        good("an unknown address", users.user_by_email(&unknown).await),
        None
    );
}

async fn an_address_belongs_to_one_account_deleted_or_not(users: &dyn UserStore) {
    let first = made(users, user(Role::User)).await;
    good(
        "an account is deleted",
        users
            .commit(change(&first, |user| user.deleted_at = Some(start())))
            .await,
    );
    let mut second = user(Role::User);
    second.email = first.email.clone();
    let refused = users.commit(creation(&second)).await;
    assert!(
        matches!(refused, Err(AccountCommitError::EmailTaken)),
        "a taken address: {refused:?}"
    );
    assert_eq!(good("the refused account", users.user(second.id).await), None);
    let deleted = good(
        "a deleted account is read by its address",
        users.user_by_email(&first.email).await,
    );
    assert_eq!(deleted.map(|user| user.id), Some(first.id));
}

async fn a_change_needs_the_version_it_was_decided_on(users: &dyn UserStore) {
    let account = made(users, user(Role::User)).await;
    good(
        "the first change",
        users
            .commit(change(&account, |user| user.name = name("First")))
            .await,
    );
    let late = users
        .commit(change(&account, |user| user.name = name("Second")))
        .await;
    assert!(
        matches!(late, Err(AccountCommitError::Stale)),
        "a change decided on an old version: {late:?}"
    );
    assert_eq!(stored(users, account.id).await.name, name("First"));
    let nobody = users.commit(change(&user(Role::User), |_| {})).await;
    assert!(
        matches!(nobody, Err(AccountCommitError::Stale)),
        "a change of no account: {nobody:?}"
    );
    let again = users.commit(creation(&account)).await;
    assert!(again.is_err(), "an account cannot be made twice");

    let present = stored(users, account.id).await;
    let (one, other) = both(
        users.commit(change(&present, |user| user.name = name("One"))),
        users.commit(change(&present, |user| user.name = name("Other"))),
    )
    .await;
    assert!(
        one.is_ok() != other.is_ok(),
        "of two changes at once one is stored: {one:?}, {other:?}"
    );
}

async fn a_receipt_is_stored_once_and_with_its_change(users: &dyn UserStore) {
    let account = made(users, user(Role::User)).await;
    let proof = receipt(account.id);
    let mut first = change(&account, |user| user.name = name("First"));
    first.receipt = Some(proof.clone());
    good("a change with a receipt", users.commit(first).await);

    let present = stored(users, account.id).await;
    let mut again = change(&present, |user| user.name = name("Again"));
    again.receipt = Some(proof);
    let repeated = users.commit(again).await;
    assert!(
        matches!(repeated, Err(AccountCommitError::Repeated)),
        "a repeated request: {repeated:?}"
    );
    assert_eq!(stored(users, account.id).await, present);

    let mut idle = change(&present, |_| {});
    idle.user = present.clone();
    idle.events.clear();
    idle.receipt = Some(receipt(account.id));
    good("a receipt without a change", users.commit(idle).await);
    assert_eq!(
        stored(users, account.id).await,
        present,
        "a receipt alone moves nothing"
    );
}

async fn a_list_of_accounts_is_newest_first_in_pages(users: &dyn UserStore) {
    let marker = unique_id().simple().to_string();
    let mut expected = Vec::new();
    // Two of the five are of the same moment: the id tells them apart.
    for minute in [0, 1, 1, 2, 3] {
        let mut account = user(Role::User);
        account.name = name(&format!("List {marker}"));
        account.created_at = start() + Duration::minutes(minute);
        expected.push(made(users, account).await);
    }
    expected.sort_by_key(|user| std::cmp::Reverse((user.created_at, user.id)));
    let filter = UserFilter {
        search: Some(UserSearch {
            text: marker.to_uppercase(),
            fields: SearchFields::Name,
        }),
        ..UserFilter::default()
    };
    let two = there("a limit of two", PageLimit::new(2));
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = good(
            "a page of accounts",
            users.users(filter.clone(), after, two).await,
        );
        assert!(page.items.len() <= 2, "a page holds no more than its limit");
        seen.extend(page.items);
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(
        (seen, pages),
        (expected.clone(), 3),
        "every account once, newest first"
    );
    let position = Position {
        at: expected[0].created_at,
        id: expected[0].id.0,
    };
    let rest = good(
        "a page after a position",
        users.users(filter, Some(position), PageLimit::DEFAULT).await,
    );
    assert_eq!((rest.items, rest.next), (expected[1..].to_vec(), None));
}

async fn a_list_of_accounts_is_filtered(users: &dyn UserStore) {
    let marker = unique_id().simple().to_string();
    let of = |role: Role, status: UserStatus, odd: &str| {
        let mut account = user(role);
        account.name = name(&format!("{odd}{marker}"));
        account.email = email(&format!("{}@of.{marker}.example.com", unique_id().simple()));
        account.status = status;
        account
    };
    let agent = made(users, of(Role::Agent, UserStatus::Active, "a%b_c\\")).await;
    let customer = made(users, of(Role::User, UserStatus::Suspended, "axbxc")).await;
    let gone = made(users, of(Role::User, UserStatus::Active, "gone")).await;
    good(
        "an account is deleted",
        users
            .commit(change(&gone, |user| user.deleted_at = Some(start())))
            .await,
    );

    let found = async |text: String, fields, filter: UserFilter| {
        let filter = UserFilter {
            search: Some(UserSearch { text, fields }),
            ..filter
        };
        let page = good(
            "a filtered list",
            users.users(filter, None, PageLimit::DEFAULT).await,
        );
        let mut ids: Vec<UserId> = page.items.iter().map(|user| user.id).collect();
        ids.sort();
        ids
    };
    let sorted = |accounts: &[&User]| {
        let mut ids: Vec<UserId> = accounts.iter().map(|user| user.id).collect();
        ids.sort();
        ids
    };
    let (in_name, in_both) = (SearchFields::Name, SearchFields::NameAndEmail);
    let all = UserFilter::default;
    assert_eq!(
        found(marker.clone(), in_name, all()).await,
        sorted(&[&agent, &customer]),
        "deleted ones are hidden"
    );
    let with_deleted = UserFilter {
        deleted: Deleted::Included,
        ..all()
    };
    assert_eq!(
        found(marker.clone(), in_name, with_deleted).await,
        sorted(&[&agent, &customer, &gone])
    );
    let agents = UserFilter {
        role: Some(Role::Agent),
        ..all()
    };
    assert_eq!(found(marker.clone(), in_name, agents).await, sorted(&[&agent]));
    let suspended = UserFilter {
        status: Some(UserStatus::Suspended),
        ..all()
    };
    assert_eq!(
        found(marker.clone(), in_name, suspended).await,
        sorted(&[&customer])
    );
    let in_address = format!("OF.{marker}.EXAMPLE");
    assert_eq!(
        found(in_address.clone(), in_name, all()).await,
        sorted(&[]),
        "a name is no address"
    );
    assert_eq!(
        found(in_address, in_both, all()).await,
        sorted(&[&agent, &customer])
    );
    let literal = format!("A%b_c\\{marker}");
    assert_eq!(
        found(literal, in_name, all()).await,
        sorted(&[&agent]),
        "every character stands for itself"
    );
}

// ------------------------------------------------------------------------------------------------- sessions

/// What a store of sessions must do on any database.
///
/// # Panics
/// When a promise is broken.
pub async fn session_store(users: &dyn UserStore, sessions: &dyn SessionStore) {
    a_login_stores_its_session_and_its_time(users, sessions).await;
    a_login_beside_a_shut_out_leaves_no_session(users, sessions).await;
    one_whose_address_is_not_proved_may_sign_in(users, sessions).await;
    a_token_is_exchanged_once(users, sessions).await;
    a_revoked_session_exchanges_nothing(users, sessions).await;
    an_accounts_change_ends_its_sessions(users, sessions).await;
    live_sessions_are_listed_newest_first(users, sessions).await;
    ended_sessions_are_forgotten(users, sessions).await;
}

async fn begun(sessions: &dyn SessionStore, user: &User) -> Session {
    let new = session(user);
    let begin = SessionBegin {
        session: new.clone(),
        proof: Proof::Password(user.password_hash.clone()),
        events: Vec::new(),
    };
    good("a session begins", sessions.begin(begin).await);
    new
}

fn rotation(session: &Session) -> Rotation {
    Rotation {
        session: session.id,
        presented: session.refresh_token_sha256.clone(),
        successor: token_hash(),
        successor_salt: vec![0, 1, 2, 255],
        at: start() + Duration::hours(1),
        expires_at: start() + Duration::days(31),
        client: Client::new(Some("Other/2.0"), "2001:db8::7".parse().ok()),
    }
}

async fn kept(sessions: &dyn SessionStore, session: &Session) -> Session {
    there(
        "the session",
        good("a session is read", sessions.session(session.id).await),
    )
}

async fn a_login_stores_its_session_and_its_time(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::Agent)).await;
    let mut new = session(&account);
    new.client = Client::new(Some("Test/1.0"), "192.0.2.7".parse().ok());
    new.created_at = start() + Duration::minutes(5);
    let begin = SessionBegin {
        session: new.clone(),
        proof: Proof::Password(account.password_hash.clone()),
        events: Vec::new(),
    };
    good("a session begins", sessions.begin(begin).await);
    assert_eq!(kept(sessions, &new).await, new);
    assert_eq!(
        stored(users, account.id).await.last_login_at,
        Some(new.created_at)
    );

    let shown = good("a live token", sessions.shown(&new.refresh_token_sha256).await);
    let shown = there("a live token", shown);
    assert_eq!((shown.session, shown.place), (new.clone(), TokenPlace::Live));
    assert_eq!(shown.user, stored(users, account.id).await);
    assert_eq!(
        good("an unknown token", sessions.shown(&token_hash()).await),
        None
    );

    let record = there(
        "who is behind it",
        good("who is behind it", sessions.principal(new.id).await),
    );
    assert_eq!((record.person.id, record.person.role), (account.id, Role::Agent));
    assert_eq!((record.status, record.deleted_at), (UserStatus::Active, None));
    assert_eq!(
        (record.session_expires_at, record.session_revoked_at),
        (new.expires_at, None)
    );
    assert_eq!(
        good(
            "an unknown session",
            sessions.principal(session(&account).id).await
        ),
        None
    );
}

async fn a_login_beside_a_shut_out_leaves_no_session(users: &dyn UserStore, sessions: &dyn SessionStore) {
    for shut_out in [
        (|user: &mut User| user.status = UserStatus::Suspended) as fn(&mut User),
        |user| {
            user.status = UserStatus::Pending;
            user.password_hash = PasswordHash::unset();
        },
        |user| user.deleted_at = Some(start()),
        |user| user.password_hash = PasswordHash::from_phc("$changed"),
    ] {
        let account = made(users, user(Role::User)).await;
        good("a change", users.commit(change(&account, shut_out)).await);
        let new = session(&account);
        let begin = SessionBegin {
            session: new.clone(),
            proof: Proof::Password(account.password_hash.clone()),
            events: Vec::new(),
        };
        let refused = sessions.begin(begin).await;
        assert!(
            matches!(refused, Err(BeginError::Refused)),
            "a login beside a shut-out: {refused:?}"
        );
        assert_eq!(good("the refused session", sessions.session(new.id).await), None);
        assert_eq!(stored(users, account.id).await.last_login_at, None);
    }
}

async fn one_whose_address_is_not_proved_may_sign_in(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let mut account = user(Role::User);
    account.status = UserStatus::Pending;
    let account = made(users, account).await;
    let new = begun(sessions, &account).await;
    let record = good("a pending principal", sessions.principal(new.id).await);
    assert_eq!(there("a pending principal", record).status, UserStatus::Pending);

    let mut invited = user(Role::User);
    invited.status = UserStatus::Pending;
    invited.password_hash = PasswordHash::unset();
    let invited = made(users, invited).await;
    for proof in [Proof::SignOn, Proof::Password(PasswordHash::unset())] {
        let begin = SessionBegin {
            session: session(&invited),
            proof,
            events: Vec::new(),
        };
        let refused = sessions.begin(begin).await;
        assert!(
            matches!(refused, Err(BeginError::Refused)),
            "one who was invited signs in: {refused:?}"
        );
    }
}

async fn a_token_is_exchanged_once(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::User)).await;
    let before = begun(sessions, &account).await;
    let exchange = rotation(&before);
    good("a token is exchanged", sessions.rotate(exchange.clone()).await);
    let after = kept(sessions, &before).await;
    let expected = Session {
        refresh_token_sha256: exchange.successor.clone(),
        client: exchange.client.clone(),
        expires_at: exchange.expires_at,
        last_used_at: exchange.at,
        ..before.clone()
    };
    assert_eq!(after, expected);

    let shown = there(
        "an exchanged token",
        good("an exchanged token", sessions.shown(&exchange.presented).await),
    );
    let place = TokenPlace::Exchanged {
        at: exchange.at,
        successor_salt: exchange.successor_salt.clone(),
    };
    assert_eq!((shown.session, shown.place), (after.clone(), place));
    let shown = there(
        "the successor",
        good("the successor", sessions.shown(&exchange.successor).await),
    );
    assert_eq!(shown.place, TokenPlace::Live);

    let again = sessions.rotate(rotation(&before)).await;
    assert!(
        matches!(again, Err(RotateError::Stale)),
        "an exchanged token is exchanged again: {again:?}"
    );
    assert_eq!(kept(sessions, &before).await, after);

    let (one, other) = both(
        sessions.rotate(rotation(&after)),
        sessions.rotate(rotation(&after)),
    )
    .await;
    assert!(
        one.is_ok() != other.is_ok(),
        "of two exchanges at once one is stored: {one:?}, {other:?}"
    );
}

async fn a_revoked_session_exchanges_nothing(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::User)).await;
    let (one, other) = (begun(sessions, &account).await, begun(sessions, &account).await);
    let at = start() + Duration::minutes(1);
    let fact = IdentityFact::SessionReuseDetected {
        user: account.id,
        session: one.id.0,
    };
    let end = Revocation {
        which: WhichSessions::One(one.id),
        at,
        events: vec![event(fact)],
    };
    assert_eq!(good("a session is ended", sessions.revoke(end.clone()).await), 1);
    // The same event once more would break the outbox's key, were it stored.
    let later = Revocation {
        at: at + Duration::minutes(1),
        ..end
    };
    assert_eq!(
        good("an ended session is ended again", sessions.revoke(later).await),
        0
    );
    assert_eq!(
        kept(sessions, &one).await.revoked_at,
        Some(at),
        "the first end counts"
    );
    assert_eq!(kept(sessions, &other).await.revoked_at, None);

    let exchange = sessions.rotate(rotation(&one)).await;
    assert!(
        matches!(exchange, Err(RotateError::Stale)),
        "a revoked session exchanges: {exchange:?}"
    );
    let shown = there(
        "its token",
        good("its token", sessions.shown(&one.refresh_token_sha256).await),
    );
    assert_eq!(shown.session.revoked_at, Some(at));
    let record = there(
        "who is behind it",
        good("who is behind it", sessions.principal(one.id).await),
    );
    assert_eq!(record.session_revoked_at, Some(at));

    let all = Revocation {
        which: WhichSessions::AllOf(account.id),
        at,
        events: Vec::new(),
    };
    assert_eq!(good("all sessions are ended", sessions.revoke(all).await), 1);
    assert_eq!(kept(sessions, &other).await.revoked_at, Some(at));
}

async fn an_accounts_change_ends_its_sessions(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::User)).await;
    let bystander = made(users, user(Role::User)).await;
    let (keep, end) = (begun(sessions, &account).await, begun(sessions, &account).await);
    let elsewhere = begun(sessions, &bystander).await;
    let at = start() + Duration::minutes(1);

    let present = stored(users, account.id).await;
    let mut others = change(&present, |user| {
        user.password_hash = PasswordHash::from_phc("$new")
    });
    others.sessions = SessionsAfter::RevokeOthers { keep: keep.id, at };
    good("a change of password", users.commit(others).await);
    assert_eq!(kept(sessions, &keep).await.revoked_at, None);
    assert_eq!(kept(sessions, &end).await.revoked_at, Some(at));

    let present = stored(users, account.id).await;
    let mut all = change(&present, |user| user.status = UserStatus::Suspended);
    all.sessions = SessionsAfter::RevokeAll {
        at: at + Duration::minutes(1),
    };
    good("a suspension", users.commit(all).await);
    assert_eq!(
        kept(sessions, &keep).await.revoked_at,
        Some(at + Duration::minutes(1))
    );
    assert_eq!(
        kept(sessions, &end).await.revoked_at,
        Some(at),
        "the first end counts"
    );
    assert_eq!(
        kept(sessions, &elsewhere).await.revoked_at,
        None,
        "others' sessions go on"
    );
    let record = there(
        "who is behind it",
        good("who is behind it", sessions.principal(keep.id).await),
    );
    assert_eq!(record.status, UserStatus::Suspended);
}

async fn live_sessions_are_listed_newest_first(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::User)).await;
    let mut live = Vec::new();
    for minute in 0..3 {
        let mut new = session(&account);
        new.created_at = start() + Duration::minutes(minute);
        let begin = SessionBegin {
            session: new.clone(),
            proof: Proof::Password(account.password_hash.clone()),
            events: Vec::new(),
        };
        good("a session begins", sessions.begin(begin).await);
        live.insert(0, new);
    }
    let revoked = begun(sessions, &account).await;
    let end = Revocation {
        which: WhichSessions::One(revoked.id),
        at: start(),
        events: Vec::new(),
    };
    good("a session is ended", sessions.revoke(end).await);
    let mut expired = session(&account);
    expired.expires_at = start() + Duration::minutes(9);
    let begin = SessionBegin {
        session: expired,
        proof: Proof::Password(account.password_hash.clone()),
        events: Vec::new(),
    };
    good("a session begins", sessions.begin(begin).await);

    let now = start() + Duration::minutes(9);
    let two = there("a limit of two", PageLimit::new(2));
    let first = good("a page", sessions.live_sessions(account.id, now, None, two).await);
    assert_eq!(first.items, live[..2]);
    let rest = good(
        "a page",
        sessions.live_sessions(account.id, now, first.next, two).await,
    );
    assert_eq!((rest.items, rest.next), (live[2..].to_vec(), None));
}

async fn ended_sessions_are_forgotten(users: &dyn UserStore, sessions: &dyn SessionStore) {
    let account = made(users, user(Role::User)).await;
    // Long before everything else, so that nothing of other suites is forgotten here.
    let long_ago = start() - Duration::days(10_000);
    let mut expired = session(&account);
    expired.expires_at = long_ago;
    let begin = SessionBegin {
        session: expired.clone(),
        proof: Proof::Password(account.password_hash.clone()),
        events: Vec::new(),
    };
    good("a session begins", sessions.begin(begin).await);
    let revoked = begun(sessions, &account).await;
    let exchange = rotation(&revoked);
    good("a token is exchanged", sessions.rotate(exchange.clone()).await);
    let end = Revocation {
        which: WhichSessions::One(revoked.id),
        at: long_ago,
        events: Vec::new(),
    };
    good("a session is ended", sessions.revoke(end).await);
    let live = begun(sessions, &account).await;

    assert_eq!(
        good(
            "nothing may be forgotten",
            sessions
                .forget_ended(chrono::DateTime::<Utc>::UNIX_EPOCH - Duration::days(40_000), 100)
                .await
        ),
        0
    );
    let before = long_ago + Duration::days(1);
    let (mut forgotten, mut rounds) = (0, 0);
    while rounds < 100 {
        let rows = good("sessions are forgotten", sessions.forget_ended(before, 1).await);
        assert!(rows <= 1, "no more than asked for");
        forgotten += rows;
        rounds += 1;
        if rows == 0 {
            break;
        }
    }
    assert!(forgotten >= 2, "both are forgotten");
    assert_eq!(
        good("a forgotten session", sessions.session(expired.id).await),
        None
    );
    assert_eq!(
        good("a forgotten session", sessions.session(revoked.id).await),
        None
    );
    assert_eq!(good("its token", sessions.shown(&exchange.presented).await), None);
    assert_eq!(kept(sessions, &live).await, live);
}

// ---------------------------------------------------------------------------------------------------- teams

/// What a store of teams must do on any database.
///
/// # Panics
/// When a promise is broken.
pub async fn team_store(users: &dyn UserStore, sessions: &dyn SessionStore, teams: &dyn TeamStore) {
    a_team_reads_back_as_it_was_stored(teams).await;
    a_teams_name_is_its_own(teams).await;
    teams_are_listed_newest_first(teams).await;
    members_join_rise_and_leave(users, sessions, teams).await;
    only_live_staff_joins(users, teams).await;
    members_are_listed_in_the_order_of_joining(users, teams).await;
    an_account_can_leave_every_team(users, teams).await;
    a_deleted_team_takes_its_memberships_along(users, sessions, teams).await;
}

fn team_creation(team: &Team) -> TeamCommit {
    TeamCommit {
        team: team.clone(),
        expected: Expected::Absent,
        events: vec![event(IdentityFact::TeamCreated { team: team.id })],
        receipt: None,
    }
}

fn team_change(stored: &Team, change: impl FnOnce(&mut Team)) -> TeamCommit {
    let mut team = stored.clone();
    change(&mut team);
    team.version = stored.version.next();
    team.updated_at = start() + Duration::hours(1);
    let events = vec![event(IdentityFact::TeamUpdated { team: stored.id })];
    TeamCommit {
        team,
        expected: Expected::Version(stored.version),
        events,
        receipt: None,
    }
}

async fn founded(teams: &dyn TeamStore) -> Team {
    let team = team();
    good("a new team is stored", teams.commit(team_creation(&team)).await);
    team
}

fn member_commit(team: &Team, user: &User, before: Option<TeamRole>, change: MemberChange) -> MemberCommit {
    let fact = IdentityFact::TeamMemberRemoved {
        team: team.id,
        user: user.id,
    };
    MemberCommit {
        team: team.id,
        user: user.id,
        before,
        change,
        events: vec![event(fact)],
        receipt: None,
    }
}

fn join(team: &Team, user: &User, role: TeamRole) -> (MemberCommit, TeamMember) {
    let member = member(team.id, user.id, role);
    (
        member_commit(team, user, None, MemberChange::Join(member.clone())),
        member,
    )
}

async fn joined(teams: &dyn TeamStore, team: &Team, user: &User, role: TeamRole) -> TeamMember {
    let (commit, member) = join(team, user, role);
    good("a person joins", teams.commit_member(commit).await);
    member
}

async fn a_team_reads_back_as_it_was_stored(teams: &dyn TeamStore) {
    let mut new = team();
    new.description = TeamDescription::parse("/description", "First line\nand a second").ok();
    good("a new team is stored", teams.commit(team_creation(&new)).await);
    assert_eq!(
        good("a team is read", teams.team(new.id).await).as_ref(),
        Some(&new)
    );
    let commit = team_change(&new, |team| team.description = None);
    let expected = commit.team.clone();
    good("a team's change is stored", teams.commit(commit).await);
    assert_eq!(
        good("a team is read", teams.team(new.id).await),
        Some(expected.clone())
    );
    let late = teams.commit(team_change(&new, |_| {})).await;
    assert!(
        matches!(late, Err(TeamCommitError::Stale)),
        "a change decided on an old version: {late:?}"
    );

    let proof = receipt(UserId(unique_id()));
    let mut idle = team_change(&expected, |_| {});
    idle.team = expected.clone();
    idle.events.clear();
    idle.receipt = Some(proof.clone());
    good("a receipt without a change", teams.commit(idle.clone()).await);
    assert_eq!(
        good("a team is read", teams.team(new.id).await),
        Some(expected),
        "a receipt alone moves nothing"
    );
    let repeated = teams.commit(idle).await;
    assert!(
        matches!(repeated, Err(TeamCommitError::Repeated)),
        "a repeated request: {repeated:?}"
    );
    assert_eq!(good("an unknown team", teams.team(team().id).await), None);
}

async fn a_teams_name_is_its_own(teams: &dyn TeamStore) {
    let (one, other) = (founded(teams).await, founded(teams).await);
    let mut twin = team();
    twin.name = one.name.clone();
    let refused = teams.commit(team_creation(&twin)).await;
    assert!(
        matches!(refused, Err(TeamCommitError::NameTaken)),
        "a taken name: {refused:?}"
    );
    let refused = teams
        .commit(team_change(&other, |team| team.name = one.name.clone()))
        .await;
    assert!(
        matches!(refused, Err(TeamCommitError::NameTaken)),
        "a taken name: {refused:?}"
    );
    let free = team_name(&format!("Free {}", unique_id().simple()));
    good(
        "a free name",
        teams.commit(team_change(&other, |team| team.name = free)).await,
    );
}

async fn teams_are_listed_newest_first(teams: &dyn TeamStore) {
    // In the far future, so that these are the first of all.
    let future = start() + Duration::days(10_000);
    let mut expected = Vec::new();
    for minute in [0, 1, 1] {
        let mut new = team();
        new.created_at = future + Duration::minutes(minute);
        good("a new team is stored", teams.commit(team_creation(&new)).await);
        expected.push(new);
    }
    expected.sort_by_key(|team| std::cmp::Reverse((team.created_at, team.id)));
    let newest = Position {
        at: future + Duration::minutes(2),
        id: unique_id(),
    };
    let two = there("a limit of two", PageLimit::new(2));
    let first = good("a page of teams", teams.teams(Some(newest), two).await);
    assert_eq!(first.items, expected[..2]);
    let rest = good("a page of teams", teams.teams(first.next, two).await);
    assert_eq!(rest.items.first(), Some(&expected[2]));
    for team in expected {
        let deletion = TeamDeletion {
            team: team.id,
            expected: team.version,
            events: Vec::new(),
        };
        good("a team is deleted", teams.delete(deletion).await);
    }
}

async fn members_join_rise_and_leave(
    users: &dyn UserStore,
    sessions: &dyn SessionStore,
    teams: &dyn TeamStore,
) {
    let (team, agent) = (founded(teams).await, made(users, user(Role::Agent)).await);
    let session = begun(sessions, &agent).await;
    let ranks = async || {
        let record = good("who is behind it", sessions.principal(session.id).await);
        there("who is behind it", record).person.teams
    };
    assert_eq!(ranks().await, []);
    let new = joined(teams, &team, &agent, TeamRole::Agent).await;
    let record = there(
        "the member",
        good("a member is read", teams.member(team.id, agent.id).await),
    );
    assert_eq!((record.member, record.person), (new.clone(), agent.card()));
    assert_eq!(
        ranks().await,
        [Membership {
            team: team.id,
            role: TeamRole::Agent
        }]
    );

    let (again, _) = join(&team, &agent, TeamRole::Lead);
    let again = teams.commit_member(again).await;
    assert!(
        matches!(again, Err(MemberCommitError::Stale)),
        "a member joins again: {again:?}"
    );

    let rise = member_commit(
        &team,
        &agent,
        Some(TeamRole::Agent),
        MemberChange::Rank(TeamRole::Lead),
    );
    good("a member rises", teams.commit_member(rise.clone()).await);
    assert_eq!(
        ranks().await,
        [Membership {
            team: team.id,
            role: TeamRole::Lead
        }]
    );
    let mut late = rise;
    late.events.clear();
    let late = teams.commit_member(late).await;
    assert!(
        matches!(late, Err(MemberCommitError::Stale)),
        "a change decided on an old rank: {late:?}"
    );

    let proof = receipt(agent.id);
    let mut idle = member_commit(
        &team,
        &agent,
        Some(TeamRole::Lead),
        MemberChange::Rank(TeamRole::Lead),
    );
    idle.receipt = Some(proof);
    idle.events.clear();
    good(
        "a receipt without a change",
        teams.commit_member(idle.clone()).await,
    );
    let repeated = teams.commit_member(idle).await;
    assert!(
        matches!(repeated, Err(MemberCommitError::Repeated)),
        "a repeated request: {repeated:?}"
    );

    let leave = member_commit(&team, &agent, Some(TeamRole::Lead), MemberChange::Leave);
    good("a member leaves", teams.commit_member(leave).await);
    assert_eq!(ranks().await, []);
    assert_eq!(
        good("a former member", teams.member(team.id, agent.id).await),
        None
    );
    let leave = member_commit(&team, &agent, Some(TeamRole::Lead), MemberChange::Leave);
    let gone = teams.commit_member(leave).await;
    assert!(
        matches!(gone, Err(MemberCommitError::Stale)),
        "a former member leaves: {gone:?}"
    );
}

async fn only_live_staff_joins(users: &dyn UserStore, teams: &dyn TeamStore) {
    let team = founded(teams).await;
    let customer = made(users, user(Role::User)).await;
    let gone = made(users, user(Role::Agent)).await;
    good(
        "an account is deleted",
        users
            .commit(change(&gone, |user| user.deleted_at = Some(start())))
            .await,
    );
    for person in [customer, gone, user(Role::Agent)] {
        let (commit, _) = join(&team, &person, TeamRole::Agent);
        let refused = teams.commit_member(commit).await;
        assert!(
            matches!(refused, Err(MemberCommitError::NotStaff)),
            "one who is not staff joins: {refused:?}"
        );
        assert_eq!(good("no member", teams.member(team.id, person.id).await), None);
    }
    let agent = made(users, user(Role::Agent)).await;
    let (nowhere, _) = join(&super::builders::team(), &agent, TeamRole::Agent);
    let refused = teams.commit_member(nowhere).await;
    assert!(
        matches!(refused, Err(MemberCommitError::NoTeam)),
        "a team that is not there: {refused:?}"
    );
}

async fn members_are_listed_in_the_order_of_joining(users: &dyn UserStore, teams: &dyn TeamStore) {
    let team = founded(teams).await;
    let mut expected = Vec::new();
    for minute in [2, 1, 1] {
        let agent = made(users, user(Role::Agent)).await;
        let (mut commit, mut new) = join(&team, &agent, TeamRole::Agent);
        new.created_at = start() + Duration::minutes(minute);
        commit.change = MemberChange::Join(new.clone());
        good("a person joins", teams.commit_member(commit).await);
        expected.push(new);
    }
    expected.sort_by_key(|member| (member.created_at, member.id));
    let two = there("a limit of two", PageLimit::new(2));
    let first = good("a page of members", teams.members(team.id, None, two).await);
    let rest = good("a page of members", teams.members(team.id, first.next, two).await);
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (2, 1, None));
    let seen: Vec<TeamMember> = first
        .items
        .into_iter()
        .chain(rest.items)
        .map(|record| record.member)
        .collect();
    assert_eq!(seen, expected);
}

async fn an_account_can_leave_every_team(users: &dyn UserStore, teams: &dyn TeamStore) {
    let (one, other) = (founded(teams).await, founded(teams).await);
    let (agent, colleague) = (
        made(users, user(Role::Agent)).await,
        made(users, user(Role::Agent)).await,
    );
    for team in [&one, &other] {
        joined(teams, team, &agent, TeamRole::Lead).await;
        joined(teams, team, &colleague, TeamRole::Agent).await;
    }
    let mut leaving = change(&agent, |user| user.role = Role::User);
    leaving.memberships = MembershipsAfter::LeaveAll;
    good("an account leaves the staff", users.commit(leaving).await);
    for team in [&one, &other] {
        assert_eq!(
            good("a former member", teams.member(team.id, agent.id).await),
            None
        );
        assert!(good("a colleague", teams.member(team.id, colleague.id).await).is_some());
    }

    // Joining beside leaving: whichever comes first, no membership is left.
    let agent = made(users, user(Role::Agent)).await;
    let mut leaving = change(&agent, |user| user.deleted_at = Some(start()));
    leaving.memberships = MembershipsAfter::LeaveAll;
    let (joining, _) = join(&one, &agent, TeamRole::Agent);
    let (left, _) = both(users.commit(leaving), teams.commit_member(joining)).await;
    good("an account is deleted", left);
    assert_eq!(good("no member", teams.member(one.id, agent.id).await), None);
}

async fn a_deleted_team_takes_its_memberships_along(
    users: &dyn UserStore,
    sessions: &dyn SessionStore,
    teams: &dyn TeamStore,
) {
    let (team, agent) = (founded(teams).await, made(users, user(Role::Agent)).await);
    joined(teams, &team, &agent, TeamRole::Lead).await;
    let session = begun(sessions, &agent).await;
    let stale = TeamDeletion {
        team: team.id,
        expected: team.version.next(),
        events: Vec::new(),
    };
    let refused = teams.delete(stale).await;
    assert!(
        matches!(refused, Err(TeamCommitError::Stale)),
        "a deletion decided on an old version: {refused:?}"
    );
    let events = vec![event(IdentityFact::TeamDeleted { team: team.id })];
    let deletion = TeamDeletion {
        team: team.id,
        expected: team.version,
        events,
    };
    good("a team is deleted", teams.delete(deletion.clone()).await);
    assert_eq!(good("a deleted team", teams.team(team.id).await), None);
    let record = there(
        "who is behind it",
        good("who is behind it", sessions.principal(session.id).await),
    );
    assert_eq!(record.person.teams, []);
    let again = teams
        .delete(TeamDeletion {
            events: Vec::new(),
            ..deletion
        })
        .await;
    assert!(
        matches!(again, Err(TeamCommitError::Stale)),
        "a deletion of no team: {again:?}"
    );
}

// --------------------------------------------------------------------------------------------------- set-up

/// What the stores of accounts and of set-up tokens must do around the first and the last administrator. Needs a desk
/// without an acting admin, and to itself; leaves one admin behind.
///
/// # Panics
/// When a promise is broken.
pub async fn empty_desk(users: &dyn UserStore, setup: &dyn SetupStore) {
    a_set_up_token_makes_the_first_admin_once(setup, users).await;
    the_last_acting_admin_stays(users).await;
}

fn offer(minutes: i64) -> SetupOffer {
    SetupOffer {
        token: token_hash(),
        created_at: start(),
        expires_at: start() + Duration::minutes(minutes),
    }
}

fn completion(token: &TokenHash, admin: &User) -> SetupCommit {
    let events = vec![event(IdentityFact::UserCreated { user: admin.id })];
    SetupCommit {
        token: token.clone(),
        at: start() + Duration::minutes(5),
        user: admin.clone(),
        events,
    }
}

async fn a_set_up_token_makes_the_first_admin_once(setup: &dyn SetupStore, users: &dyn UserStore) {
    assert!(
        good("a new desk", setup.is_open().await),
        "a desk without an admin is open"
    );
    let customer = made(users, user(Role::User)).await;
    let mut shut_out = user(Role::Admin);
    shut_out.status = UserStatus::Suspended;
    made(users, shut_out).await;
    assert!(
        good("a desk", setup.is_open().await),
        "an admin who cannot act does not close the desk"
    );

    let (expired, good_one, other_node) = (offer(5), offer(6), offer(6));
    for offer in [&expired, &good_one, &other_node] {
        good("a token is offered", setup.offer(offer.clone()).await);
    }
    for token in [&token_hash(), &expired.token] {
        let refused = setup.complete(completion(token, &user(Role::Admin))).await;
        assert!(
            matches!(refused, Err(SetupCommitError::UnknownToken)),
            "no such token: {refused:?}"
        );
    }
    let mut twin = user(Role::Admin);
    twin.email = customer.email.clone();
    let refused = setup.complete(completion(&good_one.token, &twin)).await;
    assert!(
        matches!(refused, Err(SetupCommitError::EmailTaken)),
        "a taken address: {refused:?}"
    );

    let (first, second) = (user(Role::Admin), user(Role::Admin));
    let (one, other) = both(
        setup.complete(completion(&good_one.token, &first)),
        setup.complete(completion(&other_node.token, &second)),
    )
    .await;
    assert!(
        one.is_ok() != other.is_ok(),
        "of two at once one is the first: {one:?}, {other:?}"
    );
    let (winner, loser) = if one.is_ok() {
        (&first, &second)
    } else {
        (&second, &first)
    };
    assert_eq!(&stored(users, winner.id).await, winner);
    assert_eq!(good("the loser", users.user(loser.id).await), None);
    assert!(!good("a desk with an admin", setup.is_open().await));
    for token in [&good_one.token, &other_node.token] {
        let late = setup.complete(completion(token, &user(Role::Admin))).await;
        assert!(
            matches!(late, Err(SetupCommitError::Closed)),
            "a desk with an admin: {late:?}"
        );
    }
    // The next test begins with no acting admin but its own.
    let spare = made(users, user(Role::Admin)).await;
    let present = stored(users, winner.id).await;
    good(
        "an admin steps down",
        users
            .commit(change(&present, |user| user.role = Role::Agent))
            .await,
    );
    let last = users.commit(change(&spare, |user| user.role = Role::Agent)).await;
    assert!(
        matches!(last, Err(AccountCommitError::LastAdmin)),
        "the last admin steps down: {last:?}"
    );
}

async fn the_last_acting_admin_stays(users: &dyn UserStore) {
    let filter = UserFilter {
        role: Some(Role::Admin),
        status: Some(UserStatus::Active),
        ..UserFilter::default()
    };
    let admins = good("the admins", users.users(filter, None, PageLimit::DEFAULT).await).items;
    let [last] = admins.as_slice() else {
        panic!("one acting admin was left: {admins:?}")
    };
    for shut_out in [
        (|user: &mut User| user.role = Role::User) as fn(&mut User),
        |user| user.status = UserStatus::Suspended,
        |user| user.status = UserStatus::Pending,
        |user| user.deleted_at = Some(start()),
    ] {
        let refused = users.commit(change(last, shut_out)).await;
        assert!(
            matches!(refused, Err(AccountCommitError::LastAdmin)),
            "the last admin goes: {refused:?}"
        );
    }
    assert_eq!(&stored(users, last.id).await, last);
    good(
        "the last admin's name changes",
        users.commit(change(last, |user| user.name = name("Last"))).await,
    );
    let last = stored(users, last.id).await;

    // Two admins who shut each other out at once: one must stay.
    let other = made(users, user(Role::Admin)).await;
    let (one, two) = both(
        users.commit(change(&last, |user| user.status = UserStatus::Suspended)),
        users.commit(change(&other, |user| user.deleted_at = Some(start()))),
    )
    .await;
    assert!(
        one.is_ok() != two.is_ok(),
        "of the last two admins one stays: {one:?}, {two:?}"
    );
    let refused = if one.is_ok() { two } else { one };
    assert!(
        matches!(refused, Err(AccountCommitError::LastAdmin)),
        "why it stays: {refused:?}"
    );
}

//! The suite that every store of sign-ons must pass. It makes its own data, unlike any other, so that it can run on a
//! shared database. A failure panics and says which promise was broken.

use std::fmt::Debug;

use chrono::Duration;
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{EventId, Role, UserId};

use super::builders::{email, session, start, token_hash, unique_id, user};
use crate::ports::{
    AccountCommit, Expected, LinkChange, MembershipsAfter, PendingSignOn, Proof, Sealed, SessionBegin,
    SessionStore, SignOnCommit, SignOnCommitError, SignOnStore, SignOnToken, UserStore, WaysIn,
};
use crate::sign_on::{ExternalIdentity, ProviderId, Subject};
use crate::user::{User, UserStatus};
use crate::value::PasswordHash;

fn good<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

fn there<T>(what: &str, value: Option<T>) -> T {
    match value {
        Some(value) => value,
        None => panic!("{what}: not there"),
    }
}

fn provider(name: &str) -> ProviderId {
    there("a provider's id", ProviderId::parse(name))
}

fn subject() -> Subject {
    there("a subject", Subject::parse(&unique_id().to_string()))
}

fn link(user: UserId, at_provider: &str) -> ExternalIdentity {
    ExternalIdentity {
        provider: provider(at_provider),
        subject: subject(),
        user,
        email: Some("Robin@Example.com".to_owned()),
        created_at: start(),
        last_used_at: Some(start()),
    }
}

fn commit(user: &User, expected: Expected, link: LinkChange) -> SignOnCommit {
    SignOnCommit {
        user: user.clone(),
        expected,
        link,
        ways_in: WaysIn::Keep,
        memberships: MembershipsAfter::Keep,
        events: Vec::new(),
    }
}

fn pending(kind: SignOnToken) -> PendingSignOn {
    PendingSignOn {
        kind,
        token: token_hash(),
        sealed: Sealed::from_stored("sealed"),
        created_at: start(),
        expires_at: start() + Duration::minutes(10),
    }
}

async fn made(users: &dyn UserStore, user: &User) {
    let commit = AccountCommit::of(user.clone(), Expected::Absent);
    good("an account is made", users.commit(commit).await);
}

async fn stored(users: &dyn UserStore, id: UserId) -> User {
    there("the account", good("accounts are read", users.user(id).await))
}

/// All that [`SignOnStore`] promises.
pub async fn sign_on_store(store: &dyn SignOnStore, users: &dyn UserStore, sessions: &dyn SessionStore) {
    tokens(store).await;
    newcomers(store, users).await;
    links(store, users).await;
    ways_in(store, users, sessions).await;
    events(store).await;
}

async fn tokens(store: &dyn SignOnStore) {
    for kind in SignOnToken::ALL {
        let one = pending(kind);
        good("a token is remembered", store.remember(one.clone()).await);
        for other in SignOnToken::ALL.into_iter().filter(|other| *other != kind) {
            let spent = good("a token is spent", store.spend(other, &one.token, start()).await);
            assert_eq!(spent, None, "a token is of one kind");
        }
        let spent = good("a token is spent", store.spend(kind, &one.token, start()).await);
        assert_eq!(spent.as_ref().map(Sealed::as_str), Some("sealed"));
        let again = good("a token is spent", store.spend(kind, &one.token, start()).await);
        assert_eq!(again, None, "a token is good once");
        let late = pending(kind);
        good("a token is remembered", store.remember(late.clone()).await);
        let spent = good(
            "a token is spent",
            store.spend(kind, &late.token, late.expires_at).await,
        );
        assert_eq!(spent, None, "a token ends");
    }
    let unknown = good(
        "a token is spent",
        store.spend(SignOnToken::State, &token_hash(), start()).await,
    );
    assert_eq!(unknown, None);

    let kept = pending(SignOnToken::State);
    good("a token is remembered", store.remember(kept.clone()).await);
    good("tokens are forgotten", store.forget(kept.expires_at, 1_000).await);
    let spent = good(
        "a token is spent",
        store.spend(kept.kind, &kept.token, start()).await,
    );
    assert!(spent.is_some(), "a token is kept until its time is over");
    let over = pending(SignOnToken::Handover);
    good("a token is remembered", store.remember(over.clone()).await);
    let forgotten = store.forget(over.expires_at + Duration::seconds(1), 1_000).await;
    assert!(
        good("tokens are forgotten", forgotten) >= 1,
        "what is over is forgotten"
    );
    let spent = good(
        "a token is spent",
        store.spend(over.kind, &over.token, start()).await,
    );
    assert_eq!(spent, None);
}

async fn newcomers(store: &dyn SignOnStore, users: &dyn UserStore) {
    let mut new = user(Role::Agent);
    new.password_hash = PasswordHash::unset();
    new.email_verified_at = Some(start());
    let identity = link(new.id, "one");
    let make = commit(&new, Expected::Absent, LinkChange::Add(identity.clone()));
    good("an account with a link is made", store.commit(make).await);
    assert_eq!(stored(users, new.id).await, new, "every field is stored");
    let found = store.linked(&identity.provider, &identity.subject).await;
    assert_eq!(good("a link is followed", found), Some(new.clone()));
    let none = store.linked(&provider("two"), &identity.subject).await;
    assert_eq!(
        good("a link is followed", none),
        None,
        "a subject is one provider's"
    );
    let links = store.links(new.id).await;
    assert_eq!(good("links are read", links), std::slice::from_ref(&identity));

    let mut rival = user(Role::User);
    rival.email = new.email.clone();
    let same_address = commit(&rival, Expected::Absent, LinkChange::Add(link(rival.id, "one")));
    let refused = store.commit(same_address).await;
    assert!(
        matches!(refused, Err(SignOnCommitError::Stale)),
        "an address is one account's: {refused:?}"
    );
    rival.email = email(&format!("{}@example.com", rival.id.0.simple()));
    let same_person = ExternalIdentity {
        user: rival.id,
        ..identity
    };
    let refused = store
        .commit(commit(&rival, Expected::Absent, LinkChange::Add(same_person)))
        .await;
    assert!(
        matches!(refused, Err(SignOnCommitError::Stale)),
        "a person at a provider is one account: {refused:?}"
    );
    let nothing = users.user(rival.id).await;
    assert_eq!(
        good("accounts are read", nothing),
        None,
        "a refused commit stores nothing"
    );
}

async fn links(store: &dyn SignOnStore, users: &dyn UserStore) {
    let person = user(Role::User);
    made(users, &person).await;
    let first = link(person.id, "one");
    let changed = User {
        role: Role::Agent,
        version: person.version.next(),
        ..person.clone()
    };
    let add = commit(
        &changed,
        Expected::Version(person.version),
        LinkChange::Add(first.clone()),
    );
    good("a link is added", store.commit(add.clone()).await);
    assert_eq!(stored(users, person.id).await.role, Role::Agent);
    let again = store.commit(add).await;
    assert!(matches!(again, Err(SignOnCommitError::Stale)), "{again:?}");

    let used = ExternalIdentity {
        email: None,
        last_used_at: Some(start() + Duration::hours(1)),
        created_at: start() + Duration::hours(1),
        ..first.clone()
    };
    let stays = Expected::Version(changed.version);
    let usage = commit(&changed, stays, LinkChange::Used(used.clone()));
    good("a link is used", store.commit(usage).await);
    let kept = ExternalIdentity {
        created_at: first.created_at,
        ..used
    };
    let second = ExternalIdentity {
        created_at: start() + Duration::hours(2),
        ..link(person.id, "two")
    };
    let next = User {
        version: changed.version.next(),
        ..changed.clone()
    };
    let add = commit(
        &next,
        Expected::Version(changed.version),
        LinkChange::Add(second.clone()),
    );
    good("a second link is added", store.commit(add).await);
    let both = good("links are read", store.links(person.id).await);
    assert_eq!(both, [kept, second.clone()], "oldest first");

    let last = User {
        version: next.version.next(),
        ..next.clone()
    };
    let remove = commit(
        &last,
        Expected::Version(next.version),
        LinkChange::Remove(provider("one")),
    );
    good("a link is removed", store.commit(remove).await);
    assert_eq!(good("links are read", store.links(person.id).await), [second]);
    let gone = store.linked(&first.provider, &first.subject).await;
    assert_eq!(good("a link is followed", gone), None);
}

async fn ways_in(store: &dyn SignOnStore, users: &dyn UserStore, sessions: &dyn SessionStore) {
    let mut person = user(Role::User);
    person.status = UserStatus::Active;
    person.two_factor_enabled = true;
    made(users, &person).await;
    let began = session(&person);
    let begin = SessionBegin {
        session: began.clone(),
        proof: Proof::SignOn,
        events: Vec::new(),
    };
    good("a session begins", sessions.begin(begin).await);
    let person = stored(users, person.id).await;
    let old = link(person.id, "one");
    let linked = User {
        version: person.version.next(),
        ..person.clone()
    };
    let add = commit(
        &linked,
        Expected::Version(person.version),
        LinkChange::Add(old.clone()),
    );
    good("a link is added", store.commit(add).await);

    let at = start() + Duration::hours(1);
    let theirs = User {
        password_hash: PasswordHash::unset(),
        email_verified_at: Some(at),
        two_factor_enabled: false,
        version: linked.version.next(),
        ..linked.clone()
    };
    let new = link(person.id, "two");
    let take = SignOnCommit {
        ways_in: WaysIn::Close { at },
        ..commit(
            &theirs,
            Expected::Version(linked.version),
            LinkChange::Add(new.clone()),
        )
    };
    good("an account is taken over", store.commit(take).await);
    let now = stored(users, person.id).await;
    assert_eq!(now.password_hash, PasswordHash::unset());
    assert_eq!((now.email_verified_at, now.two_factor_enabled), (Some(at), false));
    assert_eq!(
        now.last_login_at, person.last_login_at,
        "the last login is left alone"
    );
    let ended = good("a session is read", sessions.session(began.id).await);
    assert_eq!(there("the session", ended).revoked_at, Some(at), "sessions end");
    assert_eq!(
        good("links are read", store.links(person.id).await),
        [new],
        "other links go"
    );
}

async fn events(store: &dyn SignOnStore) {
    let fact = IdentityFact::SignInRefused {
        user: None,
        reason: "sso".to_owned(),
    };
    let event = Event {
        id: EventId(unique_id()),
        at: start(),
        cause: Cause::System("sign_on".to_owned()),
        origin: None,
        chain: None,
        fact: Fact::Identity(fact),
    };
    good("an event is published", store.publish(vec![event]).await);
}

//! The suites of second factors, of the challenges of logins, and of the security settings.

use chrono::{DateTime, Duration, Utc};
use events::IdentityFact;
use kernel::{Client, Role, UserId, Version};

use super::{both, event, good, made, receipt, stored, there};
use crate::ports::{
    BeginError, CodesReplacement, Confirmation, Enrolment, FactorUse, LoginChallenge, Proof, RemovalProof,
    Sealed, SecurityCommit, SecurityCommitError, SecurityStore, SessionBegin, SessionStore, SessionsAfter,
    TwoFactorCommitError, TwoFactorRecord, TwoFactorRemoval, TwoFactorStore, UserStore,
};
use crate::session::{Session, SignInMethod, TokenHash};
use crate::testing::builders::{session, start, token_hash, unique_id, user};
use crate::two_factor::{SecuritySettings, TwoFactorRule};
use crate::user::User;
use crate::value::PasswordHash;

/// The step whose code confirmed the factors of this suite.
const STEP: i64 = 1_000;

struct Stores<'a> {
    users: &'a dyn UserStore,
    sessions: &'a dyn SessionStore,
    factors: &'a dyn TwoFactorStore,
}

/// Checks a store of second factors. It makes its own data.
///
/// # Panics
/// When the store breaks a promise.
pub async fn two_factor_store(
    users: &dyn UserStore,
    sessions: &dyn SessionStore,
    factors: &dyn TwoFactorStore,
) {
    let stores = Stores {
        users,
        sessions,
        factors,
    };
    a_factor_is_enrolled_until_it_is_confirmed(&stores).await;
    a_code_and_a_recovery_code_begin_one_session(&stores).await;
    a_password_alone_begins_none_where_a_factor_is_enabled(&stores).await;
    a_refused_login_uses_nothing_up(&stores).await;
    codes_are_replaced(&stores).await;
    a_factor_is_taken_away(&stores).await;
    a_challenge_is_tried_so_often_and_spent_once(&stores).await;
    secrets_are_sealed_anew(&stores).await;
    an_address_is_known_from_which_the_account_was_used(&stores).await;
}

fn sealed(text: &str) -> Sealed {
    Sealed::from_stored(format!("v1.abcdefgh.{text}"))
}

impl Stores<'_> {
    async fn person(&self) -> User {
        made(self.users, user(Role::Agent)).await
    }

    /// Someone with a second factor, and the recovery codes' hashes.
    async fn protected(&self) -> (User, Vec<TokenHash>) {
        let person = self.person().await;
        let enrolled = self.factors.enroll(enrolment(&person, "secret")).await;
        good("a factor is enrolled", enrolled);
        let confirmation = confirmation(&person, "secret");
        let codes = confirmation.codes.clone();
        good("a factor is confirmed", self.factors.confirm(confirmation).await);
        (stored(self.users, person.id).await, codes)
    }

    async fn record(&self, user: UserId) -> TwoFactorRecord {
        let record = good("a factor is read", self.factors.two_factor(user).await);
        there("the account's factor", record)
    }

    async fn begin(&self, person: &User, proof: Proof) -> Result<Session, BeginError> {
        let mut session = session(person);
        session.method = SignInMethod::PasswordAndCode;
        let begin = SessionBegin {
            session: session.clone(),
            proof,
            events: Vec::new(),
        };
        self.sessions.begin(begin).await.map(|()| session)
    }
}

fn enrolment(person: &User, secret: &str) -> Enrolment {
    Enrolment {
        user: person.id,
        password: person.password_hash.clone(),
        secret: sealed(secret),
        at: start(),
    }
}

fn confirmation(person: &User, secret: &str) -> Confirmation {
    Confirmation {
        user: person.id,
        secret: sealed(secret),
        step: STEP,
        codes: vec![token_hash(), token_hash(), token_hash()],
        at: start(),
        events: vec![event(IdentityFact::TwoFactorEnabled { user: person.id })],
    }
}

fn code(step: i64) -> FactorUse {
    FactorUse::Code {
        secret: sealed("secret"),
        step,
    }
}

fn proof(person: &User, factor: FactorUse) -> Proof {
    Proof::PasswordAndFactor {
        password: person.password_hash.clone(),
        factor,
        challenge: None,
    }
}

#[track_caller]
fn assert_stale<T: std::fmt::Debug>(what: &str, result: Result<T, TwoFactorCommitError>) {
    assert!(
        matches!(result, Err(TwoFactorCommitError::Stale)),
        "{what}: {result:?}"
    );
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(what: &str, result: Result<T, BeginError>) {
    assert!(matches!(result, Err(BeginError::Refused)), "{what}: {result:?}");
}

async fn a_factor_is_enrolled_until_it_is_confirmed(stores: &Stores<'_>) {
    let person = stores.person().await;
    assert_eq!(stores.record(person.id).await, TwoFactorRecord::default());
    let nobody = good(
        "nobody's factor is read",
        stores.factors.two_factor(UserId(unique_id())).await,
    );
    assert_eq!(nobody, None);
    let other_password = Enrolment {
        password: PasswordHash::from_phc("another"),
        ..enrolment(&person, "a")
    };
    assert_stale("another password", stores.factors.enroll(other_password).await);
    for secret in ["a", "b"] {
        let enrolled = stores.factors.enroll(enrolment(&person, secret)).await;
        good("a factor is enrolled, again too", enrolled);
        let record = stores.record(person.id).await;
        assert_eq!((record.secret, record.enabled), (Some(sealed(secret)), false));
    }
    let after = stored(stores.users, person.id).await;
    assert!(after.version > person.version && !after.two_factor_enabled);
    assert_stale(
        "a secret before",
        stores.factors.confirm(confirmation(&person, "a")).await,
    );
    let (one, other) = both(
        stores.factors.confirm(confirmation(&person, "b")),
        stores.factors.confirm(confirmation(&person, "b")),
    )
    .await;
    assert!(one.is_ok() != other.is_ok(), "one confirms: {one:?} {other:?}");
    let record = stores.record(person.id).await;
    assert_eq!(
        (record.enabled, record.last_step, record.codes_left),
        (true, Some(STEP), 3)
    );
    let enabled = stored(stores.users, person.id).await;
    assert!(enabled.two_factor_enabled && enabled.version > after.version);
    assert_stale(
        "confirmed already",
        stores.factors.confirm(confirmation(&person, "b")).await,
    );
    assert_stale(
        "enabled already",
        stores.factors.enroll(enrolment(&person, "c")).await,
    );
}

async fn a_code_and_a_recovery_code_begin_one_session(stores: &Stores<'_>) {
    let (person, codes) = stores.protected().await;
    for step in [STEP, STEP - 1] {
        let used = stores.begin(&person, proof(&person, code(step))).await;
        assert_refused("a code of a step that was used", used);
    }
    for factor in [code(STEP + 1), FactorUse::RecoveryCode(codes[0].clone())] {
        let (one, other) = both(
            stores.begin(&person, proof(&person, factor.clone())),
            stores.begin(&person, proof(&person, factor.clone())),
        )
        .await;
        assert!(one.is_ok() != other.is_ok(), "one is let in: {one:?} {other:?}");
        assert_refused("once more", stores.begin(&person, proof(&person, factor)).await);
    }
    let record = stores.record(person.id).await;
    assert_eq!((record.last_step, record.codes_left), (Some(STEP + 1), 2));
    let is_known = async |code: &TokenHash| {
        good(
            "a code is looked for",
            stores.factors.has_recovery_code(person.id, code).await,
        )
    };
    assert!(!is_known(&codes[0]).await && is_known(&codes[1]).await && !is_known(&token_hash()).await);
    let (other, _) = stores.protected().await;
    let anothers = FactorUse::RecoveryCode(codes[1].clone());
    assert_refused(
        "another's code",
        stores.begin(&other, proof(&other, anothers)).await,
    );
}

async fn a_password_alone_begins_none_where_a_factor_is_enabled(stores: &Stores<'_>) {
    let (person, _) = stores.protected().await;
    let password = Proof::Password(person.password_hash.clone());
    assert_refused("a password alone", stores.begin(&person, password).await);
    good("a provider's word", stores.begin(&person, Proof::SignOn).await);
}

async fn a_refused_login_uses_nothing_up(stores: &Stores<'_>) {
    let (person, codes) = stores.protected().await;
    let wrong = |factor| Proof::PasswordAndFactor {
        password: PasswordHash::from_phc("another"),
        factor,
        challenge: None,
    };
    for factor in [code(STEP + 1), FactorUse::RecoveryCode(codes[0].clone())] {
        assert_refused("another password", stores.begin(&person, wrong(factor)).await);
    }
    let other_secret = FactorUse::Code {
        secret: sealed("other"),
        step: STEP + 1,
    };
    assert_refused(
        "another secret",
        stores.begin(&person, proof(&person, other_secret)).await,
    );
    let unknown = Proof::PasswordAndFactor {
        password: person.password_hash.clone(),
        factor: FactorUse::RecoveryCode(codes[0].clone()),
        challenge: Some(token_hash()),
    };
    assert_refused("an unknown challenge", stores.begin(&person, unknown).await);
    let record = stores.record(person.id).await;
    assert_eq!((record.last_step, record.codes_left), (Some(STEP), 3));
    assert_eq!(stored(stores.users, person.id).await, person);
}

async fn codes_are_replaced(stores: &Stores<'_>) {
    let (person, codes) = stores.protected().await;
    let fresh = vec![token_hash(), token_hash()];
    let replacement = |factor: FactorUse| CodesReplacement {
        user: person.id,
        password: person.password_hash.clone(),
        factor,
        codes: fresh.clone(),
        at: start(),
        events: Vec::new(),
    };
    assert_stale(
        "a used code",
        stores.factors.replace_codes(replacement(code(STEP))).await,
    );
    assert_eq!(stores.record(person.id).await.codes_left, 3);
    good(
        "codes are replaced",
        stores.factors.replace_codes(replacement(code(STEP + 1))).await,
    );
    assert_eq!(stores.record(person.id).await.codes_left, 2);
    for (code, known) in [(&codes[0], false), (&fresh[0], true)] {
        let found = stores.factors.has_recovery_code(person.id, code).await;
        assert_eq!(good("a code is looked for", found), known);
    }
    // A recovery code that pays for the new ones is not among them.
    let pays = replacement(FactorUse::RecoveryCode(fresh[0].clone()));
    let pays = CodesReplacement {
        codes: vec![token_hash()],
        ..pays
    };
    good(
        "a recovery code does, too",
        stores.factors.replace_codes(pays.clone()).await,
    );
    assert_eq!(stores.record(person.id).await.codes_left, 1);
    assert_stale("and once", stores.factors.replace_codes(pays).await);
}

async fn a_factor_is_taken_away(stores: &Stores<'_>) {
    let removal = |person: &User, proof| TwoFactorRemoval {
        user: person.id,
        proof,
        sessions: SessionsAfter::RevokeAll { at: start() },
        at: start(),
        events: vec![event(IdentityFact::TwoFactorDisabled { user: person.id })],
        receipt: Some(receipt(person.id)),
    };
    let owner = |person: &User, factor| RemovalProof::Owner {
        password: person.password_hash.clone(),
        factor,
    };
    let (person, codes) = stores.protected().await;
    let used = stores
        .factors
        .remove(removal(&person, owner(&person, code(STEP))))
        .await;
    assert_stale("a used code", used);
    let session = good(
        "a session",
        stores.begin(&person, proof(&person, code(STEP + 1))).await,
    );
    let by_recovery = owner(&person, FactorUse::RecoveryCode(codes[0].clone()));
    good(
        "the owner may",
        stores.factors.remove(removal(&person, by_recovery)).await,
    );
    assert_eq!(stores.record(person.id).await, TwoFactorRecord::default());
    assert!(!stored(stores.users, person.id).await.two_factor_enabled);
    let session = good("the session is read", stores.sessions.session(session.id).await);
    assert_eq!(there("the session", session).revoked_at, Some(start()));
    let again = stores.factors.remove(removal(&person, RemovalProof::Admin)).await;
    assert_stale("there is none", again);

    let (person, _) = stores.protected().await;
    let by_admin = removal(&person, RemovalProof::Admin);
    good(
        "an administrator may",
        stores.factors.remove(by_admin.clone()).await,
    );
    let repeated = stores.factors.remove(by_admin).await;
    assert!(
        matches!(
            repeated,
            Err(TwoFactorCommitError::Stale | TwoFactorCommitError::Repeated)
        ),
        "{repeated:?}"
    );
    // What was enrolled before anew is asked for nothing yet, and confirmed by any step.
    good(
        "it is enrolled anew",
        stores.factors.enroll(enrolment(&person, "new")).await,
    );
    good(
        "and confirmed",
        stores.factors.confirm(confirmation(&person, "new")).await,
    );
}

fn challenge(person: &User) -> LoginChallenge {
    LoginChallenge {
        token: token_hash(),
        user: person.id,
        password: sealed("password"),
        created_at: start(),
        expires_at: start() + Duration::minutes(5),
    }
}

async fn a_challenge_is_tried_so_often_and_spent_once(stores: &Stores<'_>) {
    let (person, codes) = stores.protected().await;
    let given = challenge(&person);
    good(
        "a challenge is stored",
        stores.factors.challenge(given.clone()).await,
    );
    let tried = async |token: &TokenHash, now: DateTime<Utc>| {
        good(
            "a challenge is tried",
            stores.factors.try_challenge(token, now, 2).await,
        )
    };
    assert_eq!(tried(&token_hash(), start()).await, None, "an unknown one");
    assert_eq!(
        tried(&given.token, given.expires_at).await,
        None,
        "one that is over"
    );
    let last = given.expires_at - Duration::microseconds(1);
    assert_eq!(tried(&given.token, last).await, Some(given.clone()));
    assert_eq!(tried(&given.token, start()).await, Some(given.clone()));
    assert_eq!(tried(&given.token, start()).await, None, "tried too often");

    let given = challenge(&person);
    good(
        "a challenge is stored",
        stores.factors.challenge(given.clone()).await,
    );
    let answer = |code: &TokenHash| Proof::PasswordAndFactor {
        password: person.password_hash.clone(),
        factor: FactorUse::RecoveryCode(code.clone()),
        challenge: Some(given.token.clone()),
    };
    let (one, other) = both(
        stores.begin(&person, answer(&codes[0])),
        stores.begin(&person, answer(&codes[1])),
    )
    .await;
    assert!(one.is_ok() != other.is_ok(), "one is let in: {one:?} {other:?}");
    assert_eq!(
        stores.record(person.id).await.codes_left,
        2,
        "the other code is unused"
    );
    assert_eq!(tried(&given.token, start()).await, None, "spent");

    let old = challenge(&person);
    good(
        "a challenge is stored",
        stores.factors.challenge(old.clone()).await,
    );
    let forgotten = async |before| {
        good(
            "challenges are forgotten",
            stores.factors.forget_challenges(before, 1_000).await,
        )
    };
    forgotten(old.expires_at).await;
    assert!(tried(&old.token, start()).await.is_some(), "not yet over");
    assert!(forgotten(old.expires_at + Duration::seconds(1)).await > 0);
    assert_eq!(tried(&old.token, start()).await, None, "forgotten");
}

async fn secrets_are_sealed_anew(stores: &Stores<'_>) {
    let (person, _) = stores.protected().await;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = good(
            "secrets are listed",
            stores.factors.sealed_secrets(after, 2).await,
        );
        after = page.last().map(|(user, _)| *user);
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    assert!(rows.is_sorted_by_key(|(user, _)| user.0), "in the order of ids");
    assert!(rows.contains(&(person.id, sealed("secret"))));
    for (from, done) in [("secret", true), ("secret", false)] {
        let resealed = stores
            .factors
            .reseal(person.id, &sealed(from), &sealed("anew"))
            .await;
        assert_eq!(good("a secret is sealed anew", resealed), done);
    }
    let record = stores.record(person.id).await;
    assert_eq!(
        (record.secret, record.last_step),
        (Some(sealed("anew")), Some(STEP))
    );
    assert_eq!((record.enabled, record.codes_left), (true, 3));
}

async fn an_address_is_known_from_which_the_account_was_used(stores: &Stores<'_>) {
    let person = stores.person().await;
    for ip in ["192.0.2.7", "2001:db8:1:2:3::4"] {
        let mut session = session(&person);
        session.client = Client::new(None, ip.parse().ok());
        let begin = SessionBegin {
            session,
            proof: Proof::Password(person.password_hash.clone()),
            events: vec![event(IdentityFact::SessionsEnded {
                user: person.id,
                session: None,
            })],
        };
        good("a login", stores.sessions.begin(begin).await);
    }
    let knows = async |user: UserId, ip: &str, since: DateTime<Utc>| {
        let Ok(ip) = ip.parse() else {
            panic!("no address: {ip}");
        };
        good(
            "an address is looked for",
            stores.sessions.has_signed_in_from(user, ip, since).await,
        )
    };
    for (ip, known) in [
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8:1:2::", true),
        ("2001:db8:1:3::", false),
    ] {
        assert_eq!(knows(person.id, ip, start()).await, known, "{ip}");
    }
    assert!(
        !knows(person.id, "192.0.2.7", start() + Duration::seconds(1)).await,
        "too long ago"
    );
    assert!(
        !knows(UserId(unique_id()), "192.0.2.7", start()).await,
        "another's"
    );
    let refusal = IdentityFact::SignInRefused {
        user: None,
        reason: "unknown".to_owned(),
    };
    good(
        "a refusal is recorded",
        stores.sessions.refuse(vec![event(refusal)]).await,
    );
}

/// Checks a store of security settings, on a world where they were never set.
///
/// # Panics
/// When the store breaks a promise.
pub async fn security_store(
    users: &dyn UserStore,
    sessions: &dyn SessionStore,
    security: &dyn SecurityStore,
) {
    let read = async || good("the settings are read", security.security().await);
    assert_eq!(read().await, SecuritySettings::default());
    let person = made(users, user(Role::Admin)).await;
    let began = session(&person);
    let begin = SessionBegin {
        session: began.clone(),
        proof: Proof::Password(person.password_hash.clone()),
        events: Vec::new(),
    };
    good("a login", sessions.begin(begin).await);
    let rule = async || {
        let record = good("a principal is read", sessions.principal(began.id).await);
        there("the principal", record).two_factor_rule
    };
    assert_eq!(rule().await, TwoFactorRule::Nobody);
    let commit = |expected: Version, rule| SecurityCommit {
        settings: SecuritySettings {
            require_two_factor: rule,
            version: expected.next(),
        },
        expected,
        at: start(),
        events: vec![event(IdentityFact::SecuritySettingsChanged {
            settings: Vec::new(),
        })],
        receipt: Some(receipt(person.id)),
    };
    let first = Version::FIRST;
    let (one, other) = both(
        security.commit(commit(first, TwoFactorRule::Staff)),
        security.commit(commit(first, TwoFactorRule::Staff)),
    )
    .await;
    assert!(one.is_ok() != other.is_ok(), "one is stored: {one:?} {other:?}");
    let after = read().await;
    assert_eq!(
        (after.require_two_factor, after.version),
        (TwoFactorRule::Staff, first.next())
    );
    assert_eq!(rule().await, TwoFactorRule::Staff, "principals have it");
    let stale = security.commit(commit(first, TwoFactorRule::Nobody)).await;
    assert!(matches!(stale, Err(SecurityCommitError::Stale)), "{stale:?}");
    let next = commit(after.version, TwoFactorRule::Admins);
    good("the next change", security.commit(next.clone()).await);
    assert_eq!(rule().await, TwoFactorRule::Admins);
    let again = SecurityCommit {
        expected: next.settings.version,
        settings: SecuritySettings {
            version: next.settings.version,
            ..next.settings
        },
        ..next.clone()
    };
    let repeated = security.commit(again.clone()).await;
    assert!(
        matches!(repeated, Err(SecurityCommitError::Repeated)),
        "{repeated:?}"
    );
    let receipt_alone = SecurityCommit {
        receipt: Some(receipt(person.id)),
        events: Vec::new(),
        ..again
    };
    good("a receipt alone", security.commit(receipt_alone).await);
    assert_eq!(read().await, next.settings);
}

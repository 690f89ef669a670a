//! What a store of one-time tokens must do.

use chrono::{DateTime, Duration, Utc};
use events::IdentityFact;
use kernel::{Role, UserId};

use super::{both, change, event, good, made, stored, there};
use crate::ports::{
    AccountCommit, AccountCommitError, CredentialsAfter, IssueBound, OneTimeToken, OneTimeTokenId,
    OneTimeTokens, OtherTokens, TokenIssue, TokenKind, TokenSpend, UserStore,
};
use crate::testing::builders::{email, name, start, token_hash, unique_id, user};
use crate::user::User;

/// What a store of one-time tokens must do on any database, together with the store of accounts beside it.
///
/// # Panics
/// When a promise is broken.
pub async fn one_time_tokens(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    a_token_reads_back_as_it_was_issued(users, tokens).await;
    a_new_token_takes_the_place_of_those_of_its_kind(users, tokens).await;
    a_token_beyond_the_bound_is_of_no_use(users, tokens).await;
    a_token_is_spent_once_and_with_its_change(users, tokens).await;
    of_two_who_show_a_token_at_once_one_succeeds(users, tokens).await;
    a_commit_issues_and_removes_tokens(users, tokens).await;
    expired_tokens_are_forgotten(users, tokens).await;
}

fn token(kind: TokenKind, owner: Option<&User>) -> OneTimeToken {
    OneTimeToken {
        id: OneTimeTokenId(unique_id()),
        kind,
        user: owner.map(|owner| owner.id),
        email: owner.map(|owner| owner.email.clone()),
        sha256: token_hash(),
        created_at: start(),
        expires_at: start() + kind.life(),
        used_at: None,
    }
}

fn issue(token: OneTimeToken) -> TokenIssue {
    TokenIssue {
        bound: IssueBound {
            issued_max: 100,
            since: start() - Duration::hours(1),
        },
        supersedes: None,
        events: vec![event(IdentityFact::MailAsked { token: token.id.0 })],
        token,
    }
}

fn spend(token: &OneTimeToken, others: OtherTokens, at: DateTime<Utc>) -> Option<TokenSpend> {
    Some(TokenSpend {
        shown: Some(token.id),
        others,
        at,
    })
}

async fn kept(tokens: &dyn OneTimeTokens, id: OneTimeTokenId) -> OneTimeToken {
    there("a token", good("a token is read", tokens.token(id).await))
}

async fn issued(tokens: &dyn OneTimeTokens, kind: TokenKind, owner: &User) -> OneTimeToken {
    let token = token(kind, Some(owner));
    good("a token is issued", tokens.issue(issue(token.clone())).await);
    token
}

async fn used_at(tokens: &dyn OneTimeTokens, token: &OneTimeToken) -> Option<DateTime<Utc>> {
    kept(tokens, token.id).await.used_at
}

async fn a_token_reads_back_as_it_was_issued(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let account = made(users, user(Role::User)).await;
    for kind in TokenKind::ALL {
        for owner in [Some(&account), None] {
            let mut token = token(kind, owner);
            token.email = owner.map(|_| email("new@example.com"));
            good("a token is issued", tokens.issue(issue(token.clone())).await);
            assert_eq!(kept(tokens, token.id).await, token);
            let shown = good("a token is shown", tokens.shown(&token.sha256).await);
            assert_eq!(shown, Some(token));
        }
    }
    let unknown = good("an unknown token", tokens.shown(&token_hash()).await);
    assert_eq!(unknown, None);
    let unknown = tokens.token(OneTimeTokenId(unique_id())).await;
    assert_eq!(good("an unknown id", unknown), None);
}

async fn a_new_token_takes_the_place_of_those_of_its_kind(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let (account, other) = (
        made(users, user(Role::User)).await,
        made(users, user(Role::User)).await,
    );
    let first = issued(tokens, TokenKind::ResetPassword, &account).await;
    let of_other_kind = issued(tokens, TokenKind::VerifyEmail, &account).await;
    let of_other = issued(tokens, TokenKind::ResetPassword, &other).await;
    let second = issued(tokens, TokenKind::ResetPassword, &account).await;
    assert_eq!(used_at(tokens, &first).await, Some(second.created_at));
    for open in [&of_other_kind, &of_other, &second] {
        assert_eq!(used_at(tokens, open).await, None);
    }
    let mut notice = issue(token(TokenKind::AddressNotice, Some(&other)));
    notice.supersedes = Some((account.id, TokenKind::VerifyEmail));
    good("a token supersedes another's", tokens.issue(notice).await);
    assert!(used_at(tokens, &of_other_kind).await.is_some());
    assert_eq!(used_at(tokens, &second).await, None);
    assert_eq!(used_at(tokens, &of_other).await, None);
}

async fn a_token_beyond_the_bound_is_of_no_use(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let account = made(users, user(Role::User)).await;
    let bounded = |created_at| {
        let mut token = token(TokenKind::ResetPassword, Some(&account));
        token.created_at = created_at;
        let mut issue = issue(token);
        issue.bound = IssueBound {
            issued_max: 2,
            since: created_at - Duration::hours(1),
        };
        issue
    };
    let mut last = None;
    for _ in 0..2 {
        let issue = bounded(start());
        last = Some(issue.token.id);
        good("a token within the bound", tokens.issue(issue).await);
    }
    let beyond = bounded(start() + Duration::minutes(59));
    let id = beyond.token.id;
    good("a token beyond the bound", tokens.issue(beyond).await);
    let of_no_use = kept(tokens, id).await;
    assert_eq!((of_no_use.user, of_no_use.email), (None, None));
    let last = kept(tokens, there("the last token", last)).await;
    assert_eq!((last.user, last.used_at), (Some(account.id), None));
    let later = bounded(start() + Duration::minutes(61));
    let id = later.token.id;
    good("a token an hour later", tokens.issue(later).await);
    assert_eq!(kept(tokens, id).await.user, Some(account.id));
}

async fn a_token_is_spent_once_and_with_its_change(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let account = made(users, user(Role::User)).await;
    let other = made(users, user(Role::User)).await;
    let shown = issued(tokens, TokenKind::ResetPassword, &account).await;
    let beside = issued(tokens, TokenKind::ChangeEmail, &account).await;
    let of_other = issued(tokens, TokenKind::ResetPassword, &other).await;
    let at = start() + Duration::minutes(1);

    let refusals = [
        // Somebody else's, one that is not there, and one that has expired.
        spend(&of_other, OtherTokens::All, at),
        spend(&token(TokenKind::ResetPassword, None), OtherTokens::All, at),
        spend(&shown, OtherTokens::All, shown.expires_at),
    ];
    for spends in refusals {
        let commit = AccountCommit {
            spends,
            ..change(&account, |user| user.name = name("Refused"))
        };
        let refused = users.commit(commit).await;
        assert!(
            matches!(refused, Err(AccountCommitError::TokenSpent)),
            "a token that does not do: {refused:?}"
        );
    }
    let stale = AccountCommit {
        spends: spend(&shown, OtherTokens::All, at),
        ..change(&user_with(account.id), |_| {})
    };
    let stale = AccountCommit {
        user: User {
            version: account.version.next().next(),
            ..stale.user
        },
        expected: crate::ports::Expected::Version(account.version.next()),
        ..stale
    };
    assert!(matches!(
        users.commit(stale).await,
        Err(AccountCommitError::Stale)
    ));
    assert_eq!(stored(users, account.id).await, account);
    for open in [&shown, &beside, &of_other] {
        assert_eq!(
            used_at(tokens, open).await,
            None,
            "a refused commit spends nothing"
        );
    }

    let commit = |account: &User, others| AccountCommit {
        spends: spend(&shown, others, at),
        ..change(account, |user| user.name = name("Changed"))
    };
    let of_kind = OtherTokens::OfKind(TokenKind::VerifyEmail);
    good("a token is spent", users.commit(commit(&account, of_kind)).await);
    assert_eq!(used_at(tokens, &shown).await, Some(at));
    assert_eq!(used_at(tokens, &beside).await, None);
    let account = stored(users, account.id).await;
    let again = users.commit(commit(&account, OtherTokens::All)).await;
    assert!(
        matches!(again, Err(AccountCommitError::TokenSpent)),
        "a token is spent twice: {again:?}"
    );
    let all = AccountCommit {
        spends: Some(TokenSpend {
            shown: None,
            others: OtherTokens::All,
            at,
        }),
        ..change(&account, |user| user.name = name("All"))
    };
    good("all tokens are spent", users.commit(all).await);
    assert_eq!(used_at(tokens, &beside).await, Some(at));
    assert_eq!(used_at(tokens, &of_other).await, None);
}

fn user_with(id: UserId) -> User {
    User {
        id,
        ..user(Role::User)
    }
}

async fn of_two_who_show_a_token_at_once_one_succeeds(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let account = made(users, user(Role::User)).await;
    let shown = issued(tokens, TokenKind::VerifyEmail, &account).await;
    let commit = || AccountCommit {
        spends: spend(&shown, OtherTokens::All, start()),
        ..change(&account, |user| user.email_verified_at = Some(start()))
    };
    let (one, other) = both(users.commit(commit()), users.commit(commit())).await;
    assert!(
        one.is_ok() != other.is_ok(),
        "of two who show a token one succeeds: {one:?}, {other:?}"
    );
}

async fn a_commit_issues_and_removes_tokens(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let new = user(Role::User);
    let first = token(TokenKind::Invitation, Some(&new));
    let commit = AccountCommit {
        issues: Some(first.clone()),
        ..AccountCommit::of(new.clone(), crate::ports::Expected::Absent)
    };
    good("an account is made with a token", users.commit(commit).await);
    assert_eq!(kept(tokens, first.id).await, first);
    let second = token(TokenKind::Invitation, Some(&new));
    let commit = AccountCommit {
        issues: Some(second.clone()),
        ..AccountCommit::of(new.clone(), crate::ports::Expected::Version(new.version))
    };
    good("a token is issued and nothing else", users.commit(commit).await);
    assert_eq!(stored(users, new.id).await, new);
    assert_eq!(used_at(tokens, &first).await, Some(second.created_at));
    assert_eq!(kept(tokens, second.id).await, second);

    let commit = AccountCommit {
        credentials: CredentialsAfter::RemoveAll,
        ..change(&new, |user| user.name = name("Nobody"))
    };
    good("the credentials are removed", users.commit(commit).await);
    for token in [first, second] {
        assert_eq!(good("a removed token", tokens.token(token.id).await), None);
    }
}

async fn expired_tokens_are_forgotten(users: &dyn UserStore, tokens: &dyn OneTimeTokens) {
    let account = made(users, user(Role::User)).await;
    let long_ago = start() - Duration::days(10_000);
    let mut old = Vec::new();
    for _ in 0..3 {
        let mut token = token(TokenKind::VerifyEmail, Some(&account));
        token.expires_at = long_ago;
        good("an old token", tokens.issue(issue(token.clone())).await);
        old.push(token);
    }
    let fresh = issued(tokens, TokenKind::ResetPassword, &account).await;
    let before = long_ago + Duration::days(1);
    assert_eq!(
        good("some are forgotten", tokens.forget_expired(before, 2).await),
        2
    );
    assert_eq!(
        good("the rest is forgotten", tokens.forget_expired(before, 2).await),
        1
    );
    for token in old {
        assert_eq!(good("a forgotten token", tokens.token(token.id).await), None);
    }
    assert_eq!(kept(tokens, fresh.id).await, fresh);
}

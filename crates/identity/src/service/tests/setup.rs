use chrono::Duration;
use events::{Cause, IdentityFact};
use kernel::{Classify, FailureKind, Role};

use crate::service::{Registration, SetupError};
use crate::testing::Desk;
use crate::testing::builders::origin;
use crate::user::UserStatus;

fn registration(email: &str) -> Registration {
    Registration {
        email: email.to_owned(),
        name: "Ada".to_owned(),
        password: Desk::PASSWORD.to_owned(),
    }
}

#[tokio::test]
async fn a_set_up_token_makes_the_first_admin_and_nobody_after() {
    let desk = Desk::new();
    let token = desk
        .accounts
        .open_setup()
        .await
        .unwrap()
        .expect("a new desk is open");
    let other = desk
        .accounts
        .open_setup()
        .await
        .unwrap()
        .expect("another node opens it, too");
    let ada = desk
        .accounts
        .complete_setup(token.expose(), registration("ada@example.com"), origin())
        .await
        .unwrap();
    assert_eq!((ada.role, ada.status), (Role::Admin, UserStatus::Active));
    assert_eq!(desk.world.facts(), [IdentityFact::UserCreated { user: ada.id }]);
    desk.log_in("ada").await;

    for token in [&token, &other] {
        let late = desk
            .accounts
            .complete_setup(token.expose(), registration("eve@example.com"), origin())
            .await
            .unwrap_err();
        assert_eq!(
            (late.kind(), late.code()),
            (FailureKind::NotFound, "setup.closed")
        );
    }
    assert_eq!(desk.accounts.open_setup().await.unwrap(), None);
}

#[tokio::test]
async fn a_set_up_token_that_is_unknown_or_expired_makes_nobody() {
    let desk = Desk::new();
    let token = desk
        .accounts
        .open_setup()
        .await
        .unwrap()
        .expect("a new desk is open");
    for wrong in ["", "guess", "%", "token 0", "\0"] {
        let refused = desk
            .accounts
            .complete_setup(wrong, registration("eve@example.com"), origin())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (FailureKind::Unauthenticated, "setup.token_invalid")
        );
    }
    desk.clock.advance(Duration::hours(24));
    let late = desk
        .accounts
        .complete_setup(token.expose(), registration("ada@example.com"), origin())
        .await;
    assert!(matches!(late, Err(SetupError::UnknownToken)));
    assert_eq!(desk.world.events(), []);
}

#[tokio::test]
async fn a_set_up_that_failed_can_be_tried_again() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let token = desk
        .accounts
        .open_setup()
        .await
        .unwrap()
        .expect("a desk without an admin is open");
    let bad = Registration {
        email: "x".into(),
        name: String::new(),
        password: "12345678".into(),
    };
    let bad = desk
        .accounts
        .complete_setup(token.expose(), bad, origin())
        .await
        .unwrap_err();
    assert_eq!(bad.violations().len(), 3);
    let taken = desk
        .accounts
        .complete_setup(token.expose(), registration("robin@example.com"), origin())
        .await;
    assert!(matches!(taken, Err(SetupError::EmailTaken)));
    desk.accounts
        .complete_setup(token.expose(), registration("ada@example.com"), origin())
        .await
        .unwrap();
}

#[tokio::test]
async fn whoever_runs_the_server_can_make_admins_and_that_closes_the_set_up() {
    let desk = Desk::new();
    let token = desk
        .accounts
        .open_setup()
        .await
        .unwrap()
        .expect("a new desk is open");
    let ada = desk
        .accounts
        .create_admin(registration("ada@example.com"))
        .await
        .unwrap();
    assert_eq!(ada.role, Role::Admin);
    assert_eq!(desk.world.events()[0].cause, Cause::System("command_line".into()));
    let late = desk
        .accounts
        .complete_setup(token.expose(), registration("eve@example.com"), origin())
        .await;
    assert!(matches!(late, Err(SetupError::Closed)));
    desk.accounts
        .create_admin(registration("bob@example.com"))
        .await
        .unwrap();
    desk.accounts
        .register(registration("robin@example.com"), origin())
        .await
        .unwrap();
}

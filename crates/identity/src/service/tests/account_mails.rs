//! Which facts are told by mail, to whom.

use std::sync::Arc;

use chrono::Duration;
use events::{Cause, Event, Fact, HandleError, IdentityFact, Subscriber};
use kernel::receipt::no_receipt;
use kernel::{EventId, PortError, Role, UserId};
use uuid::Uuid;

use crate::ports::{MailContent, MailError, MockMailer, UserStore};
use crate::service::{AccountMails, Registration};
use crate::testing::builders::{actor, origin, start, unique_id};
use crate::testing::{Desk, FakeSecrets};
use crate::value::EmailAddress;

fn event(fact: IdentityFact) -> Event {
    Event {
        id: EventId(unique_id()),
        at: start(),
        cause: Cause::System("test".to_owned()),
        origin: None,
        chain: None,
        fact: Fact::Identity(fact),
    }
}

#[tokio::test]
async fn the_owner_hears_of_what_opens_the_account() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let user = robin.id;
    let table = [
        (
            IdentityFact::PasswordChanged { user },
            MailContent::PasswordChanged,
        ),
        (IdentityFact::PasswordReset { user }, MailContent::PasswordChanged),
        (
            IdentityFact::TwoFactorEnabled { user },
            MailContent::TwoFactorEnabled,
        ),
        (
            IdentityFact::TwoFactorDisabled { user },
            MailContent::TwoFactorDisabled,
        ),
        (
            IdentityFact::RecoveryCodeUsed { user, left: 3 },
            MailContent::RecoveryCodeUsed { left: 3 },
        ),
        (
            IdentityFact::ApiKeyCreated {
                user,
                key: Uuid::nil(),
                name: "ci".to_owned(),
            },
            MailContent::ApiKeyCreated {
                name: "ci".to_owned(),
            },
        ),
        (
            IdentityFact::SignOnLinked {
                user,
                provider: "corp".to_owned(),
            },
            MailContent::SignOnLinked {
                provider: "corp".to_owned(),
            },
        ),
    ];
    for (fact, content) in table {
        let event = event(fact);
        desk.mails.handle(&event).await.unwrap();
        let mail = desk.sent.take().remove(0);
        assert_eq!(
            (mail.id, mail.to, mail.content),
            (event.id, robin.email.clone(), content)
        );
    }
    let changed = event(IdentityFact::EmailChanged {
        user,
        previous: "before@example.com".to_owned(),
    });
    desk.mails.handle(&changed).await.unwrap();
    let mail = desk.sent.take().remove(0);
    assert_eq!(
        (mail.to.as_str(), mail.content),
        ("before@example.com", MailContent::EmailChanged)
    );
}

#[tokio::test]
async fn nothing_is_sent_to_the_deleted_the_unknown_and_the_unproved_or_of_other_facts() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    desk.accounts
        .delete(&actor(Role::Admin), robin.id, None)
        .await
        .unwrap();
    let unproved = desk.person("kim", Role::User);
    let mut user = desk.world.user(unproved.id).await.unwrap().unwrap();
    user.email_verified_at = None;
    desk.world.put_user(user);
    let nobody = UserId(unique_id());
    for fact in [
        IdentityFact::PasswordChanged { user: robin.id },
        IdentityFact::PasswordChanged { user: unproved.id },
        IdentityFact::PasswordChanged { user: nobody },
        IdentityFact::UserCreated { user: robin.id },
        IdentityFact::RegistrationRepeated { user: robin.id },
        IdentityFact::MailAsked { token: unique_id() },
        IdentityFact::EmailChanged {
            user: robin.id,
            previous: "before@example.com".to_owned(),
        },
    ] {
        desk.mails.handle(&event(fact)).await.unwrap();
    }
    assert_eq!(desk.sent.take(), []);
}

#[tokio::test]
async fn a_link_that_is_spent_or_late_is_not_sent_and_one_that_is_due_is_the_same_again() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    for _ in 0..2 {
        desk.accounts
            .forgot_password("robin@example.com", origin())
            .await
            .unwrap();
    }
    let [first, second] = desk.world.events().try_into().unwrap();
    desk.mails.handle(&first).await.unwrap();
    assert_eq!(desk.sent.take(), [], "another took its place");
    desk.mails.handle(&second).await.unwrap();
    desk.mails.handle(&second).await.unwrap();
    let mails = desk.sent.take();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0], mails[1], "with the same id and token");
    desk.clock.advance(Duration::hours(1));
    desk.mails.handle(&second).await.unwrap();
    assert_eq!(desk.sent.take(), []);
}

#[tokio::test]
async fn a_refused_mail_is_given_up_and_a_failed_one_is_tried_again() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let fact = event(IdentityFact::PasswordChanged { user: robin.id });
    desk.sent.refuse("no such mailbox");
    let refused = desk.mails.handle(&fact).await;
    assert!(matches!(refused, Err(HandleError::GiveUp(reason)) if reason.contains("no such mailbox")));

    let mut mailer = MockMailer::new();
    mailer.expect_send().returning(|_| {
        Err(MailError::Port(PortError::Unavailable {
            port: "mailer",
            source: "refused".into(),
        }))
    });
    let mails = AccountMails::new(
        desk.world.clone(),
        desk.world.clone(),
        Arc::new(FakeSecrets::default()),
        Arc::new(mailer),
        desk.clock.clone(),
    );
    assert!(matches!(mails.handle(&fact).await, Err(HandleError::Retry(_))));
}

#[tokio::test]
async fn what_another_writer_left_as_an_address_gets_no_mail() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let mut user = desk.world.user(robin.id).await.unwrap().unwrap();
    user.email = EmailAddress::stored("robin@example.com\r\nBcc: all@example.com".to_owned());
    desk.world.put_user(user);
    let told = desk
        .mails
        .handle(&event(IdentityFact::PasswordChanged { user: robin.id }))
        .await;
    assert!(matches!(told, Err(HandleError::GiveUp(_))));
    assert_eq!(desk.sent.take(), []);
}

#[tokio::test]
async fn the_proof_of_an_address_is_not_sent_once_it_is_proved() {
    let desk = Desk::new();
    let registration = Registration {
        email: "robin@example.com".to_owned(),
        name: "Robin".to_owned(),
        password: Desk::PASSWORD.to_owned(),
    };
    desk.accounts.register(registration, origin()).await.unwrap();
    let asked = desk.world.events().pop().unwrap();
    let robin = desk.principal("robin").await.person.id;
    let mut user = desk.world.user(robin).await.unwrap().unwrap();
    user.email_verified_at = Some(start());
    desk.world.put_user(user);
    desk.mails.handle(&asked).await.unwrap();
    assert_eq!(desk.sent.take(), []);
    let mut command = Desk::create_user("kim@example.com", Role::User);
    command.password = None;
    let admin = actor(Role::Admin);
    let kim = desk
        .accounts
        .create_user(&admin, command, &no_receipt)
        .await
        .unwrap();
    let asked = desk.world.events().pop().unwrap();
    desk.accounts.delete(&admin, kim.id, None).await.unwrap();
    desk.mails.handle(&asked).await.unwrap();
    assert_eq!(desk.sent.take(), []);
}

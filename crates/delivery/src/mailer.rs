//! Mail to the owners of accounts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use identity::ports::{Mail, MailError, Mailer};
use kernel::{Clock, PortError};

use crate::content;
use crate::desk::Desk;
use crate::letter::{Letter, Recipient};
use crate::settings::Sender;
use crate::templates::Templates;
use crate::transport::Transport;

/// Writes mail to the owners of accounts and hands it to a transport.
pub struct AccountMailer {
    desk: Desk,
    from: Sender,
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    templates: Templates,
}

impl AccountMailer {
    /// A mailer in the name of `desk`. Where the sender has no name of its own, it is the desk's.
    ///
    /// # Errors
    /// None with the templates that it was built with; a test makes sure.
    pub fn new(
        desk: Desk,
        from: Sender,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, PortError> {
        Ok(Self {
            desk,
            from,
            clock,
            transport,
            templates: Templates::new()?,
        })
    }

    /// Writes a mail without sending it.
    ///
    /// # Errors [`MailError::Refused`] for an address that no mail can be sent to; [`PortError::Bug`] for a
    /// template or a token that is not as it should be.
    pub fn write(&self, mail: &Mail) -> Result<Letter, MailError> {
        let (pair, filling) = content::of(mail, &self.desk)?;
        let words = self.templates.fill(pair, &filling, &self.desk)?;
        let to = Recipient {
            name: filling.name,
            address: &mail.to,
        };
        let from_name = self.from.name().unwrap_or_else(|| self.desk.name());
        Letter::write(mail.id, self.clock.now(), &self.from, from_name, to, words)
    }
}

#[async_trait]
impl Mailer for AccountMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let letter = self.write(mail)?;
        self.transport.deliver(&letter).await
    }
}

impl fmt::Debug for AccountMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountMailer")
            .field("desk", &self.desk)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration, Utc};
    use identity::ports::MailContent;
    use identity::{EmailAddress, PersonName, SecretToken};
    use kernel::{EventId, ManualClock};
    use mail_parser::{HeaderName, MessageParser};
    use uuid::Uuid;

    use super::*;
    use crate::memory::MemoryTransport;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-_01234";

    fn now() -> DateTime<Utc> {
        "2026-03-04T05:06:07Z".parse().unwrap()
    }

    fn mailer_of(desk: &str, from: &str) -> (AccountMailer, Arc<MemoryTransport>) {
        let transport = Arc::new(MemoryTransport::new());
        let mailer = AccountMailer::new(
            Desk::new(desk, "https://help.example.com").unwrap(),
            Sender::parse(from).unwrap(),
            Arc::new(ManualClock::at(now())),
            transport.clone(),
        );
        (mailer.unwrap(), transport)
    }

    fn mailer() -> AccountMailer {
        mailer_of("Acme Help", "help@example.com").0
    }

    fn mail(name: &str, content: MailContent) -> Mail {
        Mail {
            id: EventId(Uuid::from_u128(7)),
            to: EmailAddress::parse("/email", "kim@example.org").unwrap(),
            name: PersonName::parse("/name", name).unwrap(),
            content,
        }
    }

    fn token() -> SecretToken {
        SecretToken::parse(TOKEN).unwrap()
    }

    /// Every mail there is, with the path of its link.
    fn every_content() -> Vec<(MailContent, Option<&'static str>)> {
        let (token, life) = (token(), Duration::hours(24));
        vec![
            (
                MailContent::VerifyEmail {
                    token: token.clone(),
                    life,
                },
                Some("/account/verify-email#"),
            ),
            (
                MailContent::ConfirmNewEmail {
                    token: token.clone(),
                    life,
                },
                Some("/account/confirm-email#"),
            ),
            (
                MailContent::ResetPassword {
                    token: token.clone(),
                    life,
                },
                Some("/account/reset-password#"),
            ),
            (
                MailContent::RateTicket {
                    token: token.clone(),
                    life,
                    number: "TKT-00007".to_owned(),
                    subject: "Printer on fire".to_owned(),
                },
                Some("/rate/"),
            ),
            (
                MailContent::Invitation { token, life },
                Some("/account/invitation#"),
            ),
            (
                MailContent::Written {
                    subject: "News of TKT-00007".to_owned(),
                    text: "It is on its way.\nWe write again.".to_owned(),
                },
                None,
            ),
            (MailContent::AlreadyRegistered, None),
            (MailContent::PasswordChanged, None),
            (MailContent::EmailChanged, None),
            (MailContent::TwoFactorEnabled, None),
            (MailContent::TwoFactorDisabled, None),
            (MailContent::RecoveryCodeUsed { left: 0 }, None),
            (MailContent::RecoveryCodeUsed { left: 1 }, None),
            (MailContent::RecoveryCodeUsed { left: 5 }, None),
            (
                MailContent::ApiKeyCreated {
                    name: "Deploy key".to_owned(),
                },
                None,
            ),
            (
                MailContent::SignOnLinked {
                    provider: "Acme SSO".to_owned(),
                },
                None,
            ),
        ]
    }

    #[test]
    fn every_mail_says_what_it_is_about_and_what_to_do_if_one_did_not_ask_for_it() {
        for (content, path) in every_content() {
            let letter = mailer().write(&mail("Kim", content.clone())).unwrap();
            let (text, html) = (letter.text(), letter.html());
            assert!(letter.subject().contains("Acme Help"), "{content:?}");
            assert!(!letter.subject().contains('\n'), "{content:?}");
            assert!(
                html.contains(&format!("<title>{}</title>", letter.subject())),
                "{html}"
            );
            for part in [text, html] {
                assert!(
                    part.contains("If it was not you") || part.contains("If you did not expect this"),
                    "{part}"
                );
                assert!(part.contains("https://help.example.com"), "{part}");
                assert!(
                    !part.contains("none") || part.contains("text-decoration:none"),
                    "{part}"
                );
                assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
                match path {
                    Some(path) => {
                        let link = format!("https://help.example.com{path}{TOKEN}");
                        assert!(part.contains(&link), "{part}");
                        assert!(part.contains("The link is good for 24 hours."), "{part}");
                    }
                    None => assert!(
                        !part.contains("/account/") && !part.contains("The link"),
                        "{part}"
                    ),
                }
            }
            assert!(!text.contains("\n\n\n") && text.starts_with("Hello"), "{text:?}");
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        }
    }

    #[test]
    fn html_loads_nothing_and_is_accessible() {
        for (content, _) in every_content() {
            let letter = mailer().write(&mail("Kim", content)).unwrap();
            let html = letter.html();
            for remote in [
                "<img", "<link", "<script", "<style", "<iframe", "src=", "url(", "@import",
            ] {
                assert!(!html.contains(remote), "{remote} in {html}");
            }
            assert!(
                html.contains("<html lang=\"en\">") && html.contains("<h1"),
                "{html}"
            );
            let links = html.match_indices("href=\"").map(|(at, _)| &html[at + 6..]);
            for link in links {
                assert!(link.starts_with("https://help.example.com"), "{link}");
            }
        }
    }

    #[test]
    fn whoever_may_not_own_the_address_chooses_no_word_of_the_mail() {
        for (content, _) in every_content() {
            let unproven = matches!(
                content,
                MailContent::VerifyEmail { .. }
                    | MailContent::ConfirmNewEmail { .. }
                    | MailContent::ResetPassword { .. }
                    | MailContent::AlreadyRegistered
            );
            let letter = mailer().write(&mail("Zebulon", content.clone())).unwrap();
            let bytes = String::from_utf8(letter.bytes().to_vec()).unwrap();
            for part in [letter.text(), letter.html(), &bytes] {
                assert_eq!(part.contains("Zebulon"), !unproven, "{content:?}: {part}");
            }
        }
    }

    #[test]
    fn a_name_or_label_that_could_be_a_link_stands_in_no_mail() {
        let evil = "http://evil.example";
        let contents = every_content().into_iter().map(|(content, _)| content);
        let keys = [
            MailContent::ApiKeyCreated {
                name: evil.to_owned(),
            },
            MailContent::SignOnLinked {
                provider: evil.to_owned(),
            },
            MailContent::RateTicket {
                token: token(),
                life: Duration::hours(24),
                number: evil.to_owned(),
                subject: evil.to_owned(),
            },
        ];
        for content in contents.chain(keys) {
            let letter = mailer().write(&mail(evil, content)).unwrap();
            let bytes = String::from_utf8(letter.bytes().to_vec()).unwrap();
            for part in [letter.subject(), letter.text(), letter.html(), &bytes] {
                assert!(!part.contains("evil.example"), "{part}");
            }
        }
    }

    #[test]
    fn headers_are_there_once_and_tell_programs_not_to_answer() {
        let letter = mailer()
            .write(&mail("Kim", MailContent::PasswordChanged))
            .unwrap();
        let message = MessageParser::default().parse(letter.bytes()).unwrap();
        for name in [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "MIME-Version",
            "Content-Type",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
        ] {
            let values = message.header_values(HeaderName::parse(name).unwrap()).count();
            assert_eq!(values, 1, "{name}");
        }
        assert_eq!(message.headers().len(), 9);
        assert_eq!(
            message.message_id(),
            Some("00000000-0000-0000-0000-000000000007@example.com")
        );
        assert_eq!(
            message.date().map(|date| date.to_rfc3339()).as_deref(),
            Some("2026-03-04T05:06:07Z")
        );
        let text = String::from_utf8(letter.bytes().to_vec()).unwrap();
        assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{text}");
        assert!(text.contains("\r\nX-Auto-Response-Suppress: All\r\n"), "{text}");
        assert!(
            text.contains("From: \"Acme Help\" <help@example.com>\r\n"),
            "{text}"
        );
        assert!(text.contains("To: Kim <kim@example.org>\r\n"), "{text}");
    }

    #[test]
    fn a_letter_written_again_differs_in_its_date_alone() {
        let transport = Arc::new(MemoryTransport::new());
        let clock = Arc::new(ManualClock::at(now()));
        let desk = Desk::new("Acme Help", "https://help.example.com").unwrap();
        let from = Sender::parse("help@example.com").unwrap();
        let mailer = AccountMailer::new(desk, from, clock.clone(), transport).unwrap();
        let mail = mail("Kim", MailContent::PasswordChanged);
        let first = mailer.write(&mail).unwrap();
        assert!(first == mailer.write(&mail).unwrap());
        clock.advance(Duration::hours(1));
        let later = mailer.write(&mail).unwrap();
        let without_date = |letter: &Letter| -> Vec<String> {
            let text = String::from_utf8(letter.bytes().to_vec()).unwrap();
            text.lines()
                .filter(|line| !line.starts_with("Date: "))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(without_date(&first), without_date(&later));
        assert_eq!(first.id(), later.id());
    }

    #[test]
    fn an_internationalised_sender_goes_out_in_ascii() {
        let (mailer, _) = mailer_of("Bücher Hilfe", "Hilfe für Bücher <hilfe@bücher.example>");
        let letter = mailer
            .write(&mail("Jürgen", MailContent::PasswordChanged))
            .unwrap();
        assert!(letter.bytes().is_ascii());
        assert_eq!(letter.from(), "hilfe@xn--bcher-kva.example");
        let message = MessageParser::default().parse(letter.bytes()).unwrap();
        let from = message.from().unwrap().first().unwrap();
        assert_eq!(from.name(), Some("Hilfe für Bücher"));
        assert_eq!(message.to().unwrap().first().unwrap().name(), Some("Jürgen"));
        assert_eq!(
            message.subject(),
            Some("Your password for Bücher Hilfe was changed")
        );
        assert!(message.message_id().unwrap().ends_with("@xn--bcher-kva.example"));
    }

    #[test]
    fn neither_a_letter_nor_a_mailer_shows_a_token_when_printed() {
        let content = MailContent::ResetPassword {
            token: token(),
            life: Duration::hours(1),
        };
        let mailer = mailer();
        let letter = mailer.write(&mail("Kim", content)).unwrap();
        let printed = format!("{letter:?} {mailer:?}");
        assert!(
            !printed.contains(TOKEN) && printed.contains("kim@example.org"),
            "{printed}"
        );
    }

    #[test]
    fn a_token_that_does_not_fit_into_a_link_is_a_fault_of_ours() {
        let content = MailContent::ResetPassword {
            token: SecretToken::fresh("a\" onclick=\"b".to_owned()),
            life: Duration::hours(1),
        };
        let outcome = mailer().write(&mail("Kim", content));
        assert!(
            matches!(outcome, Err(MailError::Port(PortError::Bug { .. }))),
            "{outcome:?}"
        );
    }

    #[test]
    fn every_address_that_an_account_can_have_can_be_written_to() {
        let long = format!("{}@{}.{}.example", "a".repeat(64), "b".repeat(63), "c".repeat(63));
        for address in [
            "robin.o'neil+tag@mail.example.com",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "root@localhost",
            "1@1.de",
            "a@xn--bcher-kva.example",
            &long,
        ] {
            let mut mail = mail("Kim", MailContent::PasswordChanged);
            mail.to = EmailAddress::parse("/email", address).unwrap();
            assert_eq!(mailer().write(&mail).unwrap().to(), address);
        }
    }

    #[tokio::test]
    async fn a_test_can_read_what_was_sent_and_let_sending_fail() {
        let (mailer, transport) = mailer_of("Acme Help", "help@example.com");
        let content = MailContent::Invitation {
            token: token(),
            life: Duration::days(7),
        };
        let mail = mail("Kim", content);
        transport.fail_next(2);
        for _ in 0..2 {
            let outcome = mailer.send(&mail).await;
            assert!(
                matches!(outcome, Err(MailError::Port(PortError::Unavailable { .. }))),
                "{outcome:?}"
            );
        }
        mailer.send(&mail).await.unwrap();
        let sent = transport.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].token(), Some(TOKEN));
        let link = format!("https://help.example.com/account/invitation#{TOKEN}");
        assert_eq!(sent[0].link(), Some(&*link));
        assert_eq!(sent[0].subject, "Your account at Acme Help");
        assert!(sent[0].headers.ends_with("\r\n") && !sent[0].headers.contains("Hello"));
        assert!(sent[0].headers.contains("Auto-Submitted: auto-generated\r\n"));
        assert_eq!(transport.last_to("kim@example.org"), Some(sent[0].clone()));
        assert_eq!(transport.last_to("robin@example.org"), None);
        transport.clear();
        assert!(transport.sent().is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_for_tests_is_bounded() {
        let (mailer, transport) = mailer_of("Acme Help", "help@example.com");
        let letter = mailer.write(&mail("Kim", MailContent::PasswordChanged)).unwrap();
        for _ in 0..MemoryTransport::KEPT_MAX + 1 {
            transport.deliver(&letter).await.unwrap();
        }
        assert_eq!(transport.sent().len(), MemoryTransport::KEPT_MAX);
    }
}

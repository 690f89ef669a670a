//! Asking how content a requester is: once for each resolution, also when the mail does not go at first.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::Duration;
use events::{Event, HandleError, Subscriber as _};
use insightdesk_ticketing as ticketing;
use kernel::{
    Actor, IdSource as _, ManualClock, PortError, SequentialIds, TeamId, TeamRole, TicketId, UserId,
};
use ticketing::testing::{MemoryDirectory, MemoryTickets, PlainMarkup, build};
use ticketing::{
    Guard, RaterFacts, Rating, RatingClaim, RatingLinks, Ratings, SatisfactionSurvey, Score, Settings,
    SurveyMail, SurveyMailError, SurveyMailer, TicketError, TicketKey, Tickets,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));

/// Links that anyone can read.
struct PlainLinks;

impl RatingLinks for PlainLinks {
    fn link(&self, claim: &RatingClaim) -> String {
        let at = claim.resolved_at.timestamp_micros();
        format!("{}_{}_{at}", claim.ticket, claim.requester)
    }

    fn claim(&self, link: &str) -> Option<RatingClaim> {
        let mut parts = link.split('_');
        Some(RatingClaim {
            ticket: parts.next()?.parse().map(TicketId).ok()?,
            requester: parts.next()?.parse().map(UserId).ok()?,
            resolved_at: chrono::DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?,
        })
    }
}

/// A transport that fails a few times first.
#[derive(Default)]
struct Transport {
    fails: AtomicU32,
    refuses: bool,
    sent: Mutex<Vec<SurveyMail>>,
}

#[async_trait]
impl SurveyMailer for Transport {
    async fn send(&self, mail: &SurveyMail) -> Result<(), SurveyMailError> {
        if self.refuses {
            return Err(SurveyMailError::Refused("no such box".to_owned()));
        }
        let left = self.fails.load(Ordering::Relaxed);
        if left > 0 {
            self.fails.store(left - 1, Ordering::Relaxed);
            return Err(SurveyMailError::Port(PortError::Unavailable {
                port: "mail",
                source: "down".into(),
            }));
        }
        self.sent.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

struct Desk {
    store: Arc<MemoryTickets>,
    clock: Arc<ManualClock>,
    tickets: Arc<Tickets>,
    transport: Arc<Transport>,
    survey: SatisfactionSurvey,
}

impl Desk {
    fn new(transport: Transport) -> Self {
        let ids = Arc::new(SequentialIds::default());
        let _ = ids.next();
        let store = Arc::new(MemoryTickets::default());
        let clock = Arc::new(ManualClock::at(build::noon()));
        let mut directory = MemoryDirectory::default();
        directory.requesters.insert(CUSTOMER);
        directory.teams.insert(TEAM, "Front".to_owned());
        directory.raters.insert(
            CUSTOMER,
            RaterFacts {
                name: "Kim".to_owned(),
                email: "kim@example.org".to_owned(),
            },
        );
        let tickets = Arc::new(Tickets::new(
            store.clone(),
            Arc::new(directory),
            Arc::new(PlainMarkup),
            clock.clone(),
            ids,
            Settings::default(),
        ));
        let transport = Arc::new(transport);
        let survey = SatisfactionSurvey::new(Arc::clone(&tickets), Arc::new(PlainLinks), transport.clone());
        Self {
            store,
            clock,
            tickets,
            transport,
            survey,
        }
    }

    async fn resolved(&self) -> TicketId {
        let customer = Actor::Person(build::customer(CUSTOMER));
        let mut new = build::new_ticket("Printer");
        new.team = Some(TEAM);
        let made = self
            .tickets
            .create(&customer, new, &kernel::receipt::no_receipt)
            .await;
        let id = made.unwrap().view.ticket.id;
        self.clock.advance(Duration::hours(1));
        let agent = Actor::Person(build::agent(AGENT, TEAM, TeamRole::Agent));
        let resolved = self
            .tickets
            .resolve(&agent, &TicketKey::Id(id), None, Guard::none())
            .await;
        let _ = resolved.unwrap();
        id
    }

    fn resolution(&self) -> Event {
        self.store.events().pop().unwrap()
    }

    fn sent(&self) -> usize {
        self.transport.sent.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_mail_that_did_not_go_is_tried_again_and_one_that_went_is_not() {
    let desk = Desk::new(Transport {
        fails: AtomicU32::new(2),
        ..Transport::default()
    });
    desk.resolved().await;
    let event = desk.resolution();
    for _ in 0..2 {
        let failed = desk.survey.handle(&event).await;
        assert!(matches!(failed, Err(HandleError::Retry(_))), "{failed:?}");
    }
    for _ in 0..3 {
        desk.survey.handle(&event).await.unwrap();
        assert_eq!(desk.sent(), 1);
    }
}

#[tokio::test]
async fn what_a_transport_refuses_for_good_is_given_up() {
    let desk = Desk::new(Transport {
        refuses: true,
        ..Transport::default()
    });
    desk.resolved().await;
    let refused = desk.survey.handle(&desk.resolution()).await;
    assert!(matches!(refused, Err(HandleError::GiveUp(_))), "{refused:?}");
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_rated_or_long_ago() {
    let desk = Desk::new(Transport::default());
    let ticket = desk.resolved().await;
    let event = desk.resolution();
    let rating = Rating {
        score: Score::stored(3).unwrap(),
        comment: None,
    };
    let customer = Actor::Person(build::customer(CUSTOMER));
    let key = TicketKey::Id(ticket);
    let rated = desk.tickets.rate(&customer, &key, &rating, Guard::none());
    let _ = rated.await.unwrap();
    desk.survey.handle(&event).await.unwrap();
    desk.resolved().await;
    let event = desk.resolution();
    desk.clock.advance(ticketing::RATING_LINK_LIFE);
    desk.survey.handle(&event).await.unwrap();
    assert_eq!(desk.sent(), 0);
}

#[tokio::test]
async fn a_link_is_good_for_thirty_days() {
    let desk = Desk::new(Transport::default());
    desk.resolved().await;
    desk.survey.handle(&desk.resolution()).await.unwrap();
    let link = desk.transport.sent.lock().unwrap().remove(0).link;
    let ratings = Ratings::new(Arc::clone(&desk.tickets), Arc::new(PlainLinks));
    desk.clock.advance(Duration::days(30) - Duration::microseconds(1));
    assert_eq!(ratings.shown(&link).await.unwrap().satisfaction, None);
    desk.clock.advance(Duration::microseconds(1));
    let over = ratings.shown(&link).await;
    assert!(matches!(over, Err(TicketError::RatingLinkUnknown)), "{over:?}");
}

//! The use cases on attachments, on fakes: the rules hold for a service that links the crate, without HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::sync::Arc;

use async_trait::async_trait;
use insightdesk_ticketing as ticketing;
use kernel::{Actor, Classify, ManualClock, PortError, SequentialIds, TeamId, TeamRole, UserId};
use ticketing::testing::{MemoryBlobs, MemoryDirectory, MemoryTickets, PlainMarkup, build};
use ticketing::{
    Attachment, AttachmentError, AttachmentSettings, Attachments, BlobReader, Body, Guard, Reply, Scanner,
    Settings, TicketKey, Tickets, Verdict, Visibility,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const STRANGER: UserId = UserId(Uuid::from_u128(0xc2));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));

/// Finds something in files that begin with `bad`, and fails at those that begin with `odd`.
struct Nose;

#[async_trait]
impl Scanner for Nose {
    async fn scan(&self, mut file: Box<dyn BlobReader>) -> Result<Verdict, PortError> {
        let head = file.next().await?.unwrap_or_default();
        match head.get(..3) {
            Some(b"bad") => Ok(Verdict::Infected("Bad".to_owned())),
            Some(b"odd") => Err(PortError::Unavailable {
                port: "nose",
                source: "it does not answer".into(),
            }),
            _ => Ok(Verdict::Clean),
        }
    }
}

struct Desk {
    tickets: Arc<Tickets>,
    attachments: Attachments,
    blobs: MemoryBlobs,
}

fn desk() -> Desk {
    let store = Arc::new(MemoryTickets::default());
    let mut directory = MemoryDirectory::default();
    directory.requesters.extend([CUSTOMER, STRANGER, AGENT]);
    directory.teams.insert(TEAM, "Front".into());
    let tickets = Arc::new(Tickets::new(
        store.clone(),
        Arc::new(directory),
        Arc::new(PlainMarkup),
        Arc::new(ManualClock::at(build::noon())),
        Arc::new(SequentialIds::default()),
        Settings::default(),
    ));
    let blobs = MemoryBlobs::default();
    let attachments = Attachments::new(
        Arc::clone(&tickets),
        store,
        Arc::new(blobs.clone()),
        Some(Arc::new(Nose)),
        AttachmentSettings { bytes_max: 100 },
    );
    Desk {
        tickets,
        attachments,
        blobs,
    }
}

fn customer() -> Actor {
    Actor::Person(build::customer(CUSTOMER))
}
fn stranger() -> Actor {
    Actor::Person(build::customer(STRANGER))
}
fn agent(role: TeamRole) -> Actor {
    Actor::Person(build::agent(AGENT, TEAM, role))
}

impl Desk {
    async fn upload(&self, actor: &Actor, content: &[u8]) -> Result<Attachment, AttachmentError> {
        let mut upload = self.attachments.begin(actor, "../a.txt").await?;
        upload.write(content).await?;
        upload.end().await?.keep(&kernel::receipt::no_receipt).await
    }

    async fn ticket(&self) -> TicketKey {
        let mut new = build::new_ticket("Printer on fire");
        new.team = Some(TEAM);
        let made = self
            .tickets
            .create(&customer(), new, &kernel::receipt::no_receipt)
            .await
            .unwrap();
        TicketKey::Id(made.view.ticket.id)
    }

    async fn write(&self, actor: &Actor, key: &TicketKey, visibility: Visibility, upload: &Attachment) {
        let reply = Reply {
            body: Body::parse("/message", "see there").unwrap(),
            visibility,
            attachments: vec![upload.id],
            mentions: Vec::new(),
        };
        let written = self
            .tickets
            .reply(actor, key, &reply, Guard::none())
            .await
            .unwrap();
        assert_eq!(written.detail.attachments[0].id, upload.id);
        assert_eq!(written.detail.attachment_urls[0], upload.url());
    }
}

#[tokio::test]
async fn an_upload_is_its_uploaders_until_it_hangs_on_a_message() {
    let desk = desk();
    let upload = desk.upload(&customer(), b"hello").await.unwrap();
    assert_eq!((upload.file_name.as_str(), upload.size_bytes), ("a.txt", 5));
    let admin = Actor::Person(build::admin(UserId(Uuid::from_u128(0xad))));
    for other in [stranger(), agent(TeamRole::Lead), admin] {
        let refused = desk.attachments.show(&other, upload.id).await.unwrap_err();
        assert_eq!(refused.code(), "attachment.not_found");
    }
    assert_eq!(
        desk.attachments.show(&customer(), upload.id).await.unwrap(),
        upload
    );
    let key = desk.ticket().await;
    desk.write(&customer(), &key, Visibility::Public, &upload).await;
    assert!(
        desk.attachments
            .show(&agent(TeamRole::Agent), upload.id)
            .await
            .is_ok()
    );
    assert!(desk.attachments.show(&stranger(), upload.id).await.is_err());
}

#[tokio::test]
async fn attachments_of_internal_messages_are_staffs() {
    let desk = desk();
    let key = desk.ticket().await;
    let upload = desk.upload(&agent(TeamRole::Agent), b"secret").await.unwrap();
    desk.write(&agent(TeamRole::Agent), &key, Visibility::Internal, &upload)
        .await;
    let hidden = desk.attachments.show(&customer(), upload.id).await.unwrap_err();
    assert!(matches!(hidden, AttachmentError::NotFound));
    let hidden = desk.attachments.delete(&customer(), upload.id).await.unwrap_err();
    assert!(matches!(hidden, AttachmentError::NotFound));
    assert!(
        desk.attachments
            .show(&agent(TeamRole::Agent), upload.id)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn those_who_hand_out_the_work_remove_attachments_and_agents_do_not() {
    let desk = desk();
    let key = desk.ticket().await;
    let upload = desk.upload(&customer(), b"oops").await.unwrap();
    desk.write(&customer(), &key, Visibility::Public, &upload).await;
    for actor in [customer(), agent(TeamRole::Agent)] {
        let refused = desk.attachments.delete(&actor, upload.id).await.unwrap_err();
        assert!(matches!(refused, AttachmentError::Forbidden(_)), "{refused}");
    }
    assert_eq!(desk.blobs.ids(), [upload.id]);
    desk.attachments
        .delete(&agent(TeamRole::Supervisor), upload.id)
        .await
        .unwrap();
    assert_eq!(desk.blobs.ids(), []);
    assert!(desk.attachments.show(&customer(), upload.id).await.is_err());
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let desk = desk();
    let too_large = desk.upload(&customer(), &[0; 101]).await.unwrap_err();
    assert!(matches!(too_large, AttachmentError::TooLarge { bytes_max: 100 }));
    let infected = desk.upload(&customer(), b"bad").await.unwrap_err();
    assert!(matches!(infected, AttachmentError::Infected(_)));
    let unscanned = desk.upload(&customer(), b"odd").await.unwrap_err();
    assert!(matches!(unscanned, AttachmentError::Unscanned(_)));
    assert_eq!(desk.blobs.ids(), []);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(desk.attachments.begin(&customer(), "a").await.unwrap());
    }
    let busy = desk.upload(&customer(), b"x").await.unwrap_err();
    assert!(matches!(busy, AttachmentError::Busy));
    assert!(
        desk.upload(&stranger(), b"x").await.is_ok(),
        "others are not held up"
    );
    drop(held);
    assert!(desk.upload(&customer(), b"x").await.is_ok());
}

//! What every [`AttachmentStore`] and every [`Blobs`] must do. Run on the fakes here and on the adapters in their own
//! tests.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use chrono::{DateTime, Duration, Utc};
use kernel::{EventId, EventReceipt, IdSource, PageLimit, Receipt, UserId};
use serde_json::json;

use super::build;
use super::contract::{World, fresh, insert, message, only};
use crate::attachment::{Attachment, AttachmentId, AttachmentPlace, FileName, urls};
use crate::blobs::{AddError, AttachmentStore, BLOB_SHARDS, BlobError, BlobReader, Blobs, Unbound, shard_of};
use crate::port::{CommitError, TicketStore, TicketWrite};
use crate::ticket::{Audience, Message, Ticket, Visibility};

const PLENTY: Unbound = Unbound {
    files: 1_000,
    bytes: 1_000_000,
};

/// An attachment that its uploader has just made.
pub fn upload(ids: &dyn IdSource, uploader: UserId, at: DateTime<Utc>) -> Attachment {
    Attachment {
        id: AttachmentId::new(ids),
        uploader,
        message: None,
        file_name: FileName::cleaned("größe.pdf"),
        content_type: "application/pdf".to_owned(),
        size_bytes: 1_000,
        sha256: std::array::from_fn(|index| index.to_le_bytes()[0]),
        created_at: at,
    }
}

/// Everything that an [`AttachmentStore`] promises, together with the [`TicketStore`] that it shares its rows with.
///
/// # Panics
/// When a promise is broken.
pub async fn attachment_store<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    an_upload_reads_back_and_is_its_uploaders(store, ids, world).await;
    nobody_has_more_unbound_than_they_may(store, ids, world).await;
    an_upload_is_stored_once_with_its_receipt(store, ids, world).await;
    uploads_hang_on_the_message_that_was_stored_with_them(store, ids, world).await;
    a_message_is_refused_whole_when_an_upload_is_not_to_be_had(store, ids, world).await;
    what_is_removed_is_off_its_message(store, ids, world).await;
    old_uploads_go_and_nothing_else(store, ids, world).await;
}

async fn an_upload_reads_back_and_is_its_uploaders<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    let made = upload(ids, world.customer, build::noon() + Duration::microseconds(3));
    store.add(&made, PLENTY, None).await.unwrap();
    let found = store.attachment(made.id).await.unwrap().unwrap();
    assert_eq!((found.attachment, found.place), (made.clone(), None));
    let unknown = AttachmentId::new(ids);
    assert!(store.attachment(unknown).await.unwrap().is_none());
    let named = [made.id, unknown];
    assert_eq!(
        store.uploads(world.customer, &named).await.unwrap(),
        std::slice::from_ref(&made)
    );
    assert_eq!(store.uploads(world.stranger, &named).await.unwrap(), []);
    assert_eq!(store.known(&named).await.unwrap(), [made.id].into());
    assert!(!store.remove_unbound(made.id, world.stranger).await.unwrap());
    assert!(store.remove_unbound(made.id, world.customer).await.unwrap());
    assert!(!store.remove_unbound(made.id, world.customer).await.unwrap());
    assert!(store.attachment(made.id).await.unwrap().is_none());
}

async fn nobody_has_more_unbound_than_they_may(
    store: &impl AttachmentStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let who = world.stranger;
    let at_most = Unbound {
        files: 2,
        bytes: 1_999,
    };
    let (one, two) = (upload(ids, who, build::noon()), upload(ids, who, build::noon()));
    store.add(&one, at_most, None).await.unwrap();
    let refused = store.add(&two, at_most, None).await;
    assert!(matches!(refused, Err(AddError::TooMuch)), "too many bytes");
    let small = Attachment {
        size_bytes: 999,
        ..two
    };
    store.add(&small, at_most, None).await.unwrap();
    let held = store.unbound(who).await.unwrap();
    assert_eq!(
        held,
        Unbound {
            files: 2,
            bytes: 1_999
        }
    );
    let empty = Attachment {
        size_bytes: 0,
        ..upload(ids, who, build::noon())
    };
    let refused = store.add(&empty, at_most, None).await;
    assert!(matches!(refused, Err(AddError::TooMuch)), "too many files");
    assert_eq!(store.unbound(world.agent).await.unwrap(), Unbound::default());
    for id in [one.id, small.id] {
        assert!(store.remove_unbound(id, who).await.unwrap());
    }
}

async fn an_upload_is_stored_once_with_its_receipt(
    store: &impl AttachmentStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "contract",
        event: EventId::new(ids),
        step: "attachment",
    });
    let first = upload(ids, world.customer, build::noon());
    let too_little = Unbound { files: 0, bytes: 0 };
    let refused = store.add(&first, too_little, Some(receipt.clone())).await;
    assert!(matches!(refused, Err(AddError::TooMuch)));
    store.add(&first, PLENTY, Some(receipt.clone())).await.unwrap();
    let again = upload(ids, world.customer, build::noon());
    let refused = store.add(&again, PLENTY, Some(receipt)).await;
    assert!(matches!(refused, Err(AddError::Repeated)));
    assert!(store.attachment(again.id).await.unwrap().is_none());
    assert!(store.remove_unbound(first.id, world.customer).await.unwrap());
}

/// A message with these uploads on it, and the ticket after it was added.
fn with_uploads(
    ids: &dyn IdSource,
    ticket: &Ticket,
    sender: UserId,
    visibility: Visibility,
    uploads: &[&Attachment],
) -> (Message, Ticket) {
    let mut sent = message(ids, ticket, sender, visibility, build::noon());
    sent.attachments = uploads.iter().map(|upload| (*upload).clone()).collect();
    for attachment in &mut sent.attachments {
        attachment.message = Some(sent.id);
    }
    sent.attachment_urls = urls(&sent.attachments);
    let mut after = ticket.clone();
    after.staff_face.version = ticket.version().next();
    (sent, after)
}

fn update(ticket: &Ticket, after: &Ticket) -> TicketWrite {
    TicketWrite::Update {
        ticket: Box::new(after.clone()),
        expected: ticket.version(),
    }
}

async fn uploads_hang_on_the_message_that_was_stored_with_them<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    let who = world.agent;
    let (one, two) = (
        upload(ids, who, build::noon()),
        upload(ids, who, build::noon() + Duration::seconds(1)),
    );
    for upload in [&one, &two] {
        store.add(upload, PLENTY, None).await.unwrap();
    }
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    let (sent, after) = with_uploads(ids, &ticket, who, Visibility::Internal, &[&one, &two]);
    let mut commit = only(update(&ticket, &after));
    commit.messages.push(sent.clone());
    store.commit(commit).await.unwrap();
    assert_eq!(
        store.message(ticket.id, sent.id).await.unwrap().as_ref(),
        Some(&sent)
    );
    let listed = store
        .messages(ticket.id, Audience::Staff, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&sent));
    let found = store.attachment(two.id).await.unwrap().unwrap();
    let place = AttachmentPlace {
        ticket: ticket.id,
        message: sent.id,
        visibility: Visibility::Internal,
    };
    assert_eq!(found.place, Some(place));
    assert_eq!(store.unbound(who).await.unwrap(), Unbound::default());
    assert_eq!(store.uploads(who, &[one.id, two.id]).await.unwrap(), []);
    assert!(!store.remove_unbound(one.id, who).await.unwrap());
}

async fn a_message_is_refused_whole_when_an_upload_is_not_to_be_had<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    let (own, others) = (
        upload(ids, world.agent, build::noon()),
        upload(ids, world.stranger, build::noon()),
    );
    for upload in [&own, &others] {
        store.add(upload, PLENTY, None).await.unwrap();
    }
    let unknown = upload(ids, world.agent, build::noon());
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    for with in [&others, &unknown] {
        let (sent, after) = with_uploads(ids, &ticket, world.agent, Visibility::Public, &[&own, with]);
        let mut commit = only(update(&ticket, &after));
        commit.messages.push(sent.clone());
        assert!(matches!(store.commit(commit).await, Err(CommitError::Stale)));
        assert_eq!(store.message(ticket.id, sent.id).await.unwrap(), None);
        assert_eq!(store.uploads(world.agent, &[own.id]).await.unwrap().len(), 1);
    }
    // Nor by two messages at once.
    let other_ticket = fresh(store, ids, world).await;
    insert(store, &other_ticket).await;
    let commits = [&ticket, &other_ticket].map(|ticket| {
        let (sent, after) = with_uploads(ids, ticket, world.agent, Visibility::Public, &[&own]);
        let mut commit = only(update(ticket, &after));
        commit.messages.push(sent);
        store.commit(commit)
    });
    let mut stored = 0;
    for commit in commits {
        match commit.await {
            Ok(()) => stored += 1,
            Err(error) => assert!(matches!(error, CommitError::Stale), "{error}"),
        }
    }
    assert_eq!(stored, 1);
    assert!(store.remove_unbound(others.id, world.stranger).await.unwrap());
}

async fn what_is_removed_is_off_its_message<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    let hung = upload(ids, world.agent, build::noon());
    store.add(&hung, PLENTY, None).await.unwrap();
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    let (sent, after) = with_uploads(ids, &ticket, world.agent, Visibility::Public, &[&hung]);
    let mut commit = only(update(&ticket, &after));
    commit.messages.push(sent.clone());
    store.commit(commit).await.unwrap();

    let bare = Message {
        attachments: Vec::new(),
        attachment_urls: json!([]),
        updated_at: sent.updated_at + Duration::seconds(1),
        ..sent
    };
    let mut later = after.clone();
    later.staff_face.version = after.version().next();
    let mut removal = only(update(&after, &later));
    removal.edited_messages.push(bare.clone());
    removal.removed_attachments.push(hung.id);
    let mut stale = removal.clone();
    stale.ticket = update(&ticket, &later);
    assert!(matches!(store.commit(stale).await, Err(CommitError::Stale)));
    assert!(store.attachment(hung.id).await.unwrap().is_some());
    store.commit(removal).await.unwrap();
    assert!(store.attachment(hung.id).await.unwrap().is_none());
    assert_eq!(store.message(ticket.id, bare.id).await.unwrap(), Some(bare));
}

async fn old_uploads_go_and_nothing_else<S: TicketStore + AttachmentStore>(
    store: &S,
    ids: &dyn IdSource,
    world: &World,
) {
    // Before everything else here was uploaded.
    let before = build::noon() - Duration::hours(1);
    let old = [
        upload(ids, world.agent, before - Duration::seconds(2)),
        upload(ids, world.customer, before - Duration::seconds(1)),
    ];
    let (bound, young) = (
        upload(ids, world.agent, before - Duration::seconds(3)),
        upload(ids, world.agent, before),
    );
    for upload in old.iter().chain([&bound, &young]) {
        store.add(upload, PLENTY, None).await.unwrap();
    }
    let ticket = fresh(store, ids, world).await;
    insert(store, &ticket).await;
    let (sent, after) = with_uploads(ids, &ticket, world.agent, Visibility::Public, &[&bound]);
    let mut commit = only(update(&ticket, &after));
    commit.messages.push(sent);
    store.commit(commit).await.unwrap();

    let mut gone = store.remove_unbound_before(before, 1).await.unwrap();
    assert_eq!(gone.len(), 1);
    gone.extend(store.remove_unbound_before(before, 100).await.unwrap());
    gone.sort_unstable();
    assert_eq!(gone, old.map(|upload| upload.id));
    let all: Vec<_> = gone.into_iter().chain([bound.id, young.id]).collect();
    assert_eq!(store.known(&all).await.unwrap(), [bound.id, young.id].into());
}

/// Everything that [`Blobs`] promise.
///
/// # Panics
/// When a promise is broken.
pub async fn blobs(blobs: &dyn Blobs, ids: &dyn IdSource) {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let id = AttachmentId::new(ids);
    let mut writer = blobs.create(id).await.unwrap();
    for part in bytes.chunks(70_001) {
        writer.write(part).await.unwrap();
    }
    assert!(
        blobs.open(id, 0..10).await.unwrap().is_none(),
        "nothing is there before it is finished"
    );
    let facts = writer.finish().await.unwrap();
    assert_eq!(facts.size_bytes, 300_000);
    assert_eq!(read(blobs, id, 0..300_000).await, bytes);
    assert_eq!(read(blobs, id, 5..70_000).await, &bytes[5..70_000]);

    let empty = AttachmentId::new(ids);
    assert_eq!(keep(blobs, empty, b"").await.unwrap(), 0);
    assert!(read(blobs, empty, 0..0).await.is_empty());

    let dropped = AttachmentId::new(ids);
    let mut writer = blobs.create(dropped).await.unwrap();
    writer.write(&bytes).await.unwrap();
    drop(writer);
    assert!(blobs.open(dropped, 0..1).await.unwrap().is_none());

    let mut kept: Vec<AttachmentId> = vec![id, empty];
    for _ in 0..8 {
        let more = AttachmentId::new(ids);
        keep(blobs, more, b"x").await.unwrap();
        kept.push(more);
    }
    let mut listed = Vec::new();
    for shard in (0..BLOB_SHARDS).filter_map(|shard| u8::try_from(shard).ok()) {
        let whole = blobs.list(shard, None, 100).await.unwrap();
        let mut after = None;
        let mut one_by_one = Vec::new();
        while let [blob] = blobs.list(shard, after, 1).await.unwrap()[..] {
            after = Some(blob.id);
            one_by_one.push(blob);
        }
        assert_eq!(whole, one_by_one);
        assert!(whole.iter().all(|blob| shard_of(blob.id) == shard));
        listed.extend(whole.into_iter().map(|blob| blob.id));
    }
    listed.sort_unstable();
    kept.sort_unstable();
    assert_eq!(listed, kept);

    blobs.delete(id).await.unwrap();
    blobs.delete(id).await.unwrap();
    assert!(blobs.open(id, 0..1).await.unwrap().is_none());
}

async fn keep(blobs: &dyn Blobs, id: AttachmentId, bytes: &[u8]) -> Result<i64, BlobError> {
    let mut writer = blobs.create(id).await?;
    writer.write(bytes).await?;
    Ok(writer.finish().await?.size_bytes)
}

/// The bytes of a file that is there.
///
/// # Panics
/// When it is not.
pub async fn read(blobs: &dyn Blobs, id: AttachmentId, bytes: std::ops::Range<u64>) -> Vec<u8> {
    let mut reader: Box<dyn BlobReader> = blobs.open(id, bytes).await.unwrap().unwrap();
    let mut read = Vec::new();
    while let Some(part) = reader.next().await.unwrap() {
        read.extend(part);
    }
    read
}

#[cfg(test)]
mod tests {
    use kernel::{SequentialIds, TeamId};

    use super::*;
    use crate::testing::{MemoryBlobs, MemoryTickets};

    #[tokio::test]
    async fn the_fakes_keep_the_contracts() {
        let ids = SequentialIds::default();
        let world = World {
            customer: UserId(ids.next()),
            stranger: UserId(ids.next()),
            agent: UserId(ids.next()),
            team: TeamId(ids.next()),
            other_team: TeamId(ids.next()),
        };
        attachment_store(&MemoryTickets::default(), &ids, &world).await;
        blobs(&MemoryBlobs::default(), &ids).await;
    }
}

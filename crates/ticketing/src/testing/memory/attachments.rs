//! Attachments in memory: their rows beside the tickets, their bytes in a map of their own.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, Receipt, UserId};

use super::{MemoryTickets, State, same_request};
use crate::attachment::{Attachment, AttachmentId, AttachmentPlace, OCTET_STREAM, PlacedAttachment};
use crate::blobs::{
    AddError, AttachmentStore, BlobError, BlobFacts, BlobReader, BlobWriter, Blobs, StoredBlob, Unbound,
    shard_of,
};
use crate::testing::build;
use crate::ticket::Message;

impl State {
    pub(super) fn uploads(&self, uploader: UserId, ids: &[AttachmentId]) -> Vec<Attachment> {
        let free = |stored: &&Attachment| stored.uploader == uploader && stored.message.is_none();
        let wanted = self.attachments.iter().filter(|stored| ids.contains(&stored.id));
        wanted.filter(free).cloned().collect()
    }

    pub(super) fn can_hang_on(&self, message: &Message) -> bool {
        let ids: Vec<AttachmentId> = message
            .attachments
            .iter()
            .map(|attachment| attachment.id)
            .collect();
        self.uploads(message.sender, &ids).len() == ids.len()
    }

    pub(super) fn hang_on(&mut self, message: &Message) {
        for stored in &mut self.attachments {
            if message.attachments.iter().any(|hung| hung.id == stored.id) {
                stored.message = Some(message.id);
            }
        }
    }

    fn unbound(&self, uploader: UserId) -> Unbound {
        let own = |stored: &&Attachment| stored.uploader == uploader && stored.message.is_none();
        let own: Vec<_> = self.attachments.iter().filter(own).collect();
        Unbound {
            files: i64::try_from(own.len()).unwrap_or(i64::MAX),
            bytes: own.iter().map(|stored| stored.size_bytes).sum(),
        }
    }
}

#[async_trait]
impl AttachmentStore for MemoryTickets {
    async fn unbound(&self, uploader: UserId) -> Result<Unbound, PortError> {
        Ok(self.state().unbound(uploader))
    }

    async fn add(
        &self,
        attachment: &Attachment,
        at_most: Unbound,
        receipt: Option<Receipt>,
    ) -> Result<(), AddError> {
        let mut state = self.state();
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| same_request(stored, receipt))
        {
            return Err(AddError::Repeated);
        }
        let held = state.unbound(attachment.uploader);
        if held.files + 1 > at_most.files || held.bytes + attachment.size_bytes > at_most.bytes {
            return Err(AddError::TooMuch);
        }
        state.attachments.push(attachment.clone());
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn attachment(&self, id: AttachmentId) -> Result<Option<PlacedAttachment>, PortError> {
        let state = self.state();
        let found = state.attachments.iter().find(|stored| stored.id == id);
        Ok(found.map(|attachment| PlacedAttachment {
            attachment: attachment.clone(),
            place: state
                .messages
                .iter()
                .find(|message| attachment.message == Some(message.id))
                .map(|message| AttachmentPlace {
                    ticket: message.ticket,
                    message: message.id,
                    visibility: message.visibility,
                }),
        }))
    }

    async fn remove_unbound(&self, id: AttachmentId, uploader: UserId) -> Result<bool, PortError> {
        let mut state = self.state();
        let there = !state.uploads(uploader, &[id]).is_empty();
        state.attachments.retain(|stored| !there || stored.id != id);
        Ok(there)
    }

    async fn remove_unbound_before(
        &self,
        before: DateTime<Utc>,
        rows_max: i64,
    ) -> Result<Vec<AttachmentId>, PortError> {
        let mut state = self.state();
        let old = |stored: &&Attachment| stored.message.is_none() && stored.created_at < before;
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        let old = state.attachments.iter().filter(old).take(rows_max);
        let old: Vec<AttachmentId> = old.map(|stored| stored.id).collect();
        state.attachments.retain(|stored| !old.contains(&stored.id));
        Ok(old)
    }

    async fn known(&self, ids: &[AttachmentId]) -> Result<HashSet<AttachmentId>, PortError> {
        let state = self.state();
        let known = state.attachments.iter().map(|stored| stored.id);
        Ok(known.filter(|id| ids.contains(id)).collect())
    }
}

type Kept = BTreeMap<AttachmentId, (Vec<u8>, DateTime<Utc>)>;

/// The bytes of files in memory, all of them kept since [noon](build::noon). Their checksum is none that could be told from others by; their type is unknown.
#[derive(Clone, Default)]
pub struct MemoryBlobs(Arc<Mutex<Kept>>);

impl MemoryBlobs {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which files there are.
    pub fn ids(&self) -> Vec<AttachmentId> {
        self.kept().keys().copied().collect()
    }

    /// Makes every file one that is kept since then.
    pub fn date(&self, to: DateTime<Utc>) {
        for (_, stored_at) in self.kept().values_mut() {
            *stored_at = to;
        }
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn create(&self, id: AttachmentId) -> Result<Box<dyn BlobWriter>, BlobError> {
        Ok(Box::new(MemoryWriter {
            blobs: self.clone(),
            id,
            bytes: Vec::new(),
        }))
    }

    async fn open(
        &self,
        id: AttachmentId,
        bytes: Range<u64>,
    ) -> Result<Option<Box<dyn BlobReader>>, PortError> {
        let kept = self.kept();
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let part = kept.get(&id).map(|(all, _)| {
            let part = all.get(at(bytes.start)..at(bytes.end).min(all.len()));
            part.unwrap_or_default().to_vec()
        });
        Ok(part.map(|part| Box::new(MemoryReader(Some(part))) as Box<dyn BlobReader>))
    }

    async fn delete(&self, id: AttachmentId) -> Result<(), PortError> {
        self.kept().remove(&id);
        Ok(())
    }

    async fn list(
        &self,
        shard: u8,
        after: Option<AttachmentId>,
        blobs_max: usize,
    ) -> Result<Vec<StoredBlob>, PortError> {
        let kept = self.kept();
        let all = kept.iter().map(|(id, (_, stored_at))| StoredBlob {
            id: *id,
            stored_at: *stored_at,
        });
        let wanted = |blob: &StoredBlob| shard_of(blob.id) == shard && Some(blob.id) > after;
        Ok(all.filter(wanted).take(blobs_max).collect())
    }

    async fn clear_unfinished(&self, _: u8, _: DateTime<Utc>) -> Result<u64, PortError> {
        Ok(0)
    }
}

struct MemoryWriter {
    blobs: MemoryBlobs,
    id: AttachmentId,
    bytes: Vec<u8>,
}

#[async_trait]
impl BlobWriter for MemoryWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobFacts, BlobError> {
        let Self { blobs, id, bytes } = *self;
        let mut sha256 = [0; 32];
        for (index, byte) in bytes.iter().enumerate() {
            sha256[index % 32] ^= byte;
        }
        let facts = BlobFacts {
            size_bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            sha256,
            content_type: OCTET_STREAM.to_owned(),
        };
        blobs.kept().insert(id, (bytes, build::noon()));
        Ok(facts)
    }
}

struct MemoryReader(Option<Vec<u8>>);

#[async_trait]
impl BlobReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.take().filter(|bytes| !bytes.is_empty()))
    }
}

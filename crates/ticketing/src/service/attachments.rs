//! Uploading, showing, reading and removing attachments, and sweeping away what nobody came back for.
//!
//! A file is written first and its row last, so that there is never a row without a file; what is left of an upload
//! that ended in between is a file without a row, which [`Attachments::sweep`] finds. A file goes the other way round:
//! its row first.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Classify, FailureKind, PortError, UserId, Violation, Violations};

use super::conversation::reads;
use super::{Guard, STALE_TRIES_MAX, Tickets};
use crate::attachment::{ATTACHMENTS_PER_MESSAGE_MAX, Attachment, AttachmentId, AttachmentPlace, FileName};
use crate::blobs::{
    AddError, AttachmentStore, BLOB_SHARDS, BlobError, BlobReader, BlobWriter, Blobs, Scanner, StoredBlob,
    Unbound, Verdict,
};
use crate::error::TicketError;
use crate::policy::{Operation, permits};
use crate::ticket::TicketKey;

/// The most files of one person that hang on no message.
const UNBOUND_FILES_MAX: i64 = 50;
/// The most bytes of one person's that hang on no message: as many as one message may have.
const UNBOUND_LARGEST_FILES_MAX: u64 = ATTACHMENTS_PER_MESSAGE_MAX as u64;
/// How long an upload waits for its message, and a file that nobody knows of is left alone.
const UNBOUND_LIFE: TimeDelta = TimeDelta::hours(24);
/// The most files that one person uploads at once, and that all do, on one node.
const UPLOADS_PER_PERSON_MAX: u32 = 4;
const UPLOADS_MAX: u32 = 64;
/// The most files that one person reads at once, and that all do, on one node.
const DOWNLOADS_PER_PERSON_MAX: u32 = 16;
const DOWNLOADS_MAX: u32 = 512;
/// How long one who did too much at once should wait.
const RETRY_AFTER_BUSY: Duration = Duration::from_secs(2);
/// What one round of the sweep looks through.
const SWEPT_ROWS_MAX: i64 = 200;
const SWEPT_SHARDS_MAX: u16 = 64;
const SWEPT_BLOBS_PER_SHARD_MAX: usize = 500;

/// The desk's choices about attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentSettings {
    /// The most bytes of a file; 25 MiB.
    pub bytes_max: u64,
}

impl Default for AttachmentSettings {
    fn default() -> Self {
        Self {
            bytes_max: 25 * 1024 * 1024,
        }
    }
}

/// Why a use case on an attachment failed.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// There is no such attachment, or the caller may not know of it.
    #[error("no such attachment for this caller")]
    NotFound,
    /// The caller sees it and may not do this with it.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// The file is larger than the desk takes.
    #[error("the file has more than {bytes_max} bytes")]
    TooLarge {
        /// The most that it takes.
        bytes_max: u64,
    },
    /// Too much of the caller's hangs on no message.
    #[error("too many uploads hang on no message")]
    TooMuch,
    /// Too many files at once.
    #[error("too many files at once")]
    Busy,
    /// The scanner found something; the name is its own.
    #[error("the file is infected: {0}")]
    Infected(String),
    /// The scanner did not look at the file, so that it was not taken.
    #[error("the file could not be scanned")]
    Unscanned(#[source] PortError),
    /// There is no room for the file.
    #[error("there is no room for the file")]
    Full(#[source] kernel::failure::BoxError),
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// The ticket does not allow it.
    #[error(transparent)]
    Ticket(TicketError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for AttachmentError {
    fn kind(&self) -> FailureKind {
        match self {
            AttachmentError::NotFound => FailureKind::NotFound,
            AttachmentError::Forbidden(_) => FailureKind::Forbidden,
            AttachmentError::TooLarge { .. } | AttachmentError::Infected(_) => FailureKind::Invalid,
            AttachmentError::TooMuch | AttachmentError::Repeated => FailureKind::Conflict,
            AttachmentError::Busy => FailureKind::TooMany,
            AttachmentError::Unscanned(_) | AttachmentError::Full(_) => FailureKind::Unavailable,
            AttachmentError::Ticket(error) => error.kind(),
            AttachmentError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AttachmentError::NotFound => "attachment.not_found",
            AttachmentError::Forbidden(_) => "access.forbidden",
            AttachmentError::TooLarge { .. } => "request.too_large",
            AttachmentError::TooMuch => "attachment.too_many",
            AttachmentError::Busy => "attachment.busy",
            AttachmentError::Infected(_) => "attachment.infected",
            AttachmentError::Unscanned(_) => "attachment.not_scanned",
            AttachmentError::Full(_) => "attachment.no_room",
            AttachmentError::Repeated => "request.repeated",
            AttachmentError::Ticket(error) => error.code(),
            AttachmentError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            AttachmentError::NotFound => "There is no such attachment.".into(),
            AttachmentError::Forbidden(what) => format!("You may not {what}."),
            AttachmentError::TooLarge { bytes_max } => format!("A file must have at most {bytes_max} bytes."),
            AttachmentError::TooMuch => {
                "Too many of your uploads hang on no message; use them or delete them. \
                                         What is not used goes by itself after 24 hours."
                    .into()
            }
            AttachmentError::Busy => "Too many files at once; wait until one has come to its end.".into(),
            AttachmentError::Infected(_) => {
                "The virus scanner found something in the file; it was not kept.".into()
            }
            AttachmentError::Unscanned(_) => {
                "The virus scanner cannot look at the file just now, and it was not kept; try again shortly."
                    .into()
            }
            AttachmentError::Full(_) => "The server has no room for the file.".into(),
            AttachmentError::Repeated => "The request was carried out before.".into(),
            AttachmentError::Ticket(error) => error.detail(),
            AttachmentError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, AttachmentError::Busy).then_some(RETRY_AFTER_BUSY)
    }
}

impl From<BlobError> for AttachmentError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full(source) => AttachmentError::Full(source),
            BlobError::Port(error) => AttachmentError::Port(error),
        }
    }
}

/// What the ticket says to one who asks for an attachment: of a ticket that they may not see, as of no attachment.
impl From<TicketError> for AttachmentError {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::NotFound | TicketError::MessageNotFound => AttachmentError::NotFound,
            TicketError::Port(error) => AttachmentError::Port(error),
            error => AttachmentError::Ticket(error),
        }
    }
}

/// The use cases on attachments.
pub struct Attachments {
    tickets: Arc<Tickets>,
    store: Arc<dyn AttachmentStore>,
    blobs: Arc<dyn Blobs>,
    scanner: Option<Arc<dyn Scanner>>,
    settings: AttachmentSettings,
    uploads: Arc<Slots>,
    downloads: Arc<Slots>,
    /// Where the sweep goes on: the shard, and the file after which.
    swept: Mutex<(u16, Option<AttachmentId>)>,
}

impl Attachments {
    /// The use cases over these ports; without a scanner files are taken unseen.
    #[must_use]
    pub fn new(
        tickets: Arc<Tickets>,
        store: Arc<dyn AttachmentStore>,
        blobs: Arc<dyn Blobs>,
        scanner: Option<Arc<dyn Scanner>>,
        settings: AttachmentSettings,
    ) -> Self {
        Self {
            tickets,
            store,
            blobs,
            scanner,
            settings,
            uploads: Slots::new(UPLOADS_PER_PERSON_MAX, UPLOADS_MAX),
            downloads: Slots::new(DOWNLOADS_PER_PERSON_MAX, DOWNLOADS_MAX),
            swept: Mutex::default(),
        }
    }

    /// The desk's choices in force.
    #[must_use]
    pub fn settings(&self) -> AttachmentSettings {
        self.settings
    }

    fn unbound_max(&self) -> Unbound {
        let bytes = self.settings.bytes_max.saturating_mul(UNBOUND_LARGEST_FILES_MAX);
        Unbound {
            files: UNBOUND_FILES_MAX,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`AttachmentError::TooMuch`] and [`AttachmentError::Busy`] beyond the bounds.
    pub async fn begin(&self, actor: &Actor, file_name: &str) -> Result<Upload<'_>, AttachmentError> {
        let uploader = actor
            .user_id()
            .ok_or(AttachmentError::Forbidden("upload files"))?;
        let slot = Slots::take(&self.uploads, uploader).ok_or(AttachmentError::Busy)?;
        let (held, at_most) = (self.store.unbound(uploader).await?, self.unbound_max());
        if held.files >= at_most.files || held.bytes >= at_most.bytes {
            return Err(AttachmentError::TooMuch);
        }
        let id = AttachmentId::new(self.tickets.ids.as_ref());
        Ok(Upload {
            service: self,
            id,
            uploader,
            file_name: FileName::cleaned(file_name),
            bytes: 0,
            writer: self.blobs.create(id).await?,
            slot,
        })
    }

    /// An attachment: for whoever may read its message, and for its uploader while it hangs on none.
    ///
    /// # Errors
    /// [`AttachmentError::NotFound`] for everyone else.
    pub async fn show(&self, actor: &Actor, id: AttachmentId) -> Result<Attachment, AttachmentError> {
        let found = self.store.attachment(id).await?;
        let found = found.ok_or(AttachmentError::NotFound)?;
        let is_shown = match found.place {
            None => actor.user_id() == Some(found.attachment.uploader),
            Some(AttachmentPlace {
                ticket, visibility, ..
            }) => {
                let (_, relation) = self.tickets.shown(actor, &TicketKey::Id(ticket)).await?;
                reads(relation, visibility)
            }
        };
        if is_shown {
            Ok(found.attachment)
        } else {
            Err(AttachmentError::NotFound)
        }
    }

    /// An attachment whose bytes the caller wants to read.
    ///
    /// # Errors
    /// As for [`Attachments::show`].
    pub async fn download(&self, actor: &Actor, id: AttachmentId) -> Result<Download<'_>, AttachmentError> {
        let reader = actor.user_id().ok_or(AttachmentError::Forbidden("read files"))?;
        Ok(Download {
            service: self,
            attachment: self.show(actor, id).await?,
            reader,
        })
    }

    /// Removes an attachment for good: one's own while it hangs on no message; from a message, those may who hand out
    /// the team's work.
    ///
    /// # Errors
    /// [`AttachmentError::NotFound`] for one that the caller may not see, [`AttachmentError::Forbidden`] for one that
    /// they may not remove.
    pub async fn delete(&self, actor: &Actor, id: AttachmentId) -> Result<(), AttachmentError> {
        for _ in 0..STALE_TRIES_MAX {
            let found = self.store.attachment(id).await?;
            let found = found.ok_or(AttachmentError::NotFound)?;
            let removed = match found.place {
                None if actor.user_id() == Some(found.attachment.uploader) => {
                    let uploader = found.attachment.uploader;
                    self.store.remove_unbound(id, uploader).await?
                }
                None => return Err(AttachmentError::NotFound),
                Some(place) => self.remove_from(actor, place, &found.attachment).await?,
            };
            if removed {
                // Nobody knows of the file any more: where this fails the sweep will find it.
                let _ = self.blobs.delete(id).await;
                return Ok(());
            }
        }
        Err(TicketError::Stale { current: None }.into())
    }

    /// Whether the message lost it; not where somebody else was faster.
    async fn remove_from(
        &self,
        actor: &Actor,
        place: AttachmentPlace,
        attachment: &Attachment,
    ) -> Result<bool, AttachmentError> {
        let tickets = &self.tickets;
        let (ticket, relation) = tickets.live(actor, &TicketKey::Id(place.ticket)).await?;
        if !reads(relation, place.visibility) {
            return Err(AttachmentError::NotFound);
        }
        if !permits(relation, Operation::RemoveAttachment, &ticket, &tickets.settings) {
            return Err(AttachmentError::Forbidden("remove this attachment"));
        }
        let Some(message) = tickets.store.message(ticket.id, place.message).await? else {
            return Ok(false);
        };
        let written = tickets
            .attempt(actor, ticket, relation, Guard::none(), |draft| {
                draft.remove_attachment(message, attachment);
                Ok(())
            })
            .await?;
        Ok(written.is_some())
    }

    /// One round of looking for what nobody came back for: uploads that hang on no message, files without a row and
    /// what unfinished uploads left, each for a day; gives how many of them it removed. Goes through the files part
    /// by part, a round after the other.
    ///
    /// # Errors
    /// When a store cannot be reached.
    pub async fn sweep(&self) -> Result<u64, PortError> {
        let before = self.tickets.clock.now() - UNBOUND_LIFE;
        let rows = self.store.remove_unbound_before(before, SWEPT_ROWS_MAX).await?;
        let mut removed = rows.len() as u64;
        for id in rows {
            self.blobs.delete(id).await?;
        }
        for _ in 0..SWEPT_SHARDS_MAX {
            let (shard, after) = *self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            let part = u8::try_from(shard).unwrap_or_default();
            let blobs = self.blobs.list(part, after, SWEPT_BLOBS_PER_SHARD_MAX).await?;
            let old = |blob: &&StoredBlob| blob.stored_at < before;
            let old: Vec<AttachmentId> = blobs.iter().filter(old).map(|blob| blob.id).collect();
            if !old.is_empty() {
                let known = self.store.known(&old).await?;
                for id in old.into_iter().filter(|id| !known.contains(id)) {
                    self.blobs.delete(id).await?;
                    removed += 1;
                }
            }
            let goes_on = blobs.len() >= SWEPT_BLOBS_PER_SHARD_MAX;
            let next = match blobs.last() {
                Some(last) if goes_on => (shard, Some(last.id)),
                Some(_) | None => ((shard + 1) % BLOB_SHARDS, None),
            };
            if next.1.is_none() {
                removed += self.blobs.clear_unfinished(part, before).await?;
            }
            *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = next;
        }
        Ok(removed)
    }
}

/// A file on its way in. What was written of it is gone when it is dropped.
pub struct Upload<'a> {
    service: &'a Attachments,
    id: AttachmentId,
    uploader: UserId,
    file_name: FileName,
    bytes: u64,
    writer: Box<dyn BlobWriter>,
    slot: Slot,
}

impl<'a> Upload<'a> {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`AttachmentError::TooLarge`] beyond the bound, at once.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), AttachmentError> {
        let bytes_max = self.service.settings.bytes_max;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > bytes_max {
            return Err(AttachmentError::TooLarge { bytes_max });
        }
        Ok(self.writer.write(bytes).await?)
    }

    /// Ends the file and has it scanned, where the desk has a scanner.
    ///
    /// # Errors
    /// [`AttachmentError::Infected`] and [`AttachmentError::Unscanned`]: then nothing of it is kept.
    pub async fn end(self) -> Result<Uploaded<'a>, AttachmentError> {
        let Self {
            service,
            id,
            uploader,
            file_name,
            bytes: _,
            writer,
            slot,
        } = self;
        let facts = writer.finish().await?;
        let attachment = Attachment {
            id,
            uploader,
            message: None,
            file_name,
            content_type: facts.content_type,
            size_bytes: facts.size_bytes,
            sha256: facts.sha256,
            created_at: service.tickets.clock.now(),
        };
        if let Err(refused) = service.scan(&attachment).await {
            // Where this fails the sweep will find it; no row ever leads there.
            let _ = service.blobs.delete(id).await;
            return Err(refused);
        }
        Ok(Uploaded {
            service,
            attachment,
            _slot: slot,
        })
    }
}

impl Attachments {
    async fn scan(&self, attachment: &Attachment) -> Result<(), AttachmentError> {
        let Some(scanner) = &self.scanner else {
            return Ok(());
        };
        let file = self
            .bytes(attachment, 0..attachment.size_bytes.unsigned_abs())
            .await?;
        match scanner.scan(file).await {
            Ok(Verdict::Clean) => Ok(()),
            Ok(Verdict::Infected(name)) => Err(AttachmentError::Infected(name)),
            Err(error) => Err(AttachmentError::Unscanned(error)),
        }
    }

    async fn bytes(
        &self,
        attachment: &Attachment,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, PortError> {
        let file = self.blobs.open(attachment.id, range).await?;
        file.ok_or_else(|| PortError::Corrupt {
            table: "attachments",
            column: "id",
            id: attachment.id.to_string(),
            detail: "its file is not there".to_owned(),
        })
    }
}

/// A file that is whole and clean, and that nobody knows of yet.
pub struct Uploaded<'a> {
    service: &'a Attachments,
    attachment: Attachment,
    _slot: Slot,
}

impl Uploaded<'_> {
    /// What will be known of it.
    #[must_use]
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Makes it known, to its uploader alone.
    ///
    /// # Errors
    /// [`AttachmentError::TooMuch`] beyond the bound, [`AttachmentError::Repeated`] for a request that was carried out
    /// before.
    pub async fn keep(self, receipt: ReceiptFor<'_, Attachment>) -> Result<Attachment, AttachmentError> {
        let Self {
            service,
            attachment,
            _slot,
        } = self;
        let receipt = receipt(&attachment);
        let added = service
            .store
            .add(&attachment, service.unbound_max(), receipt)
            .await;
        let refused = match added {
            Ok(()) => return Ok(attachment),
            // The row may have been stored all the same: the file stays, and the sweep decides.
            Err(AddError::Port(error)) => return Err(error.into()),
            Err(AddError::TooMuch) => AttachmentError::TooMuch,
            Err(AddError::Repeated) => AttachmentError::Repeated,
        };
        let _ = service.blobs.delete(attachment.id).await;
        Err(refused)
    }
}

/// An attachment that its reader may have.
pub struct Download<'a> {
    service: &'a Attachments,
    attachment: Attachment,
    reader: UserId,
}

impl Download<'_> {
    /// What is known of it.
    #[must_use]
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// These of its bytes, piece by piece.
    ///
    /// # Errors
    /// [`AttachmentError::Busy`] beyond the bound.
    pub async fn bytes(self, range: Range<u64>) -> Result<Box<dyn BlobReader>, AttachmentError> {
        let slot = Slots::take(&self.service.downloads, self.reader).ok_or(AttachmentError::Busy)?;
        let inner = self.service.bytes(&self.attachment, range).await?;
        Ok(Box::new(Counted { inner, _slot: slot }))
    }
}

/// A file that is read, and counted for as long.
struct Counted {
    inner: Box<dyn BlobReader>,
    _slot: Slot,
}

#[async_trait]
impl BlobReader for Counted {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.next().await
    }
}

/// How many files people deal with at once, on this node.
#[derive(Debug)]
struct Slots {
    per_person_max: u32,
    all_max: u32,
    taken: Mutex<HashMap<UserId, u32>>,
}

/// One of them; it is free again when this is dropped.
#[derive(Debug)]
struct Slot {
    slots: Arc<Slots>,
    person: UserId,
}

impl Slots {
    fn new(per_person_max: u32, all_max: u32) -> Arc<Self> {
        Arc::new(Self {
            per_person_max,
            all_max,
            taken: Mutex::default(),
        })
    }

    fn take(slots: &Arc<Self>, person: UserId) -> Option<Slot> {
        let mut taken = slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<u32>() >= slots.all_max {
            return None;
        }
        let own = taken.entry(person).or_default();
        if *own >= slots.per_person_max {
            return None;
        }
        *own += 1;
        Some(Slot {
            slots: Arc::clone(slots),
            person,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

impl Tickets {
    /// The uploads of `uploader` that these ids name, in their order; the outer failure is the store's, the inner one
    /// the caller's, to be told once it is clear that they may write at all.
    pub(super) async fn uploads(
        &self,
        uploader: UserId,
        ids: &[AttachmentId],
    ) -> Result<Result<Vec<Attachment>, TicketError>, TicketError> {
        const POINTER: &str = "/attachmentIds";
        if ids.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        if ids.len() > ATTACHMENTS_PER_MESSAGE_MAX {
            let message = format!("must name at most {ATTACHMENTS_PER_MESSAGE_MAX} attachments");
            return Ok(Err(Violation::new(POINTER, "too_many", message).into()));
        }
        let found = self.store.uploads(uploader, ids).await?;
        let mut violations = Violations::new();
        let mut uploads: Vec<Attachment> = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let pointer = format!("{POINTER}/{index}");
            if uploads.iter().any(|upload| upload.id == *id) {
                violations.push(Violation::new(pointer, "repeated", "must be named once"));
                continue;
            }
            match found.iter().find(|upload| upload.id == *id) {
                Some(upload) => uploads.push(upload.clone()),
                None => {
                    let message = "is no upload of yours that waits for a message";
                    violations.push(Violation::new(pointer, "unknown", message));
                }
            }
        }
        uploads.sort_by_key(|upload| (upload.created_at, upload.id));
        Ok(violations
            .into_result()
            .map(|()| uploads)
            .map_err(TicketError::from))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn nobody_deals_with_more_files_at_once_than_they_may_and_all_together_neither() {
        let slots = Slots::new(2, 3);
        let person = |number| UserId(Uuid::from_u128(number));
        let one = Slots::take(&slots, person(1)).unwrap();
        let _two = Slots::take(&slots, person(1)).unwrap();
        assert!(Slots::take(&slots, person(1)).is_none());
        let _three = Slots::take(&slots, person(2)).unwrap();
        assert!(Slots::take(&slots, person(2)).is_none(), "all are taken");
        drop(one);
        let _four = Slots::take(&slots, person(2)).unwrap();
        assert!(Slots::take(&slots, person(3)).is_none());
    }
}

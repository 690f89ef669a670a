//! What attachments ask of the world: where their rows and their bytes are kept, and who looks whether they are
//! infected. Every implementation passes its suite in [`testing::attachments`](crate::testing::attachments).

use std::collections::HashSet;
use std::ops::Range;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, Receipt, UserId};

use crate::attachment::{Attachment, AttachmentId, PlacedAttachment};

/// What somebody has uploaded that hangs on no message yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unbound {
    /// How many files.
    pub files: i64,
    /// How many bytes altogether.
    pub bytes: i64,
}

/// Why an attachment was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The uploader would have more that hangs on no message than they may.
    #[error("too much hangs on no message")]
    TooMuch,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Keeps what is known of attachments, and never their bytes. They are bound by
/// [`TicketStore::commit`](crate::TicketStore::commit), together with their message.
#[async_trait]
pub trait AttachmentStore: Send + Sync {
    /// What `uploader` has that hangs on no message.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn unbound(&self, uploader: UserId) -> Result<Unbound, PortError>;

    /// Stores a new attachment, whose bytes are kept already, with its receipt. Must refuse when its uploader would
    /// then have more than `at_most`, however many are stored at once.
    ///
    /// # Errors
    /// See [`AddError`].
    async fn add(
        &self,
        attachment: &Attachment,
        at_most: Unbound,
        receipt: Option<Receipt>,
    ) -> Result<(), AddError>;

    /// An attachment and where it hangs: the caller decides who may know.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn attachment(&self, id: AttachmentId) -> Result<Option<PlacedAttachment>, PortError>;

    /// Removes an attachment of `uploader` that hangs on no message; whether there was one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn remove_unbound(&self, id: AttachmentId, uploader: UserId) -> Result<bool, PortError>;

    /// Removes up to `rows_max` attachments that were uploaded before `before` and hang on no message; which ones. On
    /// several nodes at once each must be removed by one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn remove_unbound_before(
        &self,
        before: DateTime<Utc>,
        rows_max: i64,
    ) -> Result<Vec<AttachmentId>, PortError>;

    /// Which of these there are.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn known(&self, ids: &[AttachmentId]) -> Result<HashSet<AttachmentId>, PortError>;
}

/// Why bytes were not kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no room for them.
    #[error("there is no room left where files are kept")]
    Full(#[source] kernel::failure::BoxError),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What the bytes of a file say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFacts {
    /// How many there are.
    pub size_bytes: i64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// The type that the first of them tell; [`OCTET_STREAM`](crate::OCTET_STREAM) where they tell none.
    pub content_type: String,
}

/// A file that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// Which.
    pub id: AttachmentId,
    /// Since when.
    pub stored_at: DateTime<Utc>,
}

/// How many parts the files are kept in.
pub const BLOB_SHARDS: u16 = 256;

/// In which part a file is kept: by its last byte, which is a random one.
#[must_use]
pub fn shard_of(id: AttachmentId) -> u8 {
    id.0.as_bytes()[15]
}

/// Keeps the bytes of files, by their ids and nothing else.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Begins a file. It must not be there for [`open`](Self::open) until it is finished, and must be durable then; one
    /// that is dropped before must leave nothing that lasts.
    ///
    /// # Errors
    /// When it cannot be begun.
    async fn create(&self, id: AttachmentId) -> Result<Box<dyn BlobWriter>, BlobError>;

    /// These bytes of a file, to be read piece by piece; `None` when there is no such file.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn open(
        &self,
        id: AttachmentId,
        bytes: Range<u64>,
    ) -> Result<Option<Box<dyn BlobReader>>, PortError>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn delete(&self, id: AttachmentId) -> Result<(), PortError>;

    /// Up to `blobs_max` files of a [shard](shard_of) by their ids, those after `after`.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn list(
        &self,
        shard: u8,
        after: Option<AttachmentId>,
        blobs_max: usize,
    ) -> Result<Vec<StoredBlob>, PortError>;

    /// Removes what is left in a [shard](shard_of) of files that were begun before `before` and never finished; how many.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn clear_unfinished(&self, shard: u8, before: DateTime<Utc>) -> Result<u64, PortError>;
}

/// A file while it is written.
#[async_trait]
pub trait BlobWriter: Send {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be kept.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError>;

    /// Ends the file: it is there from now on.
    ///
    /// # Errors
    /// When it cannot be kept.
    async fn finish(self: Box<Self>) -> Result<BlobFacts, BlobError>;
}

/// A file while it is read.
#[async_trait]
pub trait BlobReader: Send {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError>;
}

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Clean,
    /// This, by the scanner's name for it.
    Infected(String),
}

/// Looks whether a file is infected.
#[async_trait]
pub trait Scanner: Send + Sync {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// When it cannot be looked at: then it is not known to be clean.
    async fn scan(&self, file: Box<dyn BlobReader>) -> Result<Verdict, PortError>;
}

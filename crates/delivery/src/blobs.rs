//! The bytes of attachments: in a folder, or in a store that speaks S3 (feature `s3`).
//!
//! A file goes by its id and lies in the folder of its last byte: `5c/0190…5c`. It is there whole or not at all, and
//! lasts once it is there. What is written passes by in parts, so that a large file takes no more memory than a small
//! one; on its way its checksum is made and its first bytes are kept, which tell what it is.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kernel::PortError;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use ring::digest::{Context, SHA256};
use ticketing::{AttachmentId, BlobError, BlobFacts, BlobReader, BlobWriter, Blobs, StoredBlob, shard_of};
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use uuid::Uuid;

use crate::content_type::{HEAD_BYTES, content_type};

const PORT: &str = "attachments' files";

/// Who may do what with the folder: its owner alone.
const FOLDER_MODE: u32 = 0o700;
/// A file goes into the folder in parts of so many bytes.
const FOLDER_PART_BYTES: usize = 1 << 20;
/// A file goes to S3 in parts of so many bytes: the fewest that it takes.
#[cfg(feature = "s3")]
const S3_PART_BYTES: usize = 5 << 20;
/// How many parts are on their way at once.
const PARTS_AT_ONCE_MAX: usize = 1;
/// How long the store may take for one step.
const STEP_TIME_MAX: Duration = Duration::from_secs(60);
/// Ends the name of a file in the folder that is not finished, with a number behind it.
const UNFINISHED_MARK: char = '#';

/// Where files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// In this folder.
    Folder(PathBuf),
    /// In this bucket of a store that speaks S3, below this prefix, which may be empty.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
}

impl FilePlace {
    /// Reads a folder's path, or `s3://bucket` with a prefix or without.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("s3://") else {
            let is_path = !text.is_empty() && !text.contains("://");
            return is_path.then(|| Self::Folder(PathBuf::from(text)));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_bucket = !bucket.is_empty() && bucket.chars().all(is_name);
        let is_prefix = prefix.chars().all(|c| is_name(c) || c == '/');
        (is_bucket && is_prefix).then(|| Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Why files cannot be kept where they are to be.
#[derive(Debug, thiserror::Error)]
pub enum FilePlaceError {
    /// The folder cannot be used.
    #[error("the folder {} cannot be used", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: kernel::failure::BoxError,
    },
    /// The bucket cannot be used as it is set.
    #[error("the bucket {bucket} cannot be used; the variables AWS_REGION, AWS_ACCESS_KEY_ID, … say how")]
    Bucket {
        /// Which.
        bucket: String,
        /// Why not.
        source: kernel::failure::BoxError,
    },
    /// The program was built without it.
    #[error("this program was built without S3; build it with --features s3, or name a folder")]
    NoS3,
}

/// Files in a folder or in a bucket.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    store: Arc<dyn ObjectStore>,
    part_bytes: usize,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
}

impl FileBlobs {
    /// The files that are kept there. A folder is made if it is not there, readable to its owner alone.
    ///
    /// # Errors
    /// When they cannot be kept there.
    pub fn open(place: &FilePlace) -> Result<Self, FilePlaceError> {
        match place {
            FilePlace::Folder(folder) => Self::in_folder(folder),
            FilePlace::S3 { bucket, prefix } => Self::in_bucket(bucket, prefix),
        }
    }

    fn in_folder(folder: &Path) -> Result<Self, FilePlaceError> {
        let refused = |source: kernel::failure::BoxError| FilePlaceError::Folder {
            folder: folder.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)
            .map_err(|error| refused(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| refused(error.into()))?;
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            part_bytes: FOLDER_PART_BYTES,
            folder: Some(folder.to_owned()),
        })
    }

    #[cfg(feature = "s3")]
    fn in_bucket(bucket: &str, prefix: &str) -> Result<Self, FilePlaceError> {
        // reqwest takes the process' provider. Whoever comes first installs it; all of ours are ring.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let store = object_store::aws::AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .build()
            .map_err(|error| FilePlaceError::Bucket {
                bucket: bucket.to_owned(),
                source: error.into(),
            })?;
        let store: Arc<dyn ObjectStore> = if prefix.is_empty() {
            Arc::new(store)
        } else {
            Arc::new(object_store::prefix::PrefixStore::new(store, prefix))
        };
        Ok(Self {
            store,
            part_bytes: S3_PART_BYTES,
            folder: None,
        })
    }

    #[cfg(not(feature = "s3"))]
    fn in_bucket(_: &str, _: &str) -> Result<Self, FilePlaceError> {
        Err(FilePlaceError::NoS3)
    }
}

fn folder_of(shard: u8) -> String {
    format!("{shard:02x}")
}

fn path_of(id: AttachmentId) -> object_store::path::Path {
    object_store::path::Path::from(format!("{}/{id}", folder_of(shard_of(id))))
}

fn id_of(path: &object_store::path::Path) -> Option<AttachmentId> {
    let name = path.filename()?;
    let id = Uuid::try_parse(name).ok()?;
    // No file of ours has its id in another spelling.
    (id.to_string() == name).then_some(AttachmentId(id))
}

fn unavailable(source: impl Into<kernel::failure::BoxError>) -> PortError {
    PortError::Unavailable {
        port: PORT,
        source: source.into(),
    }
}

/// Waits for one step of the store, for no longer than it may take.
async fn step<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, kernel::failure::BoxError>
where
    E: Into<kernel::failure::BoxError>,
{
    match timeout(STEP_TIME_MAX, work).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(late) => Err(late.into()),
    }
}

/// What became of bytes that were to be kept.
fn not_kept(source: kernel::failure::BoxError) -> BlobError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*source);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = kind {
            return BlobError::Full(source);
        }
        // An io::Error of somebody else's making gives what is behind that, not that itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    BlobError::Port(unavailable(source))
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn create(&self, id: AttachmentId) -> Result<Box<dyn BlobWriter>, BlobError> {
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), path_of(id), self.part_bytes);
        Ok(Box::new(FileWriter {
            writer: writer.with_max_concurrency(PARTS_AT_ONCE_MAX),
            sha256: Context::new(&SHA256),
            head: Vec::new(),
            size_bytes: 0,
        }))
    }

    async fn open(
        &self,
        id: AttachmentId,
        bytes: Range<u64>,
    ) -> Result<Option<Box<dyn BlobReader>>, PortError> {
        let path = path_of(id);
        // No store gives nothing of a file.
        let wants_none = bytes.is_empty();
        let options = GetOptions {
            range: (!wants_none).then_some(GetRange::Bounded(bytes)),
            head: wants_none,
            ..GetOptions::default()
        };
        let found = step(self.store.get_opts(&path, options)).await;
        let stream = match found {
            Ok(_) if wants_none => futures_util::stream::empty().boxed(),
            Ok(found) => found.into_stream(),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        Ok(Some(Box::new(FileReader(stream))))
    }

    async fn delete(&self, id: AttachmentId) -> Result<(), PortError> {
        match step(self.store.delete(&path_of(id))).await {
            Ok(()) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn list(
        &self,
        shard: u8,
        after: Option<AttachmentId>,
        blobs_max: usize,
    ) -> Result<Vec<StoredBlob>, PortError> {
        let folder = object_store::path::Path::from(folder_of(shard));
        // A folder gives its files in no order: of all, the first by id are kept.
        let mut first: BTreeMap<AttachmentId, DateTime<Utc>> = BTreeMap::new();
        let mut files = match after {
            Some(after) => self.store.list_with_offset(Some(&folder), &path_of(after)),
            None => self.store.list(Some(&folder)),
        };
        while let Some(file) = step(files.try_next()).await.map_err(unavailable)? {
            let Some(id) = id_of(&file.location).filter(|id| Some(*id) > after) else {
                continue;
            };
            first.insert(id, file.last_modified);
            if first.len() > blobs_max {
                first.pop_last();
            }
        }
        let stored = |(id, stored_at)| StoredBlob { id, stored_at };
        Ok(first.into_iter().map(stored).collect())
    }

    async fn clear_unfinished(&self, shard: u8, before: DateTime<Utc>) -> Result<u64, PortError> {
        // A bucket has rules of its own for what was begun and never finished.
        let Some(folder) = &self.folder else {
            return Ok(0);
        };
        let folder = folder.join(folder_of(shard));
        let cleared = spawn_blocking(move || clear(&folder, before)).await;
        cleared.map_err(unavailable)?.map_err(unavailable)
    }
}

/// Removes what was written into the folder before `before` and never got its name.
fn clear(folder: &Path, before: DateTime<Utc>) -> io::Result<u64> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut cleared = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_unfinished = name.to_str().is_some_and(|name| name.contains(UNFINISHED_MARK));
        if !is_unfinished {
            continue;
        }
        // It may get its name or be removed by another node meanwhile.
        let written = entry.metadata().and_then(|known| known.modified());
        if written.is_ok_and(|written| DateTime::<Utc>::from(written) < before)
            && std::fs::remove_file(entry.path()).is_ok()
        {
            cleared += 1;
        }
    }
    Ok(cleared)
}

fn is_absent(error: &kernel::failure::BoxError) -> bool {
    matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. }))
}

struct FileWriter {
    writer: BufWriter,
    sha256: Context,
    head: Vec<u8>,
    size_bytes: i64,
}

#[async_trait]
impl BlobWriter for FileWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.sha256.update(bytes);
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        self.size_bytes = i64::try_from(bytes.len())
            .ok()
            .and_then(|more| self.size_bytes.checked_add(more))
            .unwrap_or(i64::MAX);
        step(self.writer.write_all(bytes)).await.map_err(not_kept)
    }

    async fn finish(self: Box<Self>) -> Result<BlobFacts, BlobError> {
        let Self {
            mut writer,
            sha256: context,
            head,
            size_bytes,
        } = *self;
        step(writer.shutdown()).await.map_err(not_kept)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(context.finish().as_ref());
        Ok(BlobFacts {
            size_bytes,
            sha256,
            content_type: content_type(&head).to_owned(),
        })
    }
}

struct FileReader(BoxStream<'static, object_store::Result<Bytes>>);

#[async_trait]
impl BlobReader for FileReader {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let part = step(self.0.try_next()).await.map_err(unavailable)?;
        Ok(part.map(Vec::from))
    }
}

#[cfg(test)]
mod tests {
    use kernel::{IdSource as _, SequentialIds};
    use tempfile::TempDir;
    use ticketing::testing::attachments::{blobs, read};

    use super::*;

    fn in_folder(folder: &TempDir) -> FileBlobs {
        FileBlobs::open(&FilePlace::Folder(folder.path().join("files"))).unwrap()
    }

    /// The files below a folder, however deep.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
            .collect()
    }

    #[tokio::test]
    async fn a_folder_keeps_the_contract() {
        let folder = TempDir::new().unwrap();
        blobs(&in_folder(&folder), &SequentialIds::default()).await;
    }

    #[tokio::test]
    async fn a_file_goes_by_its_id_and_is_known_by_its_bytes() {
        let folder = TempDir::new().unwrap();
        let store = in_folder(&folder);
        let id = AttachmentId(Uuid::from_u128(0x5c));
        let mut writer = store.create(id).await.unwrap();
        for part in [b"%PDF".as_slice(), b"-1.7 ", &[0; 3_000_000]] {
            writer.write(part).await.unwrap();
        }
        let facts = writer.finish().await.unwrap();
        assert_eq!(
            (facts.size_bytes, facts.content_type.as_str()),
            (3_000_009, "application/pdf")
        );
        let whole = read(&store, id, 0..3_000_009).await;
        let digest = ring::digest::digest(&SHA256, &whole);
        assert_eq!(digest.as_ref(), facts.sha256);
        let path = folder.path().join("files/5c").join(id.to_string());
        assert_eq!(files(folder.path()), [path]);
        let mode = std::os::unix::fs::MetadataExt::mode(&folder.path().join("files").metadata().unwrap());
        assert_eq!(mode & 0o777, FOLDER_MODE);
    }

    #[tokio::test]
    async fn what_is_never_finished_is_cleared_away_once_it_is_old() {
        let folder = TempDir::new().unwrap();
        let store = in_folder(&folder);
        let id = AttachmentId(Uuid::from_u128(0x5c));
        let mut writer = store.create(id).await.unwrap();
        writer.write(&[1; 3 * FOLDER_PART_BYTES]).await.unwrap();
        // As a process does that is killed.
        std::mem::forget(writer);
        assert_eq!(files(folder.path()).len(), 1);
        let ids = SequentialIds::default();
        assert_eq!(store.list(0x5c, None, 10).await.unwrap(), []);
        let long_ago = DateTime::UNIX_EPOCH;
        assert_eq!(store.clear_unfinished(0x5c, long_ago).await.unwrap(), 0);
        let later = DateTime::<Utc>::MAX_UTC;
        let other = AttachmentId(ids.next());
        assert_eq!(store.clear_unfinished(shard_of(other), later).await.unwrap(), 0);
        assert_eq!(store.clear_unfinished(0x5c, later).await.unwrap(), 1);
        assert!(files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn what_others_put_into_the_folder_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let store = in_folder(&folder);
        let shard = folder.path().join("files/00");
        std::fs::create_dir_all(&shard).unwrap();
        for name in ["README", "00000000-0000-7000-8000-0000000000ZZ", &"0".repeat(32)] {
            std::fs::write(shard.join(name), "x").unwrap();
        }
        assert_eq!(store.list(0, None, 10).await.unwrap(), []);
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(full()),
        };
        assert!(matches!(not_kept(Box::new(full())), BlobError::Full(_)));
        assert!(matches!(
            not_kept(Box::new(io::Error::other(wrapped))),
            BlobError::Full(_)
        ));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(not_kept(Box::new(other)), BlobError::Port(_)));
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let s3 = |bucket: &str, prefix: &str| {
            Some(FilePlace::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            })
        };
        for (text, place) in [
            ("/srv/files", Some(FilePlace::Folder(PathBuf::from("/srv/files")))),
            ("files", Some(FilePlace::Folder(PathBuf::from("files")))),
            ("s3://desk", s3("desk", "")),
            ("s3://desk/files/", s3("desk", "files")),
            ("s3://desk/a/b", s3("desk", "a/b")),
            ("", None),
            ("s3://", None),
            ("s3:///files", None),
            ("s3://desk/a?b", None),
            ("https://desk", None),
        ] {
            assert_eq!(FilePlace::parse(text), place, "{text}");
            if let Some(place) = place {
                assert_eq!(FilePlace::parse(&place.to_string()), Some(place));
            }
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_bucket_takes_a_program_that_was_built_for_it() {
        let place = FilePlace::parse("s3://desk").unwrap();
        assert!(matches!(FileBlobs::open(&place), Err(FilePlaceError::NoS3)));
    }
}

//! What belongs to tickets but stands elsewhere in an export, kept on disk until its ticket is read.
//!
//! Comments, ratings and the like come in files of their own, in any order, and can be far more than memory holds. Each is
//! appended to a temporary file and chained to the one before it of the same bucket; the buckets' heads are all that is
//! held: [`BUCKETS_MAX`] numbers, whatever the size of the export.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

/// The most chains: 32 MiB of heads.
const BUCKETS_MAX: u64 = 4 * 1024 * 1024;
const BUCKETS_MIN: u64 = 1024;
/// So many bytes of an export are reckoned for each chain.
const BYTES_OF_A_BUCKET: u64 = 2 * 1024;
/// So many bytes are written at once.
const PENDING_MAX_BYTES: usize = 1024 * 1024;
/// The most bytes that are given back of one ticket.
pub(super) const TAKEN_MAX_BYTES: usize = 32 * 1024 * 1024;
/// The end of a chain.
const NONE: u64 = u64::MAX;
/// The entry before it, whether it was taken, the lengths of its key and its content.
const HEADER_BYTES: usize = 8 + 1 + 4 + 4;

/// The temporary file, and where its chains begin.
pub(super) struct Spool {
    file: File,
    heads: Vec<u64>,
    end: u64,
    pending: Vec<u8>,
}

struct Header {
    before: u64,
    is_taken: bool,
    key_bytes: usize,
    content_bytes: usize,
}

impl Header {
    fn encode(&self) -> io::Result<[u8; HEADER_BYTES]> {
        let length = |bytes: usize| {
            u32::try_from(bytes)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an entry is too long"))
        };
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&self.before.to_le_bytes());
        header[8] = u8::from(self.is_taken);
        header[9..13].copy_from_slice(&length(self.key_bytes)?.to_le_bytes());
        header[13..].copy_from_slice(&length(self.content_bytes)?.to_le_bytes());
        Ok(header)
    }

    fn decode(header: [u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, taken, k0, k1, k2, k3, c0, c1, c2, c3] = header;
        let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        Self {
            before: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            is_taken: taken != 0,
            key_bytes: length([k0, k1, k2, k3]),
            content_bytes: length([c0, c1, c2, c3]),
        }
    }
}

/// What was kept for a key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// In the order in which it was put.
    pub(super) contents: Vec<Vec<u8>>,
    /// So many of the first were too much to be given back.
    pub(super) left: u64,
}

impl Spool {
    /// An empty one, for an export of so many bytes, in the system's folder for temporary files.
    pub(super) fn new(export_bytes: u64) -> io::Result<Self> {
        let buckets = (export_bytes / BYTES_OF_A_BUCKET).clamp(BUCKETS_MIN, BUCKETS_MAX);
        Ok(Self {
            file: tempfile::tempfile()?,
            heads: vec![NONE; usize::try_from(buckets).unwrap_or(usize::MAX)],
            end: 0,
            pending: Vec::new(),
        })
    }

    fn bucket(&self, key: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let buckets = u64::try_from(self.heads.len()).unwrap_or(u64::MAX).max(1);
        usize::try_from(hasher.finish() % buckets).unwrap_or(0)
    }

    /// Keeps something for a key.
    pub(super) fn put(&mut self, key: &str, content: &[u8]) -> io::Result<()> {
        let bucket = self.bucket(key);
        let header = Header {
            before: self.heads[bucket],
            is_taken: false,
            key_bytes: key.len(),
            content_bytes: content.len(),
        };
        self.pending.extend_from_slice(&header.encode()?);
        self.pending.extend_from_slice(key.as_bytes());
        self.pending.extend_from_slice(content);
        self.heads[bucket] = self.end;
        self.end += (HEADER_BYTES + key.len() + content.len()) as u64;
        if self.pending.len() >= PENDING_MAX_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    fn header(&self, at: u64) -> io::Result<Header> {
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, at)?;
        Ok(Header::decode(header))
    }

    fn bytes(&self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// What was kept for a key and not taken yet.
    pub(super) fn take(&mut self, key: &str) -> io::Result<Taken> {
        self.flush()?;
        let (mut taken, mut bytes, mut at) = (Taken::default(), 0, self.heads[self.bucket(key)]);
        while at != NONE {
            let header = self.header(at)?;
            let key_at = at + HEADER_BYTES as u64;
            let is_its = !header.is_taken
                && header.key_bytes == key.len()
                && self.bytes(key_at, header.key_bytes)? == key.as_bytes();
            if is_its {
                bytes += header.content_bytes;
                if bytes > TAKEN_MAX_BYTES {
                    taken.left += 1;
                } else {
                    let content_at = key_at + header.key_bytes as u64;
                    taken.contents.push(self.bytes(content_at, header.content_bytes)?);
                }
                self.file.write_all_at(&[1], at + 8)?;
            }
            at = header.before;
        }
        taken.contents.reverse();
        Ok(taken)
    }

    /// Gives what nobody took, key and content, in the order in which it was put.
    pub(super) fn left<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(&str, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.flush()?;
        let mut at = 0;
        while at < self.end {
            let header = self.header(at)?;
            at += HEADER_BYTES as u64;
            if !header.is_taken {
                let mut entry = self.bytes(at, header.key_bytes + header.content_bytes)?;
                let content = entry.split_off(header.key_bytes);
                each(&String::from_utf8_lossy(&entry), &content)?;
            }
            at += (header.key_bytes + header.content_bytes) as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_given_back_once_in_its_order_and_the_rest_is_left() {
        let mut spool = Spool::new(0).unwrap();
        for round in 0..3 {
            for key in 0..5_000 {
                spool
                    .put(&key.to_string(), format!("{key}/{round}").as_bytes())
                    .unwrap();
            }
        }
        for key in 0..4_999 {
            let taken = spool.take(&key.to_string()).unwrap();
            let expected: Vec<Vec<u8>> = (0..3)
                .map(|round| format!("{key}/{round}").into_bytes())
                .collect();
            assert_eq!((taken.contents, taken.left), (expected, 0));
        }
        assert_eq!(spool.take("7").unwrap(), Taken::default());
        let mut left = Vec::new();
        spool
            .left(|key, content| {
                left.push((key.to_owned(), String::from_utf8_lossy(content).into_owned()));
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let expected = ["4999/0", "4999/1", "4999/2"].map(|text| ("4999".to_owned(), text.to_owned()));
        assert_eq!(left, expected);
    }

    #[test]
    fn what_is_too_much_for_one_ticket_stays_behind() {
        let mut spool = Spool::new(0).unwrap();
        let large = vec![b'x'; TAKEN_MAX_BYTES / 2];
        for _ in 0..3 {
            spool.put("1", &large).unwrap();
        }
        let taken = spool.take("1").unwrap();
        assert_eq!((taken.contents.len(), taken.left), (2, 1));
    }
}

//! From the thread that reads an export to those that store it: batches of items of one sort, bounded in count and bytes.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::files::Unread;
use super::items::{Item, Remark};
use super::report::{DeskSummary, Entry, Origin, Tally, Told};
use crate::import::{BATCH_MAX_BYTES, BATCH_MAX_ROWS};

/// Items that are stored together, and what is told already.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<(Origin, Item)>,
    bytes: usize,
    pub(super) summary: DeskSummary,
    pub(super) entries: Vec<Entry>,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody wants more.
    Gone,
    /// A file cannot be read.
    Unread(Unread),
    /// The system failed.
    System(io::Error),
}

impl From<Unread> for Stop {
    fn from(unread: Unread) -> Self {
        Stop::Unread(unread)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::System(error)
    }
}

/// Takes what is read.
pub(super) struct Sink {
    batches: mpsc::Sender<Batch>,
    batch: Batch,
}

impl Sink {
    pub(super) fn new(batches: mpsc::Sender<Batch>) -> Self {
        Self {
            batches,
            batch: Batch::default(),
        }
    }

    /// Hands an item on to be stored, which is read by that and counted by what becomes of it.
    pub(super) fn store(&mut self, origin: Origin, item: Item, bytes: usize) -> Result<(), Stop> {
        let is_other_sort = self
            .batch
            .items
            .first()
            .is_some_and(|(_, first)| std::mem::discriminant(first) != std::mem::discriminant(&item));
        if is_other_sort {
            self.send()?;
        }
        self.tally(&origin.kind).read += 1;
        self.batch.items.push((origin, item));
        self.batch.bytes += bytes;
        if self.batch.items.len() >= BATCH_MAX_ROWS || self.batch.bytes >= BATCH_MAX_BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// Tells of a record that is not handed on.
    pub(super) fn pass_over(
        &mut self,
        origin: &Origin,
        id: &str,
        told: Told,
        remark: &Remark,
    ) -> Result<(), Stop> {
        let tally = self.tally(&origin.kind);
        tally.read += 1;
        match told {
            Told::Refused => tally.refused += 1,
            Told::Skipped => tally.skipped += 1,
            Told::NotTaken => tally.not_taken += 1,
            Told::Adjusted => tally.taken += 1,
        }
        self.tell(Entry::of(origin, id, told, remark))
    }

    pub(super) fn tell(&mut self, entry: Entry) -> Result<(), Stop> {
        self.batch.entries.push(entry);
        if self.batch.entries.len() >= BATCH_MAX_ROWS * 4 {
            self.send()?;
        }
        Ok(())
    }

    pub(super) fn tally(&mut self, kind: &Arc<str>) -> &mut Tally {
        self.batch.summary.tally(kind)
    }

    /// Sends what is left.
    pub(super) fn end(mut self) -> Result<(), Stop> {
        self.send()
    }

    fn send(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        self.batches.blocking_send(batch).map_err(|_| Stop::Gone)
    }
}

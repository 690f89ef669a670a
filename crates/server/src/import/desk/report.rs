//! What became of an export: figures for each type of record, and a file of JSON lines that tells of every record that is
//! not in the desk, or not as it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::items::Remark;

/// Where in an export a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The type of record.
    pub(super) kind: Arc<str>,
    /// The file.
    pub(super) file: Arc<str>,
    /// Which of the file's records it is, from 1.
    pub(super) record: u64,
}

/// What is told of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It breaks a rule, and is not taken. It is worth another try.
    Refused,
    /// It was deleted there, or is spam.
    Skipped,
    /// There is no place for it here.
    NotTaken,
    /// It is taken, but not quite as it was.
    Adjusted,
}

impl Told {
    fn as_str(self) -> &'static str {
        match self {
            Told::Refused => "refused",
            Told::Skipped => "skipped",
            Told::NotTaken => "not_taken",
            Told::Adjusted => "adjusted",
        }
    }
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry(Value);

impl Entry {
    /// What is told of one record.
    pub(super) fn of(origin: &Origin, id: &str, told: Told, remark: &Remark) -> Self {
        let Origin { kind, file, record } = origin;
        let Remark { field, rule, message } = remark;
        Self(json!({
            "type": &**kind, "id": id, "outcome": told.as_str(), "field": field, "rule": rule, "message": message,
            "file": &**file, "record": record,
        }))
    }

    /// What is told of all records of a type at once.
    pub(super) fn of_all(kind: &str, count: u64, rule: &str, message: &str) -> Self {
        Self(json!({
            "type": kind, "outcome": Told::NotTaken.as_str(), "count": count, "rule": rule, "message": message,
        }))
    }
}

/// What became of the records of one type. Each that was read counts once among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records read.
    pub read: u64,
    /// Those that are in the desk now; in a dry run, that would be.
    pub taken: u64,
    /// Those that were there before.
    pub already_there: u64,
    /// Those that were deleted where they come from, or spam.
    pub skipped: u64,
    /// Those that break a rule.
    pub refused: u64,
    /// Those for which there is no place.
    pub not_taken: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        let Tally {
            read,
            taken,
            already_there,
            skipped,
            refused,
            not_taken,
        } = other;
        self.read += read;
        self.taken += taken;
        self.already_there += already_there;
        self.skipped += skipped;
        self.refused += refused;
        self.not_taken += not_taken;
    }
}

/// What became of an export, by type of record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeskSummary {
    /// The types' figures.
    pub types: BTreeMap<Arc<str>, Tally>,
}

impl DeskSummary {
    /// The figures of a type; all nothing where there was none of it.
    #[must_use]
    pub fn of(&self, kind: &str) -> Tally {
        self.types.get(kind).copied().unwrap_or_default()
    }

    /// The records of all types that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.types.values().map(|tally| tally.refused).sum()
    }

    pub(super) fn tally(&mut self, kind: &Arc<str>) -> &mut Tally {
        self.types.entry(Arc::clone(kind)).or_default()
    }

    pub(super) fn add(&mut self, other: DeskSummary) {
        for (kind, tally) in other.types {
            self.tally(&kind).add(tally);
        }
    }

    /// The figures as a table, a line for each type.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!(
            "  {:<24}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
            "", "read", "taken", "there", "skipped", "refused", "not taken"
        );
        for (kind, tally) in &self.types {
            let Tally {
                read,
                taken,
                already_there,
                skipped,
                refused,
                not_taken,
            } = tally;
            table += &format!(
                "  {kind:<24}{read:>10}{taken:>10}{already_there:>10}{skipped:>10}{refused:>10}{not_taken:>10}\n"
            );
        }
        table
    }
}

/// The report as a file. It is begun before the import, so that a place that cannot be written to is known at once.
pub(super) struct Report {
    path: PathBuf,
    lines: BufWriter<File>,
}

impl Report {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            lines: BufWriter::new(File::create(path)?),
        })
    }

    /// Adds lines, for good.
    pub(super) fn add(&mut self, entries: &[Entry]) -> io::Result<()> {
        for Entry(line) in entries {
            writeln!(self.lines, "{line}")?;
        }
        self.lines.flush()
    }

    /// Ends the report with the figures; gives its place.
    pub(super) fn finish(mut self, summary: &DeskSummary) -> io::Result<PathBuf> {
        for (kind, tally) in &summary.types {
            let line = json!({
                "summary": &**kind, "read": tally.read, "taken": tally.taken, "alreadyThere": tally.already_there,
                "skipped": tally.skipped, "refused": tally.refused, "notTaken": tally.not_taken,
            });
            writeln!(self.lines, "{line}")?;
        }
        self.lines.flush()?;
        Ok(self.path)
    }
}

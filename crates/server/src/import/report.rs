//! The report of the rows that were not imported: a CSV file with a line for each rule that a row breaks.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use kernel::{Violation, Violations};

use super::rows::Unreadable;

/// One thing that is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, or the column; empty for the row as a whole.
    pub field: String,
    /// The rule's stable name.
    pub rule: String,
    /// The rule in words.
    pub message: String,
}

impl Fault {
    pub(super) fn of(violations: &Violations) -> Vec<Self> {
        violations.as_slice().iter().map(Self::from).collect()
    }
}

impl From<&Violation> for Fault {
    fn from(
        Violation {
            pointer,
            code,
            message,
        }: &Violation,
    ) -> Self {
        let field = pointer
            .trim_start_matches('/')
            .replace('/', ".")
            .replace("~1", "/")
            .replace("~0", "~");
        Self {
            field,
            rule: (*code).to_owned(),
            message: message.clone(),
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(Unreadable { field, rule, message }: Unreadable) -> Self {
        Self {
            field,
            rule: rule.to_owned(),
            message,
        }
    }
}

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line that the row begins in.
    pub line: u64,
    /// Its id where it comes from, if it could be read.
    pub external_id: String,
    /// All that is wrong with it.
    pub faults: Vec<Fault>,
}

/// A cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe before it (OWASP, CSV
/// injection).
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The report as a file. It is begun before the import, so that a place that cannot be written to is known at once,
/// and taken away again when there is nothing to report.
pub(super) struct Report {
    path: PathBuf,
    rows: csv::Writer<BufWriter<File>>,
    refused: u64,
}

impl Report {
    pub(super) fn create(path: &Path) -> csv::Result<Self> {
        let mut rows = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
        rows.write_record(["line", "externalId", "field", "rule", "message"])?;
        rows.flush()?;
        Ok(Self {
            path: path.to_owned(),
            rows,
            refused: 0,
        })
    }

    /// Adds refusals, for good.
    pub(super) fn add(&mut self, refusals: &[Refusal]) -> csv::Result<()> {
        for Refusal {
            line,
            external_id,
            faults,
        } in refusals
        {
            self.refused += 1;
            for Fault { field, rule, message } in faults {
                let cells = [external_id, field, rule, message].map(|cell| harmless(cell));
                let [external_id, field, rule, message] = &cells;
                self.rows
                    .write_record([line.to_string().as_str(), external_id, field, rule, message])?;
            }
        }
        Ok(self.rows.flush()?)
    }

    /// Ends the report; gives its place if there is anything in it.
    pub(super) fn finish(self) -> csv::Result<Option<PathBuf>> {
        let Self {
            path,
            mut rows,
            refused,
        } = self;
        rows.flush()?;
        drop(rows);
        if refused > 0 {
            return Ok(Some(path));
        }
        std::fs::remove_file(path)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_looks_like_a_formula_is_made_harmless() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(cell), format!("'{cell}"));
        }
        for cell in ["", "a=1", "T-17", "'=1"] {
            assert_eq!(harmless(cell), cell);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.csv");
        let mut report = Report::create(&path).unwrap();
        let fault = Fault {
            field: "subject".into(),
            rule: "too_short".into(),
            message: "must not be empty".into(),
        };
        let refusal = Refusal {
            line: 2,
            external_id: "=cmd|' /C calc'!A0".into(),
            faults: vec![fault],
        };
        report.add(&[refusal]).unwrap();
        assert_eq!(report.finish().unwrap(), Some(path.clone()));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text.lines().nth(1),
            Some("2,'=cmd|' /C calc'!A0,subject,too_short,must not be empty")
        );
    }
}
